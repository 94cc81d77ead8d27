//! What keyframes really take, measured at the allocator.
//!
//! Frames are kept by an estimate of their weight, up to 40 MiB. They are promised to take 64 MiB at most, so
//! the estimate may be wrong by that factor and no more. The keyed state of a job has a limit of its
//! own, and its estimate the same bounds; a frame must share all of it that is not written.

#![allow(clippy::disallowed_methods)] // reads the scenarios
#![allow(clippy::disallowed_types)] // counts for one test at a time

use sim_core::run::{Recipe, Run, RunScratch, Session};
use sim_core::scenario;
use std::sync::{Arc, Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn bytes() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// The allocator counts for one test at a time.
static COUNTS: Mutex<()> = Mutex::new(());

/// A job that finds records of its keys waiting, then gets 2,000 a second of them.
const KEYED: &str = r#"
strandline = 1
title = "Many keys"
duration = "12s"

[stream]
slots = 4
parallelism = 2
config = { "execution.checkpointing.interval" = "3 s" }

[[stream.source]]
name = "first"
parallelism = 1
watermark = { kind = "bounded", bound = "1s" }
load = { rate = 1_000_000_000, keys = 20_000, limit = 60_000 }

[[stream.source]]
name = "more"
parallelism = 1
watermark = { kind = "bounded", bound = "1s" }
load = { rate = 2_000, keys = 20_000, start = "4s" }

KEPT

[[stream.filter]]
name = "few"
input = "kept"
at-least = 1_000_000

[[stream.sink]]
name = "out"
input = "few"
"#;

/// Ways to keep something of each key.
const KEPT: [(&str, &str); 8] = [
    ("counts", "process]]\nfunction = 'count'"),
    ("values seen", "process]]\nfunction = 'distinct'"),
    (
        "timers",
        "process]]\nfunction = 'count-with-timeout'\ntimeout = '1h'",
    ),
    (
        "windows",
        "window]]\nwindow = { kind = 'tumbling', size = '1h' }",
    ),
    ("window join", "join]]\nkind = 'window'\nsize = '1h'"),
    (
        "interval join",
        "join]]\nkind = 'interval'\nlower = '-1h'\nupper = '1s'",
    ),
    ("temporal join", "join]]\nkind = 'temporal'"),
    ("table join", "join]]\nkind = 'table'"),
];

fn keyed(kept: &str) -> String {
    let input = "input = ['first', 'more']\nname = 'kept'";
    KEYED.replace("KEPT", &format!("[[stream.{kept}\n{input}"))
}

/// A frame shares what was not written since: after a few records nearly all.
#[test]
fn a_touch_after_a_keyframe_copies_what_it_touches() {
    const SECOND: u64 = 1_000_000_000;
    let _one = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let _profiler = dhat::Profiler::builder().testing().build();
    for (name, kept) in KEPT {
        let scenario = scenario::parse(&keyed(kept)).into_result();
        let scenario = Arc::new(scenario.unwrap_or_else(|it| panic!("{name}: {it:?}")));
        let mut scratch = RunScratch::default();
        let (base, mut run) = (bytes(), Run::new(scenario, 1, Arc::default()));
        while run.peek().is_some_and(|at| at < 4 * SECOND) {
            run.step(&mut scratch);
        }
        let whole = bytes() - base;
        let (frame, before) = (run.clone(), bytes());
        let until = run.handled() + 200;
        while run.handled() < until {
            run.step(&mut scratch);
        }
        let (took, said) = (bytes().saturating_sub(before), run.unshared(&frame));
        assert!(whole > 20_000 * 32, "{name}: {whole} bytes of 20,000 keys");
        assert!(
            took < whole / 8,
            "{name}: {took} bytes of {whole} for 200 records"
        );
        assert!(
            said < whole / 8,
            "{name}: {said} bytes of {whole} said to be for 200 records"
        );
    }
}

#[test]
fn keyframes_take_what_they_are_said_to_take() {
    let _one = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    let _profiler = dhat::Profiler::builder().testing().build();
    let of_file = |(name, events)| {
        let path = format!("{}/../scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let scenario = std::fs::read_to_string(&path).expect("the scenario is there");
        (name, scenario, events)
    };
    let files = [("bench-cluster", 30_000), ("quickstart", 15_000)].map(of_file);
    let jobs = KEPT.map(|(name, kept)| (name, keyed(kept), u64::MAX));
    for (name, scenario, events) in files.into_iter().chain(jobs) {
        let mut session = Session::open(Recipe {
            scenario,
            seed: None,
            actions: Vec::new(),
            time: 0,
        })
        .expect("the scenario is sound");
        session.advance(u64::MAX, events);
        let end = session.now();
        if KEPT.iter().any(|it| it.0 == name) {
            // The present moment shares much of the frames' state; they hold it without that too.
            session.seek(0);
        }
        let frames = session.keyframes();
        assert!(frames > 3, "{name}: {frames} frames");
        let (said, with) = (session.keyframes_weight(), bytes());
        session.drop_keyframes();
        let taken = with - bytes();
        // Half a MiB of pieces that only the first frames still share is no matter of size.
        assert!(
            taken <= said * 64 / 40 + (1 << 19),
            "{name}: {taken} bytes, said to be {said}"
        );
        assert!(
            said <= taken * 2,
            "{name}: {taken} bytes, said to be {said}"
        );
        session.seek(end / 2);
        session.seek(end);
        assert!(session.keyframes() > 1, "{name}: frames are taken again");
    }
}
