//! Which subtask owns a key: key groups.
//!
//! Follows `KeyGroupRangeAssignment` and `MathUtils.murmurHash`. Keys are hashed into a fixed number
//! of groups (`pipeline.max-parallelism`), and each subtask owns a contiguous range of them, so that
//! a job with another parallelism reads contiguous pieces of the old state. Hash codes are Java's;
//! for a text see [`string_hash`].

use serde::Serialize;
use std::ops::RangeInclusive;

/// `UPPER_BOUND_MAX_PARALLELISM`.
pub const UPPER_BOUND_MAX_PARALLELISM: u32 = 1 << 15;
/// `DEFAULT_LOWER_BOUND_MAX_PARALLELISM`.
const DEFAULT_LOWER_BOUND: u32 = 1 << 7;

/// `String.hashCode` of a text (over its UTF-16 units).
#[must_use]
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// `MathUtils.murmurHash`: Murmur3 of one 32-bit integer, made positive.
#[must_use]
pub fn murmur_hash(code: i32) -> u32 {
    let mut hash = (code as u32).wrapping_mul(0xcc9e_2d51);
    hash = hash.rotate_left(15).wrapping_mul(0x1b87_3593);
    hash = hash
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64);
    hash ^= 4;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^= hash >> 16;
    // The smallest integer has no positive counterpart and becomes 0.
    (hash as i32).checked_abs().unwrap_or(0) as u32
}

/// A job's key groups: how many there are, and over how many subtasks they are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct KeyGroups {
    max_parallelism: u32,
    parallelism: u32,
}

impl KeyGroups {
    /// `max_parallelism` groups over `parallelism` subtasks.
    ///
    /// # Errors
    ///
    /// What is wrong, when there are fewer groups than subtasks, none at all, or too many.
    pub fn new(max_parallelism: u32, parallelism: u32) -> Result<Self, &'static str> {
        match () {
            () if parallelism == 0 => Err("parallelism must be at least 1"),
            () if max_parallelism > UPPER_BOUND_MAX_PARALLELISM => {
                Err("max-parallelism must not be above 32768")
            }
            () if max_parallelism < parallelism => {
                Err("max-parallelism must not be smaller than parallelism")
            }
            () => Ok(KeyGroups {
                max_parallelism,
                parallelism,
            }),
        }
    }

    /// The number of groups for a job that does not set it.
    #[must_use]
    pub fn default_max_parallelism(parallelism: u32) -> u32 {
        let wanted = parallelism.saturating_add(parallelism / 2);
        let rounded = wanted.checked_next_power_of_two().unwrap_or(u32::MAX);
        rounded.clamp(DEFAULT_LOWER_BOUND, UPPER_BOUND_MAX_PARALLELISM)
    }

    /// The group of a key with this hash code.
    #[must_use]
    pub fn group_of(&self, hash_code: i32) -> u32 {
        murmur_hash(hash_code) % self.max_parallelism
    }

    /// The subtask that owns a group.
    #[must_use]
    pub fn operator_index(&self, group: u32) -> u32 {
        let product = u64::from(group) * u64::from(self.parallelism);
        // Below the parallelism for every group there is.
        (product / u64::from(self.max_parallelism)) as u32
    }

    /// The groups that a subtask owns.
    #[must_use]
    pub fn range(&self, subtask: u32) -> RangeInclusive<u32> {
        let (max, parallelism) = (u64::from(self.max_parallelism), u64::from(self.parallelism));
        let index = u64::from(subtask);
        let start = (index * max).div_ceil(parallelism);
        let end = ((index + 1) * max - 1) / parallelism;
        start as u32..=end as u32
    }

    /// All subtasks' ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        (0..self.parallelism).map(|subtask| self.range(subtask))
    }

    /// The subtasks of `old` whose state a subtask of this job reads.
    #[must_use]
    pub fn reads_from(&self, subtask: u32, old: &KeyGroups) -> RangeInclusive<u32> {
        let range = self.range(subtask);
        old.operator_index(*range.start())..=old.operator_index(*range.end())
    }

    /// The subtask that would own a group if groups were dealt round by modulo: the wrong rule, for
    /// showing what it costs when a job is rescaled.
    #[must_use]
    pub fn modulo_index(&self, group: u32) -> u32 {
        group % self.parallelism
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_go_where_flink_puts_them() {
        let groups = KeyGroups::new(128, 2).expect("sound");
        for (key, group) in [("a", 81), ("b", 22), ("c", 62), ("hot", 104)] {
            assert_eq!(groups.group_of(string_hash(key)), group, "{key}");
        }
    }

    #[test]
    fn contiguous_ranges_move_fewer_groups_than_a_modulo() {
        let (two, three) = (
            KeyGroups::new(128, 2).expect("sound"),
            KeyGroups::new(128, 3).expect("sound"),
        );
        let moved = |index: fn(&KeyGroups, u32) -> u32| {
            (0..128)
                .filter(|g| index(&two, *g) != index(&three, *g))
                .count()
        };
        assert_eq!(moved(KeyGroups::operator_index), 63);
        assert_eq!(moved(KeyGroups::modulo_index), 84);
    }

    #[test]
    fn the_default_is_a_power_of_two_in_bounds() {
        for (parallelism, expected) in
            [(1, 128), (85, 128), (86, 256), (200, 512), (40_000, 32_768)]
        {
            let got = KeyGroups::default_max_parallelism(parallelism);
            assert_eq!(got, expected, "{parallelism}");
        }
        for (max, parallelism) in [(128, 0), (2, 3), (40_000, 2), (0, 0)] {
            assert!(
                KeyGroups::new(max, parallelism).is_err(),
                "{max} {parallelism}"
            );
        }
    }

    proptest! {
        #[test]
        fn ranges_cover_all_groups_once_and_agree_with_the_index(
            max in 1..=UPPER_BOUND_MAX_PARALLELISM, part in 1..=1_000_u32
        ) {
            let groups = KeyGroups::new(max, part.min(max)).expect("sound");
            let mut next = 0;
            for (subtask, range) in (0..).zip(groups.ranges()) {
                prop_assert_eq!(*range.start(), next);
                next = range.end() + 1;
                prop_assert_eq!(groups.operator_index(*range.start()), subtask);
                prop_assert_eq!(groups.operator_index(*range.end()), subtask);
            }
            prop_assert_eq!(next, max);
        }
    }
}
