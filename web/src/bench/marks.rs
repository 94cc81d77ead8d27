//! The legend of what transactions and compaction leave on the strips. It stands under the stage's
//! own legend, and only while the picture shows such marks: most runs have none. What it says is
//! what a cell's name says to a screen reader.

use leptos::prelude::*;
use sim_core::view::StageView;

use super::Bench;

/// A window from this width on has the legend open, as the stage's own.
const OPEN_FROM: f64 = 640.0;

/// Sample and words.
type Sign = (&'static str, &'static str);

const TRANSACTIONS: [Sign; 5] = [
    ("st-cell st-open", "in an open transaction"),
    ("st-cell st-aborted", "in an aborted transaction"),
    ("st-cell st-commit", "commit marker"),
    ("st-cell st-abort", "abort marker"),
    (
        "stable",
        "LSO, last stable offset: read_committed reads up to it",
    ),
];

const REMOVED: Sign = ("st-cell st-gap", "no record any more: compacted");

/// Whether a copy on view has offsets without a record between others.
fn has_gaps(view: &StageView) -> bool {
    let mut lanes = view.nodes.iter().flat_map(|node| &node.lanes);
    lanes.any(|lane| {
        let pairs = lane.cells.iter().zip(lane.cells.iter().skip(1));
        pairs.into_iter().any(|(a, b)| b.offset - a.offset > 1)
    })
}

/// What there is to explain.
fn signs(view: &StageView, transactions: bool) -> Vec<Sign> {
    let transactions = transactions.then_some(TRANSACTIONS).into_iter().flatten();
    transactions
        .chain(has_gaps(view).then_some(REMOVED))
        .collect()
}

/// The legend; nothing where the stage's own says it all.
#[component]
pub(super) fn MarksLegend(bench: Bench) -> impl IntoView {
    let found = Memo::new(move |_| {
        bench.view.with(|view| {
            let transactions = bench.ask(|s| s.shows_transactions(view)) == Some(true);
            signs(view, transactions)
        })
    });
    let wide = || {
        let width = window().inner_width().ok().and_then(|it| it.as_f64());
        width.is_none_or(|it| it >= OPEN_FROM)
    };
    let sign = |(class, words): Sign| {
        view! {
            <li>
                <span class=format!("st-sample {class}") aria-hidden="true"></span>
                {words}
            </li>
        }
    };
    let some = move || found.with(|it| !it.is_empty());
    view! {
        <Show when=some>
            <details class="stage-legend of-marks" data-testid="marks-legend" open=wide()>
                <summary>"Legend of transactions and compaction"</summary>
                <ul>{move || found.get().into_iter().map(sign).collect_view()}</ul>
            </details>
        </Show>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::fixture::{Situation, view};

    #[test]
    fn only_what_the_picture_can_show_is_explained() {
        let mut calm = view(Situation::Calm, 0);
        assert_eq!(signs(&calm, false), []);
        assert_eq!(signs(&calm, true), TRANSACTIONS);
        let lanes = calm.nodes.iter_mut().flat_map(|node| &mut node.lanes);
        for lane in lanes.take(1) {
            lane.cells.remove(1);
        }
        assert_eq!(signs(&calm, false), [REMOVED]);
    }
}
