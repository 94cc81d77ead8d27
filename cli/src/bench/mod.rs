//! `strandline bench`: the engine beside a hand-written loop, in one run.
//!
//! Machines are noisy, so every figure is a median of several rounds, and each round runs the loop
//! and the engine one after the other; the ratio is the median of the rounds' ratios.

mod cluster;
mod mm1;
mod ping_pong;

use crate::Outcome;
use crate::args::BenchArgs;
use serde::Serialize;
use std::time::Instant;

/// One line of the table.
#[derive(Serialize, Debug)]
struct Figure {
    name: &'static str,
    events: u64,
    /// Millions of events per second of the hand-written loop (none for the cluster).
    loop_m_per_s: Option<f64>,
    /// Millions of events per second of the engine.
    engine_m_per_s: f64,
    ratio: Option<f64>,
}

/// Measures and prints.
pub(crate) fn bench(args: &BenchArgs) -> Outcome {
    let (rounds, events) = if args.quick {
        (3, 1_000_000)
    } else {
        (7, 10_000_000)
    };
    let mut figures = Vec::new();
    for case in [ping_pong::case(), mm1::case()] {
        eprintln!("{} …", case.name);
        figures.push(compare(&case, rounds, events));
    }
    for (name, text) in cluster::CASES {
        eprintln!("{name} …");
        match cluster::measure(text, if args.quick { 1 } else { 5 }) {
            Ok((events, rate)) => figures.push(Figure {
                name,
                events,
                loop_m_per_s: None,
                engine_m_per_s: rate / 1e6,
                ratio: None,
            }),
            Err(problem) => {
                eprintln!("{problem}");
                return Outcome::BadInput;
            }
        }
    }
    if args.json {
        crate::say!(
            "{}",
            serde_json::to_string_pretty(&figures).unwrap_or_default()
        );
        return Outcome::Held;
    }
    crate::say!("| what | events | loop, M events/s | engine, M events/s | engine ÷ loop |");
    crate::say!("|---|---|---|---|---|");
    for f in &figures {
        let show = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.2}"));
        crate::say!(
            "| {} | {} | {} | {:.2} | {} |",
            f.name,
            f.events,
            show(f.loop_m_per_s),
            f.engine_m_per_s,
            show(f.ratio)
        );
    }
    Outcome::Held
}

/// The same work written twice. Each side returns a check value, and both must agree on it.
struct Case {
    name: &'static str,
    by_loop: fn(u64) -> u64,
    by_engine: fn(u64) -> u64,
}

fn compare(case: &Case, rounds: u32, events: u64) -> Figure {
    let mut loops = Vec::new();
    let mut engines = Vec::new();
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let (a, by_loop) = timed(|| (case.by_loop)(events));
        let (b, by_engine) = timed(|| (case.by_engine)(events));
        assert_eq!(
            a, b,
            "{}: the loop and the engine must do the same work",
            case.name
        );
        loops.push(events as f64 / by_loop / 1e6);
        engines.push(events as f64 / by_engine / 1e6);
        ratios.push(by_loop / by_engine);
    }
    Figure {
        name: case.name,
        events,
        loop_m_per_s: Some(median(&mut loops)),
        engine_m_per_s: median(&mut engines),
        ratio: Some(median(&mut ratios)),
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
