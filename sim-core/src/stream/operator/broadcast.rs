//! Broadcast state of a join: the right input's values, of which each subtask has a copy.
//!
//! Follows the broadcast state pattern of Flink: a row of the left input meets what has come by then.

use super::{OperatorSnapshot, Outs, Site, number};
use crate::stream::element::{Key, Record};
use crate::stream::rules::join::broadcast::BroadcastState;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::snapshot::ListItem;

/// The copy of broadcast state that a subtask reads: those of the old subtasks in turn.
pub(super) fn copy_of(site: Site, restored: &[&OperatorSnapshot]) -> BroadcastState<Key, i64> {
    let items = restored.iter().flat_map(|it| &it.list);
    let copies = items.filter_map(|item| match item {
        ListItem::Broadcast { subtask, entries } => Some((*subtask, entries)),
        _ => None,
    });
    let mut copies: Vec<_> = copies.collect();
    copies.sort_by_key(|it| it.0);
    let copies: Vec<BroadcastState<Key, i64>> = copies
        .into_iter()
        .map(|(_, entries)| {
            let mut state = BroadcastState::default();
            for (name, value) in entries {
                state.on_broadcast(*name, Some(*value));
            }
            state
        })
        .collect();
    BroadcastState::on_restore(&copies, usize::from(site.subtask))
}

/// A record of either input.
pub(super) fn on_record(
    state: &mut BroadcastState<Key, i64>,
    is_left: bool,
    mut record: Record,
    outs: &mut Outs,
) {
    if !is_left {
        let value = record.kind.is_accumulate().then(|| number(&record.value));
        state.on_broadcast(record.key, value);
    } else if let Some(value) = state.get(&record.key) {
        record.right = Some(Value::Number(*value));
        outs.main.push(record);
    }
}
