//! What arrives at a subtask: channels with their credits, the gate, and the watermark valves.
//!
//! Follows `RemoteInputChannel` (exclusive and floating buffers, announced credit),
//! `CheckpointedInputGate` (by [`Gate`]) and `StatusWatermarkValve`, one for each input of the
//! head. Left out: buffers of a gate that several gates share, and reserved memory for recovery.

use super::debloat::Debloat;
use crate::stream::config::CheckpointingMode;
use crate::stream::element::Buffer;
use crate::stream::job::Job;
use crate::stream::protocol::{ChannelId, TaskId};
use crate::stream::rules::barrier::Action;
use crate::stream::rules::barrier::channel::{Item, Persisted};
use crate::stream::rules::barrier::gate::{Barriers, Gate};
use crate::stream::rules::barrier::handler::{BarrierHandler, Mode};
use crate::stream::rules::barrier::tracker::BarrierTracker;
use crate::stream::rules::watermark_valve::{Out, WatermarkValve};
use serde::Serialize;

/// The receiving end of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InChannel {
    /// The channel.
    pub id: ChannelId,
    /// The sender's node.
    pub node: u32,
    /// Which input of the head, and the channel's place in its valve.
    input: u8,
    place: u32,
    /// Floating buffers that it holds.
    floating: u32,
    /// Room that the sender knows of or will be told of: credit not used yet.
    granted: u32,
    /// Of that, what it has not been told.
    unannounced: u32,
    /// Buffers that waited at the sender when last heard.
    backlog: u32,
    /// Buffers of a restored checkpoint that are still to be read; they took no room.
    restored: u32,
    /// Records of it that were worked on, if they are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
}

/// The input of a subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Input {
    gate: Gate<Buffer>,
    channels: Vec<InChannel>,
    valves: Vec<WatermarkValve>,
    exclusive: u32,
    floating_free: u32,
    ended: u32,
    /// How large buffers it asks for, if they shrink.
    #[serde(skip_serializing_if = "Option::is_none")]
    debloat: Option<Box<Debloat>>,
}

impl Input {
    /// The input of a task whose peers are placed so.
    #[must_use]
    pub fn new(job: &Job, task: TaskId, parallelism: &[u32], placement: &[Vec<u32>]) -> Self {
        let config = &job.spec.config;
        let mut valves = [0usize; 2];
        let mut channels = Vec::new();
        for id in job.graph.channels_into(task, parallelism) {
            let Some(edge) = job.graph.edges.get(id.edge as usize) else {
                continue;
            };
            let input = edge.input.min(1);
            let nodes = placement.get(edge.from.0 as usize);
            let node = nodes.and_then(|it| it.get(id.from as usize)).copied();
            channels.push(InChannel {
                id,
                node: node.unwrap_or(u32::MAX),
                input,
                place: valves[input as usize] as u32,
                floating: 0,
                granted: config.buffers_per_channel,
                unannounced: config.buffers_per_channel,
                backlog: 0,
                restored: 0,
                received: config.is_uncoordinated().then_some(0),
            });
            valves[input as usize] += 1;
        }
        channels.sort_by_key(|it| it.id);
        let many = channels.len() as u32;
        let barriers = match (config.checkpoint_mode, config.unaligned) {
            (CheckpointingMode::AtLeastOnce, _) => {
                Barriers::Tracker(BarrierTracker::new(many, true))
            }
            (CheckpointingMode::ExactlyOnce, false) => {
                Barriers::Single(BarrierHandler::new(Mode::Aligned, many, true))
            }
            (CheckpointingMode::ExactlyOnce, true) => {
                Barriers::Single(BarrierHandler::new(Mode::Alternating, many, true))
            }
        };
        let announcing = vec![true; channels.len()];
        Input {
            gate: Gate::new(&announcing, barriers),
            channels,
            valves: valves.iter().map(|it| WatermarkValve::new(*it)).collect(),
            exclusive: config.buffers_per_channel,
            floating_free: config.floating_buffers,
            ended: 0,
            debloat: Debloat::of(config).filter(|_| many > 0),
        }
    }

    /// The task starts.
    pub fn start(&mut self, now_ms: i64) {
        if let Some(debloat) = &mut self.debloat {
            debloat.start(now_ms);
        }
    }

    /// How large buffers it asks for, if they shrink.
    #[must_use]
    pub fn debloat(&self) -> Option<&Debloat> {
        self.debloat.as_deref()
    }

    /// Buffers that wait for it, here and at the senders as far as was heard
    /// (`getBuffersInUseCount`).
    fn in_use(&self) -> usize {
        let buffer = |it: &&Item<Buffer>| matches!(it, Item::Buffer { .. });
        let queues = self.gate.channels().iter();
        let here: usize = queues.map(|it| it.queued().filter(buffer).count()).sum();
        let there = self.channels.iter().map(|it| it.backlog as usize);
        here + there.sum::<usize>()
    }

    /// The size of buffer that the senders are to be told of: (node, channel, bytes).
    pub fn announce_size(&mut self, out: &mut Vec<(u32, ChannelId, u32)>) {
        if let Some(size) = self.debloat.as_mut().and_then(|it| it.take_news()) {
            out.extend(self.channels.iter().map(|it| (it.node, it.id, size)));
        }
    }

    /// The channels.
    #[must_use]
    pub fn channels(&self) -> &[InChannel] {
        &self.channels
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate<Buffer> {
        &self.gate
    }

    fn place(&self, id: ChannelId) -> Option<usize> {
        self.channels.binary_search_by_key(&id, |it| it.id).ok()
    }

    /// Something arrives; `backlog` is what waits behind it.
    pub fn arrive(&mut self, id: ChannelId, item: Item<Buffer>, backlog: u32) {
        let Some(at) = self.place(id) else {
            return;
        };
        let is_buffer = matches!(item, Item::Buffer { .. });
        self.gate.arrive(at as u32, item);
        let Some(channel) = self.channels.get_mut(at) else {
            return;
        };
        channel.backlog = backlog;
        if is_buffer {
            channel.granted = channel.granted.saturating_sub(1);
        }
        // Room for what waits there, and for as much as the channel owns.
        while channel.granted < backlog.saturating_add(self.exclusive) && self.floating_free > 0 {
            self.floating_free -= 1;
            channel.floating += 1;
            channel.granted += 1;
            channel.unannounced += 1;
        }
    }

    /// What is in flight of a restored checkpoint is read first; it needs no credit.
    pub fn restore(&mut self, id: ChannelId, data: &Buffer, record_bytes: u32) {
        if let Some(at) = self.place(id) {
            let bytes = record_bytes.saturating_mul(data.len() as u32);
            let data = std::sync::Arc::clone(data);
            self.gate.arrive(at as u32, Item::Buffer { data, bytes });
            if let Some(channel) = self.channels.get_mut(at) {
                channel.restored += 1;
            }
        }
    }

    /// Reads what is next: the channel and the item.
    pub fn poll(&mut self, now_ms: i64, out: &mut Vec<Action>) -> Option<(u32, Item<Buffer>)> {
        let polled = self.gate.poll(now_ms, out);
        if let Some(debloat) = &mut self.debloat {
            let bytes = polled.as_ref().map(|(_, item)| match item {
                Item::Buffer { bytes, .. } => *bytes,
                _ => 0,
            });
            debloat.polled(now_ms, bytes);
        }
        let (at, item) = polled?;
        match &item {
            Item::Buffer { .. } => self.recycle(at as usize),
            Item::End => self.ended += 1,
            _ => {}
        }
        Some((at, item))
    }

    /// Whether an event that overtook what waits is there to be handled.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.gate.is_urgent()
    }

    /// A buffer is free again: a floating one goes to whoever needs it, another one becomes credit.
    fn recycle(&mut self, at: usize) {
        let exclusive = self.exclusive;
        let Some(channel) = self.channels.get_mut(at) else {
            return;
        };
        if channel.restored > 0 {
            channel.restored -= 1;
            return;
        }
        let enough = channel.granted >= channel.backlog.saturating_add(exclusive);
        if channel.floating == 0 || !enough {
            channel.granted += 1;
            channel.unannounced += 1;
            return;
        }
        channel.floating -= 1;
        self.floating_free += 1;
        let needs = |it: &&mut InChannel| {
            it.granted < it.backlog.saturating_add(exclusive) && it.backlog > 0
        };
        if let Some(other) = self.channels.iter_mut().find(needs) {
            self.floating_free -= 1;
            other.floating += 1;
            other.granted += 1;
            other.unannounced += 1;
        }
    }

    /// Credit that the senders are to be told of: (node, channel, how much).
    pub fn announce(&mut self, out: &mut Vec<(u32, ChannelId, u32)>) {
        for it in &mut self.channels {
            let credit = std::mem::take(&mut it.unannounced);
            if credit > 0 {
                out.push((it.node, it.id, credit));
            }
        }
    }

    /// A record of a channel is worked on; which input of the head the channel belongs to.
    pub fn take(&mut self, channel: u32) -> u8 {
        if let Some(it) = self.channels.get_mut(channel as usize)
            && let Some(received) = &mut it.received
        {
            *received += 1;
        }
        self.input_of(channel)
    }

    /// Records of each channel that were worked on, where they are counted.
    #[must_use]
    pub fn received(&self) -> Vec<(ChannelId, u64)> {
        let all = self.channels.iter();
        all.filter_map(|it| Some((it.id, it.received?))).collect()
    }

    /// Which input of the head a channel belongs to.
    #[must_use]
    pub fn input_of(&self, channel: u32) -> u8 {
        self.channels.get(channel as usize).map_or(0, |it| it.input)
    }

    /// A watermark came on a channel; returns what its input's valve puts out.
    pub fn watermark(&mut self, channel: u32, watermark: i64) -> Vec<Out> {
        self.valve(channel, |valve, place| valve.watermark(place, watermark))
    }

    /// A channel became active or idle; returns what its input's valve puts out.
    pub fn status(&mut self, channel: u32, active: bool) -> Vec<Out> {
        self.valve(channel, |valve, place| valve.status(place, active))
    }

    fn valve(
        &mut self,
        channel: u32,
        act: impl Fn(&mut WatermarkValve, usize) -> Vec<Out>,
    ) -> Vec<Out> {
        let Some(it) = self.channels.get(channel as usize) else {
            return Vec::new();
        };
        let valve = self.valves.get_mut(it.input as usize);
        valve.map_or_else(Vec::new, |valve| act(valve, it.place as usize))
    }

    /// How many inputs the head has.
    #[must_use]
    pub fn inputs(&self) -> u8 {
        let two = self.channels.iter().any(|it| it.input == 1);
        1 + u8::from(two)
    }

    /// A channel's watermark.
    #[must_use]
    pub fn channel_watermark(&self, channel: &InChannel) -> Option<i64> {
        let valve = self.valves.get(channel.input as usize)?;
        valve.channel_watermark(channel.place as usize)
    }

    /// Floating buffers that channels hold.
    #[must_use]
    pub fn floating_in_use(&self) -> u32 {
        self.channels.iter().map(|it| it.floating).sum()
    }

    /// Whether every channel has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended as usize == self.channels.len()
    }

    /// When the gate wants to look at its barriers again, or the size of buffers is calculated, ms.
    #[must_use]
    pub fn timer_ms(&self) -> Option<i64> {
        let sizes = self.debloat.as_ref().and_then(|it| it.due_ms());
        self.gate.timer_ms().into_iter().chain(sizes).min()
    }

    /// That moment has come.
    pub fn on_timer(&mut self, now_ms: i64, out: &mut Vec<Action>) {
        if self.gate.timer_ms().is_some_and(|due| due <= now_ms) {
            self.gate.on_timer(now_ms, out);
        }
        if let Some(mut debloat) = self.debloat.take() {
            debloat.on_timer(now_ms, || self.in_use());
            self.debloat = Some(debloat);
        }
    }

    /// Channel state stored since the last call, by channel.
    pub fn take_persisted(&mut self) -> Vec<(i64, ChannelId, Buffer)> {
        let channels = &self.channels;
        let each = self.gate.take_persisted().into_iter().filter_map(|it| {
            let Persisted {
                checkpoint,
                channel,
                data,
            } = it;
            Some((checkpoint, channels.get(channel as usize)?.id, data))
        });
        each.collect()
    }

    /// Barriers that are aligned at present: (channel, blocked).
    pub fn blocked(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.gate
            .blocked()
            .filter_map(|at| Some(self.channels.get(at as usize)?.id))
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let queued = self
            .gate
            .channels()
            .iter()
            .map(|it| it.queued().count())
            .sum::<usize>();
        self.channels.len() * (size_of::<InChannel>() + 128) + queued * size_of::<Item<Buffer>>()
    }
}
