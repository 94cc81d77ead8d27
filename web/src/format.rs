//! How numbers read on screen: simulated times, spans, speeds and counts. Pure functions.

/// Nanoseconds in a second.
pub(crate) const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// A point in simulated time, `mm:ss.mmm`, hours in front only where there are any.
pub(crate) fn clock(ns: u64) -> String {
    let ms = ns / MS;
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let tail = format!("{:02}:{:02}.{:03}", minutes, ms / 1000 % 60, ms % 1000);
    if hours > 0 {
        format!("{hours}:{tail}")
    } else {
        tail
    }
}

/// The microseconds below a [`clock`] reading, for slow motion: ` 512`.
pub(crate) fn clock_micros(ns: u64) -> String {
    format!("{:03}", ns / 1000 % 1000)
}

/// A point in simulated time as one says it: `12.34 s`.
pub(crate) fn spoken(ns: u64) -> String {
    let text = format!("{}.{:03}", ns / SECOND, ns / MS % 1000);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

/// A span of simulated time in the unit that keeps it short: `31 s`, `2.5 ms`, `40 µs`.
pub(crate) fn span(ns: u64) -> String {
    let (unit, name) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..MS => (1_000, "µs"),
        MS..SECOND => (MS, "ms"),
        _ => (SECOND, "s"),
    };
    let tenths = ns / (unit / 10);
    if tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A span of simulated time in seconds, to a tenth, whole from 100 on: it changes calmly while time runs.
pub(crate) fn seconds(ns: u64) -> String {
    let tenths = ns / (SECOND / 10);
    match tenths {
        1_000.. => format!("{} s", tenths / 10),
        _ => format!("{}.{} s", tenths / 10, tenths % 10),
    }
}

/// A count with thin spaces between thousands: `12 345`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Speeds the transport offers, as (simulated seconds per real second, label).
pub(crate) const SPEEDS: [(f64, &str); 13] = [
    (0.001, "1/1000×"),
    (0.002, "1/500×"),
    (0.005, "1/200×"),
    (0.01, "1/100×"),
    (0.02, "1/50×"),
    (0.05, "1/20×"),
    (0.1, "1/10×"),
    (0.25, "1/4×"),
    (1.0, "1×"),
    (3.0, "3×"),
    (10.0, "10×"),
    (30.0, "30×"),
    (100.0, "100×"),
];

/// The index in [`SPEEDS`] nearest to `speed`, on a logarithmic scale.
pub(crate) fn nearest_speed(speed: f64) -> usize {
    let distance = |s: f64| (s / speed).max(speed / s);
    let mut best = 0;
    for (i, (s, _)) in SPEEDS.iter().enumerate() {
        if distance(*s) < distance(SPEEDS[best].0) {
            best = i;
        }
    }
    best
}

/// UTF-16 offset of a byte offset in `text` (what the browser's text fields count in). An offset
/// inside a character counts as its start.
pub(crate) fn utf16_offset(text: &str, byte: usize) -> u32 {
    text.char_indices()
        .take_while(|(i, _)| *i < byte)
        .map(|(_, c)| c.len_utf16() as u32)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        let check = |ns: u64, c: &str, s: &str, d: &str| {
            assert_eq!(
                (clock(ns), spoken(ns), span(ns)),
                (c.into(), s.into(), d.into()),
                "{ns} ns"
            );
        };
        check(0, "00:00.000", "0 s", "0 ns");
        check(999, "00:00.000", "0 s", "999 ns");
        check(40_000, "00:00.000", "0 s", "40 µs");
        check(2_500_000, "00:00.002", "0.002 s", "2.5 ms");
        check(12_340_000_000, "00:12.340", "12.34 s", "12.3 s");
        check(3_723_004_000_000, "1:02:03.004", "3723.004 s", "3723 s");
    }

    #[test]
    fn counts_are_grouped() {
        for (n, text) in [
            (7, "7"),
            (1_234, "1\u{202f}234"),
            (1_000_000, "1\u{202f}000\u{202f}000"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn speeds_are_found_on_a_logarithmic_scale() {
        for (speed, label) in [
            (1.0, "1×"),
            (0.04, "1/20×"),
            (70.0, "100×"),
            (1e-9, "1/1000×"),
        ] {
            assert_eq!(SPEEDS[nearest_speed(speed)].1, label);
        }
    }

    #[test]
    fn offsets_count_utf16_units() {
        for (text, byte, units) in [("abc", 2, 2), ("é=1", 2, 1), ("😀x", 4, 2), ("a", 9, 1)] {
            assert_eq!(utf16_offset(text, byte), units, "{text}");
        }
    }
}
