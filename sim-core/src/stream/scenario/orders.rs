//! The verbs of a job in the timeline.

use super::checks;
use crate::kernel::MICROSECOND;
use crate::scenario::{Arg, ArgKind, Args, Problem, Reader, Verb, needed, optional, units};
use crate::stream::node::Order;
use crate::stream::rules::key_group::KeyGroups;
use crate::stream::spec::{JobSpec, OperatorKind};

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
        "rescale" => rescale(spec, args, reader),
        _ => None,
    }
}

fn rescale(spec: &JobSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let operator = args.text("operator");
    if let Some(name) = &operator
        && spec.operators.iter().all(|it| it.name != *name)
    {
        let message = format!("there is no operator `{}`", units::shorten(name));
        let known = spec.operators.iter().map(|it| it.name.as_str());
        let problem = Problem::new("unknown-name", message).near(name, known);
        args.report("operator", problem, reader);
        return None;
    }
    let wanted = args.count("parallelism")?;
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
    Some(Order::Rescale {
        operator,
        parallelism,
    })
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
    }
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
        }
    }
}
