//! A busy job of a stream processor: records a second, and what its cost does not depend on.
//!
//! Each case is the text of a scenario with some of its lines replaced, so that two cases that are
//! compared differ in nothing else.

use super::{Figure, median};
use sim_core::run::{Recipe, Run, RunScratch, Session};
use sim_core::scenario;
use sim_core::stream::spec::{OperatorKind, SplitSpec};
use sim_core::systems::Spec;
use sim_core::view::VerdictState;
use std::sync::Arc;
use std::time::Instant;

const TEXT: &str = include_str!("../../../scenarios/bench-job.toml");
const WINDOWS: &str = include_str!("job-windows.toml");
const KEYS: &str = include_str!("job-keys.toml");

/// How the table calls the whole job.
const NAME: &str = "job of 4 sources × 8 windows × 4 sinks, 1,000 keys";
/// Nanoseconds in a second of simulated time.
const SECOND: u64 = 1_000_000_000;
/// From when on `job-windows.toml` and `job-keys.toml` are measured: what fills their state has
/// come by then.
const FILLED: u64 = 9 * SECOND;

/// A case: its name, its text with lines to replace, and between which times it is measured, ns.
struct Case {
    name: &'static str,
    text: &'static str,
    replace: &'static [(&'static str, &'static str)],
    span: (u64, u64),
}

/// Pairs of a case and what is compared with it: the same records cost about the same.
const COMPARED: [[Case; 2]; 3] = [
    [
        whole("as the busy job is", &[]),
        whole(
            "its records over 10 times the simulated time",
            &[
                ("rate = 40_000", "rate = 4_000"),
                ("duration = \"35s\"", "duration = \"260s\""),
            ],
        ),
    ],
    [
        whole("as the busy job is, but its sources never end", &IDLE),
        whole(
            "the same, and then idle for 10 times as long",
            &[
                IDLE[0],
                IDLE[1],
                ("duration = \"35s\"", "duration = \"300s\""),
            ],
        ),
    ],
    [
        Case {
            name: "records of 1,000 keys beside 10,000 open windows that nobody touches",
            text: WINDOWS,
            replace: &[],
            span: (FILLED, u64::MAX),
        },
        Case {
            name: "the same beside 100,000",
            text: WINDOWS,
            replace: &[
                ("keys = 10_000", "keys = 100_000"),
                ("rate = 7_500", "rate = 75_000"),
                ("limit = 30_000", "limit = 300_000"),
            ],
            span: (FILLED, u64::MAX),
        },
    ],
];
/// Sources that wait for ever after their last record, as a topic does.
const IDLE: [(&str, &str); 2] = [
    (
        "limit = 1_000_000 }",
        "limit = 1_000_000 }\nbounded = false",
    ),
    ("job.status == FINISHED", "job.status == RUNNING"),
];

const fn whole(name: &'static str, replace: &'static [(&'static str, &'static str)]) -> Case {
    Case {
        name,
        text: TEXT,
        replace,
        span: (0, u64::MAX),
    }
}

/// What is kept of 1,000,000 keys while seeking.
const SOUGHT: [(&str, &[(&str, &str)]); 1] =
    [("seek with 1,000,000 keys of a process function", &[])];

/// Measures all of it that is wanted.
pub(super) fn measure(rounds: u32, wanted: impl Fn(&str) -> bool) -> Result<Vec<Figure>, String> {
    let mut figures = Vec::new();
    if wanted(NAME) {
        eprintln!("{NAME} …");
        figures.push(rate(rounds)?);
    }
    for pair in &COMPARED {
        if pair.iter().any(|it| wanted(it.name)) {
            eprintln!("{} …", pair[1].name);
            figures.extend(compare(pair, rounds)?);
        }
    }
    for (name, replace) in SOUGHT {
        if wanted(name) {
            eprintln!("{name} …");
            figures.push(seeks(name, replace, rounds)?);
        }
    }
    Ok(figures)
}

fn replaced(text: &str, replace: &[(&str, &str)]) -> Result<String, String> {
    let mut made = text.to_owned();
    for (old, new) in replace {
        if !made.contains(old) {
            return Err(format!("the job to measure has no `{old}`"));
        }
        made = made.replace(old, new);
    }
    Ok(made)
}

fn read(text: &str) -> Result<scenario::Scenario, String> {
    let read = scenario::parse(text).into_result();
    read.map_err(|problems| scenario::render(&problems, "the job to measure", text))
}

/// Records that have arrived at the sources by this time, ns.
fn records(scenario: &scenario::Scenario, by: u64) -> u64 {
    let mut count = 0;
    for spec in &scenario.systems {
        let Spec::Stream(spec) = spec else { continue };
        for operator in &spec.operators {
            let OperatorKind::Source(source) = &operator.kind else {
                continue;
            };
            for split in &source.splits {
                count += match split {
                    SplitSpec::Records(all) => all.partition_point(|it| it.arrives <= by) as u64,
                    SplitSpec::Generated(it) if it.start <= by => {
                        let all = (by - it.start) / it.gap.max(1) + 1;
                        it.limit.map_or(all, |limit| all.min(limit))
                    }
                    // What lies in a topic was not counted: the files measured here read none.
                    SplitSpec::Generated(_) | SplitSpec::Partition => 0,
                };
            }
        }
    }
    count
}

/// One measured run: its records, its events and the seconds that it took.
struct Measured {
    records: u64,
    events: u64,
    seconds: f64,
}

/// Runs a case once. It must come to a good end.
fn once(case: &Case) -> Result<Measured, String> {
    let scenario = Arc::new(read(&replaced(case.text, case.replace)?)?);
    let (from, to) = (case.span.0, case.span.1.min(scenario.duration));
    let mut run = Run::new(Arc::clone(&scenario), scenario.seed, Arc::default());
    let mut scratch = RunScratch::default();
    while run.peek().is_some_and(|at| at < from) {
        run.step(&mut scratch);
    }
    let before = run.world().executed();
    let began = Instant::now();
    while run.peek().is_some_and(|at| at <= to) && run.step(&mut scratch).is_some() {}
    let seconds = began.elapsed().as_secs_f64();
    let verdicts = run.judge().view(&scenario);
    if verdicts.iter().any(|it| it.state == VerdictState::Broken) {
        return Err(format!("`{}` is not a good run", case.name));
    }
    let measured =
        records(&scenario, to) - from.checked_sub(1).map_or(0, |it| records(&scenario, it));
    Ok(Measured {
        records: measured,
        events: run.world().executed() - before,
        seconds,
    })
}

fn rate(rounds: u32) -> Result<Figure, String> {
    let case = whole(NAME, &[]);
    let mut rates = Vec::new();
    let (mut events, mut records) = (0, 0);
    for _ in 0..rounds {
        let it = once(&case)?;
        rates.push(it.records as f64 / it.seconds / 1e6);
        (events, records) = (it.events, it.records);
    }
    Ok(Figure {
        name: NAME,
        events,
        records: Some(records),
        records_m_per_s: Some(median(&mut rates)),
        ..Figure::default()
    })
}

/// Both of a pair, in turn, and how much more a record of the second costs.
fn compare(pair: &[Case; 2], rounds: u32) -> Result<[Figure; 2], String> {
    let (mut rates, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    let mut last = [(0, 0); 2];
    for _ in 0..rounds {
        let mut costs = [0.0; 2];
        for (at, case) in pair.iter().enumerate() {
            let it = once(case)?;
            costs[at] = it.seconds / it.records as f64;
            rates[at].push(1e-6 / costs[at]);
            last[at] = (it.events, it.records);
        }
        ratios.push(costs[1] / costs[0]);
    }
    let [mut first, mut second] = rates;
    let figure = |name, (events, records), rates: &mut [f64], growth| Figure {
        name,
        events,
        records: Some(records),
        records_m_per_s: Some(median(rates)),
        growth,
        ..Figure::default()
    };
    Ok([
        figure(pair[0].name, last[0], &mut first, None),
        figure(
            pair[1].name,
            last[1],
            &mut second,
            Some(median(&mut ratios)),
        ),
    ])
}

/// Seeks to random moments of an explored run that keeps 1,000,000 keys.
fn seeks(name: &'static str, replace: &[(&str, &str)], rounds: u32) -> Result<Figure, String> {
    let text = replaced(KEYS, replace)?;
    let recipe = Recipe {
        scenario: text.clone(),
        seed: None,
        actions: Vec::new(),
        time: 0,
    };
    let mut session = Session::open(recipe)
        .map_err(|problems| scenario::render(&problems, "the job to measure", &text))?;
    let end = session.duration();
    session.advance(end, u64::MAX);
    // A fixed sequence, as in the browser's benchmark.
    let mut state = 12_345_u64;
    let mut times = Vec::new();
    for _ in 0..rounds * 8 {
        state = state * 48_271 % 2_147_483_647;
        let to = FILLED + (u128::from(end - FILLED) * u128::from(state) / 2_147_483_647) as u64;
        let began = Instant::now();
        session.seek(to);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[(times.len() as f64 * share).ceil() as usize - 1];
    Ok(Figure {
        name,
        events: session.event(),
        seek_ms: Some([at(0.5), at(0.95), at(1.0)]),
        ..Figure::default()
    })
}
