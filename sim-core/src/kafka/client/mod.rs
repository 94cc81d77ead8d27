//! What producers and consumers share: connections to brokers, metadata, and the clock of both.
//!
//! Follows `NetworkClient`, `Metadata` and `ExponentialBackoff` of Kafka's Java client. A client is
//! one thread here as there: nothing happens between two of its inputs. Left out: quotas and
//! throttling, telemetry, versions of requests.

mod alarm;
mod backoff;
mod connections;
mod metadata;
mod network;
mod racks;

pub(super) use alarm::Alarm;
pub(super) use backoff::Backoff;
pub use metadata::ClientMetadata;
pub(super) use network::{Client, Event, Lost, Timing};
pub(in crate::kafka) use racks::PartitionRacks;

use crate::kernel::{MILLISECOND, Nanos};

/// No deadline.
pub(super) const NEVER: Nanos = Nanos::MAX;

/// A span of a setting in ms as ns; what is negative counts as none.
pub(super) fn span(ms: i64) -> Nanos {
    u64::try_from(ms).unwrap_or(0).saturating_mul(MILLISECOND)
}
