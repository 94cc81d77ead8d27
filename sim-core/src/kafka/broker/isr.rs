//! Asking the controller to change ISRs.
//!
//! Follows `DefaultAlterPartitionManager` and the parts of `Partition` that submit to it: one
//! proposal per partition, all waiting ones in one request, one request under way. What may be
//! proposed and what an answer means is decided in [`crate::kafka::rules::isr`].

use super::alarm::Alarm;
use super::channel::Ask;
use super::partition::{Partition, statuses};
use super::{Broker, BrokerTimer, clock_ms, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{AlterPartitionData, AlteredPartition, Request};
use crate::kafka::rules::isr::{AlterOutcome, IsrCommit, IsrProposal};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pause before a failed request is sent again, ms.
const RETRY_MS: i64 = 50;

/// Proposals that the controller has not answered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct AlterPartitionManager {
    unanswered: BTreeMap<TopicPartition, IsrProposal>,
    retry: Alarm,
}

impl Broker {
    /// The check every half `replica.lag.time.max.ms`.
    pub(super) fn on_isr_expiration(&mut self, cx: &mut KafkaCx<'_>) {
        self.set_isr_expiration(cx);
        let now_ms = clock_ms(cx);
        let mut proposals = Vec::new();
        for (tp, partition) in self.partitions.iter_mut() {
            let leo = partition.log.log().leo();
            let Some(state) = partition.leader_mut() else {
                continue;
            };
            let before = state.isr().len() as i64;
            if let Some(proposal) = state.maybe_shrink(leo, now_ms) {
                proposals.push((tp, before, proposal));
            }
        }
        for (tp, before, proposal) in proposals {
            let after = proposal.isr.len() as i64;
            self.note_rule(Rule::IsrShrinkProposed, Some(tp), None, before, after, cx);
            self.submit_isr(tp, proposal, cx);
        }
    }

    /// Hands a proposal to the manager.
    pub(super) fn submit_isr(
        &mut self,
        tp: TopicPartition,
        proposal: IsrProposal,
        cx: &mut KafkaCx<'_>,
    ) {
        if self.alter_partition.unanswered.contains_key(&tp) {
            // One of an earlier leadership is still unanswered.
            self.take_isr_answer(tp, &proposal, Err(ErrorCode::OperationNotAttempted), cx);
            return;
        }
        self.alter_partition.unanswered.insert(tp, proposal);
        self.propagate_isr_changes(cx);
    }

    /// Sends what waits, unless a request is under way or no controller is known.
    pub(super) fn propagate_isr_changes(&mut self, cx: &mut KafkaCx<'_>) {
        let waits = !self.alter_partition.unanswered.is_empty();
        if !waits || self.alter_partition.retry.is_set() || self.is_asking(Ask::AlterPartition) {
            return;
        }
        let Some(controller) = self.controller_node() else {
            return;
        };
        let data = |(tp, proposal): (&TopicPartition, &IsrProposal)| AlterPartitionData {
            tp: *tp,
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch,
            new_isr: proposal.isr.clone(),
            // A leader counts as recovered from an unclean election from its start (KIP-704).
            recovered: true,
        };
        let request = Request::AlterPartition {
            broker: self.id,
            broker_epoch: self.lifecycle.epoch,
            partitions: self.alter_partition.unanswered.iter().map(data).collect(),
        };
        let timeout = span(self.config.request_timeout_ms);
        self.ask(Ask::AlterPartition, controller, timeout, request, cx);
    }

    pub(super) fn on_alter_partition_timer(&mut self, cx: &mut KafkaCx<'_>) {
        self.alter_partition.retry.fired();
        self.propagate_isr_changes(cx);
    }

    pub(super) fn alter_partition_failed(&mut self, cx: &mut KafkaCx<'_>) {
        let at = cx.now().saturating_add(span(RETRY_MS));
        self.alter_partition
            .retry
            .by(at, BrokerTimer::AlterPartition, cx);
    }

    pub(super) fn on_alter_partition(
        &mut self,
        error: ErrorCode,
        partitions: Vec<AlteredPartition>,
        cx: &mut KafkaCx<'_>,
    ) {
        if error.is_error() {
            self.alter_partition_failed(cx);
            return;
        }
        for altered in partitions {
            let Some(proposal) = self.alter_partition.unanswered.remove(&altered.tp) else {
                continue;
            };
            let answer = match altered.error {
                ErrorCode::None => Ok(IsrCommit {
                    isr: altered.isr,
                    leader_epoch: altered.leader_epoch,
                    partition_epoch: altered.partition_epoch,
                }),
                error => Err(error),
            };
            self.take_isr_answer(altered.tp, &proposal, answer, cx);
        }
        self.propagate_isr_changes(cx);
    }

    fn take_isr_answer(
        &mut self,
        tp: TopicPartition,
        proposal: &IsrProposal,
        answer: Result<IsrCommit, ErrorCode>,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = Arc::clone(self.meta.image());
        let now_ms = clock_ms(cx);
        let Some(partition) = self.partitions.get_mut(tp) else {
            return;
        };
        let leo = partition.log.log().leo();
        let Some(state) = partition.leader_mut() else {
            return;
        };
        let before = state.isr().len() as i64;
        let outcome = state.on_alter_partition_response(
            proposal,
            answer.as_ref().map_err(|error| *error),
            leo,
            now_ms,
            &statuses(&image),
        );
        let after = state.isr().len() as i64;
        match outcome {
            AlterOutcome::Committed { .. } => {
                partition.partition_epoch = answer.map_or(0, |commit| commit.partition_epoch);
                partition.sync_high_watermark(tp, &mut self.wakes, cx);
                if before != after {
                    self.note_rule(Rule::IsrChanged, Some(tp), None, before, after, cx);
                }
            }
            AlterOutcome::Retry => {
                let proposal = proposal.clone();
                self.alter_partition.unanswered.insert(tp, proposal);
                self.alter_partition_failed(cx);
            }
            AlterOutcome::Ignored | AlterOutcome::RolledBack | AlterOutcome::AwaitMetadata => {}
        }
    }

    /// A follower's fetch led to a proposal to let it into the ISR.
    pub(super) fn propose_expansion(
        &mut self,
        tp: TopicPartition,
        proposal: IsrProposal,
        cx: &mut KafkaCx<'_>,
    ) {
        let known = self.partitions.get(tp).and_then(Partition::leader_state);
        let before = known.map_or(0, |state| state.isr().len() as i64);
        let after = proposal.isr.len() as i64;
        self.note_rule(Rule::IsrExpandProposed, Some(tp), None, before, after, cx);
        self.submit_isr(tp, proposal, cx);
    }
}
