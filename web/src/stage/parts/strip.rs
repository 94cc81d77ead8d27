//! A strip: the cells of one copy, its epoch flags, and the carets and words under it.

use sim_core::view::{CellTransaction, MarkKind};

use super::plane::Picks;
use crate::lengths::px;
use crate::stage::plan::geom::Rect;
use crate::stage::plan::{StripPlace, TIDE};
use crate::stage::scene::words::key_name;
use crate::stage::scene::{CellFace, Flag, Label, SlotScene, StripScene};
use crate::stage::stops::Stop;
use crate::tree::{El, Kid, button, el};

/// The strip at a place, with this index in the plan, and the button that names it if no card does.
pub(super) fn strip(
    scene: Option<&StripScene>,
    index: usize,
    place: &StripPlace,
    pitch: f64,
    picks: &Picks<'_>,
) -> Vec<Kid> {
    let picked = scene.is_some_and(|s| picks.lane(place.node, &s.lane));
    let mut class = String::from("stage-strip");
    if scene.is_some_and(|s| !s.in_sync) {
        class.push_str(" unsynced");
    }
    if place.name.is_some() {
        class.push_str(" compact");
    }
    if picked {
        class.push_str(" picked");
    }
    let name = place
        .name
        .and_then(|at| strip_name(scene?, index, at, picked));
    let mut strip = el("div")
        .class(class)
        .is("role", "group")
        .may("aria-label", scene.map(|s| s.aria.clone()))
        .is("data-node", place.node.to_string())
        .at(place.rect);
    if let Some(scene) = scene {
        let slot = |(i, slot): (usize, &SlotScene)| {
            let apart = if scene.shifted.is_some_and(|s| i >= s) {
                TIDE
            } else {
                0.0
            };
            let at = (i as f64 * pitch + apart, pitch - 2.0);
            cell(index, i, slot, at, picks.record())
        };
        strip = strip
            .all(scene.slots.iter().enumerate().map(slot))
            .all(marks(scene, index, place.rect.x, picked));
    }
    name.into_iter().chain([strip]).map(Kid::from).collect()
}

/// The button before a strip that stands on no card.
fn strip_name(strip: &StripScene, index: usize, at: Rect, picked: bool) -> Option<El> {
    let name = strip.name.as_ref()?;
    let mut class = String::from("st-strip-name");
    for (is, word) in [
        (name.leads, " leads"),
        (name.deposed, " deposed"),
        (name.down, " down"),
    ] {
        if is {
            class.push_str(word);
        }
    }
    let named = button(class)
        .is("data-stop", Stop::Lane(index).key())
        .is("tabindex", "-1")
        .label(format!("{}: {}", name.text, strip.aria))
        .is("aria-pressed", picked.to_string())
        .is("title", strip.aria.clone())
        .at(at)
        .with(name.text.clone());
    Some(named)
}

fn cell(strip: usize, i: usize, slot: &SlotScene, (x, w): (f64, f64), picked: Option<u64>) -> El {
    let empty = CellView {
        class: "st-cell".to_owned(),
        hidden: true,
        ..CellView::default()
    };
    let v = match slot {
        SlotScene::Empty => empty,
        SlotScene::Break(hidden) => CellView {
            class: "st-cell st-gap".to_owned(),
            digits: "⋯".to_owned(),
            hidden: false,
            aria: format!("{hidden} offsets not shown"),
            ..empty
        },
        SlotScene::Cell(face) => of_face(face, picked),
    };
    button(v.class)
        .is("data-stop", Stop::Cell(strip, i).key())
        .is("tabindex", "-1")
        .flag("hidden", v.hidden)
        .label(v.aria.clone())
        .may("aria-pressed", v.pressed)
        .is("title", v.aria)
        .style(format!("left:{};width:{}", px(x), px(w)))
        .with(el("span").class("st-digits").with(v.digits))
        .with(el("span").class("st-key").with(v.key))
}

#[derive(Default)]
struct CellView {
    class: String,
    digits: String,
    key: String,
    aria: String,
    pressed: Option<&'static str>,
    hidden: bool,
}

fn of_face(face: &CellFace, picked: Option<u64>) -> CellView {
    let mut class = String::from("st-cell");
    let mut add = |name: &str| {
        class.push_str(" st-");
        class.push_str(name);
    };
    match face.key {
        Some(key) => add(&format!("key-{}", key % 6)),
        None if face.removed => add("gap"),
        None if face.unknown => add("unknown"),
        None => add("no-key"),
    }
    add(match (face.gone, face.committed) {
        (Some(_), _) => "gone",
        (None, true) => "kept",
        (None, false) => "tail",
    });
    if !face.flushed {
        add("unflushed");
    }
    if face.diverged {
        add("diverged");
    }
    match face.transaction {
        Some(CellTransaction::Open) => add("open"),
        Some(CellTransaction::Aborted) => add("aborted"),
        Some(CellTransaction::Commit) => add("commit"),
        Some(CellTransaction::Abort) => add("abort"),
        None => {}
    }
    if face.epoch_start {
        add("epoch-start");
    }
    let chosen = face.record.is_some() && face.record == picked;
    if chosen {
        class.push_str(" picked");
    }
    let mut aria = face.aria.clone();
    // Three digits fit a cell; the axis above tells the rest.
    let digits = if face.removed {
        String::new()
    } else if face.offset < 1_000 {
        face.offset.to_string()
    } else {
        let shown = format!("{:03}", face.offset % 1_000);
        // Who says what is seen must reach it: a name holds the words in sight (WCAG 2.5.3).
        aria = format!("{shown}: {aria}");
        shown
    };
    CellView {
        class,
        digits,
        key: face.key.map(key_name).unwrap_or_default(),
        aria,
        pressed: Some(if chosen { "true" } else { "false" }),
        hidden: false,
    }
}

fn mark_class(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Strandline => "st-mark-knows",
        MarkKind::End => "st-mark-end",
        MarkKind::Start => "st-mark-start",
        MarkKind::Position => "st-mark-position",
        MarkKind::Committed => "st-mark-committed",
        MarkKind::Stable => "st-mark-stable",
    }
}

/// Carets, words and epoch flags; `left` is the strip's left edge on the stage.
fn marks(strip: &StripScene, index: usize, left: f64, picked: bool) -> Vec<El> {
    let caret = |label: &Label| {
        el("span")
            .class(format!("st-mark {}", mark_class(label.kind)))
            .style(format!("left:{}", px(label.at - left)))
            .mute()
    };
    let words = |label: &Label| {
        let class = format!("st-mark-words {}", mark_class(label.kind));
        let named = if label.kind == MarkKind::End && strip.name.is_none() {
            button(class)
                .is("data-stop", Stop::Lane(index).key())
                .is("tabindex", "-1")
                .label(format!("{}: {}", label.text, strip.aria))
                .is("aria-pressed", picked.to_string())
        } else {
            el("span").class(class)
        };
        named
            .is("title", label.title.clone())
            .style(format!("left:{};width:{}", px(label.x - left), px(label.w)))
            .with(label.text.clone())
    };
    let flag = |flag: &Flag| {
        el("span")
            .class("st-epoch-flag")
            .style(format!("left:{}", px(flag.x - left)))
            .mute()
            .with(format!("epoch {}", flag.epoch))
    };
    let carets = strip.labels.iter().filter(|l| !l.quiet).map(caret);
    let words = strip.labels.iter().map(words);
    carets
        .chain(words)
        .chain(strip.flags.iter().map(flag))
        .collect()
}
