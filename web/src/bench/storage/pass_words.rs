//! What is said of each step of a cleaner's pass. Plain data, so that it can be tested.

use sim_core::view::{
    CleanedKind, CleanedRecord, CompactionStep, CompactionSteps, Dirt, Fate, MapStep, SegmentStep,
    SwapStep,
};

use super::{bytes, percent, time};

/// A step in words, with what stands under them.
pub(super) struct Said {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) body: Body,
}

/// What stands under the words.
pub(super) enum Body {
    /// The dirty ratio and its limit, millionths.
    Dirt { ppm: u32, limit: u32, due: bool },
    /// The offset map.
    Map(Vec<Entry>),
    /// The records of a segment, and how many are not listed.
    Records { rows: Vec<Row>, more: u64 },
    /// Segments (base offset, bytes) and the one in their place.
    Swap {
        before: Vec<(i64, u64)>,
        after: (i64, u64),
    },
}

/// A key of the map.
pub(super) struct Entry {
    pub(super) key: u32,
    pub(super) offset: i64,
    pub(super) replaced: Option<i64>,
    pub(super) fresh: bool,
}

/// A record of a segment.
pub(super) struct Row {
    pub(super) offset: i64,
    pub(super) key: Option<u32>,
    pub(super) kept: bool,
    pub(super) marker: bool,
    pub(super) tombstone: bool,
    pub(super) why: String,
}

/// The class of each step's tick: the first measures, the last writes the checkpoint.
pub(super) fn kinds(it: &CompactionSteps) -> Vec<&'static str> {
    let inner = it.steps.iter().map(|step| match step {
        CompactionStep::Map(_) => "map",
        CompactionStep::Segment(_) => "clean",
        CompactionStep::Swap(_) => "swap",
    });
    ["measure"]
        .into_iter()
        .chain(inner)
        .chain(["mark"])
        .collect()
}

/// The step at a place: 0 measures, then come the engine's, then the checkpoint.
pub(super) fn step(it: &CompactionSteps, at: usize) -> Said {
    match at.checked_sub(1).map(|at| it.steps.get(at)) {
        None => measure(it),
        Some(Some(CompactionStep::Map(step))) => map(step),
        Some(Some(CompactionStep::Segment(step))) => segment(step),
        Some(Some(CompactionStep::Swap(step))) => swap(step),
        Some(None) => checkpoint(it),
    }
}

fn ratio(dirt: Dirt) -> String {
    format!(
        "{}: {} of {} are dirty",
        percent(dirt.ppm()),
        bytes(dirt.cleanable_bytes),
        bytes(dirt.clean_bytes + dirt.cleanable_bytes)
    )
}

fn measure(it: &CompactionSteps) -> Said {
    let (ppm, limit) = (it.before.ppm(), it.threshold_ppm);
    let due = ppm > limit;
    let reason = match (due, it.overdue) {
        (true, _) => format!(
            "That is above min.cleanable.dirty.ratio, {}.",
            percent(limit)
        ),
        (false, true) => format!(
            "That is not above min.cleanable.dirty.ratio, {}, but dirty records have waited for \
             max.compaction.lag.ms.",
            percent(limit)
        ),
        // Equal when rounded to millionths.
        (false, false) => format!("min.cleanable.dirty.ratio is {}.", percent(limit)),
    };
    Said {
        title: "Is the log dirty enough?".to_owned(),
        text: format!(
            "The dirty ratio is {}. {reason} The first dirty offset is {}: from there on no \
             pass has been; what is below offset {} may be cleaned now.",
            ratio(it.before),
            it.before.first_dirty,
            it.before.first_uncleanable
        ),
        body: Body::Dirt { ppm, limit, due },
    }
}

fn map(step: &MapStep) -> Said {
    let fresh = step.entries.iter().filter(|it| it.fresh).count();
    let full = match step.full {
        true => " The map is full: what follows waits for the next pass.",
        false => "",
    };
    let entry = |it: &sim_core::view::MapEntry| Entry {
        key: u32::try_from(it.key).unwrap_or(u32::MAX),
        offset: it.offset,
        replaced: it.replaced,
        fresh: it.fresh,
    };
    Said {
        title: format!("Offset map, with segment {}", step.base),
        text: format!(
            "The cleaner reads the dirty part up to offset {} and notes for each key the offset \
             of its last record: {}, of which this segment puts {fresh} in place.{full}",
            step.end - 1,
            many(step.keys, "key"),
        ),
        body: Body::Map(step.entries.iter().map(entry).collect()),
    }
}

fn many(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn segment(step: &SegmentStep) -> Said {
    let count =
        |wanted: fn(Fate) -> bool| step.records.iter().filter(|it| wanted(it.fate)).count() as u64;
    let reasons = [
        (count(|it| matches!(it, Fate::Superseded(_))), "superseded"),
        (
            count(|it| it == Fate::TombstoneExpired),
            "tombstones past delete.retention.ms",
        ),
        (count(|it| it == Fate::Aborted), "of aborted transactions"),
        (count(|it| it == Fate::Unkeyed), "without a key"),
        (count(|it| it == Fate::MarkerExpired), "markers"),
    ];
    let told = reasons.iter().filter(|(n, _)| *n > 0);
    let told: Vec<String> = told.map(|(n, what)| format!("{n} {what}")).collect();
    let listed = step.records.len() as u64;
    let more = (step.kept + step.dropped).saturating_sub(listed);
    let reasons = match (told.is_empty(), more) {
        (true, _) => String::new(),
        (_, 0) => format!(": {}", told.join(", ")),
        (..) => format!("; of those listed, {}", told.join(", ")),
    };
    let why = "without records, for its producer's last sequence or for the end.";
    let emptied = match step.emptied {
        0 => String::new(),
        1 => format!(" 1 batch stays {why}"),
        n => format!(" {n} batches stay {why}"),
    };
    Said {
        title: format!("Segment {}", step.base),
        text: format!(
            "{} kept, {} dropped{reasons}.{emptied}",
            many(step.kept, "record"),
            step.dropped
        ),
        body: Body::Records {
            rows: step.records.iter().map(row).collect(),
            more,
        },
    }
}

fn row(it: &CleanedRecord) -> Row {
    let marker = matches!(it.kind, CleanedKind::Commit | CleanedKind::Abort);
    let tombstone = it.kind == CleanedKind::Tombstone;
    let mut why = match it.kind {
        CleanedKind::Value => String::new(),
        CleanedKind::Tombstone => "tombstone, ".to_owned(),
        CleanedKind::Commit => "commit marker, ".to_owned(),
        CleanedKind::Abort => "abort marker, ".to_owned(),
    };
    why.push_str(&match it.fate {
        Fate::Newest => "last of its key".to_owned(),
        Fate::NotInMap => "nothing newer in the dirty part".to_owned(),
        Fate::Beyond => "beyond what the map holds".to_owned(),
        Fate::Superseded(by) => format!("offset {by} is newer"),
        Fate::TombstoneExpired => "delete.retention.ms is over".to_owned(),
        Fate::Aborted => "of an aborted transaction".to_owned(),
        Fate::Unkeyed => "has no key".to_owned(),
        Fate::MarkerKept if it.goes_at_ms.is_none() => {
            "its transaction still has records".to_owned()
        }
        Fate::MarkerKept => "its transaction has no records".to_owned(),
        Fate::MarkerExpired => "its transaction has no records, and its time is up".to_owned(),
    });
    if let Some(ms) = it.goes_at_ms {
        why.push_str(&format!("; may go from {}", time(ms)));
    }
    Row {
        offset: it.offset,
        key: it.key,
        kept: it.fate.keeps(),
        marker,
        tombstone,
        why,
    }
}

fn swap(step: &SwapStep) -> Said {
    let title = match step.of.as_slice() {
        [(one, _)] => format!("Segment {one} is replaced"),
        [(first, _), .., (last, _)] => format!("Segments {first} to {last} become one"),
        [] => String::new(),
    };
    Said {
        title,
        text: format!(
            "A new segment {} with {} ({}) takes the place of {} ({}). Offsets stay as they were.",
            step.base,
            many(step.records, "record"),
            bytes(step.bytes),
            many(step.of.len() as u64, "segment"),
            bytes(step.of.iter().map(|it| it.1).sum())
        ),
        body: Body::Swap {
            before: step.of.clone(),
            after: (step.base, step.bytes),
        },
    }
}

fn checkpoint(it: &CompactionSteps) -> Said {
    Said {
        title: format!("New checkpoint: {}", it.after.first_dirty),
        text: format!(
            "The cleaner notes that the log is clean below offset {} (it was {}). The dirty ratio \
             is {} now; the next pass begins here.",
            it.after.first_dirty,
            it.before.first_dirty,
            ratio(it.after)
        ),
        body: Body::Dirt {
            ppm: it.after.ppm(),
            limit: it.threshold_ppm,
            due: it.after.ppm() > it.threshold_ppm,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: CleanedKind, fate: Fate, goes_at_ms: Option<i64>) -> CleanedRecord {
        CleanedRecord {
            offset: 7,
            key: Some(2),
            kind,
            fate,
            goes_at_ms,
        }
    }

    #[test]
    fn every_fate_has_its_reason() {
        for (kind, fate, until, kept, why) in [
            (
                CleanedKind::Value,
                Fate::Superseded(12),
                None,
                false,
                "offset 12 is newer",
            ),
            (
                CleanedKind::Value,
                Fate::Newest,
                None,
                true,
                "last of its key",
            ),
            (
                CleanedKind::Tombstone,
                Fate::Newest,
                Some(87_300),
                true,
                "tombstone, last of its key; may go from 01:27.300",
            ),
            (
                CleanedKind::Tombstone,
                Fate::TombstoneExpired,
                None,
                false,
                "tombstone, delete.retention.ms is over",
            ),
            (
                CleanedKind::Abort,
                Fate::MarkerKept,
                None,
                true,
                "abort marker, its transaction still has records",
            ),
        ] {
            let row = row(&record(kind, fate, until));
            assert_eq!((row.kept, row.why.as_str()), (kept, why));
        }
    }

    #[test]
    fn a_segment_says_how_many_and_why() {
        let check = |step: &SegmentStep, expected: &str| assert_eq!(segment(step).text, expected);
        let mut step = SegmentStep {
            base: 0,
            end: 4,
            bytes: 400,
            kept: 1,
            dropped: 2,
            emptied: 1,
            records: vec![
                record(CleanedKind::Value, Fate::Superseded(9), None),
                record(CleanedKind::Value, Fate::Aborted, None),
                record(CleanedKind::Value, Fate::Newest, None),
            ],
        };
        check(
            &step,
            "1 record kept, 2 dropped: 1 superseded, 1 of aborted transactions. 1 batch stays \
             without records, for its producer's last sequence or for the end.",
        );
        (step.kept, step.emptied) = (40, 0);
        check(
            &step,
            "40 records kept, 2 dropped; of those listed, 1 superseded, 1 of aborted transactions.",
        );
    }
}
