//! A member of the consumer protocol against a coordinator played by hand.

use super::super::*;
use crate::kafka::error::ErrorCode;
use crate::kafka::group_protocol::{CommittedOffset, GroupRequest, GroupResponse};
use crate::kafka::ids::TopicPartition;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::{PartitionMetadata, Request};
use crate::kafka::rules::modern_group::HeartbeatAnswer;
use crate::kafka::testing::TestCx;
use crate::kernel::{MILLISECOND, NodeId};
use std::collections::BTreeSet;

const BROKER: NodeId = NodeId(1);
/// Where the group has come to in every partition.
const COMMITTED: i64 = 5;

/// The only member of a group that reads a topic of three partitions.
struct Rig {
    cx: TestCx,
    consumer: Consumer,
    /// Heartbeats that wait for an answer: what they say is owned.
    heartbeats: Vec<(u32, Option<BTreeSet<i32>>)>,
    commits: Vec<u32>,
}

impl Rig {
    fn new() -> Self {
        let mut config = ConsumerConfig::default();
        let settings = [("group.id", "g"), ("group.protocol", "consumer")];
        for (key, value) in settings {
            config.set(key, value).expect("a known key and value");
        }
        let book = AddressBook {
            brokers: vec![(1, BROKER)],
            controllers: Vec::new(),
            ..AddressBook::default()
        };
        let spec = ConsumerSpec {
            name: "c".to_owned(),
            topic: "t".to_owned(),
            also: Vec::new(),
            partitions: Vec::new(),
            config,
            start: 0,
        };
        let mut rig = Rig {
            cx: TestCx::new(NodeId(9)),
            consumer: Consumer::new(&spec, TopicId(0), Arc::new(book), Parts::default()),
            heartbeats: Vec::new(),
            commits: Vec::new(),
        };
        rig.give(Input::Boot);
        rig
    }

    fn give(&mut self, input: KafkaInput<ConsumerTimer>) {
        self.consumer.on(input, &mut self.cx);
        self.serve();
    }

    fn pass(&mut self, span: Nanos) {
        let until = self.cx.now + span;
        while let Some(timer) = self.cx.next_timer(until) {
            let Timer::Consumer(timer) = timer else {
                panic!("a foreign timer {timer:?}");
            };
            self.give(Input::Timer(timer));
        }
    }

    /// Everything but heartbeats and commits is answered by itself, or (fetches) not at all.
    fn serve(&mut self) {
        for (correlation, request) in self.cx.take_requests(BROKER) {
            let answer = match request {
                Request::ApiVersions => Response::ApiVersions,
                Request::Metadata => Response::Metadata {
                    brokers: vec![1],
                    partitions: (0..3).map(metadata).collect(),
                },
                Request::Group(request) => match self.asked(correlation, *request) {
                    Some(answer) => Response::Group(Box::new(answer)),
                    None => continue,
                },
                _ => continue,
            };
            self.respond(correlation, answer);
        }
    }

    fn asked(&mut self, correlation: u32, request: GroupRequest) -> Option<GroupResponse> {
        let error = ErrorCode::None;
        match request {
            GroupRequest::FindCoordinator { .. } => {
                Some(GroupResponse::FindCoordinator { error, node: 1 })
            }
            GroupRequest::OffsetFetch { partitions, .. } => {
                let offsets = partitions.into_iter().map(|tp| CommittedOffset {
                    tp,
                    offset: COMMITTED,
                    leader_epoch: -1,
                });
                let offsets = offsets.collect();
                Some(GroupResponse::OffsetFetch { error, offsets })
            }
            GroupRequest::ConsumerGroupHeartbeat { heartbeat, .. } => {
                let owned = heartbeat.owned.as_ref();
                let owned = owned.map(|it| it.values().flatten().copied().collect());
                self.heartbeats.push((correlation, owned));
                None
            }
            GroupRequest::OffsetCommit { .. } => {
                self.commits.push(correlation);
                None
            }
            other => panic!("{other:?} is not expected"),
        }
    }

    fn respond(&mut self, correlation: u32, response: Response) {
        let msg = Msg::Response(correlation, Box::new(response));
        self.give(Input::Message { from: BROKER, msg });
    }

    /// Waits for a heartbeat, which says that this is owned, and answers it.
    fn beat(&mut self, owned: Option<&[i32]>, epoch: i32, told: Option<&[i32]>) {
        for _ in 0..150 {
            if self.heartbeats.is_empty() {
                self.pass(10 * MILLISECOND);
            }
        }
        let (correlation, said) = self.heartbeats.pop().expect("a heartbeat");
        assert!(self.heartbeats.is_empty(), "one at a time");
        let set = |all: &[i32]| all.iter().copied().collect::<BTreeSet<i32>>();
        assert_eq!(said, owned.map(set), "before epoch {epoch}");
        let member = self.consumer.group.as_ref().expect("a member");
        let answer = HeartbeatAnswer {
            error: ErrorCode::None,
            member_id: Arc::clone(&member.member_id),
            member_epoch: epoch,
            heartbeat_interval_ms: 1000,
            assignment: told.map(|all| [(TopicId(0), set(all))].into()),
        };
        let answer = GroupResponse::ConsumerGroupHeartbeat(Box::new(answer));
        self.respond(correlation, Response::Group(Box::new(answer)));
    }

    /// Answers the commit that is under way.
    fn commit(&mut self) {
        self.pass(10 * MILLISECOND);
        let correlation = self.commits.pop().expect("a commit");
        assert!(self.commits.is_empty(), "one at a time");
        let error = ErrorCode::None;
        let answer = GroupResponse::OffsetCommit { error };
        self.respond(correlation, Response::Group(Box::new(answer)));
    }

    /// What was noted of partitions since the last look: rule, partition, generation.
    fn noted(&mut self) -> Vec<(Rule, u16, i64)> {
        let notes = std::mem::take(&mut self.cx.notes).into_iter();
        let own = notes.filter_map(|note| match note {
            Note::Group(it) => Some((it.rule, it.tp?.partition, it.after)),
            _ => None,
        });
        own.collect()
    }
}

fn metadata(partition: u16) -> PartitionMetadata {
    PartitionMetadata {
        tp: TopicPartition {
            topic: TopicId(0),
            partition,
        },
        leader: 1,
        leader_epoch: 0,
        replicas: vec![1],
        isr: vec![1],
    }
}

/// It is told of other partitions while it commits before it takes over those of epoch 2. It takes
/// them, as Kafka's consumer does; but what it was told to have no more counts for epoch 2 alone.
#[test]
fn what_is_taken_late_counts_for_the_epoch_in_which_it_was_given() {
    use Rule::{PartitionAssigned as Assigned, PartitionKept as Kept, PartitionRevoked as Revoked};
    let mut rig = Rig::new();
    rig.beat(Some(&[]), 1, Some(&[0]));
    assert_eq!(rig.noted(), [(Assigned, 0, 1)]);
    rig.beat(Some(&[0]), 1, None);
    rig.beat(None, 2, Some(&[0, 1, 2]));
    assert_eq!(rig.noted(), [(Kept, 0, 2)]);
    rig.beat(None, 3, Some(&[0, 2]));
    assert_eq!(rig.noted(), [(Kept, 0, 3)]);
    rig.commit();
    assert_eq!(rig.noted(), [(Assigned, 1, 2), (Assigned, 2, 3)]);
    rig.beat(Some(&[0, 1, 2]), 4, None);
    assert_eq!(rig.noted(), [(Kept, 0, 4), (Kept, 2, 4)]);
    rig.commit();
    assert_eq!(rig.noted(), [(Revoked, 1, 4)]);
    // What it is given anew, and what it gives up as it is asked to, counts as ever.
    rig.beat(Some(&[0, 2]), 5, Some(&[0, 1, 2]));
    rig.commit();
    rig.beat(Some(&[0, 1, 2]), 6, None);
    let kept = [(Kept, 0, 5), (Kept, 2, 5), (Assigned, 1, 5)];
    let then = [(Kept, 0, 6), (Kept, 2, 6), (Kept, 1, 6)];
    assert_eq!(rig.noted(), [kept, then].concat());
}
