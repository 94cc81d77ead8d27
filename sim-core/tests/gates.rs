//! The gates of determinism, on whole clusters under faults: double run, rollback, sessions that
//! seek, fork neutrality, and links.

use sim_core::check::{FaultProfile, RunPlan};
use sim_core::kernel::{Deed, Nanos, NodeId, SECOND};
use sim_core::run::{Recipe, Run, RunScratch, Session};
use sim_core::scenario::{self, Scenario};
use sim_core::view::LineKind;
use std::sync::Arc;

const QUICKSTART: &str = include_str!("../../scenarios/quickstart.toml");
const SPLIT_BRAIN: &str = include_str!("../../scenarios/split-brain.toml");

fn read(text: &str) -> Arc<Scenario> {
    match scenario::parse(text).into_result() {
        Ok(scenario) => Arc::new(scenario),
        Err(problems) => panic!("{}", scenario::render(&problems, "story", text)),
    }
}

fn under_faults(seed: u64) -> Run {
    let scenario = read(QUICKSTART);
    let profile = FaultProfile {
        power: true,
        ..FaultProfile::of(&scenario)
    };
    let plan = RunPlan::of(Arc::clone(&scenario), seed).with_faults(&profile);
    Run::new(scenario, seed, Arc::new(plan.actions))
}

#[test]
fn the_same_run_twice_agrees_every_thousand_events() {
    for seed in 0..3 {
        let (mut a, mut b) = (under_faults(seed), under_faults(seed));
        let (mut sa, mut sb) = (RunScratch::default(), RunScratch::default());
        while a.step(&mut sa).is_some() {
            b.step(&mut sb);
            let event = a.world().executed();
            if event.is_multiple_of(1_000) {
                let (left, right) = (a.world().digest(), b.world().digest());
                assert_eq!(
                    left, right,
                    "seed {seed}: first difference before event {event}"
                );
            }
        }
        assert_eq!(
            a.world().state_digest(),
            b.world().state_digest(),
            "seed {seed}"
        );
    }
}

#[test]
fn a_clone_of_any_moment_goes_on_alike() {
    let mut run = under_faults(7);
    let mut scratch = RunScratch::default();
    let mut saved = Vec::new();
    let mut step = 0_u64;
    while run.step(&mut scratch).is_some() {
        step += 1;
        if step.is_multiple_of(2_741) {
            saved.push(run.clone());
        }
    }
    assert!(
        saved.len() >= 3,
        "the run is long enough to be cut: {step} steps"
    );
    for mut copy in saved {
        let from = copy.world().executed();
        while copy.step(&mut scratch).is_some() {}
        let (left, right) = (copy.world().state_digest(), run.world().state_digest());
        assert_eq!(left, right, "from event {from}");
        assert_eq!(copy, run, "from event {from}");
    }
}

#[test]
fn a_session_that_jumps_about_sees_what_one_that_plays_sees() {
    let open = || Session::open(Recipe::of(SPLIT_BRAIN)).expect("the story is good");
    let mut playing = open();
    let mut seen: Vec<(Nanos, String)> = Vec::new();
    for tenth in 1..=60 {
        let at = tenth * SECOND;
        playing.advance(at, u64::MAX);
        seen.push((at, playing.digest()));
    }
    let mut jumping = open();
    jumping.seek(60 * SECOND);
    for (at, digest) in seen.iter().rev().step_by(7).chain(seen.iter().step_by(11)) {
        jumping.seek(*at);
        assert_eq!(jumping.digest(), *digest, "at {at}");
        assert_eq!(jumping.now(), *at);
    }
    // Stepping back and forth over events comes back to the same place.
    jumping.seek(11 * SECOND);
    let (event, digest) = (jumping.event(), jumping.digest());
    assert!(jumping.step_back() && jumping.step_back());
    assert_ne!(jumping.digest(), digest);
    assert!(jumping.step() && jumping.step());
    assert_eq!((jumping.event(), jumping.digest()), (event, digest));
}

#[test]
fn an_act_in_the_past_makes_the_run_that_its_link_makes() {
    let mut session = Session::open(Recipe::of(QUICKSTART)).expect("the story is good");
    session.seek(10 * SECOND);
    session
        .act(Deed::Crash(NodeId(0)))
        .expect("a broker can be killed");
    session.advance(15 * SECOND, u64::MAX);
    session
        .act(Deed::Restart(NodeId(0)))
        .expect("and started again");
    session.advance(20 * SECOND, u64::MAX);
    // Back into the past, and something else: the later acts are dropped.
    session.seek(12 * SECOND);
    session
        .act(Deed::Pause(NodeId(1)))
        .expect("a broker can be frozen");
    assert_eq!(session.recipe().actions.len(), 2);
    session.advance(18 * SECOND, u64::MAX);
    let digest = session.digest();
    let link = session.recipe().to_fragment(None).expect("fits");
    assert!(
        link.len() < 2_000,
        "a typical link is short: {}",
        link.len()
    );
    let opened = Recipe::from_fragment(&link).expect("opens").recipe;
    assert_eq!(opened.time, 18 * SECOND);
    let mut other = Session::open(opened).expect("the story is good");
    other.seek(18 * SECOND);
    assert_eq!(other.digest(), digest);
    // And what was done by hand is a scenario file that runs to the same digest.
    let recipe = session.recipe();
    let acts: Vec<_> = recipe
        .actions
        .iter()
        .map(|a| (a.at, a.deed.clone()))
        .collect();
    let file = scenario::with_actions(QUICKSTART, &acts).expect("can be written");
    let mut scripted = Session::open(Recipe::of(file)).expect("the export is good");
    scripted.seek(18 * SECOND);
    assert_eq!(scripted.digest(), digest);
    // Taken back, the act leaves the run as it was.
    assert!(session.undo());
    session.seek(18 * SECOND);
    assert_ne!(session.digest(), digest);
}

#[test]
fn a_fault_on_one_link_leaves_the_draws_of_others_alone() {
    // A consumer that nobody depends on is cut off: what the producer draws must not move, so the
    // same things happen to it at the same times.
    let scenario = read(QUICKSTART);
    let kafka = scenario.kafka().expect("has a cluster");
    let clients = kafka.producers.len() + kafka.consumers.len();
    let producer = NodeId((scenario.nodes.len() - clients) as u32);
    let consumer = &scenario.nodes[scenario.nodes.len() - kafka.consumers.len()];
    let brokers: Vec<String> = scenario.nodes[..kafka.brokers.len()]
        .iter()
        .map(|name| format!("{name:?}"))
        .collect();
    let fault = format!(
        "\n[[timeline]]\nat = \"6s\"\ndo = \"partition\"\nnodes = \"{consumer}\"\nothers = [{}]\n",
        brokers.join(", ")
    );
    let events = |text: &str| {
        let scenario = read(text);
        let seed = scenario.seed;
        let mut run = Run::new(scenario, seed, Arc::new(Vec::new()));
        let mut scratch = RunScratch::default();
        let mut seen = Vec::new();
        while run.peek().is_some_and(|at| at <= 12 * SECOND) {
            if let Some(Some(done)) = run.step(&mut scratch)
                && done.node == Some(producer)
            {
                seen.push((done.time, done.kind));
            }
        }
        seen
    };
    let (calm, cut) = (events(QUICKSTART), events(&format!("{QUICKSTART}{fault}")));
    assert!(calm.len() > 100);
    assert_eq!(calm, cut);
}

/// The marks of rules on the timeline of a scenario, with their times in whole seconds.
fn rule_marks(text: &str, until: Nanos) -> Vec<(u64, String)> {
    let mut session = Session::open(Recipe::of(text.to_owned())).expect("a good scenario");
    session.seek(until);
    let marks = session.marks().into_iter();
    marks
        .filter(|mark| mark.kind == LineKind::Rule)
        .map(|mark| (mark.time / SECOND, mark.text))
        .collect()
}

#[test]
fn elections_stand_on_the_timeline_and_the_first_ones_do_not() {
    let check = |text: &str, until: Nanos, expect: &[(u64, &str)]| {
        let expect: Vec<(u64, String)> = expect.iter().map(|(t, m)| (*t, (*m).into())).collect();
        assert_eq!(rule_marks(text, until), expect);
    };
    check(QUICKSTART, 10 * SECOND, &[]);
    // Cut off at 10 s, fenced after a session timeout of 9 s.
    check(
        SPLIT_BRAIN,
        25 * SECOND,
        &[(18, "b2 leads orders-0 in epoch 1")],
    );
    let failover = include_str!("../../lessons/en/the-leader-dies/failover.toml");
    check(
        failover,
        60 * SECOND,
        &[(18, "b2 leads orders-0 in epoch 1")],
    );
}

#[test]
fn the_ledger_does_not_count_as_lost_what_a_successor_holds() {
    let failover = include_str!("../../lessons/en/the-leader-dies/failover.toml");
    let mut session = Session::open(Recipe::of(failover.to_owned())).expect("a good scenario");
    let mut before = 0;
    for second in 1..=20 {
        session.seek(second * SECOND);
        let ledger = session.ledger();
        assert_eq!(ledger.lost, 0, "at {second} s");
        assert!(
            ledger.committed >= before,
            "the line went back at {second} s"
        );
        before = ledger.committed;
    }
}
