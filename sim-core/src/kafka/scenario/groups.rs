//! What scenarios may say of consumer groups: what Kafka refuses, and what the model does not have.

use super::document::RawKafka;
use super::read::{self, list, place};
use super::settings::Config;
use crate::kafka::config::{BrokerConfig, CommitMode, ConsumerConfig};
use crate::kafka::group_config::GroupProtocol;
use crate::kafka::group_protocol::OFFSETS_TOPIC;
use crate::kafka::spec::ClusterSpec;
use crate::scenario::{At, Problem, Reader};

/// What a broker refuses at start about groups.
pub(super) fn check_broker_config(config: &Config<BrokerConfig>, reader: &mut Reader<'_>) {
    for (key, message) in config.value.group_problems() {
        // A bound that was written is to blame as well as the value.
        let bound = |part| key.replace("consumer.", &format!("consumer.{part}."));
        let span = config.place(key).or(config.place(&bound("min")));
        if let Some(span) = span.or(config.place(&bound("max"))) {
            let problem = Problem::new("contradiction", message);
            reader.report(
                span,
                problem.help("Kafka's broker refuses to start with this"),
            );
        }
    }
}

/// Keys that a consumer refuses with its `group.protocol`, each at its line.
pub(super) fn check_keys(config: &Config<ConsumerConfig>, reader: &mut Reader<'_>) {
    let (refused, why) = config.value.refused_keys();
    for key in refused {
        if let Some(span) = config.place(key) {
            let problem = Problem::new("contradiction", format!("{key} {why}"));
            reader.report(
                span,
                problem.help("Kafka's consumer refuses to start with this"),
            );
        }
    }
}

/// What does not go together in an application around a consumer.
pub(super) fn check_application(
    config: &Config<ConsumerConfig>,
    writes: bool,
    reader: &mut Reader<'_>,
) {
    let own = &config.value;
    let mut refuse = |key: &str, message: &str| {
        if let Some(span) = config.place(key) {
            reader.report(span, Problem::new("contradiction", message));
        }
    };
    if own.processing_spread_percent > 100 {
        let key = "application.processing.spread.percent";
        refuse(key, "no record takes less than no time: at most 100");
    }
    if own.workers > 1 {
        let why = match (writes, own.group_protocol, own.commit) {
            (true, ..) => "a processor works on its records one after the other",
            (_, GroupProtocol::Share, _) => {
                "a share consumer works on its records one after the other: add members"
            }
            (.., CommitMode::Before) => {
                "workers finish in any order; with `application.commit = \"before\"` nobody asks"
            }
            _ => return,
        };
        refuse("application.workers", why);
    }
}

/// What the model of groups does not have, or Kafka refuses: members of one group that read
/// different topics, partitions by hand in a group, one instance id for two.
pub(super) fn check(doc: &RawKafka, spec: &ClusterSpec, reader: &mut Reader<'_>) {
    for (at, (raw, own)) in list(doc.consumers.as_ref())
        .iter()
        .zip(&spec.consumers)
        .enumerate()
    {
        let group = &own.config.group_id;
        if group.is_empty() {
            continue;
        }
        let span = place(raw.value.config.as_ref(), &raw.span);
        if !own.partitions.is_empty() {
            let message = "a member of a group names no partitions: the group assigns them";
            let given = place(raw.value.partitions.as_ref(), &span);
            reader.report(&given, Problem::new("contradiction", message));
        }
        let mut others = spec.consumers.iter().take(at);
        if let Some(other) = others.find(|it| it.config.group_id == *group && it.topic != own.topic)
        {
            let message = format!(
                "`{}` reads another topic in the group `{group}`; here all members read the same",
                other.name
            );
            let given = place(raw.value.topic.as_ref(), &span);
            reader.report(&given, Problem::new("contradiction", message));
        }
        let protocol = own.config.group_protocol;
        let mut others = spec.consumers.iter().take(at);
        if let Some(other) =
            others.find(|it| it.config.group_id == *group && it.config.group_protocol != protocol)
        {
            let message = format!(
                "`{}` has another group.protocol in the group `{group}`; here all members have one",
                other.name
            );
            reader.report(&span, Problem::new("contradiction", message));
        }
    }
}

/// `__consumer_offsets` counts as any topic does.
pub(super) fn check_replicas(
    raw: &At<RawKafka>,
    spec: &ClusterSpec,
    replicas: usize,
    reader: &mut Reader<'_>,
) {
    let Some(topic) = spec.topics.last().filter(|it| it.name == OFFSETS_TOPIC) else {
        return;
    };
    let more: usize = topic.assignment.iter().map(Vec::len).sum();
    let span = place(raw.value.config.as_ref(), &raw.span);
    read::check_replicas(replicas.saturating_add(more), &span, reader);
}
