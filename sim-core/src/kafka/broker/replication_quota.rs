//! The throttle of replication: what a reassignment may take of a broker.
//!
//! Follows `ReplicationQuotaManager` and `ReplicaManager.shouldLeaderThrottle` (KIP-73). The replicas
//! that a topic names in `leader.` and `follower.replication.throttled.replicas` count towards the
//! broker's two rates. Above the leader's rate a fetch of a follower that is out of sync brings
//! nothing for them; above the follower's, a follower out of sync does not ask for them. Whoever is
//! in sync is never held back, only counted. A follower knows from its metadata whether it is in
//! sync (Kafka: by its lag in the last answer).

use super::Broker;
use crate::kafka::ids::TopicPartition;
use crate::kafka::metadata::ConfigResource;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::quota::{QuotaWindows, RATE_UNIT, Usage};
use crate::kernel::{MILLISECOND, Nanos};
use serde::Serialize;
use std::collections::BTreeSet;

/// Which side of replication.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Side {
    /// What is sent to followers.
    Leader,
    /// What is fetched from leaders.
    Follower,
}

impl Side {
    fn rate_key(self) -> &'static str {
        match self {
            Side::Leader => "leader.replication.throttled.rate",
            Side::Follower => "follower.replication.throttled.rate",
        }
    }
}

/// The throttled replicas of one side.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct ReplicationQuota {
    /// Bytes per second.
    rate: u64,
    throttled: BTreeSet<TopicPartition>,
    usage: Usage,
    /// It held something back since it was last below the rate.
    exceeded: bool,
}

/// Both sides. There is none as long as no topic names a replica.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct ReplicationQuotas {
    leader: ReplicationQuota,
    follower: ReplicationQuota,
}

impl ReplicationQuotas {
    fn side(&mut self, side: Side) -> &mut ReplicationQuota {
        match side {
            Side::Leader => &mut self.leader,
            Side::Follower => &mut self.follower,
        }
    }

    fn throttles(&self, side: Side, tp: TopicPartition) -> bool {
        match side {
            Side::Leader => self.leader.throttled.contains(&tp),
            Side::Follower => self.follower.throttled.contains(&tp),
        }
    }
}

/// Whether a list of `partition:broker`, or `*`, names a replica.
fn names(list: &str, partition: u16, broker: i32) -> bool {
    let own = format!("{partition}:{broker}");
    list.split(',')
        .map(str::trim)
        .any(|it| it == "*" || it == own)
}

impl Broker {
    /// Settings or hosted partitions changed: puts the throttle in force or lifts it.
    pub(super) fn refresh_replication_quotas(&mut self) {
        let (mut leader, mut follower) = (BTreeSet::new(), BTreeSet::new());
        let image = self.meta.image();
        for (side, key) in [
            (&mut leader, "leader.replication.throttled.replicas"),
            (&mut follower, "follower.replication.throttled.replicas"),
        ] {
            for ((resource, name), list) in &image.configs {
                let ConfigResource::Topic(topic) = resource else {
                    continue;
                };
                if name != key {
                    continue;
                }
                let hosted = self.partitions.keys().filter(|tp| tp.topic == *topic);
                side.extend(hosted.filter(|tp| names(list, tp.partition, self.id)));
            }
        }
        if leader.is_empty() && follower.is_empty() {
            self.replication_quotas = None;
            return;
        }
        let rates = [Side::Leader, Side::Follower].map(|side| {
            let key = (ConfigResource::Cluster, side.rate_key().to_owned());
            let set = image.configs.get(&key).and_then(|it| it.parse().ok());
            let own = match side {
                Side::Leader => self.config.leader_throttled_rate,
                Side::Follower => self.config.follower_throttled_rate,
            };
            set.unwrap_or(u64::try_from(own).unwrap_or(0))
        });
        let quotas = self.replication_quotas.get_or_insert_default();
        (quotas.leader.rate, quotas.leader.throttled) = (rates[0], leader);
        (quotas.follower.rate, quotas.follower.throttled) = (rates[1], follower);
    }

    /// Whether a replica's data counts.
    pub(super) fn is_throttled(&self, side: Side, tp: TopicPartition) -> bool {
        let quotas = self.replication_quotas.as_ref();
        quotas.is_some_and(|it| it.throttles(side, tp))
    }

    /// Whether the data of a replica that is out of sync must wait.
    pub(super) fn replica_must_wait(&self, side: Side, tp: TopicPartition, now: Nanos) -> bool {
        let Some(quotas) = self.replication_quotas.as_ref() else {
            return false;
        };
        // The rate falls by waiting alone: it is asked of a copy, so that looking changes nothing.
        quotas.throttles(side, tp) && {
            let quota = match side {
                Side::Leader => &quotas.leader,
                Side::Follower => &quotas.follower,
            };
            rate(&mut quota.usage.clone(), now) > quota.rate.saturating_mul(RATE_UNIT)
        }
    }

    /// Counts what was sent or fetched of throttled replicas.
    pub(super) fn count_replication(&mut self, side: Side, bytes: u64, cx: &mut KafkaCx<'_>) {
        let Some(quotas) = self.replication_quotas.as_mut() else {
            return;
        };
        let quota = quotas.side(side);
        if bytes > 0 {
            let now_ms = cx.now() / MILLISECOND;
            quota.usage.note(bytes, QuotaWindows::default(), now_ms);
        }
        let (seen, limit) = (rate(&mut quota.usage, cx.now()) / RATE_UNIT, quota.rate);
        let begins = seen > limit && !quota.exceeded;
        quota.exceeded = seen > limit;
        if begins {
            let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
            let rule = Rule::ReplicationThrottled;
            self.note_rule(rule, None, None, number(seen), number(limit), cx);
        }
    }
}

fn rate(usage: &mut Usage, now: Nanos) -> u64 {
    usage.simple_rate(QuotaWindows::default(), now / MILLISECOND)
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_list_names_replicas_by_partition_and_broker() {
        let check = |list, partition, broker, expect| {
            assert_eq!(names(list, partition, broker), expect, "{list}");
        };
        check("", 0, 1, false);
        check("*", 7, 9, true);
        check("0:1,0:2", 0, 2, true);
        check("0:1, 1:2", 1, 2, true);
        check("0:1,0:2", 1, 1, false);
        check("10:1", 0, 1, false);
    }
}
