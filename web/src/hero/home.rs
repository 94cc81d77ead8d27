//! The home page: a cluster that runs at once, and one thing to do to it. It holds the run and
//! draws itself ten times a second; an application around it is its guest, not its owner.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use gloo_timers::callback::Timeout;
use sim_core::view::{LedgerView, StageView};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    Element, Event, HtmlElement, IntersectionObserver, IntersectionObserverEntry, KeyboardEvent,
    MouseEvent, PointerEvent,
};

use super::deeds::{Act, SPEED};
use super::{draw, frame};
use crate::bench::timeline_art::{self, Drawing};
use crate::bench::{Aloud, Hud, Pilot, Telling, calm, conceal, expose, now_ms};
use crate::format::nearest_speed;
use crate::host::Host;
use crate::listen::Listener;
use crate::raf::{self, FrameId};
use crate::stage::{Frame, Hooks, Picture, Selection, Zoom, query};
use crate::tree::{Grown, el, plant};

/// By then the cluster has formed and the log has its first records, ns.
pub(crate) const BEGIN: u64 = 3_000_000_000;
/// Main-thread time that simulating may take per frame, ms.
const BUDGET_MS: f64 = 5.0;
/// Least time between two publications while time runs, ms.
const PUBLISH_EVERY_MS: f64 = 100.0;
/// Tokens asked for per frame.
const TOKENS_MAX: u32 = 2_000;

/// What the page shows of the run.
pub(super) struct Shown {
    pub(super) hud: Hud,
    pub(super) ledger: LedgerView,
    pub(super) drawing: Drawing,
    pub(super) act: Act,
    /// What was said aloud last.
    pub(super) aloud: String,
    /// The head of the timeline is under a finger.
    pub(super) dragging: bool,
    /// What stands where the application puts the stage in words.
    pub(super) instead: Option<&'static str>,
    view: Arc<StageView>,
    turn: u32,
    since_ms: f64,
    in_sight: bool,
    selected: Option<Selection>,
}

/// What an application around the page wants to know, and does better.
pub(crate) struct Guest {
    /// Tells the visitor something in passing.
    pub(crate) say: Box<dyn Fn(String)>,
    /// Another view is shown.
    pub(crate) shown: Box<dyn Fn(Arc<StageView>)>,
    /// Something else is picked.
    pub(crate) picked: Box<dyn Fn(Option<Selection>)>,
}

/// The page. It goes when it is told to ([`Home::end`]).
#[derive(Clone)]
pub(crate) struct Home(Rc<Inner>);

/// Whether the page is seen, and who is told.
type Sight = (IntersectionObserver, Closure<dyn FnMut(js_sys::Array)>);

struct Inner {
    root: Element,
    grown: RefCell<Grown>,
    host: RefCell<Host>,
    shown: RefCell<Shown>,
    picture: RefCell<Option<Picture>>,
    guest: RefCell<Option<Guest>>,
    telling: RefCell<(Telling, Option<Timeout>)>,
    frame_id: RefCell<Option<FrameId>>,
    listeners: RefCell<Vec<Listener>>,
    sight: RefCell<Option<Sight>>,
}

impl Home {
    /// Begins at the end of `place`, which stands in the page.
    pub(crate) fn begin(place: &Element) -> Option<Home> {
        // Its scenario is ours and cannot be refused.
        let mut host = Host::home(BEGIN, SPEED).ok()?;
        host.set_playing(!calm());
        let shown = Shown {
            hud: Hud::of(&host),
            ledger: LedgerView::default(),
            drawing: Drawing::default(),
            act: Act::Lost,
            aloud: String::new(),
            dragging: false,
            instead: Some("Loading…"),
            view: Arc::default(),
            turn: 0,
            since_ms: 0.0,
            in_sight: true,
            selected: None,
        };
        let root = plant(el("div").class("split home").test("home"))?;
        place.append_child(&root).ok()?;
        let home = Home(Rc::new(Inner {
            grown: RefCell::new(Grown::within(&root)),
            root,
            host: RefCell::new(host),
            shown: RefCell::new(shown),
            picture: RefCell::default(),
            guest: RefCell::default(),
            telling: RefCell::new((Telling::new(), None)),
            frame_id: RefCell::default(),
            listeners: RefCell::default(),
            sight: RefCell::default(),
        }));
        home.redraw();
        home.furnish();
        home.edited();
        expose(&home);
        Some(home)
    }

    fn of(weak: &Weak<Inner>) -> Option<Home> {
        weak.upgrade().map(Home)
    }

    /// Puts the stage in, and listens.
    fn furnish(&self) {
        let weak = || Rc::downgrade(&self.0);
        let find = |what| self.0.root.query_selector(what).ok().flatten();
        let on_pick = weak();
        let hooks = Hooks {
            select: Box::new(move |picked| {
                if let Some(home) = Home::of(&on_pick) {
                    home.select(picked);
                }
            }),
            // The home page has one fault, and one partition.
            menu: Box::new(|_| {}),
            zoom: Box::new(|_| {}),
        };
        let picture = find(".stage").and_then(|s| Picture::mount(&s, hooks, Zoom::All));
        self.0.picture.replace(picture);
        let on_frame = weak();
        let id =
            raf::register(move |step| Home::of(&on_frame).is_some_and(|home| home.on_frame(step)));
        self.0.frame_id.replace(Some(id));
        self.listen();
        if let Some(bench) = find(".workbench") {
            self.rest_out_of_sight(&bench);
        }
    }

    fn listen(&self) {
        macro_rules! on {
            ($kind:literal, $event:ty, $act:expr) => {{
                let weak = Rc::downgrade(&self.0);
                Listener::on::<$event>(&self.0.root, $kind, move |event| {
                    if let Some(home) = Home::of(&weak) {
                        $act(&home, event);
                    }
                })
            }};
        }
        let mut listeners = vec![
            on!("click", MouseEvent, Home::click),
            on!("pointerdown", PointerEvent, Home::grab),
            on!("pointermove", PointerEvent, Home::drag),
            on!("pointerup", PointerEvent, Home::let_go),
            on!("pointercancel", PointerEvent, Home::let_go),
            on!("keydown", KeyboardEvent, Home::key),
        ];
        if let Ok(Some(words)) = self.0.root.query_selector(".stage-words") {
            // What stands in it is the application's.
            listeners.push(Listener::on::<Event>(&words, "toggle", |_| super::load()));
        }
        self.0.listeners.replace(listeners);
    }

    /// A run that plays by itself does so only while it can be seen.
    fn rest_out_of_sight(&self, bench: &Element) {
        let weak = Rc::downgrade(&self.0);
        let seen = Closure::<dyn FnMut(js_sys::Array)>::new(move |entries: js_sys::Array| {
            let last = entries.pop().dyn_into::<IntersectionObserverEntry>();
            if let Some(home) = Home::of(&weak) {
                let seen = last.is_ok_and(|e| e.is_intersecting());
                home.0.shown.borrow_mut().in_sight = seen;
                home.wake();
            }
        });
        if let Ok(observer) = IntersectionObserver::new(seen.as_ref().unchecked_ref()) {
            observer.observe(bench);
            self.0.sight.replace(Some((observer, seen)));
        }
    }

    /// Goes into another place, as it is and where it stands in time.
    pub(super) fn move_to(&self, place: &Element) {
        let root = &self.0.root;
        let document = web_sys::window().and_then(|w| w.document());
        let active = document.and_then(|d| d.active_element());
        let active = active.filter(|e| root.contains(Some(e)));
        let column = root.first_element_child();
        let scroll = column.as_ref().map(Element::scroll_top);
        // Newer browsers move an element without taking it out, which keeps focus and scrolling.
        let kept = js_sys::Reflect::get(place, &"moveBefore".into())
            .ok()
            .and_then(|f| f.dyn_into::<js_sys::Function>().ok())
            .is_some_and(|f| f.call2(place, root, &JsValue::NULL).is_ok());
        if !kept {
            // Fails only if the place is gone, and then all is.
            let _ = place.append_child(root);
            if let Some(active) = active.as_ref().and_then(|e| e.dyn_ref::<HtmlElement>()) {
                let _ = active.focus();
            }
            if let (Some(column), Some(scroll)) = (column, scroll) {
                column.set_scroll_top(scroll);
            }
        }
    }

    /// Takes up the application that is around it now.
    pub(crate) fn receive(&self, guest: Guest) {
        (guest.shown)(self.0.shown.borrow().view.clone());
        (guest.picked)(self.0.shown.borrow().selected.clone());
        self.0.guest.replace(Some(guest));
        self.0.shown.borrow_mut().instead = None;
        self.redraw();
    }

    /// There will be no application.
    pub(super) fn stay_alone(&self) {
        self.0.shown.borrow_mut().instead = Some(frame::NOT_LOADED);
        self.redraw();
    }

    /// The element that the stage in words unfolds in, and where to write them.
    pub(crate) fn words(&self) -> Option<(Element, HtmlElement)> {
        let find = |what| self.0.root.query_selector(what).ok().flatten();
        let place = find(".home-words")?.dyn_into().ok()?;
        Some((find(".stage-words")?, place))
    }

    /// Leaves the page.
    pub(crate) fn end(&self) {
        if let Some(id) = self.0.frame_id.take() {
            raf::remove(id);
        }
        if let Some((observer, _)) = self.0.sight.take() {
            observer.disconnect();
        }
        self.0.listeners.take();
        self.0.picture.take();
        self.0.guest.take();
        self.0.telling.borrow_mut().1 = None;
        conceal();
        self.0.root.remove();
    }

    fn wake(&self) {
        if let Some(id) = *self.0.frame_id.borrow() {
            raf::wake(id);
        }
    }

    fn on_frame(&self, step_ms: f64) -> bool {
        if !self.0.shown.borrow().in_sight {
            return false;
        }
        let moved = self.0.host.borrow_mut().frame(step_ms, BUDGET_MS, now_ms);
        let waited = {
            let mut shown = self.0.shown.borrow_mut();
            shown.since_ms += step_ms;
            shown.since_ms
        };
        self.draw();
        if moved.halted || (moved.changed && waited >= PUBLISH_EVERY_MS) {
            self.publish(false);
        }
        self.0.host.borrow().playing()
    }

    /// Draws what moves, at the run's present time.
    fn draw(&self) {
        let host = self.0.host.borrow();
        let (tokens, tokens_hidden) = host.session().tokens(TOKENS_MAX);
        let view = self.0.shown.borrow().view.clone();
        if let Some(picture) = &*self.0.picture.borrow() {
            picture.draw(&Frame {
                now_ns: host.session().now() as f64,
                tokens: &tokens,
                tokens_hidden,
                links: &view.links,
            });
        }
    }

    /// Shows the run's present state; `anew` if the run itself was changed.
    fn publish(&self, anew: bool) {
        let last = self.0.shown.borrow().view.clone();
        let view = self.ask(|s| s.stage(&query(&Zoom::All, &last)));
        let view = Arc::new(view.unwrap_or_default());
        let hud = Hud::of(&self.0.host.borrow());
        let ledger = self.ask(|s| s.ledger()).unwrap_or_default();
        let act = Act::of(&view, hud.undo.is_some());
        let (drawn, before) = {
            let mut shown = self.0.shown.borrow_mut();
            shown.since_ms = 0.0;
            shown.turn = shown.turn.wrapping_add(1);
            // The past does not change while time runs.
            let drawn = anew || !hud.playing || shown.turn.is_multiple_of(5);
            let before = std::mem::replace(&mut shown.act, act.clone());
            (shown.hud, shown.ledger, shown.view) = (hud, ledger, view.clone());
            (drawn, before)
        };
        if !before.leads() && act.leads() {
            // Once another leads, messages can be watched again.
            self.host(|h| h.set_speed(nearest_speed(SPEED)));
        }
        if drawn {
            let drawing = timeline_art::read(self);
            self.0.shown.borrow_mut().drawing = drawing;
        }
        self.tell();
        self.redraw();
        if let Some(picture) = &*self.0.picture.borrow() {
            picture.show(view.clone());
        }
        if let Some(guest) = &*self.0.guest.borrow() {
            (guest.shown)(view);
        }
    }

    /// Says aloud what is new.
    fn tell(&self) {
        let mut telling = self.0.telling.borrow_mut();
        match telling.0.next(self, now_ms()) {
            Aloud::Nothing => {}
            Aloud::Say(words) => self.0.shown.borrow_mut().aloud = words,
            Aloud::Wait(ms) if telling.1.is_none() => {
                let weak = Rc::downgrade(&self.0);
                telling.1 = Some(Timeout::new(ms as u32 + 1, move || {
                    if let Some(home) = Home::of(&weak) {
                        home.0.telling.borrow_mut().1 = None;
                        home.tell();
                        home.redraw();
                    }
                }));
            }
            Aloud::Wait(_) => {}
        }
    }

    pub(super) fn redraw(&self) {
        let kids = draw::page(&self.0.shown.borrow());
        self.0.grown.borrow_mut().become_all(kids);
    }

    pub(super) fn shown(&self) -> &RefCell<Shown> {
        &self.0.shown
    }

    pub(super) fn edited(&self) {
        self.publish(true);
        self.wake();
    }

    /// Picks something on the stage.
    pub(crate) fn select(&self, picked: Option<Selection>) {
        if self.0.shown.borrow().selected == picked {
            return;
        }
        self.0.shown.borrow_mut().selected.clone_from(&picked);
        if let Some(picture) = &*self.0.picture.borrow() {
            picture.select(picked.clone());
        }
        if let Some(guest) = &*self.0.guest.borrow() {
            (guest.picked)(picked);
        }
    }
}

impl Pilot for Home {
    fn host<T>(&self, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        Some(change(&mut self.0.host.borrow_mut()))
    }

    fn show(&self) {
        self.publish(false);
        self.wake();
    }

    fn say(&self, text: String) {
        match &*self.0.guest.borrow() {
            Some(guest) => (guest.say)(text),
            None => super::say(text),
        }
    }
}
