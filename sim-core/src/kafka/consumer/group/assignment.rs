//! What members tell one another through the coordinator, which does not read it: subscriptions and
//! assignments.
//!
//! Follows `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`; the bytes are this
//! program's own. The leader of a group calls its assignor here.

use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::rules::classic_group::{Bytes, JoinedMember, Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A member's subscription, with what it owns (KIP-429) and since which generation (KIP-792).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Subscription {
    topics: Vec<TopicId>,
    owned: Vec<TopicPartition>,
    generation: i32,
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // Plain data in memory always encodes.
    postcard::to_allocvec(value).map_or_else(|_| Arc::from([]), Arc::from)
}

/// The subscription to one topic.
pub(super) fn subscription(
    topic: TopicId,
    owned: impl Iterator<Item = TopicPartition>,
    generation: i32,
) -> Bytes {
    let mut owned: Vec<TopicPartition> = owned.collect();
    owned.sort_unstable();
    encode(&Subscription {
        topics: vec![topic],
        owned,
        generation,
    })
}

/// The partitions of an assignment; none if it cannot be read.
pub(super) fn decode(assignment: &Bytes) -> Vec<TopicPartition> {
    postcard::from_bytes(assignment).unwrap_or_default()
}

/// The leader's work: every member's partitions, by the assignor that the members voted for.
pub(super) fn assign(
    protocol: &str,
    members: &[JoinedMember],
    topics: &[(TopicId, u16)],
) -> Vec<(Name, Bytes)> {
    let mut order: Vec<(&JoinedMember, Subscription)> = members
        .iter()
        .map(|it| (it, postcard::from_bytes(&it.metadata).unwrap_or_default()))
        .collect();
    order.sort_by_key(|(it, _)| (it.instance_id.is_none(), &it.instance_id, &it.member_id));
    let mut given: BTreeMap<&Name, Vec<TopicPartition>> = order
        .iter()
        .map(|(it, _)| (&it.member_id, Vec::new()))
        .collect();
    for (topic, count) in topics {
        let who = order.iter().filter(|(_, it)| it.topics.contains(topic));
        let who: Vec<&(&JoinedMember, Subscription)> = who.collect();
        let tp = |partition| TopicPartition {
            topic: *topic,
            partition,
        };
        for (partition, member) in share(protocol, &who, *topic, *count) {
            given.entry(member).or_default().push(tp(partition));
        }
    }
    let encoded = given
        .into_iter()
        .map(|(id, own)| (Arc::clone(id), encode(&own)));
    encoded.collect()
}

/// Who gets which partition of one topic; `who` is in the assignors' order.
fn share<'a>(
    protocol: &str,
    who: &[&(&'a JoinedMember, Subscription)],
    topic: TopicId,
    count: u16,
) -> Vec<(u16, &'a Name)> {
    if who.is_empty() {
        return Vec::new();
    }
    let id = |at: usize| &who[at % who.len()].0.member_id;
    let all = 0..count;
    match protocol {
        "roundrobin" => (0..).zip(all).map(|(at, p)| (p, id(at))).collect(),
        "range" => {
            let (each, more) = (
                usize::from(count) / who.len(),
                usize::from(count) % who.len(),
            );
            let sizes = (0..who.len()).map(|at| each + usize::from(at < more));
            let owners = sizes
                .enumerate()
                .flat_map(|(at, n)| std::iter::repeat_n(id(at), n));
            all.zip(owners).collect()
        }
        _ => keep(protocol == "cooperative-sticky", who, topic, count),
    }
}

/// Balanced, and everybody keeps what it can; cooperatively nobody gets what another still owns.
fn keep<'a>(
    cooperative: bool,
    who: &[&(&'a JoinedMember, Subscription)],
    topic: TopicId,
    count: u16,
) -> Vec<(u16, &'a Name)> {
    let newest = who.iter().map(|(_, it)| it.generation).max().unwrap_or(-1);
    let mut owner: BTreeMap<u16, usize> = BTreeMap::new();
    let mut disputed = Vec::new();
    for (at, (_, it)) in who
        .iter()
        .enumerate()
        .filter(|(_, (_, it))| it.generation == newest)
    {
        for tp in it
            .owned
            .iter()
            .filter(|tp| tp.topic == topic && tp.partition < count)
        {
            if owner.insert(tp.partition, at).is_some() {
                disputed.push(tp.partition);
            }
        }
    }
    disputed.iter().for_each(|partition| {
        owner.remove(partition);
    });
    let (least, mut more) = (
        usize::from(count) / who.len(),
        usize::from(count) % who.len(),
    );
    let mut sizes = vec![0_usize; who.len()];
    let mut result = Vec::new();
    let mut open = Vec::new();
    for partition in 0..count {
        let kept = owner.get(&partition).copied().filter(|at| {
            let takes_extra = sizes[*at] == least && more > 0;
            more -= usize::from(takes_extra);
            sizes[*at] < least || takes_extra
        });
        match kept {
            Some(at) => {
                sizes[at] += 1;
                result.push((partition, &who[at].0.member_id));
            }
            None => open.push(partition),
        }
    }
    for partition in open {
        let Some(at) = (0..who.len()).min_by_key(|at| sizes[*at]) else {
            continue;
        };
        sizes[at] += 1;
        let moves = owner.get(&partition).is_some_and(|from| *from != at);
        if !(cooperative && moves) {
            result.push((partition, &who[at].0.member_id));
        }
    }
    result
}
