//! A producer in a process that reads too: it sends what the application makes of its records.
//!
//! See [`crate::kafka::processor`].

use super::Producer;
use crate::kafka::consumer::Output;
use crate::kafka::node::KafkaCx;

impl Producer {
    /// Its records and requests get numbers from here on.
    pub(in crate::kafka) fn number_from(&mut self, record: u64, correlation: u32) {
        self.ordinal = record;
        self.client.number_from(correlation);
    }

    /// It sends what it is given and has no load of its own.
    #[must_use]
    pub(in crate::kafka) fn forwarding(mut self) -> Self {
        self.load_on = false;
        self
    }

    /// The application gives these to `send()`, one after the other.
    pub(in crate::kafka) fn forward(&mut self, outputs: Vec<Output>, cx: &mut KafkaCx<'_>) {
        self.app.forwards.extend(outputs);
        self.run(cx);
    }

    /// Whether every record that it was given is acknowledged, or has failed.
    pub(in crate::kafka) fn is_flushed(&self) -> bool {
        let app = &self.app;
        app.forwards.is_empty() && app.pending.is_none() && !self.accumulator.has_incomplete()
    }

    /// `flush()`: nothing lingers.
    pub(in crate::kafka) fn flush(&mut self, cx: &mut KafkaCx<'_>) {
        self.accumulator.closed = true;
        self.run(cx);
    }

    /// `flush()` has returned.
    pub(in crate::kafka) fn flushed(&mut self) {
        self.accumulator.closed = false;
    }
}
