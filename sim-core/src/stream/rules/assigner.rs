//! Which windows an element belongs to.
//!
//! Follows `TumblingEventTimeWindows`, `SlidingEventTimeWindows`, `EventTimeSessionWindows`,
//! `GlobalWindows`, `WindowStagger`, and for SQL `CumulativeWindowAssigner`. A window is
//! `[start, end)`. The same assigners serve processing time, with the wall clock in place of the
//! element's time.

use serde::{Deserialize, Serialize};

/// `[start, end)`, ms.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Window {
    /// First moment in it.
    pub start: i64,
    /// First moment after it.
    pub end: i64,
}

impl Window {
    /// The one window of all elements.
    pub const GLOBAL: Window = Window {
        start: i64::MIN,
        end: i64::MAX,
    };

    /// The last moment in it: the time of its results. The global window never ends.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        match *self == Window::GLOBAL {
            true => i64::MAX,
            false => self.end.saturating_sub(1),
        }
    }

    /// Whether two windows overlap or touch, as sessions of Flink merge.
    #[must_use]
    pub fn intersects(&self, other: &Window) -> bool {
        self.start <= other.end && self.end >= other.start
    }

    /// The smallest window that covers both.
    #[must_use]
    pub fn cover(&self, other: &Window) -> Window {
        Window {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }
}

/// `WindowStagger`: where a subtask's tumbling windows begin, so that not all fire at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum Stagger {
    /// All alike.
    #[default]
    Aligned,
    /// Where the first element arrives.
    Natural,
    /// At a random place; the draw is the caller's.
    Random,
}

impl Stagger {
    /// The stagger of a subtask whose first element arrives at `now` (processing time, ms); `bits`
    /// is its chance.
    #[must_use]
    pub fn offset(self, now: i64, size: i64, bits: u64) -> i64 {
        match self {
            Stagger::Aligned => 0,
            Stagger::Natural => now.saturating_sub(window_start(now, 0, size)).max(0),
            // Below the size, which is positive.
            Stagger::Random => (bits % size.max(1).unsigned_abs()) as i64,
        }
    }
}

/// An assigner.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Assigner {
    /// Windows of one size, one after the other.
    Tumbling {
        /// ms.
        size: i64,
        /// ms; windows begin at multiples of the size and this.
        offset: i64,
    },
    /// Windows of one size that begin every `slide`.
    Sliding {
        /// ms.
        size: i64,
        /// ms.
        slide: i64,
        /// ms.
        offset: i64,
    },
    /// Windows that grow by steps up to a size, then begin anew.
    Cumulate {
        /// ms.
        size: i64,
        /// ms.
        step: i64,
        /// ms.
        offset: i64,
    },
    /// From each element as long as this; windows that touch become one.
    Session {
        /// ms.
        gap: i64,
    },
    /// One window for all.
    Global,
}

/// `TimeWindow.getWindowStartWithOffset`: the start of the window of this size that holds a moment.
#[must_use]
pub fn window_start(timestamp: i64, offset: i64, size: i64) -> i64 {
    let since = timestamp.wrapping_sub(offset).checked_rem_euclid(size);
    timestamp.saturating_sub(since.unwrap_or(0))
}

/// Most windows that an element may belong to: our bound, Flink has none. A day by seconds has 86,400.
const COPIES_MAX: i64 = 100_000;

impl Assigner {
    /// Whether its settings make sense.
    ///
    /// # Errors
    ///
    /// What Flink refuses them with.
    pub fn validate(&self) -> Result<(), &'static str> {
        match *self {
            Assigner::Tumbling { size, offset } if size <= 0 || offset.saturating_abs() >= size => {
                Err("tumbling windows need abs(offset) < size")
            }
            Assigner::Sliding {
                size,
                slide,
                offset,
            } if size <= 0 || slide <= 0 || offset.saturating_abs() >= slide => {
                Err("sliding windows need abs(offset) < slide and size > 0")
            }
            Assigner::Cumulate { size, step, .. } if size <= 0 || step <= 0 => {
                Err("cumulative windows need a positive size and step")
            }
            Assigner::Cumulate { size, step, .. } if size % step != 0 => {
                Err("the size of cumulative windows must be a multiple of their step")
            }
            Assigner::Sliding { size, slide, .. } if size / slide >= COPIES_MAX => {
                Err("an element would belong to 100000 windows or more")
            }
            Assigner::Cumulate { size, step, .. } if size / step >= COPIES_MAX => {
                Err("an element would belong to 100000 windows or more")
            }
            Assigner::Session { gap } if gap <= 0 => Err("sessions need a gap > 0"),
            _ => Ok(()),
        }
    }

    /// Whether windows merge.
    #[must_use]
    pub fn merges(&self) -> bool {
        matches!(self, Assigner::Session { .. })
    }

    /// The windows of an element, by start and then end. Empty if the settings make no sense.
    #[must_use]
    pub fn assign(&self, timestamp: i64) -> Vec<Window> {
        let mut windows = Vec::new();
        self.assign_into(timestamp, &mut windows);
        windows
    }

    /// As [`Assigner::assign`], put behind what is there.
    pub fn assign_into(&self, timestamp: i64, windows: &mut Vec<Window>) {
        if self.validate().is_err() {
            return;
        }
        let from = |start: i64, size: i64| Window {
            start,
            end: start.saturating_add(size),
        };
        match *self {
            Assigner::Tumbling { size, offset } => {
                windows.push(from(window_start(timestamp, offset, size), size));
            }
            Assigner::Sliding {
                size,
                slide,
                offset,
            } => {
                let already = windows.len();
                let last = window_start(timestamp, offset, slide);
                let earliest = timestamp.saturating_sub(size);
                let starts = std::iter::successors(Some(last), |start| start.checked_sub(slide));
                let starts = starts.take_while(|start| *start > earliest);
                windows.extend(starts.map(|start| from(start, size)));
                windows[already..].reverse();
            }
            Assigner::Cumulate { size, step, offset } => {
                let start = window_start(timestamp, offset, size);
                let lengths = std::iter::successors(Some(step), |it| it.checked_add(step));
                let all = lengths
                    .take_while(|it| *it <= size)
                    .map(|it| from(start, it));
                windows.extend(all.filter(|window| window.end > timestamp));
            }
            Assigner::Session { gap } => windows.push(from(timestamp, gap)),
            Assigner::Global => windows.push(Window::GLOBAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_lie_in_their_windows_and_in_as_many_as_there_should_be() {
        for (assigner, copies) in [
            (
                Assigner::Tumbling {
                    size: 5_000,
                    offset: 0,
                },
                1..=1,
            ),
            (
                Assigner::Tumbling {
                    size: 5_000,
                    offset: -100,
                },
                1..=1,
            ),
            (
                Assigner::Sliding {
                    size: 5_000,
                    slide: 1_000,
                    offset: 300,
                },
                5..=5,
            ),
            (
                Assigner::Sliding {
                    size: 5_000,
                    slide: 3_000,
                    offset: 0,
                },
                1..=2,
            ),
            (
                Assigner::Sliding {
                    size: 1_000,
                    slide: 3_000,
                    offset: 0,
                },
                0..=1,
            ),
            (
                Assigner::Cumulate {
                    size: 5_000,
                    step: 1_000,
                    offset: 0,
                },
                1..=5,
            ),
            (Assigner::Session { gap: 10 }, 1..=1),
            (Assigner::Global, 1..=1),
        ] {
            assert_eq!(assigner.validate(), Ok(()));
            for timestamp in [-12_345, -5_000, -1, 0, 1, 999, 4_999, 5_000, 123_456] {
                let windows = assigner.assign(timestamp);
                assert!(copies.contains(&windows.len()), "{assigner:?} {timestamp}");
                let inside = |w: &Window| w.start <= timestamp && timestamp <= w.max_timestamp();
                assert!(
                    windows.iter().all(inside),
                    "{assigner:?} {timestamp} {windows:?}"
                );
                assert!(windows.is_sorted());
            }
        }
    }

    #[test]
    fn nothing_is_too_extreme() {
        for size in [1, 5_000, i64::MAX] {
            for timestamp in [i64::MIN, i64::MIN + 1, 0, i64::MAX] {
                for offset in [0, i64::MAX - 1] {
                    let _ = Assigner::Tumbling { size, offset }.assign(timestamp);
                }
                let _ = Assigner::Session { gap: size }.assign(timestamp);
            }
        }
    }

    #[test]
    fn settings_without_sense_are_refused() {
        for assigner in [
            Assigner::Tumbling { size: 0, offset: 0 },
            Assigner::Tumbling {
                size: 10,
                offset: 10,
            },
            Assigner::Sliding {
                size: 10,
                slide: 5,
                offset: -5,
            },
            Assigner::Sliding {
                size: -1,
                slide: 5,
                offset: 0,
            },
            Assigner::Cumulate {
                size: 10,
                step: 3,
                offset: 0,
            },
            Assigner::Sliding {
                size: i64::MAX,
                slide: 1,
                offset: 0,
            },
            Assigner::Session { gap: 0 },
        ] {
            assert!(assigner.validate().is_err(), "{assigner:?}");
            assert_eq!(assigner.assign(7), []);
        }
    }

    #[test]
    fn a_natural_stagger_begins_where_the_first_element_arrives() {
        assert_eq!(Stagger::Natural.offset(5_150, 5_000, 0), 150);
        assert_eq!(Stagger::Aligned.offset(5_150, 5_000, 9), 0);
        assert_eq!(Stagger::Random.offset(5_150, 5_000, 12_345), 2_345);
    }
}
