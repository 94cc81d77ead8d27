//! The leader of a partition and its share coordinator: reading the state before the first fetch,
//! and writing what changes.
//!
//! Follows `SharePartition.maybeInitialize`, `writeShareGroupState` and `PersisterStateManager`. An
//! acknowledgement is answered when it is written. Who has a record is written nowhere: after a
//! failover what was acquired is available again, with its count as it was before.
//!
//! Simplified: Kafka takes a change back if it cannot be written after five attempts. Here it is
//! tried until it is written, or until a newer leader has fenced this one.

use super::super::channel::Ask;
use super::super::{Broker, respond, span};
use super::coordinator::Asker;
use super::{Led, Waiting, note};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::TopicPartition;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::rules::share_partition::{RecordState, SharePartition};
use crate::kafka::rules::share_state::{
    NO_START_OFFSET, ShareGroupOffset, ShareKey, StateBatch, combine,
};
use crate::kafka::share_protocol::{ShareRequest, ShareResponse};
use crate::kernel::{MILLISECOND, Nanos, NodeId};
use serde::Serialize;

/// Pause before a question is asked again (`PersisterStateManager.REQUEST_BACKOFF_MS`).
const RETRY: Nanos = 1_000 * MILLISECOND;

/// Start offset and states that changed.
type Changes = (i64, Vec<StateBatch>);

/// How far a leader is with its coordinator.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Progress {
    /// The state is read.
    pub(super) ready: bool,
    state_epoch: i32,
    /// Changed, and with no write under way.
    unsent: Option<Changes>,
    /// The write that is under way.
    sent: Option<Changes>,
    /// Number of the question that is under way.
    asked: Option<u32>,
    /// None before this, ns.
    not_before: Nanos,
    /// Changes so far; up to which the write under way goes, and up to which all is written.
    changes: u64,
    sending: u64,
    written: u64,
}

impl Progress {
    /// When it has something to ask, ns.
    pub(super) fn next_question(&self) -> Option<Nanos> {
        let wants = self.asked.is_none() && (!self.ready || self.unsent.is_some());
        wants.then_some(self.not_before)
    }

    fn changed(&mut self, (start, batches): Changes) {
        self.changes += 1;
        let before = self.unsent.take().unwrap_or((start, Vec::new()));
        let start = start.max(before.0);
        self.unsent = Some((start, combine(&before.1, &batches, start)));
    }

    fn failed(&mut self, again: Nanos) {
        self.not_before = again;
        if let Some((start, batches)) = self.sent.take() {
            let newer = self.unsent.take().unwrap_or((start, Vec::new()));
            let start = start.max(newer.0);
            self.unsent = Some((start, combine(&batches, &newer.1, start)));
        }
    }
}

/// A request that is answered, or goes on, when its acknowledgements are written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Parked {
    /// Partitions with their leader epoch and the change that must be written.
    pub(super) after: Vec<(ShareKey, i32, u64)>,
    pub(super) refused: Vec<(TopicPartition, ErrorCode)>,
    pub(super) to: (NodeId, u32),
    pub(super) fetch: Option<Waiting>,
}

impl Led {
    /// The change that the next write will hold, if there is one to be written.
    pub(super) fn change(&self) -> Option<u64> {
        self.state
            .has_changes()
            .then_some(self.progress.changes + 1)
    }
}

/// The coordinator has kept what was written.
fn note_written(
    (group, tp): &ShareKey,
    leader_epoch: i32,
    (start, batches): &Changes,
    cx: &mut KafkaCx<'_>,
) {
    let rule = ModernRule::ShareStateWritten;
    note(group, rule, *tp, leader_epoch.into(), *start, cx);
    for batch in batches {
        let rule = ModernRule::RecordsWritten(batch.state, batch.delivery_count);
        note(group, rule, *tp, batch.first, batch.last, cx);
    }
}

/// Records that are handed to nobody any more, though nobody accepted them. Of gaps in the log,
/// which were never handed out, there is nothing to say.
fn note_archived((group, tp): &ShareKey, (_, batches): &Changes, cx: &mut KafkaCx<'_>) {
    let archived = |it: &&StateBatch| it.state == RecordState::Archived && it.delivery_count > 0;
    for batch in batches.iter().filter(archived) {
        let rule = ModernRule::RecordsArchived;
        note(group, rule, *tp, batch.first, batch.last, cx);
    }
}

impl Broker {
    /// Asks the coordinators what is to be asked, and goes on with what waited for them.
    pub(super) fn persist_shares(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        let mut due: Vec<ShareKey> = Vec::new();
        for (key, led) in &mut shares.partitions {
            if led.progress.ready
                && let Some(changes) = led.state.take_changes()
            {
                note_archived(key, &changes, cx);
                led.progress.changed(changes);
            }
            if led
                .progress
                .next_question()
                .is_some_and(|at| at <= cx.now())
            {
                due.push(key.clone());
            }
        }
        for key in due {
            self.ask_share_coordinator(&key, cx);
        }
        self.serve_parked(cx);
    }

    fn ask_share_coordinator(&mut self, key: &ShareKey, cx: &mut KafkaCx<'_>) {
        let leads = self.partitions.get(key.1);
        let leads = leads.filter(|it| it.leader_state().is_some());
        let epoch = leads.map(|it| it.leader_epoch);
        let coordinator = self.share_coordinator(key).map(|(broker, _)| broker);
        let Some(shares) = self.share.as_deref_mut() else {
            return;
        };
        let Some(led) = shares.partitions.get_mut(key) else {
            return;
        };
        if epoch != Some(led.leader_epoch) {
            shares.partitions.remove(key);
            return;
        }
        let Some(coordinator) = coordinator else {
            led.progress.not_before = cx.now().saturating_add(RETRY);
            return;
        };
        let (group, tp) = key.clone();
        let request = if led.progress.ready {
            led.progress.sent = led.progress.unsent.take();
            led.progress.sending = led.progress.changes;
            let (start, batches) = led.progress.sent.clone().unwrap_or_default();
            let written = ShareGroupOffset {
                snapshot_epoch: 0,
                state_epoch: led.progress.state_epoch,
                leader_epoch: led.leader_epoch,
                start,
                batches,
            };
            let written = Box::new(written);
            ShareRequest::WriteShareGroupState { group, tp, written }
        } else {
            let leader_epoch = led.leader_epoch;
            ShareRequest::ReadShareGroupState {
                group,
                tp,
                leader_epoch,
            }
        };
        let number = shares.next_question;
        shares.next_question = number.wrapping_add(1);
        led.progress.asked = Some(number);
        shares.questions.insert(number, key.clone());
        if coordinator == self.id {
            self.on_share_state(Asker::Own(number), request, cx);
            return;
        }
        let timeout = span(self.config.request_timeout_ms);
        match self.book.broker(coordinator) {
            Some(node) => {
                let request = Request::Share(Box::new(request));
                self.ask(Ask::ShareState(number), node, timeout, request, cx);
            }
            None => self.on_share_persisted(number, None, cx),
        }
    }

    /// A coordinator has answered, or will not.
    pub(in super::super) fn on_share_persisted(
        &mut self,
        number: u32,
        answer: Option<ShareResponse>,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(shares) = self.share.as_mut() else {
            return;
        };
        let Some(key) = shares.questions.remove(&number) else {
            return;
        };
        let asked = |it: &&mut Led| it.progress.asked == Some(number);
        let Some(led) = shares.partitions.get_mut(&key).filter(asked) else {
            return;
        };
        led.progress.asked = None;
        match answer {
            Some(ShareResponse::ReadShareGroupState {
                error: ErrorCode::None,
                state,
            }) => self.share_state_read(&key, state.map(|it| *it), cx),
            Some(ShareResponse::WriteShareGroupState {
                error: ErrorCode::None,
            }) => {
                led.progress.written = led.progress.sending;
                if let Some(written) = led.progress.sent.take() {
                    note_written(&key, led.leader_epoch, &written, cx);
                }
            }
            Some(
                ShareResponse::ReadShareGroupState { error, .. }
                | ShareResponse::WriteShareGroupState { error },
            ) if matches!(
                error,
                ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch
            ) =>
            {
                shares.partitions.remove(&key);
            }
            _ => led.progress.failed(cx.now().saturating_add(RETRY)),
        }
        self.persist_shares(cx);
        self.serve_waiting(cx);
        self.watch_shares(cx);
    }

    /// From here on records of the partition can be handed out.
    fn share_state_read(
        &mut self,
        key: &ShareKey,
        state: Option<ShareGroupOffset>,
        cx: &mut KafkaCx<'_>,
    ) {
        let config = self.share_config();
        let fresh = self.share_start(key.1);
        let shares = self.share.as_mut();
        let Some(led) = shares.and_then(|it| it.partitions.get_mut(key)) else {
            return;
        };
        led.progress.ready = true;
        let known = state.filter(|it| it.start != NO_START_OFFSET);
        led.state = match &known {
            Some(it) => SharePartition::restore(it.start, &it.batches, config),
            None => SharePartition::new(fresh, config),
        };
        led.progress.state_epoch = known.as_ref().map_or(0, |it| it.state_epoch);
        let start = led.state.start_offset();
        let rule = ModernRule::ShareStateRead;
        note(&key.0, rule, key.1, led.leader_epoch.into(), start, cx);
    }

    /// Goes on with requests whose acknowledgements are written, oldest first.
    fn serve_parked(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(shares) = self.share.as_mut().filter(|it| !it.parked.is_empty()) else {
            return;
        };
        let (mut go_on, mut wait) = (Vec::new(), Vec::new());
        for mut it in std::mem::take(&mut shares.parked) {
            let refused = &mut it.refused;
            it.after.retain(|(key, epoch, change)| {
                let led = shares.partitions.get(key);
                match led.filter(|led| led.leader_epoch == *epoch) {
                    Some(led) => led.progress.written < *change,
                    None => {
                        refused.push((key.1, ErrorCode::NotLeaderOrFollower));
                        false
                    }
                }
            });
            match it.after.is_empty() {
                true => go_on.push(it),
                false => wait.push(it),
            }
        }
        shares.parked = wait;
        for it in go_on {
            self.go_on(it, cx);
        }
    }

    /// The acknowledgements of a request are seen to.
    pub(super) fn go_on(&mut self, it: Parked, cx: &mut KafkaCx<'_>) {
        let refused = it.refused;
        match it.fetch {
            Some(fetch) => self.share_fetch(fetch, refused, cx),
            None => {
                let response = ShareResponse::ShareAcknowledge { refused };
                respond(it.to.0, it.to.1, Response::Share(Box::new(response)), cx);
            }
        }
    }
}
