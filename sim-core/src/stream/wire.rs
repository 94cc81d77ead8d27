//! Messages of a job as the kernel and the transcript see them: name, size, digest, sentence.

use super::node::{Machine, Order, Timer};
use super::note::Note;
use super::protocol::{Packet, StoreRequest};
use super::rules::barrier::channel::Item;
use super::snapshot::called;
use crate::apart::Apart;
use crate::kernel::{Context, Digest, EventId, Input, Message, Nanos, NodeId, Purpose, TimerId};
use crate::systems;
use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes of a message without records.
const CONTROL: u64 = 100;
/// Bytes of a buffer's header.
const HEADER: u64 = 32;

/// The kinds of messages, for filters that lose some.
pub(super) const MESSAGE_KINDS: &[&str] = &[
    "RegisterTaskExecutor",
    "Heartbeat",
    "HeartbeatResponse",
    "SubmitTask",
    "CancelTask",
    "TasksCanceled",
    "TaskRunning",
    "TaskEnded",
    "TriggerCheckpoint",
    "AcknowledgeCheckpoint",
    "DeclineCheckpoint",
    "NotifyCheckpointComplete",
    "NotifyCheckpointAborted",
    "ReportedWatermark",
    "WatermarkAlignment",
    "BufferResponse",
    "CheckpointBarrier",
    "EndOfPartition",
    "AddCredit",
    "WriteState",
    "StateWritten",
    "DiscardState",
    "DiscardFiles",
    "ReadState",
    "StateRead",
    "ToStore",
    "FromStore",
    "NewBufferSize",
    "AckAllUserRecordsProcessed",
    "AddSplits",
    "EditState",
    "RequestCheckpoint",
    "QueryMetrics",
    "Metrics",
    "AcknowledgeSnapshot",
];

/// A message between the machines of a job, with the code that knows it: a world without a job
/// links none of it.
#[derive(Clone)]
pub struct Msg {
    packet: Apart<Packet>,
    code: &'static Code,
}

struct Code {
    label: fn(&Packet) -> &'static str,
    bytes: fn(&Packet) -> u64,
    fingerprint: fn(&Packet, &mut Digest),
    describe: fn(&Packet) -> String,
    same: fn(&Packet, &Packet) -> bool,
}

static CODE: Code = Code {
    label: Packet::label,
    bytes: Packet::bytes,
    fingerprint: Packet::fingerprint,
    describe: Packet::describe,
    same: |a, b| a == b,
};

impl Msg {
    /// What it says.
    #[must_use]
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Takes what it says out.
    #[must_use]
    pub(super) fn into_packet(self) -> Packet {
        self.packet.into_inner()
    }
}

impl From<Packet> for Msg {
    fn from(packet: Packet) -> Self {
        Msg {
            packet: Apart::new(packet),
            code: &CODE,
        }
    }
}

impl PartialEq for Msg {
    fn eq(&self, other: &Self) -> bool {
        (self.code.same)(&self.packet, &other.packet)
    }
}

impl Eq for Msg {}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&(self.code.describe)(&self.packet))
    }
}

impl Serialize for Msg {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What tells it from others, as the run's digest has it.
        let mut digest = Digest::default();
        (self.code.fingerprint)(&self.packet, &mut digest);
        serializer.serialize_u64(digest.finish())
    }
}

impl Message for Msg {
    fn label(&self) -> &'static str {
        (self.code.label)(&self.packet)
    }

    fn bytes(&self) -> u64 {
        (self.code.bytes)(&self.packet)
    }

    fn fingerprint(&self, digest: &mut Digest) {
        (self.code.fingerprint)(&self.packet, digest);
    }

    fn describe(&self) -> String {
        (self.code.describe)(&self.packet)
    }
}

/// The context of a job's machines as the world gives it: messages are sealed, and may be those of
/// another system whose clients a machine has in its process.
pub(super) type WireCx<'a> = dyn Context<systems::Msg, Timer, systems::Note> + 'a;

/// A message of another system that a machine of a job understands.
pub(super) fn adopt(foreign: systems::Msg) -> Option<Msg> {
    let msg = foreign.kafka()?;
    Some(Packet::Kafka(Box::new(msg)).into())
}

/// As it goes out: to machines of the job, or in the words of another system.
fn outward(packet: Packet) -> systems::Msg {
    match packet {
        Packet::Kafka(msg) => (*msg).into(),
        packet => Msg::from(packet).into(),
    }
}

/// The same with messages open, as the machines know it.
struct Unsealed<'a, 'c>(&'a mut WireCx<'c>);

/// Hands a machine what came for it, with its messages open.
pub(super) fn deliver(machine: &mut Machine, input: Input<Msg, Timer, Order>, cx: &mut WireCx<'_>) {
    let input = match input {
        Input::Boot => Input::Boot,
        Input::Message { from, msg } => Input::Message {
            from,
            msg: msg.into_packet(),
        },
        Input::Timer(timer) => Input::Timer(timer),
        Input::Disconnected(peer) => Input::Disconnected(peer),
        Input::Order(order) => Input::Order(order),
    };
    machine.on(input, &mut Unsealed(cx));
}

impl Context<Packet, Timer, Note> for Unsealed<'_, '_> {
    fn me(&self) -> NodeId {
        self.0.me()
    }
    fn now(&self) -> Nanos {
        self.0.now()
    }
    fn wall_ms(&self) -> i64 {
        self.0.wall_ms()
    }
    fn event(&self) -> EventId {
        self.0.event()
    }
    fn send(&mut self, to: NodeId, packet: Packet) {
        self.0.send(to, outward(packet));
    }
    fn send_at(&mut self, at: Nanos, to: NodeId, packet: Packet) {
        self.0.send_at(at, to, outward(packet));
    }
    fn set_timer(&mut self, delay: Nanos, timer: Timer) -> TimerId {
        self.0.set_timer(delay, timer)
    }
    fn cancel(&mut self, timer: TimerId) {
        self.0.cancel(timer);
    }
    fn disconnect(&mut self, peer: NodeId) {
        self.0.disconnect(peer);
    }
    fn close(&mut self, peer: NodeId) {
        self.0.close(peer);
    }
    fn disk_write(&mut self, bytes: u64) -> Nanos {
        self.0.disk_write(bytes)
    }
    fn disk_read(&mut self, bytes: u64) -> Nanos {
        self.0.disk_read(bytes)
    }
    fn exit(&mut self) {
        self.0.exit();
    }
    fn draw(&self, purpose: Purpose, ordinal: u64) -> u64 {
        self.0.draw(purpose, ordinal)
    }
    fn note(&mut self, note: Note) {
        self.0.note(match note {
            Note::Kafka(note) => (*note).into(),
            note => note.into(),
        });
    }
    fn attends(&self) -> bool {
        self.0.attends()
    }
}

impl Packet {
    /// The request's real name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Packet::RegisterTaskExecutor { .. } => "RegisterTaskExecutor",
            Packet::Heartbeat => "Heartbeat",
            Packet::HeartbeatResponse => "HeartbeatResponse",
            Packet::SubmitTasks { .. } => "SubmitTask",
            Packet::CancelTasks { .. } => "CancelTask",
            Packet::TaskRunning { .. } => "TaskRunning",
            Packet::TaskEnded { .. } => "TaskEnded",
            Packet::TasksCanceled { .. } => "TasksCanceled",
            Packet::TriggerCheckpoint { .. } => "TriggerCheckpoint",
            Packet::AcknowledgeCheckpoint { .. } => "AcknowledgeCheckpoint",
            Packet::DeclineCheckpoint { .. } => "DeclineCheckpoint",
            Packet::NotifyCheckpointComplete { .. } => "NotifyCheckpointComplete",
            Packet::NotifyCheckpointAborted { .. } => "NotifyCheckpointAborted",
            Packet::ReportedWatermark { .. } => "ReportedWatermark",
            Packet::WatermarkAlignment { .. } => "WatermarkAlignment",
            Packet::BufferResponse { item, .. } => match item {
                Item::Buffer { .. } => "BufferResponse",
                Item::Barrier(_) | Item::Announcement { .. } | Item::Cancel(_) => {
                    "CheckpointBarrier"
                }
                Item::End => "EndOfPartition",
            },
            Packet::AddCredit { .. } => "AddCredit",
            Packet::NewBufferSize { .. } => "NewBufferSize",
            Packet::AckAllUserRecordsProcessed { .. } => "AckAllUserRecordsProcessed",
            Packet::AddSplits { .. } => "AddSplits",
            Packet::RequestCheckpoint { .. } => "RequestCheckpoint",
            Packet::QueryMetrics { .. } => "QueryMetrics",
            Packet::Metrics { .. } => "Metrics",
            Packet::AcknowledgeSnapshot { .. } => "AcknowledgeSnapshot",
            Packet::WriteState { .. } => "WriteState",
            Packet::StateWritten { .. } => "StateWritten",
            Packet::DiscardState { .. } => "DiscardState",
            Packet::DiscardFiles { .. } => "DiscardFiles",
            Packet::EditState { .. } => "EditState",
            Packet::ReadState { .. } => "ReadState",
            Packet::StateRead { .. } => "StateRead",
            Packet::ToStore { .. } => "ToStore",
            Packet::FromStore { .. } => "FromStore",
            Packet::Kafka(msg) => msg.label(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Packet::BufferResponse { item, .. } => match item {
                Item::Buffer { bytes, .. } => HEADER + u64::from(*bytes),
                _ => HEADER,
            },
            Packet::Kafka(msg) => msg.bytes(),
            _ => CONTROL,
        }
    }

    fn fingerprint(&self, digest: &mut Digest) {
        match self {
            // The records are in the state that they came from and go to.
            Packet::BufferResponse {
                attempt,
                channel,
                item: Item::Buffer { data, bytes },
                backlog,
            } => {
                digest.value(&(attempt, channel, bytes, backlog));
                digest.word(data.len() as u64);
            }
            // A snapshot is the state of operators.
            Packet::WriteState { handle, bytes, .. } => digest.value(&(handle, bytes)),
            Packet::StateRead {
                attempt,
                task,
                handle,
                state,
            } => {
                digest.value(&(attempt, task, handle, state.is_some()));
            }
            Packet::Kafka(msg) => msg.fingerprint(digest),
            other => digest.value(other),
        }
    }

    fn describe(&self) -> String {
        let label = self.label();
        match self {
            Packet::BufferResponse { item, backlog, .. } => match item {
                Item::Buffer { data, .. } => {
                    format!(
                        "{label}: {} elements, {backlog} buffers behind it",
                        data.len()
                    )
                }
                Item::Barrier(barrier) => format!("{label} {}", barrier.checkpoint),
                _ => label.to_owned(),
            },
            Packet::AddCredit { credit, .. } => format!("{label}: room for {credit} buffers"),
            Packet::NewBufferSize { size, .. } => format!("{label}: {size} bytes"),
            Packet::TriggerCheckpoint { barrier, .. } => format!("{label} {}", barrier.checkpoint),
            Packet::AcknowledgeCheckpoint {
                checkpoint, handle, ..
            } => format!("{label} {checkpoint}: {} bytes", handle.bytes),
            Packet::DeclineCheckpoint { checkpoint, .. }
            | Packet::NotifyCheckpointComplete { checkpoint, .. }
            | Packet::NotifyCheckpointAborted { checkpoint, .. } => format!("{label} {checkpoint}"),
            Packet::SubmitTasks { attempt, tasks, .. } => {
                format!("{label}: {} tasks of attempt {attempt}", tasks.len())
            }
            Packet::AddSplits { partitions, .. } => {
                let names: Vec<String> = partitions.iter().map(u16::to_string).collect();
                format!("{label}: partition {}", names.join(", "))
            }
            Packet::WriteState { handle, .. } | Packet::StateWritten { handle } => {
                format!("{label} of {}", called(handle.checkpoint))
            }
            Packet::AcknowledgeSnapshot { handle, .. } => {
                let which = called(handle.checkpoint);
                format!("{label}: {which}, {} bytes", handle.bytes)
            }
            Packet::Metrics { tasks, .. } => format!("{label} of {} tasks", tasks.len()),
            Packet::ToStore { order, .. } => match order {
                StoreRequest::Append(rows)
                | StoreRequest::Upsert(rows)
                | StoreRequest::AppendWithOffset(rows)
                | StoreRequest::AppendIn(_, rows) => format!("{label}: {} rows", rows.len()),
                StoreRequest::Commit(it) => format!("{label}: commit {}", it.id),
                StoreRequest::Abort(it) => format!("{label}: abort {}", it.id),
                StoreRequest::InitTransaction { id, .. } => format!("{label}: begin {id}"),
                _ => label.to_owned(),
            },
            Packet::Kafka(msg) => msg.describe(),
            _ => label.to_owned(),
        }
    }
}
