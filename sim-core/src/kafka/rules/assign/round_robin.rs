//! `RoundRobinAssignor`: all partitions of all topics in order, dealt in a circle over the members.

use super::interned::{Interned, Member, Partition, at, number};
use super::{Assignment, Subscription, Topics};

/// Deals the partitions, topic by topic in the order of names, to the members in
/// [`member_order`](super::member_order); a member that does not subscribe to the topic is passed over.
#[must_use]
pub fn round_robin(topics: &Topics, members: &[Subscription]) -> Assignment {
    let group = Interned::new(topics, members);
    let mut circle: Vec<Member> = (0..number(group.members.len())).collect();
    circle.sort_by_key(|member| group.seat[at(*member)]);
    let mut dealt: Vec<Vec<Partition>> = vec![Vec::new(); circle.len()];
    // The seat that is asked next.
    let mut next = 0;
    for topic in 0..number(group.topics.len()) {
        let subscribers = group.members_of[at(topic)].iter();
        let mut seats: Vec<u32> = subscribers.map(|member| group.seat[at(*member)]).collect();
        seats.sort_unstable();
        for partition in group.partitions(topic) {
            let after = seats.partition_point(|seat| *seat < next);
            let Some(taker) = seats.get(after).or(seats.first()) else {
                break;
            };
            dealt[at(circle[at(*taker)])].push(partition);
            next = taker + 1;
        }
    }
    group.named(dealt)
}
