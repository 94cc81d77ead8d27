//! What can be done to a node, a link or a message, and why something cannot be done now.

use super::session::Session;
use crate::kafka;
use crate::kernel::{
    Deed, EventId, FilterRule, LinkChange, MILLISECOND, Message, MessageDeed, NodeId,
};
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
/// A tenth of the messages, per million.
const TENTH: u32 = 100_000;
/// A fast clock of the palette, parts per billion.
const FAST_CLOCK: i64 = 10_000_000;

impl Session {
    /// Everything that can be done to a target, in a stable order.
    #[must_use]
    pub fn offers(&self, target: Target) -> Vec<Offer> {
        let list = match target {
            Target::Node(node) => self.node_offers(NodeId(node)),
            Target::Link(a, b) => link_offers(NodeId(a), NodeId(b)),
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
        let list = list
            .into_iter()
            .map(|(id, label, deed)| (id, label.to_owned(), deed));
        list.chain(self.kind_offer(target))
            .map(|(id, label, deed)| Offer {
                id,
                label,
                disabled_because: self.refusal(&deed).map(|refusal| refusal.0),
                deed,
            })
            .collect()
    }

    /// To lose all messages like this one on its way, besides those that are lost there already.
    fn kind_offer(&self, target: Target) -> Option<(&'static str, String, Deed<Order>)> {
        let Target::Message(id) = target else {
            return None;
        };
        let world = self.run().world();
        let message = world
            .in_flight()
            .into_iter()
            .find(|it| it.id == EventId(id))?;
        let label = message.msg.label();
        let link = world.link(message.from, message.to)?;
        let mut filters = link.fault.filters.clone();
        if filters.iter().all(|filter| filter.label != label) {
            filters.push(FilterRule {
                label: label.to_owned(),
            });
        }
        let change = LinkChange {
            filters: Some(filters),
            ..LinkChange::default()
        };
        let words = format!("Lose every {label} on this way");
        Some((
            "lose-kind",
            words,
            Deed::Link(message.from, message.to, change),
        ))
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
            ("drift", "Clock 1 % fast", Deed::Drift(node, FAST_CLOCK)),
            ("true-clock", "Clock set right", Deed::Skew(node, 0)),
            ("true-rate", "Clock at the right rate", Deed::Drift(node, 0)),
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

fn link_offers(a: NodeId, b: NodeId) -> Vec<(&'static str, &'static str, Deed<Order>)> {
    let one_way = |change: LinkChange| Deed::Link(a, b, change);
    let cut = LinkChange {
        cut: Some(true),
        ..LinkChange::default()
    };
    let slow = LinkChange {
        slow_by: Some(200 * MILLISECOND),
        ..LinkChange::default()
    };
    let lossy = LinkChange {
        loss_ppm: Some(TENTH),
        ..LinkChange::default()
    };
    let twice = LinkChange {
        duplicate_ppm: Some(TENTH),
        ..LinkChange::default()
    };
    let disorder = LinkChange {
        reorder_ppm: Some(TENTH),
        ..LinkChange::default()
    };
    vec![
        ("cut", "Cut the link", Deed::Cut(a, b)),
        ("cut-one-way", "Cut this direction only", one_way(cut)),
        ("slow-link", "Slow it by 200 ms", one_way(slow)),
        ("lossy-link", "Lose 10 % of messages", one_way(lossy)),
        (
            "duplicating-link",
            "Deliver 10 % of messages twice",
            one_way(twice),
        ),
        (
            "reordering-link",
            "Let 10 % of messages be overtaken",
            one_way(disorder),
        ),
        ("heal", "Heal the link", Deed::Heal(a, b)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::SECOND;
    use crate::run::Recipe;

    const STORY: &str = include_str!("../../../scenarios/quickstart.toml");

    fn offer(session: &Session, target: Target, id: &str) -> Offer {
        let mut offers = session.offers(target);
        offers.retain(|offer| offer.id == id);
        offers.pop().expect("it is offered")
    }

    #[test]
    fn what_is_offered_can_be_done_and_taken_back() {
        let check = |target: Target, harm: &str, cure: &str| {
            let mut session = Session::open(Recipe::of(STORY)).expect("a good story");
            session.seek(5 * SECOND);
            for id in [harm, cure] {
                let found = offer(&session, target, id);
                assert_eq!(found.disabled_because, None, "{id}");
                session
                    .act(found.deed)
                    .expect("what is offered can be done");
            }
            let links = session.run().world().links();
            assert!(links.into_iter().all(|(_, link)| link.fault.is_none()));
        };
        let (node, link) = (Target::Node(0), Target::Link(0, 1));
        check(node, "skew", "true-clock");
        check(node, "drift", "true-rate");
        check(link, "cut", "heal");
        check(link, "duplicating-link", "heal");
        check(link, "reordering-link", "heal");
    }

    #[test]
    fn a_kind_of_message_is_lost_from_one_way() {
        let mut session = Session::open(Recipe::of(STORY)).expect("a good story");
        let under_way = |at: u64| {
            session.seek(at);
            session.tokens(100).0.first().map(|token| token.id)
        };
        let mut moments = (0..).map(|i| 5 * SECOND + i * MILLISECOND);
        let id = moments.find_map(under_way).expect("something is under way");
        let found = offer(&session, Target::Message(id), "lose-kind");
        let Deed::Link(from, to, _) = found.deed.clone() else {
            panic!("it changes one way: {found:?}");
        };
        session.act(found.deed).expect("it can be done");
        let link = session.run().world().link(from, to).expect("it is used");
        assert_eq!(link.fault.filters.len(), 1);
        assert!(found.label.contains(&link.fault.filters[0].label));
    }
}
