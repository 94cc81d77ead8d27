//! Broker, topic, producer and consumer settings with the defaults of Kafka 4.x.
//!
//! Follows `ReplicationConfigs`, `LogConfig`, `KRaftConfigs`, `QuorumConfig`, `ProducerConfig` and
//! `ConsumerConfig`. Only keys that the model obeys are listed; an unknown key is an error, never
//! silently ignored. Times in ms and sizes in bytes, as in Kafka.

use super::group_config::{AcknowledgementMode, GroupMetadata, GroupProtocol, ServerAssignors};
use super::protocol::{Acks, Isolation};
use super::rules::server_assign::ServerAssignor;
use crate::log::CleanupPolicy;
use crate::settings::{Ratio, SettingValue};
use crate::{settings, word_setting};
use serde::Serialize;

word_setting!(Acks, "0, 1, all", "all" => Acks::All, "-1" => Acks::All, "1" => Acks::Leader, "0" => Acks::None);
word_setting!(Isolation, "read_uncommitted, read_committed",
    "read_uncommitted" => Isolation::ReadUncommitted, "read_committed" => Isolation::ReadCommitted);

/// `auto.offset.reset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum OffsetReset {
    /// To the log start.
    Earliest,
    /// To the end visible to the consumer.
    Latest,
    /// To the first record that is at most this old, ms; to the end if there is none (KIP-1106).
    ByDuration(i64),
    /// The application gets the exception.
    None,
}

impl SettingValue for OffsetReset {
    const EXPECTED: &'static str = "earliest, latest, none, by_duration:PT1H and the like";
    fn parse(text: &str) -> Result<Self, String> {
        let found = match text {
            "earliest" => Some(OffsetReset::Earliest),
            "latest" => Some(OffsetReset::Latest),
            "none" => Some(OffsetReset::None),
            other => other
                .strip_prefix("by_duration:")
                .and_then(super::duration::parse_ms)
                .map(OffsetReset::ByDuration),
        };
        found.ok_or_else(|| format!("`{text}` is not one of {}", Self::EXPECTED))
    }
    fn show(&self) -> String {
        match self {
            OffsetReset::Earliest => "earliest".to_owned(),
            OffsetReset::Latest => "latest".to_owned(),
            OffsetReset::None => "none".to_owned(),
            OffsetReset::ByDuration(ms) => {
                format!("by_duration:PT{}.{:03}S", ms / 1_000, ms % 1_000)
            }
        }
    }
}

/// `cleanup.policy`: a list.
impl SettingValue for CleanupPolicy {
    const EXPECTED: &'static str = "delete, compact, compact,delete";
    fn parse(text: &str) -> Result<Self, String> {
        let mut policy = CleanupPolicy {
            delete: false,
            compact: false,
        };
        for word in text.split(',').map(str::trim) {
            match word {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return Err(format!("`{word}` is not one of delete, compact")),
            }
        }
        Ok(policy)
    }
    fn show(&self) -> String {
        let words = [(self.compact, "compact"), (self.delete, "delete")];
        let on = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word);
        on.collect::<Vec<_>>().join(",")
    }
}

/// A setting that may be left to follow from others (`enable.idempotence`).
impl SettingValue for Option<bool> {
    const EXPECTED: &'static str = "true or false";
    fn parse(text: &str) -> Result<Self, String> {
        <bool as SettingValue>::parse(text).map(Some)
    }
    fn show(&self) -> String {
        self.map_or_else(|| "(by acks and retries)".to_owned(), |b| b.to_string())
    }
}

settings! {
    /// Settings of a broker and of the controllers (one cluster, one set).
    pub struct BrokerConfig {
        "replica.lag.time.max.ms" => replica_lag_time_max_ms: i64 = 30_000, "A follower that has not caught up for this long leaves the ISR; checked every half of it.";
        "replica.fetch.wait.max.ms" => replica_fetch_wait_max_ms: i64 = 500, "How long a leader may hold a follower's fetch when there is nothing to send.";
        "replica.fetch.min.bytes" => replica_fetch_min_bytes: u32 = 1, "A follower's fetch is answered as soon as this much is there.";
        "replica.fetch.max.bytes" => replica_fetch_max_bytes: u32 = 1_048_576, "Bytes per partition in a follower's fetch.";
        "replica.fetch.backoff.ms" => replica_fetch_backoff_ms: i64 = 1_000, "Pause of the fetcher after an error.";
        "replica.socket.timeout.ms" => replica_socket_timeout_ms: i64 = 30_000, "A follower gives an unanswered fetch up after this.";
        "replica.high.watermark.checkpoint.interval.ms" => high_watermark_checkpoint_ms: i64 = 5_000, "How often the high watermark goes to disk.";
        "min.insync.replicas" => min_insync_replicas: u32 = 1, "Cluster default: acks=all writes are refused below this ISR size, and the high watermark stands still.";
        "unclean.leader.election.enable" => unclean_leader_election: bool = false, "Cluster default: elect a replica outside ISR and ELR rather than have no leader.";
        "auto.leader.rebalance.enable" => auto_leader_rebalance: bool = true, "Give leadership back to the preferred replica from time to time.";
        "leader.imbalance.check.interval.seconds" => leader_imbalance_check_s: i64 = 300, "How often.";
        "broker.heartbeat.interval.ms" => broker_heartbeat_interval_ms: i64 = 2_000, "Broker to controller.";
        "broker.session.timeout.ms" => broker_session_timeout_ms: i64 = 9_000, "Without a heartbeat for this long a broker is fenced.";
        "controller.quorum.election.timeout.ms" => quorum_election_timeout_ms: i64 = 1_000, "A candidate without result tries again after this plus a random part as long again.";
        "controller.quorum.fetch.timeout.ms" => quorum_fetch_timeout_ms: i64 = 2_000, "A voter that hears nothing from the leader for this long stands for election; a leader unheard by a majority for 1.5 times this resigns.";
        "controller.quorum.election.backoff.max.ms" => quorum_election_backoff_max_ms: i64 = 1_000, "Largest random pause after a lost election.";
        "controller.quorum.request.timeout.ms" => quorum_request_timeout_ms: i64 = 2_000, "A quorum request without answer is given up after this.";
        "request.timeout.ms" => request_timeout_ms: i64 = 30_000, "Broker to controller requests.";
        "log.retention.check.interval.ms" => retention_check_ms: i64 = 300_000, "How often old segments are looked for.";
        #[serde(skip)] "remote.log.storage.system.enable" => remote_storage: bool = false, "Whether brokers have remote storage (KIP-405), which topics may use.";
        #[serde(skip)] "remote.log.manager.task.interval.ms" => remote_task_ms: i64 = 30_000, "How often leaders copy closed segments to remote storage, and delete old ones there.";
        #[serde(skip)] "remote.storage.latency.ms" => remote_latency_ms: i64 = 100, "Not a Kafka key: how long remote storage takes to answer a read.";
        #[serde(skip)] "os.page.cache.bytes" => page_cache_bytes: u64 = 0, "Not a Kafka key: memory that a broker's operating system has for its logs; 0 = all that is read is in it.";
        #[serde(skip)] "leader.replication.throttled.rate" => leader_throttled_rate: i64 = i64::MAX, "Bytes per second that a broker sends to followers out of sync, of the topics' throttled replicas.";
        #[serde(skip)] "follower.replication.throttled.rate" => follower_throttled_rate: i64 = i64::MAX, "Bytes per second that a broker out of sync fetches, of the topics' throttled replicas.";
        #[serde(skip)] "quota.window.num" => quota_window_num: u32 = 11, "Over how many windows the rate of a client is taken, the one under way included.";
        #[serde(skip)] "quota.window.size.seconds" => quota_window_s: u32 = 1, "The length of one.";
        "log.cleaner.enable" => log_cleaner_enable: bool = true, "Compact topics whose cleanup.policy says so.";
        "log.cleaner.backoff.ms" => log_cleaner_backoff_ms: i64 = 15_000, "How long the cleaner sleeps when no log is dirty enough.";
        "log.cleaner.dedupe.buffer.size" => log_cleaner_dedupe_bytes: u64 = 134_217_728, "Room for the keys of one pass, 24 bytes each; filled to 0.9.";
        "log.flush.writeback.ms" => writeback_ms: i64 = 30_000, "Not a Kafka key: how long the operating system keeps written pages before it puts them on the disk (vm.dirty_expire_centisecs).";
        #[serde(skip)] "log.flush.scheduler.interval.ms" => flush_scheduler_ms: i64 = 9_223_372_036_854_775_807, "How often brokers look for logs whose flush.ms is over; by default never, so that flush.ms does nothing.";
        #[serde(skip)] "log.flush.interval.messages" => flush_messages: i64 = 9_223_372_036_854_775_807, "flush.messages of topics that set none of their own; by default never.";
        #[serde(skip)] "log.flush.interval.ms" => flush_ms: i64 = -1, "flush.ms of topics that set none of their own (-1 = log.flush.scheduler.interval.ms).";
        "eligible.leader.replicas.enable" => elr_enabled: bool = true, "Whether the ELR feature (KIP-966) is on, as in new 4.1+ clusters.";
        "metadata.log.max.record.bytes.between.snapshots" => snapshot_bytes: u64 = 20_971_520, "A controller writes a snapshot after this much metadata.";
        #[serde(skip)] "group.initial.rebalance.delay.ms" => group_initial_rebalance_delay_ms: i64 = 3_000, "An empty group waits this long for company, again for each newcomer.";
        #[serde(skip)] "group.min.session.timeout.ms" => group_min_session_timeout_ms: i64 = 6_000, "Smallest session.timeout.ms that a coordinator accepts.";
        #[serde(skip)] "group.max.session.timeout.ms" => group_max_session_timeout_ms: i64 = 1_800_000, "Largest session.timeout.ms that a coordinator accepts.";
        #[serde(skip)] "group.max.size" => group_max_size: u32 = 2_147_483_647, "Members a classic group may have.";
        #[serde(skip)] "group.consumer.session.timeout.ms" => group_consumer_session_timeout_ms: i64 = 45_000, "A member of the consumer protocol (KIP-848) is out without a heartbeat for this long.";
        #[serde(skip)] "group.consumer.min.session.timeout.ms" => group_consumer_min_session_timeout_ms: i64 = 45_000, "Smallest group.consumer.session.timeout.ms.";
        #[serde(skip)] "group.consumer.max.session.timeout.ms" => group_consumer_max_session_timeout_ms: i64 = 60_000, "Largest group.consumer.session.timeout.ms.";
        #[serde(skip)] "group.consumer.heartbeat.interval.ms" => group_consumer_heartbeat_interval_ms: i64 = 5_000, "How often the coordinator has members of the consumer protocol come.";
        #[serde(skip)] "group.consumer.min.heartbeat.interval.ms" => group_consumer_min_heartbeat_interval_ms: i64 = 5_000, "Smallest group.consumer.heartbeat.interval.ms.";
        #[serde(skip)] "group.consumer.max.heartbeat.interval.ms" => group_consumer_max_heartbeat_interval_ms: i64 = 15_000, "Largest group.consumer.heartbeat.interval.ms.";
        #[serde(skip)] "group.consumer.assignment.interval.ms" => group_consumer_assignment_interval_ms: i64 = 1_000, "Least time between two target assignments of a group (KIP-1263).";
        #[serde(skip)] "group.consumer.assignors" => group_consumer_assignors: ServerAssignors = ServerAssignors(vec![ServerAssignor::Uniform, ServerAssignor::Range]), "The coordinator's assignors; the first is the default.";
        #[serde(skip)] "group.consumer.max.size" => group_consumer_max_size: u32 = 2_147_483_647, "Members a group of the consumer protocol may have.";
        #[serde(skip)] "group.share.session.timeout.ms" => share_session_timeout_ms: i64 = 45_000, "A member of a share group (KIP-932) is out without a heartbeat for this long.";
        #[serde(skip)] "group.share.heartbeat.interval.ms" => share_heartbeat_interval_ms: i64 = 5_000, "How often the coordinator has members of share groups come.";
        #[serde(skip)] "group.share.max.size" => share_max_size: u32 = 200, "Members a share group may have.";
        #[serde(skip)] "group.share.record.lock.duration.ms" => share_record_lock_ms: i64 = 30_000, "How long a member of a share group has a record before it goes to another.";
        #[serde(skip)] "group.share.delivery.count.limit" => share_delivery_count_limit: u32 = 5, "How often a record is delivered before a share group gives it up.";
        #[serde(skip)] "group.share.partition.max.record.locks" => share_max_record_locks: u32 = 2_000, "Records of a partition that a share group may have in hand.";
        #[serde(skip)] "share.auto.offset.reset" => share_auto_offset_reset: OffsetReset = OffsetReset::Latest, "Where share groups begin (in Kafka a setting of each group).";
        #[serde(skip)] "share.coordinator.state.topic.num.partitions" => share_state_partitions: u32 = 50, "Partitions of __share_group_state, which exists if there is a share group.";
        #[serde(skip)] "share.coordinator.state.topic.replication.factor" => share_state_replication_factor: u32 = 3, "Its replicas; fewer if there are fewer brokers.";
        #[serde(skip)] "share.coordinator.state.topic.min.isr" => share_state_min_isr: u32 = 2, "Its min.insync.replicas; at most its replicas.";
        #[serde(skip)] "share.coordinator.snapshot.update.records.per.snapshot" => share_updates_per_snapshot: u32 = 500, "Updates of a partition's state between two snapshots.";
        #[serde(skip)] "share.coordinator.state.topic.prune.interval.ms" => share_prune_ms: i64 = 300_000, "How often share coordinators move the start of their logs to the oldest snapshot that is still needed.";
        #[serde(skip)] "share.coordinator.write.timeout.ms" => share_coordinator_write_timeout_ms: i64 = 5_000, "How long a write waits for the in-sync replicas of __share_group_state.";
        #[serde(skip)] "offsets.topic.num.partitions" => offsets_topic_partitions: u32 = 50, "Partitions of __consumer_offsets, which exists if a consumer has a group.";
        #[serde(skip)] "offsets.topic.replication.factor" => offsets_topic_replication_factor: u32 = 3, "Its replicas; fewer if there are fewer brokers.";
        #[serde(skip)] "offsets.topic.segment.bytes" => offsets_topic_segment_bytes: u64 = 104_857_600, "Its segment.bytes; small ones are compacted and loaded sooner.";
        #[serde(skip)] "offsets.retention.minutes" => offsets_retention_minutes: i64 = 10_080, "Offsets of a group that has been empty for so long are forgotten; without a group, so long after the commit.";
        #[serde(skip)] "offsets.retention.check.interval.ms" => offsets_retention_check_ms: i64 = 600_000, "How often a coordinator looks for them.";
        #[serde(skip)] "offsets.commit.timeout.ms" => offsets_commit_timeout_ms: i64 = 5_000, "How long a commit waits for the in-sync replicas of __consumer_offsets.";
        #[serde(skip)] "transaction.state.log.num.partitions" => txn_log_partitions: u32 = 50, "Partitions of __transaction_state, which exists if a producer has a transactional.id.";
        #[serde(skip)] "transaction.state.log.replication.factor" => txn_log_replication_factor: u32 = 3, "Its replicas; fewer if there are fewer brokers.";
        #[serde(skip)] "transaction.state.log.min.isr" => txn_log_min_isr: u32 = 2, "Its min.insync.replicas; at most its replicas.";
        #[serde(skip)] "transaction.max.timeout.ms" => txn_max_timeout_ms: i64 = 900_000, "Largest transaction.timeout.ms that a coordinator accepts.";
        #[serde(skip)] "transaction.abort.timed.out.transaction.cleanup.interval.ms" => txn_abort_interval_ms: i64 = 10_000, "How often a coordinator looks for transactions that took too long.";
        #[serde(skip)] "transactional.id.expiration.ms" => transactional_id_expiration_ms: i64 = 604_800_000, "A coordinator forgets a transactional id that was idle for this long.";
        #[serde(skip)] "transaction.partition.verification.enable" => txn_verification: bool = true, "Ask the coordinator before the first batch of a transaction (KIP-890); from transaction.version 2 on that happens always.";
        #[serde(skip)] "transaction.version" => transaction_version: u32 = 2, "The finalised feature: from 2 on every transaction has an epoch of its own (KIP-890).";
    }
}

settings! {
    /// Settings of a topic. `min.insync.replicas` and `unclean.leader.election.enable` of 0/unset fall back to the cluster's.
    pub struct TopicConfig {
        "min.insync.replicas" => min_insync_replicas: u32 = 0, "acks=all writes are refused below this ISR size (0 = the cluster's).";
        "unclean.leader.election.enable" => unclean_leader_election: Option<bool> = None, "Elect a replica outside ISR and ELR rather than have no leader.";
        "segment.bytes" => segment_bytes: u64 = 1_073_741_824, "A segment is closed before it would exceed this.";
        "segment.ms" => segment_ms: i64 = 604_800_000, "A segment is closed when it spans more than this.";
        "retention.ms" => retention_ms: i64 = 604_800_000, "Closed segments older than this go; -1 = never.";
        "retention.bytes" => retention_bytes: i64 = -1, "Oldest closed segments go while the partition is larger; -1 = no bound.";
        "max.message.bytes" => max_message_bytes: u32 = 1_048_588, "Largest batch a leader takes.";
        "cleanup.policy" => cleanup_policy: CleanupPolicy = CleanupPolicy::DELETE, "Old segments are deleted, or only the newest value of each key is kept, or both.";
        "min.cleanable.dirty.ratio" => min_cleanable_dirty_ratio: Ratio = Ratio(500_000), "Compaction begins when more of the log than this is dirty.";
        "min.compaction.lag.ms" => min_compaction_lag_ms: i64 = 0, "A record is not compacted before it is this old.";
        "max.compaction.lag.ms" => max_compaction_lag_ms: i64 = 9_223_372_036_854_775_807, "A record this old is compacted, however little of the log is dirty.";
        "delete.retention.ms" => delete_retention_ms: i64 = 86_400_000, "How long a tombstone stays after the pass that first kept it.";
        #[serde(skip)] "remote.storage.enable" => remote_storage_enable: bool = false, "Closed segments are copied to remote storage.";
        #[serde(skip)] "remote.log.copy.disable" => remote_copy_disable: bool = false, "Nothing more is copied to remote storage.";
        #[serde(skip)] "local.retention.ms" => local_retention_ms: i64 = -2, "Copied segments older than this leave the local disk; -2 = retention.ms.";
        #[serde(skip)] "local.retention.bytes" => local_retention_bytes: i64 = -2, "Copied segments leave the local disk while it holds more of the partition; -2 = retention.bytes.";
        #[serde(skip)] "leader.replication.throttled.replicas" => leader_throttled_replicas: String = String::new(), "Replicas that leader.replication.throttled.rate holds back: `*`, or a list such as 0:1,0:2 (partition:broker).";
        #[serde(skip)] "follower.replication.throttled.replicas" => follower_throttled_replicas: String = String::new(), "The same for follower.replication.throttled.rate.";
        "index.interval.bytes" => index_interval_bytes: u32 = 4_096, "Bytes of records between two entries of a segment's indexes.";
        #[serde(skip)] "flush.messages" => flush_messages: i64 = 0, "So many records that are not on disk are put there (0 = the cluster's log.flush.interval.messages; by default never: replication is what protects them).";
        #[serde(skip)] "flush.ms" => flush_ms: i64 = -1, "A log is put on disk when it was not for so long (-1 = the cluster's log.flush.interval.ms); looked at every log.flush.scheduler.interval.ms.";
        "segment.index.bytes" => segment_index_bytes: u32 = 10_485_760, "Size of an index; a segment whose index is full is closed.";
    }
}

settings! {
    /// Settings of a producer.
    pub struct ProducerConfig {
        "acks" => acks: Acks = Acks::All, "What a write must have reached before it counts as done.";
        "enable.idempotence" => enable_idempotence: Option<bool> = None, "Retries cause no duplicates and keep order; on unless acks or retries contradict it.";
        "retries" => retries: u32 = 2_147_483_647, "Attempts after the first; delivery.timeout.ms usually ends it earlier.";
        "max.in.flight.requests.per.connection" => max_in_flight: u32 = 5, "Unanswered requests per broker.";
        "linger.ms" => linger_ms: i64 = 5, "How long a batch waits for company.";
        "batch.size" => batch_size: u32 = 16_384, "A batch is full at this many bytes.";
        "buffer.memory" => buffer_memory: u64 = 33_554_432, "Bytes of unsent records before send() blocks.";
        "max.block.ms" => max_block_ms: i64 = 60_000, "How long send() blocks before it fails.";
        "request.timeout.ms" => request_timeout_ms: i64 = 30_000, "An unanswered request is given up, and its connection closed, after this.";
        "delivery.timeout.ms" => delivery_timeout_ms: i64 = 120_000, "From send() to success or failure, at most.";
        "retry.backoff.ms" => retry_backoff_ms: i64 = 100, "Pause before the first retry; doubles, with 20 % jitter.";
        "retry.backoff.max.ms" => retry_backoff_max_ms: i64 = 1_000, "Largest pause.";
        "max.request.size" => max_request_size: u32 = 1_048_576, "Largest request.";
        "metadata.max.age.ms" => metadata_max_age_ms: i64 = 300_000, "Metadata is refreshed at least this often.";
        "partitioner.adaptive.partitioning.enable" => adaptive_partitioning: bool = true, "Unkeyed records prefer brokers with short queues.";
        #[serde(skip)] "partitioner.availability.timeout.ms" => partition_availability_ms: i64 = 0, "Unkeyed records go to no partition whose broker could not be sent what was ready for it for this long; 0 = never so.";
        "partitioner.ignore.keys" => ignore_keys: bool = false, "Treat keyed records as unkeyed.";
        #[serde(skip)] "transactional.id" => transactional_id: String = String::new(), "Sends in transactions under this name, and fences whoever used it before; none = no transactions.";
        #[serde(skip)] "transaction.timeout.ms" => transaction_timeout_ms: i64 = 60_000, "The coordinator aborts a transaction that is open for longer.";
        #[serde(skip)] "transaction.records" => transaction_records: u32 = 100, "Not a Kafka key: the application ends its transaction after so many records …";
        #[serde(skip)] "transaction.span.ms" => transaction_span_ms: i64 = 1_000, "Not a Kafka key: … or after this long.";
        #[serde(skip)] "transaction.abort.percent" => transaction_abort_percent: u32 = 0, "Not a Kafka key: so many of a hundred transactions the application aborts, drawn by their number.";
    }
}

settings! {
    /// Settings of a standalone consumer (assigned partitions, no group).
    pub struct ConsumerConfig {
        "auto.offset.reset" => auto_offset_reset: OffsetReset = OffsetReset::Latest, "Where to go without a valid position.";
        "isolation.level" => isolation: Isolation = Isolation::ReadUncommitted, "Read up to the high watermark or the last stable offset.";
        "fetch.min.bytes" => fetch_min_bytes: u32 = 1, "The broker answers as soon as this much is there …";
        "fetch.max.wait.ms" => fetch_max_wait_ms: i64 = 500, "… or after this long.";
        "fetch.max.bytes" => fetch_max_bytes: u32 = 52_428_800, "Largest answer.";
        "max.partition.fetch.bytes" => max_partition_fetch_bytes: u32 = 1_048_576, "Largest part of an answer per partition.";
        "max.poll.records" => max_poll_records: u32 = 500, "Records per poll().";
        "request.timeout.ms" => request_timeout_ms: i64 = 30_000, "An unanswered request is given up after this.";
        "retry.backoff.ms" => retry_backoff_ms: i64 = 100, "Pause after an error.";
        "metadata.max.age.ms" => metadata_max_age_ms: i64 = 300_000, "Metadata is refreshed at least this often.";
        #[serde(skip)] "group.id" => group_id: String = String::new(), "The group it joins; none = partitions by hand, no commits.";
        #[serde(skip)] "group.protocol" => group_protocol: GroupProtocol = GroupProtocol::Classic, "How it is a member: by JoinGroup and SyncGroup, or by heartbeats alone (KIP-848).";
        #[serde(skip)] "group.remote.assignor" => group_remote_assignor: String = String::new(), "The coordinator's assignor that it votes for; none = the coordinator's default.";
        #[serde(skip)] "client.rack" => client_rack: String = String::new(), "Where it is (a broker.rack): with group.protocol=classic, range and sticky give it partitions with a replica there (KIP-881). The coordinator's own assignors do not look at it.";
        #[serde(skip)] "group.instance.id" => group_instance_id: String = String::new(), "Makes it a static member (KIP-345): it may come back within the session without a rebalance.";
        #[serde(skip)] "partition.assignment.strategy" => assignment_strategy: Strategies = Strategies(vec![Assignor::Range, Assignor::CooperativeSticky]), "Assignors in order of preference; cooperative only if all of them are.";
        #[serde(skip)] "session.timeout.ms" => session_timeout_ms: i64 = 45_000, "Without a heartbeat for this long a member is out.";
        #[serde(skip)] "heartbeat.interval.ms" => heartbeat_interval_ms: i64 = 3_000, "Pause between heartbeats, which a thread of their own sends.";
        #[serde(skip)] "max.poll.interval.ms" => max_poll_interval_ms: i64 = 300_000, "A member that does not poll for this long leaves; also the rebalance timeout.";
        #[serde(skip)] "enable.auto.commit" => enable_auto_commit: bool = true, "poll() commits what earlier polls returned.";
        #[serde(skip)] "share.acknowledgement.mode" => share_acknowledgement_mode: AcknowledgementMode = AcknowledgementMode::Implicit, "Of a share consumer: the next poll() accepts what the last one returned, or the application says of each record what became of it.";
        #[serde(skip)] "application.release.every" => release_every: u32 = 0, "Not a Kafka key: of a share consumer with explicit acknowledgement, every n-th offset is one that its application cannot process and releases; 0 = none.";
        #[serde(skip)] "application.reject.every" => reject_every: u32 = 0, "Not a Kafka key: likewise, every n-th offset is one that its application rejects: nobody could process it, and nobody gets it again; 0 = none.";
        #[serde(skip)] "application.processing.us" => processing_us: i64 = 0, "Not a Kafka key: how long the application of a group's member takes for a record, in µs; it does not poll meanwhile.";
        #[serde(skip)] "application.processing.spread.percent" => processing_spread_percent: u32 = 0, "Not a Kafka key: a record may take so much more or less than that, drawn for each.";
        #[serde(skip)] "application.slow.every" => slow_every: u32 = 0, "Not a Kafka key: the records at offsets n, 2n, 3n … take longer; 0 = none.";
        #[serde(skip)] "application.slow.us" => slow_us: i64 = 1_000_000, "Not a Kafka key: how long such a record takes, in µs.";
        #[serde(skip)] "application.workers" => workers: u32 = 1, "Not a Kafka key: with more than one, the application hands records to so many threads and polls on; they finish in any order.";
        #[serde(skip)] "application.commit.offset" => commit_offset: CommitOffset = CommitOffset::Contiguous, "Not a Kafka key: with workers, what it commits: the end of the finished records without a gap, or after the highest finished one.";
        #[serde(skip)] "application.commit" => commit: CommitMode = CommitMode::None, "Not a Kafka key: when the application of a group's member commits by itself.";
        #[serde(skip)] "application.group.metadata" => group_metadata: GroupMetadata = GroupMetadata::AtCommit, "Not a Kafka key: when an application in transactions calls groupMetadata(): as it sends its offsets, or as soon as poll() has returned the records. It matters with group.protocol=consumer, whose epochs move while the application works.";
        #[serde(skip)] "auto.commit.interval.ms" => auto_commit_interval_ms: i64 = 5_000, "At most this often.";
    }
}

settings! {
    /// Quotas of a client id on each broker, in bytes per second (`kafka-configs.sh --entity-type
    /// clients`).
    pub struct QuotaConfig {
        "producer_byte_rate" => producer_byte_rate: i64 = i64::MAX, "What a producer may send to one broker.";
        "consumer_byte_rate" => consumer_byte_rate: i64 = i64::MAX, "What a consumer may fetch from one broker.";
    }
}

/// When an application commits by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CommitMode {
    /// Never: `enable.auto.commit` does, or nobody.
    None,
    /// `commitSync()` after the work on a poll's records: at least once.
    Sync,
    /// `commitAsync()` after it: at least once, without waiting.
    Async,
    /// `commitSync()` before it: at most once.
    Before,
}

word_setting!(CommitMode, "none, sync, async, before",
    "none" => CommitMode::None, "sync" => CommitMode::Sync, "async" => CommitMode::Async,
    "before" => CommitMode::Before);

/// Which offset an application with workers commits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum CommitOffset {
    /// That of the first record that is not finished: nothing is lost at a crash, and what was
    /// finished after it is done again.
    Contiguous,
    /// That after the highest finished one: what is at work below it is lost at a crash.
    Highest,
}

word_setting!(CommitOffset, "contiguous, highest",
    "contiguous" => CommitOffset::Contiguous, "highest" => CommitOffset::Highest);

/// An assignor of classic groups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub enum Assignor {
    /// `RangeAssignor`.
    Range,
    /// `RoundRobinAssignor`.
    RoundRobin,
    /// `StickyAssignor`.
    Sticky,
    /// `CooperativeStickyAssignor`.
    CooperativeSticky,
}

impl Assignor {
    /// All of them.
    pub const ALL: [Assignor; 4] = [
        Assignor::Range,
        Assignor::RoundRobin,
        Assignor::Sticky,
        Assignor::CooperativeSticky,
    ];

    /// Its name in the protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// `partition.assignment.strategy`: a list of assignors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Strategies(pub Vec<Assignor>);

impl Strategies {
    /// Whether members keep their partitions through a rebalance (KIP-429): only if every assignor
    /// in the list can do it.
    #[must_use]
    pub fn cooperative(&self) -> bool {
        self.0.iter().all(|it| *it == Assignor::CooperativeSticky)
    }
}

impl SettingValue for Strategies {
    const EXPECTED: &'static str =
        "a list of range, roundrobin, sticky, cooperative-sticky with commas between them";
    fn parse(text: &str) -> Result<Self, String> {
        let mut found = Vec::new();
        for word in text.split(',').map(str::trim) {
            // A class name, as Kafka's own settings have it, is as good as the short one.
            let class = word.rsplit('.').next().unwrap_or(word);
            let short = class
                .strip_suffix("Assignor")
                .unwrap_or(class)
                .to_ascii_lowercase();
            let same = |it: &&Assignor| it.name().replace('-', "") == short.replace('-', "");
            let assignor = Assignor::ALL.iter().find(same);
            found.push(*assignor.ok_or_else(|| format!("`{word}` is no assignor"))?);
        }
        match super::group_config::twice(&found) {
            None => Ok(Strategies(found)),
            Some(it) => Err(format!("`{}` stands twice", it.name())),
        }
    }
    fn show(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|it| it.name()).collect();
        names.join(", ")
    }
}

/// A name; empty for none.
impl SettingValue for String {
    const EXPECTED: &'static str = "a name";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl ConsumerConfig {
    /// What Kafka's client would refuse at start, with its reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.heartbeat_interval_ms >= self.session_timeout_ms {
            let message = "Heartbeat must be set lower than the session timeout".to_owned();
            found.push(("heartbeat.interval.ms", message));
        }
        found
    }
}

impl TopicConfig {
    /// What Kafka would refuse (`LogConfig.validateValues`), with its reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let (min, max) = (self.min_compaction_lag_ms, self.max_compaction_lag_ms);
        let message = format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        );
        let contradicts = (min > max).then_some(("max.compaction.lag.ms", message));
        let mut found: Vec<_> = contradicts.into_iter().collect();
        if self.remote_storage_enable && self.cleanup_policy.compact {
            let message = "Remote log storage is unsupported for the compacted topics";
            found.push(("remote.storage.enable", message.to_owned()));
        }
        let above =
            |local: i64, full: i64| local != -2 && full != -1 && (local == -1 || local > full);
        for (key, local, full) in [
            (
                "local.retention.ms",
                self.local_retention_ms,
                self.retention_ms,
            ),
            (
                "local.retention.bytes",
                self.local_retention_bytes,
                self.retention_bytes,
            ),
        ] {
            if self.remote_storage_enable && above(local, full) {
                let message = format!("{key} must not be more than the retention of the whole log");
                found.push((key, message));
            }
        }
        found
    }
}

impl ProducerConfig {
    /// Whether idempotence is in force (`ProducerConfig.postProcessParsedConfig`).
    #[must_use]
    pub fn idempotent(&self) -> bool {
        self.enable_idempotence
            .unwrap_or(self.acks == Acks::All && self.retries > 0)
    }

    /// The least that `delivery.timeout.ms` can be beside `linger.ms` and `request.timeout.ms`.
    fn least_delivery_timeout_ms(&self) -> i64 {
        let longest = i64::from(i32::MAX);
        let linger_ms = self.linger_ms.min(longest);
        linger_ms
            .saturating_add(self.request_timeout_ms)
            .min(longest)
    }

    /// A `delivery.timeout.ms` that nobody wrote gives way to the settings that were written
    /// (`KafkaProducer.configureDeliveryTimeout`).
    pub fn stretch_delivery_timeout(&mut self) {
        self.delivery_timeout_ms = self
            .delivery_timeout_ms
            .max(self.least_delivery_timeout_ms());
    }

    /// What Kafka's client would refuse at start, with its reason.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.enable_idempotence == Some(true) {
            if self.acks != Acks::All {
                found.push((
                    "acks",
                    "Must set acks to all in order to use the idempotent producer.".to_owned(),
                ));
            }
            if self.retries == 0 {
                found.push((
                    "retries",
                    "Must set retries to non-zero when using the idempotent producer.".to_owned(),
                ));
            }
        }
        if !self.transactional_id.is_empty() && !self.idempotent() {
            found.push((
                "transactional.id",
                "Cannot set a transactional.id without also enabling idempotence.".to_owned(),
            ));
        }
        if self.idempotent() && self.max_in_flight > 5 {
            found.push((
                "max.in.flight.requests.per.connection",
                "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer.".to_owned(),
            ));
        }
        if self.delivery_timeout_ms < self.least_delivery_timeout_ms() {
            found.push((
                "delivery.timeout.ms",
                "delivery.timeout.ms should be equal to or larger than linger.ms + request.timeout.ms".to_owned(),
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotence_follows_acks_and_is_refused_against_them() {
        let check = |pairs: &[(&str, &str)], idempotent: bool, problems: &[&str]| {
            let mut config = ProducerConfig::default();
            for (key, value) in pairs {
                config.set(key, value).expect("a known key and value");
            }
            assert_eq!(config.idempotent(), idempotent, "{pairs:?}");
            let found: Vec<&str> = config.problems().iter().map(|(key, _)| *key).collect();
            assert_eq!(found, problems, "{pairs:?}");
        };
        check(&[], true, &[]);
        check(&[("acks", "1")], false, &[]);
        check(&[("retries", "0")], false, &[]);
        check(
            &[("acks", "1"), ("enable.idempotence", "true")],
            true,
            &["acks"],
        );
        let in_flight = "max.in.flight.requests.per.connection";
        check(&[(in_flight, "6")], true, &[in_flight]);
        check(&[(in_flight, "6"), ("acks", "0")], false, &[]);
        check(
            &[("delivery.timeout.ms", "30000")],
            true,
            &["delivery.timeout.ms"],
        );
    }

    #[test]
    fn the_delivery_timeout_holds_linger_and_one_request() {
        let check = |linger_ms, request_timeout_ms, least| {
            let mut config = ProducerConfig {
                linger_ms,
                request_timeout_ms,
                delivery_timeout_ms: 1,
                ..ProducerConfig::default()
            };
            assert_eq!(config.problems().len(), 1, "{linger_ms}");
            config.stretch_delivery_timeout();
            assert_eq!(config.delivery_timeout_ms, least, "{linger_ms}");
            assert_eq!(config.problems(), [], "{linger_ms}");
        };
        check(5, 30_000, 30_005);
        check(200_000, 30_000, 230_000);
        check(i64::MAX, 30_000, i64::from(i32::MAX));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_told_apart() {
        use crate::settings::SettingError;
        let mut config = ConsumerConfig::default();
        assert_eq!(config.set("acks", "all"), Err(SettingError::UnknownKey));
        assert!(matches!(
            config.set("auto.offset.reset", "x"),
            Err(SettingError::BadValue(_))
        ));
        assert_eq!(config.set("auto.offset.reset", "earliest"), Ok(()));
    }
}
