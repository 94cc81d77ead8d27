//! Barriers on random graphs, under random interleavings: each mode gives the cut of its rule.
//!
//! Every subtask reads its gate, hands each record on to one of its outputs, and at a trigger
//! remembers what it had processed and sent, then emits the barrier. For a checkpoint that every
//! subtask took, the records sent on an edge before the sender's snapshot must be the ones in the
//! receiver's snapshot, followed by those stored as channel state; at least once may hold more. No
//! barrier overtakes on the way to some subtasks (as on `forward` exchanges): they store nothing.

use proptest::prelude::*;
use sim_core::stream::rules::barrier::channel::Item;
use sim_core::stream::rules::barrier::gate::Gate;
use sim_core::stream::rules::barrier::handler::Mode;
use sim_core::stream::rules::barrier::{Action, Alignment, Barrier};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Guarantee {
    Aligned,
    Unaligned,
    Timeout,
    AtLeastOnce,
}

/// Numbers by a rule of the test's own.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let high = usize::try_from(self.0 >> 33).expect("31 bits");
        high % n.max(1)
    }
}

/// A snapshot: what had been processed on each channel, and sent on each output.
#[derive(Clone, Debug)]
struct Snapshot {
    processed: Vec<Vec<u32>>,
    sent: Vec<usize>,
}

struct Subtask {
    /// `None` for a source.
    gate: Option<Gate<u32>>,
    /// Barriers wait in line on their way here.
    forced_aligned: bool,
    /// Receivers: subtask and its channel.
    outputs: Vec<(usize, u32)>,
    processed: Vec<Vec<u32>>,
    sent: Vec<Vec<u32>>,
    snapshots: BTreeMap<i64, Snapshot>,
    stored: BTreeMap<(i64, u32), Vec<u32>>,
    whole: BTreeSet<i64>,
    aborted: BTreeSet<i64>,
    ended: u32,
    /// Of a source: the next checkpoint.
    next: i64,
}

struct Job {
    subtasks: Vec<Subtask>,
    guarantee: Guarantee,
    now: i64,
    records: u32,
    created: BTreeMap<i64, i64>,
}

fn gate(guarantee: Guarantee, channels: u32, forced_aligned: bool) -> Gate<u32> {
    match guarantee {
        _ if forced_aligned => Gate::exactly_once(channels, Mode::Alternating),
        Guarantee::Aligned => Gate::exactly_once(channels, Mode::Aligned),
        Guarantee::Unaligned => Gate::exactly_once(channels, Mode::Unaligned),
        Guarantee::Timeout => Gate::exactly_once(channels, Mode::Alternating),
        Guarantee::AtLeastOnce => Gate::at_least_once(channels),
    }
}

impl Job {
    /// `sources` sources, then subtasks that each read some of those before them.
    fn new(guarantee: Guarantee, sources: usize, others: usize, chance: &mut Chance) -> Self {
        let mut subtasks: Vec<Subtask> = Vec::new();
        for at in 0..sources + others {
            let mut channels = 0;
            let overtakes = matches!(guarantee, Guarantee::Unaligned | Guarantee::Timeout);
            let forced_aligned = overtakes && chance.below(3) == 0;
            if at >= sources {
                for _ in 0..=chance.below(3) {
                    let from = chance.below(at);
                    subtasks[from].outputs.push((at, channels));
                    subtasks[from].sent.push(Vec::new());
                    channels += 1;
                }
            }
            subtasks.push(Subtask {
                gate: (channels > 0).then(|| gate(guarantee, channels, forced_aligned)),
                forced_aligned,
                outputs: Vec::new(),
                processed: vec![Vec::new(); usize::try_from(channels).expect("few")],
                sent: Vec::new(),
                snapshots: BTreeMap::new(),
                stored: BTreeMap::new(),
                whole: BTreeSet::new(),
                aborted: BTreeSet::new(),
                ended: 0,
                next: 1,
            });
        }
        Job {
            subtasks,
            guarantee,
            now: 0,
            records: 0,
            created: BTreeMap::new(),
        }
    }

    fn alignment(&self) -> Alignment {
        match self.guarantee {
            Guarantee::Aligned | Guarantee::AtLeastOnce => Alignment::Aligned,
            Guarantee::Unaligned => Alignment::Unaligned,
            Guarantee::Timeout => Alignment::AlignedWithTimeout { timeout_ms: 6 },
        }
    }

    fn send(&mut self, from: usize, output: usize, item: Item<u32>) {
        let (to, channel) = self.subtasks[from].outputs[output];
        if let Item::Buffer { data, .. } = &item {
            self.subtasks[from].sent[output].push(*data);
        }
        let receiver = &mut self.subtasks[to];
        let gate = receiver.gate.as_mut().expect("a receiver has a gate");
        gate.arrive(channel, item);
        receiver.keep_stored();
    }

    fn broadcast(&mut self, from: usize, item: &Item<u32>) {
        for output in 0..self.subtasks[from].outputs.len() {
            self.send(from, output, item.clone());
        }
    }

    fn forward(&mut self, from: usize, record: u32) {
        let outputs = self.subtasks[from].outputs.len();
        if outputs > 0 {
            let output = usize::try_from(record).expect("fits") % outputs;
            let buffer = Item::Buffer {
                data: record,
                bytes: 1,
            };
            self.send(from, output, buffer);
        }
    }

    fn snapshot(&mut self, at: usize, barrier: Barrier) {
        let it = &mut self.subtasks[at];
        let snapshot = Snapshot {
            processed: it.processed.clone(),
            sent: it.sent.iter().map(Vec::len).collect(),
        };
        let earlier = it.snapshots.insert(barrier.checkpoint, snapshot);
        assert!(earlier.is_none(), "a checkpoint is taken once");
        let barrier = barrier.as_asked();
        for output in 0..self.subtasks[at].outputs.len() {
            let (to, _) = self.subtasks[at].outputs[output];
            let barrier = match self.subtasks[to].forced_aligned {
                true => barrier.as_forced(),
                false => barrier,
            };
            self.send(at, output, Item::Barrier(barrier));
        }
    }

    fn act(&mut self, at: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Trigger { barrier, .. } => self.snapshot(at, barrier),
                Action::Abort { checkpoint, .. } => {
                    assert!(self.subtasks[at].aborted.insert(checkpoint), "twice");
                    self.broadcast(at, &Item::Cancel(checkpoint));
                }
                Action::AllBarriersReceived { checkpoint, .. } => {
                    self.subtasks[at].whole.insert(checkpoint);
                }
            }
        }
    }

    fn poll(&mut self, at: usize) -> bool {
        let now = self.now;
        let it = &mut self.subtasks[at];
        let mut out = Vec::new();
        let polled = it.gate.as_mut().and_then(|gate| gate.poll(now, &mut out));
        it.keep_stored();
        self.act(at, out);
        match polled {
            None => return false,
            Some((channel, Item::Buffer { data, .. })) => {
                let channel = usize::try_from(channel).expect("few");
                self.subtasks[at].processed[channel].push(data);
                self.forward(at, data);
            }
            Some((_, Item::End)) => {
                let it = &mut self.subtasks[at];
                it.ended += 1;
                if usize::try_from(it.ended).expect("few") == it.processed.len() {
                    self.broadcast(at, &Item::End);
                }
            }
            Some(_) => {}
        }
        true
    }

    fn timers(&mut self) {
        for at in 0..self.subtasks.len() {
            let now = self.now;
            let it = &mut self.subtasks[at];
            let mut out = Vec::new();
            if let Some(gate) = it.gate.as_mut().filter(|it| it.timer_ms() <= Some(now)) {
                gate.on_timer(now, &mut out);
            }
            it.keep_stored();
            self.act(at, out);
        }
    }

    /// A source emits a record, or the next checkpoint's barrier.
    fn emit(&mut self, source: usize, is_barrier: bool) {
        if !is_barrier {
            self.records += 1;
            self.forward(source, self.records);
            return;
        }
        let checkpoint = self.subtasks[source].next;
        self.subtasks[source].next += 1;
        let created_ms = *self.created.entry(checkpoint).or_insert(self.now);
        let barrier = Barrier {
            checkpoint,
            created_ms,
            alignment: self.alignment(),
            savepoint: false,
        };
        self.snapshot(source, barrier);
        self.subtasks[source].whole.insert(checkpoint);
    }

    fn run(&mut self, sources: usize, checkpoints: i64, steps: usize, chance: &mut Chance) {
        for _ in 0..steps {
            let at = chance.below(self.subtasks.len());
            match at < sources {
                true => {
                    let more = self.subtasks[at].next <= checkpoints;
                    self.emit(at, more && chance.below(6) == 0);
                }
                false => drop(self.poll(at)),
            }
            if chance.below(4) == 0 {
                self.now += 1;
                self.timers();
            }
        }
        for source in 0..sources {
            while self.subtasks[source].next <= checkpoints {
                self.emit(source, true);
            }
            self.broadcast(source, &Item::End);
        }
        while (sources..self.subtasks.len()).fold(false, |any, at| self.poll(at) | any) {}
    }

    /// Checks every checkpoint that each subtask took whole; returns which those are.
    fn check(&self, checkpoints: i64) -> Vec<i64> {
        let everywhere = |id: &i64| {
            let taken = |it: &Subtask| it.whole.contains(id) && it.snapshots.contains_key(id);
            self.subtasks.iter().all(taken)
        };
        let whole: Vec<i64> = (1..=checkpoints).filter(everywhere).collect();
        for id in &whole {
            for sender in &self.subtasks {
                for (output, (to, channel)) in sender.outputs.iter().enumerate() {
                    let before = &sender.sent[output][..sender.snapshots[id].sent[output]];
                    self.check_edge(*id, &self.subtasks[*to], *channel, before);
                }
            }
        }
        whole
    }

    fn check_edge(&self, id: i64, receiver: &Subtask, channel: u32, before: &[u32]) {
        let at = usize::try_from(channel).expect("few");
        let processed = &receiver.snapshots[&id].processed[at];
        let stored = receiver.stored.get(&(id, channel));
        let stored = stored.map_or(&[][..], Vec::as_slice);
        let context = format!("{:?}, checkpoint {id}", self.guarantee);
        match self.guarantee {
            Guarantee::AtLeastOnce => {
                assert!(stored.is_empty(), "{context}");
                assert!(processed.starts_with(before), "{context}");
                if receiver.processed.len() == 1 {
                    assert_eq!(processed, before, "{context}: one channel is exactly once");
                }
            }
            _ if receiver.forced_aligned || self.guarantee == Guarantee::Aligned => {
                assert!(stored.is_empty(), "{context}");
                assert_eq!(processed, before, "{context}");
            }
            _ => {
                let cut = [processed, stored].concat();
                assert_eq!(cut, before, "{context}");
            }
        }
    }
}

impl Subtask {
    fn keep_stored(&mut self) {
        for it in self.gate.iter_mut().flat_map(Gate::take_persisted) {
            let place = self.stored.entry((it.checkpoint, it.channel));
            place.or_default().push(it.data);
        }
    }
}

fn check(guarantee: Guarantee, seed: u64, sources: usize, others: usize, steps: usize) {
    let mut chance = Chance(seed);
    let mut job = Job::new(guarantee, sources, others, &mut chance);
    let checkpoints = 6;
    job.run(sources, checkpoints, steps, &mut chance);
    let whole = job.check(checkpoints);
    // Nothing subsumes the last one.
    assert!(whole.contains(&checkpoints), "{guarantee:?}: {whole:?}");
    for it in job.subtasks.iter().filter(|it| it.gate.is_some()) {
        assert_eq!(
            usize::try_from(it.ended).expect("few"),
            it.processed.len(),
            "{guarantee:?}: every channel is read to its end"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_mode_gives_the_cut_of_its_rule(
        seed in any::<u64>(),
        sources in 1_usize..4,
        others in 1_usize..6,
        steps in 20_usize..400,
    ) {
        for guarantee in [
            Guarantee::Aligned,
            Guarantee::Unaligned,
            Guarantee::Timeout,
            Guarantee::AtLeastOnce,
        ] {
            check(guarantee, seed, sources, others, steps);
        }
    }
}

/// The graph has no test of its own worth if at least once never holds more than exactly once.
#[test]
fn at_least_once_does_count_records_behind_a_barrier() {
    let more = (0..50).any(|seed| {
        let mut chance = Chance(seed);
        let mut job = Job::new(Guarantee::AtLeastOnce, 3, 3, &mut chance);
        job.run(3, 6, 300, &mut chance);
        let edges = job.subtasks.iter().flat_map(|sender| {
            let outputs = sender.outputs.iter().enumerate();
            outputs.map(move |(output, to)| (sender, output, to))
        });
        edges.into_iter().any(|(sender, output, (to, channel))| {
            let receiver = &job.subtasks[*to];
            (1..=6).any(|id| {
                let taken = (sender.snapshots.get(&id), receiver.snapshots.get(&id));
                let (Some(sent), Some(had)) = taken else {
                    return false;
                };
                let at = usize::try_from(*channel).expect("few");
                had.processed[at].len() > sent.sent[output]
            })
        })
    });
    assert!(more);
}

/// Neither would the test say anything if no channel state were ever stored, or no alignment given
/// up, or if every alignment were.
#[test]
fn unaligned_checkpoints_do_store_what_is_in_flight() {
    let run = |guarantee, seed| {
        let mut chance = Chance(seed);
        let mut job = Job::new(guarantee, 3, 3, &mut chance);
        job.run(3, 6, 300, &mut chance);
        let stores = job.subtasks.iter().map(|it| it.stored.len());
        (stores.sum::<usize>(), job.check(6).len())
    };
    let sums = |guarantee| {
        let all = (0..50).map(|seed| run(guarantee, seed));
        all.fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1))
    };
    let (aligned, _) = sums(Guarantee::Aligned);
    let (unaligned, whole) = sums(Guarantee::Unaligned);
    let (late, _) = sums(Guarantee::Timeout);
    assert_eq!(aligned, 0);
    assert!(0 < late && late < unaligned, "{late} of {unaligned}");
    assert!(whole > 50, "not only the last checkpoint is taken: {whole}");
}
