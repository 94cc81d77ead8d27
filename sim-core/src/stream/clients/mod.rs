//! The Kafka clients in a TaskManager's process: consumers of sources, producers of sinks.
//!
//! Follows `KafkaSourceReader` with `KafkaPartitionSplitReader`, and `KafkaSink` with `KafkaWriter`,
//! `ExactlyOnceKafkaWriter` and `KafkaCommitter` of the Kafka connector 4.x, as far as they use
//! clients; what a source or a sink decides is in [`super::source`] and [`super::sink`]. To a sink
//! the cluster is what a store is to others: it asks, and is answered when the producer has come
//! to an end with it ([`sink`]). A subtask of a source has one consumer, which polls while fewer than
//! `source.reader.element.queue.capacity` polls lie unread, and commits to a group what complete
//! checkpoints hold. Left out: a pool of producers (each transactional id has one of its own here).

mod lane;
mod rows;
mod sink;
mod slips;
mod topic;

pub use topic::{TopicRows, rows_of};

use super::element::Record;
use super::job::Job;
use super::node::{StreamCx, Timer};
use super::protocol::{Attempt, StoreAnswer, TaskId};
use super::spec::{KafkaSource, KafkaStart, OperatorKind, OperatorSpec};
use super::taskmanager::TaskManagerTimer;
use crate::kafka;
use crate::kafka::embed::{Begin, Reader, Reading, Transactional, Writer, unmark};
use crate::kafka::ids::{AddressBook, TopicId};
use crate::kafka::protocol::Isolation;
use crate::kernel::NodeId;
pub(super) use lane::Lane;
use serde::Serialize;
use sink::{Desk, Want};
use slips::Slips;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records that lie unread before a consumer stops to poll: `source.reader.element.queue.capacity`
/// (2) times `max.poll.records`.
const UNREAD: usize = 2 * 500;

/// Bits of a record's number that count at its producer; those above count producers.
const RECORD_BITS: u32 = 24;

/// Requests that a client can number before those of the next one with its number in the process.
const REQUEST_BITS: u32 = 20;

/// Whose client it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Owner {
    /// The task.
    pub task: TaskId,
    /// Of which attempt.
    pub attempt: Attempt,
    /// The source or sink in it.
    pub operator: u32,
}

/// What came of a client for its owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A source's consumer has records.
    Fetched(Vec<Record>),
    /// Where a source's consumer is, by partition, and what lies ahead.
    Places(Vec<(u16, i64, i64)>),
    /// A sink's request is answered.
    Answered(u64, StoreAnswer),
    /// A source's consumer threw: it has no position.
    Lost,
    /// The task fails; whether because another producer has taken over.
    Failed {
        /// `ProducerFencedException`.
        fenced: bool,
    },
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum Kind {
    Reader(Box<Reader>),
    Writer(Box<Sender>),
}

/// A producer with the rows that it was given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Sender {
    writer: Writer,
    slips: Slips,
    /// `transactional.id`; empty without one.
    id: String,
    want: Option<Want>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Client {
    /// In its connections.
    number: u8,
    owner: Owner,
    kind: Kind,
}

/// The clients.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Clients {
    #[serde(skip)]
    book: Arc<AddressBook>,
    /// Clients that there were so far, over all lives of the process.
    made: u32,
    /// How often each number was given.
    uses: BTreeMap<u8, u32>,
    clients: BTreeMap<u32, Client>,
    desks: BTreeMap<Owner, Desk>,
    /// For owners; empty between two inputs.
    #[serde(skip)]
    outcomes: Vec<(Owner, Outcome)>,
}

fn operator(job: &Job, number: u32) -> Option<&OperatorSpec> {
    job.spec.operators.get(number as usize)
}

fn source_of(job: &Job, number: u32) -> Option<&KafkaSource> {
    match &operator(job, number)?.kind {
        OperatorKind::Source(it) => it.kafka.as_deref(),
        _ => None,
    }
}

/// Where partitions without an offset begin, by the source's `OffsetsInitializer`.
fn begun(partitions: &[(u16, Begin)], source: &KafkaSource) -> Vec<(u16, Begin)> {
    let own = match source.start {
        KafkaStart::Earliest | KafkaStart::Latest => Begin::Anywhere,
        KafkaStart::Committed => Begin::Committed,
        KafkaStart::At(offset) => Begin::At(offset),
    };
    let each = partitions.iter().map(|(partition, begin)| match begin {
        Begin::Anywhere => (*partition, own),
        begin => (*partition, *begin),
    });
    each.collect()
}

impl Clients {
    /// None yet, of the cluster behind `book`.
    #[must_use]
    pub fn new(book: Arc<AddressBook>) -> Self {
        Clients {
            book,
            made: 0,
            uses: BTreeMap::new(),
            clients: BTreeMap::new(),
            desks: BTreeMap::new(),
            outcomes: Vec::new(),
        }
    }

    /// What a crash leaves: records keep their numbers.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Clients {
            made: self.made,
            ..Clients::new(Arc::clone(&self.book))
        }
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let each = self.clients.values().map(|it| match &it.kind {
            Kind::Reader(it) => it.weight(),
            Kind::Writer(it) => it.writer.weight() + it.slips.weight(),
        });
        each.sum()
    }

    fn topic(&self, name: &str) -> TopicId {
        let found = self.book.topics.iter().position(|it| **it == *name);
        TopicId(found.map_or(u16::MAX, |it| it as u16))
    }

    /// A number in the process for the next client, and where its requests are numbered from: the
    /// free number that was given least, so that no late answer fits.
    fn number(&mut self) -> Option<(u8, u32)> {
        let taken = |it: &u8| self.clients.values().any(|client| client.number == *it);
        let free = (1..=u8::MAX).filter(|it| !taken(it));
        let uses = |it: &u8| self.uses.get(it).copied().unwrap_or(0);
        // Some more than are in use, so that one is not used again at once.
        let number = free.take(16).min_by_key(uses)?;
        let used = self.uses.entry(number).or_default();
        let from = (*used % 16) << REQUEST_BITS;
        *used += 1;
        Some((number, from))
    }

    fn add(&mut self, owner: Owner, number: u8, kind: Kind) -> u32 {
        let serial = self.made;
        self.made += 1;
        let client = Client {
            number,
            owner,
            kind,
        };
        self.clients.insert(serial, client);
        serial
    }

    /// A subtask of a source begins to read these partitions.
    pub(crate) fn read(
        &mut self,
        owner: Owner,
        partitions: &[(u16, Begin)],
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let Some(source) = source_of(job, owner.operator).filter(|_| !partitions.is_empty()) else {
            return;
        };
        let Some((number, correlation)) = self.number() else {
            self.outcomes
                .push((owner, Outcome::Failed { fenced: false }));
            return;
        };
        let reading = Reading {
            reset: source.reset,
            isolation: match source.read_committed {
                true => Isolation::ReadCommitted,
                false => Isolation::ReadUncommitted,
            },
        };
        let topic = self.topic(&source.topic);
        let book = Arc::clone(&self.book);
        let group = source.group();
        let partitions = begun(partitions, source);
        let reader = Reader::new(topic, reading, &partitions, book, (group, correlation));
        let serial = self.add(owner, number, Kind::Reader(Box::new(reader)));
        self.call(serial, job, cx, |kind, cx| match kind {
            Kind::Reader(it) => it.boot(cx),
            Kind::Writer(_) => {}
        });
    }

    /// A subtask of a source reads these partitions too.
    pub(crate) fn assign(
        &mut self,
        owner: Owner,
        partitions: &[(u16, Begin)],
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let mut clients = self.clients.iter();
        let Some((serial, _)) = clients.find(|(_, it)| it.owner == owner) else {
            // It had none yet.
            return self.read(owner, partitions, job, cx);
        };
        let serial = *serial;
        let Some(source) = source_of(job, owner.operator) else {
            return;
        };
        let partitions = begun(partitions, source);
        self.call(serial, job, cx, |kind, cx| match kind {
            Kind::Reader(it) => {
                for (partition, begin) in &partitions {
                    it.assign(*partition, *begin, cx);
                }
            }
            Kind::Writer(_) => {}
        });
    }

    /// A checkpoint is complete that holds these positions of a subtask of a source
    /// (`KafkaSourceReader.notifyCheckpointComplete`): they are committed to the source's group, for
    /// others to see.
    pub(crate) fn commit_offsets(
        &mut self,
        owner: Owner,
        offsets: &[(u16, i64)],
        job: &Job,
        cx: &mut StreamCx<'_>,
    ) {
        let mut clients = self.clients.iter();
        let found = clients.find(|(_, it)| it.owner == owner);
        if let Some((serial, _)) = found {
            self.call(*serial, job, cx, |kind, cx| match kind {
                Kind::Reader(it) => it.commit(offsets, cx),
                Kind::Writer(_) => {}
            });
        }
    }

    /// Commits of offsets that succeeded, and that failed, by the source's subtask.
    #[must_use]
    pub fn commits(&self, operator: u32) -> (u64, u64) {
        let own = self
            .clients
            .values()
            .filter(|it| it.owner.operator == operator);
        own.fold((0, 0), |sum, it| match &it.kind {
            Kind::Reader(it) => (sum.0 + it.commits().0, sum.1 + it.commits().1),
            Kind::Writer(_) => sum,
        })
    }

    /// A producer of a sink; none if there are too many clients, and then the task fails.
    fn sender(
        &mut self,
        owner: Owner,
        topic: &str,
        transactional: Option<Transactional>,
        want: Option<Want>,
    ) -> Option<u32> {
        let Some((number, correlation)) = self.number() else {
            self.outcomes
                .push((owner, Outcome::Failed { fenced: false }));
            return None;
        };
        let id = transactional.as_ref().map(|it| it.id.clone());
        let first = u64::from(self.made) << RECORD_BITS;
        let topic = self.topic(topic);
        let book = Arc::clone(&self.book);
        let sender = Sender {
            writer: Writer::new(topic, transactional, book, (first, correlation)),
            slips: Slips::default(),
            id: id.unwrap_or_default(),
            want,
        };
        Some(self.add(owner, number, Kind::Writer(Box::new(sender))))
    }

    /// A message of a broker.
    pub fn message(&mut self, from: NodeId, msg: kafka::Msg, job: &Job, cx: &mut StreamCx<'_>) {
        let (number, msg) = unmark(msg);
        let found = self.clients.iter().find(|(_, it)| it.number == number);
        let Some(serial) = found.map(|(serial, _)| *serial) else {
            return;
        };
        self.call(serial, job, cx, |kind, cx| match kind {
            Kind::Reader(it) => it.message(from, msg, cx),
            Kind::Writer(it) => it.writer.message(from, msg, cx),
        });
    }

    /// The timer of a client has fired.
    pub fn wake(&mut self, serial: u32, job: &Job, cx: &mut StreamCx<'_>) {
        self.call(serial, job, cx, |kind, cx| match kind {
            Kind::Reader(it) => it.wake(cx),
            Kind::Writer(it) => it.writer.wake(cx),
        });
    }

    /// The connections to a node are gone.
    pub fn disconnected(&mut self, node: NodeId, job: &Job, cx: &mut StreamCx<'_>) {
        let all: Vec<u32> = self.clients.keys().copied().collect();
        for serial in all {
            self.disconnect(serial, node, job, cx);
        }
    }

    fn disconnect(&mut self, serial: u32, node: NodeId, job: &Job, cx: &mut StreamCx<'_>) {
        self.call(serial, job, cx, |kind, cx| match kind {
            Kind::Reader(it) => it.disconnected(node, cx),
            Kind::Writer(it) => it.writer.disconnected(node, cx),
        });
    }

    /// Calls a client. Connections that it ends are those of all, who are told.
    fn call(
        &mut self,
        serial: u32,
        job: &Job,
        cx: &mut StreamCx<'_>,
        call: impl FnOnce(&mut Kind, &mut kafka::KafkaCx<'_>),
    ) {
        let Some(client) = self.clients.get_mut(&serial) else {
            return;
        };
        let mut ended = Vec::new();
        let number = (serial, client.number);
        let mut slips = match &mut client.kind {
            Kind::Writer(it) => Some(std::mem::take(&mut it.slips)),
            Kind::Reader(_) => None,
        };
        let timer = Timer::TaskManager(TaskManagerTimer::Kafka(serial));
        let mut lane = Lane::new(&mut *cx, number, timer, &mut ended);
        lane.slips = slips.as_mut();
        call(&mut client.kind, &mut lane);
        if let (Kind::Writer(it), Some(slips)) = (&mut client.kind, slips) {
            it.slips = slips;
        }
        for node in ended {
            let others: Vec<u32> = self.clients.keys().copied().collect();
            for other in others.into_iter().filter(|it| *it != serial) {
                self.disconnect(other, node, job, cx);
            }
        }
        self.settle(serial, job, cx);
    }

    /// What a call came to.
    fn settle(&mut self, serial: u32, job: &Job, cx: &mut StreamCx<'_>) {
        let Some(client) = self.clients.get_mut(&serial) else {
            return;
        };
        let owner = client.owner;
        match &mut client.kind {
            Kind::Reader(it) => {
                let Some(source) = source_of(job, owner.operator) else {
                    return;
                };
                let handed = it.take();
                let records = handed.iter();
                let records = records.map(|it| rows::incoming(it, source, owner.operator));
                let records: Vec<Record> = records.collect();
                let (places, lost) = (it.positions().collect(), it.is_lost());
                if !records.is_empty() {
                    self.outcomes.push((owner, Outcome::Fetched(records)));
                }
                self.outcomes.push((owner, Outcome::Places(places)));
                if lost {
                    self.outcomes.push((owner, Outcome::Lost));
                }
            }
            Kind::Writer(_) => self.settle_sender(serial, job, cx),
        }
    }

    /// A source has so many records that it has not read.
    pub fn tend(&mut self, owner: Owner, unread: usize, job: &Job, cx: &mut StreamCx<'_>) {
        let mut clients = self.clients.iter_mut();
        let own = |it: &(&u32, &mut Client)| it.1.owner == owner;
        let Some((serial, client)) = clients.find(own) else {
            return;
        };
        let serial = *serial;
        let on = unread < UNREAD;
        if matches!(&client.kind, Kind::Reader(it) if it.is_polling() != on) {
            self.call(serial, job, cx, |kind, cx| match kind {
                Kind::Reader(it) => it.set_polling(on, cx),
                Kind::Writer(_) => {}
            });
        }
    }

    /// Whether something came of it that nobody has taken.
    #[must_use]
    pub fn has_outcomes(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// Takes what came of it.
    pub fn take_outcomes(&mut self) -> Vec<(Owner, Outcome)> {
        std::mem::take(&mut self.outcomes)
    }

    /// Drops the clients of tasks that are no more. One that aborts its transaction does that first.
    pub fn retain(&mut self, lives: impl Fn(&Owner) -> bool) {
        self.clients.retain(|_, it| {
            let aborts =
                matches!(&it.kind, Kind::Writer(it) if matches!(it.want, Some(Want::Abort { .. })));
            aborts || lives(&it.owner)
        });
        self.desks.retain(|owner, _| lives(owner));
    }
}
