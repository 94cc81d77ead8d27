//! Beam's triggers: a tree, each of whose nodes knows whether it has finished.
//!
//! Follows the state machines `DefaultTrigger`, `Never`, `AfterWatermark` (with early and late
//! firings), `AfterPane`, `AfterProcessingTime`, `Repeatedly`, `AfterFirst`, `AfterAll`, `AfterEach`
//! and `OrFinally` of `runners-core`. A trigger is asked whether it would fire, and told when the
//! window has. Left out: alignment of processing time, and `AfterSynchronizedProcessingTime`.

use crate::stream::rules::window::trigger::TimeDomain;
use serde::Serialize;

/// A trigger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Trigger {
    /// When the watermark passes the end of the window, and whenever late elements come.
    Default,
    /// Never.
    Never,
    /// Once, when the watermark passes the end of the window.
    AfterWatermark,
    /// Again and again as `early` says until the watermark passes the end of the window, then once,
    /// then again and again as `late` says, if it is there.
    EarlyAndLate {
        /// Before the end of the window.
        early: Box<Trigger>,
        /// After it; without it the window closes when the watermark passes its end.
        late: Option<Box<Trigger>>,
    },
    /// Once, when a pane has so many elements.
    AfterPane(i64),
    /// Once, this long (ms of processing time) after the first element of a pane.
    AfterProcessingTime(i64),
    /// The other, again and again.
    Repeatedly(Box<Trigger>),
    /// Once, when the first of these would.
    AfterFirst(Vec<Trigger>),
    /// Once, when all of these have or would.
    AfterAll(Vec<Trigger>),
    /// Each until it finishes, one after the other.
    AfterEach(Vec<Trigger>),
    /// The one until it finishes or the other fires.
    OrFinally(Box<Trigger>, Box<Trigger>),
}

impl Trigger {
    fn below(&self) -> Vec<&Trigger> {
        match self {
            Trigger::EarlyAndLate { early, late } => {
                let late = late.as_deref();
                std::iter::once(&**early).chain(late).collect()
            }
            Trigger::Repeatedly(nested) => vec![nested],
            Trigger::AfterFirst(all) | Trigger::AfterAll(all) | Trigger::AfterEach(all) => {
                all.iter().collect()
            }
            Trigger::OrFinally(actual, until) => vec![actual, until],
            _ => Vec::new(),
        }
    }

    /// Whether its settings make sense.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            Trigger::AfterPane(count) if *count <= 0 => Err("a pane needs a count > 0"),
            Trigger::AfterProcessingTime(delay) if *delay < 0 => {
                Err("a delay of processing time cannot be negative")
            }
            Trigger::AfterFirst(all) | Trigger::AfterAll(all) | Trigger::AfterEach(all)
                if all.is_empty() =>
            {
                Err("a trigger of several needs at least one")
            }
            _ => self.below().into_iter().try_for_each(Trigger::validate),
        }
    }
}

/// What a node of the tree knows of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NodeState {
    /// Whether it has finished.
    pub finished: bool,
    count: i64,
    delayed_until: Option<i64>,
}

/// A window and the clocks, as triggers see them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The last moment of the window, ms.
    pub end: i64,
    /// The input watermark.
    pub watermark: i64,
    /// The wall clock, ms.
    pub now: i64,
    /// Whether windows may merge: then triggers that had finished may come alive again.
    pub merging: bool,
}

impl Moment {
    fn end_reached(&self) -> bool {
        self.watermark > self.end
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Kind {
    Default,
    Never,
    AfterWatermark,
    EarlyAndLate,
    AfterPane(i64),
    AfterProcessingTime(i64),
    Repeatedly,
    AfterFirst,
    AfterAll,
    AfterEach,
    OrFinally,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Node {
    kind: Kind,
    children: Vec<u32>,
    /// The first node after those below this one.
    end: u32,
}

/// A trigger as a list of nodes, each before those below it; the root is the first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    nodes: Vec<Node>,
}

const ROOT: u32 = 0;

/// The state of one node; the states of a window are as many as the machine has nodes.
fn of(state: &mut [NodeState], node: u32) -> &mut NodeState {
    &mut state[node as usize]
}

impl Machine {
    /// The machine of a trigger.
    #[must_use]
    pub fn new(trigger: &Trigger) -> Machine {
        let mut machine = Machine { nodes: Vec::new() };
        machine.push(trigger);
        machine
    }

    fn len(&self) -> u32 {
        // A trigger has a handful of nodes.
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, trigger: &Trigger) -> u32 {
        let kind = match trigger {
            Trigger::Default => Kind::Default,
            Trigger::Never => Kind::Never,
            Trigger::AfterWatermark => Kind::AfterWatermark,
            Trigger::EarlyAndLate { .. } => Kind::EarlyAndLate,
            Trigger::AfterPane(count) => Kind::AfterPane(*count),
            Trigger::AfterProcessingTime(delay) => Kind::AfterProcessingTime(*delay),
            Trigger::Repeatedly(_) => Kind::Repeatedly,
            Trigger::AfterFirst(_) => Kind::AfterFirst,
            Trigger::AfterAll(_) => Kind::AfterAll,
            Trigger::AfterEach(_) => Kind::AfterEach,
            Trigger::OrFinally(..) => Kind::OrFinally,
        };
        let node = self.len();
        self.nodes.push(Node {
            kind,
            children: Vec::new(),
            end: node + 1,
        });
        let below = trigger.below();
        let children = below.into_iter().map(|it| self.push(it)).collect();
        let end = self.len();
        self.nodes[node as usize].children = children;
        self.nodes[node as usize].end = end;
        node
    }

    /// What the trigger knows of a window that has seen nothing.
    #[must_use]
    pub fn start(&self) -> Vec<NodeState> {
        vec![NodeState::default(); self.nodes.len()]
    }

    /// Whether the trigger has finished with a window.
    #[must_use]
    pub fn finished(&self, state: &[NodeState]) -> bool {
        state.first().is_some_and(|it| it.finished)
    }

    fn kind(&self, node: u32) -> Kind {
        self.nodes[node as usize].kind
    }

    fn children(&self, node: u32) -> &[u32] {
        &self.nodes[node as usize].children
    }

    fn unfinished(&self, node: u32, state: &[NodeState]) -> Option<u32> {
        let open = |it: &&u32| !state[**it as usize].finished;
        self.children(node).iter().find(open).copied()
    }

    /// An element came. The answer lists timers to set.
    pub fn on_element(&self, at: &Moment, state: &mut [NodeState]) -> Vec<(TimeDomain, i64)> {
        let mut timers = Vec::new();
        self.element(ROOT, at, state, &mut timers);
        timers
    }

    fn element(
        &self,
        node: u32,
        at: &Moment,
        state: &mut [NodeState],
        timers: &mut Vec<(TimeDomain, i64)>,
    ) {
        let kind = self.kind(node);
        let by_end = matches!(
            kind,
            Kind::Default | Kind::AfterWatermark | Kind::EarlyAndLate
        );
        if by_end && !at.end_reached() {
            timers.push((TimeDomain::Event, at.end));
        }
        match kind {
            Kind::AfterPane(_) => of(state, node).count += 1,
            Kind::AfterProcessingTime(delay) => {
                let known = &mut of(state, node).delayed_until;
                if known.is_none() {
                    let until = at.now.saturating_add(delay);
                    *known = Some(until);
                    timers.push((TimeDomain::Processing, until));
                }
            }
            Kind::EarlyAndLate | Kind::AfterEach if !at.merging => {
                if let Some(child) = self.unfinished(node, state) {
                    self.element(child, at, state, timers);
                }
            }
            _ => {
                for child in self.children(node) {
                    let skip = kind == Kind::AfterAll && of(state, *child).finished;
                    if !skip {
                        self.element(*child, at, state, timers);
                    }
                }
            }
        }
    }

    /// Windows merged; `merged` is what the trigger knew of each. The answer lists timers to set.
    pub fn on_merge(
        &self,
        at: &Moment,
        merged: &[Vec<NodeState>],
        state: &mut [NodeState],
    ) -> Vec<(TimeDomain, i64)> {
        let mut timers = Vec::new();
        self.merge(ROOT, at, merged, state, &mut timers);
        timers
    }

    fn merge(
        &self,
        node: u32,
        at: &Moment,
        merged: &[Vec<NodeState>],
        state: &mut [NodeState],
        timers: &mut Vec<(TimeDomain, i64)>,
    ) {
        let here = |it: &Vec<NodeState>| it[node as usize];
        let own = of(state, node);
        match self.kind(node) {
            Kind::Default if !at.end_reached() => timers.push((TimeDomain::Event, at.end)),
            Kind::Default | Kind::Never => {}
            Kind::AfterWatermark => {
                let all = merged.iter().all(|it| here(it).finished);
                own.finished = all && at.end_reached();
            }
            Kind::AfterPane(_) if merged.iter().any(|it| here(it).finished) => {
                own.finished = true;
                own.count = 0;
            }
            Kind::AfterPane(_) => own.count = merged.iter().map(|it| here(it).count).sum(),
            Kind::AfterProcessingTime(_) if own.finished => own.delayed_until = None,
            Kind::AfterProcessingTime(_) => {
                let earliest = merged.iter().filter_map(|it| here(it).delayed_until).min();
                own.delayed_until = earliest;
                timers.extend(earliest.map(|it| (TimeDomain::Processing, it)));
            }
            Kind::Repeatedly => self.merge_all(node, at, merged, state, timers),
            Kind::AfterFirst | Kind::OrFinally => {
                self.merge_all(node, at, merged, state, timers);
                let any = self.any_finished(node, state);
                of(state, node).finished = any;
            }
            Kind::AfterAll => {
                self.merge_all(node, at, merged, state, timers);
                let all = self.unfinished(node, state).is_none();
                of(state, node).finished = all;
            }
            Kind::AfterEach => {
                let mut prior_finished = true;
                for child in self.children(node) {
                    if prior_finished {
                        self.merge(*child, at, merged, state, timers);
                        prior_finished = of(state, *child).finished;
                    } else {
                        self.clear(*child, state);
                    }
                }
                let all = self.unfinished(node, state).is_none();
                of(state, node).finished = all;
            }
            Kind::EarlyAndLate => self.merge_early_and_late(node, at, merged, state, timers),
        }
    }

    fn merge_all(
        &self,
        node: u32,
        at: &Moment,
        merged: &[Vec<NodeState>],
        state: &mut [NodeState],
        timers: &mut Vec<(TimeDomain, i64)>,
    ) {
        for child in self.children(node) {
            self.merge(*child, at, merged, state, timers);
        }
    }

    /// Where the end of any merged window had not been spoken of yet, that of all is still to come.
    fn merge_early_and_late(
        &self,
        node: u32,
        at: &Moment,
        merged: &[Vec<NodeState>],
        state: &mut [NodeState],
        timers: &mut Vec<(TimeDomain, i64)>,
    ) {
        let Some((early, late)) = self.children(node).split_first() else {
            return;
        };
        let all = merged.iter().all(|it| it[*early as usize].finished);
        let done = all && at.end_reached();
        if !done {
            self.merge(*early, at, merged, state, timers);
        }
        of(state, *early).finished = done;
        for late in late {
            if done {
                self.merge(*late, at, merged, state, timers);
            } else {
                of(state, *late).finished = false;
                self.clear(*late, state);
            }
        }
    }

    fn any_finished(&self, node: u32, state: &[NodeState]) -> bool {
        let finished = |it: &u32| state[*it as usize].finished;
        self.children(node).iter().any(finished)
    }

    /// Whether the window should speak now.
    #[must_use]
    pub fn should_fire(&self, at: &Moment, state: &[NodeState]) -> bool {
        self.ready(ROOT, at, state)
    }

    fn ready(&self, node: u32, at: &Moment, state: &[NodeState]) -> bool {
        let own = &state[node as usize];
        let finished_or_ready =
            |it: &u32| state[*it as usize].finished || self.ready(*it, at, state);
        match self.kind(node) {
            Kind::Default | Kind::AfterWatermark => at.end_reached(),
            Kind::Never => false,
            Kind::AfterPane(count) => own.count >= count,
            Kind::AfterProcessingTime(_) => own.delayed_until.is_some_and(|it| at.now > it),
            Kind::AfterFirst => self.children(node).iter().any(finished_or_ready),
            Kind::AfterAll => self.children(node).iter().all(finished_or_ready),
            Kind::Repeatedly | Kind::OrFinally => {
                let ready = |it: &u32| self.ready(*it, at, state);
                self.children(node).iter().any(ready)
            }
            Kind::AfterEach => {
                let current = self.unfinished(node, state);
                current.is_some_and(|it| self.ready(it, at, state))
            }
            Kind::EarlyAndLate => match self.children(node) {
                [early, ..] if !state[*early as usize].finished => {
                    at.end_reached() || self.ready(*early, at, state)
                }
                [_, late] => self.ready(*late, at, state),
                _ => false,
            },
        }
    }

    /// The window speaks.
    pub fn on_fire(&self, at: &Moment, state: &mut [NodeState]) {
        self.fire(ROOT, at, state);
    }

    fn fire(&self, node: u32, at: &Moment, state: &mut [NodeState]) {
        match self.kind(node) {
            Kind::Default | Kind::Never => {}
            Kind::AfterWatermark | Kind::AfterPane(_) | Kind::AfterProcessingTime(_) => {
                self.clear(node, state);
                of(state, node).finished = true;
            }
            Kind::Repeatedly => {
                for child in self.children(node) {
                    self.fire(*child, at, state);
                    if of(state, *child).finished {
                        self.reset(*child, state);
                    }
                }
            }
            Kind::AfterFirst => {
                for child in self.children(node) {
                    match self.ready(*child, at, state) {
                        true => self.fire(*child, at, state),
                        // Its pane is gone too.
                        false => self.clear(*child, state),
                    }
                }
                of(state, node).finished = true;
            }
            Kind::AfterAll => {
                for child in self.children(node) {
                    self.fire(*child, at, state);
                }
                of(state, node).finished = true;
            }
            Kind::AfterEach => {
                if let Some(current) = self.unfinished(node, state) {
                    self.fire(current, at, state);
                }
                if at.merging {
                    self.clear(node, state);
                }
                let all = self.unfinished(node, state).is_none();
                of(state, node).finished = all;
            }
            Kind::OrFinally => {
                if let [actual, until] = self.children(node) {
                    if self.ready(*until, at, state) {
                        self.fire(*until, at, state);
                        self.clear(*actual, state);
                    } else {
                        self.fire(*actual, at, state);
                    }
                }
                let any = self.any_finished(node, state);
                of(state, node).finished = any;
            }
            Kind::EarlyAndLate => self.fire_early_and_late(node, at, state),
        }
    }

    fn fire_early_and_late(&self, node: u32, at: &Moment, state: &mut [NodeState]) {
        let Some((early, late)) = self.children(node).split_first() else {
            return;
        };
        if of(state, *early).finished {
            let Some(late) = late.first() else {
                of(state, node).finished = true;
                return;
            };
            self.fire(*late, at, state);
            self.clear(*late, state);
            of(state, *late).finished = false;
        } else if !at.end_reached() {
            self.fire(*early, at, state);
            self.clear(*early, state);
            of(state, *early).finished = false;
        } else {
            if self.ready(*early, at, state) {
                self.fire(*early, at, state);
            }
            of(state, *early).finished = true;
            self.clear(*early, state);
            match late.first() {
                None => of(state, node).finished = true,
                // It has counted what was early, where windows merge.
                Some(late) => self.clear(*late, state),
            }
        }
    }

    /// Forgets counts and delays, not what has finished.
    pub fn clear_all(&self, state: &mut [NodeState]) {
        self.clear(ROOT, state);
    }

    fn clear(&self, node: u32, state: &mut [NodeState]) {
        for it in &mut state[node as usize..self.nodes[node as usize].end as usize] {
            it.count = 0;
            it.delayed_until = None;
        }
    }

    fn reset(&self, node: u32, state: &mut [NodeState]) {
        state[node as usize..self.nodes[node as usize].end as usize].fill(NodeState::default());
    }
}
