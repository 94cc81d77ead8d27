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
mod input;
mod observe;
mod paint;
mod parts;
mod picture;
mod plan;
mod scene;
mod shapes;
mod stops;

pub use choice::{Zoom, query};
pub(crate) use observe::{Watch, on_resize};
pub use parts::{StageMirror, TokensList};
pub(crate) use picture::{Hooks, Picture};
pub(crate) use plan::geom::Rect;
pub(crate) use scene::words::{key_name, shape as kind_words};
pub(crate) use shapes::ALL as KINDS;

use std::sync::Arc;

use leptos::html;
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

/// The stage. See the module's text for who calls what. An element around it with the attribute
/// `data-stage-frame` bounds its height: cards grow to fill it.
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
    let zoom = zoom.unwrap_or_else(|| RwSignal::new(Zoom::All));
    let section = NodeRef::<html::Section>::new();
    let picture = StoredValue::new_local(None::<Picture>);
    Effect::new(move || {
        let Some(section) = section.get() else { return };
        let hooks = Hooks {
            // The page may be gone by then.
            select: Box::new(move |picked| drop(selected.try_set(picked))),
            menu: Box::new(move |request| on_menu.run(request)),
            zoom: Box::new(move |closer| drop(zoom.try_set(closer))),
        };
        let made = Picture::mount(&section, hooks, zoom.get_untracked());
        if let Some(made) = made.clone() {
            frame.set_value(Some(Box::new(move |frame| made.draw(frame))));
        }
        picture.set_value(made);
    });
    let tell = move |tell: &dyn Fn(&Picture)| {
        section.track();
        if let Some(picture) = picture.get_value() {
            tell(&picture);
        }
    };
    Effect::new(move || tell(&|picture| picture.set_zoom(zoom.get())));
    Effect::new(move || tell(&|picture| picture.select(selected.get())));
    Effect::new(move || tell(&|picture| picture.show(view.get())));
    on_cleanup(move || {
        let _ = frame.try_set_value(None);
        let _ = picture.try_set_value(None);
    });
    view! { <section class="stage" data-testid="stage" node_ref=section></section> }
}

fn now_ms() -> f64 {
    web_sys::window()
        .and_then(|w| w.performance())
        .map_or(0.0, |p| p.now())
}
