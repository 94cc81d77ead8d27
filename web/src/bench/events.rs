//! The transcript: what happened, event by event, in words. It shows a window of the run that
//! follows the present or stands where the learner put it.

use leptos::prelude::*;
use sim_core::view::{LineKind, LogLine};

use super::{Bench, use_bench};
use crate::format::{clock, clock_micros, count};

/// Lines shown at once.
const LINES: usize = 120;
/// Events read at once when looking for lines of the wanted kinds.
const STRIDE: u64 = 400;
/// Events searched at most for one window.
const SEARCH_MAX: u64 = 20_000;

/// The kinds a learner can hide: label, kind.
const KINDS: [(&str, LineKind); 6] = [
    ("messages", LineKind::Message),
    ("timers", LineKind::Timer),
    ("faults", LineKind::Deed),
    ("rules", LineKind::Rule),
    ("captions", LineKind::Caption),
    ("violations", LineKind::Violation),
];

fn class_of(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Message => "chip",
        LineKind::Timer => "chip",
        LineKind::Deed | LineKind::Violation => "chip harm",
        LineKind::Rule => "chip sea",
        LineKind::Caption => "chip sand",
    }
}

fn word_for(kind: LineKind) -> &'static str {
    match kind {
        LineKind::Message => "message",
        LineKind::Timer => "timer",
        LineKind::Deed => "fault",
        LineKind::Rule => "rule",
        LineKind::Caption => "caption",
        LineKind::Violation => "violation",
    }
}

/// The newest wanted lines up to and including event `until`, oldest first.
fn lines_until(bench: Bench, until: u64, wanted: &dyn Fn(&LogLine) -> bool) -> Vec<LogLine> {
    let mut found: Vec<LogLine> = Vec::new();
    let mut end = until + 1;
    let floor = end.saturating_sub(SEARCH_MAX);
    while end > floor && found.len() < LINES {
        let from = end.saturating_sub(STRIDE).max(floor);
        let some = bench
            .ask(|s| s.transcript(from, (end - from) as u32))
            .unwrap_or_default();
        let mut some: Vec<LogLine> = some
            .into_iter()
            .filter(|l| l.event < end && wanted(l))
            .collect();
        some.append(&mut found);
        found = some;
        end = from;
    }
    let skip = found.len().saturating_sub(LINES);
    found.drain(..skip);
    found
}

/// The tab.
#[component]
pub(crate) fn EventsPanel() -> impl IntoView {
    let bench = use_bench();
    let hidden = RwSignal::new(vec![LineKind::Timer]);
    let node = RwSignal::new(String::new());
    // The last event of the window; `None` follows the present.
    let anchor = RwSignal::new(None::<u64>);
    let lines = Memo::new(move |_| {
        bench.slow_tick.track();
        let (hidden, node) = (hidden.get(), node.get());
        let present = bench.hud.with_untracked(|h| h.event);
        let wanted = |l: &LogLine| !hidden.contains(&l.kind) && (node.is_empty() || l.node == node);
        lines_until(bench, anchor.get().unwrap_or(present), &wanted)
    });
    view! {
        <div class="panel-tools">
            <KindFilter hidden />
            <NodeFilter bench node />
            <Window bench anchor lines />
        </div>
        <div class="table-wrap panel-scroll" tabindex="0" role="region" aria-label="Events">
            <table class="table transcript">
                <thead>
                    <tr>
                        <th scope="col" class="num">"Event"</th>
                        <th scope="col">"Time"</th>
                        <th scope="col">"Kind"</th>
                        <th scope="col">"Node"</th>
                        <th scope="col">"What happened"</th>
                    </tr>
                </thead>
                <tbody data-testid="event-rows">
                    {move || {
                        let present = bench.hud.with_untracked(|h| h.event);
                        lines
                            .get()
                            .into_iter()
                            .rev()
                            .map(|l| view! { <Line bench now=l.event + 1 == present line=l /> })
                            .collect_view()
                    }}
                </tbody>
            </table>
            <Show when=move || lines.with(Vec::is_empty)>
                <p class="empty">"No such events up to this moment."</p>
            </Show>
        </div>
    }
}

#[component]
fn Line(bench: Bench, now: bool, line: LogLine) -> impl IntoView {
    let event = line.event;
    let go = move |_| {
        bench.travel(|h| {
            h.set_playing(false);
            // Events are counted from 0: this is the moment right after it.
            h.seek_event(event + 1);
        });
    };
    view! {
        <tr class:is-now=now>
            <td class="num">
                <button type="button" class="link-button" title="Go to this event" on:click=go>
                    {count(event)}
                </button>
            </td>
            <td class="mono nowrap">
                {clock(line.time)} <span class="muted">{clock_micros(line.time)}</span>
            </td>
            <td>
                <span class=class_of(line.kind)>{word_for(line.kind)}</span>
            </td>
            <td class="mono">{line.node}</td>
            <td>{line.text}</td>
        </tr>
    }
}

#[component]
fn KindFilter(hidden: RwSignal<Vec<LineKind>>) -> impl IntoView {
    let toggle = move |kind: LineKind| {
        hidden.update(|h| match h.iter().position(|k| *k == kind) {
            Some(at) => {
                h.remove(at);
            }
            None => h.push(kind),
        });
    };
    view! {
        <fieldset class="filters">
            <legend class="sr-only">"Show"</legend>
            {KINDS
                .into_iter()
                .map(|(label, kind)| {
                    view! {
                        <label class="check">
                            <input
                                type="checkbox"
                                prop:checked=move || hidden.with(|h| !h.contains(&kind))
                                on:change=move |_| toggle(kind)
                            />
                            {label}
                        </label>
                    }
                })
                .collect_view()}
        </fieldset>
    }
}

#[component]
fn NodeFilter(bench: Bench, node: RwSignal<String>) -> impl IntoView {
    let names = Memo::new(move |_| {
        bench.view.with(|v| {
            v.nodes
                .iter()
                .map(|n| (n.name.clone(), n.title.clone()))
                .collect::<Vec<_>>()
        })
    });
    view! {
        <label class="inline-field">
            <span class="sr-only">"Node"</span>
            <select class="select" on:change=move |ev| node.set(event_target_value(&ev))>
                <option value="">"all nodes"</option>
                {move || {
                    names
                        .get()
                        .into_iter()
                        .map(|(name, title)| view! { <option value=name>{title}</option> })
                        .collect_view()
                }}
            </select>
        </label>
    }
}

#[component]
fn Window(bench: Bench, anchor: RwSignal<Option<u64>>, lines: Memo<Vec<LogLine>>) -> impl IntoView {
    let present = move || bench.hud.with_untracked(|h| h.event);
    let earlier = move |_| {
        let oldest = lines.with_untracked(|l| l.first().map_or(0, |l| l.event));
        anchor.set(Some(oldest.saturating_sub(1)));
    };
    let later = move |_| {
        let newest = lines.with_untracked(|l| l.last().map_or(0, |l| l.event));
        let to = newest + LINES as u64;
        anchor.set((to < present()).then_some(to));
    };
    view! {
        <div class="actions">
            <button type="button" class="button small" on:click=earlier>
                "Earlier"
            </button>
            <button
                type="button"
                class="button small"
                disabled=move || anchor.get().is_none()
                on:click=later
            >
                "Later"
            </button>
            <button
                type="button"
                class="button small"
                aria-pressed=move || anchor.get().is_none().to_string()
                on:click=move |_| anchor.set(None)
            >
                "Follow"
            </button>
        </div>
    }
}
