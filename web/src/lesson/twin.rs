//! A twin: the same seed with one knob changed. The table is what the build found; the button puts
//! both runs on the workbench, side by side at the moment they part.

use leptos::prelude::*;

use super::Shown;
use super::model::{Compared, Twin};
use crate::bench::Tab;
use crate::format::spoken;
use crate::host::Recipe;
use crate::ui::icon;

/// The block.
#[component]
pub(super) fn TwinBlock(
    shown: Shown,
    at: usize,
    twin: Twin,
    #[prop(optional_no_strip)] found: Option<Compared>,
) -> impl IntoView {
    let knob = twin.set.rsplit('/').next().unwrap_or_default().to_owned();
    let value = match &twin.to {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(keys) => {
            let each: Vec<String> = keys.iter().map(|(k, v)| format!("{k} = {v}")).collect();
            each.join(", ")
        }
        other => other.to_string(),
    };
    let (one, other) = twin.names.clone();
    let table = found.clone().map(|found| {
        view! {
            <p class="small">"They part at " <span class="mono">{spoken(found.time)}</span> "."</p>
            <div class="table-wrap" tabindex="0" role="region" aria-label="The two runs compared">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">{found.moment}</th>
                            <th scope="col" class="num">
                                {one}
                            </th>
                            <th scope="col" class="num">
                                {other}
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {found
                            .values
                            .into_iter()
                            .map(|(what, a, b)| {
                                let differ = a != b;
                                view! {
                                    <tr class:is-now=differ>
                                        <th scope="row" class="mono">
                                            {what}
                                        </th>
                                        <td class="num">{a}</td>
                                        <td class="num">{b}</td>
                                    </tr>
                                }
                            })
                            .collect_view()}
                    </tbody>
                </table>
            </div>
        }
    });
    let found = StoredValue::new(found);
    let twin = StoredValue::new(twin);
    let show = move |_| {
        shown.follow(at);
        let Some(found) = found.get_value() else {
            return;
        };
        let (scenario, name) = twin.with_value(|t| (t.scenario.clone(), t.names.1.clone()));
        if !shown.stage(&scenario) {
            return;
        }
        let id = shown.bench.host(|h| {
            h.rename_branch(h.current(), &twin.with_value(|t| t.names.0.clone()));
            (
                h.current(),
                h.keep_branch(&name, Recipe::of(found.twin_text.clone())),
            )
        });
        shown.bench.compared.set(id);
        shown.bench.edited();
        // What the knob did shows at the end; the moment they part is one click away.
        shown.bench.travel(|h| {
            let end = h.session().duration();
            h.seek(end);
        });
        shown.bench.tab.set(Tab::COMPARE);
    };
    view! {
        <section class="twin-block card" data-testid="twin">
            <p class="kicker">"Twins: same seed, one knob"</p>
            <p>
                <code>{knob}</code>
                " set to "
                <code>{value}</code>
            </p>
            {table}
            <div class="actions">
                <button type="button" class="button" data-testid="show-twins" on:click=show>
                    {icon("branch")}
                    "Show both side by side"
                </button>
            </div>
        </section>
    }
}
