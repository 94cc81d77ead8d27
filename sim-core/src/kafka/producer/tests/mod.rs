//! Tests of the whole node against brokers played by hand.

mod accumulator;
mod application;
mod new_leader;
mod retries;

use super::*;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::note::Note;
use crate::kafka::protocol::{PartitionMetadata, ProducedPartition, Request, Response};
use crate::kafka::spec::{Arrivals, Keys, LoadSpec};
use crate::kafka::testing::TestCx;
use crate::kernel::{MILLISECOND, NodeId, SECOND};
use crate::log::Batch;

/// The producer's own node; brokers 1 and 2 are nodes 1 and 2.
const ME: NodeId = NodeId(9);

/// A produce request as the rig hands it out.
#[derive(Debug)]
struct Asked {
    broker: BrokerId,
    correlation: u32,
    batches: Vec<(u16, Batch)>,
}

impl Asked {
    /// First sequence numbers.
    fn sequences(&self) -> Vec<i32> {
        let batches = self.batches.iter();
        batches.map(|(_, b)| b.producer.base_sequence).collect()
    }
}

/// A producer, and brokers that answer all but Produce by themselves.
struct Rig {
    cx: TestCx,
    producer: Producer,
    /// Leader and epoch by partition, as brokers tell.
    leaders: Vec<(BrokerId, i32)>,
    /// Brokers that answer.
    alive: Vec<BrokerId>,
    asked: Vec<Asked>,
}

impl Rig {
    fn new(settings: &[(&str, &str)], load: LoadSpec, leaders: &[BrokerId]) -> Self {
        let mut config = ProducerConfig::default();
        for (key, value) in settings {
            config.set(key, value).expect("a known key and value");
        }
        assert_eq!(config.problems(), [], "{settings:?}");
        let book = AddressBook {
            racks: Vec::new(),
            topics: Vec::new(),
            brokers: vec![(1, NodeId(1)), (2, NodeId(2))],
            controllers: Vec::new(),
        };
        let spec = ProducerSpec {
            name: "p".to_owned(),
            topic: "t".to_owned(),
            config,
            load,
        };
        let mut rig = Rig {
            cx: TestCx::new(ME),
            producer: Producer::new(&spec, TopicId(0), Arc::new(book), Parts::default()),
            leaders: leaders.iter().map(|leader| (*leader, 0)).collect(),
            alive: vec![1, 2],
            asked: Vec::new(),
        };
        rig.give(Input::Boot);
        rig
    }

    /// A rig whose producer has metadata and id, and sends only when told.
    fn by_hand(settings: &[(&str, &str)], leaders: &[BrokerId]) -> Self {
        let load = LoadSpec {
            keys: Keys::Cycle { n: 1 },
            ..LoadSpec::default()
        };
        let mut rig = Rig::new(settings, load, leaders);
        rig.pass(MILLISECOND);
        rig
    }

    fn give(&mut self, input: KafkaInput<ProducerTimer>) {
        self.producer.on(input, &mut self.cx);
        self.serve();
    }

    /// Lets time pass.
    fn pass(&mut self, span: Nanos) {
        let until = self.cx.now + span;
        loop {
            match self.cx.next_timer(until) {
                Some(Timer::Producer(timer)) => self.give(Input::Timer(timer)),
                Some(other) => panic!("a foreign timer {other:?}"),
                None => return,
            }
        }
    }

    /// Brokers that are alive answer what needs no decision.
    fn serve(&mut self) {
        loop {
            let sent = self.cx.take_sent();
            if sent.is_empty() {
                return;
            }
            for (_, to, msg) in sent {
                let Msg::Request(correlation, request) = msg else {
                    panic!("a producer answers nothing");
                };
                let broker = i32::try_from(to.0).expect("brokers have small numbers");
                if !self.alive.contains(&broker) {
                    continue;
                }
                let answer = match *request {
                    Request::ApiVersions => Response::ApiVersions,
                    Request::Metadata => self.metadata(),
                    Request::InitProducerId => Response::InitProducerId {
                        error: ErrorCode::None,
                        producer_id: 70,
                        producer_epoch: 0,
                    },
                    Request::Produce { batches, .. } => {
                        let numbered = batches.into_iter();
                        self.asked.push(Asked {
                            broker,
                            correlation,
                            batches: numbered.map(|(tp, b)| (tp.partition, b)).collect(),
                        });
                        continue;
                    }
                    other => panic!("a producer does not ask {other:?}"),
                };
                self.respond(broker, correlation, answer);
            }
        }
    }

    fn metadata(&self) -> Response {
        let told = (0..).zip(&self.leaders);
        let told = told.map(|(partition, (leader, leader_epoch))| PartitionMetadata {
            tp: tp(partition),
            leader: *leader,
            leader_epoch: *leader_epoch,
            replicas: vec![1, 2],
            isr: vec![1, 2],
        });
        Response::Metadata {
            brokers: self.alive.clone(),
            partitions: told.collect(),
        }
    }

    fn respond(&mut self, broker: BrokerId, correlation: u32, response: Response) {
        let from = NodeId(broker.unsigned_abs());
        let msg = Msg::Response(correlation, Box::new(response));
        self.producer.on(Input::Message { from, msg }, &mut self.cx);
    }

    /// Takes the oldest produce request.
    fn next(&mut self) -> Asked {
        assert!(!self.asked.is_empty(), "nothing was produced");
        self.asked.remove(0)
    }

    /// Answers a produce request: error and base offset for all its batches.
    fn answer(&mut self, asked: &Asked, error: ErrorCode, base_offset: i64) {
        self.answer_with_hint(asked, error, base_offset, None);
    }

    fn answer_with_hint(
        &mut self,
        asked: &Asked,
        error: ErrorCode,
        base_offset: i64,
        current_leader: Option<(BrokerId, i32)>,
    ) {
        let told = asked
            .batches
            .iter()
            .map(|(partition, _)| ProducedPartition {
                tp: tp(*partition),
                error,
                base_offset,
                current_leader,
            });
        let partitions = told.collect();
        self.respond(
            asked.broker,
            asked.correlation,
            Response::Produce { partitions },
        );
        self.serve();
    }

    fn send(&mut self, records: u32) {
        self.give(Input::Order(Order::Send { records }));
    }

    /// Sends one record and lets it linger to the end.
    fn send_one(&mut self) {
        self.send(1);
        self.pass(5 * MILLISECOND);
    }

    /// Ordinals and offsets acknowledged so far.
    fn acknowledged(&self) -> Vec<(u64, i64)> {
        let found = self.cx.notes.iter().filter_map(|note| match note {
            Note::Acknowledged { record, offset, .. } => Some((ordinal(record.0), *offset)),
            _ => None,
        });
        found.collect()
    }

    /// Ordinals and errors of records given up so far.
    fn failed(&self) -> Vec<(u64, ErrorCode)> {
        let found = self.cx.notes.iter().filter_map(|note| match note {
            Note::Failed { record, error, .. } => Some((ordinal(record.0), *error)),
            _ => None,
        });
        found.collect()
    }
}

/// What a case of Kafka's own tests expects.
fn expected(id: &str) -> serde_json::Value {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../conform/cases/kafka/producer-accumulator.json"
    ));
    let file: serde_json::Value = serde_json::from_str(text).expect("the file is JSON");
    let cases = file["cases"].as_array().expect("it lists cases");
    let case = cases.iter().find(|case| case["id"] == id);
    case.expect("the case is there")["expect"].clone()
}

fn ordinal(id: u64) -> u64 {
    assert_eq!(
        id >> 40,
        u64::from(ME.0),
        "the producer's node is in the id"
    );
    id & ((1 << 40) - 1)
}

fn tp(partition: u16) -> TopicPartition {
    TopicPartition {
        topic: TopicId(0),
        partition,
    }
}
