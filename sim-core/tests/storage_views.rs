//! What is written on the strips and shown of segments: markers of transactions, what is in remote
//! storage, and the cleaner's passes, against the logs of the same moment.

use sim_core::kafka::facts::Cluster;
use sim_core::kernel::{NodeId, SECOND};
use sim_core::log::{ControlMarker, Log};
use sim_core::run::{Recipe, Session};
use sim_core::view::{CellTransaction, SegmentPlace, StageQuery};

const PROCESS: &str = include_str!("../../scenarios/process-in-transactions.toml");
const HANGING: &str = include_str!("../../scenarios/hanging-transaction.toml");
const TOMBSTONES: &str = include_str!("../../scenarios/tombstone-too-late.toml");
const TIERED: &str = include_str!("../../scenarios/tiered-history.toml");

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
            let log = log(&session, node, "orders-0");
            let it = session.storage(node, "orders-0").expect("a copy");
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
                    () if s.end <= tier.local_start => (0, SegmentPlace::Remote),
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
