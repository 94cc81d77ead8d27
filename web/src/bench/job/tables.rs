//! A job as tables, for those who do not see its stage.

use leptos::prelude::*;
use sim_core::view::{CheckpointFailed, JobView, event_time_words, window_words};

use super::super::Bench;
use super::super::groups::{Row, table};
use super::{side, words};
use crate::format::{seconds, span, spoken};

/// Rows of a table at most.
const ROWS_MAX: usize = 60;

/// A table: caption, heads, rows.
type Table = (String, &'static [&'static str], Vec<Row>);

fn subtasks(job: &JobView) -> Table {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let row = |it: &sim_core::view::SubtaskView| {
        let manager = it.task_manager.as_ref().map(|it| it.1.clone());
        let number = |n: Option<u64>| n.map_or_else(|| "not known".to_owned(), |n| n.to_string());
        let records = words::records(job, it);
        let out = match records {
            Some((_, None)) => "to its store".to_owned(),
            records => number(records.and_then(|it| it.1)),
        };
        vec![
            words::task(job, (it.vertex, it.number)),
            manager.unwrap_or_else(|| "none".to_owned()),
            words::doing(it).to_owned(),
            words::shares(it),
            event_time_words(it.watermark),
            number(records.map(|it| it.0)),
            out,
            it.late_dropped.to_string(),
            match it.key_groups {
                Some((first, last)) => format!("{first} to {last}"),
                None => "none".to_owned(),
            },
            format!("{} entries, {} B", it.state_entries, it.state_bytes),
        ]
    };
    let heads = &[
        "subtask",
        "TaskManager",
        "state",
        "time",
        "watermark",
        "records in",
        "records out",
        "late and dropped",
        "key groups",
        "keyed state",
    ];
    let caption = format!("Job {}, attempt {}: subtasks", job.status, job.attempt);
    (caption, heads, tasks.map(row).collect())
}

fn channels(job: &JobView) -> Table {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let rows = tasks.flat_map(|task| {
        task.channels.iter().map(move |it| {
            let crossing = it.crossing.iter().filter_map(|it| it.barrier);
            let barriers = it.barriers_waiting.iter().copied();
            let barriers = barriers.chain(crossing).chain(it.barriers.iter().copied());
            let barriers: Vec<String> = barriers.map(|it| it.to_string()).collect();
            let buffers = it.crossing.iter().filter(|it| it.barrier.is_none());
            vec![
                format!(
                    "{} to {}",
                    words::sender(job, it),
                    words::task(job, (task.vertex, task.number))
                ),
                format!("{} of {}", it.waiting, it.waiting_max),
                buffers.count().to_string(),
                it.queued.to_string(),
                match barriers.is_empty() {
                    true => "none".to_owned(),
                    false => barriers.join(", "),
                },
                match it.held {
                    true => "held until the other barriers are here".to_owned(),
                    false => "no".to_owned(),
                },
                event_time_words(it.watermark),
            ]
        })
    });
    let heads = &[
        "channel",
        "buffers at the sender",
        "crossing",
        "buffers at the receiver",
        "barriers of checkpoints",
        "held",
        "watermark",
    ];
    ("Channels".to_owned(), heads, rows.collect())
}

fn windows(job: &JobView) -> Table {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let rows = tasks.flat_map(|task| {
        task.windows.iter().map(move |it| {
            vec![
                words::task(job, (task.vertex, task.number)),
                it.key.clone(),
                window_words(it.start, it.end),
                it.value.clone(),
                ["no", "yes, and is kept"][usize::from(it.fired)].to_owned(),
            ]
        })
    });
    let heads = &["subtask", "key", "window", "would say", "has fired"];
    ("Open windows".to_owned(), heads, rows.collect())
}

fn under_way(job: &JobView, now: u64) -> Vec<Table> {
    let each = job.checkpoints.under_way.iter().map(|it| {
        let rows = it.each.iter().map(|it| {
            let bytes = match it.bytes {
                0 => "not known yet".to_owned(),
                bytes => format!("{bytes} B"),
            };
            vec![words::task(job, it.task), it.stage.to_owned(), bytes]
        });
        let caption = format!(
            "Checkpoint {} under way for {}: {} of {} tasks have acknowledged it",
            it.id,
            seconds(now.saturating_sub(it.since)),
            it.acknowledged,
            it.tasks
        );
        let heads: &[&str] = &["subtask", "snapshot", "size"];
        (caption, heads, rows.collect())
    });
    each.collect()
}

fn completed(job: &JobView) -> Table {
    let row = |it: &sim_core::view::CheckpointDone| {
        let kind = ["checkpoint", "savepoint"][usize::from(it.savepoint)];
        vec![
            format!("{kind} {}", it.id),
            span(it.took),
            format!("{} B", it.bytes),
            format!("{} B", it.uploaded),
            format!("{} B", it.in_flight_bytes),
            format!("{} ms", it.alignment_ms),
            ["aligned", "unaligned"][usize::from(it.unaligned)].to_owned(),
        ]
    };
    let heads = &[
        "completed",
        "took",
        "size",
        "written for it",
        "overtaken buffers in it",
        "longest alignment",
        "kind",
    ];
    let it = &job.checkpoints;
    let caption = format!(
        "Completed checkpoints, {} ever, {} failed; the storage keeps {} states, {} B",
        it.counts.0, it.counts.1, it.stored.0, it.stored.1
    );
    (caption, heads, it.completed.iter().map(row).collect())
}

fn failed(job: &JobView) -> Table {
    let row = |it: &CheckpointFailed| {
        let kind = ["checkpoint", "savepoint"][usize::from(it.savepoint)];
        vec![
            format!("{kind} {}", it.id),
            spoken(it.at),
            span(it.took),
            it.reason.to_owned(),
            format!("{} of {}", it.acknowledged, it.tasks),
        ]
    };
    let heads = &["failed", "at", "after", "reason", "acknowledged by tasks"];
    let caption = "Failed checkpoints, the newest first".to_owned();
    let rows = job.checkpoints.failed.iter().map(row);
    (caption, heads, rows.collect())
}

fn purged(job: &JobView) -> Table {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let rows = tasks.flat_map(|task| {
        task.purged.iter().map(move |it| {
            vec![
                words::task(job, (task.vertex, task.number)),
                it.key.clone(),
                window_words(it.start, it.end),
                spoken(it.at),
                it.why.clone(),
            ]
        })
    });
    let heads = &["subtask", "key", "window", "at", "why"];
    let caption = "Windows that were purged a short while ago".to_owned();
    (caption, heads, rows.collect())
}

fn topics(job: &JobView) -> Vec<Table> {
    let each = job.topics.iter().map(|topic| {
        let offset = |it: Option<i64>| it.map_or("no leader".to_owned(), |it| it.to_string());
        let own = |it: Option<u64>| it.map_or("none".to_owned(), |it| it.to_string());
        let rows = topic.partitions.iter().map(|it| {
            let mut row = vec![
                it.number.to_string(),
                it.leader
                    .as_ref()
                    .map_or("none".to_owned(), |it| it.1.clone()),
                offset(it.end),
                offset(it.high_watermark),
                offset(it.stable),
            ];
            if !topic.sink {
                let reader = it.reader.map(|it| words::task(job, (topic.vertex, it)));
                row.push(reader.unwrap_or_else(|| "none".to_owned()));
                row.push(own(it.position));
                row.push(own(it.checkpointed));
            }
            row
        });
        let heads: &[&str] = match topic.sink {
            true => &TOPIC_HEADS[..5],
            false => TOPIC_HEADS,
        };
        let way = ["is read by", "is written by"][usize::from(topic.sink)];
        let caption = format!("Topic {}, which {way} {}", topic.name, topic.operator);
        (caption, heads, rows.collect())
    });
    each.collect()
}

/// Of a topic that a sink writes to, the first five.
const TOPIC_HEADS: &[&str] = &[
    "partition",
    "leader",
    "log end offset",
    "high watermark",
    "last stable offset",
    "read by",
    "position",
    "in the newest checkpoint",
];

fn stores(job: &JobView) -> Vec<Table> {
    let each = job.stores.iter().map(|it| {
        let rows = it.rows.iter().rev().map(|row| {
            let window = row.window.map(|it| window_words(it.0, it.1));
            let seen = ["no", "yes"][usize::from(row.visible)];
            vec![
                row.key.clone(),
                row.value.clone(),
                window.unwrap_or_else(|| "none".to_owned()),
                row.state.to_owned(),
                seen.to_owned(),
            ]
        });
        let heads: &[&str] = &["key", "value", "window", "state", "visible"];
        let caption = format!(
            "Store {}, {} by {}, the newest rows first; {}",
            it.name,
            it.guarantee,
            it.sink,
            side::store_words(it)
        );
        (caption, heads, rows.collect())
    });
    each.collect()
}

/// All of a job in tables; those without a row are left out.
fn tables(job: &JobView, now: u64) -> Vec<(Table, usize)> {
    let mut all = vec![subtasks(job), channels(job), windows(job), purged(job)];
    all.extend(under_way(job, now));
    if side::has_checkpoints(job) {
        all.push(completed(job));
        all.push(failed(job));
    }
    all.extend(topics(job));
    all.extend(stores(job));
    let cut = |(caption, heads, mut rows): Table| {
        let more = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        ((caption, heads, rows), more)
    };
    let shown = all.into_iter().filter(|it| !it.2.is_empty());
    shown.map(cut).collect()
}

/// The job in tables. Refreshed slowly: it may be read aloud.
#[component]
pub(crate) fn JobTables(bench: Bench) -> impl IntoView {
    let shown = Memo::new(move |_| {
        bench.slow_tick.track();
        let now = bench.view.with_untracked(|v| v.now);
        let job = bench.job.get_untracked();
        job.as_ref()
            .as_ref()
            .map(|job| tables(job, now))
            .unwrap_or_default()
    });
    move || {
        let one = |((caption, heads, rows), more): (Table, usize)| {
            view! {
                {table(caption, heads, rows)}
                {(more > 0).then(|| view! { <p>{format!("and {more} more")}</p> })}
            }
        };
        let all = shown.get();
        (!all.is_empty()).then(|| {
            view! {
                <section class="stage-mirror" aria-label="Job as tables" tabindex="0">
                    {all.into_iter().map(one).collect_view()}
                </section>
            }
        })
    }
}
