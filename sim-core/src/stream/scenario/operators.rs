//! Operators of each kind, from the table to what it does; windows stand in `windows`.

use super::document::{
    GuaranteeWord, JoinKind, JoinTypeWord, MapWord, ProcessWord, RawFilter, RawFlatMap, RawJoin,
    RawLookupRow, RawMap, RawProcess, RawSink, RawSort, SortWord,
};
use super::items::Millis;
use super::keys::KeyTable;
use super::topics::{self, Cluster};
use super::window_words::ClockWord;
use crate::scenario::{At, Problem, Reader, Table};
use crate::stream::rules::external_sort::{SortBy, SortSpec};
use crate::stream::rules::join::interval::{Bound, IntervalBounds};
use crate::stream::rules::join::lookup::{CacheRules, LookupCache};
use crate::stream::rules::join::retention::Retention;
use crate::stream::rules::join::temporal::TemporalRules;
use crate::stream::rules::serializer::StateSchema;
use crate::stream::rules::window::trigger::TimeDomain;
use crate::stream::spec::{
    FilterFunction, Guarantee, JoinSpec, LookupRow, LookupSpec, MapFunction, OperatorKind,
    ProcessFunction, ProcessSpec, SinkSpec,
};
use std::ops::Range;
use std::sync::Arc;

/// Copies that a flat map may make of a record, and rows of a sink's request.
const MOST: u32 = 100_000;

/// A span that is not negative, ms; one that is gets reported.
pub(super) fn span_ms(raw: Option<&At<Millis>>, key: &str, reader: &mut Reader<'_>) -> Option<i64> {
    let at = raw?;
    if at.value.0 < 0 {
        let message = format!("`{key}` cannot be negative");
        reader.report(&at.span, Problem::bad_value(message, "a time from 0s on"));
    }
    Some(at.value.0.max(0))
}

/// A key that must be there for a certain kind.
pub(super) fn needed<T>(
    given: Option<&At<T>>,
    key: &str,
    whole: (&impl Table, &Range<usize>),
    expected: &str,
    reader: &mut Reader<'_>,
) {
    // What was written badly was reported as such.
    if given.is_none() && !whole.0.has(key) {
        let problem = Problem::new("missing-key", format!("`{key}` is missing"));
        reader.report(whole.1, problem.expected(expected));
    }
}

/// A key that means nothing for this kind.
pub(super) fn foreign<T>(given: Option<&At<T>>, key: &str, with: &str, reader: &mut Reader<'_>) {
    if let Some(at) = given {
        let message = format!("`{key}` means nothing with {with}");
        reader.report(&at.span, Problem::new("contradiction", message));
    }
}

/// A number of a function that must be from 0 to 4,294,967,295.
fn small(raw: Option<&At<i64>>, least: u32, most: u32, reader: &mut Reader<'_>) -> u32 {
    let Some(at) = raw else { return least };
    let fits = u32::try_from(at.value).ok();
    let fits = fits.filter(|it| (least..=most).contains(it));
    if fits.is_none() {
        let expected = format!("a number from {least} to {most}");
        reader.report(
            &at.span,
            Problem::bad_value("this number does not fit", expected),
        );
    }
    fits.unwrap_or(least)
}

pub(super) fn map(raw: &At<RawMap>, reader: &mut Reader<'_>) -> OperatorKind {
    let doc = &raw.value;
    let word = doc.function.as_ref().map(|at| at.value);
    let n = doc.n.as_ref().map_or(0, |at| at.value);
    match word {
        None | Some(MapWord::Identity) => {
            foreign(doc.n.as_ref(), "n", "function = \"identity\"", reader)
        }
        Some(_) => needed(
            doc.n.as_ref(),
            "n",
            (doc, &raw.span),
            "a whole number",
            reader,
        ),
    }
    if !matches!(word, Some(MapWord::Add | MapWord::Multiply)) {
        let with = "a function that changes no value";
        foreign(doc.in_place.as_ref(), "in-place", with, reader);
    }
    let in_place = doc.in_place.as_ref().is_some_and(|at| at.value);
    OperatorKind::Map(match word {
        None | Some(MapWord::Identity) => MapFunction::Identity,
        Some(MapWord::Add) if in_place => MapFunction::AddInPlace(n),
        Some(MapWord::Multiply) if in_place => MapFunction::MultiplyInPlace(n),
        Some(MapWord::Add) => MapFunction::Add(n),
        Some(MapWord::Multiply) => MapFunction::Multiply(n),
        Some(MapWord::KeyModulo) => {
            MapFunction::KeyModulo(small(doc.n.as_ref(), 0, u32::MAX, reader))
        }
    })
}

pub(super) fn filter(
    raw: &At<RawFilter>,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> OperatorKind {
    let doc = &raw.value;
    let spans = [
        doc.at_least.as_ref().map(|at| &at.span),
        doc.divisible_by.as_ref().map(|at| &at.span),
        doc.keys.as_ref().map(|at| &at.span),
        doc.one_in.as_ref().map(|at| &at.span),
    ];
    let given: Vec<_> = spans.into_iter().flatten().collect();
    let expected = "exactly one of at-least, divisible-by, keys, one-in";
    let any = ["at-least", "divisible-by", "keys", "one-in"]
        .iter()
        .any(|key| doc.has(key));
    if let [_, second, ..] = given.as_slice() {
        let problem = Problem::new("contradiction", "a filter has one function");
        reader.report(second, problem.expected(expected));
    } else if !any {
        let problem = Problem::new("missing-key", "the filter's function is missing");
        reader.report(&raw.span, problem.expected(expected));
    }
    if let Some(at) = &doc.divisible_by
        && at.value == 0
    {
        let problem = Problem::bad_value("nothing is divisible by 0", "another number");
        reader.report(&at.span, problem);
    }
    if let Some(at) = &doc.one_in
        && at.value == 0
    {
        let problem = Problem::bad_value("one in 0 is none", "a number from 1");
        reader.report(&at.span, problem);
    }
    OperatorKind::Filter(if let Some(at) = &doc.divisible_by {
        FilterFunction::DivisibleBy(at.value)
    } else if let Some(at) = &doc.one_in {
        FilterFunction::OneIn(at.value.max(1))
    } else if let Some(at) = &doc.keys {
        let names = at.value.iter().map(|name| name.value.0.as_str());
        FilterFunction::Keys(names.map(|name| keys.key(Some(name))).collect())
    } else {
        FilterFunction::AtLeast(doc.at_least.as_ref().map_or(0, |at| at.value))
    })
}

pub(super) fn flat_map(raw: &At<RawFlatMap>, reader: &mut Reader<'_>) -> OperatorKind {
    let copies = raw.value.copies.as_ref();
    if let Some(at) = copies
        && at.value > MOST
    {
        let expected = format!("a number from 0 to {MOST}");
        let problem = Problem::bad_value("these are too many copies", expected);
        reader.report(&at.span, problem);
    }
    OperatorKind::FlatMap {
        copies: copies.map_or(1, |at| at.value.min(MOST)),
    }
}

pub(super) fn sort(doc: &RawSort) -> OperatorKind {
    OperatorKind::Sort(SortSpec {
        by: match doc.by.as_ref().map(|at| at.value) {
            None | Some(SortWord::Value) => SortBy::Value,
            Some(SortWord::Time) => SortBy::Time,
            Some(SortWord::Key) => SortBy::Key,
        },
        descending: doc.descending.as_ref().is_some_and(|at| at.value),
    })
}

pub(super) fn process(raw: &At<RawProcess>, reader: &mut Reader<'_>) -> OperatorKind {
    let doc = &raw.value;
    let word = doc.function.as_ref().map(|at| at.value);
    let n = doc.n.as_ref();
    match word {
        Some(ProcessWord::Last | ProcessWord::Top | ProcessWord::FailOn) => {
            needed(n, "n", (doc, &raw.span), "a whole number", reader);
        }
        Some(_) => foreign(n, "n", "this function", reader),
        None => {}
    }
    let waits = word == Some(ProcessWord::CountWithTimeout);
    let timeout = doc.timeout.as_ref();
    if waits {
        let time = "a time above 0s";
        needed(timeout, "timeout", (doc, &raw.span), time, reader);
        if let Some(at) = timeout.filter(|at| at.value.0 <= 0) {
            reader.report(
                &at.span,
                Problem::bad_value("a key is silent for some time", time),
            );
        }
    } else {
        foreign(timeout, "timeout", "this function", reader);
        foreign(doc.time.as_ref(), "time", "this function", reader);
    }
    let function = match word {
        None | Some(ProcessWord::Count) => ProcessFunction::Count,
        Some(ProcessWord::Sum) => ProcessFunction::Sum,
        Some(ProcessWord::Max) => ProcessFunction::Max,
        Some(ProcessWord::Distinct) => ProcessFunction::Distinct,
        Some(ProcessWord::Last) => ProcessFunction::Last(small(n, 1, MOST, reader)),
        Some(ProcessWord::Upsert) => ProcessFunction::Upsert,
        Some(ProcessWord::Top) => ProcessFunction::Top(small(n, 1, MOST, reader)),
        Some(ProcessWord::FailOn) => ProcessFunction::FailOn(n.map_or(0, |at| at.value)),
        Some(ProcessWord::CountWithTimeout) => ProcessFunction::Silence {
            after: timeout.map_or(1, |at| at.value.0.max(1)),
            clock: clock(doc.time.as_ref()),
        },
    };
    OperatorKind::Process(ProcessSpec {
        function,
        ttl_ms: ttl(doc.ttl.as_ref(), reader),
        bytes_per_key: doc.bytes.as_ref().map_or(64, |at| at.value),
        schema: schema(doc.state.as_ref(), word, reader).map(Arc::new),
    })
}

/// What a schema looks like.
pub(super) const SCHEMA: &str =
    "serializer, class and fields such as \"pojo Turnover { sum: long, orders: int }\"";

/// What a process function's state is written as.
fn schema(
    raw: Option<&At<String>>,
    function: Option<ProcessWord>,
    reader: &mut Reader<'_>,
) -> Option<StateSchema> {
    let at = raw?;
    if matches!(function, Some(ProcessWord::Distinct | ProcessWord::FailOn)) {
        foreign(raw, "state", "this function", reader);
    }
    let read = StateSchema::read(&at.value);
    if let Err(message) = &read {
        reader.report(&at.span, Problem::bad_value(message, SCHEMA));
    }
    read.ok()
}

/// A time to live, ms; 0 is none (as `table.exec.state.ttl`).
fn ttl(raw: Option<&At<Millis>>, reader: &mut Reader<'_>) -> Option<i64> {
    span_ms(raw, "ttl", reader).filter(|ms| *ms > 0)
}

fn clock(raw: Option<&At<ClockWord>>) -> TimeDomain {
    match raw.map(|at| at.value) {
        None | Some(ClockWord::Event) => TimeDomain::Event,
        Some(ClockWord::Processing) => TimeDomain::Processing,
    }
}

/// Keys of a join that mean nothing for its kind, or must be there.
fn join_keys(raw: &At<RawJoin>, kind: JoinKind, reader: &mut Reader<'_>) {
    use JoinKind::{Interval, Lookup, Table as Tables, Temporal, Window};
    let doc = &raw.value;
    let whole = (doc, &raw.span);
    let (time, other) = ("a time such as \"10s\"", "this kind of join");
    let sizes = [
        ("size", &doc.size),
        ("slide", &doc.slide),
        ("offset", &doc.offset),
    ];
    match (kind == Window, &doc.gap) {
        (true, None) => needed(doc.size.as_ref(), "size", whole, time, reader),
        (true, Some(_)) => {
            for (key, given) in sizes {
                foreign(given.as_ref(), key, "a session, which has a `gap`", reader);
            }
        }
        (false, gap) => {
            foreign(gap.as_ref(), "gap", other, reader);
            for (key, given) in sizes {
                foreign(given.as_ref(), key, other, reader);
            }
        }
    }
    for (key, given) in [("lower", &doc.lower), ("upper", &doc.upper)] {
        match kind == Interval {
            true => needed(given.as_ref(), key, whole, time, reader),
            false => foreign(given.as_ref(), key, other, reader),
        }
    }
    if !matches!(kind, Tables | Temporal) {
        foreign(doc.ttl.as_ref(), "ttl", other, reader);
    }
    if kind != Temporal {
        foreign(doc.time.as_ref(), "time", other, reader);
    }
    if kind == Lookup {
        let expected = "rows with `key`, `value` and `at`";
        needed(doc.table.as_ref(), "table", whole, expected, reader);
    } else {
        foreign(doc.table.as_ref(), "table", other, reader);
        foreign(doc.cache.as_ref(), "cache", other, reader);
        foreign(doc.lookup_cost.as_ref(), "lookup-cost", other, reader);
    }
}

/// A lookup join.
fn lookup(
    raw: &At<RawJoin>,
    left_outer: bool,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> LookupSpec {
    let doc = &raw.value;
    let given = doc.table.iter().flat_map(|it| &it.value.0);
    let row = |it: &At<RawLookupRow>| {
        let key = it.value.key.as_ref()?;
        Some(LookupRow {
            key: keys.key(Some(key.value.0.as_str())),
            at: it.value.at.as_ref().map_or(0, |at| at.value.0),
            value: it.value.value.as_ref().map(|at| at.value),
        })
    };
    let mut rows: Vec<LookupRow> = given.filter_map(row).collect();
    // Of two rows of one moment the later one in the file counts.
    rows.sort_by_key(|it| (it.key, it.at));
    let cache = doc.cache.as_ref().map(|at| {
        let it = &at.value;
        let rules = CacheRules {
            max_rows: it.max_rows.as_ref().map(|at| at.value),
            expire_after_write: span_ms(it.write.as_ref(), "expire-after-write", reader),
            expire_after_access: span_ms(it.access.as_ref(), "expire-after-access", reader),
            cache_missing_key: it.missing.as_ref().is_none_or(|at| at.value),
        };
        if let Err(message) = LookupCache::<u8, u8>::new(rules)
            && !["max-rows", "expire-after-write", "expire-after-access"]
                .iter()
                .any(|key| it.has(key))
        {
            let problem = Problem::new("contradiction", message);
            let expected = "max-rows, expire-after-write or expire-after-access";
            reader.report(&at.span, problem.expected(expected));
        }
        rules
    });
    LookupSpec {
        rows,
        left_outer,
        cache,
        cost: doc.lookup_cost.as_ref().map_or(0, |at| at.value.0),
    }
}

pub(super) fn join(
    raw: &At<RawJoin>,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> OperatorKind {
    use JoinKind::{Broadcast, Interval, Lookup, Table as Tables, Temporal, Window};
    let doc = &raw.value;
    let join_type = doc.join_type.as_ref();
    let join = join_type.map_or(JoinTypeWord::Inner, |at| at.value);
    let Some(kind) = doc.kind.as_ref().map(|at| at.value) else {
        return OperatorKind::Join(JoinSpec::Broadcast);
    };
    join_keys(raw, kind, reader);
    let allowed: &[JoinTypeWord] = match kind {
        Window | Tables => &[],
        Temporal | Lookup => &[JoinTypeWord::Inner, JoinTypeWord::Left],
        Interval | Broadcast => &[JoinTypeWord::Inner],
    };
    if let Some(at) = join_type
        && !allowed.is_empty()
        && !allowed.contains(&at.value)
    {
        let message = "there is no such join of this kind";
        let words = if allowed.len() > 1 {
            "inner or left"
        } else {
            "inner"
        };
        reader.report(
            &at.span,
            Problem::new("contradiction", message).expected(words),
        );
    }
    let ttl_ms = ttl(doc.ttl.as_ref(), reader);
    let left_outer = join == JoinTypeWord::Left;
    OperatorKind::Join(match kind {
        Lookup => {
            let spec = lookup(raw, left_outer, keys, reader);
            return OperatorKind::Lookup(Arc::new(spec));
        }
        Window if doc.gap.is_some() => {
            let gap = doc.gap.as_ref().map_or(1, |at| at.value.0);
            if let Some(at) = doc.gap.as_ref().filter(|_| gap <= 0) {
                let problem = Problem::bad_value("sessions need a gap > 0", "a time above 0");
                reader.report(&at.span, problem);
            }
            JoinSpec::Session {
                gap: gap.max(1),
                join: join.rule(),
            }
        }
        Window => {
            let size = doc.size.as_ref().map_or(1, |at| at.value.0);
            if let Some(at) = &doc.size
                && size <= 0
            {
                let problem = Problem::bad_value("windows need a size > 0", "a time above 0");
                reader.report(&at.span, problem);
            }
            let slide = doc.slide.as_ref().map_or(size, |at| at.value.0);
            if let Some(at) = doc.slide.as_ref().filter(|_| slide <= 0) {
                let problem = Problem::bad_value("windows need a slide > 0", "a time above 0");
                reader.report(&at.span, problem);
            }
            let offset = doc.offset.as_ref().map_or(0, |at| at.value.0);
            if let Some(at) = doc.offset.as_ref()
                && offset.saturating_abs() >= slide.max(1)
            {
                let message = "windows need abs(offset) < slide";
                let problem =
                    Problem::bad_value(message, "less than `slide`, or `size` without one");
                reader.report(&at.span, problem);
            }
            JoinSpec::Window {
                size: size.max(1),
                slide: slide.max(1),
                offset,
                join: join.rule(),
            }
        }
        Interval => interval(doc, reader),
        Temporal if clock(doc.time.as_ref()) == TimeDomain::Processing => JoinSpec::TemporalNow {
            left_outer,
            retention: retention(ttl_ms),
        },
        Temporal => JoinSpec::Temporal(TemporalRules {
            left_outer,
            retention: retention(ttl_ms),
            ..TemporalRules::default()
        }),
        Tables => JoinSpec::Table {
            join: join.rule(),
            ttl_ms,
        },
        Broadcast => JoinSpec::Broadcast,
    })
}

/// Idle state retention of a temporal join: `table.exec.state.ttl` and half as much again
/// (`TableConfigUtils.getMaxIdleStateRetentionTime`).
fn retention(ttl_ms: Option<i64>) -> Retention {
    let min = ttl_ms.unwrap_or(0);
    Retention {
        min,
        max: min.saturating_mul(3) / 2,
    }
}

fn interval(doc: &RawJoin, reader: &mut Reader<'_>) -> JoinSpec {
    let bound = |at: &Option<At<Millis>>, exclusive: &Option<At<bool>>| Bound {
        at: at.as_ref().map_or(0, |at| at.value.0),
        inclusive: !exclusive.as_ref().is_some_and(|at| at.value),
    };
    let lower = bound(&doc.lower, &doc.lower_exclusive);
    let upper = bound(&doc.upper, &doc.upper_exclusive);
    match IntervalBounds::new(lower, upper) {
        Ok(bounds) => JoinSpec::Interval(bounds),
        Err(message) => {
            if let (Some(at), Some(_)) = (&doc.lower, &doc.upper) {
                reader.report(&at.span, Problem::new("contradiction", message));
            }
            JoinSpec::Broadcast
        }
    }
}

pub(super) fn sink(raw: &At<RawSink>, cluster: Cluster<'_>, reader: &mut Reader<'_>) -> SinkSpec {
    let doc = &raw.value;
    let name = doc.name.as_ref().map_or("", |at| at.value.as_str());
    let word = doc.guarantee.as_ref().map(|at| at.value);
    let exact = word == Some(GuaranteeWord::ExactlyOnce);
    if !exact {
        let kind = "this guarantee, which has no transactions";
        foreign(doc.timeout.as_ref(), "transaction-timeout", kind, reader);
        let prefix = doc.id_prefix.as_ref();
        foreign(prefix, "transactional-id-prefix", kind, reader);
    }
    if let Some(at) = doc.timeout.as_ref().filter(|at| at.value.0 <= 0) {
        let problem = Problem::bad_value("a transaction needs some time", "a time above 0");
        reader.report(&at.span, problem);
    }
    if let Some(at) = &doc.batch
        && !(1..=MOST).contains(&at.value)
    {
        let expected = format!("a number from 1 to {MOST}");
        reader.report(
            &at.span,
            Problem::bad_value("no request has so many rows", expected),
        );
    }
    SinkSpec {
        store: match &doc.store {
            Some(at) => at.value.clone(),
            None => format!("{name}-store"),
        },
        guarantee: match word {
            Some(GuaranteeWord::None) => Guarantee::None,
            None | Some(GuaranteeWord::AtLeastOnce) => Guarantee::AtLeastOnce,
            Some(GuaranteeWord::Idempotent) => Guarantee::Idempotent,
            Some(GuaranteeWord::WithOffset) => Guarantee::WithOffset,
            Some(GuaranteeWord::WriteAheadLog) => Guarantee::WriteAheadLog,
            Some(GuaranteeWord::ExactlyOnce) => Guarantee::ExactlyOnce {
                transaction_timeout_ms: doc.timeout.as_ref().map_or(3_600_000, |at| at.value.0),
            },
        },
        batch: doc.batch.as_ref().map_or(100, |at| at.value.clamp(1, MOST)),
        kafka: topics::sink(raw, cluster, reader).map(Box::new),
        id_prefix: doc.id_prefix.as_ref().map(|at| at.value.clone()),
    }
}
