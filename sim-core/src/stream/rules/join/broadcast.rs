//! Broadcast join: one side goes to every subtask and is kept there whole; the other one meets it
//! wherever it is.
//!
//! Follows the broadcast state pattern (`BroadcastProcessFunction`): the broadcast side alone may
//! write, and each subtask must come to the same state from the same elements, although they arrive
//! in another order from each sender. Each subtask snapshots its own copy. After a restore with the
//! same or a lower parallelism each reads its own; further ones read those of the others in turn.

use serde::Serialize;
use std::collections::BTreeMap;

/// The broadcast state of one subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BroadcastState<K: Ord, V> {
    entries: BTreeMap<K, V>,
}

impl<K: Ord, V> Default for BroadcastState<K, V> {
    fn default() -> Self {
        BroadcastState {
            entries: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Clone, V: Clone> BroadcastState<K, V> {
    /// An element of the broadcast side: a new value for a name, or none any more.
    pub fn on_broadcast(&mut self, name: K, value: Option<V>) {
        match value {
            Some(value) => drop(self.entries.insert(name, value)),
            None => drop(self.entries.remove(&name)),
        }
    }

    /// An element of the other side meets all there is so far; in the order of names, where Flink
    /// promises none.
    pub fn on_element<'a, O>(
        &'a self,
        meets: impl Fn(&'a K, &'a V) -> Option<O> + 'a,
    ) -> impl Iterator<Item = O> + 'a {
        self.entries
            .iter()
            .filter_map(move |(name, value)| meets(name, value))
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &K) -> Option<&V> {
        self.entries.get(name)
    }

    /// All there is, by name.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    /// The state of a subtask after a restore from the snapshots of all subtasks; empty if there
    /// are none.
    #[must_use]
    pub fn on_restore(snapshots: &[Self], subtask: usize) -> Self {
        let count = snapshots.len().max(1);
        snapshots.get(subtask % count).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_meets_the_rules_that_are_there_by_then() {
        let mut state = BroadcastState::default();
        let met = |state: &BroadcastState<char, i32>, element: i32| -> Vec<char> {
            let rule = |name: &char, least: &i32| (element >= *least).then_some(*name);
            state.on_element(rule).collect()
        };
        assert_eq!(met(&state, 5), []);
        state.on_broadcast('b', Some(3));
        state.on_broadcast('a', Some(9));
        assert_eq!(
            (met(&state, 5), met(&state, 9)),
            (vec!['b'], vec!['a', 'b'])
        );
        state.on_broadcast('a', Some(1));
        state.on_broadcast('b', None);
        assert_eq!(met(&state, 5), ['a']);
    }

    #[test]
    fn more_subtasks_than_snapshots_read_them_in_turn() {
        let of = |name| {
            let mut state = BroadcastState::default();
            state.on_broadcast(name, Some(0));
            state
        };
        let snapshots = [of('x'), of('y')];
        let restored = |subtask| BroadcastState::on_restore(&snapshots, subtask);
        assert_eq!(
            [0, 1, 2, 3].map(restored),
            [of('x'), of('y'), of('x'), of('y')]
        );
        let none: [BroadcastState<char, i32>; 0] = [];
        assert_eq!(
            BroadcastState::on_restore(&none, 1),
            BroadcastState::default()
        );
    }
}
