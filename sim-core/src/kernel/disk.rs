//! A disk as the kernel sees it: how long a write keeps its caller waiting.
//!
//! What is *on* the disk (flushed or still in the page cache) belongs to the node's own state; see
//! `log::Log`. The kernel only models time: a write of `n` bytes takes `n / bytes_per_second`, and
//! writes queue behind one another. An unlimited disk (`bytes_per_second == 0`) is the default and
//! costs nothing. Reads that memory does not answer wait in the same queue. Left out: seeks, queue
//! depth.

use super::queue::Nanos;
use serde::Serialize;

/// Write bandwidth and the moment the last accepted write ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Disk {
    /// Bytes written per second; 0 = not limited.
    pub bytes_per_second: u64,
    /// When the disk is idle again, ns.
    pub busy_until: Nanos,
}

impl Disk {
    /// Accepts a write and says when it is done.
    pub fn write(&mut self, now: Nanos, bytes: u64) -> Nanos {
        if self.bytes_per_second == 0 {
            return now;
        }
        let span = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let span = Nanos::try_from(span).unwrap_or(Nanos::MAX / 4);
        self.busy_until = self.busy_until.max(now).saturating_add(span);
        self.busy_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_queue() {
        let mut disk = Disk {
            bytes_per_second: 1_000,
            busy_until: 0,
        };
        assert_eq!(disk.write(0, 500), 500_000_000);
        assert_eq!(disk.write(0, 500), 1_000_000_000);
        assert_eq!(disk.write(5_000_000_000, 1), 5_001_000_000);
        assert_eq!(Disk::default().write(7, u64::MAX), 7);
    }
}
