//! What the `[stream]` section says of what comes out.

use super::items::{KeyName, Millis, RowValue, RowWindow, Rows};
use crate::scenario::{choice, document};
use crate::stream::rules::join::RowKind;
use crate::stream::rules::pane::Timing;

document! {
    /// What a sink is to hold at the end.
    pub(crate) struct RawOutput {
        "sink" => sink: String, required, "The sink.";
        "ordered" => ordered: bool, optional, "Whether the order of rows counts too (default false).";
        "changelog" => changelog: bool, optional, "Whether the rows are all that was written, with those that take others back (default false: what is left of them).";
        "rows" => rows: Rows<RawExpectedRow>, required, "The rows that are committed then: all of them and no others.";
    }
}

document! {
    /// A row that a sink is to hold. What is left out may be anything.
    pub(crate) struct RawExpectedRow {
        "key" => key: KeyName, optional, "Its key.";
        "value" => value: RowValue, optional, "Its value: a number, a list of them, or \"null\".";
        "right" => right: RowValue, optional, "The right side's value, in what a join puts out.";
        "window" => window: RowWindow, optional, "Start and end of its window.";
        "ts" => ts: Millis, optional, "Its event time.";
        "kind" => kind: KindWord, optional, "With changelog: what it does.";
        "pane" => pane: u32, optional, "How many results of the same key and window came before it.";
        "timing" => timing: TimingWord, optional, "When its window said it.";
    }
}

choice! {
    /// What a row of a changelog does.
    pub(crate) enum KindWord {
        "+I" => Insert, "It is new.";
        "-U" => UpdateBefore, "It is taken back, for another.";
        "+U" => UpdateAfter, "It stands in the place of one that was taken back.";
        "-D" => Delete, "It is taken back.";
    }
}

impl KindWord {
    pub(super) fn rule(self) -> RowKind {
        match self {
            KindWord::Insert => RowKind::Insert,
            KindWord::UpdateBefore => RowKind::UpdateBefore,
            KindWord::UpdateAfter => RowKind::UpdateAfter,
            KindWord::Delete => RowKind::Delete,
        }
    }
}

choice! {
    /// When a window says something, seen from its end.
    pub(crate) enum TimingWord {
        "early" => Early, "Before the watermark passes it.";
        "on-time" => OnTime, "As the watermark passes it.";
        "late" => Late, "After that.";
    }
}

impl TimingWord {
    pub(super) fn rule(self) -> Timing {
        match self {
            TimingWord::Early => Timing::Early,
            TimingWord::OnTime => Timing::OnTime,
            TimingWord::Late => Timing::Late,
        }
    }
}
