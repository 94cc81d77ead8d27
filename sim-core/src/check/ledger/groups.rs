//! What groups of readers did with the records: who finished what, and what a committed offset
//! passed over.
//!
//! *Processed* = a member's application finished it; *reprocessed* = it, or another member of the
//! same group, finished it once more; *skipped* = it was handed to a member, nobody finished it,
//! and the group's committed offset lies behind it, so that nobody ever will. A record that is
//! being worked on counts as skipped as long as it is committed and unfinished. One that compaction
//! took before the group's commit came to it was not skipped: no successor can be handed it, and a
//! later value of its key stands behind it. Nor was one that the group gave up by its rules.

use super::{Lane, Ledger};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Counters over all groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct GroupCounts {
    /// Records that some group finished, each once for each group.
    pub processed: u64,
    /// Times that a group finished a record again.
    pub reprocessed: u64,
    /// Records that a group will never finish.
    pub skipped: u64,
}

/// A set of offsets, from the first one seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Offsets {
    base: i64,
    words: Vec<u64>,
}

impl Offsets {
    /// The word and the bit of an offset.
    fn place(&self, offset: i64) -> Option<(usize, u64)> {
        let at = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        Some((at / 64, 1 << (at % 64)))
    }

    /// Adds one; false if it was there.
    fn insert(&mut self, offset: i64) -> bool {
        if self.words.is_empty() {
            self.base = offset - offset.rem_euclid(64);
        }
        if offset < self.base {
            // Somebody went back further than anybody had begun.
            let more = usize::try_from((self.base - offset + 63) / 64).unwrap_or(0);
            self.words.splice(0..0, std::iter::repeat_n(0, more));
            self.base -= 64 * more as i64;
        }
        let Some((word, bit)) = self.place(offset) else {
            return false;
        };
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        new
    }

    fn remove(&mut self, offset: i64) {
        if let Some((word, bit)) = self.place(offset)
            && let Some(word) = self.words.get_mut(word)
        {
            *word &= !bit;
        }
    }

    fn word(&self, from: i64) -> u64 {
        let at = self.place(from).map(|(word, _)| word);
        at.and_then(|it| self.words.get(it)).copied().unwrap_or(0)
    }
}

/// A group on one lane.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Book {
    handed: Offsets,
    done: Offsets,
    committed: i64,
}

impl Book {
    /// What the group can still be handed again: not finished, and not committed.
    fn open(&self) -> impl Iterator<Item = i64> {
        let words = (self.handed.base..).step_by(64).zip(&self.handed.words);
        let behind = words.filter(|(base, _)| *base + 64 > self.committed);
        let open = behind.flat_map(|(base, word)| {
            let word = word & !self.done.word(base);
            (0..64).filter_map(move |bit| (word & (1 << bit) != 0).then_some(base + bit))
        });
        open.filter(|offset| *offset >= self.committed)
    }

    fn skipped(&self) -> u64 {
        let from = (self.handed.base..).step_by(64).zip(&self.handed.words);
        let missing = from
            .take_while(|(base, _)| *base < self.committed)
            .map(|(base, word)| {
                let below = match self.committed - base {
                    n if n >= 64 => u64::MAX,
                    n => (1 << n) - 1,
                };
                u64::from((word & below & !self.done.word(base)).count_ones())
            });
        missing.sum()
    }
}

impl Ledger {
    /// What groups of readers did.
    #[must_use]
    pub fn groups(&self) -> GroupCounts {
        self.groups.counts()
    }
}

/// All groups of readers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Groups {
    books: BTreeMap<(u32, Lane), Book>,
    processed: u64,
    reprocessed: u64,
}

impl Groups {
    pub(super) fn is_empty(&self) -> bool {
        self.books.is_empty()
    }

    fn book(&mut self, group: u32, lane: Lane) -> &mut Book {
        self.books.entry((group, lane)).or_default()
    }

    pub(super) fn handed(&mut self, group: u32, lane: Lane, offset: i64) {
        self.book(group, lane).handed.insert(offset);
    }

    pub(super) fn done(&mut self, group: u32, lane: Lane, offset: i64) {
        match self.book(group, lane).done.insert(offset) {
            true => self.processed += 1,
            false => self.reprocessed += 1,
        }
    }

    pub(super) fn committed(&mut self, group: u32, lane: Lane, offset: i64) {
        self.book(group, lane).committed = offset;
    }

    /// The group's rules hand these out to nobody any more.
    pub(super) fn given_up(&mut self, group: u32, lane: Lane, offsets: RangeInclusive<i64>) {
        let book = self.book(group, lane);
        offsets.for_each(|offset| book.handed.remove(offset));
    }

    /// Compaction took what stood at an offset.
    pub(super) fn compacted(&mut self, lane: Lane, offset: i64) {
        for ((_, of), book) in &mut self.books {
            if *of == lane && offset >= book.committed {
                book.handed.remove(offset);
            }
        }
    }

    /// Compaction took what stood in the holes of a lane.
    pub(super) fn compacted_in(&mut self, lane: Lane, is_hole: impl Fn(i64) -> bool) {
        for ((_, of), book) in &mut self.books {
            if *of == lane {
                let taken: Vec<i64> = book.open().filter(|at| is_hole(*at)).collect();
                taken.into_iter().for_each(|at| book.handed.remove(at));
            }
        }
    }

    pub(super) fn counts(&self) -> GroupCounts {
        GroupCounts {
            processed: self.processed,
            reprocessed: self.reprocessed,
            skipped: self.books.values().map(Book::skipped).sum(),
        }
    }

    pub(super) fn weight(&self) -> usize {
        let words = self
            .books
            .values()
            .map(|it| it.handed.words.len() + it.done.words.len());
        words.sum::<usize>() * size_of::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_passes_over_what_was_handed_out_and_not_done() {
        let mut groups = Groups::default();
        let check = |groups: &Groups, processed, reprocessed, skipped| {
            let expected = GroupCounts {
                processed,
                reprocessed,
                skipped,
            };
            assert_eq!(groups.counts(), expected);
        };
        (100..300).for_each(|offset| groups.handed(1, Lane(0), offset));
        (100..150).for_each(|offset| groups.done(1, Lane(0), offset));
        check(&groups, 50, 0, 0);
        groups.committed(1, Lane(0), 200);
        check(&groups, 50, 0, 50);
        (140..170).for_each(|offset| groups.done(1, Lane(0), offset));
        check(&groups, 70, 10, 30);
        // Another group's work is its own; and one that goes back below where it began.
        groups.done(2, Lane(0), 500);
        groups.done(2, Lane(0), 3);
        check(&groups, 72, 10, 30);
    }

    #[test]
    fn what_compaction_took_is_skipped_only_if_it_was_committed_before() {
        let check = |taken: &dyn Fn(&mut Groups), expect| {
            let mut groups = Groups::default();
            (0..100).for_each(|offset| groups.handed(1, Lane(0), offset));
            (0..80).for_each(|offset| groups.done(1, Lane(0), offset));
            groups.committed(1, Lane(0), 90);
            taken(&mut groups);
            groups.committed(1, Lane(0), 200);
            assert_eq!(groups.counts().skipped, expect);
        };
        check(&|_| (), 20);
        check(&|groups| groups.compacted(Lane(0), 85), 20);
        check(&|groups| groups.compacted(Lane(0), 90), 19);
        check(&|groups| groups.compacted(Lane(1), 90), 20);
        check(&|groups| groups.compacted_in(Lane(0), |at| at % 2 == 0), 15);
        check(&|groups| groups.given_up(1, Lane(0), 80..=99), 0);
        let again = |groups: &mut Groups| {
            groups.compacted(Lane(0), 95);
            groups.handed(1, Lane(0), 95);
        };
        check(&again, 20);
    }
}
