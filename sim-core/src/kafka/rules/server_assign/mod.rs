//! The assignors of the group coordinator (KIP-848): the broker decides which member reads which
//! partition.
//!
//! Follows `RangeAssignor` and `UniformAssignor` of Kafka's group coordinator, with the latter's
//! two builders. They work on any kind of topic id, by its order.
//!
//! Kafka walks hash maps of member ids and random topic ids, so where a tie is not settled by a
//! sorted id, its result is any of several right ones. Here members go by their ids, and the
//! homogeneous builder hands out topics from the last to the first.
//!
//! Left out: racks (the rack aware uniform assignor is not in a release), and the assignor of share
//! groups. Damaged input differs from Kafka's: partitions that do not exist, and a second claim of
//! one partition, are forgotten.

mod balancer;
mod heterogeneous;
mod homogeneous;
mod range;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use heterogeneous::uniform_heterogeneous;
pub use homogeneous::uniform_homogeneous;
pub use range::range;

/// Partitions by topic. A topic without partitions has no entry in results.
pub type Partitions<T> = BTreeMap<T, BTreeSet<i32>>;

/// What each member gets, by member id (`GroupAssignment`). The uniform assignor says nothing at
/// all where nobody subscribes to anything.
pub type GroupAssignment<T> = BTreeMap<String, Partitions<T>>;

/// The topics that exist, with their numbers of partitions (`SubscribedTopicDescriber`).
pub type TopicCounts<T> = BTreeMap<T, u32>;

/// The members by id (`GroupSpec`).
pub type Members<T> = BTreeMap<String, MemberSpec<T>>;

/// A member as an assignor sees it (`MemberSubscription` and `MemberAssignment`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MemberSpec<T: Ord> {
    /// `group.instance.id`, for a static member.
    pub instance_id: Option<String>,
    /// The topics it subscribes to.
    pub topics: BTreeSet<T>,
    /// What it has in the target assignment until now.
    pub previous: Partitions<T>,
}

impl<T: Ord> Default for MemberSpec<T> {
    fn default() -> Self {
        MemberSpec {
            instance_id: None,
            topics: BTreeSet::new(),
            previous: BTreeMap::new(),
        }
    }
}

/// Why there is no assignment (`PartitionAssignorException`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum PartitionAssignorException {
    /// A member subscribes to a topic that does not exist.
    UnknownTopic,
}

impl PartitionAssignorException {
    /// Its name in Kafka.
    #[must_use]
    pub fn name(self) -> &'static str {
        "PartitionAssignorException"
    }
}

impl std::fmt::Display for PartitionAssignorException {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member is subscribed to a topic that does not exist")
    }
}

impl std::error::Error for PartitionAssignorException {}

/// The server-side assignors by their names in `group.consumer.assignors`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ServerAssignor {
    /// `uniform`, the default.
    Uniform,
    /// `range`.
    Range,
}

impl ServerAssignor {
    /// The name by which a consumer asks for it (`group.remote.assignor`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ServerAssignor::Uniform => "uniform",
            ServerAssignor::Range => "range",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    ///
    /// [`PartitionAssignorException`] when a member subscribes to a topic that does not exist.
    pub fn assign<T: Ord + Clone>(
        self,
        topics: &TopicCounts<T>,
        members: &Members<T>,
    ) -> Result<GroupAssignment<T>, PartitionAssignorException> {
        match self {
            ServerAssignor::Uniform => uniform(topics, members),
            ServerAssignor::Range => range(topics, members),
        }
    }
}

/// Whether all members subscribe to the same topics (`SubscriptionType`).
#[must_use]
pub fn is_homogeneous<T: Ord>(members: &Members<T>) -> bool {
    let mut all = members.values().map(|member| &member.topics);
    let first = all.next();
    all.all(|topics| Some(topics) == first)
}

/// `UniformAssignor`: balanced over all topics, and otherwise everybody keeps what they have.
///
/// # Errors
///
/// [`PartitionAssignorException`] when a member subscribes to a topic that does not exist.
pub fn uniform<T: Ord + Clone>(
    topics: &TopicCounts<T>,
    members: &Members<T>,
) -> Result<GroupAssignment<T>, PartitionAssignorException> {
    if is_homogeneous(members) {
        uniform_homogeneous(topics, members)
    } else {
        uniform_heterogeneous(topics, members)
    }
}

/// How many partitions a topic has.
fn count<T: Ord>(topics: &TopicCounts<T>, topic: &T) -> Result<u32, PartitionAssignorException> {
    let count = topics.get(topic).copied();
    count.ok_or(PartitionAssignorException::UnknownTopic)
}
