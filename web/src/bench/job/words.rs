//! What the board of a job shows, in words: for those who do not see it.

use sim_core::view::{
    ChannelView, EventTimePlot, JobView, SubtaskView, WindowBox, event_time_words,
};

use crate::format::spoken;

/// A moment of the event clock within a window, without its unit.
pub(super) fn bound(ms: i64) -> String {
    match ms {
        i64::MAX => "∞".to_owned(),
        i64::MIN => "−∞".to_owned(),
        _ => event_time_words(Some(ms)).replace(" s", ""),
    }
}

/// The bounds of a window.
pub(super) fn bounds(start: i64, end: i64) -> String {
    format!("[{}, {}) s", bound(start), bound(end))
}

/// The sender of a channel.
pub(super) fn sender(job: &JobView, it: &ChannelView) -> String {
    let name = job.vertex(it.from.0).map_or("?", |it| it.name.as_str());
    // The last of a chain is who sends.
    let last = name.rsplit(" → ").next().unwrap_or(name);
    format!("{last} #{}", it.from.1)
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
        bounds(it.start, it.end),
        it.key,
        it.value
    )
}

/// What a subtask does, with shares of its time.
pub(super) fn doing(it: &SubtaskView) -> String {
    if !it.runs {
        return it.state.to_owned();
    }
    let percent = |ppm: u32| (ppm + 5_000) / 10_000;
    let (_, busy, held) = it.time_ppm;
    format!(
        "{} · busy {} %, backpressured {} %",
        it.doing,
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
        parts.push(doing(it));
        parts.push(format!("watermark {}", event_time_words(it.watermark)));
        parts.push(format!(
            "{} records in, {} out",
            it.records_in, it.records_out
        ));
    }
    parts.extend(it.channels.iter().map(|it| channel(job, it)));
    parts.extend(it.windows.iter().map(window));
    if let Some((id, waits)) = it.checkpoint {
        parts.push(format!("checkpoint {id}: {waits}"));
    }
    parts.join("; ")
}

/// What became of each record of the plot, the newest first.
pub(super) fn plot_rows(plot: &EventTimePlot) -> Vec<String> {
    let each = plot.records.iter().rev().take(100);
    each.map(|it| format!("At {}: {}", spoken(it.at), it.text))
        .collect()
}
