//! `window.strandline`: what browser tests and the curious ask the run of the page. It reads the
//! same views as the page does; it cannot make the page show anything that is not the run's.

use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use super::Bench;

const NAME: &str = "strandline";

fn put(object: &js_sys::Object, name: &str, value: &JsValue) {
    // Setting a property of a fresh plain object cannot fail.
    let _ = js_sys::Reflect::set(object, &JsValue::from_str(name), value);
}

/// Puts the object on the window while the page stands.
pub(crate) fn expose(bench: Bench) {
    let object = js_sys::Object::new();
    let read = |name: &str, f: Box<dyn Fn() -> JsValue>| {
        put(
            &object,
            name,
            &Closure::<dyn Fn() -> JsValue>::wrap(f).into_js_value(),
        );
    };
    let text = |t: Option<String>| t.map_or(JsValue::NULL, |t| JsValue::from_str(&t));
    let number = |n: Option<u64>| n.map_or(JsValue::NULL, |n| JsValue::from_f64(n as f64));
    read("digest", Box::new(move || text(bench.ask(|s| s.digest()))));
    read("now", Box::new(move || number(bench.ask(|s| s.now()))));
    read("event", Box::new(move || number(bench.ask(|s| s.event()))));
    read("seed", Box::new(move || number(bench.ask(|s| s.seed()))));
    read(
        "duration",
        Box::new(move || number(bench.ask(|s| s.duration()))),
    );
    read("ledger", Box::new(move || json(bench.ask(|s| s.ledger()))));
    read(
        "verdicts",
        Box::new(move || json(bench.ask(|s| s.verdicts()))),
    );
    read(
        "playing",
        Box::new(move || JsValue::from_bool(bench.host(|h| h.playing()) == Some(true))),
    );
    read(
        "fragment",
        Box::new(move || text(bench.host(|h| h.fragment().ok()).flatten())),
    );
    read(
        "toml",
        Box::new(move || text(bench.ask(|s| crate::host::to_toml(s).ok()).flatten())),
    );
    let write = |name: &str, f: Box<dyn Fn(f64)>| {
        put(
            &object,
            name,
            &Closure::<dyn Fn(f64)>::wrap(f).into_js_value(),
        );
    };
    write("seek", Box::new(move |ns| bench.seek(ns.max(0.0) as u64)));
    write(
        "seekEvent",
        Box::new(move |n| {
            bench.travel(|h| h.seek_event(n.max(0.0) as u64));
        }),
    );
    // A window that takes no properties has no tests looking at it.
    let _ = js_sys::Reflect::set(&window(), &JsValue::from_str(NAME), &object);
    on_cleanup(|| {
        let _ = js_sys::Reflect::delete_property(&window(), &JsValue::from_str(NAME));
    });
}

fn json(value: Option<impl serde::Serialize>) -> JsValue {
    let text = value.and_then(|v| serde_json::to_string(&v).ok());
    text.and_then(|t| js_sys::JSON::parse(&t).ok())
        .unwrap_or(JsValue::NULL)
}
