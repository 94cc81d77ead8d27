//! An `AdminClient` in a process of another system, which is asked how many partitions a topic has.
//!
//! Follows `KafkaAdminClient.describeTopics`: any broker can answer, and one that does not within
//! `request.timeout.ms` is given up for another until `default.api.timeout.ms` is over. Between two
//! questions it asks for nothing. Left out: the controller, every other question, authorization.

use super::super::client::{Alarm, Backoff, Client, Event, NEVER, Timing};
use super::super::consumer::ConsumerTimer;
use super::super::ids::{AddressBook, TopicId};
use super::super::node::{KafkaCx, Timer};
use super::super::protocol::Msg;
use crate::kernel::{MILLISECOND, Nanos, NodeId, SECOND};
use serde::Serialize;

/// Defaults of `AdminClientConfig`.
const TIMING: Timing = Timing {
    request_timeout: 30 * SECOND,
    retry: Backoff {
        initial: 100 * MILLISECOND,
        max: SECOND,
    },
    metadata_max_age: NEVER,
    max_in_flight: 100,
};

/// `default.api.timeout.ms`.
const API_TIMEOUT: Nanos = 60 * SECOND;

/// What came of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listed {
    /// The topic has so many partitions.
    Partitions(u16),
    /// Nobody has said so in time (`TimeoutException`).
    TimedOut,
}

/// The client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Lister {
    client: Client<()>,
    alarm: Alarm,
    /// Until when an answer is waited for, ns.
    asked: Option<Nanos>,
    #[serde(skip)]
    listed: Option<Listed>,
}

impl Lister {
    /// For this topic of the cluster behind `book`.
    pub(crate) fn new(topic: TopicId, book: &AddressBook) -> Self {
        Lister {
            client: Client::new(book, topic, TIMING),
            alarm: Alarm::default(),
            asked: None,
            listed: None,
        }
    }

    /// Whether an answer is waited for.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Asks.
    pub(crate) fn ask(&mut self, cx: &mut KafkaCx<'_>) {
        self.asked = Some(cx.now().saturating_add(API_TIMEOUT));
        self.client.metadata.request_update(true);
        self.run(cx);
    }

    /// A message came for it.
    pub(crate) fn message(&mut self, from: NodeId, msg: Msg, cx: &mut KafkaCx<'_>) {
        let Msg::Response(correlation, response) = msg else {
            return;
        };
        let now = cx.now();
        let event = self.client.on_response(from, correlation, response, now);
        let partitions = self.client.metadata.partition_count();
        if matches!(event, Event::Metadata { .. }) && partitions > 0 && self.is_asked() {
            self.asked = None;
            self.listed = Some(Listed::Partitions(partitions));
        }
        self.run(cx);
    }

    /// Its timer has fired.
    pub(crate) fn wake(&mut self, cx: &mut KafkaCx<'_>) {
        self.alarm.fired();
        self.run(cx);
    }

    /// The connections to a node are gone.
    pub(crate) fn disconnected(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        self.client.on_disconnected(node, &mut Vec::new(), cx);
        self.run(cx);
    }

    /// What came of the question since the last call.
    pub(crate) fn take(&mut self) -> Option<Listed> {
        self.listed.take()
    }

    /// About how many bytes a copy takes.
    pub(crate) fn weight(&self) -> usize {
        size_of_val(self)
    }

    fn run(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(until) = self.asked else {
            return;
        };
        if until <= cx.now() {
            self.asked = None;
            self.listed = Some(Listed::TimedOut);
            return;
        }
        self.client.poll(&mut Vec::new(), cx);
        let due = self.client.deadline(cx).min(until);
        self.alarm.by(due, Timer::Consumer(ConsumerTimer::Wake), cx);
    }
}
