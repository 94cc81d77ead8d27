//! The document: the tables that every scenario may have, whatever its systems.
//!
//! Times of windows are always called `after` and `until`; `from` and `to` are always nodes.

use super::declare::{Item, Offer, document, wrong_kind};
use super::entry::{NodeNames, PredicateText, RawEntry};
use super::quantity::{Big, Speed, Time};
use super::reader::{At, Problem, Raw, Reader};
use super::units;
use crate::kernel::Nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

document! {
    /// A Strandline scenario: topology, configuration, load, timeline, captions and expectations
    /// in one file.
    pub(crate) struct RawScenario {
        "strandline" => version: u32, required, "Version of the scenario language; this is 1.";
        "title" => title: String, required, "What the scenario is called.";
        "description" => description: String, optional, "What it shows, for people.";
        "seed" => seed: Big, optional, "The number from which all chance is drawn (default 1). The same seed gives the same run.";
        "duration" => duration: Time, required, "How much simulated time the run takes.";
        "network" => network: RawNetwork, optional, "The healthy network.";
        "timeline" => timeline: Vec<At<RawEntry>>, optional, "What happens to the nodes and links, and when.";
        "caption" => captions: Vec<At<RawCaption>>, optional, "What is told while it runs.";
        "expect" => expectations: Vec<At<RawExpectation>>, optional, "What must be true, and when.";
    }
}

document! {
    /// The healthy network.
    pub(crate) struct RawNetwork {
        "delay" => delay: Time, optional, "One-way delay of every link (default 500us).";
        "jitter" => jitter: Time, optional, "Extra delay of each message, drawn evenly from 0 to this (default 0s).";
        "bandwidth" => bandwidth: Speed, optional, "Bytes per second of each direction of each link (default 0: not limited).";
        "link" => links: Vec<At<RawLink>>, optional, "Links that are different from the others.";
    }
}

document! {
    /// A link that is different from the others.
    pub(crate) struct RawLink {
        "from" => from: NodeNames, required, "The sender, or a list of them.";
        "to" => to: NodeNames, required, "The receiver, or a list of them.";
        "one-way" => one_way: bool, optional, "Only this direction; otherwise both (default false).";
        "delay" => delay: Time, optional, "One-way delay (default that of [network]).";
        "jitter" => jitter: Time, optional, "Extra delay, drawn evenly from 0 to this (default that of [network]).";
        "bandwidth" => bandwidth: Speed, optional, "Bytes per second (default that of [network]).";
    }
}

document! {
    /// A sentence that appears while the scenario runs.
    pub(crate) struct RawCaption {
        "at" => at: Time, optional, "It appears at this time.";
        "when" => when: PredicateText, optional, "It appears when this becomes true.";
        "every-time" => every_time: bool, optional, "With `when`: each time, not only the first (default false).";
        "after" => after: Time, optional, "With `when`: not before this time.";
        "until" => until: Time, optional, "With `when`: not after this time.";
        "text" => text: String, required, "What it says.";
    }
}

document! {
    /// Something that must be true.
    pub(crate) struct RawExpectation {
        "that" => that: PredicateText, required, "A predicate on the simulated state.";
        "at" => at: MomentText, optional, "A time, \"end\" (the default), \"eventually\", \"always\" or \"never\".";
        "after" => after: Time, optional, "With eventually, always and never: what is before this does not count.";
        "by" => by: Time, optional, "With eventually: it must have been true at this time at the latest.";
        "until" => until: Time, optional, "With always and never: what is after this does not count.";
        "note" => note: String, optional, "Why, for people.";
    }
}

/// When an expectation counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum MomentText {
    /// At a time, ns.
    At(Nanos),
    /// At the end.
    End,
    /// At least once.
    Eventually,
    /// After every event.
    Always,
    /// After no event.
    Never,
}

/// The words of [`MomentText`].
const MOMENTS: &[(&str, &str, MomentText)] = &[
    ("end", "It is true at the end of the run.", MomentText::End),
    (
        "eventually",
        "It is true at least once.",
        MomentText::Eventually,
    ),
    (
        "always",
        "It is true after every event.",
        MomentText::Always,
    ),
    ("never", "It is true after no event.", MomentText::Never),
];

impl Item for MomentText {
    fn expected() -> String {
        "a time, \"end\", \"eventually\", \"always\" or \"never\"".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Text(text) = &raw.value else {
            return wrong_kind(raw, reader);
        };
        if let Some((_, _, moment)) = MOMENTS.iter().find(|(word, _, _)| word == text) {
            return Some(*moment);
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return Some(MomentText::At(Time::read(raw, reader)?.0));
        }
        let message = format!("`{}` is no moment", units::shorten(text));
        let problem = Problem::bad_value(message, Self::expected());
        reader.report(
            &raw.span,
            problem.near(text, MOMENTS.iter().map(|(word, _, _)| *word)),
        );
        None
    }
    fn offer() -> Offer {
        Offer::Words(MOMENTS.iter().map(|(word, doc, _)| (*word, *doc)).collect())
    }
}

impl JsonSchema for MomentText {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut each: Vec<Schema> = MOMENTS
            .iter()
            .map(|(word, doc, _)| json_schema!({ "const": word, "description": doc }))
            .collect();
        each.push(generator.subschema_for::<Time>());
        json_schema!({ "anyOf": each })
    }
}
