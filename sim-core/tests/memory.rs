//! What keyframes really take, measured at the allocator.
//!
//! Frames are kept by an estimate of their weight, up to 40 MiB. They are promised to take 64 MiB at most, so
//! the estimate may be wrong by that factor and no more.

#![allow(clippy::disallowed_methods)] // reads the scenarios

use sim_core::run::{Recipe, Session};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn bytes() -> usize {
    dhat::HeapStats::get().curr_bytes
}

#[test]
fn keyframes_take_what_they_are_said_to_take() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for (name, events) in [("bench-cluster", 30_000), ("quickstart", 15_000)] {
        let path = format!("{}/../scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let scenario = std::fs::read_to_string(&path).expect("the scenario is there");
        let mut session = Session::open(Recipe {
            scenario,
            seed: None,
            actions: Vec::new(),
            time: 0,
        })
        .expect("the scenario is sound");
        session.advance(u64::MAX, events);
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
        let end = session.now();
        session.seek(end / 2);
        session.seek(end);
        assert!(session.keyframes() > 1, "{name}: frames are taken again");
    }
}
