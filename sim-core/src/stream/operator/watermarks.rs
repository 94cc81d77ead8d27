//! Watermarks in mid-graph.
//!
//! Follows `TimestampsAndWatermarksOperator` with `WatermarksWithIdleness`: watermarks and statuses
//! from before it are ignored, but for the final watermark; its own are given at ticks
//! (`pipeline.auto-watermark-interval`), or at records by a punctuated generator, and never go back.
//! A stream that was marked idle is active again with the next watermark that is given. Event times
//! are those that records have already.

use super::{Outs, Site};
use crate::stream::element::Record;
use crate::stream::job::Job;
use crate::stream::note::{Note, Rule};
use crate::stream::rules::watermark::{BoundedOutOfOrderness, IdlenessTimer};
use crate::stream::rules::{FINAL_WATERMARK, NO_WATERMARK};
use crate::stream::spec::{WatermarkSpec, WatermarkStrategy};
use serde::Serialize;

/// A subtask of an assigner of watermarks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WatermarkTask {
    site: Site,
    punctuated: bool,
    bounded: Option<BoundedOutOfOrderness>,
    idleness: Option<IdlenessTimer>,
    /// The next tick, ms; none where ticks would do nothing.
    tick: Option<i64>,
    watermark: i64,
    idle: bool,
}

impl WatermarkTask {
    pub(super) fn open(spec: &WatermarkSpec, site: Site, job: &Job, now: i64) -> Self {
        let bounded = match spec.strategy {
            WatermarkStrategy::Bounded(bound) => Some(BoundedOutOfOrderness::new(bound)),
            WatermarkStrategy::None | WatermarkStrategy::Punctuated | WatermarkStrategy::Listed => {
                None
            }
        };
        let interval = job.spec.config.watermark_interval.0;
        let ticks = interval > 0 && (bounded.is_some() || spec.idleness_ms.is_some());
        WatermarkTask {
            site,
            punctuated: spec.strategy == WatermarkStrategy::Punctuated,
            bounded,
            idleness: spec.idleness_ms.map(IdlenessTimer::new),
            tick: ticks.then(|| now.saturating_add(interval)),
            watermark: NO_WATERMARK,
            idle: false,
        }
    }

    pub(super) fn on_record(&mut self, record: Record, outs: &mut Outs) {
        let timestamp = record.timestamp;
        outs.main.push(record);
        if let Some(generator) = &mut self.bounded {
            generator.on_event(timestamp);
        }
        if let Some(idleness) = &mut self.idleness {
            idleness.activity();
        }
        if self.punctuated {
            self.give(timestamp.saturating_sub(1), outs);
        }
    }

    /// Gives a watermark, unless it does not go forward.
    fn give(&mut self, watermark: i64, outs: &mut Outs) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        self.mark(false, outs);
        outs.forward = Some(watermark);
    }

    fn mark(&mut self, idle: bool, outs: &mut Outs) {
        if self.idle == idle {
            return;
        }
        self.idle = idle;
        outs.status = Some(!idle);
        outs.notes.push(Note::Rule {
            rule: Rule::Idle,
            task: None,
            operator: Some(self.site.operator),
            before: i64::from(idle),
            after: i64::from(!idle),
        });
    }

    pub(super) fn on_watermark(&mut self, watermark: i64, outs: &mut Outs) {
        if watermark == FINAL_WATERMARK {
            self.give(watermark, outs);
        }
    }

    pub(super) fn on_processing_time(&mut self, now: i64, job: &Job, outs: &mut Outs) {
        if self.tick.is_none_or(|tick| tick > now) {
            return;
        }
        let interval = job.spec.config.watermark_interval.0.max(1);
        self.tick = Some(now.saturating_add(interval));
        if self.idleness.as_mut().is_some_and(|it| it.check(now)) {
            self.mark(true, outs);
        } else if let Some(watermark) = self.bounded.map(|it| it.watermark()) {
            self.give(watermark, outs);
        }
    }

    pub(super) fn next_timer(&self) -> Option<i64> {
        self.tick
    }

    pub(super) fn watermark(&self) -> i64 {
        self.watermark
    }
}
