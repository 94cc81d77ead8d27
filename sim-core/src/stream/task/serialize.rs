//! What it costs to write a record to a channel and to read it from one, by its serializer.
//!
//! Follows `RecordWriter.emit` and `DeserializationDelegate`: a record is serialized for each channel
//! that it is written to, by the thread of the task that writes, and read by that of the other; what
//! is handed on within a chain is not. How the serializers compare is from "Flink Serialization
//! Tuning Vol. 1" (flink.apache.org, 2020), whose job sends a record of a dozen fields from one task to
//! another: with the fallback to Kryo it does 75 % less than with a POJO, with tuples 42 % more, rows
//! are close to these, and Avro is another 20 % below POJOs. What a POJO takes, 2 µs each way, is the
//! simulator's own round number, and so is that a row takes 7 % more than a tuple. A record is charged
//! where its buffer is sent. Left out: that serializers differ in bytes too, and the cost of state
//! that is kept in bytes.

use super::{Doing, Moment, Sending, Task};
use crate::kernel::Nanos;
use crate::stream::config::Serializer;
use crate::stream::job::Job;
use crate::stream::rules::barrier::channel::Item;

/// What a record costs a thread each way, ns.
fn cost(job: &Job) -> Nanos {
    match job.spec.config.serializer {
        Serializer::None => 0,
        Serializer::Tuple => 1_400,
        Serializer::Row => 1_500,
        Serializer::Pojo => 2_000,
        Serializer::Avro => 2_500,
        Serializer::Generic => 8_000,
    }
}

impl Task {
    /// The records of what is to be sent were written, each once for its channel.
    pub(super) fn serialize(&mut self, job: &Job, at: Moment, sendings: &[Sending]) {
        let each = cost(job);
        if each == 0 {
            return;
        }
        let buffers = sendings.iter().map(|it| match &it.item {
            Item::Buffer { data, .. } => data.len() as u64,
            _ => 0,
        });
        let spent = buffers.sum::<u64>().saturating_mul(each);
        if spent > 0 {
            self.busy_until = self.busy_until.max(at.now).saturating_add(spent);
            self.turn(Doing::Busy, at.now);
        }
    }

    /// What it costs to read a record from a channel, ns.
    pub(super) fn deserialize(&self, job: &Job) -> Nanos {
        match self.is_source() {
            true => 0,
            false => cost(job),
        }
    }
}
