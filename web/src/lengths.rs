//! Lengths and paths in the words of CSS and SVG.
//!
//! The standard library prints floats exactly to the last digit, by 12 KB of the home page's first
//! load. A tenth of a pixel is all that a picture needs, so these print by integers.

/// The number between two others, the lower one where they are in the wrong order. `f64::clamp` would
/// panic there, and to say so it prints floats.
pub(crate) fn within(value: f64, low: f64, high: f64) -> f64 {
    value.min(high).max(low)
}

/// The number with at most `digits` decimals, halves to even; what is not finite is 0.
pub(crate) fn number(value: f64, digits: u32) -> String {
    let mut out = String::new();
    push(&mut out, value, digits);
    out
}

/// A length for a style.
pub(crate) fn px(value: f64) -> String {
    number(value, 1) + "px"
}

/// A share for a style: 50.0 is a half.
pub(crate) fn percent(value: f64) -> String {
    number(value, 3) + "%"
}

/// Adds a command to the data of a path: its letter, and its numbers in tenths.
pub(crate) fn draw(path: &mut String, letter: char, numbers: &[f64]) {
    path.push(letter);
    for (i, n) in numbers.iter().enumerate() {
        if i > 0 {
            path.push(' ');
        }
        push(path, *n, 1);
    }
}

/// Adds a closed box to the data of a path.
pub(crate) fn draw_box(path: &mut String, x: f64, y: f64, w: f64, h: f64) {
    draw(path, 'M', &[x, y]);
    draw(path, 'h', &[w]);
    draw(path, 'v', &[h]);
    draw(path, 'h', &[-w]);
    path.push('z');
}

fn push(out: &mut String, value: f64, digits: u32) {
    let unit = 10_u64.pow(digits);
    // A cast saturates, and takes what is no number for 0.
    let scaled = (value * unit as f64).round_ties_even() as i64;
    let (whole, mut part) = (scaled.unsigned_abs() / unit, scaled.unsigned_abs() % unit);
    if scaled < 0 {
        out.push('-');
    }
    out.push_str(&whole.to_string());
    let mut place = unit;
    while part > 0 {
        if place == unit {
            out.push('.');
        }
        place /= 10;
        out.push(char::from(b'0' + (part / place) as u8));
        part %= place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_the_standard_library_prints() {
        let check = |value: f64, digits: u32| {
            let theirs = format!("{value:.0$}", digits as usize);
            let theirs = match theirs.contains('.') {
                true => theirs.trim_end_matches('0').trim_end_matches('.'),
                false => &theirs,
            };
            let theirs = if theirs == "-0" { "0" } else { theirs };
            assert_eq!(number(value, digits), theirs, "{value} to {digits}");
        };
        for digits in 0..4 {
            for value in [
                0.0,
                -0.0,
                1.0,
                0.04,
                -0.04,
                0.06,
                9.97,
                10.0,
                100.0,
                12.25,
                1.001,
                1.0101,
                -17.349,
                1e6,
                123_456.789,
            ] {
                check(value, digits);
            }
        }
    }

    #[test]
    fn takes_no_offence_at_what_is_no_number() {
        assert_eq!(number(f64::NAN, 1), "0");
        assert_eq!(number(f64::INFINITY, 0), i64::MAX.to_string());
    }

    #[test]
    fn draws_in_tenths() {
        let mut path = String::new();
        draw(&mut path, 'M', &[1.04, -2.5]);
        draw_box(&mut path, 0.0, 1.0, 2.0, 3.25);
        assert_eq!(path, "M1 -2.5M0 1h2v3.2h-2z");
    }
}
