//! The topics beside a job: the partitions that a source reads and a sink writes to, with what the
//! log of each partition's leader says and what the job knows of it.

use super::job::Look;
use crate::kafka::facts::Cluster;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::stream::facts::machines;
use crate::stream::node::Machine;
use crate::stream::protocol::TaskId;
use crate::stream::snapshot::ListItem;
use crate::stream::spec::{Guarantee, OperatorKind};
use crate::stream::task::chain::Link;
use crate::view::{JobPartition, JobTopic};
use std::collections::BTreeMap;

/// Partitions of a topic that are shown.
const PARTITIONS: u16 = 12;

/// The topic of an operator: its name, whether a sink writes it, and whether the last stable offset
/// matters to those who read it.
fn topic_of(kind: &OperatorKind) -> Option<(&str, bool, bool)> {
    match kind {
        OperatorKind::Source(it) => {
            let it = it.kafka.as_ref()?;
            Some((&it.topic, false, it.read_committed))
        }
        OperatorKind::Sink(it) => {
            let transactional = matches!(it.guarantee, Guarantee::ExactlyOnce { .. });
            Some((&it.kafka.as_ref()?.topic, true, transactional))
        }
        _ => None,
    }
}

impl Look<'_> {
    pub(super) fn topics(&self) -> Vec<JobTopic> {
        let operators = (0..).zip(&self.job.spec.operators);
        let each = operators.filter_map(|(number, it)| {
            let (name, sink, stable_matters) = topic_of(&it.kind)?;
            let vertex = self.job.graph.vertex_of(number)?;
            let many = self.partitions_of(name);
            let read = match sink {
                true => Reading::default(),
                false => self.reading(number, vertex),
            };
            let shown = (0..many.min(u32::from(PARTITIONS)) as u16).map(|it| {
                let partition = self.partition(name, it);
                JobPartition {
                    position: read.positions.get(&it).map(|it| it.1),
                    reader: read.positions.get(&it).map(|it| it.0),
                    checkpointed: read.checkpointed.get(&it).copied(),
                    ..partition
                }
            });
            Some(JobTopic {
                name: name.to_owned(),
                operator: it.name.clone(),
                vertex,
                sink,
                stable_matters,
                many,
                partitions: shown.collect(),
            })
        });
        each.collect()
    }

    fn topic(&self, name: &str) -> Option<TopicId> {
        let (_, broker) = Cluster(self.world).brokers().next()?;
        let number = broker.topics().iter().position(|it| **it == *name)?;
        Some(TopicId(number as u16))
    }

    fn partitions_of(&self, name: &str) -> u32 {
        let image = Cluster(self.world).image();
        let all = image.zip(self.topic(name)).map(|(image, topic)| {
            let all = image.partitions.keys();
            all.filter(|it| it.topic == topic).count()
        });
        all.unwrap_or(0) as u32
    }

    /// What a partition's leader says of its log.
    fn partition(&self, name: &str, number: u16) -> JobPartition {
        let cluster = Cluster(self.world);
        let tp = self.topic(name).map(|topic| TopicPartition {
            topic,
            partition: number,
        });
        let led = tp.and_then(|tp| {
            let leader = cluster.image()?.partitions.get(&tp)?.leader;
            let node = cluster.node_of(leader).filter(|it| cluster.runs(*it))?;
            Some((node, cluster.leader_log(tp)?, tp))
        });
        let stable = led.and_then(|(node, _, tp)| {
            let view = cluster.broker(node)?.partition(tp)?;
            Some(view.partition_log.last_stable_offset())
        });
        let (node, log) = (led.map(|it| it.0), led.map(|it| it.1));
        JobPartition {
            number,
            leader: node.map(|it| {
                let id = cluster.broker(it).map_or(0, |it| it.id());
                (it.0, format!("broker {id}"))
            }),
            start: log.map(|it| it.start_offset()),
            end: log.map(|it| it.leo()),
            high_watermark: log.map(|it| it.high_watermark()),
            stable,
            position: None,
            checkpointed: None,
            reader: None,
        }
    }

    /// Where a source stands in each partition, and where its newest completed checkpoint does.
    fn reading(&self, operator: u32, vertex: u16) -> Reading {
        let mut read = Reading::default();
        let subtasks = self.manager.parallelism().get(operator as usize);
        for subtask in 0..subtasks.copied().unwrap_or(0) as u16 {
            let Some((_, _, task)) = self.task(TaskId { vertex, subtask }) else {
                continue;
            };
            for it in &task.chain.links {
                if let Link::Source(source) = &it.link {
                    let splits = source.splits();
                    let splits = splits.map(|it| (it.0, (u32::from(subtask) + 1, it.1)));
                    read.positions.extend(splits);
                }
            }
        }
        let storage = machines(self.world).find_map(|it| match it {
            Machine::Storage(it) => Some(&**it),
            _ => None,
        });
        let last = self.manager.completed().last().zip(storage);
        if let Some((done, storage)) = last {
            let own = done.handles.iter().filter(|it| it.0.vertex == vertex);
            let states = own.filter_map(|it| storage.kept().get(it.1)?.state.as_ref());
            for (_, state) in states.flat_map(|it| &it.operators) {
                let splits = state.list.iter().filter_map(|it| match it {
                    ListItem::Split { split, offset } => Some((*split, *offset)),
                    _ => None,
                });
                read.checkpointed.extend(splits);
            }
        }
        read
    }
}

/// What a source knows of the partitions it reads.
#[derive(Default)]
struct Reading {
    /// By partition: the subtask, from 1, and the next offset.
    positions: BTreeMap<u16, (u32, u64)>,
    /// By partition: the offset in the newest completed checkpoint.
    checkpointed: BTreeMap<u16, u64>,
}
