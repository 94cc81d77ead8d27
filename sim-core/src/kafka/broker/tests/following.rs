//! The follower: fetching, truncation, errors.

use super::*;
use crate::kafka::note::Rule;
use crate::kafka::rules::truncation::TruncationRule;
use crate::log::EpochEnd;

const LEADER: NodeId = NodeId(1);

/// The partition of the fetch that waits at the leader, with its correlation id.
fn asked(rig: &mut Rig) -> Option<(u32, FetchPartition)> {
    let mut taken = rig.cx.take_requests(LEADER);
    assert!(taken.len() <= 1, "{taken:?}");
    match taken.pop()? {
        (correlation, Request::Fetch { partitions, .. }) => Some((correlation, partitions[0])),
        other => panic!("not a fetch: {other:?}"),
    }
}

fn data(high_watermark: i64, batches: Vec<Batch>) -> FetchedPartition {
    FetchedPartition {
        tp: TP,
        error: ErrorCode::None,
        high_watermark,
        last_stable_offset: high_watermark,
        log_start_offset: 0,
        diverging: None,
        current_leader: None,
        remote: None,
        aborted: Vec::new(),
        batches: batches.into_iter().map(Arc::new).collect(),
    }
}

fn failed(error: ErrorCode) -> FetchedPartition {
    FetchedPartition {
        error,
        ..data(-1, Vec::new())
    }
}

fn answer(rig: &mut Rig, correlation: u32, fetched: FetchedPartition) {
    let partitions = vec![fetched];
    rig.answer(LEADER, correlation, Response::Fetch { partitions });
}

/// Answers the waiting fetch.
fn serve(rig: &mut Rig, fetched: FetchedPartition) -> FetchPartition {
    let (correlation, partition) = asked(rig).expect("a fetch waits");
    answer(rig, correlation, fetched);
    partition
}

#[test]
fn a_follower_copies_and_takes_the_leaders_high_watermark() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    let first = serve(&mut rig, data(0, vec![replicated(0, 2, 4)]));
    assert_eq!((first.fetch_offset, first.current_leader_epoch), (0, 4));
    assert_eq!(first.last_fetched_epoch, -1);
    assert_eq!(rig.offsets(), (2, 0));
    let next = serve(&mut rig, data(7, Vec::new()));
    assert_eq!((next.fetch_offset, next.last_fetched_epoch), (2, 4));
    assert_eq!(rig.offsets(), (2, 2), "never above its own log end");
    assert_eq!(rig.cx.rule(Rule::FollowerHighWatermark), [(0, 2)]);
}

#[test]
fn batches_above_the_requests_epoch_are_not_appended() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    serve(
        &mut rig,
        data(0, vec![replicated(0, 1, 4), replicated(1, 1, 5)]),
    );
    assert_eq!(rig.view().leo, 1);
}

#[test]
fn an_answer_to_an_older_epoch_is_dropped() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    let (correlation, _) = asked(&mut rig).expect("a fetch waits");
    rig.publish(vec![partition(2, 6, 1, &[1, 2])]);
    answer(&mut rig, correlation, data(0, vec![replicated(0, 2, 4)]));
    assert_eq!(rig.view().leo, 0);
    let (_, next) = asked(&mut rig).expect("the fetcher goes on");
    assert_eq!(next.current_leader_epoch, 6);
}

#[test]
fn a_follower_cuts_where_the_logs_part() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    serve(
        &mut rig,
        data(2, vec![replicated(0, 2, 3), replicated(2, 3, 4)]),
    );
    rig.publish(vec![partition(3, 5, 1, &[1, 3])]);
    rig.cx.take_requests(LEADER);
    let taken = rig.cx.take_requests(NodeId(2));
    let (correlation, request) = taken.into_iter().next().expect("it fetches from broker 3");
    assert!(matches!(&request, Request::Fetch { partitions, .. }
        if partitions[0].last_fetched_epoch == 4 && partitions[0].fetch_offset == 5));
    let mut fetched = data(9, Vec::new());
    fetched.diverging = Some(EpochEnd {
        epoch: 3,
        end_offset: 2,
    });
    let partitions = vec![fetched];
    rig.answer(NodeId(2), correlation, Response::Fetch { partitions });
    assert_eq!(rig.view().leo, 2);
    assert_eq!(rig.cx.rule(Rule::Truncate), [(5, 2)]);
    assert_eq!(
        rig.cx.take_requests(NodeId(2)).len(),
        1,
        "and fetches again"
    );
}

#[test]
fn errors_stop_delay_or_reset_a_follower() {
    let check = |error: ErrorCode, fetching: bool, again_after_ms: Option<u64>| {
        let mut rig = Rig::running(2, 4, &[1, 2]);
        serve(&mut rig, failed(error));
        let role = rig.view().role;
        assert_eq!(
            role,
            crate::kafka::broker::RoleView::Follower { fetching },
            "{error}"
        );
        assert_eq!(asked(&mut rig), None, "{error}: not at once");
        rig.run_for(999 * MS);
        assert_eq!(asked(&mut rig), None, "{error}: not before the backoff");
        rig.run_for(2 * MS);
        assert_eq!(
            asked(&mut rig).is_some(),
            again_after_ms.is_some(),
            "{error}"
        );
    };
    check(ErrorCode::FencedLeaderEpoch, false, None);
    check(ErrorCode::UnknownLeaderEpoch, true, Some(1_000));
    check(ErrorCode::NotLeaderOrFollower, true, Some(1_000));
}

#[test]
fn out_of_range_asks_for_the_leaders_ends() {
    let check = |end: i64, start: i64, expect: (i64, i64)| {
        let mut rig = Rig::running(2, 4, &[1, 2]);
        serve(&mut rig, data(0, vec![replicated(0, 5, 4)]));
        serve(&mut rig, failed(ErrorCode::OffsetOutOfRange));
        for timestamp in [-1, -2] {
            let Some((correlation, request)) = rig.cx.take_requests(LEADER).pop() else {
                panic!("it asks for the leader's offsets");
            };
            let Request::ListOffsets {
                timestamp: asked, ..
            } = request
            else {
                assert_eq!(timestamp, -2, "the log end is always asked for");
                break;
            };
            assert_eq!(asked, timestamp);
            let response = Response::ListOffsets {
                tp: TP,
                error: ErrorCode::None,
                offset: if timestamp == -1 { end } else { start },
                leader_epoch: 4,
            };
            rig.answer(LEADER, correlation, response);
        }
        let view = rig.view();
        assert_eq!((view.log_start, view.leo), expect, "{end} {start}");
    };
    check(3, 0, (0, 3));
    check(90, 40, (40, 40));
    check(90, 0, (0, 5));
}

#[test]
fn an_unanswered_fetch_is_given_up_and_tried_again() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    let (correlation, _) = asked(&mut rig).expect("a fetch waits");
    rig.cx.disconnected.clear();
    rig.run_for(30_000 * MS);
    assert!(rig.cx.disconnected.contains(&LEADER));
    rig.run_for(1_000 * MS);
    let (again, _) = asked(&mut rig).expect("it fetches again");
    answer(&mut rig, correlation, data(0, vec![replicated(0, 1, 4)]));
    assert_eq!(
        rig.view().leo,
        0,
        "an answer to the request given up comes too late"
    );
    answer(&mut rig, again, data(0, vec![replicated(0, 1, 4)]));
    assert_eq!(rig.view().leo, 1);
}

#[test]
fn a_slow_disk_holds_the_next_fetch_back() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    rig.cx.disk_speed = 1_000;
    let batch = replicated(0, 1, 4);
    let written = u64::from(batch.bytes) * MS;
    serve(&mut rig, data(0, vec![batch]));
    assert_eq!(rig.view().leo, 1);
    assert_eq!(asked(&mut rig), None);
    rig.run_for(written - MS);
    assert_eq!(asked(&mut rig), None);
    rig.run_for(MS);
    assert!(asked(&mut rig).is_some());
}

#[test]
fn the_truncation_rule_decides_what_comes_before_the_first_fetch() {
    let check = |truncation: TruncationRule, leo: i64, first: &str| {
        let rules = ReplicationRules {
            truncation,
            ..ReplicationRules::default()
        };
        let leads = partition(2, 4, 0, &[1, 2]);
        let mut rig = Rig::with(BrokerConfig::default(), rules, leads);
        rig.cx
            .take_requests(LEADER)
            .into_iter()
            .for_each(|(correlation, _)| {
                answer(&mut rig, correlation, data(1, vec![replicated(0, 3, 4)]));
            });
        serve(&mut rig, data(1, Vec::new()));
        assert_eq!(rig.offsets(), (3, 1));
        rig.cx.take_requests(LEADER);
        rig.publish(vec![partition(3, 5, 1, &[1, 3])]);
        assert_eq!(rig.view().leo, leo, "{truncation:?}");
        let taken = rig.cx.take_requests(NodeId(2));
        let names: Vec<_> = taken.iter().map(|(_, request)| request.name()).collect();
        assert_eq!(names, [first], "{truncation:?}");
        if first == "OffsetsForLeaderEpoch" {
            let response = Response::OffsetsForLeaderEpoch {
                tp: TP,
                error: ErrorCode::None,
                end: EpochEnd {
                    epoch: -1,
                    end_offset: 2,
                },
            };
            rig.answer(NodeId(2), taken[0].0, response);
            assert_eq!(rig.view().leo, 2, "{truncation:?}");
            assert_eq!(rig.cx.take_requests(NodeId(2)).len(), 1, "then it fetches");
        }
    };
    check(TruncationRule::HighWatermark, 1, "ReplicaFetch");
    check(TruncationRule::Kip101, 3, "OffsetsForLeaderEpoch");
    check(TruncationRule::Kip279, 3, "OffsetsForLeaderEpoch");
    check(TruncationRule::Epoch, 3, "ReplicaFetch");
}

#[test]
fn a_partition_without_leader_is_not_fetched() {
    let mut rig = Rig::running(2, 4, &[1, 2]);
    rig.cx.take_requests(LEADER);
    rig.publish(vec![partition(-1, 5, 1, &[2])]);
    rig.run_for(3_000 * MS);
    assert_eq!(asked(&mut rig), None);
    rig.publish(vec![partition(2, 6, 2, &[2])]);
    assert_eq!(rig.view().leader_epoch, 6);
}
