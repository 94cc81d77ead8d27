//! The menu of faults on a node, link or message: everything the engine offers, with the reason
//! where something cannot be done now. Arrow keys move in it, Escape gives the focus back.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::faults::{offers, rove, take, title_of};
use super::{Bench, use_bench};
use crate::host::Offer;
use crate::stage::MenuTarget;
use crate::ui::icon;

/// The menu on a node, link or message.
#[component]
pub(crate) fn FaultMenu() -> impl IntoView {
    let bench = use_bench();
    move || {
        let request = bench.menu.get()?;
        Some(view! { <OpenMenu bench target=request.target x=request.x y=request.y /> })
    }
}

#[component]
fn OpenMenu(bench: Bench, target: MenuTarget, x: f64, y: f64) -> impl IntoView {
    let node = NodeRef::<html::Div>::new();
    let before = StoredValue::new_local(document().active_element());
    let close = move || {
        bench.menu.set(None);
        let back = before
            .get_value()
            .and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok());
        if let Some(back) = back {
            // What had the focus may be gone; then the page keeps it.
            let _ = back.focus();
        }
    };
    Effect::new(move |_| {
        let Some(menu) = node.get() else { return };
        keep_inside(&menu, x, y);
        if let Ok(Some(first)) = menu.query_selector("button")
            && let Ok(first) = first.dyn_into::<web_sys::HtmlElement>()
        {
            let _ = first.focus();
        }
    });
    let outside = window_event_listener(leptos::ev::pointerdown, move |ev| {
        let inside = ev
            .target()
            .and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let inside = inside
            .and_then(|e| e.closest(".menu").ok().flatten())
            .is_some();
        if !inside {
            bench.menu.set(None);
        }
    });
    on_cleanup(move || outside.remove());
    let on_key = move |ev: web_sys::KeyboardEvent| match ev.key().as_str() {
        "Escape" | "Tab" => {
            ev.prevent_default();
            ev.stop_propagation();
            close();
        }
        _ => rove(ev),
    };
    let items = offers(bench, target)
        .into_iter()
        .map(|offer| view! { <MenuItem bench target offer close=Callback::new(move |()| close()) /> })
        .collect_view();
    view! {
        <div class="menu" role="menu" node_ref=node data-testid="fault-menu" on:keydown=on_key>
            <p class="menu-title">{title_of(bench, target)}</p>
            {items}
        </div>
    }
}

#[component]
fn MenuItem(bench: Bench, target: MenuTarget, offer: Offer, close: Callback<()>) -> impl IntoView {
    let because = offer.disabled_because.clone();
    let (id, label, disabled) = (offer.id, offer.label.clone(), because.is_some());
    let act = move |_| {
        take(bench, &offer, target);
        if offer.disabled_because.is_none() {
            close.run(());
        }
    };
    view! {
        <button
            type="button"
            role="menuitem"
            tabindex="-1"
            data-testid=format!("menu-{id}")
            aria-disabled=disabled.to_string()
            on:click=act
        >
            {icon(id)}
            <span>{label}</span>
            {because.map(|b| view! { <span class="because">{b}</span> })}
        </button>
    }
}

/// Puts a menu at a place, moved so that all of it can be seen.
fn keep_inside(menu: &web_sys::HtmlElement, x: f64, y: f64) {
    let room = |v: Result<wasm_bindgen::JsValue, _>| v.ok().and_then(|v| v.as_f64());
    let width = room(window().inner_width()).unwrap_or(1000.0);
    let height = room(window().inner_height()).unwrap_or(800.0);
    let rect = menu.get_bounding_client_rect();
    let left = x.min(width - rect.width() - 8.0).max(8.0);
    let top = y.min(height - rect.height() - 8.0).max(8.0);
    let style = web_sys::HtmlElement::style(menu);
    for (property, value) in [("left", left), ("top", top)] {
        // The names are right, so this cannot fail.
        let _ = style.set_property(property, &format!("{value:.0}px"));
    }
}
