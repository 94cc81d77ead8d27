//! A job as a graph of subtasks, channels, checkpoints and stores: a projection of what its machines
//! say of themselves at one moment.
//!
//! Lists are cut, so that a job of a thousand subtasks or a store of a million rows is shown as fast
//! as a small one.

use crate::kernel::{NodeId, NodeState, World};
use crate::stream::facts::job_manager;
use crate::stream::graph::{Edge, Graph};
use crate::stream::job::Job;
use crate::stream::jobmanager::{JobManager, JobStatus};
use crate::stream::node::Machine;
use crate::stream::protocol::TaskId;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::sink::Phase;
use crate::stream::spec::{OperatorKind, Output, Partitioning, WatermarkStrategy};
use crate::stream::task::chain::Link;
use crate::stream::task::{Doing, Spent, Task};
use crate::stream::taskmanager::{Ended, TaskManager};
use crate::systems::Node;
use crate::view::{
    EventTime, HeldTransaction, JobEdge, JobView, SplitView, SubtaskView, Tone, VertexView,
    WindowBox,
};

use super::channels::{UnderWay, under_way};
use std::cmp::Reverse;

/// Subtasks of a vertex that are shown.
pub(super) const SUBTASKS: usize = 16;
/// Windows of a subtask that are shown.
const WINDOWS: usize = 12;
/// Tasks that a checkpoint waits for, and things that cross on one channel.
pub(super) const FEW: usize = 8;

/// The job of a world, if it has one.
#[must_use]
pub fn job(world: &World<Node>) -> Option<JobView> {
    let manager = job_manager(world)?;
    let look = Look {
        world,
        manager,
        job: manager.job(),
        under_way: under_way(world),
    };
    let (status, tone) = look.status();
    let many = look.job.task_managers.len();
    let mut view = JobView {
        status,
        tone,
        attempt: manager.attempt(),
        task_managers: (manager.task_managers().len() as u32, many as u32),
        timed: timed(look.job),
        vertices: look.vertices(),
        edges: look.job.graph.edges.iter().map(edge).collect(),
        checkpoints: look.checkpoints(),
        stores: Vec::new(),
        topics: Vec::new(),
    };
    view.stores = look.stores();
    view.topics = look.topics();
    Some(view)
}

/// One line on the job.
#[must_use]
pub fn control(world: &World<Node>) -> String {
    let text = job_manager(world).map(|it| {
        let last = it.completed().last();
        let none = || match it.own_snapshots() {
            Some((taken, _)) => format!("{taken} snapshots, each task's own"),
            None => "no checkpoint yet".to_owned(),
        };
        let last = last.map_or_else(none, |it| format!("checkpoint {} complete", it.id));
        format!(
            "job {} · attempt {} · {last}",
            it.status().name(),
            it.attempt()
        )
    });
    text.unwrap_or_default()
}

/// A watermark, if there is one yet.
pub(super) fn event_time(watermark: i64) -> EventTime {
    (watermark != NO_WATERMARK).then_some(watermark)
}

/// Whether event time plays a part in a job.
fn timed(job: &Job) -> bool {
    let by_time = |kind: &OperatorKind| match kind {
        OperatorKind::Source(it) => it.watermarks.strategy != WatermarkStrategy::None,
        OperatorKind::Watermarks(_) | OperatorKind::Window(_) | OperatorKind::Join(_) => true,
        _ => false,
    };
    job.spec.operators.iter().any(|it| by_time(&it.kind))
}

fn edge(it: &Edge) -> JobEdge {
    let partitioning = match it.partitioning {
        Partitioning::Forward => "FORWARD",
        Partitioning::Hash => "HASH",
        Partitioning::Rebalance => "REBALANCE",
        Partitioning::Rescale => "RESCALE",
        Partitioning::Broadcast => "BROADCAST",
        Partitioning::Global => "GLOBAL",
        Partitioning::Shuffle => "SHUFFLE",
        Partitioning::Custom => "CUSTOM",
    };
    JobEdge {
        from: it.from.0,
        to: it.to,
        partitioning,
        late: it.output != Output::Main,
    }
}

/// Idle, busy and backpressured time in millionths of all of it, and in ns.
fn shares(spent: Spent) -> ((u32, u32, u32), (u64, u64, u64)) {
    let all = u128::from(spent.idle) + u128::from(spent.busy) + u128::from(spent.backpressured);
    let share = |part: u64| (u128::from(part) * 1_000_000 / all.max(1)) as u32;
    (
        (
            share(spent.idle),
            share(spent.busy),
            share(spent.backpressured),
        ),
        (spent.idle, spent.busy, spent.backpressured),
    )
}

fn kind(it: &OperatorKind) -> &'static str {
    match it {
        OperatorKind::Source(_) => "source",
        OperatorKind::Map(_) => "map",
        OperatorKind::Filter(_) => "filter",
        OperatorKind::FlatMap { .. } => "flatMap",
        OperatorKind::Watermarks(_) => "watermarks",
        OperatorKind::Window(_) => "window",
        OperatorKind::Process(_) => "process",
        OperatorKind::Join(_) => "join",
        OperatorKind::Sink(_) => "sink",
        OperatorKind::Lookup(_) => "lookup",
        OperatorKind::Sort(_) => "sort",
    }
}

/// Length of the longest way from a source to each vertex. Vertices stand behind those they read.
fn depths(graph: &Graph) -> Vec<u32> {
    let mut depths = vec![0_u32; graph.vertices.len()];
    for it in &graph.edges {
        let from = depths.get(it.from.0 as usize).copied().unwrap_or(0);
        if let Some(depth) = depths.get_mut(it.to as usize) {
            *depth = (*depth).max(from + 1);
        }
    }
    depths
}

pub(super) fn value(it: &Value) -> String {
    match it {
        Value::Nothing => "nothing".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Values(all) => {
            let all: Vec<String> = all.iter().take(FEW).map(i64::to_string).collect();
            format!("[{}]", all.join(", "))
        }
    }
}

/// A job that is looked at.
pub(super) struct Look<'w> {
    pub(super) world: &'w World<Node>,
    pub(super) manager: &'w JobManager,
    pub(super) job: &'w Job,
    pub(super) under_way: UnderWay,
}

impl<'w> Look<'w> {
    fn status(&self) -> (&'static str, Tone) {
        let slot = self.world.nodes().get(self.job.job_manager.0 as usize);
        if slot.is_none_or(|it| matches!(it.state, NodeState::Down { .. })) {
            return ("no JobManager", Tone::Harm);
        }
        let status = self.manager.status();
        let tone = match status {
            JobStatus::Running | JobStatus::Finished => Tone::Proven,
            JobStatus::Failed | JobStatus::Failing => Tone::Harm,
            JobStatus::Restarting => Tone::Sand,
            _ => Tone::Plain,
        };
        (status.name(), tone)
    }

    pub(super) fn name(&self, operator: u32) -> String {
        let spec = self.job.spec.operators.get(operator as usize);
        spec.map_or_else(String::new, |it| it.name.clone())
    }

    /// The TaskManagers with their nodes and names.
    fn managers(&self) -> impl Iterator<Item = (NodeId, &'w str, &'w TaskManager)> {
        let names = self.job.spec.task_managers.iter();
        let nodes = self.job.task_managers.iter().copied().zip(names);
        nodes.filter_map(|(node, spec)| match &self.world.process(node)? {
            Node::Stream(it) => match it.machine() {
                Machine::TaskManager(it) => Some((node, spec.name.as_str(), &**it)),
                _ => None,
            },
            Node::Kafka(_) => None,
        })
    }

    /// A task and where it runs: of several attempts the newest.
    pub(super) fn task(&self, id: TaskId) -> Option<(NodeId, &'w str, &'w Task)> {
        let all = self.managers();
        let found = all.filter_map(|(node, name, it)| Some((node, name, it.tasks().get(&id)?)));
        found.max_by_key(|(_, _, task)| task.attempt)
    }

    fn vertices(&self) -> Vec<VertexView> {
        let graph = &self.job.graph;
        let depths = depths(graph);
        let each = (0..).zip(&graph.vertices).zip(depths);
        let each = each.map(|((number, it), depth)| {
            let head = it.operators.first().copied().unwrap_or(0);
            let spec = self.job.spec.operators.get(head as usize);
            let names: Vec<String> = it.operators.iter().map(|it| self.name(*it)).collect();
            let parallelism = graph.parallelism(number, self.manager.parallelism());
            let subtasks = (0..parallelism).take(SUBTASKS);
            let subtasks = subtasks.map(|subtask| {
                self.subtask(TaskId {
                    vertex: number,
                    subtask: subtask as u16,
                })
            });
            VertexView {
                number,
                name: names.join(" → "),
                kind: spec.map_or("", |it| kind(&it.kind)),
                depth,
                parallelism,
                subtasks: subtasks.collect(),
            }
        });
        each.collect()
    }

    fn subtask(&self, id: TaskId) -> SubtaskView {
        let execution = self.manager.executions().get(&id);
        let state = execution.map_or("CREATED", |it| it.state.name());
        let mut opening = self.managers();
        let opening = opening.find(|(_, _, it)| it.opening().any(|it| it == id));
        let placed = execution.and_then(|it| it.node);
        let placed = self.managers().find(|it| Some(it.0) == placed);
        let mut view = SubtaskView {
            vertex: id.vertex,
            number: u32::from(id.subtask) + 1,
            task_manager: placed.map(|(node, name, _)| (node.0, name.to_owned())),
            state,
            runs: false,
            counted: false,
            doing: "",
            time_ppm: (0, 0, 0),
            spent_ns: (0, 0, 0),
            watermark: None,
            records_in: 0,
            records_out: 0,
            late_dropped: 0,
            key_groups: self.key_groups(id),
            state_entries: 0,
            state_bytes: 0,
            trees: Vec::new(),
            backlog: None,
            splits: Vec::new(),
            channels: Vec::new(),
            windows: Vec::new(),
            more_windows: false,
            purged: Vec::new(),
            in_hand: None,
            checkpoint: None,
            transactions: Vec::new(),
        };
        if let Some((node, name, _)) = opening {
            view.state = "INITIALIZING";
            view.task_manager = Some((node.0, name.to_owned()));
        }
        if let Some((node, name, task)) = self.task(id) {
            view.task_manager = Some((node.0, name.to_owned()));
            self.running(task, &mut view);
        } else if let Some(ended) = self.ended(id) {
            view.counted = true;
            view.watermark = event_time(ended.watermark);
            (view.records_in, view.records_out) = (ended.records_in, ended.records_out);
            view.late_dropped = ended.late_dropped;
            (view.time_ppm, view.spent_ns) = shares(ended.spent);
        }
        view
    }

    /// The key groups that a task owns, if its input is partitioned by key among several.
    fn key_groups(&self, id: TaskId) -> Option<(u32, u32)> {
        let graph = &self.job.graph;
        let hash = |it: &Edge| it.to == id.vertex && it.partitioning == Partitioning::Hash;
        let head = graph.vertices.get(id.vertex as usize)?.operators.first()?;
        let max = self.job.spec.operators.get(*head as usize)?.max_parallelism;
        let many = graph.parallelism(id.vertex, self.manager.parallelism());
        let groups = KeyGroups::new(max, many).ok();
        let groups = groups.filter(|_| many > 1 && graph.edges.iter().any(hash));
        let range = groups?.range(u32::from(id.subtask));
        Some((*range.start(), *range.end()))
    }

    /// What a task had come to when its present execution ended.
    fn ended(&self, id: TaskId) -> Option<&'w Ended> {
        let attempt = self.manager.executions().get(&id)?.attempt;
        let mut all = self.managers().filter_map(|(_, _, it)| it.ended(id));
        all.find(|it| it.attempt == attempt)
    }

    fn running(&self, task: &Task, view: &mut SubtaskView) {
        let (doing, spent) = task.spent(self.world.now());
        (view.runs, view.counted) = (true, true);
        view.doing = match doing {
            Doing::Idle => "idle",
            Doing::Busy => "busy",
            Doing::Backpressured => "backpressured",
        };
        (view.time_ppm, view.spent_ns) = shares(spent);
        let links = &task.chain.links;
        if let Some(head) = links.first() {
            view.watermark = event_time(head.watermark);
            view.records_in = head.records_in;
        }
        view.records_out = links.last().map_or(0, |it| it.records_out);
        let size = task.chain.size();
        (view.state_entries, view.state_bytes) = (size.entries, size.bytes);
        for it in links {
            view.trees.extend(self.tree(it));
            match &it.link {
                Link::Operator(operator) => {
                    view.late_dropped += operator.late_dropped();
                    let windows = operator.windows(WINDOWS + 1);
                    view.more_windows |= windows.len() > WINDOWS;
                    let windows = windows.into_iter().take(WINDOWS);
                    view.windows.extend(windows.map(|it| WindowBox {
                        key: self.job.spec.keys.name(it.key),
                        key_number: it.key.0,
                        start: it.window.start,
                        end: it.window.end,
                        value: value(&it.value),
                        fired: it.fired,
                    }));
                    self.purged(operator, view);
                }
                Link::Source(source) => {
                    view.backlog = Some(source.backlog(self.world.now(), self.job));
                    let splits = source.splits().take(SUBTASKS);
                    let splits = splits.map(|(number, offset, watermark, idle)| SplitView {
                        number,
                        offset,
                        watermark: event_time(watermark),
                        idle,
                    });
                    view.splits.extend(splits);
                }
                Link::Sink(sink) => {
                    let held = sink.transactions().take(FEW);
                    view.transactions.extend(held.map(|it| HeldTransaction {
                        id: it.id.clone(),
                        rows: it.rows,
                        phase: match it.phase {
                            Phase::Open => "open",
                            Phase::PreCommitted => "pre-committed",
                            Phase::Committing => "committing",
                        },
                        checkpoint: (it.phase != Phase::Open).then_some(it.checkpoint),
                    }));
                }
            }
        }
        view.purged.sort_by_key(|it| Reverse(it.at));
        let in_hand = task.in_hand().map(|it| self.job.spec.keys.name(it.key));
        view.in_hand = in_hand;
        view.checkpoint = self.checkpoint_at(task.id);
        view.channels = self.channels(task);
    }
}
