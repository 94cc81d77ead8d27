//! Who may commit offsets to a group of the consumer protocol (`ConsumerGroup.validateOffsetCommit`).
//!
//! A member with its current epoch commits what it likes. With an older epoch it may still commit a
//! partition that it has held since that epoch or longer: a commit that crossed a new assignment
//! on its way is no zombie's. Left out: the request's version.

use crate::kafka::error::ErrorCode;
use serde::Serialize;

/// The protocol that a member of the group speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum MemberProtocol {
    /// `ConsumerGroupHeartbeat`.
    Consumer,
    /// `JoinGroup` and `SyncGroup`, while the group is being upgraded.
    Classic,
}

impl MemberProtocol {
    /// What a commit of a wrong epoch is answered.
    fn refusal(self) -> ErrorCode {
        match self {
            MemberProtocol::Consumer => ErrorCode::StaleMemberEpoch,
            MemberProtocol::Classic => ErrorCode::IllegalGeneration,
        }
    }
}

/// What is left to ask of each partition of a commit that may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CommitCheck {
    /// Nothing.
    Accept,
    /// Whether the member has held it since this epoch.
    HeldSince(i32, MemberProtocol),
}

impl CommitCheck {
    /// Checks one partition by the epoch at which the member got it, if it holds it.
    ///
    /// # Errors
    ///
    /// `STALE_MEMBER_EPOCH`, or `ILLEGAL_GENERATION` for a member of the classic protocol.
    pub fn partition(self, assignment_epoch: Option<i32>) -> Result<(), ErrorCode> {
        match self {
            CommitCheck::HeldSince(epoch, protocol) => match assignment_epoch {
                Some(assigned) if epoch >= assigned => Ok(()),
                _ => Err(protocol.refusal()),
            },
            CommitCheck::Accept => Ok(()),
        }
    }
}

/// Checks a commit with this epoch by the member that it names: its protocol and epoch, or none if
/// the group does not know it.
///
/// # Errors
///
/// `UNKNOWN_MEMBER_ID`; for an epoch ahead of the member's, `STALE_MEMBER_EPOCH`, or
/// `ILLEGAL_GENERATION` for a member of the classic protocol.
pub fn validate_offset_commit(
    group_is_empty: bool,
    member: Option<(MemberProtocol, i32)>,
    epoch: i32,
) -> Result<CommitCheck, ErrorCode> {
    // An admin client, or a consumer that manages its partitions itself.
    if epoch < 0 && group_is_empty {
        return Ok(CommitCheck::Accept);
    }
    let (protocol, current) = member.ok_or(ErrorCode::UnknownMemberId)?;
    match epoch.cmp(&current) {
        std::cmp::Ordering::Equal => Ok(CommitCheck::Accept),
        std::cmp::Ordering::Greater => Err(protocol.refusal()),
        std::cmp::Ordering::Less => Ok(CommitCheck::HeldSince(epoch, protocol)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorCode::{IllegalGeneration, None as Fine, StaleMemberEpoch, UnknownMemberId};
    use MemberProtocol::{Classic, Consumer};

    #[test]
    fn commits_by_epoch() {
        let check = |empty, member, epoch, held, expected| {
            let got = validate_offset_commit(empty, member, epoch);
            let got = got.and_then(|check| check.partition(held));
            assert_eq!(
                got.err().unwrap_or_default(),
                expected,
                "{member:?} at {epoch}"
            );
        };
        check(true, None, -1, None, Fine);
        check(false, None, -1, None, UnknownMemberId);
        check(true, None, 0, None, UnknownMemberId);
        for (protocol, wrong) in [(Consumer, StaleMemberEpoch), (Classic, IllegalGeneration)] {
            let member = Some((protocol, 10));
            check(false, member, 10, None, Fine);
            check(false, member, 11, Some(7), wrong);
            check(false, member, 7, Some(7), Fine);
            check(false, member, 6, Some(7), wrong);
            check(false, member, 9, None, wrong);
        }
    }
}
