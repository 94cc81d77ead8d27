//! Which subtasks share a slot, and on which TaskManager each slot is.
//!
//! Follows `LocalInputPreferredSlotSharingStrategy`: vertex by vertex, a subtask joins the group of
//! the first subtask that it reads from, as long as no other of its own vertex is there, or else
//! the first group with room, or a new one. Groups become slots as
//! `DefaultResourceAllocationStrategy` does it: by default one TaskManager's slots are used up
//! before the next one's (`AnyMatchingResourceMatchingStrategy`), with
//! `taskmanager.load-balance.mode: SLOTS` each slot is taken where the smallest share is in use.
//! TaskManagers come in the order of their nodes, where Flink's maps have none. Left out: resource
//! profiles, co-location, slots of other jobs.

use crate::kernel::NodeId;
use crate::stream::config::LoadBalance;
use crate::stream::graph::Graph;
use crate::stream::protocol::TaskId;

/// The group of each subtask (by vertex and subtask), and how many groups there are.
pub(super) fn sharing_groups(graph: &Graph, parallelism: &[u32]) -> (Vec<Vec<u32>>, u32) {
    let mut of: Vec<Vec<u32>> = Vec::new();
    // For each group of subtasks the slot sharing group that it belongs to.
    let mut groups: Vec<u16> = Vec::new();
    for (number, vertex) in (0_u16..).zip(&graph.vertices) {
        let many = graph.parallelism(number, parallelism);
        let mut mine: Vec<Option<u32>> = Vec::new();
        let mut taken = vec![false; groups.len()];
        for subtask in 0..many as u16 {
            let producers = vertex.inputs.iter().filter_map(|edge| {
                let up = graph.edges.get(usize::from(*edge))?.from.0;
                let first = (0..graph.parallelism(up, parallelism) as u16).find(|from| {
                    let to = graph.receivers(*edge, *from, parallelism);
                    to.contains(&subtask)
                })?;
                of.get(usize::from(up))?.get(usize::from(first)).copied()
            });
            let free = |group: &u32| {
                let at = *group as usize;
                groups.get(at) == Some(&vertex.slot_group) && taken.get(at) == Some(&false)
            };
            let found = producers.into_iter().find(free);
            if let Some(group) = found {
                taken[group as usize] = true;
            }
            mine.push(found);
        }
        for group in mine.iter_mut().filter(|it| it.is_none()) {
            let room = (0..groups.len()).find(|at| groups[*at] == vertex.slot_group && !taken[*at]);
            let at = room.unwrap_or_else(|| {
                groups.push(vertex.slot_group);
                taken.push(false);
                groups.len() - 1
            });
            taken[at] = true;
            *group = Some(at as u32);
        }
        of.push(mine.into_iter().flatten().collect());
    }
    (of, groups.len() as u32)
}

/// The TaskManager of each slot that is needed; `None` while there are not enough. `before` says
/// where a slot is or was, which is preferred: one that is in use stays.
pub(super) fn place(
    needed: &[bool],
    task_managers: &[(NodeId, u32)],
    mode: LoadBalance,
    before: &[Option<NodeId>],
) -> Option<Vec<Option<NodeId>>> {
    let mut used = vec![0_u32; task_managers.len()];
    let mut found: Vec<Option<NodeId>> = Vec::new();
    for (slot, needed) in needed.iter().enumerate() {
        let old = before.get(slot).copied().flatten().filter(|_| *needed);
        let at = task_managers
            .iter()
            .position(|(node, _)| Some(*node) == old);
        let at = at.filter(|at| used[*at] < task_managers[*at].1);
        if let Some(at) = at {
            used[at] += 1;
        }
        found.push(at.map(|at| task_managers[at].0));
    }
    for (slot, _) in found
        .iter_mut()
        .zip(needed)
        .filter(|(it, needed)| it.is_none() && **needed)
    {
        let mut free = (0..used.len()).filter(|at| used[*at] < task_managers[*at].1);
        let at = match mode {
            LoadBalance::None => free.next(),
            // used / slots compared without fractions.
            LoadBalance::Slots => free.reduce(|best, it| {
                let share = |a: usize, b: usize| u64::from(used[a]) * u64::from(task_managers[b].1);
                match share(it, best) < share(best, it) {
                    true => it,
                    false => best,
                }
            }),
        }?;
        used[at] += 1;
        *slot = Some(task_managers[at].0);
    }
    Some(found)
}

/// Where every task runs: for each vertex the node of each subtask. What has no slot is nowhere.
pub(super) fn placement(groups: &[Vec<u32>], slots: &[Option<NodeId>]) -> Vec<Vec<u32>> {
    let slot = |group: &u32| slots.get(*group as usize).copied().flatten();
    let node = |group: &u32| slot(group).map_or(u32::MAX, |it| it.0);
    let of_vertex = |it: &Vec<u32>| it.iter().map(node).collect();
    groups.iter().map(of_vertex).collect()
}

/// The node of a task in a placement.
pub(super) fn node_of(placement: &[Vec<u32>], task: TaskId) -> Option<NodeId> {
    let vertex = placement.get(usize::from(task.vertex))?;
    vertex.get(usize::from(task.subtask)).map(|it| NodeId(*it))
}
