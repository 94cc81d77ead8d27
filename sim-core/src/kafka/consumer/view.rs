//! What an onlooker may see of a consumer.

use super::partition::Assigned;
use super::{Consumer, MemberState, ModernState, Stopped};
use crate::kafka::client::ClientMetadata;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::protocol::Isolation;
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::position::FetchState;

impl Consumer {
    /// How long brokers have told it to wait for its quota so far, together, ms.
    #[must_use]
    pub fn throttled_ms(&self) -> u64 {
        self.client.throttled_ms()
    }

    /// Its settings.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// How many keys have a value in the table that its application builds; none unless the topic
    /// is compacted.
    #[must_use]
    pub fn keys(&self) -> Option<usize> {
        self.table.as_ref().map(std::collections::BTreeSet::len)
    }

    fn of(&self, tp: TopicPartition) -> Option<&Assigned> {
        let number = self.client.metadata.number(tp)?;
        self.partitions.get(usize::from(number))?.as_ref()
    }

    /// Assigned partitions in order; none before the first metadata.
    pub fn assignment(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let assigned = (0..).zip(&self.partitions).filter(|(_, it)| it.is_some());
        assigned.map(|(partition, _)| self.client.metadata.tp(partition))
    }

    /// Partitions that it reads as a member of a share group, others beside it or not.
    pub fn shared(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let share = self.group.as_deref().and_then(|it| it.share.as_ref());
        let read = share.into_iter().flat_map(|it| &it.assigned);
        read.map(|partition| self.client.metadata.tp(*partition))
    }

    /// The topics that it reads.
    #[must_use]
    pub fn topics(&self) -> &[TopicId] {
        self.client.metadata.topics()
    }

    /// A partition by its number, with its topic if it reads several.
    fn short_name(&self, tp: TopicPartition) -> String {
        let topic = self.book.topics.get(usize::from(tp.topic.0));
        match (self.topics(), topic) {
            (&[_, _, ..], Some(topic)) => format!("{topic}-{}", tp.partition),
            _ => tp.partition.to_string(),
        }
    }

    /// The name of its group, if it has one, whether or not it is a member yet.
    #[must_use]
    pub fn group_name(&self) -> Option<&Name> {
        self.group_name.as_ref()
    }

    /// Next offset it reads.
    #[must_use]
    pub fn position(&self, tp: TopicPartition) -> Option<i64> {
        let position = self.of(tp)?.position.position()?;
        Some(position.offset)
    }

    /// What a partition is at.
    #[must_use]
    pub fn state(&self, tp: TopicPartition) -> Option<FetchState> {
        Some(self.of(tp)?.position.state())
    }

    /// The high watermark in the last response.
    #[must_use]
    pub fn high_watermark(&self, tp: TopicPartition) -> Option<i64> {
        let seen = self.of(tp)?.high_watermark;
        (seen >= 0).then_some(seen)
    }

    /// `records-lag`: what the last response showed as readable, less the position.
    #[must_use]
    pub fn lag(&self, tp: TopicPartition) -> Option<i64> {
        let assigned = self.of(tp)?;
        let end = match self.config.isolation {
            Isolation::ReadUncommitted => assigned.high_watermark,
            Isolation::ReadCommitted => assigned.last_stable_offset,
        };
        let position = self.position(tp)?;
        (end >= 0).then(|| (end - position).max(0))
    }

    /// The log start in the last response.
    #[must_use]
    pub fn log_start(&self, tp: TopicPartition) -> Option<i64> {
        let seen = self.of(tp)?.log_start_offset;
        (seen >= 0).then_some(seen)
    }

    /// The last error that concerned a partition, until a fetch succeeds.
    #[must_use]
    pub fn last_error(&self, tp: TopicPartition) -> Option<ErrorCode> {
        self.of(tp)?.last_error
    }

    /// Why it stopped at a partition (`auto.offset.reset=none`).
    #[must_use]
    pub fn stopped(&self, tp: TopicPartition) -> Option<Stopped> {
        self.of(tp)?.stopped
    }

    /// Whether its application polls.
    #[must_use]
    pub fn polling(&self) -> bool {
        self.polling
    }

    /// Records handed to the application, repetitions counted.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// What it believes of the cluster.
    #[must_use]
    pub fn metadata(&self) -> &ClientMetadata {
        &self.client.metadata
    }

    /// The few values on its card: (label, value).
    #[must_use]
    pub fn summary(&self) -> Vec<(&'static str, String)> {
        let lag: i64 = self.assignment().filter_map(|tp| self.lag(tp)).sum();
        let mut facts = vec![
            ("delivered", self.delivered.to_string()),
            ("lag", lag.to_string()),
        ];
        if let Some(member) = self.member() {
            let state = match (member.closed, member.fatal, member.state) {
                (true, ..) => "closed".to_owned(),
                (_, Some(error), _) => error.name().to_owned(),
                _ if member.modern.is_some() => modern_words(&member),
                _ if member.shares.is_some() => format!("shares, epoch {}", member.generation),
                (.., MemberState::Unjoined) => "not in a generation".to_owned(),
                (.., MemberState::PreparingRebalance) => "joining".to_owned(),
                (.., MemberState::CompletingRebalance) => "waits for its assignment".to_owned(),
                (.., MemberState::Stable) => format!("generation {}", member.generation),
            };
            facts.push(("group", format!("{}: {state}", member.group)));
            // Nobody owns what a share group reads.
            let what = ["owns", "reads"][usize::from(member.shares.is_some())];
            let owned = self.assignment().chain(self.shared());
            let owned = owned.map(|tp| self.short_name(tp));
            let owned = owned.collect::<Vec<_>>().join(", ");
            facts.push((
                what,
                if owned.is_empty() {
                    "nothing".to_owned()
                } else {
                    owned
                },
            ));
            facts.push(("processed", member.processed.to_string()));
            if member.commit_failures > 0 {
                facts.push(("commits failed", member.commit_failures.to_string()));
            }
        }
        if !self.polling {
            facts.push(("poll()", "paused".to_owned()));
        }
        let stopped = self
            .partitions
            .iter()
            .flatten()
            .filter(|it| it.stopped.is_some());
        match stopped.count() {
            0 => {}
            count => facts.push(("stopped partitions", count.to_string())),
        }
        facts
    }
}

/// A member of the consumer protocol in a few words.
fn modern_words(member: &MemberView<'_>) -> String {
    let state = member
        .modern
        .unwrap_or_default()
        .name()
        .to_ascii_lowercase()
        .replace('_', " ");
    match member.generation {
        epoch if epoch >= 0 => format!("{state}, epoch {epoch}"),
        _ => state,
    }
}

/// A member of a group, as it sees itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberView<'a> {
    /// The group.
    pub group: &'a str,
    /// Its id; empty before the first join.
    pub member_id: &'a str,
    /// -1 in no generation.
    pub generation: i32,
    /// How far a join has come.
    pub state: MemberState,
    /// The same, of a member of the consumer protocol.
    pub modern: Option<ModernState>,
    /// Of a share consumer: how many partitions it reads, others beside it or not.
    pub shares: Option<usize>,
    /// The coordinator, if it knows one.
    pub coordinator: Option<BrokerId>,
    /// Times that the application got `CommitFailedException`.
    pub commit_failures: u64,
    /// Generations that it was in.
    pub rebalances: u64,
    /// Records that its application is done with, repetitions counted.
    pub processed: u64,
    /// Records returned by `poll()` and not done yet.
    pub in_hand: usize,
    /// It was closed.
    pub closed: bool,
    /// The error that ended it.
    pub fatal: Option<ErrorCode>,
}

impl Consumer {
    /// Its membership, if it has a group.
    #[must_use]
    pub fn member(&self) -> Option<MemberView<'_>> {
        let member = self.group.as_deref()?;
        Some(MemberView {
            group: &member.group,
            member_id: &member.member_id,
            generation: member.generation,
            state: member.state,
            modern: member.modern.as_ref().map(|it| it.state),
            coordinator: member.coordinator,
            commit_failures: member.commit_failures,
            rebalances: member.rebalances,
            shares: member.share.as_ref().map(|it| it.assigned.len()),
            processed: member
                .share
                .as_ref()
                .map_or(self.work.done(), |it| it.processed),
            in_hand: self.work.waiting(),
            closed: member.closed,
            fatal: member.fatal,
        })
    }
}
