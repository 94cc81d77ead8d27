//! What must hold of share groups (KIP-932), in every run: **OneHolder** (a record is acquired by at
//! most one member at a time), **DeliveryLimit** (each acquisition counts one delivery more, and
//! never more than `group.share.delivery.count.limit`), **DoneStaysDone** (what is acknowledged or
//! archived is not handed out again) and **ShareStartMonotone** (a start offset, the SPSO, does not
//! go back).
//!
//! The account is kept from what leaders say of single acquisitions, acknowledgements and records
//! taken back, next to their state and not from it. Who has a record is the leader's alone and
//! written nowhere, so holders and counts are compared from one reading of the state to the next;
//! a leader that does not know yet that it was deposed may hand out what its successor does as
//! well. Across leaders holds what the share coordinator has confirmed: a leader that read the
//! state later neither starts before it nor hands out what was done, nor counts less.
//!
//! Left out: that a lock lasts as long as it should, and that each record is delivered at all (the
//! ledger sees that).

use super::group_invariants::Broken;
use super::ids::TopicPartition;
use super::modern_why::ModernRule;
use super::note::GroupNote;
use super::rules::classic_group::Name;
use super::rules::share_partition::AcknowledgeType;
use crate::kernel::NodeId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

type Key = (Name, TopicPartition);

/// What was seen of share groups.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct ShareInvariants {
    /// Each leader's account, since it read the state.
    led: BTreeMap<(Key, NodeId), Led>,
    written: BTreeMap<Key, Written>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Led {
    leader_epoch: i64,
    start: i64,
    /// What was handed out, from the start offset on.
    records: BTreeMap<i64, Seen>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Seen {
    holder: Option<Name>,
    deliveries: u16,
    done: bool,
}

/// What share coordinators have confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct Written {
    /// The newest leader epoch in which the state was read.
    leader_epoch: i64,
    start: i64,
    /// Deliveries, and whether it is done, from the start offset on.
    records: BTreeMap<i64, (u16, bool)>,
}

impl ShareInvariants {
    pub(super) fn is_empty(&self) -> bool {
        self.led.is_empty()
    }

    /// Looks at what a leader says; it hands a record out at most `limit` times.
    pub(super) fn observe(
        &mut self,
        note: &GroupNote,
        rule: ModernRule,
        limit: u32,
    ) -> Option<Broken> {
        let key = (Arc::clone(&note.group), note.tp?);
        match rule {
            ModernRule::ShareStateRead => return self.read(key, note),
            ModernRule::ShareStateWritten => {
                let written = self.written.entry(key).or_default();
                let before = written.start;
                written.start = before.max(note.after);
                written.records = written.records.split_off(&written.start);
                let back = note.after < before && note.before >= written.leader_epoch;
                return back.then(|| gone_back(before, note.after));
            }
            ModernRule::RecordsWritten(state, deliveries) => {
                let written = self.written.entry(key).or_default();
                for offset in note.before.max(written.start)..=note.after {
                    let known = written.records.entry(offset).or_default();
                    *known = (*known).max((deliveries, state.finished()));
                }
                return None;
            }
            _ => {}
        }
        let written = self.written.get(&key);
        let led = (key.clone(), note.node);
        match rule {
            ModernRule::RecordsAcquired(count) => {
                let led = self.led.entry(led).or_default();
                let newest = written.filter(|it| led.leader_epoch >= it.leader_epoch);
                let member = note.member.as_ref()?;
                let fault = |offset| led.acquire(offset, member, (count, limit), newest);
                (note.before..=note.after).filter_map(fault).next()
            }
            ModernRule::RecordsAcknowledged(kind) => {
                let led = self.led.get_mut(&led)?;
                let from = note.before.max(led.start);
                let fault = |offset| led.acknowledge(offset, note.member.as_ref(), kind);
                (from..=note.after).filter_map(fault).next()
            }
            ModernRule::RecordsTakenBack => {
                let led = self.led.get_mut(&led)?;
                for (_, seen) in led.records.range_mut(note.before..=note.after) {
                    seen.holder = None;
                }
                None
            }
            ModernRule::ShareStart => {
                let led = self.led.get_mut(&led)?;
                let before = led.start;
                led.start = before.max(note.after);
                led.records = led.records.split_off(&led.start);
                (note.after < before).then(|| gone_back(before, note.after))
            }
            _ => None,
        }
    }

    /// A leader begins with what the coordinator has.
    fn read(&mut self, key: Key, note: &GroupNote) -> Option<Broken> {
        let written = self.written.entry(key.clone()).or_default();
        written.leader_epoch = written.leader_epoch.max(note.before);
        let back = note.before == written.leader_epoch && note.after < written.start;
        let fault = back.then(|| gone_back(written.start, note.after));
        let led = Led {
            leader_epoch: note.before,
            start: note.after,
            records: BTreeMap::new(),
        };
        self.led.insert((key, note.node), led);
        fault
    }
}

impl Led {
    /// A member gets a record.
    fn acquire(
        &mut self,
        offset: i64,
        member: &Name,
        (count, limit): (u16, u32),
        written: Option<&Written>,
    ) -> Option<Broken> {
        let confirmed = written.and_then(|it| it.records.get(&offset)).copied();
        let (counted, done) = confirmed.unwrap_or_default();
        let passed = written.is_some_and(|it| offset < it.start) || offset < self.start;
        let seen = self.records.entry(offset).or_default();
        let before = std::mem::replace(
            seen,
            Seen {
                holder: Some(Arc::clone(member)),
                deliveries: count,
                done: seen.done,
            },
        );
        if let Some(holder) = before.holder {
            let text = format!("offset {offset} was handed to {member} while {holder} had it");
            return Some(("OneHolder", text));
        }
        if before.done || done || passed {
            let text = format!("offset {offset} was handed out again after it was done");
            return Some(("DoneStaysDone", text));
        }
        let expected = before.deliveries == 0 || count == before.deliveries.saturating_add(1);
        if !expected || count <= counted || u32::from(count) > limit {
            let text = format!(
                "offset {offset} was handed out with delivery count {count} after {}; the limit is \
                 {limit}",
                before.deliveries.max(counted)
            );
            return Some(("DeliveryLimit", text));
        }
        None
    }

    /// A member's word on a record was taken.
    fn acknowledge(
        &mut self,
        offset: i64,
        member: Option<&Name>,
        kind: AcknowledgeType,
    ) -> Option<Broken> {
        let seen = self.records.entry(offset).or_default();
        let holder = seen.holder.take();
        seen.done |= kind != AcknowledgeType::Release;
        (holder.as_ref() != member).then(|| {
            let name = |it: Option<&Name>| it.map_or("nobody", |it| &**it).to_owned();
            let (member, holder) = (name(member), name(holder.as_ref()));
            let text =
                format!("the word of {member} on offset {offset} was taken; {holder} had it");
            ("OneHolder", text)
        })
    }
}

fn gone_back(before: i64, after: i64) -> Broken {
    let text = format!("a start offset went back from {before} to {after}");
    ("ShareStartMonotone", text)
}

#[cfg(test)]
mod tests {
    use super::AcknowledgeType::{Accept, Reject, Release};
    use super::ModernRule::{
        RecordsAcknowledged as Acked, RecordsAcquired as Acquired, RecordsTakenBack as Back,
        RecordsWritten, ShareStart, ShareStateRead as Read, ShareStateWritten as Written,
    };
    use super::*;
    use crate::kafka::rules::share_partition::RecordState;

    const DONE: ModernRule = RecordsWritten(RecordState::Acknowledged, 1);
    const TRIED: ModernRule = RecordsWritten(RecordState::Available, 2);

    /// What a leader (by its node) says of a member: rule, before and after, and what is found.
    type Said<'a> = (u32, &'a str, ModernRule, i64, i64, Option<&'a str>);

    /// Looks at a history. A record is delivered three times at most.
    fn check(name: &str, history: &[Said<'_>]) {
        let mut seen = ShareInvariants::default();
        for (node, member, rule, before, after, expected) in history {
            let note = GroupNote {
                node: NodeId(*node),
                rule: super::super::note::Rule::Modern(*rule),
                group: Arc::from("g"),
                member: (!member.is_empty()).then(|| Arc::from(*member)),
                tp: Some(TopicPartition::default()),
                before: *before,
                after: *after,
                record: None,
            };
            let found = seen.observe(&note, *rule, 3).map(|(name, _)| name);
            assert_eq!(
                found, *expected,
                "{name}: {member} {rule:?} {before} {after}"
            );
        }
    }

    #[test]
    fn a_record_that_two_members_have_is_seen() {
        let two = Some("OneHolder");
        let first = [(1, "", Read, 1, 0, None), (1, "a", Acquired(1), 0, 9, None)];
        let then = |more: &[_]| [&first[..], more].concat();
        check("at once", &then(&[(1, "b", Acquired(2), 9, 12, two)]));
        check(
            "one after the other",
            &then(&[
                (1, "a", Back, 5, 9, None),
                (1, "b", Acquired(2), 5, 9, None),
                (1, "a", Acquired(3), 9, 9, two),
            ]),
        );
        check(
            "released",
            &then(&[
                (1, "a", Acked(Release), 3, 3, None),
                (1, "b", Acquired(2), 3, 3, None),
                (1, "a", Acked(Accept), 3, 3, two),
            ]),
        );
        check("nobody's", &then(&[(1, "a", Acked(Accept), 9, 10, two)]));
        check(
            "by a leader that is deposed",
            &then(&[(2, "", Read, 2, 0, None), (2, "b", Acquired(1), 0, 9, None)]),
        );
    }

    #[test]
    fn a_record_that_comes_too_often_is_seen() {
        let limit = Some("DeliveryLimit");
        let tries = |from: i64, last| {
            let each = (1..=3).flat_map(move |n: u16| {
                [
                    (1, "a", Acquired(n), from, from, None),
                    (1, "a", Back, from, from, None),
                ]
            });
            [vec![(1, "", Read, 1, 0, None)], each.collect(), vec![last]].concat()
        };
        check(
            "a fourth time",
            &tries(7, (1, "b", Acquired(4), 7, 7, limit)),
        );
        check(
            "counted anew",
            &tries(7, (1, "b", Acquired(1), 7, 7, limit)),
        );
        check(
            "counted anew by the next leader",
            &[
                (1, "", TRIED, 7, 8, None),
                (2, "", Read, 2, 0, None),
                (2, "a", Acquired(3), 7, 7, None),
                (2, "a", Acquired(2), 8, 8, limit),
            ],
        );
    }

    #[test]
    fn a_record_that_comes_after_it_was_done_is_seen() {
        let again = Some("DoneStaysDone");
        for kind in [Accept, Reject] {
            check(
                "in its hands",
                &[
                    (1, "a", Acquired(1), 0, 5, None),
                    (1, "a", Acked(kind), 3, 3, None),
                    (1, "b", Acquired(2), 3, 3, again),
                ],
            );
        }
        check(
            "below the start offset",
            &[
                (1, "", Read, 1, 5, None),
                (1, "b", Acquired(1), 4, 4, again),
            ],
        );
        check(
            "by the next leader",
            &[
                (1, "", DONE, 3, 3, None),
                (2, "", Read, 2, 0, None),
                (2, "b", Acquired(1), 2, 2, None),
                (2, "b", Acquired(2), 3, 3, again),
            ],
        );
        check(
            "by one that is deposed",
            &[
                (1, "", Read, 1, 0, None),
                (2, "", Read, 2, 0, None),
                (2, "", Written, 2, 5, None),
                (1, "b", Acquired(1), 3, 3, None),
            ],
        );
    }

    #[test]
    fn a_start_offset_that_goes_back_is_seen() {
        let back = Some("ShareStartMonotone");
        check(
            "at its leader",
            &[
                (1, "", Read, 1, 0, None),
                (1, "", ShareStart, 0, 5, None),
                (1, "", ShareStart, 0, 5, None),
                (1, "", ShareStart, 5, 4, back),
            ],
        );
        check(
            "at the next leader",
            &[
                (1, "", Read, 1, 0, None),
                (1, "", Written, 1, 5, None),
                (2, "", Read, 2, 4, back),
            ],
        );
        check(
            "as it is written",
            &[
                (1, "", Written, 1, 5, None),
                (2, "", Read, 2, 5, None),
                (1, "", Written, 1, 4, None),
                (2, "", Written, 2, 4, back),
            ],
        );
    }
}
