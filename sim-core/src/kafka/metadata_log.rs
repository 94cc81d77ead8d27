//! A replica of the metadata log, as every controller keeps one. (Brokers keep the image and only
//! the part that is not committed yet.)
//!
//! Follows `KafkaMetadataLog`, `MetadataLoader` and the follower side of `KafkaRaftClient`
//! (KIP-595, KIP-630): records are copied as the leader has them, divergent ends are cut, and only
//! what lies below the high watermark is replayed into the image. Unlike data logs the metadata log
//! is flushed with every append, so a power loss takes nothing of it. The high watermark is not
//! written down: after a restart a replica replays again once a leader has named one.
//! Left out: snapshots in chunks (`FetchSnapshot`; a snapshot travels in one response), and the
//! time between a snapshot and the deletion of the records that it covers.

use super::metadata::{MetadataImage, MetadataRecord, Snapshot};
use crate::kernel::Loss;
use crate::log::{Batch, ControlMarker, EpochEnd, Log, LogConfig, ProducerStamp};
use serde::Serialize;
use std::sync::Arc;

/// What a fetch response did to a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Replicated {
    /// The log was cut back: (old end, new end).
    pub truncated: Option<(i64, i64)>,
    /// Bytes appended and flushed.
    pub bytes: u64,
    /// Records replayed: offsets from (inclusive) and to (exclusive).
    pub applied: (i64, i64),
    /// The image was replaced as a whole, by a snapshot or by replaying from one.
    pub reloaded: bool,
}

impl Replicated {
    /// Whether the image changed.
    #[must_use]
    pub fn image_changed(&self) -> bool {
        self.reloaded || self.applied.0 < self.applied.1
    }
}

/// The part of a `FetchMetadata` response that a replica takes in.
#[derive(Clone, Copy, Debug)]
pub struct Fetched<'a> {
    /// The leader's high watermark; negative if it knows none yet.
    pub high_watermark: i64,
    /// Where the logs part, if they do.
    pub diverging: Option<EpochEnd>,
    /// Whole batches.
    pub batches: &'a [Arc<Batch<MetadataRecord>>],
    /// The state instead of batches.
    pub snapshot: Option<&'a Snapshot>,
}

/// The log, the latest snapshot and the image of what is committed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MetadataReplica {
    log: Log<MetadataRecord>,
    snapshot: Option<Arc<Snapshot>>,
    image: Arc<MetadataImage>,
    high_watermark: Option<i64>,
    /// Bytes replayed since the last snapshot.
    since_snapshot: u64,
}

impl Default for MetadataReplica {
    fn default() -> Self {
        Self::new()
    }
}

impl MetadataReplica {
    /// An empty replica.
    #[must_use]
    pub fn new() -> Self {
        let never = LogConfig {
            retention_ms: -1,
            segment_ms: i64::MAX,
            ..LogConfig::default()
        };
        Self {
            log: Log::new(never),
            snapshot: None,
            image: Arc::new(MetadataImage::default()),
            high_watermark: None,
            since_snapshot: 0,
        }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log<MetadataRecord> {
        &self.log
    }

    /// Log end offset.
    #[must_use]
    pub fn leo(&self) -> i64 {
        self.log.leo()
    }

    /// Epoch of the last record; 0 if there is none.
    #[must_use]
    pub fn last_epoch(&self) -> i32 {
        let snapshot = || self.snapshot.as_ref().map(|snapshot| snapshot.epoch);
        self.log.latest_epoch().or_else(snapshot).unwrap_or(0)
    }

    /// Everything below is committed; `None` until a leader has said so since the last start.
    #[must_use]
    pub fn high_watermark(&self) -> Option<i64> {
        self.high_watermark
    }

    /// The committed state.
    #[must_use]
    pub fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The latest snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        if loss == Loss::Disk {
            *self = Self::new();
            return;
        }
        self.high_watermark = None;
        self.reload();
    }

    /// Starts the image again from the latest snapshot.
    fn reload(&mut self) {
        let image = self.snapshot.as_ref().map(|snapshot| &snapshot.image);
        self.image = Arc::new(image.cloned().unwrap_or_default());
        self.since_snapshot = 0;
    }

    /// Appends records as leader of `epoch`, in one batch, and flushes. Returns the first offset
    /// and the bytes written.
    pub fn append_as_leader(&mut self, records: Vec<MetadataRecord>, epoch: i32) -> (i64, u64) {
        let opens = matches!(records.first(), Some(MetadataRecord::LeaderChange { .. }));
        let mut batch = Batch::new(records, ProducerStamp::NONE);
        batch.control = opens.then_some(ControlMarker::LeaderChange);
        let bytes = u64::from(batch.bytes);
        let info = self.log.append_as_leader_at(batch, epoch, 0);
        self.log.flush();
        (info.first_offset, bytes)
    }

    /// Takes in a leader's response. Batches that do not continue the log are ignored, as they
    /// would be after a duplicated or overtaken response.
    pub fn on_fetched(&mut self, fetched: &Fetched<'_>) -> Replicated {
        let mut done = Replicated::default();
        if let Some(snapshot) = fetched.snapshot {
            self.load_snapshot(snapshot, &mut done);
        } else if let Some(end) = fetched.diverging {
            self.truncate_to_end(end, &mut done);
            return done;
        }
        for batch in fetched.batches {
            let continues = batch.base_offset == self.log.leo()
                && self
                    .log
                    .latest_epoch()
                    .is_none_or(|epoch| epoch <= batch.leader_epoch);
            if continues && self.log.append_as_follower_at(Arc::clone(batch), 0).is_ok() {
                done.bytes += u64::from(batch.bytes);
            }
        }
        self.log.flush();
        if fetched.high_watermark >= 0 {
            done.applied = self.commit_to(fetched.high_watermark);
        }
        done
    }

    /// The high watermark is at least `offset`: replays up to it. Returns the offsets replayed.
    pub fn commit_to(&mut self, offset: i64) -> (i64, i64) {
        let target = offset
            .min(self.log.leo())
            .max(self.high_watermark.unwrap_or(0));
        self.high_watermark = Some(target);
        self.log.set_high_watermark(target);
        let from = self.image.next_offset;
        if target <= from {
            return (from, from);
        }
        let image = Arc::make_mut(&mut self.image);
        for batch in self.log.batches_from(from) {
            if batch.next_offset() > target {
                break;
            }
            image.replay_batch(batch);
            self.since_snapshot += u64::from(batch.bytes);
        }
        (from, self.image.next_offset)
    }

    /// Writes a snapshot if more than `bytes` were replayed since the last one; the log then starts
    /// at its end. Returns whether it did.
    pub fn maybe_snapshot(&mut self, bytes: u64) -> bool {
        if self.since_snapshot <= bytes {
            return false;
        }
        self.since_snapshot = 0;
        let end_offset = self.image.next_offset;
        self.snapshot = Some(Arc::new(Snapshot {
            image: (*self.image).clone(),
            end_offset,
            epoch: self.image.epoch,
        }));
        self.log.maybe_increment_start_offset(end_offset)
    }

    /// Where `epoch` ends in this log; an epoch above all known ones gives the log end
    /// (`KafkaMetadataLog.endOffsetForEpoch`).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> EpochEnd {
        let end = self.log.end_offset_for_epoch(epoch);
        if end.is_undefined() {
            return EpochEnd {
                epoch: self.last_epoch(),
                end_offset: self.log.leo(),
            };
        }
        match &self.snapshot {
            Some(snapshot) if end.end_offset < snapshot.end_offset && end.epoch == epoch => {
                EpochEnd {
                    epoch: snapshot.epoch,
                    end_offset: snapshot.end_offset,
                }
            }
            _ => end,
        }
    }

    /// What a leader answers to a fetch at `offset` whose last record is of `epoch`
    /// (`ReplicatedLog.validateOffsetAndEpoch`).
    #[must_use]
    pub fn validate(&self, offset: i64, epoch: i32) -> Validity<'_> {
        if let Some(snapshot) = &self.snapshot {
            let start = self.log.start_offset();
            if offset < start || (offset == start && epoch != snapshot.epoch) {
                return Validity::Snapshot(snapshot);
            }
        }
        if offset == 0 {
            return Validity::Valid;
        }
        if self.snapshot_ends_at(offset, epoch) && offset <= self.log.leo() {
            return Validity::Valid;
        }
        let end = self.end_offset_for_epoch(epoch);
        if end.epoch != epoch || end.end_offset < offset {
            Validity::Diverging(end)
        } else {
            Validity::Valid
        }
    }

    fn snapshot_ends_at(&self, offset: i64, epoch: i32) -> bool {
        let snapshot = self.snapshot.as_ref();
        snapshot.is_some_and(|snapshot| snapshot.end_offset == offset && snapshot.epoch == epoch)
    }

    /// Cuts the log where it parts from the leader's (`ReplicatedLog.truncateToEndOffset`).
    fn truncate_to_end(&mut self, leader: EpochEnd, done: &mut Replicated) {
        let own = self.end_offset_for_epoch(leader.epoch);
        let target = if own.epoch == leader.epoch {
            own.end_offset.min(leader.end_offset)
        } else {
            own.end_offset
        };
        let target = target.clamp(0, self.log.leo());
        let old = self.log.leo();
        if !self.log.truncate_to(target) {
            return;
        }
        done.truncated = Some((old, target));
        self.log.flush();
        if target < self.image.next_offset {
            // Committed records are gone, because a majority of the voters lost their disks. Kafka
            // would stop here; the model goes on with what is left.
            self.high_watermark = None;
            if self
                .snapshot
                .as_ref()
                .is_some_and(|s| s.end_offset > target)
            {
                self.snapshot = None;
            }
            self.reload();
            self.commit_to(target);
            done.reloaded = true;
        }
    }

    fn load_snapshot(&mut self, snapshot: &Snapshot, done: &mut Replicated) {
        if snapshot.end_offset <= self.image.next_offset {
            return;
        }
        let old = self.log.leo();
        if old > snapshot.end_offset {
            done.truncated = Some((old, snapshot.end_offset));
        }
        self.log.truncate_fully_and_start_at(snapshot.end_offset);
        self.snapshot = Some(Arc::new(snapshot.clone()));
        self.reload();
        self.high_watermark = Some(snapshot.end_offset);
        done.reloaded = true;
    }
}

/// Whether a fetch position lies in the leader's log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity<'a> {
    /// It does.
    Valid,
    /// The logs part here.
    Diverging(EpochEnd),
    /// It lies below the log start: take the snapshot.
    Snapshot(&'a Arc<Snapshot>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(epochs: &[(i32, i64)]) -> MetadataReplica {
        let mut replica = MetadataReplica::new();
        for (epoch, records) in epochs {
            for next in 0..*records {
                replica.append_as_leader(vec![MetadataRecord::ProducerIds { next }], *epoch);
            }
        }
        replica
    }

    /// Fetches from `leader` until `follower` has everything; returns the truncations.
    fn catch_up(leader: &MetadataReplica, follower: &mut MetadataReplica) -> Vec<(i64, i64)> {
        let mut cuts = Vec::new();
        for _ in 0..10 {
            let (diverging, snapshot) = match leader.validate(follower.leo(), follower.last_epoch())
            {
                Validity::Valid => (None, None),
                Validity::Diverging(end) => (Some(end), None),
                Validity::Snapshot(snapshot) => (None, Some(&**snapshot)),
            };
            let batches: Vec<_> = match (&diverging, &snapshot) {
                (None, None) => {
                    let batches = leader.log().batches_from(follower.leo());
                    batches.cloned().map(Arc::new).collect()
                }
                _ => Vec::new(),
            };
            let done = follower.on_fetched(&Fetched {
                high_watermark: leader.high_watermark().unwrap_or(-1),
                diverging,
                batches: &batches,
                snapshot,
            });
            cuts.extend(done.truncated);
        }
        cuts
    }

    #[test]
    fn a_follower_cuts_its_divergent_end_and_copies_the_rest() {
        let check = |ours: &[(i32, i64)], theirs: &[(i32, i64)], cuts: &[(i64, i64)]| {
            let mut leader = leader(theirs);
            leader.commit_to(leader.leo());
            let mut follower = self::leader(ours);
            assert_eq!(
                catch_up(&leader, &mut follower),
                cuts,
                "{ours:?} {theirs:?}"
            );
            assert_eq!(follower.leo(), leader.leo());
            assert_eq!(follower.image(), leader.image());
        };
        check(&[], &[(1, 3)], &[]);
        check(&[(1, 3)], &[(1, 3), (2, 1)], &[]);
        check(&[(1, 5)], &[(1, 3), (2, 1)], &[(5, 3)]);
        check(&[(1, 2), (2, 3)], &[(1, 2), (3, 1)], &[(5, 2)]);
        check(&[(1, 2), (2, 3)], &[(1, 1), (3, 4)], &[(5, 1)]);
    }

    #[test]
    fn a_follower_below_the_log_start_takes_the_snapshot() {
        let mut leader = leader(&[(1, 4), (2, 4)]);
        leader.commit_to(6);
        assert!(!leader.maybe_snapshot(u64::MAX));
        assert!(leader.maybe_snapshot(1));
        assert_eq!(leader.log().start_offset(), 6);
        for ours in [&[][..], &[(1, 2)], &[(1, 4)], &[(1, 4), (2, 3)]] {
            let mut follower = self::leader(ours);
            catch_up(&leader, &mut follower);
            assert_eq!((follower.leo(), follower.image().next_offset), (8, 6));
            assert_eq!(follower.image(), leader.image());
            follower.crash(Loss::Power);
            let kept = follower.snapshot().map_or(0, |s| s.end_offset);
            assert_eq!(follower.image().next_offset, kept);
            catch_up(&leader, &mut follower);
            assert_eq!(follower.image(), leader.image());
            follower.crash(Loss::Disk);
            assert_eq!(follower, MetadataReplica::new());
        }
    }

    #[test]
    fn only_what_is_committed_is_replayed() {
        let mut replica = leader(&[(1, 4)]);
        assert_eq!(replica.image().next_offset, 0);
        assert_eq!(replica.commit_to(2), (0, 2));
        assert_eq!(
            replica.commit_to(1),
            (2, 2),
            "the high watermark never goes back"
        );
        assert_eq!(replica.commit_to(99), (2, 4));
        assert_eq!(replica.high_watermark(), Some(4));
    }
}
