//! The operators of one task: they hand records to each other by calls, in one thread.
//!
//! Follows `OperatorChain`: a record goes through the chain before the next is taken, watermarks and
//! statuses follow behind it, and what leaves the chain is written to the task's output. Each
//! operator's time is charged where the record meets it.

use super::backend::Backend;
use super::output::Output;
use crate::kernel::Nanos;
use crate::stream::element::{Element, Record};
use crate::stream::graph::Graph;
use crate::stream::job::Job;
use crate::stream::note::Note;
use crate::stream::operator::{Operator, Outs, Site, StateSize};
use crate::stream::protocol::{StoreAnswer, StoreRequest, TaskFailure, TaskId};
use crate::stream::sink::{SinkWriter, StoreOut};
use crate::stream::snapshot::{OperatorSnapshot, TaskSnapshot};
use crate::stream::source::SourceReader;
use crate::stream::spec::{OperatorKind, Output as Side};
use serde::Serialize;
use std::sync::Arc;

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
}

impl Chain {
    /// The operators of a task, as they are after a restore (`restored` is empty in a fresh start).
    #[must_use]
    pub fn open(
        job: &Job,
        task: TaskId,
        parallelism: &[u32],
        restored: &[Arc<TaskSnapshot>],
        (checkpoint, now_ms): (Option<i64>, i64),
    ) -> Self {
        let operators = job.graph.vertices.get(task.vertex as usize);
        let operators = operators.map_or(&[][..], |it| &it.operators);
        let link = |operator: &u32| {
            let spec = job.spec.operators.get(*operator as usize)?;
            let site = Site {
                operator: *operator,
                subtask: task.subtask,
                parallelism: parallelism.get(*operator as usize).copied().unwrap_or(1),
                max_parallelism: spec.max_parallelism,
            };
            let states: Vec<&OperatorSnapshot> = restored
                .iter()
                .flat_map(|it| it.operators.iter().filter(|(number, _)| number == operator))
                .map(|(_, state)| state)
                .collect();
            let link = match &spec.kind {
                OperatorKind::Source(_) => {
                    Link::Source(Box::new(SourceReader::open(job, site, &states, now_ms)))
                }
                OperatorKind::Sink(_) => {
                    let sink = SinkWriter::open(job, site, &states, checkpoint, now_ms);
                    Link::Sink(Box::new(sink))
                }
                _ => Link::Operator(Box::new(Operator::open(job, site, &states, now_ms))),
            };
            Some(ChainLink {
                operator: *operator,
                link,
                backend: None,
                cost: spec.cost,
                chained: chained(job, operators, *operator),
                writes: writes(&job.graph, task.vertex, *operator),
                records_in: 0,
                records_out: 0,
                watermark: i64::MIN,
            })
        };
        Chain {
            links: operators.iter().filter_map(link).collect(),
            spent: 0,
            holds_rows: false,
            finished: false,
        }
    }

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
                let done = operator.on_record(input, record, io.0, &mut outs);
                if let (Some(backend), Some(before)) = (&mut it.backend, before) {
                    let cost = backend.access(before, operator.size());
                    self.spent = self.spent.saturating_add(cost);
                }
                self.spread(at, outs, io)?;
                done
            }
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
        record: Record,
        io: &mut (&Job, &mut Output, &mut Effects),
    ) -> Result<(), TaskFailure> {
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

/// The operators chained to one, by their places in the chain.
fn chained(job: &Job, operators: &[u32], to: u32) -> Vec<(Side, u8)> {
    let mut found = Vec::new();
    for (place, operator) in (0..).zip(operators).skip(1) {
        let spec = job.spec.operators.get(*operator as usize);
        let inputs = spec.map_or(&[][..], |it| &it.inputs);
        for input in inputs.iter().filter(|it| it.from == to) {
            found.push((input.output, place));
        }
    }
    found
}

/// The partitions that an operator writes to, by their places in the output.
fn writes(graph: &Graph, vertex: u16, operator: u32) -> Vec<(Side, u8)> {
    let edges = graph.vertices.get(vertex as usize);
    let edges = edges.map_or(&[][..], |it| &it.outputs);
    let of = |(place, edge): (u8, &u16)| {
        let it = graph.edges.get(*edge as usize)?;
        (it.from.1 == operator).then_some((it.output, place))
    };
    (0..).zip(edges).filter_map(of).collect()
}
