//! `strandline bench`: the engine beside a hand-written loop, in one run.
//!
//! Machines are noisy, so every figure is a median of several rounds, and each round runs the loop
//! and the engine one after the other; the ratio is the median of the rounds' ratios.

mod assignors;
mod cluster;
mod groups;
mod job;
mod mm1;
mod ping_pong;

use crate::Outcome;
use crate::args::BenchArgs;
use serde::Serialize;
use std::time::Instant;

/// One line of the table.
#[derive(Serialize, Debug, Default)]
struct Figure {
    name: &'static str,
    events: u64,
    /// Millions of events per second of the hand-written loop (none for clusters).
    loop_m_per_s: Option<f64>,
    /// Millions of events per second of the engine.
    engine_m_per_s: Option<f64>,
    ratio: Option<f64>,
    /// What an assignor takes at each of [`assignors::SIZES`], ms.
    sizes_ms: Option<[f64; 3]>,
    /// Records that a job read.
    records: Option<u64>,
    /// Millions of records per second of a job.
    records_m_per_s: Option<f64>,
    /// What a record costs here ÷ what it costs in the line before.
    growth: Option<f64>,
    /// Median, 95th percentile and greatest time of a seek, ms.
    seek_ms: Option<[f64; 3]>,
}

/// Measures and prints.
pub(crate) fn bench(args: &BenchArgs) -> Outcome {
    let (rounds, events) = if args.quick {
        (3, 1_000_000)
    } else {
        (7, 10_000_000)
    };
    let mut figures = Vec::new();
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    for case in [ping_pong::case(), mm1::case()] {
        if !wanted(case.name) {
            continue;
        }
        eprintln!("{} …", case.name);
        figures.push(compare(&case, rounds, events));
    }
    let runs = cluster::CASES.map(|(name, text)| (name, cluster::plan(text)));
    for (name, plan) in runs.into_iter().chain([(groups::NAME, groups::plan())]) {
        if !wanted(name) {
            continue;
        }
        eprintln!("{name} …");
        let rounds = if args.quick { 1 } else { 5 };
        match plan.and_then(|plan| cluster::measure(&plan, rounds)) {
            Ok((events, rate)) => figures.push(Figure {
                name,
                events,
                engine_m_per_s: Some(rate / 1e6),
                ..Figure::default()
            }),
            Err(problem) => {
                eprintln!("{problem}");
                return Outcome::BadInput;
            }
        }
    }
    match job::measure(if args.quick { 1 } else { 5 }, wanted) {
        Ok(of_jobs) => figures.extend(of_jobs),
        Err(problem) => {
            eprintln!("{problem}");
            return Outcome::BadInput;
        }
    }
    for (name, ms) in assignors::measure(rounds, wanted) {
        figures.push(Figure {
            name,
            sizes_ms: Some(ms),
            ..Figure::default()
        });
    }
    if args.json {
        crate::say!(
            "{}",
            serde_json::to_string_pretty(&figures).unwrap_or_default()
        );
        return Outcome::Held;
    }
    print(&figures);
    Outcome::Held
}

fn print(figures: &[Figure]) {
    crate::say!("| what | events | loop, M events/s | engine, M events/s | engine ÷ loop |");
    crate::say!("|---|---|---|---|---|");
    let show = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), |x| format!("{x:.2}"));
    let is_row = |f: &&Figure| f.engine_m_per_s.is_some();
    for f in figures.iter().filter(is_row) {
        crate::say!(
            "| {} | {} | {} | {} | {} |",
            f.name,
            f.events,
            show(f.loop_m_per_s),
            show(f.engine_m_per_s),
            show(f.ratio)
        );
    }
    print_jobs(figures);
    let [small, middle, large] = assignors::SIZES.map(|(m, p)| format!("{m} × {p}"));
    crate::say!("\n| assignor, members × partitions | {small}, ms | {middle}, ms | {large}, ms |");
    crate::say!("|---|---|---|---|");
    for f in figures {
        if let Some([small, middle, large]) = f.sizes_ms {
            crate::say!("| {} | {small:.3} | {middle:.2} | {large:.1} |", f.name);
        }
    }
}

fn print_jobs(figures: &[Figure]) {
    crate::say!("\n| job | records | events | M records/s | a record's cost ÷ the line before |");
    crate::say!("|---|---|---|---|---|");
    for f in figures {
        if let (Some(records), Some(rate)) = (f.records, f.records_m_per_s) {
            let growth = f
                .growth
                .map_or_else(|| "–".to_owned(), |it| format!("{it:.2}"));
            let (name, events) = (f.name, f.events);
            crate::say!("| {name} | {records} | {events} | {rate:.2} | {growth} |");
        }
    }
    crate::say!("\n| seek | events | p50, ms | p95, ms | max, ms |");
    crate::say!("|---|---|---|---|---|");
    for f in figures {
        if let Some([p50, p95, max]) = f.seek_ms {
            let (name, events) = (f.name, f.events);
            crate::say!("| {name} | {events} | {p50:.1} | {p95:.1} | {max:.1} |");
        }
    }
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
        engine_m_per_s: Some(median(&mut engines)),
        ratio: Some(median(&mut ratios)),
        ..Figure::default()
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
