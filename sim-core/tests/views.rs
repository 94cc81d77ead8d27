//! Consumer groups and storage as the site shows them, in whole stories: what is shown is what
//! predicates, invariants and logs say at the same moment.

use sim_core::kafka::facts::Cluster;
use sim_core::kernel::{MILLISECOND, Nanos, NodeId, SECOND};
use sim_core::run::{Recipe, Session};
use sim_core::view::{CellTransaction, GroupView, Lane, MarkKind, StageQuery};
use std::sync::Arc;

const COOPERATIVE: &str = include_str!("../../scenarios/rebalance-cooperative.toml");
const TOMBSTONES: &str = include_str!("../../scenarios/tombstone-too-late.toml");
const HANGING: &str = include_str!("../../scenarios/hanging-transaction.toml");
const PROCESS: &str = include_str!("../../scenarios/process-in-transactions.toml");
const SHARE: &str = include_str!("../../scenarios/share-group.toml");
const ZOMBIE: &str = include_str!("../../scenarios/zombie-commit.toml");

fn open(scenario: &str) -> Session {
    let recipe = Recipe {
        scenario: scenario.to_owned(),
        ..Recipe::default()
    };
    Session::open(recipe).expect("a scenario without problems")
}

fn at(session: &mut Session, time: Nanos) -> GroupView {
    session.seek(time);
    let mut groups = session.groups();
    let group = groups.pop().expect("there is a group");
    assert!(groups.is_empty(), "there is no other");
    agrees(session, &group);
    group
}

/// The view says of each partition what the cluster and the invariants say.
fn agrees(session: &Session, group: &GroupView) {
    let cluster = Cluster(session.run().world());
    let coordinated = cluster.group(&group.name);
    let name = Arc::from(group.name.as_str());
    let now = session.now();
    assert_eq!(group.coordinator, coordinated.map(|it| it.node.0));
    for share in &group.shares {
        let at = format!("{} at {now}", share.lane);
        let tp = cluster.partition_named(&share.lane).expect("a partition");
        let owner = cluster.owner(&group.name, tp);
        assert_eq!(share.owner, owner.map(|it| it.0), "{at}");
        let committed = coordinated.and_then(|it| it.broker.committed_offset(&group.name, tp));
        assert_eq!(share.committed, committed, "{at}");
        let end = cluster.leader_log(tp).map(sim_core::log::Log::leo);
        assert_eq!(share.end, end, "{at}");
        assert_eq!(share.lag, end.zip(committed).map(|(e, c)| e - c), "{at}");
        assert!(share.idle || share.owner.is_some(), "{at}");
        let stop = session.run().invariants().stop(&name, tp);
        let since = stop.map(|it| it.since).filter(|_| share.idle);
        assert_eq!(share.stopped_since, since, "{at}");
    }
}

fn owned_by(group: &GroupView, node: u32) -> usize {
    let own = group.shares.iter().filter(|it| it.owner == Some(node));
    own.count()
}

#[test]
fn a_share_group_has_readers_and_holders_and_no_owners() {
    let mut session = open(SHARE);
    for seconds in [5, 24, 30, 50, 59] {
        session.seek(seconds * SECOND);
        let groups = session.groups();
        let [billing, packing] = groups.as_slice() else {
            panic!("two groups: {groups:?}");
        };
        assert!(!billing.sharing && packing.sharing);
        assert!(billing.shares.iter().all(|it| it.sharing.is_none()));
        assert_eq!(packing.stopped, 0);
        for share in &packing.shares {
            assert_eq!((share.owner, share.committed), (None, None), "{share:?}");
            let Some(it) = &share.sharing else {
                continue;
            };
            let all = it.available + it.acquired + it.acknowledged + it.archived;
            assert_eq!(i64::from(all), it.end - it.start, "{it:?}");
            let held: u32 = it.holders.iter().map(|it| it.1).sum();
            assert_eq!(held, it.acquired, "at {seconds} s: {it:?}");
            let runs: i64 = it.runs.iter().map(|it| it.1 + 1 - it.0).sum();
            assert_eq!(runs, it.end - it.start, "{it:?}");
        }
        if seconds == 24 {
            let cluster = Cluster(session.run().world());
            for member in &packing.members {
                let read = cluster
                    .consumer(NodeId(member.node))
                    .map(|it| it.shared().count());
                assert_eq!(Some(member.reads.len()), read, "{member:?}");
                assert_eq!((member.reads.len(), member.owns), (1, 0), "{member:?}");
            }
            assert!(packing.members.iter().any(|it| it.acquired > 0));
            assert!(packing.shares.iter().all(|it| !it.idle), "{packing:?}");
        }
    }
}

#[test]
fn only_what_moves_stops_in_a_cooperative_rebalance() {
    let mut session = open(COOPERATIVE);
    let before = at(&mut session, 2 * SECOND);
    assert_eq!((before.shares.len(), before.members.len()), (42, 7));
    assert!(
        before
            .shares
            .iter()
            .all(|it| it.idle && it.stopped_since.is_none())
    );
    assert_eq!(before.members[6].badge.text, "not in the group");

    let calm = at(&mut session, 28 * SECOND);
    assert!(calm.settled && calm.state == "Stable", "{}", calm.state);
    assert_eq!(calm.assignor, "cooperative-sticky");
    assert!(
        calm.shares
            .iter()
            .all(|it| !it.idle && it.committed.is_some())
    );
    for member in &calm.members {
        assert_eq!(owned_by(&calm, member.node), member.owns as usize);
    }
    let generation = calm.generation.expect("a coordinator");
    let mark = format!("generation {generation}");
    assert_eq!(
        calm.members
            .iter()
            .filter(|it| it.badge.text == mark)
            .count(),
        6
    );

    let (mut most, mut states) = (0, Vec::new());
    for time in (0..160).map(|i| 31 * SECOND + i * 50 * MILLISECOND) {
        let now = at(&mut session, time);
        let stopped = now.shares.iter().filter(|it| it.idle);
        let stopped: Vec<_> = stopped
            .map(|it| it.stopped(time).expect("it had an owner"))
            .collect();
        assert!(stopped.iter().all(|it| *it < 8 * SECOND));
        most = most.max(stopped.len());
        if states.last() != Some(&now.state) {
            states.push(now.state);
        }
    }
    assert_eq!(most, 6, "six partitions move to the seventh member");
    assert!(
        states.iter().any(|it| it == "PreparingRebalance"),
        "{states:?}"
    );
    let after = at(&mut session, 60 * SECOND);
    assert!(after.generation > Some(generation));
    assert_eq!(after.members.iter().filter(|it| it.owns == 6).count(), 7);
}

#[test]
fn what_a_paused_member_owns_stands_still_until_another_takes_it() {
    let mut session = open(ZOMBIE);
    let (m1, m2) = {
        let calm = at(&mut session, 24 * SECOND);
        (calm.members[0].node, calm.members[1].node)
    };
    let paused = at(&mut session, 30 * SECOND);
    let still: Vec<_> = paused.shares.iter().filter(|it| it.idle).collect();
    assert_eq!(still.len(), owned_by(&paused, m1));
    assert!(!still.is_empty() && paused.members[0].badge.text.starts_with("paused"));
    for share in still {
        let stopped = share.stopped(30 * SECOND).expect("it had an owner");
        assert!((4 * SECOND..7 * SECOND).contains(&stopped), "{stopped}");
    }
    let taken = at(&mut session, 43 * SECOND);
    assert_eq!((owned_by(&taken, m1), owned_by(&taken, m2)), (0, 4));
    assert!(taken.shares.iter().all(|it| !it.idle));
    assert!(taken.stopped > paused.stopped);
}

#[test]
fn leaders_copies_bear_what_the_group_has_committed() {
    let mut session = open(ZOMBIE);
    let group = at(&mut session, 24 * SECOND);
    let query = StageQuery::default();
    let view = session.stage_of(std::slice::from_ref(&group), &query);
    for share in &group.shares {
        let leader = view.lanes.iter().find(|it| it.id == share.lane);
        let leader = leader.and_then(|it| it.leader).expect("a leader");
        for node in view.nodes.iter().filter(|it| !it.lanes.is_empty()) {
            let lane = node.lanes.iter().find(|it| it.id == share.lane);
            let marks = &lane.expect("all brokers hold all").marks;
            let offset = |kind| marks.iter().find(|it| it.kind == kind).map(|it| it.offset);
            let expected =
                [share.committed, share.position].map(|it| it.filter(|_| node.id == leader));
            assert_eq!(
                [offset(MarkKind::Committed), offset(MarkKind::Position)],
                expected
            );
        }
    }
    let coordinator = group.coordinator.expect("a coordinator");
    let node = &view.nodes[coordinator as usize];
    assert!(
        node.badges
            .iter()
            .any(|it| it.text == "coordinates billing")
    );
    assert!(
        Cluster(session.run().world())
            .broker(NodeId(coordinator))
            .is_some()
    );
    assert_eq!(
        session.stage(&query).nodes[coordinator as usize]
            .badges
            .len()
            + 1,
        node.badges.len()
    );
}

#[test]
fn segments_and_passes_are_those_of_the_log() {
    let mut session = open(TOMBSTONES);
    session.seek(5 * SECOND);
    let early = session.storage(0, "profiles-0").expect("a copy");
    let compaction = early.compaction.expect("a compacted topic");
    assert_eq!((compaction.first_dirty, compaction.last), (0, None));
    assert_eq!(session.storage(0, "nothing-0"), None);
    assert_eq!(
        session.storage(3, "profiles-0"),
        None,
        "a controller has no copy"
    );
    let mut tombstones = 0;
    let mut passes = 0;
    let mut seen = 0;
    for time in (10..150).map(|i| i * 2 * SECOND) {
        session.seek(time);
        let it = session.storage(0, "profiles-0").expect("a copy");
        let log = {
            let cluster = Cluster(session.run().world());
            let tp = cluster.partition_named("profiles-0").expect("a partition");
            let broker = cluster.broker(NodeId(0)).expect("a broker");
            broker.log(tp).expect("a log").clone()
        };
        assert_eq!(
            (it.start, it.end, it.bytes),
            (log.start_offset(), log.leo(), log.bytes())
        );
        assert_eq!(it.bytes, it.segments.iter().map(|s| s.bytes).sum::<u64>());
        let (last, closed) = it.segments.split_last().expect("an active segment");
        assert!(last.active && closed.iter().all(|s| !s.active));
        assert!(it.segments.windows(2).all(|w| w[0].end == w[1].base));
        for s in &it.segments {
            let held = log.records(s.base, s.end).count() as u64;
            assert_eq!(
                (s.records, s.removed),
                (held, s.end.abs_diff(s.base) - held)
            );
            let inside = |offset: i64| (s.base..s.end).contains(&offset);
            assert!(s.offset_index.windows(2).all(|w| w[0] < w[1]));
            assert!(
                s.offset_index
                    .iter()
                    .all(|(o, p)| inside(*o) && *p < s.bytes)
            );
            assert!(s.time_index.iter().all(|(_, o)| inside(*o)));
        }
        let compaction = it.compaction.expect("a compacted topic");
        assert_eq!(compaction.threshold_ppm, 500_000);
        assert!(compaction.dirty_ppm() <= 1_000_000);
        assert!(
            closed
                .iter()
                .all(|s| s.clean == (s.end <= compaction.first_dirty))
        );
        if let Some(pass) = compaction.last.filter(|it| it.event != seen) {
            assert_eq!(pass.to, compaction.first_dirty, "nothing was cleaned since");
            assert!(pass.from < pass.to && pass.time <= time);
            (seen, passes) = (pass.event, passes + 1);
            tombstones += pass.tombstones;
        }
    }
    assert!(passes > 2, "{passes} passes");
    assert!(tombstones > 0, "at last the tombstones go as well");
}

/// The card of a processor tells of its group, its counts and its transaction, from one to the next.
#[test]
fn a_processors_card_tells_of_its_transaction() {
    let mut session = open(include_str!("../../scenarios/process-in-transactions.toml"));
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..450 {
        session.seek(15 * SECOND + step * 20 * MILLISECOND);
        let stage = session.stage(&StageQuery::default());
        let card = stage.nodes.into_iter().find(|it| it.name == "biller");
        let card = card.expect("it is on the stage");
        let fact = |label: &str| {
            let mut found = card.summary.iter().filter(|it| it.label == label);
            let value = found.next().map(|it| it.value.clone());
            assert_eq!(found.next(), None, "{label} stands there once");
            value.unwrap_or_default()
        };
        assert_eq!(card.part, "processor");
        assert_eq!(fact("transactional.id"), "biller-1");
        assert!(fact("group").starts_with("billing: "), "{}", fact("group"));
        let counts = fact("in, out");
        let (came, went) = counts.split_once(", ").expect("two numbers");
        let number = |it: &str| it.parse::<u64>().expect("a number");
        assert!(number(came) >= number(went), "{counts}");
        let first: Vec<&str> = card.summary.iter().map(|it| it.label.as_str()).collect();
        assert_eq!(first[..3], ["group", "in, out", "transactional.id"]);
        assert_eq!(card.badges.len(), 1);
        seen.extend(card.badges.iter().map(|it| it.text.clone()));
    }
    let is = |word: &str| seen.iter().any(|it| it.starts_with(word));
    for word in [
        "initTransactions()",
        "no transaction",
        "transaction: ",
        "commits",
    ] {
        assert!(is(word), "no `{word}` in {seen:?}");
    }
}

/// What holds the last stable offset back: the producer, since when, and who will end it, or nobody.
#[test]
fn a_pinned_last_stable_offset_is_explained() {
    let mut session = open(HANGING);
    let mut check = |time: Nanos, parts: &[&str], listed: bool| {
        session.seek(time);
        let steps = session.why("n1/orders-0/lso");
        let first = &steps.first().expect("a reason").text;
        for part in parts {
            assert!(first.contains(part), "{time}: {first} lacks {part}");
        }
        let facts = session.inspect(1);
        let found = facts.iter().any(|fact| {
            fact.subject.as_deref() == Some("n1/orders-0/lso")
                && fact.label == "orders-0 · last stable offset"
        });
        assert_eq!(found, listed, "{time}");
        steps.len()
    };
    check(4 * SECOND, &["no transaction is open"], false);
    let open = [
        "is open from offset",
        "Its transactional.id is shop-1, its coordinator b1",
        "ONGOING since",
        "transaction.timeout.ms = 10000",
    ];
    check(15 * SECOND + 700 * MILLISECOND, &open, true);
    let hangs = ["is open from offset", "shop-1", "nothing will end it"];
    let steps = check(60 * SECOND, &hangs, true);
    assert!(steps > 1, "and the marker that came last");
}

/// No group reads the topic: the partition itself says it.
#[test]
fn transactions_stand_on_the_copies() {
    let mut session = open(HANGING);
    let mut lanes = |time: Nanos| -> Vec<Lane> {
        session.seek(time);
        assert_eq!(session.groups(), []);
        let query = StageQuery {
            cells_max: 2_000,
            ..StageQuery::default()
        };
        let nodes = session.stage_of(&[], &query).nodes.into_iter();
        let all = nodes.flat_map(|node| node.lanes);
        all.filter(|it| it.id == "orders-0").collect()
    };
    let stable = |lane: &Lane| {
        let mut marks = lane.marks.iter();
        marks
            .find(|it| it.kind == MarkKind::Stable)
            .map(|it| it.offset)
    };
    let count = |lane: &Lane, what: Option<CellTransaction>| {
        lane.cells
            .iter()
            .filter(|it| it.transaction == what)
            .count()
    };
    let told = |lane: &Lane| -> Vec<String> {
        let facts = lane
            .facts
            .iter()
            .filter(|it| it.label == "open transaction");
        facts.map(|it| it.value.clone()).collect()
    };
    for lane in lanes(4 * SECOND) {
        assert_eq!((stable(&lane), told(&lane)), (None, Vec::new()));
        assert_eq!(count(&lane, None), lane.cells.len());
    }
    let hangs = lanes(60 * SECOND);
    assert_eq!(hangs.len(), 3, "three copies");
    for lane in &hangs {
        assert!(
            count(lane, Some(CellTransaction::Open)) > 0,
            "every copy knows it"
        );
        assert!(count(lane, Some(CellTransaction::Aborted)) > 0);
        assert_eq!(stable(lane).is_some(), lane.leads);
        assert_eq!(told(lane).len(), usize::from(lane.leads));
    }
    let leader = hangs.iter().find(|it| it.leads).expect("a leader");
    let stable = stable(leader).expect("it is held back");
    assert!(stable < leader.strandline - 100, "{stable}");
    let open = leader
        .cells
        .iter()
        .filter(|it| it.transaction == Some(CellTransaction::Open));
    assert_eq!(open.map(|it| it.offset).min(), Some(stable));
    let said = told(leader).concat();
    assert!(
        said.starts_with(&format!("from offset {stable}, producer id ")),
        "{said}"
    );
    assert!(
        said.contains(" epoch 0, since 1") || said.contains(" epoch 0, since 2"),
        "{said}"
    );
    assert_eq!(leader.note, format!("open transaction {said}"));
}

#[test]
fn an_offset_that_is_pending_is_explained() {
    let mut session = open(PROCESS);
    let mut found = None;
    for step in 0..800 {
        session.seek(19 * SECOND + step * 5 * MILLISECOND);
        let steps = session.why("orders-0/committed/billing");
        let first = steps.into_iter().next().map(|it| it.text);
        found = found.or(first.filter(|it| it.contains("UNSTABLE_OFFSET_COMMIT")));
    }
    let text = found.expect("an offset is pending for a while");
    for part in ["group billing: offset ", "transactional.id is biller-1"] {
        assert!(text.contains(part), "{text}");
    }
    session.seek(50 * SECOND);
    let steps = session.why("orders-0/committed/billing");
    let rule = steps.first().and_then(|it| it.rule.as_deref());
    assert_eq!(rule, Some("offset-committed"));
}
