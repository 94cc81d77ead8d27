//! The machines of a job as an onlooker sees them: cards, tokens and offers.
//!
//! Only a projection of the machines' own state.

mod channels;
mod checkpoints;
mod job;
mod plot;
mod purged;
mod stores;
mod topics;
mod trees;

pub use job::{control, job};
pub use plot::{finish, plot, plots};

use super::command::{Command, Run};
use super::element::Element;
use super::jobmanager::JobManager;
use super::node::{Machine, Order};
use super::protocol::Packet;
use super::rules::NO_WATERMARK;
use super::rules::barrier::channel::Item;
use super::storage::Storage;
use super::store::Store;
use super::task::Doing;
use super::taskmanager::TaskManager;
use super::why::{event_time, task_name};
use crate::kernel::{NodeId, NodeState, World};
use crate::systems;
use crate::view::{Badge, Fact, Health, NodeView, Role, Shape, StageQuery, Token, Tone};

/// A card for a machine.
#[must_use]
pub fn node(
    world: &World<systems::Node>,
    id: NodeId,
    machine: &Machine,
    (name, _query): (&str, &StageQuery),
) -> NodeView {
    let (role, part, title) = match machine {
        Machine::JobManager(_) => (Role::Control, "job-manager", "JobManager".to_owned()),
        Machine::TaskManager(_) => (Role::Store, "task-manager", format!("TaskManager {name}")),
        Machine::Storage(_) => (Role::Sink, "storage", "Checkpoint storage".to_owned()),
        Machine::Store(_) => (Role::Sink, "store", format!("Store {name}")),
    };
    let mut view = NodeView {
        id: id.0,
        name: name.to_owned(),
        title,
        part,
        role,
        health: health(world, id),
        badges: Vec::new(),
        summary: Vec::new(),
        lanes: Vec::new(),
    };
    match machine {
        Machine::JobManager(it) => job_manager(it, &mut view),
        Machine::TaskManager(it) => task_manager(it, world.now(), &mut view),
        Machine::Storage(it) => storage(it, &mut view),
        Machine::Store(it) => store(it, &mut view),
    }
    view
}

fn health(world: &World<systems::Node>, id: NodeId) -> Health {
    match world
        .nodes()
        .get(id.0 as usize)
        .map(|slot| (slot.state, slot.cpu.cost))
    {
        Some((NodeState::Down { .. }, _)) | None => Health::Down,
        Some((NodeState::Paused, _)) => Health::Paused,
        Some((NodeState::Up, cost)) if cost > 0 => Health::Slow,
        Some((NodeState::Up, _)) => Health::Up,
    }
}

fn fact(label: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact {
        label: label.into(),
        value: value.into(),
        subject: None,
    }
}

fn badge(text: impl Into<String>, tone: Tone) -> Badge {
    Badge {
        text: text.into(),
        tone,
    }
}

fn job_manager(it: &JobManager, view: &mut NodeView) {
    use super::jobmanager::JobStatus;
    let tone = match it.status() {
        JobStatus::Running | JobStatus::Finished => Tone::Proven,
        JobStatus::Failed | JobStatus::Failing => Tone::Harm,
        JobStatus::Restarting => Tone::Sand,
        _ => Tone::Plain,
    };
    view.badges.push(badge(it.status().name(), tone));
    view.summary.push(fact("attempt", it.attempt().to_string()));
    let last = it
        .completed()
        .last()
        .map_or("none".to_owned(), |it| it.id.to_string());
    view.summary.push(fact("last checkpoint", last));
    if let Some(it) = it.savepoints().last() {
        view.summary.push(fact("last savepoint", it.name.clone()));
    }
    if let Some(it) = it.autoscaler() {
        let said = format!("{} · {} rescales", it.phase().name(), it.rescales());
        view.summary.push(fact("autoscaler", said));
    }
    if let Some((id, _)) = it.pending().iter().next() {
        view.summary
            .push(fact("checkpoint under way", id.to_string()));
    }
}

fn task_manager(it: &TaskManager, now: u64, view: &mut NodeView) {
    if !it.is_registered() {
        view.badges.push(badge("not registered", Tone::Faded));
    }
    view.summary.push(fact("slots", it.slots().to_string()));
    memory(it, view);
    for id in it.opening() {
        view.summary
            .push(fact(task_name(it.job(), id), "INITIALIZING"));
    }
    for (id, task) in it.tasks() {
        let (doing, _) = task.spent(now);
        let doing = match doing {
            Doing::Idle => "idle",
            Doing::Busy => "busy",
            Doing::Backpressured => "backpressured",
        };
        let watermark = task
            .chain
            .links
            .first()
            .map_or(NO_WATERMARK, |it| it.watermark);
        let value = format!("{doing} · watermark {}", event_time(watermark));
        view.summary.push(fact(task_name(it.job(), *id), value));
    }
}

/// The areas of a TaskManager's memory, and what is in use of them.
fn memory(it: &TaskManager, view: &mut NodeView) {
    let Some(memory) = it.memory() else {
        return;
    };
    let (areas, used) = (memory.areas(), it.used());
    let mut say = |label: &str, value: String| view.summary.push(fact(label, value));
    let of = |used: u64, all: u64| format!("{} of {}", short(used), short(all));
    say("process memory", short(areas.process()));
    say("task heap", of(used.heap, areas.task_heap));
    say("managed memory", of(used.rocksdb, areas.managed));
    let (total, taken) = (u64::from(memory.segments()), used.segments);
    let free = total.saturating_sub(taken);
    let segments = format!("{taken} used, {free} available, {total} in all");
    say("network segments", segments);
    say("network memory", short(areas.network));
    let jvm = areas.metaspace + areas.overhead;
    say("metaspace and overhead", short(jvm));
    let framework = areas.framework_heap + areas.framework_off_heap;
    say("framework", short(framework));
    if areas.task_off_heap > 0 {
        say("task off-heap", short(areas.task_off_heap));
    }
}

/// Bytes in a unit that people read.
fn short(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KB", bytes >> 10),
        _ => format!("{}.{} MB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20),
    }
}

fn storage(it: &Storage, view: &mut NodeView) {
    view.summary
        .push(fact("states", it.kept().len().to_string()));
    view.summary.push(fact("bytes", it.bytes().to_string()));
}

fn store(it: &Store, view: &mut NodeView) {
    view.summary.push(fact("rows", it.rows().len().to_string()));
    let visible = it.visible_rows().count();
    view.summary
        .push(fact("read_committed", visible.to_string()));
    let open = it.open_transactions().count();
    if open > 0 {
        view.summary
            .push(fact("open transactions", open.to_string()));
    }
}

/// A message's shape, name and records, written onto a token.
#[must_use]
pub fn token(packet: &Packet, token: Token) -> Token {
    let (shape, records, key) = match packet {
        Packet::BufferResponse {
            item: Item::Buffer { data, .. },
            ..
        } => {
            let is_record = |it: &&Element| matches!(it, Element::Record(_));
            let first = data.iter().find_map(|it| match it {
                Element::Record(record) => Some(record.key.0),
                _ => None,
            });
            let records = data.iter().filter(is_record).count() as u32;
            (Shape::Batch, records, first)
        }
        Packet::Heartbeat | Packet::HeartbeatResponse => (Shape::Heartbeat, 0, None),
        Packet::AddCredit { .. } | Packet::NewBufferSize { .. } => (Shape::Fetch, 0, None),
        Packet::AckAllUserRecordsProcessed { .. } => (Shape::Ack, 0, None),
        Packet::AcknowledgeCheckpoint { .. } | Packet::StateWritten { .. } => (Shape::Ack, 0, None),
        Packet::FromStore { .. } => (Shape::Ack, 0, None),
        Packet::ToStore { .. } | Packet::WriteState { .. } => (Shape::Batch, 0, None),
        _ => (Shape::Control, 0, None),
    };
    Token {
        shape,
        records,
        key,
        label: packet.label(),
        ..token
    }
}

/// Orders that a JobManager takes, which depend on whether its job has ended.
fn of_job(it: &JobManager) -> Vec<(&'static str, &'static str, Order)> {
    let say = |command: Command| Order::Command(command.to_string());
    let run = |savepoint| {
        say(Command::Run(Run {
            savepoint,
            ..Run::default()
        }))
    };
    if it.status().is_terminal() {
        let last = it.savepoints().last().map(|it| it.name.clone());
        let last = last.map(|name| {
            let words = "Run the job from its last savepoint";
            ("run-job", words, run(Some(name)))
        });
        let anew = ("run-anew", "Run the job from nothing", run(None));
        return last.into_iter().chain([anew]).collect();
    }
    vec![
        (
            "trigger-checkpoint",
            "Take a checkpoint now",
            Order::TriggerCheckpoint,
        ),
        (
            "trigger-savepoint",
            "Take a savepoint",
            say(Command::Savepoint { name: None }),
        ),
        (
            "stop-with-savepoint",
            "Stop the job with a savepoint",
            say(Command::Stop {
                name: None,
                drain: false,
            }),
        ),
        ("cancel-job", "Cancel the job", say(Command::Cancel)),
    ]
}

/// Orders that a machine takes: id, words, order.
#[must_use]
pub fn offers(machine: &Machine) -> Vec<(&'static str, &'static str, Order)> {
    match machine {
        Machine::JobManager(it) => of_job(it),
        Machine::TaskManager(_) => {
            vec![(
                "fail-tasks",
                "Throw an exception in its tasks",
                Order::FailTasks,
            )]
        }
        Machine::Store(_) => vec![
            (
                "slow-store",
                "Slow store: 5 ms per row",
                Order::SetCost { micros: 5_000 },
            ),
            ("fast-store", "Full speed", Order::SetCost { micros: 0 }),
        ],
        Machine::Storage(_) => Vec::new(),
    }
}
