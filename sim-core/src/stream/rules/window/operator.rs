//! The window operator of one subtask.
//!
//! Follows `WindowOperator.processElement`, `onEventTime`, `onProcessingTime` and
//! `EvictingWindowOperator.emitWindowContents`, and of `InternalTimerServiceImpl` that one timer is
//! kept for each key, window and time. Timers of one time go off by key and then window, where Flink
//! leaves the order open. A snapshot holds contents, triggers, merges and timers, and no watermark.

use super::aggregate::{Aggregate, Contents, Record, Value};
use super::evictor::Evictor;
use super::merging::{Merge, MergingWindowSet};
use super::trigger::{Ask, Context, TimeDomain, Trigger, TriggerState};
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::assigner::{Assigner, Window};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    fn is_event_time(&self) -> bool {
        self.time == TimeDomain::Event && self.assigner != Assigner::Global
    }

    fn cleanup_domain(&self) -> TimeDomain {
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
}

/// An element on its way into windows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Element<K> {
    /// Its key.
    pub key: K,
    /// What it says.
    pub value: i64,
    /// Its time, ms.
    pub timestamp: i64,
    /// The gap after it, where sessions have gaps of their own (`SessionWindowTimeGapExtractor`).
    pub gap: Option<i64>,
}

/// What an operator hands out.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Out<K> {
    /// What a window says. Its time is the last moment of the window.
    Result {
        /// The key.
        key: K,
        /// The window.
        window: Window,
        /// What it says.
        value: Value,
    },
    /// An element that came too late for all its windows, on the side output.
    Late {
        /// The key.
        key: K,
        /// The element.
        record: Record,
    },
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

/// See [`Failure::TooManyFirings`].
const FIRINGS_MAX: i64 = 100_000;

/// What an operator keeps, and a checkpoint holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowState<K: Ord> {
    contents: BTreeMap<(K, Window), Contents>,
    triggers: BTreeMap<(K, Window), TriggerState>,
    sessions: BTreeMap<K, MergingWindowSet>,
    event_timers: BTreeSet<(i64, K, Window)>,
    processing_timers: BTreeSet<(i64, K, Window)>,
}

impl<K: Ord> Default for WindowState<K> {
    fn default() -> Self {
        WindowState {
            contents: BTreeMap::new(),
            triggers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            event_timers: BTreeSet::new(),
            processing_timers: BTreeSet::new(),
        }
    }
}

impl<K: Ord> WindowState<K> {
    /// Whether nothing is kept any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let open = !self.contents.is_empty() || !self.triggers.is_empty();
        !open && self.sessions.is_empty() && self.timers() == 0
    }

    /// How many timers wait, on both clocks.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.event_timers.len() + self.processing_timers.len()
    }

    fn of_clock(&mut self, domain: TimeDomain) -> &mut BTreeSet<(i64, K, Window)> {
        match domain {
            TimeDomain::Event => &mut self.event_timers,
            TimeDomain::Processing => &mut self.processing_timers,
        }
    }
}

/// A subtask of a window operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowOperator<K: Ord> {
    settings: Settings,
    state: WindowState<K>,
    watermark: i64,
    now: i64,
    late_dropped: u64,
}

impl<K: Ord + Clone> WindowOperator<K> {
    /// An operator that has seen nothing; `now` is the wall clock, ms.
    #[must_use]
    pub fn new(settings: Settings, now: i64) -> Self {
        WindowOperator {
            settings,
            state: WindowState::default(),
            watermark: NO_WATERMARK,
            now,
            late_dropped: 0,
        }
    }

    /// An operator that goes on from a snapshot. It has no watermark until one comes.
    #[must_use]
    pub fn restore(settings: Settings, snapshot: WindowState<K>, now: i64) -> Self {
        WindowOperator {
            state: snapshot,
            ..WindowOperator::new(settings, now)
        }
    }

    /// What a checkpoint holds of it.
    #[must_use]
    pub fn snapshot(&self) -> WindowState<K> {
        self.state.clone()
    }

    /// What it keeps.
    #[must_use]
    pub fn state(&self) -> &WindowState<K> {
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
    pub fn on_element(&mut self, element: Element<K>) -> Result<Vec<Out<K>>, Failure> {
        let Element {
            key,
            value,
            timestamp,
            gap,
        } = element;
        let record = Record { value, timestamp };
        let clock = match self.settings.time {
            TimeDomain::Event => timestamp,
            TimeDomain::Processing => self.now,
        };
        let windows = match gap {
            Some(gap) if gap < 0 => return Err(Failure::NegativeGap),
            Some(gap) if self.settings.assigner.merges() => vec![Window {
                start: clock,
                end: clock.saturating_add(gap),
            }],
            _ => self.settings.assigner.assign(clock),
        };
        let mut outs = Vec::new();
        let mut skipped = true;
        for window in windows {
            let (window, kept) = match self.settings.assigner.merges() {
                true => self.join(&key, window)?,
                false => (window, window),
            };
            if self.is_late(&window) {
                self.retire(&key, &window);
                continue;
            }
            skipped = false;
            self.add(&key, window, kept, record, &mut outs);
        }
        let due = timestamp.saturating_add(self.settings.allowed_lateness);
        if skipped && self.settings.is_event_time() && due <= self.watermark {
            match self.settings.late_output {
                true => outs.push(Out::Late { key, record }),
                false => self.late_dropped += 1,
            }
        }
        Ok(outs)
    }

    /// The watermark moved.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_watermark(&mut self, watermark: i64) -> Result<Vec<Out<K>>, Failure> {
        self.watermark = watermark;
        self.run_timers(TimeDomain::Event, watermark)
    }

    /// The wall clock moved, ms.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_processing_time(&mut self, now: i64) -> Result<Vec<Out<K>>, Failure> {
        self.now = now;
        self.run_timers(TimeDomain::Processing, now)
    }

    /// When the wall clock must be looked at next, ms.
    #[must_use]
    pub fn next_processing_timer(&self) -> Option<i64> {
        self.state.processing_timers.first().map(|it| it.0)
    }

    fn is_late(&self, window: &Window) -> bool {
        let late = self.settings.cleanup_time(window) <= self.watermark;
        self.settings.is_event_time() && late
    }

    /// Forgets a session.
    fn retire(&mut self, key: &K, window: &Window) {
        if let Some(set) = self.state.sessions.get_mut(key) {
            set.retire(window);
            if set.is_empty() {
                self.state.sessions.remove(key);
            }
        }
    }

    /// Takes a session's window in: the session that it is part of now, and where its contents are.
    fn join(&mut self, key: &K, window: Window) -> Result<(Window, Window), Failure> {
        let set = self.state.sessions.entry(key.clone()).or_default();
        let (result, merge) = set.add(window);
        let kept = set.state_of(&result).unwrap_or(result);
        if let Some(merge) = merge {
            self.merge(key, merge)?;
        }
        Ok((result, kept))
    }

    fn merge(&mut self, key: &K, merge: Merge) -> Result<(), Failure> {
        let passed = match self.settings.is_event_time() {
            true => self.is_late(&merge.result),
            false => merge.result.max_timestamp() <= self.now,
        };
        if passed {
            return Err(Failure::MergedIntoThePast);
        }
        let known = merge.merged.iter().map(|it| (key.clone(), *it));
        let known = known.filter_map(|at| self.state.triggers.remove(&at));
        let known: Vec<TriggerState> = known.collect();
        self.with_trigger(key, merge.result, |trigger, ctx| {
            trigger.on_merge(&known, ctx);
        });
        for old in &merge.merged {
            self.with_trigger(key, *old, |trigger, ctx| trigger.clear(ctx));
            self.delete_cleanup(key, old);
        }
        let moved = merge.moved.iter().map(|it| (key.clone(), *it));
        let moved = moved.filter_map(|at| self.state.contents.remove(&at));
        let moved: Vec<Contents> = moved.collect();
        let aggregate = self.settings.aggregate;
        let at = (key.clone(), merge.state);
        let mut contents = self.state.contents.remove(&at);
        for part in moved {
            aggregate.merge(&mut contents, part);
        }
        if let Some(contents) = contents {
            self.state.contents.insert(at, contents);
        }
        Ok(())
    }

    /// Puts an element into a window that is not late.
    fn add(
        &mut self,
        key: &K,
        window: Window,
        kept: Window,
        record: Record,
        outs: &mut Vec<Out<K>>,
    ) {
        let at = (key.clone(), kept);
        let mut contents = self.state.contents.remove(&at);
        let buffered = self.settings.evictor.is_some();
        self.settings.aggregate.add(&mut contents, record, buffered);
        if let Some(contents) = contents {
            self.state.contents.insert(at, contents);
        }
        let verdict = self.with_trigger(key, window, |trigger, ctx| {
            trigger.on_element(record.value, record.timestamp, ctx)
        });
        self.obey(verdict, key, window, kept, outs);
        let cleanup = self.settings.cleanup_time(&window);
        if cleanup < i64::MAX {
            let timers = self.state.of_clock(self.settings.cleanup_domain());
            timers.insert((cleanup, key.clone(), window));
        }
    }

    fn delete_cleanup(&mut self, key: &K, window: &Window) {
        let cleanup = self.settings.cleanup_time(window);
        let timers = self.state.of_clock(self.settings.cleanup_domain());
        timers.remove(&(cleanup, key.clone(), *window));
    }

    /// Lets the trigger look at a window of a key, and does what it asks of the timers.
    fn with_trigger<T>(
        &mut self,
        key: &K,
        window: Window,
        look: impl FnOnce(&Trigger, &mut Context<'_>) -> T,
    ) -> T {
        let at = (key.clone(), window);
        let mut state = self.state.triggers.remove(&at).unwrap_or_default();
        let mut asks = Vec::new();
        let mut ctx = Context {
            window,
            watermark: self.watermark,
            now: self.now,
            state: &mut state,
            asks: &mut asks,
        };
        let seen = look(&self.settings.trigger, &mut ctx);
        if !state.is_empty() {
            self.state.triggers.insert(at, state);
        }
        for ask in asks {
            match ask {
                Ask::Set(domain, time) => {
                    let timer = (time, key.clone(), window);
                    self.state.of_clock(domain).insert(timer);
                }
                Ask::Delete(domain, time) => {
                    let timer = (time, key.clone(), window);
                    self.state.of_clock(domain).remove(&timer);
                }
            }
        }
        seen
    }

    /// Speaks and forgets as the trigger says. A window without contents stays silent.
    fn obey(
        &mut self,
        verdict: super::trigger::Verdict,
        key: &K,
        window: Window,
        kept: Window,
        outs: &mut Vec<Out<K>>,
    ) {
        let at = (key.clone(), kept);
        if verdict.fire
            && let Some(mut contents) = self.state.contents.remove(&at)
        {
            let value = speak(&self.settings, &mut contents);
            outs.push(Out::Result {
                key: key.clone(),
                window,
                value,
            });
            if contents != Contents::Records(Vec::new()) {
                self.state.contents.insert(at.clone(), contents);
            }
        }
        if verdict.purge {
            self.state.contents.remove(&at);
        }
    }

    /// Lets all timers go off that are due at this time of a clock, those among them that are set
    /// meanwhile.
    fn run_timers(&mut self, domain: TimeDomain, until: i64) -> Result<Vec<Out<K>>, Failure> {
        let mut outs = Vec::new();
        loop {
            let timers = self.state.of_clock(domain);
            if timers.first().is_none_or(|it| it.0 > until) {
                return Ok(outs);
            }
            let Some((at, key, window)) = timers.pop_first() else {
                return Ok(outs);
            };
            self.on_timer(domain, at, until, &key, window, &mut outs)?;
        }
    }

    fn on_timer(
        &mut self,
        domain: TimeDomain,
        at: i64,
        until: i64,
        key: &K,
        window: Window,
        outs: &mut Vec<Out<K>>,
    ) -> Result<(), Failure> {
        let kept = match self.settings.assigner.merges() {
            true => {
                let set = self.state.sessions.get(key);
                match set.and_then(|it| it.state_of(&window)) {
                    Some(kept) => kept,
                    // The window has merged away; a trigger left a timer behind.
                    None => return Ok(()),
                }
            }
            false => window,
        };
        if let Some(interval) = self.settings.trigger.interval() {
            let left = until.min(window.max_timestamp()).saturating_sub(at);
            if left.checked_div(interval).unwrap_or(0) > FIRINGS_MAX {
                return Err(Failure::TooManyFirings);
            }
        }
        let verdict = self.with_trigger(key, window, |trigger, ctx| {
            trigger.on_timer(domain, at, ctx)
        });
        self.obey(verdict, key, window, kept, outs);
        if domain == self.settings.cleanup_domain() && at == self.settings.cleanup_time(&window) {
            self.state.contents.remove(&(key.clone(), kept));
            self.with_trigger(key, window, |trigger, ctx| trigger.clear(ctx));
            self.retire(key, &window);
        }
        Ok(())
    }
}

/// What a window says of its contents; an evictor takes some out before or after.
fn speak(settings: &Settings, contents: &mut Contents) -> Value {
    let evict = |contents: &mut Contents, after: bool| {
        if let (Some(evictor), Contents::Records(records)) = (settings.evictor, contents)
            && evictor.after == after
        {
            evictor.evict(records);
        }
    };
    evict(contents, false);
    let value = settings.aggregate.result(Some(contents));
    evict(contents, true);
    value
}
