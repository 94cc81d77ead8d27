//! A scenario that was read and found good: plain data from which a run is built.
//!
//! Everything is resolved: nodes are numbers in the order of the world, times are nanoseconds,
//! predicates ask probes. What a run does with it is the run module's affair; this module only says
//! what the author asked for.

use super::predicate::{Expr, Predicate};
use super::probe::{Facts, Probe, Value};
use crate::kafka::spec::ClusterSpec;
use crate::kernel::{Deed, LinkProfile, Nanos, NodeId, Refusal};
use crate::systems::{Order, Spec};
use serde::Serialize;
use std::ops::Range;

/// A scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Scenario {
    /// What it is called.
    pub title: String,
    /// What it shows.
    pub description: String,
    /// From which all chance is drawn.
    pub seed: u64,
    /// How long it runs, ns.
    pub duration: Nanos,
    /// Healthy behaviour of links.
    pub network: Network,
    /// The systems in it, in the order of their registration.
    pub systems: Vec<Spec>,
    /// Names of the nodes; a node's number in the world is its place here.
    pub nodes: Vec<String>,
    /// What happens to the world, in the order of the file.
    pub timeline: Vec<TimelineEntry>,
    /// What is told while it runs.
    pub captions: Vec<Caption>,
    /// What its author expects.
    pub expectations: Vec<Expectation>,
}

impl Scenario {
    /// Whether an expectation says what is to become of the invariants.
    #[must_use]
    pub fn judges_invariants(&self) -> bool {
        let probes = self.expectations.iter().flat_map(|e| e.predicate.probes());
        probes.into_iter().any(|p| p == Probe::InvariantsViolated)
    }

    /// The Kafka cluster, if there is one.
    #[must_use]
    pub fn kafka(&self) -> Option<&ClusterSpec> {
        self.systems.iter().find_map(|system| match system {
            Spec::Kafka(spec) => Some(&**spec),
            Spec::Stream(_) => None,
        })
    }

    /// The number of a node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeId> {
        let at = self.nodes.iter().position(|node| node == name)?;
        Some(NodeId(at as u32))
    }
}

/// The healthy network.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Network {
    /// Every link that is not named below.
    pub default: LinkProfile,
    /// Directions with a profile of their own: (sender, receiver, profile).
    pub links: Vec<(NodeId, NodeId, LinkProfile)>,
}

/// When something happens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Trigger {
    /// Once, at this time, ns.
    At(Nanos),
    /// At `first`, `first + period`, … as long as that is not after `last`.
    Every {
        /// Time between two firings, ns; never 0.
        period: Nanos,
        /// First time, ns.
        first: Nanos,
        /// No firing after this, ns.
        last: Nanos,
    },
    /// When a predicate becomes true (it was false before, or this is the start of the window).
    When {
        /// The predicate.
        predicate: Predicate,
        /// Each time it becomes true; otherwise only the first time.
        every_time: bool,
        /// Not before this, ns.
        after: Nanos,
        /// Not after this, ns.
        until: Nanos,
    },
}

impl Trigger {
    /// The times of a trigger that does not depend on a predicate, up to the end of the run.
    pub fn times(&self, duration: Nanos) -> impl Iterator<Item = Nanos> {
        let (first, period, last) = match *self {
            Trigger::At(at) => (at, None, at),
            Trigger::Every {
                period,
                first,
                last,
            } => (first, Some(period), last),
            Trigger::When { .. } => (1, None, 0),
        };
        let last = last.min(duration);
        std::iter::successors(Some(first), move |at| at.checked_add(period?))
            .take_while(move |at| *at <= last)
    }
}

/// One entry of the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TimelineEntry {
    /// When.
    pub trigger: Trigger,
    /// What, in this order.
    pub acts: Vec<Act>,
    /// Take it back after this span, ns: the inverse (see [`super::inverse`]) of each deed that was
    /// done, in reverse order.
    pub undo_after: Option<Nanos>,
    /// The author's words on it.
    pub note: Option<String>,
    /// Line in the file, from 1.
    pub line: u32,
    /// Place in the file, bytes.
    pub span: Range<usize>,
}

/// A deed whose nodes may be given by value, such as "the leader of orders-0"; these are looked up
/// when it is due.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Act {
    /// The deed; nodes given by value stand as placeholders.
    pub(super) deed: Deed<Order>,
    /// What a placeholder stands for: (placeholder, expression, its text).
    pub(super) by_value: Vec<(NodeId, Expr, String)>,
    /// The second side of a partition is everyone but the first.
    pub(super) all_others: bool,
}

impl Act {
    /// An act on nodes that are known.
    #[must_use]
    pub fn fixed(deed: Deed<Order>) -> Self {
        Act {
            deed,
            by_value: Vec::new(),
            all_others: false,
        }
    }

    /// The order that is given, if it is one.
    #[must_use]
    pub fn order(&self) -> Option<&Order> {
        match &self.deed {
            Deed::Order(_, order) => Some(order),
            _ => None,
        }
    }

    /// The deed, if all its nodes are known beforehand.
    #[must_use]
    pub fn known(&self) -> Option<&Deed<Order>> {
        self.by_value.is_empty().then_some(&self.deed)
    }

    /// The deeds to do now. More than one if a set of nodes was asked for where a deed takes one.
    ///
    /// # Errors
    /// If a node asked for by value is none at present.
    pub fn resolve(&self, facts: &impl Facts) -> Result<Vec<Deed<Order>>, Refusal> {
        let mut deeds = vec![self.deed.clone()];
        for (placeholder, expr, text) in &self.by_value {
            let nodes: Vec<NodeId> = match expr.evaluate(facts) {
                Value::Node(node) => vec![node],
                Value::Nodes(set) => set.iter().collect(),
                _ => Vec::new(),
            };
            if nodes.is_empty() {
                return Err(Refusal(format!("`{text}` is no node at this moment")));
            }
            deeds = deeds
                .iter()
                .flat_map(|deed| super::deeds::replace(deed, *placeholder, &nodes))
                .collect();
        }
        for deed in &mut deeds {
            if let Deed::Partition(side, others) = deed
                && self.all_others
            {
                others.retain(|node| !side.contains(node));
            }
        }
        Ok(deeds)
    }
}

/// A sentence shown while the scenario runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Caption {
    /// When it appears.
    pub trigger: Trigger,
    /// What it says.
    pub text: String,
    /// Line in the file, from 1.
    pub line: u32,
}

/// A promise of the author.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Expectation {
    /// What is promised.
    pub predicate: Predicate,
    /// When it counts.
    pub moment: Moment,
    /// The author's words on it.
    pub note: Option<String>,
    /// Line in the file, from 1.
    pub line: u32,
    /// Place in the file, bytes.
    pub span: Range<usize>,
}

/// When an expectation is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Moment {
    /// At the end of the run.
    End,
    /// At this time, ns, after all events of that instant.
    At(Nanos),
    /// True at least once in the window.
    Eventually {
        /// Start of the window, ns.
        after: Nanos,
        /// End of the window, ns.
        by: Nanos,
    },
    /// True after every event in the window.
    Always {
        /// Start of the window, ns.
        after: Nanos,
        /// End of the window, ns.
        until: Nanos,
    },
    /// False after every event in the window.
    Never {
        /// Start of the window, ns.
        after: Nanos,
        /// End of the window, ns.
        until: Nanos,
    },
}
