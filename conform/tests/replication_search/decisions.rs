//! The engine's rules, asked about the small world.
//!
//! Each question is turned into the engine's own types and put to its own functions; nothing is
//! decided here. The functions are pure, so an answer is remembered.

use crate::state::{NONE, REPLICAS, ReplicaLog};
use sim_core::kafka::rules::election::{
    ChangeRequest, Election, NO_LEADER, PartitionRegistration, RecoveryState, change_partition,
};
use sim_core::kafka::rules::fetch::{check_divergence, check_replica, follower_high_watermark};
use sim_core::kafka::rules::isr::{
    IsrCommit, IsrProposal, LeaderConfig, PartitionLeaderState, PartitionMetadata,
};
use sim_core::kafka::rules::partition_control::{
    AlterPartition, ControlConfig, alter_partition, elect_leader,
};
use sim_core::kafka::rules::replica::{BrokerStatus, FollowerFetch};
use sim_core::kafka::rules::replication::ReplicationRules;
use sim_core::kafka::rules::truncation::{
    FollowerLog, FollowerStart, OutOfRangeAction, on_out_of_range,
};
use sim_core::log::{Batch, Log, LogConfig, ProducerStamp, Record, RecordId};
use std::collections::HashMap;

const BROKER_EPOCH: i64 = 10;
/// Two moments, further apart than `replica.lag.time.max.ms`.
const EARLY: i64 = 0;
const NOW: i64 = 1_000_000;

/// What a fetch comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fetched {
    /// Data, if the leader has more.
    Data,
    /// The follower cuts its log to this offset.
    Cut(u8),
    /// Neither; it asks again.
    Nothing,
}

/// A leader as the rules see it: who, with which ISR, high watermark, log end and epoch start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Leader {
    pub(crate) id: u8,
    pub(crate) isr: u8,
    pub(crate) hw: u8,
    pub(crate) leo: u8,
    pub(crate) start: u8,
}

/// An ISR and a high watermark.
type IsrAndHw = (u8, u8);

#[derive(Default)]
struct Memo {
    fetches: HashMap<(ReplicaLog, ReplicaLog, u8), Fetched>,
    accepts: HashMap<(ReplicaLog, u8, i8), bool>,
    starts: HashMap<(ReplicaLog, u8, ReplicaLog), u8>,
    raised: HashMap<(Leader, u8), u8>,
    joined: HashMap<(Leader, u8, u8), Option<u8>>,
    left: HashMap<(Leader, u8, Option<u8>), Option<IsrAndHw>>,
    altered: HashMap<(i8, i8, u8, u8, i8, u8), bool>,
    dropped: HashMap<(i8, u8, u8), Option<(i8, u8)>>,
}

pub(crate) struct Decisions {
    rules: ReplicationRules,
    memo: Memo,
}

fn log_of(log: &ReplicaLog) -> Log<Record> {
    let mut it = Log::new(LogConfig::default());
    for (epoch, id) in &log.records[..usize::from(log.len)] {
        let record = Record {
            id: RecordId(u64::from(*id)),
            key: None,
            offset_delta: 0,
            bytes: 10,
            timestamp_ms: -1,
            tombstone: false,
        };
        let batch = Batch::new(vec![record], ProducerStamp::NONE);
        it.append_as_leader(batch, i32::from(*epoch));
    }
    if log.open_epoch != NONE {
        it.assign_epoch_at_end(i32::from(log.open_epoch));
    }
    it
}

fn live(_: i32) -> Option<BrokerStatus> {
    Some(BrokerStatus {
        epoch: BROKER_EPOCH,
        fenced: false,
        in_controlled_shutdown: false,
    })
}

fn members(isr: u8) -> Vec<i32> {
    let all = 0..REPLICAS as i32;
    all.filter(|id| isr & (1 << id) != 0).collect()
}

fn bits(members: &[i32]) -> u8 {
    members.iter().fold(0, |all, id| all | 1 << id)
}

fn small(offset: i64) -> u8 {
    u8::try_from(offset).expect("a small offset")
}

fn fetch_of(replica: u8, offset: u8, now_ms: i64) -> FollowerFetch {
    FollowerFetch {
        replica: i32::from(replica),
        offset: i64::from(offset),
        log_start_offset: 0,
        broker_epoch: BROKER_EPOCH,
        leader_epoch: None,
        now_ms,
    }
}

impl Decisions {
    pub(crate) fn new(rules: ReplicationRules) -> Self {
        Decisions {
            rules,
            memo: Memo::default(),
        }
    }

    /// Whether a replica in `own` epoch answers a follower in `asking`, as the broker asks it.
    pub(crate) fn answers(&self, asking: i8, own: i8, leads: bool) -> bool {
        let fences = self.rules.fence_fetch_epoch && self.rules.truncation.fences_epochs();
        let epoch = fences.then_some(i32::from(asking));
        check_replica(epoch, i32::from(own), leads, true).is_ok()
    }

    /// Whether a fetch from this offset, after a record of this epoch, is answered with data.
    pub(crate) fn accepts(&mut self, leader: &ReplicaLog, offset: u8, last_epoch: i8) -> bool {
        let rule = self.rules.truncation;
        *self
            .memo
            .accepts
            .entry((*leader, offset, last_epoch))
            .or_insert_with(|| {
                let log = log_of(leader);
                let named = rule.checks_divergence_on_fetch();
                let epoch = named.then_some(i32::from(last_epoch));
                let diverging = check_divergence(&log, epoch, i64::from(offset));
                diverging == Ok(None) && i64::from(offset) <= log.leo()
            })
    }

    /// A follower's fetch from its log end.
    pub(crate) fn fetch(&mut self, leader: &ReplicaLog, own: &ReplicaLog, hw: u8) -> Fetched {
        let rule = self.rules.truncation;
        let fetched = || {
            let (theirs, mut mine) = (log_of(leader), log_of(own));
            mine.set_high_watermark(i64::from(hw));
            let named = rule.checks_divergence_on_fetch();
            let epoch = named.then(|| mine.latest_epoch().unwrap_or(-1));
            match check_divergence(&theirs, epoch, mine.leo()) {
                Ok(Some(end)) => {
                    let cut = rule.truncation_offset(end, &FollowerLog::of(&mine));
                    Fetched::Cut(small(cut.offset))
                }
                Ok(None) if mine.leo() <= theirs.leo() => Fetched::Data,
                _ => match on_out_of_range(mine.leo(), i64::MIN, theirs.leo()) {
                    OutOfRangeAction::TruncateTo { offset } => Fetched::Cut(small(offset)),
                    _ => Fetched::Nothing,
                },
            }
        };
        let key = (*leader, *own, hw);
        *self.memo.fetches.entry(key).or_insert_with(fetched)
    }

    /// The high watermark a follower takes over.
    pub(crate) fn follower_hw(&self, leader_hw: u8, leo: u8) -> u8 {
        small(follower_high_watermark(
            i64::from(leader_hw),
            i64::from(leo),
        ))
    }

    /// Whether a new follower must hear from its leader before it can begin.
    pub(crate) fn must_ask(&self, own: &ReplicaLog, hw: u8) -> bool {
        let mut log = log_of(own);
        log.set_high_watermark(i64::from(hw));
        let start = self
            .rules
            .truncation
            .on_become_follower(&FollowerLog::of(&log));
        matches!(start, FollowerStart::AskLeader { .. })
    }

    /// Where a new follower's log ends when it begins to fetch. One more than its log end stands
    /// for a log that it does not touch.
    pub(crate) fn begin(&mut self, own: &ReplicaLog, hw: u8, leader: &ReplicaLog) -> u8 {
        let rule = self.rules.truncation;
        let began = || {
            let theirs = log_of(leader);
            let mut mine = log_of(own);
            mine.set_high_watermark(i64::from(hw));
            loop {
                let start = rule.on_become_follower(&FollowerLog::of(&mine));
                let epoch = match start {
                    FollowerStart::Fetch => return own.len + 1,
                    FollowerStart::Truncate { offset } => return small(offset),
                    FollowerStart::AskLeader { epoch } => epoch,
                };
                let answer = rule.leader_answer(theirs.epochs(), epoch, theirs.leo());
                let cut = rule.truncation_offset(answer, &FollowerLog::of(&mine));
                mine.truncate_to(cut.offset);
                if cut.completed {
                    return small(cut.offset);
                }
            }
        };
        *self
            .memo
            .starts
            .entry((*own, hw, *leader))
            .or_insert_with(began)
    }

    fn leader(rules: &ReplicationRules, it: Leader, now_ms: i64) -> PartitionLeaderState {
        let config = LeaderConfig {
            lag_max_ms: (NOW - EARLY) / 2,
            min_insync_replicas: 1,
            rules: rules.clone(),
        };
        let metadata = PartitionMetadata {
            replicas: (0..REPLICAS as i32).collect(),
            isr: members(it.isr),
            leader_epoch: 0,
            partition_epoch: 0,
        };
        PartitionLeaderState::new(
            i32::from(it.id),
            BROKER_EPOCH,
            config,
            &metadata,
            i64::from(it.start),
            i64::from(it.hw),
            now_ms,
        )
    }

    /// The high watermark after the fetches up to `offset` of these followers, whose log end the
    /// leader then had; with none, what the leader can do alone.
    pub(crate) fn raised(&mut self, leader: Leader, offset: u8, followers: u8) -> u8 {
        let it = Leader {
            leo: leader.leo.min(offset),
            ..leader
        };
        let rules = &self.rules;
        let raise = || {
            let leo = i64::from(it.leo);
            let mut state = Self::leader(rules, it, EARLY);
            for id in members(followers) {
                let fetch = fetch_of(id as u8, it.leo, NOW);
                let counted = state.update_follower_fetch(&fetch, leo, &live);
                assert!(counted.is_ok(), "{counted:?}");
            }
            state.maybe_increment_hw(leo, NOW, &live);
            small(state.high_watermark())
        };
        *self
            .memo
            .raised
            .entry((it, followers))
            .or_insert_with(raise)
    }

    /// The ISR that the leader asks for after a follower's fetch from this offset.
    pub(crate) fn joined(&mut self, leader: Leader, follower: u8, offset: u8) -> Option<u8> {
        let rules = &self.rules;
        let join = || {
            let mut state = Self::leader(rules, leader, EARLY);
            let fetch = fetch_of(follower, offset, NOW);
            let outcome = state.update_follower_fetch(&fetch, i64::from(leader.leo), &live);
            let asked = outcome.ok().and_then(|it| it.expand);
            asked.map(|proposal| bits(&proposal.isr_ids()))
        };
        let key = (leader, follower, offset);
        *self.memo.joined.entry(key).or_insert_with(join)
    }

    /// The ISR that the leader asks for when this follower, whose last fetch it counted was from
    /// this offset, has not caught up for too long while all others did a moment ago; and the high
    /// watermark once that is committed.
    pub(crate) fn left(
        &mut self,
        leader: Leader,
        follower: u8,
        offset: Option<u8>,
    ) -> Option<IsrAndHw> {
        let rules = &self.rules;
        let leave = || {
            let leo = i64::from(leader.leo);
            let mut state = Self::leader(rules, leader, EARLY);
            let others = leader.isr & !(1 << leader.id) & !(1 << follower);
            for id in members(others) {
                let fetch = fetch_of(id as u8, leader.start, NOW);
                let start = i64::from(leader.start);
                state.update_follower_fetch(&fetch, start, &live).ok()?;
            }
            if let Some(offset) = offset {
                let fetch = fetch_of(follower, offset, EARLY);
                state.update_follower_fetch(&fetch, leo, &live).ok()?;
            }
            let proposal: IsrProposal = state.maybe_shrink(leo, NOW)?;
            let commit = IsrCommit {
                isr: proposal.isr_ids(),
                leader_epoch: proposal.leader_epoch,
                partition_epoch: proposal.partition_epoch + 1,
            };
            state.on_alter_partition_response(&proposal, Ok(&commit), leo, NOW, &live);
            let hw = small(state.high_watermark()).max(leader.hw);
            // Those who stay have not all fetched to the end: only alone it knows its mark.
            let hw = match commit.isr.len() {
                1 => hw,
                _ => leader.hw,
            };
            Some((bits(&commit.isr), hw))
        };
        let key = (leader, follower, offset);
        *self.memo.left.entry(key).or_insert_with(leave)
    }

    /// Whether the controller commits what a leader in its epoch asks for.
    pub(crate) fn commits(
        &mut self,
        (epoch, leader, isr): (i8, i8, u8),
        (asking, own_epoch, wanted): (u8, i8, u8),
    ) -> bool {
        let commit = || {
            let partition = registration(leader, epoch, isr, 0);
            let request = AlterPartition {
                broker: i32::from(asking),
                broker_epoch: BROKER_EPOCH,
                leader_epoch: i32::from(own_epoch),
                partition_epoch: 0,
                isr: members(wanted).into_iter().map(|id| (id, -1)).collect(),
                recovery: RecoveryState::Recovered,
            };
            alter_partition(&partition, &request, CONTROL, &live).is_ok()
        };
        let key = (epoch, leader, isr, asking, own_epoch, wanted);
        *self.memo.altered.entry(key).or_insert_with(commit)
    }

    /// Leader and ISR after the controller took a member out, as one without a rival for the lead
    /// did before 3.6: with a new leader epoch, and with no leader if it was the leader that went.
    pub(crate) fn dropped(&mut self, leader: i8, isr: u8, member: u8) -> Option<(i8, u8)> {
        let drop = || {
            let partition = registration(leader, 0, isr, 0);
            let request = ChangeRequest {
                election: Election::Online,
                target_isr: Some(members(isr & !(1 << member))),
                elr_enabled: false,
                bump_epoch_on_isr_shrink: true,
                ..ChangeRequest::default()
            };
            let stays = |id: i32| id == i32::from(leader) && id != i32::from(member);
            let after = partition.apply(&change_partition(&partition, &request, &stays)?);
            assert_eq!(after.leader_epoch, 1, "{after:?}");
            let leader = match after.leader {
                NO_LEADER => NONE,
                id => id as i8,
            };
            Some((leader, bits(&after.isr)))
        };
        let key = (leader, isr, member);
        *self.memo.dropped.entry(key).or_insert_with(drop)
    }

    /// Whether the controller elects this replica when asked to prefer it.
    pub(crate) fn elects(&self, leader: i8, isr: u8, wanted: u8) -> bool {
        let partition = registration(leader, 0, isr, wanted);
        let change = elect_leader(&partition, Election::Preferred, CONTROL, &|_| true);
        change.is_ok_and(|it| it.leader == Some(i32::from(wanted)))
    }
}

const CONTROL: ControlConfig = ControlConfig {
    min_isr: 1,
    elr_enabled: false,
    unclean_enabled: false,
};

fn registration(leader: i8, epoch: i8, isr: u8, preferred: u8) -> PartitionRegistration {
    let mut replicas: Vec<i32> = (0..REPLICAS as i32).collect();
    replicas.sort_by_key(|id| *id != i32::from(preferred));
    PartitionRegistration {
        isr: members(isr),
        leader: match leader {
            NONE => NO_LEADER,
            id => i32::from(id),
        },
        leader_epoch: i32::from(epoch),
        ..PartitionRegistration::new(replicas)
    }
}
