//! Transactions as an onlooker sees them: where the last stable offset stands, what is open, which
//! records belong to it or to a transaction that was aborted, and the markers.
//!
//! A projection like [`super::view`], of each copy's own producers and transaction index
//! (`ProducerStateManager`, `TransactionIndex`). It is a module of its own, so that a page that
//! shows no transaction need not load it.

use super::broker::PartitionView;
use super::facts::Cluster;
use super::ids::TopicPartition;
use super::rules::partition_log::PartitionLog;
use super::txn_pin::clock;
use crate::kernel::{NodeId, World};
use crate::log::ControlMarker;
use crate::systems::Node;
use crate::view::{Cell, CellTransaction, Fact, Lane, Mark, MarkKind, StageView};
use std::collections::BTreeMap;

/// Whether a log knows of transactions: one is open, was aborted, or a marker was written.
fn has_any(log: &PartitionLog) -> bool {
    let mut known = log.producers().producers().iter();
    known.any(|it| it.coordinator_epoch >= 0 || it.current_txn_first_offset.is_some())
        || !log.aborted_txns().is_empty()
}

/// Whether a copy that has cells on the stage knows of transactions.
#[must_use]
pub fn shows_any(view: &StageView, world: &World<Node>) -> bool {
    let cluster = Cluster(world);
    view.nodes.iter().any(|node| {
        let broker = cluster.broker(NodeId(node.id));
        let mut shown = node.lanes.iter().filter(|it| !it.cells.is_empty());
        shown.any(|lane| {
            let tp = cluster.partition_named(&lane.id);
            let own = tp.and_then(|tp| broker.as_ref()?.partition(tp));
            own.is_some_and(|own| has_any(own.partition_log))
        })
    })
}

/// Writes transactions onto the stage: on every copy whose cells belong to one that is open or was
/// aborted; on the leader's the last stable offset, and what is open.
pub fn mark(view: &mut StageView, world: &World<Node>) {
    let cluster = Cluster(world);
    let Some(image) = cluster.image() else {
        return;
    };
    // Each name is written once, not once for each copy and each partition before it.
    let all = image.partitions.keys();
    let named: BTreeMap<String, TopicPartition> = all.map(|tp| (image.name(*tp), *tp)).collect();
    for node in &mut view.nodes {
        let Some(broker) = cluster.broker(NodeId(node.id)) else {
            continue;
        };
        for lane in &mut node.lanes {
            let tp = named.get(&lane.id);
            if let Some(own) = tp.and_then(|tp| broker.partition(*tp)) {
                mark_cells(lane, &own);
                if has_any(own.partition_log) {
                    add_markers(lane, &own);
                }
                if lane.leads {
                    mark_leader(lane, &own);
                }
            }
        }
    }
}

fn mark_cells(lane: &mut Lane, own: &PartitionView<'_>) {
    let (log, producers) = (own.partition_log, own.partition_log.producers());
    let open = producers.ongoing().map(|it| {
        (
            it.producer_id,
            it.first_offset..=i64::MAX,
            CellTransaction::Open,
        )
    });
    let aborted = log.aborted_txns().iter().map(|it| {
        let span = it.first_offset..=it.last_offset;
        (it.producer_id, span, CellTransaction::Aborted)
    });
    let spans: Vec<_> = aborted.chain(open).collect();
    let (Some(first), false) = (lane.cells.first(), spans.is_empty()) else {
        return;
    };
    let mut records = own.log.records(first.offset, lane.end).peekable();
    for cell in &mut lane.cells {
        while records.next_if(|it| it.0 < cell.offset).is_some() {}
        let Some((offset, batch, _)) = records.peek().filter(|it| it.0 == cell.offset) else {
            continue;
        };
        let of = spans.iter().find(|(producer, span, _)| {
            batch.transactional && batch.producer.id == *producer && span.contains(offset)
        });
        cell.transaction = of.map(|it| it.2).filter(|_| !batch.is_control());
    }
}

/// Markers are no records, so that the plain stage leaves their offsets empty.
fn add_markers(lane: &mut Lane, own: &PartitionView<'_>) {
    let Some(first) = lane.cells.first().map(|it| it.offset) else {
        return;
    };
    let batches = own.log.batches_from(first);
    let markers = batches.filter_map(|batch| {
        let transaction = match batch.control? {
            ControlMarker::Commit => CellTransaction::Commit,
            ControlMarker::Abort => CellTransaction::Abort,
            ControlMarker::LeaderChange | ControlMarker::Emptied => return None,
        };
        Some(Cell {
            offset: batch.base_offset,
            record: None,
            key: None,
            committed: batch.base_offset < own.hw,
            flushed: batch.base_offset < own.log.flushed_offset(),
            epoch: batch.leader_epoch,
            batch_start: true,
            diverged: false,
            transaction: Some(transaction),
        })
    });
    lane.cells.extend(markers);
    lane.cells.sort_by_key(|it| it.offset);
}

fn mark_leader(lane: &mut Lane, own: &PartitionView<'_>) {
    let stable = own.partition_log.last_stable_offset();
    if stable < own.hw {
        lane.marks.push(Mark {
            kind: MarkKind::Stable,
            label: format!("last stable offset {stable}"),
            offset: stable,
        });
    }
    let producers = own.partition_log.producers();
    let open = producers.ongoing().map(|it| {
        let epoch = producers.entry(it.producer_id).map_or(-1, |it| it.epoch);
        let made = own.log.record_at(it.first_offset);
        let since = made.map_or_else(String::new, |it| format!(", {}", clock(it.timestamp_ms)));
        format!(
            "from offset {}, producer id {} epoch {epoch}{since}",
            it.first_offset, it.producer_id
        )
    });
    let open: Vec<String> = open.collect();
    if let Some(oldest) = open.first().filter(|_| lane.note.is_empty()) {
        let more = match open.len() {
            1 => String::new(),
            all => format!(", and {} more", all - 1),
        };
        lane.note = format!("open transaction {oldest}{more}");
    }
    lane.facts.extend(open.into_iter().map(|value| Fact {
        label: "open transaction".to_owned(),
        value,
        subject: None,
    }));
}
