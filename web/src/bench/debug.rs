//! `window.strandline`: what browser tests, benchmarks and the curious ask the run of the page. It
//! reads the same views as the page does; it can open a run and move in it, and cannot make the
//! page show anything that is not the run's. It measures nothing itself: who asks holds the clock.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::check::RunPlan;
use sim_core::view::StageView;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};

use super::Bench;
use super::pilot::Pilot;
use crate::host::{Recipe, Session};
use crate::stage::{Selection, Zoom, query};

const NAME: &str = "strandline";

fn put(object: &js_sys::Object, name: &str, value: &JsValue) {
    // Setting a property of a fresh plain object cannot fail.
    let _ = js_sys::Reflect::set(object, &JsValue::from_str(name), value);
}

/// The object under construction.
struct Hooks(js_sys::Object);

impl Hooks {
    fn read(&self, name: &str, f: impl Fn() -> JsValue + 'static) {
        let read = Closure::<dyn Fn() -> JsValue>::wrap(Box::new(f));
        put(&self.0, name, &read.into_js_value());
    }

    fn write(&self, name: &str, f: impl Fn(f64) + 'static) {
        let write = Closure::<dyn Fn(f64)>::wrap(Box::new(f));
        put(&self.0, name, &write.into_js_value());
    }
}

fn text(t: Option<String>) -> JsValue {
    t.map_or(JsValue::NULL, |t| JsValue::from_str(&t))
}

fn number(n: Option<u64>) -> JsValue {
    n.map_or(JsValue::NULL, |n| JsValue::from_f64(n as f64))
}

/// Puts the object on the window.
pub(crate) fn expose(pilot: &impl Pilot) {
    let Some(window) = web_sys::window() else {
        return;
    };
    let hooks = Hooks(js_sys::Object::new());
    let ask = |question: fn(&Session) -> u64| {
        let pilot = pilot.clone();
        move || number(pilot.ask(question))
    };
    hooks.read("now", ask(Session::now));
    hooks.read("event", ask(Session::event));
    hooks.read("duration", ask(Session::duration));
    let p = pilot.clone();
    hooks.read("digest", move || text(p.ask(Session::digest)));
    let p = pilot.clone();
    hooks.read("playing", move || {
        JsValue::from_bool(p.host(|h| h.playing()) == Some(true))
    });
    let p = pilot.clone();
    hooks.write("seek", move |ns| {
        p.travel(|h| h.seek(ns.max(0.0) as u64));
    });
    let p = pilot.clone();
    hooks.write("play", move |on| {
        p.travel(|h| h.set_playing(on != 0.0));
    });
    // A window that takes no properties has no tests looking at it.
    let _ = js_sys::Reflect::set(&window, &JsValue::from_str(NAME), &hooks.0);
}

/// Takes the object away with the page.
pub(crate) fn conceal() {
    if let Some(window) = web_sys::window() {
        let _ = js_sys::Reflect::delete_property(&window, &JsValue::from_str(NAME));
    }
}

/// Adds what only the whole workbench can be asked.
pub(crate) fn expose_rest(bench: Bench) {
    let found = js_sys::Reflect::get(&window(), &JsValue::from_str(NAME));
    let Some(object) = found.ok().and_then(|o| o.dyn_into().ok()) else {
        return;
    };
    let hooks = Hooks(object);
    hooks.read("seed", move || number(bench.ask(|s| s.seed())));
    hooks.read("ledger", move || json(bench.ask(|s| s.ledger())));
    hooks.read("groups", move || json(bench.ask(|s| s.groups())));
    // All copies with as many cells as the stage asks for, transactions written onto them.
    hooks.read("stage", move || {
        json(bench.ask(|s| s.stage_of(&[], &query(&Zoom::All, &StageView::default()))))
    });
    hooks.read("storage", move || {
        of_picked(bench, |s, node, lane| s.storage(node, lane))
    });
    hooks.read("compactionSteps", move || {
        of_picked(bench, |s, node, lane| s.compaction_steps(node, lane))
    });
    hooks.read("job", move || json(bench.ask(|s| s.job()).flatten()));
    hooks.read("series", move || {
        json(bench.ask(|s| s.series(super::metrics::SAMPLES)))
    });
    hooks.read("eventTimes", move || {
        json(bench.ask(|s| s.event_times("")).flatten())
    });
    hooks.read("verdicts", move || json(bench.ask(|s| s.verdicts())));
    hooks.read("fragment", move || {
        text(bench.host(|h| h.fragment().ok()).flatten())
    });
    hooks.read("toml", move || {
        text(bench.ask(|s| crate::host::to_toml(s).ok()).flatten())
    });
    hooks.read("draft", move || text(bench.draft.get_untracked()));
    hooks.write("seekEvent", move |n| {
        bench.travel(|h| h.seek_event(n.max(0.0) as u64));
    });
    hooks.read("tokens", move || {
        number(bench.ask(|s| {
            let (shown, hidden) = s.tokens(u32::MAX);
            shown.len() as u64 + u64::from(hidden)
        }))
    });
    hooks.read("keyframes", move || {
        number(bench.ask(|s| s.keyframes() as u64))
    });
    hooks.read("keyframesWeight", move || {
        number(bench.ask(|s| s.keyframes_weight() as u64))
    });
    // Events of the whole run by the bare engine: no history, no keyframes, nothing drawn.
    hooks.read("runThrough", move || number(bench.ask(run_through)));
    let open = move |toml: String, speed: f64| bench.open(Recipe::of(toml), speed);
    put(
        &hooks.0,
        "open",
        &Closure::<dyn Fn(String, f64) -> bool>::wrap(Box::new(open)).into_js_value(),
    );
}

/// What the run says of the copy that is picked.
fn of_picked<T: serde::Serialize>(
    bench: Bench,
    ask: impl FnOnce(&Session, u32, &str) -> Option<T>,
) -> JsValue {
    let Some(Selection::Lane { node, lane }) = bench.selected.get_untracked() else {
        return JsValue::NULL;
    };
    json(bench.ask(|s| ask(s, node, &lane)).flatten())
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
