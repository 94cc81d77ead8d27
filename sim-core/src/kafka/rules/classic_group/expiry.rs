//! When the committed offsets of a group may be forgotten.
//!
//! Follows `ClassicGroup.offsetExpirationCondition` and `isSubscribedToTopic` (KIP-211): as long as
//! a group has members, what they subscribe to is kept; once it is empty the clock runs from that
//! moment for all its offsets, however old they are. Whoever commits without ever being a member
//! has no such moment: there the clock runs from each commit.

use super::{Bytes, ClassicGroup, State};

/// From when `offsets.retention.minutes` counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum RetentionClock {
    /// From the moment in which the group became empty.
    Empty,
    /// From the commit of the offset.
    Commit,
}

/// The type of a consumer's groups; those of Connect have another one.
const CONSUMER: &str = "consumer";

impl ClassicGroup {
    /// From when the retention of an offset counts; `None` while it is kept for the members.
    /// `subscribes` says whether a member's subscription names the topic of the offset.
    pub fn retention_clock(&self, subscribes: impl Fn(&Bytes) -> bool) -> Option<RetentionClock> {
        let Some(protocol_type) = &self.protocol_type else {
            return Some(RetentionClock::Commit);
        };
        match self.state {
            State::Empty => Some(RetentionClock::Empty),
            State::Stable if &**protocol_type == CONSUMER => {
                let protocol = self.protocol.as_deref().unwrap_or_default();
                let mut own = self.members.values().map(|it| it.metadata(protocol));
                // A subscription that cannot be read may name the topic.
                let kept = own.any(|it| it.is_none_or(&subscribes));
                (!kept).then_some(RetentionClock::Commit)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GroupRecord, MemberRecord};
    use super::*;
    use std::sync::Arc;

    fn group(protocol_type: Option<&str>, subscriptions: &[&[u8]]) -> ClassicGroup {
        let member = |subscription: &&[u8]| MemberRecord {
            member_id: Arc::from(format!("{subscription:?}")),
            instance_id: None,
            client_id: Arc::from("c"),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            subscription: Arc::from(*subscription),
            assignment: Arc::from([]),
        };
        let record = GroupRecord {
            protocol_type: protocol_type.map(Arc::from),
            generation: 1,
            protocol: Some(Arc::from("range")),
            leader: None,
            members: subscriptions.iter().map(member).collect(),
        };
        ClassicGroup::load(&record, 0)
    }

    #[test]
    fn the_clock_starts_when_the_group_is_empty() {
        let check = |protocol_type, subscriptions: &[&[u8]], expect| {
            let group = group(protocol_type, subscriptions);
            let found = group.retention_clock(|it| it.contains(&7));
            assert_eq!(found, expect, "{protocol_type:?} {subscriptions:?}");
        };
        check(None, &[], Some(RetentionClock::Commit));
        check(Some("consumer"), &[], Some(RetentionClock::Empty));
        check(Some("connect"), &[], Some(RetentionClock::Empty));
        check(Some("consumer"), &[&[7]], None);
        check(Some("consumer"), &[&[6], &[7]], None);
        check(Some("consumer"), &[&[6]], Some(RetentionClock::Commit));
        check(Some("connect"), &[&[6]], None);
    }
}
