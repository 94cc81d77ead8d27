//! What views, predicates and checks may see of a controller.

use super::brokers::Session;
use super::{Controller, QuorumStateFile};
use crate::kafka::config::BrokerConfig;
use crate::kafka::ids::BrokerId;
use crate::kafka::metadata::MetadataImage;
use crate::kafka::metadata_log::MetadataReplica;
use crate::kafka::rules::quorum::EpochState;
use crate::kafka::rules::quorum_leader::QuorumLeaderState;
use std::collections::BTreeMap;

impl Controller {
    /// Its `node.id`.
    #[must_use]
    pub fn id(&self) -> BrokerId {
        self.id
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Unclean elections that it made, over all lives of its process.
    #[must_use]
    pub fn unclean_elections(&self) -> u64 {
        self.unclean_elections
    }

    /// It is the active controller: it leads the quorum and has claimed.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// State as a voter.
    #[must_use]
    pub fn quorum_state(&self) -> &EpochState {
        &self.state
    }

    /// Its quorum state's name, e.g. `Leader`, `Follower`, `Prospective`.
    #[must_use]
    pub fn state_name(&self) -> &'static str {
        match self.state {
            EpochState::Unattached { .. } => "Unattached",
            EpochState::Prospective { .. } => "Prospective",
            EpochState::Candidate { .. } => "Candidate",
            EpochState::Leader => "Leader",
            EpochState::Follower { .. } => "Follower",
            EpochState::Resigned => "Resigned",
        }
    }

    /// The `quorum-state` file: epoch, leader, vote.
    #[must_use]
    pub fn quorum_state_file(&self) -> QuorumStateFile {
        self.file
    }

    /// Quorum epoch.
    #[must_use]
    pub fn quorum_epoch(&self) -> i32 {
        self.file.epoch
    }

    /// Leader of the quorum in that epoch, if known here.
    #[must_use]
    pub fn quorum_leader(&self) -> Option<BrokerId> {
        self.file.leader
    }

    /// The committed metadata, as far as this controller has replayed it.
    #[must_use]
    pub fn image(&self) -> &MetadataImage {
        self.meta.image()
    }

    /// The active controller's latest state, committed or not.
    #[must_use]
    pub fn latest_image(&self) -> Option<&MetadataImage> {
        self.active.as_ref().map(|active| &*active.image)
    }

    /// The replica of the metadata log.
    #[must_use]
    pub fn metadata(&self) -> &MetadataReplica {
        &self.meta
    }

    /// Metadata log end offset.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.meta.leo()
    }

    /// Metadata high watermark as known here.
    #[must_use]
    pub fn high_watermark(&self) -> Option<i64> {
        self.meta.high_watermark()
    }

    /// While it leads: what voters and observers have fetched.
    #[must_use]
    pub fn progress(&self) -> Option<&QuorumLeaderState> {
        self.leader.as_deref()
    }

    /// While it is active: the brokers' sessions.
    #[must_use]
    pub fn sessions(&self) -> Option<&BTreeMap<BrokerId, Session>> {
        self.active.as_ref().map(|active| &active.sessions)
    }
}
