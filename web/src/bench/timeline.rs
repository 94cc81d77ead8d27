//! The timeline: how busy each stretch was, what happened when, where runs parted, and the head
//! that one drags or moves with the arrow keys. What the picture marks by shape, the list of marks
//! beside it says in words.

use leptos::html;
use leptos::prelude::*;
use sim_core::view::{LineKind, TimeMark};

use super::transport::{Way, jump_to_mark};
use super::{Bench, Tab, use_bench};
use crate::format::{clock, spoken};
use crate::host::Host;
use crate::ui::icon;

const BUCKETS: u32 = 160;
/// Width of the drawing in its own units; it is stretched to the frame.
const WIDTH: f64 = 1000.0;
const BARS_HIGH: f64 = 22.0;
/// Height of the axis in the drawing; the style sheet puts the head and the times there.
const AXIS: f64 = 29.0;
/// Room under the axis for marks and times.
const TIMES_HIGH: f64 = 21.0;
const BRANCH_GAP: f64 = 9.0;
const BRANCHES_DRAWN: usize = 3;

#[derive(Clone, PartialEq, Default)]
struct Drawing {
    bars: Vec<u32>,
    marks: Vec<TimeMark>,
    /// (id, name, forked at, head, is on stage)
    branches: Vec<(u32, String, u64, u64, bool)>,
}

/// What a kind of mark is called, its class, and its shape around (0, 0).
fn look(kind: LineKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        LineKind::Deed => (
            "fault",
            "mark-deed",
            "M-4.5,-4.5 4.5,4.5 M4.5,-4.5 -4.5,4.5",
        ),
        LineKind::Caption => ("caption", "mark-caption", "M0,-6V6"),
        LineKind::Violation => ("violation", "mark-violation", "M0,-6 6,5 -6,5z"),
        _ => ("change", "mark-rule", "M0,-4.5 4.5,0 0,4.5 -4.5,0z"),
    }
}

fn read(bench: Bench) -> Drawing {
    let branches = bench.host(|h| {
        let current = h.current();
        let all = h.branches().iter();
        all.map(|b| (b.id, b.name.clone(), b.forked_at, b.head, b.id == current))
            .collect()
    });
    let (bars, marks) = bench
        .ask(|s| (s.density(BUCKETS), s.marks()))
        .unwrap_or_default();
    Drawing {
        bars,
        marks,
        branches: branches.unwrap_or_default(),
    }
}

/// The timeline with its slider.
#[component]
pub(crate) fn Timeline(
    /// What stands at the end of the legend.
    children: Children,
) -> impl IntoView {
    let bench = use_bench();
    let drawing = RwSignal::new(Drawing::default());
    let turn = StoredValue::new(0u32);
    // The past does not change while time runs; every fifth publication is enough for its picture.
    Effect::new(move |_| {
        bench.tick.track();
        let playing = bench.hud.with_untracked(|h| h.playing);
        turn.update_value(|t| *t = t.wrapping_add(1));
        if !playing || turn.get_value().is_multiple_of(5) {
            let fresh = read(bench);
            if drawing.with_untracked(|old| *old != fresh) {
                drawing.set(fresh);
            }
        }
    });
    Effect::new(move |_| {
        bench.edits.track();
        drawing.set(read(bench));
    });
    view! {
        <div class="timeline">
            <Slider bench drawing />
            <div class="timeline-foot">
                <Legend drawing />
                {children()}
            </div>
        </div>
    }
}

#[component]
fn Slider(bench: Bench, drawing: RwSignal<Drawing>) -> impl IntoView {
    let frame = NodeRef::<html::Div>::new();
    let dragging = RwSignal::new(false);
    let seek_to = move |ev: &web_sys::PointerEvent| {
        let Some(frame) = frame.get_untracked() else {
            return;
        };
        let rect = frame.get_bounding_client_rect();
        let part = (f64::from(ev.client_x()) - rect.left()) / rect.width().max(1.0);
        let duration = bench.hud.with_untracked(|h| h.duration);
        bench.seek((part.clamp(0.0, 1.0) * duration as f64) as u64);
    };
    let down = move |ev: web_sys::PointerEvent| {
        if ev.button() != 0 {
            return;
        }
        if let Some(frame) = frame.get_untracked() {
            // Without capture the drag ends at the edge; that is all.
            let _ = frame.set_pointer_capture(ev.pointer_id());
        }
        dragging.set(true);
        bench.host(|h| h.set_playing(false));
        seek_to(&ev);
    };
    let at = move || {
        bench
            .hud
            .with(|h| 100.0 * h.now as f64 / h.duration.max(1) as f64)
    };
    view! {
        <div
            class="slider"
            class:is-dragging=move || dragging.get()
            node_ref=frame
            role="slider"
            tabindex="0"
            data-testid="timeline"
            aria-label="Simulated time"
            aria-valuemin="0"
            aria-valuemax=move || bench.hud.with(|h| h.duration / 1_000_000)
            aria-valuenow=move || bench.hud.with(|h| h.now / 1_000_000)
            aria-valuetext=move || bench.hud.with(|h| spoken(h.now))
            on:pointerdown=down
            on:pointermove=move |ev| {
                if dragging.get_untracked() {
                    seek_to(&ev);
                }
            }
            on:pointerup=move |_| dragging.set(false)
            on:pointercancel=move |_| dragging.set(false)
            on:keydown=move |ev| on_key(bench, &ev)
        >
            <Picture drawing bench />
            <Times bench />
            <div class="playhead" style:left=move || format!("{:.3}%", at()) aria-hidden="true">
            </div>
        </div>
    }
}

fn on_key(bench: Bench, ev: &web_sys::KeyboardEvent) {
    let (now, duration) = bench.hud.with_untracked(|h| (h.now, h.duration));
    let part = duration / 100;
    let stop_and_seek = |ns: u64| {
        bench.travel(|h| {
            h.set_playing(false);
            h.seek(ns);
        });
    };
    match (ev.key().as_str(), ev.shift_key()) {
        ("ArrowRight" | "ArrowUp", false) => {
            bench.travel(Host::step);
        }
        ("ArrowLeft" | "ArrowDown", false) => {
            bench.travel(Host::step_back);
        }
        ("ArrowRight" | "ArrowUp", true) => stop_and_seek(now + part),
        ("ArrowLeft" | "ArrowDown", true) => stop_and_seek(now.saturating_sub(part)),
        ("PageUp", _) => stop_and_seek(now + 10 * part),
        ("PageDown", _) => stop_and_seek(now.saturating_sub(10 * part)),
        ("Home", _) => stop_and_seek(0),
        ("End", _) => {
            let head = bench.hud.with_untracked(|h| h.head);
            stop_and_seek(head);
        }
        _ => return,
    }
    ev.prevent_default();
    ev.stop_propagation();
}

#[component]
fn Picture(drawing: RwSignal<Drawing>, bench: Bench) -> impl IntoView {
    let height = move || {
        let kept = drawing.with(|d| d.branches.iter().filter(|b| !b.4).count());
        AXIS + TIMES_HIGH + BRANCH_GAP * kept.min(BRANCHES_DRAWN) as f64
    };
    let x = move |ns: u64| {
        let duration = bench.hud.with_untracked(|h| h.duration).max(1);
        WIDTH * ns as f64 / duration as f64
    };
    let bars = move || {
        drawing.with(|d| {
            let top = d.bars.iter().copied().max().unwrap_or(0).max(1);
            let wide = WIDTH / f64::from(BUCKETS);
            let mut path = String::new();
            for (i, n) in d.bars.iter().enumerate().filter(|(_, n)| **n > 0) {
                let high = (BARS_HIGH * f64::from(*n) / f64::from(top)).max(1.5);
                let left = i as f64 * wide;
                let bottom = AXIS - 5.0;
                path.push_str(&format!(
                    "M{left:.1},{bottom}v-{high:.1}h{:.1}v{high:.1}z",
                    wide * 0.7
                ));
            }
            path
        })
    };
    let explored = move || {
        let head = bench.hud.with(|h| h.head);
        x(head)
    };
    view! {
        <svg
            class="timeline-picture"
            viewBox=move || format!("0 0 {WIDTH} {}", height())
            preserveAspectRatio="none"
            style:height=move || format!("{}px", height())
            aria-hidden="true"
        >
            <path class="density" d=bars />
            <line class="axis" x1="0" x2=WIDTH y1=AXIS y2=AXIS />
            <line class="axis explored" x1="0" x2=explored y1=AXIS y2=AXIS />
            {move || {
                drawing.with(|d| {
                    let kept = d.branches.iter().filter(|b| !b.4).take(BRANCHES_DRAWN);
                    kept.enumerate()
                        .map(|(i, (_, _, from, head, _))| {
                            let y = AXIS + TIMES_HIGH - 4.0 + BRANCH_GAP * (i + 1) as f64;
                            let (from, head) = (x(*from), x(*head));
                            view! {
                                <path
                                    class="branch-line"
                                    d=format!("M{from:.1},{AXIS} L{:.1},{y} H{:.1}", from + 6.0,
                                        head.max(from + 12.0))
                                />
                            }
                        })
                        .collect_view()
                })
            }}
        </svg>
        <svg class="timeline-marks" aria-hidden="true" style:height=move || format!("{}px", height())>
            {move || {
                drawing.with(|d| {
                    d.marks
                        .iter()
                        .map(|m| {
                            let (_, class, shape) = look(m.kind);
                            let left = format!("{:.3}%", x(m.time) / WIDTH * 100.0);
                            view! {
                                <svg x=left y=AXIS overflow="visible">
                                    <path class=class d=shape />
                                </svg>
                            }
                        })
                        .collect_view()
                })
            }}
        </svg>
    }
}

/// The times under the axis, so that one sees how long the run is.
#[component]
fn Times(bench: Bench) -> impl IntoView {
    let duration = Memo::new(move |_| bench.hud.with(|h| h.duration));
    move || {
        let duration = duration.get();
        let one = move |ns: u64| {
            let left = format!("{:.3}%", 100.0 * ns as f64 / duration.max(1) as f64);
            view! { <span style:left=left>{short_time(ns, duration)}</span> }
        };
        view! {
            <div class="timeline-times" aria-hidden="true">
                {times(duration).map(one).collect_view()}
            </div>
        }
    }
}

/// Times to write under the axis of a run: both ends and round ones between, at most seven.
fn times(duration: u64) -> impl Iterator<Item = u64> {
    const SECOND: u64 = 1_000_000_000;
    const STEPS: [u64; 14] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600];
    let steps = STEPS.iter().map(|s| s * SECOND);
    let step = steps
        .into_iter()
        .find(|s| duration / s <= 6)
        .unwrap_or(duration / 6)
        .max(1);
    // A round time that would touch the end's gives way to it.
    let round = (0..=6)
        .map(move |i| i * step)
        .take_while(move |t| t + step * 2 / 3 <= duration);
    round.chain([duration])
}

/// A time in a run of this length, as short as it can be said.
fn short_time(ns: u64, duration: u64) -> String {
    let seconds = ns / 1_000_000_000;
    if duration < 1_000_000_000 {
        spoken(ns)
    } else if duration < 60_000_000_000 {
        format!("{seconds} s")
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// Names only the kinds of mark that are there.
#[component]
fn Legend(drawing: RwSignal<Drawing>) -> impl IntoView {
    let kinds = [
        LineKind::Deed,
        LineKind::Caption,
        LineKind::Rule,
        LineKind::Violation,
    ];
    view! {
        <ul class="legend">
            {move || {
                drawing.with(|d| {
                    kinds
                        .into_iter()
                        .filter(|k| d.marks.iter().any(|m| look(m.kind).0 == look(*k).0))
                        .map(|k| {
                            let (name, class, shape) = look(k);
                            view! {
                                <li>
                                    <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
                                        <path class=class d=shape />
                                    </svg>
                                    {name}
                                </li>
                            }
                        })
                        .collect_view()
                })
            }}
        </ul>
    }
}

/// The marks in words, each a way to its moment.
#[component]
pub(crate) fn MarkList() -> impl IntoView {
    let bench = use_bench();
    let open = RwSignal::new(false);
    let marks = move || {
        bench.tick.track();
        bench.ask(|s| s.marks()).unwrap_or_default()
    };
    view! {
        <div class="pop-holder">
            <button
                type="button"
                class="button small"
                data-testid="marks"
                aria-expanded=move || open.get().to_string()
                on:click=move |_| open.update(|o| *o = !*o)
            >
                {icon("flag")}
                <span class="label">"Marks"</span>
            </button>
            <Show when=move || open.get()>
                <div class="pop-up" on:keydown=move |ev| close_on_escape(&ev, open)>
                    <div class="actions">
                        <button
                            type="button"
                            class="button small"
                            on:click=move |_| jump_to_mark(bench, Way::Back)
                        >
                            "Previous"
                        </button>
                        <button
                            type="button"
                            class="button small"
                            on:click=move |_| jump_to_mark(bench, Way::On)
                        >
                            "Next"
                        </button>
                    </div>
                    <ol class="mark-list">
                        {move || {
                            marks()
                                .into_iter()
                                .map(|m| view! { <MarkItem bench mark=m /> })
                                .collect_view()
                        }}
                    </ol>
                    <Show when=move || marks().is_empty()>
                        <p class="muted small">
                            "Nothing yet. Faults, captions, elections and violations appear here as
                            the run reaches them."
                        </p>
                    </Show>
                </div>
            </Show>
        </div>
    }
}

/// Closes a small window when Escape is pressed in it.
pub(crate) fn close_on_escape(ev: &web_sys::KeyboardEvent, open: RwSignal<bool>) {
    if ev.key() == "Escape" {
        ev.stop_propagation();
        open.set(false);
    }
}

#[component]
fn MarkItem(bench: Bench, mark: TimeMark) -> impl IntoView {
    let (name, class, shape) = look(mark.kind);
    let time = mark.time;
    view! {
        <li>
            <button
                type="button"
                on:click=move |_| {
                    bench.seek(time);
                    bench.tab.set(Tab::STAGE);
                }
            >
                <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
                    <path class=class d=shape />
                </svg>
                <span class="mono">{clock(time)}</span>
                <span>
                    <span class="sr-only">{name} ": "</span>
                    {mark.text}
                </span>
            </button>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_bears_a_few_round_times_and_its_end() {
        let check = |seconds: u64, expect: &[&str]| {
            let duration = seconds * 1_000_000_000;
            let words: Vec<_> = times(duration).map(|t| short_time(t, duration)).collect();
            assert_eq!(words, expect, "{seconds} s");
        };
        check(
            60,
            &["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"],
        );
        check(
            120,
            &["0:00", "0:20", "0:40", "1:00", "1:20", "1:40", "2:00"],
        );
        check(45, &["0 s", "10 s", "20 s", "30 s", "45 s"]);
        check(5, &["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]);
        check(7200, &["0:00", "30:00", "60:00", "90:00", "120:00"]);
    }
}
