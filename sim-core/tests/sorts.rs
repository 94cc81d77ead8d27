//! Sorts of bounded inputs: what comes out is in order whatever is spilled, and what is spilled depends
//! on memory.

mod support;

use support::{changed, holds, told};

const IN_MEMORY: &str = include_str!("../../scenarios/job-sort-in-memory.toml");
const SPILLS: &str = include_str!("../../scenarios/job-sort-spills.toml");
const PASSES: &str = include_str!("../../scenarios/job-sort-several-passes.toml");

const LISTED: &str = r#"strandline = 1
title = "Some records in order"
duration = "20s"

[stream]

[[stream.source]]
name = "calls"
records = """
at  ts   key  value
1s  30s  bob  2
1s  10s  ann  9
2s  20s  eve  2
2s  5s   ann  -4
3s  25s  bob  7
"""

[[stream.sort]]
name = "sorted"
input = "calls"

[[stream.sink]]
name = "out"
input = "sorted"

[[stream.expect]]
sink = "out"
ordered = true
rows = """
key  value
ann  -4
bob  2
eve  2
bob  7
ann  9
"""
"#;

#[test]
fn the_same_sort_at_three_sizes_of_memory() {
    for (name, text) in [
        ("in memory", IN_MEMORY),
        ("spills", SPILLS),
        ("passes", PASSES),
    ] {
        holds(name, text);
    }
}

#[test]
fn what_comes_out_is_in_order() {
    holds("by value", LISTED);
    let rows = |by: &str, rows: &str| {
        let at = LISTED.rfind("ann  -4").expect("rows");
        let sort = [("input = \"calls\"", &*format!("input = \"calls\"\n{by}"))];
        let text = changed(by, &LISTED[..at], &sort) + rows + "\n\"\"\"\n";
        holds(by, &text);
    };
    rows("descending = true", "ann 9\nbob 7\nbob 2\neve 2\nann -4");
    rows("by = \"time\"", "ann -4\nann 9\neve 2\nbob 7\nbob 2");
    rows("by = \"key\"", "bob 2\nbob 7\nann 9\nann -4\neve 2");
}

/// Twelve pages of the least size hold two records each: most of them go to the disk.
#[test]
fn a_sort_that_spills_says_the_same() {
    let config = "[stream]\n[stream.config]\n\"taskmanager.memory.segment-size\" = 256\n\
                  \"execution.sort-partition.memory\" = \"3 kb\"\n\"strandline.record-bytes\" = 1_000\n";
    let expect = ["sorted.spilled-runs == 3 and sorted.merge-passes == 1"];
    told("spilled", LISTED, &[("[stream]\n", config)], &expect);
}

/// Each subtask has its own share, and sorts its own part.
#[test]
fn slots_share_managed_memory() {
    let change = [
        ("\"384 kb\"", "\"768 kb\""),
        ("[stream]\n", "[stream]\nslots = 2\n"),
        (
            "by = \"time\"",
            "by = \"time\"\nparallelism = 2\npartition = \"rebalance\"",
        ),
    ];
    let end = PASSES.find("[[caption]]").expect("captions");
    let expect = [
        "by-time.subtask-0.spilled-runs == 313 and by-time.subtask-1.spilled-runs == 313",
        "out-store.visible == 20_000 and job.status == FINISHED",
    ];
    told("two", &PASSES[..end], &change, &expect);
}

/// It has no state in checkpoints: after a failure all is read again.
#[test]
fn a_sort_that_fails_begins_anew() {
    let fail = "\n[[timeline]]\nat = \"2500ms\"\ndo = \"fail-tasks\"\nnode = \"tm1\"\n";
    let restart = (
        "[stream.config]",
        "[stream.config]\n\"restart-strategy.type\" = \"fixed-delay\"",
    );
    let end = SPILLS.find("[[caption]]").expect("captions");
    let text = SPILLS[..end].to_owned() + fail;
    let expect = [
        "job.restarts == 1 and job.status == FINISHED and out-store.visible == 20_000",
        "by-time.spilled-runs == 6",
    ];
    told("anew", &text, &[restart], &expect);
}
