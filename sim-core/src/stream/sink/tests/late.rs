//! What attempts that are no more have asked, and the store gets whenever.

use super::*;
use proptest::prelude::*;

/// What a cancelled attempt asked waits, behind a cut link or in a machine that stands still, and
/// comes when the next one has pre-committed: that is committed all the same.
#[test]
fn what_a_lost_attempt_asked_late_takes_nothing_from_the_next_one() {
    type Left = fn(&mut Rig);
    let lost: [(&str, Left); 3] = [
        ("what it begins with", |_| {}),
        ("the next transaction, after a barrier", |rig| {
            rig.settle();
            rig.with(0, |it, out| {
                it.snapshot(2, 0, out);
            });
        }),
        ("rows, and ids that it skips", |rig| {
            rig.settle();
            rig.with(0, |it, out| {
                it.on_record(record(9), out);
                it.snapshot(4, 0, out);
            });
        }),
    ];
    for (name, left) in lost {
        let mut rig = Rig::new(EXACTLY_ONCE, 1);
        rig.start(1, None);
        rig.settle();
        rig.write(1..=2);
        let state = rig.snapshot(1);
        rig.settle();
        rig.complete(1);
        rig.settle();
        rig.start(1, Some((1, &state)));
        left(&mut rig);
        let late = std::mem::take(&mut rig.requests);
        assert!(!late.is_empty(), "{name}");
        rig.answers.clear();
        rig.start(1, Some((1, &state)));
        rig.settle();
        for (checkpoint, value) in (2..=4).zip(3..) {
            rig.write(value..=value);
            rig.snapshot(checkpoint);
            rig.settle();
        }
        rig.requests = late;
        rig.settle();
        rig.complete(4);
        rig.settle();
        assert!(!rig.failed, "{name}");
        assert_eq!(
            (rig.visible(), rig.lost()),
            (vec![1, 2, 3, 4, 5], 0),
            "{name}"
        );
        assert_eq!(rig.store.open_transactions().count(), 0, "{name}");
    }
}

/// A job that reads 1, 2, 3 … and crashes whenever; what its last checkpoint covers.
struct Run {
    rig: Rig,
    position: i64,
    /// The newest snapshot with where the source was, and the newest complete one.
    snapshot: Option<(i64, i64, Vec<OperatorSnapshot>)>,
    complete: Option<(i64, i64, Vec<OperatorSnapshot>)>,
    checkpoint: i64,
    /// Requests of attempts that are no more.
    late: VecDeque<(u32, u16, u64, StoreRequest)>,
}

impl Run {
    fn step(&mut self, step: u8) {
        let rig = &mut self.rig;
        match step {
            0..=3 => {
                if rig.writers[0].ready() {
                    self.position += 1;
                    let record = record(self.position);
                    rig.with(0, |it, out| it.on_record(record, out));
                }
            }
            4..=5 => {
                rig.serve();
            }
            6..=7 => {
                rig.hear();
            }
            8 => {
                self.checkpoint += 1;
                let state = rig.snapshot(self.checkpoint);
                if !rig.failed {
                    self.snapshot = Some((self.checkpoint, self.position, state));
                }
            }
            9 => {
                if let Some(done) = self.snapshot.take() {
                    self.complete = Some(done);
                }
            }
            10 => {
                if let Some((checkpoint, ..)) = self.complete {
                    rig.complete(checkpoint);
                }
            }
            11..=13 => {
                // Those of one attempt come in order, those of several need not.
                let some = self.late.get(self.late.len() / 2).map(|it| it.0);
                let first = self.late.iter().position(|it| Some(it.0) == some);
                if let Some(request) = first.and_then(|it| self.late.remove(it)) {
                    rig.requests.push_front(request);
                    rig.serve();
                }
            }
            _ => rig.failed = true,
        }
        if self.rig.failed {
            // What was on its way may come at any time.
            self.rig.answers.clear();
            self.late.append(&mut self.rig.requests);
            self.snapshot = None;
            let restored = self.complete.clone();
            self.position = restored.as_ref().map_or(0, |it| it.1);
            let state = restored.as_ref().map(|it| (it.0, it.2.as_slice()));
            self.rig.start(1, state);
        }
    }
}

proptest! {
    #[test]
    fn exactly_once_is_so_whenever_the_job_crashes(
        steps in proptest::collection::vec(0..15_u8, 0..150), batch in 1..4_u32
    ) {
        let mut rig = Rig::new(EXACTLY_ONCE, batch);
        rig.start(1, None);
        let late = VecDeque::new();
        let mut run = Run { rig, position: 0, snapshot: None, complete: None, checkpoint: 0, late };
        for step in steps {
            run.step(step);
        }
        // A complete checkpoint at the end, after one more crash if that is what it takes.
        loop {
            run.rig.settle();
            run.step(8);
            if run.snapshot.is_some() {
                break;
            }
        }
        while !run.late.is_empty() {
            run.step(11);
        }
        run.step(9);
        run.step(10);
        run.rig.settle();
        let expected: Vec<i64> = (1..=run.position).collect();
        prop_assert_eq!(run.rig.visible(), expected);
        prop_assert_eq!(run.rig.lost(), 0);
        prop_assert_eq!(run.rig.store.duplicates(), 0);
    }
}
