//! Replication of the metadata log: the leader's answers to voters and observers, and the fetches
//! of a follower.
//!
//! Follows the Fetch handlers of `KafkaRaftClient` (KIP-595, KIP-630, KIP-1166). A fetch that finds
//! nothing new waits at the leader until there is, or until its wait is over. Observers read
//! uncommitted records too; they replay up to the high watermark in the response.

use super::Controller;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::metadata::MetadataRecord;
use crate::kafka::metadata_log::{Fetched, Replicated, Validity};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::rules::quorum::{EpochState, ReplicaKey};
use crate::kernel::{Nanos, NodeId, Purpose, below};
use crate::log::BatchList;
use serde::Serialize;

use super::{ms, to_ms};

const BOOTSTRAP: Purpose = Purpose::named("controller.bootstrap");
/// `KafkaRaftClient.MAX_FETCH_WAIT_MS`.
const MAX_FETCH_WAIT_MS: i64 = 500;
/// `KafkaRaftClient.MAX_BATCH_SIZE_BYTES`.
const MAX_FETCH_BYTES: u32 = 8 * 1024 * 1024;

/// A fetch that waits for something new.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct ParkedFetch {
    pub(super) from: NodeId,
    correlation: u32,
    replica: BrokerId,
    epoch: i32,
    fetch_offset: i64,
    last_fetched_epoch: i32,
    high_watermark: i64,
    /// It is answered at this time at the latest, ns.
    until: Nanos,
}

impl Controller {
    pub(super) fn on_fetch(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: &Request,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let Request::FetchMetadata {
            replica,
            epoch,
            fetch_offset,
            last_fetched_epoch,
            max_wait_ms,
            high_watermark,
            ..
        } = *request
        else {
            return;
        };
        // One connection, one request: an older fetch of this node was given up.
        self.parked.retain(|parked| parked.from != from);
        let fetch = ParkedFetch {
            from,
            correlation,
            replica,
            epoch,
            fetch_offset,
            last_fetched_epoch,
            high_watermark,
            until: now + ms(max_wait_ms),
        };
        let valid = fetch_offset >= 0 && last_fetched_epoch >= 0 && last_fetched_epoch <= epoch;
        if !valid || replica == self.id {
            let refusal = self.fetch_error(ErrorCode::InvalidRequest);
            return self.respond(from, correlation, refusal, cx);
        }
        let response = self.try_fetch(&fetch, now, cx);
        if max_wait_ms <= 0 || has_news(&response, high_watermark) {
            self.respond(from, correlation, response, cx);
        } else {
            self.parked.push(fetch);
        }
    }

    /// Reads for a fetch; a fetch at a valid offset says how far that replica has got.
    fn try_fetch(&mut self, fetch: &ParkedFetch, now: Nanos, cx: &mut KafkaCx<'_>) -> Response {
        if let Err(error) = self.leader_only(fetch.epoch) {
            return self.fetch_error(error);
        }
        let mut diverging = None;
        let mut snapshot = None;
        match self
            .meta
            .validate(fetch.fetch_offset, fetch.last_fetched_epoch)
        {
            Validity::Valid => {
                let key = ReplicaKey::of(fetch.replica);
                let moved = self.leader.as_mut().is_some_and(|leader| {
                    leader.update_replica(key, fetch.fetch_offset, to_ms(now))
                });
                if moved {
                    self.on_high_watermark(now, cx);
                }
            }
            Validity::Diverging(end) => diverging = Some(end),
            Validity::Snapshot(at) => snapshot = Some(Box::new((**at).clone())),
        }
        let batches = if diverging.is_none() && snapshot.is_none() {
            let log = self.meta.log();
            log.read(fetch.fetch_offset, MAX_FETCH_BYTES, log.leo(), true)
                .unwrap_or_default()
        } else {
            BatchList::default()
        };
        Response::FetchMetadata {
            error: ErrorCode::None,
            epoch: self.epoch(),
            leader: self.leader_or_none(),
            high_watermark: self.leader_high_watermark(),
            diverging,
            batches,
            snapshot,
        }
    }

    /// The high watermark as this leader may name it: -1 until it has one of its own epoch.
    fn leader_high_watermark(&self) -> i64 {
        let known = self.leader.as_ref().and_then(|l| l.high_watermark());
        known.unwrap_or(-1)
    }

    fn leader_only(&self, epoch: i32) -> Result<(), ErrorCode> {
        if epoch < self.epoch() {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.epoch() {
            Err(ErrorCode::UnknownLeaderEpoch)
        } else if self.leader.is_none() {
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            Ok(())
        }
    }

    fn fetch_error(&self, error: ErrorCode) -> Response {
        Response::FetchMetadata {
            error,
            epoch: self.epoch(),
            leader: self.leader_or_none(),
            high_watermark: -1,
            diverging: None,
            batches: BatchList::default(),
            snapshot: None,
        }
    }

    /// Answers waiting fetches for which there is something new.
    pub(super) fn complete_parked(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let (leo, high_watermark) = (self.meta.leo(), self.leader_high_watermark());
        let news = |p: &ParkedFetch| leo > p.fetch_offset || high_watermark > p.high_watermark;
        let (ready, parked) = self.parked.drain(..).partition(news);
        self.parked = parked;
        self.answer_parked(ready, now, cx);
    }

    /// Answers fetches whose wait is over.
    pub(super) fn expire_parked(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        if self.parked_deadline() > now {
            return;
        }
        let (over, parked) = self.parked.drain(..).partition(|p| p.until <= now);
        self.parked = parked;
        self.answer_parked(over, now, cx);
    }

    fn answer_parked(&mut self, ready: Vec<ParkedFetch>, now: Nanos, cx: &mut KafkaCx<'_>) {
        for fetch in ready {
            let response = self.try_fetch(&fetch, now, cx);
            self.respond(fetch.from, fetch.correlation, response, cx);
        }
    }

    pub(super) fn fail_parked(&mut self, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        for fetch in std::mem::take(&mut self.parked) {
            let response = self.fetch_error(error);
            self.respond(fetch.from, fetch.correlation, response, cx);
        }
    }

    pub(super) fn parked_deadline(&self) -> Nanos {
        let until = self.parked.iter().map(|parked| parked.until);
        until.min().unwrap_or(Nanos::MAX)
    }

    /// Appends as leader; returns the first offset.
    pub(super) fn append(
        &mut self,
        records: Vec<MetadataRecord>,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> i64 {
        let epoch = self.epoch();
        let (first, bytes) = self.meta.append_as_leader(records, epoch);
        self.sync(bytes, cx);
        let voters: Vec<ReplicaKey> = self
            .book
            .controllers
            .iter()
            .map(|(id, _)| ReplicaKey::of(*id))
            .collect();
        let leo = self.meta.leo();
        let moved = self
            .leader
            .as_mut()
            .is_some_and(|leader| leader.update_local(leo, &voters) == Ok(true));
        if moved {
            self.on_high_watermark(now, cx);
        }
        self.complete_parked(now, cx);
        first
    }

    /// The leader's high watermark moved.
    fn on_high_watermark(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let committed = self.leader_high_watermark();
        let applied = self.meta.commit_to(committed);
        self.after_replay(applied, cx);
        self.on_committed(now, cx);
        self.complete_parked(now, cx);
    }

    fn after_replay(&mut self, applied: (i64, i64), cx: &mut KafkaCx<'_>) {
        if applied.0 < applied.1 {
            self.note(Rule::MetadataReplayed, applied.0, applied.1, cx);
            self.meta.maybe_snapshot(self.config.snapshot_bytes);
        }
    }

    /// Fetches from the leader; from any other voter while the leader does not answer or is not
    /// known, to hear of a new one.
    pub(super) fn send_fetch(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        if self.awaits_any() {
            return;
        }
        let leader = match self.state {
            EpochState::Follower { leader, .. } => Some(leader),
            _ => None,
        };
        let target = leader
            .filter(|leader| self.is_ready(*leader, now))
            .or_else(|| self.any_ready_voter(now, cx));
        let Some(target) = target else {
            return;
        };
        let request = Request::FetchMetadata {
            replica: self.id,
            voter: true,
            epoch: self.epoch(),
            fetch_offset: self.meta.leo(),
            last_fetched_epoch: self.meta.last_epoch(),
            max_wait_ms: MAX_FETCH_WAIT_MS,
            high_watermark: self.meta.high_watermark().unwrap_or(-1),
        };
        self.request(target, request, now, cx);
    }

    fn any_ready_voter(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) -> Option<BrokerId> {
        let ready: Vec<BrokerId> = self.peers().filter(|id| self.is_ready(*id, now)).collect();
        if ready.is_empty() {
            return None;
        }
        let at = below(self.draw(BOOTSTRAP, cx), ready.len() as u64);
        ready.get(usize::try_from(at).unwrap_or(0)).copied()
    }

    pub(super) fn on_fetched(
        &mut self,
        peer: BrokerId,
        response: &Response,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let Response::FetchMetadata {
            error,
            epoch,
            leader,
            high_watermark,
            diverging,
            batches,
            snapshot,
        } = response
        else {
            return;
        };
        let before = self.file;
        if self.on_common_response(*error, *epoch, *leader, now, cx) {
            if self.file == before {
                // This one has no news.
                self.back_off(peer, now);
            }
            return;
        }
        match &mut self.state {
            EpochState::Follower {
                leader,
                has_fetched,
            } if *leader == peer => *has_fetched = true,
            _ => return,
        }
        self.deadline = now + ms(self.config.quorum_fetch_timeout_ms);
        let done = self.meta.on_fetched(&Fetched {
            high_watermark: *high_watermark,
            diverging: *diverging,
            batches,
            snapshot: snapshot.as_deref(),
        });
        self.after_fetch(&done, cx);
    }

    fn after_fetch(&mut self, done: &Replicated, cx: &mut KafkaCx<'_>) {
        if done.bytes > 0 {
            self.sync(done.bytes, cx);
        }
        if let Some((old, new)) = done.truncated {
            self.note(Rule::Truncate, old, new, cx);
        }
        self.after_replay(done.applied, cx);
    }
}

/// Whether a response is worth sending at once.
fn has_news(response: &Response, known_high_watermark: i64) -> bool {
    match response {
        Response::FetchMetadata {
            error,
            high_watermark,
            diverging,
            batches,
            snapshot,
            ..
        } => {
            error.is_error()
                || !batches.is_empty()
                || diverging.is_some()
                || snapshot.is_some()
                || *high_watermark > known_high_watermark
        }
        _ => true,
    }
}
