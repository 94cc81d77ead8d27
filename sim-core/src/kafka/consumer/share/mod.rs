//! A `KafkaShareConsumer` (KIP-932): it takes records that nobody else has, one `poll()` after the
//! other, and says what became of each.
//!
//! Follows `ShareConsumerImpl`, `ShareConsumeRequestManager` and `ShareMembershipManager`. It asks
//! the leaders of its partitions when it has nothing left, and tells them with that what it is
//! done with: with implicit acknowledgement the next `poll()` accepts all that the last one
//! returned, with explicit acknowledgement the application accepts, releases or rejects
//! each record.
//!
//! Left out: share sessions, prefetching, `max.poll.interval.ms` and the renewal of locks.

mod heartbeat;

use super::group::{GroupAbout, Membership};
use super::{About, Consumer};
use crate::kafka::client::NEVER;
use crate::kafka::group_config::AcknowledgementMode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Note;
use crate::kafka::protocol::Request;
use crate::kafka::rules::share_partition::AcknowledgeType;
use crate::kafka::share_protocol::{ShareAcknowledgement, ShareRequest, ShareResponse};
use crate::kernel::Nanos;
use crate::log::RecordId;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// A record that this member has.
type Task = (RecordId, TopicPartition, i64);

/// What a share consumer keeps besides its membership, whose generation is its epoch.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Share {
    pub(super) assigned: BTreeSet<u16>,
    interval: Nanos,
    next: Nanos,
    not_before: Nanos,
    in_flight: bool,
    /// Leaders with a fetch under way.
    fetching: Vec<BrokerId>,
    /// No fetch before this, after an error, ns.
    fetch_not_before: Nanos,
    /// Fetched, and not returned by `poll()` yet.
    buffer: VecDeque<Task>,
    /// Returned by `poll()`, and not done yet.
    hand: VecDeque<Task>,
    done_at: Nanos,
    /// Done, and not told to the leaders yet.
    done: Vec<ShareAcknowledgement>,
    pub(super) processed: u64,
}

impl Consumer {
    /// One turn of the application's loop and of the background thread.
    pub(super) fn run_share(&mut self, member: &mut Membership, cx: &mut KafkaCx<'_>) {
        let Some(mut share) = member.share.take() else {
            return;
        };
        if !member.has_ended() {
            self.beat_share(member, &mut share, cx);
            self.work_on_shared(member, &mut share, cx);
            if member.closing {
                self.close_share(member, &mut share, cx);
            } else if self.polling && share.hand.is_empty() {
                self.poll_share(member, &mut share, cx);
            }
        }
        member.share = Some(share);
    }

    /// `poll()`.
    fn poll_share(&mut self, member: &Membership, share: &mut Share, cx: &mut KafkaCx<'_>) {
        let group = Some(Arc::clone(&member.group));
        let many = self.config.max_poll_records.max(1) as usize;
        while share.hand.len() < many
            && let Some((record, tp, offset)) = share.buffer.pop_front()
        {
            self.delivered += 1;
            cx.note(Note::Delivered {
                node: cx.me(),
                record,
                tp,
                offset,
                group: group.clone(),
            });
            share.hand.push_back((record, tp, offset));
        }
        if share.hand.is_empty() {
            self.fetch_shared(member, share, cx);
        } else {
            share.done_at = cx.now().saturating_add(self.shared_cost(share, cx));
            self.work_on_shared(member, share, cx);
        }
    }

    /// Goes on working, one record at a time.
    fn work_on_shared(&mut self, member: &Membership, share: &mut Share, cx: &mut KafkaCx<'_>) {
        while share.done_at <= cx.now()
            && let Some((record, tp, offset)) = share.hand.pop_front()
        {
            let kind = self.word_on(offset);
            if kind == AcknowledgeType::Accept {
                share.processed += 1;
                cx.note(Note::Processed {
                    node: cx.me(),
                    record,
                    tp,
                    offset,
                    group: Arc::clone(&member.group),
                });
            }
            share.say(tp, offset, kind);
            share.done_at = cx.now().saturating_add(self.shared_cost(share, cx));
        }
    }

    /// What the application says of a record: all is well, unless it may say anything else.
    fn word_on(&self, offset: i64) -> AcknowledgeType {
        let explicit = self.config.share_acknowledgement_mode == AcknowledgementMode::Explicit;
        let falls = |every: u32| explicit && every > 0 && offset % i64::from(every) == 0;
        match (
            falls(self.config.reject_every),
            falls(self.config.release_every),
        ) {
            (true, _) => AcknowledgeType::Reject,
            (_, true) => AcknowledgeType::Release,
            _ => AcknowledgeType::Accept,
        }
    }

    /// What the next record in hand takes, ns.
    fn shared_cost(&self, share: &Share, cx: &KafkaCx<'_>) -> Nanos {
        let next = share.hand.front();
        next.map_or(0, |(_, tp, offset)| self.cost_of(*tp, *offset, cx))
    }

    /// Asks the leaders for more, and tells them what is done.
    fn fetch_shared(&mut self, member: &Membership, share: &mut Share, cx: &mut KafkaCx<'_>) {
        if cx.now() < share.fetch_not_before {
            return;
        }
        let mut leaders: Vec<BrokerId> = Vec::new();
        let told = share.done.iter().map(|it| it.tp.partition);
        for partition in share.assigned.iter().copied().chain(told) {
            match self.client.metadata.leader(partition).leader {
                Some(leader) if !leaders.contains(&leader) => leaders.push(leader),
                Some(_) => {}
                None => self.client.metadata.request_update(false),
            }
        }
        for leader in leaders {
            if share.fetching.contains(&leader) || !self.client.ready(leader, cx) {
                continue;
            }
            let metadata = &self.client.metadata;
            let led = |partition: u16| metadata.leader(partition).leader == Some(leader);
            let own = share.assigned.iter().filter(|it| led(**it));
            let partitions: Vec<TopicPartition> = own.map(|it| metadata.tp(*it)).collect();
            let (acknowledgements, rest) = std::mem::take(&mut share.done)
                .into_iter()
                .partition(|it| led(it.tp.partition));
            share.done = rest;
            let request = ShareRequest::ShareFetch {
                group: Arc::clone(&member.group),
                member_id: Arc::clone(&member.member_id),
                max_wait_ms: self.config.fetch_max_wait_ms,
                max_records: self.config.max_poll_records,
                partitions,
                acknowledgements,
            };
            share.fetching.push(leader);
            self.send_share(leader, request, cx);
        }
    }

    fn send_share(&mut self, leader: BrokerId, request: ShareRequest, cx: &mut KafkaCx<'_>) {
        let about = Some(About::Group(Box::new(GroupAbout::Share)));
        let request = Request::Share(Box::new(request));
        self.client.send(leader, request, about, cx);
    }

    /// A leader answered.
    pub(super) fn on_shared(
        &mut self,
        broker: BrokerId,
        answer: ShareResponse,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = self.backoff(cx);
        let Some(share) = self.group.as_mut().and_then(|it| it.share.as_mut()) else {
            return;
        };
        let ShareResponse::ShareFetch { partitions, .. } = answer else {
            return;
        };
        share.fetching.retain(|it| *it != broker);
        for it in partitions {
            if it.error.is_error() {
                share.fetch_not_before = pause;
                self.client.metadata.request_update(false);
            }
            let own = |offset: i64| {
                let mut runs = it.acquired.iter();
                runs.any(|run| (run.first..=run.last).contains(&offset))
            };
            for batch in &it.batches {
                for record in batch.records.iter() {
                    let offset = batch.base_offset + i64::from(record.offset_delta);
                    if own(offset) {
                        share.buffer.push_back((record.id, it.tp, offset));
                    }
                }
            }
        }
    }

    /// A leader will not answer.
    pub(super) fn share_fetch_lost(
        &mut self,
        member: &mut Membership,
        broker: BrokerId,
        cx: &mut KafkaCx<'_>,
    ) {
        let pause = self.backoff(cx);
        if let Some(share) = &mut member.share {
            share.fetching.retain(|it| *it != broker);
            share.fetch_not_before = pause;
        }
        self.client.metadata.request_update(false);
    }

    /// `close()`: what is done is said, the rest is given back, and it leaves.
    fn close_share(&mut self, member: &mut Membership, share: &mut Share, cx: &mut KafkaCx<'_>) {
        let rest: Vec<Task> = share.hand.drain(..).chain(share.buffer.drain(..)).collect();
        for (_, tp, offset) in rest {
            share.say(tp, offset, AcknowledgeType::Release);
        }
        for it in std::mem::take(&mut share.done) {
            let leader = self.client.metadata.leader(it.tp.partition).leader;
            if let Some(leader) = leader.filter(|it| self.client.ready(*it, cx)) {
                let request = ShareRequest::ShareAcknowledge {
                    group: Arc::clone(&member.group),
                    member_id: Arc::clone(&member.member_id),
                    acknowledgements: vec![it],
                };
                self.send_share(leader, request, cx);
            }
        }
        self.leave_share(member, cx);
        share.assigned.clear();
        member.closed = true;
    }

    /// When something of it is due.
    pub(super) fn share_deadline(&self, share: &Share, now: Nanos) -> Nanos {
        let later = |at: Nanos| if at > now { at } else { NEVER };
        let mut due = later(share.fetch_not_before).min(later(share.not_before));
        if !share.in_flight {
            due = due.min(later(share.next));
        }
        if !share.hand.is_empty() {
            due = due.min(share.done_at.max(now));
        } else if self.polling && !share.buffer.is_empty() {
            due = now;
        } else if self.polling && !share.done.is_empty() && share.fetching.is_empty() {
            due = due.min(now.max(share.fetch_not_before).saturating_add(1_000_000));
        }
        due
    }
}

impl Share {
    /// A word on a record, together with the same word on the one before it.
    fn say(&mut self, tp: TopicPartition, offset: i64, kind: AcknowledgeType) {
        match self.done.last_mut() {
            Some(run) if (run.tp, run.last + 1, run.kind) == (tp, offset, kind) => {
                run.last = offset;
            }
            _ => self.done.push(ShareAcknowledgement {
                tp,
                first: offset,
                last: offset,
                kind,
            }),
        }
    }
}
