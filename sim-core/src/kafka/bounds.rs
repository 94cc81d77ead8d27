//! The bounds that Kafka's own configuration definitions (`ConfigDef`) put on numbers, as far as a
//! value outside of them would break a run.

/// Smallest values; 0 where a key has none here and ends in `.ms`.
const AT_LEAST: &[(&str, i128)] = &[
    ("replica.lag.time.max.ms", 1),
    ("replica.fetch.backoff.ms", 1),
    ("replica.socket.timeout.ms", 1),
    ("replica.fetch.max.bytes", 1),
    ("replica.high.watermark.checkpoint.interval.ms", 1),
    ("min.insync.replicas", 1),
    ("leader.imbalance.check.interval.seconds", 1),
    ("broker.heartbeat.interval.ms", 1),
    ("broker.session.timeout.ms", 1),
    ("controller.quorum.election.timeout.ms", 1),
    ("controller.quorum.fetch.timeout.ms", 1),
    ("controller.quorum.request.timeout.ms", 1),
    ("request.timeout.ms", 1),
    ("log.flush.writeback.ms", 1),
    ("metadata.log.max.record.bytes.between.snapshots", 1),
    ("segment.bytes", 14),
    ("segment.ms", 1),
    ("retention.ms", -1),
    ("retention.bytes", -1),
    ("log.retention.check.interval.ms", 1),
    ("log.cleaner.dedupe.buffer.size", 1_024),
    ("max.compaction.lag.ms", 1),
    ("segment.index.bytes", 4),
    ("flush.messages", 1),
    ("log.flush.interval.messages", 1),
    ("max.in.flight.requests.per.connection", 1),
    ("metadata.max.age.ms", 1),
    ("max.request.size", 1),
    ("fetch.max.bytes", 1),
    ("max.partition.fetch.bytes", 1),
    ("max.poll.records", 1),
    ("max.poll.interval.ms", 1),
    ("group.min.session.timeout.ms", 0),
    ("group.max.session.timeout.ms", 0),
    ("group.max.size", 1),
    ("group.consumer.max.size", 1),
    ("group.share.max.size", 1),
    ("group.share.record.lock.duration.ms", 15_000),
    ("group.share.delivery.count.limit", 2),
    ("group.share.partition.max.record.locks", 100),
    ("group.share.session.timeout.ms", 1),
    ("group.share.heartbeat.interval.ms", 1),
    ("group.consumer.session.timeout.ms", 1),
    ("group.consumer.heartbeat.interval.ms", 1),
    ("share.coordinator.state.topic.num.partitions", 1),
    ("share.coordinator.state.topic.replication.factor", 1),
    ("share.coordinator.state.topic.min.isr", 1),
    ("share.coordinator.snapshot.update.records.per.snapshot", 0),
    ("share.coordinator.write.timeout.ms", 1),
    ("share.coordinator.state.topic.prune.interval.ms", 1),
    ("offsets.topic.num.partitions", 1),
    ("offsets.topic.replication.factor", 1),
    ("offsets.commit.timeout.ms", 1),
    ("offsets.topic.segment.bytes", 1),
    ("offsets.retention.minutes", 1),
    ("offsets.retention.check.interval.ms", 1),
    ("application.processing.us", 0),
    ("application.slow.us", 0),
    ("application.workers", 1),
    ("quota.window.num", 1),
    ("local.retention.ms", -2),
    ("local.retention.bytes", -2),
    ("remote.log.manager.task.interval.ms", 1),
    ("os.page.cache.bytes", 0),
    ("leader.replication.throttled.rate", 0),
    ("follower.replication.throttled.rate", 0),
    ("quota.window.size.seconds", 1),
    ("producer_byte_rate", 1),
    ("consumer_byte_rate", 1),
];

/// Whole-number keys that Kafka defines as LONG; all others are INT, so at most 2147483647.
const LONG: &[&str] = &[
    "replica.lag.time.max.ms",
    "replica.high.watermark.checkpoint.interval.ms",
    "leader.imbalance.check.interval.seconds",
    "log.flush.writeback.ms",
    "log.flush.scheduler.interval.ms",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "flush.messages",
    "flush.ms",
    "log.retention.check.interval.ms",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "offsets.retention.check.interval.ms",
    "min.compaction.lag.ms",
    "max.compaction.lag.ms",
    "delete.retention.ms",
    "metadata.log.max.record.bytes.between.snapshots",
    "segment.ms",
    "retention.ms",
    "retention.bytes",
    "linger.ms",
    "buffer.memory",
    "max.block.ms",
    "partitioner.availability.timeout.ms",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
    "metadata.max.age.ms",
    "producer_byte_rate",
    "consumer_byte_rate",
    "os.page.cache.bytes",
    "local.retention.ms",
    "local.retention.bytes",
    "remote.log.manager.task.interval.ms",
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
];

/// Why Kafka's own definition of a key refuses a number, with what it takes; `None` if it does not.
pub(super) fn out_of_bounds(key: &str, number: i128) -> Option<(String, String)> {
    let most = i128::from(i32::MAX);
    match at_least(key) {
        Some(least) if number < least => Some((
            format!("`{key}` is at least {least}"),
            format!("a number from {least} on"),
        )),
        _ if number > most && !LONG.contains(&key) => Some((
            format!("`{key}` is at most {most}"),
            format!("a number up to {most}"),
        )),
        _ => None,
    }
}

fn at_least(key: &str) -> Option<i128> {
    let listed = AT_LEAST.iter().find(|(k, _)| *k == key);
    listed
        .map(|(_, least)| *least)
        .or(key.ends_with(".ms").then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_kafka_refuses() {
        let check = |key: &str, number: i128, refused: bool| {
            assert_eq!(
                out_of_bounds(key, number).is_some(),
                refused,
                "{key} {number}"
            );
        };
        check("min.insync.replicas", 0, true);
        check("min.insync.replicas", 1, false);
        check("linger.ms", -1, true);
        check("linger.ms", i128::from(i64::MAX), false);
        check("delivery.timeout.ms", 2_147_483_647, false);
        check("delivery.timeout.ms", 2_147_483_648, true);
        check("retention.ms", -1, false);
        check("retention.ms", -2, true);
        check("segment.bytes", 13, true);
    }
}
