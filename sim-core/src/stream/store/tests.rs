//! The store by hand: what readers see, fencing, timeouts, crashes, and the cost of rows.

use super::*;
use crate::stream::element::Origin;
use crate::stream::note::Rule;
use crate::stream::protocol::{StoreAnswer, StoreTransaction};
use crate::stream::rules::fault::transactional_ids::Ownership;
use crate::stream::spec::{Guarantee, OperatorKind, SinkSpec};
use crate::stream::testing::{TestCx, job_of};
use std::collections::BTreeSet;

const WRITER: TaskId = TaskId {
    vertex: 1,
    subtask: 0,
};

fn row(value: i64) -> Record {
    Record {
        key: Key(u32::try_from(value % 10).expect("small")),
        timestamp: 0,
        value: Value::Number(value),
        right: None,
        kind: RowKind::Insert,
        window: None,
        timing: None,
        origin: Origin {
            offset: value.unsigned_abs(),
            ..Origin::default()
        },
    }
}

fn rows(values: &[i64]) -> Vec<Record> {
    values.iter().map(|it| row(*it)).collect()
}

struct Rig {
    store: Store,
    cx: TestCx,
    /// Whose requests they are.
    attempt: Attempt,
}

impl Rig {
    fn new(cost_us: u64) -> Self {
        let mut job = job_of(
            OperatorKind::Sink(SinkSpec {
                store: "out".to_owned(),
                guarantee: Guarantee::None,
                batch: 1,
                kafka: None,
                id_prefix: None,
            }),
            1,
        );
        job.spec.config.store_cost_us = cost_us;
        let mut rig = Rig {
            store: Store::new(&job, 0),
            cx: TestCx::default(),
            attempt: 1,
        };
        rig.store.on(Input::Boot, &mut rig.cx);
        rig
    }

    fn send(&mut self, request: u64, order: StoreRequest) {
        let msg = Packet::ToStore {
            attempt: self.attempt,
            task: WRITER,
            operator: 0,
            request,
            order,
        };
        let from = NodeId(9);
        self.store.on(Input::Message { from, msg }, &mut self.cx);
    }

    fn ask(&mut self, order: StoreRequest) -> StoreAnswer {
        self.send(0, order);
        match self.cx.sent.pop() {
            Some((_, NodeId(9), Packet::FromStore { answer, .. })) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn init(&mut self, id: &str, timeout_ms: i64) -> StoreTransaction {
        let id = id.to_owned();
        match self.ask(StoreRequest::InitTransaction { id, timeout_ms }) {
            StoreAnswer::Began(it) => it,
            other => panic!("not begun: {other:?}"),
        }
    }

    fn append(&mut self, transaction: &StoreTransaction, values: &[i64]) -> StoreAnswer {
        self.ask(StoreRequest::AppendIn(transaction.clone(), rows(values)))
    }

    fn run_until(&mut self, ms: u64) {
        while let Some(timer) = self.cx.next_timer(ms * MS) {
            let Timer::Store(timer) = timer else {
                panic!("another machine's timer");
            };
            self.store.on(Input::Timer(timer), &mut self.cx);
        }
    }

    /// What readers see: read_uncommitted, committed rows, read_committed.
    fn check(&self, all: &[i64], committed: &[i64], visible: &[i64]) {
        fn values<'r>(rows: impl Iterator<Item = &'r StoreRow>) -> Vec<i64> {
            let numbers = rows.map(|it| match it.record.value {
                Value::Number(number) => number,
                _ => panic!("not a number"),
            });
            numbers.collect()
        }
        let there = self.store.rows().iter().filter(|it| !it.deleted);
        assert_eq!(values(there), all, "all");
        assert_eq!(values(self.store.committed_rows()), committed, "committed");
        assert_eq!(values(self.store.visible_rows()), visible, "visible");
    }
}

#[test]
fn an_open_transaction_holds_back_what_comes_after_its_first_row() {
    let mut rig = Rig::new(0);
    let (a, b) = (rig.init("p-0-1", 60_000), rig.init("p-1-1", 60_000));
    assert_eq!(rig.append(&a, &[1]), StoreAnswer::Done);
    assert_eq!(rig.append(&b, &[2, 3]), StoreAnswer::Done);
    assert_eq!(rig.ask(StoreRequest::Append(rows(&[4]))), StoreAnswer::Done);
    rig.check(&[1, 2, 3, 4], &[4], &[]);
    assert_eq!(rig.ask(StoreRequest::Commit(b.clone())), StoreAnswer::Done);
    rig.check(&[1, 2, 3, 4], &[2, 3, 4], &[]);
    assert_eq!(rig.store.last_stable(), 0);
    assert_eq!(rig.ask(StoreRequest::Abort(a.clone())), StoreAnswer::Done);
    rig.check(&[1, 2, 3, 4], &[2, 3, 4], &[2, 3, 4]);
    // Again, and the other way round.
    assert_eq!(rig.ask(StoreRequest::Commit(b.clone())), StoreAnswer::Done);
    assert_eq!(rig.ask(StoreRequest::Abort(a.clone())), StoreAnswer::Done);
    for wrong in [StoreRequest::Abort(b), StoreRequest::Commit(a)] {
        assert_eq!(rig.ask(wrong), StoreAnswer::InvalidTxnState);
    }
    assert_eq!((rig.store.committed(), rig.store.aborted()), (1, 1));
}

#[test]
fn a_new_epoch_fences_the_former_owner() {
    let mut rig = Rig::new(0);
    let zombie = rig.init("p-0-1", 60_000);
    assert_eq!(rig.append(&zombie, &[1]), StoreAnswer::Done);
    let owner = rig.init("p-0-1", 60_000);
    assert_eq!((zombie.epoch, owner.epoch), (0, 1));
    assert_eq!(rig.append(&owner, &[2]), StoreAnswer::Done);
    assert_eq!(rig.append(&zombie, &[3]), StoreAnswer::Fenced);
    assert_eq!(rig.ask(StoreRequest::Commit(zombie)), StoreAnswer::Fenced);
    assert_eq!(rig.ask(StoreRequest::Commit(owner)), StoreAnswer::Done);
    rig.check(&[1, 2], &[2], &[2]);
    let unknown = StoreTransaction {
        id: "p-7-7".to_owned(),
        epoch: 0,
        producer: None,
    };
    assert_eq!(rig.append(&unknown, &[9]), StoreAnswer::InvalidTxnState);
}

#[test]
fn a_transaction_times_out_from_its_first_row_on_also_over_a_crash() {
    let mut rig = Rig::new(0);
    let it = rig.init("p-0-1", 1_000);
    rig.run_until(5_000);
    assert_eq!(rig.append(&it, &[1]), StoreAnswer::Done);
    rig.run_until(5_999);
    assert_eq!(rig.store.open_transactions().count(), 1);
    rig.store.crash(Loss::Power);
    rig.cx.clear_timers();
    rig.store.on(Input::Boot, &mut rig.cx);
    rig.run_until(5_999);
    assert_eq!(rig.store.open_transactions().count(), 1);
    rig.run_until(6_000);
    assert_eq!(rig.store.open_transactions().count(), 0);
    assert_eq!(rig.cx.rule(Rule::TransactionAborted), [(1, -1)]);
    assert_eq!(
        rig.ask(StoreRequest::Commit(it)),
        StoreAnswer::InvalidTxnState
    );
    rig.check(&[1], &[], &[]);
    rig.store.crash(Loss::Disk);
    rig.check(&[], &[], &[]);
}

/// A subtask of so many begins.
fn lingering(subtask: i32, total: i32, except: &[StoreTransaction]) -> StoreRequest {
    StoreRequest::AbortLingering {
        prefix: "p".to_owned(),
        ownership: Ownership {
            subtasks: BTreeSet::from([subtask]),
            total,
        },
        except: except.to_vec(),
        from: 1,
    }
}

#[test]
fn what_is_left_over_is_aborted_but_what_the_state_holds() {
    let mut rig = Rig::new(0);
    let ids = ["p-0-3", "p-0-4", "p-1-4", "p-2-4", "q-0-4"];
    let all = ids.map(|id| rig.init(id, 60_000));
    for (at, it) in (0..).zip(&all) {
        assert_eq!(rig.append(it, &[at]), StoreAnswer::Done);
    }
    // Three subtasks before, two now: those of subtask 2 are of subtask 0.
    let request = lingering(0, 2, &all[..1]);
    assert_eq!(rig.ask(request), StoreAnswer::Done);
    let open: Vec<&str> = rig
        .store
        .open_transactions()
        .map(|it| it.id.as_str())
        .collect();
    assert_eq!(open, ["p-0-3", "p-1-4", "q-0-4"]);
    assert_eq!(rig.append(&all[3], &[9]), StoreAnswer::Fenced);
}

/// What a writer asked that is no more comes when the next one has pre-committed: it can neither
/// take an id away nor abort what is open, nor open what nobody would end.
#[test]
fn what_an_older_attempt_asked_ends_nothing_of_a_newer_one() {
    // Subtask 1 of two; then the same again, or all, or one of three, whose ids are others.
    for (subtask, total) in [(1, 2), (0, 1), (2, 3)] {
        let mut rig = Rig::new(0);
        assert_eq!(rig.ask(lingering(1, 2, &[])), StoreAnswer::Done);
        let (left, empty) = (rig.init("p-1-4", 60_000), rig.init("p-1-5", 60_000));
        assert_eq!(rig.append(&left, &[1]), StoreAnswer::Done);
        rig.attempt = 2;
        assert_eq!(rig.ask(lingering(subtask, total, &[])), StoreAnswer::Done);
        let id = format!("p-{subtask}-5");
        let own = rig.init(&id, 60_000);
        assert_eq!(rig.append(&own, &[2]), StoreAnswer::Done);
        rig.attempt = 1;
        let init = StoreRequest::InitTransaction {
            id,
            timeout_ms: 60_000,
        };
        for late in [lingering(1, 2, &[]), init] {
            let answer = rig.ask(late.clone());
            assert_eq!(
                answer,
                StoreAnswer::Fenced,
                "{subtask} of {total}: {late:?}"
            );
        }
        if total < 3 {
            assert_eq!(rig.append(&empty, &[3]), StoreAnswer::Fenced);
            rig.check(&[1, 2], &[], &[]);
        }
        rig.attempt = 2;
        assert_eq!(rig.ask(StoreRequest::Commit(own)), StoreAnswer::Done);
        // The newer writer begins as often as it likes, and a newer one yet.
        for attempt in [2, 3] {
            rig.attempt = attempt;
            assert_eq!(rig.ask(lingering(subtask, total, &[])), StoreAnswer::Done);
        }
    }
}

/// Other subtasks' attempts are their own affair: regions restart by themselves.
#[test]
fn a_writer_is_not_fenced_by_another_subtask_s_attempt() {
    let mut rig = Rig::new(0);
    assert_eq!(rig.ask(lingering(0, 2, &[])), StoreAnswer::Done);
    let it = rig.init("p-0-1", 60_000);
    rig.attempt = 2;
    assert_eq!(rig.ask(lingering(1, 2, &[])), StoreAnswer::Done);
    rig.attempt = 1;
    assert_eq!(rig.append(&it, &[1]), StoreAnswer::Done);
    assert_eq!(rig.init("p-0-2", 60_000).epoch, 0);
    // The store forgets with its disk, and not before.
    rig.attempt = 0;
    rig.store.crash(Loss::Power);
    rig.store.on(Input::Boot, &mut rig.cx);
    assert_eq!(rig.ask(lingering(0, 2, &[])), StoreAnswer::Fenced);
    rig.store.crash(Loss::Disk);
    assert_eq!(rig.ask(lingering(0, 2, &[])), StoreAnswer::Done);
}

#[test]
fn rows_cost_time_one_request_after_the_other() {
    let mut rig = Rig::new(1_000);
    rig.send(0, StoreRequest::Append(rows(&[1, 2])));
    rig.send(
        1,
        StoreRequest::CommittedCheckpoint {
            writer: "w".to_owned(),
        },
    );
    rig.send(2, StoreRequest::Append(rows(&[3])));
    rig.send(3, StoreRequest::Append(rows(&[4])));
    let micros = 3_000;
    rig.store
        .on(Input::Order(Order::SetCost { micros }), &mut rig.cx);
    assert_eq!(rig.store.waiting(), 4);
    rig.run_until(5);
    let answered: Vec<(u64, u64)> = rig
        .cx
        .sent
        .iter()
        .filter_map(|(at, _, packet)| match packet {
            Packet::FromStore { request, .. } => Some((*at / MS, *request)),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [(2, 0), (2, 1), (5, 2)]);
    // What waits is lost with a crash, what was written is not.
    rig.store.crash(Loss::Process);
    rig.cx.clear_timers();
    rig.store.on(Input::Boot, &mut rig.cx);
    rig.run_until(100);
    rig.check(&[1, 2, 3], &[1, 2, 3], &[1, 2, 3]);
    rig.send(4, StoreRequest::Append(rows(&[5])));
    rig.run_until(200);
    rig.check(&[1, 2, 3, 5], &[1, 2, 3, 5], &[1, 2, 3, 5]);
}

#[test]
fn upserts_keep_one_row_for_each_key_and_window() {
    let mut rig = Rig::new(0);
    let of = |key, value, kind| Record {
        key: Key(key),
        kind,
        ..row(value)
    };
    let changes = [
        of(1, 10, RowKind::Insert),
        of(2, 20, RowKind::Insert),
        of(1, 10, RowKind::UpdateBefore),
        of(1, 11, RowKind::UpdateAfter),
        of(2, 20, RowKind::Delete),
        of(3, 30, RowKind::Delete),
    ];
    for it in changes {
        assert_eq!(rig.ask(StoreRequest::Upsert(vec![it])), StoreAnswer::Done);
    }
    rig.check(&[11], &[11], &[11]);
    let again = of(2, 21, RowKind::Insert);
    assert_eq!(
        rig.ask(StoreRequest::Upsert(vec![again])),
        StoreAnswer::Done
    );
    rig.check(&[11, 21], &[11, 21], &[11, 21]);
    // Enough for the index to be merged, several times.
    for key in 100..20_000 {
        let it = of(key, 5, RowKind::Insert);
        rig.ask(StoreRequest::Upsert(vec![it.clone()]));
        rig.ask(StoreRequest::Upsert(vec![it]));
    }
    assert_eq!(rig.store.rows().len(), 19_902);
}

#[test]
fn duplicates_are_counted_among_committed_rows() {
    let mut rig = Rig::new(0);
    rig.ask(StoreRequest::Append(rows(&[1, 2, 3, 2, 2])));
    assert_eq!(rig.store.duplicates(), 2);
    let it = rig.init("p-0-1", 60_000);
    rig.append(&it, &[1]);
    assert_eq!(rig.store.duplicates(), 2);
    rig.ask(StoreRequest::Commit(it));
    assert_eq!(rig.store.duplicates(), 3);
}
