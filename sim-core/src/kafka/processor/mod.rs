//! An application that reads one topic and writes what it makes of it to another: consume, transform,
//! produce.
//!
//! Not a part of Kafka: this is the loop around a `KafkaConsumer`, a member of a group, and a
//! `KafkaProducer`, both in one process. Every record that the application is done with becomes one
//! record with the same key. Without a `transactional.id` the application flushes what it sent
//! before `commitSync()` (`application.commit=sync`: at least once), or commits before it works
//! (`before`: at most once). A failed output makes it go back to its committed positions. With one, what
//! one `poll()` returned becomes one transaction, outputs and offsets together; if it is aborted the
//! application goes back likewise. Left out:
//! outputs that depend on more than one input, more than one output topic.

mod lane;
mod view;

pub use view::TransactionNow;

use super::consumer::Consumer;
use super::ids::AddressBook;
use super::ids::TopicId;
use super::node::{KafkaCx, KafkaInput, Node, Order, Timer};
use super::parts::Parts;
use super::producer::Producer;
use super::protocol::{Msg, SECOND_CLIENT};
use super::spec::ProcessorSpec;
use crate::kernel::{Input, Loss, NodeId};
use lane::Lane;
use serde::Serialize;
use std::sync::Arc;

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Processor {
    consumer: Consumer,
    producer: Producer,
    #[serde(skip)]
    parts: Parts,
    /// Outputs that had failed when the work in hand began.
    failed_before: u64,
    /// A transaction is being ended; how many were committed and aborted before.
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<(u64, u64)>,
    /// It has given up, since another has taken over its transactional id.
    closed: bool,
}

/// Makes a node.
type Build = fn(&ProcessorSpec, (TopicId, TopicId), Arc<AddressBook>, Parts) -> Option<Node>;

/// How a cluster calls its processors; see [`crate::kafka::parts`].
pub(in crate::kafka) struct ProcessorPart {
    /// Makes one that reads the first topic and writes to the second.
    pub(in crate::kafka) build: Build,
    on: fn(&mut Processor, KafkaInput<Timer>, &mut KafkaCx<'_>),
    crash: fn(&mut Processor, Loss),
}

impl Processor {
    /// There may be processors.
    pub(in crate::kafka) const PROCESSORS: ProcessorPart = ProcessorPart {
        build: Processor::build,
        on: Processor::handle,
        crash: Processor::lose,
    };

    /// There is none.
    pub(in crate::kafka) const NO_PROCESSORS: ProcessorPart = ProcessorPart {
        build: |_, _, _, _| None,
        on: |_, _, _| {},
        crash: |_, _| {},
    };

    fn part(&self) -> &'static ProcessorPart {
        &self.parts.table().processor
    }

    fn build(
        spec: &ProcessorSpec,
        (from, to): (TopicId, TopicId),
        book: Arc<AddressBook>,
        parts: Parts,
    ) -> Option<Node> {
        let producer = Producer::new(&spec.producer, to, Arc::clone(&book), parts);
        let transactional = producer.transaction().is_some();
        let consumer = Consumer::new(&spec.consumer, from, book, parts).producing(transactional);
        Some(Node::Processor(Box::new(Processor {
            consumer,
            producer: producer.forwarding().driven(),
            parts,
            failed_before: 0,
            ending: None,
            closed: false,
        })))
    }

    /// The one entry.
    pub(super) fn on(&mut self, input: KafkaInput<Timer>, cx: &mut KafkaCx<'_>) {
        (self.part().on)(self, input, cx);
    }

    /// Drops what a crash takes: both clients.
    pub(super) fn crash(&mut self, loss: Loss) {
        (self.part().crash)(self, loss);
    }

    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    #[must_use]
    pub fn weight(&self) -> usize {
        self.consumer.weight() + self.producer.weight()
    }

    /// What it reads with.
    #[must_use]
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// What it writes with.
    #[must_use]
    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    fn handle(&mut self, input: KafkaInput<Timer>, cx: &mut KafkaCx<'_>) {
        match input {
            Input::Boot => {
                self.give_producer(Input::Boot, cx);
                self.give_consumer(Input::Boot, cx);
            }
            Input::Message {
                from,
                msg: Msg::Response(correlation, response),
            } => {
                let own = Msg::Response(correlation & !SECOND_CLIENT, response);
                match correlation & SECOND_CLIENT {
                    0 => self.give_consumer(Input::Message { from, msg: own }, cx),
                    _ => self.give_producer(Input::Message { from, msg: own }, cx),
                }
            }
            // Nobody asks a client anything.
            Input::Message { .. } => return,
            Input::Timer(Timer::Producer(timer)) => self.give_producer(Input::Timer(timer), cx),
            Input::Timer(Timer::Consumer(timer)) => self.give_consumer(Input::Timer(timer), cx),
            Input::Timer(_) => return,
            Input::Disconnected(node) => {
                self.give_producer(Input::Disconnected(node), cx);
                self.give_consumer(Input::Disconnected(node), cx);
            }
            Input::Order(order @ (Order::Poll { .. } | Order::Close)) => {
                self.give_consumer(Input::Order(order), cx);
            }
            Input::Order(_) => return,
        }
        self.go_on(cx);
    }

    fn give_consumer(
        &mut self,
        input: KafkaInput<super::consumer::ConsumerTimer>,
        cx: &mut KafkaCx<'_>,
    ) {
        self.consume(cx, |consumer, cx| consumer.on(input, cx));
    }

    fn give_producer(
        &mut self,
        input: KafkaInput<super::producer::ProducerTimer>,
        cx: &mut KafkaCx<'_>,
    ) {
        self.produce(cx, |producer, cx| producer.on(input, cx));
    }

    /// Calls the consumer. Connections that it ends are the producer's too.
    fn consume(
        &mut self,
        cx: &mut KafkaCx<'_>,
        call: impl FnOnce(&mut Consumer, &mut KafkaCx<'_>),
    ) {
        let mut ended = Vec::new();
        let mut lane = Lane {
            cx: &mut *cx,
            second: false,
            ended: &mut ended,
        };
        call(&mut self.consumer, &mut lane);
        for node in ended {
            self.give_producer(Input::Disconnected(node), cx);
        }
    }

    /// Calls the producer. Connections that it ends are the consumer's too.
    fn produce(
        &mut self,
        cx: &mut KafkaCx<'_>,
        call: impl FnOnce(&mut Producer, &mut KafkaCx<'_>),
    ) {
        let mut ended: Vec<NodeId> = Vec::new();
        let mut lane = Lane {
            cx: &mut *cx,
            second: true,
            ended: &mut ended,
        };
        call(&mut self.producer, &mut lane);
        for node in ended {
            self.give_consumer(Input::Disconnected(node), cx);
        }
    }

    /// The application's loop, as far as it gets now.
    fn go_on(&mut self, cx: &mut KafkaCx<'_>) {
        loop {
            let outputs = self.consumer.take_outputs();
            if !outputs.is_empty() {
                self.produce(cx, |producer, cx| producer.forward(outputs, cx));
            }
            let goes_on = match self.producer.transaction() {
                None => self.publish(cx),
                Some(_) => self.transact(cx),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// The work on what one `poll()` returned is done: flushes, then commits. Returns whether the
    /// application goes on.
    fn publish(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        if !self.consumer.awaits_outputs() {
            return false;
        }
        if !self.producer.is_flushed() {
            self.produce(cx, Producer::flush);
            if !self.producer.is_flushed() {
                return false;
            }
        }
        self.producer.flushed();
        let failed = self.producer.failed() > self.failed_before;
        self.failed_before = self.producer.failed();
        self.consume(cx, |consumer, cx| match failed {
            true => consumer.rewind(cx),
            false => consumer.commit_outputs(cx),
        });
        true
    }

    /// The same with transactions: what one `poll()` returned is one transaction, with the offsets.
    /// Returns whether the application goes on.
    fn transact(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        let ended = self.producer.transactions_ended();
        if self.producer.fatal_error().is_some() {
            // ProducerFencedException: there is nothing to do but close.
            if !self.closed {
                self.closed = true;
                self.consume(cx, |consumer, cx| {
                    consumer.rewind(cx);
                    consumer.on(Input::Order(Order::Close), cx);
                });
            }
            return false;
        }
        if let Some(before) = self.ending {
            if ended == before {
                return false;
            }
            self.ending = None;
            self.consume(cx, |consumer, cx| match ended.0 > before.0 {
                true => consumer.outputs_committed(cx),
                false => consumer.rewind(cx),
            });
            return true;
        }
        if self.producer.must_abort() {
            // An exception has ended that round of the loop: what was not worked on yet is left.
            self.consumer.abandon_work();
            self.ending = Some(ended);
            self.produce(cx, Producer::abort_work);
            return true;
        }
        if !self.consumer.awaits_outputs() || !self.producer.has_sent_all() {
            return false;
        }
        let Some(work) = self.consumer.work_offsets() else {
            return false;
        };
        self.ending = Some(ended);
        self.produce(cx, |producer, cx| producer.commit_with(work, cx));
        true
    }

    fn lose(&mut self, loss: Loss) {
        self.consumer.crash(loss);
        self.producer.crash(loss);
        self.failed_before = self.producer.failed();
        (self.ending, self.closed) = (None, false);
    }
}
