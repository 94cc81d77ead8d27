//! An application with a producer: load, accumulator, sender and idempotence.
//!
//! Follows `KafkaProducer`, `RecordAccumulator`, `Sender` and `TransactionManager` of the Java
//! client. The application is one thread: while `send()` blocks for metadata or memory it does
//! nothing else. A crash takes everything that was not acknowledged, and nobody is told; the
//! application does not send it again. Left out: compression, headers, interceptors,
//! `partitioner.class`, racks.

mod accumulator;
mod app;
mod batch;
mod forward;
mod load;
mod outcome;
mod partition_set;
mod sender;
mod sequences;
#[cfg(test)]
mod tests;
mod txn;
mod view;

pub use sequences::ProducerIdAndEpoch;
pub use txn::TxnState;
pub use view::Blocked;

use super::client::{Alarm, Backoff, Client, Event, Timing, span};
use super::config::ProducerConfig;
use super::error::ErrorCode;
use super::ids::{AddressBook, BrokerId, TopicId};
use super::node::{KafkaCx, KafkaInput, Order, Timer};
use super::parts::Parts;
use super::protocol::{Acks, Msg};
use super::rules::partitioner::{BuiltInPartitioner, PartitionView};
use super::spec::ProducerSpec;
use crate::kernel::{Input, Loss, Nanos};
use crate::scenario::limits;
use crate::settings::SettingValue;
use accumulator::Accumulator;
use app::App;
use load::LoadPlan;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
pub(super) use txn::TransactionPart;
use txn::{Txn, TxnAbout};

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ProducerTimer {
    /// The load's next record.
    Arrival,
    /// Something lingers, backs off, blocks or may time out.
    Wake,
}

/// What a request was about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum About {
    /// Batches: (partition, number of the batch).
    Produce(Vec<(u16, u64)>),
    InitProducerId,
    /// Something for the transaction.
    Txn(TxnAbout),
}

/// How far the producer is with its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Init {
    Wanted { from: Nanos },
    InFlight,
    Done,
}

/// Records by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Counts {
    sent: u64,
    acknowledged: u64,
    failed: u64,
    forgotten: u64,
    retries: u64,
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Producer {
    config: ProducerConfig,
    topic: TopicId,
    book: Arc<AddressBook>,
    #[serde(skip)]
    parts: Parts,
    plan: Arc<LoadPlan>,
    /// Records given to `send()` so far, over all runs of the process: the next record's ordinal.
    ordinal: u64,
    /// Records of the load so far, and records ordered by hand so far.
    loads: u64,
    orders: u64,
    load_on: bool,
    counts: Counts,
    app: App,
    client: Client<About>,
    accumulator: Accumulator,
    partitioner: BuiltInPartitioner,
    /// When there was last something ready for a broker, and when it could last be sent, ns; with
    /// `partitioner.availability.timeout.ms`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    latencies: BTreeMap<BrokerId, (Nanos, Nanos)>,
    views: Vec<PartitionView>,
    owner: ProducerIdAndEpoch,
    init: Init,
    /// With a `transactional.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    txn: Option<Box<Txn>>,
    bump_required: bool,
    fatal: Option<ErrorCode>,
    last_error: Option<(Nanos, ErrorCode)>,
    alarm: Alarm,
}

impl Producer {
    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    #[must_use]
    pub fn weight(&self) -> usize {
        let views = self.views.len() * size_of::<PartitionView>();
        size_of_val(self) + self.accumulator.weight() + views
    }

    /// A producer that writes to `topic` of the cluster behind `book`.
    #[must_use]
    pub fn new(spec: &ProducerSpec, topic: TopicId, book: Arc<AddressBook>, parts: Parts) -> Self {
        let config = spec.config.clone();
        Producer {
            client: Client::new(&book, topic, timing(&config)),
            accumulator: Accumulator::new(&config),
            partitioner: partitioner(&config),
            latencies: BTreeMap::new(),
            views: Vec::new(),
            txn: Txn::new(&config.transactional_id),
            config,
            topic,
            book,
            parts,
            plan: Arc::new(LoadPlan::new(&spec.load)),
            ordinal: 0,
            loads: 0,
            orders: 0,
            load_on: true,
            counts: Counts::default(),
            app: App::default(),
            owner: ProducerIdAndEpoch::NONE,
            init: Init::Wanted { from: 0 },
            bump_required: false,
            fatal: None,
            last_error: None,
            alarm: Alarm::default(),
        }
    }

    /// The one entry.
    pub fn on(&mut self, input: KafkaInput<ProducerTimer>, cx: &mut KafkaCx<'_>) {
        match input {
            Input::Boot => {
                self.start_load(cx);
                self.run(cx);
            }
            Input::Timer(ProducerTimer::Arrival) => self.on_arrival(cx),
            Input::Timer(ProducerTimer::Wake) => {
                self.alarm.fired();
                self.run(cx);
            }
            Input::Message {
                from,
                msg: Msg::Response(correlation, response),
            } => {
                match self
                    .client
                    .on_response(from, correlation, response, cx.now())
                {
                    Event::Nothing => return,
                    Event::Connected => {}
                    Event::Metadata { changed } => self.on_metadata(changed),
                    Event::Answer(broker, about, answer) => {
                        self.on_answer(broker, about, *answer, cx);
                    }
                }
                self.run(cx);
            }
            // Nobody asks a client anything.
            Input::Message { .. } => {}
            Input::Disconnected(node) => {
                let mut lost = Vec::new();
                self.client.on_disconnected(node, &mut lost, cx);
                self.on_lost(lost, cx);
                self.run(cx);
            }
            Input::Order(order) => self.on_order(order, cx),
        }
    }

    fn on_order(&mut self, order: Order, cx: &mut KafkaCx<'_>) {
        match order {
            Order::Send { records } => self.app.ordered += u64::from(records),
            Order::Load { on } => self.switch_load(on, cx),
            Order::SetAcks { acks } => {
                if let Ok(acks) = Acks::parse(&acks) {
                    self.app.closing = Some(acks);
                    self.accumulator.closed = true;
                }
            }
            _ => return,
        }
        self.run(cx);
    }

    /// Why these `acks` cannot be set, if so: what the client would refuse at start.
    #[must_use]
    pub fn refuse_acks(&self, acks: &str) -> Option<String> {
        let acks = match Acks::parse(acks) {
            Ok(acks) => acks,
            Err(why) => return Some(why),
        };
        let config = ProducerConfig {
            acks,
            ..self.config.clone()
        };
        config.problems().into_iter().next().map(|(_, why)| why)
    }

    /// Why so many records cannot be ordered on top of those that wait, if so.
    #[must_use]
    pub fn refuse_records(&self, records: u32) -> Option<String> {
        let most = u64::from(limits::ORDERED_RECORDS);
        let waits = self.app.ordered;
        (waits.saturating_add(u64::from(records)) > most)
            .then(|| format!("{waits} records are still to be sent; {most} is the most"))
    }

    /// Metadata came in.
    fn on_metadata(&mut self, changed: bool) {
        if !changed {
            return;
        }
        let metadata = &self.client.metadata;
        self.accumulator.look_again();
        self.accumulator.grow(metadata.partition_count());
        let leaders = (0..).zip(metadata.leaders());
        let views = leaders.map(|(partition, known)| PartitionView {
            partition,
            available: known.leader.is_some(),
            in_rack: false,
        });
        self.views = views.collect();
    }

    /// The producer closed; the application opens the next one.
    fn reopen(&mut self, acks: Acks, cx: &mut KafkaCx<'_>) {
        self.client.close(cx);
        self.config.acks = acks;
        self.reset();
    }

    /// State of a producer that was just made.
    fn reset(&mut self) {
        self.client = Client::new(&self.book, self.topic, timing(&self.config));
        self.accumulator = Accumulator::new(&self.config);
        self.partitioner = partitioner(&self.config);
        self.latencies = BTreeMap::new();
        self.views = Vec::new();
        self.owner = ProducerIdAndEpoch::NONE;
        self.init = Init::Wanted { from: 0 };
        self.txn = self.txn.as_ref().and_then(|it| it.restarted());
        self.bump_required = false;
        self.fatal = None;
    }

    /// Drops what a crash takes: the whole producer. The application's counts are kept, as they
    /// number its records.
    pub fn crash(&mut self, _loss: Loss) {
        self.abandon_unsent();
        self.counts.forgotten = self.counts.sent - self.counts.acknowledged - self.counts.failed;
        self.reset();
        self.app = App::default();
        self.alarm = Alarm::default();
    }

    fn wake_by(&mut self, at: Nanos, cx: &mut KafkaCx<'_>) {
        self.alarm.by(at, Timer::Producer(ProducerTimer::Wake), cx);
    }
}

fn timing(config: &ProducerConfig) -> Timing {
    Timing {
        request_timeout: span(config.request_timeout_ms),
        retry: retry(config),
        metadata_max_age: span(config.metadata_max_age_ms),
        max_in_flight: config.max_in_flight,
    }
}

fn retry(config: &ProducerConfig) -> Backoff {
    Backoff {
        initial: span(config.retry_backoff_ms),
        max: span(config.retry_backoff_max_ms),
    }
}

fn partitioner(config: &ProducerConfig) -> BuiltInPartitioner {
    BuiltInPartitioner::new(config.batch_size.max(1), false)
}
