//! A group in numbers: members, topics, partitions and racks by their place in sorted lists.
//!
//! Comparing two numbers here is comparing the two ids, so that what Kafka sorts by id is sorted by
//! number.

use super::hash_order::{HashOrdered, string_hash};
use super::{Assignment, Partitions, Subscription, Topics, member_order};
use std::collections::{BTreeMap, BTreeSet};

/// A member by its place in the order of member ids.
pub(super) type Member = u32;
/// A topic by its place in the order of names.
pub(super) type Topic = u32;
/// A partition by its place in the order of topic and number.
pub(super) type Partition = u32;
/// A rack by its place in the order of names.
pub(super) type Rack = u32;

/// The group.
pub(super) struct Interned<'a> {
    /// By id.
    pub(super) members: Vec<&'a Subscription>,
    /// In the order of the map that Kafka walks.
    pub(super) hash_order: Vec<Member>,
    /// The place of each member in the order in which range and round robin deal; of members that
    /// compare equal (two with one instance id), the first of the map is first.
    pub(super) seat: Vec<u32>,
    /// The names of the topics that somebody subscribes to and that have partitions.
    pub(super) topics: Vec<&'a str>,
    /// The first partition of each topic, and in the end the number of all.
    first: Vec<Partition>,
    /// The topic of each partition.
    topic_of: Vec<Topic>,
    /// The topics of each member.
    pub(super) topics_of: Vec<Vec<Topic>>,
    /// The members of each topic.
    pub(super) members_of: Vec<Vec<Member>>,
    /// The rack of each member.
    pub(super) rack_of: Vec<Option<Rack>>,
    /// The racks of each partition's replicas.
    pub(super) racks: Vec<BTreeSet<Rack>>,
}

/// As an index of a list.
pub(super) fn at(number: u32) -> usize {
    number as usize
}

/// As a number of a list's entry; a group has fewer than 2^32 of anything.
pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl<'a> Interned<'a> {
    /// Numbers everything. Of two members with one id, the later is the member.
    pub(super) fn new(topics: &'a Topics, members: &'a [Subscription]) -> Self {
        let by_id: BTreeMap<&str, &Subscription> = members
            .iter()
            .map(|member| (member.member_id.as_str(), member))
            .collect();
        let place: BTreeMap<&str, Member> =
            (0..).zip(by_id.keys()).map(|(i, id)| (*id, i)).collect();
        let mut hashed = HashOrdered::default();
        let mut seen = BTreeSet::new();
        for member in members {
            let number = place[member.member_id.as_str()];
            if seen.insert(number) {
                hashed.insert(string_hash(&member.member_id), number);
            }
        }
        let members: Vec<&Subscription> = by_id.into_values().collect();
        let subscribed: BTreeSet<&str> = members
            .iter()
            .flat_map(|member| member.topics.iter().map(String::as_str))
            .collect();
        let existing = topics.iter().filter(|(name, partitions)| {
            !partitions.is_empty() && subscribed.contains(name.as_str())
        });
        let existing: Vec<(&str, &Vec<BTreeSet<String>>)> =
            existing.map(|(name, p)| (name.as_str(), p)).collect();
        let mut interned = Interned {
            hash_order: hashed.in_order(),
            seat: vec![0; members.len()],
            topics: existing.iter().map(|(name, _)| *name).collect(),
            first: vec![0],
            topic_of: Vec::new(),
            topics_of: Vec::new(),
            members_of: vec![Vec::new(); existing.len()],
            rack_of: Vec::new(),
            racks: Vec::new(),
            members,
        };
        interned.seat_members();
        interned.number_partitions(&existing);
        interned.number_subscriptions();
        interned
    }

    fn seat_members(&mut self) {
        let mut dealt = self.hash_order.clone();
        dealt.sort_by(|a, b| member_order(self.members[at(*a)], self.members[at(*b)]));
        for (seat, member) in (0..).zip(dealt) {
            self.seat[at(member)] = seat;
        }
    }

    fn number_partitions(&mut self, topics: &[(&str, &Vec<BTreeSet<String>>)]) {
        let of_members = self.members.iter().filter_map(|member| member.rack());
        let of_replicas = topics.iter().flat_map(|(_, p)| p.iter().flatten());
        let names: BTreeSet<&str> = of_members.chain(of_replicas.map(String::as_str)).collect();
        let racks: BTreeMap<&str, Rack> = names.into_iter().zip(0..).collect();
        let of_members = self.members.iter();
        self.rack_of = of_members
            .map(|member| member.rack().map(|rack| racks[rack]))
            .collect();
        for (topic, (_, partitions)) in (0..).zip(topics) {
            for replicas in partitions.iter() {
                self.topic_of.push(topic);
                let replicas = replicas.iter();
                self.racks
                    .push(replicas.map(|rack| racks[rack.as_str()]).collect());
            }
            self.first.push(number(self.topic_of.len()));
        }
    }

    fn number_subscriptions(&mut self) {
        for (member, subscription) in (0..).zip(&self.members) {
            let topics = subscription.topics.iter();
            let mut own: Vec<Topic> = topics.filter_map(|name| self.topic(name)).collect();
            own.sort_unstable();
            for topic in &own {
                self.members_of[at(*topic)].push(member);
            }
            self.topics_of.push(own);
        }
    }

    /// A topic by name, if it takes part.
    pub(super) fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.binary_search(&name).ok().map(number)
    }

    /// How many partitions there are in all.
    pub(super) fn total(&self) -> u32 {
        number(self.topic_of.len())
    }

    /// The partitions of a topic.
    pub(super) fn partitions(&self, topic: Topic) -> std::ops::Range<Partition> {
        self.first[at(topic)]..self.first[at(topic) + 1]
    }

    /// The topic of a partition.
    pub(super) fn topic_of(&self, partition: Partition) -> Topic {
        self.topic_of[at(partition)]
    }

    /// The number of a partition in its topic.
    pub(super) fn index(&self, partition: Partition) -> i32 {
        let first = self.first[at(self.topic_of(partition))];
        i32::try_from(partition - first).unwrap_or(i32::MAX)
    }

    /// The partitions of a map that exist.
    pub(super) fn existing(&self, partitions: &Partitions) -> Vec<Partition> {
        let mut found = Vec::new();
        for (name, indexes) in partitions {
            let Some(topic) = self.topic(name) else {
                continue;
            };
            let range = self.partitions(topic);
            let places = indexes
                .iter()
                .filter_map(|index| u32::try_from(*index).ok());
            let places = places.filter_map(|index| range.start.checked_add(index));
            found.extend(places.filter(|place| range.contains(place)));
        }
        found
    }

    /// Whether a member subscribes to a topic.
    pub(super) fn subscribes(&self, member: Member, topic: Topic) -> bool {
        self.topics_of[at(member)].binary_search(&topic).is_ok()
    }

    /// Names again: what each member has, by its number.
    pub(super) fn named<I>(&self, by_member: impl IntoIterator<Item = I>) -> Assignment
    where
        I: IntoIterator<Item = Partition>,
    {
        let members = self.members.iter().zip(by_member);
        members
            .map(|(member, partitions)| {
                let mut own = Partitions::new();
                let mut partitions: Vec<Partition> = partitions.into_iter().collect();
                partitions.sort_unstable();
                for same in partitions.chunk_by(|a, b| self.topic_of(*a) == self.topic_of(*b)) {
                    let name = self.topics[at(self.topic_of(same[0]))].to_owned();
                    own.insert(name, same.iter().map(|p| self.index(*p)).collect());
                }
                (member.member_id.clone(), own)
            })
            .collect()
    }
}
