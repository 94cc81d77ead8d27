//! A toy system for the kernel's own tests: nodes that pass a counter on.

use super::*;
use serde::Serialize;

/// A number under way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Ball(pub(super) u64);

impl Message for Ball {
    fn label(&self) -> &'static str {
        "Ball"
    }
    fn bytes(&self) -> u64 {
        8
    }
}

/// Passes each ball on to its peer, and ticks once a millisecond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Player {
    pub(super) peer: NodeId,
    pub(super) serves: bool,
    pub(super) hits: u64,
    pub(super) ticks: u64,
    pub(super) resets: u64,
}

impl Process for Player {
    type Msg = Ball;
    type Timer = ();
    type Order = ();
    type Note = u64;

    fn on(&mut self, input: Input<Ball, (), ()>, cx: &mut Cx<'_, Self>) {
        match input {
            Input::Boot => {
                cx.set_timer(MILLISECOND, ());
                if self.serves {
                    cx.send(self.peer, Ball(0));
                }
            }
            Input::Message { from, msg } => {
                self.hits += 1;
                cx.note(msg.0);
                cx.send(from, Ball(msg.0 + 1));
            }
            Input::Timer(()) => {
                self.ticks += 1;
                cx.set_timer(MILLISECOND, ());
            }
            Input::Disconnected(_) => self.resets += 1,
            // Numbered by when it was sent.
            Input::Order(()) => cx.send(self.peer, Ball(self.ticks)),
        }
    }

    fn crash(&mut self, _loss: Loss) {
        self.hits = 0;
        self.ticks = 0;
    }
}

/// Two players, 1 ms apart, with jitter.
pub(super) fn match_of_two(seed: u64) -> (World<Player>, Scratch<Player>) {
    let profile = LinkProfile {
        delay: MILLISECOND,
        jitter: 200 * MICROSECOND,
        per_kilobyte: 0,
    };
    let mut world = World::new(seed, profile);
    let player = |peer, serves| Player {
        peer: NodeId(peer),
        serves,
        hits: 0,
        ticks: 0,
        resets: 0,
    };
    world.add(player(1, true));
    world.add(player(0, false));
    let mut scratch = Scratch::default();
    world.boot(&mut scratch);
    (world, scratch)
}
