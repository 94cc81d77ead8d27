//! Putting short lists in order.
//!
//! The sorts of the standard library are made for long lists, and `collect()` into a `BTreeMap` or
//! `BTreeSet` sorts too. Every type they are used with adds 3 to 6 KB to the module that a visitor
//! downloads, for lists that have five members. Where a list is short by its nature (the brokers of
//! a cluster, the replicas of a partition, the requests in flight), these do.

use std::collections::BinaryHeap;

/// Sorts by insertion, stable: quick for a few elements or for what is nearly in order, quadratic
/// otherwise.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], mut key: impl FnMut(&T) -> K) {
    sort(items, |a, b| key(a) < key(b));
}

/// The same by a function that says whether its first argument goes before the second.
pub fn sort<T>(items: &mut [T], mut before: impl FnMut(&T, &T) -> bool) {
    for sorted in 1..items.len() {
        let mut at = sorted;
        while at > 0 && before(&items[at], &items[at - 1]) {
            items.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// The places of a list's elements in the order of their keys, stable. This one is for lists that may
/// be long, and is the same code for all of them.
#[must_use]
pub fn order(keys: impl IntoIterator<Item = u64>) -> Vec<usize> {
    let places = keys.into_iter().zip(0..);
    let sorted = places
        .collect::<BinaryHeap<(u64, usize)>>()
        .into_sorted_vec();
    sorted.into_iter().map(|(_, place)| place).collect()
}

/// Puts elements one by one into a map or a set; a later one takes the place of an equal one.
pub fn gather<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut all = C::default();
    all.extend(items);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library_does(list: Vec<(u8, u32)>) {
            let (mut ours, mut theirs) = (list.clone(), list);
            sort_by_key(&mut ours, |it| it.0);
            theirs.sort_by_key(|it| it.0);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn orders_as_the_standard_library_sorts(list: Vec<u8>) {
            let ours: Vec<usize> = order(list.iter().map(|it| u64::from(*it)));
            let mut theirs: Vec<usize> = (0..list.len()).collect();
            theirs.sort_by_key(|place| list[*place]);
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn gathers_as_collect_does(list: Vec<(u8, u32)>) {
            let all: BTreeMap<u8, u32> = gather(list.iter().copied());
            prop_assert_eq!(all, list.into_iter().collect());
        }
    }
}
