//! A running subtask: one thread that reads its input, runs its chain and writes its output.
//!
//! Follows `StreamTask` with its mailbox, `SubtaskCheckpointCoordinatorImpl` and
//! `RecordWriter.OutputFlusher` of Flink 2.x. The thread does one thing at a time: a record, a
//! timer, a barrier. An operator's `cost` is time of that thread; the head's passes before anything
//! comes of the record, the rest of the chain's after it. A barrier that overtakes is handled even
//! while the output has no buffer. When it has read everything it ends once a later checkpoint is
//! complete and its receivers have processed everything (`afterInvoke`). Left out: several inputs of
//! one edge with selection (`InputSelectable`), async I/O, and splitting a record's work at a full
//! output.

pub mod backend;
pub mod chain;
mod checkpoint;
mod compress;
pub mod debloat;
pub mod input;
pub mod output;
mod reading;
mod serialize;

use super::element::{Buffer, Element, Record};
use super::job::Job;
use super::note::{Note, Rule};
use super::protocol::{Attempt, ChannelId, Packet, StoreAnswer, TaskFailure, TaskId};
use super::rules::barrier::Action;
use super::rules::barrier::channel::Item;
use super::rules::watermark_combine::CombinedWatermark;
use super::snapshot::{Schemas, TaskSnapshot};
use super::source::Tick;
use crate::kernel::{MILLISECOND, Nanos};
use chain::{Chain, Effects};
pub use checkpoint::{Checkpoints, Injection};
use input::Input;
use output::{Output, Sending};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Records that a thread without costs handles in one go: then others get their turn.
const TURN_RECORDS: u32 = 2_000;

/// What a thread does at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Doing {
    /// Waits for input.
    #[default]
    Idle,
    /// Works.
    Busy,
    /// Waits for room in its output, or for its store.
    Backpressured,
}

/// How much time a task has spent (`busyTimeMsPerSecond` and its siblings, summed), ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Spent {
    /// Without input.
    pub idle: Nanos,
    /// Working.
    pub busy: Nanos,
    /// Held back.
    pub backpressured: Nanos,
}

/// A task.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Task {
    /// Which.
    pub id: TaskId,
    /// Of which attempt.
    pub attempt: Attempt,
    /// What it reads.
    pub input: Input,
    /// What it does.
    pub chain: Chain,
    /// What it writes.
    pub output: Output,
    /// What is left of the buffer being read: the channel and its elements from this one on.
    reading: Option<(u32, Buffer, u32)>,
    /// A record whose work is going on.
    in_hand: Option<(u8, Record)>,
    /// What a source says behind that record.
    behind: Tick,
    busy_until: Nanos,
    /// Watermarks of two inputs put together; `None` for a head with one.
    inputs: Option<CombinedWatermark<u8>>,
    checkpoints: Checkpoints,
    /// Next time that the source looks at its watermark, ns; none if nothing has changed.
    tick_at: Option<Nanos>,
    /// When the buffers being filled are sent, ns.
    flush_at: Option<Nanos>,
    /// When the source has its next record, ns.
    arrives_at: Option<Nanos>,
    /// Orders of the JobManager that wait until the record in hand has been sent.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    mails: VecDeque<Injection>,
    /// The savepoint that it stopped with: it reads nothing more.
    stopped_at: Option<i64>,
    /// That savepoint is complete: it does nothing more but wait for its stores.
    stopping: bool,
    /// Records that its source had read when it last took part in a checkpoint, or asked for one.
    #[serde(skip_serializing_if = "crate::stream::store::is_zero")]
    counted: u64,
    /// It has read all there is.
    drained: bool,
    /// The job that it goes on from was drained: there is nothing more for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    was_drained: bool,
    /// It has ended its output.
    ended: bool,
    doing: Doing,
    since: Nanos,
    spent: Spent,
    /// What its operators write their keyed state as.
    #[serde(skip_serializing_if = "Schemas::is_empty")]
    pub schemas: Schemas,
}

/// What a task brings about: for its TaskManager to carry out.
#[derive(Default)]
pub struct Io {
    /// Buffers and events to be sent.
    pub sendings: Vec<Sending>,
    /// Credit to be announced: (node, channel, how much).
    pub credits: Vec<(u32, ChannelId, u32)>,
    /// Sizes of buffers to be announced: (node, channel, bytes).
    pub sizes: Vec<(u32, ChannelId, u32)>,
    /// Channels whose last record has been processed: (the sender's node, channel).
    pub processed: Vec<(u32, ChannelId)>,
    /// Requests and notes.
    pub effects: Effects,
    /// Messages to the JobManager.
    pub reports: Vec<Packet>,
    /// States to be written.
    pub uploads: Vec<Packet>,
    actions: Vec<Action>,
}

/// The moment, by the engine and by the machine's wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// ns.
    pub now: Nanos,
    /// ms.
    pub wall_ms: i64,
}

impl Task {
    /// A task whose state has been read; `placement` says where its peers run.
    #[must_use]
    pub fn open(
        job: &Job,
        (id, attempt): (TaskId, Attempt),
        (parallelism, placement): (&[u32], &[Vec<u32>]),
        (restored, checkpoint): (&[Arc<TaskSnapshot>], Option<i64>),
        at: Moment,
    ) -> Self {
        let mut input = Input::new(job, id, parallelism, placement);
        let mut output = Output::new(job, id, parallelism, placement);
        for state in restored {
            for (channel, data) in &state.output_channels {
                output.restore(*channel, data);
            }
            for (channel, data) in &state.input_channels {
                input.restore(*channel, data, job.spec.config.record_bytes);
            }
        }
        let two = (input.inputs() == 2).then(|| {
            let mut both = CombinedWatermark::default();
            both.register(0);
            both.register(1);
            both
        });
        let mut chain = Chain::open(job, id, parallelism, restored, (checkpoint, at.wall_ms));
        let seat = (id.subtask, attempt);
        let limits = (&job.spec.config, job.write_buffer_limit(id, placement));
        chain.open_backends(limits, seat, (restored, checkpoint));
        Task {
            id,
            attempt,
            chain,
            input,
            output,
            reading: None,
            in_hand: None,
            behind: Tick::default(),
            busy_until: 0,
            inputs: two,
            checkpoints: Checkpoints::new(
                job,
                (id, attempt),
                parallelism,
                checkpoint.unwrap_or(0),
                at.now,
            ),
            tick_at: None,
            flush_at: None,
            arrives_at: None,
            mails: VecDeque::new(),
            stopped_at: None,
            stopping: false,
            counted: 0,
            drained: false,
            was_drained: restored.iter().any(|it| it.drained),
            ended: false,
            doing: Doing::Idle,
            since: at.now,
            spent: Spent::default(),
            schemas: Schemas::new(),
        }
    }

    /// The sinks begin; the senders are asked for their channels.
    pub fn start(&mut self, at: Moment, io: &mut Io) {
        io.effects.now_ms = at.wall_ms;
        self.chain.start(at.wall_ms, &mut io.effects);
        self.input.announce(&mut io.credits);
        self.input.start(at.wall_ms);
    }

    /// Whether it reads from outside.
    #[must_use]
    pub fn is_source(&self) -> bool {
        self.input.channels().is_empty()
    }

    /// What the thread does, and what it has spent up to now.
    #[must_use]
    pub fn spent(&self, now: Nanos) -> (Doing, Spent) {
        let mut spent = self.spent;
        spent.add(self.doing, now.saturating_sub(self.since));
        (self.doing, spent)
    }

    /// Elements that were taken out of their buffer and wait for the thread.
    #[must_use]
    pub fn reading(&self) -> &[Element] {
        let rest = self
            .reading
            .as_ref()
            .and_then(|(_, data, from)| data.get(*from as usize..));
        rest.unwrap_or(&[])
    }

    /// The record that is being worked on.
    #[must_use]
    pub fn in_hand(&self) -> Option<&Record> {
        self.in_hand.as_ref().map(|(_, record)| record)
    }

    /// What is known of checkpoints under way here.
    #[must_use]
    pub fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Whether it has done everything (FINISHED).
    #[must_use]
    pub fn has_finished(&self) -> bool {
        let ended = self.stopping || self.ended && self.output.is_empty();
        ended && self.chain.can_finish()
    }

    /// Whether it ends with a savepoint before it has read all.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping && !self.ended
    }

    /// Whether it has a channel to or from a node.
    #[must_use]
    pub fn talks_to(&self, node: u32) -> bool {
        let mut partitions = self.output.partitions.iter();
        let sends = partitions.any(|it| it.subpartitions.iter().any(|to| to.node == node));
        sends || self.input.channels().iter().any(|it| it.node == node)
    }

    /// Whether an operator of the job runs in it.
    #[must_use]
    pub fn runs(&self, operator: u32) -> bool {
        self.chain.links.iter().any(|it| it.operator == operator)
    }

    /// Whether a sort has read all and not put it out yet.
    fn is_merging(&self) -> bool {
        self.chain.links.iter().any(|it| match &it.link {
            chain::Link::Operator(it) => it.sorter().is_some() && it.next_timer().is_some(),
            _ => false,
        })
    }

    fn turn(&mut self, doing: Doing, now: Nanos) {
        self.spent.add(self.doing, now.saturating_sub(self.since));
        self.since = now;
        self.doing = doing;
    }

    /// Works as far as it can at this moment.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn advance(&mut self, job: &Job, at: Moment, io: &mut Io) -> Result<(), TaskFailure> {
        if self.stopping {
            return Ok(());
        }
        if self.flush_at.is_some_and(|due| due <= at.now) {
            self.flush_at = None;
            self.output.flush();
            self.chain.flush(&mut io.effects);
        }
        io.effects.now_ms = at.wall_ms;
        let mut left = TURN_RECORDS;
        let mut doing = Doing::Idle;
        loop {
            if self.busy_until > at.now {
                doing = Doing::Busy;
                break;
            }
            if let Some(hand) = self.in_hand.take() {
                self.chain
                    .record(0, hand, &mut (job, &mut self.output, &mut io.effects))?;
                let behind = std::mem::take(&mut self.behind);
                self.moved(behind, job, io)?;
                self.charge(at.now);
                continue;
            }
            if let Some(order) = self.mails.pop_front() {
                self.triggered(order, job, at, io)?;
                continue;
            }
            if !self.checkpoint_step(job, at, io)? {
                doing = Doing::Backpressured;
                break;
            }
            if self.busy_until > at.now {
                continue;
            }
            if self.timers(job, at, io)? {
                continue;
            }
            if self.ended || left == 0 {
                break;
            }
            if self.input.is_urgent() {
                self.poll_gate(job, at, io)?;
                continue;
            }
            if !self.output.is_available() || !self.chain.is_ready() {
                doing = Doing::Backpressured;
                break;
            }
            left -= 1;
            if !self.next(job, at, io)? {
                break;
            }
        }
        if left == 0 {
            // There is more; the others come first.
            self.busy_until = at.now.max(self.busy_until);
            doing = Doing::Busy;
        }
        if doing == Doing::Backpressured && self.doing != doing {
            io.effects
                .notes
                .push(Note::rule(Rule::Backpressured, Some(self.id), 0, 1));
        }
        self.block_source(doing == Doing::Backpressured);
        self.turn(doing, at.now);
        self.end_if_done(job, at, io);
        self.settle(job, at, io);
        Ok(())
    }

    fn block_source(&mut self, blocked: bool) {
        if let Some(source) = self.chain.source() {
            source.set_blocked(blocked);
        }
    }

    /// Time of the thread that the last call cost.
    fn charge(&mut self, now: Nanos) {
        let spent = self.chain.take_spent();
        if spent > 0 {
            self.busy_until = now.saturating_add(spent);
        }
    }

    /// Timers of the gate, of the source's watermark and of operators; `true` if one was due.
    fn timers(&mut self, job: &Job, at: Moment, io: &mut Io) -> Result<bool, TaskFailure> {
        let mut worked = false;
        if self.input.timer_ms().is_some_and(|due| due <= at.wall_ms) {
            self.input.on_timer(at.wall_ms, &mut io.actions);
            self.barriers(job, at, io)?;
            worked = true;
        }
        if let Some((due, checkpoint)) = self.output_timeout()
            && due <= at.wall_ms
        {
            self.time_out(checkpoint);
            worked = true;
        }
        if self.checkpoints.own_due().is_some_and(|due| due <= at.now) {
            self.take_own(at, io);
            // It goes on when the sinks are flushed, before anything else is done.
            return Ok(true);
        }
        if self.tick_at.is_some_and(|due| due <= at.now) {
            self.tick_at = None;
            self.tick(job, at, io)?;
            worked = true;
        }
        if self.chain.next_timer().is_some_and(|due| due <= at.wall_ms) {
            let mut io = (job, &mut self.output, &mut io.effects);
            self.chain.processing_time(at.wall_ms, &mut io)?;
            worked = true;
        }
        self.charge(at.now);
        Ok(worked)
    }

    /// Something arrives on a channel.
    pub fn arrive(&mut self, channel: ChannelId, item: Item<Buffer>, backlog: u32) {
        self.input.arrive(channel, item, backlog);
        self.checkpoints.store(self.input.take_persisted());
    }

    /// A store answered one of its sinks.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn answer(
        &mut self,
        operator: u32,
        answer: (u64, &StoreAnswer),
        at: Moment,
        io: &mut Io,
    ) -> Result<(), TaskFailure> {
        self.chain
            .answer(operator, answer, at.wall_ms, &mut io.effects)
    }

    /// Ends the output once everything was read and, with checkpoints, the last one is complete.
    fn end_if_done(&mut self, job: &Job, _at: Moment, io: &mut Io) {
        let idle = self.in_hand.is_none() && self.reading.is_none();
        let read = match self.is_source() {
            true => self.drained,
            false => self.input.has_ended(),
        };
        if self.ended || !read || !idle || self.is_merging() {
            return;
        }
        let config = &job.spec.config;
        let checkpointing = config.checkpoint_interval.0 > 0 && !config.is_uncoordinated();
        if checkpointing && !self.checkpoints.is_settled(self.is_source()) {
            return;
        }
        // What an unaligned barrier overtook may still be on its way. Behind an aligned one nothing
        // is, so that nobody need be asked.
        if checkpointing && config.unaligned && !self.output.is_processed() {
            return;
        }
        self.chain.flush(&mut io.effects);
        self.output.event(&Item::End);
        self.ended = true;
    }

    /// Sends what may be sent and sets the moment when the rest goes.
    fn settle(&mut self, job: &Job, at: Moment, io: &mut Io) {
        let timeout = job.spec.config.buffer_timeout.0;
        if timeout == 0 {
            self.output.flush();
            self.chain.flush(&mut io.effects);
        } else if self.flush_at.is_none() && (self.output.is_filling() || self.chain.holds_rows()) {
            let wait = timeout.unsigned_abs().saturating_mul(MILLISECOND);
            self.flush_at = Some(at.now.saturating_add(wait));
        }
        let before = io.sendings.len();
        self.output.send(&mut io.sendings);
        self.serialize(job, at, &io.sendings[before..]);
        self.compress(job, at, &mut io.sendings[before..]);
        // Snapshots may have waited for their barriers to leave.
        self.write(job, io);
        self.input.announce(&mut io.credits);
        self.input.announce_size(&mut io.sizes);
    }

    /// When it wants to be called again: ns of the engine, and ms of its wall clock.
    #[must_use]
    pub fn wakes(&self, now: Nanos) -> (Option<Nanos>, Option<i64>) {
        if self.stopping {
            return (None, None);
        }
        if self.in_hand.is_some() || self.doing == Doing::Busy {
            // The thread does nothing else meanwhile; what is written is sent by another.
            let first = [Some(self.busy_until.max(now)), self.flush_at];
            return (first.into_iter().flatten().min(), None);
        }
        if self.checkpoints.is_flushing() {
            return (self.flush_at, None);
        }
        // A thread that is held back or has stopped reads nothing until it is told.
        let reads = self.doing == Doing::Idle && self.stopped_at.is_none() && !self.drained;
        let arrives = self.arrives_at.filter(|_| reads);
        let own = self.checkpoints.own_due().filter(|_| !self.ended);
        let first = [self.tick_at, self.flush_at, arrives, own];
        let first = first.into_iter().flatten().min();
        let wall = self
            .chain
            .next_timer()
            .into_iter()
            .chain(self.input.timer_ms())
            .chain(self.output_timeout().map(|it| it.0))
            .min();
        (first, wall)
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Task>() + self.input.weight() + self.output.weight() + self.chain.weight()
    }
}

impl Spent {
    fn add(&mut self, doing: Doing, span: Nanos) {
        let of = match doing {
            Doing::Idle => &mut self.idle,
            Doing::Busy => &mut self.busy,
            Doing::Backpressured => &mut self.backpressured,
        };
        *of = of.saturating_add(span);
    }
}
