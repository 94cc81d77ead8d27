//! Input to the plane: clicks, the fault menu, and arrow keys over all that can be pointed at.
//!
//! One set of listeners on the plane serves everything in it. A token under the pointer goes
//! before what lies under it.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, MouseEvent, PointerEvent};

use super::parts::Shared;
use super::plan::geom::{Pt, Rect, pt};
use super::scene::words;
use super::stops::{Direction, Stop, nearest};
use super::{MenuRequest, MenuTarget, Selection};

/// The words shown beside a token.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Tip {
    /// Where the token is.
    pub(super) at: Pt,
    /// What it is.
    pub(super) words: String,
}

/// The plane's listeners.
#[derive(Clone, Copy)]
pub(super) struct Input {
    shared: Shared,
    plane: NodeRef<html::Div>,
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

impl Input {
    pub(super) fn new(shared: Shared, plane: NodeRef<html::Div>) -> Self {
        Self { shared, plane }
    }

    /// The token under a point of the viewport.
    fn token_at(&self, x: f64, y: f64) -> Option<(u64, Pt)> {
        let plane = rect_of(self.plane.get_untracked()?.as_ref());
        let at = pt(x - plane.x, y - plane.y);
        self.shared
            .painter
            .with_value(|cell| cell.borrow().as_ref().and_then(|p| p.hit(at)))
    }

    fn select(&self, selection: Selection) {
        // A second click on the same thing lets go of it.
        let same = self
            .shared
            .selected
            .with_untracked(|s| s.as_ref() == Some(&selection));
        self.shared.selected.set((!same).then_some(selection));
    }

    fn menu(&self, target: MenuTarget, x: f64, y: f64) {
        self.shared.tip.set(None);
        self.shared.on_menu.run(MenuRequest { target, x, y });
    }

    pub(super) fn click(&self, event: &MouseEvent) {
        // A click by keyboard has no place of its own.
        let by_pointer = event.detail() > 0;
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        if by_pointer && let Some((id, _)) = self.token_at(x, y) {
            self.select(Selection::Message(id));
            return;
        }
        let Some((element, stop)) = stop_at(event.target()) else {
            if let Some(node) = node_at(event.target()) {
                self.select(Selection::Node(node));
            }
            return;
        };
        if let Stop::Menu(node) = stop {
            let r = rect_of(&element);
            self.menu(MenuTarget::Node(node), r.x, r.bottom());
            return;
        }
        let scene = self.shared.scene.get_untracked();
        if let Some(selection) = stop.selection(&scene) {
            self.select(selection);
        } else if let Some(zoom) = stop.zoom(&scene) {
            self.shared.zoom.set(zoom);
        }
    }

    /// A copy in the matrix opens its lane.
    pub(super) fn double_click(&self, event: &MouseEvent) {
        let scene = self.shared.scene.get_untracked();
        if let Some(zoom) = stop_at(event.target()).and_then(|(_, stop)| stop.zoom(&scene)) {
            self.shared.zoom.set(zoom);
        }
    }

    pub(super) fn context_menu(&self, event: &MouseEvent) {
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        let target = self
            .token_at(x, y)
            .map(|(id, _)| MenuTarget::Message(id))
            .or_else(|| {
                let scene = self.shared.scene.get_untracked();
                stop_at(event.target()).and_then(|(_, stop)| stop.target(&scene))
            })
            .or_else(|| node_at(event.target()).map(MenuTarget::Node));
        if let Some(target) = target {
            event.prevent_default();
            self.menu(target, x, y);
        }
    }

    pub(super) fn hover(&self, event: &PointerEvent) {
        if event.pointer_type() == "touch" {
            return;
        }
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        let tip = self.token_at(x, y).and_then(|(id, at)| {
            self.shared.view.with_untracked(|view| {
                let token = view.tokens.iter().find(|t| t.id == id)?;
                let mut words = words::token(view, token);
                if !token.held && token.arrive > view.now {
                    let left = words::duration(token.arrive - view.now);
                    words.push_str(&format!(", arrives in {left}"));
                }
                Some(Tip { at, words })
            })
        });
        if self.shared.tip.with_untracked(|t| *t != tip) {
            self.shared.tip.set(tip);
        }
    }

    /// Moves the one tab stop of the stage to what has the focus.
    pub(super) fn focus(&self, event: &web_sys::FocusEvent) {
        if let (Some(plane), Some((element, _))) =
            (self.plane.get_untracked(), stop_at(event.target()))
        {
            rove(plane.as_ref(), &element);
        }
    }

    pub(super) fn key(&self, event: &KeyboardEvent) {
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
            "Escape" if self.shared.selected.with_untracked(Option::is_some) => {
                self.shared.selected.set(None);
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

    fn key_menu(&self, event: &KeyboardEvent, element: &Element, stop: Stop) {
        event.prevent_default();
        event.stop_propagation();
        let r = rect_of(element);
        let message = self.shared.selected.with_untracked(|s| match s {
            Some(Selection::Message(id)) => Some(MenuTarget::Message(*id)),
            _ => None,
        });
        let scene = self.shared.scene.get_untracked();
        if let Some(target) = stop.target(&scene).or(message) {
            self.menu(target, r.x + 8.0, r.bottom());
        }
    }

    fn go(&self, from: &Element, direction: Direction) {
        let Some(plane) = self.plane.get_untracked() else {
            return;
        };
        let stops = stops(plane.as_ref());
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
