//! From a verb with its arguments to deeds, some of whose nodes are only found when they are due.

use super::deeds::nodes_of;
use super::happen::Happenings;
use super::model::Act;
use super::predicate::{Expr, compile, describe};
use super::probe::{Type, Value};
use super::reader::{At, Problem};
use super::units;
use super::verbs::{Arg, ArgKind, Args, Verb};
use crate::kernel::{Deed, FilterRule, LinkChange, MessageDeed, NodeId};
use crate::systems::{Order, SECTIONS};
use std::ops::Range;

/// The nodes of an argument: known ones, and placeholders for those given by value.
#[derive(Default)]
struct Found {
    nodes: Vec<NodeId>,
    by_value: Vec<(NodeId, Expr, String)>,
}

impl Happenings<'_, '_, '_> {
    pub(super) fn acts(
        &mut self,
        verb: &Verb,
        args: &Args,
        span: &Range<usize>,
    ) -> Option<Vec<Act>> {
        let mut placeholders = 0;
        let mut found = Vec::new();
        for arg in verb.args {
            if let ArgKind::Nodes { kind, default } = arg.kind {
                found.push((
                    arg.key,
                    self.nodes(arg, kind, default, args, &mut placeholders)?,
                ));
            }
        }
        let nodes = |key: &str| {
            let of = found.iter().find(|(found, _)| *found == key);
            of.map_or(&[][..], |(_, found)| found.nodes.as_slice())
        };
        let all_others = verb.name == "partition" && args.get("others").is_none();
        let deeds = match generic(verb, args, &nodes, self.names.nodes.len() as u32) {
            Some(deeds) => deeds,
            None => {
                let order = self.order(verb, args, span)?;
                nodes("node")
                    .iter()
                    .map(|node| Deed::Order(*node, order.clone()))
                    .collect()
            }
        };
        self.check_deeds(&deeds, args, span);
        let by_value: Vec<_> = found
            .iter()
            .flat_map(|(_, found)| &found.by_value)
            .collect();
        let act = |deed: Deed<Order>| {
            let named = nodes_of(&deed);
            let by_value = by_value.iter().filter(|(node, ..)| named.contains(node));
            Act {
                by_value: by_value.map(|it| (*it).clone()).collect(),
                deed,
                all_others,
            }
        };
        Some(deeds.into_iter().map(act).collect())
    }

    fn order(&mut self, verb: &Verb, args: &Args, span: &Range<usize>) -> Option<Order> {
        let of = |verbs: &[Verb]| verbs.iter().any(|v| v.name == verb.name);
        let owner = self.systems.iter().find(|(section, _)| of(section.verbs()));
        match owner {
            Some((section, spec)) => section.order(spec, verb, args, self.reader),
            None => {
                let message = format!("no system of this scenario knows `{}`", verb.name);
                self.reader
                    .report(span, Problem::new("unknown-verb", message));
                None
            }
        }
    }

    fn nodes(
        &mut self,
        arg: &Arg,
        kind: Option<&'static str>,
        default: Option<&'static str>,
        args: &Args,
        placeholders: &mut u32,
    ) -> Option<Found> {
        let mut found = Found::default();
        let Some(given) = args.nodes(arg.key) else {
            // A required argument that is missing was reported with the keys.
            if let Some(text) = default
                && let Ok((expr, _)) = compile(text, self.names)
            {
                found.add(expr, text, placeholders);
            }
            return (!arg.required).then_some(found);
        };
        let mut good = true;
        for name in &given.0 {
            good &= self
                .one_node(name, kind, &mut found, placeholders)
                .is_some();
        }
        good.then_some(found)
    }

    fn one_node(
        &mut self,
        name: &At<String>,
        kind: Option<&'static str>,
        found: &mut Found,
        placeholders: &mut u32,
    ) -> Option<()> {
        let text = &name.value;
        let (expr, of) = match compile(text, self.names) {
            Ok(typed) => typed,
            Err(_) if !text.contains(['.', ' ', '(']) => {
                super::build::find_node(name, self.names, self.reader)?;
                return None;
            }
            wrong => self.checked(wrong, text, &name.span)?,
        };
        if !matches!(of, Type::Node | Type::Nodes) {
            let message = format!("this is {}", describe(of));
            let expected = "a node, or an expression such as orders-0.leader";
            self.reader
                .report(&name.span, Problem::bad_value(message, expected));
            return None;
        }
        if let (Expr::Const(Value::Node(node)), Some(kind)) = (&expr, kind) {
            let is = self
                .names
                .nodes
                .get(node.0 as usize)
                .map_or("", |node| node.kind);
            if is != kind {
                let fitting = self.names.nodes.iter().filter(|node| node.kind == kind);
                let problem =
                    Problem::new("bad-value", format!("`{text}` is a {is}, not a {kind}"))
                        .near("", fitting.map(|node| node.name.as_str()));
                self.reader.report(&name.span, problem);
                return None;
            }
        }
        found.add(expr, text, placeholders);
        Some(())
    }

    /// A kind of message that no system sends would be lost by nobody.
    fn check_kinds(&mut self, args: &Args) {
        let known = || SECTIONS.iter().flat_map(|section| section.messages());
        for kind in args.texts("lose").unwrap_or_default() {
            if !known().any(|known| *known == kind) {
                let message = format!("no message is called `{}`", units::shorten(&kind));
                let problem = Problem::new("unknown-name", message).near(&kind, known().copied());
                args.report("lose", problem, self.reader);
            }
        }
    }

    fn check_deeds(&mut self, deeds: &[Deed<Order>], args: &Args, span: &Range<usize>) {
        self.check_kinds(args);
        if let Some((key, most)) = deeds.iter().find_map(Deed::excess) {
            let problem = Problem::bad_value("no machine is so bad", most);
            args.report(key, problem, self.reader);
            return;
        }
        for deed in deeds {
            let problem = match deed {
                Deed::Link(a, b, _) | Deed::Cut(a, b) | Deed::Heal(a, b) if a == b => {
                    Problem::new("bad-value", "a node has no link to itself")
                }
                Deed::Link(_, _, change)
                    if *change == LinkChange::default() && args.0.len() == args.1 =>
                {
                    Problem::new("nothing", "this changes nothing")
                        .expected("`cut`, `delay`, `loss`, `duplicate`, `reorder` or `lose`")
                        .warning()
                }
                Deed::Partition(left, right) if left.is_empty() || right.is_empty() => {
                    Problem::new("nothing", "one side of this partition is empty").warning()
                }
                _ => continue,
            };
            self.reader.report(span, problem);
            return;
        }
    }
}

impl Found {
    fn add(&mut self, expr: Expr, text: &str, placeholders: &mut u32) {
        match expr {
            Expr::Const(Value::Node(node)) => self.nodes.push(node),
            Expr::Const(Value::Nodes(set)) => self.nodes.extend(set.iter()),
            expr => {
                // Counted down from the largest number, which no node can have.
                let placeholder = NodeId(u32::MAX - *placeholders);
                *placeholders += 1;
                self.nodes.push(placeholder);
                self.by_value.push((placeholder, expr, text.to_owned()));
            }
        }
    }
}

/// The deeds of a verb of the kernel; `None` for a verb of a system.
fn generic<'n>(
    verb: &Verb,
    args: &Args,
    nodes: &impl Fn(&str) -> &'n [NodeId],
    node_count: u32,
) -> Option<Vec<Deed<Order>>> {
    let each =
        |make: &dyn Fn(NodeId) -> Deed<Order>| nodes("node").iter().map(|n| make(*n)).collect();
    let pairs = |make: &dyn Fn(NodeId, NodeId) -> Deed<Order>| {
        let to = nodes("to");
        nodes("from")
            .iter()
            .flat_map(|a| to.iter().map(|b| make(*a, *b)))
            .collect()
    };
    let message = |what| {
        args.count("message")
            .map(|id| Deed::Message(id, what))
            .into_iter()
            .collect()
    };
    let time = |key| args.time(key).unwrap_or(0);
    Some(match verb.name {
        "crash" => each(&Deed::Crash),
        "power-loss" => each(&Deed::PowerLoss),
        "wipe-disk" => each(&Deed::WipeDisk),
        "restart" => each(&Deed::Restart),
        "pause" => each(&Deed::Pause),
        "resume" => each(&Deed::Resume),
        "slow-cpu" => each(&|n| Deed::SlowCpu(n, time("cost"))),
        "slow-disk" => each(&|n| Deed::SlowDisk(n, args.count("speed").unwrap_or(0))),
        "skew" => each(&|n| Deed::Skew(n, args.signed_time("by").unwrap_or(0))),
        "drift" => each(&|n| Deed::Drift(n, args.number("ppb").unwrap_or(0))),
        "cut" => pairs(&Deed::Cut),
        "heal" => pairs(&Deed::Heal),
        "link" => pairs(&|a, b| Deed::Link(a, b, link_change(args))),
        "partition" => {
            let side = nodes("nodes").to_vec();
            let others = match args.get("others") {
                Some(_) => nodes("others").to_vec(),
                None => (0..node_count)
                    .map(NodeId)
                    .filter(|n| !side.contains(n))
                    .collect(),
            };
            vec![Deed::Partition(side, others)]
        }
        "heal-all" => vec![Deed::HealAll],
        "drop-message" => message(MessageDeed::Drop),
        "duplicate-message" => message(MessageDeed::Duplicate),
        "delay-message" => message(MessageDeed::Delay(time("delay"))),
        _ => return None,
    })
}

fn link_change(args: &Args) -> LinkChange {
    let filters = args.texts("lose").map(|kinds| {
        kinds
            .into_iter()
            .map(|label| FilterRule { label })
            .collect()
    });
    LinkChange {
        cut: args.flag("cut"),
        slow_by: args.time("delay"),
        loss_ppm: args.share("loss"),
        duplicate_ppm: args.share("duplicate"),
        reorder_ppm: args.share("reorder"),
        filters,
    }
}
