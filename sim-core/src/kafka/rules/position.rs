//! Where a consumer reads next in a partition, and whether it may.
//!
//! Follows `SubscriptionState` for a partition that was assigned by hand. A position carries the
//! leader epoch of the record before it. When the leader or its epoch changes, the position is
//! validated against the new leader's epochs (KIP-320) before the consumer reads on: a log that was
//! truncated below it shows, and the position jumps back to where the logs part, or, without a
//! reset policy, the application is told.

use crate::kafka::config::OffsetReset;
use crate::kafka::ids::BrokerId;
use crate::log::EpochEnd;
use serde::Serialize;

/// Who leads a partition, and in which epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct LeaderAndEpoch {
    /// The leader, if the partition has one.
    pub leader: Option<BrokerId>,
    /// Its epoch; -1 before the first answer.
    pub epoch: i32,
}

impl LeaderAndEpoch {
    /// Before the first answer.
    pub const UNKNOWN: Self = LeaderAndEpoch {
        leader: None,
        epoch: -1,
    };
}

/// A position (`FetchPosition`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct FetchPosition {
    /// Offset of the next record.
    pub offset: i64,
    /// Leader epoch of the record before it, if known.
    pub offset_epoch: Option<i32>,
    /// The leader that it holds for.
    pub leader: LeaderAndEpoch,
}

/// What a partition is at (`FetchState`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum FetchState {
    /// It has no position yet.
    Initializing,
    /// It may be fetched.
    Fetching,
    /// Its position is being looked up by this strategy.
    AwaitReset(OffsetReset),
    /// Its position is being compared with the leader's epochs.
    AwaitValidation,
}

/// What a validation found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Validation {
    /// The answer is about a position that is no more.
    Stale,
    /// The position holds.
    Valid,
    /// The log was truncated; the position went back to where the logs part.
    MovedBack,
    /// The log was truncated, and where is unknown; the reset policy takes over.
    NeedsReset,
    /// The log was truncated and there is no reset policy: the application gets this
    /// (`LogTruncationException`), with the point where the logs part if known.
    Truncated(Option<EpochEnd>),
}

/// The state of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct PartitionPosition {
    policy: OffsetReset,
    state: FetchState,
    position: Option<FetchPosition>,
}

impl PartitionPosition {
    /// A partition that was just assigned, under `auto.offset.reset`.
    pub fn new(policy: OffsetReset) -> Self {
        PartitionPosition {
            policy,
            state: FetchState::Initializing,
            position: None,
        }
    }

    /// What it is at.
    pub fn state(&self) -> FetchState {
        self.state
    }

    /// The position, valid or not; none while a reset is under way.
    pub fn position(&self) -> Option<FetchPosition> {
        self.position
            .filter(|_| !matches!(self.state, FetchState::AwaitReset(_)))
    }

    /// The position if it may be fetched from.
    pub fn fetchable(&self) -> Option<FetchPosition> {
        self.position.filter(|_| self.state == FetchState::Fetching)
    }

    /// Asks for a reset by the policy; `false` if there is none (`auto.offset.reset=none`).
    pub fn request_reset(&mut self) -> bool {
        if self.policy == OffsetReset::None {
            return false;
        }
        self.state = FetchState::AwaitReset(self.policy);
        true
    }

    /// Asks for a reset by a strategy of the application's own (`seekToEnd()` and the like).
    pub fn request_reset_to(&mut self, strategy: OffsetReset) {
        self.state = FetchState::AwaitReset(strategy);
    }

    /// The reset found an offset; taken only if it is still wanted. The epoch of the record before
    /// it is unknown, so it needs no validation.
    pub fn reset_to(&mut self, wanted: OffsetReset, offset: i64, leader: LeaderAndEpoch) -> bool {
        if self.state != FetchState::AwaitReset(wanted) {
            return false;
        }
        self.seek(FetchPosition {
            offset,
            offset_epoch: None,
            leader,
        });
        true
    }

    /// Goes to a position that needs no validation.
    pub fn seek(&mut self, position: FetchPosition) {
        self.position = Some(position);
        self.state = FetchState::Fetching;
    }

    /// Compares with the leader as the metadata has it now; returns whether the position must be
    /// validated there.
    pub fn maybe_validate(&mut self, current: LeaderAndEpoch) -> bool {
        if matches!(self.state, FetchState::AwaitReset(_)) || current.leader.is_none() {
            return false;
        }
        if let Some(position) = &mut self.position
            && position.leader != current
        {
            position.leader = current;
            // Without an epoch there is nothing to compare.
            self.state = match position.offset_epoch.is_some() && current.epoch >= 0 {
                true => FetchState::AwaitValidation,
                false => FetchState::Fetching,
            };
        }
        self.state == FetchState::AwaitValidation
    }

    /// The leader told where the epoch of `asked` ends.
    pub fn complete_validation(&mut self, asked: FetchPosition, end: EpochEnd) -> Validation {
        let (FetchState::AwaitValidation, Some(position)) = (self.state, self.position) else {
            return Validation::Stale;
        };
        if position != asked {
            return Validation::Stale;
        }
        if end.is_undefined() {
            return match self.request_reset() {
                true => Validation::NeedsReset,
                false => Validation::Truncated(None),
            };
        }
        if end.end_offset >= position.offset {
            self.state = FetchState::Fetching;
            return Validation::Valid;
        }
        if self.policy == OffsetReset::None {
            return Validation::Truncated(Some(end));
        }
        self.seek(FetchPosition {
            offset: end.end_offset,
            offset_epoch: Some(end.epoch),
            leader: position.leader,
        });
        Validation::MovedBack
    }

    /// The application got everything below `offset`, the last of it from leader epoch `epoch`.
    pub fn advance(&mut self, offset: i64, epoch: i32) {
        if let Some(position) = &mut self.position {
            position.offset = offset;
            position.offset_epoch = (epoch >= 0).then_some(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: LeaderAndEpoch = LeaderAndEpoch {
        leader: Some(1),
        epoch: 5,
    };
    const NEW: LeaderAndEpoch = LeaderAndEpoch {
        leader: Some(2),
        epoch: 6,
    };

    fn at(offset: i64, offset_epoch: Option<i32>) -> FetchPosition {
        FetchPosition {
            offset,
            offset_epoch,
            leader: OLD,
        }
    }

    #[test]
    fn a_new_leader_is_asked_only_if_there_is_something_to_compare() {
        let check = |position: Option<FetchPosition>, current, asks, state| {
            let mut partition = PartitionPosition::new(OffsetReset::Latest);
            if let Some(position) = position {
                partition.seek(position);
            }
            assert_eq!(partition.maybe_validate(current), asks, "{position:?}");
            assert_eq!(partition.state(), state, "{position:?}");
        };
        let nobody = LeaderAndEpoch {
            leader: None,
            epoch: 6,
        };
        check(None, NEW, false, FetchState::Initializing);
        check(Some(at(10, Some(5))), OLD, false, FetchState::Fetching);
        check(Some(at(10, Some(5))), nobody, false, FetchState::Fetching);
        check(Some(at(10, None)), NEW, false, FetchState::Fetching);
        check(
            Some(at(10, Some(5))),
            NEW,
            true,
            FetchState::AwaitValidation,
        );
    }

    #[test]
    fn truncation_shows_in_the_end_of_the_epoch() {
        let check = |policy, end: (i32, i64), found, offset: Option<i64>| {
            let mut partition = PartitionPosition::new(policy);
            partition.seek(at(10, Some(5)));
            assert!(partition.maybe_validate(NEW));
            let asked = partition.position().expect("it has a position");
            let end = EpochEnd {
                epoch: end.0,
                end_offset: end.1,
            };
            assert_eq!(partition.complete_validation(asked, end), found, "{end:?}");
            assert_eq!(partition.position().map(|p| p.offset), offset);
        };
        let end = |epoch, end_offset| Some(EpochEnd { epoch, end_offset });
        check(OffsetReset::Latest, (5, 10), Validation::Valid, Some(10));
        check(OffsetReset::Latest, (5, 12), Validation::Valid, Some(10));
        check(OffsetReset::Latest, (5, 7), Validation::MovedBack, Some(7));
        check(
            OffsetReset::Earliest,
            (4, 3),
            Validation::MovedBack,
            Some(3),
        );
        check(
            OffsetReset::None,
            (5, 7),
            Validation::Truncated(end(5, 7)),
            Some(10),
        );
        check(
            OffsetReset::None,
            (-1, -1),
            Validation::Truncated(None),
            Some(10),
        );
        check(OffsetReset::Latest, (-1, -1), Validation::NeedsReset, None);
    }

    #[test]
    fn answers_about_what_is_no_more_are_ignored() {
        let mut partition = PartitionPosition::new(OffsetReset::Latest);
        partition.seek(at(10, Some(5)));
        partition.maybe_validate(NEW);
        let asked = partition.position().expect("it has a position");
        let end = EpochEnd {
            epoch: 5,
            end_offset: 7,
        };
        partition.seek(at(20, Some(5)));
        assert_eq!(partition.complete_validation(asked, end), Validation::Stale);
        partition.maybe_validate(NEW);
        assert_eq!(partition.complete_validation(asked, end), Validation::Stale);
        assert!(partition.request_reset());
        assert!(!partition.reset_to(OffsetReset::Earliest, 0, NEW));
        assert!(partition.reset_to(OffsetReset::Latest, 30, NEW));
        assert_eq!(partition.fetchable().map(|p| p.offset), Some(30));
    }
}
