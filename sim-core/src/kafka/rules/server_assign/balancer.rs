//! Which member of a topic gets the next partition, and which gives one up
//! (`MemberAssignmentBalancer`).
//!
//! The members stand sorted by their counts. From the left a range of least loaded ones fills up
//! evenly and grows to the right; from the right a range of most loaded ones empties evenly and
//! grows to the left. A member with nothing to give is put out of the right range.

/// The state for one topic. Members are places in a list of counts.
#[derive(Default)]
pub(super) struct Balancer {
    sorted: Vec<usize>,
    least_end: usize,
    least_level: i64,
    next_least: usize,
    most_start: usize,
    most_end: usize,
    most_level: i64,
    /// One above the next place to take from, so that 0 is none.
    next_most: usize,
}

impl Balancer {
    /// Starts with these members; returns how far apart their counts are.
    pub(super) fn initialize(&mut self, members: &[usize], counts: &[i64]) -> i64 {
        self.sorted.clear();
        self.sorted.extend_from_slice(members);
        self.sorted.sort_by_key(|member| (counts[*member], *member));
        let (Some(first), Some(last)) = (self.sorted.first(), self.sorted.last()) else {
            return 0;
        };
        let (least, most) = (counts[*first], counts[*last]);
        self.least_end = 0;
        self.least_level = least - 1;
        self.next_least = 0;
        self.most_start = self.sorted.len();
        self.most_end = self.sorted.len();
        self.most_level = most + 1;
        self.next_most = self.sorted.len();
        most - least
    }

    /// The member to give the next partition to; it counts as given.
    pub(super) fn next_least_loaded(&mut self, counts: &[i64]) -> Option<usize> {
        if self.next_least >= self.least_end {
            self.least_level += 1;
            let at_level = |place: usize| {
                let member = self.sorted.get(place);
                member.is_some_and(|member| counts[*member] == self.least_level)
            };
            while at_level(self.least_end) {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        let member = self.sorted.get(self.next_least).copied();
        self.next_least += 1;
        member
    }

    /// The member to take the next partition from, if one is left; it counts as taken.
    pub(super) fn next_most_loaded(&mut self, counts: &[i64]) -> Option<usize> {
        if self.next_most <= self.most_start {
            if self.most_end <= self.most_start && self.most_start > 0 {
                // All of the range were put out: go on with the next member, whatever its count.
                self.most_level = counts[self.sorted[self.most_start - 1]];
            } else {
                self.most_level -= 1;
            }
            while self.most_start > 0 && counts[self.sorted[self.most_start - 1]] == self.most_level
            {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        let place = self.next_most.checked_sub(1)?;
        self.next_most = place;
        self.sorted.get(place).copied()
    }

    /// Puts the member that was last returned out of the range of most loaded ones.
    pub(super) fn exclude_most_loaded(&mut self) {
        if self.next_most < self.most_end {
            self.sorted.swap(self.next_most, self.most_end - 1);
            self.most_end -= 1;
        }
    }

    /// Whether the two ranges are at most one apart.
    pub(super) fn is_balanced(&self) -> bool {
        self.most_level - self.least_level <= 1
    }
}
