//! Two runs side by side at the same moment: their stages, their ledgers (of a job: its stores and
//! counters), and the first event at which they part. Twins of lessons and branches of the learner are compared the same way.

use std::sync::Arc;

use leptos::prelude::*;
use sim_core::view::{JobView, LedgerView, LineKind, LogLine, StageView};

use super::job::{self, Beside};
use super::ledger::counters;
use super::{Bench, use_bench};
use crate::format::{clock, count};
use crate::host::{Recipe, Session, open_session};
use crate::stage::{Frame, FrameSlot, Stage, query};

/// Events compared at once when looking for the first difference.
const STRIDE: u32 = 256;
/// Events looked at before the search is given up.
const SEARCH_MAX: u64 = 200_000;

/// One of the two runs.
#[derive(Clone, Copy)]
struct Side {
    session: StoredValue<Option<Session>, LocalStorage>,
    view: RwSignal<Arc<StageView>>,
    ledger: RwSignal<LedgerView>,
    /// The job, where there is no cluster whose records a ledger could follow.
    job: RwSignal<Arc<Option<JobView>>>,
    frame: FrameSlot,
}

/// A run's job, if it is all that there is.
fn job_alone(session: &Session, view: &StageView) -> Option<JobView> {
    session.job().filter(|_| view.lanes.is_empty())
}

impl Side {
    fn open(recipe: Recipe) -> Side {
        let session = open_session(recipe).ok();
        let job = session.as_ref().and_then(|it| {
            let view = it.stage_of(&[], &query(&crate::stage::Zoom::All, &StageView::default()));
            job_alone(it, &view)
        });
        Side {
            session: StoredValue::new_local(session),
            view: RwSignal::new(Arc::default()),
            ledger: RwSignal::new(LedgerView::default()),
            job: RwSignal::new(Arc::new(job)),
            frame: StoredValue::new_local(None),
        }
    }

    fn is_job(self) -> bool {
        self.job.with_untracked(|it| it.is_some())
    }

    /// The counters, as a table shows them.
    fn counters(self) -> Vec<(&'static str, u64, bool)> {
        let of_job = self.job.with(|it| it.as_ref().as_ref().map(job::values));
        of_job.unwrap_or_else(|| self.ledger.with(counters))
    }

    fn show(self, ns: u64) {
        let wanted = self
            .view
            .with_untracked(|v| query(&crate::stage::Zoom::All, v));
        let state = self.session.try_update_value(|s| {
            let session = s.as_mut()?;
            session.seek(ns);
            let view = session.stage_of(&[], &wanted);
            let job = job_alone(session, &view);
            Some((view, session.ledger(), job))
        });
        if let Some(Some((view, ledger, job))) = state {
            self.frame.try_update_value(|draw| {
                if let Some(draw) = draw {
                    draw(&Frame {
                        now_ns: view.now as f64,
                        tokens: &view.tokens,
                        tokens_hidden: view.tokens_hidden,
                        links: &view.links,
                    });
                }
            });
            self.view.set(Arc::new(view));
            self.ledger.set(ledger);
            self.job.set(Arc::new(job));
        }
    }
}

/// Where two transcripts part: the last event of each that has no twin.
#[derive(Clone, PartialEq)]
struct Divergence {
    left: Option<LogLine>,
    right: Option<LogLine>,
}

/// The first line in which the runs differ up to the end of both, `None` if there is none in the
/// part that was searched.
fn first_difference(a: &mut Session, b: &mut Session, until: u64) -> Option<Divergence> {
    a.seek(until);
    b.seek(until);
    let last = a.event().max(b.event()).min(SEARCH_MAX);
    let mut from = 0;
    while from <= last {
        // Timers are the insides of a node; what they lead to is told by messages and rules.
        let told = |lines: Vec<LogLine>| -> Vec<LogLine> {
            lines
                .into_iter()
                .filter(|l| l.kind != LineKind::Timer)
                .collect()
        };
        let (left, right) = (
            told(a.transcript(from, STRIDE)),
            told(b.transcript(from, STRIDE)),
        );
        let n = left.len().max(right.len());
        for i in 0..n {
            let (l, r) = (left.get(i), right.get(i));
            let same = match (l, r) {
                (Some(l), Some(r)) => (l.time, &l.node, &l.text) == (r.time, &r.node, &r.text),
                _ => false,
            };
            if !same {
                return Some(Divergence {
                    left: l.cloned(),
                    right: r.cloned(),
                });
            }
        }
        from += u64::from(STRIDE);
    }
    None
}

/// The tab.
#[component]
pub(crate) fn ComparePanel() -> impl IntoView {
    let bench = use_bench();
    move || {
        let (left, right) = bench.compared.get()?;
        let pair = bench.host(|h| {
            let all = h.branches();
            let find = |id| all.iter().find(|b| b.id == id).cloned();
            Some((find(left)?, find(right)?))
        });
        match pair.flatten() {
            Some((l, r)) => {
                let sides = [(l.name, l.recipe), (r.name, r.recipe)];
                Some(view! { <Compared bench sides /> }.into_any())
            }
            None => Some(view! { <p class="empty">"One of the two runs is gone."</p> }.into_any()),
        }
    }
}

#[component]
fn Compared(bench: Bench, sides: [(String, Recipe); 2]) -> impl IntoView {
    let [(left_name, left), (right_name, right)] = sides;
    let (a, b) = (Side::open(left), Side::open(right));
    let until = bench.hud.with_untracked(|h| h.duration);
    let parted = RwSignal::new(None::<Option<Divergence>>);
    // The search executes both runs to their end, so it waits until the panel stands.
    let search = move || {
        let found = a.session.try_update_value(|l| {
            b.session
                .try_update_value(|r| Some(first_difference(l.as_mut()?, r.as_mut()?, until)))
        });
        if let Some(Some(Some(found))) = found {
            let _ = parted.try_set(Some(found));
            let now = bench.hud.with_untracked(|h| h.now);
            a.show(now);
            b.show(now);
        }
    };
    set_timeout(search, std::time::Duration::from_millis(30));
    Effect::new(move |_| {
        let now = bench.hud.with(|h| h.now);
        a.show(now);
        b.show(now);
    });
    view! {
        <div class="compare panel-scroll" data-testid="compare">
            <Parted bench parted />
            <div class="compare-stages">
                <OneStage bench name=left_name.clone() side=a />
                <OneStage bench name=right_name.clone() side=b />
            </div>
            <Ledgers left=left_name right=right_name a b />
        </div>
    }
}

#[component]
fn OneStage(bench: Bench, name: String, side: Side) -> impl IntoView {
    let stage = if side.is_job() {
        view! { <Beside job=side.job /> }.into_any()
    } else {
        view! {
            <Stage
                view=side.view
                frame=side.frame
                selected=RwSignal::new(None)
                on_menu=Callback::new(move |_| {
                    bench
                        .notices
                        .say(
                            crate::ui::Tone::Sea,
                            "Put this run on stage to break it.",
                        );
                })
            />
        }
        .into_any()
    };
    view! {
        <section class="compare-stage">
            <h3>{name}</h3>
            {stage}
        </section>
    }
}

#[component]
fn Parted(bench: Bench, parted: RwSignal<Option<Option<Divergence>>>) -> impl IntoView {
    let line = move |line: Option<LogLine>| match line {
        Some(l) => {
            let at = if l.node.is_empty() {
                String::new()
            } else {
                format!("{}: ", l.node)
            };
            format!("{at}{}", l.text)
        }
        None => "nothing".to_owned(),
    };
    move || match parted.get() {
        None => view! { <p class="muted small">"Looking for the first difference…"</p> }.into_any(),
        Some(None) => {
            view! { <p class="banner" data-testid="parted">"These two runs are the same."</p> }
                .into_any()
        }
        Some(Some(d)) => {
            let time = [&d.left, &d.right]
                .into_iter()
                .flatten()
                .map(|l| l.time)
                .min()
                .unwrap_or(0);
            view! {
                <div class="banner" data-testid="parted">
                    <p>
                        "They part at "
                        <button
                            type="button"
                            class="link-button mono"
                            on:click=move |_| bench.seek(time)
                        >
                            {clock(time)}
                        </button> "."
                    </p>
                    <p class="small">"Left: " {line(d.left)}</p>
                    <p class="small">"Right: " {line(d.right)}</p>
                </div>
            }
            .into_any()
        }
    }
}

#[component]
fn Ledgers(left: String, right: String, a: Side, b: Side) -> impl IntoView {
    let title = if a.is_job() { "Counters" } else { "Ledger" };
    let rows = move || {
        a.counters()
            .into_iter()
            .zip(b.counters())
            .map(|((name, x, harm), (_, y, _))| {
                view! {
                    <tr class:is-now=x != y>
                        <th scope="row">{name}</th>
                        <td class="num" class:text-harm=harm && x != 0>
                            {count(x)}
                        </td>
                        <td class="num" class:text-harm=harm && y != 0>
                            {count(y)}
                        </td>
                    </tr>
                }
            })
            .collect_view()
    };
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label="The runs compared">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col">{title}</th>
                        <th scope="col" class="num">
                            {left}
                        </th>
                        <th scope="col" class="num">
                            {right}
                        </th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
