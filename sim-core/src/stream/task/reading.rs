//! How a subtask reads: from the buffer at hand, from the gate, or from its source.
//!
//! Follows `StreamTaskNetworkInput.processElement`, `SourceOperator.emitNext` with its periodic
//! watermarks, and `IndexedCombinedWatermarkStatus` for a head with two inputs. That a source asks for a
//! checkpoint after so many records is our own.

use super::{Io, Moment, Task};
use crate::kafka::embed::Begin;
use crate::kernel::{MILLISECOND, Nanos};
use crate::stream::element::{Element, Record};
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Packet, TaskFailure};
use crate::stream::rules::barrier::channel::Item;
use crate::stream::rules::watermark_valve::Out;
use crate::stream::rules::{FINAL_WATERMARK, NO_WATERMARK};
use crate::stream::source::{Polled, Tick};

impl Task {
    /// A source's periodic watermark.
    pub(super) fn tick(&mut self, job: &Job, at: Moment, io: &mut Io) -> Result<(), TaskFailure> {
        let Some(source) = self.chain.source() else {
            return Ok(());
        };
        let tick = source.on_tick(at.wall_ms, job);
        if source.needs_tick() {
            self.arm_tick(job, at.now);
        }
        self.moved(tick, job, io)
    }

    /// A source reads these partitions too, from their start or from where it begins; those that it
    /// did not read before are returned.
    pub(crate) fn add_splits(
        &mut self,
        found: (&[u16], bool),
        job: &Job,
        at: Moment,
    ) -> Vec<(u16, Begin)> {
        let Some(source) = self.chain.source() else {
            return Vec::new();
        };
        let added = source.add_splits(found, at.wall_ms, job);
        if source.needs_tick() {
            self.arm_tick(job, at.now);
        }
        added
    }

    /// A source's status and watermark go out.
    pub(super) fn moved(&mut self, tick: Tick, job: &Job, io: &mut Io) -> Result<(), TaskFailure> {
        let before = self
            .chain
            .links
            .first()
            .map_or(NO_WATERMARK, |it| it.watermark);
        let mut parts = (job, &mut self.output, &mut io.effects);
        if let Some(active) = tick.active {
            self.chain.status(0, active, &mut parts);
            let note = Note::rule(
                Rule::Idle,
                Some(self.id),
                i64::from(!active),
                i64::from(active),
            );
            parts.2.notes.push(note);
        }
        if let Some(watermark) = tick.watermark {
            self.chain.watermark(0, watermark, &mut parts)?;
            let note = Note::rule(Rule::Watermark, Some(self.id), before, watermark);
            io.effects.notes.push(note);
        }
        Ok(())
    }

    /// The source's next tick, at a multiple of the interval.
    fn arm_tick(&mut self, job: &Job, now: Nanos) {
        let interval = job.spec.config.watermark_interval.0.max(1).unsigned_abs();
        let interval = interval.saturating_mul(MILLISECOND);
        if self.tick_at.is_none() {
            self.tick_at = Some((now / interval + 1).saturating_mul(interval));
        }
    }

    /// Takes what is next from the buffer being read, from the gate or from the source; `false` if
    /// there is nothing.
    pub(super) fn next(&mut self, job: &Job, at: Moment, io: &mut Io) -> Result<bool, TaskFailure> {
        if let Some((channel, data, from)) = self.reading.take() {
            let element = data.get(from as usize).cloned();
            if from as usize + 1 < data.len() {
                self.reading = Some((channel, data, from + 1));
            }
            if let Some(element) = element {
                self.element(channel, element, job, at, io)?;
            }
            return Ok(true);
        }
        if self.is_source() {
            return self.poll_source(job, at, io);
        }
        self.poll_gate(job, at, io)
    }

    fn poll_source(&mut self, job: &Job, at: Moment, io: &mut Io) -> Result<bool, TaskFailure> {
        if self.drained || self.stopped_at.is_some() {
            return Ok(false);
        }
        if self.was_drained {
            self.end_of_data(job, at, io)?;
            return Ok(true);
        }
        let Some(source) = self.chain.source() else {
            return Ok(false);
        };
        self.arrives_at = None;
        match source.poll(at.now, at.wall_ms, job) {
            Polled::Record(record) => {
                let moved = source.after_record();
                let read = source.emitted();
                let every = job.spec.config.checkpoint_every;
                if every > 0 && read.saturating_sub(self.counted) >= every {
                    self.counted = read;
                    io.reports.push(Packet::RequestCheckpoint {
                        attempt: self.attempt,
                        task: self.id,
                    });
                }
                self.arm_tick(job, at.now);
                self.record(0, record, job, at, io)?;
                match self.in_hand {
                    // It goes out behind the record.
                    Some(_) => self.behind = moved,
                    None => self.moved(moved, job, io)?,
                }
                Ok(true)
            }
            Polled::Moved(tick) => {
                self.arm_tick(job, at.now);
                self.moved(tick, job, io)?;
                Ok(true)
            }
            Polled::Wait(next) => {
                self.arrives_at = next;
                Ok(false)
            }
            Polled::Paused => Ok(false),
            Polled::Ended => {
                self.end_of_data(job, at, io)?;
                Ok(true)
            }
        }
    }

    /// The source has read all there is, or all that it shall (`StreamTask.endData`).
    pub(super) fn end_of_data(
        &mut self,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        self.drained = true;
        self.chain.finish();
        let mut io = (job, &mut self.output, &mut io.effects);
        self.chain.watermark(0, FINAL_WATERMARK, &mut io)?;
        self.output.flush();
        self.charge(at.now);
        Ok(())
    }

    pub(super) fn poll_gate(
        &mut self,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<bool, TaskFailure> {
        let blocked: usize = self.input.blocked().count();
        let Some((channel, item)) = self.input.poll(at.wall_ms, &mut io.actions) else {
            return Ok(false);
        };
        self.barriers(job, at, io)?;
        if let Item::Barrier(barrier) = &item
            && self.input.blocked().count() > blocked
        {
            let note = Note::rule(Rule::ChannelBlocked, Some(self.id), 0, barrier.checkpoint);
            io.effects.notes.push(note);
        }
        if let Item::Buffer { data, .. } = item
            && !data.is_empty()
        {
            self.decompress(data.len(), job, at);
            self.reading = Some((channel, data, 0));
        }
        Ok(true)
    }

    fn element(
        &mut self,
        channel: u32,
        element: Element,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        match element {
            Element::Record(record) => {
                let input = self.input.take(channel);
                self.record(input, record, job, at, io)
            }
            Element::Watermark(watermark) => {
                let outs = self.input.watermark(channel, watermark);
                self.valve(channel, outs, job, at, io)?;
                if watermark == FINAL_WATERMARK
                    && job.spec.config.unaligned
                    && let Some(channel) = self.input.channels().get(channel as usize)
                {
                    io.processed.push((channel.node, channel.id));
                }
                Ok(())
            }
            Element::Status { active } => {
                let outs = self.input.status(channel, active);
                self.valve(channel, outs, job, at, io)
            }
        }
    }

    fn record(
        &mut self,
        input: u8,
        record: Record,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        let read = self.deserialize(job);
        let cost = self.chain.head_cost().saturating_add(read);
        if cost > 0 {
            self.in_hand = Some((input, record));
            self.busy_until = at.now.saturating_add(cost);
            return Ok(());
        }
        let mut io = (job, &mut self.output, &mut io.effects);
        self.chain.record(0, (input, record), &mut io)?;
        self.charge(at.now);
        Ok(())
    }

    /// What an input's valve let through; of two inputs the lesser counts.
    fn valve(
        &mut self,
        channel: u32,
        outs: Vec<Out>,
        job: &Job,
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        let input = self.input.input_of(channel);
        for out in outs {
            let (mut watermark, mut active) = (None, None);
            match &mut self.inputs {
                None => match out {
                    Out::Watermark(it) => watermark = Some(it),
                    Out::Idle => active = Some(false),
                    Out::Active => active = Some(true),
                },
                Some(both) => {
                    let was_idle = both.update().idle;
                    match out {
                        Out::Watermark(it) => both.set(&input, it),
                        Out::Idle => both.set_idle(&input, true),
                        Out::Active => both.set_idle(&input, false),
                    }
                    let combined = both.update();
                    watermark = combined.watermark;
                    active = (combined.idle != was_idle).then_some(!combined.idle);
                }
            }
            let mut parts = (job, &mut self.output, &mut io.effects);
            if let Some(active) = active {
                self.chain.status(0, active, &mut parts);
            }
            if let Some(watermark) = watermark {
                if watermark == FINAL_WATERMARK {
                    // No record comes after it: the next snapshot is the last.
                    self.chain.finish();
                }
                let before = self
                    .chain
                    .links
                    .first()
                    .map_or(NO_WATERMARK, |it| it.watermark);
                self.chain.watermark(0, watermark, &mut parts)?;
                let note = Note::rule(Rule::Watermark, Some(self.id), before, watermark);
                io.effects.notes.push(note);
            }
            self.charge(at.now);
        }
        Ok(())
    }
}
