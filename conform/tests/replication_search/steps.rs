//! What can happen next in the small world. When something may happen is the world's own: any member
//! of the ISR may be taken out or elected at any time, and what the controller announced is heard in
//! any order or not at all. What then happens is for the engine's rules to say.

use crate::decisions::{Decisions, Fetched, Leader};
use crate::state::{Announced, EPOCH_MAX, NONE, REPLICAS, State};
use std::fmt;

/// How large the small world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) log_size: u8,
    pub(crate) max_records: u8,
    pub(crate) max_leader_epoch: u8,
}

/// One step, with the replicas that take part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    ControllerDrops(usize),
    ControllerElects(usize),
    BecomesLeader(usize),
    Follows(usize, i8),
    Writes(usize),
    Fetches(usize),
    Cuts(usize),
    Raises(usize),
    Expands(usize, usize),
    Shrinks(usize, usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::ControllerDrops(it) => write!(f, "the controller takes r{it} out of the ISR"),
            Step::ControllerElects(it) => write!(f, "the controller elects r{it}"),
            Step::BecomesLeader(it) => write!(f, "r{it} hears that it leads"),
            Step::Follows(it, NONE) => write!(f, "r{it} hears that nobody leads"),
            Step::Follows(it, leader) => write!(f, "r{it} hears that r{leader} leads"),
            Step::Writes(it) => write!(f, "r{it} appends a record"),
            Step::Fetches(it) => write!(f, "r{it} fetches"),
            Step::Cuts(it) => write!(f, "r{it} fetches and cuts its log"),
            Step::Raises(it) => write!(f, "r{it} raises its high watermark"),
            Step::Expands(it, with) => write!(f, "r{it} takes r{with} into the ISR"),
            Step::Shrinks(it, by) => write!(f, "r{it} drops r{by} from the ISR"),
        }
    }
}

/// All that can happen in a state, each with the state after it.
pub(crate) struct Next<'a> {
    rules: &'a mut Decisions,
    bounds: Bounds,
    out: Vec<(Step, State)>,
}

pub(crate) fn next(rules: &mut Decisions, bounds: Bounds, state: &State) -> Vec<(Step, State)> {
    let mut it = Next {
        rules,
        bounds,
        out: Vec::new(),
    };
    it.controller(state);
    for replica in 0..REPLICAS {
        it.hears(state, replica);
        it.follower(state, replica);
        if state.leads(replica) {
            it.leader(state, replica);
        }
    }
    it.out
}

impl Next<'_> {
    fn to(&mut self, step: Step, state: State) {
        self.out.push((step, state));
    }

    fn announce(&mut self, state: &State, leader: i8, isr: u8) -> State {
        let mut after = *state;
        after.announced[usize::from(state.epochs)] = Announced { leader, isr };
        after.epochs += 1;
        after.isr = isr;
        after
    }

    fn controller(&mut self, state: &State) {
        let last = self.bounds.max_leader_epoch.min(EPOCH_MAX as u8);
        if state.epochs > last {
            return;
        }
        let (_, leader) = state.in_force();
        for replica in 0..REPLICAS {
            if state.isr & 1 << replica == 0 {
                continue;
            }
            if let Some((led_by, isr)) = self.rules.dropped(leader, state.isr, replica as u8) {
                let after = self.announce(state, led_by, isr);
                self.to(Step::ControllerDrops(replica), after);
            }
            let is_new = leader != replica as i8;
            if is_new && self.rules.elects(leader, state.isr, replica as u8) {
                let after = self.announce(state, replica as i8, state.isr);
                self.to(Step::ControllerElects(replica), after);
            }
        }
    }

    /// A replica hears of a newer leader epoch than it knows.
    fn hears(&mut self, state: &State, at: usize) {
        let own = &state.replicas[at];
        let newer = (own.epoch + 1) as usize..usize::from(state.epochs);
        for epoch in newer {
            let Announced { leader, isr } = state.announced[epoch];
            let mut after = *state;
            let it = &mut after.replicas[at];
            (it.epoch, it.leader, it.isr) = (epoch as i8, leader, isr);
            if leader == at as i8 {
                it.log.open_epoch = epoch as i8;
                after.replicas[at].hw = self.rules.raised(as_leader(&after, at), own.log.len, 0);
                self.to(Step::BecomesLeader(at), after);
                continue;
            }
            if leader != NONE {
                let theirs = &state.replicas[leader as usize];
                let asks = self.rules.must_ask(&own.log, own.hw);
                let answers =
                    self.rules
                        .answers(epoch as i8, theirs.epoch, state.leads(leader as usize));
                if asks && !answers {
                    continue;
                }
                let end = self.rules.begin(&own.log, own.hw, &theirs.log);
                if end <= own.log.len {
                    it.log.truncate_to(end);
                    it.hw = it.hw.min(end);
                }
            }
            self.to(Step::Follows(at, leader), after);
        }
    }

    /// The log of the leader that this replica follows, if that one answers it.
    fn answered(&self, state: &State, at: usize) -> Option<usize> {
        let own = &state.replicas[at];
        let leader = usize::try_from(own.leader).ok().filter(|it| *it != at)?;
        let epoch = state.replicas[leader].epoch;
        let answers = self.rules.answers(own.epoch, epoch, state.leads(leader));
        answers.then_some(leader)
    }

    fn follower(&mut self, state: &State, at: usize) {
        let Some(leader) = self.answered(state, at) else {
            return;
        };
        let (own, theirs) = (state.replicas[at], state.replicas[leader]);
        let mut after = *state;
        let it = &mut after.replicas[at];
        match self.rules.fetch(&theirs.log, &own.log, own.hw) {
            Fetched::Cut(end) => {
                it.log.truncate_to(end);
                it.hw = it.hw.min(it.log.len);
                self.to(Step::Cuts(at), after);
            }
            Fetched::Data => {
                if let Some(record) = theirs.log.record(own.log.len) {
                    it.log.append(record);
                }
                it.hw = self.rules.follower_hw(theirs.hw, it.log.len);
                if after != *state {
                    self.to(Step::Fetches(at), after);
                }
            }
            Fetched::Nothing => {}
        }
    }

    fn leader(&mut self, state: &State, at: usize) {
        let own = &state.replicas[at];
        let leader = as_leader(state, at);
        if own.log.len < self.bounds.log_size && state.next_record < self.bounds.max_records {
            let mut after = *state;
            after.next_record += 1;
            after.replicas[at]
                .log
                .append((own.epoch, state.next_record));
            let hw = self.rules.raised(as_leader(&after, at), own.log.len + 1, 0);
            after.replicas[at].hw = hw;
            self.to(Step::Writes(at), after);
        }
        self.raises(state, at, leader);
        for other in (0..REPLICAS).filter(|it| *it != at) {
            let offset = self.counted(state, at, other);
            if own.isr & 1 << other != 0 {
                self.shrinks(state, leader, other, offset);
            } else if let Some(offset) = offset {
                self.expands(state, leader, other, offset);
            }
        }
    }

    /// From where a follower's fetch is that this leader counts, if it does.
    fn counted(&mut self, state: &State, leader: usize, other: usize) -> Option<u8> {
        if self.answered(state, other) != Some(leader) {
            return None;
        }
        let log = &state.replicas[other].log;
        let last = last_epoch(log, log.len);
        let theirs = &state.replicas[leader].log;
        self.rules.accepts(theirs, log.len, last).then_some(log.len)
    }

    /// The high watermark goes up by one if fetches from there are counted: each follower that has
    /// more fetched from there before.
    fn raises(&mut self, state: &State, at: usize, leader: Leader) {
        let wanted = leader.hw + 1;
        if wanted > leader.leo {
            return;
        }
        let mut followers = 0;
        for other in (0..REPLICAS).filter(|it| *it != at && leader.isr & 1 << it != 0) {
            let log = &state.replicas[other].log;
            let reached = self.answered(state, other) == Some(at) && log.len >= wanted;
            let last = last_epoch(log, wanted);
            if reached && self.rules.accepts(&state.replicas[at].log, wanted, last) {
                followers |= 1 << other;
            }
        }
        let hw = self.rules.raised(leader, wanted, followers);
        if hw > leader.hw {
            let mut after = *state;
            after.replicas[at].hw = hw;
            self.to(Step::Raises(at), after);
        }
    }

    fn commits(&mut self, state: &State, leader: Leader, isr: u8) -> Option<State> {
        let (epoch, led_by) = state.in_force();
        let own_epoch = state.replicas[usize::from(leader.id)].epoch;
        let request = (leader.id, own_epoch, isr);
        if !self.rules.commits((epoch, led_by, state.isr), request) {
            return None;
        }
        let mut after = *state;
        after.isr = isr;
        after.replicas[usize::from(leader.id)].isr = isr;
        Some(after)
    }

    fn expands(&mut self, state: &State, leader: Leader, other: usize, offset: u8) {
        let asked = self.rules.joined(leader, other as u8, offset);
        if let Some(after) = asked.and_then(|isr| self.commits(state, leader, isr)) {
            self.to(Step::Expands(usize::from(leader.id), other), after);
        }
    }

    fn shrinks(&mut self, state: &State, leader: Leader, other: usize, offset: Option<u8>) {
        let Some((isr, hw)) = self.rules.left(leader, other as u8, offset) else {
            return;
        };
        if let Some(mut after) = self.commits(state, leader, isr) {
            after.replicas[usize::from(leader.id)].hw = hw;
            self.to(Step::Shrinks(usize::from(leader.id), other), after);
        }
    }
}

/// The epoch that a fetch from this offset names.
fn last_epoch(log: &crate::state::ReplicaLog, offset: u8) -> i8 {
    if offset == log.len && log.open_epoch != NONE {
        return log.open_epoch;
    }
    let before = offset.checked_sub(1).and_then(|it| log.record(it));
    before.map_or(NONE, |(epoch, _)| epoch)
}

fn as_leader(state: &State, at: usize) -> Leader {
    let it = &state.replicas[at];
    let written = &it.log.records[..usize::from(it.log.len)];
    // A leader appends behind what it had, and what it appends is of its epoch.
    let start = written.iter().take_while(|(epoch, _)| *epoch != it.epoch);
    Leader {
        id: at as u8,
        isr: it.isr,
        hw: it.hw,
        leo: it.log.len,
        start: start.count() as u8,
    }
}
