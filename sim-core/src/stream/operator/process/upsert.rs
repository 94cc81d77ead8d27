//! The newest row of each key as a changelog.
//!
//! Follows `DeduplicateFunctionHelper.processLastRowOnChangelog`, which is what Flink SQL plans for a
//! source of upserts (`ChangelogNormalize`, e.g. of `upsert-kafka`): the first row of a key is `+I`;
//! another takes back the one before it (`-U`) and stands in its place (`+U`), unless it says the same
//! and nothing expires; a row that is a tombstone deletes what is there (`-D`), whatever it says
//! itself.

use super::{Kept, KeyState, Piece, ProcessTask};
use crate::stream::element::Record;
use crate::stream::operator::Outs;
use crate::stream::protocol::TaskFailure;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::window::aggregate::Value;

impl ProcessTask {
    /// Puts a row in the place of its key's, and puts out what that changes.
    pub(super) fn upsert(
        &mut self,
        at: u32,
        record: Record,
        value: i64,
        outs: &mut Outs,
    ) -> Result<(), TaskFailure> {
        let written = self.spec.ttl_ms.map_or(0, |_| outs.now_ms);
        let piece = self.groups.write(at, Piece::default);
        let piece = piece.ok_or(TaskFailure::UserCode)?;
        let before = piece.get(&record.key).and_then(|it| match it.state {
            KeyState::Number(value) => Some(value),
            _ => None,
        });
        let mut say = |kind: RowKind, value: i64| {
            outs.main.push(Record {
                value: Value::Number(value),
                kind,
                ..record.clone()
            });
        };
        if !record.kind.is_accumulate() {
            if let Some(before) = before {
                say(RowKind::Delete, before);
                self.drop_entry(at, record.key, None);
            } else if piece.is_empty() {
                self.groups.clear(at);
            }
            return Ok(());
        }
        let new = Kept {
            written,
            state: KeyState::Number(value),
        };
        piece.set(record.key, new);
        match before {
            None => {
                self.entries += 1;
                say(RowKind::Insert, value);
            }
            Some(before) if before == value && self.spec.ttl_ms.is_none() => {}
            Some(before) => {
                say(RowKind::UpdateBefore, before);
                say(RowKind::UpdateAfter, value);
            }
        }
        Ok(())
    }
}
