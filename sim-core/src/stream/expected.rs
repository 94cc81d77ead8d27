//! Whether sinks hold what a job expects of them.
//!
//! What a sink holds is what a `read_committed` reader sees in its store or topic; a row of a
//! changelog that takes another back takes it away. What an expected row leaves open may be
//! anything, and each expected row stands for one row.

use super::element::{Key, NO_TIMESTAMP, Record};
use super::rules::assigner::Window;
use super::rules::join::RowKind;
use super::rules::pane::Timing;
use super::rules::window::aggregate::Value;
use super::spec::{ExpectedOutput, ExpectedRow, JobSpec};
use super::store::Store;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What is visible in the stores and topics of sinks, by their operators, in its order.
pub type Held<'a> = [(u32, Vec<&'a Record>)];

/// The first difference between what is expected and what is there, in words.
#[must_use]
pub fn first_difference(spec: &JobSpec, stores: &Held<'_>) -> Option<String> {
    spec.expected.iter().find_map(|expected| {
        let name = spec.operators.get(expected.sink as usize);
        let name = name.map_or("?", |it| it.name.as_str());
        let store = stores.iter().find(|(sink, _)| *sink == expected.sink);
        let Some((_, held)) = store else {
            return Some(format!("{name} has no store"));
        };
        let held = found(held, expected.changelog);
        let difference = match expected.ordered {
            true => in_order(spec, expected, &held),
            false => in_any_order(spec, expected, &held),
        };
        difference.map(|it| format!("{name}: {it}"))
    })
}

/// The rows that a store shows to a `read_committed` reader.
#[must_use]
pub fn held(store: &Store) -> Vec<&Record> {
    store.visible_rows().map(|it| &it.record).collect()
}

/// A row of a store or topic.
#[derive(Clone, Copy)]
struct Found<'a> {
    record: &'a Record,
    /// How many results of the same key and window were written before it.
    pane: u32,
}

/// What a `read_committed` reader makes of what it sees: all rows, or those that were not taken back.
fn found<'a>(visible: &[&'a Record], changelog: bool) -> Vec<Found<'a>> {
    let mut panes: BTreeMap<(Key, Option<Window>), u32> = BTreeMap::new();
    let mut rows: Vec<Found<'_>> = Vec::new();
    for it in visible.iter().copied() {
        let next = panes.entry((it.key, it.window)).or_default();
        let pane = *next;
        *next += u32::from(it.kind.is_accumulate());
        if it.kind.is_accumulate() || changelog {
            rows.push(Found { record: it, pane });
            continue;
        }
        let same = |row: &Found<'_>| {
            let row = row.record;
            (row.key, &row.value, &row.right, row.window)
                == (it.key, &it.value, &it.right, it.window)
        };
        if let Some(at) = rows.iter().rposition(same) {
            rows.remove(at);
        }
    }
    rows
}

fn fits(expected: &ExpectedRow, found: &Found<'_>) -> bool {
    let row = found.record;
    let window = row.window.map(|it| (it.start, it.end));
    let right = expected.right.as_ref();
    expected.key.is_none_or(|it| row.key == it)
        && (expected.any_value || expected.value == row.value)
        && right.is_none_or(|it| row.right.as_ref() == Some(it))
        && expected.window.is_none_or(|it| window == Some(it))
        && expected.timestamp.is_none_or(|it| row.timestamp == it)
        && expected.kind.is_none_or(|it| row.kind == it)
        && expected.pane.is_none_or(|it| found.pane == it)
        && expected.timing.is_none_or(|it| row.timing == Some(it))
}

fn in_order(spec: &JobSpec, expected: &ExpectedOutput, held: &[Found<'_>]) -> Option<String> {
    for (number, row) in (1..).zip(&expected.rows) {
        match held.get(number - 1) {
            None => return Some(format!("row {number}, {}, is missing", wanted(spec, row))),
            Some(found) if !fits(row, found) => {
                let (wanted, found) = (wanted(spec, row), shown(spec, found));
                return Some(format!("row {number} is {found}, expected is {wanted}"));
            }
            Some(_) => {}
        }
    }
    let more = held.get(expected.rows.len());
    more.map(|it| format!("{} is not expected", shown(spec, it)))
}

fn in_any_order(spec: &JobSpec, expected: &ExpectedOutput, held: &[Found<'_>]) -> Option<String> {
    type Group<'a> = (Vec<&'a ExpectedRow>, Vec<Found<'a>>);
    // A row without a key or a value may take one of any.
    let keyed = expected.rows.iter().all(|it| it.key.is_some());
    let valued = !expected.rows.iter().any(|it| it.any_value);
    let mut groups: BTreeMap<(Option<Key>, Option<&Value>), Group<'_>> = BTreeMap::new();
    for row in &expected.rows {
        groups
            .entry((row.key.filter(|_| keyed), valued.then_some(&row.value)))
            .or_default()
            .0
            .push(row);
    }
    for row in held {
        let value = valued.then_some(&row.record.value);
        let of = (keyed.then_some(row.record.key), value);
        groups.entry(of).or_default().1.push(*row);
    }
    let mut missing: Option<&ExpectedRow> = None;
    let mut surplus: Vec<Found<'_>> = Vec::new();
    for (wanted_rows, found) in groups.values_mut() {
        // Those that leave less open choose first.
        wanted_rows.sort_by_key(|it| {
            let open = [
                it.key.is_none(),
                it.any_value,
                it.right.is_none(),
                it.window.is_none(),
                it.timestamp.is_none(),
                it.kind.is_none(),
                it.pane.is_none(),
                it.timing.is_none(),
            ];
            open.iter().filter(|it| **it).count()
        });
        let pairs = Pairs::of(wanted_rows, found);
        missing = missing.or_else(|| pairs.without.map(|at| wanted_rows[at]));
        if pairs.failed >= FAILED_MAX {
            // Rows that nobody has taken may be those of expected ones not looked at.
            continue;
        }
        let free = pairs.taken_by.iter().zip(found.iter());
        surplus.extend(free.filter(|it| it.0.is_none()).map(|it| *it.1));
    }
    let Some(row) = missing else {
        let first = surplus.first()?;
        return Some(format!("{} is not expected", shown(spec, first)));
    };
    let lost = format!("{} is missing", wanted(spec, row));
    // What came in its place, most likely.
    let alike = |it: &&Found<'_>| row.key.is_none_or(|key| key == it.record.key);
    let instead = surplus.iter().find(alike).or(surplus.first());
    Some(match instead {
        Some(it) => format!("{lost}; {} is there and not expected", shown(spec, it)),
        None => lost,
    })
}

/// Searches in vain after which it is not looked for what else is missing: each looks at all rows.
const FAILED_MAX: usize = 16;

/// Which row is taken by which expected one: as many pairs as there can be, by paths along which
/// pairs are changed (Kuhn).
struct Pairs {
    taken_by: Vec<Option<usize>>,
    /// The first expected row that has none.
    without: Option<usize>,
    /// How many have none.
    failed: usize,
}

impl Pairs {
    fn of(expected: &[&ExpectedRow], found: &[Found<'_>]) -> Self {
        let mut pairs = Pairs {
            taken_by: vec![None; found.len()],
            without: None,
            failed: 0,
        };
        for at in 0..expected.len() {
            let free = |(place, row): (usize, &Found<'_>)| {
                (pairs.taken_by[place].is_none() && fits(expected[at], row)).then_some(place)
            };
            let free = found.iter().enumerate().find_map(free);
            if let Some(place) = free {
                pairs.taken_by[place] = Some(at);
            } else if !pairs.change(at, expected, found) {
                pairs.without.get_or_insert(at);
                pairs.failed += 1;
                if pairs.failed >= FAILED_MAX {
                    break;
                }
            }
        }
        pairs
    }

    /// Finds a row for an expected one by giving others another: breadth first, from that one.
    fn change(&mut self, at: usize, expected: &[&ExpectedRow], found: &[Found<'_>]) -> bool {
        let mut came_from: Vec<Option<usize>> = vec![None; found.len()];
        let mut queue = vec![at];
        let mut head = 0;
        while let Some(wanting) = queue.get(head).copied() {
            head += 1;
            for (place, row) in found.iter().enumerate() {
                if came_from[place].is_some() || !fits(expected[wanting], row) {
                    continue;
                }
                came_from[place] = Some(wanting);
                match self.taken_by[place] {
                    Some(owner) => queue.push(owner),
                    None => {
                        self.swap_along(place, at, &came_from);
                        return true;
                    }
                }
            }
        }
        false
    }

    fn swap_along(&mut self, mut place: usize, at: usize, came_from: &[Option<usize>]) {
        while let Some(wanting) = came_from[place] {
            let before = self.taken_by.iter().position(|it| *it == Some(wanting));
            self.taken_by[place] = Some(wanting);
            match before.filter(|_| wanting != at) {
                Some(before) => place = before,
                None => return,
            }
        }
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Nothing => "nothing".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Values(all) => format!("{all:?}"),
    }
}

/// What is said of a row.
struct Words<'a> {
    key: Option<Key>,
    /// None where it may be anything.
    value: Option<&'a Value>,
    right: Option<&'a Value>,
    window: Option<(i64, i64)>,
    timestamp: Option<i64>,
    kind: Option<RowKind>,
    pane: Option<u32>,
    timing: Option<Timing>,
}

impl Words<'_> {
    fn text(&self, spec: &JobSpec) -> String {
        let kind = self
            .kind
            .map_or_else(String::new, |it| format!("{} ", it.short()));
        let key = self
            .key
            .map_or("any key".to_owned(), |it| spec.keys.name(it));
        let said = self.value.map_or("anything".to_owned(), value);
        let mut text = format!("{kind}{key} = {said}");
        // Writing to a text does not fail.
        if let Some(right) = self.right {
            let _ = write!(text, " with {}", value(right));
        }
        let global = (Window::GLOBAL.start, Window::GLOBAL.end);
        if let Some((start, end)) = self.window.filter(|it| *it != global) {
            let _ = write!(text, " in [{start}, {end})");
        }
        if let Some(timestamp) = self.timestamp {
            let _ = write!(text, " at {timestamp}");
        }
        if let Some(pane) = self.pane {
            let _ = write!(text, ", pane {pane}");
        }
        let timing = self.timing.map(|it| match it {
            Timing::Early => ", early",
            Timing::OnTime => ", on time",
            Timing::Late => ", late",
        });
        text + timing.unwrap_or_default()
    }
}

fn wanted(spec: &JobSpec, it: &ExpectedRow) -> String {
    let words = Words {
        key: it.key,
        value: Some(&it.value).filter(|_| !it.any_value),
        right: it.right.as_ref(),
        window: it.window,
        timestamp: it.timestamp,
        kind: it.kind,
        pane: it.pane,
        timing: it.timing,
    };
    words.text(spec)
}

fn shown(spec: &JobSpec, found: &Found<'_>) -> String {
    let it = found.record;
    // Of the rows of a window alone there may be several.
    let words = Words {
        key: Some(it.key),
        value: Some(&it.value),
        right: it.right.as_ref(),
        window: it.window.map(|it| (it.start, it.end)),
        timestamp: Some(it.timestamp).filter(|it| *it != NO_TIMESTAMP),
        kind: Some(it.kind).filter(|it| *it != RowKind::Insert),
        pane: it.window.map(|_| found.pane),
        timing: it.timing,
    };
    words.text(spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Input, NodeId};
    use crate::stream::element::Origin;
    use crate::stream::protocol::{Packet, StoreRequest, TaskId};
    use crate::stream::spec::{Guarantee, OperatorKind, SinkSpec};
    use crate::stream::testing::{TestCx, job_of};

    /// The key of an expected row that leaves it open.
    const ANY: u32 = u32::MAX;

    /// A row: key, value, start of a window of 10, time.
    type Row = (u32, i64, Option<i64>, Option<i64>);

    fn difference(ordered: bool, expected: &[Row], rows: &[(Row, RowKind)]) -> Option<String> {
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
        let records = rows.iter().map(|((key, value, start, at), kind)| Record {
            key: Key(*key),
            timestamp: at.unwrap_or(0),
            value: Value::Number(*value),
            right: None,
            kind: *kind,
            window: start.map(|start| Window {
                start,
                end: start + 10,
            }),
            timing: None,
            origin: Origin::default(),
        });
        let mut store = Store::new(&job, 0);
        let msg = Packet::ToStore {
            attempt: 1,
            task: TaskId {
                vertex: 0,
                subtask: 0,
            },
            operator: 0,
            request: 0,
            order: StoreRequest::Append(records.collect()),
        };
        let from = NodeId(1);
        store.on(Input::Message { from, msg }, &mut TestCx::default());
        let expected = expected.iter().map(|(key, value, start, at)| ExpectedRow {
            key: (*key != ANY).then_some(Key(*key)),
            value: Value::Number(*value),
            any_value: false,
            right: None,
            window: start.map(|start| (start, start + 10)),
            timestamp: *at,
            kind: None,
            pane: None,
            timing: None,
        });
        job.spec.keys.0 = vec!["a".to_owned()];
        job.spec.expected = vec![ExpectedOutput {
            sink: 0,
            ordered,
            changelog: false,
            rows: expected.collect(),
        }];
        let stores = [(0, held(&store))];
        first_difference(&job.spec, &stores)
    }

    #[test]
    fn rows_are_compared_as_a_multiset_or_in_order() {
        let check = |ordered, expected: &[Row], rows: &[Row], words: Option<&str>| {
            let inserted: Vec<(Row, RowKind)> =
                rows.iter().map(|it| (*it, RowKind::Insert)).collect();
            let got = difference(ordered, expected, &inserted);
            assert_eq!(got.as_deref(), words, "{expected:?} {rows:?}");
        };
        let (one, two) = ((0, 1, Some(0), Some(9)), (1, 2, Some(10), Some(19)));
        check(false, &[one, two], &[two, one], None);
        check(true, &[one, two], &[one, two], None);
        check(
            true,
            &[one, two],
            &[two, one],
            Some(
                "it: row 1 is key-1 = 2 in [10, 20) at 19, pane 0, expected is a = 1 in [0, 10) at 9",
            ),
        );
        check(
            true,
            &[one, two],
            &[one],
            Some("it: row 2, key-1 = 2 in [10, 20) at 19, is missing"),
        );
        check(
            true,
            &[],
            &[one],
            Some("it: a = 1 in [0, 10) at 9, pane 0 is not expected"),
        );
        check(
            false,
            &[one, one],
            &[one],
            Some("it: a = 1 in [0, 10) at 9 is missing"),
        );
        check(
            false,
            &[one],
            &[one, one],
            Some("it: a = 1 in [0, 10) at 9, pane 1 is not expected"),
        );
        check(false, &[], &[], None);
        // What is left open may be anything, and does not take what another needs.
        let (window, time, any) = (
            (0, 1, Some(0), None),
            (0, 1, None, Some(9)),
            (0, 1, None, None),
        );
        let other = (0, 1, Some(10), Some(19));
        check(false, &[any, window], &[one, other], None);
        check(false, &[any, one], &[one, other], None);
        let (free, own) = ((ANY, 1, None, None), (0, 1, None, None));
        check(false, &[free, own], &[one, (2, 1, None, None)], None);
        check(true, &[free, free], &[one, (2, 1, None, None)], None);
        check(
            false,
            &[free, free],
            &[one],
            Some("it: any key = 1 is missing"),
        );
        let crossed = (0, 1, Some(0), Some(5));
        check(false, &[window, time], &[one, crossed], None);
        check(false, &[window, time, any], &[other, one, crossed], None);
        check(
            false,
            &[window, time],
            &[crossed, crossed],
            Some(
                "it: a = 1 at 9 is missing; a = 1 in [0, 10) at 5, pane 1 is there and not expected",
            ),
        );
    }

    #[test]
    fn what_is_much_too_short_is_not_told_what_came_instead() {
        let rows = |times: std::ops::Range<i64>| times.map(|at| (0, 1, None, Some(at)));
        let held: Vec<_> = rows(0..20).map(|it| (it, RowKind::Insert)).collect();
        let check = |expected: std::ops::Range<i64>, said: &str| {
            let expected: Vec<Row> = rows(expected).collect();
            assert_eq!(difference(false, &expected, &held).as_deref(), Some(said));
        };
        let few = "it: a = 1 at 20 is missing; a = 1 at 0 is there and not expected";
        check(15..25, few);
        check(15..95, "it: a = 1 at 20 is missing");
    }

    #[test]
    fn a_changelog_is_what_is_left_of_it() {
        let row = |value| (0, value, None, None);
        let rows = [
            (row(1), RowKind::Insert),
            (row(1), RowKind::Insert),
            (row(1), RowKind::UpdateBefore),
            (row(2), RowKind::UpdateAfter),
            (row(9), RowKind::Delete),
        ];
        assert_eq!(difference(true, &[row(1), row(2)], &rows), None);
    }

    #[test]
    fn a_sink_without_a_store_is_said() {
        let mut job = job_of(OperatorKind::FlatMap { copies: 1 }, 1);
        job.spec.expected = vec![ExpectedOutput {
            sink: 0,
            ordered: false,
            changelog: false,
            rows: Vec::new(),
        }];
        let found = first_difference(&job.spec, &[]);
        assert_eq!(found.as_deref(), Some("it has no store"));
    }
}
