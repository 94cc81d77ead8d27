//! What the ledger asks of a Kafka world: logs as they are, and clients' notes as observations.

use super::compaction_checks::compacts;
use super::ids::{TopicId, TopicPartition};
use super::modern_why::ModernRule;
use super::node::Node as KafkaNode;
use super::note::{Note, Rule};
use crate::check::{Lane, Observation, Truth};
use crate::kernel::{NodeId, World};
use crate::log::{Log, RecordId};
use crate::systems::Node;

/// The lane of a partition.
#[must_use]
pub fn lane(tp: TopicPartition) -> Lane {
    Lane((u32::from(tp.topic.0) << 16) | u32::from(tp.partition))
}

/// The partition of a lane.
#[must_use]
pub fn partition(lane: Lane) -> TopicPartition {
    TopicPartition {
        topic: TopicId((lane.0 >> 16) as u16),
        partition: lane.0 as u16,
    }
}

/// The logs of a world.
#[derive(Clone, Copy, Debug)]
pub struct Logs<'a>(pub &'a World<Node>);

impl<'a> Logs<'a> {
    /// A broker's log of a partition, whether or not the broker runs.
    #[must_use]
    pub fn log(self, node: NodeId, tp: TopicPartition) -> Option<&'a Log> {
        match self.0.process(node)? {
            Node::Kafka(KafkaNode::Broker(broker)) => broker.log(tp),
            _ => None,
        }
    }
}

impl Truth for Logs<'_> {
    fn record_at(&self, node: NodeId, lane: Lane, offset: i64) -> Option<RecordId> {
        self.log(node, partition(lane))?
            .record_at(offset)
            .map(|record| record.id)
    }

    fn start_of(&self, node: NodeId, lane: Lane) -> i64 {
        self.log(node, partition(lane)).map_or(0, Log::start_offset)
    }

    fn holes_below(&self, node: NodeId, lane: Lane) -> i64 {
        // What its own cleaner has reached is not enough: a follower fetches what the leader's
        // cleaner has left, and its own may never have passed there.
        let log = self.log(node, partition(lane));
        log.filter(|log| compacts(log)).map_or(0, Log::leo)
    }

    fn scan(&self, node: NodeId, lane: Lane, each: &mut dyn FnMut(i64, RecordId)) {
        let Some(log) = self.log(node, partition(lane)) else {
            return;
        };
        let (start, end) = (log.start_offset(), log.leo());
        for batch in log.batches_from(start).filter(|it| !it.is_control()) {
            for record in batch.records.iter() {
                let offset = batch.base_offset + i64::from(record.offset_delta);
                if (start..end).contains(&offset) {
                    each(offset, record.id);
                }
            }
        }
    }
}

/// The ledger knows groups by number (32-bit FNV-1a of the name).
fn group_number(group: &str) -> u32 {
    group.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// What a note means to the ledger, if anything.
#[must_use]
pub fn observation(note: &Note) -> Option<Observation> {
    Some(match *note {
        Note::Sent {
            record,
            key,
            tp,
            tombstone,
            ..
        } => Observation::Sent {
            record,
            key,
            tombstone,
            lane: lane(tp),
        },
        Note::Derived { record, input, .. } => Observation::Derived { record, input },
        Note::Acknowledged { record, offset, .. } => Observation::Acknowledged { record, offset },
        Note::Failed { record, .. } => Observation::Failed { record },
        Note::Stored {
            node,
            record,
            tp,
            offset,
            as_leader: true,
        } => Observation::Stored {
            node,
            record,
            lane: lane(tp),
            offset,
        },
        Note::Delivered {
            record,
            tp,
            offset,
            group: Some(ref group),
            ..
        } => Observation::Handed {
            record,
            group: group_number(group),
            lane: lane(tp),
            offset,
        },
        Note::Delivered { record, .. } => Observation::Delivered { record },
        Note::Processed {
            tp,
            offset,
            ref group,
            ..
        } => Observation::Processed {
            group: group_number(group),
            lane: lane(tp),
            offset,
        },
        Note::Group(ref note) if note.rule == Rule::OffsetCommitted => {
            Observation::GroupCommitted {
                group: group_number(&note.group),
                lane: lane(note.tp?),
                offset: note.after,
            }
        }
        // Of a share group, what lies before its start offset is done with.
        Note::Group(ref note) if note.rule == Rule::Modern(ModernRule::ShareStateWritten) => {
            Observation::GroupCommitted {
                group: group_number(&note.group),
                lane: lane(note.tp?),
                offset: note.after,
            }
        }
        Note::Group(ref note) if note.rule == Rule::Modern(ModernRule::RecordsArchived) => {
            Observation::GivenUp {
                group: group_number(&note.group),
                lane: lane(note.tp?),
                from: note.before,
                to: note.after,
            }
        }
        Note::Compacted {
            node,
            record,
            tp,
            offset,
            ..
        } => Observation::Compacted {
            node,
            record,
            lane: lane(tp),
            offset,
        },
        Note::Dropped {
            node,
            tp,
            from,
            to,
            retention: true,
        } => Observation::Expired {
            node,
            lane: lane(tp),
            from,
            to,
        },
        Note::Rule {
            node,
            rule: Rule::BecameLeader,
            tp: Some(tp),
            after,
            ..
        } => Observation::Leads {
            node,
            lane: lane(tp),
            epoch: after as i32,
        },
        _ => return None,
    })
}
