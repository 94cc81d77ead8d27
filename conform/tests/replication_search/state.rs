//! The state of the small world: three replicas of one partition, the controller, and every leader
//! and ISR that the controller ever announced.
//!
//! It packs into one integer, the same for states that differ only in the names of the replicas.

pub(crate) const REPLICAS: usize = 3;
/// The largest log that fits into a packed state.
pub(crate) const LOG_MAX: usize = 3;
/// The highest leader epoch that fits into one.
pub(crate) const EPOCH_MAX: usize = 3;
/// No epoch, no leader.
pub(crate) const NONE: i8 = -1;

/// A replica's log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ReplicaLog {
    /// Leader epoch and identity of each record.
    pub(crate) records: [(i8, u8); LOG_MAX],
    /// How many there are: the log end offset.
    pub(crate) len: u8,
    /// An epoch that began at the log end, in which this replica led and has written nothing.
    pub(crate) open_epoch: i8,
}

/// What a replica knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Replica {
    pub(crate) log: ReplicaLog,
    pub(crate) hw: u8,
    pub(crate) epoch: i8,
    /// Whom it takes for the leader; maybe itself.
    pub(crate) leader: i8,
    /// Of the leader it knows, the ISR, as bits.
    pub(crate) isr: u8,
}

/// What the controller announced with a leader epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Announced {
    pub(crate) leader: i8,
    pub(crate) isr: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub(crate) replicas: [Replica; REPLICAS],
    /// By leader epoch; the last one is in force, but for its ISR.
    pub(crate) announced: [Announced; EPOCH_MAX + 1],
    pub(crate) epochs: u8,
    /// The ISR in force.
    pub(crate) isr: u8,
    pub(crate) next_record: u8,
}

impl ReplicaLog {
    pub(crate) fn record(&self, offset: u8) -> Option<(i8, u8)> {
        let is_there = offset < self.len;
        is_there.then(|| self.records[usize::from(offset)])
    }

    pub(crate) fn append(&mut self, record: (i8, u8)) {
        self.records[usize::from(self.len)] = record;
        self.len += 1;
        self.open_epoch = NONE;
    }

    pub(crate) fn truncate_to(&mut self, offset: u8) {
        self.open_epoch = NONE;
        for at in offset..self.len {
            self.records[usize::from(at)] = (NONE, 0);
        }
        self.len = self.len.min(offset);
    }
}

impl State {
    pub(crate) fn start() -> Self {
        let log = ReplicaLog {
            records: [(NONE, 0); LOG_MAX],
            len: 0,
            open_epoch: NONE,
        };
        let replica = Replica {
            log,
            hw: 0,
            epoch: NONE,
            leader: NONE,
            isr: 0,
        };
        State {
            replicas: [replica; REPLICAS],
            announced: [Announced {
                leader: NONE,
                isr: 0,
            }; EPOCH_MAX + 1],
            epochs: 0,
            isr: 0b111,
            next_record: 0,
        }
    }

    /// The newest epoch, and who leads in it as the controller has it.
    pub(crate) fn in_force(&self) -> (i8, i8) {
        match self.epochs.checked_sub(1) {
            Some(epoch) => (epoch as i8, self.announced[usize::from(epoch)].leader),
            None => (NONE, NONE),
        }
    }

    pub(crate) fn leads(&self, replica: usize) -> bool {
        self.replicas[replica].leader == replica as i8
    }

    /// One number for this state and all that differ from it in names alone.
    pub(crate) fn packed(&self) -> u128 {
        let mut ranks = [0_u64; REPLICAS];
        for (at, rank) in ranks.iter_mut().enumerate() {
            *rank = self.rank(at);
        }
        let mut least = u128::MAX;
        for order in ORDERS {
            if ranks[order[0]] <= ranks[order[1]] && ranks[order[1]] <= ranks[order[2]] {
                least = least.min(self.packed_in(order));
            }
        }
        least
    }

    /// What tells replicas apart without their names.
    fn rank(&self, at: usize) -> u64 {
        let it = &self.replicas[at];
        let bit = 1 << at;
        let (_, leader) = self.in_force();
        let role = u64::from(it.leader == at as i8)
            | u64::from(self.isr & bit != 0) << 1
            | u64::from(leader == at as i8) << 2;
        pack_log(&it.log) << 12
            | u64::from(it.hw) << 10
            | ((it.epoch + 1) as u64) << 7
            | u64::from(it.isr.count_ones()) << 5
            | role
    }

    fn packed_in(&self, order: [usize; REPLICAS]) -> u128 {
        let mut place = [0_u8; REPLICAS];
        for (new, old) in order.iter().enumerate() {
            place[*old] = new as u8;
        }
        let name = |leader: i8| match leader {
            NONE => 0,
            it => place[it as usize] + 1,
        };
        let set = |isr: u8| (0..REPLICAS).fold(0, |all, it| all | ((isr >> it) & 1) << place[it]);
        let mut all = 0_u128;
        let mut put = |value: u64, bits: u32| all = all << bits | u128::from(value);
        for old in order {
            let it = &self.replicas[old];
            put(pack_log(&it.log), 17);
            put(u64::from(it.hw), 2);
            put((it.epoch + 1) as u64, 3);
            put(u64::from(name(it.leader)), 2);
            put(u64::from(set(it.isr)), 3);
        }
        for it in &self.announced {
            put(u64::from(name(it.leader)), 2);
            put(u64::from(set(it.isr)), 3);
        }
        put(u64::from(self.epochs), 3);
        put(u64::from(set(self.isr)), 3);
        put(u64::from(self.next_record), 2);
        all
    }

    /// The state with this number.
    pub(crate) fn unpacked(mut all: u128) -> Self {
        let mut take = |bits: u32| {
            let value = (all & ((1 << bits) - 1)) as u8;
            all >>= bits;
            value
        };
        let mut state = State::start();
        state.next_record = take(2);
        state.isr = take(3);
        state.epochs = take(3);
        for it in state.announced.iter_mut().rev() {
            it.isr = take(3);
            it.leader = take(2) as i8 - 1;
        }
        for it in state.replicas.iter_mut().rev() {
            it.isr = take(3);
            it.leader = take(2) as i8 - 1;
            it.epoch = take(3) as i8 - 1;
            it.hw = take(2);
            it.log.len = take(2);
            it.log.open_epoch = take(3) as i8 - 1;
            for at in (0..LOG_MAX).rev() {
                let (epoch, id) = (take(2) as i8, take(2));
                if at < usize::from(it.log.len) {
                    it.log.records[at] = (epoch, id);
                }
            }
        }
        state
    }
}

const ORDERS: [[usize; REPLICAS]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

fn pack_log(log: &ReplicaLog) -> u64 {
    let records = log.records.iter().enumerate().fold(0, |all, (at, it)| {
        let (epoch, id) = match at < usize::from(log.len) {
            true => *it,
            false => (0, 0),
        };
        all << 4 | u64::from(id) << 2 | epoch as u64
    });
    records << 5 | ((log.open_epoch + 1) as u64) << 2 | u64::from(log.len)
}
