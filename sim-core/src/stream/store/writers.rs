//! Which attempt of each writer is the newest that a store has heard of.
//!
//! A request that names no transaction, or begins one, carries no epoch that could tell an old
//! writer from a new one: served late it would take the id, or what is open, from whoever came
//! after. So the attempt is the writer's epoch. What an older one asks is refused, as a producer is
//! that names its producer id and an old epoch when it initialises again (KIP-360:
//! `InitProducerIdRequest.ProducerEpoch`, answered by `PRODUCER_FENCED`); one that names none gets
//! a new epoch, whoever it is. A task that is cancelled does not take back what it has sent: that is
//! in the connection's buffers, which outlive the client, and arrives when a cut heals.

use crate::stream::protocol::Attempt;
use crate::stream::rules::fault::transactional_ids::{Ownership, TransactionalId};
use serde::Serialize;

/// A writer that has announced itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Writer {
    prefix: String,
    ownership: Ownership,
    attempt: Attempt,
}

/// The newest attempts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct Writers {
    all: Vec<Writer>,
    /// The newest of all.
    newest: Attempt,
}

impl Writers {
    /// A writer begins; whether none of a newer attempt owns some of its ids.
    pub(super) fn admit(&mut self, prefix: &str, ownership: &Ownership, attempt: Attempt) -> bool {
        let mut others = self.all.iter().filter(|it| it.prefix == prefix);
        if others.any(|it| it.attempt > attempt && overlap(&it.ownership, ownership)) {
            return false;
        }
        let same = |it: &Writer| it.prefix == prefix && it.ownership == *ownership;
        self.all.retain(|it| !same(it));
        self.all.push(Writer {
            prefix: prefix.to_owned(),
            ownership: ownership.clone(),
            attempt,
        });
        self.newest = self.newest.max(attempt);
        true
    }

    /// Whether an id is a newer attempt's by now.
    pub(super) fn is_fenced(&self, id: &str, attempt: Attempt) -> bool {
        // Almost always nobody is newer.
        attempt < self.newest
            && TransactionalId::parse(id).is_some_and(|id| {
                let mut newer = self.all.iter().filter(|it| it.attempt > attempt);
                newer.any(|it| it.prefix == id.prefix && it.ownership.owns(&id))
            })
    }
}

/// Whether an id may be both one's and the other's. With another parallelism it was rescaled, which
/// ends all that was before.
fn overlap(one: &Ownership, other: &Ownership) -> bool {
    one.total != other.total || !one.subtasks.is_disjoint(&other.subtasks)
}
