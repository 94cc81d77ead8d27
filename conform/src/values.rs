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
