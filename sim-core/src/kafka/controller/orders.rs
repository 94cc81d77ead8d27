//! What an operator orders from the active controller.
//!
//! `kafka-leader-election.sh`, `kafka-configs.sh` and `kafka-topics.sh --alter` reach the controller through a broker; the
//! model hands the order to the controller itself. Whoever gives an order waits for no answer: what
//! came of it is seen in the metadata. Settings of the whole cluster are those that Kafka lets one
//! change while it runs, as far as the model has them; all others need a restart.

use super::Controller;
use crate::kafka::bounds::out_of_bounds;
use crate::kafka::config::{BrokerConfig, QuotaConfig, TopicConfig};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{BrokerId, TopicId, TopicPartition};
use crate::kafka::metadata::{ConfigResource, MetadataRecord};
use crate::kafka::node::{KafkaCx, Order};
use crate::kafka::note::Rule;
use crate::kafka::rules::election::{Election, PartitionChange, PartitionRegistration};
use crate::kernel::Nanos;
use crate::scenario::limits;
use crate::settings::SettingError;

use super::partitions::partition_record;

/// What `kafka-configs.sh --entity-default --entity-type brokers` may change.
const DYNAMIC_CLUSTER_KEYS: [&str; 4] = [
    "min.insync.replicas",
    "unclean.leader.election.enable",
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];

/// How a controller calls what only a scenario orders; see [`crate::kafka::parts`].
pub(in crate::kafka) struct AdminPart {
    /// Why it would not be done, if so.
    refuse: fn(&Controller, &Order) -> Option<String>,
    order: fn(&mut Controller, &Order, Nanos, &mut KafkaCx<'_>),
}

impl Controller {
    /// All tools of an administrator.
    pub(in crate::kafka) const ADMIN: AdminPart = AdminPart {
        refuse: Controller::refuse_administration,
        order: Controller::administrate,
    };

    /// Preferred leaders alone can be elected.
    pub(in crate::kafka) const NO_ADMIN: AdminPart = AdminPart {
        refuse: |_, _| Some("this cluster was built without an administrator's tools".to_owned()),
        order: |_, _, _, _| {},
    };

    /// Why the active controller would not do what is ordered, if so.
    #[must_use]
    pub fn refuse(&self, order: &Order) -> Option<String> {
        match order {
            Order::ElectPreferred => None,
            order => (self.parts.table().admin.refuse)(self, order),
        }
    }

    fn refuse_administration(&self, order: &Order) -> Option<String> {
        match order {
            Order::ElectUnclean { topic, partition } => {
                let Some(id) = self.topic(topic) else {
                    return Some(format!("there is no topic `{topic}`"));
                };
                let tp = TopicPartition {
                    topic: id,
                    partition: *partition,
                };
                match self.latest_image()?.partitions.get(&tp) {
                    None => Some(format!("there is no partition {topic}-{partition}")),
                    Some(p) if p.has_leader() => Some(format!(
                        "{topic}-{partition} has a leader: an unclean election is not needed"
                    )),
                    Some(_) => None,
                }
            }
            Order::CreatePartitions { topic, count } => self.added_partitions(topic, *count).err(),
            Order::AlterConfig { topic, key, value } => {
                if let Some(topic) = topic
                    && self.topic(topic).is_none()
                {
                    return Some(format!("there is no topic `{topic}`"));
                }
                config_problem(topic.is_some(), key, value.as_deref())
            }
            Order::Reassign {
                topic,
                partition,
                replicas,
                ..
            } => self.refuse_reassign(topic, *partition, replicas.as_deref()),
            Order::AlterQuota { key, value, .. } => quota_problem(key, value.as_deref()),
            _ => None,
        }
    }

    pub(super) fn on_order(&mut self, order: &Order, now: Nanos, cx: &mut KafkaCx<'_>) {
        if self.active.is_none() {
            return self.refuse_order(ErrorCode::NotController, cx);
        }
        match order {
            Order::ElectPreferred => {
                let wants = |_, p: &crate::kafka::rules::election::PartitionRegistration, _| {
                    !p.has_preferred_leader()
                };
                self.elect_where(Election::Preferred, wants, now, cx);
            }
            order => (self.parts.table().admin.order)(self, order, now, cx),
        }
    }

    fn administrate(&mut self, order: &Order, now: Nanos, cx: &mut KafkaCx<'_>) {
        match order {
            Order::ElectUnclean { topic, partition } => match self.topic(topic) {
                Some(id) => {
                    let asked = TopicPartition {
                        topic: id,
                        partition: *partition,
                    };
                    let elected =
                        self.elect_where(Election::Unclean, |tp, _, _| tp == asked, now, cx);
                    if elected == 0 {
                        self.refuse_order(ErrorCode::ElectionNotNeeded, cx);
                    }
                }
                None => self.refuse_order(ErrorCode::UnknownTopicOrPartition, cx),
            },
            Order::AlterConfig { topic, key, value } => {
                self.alter_config(topic.as_deref(), key, value.as_deref(), now, cx);
            }
            Order::Reassign {
                topic,
                partition,
                replicas,
                throttle,
            } => {
                let done =
                    self.reassign(topic, *partition, replicas.as_deref(), *throttle, now, cx);
                if let Err(error) = done {
                    self.refuse_order(error, cx);
                }
            }
            Order::AlterQuota { client, key, value } => {
                if quota_problem(key, value.as_deref()).is_some() {
                    return self.refuse_order(ErrorCode::InvalidConfig, cx);
                }
                let record = MetadataRecord::Config {
                    resource: ConfigResource::Client(client.as_ref().map(|it| it.1)),
                    key: key.clone(),
                    value: value.clone(),
                };
                self.write(vec![record], now, cx);
            }
            Order::CreatePartitions { topic, count } => {
                match self.added_partitions(topic, *count) {
                    Ok(records) => {
                        self.write(records, now, cx);
                    }
                    Err(_) => self.refuse_order(ErrorCode::InvalidPartitions, cx),
                }
            }
            _ => {}
        }
    }

    /// The partitions that a topic lacks, or why they cannot be made (`createPartitions`).
    ///
    /// Each gets as many replicas as the first partition has, on brokers that are active, the next
    /// partition's beginning one broker further. (Kafka's placer begins at a random broker.)
    fn added_partitions(&self, name: &str, count: u16) -> Result<Vec<MetadataRecord>, String> {
        let image = self.latest_image().ok_or("it is not active")?;
        let topic = self.topic(name);
        let topic = topic.ok_or_else(|| format!("there is no topic `{name}`"))?;
        let at = |partition| TopicPartition { topic, partition };
        let has = (0..count)
            .take_while(|it| image.partitions.contains_key(&at(*it)))
            .count();
        let all: usize = image.partitions.values().map(|it| it.replicas.len()).sum();
        let replicas = image
            .partitions
            .get(&at(0))
            .map_or(0, |it| it.replicas.len());
        let brokers = image.brokers.keys().copied();
        let active: Vec<BrokerId> = brokers.filter(|it| image.is_active(*it)).collect();
        if has >= usize::from(count) {
            return Err(format!(
                "{name} has so many: no partition can be taken away"
            ));
        }
        if active.len() < replicas.max(1) {
            return Err(format!("{name} needs {replicas} active brokers for that"));
        }
        if all + (usize::from(count) - has) * replicas > limits::REPLICAS {
            return Err("that would be too many replicas".to_owned());
        }
        let place = |partition: u16| {
            let begin = usize::from(partition) % active.len();
            let ids = active.iter().cycle().skip(begin).take(replicas);
            MetadataRecord::Partition {
                tp: at(partition),
                state: Box::new(PartitionRegistration::new(ids.copied().collect())),
            }
        };
        // Below `count`, which has 16 bits.
        Ok((has as u16..count).map(place).collect())
    }

    fn refuse_order(&self, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        self.note(Rule::Refused, i64::from(error as u8), -1, cx);
    }

    pub(super) fn topic(&self, name: &str) -> Option<TopicId> {
        let topics = &self.active.as_ref()?.image.topics;
        topics.iter().find(|(_, n)| *n == name).map(|(id, _)| *id)
    }

    fn alter_config(
        &mut self,
        topic: Option<&str>,
        key: &str,
        value: Option<&str>,
        now: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let resource = match topic.map(|name| self.topic(name)) {
            None => ConfigResource::Cluster,
            Some(Some(id)) => ConfigResource::Topic(id),
            Some(None) => return self.refuse_order(ErrorCode::UnknownTopicOrPartition, cx),
        };
        if config_problem(topic.is_some(), key, value).is_some() {
            return self.refuse_order(ErrorCode::InvalidConfig, cx);
        }
        let mut records = vec![MetadataRecord::Config {
            resource,
            key: key.to_owned(),
            value: value.map(str::to_owned),
        }];
        if key == "min.insync.replicas" {
            records.extend(self.cleared_elrs(resource));
        }
        self.write(records, now, cx);
        if key == "unclean.leader.election.enable" {
            self.unclean_pass(now, cx);
        }
    }

    /// Another minimum makes eligible leader replicas doubtful: they are all dropped
    /// (`ClearElrRecord`).
    fn cleared_elrs(&self, resource: ConfigResource) -> Vec<MetadataRecord> {
        let Some(active) = &self.active else {
            return Vec::new();
        };
        let concerned = |tp: &TopicPartition| match resource {
            ConfigResource::Cluster => true,
            ConfigResource::Topic(id) => tp.topic == id,
            ConfigResource::Client(_) => false,
        };
        let nobody = PartitionChange {
            elr: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..PartitionChange::default()
        };
        let partitions = active.image.partitions.iter();
        partitions
            .filter(|(tp, p)| concerned(tp) && !(p.elr.is_empty() && p.last_known_elr.is_empty()))
            .map(|(tp, partition)| partition_record(*tp, partition, &nobody))
            .collect()
    }
}

/// Why a quota cannot be set so, if it cannot.
fn quota_problem(key: &str, value: Option<&str>) -> Option<String> {
    if let Some(Ok(number)) = value.map(|text| text.replace('_', "").parse::<i128>())
        && let Some((why, _)) = out_of_bounds(key, number)
    {
        return Some(why);
    }
    match QuotaConfig::default().set(key, value.unwrap_or("1")) {
        Ok(()) => None,
        Err(SettingError::UnknownKey) => Some(format!("there is no quota `{key}`")),
        Err(SettingError::BadValue(why)) => Some(why),
    }
}

/// Why a setting of a topic or of the whole cluster cannot be set so, if it cannot.
fn config_problem(topic: bool, key: &str, value: Option<&str>) -> Option<String> {
    let keys = if topic {
        TopicConfig::KEYS
    } else {
        BrokerConfig::KEYS
    };
    if keys.iter().all(|known| known.key != key) {
        return Some(format!("there is no setting `{key}` here"));
    }
    if !topic && !DYNAMIC_CLUSTER_KEYS.contains(&key) {
        return Some(format!("`{key}` cannot be changed while the brokers run"));
    }
    if let Some(Ok(number)) = value.map(|text| text.replace('_', "").parse::<i128>())
        && let Some((why, _)) = out_of_bounds(key, number)
    {
        return Some(why);
    }
    let set = match value {
        None => Ok(()),
        Some(text) if topic => TopicConfig::default().set(key, text),
        Some(text) => BrokerConfig::default().set(key, text),
    };
    match set {
        Ok(()) => None,
        Err(SettingError::UnknownKey) => Some(format!("there is no setting `{key}` here")),
        Err(SettingError::BadValue(why)) => Some(why),
    }
}
