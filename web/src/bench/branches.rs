//! The kept runs: put one on stage, name it, compare it, forget it.

use leptos::prelude::*;

use super::timeline::close_on_escape;
use super::{Bench, Tab, use_bench};
use crate::format::spoken;
use crate::ui::icon;

#[derive(Clone, PartialEq)]
struct Row {
    id: u32,
    name: String,
    from: String,
    deeds: usize,
    current: bool,
}

fn rows(bench: Bench) -> Vec<Row> {
    let rows = bench.host(|h| {
        let current = h.current();
        let all = h.branches().to_vec();
        let name = |id: u32| {
            all.iter()
                .find(|b| b.id == id)
                .map_or_else(String::new, |b| b.name.clone())
        };
        all.iter()
            .map(|b| Row {
                id: b.id,
                name: b.name.clone(),
                from: b.parent.map_or_else(
                    || "from the start".to_owned(),
                    |p| format!("parts from “{}” at {}", name(p), spoken(b.forked_at)),
                ),
                deeds: b.recipe.actions.len(),
                current: b.id == current,
            })
            .collect::<Vec<_>>()
    });
    rows.unwrap_or_default()
}

/// The button with the number of runs, and the list behind it.
#[component]
pub(crate) fn Branches() -> impl IntoView {
    let bench = use_bench();
    let open = RwSignal::new(false);
    let list = Memo::new(move |_| {
        bench.edits.track();
        rows(bench)
    });
    view! {
        <div class="pop-holder">
            <button
                type="button"
                class="button small"
                data-testid="branches"
                aria-expanded=move || open.get().to_string()
                on:click=move |_| open.update(|o| *o = !*o)
            >
                {icon("branch")}
                <span class="label">
                    {move || match list.with(Vec::len) {
                        0 | 1 => "1 run".to_owned(),
                        n => format!("{n} runs"),
                    }}
                </span>
            </button>
            <Show when=move || open.get()>
                <div class="pop-up" on:keydown=move |ev| close_on_escape(&ev, open)>
                    <ol class="branch-list">
                        <For each=move || list.get() key=|r| (r.id, r.current, r.deeds) let:row>
                            <BranchRow bench open row />
                        </For>
                    </ol>
                    <p class="muted small">
                        "A fault set in the past starts a new run there. The old one is kept."
                    </p>
                </div>
            </Show>
        </div>
    }
}

#[component]
fn BranchRow(bench: Bench, open: RwSignal<bool>, row: Row) -> impl IntoView {
    let id = row.id;
    let deeds = match row.deeds {
        0 => "no faults of yours".to_owned(),
        1 => "1 fault of yours".to_owned(),
        n => format!("{n} faults of yours"),
    };
    let select = move |_| {
        bench.host(|h| h.select_branch(id));
        bench.edited();
    };
    let compare = move |_| {
        let current = bench.host(|h| h.current()).unwrap_or_default();
        open.set(false);
        bench.selected.set(None);
        bench.why.set(None);
        bench.compared.set(Some((current, id)));
        bench.tab.set(Tab::COMPARE);
    };
    let forget = move |_| {
        bench.host(|h| h.drop_branch(id));
        bench.edited();
    };
    let rename = move |ev| {
        let name = event_target_value(&ev);
        bench.host(|h| h.rename_branch(id, name.trim()));
        bench.edited();
    };
    let current = row.current;
    view! {
        <li class:is-current=current>
            <label class="sr-only" for=format!("run-{id}")>"Name of this run"</label>
            <input class="input" id=format!("run-{id}") value=row.name on:change=rename />
            <p class="muted small">{row.from} " · " {deeds}</p>
            <div class="actions">
                {if current {
                    view! { <span class="chip sea">"on stage"</span> }.into_any()
                } else {
                    view! {
                        <button
                            type="button"
                            class="button small"
                            data-testid=format!("select-run-{id}")
                            on:click=select
                        >
                            "Put on stage"
                        </button>
                        <button
                            type="button"
                            class="button small"
                            data-testid=format!("compare-run-{id}")
                            on:click=compare
                        >
                            "Compare"
                        </button>
                        <button type="button" class="button small quiet" on:click=forget>
                            "Forget"
                        </button>
                    }
                        .into_any()
                }}
            </div>
        </li>
    }
}
