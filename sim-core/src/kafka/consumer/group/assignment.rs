//! What members tell one another through the coordinator, which does not read it: subscriptions and
//! assignments.
//!
//! Follows `ConsumerProtocolSubscription` and `ConsumerProtocolAssignment`; the bytes are this
//! program's own. The leader of a group calls its assignor here.

use crate::kafka::client::PartitionRacks;
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

/// The subscription to these topics. A member's rack (KIP-881) is added at the end, as a later
/// version of the message: who has none sends what was always sent.
pub(super) fn subscription(
    topics: &[TopicId],
    owned: impl Iterator<Item = TopicPartition>,
    generation: i32,
    rack: &str,
) -> Bytes {
    let mut owned: Vec<TopicPartition> = owned.collect();
    owned.sort_unstable();
    let own = Subscription {
        topics: topics.to_vec(),
        owned,
        generation,
    };
    match rack {
        "" => encode(&own),
        rack => encode(&(own, rack)),
    }
}

/// A subscription and the rack behind it, if there is one.
fn read(metadata: &Bytes) -> Option<(Subscription, Option<String>)> {
    let (own, rest) = postcard::take_from_bytes(metadata).ok()?;
    Some((own, postcard::from_bytes(rest).ok()))
}

/// Whether a subscription names a topic; one that cannot be read may.
#[must_use]
pub(in crate::kafka) fn subscribes(metadata: &Bytes, topic: TopicId) -> bool {
    read(metadata).is_none_or(|(it, _)| it.topics.contains(&topic))
}

/// The topics that somebody in the group reads.
pub(super) fn topics_of(members: &[JoinedMember]) -> BTreeSet<TopicId> {
    let read = members.iter().filter_map(|it| read(&it.metadata));
    read.flat_map(|(it, _)| it.topics).collect()
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
    racks: Option<&PartitionRacks>,
) -> Vec<(Name, Bytes)> {
    let read = members.iter().map(|it| subscription_of(it, known));
    let read: Vec<assign::Subscription> = read.collect();
    let topics = known.iter().map(|(topic, name, count)| {
        let partitions = (0..*count).map(|partition| {
            let topic = *topic;
            let told = racks.and_then(|it| it.get(&TopicPartition { topic, partition }));
            let told = told.into_iter().flatten().flatten();
            told.map(|rack| rack.to_string()).collect()
        });
        ((*name).to_owned(), partitions.collect())
    });
    let topics: assign::Topics = topics.collect();
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
    let (read, rack_id) = read(&member.metadata).unwrap_or_default();
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
        rack_id,
        owned,
        generation: read.generation,
        ..assign::Subscription::new(&member.member_id, topics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rack_stands_behind_the_subscription_of_who_has_one() {
        let tp = |partition| TopicPartition {
            topic: TopicId(1),
            partition,
        };
        let check = |rack: &str, expect: Option<&str>| {
            let owned = [tp(2), tp(0)].into_iter();
            let bytes = subscription(&[TopicId(1)], owned, 4, rack);
            let (own, told) = read(&bytes).expect("what was written can be read");
            assert_eq!(own.topics, [TopicId(1)]);
            assert_eq!((own.owned, own.generation), (vec![tp(0), tp(2)], 4));
            assert_eq!(told.as_deref(), expect);
        };
        check("", None);
        check("east", Some("east"));
        assert_eq!(read(&Arc::from([])), None);
    }
}
