//! The last stable offset and the transaction index: `UnifiedLogTest`.

use super::batches::{batch, records};
use crate::case::{Case, Checked, unknown};
use crate::values::{bounded, list, number_after, offset, text};
use serde_json::{Map, Value, json};
use sim_core::kafka::rules::fetch::OffsetView;
use sim_core::kafka::rules::partition_log::{LeaderAppend, PartitionLog};
use sim_core::kafka::rules::producer_append::AppendOrigin;
use sim_core::kafka::rules::producer_state::ProducerStateConfig;
use sim_core::log::{Batch, ControlMarker, LogConfig, ProducerStamp};
use std::collections::BTreeMap;

/// Transactions of several producers on one log.
struct Transactions {
    log: PartitionLog,
    sequences: BTreeMap<i64, i32>,
}

impl Transactions {
    fn new() -> Self {
        let producers = ProducerStateConfig {
            verification_enabled: false,
            ..Default::default()
        };
        Self {
            log: PartitionLog::new(LogConfig::default(), producers, 0),
            sequences: BTreeMap::new(),
        }
    }

    /// "pid1 5", "plain 3", "pid1 COMMIT (LEO 27)", "HW=26"; several parted by commas.
    fn step(&mut self, step: &str) -> Checked {
        for part in step.split(',').map(str::trim) {
            if let Some(to) = number_after(part, "log start ")? {
                self.log.maybe_increment_start_offset(to);
                continue;
            }
            let mut words = part.split([' ', '=']);
            let (who, what) = (words.next().unwrap_or_default(), words.next());
            let what = what.unwrap_or_default();
            let number = what.parse::<i64>().ok().map(bounded).transpose()?;
            let pid = who
                .strip_prefix("pid")
                .and_then(|id| id.parse::<i64>().ok());
            match (who, number, pid.filter(|id| *id >= 0)) {
                ("HW", Some(to), _) => {
                    self.log.set_high_watermark(to);
                }
                ("plain", Some(count), _) => self.append(batch(count, 1)?, AppendOrigin::Client)?,
                (_, Some(count), Some(id)) => self.data(id, count)?,
                (_, None, Some(id)) => self.marker(id, what)?,
                _ => return Err(unknown("step", part)),
            }
        }
        Ok(())
    }

    fn marker(&mut self, id: i64, what: &str) -> Checked {
        let marker = match what {
            "COMMIT" => ControlMarker::Commit,
            "ABORT" => ControlMarker::Abort,
            other => return Err(unknown("marker", other)),
        };
        let batch = Batch::end_txn_marker(marker, id, 0, 0, 1);
        self.append(batch, AppendOrigin::Coordinator)
    }

    fn data(&mut self, id: i64, count: i64) -> Checked {
        let records = records(count, 1)?;
        let next = self.sequences.entry(id).or_insert(0);
        let base_sequence = *next;
        *next = next.saturating_add(i32::try_from(records.len()).unwrap_or(i32::MAX));
        let stamp = ProducerStamp {
            id,
            epoch: 0,
            base_sequence,
        };
        self.append(Batch::transactional(records, stamp), AppendOrigin::Client)
    }

    fn append(&mut self, batch: Batch, origin: AppendOrigin) -> Checked {
        let append = LeaderAppend {
            origin,
            ..LeaderAppend::client(0, 1)
        };
        let appended = self.log.append_as_leader(batch, append);
        appended
            .map(|_| ())
            .map_err(|error| unknown("append that fails with", error.name()))
    }

    /// What a reader of committed data is given: offsets below the bound, and the aborted
    /// transactions that it must drop.
    fn read_committed(&self) -> Checked<(i64, Value)> {
        let read = self.log.read(OffsetView::ReadCommitted, 0, u32::MAX, true);
        let read = read.map_err(|out| unknown("log start", out.log_start_offset))?;
        let end = read.batches.last().map_or(0, |batch| batch.next_offset());
        let aborted = read
            .aborted
            .iter()
            .map(|it| json!([it.producer_id, it.first_offset]));
        Ok((end, aborted.collect()))
    }
}

pub(crate) fn check(case: &Case) -> Checked {
    let mut txns = Transactions::new();
    let mut stable = Map::new();
    let (mut unstable, mut after_each) = (Vec::new(), Vec::new());
    for step in list(&case.input["steps"])? {
        let step = text(step)?;
        txns.step(step)?;
        let name = step.split(" (").next().unwrap_or_default();
        stable.insert(name.to_owned(), json!(txns.log.last_stable_offset()));
        after_each.push(txns.log.last_stable_offset());
        unstable.push(json!(txns.log.first_unstable_offset()));
    }
    let (mut unstable_at_hw, mut stable_at_hw) = (Vec::new(), Vec::new());
    for hw in list(&case.input["hw_sequence"])? {
        txns.log.set_high_watermark(offset(hw)?);
        unstable_at_hw.push(json!(txns.log.first_unstable_offset()));
        stable_at_hw.push(txns.log.last_stable_offset());
    }
    let (read_end, read_aborted) = txns.read_committed()?;
    case.same_all(|key| {
        Ok(Some(match key {
            "leo" => json!(txns.log.log().leo()),
            "hw" => json!(txns.log.log().high_watermark()),
            "lso" | "lso_at_end" => json!(txns.log.last_stable_offset()),
            "first_unstable" => json!(txns.log.first_unstable_offset()),
            "first_unstable_after" => json!(unstable),
            "first_unstable_at_hw" => json!(unstable_at_hw),
            "lso_at_hw" => json!(stable_at_hw),
            "lso_after" if case.expect[key].is_object() => {
                // Of the steps those that the case is about.
                let named = case.expect[key].as_object().into_iter().flatten();
                named
                    .map(|(at, _)| (at.clone(), stable.get(at).cloned().unwrap_or_default()))
                    .collect()
            }
            "lso_after" | "lso_after_each" => json!(after_each),
            "read_committed_end" => json!(read_end),
            "read_committed_aborted" => read_aborted.clone(),
            "aborted" => {
                let listed = txns.log.aborted_txns().iter().map(|txn| {
                    json!({"pid": txn.producer_id, "first": txn.first_offset,
                        "last": txn.last_offset, "lso": txn.last_stable_offset})
                });
                listed.collect()
            }
            _ => return Ok(None),
        }))
    })
}
