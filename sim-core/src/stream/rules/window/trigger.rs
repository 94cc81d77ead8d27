//! When a window speaks, and whether it then forgets its contents.
//!
//! Follows Flink's `EventTimeTrigger`, `ProcessingTimeTrigger`, `CountTrigger`,
//! `ContinuousEventTimeTrigger`, `ContinuousProcessingTimeTrigger`, `DeltaTrigger`,
//! `PurgingTrigger`, `ProcessingTimeoutTrigger` and `GlobalWindows.EndOfStreamTrigger`, of its table
//! runtime `EventTimeTriggers.afterEndOfWindow()` with early and late firings and
//! `ProcessingTimeTriggers.every`, and of Beam `AfterProcessingTime.pastFirstElementInPane()`. A
//! trigger asks for timers; the operator keeps them. The early firings of a window end with the one on
//! time, where Flink lets their timers go on if nothing is said of late ones. Left out: triggers of
//! users.

use crate::stream::rules::assigner::Window;
use serde::Serialize;

/// Which clock a timer listens to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum TimeDomain {
    /// The watermark.
    Event,
    /// The wall clock.
    Processing,
}

/// What a window is to do: `TriggerResult`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Verdict {
    /// Speak.
    pub fire: bool,
    /// Forget the contents, after speaking.
    pub purge: bool,
}

impl Verdict {
    /// Nothing.
    pub const CONTINUE: Verdict = Verdict {
        fire: false,
        purge: false,
    };
    /// Speak, and keep the contents.
    pub const FIRE: Verdict = Verdict {
        fire: true,
        purge: false,
    };
}

/// A trigger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Trigger {
    /// When the watermark passes the end of the window, and at each element after that.
    EventTime,
    /// When the wall clock passes the end of the window.
    ProcessingTime,
    /// At every so many elements.
    Count(i64),
    /// At each multiple of an interval in event time (ms), and at the end of the window.
    ContinuousEventTime(i64),
    /// At each multiple of an interval in processing time, ms.
    ContinuousProcessingTime(i64),
    /// When a value is more than this above the one at the last firing.
    Delta(i64),
    /// At the end of the input.
    EndOfStream,
    /// Never: what a global window has if nothing else is said.
    Never,
    /// As the other, and forget the contents at each firing.
    Purging(Box<Trigger>),
    /// As the other, and when nothing has happened for a while of processing time.
    Timeout {
        /// The other.
        nested: Box<Trigger>,
        /// How long, ms.
        after: i64,
        /// Whether each element begins the while anew.
        reset: bool,
        /// Whether a timeout forgets what the trigger knows.
        clear: bool,
    },
    /// When the watermark passes the end of the window, and as others say before and after it.
    AfterEnd {
        /// Before it; only at the end if there is none.
        early: Option<Box<Trigger>>,
        /// After it; at each element if there is none.
        late: Option<Box<Trigger>>,
    },
    /// So long after an element came, in processing time.
    Periodic {
        /// How long, ms.
        interval: i64,
        /// Whether it waits for the next multiple of the interval instead.
        aligned: bool,
        /// Whether the next element begins the wait anew; otherwise it goes on by itself.
        each_pane: bool,
    },
}

/// What a trigger knows of a window of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TriggerState {
    count: Option<i64>,
    fire_at: Option<i64>,
    last_value: Option<i64>,
    timeout_at: Option<i64>,
    /// The window has spoken at its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
}

impl TriggerState {
    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == TriggerState::default()
    }
}

/// What a trigger asks of the timers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Set one.
    Set(TimeDomain, i64),
    /// Delete one.
    Delete(TimeDomain, i64),
}

/// A window as its trigger sees it.
#[derive(Debug)]
pub struct Context<'a> {
    /// The window.
    pub window: Window,
    /// The watermark of the operator.
    pub watermark: i64,
    /// The wall clock, ms.
    pub now: i64,
    /// What the trigger knows.
    pub state: &'a mut TriggerState,
    /// What it asks of the timers.
    pub asks: &'a mut Vec<Ask>,
}

impl Context<'_> {
    fn set(&mut self, domain: TimeDomain, at: i64) {
        self.asks.push(Ask::Set(domain, at));
    }

    fn delete(&mut self, domain: TimeDomain, at: i64) {
        self.asks.push(Ask::Delete(domain, at));
    }

    /// Sets when a periodic trigger speaks next, whatever the end of the window.
    fn again(&mut self, from: i64, interval: i64) {
        let next = from.saturating_add(interval);
        self.state.fire_at = Some(next);
        self.set(TimeDomain::Processing, next);
    }

    /// Sets when a continuous trigger speaks next.
    fn next(&mut self, domain: TimeDomain, from: i64, interval: i64) {
        let next = from
            .saturating_add(interval)
            .min(self.window.max_timestamp());
        self.state.fire_at = Some(next);
        // A window whose end has come speaks no more: without this, one whose clean-up waits for the
        // other clock would speak at its end for ever.
        if next > from {
            self.set(domain, next);
        }
    }
}

impl Trigger {
    /// Whether its settings make sense.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            Trigger::Count(most) if *most <= 0 => Err("a count trigger needs a count > 0"),
            Trigger::ContinuousEventTime(interval)
            | Trigger::ContinuousProcessingTime(interval)
                if *interval <= 0 =>
            {
                Err("a continuous trigger needs an interval > 0")
            }
            Trigger::Timeout { after, .. } if *after <= 0 => Err("a timeout must be > 0"),
            Trigger::Periodic { interval, .. } if *interval <= 0 => {
                Err("a periodic trigger needs an interval > 0")
            }
            Trigger::Purging(nested) | Trigger::Timeout { nested, .. } => nested.validate(),
            Trigger::AfterEnd { early, late } => {
                early.iter().chain(late).try_for_each(|it| it.validate())
            }
            _ => Ok(()),
        }
    }

    /// Whether it can follow windows that merge.
    #[must_use]
    pub fn merges(&self) -> bool {
        match self {
            Trigger::Delta(_) | Trigger::Timeout { .. } => false,
            Trigger::Purging(nested) => nested.merges(),
            Trigger::AfterEnd { early, late } => early.iter().chain(late).all(|it| it.merges()),
            _ => true,
        }
    }

    /// An interval after which it sets its timer anew, if it has one.
    #[must_use]
    pub fn interval(&self) -> Option<i64> {
        match self {
            Trigger::ContinuousEventTime(interval)
            | Trigger::ContinuousProcessingTime(interval)
            | Trigger::Periodic {
                interval,
                each_pane: false,
                ..
            } => Some(*interval),
            Trigger::Purging(nested) | Trigger::Timeout { nested, .. } => nested.interval(),
            _ => None,
        }
    }

    fn purging(verdict: Verdict) -> Verdict {
        Verdict {
            purge: verdict.fire || verdict.purge,
            ..verdict
        }
    }

    /// An element came into the window.
    pub fn on_element(&self, value: i64, timestamp: i64, ctx: &mut Context<'_>) -> Verdict {
        let end = ctx.window.max_timestamp();
        match self {
            Trigger::EventTime | Trigger::ContinuousEventTime(_) if end <= ctx.watermark => {
                return Verdict::FIRE;
            }
            Trigger::EventTime | Trigger::EndOfStream => ctx.set(TimeDomain::Event, end),
            Trigger::ContinuousEventTime(interval) => {
                ctx.set(TimeDomain::Event, end);
                if ctx.state.fire_at.is_none() {
                    let begun = timestamp.checked_rem(*interval).unwrap_or(0);
                    ctx.next(TimeDomain::Event, timestamp - begun, *interval);
                }
            }
            Trigger::ProcessingTime => ctx.set(TimeDomain::Processing, end),
            Trigger::ContinuousProcessingTime(interval) => {
                if ctx.state.fire_at.is_none() {
                    let begun = ctx.now.checked_rem(*interval).unwrap_or(0);
                    ctx.next(TimeDomain::Processing, ctx.now - begun, *interval);
                }
            }
            Trigger::Count(most) => {
                let count = ctx.state.count.unwrap_or(0) + 1;
                let fire = count >= *most;
                ctx.state.count = (!fire).then_some(count);
                return Verdict { fire, purge: false };
            }
            Trigger::Delta(threshold) => {
                let last = *ctx.state.last_value.get_or_insert(value);
                let fire = value.saturating_sub(last) > *threshold;
                if fire {
                    ctx.state.last_value = Some(value);
                }
                return Verdict { fire, purge: false };
            }
            Trigger::Never => {}
            Trigger::AfterEnd { early, late } => {
                let own = match (ctx.state.ended, end <= ctx.watermark) {
                    (true, _) => late,
                    (false, true) => return Verdict::FIRE,
                    (false, false) => {
                        ctx.set(TimeDomain::Event, end);
                        early
                    }
                };
                return match own {
                    Some(nested) => nested.on_element(value, timestamp, ctx),
                    None if ctx.state.ended => Verdict::FIRE,
                    None => Verdict::CONTINUE,
                };
            }
            Trigger::Periodic {
                interval, aligned, ..
            } => {
                if ctx.state.fire_at.is_none() {
                    let begun = match aligned {
                        true => ctx.now - ctx.now.checked_rem(*interval).unwrap_or(0),
                        false => ctx.now,
                    };
                    ctx.again(begun, *interval);
                }
            }
            Trigger::Purging(nested) => {
                return Trigger::purging(nested.on_element(value, timestamp, ctx));
            }
            Trigger::Timeout {
                nested,
                after,
                reset,
                ..
            } => {
                let verdict = nested.on_element(value, timestamp, ctx);
                if verdict.fire {
                    self.clear(ctx);
                } else {
                    Trigger::wait(*after, *reset, ctx);
                }
                return verdict;
            }
        }
        Verdict::CONTINUE
    }

    /// Begins to wait for the timeout, or begins anew.
    fn wait(after: i64, reset: bool, ctx: &mut Context<'_>) {
        let old = ctx.state.timeout_at;
        if let Some(old) = old.filter(|_| reset) {
            ctx.delete(TimeDomain::Processing, old);
        }
        if old.is_none() || reset {
            let at = ctx.now.saturating_add(after);
            ctx.state.timeout_at = Some(at);
            ctx.set(TimeDomain::Processing, at);
        }
    }

    /// A timer of the window went off.
    pub fn on_timer(&self, domain: TimeDomain, at: i64, ctx: &mut Context<'_>) -> Verdict {
        let end = ctx.window.max_timestamp();
        let fire = match (self, domain) {
            (Trigger::EventTime | Trigger::EndOfStream, TimeDomain::Event) => at == end,
            (Trigger::ContinuousEventTime(_), TimeDomain::Event) if at == end => true,
            (Trigger::ContinuousEventTime(interval), TimeDomain::Event)
            | (Trigger::ContinuousProcessingTime(interval), TimeDomain::Processing) => {
                let due = ctx.state.fire_at == Some(at);
                if due {
                    ctx.next(domain, at, *interval);
                }
                due
            }
            (Trigger::ProcessingTime, TimeDomain::Processing) => true,
            (Trigger::AfterEnd { early, .. }, TimeDomain::Event)
                if at == end && !ctx.state.ended =>
            {
                if let Some(early) = early {
                    early.clear(ctx);
                }
                ctx.state.ended = true;
                true
            }
            (Trigger::AfterEnd { early, late }, _) => {
                let own = if ctx.state.ended { late } else { early };
                let verdict = own.as_ref().map(|it| it.on_timer(domain, at, ctx));
                return verdict.unwrap_or(Verdict::CONTINUE);
            }
            (
                Trigger::Periodic {
                    interval,
                    each_pane,
                    ..
                },
                TimeDomain::Processing,
            ) => {
                let due = ctx.state.fire_at == Some(at);
                if due {
                    ctx.state.fire_at = None;
                    if !each_pane {
                        ctx.again(at, *interval);
                    }
                }
                due
            }
            (Trigger::Purging(nested), _) => {
                return Trigger::purging(nested.on_timer(domain, at, ctx));
            }
            (Trigger::Timeout { nested, .. }, TimeDomain::Event) => {
                return nested.on_timer(domain, at, ctx);
            }
            (Trigger::Timeout { nested, clear, .. }, TimeDomain::Processing) => {
                let verdict = nested.on_timer(domain, at, ctx);
                if *clear {
                    self.clear(ctx);
                }
                return Verdict {
                    fire: true,
                    ..verdict
                };
            }
            _ => false,
        };
        Verdict { fire, purge: false }
    }

    /// Windows merged into this one; `merged` is what the trigger knew of each.
    pub fn on_merge(&self, merged: &[TriggerState], ctx: &mut Context<'_>) {
        let end = ctx.window.max_timestamp();
        match self {
            Trigger::EventTime if end > ctx.watermark => ctx.set(TimeDomain::Event, end),
            Trigger::EndOfStream => ctx.set(TimeDomain::Event, end),
            Trigger::ProcessingTime if end > ctx.now => ctx.set(TimeDomain::Processing, end),
            Trigger::Count(_) => {
                let counts = merged.iter().filter_map(|it| it.count);
                let sum = counts.reduce(|sum, it| sum + it);
                ctx.state.count = sum;
            }
            Trigger::AfterEnd { early, .. } => {
                // The merged window has not spoken at its end yet, as Flink assumes too.
                if let Some(early) = early {
                    let waits: Vec<_> = merged.iter().filter(|it| !it.ended).copied().collect();
                    early.on_merge(&waits, ctx);
                }
                if end > ctx.watermark {
                    ctx.set(TimeDomain::Event, end);
                }
            }
            Trigger::ContinuousEventTime(_)
            | Trigger::ContinuousProcessingTime(_)
            | Trigger::Periodic { .. } => {
                let earliest = merged.iter().filter_map(|it| it.fire_at).min();
                ctx.state.fire_at = earliest;
                let domain = match self {
                    Trigger::ContinuousEventTime(_) => TimeDomain::Event,
                    _ => TimeDomain::Processing,
                };
                if let Some(at) = earliest {
                    ctx.set(domain, at);
                }
            }
            Trigger::Purging(nested) => nested.on_merge(merged, ctx),
            _ => {}
        }
    }

    /// The window is no more: what the trigger knows goes, with its timers.
    pub fn clear(&self, ctx: &mut Context<'_>) {
        let end = ctx.window.max_timestamp();
        match self {
            Trigger::EventTime => ctx.delete(TimeDomain::Event, end),
            Trigger::ProcessingTime => ctx.delete(TimeDomain::Processing, end),
            Trigger::AfterEnd { early, late } => {
                ctx.delete(TimeDomain::Event, end);
                let own = if ctx.state.ended { late } else { early };
                if let Some(nested) = own {
                    nested.clear(ctx);
                }
                ctx.state.ended = false;
            }
            Trigger::ContinuousEventTime(_)
            | Trigger::ContinuousProcessingTime(_)
            | Trigger::Periodic { .. } => {
                let domain = match self {
                    Trigger::ContinuousEventTime(_) => TimeDomain::Event,
                    _ => TimeDomain::Processing,
                };
                if let Some(at) = ctx.state.fire_at.take() {
                    ctx.delete(domain, at);
                }
            }
            Trigger::Count(_) => ctx.state.count = None,
            Trigger::Delta(_) => ctx.state.last_value = None,
            Trigger::EndOfStream | Trigger::Never => {}
            Trigger::Purging(nested) => nested.clear(ctx),
            Trigger::Timeout { nested, .. } => {
                if let Some(at) = ctx.state.timeout_at.take() {
                    ctx.delete(TimeDomain::Processing, at);
                }
                nested.clear(ctx);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start: 0, end: 10 };

    /// What a trigger does with elements (value, timestamp), and what it asks for.
    fn elements(trigger: &Trigger, watermark: i64, given: &[(i64, i64)]) -> (Vec<bool>, Vec<Ask>) {
        let (mut state, mut asks) = (TriggerState::default(), Vec::new());
        let verdicts = given.iter().map(|(value, timestamp)| {
            let mut ctx = Context {
                window: WINDOW,
                watermark,
                now: 5,
                state: &mut state,
                asks: &mut asks,
            };
            trigger.on_element(*value, *timestamp, &mut ctx).fire
        });
        let fired = verdicts.collect();
        (fired, asks)
    }

    #[test]
    fn elements_fire_or_set_timers() {
        let event = |at| Ask::Set(TimeDomain::Event, at);
        let processing = |at| Ask::Set(TimeDomain::Processing, at);
        for (trigger, watermark, given, fired, asks) in [
            (
                Trigger::EventTime,
                8,
                vec![(1, 1)],
                vec![false],
                vec![event(9)],
            ),
            (Trigger::EventTime, 9, vec![(1, 1)], vec![true], vec![]),
            (
                Trigger::ProcessingTime,
                99,
                vec![(1, 1)],
                vec![false],
                vec![processing(9)],
            ),
            (
                Trigger::Count(2),
                0,
                vec![(1, 1); 5],
                vec![false, true, false, true, false],
                vec![],
            ),
            (
                Trigger::ContinuousEventTime(4),
                0,
                vec![(1, 5), (1, 1)],
                vec![false, false],
                vec![event(9), event(8), event(9)],
            ),
            (
                Trigger::ContinuousEventTime(4),
                0,
                vec![(1, 8)],
                vec![false],
                vec![event(9); 2],
            ),
            (
                Trigger::ContinuousProcessingTime(4),
                0,
                vec![(1, 1)],
                vec![false],
                vec![processing(8)],
            ),
            (
                Trigger::Delta(3),
                0,
                vec![(1, 1), (4, 1), (5, 1), (8, 1), (9, 1)],
                vec![false, false, true, false, true],
                vec![],
            ),
            (Trigger::Never, 99, vec![(1, 1)], vec![false], vec![]),
        ] {
            assert_eq!(
                elements(&trigger, watermark, &given),
                (fired, asks),
                "{trigger:?}"
            );
        }
    }

    #[test]
    fn a_purging_trigger_purges_where_the_other_fires() {
        let (mut state, mut asks) = (TriggerState::default(), Vec::new());
        let mut ctx = Context {
            window: WINDOW,
            watermark: 0,
            now: 0,
            state: &mut state,
            asks: &mut asks,
        };
        let trigger = Trigger::Purging(Box::new(Trigger::EventTime));
        let verdict = trigger.on_timer(TimeDomain::Event, 9, &mut ctx);
        assert!(verdict.fire && verdict.purge);
        assert_eq!(
            trigger.on_timer(TimeDomain::Event, 8, &mut ctx),
            Verdict::CONTINUE
        );
    }

    #[test]
    fn a_timeout_begins_anew_with_each_element_if_it_is_to() {
        for (reset, last) in [(true, 2), (false, 1)] {
            let trigger = Trigger::Timeout {
                nested: Box::new(Trigger::Count(9)),
                after: 100,
                reset,
                clear: true,
            };
            let (_, asks) = elements(&trigger, 0, &[(1, 1), (1, 1)]);
            let sets = asks.iter().filter(|it| matches!(it, Ask::Set(_, 105)));
            assert_eq!(sets.count(), last);
        }
    }
}
