//! What stands around the graph of a job: its checkpoints, and the stores outside with their rows.

use std::cmp::Reverse;

use sim_core::view::{
    CheckpointDone, CheckpointFailed, JobRow, JobStore, JobView, SnapshotView, window_words,
};

use super::draw::key_class;
use super::words;
use crate::format::{count, seconds, span};
use crate::tree::{El, Kid, el};

/// Whether there is anything to say of checkpoints.
pub(super) fn has_checkpoints(job: &JobView) -> bool {
    let it = &job.checkpoints;
    it.interval_ms > 0 || it.counts != (0, 0) || !it.under_way.is_empty()
}

/// Checkpoints: under way, completed, and what the storage keeps.
pub(super) fn checkpoints(job: &JobView, now: u64) -> Vec<Kid> {
    if !has_checkpoints(job) {
        return Vec::new();
    }
    let it = &job.checkpoints;
    let mut kids: Vec<Kid> = vec![el("h3").with("Checkpoints").into()];
    for it in &it.under_way {
        let since = seconds(now.saturating_sub(it.since));
        let said = format!("{} of {} · {since}", it.acknowledged, it.tasks);
        let line = el("div")
            .class("jb-checkpoint")
            .test("checkpoint-under-way")
            .with(el("b").with(it.id.to_string()))
            .with(el("span").class("mono").with(said))
            .all(it.each.iter().map(|it| snapshot(job, it)));
        let line = match it.acknowledged == it.tasks {
            true => line.with(
                el("span")
                    .class("jb-says")
                    .with("its metadata is being written"),
            ),
            false => line,
        };
        kids.push(line.into());
    }
    // The newest first, whether complete or failed.
    let done = it.completed.iter().map(|it| {
        let chip = el("li").class("chip proven").is("data-end", "completed");
        (it.at, it.id, chip.with(completed(it)))
    });
    let gone = it.failed.iter().map(|it| {
        let chip = el("li").class("chip harm").is("data-end", it.reason);
        let chip = chip.is("title", failed(it)).with(el("b").mute().with("✕ "));
        (
            it.at,
            it.id,
            chip.with(format!("{} · {}", it.id, it.reason)),
        )
    });
    let mut ends: Vec<(u64, i64, El)> = done.chain(gone).collect();
    ends.sort_by_key(|it| Reverse((it.0, it.1)));
    let list = el("ul").class("jb-done").test("checkpoints-completed");
    let list = list.all(ends.into_iter().map(|it| it.2));
    if it.completed.is_empty() && it.failed.is_empty() && it.under_way.is_empty() {
        let none = || match it.counts {
            (0, 0) => "none yet".to_owned(),
            _ => "none kept".to_owned(),
        };
        let said = it.own.map_or_else(none, |(taken, useless)| {
            let (taken, useless) = (count(taken), count(useless));
            format!("none: {taken} snapshots, each a task's own, {useless} of them useless")
        });
        kids.push(el("span").class("muted").with(said).into());
    }
    kids.push(list.into());
    let stored = format!("{} states, {} B", count(it.stored.0), count(it.stored.1));
    let storage = el("span").class("jb-storage").with("storage: ");
    let storage = storage.with(
        el("span")
            .class("mono")
            .test("checkpoint-storage")
            .with(stored),
    );
    kids.push(storage.into());
    kids
}

/// A completed checkpoint: how long it took, and how large it is.
pub(super) fn completed(it: &CheckpointDone) -> String {
    let kind = if it.savepoint { "savepoint " } else { "" };
    let mut text = format!(
        "{kind}{} · {} · {} B",
        it.id,
        span(it.took),
        count(it.bytes)
    );
    if it.uploaded < it.bytes {
        text.push_str(&format!(", {} B new", count(it.uploaded)));
    }
    if it.in_flight_bytes > 0 {
        text.push_str(&format!(", {} B in flight", count(it.in_flight_bytes)));
    }
    if it.alignment_ms > 0 {
        let waited = span(u64::try_from(it.alignment_ms).unwrap_or(0) * 1_000_000);
        text.push_str(&format!(" · aligned {waited}"));
    }
    if it.unaligned {
        text.push_str(" · unaligned");
    }
    text
}

/// A checkpoint that failed: why, after how long, and how far it was.
pub(super) fn failed(it: &CheckpointFailed) -> String {
    let kind = if it.savepoint {
        "savepoint"
    } else {
        "checkpoint"
    };
    format!(
        "{kind} {} failed after {}, acknowledged by {} of {} tasks: {}",
        it.id,
        span(it.took),
        it.acknowledged,
        it.tasks,
        it.reason
    )
}

/// A task's part of a checkpoint: a sign, its name, and what it waits for.
fn snapshot(job: &JobView, it: &SnapshotView) -> El {
    let (class, sign, says) = match it.stage {
        "acknowledged" => ("jb-snap done", "✓", ""),
        "no barrier yet" => ("jb-snap", "○", ""),
        "stored" => ("jb-snap kept", "▣", it.stage),
        "being stored" => ("jb-snap kept", "▤", it.stage),
        "on its way to the storage" => ("jb-snap way", "↑", "to the storage"),
        "aligning" => ("jb-snap waits", "‖", it.stage),
        _ => ("jb-snap waits", "…", it.stage),
    };
    let chip = el("span")
        .class(class)
        .is("title", words::snapshot(job, it))
        .is("data-stage", it.stage);
    let chip = match it.progress_ppm {
        Some(ppm) if class == "jb-snap way" => {
            chip.style(format!("--way:{:.0}%", f64::from(ppm) / 1e4))
        }
        _ => chip,
    };
    chip.with(el("b").mute().with(sign))
        .with(words::task(job, it.task))
        .with(el("span").class("jb-says").with(says))
        .with(el("span").class("sr-only").with(match says {
            "" => it.stage,
            _ => "",
        }))
}

/// What lies in the stores outside.
pub(super) fn stores(job: &JobView) -> Vec<Kid> {
    job.stores.iter().map(|it| store(it).into()).collect()
}

/// How many rows of a store are visible, and how its transactions stand.
pub(super) fn store_words(it: &JobStore) -> String {
    let (open, committed, aborted) = it.transactions;
    let says = format!(
        "{} of {} rows visible to read_committed",
        count(it.visible),
        count(it.total)
    );
    match it.guarantee == "exactly-once" || it.transactions != (0, 0, 0) {
        true => {
            format!("{says} · transactions: {open} open, {committed} committed, {aborted} aborted")
        }
        false => says,
    }
}

fn store(it: &JobStore) -> El {
    // The newest first: what has just been written is in sight.
    let rows = el("ol")
        .class("jb-rows")
        .flag("reversed", true)
        .is("start", it.total.to_string())
        .all(it.rows.iter().rev().map(stored));
    let rows = match it.first {
        0 => rows,
        older => rows.with(
            el("li")
                .class("muted")
                .with(format!("{} older rows", count(older))),
        ),
    };
    el("section")
        .class("jb-store")
        .label(format!("Store {}", it.name))
        .with(
            el("h3").with(it.name.clone()).with(
                el("span")
                    .class("muted")
                    .with(format!(" {} by {}", it.guarantee, it.sink)),
            ),
        )
        .with(
            el("p")
                .class("muted")
                .test(format!("store-{}", it.name))
                .with(store_words(it)),
        )
        .with(rows)
}

fn stored(it: &JobRow) -> El {
    let class = match (it.state, it.visible) {
        ("committed", true) => "jb-stored",
        ("committed", false) => "jb-stored waits",
        ("open", _) => "jb-stored open",
        _ => "jb-stored aborted",
    };
    let state = match (it.state, it.visible) {
        ("committed", true) => "",
        ("committed", false) => "not visible yet",
        (state, _) => state,
    };
    let window = it.window.map(|(start, end)| window_words(start, end));
    el("li")
        .class(class)
        .is("data-state", it.state)
        .with(
            el("span")
                .class(key_class(it.key_number, "jb-key"))
                .with(it.key.clone()),
        )
        .with(el("b").class("mono").with(it.value.clone()))
        .with(
            el("span")
                .class("mono muted")
                .with(window.unwrap_or_default()),
        )
        .with(el("span").class("jb-says").with(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_checkpoint_says_why() {
        let it = CheckpointFailed {
            id: 4,
            savepoint: false,
            at: 0,
            took: 20_000_000_000,
            reason: "CHECKPOINT_EXPIRED",
            acknowledged: 3,
            tasks: 5,
        };
        assert_eq!(
            failed(&it),
            "checkpoint 4 failed after 20 s, acknowledged by 3 of 5 tasks: CHECKPOINT_EXPIRED"
        );
    }

    #[test]
    fn a_checkpoint_says_how_long_and_how_large() {
        let mut it = CheckpointDone {
            id: 2,
            savepoint: false,
            at: 0,
            took: 3_500_000,
            bytes: 1_200,
            uploaded: 1_200,
            in_flight_bytes: 0,
            alignment_ms: 0,
            unaligned: false,
        };
        assert_eq!(completed(&it), "2 · 3.5 ms · 1\u{202f}200 B");
        (it.uploaded, it.in_flight_bytes, it.unaligned) = (200, 1_000, true);
        (it.savepoint, it.alignment_ms) = (true, 3_000);
        assert_eq!(
            completed(&it),
            "savepoint 2 · 3.5 ms · 1\u{202f}200 B, 200 B new, 1\u{202f}000 B in flight · \
             aligned 3 s · unaligned"
        );
    }
}
