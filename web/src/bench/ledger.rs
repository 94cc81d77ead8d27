//! The truth ledger. The strip of counters is always on view, zeroes included: nothing lost is a
//! result as well. The tab lists records with what became of each.

use leptos::prelude::*;
use sim_core::view::LedgerView;

use super::inspector::Life;
use super::{Bench, narrow, use_bench};
use crate::format::count;
use crate::host::{RecordRow, records};
use crate::stage::Selection;
use crate::tree::{Kid, el};
use crate::ui::keep;

/// Records per page of the table.
const PAGE: usize = 50;

/// Fates one can ask for, in the ledger's words.
const FATES: [&str; 5] = ["lost", "duplicated", "reordered", "failed", "under way"];

/// A counter: its field, its name, what it counts, whether anything but zero is harm, and whether a
/// zero is worth a place.
struct Counter {
    key: &'static str,
    name: &'static str,
    help: &'static str,
    read: fn(&LedgerView) -> u64,
    harm: bool,
    /// Not on view while it is zero.
    rare: bool,
}

const COUNTERS: [Counter; 10] = [
    Counter {
        key: "sent",
        name: "sent",
        help: "Records given to send()",
        read: |l| l.sent,
        harm: false,
        rare: false,
    },
    Counter {
        key: "acknowledged",
        name: "acknowledged",
        help: "Records whose write was confirmed to the producer",
        read: |l| l.acknowledged,
        harm: false,
        rare: false,
    },
    Counter {
        key: "failed",
        name: "failed",
        help: "Records whose write failed as the producer sees it",
        read: |l| l.failed,
        harm: false,
        rare: false,
    },
    Counter {
        key: "committed",
        name: "on every ISR",
        help: "Records below the high watermark: on every in-sync replica",
        read: |l| l.committed,
        harm: false,
        rare: false,
    },
    Counter {
        key: "delivered",
        name: "delivered",
        help: "Distinct records handed to a consumer",
        read: |l| l.delivered,
        harm: false,
        rare: false,
    },
    Counter {
        key: "lost",
        name: "lost",
        help: "Acknowledged records that no live or recoverable log holds any more",
        read: |l| l.lost,
        harm: true,
        rare: false,
    },
    Counter {
        key: "duplicated",
        name: "duplicated",
        help: "Records that stand at more than one offset",
        read: |l| l.duplicated,
        harm: true,
        rare: false,
    },
    Counter {
        key: "reordered",
        name: "reordered",
        help: "Records of one key and producer that stand in another order than sent",
        read: |l| l.reordered,
        harm: true,
        rare: false,
    },
    Counter {
        key: "expired",
        name: "expired",
        help: "Records that retention took",
        read: |l| l.expired,
        harm: false,
        rare: true,
    },
    Counter {
        key: "compacted",
        name: "compacted",
        help: "Records that compaction took: a later one has their key, or their time was up",
        read: |l| l.compacted,
        harm: false,
        rare: true,
    },
];

/// Names and values of all counters, for tables that compare runs.
pub(crate) fn counters(ledger: &LedgerView) -> Vec<(&'static str, u64, bool)> {
    COUNTERS
        .iter()
        .map(|c| (c.name, (c.read)(ledger), c.harm))
        .collect()
}

/// The row of counters, as it stands in the list.
pub(crate) fn strip(ledger: &LedgerView) -> Vec<Kid> {
    let cell = |c: &Counter| {
        let value = (c.read)(ledger);
        let class = match (c.harm, value) {
            (true, 0) => "count is-proven",
            (true, _) => "count is-harm",
            (false, _) => "count",
        };
        let number = el("dd")
            .class("mono")
            .test(format!("count-{}", c.key))
            .with(count(value));
        el("div")
            .class(class)
            .is("title", c.help)
            .with(el("dt").with(c.name))
            .with(number)
            .into()
    };
    let shown = COUNTERS.iter().filter(|c| !c.rare || (c.read)(ledger) > 0);
    shown.map(cell).collect()
}

/// The row of counters.
#[component]
pub(crate) fn LedgerStrip() -> impl IntoView {
    let bench = use_bench();
    let list = NodeRef::<leptos::html::Dl>::new();
    keep(list, move || {
        // A job without a cluster sends no records that the ledger could follow.
        let alone = bench.view.with(|it| it.lanes.is_empty());
        let of_job = bench.job.with(|job| {
            let job = job.as_ref().as_ref().filter(|_| alone);
            job.map(super::job::counters)
        });
        of_job.unwrap_or_else(|| bench.ledger.with(strip))
    });
    view! {
        <dl
            class="ledger-strip"
            data-testid="ledger"
            aria-label="Truth ledger"
            node_ref=list
        ></dl>
    }
}

/// What the learner wants to see of the table.
#[derive(Clone, PartialEq, Eq)]
enum Wanted {
    /// All records.
    All,
    /// Only those with this fate.
    Fate(&'static str),
}

/// The tab: the newest records first, a page at a time.
#[component]
pub(crate) fn LedgerPanel() -> impl IntoView {
    let bench = use_bench();
    let page = RwSignal::new(0usize);
    let wanted = RwSignal::new(Wanted::All);
    // (rows of the page, how many there are)
    let rows = Memo::new(move |_| {
        bench.slow_tick.track();
        let skip = page.get() * PAGE;
        let keep = |fate: &str| match wanted.get_untracked() {
            Wanted::All => true,
            Wanted::Fate(only) => only == fate,
        };
        wanted.track();
        bench
            .ask(|s| records(s, skip, PAGE, keep))
            .unwrap_or_default()
    });
    let pages = move || rows.with(|(_, n)| n.div_ceil(PAGE).max(1));
    view! {
        <div class="panel-tools">
            <FateFilter wanted page />
            <span class="grow"></span>
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
                disabled=move || { page.get() + 1 >= pages() }
                on:click=move |_| page.update(|p| *p += 1)
            >
                "Older"
            </button>
        </div>
        <div class="table-wrap panel-scroll" tabindex="0" role="region" aria-label="Records">
            <table class="table records">
                <caption>
                    "Each record, newest first. Choose one to see its life in the inspector."
                </caption>
                <thead>
                    <tr>
                        <th scope="col" class="num">"Record"</th>
                        <th scope="col">"From"</th>
                        <th scope="col">"Key"</th>
                        <th scope="col">"Partition"</th>
                        <th scope="col" class="num">"Offset"</th>
                        <th scope="col">"Fate"</th>
                    </tr>
                </thead>
                <tbody data-testid="ledger-rows">
                    <For each=move || rows.get().0 key=|r| r.clone() let:row>
                        <RecordRowView bench row />
                    </For>
                </tbody>
            </table>
            <Show when=move || rows.with(|(r, _)| r.is_empty())>
                <p class="empty">"No such records at this moment."</p>
            </Show>
        </div>
    }
}

#[component]
fn FateFilter(wanted: RwSignal<Wanted>, page: RwSignal<usize>) -> impl IntoView {
    let choice = move |label: &'static str, this: Wanted| {
        let pressed = this.clone();
        view! {
            <button
                type="button"
                aria-pressed=move || (wanted.get() == pressed).to_string()
                on:click=move |_| {
                    page.set(0);
                    wanted.set(this.clone());
                }
            >
                {label}
            </button>
        }
    };
    view! {
        <div class="segments" role="group" aria-label="Which records">
            {choice("All", Wanted::All)}
            {FATES.into_iter().map(|f| choice(f, Wanted::Fate(f))).collect_view()}
        </div>
    }
}

#[component]
fn RecordRowView(bench: Bench, row: RecordRow) -> impl IntoView {
    let record = row.record;
    let open = move || bench.selected.get() == Some(Selection::Record(record));
    let class = match row.fate {
        "lost" | "duplicated" | "reordered" | "failed" => "chip harm",
        "delivered" => "chip proven",
        "acknowledged" => "chip sea",
        _ => "chip",
    };
    let name = format!("{}", row.ordinal);
    let key_class = row
        .key
        .map_or_else(|| "key".to_owned(), |k| format!("key key-{}", k % 6));
    view! {
        <tr class:is-now=open>
            <td class="num">
                <button
                    type="button"
                    class="link-button"
                    aria-label=format!("Life of record {name}")
                    on:click=move |_| bench.selected.set(Some(Selection::Record(record)))
                >
                    {name.clone()}
                </button>
            </td>
            <td class="mono">{row.source}</td>
            <td>
                <span class=key_class>{row.key.map_or("none".to_owned(), |k| k.to_string())}</span>
            </td>
            <td class="mono">{row.lane}</td>
            <td class="num">{if row.offset < 0 { "–".to_owned() } else { row.offset.to_string() }}</td>
            <td>
                <span class=class>{row.fate}</span>
            </td>
        </tr>
        <Show when=move || open() && narrow()>
            <tr>
                <td colspan="6">
                    <Life bench record />
                </td>
            </tr>
        </Show>
    }
}
