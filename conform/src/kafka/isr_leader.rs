//! A partition's leader that is driven by steps in words.

use super::errors;
use crate::case::{Checked, unknown};
use crate::values::{bounded, ids, ints, list, narrow, nth, number_after, offset_or, offsets};
use serde_json::Value;
use sim_core::kafka::error::ErrorCode;
use sim_core::kafka::rules::isr::{
    AlterOutcome, IsrCommit, IsrProposal, LeaderConfig, MetadataOutcome, PartitionLeaderState,
    PartitionMetadata,
};
use sim_core::kafka::rules::replica::{BrokerStatus, FollowerFetch};
use std::collections::BTreeMap;

const BROKER_EPOCH: i64 = 10;

/// What the controller says of a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Unfenced,
    Fenced,
    ShuttingDown,
}

impl State {
    /// "follower fenced", "broker 1 is shutting down", "in controlled shutdown", "unfenced".
    pub(super) fn read(words: &str) -> Checked<Self> {
        let says = |word: &str| words.split([' ', ',']).any(|it| it == word);
        match () {
            () if says("unfenced") || says("live") || says("alive") => Ok(Self::Unfenced),
            () if says("fenced") => Ok(Self::Fenced),
            () if words.contains("shutting down") || words.contains("controlled shutdown") => {
                Ok(Self::ShuttingDown)
            }
            () => Err(unknown("state", words)),
        }
    }
}

/// A leader and all around it.
pub(super) struct Leader {
    pub(super) state: PartitionLeaderState,
    pub(super) metadata: PartitionMetadata,
    brokers: BTreeMap<i32, BrokerStatus>,
    lag_ms: i64,
    leo: i64,
    start_ms: i64,
    pub(super) now_ms: i64,
    /// All AlterPartition requests so far.
    pub(super) proposals: Vec<IsrProposal>,
    pub(super) expands: u64,
    pub(super) shrinks: Vec<IsrProposal>,
    /// What came of the last answer, and of the last that was an error.
    pub(super) last_outcome: Option<AlterOutcome>,
    pub(super) last_failure: Option<AlterOutcome>,
    /// The error of the last fetch.
    pub(super) refused: Option<ErrorCode>,
}

impl Leader {
    pub(super) fn new(input: &Value) -> Checked<Self> {
        let named_times = list(&input["steps"])?
            .iter()
            .any(|step| step.as_str().is_some_and(|it| it.contains("t=")));
        // Cases name absolute times or none; without them the clock runs since long.
        let start_ms = if named_times { 0 } else { 1_000_000 };
        let isr = ints(&input["isr"])?;
        let replicas = match &input["replicas"] {
            Value::Null => isr.clone(),
            other => ints(other)?,
        };
        let number = |key: &str, default| offset_or(&input[key], default);
        let metadata = PartitionMetadata {
            replicas,
            isr,
            leader_epoch: narrow(number("leader_epoch", 1)?)?,
            partition_epoch: narrow(number("partition_epoch", 1)?)?,
        };
        let config = LeaderConfig {
            min_insync_replicas: narrow(number("min_insync_replicas", 1)?)?,
            lag_max_ms: number(
                "replica_lag_time_max_ms",
                LeaderConfig::default().lag_max_ms,
            )?,
            ..LeaderConfig::default()
        };
        let lag_ms = config.lag_max_ms;
        let (leo, hw) = (number("leo", 0)?, number("hw", 0)?);
        let start = number("epoch_start_offset", leo)?;
        let live = BrokerStatus {
            epoch: BROKER_EPOCH,
            fenced: false,
            in_controlled_shutdown: false,
        };
        let mut leader = Self {
            brokers: metadata.replicas.iter().map(|id| (*id, live)).collect(),
            state: PartitionLeaderState::new(
                0,
                BROKER_EPOCH,
                config,
                &metadata,
                start,
                hw,
                start_ms,
            ),
            metadata,
            lag_ms,
            leo,
            start_ms,
            now_ms: start_ms,
            proposals: Vec::new(),
            expands: 0,
            shrinks: Vec::new(),
            last_outcome: None,
            last_failure: None,
            refused: None,
        };
        if start != leo {
            leader.grow(leo);
        }
        Ok(leader)
    }

    fn grow(&mut self, leo: i64) {
        let brokers = &self.brokers;
        self.leo = leo;
        self.state
            .maybe_increment_hw(leo, self.now_ms, &|id| brokers.get(&id).copied());
    }

    /// The controller's view of a broker changes.
    pub(super) fn set_broker(&mut self, id: i32, state: State) {
        if let Some(status) = self.brokers.get_mut(&id) {
            status.fenced = state == State::Fenced;
            status.in_controlled_shutdown = state == State::ShuttingDown;
        }
    }

    /// The controller commits this ISR, in the next partition epoch.
    pub(super) fn commit_isr(&mut self, isr: Vec<i32>) {
        self.metadata.isr = isr;
        self.metadata.partition_epoch = self.metadata.partition_epoch.saturating_add(1);
        self.apply_metadata();
    }

    pub(super) fn apply_metadata(&mut self) -> MetadataOutcome {
        let brokers = &self.brokers;
        let status = |id: i32| brokers.get(&id).copied();
        self.state
            .apply_metadata(&self.metadata, self.leo, self.now_ms, &status)
    }

    /// The time a step names, else the time it is.
    fn set_time(&mut self, step: &str) -> Checked {
        let lag_ms = self.lag_ms;
        let step = &step.replace(" + ", "+");
        if let Some(time) = number_after(step, "t=")? {
            self.now_ms = time;
        } else if let Some((_, rest)) = step.split_once("t0+lag") {
            let more = offsets(rest.trim_start_matches(['+', ' ']))?;
            self.now_ms = self.start_ms + lag_ms + more.first().copied().unwrap_or(0);
        } else if let Some(time) = number_after(step, "t0+")? {
            self.now_ms = self.start_ms + time;
        } else if step.contains("after lag") {
            self.now_ms = bounded(self.now_ms + lag_ms + 1)?;
        }
        Ok(())
    }

    /// One step; see the arms for the words that are known.
    pub(super) fn run(&mut self, step: &str) -> Checked {
        self.set_time(step)?;
        self.refused = None;
        let begins = |words: &[&str]| words.iter().any(|it| step.starts_with(it));
        let error = errors::in_text(step);
        match () {
            () if step.contains("fetch(") => self.fetch(step),
            () if step.contains("shrink check") => {
                let proposal = self.state.maybe_shrink(self.leo, self.now_ms);
                self.proposals.extend(proposal.clone());
                self.shrinks.extend(proposal);
                Ok(())
            }
            () if error.is_some() => self.answer(error, false),
            () if step.contains("accept") => self.answer(None, false),
            () if step.contains("old AlterPartition response") => self.answer(None, true),
            () if begins(&["append"]) => {
                let leo = match number_after(step, "LEO ")? {
                    Some(leo) => leo,
                    None => self.leo + nth(&offsets(step)?, 0)?,
                };
                self.grow(bounded(leo)?);
                Ok(())
            }
            () if begins(&["follower", "broker"]) => {
                let id = ids(step)?.first().copied().unwrap_or(1);
                self.set_broker(id, State::read(step)?);
                Ok(())
            }
            () if step.contains('{') || begins(&["new metadata", "metadata"]) => {
                self.new_metadata(step)
            }
            () if begins(&["no more fetches", "become leader"]) => Ok(()),
            () => Err(unknown("step", step)),
        }
    }

    /// "fetch(1,10) at t0", "fetch(1,10) with broker epoch 9".
    fn fetch(&mut self, step: &str) -> Checked {
        let (_, arguments) = step.split_once("fetch(").unwrap_or_default();
        let arguments = offsets(arguments.split(')').next().unwrap_or_default())?;
        let fetch = FollowerFetch {
            replica: narrow(nth(&arguments, 0)?)?,
            offset: nth(&arguments, 1)?,
            log_start_offset: 0,
            broker_epoch: number_after(step, "broker epoch ")?.unwrap_or(BROKER_EPOCH),
            leader_epoch: Some(self.metadata.leader_epoch),
            now_ms: self.now_ms,
        };
        let brokers = &self.brokers;
        let status = |id: i32| brokers.get(&id).copied();
        match self.state.update_follower_fetch(&fetch, self.leo, &status) {
            Ok(outcome) => {
                self.expands += u64::from(outcome.expand.is_some());
                self.proposals.extend(outcome.expand);
            }
            Err(error) => self.refused = Some(error),
        }
        Ok(())
    }

    /// "controller shrinks ISR to {0}, same leader epoch", "new metadata, leader epoch 6, partition
    /// epoch 2, ISR {0,1}".
    fn new_metadata(&mut self, step: &str) -> Checked {
        let next = i64::from(self.metadata.partition_epoch).saturating_add(1);
        let partition_epoch = number_after(step, "partition epoch ")?.unwrap_or(next);
        let same = step.contains("same leader epoch");
        let known = i64::from(self.metadata.leader_epoch);
        let leader_epoch = match number_after(step, "leader epoch ")? {
            Some(epoch) if !same => epoch,
            None if step.contains("new leader epoch") => known + 1,
            _ => known,
        };
        self.metadata.partition_epoch = narrow(partition_epoch)?;
        self.metadata.leader_epoch = narrow(leader_epoch)?;
        if let Some((_, isr)) = step.split_once('{') {
            self.metadata.isr = ids(isr.split('}').next().unwrap_or_default())?;
        }
        self.apply_metadata();
        Ok(())
    }

    /// The controller answers the oldest or the newest request.
    fn answer(&mut self, error: Option<ErrorCode>, oldest: bool) -> Checked {
        let proposal = match oldest {
            true => self.proposals.first(),
            false => self.proposals.last(),
        };
        let Some(proposal) = proposal.cloned() else {
            return Err(unknown("answer", "to no request"));
        };
        let commit = IsrCommit {
            isr: proposal.isr_ids(),
            leader_epoch: proposal.leader_epoch,
            partition_epoch: proposal.partition_epoch.saturating_add(1),
        };
        let answer = error.map_or(Ok(&commit), Err);
        let brokers = &self.brokers;
        let status = |id: i32| brokers.get(&id).copied();
        let outcome = self.state.on_alter_partition_response(
            &proposal,
            answer,
            self.leo,
            self.now_ms,
            &status,
        );
        self.last_outcome = Some(outcome);
        if error.is_some() {
            self.last_failure = Some(outcome);
        }
        Ok(())
    }
}
