//! The window operator of a subtask: the rules of windows over state in pieces by key group.
//!
//! Follows `WindowOperator` of Flink. Timers of all groups go off in the order of their times; those
//! of one time by group, then key, then window, where Flink leaves the order open. What an element
//! costs depends on its group, and what a watermark costs on the groups with timers that are due.

use super::groups::{Due, Groups};
use super::{KeyedState, OpenWindow, OperatorSnapshot, Outs, PurgedWindow, Site, StateSize};
use crate::stream::element::{Key, NO_TIMESTAMP, Origin, Record};
use crate::stream::job::Job;
use crate::stream::note::{Note, Verdict};
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::machine::{Scratch, Windows};
use crate::stream::rules::window::operator::{Element, Fate, Out, Settings, WindowState};
use crate::stream::rules::window::trigger::TimeDomain;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Windows of the keys of one group.
pub type Piece = WindowState<Key, Origin>;

/// Bytes that a window of a key takes in a checkpoint, as we count: key, window, number, timer.
const WINDOW_BYTES: u64 = 48;
/// Bytes that an element takes in the list of a window.
const ELEMENT_BYTES: u64 = 16;

/// Purged windows that are remembered for the stage.
const PURGED: usize = 8;

/// A subtask of a window operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WindowTask {
    site: Site,
    settings: Settings,
    groups: Groups<Piece>,
    event: Due,
    processing: Due,
    watermark: i64,
    now: i64,
    late_dropped: u64,
    /// Windows of keys, and elements in them.
    size: (u64, u64),
    /// The windows that were purged last, for whoever looks on: no part of the state.
    #[serde(skip)]
    purged: VecDeque<PurgedWindow>,
    #[serde(skip)]
    scratch: Scratch<Key>,
    /// Empty between two calls.
    #[serde(skip)]
    said: Vec<Out<Key, Origin>>,
}

impl WindowTask {
    pub(super) fn open(
        settings: &Settings,
        site: Site,
        restored: &[&OperatorSnapshot],
        now: i64,
    ) -> Self {
        let mut task = WindowTask {
            site,
            settings: settings.clone(),
            groups: Groups::new(site),
            event: Due::default(),
            processing: Due::default(),
            watermark: NO_WATERMARK,
            now,
            late_dropped: 0,
            size: (0, 0),
            purged: VecDeque::new(),
            scratch: Scratch::default(),
            said: Vec::new(),
        };
        for (group, state) in restored.iter().flat_map(|it| &it.keyed) {
            if let KeyedState::Windows(piece) = state {
                task.groups.put(*group, piece);
            }
        }
        for (at, piece) in task.groups.iter() {
            let (windows, elements) = piece.size();
            task.size = (task.size.0 + windows, task.size.1 + elements);
            task.event.set(at, piece.next_timer(TimeDomain::Event));
            let processing = piece.next_timer(TimeDomain::Processing);
            task.processing.set(at, processing);
        }
        task
    }

    /// Lets the rules work on one group, and looks at what that changed.
    fn with<T>(
        &mut self,
        at: u32,
        work: impl FnOnce(&mut Windows<'_, Key, Origin>, &mut Vec<Out<Key, Origin>>) -> T,
    ) -> Option<T> {
        let state = self.groups.write(at, Piece::default)?;
        let before = state.size();
        let mut windows = Windows {
            settings: &self.settings,
            state,
            watermark: self.watermark,
            now: self.now,
            scratch: &mut self.scratch,
        };
        let done = work(&mut windows, &mut self.said);
        let after = state.size();
        self.size = (
            (self.size.0 + after.0).saturating_sub(before.0),
            (self.size.1 + after.1).saturating_sub(before.1),
        );
        self.event.set(at, state.next_timer(TimeDomain::Event));
        let processing = state.next_timer(TimeDomain::Processing);
        self.processing.set(at, processing);
        if after.0 == 0 && state.is_empty() {
            self.groups.clear(at);
        }
        Some(done)
    }

    pub(super) fn on_record(
        &mut self,
        record: &Record,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        self.now = outs.now_ms;
        // `TumblingEventTimeWindows.assignWindows` throws at a record without a timestamp;
        // `GlobalWindows` asks for none.
        let timed = self.settings.time == TimeDomain::Event;
        let timed = timed && self.settings.assigner != Assigner::Global;
        if record.timestamp == NO_TIMESTAMP && timed {
            return Err(TaskFailure::Window);
        }
        let at = self
            .groups
            .of(record.key, job)
            .ok_or(TaskFailure::UserCode)?;
        let element = Element {
            key: record.key,
            value: super::number(&record.value),
            timestamp: record.timestamp,
            gap: None,
            mark: record.origin,
        };
        let fate = self.with(at, |windows, said| windows.on_element(element, said));
        let fate = fate.ok_or(TaskFailure::UserCode)?;
        let fate = fate.map_err(|_| TaskFailure::Window);
        self.late_dropped += u64::from(fate == Ok(Fate::Dropped));
        let verdict = match fate {
            Ok(Fate::Taken) => Some(Verdict::Taken),
            Ok(Fate::TakenLate) => Some(Verdict::TakenLate),
            Ok(Fate::SideOutput) => Some(Verdict::SideOutput),
            Ok(Fate::Dropped) => Some(Verdict::Dropped),
            Ok(Fate::Nowhere) | Err(_) => None,
        };
        if let Some(verdict) = verdict.filter(|_| outs.plot) {
            outs.notes
                .push(super::judged(self.site, record, self.watermark, verdict));
        }
        self.hand_out(Some(record), outs);
        fate.map(|_| ())
    }

    /// Turns what windows said into records, and tells which ones were purged.
    fn hand_out(&mut self, element: Option<&Record>, outs: &mut Outs) {
        for (key, window, why) in self.scratch.purged.drain(..) {
            if self.purged.len() >= PURGED {
                self.purged.pop_front();
            }
            let (at_ms, watermark) = (outs.now_ms, self.watermark);
            self.purged.push_back(PurgedWindow {
                key,
                window,
                why,
                at_ms,
                watermark,
            });
            if outs.plot {
                outs.notes.push(Note::Purged {
                    operator: self.site.operator,
                    subtask: self.site.subtask,
                    key,
                    window,
                    why,
                });
            }
        }
        for said in self.said.drain(..) {
            match said {
                Out::Result {
                    key,
                    window,
                    value,
                    mark,
                    kind,
                    timing,
                } => {
                    outs.notes.push(Note::Fired {
                        operator: self.site.operator,
                        subtask: self.site.subtask,
                        key,
                        window,
                    });
                    outs.main.push(Record {
                        key,
                        timestamp: window.max_timestamp(),
                        value,
                        right: None,
                        kind,
                        window: Some(window),
                        timing: Some(timing),
                        origin: mark,
                    });
                }
                // The record itself goes on, with all that it carried.
                Out::Late { .. } => outs.late.extend(element.cloned()),
            }
        }
    }

    /// Lets the timers of one clock go off in the order of their times.
    fn run(&mut self, domain: TimeDomain, until: i64, outs: &mut Outs) -> Result<(), TaskFailure> {
        loop {
            let due = match domain {
                TimeDomain::Event => self.event.due(until),
                TimeDomain::Processing => self.processing.due(until),
            };
            let Some((time, at)) = due else {
                return Ok(());
            };
            let done = self.with(at, |windows, said| windows.run_timers(domain, time, said));
            self.hand_out(None, outs);
            match done {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return Err(TaskFailure::Window),
            }
        }
    }

    pub(super) fn on_watermark(
        &mut self,
        watermark: i64,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        self.now = outs.now_ms;
        self.watermark = watermark;
        self.run(TimeDomain::Event, watermark, outs)
    }

    pub(super) fn on_processing_time(
        &mut self,
        now: i64,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        self.now = now;
        self.run(TimeDomain::Processing, now, outs)
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.processing.first().map(|it| it.0)
    }

    pub(super) fn snapshot(&self) -> OperatorSnapshot {
        let pieces = self.groups.shared();
        let keyed = pieces.map(|(group, it)| (group, KeyedState::Windows(Arc::clone(it))));
        OperatorSnapshot {
            keyed: keyed.collect(),
            list: Vec::new(),
        }
    }

    pub(super) fn size(&self) -> StateSize {
        let (windows, elements) = self.size;
        StateSize {
            entries: windows.max(elements),
            bytes: windows * WINDOW_BYTES + elements * ELEMENT_BYTES,
        }
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    pub(super) fn late_dropped(&self) -> u64 {
        self.late_dropped
    }

    /// The windows that were purged last, oldest first.
    pub(super) fn purged(&self) -> impl Iterator<Item = &PurgedWindow> {
        self.purged.iter()
    }

    /// How long windows are kept after their end, ms of event time.
    pub(super) fn allowed_lateness(&self) -> i64 {
        self.settings.allowed_lateness
    }

    /// Open windows, by key group, key and start.
    pub(super) fn windows(&self) -> impl Iterator<Item = OpenWindow> {
        let clock = match self.settings.time {
            TimeDomain::Event => self.watermark,
            TimeDomain::Processing => self.now,
        };
        let pieces = self.groups.iter();
        let all = pieces.flat_map(|(_, piece)| piece.open(self.settings.aggregate));
        all.map(move |(key, window, value)| OpenWindow {
            key,
            window,
            value,
            fired: window.max_timestamp() <= clock,
        })
    }
}
