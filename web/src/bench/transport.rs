//! Time under the hand: rewind, step, play, speed, jumps, and the reading of the clock. The
//! timeline stands beside it.

use leptos::prelude::*;

use super::full::Rest;
use super::timeline::Timeline;
use super::{Bench, now_ms, use_bench};
use crate::format::{SPEEDS, clock, clock_micros, count, spoken};
use crate::host::{Ahead, Host};
use crate::ui::icon;

/// Which way a jump goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Towards the start.
    Back,
    /// Towards the end.
    On,
}

/// Longest that a look ahead holds the page, ms.
const LOOK_AHEAD_MS: f64 = 400.0;

/// Goes to the next mark of the timeline (fault, caption, violation, election) that way and stops
/// there. Past the last one that is known the run goes on, unseen, until something is worth one.
pub(crate) fn jump_to_mark(bench: Bench, way: Way) {
    let to = bench.ask(|s| {
        let (now, marks) = (s.now(), s.marks());
        let mut times = marks.iter().map(|m| m.time);
        match way {
            Way::On => times.filter(|t| *t > now).min(),
            Way::Back => times.rfind(|t| *t < now),
        }
    });
    match to.flatten() {
        Some(time) => {
            bench.travel(|h| {
                h.set_playing(false);
                h.seek(time);
            });
        }
        None if way == Way::On => look_ahead(bench),
        None => bench.seek(0),
    }
}

/// Goes to what happens next, though it has not been seen yet.
pub(crate) fn look_ahead(bench: Bench) {
    let head = |h: &mut Host| {
        // What is known already need not be found again.
        let head = h.session().head();
        if h.session().now() < head {
            h.seek(head);
        }
        h.look_ahead(LOOK_AHEAD_MS, now_ms)
    };
    let found = bench.travel(head);
    let now = bench.hud.with_untracked(|h| h.now);
    let nothing = match found {
        None | Some(Ahead::Mark) => return,
        Some(Ahead::End) => "Nothing more happens until the end of this run.".to_owned(),
        Some(Ahead::NotYet) => {
            format!(
                "Nothing to mark until {} yet. Press again to look further.",
                spoken(now)
            )
        }
    };
    bench.notices.say(crate::ui::Tone::Sea, nothing);
}

/// Changes the speed by some steps of the scale.
pub(crate) fn change_speed(bench: Bench, by: isize) {
    bench.travel(|h| h.set_speed(h.speed().saturating_add_signed(by)));
}

/// The whole foot of the workbench.
#[component]
pub(crate) fn Transport(
    /// Jumps, speed and branches; without, only play and step.
    rest: Option<Rest>,
) -> impl IntoView {
    let bench = use_bench();
    view! {
        <div class="transport" data-testid="transport">
            <div class="transport-row">
                <Controls bench full=rest.is_some() />
                <Reading bench />
                {rest.map(|r| (r.speed)(bench))}
            </div>
            <div class="timeline-row">
                <Timeline>
                    {rest.map(|r| (r.runs)())}
                </Timeline>
            </div>
        </div>
    }
}

#[component]
fn Controls(bench: Bench, full: bool) -> impl IntoView {
    let playing = move || bench.hud.with(|h| h.playing);
    let button = move |id, label: &'static str, glyph, act: fn(Bench)| {
        let id: &'static str = id;
        let jump = id.ends_with("mark");
        view! {
            <button
                type="button"
                class="icon-button"
                class:jump=jump
                data-testid=id
                aria-label=label
                title=label
                on:click=move |_| act(bench)
            >
                {icon(glyph)}
            </button>
        }
    };
    view! {
        <div class="transport-buttons" role="group" aria-label="Time">
            {button("rewind", "To the start", "rewind", |b| b.seek(0))}
            {full
                .then(|| {
                    button("prev-mark", "To the previous mark (j)", "prev-mark", |b| {
                        jump_to_mark(b, Way::Back);
                    })
                })}
            {button(
                "step-back",
                "One event back (←)",
                "step-back",
                |b| {
                    b.travel(Host::step_back);
                },
            )}
            <button
                type="button"
                class="play-button"
                data-testid="play"
                aria-label=move || if playing() { "Pause" } else { "Play" }
                title="Play or pause (space)"
                on:click=move |_| bench.toggle()
            >
                {move || icon(if playing() { "pause-time" } else { "play" })}
            </button>
            {button(
                "step",
                "One event on (→)",
                "step",
                |b| {
                    b.travel(Host::step);
                },
            )}
            {full
                .then(|| {
                    button("next-mark", "To what happens next (k)", "next-mark", |b| {
                        jump_to_mark(b, Way::On);
                    })
                })}
        </div>
    }
}

#[component]
fn Reading(bench: Bench) -> impl IntoView {
    view! {
        <div class="reading">
            <span class="clock mono" data-testid="clock">
                {move || bench.hud.with(|h| clock(h.now))}
                <span class="clock-fine">{move || bench.hud.with(|h| clock_micros(h.now))}</span>
            </span>
            <span class="event-number" data-testid="event-number">
                {move || bench.hud.with(|h| format!("event {}", count(h.event)))}
            </span>
            <span class="slow-note" role="status" data-testid="pace-note">
                {move || {
                    bench
                        .hud
                        .with(|h| {
                            let slow = h.slow.then(|| "running slower than requested".to_owned());
                            h.stopped.clone().or(slow)
                        })
                }}
            </span>
        </div>
    }
}

/// The choice of the speed.
#[component]
pub(super) fn Speed(bench: Bench) -> impl IntoView {
    let choose = move |ev| {
        if let Ok(index) = event_target_value(&ev).parse() {
            bench.travel(|h| h.set_speed(index));
        }
    };
    view! {
        <label class="speed">
            <span class="sr-only">"Speed: simulated time per real time"</span>
            <select
                class="select mono"
                data-testid="speed"
                title="Speed ([ and ])"
                prop:value=move || bench.hud.with(|h| h.speed.to_string())
                on:change=choose
            >
                {SPEEDS
                    .iter()
                    .enumerate()
                    .map(|(i, (_, label))| {
                        view! {
                            <option
                                value=i.to_string()
                                selected=move || bench.hud.with(|h| h.speed == i)
                            >
                                {*label}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </label>
    }
}
