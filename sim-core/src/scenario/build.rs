//! From the text to the scenario: reading, looking up names, checking limits.

use super::declare::{Table, check_keys};
use super::diagnostic::Diagnostic;
use super::happen::Happenings;
use super::limits;
use super::model::{Network, Scenario};
use super::predicate::{RESERVED, Vocabulary};
use super::raw::{RawLink, RawNetwork, RawScenario};
use super::reader::{At, Fields, Problem, Raw, Reader};
use super::section::{Promise, SystemSection};
use super::units;
use crate::kernel::{LinkProfile, Nanos, NodeId};
use crate::systems::{SECTIONS, Spec};
use std::ops::Range;

/// The version of the language that this engine reads.
pub const VERSION: u32 = 1;

/// What reading a text gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// The scenario, if nothing keeps it from running.
    pub scenario: Option<Scenario>,
    /// Every problem, in the order of the text. Without a scenario there is at least one error.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// The scenario, or everything that is wrong with it. Warnings alone do not matter here.
    ///
    /// # Errors
    /// All problems, if there is no scenario.
    pub fn into_result(self) -> Result<Scenario, Vec<Diagnostic>> {
        self.scenario.ok_or(self.diagnostics)
    }
}

/// Reads a scenario.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    let mut reader = Reader::new(text);
    let scenario = read(&mut reader).filter(|_| reader.good());
    let diagnostics = reader.into_problems();
    Parsed {
        scenario,
        diagnostics,
    }
}

/// Reads a scenario from a file's bytes.
#[must_use]
pub fn parse_bytes(bytes: &[u8]) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let start = error.valid_up_to();
            let good = std::str::from_utf8(&bytes[..start]).unwrap_or_default();
            let mut reader = Reader::new(good);
            let message = format!("byte {start} is not UTF-8: a scenario is text");
            reader.report(&(start..start), Problem::new("encoding", message));
            Parsed {
                scenario: None,
                diagnostics: reader.into_problems(),
            }
        }
    }
}

/// All problems of a scenario text.
#[must_use]
pub fn diagnose(text: &str) -> Vec<Diagnostic> {
    parse(text).diagnostics
}

/// The systems of a document with their sections.
pub(super) type Systems = Vec<(&'static dyn SystemSection, Spec)>;

/// A document whose systems and names are known.
pub(super) struct Known {
    pub(super) doc: RawScenario,
    pub(super) systems: Systems,
    /// Nodes of each system, with the place of their names, and that of the section.
    nodes: Vec<(Vec<NamedAt>, Range<usize>)>,
    promises: Vec<Promise>,
}

type NamedAt = (super::predicate::NodeName, Range<usize>);

/// Reads the document as far as names go; `None` if it is not for this engine.
pub(super) fn read_known(reader: &mut Reader<'_>) -> Option<Known> {
    if reader.text().len() > limits::TEXT_BYTES {
        let message = format!(
            "this text is too long: it has {} bytes or more; a scenario has at most {}",
            reader.text().len(),
            limits::TEXT_BYTES
        );
        reader.report(&(0..0), Problem::new("limit-size", message));
        return None;
    }
    let root = reader.parse();
    let Raw::Table(fields) = &root.value else {
        return None;
    };
    if !right_version(fields, reader) {
        return None;
    }
    let mut keys = RawScenario::keys();
    keys.extend(
        SECTIONS
            .iter()
            .map(|section| super::declare::Key::of_section(*section)),
    );
    check_keys(fields, &keys, &(0..0), reader);
    let doc = RawScenario::take(fields, reader);
    let (mut sections, mut specs) = (Vec::new(), Vec::new());
    let (mut nodes, mut promises) = (Vec::new(), Vec::new());
    for section in SECTIONS {
        let found = fields.iter().find(|(key, _)| key.value == section.key());
        if let Some((key, raw)) = found {
            let read = section.read(raw, &mut specs, reader);
            sections.push(*section);
            specs.push(read.spec);
            nodes.push((read.nodes, key.span.clone()));
            promises.extend(read.promise);
        }
    }
    let systems: Systems = sections.into_iter().zip(specs).collect();
    if systems.is_empty() {
        let sections: Vec<String> = SECTIONS.iter().map(|s| format!("[{}]", s.key())).collect();
        let problem = Problem::new("missing-key", "there is no system in this scenario")
            .expected(format!("a section {}", sections.join(" or ")));
        reader.report(&(0..0), problem);
    }
    Some(Known {
        doc,
        systems,
        nodes,
        promises,
    })
}

/// A file of another version is not judged by this one's rules.
fn right_version(fields: &Fields, reader: &mut Reader<'_>) -> bool {
    let Some((_, raw)) = fields.iter().find(|(key, _)| key.value == "strandline") else {
        return true;
    };
    match raw.value.as_int() {
        Some(version) if version != i128::from(VERSION) => {
            let message = format!("this scenario is in version {version} of the language");
            let problem = Problem::new("version", message)
                .expected(format!("strandline = {VERSION}"))
                .help("a newer Strandline may read it");
            reader.report(&raw.span, problem);
            false
        }
        _ => true,
    }
}

impl Known {
    /// All names of the scenario; problems with them are reported.
    pub(super) fn vocabulary(&self, reader: &mut Reader<'_>) -> Vocabulary<'_> {
        let mut names = Vocabulary::new();
        let mut base = 0u32;
        for ((section, spec), (nodes, place)) in self.systems.iter().zip(&self.nodes) {
            for root in section.roots(spec, base) {
                let taken = format!("the name `{}` means two things", units::shorten(&root.name));
                if !names.add(root) {
                    reader.report(place, Problem::new("duplicate", taken));
                }
            }
            for (at, (node, span)) in nodes.iter().enumerate() {
                let legal = check_name(&node.name, span, reader);
                let id = NodeId(base + at as u32);
                let inside = move || section.inside_node(spec, base, id);
                if !names.add_node(node.clone(), node.kind, inside) && legal {
                    let message = format!("the name `{}` is taken", units::shorten(&node.name));
                    let help = "every node, partition and built-in name is different";
                    reader.report(span, Problem::new("duplicate", message).help(help));
                }
            }
            base += nodes.len() as u32;
        }
        if base as usize > limits::NODES {
            let message = format!("{base} nodes; a scenario has at most {}", limits::NODES);
            let place = self.nodes.first().map_or(0..0, |(_, place)| place.clone());
            reader.report(&place, Problem::new("limit-nodes", message));
        }
        names
    }
}

/// Whether a node's name can be written in a predicate; if not, that is reported.
fn check_name(name: &str, span: &Range<usize>, reader: &mut Reader<'_>) -> bool {
    if name.is_empty() {
        // It is missing or no text, which was reported.
        return false;
    }
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let legal = name.len() <= limits::NAME_CHARS
        && name.bytes().all(part)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with('-');
    if RESERVED.contains(&name) {
        let message = format!("`{name}` has a meaning of its own in predicates");
        reader.report(span, Problem::bad_value(message, "another name"));
        return false;
    }
    if !legal {
        let message = format!("`{}` is not a name for a node", units::shorten(name));
        let expected = format!(
            "a letter, then letters, digits, `-` and `_`; at most {} of them",
            limits::NAME_CHARS
        );
        reader.report(span, Problem::bad_value(message, expected));
    }
    legal
}

fn read(reader: &mut Reader<'_>) -> Option<Scenario> {
    let known = read_known(reader)?;
    let doc = &known.doc;
    let names = known.vocabulary(reader);
    let duration = read_duration(&known, reader);
    let network = read_network(doc.network.as_ref(), &names, reader);
    let mut happenings = Happenings::new(&known.systems, &names, duration, reader);
    let timeline = happenings.timeline(doc.timeline.as_ref());
    for (section, _) in &known.systems {
        section.timeline(&timeline, happenings.reader);
    }
    let captions = happenings.captions(doc.captions.as_ref());
    let expectations = happenings.expectations(doc.expectations.as_ref(), &known.promises);
    let text =
        |raw: &Option<At<String>>| raw.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    let nodes = names.nodes.iter().map(|node| node.name.clone()).collect();
    let (title, description) = (text(&doc.title), text(&doc.description));
    let seed = doc.seed.as_ref().map_or(1, |at| at.value.0);
    drop(names);
    Some(Scenario {
        title,
        description,
        seed,
        duration,
        network,
        systems: known.systems.into_iter().map(|(_, spec)| spec).collect(),
        nodes,
        timeline,
        captions,
        expectations,
    })
}

fn read_duration(known: &Known, reader: &mut Reader<'_>) -> Nanos {
    let Some(raw) = &known.doc.duration else {
        return limits::DURATION;
    };
    let duration = raw.value.0;
    if duration == 0 {
        let problem = Problem::bad_value("a run of no time shows nothing", "a time above 0");
        reader.report(&raw.span, problem);
    }
    if duration > limits::DURATION {
        let message = format!(
            "a run takes at most {} of simulated time",
            units::show_time(limits::DURATION)
        );
        reader.report(&raw.span, Problem::new("limit-duration", message));
        return limits::DURATION;
    }
    let (mut events, mut records) = (0u64, 0u64);
    for (section, spec) in &known.systems {
        let effort = section.effort(spec, duration);
        events = events.saturating_add(effort.events);
        records = records.saturating_add(effort.records);
    }
    let too_big = [
        (
            "limit-events",
            "take about",
            events,
            "events",
            limits::EVENTS,
        ),
        ("limit-records", "send", records, "records", limits::RECORDS),
    ];
    // A count from parts that could not be read means nothing.
    if let Some((code, does, count, what, most)) = too_big.iter().find(|it| it.2 > it.4)
        && reader.good()
    {
        let message =
            format!("this run would {does} {count} {what}; a scenario has at most {most}");
        let help = "make it shorter, or lower the rate of its load";
        reader.report(&raw.span, Problem::new(code, message).help(help));
    }
    duration
}

fn read_network(
    raw: Option<&At<RawNetwork>>,
    names: &Vocabulary<'_>,
    reader: &mut Reader<'_>,
) -> Network {
    let mut network = Network::default();
    let Some(raw) = raw.map(|at| &at.value) else {
        return network;
    };
    let parts = (&raw.delay, &raw.jitter, &raw.bandwidth);
    network.default = profile(network.default, parts, reader);
    for link in raw.links.iter().flat_map(|links| &links.value) {
        read_link(link, names, &mut network, reader);
    }
    network
}

type Parts<'a> = (
    &'a Option<At<super::quantity::Time>>,
    &'a Option<At<super::quantity::Time>>,
    &'a Option<At<super::quantity::Speed>>,
);

/// Shortest delay: with none at all a chain of messages could go on for ever in one instant.
const DELAY_MIN: Nanos = 1_000;
/// Longest delay and jitter.
const DELAY_MAX: Nanos = 3_600_000_000_000;

fn profile(base: LinkProfile, parts: Parts<'_>, reader: &mut Reader<'_>) -> LinkProfile {
    let (delay, jitter, bandwidth) = parts;
    for (time, least) in [(delay, DELAY_MIN), (jitter, 0)] {
        if let Some(at) = time
            && !(least..=DELAY_MAX).contains(&at.value.0)
        {
            let expected = format!(
                "a time from {} to {}",
                units::show_time(least),
                units::show_time(DELAY_MAX)
            );
            reader.report(
                &at.span,
                Problem::bad_value("no link is like this", expected),
            );
        }
    }
    let per_kilobyte = |speed: u64| match speed {
        0 => 0,
        speed => 1_000_000_000_000 / speed,
    };
    LinkProfile {
        delay: delay.as_ref().map_or(base.delay, |at| at.value.0),
        jitter: jitter.as_ref().map_or(base.jitter, |at| at.value.0),
        per_kilobyte: bandwidth
            .as_ref()
            .map_or(base.per_kilobyte, |at| per_kilobyte(at.value.0)),
    }
}

fn read_link(
    raw: &At<RawLink>,
    names: &Vocabulary<'_>,
    network: &mut Network,
    reader: &mut Reader<'_>,
) {
    let doc = &raw.value;
    let mut side = |given: &Option<At<super::entry::NodeNames>>| -> Vec<NodeId> {
        let given = given.iter().flat_map(|at| &at.value.0);
        given
            .filter_map(|name| find_node(name, names, reader))
            .collect()
    };
    let (from, to) = (side(&doc.from), side(&doc.to));
    let profile = profile(
        network.default,
        (&doc.delay, &doc.jitter, &doc.bandwidth),
        reader,
    );
    let one_way = doc.one_way.as_ref().is_some_and(|at| at.value);
    for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))) {
        if a == b {
            let problem = Problem::new("bad-value", "a node has no link to itself");
            reader.report(&raw.span, problem);
            continue;
        }
        network.links.push((a, b, profile));
        if !one_way {
            network.links.push((b, a, profile));
        }
    }
}

/// The node of a name; an unknown one is reported.
pub(super) fn find_node(
    name: &At<String>,
    names: &Vocabulary<'_>,
    reader: &mut Reader<'_>,
) -> Option<NodeId> {
    let at = names.nodes.iter().position(|node| node.name == name.value);
    if at.is_none() {
        let message = format!("there is no node `{}`", units::shorten(&name.value));
        let known = names.nodes.iter().map(|node| node.name.as_str());
        let problem = Problem::new("unknown-name", message).near(&name.value, known);
        reader.report(&name.span, problem);
    }
    at.map(|at| NodeId(at as u32))
}
