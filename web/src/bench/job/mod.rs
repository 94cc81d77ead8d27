//! The job of a stream processor on the stage: its graph with subtasks and channels, checkpoints,
//! the stores outside, and the plot of event time against processing time.
//!
//! It says no more than the engine's [`JobView`] and [`EventTimePlot`], and decides nothing.

mod beside;
mod draw;
mod plan;
mod plot;
mod side;
mod strip;
mod tables;
mod words;

use leptos::prelude::*;
use sim_core::view::{EventTimePlot, JobView};

use super::Bench;
use super::groups::walk;
use crate::listen::marked;
use crate::stage::{Selection, Watch, on_resize};
use crate::ui::keep;
use plan::{EDGES, Plan};

pub(super) use beside::{Beside, values};
pub(super) use strip::counters;
pub(crate) use tables::JobTables;

/// What is shown of a job, or nothing.
fn with<T: Default>(bench: Bench, read: impl FnOnce(&JobView) -> T) -> T {
    bench
        .job
        .with(|job| job.as_ref().as_ref().map(read).unwrap_or_default())
}

/// The job's state, for the head of the stage.
#[component]
pub(super) fn JobHead(bench: Bench) -> impl IntoView {
    let head = NodeRef::<leptos::html::Div>::new();
    keep(head, move || with(bench, draw::head));
    view! { <div class="group-head" node_ref=head></div> }
}

/// The job on the stage.
#[component]
pub(super) fn JobStage(bench: Bench) -> impl IntoView {
    let (body, checkpoints, stores) = (
        NodeRef::<leptos::html::Div>::new(),
        NodeRef::<leptos::html::Div>::new(),
        NodeRef::<leptos::html::Div>::new(),
    );
    let width = width_of(body);
    let now = move || bench.view.with(|v| v.now);
    keep(checkpoints, move || {
        let now = now();
        with(bench, |job| side::checkpoints(job, now))
    });
    keep(stores, move || with(bench, side::stores));
    let told = Memo::new(move |_| with(bench, side::has_checkpoints));
    // Plot and stores stand beside the graph where there is room, else below it.
    let beside = Memo::new(move |_| {
        bench
            .job
            .with(|job| plan::side(job.as_ref().as_ref()?, width.get()))
    });
    let columns = move || beside.get().map(|it| format!("minmax(0,1fr) {it:.0}px"));
    view! {
        <section class="group-stage job-stage" aria-label="Job" data-testid="job-stage">
            <div
                class="jb-checkpoints"
                data-testid="job-checkpoints"
                hidden=move || !told.get()
                node_ref=checkpoints
            ></div>
            <div class="jb-body" node_ref=body style:grid-template-columns=columns>
                <Graph bench />
                <div class="jb-side">
                    <Plot bench />
                    <div class="jb-stores" data-testid="job-stores" node_ref=stores></div>
                </div>
            </div>
        </section>
    }
}

/// The width of an element, px; zero before it is known.
fn width_of(it: NodeRef<leptos::html::Div>) -> RwSignal<f64> {
    let width = RwSignal::new(0.0_f64);
    let watch = StoredValue::new_local(None::<Watch>);
    Effect::new(move || {
        let watched = it.get().and_then(|it| {
            on_resize(&it, move |w, _| {
                let _ = width.try_set(w);
            })
        });
        watch.set_value(watched);
    });
    width
}

#[component]
fn Graph(bench: Bench) -> impl IntoView {
    let plane = NodeRef::<leptos::html::Div>::new();
    let frame = NodeRef::<leptos::html::Div>::new();
    let width = width_of(frame);
    let stop = RwSignal::new(None::<String>);
    let laid = Memo::new(move |_| with(bench, |job| Plan::new(job, width.get() - EDGES)));
    keep(plane, move || {
        with(bench, |job| {
            let (stop, picked) = (stop.get(), bench.selected.get());
            let sight = draw::Sight {
                stop: stop.as_deref(),
                node: match picked {
                    Some(Selection::Node(node)) => Some(node),
                    _ => None,
                },
            };
            laid.with(|plan| draw::graph(job, plan, &sight))
        })
    });
    let pick = move |event: &web_sys::Event| {
        let node = marked(event, "data-node").and_then(|(_, it)| it.parse().ok());
        if let Some(node) = node {
            let selection = Some(Selection::Node(node));
            let same = bench.selected.with_untracked(|it| *it == selection);
            bench.selected.set(selection.filter(|_| !same));
        }
    };
    view! {
        <div class="jb-frame" node_ref=frame>
            <div
                class="jb-graph"
                role="group"
                aria-label="Subtasks and channels. Arrow keys go from one to the next, Enter selects the TaskManager."
                node_ref=plane
                style:height=move || laid.with(|it| format!("{:.0}px", it.height))
                style:width=move || laid.with(|it| format!("{:.0}px", it.width))
                on:focusin=move |ev| stop.set(marked(&ev, "data-own").map(|it| it.1))
                on:click=move |ev| pick(&ev)
                on:keydown=move |ev| {
                    if walk(&ev, ".jb-graph") {
                        ev.prevent_default();
                        ev.stop_propagation();
                    }
                }
            ></div>
        </div>
    }
}

#[component]
fn Plot(bench: Bench) -> impl IntoView {
    let place = NodeRef::<leptos::html::Div>::new();
    let shown = Memo::new(move |_| {
        bench.slow_tick.track();
        bench.edits.track();
        let plot: Option<EventTimePlot> = bench.ask(|s| s.event_times()).flatten();
        plot.unwrap_or_default()
    });
    let width = width_of(place);
    keep(place, move || {
        let width = width.get();
        with(bench, |job| shown.with(|it| plot::plot(it, job, width)))
    });
    let table = move || shown.with(words::plot_rows);
    view! {
        <div class="jb-plot" data-testid="job-plot" node_ref=place></div>
        <Show when=move || shown.with(|it| !it.records.is_empty())>
            <details class="jb-sentences">
                <summary>"What became of each record, in words"</summary>
                <ol class="jb-verdicts" data-testid="job-verdicts">
                    {move || table().into_iter().map(|it| view! { <li>{it}</li> }).collect_view()}
                </ol>
            </details>
        </Show>
    }
}
