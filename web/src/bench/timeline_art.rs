//! The drawing of the timeline: how busy each stretch was, what happened when, where runs parted,
//! and where the run stands. Plain trees of elements, for the workbench and the home page.

use sim_core::view::{LineKind, TimeMark};

use super::pilot::Pilot;
use super::state::Hud;
use crate::format::spoken;
use crate::lengths::{draw, draw_box, number, percent, px};
use crate::tree::{El, Kid, el, svg};

const BUCKETS: u32 = 160;
/// Width of the drawing in its own units; it is stretched to the frame.
const WIDTH: f64 = 1000.0;
const BARS_HIGH: f64 = 22.0;
/// Height of the axis in the drawing; the style sheet puts the head and the times there.
const AXIS: f64 = 29.0;
/// Room under the axis for marks and times.
const TIMES_HIGH: f64 = 21.0;
const BRANCH_GAP: f64 = 9.0;
const BRANCHES_DRAWN: usize = 3;

/// What is drawn besides the present moment. The past does not change while time runs.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Drawing {
    /// The stretches' bars, as path data: they are drawn far more often than they change.
    bars: String,
    marks: Vec<TimeMark>,
    branches: Vec<Line>,
}

/// A run among the branches.
#[derive(Clone, PartialEq)]
struct Line {
    forked_at: u64,
    head: u64,
    on_stage: bool,
}

/// What a kind of mark is called, its class, and its shape around (0, 0).
pub(super) fn look(kind: LineKind) -> (&'static str, &'static str, &'static str) {
    match kind {
        LineKind::Deed => (
            "fault",
            "mark-deed",
            "M-4.5,-4.5 4.5,4.5 M4.5,-4.5 -4.5,4.5",
        ),
        LineKind::Caption => ("caption", "mark-caption", "M0,-6V6"),
        LineKind::Violation => ("violation", "mark-violation", "M0,-6 6,5 -6,5z"),
        _ => ("change", "mark-rule", "M0,-4.5 4.5,0 0,4.5 -4.5,0z"),
    }
}

/// Reads it off the run.
pub(crate) fn read(pilot: &impl Pilot) -> Drawing {
    let drawing = pilot.host(|h| {
        let current = h.current();
        let line = |b: &crate::host::Branch| Line {
            forked_at: b.forked_at,
            head: b.head,
            on_stage: b.id == current,
        };
        let branches = h.branches().iter().map(line).collect();
        let session = h.session();
        Drawing {
            bars: bars(&session.density(BUCKETS)),
            marks: session.marks(),
            branches,
        }
    });
    drawing.unwrap_or_default()
}

/// What the slider says of itself.
pub(crate) fn slider(hud: &Hud, dragging: bool) -> El {
    el("div")
        .class(if dragging {
            "slider is-dragging"
        } else {
            "slider"
        })
        .is("role", "slider")
        .is("tabindex", "0")
        .test("timeline")
        .label("Simulated time")
        .is("aria-valuemin", "0")
        .is("aria-valuemax", (hud.duration / 1_000_000).to_string())
        .is("aria-valuenow", (hud.now / 1_000_000).to_string())
        .is("aria-valuetext", spoken(hud.now))
}

/// What stands in the slider: the picture, the times, and the head that one drags.
pub(crate) fn picture(drawing: &Drawing, hud: &Hud) -> Vec<Kid> {
    let kept = || drawing.branches.iter().filter(|b| !b.on_stage);
    let high = AXIS + TIMES_HIGH + BRANCH_GAP * kept().count().min(BRANCHES_DRAWN) as f64;
    let duration = hud.duration.max(1);
    let x = |ns: u64| WIDTH * ns as f64 / duration as f64;
    let axis = |class: &'static str, to: f64| {
        svg("line")
            .class(class)
            .is("x1", "0")
            .is("x2", number(to, 1))
            .is("y1", number(AXIS, 1))
            .is("y2", number(AXIS, 1))
    };
    let branch = |(i, b): (usize, &Line)| {
        let y = AXIS + TIMES_HIGH - 4.0 + BRANCH_GAP * (i + 1) as f64;
        let (from, head) = (x(b.forked_at), x(b.head));
        let mut d = String::new();
        draw(&mut d, 'M', &[from, AXIS]);
        draw(&mut d, 'L', &[from + 6.0, y]);
        draw(&mut d, 'H', &[head.max(from + 12.0)]);
        svg("path").class("branch-line").is("d", d)
    };
    let picture = svg("svg")
        .class("timeline-picture")
        .is(
            "viewBox",
            format!("0 0 {} {}", number(WIDTH, 1), number(high, 1)),
        )
        .is("preserveAspectRatio", "none")
        .style(format!("height:{}", px(high)))
        .mute()
        .with(svg("path").class("density").is("d", drawing.bars.clone()))
        .with(axis("axis", WIDTH))
        .with(axis("axis explored", x(hud.head)))
        .all(kept().take(BRANCHES_DRAWN).enumerate().map(branch));
    let mark = |m: &TimeMark| {
        let (_, class, shape) = look(m.kind);
        svg("svg")
            .is("x", percent(x(m.time) / WIDTH * 100.0))
            .is("y", number(AXIS, 1))
            .is("overflow", "visible")
            .with(svg("path").class(class).is("d", shape))
    };
    let marks = svg("svg")
        .class("timeline-marks")
        .style(format!("height:{}", px(high)))
        .mute()
        .all(drawing.marks.iter().map(mark));
    let one = |ns: u64| {
        el("span")
            .style(format!(
                "left:{}",
                percent(100.0 * ns as f64 / duration as f64)
            ))
            .with(short_time(ns, hud.duration))
    };
    let under = el("div")
        .class("timeline-times")
        .mute()
        .all(times(hud.duration).map(one));
    // Moved and not placed anew: nothing else is laid out for it.
    let at = 100.0 * hud.now as f64 / duration as f64;
    let head = el("div")
        .class("playhead")
        .style(format!("translate:{}cqi", number(at, 3)))
        .mute();
    [picture, marks, under, head].map(Kid::from).to_vec()
}

/// How busy each stretch was.
fn bars(counts: &[u32]) -> String {
    let top = counts.iter().copied().max().unwrap_or(0).max(1);
    let wide = WIDTH / f64::from(BUCKETS);
    let mut path = String::new();
    for (i, n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
        let high = (BARS_HIGH * f64::from(*n) / f64::from(top)).max(1.5);
        let left = i as f64 * wide;
        let bottom = AXIS - 5.0;
        draw_box(&mut path, left, bottom, wide * 0.7, -high);
    }
    path
}

/// Names only the kinds of mark that are there.
pub(crate) fn legend(drawing: &Drawing) -> Vec<Kid> {
    let kinds = [
        LineKind::Deed,
        LineKind::Caption,
        LineKind::Rule,
        LineKind::Violation,
    ];
    let there = |kind: &LineKind| {
        let name = look(*kind).0;
        drawing.marks.iter().any(|m| look(m.kind).0 == name)
    };
    let item = |kind: LineKind| {
        let (name, class, shape) = look(kind);
        let sign = svg("svg")
            .is("width", "14")
            .is("height", "14")
            .is("viewBox", "-7 -7 14 14")
            .mute()
            .with(svg("path").class(class).is("d", shape));
        el("li").with(sign).with(name).into()
    };
    kinds.into_iter().filter(there).map(item).collect()
}

/// Times to write under the axis of a run: both ends and round ones between, at most seven.
fn times(duration: u64) -> impl Iterator<Item = u64> {
    const SECOND: u64 = 1_000_000_000;
    const STEPS: [u64; 14] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600];
    let steps = STEPS.iter().map(|s| s * SECOND);
    let step = steps
        .into_iter()
        .find(|s| duration / s <= 6)
        .unwrap_or(duration / 6)
        .max(1);
    // A round time that would touch the end's gives way to it.
    let round = (0..=6)
        .map(move |i| i * step)
        .take_while(move |t| t + step * 9 / 10 <= duration);
    round.chain([duration])
}

/// A time in a run of this length, as short as it can be said.
fn short_time(ns: u64, duration: u64) -> String {
    let seconds = ns / 1_000_000_000;
    if duration < 1_000_000_000 {
        spoken(ns)
    } else if duration < 60_000_000_000 {
        format!("{seconds} s")
    } else {
        format!("{}:{:02}", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_bears_a_few_round_times_and_its_end() {
        let check = |seconds: u64, expect: &[&str]| {
            let duration = seconds * 1_000_000_000;
            let words: Vec<_> = times(duration).map(|t| short_time(t, duration)).collect();
            assert_eq!(words, expect, "{seconds} s");
        };
        check(
            60,
            &["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00"],
        );
        check(
            120,
            &["0:00", "0:20", "0:40", "1:00", "1:20", "1:40", "2:00"],
        );
        check(70, &["0:00", "0:15", "0:30", "0:45", "1:10"]);
        check(45, &["0 s", "10 s", "20 s", "30 s", "45 s"]);
        check(5, &["0 s", "1 s", "2 s", "3 s", "4 s", "5 s"]);
        check(7200, &["0:00", "30:00", "60:00", "90:00", "120:00"]);
    }
}
