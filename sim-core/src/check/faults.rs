//! Random faults, generated *into* a run before it begins.
//!
//! A seed gives a list of dated acts: crashes, power losses, pauses, cuts and slow parts, each
//! taken back after a while, and at the end of the turmoil everything healed, so that what follows
//! is the liveness phase. The list is data: it can be printed, linked to, shortened and replayed;
//! the run itself rolls no dice for faults.

use crate::kernel::{Deed, LinkChange, MILLISECOND, Nanos, NodeId, Purpose, below, draw};
use crate::run::Action;
use crate::scenario::Scenario;
use crate::systems::{Node, Order};

const WHAT: Purpose = Purpose::named("faults.what");
const WHERE: Purpose = Purpose::named("faults.where");
const WHEN: Purpose = Purpose::named("faults.when");
const LONG: Purpose = Purpose::named("faults.long");

/// Which faults, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultProfile {
    /// Faults per run.
    pub count: u32,
    /// Turmoil begins here, ns.
    pub from: Nanos,
    /// Turmoil ends here and everything is healed, ns.
    pub until: Nanos,
    /// Whether machines may lose power (and what was not flushed).
    pub power: bool,
    /// Whether members of consumer groups fail as servers do.
    pub members: bool,
}

impl FaultProfile {
    /// Faults between a tenth and six tenths of the run.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let end = scenario.duration;
        FaultProfile {
            count: 6,
            from: end / 10,
            until: end / 10 * 6,
            power: false,
            members: false,
        }
    }
}

/// The acts for a seed. `servers` are the nodes that may fail (the others stay).
#[must_use]
pub fn faults(seed: u64, servers: &[NodeId], profile: &FaultProfile) -> Vec<Action> {
    let mut acts: Vec<Action> = Vec::new();
    let span = profile.until.saturating_sub(profile.from);
    if servers.len() < 2 || span == 0 {
        return acts;
    }
    for i in 0..u64::from(profile.count) {
        let roll = |purpose, n| below(draw(seed, purpose, 0, 0, i), n);
        let node = servers[roll(WHERE, servers.len() as u64) as usize];
        let other = servers[(roll(WHERE, 1 << 32) % servers.len() as u64) as usize];
        let other = if other == node {
            servers[(node.0 as usize + 1) % servers.len()]
        } else {
            other
        };
        let start = profile.from + roll(WHEN, span);
        let length = 50 * MILLISECOND + roll(LONG, span / 2);
        let end = (start + length).min(profile.until);
        let (do_it, undo) = pair(roll(WHAT, 8), node, other, servers, profile.power);
        acts.push(Action {
            at: start,
            deed: do_it,
        });
        acts.push(Action {
            at: end,
            deed: undo,
        });
    }
    // The end of the turmoil: whatever is still broken is mended. A deed that is not needed is
    // refused by the world and changes nothing.
    acts.push(Action {
        at: profile.until,
        deed: Deed::HealAll,
    });
    for node in servers {
        acts.push(Action {
            at: profile.until,
            deed: Deed::Resume(*node),
        });
        acts.push(Action {
            at: profile.until,
            deed: Deed::Restart(*node),
        });
        acts.push(Action {
            at: profile.until,
            deed: Deed::SlowCpu(*node, 0),
        });
        acts.push(Action {
            at: profile.until,
            deed: Deed::SlowDisk(*node, 0),
        });
    }
    acts.sort_by_key(|act| act.at);
    acts
}

fn pair(
    what: u64,
    node: NodeId,
    other: NodeId,
    servers: &[NodeId],
    power: bool,
) -> (Deed<Order>, Deed<Order>) {
    let rest = || {
        servers
            .iter()
            .copied()
            .filter(|n| *n != node)
            .collect::<Vec<_>>()
    };
    match what {
        0 | 1 => (Deed::Crash(node), Deed::Restart(node)),
        2 if power => (Deed::PowerLoss(node), Deed::Restart(node)),
        2 | 3 => (Deed::Pause(node), Deed::Resume(node)),
        4 => (Deed::Cut(node, other), Deed::Heal(node, other)),
        5 => (Deed::Partition(vec![node], rest()), Deed::HealAll),
        6 => {
            let one_way = LinkChange {
                cut: Some(true),
                ..LinkChange::default()
            };
            let back = LinkChange {
                cut: Some(false),
                ..LinkChange::default()
            };
            (
                Deed::Link(node, other, one_way),
                Deed::Link(node, other, back),
            )
        }
        _ => (Deed::SlowCpu(node, 2 * MILLISECOND), Deed::SlowCpu(node, 0)),
    }
}

/// The nodes of a world that faults may hit: all servers, no clients but, if wanted, the members of
/// consumer groups.
#[must_use]
pub fn targets(nodes: &[Node], members: bool) -> Vec<NodeId> {
    use crate::kafka::Node as Kafka;
    (0..)
        .map(NodeId)
        .zip(nodes)
        .filter(|(_, node)| {
            let node = match node {
                Node::Kafka(node) => node,
                // A job promises what it does whichever of its machines fails.
                Node::Stream(_) => return true,
            };
            match node {
                Kafka::Broker(_) | Kafka::Controller(_) => true,
                Kafka::Consumer(consumer) => members && !consumer.config().group_id.is_empty(),
                Kafka::Processor(_) => members,
                Kafka::Producer(_) => false,
            }
        })
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_taken_back_and_seeds_differ() {
        let nodes: Vec<NodeId> = (0..6).map(NodeId).collect();
        let profile = FaultProfile {
            count: 8,
            from: 1_000,
            until: 1_000_000_000,
            power: true,
            members: false,
        };
        let of = |seed| faults(seed, &nodes, &profile);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        for seed in 0..200 {
            let acts = of(seed);
            assert!(
                acts.iter()
                    .all(|act| act.at >= profile.from && act.at <= profile.until)
            );
            assert!(acts.is_sorted_by_key(|act| act.at));
            let last = acts.iter().filter(|act| act.at == profile.until).count();
            assert!(last > 4 * nodes.len(), "everything is mended at the end");
        }
    }
}
