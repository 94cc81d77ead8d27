//! What tasks bring about, carried out: reports, uploads, requests of sinks, buffers and credit.
//!
//! Follows `RpcCheckpointResponder`, `PartitionRequestQueue` and `RemoteInputChannel`. What goes to a
//! task of the same TaskManager does not cross the network.

use super::TaskManager;
use crate::kernel::NodeId;
use crate::stream::clients::{Clients, Owner};
use crate::stream::node::StreamCx;
use crate::stream::protocol::{Attempt, Packet, TaskId};
use crate::stream::task::Io;
use std::collections::BTreeSet;
use std::sync::Arc;

impl TaskManager {
    /// Carries out what a task brought about. Tasks of this TaskManager that get something are
    /// added to `dirty`.
    pub(super) fn carry(
        &mut self,
        (id, attempt): (TaskId, Attempt),
        io: &mut Io,
        dirty: &mut BTreeSet<TaskId>,
        cx: &mut StreamCx<'_>,
    ) {
        let me = cx.me().0;
        io.effects.notes.drain(..).for_each(|note| cx.note(note));
        for report in io.reports.drain(..) {
            cx.send(self.job.job_manager, report);
        }
        for upload in io.uploads.drain(..) {
            if let Packet::WriteState { handle, state, .. } = &upload
                && self.job.spec.config.backs_up_locally()
                && let Some(state) = state
            {
                self.local.insert(*handle, Arc::clone(state));
            }
            cx.send(self.job.storage, upload);
        }
        for (operator, request, order) in io.effects.requests.drain(..) {
            if Clients::serves(&self.job, operator) {
                let owner = Owner {
                    task: id,
                    attempt,
                    operator,
                };
                self.ask_clients(owner, (request, order), cx);
            } else if let Some(store) = self.job.store_of(operator) {
                let ask = Packet::ToStore {
                    attempt,
                    task: id,
                    operator,
                    request,
                    order,
                };
                cx.send(store, ask);
            }
        }
        for sending in io.sendings.drain(..) {
            let (channel, item) = (sending.channel, sending.item);
            let backlog = sending.backlog;
            if sending.node != me {
                let packet = Packet::BufferResponse {
                    attempt,
                    channel,
                    item,
                    backlog,
                };
                cx.send(NodeId(sending.node), packet);
                continue;
            }
            let to = self
                .job
                .graph
                .edges
                .get(channel.edge as usize)
                .map(|it| TaskId {
                    vertex: it.to,
                    subtask: channel.to,
                });
            if let Some((to, task)) = to.and_then(|to| Some((to, self.tasks.get_mut(&to)?))) {
                task.arrive(channel, item, backlog);
                dirty.insert(to);
            }
        }
        for (node, channel, size) in std::mem::take(&mut io.sizes) {
            let told = Packet::NewBufferSize {
                attempt,
                channel,
                size,
            };
            match node == me {
                true => self.resize(attempt, channel, size),
                false => cx.send(NodeId(node), told),
            }
        }
        for (node, channel, credit) in std::mem::take(&mut io.credits) {
            if node != me {
                let packet = Packet::AddCredit {
                    attempt,
                    channel,
                    credit,
                };
                cx.send(NodeId(node), packet);
                continue;
            }
            let from = self.sender(channel);
            match from.and_then(|from| Some((from, self.tasks.get_mut(&from)?))) {
                Some((from, task)) => {
                    task.output.credit(channel, credit);
                    dirty.insert(from);
                }
                None => self.early.push((attempt, channel, credit)),
            }
        }
        for (node, channel) in std::mem::take(&mut io.processed) {
            if node != me {
                let packet = Packet::AckAllUserRecordsProcessed { attempt, channel };
                cx.send(NodeId(node), packet);
                continue;
            }
            let from = self.sender(channel);
            if let Some((from, task)) = from.and_then(|it| Some((it, self.tasks.get_mut(&it)?))) {
                task.output.all_processed(channel);
                dirty.insert(from);
            }
        }
    }
}
