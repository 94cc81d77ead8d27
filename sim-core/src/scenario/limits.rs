//! The limits of a scenario: a file that is too big for a browser tab is refused with a sentence,
//! not with a frozen page.

use crate::kernel::{Nanos, SECOND};

/// Bytes of a scenario text.
pub const TEXT_BYTES: usize = 256 * 1024;
/// Nodes of all systems together (a set of nodes is one 64-bit mask).
pub const NODES: usize = 64;
/// Partitions times replicas.
pub const REPLICAS: usize = 1_000;
/// Firings of the timeline, entries that repeat counted as often as they fire. What `when` sets off
/// cannot be counted beforehand: a run that comes to so many is stopped there.
pub const FIRINGS: u64 = 10_000;
/// Captions, and expectations.
pub const SENTENCES: usize = 1_000;
/// Simulated time, ns.
pub const DURATION: Nanos = 30 * 24 * 3_600 * SECOND;
/// Events a run may be expected to take, by a rough count from its load and its timers. A run that
/// takes so many all the same is stopped there.
pub const EVENTS: u64 = 50_000_000;
/// Records a run may send, by a count from its load and the orders of its timeline. A run that
/// sends so many all the same is stopped there. (The ledger and the logs remember each record.)
pub const RECORDS: u64 = 10_000_000;
/// Records of one order to send, and records that a producer may still have to send by order.
pub const ORDERED_RECORDS: u32 = 1_000_000;
/// Operators of a job.
pub const OPERATORS: usize = 100;
/// Subtasks of all operators of a job together.
pub const SUBTASKS: u64 = 1_000;
/// Channels between all subtasks of a job.
pub const CHANNELS: u64 = 10_000;
/// Splits of a source.
pub const SPLITS: u32 = 1_000;
/// Keys that a load makes records of.
pub const STREAM_KEYS: u32 = 2_000_000;
/// Depth of a predicate.
pub const DEPTH: u32 = 64;
/// Characters of a predicate.
pub const PREDICATE_CHARS: usize = 4_096;
/// Characters of a name.
pub const NAME_CHARS: usize = 64;
/// Problems reported for one text.
pub const DIAGNOSTICS: usize = 200;
