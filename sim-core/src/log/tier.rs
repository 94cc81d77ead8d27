//! A log whose older part is in remote storage (KIP-405).
//!
//! Follows `RemoteLogManager` and `UnifiedLog`: the leader copies closed segments that nothing can
//! change any more, retention takes them off the local disk afterwards, and remote storage has a
//! retention of its own, which moves the log start. Segments never change once closed, so "copied"
//! means that the same segment is held here. Left out: how the objects are named, indexed and
//! cached.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::batch_list::BatchList;
use super::log::{Log, OutOfRange};
use super::record::{LogRecord, Record};
use super::segment::Segment;

/// Segments in remote storage, oldest first.
pub type RemoteSegments<R = Record> = Arc<Vec<Arc<Segment<R>>>>;

impl<R: LogRecord> Log<R> {
    /// What is in remote storage, as far as this replica knows.
    pub fn remote(&self) -> Option<&RemoteSegments<R>> {
        self.remote.as_ref()
    }

    /// Takes over what the leader knows of remote storage.
    pub fn set_remote(&mut self, remote: RemoteSegments<R>) {
        if let Some(last) = remote.last() {
            self.set_highest_remote_offset(last.end_offset() - 1);
        }
        self.remote = Some(remote);
    }

    /// Copies the closed segments that end at or below `last_stable_offset` and are not copied yet;
    /// returns the offsets that are in remote storage since now as `(from, to)`.
    pub fn copy_to_remote(&mut self, last_stable_offset: i64) -> Option<(i64, i64)> {
        let copied = self.highest_remote_offset();
        let closed = self.closed_segments().iter();
        let new = closed.skip_while(|it| it.end_offset() <= copied + 1);
        let new: Vec<_> = new
            .take_while(|it| it.end_offset() <= last_stable_offset)
            .filter(|it| !it.is_empty())
            .cloned()
            .collect();
        let (from, to) = (new.first()?.base_offset(), new.last()?.end_offset());
        let mut remote = self.remote.take().unwrap_or_default();
        Arc::make_mut(&mut remote).extend(new);
        self.set_remote(remote);
        Some((from, to))
    }

    /// Deletes what is in remote storage and older, or together with the rest more, than
    /// `retention.ms` and `retention.bytes` allow. Returns the log start that follows, if it moves.
    pub fn expire_remote(&mut self, now_ms: i64) -> Option<i64> {
        let (retention_ms, bound) = (self.config().retention_ms, self.config().retention_bytes);
        let copied = self.highest_remote_offset();
        let local = self.segments().filter(|it| it.base_offset > copied);
        let local: u64 = local.map(|it| it.bytes).sum();
        let remote = self.remote.as_ref()?;
        let mut total = local + remote.iter().map(|it| it.bytes()).sum::<u64>();
        let goes = |segment: &&Arc<Segment<R>>| {
            let old = retention_ms >= 0 && now_ms - segment.largest_timestamp_ms() > retention_ms;
            let left = total.saturating_sub(segment.bytes());
            let much = u64::try_from(bound).is_ok_and(|bound| left >= bound);
            total = left;
            old || much
        };
        let count = remote.iter().take_while(goes).count();
        let start = remote.get(count.checked_sub(1)?)?.end_offset();
        let mut remote = self.remote.take()?;
        Arc::make_mut(&mut remote).drain(..count);
        self.remote = Some(remote);
        (start > self.start_offset()).then_some(start)
    }

    /// Like [`Log::read`], of what is in remote storage only.
    pub fn read_remote(
        &self,
        from_offset: i64,
        max_bytes: u32,
        upper_bound_offset: i64,
    ) -> Result<BatchList<R>, OutOfRange> {
        let out_of_range = OutOfRange {
            offset: from_offset,
            log_start_offset: self.start_offset(),
            log_end_offset: self.leo(),
        };
        let mut found = BatchList::default();
        let mut bytes = 0u64;
        for segment in self.remote_from(from_offset) {
            let read = segment.visit_from(from_offset, |batch| {
                bytes += u64::from(batch.bytes);
                let fits = bytes <= u64::from(max_bytes) || found.is_empty();
                if !fits || batch.last_offset() >= upper_bound_offset {
                    return ControlFlow::Break(());
                }
                found.push(Arc::clone(batch));
                ControlFlow::Continue(())
            });
            if read.is_break() || !found.is_empty() {
                return Ok(found);
            }
        }
        Err(out_of_range)
    }

    /// The remote segments from the one that holds `offset` on, as far as they are on local disk no
    /// more.
    pub(super) fn remote_from(&self, offset: i64) -> &[Arc<Segment<R>>] {
        let local = self.first_segment().base_offset();
        let Some(remote) = self.remote.as_ref().filter(|_| offset < local) else {
            return &[];
        };
        let first = remote.partition_point(|it| it.end_offset() <= offset);
        let end = remote.partition_point(|it| it.base_offset() < local);
        remote.get(first..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, LogConfig, ProducerStamp, RecordId, TierConfig};
    use super::*;

    fn log() -> Log {
        let mut log = Log::new(LogConfig {
            segment_bytes: 200,
            retention_ms: 1_000,
            tier: TierConfig {
                remote_storage_enable: true,
                local_retention_ms: 10,
                ..TierConfig::default()
            },
            ..LogConfig::default()
        });
        for at in 0..8 {
            let record = Record {
                id: RecordId(at),
                key: None,
                offset_delta: 0,
                bytes: 39,
                timestamp_ms: 100 * at as i64,
                tombstone: false,
            };
            log.append_as_leader(Batch::new(vec![record], ProducerStamp::NONE), at as i32 / 4);
        }
        log.set_high_watermark(8);
        log
    }

    #[test]
    fn closed_segments_are_copied_and_then_leave_the_disk() {
        let mut log = log();
        assert_eq!(log.delete_old_segments(5_000).len(), 0, "nothing is copied");
        assert_eq!(
            log.copy_to_remote(3),
            Some((0, 2)),
            "below the last stable offset"
        );
        assert_eq!(
            log.copy_to_remote(8),
            Some((2, 6)),
            "the active segment stays"
        );
        assert_eq!(log.copy_to_remote(8), None);
        log.delete_old_segments(700);
        let starts = (log.start_offset(), log.local_start_offset());
        assert_eq!(starts, (0, 6));
        let ids: Vec<u64> = log.records(0, 8).map(|(_, _, it)| it.id.0).collect();
        assert_eq!(ids, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(log.read(0, 1_000, 8, true).is_err(), "not on local disk");
        let read = log.read_remote(3, 1_000, 8).expect("in remote storage");
        assert_eq!(
            read.iter().map(|it| it.base_offset).collect::<Vec<_>>(),
            [3]
        );
        assert_eq!(log.record_at(5).map(|it| it.id), Some(RecordId(5)));
        // Remote storage has a retention of its own.
        assert_eq!(log.expire_remote(1_350), Some(4));
        assert!(log.maybe_increment_start_offset(4));
        assert_eq!(log.expire_remote(1_350), None);
    }

    #[test]
    fn a_replica_starts_behind_remote_storage() {
        let mut leader = log();
        leader.copy_to_remote(8);
        let mut log: Log = Log::new(leader.config().clone());
        log.set_remote(Arc::clone(leader.remote().expect("copied")));
        log.restart_behind_remote(6);
        let seen = (log.start_offset(), log.local_start_offset(), log.leo());
        assert_eq!(seen, (0, 6, 6));
        assert_eq!(log.highest_remote_offset(), 5);
        let epochs: Vec<i32> = log.epochs().entries().iter().map(|it| it.epoch).collect();
        assert_eq!(epochs, [0, 1]);
        assert_eq!(log.record_at(5).map(|it| it.id), Some(RecordId(5)));
        assert_eq!(log.record_at(6), None);
    }
}
