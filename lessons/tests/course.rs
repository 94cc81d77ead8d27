//! The course as it stands is executed; a lesson that says something untrue is refused at its line.

#![allow(clippy::disallowed_methods)] // reads and writes lesson folders

use std::fs;
use std::path::{Path, PathBuf};

fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("en")
}

#[test]
fn every_claim_prediction_caption_and_twin_is_true() {
    let lessons = lessons::read_course(&course()).expect("readable lessons");
    assert!(lessons.len() >= 22);
    let orders: Vec<u32> = lessons.iter().map(|lesson| lesson.order).collect();
    let parts = lessons.chunk_by(|a, b| a.part == b.part);
    let names: std::collections::BTreeSet<&str> = lessons.iter().map(|it| &*it.part).collect();
    assert!(orders.is_sorted_by(|a, b| a < b), "{orders:?}");
    assert_eq!(parts.count(), names.len(), "each part in one piece");
    for lesson in &lessons {
        let checked = lessons::check_lesson(lesson);
        let entry = checked.map(|checked| checked.entry(lesson));
        let entry = entry.unwrap_or_else(|problems| panic!("{}: {problems:?}", lesson.slug));
        assert!(entry.claims > 0 && entry.predictions > 0, "{}", entry.slug);
    }
}

/// The problems of the lesson "The leader dies" with one piece of its text changed, and the line of
/// the piece.
fn problems_with(old: &str, new: &str) -> (Vec<lessons::Problem>, u32) {
    let from = course().join("the-leader-dies");
    let name = format!("strandline-lesson-{}-{}", std::process::id(), old.len());
    let to = std::env::temp_dir().join(name).join("the-leader-dies");
    fs::create_dir_all(&to).expect("a folder");
    let text = fs::read_to_string(from.join("lesson.md")).expect("the lesson");
    let at = text.find(old).expect("the piece to change");
    fs::write(to.join("lesson.md"), text.replacen(old, new, 1)).expect("written");
    fs::copy(from.join("failover.toml"), to.join("failover.toml")).expect("copied");
    let found = match lessons::read_lesson(&to) {
        Ok(lesson) => lessons::check_lesson(&lesson).err().unwrap_or_default(),
        Err(found) => found,
    };
    let _ = fs::remove_dir_all(to.parent().expect("has a parent"));
    let line = text[..at].lines().count() as u32;
    (found, line)
}

#[test]
fn what_is_untrue_is_refused_near_its_line() {
    for (old, new, says) in [
        (
            "that = \"orders-0.leader == b1\"",
            "that = \"orders-0.leader == b2\"",
            "orders-0.leader == b2",
        ),
        (
            "compare = [\"orders-0.epoch\", \"ledger.acknowledged\", \"ledger.lost\"",
            "compare = [\"orders-0.epoch\", \"ledger.lost\"",
            "nothing that is compared differs",
        ),
        (
            "compare-at = \"30s\"",
            "compare-at = \"1s\"",
            "still the same",
        ),
        (
            "compare-at = \"30s\"",
            "compare-at = \"soon\"",
            "compare-at",
        ),
        (
            "when = \"time > 10s and orders-0.leader != b1",
            "when = \"time > 10h and orders-0.leader != b1",
            "never becomes true",
        ),
    ] {
        let (problems, line) = problems_with(old, new);
        let near = |p: &lessons::Problem| p.line.abs_diff(line) <= 12 && p.message.contains(says);
        assert!(
            problems.iter().any(near),
            "{new}: {problems:?} (line {line})"
        );
    }
}
