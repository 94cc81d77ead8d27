//! The space-time diagram: one line per node, time from left to right in true proportion, each
//! message a slanted line from the moment it left to the moment it arrived. A lost message ends in
//! a cross. Ten windows of width are offered, from microseconds to the whole run.

use leptos::prelude::*;
use sim_core::view::{Role, Shape, SpaceTimeMessage, TimeMark};

use super::{Bench, use_bench};
use crate::format::{clock, span};
use crate::stage::{KINDS, Selection, kind_words};

const WIDTH: f64 = 1000.0;
const ROW: f64 = 46.0;
const TOP: f64 = 30.0;
const LABELS: f64 = 112.0;
const MESSAGES_MAX: u32 = 600;
/// Offered widths of the window, ns.
const WINDOWS: [u64; 8] = [
    5_000_000,
    20_000_000,
    50_000_000,
    200_000_000,
    500_000_000,
    2_000_000_000,
    10_000_000_000,
    30_000_000_000,
];

#[derive(Clone, PartialEq, Default)]
struct Drawing {
    from: u64,
    to: u64,
    now: u64,
    nodes: Vec<(u32, String)>,
    messages: Vec<SpaceTimeMessage>,
    marks: Vec<TimeMark>,
    /// Not all messages are drawn.
    full: bool,
}

fn read(bench: Bench, width: u64) -> Drawing {
    // As data flows: writers, stores, readers; those who decide stand below.
    let place = |role| match role {
        Role::Source => 0,
        Role::Store => 1,
        Role::Sink => 2,
        Role::Control => 3,
    };
    let mut rows: Vec<(u32, u32, String)> = bench.view.with_untracked(|v| {
        v.nodes
            .iter()
            .map(|n| (place(n.role), n.id, n.title.clone()))
            .collect()
    });
    rows.sort();
    let nodes = rows.into_iter().map(|(_, id, title)| (id, title)).collect();
    let now = bench.hud.with_untracked(|h| h.now);
    let from = now.saturating_sub(width * 4 / 5);
    let to = from + width;
    let (messages, marks) = bench
        .ask(|s| {
            let marks = s
                .marks()
                .into_iter()
                .filter(|m| (from..to).contains(&m.time))
                .collect();
            (s.spacetime(from, to, MESSAGES_MAX), marks)
        })
        .unwrap_or_default();
    let full = messages.len() >= MESSAGES_MAX as usize;
    Drawing {
        from,
        to,
        now,
        nodes,
        messages,
        marks,
        full,
    }
}

/// The tab.
#[component]
pub(crate) fn SpaceTimePanel() -> impl IntoView {
    let bench = use_bench();
    let window = RwSignal::new(3usize);
    let drawing = Memo::new(move |_| {
        bench.tick.track();
        read(bench, WINDOWS[window.get().min(WINDOWS.len() - 1)])
    });
    let choose = move |ev| window.set(event_target_value(&ev).parse().unwrap_or(3));
    view! {
        <div class="panel-tools">
            <p class="muted small grow">
                "Time runs to the right. A slanted line is a message: it leaves one node and reaches
                another. A cross is a message that was lost."
            </p>
            <label class="inline-field">
                <span class="small">"Window"</span>
                <select class="select mono" data-testid="spacetime-window" on:change=choose>
                    {WINDOWS
                        .iter()
                        .enumerate()
                        .map(|(i, w)| {
                            view! {
                                <option value=i.to_string() selected=move || window.get() == i>
                                    {span(*w)}
                                </option>
                            }
                        })
                        .collect_view()}
                </select>
            </label>
        </div>
        <div class="panel-scroll spacetime" data-testid="spacetime">
            <Diagram bench drawing />
        </div>
        <div class="panel-tools">
            <Summary drawing />
            <Legend drawing />
        </div>
    }
}

/// Names the kinds of message on view, each with its stroke.
#[component]
fn Legend(drawing: Memo<Drawing>) -> impl IntoView {
    let kinds = Memo::new(move |_| {
        let there = |shape: &Shape| drawing.with(|d| d.messages.iter().any(|m| m.shape == *shape));
        KINDS.into_iter().filter(there).collect::<Vec<_>>()
    });
    let one = |shape: Shape| {
        view! {
            <li>
                <svg width="26" height="14" viewBox="0 0 26 14" aria-hidden="true">
                    <g class=class_of(shape)>
                        <line x1="2" y1="11" x2="24" y2="3" />
                        <circle cx="2" cy="11" r="1.8" />
                    </g>
                </svg>
                {kind_words(shape)}
            </li>
        }
    };
    view! { <ul class="legend">{move || kinds.get().into_iter().map(one).collect_view()}</ul> }
}

#[component]
fn Diagram(bench: Bench, drawing: Memo<Drawing>) -> impl IntoView {
    let height = move || drawing.with(|d| TOP + ROW * d.nodes.len() as f64 + 8.0);
    view! {
        <svg
            viewBox=move || format!("0 0 {WIDTH} {}", height())
            role="img"
            aria-label="Space-time diagram; its messages are listed in the Events tab"
        >
            {move || {
                drawing
                    .with(|d| {
                        view! {
                            {lifelines(d)}
                            {ticks(d)}
                            {marks(d)}
                            {messages(bench, d)}
                            {present(d)}
                        }
                    })
            }}
        </svg>
    }
}

fn x(d: &Drawing, ns: u64) -> f64 {
    let part = (ns as f64 - d.from as f64) / (d.to - d.from).max(1) as f64;
    LABELS + part * (WIDTH - LABELS)
}

fn y(d: &Drawing, node: u32) -> f64 {
    let row = d.nodes.iter().position(|(id, _)| *id == node).unwrap_or(0);
    TOP + ROW * (row as f64 + 0.5)
}

fn lifelines(d: &Drawing) -> impl IntoView + use<> {
    d.nodes
        .iter()
        .map(|(id, title)| {
            let y = y(d, *id);
            view! {
                <text class="st-name" x="10" y=y + 4.0>
                    {title.clone()}
                </text>
                <line class="st-life" x1=LABELS x2=WIDTH y1=y y2=y />
            }
        })
        .collect_view()
}

/// The span between ticks: the largest of 1, 2, 5 × 10ⁿ that gives at least four of them.
fn tick_step(width: u64) -> u64 {
    let rough = (width / 4).max(1);
    let unit = 10u64.pow(rough.ilog10());
    [5, 2, 1]
        .into_iter()
        .map(|m| m * unit)
        .find(|s| *s <= rough)
        .unwrap_or(unit)
}

fn ticks(d: &Drawing) -> impl IntoView + use<> {
    let step = tick_step(d.to - d.from);
    let first = d.from.div_ceil(step);
    let bottom = TOP + ROW * d.nodes.len() as f64;
    (first..=d.to / step)
        .map(|n| {
            let x = x(d, n * step);
            let label = if step < 1_000_000 {
                format!("{} {:03}", clock(n * step), n * step / 1000 % 1000)
            } else {
                clock(n * step)
            };
            view! {
                <line class="st-tick" x1=x x2=x y1=TOP - 6.0 y2=bottom />
                <text class="st-time" x=x y="14">
                    {label}
                </text>
            }
        })
        .collect_view()
}

fn marks(d: &Drawing) -> impl IntoView + use<> {
    let bottom = TOP + ROW * d.nodes.len() as f64;
    d.marks
        .iter()
        .map(|m| {
            let x = x(d, m.time);
            view! {
                <line class="st-mark" x1=x x2=x y1=TOP - 10.0 y2=bottom>
                    <title>{m.text.clone()}</title>
                </line>
            }
        })
        .collect_view()
}

fn class_of(shape: Shape) -> &'static str {
    match shape {
        Shape::Batch => "st-message st-batch",
        Shape::Ack => "st-message st-ack",
        Shape::Fetch => "st-message st-fetch",
        Shape::Heartbeat => "st-message st-heartbeat",
        Shape::Vote => "st-message st-vote",
        Shape::Control | Shape::Other => "st-message",
    }
}

fn messages(bench: Bench, d: &Drawing) -> impl IntoView + use<> {
    d.messages
        .iter()
        .map(|m| {
            let (x1, y1, y2) = (x(d, m.depart), y(d, m.from), y(d, m.to));
            // A lost message is drawn half the way it would have gone.
            let lost = m.arrive.is_none();
            let end = m.arrive.unwrap_or(m.depart + (d.to - d.from) / 40);
            let (x2, y2) = (x(d, end), if lost { (y1 + y2) / 2.0 } else { y2 });
            let id = m.id;
            let cross = lost.then(|| {
                view! {
                    <path
                        class="st-lost"
                        d=format!(
                            "M{:.1},{:.1}l8,8m0,-8l-8,8",
                            x2 - 4.0,
                            y2 - 4.0,
                        )
                    />
                }
            });
            view! {
                <g class=class_of(m.shape)>
                    <line
                        x1=x1
                        y1=y1
                        x2=x2
                        y2=y2
                        on:click=move |_| bench.selected.set(Some(Selection::Message(id)))
                    >
                        <title>{m.label}</title>
                    </line>
                    <circle cx=x1 cy=y1 r="1.8" />
                    {cross}
                </g>
            }
        })
        .collect_view()
}

fn present(d: &Drawing) -> impl IntoView + use<> {
    let x = x(d, d.now);
    let bottom = TOP + ROW * d.nodes.len() as f64;
    view! { <line class="st-now" x1=x x2=x y1=TOP - 10.0 y2=bottom /> }
}

#[component]
fn Summary(drawing: Memo<Drawing>) -> impl IntoView {
    let text = move || {
        drawing.with(|d| {
            let lost = d.messages.iter().filter(|m| m.arrive.is_none()).count();
            let more = if d.full {
                ", the earliest; choose a narrower window to see all"
            } else {
                ""
            };
            format!(
                "{} to {}: {} messages, {lost} of them lost{more}.",
                clock(d.from),
                clock(d.to),
                d.messages.len()
            )
        })
    };
    view! { <p class="small muted" data-testid="spacetime-summary">{text}</p> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_at_least_four() {
        for (width, step) in [(200, 50), (5_000_000, 1_000_000), (30, 5), (1, 1), (9, 2)] {
            assert_eq!(tick_step(width), step, "{width}");
        }
    }
}
