//! The enumerators of sources that read topics: which partitions there are, and who reads them.
//!
//! Follows `KafkaSourceEnumerator` with `SourceCoordinator` and `SplitAssignmentTracker` of the Kafka
//! connector 4.x and Flink 2.x. Every `partition.discovery.interval.ms` a source's enumerator asks
//! the cluster how many partitions its topic has. New ones are read from their start (FLIP-288) by
//! the subtask that `getSplitOwner` names, as soon as that runs. When tasks restart by themselves the
//! enumerator lives on, and gives those partitions again that their checkpoint does not hold; when
//! the job restarts as a whole, or is submitted again, or the JobManager died, a new one knows what
//! the checkpoint held and asks at once, whatever the interval is. One that has no checkpoint takes
//! all that it finds for its first partitions, which are read from the source's starting offsets. An
//! answer that does not come within `default.api.timeout.ms` fails the job.
//!
//! The partitions that the file names are there when the job begins: they are not asked for, and
//! every reader knows its own. Left out: partitions and topics that are removed, patterns of topics,
//! an [`AddSplits`](Packet::AddSplits) that gets lost without the connection (in Flink it fails the
//! task).

use super::failover::Cause;
use super::{ExecutionState, JobManager, JobManagerTimer, ms};
use crate::kafka::embed::{Listed, Lister, unmark};
use crate::kafka::ids::{AddressBook, TopicId};
use crate::kafka::{self, KafkaCx};
use crate::kernel::{MICROSECOND, Nanos, NodeId, TimerId};
use crate::stream::clients::Lane;
use crate::stream::job::Job;
use crate::stream::node::{StreamCx, Timer};
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Packet, TaskId};
use crate::stream::source::owner;
use crate::stream::spec::{OperatorKind, SourceSpec};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The partitions that a source was given while the job ran, by the operator's number.
pub(super) type Enumerated = Vec<(u32, Vec<u16>)>;

/// A source's enumerator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Enumerator {
    operator: u32,
    /// Its `AdminClient`, since it first asked.
    lister: Option<Box<Lister>>,
    /// Partitions that no reader has yet: whether they are read from their start.
    unassigned: BTreeMap<u16, bool>,
    /// Partitions that a reader has: the same, and the last checkpoint triggered before it got them.
    assigned: BTreeMap<u16, (bool, i64)>,
    /// Its first discovery is still to come.
    fresh: bool,
    /// When it asks next, ns; none if never.
    next: Option<Nanos>,
}

/// The enumerators of a job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Discovery {
    /// The cluster, if the job reads or writes topics.
    #[serde(skip)]
    book: Option<Arc<AddressBook>>,
    enumerators: Vec<Enumerator>,
    /// When the timer fires, and the timer.
    alarm: Option<(Nanos, TimerId)>,
    /// They are new when the job is deployed next.
    #[serde(skip)]
    renewed: bool,
}

fn source(job: &Job, operator: u32) -> Option<&SourceSpec> {
    match &job.spec.operators.get(operator as usize)?.kind {
        OperatorKind::Source(it) if it.kafka.is_some() => Some(it),
        _ => None,
    }
}

impl Discovery {
    /// The enumerators of a job that has not begun.
    pub(super) fn new(job: &Job, book: Option<Arc<AddressBook>>) -> Self {
        let many = job.spec.operators.len() as u32;
        let sources = (0..many).filter(|it| book.is_some() && source(job, *it).is_some());
        let enumerators = sources.map(|operator| Enumerator {
            operator,
            lister: None,
            unassigned: BTreeMap::new(),
            assigned: BTreeMap::new(),
            fresh: false,
            next: None,
        });
        Discovery {
            enumerators: enumerators.collect(),
            book,
            alarm: None,
            renewed: true,
        }
    }

    /// The cluster.
    pub(super) fn book(&self) -> Option<Arc<AddressBook>> {
        self.book.clone()
    }

    /// Nothing was asked yet, and nothing found.
    pub(super) fn is_quiet(&self) -> bool {
        let quiet = |it: &Enumerator| {
            it.lister.is_none() && it.assigned.is_empty() && it.unassigned.is_empty()
        };
        self.alarm.is_none() && self.enumerators.iter().all(quiet)
    }

    /// The enumerators are new when the job is deployed next (`resetToCheckpoint`).
    pub(super) fn renew(&mut self) {
        self.renewed = true;
    }

    /// What a checkpoint holds of them: what was assigned when it was triggered.
    pub(super) fn at(&self, checkpoint: i64) -> Enumerated {
        let each = self.enumerators.iter().map(|it| {
            let before = it.assigned.iter().filter(|(_, it)| it.1 < checkpoint);
            (it.operator, before.map(|(number, _)| *number).collect())
        });
        each.filter(|(_, it): &(u32, Vec<u16>)| !it.is_empty())
            .collect()
    }

    /// About how many bytes a copy takes.
    pub(super) fn weight(&self) -> usize {
        let listers = self.enumerators.iter().filter_map(|it| it.lister.as_ref());
        listers.map(|it| it.weight()).sum()
    }
}

impl JobManager {
    /// The job's sources reach the Kafka cluster behind `book`.
    #[must_use]
    pub fn with_cluster(mut self, book: Option<Arc<AddressBook>>) -> Self {
        self.discovery = Discovery::new(&self.job, book);
        self
    }

    fn interval(&self, operator: u32) -> Option<Nanos> {
        let source = source(&self.job, operator)?.kafka.as_ref()?;
        let interval = source.config.discovery_ms;
        (interval > 0).then(|| ms(interval))
    }

    /// All tasks begin: with enumerators that are new, if so it was said.
    pub(super) fn begin_discovery(&mut self, cx: &mut StreamCx<'_>) {
        if !std::mem::take(&mut self.discovery.renewed) {
            return;
        }
        let (now, first) = (cx.now(), self.attempt == 0);
        let latest = self.coordinator.latest();
        let held = latest.map(|it| it.enumerators.clone());
        for at in 0..self.discovery.enumerators.len() {
            let Some(operator) = self.discovery.enumerators.get(at).map(|it| it.operator) else {
                continue;
            };
            let interval = self.interval(operator);
            let of_source = held.iter().flatten().filter(|it| it.0 == operator);
            let assigned = of_source.flat_map(|it| &it.1);
            let assigned = assigned.map(|number| (*number, (true, 0))).collect();
            if let Some(it) = self.discovery.enumerators.get_mut(at) {
                it.assigned = assigned;
                it.unassigned.clear();
                it.fresh = held.is_none() && !first;
                it.next = interval.map(|interval| now.saturating_add(interval));
            }
            if !first {
                self.ask(at, cx);
            }
        }
        self.arm_discovery(cx);
    }

    /// Sets the timer for the next question if that is due before the next heartbeat, which looks
    /// again: a run that ends before has nothing of it.
    pub(super) fn arm_discovery(&mut self, cx: &mut StreamCx<'_>) {
        let next = self.discovery.enumerators.iter().filter_map(|it| it.next);
        let Some(next) = next.min().filter(|_| !self.status.is_terminal()) else {
            return;
        };
        let heartbeat = ms(self.job.spec.config.heartbeat_interval.0.max(1));
        if next > cx.now().saturating_add(heartbeat) {
            return;
        }
        match self.discovery.alarm {
            Some((set, _)) if set <= next => return,
            Some((_, timer)) => cx.cancel(timer),
            None => {}
        }
        // A clock that runs fast fires early; what remains must not shrink for ever.
        let wait = next.saturating_sub(cx.now()).max(MICROSECOND);
        let timer = self.set_timer(wait, JobManagerTimer::Discovery, cx);
        self.discovery.alarm = Some((next, timer));
    }

    /// Whose interval is over asks. One that waits for an answer still does not ask twice.
    pub(super) fn discover(&mut self, cx: &mut StreamCx<'_>) {
        self.discovery.alarm = None;
        if self.status.is_terminal() {
            return;
        }
        let now = cx.now();
        for at in 0..self.discovery.enumerators.len() {
            let it = self.discovery.enumerators.get(at);
            let Some((operator, next)) = it.and_then(|it| Some((it.operator, it.next?))) else {
                continue;
            };
            if next > now {
                continue;
            }
            let interval = self.interval(operator);
            if let Some(it) = self.discovery.enumerators.get_mut(at) {
                it.next = interval.map(|interval| next.saturating_add(interval).max(now + 1));
            }
            self.ask(at, cx);
        }
        self.arm_discovery(cx);
    }

    fn ask(&mut self, at: usize, cx: &mut StreamCx<'_>) {
        let Some(book) = self.discovery.book() else {
            return;
        };
        let Some(it) = self.discovery.enumerators.get_mut(at) else {
            return;
        };
        let kafka = source(&self.job, it.operator).and_then(|it| it.kafka.as_ref());
        let name = kafka.map_or("", |it| it.topic.as_str());
        let topic = book.topics.iter().position(|it| **it == *name);
        let topic = TopicId(topic.map_or(u16::MAX, |it| it as u16));
        let lister = it
            .lister
            .get_or_insert_with(|| Box::new(Lister::new(topic, &book)));
        if !lister.is_asked() {
            self.call_lister(at, cx, |it, cx| it.ask(cx));
        }
    }

    /// A message of a broker.
    pub(super) fn broker_says(&mut self, from: NodeId, msg: kafka::Msg, cx: &mut StreamCx<'_>) {
        let (number, msg) = unmark(msg);
        if let Some(at) = usize::from(number).checked_sub(1) {
            self.call_lister(at, cx, |it, cx| it.message(from, msg, cx));
        }
    }

    /// The timer of an enumerator's client has fired.
    pub(super) fn wake_lister(&mut self, number: u32, cx: &mut StreamCx<'_>) {
        self.call_lister(number as usize, cx, |it, cx| it.wake(cx));
    }

    /// The connections to a node are gone.
    pub(super) fn broker_lost(&mut self, node: NodeId, cx: &mut StreamCx<'_>) {
        for at in 0..self.discovery.enumerators.len() {
            self.call_lister(at, cx, |it, cx| it.disconnected(node, cx));
        }
    }

    /// Calls the client of an enumerator. Connections that it ends are those of all, who are told.
    fn call_lister(
        &mut self,
        at: usize,
        cx: &mut StreamCx<'_>,
        call: impl FnOnce(&mut Lister, &mut KafkaCx<'_>),
    ) {
        for node in self.with_lister(at, cx, call) {
            for other in 0..self.discovery.enumerators.len() {
                if other != at {
                    self.with_lister(other, cx, |it, cx| it.disconnected(node, cx));
                }
            }
        }
    }

    /// Calls the client of an enumerator and does what comes of it; the brokers to which it has
    /// ended the connection are returned.
    fn with_lister(
        &mut self,
        at: usize,
        cx: &mut StreamCx<'_>,
        call: impl FnOnce(&mut Lister, &mut KafkaCx<'_>),
    ) -> Vec<NodeId> {
        let mut ended = Vec::new();
        let enumerator = self.discovery.enumerators.get_mut(at);
        let Some(lister) = enumerator.and_then(|it| it.lister.as_mut()) else {
            return ended;
        };
        let number = at as u32;
        let timer = Timer::JobManager(JobManagerTimer::Kafka(number));
        // Its number in the process counts from 1, and a job has fewer operators than a byte.
        let client = (number, u8::try_from(number + 1).unwrap_or(u8::MAX));
        call(lister, &mut Lane::new(&mut *cx, client, timer, &mut ended));
        match lister.take() {
            Some(Listed::Partitions(count)) => self.listed(at, count, cx),
            Some(Listed::TimedOut) => self.fail(Cause::Discovery, &BTreeSet::new(), cx),
            None => {}
        }
        ended
    }

    /// A source's topic has so many partitions (`checkPartitionChanges`).
    fn listed(&mut self, at: usize, count: u16, cx: &mut StreamCx<'_>) {
        let Some(it) = self.discovery.enumerators.get_mut(at) else {
            return;
        };
        let known = source(&self.job, it.operator).map_or(0, |it| it.splits.len());
        let known = u16::try_from(known).unwrap_or(u16::MAX);
        let before = known as usize + it.assigned.len() + it.unassigned.len();
        let earliest = !std::mem::take(&mut it.fresh);
        for number in known..count {
            if !it.assigned.contains_key(&number) {
                it.unassigned.entry(number).or_insert(earliest);
            }
        }
        let after = known as usize + it.assigned.len() + it.unassigned.len();
        if after > before {
            cx.note(Note::Rule {
                rule: Rule::PartitionsDiscovered,
                task: None,
                operator: Some(it.operator),
                before: before as i64,
                after: after as i64,
            });
        }
        self.assign_splits(cx);
    }

    /// The subtask that reads a partition.
    fn reader_of(&self, operator: u32, partition: u16) -> Option<TaskId> {
        let parallelism = self.parallelism.get(operator as usize).copied()?;
        let subtask = owner(source(&self.job, operator)?, partition, parallelism.max(1));
        Some(TaskId {
            vertex: self.job.graph.vertex_of(operator)?,
            subtask: u16::try_from(subtask).ok()?,
        })
    }

    /// Gives partitions that nobody reads to the subtasks that are to, as far as those run.
    pub(super) fn assign_splits(&mut self, cx: &mut StreamCx<'_>) {
        let after = self.coordinator.last_id;
        let mut given: BTreeMap<(TaskId, bool), Vec<u16>> = BTreeMap::new();
        for at in 0..self.discovery.enumerators.len() {
            let Some(it) = self.discovery.enumerators.get(at) else {
                continue;
            };
            let runs = |number: u16| {
                let task = self.reader_of(it.operator, number)?;
                let state = self.executions.get(&task)?.state;
                (state == ExecutionState::Running).then_some(task)
            };
            let ready = it.unassigned.iter();
            let ready =
                ready.filter_map(|(number, earliest)| Some((*number, *earliest, runs(*number)?)));
            let ready: Vec<(u16, bool, TaskId)> = ready.collect();
            let Some(it) = self.discovery.enumerators.get_mut(at) else {
                continue;
            };
            for (number, earliest, task) in ready {
                it.unassigned.remove(&number);
                it.assigned.insert(number, (earliest, after));
                given.entry((task, earliest)).or_default().push(number);
            }
        }
        for ((task, earliest), partitions) in given {
            let execution = self.executions.get(&task);
            let Some((node, attempt)) = execution.and_then(|it| Some((it.node?, it.attempt)))
            else {
                continue;
            };
            cx.send(
                node,
                Packet::AddSplits {
                    attempt,
                    task,
                    partitions,
                    earliest,
                },
            );
        }
    }

    /// These tasks begin anew, from the newest checkpoint: what they were given since is to be given
    /// to them again (`addSplitsBack`).
    pub(super) fn add_splits_back(&mut self, tasks: &BTreeSet<TaskId>) {
        let held = self.coordinator.latest().map_or(i64::MIN, |it| it.id);
        for at in 0..self.discovery.enumerators.len() {
            let Some(it) = self.discovery.enumerators.get(at) else {
                continue;
            };
            let own = |number: u16| {
                let task = self.reader_of(it.operator, number);
                task.is_some_and(|it| tasks.contains(&it))
            };
            let since = it.assigned.iter().filter(|(_, it)| it.1 >= held);
            let back = since.filter(|(number, _)| own(**number));
            let back: Vec<(u16, bool)> = back.map(|(number, it)| (*number, it.0)).collect();
            if let Some(it) = self.discovery.enumerators.get_mut(at) {
                for (number, earliest) in back {
                    it.assigned.remove(&number);
                    it.unassigned.insert(number, earliest);
                }
            }
        }
    }
}
