//! Moving in a run, for whoever shows one: the workbench, and the home page before and without it.

use crate::format::spoken;
use crate::host::{Ahead, Host, Session};
use crate::lengths::within;

/// Whoever has a run on show.
pub(crate) trait Pilot: Clone + 'static {
    /// Asks or changes the host, without showing what came of it. `None` while no run is open.
    fn host<T>(&self, change: impl FnOnce(&mut Host) -> T) -> Option<T>;

    /// Shows the run's present state, and its movement if it moves.
    fn show(&self);

    /// Tells the learner something in passing.
    fn say(&self, text: String);

    /// Asks the run something.
    fn ask<T>(&self, question: impl FnOnce(&Session) -> T) -> Option<T> {
        self.host(|h| question(h.session()))
    }

    /// Moves in time, then shows it.
    fn travel<T>(&self, change: impl FnOnce(&mut Host) -> T) -> Option<T> {
        let out = self.host(change);
        self.show();
        out
    }

    /// Goes to a time and stops there.
    fn stop_at(&self, ns: u64) {
        self.travel(|h| {
            h.set_playing(false);
            h.seek(ns);
        });
    }
}

/// Which way a jump goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Towards the start.
    Back,
    /// Towards the end.
    On,
}

/// Longest that a look ahead holds the page, ms.
const LOOK_AHEAD_MS: f64 = 400.0;

/// Goes to the next mark of the timeline (fault, caption, violation, election) that way and stops
/// there. Past the last one that is known the run goes on, unseen, until something is worth one.
pub(crate) fn jump_to_mark(pilot: &impl Pilot, way: Way) {
    let to = pilot.ask(|s| {
        let (now, marks) = (s.now(), s.marks());
        let mut times = marks.iter().map(|m| m.time);
        match way {
            Way::On => times.filter(|t| *t > now).min(),
            Way::Back => times.rfind(|t| *t < now),
        }
    });
    match to.flatten() {
        Some(time) => pilot.stop_at(time),
        None if way == Way::On => look_ahead(pilot),
        None => {
            pilot.travel(|h| h.seek(0));
        }
    }
}

/// Goes to what happens next, though it has not been seen yet.
pub(crate) fn look_ahead(pilot: &impl Pilot) {
    let head = |h: &mut Host| {
        // What is known already need not be found again.
        let head = h.session().head();
        if h.session().now() < head {
            h.seek(head);
        }
        h.look_ahead(LOOK_AHEAD_MS, super::now_ms)
    };
    let found = pilot.travel(head);
    let now = pilot.ask(Session::now).unwrap_or_default();
    let nothing = match found {
        None | Some(Ahead::Mark) => return,
        Some(Ahead::End) => "Nothing more happens until the end of this run.".to_owned(),
        Some(Ahead::NotYet) => {
            format!(
                "Nothing to mark until {} yet. Press again to look further.",
                spoken(now)
            )
        }
    };
    pilot.say(nothing);
}

/// Goes to a part of the run, 0 to 1, as a pointer on the timeline says.
pub(crate) fn seek_part(pilot: &impl Pilot, part: f64) {
    pilot.travel(|h| {
        let duration = h.session().duration();
        h.seek((within(part, 0.0, 1.0) * duration as f64) as u64);
    });
}

/// A key pressed on the timeline. True if it means something there.
pub(crate) fn timeline_key(pilot: &impl Pilot, key: &str, shift: bool) -> bool {
    let times = pilot.ask(|s| (s.now(), s.duration(), s.head()));
    let (now, duration, head) = times.unwrap_or_default();
    let part = duration / 100;
    match (key, shift) {
        ("ArrowRight" | "ArrowUp", false) => {
            pilot.travel(Host::step);
        }
        ("ArrowLeft" | "ArrowDown", false) => {
            pilot.travel(Host::step_back);
        }
        ("ArrowRight" | "ArrowUp", true) => pilot.stop_at(now + part),
        ("ArrowLeft" | "ArrowDown", true) => pilot.stop_at(now.saturating_sub(part)),
        ("PageUp", _) => pilot.stop_at(now + 10 * part),
        ("PageDown", _) => pilot.stop_at(now.saturating_sub(10 * part)),
        ("Home", _) => pilot.stop_at(0),
        ("End", _) => pilot.stop_at(head),
        _ => return false,
    }
    true
}
