//! What a client believes of the cluster: which broker leads which partition.
//!
//! Follows `Metadata` and `MetadataCache`. A client never goes back to an older leader epoch of a
//! partition; it asks again after an error or a lost connection (with a pause that grows while
//! answers bring nothing new), and every `metadata.max.age.ms`. An error response may name the new
//! leader (KIP-951). A client has one topic, whose partitions it knows by their numbers, or several;
//! then it numbers their partitions in the order in which it hears of them. Of other topics, which
//! the leader of a group assigns, it knows the number of partitions; and where brokers have racks,
//! those of all replicas. Topic ids and deleted topics are
//! left out.

use super::racks::{self, PartitionRacks};
use super::{Backoff, NEVER};
use crate::kafka::ids::{AddressBook, BrokerId, TopicId, TopicPartition};
use crate::kafka::protocol::PartitionMetadata;
use crate::kafka::rules::position::LeaderAndEpoch;
use crate::kernel::Nanos;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The cache and its refresh.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ClientMetadata {
    topic: TopicId,
    /// All topics of a client of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    topics: Vec<TopicId>,
    /// What the numbers of its partitions stand for then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<TopicPartition>,
    /// By number.
    partitions: Vec<LeaderAndEpoch>,
    /// Other topics that it follows, with their partitions once an answer has told them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    others: BTreeMap<TopicId, Option<u16>>,
    /// The last answer, for the racks of replicas; none in a cluster without racks.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Vec<PartitionMetadata>>,
    /// Live brokers as the last answer named them; empty before the first.
    brokers: Vec<BrokerId>,
    max_age: Nanos,
    backoff: Backoff,
    wanted: bool,
    last_refresh: Option<Nanos>,
    last_success: Option<Nanos>,
    /// Failed refreshes in a row.
    attempts: u32,
    /// Answers in a row that brought nothing new although something was wanted.
    equivalent: u32,
}

impl ClientMetadata {
    /// Knows nothing yet, and wants to.
    pub(in crate::kafka) fn new(topic: TopicId, max_age: Nanos, backoff: Backoff) -> Self {
        ClientMetadata {
            topic,
            topics: Vec::new(),
            places: Vec::new(),
            partitions: Vec::new(),
            others: BTreeMap::new(),
            told: None,
            brokers: Vec::new(),
            max_age,
            backoff,
            wanted: true,
            last_refresh: None,
            last_success: None,
            attempts: 0,
            equivalent: 0,
        }
    }

    /// A client of all these topics; none if it has its own alone.
    pub(in crate::kafka) fn with_topics(mut self, topics: Vec<TopicId>) -> Self {
        self.topics = topics;
        self
    }

    /// A client that hears of the racks of these brokers.
    pub(in crate::kafka) fn with_racks(mut self, book: &AddressBook) -> Self {
        self.told = (!book.racks.is_empty()).then(Vec::new);
        self
    }

    /// The racks of all partitions that it knows of; none in a cluster without racks.
    pub(in crate::kafka) fn racks(&self, book: &AddressBook) -> Option<PartitionRacks> {
        let told = self.told.as_ref()?.iter();
        let known = told.filter(|it| self.knows(it.tp.topic));
        Some(racks::of(known, &self.brokers, book))
    }

    /// The topics that it has.
    #[must_use]
    pub fn topics(&self) -> &[TopicId] {
        match self.topics.is_empty() {
            true => std::slice::from_ref(&self.topic),
            false => &self.topics,
        }
    }

    /// The number by which it knows a partition of its topics.
    #[must_use]
    pub fn number(&self, tp: TopicPartition) -> Option<u16> {
        if self.topics.is_empty() {
            return (tp.topic == self.topic).then_some(tp.partition);
        }
        let at = self.places.iter().position(|it| *it == tp)?;
        u16::try_from(at).ok()
    }

    /// The same, of one that it may not have heard of yet.
    pub(in crate::kafka) fn number_anew(&mut self, tp: TopicPartition) -> Option<u16> {
        if self.topics.contains(&tp.topic) && !self.places.contains(&tp) {
            self.places.push(tp);
            self.partitions.push(LeaderAndEpoch::UNKNOWN);
        }
        self.number(tp)
    }

    /// How many partitions each of its topics has.
    pub(in crate::kafka) fn counts(&self) -> Vec<(TopicId, u16)> {
        let all = self.topics().iter().map(|topic| {
            let own = self.places.iter().filter(|it| it.topic == *topic);
            let count = match self.topics.is_empty() {
                true => self.partition_count(),
                false => u16::try_from(own.count()).unwrap_or(u16::MAX),
            };
            (*topic, count)
        });
        all.collect()
    }

    /// Partitions of its topics; 0 before the first answer.
    #[must_use]
    pub fn partition_count(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)
    }

    /// Follows these topics besides its own, and no others; asks for those that are new
    /// (`Metadata.addTransientTopics`, as `updateGroupSubscription` has it).
    pub(in crate::kafka) fn follow(&mut self, mut topics: BTreeSet<TopicId>) {
        topics.retain(|it| !self.topics().contains(it));
        self.others.retain(|it, _| topics.contains(it));
        let known = self.others.len();
        for topic in topics {
            self.others.entry(topic).or_insert(None);
        }
        if self.others.len() > known {
            self.request_update(true);
        }
    }

    fn knows(&self, topic: TopicId) -> bool {
        self.topics().contains(&topic) || self.others.contains_key(&topic)
    }

    /// The other topics that it follows; `None` until an answer has come since.
    pub(in crate::kafka) fn followed(&self) -> Option<BTreeMap<TopicId, u16>> {
        let others = self.others.iter();
        others
            .map(|(topic, count)| Some((*topic, (*count)?)))
            .collect()
    }

    /// Who leads a partition.
    #[must_use]
    #[inline]
    pub fn leader(&self, partition: u16) -> LeaderAndEpoch {
        self.partitions
            .get(usize::from(partition))
            .copied()
            .unwrap_or(LeaderAndEpoch::UNKNOWN)
    }

    /// All partitions in order.
    #[must_use]
    pub fn leaders(&self) -> &[LeaderAndEpoch] {
        &self.partitions
    }

    /// The partition's full name.
    #[must_use]
    pub fn tp(&self, partition: u16) -> TopicPartition {
        let own = TopicPartition {
            topic: self.topic,
            partition,
        };
        let place = self.places.get(usize::from(partition));
        place.copied().unwrap_or(own)
    }

    /// Live brokers by the last answer; empty before the first.
    #[must_use]
    pub fn brokers(&self) -> &[BrokerId] {
        &self.brokers
    }

    /// Asks for a refresh. With `fresh` the reason is a new one, and no earlier answer that brought
    /// nothing new counts against it.
    pub(in crate::kafka) fn request_update(&mut self, fresh: bool) {
        self.wanted = true;
        if fresh {
            self.equivalent = 0;
        }
    }

    /// When the next refresh is due, given chance for the pause (drawn if it matters).
    pub(super) fn due(&self, bits: impl FnOnce() -> u64) -> Nanos {
        let Some(last) = self.last_refresh else {
            return if self.wanted { 0 } else { NEVER };
        };
        let expires = self
            .last_success
            .map_or(0, |at| at.saturating_add(self.max_age));
        let wanted_at = if self.wanted { 0 } else { expires };
        if wanted_at >= last.saturating_add(self.backoff.max) {
            // No pause is as long.
            return wanted_at;
        }
        let bits = bits();
        let failed = self.backoff.pause(self.attempts.saturating_sub(1), bits);
        let same = match self.equivalent {
            0 => 0,
            count => self.backoff.pause(count - 1, bits),
        };
        wanted_at.max(last.saturating_add(failed.max(same)))
    }

    /// Refreshes so far that failed or brought nothing, as key of the pause's chance.
    pub(super) fn pause_key(&self) -> u64 {
        self.last_refresh.unwrap_or(0)
    }

    /// A refresh failed.
    pub(super) fn failed(&mut self, now: Nanos) {
        self.last_refresh = Some(now);
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Takes an answer in; returns whether a leader or the number of partitions changed.
    pub(super) fn update(
        &mut self,
        now: Nanos,
        brokers: Vec<BrokerId>,
        answer: &[PartitionMetadata],
    ) -> bool {
        for (topic, count) in &mut self.others {
            let of_topic = answer.iter().filter(|it| it.tp.topic == *topic);
            let told = of_topic.map(|it| it.tp.partition.saturating_add(1)).max();
            *count = Some(told.unwrap_or(0).max(count.unwrap_or(0)));
        }
        if self.told.is_some() {
            self.told = Some(answer.to_vec());
        }
        let heard_of = self.places.len();
        if !self.topics.is_empty() {
            for told in answer {
                self.number_anew(told.tp);
            }
        }
        let own = || {
            let numbered = |it: &'_ PartitionMetadata| self.number(it.tp);
            let all = answer.iter();
            all.filter_map(move |it| Some((usize::from(numbered(it)?), it)))
        };
        let count = own().map(|(number, _)| number + 1).max();
        let mut partitions = self.partitions.clone();
        if let Some(count) = count
            && count > partitions.len()
        {
            partitions.resize(count, LeaderAndEpoch::UNKNOWN);
        }
        let mut leaderless = partitions.is_empty();
        for (number, told) in own() {
            let Some(known) = partitions.get_mut(number) else {
                continue;
            };
            // An answer from a broker whose own metadata is older changes nothing.
            if told.leader_epoch >= known.epoch {
                *known = LeaderAndEpoch {
                    leader: (told.leader >= 0).then_some(told.leader),
                    epoch: told.leader_epoch,
                };
            }
            leaderless |= known.leader.is_none();
        }
        let changed = partitions != self.partitions || self.places.len() > heard_of;
        self.equivalent = match changed || brokers != self.brokers {
            true => 0,
            false => self.equivalent.saturating_add(1),
        };
        self.partitions = partitions;
        self.brokers = brokers;
        (self.last_refresh, self.last_success) = (Some(now), Some(now));
        self.attempts = 0;
        // A partition without leader counts as an error: the client asks again.
        self.wanted = leaderless;
        changed
    }

    /// Takes a hint from an error response (KIP-951); returns whether it was news.
    pub(in crate::kafka) fn hint(
        &mut self,
        tp: TopicPartition,
        leader: BrokerId,
        epoch: i32,
    ) -> bool {
        let number = self.number(tp).filter(|_| leader >= 0);
        let known = number.and_then(|it| self.partitions.get_mut(usize::from(it)));
        match known {
            Some(known) if epoch > known.epoch => {
                *known = LeaderAndEpoch {
                    leader: Some(leader),
                    epoch,
                };
                true
            }
            _ => false,
        }
    }

    /// A committed offset or a reset position named an epoch (`updateLastSeenEpochIfNewer`). If it
    /// is a newer one, the leader is unknown until an answer knows that epoch too: whoever led
    /// before may not know that it does not lead any more.
    pub(in crate::kafka) fn seen_epoch(&mut self, partition: u16, epoch: i32) {
        if let Some(known) = self.partitions.get_mut(usize::from(partition))
            && epoch > known.epoch
        {
            *known = LeaderAndEpoch {
                leader: None,
                epoch,
            };
            self.wanted = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(partition: u16, leader: BrokerId, leader_epoch: i32) -> PartitionMetadata {
        PartitionMetadata {
            tp: TopicPartition {
                topic: TopicId(0),
                partition,
            },
            leader,
            leader_epoch,
            replicas: vec![1, 2],
            isr: vec![1, 2],
        }
    }

    fn empty() -> ClientMetadata {
        let backoff = Backoff {
            initial: 100,
            max: 1_000,
        };
        ClientMetadata::new(TopicId(0), 10_000, backoff)
    }

    #[test]
    fn a_client_never_goes_back_to_an_older_epoch() {
        let check = |answers: &[(BrokerId, i32)], expect: (Option<BrokerId>, i32)| {
            let mut metadata = empty();
            for (at, (leader, epoch)) in (0..).zip(answers) {
                metadata.update(at, vec![1, 2], &[told(0, *leader, *epoch)]);
            }
            let got = metadata.leader(0);
            assert_eq!((got.leader, got.epoch), expect, "{answers:?}");
        };
        check(&[(1, 0)], (Some(1), 0));
        check(&[(1, 0), (2, 1), (1, 0)], (Some(2), 1));
        check(&[(1, 0), (-1, 1)], (None, 1));
        check(&[(1, 0), (-1, 0)], (None, 0));
    }

    #[test]
    fn partitions_of_several_topics_keep_their_numbers() {
        let mut metadata = empty().with_topics(vec![TopicId(0), TopicId(2)]);
        let tp = |topic: u16, partition| TopicPartition {
            topic: TopicId(topic),
            partition,
        };
        let of = |at: TopicPartition| PartitionMetadata {
            tp: at,
            ..told(0, 1, 0)
        };
        let all = [(0, 0), (1, 0), (2, 0), (2, 1)].map(|(topic, p)| of(tp(topic, p)));
        assert!(metadata.update(0, vec![1], &all));
        let known = |it: &ClientMetadata| {
            let count = it.partition_count();
            (0..count).map(|n| it.tp(n)).collect::<Vec<_>>()
        };
        assert_eq!(known(&metadata), [tp(0, 0), tp(2, 0), tp(2, 1)]);
        // One topic has grown, and the assignment came before the metadata.
        assert_eq!(metadata.number_anew(tp(0, 1)), Some(3));
        assert_eq!(metadata.number_anew(tp(1, 0)), None, "nobody's topic");
        assert_eq!(metadata.leader(3), LeaderAndEpoch::UNKNOWN);
        assert!(metadata.update(100, vec![1], &[of(tp(0, 1)), of(tp(0, 0))]));
        assert_eq!(metadata.leader(3).leader, Some(1));
        assert_eq!(metadata.counts(), [(TopicId(0), 2), (TopicId(2), 2)]);
        assert_eq!(metadata.number(tp(2, 1)), Some(2));
    }

    #[test]
    fn a_hint_counts_only_if_it_is_newer() {
        let check = |leader, epoch, news, expect| {
            let mut metadata = empty();
            metadata.update(0, vec![1, 2], &[told(0, 1, 3)]);
            assert_eq!(metadata.hint(told(0, 0, 0).tp, leader, epoch), news);
            assert_eq!(metadata.leader(0).leader, Some(expect));
        };
        check(2, 4, true, 2);
        check(2, 3, false, 1);
        check(2, 2, false, 1);
        check(-1, 4, false, 1);
    }

    #[test]
    fn a_newer_epoch_that_was_heard_of_makes_the_leader_unknown() {
        let mut metadata = empty();
        metadata.seen_epoch(0, 7);
        metadata.update(0, vec![1, 2], &[told(0, 1, 3)]);
        metadata.seen_epoch(0, 3);
        assert_eq!(metadata.leader(0).leader, Some(1), "no news");
        metadata.seen_epoch(0, 5);
        let stale = [told(0, 1, 3)];
        let check = |metadata: &ClientMetadata, leader, epoch| {
            let known = metadata.leader(0);
            assert_eq!((known.leader, known.epoch), (leader, epoch));
        };
        check(&metadata, None, 5);
        assert!(!metadata.update(1, vec![1, 2], &stale), "a stale answer");
        check(&metadata, None, 5);
        assert_eq!(metadata.due(|| 0), 81, "it asks again");
        assert!(metadata.update(81, vec![1, 2], &[told(0, 2, 5)]));
        check(&metadata, Some(2), 5);
    }

    #[test]
    fn refreshes_are_due_after_age_errors_and_pauses() {
        let mut metadata = empty();
        assert_eq!(metadata.due(|| 0), 0, "at once at the start");
        metadata.update(5, vec![1], &[told(0, 1, 0)]);
        assert_eq!(metadata.due(|| 0), 10_005, "then by age");
        metadata.request_update(true);
        assert_eq!(metadata.due(|| 0), 85, "after an error, but not in a hurry");
        metadata.update(85, vec![1], &[told(0, 1, 0)]);
        metadata.request_update(false);
        metadata.update(165, vec![1], &[told(0, 1, 0)]);
        metadata.request_update(false);
        assert_eq!(metadata.due(|| 0), 165 + 160, "nothing new twice: longer");
        metadata.failed(400);
        metadata.failed(500);
        metadata.failed(600);
        assert_eq!(metadata.due(|| 0), 600 + 320, "failures: longer still");
    }
}
