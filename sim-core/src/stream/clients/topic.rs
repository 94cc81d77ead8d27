//! What a topic holds that a sink writes to: as everyone sees it, and as a reader of committed
//! records does.
//!
//! It is read from the log of each partition's leader as the quorum has it, up to its high
//! watermark; while there is no leader that runs, from the longest log of any replica. A record of
//! a transaction is committed if the marker of its commit stands behind it, and a reader with
//! `read_committed` sees those before the first transaction that is still open.

use super::rows::decode;
use crate::kafka::facts::Cluster;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kernel::World;
use crate::log::{ControlMarker, Log};
use crate::stream::element::Record;
use crate::stream::job::Job;
use crate::stream::spec::OperatorKind;
use crate::systems::Node;
use std::collections::{BTreeMap, BTreeSet};

/// A row in a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicRow {
    /// The row.
    pub record: Record,
    /// Its transaction is committed, or it has none.
    pub committed: bool,
    /// A reader with `read_committed` sees it.
    pub visible: bool,
}

/// The rows of a topic, by partition and offset, and its transactions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicRows {
    /// The rows.
    pub rows: Vec<TopicRow>,
    /// Transactions of a partition that have rows and no marker.
    pub open: u64,
    /// Transactions of a partition that ended with the marker of an abort.
    pub aborted: u64,
}

impl TopicRows {
    /// Rows that a reader with `read_committed` sees.
    pub fn visible(&self) -> impl Iterator<Item = &Record> {
        let visible = self.rows.iter().filter(|it| it.visible);
        visible.map(|it| &it.record)
    }

    /// Rows of committed transactions, and of none.
    pub fn committed(&self) -> impl Iterator<Item = &Record> {
        let committed = self.rows.iter().filter(|it| it.committed);
        committed.map(|it| &it.record)
    }

    /// Committed rows beyond the first of the same origin, key, window and value.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        let mut seen = BTreeSet::new();
        let again = self
            .committed()
            .filter(|row| !seen.insert((row.origin, row.key, row.window, &row.value)));
        again.count() as u64
    }
}

/// What the topic of a sink holds; none if the sink does not write to one.
#[must_use]
pub fn rows_of(world: &World<Node>, job: &Job, sink: u32) -> Option<TopicRows> {
    let spec = job.spec.operators.get(sink as usize)?;
    let OperatorKind::Sink(spec) = &spec.kind else {
        return None;
    };
    let topic = &spec.kafka.as_ref()?.topic;
    let cluster = Cluster(world);
    let mut all = TopicRows::default();
    let (_, broker) = cluster.brokers().next()?;
    let number = broker.topics().iter().position(|it| **it == **topic)?;
    let topic = TopicId(number as u16);
    for partition in 0..u16::MAX {
        let tp = TopicPartition { topic, partition };
        let longest = || {
            let logs = cluster.brokers().filter_map(|(_, it)| it.log(tp));
            logs.max_by_key(|log| log.leo())
        };
        match cluster.leader_log(tp).or_else(longest) {
            Some(log) => read(log, &mut all),
            None => break,
        }
    }
    Some(all)
}

fn read(log: &Log, all: &mut TopicRows) {
    let (start, end) = (log.start_offset(), log.high_watermark());
    let first = all.rows.len();
    // By producer: the rows of its transaction.
    let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for batch in log.batches_from(start) {
        if batch.base_offset >= end {
            break;
        }
        let producer = batch.producer.id;
        match batch.control {
            Some(ControlMarker::Commit) => {
                for at in open.remove(&producer).unwrap_or_default() {
                    all.rows[at].committed = true;
                }
            }
            Some(ControlMarker::Abort) => {
                all.aborted += u64::from(open.remove(&producer).is_some());
            }
            Some(_) => {}
            None => {
                for it in batch.records.iter() {
                    let value = batch.value(it.offset_delta);
                    let Some(record) = value.and_then(decode) else {
                        continue;
                    };
                    let at = all.rows.len();
                    if batch.transactional {
                        open.entry(producer).or_default().push(at);
                    }
                    all.rows.push(TopicRow {
                        record,
                        committed: !batch.transactional,
                        visible: false,
                    });
                }
            }
        }
    }
    all.open += open.len() as u64;
    let firsts = open.values().filter_map(|it| it.first());
    let stable = firsts.min().copied().unwrap_or(all.rows.len());
    for row in &mut all.rows[first..stable] {
        row.visible = row.committed;
    }
}
