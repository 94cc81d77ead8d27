//! What a checkpoint of an LSM tree uploads.
//!
//! Follows `RocksIncrementalSnapshotStrategy`: a file is not uploaded again if it is among those of
//! the last checkpoint that this task knows to be complete. What belongs to checkpoints that are not
//! confirmed, or were aborted, is no base. A savepoint, and a full checkpoint, upload everything and
//! are no base either; that a notification of one comes changes nothing (FLINK-23949).

use super::SstFile;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a snapshot shares with others (`SnapshotType.SharingFilesStrategy`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Sharing {
    /// `FORWARD_BACKWARD`: an incremental checkpoint, which reuses and is reused.
    ForwardBackward,
    /// `FORWARD`: a full checkpoint that later ones may build upon.
    Forward,
    /// `NO_SHARING`: a savepoint.
    None,
}

/// What one checkpoint of a task consists of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Upload {
    /// Files that are uploaded.
    pub new: Vec<SstFile>,
    /// Files that are there already.
    pub reused: Vec<SstFile>,
}

impl Upload {
    /// Bytes that are uploaded.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.new.iter().map(|it| it.bytes).sum()
    }

    /// Bytes of all files of the checkpoint.
    #[must_use]
    pub fn full_bytes(&self) -> u64 {
        self.bytes() + self.reused.iter().map(|it| it.bytes).sum::<u64>()
    }
}

/// The checkpoints of one task.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct IncrementalSnapshots {
    /// Numbers of the files of each checkpoint that may become a base.
    uploaded: BTreeMap<i64, Vec<u64>>,
    last_completed: Option<i64>,
    /// Bytes that each of them uploaded.
    bytes: BTreeMap<i64, u64>,
}

impl IncrementalSnapshots {
    /// After a restore from a checkpoint with these files, which is the base then.
    #[must_use]
    pub fn restore(checkpoint: i64, files: &[SstFile]) -> Self {
        let mut snapshots = IncrementalSnapshots::default();
        let ids = files.iter().map(|it| it.id).collect();
        snapshots.uploaded.insert(checkpoint, ids);
        snapshots.last_completed = Some(checkpoint);
        snapshots
    }

    /// A checkpoint of these files; the write buffer has been flushed.
    pub fn snapshot(&mut self, checkpoint: i64, files: &[SstFile], sharing: Sharing) -> Upload {
        let base = self.last_completed.and_then(|it| self.uploaded.get(&it));
        let base = base.filter(|_| sharing == Sharing::ForwardBackward);
        let known = |it: &&SstFile| base.is_some_and(|base| base.contains(&it.id));
        let upload = Upload {
            new: files.iter().filter(|it| !known(it)).copied().collect(),
            reused: files.iter().filter(known).copied().collect(),
        };
        self.bytes.insert(checkpoint, upload.bytes());
        if sharing != Sharing::None {
            let ids = files.iter().map(|it| it.id).collect();
            self.uploaded.insert(checkpoint, ids);
        }
        upload
    }

    /// A checkpoint is complete (`notifyCheckpointComplete`). Notifications may come in any order.
    pub fn on_complete(&mut self, checkpoint: i64) {
        let is_newer = self.last_completed.is_none_or(|last| checkpoint > last);
        if is_newer && self.uploaded.contains_key(&checkpoint) {
            self.uploaded.retain(|id, _| *id >= checkpoint);
            self.bytes.retain(|id, _| *id >= checkpoint);
            self.last_completed = Some(checkpoint);
        }
    }

    /// A checkpoint will not be complete (`notifyCheckpointAborted`).
    pub fn on_aborted(&mut self, checkpoint: i64) {
        self.uploaded.remove(&checkpoint);
        self.bytes.remove(&checkpoint);
    }

    /// Bytes that a checkpoint uploaded, if it is not forgotten yet.
    #[must_use]
    pub fn upload_bytes(&self, checkpoint: i64) -> Option<u64> {
        self.bytes.get(&checkpoint).copied()
    }

    /// The checkpoints that are, or may become, what the next one builds upon, with the numbers of
    /// their files.
    pub fn checkpoints(&self) -> impl DoubleEndedIterator<Item = (i64, &[u64])> {
        self.uploaded.iter().map(|(id, files)| (*id, &files[..]))
    }

    /// The checkpoint that the next one builds upon.
    #[must_use]
    pub fn base(&self) -> Option<i64> {
        self.last_completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(ids: &[u64]) -> Vec<SstFile> {
        let file = |id: &u64| SstFile {
            id: *id,
            level: 0,
            bytes: 10,
            span: (0, 1),
        };
        ids.iter().map(file).collect()
    }

    enum Step {
        Take(i64, &'static [u64], Sharing),
        Complete(i64),
        Abort(i64),
    }
    use Step::{Abort, Complete, Take};

    /// Numbers of the files that each checkpoint uploads.
    fn check(steps: &[Step], expected: &[&[u64]]) {
        let mut snapshots = IncrementalSnapshots::default();
        let mut got = Vec::new();
        for step in steps {
            match step {
                Take(id, ids, sharing) => {
                    let upload = snapshots.snapshot(*id, &files(ids), *sharing);
                    assert_eq!(upload.full_bytes(), ids.len() as u64 * 10);
                    assert_eq!(snapshots.upload_bytes(*id), Some(upload.bytes()));
                    got.push(upload.new.iter().map(|it| it.id).collect::<Vec<_>>());
                }
                Complete(id) => snapshots.on_complete(*id),
                Abort(id) => snapshots.on_aborted(*id),
            }
        }
        assert_eq!(got, expected);
    }

    #[test]
    fn only_what_the_last_confirmed_checkpoint_has_not_is_uploaded() {
        let shared = Sharing::ForwardBackward;
        let (one, two, three) = (
            Take(1, &[1, 2], shared),
            Take(2, &[1, 2, 3], shared),
            Take(3, &[2, 3, 4], shared),
        );
        check(
            &[one, Complete(1), two, Complete(2), three],
            &[&[1, 2], &[3], &[4]],
        );
        let (one, two) = (Take(1, &[1, 2], shared), Take(2, &[1, 2, 3], shared));
        check(&[one, two], &[&[1, 2], &[1, 2, 3]]);
        let (one, two) = (Take(1, &[1, 2], shared), Take(2, &[1, 2, 3], shared));
        check(&[one, Abort(1), Complete(1), two], &[&[1, 2], &[1, 2, 3]]);
        // A notification that comes late does not take the base back.
        let (one, two, three) = (
            Take(1, &[1], shared),
            Take(2, &[1, 2], shared),
            Take(3, &[1, 2, 3], shared),
        );
        check(
            &[one, two, Complete(2), Complete(1), three],
            &[&[1], &[1, 2], &[3]],
        );
        // Files that were merged are new ones.
        let (one, two) = (Take(1, &[1, 2, 3], shared), Take(2, &[4], shared));
        check(&[one, Complete(1), two], &[&[1, 2, 3], &[4]]);
    }

    #[test]
    fn savepoints_and_full_checkpoints_upload_everything() {
        let shared = Sharing::ForwardBackward;
        let (one, savepoint, next) = (
            Take(1, &[1], shared),
            Take(2, &[1, 2], Sharing::None),
            Take(3, &[1, 2], shared),
        );
        check(
            &[one, Complete(1), savepoint, Complete(2), next],
            &[&[1], &[1, 2], &[2]],
        );
        let (one, full, next) = (
            Take(1, &[1], shared),
            Take(2, &[1, 2], Sharing::Forward),
            Take(3, &[1, 2], shared),
        );
        check(
            &[one, Complete(1), full, Complete(2), next],
            &[&[1], &[1, 2], &[]],
        );
    }

    #[test]
    fn after_a_restore_its_checkpoint_is_the_base() {
        let mut snapshots = IncrementalSnapshots::restore(7, &files(&[1, 2]));
        let upload = snapshots.snapshot(8, &files(&[1, 2, 3]), Sharing::ForwardBackward);
        assert_eq!((upload.new, snapshots.base()), (files(&[3]), Some(7)));
    }
}
