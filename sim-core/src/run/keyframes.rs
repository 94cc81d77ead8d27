//! Keyframes: clones of a run from which any of its moments is reached by running on.
//!
//! A clone costs nodes and tails, not history (see `shared`, `log`). Frames are taken every
//! [`SPACING`] events, those of a heavy run further apart. Once they weigh more than
//! [`WEIGHT_MAX`], each new one costs an old one its place: the one whose neighbours are nearest to
//! each other. So the memory that frames may take is used, not half of it, and the frames stay about
//! evenly spread, however long the run.
//!
//! A job handles many records in one event, so frames are also taken by its records. Its keyed state
//! is shared between frames, but for what is written between two of them; of a million keys that is
//! much all the same, and has a limit of its own, [`UNSHARED_MAX`]. Above it that frame goes which
//! is missed least for the bytes that it gives back: those that neither neighbour shares.

use super::run::Run;
use crate::kernel::Nanos;

/// Events between frames at first.
const SPACING: u64 = 4_096;

/// Bytes of a frame for each event that is run before the next one. To copy and drop so many takes
/// less than a tenth of the time of an event, so that frames are a small part of the work of a heavy
/// run as well: who watches one feels them.
const BYTES_OF_EVENT: u64 = 64;

/// Most events between frames on account of their weight.
const SPACING_HEAVY: u64 = 4 * SPACING;

/// Most bytes that the frames take by their own estimate, which `tests/memory.rs` holds against
/// what they really take.
const WEIGHT_MAX: usize = 40 << 20;

/// Most bytes of keyed state that frames do not share with the ones before them, by estimate.
const UNSHARED_MAX: usize = 256 << 20;

/// Records between frames, where a job's operators handle many in one event.
const RECORDS: u64 = 32_768;

/// Records that a job's operators handle for the work of an event.
const RECORDS_OF_EVENT: u64 = 16;

/// Events between two looks at how many records were handled.
const LOOK: u64 = 16;

/// What can be kept as a frame.
pub(super) trait Weigh: Clone {
    /// About how many bytes a clone takes, besides what it shares.
    fn weight(&self) -> usize;
    /// About how many bytes of keyed state it takes, besides what it shares with an earlier one.
    fn unshared(&self, before: &Self) -> usize;
    /// Records that were handled up to here.
    fn handled(&self) -> u64;
}

impl Weigh for Run {
    fn weight(&self) -> usize {
        Run::weight(self)
    }

    fn unshared(&self, before: &Self) -> usize {
        Run::unshared(self, before)
    }

    fn handled(&self) -> u64 {
        Run::handled(self)
    }
}

/// A clone of a run after `event` executed events.
#[derive(Clone, Debug)]
struct Frame<R> {
    event: u64,
    time: Nanos,
    handled: u64,
    /// Work up to here, in events.
    work: u64,
    weight: usize,
    /// Bytes of keyed state that the frame before has not.
    unshared: usize,
    /// Bytes of keyed state of the next frame that the one before this has not, once they were asked
    /// for.
    without: Option<usize>,
    run: R,
}

/// The frames of one branch, in order.
#[derive(Clone, Debug)]
pub(super) struct Keyframes<R> {
    frames: Vec<Frame<R>>,
    spacing: u64,
    weight: usize,
    unshared: usize,
}

impl<R> Frame<R> {
    /// Records that were handled since this frame. Tasks that start again count anew.
    fn records_since(&self, handled: u64) -> u64 {
        handled.checked_sub(self.handled).unwrap_or(handled)
    }
}

impl<R: Weigh> Keyframes<R> {
    /// With the beginning as first frame.
    pub(super) fn new(beginning: R) -> Self {
        Keyframes {
            frames: vec![Frame {
                event: 0,
                time: 0,
                handled: 0,
                work: 0,
                weight: 0, // it is there whatever the limit
                unshared: 0,
                without: None,
                run: beginning,
            }],
            spacing: SPACING,
            weight: 0,
            unshared: 0,
        }
    }

    /// Whether a frame is due after this many events; `handled` says how many records were.
    pub(super) fn due(&self, event: u64, handled: impl FnOnce() -> u64) -> bool {
        let Some(last) = self.frames.last() else {
            return true;
        };
        let looks = event > last.event && event.is_multiple_of(LOOK);
        let heavy = (last.weight as u64 / BYTES_OF_EVENT).min(SPACING_HEAVY);
        event >= last.event + self.spacing.max(heavy)
            || looks && last.records_since(handled()) >= RECORDS
    }

    /// Adds a frame; it must lie behind the last one.
    pub(super) fn add(&mut self, event: u64, time: Nanos, run: R) {
        debug_assert!(self.frames.last().is_none_or(|last| last.event < event));
        let (weight, handled) = (run.weight(), run.handled());
        let last = self.frames.last();
        let work = last.map_or(0, |last| {
            let records = last.records_since(handled) / RECORDS_OF_EVENT;
            last.work + (event - last.event) + records
        });
        let unshared = last.map_or(0, |last| run.unshared(&last.run));
        self.weight += weight;
        self.unshared += unshared;
        self.frames.push(Frame {
            event,
            time,
            handled,
            work,
            weight,
            unshared,
            without: None,
            run,
        });
        while self.frames.len() > 2 {
            if self.weight > WEIGHT_MAX {
                self.thin();
            } else if self.unshared > UNSHARED_MAX {
                self.lighten();
            } else {
                break;
            }
        }
    }

    /// Work between the neighbours of a frame.
    fn gap(&self, i: usize) -> u64 {
        self.frames[i + 1].work - self.frames[i - 1].work
    }

    /// Drops the frame that is missed least, never the first or the last. New frames then come as
    /// far apart as the old ones are: nearer, and each would only be dropped again.
    fn thin(&mut self) {
        let least = (1..self.frames.len() - 1).min_by_key(|i| self.gap(*i));
        self.drop(least);
        let last = self.frames.last().map_or(0, |frame| frame.work);
        let gaps = (self.frames.len() - 1).max(1) as u64;
        self.spacing = self.spacing.max(last / gaps);
    }

    /// Drops the frame that is missed least for the keyed state that goes with it, never the first
    /// or the last.
    fn lighten(&mut self) {
        let mut least: Option<(u128, usize)> = None;
        for i in 1..self.frames.len() - 1 {
            let [before, this, next] = &self.frames[i - 1..=i + 1] else {
                continue;
            };
            let without = this.without;
            let without = without.unwrap_or_else(|| next.run.unshared(&before.run));
            let freed = (this.unshared + next.unshared).saturating_sub(without);
            let price = u128::from(self.gap(i)) * (1 << 30) / freed.max(1) as u128;
            self.frames[i].without = Some(without);
            least = Some(least.map_or((price, i), |it| it.min((price, i))));
        }
        self.drop(least.map(|it| it.1));
    }

    fn drop(&mut self, number: Option<usize>) {
        let Some(number) = number else {
            return;
        };
        let gone = self.frames.remove(number);
        let near = number.saturating_sub(1)..=number;
        if self.unshared > 0
            && let Some([before, next]) = self.frames.get_mut(near)
        {
            let without = gone.without;
            next.unshared = without.unwrap_or_else(|| next.run.unshared(&before.run));
            (before.without, next.without) = (None, None);
        }
        self.reweigh();
    }

    fn reweigh(&mut self) {
        self.weight = self.frames.iter().map(|frame| frame.weight).sum();
        self.unshared = self.frames.iter().map(|frame| frame.unshared).sum();
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
        if let Some(last) = self.frames.last_mut() {
            last.without = None;
        }
        self.reweigh();
    }

    /// Bytes that the frames take, by estimate.
    pub(super) fn weight(&self) -> usize {
        self.weight + self.unshared
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

        fn unshared(&self, _: &Self) -> usize {
            0
        }

        fn handled(&self) -> u64 {
            0
        }
    }

    /// Stands for a job that finds a million records waiting in a few events, then writes a piece
    /// with each event: after which event it is.
    #[derive(Clone, Debug)]
    struct Keyed(u64);

    /// Events of the job's first records, each of so many.
    const FIRST: u64 = 1_000;
    /// Bytes that all pieces take, and one.
    const WHOLE: u64 = 64 << 20;
    const PIECE: u64 = 2 << 10;

    impl Weigh for Keyed {
        fn weight(&self) -> usize {
            1
        }

        fn unshared(&self, before: &Self) -> usize {
            let many = |it: &Keyed| it.0.min(FIRST) * 1_000 + it.0.saturating_sub(FIRST);
            (many(self) - many(before)).min(WHOLE / PIECE) as usize * PIECE as usize
        }

        fn handled(&self) -> u64 {
            self.0.min(FIRST) * 1_000 + self.0.saturating_sub(FIRST)
        }
    }

    #[test]
    fn frames_of_much_state_go_where_they_free_the_most() {
        let mut frames = Keyframes::new(Keyed(0));
        let mut most = 0;
        for event in 1..40_000_u64 {
            if frames.due(event, || Keyed(event).handled()) {
                frames.add(event, event, Keyed(event));
                most = most.max(frames.len());
                assert!(frames.weight() <= UNSHARED_MAX + frames.len());
            }
        }
        let late = frames.frames.iter().filter(|it| it.event > FIRST + 100);
        assert_eq!(late.count(), 9, "each where little is written");
        let (near_the_end, _) = frames.before_event(FIRST + 100);
        assert!(near_the_end >= FIRST - 48, "{near_the_end}");
        assert!(most < 16, "{most}");
    }

    #[test]
    fn heavy_frames_come_further_apart() {
        for (heavy, apart) in [(1 << 10, 4_096), (512 << 10, 8_192), (2 << 20, 16_384)] {
            let mut frames = Keyframes::new(Stone(0, heavy));
            for event in 1..100_000_u64 {
                if frames.due(event, || 0) {
                    frames.add(event, event, Stone(event, heavy));
                }
            }
            // The beginning is there anyway, and weighs nothing.
            let at: Vec<u64> = frames.frames.iter().skip(1).map(|it| it.event).collect();
            assert!(at.len() > 3 && at.windows(2).all(|it| it[1] - it[0] == apart));
        }
    }

    #[test]
    fn frames_stay_light_and_near() {
        for heavy in [1 << 10, 1 << 20, 3 << 20, 100 << 20] {
            let mut frames = Keyframes::new(Stone(0, heavy));
            for event in 1..2_000_000_u64 {
                if frames.due(event, || 0) {
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
