//! What a workbench's run does under the hand: deeds, undo, branches, pace, looking ahead.

use super::*;

const TEXT: &str = HOME;
const SECOND: u64 = 1_000_000_000;

fn host() -> Host {
    Host::open(Recipe::of(TEXT), 1.0).expect("the home page's scenario opens")
}

fn kill() -> Deed {
    Deed::Crash(sim_core::kernel::NodeId(0))
}

#[test]
fn a_deed_at_the_head_changes_the_run_in_place_and_is_undone() {
    let mut host = host();
    host.seek(2 * SECOND);
    host.act(kill(), "Kill b1").expect("it can be killed");
    assert_eq!(
        (host.branches().len(), host.undo_label()),
        (1, Some("Kill b1"))
    );
    assert_eq!(host.undo().as_deref(), Some("Kill b1"));
    assert!(host.session().recipe().actions.is_empty());
    assert_eq!(
        (host.session().now(), host.undo_label()),
        (2 * SECOND, None)
    );
}

#[test]
fn a_look_ahead_finds_the_next_leader_and_then_the_end() {
    let mut host = host();
    host.seek(4 * SECOND);
    host.act(kill(), "Kill b1").expect("it can be killed");
    let clock = || 0.0;
    assert_eq!(host.look_ahead(1.0, clock), Ahead::Mark);
    let found = host.session().marks().pop().expect("a mark");
    assert_eq!(found.text, "b2 leads orders-0 in epoch 1");
    assert_eq!(host.session().now(), found.time);
    assert!(found.time > 8 * SECOND, "not before the session timeout");
    assert_eq!(host.look_ahead(1.0, clock), Ahead::End);
    assert_eq!(host.session().now(), host.session().duration());
    host.seek(found.time + SECOND);
    let late = std::cell::Cell::new(0.0);
    let late = || late.replace(late.get() + 10.0);
    host.act(Deed::Crash(sim_core::kernel::NodeId(1)), "Kill b2")
        .expect("it can be killed");
    assert_eq!(host.look_ahead(5.0, late), Ahead::NotYet);
}

#[test]
fn a_deed_in_the_past_keeps_the_future_as_a_run() {
    let mut host = host();
    host.seek(5 * SECOND);
    let digest = host.session().digest();
    host.seek(2 * SECOND);
    host.act(kill(), "Kill b1").expect("it can be killed");
    assert_eq!((host.branches().len(), host.current()), (2, 1));
    assert_eq!(host.branches()[0].head, 5 * SECOND);
    assert!(host.branches()[0].recipe.actions.is_empty());
    assert!(host.select_branch(0));
    host.seek(5 * SECOND);
    assert_eq!(
        host.session().digest(),
        digest,
        "the kept run is the run it was"
    );
    assert!(host.select_branch(1));
    assert_eq!(host.session().recipe().actions.len(), 1);
    host.undo();
    assert_eq!((host.branches().len(), host.current()), (1, 0));
}

#[test]
fn the_pace_keeps_what_it_owes_below_a_nanosecond() {
    let mut host = host();
    host.set_speed(0);
    host.set_playing(true);
    for _ in 0..1000 {
        host.frame(0.000_4, 5.0, || 0.0);
    }
    // 1,000 frames of 0.4 µs at a thousandth: 0.4 ns each.
    assert!(
        (399..=400).contains(&host.session().now()),
        "{}",
        host.session().now()
    );
}

#[test]
fn the_end_stops_time_and_playing_again_starts_over() {
    let mut host = host();
    host.set_speed(SPEEDS.len() - 1);
    host.set_playing(true);
    while !host.frame(100.0, 5.0, || 0.0).halted {}
    assert!(host.finished() && !host.playing());
    host.set_playing(true);
    assert_eq!(host.session().now(), 0);
}

#[test]
fn the_exported_file_runs_to_the_same_digest() {
    let mut host = host();
    host.seek(2 * SECOND);
    host.act(kill(), "Kill b1").expect("it can be killed");
    host.seek(6 * SECOND);
    let text = to_toml(host.session()).expect("it can be written");
    let mut again = open_session(Recipe::of(text)).expect("it can be read");
    again.seek(6 * SECOND);
    assert_eq!(again.digest(), host.session().digest());
}
