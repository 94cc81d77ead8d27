//! What a window makes of its elements.
//!
//! Follows `ReduceFunction` and `AggregateFunction` (one number per window, folded as elements
//! come) and `ProcessWindowFunction` (all elements kept until the window speaks); in Beam a
//! `Combine` and a `GroupByKey`. Left out: functions of users; the job brings numbers.

use serde::{Deserialize, Serialize};

/// An element in a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Record {
    /// What it says.
    pub value: i64,
    /// Its time, ms.
    pub timestamp: i64,
}

/// What becomes of a window's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Aggregate {
    /// Their sum.
    Sum,
    /// How many there are.
    Count,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// All of them, in the order of their arrival.
    Elements,
    /// Their mean, cut to a whole number as by `AVG` of SQL over whole numbers. What is kept is
    /// (sum, count): two of these make a third, and two means do not make a mean.
    Average,
}

/// What a window keeps of its elements.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Contents {
    /// A number that each element was folded into.
    Folded(i64),
    /// The elements.
    Records(Vec<Record>),
    /// Sum and number of the elements.
    Mean {
        /// Their sum.
        sum: i64,
        /// How many.
        count: i64,
    },
}

impl Contents {
    /// How many elements are kept as such.
    #[must_use]
    pub fn buffered(&self) -> u64 {
        match self {
            Contents::Folded(_) | Contents::Mean { .. } => 0,
            Contents::Records(records) => records.len() as u64,
        }
    }
}

/// What a window says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Value {
    /// The least, greatest or mean of no elements.
    Nothing,
    /// A number.
    Number(i64),
    /// Values, in the order of their arrival.
    Values(Vec<i64>),
}

impl Aggregate {
    fn fold(self, so_far: Option<i64>, value: i64) -> i64 {
        match (self, so_far) {
            (Aggregate::Count, so_far) => so_far.unwrap_or(0).wrapping_add(1),
            (_, None) => value,
            (Aggregate::Sum | Aggregate::Elements | Aggregate::Average, Some(sum)) => {
                sum.wrapping_add(value)
            }
            (Aggregate::Min, Some(least)) => least.min(value),
            (Aggregate::Max, Some(greatest)) => greatest.max(value),
        }
    }

    /// Adds an element. `buffered` keeps the elements even where a number would do, as evictors
    /// need.
    pub fn add(self, contents: &mut Option<Contents>, record: Record, buffered: bool) {
        match contents {
            Some(contents) => self.add_to(contents, record),
            None => *contents = Some(self.begin(record, buffered)),
        }
    }

    /// The contents of a window with its first element; `buffered` as with [`Aggregate::add`].
    #[must_use]
    pub fn begin(self, record: Record, buffered: bool) -> Contents {
        match buffered || self == Aggregate::Elements {
            true => Contents::Records(vec![record]),
            false if self == Aggregate::Average => Contents::Mean {
                sum: record.value,
                count: 1,
            },
            false => Contents::Folded(self.fold(None, record.value)),
        }
    }

    /// The contents of a window without elements; `buffered` as with [`Aggregate::add`].
    #[must_use]
    pub fn of_nothing(self, buffered: bool) -> Contents {
        match buffered || self == Aggregate::Elements {
            true => Contents::Records(Vec::new()),
            false if self == Aggregate::Average => Contents::Mean { sum: 0, count: 0 },
            false => Contents::Folded(0),
        }
    }

    /// Adds an element to what is there.
    pub fn add_to(self, contents: &mut Contents, record: Record) {
        match contents {
            Contents::Records(all) => all.push(record),
            Contents::Folded(number) => *number = self.fold(Some(*number), record.value),
            Contents::Mean { sum, count } => {
                *sum = sum.wrapping_add(record.value);
                *count += 1;
            }
        }
    }

    /// Adds the contents of another window.
    pub fn merge(self, contents: &mut Option<Contents>, other: Contents) {
        match (contents, other) {
            (Some(Contents::Records(all)), Contents::Records(more)) => all.extend(more),
            (Some(Contents::Folded(number)), Contents::Folded(other)) => {
                *number = match self {
                    Aggregate::Count => number.wrapping_add(other),
                    _ => self.fold(Some(*number), other),
                };
            }
            (
                Some(Contents::Mean { sum, count }),
                Contents::Mean {
                    sum: of,
                    count: more,
                },
            ) => {
                *sum = sum.wrapping_add(of);
                *count += more;
            }
            // A window keeps either numbers or elements from its first to its last.
            (contents, other) => *contents = Some(other),
        }
    }

    /// What a window says of these contents.
    #[must_use]
    pub fn result(self, contents: Option<&Contents>) -> Value {
        let records = match contents {
            Some(Contents::Folded(number)) => return Value::Number(*number),
            Some(Contents::Mean { sum, count }) => return mean(*sum, *count),
            Some(Contents::Records(records)) => records.as_slice(),
            None => &[],
        };
        let values = records.iter().map(|it| it.value);
        match self {
            Aggregate::Elements => Value::Values(values.collect()),
            Aggregate::Sum | Aggregate::Count => {
                let folded = values.fold(None, |so_far, it| Some(self.fold(so_far, it)));
                Value::Number(folded.unwrap_or(0))
            }
            Aggregate::Average => mean(values.fold(0, i64::wrapping_add), records.len() as i64),
            Aggregate::Min => values.min().map_or(Value::Nothing, Value::Number),
            Aggregate::Max => values.max().map_or(Value::Nothing, Value::Number),
        }
    }
}

fn mean(sum: i64, count: i64) -> Value {
    sum.checked_div(count).map_or(Value::Nothing, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_buffering_and_merging_give_the_same() {
        let values = [4, -2, 7];
        for (aggregate, expected) in [
            (Aggregate::Sum, Value::Number(9)),
            (Aggregate::Count, Value::Number(3)),
            (Aggregate::Min, Value::Number(-2)),
            (Aggregate::Max, Value::Number(7)),
            (Aggregate::Average, Value::Number(3)),
            (Aggregate::Elements, Value::Values(values.to_vec())),
        ] {
            for buffered in [false, true] {
                let of = |some: &[i64]| {
                    let mut contents = None;
                    for value in some {
                        let record = Record {
                            value: *value,
                            timestamp: 0,
                        };
                        aggregate.add(&mut contents, record, buffered);
                    }
                    contents
                };
                assert_eq!(aggregate.result(of(&values).as_ref()), expected);
                let mut parts = of(&values[..1]);
                aggregate.merge(&mut parts, of(&values[1..]).expect("two elements"));
                assert_eq!(aggregate.result(parts.as_ref()), expected);
            }
        }
        assert_eq!(Aggregate::Sum.result(None), Value::Number(0));
        assert_eq!(Aggregate::Max.result(None), Value::Nothing);
        for buffered in [false, true] {
            let nothing = Aggregate::Average.of_nothing(buffered);
            assert_eq!(Aggregate::Average.result(Some(&nothing)), Value::Nothing);
        }
    }
}
