//! Keyframes: clones of a run from which any of its moments is reached by running on.
//!
//! A clone costs nodes and tails, not history (see `shared`, `log`). Frames are taken every
//! [`SPACING`] events. Once they weigh more than [`WEIGHT_MAX`], each new one costs an old one its
//! place: the one whose neighbours are nearest to each other. So the memory that frames may take is
//! used, not half of it, and the frames stay about evenly spread, however long the run.

use super::run::Run;
use crate::kernel::Nanos;

/// Events between frames at first.
const SPACING: u64 = 4_096;

/// Most bytes that the frames take by their own estimate, which `tests/memory.rs` holds against
/// what they really take.
const WEIGHT_MAX: usize = 40 << 20;

/// What can be kept as a frame.
pub(super) trait Weigh: Clone {
    /// About how many bytes a clone takes, besides what it shares.
    fn weight(&self) -> usize;
}

impl Weigh for Run {
    fn weight(&self) -> usize {
        Run::weight(self)
    }
}

/// A clone of a run after `event` executed events.
#[derive(Clone, Debug)]
struct Frame<R> {
    event: u64,
    time: Nanos,
    weight: usize,
    run: R,
}

/// The frames of one branch, in order.
#[derive(Clone, Debug)]
pub(super) struct Keyframes<R> {
    frames: Vec<Frame<R>>,
    spacing: u64,
    weight: usize,
}

impl<R: Weigh> Keyframes<R> {
    /// With the beginning as first frame.
    pub(super) fn new(beginning: R) -> Self {
        Keyframes {
            frames: vec![Frame {
                event: 0,
                time: 0,
                weight: 0, // it is there whatever the limit
                run: beginning,
            }],
            spacing: SPACING,
            weight: 0,
        }
    }

    /// Whether a frame is due after this many events.
    pub(super) fn due(&self, event: u64) -> bool {
        self.frames
            .last()
            .is_none_or(|last| event >= last.event + self.spacing)
    }

    /// Adds a frame; it must lie behind the last one.
    pub(super) fn add(&mut self, event: u64, time: Nanos, run: R) {
        debug_assert!(self.frames.last().is_none_or(|last| last.event < event));
        let weight = run.weight();
        self.weight += weight;
        self.frames.push(Frame {
            event,
            time,
            weight,
            run,
        });
        while self.weight > WEIGHT_MAX && self.frames.len() > 2 {
            self.thin();
        }
    }

    /// Drops the frame that is missed least, never the first or the last. New frames then come as
    /// far apart as the old ones are: nearer, and each would only be dropped again.
    fn thin(&mut self) {
        let gap = |i: usize| self.frames[i + 1].event - self.frames[i - 1].event;
        let least = (1..self.frames.len() - 1).min_by_key(|i| gap(*i));
        if let Some(least) = least {
            self.weight -= self.frames.remove(least).weight;
        }
        let last = self.frames.last().map_or(0, |frame| frame.event);
        let gaps = (self.frames.len() - 1).max(1) as u64;
        self.spacing = self.spacing.max(last / gaps);
    }

    fn reweigh(&mut self) {
        self.weight = self.frames.iter().map(|frame| frame.weight).sum();
    }

    /// The last frame at or before both an event count and a time strictly after which nothing
    /// wanted has happened.
    pub(super) fn before_event(&self, event: u64) -> (u64, &R) {
        let i = self
            .frames
            .partition_point(|frame| frame.event <= event)
            .saturating_sub(1);
        (self.frames[i].event, &self.frames[i].run)
    }

    /// The last frame whose last event is not after `time`.
    pub(super) fn before_time(&self, time: Nanos) -> (u64, &R) {
        let i = self
            .frames
            .partition_point(|frame| frame.time <= time)
            .saturating_sub(1);
        (self.frames[i].event, &self.frames[i].run)
    }

    /// Drops frames after `event` executed events.
    pub(super) fn truncate(&mut self, event: u64) {
        let keep = self
            .frames
            .partition_point(|frame| frame.event <= event)
            .max(1);
        self.frames.truncate(keep);
        self.reweigh();
    }

    /// Bytes that the frames take, by estimate.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Number of frames.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for a run: what event it is after, and how heavy it is.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Stone(u64, usize);

    impl Weigh for Stone {
        fn weight(&self) -> usize {
            self.1
        }
    }

    #[test]
    fn frames_stay_light_and_near() {
        for heavy in [1 << 10, 1 << 20, 3 << 20, 100 << 20] {
            let mut frames = Keyframes::new(Stone(0, heavy));
            for event in 1..2_000_000_u64 {
                if frames.due(event) {
                    frames.add(event, event * 10, Stone(event, heavy));
                }
            }
            assert!(
                frames.weight() <= WEIGHT_MAX.max(heavy),
                "{} of {heavy}",
                frames.weight()
            );
            for wanted in [0, 1, 4_095, 4_096, 777_777, 1_999_999] {
                let (event, run) = frames.before_event(wanted);
                assert!(
                    event <= wanted && wanted - event <= 2 * frames.spacing,
                    "{wanted}: {event}"
                );
                assert_eq!(event, run.0);
                assert_eq!(frames.before_time(wanted * 10).0, event);
            }
            let fit = (WEIGHT_MAX / heavy).min(2_000_000 / 4_096);
            assert!(frames.len() > fit * 3 / 4, "{} of {fit}", frames.len());
            frames.truncate(777_777);
            assert!(frames.before_event(u64::MAX).0 <= 777_777);
            let left: usize = frames.frames.iter().skip(1).map(|f| f.run.weight()).sum();
            assert_eq!(frames.weight(), left);
        }
    }
}
