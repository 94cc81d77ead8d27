//! Kafka clients inside a process of another system.
//!
//! A process may hold any number of them. Each has a number from 1 to 255 in its process: it stands
//! in the correlation ids of its requests, so that it has connections of its own. The process gives
//! its clients what comes for them, and a context that sends for them. A [`Reader`] is a
//! `KafkaConsumer` with `assign()` that hands on what `poll()` returns; a [`Writer`] is a
//! `KafkaProducer` whose application is the process. Both are the machines that the nodes of a
//! cluster are made of. A [`Lister`] is an `AdminClient` that lists partitions.

mod lister;

pub(crate) use lister::{Listed, Lister};

use super::config::{ConsumerConfig, OffsetReset, ProducerConfig};
use super::consumer::{Consumer, ConsumerTimer, Output};
use super::error::ErrorCode;
use super::ids::{AddressBook, TopicId, TopicPartition};
use super::node::{KafkaCx, Order};
use super::parts::Parts;
use super::producer::{Producer, ProducerTimer, TxnState};
use super::protocol::{CLIENT_BITS, Isolation, Msg, Request};
use super::spec::{ConsumerSpec, LoadSpec, ProducerSpec};
use super::txn_protocol::TxnRequest;
use crate::kernel::{Input, NodeId};
use crate::log::{RecordId, Values};
use serde::Serialize;
use std::sync::Arc;

pub(crate) use super::consumer::Handed;

/// Marks a message as one of the client with this number.
pub(crate) fn mark(client: u8, msg: Msg) -> Msg {
    match msg {
        Msg::Request(correlation, request) => {
            Msg::Request(correlation | u32::from(client) << 24, request)
        }
        other => other,
    }
}

/// Which client a message is for, and the message as that client knows it.
pub(crate) fn unmark(msg: Msg) -> (u8, Msg) {
    match msg {
        Msg::Request(correlation, request) => (0, Msg::Request(correlation, request)),
        Msg::Response(correlation, response) => (
            (correlation >> 24) as u8,
            Msg::Response(correlation & !CLIENT_BITS, response),
        ),
    }
}

/// Puts into the batches of a Produce what their records say.
pub(crate) fn fill(msg: &mut Msg, mut value: impl FnMut(RecordId) -> Vec<u8>) {
    let Msg::Request(_, request) = msg else {
        return;
    };
    let batches = match &mut **request {
        Request::Produce { batches, .. } => batches,
        Request::Txn(request) => match &mut **request {
            TxnRequest::Produce { batches, .. } => batches,
            _ => return,
        },
        _ => return,
    };
    for (_, batch) in batches {
        let values = batch.records.iter().map(|it| value(it.id)).collect();
        batch.values = Some(Values::new(values));
    }
}

/// How a reader reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// `auto.offset.reset`.
    pub(crate) reset: OffsetReset,
    /// `isolation.level`.
    pub(crate) isolation: Isolation,
}

/// Where a reader begins in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begin {
    /// Where `auto.offset.reset` says.
    Anywhere,
    /// Where the group has come to.
    Committed,
    /// At its start, wherever that is.
    Earliest,
    /// At this offset.
    At(i64),
}

/// A consumer of some partitions of a topic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Reader {
    consumer: Consumer,
    topic: TopicId,
    partitions: Vec<u16>,
}

impl Reader {
    /// Of these partitions. `group` is for [`Reader::commit`]; `correlation`: its requests are
    /// numbered from there.
    pub(crate) fn new(
        topic: TopicId,
        reading: Reading,
        partitions: &[(u16, Begin)],
        book: Arc<AddressBook>,
        (group, correlation): (Option<&str>, u32),
    ) -> Self {
        let wanted: Vec<u16> = partitions.iter().map(|(it, _)| *it).collect();
        let config = ConsumerConfig {
            auto_offset_reset: reading.reset,
            isolation: reading.isolation,
            ..ConsumerConfig::default()
        };
        let names = &book.topics;
        let name = names.get(usize::from(topic.0));
        let spec = ConsumerSpec {
            name: String::new(),
            topic: name.map_or_else(String::new, |it| it.to_string()),
            also: Vec::new(),
            partitions: wanted.clone(),
            config,
            start: 0,
        };
        let consumer = Consumer::new(&spec, topic, book, Parts::EVERYTHING);
        Reader {
            consumer: consumer.handing(partitions, group, correlation),
            topic,
            partitions: wanted,
        }
    }

    /// The process begins to use it.
    pub(crate) fn boot(&mut self, cx: &mut KafkaCx<'_>) {
        self.consumer.on(Input::Boot, cx);
    }

    /// A message came for it.
    pub(crate) fn message(&mut self, from: NodeId, msg: Msg, cx: &mut KafkaCx<'_>) {
        self.consumer.on(Input::Message { from, msg }, cx);
    }

    /// Its timer has fired.
    pub(crate) fn wake(&mut self, cx: &mut KafkaCx<'_>) {
        self.consumer.on(Input::Timer(ConsumerTimer::Wake), cx);
    }

    /// The connections to a node are gone.
    pub(crate) fn disconnected(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        self.consumer.on(Input::Disconnected(node), cx);
    }

    /// Reads a partition more (`assign()`); one that it has goes on as it is.
    pub(crate) fn assign(&mut self, partition: u16, begin: Begin, cx: &mut KafkaCx<'_>) {
        if self.partitions.contains(&partition) {
            return;
        }
        self.partitions.push(partition);
        self.consumer.assign(partition, begin);
        self.set_polling(self.is_polling(), cx);
    }

    /// `commitAsync()`: these offsets are its group's, by partition. Whoever fails to commit goes on.
    pub(crate) fn commit(&mut self, offsets: &[(u16, i64)], cx: &mut KafkaCx<'_>) {
        self.consumer.commit_by_hand(offsets, cx.now());
        self.set_polling(self.is_polling(), cx);
    }

    /// Commits that succeeded, and that failed.
    pub(crate) fn commits(&self) -> (u64, u64) {
        self.consumer.commits_by_hand()
    }

    /// Whether its owner calls `poll()`.
    pub(crate) fn is_polling(&self) -> bool {
        self.consumer.polling()
    }

    /// Its owner calls `poll()` from now on, or no longer.
    pub(crate) fn set_polling(&mut self, on: bool, cx: &mut KafkaCx<'_>) {
        self.consumer.on(Input::Order(Order::Poll { on }), cx);
    }

    /// What `poll()` returned since the last call.
    pub(crate) fn take(&mut self) -> Vec<Handed> {
        self.consumer.take_handed()
    }

    /// Where it reads on, and how much it knows to lie ahead, by partition; those without a position
    /// are left out.
    pub(crate) fn positions(&self) -> impl Iterator<Item = (u16, i64, i64)> + '_ {
        self.partitions.iter().filter_map(|partition| {
            let tp = TopicPartition {
                topic: self.topic,
                partition: *partition,
            };
            let lag = self.consumer.lag(tp).unwrap_or(0);
            Some((*partition, self.consumer.position(tp)?, lag))
        })
    }

    /// Whether `poll()` threw for a partition that has no position, or none in its log.
    pub(crate) fn is_lost(&self) -> bool {
        self.partitions.iter().any(|partition| {
            let (topic, partition) = (self.topic, *partition);
            let tp = TopicPartition { topic, partition };
            self.consumer.stopped(tp).is_some()
        })
    }

    /// About how many bytes a copy takes.
    pub(crate) fn weight(&self) -> usize {
        self.consumer.weight()
    }
}

/// A record to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outgoing {
    /// Its key's number, and the murmur2 hash of its name.
    pub(crate) key: (u32, i32),
    /// Its size.
    pub(crate) bytes: u32,
    /// Its timestamp, ms; when it is sent, if none.
    pub(crate) timestamp_ms: Option<i64>,
}

/// A `transactional.id` and what goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Transactional {
    /// The id.
    pub(crate) id: String,
    /// `transaction.timeout.ms`.
    pub(crate) timeout_ms: i64,
    /// Goes on with a transaction of this producer id and epoch, in a cluster whose
    /// `transaction.version` is this.
    pub(crate) resumed: Option<((i64, i16), u8)>,
}

/// A producer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Writer(Producer);

impl Writer {
    /// To this topic. `first` is the number of its first record, `correlation` that of its first
    /// request.
    pub(crate) fn new(
        topic: TopicId,
        transactional: Option<Transactional>,
        book: Arc<AddressBook>,
        (first, correlation): (u64, u32),
    ) -> Self {
        let mut config = ProducerConfig::default();
        let mut resumed = None;
        if let Some(it) = transactional {
            config.transactional_id = it.id;
            config.transaction_timeout_ms = it.timeout_ms;
            resumed = it.resumed;
        }
        let spec = ProducerSpec {
            name: String::new(),
            topic: String::new(),
            config,
            load: LoadSpec::default(),
        };
        let producer = Producer::new(&spec, topic, book, Parts::EVERYTHING);
        let mut producer = producer.forwarding().driven();
        producer.number_from(first, correlation);
        if let Some((owner, version)) = resumed {
            producer.resume(owner, version);
        }
        Writer(producer)
    }

    /// The process begins to use it.
    pub(crate) fn boot(&mut self, cx: &mut KafkaCx<'_>) {
        self.0.on(Input::Boot, cx);
    }

    /// A message came for it.
    pub(crate) fn message(&mut self, from: NodeId, msg: Msg, cx: &mut KafkaCx<'_>) {
        self.0.on(Input::Message { from, msg }, cx);
    }

    /// Its timer has fired.
    pub(crate) fn wake(&mut self, cx: &mut KafkaCx<'_>) {
        self.0.on(Input::Timer(ProducerTimer::Wake), cx);
    }

    /// The connections to a node are gone.
    pub(crate) fn disconnected(&mut self, node: NodeId, cx: &mut KafkaCx<'_>) {
        self.0.on(Input::Disconnected(node), cx);
    }

    /// Its owner gives these to `send()`, in a transaction if it has an id for them.
    pub(crate) fn send(&mut self, records: &[Outgoing], cx: &mut KafkaCx<'_>) {
        let output = |it: &Outgoing| Output {
            // Nobody asks: what a record was made of is the owner's business.
            input: RecordId(0),
            key: Some(it.key.0),
            bytes: it.bytes,
            tombstone: false,
            hash: Some(it.key.1),
            timestamp_ms: it.timestamp_ms,
        };
        self.0.forward(records.iter().map(output).collect(), cx);
    }

    /// `commitTransaction()`.
    pub(crate) fn commit(&mut self, cx: &mut KafkaCx<'_>) {
        self.0.commit_work(cx);
    }

    /// `abortTransaction()`.
    pub(crate) fn abort(&mut self, cx: &mut KafkaCx<'_>) {
        self.0.abort_work(cx);
    }

    /// Its producer id and epoch once `initTransactions()` has returned.
    pub(crate) fn initialised(&self) -> Option<(i64, i16)> {
        let owner = self.0.producer_id();
        let ready = self.0.transaction() != Some(TxnState::Initialising);
        (ready && owner.is_valid()).then_some((owner.id, owner.epoch))
    }

    /// Whether a transaction is open.
    pub(crate) fn in_transaction(&self) -> bool {
        matches!(self.0.transaction(), Some(TxnState::InTransaction { .. }))
    }

    /// Transactions committed and aborted so far.
    pub(crate) fn ended(&self) -> (u64, u64) {
        self.0.transactions_ended()
    }

    /// What ended it for good.
    pub(crate) fn fatal_error(&self) -> Option<ErrorCode> {
        self.0.fatal_error()
    }

    /// About how many bytes a copy takes.
    pub(crate) fn weight(&self) -> usize {
        self.0.weight()
    }
}
