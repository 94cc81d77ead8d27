//! The plain data of the stage, the ledger, the inspector, the transcript and the timeline.
//!
//! Times are simulated nanoseconds since the start of the run. Strings are for people; anything a
//! program compares is an enum or a number. All lists are in a stable order (by id or offset).

use serde::Serialize;

/// Where a node stands on the stage: data flows from left (`Source`) to right (`Sink`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Decides about others and carries no data (a KRaft controller, a job manager).
    Control,
    /// Writes records (a producer).
    Source,
    /// Stores or transforms records (a broker, a bookie, an operator).
    Store,
    /// Reads records (a consumer, a sink).
    Sink,
}

/// What the machine under a node is doing, as the simulator knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Process runs.
    Up,
    /// Process is gone; its disk is as the crash left it.
    Down,
    /// Process is frozen (a GC pause, SIGSTOP): it keeps its connections and says nothing.
    Paused,
    /// Process runs slower than it should (CPU or disk fault).
    Slow,
}

/// The tone of a badge or mark. Never the only carrier of meaning: the text says it too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    /// Ordinary information.
    #[default]
    Plain,
    /// The system at work: leaders, links, focus.
    Sea,
    /// The strandline, or something that the learner must decide.
    Sand,
    /// Harm.
    Harm,
    /// A proven good.
    Proven,
    /// Out of use: fenced, out of sync.
    Faded,
}

/// A short word on a card, e.g. `Leader`, `fenced`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Badge {
    /// The word.
    pub text: String,
    /// How it is toned.
    pub tone: Tone,
}

/// A named value on a card or in the inspector.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fact {
    /// What it is, by its real name where it has one (`leader epoch`, `acks`).
    pub label: String,
    /// Its value, with unit.
    pub value: String,
    /// What to ask `why` for, if the engine can answer (`Session::why`).
    pub subject: Option<String>,
}

/// How a line across a lane is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarkKind {
    /// The high watermark: the strandline.
    Strandline,
    /// The log end offset.
    End,
    /// The first offset still kept.
    Start,
    /// A reader's position.
    Position,
    /// A committed position.
    Committed,
    /// The last stable offset.
    Stable,
}

/// A line across a lane *before* the cell with this offset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Mark {
    /// What it means.
    pub kind: MarkKind,
    /// Its name for people, e.g. `high watermark 127`.
    pub label: String,
    /// The next offset to its right.
    pub offset: i64,
}

/// What a cell has to do with a transaction: its record is of one that readers of committed records
/// do not see, or not yet; or it is no record but the marker that ended one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CellTransaction {
    /// It has not ended.
    Open,
    /// It was aborted.
    Aborted,
    /// The marker that committed one.
    Commit,
    /// The marker that aborted one.
    Abort,
}

/// One record on a lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Cell {
    /// Its offset.
    pub offset: i64,
    /// Identity in the ledger, if it is a learner's record and no control record.
    pub record: Option<u64>,
    /// Key number (colour = key mod palette), if keyed.
    pub key: Option<u32>,
    /// Below the strandline: cannot be lost by a clean failover.
    pub committed: bool,
    /// Written to disk, not only to the page cache.
    pub flushed: bool,
    /// Leader epoch it was written in.
    pub epoch: i32,
    /// Drawn as the first of its batch.
    pub batch_start: bool,
    /// Another replica holds a different record at this offset (divergence).
    pub diverged: bool,
    /// What it has to do with a transaction.
    pub transaction: Option<CellTransaction>,
}

/// A strip of offsets on a node: a replica, a queue, a ledger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lane {
    /// Which data it holds, the same on each node that holds it, e.g. `orders-0`.
    pub id: String,
    /// Badges such as `Leader`, `ISR`.
    pub badges: Vec<Badge>,
    /// This copy takes writes.
    pub leads: bool,
    /// The strandline reaches this copy (it is in the ISR).
    pub in_sync: bool,
    /// First offset kept.
    pub start: i64,
    /// Next offset to be written (LEO).
    pub end: i64,
    /// The strandline as this copy knows it.
    pub strandline: i64,
    /// One line for people: `in sync`, `out of sync · 31 s behind`.
    pub note: String,
    /// Lines across it.
    pub marks: Vec<Mark>,
    /// The cells inside the asked window, by offset.
    pub cells: Vec<Cell>,
    /// Facts for the inspector.
    pub facts: Vec<Fact>,
}

/// A node on the stage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeView {
    /// Number in the world; tokens refer to it.
    pub id: u32,
    /// Name in the scenario, e.g. `b1`.
    pub name: String,
    /// Name for people, e.g. `Broker 1`.
    pub title: String,
    /// What it is in its system, e.g. `broker`.
    pub part: &'static str,
    /// Where it stands.
    pub role: Role,
    /// What its machine does.
    pub health: Health,
    /// Words on its card.
    pub badges: Vec<Badge>,
    /// The two or three values shown on its card.
    pub summary: Vec<Fact>,
    /// What it holds.
    pub lanes: Vec<Lane>,
}

/// The shape of a token. Never colour alone: each kind has its own outline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Records under way: rounded square.
    Batch,
    /// An answer to a write: circle.
    Ack,
    /// A request for records: triangle.
    Fetch,
    /// A sign of life: diamond.
    Heartbeat,
    /// A vote or an election: hexagon.
    Vote,
    /// A change of metadata or control: small square turned.
    Control,
    /// Anything else: dot.
    Other,
}

/// A message under way. Its place at time `t` is `(t − depart) / (arrive − depart)` of the path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Token {
    /// The event that will deliver it; faults on single messages name it.
    pub id: u64,
    /// Sender.
    pub from: u32,
    /// Receiver.
    pub to: u32,
    /// When it left, ns.
    pub depart: u64,
    /// When it will arrive, ns.
    pub arrive: u64,
    /// How it is drawn.
    pub shape: Shape,
    /// Real request name, e.g. `Produce`, `FetchResponse`.
    pub label: &'static str,
    /// Key of its first record, if it carries records.
    pub key: Option<u32>,
    /// Records carried.
    pub records: u32,
    /// It waits at a cut link and will go on when that heals.
    pub held: bool,
}

/// A link that is not as it should be (healthy links are not listed).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinkView {
    /// Sender side.
    pub from: u32,
    /// Receiver side.
    pub to: u32,
    /// Nothing passes.
    pub cut: bool,
    /// Added delay, ns.
    pub slow_by: u64,
    /// Messages lost per 1,000,000.
    pub loss_ppm: u32,
}

/// One fact about a shared lane as the control plane sees it (leader, ISR, ELR, epochs).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LaneSummary {
    /// Lane id, e.g. `orders-0`.
    pub id: String,
    /// One line for people: `leader b1 · ISR {b1, b2} · ELR {}`.
    pub text: String,
    /// The node that leads it, if any.
    pub leader: Option<u32>,
    /// In-sync nodes.
    pub in_sync: Vec<u32>,
    /// Eligible leader replicas.
    pub eligible: Vec<u32>,
    /// Leader epoch.
    pub epoch: i32,
}

/// Which part of the world to project; keeps the cost of a view bounded by what is on screen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StageQuery {
    /// Lanes to show with cells; empty = all.
    pub lanes: Vec<String>,
    /// Cells per lane at most (the newest), 0 = none.
    pub cells_max: u32,
    /// Tokens at most.
    pub tokens_max: u32,
}

/// The whole stage at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StageView {
    /// Simulated time, ns.
    pub now: u64,
    /// Nodes in id order.
    pub nodes: Vec<NodeView>,
    /// Shared lanes in id order, as the active controller sees them.
    pub lanes: Vec<LaneSummary>,
    /// One line on the control quorum, e.g. `c1 leads, metadata epoch 4`.
    pub control: String,
    /// Messages under way, by id.
    pub tokens: Vec<Token>,
    /// How many tokens were left out by `tokens_max`.
    pub tokens_hidden: u32,
    /// Links with faults.
    pub links: Vec<LinkView>,
}

/// The truth ledger's counters; every one is the engine's own count.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LedgerView {
    /// Records given to `send()`.
    pub sent: u64,
    /// Records whose write was confirmed to the producer.
    pub acknowledged: u64,
    /// Records whose write failed as the producer sees it.
    pub failed: u64,
    /// Records on every in-sync copy (below the strandline).
    pub committed: u64,
    /// Distinct records handed to a consumer.
    pub delivered: u64,
    /// Acknowledged records that no live or recoverable log holds any more.
    pub lost: u64,
    /// Records that stand at more than one offset.
    pub duplicated: u64,
    /// Records of one key and producer that stand in another order than sent.
    pub reordered: u64,
    /// Records that retention took.
    pub expired: u64,
    /// Records that compaction took, because a later one has their key or their time was up.
    pub compacted: u64,
}

/// One record's life, for the ledger table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RecordLife {
    /// Ledger identity.
    pub record: u64,
    /// What happened to it: (time ns, event number, sentence).
    pub steps: Vec<LifeStep>,
}

/// A moment of a record's life.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LifeStep {
    /// When, ns.
    pub time: u64,
    /// Number of the event in the run.
    pub event: u64,
    /// What happened, e.g. `appended by b1 at orders-0 offset 17`.
    pub text: String,
}

/// One step of an answer to "why?", most immediate cause first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WhyStep {
    /// When, ns.
    pub time: u64,
    /// Number of the event in the run.
    pub event: u64,
    /// The rule that fired, if a rule did, e.g. `isr-shrink`.
    pub rule: Option<String>,
    /// A sentence for people.
    pub text: String,
    /// Where the rule comes from, e.g. `KIP-101`, `Partition.scala`.
    pub source: Option<String>,
}

/// What kind of line the transcript shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// A message was delivered.
    Message,
    /// A timer fired.
    Timer,
    /// A fault or another deed of the timeline or the learner.
    Deed,
    /// A rule changed a value.
    Rule,
    /// A caption was reached.
    Caption,
    /// An invariant does not hold.
    Violation,
}

/// One line of the transcript (event log).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LogLine {
    /// Number of the event in the run.
    pub event: u64,
    /// When, ns.
    pub time: u64,
    /// Kind of line.
    pub kind: LineKind,
    /// The node concerned, by name, if one is.
    pub node: String,
    /// A sentence for people.
    pub text: String,
}

/// A mark on the timeline.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TimeMark {
    /// When, ns.
    pub time: u64,
    /// `Deed`, `Caption`, `Violation` or `Rule` (elections and the like).
    pub kind: LineKind,
    /// Short text.
    pub text: String,
}

/// One process line of the space-time diagram is a node; a message is a slanted line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SpaceTimeMessage {
    /// Event that delivered it (or will).
    pub id: u64,
    /// Event during which it was sent.
    pub cause: u64,
    /// Sender and receiver.
    pub from: u32,
    /// Receiver.
    pub to: u32,
    /// When it left and arrived, ns; `arrive` is `None` if it was lost.
    pub depart: u64,
    /// Arrival, ns.
    pub arrive: Option<u64>,
    /// How it is drawn.
    pub shape: Shape,
    /// Request name.
    pub label: &'static str,
}

/// A series of samples for a chart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Series {
    /// Name with unit, e.g. `acknowledged records/s`. Series of one name make one chart.
    pub name: String,
    /// Which line of the chart it is, e.g. an operator; empty where the chart has only this.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// (time ns, value) samples in time order.
    pub points: Vec<(u64, i64)>,
}

impl Series {
    /// The only line of its chart.
    #[must_use]
    pub fn new(name: &str, points: Vec<(u64, i64)>) -> Self {
        Series {
            name: name.to_owned(),
            of: String::new(),
            points,
        }
    }
}

/// A promise of the scenario or an invariant, and whether it holds so far.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// What is promised, as written.
    pub text: String,
    /// Holds, broken, or not yet known.
    pub state: VerdictState,
    /// What was seen instead, or where it was decided.
    pub detail: String,
    /// When it was decided, ns.
    pub time: Option<u64>,
}

/// See [`Verdict`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictState {
    /// True, or true so far for a "never".
    Held,
    /// False.
    Broken,
    /// Its moment has not come.
    Pending,
}
