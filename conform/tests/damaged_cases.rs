//! Files of cases are foreign input: whatever stands in a case, no reader panics, none runs away,
//! and an answer comes for every case.

use conform::run;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// All cases that are published here, each with the name of its family.
fn cases() -> &'static [(String, Value)] {
    static CASES: OnceLock<Vec<(String, Value)>> = OnceLock::new();
    CASES.get_or_init(read)
}

fn read() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut all = Vec::new();
    for system in fs::read_dir(folder).expect("cases/").flatten() {
        for file in fs::read_dir(system.path()).expect("a folder").flatten() {
            let text = fs::read_to_string(file.path()).expect("a readable file");
            let json: Value = serde_json::from_str(&text).expect("JSON");
            let family = file.file_name().to_string_lossy().into_owned();
            let list = json["cases"].as_array().expect("cases").clone();
            all.extend(list.into_iter().map(|case| (family.clone(), case)));
        }
    }
    all
}

/// What a value is replaced by.
fn strange(which: u8, value: &Value) -> Value {
    let number = [
        0,
        -1,
        1,
        i64::MAX,
        i64::MIN,
        i64::from(i32::MAX),
        1 << 40,
        1_000_000_000,
    ];
    match which % 24 {
        at @ 0..8 => json!(number[usize::from(at)]),
        at @ 8..16 => json!(number[usize::from(at) - 8].to_string()),
        16 => Value::Null,
        17 => json!([]),
        18 => json!({}),
        19 => json!([value, value, value]),
        20 => json!(1.5),
        21 => json!(true),
        22 => json!(""),
        _ => json!("é, no word of any case"),
    }
}

/// Replaces a number within a text, or cuts the text.
fn strange_text(which: u8, text: &str) -> Value {
    let number = [
        "0",
        "-1",
        "9223372036854775807",
        "1000000000",
        "",
        "x",
        "-",
        "é",
    ];
    let with = number[usize::from(which) % number.len()];
    let digit = |c: char| c.is_ascii_digit();
    let spot = text.match_indices(digit).nth(usize::from(which >> 4) % 4);
    match spot {
        Some((at, _)) if which.is_multiple_of(2) => {
            let rest = text[at..].trim_start_matches(digit);
            json!(format!("{}{with}{rest}", &text[..at]))
        }
        Some((at, _)) => json!(text[..at]),
        None => json!(text.chars().rev().collect::<String>()),
    }
}

/// Damages one place of a value, found by walking down.
fn damage(value: &mut Value, path: &mut impl Iterator<Item = u8>) {
    let (Some(way), Some(which)) = (path.next(), path.next()) else {
        return;
    };
    match value {
        Value::Array(all) if !all.is_empty() && !way.is_multiple_of(8) => {
            let at = usize::from(which) % all.len();
            match way % 16 {
                1 => drop(all.remove(at)),
                2 => all.push(all[at].clone()),
                _ => damage(&mut all[at], path),
            }
        }
        Value::Object(map) if !map.is_empty() && !way.is_multiple_of(8) => {
            let at = usize::from(which) % map.len();
            let key = map.keys().nth(at).expect("there are so many").clone();
            match way % 16 {
                1 => drop(map.remove(&key)),
                _ => damage(&mut map[&key], path),
            }
        }
        Value::String(text) if way.is_multiple_of(2) => *value = strange_text(which, text),
        other => *other = strange(which, other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn no_reader_panics(which in any::<u16>(), marks in prop::collection::vec(any::<u8>(), 1..48)) {
        let cases = cases();
        let (family, case) = &cases[usize::from(which) % cases.len()];
        let mut case = case.clone();
        let mut path = marks.into_iter().peekable();
        while let Some(mark) = path.next() {
            let part = ["input", "input", "input", "expect", "config"][usize::from(mark) % 5];
            damage(&mut case[part], &mut path);
        }
        let text = json!({ "cases": [case] }).to_string();
        let report = run(family, &text).expect("a list of cases");
        prop_assert_eq!(report.cases.len(), 1);
    }
}

#[test]
fn a_topic_of_a_thousand_million_partitions_is_unsupported() {
    let check = |family: &str, input: Value| {
        let text = json!({"cases": [{"id": "a", "input": input, "expect": {"x": 1}}]}).to_string();
        let counts = run(family, &text).expect("a list of cases").counts();
        assert_eq!(counts, (0, 0, 1), "{family}");
    };
    let many = 1_000_000_000;
    check(
        "partitioner",
        json!({"sticky_batch_size": 1, "partitions_available": many, "appends": 1}),
    );
    check(
        "partitioner",
        json!({"sticky_batch_size": 1, "partitions_available": 1, "appends": many}),
    );
    check("log-hw-lso-retention", json!({"records": many}));
    check("log-hw-lso-retention", json!({"segments": many}));
    check("producer-state", json!({"appends": [[0, 0, many]]}));
    check(
        "producer-state",
        json!({"steps": ["seq 0..1000000000, one record each"]}),
    );
    let run = json!([[0, 0, many]]);
    let fetch = json!({"fetch_offset": 0});
    check(
        "partition-isr-hw",
        json!({"leader_log_epochs": run, "leader_epoch": 1, "fetch": fetch}),
    );
}
