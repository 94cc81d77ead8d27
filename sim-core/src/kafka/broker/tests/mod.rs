//! A broker between a scripted controller and scripted peers.

mod failures;
mod following;
mod leading;
mod lifecycle;

use super::{Broker, BrokerState, BrokerTimer, PartitionView};
use crate::kafka::config::BrokerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{AddressBook, BrokerId, TopicId, TopicPartition};
use crate::kafka::metadata::{ConfigResource, MetadataRecord};
use crate::kafka::node::Timer;
use crate::kafka::parts::Parts;
use crate::kafka::protocol::{
    Acks, FetchPartition, FetchedPartition, Fetcher, Isolation, Msg, Request, Response,
};
use crate::kafka::rules::election::PartitionRegistration;
use crate::kafka::rules::replication::ReplicationRules;
use crate::kafka::testing::TestCx;
use crate::kernel::{Input, Loss, Nanos, NodeId};
use crate::log::{Batch, ProducerStamp, Record, RecordId};
use std::sync::Arc;

/// The broker under test has id 1 and stands at node 0.
const BROKERS: [(BrokerId, NodeId); 3] = [(1, NodeId(0)), (2, NodeId(1)), (3, NodeId(2))];
const CONTROLLERS: [(BrokerId, NodeId); 2] = [(101, NodeId(11)), (102, NodeId(12))];
const CONTROLLER: NodeId = NodeId(11);
const PRODUCER: NodeId = NodeId(21);
const CONSUMER: NodeId = NodeId(22);
const TP: TopicPartition = TopicPartition {
    topic: TopicId(0),
    partition: 0,
};
const MS: Nanos = 1_000_000;

/// The broker, its context, and the metadata log of the scripted controller.
struct Rig {
    broker: Broker,
    cx: TestCx,
    log: Vec<Batch<MetadataRecord>>,
    /// Epoch that the controller gives to the broker under test.
    broker_epoch: i64,
    /// Whether a broker that wants to shut down may.
    may_stop: bool,
    /// The controllers answer nothing.
    silent: bool,
}

impl Rig {
    fn new(config: BrokerConfig, rules: ReplicationRules) -> Self {
        let book = AddressBook {
            racks: Vec::new(),
            topics: Vec::new(),
            brokers: BROKERS.to_vec(),
            controllers: CONTROLLERS.to_vec(),
        };
        let mut rig = Rig {
            broker: Broker::new(
                1,
                Arc::new(book),
                Arc::new(config),
                Arc::new(rules),
                Parts::default(),
            ),
            cx: TestCx::new(NodeId(0)),
            log: Vec::new(),
            broker_epoch: 0,
            may_stop: false,
            silent: false,
        };
        rig.publish(vec![MetadataRecord::Topic {
            id: TopicId(0),
            name: "orders".to_owned(),
        }]);
        for (broker, _) in BROKERS {
            rig.publish(registered(broker));
        }
        rig.publish(unfenced());
        rig.broker_epoch = 1;
        rig
    }

    /// A running broker that knows the partition with this leader, leader epoch and ISR.
    fn running(leader: BrokerId, leader_epoch: i32, isr: &[BrokerId]) -> Self {
        Self::with(
            BrokerConfig::default(),
            ReplicationRules::default(),
            partition(leader, leader_epoch, 0, isr),
        )
    }

    fn with(config: BrokerConfig, rules: ReplicationRules, first: MetadataRecord) -> Self {
        let mut rig = Rig::new(config, rules);
        rig.publish(vec![first]);
        rig.start();
        rig
    }

    fn end(&self) -> i64 {
        self.log.last().map_or(0, Batch::next_offset)
    }

    /// Adds committed records to the metadata log; a fetch that waits there is answered.
    fn publish(&mut self, records: Vec<MetadataRecord>) {
        let mut batch = Batch::new(records, ProducerStamp::NONE);
        batch.base_offset = self.end();
        batch.leader_epoch = 1;
        self.log.push(batch);
        self.answer_metadata();
    }

    /// Answers metadata fetches with all that is asked for, until the broker is at the end.
    fn answer_metadata(&mut self) {
        let controllers = CONTROLLERS.map(|(_, node)| node);
        loop {
            let mut answers = Vec::new();
            let end = self.end();
            self.cx.sent.retain(|(_, to, msg)| {
                let Msg::Request(correlation, request) = msg else {
                    return true;
                };
                let Request::FetchMetadata { fetch_offset, .. } = **request else {
                    return true;
                };
                if !controllers.contains(to) || fetch_offset >= end {
                    return true;
                }
                answers.push((*to, *correlation, fetch_offset));
                false
            });
            if answers.is_empty() {
                return;
            }
            for (from, correlation, offset) in answers {
                let batches = self.log.iter().filter(|it| it.base_offset >= offset);
                let batches = batches.cloned().collect();
                self.answer(from, correlation, metadata_response(end, batches));
            }
        }
    }

    /// Boots and answers the controller's part until the broker runs.
    fn start(&mut self) {
        self.on(Input::Boot);
        for _ in 0..20 {
            self.answer_metadata();
            self.answer_lifecycle();
            if self.broker.state() == BrokerState::Running {
                return;
            }
            self.run_for(20 * MS);
        }
        panic!("the broker did not start: {:?}", self.broker.state());
    }

    /// Answers registrations and heartbeats like a controller without troubles.
    fn answer_lifecycle(&mut self) {
        loop {
            let mut answers = Vec::new();
            for (_, node) in CONTROLLERS {
                for (correlation, request) in self.cx.take_requests(node) {
                    match request {
                        Request::BrokerRegistration { .. } => {
                            let response = Response::BrokerRegistration {
                                error: ErrorCode::None,
                                broker_epoch: self.broker_epoch,
                            };
                            answers.push((node, correlation, response));
                        }
                        Request::BrokerHeartbeat {
                            current_metadata_offset,
                            want_fence,
                            want_shut_down,
                            ..
                        } => {
                            let response = Response::BrokerHeartbeat {
                                error: ErrorCode::None,
                                is_caught_up: current_metadata_offset >= self.broker_epoch,
                                is_fenced: want_fence,
                                should_shut_down: want_shut_down && self.may_stop,
                            };
                            answers.push((node, correlation, response));
                        }
                        other => self.cx.sent.push((
                            self.cx.now,
                            node,
                            Msg::Request(correlation, Box::new(other)),
                        )),
                    }
                }
            }
            if answers.is_empty() {
                return;
            }
            for (from, correlation, response) in answers {
                self.answer(from, correlation, response);
            }
        }
    }

    fn on(&mut self, input: Input<Msg, BrokerTimer, crate::kafka::Order>) {
        self.broker.on(input, &mut self.cx);
    }

    /// A request from a client or peer.
    fn ask(&mut self, from: NodeId, correlation: u32, request: Request) {
        let msg = Msg::Request(correlation, Box::new(request));
        self.on(Input::Message { from, msg });
    }

    /// An answer to what the broker asked.
    fn answer(&mut self, from: NodeId, correlation: u32, response: Response) {
        let msg = Msg::Response(correlation, Box::new(response));
        self.on(Input::Message { from, msg });
    }

    /// Lets time pass; the controller goes on answering metadata fetches and heartbeats.
    fn run_for(&mut self, span: Nanos) {
        let until = self.cx.now + span;
        while self.cx.now < until {
            let step = until.min(self.cx.now + 500 * MS);
            while let Some(Timer::Broker(timer)) = self.cx.next_timer(step) {
                self.on(Input::Timer(timer));
                if self.broker.state() >= BrokerState::Running && !self.silent {
                    self.answer_lifecycle();
                }
            }
            if !self.silent {
                self.keep_waiting();
            }
        }
    }

    /// Answers the metadata fetches that wait with nothing new.
    fn keep_waiting(&mut self) {
        let end = self.end();
        for (_, node) in CONTROLLERS {
            for (correlation, request) in self.cx.take_requests(node) {
                if request.name() == "FetchMetadata" {
                    self.answer(node, correlation, metadata_response(end, Vec::new()));
                } else {
                    let msg = Msg::Request(correlation, Box::new(request));
                    self.cx.sent.push((self.cx.now, node, msg));
                }
            }
        }
    }

    fn restart(&mut self, loss: Loss) {
        self.broker.crash(loss);
        self.cx.clear_timers();
        self.cx.take_sent();
        self.start();
    }

    fn view(&self) -> PartitionView<'_> {
        self.broker.partition(TP).expect("the partition is hosted")
    }

    /// (log end, high watermark).
    fn offsets(&self) -> (i64, i64) {
        (self.view().leo, self.view().hw)
    }

    /// Sends a batch of `records` records; returns the answers so far: error and base offset.
    fn produce(&mut self, acks: Acks, records: u64) -> Vec<(ErrorCode, i64)> {
        self.produce_batch(acks, batch(records, ProducerStamp::NONE))
    }

    fn produce_batch(&mut self, acks: Acks, batch: Batch) -> Vec<(ErrorCode, i64)> {
        let request = Request::Produce {
            acks,
            timeout_ms: 30_000,
            batches: vec![(TP, batch)],
        };
        self.ask(PRODUCER, 1, request);
        self.produced()
    }

    /// Answers to produce requests since last asked.
    fn produced(&mut self) -> Vec<(ErrorCode, i64)> {
        let taken = self.cx.take_responses(PRODUCER).into_iter();
        let answers = taken.flat_map(|(_, response)| match response {
            Response::Produce { partitions } => partitions,
            other => panic!("not an answer to Produce: {other:?}"),
        });
        answers.map(|it| (it.error, it.base_offset)).collect()
    }

    /// Broker `id` fetches from `offset` in leader epoch `epoch`; returns the answer, if it came.
    fn fetch(
        &mut self,
        id: BrokerId,
        offset: i64,
        epoch: i32,
        last: i32,
    ) -> Option<FetchedPartition> {
        let (_, node) = BROKERS[usize::try_from(id - 1).expect("a broker id")];
        let broker_epoch = i64::from(id);
        let fetcher = Fetcher::Replica { id, broker_epoch };
        self.ask(node, 7, fetch_request(fetcher, offset, epoch, last));
        self.fetched(node)
    }

    fn consume(&mut self, offset: i64, epoch: i32) -> Option<FetchedPartition> {
        let fetcher = Fetcher::Consumer(Isolation::ReadUncommitted);
        self.ask(CONSUMER, 8, fetch_request(fetcher, offset, epoch, -1));
        self.fetched(CONSUMER)
    }

    /// The one fetch answer sent to a node since last asked.
    fn fetched(&mut self, node: NodeId) -> Option<FetchedPartition> {
        let mut taken = self.cx.take_responses(node);
        assert!(taken.len() <= 1, "{taken:?}");
        match taken.pop()?.1 {
            Response::Fetch { mut partitions } => partitions.pop(),
            other => panic!("not an answer to Fetch: {other:?}"),
        }
    }
}

fn fetch_request(fetcher: Fetcher, offset: i64, epoch: i32, last: i32) -> Request {
    Request::Fetch {
        fetcher,
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        partitions: vec![FetchPartition {
            tp: TP,
            fetch_offset: offset,
            current_leader_epoch: epoch,
            last_fetched_epoch: last,
            log_start_offset: 0,
            max_bytes: 1 << 20,
        }],
    }
}

fn metadata_response(high_watermark: i64, batches: Vec<Batch<MetadataRecord>>) -> Response {
    Response::FetchMetadata {
        error: ErrorCode::None,
        epoch: 1,
        leader: 101,
        high_watermark,
        diverging: None,
        batches: batches.into_iter().map(Arc::new).collect(),
        snapshot: None,
    }
}

/// Broker n registers at offset n, so that in these tests its epoch is its id.
fn registered(broker: BrokerId) -> Vec<MetadataRecord> {
    vec![MetadataRecord::RegisterBroker {
        broker,
        incarnation: 1,
    }]
}

/// Unfences all brokers as they were registered first.
fn unfenced() -> Vec<MetadataRecord> {
    BROKERS
        .iter()
        .map(|(broker, _)| MetadataRecord::BrokerRegistrationChange {
            broker: *broker,
            broker_epoch: i64::from(*broker),
            fenced: Some(false),
            in_controlled_shutdown: None,
        })
        .collect()
}

fn partition(
    leader: BrokerId,
    leader_epoch: i32,
    partition_epoch: i32,
    isr: &[BrokerId],
) -> MetadataRecord {
    let state = PartitionRegistration {
        replicas: vec![1, 2, 3],
        isr: isr.to_vec(),
        leader,
        leader_epoch,
        partition_epoch,
        ..PartitionRegistration::default()
    };
    MetadataRecord::Partition {
        tp: TP,
        state: Box::new(state),
    }
}

fn min_isr(value: &str) -> MetadataRecord {
    MetadataRecord::Config {
        resource: ConfigResource::Topic(TopicId(0)),
        key: "min.insync.replicas".to_owned(),
        value: Some(value.to_owned()),
    }
}

fn batch(records: u64, producer: ProducerStamp) -> Batch {
    let one = |n| Record {
        id: RecordId(n),
        key: None,
        offset_delta: 0,
        bytes: 100,
        timestamp_ms: 0,
        tombstone: false,
    };
    Batch::new((0..records).map(one).collect(), producer)
}

/// A batch as a leader of `epoch` would send it to its followers.
fn replicated(base_offset: i64, records: u64, epoch: i32) -> Batch {
    Batch {
        base_offset,
        leader_epoch: epoch,
        ..batch(records, ProducerStamp::NONE)
    }
}
