//! Brokers in the eyes of the active controller: registration, heartbeats, sessions, fencing.
//!
//! Follows `ClusterControlManager`, `BrokerHeartbeatManager` and the broker parts of
//! `ReplicationControlManager` (KIP-631, KIP-841, KIP-966). A broker is fenced at the very end of
//! its session, as up to Kafka 3.9; later versions look four times a session. Left out: racks, log
//! directories, feature checks.

use super::active::{Api, Asked};
use super::{Controller, ms};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::metadata::{BrokerState, MetadataRecord};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::rules::broker_state::{BrokerControlState, HeartbeatView, next_broker_state};
use crate::kafka::rules::partition_control::BrokerChange;
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;

/// `AllocateProducerIds` gives out this many at a time (`ProducerIdsBlock`).
const PRODUCER_ID_BLOCK: i64 = 1_000;

/// What the active controller remembers of a broker between heartbeats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Session {
    /// Last heard of, ns.
    pub contact: Nanos,
    /// Highest metadata offset that it has replayed.
    pub metadata_offset: i64,
    /// Metadata offset at which its controlled shutdown began; -1 if it did not.
    pub controlled_shutdown_offset: i64,
}

impl Session {
    pub(super) fn new(contact: Nanos, metadata_offset: i64) -> Self {
        Session {
            contact,
            metadata_offset,
            controlled_shutdown_offset: -1,
        }
    }
}

/// A heartbeat's own fields.
#[derive(Clone, Copy)]
struct Heartbeat {
    broker: BrokerId,
    broker_epoch: i64,
    metadata_offset: i64,
    want_fence: bool,
    want_shut_down: bool,
}

impl Controller {
    /// A request that only the active controller answers.
    pub(super) fn on_broker_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        request: Request,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let Some(api) = Api::of(&request) else {
            return;
        };
        if self.active.is_none() {
            let refusal = api.refusal(ErrorCode::NotController);
            return self.respond(from, correlation, refusal, cx);
        }
        let done = match request {
            Request::BrokerRegistration {
                broker,
                incarnation,
                previous_broker_epoch,
            } => self.register(broker, incarnation, previous_broker_epoch, now, cx),
            Request::BrokerHeartbeat {
                broker,
                broker_epoch,
                current_metadata_offset,
                want_fence,
                want_shut_down,
            } => {
                let beat = Heartbeat {
                    broker,
                    broker_epoch,
                    metadata_offset: current_metadata_offset,
                    want_fence,
                    want_shut_down,
                };
                self.heartbeat(beat, now, cx)
            }
            Request::AlterPartition {
                broker,
                broker_epoch,
                partitions,
            } => self.alter_partitions(broker, broker_epoch, &partitions, now, cx),
            Request::AllocateProducerIds {
                broker,
                broker_epoch,
            } => self.allocate_producer_ids(broker, broker_epoch, now, cx),
            _ => return,
        };
        let (response, wrote) = done.unwrap_or_else(|error| (api.refusal(error), None));
        let asked = Asked {
            from,
            correlation,
            api,
        };
        self.answer(asked, response, wrote, cx);
        // An unfenced broker may be the last one that the topics waited for.
        if api == Api::Heartbeat && wrote.is_some() {
            self.create_topics(now, cx);
        }
    }

    /// A broker as the active controller's latest state has it.
    pub(super) fn broker(&self, id: BrokerId) -> Option<BrokerState> {
        self.active.as_ref()?.image.brokers.get(&id).copied()
    }

    /// The broker with this very epoch.
    pub(super) fn check_broker_epoch(
        &self,
        id: BrokerId,
        epoch: i64,
    ) -> Result<BrokerState, ErrorCode> {
        self.broker(id)
            .filter(|broker| broker.epoch == epoch)
            .ok_or(ErrorCode::StaleBrokerEpoch)
    }

    fn has_valid_session(&self, id: BrokerId, now: Nanos) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        let serving = self
            .broker(id)
            .is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown);
        let timeout = ms(self.config.broker_session_timeout_ms);
        let heard = |session: &Session| session.contact.saturating_add(timeout) >= now;
        serving && active.sessions.get(&id).is_some_and(heard)
    }

    /// A new incarnation takes the place of an old one whose session is over; what the old one may
    /// have lost with an unclean shutdown costs it its place in ISR and ELR.
    fn register(
        &mut self,
        id: BrokerId,
        incarnation: u64,
        previous_epoch: i64,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(Response, Option<i64>), ErrorCode> {
        if self.book.broker(id).is_none() {
            return Err(ErrorCode::InvalidRequest);
        }
        let existing = self.broker(id);
        let same = existing.is_some_and(|broker| broker.incarnation == incarnation);
        if !same && self.has_valid_session(id, now) {
            return Err(ErrorCode::DuplicateBrokerRegistration);
        }
        let answer = |broker_epoch| Response::BrokerRegistration {
            error: ErrorCode::None,
            broker_epoch,
        };
        if let Some(broker) = existing.filter(|_| same) {
            // The same process asks again: it missed the answer.
            self.touch(id, now, |session| session.contact = now);
            return Ok((answer(broker.epoch), None));
        }
        let unclean = existing.is_some_and(|broker| broker.epoch != previous_epoch);
        let change = if unclean && self.elr_enabled() {
            BrokerChange::UncleanShutdown(id)
        } else {
            BrokerChange::Fenced(id)
        };
        let mut records = self.partition_changes(change);
        records.push(MetadataRecord::RegisterBroker {
            broker: id,
            incarnation,
        });
        let epoch = self.write(records, now, cx);
        if let Some(active) = &mut self.active {
            active.sessions.insert(id, Session::new(now, -1));
        }
        Ok((answer(epoch), Some(epoch)))
    }

    fn touch(&mut self, id: BrokerId, now: Nanos, change: impl FnOnce(&mut Session)) {
        if let Some(active) = &mut self.active {
            let fresh = || Session::new(now, -1);
            change(active.sessions.entry(id).or_insert_with(fresh));
        }
    }

    fn heartbeat(
        &mut self,
        beat: Heartbeat,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(Response, Option<i64>), ErrorCode> {
        let id = beat.broker;
        let broker = self.check_broker_epoch(id, beat.broker_epoch)?;
        let next = self.next_state(&beat, broker);
        let wrote = self.enter(id, broker, next, now, cx);
        let fenced = matches!(
            next,
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow
        );
        self.touch(id, now, |session| {
            session.contact = now;
            session.metadata_offset = beat.metadata_offset;
            if fenced {
                session.controlled_shutdown_offset = -1;
            }
        });
        if next == BrokerControlState::ControlledShutdown {
            let end = self.meta.leo() - 1;
            self.touch(id, now, |session| {
                if session.controlled_shutdown_offset < 0 {
                    session.controlled_shutdown_offset = end;
                }
            });
        }
        let response = Response::BrokerHeartbeat {
            error: ErrorCode::None,
            is_caught_up: beat.metadata_offset >= broker.epoch,
            is_fenced: fenced,
            should_shut_down: next == BrokerControlState::ShutdownNow,
        };
        Ok((response, wrote))
    }

    fn next_state(&self, beat: &Heartbeat, broker: BrokerState) -> BrokerControlState {
        let Some(active) = &self.active else {
            return BrokerControlState::Fenced;
        };
        let session = active.sessions.get(&beat.broker);
        let shutdown_offset = session.map_or(-1, |s| s.controlled_shutdown_offset);
        let active_offsets = active.sessions.iter().filter_map(|(id, session)| {
            let counts = active.image.is_active(*id) && session.controlled_shutdown_offset < 0;
            counts.then_some(session.metadata_offset)
        });
        let current = if shutdown_offset >= 0 {
            BrokerControlState::ControlledShutdown
        } else if broker.fenced {
            BrokerControlState::Fenced
        } else {
            BrokerControlState::Unfenced
        };
        let leads =
            |p: &crate::kafka::rules::election::PartitionRegistration| p.leader == beat.broker;
        let view = HeartbeatView {
            want_fence: beat.want_fence,
            want_shut_down: beat.want_shut_down,
            metadata_offset: beat.metadata_offset,
            registration_offset: broker.epoch,
            has_leaderships: beat.want_shut_down && active.image.partitions.values().any(leads),
            controlled_shutdown_offset: shutdown_offset,
            lowest_active_offset: active_offsets.min().unwrap_or(i64::MAX),
        };
        next_broker_state(current, &view)
    }

    /// Writes what a broker's new state asks for; nothing if it is in it already.
    fn enter(
        &mut self,
        id: BrokerId,
        broker: BrokerState,
        next: BrokerControlState,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Option<i64> {
        let (change, fenced, shutting_down) = match next {
            BrokerControlState::Fenced | BrokerControlState::ShutdownNow if !broker.fenced => {
                (BrokerChange::Fenced(id), Some(true), None)
            }
            BrokerControlState::Unfenced if broker.fenced => {
                (BrokerChange::Unfenced(id), Some(false), None)
            }
            BrokerControlState::ControlledShutdown if !broker.in_controlled_shutdown => {
                (BrokerChange::ControlledShutdown(id), None, Some(true))
            }
            _ => return None,
        };
        let mut records = self.partition_changes(change);
        records.push(MetadataRecord::BrokerRegistrationChange {
            broker: id,
            broker_epoch: broker.epoch,
            fenced,
            in_controlled_shutdown: shutting_down,
        });
        Some(self.write(records, now, cx))
    }

    fn allocate_producer_ids(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> Result<(Response, Option<i64>), ErrorCode> {
        self.check_broker_epoch(broker, broker_epoch)?;
        let start = self
            .active
            .as_ref()
            .map_or(0, |active| active.image.next_producer_id);
        let next = start + PRODUCER_ID_BLOCK;
        let wrote = self.write(vec![MetadataRecord::ProducerIds { next }], now, cx);
        let response = Response::AllocateProducerIds {
            error: ErrorCode::None,
            start,
            len: PRODUCER_ID_BLOCK,
        };
        Ok((response, Some(wrote)))
    }

    /// Unfenced brokers by the end of their sessions.
    fn session_ends(&self) -> impl Iterator<Item = (Nanos, BrokerId)> {
        let timeout = ms(self.config.broker_session_timeout_ms);
        let active = self.active.iter();
        active.flat_map(move |active| {
            active.sessions.iter().filter_map(move |(id, session)| {
                let fenced = active.image.brokers.get(id).is_none_or(|b| b.fenced);
                (!fenced).then_some((session.contact.saturating_add(timeout), *id))
            })
        })
    }

    pub(super) fn session_deadline(&self) -> Nanos {
        let ends = self.session_ends().map(|(end, _)| end);
        ends.min().unwrap_or(Nanos::MAX)
    }

    /// Fences brokers whose sessions are over, the most silent first, each in a write of its own.
    pub(super) fn fence_expired(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        while let Some((end, id)) = self.session_ends().min()
            && end <= now
            && let Some(broker) = self.broker(id)
        {
            self.enter(id, broker, BrokerControlState::Fenced, now, cx);
            self.touch(id, now, |session| session.controlled_shutdown_offset = -1);
        }
    }
}
