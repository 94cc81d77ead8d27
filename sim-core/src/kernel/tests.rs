//! The kernel's promises, on the toy system.

use super::toy::match_of_two;
use super::*;

fn run_until(world: &mut World<toy::Player>, scratch: &mut Scratch<toy::Player>, end: Nanos) {
    while world.next_time().is_some_and(|t| t <= end) {
        world.step(scratch);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_a_clone_goes_on_alike() {
    let (mut a, mut scratch) = match_of_two(7);
    run_until(&mut a, &mut scratch, 50 * MILLISECOND);
    let mut b = a.clone();
    assert_eq!(a, b);
    run_until(&mut a, &mut scratch, 100 * MILLISECOND);
    run_until(&mut b, &mut scratch, 100 * MILLISECOND);
    assert_eq!(a.digest(), b.digest());
    assert_eq!(a.state_digest(), b.state_digest());
    let (mut other, _) = match_of_two(8);
    run_until(&mut other, &mut scratch, 100 * MILLISECOND);
    assert_ne!(a.digest(), other.digest());
}

#[test]
fn a_cut_holds_messages_and_heals() {
    let (mut world, mut scratch) = match_of_two(7);
    let (a, b) = (NodeId(0), NodeId(1));
    run_until(&mut world, &mut scratch, 10 * MILLISECOND);
    world
        .apply(&Deed::Cut(a, b), &mut scratch)
        .expect("can cut");
    run_until(&mut world, &mut scratch, 30 * MILLISECOND);
    let hits = |w: &World<toy::Player>| w.nodes().iter().map(|n| n.process.hits).sum::<u64>();
    let before = hits(&world);
    assert!(world.in_flight().iter().any(|m| m.held));
    run_until(&mut world, &mut scratch, 60 * MILLISECOND);
    assert_eq!(hits(&world), before, "nothing passes a cut");
    world
        .apply(&Deed::Heal(a, b), &mut scratch)
        .expect("can heal");
    run_until(&mut world, &mut scratch, 90 * MILLISECOND);
    assert!(
        hits(&world) > before + 20,
        "the ball goes on after the heal"
    );
}

#[test]
fn a_crash_tells_peers_and_a_power_loss_does_not() {
    // At the crash of a process its peer hears of it: the reset, and the refusal of what was under
    // way to it. At a power loss it hears nothing until the machine is back.
    for (deed, told) in [
        (Deed::Crash(NodeId(1)), true),
        (Deed::PowerLoss(NodeId(1)), false),
    ] {
        let (mut world, mut scratch) = match_of_two(7);
        run_until(&mut world, &mut scratch, 10 * MILLISECOND);
        world.apply(&deed, &mut scratch).expect("can crash");
        assert!(
            world.apply(&deed, &mut scratch).is_err(),
            "it is down already"
        );
        run_until(&mut world, &mut scratch, 20 * MILLISECOND);
        assert_eq!(world.nodes()[0].process.resets > 0, told, "{deed:?}");
        world
            .apply(&Deed::Restart(NodeId(1)), &mut scratch)
            .expect("can restart");
        run_until(&mut world, &mut scratch, 30 * MILLISECOND);
        assert!(world.nodes()[0].process.resets > 0, "{deed:?}");
        let ticks = world.nodes()[1].process.ticks;
        assert!(
            (9..=10).contains(&ticks),
            "timers of the old process are gone: {ticks}"
        );
    }
}

#[test]
fn the_news_of_a_death_behind_a_cut_comes_when_it_heals() {
    let (a, b) = (NodeId(0), NodeId(1));
    let cut = || Deed::Cut(a, b);
    let cases: [(&str, Vec<Deed<()>>); 4] = [
        ("a crash behind a cut", vec![cut(), Deed::Crash(b)]),
        (
            "a cut that the reset meets on its way",
            vec![Deed::Crash(b), cut()],
        ),
        (
            "a crash and a restart behind a cut",
            vec![cut(), Deed::Crash(b), Deed::Restart(b)],
        ),
        (
            "a power loss behind a cut",
            vec![cut(), Deed::PowerLoss(b), Deed::Restart(b)],
        ),
    ];
    for (what, deeds) in cases {
        let (mut world, mut scratch) = match_of_two(7);
        run_until(&mut world, &mut scratch, 10 * MILLISECOND);
        for deed in &deeds {
            world.apply(deed, &mut scratch).expect(what);
        }
        run_until(&mut world, &mut scratch, 40 * MILLISECOND);
        let player = |world: &World<toy::Player>| world.nodes()[0].process.clone();
        assert_eq!(player(&world).resets, 0, "{what}: the cut keeps it");
        world
            .apply(&Deed::Heal(a, b), &mut scratch)
            .expect("can heal");
        run_until(&mut world, &mut scratch, 60 * MILLISECOND);
        let after = player(&world);
        assert_eq!(after.resets, 1, "{what}: the heal lets it through");
        // The ball of the dead connection is gone for good.
        let hits = after.hits;
        run_until(&mut world, &mut scratch, 90 * MILLISECOND);
        assert_eq!(player(&world).hits, hits, "{what}");
    }
}

#[test]
fn what_waited_at_a_cut_comes_before_what_is_still_on_its_way() {
    let (mut world, mut scratch) = match_of_two(7);
    let (a, b) = (NodeId(0), NodeId(1));
    let send = |world: &mut World<_>, scratch: &mut _| {
        world.apply(&Deed::Order(a, ()), scratch).expect("can send");
    };
    world
        .apply(&Deed::Cut(a, b), &mut scratch)
        .expect("can cut");
    // The first ones reach the cut; the last is between them and it when the cut heals.
    for at in [10, 12, 14] {
        run_until(&mut world, &mut scratch, at * MILLISECOND);
        send(&mut world, &mut scratch);
    }
    run_until(&mut world, &mut scratch, 14_200 * MICROSECOND);
    world
        .apply(&Deed::Heal(a, b), &mut scratch)
        .expect("can heal");
    send(&mut world, &mut scratch);
    let to_b = world.in_flight().into_iter().filter(|it| it.to == b);
    let order: Vec<u64> = to_b.map(|it| it.msg.0).collect();
    assert_eq!(order, [0, 10, 12, 14, 14], "as they were sent");
}

#[test]
fn a_pause_holds_inputs_and_a_slow_cpu_spaces_them() {
    let (mut world, mut scratch) = match_of_two(7);
    run_until(&mut world, &mut scratch, 10 * MILLISECOND);
    world
        .apply(&Deed::Pause(NodeId(1)), &mut scratch)
        .expect("can pause");
    let ticks = world.nodes()[1].process.ticks;
    run_until(&mut world, &mut scratch, 50 * MILLISECOND);
    assert_eq!(world.nodes()[1].process.ticks, ticks);
    assert!(world.nodes()[1].backlog() >= 1);
    world
        .apply(&Deed::Resume(NodeId(1)), &mut scratch)
        .expect("can resume");
    world
        .apply(&Deed::SlowCpu(NodeId(1), 5 * MILLISECOND), &mut scratch)
        .expect("can slow");
    run_until(&mut world, &mut scratch, 150 * MILLISECOND);
    let gained = world.nodes()[1].process.ticks - ticks;
    assert!(
        (8..=22).contains(&gained),
        "at most one input per 5 ms: {gained}"
    );
}

#[test]
fn taking_a_fault_away_leaves_unrelated_draws_alone() {
    // Two independent pairs; a fault on one pair must not move one event of the other.
    let run = |fault: bool| {
        let profile = LinkProfile {
            delay: MILLISECOND,
            jitter: 300 * MICROSECOND,
            per_kilobyte: 0,
        };
        let mut world = World::new(3, profile);
        for i in 0..4_u32 {
            let serves = i % 2 == 0;
            let peer = NodeId(i ^ 1);
            world.add(toy::Player {
                peer,
                serves,
                hits: 0,
                ticks: 0,
                resets: 0,
            });
        }
        let mut scratch = Scratch::default();
        world.boot(&mut scratch);
        let mut times = Vec::new();
        let mut done = false;
        while let Some(at) = world.next_time().filter(|t| *t < 80 * MILLISECOND) {
            if fault && !done && at > 20 * MILLISECOND {
                done = true;
                world
                    .apply(&Deed::Crash(NodeId(0)), &mut scratch)
                    .expect("can crash");
            }
            let event = world.step(&mut scratch).expect("an event waits");
            if event.node.is_some_and(|n| n.0 >= 2) {
                times.push(event.time);
            }
        }
        times
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn one_message_can_be_dropped_doubled_and_delayed() {
    for (what, min, max) in [
        (MessageDeed::Drop, 0, 0),
        (MessageDeed::Duplicate, 30, 50),
        (MessageDeed::Delay(5 * MILLISECOND), 10, 20),
    ] {
        let (mut world, mut scratch) = match_of_two(7);
        run_until(&mut world, &mut scratch, 10 * MILLISECOND);
        let hits = |w: &World<toy::Player>| w.nodes().iter().map(|n| n.process.hits).sum::<u64>();
        let before = hits(&world);
        let id = world.in_flight()[0].id;
        world
            .apply(&Deed::Message(id.0, what), &mut scratch)
            .expect("it is under way");
        run_until(&mut world, &mut scratch, 32 * MILLISECOND);
        let gained = hits(&world) - before;
        assert!((min..=max).contains(&gained), "{what:?}: {gained}");
    }
}

#[test]
fn clocks_drift_and_skew_in_integers() {
    let (mut world, mut scratch) = match_of_two(7);
    world
        .apply(&Deed::Drift(NodeId(0), 100_000_000), &mut scratch)
        .expect("can drift");
    world
        .apply(&Deed::Skew(NodeId(1), -3_000_000), &mut scratch)
        .expect("can skew");
    run_until(&mut world, &mut scratch, 110 * MILLISECOND);
    // 10 % fast: 120 ticks of its own millisecond in 110 ms.
    let ticks = world.nodes()[0].process.ticks;
    assert!((119..=121).contains(&ticks), "{ticks}");
    assert_eq!(world.clock(NodeId(1)).wall(10_000_000), 7_000_000);
}

#[test]
fn what_left_a_dying_process_arrives_and_then_the_reset() {
    let (mut world, mut scratch) = match_of_two(7);
    // Until the ball is on its way from 1 to 0.
    while !world.in_flight().iter().any(|m| m.from == NodeId(1)) {
        world.step(&mut scratch);
    }
    let hits = world.nodes()[0].process.hits;
    world
        .apply(&Deed::Crash(NodeId(1)), &mut scratch)
        .expect("can crash");
    let now = world.now();
    run_until(&mut world, &mut scratch, now + 5 * MILLISECOND);
    let player = &world.nodes()[0].process;
    assert_eq!(
        (player.hits, player.resets),
        (hits + 1, 2),
        "the ball, its reset, the refusal"
    );
}
