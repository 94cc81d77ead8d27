//! Sentences about deeds and expectations, made on demand.

use crate::kernel::{Deed, LinkChange, MessageDeed, Nanos, NodeId};
use crate::scenario::{Expectation, Moment, Sides, Value};
use crate::systems::Order;

/// A span for people: `12.34 s`, `500 ms`, `30 µs`.
#[must_use]
pub fn span(ns: Nanos) -> String {
    let (unit, digits, name) = match ns {
        1_000_000_000.. => (1_000_000_000, 3, "s"),
        1_000_000.. => (1_000_000, 3, "ms"),
        1_000.. => (1_000, 3, "µs"),
        _ => (1, 0, "ns"),
    };
    let whole = ns / unit;
    let rest = if digits == 0 {
        0
    } else {
        (ns % unit) * 1_000 / unit
    };
    let mut text = whole.to_string();
    if rest > 0 {
        text.push_str(format!(".{rest:03}").trim_end_matches('0'));
    }
    format!("{text} {name}")
}

/// A deed in one line.
#[must_use]
pub fn deed(deed: &Deed<Order>, names: &[String]) -> String {
    let name = |n: &NodeId| {
        names
            .get(n.0 as usize)
            .map_or_else(|| format!("#{}", n.0), Clone::clone)
    };
    let list = |nodes: &[NodeId]| nodes.iter().map(name).collect::<Vec<_>>().join(", ");
    match deed {
        Deed::Crash(n) => format!("{} crashes (process killed)", name(n)),
        Deed::PowerLoss(n) => format!("{} loses power", name(n)),
        Deed::WipeDisk(n) => format!("{} gets an empty disk", name(n)),
        Deed::Restart(n) => format!("{} starts again", name(n)),
        Deed::Pause(n) => format!("{} freezes", name(n)),
        Deed::Resume(n) => format!("{} goes on", name(n)),
        Deed::SlowCpu(n, 0) => format!("{} computes at full speed", name(n)),
        Deed::SlowCpu(n, cost) => format!("{} needs {} per input", name(n), span(*cost)),
        Deed::SlowDisk(n, 0) => format!("{} writes at full speed", name(n)),
        Deed::SlowDisk(n, rate) => format!("{} writes {rate} bytes/s", name(n)),
        Deed::Skew(n, by) if *by < 0 => {
            format!("clock of {} is {} behind", name(n), span(by.unsigned_abs()))
        }
        Deed::Skew(n, by) => format!("clock of {} is {} ahead", name(n), span(by.unsigned_abs())),
        Deed::Drift(n, ppb) => format!("clock of {} drifts by {ppb} ppb", name(n)),
        Deed::Link(a, b, change) => format!("link {} → {}: {}", name(a), name(b), link(change)),
        Deed::Cut(a, b) => format!("link {} ↔ {} is cut", name(a), name(b)),
        Deed::Heal(a, b) => format!("link {} ↔ {} is healed", name(a), name(b)),
        Deed::Partition(a, b) => format!("network splits: {} | {}", list(a), list(b)),
        Deed::HealAll => "all links are healed".to_owned(),
        Deed::Message(id, MessageDeed::Drop) => format!("message {id} is dropped"),
        Deed::Message(id, MessageDeed::Duplicate) => format!("message {id} is doubled"),
        Deed::Message(id, MessageDeed::Delay(by)) => {
            format!("message {id} is held back by {}", span(*by))
        }
        Deed::Order(n, order) => format!("{}: {}", name(n), order.words()),
    }
}

fn link(change: &LinkChange) -> String {
    let mut parts = Vec::new();
    match change.cut {
        Some(true) => parts.push("cut".to_owned()),
        Some(false) => parts.push("no longer cut".to_owned()),
        None => {}
    }
    if let Some(by) = change.slow_by {
        parts.push(format!("{} slower", span(by)));
    }
    for (what, ppm) in [
        ("lost", change.loss_ppm),
        ("doubled", change.duplicate_ppm),
        ("overtaken", change.reorder_ppm),
    ] {
        if let Some(ppm) = ppm {
            parts.push(format!("{ppm} in a million {what}"));
        }
    }
    if let Some(filters) = &change.filters {
        let labels: Vec<&str> = filters.iter().map(|f| f.label.as_str()).collect();
        let text = if labels.is_empty() {
            "nothing".to_owned()
        } else {
            labels.join(", ")
        };
        parts.push(format!("loses {text}"));
    }
    if parts.is_empty() {
        "unchanged".to_owned()
    } else {
        parts.join(", ")
    }
}

/// An expectation in one line: its predicate and when it counts.
#[must_use]
pub(super) fn expectation(expectation: &Expectation) -> String {
    let text = &expectation.predicate.text;
    match expectation.moment {
        Moment::End => format!("at the end: {text}"),
        Moment::At(at) => format!("at {}: {text}", span(at)),
        Moment::Eventually { by, .. } => format!("eventually, by {}: {text}", span(by)),
        Moment::Always { .. } => format!("always: {text}"),
        Moment::Never { .. } => format!("never: {text}"),
    }
}

/// What both sides of a comparison were.
#[must_use]
pub(super) fn sides(all: &[Sides], nodes: &[String]) -> Option<String> {
    let mut told = String::new();
    for it in all {
        told += if told.is_empty() { "it was " } else { " and " };
        told += &value(&it.left, nodes, it.words);
        told += " against ";
        told += &value(&it.right, nodes, it.words);
    }
    (!told.is_empty()).then_some(told)
}

/// A value for people, with the names of the nodes and the words that are compared.
#[must_use]
pub fn value(value: &Value, nodes: &[String], words: &[&str]) -> String {
    let name = |node: u32| {
        let name = nodes.get(node as usize).cloned();
        name.unwrap_or_else(|| format!("node {node}"))
    };
    match value {
        Value::None => "none".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(i) => i.to_string(),
        Value::Time(ns) => span(*ns),
        Value::Node(n) => name(n.0),
        Value::Nodes(set) => {
            let nodes: Vec<String> = set.iter().map(|n| name(n.0)).collect();
            format!("{{{}}}", nodes.join(", "))
        }
        Value::Word(w) => {
            let word = words.get(usize::from(*w));
            word.map_or_else(|| format!("word {w}"), |word| (*word).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{sides, span};
    use crate::kernel::NodeId;
    use crate::scenario::{Sides, Value};

    #[test]
    fn sides_are_told_by_their_names() {
        let nodes = ["b1", "b2"].map(str::to_owned);
        let of = |left, right| Sides {
            left,
            right,
            words: &["up", "paused"],
        };
        for (left, right, told) in [
            (Value::Int(3), Value::Int(0), "it was 3 against 0"),
            (
                Value::Node(NodeId(1)),
                Value::None,
                "it was b2 against none",
            ),
            (
                Value::Node(NodeId(7)),
                Value::Node(NodeId(0)),
                "it was node 7 against b1",
            ),
            (Value::Word(0), Value::Word(1), "it was up against paused"),
        ] {
            assert_eq!(sides(&[of(left, right)], &nodes).as_deref(), Some(told));
        }
        let two = [
            of(Value::Int(3), Value::Int(0)),
            of(Value::Word(1), Value::Word(0)),
        ];
        let told = "it was 3 against 0 and paused against up";
        assert_eq!(sides(&two, &nodes).as_deref(), Some(told));
        assert_eq!(sides(&[], &nodes), None);
    }

    #[test]
    fn spans_read_well() {
        for (ns, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_500, "1.5 µs"),
            (30_000_000, "30 ms"),
            (12_340_000_000, "12.34 s"),
            (60_000_000_000, "60 s"),
        ] {
            assert_eq!(span(ns), text);
        }
    }
}
