//! Quantities as a scenario writes them: times, rates, sizes and shares, read and printed exactly.
//!
//! All of them are decimal text with a unit (`"12.5s"`, `"250/s"`, `"10MB/s"`, `"0.5%"`), kept as
//! integers of the smallest unit. A value finer than that unit is refused, never rounded, so that
//! what is printed reads back as the same number. The one exception is a rate, which becomes a gap
//! in whole nanoseconds.

use crate::kernel::{MICROSECOND, MILLISECOND, Nanos, SECOND};

/// Units of time, longest name first where one begins another.
const TIMES: &[(&str, Nanos)] = &[
    ("ns", 1),
    ("us", MICROSECOND),
    ("µs", MICROSECOND),
    ("ms", MILLISECOND),
    ("min", 60 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("h", 3_600 * SECOND),
    ("d", 86_400 * SECOND),
];

/// Units of size in bytes.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// The digits at the start of a text, its fraction, and the rest.
fn split_number(text: &str) -> Option<(&str, &str, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let dotted = whole.len() + fraction.len() + rest.len() < text.len();
    (!whole.is_empty() && dotted != fraction.is_empty()).then_some((whole, fraction, rest))
}

/// `whole.fraction × unit` if that is a whole number.
fn scaled(whole: &str, fraction: &str, unit: u128) -> Option<u128> {
    let fraction = fraction.trim_end_matches('0');
    if whole.len() > 24 || fraction.len() > 12 {
        return None;
    }
    let base = 10u128.pow(fraction.len() as u32);
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = digits.checked_mul(unit)?;
    (scaled % base == 0).then_some(scaled / base)
}

/// The unit at the start of a text: the longest that fits.
fn unit_of<'t>(text: &'t str, units: &[(&str, u64)]) -> Option<(u64, &'t str)> {
    units
        .iter()
        .filter_map(|(name, size)| Some((name.len(), *size, text.strip_prefix(name)?)))
        .max_by_key(|(len, _, _)| *len)
        .map(|(_, size, rest)| (size, rest))
}

/// Reads a time: one or more numbers with units, such as `12.5s` or `1m30s`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_time(text: &str) -> Result<Nanos, String> {
    let wrong = || format!("`{}` is not a time", shorten(text));
    let mut rest = text.trim();
    let mut total: u128 = 0;
    let mut smallest = Nanos::MAX;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (whole, fraction, after) = split_number(rest).ok_or_else(wrong)?;
        if after.is_empty() {
            return Err(format!("`{}` has no unit", shorten(text)));
        }
        let (unit, after) = unit_of(after, TIMES).ok_or_else(wrong)?;
        if unit >= smallest {
            return Err(wrong());
        }
        smallest = unit;
        let part = scaled(whole, fraction, u128::from(unit))
            .ok_or_else(|| format!("`{}` is finer than a nanosecond or too long", shorten(text)))?;
        total = total.saturating_add(part);
        rest = after;
    }
    Nanos::try_from(total).map_err(|_| format!("`{}` is too long", shorten(text)))
}

/// Reads a time that may be negative.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_signed_time(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = i128::from(parse_time(rest)?);
    i64::try_from(sign * size).map_err(|_| format!("`{}` is too long", shorten(text)))
}

/// Prints a time so that it reads back exactly: `2s`, `300ms`, `12.345678901s`.
#[must_use]
pub fn show_time(time: Nanos) -> String {
    let units = [(SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "us")];
    if time >= SECOND || time == 0 {
        return show_decimal(time, 9, "s");
    }
    units
        .iter()
        .find(|(unit, _)| time.is_multiple_of(*unit))
        .map_or_else(
            || format!("{time}ns"),
            |(unit, name)| format!("{}{name}", time / unit),
        )
}

/// Prints a time that may be negative.
#[must_use]
pub fn show_signed_time(time: i64) -> String {
    let sign = if time < 0 { "-" } else { "" };
    format!("{sign}{}", show_time(time.unsigned_abs()))
}

/// `value / 10^places` as a decimal without trailing zeros.
fn show_decimal(value: u64, places: usize, unit: &str) -> String {
    let base = 10u64.pow(places as u32);
    let fraction = format!("{:0places$}", value % base);
    let fraction = fraction.trim_end_matches('0');
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{}{dot}{fraction}{unit}", value / base)
}

/// Reads records over time (`250/s`, `0.5/s`, `30/min`) as the gap between two of them, ns.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_rate(text: &str) -> Result<Nanos, String> {
    let wrong = || format!("`{}` is not a rate", shorten(text));
    let (whole, fraction, rest) = split_number(text.trim()).ok_or_else(wrong)?;
    let per = match rest {
        "" | "/s" => SECOND,
        "/ms" => MILLISECOND,
        "/min" | "/m" => 60 * SECOND,
        "/h" => 3_600 * SECOND,
        _ => return Err(wrong()),
    };
    // In millionths of a record, so that the division is done once.
    let micro = scaled(whole, fraction, 1_000_000)
        .ok_or_else(|| format!("`{}` is finer than a millionth", shorten(text)))?;
    if micro == 0 {
        return Err(
            "a rate of 0 never sends: leave the load out or use kind = \"none\"".to_owned(),
        );
    }
    let gap = u128::from(per) * 1_000_000 / micro;
    let gap = Nanos::try_from(gap).map_err(|_| wrong())?;
    if gap == 0 {
        return Err(format!("`{}` is more than one each ns", shorten(text)));
    }
    Ok(gap)
}

/// Reads bytes per second: `10MB/s`, `64KiB/s`, or a bare number of bytes.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_speed(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{}` is not a speed", shorten(text));
    let (whole, fraction, rest) = split_number(text.trim()).ok_or_else(wrong)?;
    let rest = rest.strip_suffix("/s").unwrap_or(rest);
    let (unit, rest) = if rest.is_empty() {
        (1, "")
    } else {
        unit_of(rest, SIZES).ok_or_else(wrong)?
    };
    if !rest.is_empty() {
        return Err(wrong());
    }
    scaled(whole, fraction, u128::from(unit))
        .and_then(|bytes| u64::try_from(bytes).ok())
        .ok_or_else(|| format!("`{}` is not a whole number of bytes", shorten(text)))
}

/// Reads a share as parts per million: `5%`, `0.5%`, `200ppm`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_share(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{}` is not a share", shorten(text));
    let (whole, fraction, rest) = split_number(text.trim()).ok_or_else(wrong)?;
    let unit = match rest.trim() {
        "%" => 10_000,
        "ppm" => 1,
        _ => return Err(wrong()),
    };
    let ppm = scaled(whole, fraction, unit)
        .ok_or_else(|| format!("`{}` is finer than a millionth", shorten(text)))?;
    match u32::try_from(ppm) {
        Ok(ppm) if ppm <= 1_000_000 => Ok(ppm),
        _ => Err(format!("`{}` is more than 100%", shorten(text))),
    }
}

/// Prints parts per million as a percentage.
#[must_use]
pub fn show_share(ppm: u32) -> String {
    show_decimal(u64::from(ppm), 4, "%")
}

/// Reads a decimal as thousandths (`1.1` is 1,100).
pub(crate) fn parse_milli(text: &str) -> Option<u32> {
    let (whole, fraction, rest) = split_number(text.trim())?;
    if !rest.is_empty() {
        return None;
    }
    u32::try_from(scaled(whole, fraction, 1_000)?).ok()
}

/// A text as a TOML string.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // All other controls by number.
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The start of a text that may be very long, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(LONGEST).map(clean).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let check = |text: &str, expect: Option<Nanos>| {
            assert_eq!(parse_time(text).ok(), expect, "{text}");
        };
        check("5s", Some(5_000_000_000));
        check("12.5s", Some(12_500_000_000));
        check("300ms", Some(300_000_000));
        check("1m30s", Some(90_000_000_000));
        check("1min", Some(60_000_000_000));
        check("1h1m1.5s", Some(3_661_500_000_000));
        check("12.345678901s", Some(12_345_678_901));
        check("7ns", Some(7));
        check("1.500us", Some(1_500));
        check("2µs", Some(2_000));
        check("30d", Some(2_592_000_000_000_000));
        for wrong in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5ns",
            "5s5",
            "30s1m",
            "1s1s",
            ".5s",
            "5.s",
            "5x",
            "1e3s",
            "99999999999999999999d",
            "1m 30s",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn the_other_quantities_are_read() {
        let check = |found: Result<u64, String>, expect: Option<u64>| {
            assert_eq!(found.clone().ok(), expect, "{found:?}");
        };
        check(parse_rate("250/s"), Some(4_000_000));
        check(parse_rate("250"), Some(4_000_000));
        check(parse_rate("0.5/s"), Some(2_000_000_000));
        check(parse_rate("30/min"), Some(2_000_000_000));
        check(parse_rate("0"), None);
        check(parse_rate("2000000000/s"), None);
        check(parse_rate("5/week"), None);
        check(parse_speed("10MB/s"), Some(10_000_000));
        check(parse_speed("1.5KiB/s"), Some(1_536));
        check(parse_speed("77"), Some(77));
        check(parse_speed("0.5B"), None);
        check(parse_speed("5XB/s"), None);
        check(parse_share("5%").map(u64::from), Some(50_000));
        check(parse_share("0.0001%").map(u64::from), Some(1));
        check(parse_share("100%").map(u64::from), Some(1_000_000));
        check(parse_share("100.1%").map(u64::from), None);
        check(parse_share("1").map(u64::from), None);
        assert_eq!(parse_milli("1.1"), Some(1_100));
        assert_eq!(parse_milli("0.9999"), None);
    }

    #[cfg(not(target_arch = "wasm32"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn what_is_printed_reads_back(time: u64, skew: i64, ppm in 0u32..=1_000_000) {
                prop_assert_eq!(parse_time(&show_time(time)), Ok(time));
                prop_assert_eq!(parse_signed_time(&show_signed_time(skew)), Ok(skew));
                prop_assert_eq!(parse_share(&show_share(ppm)), Ok(ppm));
            }

            #[test]
            fn small_times_read_back(time in 0u64..5_000_000_000) {
                prop_assert_eq!(parse_time(&show_time(time)), Ok(time));
            }

            #[test]
            fn any_text_is_read_without_panic(text in ".{0,40}") {
                let _ = (parse_time(&text), parse_signed_time(&text), parse_rate(&text));
                let _ = (parse_speed(&text), parse_share(&text), parse_milli(&text));
            }
        }
    }
}
