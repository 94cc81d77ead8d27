//! Readers of the families of stream processing. Their files hold cases of several mechanisms; each
//! case says in `topic` which.

mod barriers;
mod fault;
mod interval_join;
mod joins;
mod key_groups;
mod pane_words;
mod panes;
pub(crate) mod queueing;
mod temporal_join;
mod valve;
mod watermarks;
mod window_operator;
mod window_words;
mod windows;

use crate::case::{Case, Checked, unknown};

pub(crate) fn check(case: &Case) -> Checked {
    match case.topic.as_str() {
        "interval-join" => interval_join::check(case),
        "temporal-join" => temporal_join::check(case),
        "barrier-aligned" | "barrier-tracker" | "barrier-unaligned" | "barrier-timeout" => {
            match case.has("steps") {
                true => barriers::check_steps(case),
                false => barriers::check(case),
            }
        }
        "two-phase-commit"
        | "kafka-sink"
        | "restart-strategy"
        | "checkpoint-failures"
        | "checkpoint-trigger"
        | "buffer-debloating" => fault::check(case),
        "key-groups" => key_groups::check(case),
        "watermark-generator" => watermarks::generator(case),
        "idleness-timer" => watermarks::idleness(case),
        "watermark-valve" => valve::check(case),
        "split-watermark-combine" => watermarks::splits(case),
        "watermark-alignment" => watermarks::alignment(case),
        "panes" | "late-data" | "triggers" => panes::check(case),
        "window-operator" | "evicting-window-operator" => window_operator::check(case),
        "window-assign" => windows::assign(case),
        "window-merge" | "session-merge" | "merging-windows" => windows::merge(case),
        "window-validate" => windows::validate(case),
        other => Err(unknown("topic", other)),
    }
}
