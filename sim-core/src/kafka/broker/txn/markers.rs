//! Sending markers: to the leader of every partition of a transaction, until each has one.
//!
//! Follows `TransactionMarkerChannelManager` and `TransactionMarkerRequestCompletionHandler`. A
//! partition without a known leader waits; one that is gone is left out. A coordinator that was
//! replaced stops.

use super::super::channel::Ask;
use super::super::{Broker, span};
use super::{Asker, RETRY, Then};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Request;
use crate::kafka::rules::txn::{MarkerWork, TxnWrite};
use crate::kafka::txn_protocol::TxnRequest;
use crate::kernel::Nanos;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Markers of one transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Marking {
    pub(super) work: MarkerWork,
    /// Partitions that have none yet.
    left: BTreeSet<TopicPartition>,
    /// Of these, asked for, and of whom.
    asked: BTreeMap<TopicPartition, BrokerId>,
    /// When to try the rest again, ns.
    again: Option<Nanos>,
    /// All have one; the completion is being written.
    completing: bool,
}

impl Marking {
    pub(super) fn again(&self) -> Option<Nanos> {
        self.again
    }
}

impl Broker {
    pub(super) fn start_markers(&mut self, work: MarkerWork, cx: &mut KafkaCx<'_>) {
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        coordinator.next_marking = coordinator.next_marking.wrapping_add(1);
        let number = coordinator.next_marking;
        let marking = Marking {
            left: work.partitions.clone(),
            work,
            asked: BTreeMap::new(),
            again: None,
            completing: false,
        };
        coordinator.marking.insert(number, marking);
        self.send_markers(number, cx);
    }

    fn marking(&mut self, number: u32) -> Option<&mut Marking> {
        self.coordinator()?.marking.get_mut(&number)
    }

    /// Asks for all markers that are missing and not under way.
    fn send_markers(&mut self, number: u32, cx: &mut KafkaCx<'_>) {
        let image = std::sync::Arc::clone(self.meta.image());
        let Some(marking) = self.marking(number) else {
            return;
        };
        marking.again = None;
        // A deleted partition needs none.
        marking.left.retain(|tp| image.partitions.contains_key(tp));
        let mut by_leader: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        let mut leaderless = false;
        for tp in &marking.left {
            if marking.asked.contains_key(tp) {
                continue;
            }
            match image.partitions.get(tp).map(|it| it.leader) {
                Some(leader) if leader >= 0 => by_leader.entry(leader).or_default().push(*tp),
                _ => leaderless = true,
            }
        }
        for (leader, partitions) in &by_leader {
            let asked = partitions.iter().map(|tp| (*tp, *leader));
            marking.asked.extend(asked);
        }
        let work = marking.work.clone();
        if leaderless {
            self.try_markers_again(number, cx);
        }
        for (leader, partitions) in by_leader {
            self.ask_for_markers(number, &work, leader, partitions, cx);
        }
        self.maybe_complete(number, cx);
    }

    fn ask_for_markers(
        &mut self,
        number: u32,
        work: &MarkerWork,
        leader: BrokerId,
        partitions: Vec<TopicPartition>,
        cx: &mut KafkaCx<'_>,
    ) {
        let producer = (work.producer_id, work.producer_epoch);
        let coordinator_epoch = work.complete.coordinator_epoch;
        if leader == self.id {
            let (to, marker) = (Asker::Markers(number), (work.result, work.version));
            self.write_markers(to, producer, coordinator_epoch, marker, &partitions, cx);
            return;
        }
        let Some(node) = self.book.broker(leader) else {
            self.markers_failed(number, leader, cx);
            return;
        };
        let request = TxnRequest::WriteTxnMarkers {
            producer,
            coordinator_epoch,
            result: work.result,
            version: work.version,
            partitions,
        };
        let timeout = span(self.config.request_timeout_ms);
        let request = Request::Txn(Box::new(request));
        self.ask(Ask::Markers(number), node, timeout, request, cx);
    }

    fn try_markers_again(&mut self, number: u32, cx: &mut KafkaCx<'_>) {
        let at = cx.now().saturating_add(RETRY);
        if let Some(marking) = self.marking(number) {
            marking.again = Some(at);
            self.watch_txn_at(at, cx);
        }
    }

    /// A leader could not be asked.
    pub(in super::super) fn markers_failed(
        &mut self,
        number: u32,
        leader: BrokerId,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Some(marking) = self.marking(number) {
            marking.asked.retain(|_, asked| *asked != leader);
            self.try_markers_again(number, cx);
        }
    }

    /// A leader has answered.
    pub(in super::super) fn on_markers_written(
        &mut self,
        number: u32,
        partitions: &[(TopicPartition, ErrorCode)],
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(marking) = self.marking(number) else {
            return;
        };
        let (mut again, mut fenced) = (false, false);
        for (tp, error) in partitions {
            marking.asked.remove(tp);
            match error {
                ErrorCode::None => {
                    marking.left.remove(tp);
                }
                // A newer coordinator, or a newer producer: this one has nothing more to say.
                ErrorCode::TransactionCoordinatorFenced | ErrorCode::InvalidProducerEpoch => {
                    fenced = true;
                }
                _ => again = true,
            }
        }
        if fenced {
            if let Some(coordinator) = self.coordinator() {
                coordinator.marking.remove(&number);
            }
            return;
        }
        if again {
            self.try_markers_again(number, cx);
        }
        self.maybe_complete(number, cx);
    }

    /// Writes the completion once every partition has its marker.
    fn maybe_complete(&mut self, number: u32, cx: &mut KafkaCx<'_>) {
        let Some(marking) = self.marking(number) else {
            return;
        };
        if !marking.left.is_empty() || marking.completing {
            return;
        }
        marking.completing = true;
        let write = marking.work.complete.clone();
        self.write_txn(write, Then::Complete(number), cx);
    }

    /// The completion is in the log, or must be tried again.
    pub(super) fn completion_written(
        &mut self,
        number: u32,
        write: &TxnWrite,
        error: ErrorCode,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        if error.is_error() && coordinator.manager.is_current(write) {
            if let Some(marking) = coordinator.marking.get_mut(&number) {
                marking.completing = false;
            }
            self.try_markers_again(number, cx);
            return;
        }
        let told = coordinator.manager.written(write, error);
        let done = coordinator.marking.remove(&number);
        if let Some(done) = done.filter(|_| !told.is_error()) {
            self.note_prepared(&done.work, Rule::TxnCompleted, cx);
        }
    }

    pub(super) fn retry_markers(&mut self, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        let Some(coordinator) = self.coordinator() else {
            return;
        };
        let due = coordinator.marking.iter();
        let due = due.filter(|(_, it)| it.again.is_some_and(|at| at <= now));
        let due: Vec<u32> = due.map(|(number, _)| *number).collect();
        for number in due {
            self.send_markers(number, cx);
        }
    }
}
