//! The job of a stream processor on the stage: its graph with subtasks and channels, checkpoints,
//! the stores outside, and the plot of event time against processing time.
//!
//! It says no more than the engine's [`JobView`] and [`EventTimePlot`], and decides nothing.

mod beside;
mod draw;
mod files;
mod plan;
mod plot;
mod side;
mod strip;
mod tables;
mod topics;
mod words;

use leptos::prelude::*;
use sim_core::view::{EventTimePlot, JobView};

use super::Bench;
use super::groups::{OnStage, walk};
use crate::listen::marked;
use crate::stage::{Selection, Watch, on_resize};
use crate::ui::keep;
use plan::{EDGES, Plan};

pub(super) use beside::{Beside, values};
pub(super) use files::StateFiles;
pub(super) use strip::counters;
pub(crate) use tables::JobTables;

/// What is shown of a job, or nothing.
fn with<T: Default>(bench: Bench, read: impl FnOnce(&JobView) -> T) -> T {
    bench
        .job
        .with(|job| job.as_ref().as_ref().map(read).unwrap_or_default())
}

/// A part of the job's stage, where not all stand side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Face {
    /// Subtasks and channels.
    #[default]
    Graph,
    /// Event time against processing time.
    Time,
    /// What lies in the stores.
    Stores,
}

/// Which part of the job's stage is in sight.
#[derive(Clone, Copy)]
pub(super) struct Faces {
    face: RwSignal<Face>,
    /// There is no room for all of them side by side.
    apart: RwSignal<bool>,
    /// An operator judges records by time.
    timed: RwSignal<bool>,
}

impl Faces {
    /// The graph first.
    pub(super) fn new() -> Self {
        Faces {
            face: RwSignal::new(Face::Graph),
            apart: RwSignal::new(false),
            timed: RwSignal::new(false),
        }
    }

    /// Whether a part is out of sight.
    fn hides(self, part: Face) -> bool {
        let shown = match (self.face.get(), self.timed.get()) {
            (Face::Time, false) => Face::Graph,
            (shown, _) => shown,
        };
        self.apart.get() && shown != part
    }
}

/// The job's state, for the head of the stage, and the choice of what is shown of it where there is
/// no room for all.
#[component]
pub(super) fn JobHead(bench: Bench, faces: Faces) -> impl IntoView {
    let head = NodeRef::<leptos::html::Div>::new();
    keep(head, move || with(bench, draw::head));
    let stores = Memo::new(move |_| with(bench, |job| !job.stores.is_empty()));
    let choice = move |to: Face, test: &'static str, text: &'static str| {
        view! {
            <button
                type="button"
                data-testid=test
                aria-pressed=move || (!faces.hides(to)).to_string()
                on:click=move |_| faces.face.set(to)
            >
                {text}
            </button>
        }
    };
    view! {
        <div class="group-head" node_ref=head></div>
        <Show when=move || faces.apart.get() && (faces.timed.get() || stores.get())>
            <div class="segments jb-faces" role="group" aria-label="Of the job">
                {choice(Face::Graph, "face-graph", "Graph")}
                {move || faces.timed.get().then(|| choice(Face::Time, "face-time", "Time"))}
                {move || stores.get().then(|| choice(Face::Stores, "face-stores", "Stores"))}
            </div>
        </Show>
    }
}

/// The job on the stage.
#[component]
pub(super) fn JobStage(bench: Bench, faces: Faces) -> impl IntoView {
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
    // Plot and stores stand beside the graph where there is room; else one of them is in sight.
    let beside = Memo::new(move |_| {
        bench
            .job
            .with(|job| plan::side(job.as_ref().as_ref()?, width.get()))
    });
    let apart = Memo::new(move |_| width.get() > 0.0 && beside.get().is_none());
    Effect::new(move || faces.apart.set(apart.get()));
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
                <Graph bench faces body=width />
                <div class="jb-side" hidden=move || !faces.hides(Face::Graph) && apart.get()>
                    <Plot bench faces />
                    <div
                        class="jb-stores"
                        data-testid="job-stores"
                        hidden=move || faces.hides(Face::Stores)
                        node_ref=stores
                    ></div>
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

/// Subtasks, channels, topics; `body` is the width of what it shares with the plot.
#[component]
fn Graph(bench: Bench, faces: Faces, body: RwSignal<f64>) -> impl IntoView {
    let plane = NodeRef::<leptos::html::Div>::new();
    let frame = NodeRef::<leptos::html::Div>::new();
    let own = width_of(frame);
    // Out of sight it has no width of its own.
    let width = Memo::new(move |_| match own.get() {
        0.0 => body.get(),
        own => own,
    });
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
        if marked(event, "data-topic").is_some() {
            bench.on_stage.set(OnStage::Cluster);
            return;
        }
        let node = marked(event, "data-node").and_then(|(_, it)| it.parse().ok());
        if let Some(node) = node {
            let selection = Some(Selection::Node(node));
            let same = bench.selected.with_untracked(|it| *it == selection);
            bench.selected.set(selection.filter(|_| !same));
        }
    };
    view! {
        <div class="jb-frame" node_ref=frame hidden=move || faces.hides(Face::Graph)>
            <div
                class="jb-graph"
                role="group"
                aria-label="Topics, subtasks and channels. Arrow keys go from one to the next, Enter selects the TaskManager."
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
fn Plot(bench: Bench, faces: Faces) -> impl IntoView {
    let place = NodeRef::<leptos::html::Div>::new();
    let of = RwSignal::new(String::new());
    let shown = Memo::new(move |_| {
        bench.slow_tick.track();
        bench.edits.track();
        let plot: Option<EventTimePlot> = of.with(|of| bench.ask(|s| s.event_times(of)).flatten());
        plot.unwrap_or_default()
    });
    let timed = Memo::new(move |_| shown.with(|it| !it.operator.is_empty()));
    Effect::new(move || faces.timed.set(timed.get()));
    let width = width_of(place);
    keep(place, move || {
        let width = width.get();
        with(bench, |job| shown.with(|it| plot::plot(it, job, width)))
    });
    let table = move || shown.with(words::plot_rows);
    view! {
        <div class="jb-timed" hidden=move || faces.hides(Face::Time)>
            <JudgeChoice shown of />
            <div class="jb-plot" data-testid="job-plot" node_ref=place></div>
            <Show when=move || shown.with(|it| !it.records.is_empty())>
                <details class="jb-sentences">
                    <summary>"What became of each window and record, in words"</summary>
                    <ol class="jb-verdicts" data-testid="job-verdicts">
                        {move || {
                            table().into_iter().map(|it| view! { <li>{it}</li> }).collect_view()
                        }}
                    </ol>
                </details>
            </Show>
        </div>
    }
}

/// The choice of the operator that the plot is of, where there are several.
#[component]
fn JudgeChoice(shown: Memo<EventTimePlot>, of: RwSignal<String>) -> impl IntoView {
    let judges = Memo::new(move |_| shown.with(|it| it.judges.clone()));
    let chosen = Memo::new(move |_| shown.with(|it| it.operator.clone()));
    view! {
        <Show when=move || judges.with(|it| it.len() > 1)>
            <label class="jb-judge">
                <b>"Time at"</b>
                <select
                    data-testid="plot-operator"
                    prop:value=move || chosen.get()
                    on:change=move |ev| of.set(event_target_value(&ev))
                >
                    {move || {
                        let option = |(name, timed): (String, bool)| {
                            let says = match timed {
                                true => name.clone(),
                                false => format!("{name} (processing time)"),
                            };
                            let at = name.clone();
                            view! {
                                <option value=name selected=move || chosen.get() == at>
                                    {says}
                                </option>
                            }
                        };
                        judges.get().into_iter().map(option).collect_view()
                    }}
                </select>
            </label>
        </Show>
    }
}
