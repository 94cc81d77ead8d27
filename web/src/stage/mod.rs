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
mod plan;
mod scene;
mod shapes;
mod stops;

pub use choice::{Zoom, query};
pub use parts::{StageMirror, TokensList};
pub(crate) use scene::words::shape as kind_words;
pub(crate) use shapes::ALL as KINDS;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use leptos::html;
use leptos::prelude::*;
use sim_core::view::{LinkView, StageView, Token};

use paint::{Painter, Theme};
use parts::{Layout, Legend, PainterCell, Plane, Shared, ZoomBar};
use plan::route::Routes;
use plan::{Outline, Plan};
use scene::{Scene, Wake};

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
    let size = RwSignal::new((0.0, 0.0));
    let outline = Memo::new(move |_| Arc::new(view.with(|v| Outline::new(v))));
    let layout = Memo::new(move |_| Arc::new(lay_out(outline.get(), zoom.get(), size.get())));
    let wake = Memo::new(move |last: Option<&Arc<Wake>>| {
        Arc::new(view.with(|v| last.map_or_else(|| Wake::default().next(v), |w| w.next(v))))
    });
    let scene = Memo::new(move |_| {
        layout.with(|l| {
            wake.with(|w| Arc::new(view.with(|v| Scene::new(v, w, &l.outline, &l.plan, &l.routes))))
        })
    });
    let picked_link = Memo::new(move |_| match selected.get() {
        Some(Selection::Link(a, b)) => Some((a, b)),
        _ => None,
    });
    let painter = StoredValue::new_local(PainterCell::default());
    let tip = RwSignal::new(None);
    let shared = Shared {
        view,
        layout,
        scene,
        selected,
        picked_link,
        zoom,
        on_menu,
        painter,
        tip,
    };
    let number = stage_number();
    let (plane, canvas) = (NodeRef::<html::Div>::new(), NodeRef::<html::Canvas>::new());
    mount(shared, plane, canvas, size, frame);
    let width = move || match layout.with(|l| l.plan.size) {
        plan::Width::Phone => "phone",
        plan::Width::Mid => "mid",
        plan::Width::Wide => "wide",
    };
    view! {
        <section class="stage" data-testid="stage" data-width=width>
            <ZoomBar shared=shared />
            <Plane shared=shared plane=plane canvas=canvas number=number />
            <Legend shared=shared />
            <p id=format!("stage-hint-{number}") class="stage-hint">
                "Arrow keys go from thing to thing, Enter selects, Shift and F10 open the faults."
            </p>
        </section>
    }
}

/// Numbers stages, since two may stand on one page and ids must differ.
fn stage_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Before the first measurement a stage is laid out for a phone and hidden by its lack of width.
fn lay_out(outline: Arc<Outline>, zoom: Zoom, (width, height): (f64, f64)) -> Layout {
    let mode = outline.mode(&zoom);
    let plan = Plan::new(&outline, mode, width.max(280.0), height);
    let routes = Arc::new(Routes::new(&plan));
    Layout {
        outline,
        plan,
        routes,
    }
}

/// Ties canvas, observers and frames to the mounted elements.
fn mount(
    shared: Shared,
    plane: NodeRef<html::Div>,
    canvas: NodeRef<html::Canvas>,
    size: RwSignal<(f64, f64)>,
    frame: FrameSlot,
) {
    let cell = shared.painter.get_value();
    // Frames come while time runs; what changes between them (size, theme, selection) is drawn
    // from the published view.
    let repaint = {
        let cell = cell.clone();
        move || {
            let Some(view) = shared.view.try_get_untracked() else {
                return;
            };
            if let Some(painter) = cell.borrow_mut().as_mut() {
                painter.draw(view.now as f64, &view.tokens);
            }
        }
    };
    Effect::new({
        let (cell, repaint) = (cell.clone(), repaint.clone());
        move || {
            let (Some(plane), Some(canvas)) = (plane.get(), canvas.get()) else {
                return;
            };
            let Some(theme) = Theme::read(&plane) else {
                return;
            };
            *cell.borrow_mut() = Painter::new(canvas, theme);
            observe::on_resize(&plane, move |w, h| {
                let new = (w.floor(), h.round());
                if size.try_get_untracked().is_some_and(|old| old != new) {
                    size.set(new);
                }
            });
            let (cell, repaint) = (cell.clone(), repaint.clone());
            observe::on_theme(move || {
                if let (Some(painter), Some(theme)) =
                    (cell.borrow_mut().as_mut(), Theme::read(&plane))
                {
                    painter.set_theme(theme);
                }
                repaint();
            });
        }
    });
    Effect::new({
        let (cell, repaint) = (cell.clone(), repaint.clone());
        move || {
            let layout = shared.layout.get();
            canvas.track();
            if let Some(painter) = cell.borrow_mut().as_mut() {
                let plan = &layout.plan;
                let scale = match (plan.is_matrix(), plan.size) {
                    (true, plan::Width::Phone) => 0.62,
                    (true, _) => 0.8,
                    (false, plan::Width::Phone) => 0.85,
                    (false, _) => 1.0,
                };
                painter.set_plan(layout.routes.clone(), (plan.width, plan.height), scale);
            }
            repaint();
            if let Some(plane) = plane.get() {
                input::ensure_tab_stop(&plane);
            }
        }
    });
    let framed_at = StoredValue::new(0.0);
    follow(shared, &cell, framed_at, repaint);
    let drawer: DrawFrame = {
        let cell = cell.clone();
        Box::new(move |frame: &Frame<'_>| {
            let _ = framed_at.try_set_value(now_ms());
            if let Some(painter) = cell.borrow_mut().as_mut() {
                painter.draw(frame.now_ns, frame.tokens);
            }
        })
    };
    frame.set_value(Some(drawer));
    on_cleanup(move || {
        let _ = frame.try_set_value(None);
    });
}

fn now_ms() -> f64 {
    web_sys::window()
        .and_then(|w| w.performance())
        .map_or(0.0, |p| p.now())
}

/// Draws anew when a view is published between frames, or another token is picked.
fn follow(
    shared: Shared,
    cell: &PainterCell,
    framed_at: StoredValue<f64>,
    repaint: impl Fn() + Clone + 'static,
) {
    Effect::new({
        let repaint = repaint.clone();
        move || {
            shared.view.track();
            if now_ms() - framed_at.get_value() > 60.0 {
                repaint();
            }
        }
    });
    let cell = cell.clone();
    Effect::new(move || {
        let token = match shared.selected.get() {
            Some(Selection::Message(id)) => Some(id),
            _ => None,
        };
        if let Some(painter) = cell.borrow_mut().as_mut() {
            painter.select(token);
        }
        repaint();
    });
}
