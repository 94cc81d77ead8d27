//! The truth ledger. The strip of counters is always on view, zeroes included: nothing lost is a
//! result as well. The tab lists records with what became of each.

use leptos::prelude::*;
use sim_core::view::LedgerView;

use super::inspector::Life;
use super::{Bench, use_bench};
use crate::format::{clock, count};
use crate::stage::Selection;

/// Records per page of the table.
const PAGE: u64 = 25;

/// A counter: its field, its name, what it counts, whether anything but zero is harm.
struct Counter {
    key: &'static str,
    name: &'static str,
    help: &'static str,
    read: fn(&LedgerView) -> u64,
    harm: bool,
}

const COUNTERS: [Counter; 8] = [
    Counter {
        key: "sent",
        name: "sent",
        help: "Records given to send()",
        read: |l| l.sent,
        harm: false,
    },
    Counter {
        key: "acknowledged",
        name: "acknowledged",
        help: "Records whose write was confirmed to the producer",
        read: |l| l.acknowledged,
        harm: false,
    },
    Counter {
        key: "failed",
        name: "failed",
        help: "Records whose write failed as the producer sees it",
        read: |l| l.failed,
        harm: false,
    },
    Counter {
        key: "committed",
        name: "on every ISR",
        help: "Records below the high watermark: on every in-sync replica",
        read: |l| l.committed,
        harm: false,
    },
    Counter {
        key: "delivered",
        name: "delivered",
        help: "Distinct records handed to a consumer",
        read: |l| l.delivered,
        harm: false,
    },
    Counter {
        key: "lost",
        name: "lost",
        help: "Acknowledged records that no live or recoverable log holds any more",
        read: |l| l.lost,
        harm: true,
    },
    Counter {
        key: "duplicated",
        name: "duplicated",
        help: "Records that stand at more than one offset",
        read: |l| l.duplicated,
        harm: true,
    },
    Counter {
        key: "reordered",
        name: "reordered",
        help: "Records of one key and producer that stand in another order than sent",
        read: |l| l.reordered,
        harm: true,
    },
];

/// Names and values of all counters, for tables that compare runs.
pub(crate) fn counters(ledger: &LedgerView) -> Vec<(&'static str, u64, bool)> {
    COUNTERS
        .iter()
        .map(|c| (c.name, (c.read)(ledger), c.harm))
        .collect()
}

/// The row of counters.
#[component]
pub(crate) fn LedgerStrip() -> impl IntoView {
    let bench = use_bench();
    let cell = move |c: &'static Counter| {
        let value = Memo::new(move |_| bench.ledger.with(c.read));
        view! {
            <div
                class="count"
                class:is-harm=move || c.harm && value.get() != 0
                class:is-proven=move || c.harm && value.get() == 0
                title=c.help
            >
                <dt>{c.name}</dt>
                <dd class="mono" data-testid=format!("count-{}", c.key)>
                    {move || count(value.get())}
                </dd>
            </div>
        }
    };
    view! {
        <dl class="ledger-strip" data-testid="ledger" aria-label="Truth ledger">
            {COUNTERS.iter().map(cell).collect_view()}
        </dl>
    }
}

/// The tab: the newest records first, a page at a time.
#[component]
pub(crate) fn LedgerPanel() -> impl IntoView {
    let bench = use_bench();
    let page = RwSignal::new(0u64);
    let sent = Memo::new(move |_| bench.ledger.with(|l| l.sent));
    let pages = move || sent.get().div_ceil(PAGE).max(1);
    let rows = Memo::new(move |_| {
        bench.tick.track();
        rows(bench, sent.get(), page.get().min(pages() - 1))
    });
    view! {
        <div class="panel-tools">
            <p class="muted small grow">
                "Each record, newest first, with the last thing that happened to it. Choose one to
                see its life in the inspector."
            </p>
            <button
                type="button"
                class="button small"
                disabled=move || page.get() == 0
                on:click=move |_| page.update(|p| *p = p.saturating_sub(1))
            >
                "Newer"
            </button>
            <span class="small mono">{move || format!("{} / {}", page.get() + 1, pages())}</span>
            <button
                type="button"
                class="button small"
                disabled=move || page.get() + 1 >= pages()
                on:click=move |_| page.update(|p| *p += 1)
            >
                "Older"
            </button>
        </div>
        <div class="table-wrap panel-scroll">
            <table class="table">
                <thead>
                    <tr>
                        <th scope="col" class="num">"Record"</th>
                        <th scope="col">"Last"</th>
                        <th scope="col">"What happened"</th>
                        <th scope="col" class="num">"Steps"</th>
                    </tr>
                </thead>
                <tbody data-testid="ledger-rows">
                    <For each=move || rows.get() key=|r| r.clone() let:row>
                        <RecordRow bench row />
                    </For>
                </tbody>
            </table>
        </div>
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Row {
    record: u64,
    time: u64,
    text: String,
    steps: usize,
}

fn rows(bench: Bench, sent: u64, page: u64) -> Vec<Row> {
    let newest = sent.saturating_sub(page * PAGE);
    let oldest = newest.saturating_sub(PAGE);
    let found = bench.ask(|s| {
        (oldest..newest)
            .rev()
            .filter_map(|record| {
                let life = s.life(record)?;
                let last = life.steps.last()?;
                let (time, text) = (last.time, last.text.clone());
                Some(Row {
                    record,
                    time,
                    text,
                    steps: life.steps.len(),
                })
            })
            .collect()
    });
    found.unwrap_or_default()
}

#[component]
fn RecordRow(bench: Bench, row: Row) -> impl IntoView {
    let record = row.record;
    let open = move || bench.selected.get() == Some(Selection::Record(record));
    view! {
        <tr class:is-now=open>
            <td class="num">
                <button
                    type="button"
                    class="link-button"
                    aria-label=format!("Life of record {record}")
                    on:click=move |_| bench.selected.set(Some(Selection::Record(record)))
                >
                    {record}
                </button>
            </td>
            <td class="mono nowrap">{clock(row.time)}</td>
            <td>{row.text}</td>
            <td class="num">{row.steps}</td>
        </tr>
        <Show when=move || open() && narrow()>
            <tr>
                <td colspan="4">
                    <Life bench record />
                </td>
            </tr>
        </Show>
    }
}

/// On a phone the inspector stands far below, so the life opens in the table as well.
fn narrow() -> bool {
    let query = window().match_media("(max-width: 61.99rem)").ok().flatten();
    query.is_some_and(|q| q.matches())
}
