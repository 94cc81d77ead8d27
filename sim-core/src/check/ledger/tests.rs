//! Fates of records, told as short stories.

use super::*;

/// Logs by node: (offset of first, records).
#[derive(Default)]
struct Logs(BTreeMap<u32, (i64, Vec<u64>)>);

impl Truth for Logs {
    fn record_at(&self, node: NodeId, _: Lane, offset: i64) -> Option<RecordId> {
        let (start, records) = self.0.get(&node.0)?;
        records
            .get(usize::try_from(offset - start).ok()?)
            .filter(|r| **r != GONE)
            .map(|r| RecordId(*r))
    }
    fn holes_below(&self, node: NodeId, _: Lane) -> i64 {
        let end = |(start, records): &(i64, Vec<u64>)| {
            let compacts = records.contains(&GONE);
            compacts.then_some(start + records.len() as i64)
        };
        self.0.get(&node.0).and_then(end).unwrap_or(0)
    }
    fn start_of(&self, node: NodeId, _: Lane) -> i64 {
        self.0.get(&node.0).map_or(0, |(start, _)| *start)
    }
    fn scan(&self, node: NodeId, _: Lane, each: &mut dyn FnMut(i64, RecordId)) {
        if let Some((start, records)) = self.0.get(&node.0) {
            for (i, r) in records.iter().enumerate().filter(|(_, r)| **r != GONE) {
                each(start + i as i64, RecordId(*r));
            }
        }
    }
}

const LANE: Lane = Lane(0);
/// Stands where compaction removed a record.
const GONE: u64 = u64::MAX;

/// Replays a story: `s` send, `a0@3` ack record 0 at 3, `w1:0@3` node 1 stores record 0 at 3,
/// `L1e5` node 1 leads in epoch 5, `d0` deliver, `f0` fail. Logs are set before. The run is over
/// after the last word, unless that is `...`.
fn check(logs: &[(u32, i64, &[u64])], story: &str, want: (u64, u64, u64, u64)) {
    let mut truth = Logs::default();
    let mut ledger = Ledger::default();
    let mut sent = 0;
    let final_logs: BTreeMap<u32, (i64, Vec<u64>)> = logs
        .iter()
        .map(|(n, start, r)| (*n, (*start, r.to_vec())))
        .collect();
    truth.0 = final_logs;
    let (words, over) = match story.strip_suffix("...") {
        Some(words) => (words, false),
        None => (story, true),
    };
    for word in words.split_whitespace() {
        let (kind, rest) = word.split_at(1);
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let seen = match kind {
            "s" => {
                sent += 1;
                Observation::Sent {
                    record: RecordId(sent - 1),
                    key: Some(1),
                    tombstone: rest == "t",
                    lane: LANE,
                }
            }
            "a" => {
                let (r, at) = rest.split_once('@').expect("r@offset");
                let record = RecordId(number(r) as u64);
                Observation::Acknowledged {
                    record,
                    offset: number(at),
                }
            }
            "f" => Observation::Failed {
                record: RecordId(number(rest) as u64),
            },
            "d" => Observation::Delivered {
                record: RecordId(number(rest) as u64),
            },
            "w" => {
                let (node, rest) = rest.split_once(':').expect("node:r@offset");
                let (r, at) = rest.split_once('@').expect("r@offset");
                Observation::Stored {
                    node: NodeId(number(node) as u32),
                    record: RecordId(number(r) as u64),
                    lane: LANE,
                    offset: number(at),
                }
            }
            _ => {
                let (node, epoch) = rest.split_once('e').expect("node e epoch");
                let node = NodeId(number(node) as u32);
                Observation::Leads {
                    node,
                    lane: LANE,
                    epoch: number(epoch) as i32,
                }
            }
        };
        ledger.observe(seen, &truth);
    }
    if over {
        ledger.settle(&truth);
    }
    let view = ledger.view(0);
    let got = (
        view.acknowledged,
        view.lost,
        view.duplicated,
        view.reordered,
    );
    assert_eq!(got, want, "{story}");
}

#[test]
fn fates() {
    // (acknowledged, lost, duplicated, reordered)
    check(
        &[(1, 0, &[0, 1])],
        "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1",
        (2, 0, 0, 0),
    );
    // The new leader lacks an acknowledged record.
    check(
        &[(1, 0, &[0, 1]), (2, 0, &[0])],
        "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1 L2e1",
        (2, 1, 0, 0),
    );
    // A retry stands twice.
    check(
        &[(1, 0, &[0, 0])],
        "L1e0 s w1:0@0 w1:0@1 a0@1",
        (1, 0, 1, 0),
    );
    // The first copy was on the old leader only: no duplicate.
    check(
        &[(1, 0, &[0]), (2, 0, &[0])],
        "L1e0 s w1:0@0 L2e1 w2:0@0 a0@0",
        (1, 0, 0, 0),
    );
    // Second before first.
    check(
        &[(1, 0, &[1, 0])],
        "L1e0 s s w1:1@0 w1:0@1 a1@0 a0@1",
        (2, 0, 0, 1),
    );
    // A deposed leader acknowledges what the cluster does not have.
    check(
        &[(1, 0, &[0]), (2, 0, &[])],
        "L1e0 s L2e1 w1:0@0 a0@0",
        (1, 1, 0, 0),
    );
    // The leader lost its log with the power while its acknowledgement was under way: its
    // successor decides.
    let logs: &[(u32, i64, &[u64])] = &[(1, 0, &[]), (2, 0, &[0]), (3, 0, &[])];
    check(logs, "L1e0 s w1:0@0 a0@0 ...", (1, 0, 0, 0));
    check(logs, "L1e0 s w1:0@0 a0@0 L2e1 ...", (1, 0, 0, 0));
    check(logs, "L1e0 s w1:0@0 a0@0 L3e1 ...", (1, 1, 0, 0));
    // acks=0: told nothing, stored nowhere.
    check(&[(1, 0, &[1])], "L1e0 s a0@-1 s a1@-1 w1:1@0", (2, 1, 0, 0));
    // Retention is no loss.
    check(
        &[(1, 1, &[1])],
        "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1",
        (2, 0, 0, 0),
    );
}

#[test]
fn what_compaction_took_is_no_loss_if_something_stands_for_it() {
    // (acknowledged, lost, duplicated, reordered); all records have one key.
    let stored = "L1e0 s s w1:0@0 w1:1@1 a0@0 a1@1 L2e1";
    // A later record of the key is there.
    check(&[(1, 0, &[0, 1]), (2, 0, &[GONE, 1])], stored, (2, 0, 0, 0));
    // None is: the last value of the key is gone.
    check(&[(1, 0, &[0, 1]), (2, 0, &[0, GONE])], stored, (2, 1, 0, 0));
    check(
        &[(1, 0, &[0, 1]), (2, 0, &[GONE, GONE])],
        stored,
        (2, 2, 0, 0),
    );
    // Another record stands there, whatever was compacted elsewhere and comes behind it.
    check(
        &[(1, 0, &[0, 1]), (2, 0, &[GONE, 2, 3])],
        "L1e0 s s s s w1:0@0 w1:1@1 a0@0 a1@1 L2e1",
        (2, 1, 0, 0),
    );
    // It was a tombstone.
    let erased = "L1e0 s st w1:0@0 w1:1@1 a0@0 a1@1 L2e1";
    check(
        &[(1, 0, &[0, 1]), (2, 0, &[GONE, GONE])],
        erased,
        (2, 0, 0, 0),
    );
}
