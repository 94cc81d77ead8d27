//! The segment and index browser, in the inspector of a copy: its segments with what they still
//! hold and where they are, their sparse indexes, and what compaction goes by and has removed.

mod pass;
mod pass_words;
mod tier;

use leptos::prelude::*;
use sim_core::view::{CompactionPass, CompactionView, SegmentLine, SegmentPlace, StorageView};

use super::Bench;
use crate::format::{clock, count};
use crate::listen::marked;
use crate::stage::Selection;
use crate::tree::{El, Kid, button, el};
use crate::ui::keep;

/// Entries of an index on view at most: the newest.
const ENTRIES_MAX: usize = 50;

/// More segments than this leave no room between their pieces.
const MANY: usize = 30;

/// More segments than this in remote storage are listed where one opens them.
const FOLDED: usize = 4;

/// How the picked copy is stored; nothing while something else is picked.
#[component]
pub(super) fn Storage(bench: Bench) -> impl IntoView {
    let view = Memo::new(move |_| {
        bench.slow_tick.track();
        match bench.selected.get() {
            Some(Selection::Lane { node, lane }) => bench.ask(|s| s.storage(node, &lane)).flatten(),
            _ => None,
        }
    });
    let (head, list) = (
        NodeRef::<leptos::html::Div>::new(),
        NodeRef::<leptos::html::Div>::new(),
    );
    let drawn = move |draw: fn(&StorageView) -> Vec<Kid>| {
        move || view.with(|it| it.as_ref().map(draw).unwrap_or_default())
    };
    keep(head, drawn(summary));
    keep(list, drawn(segments));
    let go = move |ev: leptos::ev::MouseEvent| {
        let event = marked(&ev, "data-event").and_then(|(_, event)| event.parse::<u64>().ok());
        if let Some(event) = event {
            bench.travel(|h| {
                h.set_playing(false);
                // Events are counted from 0: this is the moment right after it.
                h.seek_event(event + 1);
            });
        }
    };
    let last = Memo::new(move |_| view.with(|it| it.as_ref()?.compaction.as_ref()?.last.clone()));
    let none = move || view.with(Option::is_none);
    view! {
        <div class="storage" data-testid="storage" hidden=none on:click=go>
            <div class="sg-head" node_ref=head></div>
            <pass::Pass bench last />
            <div class="sg-list" node_ref=list></div>
        </div>
    }
}

/// All but the segments one by one.
fn summary(it: &StorageView) -> Vec<Kid> {
    let head = el("h3").with("Storage");
    let local = it.segments.iter();
    let local = local.filter(|s| s.place != SegmentPlace::Remote).count();
    let sum = format!(
        "{} in {}{} · cleanup.policy={}",
        bytes(it.bytes),
        match local {
            1 => "1 segment".to_owned(),
            n => format!("{n} segments"),
        },
        it.tier.map_or("", |_| " on the local disk"),
        it.policy
    );
    let mut kids: Vec<Kid> = vec![
        head.into(),
        el("p").class("muted small").with(sum).into(),
        strip(it).into(),
    ];
    kids.extend(it.tier.map(|tier| tier::tiers(it, &tier).into()));
    kids.extend(it.compaction.as_ref().map(|c| compaction(c).into()));
    kids
}

fn segments(it: &StorageView) -> Vec<Kid> {
    let remote = it.segments.iter();
    let remote = remote
        .take_while(|s| s.place == SegmentPlace::Remote)
        .count();
    let remote = if remote > FOLDED { remote } else { 0 };
    let (folded, listed) = it.segments.split_at(remote);
    let folded = (remote > 0).then(|| {
        let name = format!("{remote} segments in remote storage only");
        el("details")
            .key("remote")
            .class("sg-folded")
            .with(el("summary").with(name))
            .all(folded.iter().map(|s| segment(s, it)))
    });
    let listed = listed.iter().map(|s| segment(s, it));
    folded.into_iter().chain(listed).map(Kid::from).collect()
}

/// Sizes as one reads them.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{}.{} kB", n / 1_000, n / 100 % 10),
        _ => format!("{}.{} MB", n / 1_000_000, n / 100_000 % 10),
    }
}

/// Millionths as a percentage.
fn percent(ppm: u32) -> String {
    match ppm % 10_000 {
        0 => format!("{} %", ppm / 10_000),
        rest => format!("{}.{} %", ppm / 10_000, rest / 1_000),
    }
}

/// The segments beside one another, as wide as their sizes.
fn strip(it: &StorageView) -> El {
    let piece = |s: &SegmentLine| {
        let class = match (s.active, s.clean, it.tier) {
            (true, ..) => "active",
            (_, true, _) => "clean",
            (.., Some(_)) => tier::place(s).0,
            _ => "",
        };
        el("span")
            .class(format!("sg-piece {class}"))
            .style(format!("flex-grow:{}", s.bytes.max(1)))
    };
    let many = it.segments.len() > MANY;
    el("div")
        .class(if many { "sg-strip many" } else { "sg-strip" })
        .mute()
        .all(it.segments.iter().map(piece))
}

fn segment(s: &SegmentLine, it: &StorageView) -> El {
    let state = match (s.active, s.clean, it.compaction.is_some()) {
        (true, ..) => "active",
        (_, true, _) => "clean",
        (_, _, true) => "dirty",
        _ if it.tier.is_some() => tier::place(s).1,
        _ => "closed",
    };
    let mut held = match s.records {
        1 => "1 record".to_owned(),
        n => format!("{} records", count(n)),
    };
    if s.removed > 0 {
        held.push_str(&format!(", {} removed", count(s.removed)));
    }
    let summary = el("summary")
        .with(el("span").class("mono sg-base").with(s.base.to_string()))
        .with(el("span").class("sg-size").with(bytes(s.bytes)))
        .with(el("span").class("sg-held").with(held))
        .with(el("span").class("chip").with(state));
    let offsets = s.offset_index.iter().rev();
    let offsets = offsets.map(|(offset, position)| [offset.to_string(), position.to_string()]);
    let times = s.time_index.iter().rev();
    let times = times.map(|(ms, offset)| [time(*ms), offset.to_string()]);
    let range = match s.end > s.base {
        true => format!("offsets {} to {}", s.base, s.end - 1),
        false => "empty".to_owned(),
    };
    let newest = match s.newest_ms {
        -1 => String::new(),
        ms => format!(", newest record {}", time(ms)),
    };
    el("details")
        .key(s.base.to_string())
        .class("sg-segment")
        .with(summary)
        .with(
            el("p")
                .class("small muted")
                .with(format!("{range}{newest}")),
        )
        .with(index(
            "Offset index",
            ["offset", "position, bytes"],
            offsets,
        ))
        .with(index("Time index", ["timestamp", "offset"], times))
}

fn time(ms: i64) -> String {
    u64::try_from(ms).map_or_else(|_| ms.to_string(), |ms| clock(ms.saturating_mul(1_000_000)))
}

fn index(
    name: &'static str,
    heads: [&'static str; 2],
    entries: impl ExactSizeIterator<Item = [String; 2]>,
) -> El {
    let len = entries.len();
    if len == 0 {
        let text = format!("{name}: no entry yet, a search begins at the start of the segment.");
        return el("p").class("small muted").with(text);
    }
    let caption = match len.saturating_sub(ENTRIES_MAX) {
        0 => format!("{name}, newest first"),
        more => format!("{name}, newest first; {more} more"),
    };
    let row = |cells: [String; 2]| {
        let cell = |text: String| el("td").class("mono").with(text);
        el("tr").all(cells.map(cell))
    };
    let head = |text: &'static str| el("th").is("scope", "col").with(text);
    el("table")
        .with(el("caption").with(caption))
        .with(el("thead").with(el("tr").all(heads.map(head))))
        .with(el("tbody").all(entries.take(ENTRIES_MAX).map(row)))
}

fn compaction(c: &CompactionView) -> El {
    let (dirty, due) = (c.dirty_ppm(), c.dirty_ppm() > c.threshold_ppm);
    let ratio = format!(
        "dirty ratio {} {} min.cleanable.dirty.ratio {}",
        percent(dirty),
        if due { "is above" } else { "is not above" },
        percent(c.threshold_ppm)
    );
    let range = match c.first_dirty < c.first_uncleanable {
        true => format!(
            "First dirty offset {}; up to {} may be cleaned ({} of {}).",
            c.first_dirty,
            c.first_uncleanable,
            bytes(c.cleanable_bytes),
            bytes(c.clean_bytes + c.cleanable_bytes)
        ),
        false => format!(
            "First dirty offset {}; nothing may be cleaned yet.",
            c.first_dirty
        ),
    };
    let last = match &c.last {
        None => el("p")
            .class("small muted")
            .with("No pass of the cleaner yet."),
        Some(pass) => el("p")
            .class("small")
            .with("Last pass at ")
            .with(
                button("chain-time mono")
                    .is("data-event", pass.event.to_string())
                    .is("title", "Go to this moment")
                    .with(clock(pass.time)),
            )
            .with(format!(": {}", pass_words(pass))),
    };
    el("section")
        .class("sg-compaction")
        .test("compaction")
        .with(el("p").class("small").with(ratio))
        .with(meter(dirty, c.threshold_ppm, due))
        .with(el("p").class("small").with(range))
        .with(last)
}

/// The dirty ratio against its limit.
fn meter(dirty: u32, limit: u32, due: bool) -> El {
    el("div")
        .class(if due { "sg-meter due" } else { "sg-meter" })
        .mute()
        .with(
            el("span")
                .class("sg-dirty")
                .style(format!("inline-size:{:.1}%", part(dirty))),
        )
        .with(
            el("span")
                .class("sg-limit")
                .style(format!("left:{:.1}%", part(limit))),
        )
}

fn part(ppm: u32) -> f64 {
    f64::from(ppm) / 10_000.0
}

/// What a pass did.
fn pass_words(pass: &CompactionPass) -> String {
    let removed = [
        (pass.superseded, "with a newer value"),
        (pass.tombstones, "tombstones whose time was up"),
        (pass.aborted, "of aborted transactions"),
        (pass.markers, "transaction markers"),
    ];
    let told = removed.iter().filter(|(n, _)| *n > 0);
    let told: Vec<String> = told
        .map(|(n, what)| format!("{} {what}", count(*n)))
        .collect();
    let mut out = format!("offsets {} to {}: ", pass.from, pass.to);
    match told.is_empty() {
        true => out.push_str("nothing to remove"),
        false => out.push_str(&format!("removed {}", told.join(", "))),
    }
    if let Some(kept) = pass.kept {
        out.push_str(&format!("; kept {}", count(kept)));
    }
    if pass.horizons > 0 {
        let text = format!("; set delete horizons on {} batches", count(pass.horizons));
        out.push_str(&text);
    }
    out.push('.');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares_read_well() {
        for (n, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_950, "1.9 kB"),
            (12_345_678, "12.3 MB"),
        ] {
            assert_eq!(bytes(n), expected);
        }
        for (ppm, expected) in [(0, "0 %"), (500_000, "50 %"), (633_333, "63.3 %")] {
            assert_eq!(percent(ppm), expected);
        }
    }

    #[test]
    fn a_pass_is_told_by_what_it_removed() {
        let check = |pass: CompactionPass, expected: &str| assert_eq!(pass_words(&pass), expected);
        let pass = CompactionPass {
            from: 10,
            to: 40,
            ..CompactionPass::default()
        };
        check(pass.clone(), "offsets 10 to 40: nothing to remove.");
        check(
            CompactionPass {
                kept: Some(12),
                superseded: 1_028,
                tombstones: 5,
                ..pass.clone()
            },
            "offsets 10 to 40: removed 1\u{202f}028 with a newer value, 5 tombstones whose time was up; kept 12.",
        );
        check(
            CompactionPass {
                horizons: 2,
                ..pass
            },
            "offsets 10 to 40: nothing to remove; set delete horizons on 2 batches.",
        );
    }
}
