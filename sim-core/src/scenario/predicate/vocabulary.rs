//! The names that predicates may use, as a tree that is unfolded while a path is followed.

use crate::kernel::NodeId;
use crate::scenario::probe::{LedgerCount, NODE_STATES, Probe, Type, Value};
use std::collections::BTreeMap;

/// What a name means by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Meaning {
    /// A question to the world.
    Probe(Probe, Type),
    /// Known beforehand.
    Const(Value, Type),
}

impl Meaning {
    pub(crate) fn value_type(self) -> Type {
        match self {
            Meaning::Probe(_, of) | Meaning::Const(_, of) => of,
        }
    }
}

/// Makes the names that may follow a dot.
pub(crate) type Inside<'s> = Box<dyn Fn() -> Vec<Property<'s>> + 's>;

/// A name that may stand at one place of a path.
pub(crate) struct Property<'s> {
    /// As written.
    pub(crate) name: String,
    /// What it means, for people.
    pub(crate) doc: &'static str,
    /// Its value, if it has one by itself.
    pub(crate) meaning: Option<Meaning>,
    /// What may follow, if something may.
    pub(crate) inside: Option<Inside<'s>>,
}

impl<'s> Property<'s> {
    /// Whether its value is a set of nodes, which has a size.
    pub(crate) fn is_set(&self) -> bool {
        self.meaning.map(Meaning::value_type) == Some(Type::Nodes)
    }

    /// A name with a value.
    pub(crate) fn probe(
        name: impl Into<String>,
        doc: &'static str,
        of: Type,
        probe: Probe,
    ) -> Self {
        Property::known(name, doc, Meaning::Probe(probe, of))
    }

    /// A name with a meaning.
    pub(crate) fn known(name: impl Into<String>, doc: &'static str, meaning: Meaning) -> Self {
        Property {
            name: name.into(),
            doc,
            meaning: Some(meaning),
            inside: None,
        }
    }

    /// A name that must be followed by another.
    pub(crate) fn scope(
        name: impl Into<String>,
        doc: &'static str,
        inside: impl Fn() -> Vec<Property<'s>> + 's,
    ) -> Self {
        Property {
            name: name.into(),
            doc,
            meaning: None,
            inside: Some(Box::new(inside)),
        }
    }
}

/// A node, as its system declares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodeName {
    /// Its name.
    pub(crate) name: String,
    /// What it is, e.g. `broker`.
    pub(crate) kind: &'static str,
}

/// All names of one scenario.
#[derive(Default)]
pub(crate) struct Vocabulary<'s> {
    /// Nodes in the order of the world.
    pub(crate) nodes: Vec<NodeName>,
    /// Where paths begin.
    pub(crate) roots: BTreeMap<String, Property<'s>>,
}

/// Names that mean something in every scenario.
pub(crate) const RESERVED: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "true",
    "false",
    "none",
    "time",
    "ledger",
    "invariants",
];

impl<'s> Vocabulary<'s> {
    /// The names that do not depend on systems.
    pub(crate) fn new() -> Self {
        let mut vocabulary = Vocabulary::default();
        vocabulary.add(Property::probe(
            "time",
            "Simulated time.",
            Type::Time,
            Probe::Time,
        ));
        vocabulary.add(Property::scope(
            "ledger",
            "Counts over all records, taken from outside.",
            || {
                let count = |(count, name, doc): &(LedgerCount, &str, &'static str)| {
                    Property::probe(*name, doc, Type::Int, Probe::Ledger(*count))
                };
                LedgerCount::ALL.iter().map(count).collect()
            },
        ));
        vocabulary.add(Property::scope(
            "invariants",
            "What must hold in every state.",
            || {
                vec![Property::probe(
                    "violated",
                    "Invariants found broken so far.",
                    Type::Int,
                    Probe::InvariantsViolated,
                )]
            },
        ));
        vocabulary
    }

    /// Adds a name; `false` if it is taken.
    pub(crate) fn add(&mut self, property: Property<'s>) -> bool {
        if self.roots.contains_key(&property.name) {
            return false;
        }
        self.roots.insert(property.name.clone(), property);
        true
    }

    /// Adds the next node, with what its system says of it.
    pub(crate) fn add_node(
        &mut self,
        node: NodeName,
        doc: &'static str,
        of_system: impl Fn() -> Vec<Property<'s>> + 's,
    ) -> bool {
        let id = NodeId(self.nodes.len() as u32);
        let name = node.name.clone();
        self.nodes.push(node);
        self.add(Property {
            name,
            doc,
            meaning: Some(Meaning::Const(Value::Node(id), Type::Node)),
            inside: Some(Box::new(move || {
                let mut all = vec![Property::probe(
                    "state",
                    "What the machine does: up, paused or down.",
                    Type::Word(NODE_STATES),
                    Probe::NodeState(id),
                )];
                all.extend(of_system());
                all
            })),
        })
    }
}
