//! What can be seen of a session: stage, ledger, inspector, transcript, space-time diagram, charts.
//!
//! Everything is projected on demand from the present state or made by running a stretch again.

use super::history::Step;
use super::job_series::JobSeries;
use super::session::Session;
use super::words;
use crate::kafka;
use crate::kernel::{EventId, InFlight, Kind, MILLISECOND, Nanos, NodeId, World};
use crate::log::RecordId;
use crate::stream::parts::StreamParts;
use crate::systems::{Msg, Node, Note};
use crate::view::{
    CompactionPass, CompactionSteps, EventTimePlot, Fact, GroupView, JobView, LedgerView, LifeStep,
    LineKind, LinkView, LogLine, NodeView, RecordLife, Series, Shape, SpaceTimeMessage, StageQuery,
    StageView, StorageView, TimeMark, Token,
};

/// Most lines a transcript returns at once.
const LINES_MAX: u32 = 5_000;
/// Events that the plot of event time goes back.
const PLOT_EVENTS: u64 = 10_000;

impl Session {
    /// The stage.
    #[must_use]
    pub fn stage(&self, query: &StageQuery) -> StageView {
        let world = self.run().world();
        let names = &self.scenario().nodes;
        let nodes = (0..)
            .zip(world.nodes())
            .map(|(i, slot)| {
                let name = names.get(i as usize).map_or("?", String::as_str);
                match &slot.process {
                    Node::Kafka(node) => kafka::view::node(world, NodeId(i), node, name, query),
                    Node::Stream(node) => node.view(world, NodeId(i), name, query),
                }
            })
            .collect();
        let (tokens, tokens_hidden) = self.tokens(query.tokens_max);
        let links = world
            .links()
            .filter(|(_, link)| !link.fault.is_none())
            .map(|(from, link)| LinkView {
                from: from.0,
                to: link.to.0,
                cut: link.fault.cut,
                slow_by: link.fault.slow_by,
                loss_ppm: link.fault.loss_ppm,
            })
            .collect();
        StageView {
            now: self.now(),
            nodes,
            lanes: kafka::view::lane_summaries(world, names),
            control: self.control(),
            tokens,
            tokens_hidden,
            links,
        }
    }

    /// One line on who is in control.
    fn control(&self) -> String {
        let world = self.run().world();
        let is_kafka = |node: &Node| matches!(node, Node::Kafka(_));
        let kafka = world.nodes().iter().any(|it| is_kafka(&it.process));
        match StreamParts::of(world).filter(|_| !kafka) {
            Some(parts) => parts.control(world),
            None => kafka::view::control_line(world, &self.scenario().nodes),
        }
    }

    /// Consumer groups.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        let run = self.run();
        kafka::group_view::groups(run.world(), run.invariants(), &self.scenario().nodes)
    }

    /// The stream processor's job.
    #[must_use]
    pub fn job(&self) -> Option<JobView> {
        let world = self.run().world();
        let mut job = StreamParts::of(world)?.job(world)?;
        // The world's clock stands at its last event; a mark goes by the time of the session.
        let tasks = job.vertices.iter_mut().flat_map(|it| &mut it.subtasks);
        tasks.for_each(|task| task.purged.retain(|it| it.until >= self.now()));
        Some(job)
    }

    /// Event time against processing time, told by running the last stretch again: at the operator of
    /// this name, or where the name is empty or not known, at the first that judges by event time.
    #[must_use]
    pub fn event_times(&self, of: &str) -> Option<EventTimePlot> {
        let parts = StreamParts::of(self.run().world())?;
        let from = self.event().saturating_sub(PLOT_EVENTS);
        let mut plot = EventTimePlot::default();
        // Running again is dear where events handle many records, and the site asks often.
        if parts.plots(self.run().world()) {
            plot.operator = of.to_owned();
            self.replay(from, self.event(), |_, copy| {
                for note in copy.notes() {
                    if let Note::Stream(note) = note {
                        parts.plot(note, copy.run().world(), &mut plot);
                    }
                }
            });
            parts.plotted(&mut plot);
        }
        let first = self.history().step(from).filter(|_| from > 0);
        (plot.from, plot.to) = (first.map_or(0, |it| it.time), self.now());
        Some(plot)
    }

    /// The stage with transactions and groups written onto it.
    #[must_use]
    pub fn stage_of(&self, groups: &[GroupView], query: &StageQuery) -> StageView {
        let mut view = self.stage(query);
        kafka::txn_view::mark(&mut view, self.run().world());
        kafka::group_view::mark(&mut view, groups);
        view
    }

    /// Whether copies that have cells on the stage know of transactions.
    #[must_use]
    pub fn shows_transactions(&self, view: &StageView) -> bool {
        kafka::txn_view::shows_any(view, self.run().world())
    }

    /// How a node's copy of a lane is stored, if it has one.
    #[must_use]
    pub fn storage(&self, node: u32, lane: &str) -> Option<StorageView> {
        let (node, world) = (NodeId(node), self.run().world());
        let tp = kafka::facts::Cluster(world).partition_named(lane)?;
        let mut view = kafka::storage_view::storage(world, node, tp)?;
        if let Some(compaction) = &mut view.compaction {
            compaction.last = self
                .last_pass(node, tp)
                .map(|(event, time)| CompactionPass {
                    time,
                    event,
                    ..kafka::storage_view::pass(self.kafka_rules(event), node, tp)
                });
        }
        Some(view)
    }

    /// The last pass of the cleaner over a node's copy of a lane, step by step: done once more from
    /// the moment before it.
    #[must_use]
    pub fn compaction_steps(&self, node: u32, lane: &str) -> Option<CompactionSteps> {
        let node = NodeId(node);
        let tp = kafka::facts::Cluster(self.run().world()).partition_named(lane)?;
        let (event, time) = self.last_pass(node, tp)?;
        let starts = kafka::compaction_view::passes(self.kafka_rules(event), node, tp);
        let before = self.run_before(event)?;
        let world = before.world();
        let wall = world.clock(node).wall(time);
        let wall_ms = wall.div_euclid(MILLISECOND as i64);
        let steps = kafka::compaction_view::steps(world, node, tp, wall_ms, &starts)?;
        Some(CompactionSteps {
            time,
            event,
            ..steps
        })
    }

    /// The event of the last pass over a copy, and when it was.
    fn last_pass(&self, node: NodeId, tp: kafka::ids::TopicPartition) -> Option<(u64, Nanos)> {
        let mut rules = self.history().rules_before(self.event());
        let (event, _) = rules.find(|(_, note)| {
            matches!(note, Note::Kafka(note) if kafka::storage_view::is_pass(note, node, tp))
        })?;
        Some((*event, self.history().step(*event)?.time))
    }

    /// The rule notes of an event that are a Kafka node's.
    fn kafka_rules(&self, event: u64) -> impl Iterator<Item = &kafka::Note> {
        self.history()
            .rules_of(event)
            .filter_map(|note| match note {
                Note::Kafka(note) => Some(note),
                Note::Stream(_) => None,
            })
    }

    /// Messages under way, at most so many, and how many more there are.
    #[must_use]
    pub fn tokens(&self, most: u32) -> (Vec<Token>, u32) {
        let under_way: Vec<InFlight<'_, Msg>> = self.run().world().in_flight();
        let hidden = under_way.len().saturating_sub(most as usize) as u32;
        let parts = StreamParts::of(self.run().world());
        let tokens = under_way
            .iter()
            .take(most as usize)
            .map(|it| token(it, parts))
            .collect();
        (tokens, hidden)
    }

    /// The ledger's counters.
    #[must_use]
    pub fn ledger(&self) -> LedgerView {
        let run = self.run();
        run.ledger()
            .view(kafka::facts::committed(run.world(), run.ledger()))
    }

    /// All that is known of a node, for the inspector.
    #[must_use]
    pub fn inspect(&self, node: u32) -> Vec<Fact> {
        let world = self.run().world();
        let Some(it) = world.process(NodeId(node)) else {
            return Vec::new();
        };
        let clock = world.clock(NodeId(node));
        let name = self
            .scenario()
            .nodes
            .get(node as usize)
            .map_or("?", String::as_str);
        let query = StageQuery {
            cells_max: 0,
            ..StageQuery::default()
        };
        let view: NodeView = match it {
            Node::Kafka(it) => kafka::view::node(world, NodeId(node), it, name, &query),
            Node::Stream(it) => it.view(world, NodeId(node), name, &query),
        };
        let mut facts = view.summary;
        if clock.skew != 0 || clock.drift_ppb != 0 {
            let wall = clock.wall(world.now()) - world.now() as i64;
            let sign = if wall < 0 { "behind" } else { "ahead" };
            facts.push(Fact {
                label: "wall clock".to_owned(),
                value: format!("{} {sign}", words::span(wall.unsigned_abs())),
                subject: None,
            });
        }
        for lane in view.lanes {
            facts.extend(lane.facts.into_iter().map(|fact| Fact {
                label: format!("{} · {}", lane.id, fact.label),
                ..fact
            }));
        }
        let config = match it {
            Node::Kafka(it) => kafka::config_of(it),
            Node::Stream(_) => Vec::new(),
        };
        facts.extend(config.into_iter().map(|(key, value)| Fact {
            label: key.to_owned(),
            value,
            subject: None,
        }));
        facts
    }

    /// Marks for the timeline.
    #[must_use]
    pub fn marks(&self) -> Vec<TimeMark> {
        self.marks_after(None)
    }

    /// Those of them that lie after a time, ns.
    #[must_use]
    pub fn marks_after(&self, time: Option<u64>) -> Vec<TimeMark> {
        let marks = self.history().marks().iter();
        marks
            .filter(|m| time.is_none_or(|after| m.time > after))
            .map(|m| TimeMark {
                time: m.time,
                kind: m.kind,
                text: m.text.clone(),
            })
            .collect()
    }

    /// Events per bucket between 0 and the end.
    #[must_use]
    pub fn density(&self, buckets: u32) -> Vec<u32> {
        self.history().density(self.duration(), buckets)
    }

    /// Runs `from..to` (event numbers) again on a copy and calls `see` after each event.
    fn replay(&self, from: u64, to: u64, mut see: impl FnMut(u64, &Session)) {
        let mut copy = self.clone();
        copy.set_gates(Vec::new());
        copy.seek_event(from);
        copy.record(true);
        while copy.event() < to {
            let number = copy.event();
            if !copy.step() {
                break;
            }
            see(number, &copy);
        }
    }

    /// Lines of the transcript from event `from` on.
    #[must_use]
    pub fn transcript(&self, from: u64, count: u32) -> Vec<LogLine> {
        let count = count.min(LINES_MAX);
        let mut lines = Vec::new();
        let to = (from + u64::from(count)).min(self.history().len());
        let names = self.scenario().nodes.clone();
        self.replay(from, to, |number, copy| {
            let Some(step) = copy.history().step(number).copied() else {
                return;
            };
            line(number, &step, copy.text(), &names, &mut lines);
            for note in copy.history().rules_of(number) {
                let (node, text) = rule_words(note, copy.run().world(), &names);
                lines.push(LogLine {
                    event: number,
                    time: step.time,
                    kind: LineKind::Rule,
                    node,
                    text,
                });
            }
        });
        for mark in self.history().marks() {
            // Deeds and rules have their own lines above.
            let told = matches!(mark.kind, LineKind::Deed | LineKind::Rule);
            if (from..to).contains(&mark.event) && !told {
                lines.push(LogLine {
                    event: mark.event,
                    time: mark.time,
                    kind: mark.kind,
                    node: String::new(),
                    text: mark.text.clone(),
                });
            }
        }
        lines.sort_by_key(|line| line.event);
        lines
    }

    /// Messages that were under way between two times.
    #[must_use]
    pub fn spacetime(&self, from: Nanos, to: Nanos, most: u32) -> Vec<SpaceTimeMessage> {
        let first = self.history().first_after(from.saturating_sub(1));
        let mut found: Vec<SpaceTimeMessage> = Vec::new();
        let end = self.history().len();
        for (_, step) in self.history().steps(first, end) {
            if found.len() >= most as usize {
                break;
            }
            let (
                Kind::Message {
                    from: sender,
                    label,
                    depart,
                },
                node,
            ) = (step.kind, step.node)
            else {
                continue;
            };
            if depart > to && step.time > to {
                break;
            }
            if depart <= to && step.time >= from {
                found.push(SpaceTimeMessage {
                    id: step.id.0,
                    cause: step.cause.0,
                    from: sender.0,
                    to: node,
                    depart,
                    arrive: Some(step.time),
                    shape: kafka::view::shape_of(label),
                    label,
                });
            }
        }
        found
    }

    /// The life of a record, told by running up to now again.
    #[must_use]
    pub fn life(&self, record: u64) -> Option<RecordLife> {
        self.run().ledger().record(RecordId(record))?;
        let names = self.scenario().nodes.clone();
        let mut steps = Vec::new();
        self.replay(0, self.event(), |number, copy| {
            for note in copy.notes() {
                let Note::Kafka(note) = note else {
                    continue;
                };
                if let Some(text) =
                    kafka::why::life_words(note, RecordId(record), copy.run().world(), &names)
                {
                    let time = copy.run().world().now();
                    steps.push(LifeStep {
                        time,
                        event: number,
                        text,
                    });
                }
            }
        });
        Some(RecordLife { record, steps })
    }

    /// Counters and rates over time, for charts: sampled at `samples` moments up to now.
    #[must_use]
    pub fn series(&self, samples: u32) -> Vec<Series> {
        let samples = samples.clamp(2, 200);
        let mut copy = self.clone();
        copy.set_gates(Vec::new());
        let names = [
            "records sent",
            "records acknowledged",
            "records delivered",
            "records lost",
        ];
        let mut ledgers = names.map(|name| Series::new(name, Vec::new()));
        let mut job = None::<JobSeries>;
        for i in 0..=samples {
            let at = (u128::from(self.now()) * u128::from(i) / u128::from(samples)) as Nanos;
            copy.seek(at);
            let ledger = copy.run().ledger().view(0);
            let values = [
                ledger.sent,
                ledger.acknowledged,
                ledger.delivered,
                ledger.lost,
            ];
            for (series, value) in ledgers.iter_mut().zip(values) {
                series.points.push((at, value as i64));
            }
            if let Some(view) = copy.job() {
                job.get_or_insert_default().take(at, &view);
            }
        }
        let mut series = job.map(JobSeries::finish).unwrap_or_default();
        // A job's own rows are none of the ledger of the cluster.
        let sent = ledgers[0].points.iter().any(|it| it.1 > 0);
        if sent || series.is_empty() {
            series.extend(ledgers);
        }
        series
    }

    /// The event with this id, if it ran.
    #[must_use]
    pub fn number_of(&self, id: u64) -> Option<u64> {
        self.history().number(EventId(id))
    }
}

/// A rule's node and what it did, in words.
fn rule_words(note: &Note, world: &World<Node>, names: &[String]) -> (String, String) {
    match note {
        Note::Kafka(note) => kafka::why::rule_words(note, names),
        Note::Stream(note) => {
            let parts = StreamParts::of(world);
            parts.map_or_else(Default::default, |parts| parts.words(note, world, names))
        }
    }
}

/// A message under way as a token.
fn token(under_way: &InFlight<'_, Msg>, parts: Option<StreamParts>) -> Token {
    let token = Token {
        id: under_way.id.0,
        from: under_way.from.0,
        to: under_way.to.0,
        depart: under_way.depart,
        arrive: under_way.arrive,
        shape: Shape::Other,
        label: "",
        key: None,
        records: 0,
        held: under_way.held,
    };
    match (under_way.msg, parts) {
        (Msg::Kafka(msg), _) => kafka::view::token(msg, token),
        (Msg::Stream(msg), Some(parts)) => parts.token(msg.packet(), token),
        (Msg::Stream(_), None) => token,
    }
}

fn line(number: u64, step: &Step, text: &str, names: &[String], out: &mut Vec<LogLine>) {
    let name = |id: u32| names.get(id as usize).cloned().unwrap_or_default();
    let (kind, text) = match step.kind {
        Kind::Message { from, label, .. } => {
            let text = if text.is_empty() { label } else { text };
            (LineKind::Message, format!("from {}: {text}", name(from.0)))
        }
        Kind::Undelivered { from, label } => (
            LineKind::Message,
            format!("{label} from {} found nobody", name(from.0)),
        ),
        Kind::Timer => (LineKind::Timer, text.to_owned()),
        Kind::Reset { peer } => (
            LineKind::Message,
            format!("connection to {} is gone", name(peer.0)),
        ),
        Kind::Deed => (LineKind::Deed, text.to_owned()),
        Kind::Internal => return,
    };
    out.push(LogLine {
        event: number,
        time: step.time,
        kind,
        node: name(step.node),
        text,
    });
}
