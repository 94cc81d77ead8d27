//! `UniformHeterogeneousAssignmentBuilder`: members subscribe to different topics.
//!
//! Everybody keeps what they have and still subscribe to. What is left goes to the least loaded
//! subscribers, topics with the most partitions for each subscriber first. Then partitions of each
//! topic move from its most loaded to its least loaded subscribers, topic after topic, until a
//! whole round changes nothing, or 16 rounds are over: with overlapping subscriptions the result
//! is nearly balanced then.

use super::balancer::Balancer;
use super::{GroupAssignment, Members, PartitionAssignorException, Partitions, TopicCounts, count};
use std::collections::BTreeMap;

/// `MAX_ITERATION_COUNT`.
const MOST_ROUNDS: u32 = 16;

struct Topic<'a, T> {
    id: &'a T,
    /// Places of its members, ascending.
    subscribers: Vec<usize>,
    /// Whose each partition is.
    owners: Vec<Option<usize>>,
}

/// Assigns.
///
/// # Errors
///
/// [`PartitionAssignorException`] when a member subscribes to a topic that does not exist.
pub fn uniform_heterogeneous<T: Ord + Clone>(
    topics: &TopicCounts<T>,
    members: &Members<T>,
) -> Result<GroupAssignment<T>, PartitionAssignorException> {
    let mut all: BTreeMap<&T, Topic<'_, T>> = BTreeMap::new();
    for (place, member) in members.values().enumerate() {
        for id in &member.topics {
            let count = count(topics, id)? as usize;
            let topic = all.entry(id).or_insert_with(|| Topic {
                id,
                subscribers: Vec::new(),
                owners: vec![None; count],
            });
            topic.subscribers.push(place);
        }
    }
    if all.is_empty() {
        return Ok(GroupAssignment::new());
    }
    let mut counts = vec![0; members.len()];
    for (place, member) in members.values().enumerate() {
        keep(place, member, &mut all, &mut counts);
    }
    let mut sorted: Vec<Topic<'_, T>> = all.into_values().collect();
    // Partitions for each subscriber, descending; then the number of subscribers; then the id,
    // which the order until here already is.
    sorted.sort_by(|a, b| {
        let (a_many, b_many) = (a.subscribers.len(), b.subscribers.len());
        let per_subscriber = (b.owners.len() * a_many).cmp(&(a.owners.len() * b_many));
        per_subscriber.then(a_many.cmp(&b_many))
    });
    let mut balancer = Balancer::default();
    for topic in &mut sorted {
        assign_rest(topic, &mut balancer, &mut counts);
    }
    balance(&mut sorted, &mut balancer, &mut counts);
    let mut own: Vec<Partitions<T>> = vec![Partitions::new(); members.len()];
    for topic in &sorted {
        for (partition, owner) in (0..).zip(&topic.owners) {
            if let Some(owner) = owner {
                let numbers = own[*owner].entry(topic.id.clone()).or_default();
                numbers.insert(partition);
            }
        }
    }
    Ok(members.keys().cloned().zip(own).collect())
}

/// What a member has and still subscribes to stays (`maybeRevokePartitions`).
fn keep<'a, T: Ord>(
    place: usize,
    member: &'a super::MemberSpec<T>,
    all: &mut BTreeMap<&'a T, Topic<'a, T>>,
    counts: &mut [i64],
) {
    for (id, partitions) in &member.previous {
        let Some(topic) = all.get_mut(id).filter(|_| member.topics.contains(id)) else {
            continue;
        };
        for partition in partitions {
            let partition = usize::try_from(*partition).ok();
            let owner = partition.and_then(|partition| topic.owners.get_mut(partition));
            if let Some(free @ None) = owner {
                *free = Some(place);
                counts[place] += 1;
            }
        }
    }
}

/// `assignRemainingPartitions` for one topic.
fn assign_rest<T>(topic: &mut Topic<'_, T>, balancer: &mut Balancer, counts: &mut [i64]) {
    balancer.initialize(&topic.subscribers, counts);
    for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
        let Some(member) = balancer.next_least_loaded(counts) else {
            return;
        };
        *owner = Some(member);
        counts[member] += 1;
    }
}

/// `balanceTopics`: round the topics until one is met again with nothing changed since.
fn balance<T>(topics: &mut [Topic<'_, T>], balancer: &mut Balancer, counts: &mut [i64]) {
    let shared = topics
        .iter_mut()
        .filter(|topic| topic.subscribers.len() >= 2);
    let mut shared: Vec<&mut Topic<'_, T>> = shared.collect();
    let mut last_changed = None;
    for _ in 0..MOST_ROUNDS {
        for (place, topic) in shared.iter_mut().enumerate() {
            if last_changed == Some(place) {
                return;
            }
            let changed = balance_topic(topic, balancer, counts);
            if changed || last_changed.is_none() {
                last_changed = Some(place);
            }
        }
    }
}

/// `balanceTopic`; returns whether a partition moved.
fn balance_topic<T>(topic: &mut Topic<'_, T>, balancer: &mut Balancer, counts: &mut [i64]) -> bool {
    if balancer.initialize(&topic.subscribers, counts) <= 1 {
        return false;
    }
    // The partitions of each member; the last is given up first.
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (partition, owner) in topic.owners.iter().enumerate() {
        if let Some(owner) = owner {
            of.entry(*owner).or_default().push(partition);
        }
    }
    let mut changed = false;
    while !balancer.is_balanced() {
        let Some(giver) = balancer.next_most_loaded(counts) else {
            break;
        };
        let Some(partition) = of.get_mut(&giver).and_then(Vec::pop) else {
            balancer.exclude_most_loaded();
            continue;
        };
        let Some(taker) = balancer.next_least_loaded(counts) else {
            break;
        };
        if balancer.is_balanced() {
            break;
        }
        topic.owners[partition] = Some(taker);
        counts[giver] -= 1;
        counts[taker] += 1;
        changed = true;
    }
    changed
}
