//! Share groups (KIP-932) at the leaders of partitions: who has which record, and until when.
//!
//! Follows `SharePartitionManager`, `DelayedShareFetch` and `SharePartition`, whose rules are in
//! [`crate::kafka::rules::share_partition`]. A fetch that finds nothing waits for the high
//! watermark, for a record that comes back, or for its time. A member whose connection ends gives
//! back what it had; one that falls silent keeps it until its locks run out.
//!
//! The state of a partition is read from its share coordinator before the first record is handed
//! out, and what changes is written to it, so that a new leader goes on where the old one was. Share
//! sessions are left out.

mod coordinator;
mod fetch;
mod persist;

use super::alarm::Alarm;
use super::purgatory::Wake;
use super::{Broker, BrokerTimer, span};
use crate::kafka::config::OffsetReset;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::share_partition::{ShareConfig, SharePartition, TakenBack};
use crate::kafka::rules::share_state::ShareKey;
use crate::kafka::share_protocol::{ShareAcknowledgement, ShareRequest};
use crate::kernel::{Nanos, NodeId};
use coordinator::{Asker, ShareCoordinator};
use persist::{Parked, Progress};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a leader keeps of share groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Shares {
    partitions: BTreeMap<ShareKey, Led>,
    /// Fetches that found nothing yet, oldest first.
    waiting: Vec<Waiting>,
    /// Which member speaks on a connection.
    members: BTreeMap<NodeId, Name>,
    /// Requests whose acknowledgements are being written, oldest first.
    parked: Vec<Parked>,
    /// Questions to share coordinators by number, and about what.
    questions: BTreeMap<u32, ShareKey>,
    next_question: u32,
    /// The coordinator, once this broker has led a partition of `__share_group_state`.
    coordinator: Option<ShareCoordinator>,
    alarm: Alarm,
}

/// A partition as a group has it, in the epoch in which this broker leads it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Led {
    leader_epoch: i32,
    state: SharePartition<Name>,
    progress: Progress,
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
                let (refused, after) = self.acknowledged(&group, &member_id, acknowledgements, cx);
                let shares = self.share.get_or_insert_default();
                shares.members.insert(from, Arc::clone(&member_id));
                let fetch = Some(Waiting {
                    to,
                    group,
                    member: member_id,
                    max_records,
                    partitions,
                    deadline: cx.now().saturating_add(span(max_wait_ms)),
                });
                let parked = Parked {
                    after,
                    refused,
                    to,
                    fetch,
                };
                self.park_share(parked, cx);
            }
            ShareRequest::ShareAcknowledge {
                group,
                member_id,
                acknowledgements,
            } => {
                let (refused, after) = self.acknowledged(&group, &member_id, acknowledgements, cx);
                let parked = Parked {
                    after,
                    refused,
                    to,
                    fetch: None,
                };
                self.park_share(parked, cx);
            }
            request => {
                self.on_share_state(Asker::Remote(from, correlation), request, cx);
                return;
            }
        }
        self.persist_shares(cx);
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    fn park_share(&mut self, it: Parked, cx: &mut KafkaCx<'_>) {
        match &mut self.share {
            Some(shares) if !it.after.is_empty() => shares.parked.push(it),
            _ => self.go_on(it, cx),
        }
    }

    /// Takes a member's word on records; what of it is refused, and what is to be written.
    fn acknowledged(
        &mut self,
        group: &Name,
        member: &Name,
        all: Vec<ShareAcknowledgement>,
        cx: &mut KafkaCx<'_>,
    ) -> Taken {
        let (mut refused, mut after) = (Vec::new(), Vec::new());
        for it in all {
            let done = self.share_partition(group, it.tp, cx).and_then(|led| {
                let before = led.state.start_offset();
                let offsets = it.first..=it.last;
                led.state.acknowledge(member, offsets, &[it.kind])?;
                let change = led.change().map(|change| (led.leader_epoch, change));
                Ok((before, led.state.start_offset(), change))
            });
            match done {
                Ok((before, now, change)) => {
                    let rule = ModernRule::RecordsAcknowledged(it.kind);
                    note_of(group, Some(member), rule, it.tp, it.first, it.last, cx);
                    if before != now {
                        note(group, ModernRule::ShareStart, it.tp, before, now, cx);
                    }
                    let key = (Arc::clone(group), it.tp);
                    after.extend(change.map(|(epoch, change)| (key, epoch, change)));
                }
                Err(error) => {
                    let (number, rule) = (error as i64, ModernRule::AcknowledgeRefused);
                    note(group, rule, it.tp, it.first, number, cx);
                    refused.push((it.tp, error));
                }
            }
        }
        (refused, after)
    }

    fn share_config(&self) -> ShareConfig {
        ShareConfig {
            lock: span(self.config.share_record_lock_ms),
            delivery_count_limit: u16::try_from(self.config.share_delivery_count_limit)
                .unwrap_or(u16::MAX),
            max_record_locks: self.config.share_max_record_locks,
        }
    }

    /// Where a group begins that has not read a partition yet.
    fn share_start(&self, tp: TopicPartition) -> i64 {
        let log = self.partitions.get(tp).map(|it| it.log.log());
        log.map_or(0, |log| match self.config.share_auto_offset_reset {
            OffsetReset::Earliest => log.start_offset(),
            _ => log.high_watermark(),
        })
    }

    /// A partition as a group has it, if this broker leads it; whatever ran out is taken back.
    fn share_partition(
        &mut self,
        group: &Name,
        tp: TopicPartition,
        cx: &mut KafkaCx<'_>,
    ) -> Result<&mut Led, ErrorCode> {
        let led = self
            .partitions
            .get(tp)
            .filter(|it| it.leader_state().is_some());
        let partition = led.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let (leader_epoch, log) = (partition.leader_epoch, partition.log.log());
        let log_start = log.start_offset();
        let config = self.share_config();
        let shares = self.share.get_or_insert_default();
        let fresh = || Led {
            leader_epoch,
            state: SharePartition::new(log_start, config),
            progress: Progress::default(),
        };
        let key = (Arc::clone(group), tp);
        let known = shares.partitions.entry(key).or_insert_with(fresh);
        if known.leader_epoch != leader_epoch {
            *known = fresh();
        }
        if known.progress.ready {
            let before = known.state.start_offset();
            known.state.log_start_moved(log_start);
            expire(group, tp, known, cx);
            let after = known.state.start_offset();
            if before != after {
                note(group, ModernRule::ShareStart, tp, before, after, cx);
            }
        }
        Ok(known)
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
        self.on_share_coordinator_timer(cx);
        self.persist_shares(cx);
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    /// The high watermark of a partition rose.
    pub(super) fn on_share_wake(&mut self, wake: Wake, cx: &mut KafkaCx<'_>) {
        let Wake::HighWatermark(tp) = wake else {
            return;
        };
        self.complete_share_writes(tp, cx);
        if self.share.as_ref().is_some_and(|it| it.waits_for(tp)) {
            self.serve_waiting(cx);
            self.persist_shares(cx);
            self.watch_shares(cx);
        }
    }

    /// A client is gone: what it had comes back.
    pub(super) fn share_client_gone(&mut self, peer: NodeId, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        shares.waiting.retain(|it| it.to.0 != peer);
        shares.parked.retain(|it| it.to.0 != peer);
        let Some(member) = shares.members.remove(&peer) else {
            return;
        };
        for ((group, tp), led) in &mut shares.partitions {
            let before = led.state.start_offset();
            note_taken_back(group, *tp, led.state.release(&member), cx);
            let after = led.state.start_offset();
            if before != after {
                note(group, ModernRule::ShareStart, *tp, before, after, cx);
            }
        }
        self.persist_shares(cx);
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
        let questions = shares.partitions.values();
        let questions = questions.filter_map(|it| it.progress.next_question());
        let coordinator = shares.coordinator.as_ref();
        let writes = coordinator.and_then(ShareCoordinator::next_deadline);
        if let Some(at) = locks.chain(waits).chain(questions).chain(writes).min() {
            shares.alarm.by(at.max(cx.now()), BrokerTimer::Share, cx);
        }
    }

    /// Start and end offset of a partition as a share group has it, at this leader.
    #[must_use]
    pub fn share_offsets(&self, group: &str, tp: TopicPartition) -> Option<(i64, i64)> {
        let state = self.share_state(group, tp)?;
        Some((state.start_offset(), state.end_offset()))
    }

    /// A partition as a share group has it, at this leader; none before its state has been read.
    #[must_use]
    pub fn share_state(&self, group: &str, tp: TopicPartition) -> Option<&SharePartition<Name>> {
        self.partitions.get(tp)?.leader_state()?;
        let all = self.share.as_ref()?.partitions.iter();
        let mut own = all.filter(|((name, it), _)| &**name == group && *it == tp);
        let (_, led) = own.next().filter(|(_, led)| led.progress.ready)?;
        Some(&led.state)
    }
}

/// What of a request is refused, and what it is to wait for.
type Taken = (Vec<(TopicPartition, ErrorCode)>, Vec<(ShareKey, i32, u64)>);

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
    let taken = led.state.expire(now);
    let back = led.state.next_fetch_offset();
    note(group, ModernRule::LockExpired, tp, first, back, cx);
    note_taken_back(group, tp, taken, cx);
    let after = led.state.start_offset();
    if before != after {
        note(group, ModernRule::ShareStart, tp, before, after, cx);
    }
}

fn note_taken_back(
    group: &Name,
    tp: TopicPartition,
    taken: Vec<TakenBack<Name>>,
    cx: &mut KafkaCx<'_>,
) {
    for (member, run) in taken {
        let (rule, member) = (ModernRule::RecordsTakenBack, Some(&member));
        note_of(group, member, rule, tp, *run.start(), *run.end(), cx);
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
    note_of(group, None, rule, tp, before, after, cx);
}

fn note_of(
    group: &Name,
    member: Option<&Name>,
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
        member: member.map(Arc::clone),
        tp: Some(tp),
        before,
        after,
        record: None,
    };
    cx.note(Note::Group(Box::new(note)));
}
