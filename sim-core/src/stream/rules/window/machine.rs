//! What a window operator does with an element, a watermark and the wall clock.
//!
//! Follows `WindowOperator.processElement`, `onEventTime`, `onProcessingTime` and
//! `EvictingWindowOperator.emitWindowContents`, and of `InternalTimerServiceImpl` that one timer is
//! kept for each key, window and time. Timers of one time go off by key and then window, where Flink
//! leaves the order open. The state is lent, so that an operator may keep it in pieces by key group.

use super::aggregate::{Contents, Record, Value};
use super::merging::Merge;
use super::operator::{Element, Failure, Fate, Kept, Out, Settings, WindowState};
use super::trigger::{Ask, Context, TimeDomain, Trigger, TriggerState, Verdict};
use crate::stream::rules::assigner::Window;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::pane::Timing;
use serde::Serialize;
use std::cmp::Ordering;

/// See [`Failure::TooManyFirings`].
const FIRINGS_MAX: i64 = 100_000;

/// Lists that are empty between two calls, kept so that no element allocates its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scratch<K> {
    windows: Vec<Window>,
    asks: Vec<Ask>,
    /// Windows that were forgotten with what they held; whoever called takes them, or they go.
    pub purged: Vec<(K, Window, Purge)>,
}

impl<K> Default for Scratch<K> {
    fn default() -> Self {
        Scratch {
            windows: Vec::new(),
            asks: Vec::new(),
            purged: Vec::new(),
        }
    }
}

/// Why a window was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Purge {
    /// Its trigger fired and purges: `FIRE_AND_PURGE`.
    Fired,
    /// Its end has passed, and the allowed lateness after it (`WindowOperator.clearAllState`).
    PastLateness,
}

/// An operator at work on its state, or on a part of its state that some keys share.
#[derive(Debug)]
pub struct Windows<'a, K: Ord, M = ()> {
    /// How it works.
    pub settings: &'a Settings,
    /// What it keeps.
    pub state: &'a mut WindowState<K, M>,
    /// Its watermark, ms.
    pub watermark: i64,
    /// The wall clock, ms.
    pub now: i64,
    /// Lists to reuse.
    pub scratch: &'a mut Scratch<K>,
}

/// A window of a key that something happens to.
struct At<'k, K> {
    key: &'k K,
    window: Window,
    /// Under which window its contents are kept.
    kept: Window,
}

impl<K: Ord + Clone, M: Ord + Copy> Windows<'_, K, M> {
    /// An element came. Counting those that are dropped is the caller's.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn on_element(
        &mut self,
        element: Element<K, M>,
        outs: &mut Vec<Out<K, M>>,
    ) -> Result<Fate, Failure> {
        let mut windows = std::mem::take(&mut self.scratch.windows);
        windows.clear();
        let fate = self.on_element_in(element, &mut windows, outs);
        self.scratch.windows = windows;
        self.scratch.windows.clear();
        fate
    }

    fn on_element_in(
        &mut self,
        element: Element<K, M>,
        windows: &mut Vec<Window>,
        outs: &mut Vec<Out<K, M>>,
    ) -> Result<Fate, Failure> {
        let Element {
            key,
            value,
            timestamp,
            gap,
            mark,
        } = element;
        let record = Record { value, timestamp };
        let clock = match self.settings.time {
            TimeDomain::Event => timestamp,
            TimeDomain::Processing => self.now,
        };
        match gap {
            Some(gap) if gap < 0 => return Err(Failure::NegativeGap),
            Some(gap) if self.settings.assigner.merges() => windows.push(Window {
                start: clock,
                end: clock.saturating_add(gap),
            }),
            _ => self.settings.assigner.assign_into(clock, windows),
        }
        let (mut taken, mut in_time) = (false, false);
        for window in windows.drain(..) {
            let (window, kept) = match self.settings.assigner.merges() {
                true => self.join(&key, window)?,
                false => (window, window),
            };
            if self.is_late(&window) {
                self.retire(&key, &window);
                continue;
            }
            taken = true;
            in_time |= !self.settings.is_event_time() || window.max_timestamp() > self.watermark;
            let at = At {
                key: &key,
                window,
                kept,
            };
            self.add(&at, record, mark, outs);
        }
        let due = timestamp.saturating_add(self.settings.allowed_lateness);
        Ok(match taken {
            true if in_time => Fate::Taken,
            true => Fate::TakenLate,
            false if !self.settings.is_event_time() || due > self.watermark => Fate::Nowhere,
            false if self.settings.late_output => {
                outs.push(Out::Late { key, record, mark });
                Fate::SideOutput
            }
            false => Fate::Dropped,
        })
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
        let set = self.state.sessions.write(key.clone(), Default::default);
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
        let at = (key.clone(), merge.state);
        let mut all = self.state.contents.remove(&at);
        for old in &merge.moved {
            let Some(part) = self.state.contents.remove(&(key.clone(), *old)) else {
                continue;
            };
            all = Some(match all {
                None => part,
                Some(all) => {
                    let mut contents = Some(all.contents);
                    self.settings.aggregate.merge(&mut contents, part.contents);
                    let mut said = all.said;
                    said.extend(part.said);
                    Kept {
                        contents: contents.unwrap_or(Contents::Records(Vec::new())),
                        mark: all.mark.max(part.mark),
                        said,
                        empty: all.empty && part.empty,
                    }
                }
            });
        }
        if let Some(all) = all {
            self.state.contents.set(at, all);
        }
        Ok(())
    }

    /// Puts an element into a window that is not late.
    fn add(&mut self, at: &At<'_, K>, record: Record, mark: M, outs: &mut Vec<Out<K, M>>) {
        let (aggregate, buffers) = (self.settings.aggregate, self.settings.buffers());
        let mut begun = false;
        let begin = || {
            begun = true;
            Kept {
                contents: aggregate.begin(record, buffers),
                mark,
                said: Vec::new(),
                empty: false,
            }
        };
        let under = (at.key.clone(), at.kept);
        let kept = self.state.contents.write(under, begin);
        if !begun {
            aggregate.add_to(&mut kept.contents, record);
            kept.mark = kept.mark.max(mark);
            kept.empty = false;
        }
        self.state.buffered += u64::from(matches!(kept.contents, Contents::Records(_)));
        let verdict = self.with_trigger(at.key, at.window, |trigger, ctx| {
            trigger.on_element(record.value, record.timestamp, ctx)
        });
        let timing = match self.clock() < at.window.max_timestamp() {
            true => Timing::Early,
            false => Timing::Late,
        };
        self.obey(verdict, at, timing, outs);
        let cleanup = self.settings.cleanup_time(&at.window);
        if cleanup < i64::MAX {
            let timers = self.state.of_clock(self.settings.cleanup_domain());
            timers.insert((cleanup, at.key.clone(), at.window));
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
        let known = self.state.triggers.get(&at).copied();
        let mut state = known.unwrap_or_default();
        let mut asks = std::mem::take(&mut self.scratch.asks);
        let mut ctx = Context {
            window,
            watermark: self.watermark,
            now: self.now,
            state: &mut state,
            asks: &mut asks,
        };
        let seen = look(&self.settings.trigger, &mut ctx);
        if state.is_empty() {
            self.state.triggers.remove(&at);
        } else if known.as_ref() != Some(&state) {
            self.state.triggers.set(at, state);
        }
        for ask in asks.drain(..) {
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
        self.scratch.asks = asks;
        seen
    }

    /// Speaks and forgets as the trigger says. A window without contents stays silent.
    fn obey(
        &mut self,
        verdict: Verdict,
        at: &At<'_, K>,
        timing: Timing,
        outs: &mut Vec<Out<K, M>>,
    ) {
        if !verdict.fire && !verdict.purge {
            return;
        }
        let under = (at.key.clone(), at.kept);
        let mut empty = false;
        if verdict.fire
            && let Some(kept) = self.state.contents.get_mut(&under)
            && (!kept.empty || timing == Timing::OnTime)
        {
            let (before, mark) = (kept.contents.buffered(), kept.mark);
            let value = speak(self.settings, &mut kept.contents);
            let mut put = |window, value, kind| {
                outs.push(Out::Result {
                    key: at.key.clone(),
                    window,
                    value,
                    mark,
                    kind,
                    timing,
                });
            };
            if !self.settings.refine.retracting {
                put(at.window, value, RowKind::Insert);
            } else if kept.said.as_slice() != [(at.window, value.clone())] {
                let kind = match kept.said.is_empty() {
                    true => RowKind::Insert,
                    false => RowKind::UpdateAfter,
                };
                for (window, old) in kept.said.drain(..) {
                    put(window, old, RowKind::UpdateBefore);
                }
                put(at.window, value.clone(), kind);
                kept.said.push((at.window, value));
            }
            let left = kept.contents.buffered();
            let gone = before.saturating_sub(left);
            self.state.buffered = self.state.buffered.saturating_sub(gone);
            empty = kept.contents == Contents::Records(Vec::new());
        }
        let keeps = self.settings.refine.empty_on_time;
        match verdict.purge || empty {
            true if keeps => self.empty(&under),
            true => self.forget(&under, at.window, Purge::Fired),
            false => {}
        }
    }

    /// Forgets the elements of a window that has something to say still.
    fn empty(&mut self, under: &(K, Window)) {
        let aggregate = self.settings.aggregate;
        if let Some(kept) = self.state.contents.get_mut(under) {
            let gone = kept.contents.buffered();
            self.state.buffered = self.state.buffered.saturating_sub(gone);
            kept.contents = aggregate.of_nothing(self.settings.buffers());
            kept.empty = true;
        }
    }

    /// The clock that windows end by.
    fn clock(&self) -> i64 {
        match self.settings.time {
            TimeDomain::Event => self.watermark,
            TimeDomain::Processing => self.now,
        }
    }

    /// When a timer of a window goes off, seen from its end.
    fn timing(&self, domain: TimeDomain, at: i64, window: &Window) -> Timing {
        let end = window.max_timestamp();
        // Timers go off in their order, while their clock may be far ahead.
        let own = domain == self.settings.time;
        match if own { at } else { self.clock() }.cmp(&end) {
            Ordering::Less => Timing::Early,
            Ordering::Equal if own => Timing::OnTime,
            Ordering::Equal | Ordering::Greater => Timing::Late,
        }
    }

    /// Forgets what a window holds, under whatever window that is kept.
    fn forget(&mut self, under: &(K, Window), window: Window, why: Purge) {
        if let Some(kept) = self.state.contents.remove(under) {
            self.scratch.purged.push((under.0.clone(), window, why));
            let gone = kept.contents.buffered();
            self.state.buffered = self.state.buffered.saturating_sub(gone);
        }
    }

    /// Lets all timers go off that are due at this time of a clock, those among them that are set
    /// meanwhile. `until` may be before the clock: those in between stay.
    ///
    /// # Errors
    ///
    /// What the operator fails with.
    pub fn run_timers(
        &mut self,
        domain: TimeDomain,
        until: i64,
        outs: &mut Vec<Out<K, M>>,
    ) -> Result<(), Failure> {
        loop {
            let timers = self.state.of_clock(domain);
            if timers.first().is_none_or(|(it, ())| it.0 > until) {
                return Ok(());
            }
            let Some(((at, key, window), ())) = timers.pop_first() else {
                return Ok(());
            };
            self.on_timer(domain, at, &key, window, outs)?;
        }
    }

    fn on_timer(
        &mut self,
        domain: TimeDomain,
        at: i64,
        key: &K,
        window: Window,
        outs: &mut Vec<Out<K, M>>,
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
            let clock = match domain {
                TimeDomain::Event => self.watermark,
                TimeDomain::Processing => self.now,
            };
            let left = clock.min(window.max_timestamp()).saturating_sub(at);
            if left.checked_div(interval).unwrap_or(0) > FIRINGS_MAX {
                return Err(Failure::TooManyFirings);
            }
        }
        let verdict = self.with_trigger(key, window, |trigger, ctx| {
            trigger.on_timer(domain, at, ctx)
        });
        let timing = self.timing(domain, at, &window);
        self.obey(verdict, &At { key, window, kept }, timing, outs);
        if domain == self.settings.cleanup_domain() && at == self.settings.cleanup_time(&window) {
            self.forget(&(key.clone(), kept), window, Purge::PastLateness);
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
