//! Channels from the sender's queue to the receiver's, and what crosses the network.

use super::job::{FEW, Look, SUBTASKS, event_time};
use crate::kernel::World;
use crate::stream::element::{Buffer, Element};
use crate::stream::protocol::{ChannelId, Packet, TaskId};
use crate::stream::rules::barrier::channel::Item;
use crate::stream::task::Task;
use crate::stream::task::output::Subpartition;
use crate::systems::{Msg, Node};
use crate::view::{ChannelView, Crossing, EventTime};
use std::collections::BTreeMap;

/// Things that are shown of a queue.
const LINE: usize = 24;

/// What crosses the network.
#[derive(Default)]
pub(super) struct UnderWay {
    /// Between subtasks.
    pub(super) channels: BTreeMap<ChannelId, Vec<Crossing>>,
    /// Snapshots on their way to the storage: of which checkpoint and task, and how far, in
    /// millionths.
    pub(super) snapshots: BTreeMap<(i64, TaskId), u32>,
}

fn records(data: &Buffer) -> u32 {
    let is_record = |it: &&Element| matches!(it, Element::Record(_));
    data.iter().filter(is_record).count() as u32
}

/// The newest watermark in a buffer.
fn watermark(data: &Buffer) -> EventTime {
    let mut marks = data.iter().rev();
    let found = marks.find_map(|it| match it {
        Element::Watermark(mark) => Some(*mark),
        _ => None,
    });
    found.and_then(event_time)
}

/// A queue's first things, oldest first: buffers and barriers.
fn line<'i>(items: impl Iterator<Item = &'i Item<Buffer>>) -> Vec<Option<i64>> {
    let each = items.filter_map(|it| match it {
        Item::Buffer { .. } => Some(None),
        Item::Barrier(barrier) => Some(Some(barrier.checkpoint)),
        _ => None,
    });
    each.take(LINE).collect()
}

/// What crosses the network between subtasks.
pub(super) fn under_way(world: &World<Node>) -> UnderWay {
    let now = world.now();
    let mut found = UnderWay::default();
    for it in world.in_flight() {
        let Msg::Stream(packet) = it.msg else {
            continue;
        };
        let span = u128::from(it.arrive.saturating_sub(it.depart)).max(1);
        let done = u128::from(now.saturating_sub(it.depart)).min(span);
        let progress_ppm = (done * 1_000_000 / span) as u32;
        let (channel, item) = match packet.packet() {
            Packet::BufferResponse { channel, item, .. } => (channel, item),
            Packet::WriteState { handle, .. } => {
                if let Some(task) = handle.task {
                    found
                        .snapshots
                        .insert((handle.checkpoint, task), progress_ppm);
                }
                continue;
            }
            _ => continue,
        };
        let (barrier, records, watermark) = match item {
            Item::Buffer { data, .. } => (None, records(data), watermark(data)),
            Item::Barrier(barrier) => (Some(barrier.checkpoint), 0, None),
            _ => continue,
        };
        let on = found.channels.entry(*channel).or_default();
        if on.len() < FEW {
            on.push(Crossing {
                barrier,
                records,
                watermark,
                progress_ppm,
            });
        }
    }
    found
}

fn barriers<'i>(items: impl Iterator<Item = &'i Item<Buffer>>) -> Vec<i64> {
    let each = items.filter_map(|it| match it {
        Item::Barrier(barrier) => Some(barrier.checkpoint),
        _ => None,
    });
    each.collect()
}

impl Look<'_> {
    pub(super) fn channels(&self, task: &Task) -> Vec<ChannelView> {
        let config = &self.job.spec.config;
        let held: Vec<ChannelId> = task.input.blocked().collect();
        let queues = task.input.gate().channels();
        let each = task.input.channels().iter().zip(queues).take(SUBTASKS * 2);
        let each = each.map(|(channel, queue)| {
            let id = channel.id;
            let edge = self.job.graph.edges.get(id.edge as usize);
            let vertex = edge.map_or(0, |it| it.from.0);
            let sender = self.task(TaskId {
                vertex,
                subtask: id.from,
            });
            let waits = sender.and_then(|(_, _, it)| sending(it, id));
            let of = |read: &dyn Fn(&Subpartition) -> u32| waits.map_or(0, read);
            let buffers = queue.queued().filter_map(|it| match it {
                Item::Buffer { data, .. } => Some(records(data)),
                _ => None,
            });
            let (queued, records) = buffers.fold((0, 0), |(n, sum), it| (n + 1, sum + it));
            ChannelView {
                edge: id.edge,
                from: (vertex, u32::from(id.from) + 1),
                waiting: of(&|it| it.queued() as u32),
                waiting_max: config.max_buffers_per_channel,
                filling: of(&|it| it.filling().len() as u32),
                credit: of(&Subpartition::credit),
                barriers_waiting: waits.map_or_else(Vec::new, |it| barriers(it.items())),
                crossing: self
                    .under_way
                    .channels
                    .get(&id)
                    .cloned()
                    .unwrap_or_default(),
                queued,
                queued_max: config.buffers_per_channel,
                records,
                barriers: barriers(queue.queued()),
                line: line(queue.queued()),
                line_waiting: waits.map_or_else(Vec::new, |it| line(it.items())),
                held: held.contains(&id),
                watermark: task.input.channel_watermark(channel).and_then(event_time),
            }
        });
        each.collect()
    }
}

/// What a sender has for a channel.
fn sending(task: &Task, channel: ChannelId) -> Option<&Subpartition> {
    let mut all = task.output.partitions.iter();
    all.find_map(|it| it.subpartitions.iter().find(|it| it.channel == channel))
}
