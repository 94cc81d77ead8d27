//! The same picture as a table, for those who do not see it.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{Lane, MarkKind, StageView};

use super::slow::slow;
use crate::stage::scene::words;

/// A row of the table.
#[derive(Clone, PartialEq, Eq)]
struct Row {
    name: String,
    cells: [String; 6],
}

/// Rows for lanes at most: beyond that only what is out of order is told, and how many are well.
const LANES_MAX: usize = 12;

fn nodes(view: &StageView) -> Vec<Row> {
    view.nodes
        .iter()
        .map(|node| {
            let badges: Vec<&str> = node.badges.iter().map(|b| b.text.as_str()).collect();
            let facts: Vec<String> = node
                .summary
                .iter()
                .map(|f| format!("{} {}", f.label, f.value))
                .collect();
            let leads = node.lanes.iter().filter(|l| l.leads).count();
            Row {
                name: node.title.clone(),
                cells: [
                    node.part.to_owned(),
                    words::health(node.health).to_owned(),
                    badges.join(", "),
                    facts.join(", "),
                    leads.to_string(),
                    node.lanes.len().to_string(),
                ],
            }
        })
        .collect()
}

/// The leader epoch as the copy knows it, else as the control plane does.
fn epoch(lane: &Lane, known: i32) -> String {
    let own = lane.facts.iter().find(|f| f.label == "leader epoch");
    own.map_or_else(|| known.to_string(), |f| f.value.clone())
}

/// The note on a copy, with the last stable offset where an open transaction holds it back.
fn note(lane: &Lane) -> String {
    let stable = lane.marks.iter().find(|it| it.kind == MarkKind::Stable);
    match stable {
        Some(mark) if lane.note.is_empty() => mark.label.clone(),
        Some(mark) => format!("{}, {}", lane.note, mark.label),
        None => lane.note.clone(),
    }
}

fn copies(view: &StageView) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    let mut well = 0;
    for summary in &view.lanes {
        let held: Vec<_> = view
            .nodes
            .iter()
            .flat_map(|n| {
                n.lanes
                    .iter()
                    .filter(|l| l.id == summary.id)
                    .map(move |l| (n, l))
            })
            .collect();
        let in_order = summary.leader.is_some() && held.iter().all(|(_, l)| l.in_sync);
        if view.lanes.len() > LANES_MAX && in_order {
            well += 1;
            continue;
        }
        for (node, lane) in held {
            let part = if lane.leads { "leader" } else { "follower" };
            let sync = if lane.in_sync {
                "in sync"
            } else {
                "out of sync"
            };
            rows.push(Row {
                name: format!("{} on {}", lane.id, node.title),
                cells: [
                    part.to_owned(),
                    epoch(lane, summary.epoch),
                    sync.to_owned(),
                    lane.end.to_string(),
                    lane.strandline.to_string(),
                    note(lane),
                ],
            });
        }
    }
    (rows, well)
}

fn table(caption: &'static str, heads: [&'static str; 7], rows: Vec<Row>) -> AnyView {
    let heads = heads.map(|h| view! { <th scope="col">{h}</th> });
    let row = |row: Row| {
        let cells = row.cells.map(|c| view! { <td>{c}</td> });
        view! { <tr><th scope="row">{row.name}</th>{cells}</tr> }
    };
    view! {
        <table>
            <caption>{caption}</caption>
            <thead><tr>{heads}</tr></thead>
            <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
        </table>
    }
    .into_any()
}

/// The table that says what the stage shows (nodes, role, health, leader epoch, ISR, log end, high
/// watermark) for those who do not see it. Refreshed at most once a second; visually hidden unless
/// it stands in an element with the class `stage-mirror-shown`.
#[component]
pub fn StageMirror(
    /// The world as of the last publication.
    #[prop(into)]
    view: Signal<Arc<StageView>>,
) -> impl IntoView {
    let view = slow(view, 1_000.0);
    let node_rows = Memo::new(move |_| view.with(|v| nodes(v)));
    let copy_rows = Memo::new(move |_| view.with(|v| copies(v)));
    let control = Memo::new(move |_| view.with(|v| v.control.clone()));
    let faults = Memo::new(move |_| {
        view.with(|v| {
            let name = |id| words::title(v, id);
            let links = v.links.iter().map(|l| {
                let state = if l.cut { "cut" } else { "slow or lossy" };
                format!("Link from {} to {}: {state}.", name(l.from), name(l.to))
            });
            links.collect::<Vec<_>>().join(" ")
        })
    });
    view! {
        <section
            class="stage-mirror"
            aria-label="The stage as a table"
            tabindex="0"
            data-testid="stage-mirror"
        >
            <p>{control}</p>
            <p>{faults}</p>
            {move || {
                let heads =
                    ["node", "part", "machine", "state", "values", "leads", "copies held"];
                table("Nodes", heads, node_rows.get())
            }}
            {move || {
                let (rows, well) = copy_rows.get();
                let heads = [
                    "copy",
                    "part",
                    "leader epoch",
                    "ISR",
                    "log end offset",
                    "high watermark",
                    "note",
                ];
                let well = (well > 0)
                    .then(|| view! { <p>{format!("{well} more partitions are in order.")}</p> });
                view! {
                    {(!rows.is_empty()).then(|| table("Copies", heads, rows))}
                    {well}
                }
            }}
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::fixture::{Situation, view};

    #[test]
    fn the_table_says_what_the_picture_shows() {
        let died = view(Situation::LeaderDied, 0);
        let rows = nodes(&died);
        assert_eq!(rows.len(), died.nodes.len());
        assert_eq!(rows[3].cells[1], "down");
        let (copies, well) = copies(&died);
        assert_eq!((copies.len(), well), (3, 0));
        assert_eq!(
            copies[1].cells[..5],
            ["leader", "8", "in sync", "133", "127"]
        );
        assert_eq!(copies[0].cells[2], "out of sync");
    }

    #[test]
    fn a_wide_world_tells_what_is_out_of_order() {
        let (rows, well) = copies(&view(Situation::Wide, 0));
        assert!(well > 0 && !rows.is_empty());
        assert_eq!(rows.len() / 3 + well, 24);
    }
}
