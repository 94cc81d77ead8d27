//! Input to the plane: clicks, the fault menu, and arrow keys over all that can be pointed at.
//!
//! One set of listeners on the plane serves everything in it. A token under the pointer goes
//! before what lies under it.

use std::rc::Weak;

use wasm_bindgen::JsCast;
use web_sys::{Element, FocusEvent, HtmlElement, KeyboardEvent, MouseEvent, PointerEvent};

use super::parts::Tip;
use super::picture::{Inner, Picture};
use super::plan::geom::{Pt, Rect, pt};
use super::scene::{Scene, words};
use super::stops::{Direction, Stop, nearest};
use super::{MenuRequest, MenuTarget, Selection};
use crate::listen::Listener;

/// Listens on the plane of a stage.
pub(super) fn listen(inner: &Inner, weak: &Weak<Inner>) -> Vec<Listener> {
    let plane = inner.plane.as_ref();
    let hear = || {
        let weak = weak.clone();
        move || Picture::of(&weak)
    };
    macro_rules! on {
        ($kind:literal, $event:ty, $act:ident) => {{
            let hear = hear();
            Listener::on::<$event>(plane, $kind, move |event| {
                if let Some(picture) = hear() {
                    picture.$act(event);
                }
            })
        }};
    }
    vec![
        on!("click", MouseEvent, click),
        on!("dblclick", MouseEvent, double_click),
        on!("contextmenu", MouseEvent, context_menu),
        on!("keydown", KeyboardEvent, key),
        on!("focusin", FocusEvent, focus),
        on!("pointermove", PointerEvent, hover),
        on!("pointerleave", PointerEvent, leave),
    ]
}

/// The nearest element with a key, and its key.
fn stop_at(target: Option<web_sys::EventTarget>) -> Option<(Element, Stop)> {
    let element: Element = target?.dyn_into().ok()?;
    let element = element.closest("[data-stop]").ok()??;
    let stop = Stop::parse(&element.get_attribute("data-stop")?)?;
    Some((element, stop))
}

/// The node on whose card an event happened.
fn node_at(target: Option<web_sys::EventTarget>) -> Option<u32> {
    let element: Element = target?.dyn_into().ok()?;
    element
        .closest("[data-node]")
        .ok()??
        .get_attribute("data-node")?
        .parse()
        .ok()
}

fn rect_of(element: &Element) -> Rect {
    let r = element.get_bounding_client_rect();
    Rect::new(r.x(), r.y(), r.width(), r.height())
}

impl Picture {
    /// The token under a point of the viewport.
    fn token_at(&self, x: f64, y: f64) -> Option<(u64, Pt)> {
        let plane = rect_of(&self.inner().plane);
        let at = pt(x - plane.x, y - plane.y);
        let state = self.inner().state.borrow();
        state.painter.as_ref()?.hit(at)
    }

    /// What of the stage a key means now.
    fn meant<T>(&self, stop: Stop, read: impl FnOnce(Stop, &Scene) -> Option<T>) -> Option<T> {
        read(stop, &self.inner().state.borrow().scene)
    }

    fn toggle(&self, selection: Selection) {
        // A second click on the same thing lets go of it.
        let same = self.inner().state.borrow().selected.as_ref() == Some(&selection);
        (self.inner().hooks.select)((!same).then_some(selection));
    }

    fn open_menu(&self, target: MenuTarget, x: f64, y: f64) {
        self.set_tip(None);
        (self.inner().hooks.menu)(MenuRequest { target, x, y });
    }

    fn click(&self, event: &MouseEvent) {
        // A click by keyboard has no place of its own.
        let by_pointer = event.detail() > 0;
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        if by_pointer && let Some((id, _)) = self.token_at(x, y) {
            self.toggle(Selection::Message(id));
            return;
        }
        let Some((element, stop)) = stop_at(event.target()) else {
            if let Some(node) = node_at(event.target()) {
                self.toggle(Selection::Node(node));
            }
            return;
        };
        if let Stop::Menu(node) = stop {
            let r = rect_of(&element);
            self.open_menu(MenuTarget::Node(node), r.x, r.bottom());
            return;
        }
        if let Some(selection) = self.meant(stop, Stop::selection) {
            self.toggle(selection);
        } else if let Some(zoom) = self.meant(stop, Stop::zoom) {
            (self.inner().hooks.zoom)(zoom);
        }
    }

    /// A copy in the matrix opens its lane.
    fn double_click(&self, event: &MouseEvent) {
        let stop = stop_at(event.target()).map(|(_, stop)| stop);
        if let Some(zoom) = stop.and_then(|stop| self.meant(stop, Stop::zoom)) {
            (self.inner().hooks.zoom)(zoom);
        }
    }

    fn context_menu(&self, event: &MouseEvent) {
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        let target = self
            .token_at(x, y)
            .map(|(id, _)| MenuTarget::Message(id))
            .or_else(|| {
                let (_, stop) = stop_at(event.target())?;
                self.meant(stop, Stop::target)
            })
            .or_else(|| node_at(event.target()).map(MenuTarget::Node));
        if let Some(target) = target {
            event.prevent_default();
            self.open_menu(target, x, y);
        }
    }

    fn hover(&self, event: &PointerEvent) {
        if event.pointer_type() == "touch" {
            return;
        }
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        let tip = self.token_at(x, y).and_then(|(id, at)| {
            let view = self.inner().state.borrow().view.clone();
            let token = view.tokens.iter().find(|t| t.id == id)?;
            let mut words = words::token(&view, token);
            if !token.held && token.arrive > view.now {
                let left = words::duration(token.arrive - view.now);
                words.push_str(&format!(", arrives in {left}"));
            }
            Some(Tip { at, words })
        });
        self.set_tip(tip);
    }

    fn leave(&self, _: &PointerEvent) {
        self.set_tip(None);
    }

    /// Moves the one tab stop of the stage to what has the focus.
    fn focus(&self, event: &FocusEvent) {
        if let Some((element, _)) = stop_at(event.target()) {
            rove(&self.inner().plane, &element);
        }
    }

    fn key(&self, event: &KeyboardEvent) {
        let Some((element, stop)) = stop_at(event.target()) else {
            return;
        };
        let direction = match event.key().as_str() {
            "ArrowUp" => Direction::Up,
            "ArrowDown" => Direction::Down,
            "ArrowLeft" => Direction::Left,
            "ArrowRight" => Direction::Right,
            "F10" if event.shift_key() => return self.key_menu(event, &element, stop),
            "ContextMenu" => return self.key_menu(event, &element, stop),
            "Escape" if self.picked().is_some() => {
                (self.inner().hooks.select)(None);
                event.stop_propagation();
                return;
            }
            _ => return,
        };
        // Keys of the page (step, seek) are arrows too; here they belong to the stage.
        event.prevent_default();
        event.stop_propagation();
        self.go(&element, direction);
    }

    fn picked(&self) -> Option<Selection> {
        self.inner().state.borrow().selected.clone()
    }

    fn key_menu(&self, event: &KeyboardEvent, element: &Element, stop: Stop) {
        event.prevent_default();
        event.stop_propagation();
        let r = rect_of(element);
        let message = match self.picked() {
            Some(Selection::Message(id)) => Some(MenuTarget::Message(id)),
            _ => None,
        };
        if let Some(target) = self.meant(stop, Stop::target).or(message) {
            self.open_menu(target, r.x + 8.0, r.bottom());
        }
    }

    fn go(&self, from: &Element, direction: Direction) {
        let stops = stops(&self.inner().plane);
        let boxes: Vec<Rect> = stops.iter().map(|e| rect_of(e.as_ref())).collect();
        let Some(here) = stops.iter().position(|e| {
            let e: &Element = e.as_ref();
            e == from
        }) else {
            return;
        };
        if let Some(next) = nearest(&boxes, here, direction).and_then(|i| stops.get(i)) {
            // Fails only for an element that has just left the page.
            let _ = next.focus();
        }
    }
}

/// Everything on the plane that takes the focus and is visible.
fn stops(plane: &Element) -> Vec<HtmlElement> {
    let Ok(list) = plane.query_selector_all("button[data-stop]") else {
        return Vec::new();
    };
    (0..list.length())
        .filter_map(|i| list.item(i)?.dyn_into::<HtmlElement>().ok())
        .filter(|e| e.offset_width() > 0)
        .collect()
}

/// Makes an element the one tab stop of the plane.
fn rove(plane: &Element, to: &Element) {
    if let Ok(list) = plane.query_selector_all("button[data-stop][tabindex=\"0\"]") {
        for i in 0..list.length() {
            if let Some(e) = list.item(i).and_then(|n| n.dyn_into::<Element>().ok()) {
                let _ = e.set_attribute("tabindex", "-1");
            }
        }
    }
    let _ = to.set_attribute("tabindex", "0");
}

/// Sees to it that the plane has a tab stop: after its first drawing, and when the element that
/// was it has gone.
pub(super) fn ensure_tab_stop(plane: &Element) {
    let has = plane
        .query_selector("button[data-stop][tabindex=\"0\"]")
        .ok()
        .flatten();
    let visible = has
        .and_then(|e| e.dyn_into::<HtmlElement>().ok())
        .is_some_and(|e| e.offset_width() > 0);
    if !visible && let Some(first) = stops(plane).first() {
        rove(plane, first.as_ref());
    }
}
