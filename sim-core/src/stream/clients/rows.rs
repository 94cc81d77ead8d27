//! Rows of a job as records of a topic, and records of a topic as those of a source.
//!
//! A row says all of itself in the record's value; its key and its event time are the record's too
//! (`KafkaRecordSerializationSchema`). A record that no job wrote says nothing here: its value is
//! its offset, as it is with records that a source makes by rule.

use crate::kafka::embed::{Handed, Outgoing};
use crate::kafka::rules::murmur2::murmur2;
use crate::stream::element::{Key, NO_TIMESTAMP, Origin, Record};
use crate::stream::rules::join::RowKind;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::{KafkaSource, Keys};

/// What a record's value is for a row.
pub(super) fn encode(row: &Record) -> Vec<u8> {
    postcard::to_allocvec(row).unwrap_or_default()
}

/// The row that a value is of, if a job wrote it.
pub(super) fn decode(value: &[u8]) -> Option<Record> {
    postcard::from_bytes(value).ok()
}

/// A row as it is given to `send()`: `bytes` large.
pub(super) fn outgoing(row: &Record, keys: &Keys, bytes: u32) -> Outgoing {
    Outgoing {
        key: (row.key.0, murmur2(keys.name(row.key).as_bytes())),
        bytes,
        timestamp_ms: (row.timestamp != NO_TIMESTAMP).then_some(row.timestamp),
    }
}

/// What `poll()` returned, as a record of the source that this operator is.
pub(super) fn incoming(handed: &Handed, source: &KafkaSource, operator: u32) -> Record {
    let record = &handed.record;
    let origin = Origin {
        source: operator as u16,
        split: handed.partition,
        offset: handed.offset.max(0).unsigned_abs(),
    };
    if let Some(row) = handed.value.as_deref().and_then(decode) {
        return Record { origin, ..row };
    }
    let number = record.key.map_or(0, |key| key.0);
    let known = source.keys.get(number as usize);
    Record {
        key: known.copied().unwrap_or(Key(number)),
        timestamp: match record.timestamp_ms {
            -1 => NO_TIMESTAMP,
            given => given,
        },
        value: Value::Number(handed.offset),
        right: None,
        kind: RowKind::Insert,
        window: None,
        timing: None,
        origin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::config::OffsetReset;
    use crate::log::{KeyId, RecordId};
    use crate::stream::config::KafkaSourceConfig;
    use crate::stream::rules::assigner::Window;
    use crate::stream::spec::KafkaStart;

    #[test]
    fn a_row_comes_back_as_it_was_but_for_where_it_stands() {
        let window = Window { start: 0, end: 10 };
        let row = Record {
            key: Key(3),
            timestamp: 9,
            value: Value::Values(vec![4, -5]),
            right: Some(Value::Nothing),
            kind: RowKind::UpdateAfter,
            window: Some(window),
            timing: None,
            origin: Origin::default(),
        };
        assert_eq!(decode(&encode(&row)), Some(row.clone()));
        let source = KafkaSource {
            topic: "t".to_owned(),
            start: KafkaStart::Earliest,
            reset: OffsetReset::Earliest,
            read_committed: true,
            keys: vec![Key(8), Key(9)],
            config: KafkaSourceConfig::default(),
        };
        let mut handed = Handed {
            partition: 2,
            offset: 41,
            record: crate::log::Record {
                id: RecordId(1),
                key: Some(KeyId(1)),
                offset_delta: 0,
                bytes: 100,
                timestamp_ms: 77,
                tombstone: false,
            },
            value: Some(encode(&row)),
        };
        let got = incoming(&handed, &source, 5);
        assert_eq!((got.origin.split, got.origin.offset), (2, 41));
        assert_eq!((got.key, got.window), (Key(3), Some(window)));
        handed.value = None;
        let got = incoming(&handed, &source, 5);
        let expected = (Key(9), 77, Value::Number(41));
        assert_eq!((got.key, got.timestamp, got.value), expected);
    }
}
