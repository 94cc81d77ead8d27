//! Time under the hand: rewind, step, play, speed, jumps, and the reading of the clock. The
//! timeline stands beside it.

use leptos::prelude::*;

use super::full::Rest;
use super::pilot::{Way, jump_to_mark};
use super::timeline::Timeline;
use super::{Bench, use_bench};
use crate::format::{SPEEDS, clock, clock_micros, count};
use crate::host::Host;
use crate::ui::icon;

/// Changes the speed by some steps of the scale.
pub(crate) fn change_speed(bench: Bench, by: isize) {
    bench.travel(|h| h.set_speed(h.speed().saturating_add_signed(by)));
}

/// The whole foot of the workbench.
#[component]
pub(crate) fn Transport(
    /// Speed and branches.
    rest: Rest,
) -> impl IntoView {
    let bench = use_bench();
    view! {
        <div class="transport" data-testid="transport">
            <div class="transport-row">
                <Controls bench />
                <Reading bench />
                {(rest.speed)(bench)}
            </div>
            <div class="timeline-row">
                <Timeline>
                    {(rest.runs)()}
                </Timeline>
            </div>
        </div>
    }
}

#[component]
fn Controls(bench: Bench) -> impl IntoView {
    // The icon is made anew only when time starts or stops, not with each reading of the clock.
    let playing = Memo::new(move |_| bench.hud.with(|h| h.playing));
    let playing = move || playing.get();
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
            {button("prev-mark", "To the previous mark (j)", "prev-mark", |b| {
                jump_to_mark(&b, Way::Back);
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
            {button("next-mark", "To what happens next (k)", "next-mark", |b| {
                jump_to_mark(&b, Way::On);
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
    let speed = Memo::new(move |_| bench.hud.with(|h| h.speed));
    view! {
        <label class="speed">
            <span class="sr-only">"Speed: simulated time per real time"</span>
            <select
                class="select mono"
                data-testid="speed"
                title="Speed ([ and ])"
                prop:value=move || speed.get().to_string()
                on:change=choose
            >
                {SPEEDS
                    .iter()
                    .enumerate()
                    .map(|(i, (_, label))| {
                        view! {
                            <option
                                value=i.to_string()
                                selected=move || speed.get() == i
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
