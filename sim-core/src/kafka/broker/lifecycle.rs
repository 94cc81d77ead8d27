//! The broker's life as the controller sees it: registration, heartbeats, controlled shutdown.
//!
//! Follows `BrokerLifecycleManager`. Left out: giving up when the first registration takes longer
//! than `initial.broker.registration.timeout.ms` (the broker goes on trying). Added: a broker whose
//! epoch the controller no longer knows registers again, which in Kafka takes a restart.

use super::alarm::Alarm;
use super::channel::Ask;
use super::{Broker, BrokerTimer, client_of, span};
use crate::few;
use crate::kafka::error::ErrorCode;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::Request;
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;

/// First pause after a failed registration or heartbeat, ms; it doubles.
const FIRST_BACKOFF_MS: i64 = 100;
/// While catching up, and after the first answer to a request for shutdown, heartbeats come faster.
const CATCH_UP_MS: i64 = 10;
const SHUTDOWN_POLL_MS: i64 = 50;
/// How long a controlled shutdown may take before the broker goes down all the same, ms.
const CONTROLLED_SHUTDOWN_MS: i64 = 300_000;

/// Where the broker stands (`BrokerState`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
pub enum BrokerState {
    /// Not started, or crashed.
    #[default]
    NotRunning,
    /// Registering and reading the metadata log up to its registration.
    Starting,
    /// Caught up; hosts its replicas and waits to be unfenced.
    Recovery,
    /// Unfenced once.
    Running,
    /// Waits for the controller to move its leaderships away.
    PendingControlledShutdown,
    /// The process has ended in order.
    ShutDown,
}

/// The state of the lifecycle manager.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Lifecycle {
    pub(super) state: BrokerState,
    /// Broker epoch; -1 until registered.
    pub(super) epoch: i64,
    incarnation: u64,
    previous_epoch: i64,
    ready_to_unfence: bool,
    failed_attempts: u32,
    /// The last answer said that the controller has fenced this broker.
    pub(super) told_fenced: bool,
    got_shutdown_answer: bool,
    shutdown_deadline: Option<Nanos>,
    /// A communication fell due while another was under way or no controller was known.
    due: bool,
    communication: Alarm,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Lifecycle {
            state: BrokerState::NotRunning,
            epoch: -1,
            incarnation: 0,
            previous_epoch: -1,
            ready_to_unfence: false,
            failed_attempts: 0,
            told_fenced: true,
            got_shutdown_answer: false,
            shutdown_deadline: None,
            due: false,
            communication: Alarm::default(),
        }
    }
}

impl Lifecycle {
    pub(super) fn start(&mut self, incarnation: u64, previous_epoch: i64) {
        self.state = BrokerState::Starting;
        self.incarnation = incarnation;
        self.previous_epoch = previous_epoch;
        self.due = true;
    }

    /// Whether the broker hosts its replicas and answers clients.
    pub(super) fn serves(&self) -> bool {
        self.state >= BrokerState::Recovery && self.state < BrokerState::ShutDown
    }
}

impl Broker {
    pub(super) fn on_lifecycle_timer(&mut self, cx: &mut KafkaCx<'_>) {
        self.lifecycle.communication.fired();
        self.lifecycle.due = true;
        self.communicate(cx);
    }

    /// Registers or sends a heartbeat, if one is due and nothing of the kind is under way.
    pub(super) fn communicate(&mut self, cx: &mut KafkaCx<'_>) {
        if let Some(deadline) = self.lifecycle.shutdown_deadline
            && cx.now() >= deadline
        {
            self.shut_down(cx);
            return;
        }
        let under_way = self.is_asking(Ask::Registration) || self.is_asking(Ask::Heartbeat);
        if !self.lifecycle.due || under_way {
            return;
        }
        let Some(controller) = self.controller_node() else {
            // The next answer to a metadata fetch names one.
            return;
        };
        self.lifecycle.due = false;
        // KAFKA-14392: half a session, so that a broker has time to turn to another controller.
        let timeout = span(self.config.broker_session_timeout_ms / 2);
        if self.lifecycle.epoch < 0 {
            let request = Request::BrokerRegistration {
                broker: self.id,
                incarnation: self.lifecycle.incarnation,
                previous_broker_epoch: self.lifecycle.previous_epoch,
            };
            self.ask(Ask::Registration, controller, timeout, request, cx);
        } else {
            let request = Request::BrokerHeartbeat {
                broker: self.id,
                broker_epoch: self.lifecycle.epoch,
                current_metadata_offset: self.meta.image().next_offset - 1,
                want_fence: !self.lifecycle.ready_to_unfence,
                want_shut_down: self.lifecycle.state == BrokerState::PendingControlledShutdown,
            };
            self.ask(Ask::Heartbeat, controller, timeout, request, cx);
        }
    }

    fn communicate_now(&mut self, cx: &mut KafkaCx<'_>) {
        self.lifecycle.due = true;
        self.communicate(cx);
    }

    fn communicate_in(&mut self, ms: i64, cx: &mut KafkaCx<'_>) {
        if self.lifecycle.due {
            // Something asked for haste while the answer was on its way.
            self.communicate(cx);
            return;
        }
        let at = cx.now().saturating_add(span(ms));
        self.lifecycle
            .communication
            .move_to(at, BrokerTimer::Lifecycle, cx);
    }

    /// A registration or heartbeat failed; the pause doubles up to half a session.
    pub(super) fn communicate_after_failure(&mut self, cx: &mut KafkaCx<'_>) {
        let doubled = FIRST_BACKOFF_MS << self.lifecycle.failed_attempts.min(16);
        self.lifecycle.failed_attempts = self.lifecycle.failed_attempts.saturating_add(1);
        let longest = (self.config.broker_session_timeout_ms / 2).max(FIRST_BACKOFF_MS);
        self.lifecycle.due = false;
        self.communicate_in(doubled.min(longest), cx);
    }

    pub(super) fn on_registration(&mut self, error: ErrorCode, epoch: i64, cx: &mut KafkaCx<'_>) {
        if error.is_error() {
            self.communicate_after_failure(cx);
            return;
        }
        self.lifecycle.failed_attempts = 0;
        self.lifecycle.epoch = epoch;
        self.communicate_now(cx);
    }

    pub(super) fn on_heartbeat(
        &mut self,
        error: ErrorCode,
        is_caught_up: bool,
        is_fenced: bool,
        should_shut_down: bool,
        cx: &mut KafkaCx<'_>,
    ) {
        if error == ErrorCode::StaleBrokerEpoch {
            self.lifecycle.epoch = -1;
        }
        if error.is_error() {
            self.communicate_after_failure(cx);
            return;
        }
        self.lifecycle.failed_attempts = 0;
        self.lifecycle.told_fenced = is_fenced;
        let interval = self.config.broker_heartbeat_interval_ms;
        match self.lifecycle.state {
            BrokerState::Starting => {
                if is_caught_up && self.metadata.is_loaded() {
                    self.lifecycle.state = BrokerState::Recovery;
                    self.publish_first_image(cx);
                    self.lifecycle.ready_to_unfence = true;
                    self.communicate_now(cx);
                } else {
                    self.communicate_in(CATCH_UP_MS, cx);
                }
            }
            BrokerState::Recovery => {
                if !is_fenced {
                    self.lifecycle.state = BrokerState::Running;
                }
                self.communicate_in(interval, cx);
            }
            BrokerState::Running => self.communicate_in(interval, cx),
            BrokerState::PendingControlledShutdown => {
                if should_shut_down {
                    self.shut_down(cx);
                    return;
                }
                let sooner = !self.lifecycle.got_shutdown_answer;
                self.lifecycle.got_shutdown_answer = true;
                self.communicate_in(if sooner { SHUTDOWN_POLL_MS } else { interval }, cx);
            }
            BrokerState::NotRunning | BrokerState::ShutDown => {}
        }
    }

    /// SIGTERM: leadership is moved away first, if the broker serves at all.
    pub(super) fn begin_controlled_shutdown(&mut self, cx: &mut KafkaCx<'_>) {
        match self.lifecycle.state {
            BrokerState::Running => {
                let epoch = self.lifecycle.epoch;
                self.note_rule(
                    Rule::ControlledShutdown,
                    None,
                    Some(self.id),
                    epoch,
                    epoch,
                    cx,
                );
                self.lifecycle.state = BrokerState::PendingControlledShutdown;
                let deadline = cx.now().saturating_add(span(CONTROLLED_SHUTDOWN_MS));
                self.lifecycle.shutdown_deadline = Some(deadline);
                self.communicate_now(cx);
            }
            BrokerState::Starting | BrokerState::Recovery => self.shut_down(cx),
            BrokerState::NotRunning
            | BrokerState::PendingControlledShutdown
            | BrokerState::ShutDown => {}
        }
    }

    /// The end in order: everything on disk, high watermarks and the clean-shutdown file written,
    /// connections closed.
    fn shut_down(&mut self, cx: &mut KafkaCx<'_>) {
        for partition in self.partitions.values_mut() {
            partition.close_cleanly();
        }
        let epoch = self.lifecycle.epoch;
        let others = self.book.brokers.iter().chain(&self.book.controllers);
        let mut peers: Vec<NodeId> = others.map(|(_, node)| *node).collect();
        peers.extend(self.connections.keys().map(|it| client_of(*it)));
        few::sort_by_key(&mut peers, |peer| *peer);
        peers.dedup();
        let me = cx.me();
        for peer in peers.into_iter().filter(|peer| *peer != me) {
            cx.close(peer);
        }
        self.forget_volatile();
        self.disk.clean_shutdown_epoch = (epoch >= 0).then_some(epoch);
        self.lifecycle.state = BrokerState::ShutDown;
        cx.exit();
    }
}
