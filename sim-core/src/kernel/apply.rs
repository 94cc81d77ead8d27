//! Doing deeds: crash, cut, pause and the others, and the reasons why one cannot be done.

use super::core::Body;
use super::deed::{Deed, LinkChange, MessageDeed, Refusal};
use super::link::LinkFault;
use super::process::{Input, Loss, NodeId, Process, Scratch};
use super::queue::EventId;
use super::world::{Executed, NodeState, World};

impl<P: Process> World<P> {
    /// Why a deed cannot be done now; `None` if it can.
    #[must_use]
    pub fn refusal(&self, deed: &Deed<P::Order>) -> Option<Refusal> {
        let refuse = |text: &str| Some(Refusal(text.to_owned()));
        let state = |node: &NodeId| self.nodes.get(node.0 as usize).map(|slot| slot.state);
        let nodes: Vec<NodeId> = match deed {
            Deed::Crash(n) | Deed::PowerLoss(n) | Deed::WipeDisk(n) | Deed::Restart(n) => vec![*n],
            Deed::Pause(n) | Deed::Resume(n) | Deed::SlowCpu(n, _) | Deed::SlowDisk(n, _) => {
                vec![*n]
            }
            Deed::Skew(n, _) | Deed::Drift(n, _) | Deed::Order(n, _) => vec![*n],
            Deed::Link(a, b, _) | Deed::Cut(a, b) | Deed::Heal(a, b) => vec![*a, *b],
            Deed::Partition(a, b) => a.iter().chain(b).copied().collect(),
            Deed::HealAll | Deed::Message(..) => Vec::new(),
        };
        if let Some(unknown) = nodes.iter().find(|n| state(n).is_none()) {
            return Some(Refusal(format!("there is no node number {}", unknown.0)));
        }
        if let Some((what, most)) = deed.excess() {
            return Some(Refusal(format!("`{what}` is {most}")));
        }
        let down = |n: &NodeId| matches!(state(n), Some(NodeState::Down { .. }));
        match deed {
            Deed::Crash(n) | Deed::PowerLoss(n) if down(n) => refuse("it is down already"),
            Deed::WipeDisk(n) if !down(n) => {
                refuse("its process is running: crash it first, then replace the disk")
            }
            Deed::Restart(n) if !down(n) => refuse("it is running"),
            Deed::Pause(n) if state(n) != Some(NodeState::Up) => refuse(if down(n) {
                "it is down"
            } else {
                "it is paused already"
            }),
            Deed::Resume(n) if state(n) != Some(NodeState::Paused) => refuse("it is not paused"),
            Deed::Link(a, b, _) | Deed::Cut(a, b) | Deed::Heal(a, b) if a == b => {
                refuse("a node has no link to itself")
            }
            Deed::Message(id, _) => {
                let under_way = self.core.queue.find(EventId(*id));
                let held = self
                    .links()
                    .any(|(_, l)| l.held.iter().any(|h| h.id == *id));
                match under_way {
                    Some((_, _, Body::Deliver { .. })) => None,
                    _ if held => refuse("it waits at a cut link: heal the link first"),
                    _ => refuse("it is no longer under way"),
                }
            }
            Deed::Order(n, _) if down(n) => refuse("it is down"),
            Deed::Order(n, order) => self.process(*n).and_then(|p| p.refuse(order)).map(Refusal),
            _ => None,
        }
    }

    /// Does a deed now. It becomes an event of its own.
    ///
    /// # Errors
    /// If it cannot be done; the world is then unchanged.
    pub fn apply(
        &mut self,
        deed: &Deed<P::Order>,
        scratch: &mut Scratch<P>,
    ) -> Result<Executed, Refusal> {
        if let Some(refusal) = self.refusal(deed) {
            return Err(refusal);
        }
        scratch.notes.clear();
        let node = match deed {
            Deed::Crash(n) | Deed::PowerLoss(n) | Deed::WipeDisk(n) | Deed::Restart(n) => Some(*n),
            Deed::Pause(n) | Deed::Resume(n) | Deed::SlowCpu(n, _) | Deed::SlowDisk(n, _) => {
                Some(*n)
            }
            Deed::Skew(n, _) | Deed::Drift(n, _) | Deed::Order(n, _) => Some(*n),
            _ => None,
        };
        let done = self.count_deed(deed, node);
        self.perform(deed, done.id, scratch);
        self.end_exited(done.id);
        Ok(done)
    }

    fn perform(&mut self, deed: &Deed<P::Order>, id: EventId, scratch: &mut Scratch<P>) {
        let now = self.now();
        match deed {
            Deed::Crash(n) => self.bring_down(*n, Loss::Process, id),
            Deed::PowerLoss(n) => self.bring_down(*n, Loss::Power, id),
            Deed::WipeDisk(n) => self.nodes[n.0 as usize].process.crash(Loss::Disk),
            Deed::Restart(n) => self.restart(*n, id, scratch),
            Deed::Pause(n) => self.nodes[n.0 as usize].state = NodeState::Paused,
            Deed::Resume(n) => {
                self.nodes[n.0 as usize].state = NodeState::Up;
                self.set_wake(*n);
            }
            Deed::SlowCpu(n, cost) => self.nodes[n.0 as usize].cpu.cost = *cost,
            Deed::SlowDisk(n, speed) => {
                self.core.machines[n.0 as usize].disk.bytes_per_second = *speed;
            }
            Deed::Skew(n, skew) => self.core.machines[n.0 as usize].clock.skew = *skew,
            Deed::Drift(n, ppb) => {
                // What the clock gained so far is kept as skew.
                let clock = &mut self.core.machines[n.0 as usize].clock;
                let gained = clock.wall(now) - now as i64;
                *clock = super::core::Clock {
                    skew: gained,
                    drift_ppb: *ppb,
                    drift_since: now,
                };
            }
            Deed::Link(a, b, change) => self.change_link(*a, *b, change),
            Deed::Cut(a, b) => self.cut(*a, *b),
            Deed::Heal(a, b) => self.heal(*a, *b),
            Deed::Partition(left, right) => {
                for a in left {
                    for b in right.iter().filter(|b| *b != a) {
                        self.cut(*a, *b);
                    }
                }
            }
            Deed::HealAll => self.heal_all(),
            Deed::Message(message, what) => self.tamper(EventId(*message), *what),
            Deed::Order(n, order) => self.call(*n, Input::Order(order.clone()), id, scratch),
        }
    }

    /// Takes a process down that ended by itself.
    #[inline]
    pub(super) fn end_exited(&mut self, id: EventId) {
        if let Some(node) = self.core.exited.take() {
            self.bring_down(node, Loss::Process, id);
        }
    }

    fn bring_down(&mut self, node: NodeId, loss: Loss, id: EventId) {
        let silent = loss != Loss::Process;
        let slot = &mut self.nodes[node.0 as usize];
        slot.process.crash(loss);
        slot.state = NodeState::Down {
            since: self.core.now(),
            silent,
        };
        self.clear_inbox(node);
        self.core.machines[node.0 as usize].incarnation += 1;
        self.end_connections(node, !silent, id);
    }

    /// Ends all connections of a node; peers are told, behind a cut when it heals.
    fn end_connections(&mut self, node: NodeId, tell: bool, id: EventId) {
        let now = self.core.now();
        for other in (0..self.nodes.len() as u32)
            .map(NodeId)
            .filter(|other| *other != node)
        {
            let open = |a, b| self.core.link_if_any(a, b).is_some_and(|link| link.open);
            if !open(node, other) && !open(other, node) {
                continue;
            }
            if tell {
                // What the process had sent is on the wire and still arrives, and then the reset;
                // what was on its way to it finds nobody.
                self.core.link(other, node).reset();
                let link = self.core.link(node, other);
                link.open = false;
                link.held.clear();
                if link.fault.cut {
                    // What is on the wire would only be stopped at the cut, and nobody is left to
                    // send it again.
                    link.reset();
                }
                let delay = link.profile.delay + link.fault.slow_by;
                let at = link.last_arrival.max(now + delay);
                self.core.tell_reset(other, node, at, id);
            }
            // A silent death resets nothing yet: peers go on sending into the void, and the
            // connection ends when the machine is back and answers with a reset.
        }
    }

    fn restart(&mut self, node: NodeId, id: EventId, scratch: &mut Scratch<P>) {
        let was_silent = matches!(
            self.nodes[node.0 as usize].state,
            NodeState::Down { silent: true, .. }
        );
        self.nodes[node.0 as usize].state = NodeState::Up;
        if was_silent {
            self.end_connections(node, true, id);
        }
        self.call(node, Input::Boot, id, scratch);
    }

    fn change_link(&mut self, from: NodeId, to: NodeId, change: &LinkChange) {
        let fault = &mut self.core.link(from, to).fault;
        let was_cut = fault.cut;
        if let Some(cut) = change.cut {
            fault.cut = cut;
        }
        fault.slow_by = change.slow_by.unwrap_or(fault.slow_by);
        fault.loss_ppm = change.loss_ppm.unwrap_or(fault.loss_ppm);
        fault.duplicate_ppm = change.duplicate_ppm.unwrap_or(fault.duplicate_ppm);
        fault.reorder_ppm = change.reorder_ppm.unwrap_or(fault.reorder_ppm);
        if let Some(filters) = &change.filters {
            fault.filters.clone_from(filters);
        }
        if was_cut && !fault.cut {
            self.core.release(from, to);
        }
    }

    fn cut(&mut self, a: NodeId, b: NodeId) {
        self.core.link(a, b).fault.cut = true;
        self.core.link(b, a).fault.cut = true;
    }

    fn heal(&mut self, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            self.core.link(from, to).fault = LinkFault::default();
            self.core.release(from, to);
        }
    }

    fn heal_all(&mut self) {
        let faulty: Vec<(NodeId, NodeId)> = self
            .links()
            .filter(|(_, link)| !link.fault.is_none())
            .map(|(from, link)| (from, link.to))
            .collect();
        for (from, to) in faulty {
            self.core.link(from, to).fault = LinkFault::default();
            self.core.release(from, to);
        }
    }

    fn tamper(&mut self, id: EventId, what: MessageDeed) {
        let Some((at, body)) = self.core.queue.remove(id) else {
            return;
        };
        match what {
            MessageDeed::Drop => {}
            MessageDeed::Duplicate => {
                self.core.queue.push(at, body.clone());
                self.core.queue.push(at, body);
            }
            MessageDeed::Delay(by) => {
                self.core.queue.push(at.saturating_add(by), body);
            }
        }
    }
}
