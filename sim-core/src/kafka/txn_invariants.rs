//! What must hold of transactions: **ReadCommitted** (who reads committed transactions alone gets
//! no record before the commit of its transaction, and none after its abort) and **ExactlyOnce**
//! (of applications that read, write and commit their offsets in transactions: every input below
//! the group's committed offset has one committed output, no other input has any, and the outputs
//! of a key stand in the order of their inputs).
//!
//! Which input an output was made of is known from the applications' own notes; what is committed
//! is read from the logs, at each marker. That an input has no second output, and none out of
//! order, is judged when the marker of its transaction is written. That outputs and offsets are of
//! the same inputs can be judged only while no transaction of these partitions is open: between the
//! markers of one transaction they differ. Groups of which some member does without transactions
//! promise nothing. Left out: groups whose offsets were forgotten, from then on.

use super::broker::Broker;
use super::facts::Cluster;
use super::group_protocol::{OFFSETS_TOPIC, partition_for};
use super::ids::{TopicId, TopicPartition};
use super::metadata::MetadataImage;
use super::note::{Note, Rule};
use super::protocol::Isolation;
use super::rules::classic_group::Name;
use super::spec::ClusterSpec;
use crate::apart::Apart;
use crate::kernel::{NodeId, World};
use crate::log::{Batch, ControlMarker, KeyId, Log, RecordId};
use crate::systems::Node;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something that does not hold: the invariant, where, and what was seen.
pub(super) type Fault = (&'static str, TopicPartition, String);

/// How transactions are looked at; see [`crate::kafka::parts`].
pub(super) struct TxnChecks {
    pub(super) begin: fn(&ClusterSpec) -> Transactions,
    /// Whether the record at an offset is in a transaction that is not committed.
    pub(super) is_uncommitted: fn(&Log, i64) -> bool,
    pub(super) follow: fn(&mut Transactions, &Note, &World<Node>) -> Option<Fault>,
    pub(super) judge: fn(&mut Transactions, &MetadataImage, &World<Node>) -> Option<Fault>,
}

/// What was seen of applications that read and write in transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Transactions {
    flows: Vec<Apart<Flow>>,
    /// The flow of each application's node.
    of_node: BTreeMap<NodeId, usize>,
    /// Something has ended since the last judgement.
    due: bool,
}

/// The applications of one group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Flow {
    group: Name,
    reads: TopicId,
    writes: BTreeSet<TopicId>,
    isolation: Isolation,
    /// Where inputs stand that were handed out. Two members may have the same one, of which one
    /// has lost it without knowing.
    handed: BTreeMap<RecordId, (TopicPartition, i64)>,
    /// Outputs whose transactions have no marker yet, with their inputs.
    open: BTreeMap<RecordId, (TopicPartition, i64)>,
    /// Up to which offset a leader's log of the outputs was looked through since it leads, by
    /// producer. A deposed leader may write markers of its own.
    looked: BTreeMap<(TopicPartition, NodeId, i64), i64>,
    inputs: BTreeMap<TopicPartition, Inputs>,
    /// Last input of a key, by partition of the outputs and of the inputs.
    last: BTreeMap<(TopicPartition, KeyId, TopicPartition), i64>,
}

/// Inputs with a committed output, of one partition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Inputs {
    /// Those from the first one handed out to here were judged: each has one.
    judged: i64,
    /// Those behind.
    made: BTreeSet<i64>,
}

impl Transactions {
    /// There may be transactions.
    pub(super) const CHECKS: TxnChecks = TxnChecks {
        begin: Transactions::begin,
        is_uncommitted,
        follow: Transactions::follow,
        judge: Transactions::judge,
    };

    /// There are none.
    pub(super) const NO_CHECKS: TxnChecks = TxnChecks {
        begin: |_| Transactions::default(),
        is_uncommitted: |_, _| false,
        follow: |_, _, _| None,
        judge: |_, _, _| None,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Something has ended since the last judgement.
    pub(super) fn due(&self) -> bool {
        self.due
    }

    fn begin(spec: &ClusterSpec) -> Self {
        let topic = |name: &str| {
            let at = spec.topics.iter().position(|it| it.name == name)?;
            u16::try_from(at).ok().map(TopicId)
        };
        let others = [&spec.brokers, &spec.controllers].map(Vec::len);
        let before = others.iter().sum::<usize>() + spec.producers.len() + spec.consumers.len();
        let mut all = Transactions::default();
        for (at, processor) in spec.processors.iter().enumerate() {
            let group = &processor.consumer.config.group_id;
            let members = || {
                spec.processors
                    .iter()
                    .map(|it| (&it.consumer, &it.producer))
            };
            let mut own = members().filter(|(it, _)| it.config.group_id == *group);
            let mut plain = spec.consumers.iter();
            let ends = [&processor.consumer.topic, &processor.producer.topic];
            let [Some(reads), Some(writes)] = ends.map(|it| topic(it)) else {
                continue;
            };
            if own.any(|(_, it)| it.config.transactional_id.is_empty())
                || plain.any(|it| it.config.group_id == *group)
            {
                continue;
            }
            let known = all.flows.iter().position(|it| *it.group == **group);
            let flow = known.unwrap_or(all.flows.len());
            if known.is_none() {
                let isolation = processor.consumer.config.isolation;
                let flow = Flow::new(group, reads, isolation);
                all.flows.push(Apart::new(flow));
            }
            all.flows[flow].writes.insert(writes);
            all.of_node.insert(NodeId((before + at) as u32), flow);
        }
        all
    }

    fn follow(&mut self, note: &Note, world: &World<Node>) -> Option<Fault> {
        match *note {
            Note::Delivered {
                node,
                record,
                tp,
                offset,
                ..
            } => {
                let flow = self.flow(node)?;
                flow.handed.insert(record, (tp, offset));
                flow.inputs.entry(tp).or_insert_with(|| Inputs {
                    judged: offset,
                    made: BTreeSet::new(),
                });
                None
            }
            Note::Derived {
                node,
                record,
                input,
            } => {
                let flow = self.flow(node)?;
                let place = *flow.handed.get(&input)?;
                flow.open.insert(record, place);
                None
            }
            Note::Rule {
                node,
                rule: Rule::TxnMarker,
                tp: Some(tp),
                after,
                ..
            } => {
                self.due |= !self.flows.is_empty();
                let log = super::truth::Logs(world).log(node, tp)?;
                let mut own = self.flows.iter_mut();
                let flow = own.find(|it| it.writes.contains(&tp.topic))?;
                flow.marked((tp, node), after, log)
            }
            Note::Rule {
                node,
                rule: Rule::BecameLeader,
                tp: Some(tp),
                ..
            } => {
                for flow in &mut self.flows {
                    flow.looked
                        .retain(|(at, by, _), _| (*at, *by) != (tp, node));
                }
                None
            }
            Note::Group(ref it) if it.rule == Rule::OffsetCommitted => {
                self.due |= self.flows.iter().any(|flow| flow.group == it.group);
                None
            }
            Note::Group(ref it) if it.rule == Rule::OffsetExpired => {
                // Whoever reads again from the start writes again.
                let of = self.flows.iter().position(|flow| flow.group == it.group)?;
                self.of_node.retain(|_, flow| *flow != of);
                let flow = &mut self.flows[of];
                **flow = Flow::new("", flow.reads, flow.isolation);
                None
            }
            _ => None,
        }
    }

    fn flow(&mut self, node: NodeId) -> Option<&mut Flow> {
        let at = self.of_node.get(&node)?;
        self.flows.get_mut(*at).map(|flow| &mut **flow)
    }

    /// Compares outputs with offsets, where no transaction is open.
    fn judge(&mut self, image: &MetadataImage, world: &World<Node>) -> Option<Fault> {
        self.due = false;
        let own = self.flows.iter_mut();
        let mut faults = own.filter_map(|it| it.judge(image, Cluster(world)));
        faults.next()
    }
}

impl Flow {
    fn new(group: &str, reads: TopicId, isolation: Isolation) -> Self {
        Flow {
            group: Arc::from(group),
            reads,
            writes: BTreeSet::new(),
            isolation,
            handed: BTreeMap::new(),
            open: BTreeMap::new(),
            looked: BTreeMap::new(),
            inputs: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// A marker was written at this offset: what stood open of its producer counts, or does not.
    fn marked(
        &mut self,
        (tp, node): (TopicPartition, NodeId),
        at: i64,
        log: &Log,
    ) -> Option<Fault> {
        let marker = log.batches_from(at).next().filter(|it| it.is_control())?;
        let commits = marker.control == Some(ControlMarker::Commit);
        let looked = self.looked.insert((tp, node, marker.producer.id), at);
        let from = looked.filter(|it| *it < at).unwrap_or(log.start_offset());
        let own = |it: &&Batch| it.producer.id == marker.producer.id && !it.is_control();
        let batches = log.batches_from(from).take_while(|it| it.base_offset < at);
        let mut fault = None;
        for record in batches.filter(own).flat_map(|it| it.records.iter()) {
            let Some((from, input)) = self.open.remove(&record.id) else {
                continue;
            };
            if commits {
                fault = fault.or(self.counts(tp, record.key, (from, input)));
            }
        }
        fault
    }

    /// An output is committed.
    fn counts(
        &mut self,
        tp: TopicPartition,
        key: Option<KeyId>,
        (from, input): (TopicPartition, i64),
    ) -> Option<Fault> {
        let group = &self.group;
        let inputs = self.inputs.entry(from).or_default();
        if input < inputs.judged || !inputs.made.insert(input) {
            let text = format!("{group} wrote a second output for the input at offset {input}");
            return Some(("ExactlyOnce", from, text));
        }
        let last = self.last.entry((tp, key?, from)).or_insert(input);
        let before = std::mem::replace(last, input);
        (input < before).then(|| {
            let text = format!(
                "{group} wrote the output for offset {input} behind that for {before}, of the \
                 same key"
            );
            ("ExactlyOnce", from, text)
        })
    }

    fn judge(&mut self, image: &MetadataImage, cluster: Cluster<'_>) -> Option<Fault> {
        let settled = image.partitions.keys().all(|tp| {
            let internal = image.topics.get(&tp.topic);
            let internal = internal.is_some_and(|it| it == OFFSETS_TOPIC);
            let concerns = internal || self.writes.contains(&tp.topic);
            !concerns || is_settled(*tp, image, cluster)
        });
        let coordinator = settled.then(|| coordinator(&self.group, image, cluster))??;
        for (tp, inputs) in &mut self.inputs {
            let committed = coordinator.committed_offset(&self.group, *tp);
            let committed = committed.unwrap_or(inputs.judged);
            if let Some(beyond) = inputs.made.range(committed..).next() {
                let text = format!(
                    "{} has committed {committed}, and an output for the input at {beyond}",
                    self.group
                );
                return Some(("ExactlyOnce", *tp, text));
            }
            let log = cluster.leader_log(*tp)?;
            let only_committed = self.isolation == Isolation::ReadCommitted;
            let visible = |offset: i64| !only_committed || !is_uncommitted(log, offset);
            let mut all = log.records(inputs.judged, committed);
            let missing = all.find(|(offset, batch, _)| {
                !batch.is_control() && !inputs.made.contains(offset) && visible(*offset)
            });
            if let Some((offset, ..)) = missing {
                let text = format!(
                    "{} has committed {committed}, but no output for the input at {offset}",
                    self.group
                );
                return Some(("ExactlyOnce", *tp, text));
            }
            inputs.judged = committed.max(inputs.judged);
            inputs.made.clear();
        }
        None
    }
}

/// The coordinator of a group, its log read.
fn coordinator<'a>(group: &str, image: &MetadataImage, cluster: Cluster<'a>) -> Option<&'a Broker> {
    let (topic, _) = image.topics.iter().find(|(_, it)| *it == OFFSETS_TOPIC)?;
    let own = image.partitions.keys().filter(|it| it.topic == *topic);
    let partition = partition_for(group, u16::try_from(own.count()).ok()?);
    let topic = *topic;
    let leader = image
        .partitions
        .get(&TopicPartition { topic, partition })?
        .leader;
    let node = cluster.node_of(leader).filter(|it| cluster.runs(*it))?;
    let broker = cluster.broker(node)?;
    broker.coordinates(group).then_some(broker)
}

/// Whether a partition has a leader that works, without an open transaction, and with all markers
/// below the high watermark.
fn is_settled(tp: TopicPartition, image: &MetadataImage, cluster: Cluster<'_>) -> bool {
    let leader = image.partitions.get(&tp).map(|it| it.leader);
    let node = leader.and_then(|it| cluster.node_of(it));
    let node = node.filter(|it| cluster.runs(*it));
    let view = node.and_then(|it| cluster.broker(it)?.partition(tp));
    let settled = |log: &super::rules::partition_log::PartitionLog| {
        log.producers().first_unstable_offset().is_none()
    };
    view.is_some_and(|it| it.leads && settled(it.partition_log))
}

/// Whether the record at an offset is in a transaction without a commit marker.
fn is_uncommitted(log: &Log, offset: i64) -> bool {
    let mut batches = log.batches_from(offset);
    let Some(batch) = batches.next().filter(|it| it.transactional) else {
        return false;
    };
    let id = batch.producer.id;
    let mut markers = batches.filter(|it| it.is_control() && it.producer.id == id);
    markers.next().and_then(|it| it.control) != Some(ControlMarker::Commit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Run, RunScratch};
    use crate::systems::{Note as AnyNote, Spec};

    const STORY: &str = include_str!("../../../scenarios/process-in-transactions.toml");

    #[test]
    fn a_second_output_and_one_out_of_order_are_seen() {
        let tp = TopicPartition::default();
        let mut flow = Flow::new("g", tp.topic, Isolation::ReadCommitted);
        let mut check = |key: Option<u32>, input, expected: Option<&str>| {
            let found = flow.counts(tp, key.map(KeyId), (tp, input));
            let text = found.map(|(name, _, text)| format!("{name}: {text}"));
            let same = match (&text, expected) {
                (Some(text), Some(part)) => text.contains(part),
                (text, part) => text.is_none() && part.is_none(),
            };
            assert!(same, "{key:?} {input}: {text:?}");
        };
        check(Some(1), 5, None);
        check(Some(2), 3, None);
        check(Some(1), 6, None);
        check(Some(1), 4, Some("behind that for 6"));
        check(None, 2, None);
        check(None, 1, None);
        check(Some(3), 5, Some("second output"));
    }

    #[test]
    fn outputs_and_offsets_must_be_of_the_same_inputs() {
        let scenario = crate::scenario::parse(STORY).into_result();
        let scenario = Arc::new(scenario.expect("a story"));
        let Some(Spec::Kafka(spec)) = scenario.systems.first() else {
            panic!("a cluster");
        };
        let mut seen = Transactions::begin(spec);
        let mut run = Run::new(Arc::clone(&scenario), scenario.seed, Arc::new(Vec::new()));
        let mut scratch = RunScratch::default();
        while run.step(&mut scratch).is_some() {
            for note in &scratch.kernel.notes {
                let AnyNote::Kafka(note) = note else {
                    continue;
                };
                assert_eq!(seen.follow(note, run.world()), None);
            }
            scratch.occurrences.clear();
        }
        let world = run.world();
        let image = Cluster(world).image().expect("metadata");
        let check = |judged: i64, made: &[i64], expected: Option<&str>| {
            let mut all = seen.clone();
            for inputs in all.flows.iter_mut().flat_map(|it| it.inputs.values_mut()) {
                inputs.judged = judged;
                inputs.made = made.iter().copied().collect();
            }
            let found = all.judge(image, world).map(|(_, _, text)| text);
            let same = match (&found, expected) {
                (Some(text), Some(part)) => text.contains(part),
                (text, part) => text.is_none() && part.is_none(),
            };
            assert!(same, "{judged} {made:?}: {found:?}");
        };
        check(1_000, &[], None);
        check(998, &[998, 999], None);
        check(998, &[998], Some("no output for the input at 999"));
        check(1_000, &[1_000], Some("an output for the input at 1000"));
        assert_eq!(seen.judge(image, world), None);
        let inputs = seen.flows.iter().flat_map(|it| it.inputs.values());
        let judged: Vec<i64> = inputs.map(|it| it.judged).collect();
        assert_eq!(judged, [1_000], "the story itself, input by input");
    }
}
