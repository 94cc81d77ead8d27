//! When a shared file in the checkpoint storage may go.
//!
//! Follows `SharedStateRegistryImpl`: the JobManager knows for each file the last checkpoint that
//! uses it, and when older checkpoints are subsumed it deletes the files that no checkpoint from the
//! lowest retained one on has used. (Flink counted references up to 1.14.) Files of a checkpoint that
//! was restored without claiming it belong to the user and stay.

use serde::Serialize;
use std::collections::BTreeMap;

/// A file as the registry knows it: of which task's backend, and its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct SharedKey {
    /// The backend: of which task.
    pub backend: u32,
    /// The file's number.
    pub file: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Entry {
    /// By which checkpoint it was uploaded: two uploads of one number differ.
    uploaded_by: i64,
    bytes: u64,
    created_by: i64,
    last_used: i64,
    confirmed: bool,
}

/// A file that is to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Discarded {
    /// Which.
    pub key: SharedKey,
    /// By which checkpoint it was uploaded.
    pub uploaded_by: i64,
    /// Its size.
    pub bytes: u64,
}

/// The registry.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct SharedStateRegistry {
    entries: BTreeMap<SharedKey, Entry>,
    highest_not_claimed: Option<i64>,
}

impl SharedStateRegistry {
    /// A checkpoint brought a file that it uploaded. If the file is known already, one of the two
    /// goes: the new one if the old one is in a complete checkpoint, else the old one.
    pub fn register_new(
        &mut self,
        key: SharedKey,
        bytes: u64,
        checkpoint: i64,
    ) -> Option<Discarded> {
        let new = Entry {
            uploaded_by: checkpoint,
            bytes,
            created_by: checkpoint,
            last_used: checkpoint,
            confirmed: false,
        };
        let Some(known) = self.entries.get_mut(&key) else {
            self.entries.insert(key, new);
            return None;
        };
        known.last_used = known.last_used.max(checkpoint);
        let goes = match known.confirmed {
            true => (new.uploaded_by, new.bytes),
            false => {
                let old = (known.uploaded_by, known.bytes);
                (known.uploaded_by, known.bytes) = (new.uploaded_by, new.bytes);
                old
            }
        };
        (goes.0 != known.uploaded_by).then_some(Discarded {
            key,
            uploaded_by: goes.0,
            bytes: goes.1,
        })
    }

    /// A checkpoint uses a file that it did not upload (`PlaceholderStreamStateHandle`). False if
    /// nobody knows the file: the checkpoint cannot be complete then.
    pub fn register_reused(&mut self, key: SharedKey, checkpoint: i64) -> bool {
        let known = self.entries.get_mut(&key);
        known.is_some_and(|known| {
            known.last_used = known.last_used.max(checkpoint);
            true
        })
    }

    /// A checkpoint is complete: the files it uses are confirmed.
    pub fn on_completed(&mut self, checkpoint: i64) {
        let used = |it: &&mut Entry| it.last_used == checkpoint;
        let all = self.entries.values_mut().filter(used);
        all.for_each(|it| it.confirmed = true);
    }

    /// A checkpoint was restored and not claimed (NO_CLAIM): its files are never deleted.
    pub fn on_restored_without_claim(&mut self, checkpoint: i64) {
        self.highest_not_claimed = self.highest_not_claimed.max(Some(checkpoint));
    }

    /// Forgets the files that no checkpoint from this one on uses; those that are to be deleted.
    pub fn unregister_unused(&mut self, lowest: i64) -> Vec<Discarded> {
        let mut discarded = Vec::new();
        let kept_for_user = self.highest_not_claimed;
        self.entries.retain(|key, it| {
            let unused = it.last_used < lowest;
            if unused && kept_for_user.is_none_or(|highest| it.created_by > highest) {
                discarded.push(Discarded {
                    key: *key,
                    uploaded_by: it.uploaded_by,
                    bytes: it.bytes,
                });
            }
            !unused
        });
        discarded
    }

    /// Bytes of all files that it knows.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.values().map(|it| it.bytes).sum()
    }

    /// How many files it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::incremental::{IncrementalSnapshots, Sharing};
    use super::super::{Lsm, LsmSettings};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn key(file: u64) -> SharedKey {
        SharedKey { backend: 0, file }
    }

    #[test]
    fn a_file_goes_when_no_retained_checkpoint_uses_it() {
        let mut registry = SharedStateRegistry::default();
        assert_eq!(registry.register_new(key(1), 10, 1), None);
        assert_eq!(registry.register_new(key(2), 20, 1), None);
        assert!(registry.register_reused(key(2), 2));
        assert!(!registry.register_reused(key(9), 2));
        let gone = registry.unregister_unused(2);
        assert_eq!(gone.iter().map(|it| it.key).collect::<Vec<_>>(), [key(1)]);
        assert_eq!((registry.bytes(), registry.len()), (20, 1));
        assert_eq!(registry.unregister_unused(2), []);
        assert_eq!(registry.unregister_unused(3).len(), 1);
        assert!(registry.is_empty());
    }

    #[test]
    fn of_two_uploads_the_one_in_a_complete_checkpoint_stays() {
        for (confirmed, gone) in [(true, 2), (false, 1)] {
            let mut registry = SharedStateRegistry::default();
            registry.register_new(key(1), 10, 1);
            if confirmed {
                registry.on_completed(1);
            }
            let discarded = registry.register_new(key(1), 10, 2);
            assert_eq!(discarded.map(|it| it.uploaded_by), Some(gone));
            assert_eq!(registry.unregister_unused(2), [], "checkpoint 2 uses it");
        }
    }

    #[test]
    fn files_of_a_checkpoint_that_was_not_claimed_stay() {
        let mut registry = SharedStateRegistry::default();
        registry.register_new(key(1), 10, 1);
        registry.on_restored_without_claim(1);
        registry.register_new(key(2), 10, 2);
        let gone = registry.unregister_unused(9);
        assert_eq!(gone.iter().map(|it| it.key).collect::<Vec<_>>(), [key(2)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Whatever is written, and whichever checkpoints come to an end, and wherever notifications
        /// are lost: every file of the last complete checkpoint is in the storage.
        #[test]
        fn the_last_complete_checkpoint_can_be_read(
            steps in prop::collection::vec((0_u64..400, 0_u8..4), 0..60),
        ) {
            let settings = LsmSettings {
                write_buffer: 100,
                target_file_size: 100,
                level_base: 200,
                ..LsmSettings::default()
            };
            let (mut lsm, mut task) = (Lsm::new(settings), IncrementalSnapshots::default());
            let (mut registry, mut stored) = (SharedStateRegistry::default(), BTreeSet::new());
            let (mut alive, mut last) = (0, Vec::new());
            for (id, (bytes, end)) in (1_i64..).zip(steps) {
                alive += bytes / 3;
                lsm.write(bytes, alive);
                lsm.flush(alive);
                let upload = task.snapshot(id, lsm.files(), Sharing::ForwardBackward);
                prop_assert_eq!(upload.full_bytes(), lsm.bytes());
                stored.extend(upload.new.iter().map(|it| (it.id, id)));
                if end == 0 {
                    // Given up before it was registered: its files are deleted, its base is not.
                    stored.retain(|it| it.1 != id);
                    task.on_aborted(id);
                    continue;
                }
                for it in &upload.new {
                    let goes = registry.register_new(key(it.id), it.bytes, id);
                    goes.map(|it| stored.remove(&(it.key.file, it.uploaded_by)));
                }
                for it in &upload.reused {
                    prop_assert!(registry.register_reused(key(it.id), id));
                }
                registry.on_completed(id);
                last = lsm.files().to_vec();
                for it in registry.unregister_unused(id) {
                    stored.remove(&(it.key.file, it.uploaded_by));
                }
                // The notification may be lost: then the next one has an older base.
                if end > 1 {
                    task.on_complete(id);
                }
                let there: BTreeSet<u64> = stored.iter().map(|it| it.0).collect();
                prop_assert!(last.iter().all(|it| there.contains(&it.id)));
            }
            prop_assert!(registry.bytes() >= last.iter().map(|it| it.bytes).sum());
        }
    }
}
