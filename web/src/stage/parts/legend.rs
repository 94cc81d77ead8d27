//! What the marks mean. Only what the picture can show is named.

use leptos::prelude::*;

use super::Shared;
use crate::stage::scene::words;
use crate::stage::shapes;

fn token(shape: sim_core::view::Shape) -> AnyView {
    view! {
        <li>
            <svg viewBox="-11 -11 22 22" width="18" height="18" aria-hidden="true">
                <path d=shapes::outline(shape) />
            </svg>
            {words::shape(shape)}
        </li>
    }
    .into_any()
}

fn sample(class: &'static str, words: &'static str) -> AnyView {
    view! { <li><span class=format!("st-sample {class}") aria-hidden="true"></span>{words}</li> }
        .into_any()
}

/// The legend under the plane; folded on narrow stages by the style sheet's summary.
#[component]
pub(in crate::stage) fn Legend(
    /// What the parts share.
    shared: Shared,
) -> impl IntoView {
    let matrix = Memo::new(move |_| {
        shared
            .layout
            .with(|l| !l.plan.rows.is_empty() && l.plan.groups.is_empty())
    });
    let wide = Memo::new(move |_| shared.layout.with(|l| l.plan.width >= 640.0));
    let counts = Memo::new(move |_| {
        shared
            .layout
            .with(|l| l.plan.rows.iter().any(|r| r.lanes.len() > 1))
    });
    let cells = move || {
        if counts.get() {
            view! {
                {sample("bar lead", "partitions that it leads")}
                {sample("bar st-kept", "follows in sync")}
                {sample("bar stale", "follows out of sync")}
            }
            .into_any()
        } else if matrix.get() {
            view! {
                {sample("bar lead", "leader, up to the strandline")}
                {sample("bar st-kept", "follower in sync")}
                {sample("bar st-tail", "beyond the strandline")}
                {sample("bar stale", "out of sync")}
                {sample("wave", "strandline")}
            }
            .into_any()
        } else {
            view! {
                {sample("st-cell st-kept", "committed: on every in-sync copy")}
                {sample("st-cell st-tail", "not yet committed")}
                {sample("st-cell st-kept st-unflushed", "not yet on disk")}
                {sample("st-cell st-diverged", "differs from another copy")}
                {sample("st-cell st-gone", "truncated or lost")}
                {sample("wave", "strandline: the high watermark")}
            }
            .into_any()
        }
    };
    view! {
        <details class="stage-legend" open=wide>
            <summary>"Legend"</summary>
            <ul>
                {cells}
                {shapes::ALL.map(token).collect_view()}
            </ul>
        </details>
    }
}
