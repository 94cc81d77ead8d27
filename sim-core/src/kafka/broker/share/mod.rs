//! Share groups (KIP-932) at the leaders of partitions: who has which record, and until when.
//!
//! Follows `SharePartitionManager`, `DelayedShareFetch` and `SharePartition`, whose rules are in
//! [`crate::kafka::rules::share_partition`]. A fetch that finds nothing waits for the high
//! watermark, for a record that comes back, or for its time. A member whose connection ends gives
//! back what it had; one that falls silent keeps it until its locks run out.
//!
//! Simplified: there is no share coordinator. The state of a partition is the leader's alone and is
//! not written to `__share_group_state`: a new leader begins where `share.auto.offset.reset` says,
//! and whatever was in hand, or done, before that is forgotten. Share sessions are left out too.

mod fetch;

use super::alarm::Alarm;
use super::purgatory::Wake;
use super::{Broker, BrokerTimer, respond, span};
use crate::kafka::config::OffsetReset;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::protocol::Response;
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::share_partition::{ShareConfig, SharePartition};
use crate::kafka::share_protocol::{ShareAcknowledgement, ShareRequest, ShareResponse};
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a leader keeps of share groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Shares {
    partitions: BTreeMap<(Name, TopicPartition), Led>,
    /// Fetches that found nothing yet, oldest first.
    waiting: Vec<Waiting>,
    /// Which member speaks on a connection.
    members: BTreeMap<NodeId, Name>,
    alarm: Alarm,
}

/// A partition as a group has it, in the epoch in which this broker leads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Led {
    leader_epoch: i32,
    state: SharePartition<Name>,
}

/// A fetch that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Waiting {
    to: (NodeId, u32),
    group: Name,
    member: Name,
    max_records: u32,
    partitions: Vec<TopicPartition>,
    deadline: Nanos,
}

impl Broker {
    pub(super) fn on_share_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: ShareRequest,
        cx: &mut KafkaCx<'_>,
    ) {
        let to = (from, correlation);
        match request {
            ShareRequest::ShareFetch {
                group,
                member_id,
                max_wait_ms,
                max_records,
                partitions,
                acknowledgements,
            } => {
                let refused = self.take_acknowledgements(&group, &member_id, acknowledgements, cx);
                let shares = self.share.get_or_insert_with(Box::default);
                shares.members.insert(from, Arc::clone(&member_id));
                let fetch = Waiting {
                    to,
                    group,
                    member: member_id,
                    max_records,
                    partitions,
                    deadline: cx.now().saturating_add(span(max_wait_ms)),
                };
                self.share_fetch(fetch, refused, cx);
            }
            ShareRequest::ShareAcknowledge {
                group,
                member_id,
                acknowledgements,
            } => {
                let refused = self.take_acknowledgements(&group, &member_id, acknowledgements, cx);
                let response = ShareResponse::ShareAcknowledge { refused };
                respond(to.0, to.1, Response::Share(Box::new(response)), cx);
            }
        }
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    fn take_acknowledgements(
        &mut self,
        group: &Name,
        member: &Name,
        all: Vec<ShareAcknowledgement>,
        cx: &mut KafkaCx<'_>,
    ) -> Vec<(TopicPartition, ErrorCode)> {
        let mut refused = Vec::new();
        for it in all {
            let done = self.share_partition(group, it.tp, cx).and_then(|led| {
                let before = led.start_offset();
                led.acknowledge(member, it.first..=it.last, &[it.kind])?;
                Ok((before, led.start_offset()))
            });
            match done {
                Ok((before, after)) if before != after => {
                    note(group, ModernRule::ShareStart, it.tp, before, after, cx);
                }
                Ok(_) => {}
                Err(error) => {
                    let (number, rule) = (error as i64, ModernRule::AcknowledgeRefused);
                    note(group, rule, it.tp, it.first, number, cx);
                    refused.push((it.tp, error));
                }
            }
        }
        refused
    }

    /// A partition as a group has it, if this broker leads it; whatever ran out is taken back.
    fn share_partition(
        &mut self,
        group: &Name,
        tp: TopicPartition,
        cx: &mut KafkaCx<'_>,
    ) -> Result<&mut SharePartition<Name>, ErrorCode> {
        let led = self
            .partitions
            .get(tp)
            .filter(|it| it.leader_state().is_some());
        let partition = led.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let (leader_epoch, log) = (partition.leader_epoch, partition.log.log());
        let (log_start, hw) = (log.start_offset(), log.high_watermark());
        let start = match self.config.share_auto_offset_reset {
            OffsetReset::Earliest => log_start,
            _ => hw,
        };
        let config = ShareConfig {
            lock: span(self.config.share_record_lock_ms),
            delivery_count_limit: u16::try_from(self.config.share_delivery_count_limit)
                .unwrap_or(u16::MAX),
            max_record_locks: self.config.share_max_record_locks,
        };
        let shares = self.share.get_or_insert_with(Box::default);
        let fresh = || Led {
            leader_epoch,
            state: SharePartition::new(start, config),
        };
        let key = (Arc::clone(group), tp);
        let known = shares.partitions.entry(key).or_insert_with(fresh);
        if known.leader_epoch != leader_epoch {
            *known = fresh();
        }
        let before = known.state.start_offset();
        known.state.log_start_moved(log_start);
        expire(group, tp, known, cx);
        let after = known.state.start_offset();
        if before != after {
            note(group, ModernRule::ShareStart, tp, before, after, cx);
        }
        Ok(&mut known.state)
    }

    /// A lock or a wait is over.
    pub(super) fn on_share_timer(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        shares.alarm.fired();
        for ((group, tp), led) in &mut shares.partitions {
            expire(group, *tp, led, cx);
        }
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    /// The high watermark of a partition rose.
    pub(super) fn on_share_wake(&mut self, wake: Wake, cx: &mut KafkaCx<'_>) {
        if let Wake::HighWatermark(tp) = wake
            && self.share.as_ref().is_some_and(|it| it.waits_for(tp))
        {
            self.serve_waiting(cx);
            self.watch_shares(cx);
        }
    }

    /// A client is gone: what it had comes back.
    pub(super) fn share_client_gone(&mut self, peer: NodeId, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        shares.waiting.retain(|it| it.to.0 != peer);
        let Some(member) = shares.members.remove(&peer) else {
            return;
        };
        for led in shares.partitions.values_mut() {
            led.state.release(&member);
        }
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    fn watch_shares(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        let locks = shares.partitions.values();
        let locks = locks.filter_map(|it| it.state.next_expiry());
        let waits = shares.waiting.iter().map(|it| it.deadline);
        if let Some(at) = locks.chain(waits).min() {
            shares.alarm.by(at.max(cx.now()), BrokerTimer::Share, cx);
        }
    }

    /// Start and end offset of a partition as a share group has it, at this leader.
    #[must_use]
    pub fn share_offsets(&self, group: &str, tp: TopicPartition) -> Option<(i64, i64)> {
        self.partitions.get(tp)?.leader_state()?;
        let all = self.share.as_ref()?.partitions.iter();
        let mut own = all.filter(|((name, it), _)| &**name == group && *it == tp);
        let (_, led) = own.next()?;
        Some((led.state.start_offset(), led.state.end_offset()))
    }
}

impl Shares {
    fn waits_for(&self, tp: TopicPartition) -> bool {
        self.waiting.iter().any(|it| it.partitions.contains(&tp))
    }
}

/// Takes back what was not acknowledged in time.
fn expire(group: &Name, tp: TopicPartition, led: &mut Led, cx: &mut KafkaCx<'_>) {
    let now = cx.now();
    if led.state.next_expiry().is_none_or(|at| at > now) {
        return;
    }
    let before = led.state.start_offset();
    let first = led.state.next_fetch_offset();
    led.state.expire(now);
    let back = led.state.next_fetch_offset();
    note(group, ModernRule::LockExpired, tp, first, back, cx);
    let after = led.state.start_offset();
    if before != after {
        note(group, ModernRule::ShareStart, tp, before, after, cx);
    }
}

fn note(
    group: &Name,
    rule: ModernRule,
    tp: TopicPartition,
    before: i64,
    after: i64,
    cx: &mut KafkaCx<'_>,
) {
    let note = GroupNote {
        node: cx.me(),
        rule: Rule::Modern(rule),
        group: Arc::clone(group),
        member: None,
        tp: Some(tp),
        before,
        after,
    };
    cx.note(Note::Group(Box::new(note)));
}
