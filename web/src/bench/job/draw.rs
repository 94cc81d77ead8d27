//! The graph of a job as elements: cards of subtasks with their channels and windows, and lines
//! between them.

use sim_core::view::{
    ChannelView, JobView, PurgedBox, SubtaskView, Tone, VertexView, WindowBox, event_time_words,
    window_words,
};

use super::plan::{FEW, Line, Plan, marks};
use super::{files, topics, words};
use crate::format::count;
use crate::stage::Rect;
use crate::tree::{El, Kid, button, el, svg};

/// Slots of a queue that are drawn.
const SLOTS: usize = 10;

/// What is looked at.
pub(super) struct Sight<'a> {
    /// The one stop of the Tab key.
    pub(super) stop: Option<&'a str>,
    /// The machine that is selected.
    pub(super) node: Option<u32>,
}

fn at(it: El, r: Rect) -> El {
    it.style(format!(
        "left:{:.0}px;top:{:.0}px;width:{:.0}px;height:{:.0}px",
        r.x, r.y, r.w, r.h
    ))
}

fn chip(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Faded => "chip",
        Tone::Sea => "chip sea",
        Tone::Sand => "chip sand",
        Tone::Harm => "chip harm",
        Tone::Proven => "chip proven",
    }
}

pub(super) fn key_class(number: u32, class: &str) -> String {
    format!("{class} key key-{}", number % 6)
}

/// The job's state.
pub(super) fn head(job: &JobView) -> Vec<Kid> {
    let (known, all) = job.task_managers;
    vec![
        el("span")
            .class(chip(job.tone))
            .test("job-status")
            .with(job.status)
            .into(),
        el("span")
            .class("mono")
            .test("job-attempt")
            .with(format!("attempt {}", job.attempt))
            .into(),
        el("span")
            .class("muted")
            .with(format!("{known} of {all} TaskManagers"))
            .into(),
    ]
}

/// The axis that all watermarks stand on, ms: least and greatest.
fn axis(job: &JobView) -> (i64, i64) {
    let tasks = job.vertices.iter().flat_map(|it| &it.subtasks);
    let marks = tasks.flat_map(|it| {
        let channels = it.channels.iter().filter_map(|it| it.watermark);
        let windows = it.windows.iter().map(|it| it.end);
        channels.chain(it.watermark).chain(windows)
    });
    let finite = marks.filter(|it| *it != i64::MAX && *it != i64::MIN);
    let (low, high) = finite.fold((0, 1), |(low, high): (i64, i64), it| {
        (low.min(it), high.max(it))
    });
    // A power of two of seconds: the axis changes its scale seldom.
    let high = (high.max(8_000) as u64).next_power_of_two() as i64;
    (low, high)
}

fn place_of(mark: i64, (low, high): (i64, i64)) -> f64 {
    let width = i128::from(high) - i128::from(low);
    let from = i128::from(mark.clamp(low, high)) - i128::from(low);
    from as f64 * 100.0 / width.max(1) as f64
}

/// Lines, names and cards.
pub(super) fn graph(job: &JobView, plan: &Plan, sight: &Sight<'_>) -> Vec<Kid> {
    let axis = axis(job);
    let mut kids: Vec<Kid> = vec![lines(job, plan).into()];
    for (number, rect) in &plan.titles {
        if let Some(it) = job.vertex(*number) {
            kids.push(at(title(it), *rect).into());
        }
    }
    let mut first = true;
    for (i, name, card) in &plan.topics {
        if let Some(it) = job.topics.get(*i) {
            let stop = match sight.stop {
                Some(stop) => stop == topics::own(it),
                None => std::mem::take(&mut first),
            };
            kids.push(at(topics::title(it), *name).into());
            kids.push(at(topics::card(job, it, stop), *card).into());
        }
    }
    for it in job.vertices.iter().flat_map(|it| &it.subtasks) {
        if let Some(rect) = plan.card((it.vertex, it.number)) {
            kids.push(at(card(job, it, axis, (first, plan.close), sight), rect).into());
            first = false;
        }
    }
    kids
}

fn title(it: &VertexView) -> El {
    let hidden = it.parallelism as usize - it.subtasks.len().min(it.parallelism as usize);
    let more = if hidden > 0 {
        format!(" ({hidden} more not shown)")
    } else {
        String::new()
    };
    el("h3")
        .class("jb-title")
        .is("title", it.name.clone())
        .with(it.name.clone())
        .with(
            el("span")
                .class("muted")
                .with(format!(" × {}{more}", it.parallelism)),
        )
}

fn lines(job: &JobView, plan: &Plan) -> El {
    let art = svg("svg").class("jb-lines").mute();
    if plan.narrow {
        return art;
    }
    // First all lines, then what crosses: nothing lies on a buffer.
    let (mut under, mut over) = (Vec::new(), Vec::new());
    for task in job.vertices.iter().flat_map(|it| &it.subtasks) {
        for (row, it) in task.channels.iter().enumerate() {
            let Some(line) = plan.line(it.from, (task.vertex, task.number), row) else {
                continue;
            };
            let class = match (it.held, it.waiting >= it.waiting_max) {
                (true, _) => "jb-line held",
                (false, true) => "jb-line full",
                (false, false) => "jb-line",
            };
            under.push(svg("path").class(class).is("d", line.path()));
            if it.held {
                over.push(pause(line));
            }
            over.extend(crossing(line, it));
        }
    }
    art.all(topics::lines(job, plan)).all(under).all(over)
}

/// A channel of which nothing is read: the sign of a pause at its end.
fn pause(line: Line) -> El {
    let (x, y) = line.at(0.82);
    svg("path").class("jb-pause").is(
        "d",
        format!(
            "M{:.1} {y:.1}a8 8 0 1 0 16 0a8 8 0 1 0-16 0zM{:.1} {:.1}v7m4-7v7",
            x - 8.0,
            x - 2.0,
            y - 3.5
        ),
    )
}

/// What crosses the network on a line: a bar for a barrier, a box for records, a wave for a watermark.
fn crossing(line: Line, it: &ChannelView) -> Vec<El> {
    let mut out = Vec::new();
    for it in &it.crossing {
        let (x, y) = line.at(f64::from(it.progress_ppm) / 1e6);
        if let Some(id) = it.barrier {
            let bar = svg("rect")
                .class("jb-barrier")
                .is("x", format!("{:.1}", x - 2.5))
                .is("y", format!("{:.1}", y - 10.0))
                .is("width", "5")
                .is("height", "20");
            let number = svg("text")
                .class("jb-barrier-id")
                .is("x", format!("{x:.1}"))
                .is("y", format!("{:.1}", y - 12.0))
                .with(id.to_string());
            out.extend([bar, number]);
            continue;
        }
        if it.records > 0 || it.watermark.is_none() {
            out.push(
                svg("rect")
                    .class("jb-buffer")
                    .is("x", format!("{:.1}", x - 4.5))
                    .is("y", format!("{:.1}", y - 4.5))
                    .is("width", "9")
                    .is("height", "9")
                    .is("rx", "2"),
            );
        }
        if it.watermark.is_some() {
            let d = format!("M{:.1} {:.1}q3.5-5 7 0t7 0", x - 7.0, y + 9.0);
            out.push(svg("path").class("jb-wave").is("d", d));
        }
    }
    out
}

fn card(
    job: &JobView,
    it: &SubtaskView,
    axis: (i64, i64),
    (first, close): (bool, bool),
    sight: &Sight<'_>,
) -> El {
    let own = format!("t:{}-{}", it.vertex, it.number);
    let node = it.task_manager.as_ref().map(|it| it.0);
    let here = match sight.stop {
        Some(stop) => stop == own,
        None => first,
    };
    let picked = node.is_some() && node == sight.node;
    let hit = button("gb-hit")
        .is("data-own", own)
        .may("data-node", node.map(|it| it.to_string()))
        .is("tabindex", if here { "0" } else { "-1" })
        .is("aria-pressed", picked.to_string())
        .label(words::subtask(job, it));
    let class = match (it.runs, it.doing) {
        (false, _) => "jb-card gone",
        (true, "backpressured") => "jb-card pressed",
        (true, _) => "jb-card",
    };
    let mut card = el("div").class(class).with(hit).with(top(job, it));
    card = card.with(state(it)).all((!close).then(|| {
        el("span").class("jb-shares").mute().with(match it.counted {
            true => words::shares(it),
            false => String::new(),
        })
    }));
    if job.timed {
        card = card.with(mark(it, axis));
    }
    if !it.runs {
        return card;
    }
    let checkpoint = it.checkpoint.map(|it| it.0);
    let card = card.all(it.channels.iter().map(|it| channel(job, it, checkpoint)));
    let splits = it.splits.iter().map(|it| {
        let idle = if it.idle { " · idle" } else { "" };
        let text = format!("split {} at {}{idle}", it.number, it.offset);
        let row = row("jb-split").with(el("span").with(text));
        timed(row, job, it.watermark)
    });
    let card = card.all(splits);
    let card = card.all(it.key_groups.filter(|_| !close).map(groups));
    let card = card.all(it.trees.iter().map(|tree| {
        row("jb-files")
            .is("title", files::said(tree))
            .with(el("span").with(files::mark(tree)))
    }));
    let card = card.all(it.windows.iter().take(FEW).map(window));
    let card = card.all(marks(it).into_iter().flat_map(|it| purged(&it.1)));
    let card = match it.more_windows || it.windows.len() > FEW {
        true => card.with(row("jb-more").with(format!(
            "more windows · {} entries kept",
            count(it.state_entries)
        ))),
        false => card,
    };
    let held = it.transactions.iter().take(FEW).map(|it| {
        let what = match it.checkpoint {
            Some(id) => format!("{} for {id}", it.phase),
            None => it.phase.to_owned(),
        };
        row("jb-held")
            .is("title", it.id.clone())
            .with(el("span").with(format!("txn {what}: {} rows", it.rows)))
    });
    let last = match it.key_groups.filter(|_| close) {
        Some(owned) => groups(owned).with(foot(it)),
        None => foot(it),
    };
    card.all(held).with(last)
}

/// Number, machine, and what went in and out.
fn top(job: &JobView, it: &SubtaskView) -> El {
    let manager = it.task_manager.as_ref().map_or("–", |it| it.1.as_str());
    let records = match words::records(job, it) {
        None => String::new(),
        Some((input, None)) => format!("in {}", count(input)),
        Some((input, Some(out))) => format!("in {} · out {}", count(input), count(out)),
    };
    el("span")
        .class("jb-top")
        .mute()
        .with(el("b").with(format!("#{}", it.number)))
        .with(el("span").class("jb-on muted").with(manager.to_owned()))
        .with(el("span").class("jb-records mono").with(records))
}

/// What it does, and how it spent its time.
fn state(it: &SubtaskView) -> El {
    let (idle, busy, held) = it.time_ppm;
    let part = |class: &'static str, ppm: u32| {
        el("span")
            .class(class)
            .style(format!("width:{:.1}%", f64::from(ppm) / 1e4))
    };
    let share = el("span")
        .class("jb-share")
        .with(part("busy", busy))
        .with(part("held", held))
        .with(part("idle", idle));
    el("span")
        .class("jb-doing")
        .mute()
        .with(el("b").with(words::doing(it)))
        .with(share)
}

/// The watermark as a front over the windows that are open.
fn mark(it: &SubtaskView, axis: (i64, i64)) -> El {
    let mut front = el("span").class("jb-axis");
    if let Some(mark) = it.watermark {
        front = front.with(
            el("span")
                .class("front")
                .style(format!("width:{:.1}%", place_of(mark, axis))),
        );
    }
    let mut spans: Vec<(i64, i64, bool)> = Vec::new();
    for it in &it.windows {
        if !spans.iter().any(|at| (at.0, at.1) == (it.start, it.end)) {
            spans.push((it.start, it.end, it.fired));
        }
    }
    let span = |(start, end, fired): (i64, i64, bool)| {
        let (from, to) = (place_of(start, axis), place_of(end, axis));
        el("span")
            .class(if fired { "pane fired" } else { "pane" })
            .style(format!("left:{from:.1}%;width:{:.1}%", to - from))
    };
    front = front.all(spans.into_iter().map(span));
    el("span").class("jb-mark").mute().with(front).with(
        el("span")
            .class("mono")
            .with(format!("watermark {}", event_time_words(it.watermark))),
    )
}

fn row(class: &'static str) -> El {
    el("span").class(format!("jb-row {class}")).mute()
}

/// A row with a watermark at its end, where the job has any.
fn timed(row: El, job: &JobView, watermark: Option<i64>) -> El {
    match job.timed {
        true => row.with(
            el("span")
                .class("jb-time mono")
                .with(event_time_words(watermark)),
        ),
        false => row,
    }
}

/// The last row: the checkpoint under way here, else what is kept.
fn foot(it: &SubtaskView) -> El {
    if let Some((id, waits)) = it.checkpoint {
        let text = format!("checkpoint {id}: {}", words::waits(waits));
        let row = row("jb-snapshot").is("title", format!("checkpoint {id}: {waits}"));
        return row.with(el("span").with(text));
    }
    let mut parts = Vec::new();
    if it.state_entries > 0 {
        parts.push(format!(
            "state {} · {} B",
            count(it.state_entries),
            count(it.state_bytes)
        ));
    }
    if it.late_dropped > 0 {
        parts.push(format!("{} late dropped", count(it.late_dropped)));
    }
    if let Some(backlog) = it.backlog {
        parts.push(format!("backlog {}", count(backlog)));
    }
    row("jb-foot").with(el("span").with(parts.join(" · ")))
}

fn bar(id: i64) -> El {
    el("span").class("jb-bar").with(id.to_string())
}

/// What waits at the sender, the newest first: how many buffers between which barriers.
fn waiting(it: &ChannelView) -> Vec<El> {
    let mut runs: Vec<(Option<i64>, u32)> = Vec::new();
    for at in &it.line_waiting {
        match runs.last_mut() {
            Some((None, many)) if at.is_none() => *many += 1,
            _ => runs.push((*at, 1)),
        }
    }
    let one = |(barrier, many): (Option<i64>, u32)| match barrier {
        Some(id) => bar(id),
        None => el("span")
            .class("jb-wait")
            .with(el("span").class("jb-slot full"))
            .with(format!("×{many}")),
    };
    runs.into_iter().rev().map(one).collect()
}

/// What waits at the receiver, the next to be read last, behind the room that is left.
fn queue(it: &ChannelView) -> El {
    let room = (it.queued_max as usize).saturating_sub(it.queued as usize);
    let empty = (0..room.min(SLOTS)).map(|_| el("span").class("jb-slot"));
    let shown = it.line.iter().take(SLOTS).rev();
    let full = shown.map(|at| match at {
        Some(id) => bar(*id),
        None => el("span").class("jb-slot full"),
    });
    let more = it.line.len().saturating_sub(SLOTS);
    let queue = el("span").class("jb-queue");
    let queue = match more {
        0 => queue,
        more => queue.with(el("span").class("jb-wait").with(format!("+{more}"))),
    };
    queue.all(empty).all(full)
}

/// A channel at its receiver, in the order in which all will be read: what waits at the sender, what
/// crosses, what waits here; the next stands last.
fn channel(job: &JobView, it: &ChannelView, checkpoint: Option<i64>) -> El {
    let class = if it.held {
        "jb-channel held"
    } else {
        "jb-channel"
    };
    let crossing = it.crossing.iter().filter_map(|it| it.barrier);
    let line = row(class)
        .is("title", words::channel(job, it))
        .with(
            el("span")
                .class("jb-from")
                .with(words::last(job, it.from.0).to_owned()),
        )
        .with(el("span").class("jb-no").with(format!("#{}", it.from.1)))
        .all(waiting(it))
        .all(crossing.map(|id| bar(id).is("data-crosses", "")))
        .with(queue(it));
    let line = match (it.held, checkpoint) {
        (true, Some(id)) => line
            .with(bar(id))
            .with(el("span").class("jb-says").with("held")),
        (true, None) => line.with(el("span").class("jb-says").with("held")),
        (false, _) => line,
    };
    timed(line, job, it.watermark)
}

fn window(it: &WindowBox) -> El {
    let class = if it.fired {
        "jb-window fired"
    } else {
        "jb-window"
    };
    let fired = if it.fired { "fired" } else { "" };
    row(class)
        .is("title", words::window(it))
        .with(
            el("span")
                .class(key_class(it.key_number, "jb-key"))
                .with(it.key.clone()),
        )
        .with(
            el("span")
                .class("mono")
                .with(window_words(it.start, it.end)),
        )
        .with(el("span").class("jb-says").with(fired))
        .with(el("b").class("mono jb-value").with(it.value.clone()))
}

/// The mark of a window that was purged, of one key or of several: which one, and below it when and
/// why.
fn purged(keys: &[&PurgedBox]) -> Vec<El> {
    let Some(it) = keys.first() else {
        return Vec::new();
    };
    let name = match keys.len() {
        1 => it.key.clone(),
        many => format!("{many} keys"),
    };
    let class = match keys.len() {
        1 => key_class(it.key_number, "jb-key"),
        _ => "jb-key jb-keys".to_owned(),
    };
    let first = row("jb-purged")
        .is("title", words::purged(it))
        .with(el("span").class(class).with(name))
        .with(el("s").class("mono").with(window_words(it.start, it.end)))
        .with(el("span").class("jb-gone").with("purged"));
    let when = event_time_words(i64::try_from(it.at / 1_000_000).ok());
    let second = row("jb-purged why").with(el("span").with(format!("at {when}: {}", it.why)));
    vec![first, second]
}

/// The key groups that a subtask owns.
fn groups((first, last): (u32, u32)) -> El {
    row("jb-groups")
        .with(el("span").with("key groups"))
        .with(el("b").class("mono").with(format!("{first}–{last}")))
}
