//! Data sets of books, fed record by record and watermark by watermark, with the results that the
//! books give: whole jobs, told in the scenario language alone.

mod support;

use support::holds;

/// The scores of a team in "Streaming Systems" (Akidau, Chernyak and Lax, 2018; the data set of its
/// examples 2-1 to 4-3, as the authors published it): `at` counts from 12:00. The book moves one
/// event two seconds and another one second where sessions are to meet.
fn scores(watermarks: Watermarks, extra_six: bool) -> String {
    use Watermarks::{Heuristic, None, Perfect};
    let streaming = watermarks != None;
    let (seven, nine) = match streaming {
        true => ("12:02:24", "12:01:25"),
        false => ("12:02:26", "12:01:26"),
    };
    let mut rows = vec![
        (299, "12:00:26 x 5 -".to_owned()),
        (339, format!("{seven} x 7 -")),
        (373, "12:03:39 x 3 -".to_owned()),
        (399, "12:04:19 x 4 -".to_owned()),
        (426, "12:03:06 x 8 -".to_owned()),
        (439, "12:06:39 x 3 -".to_owned()),
        (499, format!("{nine} x 9 -")),
        (519, "12:07:26 x 8 -".to_owned()),
        (540, "12:07:46 x 1 -".to_owned()),
    ];
    if extra_six {
        rows.push((399, "12:00:53 x 6 -".to_owned()));
    }
    let marks: &[(u32, &str)] = match watermarks {
        None => &[(299, "12:00:00")],
        Perfect => &[
            (519, "12:02:00"),
            (540, "12:04:00"),
            (550, "12:06:00"),
            (560, "12:08:00"),
        ],
        Heuristic => &[
            (360, "12:02:00"),
            (450, "12:04:00"),
            (460, "12:06:00"),
            (570, "12:08:00"),
        ],
    };
    rows.extend(marks.iter().map(|(at, to)| (*at, format!("- - - {to}"))));
    rows.sort_by_key(|row| row.0);
    let lines = rows.iter().map(|(at, row)| format!("{at}s {row}\n"));
    let lines: String = lines.collect();
    format!(
        r#"
[[stream.source]]
name = "scores"
watermark = {{ kind = "listed" }}
records = """
at ts key value watermark
{lines}"""
"#
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watermarks {
    /// None before the end of the data.
    None,
    /// A window ends when all its records are there.
    Perfect,
    /// One record comes after its window has ended.
    Heuristic,
}

/// Runs windows over a data set. The rows may come in any order, as in the book; those of one window
/// are numbered.
fn check(name: &str, data: &str, window: &str, columns: &str, rows: &str) {
    let text = format!(
        r#"
strandline = 1
title = "{name}"
duration = "700s"

[stream]
config = {{ "execution.buffer-timeout.interval" = "0ms" }}
{data}
[[stream.window]]
name = "totals"
input = "scores"
{window}

[[stream.sink]]
name = "out"
input = "totals"

[[stream.expect]]
sink = "out"
changelog = true
rows = """
{columns}
{rows}"""

[[expect]]
that = "job.output-as-expected"
"#
    );
    holds(name, &text);
}

const TWO_MINUTES: &str = "window = { kind = \"tumbling\", size = \"2min\" }\n";
const PANES: &str = "key value window timing pane";

/// Early after a minute, on time, and late at each record.
fn early_and_late(more: &str) -> String {
    format!(
        "trigger = {{ kind = \"event-time\", early = {{ delay = \"1min\" }}, late = {{ count = 1 }} }}\n{more}"
    )
}

#[test]
fn all_of_it_and_windows_of_two_minutes() {
    let whole = "window = { kind = \"global\" }\ntrigger = { kind = \"end-of-stream\" }";
    let data = scores(Watermarks::None, false);
    check(
        "example 2-1",
        &data,
        whole,
        PANES,
        "x 48 global on-time 0\n",
    );
    check(
        "example 2-2",
        &data,
        TWO_MINUTES,
        PANES,
        "x 14 12:00..12:02 on-time 0
         x 18 12:02..12:04 on-time 0
         x 4  12:04..12:06 on-time 0
         x 12 12:06..12:08 on-time 0
        ",
    );
}

#[test]
fn at_each_record() {
    check(
        "example 2-3",
        &scores(Watermarks::None, false),
        &format!("{TWO_MINUTES}trigger = {{ kind = \"count\", count = 1 }}"),
        PANES,
        "x 5  12:00..12:02 early 0
         x 7  12:02..12:04 early 0
         x 10 12:02..12:04 early 1
         x 4  12:04..12:06 early 0
         x 18 12:02..12:04 early 2
         x 3  12:06..12:08 early 0
         x 14 12:00..12:02 early 1
         x 11 12:06..12:08 early 1
         x 12 12:06..12:08 early 2
        ",
    );
}

/// The book's delay begins anew with the first record after a firing, and its windows speak once more
/// at the end of the data, where the watermark goes to infinity. Example 2-4 aligns it to two minutes
/// from 12:05; ours is aligned to even minutes, with panes of its own.
#[test]
fn after_a_delay_aligned_or_not() {
    for aligned in [true, false] {
        check(
            "examples 2-4 and 2-5",
            &scores(Watermarks::None, false),
            &format!(
                "{TWO_MINUTES}trigger = {{ kind = \"event-time\", early = {{ delay = \"2min\", aligned = {aligned} }} }}"
            ),
            PANES,
            match aligned {
                true => {
                    "x 5  12:00..12:02 early 0
                     x 7  12:02..12:04 early 0
                     x 18 12:02..12:04 early 1
                     x 4  12:04..12:06 early 0
                     x 3  12:06..12:08 early 0
                     x 14 12:00..12:02 on-time 1
                     x 18 12:02..12:04 on-time 2
                     x 4  12:04..12:06 on-time 1
                     x 12 12:06..12:08 on-time 1
                    "
                }
                false => {
                    "x 5  12:00..12:02 early 0
                     x 18 12:02..12:04 early 0
                     x 4  12:04..12:06 early 0
                     x 14 12:00..12:02 on-time 1
                     x 18 12:02..12:04 on-time 1
                     x 4  12:04..12:06 on-time 1
                     x 12 12:06..12:08 on-time 0
                    "
                }
            },
        );
    }
}

#[test]
fn perfect_and_heuristic_watermarks() {
    for (watermarks, first) in [(Watermarks::Perfect, 14), (Watermarks::Heuristic, 5)] {
        check(
            "example 2-6",
            &scores(watermarks, false),
            TWO_MINUTES,
            PANES,
            &format!(
                "x {first} 12:00..12:02 on-time 0
                 x 18 12:02..12:04 on-time 0
                 x 4  12:04..12:06 on-time 0
                 x 12 12:06..12:08 on-time 0
                "
            ),
        );
    }
}

#[test]
fn early_on_time_and_late() {
    let lateness = "allowed-lateness = \"1000d\"";
    check(
        "example 2-7, perfect",
        &scores(Watermarks::Perfect, false),
        &format!("{TWO_MINUTES}{}", early_and_late(lateness)),
        PANES,
        "x 5  12:00..12:02 early 0
         x 10 12:02..12:04 early 0
         x 4  12:04..12:06 early 0
         x 18 12:02..12:04 early 1
         x 3  12:06..12:08 early 0
         x 14 12:00..12:02 on-time 1
         x 18 12:02..12:04 on-time 2
         x 4  12:04..12:06 on-time 1
         x 12 12:06..12:08 on-time 1
        ",
    );
    check(
        "example 2-7, heuristic",
        &scores(Watermarks::Heuristic, false),
        &format!("{TWO_MINUTES}{}", early_and_late(lateness)),
        PANES,
        "x 5  12:00..12:02 early 0
         x 5  12:00..12:02 on-time 1
         x 10 12:02..12:04 early 0
         x 18 12:02..12:04 on-time 1
         x 4  12:04..12:06 early 0
         x 4  12:04..12:06 on-time 1
         x 14 12:00..12:02 late 2
         x 3  12:06..12:08 early 0
         x 12 12:06..12:08 on-time 1
        ",
    );
    check(
        "example 2-8",
        &scores(Watermarks::Heuristic, true),
        &format!(
            "{TWO_MINUTES}{}",
            early_and_late("allowed-lateness = \"2min\"")
        ),
        PANES,
        "x 5  12:00..12:02 early 0
         x 5  12:00..12:02 on-time 1
         x 11 12:00..12:02 late 2
         x 10 12:02..12:04 early 0
         x 18 12:02..12:04 on-time 1
         x 4  12:04..12:06 early 0
         x 4  12:04..12:06 on-time 1
         x 3  12:06..12:08 early 0
         x 12 12:06..12:08 on-time 1
        ",
    );
}

#[test]
fn discarding_with_empty_panes_and_retracting() {
    let lateness = "allowed-lateness = \"1000d\"\n";
    let data = scores(Watermarks::Heuristic, false);
    let discarding = "accumulation = \"discarding\"\nempty-panes = true";
    check(
        "example 2-9",
        &data,
        &format!("{TWO_MINUTES}{}{discarding}", early_and_late(lateness)),
        PANES,
        "x 5  12:00..12:02 early 0
         x 0  12:00..12:02 on-time 1
         x 9  12:00..12:02 late 2
         x 10 12:02..12:04 early 0
         x 8  12:02..12:04 on-time 1
         x 4  12:04..12:06 early 0
         x 0  12:04..12:06 on-time 1
         x 3  12:06..12:08 early 0
         x 9  12:06..12:08 on-time 1
        ",
    );
    // The book's table of the three modes goes on from here: what was said is taken back. Where
    // nothing is new there is nothing to say, as in Flink SQL.
    check(
        "the same, accumulating and retracting",
        &data,
        &format!(
            "{TWO_MINUTES}{}accumulation = \"retracting\"",
            early_and_late(lateness)
        ),
        "kind key value window timing",
        "+I x 5  12:00..12:02 early
         +I x 10 12:02..12:04 early
         -U x 10 12:02..12:04 on-time
         +U x 18 12:02..12:04 on-time
         +I x 4  12:04..12:06 early
         -U x 5  12:00..12:02 late
         +U x 14 12:00..12:02 late
         +I x 3  12:06..12:08 early
         -U x 3  12:06..12:08 on-time
         +U x 12 12:06..12:08 on-time
        ",
    );
}

#[test]
fn sessions_a_minute_apart() {
    let sessions = "window = { kind = \"session\", gap = \"1min\" }\n";
    let data = scores(Watermarks::Heuristic, false);
    let lateness = "allowed-lateness = \"1000d\"\n";
    check(
        "example 4-3",
        &data,
        &format!("{sessions}{}", early_and_late(lateness)),
        PANES,
        "x 5  12:00:26..12:01:26 early 0
         x 5  12:00:26..12:01:26 on-time 1
         x 7  12:02:24..12:03:24 early 0
         x 22 12:02:24..12:05:19 early 0
         x 22 12:02:24..12:05:19 on-time 1
         x 36 12:00:26..12:05:19 late 0
         x 3  12:06:39..12:07:39 early 0
         x 12 12:06:39..12:08:46 on-time 0
        ",
    );
    check(
        "the same, retracting",
        &data,
        &format!(
            "{sessions}{}accumulation = \"retracting\"",
            early_and_late(lateness)
        ),
        "kind key value window",
        "+I x 5  12:00:26..12:01:26
         +I x 7  12:02:24..12:03:24
         -U x 7  12:02:24..12:03:24
         +U x 22 12:02:24..12:05:19
         -U x 5  12:00:26..12:01:26
         -U x 22 12:02:24..12:05:19
         +U x 36 12:00:26..12:05:19
         +I x 3  12:06:39..12:07:39
         -U x 3  12:06:39..12:07:39
         +U x 12 12:06:39..12:08:46
        ",
    );
}
