//! Deeds as a scenario writes them: which can be taken back, and how, and how placeholders for
//! nodes are filled.

use crate::kernel::{Deed, LinkChange, NodeId};
use crate::systems::Order;

/// What takes a deed back, to be done in this order; `None` if nothing does (a wiped disk stays
/// wiped). The inverse brings back health, not what was before: after `slow-cpu` for 3 s a node
/// is not slow any more, whatever it was.
#[must_use]
pub fn inverse(deed: &Deed<Order>) -> Option<Vec<Deed<Order>>> {
    let mend = LinkChange {
        cut: Some(false),
        ..LinkChange::default()
    };
    let mend_both = |a: NodeId, b: NodeId| {
        [
            Deed::Link(a, b, mend.clone()),
            Deed::Link(b, a, mend.clone()),
        ]
    };
    Some(match deed {
        Deed::Crash(n) | Deed::PowerLoss(n) => vec![Deed::Restart(*n)],
        Deed::Pause(n) => vec![Deed::Resume(*n)],
        Deed::SlowCpu(n, _) => vec![Deed::SlowCpu(*n, 0)],
        Deed::SlowDisk(n, _) => vec![Deed::SlowDisk(*n, 0)],
        Deed::Skew(n, _) => vec![Deed::Skew(*n, 0)],
        Deed::Drift(n, _) => vec![Deed::Drift(*n, 0)],
        Deed::Link(a, b, change) => vec![Deed::Link(*a, *b, healthy(change))],
        Deed::Cut(a, b) => mend_both(*a, *b).into(),
        Deed::Partition(left, right) => left
            .iter()
            .flat_map(|a| right.iter().filter(move |b| *b != a).map(move |b| (*a, *b)))
            .flat_map(|(a, b)| mend_both(a, b))
            .collect(),
        Deed::Order(n, order) => vec![Deed::Order(*n, order.inverse()?)],
        Deed::WipeDisk(_) | Deed::Restart(_) | Deed::Resume(_) | Deed::Heal(..) => return None,
        Deed::HealAll | Deed::Message(..) => return None,
    })
}

/// The parts that a change set, healthy again.
fn healthy(change: &LinkChange) -> LinkChange {
    LinkChange {
        cut: change.cut.map(|_| false),
        slow_by: change.slow_by.map(|_| 0),
        loss_ppm: change.loss_ppm.map(|_| 0),
        duplicate_ppm: change.duplicate_ppm.map(|_| 0),
        reorder_ppm: change.reorder_ppm.map(|_| 0),
        filters: change.filters.as_ref().map(|_| Vec::new()),
    }
}

/// The nodes that a deed names.
pub(super) fn nodes_of(deed: &Deed<Order>) -> Vec<NodeId> {
    match deed {
        Deed::Crash(n) | Deed::PowerLoss(n) | Deed::WipeDisk(n) | Deed::Restart(n) => vec![*n],
        Deed::Pause(n) | Deed::Resume(n) | Deed::SlowCpu(n, _) | Deed::SlowDisk(n, _) => vec![*n],
        Deed::Skew(n, _) | Deed::Drift(n, _) | Deed::Order(n, _) => vec![*n],
        Deed::Link(a, b, _) | Deed::Cut(a, b) | Deed::Heal(a, b) => vec![*a, *b],
        Deed::Partition(left, right) => left.iter().chain(right).copied().collect(),
        Deed::HealAll | Deed::Message(..) => Vec::new(),
    }
}

/// The deed with a placeholder filled by nodes: one deed for each node, or one deed with all of
/// them where it takes a list.
pub(super) fn replace(
    deed: &Deed<Order>,
    placeholder: NodeId,
    nodes: &[NodeId],
) -> Vec<Deed<Order>> {
    if let Deed::Partition(left, right) = deed {
        let fill = |side: &[NodeId]| -> Vec<NodeId> {
            let mut out = Vec::new();
            for node in side {
                if *node == placeholder {
                    out.extend_from_slice(nodes);
                } else {
                    out.push(*node);
                }
            }
            out
        };
        return vec![Deed::Partition(fill(left), fill(right))];
    }
    nodes
        .iter()
        .map(|node| map_nodes(deed, |n| if n == placeholder { *node } else { n }))
        .collect()
}

fn map_nodes(deed: &Deed<Order>, f: impl Fn(NodeId) -> NodeId) -> Deed<Order> {
    match deed.clone() {
        Deed::Crash(n) => Deed::Crash(f(n)),
        Deed::PowerLoss(n) => Deed::PowerLoss(f(n)),
        Deed::WipeDisk(n) => Deed::WipeDisk(f(n)),
        Deed::Restart(n) => Deed::Restart(f(n)),
        Deed::Pause(n) => Deed::Pause(f(n)),
        Deed::Resume(n) => Deed::Resume(f(n)),
        Deed::SlowCpu(n, cost) => Deed::SlowCpu(f(n), cost),
        Deed::SlowDisk(n, speed) => Deed::SlowDisk(f(n), speed),
        Deed::Skew(n, by) => Deed::Skew(f(n), by),
        Deed::Drift(n, ppb) => Deed::Drift(f(n), ppb),
        Deed::Link(a, b, change) => Deed::Link(f(a), f(b), change),
        Deed::Cut(a, b) => Deed::Cut(f(a), f(b)),
        Deed::Heal(a, b) => Deed::Heal(f(a), f(b)),
        Deed::Order(n, order) => Deed::Order(f(n), order),
        other @ (Deed::Partition(..) | Deed::HealAll | Deed::Message(..)) => other,
    }
}
