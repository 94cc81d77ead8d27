//! What a cluster can do beyond replicating logs, as a table of functions.
//!
//! Groups, transactions, quotas, compaction and tiered storage are much code, and most clusters use
//! little of it. A node calls them through [`Parts`] alone, so whoever builds a cluster without
//! naming a part does not link its code: the home page of the site, which runs a cluster before the
//! rest of the site has come, leaves them all out ([`Parts::REPLICATION`]). Everything read from a
//! scenario has them all.
//!
//! The table holds no state and follows no setting. Which part acts is decided by the settings, as
//! ever; that a cluster whose settings ask for a part was built with it is its builder's business,
//! and where it was not, the part stays silent.

use super::broker::{Broker, BrokerParts};
use super::compaction_checks::CompactionChecks;
use super::consumer::{Consumer, MemberPart};
use super::controller::{AdminPart, Controller};
use super::group_invariants::{GroupChecks, GroupInvariants};
use super::processor::{Processor, ProcessorPart};
use super::producer::{Producer, TransactionPart};
use super::txn_invariants::{Transactions, TxnChecks};
use serde::{Serialize, Serializer};
use std::fmt;

/// Which parts the nodes of a cluster have.
#[derive(Clone, Copy)]
pub struct Parts(&'static Table);

pub(super) struct Table {
    name: &'static str,
    pub(super) broker: BrokerParts,
    pub(super) member: MemberPart,
    pub(super) transactions: TransactionPart,
    pub(super) processor: ProcessorPart,
    pub(super) admin: AdminPart,
    pub(super) groups: GroupChecks,
    pub(super) compaction: CompactionChecks,
    pub(super) txns: TxnChecks,
}

static EVERYTHING: Table = Table {
    name: "everything",
    broker: Broker::EVERY_PART,
    member: Consumer::MEMBER,
    transactions: Producer::TRANSACTIONS,
    processor: Processor::PROCESSORS,
    admin: Controller::ADMIN,
    groups: GroupInvariants::CHECKS,
    compaction: CompactionChecks::ALL,
    txns: Transactions::CHECKS,
};

static REPLICATION: Table = Table {
    name: "replication",
    broker: Broker::NO_PART,
    member: Consumer::NO_MEMBER,
    transactions: Producer::NO_TRANSACTIONS,
    processor: Processor::NO_PROCESSORS,
    admin: Controller::NO_ADMIN,
    groups: GroupInvariants::NO_CHECKS,
    compaction: CompactionChecks::NONE,
    txns: Transactions::NO_CHECKS,
};

impl Parts {
    /// All there are.
    pub const EVERYTHING: Parts = Parts(&EVERYTHING);
    /// Logs, leaders, followers, producers without a transactional id, consumers without a group.
    pub const REPLICATION: Parts = Parts(&REPLICATION);

    pub(super) fn table(self) -> &'static Table {
        self.0
    }
}

impl Default for Parts {
    fn default() -> Self {
        Parts::EVERYTHING
    }
}

impl PartialEq for Parts {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Parts {}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Serialize for Parts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name)
    }
}
