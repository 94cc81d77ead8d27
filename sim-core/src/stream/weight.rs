//! What a job's keyed state takes in memory, for keyframes.
//!
//! Keyed state lies in pieces that copies share until they are written, so that a keyframe takes
//! what was written since the one before it. That is found by walking both: shared pieces are passed
//! over, so the walk costs about as much as was written. Buffers under way and what the sinks keep
//! are counted with the machines ([`Machine::weight`]).

use super::node::Machine;
use super::operator::KeyedState;
use super::snapshot::TaskSnapshot;
use super::task::Task;
use super::task::chain::Link;
use crate::kernel::World;
use crate::systems::Node;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries of pieces that are looked at to weigh all of them.
const LOOK_AT: u64 = 16_000;

/// Keyed state by operator and key group.
type Keyed = BTreeMap<(u32, u32), KeyedState>;

fn machines(world: &World<Node>) -> impl Iterator<Item = &Machine> {
    world.nodes().iter().filter_map(|slot| match &slot.process {
        Node::Stream(node) => Some(node.machine()),
        Node::Kafka(_) => None,
    })
}

fn tasks(world: &World<Node>) -> impl Iterator<Item = &Task> {
    let tasks = machines(world).filter_map(|it| match it {
        Machine::TaskManager(it) => Some(it.tasks().values()),
        Machine::JobManager(_) | Machine::Storage(_) | Machine::Store(_) => None,
    });
    tasks.flatten()
}

/// The states that checkpoints keep. Copies on local disks are the same ones.
fn stored(world: &World<Node>) -> impl Iterator<Item = &Arc<TaskSnapshot>> {
    let kept = machines(world).filter_map(|it| match it {
        Machine::Storage(it) => Some(it.kept().values()),
        Machine::JobManager(_) | Machine::TaskManager(_) | Machine::Store(_) => None,
    });
    kept.flatten().filter_map(|it| it.state.as_ref())
}

/// The state of what runs.
fn live(world: &World<Node>) -> Keyed {
    let links = tasks(world).flat_map(|it| &it.chain.links);
    let mut all = Keyed::new();
    for link in links {
        if let Link::Operator(operator) = &link.link {
            let pieces = operator.snapshot().keyed.into_iter();
            all.extend(pieces.map(|(group, state)| ((link.operator, group), state)));
        }
    }
    all
}

fn pieces(state: &TaskSnapshot) -> impl Iterator<Item = ((u32, u32), &KeyedState)> {
    state.operators.iter().flat_map(|(operator, it)| {
        let groups = it.keyed.iter();
        groups.map(|(group, state)| ((*operator, *group), state))
    })
}

/// About how many bytes pieces take besides what they share with those of the same key groups.
///
/// A million keys are not all looked at: the largest pieces are, and the others are taken to be like
/// them, since keys are spread over the groups by their hashes.
fn besides<'a>(
    pieces: impl Iterator<Item = ((u32, u32), &'a KeyedState)>,
    shared: &Keyed,
) -> usize {
    let with = |(at, piece): (_, &'a KeyedState)| (piece.len().max(1), piece, shared.get(&at));
    let mut differ: Vec<_> = pieces.map(with).filter(|it| !it.1.is_same(it.2)).collect();
    differ.sort_by_key(|it| Reverse(it.0));
    let all: u64 = differ.iter().map(|it| it.0).sum();
    let (mut looked_at, mut bytes) = (0, 0);
    for (len, piece, shared) in differ {
        if looked_at >= LOOK_AT {
            break;
        }
        looked_at += len;
        bytes += piece.unshared(shared) as u128;
    }
    usize::try_from(bytes * u128::from(all) / u128::from(looked_at.max(1))).unwrap_or(usize::MAX)
}

/// About how many bytes a copy of a job's keyed state takes besides what it shares with an earlier
/// one.
pub(super) fn unshared(world: &World<Node>, before: &World<Node>) -> usize {
    let (now, mut old) = (live(world), live(before));
    for state in stored(before) {
        // A job that was about to restart ran on what its checkpoint held.
        for (at, piece) in pieces(state) {
            old.entry(at).or_insert_with(|| piece.clone());
        }
    }
    let running = besides(now.iter().map(|(at, piece)| (*at, piece)), &old);
    let is_old = |state: &&Arc<TaskSnapshot>| stored(before).any(|it| Arc::ptr_eq(it, state));
    let new: Vec<_> = stored(world).filter(|it| !is_old(it)).collect();
    let new = || new.iter().flat_map(|it| pieces(it));
    // What a checkpoint alone keeps is what was written both before and after it.
    running + besides(new(), &now).min(besides(new(), &old))
}

/// How many records the operators that run have been handed: what their work grows with.
pub(super) fn handled(world: &World<Node>) -> u64 {
    let links = tasks(world).flat_map(|it| &it.chain.links);
    links.map(|it| it.records_in).sum()
}
