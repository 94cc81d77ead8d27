//! Offsets that a consumer without membership commits to a group: `assign()` and `commitAsync()`.
//!
//! Follows `ConsumerCoordinator.commitOffsetsAsync`: the coordinator is looked for if it is not
//! known, and the commit names no member and the generation -1, which a group without members takes.
//! Nothing is tried again: who commits commits anew before long. Of several commits that wait for the
//! coordinator only the newest is sent.

use super::group::{Committer, GroupAbout};
use super::{About, Consumer};
use crate::kafka::client::{NEVER, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, GroupRequest, GroupResponse};
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::protocol::Request;
use crate::kafka::rules::classic_group::Name;
use crate::kernel::Nanos;
use serde::Serialize;
use std::sync::Arc;

/// Commits to a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct ByHand {
    group: Name,
    coordinator: Option<BrokerId>,
    finding: bool,
    /// To be sent as soon as the coordinator can be reached.
    waiting: Vec<CommittedOffset>,
    /// Until when, ns.
    deadline: Nanos,
    /// Commits that succeeded, and that failed.
    done: (u64, u64),
}

impl ByHand {
    pub(super) fn to(group: &str) -> Self {
        ByHand {
            group: Name::from(group),
            coordinator: None,
            finding: false,
            waiting: Vec::new(),
            deadline: NEVER,
            done: (0, 0),
        }
    }

    /// What waits is given up (`RetriableCommitFailedException`).
    fn give_up(&mut self) {
        self.done.1 += u64::from(!self.waiting.is_empty());
        self.waiting.clear();
    }
}

impl Consumer {
    fn by_hand(&mut self) -> Option<&mut ByHand> {
        let handing = self.outputs.as_mut()?.handing.as_mut()?;
        handing.commits.as_deref_mut()
    }

    /// Commits that succeeded, and that failed.
    pub(in crate::kafka) fn commits_by_hand(&self) -> (u64, u64) {
        let handing = self.outputs.as_ref().and_then(|it| it.handing.as_ref());
        let commits = handing.and_then(|it| it.commits.as_ref());
        commits.map_or((0, 0), |it| it.done)
    }

    /// `commitAsync()` with these offsets, by partition.
    pub(in crate::kafka) fn commit_by_hand(&mut self, offsets: &[(u16, i64)], now: Nanos) {
        let (topic, timeout) = (self.topic, span(self.config.request_timeout_ms));
        let Some(it) = self.by_hand() else {
            return;
        };
        let offsets = offsets.iter().map(|(partition, offset)| CommittedOffset {
            tp: TopicPartition {
                topic,
                partition: *partition,
            },
            offset: *offset,
            leader_epoch: -1,
        });
        it.waiting = offsets.collect();
        it.deadline = now.saturating_add(timeout);
    }

    /// Sends what waits, if it can be; when that is to be looked at again.
    pub(super) fn send_by_hand(&mut self, cx: &mut KafkaCx<'_>) -> Nanos {
        let now = cx.now();
        let Some(it) = self.by_hand().filter(|it| !it.waiting.is_empty()) else {
            return NEVER;
        };
        if it.deadline <= now {
            it.give_up();
            return NEVER;
        }
        let (coordinator, deadline) = (it.coordinator, it.deadline);
        if it.finding {
            return deadline;
        }
        let group = Arc::clone(&it.group);
        match coordinator {
            None => {
                let found = self.client.least_loaded(cx);
                let Some(broker) = found.filter(|it| self.client.ready(*it, cx)) else {
                    return deadline.min(self.client.reconnect_at(None, now));
                };
                let request = GroupRequest::FindCoordinator { group };
                self.send_group(broker, request, GroupAbout::Find, cx);
                if let Some(it) = self.by_hand() {
                    it.finding = true;
                }
                deadline
            }
            Some(broker) if self.client.ready_to_coordinate(broker, cx) => {
                let waiting = self.by_hand().map(|it| std::mem::take(&mut it.waiting));
                let offsets = waiting.unwrap_or_default();
                for it in &offsets {
                    cx.note(Note::Group(Box::new(GroupNote {
                        node: cx.me(),
                        rule: Rule::CommittedByHand,
                        group: Arc::clone(&group),
                        member: None,
                        tp: Some(it.tp),
                        before: -1,
                        after: it.offset,
                        record: None,
                    })));
                }
                let request = GroupRequest::OffsetCommit {
                    group,
                    member_id: Name::from(""),
                    instance_id: None,
                    generation: -1,
                    offsets,
                };
                let about = GroupAbout::Commit(Committer::Nobody, -1);
                self.send_group(broker, request, about, cx);
                NEVER
            }
            Some(broker) => deadline.min(self.client.reconnect_at(Some(broker), now)),
        }
    }

    fn send_group(
        &mut self,
        broker: BrokerId,
        request: GroupRequest,
        about: GroupAbout,
        cx: &mut KafkaCx<'_>,
    ) {
        let request = Request::Group(Box::new(request));
        let about = Some(About::Group(Box::new(about)));
        self.client.send(broker, request, about, cx);
    }

    /// The coordinator answered; false if no commit of this kind is what it is about.
    pub(super) fn answered_by_hand(&mut self, answer: &GroupResponse) -> bool {
        let Some(it) = self.by_hand() else {
            return false;
        };
        match answer {
            GroupResponse::FindCoordinator { error, node } => {
                it.finding = false;
                match error.is_error() {
                    true => it.give_up(),
                    false => it.coordinator = Some(*node),
                }
            }
            GroupResponse::OffsetCommit { error } => {
                match error.is_error() {
                    true => it.done.1 += 1,
                    false => it.done.0 += 1,
                }
                let moved = [
                    ErrorCode::NotCoordinator,
                    ErrorCode::CoordinatorNotAvailable,
                    ErrorCode::RequestTimedOut,
                ];
                if moved.contains(error) {
                    it.coordinator = None;
                }
            }
            _ => {}
        }
        true
    }

    /// A request of this kind will not be answered; false if it is none.
    pub(super) fn lost_by_hand(&mut self, about: &GroupAbout) -> bool {
        let Some(it) = self.by_hand() else {
            return false;
        };
        match about {
            GroupAbout::Find => {
                it.finding = false;
                it.give_up();
            }
            _ => it.done.1 += 1,
        }
        it.coordinator = None;
        true
    }
}
