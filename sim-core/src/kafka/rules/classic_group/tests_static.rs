//! Static members (KIP-345), by the stories of `GroupMetadataManagerTest`.

use super::tests::*;
use super::*;
use crate::kafka::error::ErrorCode;

fn fixed(instance: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(name(instance)),
        ..joining(instance, &["range"], "m")
    }
}

#[test]
fn static_02_late() {
    let mut members = [fixed("leader"), fixed("follower")];
    for it in &mut members {
        (it.rebalance_timeout_ms, it.session_timeout_ms) = (10_000, 15_000);
    }
    let (mut rig, ids) = stable(&members);
    let mut new = fixed("new-member");
    (new.rebalance_timeout_ms, new.session_timeout_ms) = (10_000, 15_000);
    let joined = rig.join(&new);
    rig.join(&again(&members[0], &ids[0]));
    rig.sleep(10_000);
    let instances = rig
        .group
        .members()
        .values()
        .filter_map(|it| it.instance_id.as_deref());
    let mut instances: Vec<&str> = instances.collect();
    instances.sort_unstable();
    assert_eq!(instances, ["follower", "leader", "new-member"]);
    assert_eq!(rig.joined(joined).generation, 2);
}

#[test]
fn static_03_dynamic_joins() {
    let mut member = fixed("static");
    member.session_timeout_ms = 5_000;
    let (mut rig, ids) = stable(&[member]);
    let mut dynamic = joining("dynamic", &["range"], "m");
    dynamic.session_timeout_ms = 5_000;
    let ticket = rig.join(&dynamic);
    for _ in 0..10 {
        assert_eq!(rig.heartbeat(&ids[0], 1), ErrorCode::RebalanceInProgress);
        rig.sleep(1_000);
    }
    let answer = rig.joined(ticket);
    assert_eq!((rig.group.members().len(), rig.group.generation()), (2, 2));
    assert_eq!(rig.group.state(), State::CompletingRebalance);
    assert_eq!(answer.leader, answer.member_id);
}

#[test]
fn a_restarted_static_member_gets_its_assignment_back_without_a_rebalance() {
    let members = [fixed("a"), fixed("b")];
    let (mut rig, ids) = stable(&members);
    let ticket = rig.join(&members[1]);
    let answer = rig.joined(ticket).clone();
    assert_eq!((answer.error, answer.generation), (ErrorCode::None, 1));
    assert_ne!(answer.member_id, ids[1]);
    assert_eq!(rig.group.state(), State::Stable);
    let sync = rig.sync(&answer.member_id, 1, &[]);
    assert_eq!(rig.synced(sync), Some((ErrorCode::None, &*ids[1])));
    // The former self is fenced, whatever it tries.
    let settings = rig.settings;
    let turn = Turn::at(rig.now_ms, &settings);
    let beat = rig.group.heartbeat(&ids[1], Some("b"), 1, &turn);
    assert_eq!(beat, ErrorCode::FencedInstanceId);
    let commit = rig
        .group
        .validate_offset_commit(&ids[1], Some("b"), 1, false);
    assert_eq!(commit, Err(ErrorCode::FencedInstanceId));
    // The leader comes back too: it is told not to assign anew.
    let leader = rig.join(&members[0]);
    assert!(rig.joined(leader).skip_assignment);
    assert_eq!(rig.joined(leader).members.len(), 2);
}

#[test]
fn a_replacement_that_cannot_be_written_is_undone() {
    let members = [fixed("a"), fixed("b")];
    let (mut rig, ids) = stable(&members);
    rig.log_error = ErrorCode::NotCoordinator;
    let ticket = rig.join(&members[1]);
    assert_eq!(rig.joined(ticket).error, ErrorCode::NotCoordinator);
    assert_eq!(rig.group.static_member("b"), Some(&ids[1]));
    assert_eq!(rig.heartbeat(&ids[1], 1), ErrorCode::None);
}

#[test]
fn a_second_process_with_the_same_instance_fences_the_first_at_once() {
    let mut rig = Rig::new();
    let first = rig.join(&fixed("a"));
    let second = rig.join(&fixed("a"));
    assert_eq!(rig.joined(first).error, ErrorCode::FencedInstanceId);
    assert!(!rig.joins.contains_key(&second));
    assert_eq!(rig.group.members().len(), 1);
    rig.sleep(3_000);
    assert_eq!(rig.joined(second).error, ErrorCode::None);
}

#[test]
fn a_group_of_silent_static_members_waits_for_their_sessions() {
    let mut members = [fixed("a"), fixed("b")];
    for it in &mut members {
        (it.rebalance_timeout_ms, it.session_timeout_ms) = (1_000, 5_000);
    }
    let (mut rig, _) = stable(&members);
    let start = rig.now_ms;
    let ticket = rig.join(&joining("c", &["range"], "m"));
    rig.until(start + 20_000);
    assert_eq!(rig.joined(ticket).generation, 2);
    assert_eq!(rig.group.members().len(), 3 - rig.expired.len());
}
