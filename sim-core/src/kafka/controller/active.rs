//! The active controller: claiming, writing records, and answers that wait for the commit.
//!
//! Follows `QuorumController`. A new leader claims once its own epoch's first record is committed,
//! for then it has replayed all that was committed before. It decides on its own latest state,
//! committed or not, and answers a request only when the records it wrote for it are committed; if
//! it loses the leadership first, it answers NOT_CONTROLLER.

use super::brokers::Session;
use super::{Controller, ms};
use crate::few;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::metadata::{MetadataImage, MetadataRecord};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::protocol::{Request, Response};
use crate::kafka::rules::election::{NO_LEADER, PartitionRegistration};
use crate::kernel::{Nanos, NodeId};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// `unclean.leader.election.interval.ms`.
const UNCLEAN_INTERVAL_MS: i64 = 300_000;

/// A response that waits until the record at this offset is committed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Waiting {
    offset: i64,
    to: NodeId,
    correlation: u32,
    api: Api,
    response: Response,
}

/// A request whose answer is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// Who asked.
    pub(super) from: NodeId,
    /// Its correlation id.
    pub(super) correlation: u32,
    /// What.
    pub(super) api: Api,
}

/// What only the active controller has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Active {
    /// The state at the log end, which may be ahead of what is committed.
    pub(super) image: Arc<MetadataImage>,
    /// Every registered broker's session.
    pub(super) sessions: BTreeMap<BrokerId, Session>,
    waiting: VecDeque<Waiting>,
    /// Next pass over partitions whose preferred replica does not lead, ns.
    pub(super) preferred_at: Nanos,
    /// Next pass over leaderless partitions that may elect unclean, ns.
    pub(super) unclean_at: Nanos,
    /// From here on topics are created with the brokers that are there, ns.
    create_topics_at: Nanos,
    /// Topics are still to be created.
    topics_missing: bool,
}

impl Controller {
    /// Something was committed.
    pub(super) fn on_committed(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let Some(leader) = &self.leader else {
            return;
        };
        let committed = leader.high_watermark().unwrap_or(-1);
        if self.active.is_some() {
            self.release_waiting(committed, cx);
        } else if committed > leader.epoch_start_offset() {
            self.claim(now, cx);
        }
    }

    /// Becomes the active controller. Every broker's session starts anew: the new controller cannot
    /// know when the old one last heard of it.
    fn claim(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let image = Arc::clone(self.meta.image());
        let brokers = image.brokers.keys();
        let sessions = few::gather(brokers.map(|id| (*id, Session::new(now, -1))));
        let first = image.brokers.is_empty() && image.topics.is_empty() && image.configs.is_empty();
        self.active = Some(Box::new(Active {
            image,
            sessions,
            waiting: VecDeque::new(),
            preferred_at: now + self.preferred_interval(),
            unclean_at: now + ms(UNCLEAN_INTERVAL_MS),
            create_topics_at: now + ms(self.config.broker_session_timeout_ms),
            topics_missing: false,
        }));
        self.look_for_missing_topics();
        let epoch = self.epoch();
        self.note(Rule::ControllerActive, -1, epoch.into(), cx);
        let is_config = |record: &&MetadataRecord| matches!(record, MetadataRecord::Config { .. });
        let configs: Vec<_> = self.bootstrap.iter().filter(is_config).cloned().collect();
        if first && !configs.is_empty() {
            self.write(configs, now, cx);
        }
    }

    pub(super) fn preferred_interval(&self) -> Nanos {
        ms(self.config.leader_imbalance_check_s.saturating_mul(1_000))
    }

    /// Is no longer the active controller.
    pub(super) fn renounce(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(active) = self.active.take() else {
            return;
        };
        for waiting in active.waiting {
            let refusal = waiting.api.refusal(ErrorCode::NotController);
            self.respond(waiting.to, waiting.correlation, refusal, cx);
        }
    }

    fn release_waiting(&mut self, committed: i64, cx: &mut KafkaCx<'_>) {
        while let Some(active) = &mut self.active
            && active
                .waiting
                .front()
                .is_some_and(|waiting| waiting.offset < committed)
            && let Some(waiting) = active.waiting.pop_front()
        {
            self.respond(waiting.to, waiting.correlation, waiting.response, cx);
        }
    }

    /// Answers a request once what it wrote (up to `wrote`) is committed; one that wrote nothing
    /// waits for whatever was written before it, also by the controller itself, for its answer may
    /// rest on that (`highestPendingOffset`).
    pub(super) fn answer(
        &mut self,
        asked: Asked,
        response: Response,
        wrote: Option<i64>,
        cx: &mut KafkaCx<'_>,
    ) {
        let committed = self.leader.as_ref().and_then(|l| l.high_watermark());
        let committed = committed.unwrap_or(-1);
        if let Some(active) = &mut self.active {
            let offset = wrote.unwrap_or(self.meta.leo() - 1);
            if offset >= committed {
                active.waiting.push_back(Waiting {
                    offset,
                    to: asked.from,
                    correlation: asked.correlation,
                    api: asked.api,
                    response,
                });
                return;
            }
        }
        self.respond(asked.from, asked.correlation, response, cx);
    }

    /// Writes records in one batch and takes them into the active controller's state. Returns the
    /// offset of the last one.
    pub(super) fn write(
        &mut self,
        records: Vec<MetadataRecord>,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) -> i64 {
        let epoch = self.epoch();
        let mut offset = self.meta.leo();
        for record in &records {
            if self.note_record(record, offset, cx) {
                self.unclean_elections += 1;
            }
            if let Some(active) = &mut self.active {
                Arc::make_mut(&mut active.image).replay(offset, epoch, record);
            }
            offset += 1;
        }
        self.append(records, now, cx);
        offset - 1
    }

    /// Notes what a record changes; true if it is an unclean election.
    fn note_record(&self, record: &MetadataRecord, offset: i64, cx: &mut KafkaCx<'_>) -> bool {
        let Some(active) = &self.active else {
            return false;
        };
        match record {
            MetadataRecord::Partition { tp, state } => {
                let before = active.image.partitions.get(tp);
                return self.note_partition(*tp, before, state, cx);
            }
            MetadataRecord::RegisterBroker { broker, .. } => {
                let before = active.image.brokers.get(broker).map_or(-1, |b| b.epoch);
                self.note_broker(Rule::BrokerRegistered, *broker, before, offset, cx);
            }
            MetadataRecord::BrokerRegistrationChange {
                broker,
                broker_epoch,
                fenced,
                in_controlled_shutdown,
            } => {
                let rule = match (fenced, in_controlled_shutdown) {
                    (Some(true), _) => Rule::BrokerFenced,
                    (Some(false), _) => Rule::BrokerUnfenced,
                    _ => Rule::ControlledShutdown,
                };
                self.note_broker(rule, *broker, *broker_epoch, *broker_epoch, cx);
            }
            _ => {}
        }
        false
    }

    fn note_broker(
        &self,
        rule: Rule,
        broker: BrokerId,
        before: i64,
        after: i64,
        cx: &mut KafkaCx<'_>,
    ) {
        self.note_about(rule, None, Some(broker), before, after, cx);
    }

    fn note_partition(
        &self,
        tp: TopicPartition,
        before: Option<&PartitionRegistration>,
        after: &PartitionRegistration,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let nothing = PartitionRegistration::default();
        let old = before.unwrap_or(&nothing);
        let elects = old.leader != after.leader;
        let clean = before.is_none()
            || after.leader == NO_LEADER
            || old.isr.contains(&after.leader)
            || old.elr.contains(&after.leader);
        if elects {
            let rule = if clean {
                Rule::LeaderElected
            } else {
                Rule::UncleanLeaderElected
            };
            let (from, to) = (old.leader.into(), after.leader.into());
            self.note_about(rule, Some(tp), Some(after.leader), from, to, cx);
        }
        for (rule, old, new) in [
            (Rule::IsrChanged, &old.isr, &after.isr),
            (Rule::ElrChanged, &old.elr, &after.elr),
        ] {
            if old != new {
                let (from, to) = (old.len() as i64, new.len() as i64);
                self.note_about(rule, Some(tp), None, from, to, cx);
            }
        }
        if before.is_some() && old.is_reassigning() != after.is_reassigning() {
            let rule = match after.is_reassigning() {
                true => Rule::ReassignmentBegun,
                false => Rule::ReassignmentDone,
            };
            let (from, to) = (old.replicas.len() as i64, after.replicas.len() as i64);
            self.note_about(rule, Some(tp), None, from, to, cx);
        }
        elects && !clean
    }

    /// Creates the cluster's topics, as an administrator would who waits until all brokers are up,
    /// but no longer than a broker's session timeout. The ISR of a new partition is its live
    /// replicas; the first of them leads.
    pub(super) fn create_topics(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let Some(active) = &self.active else {
            return;
        };
        if !active.topics_missing {
            return;
        }
        let patient = now < active.create_topics_at;
        let mut records = Vec::new();
        for (id, name) in self.missing_topics() {
            let partitions: Vec<_> = self.new_partitions(id, &active.image).collect();
            let ready = partitions.iter().all(|(_, state)| {
                let live = state.isr.len();
                live > 0 && (live == state.replicas.len() || !patient)
            });
            if !ready {
                continue;
            }
            let name = name.to_owned();
            records.push(MetadataRecord::Topic { id, name });
            let record = |(tp, state)| MetadataRecord::Partition {
                tp,
                state: Box::new(state),
            };
            records.extend(partitions.into_iter().map(record));
        }
        if !records.is_empty() {
            self.write(records, now, cx);
            self.look_for_missing_topics();
        }
    }

    fn look_for_missing_topics(&mut self) {
        let missing = self.missing_topics().next().is_some();
        if let Some(active) = &mut self.active {
            active.topics_missing = missing;
        }
    }

    /// Topics that should be there and are not.
    fn missing_topics(&self) -> impl Iterator<Item = (TopicId, &str)> {
        self.bootstrap.iter().filter_map(|record| match record {
            MetadataRecord::Topic { id, name } => {
                let active = self.active.as_ref()?;
                (!active.image.topics.contains_key(id)).then_some((*id, name.as_str()))
            }
            _ => None,
        })
    }

    fn new_partitions<'a>(
        &'a self,
        topic: TopicId,
        image: &'a MetadataImage,
    ) -> impl Iterator<Item = (TopicPartition, PartitionRegistration)> + 'a {
        self.bootstrap
            .iter()
            .filter_map(move |record| match record {
                MetadataRecord::Partition { tp, state } if tp.topic == topic => {
                    let replicas = state.replicas.clone();
                    let live = |id: &i32| image.is_active(*id);
                    let isr: Vec<i32> = replicas.iter().copied().filter(live).collect();
                    let mut state = PartitionRegistration::new(replicas);
                    state.leader = isr.first().copied().unwrap_or(NO_LEADER);
                    state.isr = isr;
                    Some((*tp, state))
                }
                _ => None,
            })
    }

    /// Does what is due: sessions, election passes, topics.
    pub(super) fn poll_active(&mut self, now: Nanos, cx: &mut KafkaCx<'_>) {
        let Some(active) = &self.active else {
            return;
        };
        let creates = active.topics_missing && active.create_topics_at <= now;
        let (preferred, unclean) = (active.preferred_at <= now, active.unclean_at <= now);
        self.fence_expired(now, cx);
        if creates {
            self.create_topics(now, cx);
        }
        if preferred {
            self.preferred_pass(now, cx);
        }
        if unclean {
            self.unclean_pass(now, cx);
            if let Some(active) = &mut self.active {
                active.unclean_at = now + ms(UNCLEAN_INTERVAL_MS);
            }
        }
    }

    /// When the active controller next has something to do by itself.
    pub(super) fn active_deadline(&self, now: Nanos) -> Nanos {
        let Some(active) = &self.active else {
            return Nanos::MAX;
        };
        // Once that time is over, only a broker that comes can help.
        let waits = active.topics_missing && active.create_topics_at > now;
        let create = if waits {
            active.create_topics_at
        } else {
            Nanos::MAX
        };
        let next = active.preferred_at.min(active.unclean_at).min(create);
        next.min(self.session_deadline())
    }
}

/// A request that only the active controller answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Api {
    /// BrokerRegistration.
    Registration,
    /// BrokerHeartbeat.
    Heartbeat,
    /// AlterPartition.
    AlterPartition,
    /// AllocateProducerIds.
    AllocateProducerIds,
}

impl Api {
    /// Which one a request is, if it is one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        match request {
            Request::BrokerRegistration { .. } => Some(Api::Registration),
            Request::BrokerHeartbeat { .. } => Some(Api::Heartbeat),
            Request::AlterPartition { .. } => Some(Api::AlterPartition),
            Request::AllocateProducerIds { .. } => Some(Api::AllocateProducerIds),
            _ => None,
        }
    }

    /// Its response when it fails as a whole.
    pub(super) fn refusal(self, error: ErrorCode) -> Response {
        match self {
            Api::Registration => Response::BrokerRegistration {
                error,
                broker_epoch: -1,
            },
            Api::Heartbeat => Response::BrokerHeartbeat {
                error,
                is_caught_up: false,
                is_fenced: true,
                should_shut_down: false,
            },
            Api::AlterPartition => Response::AlterPartition {
                error,
                partitions: Vec::new(),
            },
            Api::AllocateProducerIds => Response::AllocateProducerIds {
                error,
                start: -1,
                len: 0,
            },
        }
    }
}
