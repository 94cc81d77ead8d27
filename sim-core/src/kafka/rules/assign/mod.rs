//! The assignors of the classic protocol: the group's leader, a client, decides with one of these
//! which member reads which partition.
//!
//! Follows `RangeAssignor`, `RoundRobinAssignor`, `StickyAssignor` and `CooperativeStickyAssignor`
//! of Kafka's clients, with what they share (`AbstractPartitionAssignor`). As `assign` there does,
//! each of them first leaves out the topics that nobody subscribes to or that have no partitions.
//!
//! Ties are broken as Kafka breaks them. Most are settled by sorted ids. Where Kafka walks a
//! `HashMap` (which member of a sticky group may keep one partition more; which of the partitions
//! that moved may move back) this follows the order that a `HashMap` of OpenJDK has, which follows
//! from `String.hashCode` and the order of insertion: see [`hash_order`]. That order is what runs
//! everywhere, but no documentation promises it.
//!
//! They differ from Kafka on purpose where Kafka fails on damaged input: an owned partition that
//! does not exist is forgotten (Kafka hands it out, or throws).
//!
//! Left out: user data and its versions (a member's generation is just a field), and the names of
//! replicas' brokers (only their racks matter here).

pub mod hash_order;
mod interned;
mod range;
mod round_robin;
pub mod sticky;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub use range::range;
pub use round_robin::round_robin;
pub use sticky::{cooperative_sticky, sticky};

/// Partitions by topic. A topic without partitions has no entry in results.
pub type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// What each member gets, by member id. Every member has an entry.
pub type Assignment = BTreeMap<String, Partitions>;

/// The topics there are: for each partition, the racks of its replicas. A replica without a rack
/// adds nothing.
pub type Topics = BTreeMap<String, Vec<BTreeSet<String>>>;

/// Topics without racks, by their numbers of partitions.
#[must_use]
pub fn topics_without_racks<'a>(counts: impl IntoIterator<Item = (&'a str, u32)>) -> Topics {
    let partitions = |count: u32| (0..count).map(|_| BTreeSet::new()).collect();
    let topics = counts.into_iter();
    topics
        .map(|(name, count)| (name.to_owned(), partitions(count)))
        .collect()
}

/// What a member says of itself when it joins (`Subscription`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Subscription {
    /// `member.id`.
    pub member_id: String,
    /// `group.instance.id`, for a static member.
    pub group_instance_id: Option<String>,
    /// `client.rack`; an empty one is none.
    pub rack_id: Option<String>,
    /// The topics it subscribes to.
    pub topics: BTreeSet<String>,
    /// What it owned when it last was in a generation.
    pub owned: Partitions,
    /// That generation; -1 for none.
    pub generation: i32,
}

impl Subscription {
    /// A dynamic member without a rack that owns nothing yet.
    #[must_use]
    pub fn new<'a>(member_id: &str, topics: impl IntoIterator<Item = &'a str>) -> Self {
        Subscription {
            member_id: member_id.to_owned(),
            topics: topics.into_iter().map(str::to_owned).collect(),
            generation: DEFAULT_GENERATION,
            ..Subscription::default()
        }
    }

    /// Its rack, unless that is empty.
    #[must_use]
    pub fn rack(&self) -> Option<&str> {
        self.rack_id.as_deref().filter(|rack| !rack.is_empty())
    }
}

/// The generation of a member that was in none (`DEFAULT_GENERATION`).
pub const DEFAULT_GENERATION: i32 = -1;

/// The order of members by which range and round robin deal (`MemberInfo.compareTo`): static ones
/// first, by their instance id, then dynamic ones by their member id.
#[must_use]
pub fn member_order(a: &Subscription, b: &Subscription) -> Ordering {
    match (&a.group_instance_id, &b.group_instance_id) {
        (Some(a), Some(b)) => a.cmp(b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.member_id.cmp(&b.member_id),
    }
}

/// Whether racks are looked at (`useRackAwareAssignment`): some member is on a rack that has a
/// replica, and not every partition has a replica on every rack.
#[must_use]
pub fn use_rack_aware_assignment<R: Ord>(
    consumer_racks: &BTreeSet<R>,
    racks_per_partition: &[BTreeSet<R>],
) -> bool {
    let all: BTreeSet<&R> = racks_per_partition.iter().flatten().collect();
    if !consumer_racks.iter().any(|rack| all.contains(rack)) {
        return false;
    }
    // Each is a subset of all, so equal size is equality.
    racks_per_partition
        .iter()
        .any(|racks| racks.len() != all.len())
}
