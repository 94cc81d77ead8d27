//! The line over the plane when there is more than one lane: where one is, and the way about.

use crate::stage::Zoom;
use crate::stage::plan::{Mode, Outline, Plan};
use crate::stage::scene::Scene;
use crate::tree::{El, button, el};

/// Where the learner stands among the lanes.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    /// Opened lane.
    lane: Option<String>,
    /// Opened page and how many there are.
    page: Option<(u32, usize)>,
    /// Lanes that can be opened from here.
    names: Vec<String>,
    /// Lanes in all.
    total: usize,
}

fn place(outline: &Outline, mode: &Mode, zoom: &Zoom) -> Place {
    let total = outline.lanes.len();
    let lane = match mode {
        Mode::Full { lane } => *lane,
        Mode::Groups { .. } | Mode::Matrix { .. } => None,
    };
    let pages = match outline.mode(&Zoom::All) {
        Mode::Matrix { rows } if rows.iter().any(|r| r.len() > 1) => rows,
        _ => Vec::new(),
    };
    let of_lane = lane.and_then(|l| pages.iter().position(|p| p.contains(&l)));
    let page = match zoom {
        Zoom::Page(p) if (*p as usize) < pages.len() => Some(*p as usize),
        _ => of_lane,
    };
    let shown: Vec<usize> = match page {
        Some(p) => pages[p].clone(),
        None if pages.is_empty() => (0..total).collect(),
        None => Vec::new(),
    };
    Place {
        lane: lane.map(|i| outline.lanes[i].clone()),
        page: page.map(|p| (p as u32, pages.len())),
        names: shown.iter().map(|&i| outline.lanes[i].clone()).collect(),
        total,
    }
}

/// The bar; nothing where there is one lane only. Its buttons say in `data-zoom` where they lead
/// (see [`Zoom::parse`]).
pub(in crate::stage) fn zoom_bar(
    outline: &Outline,
    plan: &Plan,
    scene: &Scene,
    zoom: &Zoom,
) -> Option<El> {
    let here = place(outline, &plan.mode, zoom);
    let aside = match scene.aside {
        0 => String::new(),
        1 => "1 message elsewhere is not drawn".to_owned(),
        n => format!("{n} messages elsewhere are not drawn"),
    };
    (here.total > 1).then(|| {
        el("nav")
            .class("stage-bar")
            .label("Partitions on the stage")
            .all(bar(&here))
            .with(el("span").class("st-aside").with(aside))
    })
}

fn bar(here: &Place) -> Vec<El> {
    let all = here.lane.is_none() && here.page.is_none();
    let crumb = |to: Zoom, now: bool| {
        button("st-crumb")
            .is("data-zoom", to.key())
            .may("aria-current", now.then_some("true"))
    };
    let page = here.page.map(|(page, of)| {
        crumb(Zoom::Page(page), here.lane.is_none()).with(format!("Page {} of {of}", page + 1))
    });
    let options = here.names.iter().map(|name| {
        let selected = here.lane.as_ref() == Some(name);
        el("option")
            .is("value", name.clone())
            .flag("selected", selected)
            .with(name.clone())
    });
    let none = el("option")
        .is("value", "")
        .flag("selected", here.lane.is_none())
        .with("one partition…");
    // What was chosen in a list stays chosen whatever its options say: another lane, another list.
    let list = el("select")
        .key(here.lane.clone().unwrap_or_default())
        .with(none)
        .all(options);
    let label = el("label")
        .class("st-crumb-select")
        .with(el("span").with("Open"))
        .with(list);
    let mut bar = vec![crumb(Zoom::All, all).with(format!("All {} partitions", here.total))];
    bar.extend(page);
    bar.push(label);
    if here.lane.is_some() {
        bar.push(step(here, -1, "Previous partition", "‹"));
        bar.push(step(here, 1, "Next partition", "›"));
    }
    bar
}

/// A button to the lane before or after the opened one.
fn step(here: &Place, by: isize, label: &'static str, sign: &'static str) -> El {
    let at = here
        .lane
        .as_ref()
        .and_then(|lane| here.names.iter().position(|n| n == lane));
    let to = at.and_then(|i| here.names.get(i.checked_add_signed(by)?).cloned());
    button("st-crumb step")
        .label(label)
        .flag("disabled", to.is_none())
        .may("data-zoom", to.map(|lane| Zoom::Lane(lane).key()))
        .with(sign)
}
