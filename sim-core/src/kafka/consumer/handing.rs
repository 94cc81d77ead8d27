//! A consumer in a process of another system, which gets its records.
//!
//! See [`crate::kafka::embed`].

use super::Consumer;
use super::by_hand::ByHand;
use super::outputs::Outputs;
use super::partition::Assigned;
use crate::apart::Apart;
use crate::kafka::config::OffsetReset;
use crate::kafka::embed::Begin;
use crate::kafka::rules::position::{FetchPosition, LeaderAndEpoch};
use crate::log::{Batch, Record};
use serde::Serialize;

/// A record that `poll()` returned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Handed {
    /// Where it stands.
    pub(crate) partition: u16,
    /// Its offset.
    pub(crate) offset: i64,
    /// The record.
    pub(crate) record: Record,
    /// What it says, if whoever wrote it said something.
    pub(crate) value: Option<Vec<u8>>,
}

/// Where the records go.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Handing {
    /// Where its owner wants to begin, by partition.
    starts: Vec<(u16, i64)>,
    /// Which it wants to read from their start, whatever `auto.offset.reset` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earliest: Vec<u16>,
    /// Which it wants to read from where the group has come to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    committed: Vec<u16>,
    handed: Vec<Handed>,
    /// Its owner commits offsets to a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) commits: Option<Box<ByHand>>,
}

impl Handing {
    fn begin(&mut self, partition: u16, begin: Begin) {
        match begin {
            Begin::Anywhere => {}
            Begin::Committed => self.committed.push(partition),
            Begin::Earliest => self.earliest.push(partition),
            Begin::At(offset) => self.starts.push((partition, offset)),
        }
    }
}

impl Outputs {
    /// A partition was assigned: its owner may have sought a position already.
    pub(super) fn place(&self, partition: u16, assigned: &mut Assigned) {
        let mut earliest = self.handing.iter().flat_map(|it| &it.earliest);
        if earliest.any(|it| *it == partition) {
            assigned.position.request_reset_to(OffsetReset::Earliest);
        }
        let mut committed = self.handing.iter().flat_map(|it| &it.committed);
        assigned.awaits_offset |= committed.any(|it| *it == partition);
        let starts = self.handing.iter().flat_map(|it| &it.starts);
        let mut own = starts.filter(|(of, _)| *of == partition);
        if let Some((_, offset)) = own.next() {
            assigned.position.seek(FetchPosition {
                offset: *offset,
                offset_epoch: None,
                leader: LeaderAndEpoch::UNKNOWN,
            });
        }
    }

    /// `poll()` returned a record.
    pub(super) fn hand(&mut self, partition: u16, offset: i64, record: &Record, batch: &Batch) {
        if let Some(handing) = &mut self.handing {
            let value = batch.value(record.offset_delta);
            handing.handed.push(Handed {
                partition,
                offset,
                record: *record,
                value: value.map(<[u8]>::to_vec),
            });
        }
    }
}

impl Consumer {
    /// It hands its records to its owner, who begins where that says, and may commit to a group.
    #[must_use]
    pub(in crate::kafka) fn handing(
        mut self,
        begin: &[(u16, Begin)],
        group: Option<&str>,
        correlation: u32,
    ) -> Self {
        self.client.number_from(correlation);
        let mut outputs = Outputs::default();
        let mut handing = Handing::default();
        for (partition, begin) in begin {
            handing.begin(*partition, *begin);
        }
        handing.commits = group.map(|it| Box::new(ByHand::to(it)));
        outputs.handing = Some(Box::new(handing));
        self.outputs = Some(Apart::new(outputs));
        self
    }

    /// `assign()` with a partition more. One that it has not heard of yet it asks for.
    pub(in crate::kafka) fn assign(&mut self, partition: u16, begin: Begin) {
        self.wanted.push(partition);
        let handing = self.outputs.as_mut().and_then(|it| it.handing.as_mut());
        if let Some(handing) = handing {
            handing.begin(partition, begin);
        }
        if usize::from(partition) >= self.partitions.len() {
            self.client.metadata.request_update(true);
            return;
        }
        let made = self.make_assigned(partition);
        if let Some(place) = self.partitions.get_mut(usize::from(partition)) {
            *place = Some(made);
            self.order.push(partition);
        }
        self.validate_positions();
    }

    /// What `poll()` returned since the last call.
    pub(in crate::kafka) fn take_handed(&mut self) -> Vec<Handed> {
        let handing = self.outputs.as_mut().and_then(|it| it.handing.as_mut());
        handing.map_or_else(Vec::new, |it| std::mem::take(&mut it.handed))
    }
}
