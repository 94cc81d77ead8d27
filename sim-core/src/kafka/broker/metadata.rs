//! The broker's own copy of the cluster metadata, read from the quorum at its own pace.
//!
//! Follows the observer side of `KafkaRaftClient` and `MetadataLoader`: the broker fetches the
//! metadata log from the quorum's leader with a long poll, keeps what is not committed apart, and
//! replays only records below the high watermark. Nothing is published before the broker has caught
//! up with the end it saw first. If no leader is known it asks the voters one after the other.

use super::alarm::Alarm;
use super::channel::Ask;
use super::{Broker, BrokerTimer, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::metadata::{MetadataImage, MetadataRecord, Snapshot};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Request, Response};
use crate::kernel::NodeId;
use crate::log::{Batch, EpochEnd};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long the leader may hold a metadata fetch when there is nothing new, ms.
const MAX_WAIT_MS: i64 = 500;
/// Pause after a failed metadata fetch (`controller.quorum.retry.backoff.ms`).
const RETRY_BACKOFF_MS: i64 = 20;

/// What is known of the quorum, and the fetched records that are not committed yet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct MetadataLoader {
    /// Leader of the quorum.
    pub(super) leader: Option<BrokerId>,
    /// Its epoch, or the highest one heard of.
    epoch: i32,
    next_voter: u32,
    fetched: Vec<Batch<MetadataRecord>>,
    high_watermark: i64,
    /// The image reached the high watermark once.
    loaded: bool,
    /// The broker acts on changes of its image.
    published: bool,
    retry: Alarm,
}

impl MetadataLoader {
    pub(super) fn is_loaded(&self) -> bool {
        self.loaded
    }
}

/// What a stretch of metadata changed.
#[derive(Debug, Default)]
pub(super) struct MetadataDelta {
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) configs: bool,
}

impl Broker {
    /// Sends the next metadata fetch, unless one is under way.
    pub(super) fn fetch_metadata(&mut self, cx: &mut KafkaCx<'_>) {
        if self.is_asking(Ask::Metadata) {
            return;
        }
        let voters = &self.book.controllers;
        if voters.is_empty() {
            return;
        }
        let known = self.controller_node();
        let to = known.unwrap_or_else(|| {
            let at = self.metadata.next_voter as usize % voters.len();
            voters[at].1
        });
        if known.is_none() {
            self.metadata.next_voter = self.metadata.next_voter.wrapping_add(1);
        }
        let last = self.metadata.fetched.last();
        let request = Request::FetchMetadata {
            replica: self.id,
            voter: false,
            epoch: self.metadata.epoch,
            fetch_offset: last.map_or(self.image.next_offset, Batch::next_offset),
            last_fetched_epoch: last.map_or(self.image.epoch, |batch| batch.leader_epoch),
            max_wait_ms: MAX_WAIT_MS,
            high_watermark: self.metadata.high_watermark,
        };
        let timeout = span(self.config.quorum_request_timeout_ms);
        self.ask(Ask::Metadata, to, timeout, request, cx);
    }

    pub(super) fn on_metadata_timer(&mut self, cx: &mut KafkaCx<'_>) {
        self.metadata.retry.fired();
        self.fetch_metadata(cx);
    }

    /// A metadata fetch got no answer: whoever was asked is not taken for leader any more.
    pub(super) fn metadata_failed(&mut self, asked: Option<BrokerId>, cx: &mut KafkaCx<'_>) {
        if asked == self.metadata.leader {
            self.metadata.leader = None;
        }
        let at = cx.now().saturating_add(span(RETRY_BACKOFF_MS));
        self.metadata.retry.by(at, BrokerTimer::Metadata, cx);
    }

    pub(super) fn on_metadata(&mut self, from: NodeId, response: Response, cx: &mut KafkaCx<'_>) {
        let Response::FetchMetadata {
            error,
            epoch,
            leader,
            high_watermark,
            diverging,
            batches,
            snapshot,
        } = response
        else {
            return;
        };
        let asked = self.book.controller_at(from);
        if epoch < self.metadata.epoch {
            // A deposed leader that does not know it yet.
            self.metadata_failed(asked, cx);
            return;
        }
        let before = self.metadata.leader;
        let named = (leader >= 0).then_some(leader);
        if epoch > self.metadata.epoch || named.is_some() {
            self.metadata.leader = named;
        }
        self.metadata.epoch = epoch;
        if error == ErrorCode::None && named == asked {
            self.take_metadata(high_watermark, diverging, batches, snapshot, cx);
            self.fetch_metadata(cx);
        } else if self.metadata.leader.is_some() && self.metadata.leader != asked {
            self.fetch_metadata(cx);
        } else {
            let at = cx.now().saturating_add(span(RETRY_BACKOFF_MS));
            self.metadata.retry.by(at, BrokerTimer::Metadata, cx);
        }
        if self.metadata.leader.is_some() && self.metadata.leader != before {
            self.controller_found(cx);
        }
    }

    fn take_metadata(
        &mut self,
        high_watermark: i64,
        diverging: Option<EpochEnd>,
        batches: Vec<Batch<MetadataRecord>>,
        snapshot: Option<Box<Snapshot>>,
        cx: &mut KafkaCx<'_>,
    ) {
        if let Some(end) = diverging {
            self.truncate_metadata(end);
            return;
        }
        let before = self.image.next_offset;
        let mut delta = MetadataDelta::default();
        if let Some(snapshot) = snapshot {
            self.load_snapshot(*snapshot, &mut delta);
        }
        for batch in batches {
            let end = self.metadata_end();
            if batch.base_offset == end {
                self.metadata.fetched.push(batch);
            }
        }
        self.metadata.high_watermark = self.metadata.high_watermark.max(high_watermark);
        self.replay_committed(&mut delta);
        let after = self.image.next_offset;
        if high_watermark >= 0 && after >= self.metadata.high_watermark {
            self.metadata.loaded = true;
        }
        if after != before {
            self.note_rule(Rule::MetadataReplayed, None, None, before, after, cx);
            if self.metadata.published {
                self.apply_delta(&delta, cx);
            }
        }
    }

    fn metadata_end(&self) -> i64 {
        let last = self.metadata.fetched.last();
        last.map_or(self.image.next_offset, Batch::next_offset)
    }

    /// The leader's log parts from what was fetched: drop the uncommitted part of it. If even the
    /// committed part is not in the leader's log, the quorum has lost its log; read it anew.
    fn truncate_metadata(&mut self, end: EpochEnd) {
        let before = self.metadata.fetched.len();
        let agrees = |batch: &Batch<MetadataRecord>| {
            batch.leader_epoch <= end.epoch && batch.next_offset() <= end.end_offset
        };
        let keep = self
            .metadata
            .fetched
            .iter()
            .take_while(|it| agrees(it))
            .count();
        self.metadata.fetched.truncate(keep);
        if before == 0 {
            self.image = Arc::default();
            self.metadata.high_watermark = 0;
        }
    }

    fn load_snapshot(&mut self, snapshot: Snapshot, delta: &mut MetadataDelta) {
        if snapshot.end_offset <= self.image.next_offset {
            return;
        }
        let Snapshot {
            image,
            end_offset,
            epoch,
        } = snapshot;
        delta.partitions.extend(self.image.partitions.keys());
        delta.partitions.extend(image.partitions.keys());
        delta.configs = true;
        self.image = Arc::new(MetadataImage {
            next_offset: end_offset,
            epoch,
            ..image
        });
        self.metadata.fetched.clear();
    }

    fn replay_committed(&mut self, delta: &mut MetadataDelta) {
        let high_watermark = self.metadata.high_watermark;
        let committed = |batch: &Batch<MetadataRecord>| batch.next_offset() <= high_watermark;
        let count = self.metadata.fetched.partition_point(committed);
        if count == 0 {
            return;
        }
        let image = Arc::make_mut(&mut self.image);
        for batch in self.metadata.fetched.drain(..count) {
            for (offset, record) in (batch.base_offset..).zip(batch.records.iter()) {
                match record {
                    MetadataRecord::Partition { tp, .. } => {
                        delta.partitions.insert(*tp);
                    }
                    MetadataRecord::Config { .. } => delta.configs = true,
                    _ => {}
                }
                image.replay(offset, batch.leader_epoch, record);
            }
            // A control batch carries no records but takes its offset.
            image.next_offset = batch.next_offset();
            image.epoch = batch.leader_epoch;
        }
    }

    /// The broker has caught up and begins to act on its image.
    pub(super) fn publish_first_image(&mut self, cx: &mut KafkaCx<'_>) {
        self.metadata.published = true;
        let delta = MetadataDelta {
            partitions: self.image.partitions.keys().copied().collect(),
            configs: true,
        };
        self.apply_delta(&delta, cx);
    }
}
