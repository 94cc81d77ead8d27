//! A sort of a subtask's whole input.
//!
//! Follows `SortPartitionOperator` of Flink 2.x (`fullWindowPartition().sortPartition(…)`), whose sorter
//! is that of [`external_sort`](super::super::rules::external_sort): it takes everything, and puts
//! everything out in order when its input has ended. Writing and reading what is spilled cost the
//! thread, where Flink has threads of their own that it waits for. It is no state of checkpoints:
//! such jobs take none. Left out: sorting by several fields, what comparing costs, and sorting each key
//! by itself (`KeyedSortPartitionOperator`).

use super::{Outs, Site, number};
use crate::kernel::{Nanos, SECOND};
use crate::stream::element::Record;
use crate::stream::job::Job;
use crate::stream::rules::external_sort::{ExternalSort, SortBy, SortSpec};
use crate::stream::rules::{FINAL_WATERMARK, NO_WATERMARK};
use serde::Serialize;
use std::sync::Arc;

/// A subtask of a sort.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SortTask {
    site: Site,
    spec: SortSpec,
    /// None if there is too little memory, which was reported when the file was read.
    sorter: Option<ExternalSort>,
    /// Everything that came, in memory and on the disk.
    records: Arc<Vec<Record>>,
    record_bytes: u64,
    /// Bytes of the disk in a second.
    speed: u64,
    watermark: i64,
    /// The input has ended and runs are being merged; the rows go out when the thread is done, ms.
    merging: Option<i64>,
}

impl SortTask {
    pub(super) fn open(spec: &SortSpec, site: Site, job: &Job) -> Self {
        let config = &job.spec.config;
        SortTask {
            site,
            spec: *spec,
            sorter: job
                .spec
                .sort_plan(site.operator)
                .ok()
                .map(ExternalSort::new),
            records: Arc::default(),
            record_bytes: u64::from(config.record_bytes),
            speed: config.spill_speed.max(1),
            watermark: NO_WATERMARK,
            merging: None,
        }
    }

    /// What so many bytes of the disk cost the thread, ns.
    fn disk(&self, bytes: u64) -> Nanos {
        let span = u128::from(bytes) * u128::from(SECOND) / u128::from(self.speed);
        Nanos::try_from(span).unwrap_or(Nanos::MAX)
    }

    pub(super) fn on_record(&mut self, record: Record, outs: &mut Outs) {
        Arc::make_mut(&mut self.records).push(record);
        let bytes = self.record_bytes;
        let written = self.sorter.as_mut().map_or(0, |it| it.add(bytes));
        outs.spent = outs.spent.saturating_add(self.disk(written));
    }

    pub(super) fn on_watermark(&mut self, watermark: i64, outs: &mut Outs) {
        if watermark != FINAL_WATERMARK || self.merging.is_some() {
            // Nothing goes out before all is here, and no watermark before it.
            return;
        }
        let moved = self.sorter.as_mut().map_or(0, ExternalSort::finish);
        outs.spent = outs.spent.saturating_add(self.disk(moved));
        self.merging = Some(outs.now_ms);
    }

    pub(super) fn on_processing_time(&mut self, now_ms: i64, outs: &mut Outs) {
        if self.merging.is_none_or(|due| due > now_ms) {
            return;
        }
        self.merging = None;
        self.watermark = FINAL_WATERMARK;
        let mut records = std::mem::take(Arc::make_mut(&mut self.records));
        let by = |it: &Record| match self.spec.by {
            SortBy::Value => number(&it.value),
            SortBy::Time => it.timestamp,
            SortBy::Key => i64::from(it.key.0),
        };
        match self.spec.descending {
            false => records.sort_by_key(by),
            true => records.sort_by_key(|it| std::cmp::Reverse(by(it))),
        }
        outs.main.append(&mut records);
        outs.forward = Some(FINAL_WATERMARK);
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.merging
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }

    /// The sorter.
    #[must_use]
    pub fn sorter(&self) -> Option<&ExternalSort> {
        self.sorter.as_ref()
    }
}
