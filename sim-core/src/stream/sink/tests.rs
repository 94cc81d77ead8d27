//! Writers and a store by hand: what each guarantee makes of a crash at each point.

mod late;
mod offset;

use super::*;
use crate::kernel::{Input, NodeId};
use crate::stream::element::{Key, Origin};
use crate::stream::node::Timer;
use crate::stream::protocol::Packet;
use crate::stream::rules::join::RowKind;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::spec::SinkSpec;
use crate::stream::store::Store;
use crate::stream::testing::{TestCx, job_of, rules};
use std::collections::VecDeque;

const MS: u64 = 1_000_000;
const EXACTLY_ONCE: Guarantee = Guarantee::ExactlyOnce {
    transaction_timeout_ms: 60_000,
};

fn record(value: i64) -> Record {
    Record {
        key: Key(u32::try_from(value).expect("small")),
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

/// The writers of one attempt after the other, the store, and what is on its way between them.
struct Rig {
    job: Job,
    store: Store,
    cx: TestCx,
    attempt: u32,
    writers: Vec<SinkWriter>,
    notes: Vec<Note>,
    requests: VecDeque<(u32, u16, u64, StoreRequest)>,
    answers: VecDeque<(u32, u16, u64, StoreAnswer)>,
    failed: bool,
}

impl Rig {
    fn new(guarantee: Guarantee, batch: u32) -> Self {
        let sink = SinkSpec {
            store: "out".to_owned(),
            guarantee,
            batch,
            kafka: None,
            id_prefix: None,
        };
        let job = job_of(OperatorKind::Sink(sink), 1);
        let mut rig = Rig {
            store: Store::new(&job, 0),
            job,
            cx: TestCx::default(),
            attempt: 0,
            writers: Vec::new(),
            notes: Vec::new(),
            requests: VecDeque::new(),
            answers: VecDeque::new(),
            failed: false,
        };
        rig.store.on(Input::Boot, &mut rig.cx);
        rig
    }

    fn now_ms(&self) -> i64 {
        (self.cx.now / MS) as i64
    }

    /// Starts an attempt from what all subtasks of a checkpoint had; the one before is no more, but
    /// its requests may be on their way.
    fn start(&mut self, parallelism: u32, restored: Option<(i64, &[OperatorSnapshot])>) {
        self.attempt += 1;
        self.failed = false;
        let states: Vec<&OperatorSnapshot> = restored.iter().flat_map(|it| it.1).collect();
        let open = |subtask: u32| {
            let site = Site {
                operator: 0,
                subtask: subtask as u16,
                parallelism,
                max_parallelism: 128,
            };
            SinkWriter::open(&self.job, site, &states, restored.map(|it| it.0), 0)
        };
        self.writers = (0..parallelism).map(open).collect();
        for subtask in 0..self.writers.len() {
            let now_ms = self.now_ms();
            self.with(subtask, |it, out| it.start(now_ms, out));
        }
    }

    fn with(&mut self, subtask: usize, act: impl FnOnce(&mut SinkWriter, &mut StoreOut)) {
        let mut out = StoreOut::default();
        act(&mut self.writers[subtask], &mut out);
        self.notes.append(&mut out.notes);
        for (number, request) in out.requests {
            let request = (self.attempt, subtask as u16, number, request);
            self.requests.push_back(request);
        }
    }

    /// The store serves a request.
    fn serve(&mut self) -> bool {
        let Some((attempt, subtask, request, order)) = self.requests.pop_front() else {
            return false;
        };
        let msg = Packet::ToStore {
            attempt,
            task: TaskId { vertex: 0, subtask },
            operator: 0,
            request,
            order,
        };
        let from = NodeId(5);
        self.store.on(Input::Message { from, msg }, &mut self.cx);
        for (_, _, packet) in self.cx.sent.drain(..) {
            let Packet::FromStore {
                attempt,
                task,
                request,
                answer,
                ..
            } = packet
            else {
                panic!("not an answer");
            };
            let answer = (attempt, task.subtask, request, answer);
            self.answers.push_back(answer);
        }
        true
    }

    /// A writer hears an answer, if it is one of this attempt.
    fn hear(&mut self) -> bool {
        let Some((attempt, subtask, request, answer)) = self.answers.pop_front() else {
            return false;
        };
        if attempt == self.attempt && !self.failed {
            let now_ms = self.now_ms();
            let mut failed = false;
            self.with(usize::from(subtask), |it, out| {
                failed = it.on_answer(request, &answer, now_ms, out).is_err();
            });
            self.failed |= failed;
        }
        true
    }

    fn settle(&mut self) {
        while self.serve() || self.hear() {}
    }

    fn write(&mut self, values: std::ops::RangeInclusive<i64>) {
        for value in values {
            let subtask = value as usize % self.writers.len();
            self.settle();
            assert!(self.writers[subtask].ready(), "{value}");
            self.with(subtask, |it, out| it.on_record(record(value), out));
        }
    }

    fn flush(&mut self) {
        for subtask in 0..self.writers.len() {
            self.with(subtask, SinkWriter::flush);
        }
        self.settle();
    }

    fn snapshot(&mut self, checkpoint: i64) -> Vec<OperatorSnapshot> {
        self.flush();
        let now_ms = self.now_ms();
        let mut states = Vec::new();
        for subtask in 0..self.writers.len() {
            assert!(self.failed || self.writers[subtask].is_flushed());
            self.with(subtask, |it, out| {
                states.push(it.snapshot(checkpoint, now_ms, out));
            });
        }
        states
    }

    fn complete(&mut self, checkpoint: i64) {
        for subtask in 0..self.writers.len() {
            let now_ms = self.now_ms();
            self.with(subtask, |it, out| it.on_complete(checkpoint, now_ms, out));
        }
    }

    /// The attempt is lost with what is on its way.
    fn crash(&mut self) {
        self.requests.clear();
        self.answers.clear();
    }

    fn wait(&mut self, ms: u64) {
        let until = self.cx.now + ms * MS;
        while let Some(timer) = self.cx.next_timer(until) {
            let Timer::Store(timer) = timer else {
                panic!("another machine's timer");
            };
            self.store.on(Input::Timer(timer), &mut self.cx);
        }
    }

    fn visible(&self) -> Vec<i64> {
        let rows = self.store.visible_rows();
        let mut values: Vec<i64> = rows
            .map(|it| match it.record.value {
                Value::Number(number) => number,
                _ => panic!("not a number"),
            })
            .collect();
        values.sort_unstable();
        values
    }

    fn lost(&self) -> u64 {
        self.writers.iter().map(SinkWriter::lost).sum()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Crash {
    BeforeBarrier,
    AfterPreCommit,
    AfterCompletion,
    /// The store did what it was asked, and nobody heard.
    DuringCommit,
    AfterCommit,
    /// After completion, for longer than the store keeps a transaction open.
    AfterTimeout,
}

/// Rows 1 to 4 belong to checkpoint 1, then 5 and 6 are written; after the crash the source goes on
/// from where the restored checkpoint has it, up to 8, which checkpoint 4 completes.
fn outcome(guarantee: Guarantee, crash: Crash) -> (Vec<i64>, u64) {
    let mut rig = Rig::new(guarantee, 2);
    rig.start(2, None);
    rig.write(1..=4);
    rig.settle();
    let mut restored = None;
    if crash == Crash::BeforeBarrier {
        rig.flush();
    } else {
        let state = rig.snapshot(1);
        rig.settle();
        rig.write(5..=6);
        rig.flush();
        restored = Some(state).filter(|_| crash > Crash::AfterPreCommit);
        match crash {
            Crash::DuringCommit => {
                rig.complete(1);
                while rig.serve() {}
            }
            Crash::AfterCommit => {
                rig.complete(1);
                rig.settle();
            }
            Crash::AfterTimeout => rig.wait(100_000),
            _ => {}
        }
    }
    rig.crash();
    let from = if restored.is_some() { 5 } else { 1 };
    rig.start(2, restored.as_deref().map(|it| (1, it)));
    rig.settle();
    rig.write(from..=8);
    rig.snapshot(4);
    rig.complete(4);
    rig.settle();
    assert!(!rig.failed);
    assert_eq!(rig.store.open_transactions().count(), 0);
    assert!(rig.writers.iter().all(SinkWriter::is_done));
    (rig.visible(), rig.lost())
}

#[test]
fn each_crash_comes_to_what_the_guarantee_says() {
    let check = |guarantee, crash, again: &[i64], gone: &[i64]| {
        let mut expected: Vec<i64> = (1..=8).filter(|it| !gone.contains(it)).collect();
        expected.extend(again);
        expected.sort_unstable();
        let lost = gone.len() as u64;
        let got = outcome(guarantee, crash);
        assert_eq!(got, (expected, lost), "{guarantee:?} {crash:?}");
    };
    use Crash as C;
    let all = [
        C::BeforeBarrier,
        C::AfterPreCommit,
        C::AfterCompletion,
        C::DuringCommit,
        C::AfterCommit,
        C::AfterTimeout,
    ];
    for crash in all {
        check(Guarantee::Idempotent, crash, &[], &[]);
        // Rows since the restored checkpoint are there twice.
        let again: &[i64] = match crash {
            C::BeforeBarrier => &[1, 2, 3, 4],
            C::AfterPreCommit => &[1, 2, 3, 4, 5, 6],
            _ => &[5, 6],
        };
        check(Guarantee::AtLeastOnce, crash, again, &[]);
        check(Guarantee::None, crash, again, &[]);
        // A commit that comes too late loses what the checkpoint covers.
        let gone: &[i64] = match crash {
            C::AfterTimeout => &[1, 2, 3, 4],
            _ => &[],
        };
        check(EXACTLY_ONCE, crash, &[], gone);
        // Appended without the mark.
        let again: &[i64] = match crash {
            C::DuringCommit => &[1, 2, 3, 4],
            _ => &[],
        };
        check(Guarantee::WriteAheadLog, crash, again, &[]);
    }
}

#[test]
fn nobody_sees_rows_before_their_commit_and_late_ones_are_reported_as_lost() {
    let mut rig = Rig::new(EXACTLY_ONCE, 10);
    rig.start(1, None);
    rig.settle();
    rig.write(1..=3);
    let state = rig.snapshot(1);
    rig.settle();
    assert!(rig.visible().is_empty());
    assert_eq!(rules(&rig.notes, Rule::TransactionPreCommitted), [(3, 1)]);
    let held: Vec<(&str, Phase)> = rig.writers[0]
        .transactions()
        .map(|it| (it.id.as_str(), it.phase))
        .collect();
    let expected = [("it-0-1", Phase::PreCommitted), ("it-0-2", Phase::Open)];
    assert_eq!(held, expected);
    rig.wait(60_001);
    rig.complete(1);
    rig.settle();
    assert!(!rig.failed, "the job goes on");
    assert_eq!(rules(&rig.notes, Rule::TransactionDiscarded), [(3, 1)]);
    assert_eq!((rig.visible(), rig.lost()), (vec![], 3));
    // Restored from that checkpoint it is no better.
    rig.start(1, Some((1, &state)));
    rig.settle();
    assert_eq!(rules(&rig.notes, Rule::TransactionDiscarded).len(), 2);
    // A transaction that is aborted while it takes rows fails the task, which replays them.
    rig.write(4..=4);
    rig.flush();
    rig.wait(60_001);
    rig.with(0, |it, out| it.on_record(record(5), out));
    rig.flush();
    assert!(rig.failed);
}

#[test]
fn a_zombie_is_fenced_by_the_next_attempt() {
    let mut rig = Rig::new(EXACTLY_ONCE, 1);
    rig.start(1, None);
    rig.settle();
    let state = rig.snapshot(1);
    rig.settle();
    rig.complete(1);
    rig.write(1..=2);
    rig.settle();
    let mut zombie = rig.writers.remove(0);
    rig.start(1, Some((1, &state)));
    rig.settle();
    let mut out = StoreOut::default();
    zombie.on_record(record(3), &mut out);
    let (number, request) = out.requests.remove(0);
    rig.requests.push_back((1, 0, number, request));
    rig.serve();
    let (_, _, number, answer) = rig.answers.pop_front().expect("it answers");
    assert_eq!(answer, StoreAnswer::Fenced);
    let end = zombie.on_answer(number, &answer, 0, &mut out);
    assert_eq!(end, Err(TaskFailure::Sink));
    rig.write(1..=3);
    rig.snapshot(2);
    rig.complete(2);
    rig.settle();
    assert_eq!(rig.visible(), [1, 2, 3]);
}

#[test]
fn after_rescaling_each_transaction_is_one_writer_s_matter() {
    for (before, after) in [(3, 2), (2, 3), (1, 4), (4, 1)] {
        for guarantee in [EXACTLY_ONCE, Guarantee::WriteAheadLog] {
            let mut rig = Rig::new(guarantee, 3);
            rig.start(before, None);
            rig.settle();
            rig.write(1..=20);
            let state = rig.snapshot(1);
            rig.settle();
            rig.write(21..=30);
            rig.flush();
            rig.crash();
            rig.start(after, Some((1, &state)));
            rig.settle();
            if guarantee == EXACTLY_ONCE {
                assert_eq!(rig.visible().len(), 20, "{before} → {after}");
                assert_eq!(rig.store.open_transactions().count(), 0);
            }
            rig.write(21..=40);
            rig.snapshot(2);
            rig.complete(2);
            rig.settle();
            let expected: Vec<i64> = (1..=40).collect();
            assert_eq!(rig.visible(), expected, "{guarantee:?} {before} → {after}");
        }
    }
}

#[test]
fn a_writer_takes_no_record_while_too_much_is_on_its_way() {
    let check = |guarantee, taken: u32| {
        let mut rig = Rig::new(guarantee, 2);
        rig.start(1, None);
        rig.settle();
        let mut count = 0;
        while rig.writers[0].ready() && count < 100 {
            count += 1;
            rig.with(0, |it, out| it.on_record(record(i64::from(count)), out));
        }
        assert_eq!(count, taken as i32, "{guarantee:?}");
    };
    check(Guarantee::AtLeastOnce, 2 * MAX_IN_FLIGHT);
    check(EXACTLY_ONCE, 2 * MAX_IN_FLIGHT);
    check(Guarantee::WriteAheadLog, 100);
    let mut rig = Rig::new(EXACTLY_ONCE, 2);
    rig.start(1, None);
    assert!(!rig.writers[0].ready(), "nothing has begun");
}

#[test]
fn a_lost_connection_fails_those_who_wait_and_an_orderly_end_aborts() {
    for (guarantee, fails) in [
        (Guarantee::None, false),
        (Guarantee::AtLeastOnce, true),
        (EXACTLY_ONCE, true),
    ] {
        let mut rig = Rig::new(guarantee, 1);
        rig.start(1, None);
        rig.settle();
        assert_eq!(rig.writers[0].on_disconnected(), Ok(()), "nothing is asked");
        rig.with(0, |it, out| it.on_record(record(1), out));
        assert_eq!(rig.writers[0].on_disconnected().is_err(), fails);
    }
    let mut rig = Rig::new(EXACTLY_ONCE, 1);
    rig.start(1, None);
    rig.settle();
    rig.write(1..=1);
    rig.settle();
    rig.with(0, SinkWriter::close);
    rig.settle();
    assert_eq!(rig.store.open_transactions().count(), 0);
    assert_eq!(rig.store.aborted(), 1);
    // The last snapshot of an input that ended begins nothing.
    let mut rig = Rig::new(EXACTLY_ONCE, 1);
    rig.start(1, None);
    rig.settle();
    rig.write(1..=1);
    rig.writers[0].finish();
    rig.snapshot(1);
    assert_eq!(rig.writers[0].transactions().count(), 1);
    assert!(rig.writers[0].ready() && rig.writers[0].can_finish());
    rig.complete(1);
    assert!(
        !rig.writers[0].can_finish(),
        "nobody would repeat the commit"
    );
    rig.settle();
    assert!(rig.writers[0].can_finish());
    assert_eq!(rig.visible(), [1]);
    assert!(rig.writers[0].is_done());
}
