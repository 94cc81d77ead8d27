//! The workbench as a whole: bar with tabs, the panel on view, the inspector docked beside it,
//! faults, ledger and transport. On a phone the same parts stand in one column and the transport
//! is fixed at the foot.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::compare::ComparePanel;
use super::events::EventsPanel;
use super::fault_menu::FaultMenu;
use super::faults::Palette;
use super::inspector::Inspector;
use super::keys::{KeysDialog, listen};
use super::ledger::{LedgerPanel, LedgerStrip};
use super::metrics::MetricsPanel;
use super::script::ScriptPanel;
use super::share::ShareDialog;
use super::spacetime::SpaceTimePanel;
use super::transport::Transport;
use super::{Bench, Prediction, Tab, announce, debug, use_bench, work};
use crate::stage::{Stage, StageMirror, TokensList};
use crate::ui::icon;
use crate::ui::tabs::{TabSpec, Tabs};

/// How much of the workbench a page shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Everything.
    Full,
    /// Stage, ledger and transport: the home page.
    Glance,
}

/// The workbench of the page. Needs a [`Bench`] in context.
#[component]
pub(crate) fn Workbench(
    /// How much of it.
    #[prop(default = Extent::Full)]
    extent: Extent,
    /// Its place among the flex items of a narrow page.
    #[prop(optional, into)]
    order: Option<Signal<i32>>,
) -> impl IntoView {
    let bench = use_bench();
    debug::expose(bench);
    work::keep_while_open(bench);
    if extent == Extent::Full {
        listen(bench);
    }
    let full = extent == Extent::Full;
    let root = NodeRef::<leptos::html::Section>::new();
    if !full {
        rest_out_of_sight(bench, root);
    }
    view! {
        <section
            node_ref=root
            class="workbench"
            class:is-glance=!full
            style:order=move || order.map(|o| o.get().to_string()).unwrap_or_default()
            aria-label="Simulation"
            data-testid="workbench"
        >
            {full.then(|| view! { <BenchBar bench /> })}
            <Problems bench />
            <div class="bench-body">
                <div class="bench-main">
                    <CaptionLine bench />
                    <PanelOnView bench />
                </div>
                {full.then(|| view! { <Inspector /> })}
            </div>
            {full.then(|| view! { <Palette /> })}
            <LedgerStrip />
            <Transport full />
            {full.then(|| view! { <FaultMenu /> })}
            <announce::Announcer />
            {full.then(|| view! { <ShareDialog /> <KeysDialog open=bench.keys_open /> })}
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

#[component]
fn BenchBar(bench: Bench) -> impl IntoView {
    let tabs = move || -> Vec<TabSpec> {
        let mut tabs = vec![
            (Tab::STAGE, "Stage"),
            (Tab::SPACETIME, "Space-time"),
            (Tab::EVENTS, "Events"),
            (Tab::LEDGER, "Ledger"),
            (Tab::METRICS, "Metrics"),
            (Tab::SCRIPT, "Script"),
        ];
        if bench.compared.get().is_some() {
            tabs.push((Tab::COMPARE, "Compare"));
        }
        tabs
    };
    view! {
        <div class="bench-bar">
            <Tabs tabs=Signal::derive(tabs) chosen=bench.tab label="Views of the run" />
            <div class="bench-tools">
                <span class="chip mono" data-testid="seed" title="The seed of this run">
                    {move || format!("seed {}", bench.hud.with(|h| h.seed))}
                </span>
                <button
                    type="button"
                    class="button"
                    data-testid="share"
                    on:click=move |_| bench.share_open.set(true)
                >
                    {icon("share")}
                    "Share this run"
                </button>
                <button
                    type="button"
                    class="icon-button"
                    aria-label="Keyboard shortcuts"
                    title="Keyboard shortcuts (?)"
                    on:click=move |_| bench.keys_open.set(true)
                >
                    {icon("help")}
                </button>
            </div>
        </div>
    }
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
fn PanelOnView(bench: Bench) -> impl IntoView {
    move || {
        let tab = bench.tab.get();
        let body = match tab {
            Tab::SPACETIME => view! { <SpaceTimePanel /> }.into_any(),
            Tab::EVENTS => view! { <EventsPanel /> }.into_any(),
            Tab::LEDGER => view! { <LedgerPanel /> }.into_any(),
            Tab::METRICS => view! { <MetricsPanel /> }.into_any(),
            Tab::SCRIPT => view! { <ScriptPanel /> }.into_any(),
            Tab::COMPARE => view! { <ComparePanel /> }.into_any(),
            _ => view! { <StagePanel bench /> }.into_any(),
        };
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
        <details class="stage-words">
            <summary>"The stage in words"</summary>
            <div class="stage-mirror-shown">
                <StageMirror view=bench.view />
                <h3>"Messages under way"</h3>
                <TokensList
                    view=bench.view
                    selected=bench.selected
                    on_menu=Callback::new(move |request| bench.menu.set(Some(request)))
                />
            </div>
        </details>
    }
}
