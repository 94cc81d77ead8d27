//! The register of systems: the one place that names them all.
//!
//! A new system is a folder beside `kafka/` and one line in the macro call below. The kernel is
//! generic over [`Node`]; systems meet only through messages.

use crate::kernel::{Cx, Digest, Input, Loss, Message, Process};
use crate::scenario::SystemSection;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

macro_rules! systems {
    ($($(#[$doc:meta])+ $name:ident in $module:path as $m:ident;)+) => {
        $(use $module as $m;)+

        /// A node of any system.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        pub enum Node { $($(#[$doc])+ $name($m::Node),)+ }

        /// A message of any system.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        pub enum Msg { $($(#[$doc])+ $name($m::Msg),)+ }

        /// A timer of any system.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
        pub enum Timer { $($(#[$doc])+ $name($m::Timer),)+ }

        /// An order of any system.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        pub enum Order { $($(#[$doc])+ $name($m::Order),)+ }

        /// A note of any system.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Note { $($(#[$doc])+ $name($m::Note),)+ }

        /// What a scenario says of a system.
        #[derive(Clone, PartialEq, Eq, Debug, Serialize)]
        pub enum Spec { $($(#[$doc])+ $name(Box<$m::scenario::Spec>),)+ }

        /// What a scenario's predicate asks of a system.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
        pub enum Probe { $($(#[$doc])+ $name($m::scenario::Probe),)+ }

        impl Probe {
            /// The words that its value is one of, if it is a word.
            #[must_use]
            pub fn words(&self) -> &'static [&'static str] {
                match self { $(Probe::$name(it) => it.words(),)+ }
            }
        }

        /// What each system brings to the scenario language, in the order of the world's nodes.
        pub(crate) const SECTIONS: &[&dyn SystemSection] = &[$(&$m::scenario::Language,)+];

        /// The schema of each section, in the order of [`SECTIONS`].
        pub(crate) const SCHEMAS: &[fn(&mut SchemaGenerator) -> Schema] = &[$($m::scenario::schema,)+];

        impl Order {
            /// The order that takes this one back, if one does.
            #[must_use]
            pub fn inverse(&self) -> Option<Order> {
                match self { $(Order::$name(it) => it.inverse().map(Order::$name),)+ }
            }

            /// The order in a few words.
            #[must_use]
            pub fn words(&self) -> String {
                match self { $(Order::$name(it) => it.words(),)+ }
            }
        }

        impl Note {
            /// A rule that changed something (and not a client's observation).
            #[must_use]
            pub fn is_rule(&self) -> bool {
                match self { $(Note::$name(it) => it.is_rule(),)+ }
            }

            /// Name of the rule, empty for an observation.
            #[must_use]
            pub fn rule_name(&self) -> &'static str {
                match self { $(Note::$name(it) => it.rule_name(),)+ }
            }
        }

        $(
            impl From<$m::Msg> for Msg { fn from(it: $m::Msg) -> Self { Msg::$name(it) } }
            impl From<$m::Timer> for Timer { fn from(it: $m::Timer) -> Self { Timer::$name(it) } }
            impl From<$m::Note> for Note { fn from(it: $m::Note) -> Self { Note::$name(it) } }
            impl From<$m::Order> for Order { fn from(it: $m::Order) -> Self { Order::$name(it) } }
        )+

        impl Message for Msg {
            fn label(&self) -> &'static str { match self { $(Msg::$name(it) => it.label(),)+ } }
            fn bytes(&self) -> u64 { match self { $(Msg::$name(it) => it.bytes(),)+ } }
            fn fingerprint(&self, digest: &mut Digest) {
                match self { $(Msg::$name(it) => it.fingerprint(digest),)+ }
            }
            fn describe(&self) -> String { match self { $(Msg::$name(it) => it.describe(),)+ } }
        }

        impl Process for Node {
            type Msg = Msg;
            type Timer = Timer;
            type Order = Order;
            type Note = Note;

            fn on(&mut self, input: Input<Msg, Timer, Order>, cx: &mut Cx<'_, Self>) {
                match self {
                    $(Node::$name(node) => {
                        let input = match input {
                            Input::Boot => Input::Boot,
                            Input::Message { from, msg: Msg::$name(msg) } => Input::Message { from, msg },
                            Input::Timer(Timer::$name(timer)) => Input::Timer(timer),
                            // A message in a foreign protocol: some speak it, through clients of
                            // another system in their processes. To others the connection is of
                            // no use.
                            Input::Message { from, msg } => match node.adopt(msg) {
                                Some(msg) => Input::Message { from, msg },
                                None => return,
                            },
                            Input::Disconnected(peer) => Input::Disconnected(peer),
                            Input::Order(Order::$name(order)) => Input::Order(order),
                            Input::Timer(_) | Input::Order(_) => return,
                        };
                        node.on(input, cx);
                    })+
                }
            }

            fn crash(&mut self, loss: Loss) {
                match self { $(Node::$name(node) => node.crash(loss),)+ }
            }

            fn weight(&self) -> usize {
                match self { $(Node::$name(node) => size_of_val(self) + node.weight(),)+ }
            }

            fn refuse(&self, order: &Order) -> Option<String> {
                match (self, order) {
                    $((Node::$name(node), Order::$name(order)) => node.refuse(order),)+
                    _ => Some("this order belongs to another system".to_owned()),
                }
            }
        }
    };
}

systems! {
    /// Apache Kafka.
    Kafka in crate::kafka as kafka;
    /// A stream processor.
    Stream in crate::stream as stream;
}

impl Msg {
    /// What the nodes and clients of a Kafka cluster say, if it is that.
    #[must_use]
    pub fn kafka(self) -> Option<kafka::Msg> {
        match self {
            Msg::Kafka(msg) => Some(msg),
            Msg::Stream(_) => None,
        }
    }
}

impl Note {
    /// What a node of a Kafka cluster reports, if it is that.
    #[must_use]
    pub fn kafka(self) -> Option<kafka::Note> {
        match self {
            Note::Kafka(note) => Some(note),
            Note::Stream(_) => None,
        }
    }
}
