//! The way back: what a learner did by hand becomes entries of the timeline.
//!
//! The author's text is kept byte for byte; entries are only added. Times and amounts are written
//! exactly, so that the file runs to the same digest as the run it was taken from.

use super::build::{parse, read_known};
use super::diagnostic::Diagnostic;
use super::reader::{Raw, Reader};
use super::units::{quote, show_share, show_signed_time, show_time};
use crate::kernel::{Deed, LinkChange, MessageDeed, Nanos, NodeId};
use crate::systems::{Order, SECTIONS};
use std::fmt::Write as _;

/// Verb, then arguments as key and TOML value.
type Written = (&'static str, Vec<(&'static str, String)>);

/// Adds what was done by hand (time in ns, deed) to a scenario, in this order.
///
/// # Errors
/// If the text is no scenario: without it nodes have no names.
pub fn with_actions(
    text: &str,
    actions: &[(Nanos, Deed<Order>)],
) -> Result<String, Vec<Diagnostic>> {
    if actions.is_empty() {
        return Ok(text.to_owned());
    }
    let parsed = parse(text);
    let Some(scenario) = parsed.scenario else {
        return Err(parsed.diagnostics);
    };
    let names = scenario.nodes;
    let entries: Vec<Vec<(&'static str, String)>> = actions
        .iter()
        .map(|(at, deed)| {
            let (verb, args) = write_deed(deed, &names);
            let mut fields = vec![("at", quote(&show_time(*at))), ("do", quote(verb))];
            fields.extend(args);
            fields
        })
        .collect();
    Ok(match inline_timeline(text) {
        Some(at) => insert_inline(text, at, &entries),
        None => append(text, &entries),
    })
}

/// The scenario with another seed.
///
/// # Errors
/// If the text is no scenario.
pub fn with_seed(text: &str, seed: u64) -> Result<String, Vec<Diagnostic>> {
    let mut reader = Reader::new(text);
    let known = read_known(&mut reader);
    let Some(known) = known.filter(|_| reader.good()) else {
        return Err(reader.into_problems());
    };
    // Beyond TOML's own integers a number is written as text.
    let written = i64::try_from(seed).map_or_else(|_| quote(&seed.to_string()), |n| n.to_string());
    let mut out = text.to_owned();
    match &known.doc.seed {
        Some(at) => out.replace_range(at.span.clone(), &written),
        None => {
            let after = known.doc.version.as_ref().map_or(0, |at| at.span.end);
            out.insert_str(after, &format!("\nseed = {written}"));
        }
    }
    Ok(out)
}

/// Where entries go into `timeline = [ … ]`, if that is how the timeline is written: the place,
/// and whether there are entries before it.
fn inline_timeline(text: &str) -> Option<(usize, bool)> {
    let root = Reader::new(text).parse();
    let Raw::Table(fields) = root.value else {
        return None;
    };
    let (_, timeline) = fields
        .into_iter()
        .find(|(key, _)| key.value == "timeline")?;
    let Raw::List(items) = &timeline.value else {
        return None;
    };
    // The header of `[[timeline]]` also begins with brackets; its first item then does not lie
    // inside of the list's own span.
    let inline = text.get(timeline.span.clone())?.ends_with(']')
        && !text.get(timeline.span.clone())?.starts_with("[[");
    match items.last() {
        _ if !inline => None,
        Some(last) => Some((last.span.end, true)),
        None => Some((timeline.span.start + 1, false)),
    }
}

fn insert_inline(
    text: &str,
    (at, after_others): (usize, bool),
    entries: &[Vec<(&'static str, String)>],
) -> String {
    let mut added = String::new();
    for (number, fields) in entries.iter().enumerate() {
        if after_others || number > 0 {
            added.push_str(", ");
        }
        let fields: Vec<String> = fields.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        added.push_str(&format!("{{ {} }}", fields.join(", ")));
    }
    let mut out = text.to_owned();
    out.insert_str(at, &added);
    out
}

fn append(text: &str, entries: &[Vec<(&'static str, String)>]) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str("\n# Done by hand while the scenario ran.\n");
    for fields in entries {
        out.push_str("[[timeline]]\n");
        for (key, value) in fields {
            // Writing into a string cannot fail.
            let _ = writeln!(out, "{key} = {value}");
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn write_deed(deed: &Deed<Order>, names: &[String]) -> Written {
    // A deed comes from a run of this scenario, so its nodes have names; a number that has none is
    // written down as it is and refused when the file is read.
    let name = |node: &NodeId| {
        let known = names.get(node.0 as usize).map(String::as_str);
        quote(known.unwrap_or(&format!("node-{}", node.0)))
    };
    let list = |nodes: &[NodeId]| {
        format!(
            "[{}]",
            nodes.iter().map(name).collect::<Vec<_>>().join(", ")
        )
    };
    let on = |node: &NodeId| vec![("node", name(node))];
    let with = |node: &NodeId, key, value| vec![("node", name(node)), (key, value)];
    let between = |a: &NodeId, b: &NodeId| vec![("from", name(a)), ("to", name(b))];
    match deed {
        Deed::Crash(n) => ("crash", on(n)),
        Deed::PowerLoss(n) => ("power-loss", on(n)),
        Deed::WipeDisk(n) => ("wipe-disk", on(n)),
        Deed::Restart(n) => ("restart", on(n)),
        Deed::Pause(n) => ("pause", on(n)),
        Deed::Resume(n) => ("resume", on(n)),
        Deed::SlowCpu(n, cost) => ("slow-cpu", with(n, "cost", quote(&show_time(*cost)))),
        Deed::SlowDisk(n, speed) => ("slow-disk", with(n, "speed", quote(&format!("{speed}B/s")))),
        Deed::Skew(n, by) => ("skew", with(n, "by", quote(&show_signed_time(*by)))),
        Deed::Drift(n, ppb) => ("drift", with(n, "ppb", ppb.to_string())),
        Deed::Cut(a, b) => ("cut", between(a, b)),
        Deed::Heal(a, b) => ("heal", between(a, b)),
        Deed::Link(a, b, change) => {
            let mut args = between(a, b);
            args.extend(write_change(change));
            ("link", args)
        }
        Deed::Partition(left, right) => (
            "partition",
            vec![("nodes", list(left)), ("others", list(right))],
        ),
        Deed::HealAll => ("heal-all", Vec::new()),
        Deed::Message(id, what) => write_message(*id, *what),
        Deed::Order(n, order) => {
            let written = SECTIONS
                .iter()
                .find_map(|section| section.write_order(order));
            let (verb, args) = written.unwrap_or(("", Vec::new()));
            let mut all = on(n);
            all.extend(args);
            (verb, all)
        }
    }
}

fn write_change(change: &LinkChange) -> Vec<(&'static str, String)> {
    let share = |ppm: &u32| quote(&show_share(*ppm));
    let mut args = Vec::new();
    args.extend(change.cut.map(|cut| ("cut", cut.to_string())));
    args.extend(change.slow_by.map(|by| ("delay", quote(&show_time(by)))));
    args.extend(change.loss_ppm.as_ref().map(|ppm| ("loss", share(ppm))));
    args.extend(
        change
            .duplicate_ppm
            .as_ref()
            .map(|ppm| ("duplicate", share(ppm))),
    );
    args.extend(
        change
            .reorder_ppm
            .as_ref()
            .map(|ppm| ("reorder", share(ppm))),
    );
    args.extend(change.filters.as_ref().map(|filters| {
        let kinds: Vec<String> = filters.iter().map(|filter| quote(&filter.label)).collect();
        ("lose", format!("[{}]", kinds.join(", ")))
    }));
    args
}

fn write_message(id: u64, what: MessageDeed) -> Written {
    let message = i64::try_from(id).map_or_else(|_| quote(&id.to_string()), |id| id.to_string());
    let mut args = vec![("message", message)];
    let verb = match what {
        MessageDeed::Drop => "drop-message",
        MessageDeed::Duplicate => "duplicate-message",
        MessageDeed::Delay(by) => {
            args.push(("delay", quote(&show_time(by))));
            "delay-message"
        }
    };
    (verb, args)
}
