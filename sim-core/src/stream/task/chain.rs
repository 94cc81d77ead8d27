//! The operators of one task: they hand records to each other by calls, in one thread.
//!
//! Follows `OperatorChain`: a record goes through the chain before the next is taken, watermarks and
//! statuses follow behind it, and what leaves the chain is written to the task's output. Each
//! operator's time is charged where the record meets it.
//!
//! With `pipeline.object-reuse` they hand on the object itself (`ChainingOutput`), without it a copy
//! (`CopyingChainingOutput`). So a function that changes what it was given changes it for whoever
//! holds it too: the operators before it that passed the same object on, those that get it next, and
//! the state on the heap of the process that put out what it keeps. Left out: windows, joins and
//! lists, whose elements are copied here whatever is set, and what a reused object of the network's
//! deserializer would do.

mod open;

use super::backend::Backend;
use super::output::Output;
use crate::kernel::Nanos;
use crate::stream::element::{Element, Key, Record};
use crate::stream::job::Job;
use crate::stream::note::Note;
use crate::stream::operator::{Operator, Outs, Reuse, StateSize};
use crate::stream::protocol::{StoreAnswer, StoreRequest, TaskFailure};
use crate::stream::rules::window::aggregate::Value;
use crate::stream::sink::{SinkWriter, StoreOut};
use crate::stream::snapshot::OperatorSnapshot;
use crate::stream::source::SourceReader;
use crate::stream::spec::Output as Side;
use serde::Serialize;

/// What an operator is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Link {
    /// The head of a task that reads from outside.
    Source(Box<SourceReader>),
    /// Anything between.
    Operator(Box<Operator>),
    /// Writes to the outside.
    Sink(Box<SinkWriter>),
}

/// An operator in its chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ChainLink {
    /// Its number in the job.
    pub operator: u32,
    /// What it is.
    pub link: Link,
    /// Where its keyed state lives, if not on the heap.
    pub backend: Option<Box<Backend>>,
    /// What a record costs, ns.
    cost: Nanos,
    /// The operators chained to it: which output, and their places.
    chained: Vec<(Side, u8)>,
    /// Partitions that it writes to: which output, and their places.
    writes: Vec<(Side, u8)>,
    /// Records that it was handed (`numRecordsIn`; of a source, those it read).
    pub records_in: u64,
    /// Records that it put out (`numRecordsOut`).
    pub records_out: u64,
    /// The watermark that it passed on last, ms.
    pub watermark: i64,
}

/// What a task brings about while it works; not state.
#[derive(Default)]
pub struct Effects {
    /// The wall clock of the task's machine, ms.
    pub now_ms: i64,
    /// Whether operators that judge records by time say what became of each.
    pub plot: bool,
    /// Requests to stores outside: the operator, its number for the request, the request.
    pub requests: Vec<(u32, u64, StoreRequest)>,
    /// Notes.
    pub notes: Vec<Note>,
    outs: Vec<Outs>,
    store: StoreOut,
}

/// A chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Chain {
    /// The operators, the head first.
    pub links: Vec<ChainLink>,
    /// Time that the last call cost, ns.
    spent: Nanos,
    /// A sink may hold rows that it has not sent.
    holds_rows: bool,
    /// No record comes any more.
    finished: bool,
    /// What the object in hand became, by a function that changes what it is given; none between
    /// two calls.
    #[serde(skip)]
    changed: Option<Value>,
}

impl Chain {
    /// The operator at the head, by its number.
    #[must_use]
    pub fn head(&self) -> Option<u32> {
        self.links.first().map(|it| it.operator)
    }

    /// The source at the head, if it is one.
    pub fn source(&mut self) -> Option<&mut SourceReader> {
        match &mut self.links.first_mut()?.link {
            Link::Source(source) => Some(source),
            _ => None,
        }
    }

    /// Takes the time that was spent since the last call, ns.
    pub fn take_spent(&mut self) -> Nanos {
        std::mem::take(&mut self.spent)
    }

    /// What a record costs at the head before anything comes of it, ns.
    #[must_use]
    pub fn head_cost(&self) -> Nanos {
        self.links.first().map_or(0, |it| it.cost)
    }

    /// A record comes to an operator. The head's own cost was spent beforehand.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn record(
        &mut self,
        at: usize,
        (input, record): (u8, Record),
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        let Some(it) = self.links.get_mut(at) else {
            return Ok(());
        };
        it.records_in += 1;
        if at > 0 {
            self.spent = self.spent.saturating_add(it.cost);
        }
        match &mut it.link {
            Link::Source(_) => {
                it.records_out += 1;
                self.hand(at, Side::Main, record, io)
            }
            Link::Sink(sink) => {
                sink.on_record(record, &mut io.2.store);
                self.holds_rows = true;
                io.2.settle(it.operator);
                Ok(())
            }
            Link::Operator(operator) => {
                let mut outs = io.2.outs();
                let before = it.backend.as_ref().map(|_| operator.size());
                let key = record.key;
                let done = operator.on_record(input, record, io.0, &mut outs);
                if let (Some(backend), Some(before)) = (&mut it.backend, before) {
                    let cost = backend.access(before, operator.size());
                    self.spent = self.spent.saturating_add(cost);
                }
                let first = outs.main.first().filter(|_| io.0.spec.config.object_reuse);
                let said = first.map(|it| it.value.clone());
                self.spread(at, outs, io)?;
                if let Some(said) = said {
                    self.share(at, key, said, io.0);
                }
                done
            }
        }
    }

    /// Objects are reused, and an operator was done with one: whether another holds what became of
    /// it, or of what the operator put out.
    fn share(&mut self, at: usize, key: Key, said: Value, job: &Job) {
        let changed = self.changed.take();
        let Some(ChainLink { link, backend, .. }) = self.links.get_mut(at) else {
            return;
        };
        let Link::Operator(operator) = link else {
            return;
        };
        match (operator.reuse(job), changed) {
            (Reuse::Changed, changed) => self.changed = changed.or(Some(said)),
            (Reuse::PassedOn, changed) => self.changed = changed,
            // A heap keeps the object, a tree of files has bytes of its own.
            (Reuse::Left, Some(changed)) if backend.is_none() => {
                operator.alias(key, &changed, job);
            }
            (Reuse::Left, _) => {}
        }
    }

    /// Hands on what an operator put out, then the watermark behind it.
    fn spread(
        &mut self,
        at: usize,
        mut outs: Outs,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        io.2.notes.append(&mut outs.notes);
        if let Some(it) = self.links.get_mut(at) {
            it.records_out += outs.main.len() as u64;
        }
        self.spent = self.spent.saturating_add(outs.spent);
        for record in outs.main.drain(..) {
            self.hand(at, Side::Main, record, io)?;
        }
        for record in outs.late.drain(..) {
            self.hand(at, Side::Late, record, io)?;
        }
        for record in outs.late_right.drain(..) {
            self.hand(at, Side::LateRight, record, io)?;
        }
        let (forward, status) = (outs.forward.take(), outs.status.take());
        io.2.outs.push(outs);
        if let Some(active) = status {
            self.status_from(at, active, io);
        }
        match forward {
            Some(watermark) => self.watermark_from(at, watermark, io),
            None => Ok(()),
        }
    }

    /// Gives a record to everyone who reads this output of an operator.
    fn hand(
        &mut self,
        at: usize,
        side: Side,
        mut record: Record,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        self.changed = None;
        let Some(it) = self.links.get(at) else {
            return Ok(());
        };
        let (chained, writes) = (it.chained.len(), it.writes.len());
        for n in 0..writes {
            let Some((of, place)) = self.links.get(at).and_then(|it| it.writes.get(n)).copied()
            else {
                continue;
            };
            if of == side {
                if chained == 0 && n + 1 == writes {
                    io.1.record(place as usize, record, io.0);
                    return Ok(());
                }
                io.1.record(place as usize, record.clone(), io.0);
            }
        }
        for n in 0..chained {
            let Some((of, next)) = self.links.get(at).and_then(|it| it.chained.get(n)).copied()
            else {
                continue;
            };
            if of == side {
                if n + 1 == chained {
                    return self.record(next as usize, (0, record), io);
                }
                self.record(next as usize, (0, record.clone()), io)?;
                if let Some(changed) = &self.changed {
                    record.value.clone_from(changed);
                }
            }
        }
        Ok(())
    }

    /// A watermark comes to an operator.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn watermark(
        &mut self,
        at: usize,
        watermark: i64,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        let Some(it) = self.links.get_mut(at) else {
            return Ok(());
        };
        match &mut it.link {
            Link::Source(_) => self.watermark_from(at, watermark, io),
            Link::Sink(_) => {
                it.watermark = watermark;
                Ok(())
            }
            Link::Operator(operator) => {
                let mut outs = io.2.outs();
                let done = operator.on_watermark(watermark, io.0, &mut outs);
                self.spread(at, outs, io)?;
                done
            }
        }
    }

    /// A watermark leaves an operator: every output carries it.
    fn watermark_from(
        &mut self,
        at: usize,
        watermark: i64,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        let Some(it) = self.links.get_mut(at) else {
            return Ok(());
        };
        it.watermark = it.watermark.max(watermark);
        for (_, place) in &it.writes {
            io.1.broadcast(*place as usize, &Element::Watermark(watermark));
        }
        for n in 0..it.chained.len() {
            let next = self.links.get(at).and_then(|it| it.chained.get(n)).copied();
            if let Some((_, next)) = next {
                self.watermark(next as usize, watermark, io)?;
            }
        }
        Ok(())
    }

    /// The stream into an operator became active or idle.
    pub fn status(&mut self, at: usize, active: bool, io: &mut (&Job, &mut Output, &mut Effects)) {
        if let Some(Link::Operator(operator)) = self.links.get_mut(at).map(|it| &mut it.link) {
            let mut outs = io.2.outs();
            operator.on_status(active, &mut outs);
            let passed_on = outs.status.take();
            io.2.outs.push(outs);
            // An operator with watermarks of its own says by itself whether it is idle.
            if passed_on.is_none() {
                return;
            }
        }
        self.status_from(at, active, io);
    }

    fn status_from(&mut self, at: usize, active: bool, io: &mut (&Job, &mut Output, &mut Effects)) {
        let Some(it) = self.links.get(at) else {
            return;
        };
        for (_, place) in &it.writes {
            io.1.broadcast(*place as usize, &Element::Status { active });
        }
        for n in 0..it.chained.len() {
            let next = self.links.get(at).and_then(|it| it.chained.get(n)).copied();
            if let Some((_, next)) = next {
                self.status(next as usize, active, io);
            }
        }
    }

    /// The wall clock moved: timers of operators, ms.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn processing_time(
        &mut self,
        now_ms: i64,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
        for at in 0..self.links.len() {
            let Some(it) = self.links.get_mut(at) else {
                continue;
            };
            if let Link::Operator(operator) = &mut it.link
                && operator.next_timer().is_some_and(|due| due <= now_ms)
            {
                let mut outs = io.2.outs();
                let done = operator.on_processing_time(now_ms, io.0, &mut outs);
                self.spread(at, outs, io)?;
                done?;
            }
        }
        Ok(())
    }

    /// When an operator wants the wall clock looked at, ms.
    #[must_use]
    pub fn next_timer(&self) -> Option<i64> {
        let each = self.links.iter().filter_map(|it| match &it.link {
            Link::Operator(operator) => operator.next_timer(),
            _ => None,
        });
        each.min()
    }

    fn sinks(&mut self) -> impl Iterator<Item = (u32, &mut SinkWriter)> {
        self.links.iter_mut().filter_map(|it| match &mut it.link {
            Link::Sink(sink) => Some((it.operator, &mut **sink)),
            _ => None,
        })
    }

    /// Lets the sinks begin.
    pub fn start(&mut self, now_ms: i64, effects: &mut Effects) {
        for (operator, sink) in self.sinks() {
            sink.start(now_ms, &mut effects.store);
            effects.settle(operator);
        }
    }

    /// Whether every sink may take a record; one that gets none any more holds nothing up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.finished
            || self.links.iter().all(|it| match &it.link {
                Link::Sink(sink) => sink.ready(),
                _ => true,
            })
    }

    /// Lets the sinks send what they hold back.
    pub fn flush(&mut self, effects: &mut Effects) {
        self.holds_rows = false;
        for (operator, sink) in self.sinks() {
            sink.flush(&mut effects.store);
            effects.settle(operator);
        }
    }

    /// Whether the sinks wait for no answer that their guarantee needs.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.links.iter().all(|it| match &it.link {
            Link::Sink(sink) => sink.is_flushed(),
            _ => true,
        })
    }

    /// Whether the sinks wait for nothing that must not be left to nobody.
    #[must_use]
    pub fn can_finish(&self) -> bool {
        self.links.iter().all(|it| match &it.link {
            Link::Sink(sink) => sink.can_finish(),
            _ => true,
        })
    }

    /// Whether a sink may hold rows that it has not sent.
    #[must_use]
    pub fn holds_rows(&self) -> bool {
        self.holds_rows
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.links.len() * (size_of::<ChainLink>() + 512)
    }

    /// Takes every operator's snapshot.
    pub fn snapshot(
        &mut self,
        checkpoint: i64,
        now_ms: i64,
        effects: &mut Effects,
    ) -> Vec<(u32, OperatorSnapshot)> {
        let mut all = Vec::with_capacity(self.links.len());
        for it in &mut self.links {
            let snapshot = match &mut it.link {
                Link::Source(source) => source.snapshot_at(checkpoint),
                Link::Operator(operator) => operator.snapshot(),
                Link::Sink(sink) => {
                    let snapshot = sink.snapshot(checkpoint, now_ms, &mut effects.store);
                    effects.settle(it.operator);
                    snapshot
                }
            };
            all.push((it.operator, snapshot));
        }
        all
    }

    /// Tells the sinks that the input has ended: the next snapshot is the last.
    pub fn finish(&mut self) {
        self.finished = true;
        self.sinks().for_each(|(_, sink)| sink.finish());
    }

    /// Lets the sinks go in order: what they hold open is aborted.
    pub fn close(&mut self, effects: &mut Effects) {
        for (operator, sink) in self.sinks() {
            sink.close(&mut effects.store);
            effects.settle(operator);
        }
    }

    /// The connection to a sink's store was lost.
    ///
    /// # Errors
    ///
    /// If the sink waited for an answer: the task has to fail.
    pub fn store_lost(&mut self, of: u32) -> Result<(), TaskFailure> {
        let mut sinks = self.sinks();
        let found = sinks.find(|(operator, _)| *operator == of);
        found.map_or(Ok(()), |(_, sink)| sink.on_disconnected())
    }

    /// A checkpoint is complete.
    pub fn complete(&mut self, checkpoint: i64, now_ms: i64, effects: &mut Effects) {
        for (operator, sink) in self.sinks() {
            sink.on_complete(checkpoint, now_ms, &mut effects.store);
            effects.settle(operator);
        }
    }

    /// A store answered.
    ///
    /// # Errors
    ///
    /// What the task fails with.
    pub fn answer(
        &mut self,
        operator: u32,
        (request, answer): (u64, &StoreAnswer),
        now_ms: i64,
        effects: &mut Effects,
    ) -> Result<(), TaskFailure> {
        for (number, sink) in self.sinks() {
            if number == operator {
                let done = sink.on_answer(request, answer, now_ms, &mut effects.store);
                effects.settle(operator);
                done?;
            }
        }
        Ok(())
    }

    /// What the operators keep.
    #[must_use]
    pub fn size(&self) -> StateSize {
        let mut all = StateSize::default();
        for it in &self.links {
            if let Link::Operator(operator) = &it.link {
                let size = operator.size();
                all.entries += size.entries;
                all.bytes += size.bytes;
            }
        }
        all
    }
}

impl Effects {
    /// A buffer for what an operator hands out.
    fn outs(&mut self) -> Outs {
        let mut outs = self.outs.pop().unwrap_or_default();
        outs.clear();
        (outs.now_ms, outs.plot) = (self.now_ms, self.plot);
        outs
    }

    /// Takes what a sink brought about.
    fn settle(&mut self, operator: u32) {
        self.notes.append(&mut self.store.notes);
        let requests = self.store.requests.drain(..);
        self.requests
            .extend(requests.map(|(number, request)| (operator, number, request)));
    }
}
