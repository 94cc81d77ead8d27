//! The watermark of a subtask that hears several channels.
//!
//! Follows `StatusWatermarkValve`. The watermark is the least over the *aligned* channels: those
//! that are active and have caught up with what was put out. A channel that goes idle is left out;
//! one that comes back stays out until its watermark has caught up, so the output never runs
//! backwards and a latecomer cannot hold it.

use super::NO_WATERMARK;
use serde::Serialize;

/// What the valve puts out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Out {
    /// A watermark, ms.
    Watermark(i64),
    /// Every channel is idle.
    Idle,
    /// One is active again.
    Active,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
struct Channel {
    watermark: i64,
    active: bool,
    aligned: bool,
}

/// The valve.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WatermarkValve {
    channels: Vec<Channel>,
    last: i64,
    active: bool,
}

impl WatermarkValve {
    /// A valve over this many channels, all active and without a watermark.
    #[must_use]
    pub fn new(channels: usize) -> Self {
        let channel = Channel {
            watermark: NO_WATERMARK,
            active: true,
            aligned: true,
        };
        WatermarkValve {
            channels: vec![channel; channels],
            last: NO_WATERMARK,
            active: true,
        }
    }

    /// A channel's own watermark; `None` if there is no such channel.
    #[must_use]
    pub fn channel_watermark(&self, channel: usize) -> Option<i64> {
        Some(self.channels.get(channel)?.watermark)
    }

    /// A watermark came in; returns what goes out. An idle channel's watermark is ignored.
    pub fn watermark(&mut self, channel: usize, watermark: i64) -> Vec<Out> {
        let Some(it) = self.channels.get_mut(channel) else {
            return Vec::new();
        };
        if !it.active || watermark <= it.watermark {
            return Vec::new();
        }
        it.watermark = watermark;
        it.aligned |= watermark >= self.last;
        self.advance().into_iter().collect()
    }

    /// A channel became active or idle; returns what goes out.
    pub fn status(&mut self, channel: usize, active: bool) -> Vec<Out> {
        let Some(it) = self.channels.get_mut(channel) else {
            return Vec::new();
        };
        if it.active == active {
            return Vec::new();
        }
        it.active = active;
        // Only the channel that the last watermark came from can have held the others.
        let held = it.watermark == self.last;
        it.aligned = active && it.watermark >= self.last;
        let mut out = Vec::new();
        if active {
            if !self.active {
                self.active = true;
                out.push(Out::Active);
            }
        } else if self.channels.iter().any(|it| it.active) {
            out.extend(held.then(|| self.advance()).flatten());
        } else {
            // Nobody is left to wait for: what any channel was sure of is let through.
            let highest = self.channels.iter().map(|it| it.watermark).max();
            out.extend(highest.filter(|_| held).and_then(|it| self.put_out(it)));
            self.active = false;
            out.push(Out::Idle);
        }
        out
    }

    fn advance(&mut self) -> Option<Out> {
        let aligned = self.channels.iter().filter(|it| it.aligned);
        let least = aligned.map(|it| it.watermark).min()?;
        self.put_out(least)
    }

    fn put_out(&mut self, watermark: i64) -> Option<Out> {
        (watermark > self.last).then(|| {
            self.last = watermark;
            Out::Watermark(watermark)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_channel_that_wakes_behind_the_rest_does_not_hold_them() {
        let mut valve = WatermarkValve::new(2);
        assert_eq!(valve.watermark(0, 20_999), []);
        assert_eq!(valve.watermark(1, 1_999), [Out::Watermark(1_999)]);
        assert_eq!(valve.status(1, false), [Out::Watermark(20_999)]);
        assert_eq!(valve.status(1, true), []);
        assert_eq!(valve.watermark(1, 3_999), []);
        assert_eq!(valve.watermark(0, 29_999), [Out::Watermark(29_999)]);
        assert_eq!(valve.watermark(9, 1), [], "there is no such channel");
    }

    proptest! {
        /// Watermarks only grow, and status changes alternate.
        #[test]
        fn what_goes_out_never_runs_backwards(
            steps in proptest::collection::vec((0..3_usize, -50..50_i64, 0..4_u8), 0..200)
        ) {
            let mut valve = WatermarkValve::new(3);
            let (mut last, mut active) = (NO_WATERMARK, true);
            for (channel, watermark, kind) in steps {
                let out = match kind {
                    0 => valve.status(channel, false),
                    1 => valve.status(channel, true),
                    _ => valve.watermark(channel, watermark),
                };
                for it in out {
                    match it {
                        Out::Watermark(watermark) => {
                            prop_assert!(watermark > last && active);
                            last = watermark;
                        }
                        status => {
                            prop_assert_eq!(status == Out::Active, !active);
                            active = !active;
                        }
                    }
                }
            }
        }
    }
}
