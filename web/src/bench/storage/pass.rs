//! The last pass of the cleaner over a copy, step by step: how dirty the log was, the map of keys
//! and offsets as it grows, each segment with what is kept and dropped and why, the segments that
//! were put in place, the new checkpoint.
//!
//! A pass takes no simulated time, so the steps share one moment and are walked by hand. All that
//! is shown is told by the engine, which does the pass once more for it.

use leptos::prelude::*;
use sim_core::view::{CompactionPass, CompactionSteps};

use super::pass_words::{self as words, Body};
use crate::bench::Bench;
use crate::format::clock;
use crate::listen::marked;
use crate::stage::Selection;
use crate::tree::{El, Kid, button, el};
use crate::ui::keep;

/// The pass of which steps are shown: copy and what the notes say of it.
type Of = (u32, String, CompactionPass);

/// The steps of the last pass over the picked copy; nothing if there is none.
#[component]
pub(super) fn Pass(
    bench: Bench,
    /// The last pass over it.
    #[prop(into)]
    last: Signal<Option<CompactionPass>>,
) -> impl IntoView {
    let of = Memo::new(move |_| -> Option<Of> {
        let pass = last.get()?;
        match bench.selected.get() {
            Some(Selection::Lane { node, lane }) => Some((node, lane, pass)),
            _ => None,
        }
    });
    let open = RwSignal::new(false);
    let at = RwSignal::new(0_usize);
    let steps = Memo::new(move |_| {
        let (node, lane, _) = of.get().filter(|_| open.get())?;
        at.set(0);
        bench.ask(|s| s.compaction_steps(node, &lane)).flatten()
    });
    let last_step = move || steps.with(|it| it.as_ref().map_or(0, |it| it.steps.len() + 1));
    let place = NodeRef::<leptos::html::Div>::new();
    keep(place, move || {
        if of.with(Option::is_none) {
            return Vec::new();
        }
        let toggle = toggle(open.get()).into();
        let told = steps.with(|it| it.as_ref().map(|it| told(it, at.get())));
        [toggle].into_iter().chain(told.map(Kid::from)).collect()
    });
    let go = move |way: &str| {
        let (now, end) = (at.get_untracked(), last_step());
        at.set(match way {
            "back" => now.saturating_sub(1),
            "first" => 0,
            "last" => end,
            _ => (now + 1).min(end),
        });
    };
    let on_click = move |ev: leptos::ev::MouseEvent| {
        match marked(&ev, "data-pass").map(|(_, way)| way) {
            Some(way) if way == "toggle" => {
                // What one studies must not be overtaken by the next pass.
                bench.travel(|h| h.set_playing(false));
                open.update(|open| *open = !*open);
            }
            Some(way) => go(&way),
            None => {}
        }
    };
    let on_key = move |ev: leptos::ev::KeyboardEvent| {
        let way = match ev.key().as_str() {
            "ArrowLeft" => "back",
            "ArrowRight" => "next",
            "Home" => "first",
            "End" => "last",
            _ => return,
        };
        // On the bar of steps only: elsewhere these keys move in time, and scroll.
        if marked(&ev, "data-steps").is_some() {
            ev.prevent_default();
            go(way);
        }
    };
    view! { <div class="sg-pass" node_ref=place on:click=on_click on:keydown=on_key></div> }
}

fn toggle(open: bool) -> El {
    button("button small")
        .is("data-pass", "toggle")
        .test("pass-toggle")
        .is("aria-expanded", open.to_string())
        .with(match open {
            true => "Close the pass",
            false => "Step through the last pass",
        })
}

/// The pass at a step.
fn told(it: &CompactionSteps, at: usize) -> El {
    let end = it.steps.len() + 1;
    let at = at.min(end);
    let way = |way: &'static str, name: &'static str, off: bool| {
        // It keeps the focus where there is no further step.
        button("button small")
            .is("data-pass", way)
            .test(format!("pass-{way}"))
            .is("aria-disabled", off.to_string())
            .with(name)
    };
    let bar = el("div")
        .class("sg-pass-bar")
        .is("role", "toolbar")
        .is("data-steps", "")
        .label("Steps of the pass")
        .with(way("back", "Back", at == 0))
        .with(
            el("span")
                .class("mono small")
                .test("pass-step")
                .with(format!("{} of {}", at + 1, end + 1)),
        )
        .with(way("next", "Next", at == end));
    let said = words::step(it, at);
    let text = el("div")
        .is("role", "status")
        .with(
            el("h4")
                .test("pass-title")
                .with(
                    el("span")
                        .class("sr-only")
                        .with(format!("Step {}: ", at + 1)),
                )
                .with(said.title),
        )
        .with(el("p").class("small").test("pass-words").with(said.text));
    let note = format!(
        "A pass takes no simulated time: all steps are at {}.{}",
        clock(it.time),
        match it.left_out {
            0 => String::new(),
            1 => " One more segment is not told step by step.".to_owned(),
            n => format!(" {n} more segments are not told step by step."),
        }
    );
    el("section")
        .class("sg-pass-told")
        .test("pass")
        .label(format!("The pass at {}, step by step", clock(it.time)))
        .with(bar)
        .with(track(it, at))
        .with(text)
        .all(body(said.body))
        .with(el("p").class("small muted").with(note))
}

/// All steps in a row, the present one marked.
fn track(it: &CompactionSteps, at: usize) -> El {
    let kinds = words::kinds(it);
    let step = |(i, kind): (usize, &'static str)| {
        let now = if i == at { " now" } else { "" };
        let past = if i < at { " past" } else { "" };
        el("span").class(format!("sg-tick {kind}{now}{past}"))
    };
    el("div")
        .class("sg-track")
        .mute()
        .all(kinds.into_iter().enumerate().map(step))
}

/// What stands under the words of a step.
fn body(body: Body) -> Vec<El> {
    match body {
        Body::Dirt { ppm, limit, due } => vec![super::meter(ppm, limit, due)],
        Body::Map(entries) => {
            let entry = |it: words::Entry| {
                let was = it.replaced.map(|offset| {
                    let said = el("span").class("sr-only").with("was ");
                    el("s").class("muted").with(said).with(offset.to_string())
                });
                el("li")
                    .class(if it.fresh { "fresh" } else { "" })
                    .with(swatch(it.key))
                    .all(was)
                    .with(el("span").class("mono").with(it.offset.to_string()))
            };
            vec![el("ul").class("sg-map").all(entries.into_iter().map(entry))]
        }
        Body::Records { rows, more } => {
            let cells = rows.iter().map(cell);
            let cells = el("div").class("sg-cells").mute().all(cells);
            let more = (more > 0).then(|| {
                let text = format!("{more} more records of this segment.");
                el("p").class("small muted").with(text)
            });
            [cells, table(&rows)].into_iter().chain(more).collect()
        }
        Body::Swap { before, after } => {
            let most = before.iter().map(|it| it.1).sum::<u64>().max(1);
            let row = |name: &'static str, pieces: Vec<(i64, u64)>, class: &'static str| {
                let piece = move |(base, bytes): (i64, u64)| {
                    let share = bytes as f64 * 100.0 / most as f64;
                    el("span")
                        .class(format!("sg-piece {class}"))
                        .style(format!("flex:0 1 {share:.1}%"))
                        .is("title", format!("segment {base}"))
                };
                el("div")
                    .class("sg-swap")
                    .with(el("span").class("small muted").with(name))
                    .with(
                        el("div")
                            .class("sg-strip")
                            .all(pieces.into_iter().map(piece)),
                    )
            };
            let rows = [
                row("before", before, ""),
                row("after", vec![after], "clean"),
            ];
            vec![el("div").mute().all(rows)]
        }
    }
}

/// A key in its colour.
fn swatch(key: u32) -> El {
    el("span")
        .class(format!("sg-key sg-key-{}", key % 6))
        .with(crate::stage::key_name(key))
}

/// A record as a cell: kept ones solid, dropped ones struck out.
fn cell(row: &words::Row) -> El {
    let key = row
        .key
        .map_or("none".to_owned(), |key| (key % 6).to_string());
    let marker = if row.marker { " marker" } else { "" };
    let dropped = if row.kept { "" } else { " dropped" };
    let tombstone = if row.tombstone { " tombstone" } else { "" };
    el("span")
        .class(format!("sg-cell sg-key-{key}{marker}{dropped}{tombstone}"))
        .with(row.offset.to_string())
}

/// The same with the reasons.
fn table(rows: &[words::Row]) -> El {
    let head = |text: &'static str| el("th").is("scope", "col").with(text);
    let row = |row: &words::Row| {
        let verdict = match row.kept {
            true => el("strong").class("sg-kept").with("kept"),
            false => el("strong").class("sg-dropped").with("dropped"),
        };
        el("tr")
            .class(if row.kept { "" } else { "gone" })
            .with(
                el("th")
                    .is("scope", "row")
                    .class("mono")
                    .with(row.offset.to_string()),
            )
            .with(el("td").all(row.key.map(swatch)))
            .with(el("td").with(verdict).with(format!(": {}", row.why)))
    };
    let table = el("table")
        .class("sg-fates")
        .with(el("thead").with(el("tr").all(["offset", "key", "what becomes of it"].map(head))))
        .with(el("tbody").all(rows.iter().map(row)));
    el("div")
        .class("sg-fates-box")
        .is("tabindex", "0")
        .is("role", "region")
        .label("Records of this segment")
        .with(table)
}
