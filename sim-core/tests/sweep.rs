//! A short seed sweep with faults on every run of the tests; `strandline sweep` does long ones.
//!
//! The correct configuration breaks no invariant, the sweep reaches the states that make it worth
//! something, and a bug of history that is switched on is found.

use sim_core::check::{FaultProfile, RunPlan, RunReport};
use sim_core::scenario;
use std::collections::BTreeMap;
use std::sync::Arc;

const STORY: &str = include_str!("../../scenarios/sweep.toml");
const GROUPS: &str = include_str!("../../scenarios/sweep-groups.toml");
const TRANSACTIONS: &str = include_str!("../../scenarios/sweep-transactions.toml");

fn sweep(text: &str, seeds: std::ops::Range<u64>) -> Vec<RunReport> {
    sweep_with(text, seeds, |profile| profile)
}

fn sweep_with(
    text: &str,
    seeds: std::ops::Range<u64>,
    change: fn(FaultProfile) -> FaultProfile,
) -> Vec<RunReport> {
    let scenario = Arc::new(
        scenario::parse(text)
            .into_result()
            .unwrap_or_else(|problems| {
                panic!("{}", scenario::render(&problems, "sweep.toml", text))
            }),
    );
    let profile = change(FaultProfile::of(&scenario));
    seeds
        .map(|seed| {
            RunPlan::of(Arc::clone(&scenario), seed)
                .with_faults(&profile)
                .run(|_, _| true)
        })
        .collect()
}

#[test]
fn the_correct_configuration_holds_and_the_sweep_reaches_what_matters() {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    for report in sweep(STORY, 0..60) {
        assert!(
            report.good(),
            "seed {}: {:?} {:?}",
            report.seed,
            report.violations,
            report.verdicts
        );
        for (rule, times) in report.reached {
            *reached.entry(rule).or_default() += times;
        }
    }
    for rule in [
        "leader-elected",
        "broker-fenced",
        "truncate",
        "isr-expand",
        "isr-changed",
        "quorum-leader",
    ] {
        assert!(
            reached.contains_key(rule),
            "no seed reached `{rule}`: {reached:?}"
        );
    }
}

#[test]
fn the_bug_of_before_kip_101_is_found() {
    let broken = STORY.replace(
        "[kafka.rules]",
        "[kafka.rules]\ntruncation = \"high-watermark\"",
    );
    assert_ne!(broken, STORY, "the story has a table of rules to change");
    let found = sweep(&broken, 0..60)
        .into_iter()
        .find(|report| !report.violations.is_empty());
    assert!(found.is_some(), "no seed finds the bug");
}

#[test]
fn compaction_keeps_the_last_value_of_each_key_whatever_fails() {
    let changes = [
        (
            "[kafka.config]",
            "[kafka.config]
\"log.cleaner.backoff.ms\" = 1000",
        ),
        (
            "config = { \"min.insync.replicas\" = 2 }",
            "config = { \"min.insync.replicas\" = 2, \"cleanup.policy\" = \"compact\", \
             \"segment.bytes\" = 2000 }",
        ),
        ("count = 5 }", "count = 5, tombstones = 0.2 }"),
    ];
    let mut text = STORY.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the story has {from}");
        text = text.replace(from, to);
    }
    let mut passes = 0;
    for report in sweep(&text, 0..12) {
        assert!(
            report.good() && report.ledger.lost == 0,
            "seed {}: {:?} {:?} {:?}",
            report.seed,
            report.violations,
            report.verdicts,
            report.ledger
        );
        passes += report.reached.get("log-compacted").copied().unwrap_or(0);
    }
    assert!(passes > 12, "{passes} passes of the cleaner");
}

/// Safety, and then the liveness phase: the expectations of the file, which stand at its end.
#[test]
fn groups_keep_their_promises_whatever_fails_and_come_together_again() {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let servers = sweep(GROUPS, 4..8);
    let with_members = |seeds| {
        sweep_with(GROUPS, seeds, |profile| FaultProfile {
            count: 8,
            members: true,
            ..profile
        })
    };
    // In seed 1065 a leader fetched a compacted log and has not compacted it itself; in seed 3812 a
    // controller that was deposed while it stood still goes on.
    let found = [1065, 3812].map(|seed| with_members(seed..seed + 1));
    let found = found.into_iter().flatten();
    let members = with_members(112..117).into_iter().chain(found);
    for report in servers.into_iter().chain(members) {
        assert!(
            report.good(),
            "seed {}: {:?} {:?} {:?}",
            report.seed,
            report.ended,
            report.violations,
            report.verdicts
        );
        for (rule, times) in report.reached {
            *reached.entry(rule).or_default() += times;
        }
    }
    for rule in [
        "group-loaded",
        "member-expired",
        "partition-lost",
        "partition-revoked",
        "commit-failed",
        "log-compacted",
        "leader-elected",
    ] {
        assert!(
            reached.contains_key(rule),
            "no seed reached `{rule}`: {reached:?}"
        );
    }
}

/// Exactly once, whatever fails; and no transaction is open once everything is healed.
#[test]
fn transactions_keep_their_promises_whatever_fails_and_all_come_to_an_end() {
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    // In seed 2 outputs of an aborted transaction were still with the application; in 12 a member
    // that was put out of its group while it worked sends its offsets; in 21 a batch is out of
    // order because the one before it had to wait; in 1191 a deposed leader writes a marker, too.
    for seed in [2, 7, 12, 21, 1191] {
        let reports = sweep_with(TRANSACTIONS, seed..seed + 1, |profile| FaultProfile {
            count: 8,
            members: true,
            ..profile
        });
        for report in reports {
            assert!(
                report.good(),
                "seed {seed}: {:?} {:?} {:?}",
                report.ended,
                report.violations,
                report.verdicts
            );
            for (rule, times) in report.reached {
                *reached.entry(rule).or_default() += times;
            }
        }
    }
    for rule in [
        "txn-timed-out",
        "txn-fenced",
        "txn-verify-failed",
        "offset-commit-refused",
        "partition-lost",
        "group-loaded",
        "leader-elected",
    ] {
        assert!(
            reached.contains_key(rule),
            "no seed reached `{rule}`: {reached:?}"
        );
    }
}
