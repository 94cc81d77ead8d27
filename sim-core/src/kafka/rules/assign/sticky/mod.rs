//! `StickyAssignor` and `CooperativeStickyAssignor`: balanced, and otherwise everybody keeps what
//! they own.
//!
//! Follows `AbstractStickyAssignor`: first the claims are settled, then one of two builders runs.
//! [`constrained`] is for members that all subscribe to the same topics, [`general`] for the rest.
//! The cooperative assignor takes out of the result each partition that changes its owner: its old
//! owner must give it up first, and the next rebalance hands it out.
//!
//! Kafka's test for equal subscriptions passes over members without any topic that come first in
//! its map; such a member then gets partitions as if it subscribed. So does it here.
//!
//! Left out: the highest generation that an assignor has seen in earlier calls (Kafka's is an
//! object that keeps it; here each call stands alone).

mod claims;
mod constrained;
mod general;
mod loads;
mod movements;
mod racks;

use super::interned::{Interned, Member, Partition, at};
use super::{Assignment, Subscription, Topics};
use claims::Claims;
use std::collections::BTreeMap;

/// What an assignment with stickiness comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sticky {
    /// Who gets what.
    pub assignment: Assignment,
    /// The partitions that go from one member to another, with their new owners, as the builder for
    /// equal subscriptions notes them (`partitionsTransferringOwnership`); `None` when the general
    /// builder ran, which notes none.
    pub transferring: Option<BTreeMap<(String, i32), String>>,
    /// Whether no two members exchanged partitions of one topic (`isSticky`).
    pub is_sticky: bool,
}

/// What a builder hands back.
struct Built {
    /// By member.
    assignment: Vec<Vec<Partition>>,
    transferring: Option<BTreeMap<Partition, Member>>,
    is_sticky: bool,
}

/// `StickyAssignor`, for members that give up everything before each rebalance (eager).
#[must_use]
pub fn sticky(topics: &Topics, members: &[Subscription]) -> Sticky {
    let group = Interned::new(topics, members);
    let built = build(&group);
    outcome(&group, built)
}

/// `CooperativeStickyAssignor`: the same, without the partitions that change their owner.
#[must_use]
pub fn cooperative_sticky(topics: &Topics, members: &[Subscription]) -> Sticky {
    let group = Interned::new(topics, members);
    let mut built = build(&group);
    let computed;
    let transferring = match &built.transferring {
        Some(noted) => noted,
        None => {
            computed = changing_owner(&group, &built.assignment);
            &computed
        }
    };
    for (member, own) in (0..).zip(&mut built.assignment) {
        own.retain(|partition| transferring.get(partition) != Some(&member));
    }
    outcome(&group, built)
}

fn build(group: &Interned<'_>) -> Built {
    let claims = Claims::settle(group);
    if claims.equal_subscriptions {
        constrained::build(group, &claims)
    } else {
        general::build(group, &claims)
    }
}

fn outcome(group: &Interned<'_>, built: Built) -> Sticky {
    let transferring = built.transferring.map(|all| {
        let all = all.into_iter();
        all.map(|(partition, member)| {
            let topic = group.topics[at(group.topic_of(partition))].to_owned();
            let owner = group.members[at(member)].member_id.clone();
            ((topic, group.index(partition)), owner)
        })
        .collect()
    });
    Sticky {
        assignment: group.named(built.assignment),
        transferring,
        is_sticky: built.is_sticky,
    }
}

/// The partitions that one member gets and another must give up, with their new owners
/// (`computePartitionsTransferringOwnership`).
fn changing_owner(
    group: &Interned<'_>,
    assignment: &[Vec<Partition>],
) -> BTreeMap<Partition, Member> {
    let mut new_owner: Vec<Option<Member>> = vec![None; at(group.total())];
    for (member, own) in (0..).zip(assignment) {
        for partition in own {
            new_owner[at(*partition)] = Some(member);
        }
    }
    let mut added = new_owner.clone();
    let mut given_up = vec![false; added.len()];
    for (member, subscription) in (0..).zip(&group.members) {
        for partition in group.existing(&subscription.owned) {
            if new_owner[at(partition)] == Some(member) {
                added[at(partition)] = None;
            } else {
                given_up[at(partition)] = true;
            }
        }
    }
    let all = (0..).zip(added.into_iter().zip(given_up));
    all.filter_map(|(partition, (owner, given_up))| Some((partition, owner?)).filter(|_| given_up))
        .collect()
}
