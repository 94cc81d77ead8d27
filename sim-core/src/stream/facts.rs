//! The answers to what a predicate asks of a job, read from its machines.

use super::clients::{TopicRows, rows_of};
use super::expected;
use super::jobmanager::{Cause, Completed, JobManager, RecoveryLine};
use super::node::Machine;
use super::probe::{JobProbe, MachineProbe, OperatorProbe, Probe, StoreProbe};
use super::protocol::TaskFailure;
use super::rules::NO_WATERMARK;
use super::rules::autoscaler::Rate;
use super::rules::fault::checkpoint_failures::FailureReason;
use super::rules::join::RowKind;
use super::rules::window::aggregate::Value as Said;
use super::spec::OperatorKind;
use super::store::Store;
use super::task::chain::Link;
use super::task::{Spent, Task};
use super::taskmanager::{Counted, Ended};
use crate::kafka::facts::Cluster;
use crate::kafka::ids::{TopicId, TopicPartition};
use crate::kernel::{MILLISECOND, Nanos, World};
use crate::log::Log;
use crate::scenario::Value;
use crate::systems::Node;
use std::collections::BTreeSet;

fn int(number: impl TryInto<i64>) -> Value {
    Value::Int(number.try_into().unwrap_or(i64::MAX))
}

/// The machines of a world's job that run.
pub(super) fn machines(world: &World<Node>) -> impl Iterator<Item = &Machine> {
    world.nodes().iter().filter_map(|slot| match &slot.process {
        Node::Stream(node) => Some(node.machine()),
        _ => None,
    })
}

pub(super) fn job_manager(world: &World<Node>) -> Option<&JobManager> {
    machines(world).find_map(|it| match it {
        Machine::JobManager(it) => Some(&**it),
        _ => None,
    })
}

/// The tasks that an operator, or one subtask of it, runs in.
fn tasks(
    world: &World<Node>,
    (operator, subtask): (u32, Option<u16>),
) -> impl Iterator<Item = &Task> {
    let managers = machines(world).filter_map(|it| match it {
        Machine::TaskManager(it) => Some(it),
        _ => None,
    });
    let tasks = managers.flat_map(|it| it.tasks().values());
    tasks.filter(move |it| it.runs(operator) && subtask.is_none_or(|of| it.id.subtask == of))
}

/// The ended tasks of the present attempt that an operator, or one subtask of it, ran in.
fn ended(
    world: &World<Node>,
    (operator, subtask): (u32, Option<u16>),
) -> impl Iterator<Item = &Ended> {
    let executions = job_manager(world).map(|it| it.executions().iter());
    let all = executions.into_iter().flatten();
    let all = all.filter(move |(id, _)| subtask.is_none_or(|of| id.subtask == of));
    all.flat_map(move |(id, execution)| {
        let here = machines(world).filter_map(move |it| match it {
            Machine::TaskManager(it) => it.ended(*id),
            _ => None,
        });
        here.filter(move |it| {
            let ran = it.operators.iter().any(|it| it.operator == operator);
            ran && it.attempt == execution.attempt
        })
    })
}

/// The store of a sink.
pub(super) fn store(world: &World<Node>, operator: u32) -> Option<&Store> {
    machines(world).find_map(|it| match it {
        Machine::Store(it) if it.operator() == operator => Some(&**it),
        _ => None,
    })
}

/// The answer to a question.
#[must_use]
pub fn value(world: &World<Node>, probe: &Probe) -> Value {
    match *probe {
        Probe::Job(probe) => job_manager(world).map_or(Value::None, |it| of_job(world, it, probe)),
        Probe::Operator(operator, probe) => of_operator(world, (operator, None), probe),
        Probe::Subtask(operator, subtask, probe) => {
            of_operator(world, (operator, Some(subtask)), probe)
        }
        Probe::Store(operator, probe) => {
            let topic = || {
                let job = job_manager(world)?.job();
                Some(of_topic(&rows_of(world, job, operator)?, probe))
            };
            let store = store(world, operator).map(|it| of_store(it, probe));
            store.or_else(topic).unwrap_or(Value::None)
        }
        Probe::Machine(node, probe) => {
            let found = world.nodes().get(node as usize).map(|it| &it.process);
            match found {
                Some(Node::Stream(it)) => of_machine(it.machine(), probe),
                _ => Value::None,
            }
        }
    }
}

/// Of a TaskManager's memory.
fn of_machine(machine: &Machine, probe: MachineProbe) -> Value {
    let Machine::TaskManager(it) = machine else {
        return Value::None;
    };
    let Some(memory) = it.memory() else {
        return Value::None;
    };
    let (areas, used) = (memory.areas(), it.used());
    let segments = u64::from(memory.segments());
    int(match probe {
        MachineProbe::Process => areas.process(),
        MachineProbe::Flink => areas.flink(),
        MachineProbe::FrameworkHeap => areas.framework_heap,
        MachineProbe::TaskHeap => areas.task_heap,
        MachineProbe::FrameworkOffHeap => areas.framework_off_heap,
        MachineProbe::TaskOffHeap => areas.task_off_heap,
        MachineProbe::Network => areas.network,
        MachineProbe::Managed => areas.managed,
        MachineProbe::Metaspace => areas.metaspace,
        MachineProbe::Overhead => areas.overhead,
        MachineProbe::HeapUsed => used.heap,
        MachineProbe::RocksDb => used.rocksdb,
        MachineProbe::Segments => segments,
        MachineProbe::SegmentsUsed => used.segments,
        MachineProbe::SegmentsFree => segments.saturating_sub(used.segments),
        MachineProbe::Unreserved => used.unreserved,
        MachineProbe::HeapErrors => memory.ended().0,
        MachineProbe::Kills => memory.ended().1,
    })
}

/// Why a job failed, by its place among the words.
fn cause(it: Cause) -> u8 {
    match it {
        Cause::Task(_, failure) => match failure {
            TaskFailure::UserCode => 0,
            TaskFailure::Window => 1,
            TaskFailure::RemoteTransport => 2,
            TaskFailure::Restore => 3,
            TaskFailure::Sink => 4,
            TaskFailure::NetworkBuffers { .. } => 5,
            TaskFailure::OutOfMemory => 6,
            TaskFailure::StateMigration => 12,
            TaskFailure::Position => 13,
        },
        Cause::TaskManagerLost(_) => 7,
        Cause::Checkpoint(_) => 8,
        Cause::NoResourceAvailable => 9,
        Cause::StopWithSavepoint => 10,
        Cause::Discovery => 11,
    }
}

fn of_job(world: &World<Node>, it: &JobManager, probe: JobProbe) -> Value {
    match probe {
        JobProbe::Status => Value::Word(it.status() as u8),
        JobProbe::Attempt => int(it.attempt()),
        JobProbe::Restarts => int(it.restarts()),
        JobProbe::TaskManagers => int(it.task_managers().len()),
        JobProbe::Completed => int(it.counts().0),
        JobProbe::Failed => int(it.counts().1),
        JobProbe::LastCheckpoint => {
            let last = it.completed().last();
            last.map_or(Value::None, |it| Value::Int(it.id))
        }
        JobProbe::Regions => {
            let regions = it.job().graph.regions(it.parallelism());
            int(regions.values().collect::<BTreeSet<_>>().len())
        }
        JobProbe::CheckpointBytes => last_checkpoint(it, |it| int(it.bytes().1)),
        JobProbe::CheckpointUploaded => last_checkpoint(it, |it| int(it.bytes().0)),
        JobProbe::CheckpointTook => {
            last_checkpoint(it, |it| Value::Time(it.span.1.saturating_sub(it.span.0)))
        }
        JobProbe::Stored => {
            let mut all = machines(world);
            let found = all.find_map(|it| match it {
                Machine::Storage(it) => Some(it.bytes()),
                _ => None,
            });
            found.map_or(Value::None, int)
        }
        JobProbe::Pending => int(it.pending().len()),
        JobProbe::Matches => Value::Bool(difference(world, it).is_none()),
        JobProbe::Expired => failed_for(it, |it| it == FailureReason::CheckpointExpired),
        JobProbe::Declined => failed_for(it, FailureReason::is_declined),
        JobProbe::GroupsMoved => int(it.moved().by_ranges),
        JobProbe::GroupsByModulo => int(it.moved().by_modulo),
        JobProbe::Cause => it.cause().map_or(Value::None, |it| Value::Word(cause(it))),
        JobProbe::Savepoints => int(it
            .savepoints()
            .iter()
            .filter(|it| !it.done.retained)
            .count()),
        JobProbe::Rescales => it.autoscaler().map_or(Value::None, |it| int(it.rescales())),
        JobProbe::SnapshotsTaken => int(it.own_snapshots().unwrap_or_default().0),
        JobProbe::SnapshotsUseless => int(it.own_snapshots().unwrap_or_default().1),
        JobProbe::LineStarts => line(it, |it| int(it.starts)),
        JobProbe::LineReach => line(it, |it| Value::Time(it.reach)),
        JobProbe::LineSteps => line(it, |it| int(it.steps)),
        JobProbe::LastFailed => {
            let last = it.failed().last();
            last.map_or(Value::None, |it| Value::Int(it.id))
        }
        JobProbe::LastFailure => {
            let last = it.failed().last();
            last.map_or(Value::None, |it| Value::Word(it.reason as u8))
        }
    }
}

/// The first difference between what sinks hold and what is expected of them, in words.
fn difference(world: &World<Node>, it: &JobManager) -> Option<String> {
    let job = it.job();
    let sinks = || job.spec.expected.iter().map(|it| it.sink);
    let topics = sinks().filter_map(|sink| Some((sink, rows_of(world, job, sink)?)));
    let topics: Vec<(u32, TopicRows)> = topics.collect();
    let stores = sinks().filter_map(|sink| Some((sink, expected::held(store(world, sink)?))));
    let of_topics = topics
        .iter()
        .map(|(sink, it)| (*sink, it.visible().collect()));
    let held: Vec<_> = stores.chain(of_topics).collect();
    expected::first_difference(&job.spec, &held)
}

/// Why an answer is not the one hoped for, in words.
#[must_use]
pub fn reason(world: &World<Node>, probe: &Probe) -> Option<String> {
    match probe {
        Probe::Job(JobProbe::Matches) => difference(world, job_manager(world)?),
        _ => None,
    }
}

/// How many checkpoints failed for such a reason.
fn failed_for(it: &JobManager, such: fn(FailureReason) -> bool) -> Value {
    let each = it.failed_for().iter().filter(|it| such(*it.0));
    int(each.map(|it| it.1).sum::<u64>())
}

/// Of the last recovery line.
fn line(it: &JobManager, of: fn(&RecoveryLine) -> Value) -> Value {
    it.recovery_line().map_or(Value::None, of)
}

/// Of the newest completed checkpoint.
fn last_checkpoint(it: &JobManager, of: fn(&Completed) -> Value) -> Value {
    it.completed().last().map_or(Value::None, of)
}

fn of_operator(world: &World<Node>, whom: (u32, Option<u16>), probe: OperatorProbe) -> Value {
    let now = world.now();
    let links = || {
        let all = tasks(world, whom).flat_map(|it| &it.chain.links);
        all.filter(|it| it.operator == whom.0)
    };
    // What a task has counted stays when it ends, until its operators run again.
    let counted = |of: &dyn Fn(&Counted) -> u64| {
        let past = ended(world, whom).flat_map(|it| it.operators.iter().copied());
        let past = past.filter(|it| it.operator == whom.0);
        int(links()
            .map(Counted::of)
            .chain(past)
            .map(|it| of(&it))
            .sum::<u64>())
    };
    let spent = |of: &dyn Fn(Spent) -> Nanos| {
        let past = ended(world, whom).map(|it| it.spent);
        let present = tasks(world, whom).map(|it| it.spent(now).1);
        Value::Time(present.chain(past).map(of).sum())
    };
    let sum = |of: &dyn Fn(&Link) -> u64| int(links().map(|it| of(&it.link)).sum::<u64>());
    let operator_of = |link: &Link, of: &dyn Fn(&super::operator::Operator) -> u64| match link {
        Link::Operator(it) => of(it),
        _ => 0,
    };
    match probe {
        OperatorProbe::Watermark => {
            let least = links().map(|it| it.watermark).min();
            let least = least.filter(|it| *it != NO_WATERMARK);
            least.map_or(Value::None, Value::Int)
        }
        OperatorProbe::RecordsIn => counted(&|it| it.records_in),
        OperatorProbe::RecordsOut => counted(&|it| it.records_out),
        OperatorProbe::LateDropped => counted(&|it| it.late_dropped),
        OperatorProbe::State => sum(&|it| operator_of(it, &|it| it.size().entries)),
        OperatorProbe::StateBytes => sum(&|it| operator_of(it, &|it| it.size().bytes)),
        OperatorProbe::Backlog => {
            let Some(manager) = job_manager(world) else {
                return Value::None;
            };
            sum(&|it| match it {
                Link::Source(it) => it.backlog(now, manager.job()),
                _ => 0,
            })
        }
        OperatorProbe::Splits => sum(&|it| match it {
            Link::Source(it) => it.splits().count() as u64,
            _ => 0,
        }),
        OperatorProbe::GroupCommitted | OperatorProbe::GroupLag => {
            let found = group_offsets(world, whom.0).and_then(|(committed, lag)| match probe {
                OperatorProbe::GroupLag => lag,
                _ => Some(committed),
            });
            found.map_or(Value::None, Value::Int)
        }
        OperatorProbe::CommitsSucceeded => int(commits(world, whom.0).0),
        OperatorProbe::CommitsFailed => int(commits(world, whom.0).1),
        OperatorProbe::Lookups => counted(&|it| it.asked.0),
        OperatorProbe::Cached => counted(&|it| it.asked.1),
        OperatorProbe::SpilledBytes => counted(&|it| it.spilled.bytes),
        OperatorProbe::SpilledRuns => counted(&|it| it.spilled.runs),
        OperatorProbe::MergePasses => counted(&|it| it.spilled.passes),
        OperatorProbe::BufferSize => {
            let sizes = tasks(world, whom).filter_map(|it| Some(it.input.debloat()?.size()));
            sizes.min().map_or(Value::None, |it| Value::Int(it.into()))
        }
        OperatorProbe::Consume => {
            let spans = tasks(world, whom).filter_map(|it| Some(it.input.debloat()?.estimate_ms()));
            let longest = spans.max().map(|it| it.saturating_mul(MILLISECOND));
            longest.map_or(Value::None, Value::Time)
        }
        OperatorProbe::Running => int(tasks(world, whom).count()),
        OperatorProbe::Parallelism
        | OperatorProbe::TargetRate
        | OperatorProbe::TrueRate
        | OperatorProbe::Recommended => scaling(world, whom.0, probe).unwrap_or(Value::None),
        OperatorProbe::Busy => spent(&|it| it.busy),
        OperatorProbe::Backpressured => spent(&|it| it.backpressured),
        OperatorProbe::Blocked => {
            let blocked = tasks(world, whom).map(|it| it.input.blocked().count());
            int(blocked.sum::<usize>())
        }
    }
}

/// How many subtasks an operator has, and what the autoscaler says of its vertex.
fn scaling(world: &World<Node>, operator: u32, probe: OperatorProbe) -> Option<Value> {
    let manager = job_manager(world)?;
    let has = manager.parallelism().get(operator as usize).copied()?;
    if probe == OperatorProbe::Parallelism {
        return Some(int(has));
    }
    let scaler = manager.autoscaler()?;
    let vertex = manager.job().graph.vertex_of(operator)?;
    let known = scaler.evaluated(vertex)?;
    let rate = match probe {
        OperatorProbe::Recommended => {
            return Some(int(scaler.recommended(vertex).unwrap_or(has)));
        }
        OperatorProbe::TargetRate => Rate::Finite(known.target),
        _ => known.true_rate,
    };
    rate.per_second().map(int)
}

/// Commits of a source's offsets that succeeded, and that failed.
fn commits(world: &World<Node>, operator: u32) -> (u64, u64) {
    let clients = machines(world).filter_map(|it| match it {
        Machine::TaskManager(it) => it.clients(),
        _ => None,
    });
    let each = clients.map(|it| it.commits(operator));
    each.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
}

/// What the group of a source has committed, at its coordinator, and how far that is from the ends.
fn group_offsets(world: &World<Node>, operator: u32) -> Option<(i64, Option<i64>)> {
    let manager = job_manager(world)?;
    let spec = manager.job().spec.operators.get(operator as usize)?;
    let OperatorKind::Source(source) = &spec.kind else {
        return None;
    };
    let kafka = source.kafka.as_ref()?;
    let cluster = Cluster(world);
    let name = kafka.config.commits_to()?;
    let group = cluster.group(name)?;
    let (_, broker) = cluster.brokers().next()?;
    let topic = broker.topics().iter().position(|it| **it == *kafka.topic)?;
    let topic = TopicId(u16::try_from(topic).ok()?);
    let image = cluster.image()?;
    let all = (0..u16::MAX).map(|partition| TopicPartition { topic, partition });
    // A topic has its partitions without gaps.
    let known = all.take_while(|tp| image.partitions.contains_key(tp));
    let committed = known.filter_map(|tp| Some((tp, group.broker.committed_offset(name, tp)?)));
    let each = committed.map(|(tp, offset)| {
        let end = cluster.leader_log(tp).map(Log::leo);
        (offset, end.map(|end| end - offset))
    });
    // Without a leader nobody knows where a partition ends.
    each.reduce(|sum, it| (sum.0 + it.0, sum.1.zip(it.1).map(|(a, b)| a + b)))
}

fn of_topic(it: &TopicRows, probe: StoreProbe) -> Value {
    match probe {
        StoreProbe::Rows => int(it.rows.len()),
        StoreProbe::Committed => int(it.committed().count()),
        StoreProbe::Visible => int(it.visible().count()),
        StoreProbe::Duplicates => int(it.duplicates()),
        StoreProbe::Open => int(it.open),
        StoreProbe::Aborted => int(it.aborted),
        StoreProbe::Total => {
            let rows = it.committed().map(|row| (row.kind, &row.value));
            Value::Int(total(rows))
        }
        StoreProbe::Repeated => Value::Int(0),
        StoreProbe::Last => match it.committed().last().map(|row| &row.value) {
            Some(Said::Number(it)) => Value::Int(*it),
            _ => Value::None,
        },
    }
}

fn of_store(it: &Store, probe: StoreProbe) -> Value {
    match probe {
        StoreProbe::Rows => int(it.rows().len()),
        StoreProbe::Committed => int(it.committed_rows().count()),
        StoreProbe::Visible => int(it.visible_rows().count()),
        StoreProbe::Duplicates => int(it.duplicates()),
        StoreProbe::Open => int(it.open_transactions().count()),
        StoreProbe::Aborted => int(it.aborted()),
        StoreProbe::Total => {
            let rows = it
                .committed_rows()
                .map(|it| (it.record.kind, &it.record.value));
            Value::Int(total(rows))
        }
        StoreProbe::Repeated => int(it.dropped()),
        StoreProbe::Last => match it.committed_rows().last().map(|it| &it.record.value) {
            Some(Said::Number(it)) => Value::Int(*it),
            _ => Value::None,
        },
    }
}

/// The sum of the values of rows; rows that take others back count against it.
fn total<'r>(rows: impl Iterator<Item = (RowKind, &'r Said)>) -> i64 {
    let add = |sum: i64, (kind, value): (RowKind, &Said)| {
        let value = match value {
            Said::Nothing => 0,
            Said::Number(it) => *it,
            Said::Values(all) => all.iter().fold(0_i64, |sum, it| sum.saturating_add(*it)),
        };
        match kind.is_accumulate() {
            true => sum.saturating_add(value),
            false => sum.saturating_sub(value),
        }
    };
    rows.fold(0_i64, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_their_numbers_and_take_back_what_was_said() {
        let check = |rows: &[(RowKind, Said)], expect| {
            let rows = rows.iter().map(|(kind, value)| (*kind, value));
            assert_eq!(total(rows), expect);
        };
        let row = |kind, value| (kind, Said::Number(value));
        check(&[], 0);
        check(&[(RowKind::Insert, Said::Nothing)], 0);
        check(&[(RowKind::Insert, Said::Values(vec![1, 2, 4]))], 7);
        check(
            &[row(RowKind::Insert, i64::MAX), row(RowKind::Insert, 1)],
            i64::MAX,
        );
        let corrected = [
            row(RowKind::Insert, 15),
            row(RowKind::UpdateBefore, 15),
            row(RowKind::UpdateAfter, 27),
        ];
        check(&corrected, 27);
        check(&[row(RowKind::Insert, 3), row(RowKind::Delete, 3)], 0);
    }
}
