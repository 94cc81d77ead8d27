//! `window.strandline`: what browser tests, benchmarks and the curious ask the run of the page. It
//! reads the same views as the page does; it can open a run and move in it, and cannot make the
//! page show anything that is not the run's. It measures nothing itself: who asks holds the clock.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::check::RunPlan;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use super::Bench;
use crate::host::{Recipe, Session};

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
    read("draft", Box::new(move || text(bench.draft.get_untracked())));
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
    read(
        "tokens",
        Box::new(move || {
            number(bench.ask(|s| {
                let (shown, hidden) = s.tokens(u32::MAX);
                shown.len() as u64 + u64::from(hidden)
            }))
        }),
    );
    read(
        "keyframes",
        Box::new(move || number(bench.ask(|s| s.keyframes() as u64))),
    );
    read(
        "keyframesWeight",
        Box::new(move || number(bench.ask(|s| s.keyframes_weight() as u64))),
    );
    // Events of the whole run by the bare engine: no history, no keyframes, nothing drawn.
    read(
        "runThrough",
        Box::new(move || number(bench.ask(run_through))),
    );
    write("play", Box::new(move |on| bench.set_playing(on != 0.0)));
    let open = move |toml: String, speed: f64| bench.open(Recipe::of(toml), speed);
    put(
        &object,
        "open",
        &Closure::<dyn Fn(String, f64) -> bool>::wrap(Box::new(open)).into_js_value(),
    );
    // A window that takes no properties has no tests looking at it.
    let _ = js_sys::Reflect::set(&window(), &JsValue::from_str(NAME), &object);
    on_cleanup(|| {
        let _ = js_sys::Reflect::delete_property(&window(), &JsValue::from_str(NAME));
    });
}

fn run_through(session: &Session) -> u64 {
    let scenario = Arc::new(session.scenario().clone());
    RunPlan::of(scenario, session.seed())
        .run(|_, _| true)
        .events
}

fn json(value: Option<impl serde::Serialize>) -> JsValue {
    let text = value.and_then(|v| serde_json::to_string(&v).ok());
    text.and_then(|t| js_sys::JSON::parse(&t).ok())
        .unwrap_or(JsValue::NULL)
}
