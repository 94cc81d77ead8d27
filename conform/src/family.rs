//! The families of cases and their readers, by the name of the file that holds them.

use crate::case::{Case, Checked};
use crate::{kafka, stream};

/// A reader: runs one case through the engine and compares.
pub(crate) type Reader = fn(&Case) -> Checked;

/// Each family: what its files' names begin with, and its reader.
const FAMILIES: &[(&str, Reader)] = &[
    ("assignor-range-classic", kafka::assignors::check_range),
    (
        "assignor-range-kip848",
        kafka::server_assignors::check_range,
    ),
    ("assignor-roundrobin-classic", kafka::assignors::check_dealt),
    ("assignor-sticky-classic", kafka::assignors::check_sticky),
    (
        "assignor-uniform-kip848",
        kafka::server_assignors::check_uniform,
    ),
    ("beam-", stream::check),
    ("consumer-position", kafka::position::check),
    ("controller-election", kafka::controller::check),
    ("flink-", stream::check),
    ("follower-truncation", kafka::follower::check),
    ("group-classic", kafka::group_classic::check),
    ("group-kip848", kafka::modern_group::check),
    ("kraft-quorum", kafka::quorum::check),
    ("leader-epoch-cache", kafka::epochs::check),
    ("log-hw-lso-retention", kafka::log::check),
    ("partition-isr-hw", kafka::isr::check),
    ("partitioner", kafka::partitioner::check),
    ("producer-state", kafka::producers::check),
    ("log-cleaner", kafka::cleaner::check),
    ("queueing", stream::queueing::check),
    ("quota", kafka::quota::check),
    ("txn-coordinator", kafka::txn_coordinator::check),
];

/// The reader for a file of this name, with or without folders and ending.
pub(crate) fn of(name: &str) -> Option<Reader> {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let found = FAMILIES.iter().filter(|(stem, _)| file.starts_with(stem));
    found
        .max_by_key(|(stem, _)| stem.len())
        .map(|(_, reader)| *reader)
}
