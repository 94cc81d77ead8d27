//! The truth ledger: what became of every record, counted from outside.
//!
//! It trusts no broker. A record's fate is what its application saw (`send()`, acknowledgement,
//! failure, `poll()`) against what stands in the log of the newest leader. The terms:
//! *lost* = acknowledged, but the newest leader's log does not hold it (and neither retention nor
//! compaction took it); *expired* = retention took it; *compacted* = compaction took it, which the
//! ledger believes if a later record of its key stood behind it, or if it was a tombstone;
//! *duplicated* = it stands there at more than one offset; *reordered* = it stands behind a
//! record that the same producer sent later with the same key. A new leader makes the ledger read
//! that leader's log again from the start, because a failover can change all three.
//!
//! Not Kafka-shaped: any system with lanes (partitions, queues, ledgers) and offsets can report
//! [`Observation`]s and answer [`Truth`].

mod groups;
mod outputs;

use crate::dense::{DenseKey, DenseMap};
use crate::kernel::NodeId;
use crate::log::RecordId;
use crate::shared::{PIECE, SharedList};
use crate::view::LedgerView;
use groups::Groups;
use outputs::Outputs;
use serde::Serialize;
use std::collections::BTreeMap;

pub use groups::GroupCounts;
pub use outputs::OutputCounts;

mod compaction;
mod observation;
pub use observation::{Observation, Truth};

/// A lane by its number (for Kafka: topic and partition).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Lane(pub u32);

impl DenseKey for Lane {
    fn number(self) -> u32 {
        self.0
    }

    fn of_number(number: u32) -> Self {
        Lane(number)
    }
}

const ACKNOWLEDGED: u16 = 1;
const FAILED: u16 = 2;
const DELIVERED: u16 = 4;
const LOST: u16 = 8;
const DUPLICATED: u16 = 16;
const REORDERED: u16 = 32;
const EXPIRED: u16 = 128;
const COMPACTED: u16 = 256;
const TOMBSTONE: u16 = 512;
/// What the newest leader's log decides.
const MARKS: u16 = LOST | DUPLICATED | REORDERED;
/// The acknowledgement said where (any `acks` but 0).
const PLACED: u16 = 64;

/// What the ledger knows of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SourceRecord {
    /// Its key, if any.
    pub key: Option<u32>,
    /// Its lane.
    pub lane: Lane,
    /// Its first offset in the newest leader's log; -1 if it is not there. Of one that retention or
    /// compaction took, where it stood.
    pub offset: i64,
    flags: u16,
}

impl SourceRecord {
    fn is(&self, flag: u16) -> bool {
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
            () if self.is(EXPIRED) => "expired",
            () if self.is(COMPACTED) => "compacted",
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
    sources: Sources,
    lanes: DenseMap<Lane, LaneBook>,
    counts: Counts,
    redelivered: u64,
    #[serde(skip_serializing_if = "Groups::is_empty")]
    groups: Groups,
    #[serde(skip_serializing_if = "Outputs::is_empty")]
    outputs: Outputs,
}

/// Records by the number of the node that sent them, in order of sending.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Sources(Vec<SharedList<SourceRecord>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Counts {
    sent: u64,
    acknowledged: u64,
    failed: u64,
    delivered: u64,
    lost: u64,
    duplicated: u64,
    reordered: u64,
    expired: u64,
    compacted: u64,
}

impl Counts {
    fn of(&mut self, flag: u16) -> Option<&mut u64> {
        Some(match flag {
            ACKNOWLEDGED => &mut self.acknowledged,
            FAILED => &mut self.failed,
            DELIVERED => &mut self.delivered,
            LOST => &mut self.lost,
            DUPLICATED => &mut self.duplicated,
            REORDERED => &mut self.reordered,
            EXPIRED => &mut self.expired,
            COMPACTED => &mut self.compacted,
            _ => return None,
        })
    }
}

/// (source node, ordinal at that source).
fn place(record: RecordId) -> (u32, u64) {
    ((record.0 >> 40) as u32, record.0 & ((1 << 40) - 1))
}

impl Sources {
    fn get(&self, record: RecordId) -> Option<&SourceRecord> {
        let (source, ordinal) = place(record);
        let list = self.0.get(usize::try_from(source).ok()?)?;
        list.get(usize::try_from(ordinal).ok()?)
    }

    fn get_mut(&mut self, record: RecordId) -> Option<&mut SourceRecord> {
        let (source, ordinal) = place(record);
        let list = self.0.get_mut(usize::try_from(source).ok()?)?;
        list.get_mut(usize::try_from(ordinal).ok()?)
    }

    /// Adds a record; false if it is not the next of its source.
    fn push(&mut self, record: RecordId, entry: SourceRecord) -> bool {
        let (source, ordinal) = place(record);
        let source = source as usize;
        if self.0.len() <= source {
            self.0.resize(source + 1, SharedList::default());
        }
        let list = &mut self.0[source];
        let next = list.len() as u64 == ordinal;
        if next {
            list.push(entry);
        }
        next
    }
}

impl SourceRecord {
    fn set(&mut self, flag: u16, on: bool, counts: &mut Counts) {
        if on == self.is(flag) {
            return;
        }
        self.flags ^= flag;
        if let Some(count) = counts.of(flag) {
            if on {
                *count += 1;
            } else {
                *count -= 1;
            }
        }
    }
}

impl Ledger {
    /// About how many bytes a clone takes, and costs later: changing a shared piece copies it.
    pub(crate) fn weight(&self) -> usize {
        /// Pieces of a source whose records are under way, and so change before the next clone.
        const CHANGING: usize = 4;
        let sources = self.sources.0.iter().filter(|list| !list.is_empty());
        let sources = sources.count() * CHANGING * PIECE * size_of::<SourceRecord>();
        let lanes = self.lanes.iter().map(|(_, book)| {
            let latest = book.latest.len() * 2 * size_of::<((u32, Option<u32>), u64)>();
            size_of_val(book) + latest + PIECE / 2 * size_of::<RecordId>()
        });
        sources + lanes.sum::<usize>() + self.groups.weight() + self.outputs.weight()
    }

    /// Takes note of an observation.
    pub fn observe(&mut self, seen: Observation, truth: &impl Truth) {
        match seen {
            Observation::Sent {
                record,
                key,
                tombstone,
                lane,
            } => self.on_sent(record, key, tombstone, lane),
            Observation::Derived { record, input } => self.outputs.made(record, input),
            Observation::Acknowledged { record, offset } => {
                self.acknowledged(record, offset, truth);
            }
            Observation::Failed { record } => {
                if let Some(entry) = self.sources.get_mut(record) {
                    entry.set(FAILED, true, &mut self.counts);
                }
            }
            Observation::Delivered { record } => self.delivered(record),
            Observation::Handed {
                record,
                group,
                lane,
                offset,
            } => {
                self.delivered(record);
                // It may have been fetched before compaction took it.
                if !self.is_compacted(lane, offset, truth) {
                    self.groups.handed(group, lane, offset);
                }
            }
            Observation::Processed {
                group,
                lane,
                offset,
            } => self.groups.done(group, lane, offset),
            Observation::GivenUp {
                group,
                lane,
                from,
                to,
            } => self.groups.given_up(group, lane, from..=to),
            Observation::GroupCommitted {
                group,
                lane,
                offset,
            } => self.groups.committed(group, lane, offset),
            Observation::Stored {
                node,
                record,
                lane,
                offset,
            } => {
                self.stored(node, record, lane, offset, truth);
            }
            Observation::Compacted {
                node,
                record,
                lane,
                offset,
            } => self.compacted(node, record, lane, offset),
            Observation::Expired {
                node,
                lane,
                from,
                to,
            } => {
                if self.leads(node, lane) {
                    self.expire(lane, from, to);
                }
            }
            Observation::Leads { node, lane, epoch } => {
                let book = self.lanes.or_insert_with(lane, LaneBook::default);
                if book.leader.is_none_or(|(newest, _)| epoch > newest) {
                    book.leader = Some((epoch, node));
                    self.read_again(lane, node, truth, false);
                    self.groups
                        .compacted_in(lane, |at| compaction::is_hole(node, lane, at, truth));
                }
            }
        }
    }

    fn delivered(&mut self, record: RecordId) {
        if !self.outputs.is_empty() {
            self.outputs.handed(record);
        }
        if let Some(entry) = self.sources.get_mut(record) {
            self.redelivered += u64::from(entry.is(DELIVERED));
            entry.set(DELIVERED, true, &mut self.counts);
        }
    }

    /// Records given to `send()`.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.counts.sent
    }

    /// The run is over: what is acknowledged and stands nowhere is lost.
    pub fn settle(&mut self, truth: &impl Truth) {
        let lanes: Vec<(Lane, NodeId)> = self
            .lanes
            .iter()
            .filter_map(|(lane, book)| book.leader.map(|(_, node)| (lane, node)))
            .collect();
        for (lane, node) in lanes {
            self.read_again(lane, node, truth, true);
        }
    }

    fn leads(&self, node: NodeId, lane: Lane) -> bool {
        let leader = self.lanes.get(lane).and_then(|book| book.leader);
        leader.is_some_and(|(_, leader)| leader == node)
    }

    fn expire(&mut self, lane: Lane, from: i64, to: i64) {
        let Some(book) = self.lanes.get(lane) else {
            return;
        };
        for id in book.sent.iter() {
            if let Some(entry) = self.sources.get_mut(*id)
                && (from..to).contains(&entry.offset)
                && !entry.is(COMPACTED)
            {
                entry.set(EXPIRED, true, &mut self.counts);
            }
        }
    }

    fn on_sent(&mut self, record: RecordId, key: Option<u32>, tombstone: bool, lane: Lane) {
        let entry = SourceRecord {
            key,
            lane,
            offset: -1,
            flags: if tombstone { TOMBSTONE } else { 0 },
        };
        // Ordinals come in order without gaps; anything else is not a record of ours.
        if self.sources.push(record, entry) {
            let book = self.lanes.or_insert_with(lane, LaneBook::default);
            book.sent.push(record);
            self.counts.sent += 1;
        }
    }

    fn stored(
        &mut self,
        node: NodeId,
        record: RecordId,
        lane: Lane,
        offset: i64,
        truth: &impl Truth,
    ) {
        let book = self.lanes.or_insert_with(lane, LaneBook::default);
        if book.leader.is_some_and(|(_, leader)| leader != node) {
            // A deposed leader writes on: what it has is not what the cluster has.
            return;
        }
        let Some(entry) = self.sources.get_mut(record) else {
            return;
        };
        let (source, ordinal) = place(record);
        let stands = entry.offset >= 0
            && entry.offset != offset
            && truth.record_at(node, lane, entry.offset) == Some(record);
        if stands {
            entry.set(DUPLICATED, true, &mut self.counts);
            return;
        }
        let latest = book.latest.entry((source, entry.key)).or_insert(ordinal);
        let late = ordinal < *latest;
        *latest = ordinal.max(*latest);
        entry.offset = offset;
        for gone in [LOST, EXPIRED, COMPACTED] {
            entry.set(gone, false, &mut self.counts);
        }
        if late {
            entry.set(REORDERED, true, &mut self.counts);
        }
    }

    /// An acknowledgement from somebody who is not the newest leader may promise what is not so.
    fn acknowledged(&mut self, record: RecordId, offset: i64, truth: &impl Truth) {
        let Some(entry) = self.sources.get_mut(record) else {
            return;
        };
        entry.set(ACKNOWLEDGED, true, &mut self.counts);
        entry.set(PLACED, offset >= 0, &mut self.counts);
        let lane = entry.lane;
        let leader = self.lanes.get(lane).and_then(|book| book.leader);
        let (Some((_, leader)), true) = (leader, offset >= 0) else {
            return;
        };
        // The newest leader itself wrote it there. If that leader has gone since, its successor's
        // log decides what is lost, not what the dead one's disk holds.
        if entry.offset == offset {
            return;
        }
        let there = |at: i64| {
            at >= 0
                && (truth.record_at(leader, lane, at) == Some(record)
                    || at < truth.start_of(leader, lane)
                    || compaction::is_hole(leader, lane, at, truth))
        };
        if !there(offset) && !there(entry.offset) {
            entry.set(LOST, true, &mut self.counts);
        }
    }

    /// Whether a lane's leader log holds just what the ledger takes it to hold, and nothing of it is
    /// lost, duplicated or reordered.
    fn is_as_known(&self, lane: Lane, node: NodeId, truth: &impl Truth) -> bool {
        let Some(book) = self.lanes.get(lane) else {
            return false;
        };
        let mut as_known = truth.start_of(node, lane) == 0;
        let mut found = 0;
        let mut newest: Vec<(u32, u64)> = Vec::new();
        truth.scan(node, lane, &mut |offset, id| {
            let Some(entry) = self.sources.get(id).filter(|_| as_known) else {
                return;
            };
            found += 1;
            let (source, ordinal) = place(id);
            let later = match newest.iter_mut().find(|(it, _)| *it == source) {
                Some((_, last)) => ordinal > std::mem::replace(last, ordinal),
                None => {
                    newest.push((source, ordinal));
                    true
                }
            };
            let marked = entry.flags & MARKS != 0;
            as_known &= later && !marked && entry.lane == lane && entry.offset == offset;
        });
        // What was sent and is not there must be under way, and is among the last.
        let Some(mut missing) = book.sent.len().checked_sub(found) else {
            return false;
        };
        for id in book.sent.iter().rev() {
            if missing == 0 || !as_known {
                break;
            }
            match self.sources.get(*id) {
                Some(entry) if entry.offset < 0 => {
                    missing -= 1;
                    as_known = entry.flags & (MARKS | ACKNOWLEDGED) == 0;
                }
                _ => {}
            }
        }
        as_known && missing == 0
    }

    /// Reads a lane's leader log from the start and sets the flags that depend on it.
    fn read_again(&mut self, lane: Lane, node: NodeId, truth: &impl Truth, end: bool) {
        if self.is_as_known(lane, node, truth) {
            return;
        }
        let (sources, counts) = (&mut self.sources, &mut self.counts);
        let Some(book) = self.lanes.get_mut(lane) else {
            return;
        };
        // Where a record stood before, in case retention took it since.
        let start = truth.start_of(node, lane);
        // Where records stood that compaction may have taken.
        let holes_below = truth.holes_below(node, lane);
        let mut stood: Vec<(RecordId, i64)> = Vec::new();
        for id in book.sent.iter() {
            if let Some(entry) = sources.get_mut(*id) {
                if entry.offset >= start {
                    if entry.offset < holes_below {
                        stood.push((*id, entry.offset));
                    } else {
                        entry.set(COMPACTED, false, counts);
                    }
                    entry.offset = -1;
                } else if entry.offset >= 0 && !entry.is(COMPACTED) {
                    entry.set(EXPIRED, true, counts);
                }
                entry.set(DUPLICATED, false, counts);
                entry.set(REORDERED, false, counts);
            }
        }
        let mut latest: BTreeMap<(u32, Option<u32>), u64> = BTreeMap::new();
        let mut newest: BTreeMap<u32, u64> = BTreeMap::new();
        truth.scan(node, lane, &mut |offset, id| {
            let Some(entry) = sources.get_mut(id) else {
                return;
            };
            if entry.offset >= 0 {
                entry.set(DUPLICATED, true, counts);
                return;
            }
            entry.offset = offset;
            entry.set(EXPIRED, false, counts);
            let (source, ordinal) = place(id);
            let last = latest.entry((source, entry.key)).or_insert(ordinal);
            if ordinal < *last {
                entry.set(REORDERED, true, counts);
            }
            *last = ordinal.max(*last);
            let top = newest.entry(source).or_insert(ordinal);
            *top = ordinal.max(*top);
        });
        let is_hole = |at| compaction::is_hole(node, lane, at, truth);
        sources.tell_compacted(book, stood, is_hole, counts);
        for id in book.sent.iter() {
            let Some(entry) = sources.get_mut(*id) else {
                continue;
            };
            let (source, ordinal) = place(*id);
            // With acks=0 nobody says where a record is: it is gone once a later one is there.
            let passed = newest.get(&source).is_some_and(|top| *top > ordinal);
            let told = entry.is(ACKNOWLEDGED) && entry.offset < 0;
            let lost = told && (end || passed || entry.is(PLACED));
            entry.set(LOST, lost, counts);
        }
        book.latest = latest;
    }

    /// What is known of a record.
    #[must_use]
    pub fn record(&self, record: RecordId) -> Option<&SourceRecord> {
        self.sources.get(record)
    }

    /// All records in order of source and sending.
    pub fn records(&self) -> impl Iterator<Item = (RecordId, &SourceRecord)> {
        (0_u64..).zip(&self.sources.0).flat_map(|(source, list)| {
            let base = source << 40;
            list.iter()
                .enumerate()
                .map(move |(i, entry)| (RecordId(base | i as u64), entry))
        })
    }

    /// The newest leader of a lane and its epoch, as the ledger saw it take over.
    #[must_use]
    pub fn leader(&self, lane: Lane) -> Option<(i32, NodeId)> {
        self.lanes.get(lane)?.leader
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
            expired: counts.expired,
            compacted: counts.compacted,
        }
    }
}

#[cfg(test)]
mod tests;
