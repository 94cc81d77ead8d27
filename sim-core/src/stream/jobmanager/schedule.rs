//! TaskManagers that register and fall silent, and the deployment of the job on them.
//!
//! Follows `JobMaster.registerTaskManager`, `HeartbeatManagerSenderImpl`, the declarative slot pool
//! and `DefaultExecutionDeployer`: nothing is deployed before every slot is there. A closed
//! connection counts as a dead TaskManager at once: in Flink its network connections close too, and
//! the tasks at their other ends fail the job (`RemoteTransportException`).

use super::failover::Cause;
use super::{
    Execution, ExecutionState, JobManager, JobManagerTimer, JobStatus, Registered, ms, slots,
};
use crate::kernel::{MICROSECOND, NodeId};
use crate::stream::node::StreamCx;
use crate::stream::note::{Note, Rule};
use crate::stream::protocol::{Attempt, Deployment, Packet, TaskEnd, TaskId};
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::snapshot::Handle;
use crate::stream::spec::{JoinSpec, OperatorKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where slots are, and which slot each subtask of each vertex has.
struct Seats {
    slots: Vec<Option<NodeId>>,
    groups: Vec<Vec<u32>>,
}

impl JobManager {
    pub(super) fn register(&mut self, node: NodeId, slots: u32, cx: &mut StreamCx<'_>) {
        if !self.job.task_managers.contains(&node) {
            return;
        }
        match self.task_managers.get_mut(&node) {
            // It asks again since no answer has reached it yet: that one will.
            Some(it) if !it.confirmed => {
                it.slots = slots;
                return;
            }
            // It started anew, or had given this JobManager up: its tasks are gone.
            Some(_) => self.remove_task_manager(node, cx),
            None => {}
        }
        self.registrations += 1;
        let registration = self.registrations;
        let before = self.task_managers.len() as i64;
        self.task_managers.insert(
            node,
            Registered {
                slots,
                heard: cx.now(),
                confirmed: false,
                registration,
            },
        );
        cx.note(Note::rule(Rule::TaskManagers, None, before, before + 1));
        // The answer to the registration.
        cx.send(node, Packet::Heartbeat);
        let timeout = ms(self.job.spec.config.heartbeat_timeout.0);
        let timer = JobManagerTimer::HeartbeatTimeout { node, registration };
        self.set_timer(timeout, timer, cx);
        self.try_deploy(cx);
    }

    pub(super) fn heartbeat(&mut self, cx: &mut StreamCx<'_>) {
        for node in self.task_managers.keys() {
            cx.send(*node, Packet::Heartbeat);
        }
        let every = self.job.spec.config.heartbeat_interval.0.max(1);
        self.set_timer(ms(every), JobManagerTimer::Heartbeat, cx);
        self.arm_discovery(cx);
    }

    pub(super) fn heard(&mut self, from: NodeId, cx: &mut StreamCx<'_>) {
        if let Some(it) = self.task_managers.get_mut(&from) {
            it.heard = cx.now();
            it.confirmed = true;
        }
    }

    pub(super) fn heartbeat_timeout(
        &mut self,
        node: NodeId,
        registration: u32,
        cx: &mut StreamCx<'_>,
    ) {
        let Some(it) = self.task_managers.get(&node) else {
            return;
        };
        if it.registration != registration {
            return;
        }
        let timeout = ms(self.job.spec.config.heartbeat_timeout.0);
        let left = it.heard.saturating_add(timeout).saturating_sub(cx.now());
        if left > 0 {
            // A clock that runs fast fires early; what remains must not shrink for ever.
            let timer = JobManagerTimer::HeartbeatTimeout { node, registration };
            self.set_timer(left.max(MICROSECOND), timer, cx);
            return;
        }
        cx.close(node);
        self.task_manager_lost(node, cx);
    }

    /// A TaskManager is taken for dead.
    pub(super) fn task_manager_lost(&mut self, node: NodeId, cx: &mut StreamCx<'_>) {
        if self.task_managers.contains_key(&node) {
            self.remove_task_manager(node, cx);
        }
    }

    fn remove_task_manager(&mut self, node: NodeId, cx: &mut StreamCx<'_>) {
        let before = self.task_managers.len() as i64;
        self.task_managers.remove(&node);
        cx.note(Note::rule(Rule::TaskManagers, None, before, before - 1));
        let mut lost = BTreeSet::new();
        for (task, it) in &mut self.executions {
            if it.node != Some(node) || it.state.is_terminal() {
                continue;
            }
            // What was being canceled is gone as wanted.
            let canceling = it.state == ExecutionState::Canceling;
            lost.extend((!canceling).then_some(*task));
            it.state = match canceling {
                true => ExecutionState::Canceled,
                false => ExecutionState::Failed,
            };
        }
        if !lost.is_empty() {
            self.fail(Cause::TaskManagerLost(node), &lost, cx);
        }
        self.canceled(node, cx);
    }

    /// Begins an attempt, with all tasks or with some: slots are wanted, and what is deployed when
    /// they are there is known.
    pub(super) fn begin_attempt(
        &mut self,
        tasks: Option<&BTreeSet<TaskId>>,
        cx: &mut StreamCx<'_>,
    ) {
        if tasks.is_none() {
            self.begin_discovery(cx);
        }
        self.attempt += 1;
        self.go_back(tasks, cx);
        let scheduled = Execution {
            state: ExecutionState::Scheduled,
            node: None,
            attempt: self.attempt,
        };
        match tasks {
            None => {
                let all = self.job.graph.tasks(&self.parallelism);
                self.executions = all.map(|task| (task, scheduled)).collect();
            }
            Some(tasks) => self
                .executions
                .extend(tasks.iter().map(|it| (*it, scheduled))),
        }
        if !self.is_restarting() {
            self.set_status(JobStatus::Running, cx);
            self.start_checkpoints(cx);
        }
        // Of several regions that wait the first one's time counts.
        if self.slot_timer.is_none() {
            let timeout = ms(self.job.spec.config.slot_timeout.0);
            self.slot_timer = Some(self.set_timer(timeout, JobManagerTimer::SlotRequest, cx));
        }
        self.try_deploy(cx);
    }

    /// Tasks that wait for their slots.
    fn scheduled(&self) -> impl Iterator<Item = (TaskId, Attempt)> + '_ {
        let all = self.executions.iter();
        let waiting = all.filter(|(_, it)| it.state == ExecutionState::Scheduled);
        waiting.map(|(task, it)| (*task, it.attempt))
    }

    /// Whether slots are waited for still is looked at.
    pub(super) fn slots_awaited(&mut self, cx: &mut StreamCx<'_>) {
        if self.scheduled().next().is_none()
            && let Some(timer) = self.slot_timer.take()
        {
            cx.cancel(timer);
        }
    }

    pub(super) fn slots_timeout(&mut self, cx: &mut StreamCx<'_>) {
        self.slot_timer = None;
        let waiting: BTreeSet<TaskId> = self.scheduled().map(|it| it.0).collect();
        if !waiting.is_empty() {
            self.fail(Cause::NoResourceAvailable, &waiting, cx);
        }
    }

    /// Deploys the tasks of each attempt for which all slots are there.
    fn try_deploy(&mut self, cx: &mut StreamCx<'_>) {
        let waiting: BTreeSet<Attempt> = self.scheduled().map(|it| it.1).collect();
        for attempt in waiting {
            self.deploy(attempt, cx);
        }
        self.slots_awaited(cx);
    }

    /// Where the slots are when those of these tasks are there; slots in use stay.
    fn slots_with(&self, tasks: &BTreeSet<TaskId>) -> Option<Seats> {
        let (groups, many) = slots::sharing_groups(&self.job.graph, &self.parallelism);
        let config = &self.job.spec.config;
        let (mut needed, mut before) = (vec![false; many as usize], vec![None; many as usize]);
        if config.recovers_locally() {
            before
                .iter_mut()
                .zip(&self.slots)
                .for_each(|(it, was)| *it = *was);
        }
        for (task, it) in &self.executions {
            let of_vertex = groups.get(usize::from(task.vertex));
            let group = of_vertex.and_then(|it| it.get(usize::from(task.subtask)));
            let group = group.copied().unwrap_or(0) as usize;
            let used = it.node.filter(|_| !it.state.is_terminal());
            if used.is_some() || tasks.contains(task) {
                needed.get_mut(group).into_iter().for_each(|it| *it = true);
            }
            if used.is_some() {
                before.get_mut(group).into_iter().for_each(|it| *it = used);
            }
        }
        let offered: Vec<(NodeId, u32)> = self
            .task_managers
            .iter()
            .map(|(node, it)| (*node, it.slots))
            .collect();
        let slots = slots::place(&needed, &offered, config.load_balance, &before)?;
        Some(Seats { slots, groups })
    }

    fn deploy(&mut self, attempt: Attempt, cx: &mut StreamCx<'_>) {
        let waiting = self.scheduled().filter(|it| it.1 == attempt);
        let tasks: BTreeSet<TaskId> = waiting.map(|it| it.0).collect();
        let Some(Seats { slots, groups }) = self.slots_with(&tasks) else {
            return;
        };
        let placement = Arc::new(slots::placement(&groups, &slots));
        self.slots = slots;
        self.add_splits_back(&tasks);
        let mut of_node: BTreeMap<NodeId, Vec<Deployment>> = BTreeMap::new();
        for task in &tasks {
            let Some(node) = slots::node_of(&placement, *task) else {
                continue;
            };
            let restore = self.restore(*task);
            let latest = self.coordinator.latest().map(|it| it.id);
            let finished = latest.is_some_and(|latest| {
                let mut each = restore.iter();
                each.any(|it| it.checkpoint != latest)
            });
            let forgotten = self.coordinator.latest().map(|it| it.forgotten.clone());
            let unshared = self.coordinator.latest().is_some_and(|it| it.retained);
            let deployments = of_node.entry(node).or_default();
            deployments.push(Deployment {
                task: *task,
                restore,
                finished,
                forgotten: forgotten.unwrap_or_default(),
                unshared,
                schemas: self.schemas.clone(),
            });
            self.executions.insert(
                *task,
                Execution {
                    state: ExecutionState::Deploying,
                    node: Some(node),
                    attempt,
                },
            );
        }
        let latest = self.coordinator.latest().map(|it| it.id);
        let again = attempt > self.ended_attempts + 1 && self.coordinator.own.is_none();
        if latest.is_some() || again {
            let after = latest.unwrap_or(-1);
            cx.note(Note::rule(Rule::Restored, None, 0, after));
        }
        let live = self
            .executions
            .values()
            .filter(|it| !it.state.is_terminal());
        let oldest = live.map(|it| it.attempt).min().unwrap_or(attempt);
        for (node, tasks) in of_node {
            cx.send(
                node,
                Packet::SubmitTasks {
                    attempt,
                    oldest,
                    tasks,
                    placement: placement.clone(),
                    parallelism: self.parallelism.clone(),
                },
            );
        }
        self.begin_alignment(&tasks, cx);
    }

    /// What a task is restored from (`StateAssignmentOperation`): its own state, or after rescaling
    /// that of the old subtasks whose key groups it owns now. Where a vertex holds list state, which
    /// is dealt out item by item, every subtask is given all of it and its operators pick.
    fn restore(&self, task: TaskId) -> Vec<Handle> {
        if let Some(own) = self.own_of(task) {
            return own.into_iter().collect();
        }
        let Some(latest) = self.coordinator.latest() else {
            return Vec::new();
        };
        let old = self.job.graph.parallelism(task.vertex, &latest.parallelism);
        let new = self.job.graph.parallelism(task.vertex, &self.parallelism);
        let mut wanted = match old == new {
            true => u32::from(task.subtask)..=u32::from(task.subtask),
            false => 0..=old.saturating_sub(1),
        };
        if old != new && !self.holds_lists(task.vertex) {
            let max = self.max_parallelism(task.vertex);
            let groups = (KeyGroups::new(max, new), KeyGroups::new(max, old));
            if let (Ok(new), Ok(old)) = groups {
                wanted = new.reads_from(u32::from(task.subtask), &old);
            }
        }
        let of_vertex = latest
            .handles
            .range(TaskId { subtask: 0, ..task }..)
            .take_while(|(it, _)| it.vertex == task.vertex);
        of_vertex
            .filter(|(it, _)| wanted.contains(&u32::from(it.subtask)))
            .map(|(_, handle)| *handle)
            .collect()
    }

    /// The greatest parallelism that every operator of a vertex allows.
    pub(super) fn max_parallelism(&self, vertex: u16) -> u32 {
        let vertex = self.job.graph.vertices.get(usize::from(vertex));
        let operators = vertex.iter().flat_map(|it| &it.operators);
        let most = operators
            .filter_map(|it| self.job.spec.operators.get(*it as usize))
            .map(|it| it.max_parallelism);
        most.min().unwrap_or(0)
    }

    /// Whether any operator of a vertex holds operator state.
    fn holds_lists(&self, vertex: u16) -> bool {
        let vertex = self.job.graph.vertices.get(usize::from(vertex));
        let mut operators = vertex.iter().flat_map(|it| &it.operators);
        operators.any(|it| {
            let kind = self.job.spec.operators.get(*it as usize).map(|it| &it.kind);
            match kind {
                Some(OperatorKind::Source(_) | OperatorKind::Join(JoinSpec::Broadcast)) => true,
                Some(OperatorKind::Sink(sink)) => sink.holds_state(),
                _ => false,
            }
        })
    }

    /// Whether a task's present attempt is this one.
    pub(super) fn runs_in(&self, task: TaskId, attempt: Attempt) -> bool {
        let execution = self.executions.get(&task);
        execution.is_some_and(|it| it.attempt == attempt)
    }

    /// Whether a report about a task is about its present attempt, and from where it runs.
    fn is_current(&self, from: NodeId, attempt: Attempt, task: TaskId) -> bool {
        let placed = self.executions.get(&task).and_then(|it| it.node);
        let known = placed == Some(from) && self.task_managers.contains_key(&from);
        known && self.runs_in(task, attempt)
    }

    pub(super) fn task_running(
        &mut self,
        from: NodeId,
        attempt: Attempt,
        task: TaskId,
        cx: &mut StreamCx<'_>,
    ) {
        if self.is_current(from, attempt, task)
            && let Some(it) = self.executions.get_mut(&task)
            && it.state == ExecutionState::Deploying
        {
            it.state = ExecutionState::Running;
            self.assign_splits(cx);
        }
    }

    pub(super) fn task_ended(
        &mut self,
        from: NodeId,
        attempt: Attempt,
        task: TaskId,
        end: TaskEnd,
        cx: &mut StreamCx<'_>,
    ) {
        if !self.is_current(from, attempt, task) {
            return;
        }
        let Some(it) = self.executions.get_mut(&task) else {
            return;
        };
        if it.state.is_terminal() {
            return;
        }
        let canceling = it.state == ExecutionState::Canceling;
        it.state = match end {
            _ if canceling => ExecutionState::Canceled,
            TaskEnd::Finished => ExecutionState::Finished,
            TaskEnd::Canceled => ExecutionState::Canceled,
            TaskEnd::Failed(_) => ExecutionState::Failed,
        };
        match end {
            TaskEnd::Failed(failure) if !canceling => {
                self.fail(Cause::Task(task, failure), &BTreeSet::from([task]), cx);
            }
            TaskEnd::Finished if !canceling => self.task_finished(task, cx),
            _ => {}
        }
    }

    fn task_finished(&mut self, task: TaskId, cx: &mut StreamCx<'_>) {
        if let Some(group) = &mut self.alignment {
            group.remove(&task);
        }
        self.leaves_checkpoints(task, cx);
        if self.go_on_if_stopped(cx) {
            return;
        }
        let mut all = self.executions.values();
        if self.status == JobStatus::Running && all.all(|it| it.state == ExecutionState::Finished) {
            self.finish(cx);
        }
    }

    /// All tasks have finished.
    pub(super) fn finish(&mut self, cx: &mut StreamCx<'_>) {
        self.rescaling = None;
        self.set_status(JobStatus::Finished, cx);
        self.end_checkpoints(cx);
    }
}
