//! What an application sends, and when.

use super::document::{KeysKind, LoadKind, RawKeys, RawLoad};
use super::read::{place, value};
use crate::kafka::spec::{Arrivals, Keys, LoadSpec};
use crate::scenario::{At, Problem, Reader, Table, limits};

/// Reads a load.
pub(super) fn read(raw: &At<RawLoad>, reader: &mut Reader<'_>) -> LoadSpec {
    let doc = &raw.value;
    let default = LoadSpec::default();
    let arrivals = match &doc.kind {
        Some(kind) => arrivals(raw, kind.value, reader),
        None => Arrivals::None,
    };
    let record_bytes = doc
        .record_size
        .as_ref()
        .map(|at| match u32::try_from(at.value.0) {
            Ok(bytes) if bytes > 0 => bytes,
            _ => {
                let expected = "from 1 byte to 4 GiB";
                reader.report(
                    &at.span,
                    Problem::bad_value("no record has this size", expected),
                );
                1
            }
        });
    let start = doc.start.as_ref().map_or(0, |at| at.value.0);
    let stop = doc.stop.as_ref().map(|at| at.value.0);
    if let (Some(at), Some(stop)) = (&doc.stop, stop)
        && stop <= start
    {
        let problem = Problem::new("contradiction", "this load stops before it starts");
        reader.report(&at.span, problem.warning());
    }
    let (keys, key_prefix) = match &doc.keys {
        Some(keys) => read_keys(keys, reader),
        None => (default.keys, default.key_prefix),
    };
    let tombstones_milli = doc.keys.as_ref().map_or(0, |it| tombstones(it, reader));
    LoadSpec {
        arrivals,
        keys,
        key_prefix,
        tombstones_milli,
        record_bytes: record_bytes.unwrap_or(default.record_bytes),
        start,
        stop,
        limit: value(doc.limit.as_ref()),
    }
}

fn arrivals(raw: &At<RawLoad>, kind: LoadKind, reader: &mut Reader<'_>) -> Arrivals {
    let doc = &raw.value;
    let rate = doc.rate.as_ref().map(|at| (at.value.0, &at.span, "rate"));
    let by_gap = doc.gap.as_ref().map(|at| (at.value.0, &at.span, "gap"));
    let gap = match (rate, by_gap) {
        (Some(_), Some((_, span, _))) => {
            let problem = Problem::new("contradiction", "`rate` and `gap` say the same thing");
            reader.report(span, problem.help("keep one of them"));
            0
        }
        (Some((_, span, key)), None) | (None, Some((_, span, key))) if kind == LoadKind::None => {
            let message = format!("`{key}` means nothing with kind = \"none\"");
            reader.report(span, Problem::new("contradiction", message));
            0
        }
        (Some((gap, ..)), None) => gap,
        (None, Some((gap, span, _))) => {
            if gap == 0 {
                let problem = Problem::bad_value("a gap of 0 never ends", "a gap from 1ns on");
                reader.report(span, problem);
            }
            gap
        }
        (None, None) => {
            let written = doc.has("rate") || doc.has("gap");
            if kind != LoadKind::None && !written {
                let problem = Problem::new("missing-key", "`rate` is missing")
                    .expected("a rate such as 250, or a `gap` such as \"4ms\"");
                reader.report(&raw.span, problem);
            }
            0
        }
    };
    let spans = [("on", &doc.on), ("off", &doc.off)];
    for (key, given) in spans {
        match given {
            Some(at) if kind != LoadKind::Bursts => {
                let message = format!("`{key}` is for kind = \"bursts\"");
                reader.report(&at.span, Problem::new("contradiction", message));
            }
            Some(at) if at.value.0 == 0 => {
                let problem = Problem::bad_value(format!("`{key}` is 0"), "a time above 0");
                reader.report(&at.span, problem);
            }
            None if kind == LoadKind::Bursts && !doc.has(key) => {
                let problem = Problem::new("missing-key", format!("`{key}` is missing"))
                    .expected("a time such as \"1s\"");
                reader.report(&raw.span, problem);
            }
            _ => {}
        }
    }
    match kind {
        LoadKind::None => Arrivals::None,
        LoadKind::Constant => Arrivals::Constant { gap },
        LoadKind::Poisson => Arrivals::Poisson { mean_gap: gap },
        LoadKind::Bursts => Arrivals::Bursts {
            gap,
            on: doc.on.as_ref().map_or(0, |at| at.value.0),
            off: doc.off.as_ref().map_or(0, |at| at.value.0),
        },
    }
}

/// The share of tombstones, in thousandths.
fn tombstones(raw: &At<RawKeys>, reader: &mut Reader<'_>) -> u32 {
    let Some(at) = &raw.value.tombstones else {
        return 0;
    };
    let kind = value(raw.value.kind.as_ref());
    if at.value.0 > 1_000 {
        let problem = Problem::bad_value("this is more than all of them", "a share from 0 to 1");
        reader.report(&at.span, problem);
    } else if at.value.0 > 0 && kind == Some(KeysKind::None) {
        let problem = Problem::new("contradiction", "a tombstone needs a key");
        reader.report(&at.span, problem);
    }
    at.value.0.min(1_000)
}

/// Most keys: the weights of Zipf's law are a table of this many entries.
const KEYS_MAX: u32 = 100_000;

fn read_keys(raw: &At<RawKeys>, reader: &mut Reader<'_>) -> (Keys, String) {
    let doc = &raw.value;
    let n = value(doc.count.as_ref()).unwrap_or(10);
    if let Some(at) = &doc.count
        && !(1..=KEYS_MAX).contains(&n)
    {
        let expected = format!("a number from 1 to {KEYS_MAX}");
        reader.report(
            &at.span,
            Problem::bad_value("there are not so many keys", expected),
        );
    }
    let kind = value(doc.kind.as_ref()).unwrap_or(KeysKind::None);
    if let Some(at) = &doc.exponent {
        if kind != KeysKind::Zipf && doc.kind.is_some() {
            let problem = Problem::new("contradiction", "`exponent` is for kind = \"zipf\"");
            reader.report(&at.span, problem);
        } else if at.value.0 > 10_000 {
            let problem = Problem::bad_value("this exponent is too large", "at most 10");
            reader.report(&at.span, problem);
        }
    }
    let keys = match kind {
        KeysKind::None => Keys::None,
        KeysKind::Cycle => Keys::Cycle { n },
        KeysKind::Uniform => Keys::Uniform { n },
        KeysKind::Zipf => Keys::Zipf {
            n,
            exponent_milli: doc.exponent.as_ref().map_or(1_000, |at| at.value.0),
        },
    };
    let prefix = value(doc.prefix.as_ref()).unwrap_or_else(|| LoadSpec::default().key_prefix);
    if prefix.len() > limits::NAME_CHARS {
        let span = place(doc.prefix.as_ref(), &raw.span);
        let expected = format!("at most {} bytes", limits::NAME_CHARS);
        reader.report(
            &span,
            Problem::bad_value("this prefix is too long", expected),
        );
    }
    (keys, prefix)
}
