//! The sender's turn: what to ask for, what to expire and what to send now.
//!
//! Follows `Sender.runOnce` and `Sender.sendProducerData`. The Java thread turns without end; here
//! a turn is taken when something happened that may matter, and an alarm stands at the next time
//! at which waiting alone makes a difference.

use super::accumulator::{Drained, Stamping};
use super::{About, Init, Producer, ProducerIdAndEpoch};
use crate::kafka::client::{NEVER, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::BrokerId;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{Note, Rule};
use crate::kafka::protocol::{Acks, Request};
use crate::kafka::rules::partitioner::{LoadStats, is_too_slow};
use crate::kernel::{MILLISECOND, Nanos};

impl Producer {
    /// One turn, until nothing more can be done now.
    pub(super) fn run(&mut self, cx: &mut KafkaCx<'_>) {
        loop {
            let mut lost = Vec::new();
            self.client.poll(&mut lost, cx);
            self.on_lost(lost, cx);
            let mut next = NEVER;
            self.maybe_end_transaction(cx);
            let sends = self.has_identity(cx);
            if sends {
                if self.expire(cx) {
                    // Sequences may have become unresolved: that is settled first.
                    continue;
                }
                next = self.send_all(cx);
            }
            if !self.go_on(cx) {
                self.arm(next, sends, cx);
                return;
            }
        }
    }

    /// Sets the alarm. While nothing may be sent nothing expires either (the sender's turn ends
    /// before), so that to wake for that would be in vain, and at once again.
    fn arm(&mut self, next: Nanos, sends: bool, cx: &mut KafkaCx<'_>) {
        let expires = match sends {
            true => self.accumulator.expiry_floor(),
            false => NEVER,
        };
        let init = match self.init {
            _ if self.txn.is_some() => self.transaction_due(cx.now()).min(expires),
            Init::Wanted { from } if self.config.idempotent() && from > cx.now() => from,
            Init::Wanted { .. } if self.config.idempotent() => {
                self.client.reconnect_at(None, cx.now())
            }
            _ => expires,
        };
        let deadline = self.client.deadline(cx);
        let at = next.min(init).min(deadline).min(self.unblocks_by());
        self.wake_by(at, cx);
    }

    /// Whether data may be sent as far as the producer id is concerned; asks for one if need be.
    fn has_identity(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        if !self.config.idempotent() {
            return true;
        }
        if self.txn.is_some() {
            return (self.parts().run)(self, cx);
        }
        self.resolve_sequences();
        if self.bump_required {
            self.bump_epoch(cx);
        }
        match self.init {
            Init::Done => return self.fatal.is_none(),
            Init::InFlight => return false,
            Init::Wanted { from } if from > cx.now() => return false,
            Init::Wanted { .. } => {}
        }
        if let Some(broker) = self.client.least_loaded(cx)
            && self.client.ready(broker, cx)
        {
            self.init = Init::InFlight;
            let about = Some(About::InitProducerId);
            self.client.send(broker, Request::InitProducerId, about, cx);
        }
        false
    }

    /// Settles sequences whose batches expired after they were sent.
    fn resolve_sequences(&mut self) {
        if !self.accumulator.doubtful {
            return;
        }
        self.accumulator.doubtful = false;
        for queue in &mut self.accumulator.partitions {
            if queue.sequences.unresolved.is_some() && !queue.has_in_flight() {
                if !queue.sequences.all_acked() {
                    queue.sequences.request_bump(&mut self.bump_required);
                }
                queue.sequences.unresolved = None;
            }
            self.accumulator.doubtful |= queue.sequences.unresolved.is_some();
        }
    }

    /// Raises the producer's own epoch; what is under way to the partitions that made it necessary
    /// gets sequences from 0.
    fn bump_epoch(&mut self, cx: &mut KafkaCx<'_>) {
        let before = self.owner.epoch;
        if before == i16::MAX {
            self.owner = ProducerIdAndEpoch::NONE;
            self.init = Init::Wanted { from: cx.now() };
        } else if self.owner.is_valid() {
            self.owner.epoch = before + 1;
        }
        for queue in &mut self.accumulator.partitions {
            if std::mem::take(&mut queue.sequences.rewrite) {
                queue.start_sequences_at_beginning(self.owner);
                queue.sequences.unresolved = None;
            }
        }
        self.bump_required = false;
        cx.note(Note::Rule {
            node: cx.me(),
            rule: Rule::ProducerEpochBump,
            tp: None,
            broker: None,
            before: i64::from(before),
            after: i64::from(self.owner.epoch),
        });
    }

    /// Fails what has reached `delivery.timeout.ms`, whether or not a broker has it; returns whether
    /// anything has.
    fn expire(&mut self, cx: &mut KafkaCx<'_>) -> bool {
        let expired = self.accumulator.expire(cx.now());
        let any = !expired.is_empty();
        if any {
            self.transaction_failed();
        }
        for (partition, batch) in expired {
            // A batch under way keeps its memory until its request is answered or lost.
            let memory = match batch.expired {
                true => 0,
                false => batch.memory,
            };
            self.accumulator.free(memory);
            for record in batch.records() {
                self.note_failed(record.id, ErrorCode::RequestTimedOut, cx);
            }
            if batch.attempts > 0
                && batch.has_sequence()
                && let Some(queue) = self.accumulator.partition(partition)
            {
                queue.sequences.mark_unresolved(batch.last_sequence());
                self.accumulator.doubtful = true;
            }
        }
        any
    }

    /// Sends all that is ready to brokers that can take it; returns when to look again.
    fn send_all(&mut self, cx: &mut KafkaCx<'_>) -> Nanos {
        loop {
            let leaders = self.client.metadata.leaders();
            let ready = self.accumulator.ready(leaders, cx.now());
            if ready.unknown_leader {
                self.client.metadata.request_update(false);
            }
            self.weigh_partitions();
            let mut next = ready.next_check;
            let mut sent = false;
            for broker in ready.brokers.iter().copied() {
                let takes = self.client.ready(broker, cx);
                if self.config.partition_availability_ms > 0 {
                    // `RecordAccumulator.updateNodeLatencyStats`.
                    let now = cx.now();
                    let (ready, drained) = self.latencies.entry(broker).or_insert((now, now));
                    *ready = now;
                    *drained = if takes { now } else { *drained };
                }
                if takes {
                    sent |= self.send_to(broker, cx);
                } else {
                    next = next.min(self.client.reconnect_at(Some(broker), cx.now()));
                }
            }
            if !sent {
                self.accumulator.keep(ready);
                return next;
            }
        }
    }

    /// Tells the built-in partitioner how long the queues are.
    fn weigh_partitions(&mut self) {
        let keyed = self.plan.has_keys() && !self.config.ignore_keys;
        if keyed || !self.config.adaptive_partitioning {
            return;
        }
        let leaders = self.client.metadata.leaders();
        let mut sizes = self.accumulator.queue_sizes(leaders);
        if let Some(sizes) = sizes.as_mut().filter(|_| !self.latencies.is_empty()) {
            let ms = |at: Nanos| i64::try_from(at / MILLISECOND).unwrap_or(i64::MAX);
            let timeout = self.config.partition_availability_ms;
            sizes.retain(|(partition, _)| {
                let known = usize::try_from(*partition)
                    .ok()
                    .and_then(|it| leaders.get(it));
                let latency = known.and_then(|it| self.latencies.get(&it.leader?));
                !latency.is_some_and(|(ready, sent)| is_too_slow(ms(*ready), ms(*sent), timeout))
            });
        }
        let stats = sizes.and_then(|sizes| LoadStats::new(&sizes, leaders.len()));
        self.partitioner.set_load(stats, None);
    }

    fn send_to(&mut self, broker: BrokerId, cx: &mut KafkaCx<'_>) -> bool {
        let stamping = match self.config.idempotent() {
            true => Stamping::As(self.owner),
            false => Stamping::Off,
        };
        let leaders = self.client.metadata.leaders();
        let (max, now) = (self.config.max_request_size, cx.now());
        let drained = self.accumulator.drain(leaders, broker, max, now, stamping);
        if drained.is_empty() {
            return false;
        }
        if self.config.max_in_flight == 1 {
            for batch in &drained {
                if let Some(queue) = self.accumulator.partition(batch.partition) {
                    queue.muted = true;
                }
            }
        }
        self.produce(broker, drained, cx);
        true
    }

    fn produce(&mut self, broker: BrokerId, drained: Vec<Drained>, cx: &mut KafkaCx<'_>) {
        let ids: Vec<(u16, u64)> = drained.iter().map(|d| (d.partition, d.id)).collect();
        let metadata = &self.client.metadata;
        let batches = drained
            .into_iter()
            .map(|d| (metadata.tp(d.partition), d.batch))
            .collect();
        let request = self.transactional_produce(batches);
        if self.config.acks == Acks::None {
            // Handed to the network is as good as written, as far as this producer cares.
            self.client.send(broker, request, None, cx);
            for (partition, id) in ids {
                self.complete(partition, id, ErrorCode::None, -1, cx);
            }
        } else {
            self.client
                .send(broker, request, Some(About::Produce(ids)), cx);
        }
    }

    /// When InitProducerId is tried again after an error.
    pub(super) fn retry_init(&mut self, cx: &mut KafkaCx<'_>) {
        let pause = span(self.config.retry_backoff_ms);
        let from = cx.now().saturating_add(pause);
        self.init = Init::Wanted { from };
    }
}
