//! A sorted map in small pieces that are shared until they are written: keyed state.
//!
//! Follows `CopyOnWriteStateMap` of Flink in what it is for: a snapshot costs next to nothing, and a
//! write after it copies only what it touches. Here entries lie in sorted leaves, and leaves in
//! branches, each behind a counted reference: a copy of the map is a reference for each branch, and
//! a write to what is shared copies one branch (references) and one leaf (at most [`LEAF`] entries).
//! So of a million keys a keyframe keeps what was written since the one before it. Two maps of the
//! same entries are equal, and serialize alike, however they are cut.

use serde::ser::{Serialize, SerializeSeq, Serializer};
use std::cmp::Ordering;
use std::sync::Arc;

/// Most entries of a leaf: what a write copies.
const LEAF: usize = 8;

/// Most leaves of a branch. With fewer a copy of the map has more references, with more a write has.
const BRANCH: usize = 16;

/// What the allocator takes for a counted list besides its items: counts, length, its own words.
const LIST_BYTES: usize = size_of::<[usize; 8]>();

/// Bytes that a value takes outside of its entry, besides what it shares with an older value.
pub type Beside<V> = fn(&V, Option<&V>) -> usize;

/// A list that is shared until it is written.
#[derive(Clone, Debug)]
struct Part<K, T> {
    /// Its first key, beside the reference so that a search touches only the lists it ends in.
    first: K,
    items: Arc<Vec<T>>,
}

type Leaf<K, V> = Part<K, (K, V)>;
type Branch<K, V> = Part<K, Leaf<K, V>>;

/// The map.
#[derive(Clone, Debug)]
pub struct Pieces<K, V> {
    branches: Vec<Branch<K, V>>,
    len: u64,
}

/// Where an entry is: its branch, its leaf, its number there.
type Place = (usize, usize, usize);

impl<K, V> Default for Pieces<K, V> {
    fn default() -> Self {
        Pieces {
            branches: Vec::new(),
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

impl<K: Ord + Clone, T: Clone> Part<K, T> {
    fn new(first: K, items: Vec<T>) -> Self {
        Part {
            first,
            items: Arc::new(items),
        }
    }

    /// The list to be written: copied first if it is shared.
    fn write(&mut self) -> &mut Vec<T> {
        Arc::make_mut(&mut self.items)
    }

    /// The part that a key is in or would be put into.
    fn of(parts: &[Self], key: &K) -> usize {
        let after = parts.partition_point(|part| part.first <= *key);
        after.saturating_sub(1)
    }

    /// The parts of each of two sorted lists that the other has not.
    fn own<'a>(
        mut now: impl Iterator<Item = &'a Self>,
        mut before: impl Iterator<Item = &'a Self>,
    ) -> [Vec<&'a Self>; 2] {
        let mut own = [Vec::new(), Vec::new()];
        let (mut one, mut other) = (now.next(), before.next());
        loop {
            let order = match (one, other) {
                (None, None) => return own,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.first.cmp(&other.first),
            };
            let shared = order == Ordering::Equal
                && one
                    .zip(other)
                    .is_some_and(|(a, b)| Arc::ptr_eq(&a.items, &b.items));
            if order != Ordering::Greater {
                own[0].extend(one.filter(|_| !shared));
                one = now.next();
            }
            if order != Ordering::Less {
                own[1].extend(other.filter(|_| !shared));
                other = before.next();
            }
        }
    }
}

impl<K: Ord + Clone> Pieces<K, ()> {
    /// Puts a key in, as into a set; nothing is written if it is there.
    pub fn insert(&mut self, key: K) {
        if self.get(&key).is_none() {
            self.write(key, || ());
        }
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
        let leaves = self.branches.iter().flat_map(|branch| branch.items.iter());
        leaves.flat_map(|leaf| leaf.items.iter())
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<&(K, V)> {
        self.branches.first()?.items.first()?.items.first()
    }
}

impl<K: Ord + Clone, V: Clone> Pieces<K, V> {
    /// Where a key is, or where it would be put.
    fn place(&self, key: &K) -> Result<Place, Place> {
        let branch = Part::of(&self.branches, key);
        let leaves = self.branches.get(branch).map_or(&[][..], |it| &it.items);
        let leaf = Part::of(leaves, key);
        let entries = leaves.get(leaf).map_or(&[][..], |it| &it.items);
        match entries.binary_search_by(|it| it.0.cmp(key)) {
            Ok(at) => Ok((branch, leaf, at)),
            Err(at) => Err((branch, leaf, at)),
        }
    }

    fn entry(&self, (branch, leaf, at): Place) -> Option<&(K, V)> {
        self.branches.get(branch)?.items.get(leaf)?.items.get(at)
    }

    fn at(&mut self, (branch, leaf, at): Place) -> &mut V {
        &mut self.branches[branch].write()[leaf].write()[at].1
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entry(self.place(key).ok()?).map(|it| &it.1)
    }

    /// The entry with the least key greater than this one, or the first.
    #[must_use]
    pub fn after(&self, key: Option<&K>) -> Option<(K, &V)> {
        let Some(key) = key else {
            return self.first().map(|(key, value)| (key.clone(), value));
        };
        let (branch, leaf, at) = match self.place(key) {
            Ok((branch, leaf, at)) => (branch, leaf, at + 1),
            Err(place) => place,
        };
        let places = [
            (branch, leaf, at),
            (branch, leaf + 1, 0),
            (branch + 1, 0, 0),
        ];
        let found = places.into_iter().find_map(|place| self.entry(place));
        found.map(|(key, value)| (key.clone(), value))
    }

    /// The value of a key to be written, if there is one.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.place(key).ok()?;
        Some(self.at(place))
    }

    /// The value of a key to be written; `new` makes it if there is none yet.
    pub fn write(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => self.put(place, key, new()),
        };
        self.at(place)
    }

    /// Sets the value of a key.
    pub fn set(&mut self, key: K, value: V) {
        match self.place(&key) {
            Ok(place) => *self.at(place) = value,
            Err(place) => {
                self.put(place, key, value);
            }
        }
    }

    /// Puts an entry in; where it is then.
    fn put(&mut self, (mut branch, mut leaf, mut at): Place, key: K, value: V) -> Place {
        self.len += 1;
        if self.branches.is_empty() {
            let entries = Part::new(key.clone(), vec![(key.clone(), value)]);
            self.branches.push(Part::new(key, vec![entries]));
            return (0, 0, 0);
        }
        let is_last = branch + 1 == self.branches.len();
        let into = &mut self.branches[branch];
        if key < into.first {
            into.first = key.clone();
        }
        let leaves = into.write();
        let is_last_leaf = is_last && leaf + 1 == leaves.len();
        if key < leaves[leaf].first {
            leaves[leaf].first = key.clone();
        }
        let entries = leaves[leaf].write();
        entries.insert(at, (key, value));
        if entries.len() <= LEAF {
            return (branch, leaf, at);
        }
        // Keys that come in order fill their leaves.
        let cut = match is_last_leaf && at == LEAF {
            true => LEAF,
            false => entries.len() / 2,
        };
        let upper = entries.split_off(cut);
        leaves.insert(leaf + 1, Part::new(upper[0].0.clone(), upper));
        if at >= cut {
            (leaf, at) = (leaf + 1, at - cut);
        }
        if leaves.len() > BRANCH {
            let cut = match is_last_leaf {
                true => BRANCH,
                false => leaves.len() / 2,
            };
            let upper = leaves.split_off(cut);
            let upper = Part::new(upper[0].first.clone(), upper);
            self.branches.insert(branch + 1, upper);
            if leaf >= cut {
                (branch, leaf) = (branch + 1, leaf - cut);
            }
        }
        (branch, leaf, at)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.place(key).ok()?;
        Some(self.take(place).1)
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        self.first()?;
        Some(self.take((0, 0, 0)))
    }

    /// Takes the entry out that is there.
    fn take(&mut self, (branch, leaf, at): Place) -> (K, V) {
        self.len -= 1;
        let leaves = self.branches[branch].write();
        let entries = leaves[leaf].write();
        let taken = entries.remove(at);
        match entries.first().map(|it| it.0.clone()) {
            Some(first) => leaves[leaf].first = first,
            None => drop(leaves.remove(leaf)),
        }
        Self::join(leaves, leaf, LEAF / 2);
        match leaves.first().map(|it| it.first.clone()) {
            Some(first) => self.branches[branch].first = first,
            None => drop(self.branches.remove(branch)),
        }
        Self::join(&mut self.branches, branch, BRANCH / 2);
        taken
    }

    /// Puts a part together with its neighbours if they have become small.
    fn join<T: Clone>(parts: &mut Vec<Part<K, T>>, number: usize, most: usize) {
        for number in [Some(number), number.checked_sub(1)].into_iter().flatten() {
            let [one, other, ..] = parts.get(number..).unwrap_or_default() else {
                continue;
            };
            if one.items.len() + other.items.len() <= most {
                let other = parts.remove(number + 1);
                parts[number]
                    .write()
                    .extend(Arc::unwrap_or_clone(other.items));
            }
        }
    }

    /// About how many bytes it takes besides what it shares with an older state of itself. That
    /// costs about as much as there is of it.
    #[must_use]
    pub fn unshared(&self, before: Option<&Self>, beside: Option<Beside<V>>) -> usize {
        let old = before.map_or(&[][..], |it| &it.branches);
        let [branches, old] = Part::own(self.branches.iter(), old.iter());
        let leaves = branches.iter().flat_map(|it| it.items.iter());
        let [leaves, _] = Part::own(leaves, old.iter().flat_map(|it| it.items.iter()));
        let references = branches
            .iter()
            .map(|it| it.items.len() * size_of::<Leaf<K, V>>());
        let entries = leaves.iter().map(|it| it.items.len() * size_of::<(K, V)>());
        let lists = (branches.len() + leaves.len()) * LIST_BYTES;
        let values = beside.map_or(0, |beside| {
            let all = leaves.iter().flat_map(|it| it.items.iter());
            let of = |(key, value): &(K, V)| beside(value, before.and_then(|it| it.get(key)));
            all.map(of).sum()
        });
        let root = size_of::<Self>() + self.branches.len() * size_of::<Branch<K, V>>();
        root + references.sum::<usize>() + entries.sum::<usize>() + lists + values
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
        for branch in &map.branches {
            assert!(!branch.items.is_empty() && branch.items.len() <= BRANCH);
            assert_eq!(branch.first, branch.items[0].first);
            for leaf in branch.items.iter() {
                assert!(!leaf.items.is_empty() && leaf.items.len() <= LEAF);
                assert_eq!(leaf.first, leaf.items[0].0);
            }
        }
        let sorted = keys.all(|key| {
            let rises = last.is_none_or(|last| last < key);
            last = Some(key);
            rises
        });
        assert!(sorted);
        assert_eq!(map.iter().count() as u64, map.len());
    }

    /// A map of the keys before this one, put in in order.
    fn filled(keys: u16) -> Map {
        let mut map = Map::default();
        (0..keys).for_each(|key| *map.write(key, || 0) = u32::from(key));
        sound(&map);
        map
    }

    #[test]
    fn keys_in_order_fill_their_leaves_and_a_copy_shares_them() {
        let mut map = filled(6_400);
        let leaves = |map: &Map| map.branches.iter().map(|it| it.items.len()).sum::<usize>();
        assert_eq!(leaves(&map), 6_400 / LEAF);
        assert_eq!(map.branches.len(), (6_400 / LEAF).div_ceil(BRANCH));
        let copy = map.clone();
        *map.write(200, || 0) += 1;
        let now = map.branches.iter().flat_map(|it| it.items.iter());
        let before = copy.branches.iter().flat_map(|it| it.items.iter());
        let [now, before] = Part::own(now, before);
        assert_eq!((now.len(), before.len()), (1, 1), "one leaf was copied");
        assert_eq!((copy.get(&200), map.get(&200)), (Some(&200), Some(&201)));
    }

    #[test]
    fn what_is_not_shared_is_what_was_written() {
        let mut map = filled(6_400);
        let whole = map.unshared(None, None);
        assert!(whole > 6_400 * 8, "{whole}");
        let copy = map.clone();
        let root = map.unshared(Some(&copy), None);
        assert!(root <= 64 * (6_400 / LEAF / BRANCH + 2), "{root}");
        let mut check = |keys: &[u16], paths: usize| {
            keys.iter().for_each(|key| *map.write(*key, || 0) += 1);
            let path = BRANCH * size_of::<Leaf<u16, u32>>() + LEAF * 8 + 2 * LIST_BYTES;
            let said = map.unshared(Some(&copy), None) - root;
            assert!(said <= paths * path, "{keys:?}: {said}, {path} each");
            assert!(said * 2 >= paths * path, "{keys:?}: {said}, {path} each");
        };
        check(&[7], 1);
        check(&[7, 6, 0], 1);
        check(&[1_000, 4_000], 3);
        // Values may have bytes of their own; those of leaves that are shared do not count.
        let counted = map.unshared(Some(&copy), Some(|_, old| old.map_or(0, |_| 1_000)));
        assert_eq!(counted, map.unshared(Some(&copy), None) + 3 * LEAF * 1_000);
        // What is cut elsewhere is still found.
        let before = map.clone();
        (100..3_000).for_each(|key| assert!(map.remove(&key).is_some()));
        let said = map.unshared(Some(&before), None);
        assert!(said < whole / 10, "{said} of {whole}");
    }

    #[test]
    fn leaves_that_become_small_are_put_together() {
        let mut map = filled(6_400);
        (0..6_400)
            .filter(|key| key % 64 != 0)
            .for_each(|key| assert_eq!(map.remove(&key), Some(u32::from(key))));
        sound(&map);
        assert_eq!(map.len(), 100);
        let leaves = map.branches.iter().map(|it| it.items.len()).sum::<usize>();
        assert!(leaves < 60 && map.branches.len() < 10, "{leaves}");
        let popped: Vec<u16> = std::iter::from_fn(|| map.pop_first().map(|it| it.0)).collect();
        assert!(popped.iter().copied().eq((0..6_400).step_by(64)));
        assert_eq!((map.len(), map.branches.len()), (0, 0));
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
