//! A Kafka cluster as an onlooker sees it: cards, replica strips, the strandline, tokens.
//!
//! Only a projection: nothing here decides anything, and everything is read from the nodes' own
//! state. ISR, ELR and leadership on the strips are those of the quorum's committed metadata;
//! leader epoch, log end and high watermark are each broker's own.

use super::broker::Broker;
use super::facts::Cluster;
use super::ids::TopicPartition;
use super::metadata::MetadataImage;
use super::node::Node as KafkaNode;
use super::processor::TransactionNow;
use super::protocol::{Msg, Request, Response};
use crate::kernel::{NodeId, NodeState, World};
use crate::log::Log;
use crate::systems::Node;
use crate::view::{
    Badge, Cell, Fact, Health, Lane, LaneSummary, Mark, MarkKind, NodeView, Role, Shape,
    StageQuery, Token, Tone,
};

/// A card for a node, with the lanes that the query asks for.
#[must_use]
pub fn node(
    world: &World<Node>,
    id: NodeId,
    it: &KafkaNode,
    name: &str,
    query: &StageQuery,
) -> NodeView {
    let (role, part, title) = match it {
        KafkaNode::Broker(it) => (Role::Store, "broker", format!("Broker {}", it.id())),
        KafkaNode::Controller(it) => {
            let title = format!("Controller {}", it.id());
            (Role::Control, "controller", title)
        }
        KafkaNode::Producer(_) => (Role::Source, "producer", format!("Producer {name}")),
        KafkaNode::Consumer(_) => (Role::Sink, "consumer", format!("Consumer {name}")),
        KafkaNode::Processor(_) => (Role::Sink, "processor", format!("Processor {name}")),
    };
    let mut view = NodeView {
        id: id.0,
        name: name.to_owned(),
        title,
        part,
        role,
        health: health(world, id),
        badges: Vec::new(),
        summary: Vec::new(),
        lanes: Vec::new(),
    };
    let image = Cluster(world).image();
    match it {
        KafkaNode::Broker(broker) => {
            if let Some(state) = image.and_then(|image| image.brokers.get(&broker.id())) {
                if state.fenced {
                    view.badges.push(badge("fenced", Tone::Faded));
                } else if state.in_controlled_shutdown {
                    view.badges.push(badge("shutting down", Tone::Sand));
                }
            }
            view.summary.push(fact(
                "broker epoch",
                broker.broker_epoch().to_string(),
                None,
            ));
            view.lanes = lanes(world, id, broker, image, query);
        }
        KafkaNode::Controller(controller) => {
            let state = controller.state_name();
            let tone = if controller.is_active() {
                Tone::Sea
            } else {
                Tone::Plain
            };
            view.badges.push(badge(state, tone));
            view.summary
                .push(fact("epoch", controller.quorum_epoch().to_string(), None));
            view.summary.push(fact(
                "metadata offset",
                (controller.image().next_offset - 1).to_string(),
                None,
            ));
        }
        KafkaNode::Producer(producer) => {
            view.summary = producer
                .summary()
                .into_iter()
                .map(|(l, v)| fact(l, v, None))
                .collect();
        }
        KafkaNode::Processor(both) => {
            let facts = both.summary().into_iter();
            view.summary = facts.map(|(l, v)| fact(l, v, None)).collect();
            view.badges.extend(both.transaction_now().map(transaction));
        }
        KafkaNode::Consumer(consumer) => {
            view.summary = consumer
                .summary()
                .into_iter()
                .map(|(l, v)| fact(l, v, None))
                .collect();
        }
    }
    view
}

/// How the transaction of a processor stands.
fn transaction(now: TransactionNow) -> Badge {
    let tone = match now {
        TransactionNow::None | TransactionNow::Commits => Tone::Sea,
        TransactionNow::Open(_) | TransactionNow::Initialising => Tone::Sand,
        TransactionNow::Aborts | TransactionNow::Stopped(_) => Tone::Harm,
    };
    badge(&now.words(), tone)
}

fn badge(text: &str, tone: Tone) -> Badge {
    Badge {
        text: text.to_owned(),
        tone,
    }
}

fn fact(label: &str, value: String, subject: Option<String>) -> Fact {
    Fact {
        label: label.to_owned(),
        value,
        subject,
    }
}

fn health(world: &World<Node>, id: NodeId) -> Health {
    match world.nodes().get(id.0 as usize) {
        Some(slot) => match slot.state {
            NodeState::Up if slot.cpu.cost > 0 || world.disk_speed(id) > 0 => Health::Slow,
            NodeState::Up => Health::Up,
            NodeState::Paused => Health::Paused,
            NodeState::Down { .. } => Health::Down,
        },
        None => Health::Down,
    }
}

fn lanes(
    world: &World<Node>,
    node: NodeId,
    broker: &Broker,
    image: Option<&MetadataImage>,
    query: &StageQuery,
) -> Vec<Lane> {
    let Some(image) = image else {
        return Vec::new();
    };
    image
        .partitions
        .iter()
        .filter(|(_, state)| state.replicas.contains(&broker.id()))
        .map(|(tp, _)| lane(world, node, broker, image, *tp, query))
        .collect()
}

fn lane(
    world: &World<Node>,
    node: NodeId,
    broker: &Broker,
    image: &MetadataImage,
    tp: TopicPartition,
    query: &StageQuery,
) -> Lane {
    let id = image.name(tp);
    let state = &image.partitions[&tp];
    let me = broker.id();
    let in_sync = state.isr.contains(&me);
    let own = broker.partition(tp);
    let leads = own.as_ref().is_some_and(|p| p.leads);
    let mut badges = Vec::new();
    badges.push(match (leads, state.leader == me) {
        (true, true) => badge("Leader", Tone::Sea),
        // Believes it leads, and the quorum has another leader: a deposed leader (zombie).
        (true, false) => badge("Deposed leader", Tone::Harm),
        // Nobody is told of a death: the quorum names it until its session has run out.
        (false, true) if !Cluster(world).runs(node) => badge("Leader, says the quorum", Tone::Sand),
        (false, true) => badge("Leader (not yet aware)", Tone::Sand),
        (false, false) => badge("Follower", Tone::Plain),
    });
    if in_sync {
        badges.push(badge("ISR", Tone::Plain));
    }
    if state.elr.contains(&me) {
        badges.push(badge("ELR", Tone::Sand));
    }
    let epoch = own.as_ref().map_or(-1, |p| p.leader_epoch);
    let log = broker.log(tp);
    let (start, end, hw) = log.map_or((0, 0, 0), |log| {
        (log.start_offset(), log.leo(), log.high_watermark())
    });
    let subject = |what: &str| Some(format!("n{}/{id}/{what}", node.0));
    let mut facts = vec![
        fact(
            "role",
            if leads { "leader" } else { "follower" }.to_owned(),
            subject("role"),
        ),
        fact("leader epoch", epoch.to_string(), subject("epoch")),
        fact("log end offset (LEO)", end.to_string(), subject("leo")),
        fact("high watermark", hw.to_string(), subject("hw")),
        fact("log start offset", start.to_string(), subject("start")),
        fact(
            "ISR (quorum)",
            format!("{:?}", state.isr),
            Some(format!("{id}/isr")),
        ),
        fact(
            "ELR (quorum)",
            format!("{:?}", state.elr),
            Some(format!("{id}/elr")),
        ),
        fact(
            "flushed to disk up to",
            log.map_or(0, Log::flushed_offset).to_string(),
            None,
        ),
    ];
    let stable = own.as_ref().map(|it| it.partition_log.last_stable_offset());
    if let Some(stable) = stable.filter(|it| *it < hw) {
        facts.push(fact(
            "last stable offset",
            stable.to_string(),
            subject("lso"),
        ));
    }
    let mut marks = vec![Mark {
        kind: MarkKind::End,
        label: format!("LEO {end}"),
        offset: end,
    }];
    if start > 0 {
        marks.push(Mark {
            kind: MarkKind::Start,
            label: format!("start {start}"),
            offset: start,
        });
    }
    marks.push(Mark {
        kind: MarkKind::Strandline,
        label: format!("high watermark {hw}"),
        offset: hw,
    });
    let wanted = query.lanes.is_empty() || query.lanes.contains(&id);
    let reference = Cluster(world).leader_log(tp);
    let cells = match log {
        Some(log) if wanted => cells(log, reference, query.cells_max),
        _ => Vec::new(),
    };
    let leader_end = reference.map(Log::leo);
    Lane {
        note: lane_note(in_sync, leads, leader_end, end),
        id,
        badges,
        leads,
        in_sync,
        start,
        end,
        strandline: hw,
        marks,
        cells,
        facts,
    }
}

fn lane_note(in_sync: bool, leads: bool, leader_end: Option<i64>, end: i64) -> String {
    if leads {
        return String::new();
    }
    let place = if in_sync { "in sync" } else { "out of sync" };
    match leader_end {
        Some(leader) if leader > end => format!("{place} · {} behind", leader - end),
        Some(leader) if leader < end => format!("{place} · {} ahead of the leader", end - leader),
        Some(_) => format!("{place} · caught up"),
        None => format!("{place} · no leader"),
    }
}

/// The newest cells of a log.
fn cells(log: &Log, reference: Option<&Log>, most: u32) -> Vec<Cell> {
    let from = (log.leo() - i64::from(most)).max(log.start_offset());
    let hw = log.high_watermark();
    log.records(from, log.leo())
        .map(|(offset, batch, record)| Cell {
            offset,
            record: (!batch.is_control()).then_some(record.id.0),
            key: record.key.map(|key| key.0),
            committed: offset < hw,
            flushed: offset < log.flushed_offset(),
            epoch: batch.leader_epoch,
            batch_start: batch.base_offset == offset,
            diverged: reference
                .and_then(|other| other.record_at(offset))
                .is_some_and(|other| other.id != record.id),
            transaction: None,
        })
        .collect()
}

/// One line per partition, as the quorum has it.
#[must_use]
pub fn lane_summaries(world: &World<Node>, names: &[String]) -> Vec<LaneSummary> {
    let cluster = Cluster(world);
    let Some(image) = cluster.image() else {
        return Vec::new();
    };
    let name = |id: i32| {
        cluster
            .node_of(id)
            .and_then(|node| names.get(node.0 as usize).cloned())
            .unwrap_or_else(|| id.to_string())
    };
    let set = |ids: &[i32]| {
        ids.iter()
            .map(|id| name(*id))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let nodes = |ids: &[i32]| {
        ids.iter()
            .filter_map(|id| cluster.node_of(*id))
            .map(|n| n.0)
            .collect()
    };
    image
        .partitions
        .iter()
        .map(|(tp, state)| {
            let leader = if state.leader < 0 {
                "none".to_owned()
            } else {
                name(state.leader)
            };
            LaneSummary {
                id: image.name(*tp),
                text: format!(
                    "leader {leader} · ISR {{{}}} · ELR {{{}}}",
                    set(&state.isr),
                    set(&state.elr)
                ),
                leader: cluster.node_of(state.leader).map(|n| n.0),
                in_sync: nodes(&state.isr),
                eligible: nodes(&state.elr),
                epoch: state.leader_epoch,
            }
        })
        .collect()
}

/// One line on the quorum.
#[must_use]
pub fn control_line(world: &World<Node>, names: &[String]) -> String {
    let cluster = Cluster(world);
    let offset = cluster.image().map_or(-1, |image| image.next_offset - 1);
    match cluster.active_controller() {
        Some((node, controller)) => {
            let name = names.get(node.0 as usize).map_or("?", String::as_str);
            format!(
                "{name} leads, epoch {} · metadata offset {offset}",
                controller.quorum_epoch()
            )
        }
        None => format!("no active controller · metadata offset {offset}"),
    }
}

/// A message as a token: its shape, name and records written onto `token`.
#[must_use]
pub fn token(msg: &Msg, token: Token) -> Token {
    let (shape, label, key, records) = token_parts(msg);
    Token {
        shape,
        label,
        key,
        records,
        ..token
    }
}

/// Shape, name, first key and record count of a message.
#[must_use]
pub fn token_parts(msg: &Msg) -> (Shape, &'static str, Option<u32>, u32) {
    match msg {
        Msg::Request(_, request) => {
            let label = request.name();
            match &**request {
                Request::Produce { batches, .. } => {
                    let records = batches.iter().map(|(_, b)| b.records.len() as u32).sum();
                    let first = batches.first().and_then(|(_, b)| b.records.first());
                    (
                        Shape::Batch,
                        label,
                        first.and_then(|r| r.key).map(|k| k.0),
                        records,
                    )
                }
                Request::Fetch { .. } | Request::FetchMetadata { .. } => {
                    (Shape::Fetch, label, None, 0)
                }
                Request::BrokerHeartbeat { .. } => (Shape::Heartbeat, label, None, 0),
                Request::Vote { .. }
                | Request::BeginQuorumEpoch { .. }
                | Request::EndQuorumEpoch { .. } => (Shape::Vote, label, None, 0),
                Request::AlterPartition { .. } | Request::BrokerRegistration { .. } => {
                    (Shape::Control, label, None, 0)
                }
                _ => (Shape::Other, label, None, 0),
            }
        }
        Msg::Response(_, response) => {
            let label = response.name();
            match response.plain() {
                Response::Produce { .. } => (Shape::Ack, label, None, 0),
                Response::Fetch { partitions } => {
                    let mut batches = partitions.iter().flat_map(|p| &p.batches);
                    let records: u32 = batches.clone().map(|b| b.records.len() as u32).sum();
                    let key = batches
                        .next()
                        .and_then(|b| b.records.first()?.key)
                        .map(|k| k.0);
                    let shape = if records > 0 {
                        Shape::Batch
                    } else {
                        Shape::Other
                    };
                    (shape, label, key, records)
                }
                Response::BrokerHeartbeat { .. } => (Shape::Heartbeat, label, None, 0),
                Response::Vote { .. } => (Shape::Vote, label, None, 0),
                Response::FetchMetadata { batches, .. } if !batches.is_empty() => {
                    (Shape::Control, label, None, 0)
                }
                Response::AlterPartition { .. } => (Shape::Control, label, None, 0),
                _ => (Shape::Other, label, None, 0),
            }
        }
    }
}

/// The shape of a request by its name, for lines that no longer have their message.
#[must_use]
pub fn shape_of(label: &str) -> Shape {
    match label {
        "Produce" | "FetchResponse" => Shape::Batch,
        "ProduceResponse" => Shape::Ack,
        "Fetch" | "ReplicaFetch" | "FetchMetadata" => Shape::Fetch,
        "BrokerHeartbeat" | "BrokerHeartbeatResponse" => Shape::Heartbeat,
        "Vote" | "PreVote" | "VoteResponse" | "BeginQuorumEpoch" | "EndQuorumEpoch" => Shape::Vote,
        "AlterPartition"
        | "AlterPartitionResponse"
        | "BrokerRegistration"
        | "FetchMetadataResponse" => Shape::Control,
        _ => Shape::Other,
    }
}
