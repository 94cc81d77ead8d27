//! Regular work: checkpoints, writeback, flushes by time, retention.
//!
//! Follows `ReplicaManager.checkpointHighWatermarks`, `LogManager.cleanupLogs` and `flushDirtyLogs`
//! and, for writeback, the operating system: Kafka itself does not flush while it runs, except a
//! segment that is closed and what `flush.messages` and `flush.ms` ask for. The latter is looked at
//! every `log.flush.scheduler.interval.ms`, which by default is never. Left out: the time that a
//! flush takes from whoever waits for it.

use super::{Broker, BrokerTimer, span};
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kernel::Nanos;

/// Shortest pause between two rounds of regular work, so that a setting of 0 stops no clock.
const SHORTEST_PAUSE: Nanos = 1_000_000;

impl Broker {
    pub(super) fn start_upkeep(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_isr_expiration(cx);
        self.set_checkpoint(cx);
        self.set_writeback(cx);
        self.set_retention(cx);
        self.set_flush(cx);
    }

    fn set_flush(&self, cx: &mut KafkaCx<'_>) {
        let every = self.config.flush_scheduler_ms;
        if every < i64::MAX {
            set(every, BrokerTimer::Flush, cx);
        }
    }

    pub(super) fn on_flush(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_flush(cx);
        let wall_ms = cx.wall_ms();
        for partition in self.partitions.values_mut() {
            partition.log.flush_if_due(wall_ms);
        }
    }

    fn set_retention(&self, cx: &mut KafkaCx<'_>) {
        set(self.config.retention_check_ms, BrokerTimer::Retention, cx);
    }

    pub(super) fn set_isr_expiration(&self, cx: &mut KafkaCx<'_>) {
        let half = self.config.replica_lag_time_max_ms / 2;
        set(half, BrokerTimer::IsrExpiration, cx);
    }

    fn set_checkpoint(&self, cx: &mut KafkaCx<'_>) {
        let every = self.config.high_watermark_checkpoint_ms;
        set(every, BrokerTimer::HighWatermarkCheckpoint, cx);
    }

    fn set_writeback(&self, cx: &mut KafkaCx<'_>) {
        set(self.config.writeback_ms, BrokerTimer::Writeback, cx);
    }

    pub(super) fn on_high_watermark_checkpoint(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_checkpoint(cx);
        for partition in self.partitions.values_mut() {
            partition.write_checkpoint();
        }
    }

    pub(super) fn on_writeback(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_writeback(cx);
        for partition in self.partitions.values_mut() {
            partition.log.flush();
        }
    }

    pub(super) fn on_retention(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_retention(cx);
        let wall_ms = cx.wall_ms();
        let mut plain = Vec::new();
        for (tp, partition) in self.partitions.iter_mut() {
            partition.log.remove_expired_producers(wall_ms);
            // The cleaner does it for logs that it compacts.
            if !partition.log.log().config().cleanup_policy.compact {
                plain.push(tp);
            }
        }
        for tp in plain {
            self.delete_old_segments(tp, wall_ms, cx);
        }
    }

    /// One retention pass over a log.
    pub(super) fn delete_old_segments(
        &mut self,
        tp: TopicPartition,
        wall_ms: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let before = partition.log.log().start_offset();
        let local = partition.log.log().local_start_offset();
        partition.log.delete_old_segments(wall_ms);
        let after = partition.log.log().start_offset();
        let local_after = partition.log.log().local_start_offset();
        if local_after > local.max(after) {
            let rule = Rule::LocalLogStart;
            self.note_rule(rule, Some(tp), None, local, local_after, cx);
        }
        if before != after {
            self.note_rule(Rule::LogStart, Some(tp), None, before, after, cx);
            self.note_dropped(tp, before, after, true, cx);
        }
    }
}

fn set(ms: i64, timer: BrokerTimer, cx: &mut KafkaCx<'_>) {
    cx.set_timer(span(ms).max(SHORTEST_PAUSE), timer.into());
}
