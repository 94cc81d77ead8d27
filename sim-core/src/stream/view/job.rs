//! A job as a graph of subtasks, channels, checkpoints and stores: a projection of what its machines
//! say of themselves at one moment.
//!
//! Lists are cut, so that a job of a thousand subtasks or a store of a million rows is shown as fast
//! as a small one.

use crate::kernel::{NodeId, NodeState, World};
use crate::stream::element::{Buffer, Element};
use crate::stream::facts::{job_manager, machines};
use crate::stream::graph::{Edge, Graph};
use crate::stream::job::Job;
use crate::stream::jobmanager::{JobManager, JobStatus};
use crate::stream::node::Machine;
use crate::stream::protocol::{ChannelId, Packet, TaskId};
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::barrier::channel::Item;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::sink::Phase;
use crate::stream::spec::{Guarantee, OperatorKind, Output, Partitioning};
use crate::stream::store::{Store, TransactionState};
use crate::stream::task::chain::Link;
use crate::stream::task::output::Subpartition;
use crate::stream::task::{Doing, Task};
use crate::stream::taskmanager::TaskManager;
use crate::stream::why::task_name;
use crate::systems::{Msg, Node};
use crate::view::{
    ChannelView, CheckpointDone, CheckpointUnderWay, CheckpointsView, Crossing, EventTime,
    HeldTransaction, JobEdge, JobRow, JobStore, JobView, SplitView, SubtaskView, Tone, VertexView,
    WindowBox,
};
use std::collections::BTreeMap;

/// Subtasks of a vertex that are shown.
const SUBTASKS: usize = 16;
/// Windows of a subtask that are shown.
const WINDOWS: usize = 12;
/// Rows of a store that are shown.
const ROWS: usize = 24;
/// Tasks that a checkpoint waits for, and things that cross on one channel.
const FEW: usize = 8;

/// What crosses the network, by channel.
type UnderWay = BTreeMap<ChannelId, Vec<Crossing>>;

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
        vertices: look.vertices(),
        edges: look.job.graph.edges.iter().map(edge).collect(),
        checkpoints: look.checkpoints(),
        stores: Vec::new(),
    };
    view.stores = look.stores();
    Some(view)
}

/// One line on the job.
#[must_use]
pub fn control(world: &World<Node>) -> String {
    let text = job_manager(world).map(|it| {
        let last = it.completed().last();
        let last = last.map_or("no checkpoint yet".to_owned(), |it| {
            format!("checkpoint {} complete", it.id)
        });
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

fn value(it: &Value) -> String {
    match it {
        Value::Nothing => "nothing".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Values(all) => {
            let all: Vec<String> = all.iter().take(FEW).map(i64::to_string).collect();
            format!("[{}]", all.join(", "))
        }
    }
}

fn records(data: &Buffer) -> u32 {
    let is_record = |it: &&Element| matches!(it, Element::Record(_));
    data.iter().filter(is_record).count() as u32
}

/// What crosses the network between subtasks.
fn under_way(world: &World<Node>) -> UnderWay {
    let now = world.now();
    let mut found = UnderWay::new();
    for it in world.in_flight() {
        let Msg::Stream(packet) = it.msg else {
            continue;
        };
        let Packet::BufferResponse { channel, item, .. } = packet.packet() else {
            continue;
        };
        let (barrier, records) = match item {
            Item::Buffer { data, .. } => (None, records(data)),
            Item::Barrier(barrier) => (Some(barrier.checkpoint), 0),
            _ => continue,
        };
        let span = u128::from(it.arrive.saturating_sub(it.depart)).max(1);
        let done = u128::from(now.saturating_sub(it.depart)).min(span);
        let on = found.entry(*channel).or_default();
        if on.len() < FEW {
            on.push(Crossing {
                barrier,
                records,
                progress_ppm: (done * 1_000_000 / span) as u32,
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

struct Look<'w> {
    world: &'w World<Node>,
    manager: &'w JobManager,
    job: &'w Job,
    under_way: UnderWay,
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

    fn name(&self, operator: u32) -> String {
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
    fn task(&self, id: TaskId) -> Option<(NodeId, &'w str, &'w Task)> {
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
            doing: "",
            time_ppm: (0, 0, 0),
            watermark: None,
            records_in: 0,
            records_out: 0,
            late_dropped: 0,
            state_entries: 0,
            state_bytes: 0,
            backlog: None,
            splits: Vec::new(),
            channels: Vec::new(),
            windows: Vec::new(),
            more_windows: false,
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
        }
        view
    }

    fn running(&self, task: &Task, view: &mut SubtaskView) {
        let (doing, spent) = task.spent(self.world.now());
        let all = u128::from(spent.idle) + u128::from(spent.busy) + u128::from(spent.backpressured);
        let share = |part: u64| (u128::from(part) * 1_000_000 / all.max(1)) as u32;
        view.runs = true;
        view.doing = match doing {
            Doing::Idle => "idle",
            Doing::Busy => "busy",
            Doing::Backpressured => "backpressured",
        };
        view.time_ppm = (
            share(spent.idle),
            share(spent.busy),
            share(spent.backpressured),
        );
        let links = &task.chain.links;
        if let Some(head) = links.first() {
            view.watermark = event_time(head.watermark);
            view.records_in = head.records_in;
        }
        view.records_out = links.last().map_or(0, |it| it.records_out);
        let size = task.chain.size();
        (view.state_entries, view.state_bytes) = (size.entries, size.bytes);
        for it in links {
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
        let in_hand = task.in_hand().map(|it| self.job.spec.keys.name(it.key));
        view.in_hand = in_hand;
        view.checkpoint = task.checkpoints().under_way().next();
        view.channels = self.channels(task);
    }

    fn channels(&self, task: &Task) -> Vec<ChannelView> {
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
                crossing: self.under_way.get(&id).cloned().unwrap_or_default(),
                queued,
                queued_max: config.buffers_per_channel,
                records,
                barriers: barriers(queue.queued()),
                held: held.contains(&id),
                watermark: task.input.channel_watermark(channel).and_then(event_time),
            }
        });
        each.collect()
    }

    fn checkpoints(&self) -> CheckpointsView {
        let stored = machines(self.world).find_map(|it| match it {
            Machine::Storage(it) => Some((it.kept().len() as u64, it.bytes())),
            _ => None,
        });
        let pending = self.manager.pending().iter();
        let under_way = pending.map(|(id, it)| {
            let waiting = it.waiting.iter().take(FEW).map(|task| {
                let here = self.task(*task).and_then(|(_, _, at)| {
                    let mut all = at.checkpoints().under_way();
                    all.find(|(of, _)| of == id).map(|(_, waits)| waits)
                });
                (task_name(self.job, *task), here.unwrap_or("no barrier yet"))
            });
            CheckpointUnderWay {
                id: *id,
                since: it.triggered,
                acknowledged: it.handles.len() as u32,
                tasks: (it.handles.len() + it.waiting.len()) as u32,
                waiting: waiting.collect(),
            }
        });
        let completed = self.manager.completed().iter().rev().take(FEW);
        let completed = completed.map(|it| CheckpointDone {
            id: it.id,
            savepoint: it.savepoint,
            at: it.span.1,
            took: it.span.1.saturating_sub(it.span.0),
            bytes: it.bytes().1,
            uploaded: it.bytes().0,
            alignment_ms: it
                .metrics
                .values()
                .map(|it| it.alignment_ms)
                .max()
                .unwrap_or(0),
            unaligned: it.metrics.values().any(|it| it.unaligned),
        });
        CheckpointsView {
            under_way: under_way.collect(),
            completed: completed.collect(),
            failed: Vec::new(),
            counts: self.manager.counts(),
            stored: stored.unwrap_or_default(),
        }
    }

    fn stores(&self) -> Vec<JobStore> {
        let each = self.job.stores.iter().filter_map(|(operator, node)| {
            let Node::Stream(it) = self.world.process(*node)? else {
                return None;
            };
            match it.machine() {
                Machine::Store(it) => Some(self.store(*operator, *node, it)),
                _ => None,
            }
        });
        each.collect()
    }

    fn store(&self, operator: u32, node: NodeId, it: &Store) -> JobStore {
        let spec = self.job.spec.operators.get(operator as usize);
        let sink = spec.and_then(|it| match &it.kind {
            OperatorKind::Sink(sink) => Some(sink),
            _ => None,
        });
        let guarantee = match sink.map(|it| it.guarantee) {
            None | Some(Guarantee::None) => "none",
            Some(Guarantee::AtLeastOnce) => "at-least-once",
            Some(Guarantee::Idempotent) => "idempotent",
            Some(Guarantee::WriteAheadLog) => "write-ahead log",
            Some(Guarantee::ExactlyOnce { .. }) => "exactly-once",
        };
        let stable = it.last_stable();
        let total = it.rows().len();
        let first = total.saturating_sub(ROWS);
        let rows = (first..total).filter_map(|at| Some((at, it.rows().get(at)?)));
        let rows = rows.map(|(at, row)| {
            let state = match it.state_of(row) {
                _ if row.deleted => "deleted",
                TransactionState::Committed => "committed",
                TransactionState::Empty | TransactionState::Open => "open",
                TransactionState::Aborted(_) => "aborted",
            };
            JobRow {
                key: self.job.spec.keys.name(row.record.key),
                key_number: row.record.key.0,
                value: value(&row.record.value),
                window: row.record.window.map(|it| (it.start, it.end)),
                state,
                visible: state == "committed" && (at as u64) < stable,
                transaction: row.transaction,
            }
        });
        let open = it.open_transactions().count() as u64;
        JobStore {
            node: node.0,
            name: sink.map_or_else(String::new, |it| it.store.clone()),
            sink: self.name(operator),
            guarantee,
            rows: rows.collect(),
            first: first as u64,
            total: total as u64,
            visible: it.visible_rows().count() as u64,
            transactions: (open, it.committed(), it.aborted()),
            waiting: it.waiting(),
        }
    }
}

/// What a sender has for a channel.
fn sending(task: &Task, channel: ChannelId) -> Option<&Subpartition> {
    let mut all = task.output.partitions.iter();
    all.find_map(|it| it.subpartitions.iter().find(|it| it.channel == channel))
}
