//! Sentences and short names: for screen readers, tooltips and the words under strips.

use sim_core::view::{
    Cell, CellTransaction, Health, Lane, Mark, MarkKind, NodeView, Shape, StageView, Token,
};

use crate::lengths::number;

/// What a message of this shape is, for people.
pub(crate) fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Batch => "records",
        Shape::Ack => "acknowledgement",
        Shape::Fetch => "fetch",
        Shape::Heartbeat => "heartbeat",
        Shape::Vote => "vote",
        Shape::Control => "metadata",
        Shape::Other => "other",
    }
}

/// What a machine does, for people.
pub(crate) fn health(health: Health) -> &'static str {
    match health {
        Health::Up => "up",
        Health::Down => "down",
        Health::Paused => "paused",
        Health::Slow => "slow",
    }
}

/// A duration in the unit that fits it.
pub(crate) fn duration(ns: u64) -> String {
    let show = |value: f64, unit: &str| {
        let digits = u32::from(value < 10.0 && value.fract() > 0.049);
        format!("{} {unit}", number(value, digits))
    };
    let ns = ns as f64;
    match ns {
        n if n < 1e6 => show(n / 1e3, "µs"),
        n if n < 1e9 => show(n / 1e6, "ms"),
        n => show(n / 1e9, "s"),
    }
}

/// A node's title by its number.
pub(crate) fn title(view: &StageView, id: u32) -> String {
    view.nodes
        .iter()
        .find(|n| n.id == id)
        .map_or_else(|| format!("node {id}"), |n| n.title.clone())
}

/// A message under way, in a sentence without its time.
pub(crate) fn token(view: &StageView, token: &Token) -> String {
    let mut out = format!(
        "{}, {} to {}",
        token.label,
        title(view, token.from),
        title(view, token.to)
    );
    if token.records > 0 {
        let s = if token.records == 1 { "" } else { "s" };
        out.push_str(&format!(", {} record{s}", token.records));
    }
    if let Some(key) = token.key {
        out.push_str(&format!(", key {}", key_name(key)));
    }
    if token.held {
        out.push_str(", held at the cut link");
    }
    out
}

/// A key's short name: the same letter goes with the same colour.
pub(crate) fn key_name(key: u32) -> String {
    let letter = char::from(b'A' + (key % 6) as u8);
    match key / 6 {
        0 => letter.to_string(),
        n => format!("{letter}{n}"),
    }
}

/// A copy of a lane, in a sentence.
pub(crate) fn lane(node: &NodeView, lane: &Lane) -> String {
    let leads = if lane.leads { ", leader" } else { "" };
    let note = if lane.note.is_empty() {
        String::new()
    } else {
        format!(", {}", lane.note)
    };
    format!(
        "{} on {}{leads}{note}, log end {}, strandline {}",
        lane.id, node.title, lane.end, lane.strandline
    )
}

/// A record on a copy, in a sentence.
pub(crate) fn cell(node: &NodeView, cell: &Cell, committed: bool) -> String {
    let mut out = format!("Offset {} on {}", cell.offset, node.title);
    match cell.key {
        Some(key) => out.push_str(&format!(", key {}", key_name(key))),
        None if cell.record.is_none() => out.push_str(", control record"),
        None => {}
    }
    out.push_str(if committed {
        ", committed"
    } else {
        ", not committed"
    });
    if !cell.flushed {
        out.push_str(", not flushed to disk");
    }
    if cell.diverged {
        out.push_str(", differs from another copy");
    }
    out.push_str(match cell.transaction {
        Some(CellTransaction::Open) => ", in an open transaction",
        Some(CellTransaction::Aborted) => ", in an aborted transaction",
        Some(CellTransaction::Commit) => ", commit marker",
        Some(CellTransaction::Abort) => ", abort marker",
        None => "",
    });
    out.push_str(&format!(", epoch {}", cell.epoch));
    out
}

/// The short form of a mark's name: what stands under a strip.
pub(crate) fn short_mark(mark: &Mark) -> String {
    let word = match mark.kind {
        MarkKind::Strandline if mark.label.starts_with("high watermark") => "knows HW",
        MarkKind::Strandline => "knows",
        MarkKind::End => "LEO",
        MarkKind::Start => "start",
        MarkKind::Position => "position",
        MarkKind::Committed => "committed",
        MarkKind::Stable => "LSO",
    };
    format!("{word} {}", mark.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (ns, expect) in [
            (400, "0.4 µs"),
            (1_500_000, "1.5 ms"),
            (2_000_000, "2 ms"),
            (200_000_000, "200 ms"),
            (31_000_000_000, "31 s"),
        ] {
            assert_eq!(duration(ns), expect);
        }
    }

    #[test]
    fn key_names_go_with_colours() {
        assert_eq!(
            ["A", "F", "A1", "C2"].map(str::to_owned),
            [0, 5, 6, 14].map(key_name)
        );
    }
}
