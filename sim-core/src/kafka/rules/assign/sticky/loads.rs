//! How many partitions each member has, arranged for the two questions that balancing asks: which
//! subscriber of a topic has the fewest, and which owner of one of its partitions has the most.
//!
//! Kafka keeps one sorted set of members (`sortedCurrentSubscriptions`) and walks it; members of one
//! subscription and rack stand in one sorted set here, so that no walk is needed.

use super::super::interned::{Interned, Member, Partition, Rack, Topic, at};
use super::racks::Racks;
use std::collections::{BTreeMap, BTreeSet};

/// A member with its count, ordered as Kafka orders them.
type Load = (u32, Member);

struct Class {
    rack: Option<Rack>,
    members: BTreeSet<Load>,
}

pub(super) struct Loads {
    count: Vec<u32>,
    class_of: Vec<usize>,
    classes: Vec<Class>,
    classes_of_topic: Vec<Vec<usize>>,
    owner: Vec<Option<Member>>,
    /// How many partitions of each topic each member has.
    by_topic: Vec<BTreeMap<Topic, u32>>,
    /// The owners of each topic's partitions.
    owners: Vec<BTreeSet<Load>>,
}

impl Loads {
    pub(super) fn new(group: &Interned<'_>, racks: &Racks<'_>) -> Self {
        let mut places: BTreeMap<(&[Topic], Option<Rack>), usize> = BTreeMap::new();
        let mut loads = Loads {
            count: vec![0; group.members.len()],
            class_of: Vec::new(),
            classes: Vec::new(),
            classes_of_topic: vec![Vec::new(); group.topics.len()],
            owner: vec![None; at(group.total())],
            by_topic: vec![BTreeMap::new(); group.members.len()],
            owners: vec![BTreeSet::new(); group.topics.len()],
        };
        for (member, topics) in (0..).zip(&group.topics_of) {
            let rack = racks.of(member);
            let place = *places.entry((topics, rack)).or_insert_with(|| {
                for topic in topics {
                    loads.classes_of_topic[at(*topic)].push(loads.classes.len());
                }
                loads.classes.push(Class {
                    rack,
                    members: BTreeSet::new(),
                });
                loads.classes.len() - 1
            });
            loads.class_of.push(place);
            loads.classes[place].members.insert((0, member));
        }
        loads
    }

    pub(super) fn count(&self, member: Member) -> u32 {
        self.count[at(member)]
    }

    pub(super) fn owner(&self, partition: Partition) -> Option<Member> {
        self.owner[at(partition)]
    }

    pub(super) fn owners(&self) -> &[Option<Member>] {
        &self.owner
    }

    /// The topics of which a member has partitions.
    pub(super) fn topics_of(&self, member: Member) -> impl Iterator<Item = Topic> {
        self.by_topic[at(member)].keys().copied()
    }

    /// The subscriber with the fewest partitions.
    pub(super) fn least(&self, topic: Topic) -> Option<Load> {
        let classes = self.classes_of_topic[at(topic)].iter();
        let firsts = classes.filter_map(|class| self.classes[*class].members.first());
        firsts.min().copied()
    }

    /// The same among those on one of these racks or on none.
    pub(super) fn least_near(&self, topic: Topic, racks: &BTreeSet<Rack>) -> Option<Load> {
        let classes = self.classes_of_topic[at(topic)].iter();
        let classes = classes.map(|class| &self.classes[*class]);
        let near = classes.filter(|class| class.rack.is_none_or(|rack| racks.contains(&rack)));
        near.filter_map(|class| class.members.first())
            .min()
            .copied()
    }

    /// Whether some subscriber of the topic could take a partition from its owner and have no more
    /// than the owner then.
    pub(super) fn could_improve(&self, topic: Topic) -> bool {
        let most = self.owners[at(topic)].last();
        let least = self.least(topic);
        most.zip(least)
            .is_some_and(|(most, least)| most.0 > least.0 + 1)
    }

    /// Gives a partition to a member, taking it from its owner.
    pub(super) fn give(&mut self, topic: Topic, partition: Partition, member: Member) {
        if let Some(old) = self.owner[at(partition)].replace(member) {
            self.change(old, topic, false);
        }
        self.change(member, topic, true);
    }

    fn change(&mut self, member: Member, topic: Topic, more: bool) {
        let had = self.count[at(member)];
        let has = if more { had + 1 } else { had.saturating_sub(1) };
        self.count[at(member)] = has;
        let members = &mut self.classes[self.class_of[at(member)]].members;
        members.remove(&(had, member));
        members.insert((has, member));
        let topics = &mut self.by_topic[at(member)];
        for other in topics.keys() {
            self.owners[at(*other)].remove(&(had, member));
        }
        let own = topics.entry(topic).or_insert(0);
        *own = if more {
            *own + 1
        } else {
            own.saturating_sub(1)
        };
        if *own == 0 {
            topics.remove(&topic);
        }
        for other in topics.keys() {
            self.owners[at(*other)].insert((has, member));
        }
    }
}
