//! What holds a last stable offset back, and what keeps a group's offset pending, in words.
//!
//! The last stable offset is the lower of the high watermark and the first offset of the oldest
//! transaction that is open, or whose marker is not yet below the high watermark (`UnifiedLog`,
//! `ProducerStateManager`). Whether that transaction will ever end is not in the partition's log:
//! only its coordinator knows it, or knows nothing of it (a hanging transaction). Here an onlooker
//! asks all coordinators that run; no rule uses this.

use super::facts::Cluster;
use super::ids::TopicPartition;
use super::rules::producer_state::ProducerStateManager;
use super::rules::txn::{TransactionMetadata, TransactionState};
use crate::kernel::NodeId;

const SOURCE: &str = "UnifiedLog.lastStableOffset, ProducerStateManager.firstUnstableOffset";
const PENDING: &str = "OffsetMetadataManager.pendingTransactionalOffsets, KIP-447";

/// What stands behind a value: a sentence and its source.
pub type Reason = (String, &'static str);

/// Why the last stable offset of a partition stands where it does, at this node's copy; `names` are
/// those of the nodes. `None` without a copy.
#[must_use]
pub fn last_stable(
    cluster: Cluster<'_>,
    node: NodeId,
    tp: TopicPartition,
    names: &[String],
) -> Option<Reason> {
    let view = cluster.broker(node)?.partition(tp)?;
    let log = view.partition_log;
    let (stable, hw) = (log.last_stable_offset(), view.hw);
    let text = match pin(log.producers()) {
        Some(Pin::Open(producer, first)) if first < hw => format!(
            "last stable offset {stable}: the transaction of producer id {producer} is open from \
             offset {first} on{}. {}",
            since(view.log, first),
            fate(cluster, producer, Some(tp), names)
        ),
        Some(Pin::Marked(producer, first)) if first < hw => format!(
            "last stable offset {stable}: the transaction of producer id {producer} from offset \
             {first} on has its marker, but the high watermark {hw} has not passed it"
        ),
        _ => format!(
            "last stable offset {stable}: no transaction is open below the high watermark {hw}"
        ),
    };
    Some((text, SOURCE))
}

/// Which transactions keep the offset of a group pending, at this coordinator.
#[must_use]
pub fn pending_offset(
    cluster: Cluster<'_>,
    node: NodeId,
    (group, tp): (&str, TopicPartition),
    names: &[String],
) -> Option<Reason> {
    let broker = cluster.broker(node)?;
    let (producer, offset, at_ms) = broker.pending_offsets(group, tp).next()?;
    let text = format!(
        "group {group}: offset {offset} was sent at {} in the transaction of producer id {producer}, \
         and counts once that is committed; until it ends, whoever asks is told \
         UNSTABLE_OFFSET_COMMIT. {}",
        instant(at_ms),
        fate(cluster, producer, None, names)
    );
    Some((text, PENDING))
}

enum Pin {
    /// Producer id and first offset.
    Open(i64, i64),
    /// Likewise; its marker is written.
    Marked(i64, i64),
}

fn pin(producers: &ProducerStateManager) -> Option<Pin> {
    let first = producers.first_unstable_offset()?;
    let mut open = producers.ongoing();
    let open = open.find(|it| it.first_offset == first);
    Some(match open {
        Some(it) => Pin::Open(it.producer_id, first),
        None => Pin::Marked(producers.unreplicated().next()?.producer_id, first),
    })
}

/// What the coordinators know of a producer's transaction.
fn fate(
    cluster: Cluster<'_>,
    producer: i64,
    at: Option<TopicPartition>,
    names: &[String],
) -> String {
    let brokers = cluster.brokers().filter(|(node, _)| cluster.runs(*node));
    let mut known = brokers.flat_map(|(node, broker)| {
        let ids = broker.transactional_ids();
        ids.map(move |(id, it)| (node, id, it))
    });
    let found = known.find(|(.., it)| it.current.producer_id == producer);
    let Some((node, id, metadata)) = found else {
        return "No coordinator that runs knows its producer id".to_owned();
    };
    let name = names.get(node.0 as usize).map_or("?", String::as_str);
    let of = format!("Its transactional.id is {id}, its coordinator {name}");
    let has = at.is_none_or(|tp| metadata.current.partitions.contains(&tp));
    format!("{of}, {}", state(metadata, has))
}

fn state(metadata: &TransactionMetadata, has: bool) -> String {
    let now = &metadata.current;
    match now.state {
        TransactionState::Ongoing if has => format!(
            "where it is ONGOING {}: unless its producer ends it, it will be aborted after {} \
             (transaction.timeout.ms = {})",
            clock(now.start_ms),
            instant(now.start_ms.saturating_add(i64::from(now.timeout_ms))),
            now.timeout_ms
        ),
        TransactionState::PrepareCommit | TransactionState::PrepareAbort if has => {
            let end = match now.state {
                TransactionState::PrepareCommit => "commit",
                _ => "abort",
            };
            let decided = clock(now.last_update_ms);
            format!("where its {end} is decided {decided}: markers are on their way")
        }
        other => format!(
            "which knows of no open transaction with this partition (it is {}): nothing will end \
             it. A hanging transaction, which kafka-transactions.sh can abort",
            other.name()
        ),
    }
}

/// When the record at an offset was made.
fn since(log: &crate::log::Log, offset: i64) -> String {
    let made = log.record_at(offset).map(|it| clock(it.timestamp_ms));
    made.map_or_else(String::new, |it| format!(", {it}"))
}

/// Since when something is, by a wall clock.
pub(super) fn clock(at_ms: i64) -> String {
    format!("since {}", instant(at_ms))
}

/// A wall clock's time; it starts with the run.
fn instant(at_ms: i64) -> String {
    format!(
        "{}.{:03} s",
        at_ms.div_euclid(1_000),
        at_ms.rem_euclid(1_000)
    )
}
