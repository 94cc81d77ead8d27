//! The panes of one subtask's windows.
//!
//! Follows `ReduceFnRunner` with `LateDataDroppingDoFnRunner`, `MergingActiveWindowSet`,
//! `WatermarkHold` and `InMemoryTimerInternals`. Elements come in bundles; a window is asked whether it
//! would speak once at the end of a bundle. A timer goes off when its clock is past its time. Windows
//! due together speak in the order of their timers, by key and window at one time, where Beam leaves
//! the order open. The output watermark is held back by what panes have not said yet.

use super::strategy::{Accumulation, Empty, Strategy, TimestampCombiner};
use super::trigger::{Machine, Moment, NodeState};
use super::{PaneInfo, TIMESTAMP_MAX, TIMESTAMP_MIN, Timing, assign, expiry, max_timestamp};
use crate::stream::rules::assigner::Window;
use crate::stream::rules::window::aggregate::{Contents, Record, Value};
use crate::stream::rules::window::merging::Merging;
use crate::stream::rules::window::trigger::TimeDomain;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a window says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pane<K> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// Which of the window's panes it is.
    pub info: PaneInfo,
    /// Its time, ms.
    pub timestamp: i64,
    /// What it says.
    pub value: Value,
    /// What it takes back, if panes are retracting.
    pub retracted: Option<Value>,
}

/// Why an element was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Reason {
    /// Its window had been forgotten: `DroppedDueToLateness`.
    Late,
    /// Its window's trigger had finished: `DroppedDueToClosedWindow`.
    Closed,
}

/// What comes out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Out<K> {
    /// A pane.
    Pane(Pane<K>),
    /// An element of which a window did not hear.
    Dropped {
        /// The key.
        key: K,
        /// The window.
        window: Window,
        /// The element.
        record: Record,
        /// Why.
        reason: Reason,
    },
    /// What a window held when it merged into one whose trigger had finished, and never came to say.
    /// Beam forgets it without a word, and counts it nowhere.
    Swallowed {
        /// The key.
        key: K,
        /// The window that is forgotten now.
        window: Window,
        /// What it held.
        value: Value,
    },
}

/// What cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Failure {
    /// The watermark went back.
    WatermarkBack,
    /// The wall clock went back.
    ClockBack,
    /// An element of the end of time or later.
    BeyondTime,
}

/// What is kept of a window of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Open {
    /// Whether it holds elements: of a merging window that has closed, only that is known.
    active: bool,
    trigger: Vec<NodeState>,
    contents: Option<Contents>,
    /// Whether an element came since the last pane.
    non_empty: bool,
    previous: Option<PaneInfo>,
    said: Option<Value>,
    element_hold: Option<i64>,
    extra_hold: Option<i64>,
}

/// A subtask that makes panes of elements.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PaneRunner<K: Ord> {
    strategy: Strategy,
    machine: Machine,
    windows: BTreeMap<(K, Window), Open>,
    event_timers: BTreeSet<(i64, K, Window)>,
    processing_timers: BTreeSet<(i64, K, Window)>,
    holds: BTreeSet<(i64, K, Window)>,
    input_watermark: i64,
    output_watermark: Option<i64>,
    now: i64,
}

impl<K: Ord + Clone> PaneRunner<K> {
    /// One that has seen nothing; `now` is the wall clock, ms.
    #[must_use]
    pub fn new(strategy: Strategy, now: i64) -> Self {
        PaneRunner {
            machine: Machine::new(&strategy.trigger),
            strategy,
            windows: BTreeMap::new(),
            event_timers: BTreeSet::new(),
            processing_timers: BTreeSet::new(),
            holds: BTreeSet::new(),
            input_watermark: TIMESTAMP_MIN,
            output_watermark: None,
            now,
        }
    }

    /// The watermark that it has seen.
    #[must_use]
    pub fn input_watermark(&self) -> i64 {
        self.input_watermark
    }

    /// The watermark that it has handed on, if any.
    #[must_use]
    pub fn output_watermark(&self) -> Option<i64> {
        self.output_watermark
    }

    /// What holds the output watermark back, if anything does.
    #[must_use]
    pub fn hold(&self) -> Option<i64> {
        self.holds.first().map(|it| it.0)
    }

    /// The wall clock, ms.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether nothing is kept any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }

    /// When the wall clock must be looked at next: it must be past this, ms.
    #[must_use]
    pub fn next_processing_timer(&self) -> Option<i64> {
        self.processing_timers.first().map(|it| it.0)
    }

    /// A bundle of elements came.
    ///
    /// # Errors
    ///
    /// [`Failure::BeyondTime`].
    pub fn on_bundle(&mut self, elements: &[(K, Record)]) -> Result<Vec<Out<K>>, Failure> {
        let possible = TIMESTAMP_MIN..TIMESTAMP_MAX;
        if elements
            .iter()
            .any(|it| !possible.contains(&it.1.timestamp))
        {
            return Err(Failure::BeyondTime);
        }
        let mut by_key: BTreeMap<&K, Vec<Record>> = BTreeMap::new();
        for (key, record) in elements {
            by_key.entry(key).or_default().push(*record);
        }
        let mut outs = Vec::new();
        for (key, records) in by_key {
            self.on_elements(key, &records, &mut outs);
        }
        Ok(outs)
    }

    /// The input watermark moved, and the output watermark as far as nothing holds it.
    ///
    /// # Errors
    ///
    /// [`Failure::WatermarkBack`].
    pub fn on_watermark(&mut self, watermark: i64) -> Result<Vec<Out<K>>, Failure> {
        if watermark < self.input_watermark {
            return Err(Failure::WatermarkBack);
        }
        self.input_watermark = watermark.min(TIMESTAMP_MAX);
        let outs = self.run_timers(TimeDomain::Event);
        let free = self.hold().unwrap_or(watermark).min(self.input_watermark);
        self.output_watermark = self.output_watermark.max(Some(free));
        Ok(outs)
    }

    /// The wall clock moved, ms.
    ///
    /// # Errors
    ///
    /// [`Failure::ClockBack`].
    pub fn on_processing_time(&mut self, now: i64) -> Result<Vec<Out<K>>, Failure> {
        if now < self.now {
            return Err(Failure::ClockBack);
        }
        self.now = now;
        Ok(self.run_timers(TimeDomain::Processing))
    }

    fn moment(&self, window: &Window) -> Moment {
        Moment {
            end: max_timestamp(window),
            watermark: self.input_watermark,
            now: self.now,
            merging: self.strategy.assigner.merges(),
        }
    }

    fn expiry(&self, window: &Window) -> i64 {
        expiry(window, self.strategy.allowed_lateness)
    }

    /// Takes a window out to work on it.
    fn take(&mut self, key: &K, window: Window) -> Option<Open> {
        let open = self.windows.remove(&(key.clone(), window))?;
        if let Some(hold) = open.element_hold.into_iter().chain(open.extra_hold).min() {
            self.holds.remove(&(hold, key.clone(), window));
        }
        Some(open)
    }

    fn put(&mut self, key: &K, window: Window, open: Open) {
        if let Some(hold) = open.element_hold.into_iter().chain(open.extra_hold).min() {
            self.holds.insert((hold, key.clone(), window));
        }
        self.windows.insert((key.clone(), window), open);
    }

    fn fresh(&self) -> Open {
        Open {
            active: false,
            trigger: self.machine.start(),
            contents: None,
            non_empty: false,
            previous: None,
            said: None,
            element_hold: None,
            extra_hold: None,
        }
    }

    fn set_timers(&mut self, key: &K, window: Window, timers: Vec<(TimeDomain, i64)>) {
        for (domain, at) in timers {
            let timer = (at, key.clone(), window);
            match domain {
                TimeDomain::Event => self.event_timers.insert(timer),
                TimeDomain::Processing => self.processing_timers.insert(timer),
            };
        }
    }

    fn is_closed(&self, key: &K, window: Window) -> bool {
        let open = self.windows.get(&(key.clone(), window));
        open.is_some_and(|it| self.machine.finished(&it.trigger))
    }

    fn on_elements(&mut self, key: &K, records: &[Record], outs: &mut Vec<Out<K>>) {
        let mut placed: Vec<(Record, Vec<Window>)> = Vec::new();
        for record in records {
            let mut windows = assign(&self.strategy.assigner, record.timestamp);
            windows.retain(|window| {
                let due = max_timestamp(window).saturating_add(self.strategy.allowed_lateness);
                let late = due < self.input_watermark;
                if late {
                    outs.push(dropped(key, *window, *record, Reason::Late));
                }
                !late
            });
            placed.push((*record, windows));
        }
        let all = placed.iter().flat_map(|it| &it.1).copied();
        let mut windows: BTreeSet<Window> = all.collect();
        let merged = match self.strategy.assigner.merges() {
            true => self.merge(key, &windows),
            false => BTreeMap::new(),
        };
        let now_in = |it: &Window| merged.get(it).copied().unwrap_or(*it);
        windows = windows.iter().map(now_in).collect();
        windows.retain(|it| !self.is_closed(key, *it));
        for (record, own) in &placed {
            let own: BTreeSet<Window> = own.iter().map(now_in).collect();
            for window in own {
                match self.is_closed(key, window) {
                    true => outs.push(dropped(key, window, *record, Reason::Closed)),
                    false => self.add(key, window, *record),
                }
            }
        }
        for window in windows {
            self.emit_if_ready(key, window, outs);
        }
    }

    /// Merges the windows of new elements with each other and with those that are there: which window
    /// each is part of now.
    fn merge(&mut self, key: &K, new: &BTreeSet<Window>) -> BTreeMap<Window, Window> {
        let least = Window {
            start: i64::MIN,
            end: i64::MIN,
        };
        let most = Window {
            start: i64::MAX,
            end: i64::MAX,
        };
        let known = self
            .windows
            .range((key.clone(), least)..=(key.clone(), most));
        let active = known.filter(|it| it.1.active).map(|it| it.0.1);
        let active: BTreeSet<Window> = active.collect();
        let all: Vec<Window> = active.union(new).copied().collect();
        let mut merged = BTreeMap::new();
        for (result, parts) in Merging::Overlapping.merge(&all) {
            if parts.len() > 1 {
                let sources: Vec<Window> = parts
                    .iter()
                    .filter(|it| active.contains(it))
                    .copied()
                    .collect();
                self.merge_into(key, result, &sources);
                merged.extend(parts.into_iter().map(|it| (it, result)));
            }
        }
        merged
    }

    fn merge_into(&mut self, key: &K, result: Window, sources: &[Window]) {
        let mut open = self.fresh();
        open.active = !sources.is_empty();
        let mut known = Vec::new();
        let (mut timers, mut element_hold) = (Vec::new(), None);
        for source in sources {
            let Some(old) = self.take(key, *source) else {
                continue;
            };
            if let Some(contents) = old.contents {
                self.strategy.aggregate.merge(&mut open.contents, contents);
            }
            open.non_empty |= old.non_empty;
            element_hold = match (element_hold, old.element_hold) {
                (Some(one), Some(other)) => Some(self.strategy.combiner.combine(one, other)),
                (one, other) => one.or(other),
            };
            if *source == result {
                open.previous = old.previous;
                open.said = old.said;
                open.trigger.clone_from(&old.trigger);
            } else {
                // The elements that merged them set those of the window that they are now.
                for at in [max_timestamp(source), self.expiry(source)] {
                    self.event_timers.remove(&(at, key.clone(), *source));
                }
            }
            known.push(old.trigger);
        }
        if let Some(closed) = self.take(key, result) {
            open.trigger = closed.trigger;
        }
        self.machine.clear_all(&mut open.trigger);
        open.element_hold = element_hold;
        if self.strategy.combiner == TimestampCombiner::EndOfWindow && !sources.is_empty() {
            open.element_hold = None;
            self.hold_for_element(&mut open, result, TIMESTAMP_MIN);
        }
        self.hold_for_expiry(&mut open, result, false);
        let moment = self.moment(&result);
        timers.extend(self.machine.on_merge(&moment, &known, &mut open.trigger));
        // A window of which nothing is known but that it is closed is forgotten in time, too.
        timers.push((TimeDomain::Event, self.expiry(&result)));
        self.set_timers(key, result, timers);
        self.put(key, result, open);
    }

    /// Holds the output watermark back for an element, unless that is too late: whether it does.
    fn hold_for_element(&self, open: &mut Open, window: Window, timestamp: i64) -> bool {
        let end = max_timestamp(&window);
        let hold = self.strategy.combiner.assign(end, timestamp);
        let passed = self.output_watermark.is_some_and(|it| hold < it);
        let too_late = passed || end < self.input_watermark;
        if !too_late {
            let old = open.element_hold;
            let both = old.map_or(hold, |old| self.strategy.combiner.combine(old, hold));
            open.element_hold = Some(both);
        }
        !too_late
    }

    /// Holds it back until the window is forgotten, so that its last pane is not too late for others.
    fn hold_for_expiry(&self, open: &mut Open, window: Window, pane_is_empty: bool) {
        let expiry = self.expiry(&window);
        let silent = pane_is_empty && self.strategy.closing == Empty::Silent;
        if expiry >= self.input_watermark && !silent {
            let old = open.extra_hold.unwrap_or(i64::MAX);
            open.extra_hold = Some(expiry.min(old));
        }
    }

    fn add(&mut self, key: &K, window: Window, record: Record) {
        let mut open = self.take(key, window).unwrap_or_else(|| self.fresh());
        open.active = true;
        open.non_empty = true;
        if !self.hold_for_element(&mut open, window, record.timestamp) {
            self.hold_for_expiry(&mut open, window, false);
        }
        self.strategy
            .aggregate
            .add(&mut open.contents, record, false);
        let moment = self.moment(&window);
        let mut timers = self.machine.on_element(&moment, &mut open.trigger);
        timers.push((TimeDomain::Event, self.expiry(&window)));
        self.set_timers(key, window, timers);
        self.put(key, window, open);
    }

    fn emit_if_ready(&mut self, key: &K, window: Window, outs: &mut Vec<Out<K>>) {
        let moment = self.moment(&window);
        let Some(mut open) = self.take(key, window) else {
            return;
        };
        let closed = self.machine.finished(&open.trigger);
        if open.active && !closed && self.machine.should_fire(&moment, &open.trigger) {
            self.machine.on_fire(&moment, &mut open.trigger);
            let finished = self.machine.finished(&open.trigger);
            self.speak(key, window, &mut open, finished, outs);
            open.non_empty = false;
            if finished || self.strategy.accumulation == Accumulation::Discarding {
                open.contents = None;
            }
            if finished {
                self.machine.clear_all(&mut open.trigger);
                open.previous = None;
                open.said = None;
                open.active = false;
            }
        }
        self.put(key, window, open);
    }

    /// Says a pane, if there is one to say.
    fn speak(&self, key: &K, window: Window, open: &mut Open, last: bool, outs: &mut Vec<Out<K>>) {
        let end = max_timestamp(&window);
        let held = open
            .element_hold
            .take()
            .into_iter()
            .chain(open.extra_hold.take());
        let timestamp = held.min().filter(|it| *it <= end).unwrap_or(end);
        if !last {
            self.hold_for_expiry(open, window, true);
        }
        let (input, output) = (self.input_watermark, self.output_watermark);
        let info = PaneInfo::next(open.previous.as_ref(), end, input, output, last);
        let on_time = info.timing == Timing::OnTime && self.strategy.on_time == Empty::Said;
        let closing = last && self.strategy.closing == Empty::Said;
        if !(open.non_empty || on_time || closing) {
            return;
        }
        if !last {
            open.previous = Some(info);
        }
        let value = self.strategy.aggregate.result(open.contents.as_ref());
        let retracted = match self.strategy.accumulation {
            Accumulation::Retracting => open.said.replace(value.clone()),
            _ => None,
        };
        outs.push(Out::Pane(Pane {
            key: key.clone(),
            window,
            info,
            timestamp,
            value,
            retracted,
        }));
    }

    /// Lets all timers go off that a clock is past. What becomes of a window depends on the clocks and
    /// not on which of its timers went off.
    fn run_timers(&mut self, domain: TimeDomain) -> Vec<Out<K>> {
        let mut outs = Vec::new();
        loop {
            let (timers, now) = match domain {
                TimeDomain::Event => (&mut self.event_timers, self.input_watermark),
                TimeDomain::Processing => (&mut self.processing_timers, self.now),
            };
            let mut due = Vec::new();
            while timers.first().is_some_and(|it| it.0 < now) {
                due.extend(timers.pop_first().map(|it| (it.1, it.2)));
            }
            if due.is_empty() {
                return outs;
            }
            let mut seen = BTreeSet::new();
            for (key, window) in due {
                if seen.insert((key.clone(), window)) {
                    self.on_timer(domain, &key, window, &mut outs);
                }
            }
        }
    }

    fn on_timer(&mut self, domain: TimeDomain, key: &K, window: Window, outs: &mut Vec<Out<K>>) {
        let expired = self.input_watermark > self.expiry(&window);
        match (expired, domain) {
            (false, _) => self.emit_if_ready(key, window, outs),
            // Its end is the affair of the timer of event time.
            (true, TimeDomain::Processing) => {}
            (true, TimeDomain::Event) => {
                let Some(mut open) = self.take(key, window) else {
                    return;
                };
                if open.active && !self.machine.finished(&open.trigger) {
                    self.speak(key, window, &mut open, true, outs);
                } else if open.active && open.non_empty {
                    outs.push(Out::Swallowed {
                        key: key.clone(),
                        window,
                        value: self.strategy.aggregate.result(open.contents.as_ref()),
                    });
                }
            }
        }
    }
}

fn dropped<K: Clone>(key: &K, window: Window, record: Record, reason: Reason) -> Out<K> {
    Out::Dropped {
        key: key.clone(),
        window,
        record,
        reason,
    }
}
