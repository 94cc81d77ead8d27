//! Which request for a checkpoint is executed, which waits, which is dropped.
//!
//! Follows `CheckpointRequestDecider`. Requests queue in the order: savepoints, forced ones, those
//! of the user, older ones. With as many checkpoints pending as are allowed, only a forced one goes
//! on. A periodic one that comes sooner after the last completion than the pause allows is dropped
//! and asked for again when the pause is over. Where the real order falls back on object identity,
//! this one takes the number of the request.

use serde::Serialize;

/// `DEFAULT_MAX_QUEUED_REQUESTS`.
pub const MAX_QUEUED: u32 = 1_000;

/// A request for a checkpoint or savepoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Request {
    /// Its number, greater for later ones.
    pub number: u64,
    /// A savepoint.
    pub savepoint: bool,
    /// It heeds neither the pause nor how many are pending.
    pub forced: bool,
    /// The coordinator's timer asks for it, not the user.
    pub periodic: bool,
    /// When it was made, ms.
    pub timestamp_ms: i64,
}

impl Request {
    /// Where it stands in the queue; less is sooner.
    fn rank(&self) -> (bool, bool, bool, i64, u64) {
        let Request {
            number,
            savepoint,
            forced,
            periodic,
            timestamp_ms,
        } = *self;
        (!savepoint, !forced, periodic, timestamp_ms, number)
    }
}

/// How the coordinator stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Situation {
    /// A checkpoint is just being triggered.
    pub triggering: bool,
    /// Checkpoints in progress.
    pub pending: u32,
    /// Checkpoints whose files are being deleted.
    pub cleaning: u32,
    /// When the last one completed, ms.
    pub last_completion_ms: i64,
    /// Now, ms.
    pub now_ms: i64,
}

/// Why a request is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Dropped {
    /// `MINIMUM_TIME_BETWEEN_CHECKPOINTS`.
    MinimumTimeBetweenCheckpoints,
    /// `TOO_MANY_CHECKPOINT_REQUESTS`.
    TooManyCheckpointRequests,
}

impl Dropped {
    /// Flink's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dropped::MinimumTimeBetweenCheckpoints => "MINIMUM_TIME_BETWEEN_CHECKPOINTS",
            Dropped::TooManyCheckpointRequests => "TOO_MANY_CHECKPOINT_REQUESTS",
        }
    }
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Decision {
    /// Start this one.
    pub execute: Option<Request>,
    /// Fail these.
    pub dropped: Vec<(Request, Dropped)>,
    /// Let the timer ask again after so long, ms.
    pub reschedule_in_ms: Option<i64>,
}

/// The decider.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RequestDecider {
    max_concurrent: u32,
    min_pause_ms: i64,
    max_queued: u32,
    /// Soonest first.
    queue: Vec<Request>,
}

impl RequestDecider {
    /// A decider with `execution.checkpointing.max-concurrent-checkpoints` and `.min-pause`.
    #[must_use]
    pub fn new(max_concurrent: u32, min_pause_ms: i64, max_queued: u32) -> Self {
        RequestDecider {
            max_concurrent,
            min_pause_ms,
            max_queued,
            queue: Vec::new(),
        }
    }

    /// The requests that wait, soonest first.
    #[must_use]
    pub fn queued(&self) -> &[Request] {
        &self.queue
    }

    /// A new request comes; it or another may be executed.
    pub fn submit(&mut self, request: Request, situation: Situation) -> Decision {
        let room = usize::try_from(self.max_queued).unwrap_or(usize::MAX);
        let full = self.queue.len() >= room;
        if full && self.queue.last().is_none_or(|it| !it.periodic) {
            // Only the user's own requests wait: they are kept.
            return Decision {
                dropped: vec![(request, Dropped::TooManyCheckpointRequests)],
                ..Decision::default()
            };
        }
        let at = self.queue.partition_point(|it| it.rank() < request.rank());
        self.queue.insert(at, request);
        let last = match self.queue.len() > room {
            true => self.queue.pop(),
            false => None,
        };
        let mut decision = self.choose_queued(situation);
        let last = last.map(|it| (it, Dropped::TooManyCheckpointRequests));
        decision.dropped.extend(last);
        decision
    }

    /// Something changed; one of those that wait may be executed.
    pub fn choose_queued(&mut self, situation: Situation) -> Decision {
        let mut decision = Decision::default();
        let Some(first) = self.queue.first().copied() else {
            return decision;
        };
        if situation.triggering || situation.cleaning > self.max_concurrent {
            return decision;
        }
        if situation.pending >= self.max_concurrent && !first.forced {
            return decision;
        }
        self.queue.remove(0);
        let since = situation
            .last_completion_ms
            .saturating_sub(situation.now_ms);
        let early = since.saturating_add(self.min_pause_ms);
        if !first.forced && first.periodic && early > 0 {
            let why = Dropped::MinimumTimeBetweenCheckpoints;
            decision.dropped.push((first, why));
            decision.reschedule_in_ms = Some(early);
        } else {
            decision.execute = Some(first);
        }
        decision
    }

    /// All that wait are failed.
    pub fn abort_all(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u64, savepoint: bool, forced: bool, periodic: bool) -> Request {
        Request {
            number,
            savepoint,
            forced,
            periodic,
            timestamp_ms: 0,
        }
    }

    #[test]
    fn the_pause_drops_a_periodic_checkpoint_alone() {
        for (savepoint, forced, periodic, runs) in [
            (false, false, true, false),
            (false, false, false, true),
            (true, true, true, true),
            (true, false, false, true),
            (true, false, true, false),
        ] {
            let mut decider = RequestDecider::new(1, 10, MAX_QUEUED);
            let asked = request(1, savepoint, forced, periodic);
            let situation = Situation {
                now_ms: 4,
                ..Situation::default()
            };
            let decision = decider.submit(asked, situation);
            assert_eq!(decision.execute.is_some(), runs, "{asked:?}");
            assert_eq!(decision.reschedule_in_ms, (!runs).then_some(6));
        }
    }

    #[test]
    fn a_full_queue_drops_what_stands_last() {
        let mut decider = RequestDecider::new(1, 0, 2);
        let busy = Situation {
            triggering: true,
            ..Situation::default()
        };
        for (number, periodic, dropped) in [
            (1, true, None),
            (2, true, None),
            (3, false, Some(2)),
            (4, false, Some(1)),
            (5, false, Some(5)),
        ] {
            let decision = decider.submit(request(number, false, false, periodic), busy);
            let got = decision.dropped.first().map(|(it, _)| it.number);
            assert_eq!(got, dropped, "{number}");
        }
        let idle = Situation::default();
        let next =
            |decider: &mut RequestDecider| decider.choose_queued(idle).execute.map(|it| it.number);
        assert_eq!(next(&mut decider), Some(3));
        assert_eq!(next(&mut decider), Some(4));
        assert_eq!(next(&mut decider), None);
    }
}
