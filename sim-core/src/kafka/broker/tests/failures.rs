//! What a crash takes and what a restart finds.

use super::*;
use crate::kafka::note::{Note, Rule};

/// Log end 10, high watermark 10; the checkpoint is at 6, the flushed end at 8.
fn aged() -> Rig {
    let config = BrokerConfig {
        writeback_ms: 7_000,
        ..BrokerConfig::default()
    };
    let leads = partition(1, 4, 0, &[1]);
    let mut rig = Rig::with(config, ReplicationRules::default(), leads);
    let started = rig.cx.now;
    rig.produce(Acks::Leader, 6);
    rig.run_for(5_500 * MS - started);
    rig.produce(Acks::Leader, 2);
    rig.run_for(2_000 * MS);
    rig.produce(Acks::Leader, 2);
    assert_eq!(rig.offsets(), (10, 10));
    assert_eq!(
        (rig.view().checkpoint, rig.view().log.flushed_offset()),
        (6, 8)
    );
    rig
}

#[test]
fn a_crash_takes_memory_page_cache_or_disk() {
    let check = |loss: Loss, offsets: Option<(i64, i64)>, dropped: &[(i64, i64)]| {
        let mut rig = aged();
        rig.broker.crash(loss);
        let left = rig.broker.partition(TP).map(|view| (view.leo, view.hw));
        assert_eq!(left, offsets, "{loss:?}");
        assert!(rig.broker.partition(TP).is_none_or(|view| !view.leads));
        rig.cx.notes.clear();
        rig.restart_after_crash();
        let reported: Vec<(i64, i64)> = rig
            .cx
            .notes
            .iter()
            .filter_map(|note| match note {
                Note::Dropped { from, to, .. } => Some((*from, *to)),
                _ => None,
            })
            .collect();
        assert_eq!(reported, dropped, "{loss:?}");
        let leo = offsets.map_or(0, |it| it.0);
        // The only in-sync replica leads again and may take its whole log for committed.
        assert_eq!(rig.offsets(), (leo, leo));
    };
    check(Loss::Process, Some((10, 6)), &[]);
    check(Loss::Power, Some((8, 6)), &[(8, 10)]);
    check(Loss::Disk, None, &[(0, 10)]);
}

impl Rig {
    fn restart_after_crash(&mut self) {
        self.cx.clear_timers();
        self.cx.take_sent();
        self.start();
    }
}

#[test]
fn a_restarted_follower_keeps_its_log_and_asks_before_it_believes_it() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.produce(Acks::Leader, 3);
    rig.publish(vec![partition(2, 5, 1, &[2])]);
    rig.restart(Loss::Process);
    assert_eq!(rig.offsets(), (3, 0));
    let requests = rig.cx.take_requests(NodeId(1));
    let Some((_, Request::Fetch { partitions, .. })) = requests.last() else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (partitions[0].fetch_offset, partitions[0].last_fetched_epoch),
        (3, 4)
    );
}

#[test]
fn a_restart_forgets_no_sequence() {
    let mut rig = Rig::running(1, 4, &[1]);
    let stamp = |base_sequence| ProducerStamp {
        id: 9,
        epoch: 0,
        base_sequence,
    };
    assert_eq!(
        rig.produce_batch(Acks::All, batch(2, stamp(0))),
        [(ErrorCode::None, 0)]
    );
    rig.restart(Loss::Process);
    assert_eq!(
        rig.produce_batch(Acks::All, batch(2, stamp(0))),
        [(ErrorCode::None, 0)]
    );
    assert_eq!(rig.view().leo, 2);
}

#[test]
fn a_leader_cut_off_from_the_controllers_goes_on() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    rig.cx.take_sent();
    rig.silent = true;
    rig.run_for(60_000 * MS);
    assert_eq!(rig.produce(Acks::Leader, 1), [(ErrorCode::None, 0)]);
    assert!(rig.view().leads);
}

#[test]
fn a_lost_connection_drops_what_waited_on_it() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    assert_eq!(rig.consume(0, 4), None);
    assert_eq!(rig.broker.parked_requests(), 1);
    rig.on(Input::Disconnected(CONSUMER));
    assert_eq!(rig.broker.parked_requests(), 0);
    rig.produce(Acks::Leader, 1);
    rig.fetch(2, 1, 4, 4);
    assert_eq!(rig.fetched(CONSUMER), None);
}

#[test]
fn foreign_and_repeated_messages_do_no_harm() {
    let mut rig = Rig::running(1, 4, &[1, 2]);
    let strange = TopicPartition {
        topic: TopicId(77),
        partition: 9,
    };
    let requests = [
        Request::ListOffsets {
            tp: strange,
            timestamp: -1,
            current_leader_epoch: 9,
            isolation: Isolation::ReadCommitted,
        },
        Request::OffsetsForLeaderEpoch {
            replica: 99,
            tp: strange,
            current_leader_epoch: -5,
            leader_epoch: i32::MAX,
        },
        Request::Vote {
            pre_vote: true,
            epoch: 1,
            candidate: 5,
            last_epoch: 0,
            last_epoch_end_offset: 0,
        },
        fetch_request(
            Fetcher::Replica {
                id: 99,
                broker_epoch: -7,
            },
            i64::MAX,
            i32::MIN,
            3,
        ),
        fetch_request(Fetcher::Consumer(Isolation::ReadCommitted), -9, -1, -1),
    ];
    for request in requests {
        for _ in 0..2 {
            rig.ask(NodeId(99), 5, request.clone());
        }
    }
    for correlation in 0..50 {
        rig.answer(
            NodeId(1),
            correlation,
            Response::Fetch {
                partitions: Vec::new(),
            },
        );
        rig.answer(
            NodeId(99),
            correlation,
            Response::Fetch {
                partitions: Vec::new(),
            },
        );
    }
    assert!(rig.view().leads);
    assert!(rig.cx.rule(Rule::Truncate).is_empty());
}
