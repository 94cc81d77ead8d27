//! The window operator of one subtask: its settings, what it keeps, and what it hands out.
//!
//! Follows `WindowOperator` of Flink. What becomes of an element and of a timer is said in
//! [`super::machine`]. A snapshot holds contents, triggers, merges and timers, and no watermark.

use super::aggregate::{Aggregate, Contents, Record, Value};
use super::evictor::Evictor;
use super::machine::{Scratch, Windows};
use super::merging::MergingWindowSet;
use super::trigger::{TimeDomain, Trigger, TriggerState};
use crate::stream::pieces::Pieces;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::assigner::{Assigner, Window};
use crate::stream::rules::join::RowKind;
use crate::stream::rules::pane::Timing;
use serde::Serialize;

/// How an operator works.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Settings {
    /// Which windows there are.
    pub assigner: Assigner,
    /// By which clock they are.
    pub time: TimeDomain,
    /// When they speak.
    pub trigger: Trigger,
    /// What they say.
    pub aggregate: Aggregate,
    /// What leaves them when they speak.
    pub evictor: Option<Evictor>,
    /// How long after its end a window lives on, ms of event time.
    pub allowed_lateness: i64,
    /// Whether late elements are handed out rather than counted.
    pub late_output: bool,
    /// What becomes of results that were said before, and of empty ones.
    pub refine: Refine,
}

/// How the results of a window refine each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Refine {
    /// Each result takes back the one before it (`-U`, `+U`), as a window of Flink SQL with early or
    /// late firings does and the Dataflow paper's accumulating and retracting panes; one that says the
    /// same again is not said.
    pub retracting: bool,
    /// What the end of the window brings is said even if it is nothing (Beam's `FIRE_ALWAYS`).
    pub empty_on_time: bool,
}

impl Settings {
    /// Whether they make sense.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn validate(&self) -> Result<(), &'static str> {
        self.assigner.validate()?;
        self.trigger.validate()?;
        if self.allowed_lateness < 0 {
            return Err("the allowed lateness cannot be negative");
        }
        match self.assigner.merges() && !self.trigger.merges() {
            true => Err("a merging window assigner needs a trigger that supports merging"),
            false => Ok(()),
        }
    }

    /// Whether elements can be late: a global window never ends.
    pub(super) fn is_event_time(&self) -> bool {
        self.time == TimeDomain::Event && self.assigner != Assigner::Global
    }

    pub(super) fn cleanup_domain(&self) -> TimeDomain {
        match self.is_event_time() {
            true => TimeDomain::Event,
            false => TimeDomain::Processing,
        }
    }

    /// When a window is forgotten; the largest time is never.
    #[must_use]
    pub fn cleanup_time(&self, window: &Window) -> i64 {
        match self.is_event_time() {
            true => window.max_timestamp().saturating_add(self.allowed_lateness),
            false => window.max_timestamp(),
        }
    }

    /// Whether windows keep their elements as such.
    pub(super) fn buffers(&self) -> bool {
        // There is no number for the least of no elements.
        let nothing = matches!(self.aggregate, Aggregate::Min | Aggregate::Max);
        self.evictor.is_some() || self.refine.empty_on_time && nothing
    }
}

/// An element on its way into windows. `M` is what it carries that decides nothing; a window's result
/// carries the greatest that went into it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Element<K, M = ()> {
    /// Its key.
    pub key: K,
    /// What it says.
    pub value: i64,
    /// Its time, ms.
    pub timestamp: i64,
    /// The gap after it, where sessions have gaps of their own (`SessionWindowTimeGapExtractor`).
    pub gap: Option<i64>,
    /// What it carries.
    pub mark: M,
}

/// What an operator hands out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Out<K, M = ()> {
    /// What a window says. Its time is the last moment of the window.
    Result {
        /// The key.
        key: K,
        /// The window.
        window: Window,
        /// What it says.
        value: Value,
        /// The greatest of what its elements carried.
        mark: M,
        /// Whether it says something, or takes it back.
        kind: RowKind,
        /// When it came, seen from the end of the window.
        timing: Timing,
    },
    /// An element that came too late for all its windows, on the side output.
    Late {
        /// The key.
        key: K,
        /// The element.
        record: Record,
        /// What it carries.
        mark: M,
    },
}

/// What became of an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Fate {
    /// A window took it whose end has not come yet.
    Taken,
    /// The windows that took it had ended already.
    TakenLate,
    /// Too late for all its windows: handed out as [`Out::Late`].
    SideOutput,
    /// Too late for all its windows: counted.
    Dropped,
    /// It belongs to no window.
    Nowhere,
}

/// Why an operator cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Failure {
    /// Windows merged into one whose end has passed.
    MergedIntoThePast,
    /// The gap of an element is negative.
    NegativeGap,
    /// A continuous trigger would fire 100,000 times at once: our bound, Flink has none.
    TooManyFirings,
}

/// What a window of a key keeps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Kept<M> {
    pub(super) contents: Contents,
    pub(super) mark: M,
    /// What was said and not taken back: of a session, by the windows that are one now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) said: Vec<(Window, Value)>,
    /// No element came since it was emptied.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) empty: bool,
}

/// What an operator keeps, and a checkpoint holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowState<K: Ord, M = ()> {
    pub(super) contents: Pieces<(K, Window), Kept<M>>,
    /// Elements kept as such, in all windows.
    pub(super) buffered: u64,
    pub(super) triggers: Pieces<(K, Window), TriggerState>,
    pub(super) sessions: Pieces<K, MergingWindowSet>,
    pub(super) event_timers: Timers<K>,
    pub(super) processing_timers: Timers<K>,
}

/// Timers of one clock: when, for which key and window.
pub(super) type Timers<K> = Pieces<(i64, K, Window), ()>;

impl<K: Ord, M> Default for WindowState<K, M> {
    fn default() -> Self {
        WindowState {
            contents: Pieces::default(),
            buffered: 0,
            triggers: Pieces::default(),
            sessions: Pieces::default(),
            event_timers: Pieces::default(),
            processing_timers: Pieces::default(),
        }
    }
}

impl<K: Ord + Clone, M: Clone> WindowState<K, M> {
    /// The windows that hold something, by key and then start, each with what it would say now;
    /// `aggregate` is the operator's.
    pub fn open(&self, aggregate: Aggregate) -> impl Iterator<Item = (K, Window, Value)> {
        self.contents.iter().map(move |((key, under), kept)| {
            let sessions = self.sessions.get(key);
            let window = sessions.and_then(|it| it.window_of(under));
            let value = aggregate.result(Some(&kept.contents));
            (key.clone(), window.unwrap_or(*under), value)
        })
    }
}

impl<K: Ord, M> WindowState<K, M> {
    /// How many windows of keys hold something, and how many elements are kept as such.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        (self.contents.len(), self.buffered)
    }

    /// When a clock must be looked at next, ms.
    #[must_use]
    pub fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        let timers = match domain {
            TimeDomain::Event => &self.event_timers,
            TimeDomain::Processing => &self.processing_timers,
        };
        timers.first().map(|(timer, ())| timer.0)
    }

    /// Whether nothing is kept any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let open = !self.contents.is_empty() || !self.triggers.is_empty();
        !open && self.sessions.is_empty() && self.timers() == 0
    }

    /// How many timers wait, on both clocks.
    #[must_use]
    pub fn timers(&self) -> u64 {
        self.event_timers.len() + self.processing_timers.len()
    }

    pub(super) fn of_clock(&mut self, domain: TimeDomain) -> &mut Timers<K> {
        match domain {
            TimeDomain::Event => &mut self.event_timers,
            TimeDomain::Processing => &mut self.processing_timers,
        }
    }
}

impl<K: Ord + Clone, M: Clone> WindowState<K, M> {
    /// About how many bytes of memory it takes besides what it shares with an older state.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>) -> usize {
        let contents = |kept: &Kept<M>, _: Option<&Kept<M>>| {
            let records = match &kept.contents {
                Contents::Folded(_) | Contents::Mean { .. } => 0,
                Contents::Records(records) => size_of_val(records.as_slice()),
            };
            records + size_of_val(kept.said.as_slice())
        };
        let sets = |set: &MergingWindowSet, _: Option<&MergingWindowSet>| {
            set.windows().count() * 2 * size_of::<(Window, Window)>()
        };
        let timers = |of: fn(&Self) -> &Timers<K>| of(self).unshared(before.map(of), None);
        self.contents
            .unshared(before.map(|it| &it.contents), Some(contents))
            + self.triggers.unshared(before.map(|it| &it.triggers), None)
            + self
                .sessions
                .unshared(before.map(|it| &it.sessions), Some(sets))
            + timers(|it| &it.event_timers)
            + timers(|it| &it.processing_timers)
    }
}

/// A subtask of a window operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowOperator<K: Ord, M = ()> {
    settings: Settings,
    state: WindowState<K, M>,
    watermark: i64,
    now: i64,
    late_dropped: u64,
    #[serde(skip)]
    scratch: Scratch<K>,
}

impl<K: Ord + Clone, M: Ord + Copy> WindowOperator<K, M> {
    /// An operator that has seen nothing; `now` is the wall clock, ms.
    #[must_use]
    pub fn new(settings: Settings, now: i64) -> Self {
        WindowOperator {
            settings,
            state: WindowState::default(),
            watermark: NO_WATERMARK,
            now,
            late_dropped: 0,
            scratch: Scratch::default(),
        }
    }

    /// An operator that goes on from a snapshot. It has no watermark until one comes.
    #[must_use]
    pub fn restore(settings: Settings, snapshot: WindowState<K, M>, now: i64) -> Self {
        WindowOperator {
            state: snapshot,
            ..WindowOperator::new(settings, now)
        }
    }

    /// What a checkpoint holds of it.
    #[must_use]
    pub fn snapshot(&self) -> WindowState<K, M> {
        self.state.clone()
    }

    /// What it keeps.
    #[must_use]
    pub fn state(&self) -> &WindowState<K, M> {
        &self.state
    }

    /// The watermark that it has seen.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// `numLateRecordsDropped`.
    #[must_use]
    pub fn late_dropped(&self) -> u64 {
        self.late_dropped
    }

    /// An element came.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_element(&mut self, element: Element<K, M>) -> Result<Vec<Out<K, M>>, Failure> {
        let mut outs = Vec::new();
        let fate = self.windows().on_element(element, &mut outs)?;
        self.late_dropped += u64::from(fate == Fate::Dropped);
        Ok(outs)
    }

    /// The watermark moved.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_watermark(&mut self, watermark: i64) -> Result<Vec<Out<K, M>>, Failure> {
        self.watermark = watermark;
        let mut outs = Vec::new();
        let mut windows = self.windows();
        windows.run_timers(TimeDomain::Event, watermark, &mut outs)?;
        Ok(outs)
    }

    /// The wall clock moved, ms.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_processing_time(&mut self, now: i64) -> Result<Vec<Out<K, M>>, Failure> {
        self.now = now;
        let mut outs = Vec::new();
        let mut windows = self.windows();
        windows.run_timers(TimeDomain::Processing, now, &mut outs)?;
        Ok(outs)
    }

    fn windows(&mut self) -> Windows<'_, K, M> {
        self.scratch.purged.clear();
        Windows {
            settings: &self.settings,
            state: &mut self.state,
            watermark: self.watermark,
            now: self.now,
            scratch: &mut self.scratch,
        }
    }

    /// When the wall clock must be looked at next, ms.
    #[must_use]
    pub fn next_processing_timer(&self) -> Option<i64> {
        self.state.next_timer(TimeDomain::Processing)
    }
}
