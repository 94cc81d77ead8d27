//! A JobManager with TaskManagers and a storage that only pretend: they answer at once, and tasks
//! acknowledge checkpoints after a time that the test sets.

mod checkpoint;
mod deploy;
mod failure;
mod rescale;
mod savepoint;
mod uncoordinated;

use super::{JobManager, JobStatus};
use crate::kernel::{
    Context, EventId, Input, Loss, MILLISECOND, Nanos, NodeId, Purpose, SECOND, TimerId, draw,
};
use crate::stream::config::JobConfig;
use crate::stream::graph::Graph;
use crate::stream::job::Job;
use crate::stream::node::{Order, Timer};
use crate::stream::note::{Note, Rule};
use crate::stream::parts::StreamParts;
use crate::stream::protocol::{CheckpointMetrics, Packet, TaskEnd, TaskFailure, TaskId};
use crate::stream::snapshot::Handle;
use crate::stream::spec::{
    Chaining, Guarantee, InputSpec, JobSpec, Keys, OperatorKind, OperatorSpec, Output,
    Partitioning, ProcessFunction, ProcessSpec, SinkSpec, SourceSpec, SourceTime, TaskManagerSpec,
    WatermarkSpec, WatermarkStrategy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The JobManager's context: what it does is recorded.
#[derive(Default)]
struct Cx {
    now: Nanos,
    sent: Vec<(NodeId, Packet)>,
    notes: Vec<(Nanos, Note)>,
    closed: Vec<NodeId>,
    timers: BTreeMap<(Nanos, u32), Timer>,
    next_timer: u32,
}

impl Context<Packet, Timer, Note> for Cx {
    fn me(&self) -> NodeId {
        NodeId(0)
    }
    fn now(&self) -> Nanos {
        self.now
    }
    fn wall_ms(&self) -> i64 {
        (self.now / MILLISECOND) as i64
    }
    fn event(&self) -> EventId {
        EventId(0)
    }
    fn send(&mut self, to: NodeId, msg: Packet) {
        self.sent.push((to, msg));
    }
    fn send_at(&mut self, _: Nanos, to: NodeId, msg: Packet) {
        self.sent.push((to, msg));
    }
    fn set_timer(&mut self, delay: Nanos, timer: Timer) -> TimerId {
        self.next_timer += 1;
        self.timers
            .insert((self.now + delay, self.next_timer), timer);
        TimerId::of_test(self.next_timer)
    }
    fn cancel(&mut self, timer: TimerId) {
        self.timers.retain(|(_, it), _| *it != timer.number());
    }
    fn disconnect(&mut self, peer: NodeId) {
        self.closed.push(peer);
    }
    fn close(&mut self, peer: NodeId) {
        self.closed.push(peer);
    }
    fn disk_write(&mut self, bytes: u64) -> Nanos {
        self.now + bytes
    }
    fn exit(&mut self) {}
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        draw(1, purpose, 0, 0, ordinal)
    }
    fn note(&mut self, note: Note) {
        self.notes.push((self.now, note));
    }
}

/// The world around a JobManager. Node 0 is the JobManager, then come the TaskManagers, then the
/// storage.
struct Cluster {
    manager: JobManager,
    cx: Cx,
    job: Arc<Job>,
    /// TaskManagers that answer nothing.
    silent: BTreeSet<NodeId>,
    /// Tasks that do not acknowledge.
    stuck: BTreeSet<TaskId>,
    /// Tasks that do not end when the job stops with a savepoint.
    lingering: BTreeSet<TaskId>,
    /// From the trigger to the acknowledgements.
    duration: Nanos,
    /// Whether the storage answers.
    storage_answers: bool,
    /// What was sent, with when.
    log: Vec<(Nanos, NodeId, Packet)>,
    later: BTreeMap<(Nanos, u64), (NodeId, Packet)>,
    ordinal: u64,
}

fn operator(name: &str, kind: OperatorKind, parallelism: u32) -> OperatorSpec {
    OperatorSpec {
        name: name.to_owned(),
        kind,
        parallelism,
        max_parallelism: 128,
        inputs: Vec::new(),
        chaining: Chaining::Always,
        slot_sharing_group: "default".to_owned(),
        cost: 0,
    }
}

fn after(from: u32, partitioning: Partitioning) -> Vec<InputSpec> {
    vec![InputSpec {
        from,
        output: Output::Main,
        number: 0,
        partitioning,
    }]
}

/// source → keyed process → sink, with so many subtasks each; `set` are settings.
fn spec(parallelism: [u32; 3], slots: &[u32], set: &[(&str, &str)]) -> JobSpec {
    let mut config = JobConfig::default();
    for (key, value) in set {
        config.set(key, value).expect("a sound setting");
    }
    let source = OperatorKind::Source(SourceSpec {
        splits: Vec::new(),
        watermarks: WatermarkSpec {
            strategy: WatermarkStrategy::None,
            idleness_ms: None,
            max_drift_ms: Some(1_000),
        },
        time: SourceTime::Event,
        bounded: true,
        kafka: None,
    });
    let count = OperatorKind::Process(ProcessSpec {
        function: ProcessFunction::Count,
        ttl_ms: None,
        bytes_per_key: 100,
        schema: None,
    });
    let sink = OperatorKind::Sink(SinkSpec {
        store: "store".to_owned(),
        guarantee: Guarantee::ExactlyOnce {
            transaction_timeout_ms: 60_000,
        },
        batch: 1,
        kafka: None,
        id_prefix: None,
    });
    let mut operators = vec![
        operator("in", source, parallelism[0]),
        operator("count", count, parallelism[1]),
        operator("out", sink, parallelism[2]),
    ];
    operators[1].inputs = after(0, Partitioning::Hash);
    operators[2].inputs = after(1, Partitioning::Rebalance);
    let task_managers = slots.iter().map(|slots| TaskManagerSpec {
        name: "tm".to_owned(),
        slots: *slots,
    });
    JobSpec {
        job_manager: "jm".to_owned(),
        task_managers: task_managers.collect(),
        storage: "storage".to_owned(),
        config,
        operators,
        keys: Keys::default(),
        expected: Vec::new(),
        parts: StreamParts::EVERYTHING,
    }
}

impl Cluster {
    fn new(spec: JobSpec) -> Self {
        let many = spec.task_managers.len() as u32;
        let job = Arc::new(Job {
            graph: Graph::of(&spec),
            spec,
            job_manager: NodeId(0),
            task_managers: (1..=many).map(NodeId).collect(),
            storage: NodeId(many + 1),
            stores: Vec::new(),
            seed: 1,
        });
        Cluster {
            manager: JobManager::new(job.clone()),
            cx: Cx::default(),
            job,
            silent: BTreeSet::new(),
            stuck: BTreeSet::new(),
            lingering: BTreeSet::new(),
            duration: 0,
            storage_answers: true,
            log: Vec::new(),
            later: BTreeMap::new(),
            ordinal: 0,
        }
    }

    /// A job that runs.
    fn running(spec: JobSpec) -> Self {
        let mut it = Cluster::new(spec);
        it.give(Input::Boot);
        it.register_all();
        assert_eq!(it.manager.status(), JobStatus::Running);
        it
    }

    fn register_all(&mut self) {
        let slots = self.job.spec.task_managers.clone();
        for (node, it) in self.job.task_managers.clone().into_iter().zip(slots) {
            self.say(node, Packet::RegisterTaskExecutor { slots: it.slots });
        }
    }

    fn give(&mut self, input: Input<Packet, super::JobManagerTimer, Order>) {
        self.manager.on(input, &mut self.cx);
        for (to, packet) in std::mem::take(&mut self.cx.sent) {
            self.log.push((self.cx.now, to, packet.clone()));
            self.answer(to, packet);
        }
    }

    fn say(&mut self, from: NodeId, msg: Packet) {
        self.give(Input::Message { from, msg });
    }

    fn later(&mut self, after: Nanos, from: NodeId, msg: Packet) {
        self.ordinal += 1;
        let at = self.cx.now + after;
        self.later.insert((at, self.ordinal), (from, msg));
    }

    /// What those that pretend do about a message.
    fn answer(&mut self, to: NodeId, packet: Packet) {
        if self.silent.contains(&to) {
            return;
        }
        match packet {
            Packet::Heartbeat => self.later(0, to, Packet::HeartbeatResponse),
            Packet::SubmitTasks { attempt, tasks, .. } => {
                for it in tasks {
                    let task = it.task;
                    self.later(0, to, Packet::TaskRunning { attempt, task });
                }
            }
            Packet::CancelTasks { restart, .. } => {
                self.later(0, to, Packet::TasksCanceled { restart });
            }
            Packet::TriggerCheckpoint { barrier, .. } => {
                // The barrier passes through everything; whoever is triggered first stands for all.
                for (task, it) in self.manager.executions().clone() {
                    let Some(node) = it.node.filter(|_| !self.stuck.contains(&task)) else {
                        continue;
                    };
                    let checkpoint = barrier.checkpoint;
                    let handle = Handle {
                        checkpoint,
                        task: Some(task),
                        bytes: 10,
                    };
                    let ack = Packet::AcknowledgeCheckpoint {
                        attempt: it.attempt,
                        checkpoint,
                        task,
                        handle,
                        metrics: CheckpointMetrics::default(),
                        files: Arc::default(),
                    };
                    self.later(self.duration, node, ack);
                }
            }
            Packet::NotifyCheckpointComplete {
                attempt,
                stop: true,
                ..
            } => {
                for (task, it) in self.manager.executions().clone() {
                    let ends = it.node == Some(to) && it.attempt == attempt;
                    if ends && !self.lingering.contains(&task) {
                        let end = TaskEnd::Finished;
                        self.later(0, to, Packet::TaskEnded { attempt, task, end });
                    }
                }
            }
            Packet::WriteState { handle, .. } if self.storage_answers => {
                self.later(0, to, Packet::StateWritten { handle });
            }
            _ => {}
        }
    }

    /// Runs until so many seconds.
    fn run(&mut self, until_s: u64) {
        let until = until_s * SECOND;
        loop {
            let timer = self.cx.timers.keys().next().copied();
            let later = self.later.keys().next().copied();
            let at_timer = timer.map_or(Nanos::MAX, |it| it.0);
            let at_later = later.map_or(Nanos::MAX, |it| it.0);
            if at_timer.min(at_later) > until {
                self.cx.now = until;
                return;
            }
            self.cx.now = self.cx.now.max(at_timer.min(at_later));
            if at_later <= at_timer {
                let (from, msg) = later.and_then(|it| self.later.remove(&it)).expect("there");
                if !self.silent.contains(&from) {
                    self.say(from, msg);
                }
            } else {
                let timer = timer.and_then(|it| self.cx.timers.remove(&it));
                match timer.expect("there") {
                    Timer::JobManager(timer) => self.give(Input::Timer(timer)),
                    #[allow(unreachable_patterns)]
                    _ => panic!("not a timer of a JobManager"),
                }
            }
        }
    }

    fn crash(&mut self, loss: Loss) {
        self.manager.crash(loss);
        self.cx.timers.clear();
        self.later.clear();
        self.give(Input::Boot);
        self.register_all();
    }

    fn fail(&mut self, task: TaskId) {
        let node = self.manager.executions()[&task].node.expect("deployed");
        let end = TaskEnd::Failed(TaskFailure::UserCode);
        let attempt = self.manager.executions()[&task].attempt;
        self.say(node, Packet::TaskEnded { attempt, task, end });
    }

    fn finish(&mut self, task: TaskId) {
        let node = self.manager.executions()[&task].node.expect("deployed");
        let end = TaskEnd::Finished;
        let attempt = self.manager.executions()[&task].attempt;
        self.say(node, Packet::TaskEnded { attempt, task, end });
    }

    /// The notes of a rule: when (s, rounded down), before, after.
    fn rule(&self, wanted: Rule) -> Vec<(u64, i64, i64)> {
        let found = self.cx.notes.iter().filter_map(|(at, note)| match note {
            Note::Rule {
                rule,
                before,
                after,
                ..
            } if *rule == wanted => Some((at / SECOND, *before, *after)),
            _ => None,
        });
        found.collect()
    }

    /// Takes a checkpoint and waits for it.
    fn checkpoint(&mut self) {
        let before = self.manager.completed().last().map_or(0, |it| it.id);
        self.give(Input::Order(Order::TriggerCheckpoint));
        let now = self.cx.now / SECOND + 1;
        self.run(now + self.duration / SECOND);
        let last = self.manager.completed().last().map_or(0, |it| it.id);
        assert!(last > before, "a checkpoint was completed");
    }

    /// What tasks were restored from in an attempt: (task, checkpoints and subtasks).
    fn restored(&self, wanted: u32) -> BTreeMap<TaskId, Vec<(i64, u16)>> {
        let mut all = BTreeMap::new();
        for (_, _, packet) in &self.log {
            let Packet::SubmitTasks { attempt, tasks, .. } = packet else {
                continue;
            };
            for it in tasks.iter().filter(|_| *attempt == wanted) {
                let handles = it.restore.iter();
                let handles = handles
                    .map(|it| (it.checkpoint, it.task.map_or(u16::MAX, |task| task.subtask)));
                all.insert(it.task, handles.collect());
            }
        }
        all
    }

    /// Checkpoints that the storage was told to discard.
    fn discarded(&self) -> Vec<i64> {
        let all = self.log.iter().filter_map(|(_, _, packet)| match packet {
            Packet::DiscardState { checkpoint } => Some(*checkpoint),
            _ => None,
        });
        all.collect()
    }
}

fn task(vertex: u16, subtask: u16) -> TaskId {
    TaskId { vertex, subtask }
}
