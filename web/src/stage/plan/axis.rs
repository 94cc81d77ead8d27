//! The offset axis that all copies of a lane share: which offset stands in which slot.
//!
//! Slots do not scroll with every record. The window stands still until the newest record reaches
//! its end and then moves by a quarter, so that on screen the log grows and the strandline
//! advances. If the strandline has fallen behind the window, the axis is broken in two: the left
//! part shows it, the right part the newest records.

/// A run of offsets in neighbouring slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// First slot.
    pub(crate) slot: usize,
    /// First offset.
    pub(crate) from: i64,
    /// The offset after the last.
    pub(crate) to: i64,
}

/// What a slot holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Slot {
    /// Room for the record with this offset.
    Offset(i64),
    /// The gap of a broken axis, with the number of offsets left out.
    Break(i64),
}

/// Which offsets are on show.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Axis {
    /// One run, or two with a slot between them for the break.
    pub(crate) runs: Vec<Run>,
    /// Number of slots.
    pub(crate) slots: usize,
}

/// What the axis must show of a lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// First offset that any copy keeps.
    pub(crate) start: i64,
    /// The largest log end of any copy.
    pub(crate) end: i64,
    /// The strandline, if there is one.
    pub(crate) strandline: Option<i64>,
}

/// Slots that stay free after the newest record: there its caret stands, and the caret's words.
fn head_room(slots: i64) -> i64 {
    match slots {
        ..10 => 1,
        10..14 => 2,
        _ => 3,
    }
}

fn ceil_to(value: i64, step: i64) -> i64 {
    value.div_euclid(step) * step + if value.rem_euclid(step) == 0 { 0 } else { step }
}

impl Axis {
    /// The axis for a lane, with room for `slots` cells.
    pub(crate) fn new(span: Span, slots: usize) -> Self {
        let n = slots.max(4) as i64;
        let start = span.start.max(0);
        let window = |n: i64| {
            let (step, free) = ((n / 4).max(1), head_room(n));
            if span.end + free <= start + n {
                start
            } else {
                ceil_to(span.end + free - n, step)
            }
        };
        let from = window(n);
        let whole = Self {
            runs: vec![Run {
                slot: 0,
                from,
                to: from + n,
            }],
            slots,
        };
        let Some(line) = span.strandline.filter(|&line| line < from) else {
            return whole;
        };
        let (left, right_from) = (n * 2 / 5, window(n - n * 2 / 5 - 1));
        let right = n - left - 1;
        let step = (left / 4).max(1);
        let left_from = ((line - left / 2).div_euclid(step) * step).max(start);
        let left_to = left_from + left;
        if left_to >= right_from {
            return whole;
        }
        Self {
            runs: vec![
                Run {
                    slot: 0,
                    from: left_from,
                    to: left_to,
                },
                Run {
                    slot: left as usize + 1,
                    from: right_from,
                    to: right_from + right,
                },
            ],
            slots,
        }
    }

    /// What stands in a slot.
    pub(crate) fn slot(&self, index: usize) -> Option<Slot> {
        if index >= self.slots {
            return None;
        }
        for (i, run) in self.runs.iter().enumerate() {
            let width = (run.to - run.from) as usize;
            if index >= run.slot && index < run.slot + width {
                return Some(Slot::Offset(run.from + (index - run.slot) as i64));
            }
            if index == run.slot + width {
                let next = self.runs.get(i + 1)?;
                return Some(Slot::Break(next.from - run.to));
            }
        }
        None
    }

    /// The place of the line *before* an offset, in slots from the left (may be fractional inside
    /// the break); `None` if it is left of all that is shown. Lines beyond the right end stand
    /// there.
    pub(crate) fn line(&self, offset: i64) -> Option<f64> {
        let mut last = None;
        for run in &self.runs {
            if offset < run.from {
                return last.map(|edge: f64| edge + 0.5);
            }
            let width = (run.to - run.from) as f64;
            if offset <= run.to {
                return Some(run.slot as f64 + (offset - run.from) as f64);
            }
            last = Some(run.slot as f64 + width);
        }
        last
    }

    /// First offset hidden by the break; beyond all if there is none.
    pub(crate) fn hidden_from(&self) -> i64 {
        if self.runs.len() > 1 {
            self.runs[0].to
        } else {
            i64::MAX
        }
    }

    /// First offset shown.
    pub(crate) fn first(&self) -> i64 {
        self.runs.first().map_or(0, |run| run.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(start: i64, end: i64, line: Option<i64>, slots: usize) -> Axis {
        Axis::new(
            Span {
                start,
                end,
                strandline: line,
            },
            slots,
        )
    }

    #[test]
    fn newest_record_and_its_caret_are_always_on_show() {
        for slots in [8, 13, 24, 25] {
            for end in 0..400 {
                let a = axis(0, end, Some(end), slots);
                assert_eq!(a.runs.len(), 1, "{slots} slots, end {end}");
                let caret = a.line(end).expect("caret on axis");
                assert!(
                    caret <= slots as f64 - 1.0,
                    "{slots} slots, end {end}: caret {caret}"
                );
                if end > 0 {
                    let newest = (0..slots).any(|i| a.slot(i) == Some(Slot::Offset(end - 1)));
                    assert!(newest, "{slots} slots, end {end}");
                }
            }
        }
    }

    #[test]
    fn the_window_stands_still_while_records_arrive() {
        let moves = (0..400)
            .filter(|&end| axis(0, end, None, 24).first() != axis(0, end + 1, None, 24).first());
        // It moves by a quarter at a time: 6 of 24 slots.
        assert_eq!(moves.count(), (400 - 24 + 2) / 6 + 1);
    }

    #[test]
    fn a_strandline_left_behind_stays_on_show() {
        for line in 0..300 {
            for (end, slots) in [(300, 24), (5_000, 24), (300, 13), (90_000, 13)] {
                let a = axis(0, end, Some(line), slots);
                let at = a.line(line).expect("strandline on axis");
                assert!(
                    (0.0..slots as f64).contains(&at),
                    "line {line} of {end}: {at}"
                );
                assert_eq!(
                    at.fract(),
                    0.0,
                    "line {line} of {end} must not fall into the break"
                );
                assert!(a.line(end).is_some());
            }
        }
    }

    #[test]
    fn slots_and_lines_agree() {
        let a = axis(0, 5_000, Some(100), 24);
        assert_eq!(a.runs.len(), 2);
        let mut seen_break = false;
        for i in 0..24 {
            match a.slot(i) {
                Some(Slot::Offset(offset)) => assert_eq!(a.line(offset), Some(i as f64)),
                Some(Slot::Break(hidden)) => {
                    seen_break = true;
                    assert!(hidden > 4_000);
                    assert_eq!(a.line(2_000), Some(i as f64 + 0.5));
                }
                None => panic!("slot {i} is empty"),
            }
        }
        assert!(seen_break);
        assert_eq!(a.line(0), None, "left of the window");
        assert_eq!(a.slot(24), None);
    }
}
