//! The board of a job as elements: cards of subtasks with their channels and windows, lines between
//! them, checkpoints and stores.

use sim_core::view::{
    ChannelView, JobRow, JobStore, JobView, SubtaskView, Tone, VertexView, WindowBox,
    event_time_words,
};

use super::plan::{FEW, Plan};
use super::words;
use crate::format::{count, seconds, span};
use crate::stage::Rect;
use crate::tree::{El, Kid, button, el, svg};

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

fn key_class(number: u32, class: &str) -> String {
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
    for it in job.vertices.iter().flat_map(|it| &it.subtasks) {
        if let Some(rect) = plan.card((it.vertex, it.number)) {
            kids.push(at(card(job, it, axis, first, sight), rect).into());
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
    let mut art = svg("svg").class("jb-lines").mute();
    if plan.narrow {
        return art;
    }
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
            art = art.with(svg("path").class(class).is("d", line.path()));
            for it in &it.crossing {
                let (x, y) = line.at(f64::from(it.progress_ppm) / 1e6);
                art = art.with(match it.barrier {
                    Some(_) => svg("rect")
                        .class("jb-barrier")
                        .is("x", format!("{:.1}", x - 2.0))
                        .is("y", format!("{:.1}", y - 9.0))
                        .is("width", "4")
                        .is("height", "18"),
                    None => svg("rect")
                        .class("jb-buffer")
                        .is("x", format!("{:.1}", x - 4.0))
                        .is("y", format!("{:.1}", y - 4.0))
                        .is("width", "8")
                        .is("height", "8")
                        .is("rx", "2"),
                });
            }
        }
    }
    art
}

fn card(job: &JobView, it: &SubtaskView, axis: (i64, i64), first: bool, sight: &Sight<'_>) -> El {
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
    let manager = it.task_manager.as_ref().map_or("–", |it| it.1.as_str());
    let records = format!(
        "in {} · out {}",
        count(it.records_in),
        count(it.records_out)
    );
    let top = el("span")
        .class("jb-top")
        .mute()
        .with(el("b").with(format!("#{}", it.number)))
        .with(el("span").class("muted").with(manager.to_owned()))
        .with(el("span").class("jb-records mono").with(records));
    let share = el("span").class("jb-share").mute();
    let (idle, busy, held) = it.time_ppm;
    let part = |class: &'static str, ppm: u32| {
        el("span")
            .class(class)
            .style(format!("width:{:.1}%", f64::from(ppm) / 1e4))
    };
    let share = share
        .with(part("busy", busy))
        .with(part("held", held))
        .with(part("idle", idle));
    let mark = event_time_words(it.watermark);
    let mut front = el("span").class("jb-axis").mute();
    if let Some(mark) = it.watermark {
        front = front.with(
            el("span")
                .class("front")
                .style(format!("width:{:.1}%", place_of(mark, axis))),
        );
    }
    let card = el("div")
        .class(class)
        .with(hit)
        .with(top)
        .with(
            el("span")
                .class("jb-doing")
                .mute()
                .with(words::doing(it))
                .with(share),
        )
        .with(
            el("span")
                .class("jb-mark")
                .mute()
                .with(front)
                .with(el("span").class("mono").with(format!("watermark {mark}"))),
        );
    let card = card.all(it.channels.iter().map(|it| channel(job, it)));
    let splits = it.splits.iter().map(|it| {
        let idle = if it.idle { " · idle" } else { "" };
        let text = format!("split {} at {}{idle}", it.number, it.offset);
        row("jb-split").with(el("span").with(text)).with(
            el("span")
                .class("mono")
                .with(event_time_words(it.watermark)),
        )
    });
    let card = card.all(splits);
    let card = card.all(it.windows.iter().take(FEW).map(window));
    let card = match it.more_windows || it.windows.len() > FEW {
        true => card.with(row("jb-more").with(format!(
            "more windows · {} entries kept",
            count(it.state_entries)
        ))),
        false => card,
    };
    let held = it.transactions.iter().take(FEW).map(|it| {
        let what = match it.checkpoint {
            Some(id) => format!("{} for checkpoint {id}", it.phase),
            None => it.phase.to_owned(),
        };
        row("jb-held")
            .is("title", it.id.clone())
            .with(format!("transaction {what}: {} rows", it.rows))
    });
    card.all(held).with(foot(it))
}

fn row(class: &'static str) -> El {
    el("span").class(format!("jb-row {class}")).mute()
}

/// The last row: the checkpoint under way here, else what is kept.
fn foot(it: &SubtaskView) -> El {
    if let Some((id, waits)) = it.checkpoint {
        return row("jb-snapshot").with(format!("checkpoint {id}: {waits}"));
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
    row("jb-foot").with(parts.join(" · "))
}

/// A channel at its receiver: what waits at the sender, what crosses, what waits here.
fn channel(job: &JobView, it: &ChannelView) -> El {
    let class = if it.held {
        "jb-channel held"
    } else {
        "jb-channel"
    };
    let barrier = |id: &i64| el("span").class("jb-bar").with(id.to_string());
    let cell = |full: bool| el("span").class(if full { "jb-slot full" } else { "jb-slot" });
    let queue = |many: u32, most: u32| {
        let shown = most.max(many).min(10);
        (0..shown).map(move |i| cell(i < many))
    };
    // From the sender to the receiver: bars stand behind what was written before them.
    let crossing = it.crossing.iter().filter_map(|it| it.barrier);
    let mut bars: Vec<i64> = it.barriers_waiting.clone();
    bars.extend(crossing);
    bars.extend(&it.barriers);
    let mut line = row(class)
        .is("title", words::channel(job, it))
        .with(el("span").class("jb-from").with(words::sender(job, it)))
        .with(
            el("span")
                .class("jb-queue")
                .all(queue(it.queued, it.queued_max)),
        );
    if it.waiting > 0 {
        line = line.with(
            el("span")
                .class("jb-wait")
                .with(format!("+{} at sender", it.waiting)),
        );
    }
    line = line.all(bars.iter().map(barrier));
    if it.held {
        line = line.with(el("span").class("jb-says").with("held"));
    }
    line.with(
        el("span")
            .class("jb-time mono")
            .with(event_time_words(it.watermark)),
    )
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
                .with(words::bounds(it.start, it.end)),
        )
        .with(el("span").class("jb-says").with(fired))
        .with(el("b").class("mono jb-value").with(it.value.clone()))
}

/// Checkpoints: under way, completed, failed.
pub(super) fn checkpoints(job: &JobView, now: u64) -> Vec<Kid> {
    let it = &job.checkpoints;
    let mut kids: Vec<Kid> = vec![el("h3").with("Checkpoints").into()];
    for it in &it.under_way {
        let done = f64::from(it.acknowledged) * 100.0 / f64::from(it.tasks.max(1));
        let waits: Vec<String> = it
            .waiting
            .iter()
            .map(|(task, why)| format!("{task}: {why}"))
            .collect();
        let since = seconds(now.saturating_sub(it.since));
        let line = el("div")
            .class("jb-checkpoint")
            .test("checkpoint-under-way")
            .with(el("b").with(format!("Checkpoint {}", it.id)))
            .with(el("span").with(format!(
                "{} of {} acknowledged, for {since}",
                it.acknowledged, it.tasks
            )))
            .with(
                el("span")
                    .class("jb-progress")
                    .mute()
                    .with(el("span").style(format!("width:{done:.0}%"))),
            );
        let waits = match waits.is_empty() {
            true => "its metadata is being written".to_owned(),
            false => format!("waits for {}", waits.join(", ")),
        };
        kids.push(line.with(el("span").class("muted").with(waits)).into());
    }
    let mut list = el("ul").class("jb-done").test("checkpoints-completed");
    for it in &it.completed {
        let kind = if it.savepoint {
            "savepoint"
        } else {
            "checkpoint"
        };
        let how = if it.unaligned { ", unaligned" } else { "" };
        let text = format!(
            "{kind} {} complete · {}{how} · {} B",
            it.id,
            span(it.took),
            count(it.bytes)
        );
        list = list.with(el("li").class("chip proven").with(text));
    }
    for (id, why) in &it.failed {
        list = list.with(
            el("li")
                .class("chip harm")
                .with(format!("checkpoint {id} failed: {why}")),
        );
    }
    if it.completed.is_empty() && it.failed.is_empty() && it.under_way.is_empty() {
        kids.push(el("span").class("muted").with("none yet").into());
    }
    kids.push(list.into());
    kids.push(
        el("span")
            .class("muted")
            .with(format!(
                "storage: {} states, {} B",
                count(it.stored.0),
                count(it.stored.1)
            ))
            .into(),
    );
    kids
}

/// What lies in the stores outside.
pub(super) fn stores(job: &JobView) -> Vec<Kid> {
    job.stores.iter().map(|it| store(it).into()).collect()
}

fn store(it: &JobStore) -> El {
    let (open, committed, aborted) = it.transactions;
    let says = format!(
        "{} of {} rows visible to read_committed · transactions: {open} open, {committed} committed, {aborted} aborted",
        count(it.visible),
        count(it.total)
    );
    let mut rows = el("ol")
        .class("jb-rows")
        .is("start", (it.first + 1).to_string());
    if it.first > 0 {
        rows = rows.with(
            el("li")
                .class("muted")
                .with(format!("{} older rows", count(it.first))),
        );
    }
    rows = rows.all(it.rows.iter().map(stored));
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
                .with(says),
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
    let window = it.window.map(|(start, end)| words::bounds(start, end));
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
