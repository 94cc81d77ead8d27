//! A process function with keyed state, and how its state expires.
//!
//! Follows `KeyedProcessOperator` with `ValueState`, `ReducingState`, `MapState` and `ListState`,
//! and `StateTtlConfig` with its defaults: the time since the last write counts
//! (`OnCreateAndWrite`), in processing time; what has expired is never given back
//! (`NeverReturnExpired`); it goes when it is read, and in the background as by
//! `cleanupIncrementally(5, false)`: each record looks at some further entries. So state that no
//! record comes near stays, however old. Entries of a map expire one by one, a list as a whole,
//! since it is put back as a whole. The RocksDB backend's clean-up at compaction is left out. A
//! timer is kept for the last record of a key alone: one of an earlier record would find that
//! another came and do nothing (Flink's documentation has this example). A row of a changelog that
//! takes another back is taken off counts and sums, as by an aggregate of Flink SQL, and leaves the
//! greatest values (`RetractableTopNFunction`; the whole list is put out each time, not its changes);
//! other functions see a record like any other.

mod upsert;

use super::groups::Groups;
use super::{KeyedState, OperatorSnapshot, Outs, Site, StateSize, number};
use crate::stream::element::{Key, NO_TIMESTAMP, Origin, Record};
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule};
use crate::stream::pieces::Pieces;
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::NO_WATERMARK;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::rules::window::trigger::TimeDomain;
use crate::stream::spec::{ProcessFunction, ProcessSpec};
use serde::Serialize;
use std::sync::Arc;

/// `cleanupSize` of the background clean-up: entries that each record looks at.
const CLEANUP_SIZE: u32 = 5;

/// What is kept of a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Kept {
    /// When it was last written, ms; 0 where nothing expires.
    written: i64,
    state: KeyState,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum KeyState {
    Number(i64),
    /// Values, each with when it was written.
    Seen(Arc<Pieces<i64, i64>>),
    Last(Arc<Vec<i64>>),
    // Shared, so that the entries of all functions are small.
    Waits(Arc<Waits>),
}

/// What is kept of a key that may fall silent.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Waits {
    count: i64,
    /// When its timer goes off.
    at: Option<i64>,
    /// The record that it goes back to.
    origin: Origin,
}

/// The keys of one group.
pub type Piece = Pieces<Key, Kept>;

/// Where the background clean-up is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Cursor {
    group: u32,
    key: Option<Key>,
    /// The entry of the key's map that it looked at last, if it is in one.
    inside: Option<Option<i64>>,
}

/// A subtask of a process function.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ProcessTask {
    site: Site,
    spec: ProcessSpec,
    groups: Groups<Piece>,
    watermark: i64,
    entries: u64,
    cursor: Cursor,
    /// Timers of keys, each with the place of its group: a function of the state.
    timers: Pieces<(i64, u32, Key), ()>,
}

fn entries_of(kept: &Kept) -> u64 {
    match &kept.state {
        KeyState::Seen(seen) => seen.len(),
        KeyState::Number(_) | KeyState::Last(_) | KeyState::Waits(..) => 1,
    }
}

impl ProcessTask {
    pub(super) fn open(spec: &ProcessSpec, site: Site, restored: &[&OperatorSnapshot]) -> Self {
        let mut groups = Groups::new(site);
        for (group, state) in restored.iter().flat_map(|it| &it.keyed) {
            if let KeyedState::Values(piece) = state {
                groups.put(*group, piece);
            }
        }
        let pieces = groups.iter();
        let entries = match spec.function {
            ProcessFunction::Distinct => pieces
                .flat_map(|(_, piece)| piece.iter())
                .map(|it| entries_of(&it.1))
                .sum(),
            _ => pieces.map(|(_, piece)| piece.len()).sum(),
        };
        let waits = groups.iter().flat_map(|(at, piece)| {
            let keys = piece.iter();
            keys.filter_map(move |(key, kept)| Some((due(kept)?, at, *key)))
        });
        let mut timers = Pieces::default();
        waits.for_each(|timer| timers.insert(timer));
        ProcessTask {
            site,
            spec: spec.clone(),
            groups,
            timers,
            watermark: NO_WATERMARK,
            entries,
            cursor: Cursor::default(),
        }
    }

    fn is_expired(&self, written: i64, now: i64) -> bool {
        let ttl = self.spec.ttl_ms;
        ttl.is_some_and(|ttl| written.saturating_add(ttl) <= now)
    }

    pub(super) fn on_record(
        &mut self,
        mut record: Record,
        job: &Job,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        let value = number(&record.value);
        if let ProcessFunction::FailOn(poison) = self.spec.function {
            if value == poison {
                return Err(TaskFailure::UserCode);
            }
            outs.main.push(record);
            return Ok(());
        }
        let at = self
            .groups
            .of(record.key, job)
            .ok_or(TaskFailure::UserCode)?;
        let now = outs.now_ms;
        let mut expired = 0;
        if self.spec.ttl_ms.is_some() {
            expired += self.expire_for(at, record.key, value, now);
        }
        if self.spec.function == ProcessFunction::Upsert {
            self.upsert(at, record, value, outs)?;
        } else if let Some(value) = self
            .write(at, &record, value, now)
            .ok_or(TaskFailure::UserCode)?
        {
            record.value = value;
            if self.spec.function.takes_back() {
                record.kind = RowKind::Insert;
            }
            outs.main.push(record);
        }
        if self.spec.ttl_ms.is_some() {
            expired += (0..CLEANUP_SIZE).map(|_| self.clean_up(now)).sum::<u64>();
        }
        if expired > 0 {
            outs.notes.push(Note::Rule {
                rule: Rule::StateExpired,
                task: None,
                operator: Some(self.site.operator),
                before: 0,
                after: i64::try_from(expired).unwrap_or(i64::MAX),
            });
        }
        Ok(())
    }

    /// Drops what a record would read, if it has expired.
    fn expire_for(&mut self, at: u32, key: Key, value: i64, now: i64) -> u64 {
        let kept = self.groups.get(at).and_then(|piece| piece.get(&key));
        match kept.map(|it| (it.written, &it.state)) {
            Some((_, KeyState::Seen(seen))) => {
                let written = seen.get(&value).copied();
                match written.is_some_and(|it| self.is_expired(it, now)) {
                    true => self.drop_entry(at, key, Some(value)),
                    false => 0,
                }
            }
            Some((written, _)) if self.is_expired(written, now) => self.drop_entry(at, key, None),
            _ => 0,
        }
    }

    /// Drops an entry of a key's map, or the key.
    fn drop_entry(&mut self, at: u32, key: Key, value: Option<i64>) -> u64 {
        let Some(piece) = self.groups.existing(at) else {
            return 0;
        };
        let mut is_empty = true;
        if let Some(value) = value
            && let Some(Kept {
                state: KeyState::Seen(seen),
                ..
            }) = piece.get(&key)
        {
            let mut seen = Arc::clone(seen);
            Arc::make_mut(&mut seen).remove(&value);
            is_empty = seen.is_empty();
            piece.write(key, unseen).state = KeyState::Seen(seen);
        }
        if is_empty {
            piece.remove(&key);
        }
        if piece.is_empty() {
            self.groups.clear(at);
        }
        self.entries = self.entries.saturating_sub(1);
        1
    }

    /// Puts a value into the state of its key; what comes out. `None` if the group is not there.
    fn write(&mut self, at: u32, record: &Record, value: i64, now: i64) -> Option<Option<Value>> {
        let sign = if record.kind.is_accumulate() { 1 } else { -1 };
        let written = self.spec.ttl_ms.map_or(0, |_| now);
        let piece = self.groups.write(at, Piece::default)?;
        let keys = piece.len();
        let function = self.spec.function;
        let kept = piece.write(record.key, || begin(function));
        let before = entries_of(kept);
        let waited = due(kept);
        let said = match (&mut kept.state, function) {
            (KeyState::Number(count), ProcessFunction::Count) => {
                *count = count.wrapping_add(sign);
                Some(Value::Number(*count))
            }
            (KeyState::Number(most), ProcessFunction::Max) => {
                *most = value.max(*most);
                Some(Value::Number(*most))
            }
            (KeyState::Waits(waits), ProcessFunction::Silence { after, clock }) => {
                let waits = Arc::make_mut(waits);
                waits.count = waits.count.wrapping_add(1);
                let since = match clock {
                    TimeDomain::Event => record.timestamp,
                    TimeDomain::Processing => now,
                };
                waits.at = Some(since.saturating_add(after));
                waits.origin = record.origin;
                None
            }
            (KeyState::Waits(..), _) => None,
            (KeyState::Number(sum), _) => {
                *sum = sum.wrapping_add(value.wrapping_mul(sign));
                Some(Value::Number(*sum))
            }
            (KeyState::Seen(seen), _) => {
                let is_new = seen.get(&value).is_none();
                if is_new {
                    Arc::make_mut(seen).write(value, || written);
                }
                // The map's entries have times of their own.
                let after = seen.len();
                self.entries += after - before;
                return Some(is_new.then_some(Value::Number(value)));
            }
            (KeyState::Last(last), ProcessFunction::Last(most)) => {
                let last = Arc::make_mut(last);
                last.push(value);
                let excess = last.len().saturating_sub(most as usize);
                last.drain(..excess);
                Some(Value::Values(last.clone()))
            }
            (KeyState::Last(all), ProcessFunction::Top(most)) => {
                let all = Arc::make_mut(all);
                // The greatest first; what was taken back leaves a place for the next.
                let place = all.partition_point(|it| *it > value);
                match sign {
                    1 => all.insert(place, value),
                    _ if all.get(place) == Some(&value) => drop(all.remove(place)),
                    _ => {}
                }
                let best = all.iter().take(most as usize);
                Some(Value::Values(best.copied().collect()))
            }
            (KeyState::Last(last), _) => Some(Value::Values(last.to_vec())),
        };
        kept.written = written;
        let waits = due(kept);
        self.entries += piece.len() - keys;
        if waits != waited {
            let timer = |time| (time, at, record.key);
            if let Some(time) = waited {
                self.timers.remove(&timer(time));
            }
            if let Some(time) = waits {
                self.timers.insert(timer(time));
            }
        }
        Some(said)
    }

    /// Whether it puts out the very object that it was given.
    pub(super) fn passes_on(&self) -> bool {
        matches!(self.spec.function, ProcessFunction::FailOn(_))
    }

    /// The object that it keeps of a key, and has put out, was changed by somebody else: counts, sums
    /// and greatest values are what it says now.
    pub(super) fn alias(&mut self, key: Key, changed: i64, job: &Job) {
        let Some(at) = self.groups.of(key, job) else {
            return;
        };
        let function = self.spec.function;
        let Some(piece) = self.groups.write(at, Piece::default) else {
            return;
        };
        if let KeyState::Number(kept) = &mut piece.write(key, || begin(function)).state {
            *kept = changed;
        }
    }

    /// A step of the background clean-up: looks at the next entry, wherever it is; how many expired.
    /// Groups without entries cost no step (`StateTable.StateEntryIterator`).
    fn clean_up(&mut self, now: i64) -> u64 {
        // Each group is left once, and a map and the key before it are passed on the way.
        let most = self.groups.many().saturating_add(3);
        (0..most).find_map(|_| self.look(now)).unwrap_or(0)
    }

    /// Looks at the next entry; none if the cursor only moved on to where it may be.
    fn look(&mut self, now: i64) -> Option<u64> {
        let at = self.cursor.group;
        let Some(piece) = self.groups.get(at) else {
            self.next_group();
            return None;
        };
        if let (Some(key), Some(inside)) = (self.cursor.key, self.cursor.inside) {
            if let Some(Kept {
                state: KeyState::Seen(seen),
                ..
            }) = piece.get(&key)
                && let Some((value, written)) = seen.after(inside.as_ref())
            {
                let written = *written;
                self.cursor.inside = Some(Some(value));
                return Some(match self.is_expired(written, now) {
                    true => self.drop_entry(at, key, Some(value)),
                    false => 0,
                });
            }
            self.cursor.inside = None;
        }
        let Some((key, kept)) = piece.after(self.cursor.key.as_ref()) else {
            self.next_group();
            return None;
        };
        let (written, is_map) = (kept.written, matches!(kept.state, KeyState::Seen(_)));
        self.cursor.key = Some(key);
        match is_map {
            true => {
                self.cursor.inside = Some(None);
                None
            }
            false if self.is_expired(written, now) => Some(self.drop_entry(at, key, None)),
            false => Some(0),
        }
    }

    fn next_group(&mut self) {
        let next = self.cursor.group + 1;
        self.cursor = Cursor {
            group: if next < self.groups.many() { next } else { 0 },
            ..Cursor::default()
        };
    }

    pub(super) fn on_watermark(&mut self, watermark: i64, _job: &Job, outs: &mut Outs) {
        self.watermark = watermark;
        self.run(TimeDomain::Event, watermark, outs);
    }

    pub(super) fn on_processing_time(&mut self, now: i64, _job: &Job, outs: &mut Outs) {
        self.run(TimeDomain::Processing, now, outs);
    }

    /// When the wall clock must be looked at next, ms.
    pub(super) fn next_timer(&self) -> Option<i64> {
        let first = self.timers.first().map(|it| it.0.0);
        first.filter(|_| self.clock() == Some(TimeDomain::Processing))
    }

    /// The clock of its timers.
    fn clock(&self) -> Option<TimeDomain> {
        match self.spec.function {
            ProcessFunction::Silence { clock, .. } => Some(clock),
            _ => None,
        }
    }

    /// Lets timers go off, in the order of their times: `onTimer`.
    fn run(&mut self, clock: TimeDomain, until: i64, outs: &mut Outs) {
        if self.clock() != Some(clock) {
            return;
        }
        while let Some((time, at, key)) = self.timers.first().map(|it| it.0) {
            if time > until {
                return;
            }
            self.timers.pop_first();
            let kept = self.groups.get(at).and_then(|piece| piece.get(&key));
            let there = kept.filter(|it| !self.is_expired(it.written, outs.now_ms));
            if there.and_then(due) != Some(time) {
                continue;
            }
            let Some(piece) = self.groups.existing(at) else {
                continue;
            };
            let function = self.spec.function;
            let kept = piece.write(key, || begin(function));
            if let KeyState::Waits(waits) = &mut kept.state {
                let waits = Arc::make_mut(waits);
                waits.at = None;
                outs.main.push(Record {
                    key,
                    // What a timer of processing time puts out has no timestamp.
                    timestamp: match clock {
                        TimeDomain::Event => time,
                        TimeDomain::Processing => NO_TIMESTAMP,
                    },
                    value: Value::Number(waits.count),
                    right: None,
                    kind: RowKind::Insert,
                    window: None,
                    timing: None,
                    origin: waits.origin,
                });
            }
        }
    }

    pub(super) fn snapshot(&self) -> OperatorSnapshot {
        let pieces = self.groups.shared();
        let keyed = pieces.map(|(group, it)| (group, KeyedState::Values(Arc::clone(it))));
        OperatorSnapshot {
            keyed: keyed.collect(),
            list: Vec::new(),
        }
    }

    pub(super) fn size(&self) -> StateSize {
        StateSize {
            entries: self.entries,
            bytes: self.entries * u64::from(self.spec.bytes_per_key),
        }
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }
}

/// About how many bytes of memory a piece takes besides what it shares with an older one.
pub(super) fn unshared(piece: &Piece, before: Option<&Piece>) -> usize {
    /// What the allocator takes for a counted list or value besides its contents.
    const BESIDE: usize = 48;
    piece.unshared(
        before,
        Some(
            |kept, before| match (&kept.state, before.map(|it| &it.state)) {
                (KeyState::Number(_), _) => 0,
                (KeyState::Seen(it), Some(KeyState::Seen(old))) if Arc::ptr_eq(it, old) => 0,
                (KeyState::Seen(it), Some(KeyState::Seen(old))) => {
                    BESIDE + it.unshared(Some(old), None)
                }
                (KeyState::Seen(it), _) => BESIDE + it.unshared(None, None),
                (KeyState::Last(it), Some(KeyState::Last(old))) if Arc::ptr_eq(it, old) => 0,
                (KeyState::Last(it), _) => BESIDE + size_of_val(it.as_slice()),
                (KeyState::Waits(it), Some(KeyState::Waits(old))) if Arc::ptr_eq(it, old) => 0,
                // With its timer.
                (KeyState::Waits(_), _) => {
                    BESIDE + size_of::<Waits>() + size_of::<(i64, u32, Key)>()
                }
            },
        ),
    )
}

/// Puts another number in the place of a key's, or takes the key out; what was there.
pub(super) fn set(
    piece: &mut Piece,
    key: Key,
    (value, written): (Option<i64>, i64),
) -> Option<i64> {
    let before = match piece.get(&key).map(|it| &it.state) {
        Some(KeyState::Number(number)) => Some(*number),
        _ => None,
    };
    match value {
        Some(number) => piece.set(
            key,
            Kept {
                written,
                state: KeyState::Number(number),
            },
        ),
        None => drop(piece.remove(&key)),
    }
    before
}

/// Puts another number in place of each that is kept.
pub(super) fn begin_at(piece: &mut Piece, number: i64) {
    let keys: Vec<Key> = piece.iter().map(|it| it.0).collect();
    for key in keys {
        match piece.get_mut(&key).map(|it| &mut it.state) {
            Some(KeyState::Number(it)) => *it = number,
            Some(KeyState::Last(all)) => Arc::make_mut(all).fill(number),
            Some(KeyState::Waits(it)) => Arc::make_mut(it).count = number,
            // Its values are keys of a map, which have no schema here.
            Some(KeyState::Seen(_)) | None => {}
        }
    }
}

/// When the timer of a key goes off, if one is set.
fn due(kept: &Kept) -> Option<i64> {
    match &kept.state {
        KeyState::Waits(waits) => waits.at,
        _ => None,
    }
}

fn unseen() -> Kept {
    Kept {
        written: 0,
        state: KeyState::Seen(Arc::default()),
    }
}

/// The state of a key before its first record.
fn begin(function: ProcessFunction) -> Kept {
    let state = match function {
        ProcessFunction::Distinct => KeyState::Seen(Arc::default()),
        ProcessFunction::Last(_) | ProcessFunction::Top(_) => KeyState::Last(Arc::default()),
        ProcessFunction::Max => KeyState::Number(i64::MIN),
        ProcessFunction::Silence { .. } => KeyState::Waits(Arc::default()),
        ProcessFunction::Count
        | ProcessFunction::Sum
        | ProcessFunction::Upsert
        | ProcessFunction::FailOn(_) => KeyState::Number(0),
    };
    Kept { written: 0, state }
}
