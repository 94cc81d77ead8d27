//! Values and checks of the settings of groups of the consumer protocol (KIP-848).
//!
//! Follows `ConsumerConfig.checkUnsupportedConfigsPostProcess` and `GroupCoordinatorConfig`.

use super::config::{BrokerConfig, ConsumerConfig};
use super::rules::server_assign::ServerAssignor;
use crate::settings::SettingValue;
use crate::word_setting;
use serde::Serialize;

/// `group.protocol`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum GroupProtocol {
    /// The members assign, all at once.
    Classic,
    /// The coordinator assigns, and each member follows by itself (KIP-848).
    Consumer,
    /// It is no consumer but a `KafkaShareConsumer` (KIP-932).
    Share,
}

word_setting!(GroupProtocol, "classic, consumer, share",
    "classic" => GroupProtocol::Classic, "consumer" => GroupProtocol::Consumer,
    "share" => GroupProtocol::Share);

/// `share.acknowledgement.mode`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum AcknowledgementMode {
    /// The next `poll()` accepts.
    Implicit,
    /// The application says it of each record.
    Explicit,
}

word_setting!(AcknowledgementMode, "implicit, explicit",
    "implicit" => AcknowledgementMode::Implicit, "explicit" => AcknowledgementMode::Explicit);

/// When an application with transactions asks its consumer for the member id and epoch that go
/// with its offsets (`groupMetadata()`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum GroupMetadata {
    /// When it sends the offsets.
    AtCommit,
    /// When `poll()` has returned their records.
    AtPoll,
}

word_setting!(GroupMetadata, "commit, poll",
    "commit" => GroupMetadata::AtCommit, "poll" => GroupMetadata::AtPoll);

/// What stands twice in a list (`ConfigDef.ValidList.anyNonDuplicateValues`).
pub(super) fn twice<T: PartialEq>(all: &[T]) -> Option<&T> {
    let known = |(at, it): &(usize, &T)| all.iter().take(*at).any(|other| other == *it);
    all.iter().enumerate().find(known).map(|(_, it)| it)
}

/// `group.consumer.assignors`: a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ServerAssignors(pub Vec<ServerAssignor>);

impl SettingValue for ServerAssignors {
    const EXPECTED: &'static str = "a list of uniform, range with commas between them";
    fn parse(text: &str) -> Result<Self, String> {
        let known = [ServerAssignor::Uniform, ServerAssignor::Range];
        let find = |word: &str| {
            let found = known.into_iter().find(|it| it.name() == word);
            found.ok_or_else(|| format!("`{word}` is no assignor of the coordinator"))
        };
        let words = text.split(',').map(str::trim);
        let found: Vec<ServerAssignor> = words.map(find).collect::<Result<_, _>>()?;
        match twice(&found) {
            None => Ok(ServerAssignors(found)),
            Some(it) => Err(format!("`{}` stands twice", it.name())),
        }
    }
    fn show(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|it| it.name()).collect();
        names.join(",")
    }
}

impl ConsumerConfig {
    /// What Kafka's client refuses without a `group.id`, if it was written, with its reason
    /// (`ConsumerConfig.maybeOverrideEnableAutoCommit`, `ShareConsumerImpl`).
    #[must_use]
    pub fn problems_without_group(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if !self.group_id.is_empty() {
            return found;
        }
        if self.enable_auto_commit {
            let message = "enable.auto.commit cannot be set to true without a group.id";
            found.push(("enable.auto.commit", message.to_owned()));
        }
        if self.group_protocol == GroupProtocol::Share {
            let message = "a share consumer needs a group.id (InvalidGroupIdException)";
            found.push(("group.protocol", message.to_owned()));
        }
        found
    }

    /// Keys that Kafka's client refuses with this `group.protocol`, with its reason
    /// (`ConsumerConfig.checkUnsupportedConfigsPostProcess`).
    #[must_use]
    pub fn refused_keys(&self) -> (&'static [&'static str], &'static str) {
        match self.group_protocol {
            GroupProtocol::Classic => (
                &["group.remote.assignor"],
                "cannot be set when group.protocol=CLASSIC",
            ),
            GroupProtocol::Consumer => (
                &[
                    "partition.assignment.strategy",
                    "heartbeat.interval.ms",
                    "session.timeout.ms",
                ],
                "cannot be set when group.protocol=CONSUMER",
            ),
            GroupProtocol::Share => (
                &[
                    "auto.offset.reset",
                    "enable.auto.commit",
                    "group.instance.id",
                    "isolation.level",
                    "partition.assignment.strategy",
                    "heartbeat.interval.ms",
                    "session.timeout.ms",
                    "group.remote.assignor",
                ],
                "cannot be set when using a share group",
            ),
        }
    }
}

impl BrokerConfig {
    /// What Kafka's broker refuses at start about groups, with its reason
    /// (`GroupCoordinatorConfig.validate`).
    #[must_use]
    pub fn group_problems(&self) -> Vec<(&'static str, String)> {
        let session = (
            "group.consumer.session.timeout.ms",
            self.group_consumer_session_timeout_ms,
        );
        let heartbeat = (
            "group.consumer.heartbeat.interval.ms",
            self.group_consumer_heartbeat_interval_ms,
        );
        let bounds = [
            (
                session,
                "group.consumer.min.session.timeout.ms",
                self.group_consumer_min_session_timeout_ms,
                "group.consumer.max.session.timeout.ms",
                self.group_consumer_max_session_timeout_ms,
            ),
            (
                heartbeat,
                "group.consumer.min.heartbeat.interval.ms",
                self.group_consumer_min_heartbeat_interval_ms,
                "group.consumer.max.heartbeat.interval.ms",
                self.group_consumer_max_heartbeat_interval_ms,
            ),
        ];
        let mut found = Vec::new();
        for ((key, value), min_key, min, max_key, max) in bounds {
            if value < min {
                let message = format!("{key} must be greater than or equal to {min_key} ({min})");
                found.push((key, message));
            }
            if value > max {
                let message = format!("{key} must be less than or equal to {max_key} ({max})");
                found.push((key, message));
            }
        }
        let share_session = self.share_session_timeout_ms;
        let share_heartbeat = self.share_heartbeat_interval_ms;
        for (key, value, least) in [
            ("group.share.session.timeout.ms", share_session, 45_000),
            ("group.share.heartbeat.interval.ms", share_heartbeat, 5_000),
        ] {
            if value < least {
                found.push((key, format!("{key} is at least {least} by default")));
            }
        }
        let most = [
            ("group.share.session.timeout.ms", share_session, 60_000),
            ("group.share.heartbeat.interval.ms", share_heartbeat, 15_000),
            ("group.share.max.size", self.share_max_size.into(), 1_000),
            (
                "group.share.record.lock.duration.ms",
                self.share_record_lock_ms,
                60_000,
            ),
            (
                "group.share.delivery.count.limit",
                self.share_delivery_count_limit.into(),
                10,
            ),
            (
                "group.share.partition.max.record.locks",
                self.share_max_record_locks.into(),
                4_000,
            ),
        ];
        for (key, value, most) in most {
            if value > most {
                found.push((key, format!("{key} is at most {most} by default")));
            }
        }
        if heartbeat.1 >= session.1 {
            let message = format!("{} must be less than {}", heartbeat.0, session.0);
            found.push((heartbeat.0, message));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafka_refuses_at_start() {
        let check = |pairs: &[(&str, &str)], expected: &[&str]| {
            let mut config = BrokerConfig::default();
            for (key, value) in pairs {
                config.set(key, value).expect("a known key and value");
            }
            let found = config.group_problems();
            let keys: Vec<&str> = found.iter().map(|(key, _)| *key).collect();
            assert_eq!(keys, expected, "{pairs:?}");
        };
        let session = "group.consumer.session.timeout.ms";
        let heartbeat = "group.consumer.heartbeat.interval.ms";
        check(&[], &[]);
        check(&[(session, "10000")], &[session]);
        check(&[(session, "60001")], &[session]);
        check(
            &[
                (session, "10000"),
                ("group.consumer.min.session.timeout.ms", "6000"),
            ],
            &[],
        );
        check(&[(heartbeat, "1000")], &[heartbeat]);
        check(&[(heartbeat, "15001")], &[heartbeat]);
        let most = "group.consumer.max.heartbeat.interval.ms";
        check(&[(heartbeat, "45000"), (most, "50000")], &[heartbeat]);
    }

    #[test]
    fn assignors_are_a_list() {
        let read = ServerAssignors::parse("range, uniform").expect("two assignors");
        assert_eq!(read.show(), "range,uniform");
        assert!(ServerAssignors::parse("sticky").is_err());
    }
}
