//! Offsets that a consumer without membership commits to a group or begins at: `assign()`,
//! `commitAsync()`, and the first `poll()` of a partition that nobody has sought a position in.
//!
//! Follows `ConsumerCoordinator.commitOffsetsAsync`: the coordinator is looked for if it is not
//! known, and the commit names no member and the generation -1, which a group without members takes.
//! No commit is tried again: who commits commits anew before long. Of several that wait for the
//! coordinator only the newest is sent. Positions are asked for until they are known
//! (`refreshCommittedOffsets`); a partition that the group has no offset for falls to
//! `auto.offset.reset`. Left out: the wait for transactions whose offsets are not stable.

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
    /// The offsets of partitions are asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asking: bool,
    /// Nothing is asked for before this, ns.
    #[serde(skip_serializing_if = "is_zero")]
    not_before: Nanos,
}

fn is_zero(it: &Nanos) -> bool {
    *it == 0
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
            asking: false,
            not_before: 0,
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
        let asked = self.ask_by_hand(cx);
        asked.min(self.send_commit_by_hand(cx))
    }

    /// Asks where the group has come to in the partitions that are to begin there.
    fn ask_by_hand(&mut self, cx: &mut KafkaCx<'_>) -> Nanos {
        let now = cx.now();
        let waits = |it: &&u16| {
            let assigned = self.partitions.get(usize::from(**it));
            assigned.is_some_and(|it| it.as_ref().is_some_and(|it| it.awaits_offset))
        };
        let asked: Vec<u16> = self.order.iter().filter(waits).copied().collect();
        let Some(it) = self.by_hand().filter(|it| !asked.is_empty() && !it.asking) else {
            return NEVER;
        };
        if it.not_before > now {
            return it.not_before;
        }
        if it.finding {
            return NEVER;
        }
        let (group, coordinator) = (Arc::clone(&it.group), it.coordinator);
        match coordinator {
            None => self.find_by_hand(group, cx),
            Some(broker) if self.client.ready_to_coordinate(broker, cx) => {
                let partitions = asked.iter().map(|it| self.client.metadata.tp(*it));
                let request = GroupRequest::OffsetFetch {
                    group,
                    partitions: partitions.collect(),
                    member: None,
                };
                self.send_group(broker, request, GroupAbout::Offsets(asked), cx);
                if let Some(it) = self.by_hand() {
                    it.asking = true;
                }
                NEVER
            }
            Some(broker) => self.client.reconnect_at(Some(broker), now),
        }
    }

    /// Looks for the group's coordinator, if a broker can be asked now; when to try again.
    fn find_by_hand(&mut self, group: Name, cx: &mut KafkaCx<'_>) -> Nanos {
        let found = self.client.least_loaded(cx);
        let Some(broker) = found.filter(|it| self.client.ready(*it, cx)) else {
            return self.client.reconnect_at(None, cx.now());
        };
        let request = GroupRequest::FindCoordinator { group };
        self.send_group(broker, request, GroupAbout::Find, cx);
        if let Some(it) = self.by_hand() {
            it.finding = true;
        }
        NEVER
    }

    fn send_commit_by_hand(&mut self, cx: &mut KafkaCx<'_>) -> Nanos {
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
            None => deadline.min(self.find_by_hand(group, cx)),
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

    /// The coordinator answered; false if nothing of this kind is what it is about.
    pub(super) fn answered_by_hand(
        &mut self,
        about: &GroupAbout,
        answer: &GroupResponse,
        cx: &KafkaCx<'_>,
    ) -> bool {
        let pause = cx.now().saturating_add(span(self.config.retry_backoff_ms));
        let Some(it) = self.by_hand() else {
            return false;
        };
        match answer {
            GroupResponse::OffsetFetch { error, offsets } => {
                it.asking = false;
                if error.is_error() {
                    (it.coordinator, it.not_before) = (None, pause);
                } else if let GroupAbout::Offsets(asked) = about {
                    self.start_from_offsets(asked, offsets);
                }
            }
            GroupResponse::FindCoordinator { error, node } => {
                it.finding = false;
                match error.is_error() {
                    true => {
                        it.give_up();
                        it.not_before = pause;
                    }
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
            GroupAbout::Offsets(_) => it.asking = false,
            _ => it.done.1 += 1,
        }
        it.coordinator = None;
        true
    }
}
