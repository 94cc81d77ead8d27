//! The timeline: the head that one drags or moves with the arrow keys over the drawing of the run
//! (see `timeline_art`). What the picture marks by shape, the list of marks beside it says in words.

use leptos::html;
use leptos::prelude::*;
use sim_core::view::TimeMark;

use super::pilot::{Way, jump_to_mark, seek_part, timeline_key};
use super::timeline_art::{Drawing, legend, look, picture, read};
use super::{Bench, Tab, use_bench};
use crate::format::{clock, spoken};
use crate::ui::{icon, keep};

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
            let fresh = read(&bench);
            if drawing.with_untracked(|old| *old != fresh) {
                drawing.set(fresh);
            }
        }
    });
    Effect::new(move |_| {
        bench.edits.track();
        drawing.set(read(&bench));
    });
    let kinds = NodeRef::<html::Ul>::new();
    keep(kinds, move || drawing.with(legend));
    view! {
        <div class="timeline">
            <Slider bench drawing />
            <div class="timeline-foot">
                <ul class="legend" node_ref=kinds></ul>
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
        seek_part(
            &bench,
            (f64::from(ev.client_x()) - rect.left()) / rect.width().max(1.0),
        );
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
    let on_key = move |ev: web_sys::KeyboardEvent| {
        if timeline_key(&bench, &ev.key(), ev.shift_key()) {
            ev.prevent_default();
            ev.stop_propagation();
        }
    };
    keep(frame, move || {
        drawing.with(|d| bench.hud.with(|h| picture(d, h)))
    });
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
            on:keydown=on_key
        ></div>
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
                            on:click=move |_| jump_to_mark(&bench, Way::Back)
                        >
                            "Previous"
                        </button>
                        <button
                            type="button"
                            class="button small"
                            on:click=move |_| jump_to_mark(&bench, Way::On)
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
