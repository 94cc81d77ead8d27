//! Where the segments of a tiered partition (KIP-405) are: on the local disk, copied to remote
//! storage, or there only.

use sim_core::view::{SegmentLine, SegmentPlace, StorageView, TierView};

use super::bytes;
use crate::tree::{El, el};

/// What stands where, from the log start on: class of its piece and its name.
const PLACES: [(SegmentPlace, &str, &str); 3] = [
    (SegmentPlace::Remote, "remote", "remote only"),
    (SegmentPlace::Copied, "copied", "local, copied"),
    (SegmentPlace::Local, "local", "local, not copied"),
];

/// Class of a segment's piece, and what is said of it.
pub(super) fn place(segment: &SegmentLine) -> (&'static str, &'static str) {
    let found = PLACES.iter().find(|it| it.0 == segment.place);
    found.map_or(("", ""), |it| (it.1, it.2))
}

/// The three places with what is in each, and the two starts of the log.
pub(super) fn tiers(it: &StorageView, tier: &TierView) -> El {
    let held = |wanted: SegmentPlace| {
        let held = it.segments.iter().filter(move |s| s.place == wanted);
        let first = held.clone().next()?;
        let last = held.clone().next_back()?;
        let many = match held.clone().count() {
            1 => "1 segment".to_owned(),
            n => format!("{n} segments"),
        };
        // What is below the log start is deleted, though its segment may be there.
        let from = first.base.max(it.start);
        let size = bytes(held.map(|s| s.bytes).sum());
        Some(match from < last.end {
            true => format!("offsets {from} to {}, {size} in {many}", last.end - 1),
            false => format!("nothing yet, {many}"),
        })
    };
    let row = |(place, class, name): (SegmentPlace, &'static str, &'static str)| {
        let what = held(place).unwrap_or_else(|| "nothing".to_owned());
        el("li")
            .is("data-place", class)
            .with(el("span").class(format!("sg-piece {class}")).mute())
            .with(el("span").with(format!("{name}: {what}")))
    };
    let starts = el("p")
        .class("small")
        .with(format!(
            "Log start offset {}, local log start offset {}. ",
            it.start, tier.local_start
        ))
        .with(match tier.remote_end {
            0 => "Nothing is copied to remote storage yet.".to_owned(),
            end => format!(
                "Copied to remote storage up to offset {} ({}).",
                end - 1,
                bytes(tier.remote_bytes)
            ),
        });
    el("div")
        .class("sg-tiers")
        .test("tiers")
        .with(el("ul").class("small").all(PLACES.map(row)))
        .with(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_piece_and_a_name() {
        for expected in [
            SegmentPlace::Local,
            SegmentPlace::Copied,
            SegmentPlace::Remote,
        ] {
            let segment = SegmentLine {
                base: 0,
                end: 1,
                bytes: 1,
                records: 1,
                removed: 0,
                newest_ms: 0,
                active: false,
                place: expected,
                clean: false,
                offset_index: Vec::new(),
                time_index: Vec::new(),
            };
            let (class, name) = place(&segment);
            assert!(!class.is_empty() && !name.is_empty(), "{expected:?}");
        }
    }
}
