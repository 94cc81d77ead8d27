//! The order in which OpenJDK's `HashMap` and `HashSet` are walked.
//!
//! The sticky assignors walk such maps, so who keeps one partition more depends on this order. It
//! is no chance: an entry lies in the bucket that its spread hash and the size of the table give,
//! and within a bucket in the order of insertion; the table doubles when it is three quarters full.
//! Left out: a bucket with more than eight entries in a table of 64 or more buckets becomes a tree,
//! whose order differs; with the load that the table allows, such a bucket is a matter of ids that
//! were made to collide.

/// How many buckets a new table has (`DEFAULT_INITIAL_CAPACITY`).
const INITIAL_CAPACITY: u32 = 16;
/// The longest chain before a small table grows instead (`TREEIFY_THRESHOLD`).
const LONGEST_CHAIN: usize = 8;
/// From this size on a long chain becomes a tree (`MIN_TREEIFY_CAPACITY`).
const SMALLEST_WITH_TREES: u32 = 64;

/// `String.hashCode`: over the UTF-16 units of the text.
#[must_use]
pub fn string_hash(text: &str) -> u32 {
    let units = text.encode_utf16();
    units.fold(0, |hash: u32, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

/// `TopicPartition.hashCode`, from the hash of the topic's name.
#[must_use]
pub fn partition_hash(topic_hash: u32, partition: i32) -> u32 {
    let number = 31u32.wrapping_add(partition.cast_unsigned());
    number.wrapping_mul(31).wrapping_add(topic_hash)
}

/// A set of distinct items in the order of a `HashSet` that was filled and emptied like it.
#[derive(Clone, Debug)]
pub struct HashOrdered<T> {
    capacity: u32,
    // With their spread hashes, in the order of insertion.
    entries: Vec<(u32, T)>,
}

impl<T> Default for HashOrdered<T> {
    fn default() -> Self {
        HashOrdered {
            capacity: INITIAL_CAPACITY,
            entries: Vec::new(),
        }
    }
}

impl<T: Copy + PartialEq> HashOrdered<T> {
    fn bucket(&self, spread: u32) -> u32 {
        spread & (self.capacity - 1)
    }

    /// Adds an item that is not in it.
    pub fn insert(&mut self, hash: u32, item: T) {
        let spread = hash ^ (hash >> 16);
        if self.capacity < SMALLEST_WITH_TREES {
            let bucket = self.bucket(spread);
            let others = self.entries.iter();
            let chain = others.filter(|(other, _)| self.bucket(*other) == bucket);
            if chain.count() >= LONGEST_CHAIN {
                self.capacity *= 2;
            }
        }
        self.entries.push((spread, item));
        let threshold = u64::from(self.capacity) * 3 / 4;
        if self.entries.len() as u64 > threshold && self.capacity < 1 << 30 {
            self.capacity *= 2;
        }
    }

    /// Takes an item out; a table never shrinks.
    pub fn remove(&mut self, item: T) {
        self.entries.retain(|(_, other)| *other != item);
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What an iterator returns first.
    #[must_use]
    pub fn first(&self) -> Option<T> {
        let entries = self.entries.iter();
        let first = entries.min_by_key(|(spread, _)| self.bucket(*spread));
        first.map(|(_, item)| *item)
    }

    /// All items in the order of an iterator.
    #[must_use]
    pub fn in_order(&self) -> Vec<T> {
        let mut entries: Vec<&(u32, T)> = self.entries.iter().collect();
        entries.sort_by_key(|(spread, _)| self.bucket(*spread));
        entries.into_iter().map(|(_, item)| *item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(texts: &[&str]) -> Vec<usize> {
        let mut set = HashOrdered::default();
        for (i, text) in texts.iter().enumerate() {
            set.insert(string_hash(text), i);
        }
        set.in_order()
    }

    #[test]
    fn texts_hash_as_in_java() {
        for (text, expected) in [("", 0), ("A", 65), ("topic", 110_546_223), ("é", 233)] {
            assert_eq!(string_hash(text), expected, "{text}");
        }
        // A character outside the basic plane is two units.
        assert_eq!(string_hash("😀"), 0xd83d * 31 + 0xde00);
        assert_eq!(partition_hash(110_546_223, 2), 33 * 31 + 110_546_223);
    }

    #[test]
    fn small_tables_are_walked_by_bucket_and_then_by_insertion() {
        assert_eq!(order(&["B", "A", "C"]), [1, 0, 2]);
        // "Aa" and "BB" have the same hash.
        assert_eq!(order(&["BB", "Aa"]), [0, 1]);
        assert_eq!(order(&["Aa", "BB"]), [0, 1]);
        // 'A' is 65 and 'Q' is 81: one bucket of 16, but two of 32, which 13 entries ask for.
        let twelve = ["Q", "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K"];
        assert_eq!(order(&twelve)[..2], [0, 1]);
        let thirteen: Vec<&str> = twelve.into_iter().chain(["L"]).collect();
        assert_eq!(order(&thirteen)[..2], [1, 2]);
        assert_eq!(order(&thirteen)[12], 0);
    }

    #[test]
    fn a_long_chain_makes_a_small_table_grow() {
        // Nine texts of one hash: the table has 32 buckets after the ninth.
        let pairs = ["AaAa", "AaBB", "BBAa", "BBBB"];
        let mut texts: Vec<String> = Vec::new();
        for a in pairs {
            for b in pairs {
                texts.push(format!("{a}{b}"));
            }
        }
        let mut set = HashOrdered::default();
        for (i, text) in texts.iter().take(9).enumerate() {
            set.insert(string_hash(text), i);
        }
        assert_eq!(set.capacity, 32);
        set.remove(0);
        assert_eq!(set.first(), Some(1));
        assert!(!set.is_empty());
    }
}
