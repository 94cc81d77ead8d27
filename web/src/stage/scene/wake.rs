//! What has gone since the last look: records cut off a copy by truncation or lost with the power.
//!
//! A view tells what is; a learner must also see what has just ceased to be. So the stage compares
//! each view with the one before and keeps what vanished from the end of a copy, until it is
//! overwritten, time runs backwards, or another world is shown. This is memory of the onlooker, not
//! state of the system: a view opened directly at a later time shows none of it.

use sim_core::few;
use std::collections::BTreeMap;

use sim_core::view::{Cell, Health, StageView};

/// Why a record is no longer there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gone {
    /// Cut off so that the copy agrees with its leader.
    Truncated,
    /// It was in the page cache only when the power went.
    PowerLost,
}

/// A copy: node and lane.
type Copy = (u32, String);

/// Records remembered per copy at most, the newest.
const KEPT_MAX: usize = 64;

/// What has vanished, and what was there at the last look.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Wake {
    now: u64,
    ends: BTreeMap<Copy, (i64, Vec<Cell>)>,
    gone: BTreeMap<Copy, Vec<(Cell, Gone)>>,
}

impl Wake {
    /// The wake after the next look.
    pub(crate) fn next(&self, view: &StageView) -> Self {
        let mut next = Self {
            now: view.now,
            ..Self::default()
        };
        let forward = view.now >= self.now;
        for node in &view.nodes {
            for lane in node
                .lanes
                .iter()
                .filter(|l| !l.cells.is_empty() || l.end == 0)
            {
                let copy = (node.id, lane.id.clone());
                let mut gone = self.gone.get(&copy).cloned().unwrap_or_default();
                gone.retain(|(cell, _)| cell.offset >= lane.end);
                if let Some((end, cells)) = self.ends.get(&copy).filter(|x| x.0 > lane.end) {
                    let why = match node.health {
                        Health::Down => Gone::PowerLost,
                        _ => Gone::Truncated,
                    };
                    let lost = cells
                        .iter()
                        .filter(|c| c.offset >= lane.end && c.offset < *end);
                    gone.extend(lost.map(|c| (c.clone(), why)));
                    few::sort_by_key(&mut gone, |(cell, _)| cell.offset);
                    gone.dedup_by_key(|(cell, _)| cell.offset);
                    let more = gone.len().saturating_sub(KEPT_MAX);
                    gone.drain(..more);
                }
                if forward && !gone.is_empty() {
                    next.gone.insert(copy.clone(), gone);
                }
                next.ends.insert(copy, (lane.end, lane.cells.clone()));
            }
        }
        next
    }

    /// What vanished from a copy, by offset.
    pub(crate) fn of(&self, node: u32, lane: &str) -> &[(Cell, Gone)] {
        self.gone
            .get(&(node, lane.to_owned()))
            .map_or(&[], Vec::as_slice)
    }

    /// The offset after the last that vanished from any copy of a lane.
    pub(crate) fn end(&self, lane: &str) -> i64 {
        let copies = self.gone.iter().filter(|(copy, _)| copy.1 == lane);
        copies
            .filter_map(|(_, gone)| gone.last())
            .map(|x| x.0.offset + 1)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::fixture::{Situation, view};

    /// The calm world with the copy of a broker cut to an end, at a time.
    fn cut(broker: u32, end: i64, now_ms: u64, health: Health) -> StageView {
        let mut view = view(Situation::Calm, 0);
        view.now += now_ms * 1_000_000;
        let node = &mut view.nodes[broker as usize];
        node.health = health;
        node.lanes[0].end = end;
        node.lanes[0].cells.retain(|c| c.offset < end);
        view
    }

    fn offsets(wake: &Wake, node: u32) -> Vec<i64> {
        wake.of(node, "orders-0")
            .iter()
            .map(|x| x.0.offset)
            .collect()
    }

    #[test]
    fn what_is_cut_off_stays_until_it_is_overwritten() {
        let start = Wake::default().next(&cut(3, 132, 0, Health::Up));
        assert_eq!(offsets(&start, 3), [0i64; 0]);
        let truncated = start.next(&cut(3, 129, 100, Health::Up));
        assert_eq!(offsets(&truncated, 3), [129, 130, 131]);
        assert!(
            truncated
                .of(3, "orders-0")
                .iter()
                .all(|x| x.1 == Gone::Truncated)
        );
        assert_eq!(
            (truncated.end("orders-0"), truncated.end("orders-1")),
            (132, 0)
        );
        let same = truncated.next(&cut(3, 129, 200, Health::Up));
        assert_eq!(offsets(&same, 3), [129, 130, 131]);
        let grown = same.next(&cut(3, 131, 300, Health::Up));
        assert_eq!(offsets(&grown, 3), [131]);
    }

    #[test]
    fn what_the_power_took_is_told_apart() {
        let start = Wake::default().next(&cut(4, 129, 0, Health::Up));
        let dark = start.next(&cut(4, 127, 100, Health::Down));
        assert!(
            dark.of(4, "orders-0")
                .iter()
                .all(|x| x.1 == Gone::PowerLost)
        );
        assert_eq!(offsets(&dark, 4), [127, 128]);
    }

    #[test]
    fn going_back_in_time_forgets() {
        let start = Wake::default().next(&cut(3, 132, 500, Health::Up));
        let truncated = start.next(&cut(3, 129, 600, Health::Up));
        let back = truncated.next(&cut(3, 132, 0, Health::Up));
        assert_eq!(offsets(&back, 3), [0i64; 0]);
        let shorter = back.next(&cut(3, 132, 100, Health::Up));
        assert_eq!(offsets(&shorter, 3), [0i64; 0]);
    }
}
