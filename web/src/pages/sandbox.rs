//! The sandbox: a cluster of one's own, from a form or from text.

use leptos::prelude::*;

use super::build::{Build, KeysKind, LoadKind};
use super::fields::{Check, Choice, Form, Number};
use crate::app::page;
use crate::bench::{Bench, FullWorkbench, Opening, Tab, Verdicts, calm, narrow, open_saved_or};
use crate::hero::BEGIN;
use crate::host::Recipe;
use crate::store;
use crate::ui::icon;

const SPEED: f64 = 0.05;
/// Under which key the form is kept.
const FORM: &str = "sandbox.form";

/// The form's cluster, looked at when it has formed.
fn of_form(build: &Build) -> Recipe {
    Recipe {
        time: BEGIN,
        ..Recipe::of(build.to_toml())
    }
}

/// The page.
#[component]
pub(crate) fn Sandbox() -> impl IntoView {
    page("Sandbox", true);
    let bench = Bench::new();
    let kept = store::kept(FORM).and_then(|text| serde_json::from_str::<Build>(&text).ok());
    let form = Form {
        build: RwSignal::new(kept.unwrap_or_default()),
    };
    let recipe = of_form(&form.build.get_untracked());
    let keep_as = Some("sandbox".to_owned());
    open_saved_or(
        bench,
        Opening {
            keep_as,
            recipe,
            speed: SPEED,
            autoplay: false,
        },
    );
    view! {
        <div class="split" data-testid="sandbox">
            <div class="column sandbox-form">
                <h1>"Sandbox"</h1>
                <p class="muted">
                    "Say what to build. It becomes a scenario file, which you can also write
                    yourself in the Script tab."
                </p>
                <details class="build-fold" prop:open=!narrow()>
                    <summary>"Build a cluster"</summary>
                    <BuildForm bench form />
                </details>
                <Verdicts />
            </div>
            <FullWorkbench />
        </div>
    }
}

#[component]
fn BuildForm(bench: Bench, form: Form) -> impl IntoView {
    let submit = move |ev: web_sys::SubmitEvent| {
        ev.prevent_default();
        let build = form.build.get_untracked();
        if let Ok(text) = serde_json::to_string(&build) {
            // A form that cannot be kept is only a form to fill in again.
            let _ = store::keep(FORM, &text);
        }
        if bench.open(of_form(&build), SPEED) {
            bench.tab.set(Tab::STAGE);
            bench.set_playing(!calm());
        } else {
            bench.tab.set(Tab::SCRIPT);
        }
    };
    view! {
        <form class="build-form" data-testid="build-form" on:submit=submit>
            <ClusterFields form />
            <TopicFields form />
            <ProducerFields form />
            <MoreFields form />
            <Submit form />
        </form>
    }
}

#[component]
fn Submit(form: Form) -> impl IntoView {
    let reseed = move |_| {
        // Any number will do; what matters is that the run can be had again.
        form.build
            .update(|b| b.seed = (js_sys::Math::random() * 1_000_000.0) as u64);
    };
    let bad = move || form.build.with(|b| b.problems().len());
    view! {
        <div class="build-submit">
            <button type="submit" class="button primary" data-testid="build" disabled=move || bad() != 0>
                "Build it"
            </button>
            <Number
                form
                id="seed"
                label="seed"
                hint=""
                min=0
                max=u32::MAX
                read=|b| b.seed as u32
                write=|b, n| b.seed = u64::from(n)
            />
            <button
                type="button"
                class="icon-button"
                aria-label="Another seed"
                title="Another seed"
                on:click=reseed
            >
                {icon("restart")}
            </button>
        </div>
    }
}

#[component]
fn ClusterFields(form: Form) -> impl IntoView {
    view! {
        <fieldset>
            <legend>"Cluster"</legend>
            <div class="field-row">
                <Number
                    form
                    id="brokers"
                    label="brokers"
                    hint=""
                    min=1
                    max=10
                    read=|b| b.brokers
                    write=|b, n| b.brokers = n
                />
                <Number
                    form
                    id="controllers"
                    label="controllers"
                    hint=""
                    min=1
                    max=5
                    read=|b| b.controllers
                    write=|b, n| b.controllers = n
                />
            </div>
        </fieldset>
    }
}

#[component]
fn TopicFields(form: Form) -> impl IntoView {
    view! {
        <fieldset>
            <legend>"Topic orders"</legend>
            <div class="field-row">
                <Number
                    form
                    id="partitions"
                    label="partitions"
                    hint=""
                    min=1
                    max=24
                    read=|b| b.partitions
                    write=|b, n| b.partitions = n
                />
                <Number
                    form
                    id="replication"
                    label="replication factor"
                    hint=""
                    min=1
                    max=10
                    read=|b| b.replication
                    write=|b, n| b.replication = n
                />
            </div>
            <Number
                form
                id="min-isr"
                label="min.insync.replicas"
                hint="With acks=all: how small the ISR may be for a write to be accepted."
                min=1
                max=10
                read=|b| b.min_isr
                write=|b, n| b.min_isr = n
            />
            <Check
                form
                id="unclean"
                label="unclean.leader.election.enable"
                read=|b| b.unclean
                write=|b, on| b.unclean = on
            />
        </fieldset>
    }
}

#[component]
fn ProducerFields(form: Form) -> impl IntoView {
    let acks = [
        ("all", "all: every in-sync replica"),
        ("1", "1: the leader alone"),
        ("0", "0: nobody"),
    ];
    view! {
        <fieldset>
            <legend>"Producers"</legend>
            <Choice
                form
                id="acks"
                label="acks"
                options=acks.to_vec()
                read=|b| b.acks.clone()
                write=|b, v| {
                    b.idempotence = v == "all";
                    b.acks = v;
                }
            />
            <Check
                form
                id="idempotence"
                label="enable.idempotence"
                read=|b| b.idempotence
                write=|b, on| b.idempotence = on
            />
            <div class="field-row">
                <Number
                    form
                    id="rate"
                    label="records per second"
                    hint=""
                    min=1
                    max=5000
                    read=|b| b.rate
                    write=|b, n| b.rate = n
                />
                <Choice
                    form
                    id="load"
                    label="arrivals"
                    options=vec![
                        ("constant", "even"),
                        ("poisson", "Poisson"),
                        ("bursts", "bursts"),
                    ]
                    read=|b| {
                        match b.load {
                            LoadKind::Constant => "constant",
                            LoadKind::Poisson => "poisson",
                            LoadKind::Bursts => "bursts",
                        }
                            .to_owned()
                    }
                    write=|b, v| {
                        b.load = match v.as_str() {
                            "poisson" => LoadKind::Poisson,
                            "bursts" => LoadKind::Bursts,
                            _ => LoadKind::Constant,
                        };
                    }
                />
            </div>
            <KeyFields form />
        </fieldset>
    }
}

#[component]
fn KeyFields(form: Form) -> impl IntoView {
    view! {
        <div class="field-row">
            <Choice
                form
                id="keys"
                label="keys"
                options=vec![("uniform", "equally likely"), ("zipf", "skewed (Zipf)"), ("none", "none")]
                read=|b| {
                    match b.keys {
                        KeysKind::None => "none",
                        KeysKind::Uniform => "uniform",
                        KeysKind::Zipf => "zipf",
                    }
                        .to_owned()
                }
                write=|b, v| {
                    b.keys = match v.as_str() {
                        "none" => KeysKind::None,
                        "zipf" => KeysKind::Zipf,
                        _ => KeysKind::Uniform,
                    };
                }
            />
            <Number
                form
                id="key-count"
                label="how many keys"
                hint=""
                min=1
                max=1000
                read=|b| b.key_count
                write=|b, n| b.key_count = n
            />
        </div>
    }
}

#[component]
fn MoreFields(form: Form) -> impl IntoView {
    view! {
        <details class="more-fields">
            <summary>"More settings"</summary>
            <div class="field-row">
                <Number
                    form
                    id="producers"
                    label="producers"
                    hint=""
                    min=0
                    max=5
                    read=|b| b.producers
                    write=|b, n| b.producers = n
                />
                <Number
                    form
                    id="consumers"
                    label="consumers"
                    hint=""
                    min=0
                    max=5
                    read=|b| b.consumers
                    write=|b, n| b.consumers = n
                />
                <Number
                    form
                    id="linger"
                    label="linger.ms"
                    hint=""
                    min=0
                    max=10_000
                    read=|b| b.linger_ms
                    write=|b, n| b.linger_ms = n
                />
                <Number
                    form
                    id="delay"
                    label="network delay, ms"
                    hint=""
                    min=0
                    max=5_000
                    read=|b| b.delay_ms
                    write=|b, n| b.delay_ms = n
                />
                <Number
                    form
                    id="lag"
                    label="replica.lag.time.max.ms"
                    hint=""
                    min=100
                    max=600_000
                    read=|b| b.lag_ms
                    write=|b, n| b.lag_ms = n
                />
                <Number
                    form
                    id="session"
                    label="broker.session.timeout.ms"
                    hint=""
                    min=500
                    max=600_000
                    read=|b| b.session_ms
                    write=|b, n| b.session_ms = n
                />
                <Number
                    form
                    id="seconds"
                    label="length, seconds"
                    hint=""
                    min=1
                    max=3_600
                    read=|b| b.seconds
                    write=|b, n| b.seconds = n
                />
            </div>
        </details>
    }
}
