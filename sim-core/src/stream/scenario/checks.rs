//! What a job is refused for, at its line, and in Flink's words where it has some.

use super::document::{Common, JoinKind, Partition, RawJoin, RawStream};
use super::read::{Draft, usual};
use crate::scenario::{At, Problem, Reader, limits, units};
use crate::stream::graph::Graph;
use crate::stream::positions;
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::trigger::{TimeDomain, Trigger};
use crate::stream::spec::{
    Guarantee, JobSpec, JoinSpec, OperatorKind, Output, Partitioning, ProcessFunction, SourceTime,
    WatermarkStrategy,
};
use std::ops::Range;

/// The name that predicates use for the job itself.
const TAKEN: &str = "job";

/// Names of operators begin paths of predicates.
pub(super) fn names(drafts: &[Draft<'_>], reader: &mut Reader<'_>) {
    for (at, draft) in drafts.iter().enumerate() {
        let name = draft.name.as_str();
        let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let legal = name.len() <= limits::NAME_CHARS
            && name.bytes().all(part)
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !name.ends_with('-');
        let shown = units::shorten(name);
        let problem = if draft.common.name.is_none() {
            continue;
        } else if !legal {
            let expected = format!(
                "a letter, then letters, digits, `-` and `_`; at most {} of them",
                limits::NAME_CHARS
            );
            Problem::bad_value(format!("`{shown}` is not a name for an operator"), expected)
        } else if name == TAKEN || crate::scenario::RESERVED.contains(&name) {
            let message = format!("`{shown}` has a meaning of its own in predicates");
            Problem::bad_value(message, "another name")
        } else if drafts[..at].iter().any(|it| it.name == name) {
            Problem::new("duplicate", format!("there are two operators `{shown}`"))
        } else {
            continue;
        };
        reader.report(draft.place(), problem);
    }
}

/// What an operator with one input reads.
pub(super) fn inputs(common: &Common<'_>, reader: &mut Reader<'_>) -> Vec<(u8, At<String>)> {
    let Some(given) = common.input else {
        return Vec::new();
    };
    if given.value.0.is_empty() {
        let problem = Problem::bad_value("this operator has no input", "one operator or more");
        reader.report(&given.span, problem);
    }
    let names = given.value.0.iter().cloned();
    names.map(|name| (0, name)).collect()
}

/// What a join reads: `left` and `right`, or `input = [left, right]`.
pub(super) fn sides(raw: &At<RawJoin>, reader: &mut Reader<'_>) -> Vec<(u8, At<String>)> {
    let doc = &raw.value;
    if doc
        .kind
        .as_ref()
        .is_some_and(|at| at.value == JoinKind::Lookup)
    {
        return asked(raw, reader);
    }
    let mut reads = Vec::new();
    let expected = "`left` and `right`, or input = [left, right]";
    if let Some(given) = &doc.input {
        if let Some(at) = doc.left.as_ref().or(doc.right.as_ref()) {
            let problem = Problem::new("contradiction", "`input` names the inputs already");
            reader.report(&at.span, problem.expected(expected));
        }
        let many = given.value.0.len();
        if many != 2 {
            let message = format!("a join has two inputs, and this names {many}");
            reader.report(
                &given.span,
                Problem::new("wrong-inputs", message).expected(expected),
            );
            return Vec::new();
        }
        let sides = (0..).zip(given.value.0.iter().cloned());
        return sides.collect();
    }
    let has = |key| crate::scenario::Table::has(doc, key);
    if has("input") {
        return Vec::new();
    }
    for (number, key, side) in [(0, "left", &doc.left), (1, "right", &doc.right)] {
        match side {
            Some(at) if at.value.0.is_empty() => {
                let message = format!("`{key}` names no input");
                reader.report(
                    &at.span,
                    Problem::new("wrong-inputs", message).expected(expected),
                );
            }
            Some(at) => reads.extend(at.value.0.iter().cloned().map(|name| (number, name))),
            None if has(key) => {}
            None => {
                let message = format!("a join has two inputs, and `{key}` is missing");
                let problem = Problem::new("wrong-inputs", message).expected(expected);
                reader.report(&raw.span, problem);
            }
        }
    }
    reads
}

/// What a lookup join reads: one input, since its table is no stream.
fn asked(raw: &At<RawJoin>, reader: &mut Reader<'_>) -> Vec<(u8, At<String>)> {
    let doc = &raw.value;
    let expected = "one of `left` and `input`; the table is in `table`";
    if let Some(at) = &doc.right {
        let message = "a lookup join has one input";
        let problem = Problem::new("wrong-inputs", message).expected(expected);
        reader.report(&at.span, problem);
    }
    let (left, input) = (doc.left.as_ref(), doc.input.as_ref());
    if let (Some(_), Some(at)) = (left, input) {
        let problem = Problem::new("contradiction", "`left` names the input already");
        reader.report(&at.span, problem.expected(expected));
    }
    let has = |key| crate::scenario::Table::has(doc, key);
    let given = left.or(input);
    if !has("left") && !has("input") || given.is_some_and(|at| at.value.0.is_empty()) {
        let place = given.map_or(&raw.span, |at| &at.span);
        let problem = Problem::new("wrong-inputs", "this join has no input");
        reader.report(place, problem.expected(expected));
    }
    let names = given.into_iter().flat_map(|at| at.value.0.iter().cloned());
    names.map(|name| (0, name)).collect()
}

/// Which output of an operator a suffix means, if it has that.
pub(super) fn side_output(of: &OperatorKind, suffix: &str) -> Option<Output> {
    match (of, suffix) {
        (OperatorKind::Window(settings), "late") if settings.late_output => Some(Output::Late),
        (OperatorKind::Join(JoinSpec::Interval(_)), "late-left") => Some(Output::Late),
        (OperatorKind::Join(JoinSpec::Interval(_)), "late-right") => Some(Output::LateRight),
        _ => None,
    }
}

/// Whether an operator has the output that another reads.
pub(super) fn input(
    from: &Draft<'_>,
    missing: bool,
    place: &Range<usize>,
    reader: &mut Reader<'_>,
) {
    let name = units::shorten(&from.name);
    if matches!(from.kind, OperatorKind::Sink(_)) {
        let message = format!("`{name}` is a sink: nothing comes out of it");
        reader.report(place, Problem::new("contradiction", message));
    }
    if missing {
        let message = format!("`{name}` has no side output for late records of this name");
        let help = match &from.kind {
            OperatorKind::Join(JoinSpec::Interval(_)) => "this join has late-left and late-right",
            _ => "a window with late = \"side-output\" has one, called late",
        };
        reader.report(place, Problem::new("unknown-name", message).help(help));
    }
}

/// Reports the operators that read from each other in a circle.
pub(super) fn cycle(drafts: &[Draft<'_>], done: &[bool], reader: &mut Reader<'_>) {
    let mut told = done.to_vec();
    for start in 0..drafts.len() {
        // Follow what is not done upstream until an operator comes again.
        let mut path: Vec<usize> = Vec::new();
        let mut at = start;
        while !told[at] && !path.contains(&at) {
            path.push(at);
            let waits = drafts[at].inputs.iter().map(|(_, from, ..)| *from);
            let Some(next) = waits.into_iter().find(|from| !done[*from]) else {
                break;
            };
            at = next;
        }
        let known = told[at];
        path.iter().for_each(|it| told[*it] = true);
        let Some(first) = path.iter().position(|it| *it == at).filter(|_| !known) else {
            continue;
        };
        let circle = &path[first..];
        let mut names: Vec<&str> = circle.iter().map(|it| drafts[*it].name.as_str()).collect();
        names.push(names[0]);
        names.reverse();
        let message = format!("the graph has a cycle: {}", names.join(" → "));
        let draft = &drafts[circle[0]];
        let input = draft
            .inputs
            .iter()
            .find(|(_, from, ..)| circle.contains(from));
        let place = input.map_or_else(|| draft.place().clone(), |it| it.3.clone());
        let problem = Problem::new("cycle", message).expected("a graph without cycles");
        reader.report(&place, problem);
    }
}

/// How records go from one operator to another; `which` is the input.
pub(super) fn partitioning(
    down: &Draft<'_>,
    up: &Draft<'_>,
    which: u8,
    place: &Range<usize>,
    reader: &mut Reader<'_>,
) -> Partitioning {
    let broadcast_side = which == 1 && down.kind == OperatorKind::Join(JoinSpec::Broadcast);
    if broadcast_side {
        return Partitioning::Broadcast;
    }
    let said = down.common.partition;
    let key_by = down.common.key_by;
    let chosen = match (said, key_by) {
        (Some(at), Some(by)) if by.value != (at.value == Partition::Hash) => {
            let message = "`key-by` and `partition` contradict each other";
            reader.report(
                &by.span,
                Problem::new("contradiction", message).help("keep one of them"),
            );
            Partitioning::Hash
        }
        (Some(at), _) => at.value.rule(),
        (None, Some(by)) if by.value => Partitioning::Hash,
        (None, Some(by)) if down.needs_key() => {
            no_key(down, &by.span, reader);
            Partitioning::Hash
        }
        (None, _) => usual(down, up),
    };
    if let Some(at) = said.filter(|_| down.needs_key() && chosen != Partitioning::Hash) {
        no_key(down, &at.span, reader);
        return Partitioning::Hash;
    }
    let asks = matches!(down.kind, OperatorKind::Lookup(_)) || chosen == Partitioning::Custom;
    if (chosen == Partitioning::Hash || asks) && !up.keyed {
        let message = format!(
            "`{}` needs a key, and records of `{}` have none",
            units::shorten(&down.name),
            units::shorten(&up.name)
        );
        let help = "give the records a `key`, the load `keys`, or all records one key with a map \
                    function = \"key-modulo\", n = 0";
        reader.report(place, Problem::new("no-key", message).help(help));
    }
    if chosen == Partitioning::Forward && up.parallelism != down.parallelism {
        let message = format!(
            "Forward partitioning does not allow change of parallelism. Upstream operation: {} \
             parallelism: {}, downstream operation: {} parallelism: {}",
            units::shorten(&up.name),
            up.parallelism,
            units::shorten(&down.name),
            down.parallelism
        );
        let problem = Problem::new("contradiction", message).expected(
            "another partitioning strategy, such as broadcast, rebalance, shuffle or global",
        );
        reader.report(said.map_or(place, |at| &at.span), problem);
    }
    chosen
}

fn no_key(down: &Draft<'_>, place: &Range<usize>, reader: &mut Reader<'_>) {
    let message = format!(
        "`{}` needs a key: keyed state can only be used on a 'keyed stream', i.e., after a \
         'keyBy()' operation",
        units::shorten(&down.name)
    );
    let problem = Problem::new("no-key", message).expected("partition = \"hash\", or nothing");
    reader.report(place, problem);
}

/// What can only be said of the job as a whole.
pub(super) fn whole(
    raw: &At<RawStream>,
    drafts: &[Draft<'_>],
    order: &[usize],
    spec: &JobSpec,
    reader: &mut Reader<'_>,
) {
    let has = |is: fn(&OperatorKind) -> bool| drafts.iter().any(|it| is(&it.kind));
    if !has(|it| matches!(it, OperatorKind::Source(_))) {
        let message = "No operators defined in streaming topology: a job has at least one source";
        let problem = Problem::new("missing-key", message).expected("[[stream.source]]");
        reader.report(&raw.span, problem);
        return;
    }
    if !bounds(raw, spec, reader) {
        return;
    }
    let parallelism: Vec<u32> = spec.operators.iter().map(|it| it.parallelism).collect();
    if let Some(problem) = lacks_slots(spec, &parallelism) {
        let place = raw.value.slots.as_ref().map(|at| &at.span);
        let place = place.or(raw.value.task_managers.as_ref().map(|at| &at.span));
        reader.report(place.unwrap_or(&raw.span), problem);
    }
    if let Some((operator, message)) = positions::unfit(spec, &parallelism)
        && let Some(draft) = order.get(operator as usize).and_then(|at| drafts.get(*at))
    {
        let help = "guarantee = \"exactly-once\" works with any graph";
        reader.report(draft.place(), Problem::new("no-offset", message).help(help));
    }
    let taken = spec.config.takes_checkpoints();
    for at in order {
        let draft = &drafts[*at];
        if let OperatorKind::Sink(sink) = &draft.kind {
            let transactions = matches!(
                sink.guarantee,
                Guarantee::ExactlyOnce { .. } | Guarantee::WriteAheadLog
            );
            if transactions && !taken {
                let message = format!(
                    "`{}` commits with checkpoints, and none are taken: only the end of a bounded \
                     job commits",
                    draft.name
                );
                let problem = Problem::new("no-checkpoints", message)
                    .help("set \"execution.checkpointing.interval\"");
                reader.report(draft.place(), problem.warning());
            }
        }
        clock(*at, drafts, reader);
    }
    super::sense::check(raw, drafts, order, spec, reader);
}

/// What is to be said of a job that needs more slots than there are.
pub(super) fn lacks_slots(spec: &JobSpec, parallelism: &[u32]) -> Option<Problem> {
    let needed = u64::from(Graph::of(spec).slots_needed(parallelism));
    let slots = spec.task_managers.iter().map(|it| u64::from(it.slots));
    let there: u64 = slots.sum();
    let message = format!(
        "NoResourceAvailableException: the job needs {needed} slots and there are {there}: it waits \
         for slot.request.timeout and fails"
    );
    let lacks = there > 0 && needed > there;
    lacks.then(|| Problem::new("no-resource", message).warning())
}

/// Whether the job is small enough to be acted out.
fn bounds(raw: &At<RawStream>, spec: &JobSpec, reader: &mut Reader<'_>) -> bool {
    let subtasks: u64 = spec
        .operators
        .iter()
        .map(|it| u64::from(it.parallelism))
        .sum();
    let channels: u64 = spec
        .operators
        .iter()
        .flat_map(|down| down.inputs.iter().map(move |input| (down, input)))
        .filter_map(|(down, input)| {
            let up = spec.operators.get(input.from as usize)?;
            let (up, down) = (u64::from(up.parallelism), u64::from(down.parallelism));
            Some(match input.partitioning {
                Partitioning::Forward | Partitioning::Rescale => up.max(down),
                _ => up * down,
            })
        })
        .sum();
    let counts = [
        ("subtasks", subtasks, limits::SUBTASKS),
        ("channels", channels, limits::CHANNELS),
    ];
    for (what, many, most) in counts {
        if many > most {
            let message =
                format!("{many} {what} of all operators together; a job has at most {most}");
            let place = raw
                .value
                .parallelism
                .as_ref()
                .map_or(&raw.span, |at| &at.span);
            reader.report(place, Problem::new("limit-subtasks", message));
            return false;
        }
    }
    true
}

/// The sources that an operator's records come from.
pub(super) fn sources_of(at: usize, drafts: &[Draft<'_>]) -> Vec<(usize, bool)> {
    // Each with whether a generator of watermarks lies between.
    let mut found: Vec<(usize, bool)> = Vec::new();
    let mut seen: Vec<(usize, bool)> = Vec::new();
    let mut open = vec![(at, false)];
    while let Some((at, marked)) = open.pop() {
        if seen.contains(&(at, marked)) {
            continue;
        }
        seen.push((at, marked));
        let made = |strategy: WatermarkStrategy| strategy != WatermarkStrategy::None;
        let marked = marked
            || match &drafts[at].kind {
                OperatorKind::Source(it) => made(it.watermarks.strategy),
                OperatorKind::Watermarks(it) => made(it.strategy),
                _ => false,
            };
        if drafts[at].inputs.is_empty() {
            found.push((at, marked));
        }
        open.extend(
            drafts[at]
                .inputs
                .iter()
                .map(|(_, from, ..)| (*from, marked)),
        );
    }
    found
}

/// Whether an operator that goes by event time has times and watermarks.
fn clock(at: usize, drafts: &[Draft<'_>], reader: &mut Reader<'_>) {
    let draft = &drafts[at];
    let (by_event_time, ends_only) = match &draft.kind {
        OperatorKind::Window(it) => {
            let at_end =
                |trigger: &Trigger| matches!(trigger, Trigger::EventTime | Trigger::EndOfStream);
            let trigger = match &it.trigger {
                Trigger::Purging(inner) => inner.as_ref(),
                other => other,
            };
            let ends = it.assigner == Assigner::Global && at_end(trigger);
            let windows = it.time == TimeDomain::Event && it.assigner != Assigner::Global;
            (windows, ends || *trigger == Trigger::EndOfStream)
        }
        OperatorKind::Process(it) => {
            let clock = match it.function {
                ProcessFunction::Silence { clock, .. } => Some(clock),
                _ => None,
            };
            (clock == Some(TimeDomain::Event), false)
        }
        OperatorKind::Join(it) => (
            matches!(
                it,
                JoinSpec::Window { .. }
                    | JoinSpec::Session { .. }
                    | JoinSpec::Interval(_)
                    | JoinSpec::Temporal(_)
            ),
            false,
        ),
        _ => (false, false),
    };
    if !by_event_time && !ends_only {
        return;
    }
    for (from, marked) in sources_of(at, drafts) {
        let OperatorKind::Source(source) = &drafts[from].kind else {
            continue;
        };
        let (name, origin) = (&draft.name, &drafts[from].name);
        if by_event_time && source.time == SourceTime::None {
            let message = format!(
                "`{name}` goes by event time, and records of `{origin}` have none: Record has \
                 Long.MIN_VALUE timestamp (= no timestamp marker). Is the time characteristic set \
                 to 'ProcessingTime', or did you forget to call \
                 'DataStream.assignTimestampsAndWatermarks(...)'?"
            );
            reader.report(draft.place(), Problem::new("no-time", message));
            return;
        }
        if !source.bounded && (ends_only || !marked) {
            let why = match ends_only {
                true => "never ends",
                false => "makes no watermarks",
            };
            let message = format!("`{origin}` {why}: `{name}` puts nothing out");
            let mut problem = Problem::new("no-watermarks", message);
            if !ends_only {
                problem = problem.help("give the source a `watermark`");
            }
            reader.report(draft.place(), problem.warning());
            return;
        }
    }
}
