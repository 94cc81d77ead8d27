//! A thousand processes in pairs, each pair passing one ball.

use super::Case;
use serde::Serialize;
use sim_core::kernel::{
    Cx, Digest, Input, LinkProfile, Loss, Message, NodeId, Process, Scratch, World,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const NODES: u32 = 1_000;

/// Delay of the link that starts at a node, ns: all different, so that the queue stays mixed.
fn delay(from: u32) -> u64 {
    1_000 + u64::from(from)
}

pub(super) fn case() -> Case {
    Case {
        name: "ping-pong among 1,000 processes",
        by_loop,
        by_engine,
    }
}

fn by_loop(events: u64) -> u64 {
    let mut heap = BinaryHeap::new();
    let mut hits = vec![0_u64; NODES as usize];
    let mut next = 0_u64;
    for from in (0..NODES).step_by(2) {
        heap.push(Reverse((delay(from), next, from + 1, 0_u64)));
        next += 1;
    }
    for _ in 0..events {
        let Some(Reverse((at, _, node, ball))) = heap.pop() else {
            break;
        };
        hits[node as usize] += 1;
        heap.push(Reverse((at + delay(node), next, node ^ 1, ball + 1)));
        next += 1;
    }
    hits.iter().zip(1..).map(|(n, i): (&u64, u64)| n * i).sum()
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Ball(u64);

impl Message for Ball {
    fn label(&self) -> &'static str {
        "Ball"
    }
    fn bytes(&self) -> u64 {
        8
    }
    fn fingerprint(&self, digest: &mut Digest) {
        digest.word(self.0);
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Player {
    peer: NodeId,
    serves: bool,
    hits: u64,
}

impl Process for Player {
    type Msg = Ball;
    type Timer = ();
    type Order = ();
    type Note = ();

    fn on(&mut self, input: Input<Ball, (), ()>, cx: &mut Cx<'_, Self>) {
        match input {
            Input::Boot if self.serves => cx.send(self.peer, Ball(0)),
            Input::Message { from, msg } => {
                self.hits += 1;
                cx.send(from, Ball(msg.0 + 1));
            }
            _ => {}
        }
    }

    fn crash(&mut self, _: Loss) {}
}

fn by_engine(events: u64) -> u64 {
    let mut world = World::new(1, LinkProfile::default());
    for i in 0..NODES {
        world.add(Player {
            peer: NodeId(i ^ 1),
            serves: i % 2 == 0,
            hits: 0,
        });
    }
    for i in 0..NODES {
        let profile = LinkProfile {
            delay: delay(i),
            jitter: 0,
            per_kilobyte: 0,
        };
        world.set_profile(NodeId(i), NodeId(i ^ 1), profile);
    }
    let mut scratch = Scratch::default();
    world.boot(&mut scratch);
    for _ in 0..events {
        world.step(&mut scratch);
    }
    assert_ne!(world.digest(), 0, "the digest is computed");
    world
        .nodes()
        .iter()
        .zip(1..)
        .map(|(slot, i): (_, u64)| slot.process.hits * i)
        .sum()
}
