//! What a predicate may ask of a run.

use crate::check::Ledger;
use crate::kafka;
use crate::kernel::{NodeState, World};
use crate::scenario::{Facts, LedgerCount, Probe, Value};
use crate::stream::parts::StreamParts;
use crate::systems::{self, Node};

/// The present state, as predicates see it.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts<'a> {
    pub(super) world: &'a World<Node>,
    pub(super) ledger: &'a Ledger,
    pub(super) invariants: &'a kafka::invariants::Invariants,
}

impl Facts for RunFacts<'_> {
    fn value(&self, probe: &Probe) -> Value {
        match probe {
            Probe::Time => Value::Time(self.world.now()),
            Probe::NodeState(node) => match self.world.nodes().get(node.0 as usize) {
                // In the order of `scenario::NODE_STATES`.
                Some(slot) => Value::Word(match slot.state {
                    NodeState::Up => 0,
                    NodeState::Paused => 1,
                    NodeState::Down { .. } => 2,
                }),
                None => Value::None,
            },
            Probe::Ledger(LedgerCount::Committed) => {
                Value::Int(kafka::facts::committed(self.world, self.ledger) as i64)
            }
            Probe::Ledger(count) => {
                let view = self.ledger.view(0);
                Value::Int(match count {
                    LedgerCount::Sent => view.sent,
                    LedgerCount::Acknowledged => view.acknowledged,
                    LedgerCount::Failed => view.failed,
                    LedgerCount::Committed => view.committed,
                    LedgerCount::Delivered => view.delivered,
                    LedgerCount::Lost => view.lost,
                    LedgerCount::Duplicated => view.duplicated,
                    LedgerCount::Reordered => view.reordered,
                    LedgerCount::Processed => self.ledger.groups().processed,
                    LedgerCount::Reprocessed => self.ledger.groups().reprocessed,
                    LedgerCount::Skipped => self.ledger.groups().skipped,
                    LedgerCount::Outputs => self.ledger.outputs().outputs,
                    LedgerCount::RepeatedOutputs => self.ledger.outputs().repeated,
                    LedgerCount::Expired => view.expired,
                    LedgerCount::Compacted => view.compacted,
                } as i64)
            }
            Probe::InvariantsViolated => Value::Int(self.invariants.violations().len() as i64),
            Probe::System(systems::Probe::Kafka(kafka::scenario::Probe::GroupStopped(node))) => {
                let cluster = kafka::facts::Cluster(self.world);
                let group = kafka::group_facts::group_of(cluster, *node);
                group.map_or(Value::None, |group| {
                    Value::Time(self.invariants.stopped(group, self.world.now()))
                })
            }
            Probe::System(systems::Probe::Kafka(probe)) => kafka::facts::value(self.world, probe),
            Probe::System(systems::Probe::Stream(probe)) => {
                let parts = StreamParts::of(self.world);
                parts.map_or(Value::None, |parts| parts.value(self.world, probe))
            }
        }
    }

    fn reason(&self, probe: &Probe) -> Option<String> {
        let Probe::System(systems::Probe::Stream(probe)) = probe else {
            return None;
        };
        StreamParts::of(self.world)?.reason(self.world, probe)
    }
}
