//! Entries of the timeline as they stand in the document: a moment, a verb and its arguments.

use super::declare::{Item, Key, Offer, Table, check_keys, document, read_text, wrong_kind};
use super::quantity::Time;
use super::reader::{At, Problem, Raw, Reader};
use super::verbs::{Args, GENERIC, Verb};
use crate::systems;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Names of nodes, or expressions for nodes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct NodeNames(pub(crate) Vec<At<String>>);

impl Item for NodeNames {
    fn expected() -> String {
        "the name of a node, or a list of them".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match &raw.value {
            Raw::Text(text) => Some(NodeNames(vec![At::new(text.clone(), raw.span.clone())])),
            Raw::List(_) => Some(NodeNames(Item::read(raw, reader)?)),
            _ => wrong_kind(raw, reader),
        }
    }
    fn offer() -> Offer {
        Offer::Node
    }
}

impl JsonSchema for NodeNames {
    fn schema_name() -> Cow<'static, str> {
        "NodeNames".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a node, or an expression such as orders-0.leader; or a list of them.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } },
            ],
        })
    }
}

/// The text of a predicate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PredicateText(pub(crate) String);

impl Item for PredicateText {
    fn expected() -> String {
        "a predicate such as 'orders-0.isr.size < 2'".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        read_text(raw, reader, |text| Ok(text.to_owned()), PredicateText)
    }
    fn offer() -> Offer {
        Offer::Predicate
    }
}

impl JsonSchema for PredicateText {
    fn schema_name() -> Cow<'static, str> {
        "Predicate".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A predicate on the simulated state, e.g. orders-0.isr.size < 2 and b1.state == down",
        })
    }
}

document! {
    /// Something that happens to nodes and links. The verb after `do` says which further keys there are.
    pub(crate) struct RawMoment {
        "at" => at: Time, optional, "Once, at this time.";
        "every" => every: Time, optional, "Again and again, this long apart; first at `after`, or after one such span.";
        "when" => when: PredicateText, optional, "When this becomes true.";
        "every-time" => every_time: bool, optional, "With `when`: each time it becomes true, not only the first (default false).";
        "after" => after: Time, optional, "With `every` and `when`: not before this time.";
        "until" => until: Time, optional, "With `every` and `when`: not after this time.";
        "for" => lasts: Time, optional, "Take it back after this span.";
        "do" => verb: String, required, "What happens.";
        "note" => note: String, optional, "Why, for people.";
    }
}

/// An entry of the timeline.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RawEntry {
    pub(crate) moment: RawMoment,
    /// The verb, if it is one.
    pub(crate) verb: Option<&'static Verb>,
    pub(crate) args: Args,
}

/// All verbs: the kernel's, then those of each system.
pub(crate) fn all_verbs() -> impl Iterator<Item = &'static Verb> {
    let of_systems = systems::SECTIONS.iter().flat_map(|section| section.verbs());
    GENERIC.iter().chain(of_systems)
}

/// The keys of an entry with this verb.
pub(crate) fn entry_keys(verb: Option<&Verb>) -> Vec<Key> {
    let mut keys = RawMoment::keys();
    if let Some(key) = keys.iter_mut().find(|key| key.key == "do") {
        key.offer = Offer::Words(all_verbs().map(|verb| (verb.name, verb.doc)).collect());
    }
    keys.extend(verb.iter().flat_map(|verb| verb.args).map(|arg| arg.key()));
    keys
}

impl Item for RawEntry {
    const TABLE: bool = true;

    fn expected() -> String {
        "a table".to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Table(fields) = &raw.value else {
            return wrong_kind(raw, reader);
        };
        let moment = RawMoment::take(fields, reader);
        let verb = moment.verb.as_ref().and_then(|name| {
            let found = all_verbs().find(|verb| verb.name == name.value);
            if found.is_none() {
                let problem = Problem::new(
                    "unknown-verb",
                    format!("`{}` is no verb", super::units::shorten(&name.value)),
                );
                let names = all_verbs().map(|verb| verb.name);
                reader.report(&name.span, problem.near(&name.value, names));
            }
            found
        });
        // Without a verb its arguments cannot be told from mistakes.
        if verb.is_some() || moment.verb.is_none() {
            check_keys(fields, &entry_keys(verb), &raw.span, reader);
        }
        let mut args = Args::default();
        for arg in verb.iter().flat_map(|verb| verb.args) {
            let given = fields.iter().find(|(key, _)| key.value == arg.key);
            args.1 += usize::from(given.is_some());
            if let Some((_, value)) = given
                && let Some(read) = arg.kind.read(value, reader)
            {
                args.0.push((arg.key, At::new(read, value.span.clone())));
            }
        }
        Some(RawEntry { moment, verb, args })
    }

    fn offer() -> Offer {
        Offer::Keys(entry_keys(None))
    }
}

impl JsonSchema for RawEntry {
    fn schema_name() -> Cow<'static, str> {
        "TimelineEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let moment = RawMoment::json_schema(generator);
        let mut properties = moment.get("properties").cloned().unwrap_or_default();
        let mut conditions = Vec::new();
        for verb in all_verbs() {
            for arg in verb.args {
                let schema = arg.kind.schema(generator);
                properties[arg.key] = schema.to_value();
            }
            let required: Vec<&str> = verb
                .args
                .iter()
                .filter(|arg| arg.required)
                .map(|arg| arg.key)
                .collect();
            conditions.push(json_schema!({
                "if": { "properties": { "do": { "const": verb.name } }, "required": ["do"] },
                "then": { "required": required, "description": verb.doc },
            }));
        }
        let words: Vec<Schema> = all_verbs()
            .map(|verb| json_schema!({ "const": verb.name, "description": verb.doc }))
            .collect();
        properties["do"] =
            json_schema!({ "description": "What happens.", "oneOf": words }).to_value();
        json_schema!({
            "type": "object",
            "description": "Something that happens to nodes and links.",
            "properties": properties,
            "required": ["do"],
            "oneOf": [{ "required": ["at"] }, { "required": ["every"] }, { "required": ["when"] }],
            "allOf": conditions,
            "additionalProperties": false,
        })
    }
}
