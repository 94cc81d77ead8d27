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
use crate::stream::spec::{Guarantee, JoinSpec, OperatorKind};
use std::collections::BTreeMap;
use std::sync::Arc;

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
        let mut lost = false;
        for it in self.executions.values_mut() {
            if it.node != Some(node) || it.state.is_terminal() {
                continue;
            }
            // What was being canceled is gone as wanted.
            let canceling = it.state == ExecutionState::Canceling;
            lost |= !canceling;
            it.state = match canceling {
                true => ExecutionState::Canceled,
                false => ExecutionState::Failed,
            };
        }
        if lost {
            self.fail(Cause::TaskManagerLost(node), cx);
        }
        self.canceled(node, cx);
    }

    /// Begins an attempt: slots are wanted, and what is deployed when they are there is known.
    pub(super) fn begin_attempt(&mut self, cx: &mut StreamCx<'_>) {
        self.attempt += 1;
        self.deployed = false;
        let tasks = self.job.graph.tasks(&self.parallelism);
        let scheduled = Execution {
            state: ExecutionState::Scheduled,
            node: None,
        };
        self.executions = tasks.map(|task| (task, scheduled)).collect();
        self.set_status(JobStatus::Running, cx);
        self.start_checkpoints(cx);
        let attempt = self.attempt;
        let timeout = ms(self.job.spec.config.slot_timeout.0);
        let timer = self.set_timer(timeout, JobManagerTimer::SlotRequest { attempt }, cx);
        self.slot_timer = Some(timer);
        self.try_deploy(cx);
    }

    pub(super) fn slots_timeout(&mut self, attempt: Attempt, cx: &mut StreamCx<'_>) {
        if attempt == self.attempt && self.status == JobStatus::Running && !self.deployed {
            self.slot_timer = None;
            self.fail(Cause::NoResourceAvailable, cx);
        }
    }

    /// Deploys every task if all slots are there.
    fn try_deploy(&mut self, cx: &mut StreamCx<'_>) {
        if self.status != JobStatus::Running || self.deployed {
            return;
        }
        let (groups, wanted) = slots::sharing_groups(&self.job.graph, &self.parallelism);
        let offered: Vec<(NodeId, u32)> = self
            .task_managers
            .iter()
            .map(|(node, it)| (*node, it.slots))
            .collect();
        let config = &self.job.spec.config;
        let before: &[NodeId] = match config.local_recovery {
            true => &self.slots,
            false => &[],
        };
        let Some(slots) = slots::place(wanted, &offered, config.load_balance, before) else {
            return;
        };
        if let Some(timer) = self.slot_timer.take() {
            cx.cancel(timer);
        }
        let placement = Arc::new(slots::placement(&groups, &slots));
        self.slots = slots;
        self.deployed = true;
        let mut of_node: BTreeMap<NodeId, Vec<Deployment>> = BTreeMap::new();
        for (task, node) in slots::tasks(&placement) {
            let restore = self.restore(task);
            of_node
                .entry(node)
                .or_default()
                .push(Deployment { task, restore });
            self.executions.insert(
                task,
                Execution {
                    state: ExecutionState::Deploying,
                    node: Some(node),
                },
            );
        }
        let latest = self.coordinator.latest().map(|it| it.id);
        if latest.is_some() || self.attempt > 1 {
            let after = latest.unwrap_or(-1);
            cx.note(Note::rule(Rule::Restored, None, 0, after));
        }
        for (node, tasks) in of_node {
            cx.send(
                node,
                Packet::SubmitTasks {
                    attempt: self.attempt,
                    tasks,
                    placement: placement.clone(),
                    parallelism: self.parallelism.clone(),
                },
            );
        }
        self.begin_alignment(cx);
    }

    /// What a task is restored from (`StateAssignmentOperation`): its own state, or after rescaling
    /// that of the old subtasks whose key groups it owns now. Where a vertex holds list state, which
    /// is dealt out item by item, every subtask is given all of it and its operators pick.
    fn restore(&self, task: TaskId) -> Vec<Handle> {
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
                Some(OperatorKind::Sink(sink)) => matches!(
                    sink.guarantee,
                    Guarantee::WriteAheadLog | Guarantee::ExactlyOnce { .. }
                ),
                _ => false,
            }
        })
    }

    /// Whether a report about a task is about the present attempt, and from where that task runs.
    fn is_current(&self, from: NodeId, attempt: Attempt, task: TaskId) -> bool {
        let placed = self.executions.get(&task).and_then(|it| it.node);
        attempt == self.attempt && placed == Some(from) && self.task_managers.contains_key(&from)
    }

    pub(super) fn task_running(&mut self, from: NodeId, attempt: Attempt, task: TaskId) {
        if self.is_current(from, attempt, task)
            && let Some(it) = self.executions.get_mut(&task)
            && it.state == ExecutionState::Deploying
        {
            it.state = ExecutionState::Running;
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
            TaskEnd::Failed(failure) if !canceling => self.fail(Cause::Task(task, failure), cx),
            TaskEnd::Finished if !canceling => self.task_finished(task, cx),
            _ => {}
        }
    }

    fn task_finished(&mut self, task: TaskId, cx: &mut StreamCx<'_>) {
        if let Some(group) = &mut self.alignment {
            group.remove(&task);
        }
        self.leaves_checkpoints(task, cx);
        let mut all = self.executions.values();
        if self.status == JobStatus::Running && all.all(|it| it.state == ExecutionState::Finished) {
            self.set_status(JobStatus::Finished, cx);
            self.end_checkpoints(cx);
        }
    }
}
