//! The application's thread: what it sends next, and what `send()` makes of it.
//!
//! Follows `KafkaProducer.doSend`: wait for metadata, choose the partition, check the size, append;
//! both waits share `max.block.ms`. When they are over, the record has failed without ever being in
//! a batch.

use super::accumulator::Append;
use super::load::Reason;
use super::{Producer, ProducerTimer};
use crate::kafka::client::{NEVER, span};
use crate::kafka::consumer::Output;
use crate::kafka::error::ErrorCode;
use crate::kafka::node::{KafkaCx, Timer};
use crate::kafka::note::Note;
use crate::kafka::protocol::Acks;
use crate::kernel::{Nanos, Purpose, TimerId};
use crate::log::{KeyId, Record, RecordId};
use serde::Serialize;
use std::collections::VecDeque;

const PARTITION: Purpose = Purpose::named("producer.partition");

/// Bits of a record's identity that number it at its producer.
const ORDINAL_BITS: u32 = 40;

/// A record in `send()`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Draft {
    id: RecordId,
    key: Option<u32>,
    tombstone: bool,
    reason: Reason,
    /// Where it goes, once metadata is there.
    partition: Option<u16>,
}

/// A `send()` that has not returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Pending {
    draft: Draft,
    pub(super) since: Nanos,
    pub(super) until: Nanos,
}

/// What the application is at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct App {
    /// It hangs in `send()`.
    pub(super) pending: Option<Pending>,
    /// Records ordered by hand that are still to be sent.
    pub(super) ordered: u64,
    /// A record of the load is due, and the thread is busy.
    due: bool,
    /// Made of what was read, and still to be sent.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    pub(super) forwards: VecDeque<Output>,
    /// The timer of the next record of the load.
    arrival: Option<TimerId>,
    /// It waits in `close()`, to go on with these `acks`.
    pub(super) closing: Option<Acks>,
}

impl App {
    fn busy(&self) -> bool {
        self.pending.is_some() || self.ordered > 0 || self.closing.is_some()
    }
}

enum Placed {
    /// `send()` returned; `at_once` if the sender has something to do now.
    Done {
        at_once: bool,
    },
    Waits,
}

impl Producer {
    /// Sets the timer of the load's next record, if the load is on and has one.
    pub(super) fn start_load(&mut self, cx: &mut KafkaCx<'_>) {
        if !self.load_on || self.app.arrival.is_some() || self.app.due {
            return;
        }
        let next = self.plan.first(self.loads, cx.now());
        self.set_arrival(next, cx);
    }

    fn set_arrival(&mut self, at: Option<Nanos>, cx: &mut KafkaCx<'_>) {
        self.app.arrival = at.map(|at| {
            let timer = Timer::Producer(ProducerTimer::Arrival);
            cx.set_timer(at.saturating_sub(cx.now()), timer)
        });
    }

    pub(super) fn switch_load(&mut self, on: bool, cx: &mut KafkaCx<'_>) {
        if self.load_on == on {
            return;
        }
        self.load_on = on;
        // A record of the load that hangs in send() sets the timer when it returns.
        let hangs = matches!(self.app.pending, Some(Pending { draft, .. })
            if matches!(draft.reason, Reason::Load(_)));
        if on && !hangs {
            self.start_load(cx);
        } else if !on {
            self.app.due = false;
            if let Some(timer) = self.app.arrival.take() {
                cx.cancel(timer);
            }
        }
    }

    /// The load's next record is due. Most records end here: they join a batch that is open.
    pub(super) fn on_arrival(&mut self, cx: &mut KafkaCx<'_>) {
        self.app.arrival = None;
        if self.app.busy() || self.in_transaction_call() {
            self.app.due = true;
            return;
        }
        if self.send_load(cx) {
            self.run(cx);
        }
    }

    /// Sends the load's next record; returns whether the sender has something to do.
    fn send_load(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        let reason = Reason::Load(self.loads);
        self.loads += 1;
        self.send(reason, cx)
    }

    fn send(&mut self, reason: Reason, cx: &mut KafkaCx<'_>) -> bool {
        self.count_in_transaction(cx);
        let id = RecordId(u64::from(cx.me().0) << ORDINAL_BITS | self.ordinal);
        self.ordinal += 1;
        let draft = Draft {
            id,
            key: self.plan.key(reason, cx),
            tombstone: self.plan.is_tombstone(reason, cx),
            reason,
            partition: None,
        };
        let now = cx.now();
        let pending = Pending {
            draft,
            since: now,
            until: now.saturating_add(span(self.config.max_block_ms)),
        };
        let at_once = self.proceed(pending, cx);
        self.maybe_end_transaction(cx) || at_once
    }

    /// Goes on with a `send()` as far as it gets; returns whether the sender has something to do.
    fn proceed(&mut self, mut pending: Pending, cx: &mut KafkaCx<'_>) -> bool {
        let at_once = match self.place(&mut pending.draft, cx) {
            Placed::Done { at_once } => at_once,
            Placed::Waits if pending.until <= cx.now() => {
                self.fail_unplaced(pending.draft, ErrorCode::RequestTimedOut, cx);
                false
            }
            Placed::Waits => {
                self.accumulator.exhausted = pending.draft.partition.is_some();
                self.app.pending = Some(pending);
                return true;
            }
        };
        self.accumulator.exhausted = false;
        if let Reason::Load(number) = pending.draft.reason
            && self.load_on
        {
            let next = self.plan.after(number, cx.now(), cx);
            self.set_arrival(next, cx);
        }
        at_once
    }

    fn place(&mut self, draft: &mut Draft, cx: &mut KafkaCx<'_>) -> Placed {
        if let Some(error) = self.fatal {
            self.fail_unplaced(*draft, error, cx);
            return Placed::Done { at_once: false };
        }
        let count = self.client.metadata.partition_count();
        if count == 0 {
            return Placed::Waits;
        }
        let chance = (cx.draw(PARTITION, draft.id.0) >> 33) as u32;
        let sticky = draft.key.is_none() || self.config.ignore_keys;
        let partition = match (draft.partition, draft.key) {
            (Some(chosen), _) => chosen,
            (None, Some(key)) if !sticky => {
                let hash = match draft.reason {
                    Reason::Forward(Output {
                        hash: Some(hash), ..
                    }) => hash,
                    _ => self.plan.hash(key),
                };
                let hash = (hash & i32::MAX).unsigned_abs();
                u16::try_from(hash % u32::from(count)).unwrap_or(0)
            }
            (None, _) => {
                let (chosen, _) = self.partitioner.peek(&self.views, chance);
                u16::try_from(chosen).unwrap_or(0)
            }
        };
        if draft.partition.replace(partition).is_none() {
            self.note_sent(draft, partition, cx);
            let bytes = match draft.reason {
                Reason::Forward(output) => output.bytes,
                _ => self.plan.spec.record_bytes,
            };
            let largest = u64::from(self.config.max_request_size).min(self.config.buffer_memory);
            if u64::from(bytes) > largest {
                self.note_failed(draft.id, ErrorCode::MessageTooLarge, cx);
                return Placed::Done { at_once: false };
            }
        }
        self.append(draft, partition, sticky, chance, cx)
    }

    fn bytes_of(&self, draft: &Draft) -> u32 {
        match draft.reason {
            Reason::Forward(output) => output.bytes,
            _ => self.plan.bytes(draft.key, draft.tombstone),
        }
    }

    fn append(
        &mut self,
        draft: &Draft,
        partition: u16,
        sticky: bool,
        chance: u32,
        cx: &mut KafkaCx<'_>,
    ) -> Placed {
        let own = match draft.reason {
            Reason::Forward(output) => output.timestamp_ms,
            _ => None,
        };
        let record = Record {
            id: draft.id,
            key: draft.key.map(KeyId),
            offset_delta: 0,
            bytes: self.bytes_of(draft),
            timestamp_ms: own.unwrap_or_else(|| cx.wall_ms()),
            tombstone: draft.tombstone,
        };
        match self.accumulator.append(partition, record, cx.now()) {
            Append::NoMemory => Placed::Waits,
            Append::Done {
                new_batch,
                full,
                bytes,
                all_full,
            } => {
                if sticky {
                    self.partitioner
                        .update(&self.views, bytes, all_full, chance);
                }
                let at_once = full || self.config.linger_ms <= 0;
                if new_batch && !at_once {
                    let lingered = cx.now().saturating_add(span(self.config.linger_ms));
                    self.wake_by(lingered, cx);
                }
                Placed::Done { at_once }
            }
        }
    }

    /// Lets the application go on with whatever it has to do; returns whether it did anything.
    pub(super) fn go_on(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        let mut moved = false;
        loop {
            if self.app.pending.is_none() && self.in_transaction_call() {
                return moved;
            }
            if let Some(pending) = self.app.pending.take() {
                self.proceed(pending, cx);
                if self.app.pending.is_some() {
                    return moved;
                }
            } else if let Some(acks) = self.app.closing {
                if self.accumulator.has_incomplete() {
                    return moved;
                }
                self.app.closing = None;
                self.reopen(acks, cx);
            } else if self.app.ordered > 0 {
                self.app.ordered -= 1;
                let reason = Reason::Order(self.orders);
                self.orders += 1;
                self.send(reason, cx);
            } else if let Some(output) = self.app.forwards.pop_front() {
                self.send(Reason::Forward(output), cx);
            } else if self.app.due {
                self.app.due = false;
                self.send_load(cx);
            } else {
                return moved;
            }
            moved = true;
        }
    }

    /// The application dies. A record that it could not even name a partition for was never sent:
    /// its number goes to the next.
    pub(super) fn abandon_unsent(&mut self) {
        if let Some(Pending { draft, .. }) = self.app.pending
            && draft.partition.is_none()
        {
            self.ordinal -= 1;
            match draft.reason {
                Reason::Load(_) => self.loads -= 1,
                Reason::Order(_) => self.orders -= 1,
                Reason::Forward(_) => {}
            }
        }
    }

    /// When a `send()` that hangs gives up.
    pub(super) fn unblocks_by(&self) -> Nanos {
        self.app.pending.map_or(NEVER, |pending| pending.until)
    }

    fn note_sent(&mut self, draft: &Draft, partition: u16, cx: &mut KafkaCx<'_>) {
        self.counts.sent += 1;
        cx.note(Note::Sent {
            node: cx.me(),
            record: draft.id,
            key: draft.key,
            tombstone: draft.tombstone,
            tp: self.client.metadata.tp(partition),
            acks_all: self.config.acks == Acks::All,
        });
        if let Reason::Forward(output) = draft.reason {
            cx.note(Note::Derived {
                node: cx.me(),
                record: draft.id,
                input: output.input,
            });
        }
    }

    /// A record fails in `send()` itself.
    fn fail_unplaced(&mut self, draft: Draft, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        if draft.partition.is_none() {
            // Without metadata nobody knows the partition; the first stands for it.
            self.note_sent(&draft, 0, cx);
        }
        self.note_failed(draft.id, error, cx);
    }

    pub(super) fn note_failed(&mut self, record: RecordId, error: ErrorCode, cx: &mut KafkaCx<'_>) {
        self.counts.failed += 1;
        self.last_error = Some((cx.now(), error));
        cx.note(Note::Failed {
            node: cx.me(),
            record,
            error,
        });
    }
}
