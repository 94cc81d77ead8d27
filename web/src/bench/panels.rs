//! The workbench as a whole: bar with tabs, the panel on view, the inspector docked beside it,
//! faults, ledger and transport. On a phone the same parts stand in one column and the transport
//! is fixed at the foot.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::full::Rest;
use super::ledger::LedgerStrip;
use super::transport::Transport;
use super::{Bench, Prediction, Tab, announce, debug, use_bench};
use crate::stage::{Stage, StageMirror, TokensList};

/// The workbench of the page. Needs a [`Bench`] in context.
#[component]
pub(crate) fn Workbench(
    /// What it has beyond stage, ledger and transport; the home page's has nothing more.
    rest: Option<Rest>,
    /// Its place among the flex items of a narrow page.
    order: Option<Signal<i32>>,
) -> impl IntoView {
    let bench = use_bench();
    debug::expose(bench);
    if let Some(rest) = rest {
        (rest.start)(bench);
    }
    let root = NodeRef::<leptos::html::Section>::new();
    if rest.is_none() {
        rest_out_of_sight(bench, root);
    }
    view! {
        <section
            node_ref=root
            class="workbench"
            class:is-glance=rest.is_none()
            style:order=move || order.map(|o| o.get().to_string()).unwrap_or_default()
            aria-label="Simulation"
            data-testid="workbench"
        >
            {rest.map(|r| (r.bar)(bench))}
            <Problems bench />
            <div class="bench-body">
                <div class="bench-main">
                    <CaptionLine bench />
                    <PanelOnView bench rest />
                </div>
                {rest.map(|r| (r.inspector)())}
            </div>
            {rest.map(|r| (r.palette)())}
            <LedgerStrip />
            <Transport rest />
            <announce::Announcer />
            {rest.map(|r| (r.overlays)(bench))}
        </section>
    }
}

/// A run that plays by itself does so only while it can be seen.
fn rest_out_of_sight(bench: Bench, root: NodeRef<leptos::html::Section>) {
    let observer = StoredValue::new_local(None::<web_sys::IntersectionObserver>);
    Effect::new(move |_| {
        let Some(section) = root.get() else { return };
        let seen = Closure::<dyn FnMut(js_sys::Array)>::new(move |entries: js_sys::Array| {
            let last = entries
                .pop()
                .dyn_into::<web_sys::IntersectionObserverEntry>();
            bench.set_in_sight(last.is_ok_and(|e| e.is_intersecting()));
        });
        let made = web_sys::IntersectionObserver::new(seen.as_ref().unchecked_ref());
        // The observer lives as long as the page it watches, and so does its callback.
        seen.forget();
        if let Ok(made) = made {
            made.observe(&section);
            observer.set_value(Some(made));
        }
    });
    on_cleanup(move || {
        observer.try_update_value(|o| {
            if let Some(observer) = o.take() {
                observer.disconnect();
            }
        });
    });
}

/// What the engine refused, where a run should be.
#[component]
fn Problems(bench: Bench) -> impl IntoView {
    let refused = move || {
        let on_script = bench.tab.get() == Tab::SCRIPT;
        bench
            .problems
            .with(|p| (!p.is_empty() && !on_script).then_some(p.len()))
    };
    view! {
        {move || {
            refused()
                .map(|n| {
                    let text = if n == 1 {
                        "One thing in this scenario must be mended before it can run.".to_owned()
                    } else {
                        format!("{n} things in this scenario must be mended before it can run.")
                    };
                    view! {
                        <div class="banner harm" role="alert" data-testid="problems">
                            <p>{text}</p>
                            <div class="actions">
                                <button
                                    type="button"
                                    class="button small"
                                    on:click=move |_| bench.tab.set(Tab::SCRIPT)
                                >
                                    "Show them in the script"
                                </button>
                            </div>
                        </div>
                    }
                })
        }}
    }
}

#[component]
fn CaptionLine(bench: Bench) -> impl IntoView {
    view! {
        <p
            class="caption-line"
            data-testid="caption"
            hidden=move || bench.hud.with(|h| !h.told)
        >
            {move || bench.caption.get()}
        </p>
        {move || bench.prediction.get().map(|p| view! { <PredictionLine prediction=p /> })}
    }
}

/// What was predicted, over what happened.
#[component]
fn PredictionLine(prediction: Prediction) -> impl IntoView {
    let Prediction {
        said,
        happened,
        hit,
    } = prediction;
    view! {
        <p class="prediction-line" class:is-hit=hit data-testid="prediction-line">
            <span class=if hit { "chip proven" } else { "chip harm" }>
                {if hit { "predicted" } else { "not as predicted" }}
            </span>
            <span class="grow">
                {(!hit).then(|| view! { <span class="muted">"You said: " {said} " "</span> })}
                "What happened: "
                {happened}
            </span>
        </p>
    }
}

#[component]
fn PanelOnView(bench: Bench, rest: Option<Rest>) -> impl IntoView {
    move || {
        let tab = bench.tab.get();
        let body = rest
            .and_then(|r| (r.panel)(tab))
            .unwrap_or_else(|| view! { <StagePanel bench /> }.into_any());
        view! {
            <div
                class="panel"
                class:panel-stage=tab == Tab::STAGE
                role="tabpanel"
                id=format!("panel-{tab}")
                aria-labelledby=format!("tab-{tab}")
                data-testid=format!("panel-{tab}")
            >
                {body}
            </div>
        }
    }
}

#[component]
fn StagePanel(bench: Bench) -> impl IntoView {
    // The drawing changes size with its frame; a still run must be drawn again.
    bench.wake();
    let redraw = Effect::new(move |_| {
        bench.zoom.track();
        bench.publish();
        bench.wake();
    });
    on_cleanup(move || redraw.stop());
    view! {
        <Stage
            view=bench.view
            frame=bench.frame
            selected=bench.selected
            on_menu=Callback::new(move |request| bench.menu.set(Some(request)))
            zoom=bench.zoom
        />
        <StageWords bench />
    }
}

/// The stage as text. Written only while it is open: a thousand messages are a long list.
#[component]
fn StageWords(bench: Bench) -> impl IntoView {
    let open = RwSignal::new(false);
    let toggled = move |ev: leptos::ev::Event| {
        open.set(event_target::<web_sys::HtmlElement>(&ev).has_attribute("open"));
    };
    view! {
        <details class="stage-words" data-testid="stage-words" on:toggle=toggled>
            <summary>"The stage in words"</summary>
            <Show when=move || open.get()>
                <div class="stage-mirror-shown">
                    <StageMirror view=bench.view />
                    <h3>"Messages under way"</h3>
                    <TokensList
                        view=bench.view
                        selected=bench.selected
                        on_menu=Callback::new(move |request| bench.menu.set(Some(request)))
                    />
                </div>
            </Show>
        </details>
    }
}
