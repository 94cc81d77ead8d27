//! Keyed state that lies in files, in the inspector of a TaskManager: for each of its subtasks the
//! write buffer, the levels with their files, what access costs, and which files checkpoints share.

use leptos::prelude::*;
use sim_core::view::{JobView, StateTree, SubtaskView, TreeFile, TreeLevel};

use super::{Bench, with};
use crate::bench::storage::bytes;
use crate::format::{count, span};
use crate::stage::Selection;
use crate::tree::{El, Kid, el};
use crate::ui::keep;

/// The trees of the machine that is picked; nothing while something else is, or it has none.
#[component]
pub(in crate::bench) fn StateFiles(bench: Bench) -> impl IntoView {
    let place = NodeRef::<leptos::html::Div>::new();
    keep(place, move || {
        let Some(Selection::Node(node)) = bench.selected.get() else {
            return Vec::new();
        };
        with(bench, |job| of(job, node))
    });
    view! { <div class="storage sf" data-testid="state-files" node_ref=place></div> }
}

fn of(job: &JobView, node: u32) -> Vec<Kid> {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let here = tasks.filter(|it| it.task_manager.as_ref().is_some_and(|at| at.0 == node));
    let trees = here.flat_map(|it| it.trees.iter().map(move |tree| (it, tree)));
    trees
        .map(|(task, tree)| section(task, tree).into())
        .collect()
}

fn section(task: &SubtaskView, tree: &StateTree) -> El {
    let name = format!("{} #{}", tree.operator, task.number);
    let files: u32 = tree.levels.iter().map(|it| it.files).sum();
    let (flushed, merged) = tree.written;
    let cost = match tree.access_ns {
        0 => "which costs nothing here (strandline.rocksdb.access-ns is 0)".to_owned(),
        ns => format!("which with the write costs a record {}", span(ns)),
    };
    let says = format!(
        "A read looks at up to {}, {cost}. In this attempt {} were flushed, and merging wrote {}. \
         It takes no time here, so none is seen half done.",
        many(u64::from(tree.places), "place"),
        bytes(flushed),
        bytes(merged),
    );
    let section = el("section")
        .key(name.clone())
        .class("sf-tree")
        .test("state-tree")
        .with(el("h3").with(format!("State in files of {name}")))
        .with(levels(tree))
        .with(el("p").class("small").with(says))
        .with(checkpoints(tree));
    match files {
        0 => section,
        _ => section.with(listed(tree)),
    }
}

fn many(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{} {what}s", count(n)),
    }
}

/// The write buffer and the levels, each with its files drawn as wide as they are large.
fn levels(tree: &StateTree) -> El {
    let (held, room) = tree.memtable;
    let head = |text: &'static str| el("th").is("scope", "col").with(text);
    let share = held as f64 * 100.0 / room.max(1) as f64;
    let full = el("span")
        .class("sf-full")
        .style(format!("inline-size:{:.1}%", share.min(100.0)));
    let memtable = row(
        "memtable",
        el("span").class("sf-buffer").mute().with(full),
        ["–".to_owned(), bytes(held), bytes(room)],
    );
    el("table")
        .class("sf-levels")
        .with(
            el("caption").with(
                "Write buffer and levels; dark: a file that the newest completed checkpoint has",
            ),
        )
        .with(el("thead").with(el("tr").all(["", "files", "size", "moves down at"].map(head))))
        .with(
            el("tbody")
                .with(memtable)
                .all(tree.levels.iter().map(|it| level(it, tree.base))),
        )
}

fn row(name: impl Into<Kid>, art: El, cells: [String; 3]) -> El {
    let cell = |text: String| el("td").class("mono").with(text);
    el("tr")
        .with(el("th").is("scope", "row").with(name).with(art))
        .all(cells.map(cell))
}

fn level(it: &TreeLevel, base: Option<i64>) -> El {
    let piece = |file: &TreeFile| {
        let shared = base.is_some_and(|base| file.held_by.contains(&base));
        el("span")
            .class(if shared { "sg-piece clean" } else { "sg-piece" })
            .style(format!("flex-grow:{}", file.bytes.max(1)))
    };
    let more = (it.files as usize).saturating_sub(it.first.len());
    let strip = el("span").class("sg-strip").mute();
    let strip = strip.all(it.first.iter().map(piece));
    let strip = match more {
        0 => strip,
        more => strip.with(el("span").with(format!("+{more}"))),
    };
    let limit = match (it.level, it.limit) {
        (_, None) => "never".to_owned(),
        (0, Some(files)) => many(files, "file"),
        (_, Some(most)) => bytes(most),
    };
    let name = format!("level {}", it.level);
    row(name, strip, [it.files.to_string(), bytes(it.bytes), limit])
}

/// What each checkpoint has of the tree.
fn checkpoints(tree: &StateTree) -> El {
    if tree.checkpoints.is_empty() {
        let says = "No checkpoint has files of it: the next one uploads all.";
        return el("p").class("small muted").with(says);
    }
    let line = |it: &sim_core::view::TreeCheckpoint| {
        let (files, still) = it.files;
        let uploaded = match it.uploaded {
            Some(new) => format!("uploaded {}", bytes(new)),
            None => "restored from it".to_owned(),
        };
        let base = match tree.base == Some(it.id) {
            true => "; complete: the next one uploads none of these again",
            false => "; not known to be complete",
        };
        let says = format!(
            "checkpoint {}: {}, {still} of them still in the tree; {uploaded}{base}",
            it.id,
            many(u64::from(files), "file"),
        );
        el("li").with(says)
    };
    el("ul")
        .class("small")
        .test("tree-checkpoints")
        .all(tree.checkpoints.iter().map(line))
}

/// The files one by one.
fn listed(tree: &StateTree) -> El {
    let head = |text: &'static str| el("th").is("scope", "col").with(text);
    let rows = tree.levels.iter().flat_map(|level| {
        level.first.iter().map(move |it| {
            let (attempt, number) = it.number;
            let held = match it.held_by.is_empty() {
                true => "none".to_owned(),
                false => {
                    let ids: Vec<String> = it.held_by.iter().map(i64::to_string).collect();
                    ids.join(", ")
                }
            };
            let cells = [
                format!("{number} of attempt {attempt}"),
                level.level.to_string(),
                bytes(it.bytes),
                held,
            ];
            el("tr").all(cells.map(|text| el("td").class("mono").with(text)))
        })
    });
    let heads = ["file", "level", "size", "in checkpoints"];
    el("details")
        .with(el("summary").with("Files, and the checkpoints that share them"))
        .with(
            el("table")
                .test("tree-files")
                .with(el("thead").with(el("tr").all(heads.map(head))))
                .with(el("tbody").all(rows)),
        )
}

/// The tree as a row of a card: what is in the write buffer, and the files of each level.
pub(super) fn mark(it: &StateTree) -> String {
    let levels = it.levels.iter().filter(|it| it.files > 0);
    let levels: Vec<String> = levels
        .map(|it| format!("L{}×{}", it.level, it.files))
        .collect();
    match levels.is_empty() {
        true => format!("memtable {}", bytes(it.memtable.0)),
        false => format!("memtable {}, {}", bytes(it.memtable.0), levels.join(" ")),
    }
}

/// The tree for those who do not see it.
pub(super) fn said(it: &StateTree) -> String {
    let levels = it.levels.iter().filter(|it| it.files > 0);
    let levels = levels.map(|it| {
        let files = many(u64::from(it.files), "file");
        format!(", {files} of {} in level {}", bytes(it.bytes), it.level)
    });
    format!(
        "state of {} in files: {} in the memtable{}",
        it.operator,
        bytes(it.memtable.0),
        levels.collect::<String>()
    )
}
