//! The stage as it stands in the page: its elements, its canvas, what is picked on it and how
//! close it looks. Whoever owns the run hands it views and frames; it tells by [`Hooks`] what the
//! learner wants. It belongs to no framework: the home page shows it before the application is
//! loaded, and the application wraps it in a component (see [`super::Stage`]).

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use gloo_timers::callback::Timeout;
use sim_core::view::StageView;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, HtmlSelectElement};

use super::paint::{PROBES, Painter, Theme};
use super::parts::{self, Picks, Tip};
use super::plan::route::Routes;
use super::plan::{Outline, Plan, Width};
use super::scene::{Scene, Wake};
use super::{Frame, MenuRequest, Selection, Zoom, input, now_ms, observe};
use crate::lengths::px;
use crate::listen::{Listener, marked};
use crate::tree::{Grown, Kid, el, plant};

/// Least time between two texts about the canvas, ms: they are read aloud.
const SAY_EVERY_MS: f64 = 1_000.0;
/// A frame so new, ms, needs no drawing between the frames.
const FRESH_MS: f64 = 60.0;

/// What the learner wants of the stage.
pub(crate) struct Hooks {
    /// To pick something, or to let go of it.
    pub(crate) select: Box<dyn Fn(Option<Selection>)>,
    /// To open the menu of faults.
    pub(crate) menu: Box<dyn Fn(MenuRequest)>,
    /// To look closer, or from further away.
    pub(crate) zoom: Box<dyn Fn(Zoom)>,
}

/// A plan with what it was made from and its paths.
struct Layout {
    outline: Arc<Outline>,
    plan: Plan,
    routes: Arc<Routes>,
}

impl Layout {
    /// Before the first measurement a stage is laid out for a phone and hidden by its lack of
    /// width.
    fn new(outline: Arc<Outline>, zoom: &Zoom, (width, height): (f64, f64)) -> Layout {
        let mode = outline.mode(zoom);
        let plan = Plan::new(&outline, mode, width.max(280.0), height);
        let routes = Arc::new(Routes::new(&plan));
        Layout {
            outline,
            plan,
            routes,
        }
    }
}

/// A stage in the page. It goes with its last handle.
#[derive(Clone)]
pub(crate) struct Picture(Rc<Inner>);

pub(super) struct Inner {
    section: Element,
    pub(super) plane: HtmlElement,
    canvas: Element,
    pub(super) hooks: Hooks,
    number: u32,
    pub(super) state: RefCell<State>,
    watches: RefCell<Vec<observe::Watch>>,
    listeners: RefCell<Vec<Listener>>,
}

pub(super) struct State {
    pub(super) view: Arc<StageView>,
    size: (f64, f64),
    zoom: Zoom,
    pub(super) selected: Option<Selection>,
    layout: Layout,
    wake: Wake,
    pub(super) scene: Scene,
    pub(super) painter: Option<Painter>,
    pub(super) tip: Option<Tip>,
    grown: Parts,
    framed_at: f64,
    said_at: f64,
    saying: Option<Timeout>,
}

/// The parts of the page that the stage keeps.
struct Parts {
    bar: Grown,
    plane: Grown,
    tip: Grown,
    legend: Grown,
}

/// Numbers stages, since two may stand on one page and ids must differ.
fn stage_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Picture {
    /// Puts a stage into `section`, which stands in the page and is empty.
    pub(crate) fn mount(section: &Element, hooks: Hooks, zoom: Zoom) -> Option<Picture> {
        let number = stage_number();
        let hint = format!("stage-hint-{number}");
        let probe = |name| el("i").class(format!("stage-probe-{name}"));
        let plane = el("div")
            .class("stage-plane")
            .is("role", "group")
            .label("Stage")
            .is("aria-describedby", hint.clone());
        let plane: HtmlElement = plant(plane)?.dyn_into().ok()?;
        let canvas = plant(el("canvas").class("stage-tokens-canvas").is("role", "img"))?;
        let probes = plant(
            el("span")
                .class("stage-probes")
                .mute()
                .all(PROBES.map(probe)),
        )?;
        let hint = plant(el("p").is("id", hint).class("stage-hint").with(
            "Arrow keys go from thing to thing, Enter selects, Shift and F10 open the faults.",
        ))?;
        for (parent, child) in [
            (plane.as_ref(), &canvas),
            (plane.as_ref(), &probes),
            (section, plane.as_ref()),
            (section, &hint),
        ] {
            // Fresh elements go anywhere.
            let _ = parent.append_child(child);
        }
        let painter = canvas
            .clone()
            .dyn_into()
            .ok()
            .zip(Theme::read(&plane))
            .and_then(|(canvas, theme)| Painter::new(canvas, theme));
        let layout = Layout::new(Arc::default(), &zoom, (0.0, 0.0));
        let state = State {
            view: Arc::default(),
            size: (0.0, 0.0),
            zoom,
            selected: None,
            layout,
            wake: Wake::default(),
            scene: Scene::default(),
            painter,
            tip: None,
            grown: Parts {
                bar: Grown::before(section, &plane),
                plane: Grown::before(&plane, &canvas),
                tip: Grown::before(&plane, &probes),
                legend: Grown::before(section, &hint),
            },
            framed_at: f64::NEG_INFINITY,
            said_at: f64::NEG_INFINITY,
            saying: None,
        };
        let picture = Picture(Rc::new(Inner {
            section: section.clone(),
            plane,
            canvas,
            hooks,
            number,
            state: RefCell::new(state),
            watches: RefCell::default(),
            listeners: RefCell::default(),
        }));
        picture.watch();
        Some(picture)
    }

    /// Follows the room, the theme and the learner.
    fn watch(&self) {
        let weak = Rc::downgrade(&self.0);
        let inner = &self.0;
        let (on_size, on_theme) = (weak.clone(), weak.clone());
        let size = observe::on_resize(&inner.plane, move |w, h| {
            if let Some(picture) = Picture::of(&on_size) {
                picture.resize((w.floor(), h.round()));
            }
        });
        let theme = observe::on_theme(move || {
            if let Some(picture) = Picture::of(&on_theme) {
                picture.recolour();
            }
        });
        inner
            .watches
            .borrow_mut()
            .extend(size.into_iter().chain(theme));
        let mut listeners = input::listen(inner, &weak);
        let (on_click, on_change) = (weak.clone(), weak);
        listeners.push(Listener::on::<web_sys::MouseEvent>(
            &inner.section,
            "click",
            move |event| {
                let zoom = marked(event, "data-zoom").and_then(|(_, key)| Zoom::parse(&key));
                if let (Some(picture), Some(zoom)) = (Picture::of(&on_click), zoom) {
                    (picture.0.hooks.zoom)(zoom);
                }
            },
        ));
        listeners.push(Listener::on::<web_sys::Event>(
            &inner.section,
            "change",
            move |event| {
                let list = event.target().and_then(|t| t.dyn_into().ok());
                let lane = list.map(|list: HtmlSelectElement| list.value());
                if let (Some(picture), Some(lane)) = (Picture::of(&on_change), lane) {
                    let zoom = (!lane.is_empty()).then_some(Zoom::Lane(lane));
                    (picture.0.hooks.zoom)(zoom.unwrap_or_default());
                }
            },
        ));
        inner.listeners.borrow_mut().extend(listeners);
    }

    pub(super) fn of(weak: &Weak<Inner>) -> Option<Picture> {
        weak.upgrade().map(Picture)
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Shows a newly published view.
    pub(crate) fn show(&self, view: Arc<StageView>) {
        let mut state = self.0.state.borrow_mut();
        state.wake = state.wake.next(&view);
        let outline = Outline::new(&view);
        let moved = *state.layout.outline != outline;
        state.view = view;
        if moved {
            state.layout = Layout::new(Arc::new(outline), &state.zoom, state.size);
        }
        self.redraw(&mut state, moved);
        if moved || now_ms() - state.framed_at > FRESH_MS {
            state.repaint();
        }
        drop(state);
        self.say();
    }

    /// Draws what moves, as of a frame.
    pub(crate) fn draw(&self, frame: &Frame<'_>) {
        let mut state = self.0.state.borrow_mut();
        state.framed_at = now_ms();
        if let Some(painter) = &mut state.painter {
            painter.draw(frame.now_ns, frame.tokens);
        }
    }

    /// Marks what is picked.
    pub(crate) fn select(&self, selection: Option<Selection>) {
        let mut state = self.0.state.borrow_mut();
        if state.selected == selection {
            return;
        }
        let token = match &selection {
            Some(Selection::Message(id)) => Some(*id),
            _ => None,
        };
        state.selected = selection;
        if let Some(painter) = &mut state.painter {
            painter.select(token);
        }
        self.redraw(&mut state, false);
        state.repaint();
    }

    /// Looks as close as that.
    pub(crate) fn set_zoom(&self, zoom: Zoom) {
        let mut state = self.0.state.borrow_mut();
        if state.zoom != zoom {
            state.zoom = zoom;
            self.lay_out(&mut state);
        }
    }

    fn resize(&self, size: (f64, f64)) {
        let mut state = self.0.state.borrow_mut();
        if state.size != size {
            state.size = size;
            self.lay_out(&mut state);
        }
    }

    fn recolour(&self) {
        let mut state = self.0.state.borrow_mut();
        if let (Some(painter), Some(theme)) = (&mut state.painter, Theme::read(&self.0.plane)) {
            painter.set_theme(theme);
        }
        // The density of pixels may have changed as well.
        state.fit_painter();
        state.repaint();
    }

    fn lay_out(&self, state: &mut State) {
        state.layout = Layout::new(state.layout.outline.clone(), &state.zoom, state.size);
        self.redraw(state, true);
        state.repaint();
    }

    /// Brings the elements up to date; `moved` if the plan is another one.
    fn redraw(&self, state: &mut State, moved: bool) {
        let Layout {
            outline,
            plan,
            routes,
        } = &state.layout;
        state.scene = Scene::new(&state.view, &state.wake, outline, plan, routes);
        let picks = Picks(state.selected.as_ref());
        let (scene, grown) = (&state.scene, &mut state.grown);
        grown
            .plane
            .become_all(parts::plane(plan, scene, &picks, self.0.number));
        let bar = parts::zoom_bar(outline, plan, scene, &state.zoom);
        grown
            .bar
            .become_all(bar.into_iter().map(Kid::from).collect());
        if moved {
            grown.legend.become_all(vec![parts::legend(plan).into()]);
            self.fit(plan);
            state.fit_painter();
            input::ensure_tab_stop(&self.0.plane);
        }
    }

    /// Gives the elements the size of the plan.
    fn fit(&self, plan: &Plan) {
        let width = match plan.size {
            Width::Phone => "phone",
            Width::Mid => "mid",
            Width::Wide => "wide",
        };
        let class = match plan.rows.is_empty() {
            true => "stage-plane",
            false => "stage-plane matrix",
        };
        let height = px(plan.height);
        // These names and values are well formed.
        let _ = self.0.section.set_attribute("data-width", width);
        self.0.plane.set_class_name(class);
        let _ = self.0.plane.style().set_property("height", &height);
    }

    /// Says what the canvas shows, now or when it is time.
    fn say(&self) {
        let mut state = self.0.state.borrow_mut();
        let wait = state.said_at + SAY_EVERY_MS - now_ms();
        if wait <= 0.0 {
            state.said_at = now_ms();
            let words = parts::under_way(&state.view);
            let _ = self.0.canvas.set_attribute("aria-label", &words);
        } else if state.saying.is_none() {
            let weak = Rc::downgrade(&self.0);
            state.saying = Some(Timeout::new(wait as u32 + 1, move || {
                if let Some(picture) = Picture::of(&weak) {
                    picture.0.state.borrow_mut().saying = None;
                    picture.say();
                }
            }));
        }
    }

    /// Shows words beside a token, or takes them away.
    pub(super) fn set_tip(&self, tip: Option<Tip>) {
        let mut state = self.0.state.borrow_mut();
        if state.tip != tip {
            let shown = tip.as_ref().map(|t| parts::tip(t, &state.layout.plan));
            state
                .grown
                .tip
                .become_all(shown.into_iter().map(Kid::from).collect());
            state.tip = tip;
        }
    }
}

impl State {
    /// Takes the plan's paths and size over to the canvas.
    fn fit_painter(&mut self) {
        let plan = &self.layout.plan;
        let scale = match (plan.is_matrix(), plan.size) {
            (true, Width::Phone) => 0.62,
            (true, _) => 0.8,
            (false, Width::Phone) => 0.85,
            (false, _) => 1.0,
        };
        if let Some(painter) = &mut self.painter {
            let size = (plan.width, plan.height);
            painter.set_plan(self.layout.routes.clone(), size, scale);
        }
    }

    /// Frames come while time runs; what changes between them (size, theme, selection) is drawn
    /// from the published view.
    fn repaint(&mut self) {
        let view = self.view.clone();
        if let Some(painter) = &mut self.painter {
            painter.draw(view.now as f64, &view.tokens);
        }
    }
}
