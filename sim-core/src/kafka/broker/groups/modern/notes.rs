//! What a coordinator tells of a group of the consumer protocol: read off what changed.

use super::super::super::Broker;
use crate::kafka::modern_why::ModernRule;
use crate::kafka::node::KafkaCx;
use crate::kafka::note::{GroupNote, Note, Rule};
use crate::kafka::rules::classic_group::Name;
use crate::kafka::rules::modern_group::{
    ConsumerGroup, Fenced, GroupState, MemberState, ModernMember,
};
use std::sync::Arc;

impl Broker {
    pub(super) fn note_consumer_group(
        &self,
        name: &Name,
        before: &ConsumerGroup,
        after: &ConsumerGroup,
        cx: &mut KafkaCx<'_>,
    ) {
        let mut tell = |rule, member: Option<&Name>, before: i32, after: i32| {
            note(name, rule, member.map(Arc::clone), before, after, cx);
        };
        if before.epoch() != after.epoch() {
            tell(ModernRule::GroupEpoch, None, before.epoch(), after.epoch());
        }
        if before.target_epoch() != after.target_epoch() {
            let (old, new) = (before.target_epoch(), after.target_epoch());
            tell(ModernRule::TargetAssignment, None, old, new);
        }
        let nobody = ModernMember::default();
        for (id, member) in after.members() {
            let new = &member.current;
            let old = before.members().get(id).map_or(&nobody, |it| &it.current);
            if old.epoch != new.epoch {
                tell(ModernRule::MemberEpoch, Some(id), old.epoch, new.epoch);
            }
            if (old.state, old.epoch) == (new.state, new.epoch) {
                continue;
            }
            let rule = match new.state {
                MemberState::UnrevokedPartitions => ModernRule::RevocationAsked,
                MemberState::UnreleasedPartitions => ModernRule::AwaitsPartitions,
                MemberState::Stable | MemberState::Unknown => continue,
            };
            tell(rule, Some(id), new.epoch, after.target_epoch());
        }
        if before.state() == after.state() {
            return;
        }
        match after.state() {
            GroupState::Stable => tell(ModernRule::GroupStable, None, -1, after.epoch()),
            GroupState::Empty => tell(ModernRule::GroupEmpty, None, -1, after.epoch()),
            GroupState::Assigning | GroupState::Reconciling | GroupState::Dead => {}
        }
    }

    pub(super) fn note_fenced(
        &self,
        name: &Name,
        member: Name,
        why: Fenced,
        before: &ConsumerGroup,
        cx: &mut KafkaCx<'_>,
    ) {
        let epoch = before
            .members()
            .get(&member)
            .map_or(-1, |it| it.current.epoch);
        let rule = match why {
            Fenced::Session => ModernRule::SessionExpired,
            Fenced::Rebalance => ModernRule::RebalanceTimeout,
        };
        note(name, rule, Some(member), epoch, before.epoch(), cx);
    }
}

fn note(
    group: &Name,
    rule: ModernRule,
    member: Option<Name>,
    before: i32,
    after: i32,
    cx: &mut KafkaCx<'_>,
) {
    let note = GroupNote {
        node: cx.me(),
        rule: Rule::Modern(rule),
        group: Arc::clone(group),
        member,
        tp: None,
        before: before.into(),
        after: after.into(),
        record: None,
    };
    cx.note(Note::Group(Box::new(note)));
}
