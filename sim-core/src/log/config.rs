//! The settings of one log, under their Kafka names.
//!
//! Follows `LogConfig`. Defaults are those of Kafka 4.x.

/// `cleanup.policy`: both, one or (since 4.2) none may be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct CleanupPolicy {
    /// Old segments are deleted by time and size.
    pub delete: bool,
    /// Only the latest value of each key is kept.
    pub compact: bool,
}

impl CleanupPolicy {
    /// `cleanup.policy=delete`.
    pub const DELETE: Self = Self {
        delete: true,
        compact: false,
    };
    /// `cleanup.policy=compact`.
    pub const COMPACT: Self = Self {
        delete: false,
        compact: true,
    };
    /// `cleanup.policy=compact,delete`.
    pub const COMPACT_DELETE: Self = Self {
        delete: true,
        compact: true,
    };
}

/// Settings of one log. Times in milliseconds, sizes in bytes.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would exceed this.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is closed when it spans more than this.
    pub segment_ms: i64,
    /// `retention.ms`; negative keeps records for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative sets no bound.
    pub retention_bytes: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `min.cleanable.dirty.ratio`, in millionths: a log is compacted when more of it is dirty.
    pub min_cleanable_dirty_ppm: u32,
    /// `min.compaction.lag.ms`: a record is not compacted before it is this old.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record this old is due for compaction whatever the ratio.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long a tombstone stays after the pass that first kept it.
    pub delete_retention_ms: i64,
    /// `index.interval.bytes`: records between two entries of the indexes.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: the size of an index, which closes the segment when it is full.
    pub segment_index_bytes: u32,
    /// `max.message.bytes`: the largest batch a leader accepts.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`: how far ahead of the broker's clock a record may be.
    pub timestamp_after_max_ms: i64,
    /// Tiered storage (KIP-405).
    pub tier: TierConfig,
    /// `flush.messages`: so many records that are not on disk are put there.
    #[serde(skip)]
    pub flush_messages: i64,
    /// `flush.ms`: what was not put on disk for so long is.
    #[serde(skip)]
    pub flush_ms: i64,
}

impl LogConfig {
    /// Whether the log is tiered: compacted topics never are.
    pub fn remote_log_enabled(&self) -> bool {
        self.tier.remote_storage_enable && !self.cleanup_policy.compact
    }

    /// Whether closed segments are being copied to remote storage.
    pub fn remote_copy_enabled(&self) -> bool {
        self.remote_log_enabled() && !self.tier.remote_copy_disable
    }

    /// Retention of the local log in ms and bytes. While segments are copied the local settings
    /// govern, which -2 lets inherit; with copying off the full ones do.
    pub(super) fn local_retention(&self) -> (i64, i64) {
        let inherit = |local: i64, full: i64| {
            if self.remote_copy_enabled() && local != INHERIT {
                local
            } else {
                full
            }
        };
        (
            inherit(self.tier.local_retention_ms, self.retention_ms),
            inherit(self.tier.local_retention_bytes, self.retention_bytes),
        )
    }
}

/// `local.retention.*` takes the value of `retention.*`.
const INHERIT: i64 = -2;

/// Settings of tiered storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct TierConfig {
    /// `remote.storage.enable` of the topic, on brokers that have remote storage.
    pub remote_storage_enable: bool,
    /// `remote.log.copy.disable`: nothing more is copied.
    pub remote_copy_disable: bool,
    /// `local.retention.ms`; -2 takes `retention.ms`.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`; -2 takes `retention.bytes`.
    pub local_retention_bytes: i64,
}

impl Default for TierConfig {
    fn default() -> Self {
        Self {
            remote_storage_enable: false,
            remote_copy_disable: false,
            local_retention_ms: INHERIT,
            local_retention_bytes: INHERIT,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            cleanup_policy: CleanupPolicy::DELETE,
            min_cleanable_dirty_ppm: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            index_interval_bytes: 4_096,
            segment_index_bytes: 10_485_760,
            max_message_bytes: 1_048_588,
            timestamp_after_max_ms: 3_600_000,
            tier: TierConfig::default(),
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
        }
    }
}
