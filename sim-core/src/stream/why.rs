//! Notes of a job in words: for the transcript, the timeline and "why?".

use super::config::StateBackend;
use super::facts::job_manager;
use super::job::Job;
use super::jobmanager::RecoveryLine;
use super::memory::readable;
use super::node::Machine;
use super::note::{Note, Rule, Verdict};
use super::probe::JOB_STATES;
use super::protocol::{TaskEnd, TaskFailure, TaskId};
use super::rules::serializer::{Compatibility, Evolution, StateSchema};
use super::rules::window::machine::Purge;
use super::rules::{FINAL_WATERMARK, NO_WATERMARK};
use super::snapshot::{Row, called};
use crate::kernel::{MILLISECOND, World};
use crate::systems;
use std::sync::Arc;

/// The job of a world.
#[must_use]
pub fn job(world: &World<systems::Node>) -> Option<&Arc<Job>> {
    let mut nodes = world.nodes().iter();
    nodes.find_map(|slot| match &slot.process {
        systems::Node::Stream(node) => match node.machine() {
            Machine::JobManager(it) => Some(it.job()),
            _ => None,
        },
        _ => None,
    })
}

/// A task by the names of its operators and its number among the subtasks, from 1 as Flink shows it.
#[must_use]
pub fn task_name(job: &Job, task: TaskId) -> String {
    let name = vertex_name(job, usize::from(task.vertex));
    format!("{name} #{}", u32::from(task.subtask) + 1)
}

/// A vertex by the names of its operators.
pub(super) fn vertex_name(job: &Job, vertex: usize) -> String {
    let vertex = job.graph.vertices.get(vertex);
    let operators = vertex.map_or(&[][..], |it| &it.operators);
    let names = operators
        .iter()
        .filter_map(|it| job.spec.operators.get(*it as usize));
    let names: Vec<&str> = names.map(|it| it.name.as_str()).collect();
    names.join(" → ")
}

/// A time of the event clock in words.
#[must_use]
pub fn event_time(ms: i64) -> String {
    match ms {
        NO_WATERMARK => "none".to_owned(),
        FINAL_WATERMARK => "the end".to_owned(),
        _ => {
            let sign = if ms < 0 { "-" } else { "" };
            let ms = ms.unsigned_abs();
            format!("{sign}{}.{:03} s", ms / 1_000, ms % 1_000)
        }
    }
}

/// A rule's name, what it did (`{b}` before, `{a}` after) and its source.
#[must_use]
pub fn rule_text(rule: Rule) -> (&'static str, &'static str, &'static str) {
    match rule {
        Rule::JobStatus => ("job-status", "the job is {a}", "JobStatus"),
        Rule::CheckpointTriggered => (
            "checkpoint-triggered",
            "checkpoint {a} begins: the sources put its barrier into their streams",
            "CheckpointCoordinator.triggerCheckpoint",
        ),
        Rule::CheckpointCompleted => (
            "checkpoint-completed",
            "checkpoint {a} is complete after {b} ms: every task has acknowledged it",
            "CheckpointCoordinator.completePendingCheckpoint",
        ),
        Rule::CheckpointFailed => (
            "checkpoint-failed",
            "checkpoint {a} failed: {b}",
            "CheckpointFailureManager",
        ),
        Rule::Restart => (
            "restart",
            "the job restarts after {b} ms, attempt {a}",
            "RestartBackoffTimeStrategy",
        ),
        Rule::Restored => (
            "restored",
            "the job goes on from checkpoint {a}",
            "CheckpointCoordinator.restoreLatestCheckpointedState",
        ),
        Rule::TaskManagers => (
            "task-managers",
            "{a} TaskManagers are registered (there were {b})",
            "SlotPool",
        ),
        Rule::ChannelBlocked => (
            "channel-blocked",
            "a channel has delivered barrier {a} and is held until the others have",
            "SingleCheckpointBarrierHandler",
        ),
        Rule::Snapshot => (
            "snapshot",
            "snapshot of {b} bytes for checkpoint {a}",
            "SubtaskCheckpointCoordinatorImpl.checkpointState",
        ),
        Rule::Watermark => ("watermark", "watermark {b} → {a}", "StatusWatermarkValve"),
        Rule::Idle => (
            "idleness",
            "the stream's status changed (1 active, 0 idle): {b} → {a}",
            "WatermarksWithIdleness",
        ),
        Rule::AlignmentPause => (
            "watermark-alignment",
            "the source waits: its watermark {b} is ahead of {a}, the most that its group allows",
            "SourceOperator.checkWatermarkAlignment",
        ),
        Rule::Backpressured => (
            "backpressure",
            "no buffer is free for the output: the task waits",
            "RecordWriter.getAvailableFuture",
        ),
        Rule::StateExpired => (
            "state-ttl",
            "the state of {a} keys expired",
            "StateTtlConfig",
        ),
        Rule::TransactionPreCommitted => (
            "pre-commit",
            "a transaction of {b} rows is pre-committed for checkpoint {a}",
            "TwoPhaseCommitSinkFunction.snapshotState",
        ),
        Rule::TransactionCommitted => (
            "commit",
            "a transaction of {b} rows is committed, since checkpoint {a} is complete",
            "TwoPhaseCommitSinkFunction.notifyCheckpointComplete",
        ),
        Rule::TransactionAborted => (
            "abort",
            "a transaction was aborted with its rows",
            "TwoPhaseCommitSinkFunction.recoverAndAbort",
        ),
        Rule::TransactionDiscarded => (
            "discard",
            "the commit for checkpoint {a} was refused: the store had aborted or fenced the \
             transaction, its {b} rows are lost",
            "KafkaCommitter.commit",
        ),
        Rule::PartitionsDiscovered => (
            "partitions-discovered",
            "the topic has {a} partitions, and the source read {b}: the new ones are split up",
            "KafkaSourceEnumerator.checkPartitionChanges",
        ),
        Rule::ContainerKilled => (
            "container-killed",
            "the process had {b}, and its container may have {a}: killed (exit code 137)",
            "cgroup memory.max, OOMKilled",
        ),
        Rule::HeapExhausted => (
            "heap-exhausted",
            "java.lang.OutOfMemoryError: Java heap space ({b} of state, {a} of task heap): the process \
             ends (taskmanager.jvm-exit-on-oom)",
            "Task.doRun",
        ),
        Rule::SavepointWritten => (
            "savepoint-written",
            "savepoint {a} was written anew: what nobody changed is as it was",
            "SavepointWriter.write",
        ),
        Rule::SnapshotStored => (
            "snapshot-stored",
            "its {a}, which it took for itself, is in the storage: there are {b} of all tasks",
            "uncoordinated checkpointing",
        ),
        Rule::Fenced => (
            "fenced",
            "a writer of an older epoch was refused",
            "ProducerFencedException",
        ),
    }
}

/// Why a task failed, as Flink's exceptions are called where they have a name.
#[must_use]
pub fn failure(job: &Job, failure: TaskFailure) -> String {
    let words = match failure {
        TaskFailure::UserCode => "the user's function threw an exception",
        TaskFailure::Window => "the window operator could not go on",
        TaskFailure::RemoteTransport => {
            "RemoteTransportException: the connection to another TaskManager was lost"
        }
        TaskFailure::Restore => "its state could not be read",
        TaskFailure::Sink => "the store refused a write or was lost",
        TaskFailure::StateMigration => {
            "StateMigrationException: the program's serializer cannot take over the state"
        }
        TaskFailure::OutOfMemory => "java.lang.OutOfMemoryError: Java heap space",
        TaskFailure::Position => {
            "its consumer has no position in the log and no reset policy \
             (OffsetOutOfRangeException or NoOffsetForPartitionException)"
        }
        TaskFailure::NetworkBuffers {
            required,
            available,
        } => return too_few_buffers(job, required, available),
    };
    words.to_owned()
}

/// `NetworkBufferPool`'s sentence.
fn too_few_buffers(job: &Job, required: u32, available: u32) -> String {
    let config = &job.spec.config;
    let size = config.segment_size.0;
    let network = config.memory().ok().flatten().map_or(0, |it| it.network);
    let total = network / u64::from(size.max(1));
    let keys = ["fraction", "min", "max"].map(|it| format!("'taskmanager.memory.network.{it}'"));
    let [fraction, min, max] = keys;
    format!(
        "Insufficient number of network buffers: required {required}, but only {available} available. \
         The total number of network buffers is currently set to {total} of {size} bytes each. You can \
         increase this number by setting the configuration keys {fraction}, {min}, and {max}."
    )
}

/// A note's subject and what it says.
#[must_use]
pub fn words(note: &Note, world: &World<systems::Node>, _names: &[String]) -> (String, String) {
    let Some(job) = job(world) else {
        return (String::new(), String::new());
    };
    let operator = |number: u32| {
        let spec = job.spec.operators.get(number as usize);
        spec.map_or_else(String::new, |it| it.name.clone())
    };
    match note {
        Note::Rule {
            rule,
            task,
            operator: number,
            before,
            after,
        } => {
            let at = match (number, task) {
                (Some(number), Some(task)) => {
                    format!("{} #{}", operator(*number), u32::from(task.subtask) + 1)
                }
                (Some(number), None) => operator(*number),
                (None, Some(task)) => task_name(job, *task),
                (None, None) if of_machine(*rule) => "TaskManager".to_owned(),
                (None, None) => job.spec.job_manager.clone(),
            };
            let text = filled(*rule, *before, *after);
            (at, with_savepoint(text, *rule, *after, world))
        }
        Note::Fired {
            operator: number,
            subtask,
            key,
            window,
        } => {
            let at = format!("{} #{}", operator(*number), u32::from(*subtask) + 1);
            let (start, end) = (event_time(window.start), event_time(window.end));
            let key = job.spec.keys.name(*key);
            (at, format!("window [{start}, {end}) of {key} fired"))
        }
        Note::Judged {
            operator: number,
            subtask,
            key,
            timestamp,
            watermark,
            verdict,
            ..
        } => {
            let at = format!("{} #{}", operator(*number), u32::from(*subtask) + 1);
            let what = match verdict {
                Verdict::Taken => "taken",
                Verdict::TakenLate => "late, and taken: its window fires again",
                Verdict::SideOutput => "too late: to the side output",
                Verdict::Dropped => "too late: dropped",
            };
            let (time, clock) = (event_time(*timestamp), event_time(*watermark));
            let key = job.spec.keys.name(*key);
            (at, format!("{key} of {time} at watermark {clock}: {what}"))
        }
        Note::Purged {
            operator: number,
            subtask,
            key,
            window,
            why,
        } => {
            let at = format!("{} #{}", operator(*number), u32::from(*subtask) + 1);
            let (start, end) = (event_time(window.start), event_time(window.end));
            let key = job.spec.keys.name(*key);
            let why = purge_words(*why);
            (
                at,
                format!("window [{start}, {end}) of {key} purged: {why}"),
            )
        }
        Note::Restored {
            task, checkpoint, ..
        } => (
            task_name(job, *task),
            format!("it has its state of {}", called(*checkpoint)),
        ),
        Note::Evolved {
            task,
            operator: number,
            schemas,
            how,
        } => {
            let at = format!("{} #{}", operator(*number), u32::from(task.subtask) + 1);
            (at, evolved(job, schemas, *how))
        }
        Note::StateEdited {
            operator: number,
            rows,
        } => {
            let said =
                |it: &Option<i64>| it.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
            let row = |(key, before, after): &Row| {
                let key = job.spec.keys.name(*key);
                format!("{key} was {} and is {}", said(before), said(after))
            };
            let rows: Vec<String> = rows.iter().map(row).collect();
            (
                operator(*number),
                format!("in the savepoint: {}", rows.join(", ")),
            )
        }
        Note::Scaled { changes, held } => {
            let at = job.spec.job_manager.clone();
            (at, super::why_scaled::words(job, changes, held.as_ref()))
        }
        Note::RecoveryLine(line) => (job.spec.job_manager.clone(), line_words(job, line)),
        // It goes out as a note of the other system.
        Note::Kafka(_) => (String::new(), String::new()),
        Note::TaskEnded { task, end } => (task_name(job, *task), ended(job, *end)),
    }
}

/// Whether a rule is about a TaskManager as a whole.
fn of_machine(rule: Rule) -> bool {
    matches!(rule, Rule::ContainerKilled | Rule::HeapExhausted)
}

/// What becomes of a state under another serializer, in words: in Flink's where it refuses.
fn evolved(job: &Job, schemas: &(Arc<StateSchema>, Arc<StateSchema>), how: Evolution) -> String {
    let (old, new) = schemas;
    match how {
        Evolution::Kept(Compatibility::AfterMigration) => {
            format!("`{old}` became `{new}`: compatible after migration")
        }
        Evolution::Kept(_) => format!("`{old}` became `{new}`: compatible as is"),
        Evolution::Begun(number) => format!(
            "`{old}` became `{new}`: compatible after migration, but the field of the number is new, \
             and begins at {number}"
        ),
        Evolution::Incompatible => {
            let begins = match job.spec.config.backend {
                StateBackend::HashMap => "For heap backends, the",
                StateBackend::RocksDb => "The",
            };
            let (old, new) = (&old.value, &new.value);
            format!(
                "StateMigrationException: {begins} new state serializer ({new}) must not be \
                 incompatible with the old state serializer ({old})."
            )
        }
        Evolution::OtherKey => {
            let (old, new) = (&old.key, &new.key);
            format!(
                "StateMigrationException: The new key serializer ({new}) must be compatible with \
                 the previous key serializer ({old})."
            )
        }
        Evolution::Unreadable => format!(
            "KryoException: `{old}` became `{new}`, and its bytes cannot be read: Kryo's snapshot \
             knows the class, not its fields"
        ),
    }
}

/// Why a window was forgotten, in words.
#[must_use]
pub fn purge_words(why: Purge) -> &'static str {
    match why {
        Purge::Fired => "it fired, and its trigger purges",
        Purge::PastLateness => "its end and the allowed lateness have passed",
    }
}

fn ended(job: &Job, end: TaskEnd) -> String {
    match end {
        TaskEnd::Finished => "finished".to_owned(),
        TaskEnd::Canceled => "was cancelled".to_owned(),
        TaskEnd::Failed(why) => failure(job, why),
    }
}

/// The name of the status with this number.
fn status(number: i64) -> &'static str {
    let at = usize::try_from(number).ok();
    at.and_then(|at| JOB_STATES.get(at))
        .copied()
        .unwrap_or("unknown")
}

/// A sentence on a checkpoint that is one of the user's savepoints says so.
fn with_savepoint(text: String, rule: Rule, id: i64, world: &World<systems::Node>) -> String {
    let on_checkpoint = matches!(
        rule,
        Rule::CheckpointTriggered
            | Rule::CheckpointCompleted
            | Rule::CheckpointFailed
            | Rule::Restored
    );
    let manager = job_manager(world).filter(|_| on_checkpoint);
    match manager.and_then(|it| it.savepoint_name(id)) {
        Some(name) => {
            let said = format!("checkpoint {id}");
            text.replacen(&said, &format!("savepoint {name} ({id})"), 1)
        }
        None => text,
    }
}

/// A rule's sentence with its values.
fn filled(rule: Rule, before: i64, after: i64) -> String {
    use super::rules::fault::checkpoint_failures::FailureReason;
    let (_, text, _) = rule_text(rule);
    let after_id = after;
    let (before, after) = match rule {
        Rule::Watermark | Rule::AlignmentPause => (event_time(before), event_time(after)),
        Rule::JobStatus => (String::new(), status(after).to_owned()),
        Rule::ContainerKilled | Rule::HeapExhausted => {
            let bytes = |it: i64| readable(it.unsigned_abs());
            (bytes(before), bytes(after))
        }
        Rule::SnapshotStored => (before.to_string(), called(after)),
        Rule::CheckpointFailed => (FailureReason::name_of(before).to_owned(), after.to_string()),
        _ => (before.to_string(), after.to_string()),
    };
    let text = match (rule, after_id) {
        (Rule::Snapshot, id) => text.replace("checkpoint {a}", &called(id)),
        _ => text.to_owned(),
    };
    text.replace("{b}", &before).replace("{a}", &after)
}

/// A recovery line, in words.
fn line_words(job: &Job, it: &RecoveryLine) -> String {
    let reach = event_time((it.reach / MILLISECOND) as i64);
    let (tasks, useless, steps) = (it.tasks, it.useless, it.steps);
    let line = match it.starts {
        0 => {
            format!("the recovery line is {reach} back: each of {tasks} tasks has a snapshot of it")
        }
        starts if starts == tasks => {
            format!("the recovery line is the start, {reach} back: all {tasks} tasks begin anew")
        }
        starts => {
            format!("the recovery line is {reach} back: {starts} of {tasks} tasks begin anew")
        }
    };
    let Some(first) = &it.first else {
        return format!("{line}; the newest snapshots fit together");
    };
    let edge = job.graph.edges.get(usize::from(first.channel.edge));
    let (from, to) = edge.map_or((0, 0), |it| (it.from.0, it.to));
    let name = |vertex, subtask| task_name(job, TaskId { vertex, subtask });
    let (from, to) = (name(from, first.channel.from), name(to, first.channel.to));
    let (sent, received) = first.counts;
    let wrong = match received.checked_sub(sent) {
        Some(orphans) => format!("{orphans} would be orphans"),
        None => format!("{} would be lost", sent.abs_diff(received)),
    };
    format!(
        "{line}. {useless} snapshots are useless, after {steps} steps back. The first: {from} had \
         sent {sent} records to {to} by its newest, which had received {received} by its own: {wrong}"
    )
}

/// A note as a mark on the timeline, if it is worth one.
#[must_use]
pub fn milestone(note: &Note, world: &World<systems::Node>) -> Option<String> {
    let worth = match note {
        Note::Rule { rule, .. } => matches!(
            rule,
            Rule::CheckpointCompleted
                | Rule::CheckpointFailed
                | Rule::Restart
                | Rule::Restored
                | Rule::JobStatus
                | Rule::TransactionDiscarded
                | Rule::Idle
                | Rule::ContainerKilled
                | Rule::HeapExhausted
        ),
        Note::TaskEnded { end, .. } => matches!(end, TaskEnd::Failed(_)),
        Note::Evolved { .. }
        | Note::StateEdited { .. }
        | Note::Scaled { .. }
        | Note::RecoveryLine(_) => true,
        Note::Fired { .. }
        | Note::Judged { .. }
        | Note::Purged { .. }
        | Note::Restored { .. }
        | Note::Kafka(_) => false,
    };
    let (at, text) = worth.then(|| words(note, world, &[]))?;
    Some(format!("{at}: {text}"))
}
