//! What is written on the strips and shown of segments: markers of transactions, what is in remote
//! storage, and the cleaner's passes, against the logs of the same moment.

use sim_core::kafka::facts::Cluster;
use sim_core::kafka::storage_view::is_pass;
use sim_core::kernel::{NodeId, SECOND};
use sim_core::log::{Batch, ControlMarker, Log};
use sim_core::run::{Recipe, Session};
use sim_core::systems::Note;
use sim_core::view::{
    CellTransaction, CleanedKind, CleanedRecord, CompactionStep, Fate, SegmentPlace, StageQuery,
};
use std::collections::BTreeMap;

const PROCESS: &str = include_str!("../../scenarios/process-in-transactions.toml");
const HANGING: &str = include_str!("../../scenarios/hanging-transaction.toml");
const TOMBSTONES: &str = include_str!("../../scenarios/tombstone-too-late.toml");
const TIERED: &str = include_str!("../../scenarios/tiered-storage.toml");

fn open(scenario: &str) -> Session {
    let recipe = Recipe {
        scenario: scenario.to_owned(),
        ..Recipe::default()
    };
    Session::open(recipe).expect("a scenario without problems")
}

/// A broker's log at the session's moment.
fn log(session: &Session, node: u32, lane: &str) -> Log {
    let cluster = Cluster(session.run().world());
    let tp = cluster.partition_named(lane).expect("a partition");
    let broker = cluster.broker(NodeId(node)).expect("a broker");
    broker.log(tp).expect("a log").clone()
}

/// Markers stand between the cells of records, at their own offsets, and nowhere else.
#[test]
fn markers_are_cells_of_their_own() {
    let query = StageQuery {
        cells_max: 2_000,
        ..StageQuery::default()
    };
    let (mut commits, mut aborts) = (0, 0);
    for (story, time, any) in [
        (TOMBSTONES, 60, false),
        (HANGING, 4, false),
        (HANGING, 60, true),
        (PROCESS, 60, true),
    ] {
        let mut session = open(story);
        session.seek(time * SECOND);
        let view = session.stage_of(&[], &query);
        assert_eq!(session.shows_transactions(&view), any, "{time}");
        for node in &view.nodes {
            for lane in &node.lanes {
                assert!(lane.cells.windows(2).all(|w| w[0].offset < w[1].offset));
                let log = log(&session, node.id, &lane.id);
                let from = lane.cells.first().map_or(lane.end, |it| it.offset);
                for (shown, wanted) in [
                    (CellTransaction::Commit, ControlMarker::Commit),
                    (CellTransaction::Abort, ControlMarker::Abort),
                ] {
                    let batches = log.batches_from(from);
                    let batches = batches.filter(|it| it.control == Some(wanted));
                    let there: Vec<i64> = batches.map(|it| it.base_offset).collect();
                    let cells = lane.cells.iter();
                    let cells = cells.filter(|it| it.transaction == Some(shown));
                    let cells: Vec<i64> = cells.map(|it| it.offset).collect();
                    assert_eq!(cells, there, "{} on {}", lane.id, node.title);
                    match shown {
                        CellTransaction::Commit => commits += cells.len(),
                        _ => aborts += cells.len(),
                    }
                }
            }
        }
    }
    assert!(commits > 10 && aborts > 0, "{commits} and {aborts}");
}

/// Each segment is where the log has it; what is below the local start is in remote storage only.
#[test]
fn segments_are_where_the_log_has_them() {
    let mut session = open(TIERED);
    let mut seen = [0; 3];
    for time in 1..=18 {
        session.seek(10 * time * SECOND);
        for node in 0..3 {
            let Some(it) = session.storage(node, "orders-0") else {
                assert!(node != 1, "b2 has a copy from start to end");
                continue;
            };
            let log = log(&session, node, "orders-0");
            let tier = it.tier.expect("a tiered topic");
            assert_eq!(
                (it.start, tier.local_start, tier.remote_end),
                (
                    log.start_offset(),
                    log.local_start_offset(),
                    log.highest_remote_offset() + 1
                )
            );
            assert!(it.segments.windows(2).all(|w| w[0].end == w[1].base));
            let base = it.segments.first().map(|it| it.base);
            assert_eq!(base, Some(it.start), "from the log start on");
            for s in &it.segments {
                let held = log.records(s.base, s.end).count() as u64;
                assert_eq!(s.records, held);
                let (place, expected) = match () {
                    () if !s.active && s.end <= tier.local_start => (0, SegmentPlace::Remote),
                    () if !s.active && s.end <= tier.remote_end => (1, SegmentPlace::Copied),
                    () => (2, SegmentPlace::Local),
                };
                assert_eq!(s.place, expected, "{s:?}");
                seen[place] += 1;
            }
            let local = it.segments.iter();
            let local = local.filter(|s| s.place != SegmentPlace::Remote);
            assert_eq!(it.bytes, local.map(|s| s.bytes).sum::<u64>());
        }
    }
    assert!(seen.iter().all(|it| *it > 10), "{seen:?}");
    let mut plain = open(TOMBSTONES);
    plain.seek(5 * SECOND);
    let it = plain.storage(0, "profiles-0").expect("a copy");
    assert_eq!(it.tier, None);
}

/// A table of profiles that is written in transactions, two in five of which are aborted.
const ABORTING: &str = r#"
strandline = 1
title = "t"
duration = "2min"

[kafka]
brokers = 2

[kafka.config]
"log.cleaner.backoff.ms" = 5_000
"transaction.state.log.replication.factor" = 2

[[kafka.topic]]
name = "profiles"
assignment = [["b1", "b2"]]

[kafka.topic.config]
"cleanup.policy" = "compact"
"segment.bytes" = 1_500
"delete.retention.ms" = 20_000

[[kafka.producer]]
name = "people"
topic = "profiles"

[kafka.producer.load]
kind = "constant"
rate = 8
start = "3s"
stop = "90s"
keys = { kind = "cycle", count = 7, tombstones = 0.2 }

[kafka.producer.config]
"transactional.id" = "people-1"
"transaction.records" = 6
"transaction.abort.percent" = 40
"#;

/// What the steps of a pass keep, drop and put in place is what the log of the same moment says.
fn agrees(session: &mut Session, node: u32, lane: &str, event: u64, told: &mut Told) {
    session.seek_event(event);
    let before = log(session, node, lane);
    session.seek_event(event + 1);
    let after = log(session, node, lane);
    let pass = session.compaction_steps(node, lane).expect("a pass");
    let storage = session.storage(node, lane).expect("a copy");
    let compaction = storage.compaction.expect("a compacted topic");
    assert_eq!(pass.event, event);
    assert_eq!(pass.after.first_dirty, compaction.first_dirty);
    assert!(pass.before.ppm() > pass.threshold_ppm || pass.overdue);
    let last = compaction.last.expect("a pass");
    assert_eq!(
        (pass.before.first_dirty, pass.after.first_dirty),
        (last.from, last.to)
    );
    assert_eq!(pass.left_out, 0, "small logs are told in full");
    let (mut kept, mut bases) = (Vec::new(), Vec::new());
    let mut newest = BTreeMap::new();
    for (offset, _, record) in before.records(last.from, last.to) {
        newest.insert(record.key.map(|key| u64::from(key.0)), offset);
    }
    for step in &pass.steps {
        match step {
            CompactionStep::Map(step) => {
                assert!(!step.full && step.keys == step.entries.len() as u64);
                for it in step.entries.iter().filter(|_| step.end == last.to) {
                    // Records of aborted transactions do not count as the last of their keys.
                    let known = newest.get(&Some(it.key)).copied();
                    assert!(known.is_some_and(|known| known >= it.offset));
                    told.same_key += u64::from(known == Some(it.offset));
                }
            }
            CompactionStep::Segment(step) => {
                assert_eq!(step.records.len() as u64, step.kept + step.dropped);
                let stays = step.records.iter().filter(|it| it.fate.keeps());
                kept.extend(stays.map(|it| it.offset));
                for it in &step.records {
                    told.count(it);
                    if let Fate::Superseded(by) = it.fate {
                        let (_, own) = before.entry_at(it.offset).expect("it was there");
                        let (_, other) = before.entry_at(by).expect("so was this");
                        assert!(by > it.offset && own.key == other.key);
                    }
                }
            }
            CompactionStep::Swap(step) => {
                assert_eq!(step.of.first().map(|it| it.0), Some(step.base));
                bases.push((step.base, step.bytes, step.records));
            }
        }
    }
    let is_marker = |batch: &Batch| batch.count() > batch.records.len();
    let there = after.batches_from(after.start_offset());
    let mut there: Vec<i64> = there
        .filter(|it| it.base_offset < last.to)
        .flat_map(|it| {
            let deltas = it.records.iter().map(|r| i64::from(r.offset_delta));
            let marker = is_marker(it).then_some(0);
            let deltas: Vec<i64> = deltas.chain(marker).collect();
            deltas.into_iter().map(move |delta| it.base_offset + delta)
        })
        .collect();
    there.sort_unstable();
    assert_eq!(kept, there, "at {event} on {node}");
    let lines = storage.segments.iter().filter(|it| it.base < last.to);
    let lines: Vec<_> = lines.map(|it| (it.base, it.bytes, it.records)).collect();
    assert_eq!(bases, lines);
}

/// How often each thing was told.
#[derive(Default, Debug)]
struct Told {
    same_key: u64,
    superseded: u64,
    tombstones_kept: u64,
    tombstones: u64,
    aborted: u64,
    markers_kept: u64,
    markers: u64,
}

impl Told {
    fn count(&mut self, it: &CleanedRecord) {
        let of = match (it.kind, it.fate) {
            (_, Fate::Superseded(_)) => &mut self.superseded,
            (_, Fate::TombstoneExpired) => &mut self.tombstones,
            (_, Fate::Aborted) => &mut self.aborted,
            (_, Fate::MarkerKept) => &mut self.markers_kept,
            (_, Fate::MarkerExpired) => &mut self.markers,
            (CleanedKind::Tombstone, _) if it.goes_at_ms.is_some() => &mut self.tombstones_kept,
            _ => return,
        };
        *of += 1;
    }
}

#[test]
fn a_pass_is_told_step_by_step_as_the_cleaner_did_it() {
    let check = |scenario: &str, passes_min: usize| {
        let mut session = open(scenario);
        session.seek(session.duration());
        let cluster = Cluster(session.run().world());
        let tp = cluster.partition_named("profiles-0").expect("a partition");
        let mut told = Told::default();
        for node in 0..2 {
            let rules = session.history().rules_before(u64::MAX);
            let passes = rules.filter(
                |(_, note)| matches!(note, Note::Kafka(note) if is_pass(note, NodeId(node), tp)),
            );
            let passes: Vec<u64> = passes.map(|it| it.0).collect();
            assert!(passes.len() >= passes_min, "{}", passes.len());
            for event in passes.into_iter().rev().take(24) {
                agrees(&mut session, node, "profiles-0", event, &mut told);
            }
        }
        told
    };
    let told = check(TOMBSTONES, 10);
    assert!(told.superseded > 50 && told.tombstones > 0, "{told:?}");
    assert!(told.tombstones_kept > 0 && told.same_key > 0, "{told:?}");
    let told = check(ABORTING, 8);
    assert!(told.aborted > 10 && told.superseded > 10, "{told:?}");
    assert!(told.markers_kept > 10 && told.markers > 5, "{told:?}");
}

/// Before the first pass there is nothing to tell, and a pass of the future is none.
#[test]
fn no_steps_without_a_pass() {
    let mut session = open(TOMBSTONES);
    session.seek(200 * SECOND);
    assert!(session.compaction_steps(0, "profiles-0").is_some());
    session.seek(5 * SECOND);
    assert_eq!(session.compaction_steps(0, "profiles-0"), None);
    assert_eq!(session.compaction_steps(0, "nothing-0"), None);
}
