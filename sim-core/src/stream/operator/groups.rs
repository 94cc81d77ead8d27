//! Keyed state in pieces by key group, and which piece's timers are due next.
//!
//! Follows `KeyGroupRange` and the key-group-partitioned heaps of Flink: a subtask owns a contiguous
//! range of groups, and state, timers and snapshots are kept for each group by itself. Here a piece
//! is shared with the snapshots that hold it and is copied when it is next written.

use super::Site;
use crate::stream::element::Key;
use crate::stream::job::Job;
use crate::stream::rules::key_group::{KeyGroups, murmur_hash};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The pieces of one subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Groups<S> {
    first: u32,
    max_parallelism: u32,
    pieces: Vec<Option<Arc<S>>>,
}

impl<S: Clone> Groups<S> {
    /// The groups of a subtask, without state.
    pub(super) fn new(site: Site) -> Self {
        let owned = KeyGroups::new(site.max_parallelism, site.parallelism)
            .map(|groups| groups.range(u32::from(site.subtask)));
        // A job is checked before it runs; one that is not has no groups, and its records fail.
        let (first, many) = match owned {
            Ok(range) => (*range.start(), range.count()),
            Err(_) => (0, 0),
        };
        Groups {
            first,
            max_parallelism: site.max_parallelism.max(1),
            pieces: vec![None; many],
        }
    }

    /// The group of a key, counted from the subtask's first; none if another subtask owns it.
    pub(super) fn of(&self, key: Key, job: &Job) -> Option<u32> {
        let group = murmur_hash(job.spec.keys.hash_code(key)) % self.max_parallelism;
        let at = group.checked_sub(self.first)?;
        ((at as usize) < self.pieces.len()).then_some(at)
    }

    /// How many groups the subtask owns.
    pub(super) fn many(&self) -> u32 {
        self.pieces.len() as u32
    }

    /// A piece, if there is one.
    pub(super) fn get(&self, at: u32) -> Option<&S> {
        self.pieces.get(at as usize)?.as_deref()
    }

    /// A piece to be written, which `new` makes if there is none yet.
    pub(super) fn write(&mut self, at: u32, new: impl FnOnce() -> S) -> Option<&mut S> {
        let piece = self.pieces.get_mut(at as usize)?;
        Some(Arc::make_mut(piece.get_or_insert_with(|| Arc::new(new()))))
    }

    /// A piece to be written, if it is there.
    pub(super) fn existing(&mut self, at: u32) -> Option<&mut S> {
        let piece = self.pieces.get_mut(at as usize)?;
        piece.as_mut().map(Arc::make_mut)
    }

    /// Drops a piece.
    pub(super) fn clear(&mut self, at: u32) {
        if let Some(piece) = self.pieces.get_mut(at as usize) {
            *piece = None;
        }
    }

    /// The pieces that are there, each with its place.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &S)> {
        let all = (0..).zip(&self.pieces);
        all.filter_map(|(at, piece)| Some((at, piece.as_deref()?)))
    }

    /// The pieces that are there, by the numbers of their groups.
    pub(super) fn shared(&self) -> impl Iterator<Item = (u32, &Arc<S>)> {
        let all = (self.first..).zip(&self.pieces);
        all.filter_map(|(group, piece)| Some((group, piece.as_ref()?)))
    }

    /// Puts in a piece of a snapshot, unless its group belongs to another subtask.
    pub(super) fn put(&mut self, group: u32, piece: &Arc<S>) {
        let at = group.checked_sub(self.first).map(|at| at as usize);
        if let Some(place) = at.and_then(|at| self.pieces.get_mut(at)) {
            *place = Some(Arc::clone(piece));
        }
    }
}

/// When each group's first timer of one clock goes off.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Due {
    at: BTreeSet<(i64, u32)>,
    of: Vec<Option<i64>>,
}

impl Due {
    /// A group's first timer is now at this time, or it has none.
    pub(super) fn set(&mut self, group: u32, time: Option<i64>) {
        let place = group as usize;
        if self.of.len() <= place {
            if time.is_none() {
                return;
            }
            self.of.resize(place + 1, None);
        }
        let Some(known) = self.of.get_mut(place) else {
            return;
        };
        if *known == time {
            return;
        }
        if let Some(old) = known.take() {
            self.at.remove(&(old, group));
        }
        if let Some(new) = time {
            self.at.insert((new, group));
        }
        *known = time;
    }

    /// The time of the first timer of all, and its group.
    pub(super) fn first(&self) -> Option<(i64, u32)> {
        self.at.first().copied()
    }

    /// The group whose timer is the first of all, and its time, if it is due.
    pub(super) fn due(&self, until: i64) -> Option<(i64, u32)> {
        self.first().filter(|it| it.0 <= until)
    }
}
