//! Kafka's errors, which cases name by the protocol's name or by the exception's.

use serde_json::{Value, json};
use sim_core::kafka::error::ErrorCode;

/// Letters only, without what an exception's name adds or leaves out.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let name = letters.collect::<String>().to_ascii_uppercase();
    let name = name.strip_suffix("EXCEPTION").unwrap_or(&name);
    name.strip_suffix("NUMBER").unwrap_or(name).to_owned()
}

/// The error in the words of the expectation, if it is the one meant there, else by its own name.
pub(crate) fn named(error: ErrorCode, expected: &Value) -> Value {
    let meant = expected
        .as_str()
        .is_some_and(|it| plain(it) == plain(error.name()));
    match meant {
        true => expected.clone(),
        false => json!(error.name()),
    }
}

/// A result in the words of the expectation: "ok", or the error.
pub(crate) fn result<T>(result: &Result<T, ErrorCode>, expected: &Value) -> Value {
    match result {
        Ok(_) => json!("ok"),
        Err(error) => named(*error, expected),
    }
}

/// The error whose name is in a text; the longest, for some names begin others.
pub(crate) fn in_text(words: &str) -> Option<ErrorCode> {
    let is = |error: &&ErrorCode| {
        **error != ErrorCode::None && words.split(' ').any(|word| word == error.name())
    };
    ErrorCode::ALL.iter().find(is).copied()
}
