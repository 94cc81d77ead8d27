//! How a replica is stored, as an onlooker sees it: segments, sparse indexes, what is in remote
//! storage, and compaction.
//!
//! A projection of a broker's log and of what the cleaner goes by. A module of its own, so that a
//! page that shows no storage need not load it.

use super::facts::Cluster;
use super::ids::TopicPartition;
use super::note::{Note, Rule};
use super::rules::cleaner_range::{LogToClean, cleanable_offsets};
use super::rules::partition_log::PartitionLog;
use crate::kernel::{MILLISECOND, NodeId, World};
use crate::log::{CleanupPolicy, Log, Segment};
use crate::systems::Node;
use crate::view::{
    CompactionPass, CompactionView, SegmentLine, SegmentPlace, StorageView, TierView,
};

/// A broker's replica of a partition, if it has one.
#[must_use]
pub fn storage(world: &World<Node>, node: NodeId, tp: TopicPartition) -> Option<StorageView> {
    let broker = Cluster(world).broker(node)?;
    let own = broker.partition(tp)?;
    let log = own.log;
    let policy = log.config().cleanup_policy;
    let wall_ms = world.clock(node).wall(world.now()) / MILLISECOND as i64;
    let compaction = policy
        .compact
        .then(|| compaction(own.partition_log, broker.compacted_to(tp), wall_ms));
    let clean_to = compaction.as_ref().map_or(0, |it| it.first_dirty);
    let (closed, active) = (log.closed_segments(), log.active_segment());
    let bases = closed.iter().skip(1).map(|it| it.base_offset());
    let ends = bases.chain([active.base_offset()]);
    let closed = closed.iter().zip(ends).map(|(it, end)| (&**it, end, false));
    let local = closed.chain([(active, active.end_offset(), true)]);
    let local = local.map(|(it, end, active)| {
        let line = segment(log, it, end, active);
        SegmentLine {
            clean: !active && end <= clean_to,
            ..line
        }
    });
    Some(StorageView {
        policy: match policy {
            CleanupPolicy::COMPACT_DELETE => "compact,delete",
            CleanupPolicy::COMPACT => "compact",
            CleanupPolicy::DELETE => "delete",
            _ => "none",
        },
        start: log.start_offset(),
        end: log.leo(),
        bytes: log.bytes(),
        segments: remote_only(log).chain(local).collect(),
        tier: tier(log),
        compaction,
    })
}

/// What is in remote storage and on the local disk no more.
fn remote_only(log: &Log) -> impl Iterator<Item = SegmentLine> {
    let first_closed = log.closed_segments().first().map(|it| it.base_offset());
    let local = first_closed.unwrap_or(log.active_segment().base_offset());
    let remote = log.remote().map(|it| it.as_slice()).unwrap_or_default();
    let gone = remote.iter().take_while(move |it| it.base_offset() < local);
    gone.map(|it| SegmentLine {
        place: SegmentPlace::Remote,
        ..segment(log, it, it.end_offset(), false)
    })
}

fn tier(log: &Log) -> Option<TierView> {
    let remote = log.remote();
    (log.config().remote_log_enabled() || remote.is_some()).then(|| TierView {
        local_start: log.local_start_offset().max(log.start_offset()),
        remote_end: log.highest_remote_offset() + 1,
        remote_bytes: remote.map_or(0, |it| it.iter().map(|it| it.bytes()).sum()),
    })
}

fn segment(log: &Log, it: &Segment, end: i64, active: bool) -> SegmentLine {
    let base = it.base_offset();
    let records: u64 = it.batches().map(|batch| batch.count() as u64).sum();
    let index = it.index(log.config().index_interval_bytes, !active);
    let offsets = index.offsets.iter();
    let times = index.times.iter();
    SegmentLine {
        base,
        end,
        bytes: it.bytes(),
        records,
        removed: end.abs_diff(base).saturating_sub(records),
        newest_ms: it.max_timestamp_ms(),
        active,
        place: match !active && end <= log.highest_remote_offset() + 1 {
            true => SegmentPlace::Copied,
            false => SegmentPlace::Local,
        },
        clean: false,
        offset_index: offsets.map(|it| (it.offset, it.position)).collect(),
        time_index: times.map(|it| (it.timestamp_ms, it.offset)).collect(),
    }
}

fn compaction(log: &PartitionLog, compacted_to: i64, wall_ms: i64) -> CompactionView {
    let range = cleanable_offsets(log, Some(compacted_to), wall_ms);
    let found = LogToClean::new(log, range.first_dirty, range.first_uncleanable, false);
    CompactionView {
        first_dirty: found.first_dirty,
        first_uncleanable: found.first_uncleanable,
        clean_bytes: found.clean_bytes,
        cleanable_bytes: found.cleanable_bytes,
        threshold_ppm: log.log().config().min_cleanable_dirty_ppm,
        last: None,
    }
}

/// Whether a note says that this replica was compacted.
#[must_use]
pub fn is_pass(note: &Note, node: NodeId, at: TopicPartition) -> bool {
    matches!(note, Note::Rule { node: by, rule: Rule::LogCompacted, tp: Some(tp), .. }
        if *by == node && *tp == at)
}

/// The pass that the notes of one event tell of.
#[must_use]
pub fn pass<'a>(
    notes: impl Iterator<Item = &'a Note>,
    node: NodeId,
    at: TopicPartition,
) -> CompactionPass {
    let mut pass = CompactionPass::default();
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    for note in notes {
        let Note::Rule {
            node: by,
            rule,
            tp: Some(tp),
            before,
            after,
            ..
        } = note
        else {
            continue;
        };
        if *by != node || *tp != at {
            continue;
        }
        match rule {
            Rule::LogCompacted => (pass.from, pass.to) = (*before, *after),
            Rule::CompactedRecords => {
                pass.kept = Some(count(*after));
                pass.superseded = count(before - after);
            }
            Rule::TombstonesRemoved => pass.tombstones = count(*after),
            Rule::AbortedRemoved => pass.aborted = count(*after),
            Rule::MarkersRemoved => pass.markers = count(*after),
            Rule::DeleteHorizonSet => pass.horizons = count(*after),
            _ => {}
        }
    }
    pass
}
