//! What members tell one another through the coordinator, which does not read it: subscriptions and
//! assignments.
//!
//! Follows `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`; the bytes are this
//! program's own. The leader of a group calls its assignor here.

use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kafka::rules::assign;
use crate::kafka::rules::classic_group::{Bytes, JoinedMember, Name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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

/// The subscription to these topics.
pub(super) fn subscription(
    topics: &[TopicId],
    owned: impl Iterator<Item = TopicPartition>,
    generation: i32,
) -> Bytes {
    let mut owned: Vec<TopicPartition> = owned.collect();
    owned.sort_unstable();
    encode(&Subscription {
        topics: topics.to_vec(),
        owned,
        generation,
    })
}

/// Whether a subscription names a topic; one that cannot be read may.
#[must_use]
pub(in crate::kafka) fn subscribes(metadata: &Bytes, topic: TopicId) -> bool {
    let read = postcard::from_bytes::<Subscription>(metadata);
    read.map_or(true, |it| it.topics.contains(&topic))
}

/// The topics that somebody in the group reads.
pub(super) fn topics_of(members: &[JoinedMember]) -> BTreeSet<TopicId> {
    let read = |it: &JoinedMember| postcard::from_bytes::<Subscription>(&it.metadata).ok();
    let topics = members.iter().filter_map(read).map(|it| it.topics);
    topics.flatten().collect()
}

/// The partitions of an assignment; none if it cannot be read.
pub(super) fn decode(assignment: &Bytes) -> Vec<TopicPartition> {
    postcard::from_bytes(assignment).unwrap_or_default()
}

/// A topic as the leader knows it: its number, its name, and how many partitions it has.
pub(super) type KnownTopic<'a> = (TopicId, &'a str, u16);

/// The leader's work: every member's partitions, by the assignor that the members voted for.
pub(super) fn assign(
    protocol: &str,
    members: &[JoinedMember],
    known: &[KnownTopic<'_>],
) -> Vec<(Name, Bytes)> {
    let read = members.iter().map(|it| subscription_of(it, known));
    let read: Vec<assign::Subscription> = read.collect();
    let counts = known
        .iter()
        .map(|(_, name, count)| (*name, u32::from(*count)));
    let topics = assign::topics_without_racks(counts);
    let found = match protocol {
        "range" => assign::range(&topics, &read),
        "roundrobin" => assign::round_robin(&topics, &read),
        "sticky" => assign::sticky(&topics, &read).assignment,
        _ => assign::cooperative_sticky(&topics, &read).assignment,
    };
    let members = members.iter().map(|it| {
        let own = found.get(&*it.member_id).into_iter().flatten();
        let own = own.flat_map(|(name, partitions)| {
            let topic = known.iter().find(|(_, known, _)| known == name);
            let numbers = partitions.iter().filter_map(|it| u16::try_from(*it).ok());
            topic.into_iter().flat_map(move |(topic, ..)| {
                let topic = *topic;
                numbers
                    .clone()
                    .map(move |partition| TopicPartition { topic, partition })
            })
        });
        (Arc::clone(&it.member_id), encode(&own.collect::<Vec<_>>()))
    });
    members.collect()
}

/// A member's subscription in the assignors' terms; a topic that the leader does not know is left
/// out.
fn subscription_of(member: &JoinedMember, known: &[KnownTopic<'_>]) -> assign::Subscription {
    let read: Subscription = postcard::from_bytes(&member.metadata).unwrap_or_default();
    let name = |topic: TopicId| known.iter().find(|(it, ..)| *it == topic).map(|it| it.1);
    let topics = read.topics.iter().filter_map(|it| name(*it));
    let mut owned = assign::Partitions::new();
    for tp in &read.owned {
        if let Some(name) = name(tp.topic) {
            let own = owned.entry(name.to_owned()).or_default();
            own.insert(tp.partition.into());
        }
    }
    assign::Subscription {
        group_instance_id: member.instance_id.as_deref().map(str::to_owned),
        owned,
        generation: read.generation,
        ..assign::Subscription::new(&member.member_id, topics)
    }
}
