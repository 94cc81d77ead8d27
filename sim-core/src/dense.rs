//! A map whose keys are small, dense numbers: partitions of a cluster, lanes of a ledger.
//!
//! Nearly every step of a run looks some partition up. A search tree answers that with a walk and
//! several comparisons; here the key is the place. Iteration is in the order of the keys, as in the
//! ordered maps that it stands in for, and it serialises as such a map.

use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// A key that is a number; the order of keys is the order of their numbers.
pub trait DenseKey: Copy {
    /// The number. Its upper 16 bits name a page, the lower ones a place on it: both start at 0 and
    /// leave few gaps.
    fn number(self) -> u32;
    /// The key of a number.
    fn of_number(number: u32) -> Self;
}

/// The map. Values are boxed, so that a gap costs a pointer.
#[derive(Clone)]
pub struct DenseMap<K, T> {
    pages: Vec<Vec<Option<Box<T>>>>,
    len: u32,
    key: PhantomData<K>,
}

fn place(number: u32) -> (usize, usize) {
    ((number >> 16) as usize, (number & 0xffff) as usize)
}

impl<K, T> Default for DenseMap<K, T> {
    fn default() -> Self {
        DenseMap {
            pages: Vec::new(),
            len: 0,
            key: PhantomData,
        }
    }
}

impl<K: DenseKey, T> DenseMap<K, T> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a key.
    #[must_use]
    #[inline]
    pub fn get(&self, key: K) -> Option<&T> {
        let (page, at) = place(key.number());
        self.pages.get(page)?.get(at)?.as_deref()
    }

    /// The value of a key, to change it.
    #[inline]
    pub fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let (page, at) = place(key.number());
        self.pages.get_mut(page)?.get_mut(at)?.as_deref_mut()
    }

    /// The value of a key, made by `fresh` if there is none.
    #[inline]
    pub fn or_insert_with(&mut self, key: K, fresh: impl FnOnce() -> T) -> &mut T {
        let len = &mut self.len;
        let (page, at) = place(key.number());
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, Vec::new);
        }
        let page = &mut self.pages[page];
        if page.len() <= at {
            page.resize_with(at + 1, || None);
        }
        page[at].get_or_insert_with(|| {
            *len += 1;
            Box::new(fresh())
        })
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: K) -> Option<T> {
        let (page, at) = place(key.number());
        let taken = self.pages.get_mut(page)?.get_mut(at)?.take()?;
        self.len -= 1;
        Some(*taken)
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.pages.clear();
        self.len = 0;
    }

    /// All entries in order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        let pages = (0..).zip(&self.pages);
        pages.flat_map(|(page, values)| {
            let places = (page << 16..).zip(values);
            places.filter_map(|(number, value)| Some((K::of_number(number), value.as_deref()?)))
        })
    }

    /// All entries in order of their keys, to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        let pages = (0..).zip(&mut self.pages);
        pages.flat_map(|(page, values)| {
            let places = (page << 16..).zip(values);
            places.filter_map(|(number, value)| Some((K::of_number(number), value.as_deref_mut()?)))
        })
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(key, _)| key)
    }

    /// All values in order of their keys, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.iter_mut().map(|(_, value)| value)
    }
}

impl<K: DenseKey, T: PartialEq> PartialEq for DenseMap<K, T> {
    /// Equal if the entries are: gaps left by what was removed do not count.
    fn eq(&self, other: &Self) -> bool {
        let own = self.iter().map(|(key, value)| (key.number(), value));
        own.eq(other.iter().map(|(key, value)| (key.number(), value)))
    }
}

impl<K: DenseKey, T: Eq> Eq for DenseMap<K, T> {}

impl<K: DenseKey + fmt::Debug, T: fmt::Debug> fmt::Debug for DenseMap<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: DenseKey + Serialize, T: Serialize> Serialize for DenseMap<K, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len as usize))?;
        for (key, value) in self.iter() {
            map.serialize_entry(&key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Digest;
    use std::collections::BTreeMap;

    impl DenseKey for u32 {
        fn number(self) -> u32 {
            self
        }
        fn of_number(number: u32) -> Self {
            number
        }
    }

    fn digest(value: &impl Serialize) -> u64 {
        let mut digest = Digest::default();
        digest.value(value);
        digest.finish()
    }

    #[test]
    fn behaves_like_an_ordered_map() {
        let mut map = DenseMap::default();
        let mut model = BTreeMap::new();
        for (i, key) in [7_u32, 0, 65_536, 3, 131_075, 3, 65_540]
            .into_iter()
            .enumerate()
        {
            *map.or_insert_with(key, || 0) += i;
            *model.entry(key).or_insert(0) += i;
        }
        assert_eq!((map.remove(65_536), map.remove(9)), (Some(2), None));
        model.remove(&65_536);
        for value in map.values_mut() {
            *value *= 2;
        }
        model.values_mut().for_each(|value| *value *= 2);
        let entries: Vec<_> = map.iter().map(|(key, value)| (key, *value)).collect();
        let expected: Vec<_> = model.iter().map(|(key, value)| (*key, *value)).collect();
        assert_eq!(entries, expected);
        assert_eq!(map.len() as usize, model.len());
        assert_eq!(digest(&map), digest(&model));
        assert_eq!((map.get(3), map.get(4)), (Some(&16), None));

        let mut other = DenseMap::default();
        for (key, value) in expected {
            other.or_insert_with(key, || value);
        }
        assert_eq!(map, other, "a gap is no entry");
        *other.get_mut(7).expect("is there") += 1;
        assert_ne!(map, other);
    }
}
