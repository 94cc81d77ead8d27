//! The verbs of a job in the timeline.

use super::checks;
use super::operators::SCHEMA;
use crate::kernel::MICROSECOND;
use crate::scenario::{
    Arg, ArgKind, Args, Problem, Reader, TimelineEntry, Verb, needed, optional, units,
};
use crate::stream::command::{Command, Edit, Run};
use crate::stream::config::Retention;
use crate::stream::node::Order;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::rules::serializer::StateSchema;
use crate::stream::spec::{JobSpec, OperatorKind};
use crate::systems;
use std::collections::BTreeSet;

const MANAGER: Arg = optional(
    "node",
    ArgKind::Nodes {
        kind: Some("job-manager"),
        default: Some("job.manager"),
    },
    "The JobManager; it need not be named.",
);
const TASK_MANAGER: Arg = needed("node", nodes("task-manager"), "Which TaskManager.");
const STORE: Arg = needed("node", nodes("store"), "Which store.");

const fn nodes(kind: &'static str) -> ArgKind {
    ArgKind::Nodes {
        kind: Some(kind),
        default: None,
    }
}

const CALLED: Arg = optional(
    "savepoint",
    ArgKind::Text,
    "What the savepoint is called; left out: `savepoint-` and its id.",
);

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "trigger-checkpoint",
        doc: "The JobManager takes a checkpoint now.",
        args: &[MANAGER],
        undo: false,
    },
    Verb {
        name: "rescale",
        doc: "The job stops with a savepoint and goes on from it with another parallelism (flink stop, flink run -s -p).",
        args: &[
            MANAGER,
            optional(
                "operator",
                ArgKind::Text,
                "Which operator; left out: all but sources and sinks.",
            ),
            needed("parallelism", ArgKind::Count, "Its new parallelism."),
        ],
        undo: false,
    },
    Verb {
        name: "trigger-savepoint",
        doc: "The JobManager takes a savepoint, and the job goes on (flink savepoint).",
        args: &[MANAGER, CALLED],
        undo: false,
    },
    Verb {
        name: "stop-with-savepoint",
        doc: "The job takes a savepoint, commits what belongs to it, and ends FINISHED (flink stop).",
        args: &[
            MANAGER,
            CALLED,
            optional(
                "drain",
                ArgKind::Flag,
                "Its input is taken to have ended: open windows and timers fire before the savepoint (--drain).",
            ),
        ],
        undo: false,
    },
    Verb {
        name: "cancel-job",
        doc: "The job ends CANCELED, without a savepoint (flink cancel).",
        args: &[MANAGER],
        undo: false,
    },
    Verb {
        name: "run-job",
        doc: "A job that has ended is submitted again (flink run -n -s -p).",
        args: &[
            MANAGER,
            optional(
                "savepoint",
                ArgKind::Text,
                "The savepoint that it begins from; left out: it begins from nothing.",
            ),
            optional(
                "retained",
                ArgKind::Flag,
                "It begins from the newest checkpoint that outlived its job.",
            ),
            optional(
                "operator",
                ArgKind::Text,
                "Which operator gets `parallelism`; left out: all but sources and sinks.",
            ),
            optional(
                "parallelism",
                ArgKind::Count,
                "Its new parallelism; left out: the one before.",
            ),
            optional(
                "new-uid",
                ArgKind::Text,
                "An operator that has another uid now: its state in the savepoint finds no taker.",
            ),
            optional(
                "allow-non-restored-state",
                ArgKind::Flag,
                "Such state is left where it is; left out: the savepoint is refused.",
            ),
            optional(
                "state-of",
                ArgKind::Text,
                "An operator that writes its state as something else from now on.",
            ),
            optional(
                "state",
                ArgKind::Text,
                "As what, e.g. \"pojo Turnover { sum: long, orders: int }\".",
            ),
        ],
        undo: false,
    },
    Verb {
        name: "edit-savepoint",
        doc: "A program of the State Processor API writes a savepoint with other entries; the one that it reads stays.",
        args: &[
            MANAGER,
            optional(
                "savepoint",
                ArgKind::Text,
                "The savepoint that it reads; left out: the new one has these entries alone.",
            ),
            needed("into", ArgKind::Text, "What the new savepoint is called."),
            needed(
                "operator",
                ArgKind::Text,
                "Whose state: a process that counts, sums or keeps the greatest value.",
            ),
            optional(
                "set",
                ArgKind::Text,
                "Keys and their new values, e.g. \"ann 9, bob 12\".",
            ),
            optional("remove", ArgKind::Text, "Keys that go, e.g. \"ann, bob\"."),
        ],
        undo: false,
    },
    Verb {
        name: "fail-tasks",
        doc: "The user's function throws an exception in every task of a TaskManager.",
        args: &[TASK_MANAGER],
        undo: false,
    },
    Verb {
        name: "set-sink-cost",
        doc: "A row costs a store this much time from now on.",
        args: &[
            STORE,
            needed("cost", ArgKind::Time, "Time for each row, e.g. \"5ms\"."),
        ],
        undo: false,
    },
];

/// The order of a verb; problems are reported.
pub(super) fn read(
    spec: &JobSpec,
    verb: &Verb,
    args: &Args,
    reader: &mut Reader<'_>,
) -> Option<Order> {
    match verb.name {
        "trigger-checkpoint" => Some(Order::TriggerCheckpoint),
        "fail-tasks" => Some(Order::FailTasks),
        "set-sink-cost" => {
            let cost = args.time("cost")?;
            if cost % MICROSECOND != 0 {
                let problem = Problem::bad_value("this is finer than 1us", "whole microseconds");
                args.report("cost", problem, reader);
            }
            Some(Order::SetCost {
                micros: cost / MICROSECOND,
            })
        }
        "rescale" => {
            let (operator, parallelism) = parallelism(spec, args, reader)?;
            Some(Order::Rescale {
                operator,
                parallelism: parallelism?,
            })
        }
        "trigger-savepoint" => Some(said(&Command::Savepoint {
            name: called(args, reader),
        })),
        "stop-with-savepoint" => Some(said(&Command::Stop {
            name: called(args, reader),
            drain: args.flag("drain").unwrap_or(false),
        })),
        "cancel-job" => Some(said(&Command::Cancel)),
        "edit-savepoint" => edit(spec, args, reader),
        "run-job" => {
            let (operator, parallelism) = parallelism(spec, args, reader)?;
            if operator.is_some() && parallelism.is_none() {
                let message = "`operator` means nothing without `parallelism`";
                args.report("operator", Problem::new("contradiction", message), reader);
            }
            let (state_of, state) = evolved(spec, args, reader);
            let run = Run {
                state_of,
                state,
                savepoint: called(args, reader),
                retained: args.flag("retained").unwrap_or(false),
                operator,
                parallelism,
                new_uid: operator_named("new-uid", spec, args, reader),
                allow_non_restored_state: args.flag("allow-non-restored-state").unwrap_or(false),
            };
            if run.retained && run.savepoint.is_some() {
                let message = "a job begins from `savepoint` or from what is `retained`";
                args.report("retained", Problem::new("contradiction", message), reader);
            }
            if run.retained && spec.config.retention == Retention::Nothing {
                let message = format!(
                    "no checkpoint outlives its job: {} is not set",
                    Retention::KEY
                );
                let expected = "RETAIN_ON_CANCELLATION or DELETE_ON_CANCELLATION there";
                let problem = Problem::new("contradiction", message).expected(expected);
                args.report("retained", problem, reader);
            }
            if run.new_uid.is_some() && run.savepoint.is_none() && !run.retained {
                let message = "`new-uid` means nothing without `savepoint`";
                args.report("new-uid", Problem::new("contradiction", message), reader);
            }
            Some(said(&Command::Run(run)))
        }
        _ => None,
    }
}

/// Other entries of a savepoint.
fn edit(spec: &JobSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let operator = operator_named("operator", spec, args, reader)?;
    let mut kinds = spec.operators.iter().filter(|it| it.name == operator);
    if !kinds.any(|it| it.kind.holds_numbers()) {
        let message = format!(
            "`{}` keeps no number for each key",
            units::shorten(&operator)
        );
        let expected = "a process with `count`, `sum` or `max`";
        let problem = Problem::new("contradiction", message).expected(expected);
        args.report("operator", problem, reader);
    }
    let mut entries = Vec::new();
    for argument in ["set", "remove"] {
        let text = args.text(argument).unwrap_or_default();
        for entry in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let read = match (argument, entry.rsplit_once(' ')) {
                ("set", Some((key, value))) => value.parse().ok().map(|it| (key.trim(), Some(it))),
                ("set", None) => None,
                _ => Some((entry, None)),
            };
            let sound = read.filter(|it| spec.keys.called(it.0).is_some() && !it.0.contains(' '));
            let Some((key, value)) = sound else {
                let message = format!("`{}` is no entry of this job", units::shorten(entry));
                let expected = "keys that the file names, such as \"ann 9, bob 12\"";
                args.report(argument, Problem::bad_value(message, expected), reader);
                continue;
            };
            entries.push((key.to_owned(), value));
        }
    }
    if entries.is_empty() && args.text("set").or(args.text("remove")).is_none() {
        let problem = Problem::new("missing-key", "`set` or `remove` is missing");
        args.report("operator", problem, reader);
    }
    let from = called(args, reader);
    if from.as_ref().is_some_and(|it| it.contains(' ')) {
        let problem = Problem::bad_value("this name has a blank", "a name in one word");
        args.report("savepoint", problem, reader);
    }
    Some(said(&Command::Edit(Edit {
        from,
        into: args.text("into")?,
        operator,
        entries,
    })))
}

/// The operator that writes its state as something else, and as what.
fn evolved(
    spec: &JobSpec,
    args: &Args,
    reader: &mut Reader<'_>,
) -> (Option<String>, Option<StateSchema>) {
    let operator = operator_named("state-of", spec, args, reader);
    let text = args.text("state");
    for (given, other) in [("state-of", "state"), ("state", "state-of")] {
        if args.text(given).is_some() && args.text(other).is_none() {
            let message = format!("`{given}` means nothing without `{other}`");
            args.report(given, Problem::new("contradiction", message), reader);
        }
    }
    let kind = |name: &String| {
        let mut all = spec.operators.iter();
        all.find(|it| it.name == *name).map(|it| &it.kind)
    };
    let has_schema =
        |it: &OperatorKind| matches!(it, OperatorKind::Process(it) if it.schema.is_some());
    if let Some(name) = &operator
        && !kind(name).is_some_and(has_schema)
    {
        let message = format!("`{}` does not say what its state is", units::shorten(name));
        let problem = Problem::new("contradiction", message).expected("a process with `state`");
        args.report("state-of", problem, reader);
    }
    let schema = text.map(|text| StateSchema::read(&text));
    if let Some(Err(message)) = &schema {
        args.report("state", Problem::bad_value(message, SCHEMA), reader);
    }
    (operator, schema.and_then(Result::ok))
}

/// What a savepoint is called.
fn called(args: &Args, reader: &mut Reader<'_>) -> Option<String> {
    let name = args.text("savepoint")?;
    if name.trim().is_empty() {
        let problem = Problem::bad_value("this is no name", "a name for the savepoint");
        args.report("savepoint", problem, reader);
    }
    Some(name)
}

fn said(command: &Command) -> Order {
    Order::Command(command.to_string())
}

/// Savepoints that nobody takes are looked for in vain.
pub(super) fn check(timeline: &[TimelineEntry], reader: &mut Reader<'_>) {
    let mut said = Vec::new();
    for entry in timeline {
        let commands = entry.acts.iter().filter_map(|it| match it.order() {
            Some(systems::Order::Stream(Order::Command(text))) => Command::read(text),
            _ => None,
        });
        said.extend(commands.map(|it| (&entry.span, it)));
    }
    let named = said.iter().filter_map(|(_, it)| match it {
        Command::Savepoint { name } | Command::Stop { name, .. } => name.as_deref(),
        Command::Edit(edit) => Some(edit.into.as_str()),
        _ => None,
    });
    let taken: BTreeSet<&str> = named.collect();
    for (span, command) in &said {
        let (Command::Run(Run {
            savepoint: Some(name),
            ..
        })
        | Command::Edit(Edit {
            from: Some(name), ..
        })) = command
        else {
            continue;
        };
        // Those that were not named have one too.
        let number = name.strip_prefix("savepoint-");
        let number = number.or_else(|| name.strip_prefix("chk-"));
        let unnamed = number.is_some_and(|it| it.parse::<u32>().is_ok());
        if !unnamed && !taken.contains(name.as_str()) {
            let message = format!("no savepoint is called `{}`", units::shorten(name));
            let problem = Problem::new("unknown-name", message).near(name, taken.iter().copied());
            reader.report(span, problem);
        }
    }
}

/// The operator that an argument names, if there is one of that name.
fn operator_named(
    argument: &'static str,
    spec: &JobSpec,
    args: &Args,
    reader: &mut Reader<'_>,
) -> Option<String> {
    let name = args.text(argument)?;
    if spec.operators.iter().any(|it| it.name == name) {
        return Some(name);
    }
    let message = format!("there is no operator `{}`", units::shorten(&name));
    let known = spec.operators.iter().map(|it| it.name.as_str());
    let problem = Problem::new("unknown-name", message).near(&name, known);
    args.report(argument, problem, reader);
    None
}

/// An operator and its new parallelism, as far as they are said.
fn parallelism(
    spec: &JobSpec,
    args: &Args,
    reader: &mut Reader<'_>,
) -> Option<(Option<String>, Option<u32>)> {
    let operator = operator_named("operator", spec, args, reader);
    if operator.is_none() && args.text("operator").is_some() {
        return None;
    }
    let Some(wanted) = args.count("parallelism") else {
        return Some((operator, None));
    };
    let parallelism = u32::try_from(wanted).unwrap_or(u32::MAX);
    let mut all = Vec::new();
    for it in &spec.operators {
        let ends = matches!(it.kind, OperatorKind::Source(_) | OperatorKind::Sink(_));
        let meant = operator.as_ref().map_or(!ends, |name| *name == it.name);
        all.push(if meant { parallelism } else { it.parallelism });
        if let (true, Err(message)) = (meant, KeyGroups::new(it.max_parallelism, parallelism)) {
            let name = units::shorten(&it.name);
            let message = format!("{message}: `{name}` has {}", it.max_parallelism);
            let expected = "1 ≤ parallelism ≤ max-parallelism";
            args.report("parallelism", Problem::bad_value(message, expected), reader);
            return None;
        }
    }
    // What other orders have changed before it is not looked at.
    if let Some(problem) = checks::lacks_slots(spec, &all).filter(|_| reader.good()) {
        args.report("parallelism", problem, reader);
    }
    Some((operator, Some(parallelism)))
}

/// The verb and arguments that mean an order.
pub(super) fn write(order: &Order) -> (&'static str, Vec<(&'static str, String)>) {
    match order {
        Order::TriggerCheckpoint => ("trigger-checkpoint", Vec::new()),
        Order::FailTasks => ("fail-tasks", Vec::new()),
        Order::SetCost { micros } => ("set-sink-cost", vec![("cost", format!("\"{micros}us\""))]),
        Order::Rescale {
            operator,
            parallelism,
        } => {
            let operator = operator.iter().map(|it| ("operator", units::quote(it)));
            let parallelism = ("parallelism", parallelism.to_string());
            ("rescale", operator.chain([parallelism]).collect())
        }
        Order::Command(text) => match Command::read(text) {
            Some(Command::Savepoint { name }) => ("trigger-savepoint", savepoint(&name)),
            Some(Command::Stop { name, drain }) => {
                let mut args = savepoint(&name);
                args.extend(drain.then(|| ("drain", true.to_string())));
                ("stop-with-savepoint", args)
            }
            // What is no command is refused, and never done.
            Some(Command::Cancel) | None => ("cancel-job", Vec::new()),
            Some(Command::Edit(edit)) => {
                let mut args = savepoint(&edit.from);
                args.push(("into", units::quote(&edit.into)));
                args.push(("operator", units::quote(&edit.operator)));
                let of = |argument, words: Vec<String>| {
                    let text = (!words.is_empty()).then(|| units::quote(&words.join(", ")));
                    text.map(|it| (argument, it))
                };
                let all = edit.entries.iter();
                let set = all.filter_map(|it| Some(format!("{} {}", it.0, it.1?)));
                let gone = edit.entries.iter().filter(|it| it.1.is_none());
                args.extend(of("set", set.collect()));
                args.extend(of("remove", gone.map(|it| it.0.clone()).collect()));
                ("edit-savepoint", args)
            }
            Some(Command::Run(run)) => {
                let mut args = savepoint(&run.savepoint);
                let operator = run.operator.iter();
                args.extend(operator.map(|it| ("operator", units::quote(it))));
                let parallelism = run.parallelism.iter();
                args.extend(parallelism.map(|it| ("parallelism", it.to_string())));
                let new_uid = run.new_uid.iter();
                args.extend(new_uid.map(|it| ("new-uid", units::quote(it))));
                args.extend(run.retained.then(|| ("retained", true.to_string())));
                let allow = run.allow_non_restored_state.then(|| true.to_string());
                args.extend(allow.map(|it| ("allow-non-restored-state", it)));
                let state_of = run.state_of.iter();
                args.extend(state_of.map(|it| ("state-of", units::quote(it))));
                let state = run.state.iter();
                args.extend(state.map(|it| ("state", units::quote(&it.to_string()))));
                ("run-job", args)
            }
        },
    }
}

/// A savepoint's name as an argument.
fn savepoint(name: &Option<String>) -> Vec<(&'static str, String)> {
    let name = name.iter().map(|it| ("savepoint", units::quote(it)));
    name.collect()
}

impl Order {
    /// The order that takes this one back, if one does.
    #[must_use]
    pub fn inverse(&self) -> Option<Order> {
        None
    }

    /// The order in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Order::TriggerCheckpoint => "take a checkpoint".to_owned(),
            Order::FailTasks => "throw an exception in every task".to_owned(),
            Order::SetCost { micros } => format!("each row costs {micros} µs"),
            Order::Rescale {
                operator,
                parallelism,
            } => {
                let what = operator.as_deref().unwrap_or("the job");
                format!("rescale {what} to parallelism {parallelism}")
            }
            Order::Command(text) => text.clone(),
        }
    }
}
