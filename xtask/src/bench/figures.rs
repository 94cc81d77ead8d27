//! What the measuring programs print, as types: `strandline bench --json` and `e2e/bench.mjs`.

use serde::Deserialize;

/// One line of `strandline bench --json`.
#[derive(Deserialize)]
pub(super) struct Native {
    pub(super) name: String,
    pub(super) events: u64,
    /// Million events per second of the hand-written loop.
    pub(super) loop_m_per_s: Option<f64>,
    /// Million events per second of the engine.
    pub(super) engine_m_per_s: Option<f64>,
    /// Engine ÷ loop.
    pub(super) ratio: Option<f64>,
    /// What an assignor takes for 10 members × 100 partitions, 100 × 1,000 and 1,000 × 10,000, ms.
    pub(super) sizes_ms: Option<[f64; 3]>,
    /// Records that a job read.
    pub(super) records: Option<u64>,
    /// Million records per second of a job.
    pub(super) records_m_per_s: Option<f64>,
    /// What a record costs ÷ what it costs in the line before.
    pub(super) growth: Option<f64>,
    /// Median, 95th percentile and greatest time of a seek, ms.
    pub(super) seek_ms: Option<[f64; 3]>,
}

/// Everything that `e2e/bench.mjs` measures.
#[derive(Deserialize)]
pub(super) struct Browser {
    pub(super) chromium: String,
    pub(super) node: String,
    /// From the start of the navigation to the first frame that shows simulated time, ms.
    pub(super) first_ms: Spread,
    /// From the start of the navigation to a lesson until its run takes orders, ms.
    pub(super) lesson_ms: Spread,
    pub(super) engine: Engine,
    /// The busy job, in records.
    pub(super) job: Engine,
    pub(super) seek: Seek,
    /// The same in a job that keeps 1,000,000 keys.
    pub(super) keyed: Seek,
    pub(super) frames: Vec<Frames>,
}

/// Quantiles of a number of measurements, ms.
#[derive(Deserialize)]
pub(super) struct Spread {
    pub(super) count: u32,
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) max: f64,
}

/// The busy cluster, or the busy job, in wasm, each round beside a native one.
#[derive(Deserialize)]
pub(super) struct Engine {
    pub(super) events: u64,
    pub(super) wasm_m_per_s: f64,
    pub(super) native_m_per_s: f64,
    /// Median of the rounds' ratios, wasm ÷ native.
    pub(super) ratio: f64,
}

/// Seeks to random points of an explored run.
#[derive(Deserialize)]
pub(super) struct Seek {
    pub(super) events: u64,
    pub(super) keyframes: u32,
    /// Bytes the keyframes take, by the engine's estimate.
    pub(super) weight: u64,
    /// Bytes of wasm memory before the run was explored.
    pub(super) before: u64,
    /// … after.
    pub(super) explored: u64,
    /// … after all seeks.
    pub(super) after: u64,
    /// Until the state is there and the page's elements are up to date.
    pub(super) done: Spread,
    /// Until the next frame has been drawn as well.
    pub(super) painted: Spread,
}

/// Frames of a playing run.
#[derive(Deserialize)]
pub(super) struct Frames {
    /// Simulated time per real time.
    pub(super) speed: f64,
    pub(super) tokens: Tokens,
    /// The frame callback alone: simulating and drawing.
    pub(super) callback: Spread,
    /// Callback, effects, style, layout and paint: all main-thread work of the frame.
    pub(super) whole: Spread,
}

/// Messages under way while frames were measured.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) min: u32,
    pub(super) p50: u32,
    pub(super) max: u32,
}
