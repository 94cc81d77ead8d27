//! What the transport shows, as one comparable value, and the names of the tabs.

use crate::host::Host;

/// The keys of the workbench's tabs.
pub(crate) struct Tab;

impl Tab {
    /// The stage.
    pub(crate) const STAGE: &'static str = "stage";
    /// The space-time diagram.
    pub(crate) const SPACETIME: &'static str = "spacetime";
    /// The transcript.
    pub(crate) const EVENTS: &'static str = "events";
    /// The table of records.
    pub(crate) const LEDGER: &'static str = "ledger";
    /// The charts.
    pub(crate) const METRICS: &'static str = "metrics";
    /// The scenario as a file.
    pub(crate) const SCRIPT: &'static str = "script";
    /// Two runs side by side.
    pub(crate) const COMPARE: &'static str = "compare";
}

/// Time, pace and place of the run.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Hud {
    /// A run is open.
    pub(crate) open: bool,
    /// Title of the scenario.
    pub(crate) title: String,
    /// Seed of the run.
    pub(crate) seed: u64,
    /// Simulated time, ns.
    pub(crate) now: u64,
    /// Events executed.
    pub(crate) event: u64,
    /// Furthest time explored, ns.
    pub(crate) head: u64,
    /// Length of the scenario, ns.
    pub(crate) duration: u64,
    /// Time runs.
    pub(crate) playing: bool,
    /// Index of the speed.
    pub(crate) speed: usize,
    /// The machine does not follow.
    pub(crate) slow: bool,
    /// The scenario's time is over.
    pub(crate) finished: bool,
    /// The run came to a bound before its time was over; why.
    pub(crate) stopped: Option<String>,
    /// The prediction that halted the run.
    pub(crate) gate: Option<u32>,
    /// The scenario tells something as it goes.
    pub(crate) told: bool,
    /// What undo would take back.
    pub(crate) undo: Option<String>,
}

impl Hud {
    /// Reads the host.
    pub(crate) fn of(host: &Host) -> Hud {
        let session = host.session();
        Hud {
            open: true,
            title: session.title().to_owned(),
            seed: session.seed(),
            now: session.now(),
            event: session.event(),
            head: session.head(),
            duration: session.duration(),
            playing: host.playing(),
            speed: host.speed(),
            slow: host.slow(),
            finished: host.finished(),
            stopped: session.run().stopped().map(|bound| bound.to_string()),
            gate: host.gate(),
            told: !session.scenario().captions.is_empty(),
            undo: host.undo_label().map(str::to_owned),
        }
    }
}
