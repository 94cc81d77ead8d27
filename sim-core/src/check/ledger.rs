//! The truth ledger: what became of every record, counted from outside.
//!
//! It trusts no broker. A record's fate is what its application saw (`send()`, acknowledgement,
//! failure, `poll()`) against what stands in the log of the newest leader. The terms:
//! *lost* = acknowledged, but the newest leader's log does not hold it (and retention did not take
//! it); *duplicated* = it stands there at more than one offset; *reordered* = it stands behind a
//! record that the same producer sent later with the same key. A new leader makes the ledger read
//! that leader's log again from the start, because a failover can change all three.
//!
//! Not Kafka-shaped: any system with lanes (partitions, queues, ledgers) and offsets can report
//! [`Observation`]s and answer [`Truth`].

use crate::kernel::NodeId;
use crate::log::RecordId;
use crate::shared::SharedList;
use crate::view::LedgerView;
use serde::Serialize;
use std::collections::BTreeMap;

/// A lane by its number (for Kafka: topic and partition).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Lane(pub u32);

/// What a client or a store reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    /// An application handed a record over.
    Sent {
        /// Which.
        record: RecordId,
        /// Its key, if any.
        key: Option<u32>,
        /// Where it is to go.
        lane: Lane,
    },
    /// The producer was told that it is written, at this offset (-1 = not told where).
    Acknowledged {
        /// Which.
        record: RecordId,
        /// Where it says it is.
        offset: i64,
    },
    /// The producer gave it up.
    Failed {
        /// Which.
        record: RecordId,
    },
    /// A leader appended it.
    Stored {
        /// The leader.
        node: NodeId,
        /// Which.
        record: RecordId,
        /// Where.
        lane: Lane,
        /// At which offset.
        offset: i64,
    },
    /// A consumer's application got it.
    Delivered {
        /// Which.
        record: RecordId,
    },
    /// A node leads a lane from now on.
    Leads {
        /// Who.
        node: NodeId,
        /// What.
        lane: Lane,
        /// In which epoch.
        epoch: i32,
    },
}

/// What the ledger may look up: logs as they are.
pub trait Truth {
    /// The record at an offset of a node's copy of a lane.
    fn record_at(&self, node: NodeId, lane: Lane, offset: i64) -> Option<RecordId>;
    /// First offset that the node's copy keeps.
    fn start_of(&self, node: NodeId, lane: Lane) -> i64;
    /// All records of a copy, in order.
    fn scan(&self, node: NodeId, lane: Lane, each: &mut dyn FnMut(i64, RecordId));
}

const ACKNOWLEDGED: u8 = 1;
const FAILED: u8 = 2;
const DELIVERED: u8 = 4;
const LOST: u8 = 8;
const DUPLICATED: u8 = 16;
const REORDERED: u8 = 32;
/// The acknowledgement said where (any `acks` but 0).
const PLACED: u8 = 64;

/// What the ledger knows of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SourceRecord {
    /// Its key, if any.
    pub key: Option<u32>,
    /// Its lane.
    pub lane: Lane,
    /// Its first offset in the newest leader's log; -1 if it is not there.
    pub offset: i64,
    flags: u8,
}

impl SourceRecord {
    fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The producer was told that it is written.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.is(ACKNOWLEDGED)
    }

    /// It is lost.
    #[must_use]
    pub fn lost(&self) -> bool {
        self.is(LOST)
    }

    /// One word for a table.
    #[must_use]
    pub fn fate(&self) -> &'static str {
        match () {
            () if self.is(LOST) => "lost",
            () if self.is(DUPLICATED) => "duplicated",
            () if self.is(REORDERED) => "reordered",
            () if self.is(DELIVERED) => "delivered",
            () if self.is(ACKNOWLEDGED) => "acknowledged",
            () if self.is(FAILED) => "failed",
            () => "under way",
        }
    }
}

/// State of one lane.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct LaneBook {
    leader: Option<(i32, NodeId)>,
    /// Records sent to this lane, by source then ordinal.
    sent: SharedList<RecordId>,
    /// Latest ordinal in the leader's log by (source, key).
    latest: BTreeMap<(u32, Option<u32>), u64>,
}

/// The ledger.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Ledger {
    sources: BTreeMap<u32, SharedList<SourceRecord>>,
    lanes: BTreeMap<Lane, LaneBook>,
    counts: Counts,
    redelivered: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Counts {
    sent: u64,
    acknowledged: u64,
    failed: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
}

impl Counts {
    fn of(&mut self, flag: u8) -> Option<&mut u64> {
        Some(match flag {
            ACKNOWLEDGED => &mut self.acknowledged,
            FAILED => &mut self.failed,
            DELIVERED => &mut self.delivered,
            LOST => &mut self.lost,
            DUPLICATED => &mut self.duplicated,
            REORDERED => &mut self.reordered,
            _ => return None,
        })
    }
}

/// (source node, ordinal at that source).
fn place(record: RecordId) -> (u32, u64) {
    ((record.0 >> 40) as u32, record.0 & ((1 << 40) - 1))
}

impl Ledger {
    /// Takes note of an observation.
    pub fn observe(&mut self, seen: Observation, truth: &impl Truth) {
        match seen {
            Observation::Sent { record, key, lane } => self.sent(record, key, lane),
            Observation::Acknowledged { record, offset } => {
                self.set(record, ACKNOWLEDGED, true);
                self.set(record, PLACED, offset >= 0);
                self.check_acknowledged(record, offset, truth);
            }
            Observation::Failed { record } => self.set(record, FAILED, true),
            Observation::Delivered { record } => {
                if self.record(record).is_some_and(|r| r.is(DELIVERED)) {
                    self.redelivered += 1;
                }
                self.set(record, DELIVERED, true);
            }
            Observation::Stored {
                node,
                record,
                lane,
                offset,
            } => {
                self.stored(node, record, lane, offset, truth);
            }
            Observation::Leads { node, lane, epoch } => {
                let book = self.lanes.entry(lane).or_default();
                if book.leader.is_none_or(|(newest, _)| epoch > newest) {
                    book.leader = Some((epoch, node));
                    self.read_again(lane, node, truth, false);
                }
            }
        }
    }

    /// The run is over: what is acknowledged and stands nowhere is lost.
    pub fn settle(&mut self, truth: &impl Truth) {
        let lanes: Vec<(Lane, NodeId)> = self
            .lanes
            .iter()
            .filter_map(|(lane, book)| book.leader.map(|(_, node)| (*lane, node)))
            .collect();
        for (lane, node) in lanes {
            self.read_again(lane, node, truth, true);
        }
    }

    fn sent(&mut self, record: RecordId, key: Option<u32>, lane: Lane) {
        let (source, ordinal) = place(record);
        let list = self.sources.entry(source).or_default();
        // Ordinals come in order without gaps; anything else is not a record of ours.
        if list.len() as u64 != ordinal {
            return;
        }
        list.push(SourceRecord {
            key,
            lane,
            offset: -1,
            flags: 0,
        });
        self.lanes.entry(lane).or_default().sent.push(record);
        self.counts.sent += 1;
    }

    fn stored(
        &mut self,
        node: NodeId,
        record: RecordId,
        lane: Lane,
        offset: i64,
        truth: &impl Truth,
    ) {
        let book = self.lanes.entry(lane).or_default();
        if book.leader.is_some_and(|(_, leader)| leader != node) {
            // A deposed leader writes on: what it has is not what the cluster has.
            return;
        }
        let Some(entry) = self.record(record).copied() else {
            return;
        };
        let (source, ordinal) = place(record);
        let stands = entry.offset >= 0
            && entry.offset != offset
            && truth.record_at(node, lane, entry.offset) == Some(record);
        if stands {
            self.set(record, DUPLICATED, true);
            return;
        }
        let book = self.lanes.entry(lane).or_default();
        let latest = book.latest.entry((source, entry.key)).or_insert(ordinal);
        let late = ordinal < *latest;
        *latest = ordinal.max(*latest);
        if let Some(entry) = self.record_mut(record) {
            entry.offset = offset;
        }
        self.set(record, LOST, false);
        if late {
            self.set(record, REORDERED, true);
        }
    }

    /// An acknowledgement from somebody who is not the newest leader may promise what is not so.
    fn check_acknowledged(&mut self, record: RecordId, offset: i64, truth: &impl Truth) {
        let Some(entry) = self.record(record).copied() else {
            return;
        };
        let leader = self.lanes.get(&entry.lane).and_then(|book| book.leader);
        let (Some((_, leader)), true) = (leader, offset >= 0) else {
            return;
        };
        let there = |at: i64| {
            at >= 0
                && (truth.record_at(leader, entry.lane, at) == Some(record)
                    || at < truth.start_of(leader, entry.lane))
        };
        if !there(offset) && !there(entry.offset) {
            self.set(record, LOST, true);
        }
    }

    /// Reads a lane's leader log from the start and sets the flags that depend on it.
    fn read_again(&mut self, lane: Lane, node: NodeId, truth: &impl Truth, end: bool) {
        let ids: Vec<RecordId> = self
            .lanes
            .get(&lane)
            .map(|book| book.sent.iter().copied().collect())
            .unwrap_or_default();
        // Where a record stood before, in case retention took it since.
        let start = truth.start_of(node, lane);
        for id in &ids {
            if let Some(entry) = self.record_mut(*id)
                && entry.offset >= start
            {
                entry.offset = -1;
            }
            self.set(*id, DUPLICATED, false);
            self.set(*id, REORDERED, false);
        }
        let mut latest: BTreeMap<(u32, Option<u32>), u64> = BTreeMap::new();
        let mut newest: BTreeMap<u32, u64> = BTreeMap::new();
        truth.scan(node, lane, &mut |offset, id| {
            let Some(entry) = self.record(id).copied() else {
                return;
            };
            if entry.offset >= 0 {
                self.set(id, DUPLICATED, true);
                return;
            }
            if let Some(entry) = self.record_mut(id) {
                entry.offset = offset;
            }
            let (source, ordinal) = place(id);
            let last = latest.entry((source, entry.key)).or_insert(ordinal);
            if ordinal < *last {
                self.set(id, REORDERED, true);
            }
            *last = ordinal.max(*last);
            let top = newest.entry(source).or_insert(ordinal);
            *top = ordinal.max(*top);
        });
        for id in ids {
            let Some(entry) = self.record(id).copied() else {
                continue;
            };
            let (source, ordinal) = place(id);
            // With acks=0 nobody says where a record is: it is gone once a later one is there.
            let passed = newest.get(&source).is_some_and(|top| *top > ordinal);
            let told = entry.is(ACKNOWLEDGED) && entry.offset < 0;
            self.set(id, LOST, told && (end || passed || entry.is(PLACED)));
        }
        if let Some(book) = self.lanes.get_mut(&lane) {
            book.latest = latest;
        }
    }

    fn set(&mut self, record: RecordId, flag: u8, on: bool) {
        let Some(entry) = self.record_mut(record) else {
            return;
        };
        let was = entry.is(flag);
        if on == was {
            return;
        }
        entry.flags ^= flag;
        if let Some(count) = self.counts.of(flag) {
            if on {
                *count += 1;
            } else {
                *count -= 1;
            }
        }
    }

    /// What is known of a record.
    #[must_use]
    pub fn record(&self, record: RecordId) -> Option<&SourceRecord> {
        let (source, ordinal) = place(record);
        self.sources
            .get(&source)?
            .get(usize::try_from(ordinal).ok()?)
    }

    fn record_mut(&mut self, record: RecordId) -> Option<&mut SourceRecord> {
        let (source, ordinal) = place(record);
        self.sources
            .get_mut(&source)?
            .get_mut(usize::try_from(ordinal).ok()?)
    }

    /// All records in order of source and sending.
    pub fn records(&self) -> impl Iterator<Item = (RecordId, &SourceRecord)> {
        self.sources.iter().flat_map(|(source, list)| {
            let base = u64::from(*source) << 40;
            list.iter()
                .enumerate()
                .map(move |(i, entry)| (RecordId(base | i as u64), entry))
        })
    }

    /// The newest leader of a lane and its epoch, as the ledger saw it take over.
    #[must_use]
    pub fn leader(&self, lane: Lane) -> Option<(i32, NodeId)> {
        self.lanes.get(&lane)?.leader
    }

    /// Times a record was handed out again.
    #[must_use]
    pub fn redelivered(&self) -> u64 {
        self.redelivered
    }

    /// The counters; `committed` is given by the system.
    #[must_use]
    pub fn view(&self, committed: u64) -> LedgerView {
        let counts = self.counts;
        LedgerView {
            sent: counts.sent,
            acknowledged: counts.acknowledged,
            failed: counts.failed,
            committed,
            delivered: counts.delivered,
            lost: counts.lost,
            duplicated: counts.duplicated,
            reordered: counts.reordered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logs by node: (offset of first, records).
    #[derive(Default)]
    struct Logs(BTreeMap<u32, (i64, Vec<u64>)>);

    impl Truth for Logs {
        fn record_at(&self, node: NodeId, _: Lane, offset: i64) -> Option<RecordId> {
            let (start, records) = self.0.get(&node.0)?;
            records
                .get(usize::try_from(offset - start).ok()?)
                .map(|r| RecordId(*r))
        }
        fn start_of(&self, node: NodeId, _: Lane) -> i64 {
            self.0.get(&node.0).map_or(0, |(start, _)| *start)
        }
        fn scan(&self, node: NodeId, _: Lane, each: &mut dyn FnMut(i64, RecordId)) {
            if let Some((start, records)) = self.0.get(&node.0) {
                for (i, r) in records.iter().enumerate() {
                    each(start + i as i64, RecordId(*r));
                }
            }
        }
    }

    const LANE: Lane = Lane(0);

    /// Replays a story: `s` send, `a0@3` ack record 0 at 3, `w1:0@3` node 1 stores record 0 at 3,
    /// `L1e5` node 1 leads in epoch 5, `d0` deliver, `f0` fail. Logs are set before.
    fn check(logs: &[(u32, i64, &[u64])], story: &str, want: (u64, u64, u64, u64)) {
        let mut truth = Logs::default();
        let mut ledger = Ledger::default();
        let mut sent = 0;
        let final_logs: BTreeMap<u32, (i64, Vec<u64>)> = logs
            .iter()
            .map(|(n, start, r)| (*n, (*start, r.to_vec())))
            .collect();
        truth.0 = final_logs;
        for word in story.split_whitespace() {
            let (kind, rest) = word.split_at(1);
            let number = |text: &str| text.parse::<i64>().expect("a number");
            let seen = match kind {
                "s" => {
                    sent += 1;
                    Observation::Sent {
                        record: RecordId(sent - 1),
                        key: Some(1),
                        lane: LANE,
                    }
                }
                "a" => {
                    let (r, at) = rest.split_once('@').expect("r@offset");
                    let record = RecordId(number(r) as u64);
                    Observation::Acknowledged {
                        record,
                        offset: number(at),
                    }
                }
                "f" => Observation::Failed {
                    record: RecordId(number(rest) as u64),
                },
                "d" => Observation::Delivered {
                    record: RecordId(number(rest) as u64),
                },
                "w" => {
                    let (node, rest) = rest.split_once(':').expect("node:r@offset");
                    let (r, at) = rest.split_once('@').expect("r@offset");
                    Observation::Stored {
                        node: NodeId(number(node) as u32),
                        record: RecordId(number(r) as u64),
                        lane: LANE,
                        offset: number(at),
                    }
                }
                _ => {
                    let (node, epoch) = rest.split_once('e').expect("node e epoch");
                    let node = NodeId(number(node) as u32);
                    Observation::Leads {
                        node,
                        lane: LANE,
                        epoch: number(epoch) as i32,
                    }
                }
            };
            ledger.observe(seen, &truth);
        }
        ledger.settle(&truth);
        let view = ledger.view(0);
        let got = (
            view.acknowledged,
            view.lost,
            view.duplicated,
            view.reordered,
        );
        assert_eq!(got, want, "{story}");
    }

    #[test]
    fn fates() {
        // (acknowledged, lost, duplicated, reordered)
        check(
            &[(1, 0, &[0, 1])],
            "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1",
            (2, 0, 0, 0),
        );
        // The new leader lacks an acknowledged record.
        check(
            &[(1, 0, &[0, 1]), (2, 0, &[0])],
            "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1 L2e1",
            (2, 1, 0, 0),
        );
        // A retry stands twice.
        check(
            &[(1, 0, &[0, 0])],
            "L1e0 s w1:0@0 w1:0@1 a0@1",
            (1, 0, 1, 0),
        );
        // The first copy was on the old leader only: no duplicate.
        check(
            &[(1, 0, &[0]), (2, 0, &[0])],
            "L1e0 s w1:0@0 L2e1 w2:0@0 a0@0",
            (1, 0, 0, 0),
        );
        // Second before first.
        check(
            &[(1, 0, &[1, 0])],
            "L1e0 s s w1:1@0 w1:0@1 a1@0 a0@1",
            (2, 0, 0, 1),
        );
        // A deposed leader acknowledges what the cluster does not have.
        check(
            &[(1, 0, &[0]), (2, 0, &[])],
            "L1e0 s L2e1 w1:0@0 a0@0",
            (1, 1, 0, 0),
        );
        // acks=0: told nothing, stored nowhere.
        check(&[(1, 0, &[1])], "L1e0 s a0@-1 s a1@-1 w1:1@0", (2, 1, 0, 0));
        // Retention is no loss.
        check(
            &[(1, 1, &[1])],
            "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1",
            (2, 0, 0, 0),
        );
    }
}
