//! What idempotence does not promise: a leader without a memory of the producer.
//!
//! `ProducerAppendInfo.checkSequence` takes any sequence of a producer that it knows nothing of, so
//! a new leader can write a later batch while an earlier one waits at the old leader. If both are
//! then in doubt, the earlier one is refused as out of order, the producer takes that for a gap
//! (`TransactionManager.canRetry`), raises its epoch and numbers both anew, and the later one
//! stands in the log twice. Users of other clients have met it too
//! (<https://github.com/confluentinc/librdkafka/issues/4953>).

use super::*;
use crate::kafka::note::Rule;
use crate::kafka::rules::partition_log::{Appended, LeaderAppend, PartitionLog};
use crate::kafka::rules::producer_state::ProducerStateConfig;
use crate::log::LogConfig;

/// Appends what was asked for as the leader of epoch 1 does.
fn append(log: &mut PartitionLog, asked: &Asked) -> Result<i64, ErrorCode> {
    let (_, batch) = &asked.batches[0];
    match log.append_as_leader(batch.clone(), LeaderAppend::client(1, 0))? {
        Appended::New(info) => Ok(info.first_offset),
        Appended::Duplicate(known) => Ok(known.first_offset()),
    }
}

#[test]
fn a_leader_that_never_heard_of_the_producer_can_make_a_duplicate() {
    let mut rig = Rig::by_hand(&[("metadata.max.age.ms", "1000")], &[1]);
    let mut log = PartitionLog::new(LogConfig::default(), ProducerStateConfig::default(), 0);
    rig.send_one();
    let waits_at_1 = rig.next();
    // Broker 1 hangs; broker 2 leads now, with an empty log.
    rig.leaders = vec![(2, 1)];
    rig.pass(2 * SECOND);
    rig.send_one();
    let second = rig.next();
    assert_eq!((second.broker, second.sequences()), (2, vec![1]));
    assert_eq!(append(&mut log, &second), Ok(0), "any sequence will do");
    // Neither request gets a useful answer.
    rig.answer(&waits_at_1, ErrorCode::NotLeaderOrFollower, -1);
    rig.answer(&second, ErrorCode::NotEnoughReplicasAfterAppend, -1);
    rig.pass(SECOND);
    let first = rig.next();
    assert_eq!((first.broker, first.sequences()), (2, vec![0]));
    let refused = append(&mut log, &first);
    assert_eq!(refused, Err(ErrorCode::OutOfOrderSequenceNumber));
    rig.answer(&first, ErrorCode::OutOfOrderSequenceNumber, -1);
    assert_eq!(rig.cx.rule(Rule::ProducerEpochBump), [(0, 1)]);
    for offset in [1, 2] {
        rig.pass(SECOND);
        let again = rig.next();
        assert_eq!(append(&mut log, &again), Ok(offset));
        rig.answer(&again, ErrorCode::None, offset);
    }
    let records = log.log().records(0, 3);
    let stands: Vec<u64> = records.map(|(_, _, r)| ordinal(r.id.0)).collect();
    assert_eq!(stands, [1, 0, 1], "the second is there twice");
    assert_eq!(rig.acknowledged(), [(0, 1), (1, 2)]);
}

#[test]
fn a_leader_that_knows_the_producer_keeps_order_and_makes_none() {
    let mut rig = Rig::by_hand(&[("metadata.max.age.ms", "1000")], &[1]);
    let mut log = PartitionLog::new(LogConfig::default(), ProducerStateConfig::default(), 0);
    // One record that broker 2 had replicated before.
    rig.send_one();
    let before = rig.next();
    assert_eq!(append(&mut log, &before), Ok(0));
    rig.answer(&before, ErrorCode::None, 0);
    rig.send_one();
    let waits_at_1 = rig.next();
    rig.leaders = vec![(2, 1)];
    rig.pass(2 * SECOND);
    rig.send_one();
    let third = rig.next();
    let refused = append(&mut log, &third);
    assert_eq!(refused, Err(ErrorCode::OutOfOrderSequenceNumber));
    rig.answer(&third, ErrorCode::OutOfOrderSequenceNumber, -1);
    rig.answer(&waits_at_1, ErrorCode::NotLeaderOrFollower, -1);
    for offset in [1, 2] {
        rig.pass(SECOND);
        let again = rig.next();
        assert_eq!(append(&mut log, &again), Ok(offset));
        rig.answer(&again, ErrorCode::None, offset);
    }
    assert_eq!(rig.cx.rule(Rule::ProducerEpochBump), []);
    assert_eq!(rig.acknowledged(), [(0, 0), (1, 1), (2, 2)]);
}
