//! A set of partition numbers that is walked in order: which queues a turn of the sender looks at.
//!
//! Not in Kafka, whose sender walks all partitions of all topics in every turn.

use serde::Serialize;

/// A set of partition numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct PartitionSet {
    words: Vec<u64>,
}

impl PartitionSet {
    /// Puts a member in.
    pub(super) fn insert(&mut self, partition: u16) {
        let word = usize::from(partition / 64);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (partition % 64);
    }

    /// Takes all members out.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, partition: u32) {
        if let Some(word) = self.words.get_mut((partition / 64) as usize) {
            *word &= !(1 << (partition % 64));
        }
    }

    /// The first member from this number on.
    pub(super) fn next(&self, from: u32) -> Option<u32> {
        let mut base = from / 64 * 64;
        let mut mask = u64::MAX << (from % 64);
        for word in self.words.get((from / 64) as usize..)? {
            if word & mask != 0 {
                return Some(base + (word & mask).trailing_zeros());
            }
            (base, mask) = (base + 64, u64::MAX);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_walked_in_order() {
        let check = |put: &[u16], taken: &[u32], expect: &[u32]| {
            let mut set = PartitionSet::default();
            put.iter().for_each(|it| set.insert(*it));
            taken.iter().for_each(|it| set.remove(*it));
            let first = set.next(0);
            let walked = std::iter::successors(first, |it| set.next(it + 1));
            assert_eq!(
                walked.collect::<Vec<_>>(),
                expect,
                "{put:?} without {taken:?}"
            );
            set.clear();
            assert_eq!(set.next(0), None);
        };
        check(&[], &[], &[]);
        check(&[0, 63, 64, 65_535], &[], &[0, 63, 64, 65_535]);
        check(&[130, 5, 64, 5], &[64, 7, 900], &[5, 130]);
    }
}
