//! How a job may end, and what can begin from what is left of it: drained for good, or with
//! checkpoints that outlive it.

mod support;

use sim_core::view::VerdictState;
use support::{assert_good, changed, expecting, run, sweep, told as holds};

const DRAIN: &str = include_str!("../../scenarios/job-drain.toml");
const RETAINED: &str = include_str!("../../scenarios/job-retained-checkpoint.toml");
const SWEEP: &str = include_str!("../../scenarios/sweep-job.toml");

const KEPT: &str = "RETAIN_ON_CANCELLATION";
const ROCKSDB: &str =
    "\"state.backend.type\" = \"rocksdb\"\n\"execution.checkpointing.incremental\" = true\n";
const UNALIGNED: &str = "\"execution.checkpointing.unaligned.enabled\" = true\n";

/// A story with other settings, and without what it expects itself.
fn told(name: &str, story: &str, set: &[(&str, &str)], expect: &[&str]) {
    let text = &story[..story.find("[[caption]]").expect("captions")];
    holds(name, text, set, expect);
}

/// Whatever the job's settings: all that is open speaks before the savepoint, and the job that begins
/// from it ends at once, also where subtasks begin that were not there before.
#[test]
fn a_drained_job_has_said_everything_and_reads_nothing_more() {
    let wider = (
        "note = \"flink run -s\"",
        "operator = \"count\"\nparallelism = 1",
    );
    let source = (
        "note = \"flink run -s\"",
        "operator = \"orders\"\nparallelism = 2",
    );
    let slow = ("name = \"orders\"\n", "name = \"orders\"\ncost = \"3s\"\n");
    let config = |more: &str| format!("[stream.config]\n{more}");
    for (name, change) in [
        ("as it is", wider),
        ("rocksdb", ("[stream.config]\n", config(ROCKSDB).as_str())),
        (
            "unaligned",
            ("[stream.config]\n", config(UNALIGNED).as_str()),
        ),
        ("another source", source),
        ("in hand", slow),
    ] {
        let one = [
            ("parallelism = 2\nwindow", "parallelism = 1\nwindow"),
            change,
        ];
        let set = if name == "another source" {
            &one[1..]
        } else {
            &one
        };
        let ended = "job.status == FINISHED and book-store.open-transactions == 0";
        let rows = "book-store.committed == 4 and job.output-as-expected";
        let early = format!("{ended} and {rows} @ 34s");
        told(
            name,
            DRAIN,
            set,
            &[early.as_str(), ended, rows, "job.restarts == 0"],
        );
    }
}

/// What is kept of a job that is canceled, or fails.
#[test]
fn checkpoints_outlive_a_job_as_they_are_told_to() {
    let fails = (
        "do = \"cancel-job\"\n",
        "do = \"fail-tasks\"\nnode = [\"tm1\", \"tm2\"]\n",
    );
    let strategy = (
        "[stream.config]\n",
        "[stream.config]\n\"restart-strategy.type\" = \"none\"\n",
    );
    let deletes = (KEPT, "DELETE_ON_CANCELLATION");
    let never = (KEPT, "NO_EXTERNALIZED_CHECKPOINTS");
    let unnamed = ("retained = true", "savepoint = \"chk-2\"");
    for (name, set, status, refused) in [
        ("canceled", &[][..], "RUNNING", 0),
        ("by its name", &[unnamed], "RUNNING", 0),
        ("failed", &[fails, strategy], "RUNNING", 0),
        ("failed, deletes", &[fails, strategy, deletes], "RUNNING", 0),
        ("canceled, deletes", &[deletes], "CANCELED", 1),
        ("by its name, deletes", &[deletes, unnamed], "CANCELED", 1),
        ("canceled, never", &[never, unnamed], "CANCELED", 1),
        (
            "failed, never",
            &[never, unnamed, fails, strategy],
            "FAILED",
            1,
        ),
    ] {
        let expect = format!("job.status == {status}");
        let text = &RETAINED[..RETAINED.find("[[stream.expect]]").expect("rows")];
        let timeline = &RETAINED[RETAINED.find("[[timeline]]").expect("orders")..];
        let timeline = &timeline[..timeline.find("[[caption]]").expect("captions")];
        let text = changed(name, &format!("{text}{timeline}"), set) + &expecting(&[&expect]);
        let report = run(name, &text);
        let held = report
            .verdicts
            .iter()
            .all(|it| it.state == VerdictState::Held);
        assert!(held && report.violations.is_empty(), "{name}: {report:?}");
        assert_eq!(
            report.refused.len(),
            refused,
            "{name}: {:?}",
            report.refused
        );
    }
}

/// The files of a checkpoint that is the user's are nobody else's: the first checkpoint of the job that
/// begins from it writes all, and the next ones what is new.
#[test]
fn a_job_shares_no_file_with_the_checkpoint_that_it_began_from() {
    let rocksdb = ("[stream.config]\n", &*format!("[stream.config]\n{ROCKSDB}"));
    told(
        "rocksdb",
        RETAINED,
        &[rocksdb],
        &[
            "job.last-checkpoint == 3 and job.last-checkpoint-uploaded == job.last-checkpoint-bytes @ 45s",
            "job.last-checkpoint-uploaded < job.last-checkpoint-bytes",
            "job.output-as-expected and book-store.duplicates == 0",
        ],
    );
}

/// Canceled amid faults and run again from the checkpoint that stayed.
#[test]
fn exactly_once_holds_when_a_job_goes_on_from_a_retained_checkpoint() {
    let keeps = format!(
        "[stream.config]\n\"execution.checkpointing.externalized-checkpoint-retention\" = \"{KEPT}\"\n"
    );
    let text = changed("keeps", SWEEP, &[("[stream.config]\n", keeps.as_str())]);
    for at in ["20s", "31s", "47s"] {
        let text = format!(
            "{text}[[timeline]]\nat = \"{at}\"\ndo = \"cancel-job\"\n\
             [[timeline]]\nwhen = \"job.status == CANCELED\"\n\
             do = \"run-job\"\nretained = true\nparallelism = 1\n"
        );
        assert_good(
            &sweep(&text, 0..4, |it| it),
            &["restored", "checkpoint-completed", "state-compared"],
        );
    }
}
