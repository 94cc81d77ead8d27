//! What must hold in every run of a correct configuration, checked after each event that could
//! break it.
//!
//! The names are those of the public TLA+ specifications of Kafka's replication
//! (hachikuji/kafka-specification): **OneLeaderPerEpoch**, **StrongIsr** (each member of the
//! controller's ISR has all that any leader counts as committed), **HwAgreement** (replicas agree
//! below both their high watermarks), **LogMatching** (equal offset and epoch, equal record),
//! **HwMonotone** and **CommittedNeverLost** (a new leader has all that was committed).
//! Those of groups, share groups and transactions are in [`super::group_invariants`],
//! [`super::share_invariants`] and [`super::txn_invariants`]. **CompactionKeepsLastValue** is not
//! public: of each key, compaction leaves the last value (or nothing, if the last was a tombstone)
//! in every replica. Where a log was compacted, a record that
//! is missing says nothing by itself to the other invariants.
//!
//! Checks look at the end of what changed and rely on the prefix having been checked before; the
//! whole logs are compared when the run ends. After an unclean election, or once as many replicas
//! lost their data as `min.insync.replicas` promises to survive, a partition's committed past is
//! taken as given up (Kafka promises no more); that is a loss in the ledger and not a broken
//! invariant.

use super::compaction_checks::{Gone, compacts};
use super::group_invariants::{GroupInvariants, Stop};
use super::ids::{BrokerId, TopicPartition};
use super::metadata::MetadataImage;
use super::node::Node as KafkaNode;
use super::note::{Note, Rule};
use super::parts::Parts;
use super::rules::classic_group::Name;
use super::rules::cleaner::Removal;
use super::spec::ClusterSpec;
use super::truth::Logs;
use super::txn_invariants::{Fault, Transactions};
use crate::dense::DenseMap;
use crate::few;
use crate::kernel::{NodeId, NodeState, World};
use crate::log::{Log, RecordId};
use crate::systems::Node;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    /// Which invariant.
    pub name: &'static str,
    /// Where.
    pub tp: TopicPartition,
    /// When, ns.
    pub time: u64,
    /// What was seen.
    pub text: String,
}

/// A partition's past as far as it is promised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Committed {
    /// Highest high watermark of any leader.
    hw: i64,
    /// What stands right below it: (leader epoch of the batch, record).
    last: Option<(i32, RecordId)>,
}

/// The invariants of a cluster and what they found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Invariants {
    /// What the cluster was built with; `None` where there is no cluster.
    #[serde(skip)]
    parts: Option<Parts>,
    /// Where each broker is.
    nodes: BTreeMap<BrokerId, NodeId>,
    min_isr: BTreeMap<u16, u32>,
    leaders: BTreeMap<(TopicPartition, i32), NodeId>,
    committed: DenseMap<TopicPartition, Committed>,
    /// Replicas that lost data with their power or disk.
    bereft: BTreeSet<(TopicPartition, NodeId)>,
    /// Replicas whose logs may hold a past that was given up, until they are in the ISR again.
    estranged: BTreeSet<(TopicPartition, NodeId)>,
    /// Unclean elections whose leader has not taken over yet.
    unclean: BTreeSet<TopicPartition>,
    unclean_elections: u64,
    /// The newest metadata that any controller has committed, also if all of them are down now.
    newest: Arc<MetadataImage>,
    /// Partitions of which some past was given up.
    gave_up: BTreeSet<TopicPartition>,
    /// What the pass under way has removed; empty between steps.
    compacted: Vec<Gone>,
    /// Some producer sends in transactions.
    transactional: bool,
    found: Vec<Violation>,
    #[serde(skip_serializing_if = "GroupInvariants::is_empty")]
    groups: GroupInvariants,
    #[serde(skip_serializing_if = "Transactions::is_empty")]
    txns: Transactions,
}

impl Invariants {
    /// For a cluster.
    #[must_use]
    pub fn new(spec: &ClusterSpec) -> Self {
        let nodes = (0..).zip(&spec.brokers);
        let nodes = few::gather(nodes.map(|(i, (_, id))| (*id, NodeId(i))));
        let min_isr = (0..).zip(&spec.topics).map(|(i, topic)| {
            let own = topic.config.min_insync_replicas;
            (
                i,
                if own > 0 {
                    own
                } else {
                    spec.config.min_insync_replicas
                },
            )
        });
        let min_isr = few::gather(min_isr);
        Invariants {
            parts: Some(spec.parts),
            nodes,
            min_isr,
            transactional: spec.transactions_topic().is_some(),
            txns: (spec.parts.table().txns.begin)(spec),
            ..Invariants::default()
        }
    }

    /// What was found so far, each kind once per partition.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.found
    }

    /// How long a consumer group's partitions stood still so far, together, ns.
    #[must_use]
    pub fn stopped(&self, group: &str, now: u64) -> u64 {
        self.groups.stopped(group, now)
    }

    /// How a partition of a consumer group stands; `None` before its first owner.
    #[must_use]
    pub fn stop(&self, group: &Name, tp: TopicPartition) -> Option<Stop> {
        self.groups.stop(group, tp)
    }

    /// Unclean elections so far.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        self.unclean_elections
    }

    /// Whoever reads committed transactions alone was given a record: its transaction must be
    /// committed in the log of its leader.
    fn delivered(&mut self, node: NodeId, tp: TopicPartition, offset: i64, world: &World<Node>) {
        let cluster = super::facts::Cluster(world);
        let reader = cluster.consumer(node).map(|it| it.config().isolation);
        if reader != Some(super::protocol::Isolation::ReadCommitted) {
            return;
        }
        let leader = self.newest.partitions.get(&tp).map(|it| it.leader);
        let leader = leader.and_then(|id| self.nodes.get(&id).copied());
        let broker = leader.and_then(|at| cluster.broker(at));
        let Some(log) = broker.and_then(|it| it.partition(tp)).map(|it| it.log) else {
            return;
        };
        let checks = self.parts.map(Parts::table);
        if checks.is_some_and(|it| (it.txns.is_uncommitted)(log, offset)) {
            let text = format!("a record that is not committed was read at offset {offset}");
            self.report("ReadCommitted", tp, world, text);
        }
    }

    /// All notes of an event have been seen. Returns a sentence if something newly is broken.
    pub fn after(&mut self, world: &World<Node>) -> Option<String> {
        if !self.txns.due() {
            return None;
        }
        let checks = &self.parts?.table().txns;
        let fault = (checks.judge)(&mut self.txns, &self.newest, world);
        self.report_transaction(fault, world)
    }

    fn report_transaction(&mut self, fault: Option<Fault>, world: &World<Node>) -> Option<String> {
        let (name, tp, text) = fault?;
        let gone = self.unclean_elections > 0 || !self.bereft.is_empty();
        let known = |it: &Violation| it.name == name && it.tp == tp;
        if gone || self.found.iter().any(known) {
            return None;
        }
        self.report(name, tp, world, text.clone());
        Some(format!("{name}: {text}"))
    }

    /// Looks at what a note could have broken. Returns a sentence if something newly is.
    pub fn observe(&mut self, note: &Note, world: &World<Node>) -> Option<String> {
        if self.transactional && !self.txns.is_empty() {
            let fault = (self.parts?.table().txns.follow)(&mut self.txns, note, world);
            let said = self.report_transaction(fault, world);
            if said.is_some() {
                return said;
            }
        }
        if let Note::Delivered {
            node, tp, offset, ..
        } = *note
            && self.transactional
        {
            let before_count = self.found.len();
            self.delivered(node, tp, offset, world);
            if let Some(new) = self.found.get(before_count) {
                return Some(format!("{}: {}", new.name, new.text));
            }
        }
        if let Note::Rule {
            node,
            rule: Rule::MetadataReplayed,
            ..
        } = *note
        {
            self.metadata_replayed(node, world);
            return None;
        }
        let checks = self.parts?.table();
        (checks.groups.follow)(&mut self.groups, note, world.now());
        if let Note::Group(note) = note {
            let (name, text) = (checks.groups.observe)(&mut self.groups, note, world)?;
            if self.unclean_elections > 0 || !self.bereft.is_empty() {
                // Offsets, of groups or of records, may be gone with the data.
                return None;
            }
            self.report(name, note.tp?, world, text.clone());
            return Some(format!("{name}: {text}"));
        }
        if let Note::Compacted {
            key, offset, why, ..
        } = *note
        {
            if why != Removal::Aborted {
                let value = why != Removal::Tombstone;
                self.compacted.push(Gone { key, offset, value });
            }
            return None;
        }
        let Note::Rule {
            node,
            rule,
            tp: Some(tp),
            before,
            after,
            ..
        } = *note
        else {
            return None;
        };
        let before_count = self.found.len();
        match rule {
            Rule::BecameLeader => self.new_leader(node, tp, after as i32, world),
            Rule::HighWatermark => {
                if after < before {
                    let text = format!("the leader's high watermark went from {before} to {after}");
                    self.report("HwMonotone", tp, world, text);
                }
                self.leader_hw(node, tp, after, world);
            }
            Rule::FollowerHighWatermark => self.follower_hw(node, tp, after, world),
            Rule::Truncate => self.truncated(node, tp, after, world),
            Rule::IsrChanged => self.isr_changed(tp, world),
            Rule::LogCompacted => self.log_compacted(node, tp, world),
            Rule::LostUnflushed | Rule::LostDisk => {
                self.bereft.insert((tp, node));
            }
            Rule::UncleanLeaderElected => {
                self.unclean.insert(tp);
                self.unclean_elections += 1;
            }
            _ => {}
        }
        (self.found.len() > before_count)
            .then(|| self.found.last().map(|v| format!("{}: {}", v.name, v.text)))
            .flatten()
    }

    fn report(
        &mut self,
        name: &'static str,
        tp: TopicPartition,
        world: &World<Node>,
        text: String,
    ) {
        if !self.found.iter().any(|v| v.name == name && v.tp == tp) {
            self.found.push(Violation {
                name,
                tp,
                time: world.now(),
                text,
            });
        }
    }

    /// As many replicas lost data as the setting promises to survive.
    fn given_up(&self, tp: TopicPartition) -> bool {
        let lost = self
            .bereft
            .range((tp, NodeId(0))..=(tp, NodeId(u32::MAX)))
            .count() as u32;
        lost >= self.min_isr.get(&tp.topic.0).copied().unwrap_or(1).max(1)
    }

    fn new_leader(&mut self, node: NodeId, tp: TopicPartition, epoch: i32, world: &World<Node>) {
        let other = *self.leaders.entry((tp, epoch)).or_insert(node);
        if other != node {
            let text = format!(
                "nodes {} and {} both lead in epoch {epoch}",
                other.0, node.0
            );
            self.report("OneLeaderPerEpoch", tp, world, text);
        }
        let Some(log) = Logs(world).log(node, tp) else {
            return;
        };
        let committed = self.committed.get(tp).copied().unwrap_or_default();
        let missing = !holds(log, &committed);
        if self.unclean.remove(&tp) || (missing && self.given_up(tp)) {
            self.gave_up.insert(tp);
            let others = self.nodes.values().filter(|other| **other != node);
            self.estranged.extend(others.map(|other| (tp, *other)));
            self.commit_below(tp, log, committed.hw.min(log.leo()));
        } else if missing {
            let (leo, hw) = (log.leo(), committed.hw);
            let text = format!(
                "the leader of epoch {epoch} has a log that ends at {leo} and lacks records that \
                 were committed up to {hw}"
            );
            self.report("CommittedNeverLost", tp, world, text);
            // Said once; what follows from it would only repeat it.
            self.commit_below(tp, log, hw.min(leo));
        }
    }

    fn commit_below(&mut self, tp: TopicPartition, log: &Log, hw: i64) {
        *self.committed.or_insert_with(tp, Committed::default) = Committed {
            hw,
            last: below(log, hw),
        };
    }

    fn leader_hw(&mut self, node: NodeId, tp: TopicPartition, hw: i64, world: &World<Node>) {
        let Some(log) = Logs(world).log(node, tp) else {
            return;
        };
        let now = Committed {
            hw,
            last: below(log, hw),
        };
        let known = self.committed.or_insert_with(tp, Committed::default);
        if hw >= known.hw {
            *known = now;
        }
        // Said once for a partition, so the first of several members is enough.
        if let Some((member, leo)) = self.member_without(tp, now, Some(node), world) {
            let text = format!(
                "a leader counts records below {hw} as committed, but broker {member}, in the \
                 controller's ISR, has a log that ends at {leo} or differs below that"
            );
            self.report("StrongIsr", tp, world, text);
        }
    }

    /// Whoever is let into the ISR has what was committed before.
    fn isr_changed(&mut self, tp: TopicPartition, world: &World<Node>) {
        let committed = self.committed.get(tp).copied().unwrap_or_default();
        if self.unclean.contains(&tp) {
            return;
        }
        if let Some((member, leo)) = self.member_without(tp, committed, None, world) {
            let hw = committed.hw;
            let text = format!(
                "broker {member} is in the controller's ISR with a log that ends at {leo} or \
                 differs below the high watermark {hw} that a leader had reached"
            );
            self.report("StrongIsr", tp, world, text);
        }
    }

    /// A member of the controller's ISR that lacks what is committed, and its log end.
    fn member_without(
        &self,
        tp: TopicPartition,
        committed: Committed,
        except: Option<NodeId>,
        world: &World<Node>,
    ) -> Option<(BrokerId, i64)> {
        // Nothing is committed yet: a member may not even have made its log.
        committed.last?;
        let state = self.control_image().partitions.get(&tp)?;
        state.isr.iter().find_map(|member| {
            let at = *self.nodes.get(member)?;
            let slot = world.nodes().get(at.0 as usize)?;
            let up = !matches!(slot.state, NodeState::Down { silent: true, .. });
            if Some(at) == except || !up || self.bereft.contains(&(tp, at)) {
                return None;
            }
            let log = Logs(world).log(at, tp);
            let agrees = log.is_some_and(|log| holds(log, &committed));
            (!agrees).then(|| (*member, log.map_or(0, Log::leo)))
        })
    }

    fn follower_hw(&mut self, node: NodeId, tp: TopicPartition, hw: i64, world: &World<Node>) {
        self.reconcile(tp);
        if self.estranged.contains(&(tp, node)) {
            return;
        }
        let logs = Logs(world);
        let Some(mine) = logs.log(node, tp).and_then(|log| below(log, hw)) else {
            return;
        };
        let others = self.nodes.values().filter(|at| **at != node);
        let differs = |at: &&NodeId| {
            let log = logs.log(**at, tp).filter(|log| log.high_watermark() >= hw);
            let theirs = log.and_then(|log| below(log, hw));
            theirs.is_some_and(|theirs| theirs != mine) && !self.estranged.contains(&(tp, **at))
        };
        if let Some(at) = others.copied().find(|at| differs(&at)) {
            let text = format!(
                "nodes {} and {} hold different records at offset {}, below both high watermarks",
                node.0,
                at.0,
                hw - 1
            );
            self.report("HwAgreement", tp, world, text);
        }
    }

    /// Looks at what a pass of the cleaner has removed, against what it has left.
    fn log_compacted(&mut self, node: NodeId, tp: TopicPartition, world: &World<Node>) {
        let gone = std::mem::take(&mut self.compacted);
        let (Some(log), Some(parts)) = (Logs(world).log(node, tp), self.parts) else {
            return;
        };
        if let Some(text) = (parts.table().compaction.fault)(log, &gone) {
            let text = format!("compaction at node {} {text}", node.0);
            self.report("CompactionKeepsLastValue", tp, world, text);
        }
    }

    /// A replica that is in the ISR again has the same past as its leader.
    fn reconcile(&mut self, tp: TopicPartition) {
        if self.estranged.is_empty() {
            return;
        }
        let Some(state) = self.control_image().partitions.get(&tp) else {
            return;
        };
        let back: Vec<NodeId> = state
            .isr
            .iter()
            .filter_map(|member| self.nodes.get(member).copied())
            .collect();
        self.estranged
            .retain(|(at, node)| *at != tp || !back.contains(node));
    }

    fn truncated(&mut self, node: NodeId, tp: TopicPartition, to: i64, world: &World<Node>) {
        let committed = self.committed.get(tp).copied().unwrap_or_default();
        if to >= committed.hw || self.unclean.contains(&tp) || self.bereft.contains(&(tp, node)) {
            return;
        }
        let in_isr = self
            .control_image()
            .partitions
            .get(&tp)
            .is_some_and(|state| {
                state
                    .isr
                    .iter()
                    .any(|member| self.nodes.get(member) == Some(&node))
            });
        // What it cut may have been another record than the committed one at that offset.
        if in_isr {
            let hw = committed.hw;
            let text = format!(
                "node {} is in the controller's ISR and cut its log back to {to}, below the high \
                 watermark {hw}",
                node.0
            );
            self.report("StrongIsr", tp, world, text);
        }
    }

    /// Keeps the newest committed metadata. A controller that stopped has nothing of it in memory.
    fn metadata_replayed(&mut self, node: NodeId, world: &World<Node>) {
        if let Some(Node::Kafka(KafkaNode::Controller(controller))) = world.process(node) {
            let image = controller.metadata().image();
            if (image.epoch, image.next_offset) >= (self.newest.epoch, self.newest.next_offset) {
                self.newest = Arc::clone(image);
            }
        }
    }

    /// The newest metadata that was committed.
    fn control_image(&self) -> &MetadataImage {
        &self.newest
    }

    /// The run is over: compares whole logs. Returns sentences for what is newly found.
    pub fn settle(&mut self, world: &World<Node>) -> Vec<String> {
        let count = self.found.len();
        let Some(parts) = self.parts else {
            return Vec::new();
        };
        let judged = (parts.table().txns.judge)(&mut self.txns, &self.newest, world);
        self.report_transaction(judged, world);
        let tps: Vec<TopicPartition> = self.committed.keys().collect();
        for tp in tps {
            self.reconcile(tp);
            let logs: Vec<(NodeId, &Log)> = self
                .nodes
                .values()
                .filter(|node| !self.estranged.contains(&(tp, **node)))
                .filter_map(|node| Logs(world).log(*node, tp).map(|log| (*node, log)))
                .collect();
            for (i, (a, left)) in logs.iter().enumerate() {
                for (b, right) in &logs[i + 1..] {
                    self.compare(tp, (*a, left), (*b, right), world);
                    if compacts(left)
                        && compacts(right)
                        && !self.gave_up.contains(&tp)
                        && let Some(text) = (parts.table().compaction.tables_differ)(left, right)
                    {
                        let text = format!("nodes {} and {} {text}", a.0, b.0);
                        self.report("CompactionKeepsLastValue", tp, world, text);
                    }
                }
            }
        }
        self.found[count..]
            .iter()
            .map(|v| format!("{}: {}", v.name, v.text))
            .collect()
    }

    fn compare(
        &mut self,
        tp: TopicPartition,
        (a, left): (NodeId, &Log),
        (b, right): (NodeId, &Log),
        world: &World<Node>,
    ) {
        let start = left.start_offset().max(right.start_offset());
        let from = left.same_until(right, start);
        let to = left.leo().min(right.leo());
        let agreed = left.high_watermark().min(right.high_watermark());
        for (offset, batch, record) in left.records(from, to) {
            let Some(other) = right.batch_at(offset) else {
                continue;
            };
            let same = match right.record_at(offset) {
                Some(there) => there.id == record.id,
                // Compaction took it there, and not here yet.
                None => compacts(right),
            };
            if same {
                continue;
            }
            if batch.leader_epoch == other.leader_epoch {
                let text = format!(
                    "nodes {} and {} hold different records at offset {offset} of epoch {}",
                    a.0, b.0, batch.leader_epoch
                );
                self.report("LogMatching", tp, world, text);
            }
            if offset < agreed {
                let text = format!(
                    "nodes {} and {} hold different records at offset {offset}, below both high \
                     watermarks",
                    a.0, b.0
                );
                self.report("HwAgreement", tp, world, text);
            }
            return;
        }
    }
}

/// What stands right below an offset.
fn below(log: &Log, offset: i64) -> Option<(i32, RecordId)> {
    let (batch, record) = log.entry_at(offset - 1)?;
    Some((batch.leader_epoch, record.id))
}

/// Whether a log holds what was committed (retention may have taken it since).
fn holds(log: &Log, committed: &Committed) -> bool {
    if log.leo() < committed.hw {
        return false;
    }
    let there = below(log, committed.hw);
    committed.hw <= log.start_offset()
        || committed.last.is_none()
        || there == committed.last
        || (there.is_none() && compacts(log))
}
