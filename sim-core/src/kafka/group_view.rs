//! Consumer groups as an onlooker sees them: members, owners, offsets, and what stands still.
//!
//! A projection like [`super::view`]: the group's state is its coordinator's, ownership and position
//! are the members' own, offsets of the log the leader's, and since when a partition stands still is
//! what the invariants have seen. It is a module of its own, so that a page that shows no group need
//! not load it.

use super::broker::Broker;
use super::consumer::{Consumer, MemberState, ModernState};
use super::facts::Cluster;
use super::group_facts::Coordinated;
use super::ids::{TopicId, TopicPartition};
use super::invariants::Invariants;
use super::rules::classic_group::Name;
use super::rules::share_partition::{RecordState, SharePartition};
use crate::kernel::{NodeId, NodeState, World};
use crate::systems::Node;
use crate::view::{
    Badge, Fact, GroupMember, GroupShare, GroupView, Lane, Mark, MarkKind, Sharing, StageView, Tone,
};
use std::collections::{BTreeMap, BTreeSet};

/// Stretches of records in one state that are shown of a lane.
const RUNS: usize = 64;

/// Who owns a partition, and in which generation.
type Owners = BTreeMap<TopicPartition, (i32, NodeId)>;

/// All groups that the scenario's consumers name, by name. `names` are those of the nodes.
#[must_use]
pub fn groups(world: &World<Node>, invariants: &Invariants, names: &[String]) -> Vec<GroupView> {
    let cluster = Cluster(world);
    let found: BTreeSet<&Name> = cluster
        .consumers()
        .filter_map(|(_, it)| it.group_name())
        .collect();
    found
        .into_iter()
        .map(|group| One { cluster, group }.view(invariants, names))
        .collect()
}

/// What a round of a group is called.
fn round(modern: bool) -> &'static str {
    if modern { "epoch" } else { "generation" }
}

/// One group of a cluster.
#[derive(Clone, Copy)]
struct One<'a> {
    cluster: Cluster<'a>,
    group: &'a Name,
}

impl<'a> One<'a> {
    fn consumers(self) -> impl Iterator<Item = (NodeId, &'a Consumer)> {
        let all = self.cluster.consumers();
        all.filter(move |(_, it)| it.group_name() == Some(self.group))
    }

    fn view(self, invariants: &Invariants, names: &[String]) -> GroupView {
        let coordinated = self.cluster.group(self.group);
        let mut members = self.consumers().filter_map(|(_, it)| it.member());
        let sharing = self.sharing();
        let shares = self.shares(coordinated, invariants);
        GroupView {
            name: self.group.to_string(),
            state: coordinated
                .map_or("no coordinator yet", |it| it.state)
                .to_owned(),
            settled: coordinated.is_some_and(|it| it.stable),
            round: round(members.any(|it| it.modern.is_some() || it.shares.is_some())),
            generation: coordinated.map(|it| i64::from(it.generation)),
            assignor: coordinated
                .and_then(|it| it.assignor)
                .unwrap_or_default()
                .to_owned(),
            coordinator: coordinated.map(|it| it.node.0),
            members: self.members(names, &shares),
            shares,
            stopped: match sharing {
                true => 0,
                false => invariants.stopped(self.group, self.cluster.0.now()),
            },
            sharing,
        }
    }

    /// Whether it is a share group.
    fn sharing(self) -> bool {
        let mut members = self.consumers().filter_map(|(_, it)| it.member());
        members.any(|it| it.shares.is_some())
    }

    fn members(self, names: &[String], shares: &[GroupShare]) -> Vec<GroupMember> {
        let image = self.cluster.image();
        let held = |node: NodeId| {
            let held = shares.iter().filter_map(|it| it.sharing.as_ref());
            let held = held.flat_map(|it| &it.holders).filter(|it| it.0 == node.0);
            held.map(|it| it.1).sum()
        };
        let reads = |consumer: &Consumer| {
            let read = image.into_iter().flat_map(|image| {
                let read = consumer.shared();
                read.map(|tp| image.name(tp)).collect::<Vec<_>>()
            });
            read.collect()
        };
        let member = |(node, consumer): (NodeId, &Consumer)| GroupMember {
            node: node.0,
            name: names
                .get(node.0 as usize)
                .map_or_else(|| "?".to_owned(), Clone::clone),
            badge: self.badge(node, consumer),
            owns: consumer.assignment().count() as u32,
            reads: reads(consumer),
            acquired: held(node),
            works: self.works(node, consumer),
        };
        self.consumers().map(member).collect()
    }

    fn up(self, node: NodeId) -> bool {
        let slot = self.cluster.0.nodes().get(node.0 as usize);
        slot.is_some_and(|it| it.state == NodeState::Up)
    }

    fn works(self, node: NodeId, consumer: &Consumer) -> bool {
        let ended = |it: super::consumer::MemberView<'_>| it.closed || it.fatal.is_some();
        self.up(node) && consumer.polling() && !consumer.member().is_some_and(ended)
    }

    fn badge(self, node: NodeId, consumer: &Consumer) -> Badge {
        let badge = |text: &str, tone| Badge {
            text: text.to_owned(),
            tone,
        };
        if !self.cluster.runs(node) {
            return badge("down", Tone::Harm);
        }
        let Some(member) = consumer.member() else {
            return badge("not in the group", Tone::Faded);
        };
        if !self.up(node) {
            let round = round(member.modern.is_some() || member.shares.is_some());
            let text = format!("paused in {round} {}", member.generation);
            return badge(&text, Tone::Sand);
        }
        match (member.closed, member.fatal, member.state) {
            (true, ..) => badge("closed", Tone::Faded),
            (_, Some(error), _) => badge(error.name(), Tone::Harm),
            _ if member.modern == Some(ModernState::Stable) => {
                badge(&format!("epoch {}", member.generation), Tone::Sea)
            }
            _ if member.shares.is_some() => {
                badge(&format!("shares, epoch {}", member.generation), Tone::Sea)
            }
            _ if let Some(state) = member.modern => badge(state.name(), Tone::Sand),
            (.., MemberState::Unjoined) if member.member_id.is_empty() => {
                badge("not in the group", Tone::Faded)
            }
            (.., MemberState::Unjoined) => badge("in no generation", Tone::Sand),
            (.., MemberState::PreparingRebalance) => badge("joining", Tone::Sand),
            (.., MemberState::CompletingRebalance) => badge("waits for assignment", Tone::Sand),
            (.., MemberState::Stable) => {
                badge(&format!("generation {}", member.generation), Tone::Sea)
            }
        }
    }

    /// As [`Cluster::owner`], for all partitions at once.
    fn owners(self) -> Owners {
        let mut owners = Owners::new();
        let running = self
            .consumers()
            .filter(|(node, _)| self.cluster.runs(*node));
        for (node, consumer) in running {
            let Some(member) = consumer.member() else {
                continue;
            };
            for tp in consumer.assignment() {
                let claim = (member.generation, node);
                let known = owners.entry(tp).or_insert(claim);
                if known.0 <= claim.0 {
                    *known = claim;
                }
            }
        }
        owners
    }

    fn shares(
        self,
        coordinated: Option<Coordinated<'_>>,
        invariants: &Invariants,
    ) -> Vec<GroupShare> {
        let Some(image) = self.cluster.image() else {
            return Vec::new();
        };
        let topics: BTreeSet<TopicId> = self
            .consumers()
            .flat_map(|(_, it)| it.topics())
            .copied()
            .collect();
        let owners = self.owners();
        let shared = image.partitions.iter();
        shared
            .filter(|(tp, _)| topics.contains(&tp.topic))
            .map(|(tp, state)| {
                let leader = self.cluster.node_of(state.leader);
                let broker = leader
                    .filter(|node| self.cluster.runs(*node))
                    .and_then(|node| self.cluster.broker(node));
                let owner = owners.get(tp).map(|(_, node)| *node);
                let committed =
                    coordinated.and_then(|it| it.broker.committed_offset(self.group, *tp));
                self.share(image.name(*tp), *tp, broker, owner, committed, invariants)
            })
            .collect()
    }

    fn share(
        self,
        lane: String,
        tp: TopicPartition,
        leader: Option<&Broker>,
        owner: Option<NodeId>,
        committed: Option<i64>,
        invariants: &Invariants,
    ) -> GroupShare {
        let log = leader.and_then(|broker| broker.partition(tp));
        let own = owner.and_then(|node| Some((node, self.cluster.consumer(node)?)));
        let sharing = self.sharing();
        let idle = match sharing {
            true => !self.readers(tp).any(|(node, it)| self.works(node, it)),
            false => !own.is_some_and(|(node, it)| self.works(node, it)),
        };
        let stop = invariants.stop(self.group, tp).filter(|_| idle && !sharing);
        let end = log.as_ref().map(|it| it.leo);
        GroupShare {
            lane,
            owner: owner.map(|node| node.0),
            idle,
            stopped_since: stop.map(|it| it.since),
            start: log.as_ref().map_or(0, |it| it.log_start),
            end,
            high_watermark: log.as_ref().map_or(0, |it| it.hw),
            stable: log
                .as_ref()
                .map_or(0, |it| it.partition_log.last_stable_offset()),
            position: own.and_then(|(_, it)| it.position(tp)),
            committed,
            lag: end.zip(committed).map(|(end, committed)| end - committed),
            sharing: leader
                .filter(|_| sharing)
                .and_then(|it| Some(self.records(it.share_state(self.group, tp)?))),
        }
    }

    /// Members of a share group that read a partition.
    fn readers(self, tp: TopicPartition) -> impl Iterator<Item = (NodeId, &'a Consumer)> {
        let all = self.consumers();
        all.filter(move |(_, it)| it.shared().any(|own| own == tp))
    }

    /// What a leader keeps of the records that a share group has not finished.
    fn records(self, partition: &SharePartition<Name>) -> Sharing {
        let mut it = Sharing {
            start: partition.start_offset(),
            end: partition.end_offset(),
            ..Sharing::default()
        };
        let mut holders: BTreeMap<&str, u32> = BTreeMap::new();
        for (offset, state, deliveries, owner) in partition.in_flight() {
            let (many, name) = match state {
                RecordState::Available => (&mut it.available, "available"),
                RecordState::Acquired => (&mut it.acquired, "acquired"),
                RecordState::Acknowledged => (&mut it.acknowledged, "acknowledged"),
                RecordState::Archived => (&mut it.archived, "archived"),
            };
            *many += 1;
            it.deliveries = it.deliveries.max(deliveries);
            it.again += u32::from(deliveries > 1);
            if let Some(owner) = owner {
                *holders.entry(&**owner).or_default() += 1;
            }
            match it.runs.last_mut() {
                Some(run) if run.2 == name && run.1 + 1 == offset => run.1 = offset,
                _ => it.runs.push((offset, offset, name)),
            }
        }
        let nodes = self.consumers().filter_map(|(node, it)| {
            let many = holders.get(it.member()?.member_id)?;
            Some((node.0, *many))
        });
        it.holders = nodes.collect();
        it.runs.truncate(RUNS);
        it
    }
}

/// Writes groups onto the stage: on each leader's copy what is committed and the position; on the
/// coordinator's node that it is one.
pub fn mark(view: &mut StageView, groups: &[GroupView]) {
    for group in groups {
        let coordinator = view.nodes.iter_mut();
        for node in coordinator.filter(|node| Some(node.id) == group.coordinator) {
            node.badges.push(Badge {
                text: format!("coordinates {}", group.name),
                tone: if group.settled {
                    Tone::Plain
                } else {
                    Tone::Sand
                },
            });
        }
        for share in &group.shares {
            let leader = view.lanes.iter().find(|it| it.id == share.lane);
            let leader = leader.and_then(|it| it.leader);
            let node = view.nodes.iter_mut().find(|it| Some(it.id) == leader);
            let lane = node.and_then(|it| it.lanes.iter_mut().find(|it| it.id == share.lane));
            if let Some(lane) = lane.filter(|it| it.leads) {
                mark_lane(lane, &group.name, share);
            }
        }
    }
}

fn mark_lane(lane: &mut Lane, group: &str, share: &GroupShare) {
    let mut put = |kind, what: &str, offset: i64| {
        lane.marks.push(Mark {
            kind,
            label: format!("{what} {offset}"),
            offset,
        });
    };
    if let Some(it) = &share.sharing {
        put(MarkKind::Committed, &format!("{group} SPSO"), it.start);
        put(MarkKind::Position, &format!("{group} SPEO"), it.end);
    }
    if let Some(committed) = share.committed {
        put(
            MarkKind::Committed,
            &format!("{group} committed"),
            committed,
        );
    }
    if let Some(position) = share.position {
        put(MarkKind::Position, &format!("{group} position"), position);
    }
    let subject = format!("{}/committed/{group}", share.lane);
    let mut tell = |label: &str, value: Option<i64>, subject: Option<String>| {
        lane.facts.push(Fact {
            label: format!("group {group} · {label}"),
            value: value.map_or_else(|| "none".to_owned(), |it| it.to_string()),
            subject,
        });
    };
    if let Some(it) = &share.sharing {
        let many = |n: u32| Some(i64::from(n));
        tell("share-partition start offset (SPSO)", Some(it.start), None);
        tell("share-partition end offset (SPEO)", Some(it.end), None);
        tell("records available", many(it.available), None);
        tell("records acquired", many(it.acquired), None);
        tell("records acknowledged", many(it.acknowledged), None);
        tell("records archived", many(it.archived), None);
        return;
    }
    tell("committed offset", share.committed, Some(subject));
    tell("position of the owner", share.position, None);
    tell("lag (log end − committed)", share.lag, None);
}
