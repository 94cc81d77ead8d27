//! Whole `[stream]` sections: each shape of story reads into the job it means, and each mistake is
//! found at its place.

use crate::scenario::{Diagnostic, Raw, Reader, render};
use crate::stream::spec::*;

/// Reads a text that has a `[stream]` section.
fn read(text: &str) -> (super::read::Job, Vec<Diagnostic>) {
    let mut reader = Reader::new(text);
    let root = reader.parse();
    let Raw::Table(fields) = &root.value else {
        panic!("a document is a table");
    };
    let (_, raw) = fields
        .iter()
        .find(|(key, _)| key.value == "stream")
        .expect("a section");
    let job = super::read(raw, &mut reader);
    (job, reader.into_problems())
}

fn good(text: &str) -> JobSpec {
    let ((spec, _), problems) = read(text);
    assert!(problems.is_empty(), "{}", render(&problems, "test", text));
    spec
}

const BASE: &str = r#"
[stream]
task-managers = 2
slots = 2
config = { "execution.checkpointing.interval" = "10 s" }

[[stream.source]]
name = "clicks"
watermark = { kind = "bounded", bound = "2s" }
records = [
    { at = "1s", ts = "0.5s", key = "a", value = 1 },
    { ts = "3s", key = "b" },
]

[[stream.window]]
name = "count"
input = "clicks"
window = { kind = "tumbling", size = "10s" }
aggregate = "count"

[[stream.sink]]
name = "out"
input = "count"
guarantee = "exactly-once"

[[stream.expect]]
sink = "out"
rows = [
    { key = "a", value = 1, window = ["0s", "10s"] },
    { key = "b", value = 1, window = "0s..10s" },
]
"#;

#[test]
fn a_small_job_is_read() {
    let spec = good(BASE);
    assert_eq!(spec.operators.len(), 3);
}
