//! What can be done to a node, a link or a message, and why something cannot be done now.

use super::session::Session;
use crate::kafka;
use crate::kernel::{Deed, MILLISECOND, MessageDeed, NodeId};
use crate::systems::{Node, Order};

/// What a palette or menu was opened on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// A node.
    Node(u32),
    /// Both directions between two nodes.
    Link(u32, u32),
    /// A message under way, by the event that would deliver it.
    Message(u64),
}

/// One thing that can be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Name that does not change, for tests and shortcuts.
    pub id: &'static str,
    /// Words on the button.
    pub label: String,
    /// What to do.
    pub deed: Deed<Order>,
    /// Why it cannot be done now.
    pub disabled_because: Option<String>,
}

/// A slow disk of the palette, bytes per second.
const SLOW_DISK: u64 = 20_000;

impl Session {
    /// Everything that can be done to a target, in a stable order.
    #[must_use]
    pub fn offers(&self, target: Target) -> Vec<Offer> {
        let list = match target {
            Target::Node(node) => self.node_offers(NodeId(node)),
            Target::Link(a, b) => {
                let (a, b) = (NodeId(a), NodeId(b));
                let slow = crate::kernel::LinkChange {
                    slow_by: Some(200 * MILLISECOND),
                    ..Default::default()
                };
                let lossy = crate::kernel::LinkChange {
                    loss_ppm: Some(100_000),
                    ..Default::default()
                };
                vec![
                    ("cut", "Cut the link", Deed::Cut(a, b)),
                    (
                        "cut-one-way",
                        "Cut this direction only",
                        Deed::Link(a, b, cut()),
                    ),
                    ("slow-link", "Slow it by 200 ms", Deed::Link(a, b, slow)),
                    (
                        "lossy-link",
                        "Lose 10 % of messages",
                        Deed::Link(a, b, lossy),
                    ),
                    ("heal", "Heal the link", Deed::Heal(a, b)),
                ]
            }
            Target::Message(id) => vec![
                (
                    "drop",
                    "Drop this message",
                    Deed::Message(id, MessageDeed::Drop),
                ),
                (
                    "duplicate",
                    "Deliver it twice",
                    Deed::Message(id, MessageDeed::Duplicate),
                ),
                (
                    "delay",
                    "Hold it back by 500 ms",
                    Deed::Message(id, MessageDeed::Delay(500 * MILLISECOND)),
                ),
            ],
        };
        list.into_iter()
            .map(|(id, label, deed)| Offer {
                id,
                label: label.to_owned(),
                disabled_because: self.refusal(&deed).map(|refusal| refusal.0),
                deed,
            })
            .collect()
    }

    fn node_offers(&self, node: NodeId) -> Vec<(&'static str, &'static str, Deed<Order>)> {
        let others: Vec<NodeId> = (0..self.scenario().nodes.len() as u32)
            .map(NodeId)
            .filter(|other| *other != node)
            .collect();
        let mut offers = vec![
            ("crash", "Kill the process", Deed::Crash(node)),
            ("power-loss", "Cut its power", Deed::PowerLoss(node)),
            ("restart", "Start it again", Deed::Restart(node)),
            ("pause", "Freeze it (GC pause)", Deed::Pause(node)),
            ("resume", "Let it go on", Deed::Resume(node)),
            (
                "isolate",
                "Cut all its links",
                Deed::Partition(vec![node], others),
            ),
            (
                "slow-cpu",
                "Slow CPU: 5 ms per input",
                Deed::SlowCpu(node, 5 * MILLISECOND),
            ),
            ("fast-cpu", "Full CPU speed", Deed::SlowCpu(node, 0)),
            (
                "slow-disk",
                "Slow disk: 20 kB/s",
                Deed::SlowDisk(node, SLOW_DISK),
            ),
            ("fast-disk", "Full disk speed", Deed::SlowDisk(node, 0)),
            (
                "skew",
                "Clock 1 h ahead",
                Deed::Skew(node, 3_600_000_000_000),
            ),
            (
                "wipe",
                "Replace its disk by an empty one",
                Deed::WipeDisk(node),
            ),
            ("heal-all", "Heal all links", Deed::HealAll),
        ];
        match self.run().world().process(node) {
            Some(Node::Kafka(it)) => {
                for (id, label, order) in kafka::orders_of(it) {
                    offers.push((id, label, Deed::Order(node, Order::Kafka(order))));
                }
            }
            Some(Node::Stream(it)) => {
                for (id, label, order) in it.offers() {
                    offers.push((id, label, Deed::Order(node, Order::Stream(order))));
                }
            }
            None => {}
        }
        offers
    }
}

fn cut() -> crate::kernel::LinkChange {
    crate::kernel::LinkChange {
        cut: Some(true),
        ..Default::default()
    }
}
