//! Idle state retention: keyed state that nobody touched for a while is dropped, in processing time.
//!
//! Follows `BaseTwoInputStreamOperatorWithStateRetention`: a touch puts the drop off to now + max,
//! but only if now + min is past the drop as it stands, so that not each element moves a timer.

use crate::stream::pieces::Pieces;
use serde::Serialize;

/// How long state may stay idle, ms of processing time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Retention {
    /// At least so long.
    pub min: i64,
    /// At most so long.
    pub max: i64,
}

/// When each key's state is to be dropped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IdleKeys<K: Ord> {
    retention: Retention,
    at: Pieces<K, i64>,
    timers: Pieces<(i64, K), ()>,
}

impl<K: Ord + Clone> IdleKeys<K> {
    /// No key yet. A minimum of one millisecond or less means that state is kept for good.
    #[must_use]
    pub fn new(retention: Retention) -> Self {
        IdleKeys {
            retention,
            at: Pieces::default(),
            timers: Pieces::default(),
        }
    }

    /// Whether state is dropped at all.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.retention.min > 1
    }

    /// A key was touched.
    pub fn touch(&mut self, key: &K, now: i64) {
        if !self.is_enabled() {
            return;
        }
        let current = self.at.get(key).copied();
        if current.is_none_or(|at| now.saturating_add(self.retention.min) > at) {
            self.forget(key);
            let at = now.saturating_add(self.retention.max);
            self.at.set(key.clone(), at);
            self.timers.insert((at, key.clone()));
        }
    }

    /// The key has no state any more.
    pub fn forget(&mut self, key: &K) {
        if let Some(at) = self.at.remove(key) {
            self.timers.remove(&(at, key.clone()));
        }
    }

    /// When the first key's state is to be dropped, ms.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.timers.first().map(|(timer, ())| timer.0)
    }

    /// A key whose state is to be dropped by now, if there is one; call until there is none.
    pub fn expired(&mut self, now: i64) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let ((_, key), ()) = self.timers.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// About how many bytes of memory it takes besides what it shares with an older state.
    pub(super) fn unshared(&self, before: Option<&Self>) -> usize {
        let timers = before.map(|it| &it.timers);
        let at = before.map(|it| &it.at);
        self.at.unshared(at, None) + self.timers.unshared(timers, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touch_puts_the_drop_off_only_if_it_would_come_too_soon() {
        let mut keys = IdleKeys::new(Retention { min: 4, max: 6 });
        keys.touch(&1, 3);
        keys.touch(&1, 5);
        assert_eq!(keys.expired(8), None);
        keys.touch(&1, 6);
        assert_eq!(keys.expired(11), None);
        assert_eq!((keys.expired(12), keys.expired(12)), (Some(1), None));
    }

    #[test]
    fn without_a_minimum_state_is_kept() {
        let mut keys = IdleKeys::new(Retention { min: 0, max: 0 });
        keys.touch(&1, 3);
        assert_eq!(keys.expired(i64::MAX), None);
    }
}
