//! The inspector: what is picked, its state and config, and the answer to "why?". It is docked
//! beside the stage, so that it never covers what it explains.

use leptos::prelude::*;
use sim_core::view::{Fact, WhyStep};

use super::job::StateFiles;
use super::storage::Storage;
use super::{Bench, WhyQuestion, use_bench};
use crate::format::{clock, span};
use crate::stage::Selection;
use crate::ui::icon;

/// Steps of an answer that are shown at first.
const STEPS_FIRST: usize = 4;

/// The dock. Takes no room while nothing is picked and nothing is asked.
#[component]
pub(crate) fn Inspector() -> impl IntoView {
    let bench = use_bench();
    let shown = move || bench.selected.with(Option::is_some) || bench.why.with(Option::is_some);
    let close = move |_| {
        bench.why.set(None);
        bench.selected.set(None);
    };
    view! {
        <Show when=shown>
            <aside class="inspector" aria-label="Inspector" data-testid="inspector">
                <div class="inspector-head">
                    <h2>{move || heading(bench)}</h2>
                    <button
                        type="button"
                        class="icon-button"
                        aria-label="Close the inspector"
                        on:click=close
                    >
                        {icon("close")}
                    </button>
                </div>
                <WhyChain bench />
                <Facts bench />
                <Storage bench />
                <StateFiles bench />
            </aside>
        </Show>
    }
}

fn node_title(bench: Bench, id: u32) -> String {
    bench.view.with(|v| {
        v.nodes
            .iter()
            .find(|n| n.id == id)
            .map_or_else(|| format!("node {id}"), |n| n.title.clone())
    })
}

fn heading(bench: Bench) -> String {
    match bench.selected.get() {
        Some(Selection::Node(n)) => node_title(bench, n),
        Some(Selection::Lane { node, lane }) => format!("{lane} on {}", node_title(bench, node)),
        Some(Selection::Link(a, b)) => {
            format!("{} → {}", node_title(bench, a), node_title(bench, b))
        }
        Some(Selection::Message(_)) => "Message".to_owned(),
        Some(Selection::Record(r)) => format!("Record {r}"),
        None => "Why?".to_owned(),
    }
}

fn fact(label: &str, value: impl Into<String>) -> Fact {
    Fact {
        label: label.to_owned(),
        value: value.into(),
        subject: None,
    }
}

/// The facts about the selection at this moment.
fn facts(bench: Bench) -> Vec<Fact> {
    bench.tick.track();
    match bench.selected.get() {
        Some(Selection::Node(n)) => bench.ask(|s| s.inspect(n)).unwrap_or_default(),
        Some(Selection::Lane { node, lane }) => bench.view.with(|v| {
            let node = v.nodes.iter().find(|n| n.id == node);
            let lane = node.and_then(|n| n.lanes.iter().find(|l| l.id == lane));
            lane.map_or_else(Vec::new, |l| {
                let mut facts = vec![fact("state", l.note.clone())];
                facts.extend(l.facts.iter().cloned());
                facts
            })
        }),
        Some(Selection::Link(a, b)) => bench.view.with(|v| {
            let fault = v.links.iter().find(|l| l.from == a && l.to == b);
            match fault {
                None => vec![fact("state", "passes everything, with its usual delay")],
                Some(l) => vec![
                    fact("cut", if l.cut { "yes: nothing passes" } else { "no" }),
                    fact("added delay", span(l.slow_by)),
                    fact("loss", format!("{} per million", l.loss_ppm)),
                ],
            }
        }),
        Some(Selection::Message(m)) => bench.view.with(|v| {
            v.tokens.iter().find(|t| t.id == m).map_or_else(
                || vec![fact("state", "it has arrived, or was lost")],
                |t| {
                    vec![
                        fact("request", t.label),
                        fact("from", node_title(bench, t.from)),
                        fact("to", node_title(bench, t.to)),
                        fact("left at", clock(t.depart)),
                        fact("arrives at", clock(t.arrive)),
                        fact("records", t.records.to_string()),
                        fact("held at a cut link", if t.held { "yes" } else { "no" }),
                    ]
                },
            )
        }),
        Some(Selection::Record(_)) | None => Vec::new(),
    }
}

#[component]
fn Facts(bench: Bench) -> impl IntoView {
    let list = Memo::new(move |_| facts(bench));
    let record = move || match bench.selected.get() {
        Some(Selection::Record(r)) => Some(r),
        _ => None,
    };
    view! {
        <dl class="facts" data-testid="facts">
            {move || {
                let mut group = String::new();
                list.get()
                    .into_iter()
                    .map(|f| {
                        // `orders-0 · role` stands under its own heading.
                        let (of, label) = match f.label.split_once(" · ") {
                            Some((of, label)) => (of.to_owned(), label.to_owned()),
                            None => (String::new(), f.label.clone()),
                        };
                        let heading = (of != group).then(|| match of.as_str() {
                            "" => "Settings of this node".to_owned(),
                            of => of.to_owned(),
                        });
                        group = of;
                        view! { <FactRow bench heading label fact=f /> }
                    })
                    .collect_view()
            }}
        </dl>
        {move || record().map(|record| view! { <Life bench record /> })}
    }
}

#[component]
fn FactRow(
    bench: Bench,
    #[prop(optional_no_strip)] heading: Option<String>,
    label: String,
    fact: Fact,
) -> impl IntoView {
    let (full, value) = (fact.label, fact.value.clone());
    let ask = fact.subject.map(|subject| {
        let title = match full.split_once(" · ") {
            Some((of, what)) => format!("{of}: why is {what} {value}?"),
            None => format!("Why is {full} {value}?"),
        };
        let title_for_reader = title.clone();
        let ask = move |_| {
            bench.why.set(Some(WhyQuestion {
                subject: subject.clone(),
                title: title.clone(),
            }))
        };
        view! {
            <button
                type="button"
                class="link-button"
                data-testid="why"
                aria-label=title_for_reader
                on:click=ask
            >
                "why?"
            </button>
        }
    });
    view! {
        {heading.map(|h| view! { <dt class="facts-group">{h}</dt> })}
        <dt>{label}</dt>
        <dd>
            <span class="mono">{fact.value}</span>
            {ask}
        </dd>
    }
}

/// What happened to one record, as steps one can go to.
#[component]
pub(crate) fn Life(bench: Bench, record: u64) -> impl IntoView {
    let life = move || {
        bench.slow_tick.track();
        bench.ask(|s| s.life(record)).flatten()
    };
    view! {
        {move || match life() {
            None => {
                view! { <p class="muted small">"Not sent yet at this moment."</p> }.into_any()
            }
            Some(life) => {
                view! {
                    <ol class="chain" data-testid="life">
                        {life
                            .steps
                            .into_iter()
                            .map(|s| view! { <ChainStep bench time=s.time event=s.event text=s.text /> })
                            .collect_view()}
                    </ol>
                }
                    .into_any()
            }
        }}
    }
}

/// The answer to the open question: a short numbered chain, most immediate cause first.
#[component]
fn WhyChain(bench: Bench) -> impl IntoView {
    // Answered once, for the moment of the question: its steps lead to other moments, and the
    // answer must stand while one walks along them.
    let answer = Memo::new(move |_| {
        let question = bench.why.get()?;
        let steps = bench.ask(|s| s.why(&question.subject)).unwrap_or_default();
        Some((question, steps))
    });
    move || {
        let (question, steps) = answer.get()?;
        Some(view! { <WhyAnswer bench question steps /> })
    }
}

#[component]
fn WhyAnswer(bench: Bench, question: WhyQuestion, steps: Vec<WhyStep>) -> impl IntoView {
    let unknown = steps.is_empty().then(|| {
        view! {
            <p class="muted small">
                "No rule has changed this yet: it is as the scenario set it at the start."
            </p>
        }
    });
    let all = RwSignal::new(false);
    let more = steps.len().saturating_sub(STEPS_FIRST);
    let shown = move || if all.get() { usize::MAX } else { STEPS_FIRST };
    view! {
        <section class="why" data-testid="why-chain" aria-live="polite">
            <h3>{question.title}</h3>
            {unknown}
            <ol class="chain">
                {move || steps
                    .clone()
                    .into_iter()
                    .take(shown())
                    .map(|s| {
                        let rule = match (s.rule, s.source) {
                            (Some(rule), Some(source)) => Some(format!("{rule} · {source}")),
                            (Some(only), None) | (None, Some(only)) => Some(only),
                            (None, None) => None,
                        };
                        view! { <ChainStep bench time=s.time event=s.event text=s.text rule /> }
                    })
                    .collect_view()}
            </ol>
            <Show when=move || { more != 0 && !all.get() }>
                <button type="button" class="link-button small" on:click=move |_| all.set(true)>
                    {format!("{more} earlier causes")}
                </button>
            </Show>
        </section>
    }
}

#[component]
fn ChainStep(
    bench: Bench,
    time: u64,
    event: u64,
    text: String,
    #[prop(optional_no_strip)] rule: Option<String>,
) -> impl IntoView {
    let go = move |_| {
        bench.travel(|h| {
            h.set_playing(false);
            // Events are counted from 0: this is the moment right after it.
            h.seek_event(event + 1);
        });
    };
    view! {
        <li>
            <button type="button" class="chain-time mono" title="Go to this moment" on:click=go>
                {clock(time)}
            </button>
            <span>{text}</span>
            {rule.map(|r| view! { <span class="chain-rule">{r}</span> })}
        </li>
    }
}
