//! A short seed sweep with faults on every run of the tests; `strandline sweep` does long ones.
//!
//! The correct configuration breaks no invariant, the sweep reaches the states that make it worth
//! something, and a bug of history that is switched on is found.

mod support;

use support::{assert_good, changed, members_too, reached, sweep};

const STORY: &str = include_str!("../../scenarios/sweep.toml");
const GROUPS: &str = include_str!("../../scenarios/sweep-groups.toml");
const TRANSACTIONS: &str = include_str!("../../scenarios/sweep-transactions.toml");
const GROUPS_KIP848: &str = include_str!("../../scenarios/sweep-groups-kip848.toml");
const SHARE: &str = include_str!("../../scenarios/sweep-share.toml");
const KIP848: &str = include_str!("../../scenarios/sweep-transactions-kip848.toml");

#[test]
fn the_correct_configuration_holds_and_the_sweep_reaches_what_matters() {
    let rules = [
        "leader-elected",
        "broker-fenced",
        "truncate",
        "isr-expand",
        "isr-changed",
        "quorum-leader",
    ];
    assert_good(&sweep(STORY, 0..60, |it| it), &rules);
}

#[test]
fn the_bug_of_before_kip_101_is_found() {
    let before = [(
        "[kafka.rules]",
        "[kafka.rules]\ntruncation = \"high-watermark\"",
    )];
    let broken = changed("before KIP-101", STORY, &before);
    let found = sweep(&broken, 0..60, |it| it)
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
    let reports = sweep(&changed("compaction", STORY, &changes), 0..12, |it| it);
    assert_good(&reports, &[]);
    assert!(reports.iter().all(|report| report.ledger.lost == 0));
    let passes: u64 = reports.iter().map(|it| reached(it, "log-compacted")).sum();
    assert!(passes > 12, "{passes} passes of the cleaner");
}

/// Safety, and then the liveness phase: the expectations of the file, which stand at its end.
#[test]
fn groups_keep_their_promises_whatever_fails_and_come_together_again() {
    let mut reports = sweep(GROUPS, 4..8, |it| it);
    // In seed 1065 a leader fetched a compacted log and has not compacted it itself; in seed 3812 a
    // controller that was deposed while it stood still goes on.
    let seeds = (112..117).chain([1065, 3812]);
    reports.extend(sweep(GROUPS, seeds, members_too));
    let rules = [
        "group-loaded",
        "member-expired",
        "partition-lost",
        "partition-revoked",
        "commit-failed",
        "log-compacted",
        "leader-elected",
    ];
    assert_good(&reports, &rules);
}

/// The same with the consumer protocol.
#[test]
fn groups_of_the_consumer_protocol_keep_the_same_promises() {
    // In seeds 7 and 116 the static member crashes and is back before its session is over; in 7437
    // a member takes over what has gone to another since; in 7587 a coordinator reads two commits
    // that the one before it had told of.
    let rules = [
        "partition-kept",
        "partition-lost",
        "member-fenced",
        "member-fatal",
        "member-session-expired",
        "group-loaded",
        "log-compacted",
        "leader-elected",
    ];
    assert_good(
        &sweep(GROUPS_KIP848, [1, 7, 116, 7437, 7587], members_too),
        &rules,
    );
}

/// Exactly once, whatever fails; and no transaction is open once everything is healed.
#[test]
fn transactions_keep_their_promises_whatever_fails_and_all_come_to_an_end() {
    // In seed 2 outputs of an aborted transaction were still with the application; in 12 a member
    // that was put out of its group while it worked sends its offsets; in 21 a batch is out of
    // order because the one before it had to wait; in 1191 a deposed leader writes a marker, too.
    let rules = [
        "txn-timed-out",
        "txn-fenced",
        "txn-verify-failed",
        "offset-commit-refused",
        "partition-lost",
        "group-loaded",
        "leader-elected",
    ];
    let reports = sweep(TRANSACTIONS, [2, 7, 12, 21, 1191], members_too);
    assert_good(&reports, &rules);
}

/// The same with the consumer protocol, if the offsets go with the epoch in which their records
/// were read; with that of the commit a member that was fenced, and is back, writes twice.
#[test]
fn transactions_of_the_consumer_protocol_are_as_good_as_the_epoch_they_name() {
    let rules = [
        "member-fenced",
        "member-session-expired",
        "offset-commit-refused",
        "revocation-asked",
        "partition-lost",
        "poll-interval-exceeded",
        "txn-timed-out",
        "group-loaded",
        "leader-elected",
    ];
    // In seed 712 a coordinator cannot write that members are out: one that reads its log knows them.
    let seeds = [1, 6, 23, 41, 712];
    assert_good(&sweep(KIP848, seeds, members_too), &rules);

    let late = [(
        "\"application.group.metadata\" = \"poll\"",
        "\"application.group.metadata\" = \"commit\"",
    )];
    let late = changed("at commit", KIP848, &late);
    let reports = sweep(&late, [23, 41], members_too);
    let broken = reports.iter().map(|it| {
        let mut own = it.violations.iter();
        own.any(|it| it.starts_with("ExactlyOnce"))
    });
    assert_eq!(broken.collect::<Vec<_>>(), [true, true]);
}

/// Every record is somebody's in the end, what is done stays done, and the group is whole again.
#[test]
fn share_groups_leave_nothing_undone_whatever_fails() {
    let rules = [
        "member-fenced",
        "lock-expired",
        "acknowledge-refused",
        "share-state-read",
        "share-state-pruned",
        "leader-elected",
    ];
    assert_good(&sweep(SHARE, [1, 4], members_too), &rules);
}

/// An application that can process little of what it gets: many records come again, most are given
/// up, and still none is two members' at a time, comes too often or after it was done.
#[test]
fn share_groups_give_up_in_time_whatever_fails() {
    let changes = [
        (
            "\"application.release.every\" = 50",
            "\"application.release.every\" = 2, \"application.reject.every\" = 5",
        ),
        ("count.limit\" = 10", "count.limit\" = 3"),
        (
            "that = \"ledger.delivered == ledger.acknowledged\"",
            "that = \"ledger.processed < ledger.acknowledged\"",
        ),
    ];
    let rules = [
        "records-acknowledged",
        "records-taken-back",
        "records-archived",
        "share-state-written",
        "share-state-read",
        "leader-elected",
    ];
    let reports = sweep(&changed("poison", SHARE, &changes), [2, 3], members_too);
    assert_good(&reports, &rules);
}
