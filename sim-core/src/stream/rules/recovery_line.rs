//! To where a job goes back whose tasks take snapshots each for itself: the recovery line.
//!
//! Follows uncoordinated checkpointing as Elnozahy, Alvisi, Wang and Johnson describe it ("A Survey of
//! Rollback-Recovery Protocols in Message-Passing Systems", ACM Computing Surveys 34(3), 2002): of
//! each task's snapshots one is chosen, the newest to begin with, and as long as some channel's two
//! ends do not fit together one of them goes back (rollback propagation). A receiver goes back whose
//! snapshot knows records that its sender's has not sent yet: orphans. Where nobody can give lost
//! records again, a sender goes back as well whose snapshot has sent what its receiver's does not
//! know. Each step back may bring about others (the domino effect), at worst down to the first
//! snapshot of all, which is the start. What is left is the newest line of all that fit: counts only
//! grow, so that of two lines that fit the greater snapshot of each task is one again. Left out: the
//! dependency graph of intervals, which finds the same line where counts are not known.

/// What must not be on a line's channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consistency {
    /// No record that was received and not sent; what was sent and not received is given again.
    NoOrphans,
    /// No such record, and none that was sent and not received: nobody has those.
    NothingInFlight,
}

/// A channel with what was counted at its two ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The sending task.
    pub from: usize,
    /// The receiving task.
    pub to: usize,
    /// Records sent, at each snapshot of the sender; never fewer than before.
    pub sent: Vec<u64>,
    /// Records received, at each snapshot of the receiver; never fewer than before.
    pub received: Vec<u64>,
}

/// A step back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rollback {
    /// Which task.
    pub task: usize,
    /// From which of its snapshots.
    pub from: usize,
    /// To which.
    pub to: usize,
    /// The channel that made it go back.
    pub channel: usize,
    /// What had been sent and received there.
    pub counts: (u64, u64),
}

/// A recovery line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Line {
    /// For each task, which of its snapshots.
    pub at: Vec<usize>,
    /// How it came to that.
    pub rollbacks: Vec<Rollback>,
}

/// The greatest place, up to a limit, at which no more than so much had been counted.
fn back(counts: &[u64], limit: usize, most: u64) -> usize {
    let older = counts.get(..limit).unwrap_or(counts);
    older.partition_point(|it| *it <= most).saturating_sub(1)
}

/// The newest line of tasks that have so many snapshots each, the first of which fit together.
#[must_use]
pub fn recovery_line(snapshots: &[usize], channels: &[Channel], kind: Consistency) -> Line {
    let mut line = Line {
        at: snapshots.iter().map(|it| it.saturating_sub(1)).collect(),
        rollbacks: Vec::new(),
    };
    while line.step(channels, kind) {}
    line
}

impl Line {
    /// Looks at every channel once; whether a task went back.
    fn step(&mut self, channels: &[Channel], kind: Consistency) -> bool {
        let before = self.rollbacks.len();
        for (number, it) in channels.iter().enumerate() {
            let at = |task: usize| self.at.get(task).copied().unwrap_or(0);
            let (from, to) = (at(it.from), at(it.to));
            let (Some(sent), Some(received)) = (it.sent.get(from), it.received.get(to)) else {
                continue;
            };
            let (task, place, goes) = match sent.cmp(received) {
                std::cmp::Ordering::Less => (it.to, to, back(&it.received, to, *sent)),
                std::cmp::Ordering::Greater if kind == Consistency::NothingInFlight => {
                    (it.from, from, back(&it.sent, from, *received))
                }
                _ => continue,
            };
            if goes < place
                && let Some(of_task) = self.at.get_mut(task)
            {
                *of_task = goes;
                self.rollbacks.push(Rollback {
                    task,
                    from: place,
                    to: goes,
                    channel: number,
                    counts: (*sent, *received),
                });
            }
        }
        self.rollbacks.len() > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel(from: usize, to: usize, sent: &[u64], received: &[u64]) -> Channel {
        Channel {
            from,
            to,
            sent: sent.to_vec(),
            received: received.to_vec(),
        }
    }

    fn fits(at: &[usize], channels: &[Channel], kind: Consistency) -> bool {
        channels.iter().all(|it| {
            let (sent, received) = (it.sent[at[it.from]], it.received[at[it.to]]);
            match kind {
                Consistency::NoOrphans => received <= sent,
                Consistency::NothingInFlight => received == sent,
            }
        })
    }

    /// Two tasks that answer each other, and take their snapshots at the wrong moments: each
    /// snapshot of one comes between a message and the snapshot of the other.
    #[test]
    fn two_that_answer_each_other_fall_back_to_the_start() {
        let channels = [
            channel(0, 1, &[0, 1, 2, 3], &[0, 1, 2, 3]),
            channel(1, 0, &[0, 0, 1, 2], &[0, 1, 2, 3]),
        ];
        let line = recovery_line(&[4, 4], &channels, Consistency::NoOrphans);
        assert_eq!(line.at, [0, 0]);
        let tasks: Vec<usize> = line.rollbacks.iter().map(|it| it.task).collect();
        assert_eq!(tasks, [0, 1, 0, 1, 0, 1], "one brings about the other");
    }

    /// One that only sends: its receiver's orphans do not go back to it, lost records do.
    #[test]
    fn a_sender_goes_back_only_where_lost_records_are_nowhere() {
        let channels = [channel(0, 1, &[0, 10, 20], &[0, 5, 15, 25])];
        let line = recovery_line(&[3, 4], &channels, Consistency::NoOrphans);
        assert_eq!(line.at, [2, 2]);
        let step = Rollback {
            task: 1,
            from: 3,
            to: 2,
            channel: 0,
            counts: (20, 25),
        };
        assert_eq!(line.rollbacks, [step]);
        let line = recovery_line(&[3, 4], &channels, Consistency::NothingInFlight);
        assert_eq!(line.at, [0, 0]);
        let quiet = [channel(0, 1, &[0, 10, 20], &[0, 5, 10, 25])];
        let line = recovery_line(&[3, 4], &quiet, Consistency::NothingInFlight);
        assert_eq!(
            line.at,
            [1, 2],
            "both were taken while nothing was under way"
        );
    }

    #[test]
    fn tasks_without_channels_stay_at_their_newest() {
        let line = recovery_line(&[3, 1], &[], Consistency::NothingInFlight);
        assert_eq!((line.at, line.rollbacks.len()), (vec![2, 0], 0));
    }

    /// Counts that begin with none and never shrink.
    fn counts(many: usize) -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(0..3_u64, many - 1).prop_map(|steps| {
            let mut sum = 0;
            let grown = steps.into_iter().map(|step| {
                sum += step;
                sum
            });
            std::iter::once(0).chain(grown).collect()
        })
    }

    /// Tasks with a few snapshots each, and any channels between them, also circles.
    fn graphs() -> impl Strategy<Value = (Vec<usize>, Vec<Channel>)> {
        let tasks = prop::collection::vec(1..=5_usize, 1..=4);
        tasks.prop_flat_map(|tasks| {
            let (many, of) = (tasks.len(), tasks.clone());
            let ends = (0..many, 0..many);
            let one = ends.prop_flat_map(move |(from, to)| {
                let counted = (counts(of[from]), counts(of[to]));
                counted.prop_map(move |(sent, received)| Channel {
                    from,
                    to,
                    sent,
                    received,
                })
            });
            (Just(tasks), prop::collection::vec(one, 0..=6))
        })
    }

    /// The greatest of all lines that fit, by trying each; all of them have it above them.
    fn tried(tasks: &[usize], channels: &[Channel], kind: Consistency) -> Vec<usize> {
        let mut lines = vec![Vec::new()];
        for many in tasks {
            let longer = lines.iter().flat_map(|line| {
                (0..*many).map(move |it| line.iter().copied().chain([it]).collect::<Vec<usize>>())
            });
            lines = longer.collect();
        }
        lines.retain(|it| fits(it, channels, kind));
        let greatest = lines.iter().max_by_key(|it| it.iter().sum::<usize>());
        let greatest = greatest.expect("the start fits").clone();
        let below = |it: &Vec<usize>| it.iter().zip(&greatest).all(|(a, b)| a <= b);
        assert!(lines.iter().all(below), "{greatest:?} of {lines:?}");
        greatest
    }

    proptest! {
        #[test]
        fn it_is_the_newest_line_of_all_that_fit((tasks, channels) in graphs()) {
            for kind in [Consistency::NoOrphans, Consistency::NothingInFlight] {
                let line = recovery_line(&tasks, &channels, kind);
                prop_assert!(fits(&line.at, &channels, kind));
                prop_assert_eq!(&line.at, &tried(&tasks, &channels, kind));
                // What the steps say is what was done.
                let mut at: Vec<usize> = tasks.iter().map(|it| it - 1).collect();
                for step in &line.rollbacks {
                    prop_assert_eq!(at[step.task], step.from);
                    prop_assert!(step.to < step.from);
                    let (sent, received) = step.counts;
                    let channel = &channels[step.channel];
                    prop_assert_eq!(channel.sent[at[channel.from]], sent);
                    prop_assert_eq!(channel.received[at[channel.to]], received);
                    at[step.task] = step.to;
                }
                prop_assert_eq!(at, line.at);
            }
        }
    }
}
