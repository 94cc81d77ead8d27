//! A sorted map in small pieces that are shared until they are written: keyed state.
//!
//! Follows `CopyOnWriteStateMap` of Flink in what it is for: a snapshot costs next to nothing, and a
//! write after it copies only what it touches. Here entries lie in sorted chunks behind counted
//! references, so that a copy of the map is one reference for each chunk, and a write to a shared
//! chunk copies at most [`CHUNK`] entries. Two maps of the same entries are equal, and serialize
//! alike, however their chunks are cut.

use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::sync::Arc;

/// Most entries of a chunk.
const CHUNK: usize = 64;

#[derive(Clone, Debug)]
struct Chunk<K, V> {
    /// Its first key, beside the reference so that a search touches only the chunk it ends in.
    first: K,
    entries: Arc<Vec<(K, V)>>,
}

/// The map.
#[derive(Clone, Debug)]
pub struct Pieces<K, V> {
    chunks: Vec<Chunk<K, V>>,
    len: u64,
}

impl<K, V> Default for Pieces<K, V> {
    fn default() -> Self {
        Pieces {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Pieces<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Pieces<K, V> {}

impl<K: Serialize, V: Serialize> Serialize for Pieces<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let len = usize::try_from(self.len).ok();
        let mut entries = serializer.serialize_seq(len)?;
        for entry in self.iter() {
            entries.serialize_element(entry)?;
        }
        entries.end()
    }
}

impl<K, V> Pieces<K, V> {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries by key.
    pub fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.chunks.iter().flat_map(|chunk| chunk.entries.iter())
    }
}

impl<K: Ord + Copy, V: Clone> Pieces<K, V> {
    /// The chunk that a key is in or would be put into.
    fn chunk_of(&self, key: &K) -> usize {
        let after = self.chunks.partition_point(|chunk| chunk.first <= *key);
        after.saturating_sub(1)
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = chunk.entries.binary_search_by(|it| it.0.cmp(key)).ok()?;
        chunk.entries.get(at).map(|it| &it.1)
    }

    /// The entry with the least key greater than this one, or the first.
    #[must_use]
    pub fn after(&self, key: Option<&K>) -> Option<(K, &V)> {
        let Some(key) = key else {
            let first = self.chunks.first()?.entries.first();
            return first.map(|(key, value)| (*key, value));
        };
        let number = self.chunk_of(key);
        let chunk = self.chunks.get(number)?;
        let at = chunk.entries.partition_point(|it| it.0 <= *key);
        let next = || self.chunks.get(number + 1)?.entries.first();
        let found = chunk.entries.get(at).or_else(next);
        found.map(|(key, value)| (*key, value))
    }

    /// The value of a key to be written; `new` makes it if there is none yet.
    pub fn write(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk {
                first: key,
                entries: Arc::new(Vec::new()),
            });
        }
        let mut number = self.chunk_of(&key);
        let mut place = self.chunks[number]
            .entries
            .binary_search_by(|it| it.0.cmp(&key));
        if let Err(at) = place
            && self.chunks[number].entries.len() >= CHUNK
        {
            (number, place) = self.make_room(number, at, key);
        }
        let chunk = &mut self.chunks[number];
        let entries = Arc::make_mut(&mut chunk.entries);
        let at = match place {
            Ok(at) => at,
            Err(at) => {
                entries.insert(at, (key, new()));
                self.len += 1;
                chunk.first = chunk.first.min(key);
                at
            }
        };
        &mut entries[at].1
    }

    /// Cuts a full chunk so that a key fits in at this place; where it goes now.
    fn make_room(&mut self, number: usize, at: usize, key: K) -> (usize, Result<usize, usize>) {
        // Keys that come in order fill their chunks.
        let is_last = number + 1 == self.chunks.len() && at == CHUNK;
        let full_len = self.chunks[number].entries.len();
        let cut = match is_last {
            true => full_len,
            false => full_len / 2,
        };
        let entries = Arc::make_mut(&mut self.chunks[number].entries);
        let upper = entries.split_off(cut);
        let first = upper.first().map_or(key, |it| it.0);
        self.chunks.insert(
            number + 1,
            Chunk {
                first,
                entries: Arc::new(upper),
            },
        );
        match at.checked_sub(cut).filter(|_| is_last || at > cut) {
            Some(at) => (number + 1, Err(at)),
            None => (number, Err(at)),
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let number = self.chunk_of(key);
        let chunk = self.chunks.get_mut(number)?;
        let at = chunk.entries.binary_search_by(|it| it.0.cmp(key)).ok()?;
        let entries = Arc::make_mut(&mut chunk.entries);
        let (_, value) = entries.remove(at);
        self.len -= 1;
        match entries.first() {
            Some((first, _)) => chunk.first = *first,
            None => drop(self.chunks.remove(number)),
        }
        self.join(number);
        if let Some(before) = number.checked_sub(1) {
            self.join(before);
        }
        Some(value)
    }

    /// Puts a chunk together with the next one if both have become small.
    fn join(&mut self, number: usize) {
        let [one, other, ..] = self.chunks.get(number..).unwrap_or_default() else {
            return;
        };
        if one.entries.len() + other.entries.len() > CHUNK / 4 {
            return;
        }
        let other = self.chunks.remove(number + 1);
        let entries = Arc::make_mut(&mut self.chunks[number].entries);
        entries.extend(other.entries.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Map = Pieces<u16, u32>;

    fn sound(map: &Map) {
        let mut keys = map.iter().map(|it| it.0);
        let mut last = None;
        for chunk in &map.chunks {
            assert!(!chunk.entries.is_empty() && chunk.entries.len() <= CHUNK);
            assert_eq!(chunk.first, chunk.entries[0].0);
        }
        let sorted = keys.all(|key| {
            let rises = last.is_none_or(|last| last < key);
            last = Some(key);
            rises
        });
        assert!(sorted);
        assert_eq!(map.iter().count() as u64, map.len());
    }

    #[test]
    fn keys_in_order_fill_their_chunks_and_a_copy_shares_them() {
        let mut map = Map::default();
        for key in 0..640 {
            *map.write(key, || 0) += u32::from(key);
        }
        sound(&map);
        assert_eq!(map.chunks.len(), 10);
        let copy = map.clone();
        *map.write(200, || 0) += 1;
        let shared = |(a, b): &(&Chunk<_, _>, &Chunk<_, _>)| Arc::ptr_eq(&a.entries, &b.entries);
        let same = map.chunks.iter().zip(&copy.chunks).filter(shared).count();
        assert_eq!(same, 9, "one chunk was copied");
        assert_eq!((copy.get(&200), map.get(&200)), (Some(&200), Some(&201)));
    }

    #[test]
    fn chunks_that_become_small_are_put_together() {
        let mut map = Map::default();
        (0..6_400).for_each(|key| *map.write(key, || 0) = 1);
        (0..6_400)
            .filter(|key| key % 64 != 0)
            .for_each(|key| assert_eq!(map.remove(&key), Some(1)));
        sound(&map);
        assert_eq!(map.len(), 100);
        assert!(map.chunks.len() < 30, "{}", map.chunks.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Any writes and removals do what they do to a map of the standard library, copies stay
        /// as they were, and equal maps are equal bytes.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0_u8..8, 0_u16..900), 0..1_500)) {
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (number, (what, key)) in (0_u32..).zip(steps) {
                match what {
                    0..=4 => {
                        *map.write(key, || 7) += number;
                        *model.entry(key).or_insert(7) += number;
                    }
                    5 | 6 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    _ => copies.push((map.clone(), model.clone())),
                }
                let next = model.range(key + 1..).next().map(|(key, value)| (*key, value));
                prop_assert_eq!(map.after(Some(&key)), next);
                prop_assert_eq!(map.get(&key), model.get(&key));
            }
            copies.push((map, model));
            for (map, model) in copies {
                sound(&map);
                prop_assert!(map.iter().map(|it| (&it.0, &it.1)).eq(&model));
                let mut anew = Map::default();
                for (key, value) in model.iter().rev() {
                    anew.write(*key, || *value);
                }
                let bytes = |map: &Map| postcard::to_allocvec(map).expect("bytes");
                prop_assert_eq!(bytes(&anew), bytes(&map));
                prop_assert_eq!(anew, map);
            }
        }
    }
}
