//! The broker's own copy of the cluster metadata, read from the quorum at its own pace.
//!
//! Follows the observer side of `KafkaRaftClient` and `MetadataLoader`: the broker fetches the
//! metadata log from the quorum's leader with a long poll and acts only on what is committed.
//! Nothing is published before the broker has caught up with the end it saw first. If no leader is
//! known it asks the voters one after the other.

use super::alarm::Alarm;
use super::channel::Ask;
use super::{Broker, BrokerTimer, span};
use crate::few;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicPartition};
use crate::kafka::metadata::{MetadataImage, MetadataRecord};
use crate::kafka::metadata_log::Fetched;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Request, Response};
use crate::kernel::NodeId;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long the leader may hold a metadata fetch when there is nothing new, ms.
const MAX_WAIT_MS: i64 = 500;
/// Pause after a failed metadata fetch (`controller.quorum.retry.backoff.ms`).
const RETRY_BACKOFF_MS: i64 = 20;

/// What is known of the quorum.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct MetadataLoader {
    /// Leader of the quorum.
    pub(super) leader: Option<BrokerId>,
    /// Its epoch, or the highest one heard of.
    epoch: i32,
    next_voter: u32,
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

impl MetadataDelta {
    /// Everything that may differ.
    fn between(before: &MetadataImage, after: &MetadataImage) -> Self {
        let known = before.partitions.keys();
        MetadataDelta {
            partitions: few::gather(known.chain(after.partitions.keys()).copied()),
            configs: true,
        }
    }
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
        let last_fetched_epoch = self.meta.last_epoch();
        let request = Request::FetchMetadata {
            replica: self.id,
            voter: false,
            epoch: self.metadata.epoch.max(last_fetched_epoch),
            fetch_offset: self.meta.leo(),
            last_fetched_epoch,
            max_wait_ms: MAX_WAIT_MS,
            high_watermark: self.meta.high_watermark().unwrap_or(-1),
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
        let before = (self.metadata.epoch, self.metadata.leader);
        let named = (leader >= 0).then_some(leader);
        if epoch > self.metadata.epoch || named.is_some() {
            self.metadata.leader = named;
        }
        self.metadata.epoch = epoch;
        let news = (self.metadata.epoch, self.metadata.leader) != before;
        if error == ErrorCode::None && named == asked {
            let fetched = Fetched {
                high_watermark,
                diverging,
                batches: &batches,
                snapshot: snapshot.as_deref(),
            };
            self.take_metadata(&fetched, cx);
            self.fetch_metadata(cx);
        } else if self.metadata.leader.is_some() && news {
            self.fetch_metadata(cx);
        } else {
            let at = cx.now().saturating_add(span(RETRY_BACKOFF_MS));
            self.metadata.retry.by(at, BrokerTimer::Metadata, cx);
        }
        if self.metadata.leader.is_some() && news {
            self.controller_found(cx);
        }
    }

    fn take_metadata(&mut self, fetched: &Fetched<'_>, cx: &mut KafkaCx<'_>) {
        let known = Arc::clone(self.meta.image());
        let done = self.meta.on_fetched(fetched);
        let image = self.meta.image();
        if self
            .meta
            .high_watermark()
            .is_some_and(|it| image.next_offset >= it)
        {
            self.metadata.loaded |= fetched.high_watermark >= 0;
        }
        if !done.image_changed() {
            return;
        }
        let (before, after) = (known.next_offset, image.next_offset);
        let delta = if done.reloaded {
            MetadataDelta::between(&known, image)
        } else {
            self.replayed(done.applied)
        };
        // Not before the delta is taken: the log then starts above it.
        self.meta.maybe_snapshot(self.config.snapshot_bytes);
        self.note_rule(Rule::MetadataReplayed, None, None, before, after, cx);
        if self.metadata.published {
            self.apply_delta(&delta, cx);
        }
    }

    /// What the records in this range of offsets change.
    fn replayed(&self, (from, to): (i64, i64)) -> MetadataDelta {
        let mut delta = MetadataDelta::default();
        let batches = self.meta.log().batches_from(from);
        for batch in batches.take_while(|it| it.next_offset() <= to) {
            for record in batch.records.iter() {
                match record {
                    MetadataRecord::Partition { tp, .. } => {
                        delta.partitions.insert(*tp);
                    }
                    MetadataRecord::Config { .. } => delta.configs = true,
                    _ => {}
                }
            }
        }
        delta
    }

    /// The broker has caught up and begins to act on its image.
    pub(super) fn publish_first_image(&mut self, cx: &mut KafkaCx<'_>) {
        self.metadata.published = true;
        let delta = MetadataDelta::between(&MetadataImage::default(), self.meta.image());
        self.apply_delta(&delta, cx);
    }
}
