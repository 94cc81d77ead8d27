//! Three controllers under a hail of faults: at most one leader an epoch, nothing committed is
//! lost, and once all is healed the quorum works again.

use super::tests::Quorum;
use super::*;
use crate::kafka::node::Order;
use crate::kernel::{Deed, LinkChange, NodeState, Purpose, SECOND, below, draw};
use crate::log::Batch;
use crate::systems;

const CHAOS: Purpose = Purpose::named("test.chaos");

/// Random faults, one every half second, and config changes as a load.
struct Chaos {
    quorum: Quorum,
    seed: u64,
    drawn: u64,
    /// What some controller has committed.
    committed: Vec<Batch<MetadataRecord>>,
}

impl Chaos {
    fn below(&mut self, n: u64) -> u64 {
        self.drawn += 1;
        below(draw(self.seed, CHAOS, 0, 0, self.drawn), n)
    }

    fn node(&mut self) -> NodeId {
        NodeId(u32::try_from(self.below(3)).expect("below 3"))
    }

    fn try_apply(&mut self, deed: &Deed<systems::Order>) {
        // What cannot be done now (crash of a node that is down) is skipped.
        let _ = self.quorum.world.apply(deed, &mut self.quorum.scratch);
    }

    fn fault(&mut self) {
        let (a, b) = (self.node(), self.node());
        let ppm = u32::try_from(self.below(50_000)).expect("below 50,000");
        let change = match self.below(4) {
            0 => LinkChange {
                loss_ppm: Some(ppm),
                ..LinkChange::default()
            },
            1 => LinkChange {
                duplicate_ppm: Some(ppm),
                ..LinkChange::default()
            },
            2 => LinkChange {
                reorder_ppm: Some(ppm),
                ..LinkChange::default()
            },
            _ => LinkChange {
                slow_by: Some(u64::from(ppm) * 10_000),
                ..LinkChange::default()
            },
        };
        let deed = match self.below(12) {
            0 => Deed::Crash(a),
            1 => Deed::PowerLoss(a),
            2..4 => Deed::Restart(a),
            4 => Deed::Cut(a, b),
            5 => Deed::Heal(a, b),
            6 => Deed::Pause(a),
            7..9 => Deed::Resume(a),
            9 => Deed::SlowDisk(a, self.below(2) * 100_000),
            10 => Deed::Drift(
                a,
                200_000_000 - i64::try_from(self.below(400_000_000)).unwrap_or(0),
            ),
            _ => Deed::Link(a, b, change),
        };
        if a != b || !matches!(deed, Deed::Cut(..) | Deed::Heal(..) | Deed::Link(..)) {
            self.try_apply(&deed);
        }
    }

    fn load(&mut self) {
        let value = Some(self.below(1_000_000).to_string());
        for node in self.quorum.active() {
            let order = Order::AlterConfig {
                topic: None,
                key: "min.insync.replicas".to_owned(),
                value: value.clone(),
            };
            self.try_apply(&Deed::Order(NodeId(node), order.into()));
        }
    }

    /// What any controller has committed is what all have committed there.
    fn check_committed(&mut self) {
        for node in 0..3 {
            let meta = self.quorum.controller(node).metadata();
            let end = meta.high_watermark().unwrap_or(0);
            let known = self.committed.last().map_or(0, Batch::next_offset);
            for batch in meta.log().batches_from(0) {
                if batch.next_offset() > end {
                    break;
                }
                if batch.base_offset >= known {
                    self.committed.push(batch.clone());
                    continue;
                }
                let same = self
                    .committed
                    .binary_search_by_key(&batch.base_offset, |b| b.base_offset)
                    .is_ok_and(|at| self.committed[at] == *batch);
                assert!(
                    same,
                    "seed {}: {batch:?} replaced a committed one",
                    self.seed
                );
            }
        }
    }

    fn heal(&mut self) {
        self.try_apply(&Deed::HealAll);
        for node in (0..3).map(NodeId) {
            match self.quorum.world.nodes()[node.0 as usize].state {
                NodeState::Up => {}
                NodeState::Paused => self.try_apply(&Deed::Resume(node)),
                NodeState::Down { .. } => self.try_apply(&Deed::Restart(node)),
            }
            self.try_apply(&Deed::SlowDisk(node, 0));
            self.try_apply(&Deed::Drift(node, 0));
        }
    }
}

#[test]
fn faults_cost_time_and_nothing_else() {
    let mut elections = 0;
    let mut committed = 0;
    for seed in 0..60 {
        let mut chaos = Chaos {
            quorum: Quorum::boot(seed, BrokerConfig::default()),
            seed,
            drawn: 0,
            committed: Vec::new(),
        };
        let mut now = 0;
        for _ in 0..120 {
            now += SECOND / 2;
            chaos.quorum.run(now);
            chaos.fault();
            chaos.load();
            chaos.check_committed();
        }
        chaos.heal();
        chaos.quorum.run(now + 20 * SECOND);
        chaos.load();
        chaos.quorum.run(now + 22 * SECOND);
        chaos.check_committed();
        assert_eq!(
            chaos.quorum.active().len(),
            1,
            "seed {seed}: no leader after the heal"
        );
        let ends: Vec<_> = (0..3)
            .map(|n| chaos.quorum.controller(n).metadata())
            .map(|m| (m.leo(), m.high_watermark()))
            .collect();
        assert!(
            ends.iter().all(|end| *end == ends[0]),
            "seed {seed}: {ends:?}"
        );
        elections += chaos.quorum.count(Rule::QuorumLeader);
        committed += chaos.committed.len();
    }
    assert!(
        elections > 300,
        "the faults were too gentle: {elections} elections"
    );
    assert!(
        committed > 2_000,
        "the load was too small: {committed} batches"
    );
}

#[test]
fn a_voter_that_was_away_long_gets_a_snapshot() {
    let config = BrokerConfig {
        snapshot_bytes: 2_000,
        ..BrokerConfig::default()
    };
    let mut chaos = Chaos {
        quorum: Quorum::boot(5, config),
        seed: 5,
        drawn: 0,
        committed: Vec::new(),
    };
    chaos.quorum.run(4 * SECOND);
    let leader = chaos.quorum.active()[0];
    let away = (leader + 1) % 3;
    for wiped in [false, true] {
        let start = chaos.quorum.world.now();
        chaos.try_apply(&Deed::PowerLoss(NodeId(away)));
        if wiped {
            chaos.try_apply(&Deed::WipeDisk(NodeId(away)));
        }
        for step in 0..60 {
            chaos.load();
            chaos.quorum.run(start + step * SECOND / 10);
        }
        let from = chaos
            .quorum
            .controller(leader)
            .metadata()
            .log()
            .start_offset();
        assert!(from > chaos.quorum.controller(away).log_end());
        chaos.try_apply(&Deed::Restart(NodeId(away)));
        chaos.quorum.run(start + 20 * SECOND);
        let (there, here) = (
            chaos.quorum.controller(leader),
            chaos.quorum.controller(away),
        );
        assert_eq!(there.image(), here.image());
        assert_eq!(here.metadata().log().start_offset(), from);
    }
}
