//! What the board of a job shows, in words: for those who do not see it.

use sim_core::view::{
    ChannelView, EventTimePlot, JobPartition, JobTopic, JobView, PlotWindow, PurgedBox,
    SnapshotView, SubtaskView, WindowBox, event_time_words, window_words,
};

use crate::format::spoken;

/// The last of a vertex's operators: who sends.
pub(super) fn last(job: &JobView, vertex: u16) -> &str {
    let name = job.vertex(vertex).map_or("?", |it| it.name.as_str());
    name.rsplit(" → ").next().unwrap_or(name)
}

/// The sender of a channel.
pub(super) fn sender(job: &JobView, it: &ChannelView) -> String {
    format!("{} #{}", last(job, it.from.0), it.from.1)
}

/// A subtask by the first of its operators.
pub(super) fn task(job: &JobView, (vertex, number): (u16, u32)) -> String {
    let name = job.vertex(vertex).map_or("?", |it| it.name.as_str());
    let first = name.split(" → ").next().unwrap_or(name);
    format!("{first} #{number}")
}

/// A task's part of a checkpoint.
pub(super) fn snapshot(job: &JobView, it: &SnapshotView) -> String {
    let size = match it.bytes {
        0 => String::new(),
        bytes => format!(", {bytes} B"),
    };
    format!("{}: {}{size}", task(job, it.task), it.stage)
}

/// Whether anything reads from a vertex within the job.
pub(super) fn is_read(job: &JobView, vertex: u16) -> bool {
    job.edges.iter().any(|it| it.from == vertex)
}

/// Records that went in and out; nothing where that is not known.
pub(super) fn records(job: &JobView, it: &SubtaskView) -> Option<(u64, Option<u64>)> {
    let out = is_read(job, it.vertex).then_some(it.records_out);
    it.counted.then_some((it.records_in, out))
}

/// A channel with its queue.
pub(super) fn channel(job: &JobView, it: &ChannelView) -> String {
    let mut out = format!(
        "channel from {}: {} buffers wait at the sender, {} cross, {} wait here",
        sender(job, it),
        it.waiting,
        it.crossing.iter().filter(|it| it.barrier.is_none()).count(),
        it.queued
    );
    let crossing = it.crossing.iter().filter_map(|it| it.barrier);
    for id in it
        .barriers_waiting
        .iter()
        .copied()
        .chain(crossing)
        .chain(it.barriers.iter().copied())
    {
        out.push_str(&format!(", barrier of checkpoint {id} in it"));
    }
    if it.held {
        out.push_str(", held until the other barriers are here");
    }
    out.push_str(&format!(", watermark {}", event_time_words(it.watermark)));
    out
}

/// A window.
pub(super) fn window(it: &WindowBox) -> String {
    let fired = if it.fired { ", has fired" } else { "" };
    format!(
        "window {} of {}: {}{fired}",
        window_words(it.start, it.end),
        it.key,
        it.value
    )
}

/// A topic with its partitions.
pub(super) fn topic(job: &JobView, it: &JobTopic) -> String {
    let way = if it.sink { "written to by" } else { "read by" };
    let mut parts = vec![format!("Topic {}, {way} {}", it.name, it.operator)];
    for at in &it.partitions {
        let mut words = partition(it, at);
        if let Some(reader) = at.reader {
            words.push_str(&format!(", read by {}", task(job, (it.vertex, reader))));
        }
        parts.push(words);
    }
    parts.join("; ")
}

/// A partition of a topic with its offsets.
pub(super) fn partition(topic: &JobTopic, it: &JobPartition) -> String {
    let Some(end) = it.end else {
        return format!("partition {}: no leader that runs", it.number);
    };
    let mut out = format!("partition {}: log end {end}", it.number);
    if let Some(stable) = it.stable.filter(|_| topic.stable_matters) {
        out.push_str(&format!(", last stable offset {stable}"));
    }
    if let Some(at) = it.position {
        out.push_str(&format!(", position {at}"));
        match it.checkpointed {
            Some(at) => out.push_str(&format!(", {at} in the newest checkpoint")),
            None => out.push_str(", in no checkpoint yet"),
        }
    }
    out
}

/// A window that is gone.
pub(super) fn purged(it: &PurgedBox) -> String {
    format!(
        "window {} of {} purged at {}: {}",
        window_words(it.start, it.end),
        it.key,
        spoken(it.at),
        it.why
    )
}

/// What a checkpoint waits for at a task, as short as a card needs it.
pub(super) fn waits(stage: &'static str) -> &'static str {
    stage.split(", ").next().unwrap_or(stage)
}

/// What a subtask does.
pub(super) fn doing(it: &SubtaskView) -> &'static str {
    if it.runs { it.doing } else { it.state }
}

/// Shares of a subtask's time.
pub(super) fn shares(it: &SubtaskView) -> String {
    let percent = |ppm: u32| (ppm + 5_000) / 10_000;
    let (_, busy, held) = it.time_ppm;
    format!(
        "busy {} %, backpressured {} %",
        percent(busy),
        percent(held)
    )
}

/// All of a subtask.
pub(super) fn subtask(job: &JobView, it: &SubtaskView) -> String {
    let name = job.vertex(it.vertex).map_or("?", |it| it.name.as_str());
    let mut parts = vec![format!("{name} #{}", it.number)];
    match &it.task_manager {
        Some((_, manager)) => parts.push(format!("on {manager}, {}", it.state)),
        None => parts.push(it.state.to_owned()),
    }
    if it.runs {
        parts.push(doing(it).to_owned());
    }
    if let Some((input, out)) = records(job, it) {
        parts.push(shares(it));
        if job.timed {
            parts.push(format!("watermark {}", event_time_words(it.watermark)));
        }
        let out = out.map_or_else(String::new, |it| format!(", {it} out"));
        parts.push(format!("{input} records in{out}"));
    }
    if let Some((first, last)) = it.key_groups {
        parts.push(format!("owns key groups {first} to {last}"));
    }
    parts.extend(it.trees.iter().map(super::files::said));
    parts.extend(it.channels.iter().map(|it| channel(job, it)));
    parts.extend(it.windows.iter().map(window));
    parts.extend(it.purged.iter().map(purged));
    if let Some((id, waits)) = it.checkpoint {
        parts.push(format!("checkpoint {id}: {waits}"));
    }
    parts.join("; ")
}

/// What became of each window of the plot, the newest first, and then of each record.
pub(super) fn plot_rows(plot: &EventTimePlot) -> Vec<String> {
    let windows = plot.windows.iter().rev().take(20).map(plot_window);
    let each = plot.records.iter().rev().take(100);
    let each = each.map(|it| format!("At {}: {}", spoken(it.at), it.text));
    windows.chain(each).collect()
}

/// When a window of the plot fired, and when and why it was purged.
pub(super) fn plot_window(it: &PlotWindow) -> String {
    let name = window_words(it.start, it.end);
    let fired = match it.times {
        0 => "did not fire".to_owned(),
        1 => format!("fired at {}", spoken(it.at)),
        many => format!("fired {many} times, first at {}", spoken(it.at)),
    };
    match &it.purged {
        Some((at, why)) => {
            format!(
                "Window {name} {fired}, and was purged at {}: {why}.",
                spoken(*at)
            )
        }
        None => format!("Window {name} {fired}."),
    }
}
