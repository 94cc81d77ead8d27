//! `docs/BENCHMARKS.md`: target beside measured, said plainly either way.

use super::figures::{Browser, Frames, Native, Spread};
use crate::dist::sizes::{FIRST_BYTES, Sizes};
use crate::machine::Machine;
use std::fmt::Write;

/// Tokens in flight that the frame benchmark is about.
const TOKENS: u32 = 1_000;
/// What stands in place of a target.
const NO_TARGET: &str = "none of its own";
const MEBIBYTE: f64 = 1_048_576.0;

struct Row {
    what: String,
    target: String,
    measured: String,
    met: bool,
}

fn row(what: &str, target: &str, measured: String, met: bool) -> Row {
    Row {
        what: what.to_owned(),
        target: target.to_owned(),
        measured,
        met,
    }
}

fn spread(s: &Spread) -> String {
    let Spread {
        count,
        p50,
        p95,
        max,
    } = s;
    format!("p50 {p50:.1} ms, p95 {p95:.1} ms, max {max:.1} ms ({count} measured)")
}

/// The whole file.
pub(super) fn write(
    machine: &Machine,
    native: &[Native],
    browser: Option<&(Browser, Sizes)>,
    quick: bool,
) -> String {
    let mut rows: Vec<_> = native.iter().map(native_row).collect();
    if let Some((browser, sizes)) = browser {
        rows.extend(browser_rows(browser, sizes));
    }
    let mut out = String::from(
        "# Benchmarks\n\nWritten by `cargo xtask bench`, never by hand. These are measurements, not \
         tests: nothing fails\nwhen a figure is missed, and the last column says so.\n\n",
    );
    // Writing to a string cannot fail.
    let _ = writeln!(out, "| what | target | measured | |\n|---|---|---|---|");
    for row in &rows {
        let verdict = match row.met {
            _ if row.target == NO_TARGET => "",
            true => "met",
            false => "**missed**",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {verdict} |",
            row.what, row.target, row.measured
        );
    }
    if browser.is_none() {
        let _ = writeln!(
            out,
            "\nThe site was not measured: no Chromium, Node.js or build of it."
        );
    }
    describe(&mut out, machine, browser.map(|(b, _)| b));
    remarks(&mut out, machine, browser.map(|(b, _)| b), quick);
    if let Some((_, sizes)) = browser {
        let _ = writeln!(
            out,
            "\n## First load, file by file\n\n```text\n{}\n```",
            sizes.table()
        );
    }
    out
}

fn native_row(n: &Native) -> Row {
    if let Some(sizes) = n.sizes_ms {
        return assignor_row(&n.name, sizes);
    }
    if let Some(row) = job_row(n) {
        return row;
    }
    let (rate, events) = (n.engine_m_per_s.unwrap_or_default(), n.events);
    let measured = format!("{rate:.2} M events/s ({events} events)");
    match (n.ratio, n.loop_m_per_s) {
        (Some(ratio), Some(by_loop)) => row(
            &format!("bare engine ÷ hand-written heap loop: {}", n.name),
            "≥ 0.5",
            format!("{ratio:.2} ({rate:.1} of {by_loop:.1} M events/s, {events} events)"),
            ratio >= 0.5,
        ),
        // The target speaks of the cluster; what it costs with other records is said beside it.
        _ if n.name.starts_with("the same") => {
            row(&format!("… {}, native", n.name), NO_TARGET, measured, true)
        }
        _ if n.name.contains("groups") => row(
            &format!("{}, native", n.name),
            "≥ 0.5 M events/s",
            measured,
            rate >= 0.5,
        ),
        _ => row(
            &format!("{}, native", n.name),
            "≥ 1 M events/s",
            measured,
            rate >= 1.0,
        ),
    }
}

/// A job's rate, what its cost grows with, or its seeks.
fn job_row(n: &Native) -> Option<Row> {
    if let Some([p50, p95, max]) = n.seek_ms {
        let measured = format!("p50 {p50:.1} ms, p95 {p95:.1} ms, max {max:.1} ms");
        let what = format!("{}, native", n.name);
        return Some(row(&what, "p95 ≤ 100 ms", measured, p95 <= 100.0));
    }
    let (rate, records) = (n.records_m_per_s?, n.records?);
    let measured = format!(
        "{rate:.2} M records/s ({records} records, {} events)",
        n.events
    );
    Some(match n.growth {
        Some(growth) => row(
            &format!("… {}", n.name),
            "a record costs ≤ 1.5 times as much",
            format!("{growth:.2} times: {measured}"),
            growth <= 1.5,
        ),
        None if n.name.starts_with("job of") => row(
            &format!("{}, digest and causes on, native", n.name),
            "≥ 0.3 M records/s",
            measured,
            rate >= 0.3,
        ),
        None => row(&n.name, NO_TARGET, measured, true),
    })
}

/// Tenfold members and partitions: tenfold time is linear, a hundredfold quadratic.
fn assignor_row(name: &str, [small, middle, large]: [f64; 3]) -> Row {
    let growth = large / middle.max(f64::MIN_POSITIVE);
    row(
        &format!("assignor: {name}; 10 members × 100 partitions, 100 × 1,000, 1,000 × 10,000"),
        "the last ≤ 1 s, and ≤ 30 times the one before",
        format!("{small:.3} ms, {middle:.2} ms, {large:.1} ms (× {growth:.0})"),
        large <= 1_000.0 && growth <= 30.0,
    )
}

fn browser_rows(b: &Browser, sizes: &Sizes) -> Vec<Row> {
    let e = &b.engine;
    let grown = b.seek.after.saturating_sub(b.seek.before) as f64 / MEBIBYTE;
    let weight = b.seek.weight as f64 / MEBIBYTE * 1.6;
    let explored = b.seek.explored.saturating_sub(b.seek.before) as f64 / MEBIBYTE;
    let mut rows = vec![
        row(
            "the cluster with keys in wasm ÷ native, rounds side by side",
            "≥ 0.5",
            format!(
                "{:.2} ({:.2} of {:.2} M events/s, {} events)",
                e.ratio, e.wasm_m_per_s, e.native_m_per_s, e.events
            ),
            e.ratio >= 0.5,
        ),
        row(
            "the job in wasm ÷ native, rounds side by side",
            "≥ 0.5",
            format!(
                "{:.2} ({:.2} of {:.2} M records/s, {} records)",
                b.job.ratio, b.job.wasm_m_per_s, b.job.native_m_per_s, b.job.events
            ),
            b.job.ratio >= 0.5,
        ),
        row(
            &format!(
                "seek to a random point of {} events of a job that keeps 1,000,000 keys",
                b.keyed.events
            ),
            "p95 ≤ 100 ms",
            spread(&b.keyed.done),
            b.keyed.done.p95 <= 100.0,
        ),
        row(
            &format!("seek to a random point of {} events", b.seek.events),
            "p95 ≤ 60 ms",
            spread(&b.seek.done),
            b.seek.done.p95 <= 60.0,
        ),
        row(
            "… until the next frame is drawn as well",
            NO_TARGET,
            spread(&b.seek.painted),
            true,
        ),
        row(
            "memory of keyframes",
            "≤ 64 MiB",
            format!("{weight:.1} MiB in {} keyframes", b.seek.keyframes),
            weight <= 64.0,
        ),
        row(
            "… with the run itself, its history, and the page",
            NO_TARGET,
            format!("{grown:.1} MiB ({explored:.1} before the seeks)"),
            true,
        ),
    ];
    rows.extend(b.frames.iter().flat_map(frame_rows));
    let kilobytes = sizes.total_bytes() as f64 / 1024.0;
    rows.push(row(
        "first load: wasm + js + css, gzip",
        &format!("≤ {} KB", FIRST_BYTES / 1024),
        format!("{kilobytes:.1} KB"),
        sizes.total_bytes() <= FIRST_BYTES,
    ));
    rows.push(row(
        "first simulated frame after the start of the navigation, empty cache",
        "≤ 1.5 s",
        spread(&b.first_ms),
        b.first_ms.p50 <= 1_500.0,
    ));
    rows.push(row(
        "a lesson, until its run takes orders, after the start of the navigation, empty cache",
        NO_TARGET,
        spread(&b.lesson_ms),
        true,
    ));
    rows
}

fn frame_rows(f: &Frames) -> [Row; 2] {
    let (what, t) = (format!("at speed {}", f.speed), &f.tokens);
    let enough = t.p50 >= TOKENS;
    [
        row(
            &format!(
                "frame: all main-thread work, {what}, {} tokens ({} to {}), 10 brokers × 24 partitions",
                t.p50, t.min, t.max
            ),
            "p95 ≤ 8 ms at 1,000 tokens",
            spread(&f.whole),
            f.whole.p95 <= 8.0 && enough,
        ),
        row(
            &format!("… the frame callback of it (simulating and drawing), {what}"),
            NO_TARGET,
            spread(&f.callback),
            true,
        ),
    ]
}

fn describe(out: &mut String, machine: &Machine, browser: Option<&Browser>) {
    let _ = writeln!(out, "\n## The machine\n\n| | |\n|---|---|");
    for (name, value) in &machine.rows {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    if let Some(b) = browser {
        let _ = writeln!(
            out,
            "| Chromium | {}, headless |\n| Node.js | {} |",
            b.chromium, b.node
        );
    }
    if let Some(load) = &machine.load {
        let _ = writeln!(out, "| Load (1, 5, 15 minutes) at the start | {load} |");
    }
}

fn remarks(out: &mut String, machine: &Machine, browser: Option<&Browser>, quick: bool) {
    let _ = writeln!(out, "\n## How it was measured, and how far to trust it\n");
    let mut say = |text: &str| {
        let _ = writeln!(out, "- {text}");
    };
    say(
        "`cargo xtask bench` builds in release and runs `strandline bench --json`, then \
         `e2e/bench.mjs`. Engine and loop alternate within a run; rates are medians of the rounds.",
    );
    if quick {
        say("This was a `--quick` run: fewer rounds, seeks and frames, so rougher figures.");
    }
    let load = machine.load.as_deref().and_then(|l| l.split(',').next());
    let load = load.and_then(|l| l.parse::<f64>().ok()).unwrap_or(0.0);
    if load > 0.5 {
        say(&format!(
            "Other work was running: the load average was {load} when measuring began. All times \
             are wall-clock times and contain the waiting for a core; on a quiet machine they are \
             shorter, above all the high quantiles. Ratios suffer less than rates."
        ));
    }
    let Some(browser) = browser else { return };
    say(
        "The wasm engine is timed without history, keyframes or drawing, as the native one is; \
         its first round, in which Chromium still optimises the code, is left out.",
    );
    say(
        "A seek is timed from the call until the page's elements are up to date. The \
         weight of keyframes is the engine's estimate times 1.6, the most by which it may be wrong \
         (`sim-core/tests/memory.rs` counts the bytes at the allocator). What stands below it is \
         the growth of the whole wasm instance, which never shrinks.",
    );
    say(
        "Frame work is the time from the frame callback to the first task after it: it contains \
         effects, style, layout and paint, but not what the compositor does in other threads.",
    );
    if browser.frames.iter().any(|f| f.tokens.p50 < TOKENS) {
        say("Fewer than 1,000 tokens were under way: the frame target counts as missed for that.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(ratio: Option<f64>, rate: f64) -> Native {
        Native {
            name: "case".to_owned(),
            events: 1,
            loop_m_per_s: ratio.map(|r| rate / r),
            engine_m_per_s: Some(rate),
            sizes_ms: None,
            ratio,
            records: None,
            records_m_per_s: None,
            growth: None,
            seek_ms: None,
        }
    }

    #[test]
    fn a_missed_target_is_said() {
        let machine = Machine {
            rows: vec![("Cores", "2".to_owned())],
            load: Some("9.5, 1, 1".to_owned()),
        };
        for (figure, missed) in [
            (native(Some(0.5), 9.0), false),
            (native(Some(0.49), 9.0), true),
            (native(None, 1.0), false),
            (native(None, 0.99), true),
        ] {
            let text = write(&machine, &[figure], None, false);
            assert_eq!(text.contains("**missed**"), missed, "{text}");
            assert!(text.contains("load average was 9.5"), "{text}");
            assert!(text.contains("The site was not measured"), "{text}");
        }
    }

    #[test]
    fn a_job_is_judged_by_its_records_its_growth_and_its_seeks() {
        let check = |name: &str, (rate, growth), seek_ms, expect: Option<bool>| {
            let figure = Native {
                name: name.to_owned(),
                records: Some(1),
                records_m_per_s: rate,
                growth,
                seek_ms,
                ..native(None, 0.0)
            };
            let row = native_row(&figure);
            let met = (row.target != NO_TARGET).then_some(row.met);
            assert_eq!(met, expect, "{}", row.what);
        };
        let job = "job of 4 sources × 8 windows × 4 sinks";
        check(job, (Some(0.31), None), None, Some(true));
        check(job, (Some(0.29), None), None, Some(false));
        check("as the busy job is", (Some(0.1), None), None, None);
        check("over more time", (Some(0.1), Some(1.4)), None, Some(true));
        check("over more time", (Some(0.1), Some(1.6)), None, Some(false));
        check("seek", (None, None), Some([1.0, 99.0, 200.0]), Some(true));
        check("seek", (None, None), Some([1.0, 101.0, 200.0]), Some(false));
    }

    #[test]
    fn too_few_tokens_do_not_meet_the_frame_target() {
        let fast = || Spread {
            count: 1,
            p50: 1.0,
            p95: 1.0,
            max: 1.0,
        };
        for (p50, met) in [(TOKENS, true), (TOKENS - 1, false)] {
            let frames = Frames {
                speed: 1.0,
                tokens: super::super::figures::Tokens {
                    min: 0,
                    p50,
                    max: p50,
                },
                callback: fast(),
                whole: fast(),
            };
            assert_eq!(frame_rows(&frames)[0].met, met);
        }
    }
}
