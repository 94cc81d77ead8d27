//! What a subtask has written and not sent yet: result partitions, their subpartitions and credits.
//!
//! Follows `RecordWriter`, `BufferWritingResultPartition`, `PipelinedSubpartition` and
//! `CreditBasedSequenceNumberingViewReader` of Flink 2.x. A record goes into the buffer that its
//! subpartition fills; a full buffer, or one older than `execution.buffer-timeout.interval`, is
//! sent as soon as the receiver has given credit for it. Events (barriers, the end) need no credit
//! and end the buffer before them. Watermarks stand between records. A task takes no further record
//! while a subpartition holds `max-buffers-per-channel` buffers or the pool (two for each
//! subpartition and eight) is empty; what one record brings about is always taken, where Flink has
//! five overdraft buffers and then blocks inside the record. A barrier that may overtake does so in
//! the outputs whose receivers can store what is in flight; in the others it waits in line
//! (`RecordWriterOutput.broadcastEvent`). Left out: records that span buffers, bounded partitions.

use crate::kernel::{Purpose, below, draw};
use crate::stream::element::{Buffer, Element, Key, Record};
use crate::stream::job::Job;
use crate::stream::protocol::{ChannelId, TaskId};
use crate::stream::rules::barrier::Barrier;
use crate::stream::rules::barrier::channel::Item;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::spec::{Output as Side, Partitioning};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// `shuffle()`: to whom each record goes.
const SHUFFLE: Purpose = Purpose::named("stream/shuffle");
/// `rebalance()`: with whom a sender begins.
const REBALANCE: Purpose = Purpose::named("stream/rebalance");
/// Floating buffers of an output pool.
const POOL_EXTRA: usize = 8;

/// A subpartition: what waits for one channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Subpartition {
    /// The channel.
    pub channel: ChannelId,
    /// The receiver's node.
    pub node: u32,
    queue: VecDeque<Item<Buffer>>,
    filling: Vec<Element>,
    filling_bytes: u32,
    /// Buffers that the receiver has room for.
    credit: u32,
    /// Whether the receiver has asked for the channel.
    requested: bool,
    /// Bytes of a buffer as the receiver wants it, and of the one being filled; a segment's if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filling_size: Option<u32>,
    /// Whether the receiver has processed the last record.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    processed: bool,
    /// Records written to it, if they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}

impl Subpartition {
    /// Buffers that wait, without the one being filled.
    #[must_use]
    pub fn queued(&self) -> usize {
        let buffers = self
            .queue
            .iter()
            .filter(|it| matches!(it, Item::Buffer { .. }));
        buffers.count()
    }

    /// Buffers in use: those that wait and the one being filled.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.queued() + usize::from(!self.filling.is_empty())
    }

    /// Credit that is left.
    #[must_use]
    pub fn credit(&self) -> u32 {
        self.credit
    }

    /// What waits, oldest first, the filling buffer's elements last.
    pub fn items(&self) -> impl Iterator<Item = &Item<Buffer>> {
        self.queue.iter()
    }

    /// The elements of the buffer being filled.
    #[must_use]
    pub fn filling(&self) -> &[Element] {
        &self.filling
    }

    fn put(&mut self, element: Element, bytes: u32, full: u32) {
        if self.filling.is_empty() {
            self.filling_size = self.size;
        }
        if let (Some(sent), Element::Record(_)) = (&mut self.sent, &element) {
            *sent += 1;
        }
        let full = self.filling_size.unwrap_or(full).min(full);
        self.filling.push(element);
        self.filling_bytes = self.filling_bytes.saturating_add(bytes);
        if self.filling_bytes.saturating_add(bytes) > full {
            self.finish();
        }
    }

    /// Ends the buffer that is being filled.
    fn finish(&mut self) {
        if !self.filling.is_empty() {
            let bytes = std::mem::take(&mut self.filling_bytes);
            let data = Arc::new(std::mem::take(&mut self.filling));
            self.queue.push_back(Item::Buffer { data, bytes });
        }
    }

    /// The place of a barrier that overtakes the first `waiting` items: behind the events at the
    /// front. The buffers among those items are copied to `overtaken`.
    fn overtake(&self, waiting: usize, overtaken: &mut Vec<(ChannelId, Buffer)>) -> usize {
        let waiting = || self.queue.iter().take(waiting);
        overtaken.extend(waiting().filter_map(|item| match item {
            Item::Buffer { data, .. } => Some((self.channel, Arc::clone(data))),
            _ => None,
        }));
        let events = waiting().take_while(|it| !matches!(it, Item::Buffer { .. }));
        events.count()
    }

    /// What may be sent next.
    fn next(&mut self) -> Option<Item<Buffer>> {
        match self.queue.front()? {
            _ if !self.requested => None,
            Item::Buffer { .. } if self.credit == 0 => None,
            Item::Buffer { .. } => {
                self.credit -= 1;
                self.queue.pop_front()
            }
            _ => self.queue.pop_front(),
        }
    }
}

/// The partition of one edge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Partition {
    /// The edge.
    pub edge: u16,
    /// The operator that writes to it.
    pub operator: u32,
    /// Which of its outputs.
    pub side: Side,
    partitioning: Partitioning,
    groups: Option<KeyGroups>,
    /// Whom the last record of a round robin went to.
    turn: u32,
    /// Records written, for draws.
    written: u64,
    /// Barriers do not overtake here, though the job's checkpoints are unaligned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    forced_aligned: bool,
    /// One for each receiver.
    pub subpartitions: Vec<Subpartition>,
}

/// All that a subtask writes to other tasks.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Output {
    /// The partitions.
    pub partitions: Vec<Partition>,
    segment: u32,
    record_bytes: u32,
    max_buffers: u32,
}

/// Something to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sending {
    /// To which node.
    pub node: u32,
    /// On which channel.
    pub channel: ChannelId,
    /// What.
    pub item: Item<Buffer>,
    /// Buffers that wait behind it.
    pub backlog: u32,
}

impl Output {
    /// The output of a task whose peers are placed so.
    #[must_use]
    pub fn new(job: &Job, task: TaskId, parallelism: &[u32], placement: &[Vec<u32>]) -> Self {
        let edges = job.graph.vertices.get(task.vertex as usize);
        let edges = edges.map_or(&[][..], |it| &it.outputs);
        let partition = |edge: &u16| {
            let it = job.graph.edges.get(*edge as usize)?;
            let to = job.graph.receivers(*edge, task.subtask, parallelism);
            let nodes = placement.get(it.to as usize)?;
            let head = job.graph.vertices.get(it.to as usize)?.operators.first()?;
            let head = job.spec.operators.get(*head as usize)?;
            let many = job.graph.parallelism(it.to, parallelism);
            let groups = match it.partitioning {
                Partitioning::Hash => KeyGroups::new(head.max_parallelism, many).ok(),
                _ => None,
            };
            let seat = u64::from(*edge) << 16 | u64::from(task.subtask);
            let subpartitions = to.map(|to| Subpartition {
                channel: ChannelId {
                    edge: *edge,
                    from: task.subtask,
                    to,
                },
                node: nodes.get(to as usize).copied().unwrap_or(u32::MAX),
                queue: VecDeque::new(),
                filling: Vec::new(),
                filling_bytes: 0,
                credit: 0,
                requested: false,
                size: None,
                filling_size: None,
                processed: false,
                sent: job.spec.config.is_uncoordinated().then_some(0),
            });
            let subpartitions: Vec<_> = subpartitions.collect();
            let start = below(
                draw(job.seed, REBALANCE, seat, 0, 0),
                subpartitions.len() as u64,
            );
            Some(Partition {
                edge: *edge,
                operator: it.from.1,
                side: it.output,
                partitioning: it.partitioning,
                groups,
                turn: start as u32,
                written: 0,
                forced_aligned: job.spec.config.unaligned && !job.graph.overtakes(*edge),
                subpartitions,
            })
        };
        Output {
            partitions: edges.iter().filter_map(partition).collect(),
            segment: job.spec.config.segment_size.0,
            record_bytes: job.spec.config.record_bytes,
            max_buffers: job.spec.config.max_buffers_per_channel,
        }
    }

    /// Whether the task may take another record.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.partitions.iter().all(|partition| {
            let mut in_use = 0;
            let each = partition.subpartitions.iter().all(|it| {
                let queued = it.queued();
                in_use += queued;
                queued < self.max_buffers as usize
            });
            each && in_use < partition.subpartitions.len() * 2 + POOL_EXTRA
        })
    }

    /// Writes a record to an edge, by its place among the partitions.
    pub fn record(&mut self, at: usize, record: Record, job: &Job) {
        let (bytes, full) = (self.record_bytes, self.segment);
        let Some(partition) = self.partitions.get_mut(at) else {
            return;
        };
        let number = partition.written;
        partition.written += 1;
        let many = partition.subpartitions.len() as u32;
        let to = match partition.partitioning {
            Partitioning::Broadcast => {
                for it in &mut partition.subpartitions {
                    it.put(Element::Record(record.clone()), bytes, full);
                }
                return;
            }
            Partitioning::Forward | Partitioning::Global => 0,
            Partitioning::Hash => owner(partition.groups.as_ref(), record.key, job),
            Partitioning::Custom => record.key.0.checked_rem(many).unwrap_or(0),
            Partitioning::Rebalance | Partitioning::Rescale => {
                partition.turn = (partition.turn + 1).checked_rem(many).unwrap_or(0);
                partition.turn
            }
            Partitioning::Shuffle => {
                let seat = u64::from(partition.edge) << 16;
                below(draw(job.seed, SHUFFLE, seat, 0, number), u64::from(many)) as u32
            }
        };
        if let Some(it) = partition.subpartitions.get_mut(to as usize) {
            it.put(Element::Record(record), bytes, full);
        }
    }

    /// Writes a watermark or a status to every subpartition of one edge.
    pub fn broadcast(&mut self, at: usize, element: &Element) {
        let (bytes, full) = (self.record_bytes, self.segment);
        if let Some(partition) = self.partitions.get_mut(at) {
            for it in &mut partition.subpartitions {
                it.put(element.clone(), bytes, full);
            }
        }
    }

    /// Writes an event to every subpartition, behind all records.
    pub fn event(&mut self, item: &Item<Buffer>) {
        for it in self.all_mut() {
            it.finish();
            it.queue.push_back(item.clone());
        }
    }

    /// Writes a barrier. An unaligned one goes before all that waits, which is returned: it is part
    /// of the checkpoint. Where none overtakes it goes behind, and nothing is returned.
    pub fn barrier(&mut self, barrier: Barrier) -> Vec<(ChannelId, Buffer)> {
        let mut overtaken = Vec::new();
        for partition in &mut self.partitions {
            let barrier = match partition.forced_aligned {
                true => barrier.as_forced(),
                false => barrier,
            };
            for it in &mut partition.subpartitions {
                it.finish();
                let place = match barrier.is_unaligned() {
                    true => it.overtake(it.queue.len(), &mut overtaken),
                    false => it.queue.len(),
                };
                it.queue.insert(place, Item::Barrier(barrier));
            }
        }
        overtaken
    }

    /// Whether a checkpoint's barrier waits behind what it may overtake yet.
    #[must_use]
    pub fn holds_barrier(&self, checkpoint: i64) -> bool {
        let waits = |it: &Item<Buffer>| is_timeable(it, checkpoint);
        self.all().any(|it| it.queue.iter().any(waits))
    }

    /// The alignment of a checkpoint has taken too long (`alignedBarrierTimeout`): where its barrier
    /// waits it overtakes, and what it overtakes is returned. Where it has left it stays aligned.
    pub fn time_out(&mut self, checkpoint: i64) -> Vec<(ChannelId, Buffer)> {
        let mut overtaken = Vec::new();
        for it in self.all_mut() {
            let Some(at) = it.queue.iter().position(|it| is_timeable(it, checkpoint)) else {
                continue;
            };
            let Some(Item::Barrier(barrier)) = it.queue.remove(at) else {
                continue;
            };
            let place = it.overtake(at, &mut overtaken);
            it.queue
                .insert(place, Item::Barrier(barrier.as_unaligned()));
        }
        overtaken
    }

    /// Ends every buffer that is being filled.
    pub fn flush(&mut self) {
        self.all_mut().for_each(Subpartition::finish);
    }

    /// Whether a buffer is being filled.
    #[must_use]
    pub fn is_filling(&self) -> bool {
        self.all().any(|it| !it.filling.is_empty())
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all()
            .all(|it| it.queue.is_empty() && it.filling.is_empty())
    }

    /// A receiver has room for more.
    pub fn credit(&mut self, channel: ChannelId, credit: u32) {
        for it in self.all_mut().filter(|it| it.channel == channel) {
            it.requested = true;
            it.credit = it.credit.saturating_add(credit);
        }
    }

    /// A receiver wants buffers of another size (`NewBufferSize`): those that begin from now on.
    pub fn resize(&mut self, channel: ChannelId, size: u32) {
        for it in self.all_mut().filter(|it| it.channel == channel) {
            it.size = Some(size);
        }
    }

    /// The receiver of a channel has processed its last record (`onSubpartitionAllDataProcessed`).
    pub fn all_processed(&mut self, channel: ChannelId) {
        for it in self.all_mut().filter(|it| it.channel == channel) {
            it.processed = true;
        }
    }

    /// Whether every receiver has processed the last record (`getAllDataProcessedFuture`).
    #[must_use]
    pub fn is_processed(&self) -> bool {
        self.all().all(|it| it.processed)
    }

    /// Buffers that had not left when the checkpoint was taken are written again first.
    pub fn restore(&mut self, channel: ChannelId, data: &Buffer) {
        let bytes = self.record_bytes.saturating_mul(data.len() as u32);
        for it in self.all_mut().filter(|it| it.channel == channel) {
            let data = Arc::clone(data);
            it.queue.push_back(Item::Buffer { data, bytes });
        }
    }

    /// Takes everything that may be sent now.
    pub fn send(&mut self, out: &mut Vec<Sending>) {
        for it in self.all_mut() {
            while let Some(item) = it.next() {
                out.push(Sending {
                    node: it.node,
                    channel: it.channel,
                    item,
                    backlog: it.queued() as u32,
                });
            }
        }
    }

    /// Records written to each channel, where they are counted: also those that have not left.
    #[must_use]
    pub fn sent(&self) -> Vec<(ChannelId, u64)> {
        let each = self.all().filter_map(|it| Some((it.channel, it.sent?)));
        each.collect()
    }

    fn all(&self) -> impl Iterator<Item = &Subpartition> {
        self.partitions.iter().flat_map(|it| &it.subpartitions)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Subpartition> {
        self.partitions
            .iter_mut()
            .flat_map(|it| &mut it.subpartitions)
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let each = |it: &Subpartition| {
            size_of::<Subpartition>()
                + it.queue.len() * size_of::<Item<Buffer>>()
                + it.filling.len() * size_of::<Element>()
        };
        self.all().map(each).sum()
    }
}

/// Whether an item is a checkpoint's barrier that overtakes nothing, until its timeout.
fn is_timeable(item: &Item<Buffer>, checkpoint: i64) -> bool {
    matches!(item, Item::Barrier(it) if it.checkpoint == checkpoint && it.timeout_ms().is_some())
}

/// The subtask that owns a key.
fn owner(groups: Option<&KeyGroups>, key: Key, job: &Job) -> u32 {
    groups.map_or(0, |groups| {
        groups.operator_index(groups.group_of(job.spec.keys.hash_code(key)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::rules::barrier::Alignment;
    use crate::stream::spec::{MapFunction, OperatorKind};
    use crate::stream::testing::job_of;

    const CHANNEL: ChannelId = ChannelId {
        edge: 0,
        from: 0,
        to: 0,
    };

    fn buffer(value: i64) -> Item<Buffer> {
        Item::Buffer {
            data: Arc::new(vec![Element::Watermark(value)]),
            bytes: 1,
        }
    }

    /// What waits, in short: buffers by their number, barriers with how they are.
    fn shown(it: &Output) -> Vec<String> {
        let items = it.all().flat_map(|it| it.queue.iter());
        let each = items.map(|it| match it {
            Item::Buffer { data, .. } => match data.first() {
                Some(Element::Watermark(value)) => value.to_string(),
                _ => "?".to_owned(),
            },
            Item::Barrier(it) if it.is_unaligned() => format!("!{}", it.checkpoint),
            Item::Barrier(it) => format!("|{}", it.checkpoint),
            _ => "end".to_owned(),
        });
        each.collect()
    }

    /// An output of one channel on which two buffers wait.
    fn output(forced_aligned: bool) -> Output {
        let job = job_of(OperatorKind::Map(MapFunction::Identity), 1);
        let source = TaskId {
            vertex: 0,
            subtask: 0,
        };
        let mut it = Output::new(&job, source, &job.parallelism(), &[vec![1], vec![1]]);
        it.partitions = vec![Partition {
            edge: 0,
            operator: 0,
            side: Side::Main,
            partitioning: Partitioning::Forward,
            groups: None,
            turn: 0,
            written: 0,
            forced_aligned,
            subpartitions: vec![Subpartition {
                channel: CHANNEL,
                node: 1,
                queue: [buffer(1), buffer(2)].into(),
                filling: Vec::new(),
                filling_bytes: 0,
                credit: 0,
                requested: true,
                size: None,
                filling_size: None,
                processed: false,
                sent: None,
            }],
        }];
        it
    }

    fn barrier(alignment: Alignment) -> Barrier {
        Barrier {
            checkpoint: 7,
            created_ms: 0,
            alignment,
            savepoint: false,
        }
    }

    #[test]
    fn a_barrier_waits_in_line_where_none_overtakes() {
        let timed = Alignment::AlignedWithTimeout { timeout_ms: 100 };
        for alignment in [Alignment::Unaligned, timed] {
            let mut it = output(true);
            assert!(it.barrier(barrier(alignment)).is_empty());
            assert!(!it.holds_barrier(7), "the checkpoint does not wait for it");
            assert!(it.time_out(7).is_empty());
            assert_eq!(shown(&it), ["1", "2", "|7"]);
            let Some(Item::Barrier(sent)) = it.all().find_map(|it| it.queue.back()) else {
                panic!("the barrier is the last");
            };
            assert_eq!(sent.timeout_ms(), None, "nor does the receiver time it out");
            assert_eq!(sent.as_asked(), barrier(alignment));
        }
        let mut it = output(false);
        assert_eq!(it.barrier(barrier(Alignment::Unaligned)).len(), 2);
        assert_eq!(shown(&it), ["!7", "1", "2"]);
    }

    #[test]
    fn a_barrier_that_waits_for_too_long_overtakes() {
        let mut it = output(false);
        let barrier = barrier(Alignment::AlignedWithTimeout { timeout_ms: 100 });
        assert!(it.barrier(barrier).is_empty());
        it.partitions[0].subpartitions[0].queue.push_back(buffer(3));
        assert_eq!(shown(&it), ["1", "2", "|7", "3"]);
        assert!(it.holds_barrier(7) && !it.holds_barrier(6));
        let overtaken: Vec<_> = it.time_out(7).into_iter().map(|it| it.1).collect();
        let expected = vec![
            Arc::new(vec![Element::Watermark(1)]),
            Arc::new(vec![Element::Watermark(2)]),
        ];
        assert_eq!(overtaken, expected);
        assert_eq!(shown(&it), ["!7", "1", "2", "3"]);
        assert!(!it.holds_barrier(7) && it.time_out(7).is_empty());
        let mut sent = Vec::new();
        it.send(&mut sent);
        assert_eq!(
            (sent.len(), shown(&it).len()),
            (1, 3),
            "an event needs no credit"
        );
    }
}
