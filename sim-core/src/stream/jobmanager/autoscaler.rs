//! The autoscaler: measures the job, and rescales it when its vertices do too little or too much.
//!
//! Follows `JobAutoScalerImpl`, `ScalingMetricCollector` and `ScalingExecutor` of the Flink Kubernetes
//! Operator; what is decided is in [`super::super::rules::autoscaler`]. At each interval all tasks are
//! asked what they have measured. Samples count from the stabilization interval after the job began to
//! run, and when they fill the window the job may be rescaled: it stops with a savepoint, its deployment
//! is made anew, and it goes on from there (`upgradeMode: savepoint`). More slots than the TaskManagers
//! of the scenario have are not to be had, so that nothing is done that would need them
//! (`ResourceCheck`).
//!
//! In reality this is a process beside the JobManager, and what it remembers lies in Kubernetes; here
//! it is part of the JobManager's process and begins anew with it. Meters look back to the sample
//! before, where Flink's look back a minute. Left out: what the rules leave out, rescaling in place
//! (`JobResourceRequirements`), and jobs of which a task has ended, which are left as they are.

use super::{ExecutionState, JobManager, JobManagerTimer, JobStatus, ms, now_ms, slots};
use crate::kernel::{NodeId, SECOND};
use crate::stream::config::JobConfig;
use crate::stream::graph::Edge;
use crate::stream::node::StreamCx;
use crate::stream::note::{Held, Note};
use crate::stream::protocol::{Packet, TaskId};
use crate::stream::rules::autoscaler::{
    self as rules, Decision, Evaluated, Measured, Memory, ONE, Sample, Settings, Vertex,
};
use crate::stream::spec::Partitioning;
use crate::stream::task::Spent;
use crate::stream::taskmanager::TaskMetrics;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where an autoscaler stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Phase {
    /// It waits for the job to run.
    #[default]
    Waiting,
    /// The job has not run for long enough.
    Stabilizing,
    /// The window is not full.
    Collecting,
    /// It may rescale the job at each interval.
    Ready,
}

impl Phase {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Waiting => "waits for the job to run",
            Phase::Stabilizing => "stabilizing",
            Phase::Collecting => "collects metrics",
            Phase::Ready => "decides",
        }
    }
}

/// What an autoscaler knows.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Autoscaler {
    /// Since when the job runs, ms.
    running_ms: i64,
    phase: Phase,
    /// Number of the last question.
    round: u32,
    /// Its answers so far.
    answers: BTreeMap<TaskId, TaskMetrics>,
    /// Those of the question before.
    before: BTreeMap<TaskId, TaskMetrics>,
    samples: Vec<Sample>,
    /// Of each vertex.
    memory: Vec<Memory>,
    /// What the newest samples say of each vertex.
    evaluated: Vec<Evaluated>,
    /// The changes that it would make, and why it does not.
    advice: Option<(Vec<Decision>, Held)>,
    rescales: u32,
}

impl Autoscaler {
    /// The autoscaler of a job, if it has one.
    pub(super) fn of(config: &JobConfig) -> Option<Box<Self>> {
        config.autoscaler.then(Box::default)
    }

    /// The job was switched to RUNNING: what was measured before is not of it.
    fn begin(&mut self, now_ms: i64) {
        self.running_ms = now_ms;
        self.phase = Phase::Waiting;
        self.answers.clear();
        self.before.clear();
        self.samples.clear();
    }

    /// Times that it rescaled the job.
    #[must_use]
    pub fn rescales(&self) -> u32 {
        self.rescales
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What it knows of a vertex, after two samples.
    #[must_use]
    pub fn evaluated(&self, vertex: u16) -> Option<&Evaluated> {
        self.evaluated.get(usize::from(vertex))
    }

    /// How many subtasks it would give a vertex, if it would change that and does not.
    #[must_use]
    pub fn recommended(&self, vertex: u16) -> Option<u32> {
        let (changes, _) = self.advice.as_ref()?;
        let found = changes.iter().find(|it| it.vertex == usize::from(vertex));
        found.map(|it| it.to)
    }

    /// About how many bytes a copy takes.
    pub(super) fn weight(&self) -> usize {
        let vertices = self.samples.first().map_or(0, |it| it.vertices.len());
        size_of_val(self)
            + self.samples.len() * (size_of::<Sample>() + vertices * size_of::<Measured>())
            + (self.answers.len() + self.before.len()) * size_of::<TaskMetrics>()
    }
}

/// What the user has set, as the rules take it.
fn settings(config: &JobConfig) -> Settings {
    Settings {
        target: config.utilization_target.0,
        max: config.utilization_max.map(|it| it.0),
        min: config.utilization_min.map(|it| it.0),
        boundary: config.utilization_boundary.0,
        catch_up_ms: config.catch_up.0,
        restart_ms: config.restart_time.0,
        backlog_ms: config.backlog_threshold.0,
        observed_lag_ms: config.observed_threshold.0,
        observed_switch: config.observed_switch.0,
        observed_least: config.observed_least,
        min_parallelism: config.vertex_min,
        max_parallelism: config.vertex_max,
        scale_down: config.scale_down_factor.0,
        scale_up: config.scale_up_factor.0,
        scale_down_interval_ms: config.scale_down_interval.0,
        blocks_ineffective: config.ineffective_blocks,
        effective: config.effectiveness.0,
        alignment: config.vertex_alignment,
    }
}

/// What a task measured since an earlier answer, if there is one of its attempt.
fn since(now: &TaskMetrics, before: Option<&TaskMetrics>) -> (Spent, u64) {
    let before = before.filter(|it| it.attempt == now.attempt);
    let Some(before) = before else {
        return (now.spent, now.records_in);
    };
    let spent = Spent {
        idle: now.spent.idle.saturating_sub(before.spent.idle),
        busy: now.spent.busy.saturating_sub(before.spent.busy),
        backpressured: now
            .spent
            .backpressured
            .saturating_sub(before.spent.backpressured),
    };
    (spent, now.records_in.saturating_sub(before.records_in))
}

/// A part of a whole in millionths, or a number per whole in `ONE`ths.
fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(ONE) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl JobManager {
    /// The job's autoscaler, if it has one.
    #[must_use]
    pub fn autoscaler(&self) -> Option<&Autoscaler> {
        self.autoscaler.as_deref()
    }

    pub(super) fn arm_autoscaler(&self, cx: &mut StreamCx<'_>) {
        if self.autoscaler.is_some() {
            let every = ms(self.job.spec.config.reconcile_interval.0);
            self.set_timer(every, JobManagerTimer::Autoscale, cx);
        }
    }

    /// The job's status changed.
    pub(super) fn autoscaler_hears(&mut self, status: JobStatus, cx: &StreamCx<'_>) {
        let now = now_ms(cx);
        if let Some(it) = &mut self.autoscaler {
            match status {
                JobStatus::Running => it.begin(now),
                _ => it.phase = Phase::Waiting,
            }
        }
    }

    /// Asks what tasks have measured.
    pub(super) fn measure(&mut self, cx: &mut StreamCx<'_>) {
        self.arm_autoscaler(cx);
        let ready = self.is_measurable();
        let Some(it) = self.autoscaler.as_mut().filter(|_| ready) else {
            return;
        };
        it.round += 1;
        it.answers.clear();
        let round = it.round;
        let nodes = self.executions.values().filter_map(|it| it.node);
        let nodes: BTreeSet<NodeId> = nodes.collect();
        for node in nodes {
            cx.send(node, Packet::QueryMetrics { round });
        }
    }

    /// Whether every task runs, and is to go on.
    fn is_measurable(&self) -> bool {
        let mut all = self.executions.values();
        let running = all.all(|it| it.state == ExecutionState::Running);
        running && self.stoppable().is_ok()
    }

    /// A TaskManager says what its tasks have measured.
    pub(super) fn measured(&mut self, round: u32, tasks: &[TaskMetrics], cx: &mut StreamCx<'_>) {
        let ready = self.is_measurable();
        let Some(mut scaler) = self.autoscaler.take() else {
            return;
        };
        if ready && round == scaler.round {
            let current = tasks.iter().filter(|it| self.runs_in(it.task, it.attempt));
            scaler.answers.extend(current.map(|it| (it.task, *it)));
            if scaler.answers.len() == self.executions.len() {
                self.reconcile(&mut scaler, cx);
            }
        }
        self.autoscaler = Some(scaler);
    }

    /// All have answered: takes a sample, and decides if that may be.
    fn reconcile(&mut self, scaler: &mut Autoscaler, cx: &mut StreamCx<'_>) {
        let config = &self.job.spec.config;
        let (settings, now) = (settings(config), now_ms(cx));
        let stable = scaler
            .running_ms
            .saturating_add(config.autoscaler_stabilization.0);
        let window = config.autoscaler_window.0;
        let sample = self.sample(scaler, &settings, now);
        scaler.before = std::mem::take(&mut scaler.answers);
        // An answer to a question of this round that comes again is of no use.
        scaler.round += 1;
        let counts = scaler.samples.iter().find(|it| it.at_ms >= stable);
        let full = counts.map_or(now, |it| it.at_ms).saturating_add(window);
        scaler.samples.push(sample);
        scaler.phase = match () {
            () if now >= full => Phase::Ready,
            () if now < stable => Phase::Stabilizing,
            () => Phase::Collecting,
        };
        if scaler.phase == Phase::Ready {
            scaler.samples.retain(|it| it.at_ms >= now - window);
        }
        let graph = self.scaling_graph(scaler);
        let evaluated = rules::evaluate(&settings, &graph, &scaler.samples);
        if evaluated.is_empty() {
            return;
        }
        scaler.evaluated = evaluated;
        if scaler.phase == Phase::Ready {
            self.scale(scaler, (&settings, &graph), cx);
        }
    }

    /// Decides, and rescales the job if it is to be and can be.
    fn scale(
        &mut self,
        scaler: &mut Autoscaler,
        (settings, graph): (&Settings, &[Vertex]),
        cx: &mut StreamCx<'_>,
    ) {
        scaler.memory.resize(graph.len(), Memory::default());
        let now = now_ms(cx);
        let (evaluated, memory) = (&scaler.evaluated, &mut scaler.memory);
        let changes = rules::decide(settings, graph, evaluated, memory, now);
        if changes.is_empty() {
            scaler.advice = None;
            return;
        }
        let told = |held: Option<Held>| {
            let each = changes.iter();
            let each = each.filter_map(|it| Some((*it, *evaluated.get(it.vertex)?)));
            Note::Scaled {
                changes: each.collect(),
                held,
            }
        };
        match self.scaled(&changes) {
            Err(held) => {
                let wanted = |it: &[Decision]| -> Vec<_> {
                    it.iter().map(|it| (it.vertex, it.from, it.to)).collect()
                };
                let same = scaler.advice.as_ref();
                let same = same.is_some_and(|it| wanted(&it.0) == wanted(&changes) && it.1 == held);
                // Said once, until it is another.
                if !same {
                    cx.note(told(Some(held.clone())));
                }
                scaler.advice = Some((changes, held));
            }
            Ok(after) => {
                cx.note(told(None));
                let pause = self.job.spec.config.redeploy_time.0;
                if self.begin_stop(Arc::new(after), pause, cx).is_some() {
                    rules::done(&mut scaler.memory, &changes);
                    scaler.rescales += 1;
                }
                scaler.advice = None;
            }
        }
    }

    /// The parallelism of each operator after these changes, if they are to be made.
    fn scaled(&self, changes: &[Decision]) -> Result<Vec<u32>, Held> {
        if !self.job.spec.config.autoscaler_scales {
            return Err(Held::Disabled);
        }
        let changes: Vec<(u16, u32)> = changes.iter().map(|it| (it.vertex as u16, it.to)).collect();
        let after = self.with_vertices(&changes).map_err(Held::Refused)?;
        let (_, needed) = slots::sharing_groups(&self.job.graph, &after);
        let there = self.task_managers.values().map(|it| it.slots).sum();
        match needed > there {
            true => Err(Held::Slots { needed, there }),
            false => Ok(after),
        }
    }

    /// What the answers say of each vertex.
    fn sample(&self, scaler: &Autoscaler, settings: &Settings, at_ms: i64) -> Sample {
        let many = self.job.graph.vertices.len();
        let mut vertices = vec![Measured::default(); many];
        let mut subtasks = vec![0_u64; many];
        let mut held = vec![0_u64; many];
        for it in scaler.answers.values() {
            let number = usize::from(it.task.vertex);
            let Some(sum) = vertices.get_mut(number) else {
                continue;
            };
            let (spent, read) = since(it, scaler.before.get(&it.task));
            let whole = spent.idle + spent.busy + spent.backpressured;
            sum.records_in += it.records_in;
            sum.records_out += it.records_out;
            sum.lag += it.pending.0;
            // Thousandths per second.
            sum.per_second += share(read.saturating_mul(SECOND / 1_000), whole);
            sum.busy = sum.busy.max(share(spent.busy, whole) as u32);
            held[number] += share(spent.backpressured, whole);
            subtasks[number] += 1;
        }
        for (number, it) in vertices.iter_mut().enumerate() {
            let mean = held[number].checked_div(subtasks[number]);
            it.backpressured = mean.unwrap_or(0) as u32;
            let is_source = self.job.graph.vertices[number].inputs.is_empty();
            let before = scaler
                .samples
                .iter()
                .map(|it| it.vertices.get(number)?.observed);
            let before: Vec<_> = before.collect();
            it.observed = is_source
                .then(|| rules::observed(settings, it, &before))
                .flatten();
        }
        Sample { at_ms, vertices }
    }

    /// The job's graph as the rules see it.
    fn scaling_graph(&self, scaler: &Autoscaler) -> Vec<Vertex> {
        let graph = &self.job.graph;
        let vertex = |number: u16| {
            let into = graph.edges.iter().filter(|it| it.to == number);
            let out = graph.edges.iter().filter(|it| it.from.0 == number);
            let inputs: BTreeSet<usize> = into.clone().map(|it| it.from.0.into()).collect();
            let outputs: BTreeSet<u16> = out.map(|it| it.to).collect();
            let splits = scaler.before.values().filter(|it| it.task.vertex == number);
            let keyed = |it: &Edge| it.partitioning == Partitioning::Hash;
            Vertex {
                inputs: inputs.into_iter().collect(),
                outputs: outputs.len(),
                parallelism: graph.parallelism(number, &self.parallelism),
                max_parallelism: self.max_parallelism(number),
                partitions: splits.map(|it| it.pending.1).sum(),
                keyed: into.clone().any(keyed),
            }
        };
        (0..graph.vertices.len() as u16).map(vertex).collect()
    }
}
