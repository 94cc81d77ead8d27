//! A strip: the cells of one copy, its epoch flags, and the carets and words under it.

use leptos::prelude::*;
use sim_core::view::MarkKind;

use super::{NOWHERE, Shared, at, px};
use crate::stage::Selection;
use crate::stage::plan::TIDE;
use crate::stage::plan::geom::Rect;
use crate::stage::scene::words::key_name;
use crate::stage::scene::{CellFace, Flag, Label, SlotScene, StripScene};
use crate::stage::stops::Stop;

/// The strip with this index.
#[component]
pub(super) fn Strip(
    /// What the parts share.
    shared: Shared,
    /// Its index in the plan.
    index: usize,
    /// The node that holds it.
    node: u32,
) -> impl IntoView {
    let rect: Memo<Rect> = Memo::new(move |_| {
        shared
            .layout
            .with(|l| l.plan.strips.get(index).map_or(NOWHERE, |p| p.rect))
    });
    let name_at: Memo<Option<Rect>> = Memo::new(move |_| {
        shared
            .layout
            .with(|l| l.plan.strips.get(index).and_then(|p| p.name))
    });
    let pitch = Memo::new(move |_| shared.layout.with(|l| l.plan.pitch));
    let scene: Memo<Option<StripScene>> = Memo::new(move |_| {
        shared
            .scene
            .with(|s| s.strips.get(index).cloned().flatten())
    });
    let record = Memo::new(move |_| match shared.selected.get() {
        Some(Selection::Record(id)) => Some(id),
        _ => None,
    });
    let picked = Memo::new(move |_| match shared.selected.get() {
        Some(Selection::Lane { node: n, lane }) => {
            n == node && scene.with(|s| s.as_ref().is_some_and(|s| s.lane == lane))
        }
        _ => false,
    });
    let class = move || {
        let mut class = String::from("stage-strip");
        if !scene.with(|s| s.as_ref().is_none_or(|s| s.in_sync)) {
            class.push_str(" unsynced");
        }
        if name_at.with(Option::is_some) {
            class.push_str(" compact");
        }
        if picked.get() {
            class.push_str(" picked");
        }
        class
    };
    let cells = move || {
        let record = record.get();
        let pitch = pitch.get();
        scene.with(|s| {
            let slots = s.as_ref().map_or(&[][..], |s| &s.slots);
            let shifted = s.as_ref().and_then(|s| s.shifted);
            let slot = |(i, slot): (usize, &SlotScene)| {
                let apart = if shifted.is_some_and(|s| i >= s) {
                    TIDE
                } else {
                    0.0
                };
                cell(
                    index,
                    i,
                    slot,
                    (i as f64 * pitch + apart, pitch - 2.0),
                    record,
                )
            };
            slots.iter().enumerate().map(slot).collect_view()
        })
    };
    let labels = move || {
        let (left, picked) = (rect.get().x, picked.get());
        scene.with(|s| s.as_ref().map(|s| marks(s, index, left, picked)))
    };
    let name = move || {
        let (at, picked) = (name_at.get()?, picked.get());
        scene.with(|s| Some(strip_name(s.as_ref()?, index, at, picked)))
    };
    view! {
        {name}
        <div
            class=class
            role="group"
            aria-label=move || scene.with(|s| s.as_ref().map(|s| s.aria.clone()))
            data-node=node
            style:left=at!(rect, x)
            style:top=at!(rect, y)
            style:width=at!(rect, w)
            style:height=at!(rect, h)
        >
            {cells}
            {labels}
        </div>
    }
}

/// The button before a strip that stands on no card.
fn strip_name(strip: &StripScene, index: usize, at: Rect, picked: bool) -> Option<AnyView> {
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
    let view = view! {
        <button
            type="button"
            class=class
            data-stop=Stop::Lane(index).key()
            tabindex="-1"
            aria-label=strip.aria.clone()
            aria-pressed=picked.to_string()
            title=strip.aria.clone()
            style:left=px(at.x)
            style:top=px(at.y)
            style:width=px(at.w)
            style:height=px(at.h)
        >
            {name.text.clone()}
        </button>
    };
    Some(view.into_any())
}

fn cell(
    strip: usize,
    i: usize,
    slot: &SlotScene,
    (x, w): (f64, f64),
    picked: Option<u64>,
) -> AnyView {
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
    view! {
        <button
            type="button"
            class=v.class
            data-stop=Stop::Cell(strip, i).key()
            tabindex="-1"
            hidden=v.hidden
            aria-label=v.aria.clone()
            aria-pressed=v.pressed
            title=v.aria
            style:left=px(x)
            style:width=px(w)
        >
            <span class="st-digits">{v.digits}</span>
            <span class="st-key">{v.key}</span>
        </button>
    }
    .into_any()
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
    if face.epoch_start {
        add("epoch-start");
    }
    let chosen = face.record.is_some() && face.record == picked;
    if chosen {
        class.push_str(" picked");
    }
    CellView {
        class,
        // Three digits fit a cell; the axis above tells the rest.
        digits: if face.offset < 1_000 {
            face.offset.to_string()
        } else {
            format!("{:03}", face.offset % 1_000)
        },
        key: face.key.map(key_name).unwrap_or_default(),
        aria: face.aria.clone(),
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
fn marks(strip: &StripScene, index: usize, left: f64, picked: bool) -> AnyView {
    let caret = |label: &Label| {
        let class = format!("st-mark {}", mark_class(label.kind));
        view! { <span class=class style:left=px(label.at - left) aria-hidden="true"></span> }
    };
    let words = |label: &Label| {
        let class = format!("st-mark-words {}", mark_class(label.kind));
        let (x, w) = (px(label.x - left), px(label.w));
        if label.kind == MarkKind::End && strip.name.is_none() {
            return view! {
                <button
                    type="button"
                    class=class
                    data-stop=Stop::Lane(index).key()
                    tabindex="-1"
                    aria-label=format!("{}: {}", label.text, strip.aria)
                    aria-pressed=picked.to_string()
                    title=label.title.clone()
                    style:left=x
                    style:width=w
                >
                    {label.text.clone()}
                </button>
            }
            .into_any();
        }
        view! {
            <span class=class title=label.title.clone() style:left=x style:width=w>
                {label.text.clone()}
            </span>
        }
        .into_any()
    };
    let flag = |flag: &Flag| {
        view! {
            <span class="st-epoch-flag" style:left=px(flag.x - left) aria-hidden="true">
                {format!("epoch {}", flag.epoch)}
            </span>
        }
    };
    view! {
        {strip.labels.iter().filter(|l| !l.quiet).map(caret).collect_view()}
        {strip.labels.iter().map(words).collect_view()}
        {strip.flags.iter().map(flag).collect_view()}
    }
    .into_any()
}
