//! How a follower finds the part of its log that its leader does not have, and drops it.
//!
//! Follows `AbstractFetcherThread` for the rule of today, and the releases before 0.11, KIP-101
//! and KIP-279 for the historic ones, so that a lesson can switch the rule back and watch the loss.
//! The rules decide offsets only; the follower truncates its own log.

use crate::log::{EpochEnd, LeaderEpochCache, LogRecord, NO_EPOCH};

/// Which protocol a follower uses to truncate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize)]
pub enum TruncationRule {
    /// Before 0.11: a new follower cuts its log back to its own high watermark.
    HighWatermark,
    /// KIP-101 (0.11): it asks the leader where its last epoch ends. The answer is an offset only.
    Kip101,
    /// KIP-279 (2.0): the answer also names the epoch, so that the follower can step back epoch by
    /// epoch. It is not fenced.
    Kip279,
    /// KIP-320 and KIP-595 (2.7 on): every fetch names the epoch of the last record; the leader
    /// answers a diverging epoch in place of data, and both sides are fenced to one epoch.
    #[default]
    Epoch,
}

/// What a follower does first in a new leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum FollowerStart {
    /// Cut the log to this offset, then fetch.
    Truncate {
        /// The new log end.
        offset: i64,
    },
    /// Ask the leader with OffsetsForLeaderEpoch where this epoch ends, before any fetch.
    AskLeader {
        /// The epoch of the follower's last record.
        epoch: i32,
    },
    /// Fetch at once; the leader will notice divergence.
    Fetch,
}

/// Where a follower cuts its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Truncation {
    /// The new log end.
    pub offset: i64,
    /// Whether the logs now agree. If not, the follower does not know the epoch that the leader
    /// named and must ask (or fetch) again from its shorter log.
    pub completed: bool,
}

/// What the rules need to know of a follower's log.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct FollowerLog<'a> {
    /// Its leader epochs.
    pub epochs: &'a LeaderEpochCache,
    /// Its log end offset.
    pub log_end_offset: i64,
    /// Its high watermark.
    pub high_watermark: i64,
}

impl<'a> FollowerLog<'a> {
    /// The view of a log.
    pub fn of<R: LogRecord>(log: &'a crate::log::Log<R>) -> Self {
        Self {
            epochs: log.epochs(),
            log_end_offset: log.leo(),
            high_watermark: log.high_watermark(),
        }
    }
}

impl TruncationRule {
    /// What a follower does when it starts to follow in a new leader epoch.
    pub fn on_become_follower(self, log: &FollowerLog<'_>) -> FollowerStart {
        let offset = log.high_watermark.min(log.log_end_offset);
        let to_high_watermark = FollowerStart::Truncate { offset };
        match (self, log.epochs.latest_epoch()) {
            (Self::HighWatermark, _) | (_, None) => to_high_watermark,
            (Self::Kip101 | Self::Kip279, Some(epoch)) => FollowerStart::AskLeader { epoch },
            (Self::Epoch, Some(_)) => FollowerStart::Fetch,
        }
    }

    /// Whether a fetch names the epoch of the follower's last record, for the leader to check.
    pub fn checks_divergence_on_fetch(self) -> bool {
        self == Self::Epoch
    }

    /// Whether the rule belongs to a protocol in which replicas on different epochs refuse each
    /// other; [`ReplicationRules::fence_fetch_epoch`](super::replication::ReplicationRules) can
    /// still switch that off.
    pub fn fences_epochs(self) -> bool {
        self == Self::Epoch
    }

    /// The leader's answer to "where does `epoch` end?".
    pub fn leader_answer(
        self,
        epochs: &LeaderEpochCache,
        epoch: i32,
        log_end_offset: i64,
    ) -> EpochEnd {
        let end = epochs.end_offset_for(epoch, log_end_offset);
        if self == Self::Kip101 {
            // KIP-101 answered an offset without the epoch it belongs to, and nothing for an epoch
            // older than all it knew.
            let known = epochs.earliest().is_some_and(|first| first.epoch <= epoch);
            let end_offset = if known {
                end.end_offset
            } else {
                EpochEnd::UNDEFINED.end_offset
            };
            return EpochEnd {
                epoch: NO_EPOCH,
                end_offset,
            };
        }
        end
    }

    /// Where the follower truncates, given the leader's answer (or diverging epoch).
    pub fn truncation_offset(self, answer: EpochEnd, log: &FollowerLog<'_>) -> Truncation {
        self.truncation_with(answer, log.log_end_offset, log.high_watermark, |epoch| {
            log.epochs.end_offset_for(epoch, log.log_end_offset)
        })
    }

    /// The same for a follower whose own epoch ends `own_end` gives.
    pub fn truncation_with(
        self,
        answer: EpochEnd,
        log_end_offset: i64,
        high_watermark: i64,
        own_end: impl FnOnce(i32) -> EpochEnd,
    ) -> Truncation {
        let cut = |offset: i64, completed| Truncation {
            offset: offset.min(log_end_offset),
            completed,
        };
        if self == Self::HighWatermark || answer.end_offset < 0 {
            return cut(high_watermark, true);
        }
        if answer.epoch == NO_EPOCH {
            return cut(answer.end_offset, true);
        }
        let own = own_end(answer.epoch);
        if own.is_undefined() {
            cut(answer.end_offset, true)
        } else if own.epoch == answer.epoch {
            cut(own.end_offset.min(answer.end_offset), true)
        } else {
            // The follower does not know that epoch: cut to the end of its next smaller one.
            cut(own.end_offset, false)
        }
    }
}

/// What a follower does when its leader answers OFFSET_OUT_OF_RANGE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub enum OutOfRangeAction {
    /// The leader's log is shorter, which only an unclean election can cause: cut to its end.
    TruncateTo {
        /// The leader's log end offset.
        offset: i64,
    },
    /// The leader has dropped what comes next: drop everything and restart at its log start.
    RestartAt {
        /// The leader's log start offset.
        offset: i64,
    },
    /// The leader moved on meanwhile: fetch again from the log end.
    Resume,
}

/// Decides by the leader's log start and end, asked for after the error.
pub fn on_out_of_range(
    log_end_offset: i64,
    leader_start_offset: i64,
    leader_end_offset: i64,
) -> OutOfRangeAction {
    if leader_end_offset < log_end_offset {
        OutOfRangeAction::TruncateTo {
            offset: leader_end_offset,
        }
    } else if leader_start_offset > log_end_offset {
        OutOfRangeAction::RestartAt {
            offset: leader_start_offset,
        }
    } else {
        OutOfRangeAction::Resume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(entries: &[(i32, i64)]) -> LeaderEpochCache {
        let mut cache = LeaderEpochCache::new();
        for &(epoch, start_offset) in entries {
            cache.assign(epoch, start_offset);
        }
        cache
    }

    #[test]
    fn where_a_follower_cuts() {
        let check = |rule: TruncationRule, answer: (i32, i64), offset, completed| {
            let epochs = cache(&[(1, 0), (3, 10), (4, 20)]);
            let log = FollowerLog {
                epochs: &epochs,
                log_end_offset: 30,
                high_watermark: 5,
            };
            let answer = EpochEnd {
                epoch: answer.0,
                end_offset: answer.1,
            };
            let expect = Truncation { offset, completed };
            assert_eq!(
                rule.truncation_offset(answer, &log),
                expect,
                "{rule:?} {answer:?}"
            );
        };
        use TruncationRule::{Epoch, HighWatermark, Kip101};
        check(HighWatermark, (4, 25), 5, true);
        check(Kip101, (-1, 25), 25, true);
        check(Kip101, (-1, -1), 5, true);
        check(Epoch, (4, 25), 25, true);
        check(Epoch, (4, 99), 30, true);
        check(Epoch, (3, 25), 20, true);
        check(Epoch, (2, 25), 10, false);
        check(Epoch, (5, 25), 25, true);
        check(Epoch, (-1, -1), 5, true);
    }

    #[test]
    fn what_a_follower_does_first() {
        let check = |rule: TruncationRule, entries: &[(i32, i64)], expect| {
            let epochs = cache(entries);
            let log = FollowerLog {
                epochs: &epochs,
                log_end_offset: 30,
                high_watermark: 5,
            };
            assert_eq!(
                rule.on_become_follower(&log),
                expect,
                "{rule:?} {entries:?}"
            );
        };
        let cut = FollowerStart::Truncate { offset: 5 };
        check(TruncationRule::HighWatermark, &[(1, 0)], cut);
        check(
            TruncationRule::Kip101,
            &[(1, 0)],
            FollowerStart::AskLeader { epoch: 1 },
        );
        check(TruncationRule::Kip101, &[], cut);
        check(TruncationRule::Epoch, &[(1, 0)], FollowerStart::Fetch);
        check(TruncationRule::Epoch, &[], cut);
    }

    #[test]
    fn kip101_names_no_epoch() {
        let epochs = cache(&[(2, 0), (4, 10)]);
        let answer = |epoch| {
            TruncationRule::Kip101
                .leader_answer(&epochs, epoch, 15)
                .end_offset
        };
        assert_eq!([1, 2, 3, 4, 5].map(answer), [-1, 10, 10, 15, -1]);
        let named = TruncationRule::Kip279.leader_answer(&epochs, 3, 15);
        assert_eq!(
            named,
            EpochEnd {
                epoch: 2,
                end_offset: 10
            }
        );
    }
}
