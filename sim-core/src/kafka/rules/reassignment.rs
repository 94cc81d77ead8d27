//! Moving a partition to other replicas: what is asked of the partition at the start, and to take it
//! back.
//!
//! Follows `PartitionReassignmentReplicas`, `PartitionReassignmentRevert` and
//! `ReplicationControlManager.changePartitionReassignment`. Meanwhile the partition has the replicas
//! of both assignments; [`change_partition`](super::election::change_partition) completes it once
//! all that stay are in sync. Left out: log directories, and an unclean way back.

use super::election::{ChangeRequest, PartitionRegistration};
use crate::kafka::error::ErrorCode;

/// What begins (or redirects) a reassignment to `target`; `known` says which brokers are registered.
///
/// # Errors
/// INVALID_REPLICA_ASSIGNMENT if the target is empty, names a broker twice or one that is unknown.
pub fn begin(
    partition: &PartitionRegistration,
    target: &[i32],
    known: impl Fn(i32) -> bool,
) -> Result<ChangeRequest, ErrorCode> {
    let twice = |at: usize, id: &i32| target.iter().take(at).any(|it| it == id);
    let bad = |(at, id): (usize, &i32)| *id < 0 || !known(*id) || twice(at, id);
    if target.is_empty() || target.iter().enumerate().any(bad) {
        return Err(ErrorCode::InvalidReplicaAssignment);
    }
    let removing = difference(&partition.replicas, target);
    let adding = difference(target, &partition.replicas);
    let replicas: Vec<i32> = target.iter().chain(&removing).copied().collect();
    let some = |ids: Vec<i32>| (!ids.is_empty()).then_some(ids);
    Ok(ChangeRequest {
        target_replicas: (replicas != partition.replicas).then_some(replicas),
        target_removing: some(removing),
        target_adding: some(adding),
        ..ChangeRequest::default()
    })
}

/// What takes a reassignment back: the replicas that were being added go.
///
/// # Errors
/// NO_REASSIGNMENT_IN_PROGRESS; INVALID_REPLICA_ASSIGNMENT if nobody in sync would be left.
pub fn cancel(partition: &PartitionRegistration) -> Result<ChangeRequest, ErrorCode> {
    if !partition.is_reassigning() {
        return Err(ErrorCode::NoReassignmentInProgress);
    }
    let stays = |ids: &[i32]| -> Vec<i32> {
        let own = ids.iter().copied();
        own.filter(|id| !partition.adding.contains(id)).collect()
    };
    let isr = stays(&partition.isr);
    if isr.is_empty() {
        return Err(ErrorCode::InvalidReplicaAssignment);
    }
    Ok(ChangeRequest {
        target_isr: Some(isr),
        target_replicas: Some(stays(&partition.replicas)),
        target_removing: Some(Vec::new()),
        target_adding: Some(Vec::new()),
        ..ChangeRequest::default()
    })
}

/// Members of the first that are not in the second, ascending.
fn difference(of: &[i32], without: &[i32]) -> Vec<i32> {
    let mut left: Vec<i32> = of.to_vec();
    left.retain(|id| !without.contains(id));
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::super::election::change_partition;
    use super::*;

    #[test]
    fn both_assignments_hold_until_the_new_one_is_in_sync() {
        let start = PartitionRegistration::new(vec![1, 2]);
        let check = |target: &[i32], expect: (&[i32], &[i32], &[i32])| {
            let request = begin(&start, target, |id| id < 9).expect("a fair target");
            let change = change_partition(&start, &request, &|_| true);
            let after = change.map_or_else(|| start.clone(), |it| start.apply(&it));
            let (replicas, adding, removing) = expect;
            assert_eq!(after.replicas, replicas, "{target:?}");
            assert_eq!(
                (after.adding.as_slice(), after.removing.as_slice()),
                (adding, removing),
                "{target:?}"
            );
        };
        check(&[3, 4], (&[3, 4, 1, 2], &[3, 4], &[1, 2]));
        check(&[2, 3], (&[2, 3, 1], &[3], &[1]));
        // Nobody has to catch up: done at once.
        check(&[2], (&[2], &[], &[]));
        check(&[2, 1], (&[2, 1], &[], &[]));
        check(&[1, 2], (&[1, 2], &[], &[]));
        for bad in [&[][..], &[1, 1], &[9]] {
            let refused = begin(&start, bad, |id| id < 9).map(|_| ());
            assert_eq!(refused, Err(ErrorCode::InvalidReplicaAssignment), "{bad:?}");
        }
    }

    #[test]
    fn a_reassignment_is_taken_back() {
        let start = PartitionRegistration::new(vec![1, 2]);
        assert_eq!(cancel(&start), Err(ErrorCode::NoReassignmentInProgress));
        let request = begin(&start, &[3, 1], |_| true).expect("a fair target");
        let moving = change_partition(&start, &request, &|_| true).expect("it begins");
        let moving = start.apply(&moving);
        let request = cancel(&moving).expect("it goes on");
        let back = change_partition(&moving, &request, &|_| true).expect("it ends");
        let back = moving.apply(&back);
        assert_eq!((back.replicas.as_slice(), back.leader), (&[1, 2][..], 1));
        assert!(!back.is_reassigning());
    }
}
