//! The stage: the picture of the cluster, and the contract between it and the workbench.
//!
//! The workbench owns the run and tells the stage what to show in two rhythms. `view` changes at
//! most ten times a second and drives everything that is DOM or SVG (cards, replica strips, the
//! strandline). [`Frame`] comes once per animation frame and drives what moves (tokens on the
//! canvas): the stage puts a closure into the [`FrameSlot`] when it mounts and takes it out when
//! it is removed. The stage owns no simulation state and decides nothing about the run.

mod choice;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod plan;
pub mod scene;

pub use choice::{Zoom, query};

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{LinkView, StageView, Token};

/// What a learner has picked, on the stage or elsewhere; the inspector shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Selection {
    /// A node, by its number.
    Node(u32),
    /// One lane on one node, e.g. the copy of `orders-0` on broker 2.
    Lane {
        /// The node that holds it.
        node: u32,
        /// The lane's id.
        lane: String,
    },
    /// The link between two nodes, in this direction.
    Link(u32, u32),
    /// A message under way, by the event that will deliver it.
    Message(u64),
    /// A record, by its identity in the ledger.
    Record(u64),
}

/// What a fault can be aimed at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum MenuTarget {
    /// A node and its disk and clock.
    Node(u32),
    /// The link between two nodes, in this direction.
    Link(u32, u32),
    /// A message under way, by the event that will deliver it.
    Message(u64),
}

/// A wish to open the menu of faults, with the place to open it at (CSS pixels in the viewport).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MenuRequest {
    /// What the faults are for.
    pub target: MenuTarget,
    /// Left edge of the menu.
    pub x: f64,
    /// Top edge of the menu.
    pub y: f64,
}

/// What one animation frame shows.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Simulated time of this frame, ns. Between two events it still moves smoothly.
    pub now_ns: f64,
    /// Messages under way at that time, by id.
    pub tokens: &'a [Token],
    /// How many tokens were left out.
    pub tokens_hidden: u32,
    /// Links with faults.
    pub links: &'a [LinkView],
}

/// The drawing of one frame.
pub type DrawFrame = Box<dyn FnMut(&Frame<'_>)>;

/// Where a mounted stage leaves its [`DrawFrame`]; empty while no stage is mounted.
pub type FrameSlot = StoredValue<Option<DrawFrame>, LocalStorage>;

/// The stage. See the module's text for who calls what.
#[component]
pub fn Stage(
    /// The world as of the last publication (at most ten a second).
    #[prop(into)]
    view: Signal<Arc<StageView>>,
    /// Where to leave the closure that draws each frame.
    frame: FrameSlot,
    /// What is picked; the stage reads and writes it.
    selected: RwSignal<Option<Selection>>,
    /// Opens the menu of faults (context menu, or the menu button on a node).
    on_menu: Callback<MenuRequest>,
    /// How close to look; the stage reads and writes it. Pass one in to ask the engine for no more
    /// than is on screen (see [`query`]).
    #[prop(optional)]
    zoom: Option<RwSignal<Zoom>>,
) -> impl IntoView {
    let _ = (frame, on_menu, zoom);
    let pick = move |id: u32| selected.set(Some(Selection::Node(id)));
    view! {
        <ul class="stage-list" data-testid="stage">
            <For
                each=move || {
                    view.get().nodes.iter().map(|n| (n.id, n.title.clone())).collect::<Vec<_>>()
                }
                key=|node| node.clone()
                children=move |(id, title)| {
                    view! {
                        <li>
                            <button type="button" on:click=move |_| pick(id)>
                                {title}
                            </button>
                        </li>
                    }
                }
            />
        </ul>
    }
}

/// The table that says what the stage shows (nodes, role, health, leader epoch, ISR, log end, high
/// watermark) for those who do not see it. Refreshed at most once a second; visually hidden unless
/// it stands in an element with the class `stage-mirror-shown`.
#[component]
pub fn StageMirror(
    /// The world as of the last publication.
    #[prop(into)]
    view: Signal<Arc<StageView>>,
) -> impl IntoView {
    view! { <div class="stage-mirror">{move || view.with(|v| v.control.clone())}</div> }
}

/// The messages under way as a list of buttons, by arrival. Refreshed at most twice a second.
#[component]
pub fn TokensList(
    /// The world as of the last publication.
    #[prop(into)]
    view: Signal<Arc<StageView>>,
    /// What is picked; shared with the stage.
    selected: RwSignal<Option<Selection>>,
    /// Opens the menu of faults for a message.
    on_menu: Callback<MenuRequest>,
) -> impl IntoView {
    let _ = (selected, on_menu);
    view! { <p class="stage-tokens">{move || view.with(|v| v.tokens.len())}</p> }
}
