//! How the controller changes a partition: leader election, ISR, eligible leader replicas,
//! reassignment.
//!
//! Follows `PartitionChangeBuilder` and `PartitionRegistration` (KIP-631, KIP-704, KIP-966). The
//! functions look at one partition; which partitions a broker's death touches is decided in
//! [`partition_control`](super::partition_control).

use crate::few;

/// The leader of a partition that has none.
pub const NO_LEADER: i32 = -1;

/// Which election is asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize)]
pub enum Election {
    /// Move to the first replica of the assignment if it is live and in sync.
    Preferred,
    /// Keep the leader if possible, else take an in-sync replica.
    #[default]
    Online,
    /// As online, but rather lose records than stay without leader.
    Unclean,
}

/// Whether the leader still recovers from an unclean election (KIP-704).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize)]
pub enum RecoveryState {
    /// Normal.
    #[default]
    Recovered,
    /// Elected unclean; its next AlterPartition ends the recovery.
    Recovering,
}

/// A partition as the metadata log has it.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct PartitionRegistration {
    /// All replicas; the order is the order of preference.
    pub replicas: Vec<i32>,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// Eligible leader replicas: out of the ISR, yet holding all committed records.
    pub elr: Vec<i32>,
    /// The last leader of a leaderless partition (or former ELR members, see
    /// [`ChangeRequest::use_last_known_leader`]).
    pub last_known_elr: Vec<i32>,
    /// Replicas being removed by a reassignment.
    pub removing: Vec<i32>,
    /// Replicas being added by a reassignment.
    pub adding: Vec<i32>,
    /// The leader, or [`NO_LEADER`].
    pub leader: i32,
    /// Whether the leader recovers from an unclean election.
    pub recovery: RecoveryState,
    /// Leader epoch: grows with every change of leader, including its loss.
    pub leader_epoch: i32,
    /// Partition epoch: grows with every change.
    pub partition_epoch: i32,
}

impl Default for PartitionRegistration {
    /// No replicas and no leader.
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl PartitionRegistration {
    /// A new partition: all replicas in sync, the first one leads.
    pub fn new(replicas: Vec<i32>) -> Self {
        Self {
            leader: replicas.first().copied().unwrap_or(NO_LEADER),
            isr: replicas.clone(),
            replicas,
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            removing: Vec::new(),
            adding: Vec::new(),
            recovery: RecoveryState::Recovered,
            leader_epoch: 0,
            partition_epoch: 0,
        }
    }

    /// Whether the partition has a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// Whether the first replica of the assignment leads.
    pub fn has_preferred_leader(&self) -> bool {
        self.replicas.first() == Some(&self.leader)
    }

    /// Whether a reassignment is going on.
    pub fn is_reassigning(&self) -> bool {
        !self.removing.is_empty() || !self.adding.is_empty()
    }

    /// The partition after `change`. Naming a leader bumps the leader epoch, even the same one.
    pub fn apply(&self, change: &PartitionChange) -> Self {
        let pick = |new: &Option<Vec<i32>>, old: &Vec<i32>| new.as_ref().unwrap_or(old).clone();
        Self {
            replicas: pick(&change.replicas, &self.replicas),
            isr: pick(&change.isr, &self.isr),
            elr: pick(&change.elr, &self.elr),
            last_known_elr: pick(&change.last_known_elr, &self.last_known_elr),
            removing: pick(&change.removing, &self.removing),
            adding: pick(&change.adding, &self.adding),
            leader: change.leader.unwrap_or(self.leader),
            recovery: change.recovery.unwrap_or(self.recovery),
            leader_epoch: self.leader_epoch + i32::from(change.leader.is_some()),
            partition_epoch: self.partition_epoch + 1,
        }
    }
}

/// A PartitionChangeRecord: what changes; `None` leaves a field as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Serialize)]
pub struct PartitionChange {
    /// New ISR.
    pub isr: Option<Vec<i32>>,
    /// New leader; the same leader again only bumps the leader epoch.
    pub leader: Option<i32>,
    /// New eligible leader replicas.
    pub elr: Option<Vec<i32>>,
    /// New last known leader (or ELR).
    pub last_known_elr: Option<Vec<i32>>,
    /// New replicas.
    pub replicas: Option<Vec<i32>>,
    /// New replicas being removed.
    pub removing: Option<Vec<i32>>,
    /// New replicas being added.
    pub adding: Option<Vec<i32>>,
    /// New recovery state.
    pub recovery: Option<RecoveryState>,
}

/// What is asked of a partition. `None` targets stay as they are.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ChangeRequest {
    /// Which election to hold.
    pub election: Election,
    /// The ISR wanted.
    pub target_isr: Option<Vec<i32>>,
    /// The replicas wanted.
    pub target_replicas: Option<Vec<i32>>,
    /// The replicas to be removed.
    pub target_removing: Option<Vec<i32>>,
    /// The replicas to be added.
    pub target_adding: Option<Vec<i32>>,
    /// The recovery state wanted.
    pub target_recovery: Option<RecoveryState>,
    /// Brokers that came back from an unclean shutdown: barred from the ELR.
    pub unclean_shutdown: Vec<i32>,
    /// Effective `min.insync.replicas`: at most the replication factor.
    pub min_isr: i32,
    /// Whether eligible leader replicas are on (KIP-966).
    pub elr_enabled: bool,
    /// Whether `last_known_elr` keeps the last leader, who may be elected once ISR and ELR are
    /// empty. If not, it collects former ELR members and elects nobody.
    pub use_last_known_leader: bool,
    /// Before metadata version 3.6 an ISR shrink bumped the leader epoch (KAFKA-15021).
    pub bump_epoch_on_isr_shrink: bool,
}

impl Default for ChangeRequest {
    fn default() -> Self {
        Self {
            election: Election::Online,
            target_isr: None,
            target_replicas: None,
            target_removing: None,
            target_adding: None,
            target_recovery: None,
            unclean_shutdown: Vec::new(),
            min_isr: 1,
            elr_enabled: true,
            use_last_known_leader: true,
            bump_epoch_on_isr_shrink: false,
        }
    }
}

/// Who leads after an election.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct ElectionResult {
    /// The leader, or [`NO_LEADER`].
    pub leader: i32,
    /// Whether committed records may be lost by it.
    pub unclean: bool,
}

impl ElectionResult {
    fn clean(leader: i32) -> Self {
        Self {
            leader,
            unclean: false,
        }
    }

    fn unclean(leader: i32) -> Self {
        Self {
            leader,
            unclean: true,
        }
    }
}

/// The targets of a change while it is worked out.
struct Targets<'a> {
    partition: &'a PartitionRegistration,
    request: &'a ChangeRequest,
    isr: Vec<i32>,
    replicas: Vec<i32>,
    removing: Vec<i32>,
    adding: Vec<i32>,
    elr: Vec<i32>,
    last_known_elr: Vec<i32>,
}

/// Elects a leader among the targets; changes nothing. `acceptable` says who is live.
pub fn elect(
    partition: &PartitionRegistration,
    request: &ChangeRequest,
    acceptable: &impl Fn(i32) -> bool,
) -> ElectionResult {
    Targets::new(partition, request).elect(acceptable)
}

/// Works out the change of a partition; `None` if nothing changes.
pub fn change_partition(
    partition: &PartitionRegistration,
    request: &ChangeRequest,
    acceptable: &impl Fn(i32) -> bool,
) -> Option<PartitionChange> {
    let mut targets = Targets::new(partition, request);
    targets.complete_reassignment();
    targets.populate_elr();
    let mut change = PartitionChange::default();
    targets.hold_election(acceptable, &mut change);
    if change.leader.is_none() && !contains_all(&targets.replicas, &partition.replicas) {
        // A removed replica must not go on as if nothing happened: the epoch fences it.
        change.leader = Some(partition.leader);
    }
    targets.record_elr(&mut change);
    let isr_may_change = !targets.isr.is_empty() || request.elr_enabled;
    if change.isr.is_none() && isr_may_change && targets.isr != partition.isr {
        change.isr = Some(targets.isr.clone());
    }
    let shrinks = change
        .isr
        .as_ref()
        .is_some_and(|isr| !contains_all(isr, &partition.isr));
    if request.bump_epoch_on_isr_shrink && change.leader.is_none() && shrinks {
        change.leader = Some(partition.leader);
    }
    targets.record_last_known_leader(&mut change);
    let new = |target: &Vec<i32>, old: &Vec<i32>| (target != old).then(|| target.clone());
    if !targets.replicas.is_empty() {
        change.replicas = new(&targets.replicas, &partition.replicas);
    }
    change.removing = new(&targets.removing, &partition.removing);
    change.adding = new(&targets.adding, &partition.adding);
    if let Some(target) = request
        .target_recovery
        .filter(|state| *state != partition.recovery)
    {
        change.recovery = Some(target);
    }
    (change != PartitionChange::default()).then_some(change)
}

impl<'a> Targets<'a> {
    fn new(partition: &'a PartitionRegistration, request: &'a ChangeRequest) -> Self {
        let pick =
            |target: &Option<Vec<i32>>, old: &Vec<i32>| target.as_ref().unwrap_or(old).clone();
        Self {
            isr: pick(&request.target_isr, &partition.isr),
            replicas: pick(&request.target_replicas, &partition.replicas),
            removing: pick(&request.target_removing, &partition.removing),
            adding: pick(&request.target_adding, &partition.adding),
            elr: partition.elr.clone(),
            last_known_elr: partition.last_known_elr.clone(),
            partition,
            request,
        }
    }

    /// A reassignment is complete once every replica that stays is in sync: the others go.
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let stays = |ids: &[i32]| -> Vec<i32> {
            ids.iter()
                .copied()
                .filter(|id| !self.removing.contains(id))
                .collect()
        };
        let (isr, replicas) = (stays(&self.isr), stays(&self.replicas));
        if isr.is_empty() || replicas.is_empty() || !contains_all(&isr, &replicas) {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    /// Below the minimum ISR, whoever leaves the ISR holds all committed records, because the high
    /// watermark stands still; so it may be elected. At the minimum, nobody but the ISR does.
    fn populate_elr(&mut self) {
        if !self.request.elr_enabled {
            return;
        }
        if i32::try_from(self.isr.len()).unwrap_or(i32::MAX) >= self.request.min_isr {
            self.elr.clear();
            self.last_known_elr.clear();
            return;
        }
        let mut candidates = self.elr.clone();
        candidates.extend(&self.partition.isr);
        let unclean = &self.request.unclean_shutdown;
        self.elr = sorted(&candidates, |id| {
            !self.isr.contains(id) && !unclean.contains(id)
        });
        candidates.extend(&self.last_known_elr);
        self.last_known_elr = sorted(&candidates, |id| {
            !self.isr.contains(id) && !self.elr.contains(id)
        });
    }

    fn elect(&self, acceptable: &impl Fn(i32) -> bool) -> ElectionResult {
        let valid = |id: i32| {
            let may = self.isr.contains(&id) || (self.isr.is_empty() && self.elr.contains(&id));
            may && acceptable(id)
        };
        let current = self.partition.leader;
        let preferred = self
            .replicas
            .first()
            .copied()
            .filter(|_| self.is_preferred());
        if let Some(preferred) = preferred.filter(|id| valid(*id)) {
            return ElectionResult::clean(preferred);
        }
        if valid(current) {
            return ElectionResult::clean(current);
        }
        if let Some(id) = self.replicas.iter().copied().find(|id| valid(*id)) {
            return ElectionResult::clean(id);
        }
        if let Some(id) = self.last_known_leader().filter(|id| acceptable(*id)) {
            return ElectionResult::unclean(id);
        }
        if self.request.election == Election::Unclean
            && let Some(id) = self.replicas.iter().copied().find(|id| acceptable(*id))
        {
            return ElectionResult::unclean(id);
        }
        ElectionResult::clean(NO_LEADER)
    }

    fn is_preferred(&self) -> bool {
        self.request.election == Election::Preferred
    }

    /// The last leader, if nobody in ISR or ELR is left to take over.
    fn last_known_leader(&self) -> Option<i32> {
        let enabled = self.request.elr_enabled && self.request.use_last_known_leader;
        match self.partition.last_known_elr.as_slice() {
            [id] if enabled && self.isr.is_empty() && self.elr.is_empty() => Some(*id),
            _ => None,
        }
    }

    fn hold_election(&mut self, acceptable: &impl Fn(i32) -> bool, change: &mut PartitionChange) {
        let result = self.elect(acceptable);
        if result.leader == self.partition.leader {
            return;
        }
        change.leader = Some(result.leader);
        if self.elr.contains(&result.leader) {
            self.isr = vec![result.leader];
            self.elr.retain(|id| *id != result.leader);
        }
        if result.unclean {
            change.isr = Some(vec![result.leader]);
            if self.partition.recovery != RecoveryState::Recovering {
                change.recovery = Some(RecoveryState::Recovering);
            }
        }
    }

    fn record_elr(&mut self, change: &mut PartitionChange) {
        let unclean = change.isr.is_some();
        if unclean || !self.request.elr_enabled {
            self.elr.clear();
            self.last_known_elr.clear();
        }
        if self.elr != self.partition.elr {
            change.elr = Some(self.elr.clone());
        }
        let keeps_leader = self.request.use_last_known_leader && self.request.elr_enabled;
        if !keeps_leader && self.last_known_elr != self.partition.last_known_elr {
            change.last_known_elr = Some(self.last_known_elr.clone());
        }
    }

    /// Remembers the leader when the partition loses it, and forgets it when there is one again.
    fn record_last_known_leader(&self, change: &mut PartitionChange) {
        if !self.request.use_last_known_leader || !self.request.elr_enabled {
            return;
        }
        let before = self.partition.leader;
        let after = change.leader.unwrap_or(before);
        if before != NO_LEADER && after == NO_LEADER {
            if self.partition.last_known_elr != [before] {
                change.last_known_elr = Some(vec![before]);
            }
        } else if after != NO_LEADER && !self.partition.last_known_elr.is_empty() {
            change.last_known_elr = Some(Vec::new());
        }
    }
}

fn contains_all(list: &[i32], members: &[i32]) -> bool {
    members.iter().all(|id| list.contains(id))
}

fn sorted(ids: &[i32], keep: impl Fn(&i32) -> bool) -> Vec<i32> {
    let mut kept: Vec<i32> = ids.iter().copied().filter(keep).collect();
    few::sort_by_key(&mut kept, |id| *id);
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reassignment_ends_when_all_that_stay_are_in_sync() {
        let mut partition = PartitionRegistration::new(vec![1, 2, 3, 4]);
        (partition.isr, partition.removing, partition.adding) = (vec![1, 2, 3], vec![1], vec![4]);
        let request = |isr: &[i32]| ChangeRequest {
            target_isr: Some(isr.to_vec()),
            min_isr: 2,
            ..ChangeRequest::default()
        };
        assert_eq!(
            change_partition(&partition, &request(&[1, 2, 3]), &|_| true),
            None
        );
        let change = change_partition(&partition, &request(&[1, 2, 3, 4]), &|_| true);
        let after = partition.apply(&change.expect("the reassignment completes"));
        assert_eq!((after.replicas, after.isr), (vec![2, 3, 4], vec![2, 3, 4]));
        assert_eq!((after.leader, after.leader_epoch), (2, 1));
        assert_eq!((after.removing, after.adding), (vec![], vec![]));
    }

    #[test]
    fn the_last_known_leader_is_elected_only_when_live() {
        let mut partition = PartitionRegistration::new(vec![1, 2, 3]);
        (partition.isr, partition.leader) = (vec![], NO_LEADER);
        partition.last_known_elr = vec![2];
        let request = ChangeRequest {
            min_isr: 2,
            ..ChangeRequest::default()
        };
        assert_eq!(change_partition(&partition, &request, &|id| id == 1), None);
        let change = change_partition(&partition, &request, &|id| id == 2);
        let after = partition.apply(&change.expect("the last known leader is back"));
        assert_eq!((after.leader, after.isr), (2, vec![2]));
        assert_eq!(
            (after.recovery, after.last_known_elr),
            (RecoveryState::Recovering, vec![])
        );
    }
}
