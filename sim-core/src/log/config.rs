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
    /// `max.message.bytes`: the largest batch a leader accepts.
    pub max_message_bytes: u32,
    /// `message.timestamp.after.max.ms`: how far ahead of the broker's clock a record may be.
    pub timestamp_after_max_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            retention_ms: 604_800_000,
            retention_bytes: -1,
            cleanup_policy: CleanupPolicy::DELETE,
            max_message_bytes: 1_048_588,
            timestamp_after_max_ms: 3_600_000,
        }
    }
}
