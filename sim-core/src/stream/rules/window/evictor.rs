//! Which elements leave a window before or after it speaks.
//!
//! Follows `CountEvictor`, `TimeEvictor` and `DeltaEvictor`. The distance of two elements is that of
//! their values.

use super::aggregate::Record;
use crate::stream::element::NO_TIMESTAMP;
use serde::Serialize;

/// What an evictor leaves in the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Keep {
    /// The last so many.
    Count(u64),
    /// Those less than this older than the newest, ms.
    Time(i64),
    /// Those whose value is less than this from the last one's.
    Delta(i64),
}

/// An evictor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Evictor {
    /// What it leaves.
    pub keep: Keep,
    /// Whether it works after the window's function, rather than before.
    pub after: bool,
}

impl Evictor {
    /// Takes out what must leave.
    pub fn evict(&self, records: &mut Vec<Record>) {
        match self.keep {
            Keep::Count(most) => {
                let most = usize::try_from(most).unwrap_or(usize::MAX);
                let excess = records.len().saturating_sub(most);
                records.drain(..excess);
            }
            // Records without a time have no age: the first one tells.
            Keep::Time(_)
                if records
                    .first()
                    .is_none_or(|it| it.timestamp == NO_TIMESTAMP) => {}
            Keep::Time(span) => {
                let newest = records.iter().map(|it| it.timestamp).max();
                let cutoff = newest.map_or(i64::MIN, |it| it.saturating_sub(span));
                records.retain(|it| it.timestamp > cutoff);
            }
            Keep::Delta(threshold) => {
                let Some(last) = records.last().map(|it| it.value) else {
                    return;
                };
                records.retain(|it| last.saturating_sub(it.value) < threshold);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evictors_leave_what_they_should() {
        let given = [(1, 10), (2, 30), (9, 20), (4, 25)];
        for (keep, left) in [
            (Keep::Count(2), vec![9, 4]),
            (Keep::Count(9), vec![1, 2, 9, 4]),
            (Keep::Time(10), vec![2, 4]),
            (Keep::Time(11), vec![2, 9, 4]),
            (Keep::Delta(2), vec![9, 4]),
            (Keep::Delta(3), vec![2, 9, 4]),
        ] {
            let record = |(value, timestamp)| Record { value, timestamp };
            let mut records: Vec<Record> = given.map(record).to_vec();
            let evictor = Evictor { keep, after: false };
            evictor.evict(&mut records);
            let values: Vec<i64> = records.iter().map(|it| it.value).collect();
            assert_eq!(values, left, "{keep:?}");
        }
    }
}
