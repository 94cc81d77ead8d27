//! An application with a consumer: with partitions assigned by hand, or as a member of a group.
//!
//! Follows `KafkaConsumer`, `Fetcher`, `FetchCollector`, `OffsetFetcher` and `SubscriptionState`.
//! Without a group (`assign()`) the application polls without pause and is done with a record at
//! once; with one see `group` and `work`. Each `poll()` hands out at most `max.poll.records` from
//! one completed fetch after the other, and the position moves when records are handed out.
//! Partitions found later are assigned too when none were named. Without a group a restart begins
//! without a position. Left out: follower fetching (KIP-392), fetch sessions.

mod by_hand;
mod fetcher;
mod group;
mod handing;
mod modern;
mod offsets;
mod outputs;
mod partition;
mod pool;
mod share;
#[cfg(test)]
mod tests;
mod view;
mod work;

pub(super) use group::MemberPart;
pub use group::MemberState;
pub use modern::ModernState;
pub use partition::Stopped;
pub use view::MemberView;

pub(in crate::kafka) use group::subscribes;
pub(crate) use handing::Handed;
pub(in crate::kafka) use outputs::{Output, WorkOffsets};

use super::client::{Alarm, Backoff, Client, Event, Lost, Timing, span};
use super::config::{ConsumerConfig, OffsetReset};
use super::group_config::GroupProtocol;
use super::ids::{AddressBook, BrokerId, TopicId};
use super::node::{KafkaCx, KafkaInput, Order, Timer};
use super::parts::Parts;
use super::protocol::{Msg, Response};
use super::rules::classic_group::Name;
use super::rules::position::FetchPosition;
use super::spec::ConsumerSpec;
use crate::apart::Apart;
use crate::kernel::{Input, Loss, Nanos};
use fetcher::CompletedFetch;
use group::{GroupAbout, Membership};
use outputs::Outputs;
use partition::Assigned;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use work::Work;

/// Default of `retry.backoff.max.ms`, ms.
const RETRY_BACKOFF_MAX_MS: i64 = 1_000;
/// Default of `max.in.flight.requests.per.connection` of consumers' clients.
const MAX_IN_FLIGHT: u32 = 100;

/// Timers of this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum ConsumerTimer {
    /// Something is due: the next poll, a retry, a timeout.
    Wake,
}

/// What a request was about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
enum About {
    /// Partitions with the offset asked for.
    Fetch(Vec<(u16, i64)>),
    /// A reset by this strategy; `latest` if it is asked for the end because nothing was found.
    ListOffsets {
        partition: u16,
        strategy: OffsetReset,
        latest: bool,
    },
    /// A validation of this position.
    OffsetsForLeaderEpoch {
        partition: u16,
        position: FetchPosition,
    },
    /// Something of the coordinator.
    Group(Box<GroupAbout>),
}

/// The node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Consumer {
    config: ConsumerConfig,
    topic: TopicId,
    /// As the scenario names them; empty = all.
    wanted: Vec<u16>,
    start: Nanos,
    book: Arc<AddressBook>,
    #[serde(skip)]
    parts: Parts,
    polling: bool,
    delivered: u64,
    /// Keys that have a value, as the application has read them from a compacted topic.
    table: Option<BTreeSet<u32>>,
    client: Client<About>,
    /// By number; `None` where a partition is not assigned.
    partitions: Vec<Option<Assigned>>,
    /// Assigned partitions in the order in which they are asked for.
    order: Vec<u16>,
    /// Of these, those that brought records since the last fetch was sent; they go to the end.
    served: Vec<u16>,
    /// Some position may be missing or doubtful.
    unsettled: bool,
    /// Brokers with a fetch under way; one at a time for each.
    fetching: Vec<BrokerId>,
    /// Fetched and not yet handed out.
    completed: VecDeque<CompletedFetch>,
    alarm: Alarm,
    #[serde(skip)]
    topic_name: Name,
    /// Its group's name, if it has one.
    #[serde(skip)]
    group_name: Option<Name>,
    /// In a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Box<Membership>>,
    #[serde(skip_serializing_if = "Work::is_unused")]
    work: Work,
    /// What its application makes of the records, if it writes too.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Apart<Outputs>>,
}

impl Consumer {
    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    #[must_use]
    pub fn weight(&self) -> usize {
        let fetched = self.completed.iter().map(CompletedFetch::weight);
        let partitions = self.partitions.len() * size_of::<Option<Assigned>>();
        let table = self.table.as_ref().map_or(0, BTreeSet::len) * 2 * size_of::<u32>();
        size_of_val(self) + table + partitions + fetched.sum::<usize>()
    }

    /// A consumer that reads `topic` of the cluster behind `book`.
    #[must_use]
    pub fn new(spec: &ConsumerSpec, topic: TopicId, book: Arc<AddressBook>, parts: Parts) -> Self {
        let config = spec.config.clone();
        let member = || Membership::new(&config, &spec.name);
        let group = (!config.group_id.is_empty()).then(|| Box::new(member()));
        Consumer {
            client: Client::new(&book, topic, timing(&config)),
            config,
            topic,
            wanted: spec.partitions.clone(),
            start: spec.start,
            book,
            parts,
            polling: true,
            delivered: 0,
            table: None,
            partitions: Vec::new(),
            order: Vec::new(),
            served: Vec::new(),
            unsettled: false,
            fetching: Vec::new(),
            completed: VecDeque::new(),
            alarm: Alarm::default(),
            topic_name: Name::from(spec.topic.as_str()),
            group_name: group.as_ref().map(|it| Arc::clone(&it.group)),
            group,
            work: Work::new(&spec.config),
            outputs: None,
        }
    }

    /// It is a member that subscribes to all these topics; none if to its own alone.
    #[must_use]
    pub(in crate::kafka) fn subscribed_to(mut self, topics: Vec<TopicId>) -> Self {
        self.client = self.client.with_topics(topics);
        self
    }

    /// The application builds the table that a compacted topic stands for: it keeps each key's
    /// latest value and forgets a key when it reads a tombstone.
    #[must_use]
    pub fn keeping_a_table(mut self) -> Self {
        self.table = Some(BTreeSet::new());
        self
    }

    /// Whether its application knows of positions: that of a share consumer does not.
    #[must_use]
    pub fn has_positions(&self) -> bool {
        self.config.group_protocol != GroupProtocol::Share
    }

    /// The one entry.
    pub fn on(&mut self, input: KafkaInput<ConsumerTimer>, cx: &mut KafkaCx<'_>) {
        match input {
            Input::Boot => {}
            Input::Timer(ConsumerTimer::Wake) => self.alarm.fired(),
            Input::Message {
                from,
                msg: Msg::Response(correlation, response),
            } => match self
                .client
                .on_response(from, correlation, response, cx.now())
            {
                Event::Nothing => return,
                Event::Connected => {}
                Event::Metadata { changed } => self.on_metadata(changed),
                Event::Answer(broker, about, answer) => self.on_answer(broker, about, *answer, cx),
            },
            // Nobody asks a client anything.
            Input::Message { .. } => return,
            Input::Disconnected(node) => {
                let mut lost = Vec::new();
                self.client.on_disconnected(node, &mut lost, cx);
                self.on_lost(lost, cx);
            }
            Input::Order(Order::Poll { on }) => self.polling = on,
            Input::Order(Order::Close) => match &mut self.group {
                Some(member) => member.closing = true,
                None => self.polling = false,
            },
            Input::Order(Order::Seek { partition, to }) => self.seek(partition, to, cx),
            Input::Order(_) => return,
        }
        self.run(cx);
    }

    /// One turn of the application's loop.
    fn run(&mut self, cx: &mut KafkaCx<'_>) {
        if cx.now() < self.start {
            self.wake_by(self.start, cx);
            return;
        }
        let mut lost = Vec::new();
        self.client.poll(&mut lost, cx);
        self.on_lost(lost, cx);
        if self.group.is_some() {
            (self.parts().run)(self, cx);
            return;
        }
        if self.polling {
            self.poll(cx);
            self.look_up_positions(cx);
            self.send_fetches(cx);
        }
        let commits = self.send_by_hand(cx);
        let more = match self.polling && !self.completed.is_empty() {
            true => cx.now(),
            false => Nanos::MAX,
        };
        let due = self.next_retry(cx).min(self.client.deadline(cx)).min(more);
        self.wake_by(due.min(commits), cx);
    }

    /// Metadata came in: new partitions, new leaders.
    fn on_metadata(&mut self, changed: bool) {
        if !changed {
            return;
        }
        let count = self.client.metadata.partition_count();
        for partition in 0..count {
            if usize::from(partition) < self.partitions.len() {
                continue;
            }
            let by_hand = self.config.group_id.is_empty();
            let wanted = by_hand && (self.wanted.is_empty() || self.wanted.contains(&partition));
            let assigned = wanted.then(|| self.make_assigned(partition));
            self.partitions.push(assigned);
            if wanted {
                self.order.push(partition);
            }
        }
        self.validate_positions();
    }

    /// A partition that it begins to read.
    fn make_assigned(&self, partition: u16) -> Assigned {
        let mut assigned = Assigned::new(self.config.auto_offset_reset);
        if let Some(outputs) = &self.outputs {
            outputs.place(partition, &mut assigned);
        }
        assigned
    }

    fn assigned(&mut self, partition: u16) -> Option<&mut Assigned> {
        self.partitions.get_mut(usize::from(partition))?.as_mut()
    }

    /// Positions under another leader than they were found under have to be validated.
    fn validate_positions(&mut self) {
        self.unsettled = true;
        for (partition, assigned) in (0..).zip(&mut self.partitions) {
            let Some(assigned) = assigned else {
                continue;
            };
            let current = self.client.metadata.leader(partition);
            let leader = |it: &Assigned| it.position.position().map(|position| position.leader);
            let before = leader(assigned);
            assigned.position.maybe_validate(current);
            if leader(assigned) != before {
                // The pause was for the old leader.
                assigned.not_before = 0;
            }
        }
    }

    fn on_answer(
        &mut self,
        broker: BrokerId,
        about: About,
        answer: Response,
        cx: &mut KafkaCx<'_>,
    ) {
        match (about, answer) {
            (About::Fetch(asked), Response::Fetch { partitions }) => {
                self.fetching.retain(|it| *it != broker);
                self.on_fetched(&asked, partitions);
            }
            (
                About::ListOffsets {
                    partition,
                    strategy,
                    latest,
                },
                Response::ListOffsets {
                    error,
                    offset,
                    leader_epoch,
                    ..
                },
            ) => {
                let found = (error, offset, leader_epoch);
                self.on_list_offsets(partition, strategy, latest, found, cx);
            }
            (
                About::OffsetsForLeaderEpoch {
                    partition,
                    position,
                },
                Response::OffsetsForLeaderEpoch { error, end, .. },
            ) => self.on_epoch_end(partition, position, error, end, cx),
            (About::Group(about), Response::Group(answer)) => {
                if self.group.is_none() && self.answered_by_hand(&about, &answer, cx) {
                    return;
                }
                (self.parts().answer)(self, broker, *about, *answer, cx);
            }
            (About::Group(_), Response::Share(answer)) => {
                (self.parts().shared)(self, broker, *answer, cx);
            }
            // A foreign answer is as good as none.
            (about, _) => self.give_up_request(broker, &about, cx),
        }
    }

    fn on_lost(&mut self, lost: Vec<Lost<About>>, cx: &mut KafkaCx<'_>) {
        for request in lost {
            self.give_up_request(request.broker, &request.about, cx);
        }
    }

    /// A request will not be answered.
    fn give_up_request(&mut self, broker: BrokerId, about: &About, cx: &mut KafkaCx<'_>) {
        match about {
            About::Fetch(_) => self.fetching.retain(|it| *it != broker),
            About::Group(about) => {
                if self.group.is_some() || !self.lost_by_hand(about) {
                    (self.parts().lost)(self, broker, about, cx);
                }
            }
            About::ListOffsets { partition, .. }
            | About::OffsetsForLeaderEpoch { partition, .. } => self.retry_later(*partition, cx),
        }
    }

    /// Drops what a crash takes: buffers and, as nothing was committed, positions.
    pub fn crash(&mut self, _loss: Loss) {
        let topics = self.client.several_topics();
        let client = Client::new(&self.book, self.topic, timing(&self.config));
        self.client = client.with_topics(topics);
        self.partitions.clear();
        self.order.clear();
        self.served.clear();
        self.fetching.clear();
        self.completed.clear();
        self.alarm = Alarm::default();
        self.work.crash();
        if let Some(outputs) = &mut self.outputs {
            outputs.crash();
        }
        if let Some(member) = &mut self.group {
            **member = member.restarted(&self.config);
        }
        if let Some(table) = &mut self.table {
            table.clear();
        }
    }

    fn wake_by(&mut self, at: Nanos, cx: &mut KafkaCx<'_>) {
        self.alarm.by(at, Timer::Consumer(ConsumerTimer::Wake), cx);
    }
}

fn timing(config: &ConsumerConfig) -> Timing {
    Timing {
        request_timeout: span(config.request_timeout_ms),
        retry: Backoff {
            initial: span(config.retry_backoff_ms),
            max: span(RETRY_BACKOFF_MAX_MS.max(config.retry_backoff_ms)),
        },
        metadata_max_age: span(config.metadata_max_age_ms),
        max_in_flight: MAX_IN_FLIGHT,
    }
}
