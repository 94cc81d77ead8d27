//! What scenarios may say of consumer groups: what Kafka refuses, and what the model does not have.

use super::consumers::Member;
use super::document::RawKafka;
use super::read::{self, place};
use super::settings::Config;
use crate::kafka::config::{Assignor, BrokerConfig, CommitMode, ConsumerConfig};
use crate::kafka::group_config::{GroupProtocol, ServerAssignors};
use crate::kafka::group_protocol::OFFSETS_TOPIC;
use crate::kafka::spec::{ClusterSpec, ConsumerSpec};
use crate::scenario::{At, Problem, Reader, Severity};
use crate::settings::SettingValue;
use std::ops::Range;

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
    let (least_key, most_key) = (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    );
    let span = config.place(least_key).or(config.place(most_key));
    if let (Some(span), Some((least, most))) = (span, no_session(&config.value)) {
        let message = format!(
            "`{least_key}` ({least}) is above `{most_key}` ({most}): whoever joins is answered \
             INVALID_SESSION_TIMEOUT"
        );
        reader.report(span, Problem::new("contradiction", message));
    }
}

/// The bounds of `session.timeout.ms`, if nothing is within them: no member is to blame then.
fn no_session(config: &BrokerConfig) -> Option<(i64, i64)> {
    let bounds = (
        config.group_min_session_timeout_ms,
        config.group_max_session_timeout_ms,
    );
    (bounds.0 > bounds.1).then_some(bounds)
}

/// Internal topics that could not be made, or not be written to. Left out, a factor is at most the
/// number of brokers, and a `min.isr` at most the factor; what is written is meant.
pub(super) fn check_internal_topics(
    config: &Config<BrokerConfig>,
    brokers: usize,
    reader: &mut Reader<'_>,
) {
    let c = &config.value;
    let live = u32::try_from(brokers).unwrap_or(u32::MAX);
    let (offsets, txns, shares) = (
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    );
    let factors = [
        (offsets, c.offsets_topic_replication_factor),
        (txns, c.txn_log_replication_factor),
        (shares, c.share_state_replication_factor),
    ];
    for (key, factor) in factors {
        if let Some(span) = config.place(key).filter(|_| factor > live) {
            let message = format!(
                "INVALID_REPLICATION_FACTOR: `{key}` ({factor}) is above the number of brokers \
                 ({live})"
            );
            let problem = Problem::new("contradiction", message);
            reader.report(span, problem.expected(format!("at most {live}")));
        }
    }
    let least = [
        (
            ("transaction.state.log.min.isr", c.txn_log_min_isr),
            (txns, c.txn_log_replication_factor),
        ),
        (
            (
                "share.coordinator.state.topic.min.isr",
                c.share_state_min_isr,
            ),
            (shares, c.share_state_replication_factor),
        ),
    ];
    for ((key, min_isr), (factor_key, factor)) in least {
        let replicas = factor.min(live);
        if let Some(span) = config.place(key).filter(|_| min_isr > replicas) {
            let message = format!(
                "`{key}` ({min_isr}) is above the number of replicas ({replicas}, by \
                 `{factor_key}` and the brokers): every write is refused, NOT_ENOUGH_REPLICAS"
            );
            reader.report(span, Problem::new("contradiction", message));
        }
    }
}

/// What does not go together in an application around a consumer; `writes` if it is a processor.
pub(super) fn application(own: &ConsumerConfig, writes: bool) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    if own.processing_spread_percent > 100 {
        let key = "application.processing.spread.percent";
        found.push((key, "no record takes less than no time: at most 100"));
    }
    let why = match (writes, own.group_protocol, own.commit) {
        _ if own.workers <= 1 => return found,
        (true, ..) => "a processor works on its records one after the other",
        (_, GroupProtocol::Share, _) => {
            "a share consumer works on its records one after the other: add members"
        }
        (.., CommitMode::Before) => {
            "workers finish in any order; with `application.commit = \"before\"` nobody asks"
        }
        _ => return found,
    };
    found.push(("application.workers", why));
    found
}

/// What keeps members out of their group: what its coordinator refuses, by Kafka's error, and what
/// the model does not have (members of one group with different protocols).
pub(super) fn check(members: &[Member], spec: &ClusterSpec, reader: &mut Reader<'_>) {
    let consumers = spec.consumers.iter();
    let own = consumers.chain(spec.processors.iter().map(|it| &it.consumer));
    let own: Vec<&ConsumerSpec> = own.collect();
    let mut told: Vec<(&str, String)> = Vec::new();
    for (at, (member, spec_of)) in members.iter().zip(&own).enumerate() {
        let config = &spec_of.config;
        if config.group_id.is_empty() {
            continue;
        }
        let before = own.iter().take(at);
        let before: Vec<&ConsumerSpec> = before
            .filter(|it| it.config.group_id == config.group_id)
            .copied()
            .collect();
        let found = beside(spec_of, &before, member)
            .or_else(|| refused(config, &before, member, &spec.config))
            .filter(|_| member.starts);
        let Some((span, message, severity)) = found else {
            continue;
        };
        // Once for each group.
        let group = config.group_id.as_str();
        if told.iter().all(|it| (it.0, &it.1) != (group, &message)) {
            let mut problem = Problem::new("contradiction", message.as_str());
            if severity == Severity::Warning {
                problem = problem.warning();
            }
            reader.report(&span, problem);
            told.push((group, message));
        }
    }
}

/// Where something is wrong, what, and whether the run can show it.
type Found = Option<(Range<usize>, String, Severity)>;

/// Members of one group that cannot be in it together here.
fn beside(own: &ConsumerSpec, before: &[&ConsumerSpec], member: &Member) -> Found {
    let (group, protocol) = (&own.config.group_id, own.config.group_protocol);
    let mut others = before.iter();
    let other = others.find(|it| it.config.group_protocol != protocol)?;
    let message = format!(
        "`{}` has another group.protocol in the group `{group}`; here all members have one",
        other.name
    );
    Some((member.span.clone(), message, Severity::Error))
}

/// What the coordinator answers to a member that joins with this.
fn refused(
    config: &ConsumerConfig,
    before: &[&ConsumerSpec],
    member: &Member,
    brokers: &BrokerConfig,
) -> Found {
    let at = |key| member.config.place(key).unwrap_or(&member.span).clone();
    let classic = config.group_protocol == GroupProtocol::Classic;
    let (least, most) = (
        brokers.group_min_session_timeout_ms,
        brokers.group_max_session_timeout_ms,
    );
    let session = config.session_timeout_ms;
    if classic && no_session(brokers).is_none() && !(least..=most).contains(&session) {
        let message = format!(
            "INVALID_SESSION_TIMEOUT: `session.timeout.ms` ({session}) is not within the brokers' \
             `group.min.session.timeout.ms` and `group.max.session.timeout.ms` ({least} to {most})"
        );
        return Some((at("session.timeout.ms"), message, Severity::Error));
    }
    let assignor = config.group_remote_assignor.as_str();
    let known = &brokers.group_consumer_assignors;
    if !assignor.is_empty() && known.0.iter().all(|it| it.name() != assignor) {
        let message = format!(
            "UNSUPPORTED_ASSIGNOR: the brokers' `group.consumer.assignors` are {}",
            known.show()
        );
        // One that the brokers have not switched on is a mistake that a run can show.
        let severity = match ServerAssignors::parse(assignor) {
            Ok(_) => Severity::Warning,
            Err(_) => Severity::Error,
        };
        return Some((at("group.remote.assignor"), message, severity));
    }
    let in_all = |it: &Assignor| {
        let mut all = before.iter().map(|it| &it.config.assignment_strategy.0);
        all.all(|own| own.contains(it))
    };
    if classic && !config.assignment_strategy.0.iter().any(in_all) {
        let message = "INCONSISTENT_GROUP_PROTOCOL: no assignor is in the list of every member";
        let at = at("partition.assignment.strategy");
        return Some((at, message.to_owned(), Severity::Error));
    }
    let (key, size) = match config.group_protocol {
        GroupProtocol::Classic => ("group.max.size", brokers.group_max_size),
        GroupProtocol::Consumer => ("group.consumer.max.size", brokers.group_consumer_max_size),
        GroupProtocol::Share => ("group.share.max.size", brokers.share_max_size),
    };
    let full = u32::try_from(before.len()).is_ok_and(|it| it >= size);
    full.then(|| {
        let group = &config.group_id;
        let message = format!(
            "GROUP_MAX_SIZE_REACHED: the group `{group}` has more members than `{key}` ({size})"
        );
        (member.span.clone(), message, Severity::Error)
    })
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
