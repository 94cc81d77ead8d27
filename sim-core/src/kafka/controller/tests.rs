//! Three controllers alone in a world, under the faults that elections are made for.

use super::*;
use crate::kafka::metadata::ConfigResource;
use crate::kafka::note::Rule;
use crate::kernel::{Deed, LinkProfile, SECOND, Scratch, World};
use crate::{kafka, systems};

const IDS: [BrokerId; 3] = [101, 102, 103];

pub(super) struct Quorum {
    pub(super) world: World<systems::Node>,
    pub(super) scratch: Scratch<systems::Node>,
    /// (time, node, rule, after) of every note so far.
    pub(super) notes: Vec<(Nanos, NodeId, Rule, i64)>,
}

impl Quorum {
    pub(super) fn boot(seed: u64, config: BrokerConfig) -> Self {
        let profile = LinkProfile {
            delay: MILLISECOND,
            jitter: MILLISECOND,
            per_kilobyte: 0,
        };
        let mut world = World::new(seed, profile);
        let controllers = (0..3).map(|i| (IDS[i], NodeId(i as u32))).collect();
        let book = Arc::new(AddressBook {
            racks: Vec::new(),
            topics: Vec::new(),
            brokers: Vec::new(),
            controllers,
        });
        let bootstrap = vec![MetadataRecord::Config {
            resource: ConfigResource::Cluster,
            key: "min.insync.replicas".to_owned(),
            value: Some("2".to_owned()),
        }];
        let config = Arc::new(config);
        for id in IDS {
            let controller = Controller::new(
                id,
                Arc::clone(&book),
                Arc::clone(&config),
                Arc::new(ReplicationRules::default()),
                bootstrap.clone(),
                crate::kafka::parts::Parts::default(),
            );
            world.add(systems::Node::Kafka(kafka::Node::Controller(Box::new(
                controller,
            ))));
        }
        let mut scratch = Scratch::default();
        world.boot(&mut scratch);
        Quorum {
            world,
            scratch,
            notes: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, until: Nanos) {
        while self.world.next_time().is_some_and(|at| at <= until) {
            let event = self.world.step(&mut self.scratch).expect("an event waits");
            for note in &self.scratch.notes {
                if let systems::Note::Kafka(Note::Rule {
                    node, rule, after, ..
                }) = note
                {
                    self.notes.push((event.time, *node, *rule, *after));
                }
            }
            self.one_leader_per_epoch();
        }
    }

    pub(super) fn apply(&mut self, deed: Deed<systems::Order>) {
        self.world
            .apply(&deed, &mut self.scratch)
            .expect("the deed can be done");
    }

    pub(super) fn controller(&self, node: u32) -> &Controller {
        match self.world.process(NodeId(node)) {
            Some(systems::Node::Kafka(kafka::Node::Controller(c))) => c,
            other => panic!("no controller at {node}: {other:?}"),
        }
    }

    pub(super) fn active(&self) -> Vec<u32> {
        (0..3).filter(|n| self.controller(*n).is_active()).collect()
    }

    pub(super) fn count(&self, rule: Rule) -> usize {
        self.notes.iter().filter(|(_, _, r, _)| *r == rule).count()
    }

    /// Raft's election safety, over the whole run: no epoch has two leaders.
    fn one_leader_per_epoch(&self) {
        let mut leaders = BTreeMap::new();
        for (_, node, rule, epoch) in &self.notes {
            if *rule == Rule::QuorumLeader {
                let first = *leaders.entry(*epoch).or_insert(*node);
                assert_eq!(first, *node, "two leaders of epoch {epoch}");
            }
        }
    }

    /// All logs agree on what is committed.
    pub(super) fn committed_prefixes_agree(&self) {
        let logs: Vec<_> = (0..3).map(|n| self.controller(n).metadata()).collect();
        for a in &logs {
            for b in &logs {
                let end = a.high_watermark().min(b.high_watermark()).unwrap_or(0);
                let committed = |m: &MetadataReplica| -> Vec<_> {
                    let below = |batch: &&crate::log::Batch<_>| batch.next_offset() <= end;
                    m.log().batches_from(0).filter(below).cloned().collect()
                };
                assert_eq!(committed(a), committed(b));
            }
        }
    }
}

fn each_seed(check: impl Fn(u64, Quorum)) {
    for seed in 0..50 {
        let mut quorum = Quorum::boot(seed, BrokerConfig::default());
        quorum.run(4 * SECOND);
        check(seed, quorum);
    }
}

#[test]
fn one_election_at_the_start_and_none_after() {
    each_seed(|seed, mut quorum| {
        assert_eq!(quorum.active().len(), 1, "seed {seed}");
        let claimed = quorum.notes.iter().find(|n| n.2 == Rule::ControllerActive);
        let at = claimed.expect("somebody claims").0;
        assert!((SECOND..3 * SECOND).contains(&at), "seed {seed}: {at}");
        let elections = quorum.count(Rule::QuorumLeader);
        quorum.run(60 * SECOND);
        assert_eq!(quorum.count(Rule::QuorumLeader), elections, "seed {seed}");
        for node in 0..3 {
            let image = quorum.controller(node).image();
            assert_eq!(
                image.config(Default::default(), "min.insync.replicas"),
                Some("2")
            );
        }
        quorum.committed_prefixes_agree();
    });
}

/// The followers' fetch timeouts end together, so that votes split now and then: most elections
/// are over after 1.5 to 4 s, a few need another round.
#[test]
fn killing_the_leader_elects_another() {
    let mut slow = 0;
    for seed in 0..50 {
        for deed in [Deed::Crash, Deed::PowerLoss] {
            let mut quorum = Quorum::boot(seed, BrokerConfig::default());
            quorum.run(4 * SECOND);
            let killed = quorum.active()[0];
            quorum.apply(deed(NodeId(killed)));
            quorum.run(11 * SECOND);
            let active = quorum.active();
            assert_eq!(active.len(), 1, "seed {seed}: {active:?}");
            let claims = quorum
                .notes
                .iter()
                .filter(|n| n.2 == Rule::ControllerActive);
            let claims: Vec<Nanos> = claims.map(|n| n.0).collect();
            assert_eq!(claims.len(), 2, "seed {seed}");
            let took = claims[1] - 4 * SECOND;
            assert!(
                (SECOND..6 * SECOND).contains(&took),
                "seed {seed}: {took} ns"
            );
            slow += u32::from(took > 4 * SECOND);
            quorum.apply(Deed::Restart(NodeId(killed)));
            quorum.run(20 * SECOND);
            assert_eq!(
                quorum.active(),
                active,
                "seed {seed}: the old leader follows"
            );
            quorum.committed_prefixes_agree();
        }
    }
    assert!(slow <= 5, "{slow} of 100 elections took more than 4 s");
}

#[test]
fn without_a_majority_nobody_leads() {
    each_seed(|seed, mut quorum| {
        let leader = quorum.active()[0];
        let others: Vec<u32> = (0..3).filter(|n| *n != leader).collect();
        for node in &others {
            quorum.apply(Deed::Crash(NodeId(*node)));
        }
        quorum.run(30 * SECOND);
        assert!(
            quorum.active().is_empty(),
            "seed {seed}: the leader resigns"
        );
        let elections = quorum.count(Rule::QuorumLeader);
        let epoch = quorum.controller(leader).quorum_epoch();
        quorum.run(60 * SECOND);
        assert_eq!(quorum.count(Rule::QuorumLeader), elections, "seed {seed}");
        assert_eq!(
            quorum.controller(leader).quorum_epoch(),
            epoch,
            "pre-votes only"
        );
        quorum.apply(Deed::Restart(NodeId(others[0])));
        quorum.run(70 * SECOND);
        assert_eq!(quorum.active().len(), 1, "seed {seed}: a majority again");
        quorum.apply(Deed::Restart(NodeId(others[1])));
        quorum.run(80 * SECOND);
        quorum.committed_prefixes_agree();
    });
}

#[test]
fn a_voter_that_was_alone_disturbs_nobody() {
    each_seed(|seed, mut quorum| {
        let leader = quorum.active()[0];
        let epoch = quorum.controller(leader).quorum_epoch();
        let lonely = (leader + 1) % 3;
        let others = (0..3).filter(|n| *n != lonely).map(NodeId).collect();
        quorum.apply(Deed::Partition(vec![NodeId(lonely)], others));
        quorum.run(30 * SECOND);
        assert!(quorum.count(Rule::QuorumProspective) > 2, "it tried");
        quorum.apply(Deed::HealAll);
        quorum.run(60 * SECOND);
        assert_eq!(quorum.active(), [leader], "seed {seed}");
        for node in 0..3 {
            assert_eq!(quorum.controller(node).quorum_epoch(), epoch, "seed {seed}");
        }
        quorum.committed_prefixes_agree();
    });
}

#[test]
fn an_isolated_leader_resigns_and_rejoins() {
    each_seed(|seed, mut quorum| {
        let old = quorum.active()[0];
        let others = (0..3).filter(|n| *n != old).map(NodeId).collect();
        quorum.apply(Deed::Partition(vec![NodeId(old)], others));
        quorum.run(12 * SECOND);
        let active = quorum.active();
        assert_eq!(active.len(), 1, "seed {seed}: {active:?}");
        assert_ne!(active, [old], "seed {seed}");
        quorum.apply(Deed::HealAll);
        quorum.run(40 * SECOND);
        assert_eq!(quorum.active().len(), 1, "seed {seed}");
        quorum.committed_prefixes_agree();
        let ends: Vec<i64> = (0..3).map(|n| quorum.controller(n).log_end()).collect();
        assert!(
            ends.iter().all(|end| *end == ends[0]),
            "seed {seed}: {ends:?}"
        );
    });
}
