//! What a beginner writes that a job takes and nobody means: told at its line, as an error where Flink
//! refuses it, and as a warning where it runs and does not do what it seems to.

use super::checks::sources_of;
use super::document::{Partition, RawStream};
use super::read::{Draft, list};
use crate::scenario::{At, Problem, Reader};
use crate::stream::config::CheckpointingMode;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::join::window::JoinType;
use crate::stream::rules::window::trigger::{TimeDomain, Trigger};
use crate::stream::spec::{
    Guarantee, JobSpec, JoinSpec, OperatorKind, Output, ProcessFunction, WatermarkStrategy,
};

/// Looks at the whole job; `order` is that of the operators in it.
pub(super) fn check(
    raw: &At<RawStream>,
    drafts: &[Draft<'_>],
    order: &[usize],
    spec: &JobSpec,
    reader: &mut Reader<'_>,
) {
    if !drafts
        .iter()
        .any(|it| matches!(it.kind, OperatorKind::Sink(_)))
    {
        let message = "no sink: nothing that the job works out goes anywhere";
        let problem = Problem::new("no-sink", message).expected("[[stream.sink]]");
        reader.report(&raw.span, problem.warning());
    }
    changelogs(drafts, order, reader);
    for at in order {
        let draft = &drafts[*at];
        match &draft.kind {
            OperatorKind::Source(source) => {
                let (splits, subtasks) = (source.splits.len() as u64, u64::from(draft.parallelism));
                if source.kafka.is_some() && spec.config.is_uncoordinated() {
                    let message = format!(
                        "what `{}` knows of its topic's partitions is part of checkpoints of the whole \
                         job, and there are none: its tasks take snapshots each for itself",
                        draft.name
                    );
                    let help = "a source with a `load` or `records` of its own";
                    let problem = Problem::new("contradiction", message).help(help);
                    reader.report(draft.place(), problem);
                }
                let makes = source.watermarks.strategy != WatermarkStrategy::None;
                let waits = makes && source.watermarks.idleness_ms.is_none();
                if subtasks > splits && !source.bounded && waits {
                    let message = format!(
                        "{subtasks} subtasks read {splits} splits: one without a split never has a \
                         watermark, and holds every window back"
                    );
                    let help = "no more subtasks than splits, or an `idleness`";
                    let problem = Problem::new("no-watermarks", message).help(help);
                    reader.report(draft.place(), problem.warning());
                }
            }
            OperatorKind::Sort(_) => sort_of(*at, drafts, spec, reader),
            OperatorKind::Window(_) => late_unread(*at, drafts, reader),
            OperatorKind::Sink(sink) => sink_of(draft, &sink.guarantee, spec, reader),
            _ => {}
        }
    }
    windows(raw, drafts, reader);
}

/// Whether what an operator puts out takes back what it put out before: found of all, inputs first.
fn changelogs(drafts: &[Draft<'_>], order: &[usize], reader: &mut Reader<'_>) {
    let mut changes = vec![false; drafts.len()];
    for at in order {
        let draft = &drafts[*at];
        let of = |which: u8, changes: &[bool]| {
            let mut inputs = draft.inputs.iter();
            let found = inputs.find(|(number, from, output, _)| {
                *number == which && *output == Output::Main && changes[*from]
            });
            found.map(|it| (it.1, it.3.clone()))
        };
        let (left, right) = (of(0, &changes), of(1, &changes));
        let any = left.clone().or_else(|| right.clone());
        changes[*at] = match &draft.kind {
            OperatorKind::Window(it) => it.refine.retracting,
            OperatorKind::Source(it) => it.is_changelog(),
            OperatorKind::Process(it) if it.function == ProcessFunction::Upsert => true,
            OperatorKind::Process(it) => left.is_some() && !it.function.takes_back(),
            OperatorKind::Join(JoinSpec::Table { join, .. }) => {
                any.is_some() || !matches!(join, JoinType::Inner | JoinType::Semi)
            }
            OperatorKind::Join(
                JoinSpec::Window { .. } | JoinSpec::Session { .. } | JoinSpec::Interval(_),
            ) => false,
            _ => left.is_some(),
        };
        let name = match &draft.kind {
            OperatorKind::Window(_) => "StreamPhysicalWindowAggregate",
            OperatorKind::Join(JoinSpec::Window { .. } | JoinSpec::Session { .. }) => {
                "StreamPhysicalWindowJoin"
            }
            OperatorKind::Join(JoinSpec::Interval(_)) => "StreamPhysicalIntervalJoin",
            OperatorKind::Sort(_) => "SortPartitionOperator",
            _ => continue,
        };
        if let Some((from, place)) = any {
            let message = format!(
                "{name} doesn't support consuming update and delete changes which is produced by \
                 `{}`",
                drafts[from].name
            );
            let help = "a process function = \"sum\" or \"count\" takes them off";
            reader.report(&place, Problem::new("contradiction", message).help(help));
        }
    }
}

/// A side output that nobody reads.
fn late_unread(at: usize, drafts: &[Draft<'_>], reader: &mut Reader<'_>) {
    let OperatorKind::Window(settings) = &drafts[at].kind else {
        return;
    };
    let mut inputs = drafts.iter().flat_map(|it| &it.inputs);
    let read = inputs.any(|(_, from, output, _)| *from == at && *output == Output::Late);
    if settings.late_output && !read {
        let name = &drafts[at].name;
        let message = format!("late records of `{name}` go to a side output that nobody reads");
        let help = format!("an input = \"{name}.late\"");
        let problem = Problem::new("unread", message).help(help);
        reader.report(drafts[at].place(), problem.warning());
    }
}

/// A sort takes all, so that all must end; and nothing of it is in a checkpoint.
fn sort_of(at: usize, drafts: &[Draft<'_>], spec: &JobSpec, reader: &mut Reader<'_>) {
    let draft = &drafts[at];
    let mut say = |problem: Problem| reader.report(draft.place(), problem);
    let endless = sources_of(at, drafts)
        .into_iter()
        .find(|(from, _)| matches!(&drafts[*from].kind, OperatorKind::Source(it) if !it.bounded));
    if let Some((from, _)) = endless {
        let (name, origin) = (&draft.name, &drafts[from].name);
        let message = format!("`{origin}` never ends: `{name}` sorts bounded inputs only");
        let help = "a last record (`limit`), or a window for each part of the stream";
        return say(Problem::new("endless-sort", message).help(help));
    }
    if spec.config.checkpoint_interval.0 > 0 {
        let message = format!(
            "`{}` is run as a batch job, which takes no checkpoints: a failure begins anew",
            draft.name
        );
        let help = "leave \"execution.checkpointing.interval\" out";
        return say(Problem::new("contradiction", message).help(help));
    }
    let number = spec.operators.iter().position(|it| it.name == draft.name);
    let plan = number.map(|it| spec.sort_plan(it as u32));
    match plan {
        Some(Err(message)) => say(Problem::new("contradiction", message)),
        Some(Ok(plan)) if u64::from(spec.config.record_bytes) > plan.buffer => {
            let message = format!(
                "The record exceeds the maximum size of a sort buffer (current maximum: {} bytes).",
                plan.buffer
            );
            say(Problem::new("contradiction", message));
        }
        _ => {}
    }
}

fn sink_of(draft: &Draft<'_>, how: &Guarantee, spec: &JobSpec, reader: &mut Reader<'_>) {
    let said = draft.common.partition;
    if let Some(at) = said.filter(|it| it.value == Partition::Broadcast)
        && draft.parallelism > 1
    {
        let message = format!(
            "each row is written {} times, once by each subtask",
            draft.parallelism
        );
        reader.report(&at.span, Problem::new("contradiction", message).warning());
    }
    let commits = matches!(
        how,
        Guarantee::ExactlyOnce { .. } | Guarantee::WriteAheadLog
    );
    if commits && spec.config.is_uncoordinated() {
        let message = format!(
            "`{}` commits when a checkpoint of the whole job is complete, and there is none: its tasks \
             take snapshots each for itself",
            draft.name
        );
        let help = "guarantee = \"at-least-once\", or \"idempotent\"";
        let problem = Problem::new("contradiction", message).help(help);
        return reader.report(draft.place(), problem);
    }
    let Guarantee::ExactlyOnce {
        transaction_timeout_ms,
    } = how
    else {
        return;
    };
    let config = &spec.config;
    if config.checkpoint_mode == CheckpointingMode::AtLeastOnce && !config.unaligned {
        let message = format!(
            "`{}` writes exactly once what the job's state may count twice: checkpoints are \
             AT_LEAST_ONCE",
            draft.name
        );
        reader.report(
            draft.place(),
            Problem::new("contradiction", message).warning(),
        );
    }
    let interval = config.checkpoint_interval.0;
    if interval > 0 && *transaction_timeout_ms <= interval {
        let message = format!(
            "transactions of `{}` are aborted before the checkpoint that would commit them: their \
             timeout is {transaction_timeout_ms} ms, and checkpoints are taken every {interval} ms",
            draft.name
        );
        reader.report(
            draft.place(),
            Problem::new("contradiction", message).warning(),
        );
    }
}

/// Settings of windows that mean nothing beside each other.
fn windows(raw: &At<RawStream>, drafts: &[Draft<'_>], reader: &mut Reader<'_>) {
    for window in list(raw.value.windows.as_ref()) {
        let doc = &window.value;
        let mut own = drafts.iter().filter(|it| it.common.span == window.span);
        let Some(OperatorKind::Window(it)) = own.next().map(|it| &it.kind) else {
            continue;
        };
        let clock = match (it.assigner == Assigner::Global, it.time) {
            (true, _) => Some("a window that never ends"),
            (false, TimeDomain::Processing) => Some("time = \"processing\": no record is late"),
            (false, TimeDomain::Event) => None,
        };
        if let Some(with) = clock {
            let lateness = doc.lateness.as_ref().filter(|at| at.value.0 > 0);
            super::operators::foreign(lateness, "allowed-lateness", with, reader);
        }
        let plain = match &it.trigger {
            Trigger::Purging(inner) => inner.as_ref(),
            other => other,
        };
        let by_events = matches!(plain, Trigger::EventTime | Trigger::AfterEnd { .. });
        if let Some(at) = &doc.trigger
            && by_events
            && it.time == TimeDomain::Processing
        {
            let message =
                "a window by processing time is forgotten at its end: no watermark finds it";
            let help = "time = \"event\", or kind = \"processing-time\"";
            reader.report(&at.span, Problem::new("contradiction", message).help(help));
        }
        if let (Assigner::Sliding { size, slide, .. }, Some(at)) = (&it.assigner, &doc.window)
            && slide > size
        {
            let message = "records between two windows belong to none: `slide` is more than `size`";
            reader.report(&at.span, Problem::new("contradiction", message).warning());
        }
    }
}
