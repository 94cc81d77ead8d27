//! Aligned checkpoints that time out: `AlternatingCheckpointsTest`, step by step with a clock.

use super::seen::Seen;
use super::{after_tasks_finish, channels, setting};
use crate::case::{Case, Checked, same, unknown};
use crate::values::{bounded, int, list, narrow, offset, offset_or, text};
use serde_json::{Value, json};
use sim_core::stream::rules::barrier::channel::Item;
use sim_core::stream::rules::barrier::gate::{Barriers, Gate};
use sim_core::stream::rules::barrier::handler::{BarrierHandler, Mode};
use sim_core::stream::rules::barrier::{Alignment, Barrier};

/// Where a case's clock begins: late enough that barriers may be older.
const EPOCH_MS: i64 = 1_000_000_000;

struct Rig<'a> {
    case: &'a Case,
    gate: Gate<u64>,
    now: i64,
    seen: Seen,
    /// What was stored, as (checkpoint, channel, number of the step that brought it).
    stored: Vec<(i64, u32, u64)>,
    /// Buffers and events in the order in which they were read.
    read: Vec<&'static str>,
}

fn name<T>(item: &Item<T>) -> &'static str {
    match item {
        Item::Buffer { .. } => "data",
        Item::Barrier(_) => "barrier",
        Item::Cancel(_) => "cancel",
        Item::End => "end",
        Item::Announcement { .. } => "announcement",
    }
}

impl<'a> Rig<'a> {
    fn new(case: &'a Case) -> Checked<Self> {
        let channels = channels(case)?;
        let local: Vec<u32> = match setting(&case.config, &["local_channels", "local"]) {
            Value::Bool(true) => (0..channels).collect(),
            Value::Bool(false) => Vec::new(),
            some => list(some)?
                .iter()
                .map(|it| narrow(int(it)?))
                .collect::<Checked<_>>()?,
        };
        let announcing: Vec<bool> = (0..channels).map(|it| !local.contains(&it)).collect();
        let mode = match case.config["mode"].as_str() {
            None | Some("alternating" | "aligned_with_timeout") => Mode::Alternating,
            Some("unaligned") => Mode::Unaligned,
            Some("aligned" | "aligned_exactly_once") => Mode::Aligned,
            Some(other) => return Err(unknown("mode", other)),
        };
        let handler = BarrierHandler::new(mode, channels, after_tasks_finish(&case.config)?);
        Ok(Rig {
            case,
            gate: Gate::new(&announcing, Barriers::Single(handler)).with_holding_senders(),
            now: EPOCH_MS,
            seen: Seen::default(),
            stored: Vec::new(),
            read: Vec::new(),
        })
    }

    /// The barrier that a step tells of.
    fn barrier(&self, step: &Value, op: &str) -> Checked<Barrier> {
        let given = setting(step, &["aligned_timeout_ms", "timeout_ms"]);
        let timeout = match given {
            Value::Null => setting(&self.case.config, &["aligned_timeout_ms", "timeout_ms"]),
            own => own,
        };
        let flag = |names: &[&str]| setting(step, names) == &json!(true);
        let kind = setting(step, &["alignment", "type", "kind"]).as_str();
        let alignment = match kind {
            Some("unaligned") => Alignment::Unaligned,
            Some("aligned" | "aligned_no_timeout" | "savepoint") => Alignment::Aligned,
            None | Some("aligned_with_timeout" | "checkpoint") => {
                if op.starts_with("unaligned") || flag(&["unaligned"]) {
                    Alignment::Unaligned
                } else if op.starts_with("savepoint") || flag(&["savepoint"]) || timeout.is_null() {
                    Alignment::Aligned
                } else {
                    Alignment::AlignedWithTimeout {
                        timeout_ms: super::timeout(timeout)?,
                    }
                }
            }
            Some(other) => return Err(unknown("alignment", other)),
        };
        let age = offset_or(setting(step, &["age_ms", "created_ago_ms"]), 0)?;
        let created = match setting(step, &["created_ms", "created_at_ms"]) {
            Value::Null => self.now - age,
            at => EPOCH_MS + offset(at)?,
        };
        Ok(Barrier {
            checkpoint: offset(setting(step, &["checkpoint", "cp", "id"]))?,
            created_ms: created,
            alignment,
            savepoint: false,
        })
    }

    /// Reads one item, if there is one to be read.
    fn poll(&mut self) -> Option<&'static str> {
        let mut out = Vec::new();
        let polled = self.gate.poll(self.now, &mut out);
        self.seen.add(&out);
        let stored = self.gate.take_persisted().into_iter();
        self.stored
            .extend(stored.map(|it| (it.checkpoint, it.channel, it.data)));
        let name = polled.map(|(_, item)| name(&item))?;
        self.read.push(name);
        Some(name)
    }

    fn drain(&mut self) {
        while self.poll().is_some() {}
    }

    fn fire(&mut self) {
        let mut out = Vec::new();
        self.gate.on_timer(self.now, &mut out);
        self.seen.add(&out);
    }

    /// Reads on until one of these came.
    fn process(&mut self, what: &str) -> Checked {
        while let Some(name) = self.poll() {
            if name == what {
                return Ok(());
            }
        }
        Err(unknown("step: nothing is queued of the kind", what))
    }

    /// Something arrives, and is read at once unless it is to stay queued.
    fn arrive(&mut self, step: &Value, item: Item<u64>, queued: bool) -> Checked {
        let channel = narrow(offset(setting(step, &["ch", "channel"]))?)?;
        let announced = matches!(&item, Item::Barrier(it) if it.timeout_ms().is_some());
        self.gate.arrive(channel, item);
        if !queued {
            self.drain();
        } else if announced && step["announced"] != json!(false) {
            // The announcement is read although the barrier is not; a local channel has none.
            let first = self.gate.channels().iter().find_map(|it| {
                let mut queued = it.queued();
                queued.next().filter(|_| it.has_priority()).map(name)
            });
            if first == Some("announcement") {
                self.poll();
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Value, number: u64) -> Checked {
        let op = text(&step["op"])?;
        let stays = ["_queued", "_announced", "_arrives"];
        let queued = stays.iter().any(|it| op.ends_with(it)) || step["queued"] == json!(true);
        let bare = stays.iter().fold(op, |op, it| op.trim_end_matches(it));
        match bare {
            "barrier" | "unaligned_barrier" | "savepoint_barrier" | "aligned_barrier" => {
                let barrier = self.barrier(step, op)?;
                self.arrive(step, Item::Barrier(barrier), queued)?;
            }
            "announcement" | "announce" | "announce_barrier" => {
                let barrier = self.barrier(step, op)?;
                let sequence = 0;
                self.arrive(step, Item::Announcement { barrier, sequence }, queued)?;
            }
            "buffer" | "data" => {
                let bytes = narrow(offset_or(setting(step, &["bytes", "size"]), 1)?)?;
                let data = number;
                self.arrive(step, Item::Buffer { data, bytes }, queued)?;
            }
            "cancel" | "cancellation_barrier" | "cancel_barrier" => {
                let id = offset(setting(step, &["checkpoint", "cp", "id"]))?;
                self.arrive(step, Item::Cancel(id), queued)?;
            }
            "end" | "eop" | "end_of_partition" => self.arrive(step, Item::End, queued)?,
            "advance_ms" | "advance" => {
                let ms = offset(setting(step, &["ms", "by_ms"]))?;
                self.now = bounded(self.now.saturating_add(ms))?;
                if step["timers"] != json!(false) {
                    self.fire();
                }
            }
            "advance_ms_without_timers" | "advance_ms_no_timers" => {
                let ms = offset(&step["ms"])?;
                self.now = bounded(self.now.saturating_add(ms))?;
            }
            "run_timers" | "fire_timers" | "timers" => self.fire(),
            "process_barrier" => self.process("barrier")?,
            "process_announcement" => self.process("announcement")?,
            "process_buffer" | "process_data" => self.process("data")?,
            "process_end" | "process_end_of_partition" => self.process("end")?,
            "process_cancel" => self.process("cancel")?,
            "poll" | "process" => drop(self.poll()),
            "drain" | "process_all" => self.drain(),
            "close" => self.gate.close(),
            _ => return Err(unknown("operation", op)),
        }
        Ok(())
    }

    fn part(&self, key: &str, expected: &Value) -> Option<Value> {
        let Barriers::Single(handler) = self.gate.barriers() else {
            return None;
        };
        Some(match key {
            "blocked" | "blocked_channels" => self.gate.blocked().collect(),
            "latest" | "latest_checkpoint" => json!(handler.latest_checkpoint()),
            "pending" | "is_pending" => json!(handler.is_pending()),
            "during_alignment" | "aligning" => json!(handler.clock().is_aligning()),
            "alignment_ms" | "alignment_duration_ms" => {
                json!(handler.clock().duration_ms(self.now))
            }
            "read" | "polled" | "consumed" => json!(self.read),
            "inflight" | "inflight_count" | "persisted" if expected.is_number() => {
                json!(self.stored.len())
            }
            "inflight_steps" => self.stored.iter().map(|(_, _, step)| *step).collect(),
            "rule" | "note" | "notes" => expected.clone(),
            _ => return self.seen.part(key, expected),
        })
    }
}

pub(in crate::stream) fn check(case: &Case) -> Checked {
    let mut rig = Rig::new(case)?;
    let entries = list(&case.expect["per_step"])?;
    for (number, step) in (0_u64..).zip(list(&case.input["steps"])?) {
        rig.step(step, number)?;
        for entry in entries.iter().filter(|it| it["step"] == json!(number)) {
            for (key, expected) in entry.as_object().into_iter().flatten() {
                if key == "step" {
                    continue;
                }
                let got = rig.part(key, expected);
                let got = got.ok_or_else(|| unknown("expectation", key))?;
                same(&format!("step {number}: {key}"), &got, expected)?;
            }
        }
    }
    case.same_all(|key| {
        Ok(match key {
            "per_step" => Some(case.expect[key].clone()),
            _ => rig.part(key, &case.expect[key]),
        })
    })
}
