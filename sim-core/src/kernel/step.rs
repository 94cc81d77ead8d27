//! The step: one event taken from the queue and given to whom it concerns.
//!
//! A node whose process is paused or slow is gated: its inputs wait in an inbox and are taken one by
//! one. A node that is down takes nothing; if its machine is there the sender is refused.

use super::core::Body;
use super::deed::Deed;
use super::link::HeldMessage;
use super::process::{Cx, Input, Message, NodeId, Process, Scratch};
use super::queue::{EventId, Nanos};
use super::world::{Executed, Kind, NodeState, Waiting, World};

impl<P: Process> World<P> {
    /// Runs the next event. `None` if nothing waits.
    #[inline]
    pub fn step(&mut self, scratch: &mut Scratch<P>) -> Option<Executed> {
        scratch.notes.clear();
        if scratch.record {
            scratch.text.clear();
        }
        let (time, id, body) = self.core.queue.pop()?;
        let (node, cause, kind) = self.execute(time, id, body, scratch);
        self.end_exited(id);
        let number = self.executed;
        self.executed += 1;
        self.rolling
            .word(id.0 ^ (u64::from(node.map_or(u32::MAX, |n| n.0)) << 40));
        self.rolling.word(time);
        Some(Executed {
            number,
            id,
            cause: EventId(cause),
            time,
            node,
            kind,
        })
    }

    fn execute(
        &mut self,
        time: Nanos,
        id: EventId,
        body: Body<P>,
        scratch: &mut Scratch<P>,
    ) -> (Option<NodeId>, u64, Kind) {
        match body {
            Body::Deliver {
                from,
                to,
                connection,
                cause,
                depart,
                msg,
            } => {
                let label = msg.label();
                if scratch.record {
                    scratch.text = msg.describe();
                }
                let taken = self.deliver(id, from, to, connection, cause, depart, msg, scratch);
                let kind = if taken {
                    Kind::Message {
                        from,
                        label,
                        depart,
                    }
                } else {
                    Kind::Undelivered { from, label }
                };
                (Some(to), cause, kind)
            }
            Body::Timer {
                node,
                incarnation,
                cause,
                timer,
            } => {
                if self.core.machines[node.0 as usize].incarnation != incarnation {
                    return (Some(node), cause, Kind::Internal);
                }
                if scratch.record {
                    scratch.text = format!("{timer:?}");
                }
                if self.nodes[node.0 as usize].open() {
                    self.call(node, Input::Timer(timer), id, scratch);
                    return (Some(node), cause, Kind::Timer);
                }
                self.wait(
                    node,
                    Waiting::Timer {
                        cause,
                        id: id.0,
                        timer,
                    },
                );
                (Some(node), cause, Kind::Internal)
            }
            Body::Depart {
                from,
                incarnation,
                to,
                cause,
                msg,
            } => {
                if self.core.machines[from.0 as usize].incarnation == incarnation {
                    self.core.send(from, to, msg, time, EventId(cause));
                }
                (Some(from), cause, Kind::Internal)
            }
            Body::Reset { node, peer, cause } => {
                let link = self.core.link(peer, node);
                if link.fault.cut {
                    link.reset();
                    link.reset_due = Some(cause);
                    return (Some(node), cause, Kind::Internal);
                }
                let slot = &self.nodes[node.0 as usize];
                if matches!(slot.state, NodeState::Down { .. }) {
                    return (Some(node), cause, Kind::Internal);
                }
                if slot.open() {
                    self.call(node, Input::Disconnected(peer), id, scratch);
                    return (Some(node), cause, Kind::Reset { peer });
                }
                self.wait(
                    node,
                    Waiting::Reset {
                        peer,
                        cause,
                        id: id.0,
                    },
                );
                (Some(node), cause, Kind::Internal)
            }
            Body::Wake { node, incarnation } => {
                if self.core.machines[node.0 as usize].incarnation != incarnation {
                    return (Some(node), 0, Kind::Internal);
                }
                self.wake(time, node, scratch)
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn deliver(
        &mut self,
        id: EventId,
        from: NodeId,
        to: NodeId,
        connection: u32,
        cause: u64,
        depart: Nanos,
        msg: P::Msg,
        scratch: &mut Scratch<P>,
    ) -> bool {
        let link = self.core.link(from, to);
        if link.connection != connection {
            return false;
        }
        if link.fault.cut {
            self.core.hold(
                from,
                to,
                HeldMessage {
                    id: id.0,
                    cause,
                    depart,
                    msg,
                },
            );
            return false;
        }
        let slot = &self.nodes[to.0 as usize];
        if let NodeState::Down { silent, .. } = slot.state {
            if !silent {
                // The machine is there and its port is closed: the sender is refused.
                let at = self.core.now() + self.core.link(to, from).profile.delay;
                self.core.disconnect(from, to);
                self.core.tell_reset(from, to, at, id);
            }
            return false;
        }
        if slot.open() {
            msg.fingerprint(&mut self.rolling);
            self.call(to, Input::Message { from, msg }, id, scratch);
            true
        } else {
            self.wait(
                to,
                Waiting::Message {
                    from,
                    connection,
                    cause,
                    id: id.0,
                    msg,
                },
            );
            false
        }
    }

    /// Puts an input before a gated node.
    fn wait(&mut self, node: NodeId, waiting: Waiting<P>) {
        let slot = &mut self.nodes[node.0 as usize];
        if matches!(slot.state, NodeState::Down { .. }) {
            return;
        }
        slot.inbox.push_back(waiting);
        self.set_wake(node);
    }

    pub(super) fn set_wake(&mut self, node: NodeId) {
        let slot = &mut self.nodes[node.0 as usize];
        if slot.state == NodeState::Up && !slot.wake_set && !slot.inbox.is_empty() {
            slot.wake_set = true;
            let at = slot.cpu.busy_until;
            let incarnation = self.core.machines[node.0 as usize].incarnation;
            self.core.queue.push(at, Body::Wake { node, incarnation });
        }
    }

    fn wake(
        &mut self,
        now: Nanos,
        node: NodeId,
        scratch: &mut Scratch<P>,
    ) -> (Option<NodeId>, u64, Kind) {
        let slot = &mut self.nodes[node.0 as usize];
        slot.wake_set = false;
        if slot.state != NodeState::Up {
            return (Some(node), 0, Kind::Internal);
        }
        let Some(waiting) = slot.inbox.pop_front() else {
            return (Some(node), 0, Kind::Internal);
        };
        slot.cpu.busy_until = now + slot.cpu.cost;
        let outcome = match waiting {
            Waiting::Message {
                from,
                connection,
                cause,
                id,
                msg,
            } => {
                let label = msg.label();
                if self.core.link(from, node).connection != connection {
                    (Some(node), cause, Kind::Undelivered { from, label })
                } else {
                    if scratch.record {
                        scratch.text = msg.describe();
                    }
                    msg.fingerprint(&mut self.rolling);
                    self.call(node, Input::Message { from, msg }, EventId(id), scratch);
                    (
                        Some(node),
                        cause,
                        Kind::Message {
                            from,
                            label,
                            depart: now,
                        },
                    )
                }
            }
            Waiting::Timer { cause, id, timer } => {
                self.call(node, Input::Timer(timer), EventId(id), scratch);
                (Some(node), cause, Kind::Timer)
            }
            Waiting::Reset { peer, cause, id } => {
                self.call(node, Input::Disconnected(peer), EventId(id), scratch);
                (Some(node), cause, Kind::Reset { peer })
            }
        };
        self.set_wake(node);
        outcome
    }

    #[inline]
    pub(super) fn call(
        &mut self,
        node: NodeId,
        input: Input<P::Msg, P::Timer, P::Order>,
        cause: EventId,
        scratch: &mut Scratch<P>,
    ) {
        let mut cx = Cx {
            core: &mut self.core,
            me: node,
            cause,
            notes: &mut scratch.notes,
            attends: scratch.record,
        };
        self.nodes[node.0 as usize].process.on(input, &mut cx);
    }

    /// Drops what waits before a node that went down.
    pub(super) fn clear_inbox(&mut self, node: NodeId) {
        let slot = &mut self.nodes[node.0 as usize];
        slot.inbox.clear();
        slot.wake_set = false;
        slot.cpu.busy_until = 0;
    }

    /// Counts a deed as an executed event.
    pub(super) fn count_deed(&mut self, deed: &Deed<P::Order>, node: Option<NodeId>) -> Executed {
        let id = self.core.queue.take_id();
        let number = self.executed;
        self.executed += 1;
        self.rolling.word(id.0);
        self.rolling.value(deed);
        Executed {
            number,
            id,
            cause: EventId(0),
            time: self.now(),
            node,
            kind: Kind::Deed,
        }
    }
}
