//! Verbs of the timeline: what may stand after `do =`, and with which arguments.
//!
//! The generic ones are the kernel's deeds and are listed here; a system adds its orders.

use super::declare::{Item, Key, Offer, wrong_kind};
use super::entry::NodeNames;
use super::quantity::{Big, Share, SignedTime, Speed, Time};
use super::reader::{At, Problem, Raw, Reader};
use crate::kernel::Nanos;
use schemars::{Schema, SchemaGenerator, json_schema};

/// A verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Verb {
    /// As written.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
    /// Its arguments.
    pub(crate) args: &'static [Arg],
    /// Whether `for` can take it back.
    pub(crate) undo: bool,
}

/// An argument of a verb.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Arg {
    /// As written.
    pub(crate) key: &'static str,
    /// What it takes.
    pub(crate) kind: ArgKind,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// What it means.
    pub(crate) doc: &'static str,
}

/// What an argument takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ArgKind {
    /// Nodes: names, or an expression that has a node or nodes as its value.
    Nodes {
        /// Only of this kind, e.g. `broker`.
        kind: Option<&'static str>,
        /// What an argument that is left out means.
        default: Option<&'static str>,
    },
    /// A time.
    Time,
    /// A time that may be negative.
    SignedTime,
    /// A whole number from 0 on.
    Count,
    /// A whole number.
    Number,
    /// true or false.
    Flag,
    /// A text.
    Text,
    /// A text, number or flag, taken as text.
    Plain,
    /// Texts.
    Texts,
    /// Bytes per second.
    Speed,
    /// Parts per million.
    Share,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// Any nodes.
pub(crate) const NODES: ArgKind = ArgKind::Nodes {
    kind: None,
    default: None,
};

/// An argument that must be there.
pub(crate) const fn needed(key: &'static str, kind: ArgKind, doc: &'static str) -> Arg {
    let required = true;
    Arg {
        key,
        kind,
        required,
        doc,
    }
}

/// An argument that may be left out.
pub(crate) const fn optional(key: &'static str, kind: ArgKind, doc: &'static str) -> Arg {
    let required = false;
    Arg {
        key,
        kind,
        required,
        doc,
    }
}

const fn verb(name: &'static str, undo: bool, doc: &'static str, args: &'static [Arg]) -> Verb {
    Verb {
        name,
        doc,
        args,
        undo,
    }
}

const NODE: Arg = needed("node", NODES, "Which node, or a list of them.");
const FROM: Arg = needed("from", NODES, "One side of the link.");
const TO: Arg = needed("to", NODES, "The other side.");
const MESSAGE: Arg = needed(
    "message",
    ArgKind::Count,
    "Number of the event that would deliver it.",
);

/// The deeds of the kernel.
pub(crate) const GENERIC: &[Verb] = &[
    verb(
        "crash",
        true,
        "The process dies (kill -9): memory is gone, page cache and disk stay.",
        &[NODE],
    ),
    verb(
        "power-loss",
        true,
        "The machine loses power: what was not flushed is gone too, and peers hear nothing.",
        &[NODE],
    ),
    verb(
        "wipe-disk",
        false,
        "The disk of a node that is down is replaced by an empty one.",
        &[NODE],
    ),
    verb(
        "restart",
        false,
        "The process starts again from what its disk holds.",
        &[NODE],
    ),
    verb(
        "pause",
        true,
        "The process freezes (GC pause, SIGSTOP) until resumed.",
        &[NODE],
    ),
    verb("resume", false, "The process goes on.", &[NODE]),
    verb(
        "slow-cpu",
        true,
        "Each input costs the process some time.",
        &[
            NODE,
            needed(
                "cost",
                ArgKind::Time,
                "Time each input takes; \"0s\" makes it fast again.",
            ),
        ],
    ),
    verb(
        "slow-disk",
        true,
        "The disk writes no faster than this.",
        &[
            NODE,
            needed(
                "speed",
                ArgKind::Speed,
                "Bytes per second, e.g. \"1MB/s\"; 0 takes the limit away.",
            ),
        ],
    ),
    verb(
        "skew",
        true,
        "The node's wall clock is off by this much.",
        &[
            NODE,
            needed(
                "by",
                ArgKind::SignedTime,
                "How far ahead; negative is behind.",
            ),
        ],
    ),
    verb(
        "drift",
        true,
        "The node's clock runs fast or slow.",
        &[
            NODE,
            needed(
                "ppb",
                ArgKind::Number,
                "Parts per billion, at most 500,000,000 either way; positive is fast.",
            ),
        ],
    ),
    verb(
        "cut",
        true,
        "Nothing passes between two nodes, either way; what is sent waits, as TCP does.",
        &[FROM, TO],
    ),
    verb(
        "heal",
        false,
        "Takes all faults off the links between two nodes.",
        &[FROM, TO],
    ),
    verb(
        "link",
        true,
        "Changes one direction of a link; parts that are not named stay as they are.",
        &[
            needed("from", NODES, "The sender."),
            needed("to", NODES, "The receiver."),
            optional("cut", ArgKind::Flag, "Nothing passes this way."),
            optional("delay", ArgKind::Time, "Delay on top of the healthy one."),
            optional(
                "loss",
                ArgKind::Share,
                "Share of messages that never arrive.",
            ),
            optional(
                "duplicate",
                ArgKind::Share,
                "Share of messages that arrive twice.",
            ),
            optional(
                "reorder",
                ArgKind::Share,
                "Share of messages that may overtake others.",
            ),
            optional(
                "lose",
                ArgKind::Texts,
                "Kinds of message that never arrive, e.g. [\"Fetch\"].",
            ),
        ],
    ),
    verb(
        "partition",
        true,
        "Cuts every link between two groups of nodes.",
        &[
            needed("nodes", NODES, "The nodes of one side."),
            optional(
                "others",
                NODES,
                "Those of the other side; left out: all other nodes.",
            ),
        ],
    ),
    verb("heal-all", false, "Takes all faults off all links.", &[]),
    verb(
        "drop-message",
        false,
        "A message under way never arrives.",
        &[MESSAGE],
    ),
    verb(
        "duplicate-message",
        false,
        "A message under way arrives twice.",
        &[MESSAGE],
    ),
    verb(
        "delay-message",
        false,
        "A message under way arrives later; others may overtake it.",
        &[MESSAGE, needed("delay", ArgKind::Time, "How much later.")],
    ),
];

/// The value of an argument.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ArgValue {
    Nodes(NodeNames),
    Time(Nanos),
    SignedTime(i64),
    Count(u64),
    Number(i64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Share(u32),
}

impl ArgKind {
    /// Reads a value of this kind.
    pub(crate) fn read(self, raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<ArgValue> {
        Some(match self {
            ArgKind::Nodes { .. } => ArgValue::Nodes(Item::read(raw, reader)?),
            ArgKind::Time => ArgValue::Time(Time::read(raw, reader)?.0),
            ArgKind::SignedTime => ArgValue::SignedTime(SignedTime::read(raw, reader)?.0),
            ArgKind::Count => ArgValue::Count(Big::read(raw, reader)?.0),
            ArgKind::Number => ArgValue::Number(Item::read(raw, reader)?),
            ArgKind::Flag => ArgValue::Flag(Item::read(raw, reader)?),
            ArgKind::Text => ArgValue::Text(Item::read(raw, reader)?),
            ArgKind::Plain => ArgValue::Text(read_plain(raw, reader)?),
            ArgKind::Texts => {
                let texts: Vec<At<String>> = Item::read(raw, reader)?;
                ArgValue::Texts(texts.into_iter().map(|text| text.value).collect())
            }
            ArgKind::Speed => ArgValue::Count(Speed::read(raw, reader)?.0),
            ArgKind::Share => ArgValue::Share(Share::read(raw, reader)?.0),
            ArgKind::Words(words) => {
                let text = read_plain(raw, reader)?;
                if !words.contains(&text.as_str()) {
                    super::wrong_word(&text, words, &raw.span, reader);
                    return None;
                }
                ArgValue::Text(text)
            }
        })
    }

    /// What may be written.
    pub(crate) fn expected(self) -> String {
        match self {
            ArgKind::Nodes { .. } => NodeNames::expected(),
            ArgKind::Time => Time::expected(),
            ArgKind::SignedTime => SignedTime::expected(),
            ArgKind::Count => Big::expected(),
            ArgKind::Number => i64::expected(),
            ArgKind::Flag => bool::expected(),
            ArgKind::Text => String::expected(),
            ArgKind::Plain => "a text, a number, true or false".to_owned(),
            ArgKind::Texts => Vec::<At<String>>::expected(),
            ArgKind::Speed => Speed::expected(),
            ArgKind::Share => Share::expected(),
            ArgKind::Words(words) => format!("one of {}", words.join(", ")),
        }
    }

    /// The schema of its values.
    pub(crate) fn schema(self, generator: &mut SchemaGenerator) -> Schema {
        match self {
            ArgKind::Nodes { .. } => generator.subschema_for::<NodeNames>(),
            ArgKind::Time => generator.subschema_for::<Time>(),
            ArgKind::SignedTime => generator.subschema_for::<SignedTime>(),
            ArgKind::Count => generator.subschema_for::<Big>(),
            ArgKind::Number => generator.subschema_for::<i64>(),
            ArgKind::Flag => generator.subschema_for::<bool>(),
            ArgKind::Text => generator.subschema_for::<String>(),
            ArgKind::Texts => generator.subschema_for::<Vec<String>>(),
            ArgKind::Speed => generator.subschema_for::<Speed>(),
            ArgKind::Share => generator.subschema_for::<Share>(),
            ArgKind::Plain => json_schema!({ "type": ["string", "integer", "boolean"] }),
            // A word such as 1 may be written as a number.
            ArgKind::Words(words) => {
                let numbers = words.iter().filter_map(|word| word.parse::<i64>().ok());
                let mut all: Vec<Schema> = words
                    .iter()
                    .map(|word| json_schema!({ "const": word }))
                    .collect();
                all.extend(numbers.map(|number| json_schema!({ "const": number })));
                json_schema!({ "anyOf": all })
            }
        }
    }

    fn offer(self) -> Offer {
        match self {
            ArgKind::Nodes { .. } => Offer::Node,
            ArgKind::Flag => Offer::Flag,
            ArgKind::Words(words) => Offer::Words(words.iter().map(|word| (*word, "")).collect()),
            _ => Offer::Nothing,
        }
    }
}

/// A plain value as text.
fn read_plain(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<String> {
    match raw.value {
        Raw::Text(_) | Raw::Int(..) | Raw::Bool(_) => Some(raw.value.text()),
        _ => wrong_kind(raw, reader),
    }
}

impl Arg {
    /// As a key of an entry.
    pub(crate) fn key(&self) -> Key {
        Key {
            key: self.key,
            doc: self.doc,
            expected: self.kind.expected(),
            required: self.required,
            repeated: false,
            offer: self.kind.offer(),
        }
    }
}

/// The arguments given to a verb that could be read, and how many were written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Args(
    pub(crate) Vec<(&'static str, At<ArgValue>)>,
    pub(crate) usize,
);

macro_rules! getter {
    ($($(#[$doc:meta])+ $name:ident: $variant:ident -> $ty:ty;)+) => {$(
        $(#[$doc])+
        pub(crate) fn $name(&self, key: &str) -> Option<$ty> {
            match self.get(key).map(|at| &at.value) {
                Some(ArgValue::$variant(value)) => Some(value.clone()),
                _ => None,
            }
        }
    )+};
}

impl Args {
    /// An argument with its place.
    pub(crate) fn get(&self, key: &str) -> Option<&At<ArgValue>> {
        self.0
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
    }

    getter! {
        /// A time.
        time: Time -> Nanos;
        /// A signed time.
        signed_time: SignedTime -> i64;
        /// A count or speed.
        count: Count -> u64;
        /// A number.
        number: Number -> i64;
        /// A flag.
        flag: Flag -> bool;
        /// A text or word.
        text: Text -> String;
        /// Texts.
        texts: Texts -> Vec<String>;
        /// A share.
        share: Share -> u32;
        /// Nodes.
        nodes: Nodes -> NodeNames;
    }

    /// Reports something at an argument.
    pub(crate) fn report(&self, key: &str, problem: Problem, reader: &mut Reader<'_>) {
        if let Some(found) = self.get(key) {
            reader.report(&found.span, problem);
        }
    }
}
