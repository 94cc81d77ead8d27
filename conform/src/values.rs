//! Reading JSON values of cases. What is not as a reader expects makes the case unsupported.

use crate::case::{Checked, Fault};
use serde_json::Value;

fn not(what: &str, value: &Value) -> Fault {
    Fault::Unsupported(format!("{what} is expected where the case has {value}"))
}

/// An array; nothing at all is an empty one.
pub(crate) fn list(value: &Value) -> Checked<&[Value]> {
    match value {
        Value::Array(all) => Ok(all),
        Value::Null => Ok(&[]),
        other => Err(not("a list", other)),
    }
}

/// An integer; those of 2^53 and more stand in quotes.
pub(crate) fn int(value: &Value) -> Checked<i64> {
    let number = match value {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_i64(),
    };
    number.ok_or_else(|| not("an integer", value))
}

/// An integer as cases write it: those of 2^53 and more in quotes.
pub(crate) fn written(number: i64) -> Value {
    match number.unsigned_abs() < 1 << 53 {
        true => Value::from(number),
        false => Value::from(number.to_string()),
    }
}

/// Beyond this no offset, time or size of a case may lie: the engine adds them up.
const LARGEST: i64 = 1 << 50;

/// An integer that the engine may add to others: an offset, a time, a size.
pub(crate) fn offset(value: &Value) -> Checked<i64> {
    bounded(int(value)?)
}

/// The same, where there may be none.
pub(crate) fn offset_or(value: &Value, default: i64) -> Checked<i64> {
    match value {
        Value::Null => Ok(default),
        other => offset(other),
    }
}

/// Refuses numbers so large that sums of them would overflow.
pub(crate) fn bounded(number: i64) -> Checked<i64> {
    match number.abs_diff(0) <= LARGEST.abs_diff(0) {
        true => Ok(number),
        false => Err(Fault::Unsupported(format!("{number} is too large"))),
    }
}

/// How many of something: not negative, and not more than `most`.
pub(crate) fn count(number: i64, most: usize) -> Checked<usize> {
    let found = usize::try_from(number).ok().filter(|it| *it <= most);
    let why = || format!("{number} is not a number from 0 to {most}");
    found.ok_or_else(|| Fault::Unsupported(why()))
}

/// A number in the width that the engine wants.
pub(crate) fn narrow<T: TryFrom<i64>>(number: i64) -> Checked<T> {
    let why = || Fault::Unsupported(format!("{number} is too large or too small"));
    T::try_from(number).map_err(|_| why())
}

/// The element of a list at this place.
pub(crate) fn nth<T: Copy>(all: &[T], at: usize) -> Checked<T> {
    let why = || Fault::Unsupported(format!("there are {} numbers where more belong", all.len()));
    all.get(at).copied().ok_or_else(why)
}

/// A 32-bit integer.
pub(crate) fn int32(value: &Value) -> Checked<i32> {
    i32::try_from(int(value)?).map_err(|_| not("a 32-bit integer", value))
}

/// An array of 32-bit integers.
pub(crate) fn ints(value: &Value) -> Checked<Vec<i32>> {
    list(value)?.iter().map(int32).collect()
}

/// A text.
pub(crate) fn text(value: &Value) -> Checked<&str> {
    value.as_str().ok_or_else(|| not("a text", value))
}

/// An array of texts.
pub(crate) fn texts(value: &Value) -> Checked<Vec<&str>> {
    list(value)?.iter().map(text).collect()
}

/// All integers in a text, in order; a minus counts only at the start of a word, so that "16-20"
/// is 16 and 20.
pub(crate) fn numbers(text: &str) -> Vec<i64> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut previous = ' ';
    for c in text.chars().chain([' ']) {
        let minus = c == '-' && !previous.is_ascii_alphanumeric();
        if c.is_ascii_digit() && (!word.is_empty() || !previous.is_ascii_alphabetic()) || minus {
            word.push(c);
        } else if !word.is_empty() {
            found.extend(word.parse::<i64>().ok());
            word.clear();
        }
        previous = c;
    }
    found
}

/// The first integer in a text.
pub(crate) fn number(text: &str) -> Checked<i64> {
    let first = numbers(text).first().copied();
    first.ok_or_else(|| Fault::Unsupported(format!("a number is expected in {text:?}")))
}

/// The members of an object, by name; nothing at all has none.
pub(crate) fn members(value: &Value) -> Checked<Vec<(&str, &Value)>> {
    match value {
        Value::Object(map) => Ok(map
            .iter()
            .map(|(key, value)| (key.as_str(), value))
            .collect()),
        Value::Null => Ok(Vec::new()),
        other => Err(not("an object", other)),
    }
}

/// All integers in a text that the engine may add to others.
pub(crate) fn offsets(text: &str) -> Checked<Vec<i64>> {
    numbers(text).into_iter().map(bounded).collect()
}

/// All 32-bit integers in a text.
pub(crate) fn ids(text: &str) -> Checked<Vec<i32>> {
    numbers(text).into_iter().map(narrow).collect()
}

/// The first integer in the text after `word`, if the word is there.
pub(crate) fn number_after(text: &str, word: &str) -> Checked<Option<i64>> {
    let Some((_, rest)) = text.split_once(word) else {
        return Ok(None);
    };
    bounded(number(rest)?).map(Some)
}
