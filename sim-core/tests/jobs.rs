//! Jobs under faults: what is delivered is what is delivered when nothing fails.

mod support;

use support::{assert_good, changed, expecting, holds, sweep};

const SWEEP: &str = include_str!("../../scenarios/sweep-job.toml");

const ROCKSDB: &str = include_str!("../../scenarios/sweep-job-rocksdb.toml");
const REGIONS: &str = include_str!("../../scenarios/sweep-job-regions.toml");

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
    "state-compared",
];

/// In seed 5543 a store that is cut off crashes with a commit under way.
#[test]
fn exactly_once_holds_whatever_fails() {
    assert_good(&sweep(SWEEP, (0..10).chain([5543]), |it| it), REACHED);
}

#[test]
fn exactly_once_holds_with_unaligned_checkpoints() {
    let unaligned = [(
        "[stream.config]",
        "[stream.config]\n\"execution.checkpointing.unaligned.enabled\" = true",
    )];
    let text = changed("unaligned", SWEEP, &unaligned);
    assert_good(&sweep(&text, 24..32, |it| it), REACHED);
}

/// Files that checkpoints share, local copies, and key groups that move: what is restored is what was
/// checkpointed, or the sweep says so. In seeds 11 and 45 a barrier comes after the news that its
/// checkpoint was aborted.
#[test]
fn exactly_once_holds_with_shared_files_and_rescaling() {
    assert_good(&sweep(ROCKSDB, (0..8).chain([11, 45]), |it| it), REACHED);
}

#[test]
fn exactly_once_holds_when_regions_restart_by_themselves() {
    let text = REGIONS.to_owned() + &expecting(&["job.regions == 3"]);
    assert_good(&sweep(&text, 0..8, |it| it), REACHED);
}

/// A check that cannot fail is worth nothing: a store that aborts transactions before an outage is
/// over takes rows that nobody sends again, and the sweep finds it.
#[test]
fn a_transaction_timeout_shorter_than_an_outage_is_found() {
    let short = [(
        "guarantee = \"exactly-once\"",
        "guarantee = \"exactly-once\"\ntransaction-timeout = \"7 s\"",
    )];
    let text = changed("short timeout", SWEEP, &short);
    let found = sweep(&text, 0..12, |it| it)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed loses a transaction");
}

/// A write-ahead sink whose job stops with a savepoint while it writes: tasks end when the rows are
/// there and marked, so none is written again by the job that goes on.
#[test]
fn a_write_ahead_sink_repeats_nothing_when_its_job_is_stopped() {
    let story = include_str!("../../scenarios/job-write-ahead-log.toml");
    let from = story.find("[[caption]]").expect("captions");
    for at in ["9900ms", "10s", "10700ms", "16s", "29s"] {
        let stop = [
            (
                "do = \"fail-tasks\"\nnode = \"tm1\"",
                "do = \"rescale\"\nparallelism = 1",
            ),
            ("at = \"16s\"", &format!("at = \"{at}\"")),
            (
                "[stream.config]",
                "[stream.config]\n\"strandline.sink.cost-us\" = 500_000",
            ),
        ];
        let text = changed("stopped", &story[..from], &stop);
        let expect = [
            "logged-store.rows == 5 and logged-store.duplicates == 0",
            "plain-store.duplicates == 0 and job.output-as-expected",
            "job.restarts == 1",
        ];
        holds(at, &(text + &expecting(&expect)));
    }
}

/// A job between two topics: brokers, controllers, TaskManagers and the JobManager fail.
const TOPICS: &str = include_str!("../../scenarios/sweep-job-kafka.toml");

#[test]
fn exactly_once_holds_from_topic_to_topic_whatever_fails() {
    let reached = [
        "restart",
        "restored",
        "pre-commit",
        "commit",
        "leader-elected",
        "txn-completed",
        "checkpoint-completed",
    ];
    assert_good(&sweep(TOPICS, 0..5, |it| it), &reached);
}

/// A check that cannot fail is worth nothing: a coordinator that aborts transactions before an
/// outage is over takes rows that nobody sends again.
#[test]
fn a_kafka_transaction_that_times_out_too_soon_is_found() {
    let short = [(
        "kafka = \"exact\"\nguarantee = \"exactly-once\"\ntransaction-timeout = \"15min\"",
        "kafka = \"exact\"\nguarantee = \"exactly-once\"\ntransaction-timeout = \"7 s\"",
    )];
    let text = changed("short timeout", TOPICS, &short);
    let found = sweep(&text, 0..6, |it| it)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed loses a transaction");
}
