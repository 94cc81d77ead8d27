//! The error codes of the Kafka protocol, under their real names.
//!
//! Follows `org.apache.kafka.common.protocol.Errors`, reduced to what this model can produce.

/// Declares the enum together with the name and the retriable flag of each code.
macro_rules! error_codes {
    ($($(#[$meta:meta])+ $variant:ident, $name:literal, $retriable:literal;)+) => {
        /// An error code of the Kafka protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, serde::Serialize)]
        pub enum ErrorCode {
            $($(#[$meta])+ $variant,)+
        }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the protocol, for example `NOT_LEADER_OR_FOLLOWER`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Whether a client may simply try again (`RetriableException`).
            pub fn retriable(self) -> bool {
                match self { $(Self::$variant => $retriable,)+ }
            }
        }
    };
}

error_codes! {
    /// No error.
    #[default]
    None, "NONE", false;
    /// Unexpected failure at the server.
    UnknownServerError, "UNKNOWN_SERVER_ERROR", false;
    /// The offset lies outside the log; the client resets its position.
    OffsetOutOfRange, "OFFSET_OUT_OF_RANGE", false;
    /// The broker does not host this partition (yet).
    UnknownTopicOrPartition, "UNKNOWN_TOPIC_OR_PARTITION", true;
    /// The partition has no leader at present.
    LeaderNotAvailable, "LEADER_NOT_AVAILABLE", true;
    /// The broker is not the replica that the request needs.
    NotLeaderOrFollower, "NOT_LEADER_OR_FOLLOWER", true;
    /// The request was not complete in time; its effect may still come.
    RequestTimedOut, "REQUEST_TIMED_OUT", true;
    /// The connection broke before a response arrived.
    NetworkException, "NETWORK_EXCEPTION", true;
    /// The coordinator is still reading its log.
    CoordinatorLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS", true;
    /// There is no coordinator at present.
    CoordinatorNotAvailable, "COORDINATOR_NOT_AVAILABLE", true;
    /// The broker is not the coordinator of this group or transactional id.
    NotCoordinator, "NOT_COORDINATOR", true;
    /// The batch is larger than max.message.bytes.
    MessageTooLarge, "MESSAGE_TOO_LARGE", false;
    /// The batch is larger than a segment.
    RecordListTooLarge, "RECORD_LIST_TOO_LARGE", false;
    /// A record failed validation, for example one without key on a compacted topic.
    InvalidRecord, "INVALID_RECORD", false;
    /// The timestamp of a record is too far from the broker's clock.
    InvalidTimestamp, "INVALID_TIMESTAMP", false;
    /// The topic may not be used this way.
    InvalidTopicException, "INVALID_TOPIC_EXCEPTION", false;
    /// acks is neither 0, 1 nor all.
    InvalidRequiredAcks, "INVALID_REQUIRED_ACKS", false;
    /// The ISR is smaller than min.insync.replicas; nothing was appended.
    NotEnoughReplicas, "NOT_ENOUGH_REPLICAS", true;
    /// Appended, but the ISR is smaller than min.insync.replicas.
    NotEnoughReplicasAfterAppend, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true;
    /// The member's generation is not the group's current one.
    IllegalGeneration, "ILLEGAL_GENERATION", false;
    /// The member supports none of the group's protocols.
    InconsistentGroupProtocol, "INCONSISTENT_GROUP_PROTOCOL", false;
    /// The group id is not valid.
    InvalidGroupId, "INVALID_GROUP_ID", false;
    /// The group does not know this member.
    UnknownMemberId, "UNKNOWN_MEMBER_ID", false;
    /// The session timeout is outside the broker's bounds.
    InvalidSessionTimeout, "INVALID_SESSION_TIMEOUT", false;
    /// The group is rebalancing; the member must rejoin.
    RebalanceInProgress, "REBALANCE_IN_PROGRESS", false;
    /// The offset commit is too large.
    InvalidCommitOffsetSize, "INVALID_COMMIT_OFFSET_SIZE", false;
    /// A topic of this name exists.
    TopicAlreadyExists, "TOPIC_ALREADY_EXISTS", false;
    /// The number of partitions is not valid; it can only grow.
    InvalidPartitions, "INVALID_PARTITIONS", false;
    /// There are fewer brokers than replicas asked for.
    InvalidReplicationFactor, "INVALID_REPLICATION_FACTOR", false;
    /// The replica assignment is not valid.
    InvalidReplicaAssignment, "INVALID_REPLICA_ASSIGNMENT", false;
    /// A setting is not valid.
    InvalidConfig, "INVALID_CONFIG", false;
    /// The node is not the active controller.
    NotController, "NOT_CONTROLLER", true;
    /// The request contradicts itself or the state.
    InvalidRequest, "INVALID_REQUEST", false;
    /// The node does not support this version of the request.
    UnsupportedVersion, "UNSUPPORTED_VERSION", false;
    /// The request violates a policy.
    PolicyViolation, "POLICY_VIOLATION", false;
    /// The sequence number is not the next one; the client resends in order.
    OutOfOrderSequenceNumber, "OUT_OF_ORDER_SEQUENCE_NUMBER", false;
    /// The batch was appended before; clients count it as success.
    DuplicateSequenceNumber, "DUPLICATE_SEQUENCE_NUMBER", false;
    /// The producer epoch is older than the one the broker knows.
    InvalidProducerEpoch, "INVALID_PRODUCER_EPOCH", false;
    /// The transaction is not in a state that allows this.
    InvalidTxnState, "INVALID_TXN_STATE", false;
    /// The producer id does not belong to the transactional id.
    InvalidProducerIdMapping, "INVALID_PRODUCER_ID_MAPPING", false;
    /// The transaction timeout is above the broker's maximum.
    InvalidTransactionTimeout, "INVALID_TRANSACTION_TIMEOUT", false;
    /// Another change of the transaction is under way.
    ConcurrentTransactions, "CONCURRENT_TRANSACTIONS", true;
    /// The marker comes from an older transaction coordinator.
    TransactionCoordinatorFenced, "TRANSACTION_COORDINATOR_FENCED", false;
    /// The client may not use the transactional id.
    TransactionalIdAuthorizationFailed, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false;
    /// Not tried, because another part of the request failed.
    OperationNotAttempted, "OPERATION_NOT_ATTEMPTED", false;
    /// The broker's disk failed.
    KafkaStorageError, "KAFKA_STORAGE_ERROR", true;
    /// The broker has no state for this producer id.
    UnknownProducerId, "UNKNOWN_PRODUCER_ID", false;
    /// The fetch session is gone.
    FetchSessionIdNotFound, "FETCH_SESSION_ID_NOT_FOUND", true;
    /// The fetch session is at another epoch.
    InvalidFetchSessionEpoch, "INVALID_FETCH_SESSION_EPOCH", true;
    /// The group has members.
    NonEmptyGroup, "NON_EMPTY_GROUP", false;
    /// There is no such group.
    GroupIdNotFound, "GROUP_ID_NOT_FOUND", false;
    /// The request names an older leader epoch; refresh metadata.
    FencedLeaderEpoch, "FENCED_LEADER_EPOCH", true;
    /// The request names a newer leader epoch than the broker knows.
    UnknownLeaderEpoch, "UNKNOWN_LEADER_EPOCH", true;
    /// The broker registered again since.
    StaleBrokerEpoch, "STALE_BROKER_EPOCH", false;
    /// The high watermark has not yet reached the leader's epoch (KIP-207).
    OffsetNotAvailable, "OFFSET_NOT_AVAILABLE", true;
    /// Join again with the member id in the response.
    MemberIdRequired, "MEMBER_ID_REQUIRED", true;
    /// The preferred leader is not live and in sync.
    PreferredLeaderNotAvailable, "PREFERRED_LEADER_NOT_AVAILABLE", true;
    /// The group is full.
    GroupMaxSizeReached, "GROUP_MAX_SIZE_REACHED", false;
    /// Another process uses the same group.instance.id.
    FencedInstanceId, "FENCED_INSTANCE_ID", false;
    /// No replica that may lead is live.
    EligibleLeadersNotAvailable, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true;
    /// The partition has the leader it should have.
    ElectionNotNeeded, "ELECTION_NOT_NEEDED", true;
    /// The partition is not being reassigned.
    NoReassignmentInProgress, "NO_REASSIGNMENT_IN_PROGRESS", false;
    /// The group reads this topic.
    GroupSubscribedToTopic, "GROUP_SUBSCRIBED_TO_TOPIC", false;
    /// An offset commit is part of an open transaction.
    UnstableOffsetCommit, "UNSTABLE_OFFSET_COMMIT", true;
    /// A quota is exceeded.
    ThrottlingQuotaExceeded, "THROTTLING_QUOTA_EXCEEDED", true;
    /// A newer producer took over the transactional id.
    ProducerFenced, "PRODUCER_FENCED", false;
    /// A live broker has this id.
    DuplicateBrokerRegistration, "DUPLICATE_BROKER_REGISTRATION", false;
    /// The controller does not know this broker.
    BrokerIdNotRegistered, "BROKER_ID_NOT_REGISTERED", false;
    /// The voter set of the request is another one.
    InconsistentVoterSet, "INCONSISTENT_VOTER_SET", false;
    /// The partition epoch of the request is outdated.
    InvalidUpdateVersion, "INVALID_UPDATE_VERSION", false;
    /// The member's epoch is not valid; it must rejoin (KIP-848).
    FencedMemberEpoch, "FENCED_MEMBER_EPOCH", false;
    /// The group.instance.id is still in use (KIP-848).
    UnreleasedInstanceId, "UNRELEASED_INSTANCE_ID", false;
    /// The group coordinator does not have this assignor.
    UnsupportedAssignor, "UNSUPPORTED_ASSIGNOR", false;
    /// The member's epoch is behind; retry after the next heartbeat.
    StaleMemberEpoch, "STALE_MEMBER_EPOCH", false;
    /// The subscription id is not known.
    UnknownSubscriptionId, "UNKNOWN_SUBSCRIPTION_ID", false;
    /// A replica of the new ISR may not join it.
    IneligibleReplica, "INELIGIBLE_REPLICA", false;
    /// The request changed the leader, which is no longer the sender.
    NewLeaderElected, "NEW_LEADER_ELECTED", false;
    /// The offset is only in remote storage.
    OffsetMovedToTieredStorage, "OFFSET_MOVED_TO_TIERED_STORAGE", false;
    /// The share state epoch is outdated.
    FencedStateEpoch, "FENCED_STATE_EPOCH", false;
    /// The voter key is not the receiver's.
    InvalidVoterKey, "INVALID_VOTER_KEY", false;
    /// The voter is in the set already.
    DuplicateVoter, "DUPLICATE_VOTER", false;
    /// The voter is not in the set.
    VoterNotFound, "VOTER_NOT_FOUND", false;
    /// The share group's record is not in a state that allows this.
    InvalidRecordState, "INVALID_RECORD_STATE", false;
    /// The share session is gone.
    ShareSessionNotFound, "SHARE_SESSION_NOT_FOUND", true;
    /// The share session is at another epoch.
    InvalidShareSessionEpoch, "INVALID_SHARE_SESSION_EPOCH", true;
    /// Abort the transaction and start it again.
    TransactionAbortable, "TRANSACTION_ABORTABLE", false;
}

impl ErrorCode {
    /// Whether this is anything but [`ErrorCode::None`].
    pub fn is_error(self) -> bool {
        self != Self::None
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert_eq!(ErrorCode::default().name(), "NONE");
    }
}
