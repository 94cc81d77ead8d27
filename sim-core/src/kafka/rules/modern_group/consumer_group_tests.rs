//! Groups of the consumer protocol under members that obey, come late, restart and fall silent.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const TOPIC: TopicId = TopicId(0);
const SETTINGS: ConsumerGroupSettings<'_> = ConsumerGroupSettings {
    session_timeout_ms: 45_000,
    heartbeat_interval_ms: 5_000,
    assignment_interval_ms: 1_000,
    max_size: 4,
    assignors: &[ServerAssignor::Uniform, ServerAssignor::Range],
};

fn known() -> TopicCounts<TopicId> {
    [(TOPIC, 6)].into()
}

/// A member as a client would act: it does at once what it is told.
#[derive(Clone, Debug)]
struct Client {
    id: Name,
    instance: Option<Name>,
    epoch: i32,
    owned: BTreeSet<i32>,
    /// What it was told last.
    told: Partitions<TopicId>,
    says_owned: bool,
}

impl Client {
    fn new(id: &str, instance: Option<&str>) -> Self {
        Client {
            id: Arc::from(id),
            instance: instance.map(Arc::from),
            epoch: 0,
            owned: BTreeSet::new(),
            told: Partitions::new(),
            says_owned: true,
        }
    }

    fn request(&self) -> HeartbeatRequest {
        let joins = self.epoch == 0;
        let owned = match self.owned.is_empty() || joins {
            true => Partitions::new(),
            false => [(TOPIC, self.owned.clone())].into(),
        };
        HeartbeatRequest {
            member_id: Arc::clone(&self.id),
            member_epoch: self.epoch,
            instance_id: self.instance.clone(),
            rebalance_timeout_ms: joins.then_some(10_000),
            subscribed: joins.then(|| [TOPIC].into()),
            assignor: None,
            owned: (joins || self.says_owned).then_some(owned),
        }
    }

    /// Sends a heartbeat and takes the answer in, but owns what it is told only by [`Client::obey`].
    fn beat(&mut self, group: &mut ConsumerGroup, now_ms: i64) -> Result<(), ErrorCode> {
        let (next, answer) = group.heartbeat(&self.request(), &known(), now_ms, &SETTINGS)?;
        *group = next;
        self.epoch = answer.member_epoch;
        if let Some(told) = answer.assignment {
            self.told = told;
        }
        Ok(())
    }

    fn obey(&mut self) {
        self.owned = self.told.get(&TOPIC).cloned().unwrap_or_default();
    }

    fn leave(&mut self, group: &mut ConsumerGroup, epoch: i32) -> Result<(), ErrorCode> {
        let mut request = self.request();
        request.member_epoch = epoch;
        *group = group.leave(&request)?.0;
        (self.epoch, self.owned) = (0, BTreeSet::new());
        Ok(())
    }
}

/// Who holds what at the coordinator, by member.
fn held(group: &ConsumerGroup) -> Vec<(String, Vec<i32>)> {
    let each = group.members.iter().map(|(id, member)| {
        let partitions = member.current.partitions();
        let own = partitions.get(&TOPIC).into_iter().flatten().copied();
        (id.to_string(), own.collect())
    });
    each.collect()
}

#[test]
fn only_what_moves_stops_and_nobody_waits_for_the_group() {
    let mut group = ConsumerGroup::default();
    let (mut a, mut b) = (Client::new("a", None), Client::new("b", None));
    a.beat(&mut group, 0).expect("joins");
    a.obey();
    assert_eq!((group.epoch(), group.target_epoch(), a.epoch), (2, 2, 2));
    assert_eq!(a.owned.len(), 6, "the first member is assigned at once");
    assert_eq!(group.state(), GroupState::Stable);
    // Within the interval there is no new target; b has nothing yet.
    b.beat(&mut group, 500).expect("joins");
    assert_eq!((group.epoch(), group.target_epoch(), b.epoch), (3, 2, 2));
    assert_eq!(group.state(), GroupState::Assigning);
    b.beat(&mut group, 1_000).expect("stays");
    assert_eq!(group.state(), GroupState::Reconciling);
    let state = |group: &ConsumerGroup, id: &str| group.members[id].current.state;
    assert_eq!(
        (b.epoch, state(&group, "b")),
        (3, MemberState::UnreleasedPartitions)
    );
    // a is asked for three, keeps its epoch until it has given them up, and its others all along.
    a.beat(&mut group, 5_000).expect("stays");
    assert_eq!(
        (a.epoch, state(&group, "a")),
        (2, MemberState::UnrevokedPartitions)
    );
    let kept: BTreeSet<i32> = a.told[&TOPIC].clone();
    assert!(kept.len() == 3 && kept.is_subset(&a.owned));
    a.obey();
    a.beat(&mut group, 5_001).expect("gave up");
    assert_eq!((a.epoch, state(&group, "a")), (3, MemberState::Stable));
    b.beat(&mut group, 6_000).expect("stays");
    b.obey();
    assert_eq!((b.owned.len(), group.state()), (3, GroupState::Stable));
    assert!(b.owned.is_disjoint(&a.owned));
}

#[test]
fn who_may_come_and_who_is_fenced() {
    use ErrorCode::{
        FencedInstanceId, FencedMemberEpoch, GroupMaxSizeReached, InvalidRequest, None as Fine,
        UnknownMemberId, UnreleasedInstanceId, UnsupportedAssignor,
    };
    let mut group = ConsumerGroup::default();
    let mut member = Client::new("a", Some("i"));
    member.beat(&mut group, 0).expect("joins");
    let check = |group: &ConsumerGroup, change: &dyn Fn(&mut HeartbeatRequest), expected| {
        let mut request = member.request();
        request.owned = Some(Partitions::new());
        change(&mut request);
        let got = group.heartbeat(&request, &known(), 1, &SETTINGS);
        assert_eq!(got.err().unwrap_or_default(), expected, "{request:?}");
    };
    let full = |it: &mut HeartbeatRequest| {
        it.member_epoch = 0;
        it.rebalance_timeout_ms = Some(1);
        it.subscribed = Some([TOPIC].into());
    };
    check(&group, &|_| {}, Fine);
    check(&group, &|it| it.member_epoch = 7, FencedMemberEpoch);
    check(&group, &|it| it.member_epoch = 0, InvalidRequest);
    check(&group, &|it| it.member_epoch = -3, InvalidRequest);
    check(
        &group,
        &|it| it.member_id = Arc::from("b"),
        FencedInstanceId,
    );
    check(
        &group,
        &|it| it.assignor = Some(Arc::from("sticky")),
        UnsupportedAssignor,
    );
    check(&group, &|it| it.assignor = Some(Arc::from("range")), Fine);
    let stranger = |it: &mut HeartbeatRequest| {
        (it.member_id, it.instance_id) = (Arc::from("b"), None);
    };
    check(&group, &stranger, UnknownMemberId);
    let second = |it: &mut HeartbeatRequest| {
        full(it);
        it.member_id = Arc::from("b");
    };
    // Two processes with one instance id: here the newcomer loses.
    check(&group, &second, UnreleasedInstanceId);
    for id in ["b", "c", "d"] {
        Client::new(id, None).beat(&mut group, 0).expect("joins");
    }
    let fifth = |it: &mut HeartbeatRequest| {
        full(it);
        (it.member_id, it.instance_id) = (Arc::from("e"), None);
    };
    check(&group, &fifth, GroupMaxSizeReached);
}

#[test]
fn a_static_member_that_comes_back_finds_its_partitions() {
    let mut group = ConsumerGroup::default();
    let (mut a, mut b) = (Client::new("a", Some("i")), Client::new("b", None));
    for now in [0, 2_000, 4_000, 6_000] {
        a.beat(&mut group, now).expect("stays");
        a.obey();
        b.beat(&mut group, now + 1).expect("stays");
        b.obey();
    }
    assert_eq!(group.state(), GroupState::Stable);
    let (before, epoch) = (a.owned.clone(), group.epoch());
    a.leave(&mut group, -2).expect("it is there");
    assert!(group.holder_epoch(TOPIC, *before.first().expect("some")) != -1);
    let mut again = Client::new("a2", Some("i"));
    again
        .beat(&mut group, 8_000)
        .expect("its instance id is free");
    again.obey();
    assert_eq!((again.owned, group.epoch()), (before, epoch));
    assert!(!group.members.contains_key("a"));
}

#[test]
fn silence_and_a_partition_that_is_not_given_up_end_a_membership() {
    let mut group = ConsumerGroup::default();
    let (mut a, mut b) = (Client::new("a", None), Client::new("b", None));
    a.beat(&mut group, 0).expect("joins");
    a.obey();
    b.beat(&mut group, 2_000).expect("joins");
    // a is asked for partitions at 3 s and does not give them up in its 10 s.
    for now in [3_000, 8_000, 12_000] {
        a.beat(&mut group, now).expect("stays");
        b.beat(&mut group, now).expect("stays");
    }
    assert_eq!(group.next_deadline(), Some(13_000));
    assert_eq!(group.expire(12_999).1, []);
    let (next, out) = group.expire(13_000);
    assert_eq!(out, [(Arc::from("a"), Fenced::Rebalance)]);
    // It could not be written: nobody is out, and it is due again after a pause.
    let again = group.put_off(&out, 13_500);
    assert_eq!((again.epoch(), again.members().len()), (group.epoch(), 2));
    assert_eq!(again.expire(13_499), (again.clone(), Vec::new()));
    assert_eq!(again.expire(13_500), (next.clone(), out));
    group = next;
    assert_eq!(
        (a.beat(&mut group, 13_001), group.epoch()),
        (Err(ErrorCode::UnknownMemberId), 4)
    );
    b.beat(&mut group, 13_002).expect("stays");
    assert_eq!(held(&group), [("b".to_owned(), (0..6).collect())]);
    let (group, out) = group.expire(58_002);
    assert_eq!(out, [(Arc::from("b"), Fenced::Session)]);
    assert_eq!(
        (group.state(), group.next_deadline()),
        (GroupState::Empty, None)
    );
}

#[test]
fn commits_and_questions_by_epoch() {
    let mut group = ConsumerGroup::default();
    let (mut a, mut b) = (Client::new("a", None), Client::new("b", None));
    a.beat(&mut group, 0).expect("joins");
    a.obey();
    b.beat(&mut group, 2_000).expect("joins");
    a.beat(&mut group, 3_000).expect("stays");
    let lost = *a.owned.difference(&a.told[&TOPIC]).next().expect("some");
    let kept = *a.told[&TOPIC].first().expect("some");
    a.obey();
    a.beat(&mut group, 3_001).expect("gave up");
    let check = |id: &str, epoch, partition: i32, expected| {
        let partition = u16::try_from(partition).expect("small");
        let tp = TopicPartition {
            topic: TOPIC,
            partition,
        };
        let got = group.validate_commit(id, epoch, [tp].into_iter());
        assert_eq!(
            got.err().unwrap_or_default(),
            expected,
            "{id} {epoch} {partition}"
        );
    };
    check("a", 3, lost, ErrorCode::None);
    // A commit that crossed the new epoch on its way: only of what it still has.
    check("a", 2, kept, ErrorCode::None);
    check("a", 2, lost, ErrorCode::StaleMemberEpoch);
    check("a", 4, kept, ErrorCode::StaleMemberEpoch);
    check("x", 3, kept, ErrorCode::UnknownMemberId);
    check("", -1, kept, ErrorCode::UnknownMemberId);
    let ask = |id: &str, epoch| group.validate_fetch(Some(&(Arc::from(id), epoch)));
    assert_eq!(ask("a", 3), Ok(()));
    assert_eq!(ask("a", 2), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(ask("x", 2), Err(ErrorCode::UnknownMemberId));
    assert_eq!(group.validate_fetch(None), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Beat(usize),
    Obey(usize),
    Leave(usize),
    LeaveForAWhile(usize),
    Restart(usize),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_usize).prop_map(Step::Beat),
        6 => (0..4_usize).prop_map(Step::Obey),
        1 => (0..4_usize).prop_map(Step::Leave),
        1 => (0..4_usize).prop_map(Step::LeaveForAWhile),
        1 => (0..4_usize).prop_map(Step::Restart),
        3 => (0..12_000_i64).prop_map(Step::Wait),
    ]
}

/// No partition is held twice, to give up or not, and the target gives none twice.
fn legal(group: &ConsumerGroup) -> bool {
    let mut held = BTreeSet::new();
    let both = |it: &ConsumerMember| {
        let current = it.current.clone();
        let both = [current.assigned, current.pending_revocation];
        both.into_iter()
            .flat_map(|all| all.into_values().flat_map(BTreeMap::into_keys))
    };
    let mut targets = BTreeSet::new();
    let mut target = group.target.values().flat_map(|it| it.values().flatten());
    let mut members = group.members.values().flat_map(both);
    members.all(|partition| held.insert(partition)) && target.all(|it| targets.insert(*it))
}

proptest! {
    /// Whatever members do: no partition has two holders, the records make the same group again,
    /// and when everybody does as told, the group gets stable with every partition held.
    #[test]
    fn the_group_stays_legal_and_settles(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut group = ConsumerGroup::default();
        let mut log = Vec::new();
        let mut clients: Vec<Client> = (0..4)
            .map(|n| Client::new(&format!("m{n}"), (n < 2).then_some(["x", "y"][n % 2])))
            .collect();
        let mut now = 0;
        for (number, step) in steps.into_iter().enumerate() {
            let before = group.clone();
            match step {
                Step::Beat(n) => {
                    if clients[n].beat(&mut group, now).is_err() {
                        (clients[n].epoch, clients[n].owned) = (0, BTreeSet::new());
                    }
                }
                Step::Obey(n) => clients[n].obey(),
                Step::Leave(n) => {
                    let _ = clients[n].leave(&mut group, -1);
                }
                Step::LeaveForAWhile(n) => {
                    let _ = clients[n].leave(&mut group, -2);
                }
                Step::Restart(n) => {
                    let instance = clients[n].instance.clone();
                    clients[n] = Client::new(&format!("r{number}"), instance.as_deref());
                }
                Step::Wait(ms) => {
                    now += ms;
                    group = group.expire(now).0;
                }
            }
            log.extend(group.records_since(&before));
            prop_assert!(legal(&group), "{group:#?}");
            prop_assert!(group.epoch() >= before.epoch());
            let mut read = ConsumerGroup::default();
            log.iter().cloned().for_each(|record| read.apply(record));
            let mut known = group.clone();
            read.loaded(now, &SETTINGS);
            known.loaded(now, &SETTINGS);
            prop_assert_eq!(&read, &known);
            // Compaction keeps each key's last record, in its place, and drops old tombstones.
            let last = |at: usize| log.iter().skip(at + 1).all(|it| it.key() != log[at].key());
            let mut read = ConsumerGroup::default();
            let kept = (0..log.len()).filter(|at| last(*at) && !log[*at].is_tombstone());
            kept.for_each(|at| read.apply(log[at].clone()));
            read.loaded(now, &SETTINGS);
            prop_assert_eq!(read, known);
        }
        // Those whose instance ids others hold wait until these are out.
        for _ in 0..40 {
            now += 2_500;
            group = group.expire(now).0;
            for client in &mut clients {
                if client.beat(&mut group, now).is_err() {
                    (client.epoch, client.owned) = (0, BTreeSet::new());
                }
                client.obey();
            }
        }
        prop_assert_eq!(group.state(), GroupState::Stable);
        let all: usize = held(&group).iter().map(|(_, own)| own.len()).sum();
        prop_assert_eq!(all, 6);
    }
}
