//! FIXTURE, to be deleted: made-up data with the shape of `sim_core::run`, so that pages can be
//! looked at before the engine is joined to them. Nothing here is simulated; the title of every
//! run it opens says so.

use sim_core::view::{
    Badge, Cell, Fact, Health, Lane, LaneSummary, LedgerView, LineKind, LogLine, Mark, MarkKind,
    NodeView, RecordLife, Role, Series, Shape, SpaceTimeMessage, StageQuery, StageView, TimeMark,
    Token, Tone, Verdict, VerdictState, WhyStep,
};

pub(crate) type Deed = sim_core::kernel::Deed<sim_core::systems::Order>;
use sim_core::kernel::NodeId;
pub(crate) use sim_core::kernel::Refusal;
pub(crate) use sim_core::run::{Action, LinkProblem, Opened, Recipe};

const MS: u64 = 1_000_000;
const EVERY: u64 = 40 * MS;
const HOP: u64 = 15 * MS;

pub(crate) use sim_core::scenario::{Diagnostic, Severity};

pub(crate) fn diagnose(text: &str) -> Vec<Diagnostic> {
    let Some(at) = text.find("mistake") else {
        return vec![];
    };
    let line = text[..at].matches('\n').count() as u32 + 1;
    vec![Diagnostic {
        severity: Severity::Error,
        code: "unknown-key",
        message: "unknown key `mistake`".into(),
        line,
        column: (at - text[..at].rfind('\n').map_or(0, |n| n + 1)) as u32 + 1,
        span: at..at + 7,
        expected: "one of title, seed, duration".into(),
        help: Some("nearest valid name: `title`".into()),
    }]
}

pub(crate) use sim_core::run::{CaptionNow, Offer, Stop, Target};

pub(crate) struct Session {
    recipe: Recipe,
    now: u64,
    head: u64,
}

impl Session {
    pub(crate) fn open(recipe: Recipe) -> Result<Session, Vec<Diagnostic>> {
        let bad = diagnose(&recipe.scenario);
        if !bad.is_empty() {
            return Err(bad);
        }
        let now = recipe.time;
        Ok(Session {
            recipe,
            now,
            head: now,
        })
    }
    pub(crate) fn to_toml(&self) -> Result<String, String> {
        Ok(self.recipe.scenario.clone())
    }
    pub(crate) fn recipe(&self) -> Recipe {
        Recipe {
            time: self.now,
            ..self.recipe.clone()
        }
    }
    pub(crate) fn title(&self) -> &str {
        "FIXTURE (nothing here is simulated)"
    }
    pub(crate) fn seed(&self) -> u64 {
        self.recipe.seed.unwrap_or(42)
    }
    pub(crate) fn now(&self) -> u64 {
        self.now
    }
    pub(crate) fn duration(&self) -> u64 {
        30_000 * MS
    }
    pub(crate) fn event(&self) -> u64 {
        self.now / HOP
    }
    pub(crate) fn head(&self) -> u64 {
        self.head
    }
    pub(crate) fn advance(&mut self, until_ns: u64, _events_max: u64) -> Stop {
        self.seek(until_ns);
        if until_ns >= self.duration() {
            Stop::Finished
        } else {
            Stop::Time
        }
    }
    pub(crate) fn step(&mut self) -> bool {
        self.seek((self.event() + 1) * HOP);
        true
    }
    pub(crate) fn step_back(&mut self) -> bool {
        self.seek(self.event().saturating_sub(1) * HOP);
        true
    }
    pub(crate) fn seek(&mut self, ns: u64) {
        self.now = ns.min(self.duration());
        self.head = self.head.max(self.now);
    }
    pub(crate) fn seek_event(&mut self, n: u64) {
        self.seek(n * HOP);
    }
    fn down_at(&self, node: u32) -> Option<u64> {
        self.recipe
            .actions
            .iter()
            .rev()
            .find_map(|a| match &a.deed {
                Deed::Crash(n) if n.0 == node && a.at <= self.now => Some(a.at),
                _ => None,
            })
    }
    pub(crate) fn offers(&self, target: Target) -> Vec<Offer> {
        let offer = |id, label: &str, deed, because: Option<&str>| Offer {
            id,
            label: label.into(),
            deed,
            disabled_because: because.map(Into::into),
        };
        match target {
            Target::Node(n) => vec![
                offer("crash", "Kill the process", Deed::Crash(NodeId(n)), None),
                offer("pause", "Pause (GC, SIGSTOP)", Deed::Pause(NodeId(n)), None),
                offer(
                    "slow-cpu",
                    "Slow the CPU",
                    Deed::SlowCpu(NodeId(n), MS),
                    None,
                ),
                offer("skew", "Skew the clock", Deed::Skew(NodeId(n), 1), None),
                offer(
                    "wipe",
                    "Wipe the disk",
                    Deed::WipeDisk(NodeId(n)),
                    Some("Stop the process first."),
                ),
            ],
            Target::Link(a, b) => vec![offer("cut", "Cut", Deed::Cut(NodeId(a), NodeId(b)), None)],
            Target::Message(_) => vec![offer("drop", "Drop it", Deed::HealAll, Some("Fixture."))],
        }
    }
    pub(crate) fn act(&mut self, deed: Deed) -> Result<(), Refusal> {
        let now = self.now;
        self.recipe.actions.retain(|a| a.at <= now);
        self.recipe.actions.push(Action { at: now, deed });
        self.head = now;
        Ok(())
    }
    fn sent(&self, t: u64) -> i64 {
        (t / EVERY) as i64
    }
    pub(crate) fn stage(&self, query: &StageQuery) -> StageView {
        let end = self.sent(self.now);
        let mut nodes = vec![];
        for c in 1..=3u32 {
            nodes.push(plain_node(
                c - 1,
                &format!("c{c}"),
                &format!("Controller {c}"),
                Role::Control,
            ));
        }
        for b in 1..=3u32 {
            nodes.push(self.broker(b, end, query.cells_max));
        }
        nodes.push(plain_node(6, "p1", "Producer", Role::Source));
        nodes.push(plain_node(7, "r1", "Consumer", Role::Sink));
        nodes[6].summary = vec![fact("acks", "all"), fact("in flight", "3")];
        nodes[7].summary = vec![fact("position", &(end - 4).max(0).to_string())];
        StageView {
            now: self.now,
            nodes,
            lanes: vec![LaneSummary {
                id: "orders-0".into(),
                text: "leader b1 · ISR {b1, b2} · ELR {}".into(),
                leader: Some(3),
                in_sync: vec![3, 4],
                eligible: vec![],
                epoch: 7,
            }],
            control: "c1 leads, metadata epoch 4".into(),
            tokens: self.tokens(0).0,
            tokens_hidden: 0,
            links: vec![],
        }
    }
    fn broker(&self, b: u32, end: i64, cells: u32) -> NodeView {
        let mut node = plain_node(2 + b, &format!("b{b}"), &format!("Broker {b}"), Role::Store);
        let stop = self.down_at(2 + b).map_or(end, |at| self.sent(at));
        let own = (stop - i64::from(b - 1) * 2).max(0);
        let line = (end - 4).max(0).min(own);
        if self.down_at(2 + b).is_some() {
            node.health = Health::Down;
        }
        let cell = |o: i64| Cell {
            offset: o,
            record: Some(o as u64),
            key: Some((o * 7 % 6) as u32),
            committed: o < line,
            flushed: false,
            epoch: 7,
            batch_start: o % 3 == 0,
            diverged: false,
        };
        let badge = if b == 1 {
            ("Leader", Tone::Sea)
        } else {
            ("Follower", Tone::Plain)
        };
        node.lanes = vec![Lane {
            id: "orders-0".into(),
            badges: vec![Badge {
                text: badge.0.into(),
                tone: badge.1,
            }],
            leads: b == 1,
            in_sync: b != 3,
            start: 0,
            end: own,
            strandline: line,
            note: if b == 3 {
                "out of sync".into()
            } else {
                "in sync".into()
            },
            marks: vec![
                Mark {
                    kind: MarkKind::Strandline,
                    label: format!("high watermark {line}"),
                    offset: line,
                },
                Mark {
                    kind: MarkKind::End,
                    label: format!("LEO {own}"),
                    offset: own,
                },
            ],
            cells: ((own - i64::from(cells)).max(0)..own).map(cell).collect(),
            facts: vec![
                fact("leader epoch", "7"),
                fact("log end offset", &own.to_string()),
            ],
        }];
        node
    }
    pub(crate) fn tokens(&self, _most: u32) -> (Vec<Token>, u32) {
        let first = self.now / EVERY;
        let under_way = |k: u64, from, to, after: u64, shape, label| Token {
            id: k * 10 + after / HOP,
            from,
            to,
            depart: k * EVERY + after,
            arrive: k * EVERY + after + HOP,
            shape,
            label,
            key: Some((k * 7 % 6) as u32),
            records: 1,
            held: false,
        };
        let tokens = (first.saturating_sub(1)..=first)
            .flat_map(|k| {
                [
                    under_way(k, 6, 3, 0, Shape::Batch, "Produce"),
                    under_way(k, 4, 3, HOP, Shape::Fetch, "Fetch"),
                    under_way(k, 3, 4, 2 * HOP, Shape::Batch, "FetchResponse"),
                    under_way(k, 3, 6, HOP, Shape::Ack, "ProduceResponse"),
                ]
            })
            .filter(|t| t.depart <= self.now && self.now < t.arrive)
            .collect();
        (tokens, 0)
    }
    pub(crate) fn ledger(&self) -> LedgerView {
        let sent = self.sent(self.now) as u64;
        let done = sent.saturating_sub(4);
        LedgerView {
            sent,
            acknowledged: done,
            committed: done,
            delivered: done,
            ..LedgerView::default()
        }
    }
    pub(crate) fn life(&self, record: u64) -> Option<RecordLife> {
        (record < self.ledger().sent).then(|| RecordLife {
            record,
            steps: ["sent by p1", "appended by b1 at orders-0", "acknowledged"]
                .iter()
                .enumerate()
                .map(|(i, text)| sim_core::view::LifeStep {
                    time: record * EVERY + i as u64 * HOP,
                    event: record * 3 + i as u64,
                    text: (*text).into(),
                })
                .collect(),
        })
    }
    pub(crate) fn inspect(&self, node: u32) -> Vec<Fact> {
        let mut facts = vec![fact("node", &node.to_string()), fact("broker epoch", "12")];
        facts[1].subject = Some("hw".into());
        facts
    }
    pub(crate) fn why(&self, _subject: &str) -> Vec<WhyStep> {
        vec![WhyStep {
            time: self.now.saturating_sub(100 * MS),
            event: self.event().saturating_sub(6),
            rule: Some("fixture".into()),
            text: "A made-up step, since this is a fixture.".into(),
            source: Some("KIP-101".into()),
        }]
    }
    pub(crate) fn transcript(&self, from_event: u64, count: u32) -> Vec<LogLine> {
        let last = self.event().min(from_event + u64::from(count));
        (from_event..last)
            .map(|e| LogLine {
                event: e,
                time: e * HOP,
                kind: if e % 9 == 8 {
                    LineKind::Rule
                } else {
                    LineKind::Message
                },
                node: format!("b{}", e % 3 + 1),
                text: "a made-up line, since this is a fixture".into(),
            })
            .collect()
    }
    pub(crate) fn spacetime(&self, from: u64, to: u64, max: u32) -> Vec<SpaceTimeMessage> {
        (from / EVERY..=to / EVERY)
            .flat_map(|k| [(6u32, 3u32, 0u64), (3, 4, HOP), (3, 6, HOP)].map(|m| (k, m)))
            .map(|(k, (from, to, after))| SpaceTimeMessage {
                id: k * 10 + after / HOP + u64::from(to),
                cause: k,
                from,
                to,
                depart: k * EVERY + after,
                arrive: (k % 7 != 3).then_some(k * EVERY + after + HOP),
                shape: if to == 6 { Shape::Ack } else { Shape::Batch },
                label: "Produce",
            })
            .take(max as usize)
            .collect()
    }
    pub(crate) fn series(&self, _samples: u32) -> Vec<Series> {
        let wave = |name: &str, step: i64| Series {
            name: name.into(),
            points: (0..self.now / (250 * MS))
                .map(|i| (i * 250 * MS, 25 + (i as i64 * step) % 7))
                .collect(),
        };
        vec![wave("sent records/s", 3), wave("acknowledged records/s", 5)]
    }
    pub(crate) fn marks(&self) -> Vec<TimeMark> {
        let fixed = [
            (9_870, LineKind::Rule, "b3 left the ISR of orders-0"),
            (12_340, LineKind::Deed, "power loss on b1"),
            (14_000, LineKind::Caption, "The ISR is {1, 2}"),
            (17_500, LineKind::Violation, "a record was lost"),
        ];
        let mut marks: Vec<TimeMark> = fixed
            .iter()
            .map(|(ms, kind, text)| TimeMark {
                time: ms * MS,
                kind: *kind,
                text: (*text).into(),
            })
            .collect();
        marks.extend(self.recipe.actions.iter().map(|a| TimeMark {
            time: a.at,
            kind: LineKind::Deed,
            text: "fault".into(),
        }));
        marks.sort_by_key(|m| m.time);
        marks.retain(|m| m.time <= self.head);
        marks
    }
    pub(crate) fn density(&self, buckets: u32) -> Vec<u32> {
        let filled = u64::from(buckets) * self.head / self.duration();
        (0..buckets)
            .map(|b| {
                if u64::from(b) < filled {
                    20 + b * 7919 % 17 + u32::from(b % 31 == 7) * 30
                } else {
                    0
                }
            })
            .collect()
    }
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        vec![Verdict {
            text: "ledger.lost == 0".into(),
            state: VerdictState::Pending,
            detail: "fixture".into(),
            time: None,
        }]
    }
    pub(crate) fn caption(&self) -> Option<CaptionNow> {
        (self.now > 1_000 * MS).then(|| CaptionNow {
            time: 1_000 * MS,
            text: "FIXTURE: these numbers are made up until the engine is joined.".into(),
        })
    }
    pub(crate) fn digest(&self) -> String {
        format!("{:016x}", self.now)
    }
}

fn fact(label: &str, value: &str) -> Fact {
    Fact {
        label: label.into(),
        value: value.into(),
        subject: None,
    }
}

fn plain_node(id: u32, name: &str, title: &str, role: Role) -> NodeView {
    NodeView {
        id,
        name: name.into(),
        title: title.into(),
        role,
        health: Health::Up,
        badges: vec![],
        summary: vec![],
        lanes: vec![],
    }
}

/// Rows of the ledger's table.
pub(crate) fn records(s: &Session) -> Vec<crate::host::RecordRow> {
    (0..s.ledger().sent)
        .map(|r| crate::host::RecordRow {
            record: r,
            source: "p1".into(),
            ordinal: r,
            key: Some((r * 7 % 6) as u32),
            lane: "orders-0".into(),
            offset: r as i64,
            fate: "under way",
        })
        .collect()
}
