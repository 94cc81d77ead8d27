//! Buffer debloating of a subtask: how fast it reads, and how large buffers its senders are to fill.
//!
//! Follows `ThroughputCalculator`, `SingleInputGate.triggerDebloating` and `StreamTask.debloat` of
//! Flink 2.x; the size itself is the rule of [`BufferDebloater`]. Time in which the gate had nothing
//! to read is no part of a throughput; without any the last one holds. A subtask reads one gate
//! here, whatever inputs it has. Left out: buffers smaller than a record, which Flink fills with
//! parts of it.

use crate::stream::config::JobConfig;
use crate::stream::rules::fault::buffer_debloat::BufferDebloater;
use serde::Serialize;

/// A subtask's debloater.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Debloat {
    rule: BufferDebloater,
    period_ms: i64,
    /// When it calculates next; none before the task has started.
    due_ms: Option<i64>,
    /// Bytes read since it last did.
    bytes: u64,
    /// Time in that there was something to read, ms, but what runs since this moment.
    measured_ms: i64,
    since_ms: Option<i64>,
    /// Bytes/s.
    throughput: u64,
    /// A size that the senders are to be told of.
    news: Option<u32>,
}

impl Debloat {
    /// A debloater, if the settings ask for one.
    pub(super) fn of(config: &JobConfig) -> Option<Box<Self>> {
        let target = u32::try_from(config.debloat_target.0).unwrap_or(u32::MAX);
        let (least, most) = (config.min_segment_size.0, config.segment_size.0);
        let percent = config.debloat_threshold;
        config.debloat.then(|| {
            let least = least.min(most);
            let rule = BufferDebloater::new(target, least, most, percent, config.debloat_samples);
            Box::new(Debloat {
                rule,
                period_ms: config.debloat_period.0.max(1),
                due_ms: None,
                bytes: 0,
                measured_ms: 0,
                since_ms: None,
                throughput: 0,
                news: None,
            })
        })
    }

    /// The task starts.
    pub(super) fn start(&mut self, now_ms: i64) {
        self.due_ms = Some(now_ms.saturating_add(self.period_ms));
    }

    /// When it calculates next, ms.
    pub(super) fn due_ms(&self) -> Option<i64> {
        self.due_ms
    }

    /// The gate was asked for what is next: so many bytes, or nothing is there.
    pub(super) fn polled(&mut self, now_ms: i64, bytes: Option<u32>) {
        match bytes {
            Some(bytes) => {
                self.bytes = self.bytes.saturating_add(u64::from(bytes));
                self.since_ms = self.since_ms.or(Some(now_ms));
            }
            None => {
                self.measured_ms = self.measured(now_ms);
                self.since_ms = None;
            }
        }
    }

    fn measured(&self, now_ms: i64) -> i64 {
        let running = self.since_ms.map_or(0, |it| now_ms.saturating_sub(it));
        self.measured_ms.saturating_add(running.max(0))
    }

    /// Calculates, if it is time to; so many buffers are in use.
    pub(super) fn on_timer(&mut self, now_ms: i64, in_use: impl FnOnce() -> usize) {
        if self.due_ms.is_none_or(|due| due > now_ms) {
            return;
        }
        self.due_ms = Some(now_ms.saturating_add(self.period_ms));
        let time = self.measured(now_ms).unsigned_abs();
        self.since_ms = self.since_ms.and(Some(now_ms));
        self.measured_ms = 0;
        let bytes = std::mem::take(&mut self.bytes);
        let measured = bytes.saturating_mul(1_000).checked_div(time);
        self.throughput = measured.unwrap_or(self.throughput);
        let in_use = u32::try_from(in_use()).unwrap_or(u32::MAX);
        self.news = self.rule.recalculate(self.throughput, in_use).or(self.news);
    }

    /// A size that the senders are to be told of, once.
    pub(super) fn take_news(&mut self) -> Option<u32> {
        self.news.take()
    }

    /// `debloatedBufferSize`: the size that holds now, bytes.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.rule.size()
    }

    /// `estimatedTimeToConsumeBuffersMs`.
    #[must_use]
    pub fn estimate_ms(&self) -> u64 {
        self.rule.estimate_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::config::Millis;

    #[test]
    fn time_without_anything_to_read_is_no_part_of_a_throughput() {
        let mut it = Debloat::of(&JobConfig {
            debloat: true,
            debloat_target: Millis(100),
            debloat_samples: 1,
            ..JobConfig::default()
        })
        .expect("a debloater");
        it.start(0);
        assert_eq!(it.due_ms(), Some(200));
        // 10,000 bytes in 50 ms of the 200 are 20,000 in the target time.
        it.polled(0, Some(4_000));
        it.polled(20, Some(6_000));
        it.polled(50, None);
        it.polled(60, None);
        it.on_timer(199, || 1);
        assert_eq!(it.take_news(), None);
        it.on_timer(200, || 1);
        assert_eq!((it.take_news(), it.take_news()), (Some(20_000), None));
        assert_eq!((it.estimate_ms(), it.due_ms()), (100, Some(400)));
        // Nothing read, and nothing to read: the throughput is what it was. Of two buffers in use
        // each is half as large.
        it.on_timer(400, || 2);
        assert_eq!((it.take_news(), it.size()), (Some(10_000), 10_000));
        // There was something all the time, and it was not read.
        it.polled(400, Some(0));
        it.on_timer(600, || 1);
        assert_eq!(it.take_news(), Some(256));
    }
}
