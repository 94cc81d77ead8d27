//! Consumers and their groups, as the document has them.
//!
//! A `[[kafka.group]]` says once what its members have alike, and may name members that have
//! nothing of their own. What a consumer says itself comes before what its group says.

use super::document::{RawConsumer, RawGroup};
use super::groups;
use super::read::{list, place, topic_of, value};
use super::settings::Config;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::group_config::GroupProtocol;
use crate::kafka::spec::{ClusterSpec, ConsumerSpec, TopicSpec};
use crate::scenario::{At, Problem, Reader, units};
use std::ops::Range;

/// A consumer that was read: its settings with their places, and where it stands.
pub(super) struct Member {
    pub(super) config: Config<ConsumerConfig>,
    pub(super) span: Range<usize>,
    /// Its client starts with them.
    pub(super) starts: bool,
}

/// The groups that have a table.
pub(super) struct Groups<'d>(Vec<(&'d At<RawGroup>, Config<ConsumerConfig>)>);

impl<'d> Groups<'d> {
    /// Reads them; reports what no member could start with.
    pub(super) fn read(
        raw: Option<&'d At<Vec<At<RawGroup>>>>,
        reader: &mut Reader<'_>,
    ) -> Groups<'d> {
        let mut all: Groups<'d> = Groups(Vec::new());
        for group in list(raw) {
            let doc = &group.value;
            let mut config: Config<ConsumerConfig> = value(doc.config.as_ref()).unwrap_or_default();
            if let Some(span) = config.place("group.id") {
                let problem = Problem::new("contradiction", "`id` says the group.id");
                reader.report(span, problem.help("leave `group.id` out"));
            }
            if let Some(id) = &doc.id {
                if id.value.is_empty() {
                    let message = "a group has a name";
                    reader.report(&id.span, Problem::bad_value(message, "a group.id"));
                }
                if all.get(&id.value).is_some() {
                    let message = format!("there are two groups `{}`", units::shorten(&id.value));
                    reader.report(&id.span, Problem::new("duplicate", message));
                }
                config.say("group.id", &id.value, &id.span);
            }
            let problems = problems(&config, false);
            report(
                &problems,
                &[],
                &config,
                &place(doc.config.as_ref(), &group.span),
                reader,
            );
            if let (Some(names), None, None) = (&doc.members, &doc.topic, &doc.topics) {
                let problem = Problem::new("missing-key", "it is not said what these members read");
                reader.report(&names.span, problem.expected("a `topic` or `topics`"));
            }
            all.0.push((group, config));
        }
        all
    }

    fn get(&self, id: &str) -> Option<&Config<ConsumerConfig>> {
        let named =
            |it: &&(&At<RawGroup>, _)| it.0.value.id.as_ref().is_some_and(|it| it.value == id);
        self.0.iter().find(named).map(|(_, config)| config)
    }

    /// The members that are named in the groups' tables, as if each had a table of its own.
    pub(super) fn members(&self) -> Vec<At<RawConsumer>> {
        let all = self.0.iter().flat_map(|(group, _)| {
            let group = &group.value;
            list(group.members.as_ref()).iter().map(|name| {
                let member = RawConsumer::of_group(name, group);
                At::new(member, name.span.clone())
            })
        });
        all.collect()
    }

    /// A consumer's settings, with those of its group; reports what it would refuse to start with.
    pub(super) fn config(
        &self,
        named: Option<&At<String>>,
        raw: Option<&At<Config<ConsumerConfig>>>,
        (otherwise, writes): (&Range<usize>, bool),
        reader: &mut Reader<'_>,
    ) -> Config<ConsumerConfig> {
        let mut own: Config<ConsumerConfig> = value(raw).unwrap_or_default();
        if let Some(name) = named {
            if own.place("group.id").is_some() && own.value.group_id != name.value {
                let message = "`group` and `group.id` name two groups";
                reader.report(&name.span, Problem::new("contradiction", message));
            }
            if self.get(&name.value).is_none() {
                let message = format!("there is no group `{}`", units::shorten(&name.value));
                let ids = self.0.iter().filter_map(|(it, _)| it.value.id.as_ref());
                let problem = Problem::new("unknown-name", message);
                let problem = problem.near(&name.value, ids.map(|it| it.value.as_str()));
                reader.report(&name.span, problem.help("a [[kafka.group]] has this `id`"));
            }
            own.say("group.id", &name.value, &name.span);
        }
        let group = self.get(&own.value.group_id);
        let config = group.map_or_else(|| own.clone(), |group| own.over(group));
        let known = group.map(|it| problems(it, false)).unwrap_or_default();
        let span = place(raw, otherwise);
        report(&problems(&config, writes), &known, &config, &span, reader);
        config
    }
}

/// A setting, what is wrong with it, and whether Kafka says so.
type Wrong = (&'static str, String, bool);

/// What keeps a consumer with these settings from starting; `writes` if it is a processor's.
fn problems(config: &Config<ConsumerConfig>, writes: bool) -> Vec<Wrong> {
    let own = &config.value;
    let mut found: Vec<Wrong> = Vec::new();
    let mut refused = |key, message: String| found.push((key, message, true));
    for (key, message) in own.problems() {
        // Whichever of the two was written.
        let session = config.place(key).is_none().then_some("session.timeout.ms");
        refused(session.unwrap_or(key), message);
    }
    let (keys, why) = own.refused_keys();
    for key in keys.iter().filter(|it| config.place(it).is_some()) {
        refused(key, format!("{key} {why}"));
    }
    for (key, message) in own.problems_without_group() {
        if config.place(key).is_some() {
            refused(key, message);
        }
    }
    for key in ["group.id", "group.instance.id"] {
        let empty = match key {
            "group.id" => own.group_id.is_empty(),
            _ => own.group_instance_id.is_empty(),
        };
        if empty && config.place(key).is_some() {
            refused(key, format!("{key} must not be empty"));
        }
    }
    for (key, message) in groups::application(own, writes) {
        found.push((key, message.to_owned(), false));
    }
    let written = |key| config.place(key).is_some();
    if own.fetch_max_wait_ms >= own.request_timeout_ms
        && (written("fetch.max.wait.ms") || written("request.timeout.ms"))
    {
        let message =
            "`fetch.max.wait.ms` is not below `request.timeout.ms`: idle fetches would time out";
        let key = match written("fetch.max.wait.ms") {
            true => "fetch.max.wait.ms",
            false => "request.timeout.ms",
        };
        found.push((key, message.to_owned(), false));
    }
    found
}

/// Whether a consumer starts with these settings; `writes` if it is a processor's.
pub(super) fn starts(config: &Config<ConsumerConfig>, writes: bool) -> bool {
    problems(config, writes).is_empty()
}

/// Reports what is wrong, but for what the group's own table was told already.
fn report(
    found: &[Wrong],
    known: &[Wrong],
    config: &Config<ConsumerConfig>,
    otherwise: &Range<usize>,
    reader: &mut Reader<'_>,
) {
    for wrong in found.iter().filter(|it| !known.contains(it)) {
        let (key, message, kafkas) = wrong;
        let mut problem = Problem::new("contradiction", message.as_str());
        if *kafkas {
            problem = problem.help("Kafka's consumer refuses to start with this");
        }
        reader.report(config.place(key).unwrap_or(otherwise), problem);
    }
}

/// One consumer, and the place of its name.
pub(super) fn read(
    raw: &At<RawConsumer>,
    known: &Groups<'_>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> (ConsumerSpec, Range<usize>, Member) {
    let doc = &raw.value;
    let (topic, also) = subscribed(raw, spec, reader);
    let mut partitions: Vec<u16> = Vec::new();
    for given in list(doc.partitions.as_ref()) {
        // A topic without any is bad itself, and that was said.
        let count = topic.map_or(0, |topic| topic.assignment.len());
        if count > 0 && usize::from(given.value) >= count {
            let message = format!("the topic has no partition {}", given.value);
            let expected = format!("a number from 0 to {}", count - 1);
            reader.report(&given.span, Problem::bad_value(message, expected));
        } else if partitions.contains(&given.value) {
            let message = format!("partition {} stands twice", given.value);
            reader.report(&given.span, Problem::new("duplicate", message));
        }
        partitions.push(given.value);
    }
    let config = known.config(
        doc.group.as_ref(),
        doc.config.as_ref(),
        (&raw.span, false),
        reader,
    );
    if !partitions.is_empty() && !config.value.group_id.is_empty() {
        let message = "a member of a group names no partitions: the group assigns them";
        let given = place(doc.partitions.as_ref(), &raw.span);
        reader.report(&given, Problem::new("contradiction", message));
    }
    if let (false, Some(why)) = (also.is_empty(), one_topic(&config.value)) {
        let given = place(doc.topics.as_ref(), &raw.span);
        reader.report(&given, Problem::new("contradiction", why));
    }
    let name_place = place(doc.name.as_ref(), &raw.span);
    let read = ConsumerSpec {
        name: value(doc.name.as_ref()).unwrap_or_default(),
        topic: topic.map_or_else(String::new, |it| it.name.clone()),
        also,
        partitions,
        config: config.value.clone(),
        start: doc.start.as_ref().map_or(0, |at| at.value.0),
    };
    let span = place(doc.config.as_ref(), &raw.span);
    let member = Member {
        starts: starts(&config, false),
        config,
        span,
    };
    (read, name_place, member)
}

/// The first topic that a consumer reads, if there is such, and the others.
fn subscribed<'s>(
    raw: &At<RawConsumer>,
    spec: &'s ClusterSpec,
    reader: &mut Reader<'_>,
) -> (Option<&'s TopicSpec>, Vec<String>) {
    let doc = &raw.value;
    let several = list(doc.topics.as_ref());
    match (&doc.topic, &doc.topics) {
        (Some(_), Some(topics)) => {
            let message = "`topic` and `topics` both say what it reads";
            reader.report(&topics.span, Problem::new("contradiction", message));
        }
        (None, Some(topics)) if several.is_empty() => {
            let problem = Problem::bad_value("it reads nothing", "at least one topic");
            reader.report(&topics.span, problem);
        }
        // Of a member that its group names alone, the group was told.
        (None, None) if doc.name.as_ref().is_none_or(|it| it.span != raw.span) => {
            let problem = Problem::new("missing-key", "`topic` is missing");
            reader.report(&raw.span, problem.expected("a `topic`, or `topics`"));
        }
        _ => {}
    }
    let mut also: Vec<String> = Vec::new();
    for (at, name) in several.iter().enumerate() {
        topic_of(Some(name), spec, reader);
        if several.iter().take(at).any(|it| it.value == name.value) {
            let message = format!("`{}` stands twice", units::shorten(&name.value));
            reader.report(&name.span, Problem::new("duplicate", message));
        } else if at > 0 {
            also.push(name.value.clone());
        }
    }
    let first = match several.first() {
        Some(name) => spec.topics.iter().find(|it| it.name == name.value),
        None => topic_of(doc.topic.as_ref(), spec, reader),
    };
    (first, also)
}

/// Why a consumer with these settings reads one topic only.
fn one_topic(config: &ConsumerConfig) -> Option<&'static str> {
    if config.group_id.is_empty() {
        return Some("who reads several topics is a member of a group: give it a `group.id`");
    }
    if config.group_protocol == GroupProtocol::Share {
        return Some("a share consumer reads one topic here");
    }
    (config.workers > 1).then_some("a member with `application.workers` reads one topic here")
}
