//! Event time against processing time: each record at the operator that judges it, the watermark
//! that it met, and the windows that fired, gathered from notes while a stretch runs again.

use super::purged;
use crate::kernel::World;
use crate::stream::element::NO_TIMESTAMP;
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule, Verdict};
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::trigger::TimeDomain;
use crate::stream::spec::{JoinSpec, OperatorKind};
use crate::stream::why;
use crate::systems::Node;
use crate::view::{EventTimePlot, PlotRecord, PlotVerdict, PlotWindow, event_time_words};

/// Records that are kept, the newest.
const RECORDS: usize = 300;
/// Moments of a subtask's watermark that are kept.
const MOMENTS: usize = 400;
/// Windows that are kept.
const WINDOWS: usize = 120;

/// Whether an operator judges records by event time; none if it does not judge them at all.
fn judges(kind: &OperatorKind) -> Option<bool> {
    match kind {
        OperatorKind::Window(it) => {
            let timed = it.time == TimeDomain::Event && it.assigner != Assigner::Global;
            Some(timed)
        }
        OperatorKind::Join(it) => Some(matches!(
            it,
            JoinSpec::Window { .. }
                | JoinSpec::Session { .. }
                | JoinSpec::Interval(_)
                | JoinSpec::Temporal(_)
        )),
        _ => None,
    }
}

/// The operator whose judgements are shown, and all that could be: the one that is asked for, else
/// the first that judges by event time, else the first that judges at all.
fn judge(job: &Job, plot: &mut EventTimePlot) -> Option<u32> {
    if plot.number.is_some() {
        return plot.number;
    }
    let all = (0..).zip(&job.spec.operators);
    let all = all.filter_map(|(at, it)| Some((at, it.name.as_str(), judges(&it.kind)?)));
    let all: Vec<(u32, &str, bool)> = all.collect();
    let asked = all.iter().find(|it| it.1 == plot.operator);
    let timed = || all.iter().find(|it| it.2);
    let (number, name, by_event_time) = asked.or_else(timed).or(all.first())?;
    plot.number = Some(*number);
    plot.operator = (*name).to_owned();
    plot.by_event_time = *by_event_time;
    plot.judges = all.iter().map(|it| (it.1.to_owned(), it.2)).collect();
    plot.number
}

/// Whether any operator of the job judges records, so that there can be a plot at all.
#[must_use]
pub fn plots(world: &World<Node>) -> bool {
    let operators = why::job(world).map_or(&[][..], |job| &job.spec.operators);
    operators.iter().any(|it| judges(&it.kind).is_some())
}

/// Puts what a note says onto the plot.
pub fn plot(note: &Note, world: &World<Node>, plot: &mut EventTimePlot) {
    let Some(job) = why::job(world) else {
        return;
    };
    let Some(judge) = judge(job, plot) else {
        return;
    };
    let now = world.now();
    match note {
        Note::Judged {
            operator,
            key,
            timestamp,
            watermark,
            verdict,
            ..
        } if *operator == judge && *timestamp != NO_TIMESTAMP => {
            let key_name = job.spec.keys.name(*key);
            let (verdict, text) = judged(&key_name, *timestamp, *watermark, *verdict);
            plot.records.push(PlotRecord {
                at: now,
                event_time: *timestamp,
                key: key_name,
                key_number: key.0,
                verdict,
                text,
            });
            // Cut by halves, so that it costs nothing each time.
            if plot.records.len() >= 2 * RECORDS {
                plot.hidden += RECORDS as u64;
                plot.records.drain(..RECORDS);
            }
        }
        Note::Rule {
            rule: Rule::Watermark,
            task: Some(task),
            after,
            ..
        } if job.graph.vertex_of(judge) == Some(task.vertex) => {
            watermark(plot, u32::from(task.subtask) + 1, (now, *after));
        }
        Note::Fired {
            operator, window, ..
        } if *operator == judge => {
            if let Some(it) = window_of(plot, (window.start, window.end), now) {
                it.times += 1;
            }
        }
        Note::Purged {
            operator,
            window,
            why,
            ..
        } if *operator == judge => {
            let spec = job.spec.operators.get(judge as usize);
            let lateness = spec.map_or(0, |it| match &it.kind {
                OperatorKind::Window(it) => it.allowed_lateness,
                _ => 0,
            });
            if let Some(it) = window_of(plot, (window.start, window.end), now) {
                it.purged = Some((now, purged::why(*why, lateness)));
            }
        }
        _ => {}
    }
}

/// Ends the plot: what came before the newest records is cut.
pub fn finish(plot: &mut EventTimePlot) {
    let over = plot.records.len().saturating_sub(RECORDS);
    plot.hidden += over as u64;
    plot.records.drain(..over);
    plot.watermarks.sort_by_key(|it| it.0);
    plot.windows.sort_by_key(|it| (it.start, it.end));
}

fn watermark(plot: &mut EventTimePlot, subtask: u32, moment: (u64, i64)) {
    let found = plot.watermarks.iter().position(|it| it.0 == subtask);
    let at = found.unwrap_or_else(|| {
        plot.watermarks.push((subtask, Vec::new()));
        plot.watermarks.len() - 1
    });
    let Some((_, curve)) = plot.watermarks.get_mut(at) else {
        return;
    };
    if curve.len() + 1 >= 2 * MOMENTS {
        // Every second one goes, and the newest comes after: the curve stays whole.
        let mut keep = false;
        curve.retain(|_| {
            keep = !keep;
            keep
        });
    }
    curve.push(moment);
}

/// The window of these bounds on the plot, which may be new.
fn window_of(
    plot: &mut EventTimePlot,
    (start, end): (i64, i64),
    at: u64,
) -> Option<&mut PlotWindow> {
    let known = plot
        .windows
        .iter()
        .rposition(|it| (it.start, it.end) == (start, end));
    let place = known.unwrap_or_else(|| {
        if plot.windows.len() >= WINDOWS {
            plot.windows.remove(0);
        }
        plot.windows.push(PlotWindow {
            start,
            end,
            at,
            times: 0,
            purged: None,
        });
        plot.windows.len() - 1
    });
    plot.windows.get_mut(place)
}

/// What became of a record, and why.
fn judged(key: &str, time: i64, watermark: i64, verdict: Verdict) -> (PlotVerdict, String) {
    let said = match watermark {
        NO_WATERMARK => "before the first watermark".to_owned(),
        _ => {
            let mark = event_time_words(Some(watermark));
            match watermark.checked_sub(time) {
                Some(behind) if behind > 0 => {
                    let behind = event_time_words(Some(behind));
                    format!("{behind} behind the watermark, which stood at {mark}")
                }
                _ => format!("ahead of the watermark, which stood at {mark}"),
            }
        }
    };
    let (verdict, end) = match verdict {
        Verdict::Taken => (PlotVerdict::Taken, "it was taken"),
        Verdict::TakenLate => (
            PlotVerdict::TakenLate,
            "its window had spoken and was still kept: it speaks again",
        ),
        Verdict::SideOutput => (
            PlotVerdict::SideOutput,
            "all that would take it was closed: it went to the side output",
        ),
        Verdict::Dropped => (
            PlotVerdict::Dropped,
            "all that would take it was closed: it was dropped",
        ),
    };
    let time = event_time_words(Some(time));
    (verdict, format!("{key} of {time} came {said}: {end}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_has_its_sentence() {
        let check = |time, watermark, verdict, expected: &str| {
            assert_eq!(judged("a", time, watermark, verdict).1, expected);
        };
        check(
            500,
            NO_WATERMARK,
            Verdict::Taken,
            "a of 0.5 s came before the first watermark: it was taken.",
        );
        check(
            4_000,
            12_999,
            Verdict::Dropped,
            "a of 4 s came 8.999 s behind the watermark, which stood at 12.999 s: all that would \
             take it was closed: it was dropped.",
        );
        check(
            9_000,
            5_999,
            Verdict::Taken,
            "a of 9 s came ahead of the watermark, which stood at 5.999 s: it was taken.",
        );
    }

    #[test]
    fn long_curves_are_thinned_and_windows_counted() {
        let mut plot = EventTimePlot::default();
        for i in 0..2_000 {
            watermark(&mut plot, 1, (i, i as i64));
        }
        let curve = &plot.watermarks[0].1;
        assert!(curve.len() < 2 * MOMENTS);
        assert_eq!((curve[0], curve[curve.len() - 1]), ((0, 0), (1_999, 1_999)));
        for at in [5, 6] {
            let window = window_of(&mut plot, (0, 10), at).expect("there is room");
            window.times += 1;
        }
        assert_eq!((plot.windows.len(), plot.windows[0].times), (1, 2));
    }
}
