//! Timeline, captions and expectations: triggers, verbs and predicates with their names looked up.

use super::build::Systems;
use super::declare::{Table, Time};
use super::deeds::nodes_of;
use super::entry::{PredicateText, RawEntry};
use super::limits;
use super::model::{Act, Caption, Expectation, Moment, TimelineEntry, Trigger};
use super::predicate::{Expr, Predicate, Vocabulary, Wrong, compile, compile_predicate, describe};
use super::probe::{Type, Value};
use super::raw::{MomentText, RawCaption, RawExpectation};
use super::reader::{At, Problem, Reader};
use super::units;
use super::verbs::{Arg, ArgKind, Args, Verb};
use crate::kernel::{Deed, FilterRule, LinkChange, MessageDeed, Nanos, NodeId};
use crate::systems::Order;
use std::ops::Range;

/// Reads what happens.
pub(super) struct Happenings<'a, 's, 't> {
    systems: &'a Systems,
    names: &'a Vocabulary<'s>,
    duration: Nanos,
    reader: &'a mut Reader<'t>,
    firings: u64,
}

/// The parts of a moment, shared by entries and captions.
struct Parts<'r> {
    at: Option<&'r At<Time>>,
    every: Option<&'r At<Time>>,
    when: Option<&'r At<PredicateText>>,
    every_time: Option<&'r At<bool>>,
    after: Option<&'r At<Time>>,
    until: Option<&'r At<Time>>,
    /// A moment was written, and could not be read.
    misread: bool,
}

/// The nodes of an argument: known ones, and placeholders for those given by value.
#[derive(Default)]
struct Found {
    nodes: Vec<NodeId>,
    by_value: Vec<(NodeId, Expr, String)>,
}

impl<'a, 's, 't> Happenings<'a, 's, 't> {
    pub(super) fn new(
        systems: &'a Systems,
        names: &'a Vocabulary<'s>,
        duration: Nanos,
        reader: &'a mut Reader<'t>,
    ) -> Self {
        Happenings {
            systems,
            names,
            duration,
            reader,
            firings: 0,
        }
    }

    /// The timeline.
    pub(super) fn timeline(&mut self, raw: Option<&At<Vec<At<RawEntry>>>>) -> Vec<TimelineEntry> {
        let mut entries = Vec::new();
        for entry in raw.iter().flat_map(|at| &at.value) {
            entries.extend(self.entry(entry));
        }
        entries
    }

    fn entry(&mut self, raw: &At<RawEntry>) -> Option<TimelineEntry> {
        let moment = &raw.value.moment;
        let parts = Parts {
            at: moment.at.as_ref(),
            every: moment.every.as_ref(),
            when: moment.when.as_ref(),
            every_time: moment.every_time.as_ref(),
            after: moment.after.as_ref(),
            until: moment.until.as_ref(),
            misread: ["at", "every", "when"].iter().any(|key| moment.has(key)),
        };
        let trigger = self.trigger(&parts, true, &raw.span);
        let verb = raw.value.verb?;
        let undo_after = self.undo(moment.lasts.as_ref(), verb);
        let acts = self.acts(verb, &raw.value.args, &raw.span);
        Some(TimelineEntry {
            trigger: trigger?,
            acts: acts?,
            undo_after,
            note: moment.note.as_ref().map(|at| at.value.clone()),
            line: self.reader.line(raw.span.start),
            span: raw.span.clone(),
        })
    }

    fn undo(&mut self, lasts: Option<&At<Time>>, verb: &Verb) -> Option<Nanos> {
        let lasts = lasts?;
        if !verb.undo {
            let message = format!("nothing takes back `{}`", verb.name);
            let problem = Problem::new("contradiction", message).help("leave `for` out");
            self.reader.report(&lasts.span, problem);
        } else if lasts.value.0 == 0 {
            let problem = Problem::bad_value("this would be taken back at once", "a time above 0");
            self.reader.report(&lasts.span, problem);
        }
        Some(lasts.value.0)
    }

    fn trigger(
        &mut self,
        parts: &Parts<'_>,
        may_repeat: bool,
        span: &Range<usize>,
    ) -> Option<Trigger> {
        let given = [
            parts.at.map(|at| &at.span),
            parts.every.map(|at| &at.span),
            parts.when.map(|at| &at.span),
        ];
        let mut given = given.into_iter().flatten();
        if given.next().is_none() {
            if parts.misread {
                return None;
            }
            let expected = if may_repeat {
                "one of `at`, `every` and `when`"
            } else {
                "`at` or `when`"
            };
            let problem = Problem::new("missing-key", "it is not said when").expected(expected);
            self.reader.report(span, problem);
            return None;
        }
        if let Some(second) = given.next() {
            let problem = Problem::new("contradiction", "there are two moments for one entry");
            let help = "keep one of `at`, `every` and `when`";
            self.reader.report(second, problem.help(help));
            return None;
        }
        self.only_with(parts);
        let trigger = match (parts.at, parts.every) {
            (Some(at), _) => Trigger::At(at.value.0),
            (_, Some(every)) => self.repeated(every, parts),
            _ => self.conditional(parts)?,
        };
        self.count_firings(&trigger, span);
        Some(trigger)
    }

    /// Keys that mean something only beside certain others.
    fn only_with(&mut self, parts: &Parts<'_>) {
        let mut misplaced = |span: Option<&Range<usize>>, key: &str, with: &str| {
            if let Some(span) = span {
                let message = format!("`{key}` means nothing without {with}");
                self.reader
                    .report(span, Problem::new("contradiction", message));
            }
        };
        if parts.when.is_none() {
            misplaced(parts.every_time.map(|at| &at.span), "every-time", "`when`");
        }
        if parts.at.is_some() {
            misplaced(parts.after.map(|at| &at.span), "after", "`every` or `when`");
            misplaced(parts.until.map(|at| &at.span), "until", "`every` or `when`");
        }
        let late = [parts.at, parts.after];
        for at in late.into_iter().flatten() {
            if at.value.0 > self.duration {
                let message = format!(
                    "the run ends at {}, before this",
                    units::show_time(self.duration)
                );
                self.reader
                    .report(&at.span, Problem::new("never", message).warning());
            }
        }
    }

    fn repeated(&mut self, every: &At<Time>, parts: &Parts<'_>) -> Trigger {
        let period = every.value.0;
        if period == 0 {
            let problem = Problem::bad_value("this never ends", "a time above 0");
            self.reader.report(&every.span, problem);
        }
        Trigger::Every {
            period: period.max(1),
            first: parts.after.map_or(period, |at| at.value.0),
            last: parts.until.map_or(self.duration, |at| at.value.0),
        }
    }

    fn conditional(&mut self, parts: &Parts<'_>) -> Option<Trigger> {
        Some(Trigger::When {
            predicate: self.predicate(parts.when?)?,
            every_time: parts.every_time.is_some_and(|at| at.value),
            after: parts.after.map_or(0, |at| at.value.0),
            until: parts.until.map_or(self.duration, |at| at.value.0),
        })
    }

    fn count_firings(&mut self, trigger: &Trigger, span: &Range<usize>) {
        let fires = match *trigger {
            Trigger::Every {
                period,
                first,
                last,
            } => last
                .min(self.duration)
                .checked_sub(first)
                .map_or(0, |window| window / period + 1),
            Trigger::At(_) | Trigger::When { .. } => 1,
        };
        let before = self.firings;
        self.firings = before.saturating_add(fires);
        if self.firings > limits::FIRINGS && before <= limits::FIRINGS {
            let message = format!(
                "with this entry the timeline fires {} times; a scenario fires at most {}",
                self.firings,
                limits::FIRINGS
            );
            self.reader
                .report(span, Problem::new("limit-timeline", message));
        }
    }

    fn predicate(&mut self, raw: &At<PredicateText>) -> Option<Predicate> {
        let text = &raw.value.0;
        let compiled = compile_predicate(text, self.names);
        let expr = self.checked(compiled, text, &raw.span)?;
        let predicate = Predicate {
            text: text.clone(),
            expr,
        };
        if predicate.probes().is_empty() {
            let problem = Problem::new("constant", "this asks nothing of the simulated state");
            self.reader.report(&raw.span, problem.warning());
        }
        Some(predicate)
    }

    /// Reports what is wrong with an expression, at its place in the file.
    fn checked<T>(
        &mut self,
        compiled: Result<T, Vec<Wrong>>,
        text: &str,
        span: &Range<usize>,
    ) -> Option<T> {
        match compiled {
            Ok(value) => Some(value),
            Err(wrong) => {
                for (inner, problem) in wrong {
                    let place =
                        super::reader::inside_string(self.reader.text(), span, text, &inner);
                    self.reader.report(&place, problem);
                }
                None
            }
        }
    }

    fn acts(&mut self, verb: &Verb, args: &Args, span: &Range<usize>) -> Option<Vec<Act>> {
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

    fn check_deeds(&mut self, deeds: &[Deed<Order>], args: &Args, span: &Range<usize>) {
        for deed in deeds {
            let problem = match deed {
                Deed::Link(a, b, _) | Deed::Cut(a, b) | Deed::Heal(a, b) if a == b => {
                    Problem::new("bad-value", "a node has no link to itself")
                }
                Deed::Drift(_, ppb) if ppb.unsigned_abs() > 500_000_000 => {
                    let expected = "at most 500000000 parts per billion either way";
                    args.report(
                        "ppb",
                        Problem::bad_value("no clock is so bad", expected),
                        self.reader,
                    );
                    continue;
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

    /// The captions.
    pub(super) fn captions(&mut self, raw: Option<&At<Vec<At<RawCaption>>>>) -> Vec<Caption> {
        let mut captions = Vec::new();
        let all = raw.map_or(&[][..], |at| at.value.as_slice());
        self.count_sentences(all.len(), "captions", raw.map(|at| &at.span));
        for caption in all {
            let doc = &caption.value;
            let parts = Parts {
                at: doc.at.as_ref(),
                every: None,
                when: doc.when.as_ref(),
                every_time: doc.every_time.as_ref(),
                after: doc.after.as_ref(),
                until: doc.until.as_ref(),
                misread: doc.has("at") || doc.has("when"),
            };
            if let Some(trigger) = self.trigger(&parts, false, &caption.span) {
                captions.push(Caption {
                    trigger,
                    text: doc
                        .text
                        .as_ref()
                        .map(|at| at.value.clone())
                        .unwrap_or_default(),
                    line: self.reader.line(caption.span.start),
                });
            }
        }
        captions
    }

    fn count_sentences(&mut self, count: usize, what: &str, span: Option<&Range<usize>>) {
        if count > limits::SENTENCES {
            let message = format!(
                "{count} {what}; a scenario has at most {}",
                limits::SENTENCES
            );
            let span = span.cloned().unwrap_or(0..0);
            self.reader
                .report(&span, Problem::new("limit-sentences", message));
        }
    }

    /// The expectations.
    pub(super) fn expectations(
        &mut self,
        raw: Option<&At<Vec<At<RawExpectation>>>>,
    ) -> Vec<Expectation> {
        let all = raw.map_or(&[][..], |at| at.value.as_slice());
        self.count_sentences(all.len(), "expectations", raw.map(|at| &at.span));
        let mut expectations = Vec::new();
        for expectation in all {
            let doc = &expectation.value;
            let moment = self.moment(doc);
            let Some(predicate) = doc.that.as_ref().and_then(|that| self.predicate(that)) else {
                continue;
            };
            expectations.push(Expectation {
                predicate,
                moment,
                note: doc.note.as_ref().map(|at| at.value.clone()),
                line: self.reader.line(expectation.span.start),
                span: expectation.span.clone(),
            });
        }
        expectations
    }

    fn moment(&mut self, doc: &RawExpectation) -> Moment {
        let word = doc.at.as_ref().map_or(MomentText::End, |at| at.value);
        let allowed: &[&str] = match word {
            MomentText::At(_) | MomentText::End => &[],
            MomentText::Eventually => &["after", "by"],
            MomentText::Always | MomentText::Never => &["after", "until"],
        };
        for (key, given) in [
            ("after", &doc.after),
            ("by", &doc.by),
            ("until", &doc.until),
        ] {
            let Some(at) = given else { continue };
            if !allowed.contains(&key) {
                let with = match key {
                    "by" => "at = \"eventually\"",
                    "until" => "at = \"always\" or \"never\"",
                    _ => "at = \"eventually\", \"always\" or \"never\"",
                };
                let message = format!("`{key}` means nothing without {with}");
                self.reader
                    .report(&at.span, Problem::new("contradiction", message));
            }
        }
        let time = |given: &Option<At<Time>>| given.as_ref().map(|at| at.value.0);
        let after = time(&doc.after).unwrap_or(0);
        let until = time(&doc.until).unwrap_or(self.duration);
        let by = time(&doc.by).unwrap_or(self.duration);
        let last = match word {
            MomentText::At(at) => at,
            _ => after.max(if doc.by.is_some() { by } else { 0 }),
        };
        if last > self.duration
            && let Some(at) = doc.at.as_ref()
        {
            let message = format!(
                "the run ends at {}, before this",
                units::show_time(self.duration)
            );
            self.reader.report(&at.span, Problem::new("never", message));
        }
        match word {
            MomentText::End => Moment::End,
            MomentText::At(at) => Moment::At(at),
            MomentText::Eventually => Moment::Eventually { after, by },
            MomentText::Always => Moment::Always { after, until },
            MomentText::Never => Moment::Never { after, until },
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
