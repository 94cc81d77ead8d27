//! How large network buffers should be for the data in flight to be consumed in a given time.
//!
//! Follows `BufferDebloater` with `BufferSizeEMA`: bytes that are consumed in the target time, over
//! the buffers in use, smoothed, within bounds, and announced only if it differs enough. The real
//! average is a floating-point number; this one is kept to 60 binary places.

use serde::Serialize;

const PLACES: u32 = 60;
const ONE: i128 = 1 << PLACES;

/// The smoothed size of a buffer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BufferSizeAverage {
    min: u32,
    max: u32,
    samples: u32,
    last: i128,
}

impl BufferSizeAverage {
    /// An average over `samples` that begins at `start` and stays within bounds, all in bytes.
    #[must_use]
    pub fn new(start: u32, max: u32, min: u32, samples: u32) -> Self {
        BufferSizeAverage {
            min,
            max,
            samples,
            last: i128::from(start) * ONE,
        }
    }

    /// The size, bytes, if so many bytes should lie in so many buffers now. Growth counts no more
    /// than shrinking could: what is wanted is taken as twice the current size at most.
    pub fn calculate(&mut self, total_bytes: u64, buffers: u32) -> u32 {
        let total = i128::from(total_bytes.min(i64::MAX.unsigned_abs()));
        let wanted = (total * ONE / i128::from(buffers.max(1))).min(2 * self.last);
        let step = (wanted - self.last) * 2 / (i128::from(self.samples) + 1);
        let next = (self.last + step).min(i128::from(self.max) * ONE);
        self.last = next.max(i128::from(self.min) * ONE);
        u32::try_from((self.last + ONE / 2) >> PLACES).unwrap_or(u32::MAX)
    }
}

/// The debloater of one gate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BufferDebloater {
    target_ms: u32,
    min: u32,
    max: u32,
    threshold_percent: u32,
    average: BufferSizeAverage,
    /// What was announced last.
    size: u32,
    estimate_ms: u64,
}

impl BufferDebloater {
    /// A debloater with `taskmanager.network.memory.buffer-debloat.target`, `.samples`,
    /// `.threshold-percentages`, and the bounds of a buffer, bytes.
    #[must_use]
    pub fn new(target_ms: u32, min: u32, max: u32, threshold_percent: u32, samples: u32) -> Self {
        BufferDebloater {
            target_ms,
            min,
            max,
            threshold_percent,
            average: BufferSizeAverage::new(max, max, min, samples),
            size: max,
            estimate_ms: 0,
        }
    }

    /// The size that holds now, bytes.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// In how long what is in flight would be consumed, ms, as of the last calculation.
    #[must_use]
    pub fn estimate_ms(&self) -> u64 {
        self.estimate_ms
    }

    /// With this throughput, bytes/s, and so many buffers in use: the new size to announce, bytes,
    /// if it is to change.
    pub fn recalculate(&mut self, throughput: u64, buffers_in_use: u32) -> Option<u32> {
        let buffers = buffers_in_use.max(1);
        let wanted = u128::from(throughput) * u128::from(self.target_ms) / 1_000;
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        let size = self.average.calculate(wanted, buffers);
        let in_flight = u128::from(size) * u128::from(buffers) * 1_000;
        let estimate = in_flight / u128::from(throughput.max(1));
        self.estimate_ms = u64::try_from(estimate).unwrap_or(u64::MAX);
        if self.is_too_close(size) {
            return None;
        }
        self.size = size;
        Some(size)
    }

    /// Whether a size differs too little from the one that holds (`skipUpdate`). The bounds are
    /// always announced.
    #[must_use]
    pub fn is_too_close(&self, size: u32) -> bool {
        if size == self.size {
            return true;
        }
        if size <= self.min || size >= self.max {
            return false;
        }
        let least = u64::from(self.size) * u64::from(self.threshold_percent) / 100;
        u64::from(size.abs_diff(self.size)) < least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_falls_and_rises_at_the_same_speed() {
        let mut average = BufferSizeAverage::new(32_768, 32_768, 256, 20);
        let fall: Vec<u32> = (0..5).map(|_| average.calculate(0, 1)).collect();
        assert_eq!(fall, [29_647, 26_824, 24_269, 21_958, 19_867]);
        let rise: Vec<u32> = (0..6).map(|_| average.calculate(u64::MAX, 1)).collect();
        assert_eq!(rise, [21_759, 23_831, 26_100, 28_586, 31_309, 32_768]);
    }

    #[test]
    fn a_small_change_is_not_announced_and_a_bound_is() {
        let mut debloater = BufferDebloater::new(1_000, 50, 1_100, 25, 1);
        for (throughput, expected) in [
            (500, Some(500)),
            (600, None),
            (1_000, Some(1_000)),
            (2_000, Some(1_100)),
            (2_000, None),
        ] {
            assert_eq!(
                debloater.recalculate(throughput, 1),
                expected,
                "{throughput}"
            );
        }
        assert_eq!(debloater.size(), 1_100);
        assert_eq!(debloater.estimate_ms(), 550);
    }
}
