//! What a system brings to the scenario language.
//!
//! A later system implements [`SystemSection`] in its own folder and names it in the register of
//! systems; nothing here is changed for it.

use super::declare::Key;
use super::model::TimelineEntry;
use super::predicate::{NodeName, Property};
use super::reader::{At, Raw, Reader};
use super::verbs::{Args, Verb};
use crate::kernel::{Nanos, NodeId};
use crate::systems::{Order, Spec};
use std::ops::Range;

/// What was read from a section.
pub(crate) struct Section {
    /// The system, as far as it could be read.
    pub(crate) spec: Spec,
    /// Its nodes in the order of the world, with the place of their names.
    pub(crate) nodes: Vec<(NodeName, Range<usize>)>,
    /// What it promises by itself.
    pub(crate) promise: Option<Promise>,
}

/// A promise that stands in a system's own table. It is judged at the end of the run, unless an
/// expectation asks for the same: then its author says when it counts.
pub(crate) struct Promise {
    /// What is promised, a predicate.
    pub(crate) that: &'static str,
    /// What a reader of the verdict is told of it.
    pub(crate) note: &'static str,
    /// Where it stands.
    pub(crate) place: Range<usize>,
}

/// How much a system will ask of the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Effort {
    /// Events of the whole run, by a rough count.
    pub(crate) events: u64,
    /// Records that its loads send.
    pub(crate) records: u64,
}

/// A system's part of the language.
pub(crate) trait SystemSection: Sync {
    /// Its table.
    fn key(&self) -> &'static str;

    /// What it is, for people.
    fn doc(&self) -> &'static str;

    /// The keys of its table.
    fn keys(&self) -> Vec<Key>;

    /// Reads its table. All problems are reported; what can be read is returned all the same, so
    /// that names can be looked up. `before` are the systems that were read already: it may use
    /// them, and tell them what it needs of them.
    fn read(&self, raw: &At<Raw>, before: &mut [Spec], reader: &mut Reader<'_>) -> Section;

    /// The verbs of its orders. Each has an argument `node`.
    fn verbs(&self) -> &'static [Verb];

    /// The order of a verb; problems are reported.
    fn order(
        &self,
        spec: &Spec,
        verb: &Verb,
        args: &Args,
        reader: &mut Reader<'_>,
    ) -> Option<Order>;

    /// Looks at the whole timeline: what one entry needs of another.
    fn timeline(&self, _timeline: &[TimelineEntry], _reader: &mut Reader<'_>) {}

    /// The verb and the arguments (in TOML, without `node`) that mean this order; `None` for an
    /// order of another system.
    fn write_order(&self, order: &Order) -> Option<(&'static str, Vec<(&'static str, String)>)>;

    /// The kinds of its messages, for `lose`.
    fn messages(&self) -> &'static [&'static str];

    /// The names with which its paths begin, without its nodes. `base` is the number of its first
    /// node in the world.
    fn roots<'s>(&self, spec: &'s Spec, base: u32) -> Vec<Property<'s>>;

    /// The names that may follow one of its nodes.
    fn inside_node<'s>(&self, spec: &'s Spec, base: u32, node: NodeId) -> Vec<Property<'s>>;

    /// How much it asks of the engine.
    fn effort(&self, spec: &Spec, duration: Nanos) -> Effort;
}
