//! The stores outside of a job, with their newest rows.

use super::job::{Look, value};
use crate::kernel::NodeId;
use crate::stream::node::Machine;
use crate::stream::spec::{Guarantee, OperatorKind};
use crate::stream::store::{Store, TransactionState};
use crate::systems::Node;
use crate::view::{JobRow, JobStore};

/// Rows of a store that are shown.
const ROWS: usize = 24;

impl Look<'_> {
    pub(super) fn stores(&self) -> Vec<JobStore> {
        let each = self.job.stores.iter().filter_map(|(operator, node)| {
            let Node::Stream(it) = self.world.process(*node)? else {
                return None;
            };
            match it.machine() {
                Machine::Store(it) => Some(self.store(*operator, *node, it)),
                _ => None,
            }
        });
        each.collect()
    }

    fn store(&self, operator: u32, node: NodeId, it: &Store) -> JobStore {
        let spec = self.job.spec.operators.get(operator as usize);
        let sink = spec.and_then(|it| match &it.kind {
            OperatorKind::Sink(sink) => Some(sink),
            _ => None,
        });
        let guarantee = match sink.map(|it| it.guarantee) {
            None | Some(Guarantee::None) => "none",
            Some(Guarantee::AtLeastOnce) => "at-least-once",
            Some(Guarantee::Idempotent) => "idempotent",
            Some(Guarantee::WriteAheadLog) => "write-ahead log",
            Some(Guarantee::ExactlyOnce { .. }) => "exactly-once",
            Some(Guarantee::WithOffset) => "with-offset",
        };
        let stable = it.last_stable();
        let total = it.rows().len();
        let first = total.saturating_sub(ROWS);
        let rows = (first..total).filter_map(|at| Some((at, it.rows().get(at)?)));
        let rows = rows.map(|(at, row)| {
            let state = match it.state_of(row) {
                _ if row.deleted => "deleted",
                TransactionState::Committed => "committed",
                TransactionState::Empty | TransactionState::Open => "open",
                TransactionState::Aborted(_) => "aborted",
            };
            JobRow {
                key: self.job.spec.keys.name(row.record.key),
                key_number: row.record.key.0,
                value: value(&row.record.value),
                window: row.record.window.map(|it| (it.start, it.end)),
                state,
                visible: state == "committed" && (at as u64) < stable,
                transaction: row.transaction,
            }
        });
        let open = it.open_transactions().count() as u64;
        JobStore {
            node: node.0,
            name: sink.map_or_else(String::new, |it| it.store.clone()),
            sink: self.name(operator),
            guarantee,
            rows: rows.collect(),
            first: first as u64,
            total: total as u64,
            visible: it.visible_rows().count() as u64,
            transactions: (open, it.committed(), it.aborted()),
            waiting: it.waiting(),
        }
    }
}
