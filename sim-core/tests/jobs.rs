//! Jobs under faults: what is delivered is what is delivered when nothing fails.

mod support;

use support::{assert_good, changed, sweep};

const SWEEP: &str = include_str!("../../scenarios/sweep-job.toml");

/// What every sweep of a job has to reach to be worth something.
const REACHED: &[&str] = &[
    "restart",
    "restored",
    "pre-commit",
    "commit",
    "abort",
    "checkpoint-completed",
    "checkpoint-failed",
    "window-fired",
];

#[test]
fn exactly_once_holds_whatever_fails() {
    assert_good(&sweep(SWEEP, 0..24, |it| it), REACHED);
}

#[test]
fn exactly_once_holds_with_unaligned_checkpoints() {
    let unaligned = [(
        "[stream.config]",
        "[stream.config]\n\"execution.checkpointing.unaligned.enabled\" = true",
    )];
    let text = changed("unaligned", SWEEP, &unaligned);
    assert_good(&sweep(&text, 24..36, |it| it), REACHED);
}

/// A check that cannot fail is worth nothing: rows that are appended at once, and so repeated after
/// a restart, are found where exactly-once is promised of them.
#[test]
fn counting_twice_is_found() {
    let tracker = [
        (
            "[stream.config]",
            "[stream.config]\n\"execution.checkpointing.mode\" = \"AT_LEAST_ONCE\"",
        ),
        ("rate = 40", "rate = 400"),
        ("limit = 3000", "limit = 20000"),
    ];
    let text = changed("at least once", SWEEP, &tracker);
    let found = sweep(&text, 0..40, |it| it)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed counts twice");
}
