//! The producer's built-in partitioner for records without key: sticky, adaptive, rack-aware.
//!
//! Follows `BuiltInPartitioner` (KIP-480, KIP-794, KIP-1123). One partitioner per topic and
//! producer. Chance comes from the caller as a non-negative number, so that runs stay
//! reproducible; Kafka's own draws are not specified, only their weights are.

/// A partition as the producer's metadata has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PartitionView {
    /// Partition number.
    pub partition: i32,
    /// Whether it has a live leader.
    pub available: bool,
    /// Whether its leader is in the producer's rack; false without `client.rack`.
    pub in_rack: bool,
}

/// The chances of partitions, by the lengths of their queues.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct LoadStats {
    /// Partition numbers.
    partitions: Vec<i32>,
    /// Running sum of the weights, one for each partition.
    cumulative: Vec<u32>,
}

impl LoadStats {
    /// Weights the partitions by `longest queue + 1 - own queue`.
    ///
    /// `queues` holds partition and queue length (in batches) of partitions with a leader whose
    /// broker is not too slow; `tracked` is how many the topic has. `None` means to pick uniformly:
    /// fewer than two partitions, or equal queues and none left out.
    pub fn new(queues: &[(i32, u32)], tracked: usize) -> Option<Self> {
        let longest = queues.iter().map(|(_, queue)| *queue).max()?;
        let equal = queues.iter().all(|(_, queue)| *queue == longest);
        if tracked < 2 || (equal && queues.len() == tracked) {
            return None;
        }
        let mut sum = 0u32;
        let running = queues.iter().map(|(_, queue)| {
            sum = sum.saturating_add(longest + 1 - queue);
            sum
        });
        let cumulative = running.collect();
        Some(Self {
            partitions: queues.iter().map(|(id, _)| *id).collect(),
            cumulative,
        })
    }

    /// The weights, by partition.
    pub fn weights(&self) -> Vec<(i32, u32)> {
        let before = std::iter::once(0).chain(self.cumulative.iter().copied());
        let spans = self
            .cumulative
            .iter()
            .zip(before)
            .map(|(sum, before)| sum - before);
        self.partitions.iter().copied().zip(spans).collect()
    }

    fn pick(&self, random: u32) -> Option<i32> {
        let drawn = random % self.cumulative.last().copied().filter(|sum| *sum > 0)?;
        let at = self.cumulative.partition_point(|sum| *sum <= drawn);
        self.partitions.get(at).copied()
    }
}

/// Whether a broker is too slow to be given records (`partitioner.availability.timeout.ms`): it had
/// something to take at `ready_ms`, and took something last at `drained_ms`. Zero turns it off.
pub fn is_too_slow(ready_ms: i64, drained_ms: i64, availability_timeout_ms: i64) -> bool {
    availability_timeout_ms > 0 && ready_ms - drained_ms > availability_timeout_ms
}

/// The partitioner of one topic.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct BuiltInPartitioner {
    /// `batch.size`: how much goes to a partition before the next is chosen.
    sticky_batch_size: u32,
    /// `partitioner.rack.aware`.
    rack_aware: bool,
    current: Option<Sticky>,
    load: Option<LoadStats>,
    load_in_rack: Option<LoadStats>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
struct Sticky {
    partition: i32,
    produced_bytes: u32,
}

impl BuiltInPartitioner {
    /// A partitioner that has chosen nothing yet.
    pub fn new(sticky_batch_size: u32, rack_aware: bool) -> Self {
        assert!(
            sticky_batch_size >= 1,
            "a partition must get at least one byte before the next"
        );
        Self {
            sticky_batch_size,
            rack_aware,
            current: None,
            load: None,
            load_in_rack: None,
        }
    }

    /// The partition that the next record goes to, and whether it had to be chosen, which used up
    /// `random`.
    pub fn peek(&mut self, partitions: &[PartitionView], random: u32) -> (i32, bool) {
        if let Some(current) = self.current {
            return (current.partition, false);
        }
        let partition = self.next(partitions, random);
        self.current = Some(Sticky {
            partition,
            produced_bytes: 0,
        });
        (partition, true)
    }

    /// Whether appending `bytes` will make [`Self::update`] choose another partition. With
    /// `enable_switch` off (the batch is not complete) twice the sticky size must be reached.
    pub fn will_switch(&self, bytes: u32, enable_switch: bool) -> bool {
        let produced = self.current.map_or(0, |current| current.produced_bytes);
        let produced = produced.saturating_add(bytes);
        (enable_switch && produced >= self.sticky_batch_size)
            || produced >= self.sticky_batch_size.saturating_mul(2)
    }

    /// Notes that `bytes` were appended to the current partition; returns whether another was
    /// chosen, which used up `random`.
    pub fn update(
        &mut self,
        partitions: &[PartitionView],
        bytes: u32,
        enable_switch: bool,
        random: u32,
    ) -> bool {
        let switches = self.will_switch(bytes, enable_switch);
        let Some(current) = &mut self.current else {
            return false;
        };
        current.produced_bytes = current.produced_bytes.saturating_add(bytes);
        if switches {
            let partition = self.next(partitions, random);
            self.current = Some(Sticky {
                partition,
                produced_bytes: 0,
            });
        }
        switches
    }

    /// Sets the chances for the choices to come, over all partitions and over those in the rack;
    /// `None` for a uniform choice.
    pub fn set_load(&mut self, load: Option<LoadStats>, load_in_rack: Option<LoadStats>) {
        (self.load, self.load_in_rack) = (load, load_in_rack);
    }

    /// The chances in force.
    pub fn load(&self) -> Option<&LoadStats> {
        self.load.as_ref()
    }

    fn next(&self, partitions: &[PartitionView], random: u32) -> i32 {
        assert!(!partitions.is_empty(), "a topic has at least one partition");
        let in_rack = |view: &&PartitionView| self.rack_aware && view.available && view.in_rack;
        let near = choose(partitions.iter().filter(in_rack), random);
        let available = || choose(partitions.iter().filter(|view| view.available), random);
        // Without any leader some partition is chosen all the same: one may come back in time.
        let any = || choose(partitions.iter(), random).unwrap_or(0);
        match (near, &self.load_in_rack, &self.load) {
            (Some(_), Some(load), _) => load.pick(random).unwrap_or_else(any),
            (Some(near), None, _) => near,
            (None, _, Some(load)) => load.pick(random).unwrap_or_else(any),
            (None, _, None) => available().unwrap_or_else(any),
        }
    }
}

/// A uniform choice.
fn choose<'a>(among: impl Iterator<Item = &'a PartitionView> + Clone, random: u32) -> Option<i32> {
    let count = u32::try_from(among.clone().count()).unwrap_or(u32::MAX);
    let at = random.checked_rem(count)?;
    // At most the number of partitions, which a machine word can index.
    among
        .into_iter()
        .nth(at as usize)
        .map(|view| view.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(count: i32) -> Vec<PartitionView> {
        let view = |partition| PartitionView {
            partition,
            available: true,
            in_rack: false,
        };
        (0..count).map(view).collect()
    }

    #[test]
    fn a_partition_is_kept_until_it_got_a_batch() {
        let check = |bytes: &[u32], enable_switch, expect: &[bool]| {
            let mut partitioner = BuiltInPartitioner::new(3, false);
            partitioner.peek(&all(3), 0);
            let switched: Vec<_> = bytes
                .iter()
                .map(|bytes| partitioner.update(&all(3), *bytes, enable_switch, 1))
                .collect();
            assert_eq!(switched, expect, "{bytes:?}");
        };
        check(&[1, 1, 1, 1], true, &[false, false, true, false]);
        check(&[5, 1, 2], true, &[true, false, true]);
        check(&[3, 2, 1], false, &[false, false, true]);
    }

    #[test]
    fn equal_queues_need_no_weights() {
        let check = |queues: &[(i32, u32)], tracked, weighted| {
            assert_eq!(
                LoadStats::new(queues, tracked).is_some(),
                weighted,
                "{queues:?}"
            );
        };
        check(&[(0, 2), (1, 2)], 2, false);
        check(&[(0, 2), (1, 2)], 3, true);
        check(&[(0, 2), (1, 3)], 2, true);
        check(&[(0, 2)], 1, false);
        check(&[(0, 2)], 2, true);
        check(&[], 2, false);
    }
}
