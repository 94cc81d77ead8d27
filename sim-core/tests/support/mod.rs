//! Reading the conformance cases, and running them so that every failure is named.
//!
//! The cases are restated from Apache Kafka's own tests; each names its source. They are data: the
//! files that use this module interpret them and drive the engine's rules.
// Each test binary uses a part of this module.
#![allow(dead_code, unreachable_pub)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

/// One case of a conformance file.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its id, unique in the file.
    pub id: String,
    /// The file of the test it restates.
    pub path: String,
    /// The test it restates.
    pub test: String,
    /// What is given.
    pub input: Value,
    /// What must come out.
    pub expect: Value,
}

/// Runs every case of `tests/conformance/kafka/<file>`.
macro_rules! run {
    ($file:literal, $check:expr) => {
        crate::support::run_cases(
            $file,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/conformance/kafka/",
                $file
            )),
            $check,
        )
    };
}
pub(crate) use run;

/// All cases of a file's text.
fn cases(file: &str, text: &str) -> Vec<Case> {
    let json: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
    let string = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let case = |value: &Value| Case {
        id: string(&value["id"]),
        path: string(&value["source"]["path"]),
        test: string(&value["source"]["test"]),
        input: value["input"].clone(),
        expect: value["expect"].clone(),
    };
    list(&json["cases"]).iter().map(case).collect()
}

/// Runs every case of a file and reports all that fail, by id.
pub fn run_cases(file: &str, text: &str, check: impl Fn(&Case)) {
    let cases = cases(file, text);
    assert!(!cases.is_empty(), "{file} holds no case");
    let fails = |case: &Case| catch_unwind(AssertUnwindSafe(|| check(case))).is_err();
    let failed: Vec<String> = cases
        .iter()
        .filter(|case| fails(case))
        .map(|case| case.id.clone())
        .collect();
    println!(
        "{file}: {} of {} cases pass",
        cases.len() - failed.len(),
        cases.len()
    );
    assert!(failed.is_empty(), "{file}: failed cases {failed:?}");
}

/// An array.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// An integer.
pub fn int(value: &Value) -> i64 {
    value
        .as_i64()
        .unwrap_or_else(|| panic!("an integer is expected, not {value}"))
}

/// A 32-bit integer.
pub fn int32(value: &Value) -> i32 {
    i32::try_from(int(value)).unwrap_or_else(|_| panic!("{value} does not fit 32 bits"))
}

/// An array of 32-bit integers.
pub fn ints(value: &Value) -> Vec<i32> {
    list(value).iter().map(int32).collect()
}

/// A text.
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a text is expected, not {value}"))
}

/// All integers in a text, in order; a minus counts only at the start of a word, so that "16-20"
/// is 16 and 20.
pub fn numbers(text: &str) -> Vec<i64> {
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

/// The object's keys, for cases of one shape with optional parts.
pub fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default()
}
