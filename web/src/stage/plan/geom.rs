//! Points, boxes and widths of text, in CSS pixels. No web types, so that layout is tested natively.

use sim_core::few;

/// A point, from the top left of the stage.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Pt {
    /// To the right.
    pub(crate) x: f64,
    /// Downwards.
    pub(crate) y: f64,
}

/// Shorthand for a point.
pub(crate) fn pt(x: f64, y: f64) -> Pt {
    Pt { x, y }
}

/// A box, from the top left of the stage.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Rect {
    /// Left edge.
    pub(crate) x: f64,
    /// Upper edge.
    pub(crate) y: f64,
    /// Width.
    pub(crate) w: f64,
    /// Height.
    pub(crate) h: f64,
}

impl Rect {
    /// A box by its upper left corner and size.
    pub(crate) fn new(x: f64, y: f64, w: f64, h: f64) -> Self {
        Self { x, y, w, h }
    }

    /// Right edge.
    pub(crate) fn right(&self) -> f64 {
        self.x + self.w
    }

    /// Lower edge.
    pub(crate) fn bottom(&self) -> f64 {
        self.y + self.h
    }

    /// Middle, across.
    pub(crate) fn cx(&self) -> f64 {
        self.x + self.w / 2.0
    }

    /// Middle, down.
    pub(crate) fn cy(&self) -> f64 {
        self.y + self.h / 2.0
    }

    /// Whether two boxes share more than an edge.
    #[cfg(test)]
    pub(crate) fn overlaps(&self, other: &Rect) -> bool {
        self.x < other.right() - 0.01
            && other.x < self.right() - 0.01
            && self.y < other.bottom() - 0.01
            && other.y < self.bottom() - 0.01
    }

    /// Whether the other box lies inside this one.
    #[cfg(test)]
    pub(crate) fn holds(&self, other: &Rect) -> bool {
        other.x >= self.x - 0.01
            && other.y >= self.y - 0.01
            && other.right() <= self.right() + 0.01
            && other.bottom() <= self.bottom() + 0.01
    }
}

/// Which typeface a text is set in; widths differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Face {
    /// The text face (Atkinson Hyperlegible Next).
    Text,
    /// The face of offsets and times (JetBrains Mono).
    Mono,
}

/// An upper estimate of the width of a text at a font size. The text face is estimated by classes
/// of letters; measured against the real font it errs by a few per cent to the wide side.
pub(crate) fn text_width(text: &str, face: Face, size: f64) -> f64 {
    let em: f64 = match face {
        Face::Mono => 0.602 * text.chars().count() as f64,
        Face::Text => text.chars().map(letter_em).sum(),
    };
    em * size
}

fn letter_em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | '·' => 0.30,
        ' ' | 'f' | 't' | 'r' | '(' | ')' | '{' | '}' | '-' => 0.40,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.90,
        'A'..='Z' => 0.70,
        '0'..='9' => 0.63,
        _ => 0.59,
    }
}

/// A label that wants to stand near a place on a line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Wish {
    /// Where its middle would like to be.
    pub(crate) at: f64,
    /// Its width.
    pub(crate) width: f64,
}

/// Gives each label a left edge so that none overlaps another or leaves `[from, to]`; `None` for a
/// label for which there is no room left. Earlier labels have the first choice of being shown.
pub(crate) fn settle(wishes: &[Wish], from: f64, to: f64, gap: f64) -> Vec<Option<f64>> {
    let mut shown: Vec<usize> = Vec::new();
    let mut room = to - from;
    for (i, wish) in wishes.iter().enumerate() {
        let need = wish.width + if shown.is_empty() { 0.0 } else { gap };
        if need <= room {
            room -= need;
            shown.push(i);
        }
    }
    few::sort(&mut shown, |&a, &b| {
        wishes[a].at.total_cmp(&wishes[b].at).is_lt()
    });
    let mut out = vec![None; wishes.len()];
    let mut edge = from;
    for &i in &shown {
        let x = (wishes[i].at - wishes[i].width / 2.0).max(edge);
        out[i] = Some(x);
        edge = x + wishes[i].width + gap;
    }
    let mut edge = to;
    for &i in shown.iter().rev() {
        let x = out[i].unwrap_or(from).min(edge - wishes[i].width);
        out[i] = Some(x);
        edge = x - gap;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wishes: &[(f64, f64)], expect: &[Option<f64>]) {
        let wishes: Vec<Wish> = wishes
            .iter()
            .map(|&(at, width)| Wish { at, width })
            .collect();
        assert_eq!(settle(&wishes, 0.0, 100.0, 4.0), expect, "{wishes:?}");
    }

    #[test]
    fn labels_stand_where_they_wish_or_beside() {
        check(&[], &[]);
        check(&[(50.0, 20.0)], &[Some(40.0)]);
        check(&[(0.0, 20.0)], &[Some(0.0)]);
        check(&[(100.0, 20.0)], &[Some(80.0)]);
        check(&[(50.0, 20.0), (52.0, 20.0)], &[Some(40.0), Some(64.0)]);
        check(&[(95.0, 20.0), (99.0, 20.0)], &[Some(56.0), Some(80.0)]);
        // The third does not fit: the first two are kept.
        check(
            &[(50.0, 60.0), (52.0, 30.0), (5.0, 20.0)],
            &[Some(6.0), Some(70.0), None],
        );
    }

    #[test]
    fn boxes_that_touch_do_not_overlap() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        assert!(!a.overlaps(&Rect::new(10.0, 0.0, 5.0, 5.0)));
        assert!(a.overlaps(&Rect::new(9.0, 9.0, 5.0, 5.0)));
        assert!(a.holds(&Rect::new(2.0, 2.0, 8.0, 8.0)));
        assert!(!a.holds(&Rect::new(2.0, 2.0, 9.0, 8.0)));
    }
}
