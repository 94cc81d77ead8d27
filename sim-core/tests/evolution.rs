//! Jobs that begin from a savepoint which another program wrote.

mod support;

use support::{changed, expecting, holds};

/// A sum of 3 in a savepoint at 10 s, and a program at 20 s whose state is of another schema.
fn upgraded(name: &str, (settings, old, new): (&str, &str, &str), expect: &[&str]) {
    let text = format!(
        r#"strandline = 1
title = "An upgrade"
duration = "40s"

[stream]
task-managers = 2

[stream.config]
"execution.checkpointing.interval" = "5 s"
"restart-strategy.type" = "fixed-delay"
"restart-strategy.fixed-delay.attempts" = 1
{settings}

[[stream.source]]
name = "orders"
bounded = false
records = [{{ at = "2s", key = "a", value = 3 }}, {{ at = "25s", key = "a", value = 4 }}]

[[stream.process]]
name = "turnover"
input = "orders"
function = "sum"
parallelism = 2
state = "{old}"

[[stream.sink]]
name = "book"
input = "turnover"
guarantee = "exactly-once"

[[timeline]]
at = "10s"
do = "stop-with-savepoint"
savepoint = "before"

[[timeline]]
at = "20s"
do = "run-job"
savepoint = "before"
state-of = "turnover"
state = "{new}"
"#
    );
    holds(name, &(text + &expecting(expect)));
}

const ROCKSDB: &str = "\"state.backend.type\" = \"rocksdb\"";
const POJO: &str = "pojo Turnover { sum: long }";

#[test]
fn a_field_that_comes_or_goes_changes_no_sum() {
    let expect = ["book-store.last-value == 7", "job.restarts == 0"];
    for settings in ["", ROCKSDB] {
        let more = "pojo Turnover { sum: long, orders: int }";
        upgraded("a field comes", (settings, POJO, more), &expect);
        upgraded("a field goes", (settings, more, POJO), &expect);
    }
    let avro = "avro Turnover { sum: int }";
    let promoted = "avro Turnover { sum: long, orders: int = 0 }";
    upgraded("promoted", ("", avro, promoted), &expect);
}

/// To Flink a field of another name is one that goes and one that comes.
#[test]
fn a_field_of_another_name_begins_anew() {
    let expect = ["book-store.last-value == 4", "job.restarts == 0"];
    let renamed = "pojo Turnover { total: long }";
    upgraded("renamed", ("", POJO, renamed), &expect);
    let avro = "avro Turnover { total: long = 100 }";
    let old = "avro Turnover { sum: long }";
    let expect = ["book-store.last-value == 104", "job.restarts == 0"];
    upgraded("renamed in avro", ("", old, avro), &expect);
}

#[test]
fn what_cannot_be_taken_over_fails_each_attempt() {
    let fails = |old: &str, new: &str, why: &str| {
        let why = format!("job.status == FAILED and job.failure == {why}");
        let expect = [why.as_str(), "job.restarts == 1 and book-store.rows == 1"];
        for settings in ["", ROCKSDB] {
            upgraded(new, (settings, old, new), &expect);
        }
    };
    fails(POJO, "pojo Turnover { sum: int }", "STATE_MIGRATION");
    fails(POJO, "pojo Total { sum: long }", "STATE_MIGRATION");
    let keyed = "pojo Customer { id: long } -> long";
    let wider = "pojo Customer { id: long, shop: int } -> long";
    fails(keyed, wider, "STATE_MIGRATION");
    let generic = "generic Turnover { sum: long }";
    let more = "generic Turnover { sum: long, orders: int }";
    fails(generic, more, "RESTORE");
}

/// A changed entry lies in the key group of its key, whatever backend wrote it and however many
/// subtasks read it.
#[test]
fn what_was_mended_is_found_by_other_subtasks_and_backends() {
    let story = include_str!("../../scenarios/job-fix-a-counter.toml");
    let config = "[stream.config]\n";
    let rocksdb = format!("{config}{ROCKSDB}\n\"execution.checkpointing.incremental\" = true\n");
    let rescaled = "savepoint = \"right\"\nparallelism = 3";
    let more = "task-managers = 4";
    for changes in [
        vec![(config, rocksdb.as_str())],
        vec![
            ("savepoint = \"right\"", rescaled),
            ("task-managers = 3", more),
        ],
    ] {
        holds("mended", &changed("mended", story, &changes));
    }
}
