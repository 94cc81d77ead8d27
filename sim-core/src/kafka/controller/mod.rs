//! A KRaft controller: a voter of the metadata quorum and, while it leads, the cluster's active
//! controller.
//!
//! Follows `KafkaRaftClient`, `QuorumState` and `QuorumController` (KIP-500, 595, 630, 631, 966, 996;
//! of KIP-853 only the keys, as the voters are static). `quorum` holds elections, `fetch` the
//! replication of the metadata log, `active` what only the active controller does, with `brokers`
//! (registration, heartbeats, fencing) and `partitions` (ISR changes, leader elections, configs).
//!
//! Left out: the append linger (`controller.quorum.append.linger.ms`, 25 ms: records are written at
//! once), NoOp records every 500 ms (they keep offsets moving on an idle cluster and change nothing
//! else here), feature levels, quotas, access control, directory ids.
//!
//! Start-up: all voters begin unattached with an empty log, so the first election starts after the
//! shortest of their random timeouts (1 to 2 s), and the cluster serves soon after that.

mod accessors;
mod active;
mod brokers;
mod connection;
mod fetch;
mod orders;
mod partitions;
mod quorum;
mod reassign;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_active;
#[cfg(test)]
mod tests_chaos;
#[cfg(test)]
mod tests_voter;
mod transition;

pub use brokers::Session;

use super::config::BrokerConfig;
use super::ids::{AddressBook, BrokerId, TopicPartition};
use super::metadata::MetadataRecord;
use super::metadata_log::MetadataReplica;
use super::node::{KafkaCx, KafkaInput, Timer};
use super::note::{Note, Rule};
use super::parts::Parts;
use super::protocol::{Msg, Request, Response};
use super::rules::quorum::{EpochState, ReplicaKey};
use super::rules::quorum_leader::QuorumLeaderState;
use super::rules::replication::ReplicationRules;
use crate::kernel::{Input, Loss, MILLISECOND, Nanos, NodeId, TimerId};
use active::Active;
use connection::Connection;
use fetch::ParkedFetch;
pub(super) use orders::AdminPart;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ControllerTimer {
    /// The earliest of all deadlines, with its time (ns): there is one such timer at most, but one
    /// that fired while the process was frozen may still arrive after it was replaced.
    Tick(Nanos),
}

/// The `quorum-state` file: written and flushed before the state it describes is acted on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct QuorumStateFile {
    /// The epoch.
    pub epoch: i32,
    /// Its leader, if known.
    pub leader: Option<BrokerId>,
    /// Who got this voter's vote in it.
    pub voted: Option<BrokerId>,
}

/// A controller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Controller {
    id: BrokerId,
    book: Arc<AddressBook>,
    config: Arc<BrokerConfig>,
    rules: Arc<ReplicationRules>,
    #[serde(skip)]
    parts: Parts,
    bootstrap: Arc<[MetadataRecord]>,
    /// On disk.
    file: QuorumStateFile,
    /// On disk: the log and its snapshot; in memory: the image.
    meta: MetadataReplica,
    state: EpochState,
    /// What a leader knows of the others; set while `state` is `Leader`.
    leader: Option<Box<QuorumLeaderState>>,
    /// End of the election timeout, or of a follower's fetch timeout, ns; never for a leader.
    deadline: Nanos,
    /// When a leader next looks for voters that do not fetch, ns.
    begin_quorum_at: Nanos,
    /// A resigned leader's voters, most up to date first, and whether each has answered.
    successors: Vec<(BrokerId, bool)>,
    connections: BTreeMap<BrokerId, Connection>,
    parked: Vec<ParkedFetch>,
    active: Option<Box<Active>>,
    /// The queued timer and when it fires.
    tick: Option<(Nanos, TimerId)>,
    /// When the last write reaches the disk, ns. Nothing leaves before what it promises is safe.
    synced_at: Nanos,
    /// Random draws made so far, over all lives of the process, so that no draw is used twice.
    draws: u64,
    /// Likewise for correlation ids.
    correlation: u32,
    /// For views only, over all lives of the process.
    unclean_elections: u64,
}

impl Controller {
    /// A controller with an empty disk. `bootstrap` is what the first active controller writes
    /// (configs) or creates as soon as the brokers are up (topics).
    #[must_use]
    pub fn new(
        id: BrokerId,
        book: Arc<AddressBook>,
        config: Arc<BrokerConfig>,
        rules: Arc<ReplicationRules>,
        bootstrap: Vec<MetadataRecord>,
        parts: Parts,
    ) -> Self {
        Controller {
            id,
            book,
            config,
            rules,
            bootstrap: bootstrap.into(),
            parts,
            file: QuorumStateFile::default(),
            meta: MetadataReplica::new(),
            state: EpochState::Unattached {
                voted: None,
                leader: None,
            },
            leader: None,
            deadline: Nanos::MAX,
            begin_quorum_at: Nanos::MAX,
            successors: Vec::new(),
            connections: BTreeMap::new(),
            parked: Vec::new(),
            active: None,
            tick: None,
            synced_at: 0,
            draws: 0,
            correlation: 0,
            unclean_elections: 0,
        }
    }

    /// The one entry.
    pub fn on(&mut self, input: KafkaInput<ControllerTimer>, cx: &mut KafkaCx<'_>) {
        let mut now = cx.now();
        match input {
            Input::Boot => self.start(now, cx),
            Input::Message { from, msg } => match msg {
                Msg::Request(correlation, request) => {
                    self.on_request(from, correlation, *request, now, cx);
                }
                Msg::Response(correlation, response) => {
                    self.on_response(from, correlation, *response, now, cx);
                }
            },
            Input::Timer(ControllerTimer::Tick(at)) => {
                if self.tick.is_some_and(|(set, _)| set == at) {
                    // By this node's clock the deadline is reached, whatever its drift.
                    now = now.max(at);
                    self.tick = None;
                }
            }
            Input::Disconnected(peer) => self.on_disconnected(peer, now),
            Input::Order(order) => self.on_order(&order, now, cx),
        }
        self.poll(now, cx);
        self.poll_active(now, cx);
        self.expire_parked(now, cx);
        self.set_tick(now, cx);
    }

    fn on_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: Request,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let reply = match request {
            Request::Vote { .. } => self.on_vote(&request, now, cx),
            Request::BeginQuorumEpoch { epoch, leader } => {
                self.on_begin_quorum_epoch(epoch, leader, now, cx)
            }
            Request::EndQuorumEpoch {
                epoch,
                leader,
                preferred_successors,
            } => self.on_end_quorum_epoch(epoch, leader, &preferred_successors, now, cx),
            Request::FetchMetadata { .. } => {
                return self.on_fetch(from, correlation, &request, now, cx);
            }
            other => return self.on_broker_request(from, correlation, other, now, cx),
        };
        self.respond(from, correlation, reply, cx);
    }

    fn on_response(
        &mut self,
        from: NodeId,
        correlation: u32,
        response: Response,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(peer) = self.book.controller_at(from) else {
            return;
        };
        if !self.settle(peer, correlation) {
            return;
        }
        let (error, epoch, leader) = match &response {
            Response::Vote {
                error,
                epoch,
                leader,
                ..
            }
            | Response::BeginQuorumEpoch {
                error,
                epoch,
                leader,
            }
            | Response::EndQuorumEpoch {
                error,
                epoch,
                leader,
            } => (*error, *epoch, *leader),
            Response::FetchMetadata { .. } => return self.on_fetched(peer, &response, now, cx),
            _ => return,
        };
        if self.on_common_response(error, epoch, leader, now, cx) {
            return;
        }
        match response {
            Response::Vote { granted, .. } => self.on_vote_response(peer, granted, now, cx),
            Response::EndQuorumEpoch { .. } => self.on_resignation_heard(peer),
            _ => {
                if let Some(state) = &mut self.leader {
                    state.acknowledge(peer);
                }
            }
        }
    }

    fn on_disconnected(&mut self, peer: NodeId, now: Nanos) {
        self.parked.retain(|fetch| fetch.from != peer);
        if let Some(id) = self.book.controller_at(peer) {
            self.back_off(id, now);
        }
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        if loss == Loss::Disk {
            self.file = QuorumStateFile::default();
        }
        self.meta.crash(loss);
        self.state = EpochState::Unattached {
            voted: self.file.voted.map(ReplicaKey::of),
            leader: None,
        };
        self.leader = None;
        self.active = None;
        self.tick = None;
        self.synced_at = 0;
        self.deadline = Nanos::MAX;
        self.begin_quorum_at = Nanos::MAX;
        self.successors.clear();
        self.connections.clear();
        self.parked.clear();
    }

    /// Keeps one timer queued, at the earliest deadline.
    fn set_tick(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let next = [
            self.quorum_deadline(now),
            self.active_deadline(now),
            self.parked_deadline(),
        ]
        .into_iter()
        .min()
        .unwrap_or(Nanos::MAX);
        match self.tick {
            // It fires in time, and will be set again then.
            Some((at, _)) if at <= next => return,
            Some((_, timer)) => cx.cancel(timer),
            None => {}
        }
        self.tick = None;
        if next < Nanos::MAX {
            let timer = Timer::Controller(ControllerTimer::Tick(next));
            let id = cx.set_timer(next.saturating_sub(now).max(1), timer);
            self.tick = Some((next, id));
        }
    }

    fn respond(&self, to: NodeId, correlation: u32, response: Response, cx: &mut KafkaCx<'_>) {
        let msg = Msg::Response(correlation, Box::new(response));
        cx.send_at(self.synced_at, to, msg);
    }

    /// Waits for the disk to have `bytes` more.
    fn sync(&mut self, bytes: u64, cx: &mut KafkaCx<'_>) {
        self.synced_at = cx.disk_write(bytes).max(self.synced_at);
    }

    fn note(&self, rule: Rule, before: i64, after: i64, cx: &mut KafkaCx<'_>) {
        self.note_about(rule, None, None, before, after, cx);
    }

    fn note_about(
        &self,
        rule: Rule,
        tp: Option<TopicPartition>,
        broker: Option<BrokerId>,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        let node = cx.me();
        cx.note(Note::Rule {
            node,
            rule,
            tp,
            broker,
            before,
            after,
        });
    }
}

/// Milliseconds of a setting as ns; negative ones count as 0.
fn ms(value: i64) -> Nanos {
    u64::try_from(value)
        .unwrap_or(0)
        .saturating_mul(MILLISECOND)
}

/// A point in simulated time in whole ms, for rules that count in ms.
fn to_ms(now: Nanos) -> i64 {
    i64::try_from(now / MILLISECOND).unwrap_or(i64::MAX)
}
