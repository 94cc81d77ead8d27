//! Durations as Kafka's settings write them: ISO 8601, `P1DT2H30M1.5S`.
//!
//! Follows `java.time.Duration.parse`, without a sign and to the millisecond: no setting takes a
//! negative one.

const SECOND_MS: i64 = 1_000;

/// Milliseconds of a duration; `None` if the text is none, or a negative one.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        // A T announces hours, minutes or seconds.
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut sum = 0_i64;
    let units: [(char, i64); 4] = [('D', 86_400), ('H', 3_600), ('M', 60), ('S', 1)];
    let mut parts = [days, time];
    // Hours, minutes and seconds share one text, read in this order.
    for (at, (unit, seconds)) in units.into_iter().enumerate() {
        let part = parts.get_mut(at.min(1))?;
        if let Some((number, after)) = part.split_once(unit) {
            let ms = match unit {
                'S' => seconds_ms(number)?,
                _ => digits(number)?
                    .checked_mul(seconds)?
                    .checked_mul(SECOND_MS)?,
            };
            sum = sum.checked_add(ms)?;
            *part = after;
        }
    }
    parts.iter().all(|part| part.is_empty()).then_some(sum)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Seconds with up to nine decimals, of which three count.
fn seconds_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = fraction.bytes().chain(*b"000").take(3);
    let ms = ms.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    digits(whole)?.checked_mul(SECOND_MS)?.checked_add(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_to_the_millisecond() {
        let check = |text, expect| assert_eq!(parse_ms(text), expect, "{text}");
        check("PT1H", Some(3_600_000));
        check("P1D", Some(86_400_000));
        check("P1DT2H3M4.5S", Some(93_784_500));
        check("pt0.0015s", Some(1));
        check("PT0S", Some(0));
        check("-PT1H", None);
        check("PT-1H", None);
        check("P", None);
        check("PT", None);
        check("P1DT", None);
        check("1H", None);
        check("PT1", None);
        check("PT1H2D", None);
        check("PT1S2M", None);
        check("PT99999999999999999999H", None);
        check("invalid", None);
        check("", None);
    }
}
