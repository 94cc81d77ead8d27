//! An M/M/1 queue at 80 % load: one timer for arrivals, one for service, both exponential.

use super::Case;
use serde::Serialize;
use sim_core::kernel::{
    Cx, Digest, Input, LinkProfile, Loss, Message, NodeId, Process, Purpose, Scratch, World, draw,
    exponential,
};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const ARRIVAL: Purpose = Purpose::named("mm1.arrival");
const SERVICE: Purpose = Purpose::named("mm1.service");
const SEED: u64 = 1;
/// Mean gap between arrivals, and mean service time, ns.
const MEANS: (u64, u64) = (1_000_000, 800_000);

fn gap(n: u64) -> u64 {
    exponential(draw(SEED, ARRIVAL, 0, 0, n), MEANS.0)
}

fn service(n: u64) -> u64 {
    exponential(draw(SEED, SERVICE, 0, 0, n), MEANS.1)
}

pub(super) fn case() -> Case {
    Case {
        name: "M/M/1 at 80 % load",
        by_loop,
        by_engine,
    }
}

fn by_loop(events: u64) -> u64 {
    let mut heap = BinaryHeap::new();
    let (mut next, mut arrived, mut served, mut waiting, mut seen) = (1_u64, 0, 0, 0_u64, 0_u64);
    heap.push(Reverse((gap(0), 0_u64, true)));
    for _ in 0..events {
        let Some(Reverse((at, _, arrival))) = heap.pop() else {
            break;
        };
        if arrival {
            arrived += 1;
            waiting += 1;
            heap.push(Reverse((at + gap(arrived), next, true)));
            next += 1;
            if waiting == 1 {
                heap.push(Reverse((at + service(served), next, false)));
                next += 1;
            }
        } else {
            served += 1;
            waiting -= 1;
            if waiting > 0 {
                heap.push(Reverse((at + service(served), next, false)));
                next += 1;
            }
        }
        seen += waiting;
    }
    seen
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Nothing;

impl Message for Nothing {
    fn label(&self) -> &'static str {
        "Nothing"
    }
    fn bytes(&self) -> u64 {
        0
    }
    fn fingerprint(&self, _: &mut Digest) {}
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Tick {
    Arrival,
    Done,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Server {
    arrived: u64,
    served: u64,
    waiting: u64,
    seen: u64,
}

impl Process for Server {
    type Msg = Nothing;
    type Timer = Tick;
    type Order = ();
    type Note = ();

    fn on(&mut self, input: Input<Nothing, Tick, ()>, cx: &mut Cx<'_, Self>) {
        match input {
            Input::Boot => {
                cx.set_timer(gap(0), Tick::Arrival);
                return;
            }
            Input::Timer(Tick::Arrival) => {
                self.arrived += 1;
                self.waiting += 1;
                cx.set_timer(gap(self.arrived), Tick::Arrival);
                if self.waiting == 1 {
                    cx.set_timer(service(self.served), Tick::Done);
                }
            }
            Input::Timer(Tick::Done) => {
                self.served += 1;
                self.waiting -= 1;
                if self.waiting > 0 {
                    cx.set_timer(service(self.served), Tick::Done);
                }
            }
            _ => {}
        }
        self.seen += self.waiting;
    }

    fn crash(&mut self, _: Loss) {}
}

fn by_engine(events: u64) -> u64 {
    let mut world = World::new(SEED, LinkProfile::default());
    world.add(Server {
        arrived: 0,
        served: 0,
        waiting: 0,
        seen: 0,
    });
    let mut scratch = Scratch::default();
    world.boot(&mut scratch);
    for _ in 0..events {
        world.step(&mut scratch);
    }
    world.process(NodeId(0)).map_or(0, |server| server.seen)
}
