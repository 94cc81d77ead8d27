//! Whether an offset commit counts, and whether a group or its offsets may be deleted.
//!
//! Follows `ClassicGroup.validateOffsetCommit`, `validateOffsetFetch`, `validateOffsetDelete` and
//! `validateDeleteGroup`. A member of the generation may commit while the next rebalance is being
//! prepared, which is what a consumer does before it gives its partitions up; it may not once the
//! next generation has begun and its own assignment in it is unknown.

use super::{ClassicGroup, State, Turn};
use crate::kafka::error::ErrorCode;

impl ClassicGroup {
    /// Whether a commit by this member in this generation counts. `generation` is -1 and the ids
    /// are empty for whoever is no member.
    ///
    /// # Errors
    /// What the committer is told.
    pub fn validate_offset_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation >= 0 || !member_id.is_empty() || instance_id.is_some() {
            self.validate_member(member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if !transactional && self.state != State::Empty {
            return Err(ErrorCode::UnknownMemberId);
        }
        match !transactional && self.state == State::CompletingRebalance {
            true => Err(ErrorCode::RebalanceInProgress),
            false => Ok(()),
        }
    }

    /// A commit that counted keeps the session, unless the generation is only beginning.
    pub fn committed(&mut self, member_id: &str, turn: &Turn<'_>) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.renew_session(member_id, turn);
        }
    }

    /// Whether offsets may be read.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND if it is dead.
    pub fn validate_offset_fetch(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            _ => Ok(()),
        }
    }

    /// Whether the group may be deleted: only an empty one.
    ///
    /// # Errors
    /// What the operator is told.
    pub fn validate_delete(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Empty => Ok(()),
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            _ => Err(ErrorCode::NonEmptyGroup),
        }
    }
}
