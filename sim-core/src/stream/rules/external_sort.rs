//! An external merge sort by bytes: what stays in memory, what is spilled, and how runs are merged.
//!
//! Follows `ExternalSorterBuilder` (pages, write buffers, fan-in), `SorterInputGateway` (when spilling
//! begins) and `SpillingThread` (runs, and merging until few enough are left for the last merge) of
//! Flink 2.x. Which record lies in which run is not modelled: what comes out is sorted whatever the
//! runs were. Left out: entries of the index in a sort buffer, records that are larger than one,
//! combiners, compression of what is spilled, buffers that are filled while another is written.

use crate::settings::Ratio;
use serde::Serialize;

/// `MIN_NUM_WRITE_BUFFERS`, `MAX_NUM_WRITE_BUFFERS`, `MIN_NUM_SORT_MEM_SEGMENTS`.
const PAGES: (u64, u64, u64) = (2, 4, 10);
/// Sort memory beyond this is two buffers.
const TWO_BUFFERS: u64 = 100 << 20;

/// What records are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum SortBy {
    /// Their value.
    Value,
    /// Their event time.
    Time,
    /// The number of their key.
    Key,
}

/// A sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SortSpec {
    /// By what.
    pub by: SortBy,
    /// The greatest first.
    pub descending: bool,
}

/// How a sorter's memory is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct SortPlan {
    /// Bytes of a sort buffer.
    pub buffer: u64,
    /// Bytes after which spilling begins.
    pub threshold: u64,
    /// Runs that are merged at once.
    pub max_fan: u64,
}

impl SortPlan {
    /// The use of so much memory in pages of so many bytes.
    ///
    /// # Errors
    ///
    /// If that is too little, in Flink's words.
    pub fn new(memory: u64, page: u64, max_fan: u32, threshold: Ratio) -> Result<Self, String> {
        let (page, max_fan) = (page.max(1), u64::from(max_fan));
        let pages = memory / page;
        let least = PAGES.0 + PAGES.2;
        if pages < least {
            return Err(format!(
                "Too little memory provided to sorter to perform task. Required are at least {least} \
                 pages. Current page size is {page} bytes."
            ));
        }
        let (writes, max_fan) = match max_fan + PAGES.0 > pages {
            // The fan-in is what memory is left for.
            true => (PAGES.0, pages - PAGES.0),
            false => ((pages / 100).clamp(PAGES.0, PAGES.1), max_fan),
        };
        let sort = pages - writes;
        let buffers = if sort * page > TWO_BUFFERS { 2 } else { 1 };
        let threshold = u128::from(sort * page) * u128::from(threshold.0) / 1_000_000;
        Ok(SortPlan {
            buffer: sort / buffers * page,
            threshold: u64::try_from(threshold).unwrap_or(u64::MAX),
            max_fan: max_fan.max(2),
        })
    }
}

/// What a sorter has spilled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Spilled {
    /// Bytes written to the disk, those of merges too.
    pub bytes: u64,
    /// Runs that sort buffers became.
    pub runs: u64,
    /// Times that what was spilled was read: merges of some runs into fewer, and the last one.
    pub passes: u64,
}

/// A sorter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExternalSort {
    plan: SortPlan,
    /// Bytes in the buffer that is being filled.
    filling: u64,
    /// Full buffers, before spilling has begun.
    cached: Vec<u64>,
    total: u64,
    spilling: bool,
    runs: Vec<u64>,
    spilled: Spilled,
}

impl ExternalSort {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(plan: SortPlan) -> Self {
        ExternalSort {
            plan,
            filling: 0,
            cached: Vec::new(),
            total: 0,
            spilling: false,
            runs: Vec::new(),
            spilled: Spilled::default(),
        }
    }

    /// How its memory is used.
    #[must_use]
    pub fn plan(&self) -> &SortPlan {
        &self.plan
    }

    /// What it has spilled.
    #[must_use]
    pub fn spilled(&self) -> Spilled {
        self.spilled
    }

    /// Bytes that are in memory.
    #[must_use]
    pub fn in_memory(&self) -> u64 {
        self.filling + self.cached.iter().sum::<u64>()
    }

    /// A record comes; how many bytes are written to the disk for it.
    pub fn add(&mut self, bytes: u64) -> u64 {
        let mut written = 0;
        if self.filling + bytes > self.plan.buffer && self.filling > 0 {
            let full = std::mem::take(&mut self.filling);
            match self.spilling {
                true => written += self.spill(full),
                false => self.cached.push(full),
            }
        }
        self.filling += bytes;
        self.total += bytes;
        if !self.spilling && self.total > self.plan.threshold {
            self.spilling = true;
            for full in std::mem::take(&mut self.cached) {
                written += self.spill(full);
            }
        }
        written
    }

    fn spill(&mut self, bytes: u64) -> u64 {
        self.runs.push(bytes);
        self.spilled.runs += 1;
        self.spilled.bytes += bytes;
        bytes
    }

    /// All has come: bytes that are written and read until the last record is out.
    pub fn finish(&mut self) -> u64 {
        if !self.spilling {
            return 0;
        }
        let mut moved = 0;
        let last = std::mem::take(&mut self.filling);
        if last > 0 {
            moved += self.spill(last);
        }
        while self.runs.len() as u64 > self.plan.max_fan {
            moved += self.merge();
        }
        self.spilled.passes += 1;
        moved + self.runs.iter().sum::<u64>()
    }

    /// Merges as many runs as must be for full merges afterwards (`mergeChannelList`); bytes that are
    /// read and written.
    fn merge(&mut self) -> u64 {
        let (start, fan) = (self.runs.len() as u64, self.plan.max_fan);
        // The greatest power of the fan-in below the number of runs.
        let mut end = 1_u64;
        while end.saturating_mul(fan) < start {
            end *= fan;
        }
        let merges = (start - end).div_ceil(fan - 1).max(1);
        let kept = end.saturating_sub(merges);
        let each = (start - kept).div_ceil(merges).max(1);
        let rest = self.runs.split_off(kept as usize);
        let mut read = 0;
        for group in rest.chunks(each as usize) {
            let run = group.iter().sum::<u64>();
            read += run;
            self.runs.push(run);
        }
        self.spilled.bytes += read;
        self.spilled.passes += 1;
        read * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 32_768;
    const THRESHOLD: Ratio = Ratio(800_000);

    fn plan(pages: u64, fan: u32) -> SortPlan {
        SortPlan::new(pages * PAGE, PAGE, fan, THRESHOLD).expect("enough")
    }

    #[test]
    fn memory_is_divided_as_flink_divides_it() {
        let check = |pages, fan, buffer, max_fan| {
            let it = plan(pages, fan);
            assert_eq!(
                (it.buffer / PAGE, it.max_fan),
                (buffer, max_fan),
                "{pages} pages"
            );
        };
        check(12, 128, 10, 10);
        check(129, 128, 127, 127);
        check(130, 128, 128, 128);
        check(350, 128, 347, 128);
        check(1_000, 128, 996, 128);
        // 128 MB: two buffers.
        check(4_096, 128, 2_046, 128);
        let said = SortPlan::new(11 * PAGE, PAGE, 128, THRESHOLD).expect_err("too little");
        assert!(
            said.starts_with("Too little memory provided to sorter"),
            "{said}"
        );
    }

    /// What a sort of so many bytes in records of 100 spills.
    fn sort(plan: SortPlan, bytes: u64) -> (Spilled, u64, u64) {
        let mut it = ExternalSort::new(plan);
        let written: u64 = (0..bytes / 100).map(|_| it.add(100)).sum();
        let moved = it.finish();
        (it.spilled(), written, moved)
    }

    #[test]
    fn nothing_is_spilled_below_the_threshold() {
        let plan = plan(12, 128);
        assert_eq!(plan.threshold, 262_144);
        assert_eq!(sort(plan, 262_100), (Spilled::default(), 0, 0));
        // The buffer is not full, but spilling has begun.
        let (spilled, written, moved) = sort(plan, 262_200);
        let (bytes, runs, passes) = (spilled.bytes, spilled.runs, spilled.passes);
        assert_eq!((bytes, runs, passes), (262_200, 1, 1));
        assert_eq!((written, moved), (0, 524_400));
    }

    #[test]
    fn a_full_buffer_waits_in_memory_until_spilling_begins() {
        let plan = plan(4_096, 128);
        let mut it = ExternalSort::new(plan);
        let mut seen = Vec::new();
        for _ in 0..1_200_000 {
            let written = it.add(100);
            if written > 0 {
                seen.push((it.total, written));
            }
        }
        // 0.8 of both buffers; the second is full after as much again.
        let full = plan.buffer / 100 * 100;
        let begins = plan.threshold / 100 * 100 + 100;
        assert_eq!(seen, [(begins, full)]);
        assert_eq!(it.in_memory(), 120_000_000 - full);
    }

    #[test]
    fn more_runs_than_the_fan_in_are_merged_in_several_passes() {
        let check = |fan: u32, runs: u64, passes, rewritten| {
            let plan = SortPlan {
                buffer: 1_000,
                threshold: 800,
                max_fan: u64::from(fan),
            };
            let (spilled, ..) = sort(plan, runs * 1_000);
            assert_eq!(
                (spilled.runs, spilled.passes),
                (runs, passes),
                "{runs} of {fan}"
            );
            assert_eq!(spilled.bytes, (runs + rewritten) * 1_000, "{runs} of {fan}");
        };
        check(4, 4, 1, 0);
        // Only as many as make room: 2 into 1, which leaves 4.
        check(4, 5, 2, 2);
        check(4, 7, 2, 4);
        check(4, 16, 2, 16);
        // First 2 into 1, so that 16 are left, then all 17 into 4.
        check(4, 17, 3, 19);
        check(2, 8, 3, 16);
    }
}
