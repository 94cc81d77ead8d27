//! Where records wait for their batch, and batches for their request.
//!
//! Follows `RecordAccumulator` and `BufferPool`. Each partition has a queue of batches; only the
//! last takes records. A broker is ready when the first batch of one of its partitions is full (or
//! has a second behind it), or has waited `linger.ms`, or memory is exhausted, or the producer
//! closes, and it is not backing off. A request takes the first batch of each partition of the
//! broker, from a start that rotates. Batches under way stay with their partition, because order is
//! decided among all that have a sequence number.

use super::batch::ProducerBatch;
use super::partition_set::PartitionSet;
use super::sequences::{ProducerIdAndEpoch, Sequences};
use crate::few;
use crate::kafka::client::{NEVER, span};
use crate::kafka::config::ProducerConfig;
use crate::kafka::ids::BrokerId;
use crate::kafka::rules::position::LeaderAndEpoch;
use crate::kernel::Nanos;
use crate::log::{Batch, Record};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Batches of one partition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct PartitionQueue {
    /// Not under way, in order of sending.
    pub(super) queue: VecDeque<ProducerBatch>,
    /// Under way, in order of sending.
    pub(super) on_wire: Vec<ProducerBatch>,
    /// Nothing is sent until what is under way is answered (one request in flight at most).
    pub(super) muted: bool,
    /// It has had a batch.
    used: bool,
    /// Sequence numbers, if the producer is idempotent.
    pub(super) sequences: Sequences,
}

/// What became of a record that was to be appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Append {
    /// It is in a batch.
    Done {
        /// A batch was begun for it.
        new_batch: bool,
        /// A batch is ready to go at once.
        full: bool,
        /// Bytes that the queue grew by.
        bytes: u32,
        /// Every batch of the queue is full.
        all_full: bool,
    },
    /// There is no memory for another batch.
    NoMemory,
}

/// Which brokers have something to send.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Ready {
    /// In order of their first ready partition.
    pub(super) brokers: Vec<BrokerId>,
    /// That partition of each.
    firsts: Vec<u32>,
    /// When to look again, as far as lingering and backing off are concerned.
    pub(super) next_check: Nanos,
    /// A partition with batches has no leader.
    pub(super) unknown_leader: bool,
}

impl Default for Ready {
    /// Nothing.
    fn default() -> Self {
        Ready {
            brokers: Vec::new(),
            firsts: Vec::new(),
            next_check: NEVER,
            unknown_leader: false,
        }
    }
}

impl Ready {
    /// Whether a partition before this one makes its leader ready already.
    fn by(&self, partition: u32, leader: BrokerId) -> bool {
        let mut known = self.brokers.iter().zip(&self.firsts);
        known.any(|(broker, first)| *broker == leader && *first < partition)
    }
}

/// Who drains, for the sequence numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stamping {
    /// A producer without idempotence.
    Off,
    /// An idempotent producer; without a valid id nothing is sent.
    As(ProducerIdAndEpoch),
}

/// A batch that goes into a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Drained {
    pub(super) partition: u16,
    pub(super) id: u64,
    pub(super) batch: Batch,
}

enum DrainOne {
    Batch(Drained, u32),
    Skip,
    Stop,
}

/// All that waits and all that is under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Accumulator {
    pub(super) partitions: Vec<PartitionQueue>,
    /// Partitions whose queues may hold a batch; all that do are among them.
    waiting: PartitionSet,
    /// What the last look at them found, if nothing of it could be sent and nothing but new batches
    /// came since.
    kept: Option<Ready>,
    /// Partitions with a new first batch since the last look.
    fresh: PartitionSet,
    /// Some partition may have unresolved sequences.
    pub(super) doubtful: bool,
    batch_size: u32,
    linger: Nanos,
    delivery_timeout: Nanos,
    /// Memory not given to a batch (`buffer.memory`), bytes.
    available: u64,
    total: u64,
    /// `send()` waits for memory.
    pub(super) exhausted: bool,
    /// The producer closes: nothing lingers.
    pub(super) closed: bool,
    /// Without idempotence a retried batch goes to the front, whatever its number.
    ordered: bool,
    next_batch: u64,
    drain_index: BTreeMap<BrokerId, u16>,
    /// No batch expires before this, ns.
    expiry_floor: Nanos,
}

impl Accumulator {
    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    pub(super) fn weight(&self) -> usize {
        let queue = |queue: &PartitionQueue| {
            let batches = queue.queue.iter().chain(&queue.on_wire);
            size_of_val(queue) + batches.map(ProducerBatch::weight).sum::<usize>()
        };
        self.partitions.iter().map(queue).sum()
    }

    /// An empty one.
    pub(super) fn new(config: &ProducerConfig) -> Self {
        Accumulator {
            partitions: Vec::new(),
            waiting: PartitionSet::default(),
            kept: None,
            fresh: PartitionSet::default(),
            doubtful: false,
            batch_size: config.batch_size,
            linger: span(config.linger_ms),
            delivery_timeout: span(config.delivery_timeout_ms),
            available: config.buffer_memory,
            total: config.buffer_memory,
            exhausted: false,
            closed: false,
            ordered: config.idempotent(),
            next_batch: 0,
            drain_index: BTreeMap::new(),
            expiry_floor: NEVER,
        }
    }

    /// Makes room for this many partitions; partitions never go away.
    pub(super) fn grow(&mut self, partitions: u16) {
        if self.partitions.len() < usize::from(partitions) {
            self.partitions
                .resize(usize::from(partitions), PartitionQueue::default());
        }
    }

    pub(super) fn partition(&mut self, partition: u16) -> Option<&mut PartitionQueue> {
        self.kept = None;
        self.partitions.get_mut(usize::from(partition))
    }

    /// Leaders have changed.
    pub(super) fn look_again(&mut self) {
        self.kept = None;
    }

    /// The first batch under way to a partition.
    #[cfg(test)]
    pub(super) fn on_wire(&self, partition: u16) -> Option<&ProducerBatch> {
        self.partitions.get(usize::from(partition))?.on_wire.first()
    }

    /// Takes a batch whose request was answered off those under way.
    pub(super) fn take_answered(
        &mut self,
        partition: u16,
        id: u64,
    ) -> Option<(ProducerBatch, &mut Sequences)> {
        let queue = self.partitions.get_mut(usize::from(partition))?;
        if std::mem::take(&mut queue.muted) {
            self.kept = None;
        }
        let at = queue.on_wire.iter().position(|batch| batch.id == id)?;
        Some((queue.on_wire.remove(at), &mut queue.sequences))
    }

    /// Bytes given to batches that are not yet done.
    pub(super) fn buffered(&self) -> u64 {
        self.total - self.available
    }

    /// Takes the memory of a batch back.
    pub(super) fn free(&mut self, bytes: u32) {
        self.available = self
            .available
            .saturating_add(u64::from(bytes))
            .min(self.total);
    }

    /// The number of the next batch.
    pub(super) fn batch_id(&mut self) -> u64 {
        self.next_batch += 1;
        self.next_batch
    }

    /// Adds a record to the last batch of a partition, or begins another.
    pub(super) fn append(&mut self, partition: u16, record: Record, now: Nanos) -> Append {
        let Some(queue) = self.partitions.get_mut(usize::from(partition)) else {
            return Append::NoMemory;
        };
        if let Some(last) = queue.queue.back_mut() {
            let before = last.bytes();
            if last.try_append(record) {
                let (bytes, all_full) = (last.bytes() - before, last.is_full());
                if all_full {
                    self.kept = None;
                }
                return Append::Done {
                    new_batch: false,
                    full: all_full || queue.queue.len() > 1,
                    bytes,
                    all_full,
                };
            }
        }
        if !queue.queue.is_empty() {
            // The batch that turned the record away is full.
            self.kept = None;
        }
        let needed = super::batch::BATCH_OVERHEAD.saturating_add(record.bytes);
        let memory = self.batch_size.max(needed);
        if u64::from(memory) > self.available {
            return Append::NoMemory;
        }
        self.available -= u64::from(memory);
        let expires = now.saturating_add(self.delivery_timeout);
        self.expiry_floor = self.expiry_floor.min(expires);
        self.next_batch += 1;
        let mut batch = ProducerBatch::new(self.next_batch, now, memory, memory);
        batch.try_append(record);
        let (bytes, all_full) = (batch.bytes(), batch.is_full());
        queue.used = true;
        queue.queue.push_back(batch);
        self.waiting.insert(partition);
        self.fresh.insert(partition);
        Append::Done {
            new_batch: true,
            full: all_full || queue.queue.len() > 1,
            bytes,
            all_full,
        }
    }

    /// Which brokers to drain now, and when to look again.
    pub(super) fn ready(&mut self, leaders: &[LeaderAndEpoch], now: Nanos) -> Ready {
        let kept = self.kept.take().filter(|it| now < it.next_check);
        if let Some(mut ready) = kept.filter(|_| !self.at_once()) {
            let brokers = ready.brokers.len();
            self.look(true, &mut ready, leaders, now);
            if ready.brokers.len() == brokers {
                self.fresh.clear();
                return ready;
            }
        }
        let mut ready = Ready::default();
        self.look(false, &mut ready, leaders, now);
        self.fresh.clear();
        ready
    }

    /// Nothing could be sent of what is ready, so that the next look can build on this one.
    pub(super) fn keep(&mut self, ready: Ready) {
        self.kept = Some(ready).filter(|_| !self.at_once());
    }

    fn at_once(&self) -> bool {
        self.exhausted || self.closed
    }

    /// Looks at the partitions that have a batch; or only at those that got one since the last
    /// look, whose result is then added to.
    fn look(&mut self, fresh: bool, ready: &mut Ready, leaders: &[LeaderAndEpoch], now: Nanos) {
        let (at_once, linger) = (self.at_once(), self.linger);
        let mut from = 0;
        loop {
            let set = if fresh { &self.fresh } else { &self.waiting };
            let Some(partition) = set.next(from) else {
                break;
            };
            from = partition + 1;
            let Some(queue) = self.partitions.get_mut(partition as usize) else {
                break;
            };
            let waiting = queue.queue.len();
            let Some(first) = queue.queue.front_mut() else {
                self.waiting.remove(partition);
                continue;
            };
            let Some(known) = leaders.get(partition as usize) else {
                continue;
            };
            first.see_leader_epoch(known.epoch);
            let Some(leader) = known.leader else {
                ready.unknown_leader = true;
                continue;
            };
            if queue.muted || ready.by(partition, leader) {
                continue;
            }
            let backoff = first.backoff();
            let lingered = first.waiting_since.saturating_add(linger);
            let sendable = at_once || waiting > 1 || first.is_full() || lingered <= now;
            if backoff > now {
                ready.next_check = ready.next_check.min(backoff);
            } else if sendable {
                ready.brokers.push(leader);
                ready.firsts.push(partition);
            } else {
                ready.next_check = ready.next_check.min(lingered);
            }
        }
    }

    /// Queue lengths by partition for the adaptive partitioner: of partitions that have a leader,
    /// once every partition has had a batch.
    pub(super) fn queue_sizes(&self, leaders: &[LeaderAndEpoch]) -> Option<Vec<(i32, u32)>> {
        if self.partitions.len() < leaders.len() || !self.partitions.iter().all(|q| q.used) {
            return None;
        }
        let with_leader = (0..)
            .zip(self.partitions.iter().zip(leaders))
            .filter(|(_, (_, known))| known.leader.is_some());
        let sizes = with_leader
            .map(|(at, (queue, _))| (at, u32::try_from(queue.queue.len()).unwrap_or(u32::MAX)));
        Some(sizes.collect())
    }

    /// Takes what one request to `broker` may carry: one batch of each of its partitions.
    pub(super) fn drain(
        &mut self,
        leaders: &[LeaderAndEpoch],
        broker: BrokerId,
        max_size: u32,
        now: Nanos,
        stamping: Stamping,
    ) -> Vec<Drained> {
        let led = || {
            let all = (0..).zip(leaders);
            let led = all.filter(|(_, known)| known.leader == Some(broker));
            led.map(|(partition, known)| (partition, known.epoch))
        };
        self.kept = None;
        let mut drained = Vec::new();
        let count = led().count();
        if count == 0 {
            return drained;
        }
        drained.reserve_exact(count);
        let index = self.drain_index.get(&broker);
        let mut at = index.map_or(0, |at| usize::from(*at) % count);
        let mut size = 0;
        let mut last = at;
        for (partition, epoch) in led().skip(at).chain(led().take(at)) {
            last = at;
            at = (at + 1) % count;
            let room = match drained.is_empty() {
                true => u32::MAX,
                false => max_size.saturating_sub(size),
            };
            match self.drain_one(partition, epoch, room, now, stamping) {
                DrainOne::Batch(batch, bytes) => {
                    size = size.saturating_add(bytes);
                    drained.push(batch);
                }
                DrainOne::Skip => {}
                DrainOne::Stop => break,
            }
        }
        // Partitions are numbered in 16 bits, so their count fits.
        self.drain_index.insert(broker, last as u16);
        drained
    }

    fn drain_one(
        &mut self,
        partition: u16,
        leader_epoch: i32,
        room: u32,
        now: Nanos,
        stamping: Stamping,
    ) -> DrainOne {
        let Some(queue) = self.partitions.get_mut(usize::from(partition)) else {
            return DrainOne::Skip;
        };
        if queue.muted {
            return DrainOne::Skip;
        }
        let Some(first) = queue.queue.front_mut() else {
            return DrainOne::Skip;
        };
        first.see_leader_epoch(leader_epoch);
        if first.backoff() > now {
            return DrainOne::Skip;
        }
        if first.bytes() > room || queue.must_wait(stamping) {
            return DrainOne::Stop;
        }
        let Some(mut batch) = queue.queue.pop_front() else {
            return DrainOne::Skip;
        };
        match stamping {
            Stamping::As(owner) if !batch.has_sequence() => {
                let stale = queue.sequences.owner != owner;
                if stale && !queue.has_in_flight() {
                    queue.start_sequences_at_beginning(owner);
                }
                let base = queue.sequences.next;
                batch.close(owner.stamp(base));
                queue.sequences.next = super::batch::increment(base, batch.count());
            }
            Stamping::As(_) | Stamping::Off => batch.close(crate::log::ProducerStamp::NONE),
        }
        let Some(wire) = batch.wire() else {
            return DrainOne::Skip;
        };
        let (id, bytes) = (batch.id, batch.bytes());
        queue.on_wire.push(batch);
        let drained = Drained {
            partition,
            id,
            batch: wire,
        };
        DrainOne::Batch(drained, bytes)
    }

    /// Puts a batch back after a failed attempt. An idempotent producer keeps the order of
    /// sequences; without idempotence the batch goes to the front, and with several requests in
    /// flight what was sent after it may already be written.
    pub(super) fn reenqueue(&mut self, partition: u16, batch: ProducerBatch) {
        let ordered = self.ordered;
        let Some(queue) = self.partition(partition) else {
            return;
        };
        let place = match ordered {
            false => 0,
            true => {
                let key = batch.stamp().base_sequence;
                let before = |b: &&ProducerBatch| b.has_sequence() && b.stamp().base_sequence < key;
                queue.queue.iter().take_while(before).count()
            }
        };
        queue.queue.insert(place, batch);
        self.waiting.insert(partition);
    }

    /// Takes out the batches that have reached `delivery.timeout.ms` without being under way, and
    /// marks those under way: (partition, batch), in order.
    pub(super) fn expire(&mut self, now: Nanos) -> Vec<(u16, ProducerBatch)> {
        let mut expired = Vec::new();
        if now < self.expiry_floor {
            return expired;
        }
        self.kept = None;
        let timeout = self.delivery_timeout;
        let overdue = |batch: &ProducerBatch| batch.created.saturating_add(timeout) <= now;
        for (partition, queue) in (0..).zip(&mut self.partitions) {
            for batch in &mut queue.on_wire {
                if !batch.expired && overdue(batch) {
                    batch.expired = true;
                    expired.push((partition, batch.clone()));
                }
            }
            while queue.queue.front().is_some_and(overdue) {
                expired.extend(queue.queue.pop_front().map(|batch| (partition, batch)));
            }
        }
        self.expiry_floor = self.next_expiry();
        expired
    }

    /// When [`Accumulator::expire`] has to look again; never after a batch expires.
    pub(super) fn expiry_floor(&self) -> Nanos {
        self.expiry_floor
    }

    fn next_expiry(&self) -> Nanos {
        let batches = self.partitions.iter().flat_map(|queue| {
            let alive = queue.on_wire.iter().find(|batch| !batch.expired);
            queue.queue.front().into_iter().chain(alive)
        });
        let created = batches.map(|batch| batch.created).min();
        created.map_or(NEVER, |at| at.saturating_add(self.delivery_timeout))
    }

    /// Whether anything is neither acknowledged nor failed.
    pub(super) fn has_incomplete(&self) -> bool {
        let open = |queue: &PartitionQueue| {
            !queue.queue.is_empty() || queue.on_wire.iter().any(|batch| !batch.expired)
        };
        self.partitions.iter().any(open)
    }
}

impl PartitionQueue {
    fn sequenced(&self) -> impl Iterator<Item = &ProducerBatch> {
        let waiting = self.queue.iter().take_while(|batch| batch.has_sequence());
        self.on_wire.iter().filter(|b| !b.expired).chain(waiting)
    }

    /// Whether a batch with a sequence is neither acknowledged nor failed.
    pub(super) fn has_in_flight(&self) -> bool {
        self.sequenced().next().is_some()
    }

    fn first_in_flight(&self) -> Option<i32> {
        let key = |b: &&ProducerBatch| {
            let stamp = b.stamp();
            (stamp.id, stamp.epoch, stamp.base_sequence)
        };
        self.sequenced()
            .min_by_key(key)
            .map(|batch| batch.stamp().base_sequence)
    }

    /// Whether the first batch must not be sent yet for the sake of sequence numbers.
    fn must_wait(&self, stamping: Stamping) -> bool {
        let (Stamping::As(owner), Some(first)) = (stamping, self.queue.front()) else {
            return false;
        };
        if !owner.is_valid() {
            return true;
        }
        if !first.has_sequence() {
            // What is under way under the old epoch ends first, and so do retries; and the fate of
            // a sequence must be known before the next is used.
            return self.sequences.unresolved.is_some()
                || (self.sequences.owner != owner && self.has_in_flight())
                || self.sequenced().any(|batch| batch.attempts > 0);
        }
        // A retry goes alone: only the first of all sequences not yet acknowledged may be sent.
        self.first_in_flight() != Some(first.stamp().base_sequence)
    }

    /// Counts from 0 again under a new id or epoch, what is under way included.
    pub(super) fn start_sequences_at_beginning(&mut self, owner: ProducerIdAndEpoch) {
        let waiting = self.queue.iter_mut().filter(|batch| batch.has_sequence());
        let on_wire = self.on_wire.iter_mut().filter(|batch| !batch.expired);
        let mut batches: Vec<&mut ProducerBatch> = on_wire.chain(waiting).collect();
        few::sort_by_key(&mut batches, |b| {
            (b.stamp().id, b.stamp().epoch, b.stamp().base_sequence)
        });
        let mut next = 0;
        for batch in batches {
            batch.restamp(owner.stamp(next));
            next = super::batch::increment(next, batch.count());
        }
        self.sequences.owner = owner;
        self.sequences.next = next;
        self.sequences.last_acked = -1;
    }
}
