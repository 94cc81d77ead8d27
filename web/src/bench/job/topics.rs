//! The topics beside the graph: partitions with their offsets, on one scale in each topic. Left of
//! the last stable offset a record stands; between it and the log end it may still be taken back.

use sim_core::view::{JobPartition, JobTopic, JobView};

use super::plan::{Plan, TopicEnd};
use super::words;
use crate::format::count;
use crate::tree::{El, button, el, svg};

/// The least end of a scale.
const LEAST: u64 = 16;

fn offset(it: Option<i64>) -> Option<u64> {
    it.and_then(|it| u64::try_from(it).ok())
}

/// The scale of a topic: it changes seldom.
fn scale(it: &JobTopic) -> u64 {
    let ends = it.partitions.iter().filter_map(|it| offset(it.end));
    let positions = it.partitions.iter().filter_map(|it| it.position);
    let most = ends.chain(positions).max().unwrap_or(0);
    most.max(LEAST).next_power_of_two()
}

fn percent(at: u64, scale: u64) -> f64 {
    at.min(scale) as f64 * 100.0 / scale.max(1) as f64
}

/// The name above a topic's card.
pub(super) fn title(it: &JobTopic) -> El {
    el("h3")
        .class("jb-title")
        .is("title", format!("Topic {}", it.name))
        .with(el("span").class("muted").with("topic "))
        .with(it.name.clone())
        .with(el("span").class("muted").with(format!(" × {}", it.many)))
}

/// A topic's card, which leads to the machines; `stop`: it is the stop of the Tab key.
pub(super) fn card(job: &JobView, it: &JobTopic, stop: bool) -> El {
    let hit = button("gb-hit")
        .is("data-own", own(it))
        .is("data-topic", it.name.clone())
        .is("tabindex", if stop { "0" } else { "-1" })
        .label(format!(
            "{}. Enter shows the machines that keep it.",
            words::topic(job, it)
        ));
    let scale = scale(it);
    let card = el("div").class("jb-card jb-topic").with(hit);
    let card = card.all(it.partitions.iter().map(|at| partition(it, at, scale)));
    match it.many as usize - it.partitions.len().min(it.many as usize) {
        0 => card,
        more => card.with(
            el("span")
                .class("jb-row jb-more")
                .mute()
                .with(format!("{more} more partitions")),
        ),
    }
}

/// The key of a topic among what the arrow keys go through.
pub(super) fn own(it: &JobTopic) -> String {
    format!("topic:{}:{}", it.operator, it.name)
}

fn partition(topic: &JobTopic, it: &JobPartition, scale: u64) -> El {
    let top = el("span")
        .class("jb-part-top")
        .with(el("b").with(format!("#{}", it.number)));
    let top = match (it.end, it.stable) {
        (None, _) => top.with(el("span").class("jb-says").with("no leader")),
        (Some(end), Some(stable)) if topic.stable_matters && stable < end => top
            .with(
                el("span")
                    .class("mono jb-lso")
                    .with(format!("LSO {}", count(stable.unsigned_abs()))),
            )
            .with(
                el("span")
                    .class("mono")
                    .with(format!("end {}", count(end.unsigned_abs()))),
            ),
        (Some(end), _) => top.with(
            el("span")
                .class("mono")
                .with(format!("end {}", count(end.unsigned_abs()))),
        ),
    };
    let mark = |class: &'static str, at: u64| {
        el("span")
            .class(class)
            .style(format!("left:{:.1}%", percent(at, scale)))
    };
    let (start, end) = (offset(it.start).unwrap_or(0), offset(it.end).unwrap_or(0));
    let stable = match topic.stable_matters {
        true => offset(it.stable).unwrap_or(end).min(end),
        false => end,
    };
    let part = |class: &'static str, from: u64, to: u64| {
        let (from, to) = (percent(from, scale), percent(to, scale));
        el("span").class(class).style(format!(
            "left:{from:.1}%;width:{:.1}%",
            (to - from).max(0.0)
        ))
    };
    let read = it.position.unwrap_or(start).clamp(start, end.max(start));
    let mut bar = el("span").class("jb-log");
    if topic.sink {
        bar = bar.with(part("stable", start, stable));
    } else {
        bar = bar
            .with(part("read", start, read))
            .with(part("ahead", read, stable.max(read)));
    }
    bar = bar.with(part(
        "open",
        stable.max(if topic.sink { start } else { read }),
        end,
    ));
    if topic.stable_matters && stable < end {
        bar = bar.with(mark("lso", stable));
    }
    if let Some(at) = it.checkpointed {
        bar = bar.with(mark("check", at));
    }
    let says = match (topic.sink, it.position) {
        (true, _) => match (it.stable, it.high_watermark) {
            (Some(stable), _) if topic.stable_matters => format!("committed up to {stable}"),
            (_, Some(mark)) => format!("high watermark {mark}"),
            (_, None) => String::new(),
        },
        (false, None) => "not read".to_owned(),
        (false, Some(at)) => match it.checkpointed {
            Some(kept) => format!("at {at} · checkpoint {kept}"),
            None => format!("at {at} · no checkpoint"),
        },
    };
    el("span")
        .class("jb-part")
        .is("data-partition", format!("{}-{}", topic.name, it.number))
        .is("title", words::partition(topic, it))
        .mute()
        .with(top)
        .with(bar)
        .with(el("span").class("jb-part-says").with(says))
}

/// The lines between topics and subtasks.
pub(super) fn lines(job: &JobView, plan: &Plan) -> Vec<El> {
    let mut out = Vec::new();
    for (at, topic) in (0..).zip(&job.topics) {
        let mut ends: Vec<TopicEnd> = Vec::new();
        if topic.sink {
            let tasks = job
                .vertex(topic.vertex)
                .into_iter()
                .flat_map(|it| &it.subtasks);
            ends.extend(tasks.map(|it| TopicEnd::Writer {
                task: (it.vertex, it.number),
            }));
        } else {
            for (part, it) in topic.partitions.iter().enumerate() {
                if let Some(number) = it.reader {
                    let task = (topic.vertex, number);
                    ends.push(TopicEnd::Reader { part, task });
                }
            }
        }
        let lines = ends.into_iter().filter_map(|it| plan.topic_line(at, it));
        out.extend(lines.map(|it| svg("path").class("jb-line topic").is("d", it.path())));
    }
    out
}
