//! Buffers that are compressed before they are sent: the thread's time for bytes on the wire.
//!
//! Follows `BufferCompressor` and `BufferDecompressor` of Flink 2.x: the task that writes a buffer
//! compresses it by itself, whoever reads it, and the task that reads it decompresses it. Flink does
//! so for blocking and hybrid exchanges only (`ResultPartitionType.supportCompression`,
//! `taskmanager.network.compression.codec`), whose results lie on a disk in between; pipelined
//! exchanges of streaming jobs are never compressed. All exchanges are pipelined here, so the setting
//! is the simulator's own. Speeds and ratios of the codecs are those of the table in zstd's README
//! (the Silesia corpus on one core). Left out: buffers that do not shrink, which Flink sends as they
//! are.

use super::{Doing, Moment, Sending, Task};
use crate::kernel::Nanos;
use crate::stream::config::Compression;
use crate::stream::job::Job;
use crate::stream::rules::barrier::channel::Item;

/// What a codec makes of 1,000 bytes, and what that costs a thread each way, ns.
struct Codec {
    bytes: u64,
    compress: Nanos,
    decompress: Nanos,
}

fn codec(job: &Job) -> Option<Codec> {
    match job.spec.config.compression {
        Compression::None => None,
        // 2.101 to 1, 700 and 4,000 MB/s.
        Compression::Lz4 => Some(Codec {
            bytes: 476,
            compress: 1_429,
            decompress: 250,
        }),
        // 2.887 to 1, 510 and 1,580 MB/s.
        Compression::Zstd => Some(Codec {
            bytes: 346,
            compress: 1_961,
            decompress: 633,
        }),
    }
}

/// So many of each 1,000.
fn part(bytes: u64, of: u64) -> u64 {
    bytes.saturating_mul(of) / 1_000
}

impl Task {
    /// Compresses what is to be sent.
    pub(super) fn compress(&mut self, job: &Job, at: Moment, sendings: &mut [Sending]) {
        let Some(codec) = codec(job) else {
            return;
        };
        let mut cost = 0;
        for it in sendings {
            if let Item::Buffer { bytes, .. } = &mut it.item {
                let all = u64::from(*bytes);
                cost += part(all, codec.compress);
                *bytes = part(all, codec.bytes).max(1) as u32;
            }
        }
        if cost > 0 {
            self.busy_until = self.busy_until.max(at.now).saturating_add(cost);
            self.turn(Doing::Busy, at.now);
        }
    }

    /// A buffer of so many records is decompressed before it is read.
    pub(super) fn decompress(&mut self, records: usize, job: &Job, at: Moment) {
        if let Some(codec) = codec(job) {
            let bytes = u64::from(job.spec.config.record_bytes).saturating_mul(records as u64);
            let cost = part(bytes, codec.decompress);
            self.busy_until = self.busy_until.max(at.now).saturating_add(cost);
        }
    }
}
