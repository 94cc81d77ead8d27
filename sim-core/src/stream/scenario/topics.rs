//! Topics of the scenario's Kafka cluster that a job reads and writes.
//!
//! Follows `KafkaSourceBuilder` and `KafkaSinkBuilder`. A key of the cluster's producers is the job's
//! key of the same name, so that both hash it alike.

use super::document::{GuaranteeWord, IsolationWord, RawSink, RawSource, ResetWord, StartingWord};
use super::keys::KeyTable;
use super::operators::foreign;
use crate::kafka::config::OffsetReset;
use crate::kafka::spec::{ClusterSpec, Keys, ProducerSpec, TopicSpec};
use crate::scenario::{At, Problem, Reader, limits, units};
use crate::stream::config::KafkaSourceConfig;
use crate::stream::spec::{Guarantee, JobSpec, KafkaSink, KafkaSource, KafkaStart, OperatorKind};

/// The cluster, if the scenario has one.
pub(super) type Cluster<'c> = Option<&'c ClusterSpec>;

/// What the job's own keys are called that have no name.
const PREFIX: &str = "key-";

/// Looks a topic up.
pub(super) fn topic<'c>(
    name: &At<String>,
    cluster: Cluster<'c>,
    reader: &mut Reader<'_>,
) -> Option<&'c TopicSpec> {
    let shown = units::shorten(&name.value);
    let Some(cluster) = cluster else {
        let message = format!("there is no Kafka cluster that could have a topic `{shown}`");
        let problem = Problem::new("unknown-name", message);
        reader.report(&name.span, problem.help("add a section [kafka]"));
        return None;
    };
    let found = cluster.topics.iter().find(|it| it.name == name.value);
    if found.is_none() {
        let known = cluster.topics.iter().map(|it| it.name.as_str());
        let problem = Problem::new("unknown-name", format!("there is no topic `{shown}`"));
        reader.report(&name.span, problem.near(&name.value, known));
    }
    found
}

fn producers<'c>(name: &'c str, cluster: Cluster<'c>) -> impl Iterator<Item = &'c ProducerSpec> {
    let all = cluster.into_iter().flat_map(|it| &it.producers);
    all.filter(move |it| it.topic == name)
}

fn many(keys: Keys) -> u32 {
    match keys {
        Keys::None => 0,
        Keys::Cycle { n } | Keys::Uniform { n } | Keys::Zipf { n, .. } => {
            n.min(limits::STREAM_KEYS)
        }
    }
}

/// How many keys with the job's own names the producers of a topic make; none if they have others.
pub(super) fn keys_made(name: &At<String>, cluster: Cluster<'_>) -> Option<u32> {
    let own = producers(&name.value, cluster).filter(|it| it.load.key_prefix == PREFIX);
    own.map(|it| many(it.load.keys)).max()
}

/// What a source reads, if it reads a topic.
pub(super) fn source(
    doc: &RawSource,
    cluster: Cluster<'_>,
    keys: &mut KeyTable,
    keyed: &mut bool,
    reader: &mut Reader<'_>,
) -> Option<KafkaSource> {
    let Some(name) = &doc.kafka else {
        let without = "a source that reads no topic";
        foreign(doc.starting.as_ref(), "starting-offsets", without, reader);
        foreign(doc.start.as_ref(), "start-offset", without, reader);
        foreign(doc.reset.as_ref(), "auto-offset-reset", without, reader);
        foreign(doc.isolation.as_ref(), "isolation-level", without, reader);
        foreign(doc.config.as_ref(), "config", without, reader);
        return None;
    };
    if let Some(at) = &doc.config {
        const COMMIT: &str = "commit.offsets.on.checkpoint";
        let (config, place) = (&at.value.value, at.value.place(COMMIT));
        if let Some(place) = place.filter(|_| config.commit_offsets && config.group_id.is_empty()) {
            let message = "Property group.id is required when offset commit is enabled";
            let problem = Problem::new("contradiction", message);
            reader.report(place, problem.help("set `group.id`"));
        }
    }
    let (start, reset) = start(doc, reader);
    let mut known = Vec::new();
    let all = || producers(&name.value, cluster);
    if all().any(|it| it.load.keys == Keys::None) {
        *keyed = false;
        known.push(keys.key(None));
    } else if let Some(load) = all().map(|it| &it.load).max_by_key(|it| many(it.keys)) {
        let names = (0..many(load.keys)).map(|number| format!("{}{number}", load.key_prefix));
        known.extend(names.map(|it| keys.key(Some(&it))));
    }
    Some(KafkaSource {
        topic: name.value.clone(),
        start,
        reset,
        read_committed: doc.isolation.as_ref().map(|at| at.value) == Some(IsolationWord::Committed),
        keys: known,
        config: doc
            .config
            .as_ref()
            .map_or_else(KafkaSourceConfig::default, |at| at.value.value.clone()),
    })
}

/// Where a source begins, and what becomes of one without a position. Only some initializers leave
/// that open.
fn start(doc: &RawSource, reader: &mut Reader<'_>) -> (KafkaStart, OffsetReset) {
    let word = doc.starting.as_ref().map(|at| at.value);
    let start = match (&doc.start, word) {
        (Some(at), _) => {
            let with = "a start-offset";
            foreign(doc.starting.as_ref(), "starting-offsets", with, reader);
            KafkaStart::At(i64::try_from(at.value).unwrap_or(i64::MAX))
        }
        (None, Some(StartingWord::Latest)) => KafkaStart::Latest,
        (None, Some(StartingWord::Committed)) => KafkaStart::Committed,
        (None, Some(StartingWord::Earliest) | None) => KafkaStart::Earliest,
    };
    match start {
        KafkaStart::Earliest | KafkaStart::Latest => {
            let with = "starting-offsets that are the earliest or the latest: these decide it";
            foreign(doc.reset.as_ref(), "auto-offset-reset", with, reader);
        }
        KafkaStart::Committed => {
            let config = doc.config.as_ref().map(|at| &at.value.value);
            let group = config.is_some_and(|it| !it.group_id.is_empty());
            if let Some(at) = doc.starting.as_ref().filter(|_| !group) {
                let message = "Property group.id is required when using committed offset for \
                               offsets initializer";
                let problem = Problem::new("contradiction", message);
                reader.report(&at.span, problem.help("set `group.id` in its `config`"));
            }
        }
        KafkaStart::At(_) => {}
    }
    let reset = match doc.reset.as_ref().map(|at| at.value) {
        None => start.reset(),
        Some(ResetWord::Earliest) => OffsetReset::Earliest,
        Some(ResetWord::Latest) => OffsetReset::Latest,
        Some(ResetWord::None) => OffsetReset::None,
    };
    (start, reset)
}

/// Where a sink writes, if it writes to a topic.
pub(super) fn sink(
    raw: &At<RawSink>,
    cluster: Cluster<'_>,
    reader: &mut Reader<'_>,
) -> Option<KafkaSink> {
    let doc = &raw.value;
    let name = doc.kafka.as_ref()?;
    foreign(doc.store.as_ref(), "store", "a topic", reader);
    if let Some(at) = &doc.guarantee
        && matches!(
            at.value,
            GuaranteeWord::Idempotent | GuaranteeWord::WriteAheadLog | GuaranteeWord::WithOffset
        )
    {
        let problem = Problem::bad_value(
            "a KafkaSink has no such guarantee",
            "none, at-least-once or exactly-once",
        );
        reader.report(&at.span, problem);
    }
    topic(name, cluster, reader)?;
    let config = &cluster?.config;
    if let Some(at) = &doc.guarantee
        && at.value == GuaranteeWord::ExactlyOnce
    {
        let timeout = doc.timeout.as_ref().map_or(3_600_000, |at| at.value.0);
        let most = config.txn_max_timeout_ms;
        if timeout > most {
            let message = format!(
                "INVALID_TRANSACTION_TIMEOUT: the coordinator refuses a transaction.timeout.ms of \
                 {timeout}, since its transaction.max.timeout.ms is {most}"
            );
            let place = doc.timeout.as_ref().map_or(&at.span, |at| &at.span);
            let help = "shorten `transaction-timeout` (default 1h), or raise the broker's setting";
            reader.report(place, Problem::new("contradiction", message).help(help));
        }
    }
    Some(KafkaSink {
        topic: name.value.clone(),
        transaction_version: u8::try_from(config.transaction_version).unwrap_or(u8::MAX),
    })
}

/// Whether a job commits offsets to groups.
pub(super) fn uses_groups(spec: &JobSpec) -> bool {
    spec.operators.iter().any(|it| match &it.kind {
        OperatorKind::Source(source) => {
            let kafka = source.kafka.as_ref();
            kafka.is_some_and(|it| it.group().is_some())
        }
        _ => false,
    })
}

/// Whether a job writes to topics in transactions.
pub(super) fn uses_transactions(spec: &JobSpec) -> bool {
    spec.operators.iter().any(|it| match &it.kind {
        OperatorKind::Sink(sink) => {
            let exact = matches!(sink.guarantee, Guarantee::ExactlyOnce { .. });
            exact && sink.kafka.is_some()
        }
        _ => false,
    })
}
