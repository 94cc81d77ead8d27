//! Sources: their splits, their records, and how they make watermarks.

use super::document::{
    RawRecord, RawSource, RawSplit, RawStreamLoad, RawWatermark, TimeWord, WatermarkKind,
};
use super::items::{Millis, Rows};
use super::keys::KeyTable;
use super::operators::span_ms;
use super::topics::{self, Cluster};
use crate::kernel::{MILLISECOND, Nanos};
use crate::scenario::{At, Problem, Reader, Table, limits};
use crate::stream::element::Key;
use crate::stream::rules::join::RowKind;
use crate::stream::spec::{
    Generated, InputRecord, SourceSpec, SourceTime, SplitSpec, WatermarkSpec, WatermarkStrategy,
};
use std::ops::Range;
use std::sync::Arc;

/// A source as it was read, and whether its records have keys.
pub(super) struct ReadSource {
    pub(super) spec: SourceSpec,
    pub(super) keyed: bool,
}

/// Reads a source.
pub(super) fn read(
    raw: &At<RawSource>,
    cluster: Cluster<'_>,
    keys: &mut KeyTable,
    reader: &mut Reader<'_>,
) -> ReadSource {
    let doc = &raw.value;
    let mut keyed = true;
    let splits = splits(raw, cluster, keys, &mut keyed, reader);
    let endless = splits
        .iter()
        .any(|it| matches!(it, SplitSpec::Generated(load) if load.limit.is_none()));
    let kafka = topics::source(doc, cluster, keys, &mut keyed, reader);
    let bounded = match &doc.bounded {
        Some(at) if at.value && doc.kafka.is_some() => {
            reader.report(
                &at.span,
                Problem::new("contradiction", "a topic has no end"),
            );
            false
        }
        None if doc.kafka.is_some() => false,
        Some(at) if at.value && endless => {
            let problem = Problem::new("contradiction", "a load without a limit never ends");
            reader.report(&at.span, problem.help("give the load a `limit`"));
            false
        }
        Some(at) => at.value,
        None => !endless,
    };
    let watermarks = watermarks(doc.watermark.as_ref(), reader);
    listed(raw, &splits, watermarks.strategy, reader);
    let spec = SourceSpec {
        splits,
        watermarks,
        time: match doc.time.as_ref().map(|at| at.value) {
            None | Some(TimeWord::Event) => SourceTime::Event,
            Some(TimeWord::Ingestion) => SourceTime::Ingestion,
            Some(TimeWord::None) => SourceTime::None,
        },
        bounded,
        kafka: kafka.map(Box::new),
    };
    ReadSource { spec, keyed }
}

/// Whether watermarks that stand among the records are asked for, and those asked for are there.
fn listed(
    raw: &At<RawSource>,
    splits: &[SplitSpec],
    strategy: WatermarkStrategy,
    reader: &mut Reader<'_>,
) {
    let doc = &raw.value;
    let of_splits = super::read::list(doc.split.as_ref()).iter();
    let of_splits = of_splits.filter_map(|it| it.value.records.as_ref());
    let rows = || doc.records.iter().chain(of_splits.clone());
    let mut rows = rows().flat_map(|it| &it.value.0);
    let first = rows.find_map(|it| it.value.watermark.as_ref());
    let wanted = strategy == WatermarkStrategy::Listed;
    match (first, &doc.watermark) {
        (Some(at), _) if !wanted => {
            let message = "the source does not read watermarks out of its records";
            let problem = Problem::new("contradiction", message);
            let help = "write watermark = { kind = \"listed\" }, or leave this out";
            reader.report(&at.span, problem.help(help));
        }
        (None, Some(at)) if wanted && !splits.is_empty() => {
            let message = "no record brings a watermark";
            let problem = Problem::new("contradiction", message);
            let help = "give records a `watermark`, or the source another kind of them";
            reader.report(&at.span, problem.help(help));
        }
        _ => {}
    }
}

fn splits(
    raw: &At<RawSource>,
    cluster: Cluster<'_>,
    keys: &mut KeyTable,
    keyed: &mut bool,
    reader: &mut Reader<'_>,
) -> Vec<SplitSpec> {
    let doc = &raw.value;
    let ways = [
        ("records", doc.records.as_ref().map(|at| &at.span)),
        ("load", doc.load.as_ref().map(|at| &at.span)),
        ("split", doc.split.as_ref().map(|at| &at.span)),
        ("kafka", doc.kafka.as_ref().map(|at| &at.span)),
    ];
    let given: Vec<_> = ways
        .iter()
        .filter_map(|(key, span)| Some((*key, (*span)?)))
        .collect();
    if let [(first, _), (second, span), ..] = given.as_slice() {
        let message = format!("`{first}` and `{second}` both say what the source reads");
        reader.report(
            span,
            Problem::new("contradiction", message).help("keep one of them"),
        );
    }
    if let Some(topic) = &doc.kafka {
        if let Some(at) = &doc.splits {
            let problem = Problem::new("contradiction", "the splits are the topic's partitions");
            reader.report(&at.span, problem.help("leave `splits` out"));
        }
        let found = topics::topic(topic, cluster, reader);
        let many = found.map_or(0, |it| it.assignment.len());
        return vec![SplitSpec::Partition; many];
    }
    let many = doc
        .splits
        .as_ref()
        .map_or(1, |at| count_splits(at.value, &at.span, reader));
    if let Some(records) = &doc.records {
        if let Some(stated) = &doc.splits {
            beyond(&records.value, stated.value, reader);
        }
        return of_records(&records.value, many, keys, keyed, reader);
    }
    if let Some(load) = &doc.load {
        let load = read_load(load, keyed, reader);
        return spread(load, many);
    }
    if let Some(split) = &doc.split {
        if let Some(at) = &doc.splits {
            let problem = Problem::new("contradiction", "`splits` follows from `split`");
            reader.report(&at.span, problem.help("leave `splits` out"));
        }
        count_splits(split.value.len() as u32, &split.span, reader);
        let each = split.value.iter();
        return each.map(|it| of_split(it, keys, keyed, reader)).collect();
    }
    if ways.iter().all(|(key, _)| !doc.has(key)) {
        let problem = Problem::new("missing-key", "`records` is missing")
            .expected("`records`, a `load`, `split` tables, or a `kafka` topic");
        reader.report(&raw.span, problem);
    }
    Vec::new()
}

fn count_splits(many: u32, span: &Range<usize>, reader: &mut Reader<'_>) -> u32 {
    if (1..=limits::SPLITS).contains(&many) {
        return many;
    }
    let expected = format!("a number from 1 to {}", limits::SPLITS);
    let message = format!("a source does not have {many} splits");
    reader.report(span, Problem::bad_value(message, expected));
    1
}

fn of_split(
    raw: &At<RawSplit>,
    keys: &mut KeyTable,
    keyed: &mut bool,
    reader: &mut Reader<'_>,
) -> SplitSpec {
    let doc = &raw.value;
    match (&doc.records, &doc.load) {
        (Some(_), Some(load)) => {
            let message = "`records` and `load` both say what the split has";
            reader.report(
                &load.span,
                Problem::new("contradiction", message).help("keep one of them"),
            );
        }
        (None, Some(load)) => return SplitSpec::Generated(read_load(load, keyed, reader)),
        _ => {}
    }
    let Some(records) = &doc.records else {
        // A split without anything is silent for ever.
        return SplitSpec::Records(Arc::default());
    };
    for record in &records.value.0 {
        if let Some(at) = &record.value.split {
            let problem = Problem::new("contradiction", "these records stand in one split");
            reader.report(&at.span, problem.help("leave `split` out"));
            break;
        }
    }
    let all = of_records(&records.value, 1, keys, keyed, reader);
    all.into_iter()
        .next()
        .unwrap_or(SplitSpec::Records(Arc::default()))
}

/// A record of a split that a source does not have, where it says how many it has.
fn beyond(rows: &Rows<RawRecord>, many: u32, reader: &mut Reader<'_>) {
    let mut said = rows.0.iter().filter_map(|row| row.value.split.as_ref());
    if let Some(at) = said.find(|at| (many..limits::SPLITS).contains(&at.value)) {
        let message = format!("there is no split {}: `splits` = {many}", at.value);
        let problem = Problem::new("contradiction", message);
        let help = "splits are counted from 0; without `splits` there are as many as records name";
        reader.report(&at.span, problem.help(help));
    }
}

/// Explicit records, by their splits.
fn of_records(
    rows: &Rows<RawRecord>,
    many: u32,
    keys: &mut KeyTable,
    keyed: &mut bool,
    reader: &mut Reader<'_>,
) -> Vec<SplitSpec> {
    let mut splits: Vec<Vec<InputRecord>> = vec![Vec::new(); many as usize];
    for row in &rows.0 {
        let doc = &row.value;
        let split = doc.split.as_ref().map_or(0, |at| at.value);
        if split >= limits::SPLITS {
            let span = doc.split.as_ref().map_or(&row.span, |at| &at.span);
            count_splits(split.saturating_add(1), span, reader);
            continue;
        }
        let split = split as usize;
        if splits.len() <= split {
            splits.resize(split + 1, Vec::new());
        }
        let before = splits[split].last().map_or(0, |it| it.arrives);
        let arrives = doc.at.as_ref().map_or(before, |at| at.value.0);
        let key = doc.key.as_ref().map(|at| at.value.0.as_str());
        let says = [
            key.is_some(),
            doc.ts.is_some(),
            doc.value.is_some(),
            doc.kind.is_some(),
        ];
        let only_watermark = doc.watermark.is_some() && says == [false; 4];
        *keyed &= key.is_some() || only_watermark;
        let arrival_ms = (arrives / MILLISECOND) as i64;
        splits[split].push(InputRecord {
            arrives,
            timestamp: doc.ts.as_ref().map_or(arrival_ms, |at| at.value.0),
            key: match only_watermark {
                true => Key(0),
                false => keys.key(key),
            },
            value: doc.value.as_ref().map_or(1, |at| at.value),
            watermark: doc.watermark.as_ref().map(|at| at.value.0),
            only_watermark,
            kind: doc
                .kind
                .as_ref()
                .map_or(RowKind::Insert, |at| at.value.rule()),
        });
    }
    let ordered = |mut records: Vec<InputRecord>| {
        // Read in the order of their arrival, whatever the order in which a data set lists them.
        records.sort_by_key(|it| it.arrives);
        SplitSpec::Records(Arc::new(records))
    };
    splits.into_iter().map(ordered).collect()
}

/// How many keys a load makes; 0 for records without a key.
pub(super) fn keys_of(load: &RawStreamLoad) -> u32 {
    let many = load.keys.as_ref().map_or(0, |at| at.value);
    many.min(limits::STREAM_KEYS)
}

fn read_load(raw: &At<RawStreamLoad>, keyed: &mut bool, reader: &mut Reader<'_>) -> Generated {
    let doc = &raw.value;
    let gap = gap(raw, reader);
    if let Some(at) = &doc.keys
        && !(1..=limits::STREAM_KEYS).contains(&at.value)
    {
        let expected = format!("a number from 1 to {}", limits::STREAM_KEYS);
        let problem = Problem::bad_value("there are not so many keys", expected);
        reader.report(&at.span, problem);
    }
    if let Some(at) = &doc.zipf {
        if !doc.has("keys") {
            let problem = Problem::new("contradiction", "`zipf` is for records with keys");
            reader.report(&at.span, problem.help("say how many `keys` there are"));
        } else if at.value.0 > 10_000 {
            let problem = Problem::bad_value("this exponent is too large", "at most 10");
            reader.report(&at.span, problem);
        }
    }
    *keyed &= doc.has("keys");
    Generated {
        gap,
        start: doc.start.as_ref().map_or(0, |at| at.value.0),
        limit: doc.limit.as_ref().map(|at| at.value),
        keys: keys_of(doc).max(1),
        skew_milli: doc.zipf.as_ref().map_or(0, |at| at.value.0),
        disorder_ms: span_ms(doc.disorder.as_ref(), "disorder", reader).unwrap_or(0),
    }
}

fn gap(raw: &At<RawStreamLoad>, reader: &mut Reader<'_>) -> Nanos {
    let doc = &raw.value;
    let gap = match (&doc.rate, &doc.gap) {
        (Some(_), Some(gap)) => {
            let problem = Problem::new("contradiction", "`rate` and `gap` say the same thing");
            reader.report(&gap.span, problem.help("keep one of them"));
            gap.value.0
        }
        (Some(rate), None) => rate.value.0,
        (None, Some(gap)) => {
            if gap.value.0 == 0 {
                let problem = Problem::bad_value("a gap of 0 never ends", "a gap from 1ns on");
                reader.report(&gap.span, problem);
            }
            gap.value.0
        }
        (None, None) => {
            if !doc.has("rate") && !doc.has("gap") {
                let problem = Problem::new("missing-key", "`rate` is missing")
                    .expected("a rate such as 250, or a `gap` such as \"4ms\"");
                reader.report(&raw.span, problem);
            }
            1
        }
    };
    gap.max(1)
}

/// One load over so many splits, in turn.
fn spread(load: Generated, many: u32) -> Vec<SplitSpec> {
    let each = u64::from(many.max(1));
    let split = |at: u64| {
        SplitSpec::Generated(Generated {
            gap: load.gap.saturating_mul(each),
            start: load.start.saturating_add(load.gap.saturating_mul(at)),
            // The first splits have one more where it does not come out even.
            limit: load
                .limit
                .map(|limit| limit / each + u64::from(at < limit % each)),
            ..load
        })
    };
    (0..each).map(split).collect()
}

/// How watermarks are made.
pub(super) fn watermarks(raw: Option<&At<RawWatermark>>, reader: &mut Reader<'_>) -> WatermarkSpec {
    let mut spec = WatermarkSpec {
        strategy: WatermarkStrategy::None,
        idleness_ms: None,
        max_drift_ms: None,
    };
    let Some(raw) = raw else {
        return spec;
    };
    let doc = &raw.value;
    let kind = doc.kind.as_ref().map(|at| at.value);
    let bound = span_ms(doc.bound.as_ref(), "bound", reader);
    if let (Some(at), Some(kind)) = (&doc.bound, kind)
        && kind != WatermarkKind::Bounded
    {
        let problem = Problem::new("contradiction", "`bound` is for kind = \"bounded\"");
        reader.report(&at.span, problem);
    }
    spec.strategy = match kind {
        None | Some(WatermarkKind::None) => WatermarkStrategy::None,
        Some(WatermarkKind::Ascending) => WatermarkStrategy::Bounded(0),
        Some(WatermarkKind::Punctuated) => WatermarkStrategy::Punctuated,
        Some(WatermarkKind::Listed) => WatermarkStrategy::Listed,
        Some(WatermarkKind::Bounded) => {
            if !doc.has("bound") {
                let problem = Problem::new("missing-key", "`bound` is missing")
                    .expected(<Millis as crate::scenario::Item>::expected());
                reader.report(&raw.span, problem.help("how late records may be"));
            }
            WatermarkStrategy::Bounded(bound.unwrap_or(0))
        }
    };
    for (key, given) in [("idleness", &doc.idleness), ("max-drift", &doc.max_drift)] {
        let Some(at) = given else { continue };
        if kind == Some(WatermarkKind::None) {
            let message = format!("`{key}` needs watermarks, and there are none");
            reader.report(&at.span, Problem::new("contradiction", message));
        } else if key == "idleness" && at.value.0 <= 0 {
            let message = "idleTimeout must be greater than zero";
            reader.report(&at.span, Problem::bad_value(message, "a time above 0"));
        }
    }
    spec.idleness_ms = doc.idleness.as_ref().map(|at| at.value.0.max(1));
    spec.max_drift_ms = span_ms(doc.max_drift.as_ref(), "max-drift", reader);
    spec
}
