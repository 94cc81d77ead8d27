//! The `[kafka]` section as it stands in the document.

use super::settings::Config;
use crate::kafka::config::{
    BrokerConfig, ConsumerConfig, ProducerConfig, QuotaConfig, TopicConfig,
};
use crate::kafka::rules::replication::HighWatermarkOver;
use crate::kafka::rules::truncation::TruncationRule;
use crate::scenario::{
    At, Item, Milli, Problem, Rate, Raw, Reader, Speed, Time, choice, document, wrong_kind,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

document! {
    /// An Apache Kafka cluster with its clients.
    pub(crate) struct RawKafka {
        "brokers" => brokers: Servers, required, "How many brokers (named b1, b2, …), or their names, or a table of names and node.ids.";
        "controllers" => controllers: Servers, optional, "The same for the KRaft controllers (default 3, named c1, c2, …).";
        "racks" => racks: RackNames, optional, "The `broker.rack` of brokers, by their names, e.g. { b1 = \"east\", b2 = \"west\" }.";
        "config" => config: Config<BrokerConfig>, optional, "Settings of all brokers and controllers, by Kafka's own keys.";
        "rules" => rules: RawRules, optional, "Switches of the replication protocol; left out, Kafka 4.x as it is.";
        "topic" => topics: Vec<At<RawTopic>>, optional, "The topics.";
        "producer" => producers: Vec<At<RawProducer>>, optional, "Applications that write.";
        "group" => groups: Vec<At<RawGroup>>, optional, "Consumer groups: what their members have alike.";
        "consumer" => consumers: Vec<At<RawConsumer>>, optional, "Applications that read.";
        "processor" => processors: Vec<At<RawProcessor>>, optional, "Applications that read one topic and write to another.";
        "quota" => quotas: Vec<At<RawQuota>>, optional, "Quotas of clients (kafka-configs.sh --entity-type clients).";
    }
}

document! {
    /// Switches of the replication protocol, to show what a rule is for by taking it away.
    pub(crate) struct RawRules {
        "truncation" => truncation: Truncation, optional, "How a follower finds the part of its log to drop (default epoch).";
        "high-watermark-over" => hw_over: HwOver, optional, "Over which replicas the leader takes its high watermark (default maximal-isr).";
        "expand-requires-epoch-start" => expand: bool, optional, "A follower must reach the start of the leader's epoch before it joins the ISR (default true, KIP-320).";
        "fence-fetch-epoch" => fence: bool, optional, "Fetches of another leader epoch are refused (default true, KIP-320).";
        "strict-min-isr" => strict: bool, optional, "The high watermark stands still while the ISR is below min.insync.replicas (default true, since 3.7).";
        "eligible-leader-replicas" => elr: bool, optional, "Eligible leader replicas, KIP-966 (default true).";
    }
}

choice! {
    /// How a follower finds the part of its log to drop.
    pub(crate) enum Truncation {
        "epoch" => Epoch, "By the leader epoch named in each fetch (KIP-320, KIP-595; today).";
        "kip-279" => Kip279, "By asking for the end of an epoch, step by step (KIP-279), without fencing.";
        "kip-101" => Kip101, "By asking for the end of its last epoch, answered with an offset only (KIP-101).";
        "high-watermark" => HighWatermark, "By cutting back to its own high watermark (before 0.11): loses committed records.";
    }
}

choice! {
    /// Over which replicas the leader takes its high watermark.
    pub(crate) enum HwOver {
        "maximal-isr" => MaximalIsr, "The committed ISR and what may join it (today).";
        "committed-only" => CommittedOnly, "The committed ISR alone: a member the leader does not know of yet does not count.";
        "pending-only" => PendingOnly, "The ISR the leader asked for: a shrink counts before it is committed.";
    }
}

impl Truncation {
    pub(super) fn rule(self) -> TruncationRule {
        match self {
            Truncation::Epoch => TruncationRule::Epoch,
            Truncation::Kip279 => TruncationRule::Kip279,
            Truncation::Kip101 => TruncationRule::Kip101,
            Truncation::HighWatermark => TruncationRule::HighWatermark,
        }
    }
}

impl HwOver {
    pub(super) fn rule(self) -> HighWatermarkOver {
        match self {
            HwOver::MaximalIsr => HighWatermarkOver::MaximalIsr,
            HwOver::CommittedOnly => HighWatermarkOver::CommittedOnly,
            HwOver::PendingOnly => HighWatermarkOver::PendingOnly,
        }
    }
}

document! {
    /// A topic.
    pub(crate) struct RawTopic {
        "name" => name: String, required, "Its name.";
        "partitions" => partitions: u32, optional, "How many partitions (default 1).";
        "replication-factor" => replication_factor: u32, optional, "How many replicas each partition has; needed unless `assignment` is given.";
        "assignment" => assignment: Vec<At<Vec<At<String>>>>, optional, "The brokers of each partition, the preferred leader first, e.g. [[\"b1\", \"b2\"], [\"b2\", \"b3\"]].";
        "config" => config: Config<TopicConfig>, optional, "Its settings, by Kafka's own keys.";
    }
}

document! {
    /// An application that writes to a topic.
    pub(crate) struct RawProducer {
        "name" => name: String, required, "Its name.";
        "topic" => topic: String, required, "Where it writes.";
        "config" => config: Config<ProducerConfig>, optional, "Settings of its producer, by Kafka's own keys.";
        "load" => load: RawLoad, optional, "What it sends, and when; left out: nothing but what the timeline orders.";
    }
}

document! {
    /// What an application sends, and when.
    pub(crate) struct RawLoad {
        "kind" => kind: LoadKind, required, "How records come over time.";
        "rate" => rate: Rate, optional, "Records per second, e.g. 250, or \"30/min\".";
        "gap" => gap: Time, optional, "The time between two records, in place of `rate`.";
        "on" => on: Time, optional, "With bursts: length of a burst.";
        "off" => off: Time, optional, "With bursts: silence after it.";
        "keys" => keys: RawKeys, optional, "Which keys the records have (default none).";
        "record-size" => record_size: Speed, optional, "Bytes of key and value, e.g. 100 or \"1KiB\" (default 100).";
        "start" => start: Time, optional, "First record at this time (default 0s).";
        "stop" => stop: Time, optional, "No record from this time on.";
        "limit" => limit: u64, optional, "At most this many records.";
    }
}

choice! {
    /// How records come over time.
    pub(crate) enum LoadKind {
        "none" => None, "Nothing by itself.";
        "constant" => Constant, "One record each gap.";
        "poisson" => Poisson, "Exponential gaps (a Poisson process).";
        "bursts" => Bursts, "Constant gaps during bursts, silence between them.";
    }
}

document! {
    /// Which keys records have.
    pub(crate) struct RawKeys {
        "kind" => kind: KeysKind, required, "How a key is chosen.";
        "count" => count: u32, optional, "Number of keys (default 10).";
        "exponent" => exponent: Milli, optional, "With zipf: key k has weight 1/(k+1)^exponent (default 1).";
        "tombstones" => tombstones: Milli, optional, "Share of records without a value, from 0 to 1: compaction drops their keys (default 0).";
        "prefix" => prefix: String, optional, "Text before the key's number (default \"key-\").";
    }
}

choice! {
    /// How a key is chosen.
    pub(crate) enum KeysKind {
        "none" => None, "No key: the producer's own partitioner chooses.";
        "cycle" => Cycle, "Keys in turn.";
        "uniform" => Uniform, "Each key equally likely.";
        "zipf" => Zipf, "Few keys make most of the load (Zipf's law).";
    }
}

document! {
    /// An application that reads from a topic: by itself, or as a member of a group.
    pub(crate) struct RawConsumer {
        "name" => name: String, required, "Its name.";
        "topic" => topic: String, optional, "What it reads.";
        "topics" => topics: Vec<At<String>>, optional, "What it reads, if it is a member that subscribes to several.";
        "partitions" => partitions: Vec<At<u16>>, optional, "Which partitions (default all).";
        "group" => group: String, optional, "The group that it is a member of: the id of a [[kafka.group]].";
        "config" => config: Config<ConsumerConfig>, optional, "Settings of its consumer, by Kafka's own keys.";
        "start" => start: Time, optional, "When it starts to poll (default 0s).";
    }
}

impl RawConsumer {
    /// A member of which its group says all there is.
    pub(super) fn of_group(name: &At<String>, group: &RawGroup) -> Self {
        RawConsumer {
            name: Some(name.clone()),
            topic: group.topic.clone(),
            topics: group.topics.clone(),
            group: group.id.clone(),
            ..RawConsumer::default()
        }
    }
}

document! {
    /// A group of consumers: what its members have alike, and the members that have nothing else.
    pub(crate) struct RawGroup {
        "id" => id: String, required, "Its group.id.";
        "config" => config: Config<ConsumerConfig>, optional, "Settings of all its members, by Kafka's own keys; a member's own come first.";
        "topic" => topic: String, optional, "What the members that are named here read.";
        "topics" => topics: Vec<At<String>>, optional, "The same, if it is several.";
        "members" => members: Vec<At<String>>, optional, "Names of consumers with nothing of their own. Others join with `group`, or with a group.id in their config.";
    }
}

document! {
    /// An application that reads a topic, as a member of a group, and writes to another.
    pub(crate) struct RawProcessor {
        "name" => name: String, required, "Its name.";
        "from" => from: String, required, "What it reads.";
        "to" => to: String, required, "Where it writes.";
        "consumer" => consumer: Config<ConsumerConfig>, optional, "Settings of its consumer, by Kafka's own keys; it needs a group.id.";
        "producer" => producer: Config<ProducerConfig>, optional, "Settings of its producer, by Kafka's own keys.";
        "start" => start: Time, optional, "When it starts to poll (default 0s).";
    }
}

document! {
    /// The quotas of a client on each broker.
    pub(crate) struct RawQuota {
        "client" => client: String, optional, "A producer or consumer; left out: each client without quotas of its own.";
        "config" => config: Config<QuotaConfig>, optional, "Its quotas, by Kafka's own keys.";
    }
}

/// Brokers and their racks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RackNames(pub(super) Vec<(At<String>, At<String>)>);

impl Item for RackNames {
    fn expected() -> String {
        "a table of brokers and racks".to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Table(fields) = &raw.value else {
            return wrong_kind(raw, reader);
        };
        let racks = fields.iter().filter_map(|(name, rack)| {
            let value: String = Item::read(rack, reader)?;
            if value.is_empty() {
                let problem = Problem::bad_value("a rack has a name", "a name");
                reader.report(&rack.span, problem);
            }
            Some((name.clone(), At::new(value, rack.span.clone())))
        });
        Some(RackNames(racks.collect()))
    }
}

impl JsonSchema for RackNames {
    fn schema_name() -> Cow<'static, str> {
        "KafkaRacks".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A table of brokers and their racks.",
            "type": "object",
            "additionalProperties": { "type": "string", "minLength": 1 },
        })
    }
}

/// Brokers or controllers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Servers {
    /// So many, with names by number.
    Count(u32),
    /// These, with ids if they were given.
    Named(Vec<(At<String>, Option<At<i32>>)>),
}

impl Item for Servers {
    fn expected() -> String {
        "a number, a list of names, or a table of names and node.ids".to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match &raw.value {
            Raw::Int(..) => Some(Servers::Count(Item::read(raw, reader)?)),
            Raw::List(_) => {
                let names: Vec<At<String>> = Item::read(raw, reader)?;
                Some(Servers::Named(
                    names.into_iter().map(|name| (name, None)).collect(),
                ))
            }
            Raw::Table(fields) => {
                let mut named = Vec::new();
                for (name, id) in fields {
                    let value: Option<i32> = Item::read(id, reader);
                    if value.is_some_and(|id| id < 0) {
                        let problem = Problem::bad_value("a node.id is not negative", "0 or more");
                        reader.report(&id.span, problem);
                    }
                    named.push((name.clone(), value.map(|v| At::new(v, id.span.clone()))));
                }
                Some(Servers::Named(named))
            }
            _ => wrong_kind(raw, reader),
        }
    }
}

impl JsonSchema for Servers {
    fn schema_name() -> Cow<'static, str> {
        "KafkaServers".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, a list of names, or a table of names and node.ids.",
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                { "type": "object", "additionalProperties": { "type": "integer", "minimum": 0 } },
            ],
        })
    }
}
