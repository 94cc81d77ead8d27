//! The code that acts a job out, as a table of functions, and the node that carries it.
//!
//! A world without a job does not link a stream processor: what is shared by all systems calls one
//! through [`StreamParts`] alone, which only the reader of scenarios names. State lies
//! [`Apart`](crate::apart::Apart) for the same reason.

use super::node::{Machine, Order, Timer};
use super::note::Note;
use super::protocol::Packet;
use super::scenario::Probe;
use super::spec::JobSpec;
use super::wire::{Msg, WireCx};
use crate::apart::Apart;
use crate::kernel::{Input, Loss, NodeId, World};
use crate::scenario::Value;
use crate::systems;
use crate::view::{EventTimePlot, JobView, NodeView, StageQuery, Token};
use serde::{Serialize, Serializer};
use std::fmt;

/// The code.
#[derive(Clone, Copy)]
pub struct StreamParts(&'static Table);

/// A note's machine and words.
type Words = fn(&Note, &World<systems::Node>, &[String]) -> (String, String);

struct Table {
    name: &'static str,
    populate: fn(&JobSpec, &mut World<systems::Node>),
    on: fn(&mut Machine, Input<Msg, Timer, Order>, &mut WireCx<'_>),
    adopt: fn(systems::Msg) -> Option<Msg>,
    crash: fn(&mut Machine, Loss),
    weight: fn(&Machine) -> usize,
    unshared: fn(&World<systems::Node>, &World<systems::Node>) -> usize,
    handled: fn(&World<systems::Node>) -> u64,
    refuse: fn(&Machine, &Order) -> Option<String>,
    value: fn(&World<systems::Node>, &Probe) -> Value,
    reason: fn(&World<systems::Node>, &Probe) -> Option<String>,
    view: fn(&World<systems::Node>, NodeId, &Machine, (&str, &StageQuery)) -> NodeView,
    token: fn(&Packet, Token) -> Token,
    words: Words,
    milestone: fn(&Note, &World<systems::Node>) -> Option<String>,
    offers: fn(&Machine) -> Vec<(&'static str, &'static str, Order)>,
    job: fn(&World<systems::Node>) -> Option<JobView>,
    control: fn(&World<systems::Node>) -> String,
    plots: fn(&World<systems::Node>) -> bool,
    plot: fn(&Note, &World<systems::Node>, &mut EventTimePlot),
    plotted: fn(&mut EventTimePlot),
}

static EVERYTHING: Table = Table {
    name: "everything",
    populate: super::cluster::populate,
    on: super::wire::deliver,
    adopt: super::wire::adopt,
    crash: Machine::crash,
    weight: Machine::weight,
    unshared: super::weight::unshared,
    handled: super::weight::handled,
    refuse: Machine::refuse,
    value: super::facts::value,
    reason: super::facts::reason,
    view: super::view::node,
    token: super::view::token,
    words: super::why::words,
    milestone: super::why::milestone,
    offers: super::view::offers,
    job: super::view::job,
    control: super::view::control,
    plots: super::view::plots,
    plot: super::view::plot,
    plotted: super::view::finish,
};

impl StreamParts {
    /// All of it.
    pub const EVERYTHING: StreamParts = StreamParts(&EVERYTHING);

    /// The code of a world's job, if it has one.
    #[must_use]
    pub fn of(world: &World<systems::Node>) -> Option<StreamParts> {
        let mut nodes = world.nodes().iter();
        nodes.find_map(|slot| match &slot.process {
            systems::Node::Stream(node) => Some(node.parts),
            _ => None,
        })
    }

    /// Adds a job's machines to a world.
    pub fn populate(self, spec: &JobSpec, world: &mut World<systems::Node>) {
        (self.0.populate)(spec, world);
    }

    /// About how many bytes a copy of the job's keyed state takes besides what it shares with an
    /// earlier one.
    #[must_use]
    pub fn unshared(self, world: &World<systems::Node>, before: &World<systems::Node>) -> usize {
        (self.0.unshared)(world, before)
    }

    /// How many records the operators that run have been handed.
    #[must_use]
    pub fn handled(self, world: &World<systems::Node>) -> u64 {
        (self.0.handled)(world)
    }

    /// The answer to a predicate's question.
    #[must_use]
    pub fn value(self, world: &World<systems::Node>, probe: &Probe) -> Value {
        (self.0.value)(world, probe)
    }

    /// Why that answer is not the one hoped for, in words.
    #[must_use]
    pub fn reason(self, world: &World<systems::Node>, probe: &Probe) -> Option<String> {
        (self.0.reason)(world, probe)
    }

    /// A note's machine and words.
    #[must_use]
    pub fn words(
        self,
        note: &Note,
        world: &World<systems::Node>,
        names: &[String],
    ) -> (String, String) {
        (self.0.words)(note, world, names)
    }

    /// A note as a mark on the timeline, if it is worth one.
    #[must_use]
    pub fn milestone(self, note: &Note, world: &World<systems::Node>) -> Option<String> {
        (self.0.milestone)(note, world)
    }

    /// The job as a graph.
    #[must_use]
    pub fn job(self, world: &World<systems::Node>) -> Option<JobView> {
        (self.0.job)(world)
    }

    /// One line on the job, where no cluster stands beside it.
    #[must_use]
    pub fn control(self, world: &World<systems::Node>) -> String {
        (self.0.control)(world)
    }

    /// Whether an operator of the job judges records.
    #[must_use]
    pub fn plots(self, world: &World<systems::Node>) -> bool {
        (self.0.plots)(world)
    }

    /// Puts what a note says onto the plot of event time.
    pub fn plot(self, note: &Note, world: &World<systems::Node>, plot: &mut EventTimePlot) {
        (self.0.plot)(note, world, plot);
    }

    /// Ends a plot.
    pub fn plotted(self, plot: &mut EventTimePlot) {
        (self.0.plotted)(plot);
    }

    /// A message as a token: its shape, name and records written onto `token`.
    #[must_use]
    pub fn token(self, packet: &Packet, token: Token) -> Token {
        (self.0.token)(packet, token)
    }
}

/// A machine of a job in a world.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Node {
    machine: Apart<Machine>,
    parts: StreamParts,
}

impl Node {
    /// A machine with its code.
    #[must_use]
    pub fn new(machine: Machine, parts: StreamParts) -> Self {
        Node {
            machine: Apart::new(machine),
            parts,
        }
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Handles an input.
    pub fn on(&mut self, input: Input<Msg, Timer, Order>, cx: &mut WireCx<'_>) {
        (self.parts.0.on)(&mut self.machine, input, cx);
    }

    /// A message of another system, as a machine of this one understands it: some have clients of
    /// a Kafka cluster in their processes.
    #[must_use]
    pub fn adopt(&self, foreign: systems::Msg) -> Option<Msg> {
        (self.parts.0.adopt)(foreign)
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        (self.parts.0.crash)(&mut self.machine, loss);
    }

    /// About how many bytes a copy takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        (self.parts.0.weight)(&self.machine)
    }

    /// Why an order cannot be given now, if so.
    #[must_use]
    pub fn refuse(&self, order: &Order) -> Option<String> {
        (self.parts.0.refuse)(&self.machine, order)
    }

    /// The machine as a card.
    #[must_use]
    pub fn view(
        &self,
        world: &World<systems::Node>,
        id: NodeId,
        name: &str,
        query: &StageQuery,
    ) -> NodeView {
        (self.parts.0.view)(world, id, &self.machine, (name, query))
    }

    /// Orders that it takes: id, words, order.
    #[must_use]
    pub fn offers(&self) -> Vec<(&'static str, &'static str, Order)> {
        (self.parts.0.offers)(&self.machine)
    }
}

impl PartialEq for StreamParts {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for StreamParts {}

impl fmt::Debug for StreamParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Serialize for StreamParts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Code is not state.
        serializer.serialize_unit()
    }
}
