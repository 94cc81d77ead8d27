//! What became of the rows that a sink gave to a producer.
//!
//! A producer sends records in the order in which it is given them and says of each what became of
//! it. By that order rows and records are matched; what a row says goes into the batch that takes
//! its record, each time that it is sent (`KafkaWriter.WriterCallback`).

use crate::log::RecordId;
use crate::stream::element::Record;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// The rows of one producer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Slips {
    /// Given to `send()`, which has not chosen a partition yet: the sink's request, the row.
    given: VecDeque<(u64, Vec<u8>)>,
    /// On their way.
    sent: BTreeMap<RecordId, (u64, Vec<u8>)>,
    /// Rows of each request that are not answered.
    left: BTreeMap<u64, u32>,
    /// One of them failed.
    failed: bool,
}

impl Slips {
    /// A sink's request with rows.
    pub(super) fn give(&mut self, request: u64, rows: &[Record]) {
        let given = rows.iter().map(|it| (request, super::rows::encode(it)));
        self.given.extend(given);
        *self.left.entry(request).or_default() += rows.len() as u32;
    }

    /// The next row has a record.
    pub(super) fn sent(&mut self, record: RecordId) {
        if let Some(row) = self.given.pop_front() {
            self.sent.insert(record, row);
        }
    }

    /// What a record says.
    pub(super) fn value(&self, record: RecordId) -> Vec<u8> {
        let row = self.sent.get(&record);
        row.map_or_else(Vec::new, |(_, value)| value.clone())
    }

    /// A record is written, or has failed.
    pub(super) fn done(&mut self, record: RecordId, written: bool) {
        self.failed |= !written;
        if let Some((request, _)) = self.sent.remove(&record)
            && let Some(left) = self.left.get_mut(&request)
        {
            *left = left.saturating_sub(1);
        }
    }

    /// Takes the requests whose rows are all answered.
    pub(super) fn take_answered(&mut self) -> Vec<u64> {
        let done = self.left.iter().filter(|(_, left)| **left == 0);
        let done: Vec<u64> = done.map(|(request, _)| *request).collect();
        for request in &done {
            self.left.remove(request);
        }
        done
    }

    /// Whether a row failed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// About how many bytes a copy takes.
    pub(super) fn weight(&self) -> usize {
        (self.given.len() + self.sent.len()) * 128
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::element::{Key, Origin};
    use crate::stream::rules::join::RowKind;
    use crate::stream::rules::window::aggregate::Value;

    fn row(value: i64) -> Record {
        Record {
            key: Key(1),
            timestamp: 7,
            value: Value::Number(value),
            right: None,
            kind: RowKind::Insert,
            window: None,
            timing: None,
            origin: Origin::default(),
        }
    }

    #[test]
    fn a_request_is_answered_with_its_last_row() {
        let mut slips = Slips::default();
        slips.give(4, &[row(1), row(2)]);
        slips.give(5, &[row(3)]);
        (10..13).for_each(|it| slips.sent(RecordId(it)));
        assert_eq!(
            slips.value(RecordId(11)),
            super::super::rows::encode(&row(2))
        );
        for (record, answered) in [(12, vec![5]), (10, vec![]), (11, vec![4])] {
            slips.done(RecordId(record), true);
            assert_eq!(slips.take_answered(), answered, "{record}");
        }
        assert!(slips.left.is_empty() && !slips.has_failed());
        slips.give(6, &[row(4)]);
        slips.sent(RecordId(13));
        slips.done(RecordId(13), false);
        assert!(slips.has_failed());
    }
}
