//! The workbench as a whole: bar with tabs, the panel on view, the inspector docked beside it,
//! faults, ledger and transport. On a phone the same parts stand in one column and the transport
//! is fixed at the foot.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::StageView;

use super::full::Rest;
use super::groups::{self, GroupHead, GroupStage, GroupTables, StageSwitch};
use super::job::{Faces, JobHead, JobStage, JobTables};
use super::ledger::LedgerStrip;
use super::marks::MarksLegend;
use super::transport::Transport;
use super::{Bench, Prediction, Tab, announce, debug, use_bench};
use crate::stage::{MenuRequest, Selection, Stage, StageMirror, TokensList};

/// The looks of what the home page does not show: they come with this half of the site.
const STYLE: &str = concat!(
    include_str!("../../../assets/css/groups.css"),
    include_str!("../../../assets/css/job.css"),
    include_str!("../../../assets/css/panels.css"),
    include_str!("../../../assets/css/storage.css"),
);

/// The workbench of the page. Needs a [`Bench`] in context.
#[component]
pub(crate) fn Workbench(
    /// What it has beyond stage, ledger and transport.
    rest: Rest,
    /// Its place among the flex items of a narrow page.
    order: Option<Signal<i32>>,
) -> impl IntoView {
    let bench = use_bench();
    debug::expose(&bench);
    on_cleanup(debug::conceal);
    (rest.start)(bench);
    view! {
        <section
            class="workbench"
            style:order=move || order.map(|o| o.get().to_string()).unwrap_or_default()
            aria-label="Simulation"
            data-testid="workbench"
        >
            <style>{STYLE}</style>
            {(rest.bar)(bench)}
            <Problems bench />
            <div class="bench-body">
                <div class="bench-main">
                    <CaptionLine bench />
                    <PanelOnView bench rest />
                </div>
                {(rest.inspector)()}
            </div>
            {(rest.palette)()}
            <LedgerStrip />
            <Transport rest />
            <announce::Announcer />
            {(rest.overlays)(bench)}
        </section>
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
fn PanelOnView(bench: Bench, rest: Rest) -> impl IntoView {
    move || {
        let tab = bench.tab.get();
        let body = (rest.panel)(tab).unwrap_or_else(|| view! { <StagePanel bench /> }.into_any());
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
    let names = groups::names(bench);
    let group = Memo::new(move |_| bench.on_stage.get().group(&names.get()));
    let job = Memo::new(move |_| bench.job.with(|job| job.is_some()));
    let on_job = Memo::new(move |_| {
        names.with(|names| job.get() && bench.on_stage.with(|on| on.job(names)))
    });
    let on_job = move || on_job.get();
    let faces = Faces::new();
    view! {
        <div class="stage-top">
            <StageSwitch bench names job />
            {move || on_job().then(|| view! { <JobHead bench faces /> })}
            {move || {
                group
                    .get()
                    .map(|name| view! { <GroupHead bench group=groups::group(bench, name) /> })
            }}
        </div>
        {move || match group.get() {
            Some(name) => view! { <GroupStage bench name /> }.into_any(),
            None if on_job() => view! { <JobStage bench faces /> }.into_any(),
            None => view! { <ClusterStage bench /> }.into_any(),
        }}
        <StageWords bench />
    }
}

#[component]
fn ClusterStage(bench: Bench) -> impl IntoView {
    bench.wake();
    view! {
        <Stage
            view=bench.view
            frame=bench.frame
            selected=bench.selected
            on_menu=Callback::new(move |request| bench.menu.set(Some(request)))
            zoom=bench.zoom
        />
        <MarksLegend bench />
    }
}

/// The stage as text. Written only while it is open: a thousand messages are a long list.
#[component]
fn StageWords(bench: Bench) -> impl IntoView {
    let open = RwSignal::new(false);
    let toggled = move |ev: leptos::ev::Event| {
        open.set(event_target::<web_sys::HtmlElement>(&ev).has_attribute("open"));
    };
    let on_menu = Callback::new(move |request| bench.menu.set(Some(request)));
    view! {
        <details class="stage-words" data-testid="stage-words" on:toggle=toggled>
            <summary>"The stage in words"</summary>
            <Show when=move || open.get()>
                <Words view=bench.view selected=bench.selected on_menu>
                    <GroupTables bench />
                    <JobTables bench />
                </Words>
            </Show>
        </details>
    }
}

/// What the stage shows, in tables and lists.
#[component]
pub(crate) fn Words(
    /// The world as of the last publication.
    #[prop(into)]
    view: Signal<Arc<StageView>>,
    /// What is picked.
    selected: RwSignal<Option<Selection>>,
    /// Opens the menu of faults.
    on_menu: Callback<MenuRequest>,
    /// Further tables.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="stage-mirror-shown">
            <StageMirror view />
            {children.map(|more| more())}
            <h3>"Messages under way"</h3>
            <TokensList view selected on_menu />
        </div>
    }
}
