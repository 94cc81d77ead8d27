//! From the `[kafka]` section to the cluster it describes.
//!
//! Replicas are placed round robin: partition `p` has its `i`-th replica on broker `(p + i) mod n`.
//! Kafka's own placer does the same from a random start, so a file that must have a certain leader
//! gives an `assignment`.

use super::consumers::{Groups, Member};
use super::document::{
    HwOver, RackNames, RawKafka, RawProducer, RawQuota, RawRules, RawTopic, Servers, Truncation,
};
use super::settings::Config;
use super::{consumers, groups, load, orders, processors};
use crate::kafka::config::{BrokerConfig, ProducerConfig, QuotaConfig, TopicConfig};
use crate::kafka::ids::BrokerId;
use crate::kafka::rules::replication::ReplicationRules;
use crate::kafka::spec::{ClusterSpec, LoadSpec, ProducerSpec, TopicSpec};
use crate::scenario::{At, NodeName, Problem, Reader, Table, limits, units};
use std::ops::Range;

/// A cluster and its nodes with the places of their names.
pub(super) type Cluster = (ClusterSpec, Vec<(NodeName, Range<usize>)>);

/// Reads the whole section.
pub(super) fn cluster(raw: &At<RawKafka>, reader: &mut Reader<'_>) -> Cluster {
    let mut spec = ClusterSpec::default();
    let mut nodes = Vec::new();
    let doc = &raw.value;
    let servers = |raw: Option<&At<Servers>>, default: u32, first: BrokerId, letter| {
        let span = raw.map_or(0..0, |at| at.span.clone());
        let given = raw.map_or(Servers::Count(default), |at| at.value.clone());
        (given, span, first, letter)
    };
    let brokers = servers(doc.brokers.as_ref(), 0, 1, 'b');
    let controllers = servers(doc.controllers.as_ref(), 3, 101, 'c');
    spec.brokers = name_servers(brokers, "broker", &mut nodes, reader);
    spec.controllers = name_servers(controllers, "controller", &mut nodes, reader);
    check_ids(raw, &spec, reader);
    spec.racks = racks(doc.racks.as_ref(), &spec, reader);
    if let Some(config) = &doc.config {
        spec.config = config.value.value.clone();
        check_broker_config(&config.value, reader);
        groups::check_internal_topics(&config.value, spec.brokers.len(), reader);
    }
    spec.rules = rules(doc.rules.as_ref().map(|at| &at.value), &mut spec.config);
    let mut replicas = 0;
    for topic in list(doc.topics.as_ref()) {
        spec.topics
            .push(read_topic(topic, &spec, &mut replicas, reader));
    }
    for producer in list(doc.producers.as_ref()) {
        let (read, place) = read_producer(producer, &spec, reader);
        nodes.push((node(&read.name, "producer"), place));
        spec.producers.push(read);
    }
    let known = Groups::read(doc.groups.as_ref(), reader);
    let mut members: Vec<Member> = Vec::new();
    let named = known.members();
    for consumer in list(doc.consumers.as_ref()).iter().chain(&named) {
        let (read, place, member) = consumers::read(consumer, &known, &spec, reader);
        nodes.push((node(&read.name, "consumer"), place));
        spec.consumers.push(read);
        members.push(member);
    }
    for processor in list(doc.processors.as_ref()) {
        let (read, place, member) = processors::read(processor, &known, &spec, reader);
        nodes.push((node(&read.consumer.name, "processor"), place));
        spec.processors.push(read);
        members.push(member);
    }
    for quota in list(doc.quotas.as_ref()) {
        let read = read_quota(&quota.value, &spec, reader);
        spec.quotas.push(read);
    }
    groups::check(&members, &spec, reader);
    let internal = spec.offsets_topic();
    spec.topics.extend(internal);
    groups::check_replicas(raw, &spec, replicas, reader);
    (spec, nodes)
}

pub(super) fn list<T>(raw: Option<&At<Vec<At<T>>>>) -> &[At<T>] {
    raw.map_or(&[], |at| at.value.as_slice())
}

fn node(name: &str, kind: &'static str) -> NodeName {
    let name = name.to_owned();
    NodeName { name, kind }
}

pub(super) fn value<T: Clone>(raw: Option<&At<T>>) -> Option<T> {
    raw.map(|at| at.value.clone())
}

pub(super) fn place<T>(raw: Option<&At<T>>, otherwise: &Range<usize>) -> Range<usize> {
    raw.map_or_else(|| otherwise.clone(), |at| at.span.clone())
}

fn name_servers(
    (given, span, first, letter): (Servers, Range<usize>, BrokerId, char),
    kind: &'static str,
    nodes: &mut Vec<(NodeName, Range<usize>)>,
    reader: &mut Reader<'_>,
) -> Vec<(String, BrokerId)> {
    let named: Vec<(At<String>, Option<At<i32>>)> = match given {
        Servers::Named(named) => named,
        Servers::Count(count) => {
            if count as usize > limits::NODES {
                let message = format!("a scenario has at most {} nodes", limits::NODES);
                reader.report(&span, Problem::new("limit-nodes", message));
            }
            (1..=count.min(limits::NODES as u32))
                .map(|n| (At::new(format!("{letter}{n}"), span.clone()), None))
                .collect()
        }
    };
    if named.is_empty() && !span.is_empty() {
        let message = format!("a cluster has at least one {kind}");
        reader.report(&span, Problem::bad_value(message, "1 or more"));
    }
    let mut servers = Vec::new();
    for (n, (name, id)) in named.into_iter().enumerate() {
        nodes.push((node(&name.value, kind), name.span));
        servers.push((name.value, id.map_or(first + n as BrokerId, |id| id.value)));
    }
    servers
}

/// The racks of the brokers that are given one.
fn racks(
    raw: Option<&At<RackNames>>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> Vec<(BrokerId, String)> {
    let mut found = Vec::new();
    for (name, rack) in raw.map_or(&[][..], |at| at.value.0.as_slice()) {
        match spec.brokers.iter().find(|(it, _)| *it == name.value) {
            Some((_, id)) => found.push((*id, rack.value.clone())),
            None => reader.report(&name.span, unknown_broker(&name.value, spec)),
        }
    }
    found
}

fn unknown_broker(name: &str, spec: &ClusterSpec) -> Problem {
    let message = format!("there is no broker `{}`", units::shorten(name));
    let brokers = spec.brokers.iter().map(|(broker, _)| broker.as_str());
    Problem::new("unknown-name", message).near(name, brokers)
}

fn check_ids(raw: &At<RawKafka>, spec: &ClusterSpec, reader: &mut Reader<'_>) {
    let servers = || spec.brokers.iter().chain(&spec.controllers);
    for (at, (name, id)) in servers().enumerate() {
        if let Some((other, _)) = servers().take(at).find(|(_, other)| other == id) {
            let message = format!("`{other}` and `{name}` have the same node.id {id}");
            let given = raw
                .value
                .brokers
                .as_ref()
                .or(raw.value.controllers.as_ref());
            reader.report(&place(given, &raw.span), Problem::new("duplicate", message));
        }
    }
    let count = spec.controllers.len();
    if count > 0 && count.is_multiple_of(2) {
        let message = format!(
            "{count} controllers tolerate no more failures than {}",
            count - 1
        );
        let span = place(raw.value.controllers.as_ref(), &raw.span);
        reader.report(&span, Problem::new("even-quorum", message).warning());
    }
}

/// What `KafkaConfig.validateValues` refuses, and what makes a cluster useless.
fn check_broker_config(config: &Config<BrokerConfig>, reader: &mut Reader<'_>) {
    let c = &config.value;
    let wait = ("replica.fetch.wait.max.ms", c.replica_fetch_wait_max_ms);
    let not_above = [
        (
            wait,
            "replica.socket.timeout.ms",
            c.replica_socket_timeout_ms,
            "every idle fetch would time out",
        ),
        (
            wait,
            "replica.lag.time.max.ms",
            c.replica_lag_time_max_ms,
            "idle followers would leave the ISR",
        ),
        (
            (
                "broker.heartbeat.interval.ms",
                c.broker_heartbeat_interval_ms,
            ),
            "broker.session.timeout.ms",
            c.broker_session_timeout_ms,
            "healthy brokers would be fenced",
        ),
    ];
    for ((low_key, low), high_key, high, why) in not_above {
        let span = config.place(low_key).or(config.place(high_key));
        if let (Some(span), true) = (span, low > high) {
            let message = format!("`{low_key}` ({low}) is above `{high_key}` ({high}): {why}");
            reader.report(span, Problem::new("contradiction", message));
        }
    }
    groups::check_broker_config(config, reader);
}

fn rules(raw: Option<&RawRules>, config: &mut BrokerConfig) -> ReplicationRules {
    let mut rules = ReplicationRules::default();
    if let Some(raw) = raw {
        rules.truncation =
            value(raw.truncation.as_ref()).map_or(rules.truncation, Truncation::rule);
        rules.hw_over = value(raw.hw_over.as_ref()).map_or(rules.hw_over, HwOver::rule);
        let flag = |raw: &Option<At<bool>>, default| value(raw.as_ref()).unwrap_or(default);
        rules.expand_requires_epoch_start = flag(&raw.expand, rules.expand_requires_epoch_start);
        rules.fence_fetch_epoch = flag(&raw.fence, rules.fence_fetch_epoch);
        rules.strict_min_isr = flag(&raw.strict, rules.strict_min_isr);
        rules.elr = flag(&raw.elr, rules.elr);
    }
    // The rule and Kafka's own switch are one: off if either is.
    rules.elr &= config.elr_enabled;
    config.elr_enabled = rules.elr;
    rules
}

/// Kafka's rule for topic names (`Topic.validate`).
fn legal_topic(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !matches!(name, "" | "." | "..") && name.len() <= 249 && name.bytes().all(legal)
}

fn read_topic(
    raw: &At<RawTopic>,
    spec: &ClusterSpec,
    replicas: &mut usize,
    reader: &mut Reader<'_>,
) -> TopicSpec {
    let doc = &raw.value;
    let name = value(doc.name.as_ref()).unwrap_or_default();
    let name_place = place(doc.name.as_ref(), &raw.span);
    if doc.name.is_some() && !legal_topic(&name) {
        let message = format!("`{}` is not a legal topic name", units::shorten(&name));
        let expected = "1 to 249 letters, digits, `.`, `_` and `-`";
        reader.report(&name_place, Problem::bad_value(message, expected));
    }
    if spec.topics.iter().any(|topic| topic.name == name) {
        let message = format!("there are two topics `{}`", units::shorten(&name));
        reader.report(&name_place, Problem::new("duplicate", message));
    }
    let assignment = match &doc.assignment {
        Some(given) => {
            for (extra, key) in [
                (&doc.partitions, "partitions"),
                (&doc.replication_factor, "replication-factor"),
            ] {
                if let Some(extra) = extra {
                    let message = format!("`{key}` follows from `assignment`");
                    reader.report(
                        &extra.span,
                        Problem::new("contradiction", message).help(format!("leave `{key}` out")),
                    );
                }
            }
            *replicas += given.value.iter().map(|one| one.value.len()).sum::<usize>();
            check_replicas(*replicas, &given.span, reader);
            explicit(given, spec, reader)
        }
        None => placed(raw, spec, replicas, reader),
    };
    let config: Config<TopicConfig> = value(doc.config.as_ref()).unwrap_or_default();
    for (key, message) in config.value.problems() {
        let span = config.place(key).or(config.place("min.compaction.lag.ms"));
        let span = span.unwrap_or(&raw.span);
        reader.report(span, Problem::new("contradiction", message));
    }
    if let Some(span) = config.place("remote.storage.enable")
        && config.value.remote_storage_enable
        && !spec.config.remote_storage
    {
        let message = "Tiered Storage functionality is disabled in the broker: \
                       `remote.log.storage.system.enable` is not set";
        reader.report(span, Problem::new("contradiction", message));
    }
    let smallest = assignment.iter().map(Vec::len).min().unwrap_or(0);
    if let Some(span) = config.place("min.insync.replicas")
        && smallest > 0
        && config.value.min_insync_replicas as usize > smallest
    {
        let message = format!(
            "`min.insync.replicas` is above the number of replicas: {smallest} is in force"
        );
        reader.report(span, Problem::new("contradiction", message).warning());
    }
    TopicSpec {
        name,
        assignment,
        config: config.value,
    }
}

pub(super) fn check_replicas(
    replicas: usize,
    span: &Range<usize>,
    reader: &mut Reader<'_>,
) -> bool {
    if replicas <= limits::REPLICAS {
        return true;
    }
    let message = format!(
        "{replicas} replicas of all partitions together; a scenario has at most {}",
        limits::REPLICAS
    );
    reader.report(span, Problem::new("limit-replicas", message));
    false
}

fn explicit(
    given: &At<Vec<At<Vec<At<String>>>>>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> Vec<Vec<BrokerId>> {
    if given.value.is_empty() {
        reader.report(
            &given.span,
            Problem::bad_value(
                "a topic has at least one partition",
                "a list of lists of brokers",
            ),
        );
    }
    let mut assignment = Vec::new();
    for partition in &given.value {
        let mut replicas: Vec<BrokerId> = Vec::new();
        for name in &partition.value {
            let Some((_, id)) = spec
                .brokers
                .iter()
                .find(|(broker, _)| *broker == name.value)
            else {
                let problem = unknown_broker(&name.value, spec);
                reader.report(&name.span, problem);
                continue;
            };
            if replicas.contains(id) {
                let message = format!("`{}` stands twice in one partition", name.value);
                reader.report(&name.span, Problem::new("duplicate", message));
            }
            replicas.push(*id);
        }
        if partition.value.is_empty() {
            let problem =
                Problem::bad_value("a partition has at least one replica", "a list of brokers");
            reader.report(&partition.span, problem);
        }
        assignment.push(replicas);
    }
    assignment
}

fn placed(
    raw: &At<RawTopic>,
    spec: &ClusterSpec,
    replicas: &mut usize,
    reader: &mut Reader<'_>,
) -> Vec<Vec<BrokerId>> {
    let doc = &raw.value;
    let Some(factor) = &doc.replication_factor else {
        if doc.has("replication-factor") || doc.has("assignment") {
            return Vec::new();
        }
        let problem = Problem::new("missing-key", "`replication-factor` is missing")
            .expected("a number from 1 to the number of brokers, or an `assignment`");
        reader.report(&raw.span, problem);
        return Vec::new();
    };
    let partitions = value(doc.partitions.as_ref()).unwrap_or(1);
    if partitions == 0 {
        let span = place(doc.partitions.as_ref(), &raw.span);
        reader.report(
            &span,
            Problem::bad_value("a topic has at least one partition", "1 or more"),
        );
    }
    let brokers = spec.brokers.len();
    let expected = format!("a number from 1 to {brokers}");
    if factor.value == 0 || factor.value as usize > brokers {
        if brokers > 0 {
            let message = format!(
                "{} replicas of each partition do not fit on {brokers} brokers",
                factor.value
            );
            reader.report(&factor.span, Problem::bad_value(message, expected));
        }
        return Vec::new();
    }
    *replicas =
        replicas.saturating_add((partitions as usize).saturating_mul(factor.value as usize));
    let span = place(doc.partitions.as_ref(), &raw.span);
    if !check_replicas(*replicas, &span, reader) {
        return Vec::new();
    }
    let broker = |at: usize| spec.brokers[at % brokers].1;
    (0..partitions as usize)
        .map(|p| (0..factor.value as usize).map(|i| broker(p + i)).collect())
        .collect()
}

fn read_quota(
    doc: &RawQuota,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> (Option<String>, QuotaConfig) {
    if let Some(client) = &doc.client {
        orders::known_client(&client.value, &client.span, spec, reader);
    }
    let config: Config<QuotaConfig> = value(doc.config.as_ref()).unwrap_or_default();
    (value(doc.client.as_ref()), config.value)
}

/// The topic a client names; reports an unknown one.
pub(super) fn topic_of<'s>(
    raw: Option<&At<String>>,
    spec: &'s ClusterSpec,
    reader: &mut Reader<'_>,
) -> Option<&'s TopicSpec> {
    let name = raw?;
    let found = spec.topics.iter().find(|topic| topic.name == name.value);
    if found.is_none() {
        let message = format!("there is no topic `{}`", units::shorten(&name.value));
        let topics = spec.topics.iter().map(|topic| topic.name.as_str());
        let problem = Problem::new("unknown-name", message).near(&name.value, topics);
        reader.report(&name.span, problem);
    }
    found
}

fn read_producer(
    raw: &At<RawProducer>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> (ProducerSpec, Range<usize>) {
    let doc = &raw.value;
    topic_of(doc.topic.as_ref(), spec, reader);
    let config = producer_config(doc.config.as_ref(), &raw.span, spec, reader);
    let load = match &doc.load {
        Some(load) => load::read(load, reader),
        None => LoadSpec::default(),
    };
    let largest = u64::from(config.value.max_request_size).min(config.value.buffer_memory);
    if u64::from(load.record_bytes) > largest {
        let message = format!(
            "records of {} bytes are larger than this producer sends",
            load.record_bytes
        );
        let span = place(doc.load.as_ref(), &raw.span);
        let problem = Problem::new("contradiction", message).expected(format!(
            "at most {largest} bytes (max.request.size, buffer.memory)"
        ));
        reader.report(&span, problem);
    }
    let name_place = place(doc.name.as_ref(), &raw.span);
    let read = ProducerSpec {
        name: value(doc.name.as_ref()).unwrap_or_default(),
        topic: value(doc.topic.as_ref()).unwrap_or_default(),
        config: config.value,
        load,
    };
    (read, name_place)
}

/// Settings of a producer; reports what it would refuse to start with.
pub(super) fn producer_config(
    raw: Option<&At<Config<ProducerConfig>>>,
    otherwise: &Range<usize>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> Config<ProducerConfig> {
    let mut config: Config<ProducerConfig> = value(raw).unwrap_or_default();
    if config.place("delivery.timeout.ms").is_none() {
        config.value.stretch_delivery_timeout();
    }
    for (key, message) in config.value.problems() {
        // The setting that was written, be it this one or the one it contradicts.
        let span = config.place(key).cloned();
        let span = span.unwrap_or_else(|| place(raw, otherwise));
        let problem = Problem::new("contradiction", message);
        reader.report(
            &span,
            problem.help("Kafka's producer refuses to start with this"),
        );
    }
    if let Some(span) = config.place("transactional.id")
        && config.value.transactional_id.is_empty()
    {
        let message = "transactional.id must not be empty";
        reader.report(span, Problem::bad_value(message, "a name"));
    }
    let (own, most) = (&config.value, spec.config.txn_max_timeout_ms);
    if !own.transactional_id.is_empty() && own.transaction_timeout_ms > most {
        let span = config.place("transaction.timeout.ms").cloned();
        let message = format!(
            "INVALID_TRANSACTION_TIMEOUT: `transaction.timeout.ms` ({}) is above the brokers' \
             `transaction.max.timeout.ms` ({most})",
            own.transaction_timeout_ms
        );
        let span = span.unwrap_or_else(|| place(raw, otherwise));
        reader.report(&span, Problem::new("contradiction", message));
    }
    config
}
