//! The line over the plane when there is more than one lane: where one is, and the way about.

use leptos::prelude::*;

use super::Shared;
use crate::stage::Zoom;
use crate::stage::plan::{Mode, Outline};

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

/// Shown when there is more than one lane.
#[component]
pub(in crate::stage) fn ZoomBar(
    /// What the parts share.
    shared: Shared,
) -> impl IntoView {
    let zoom = shared.zoom;
    let here = Memo::new(move |_| {
        zoom.with(|z| shared.layout.with(|l| place(&l.outline, &l.plan.mode, z)))
    });
    let undrawn = Memo::new(move |_| shared.scene.with(|s| s.aside));
    let aside = move || match undrawn.get() {
        0 => String::new(),
        1 => "1 message elsewhere is not drawn".to_owned(),
        n => format!("{n} messages elsewhere are not drawn"),
    };
    let many = Memo::new(move |_| here.with(|h| h.total > 1));
    view! {
        <Show when=move || many.get()>
            <nav class="stage-bar" aria-label="Partitions on the stage">
                {move || here.with(|h| bar(h, zoom))}
                <span class="st-aside">{aside}</span>
            </nav>
        </Show>
    }
}

fn bar(here: &Place, zoom: RwSignal<Zoom>) -> AnyView {
    let all = here.lane.is_none() && here.page.is_none();
    let total = here.total;
    let page = here.page.map(|(page, of)| {
        view! {
            <button
                type="button"
                class="st-crumb"
                aria-current=here.lane.is_none().then_some("true")
                on:click=move |_| zoom.set(Zoom::Page(page))
            >
                {format!("Page {} of {of}", page + 1)}
            </button>
        }
    });
    let options = here.names.iter().map(|name| {
        let selected = here.lane.as_ref() == Some(name);
        view! { <option value=name.clone() selected=selected>{name.clone()}</option> }
    });
    let options = options.collect_view();
    let pick = move |event: leptos::ev::Event| {
        let id = event_target_value(&event);
        zoom.set(if id.is_empty() {
            Zoom::All
        } else {
            Zoom::Lane(id)
        });
    };
    view! {
        <button
            type="button"
            class="st-crumb"
            aria-current=all.then_some("true")
            on:click=move |_| zoom.set(Zoom::All)
        >
            {format!("All {total} partitions")}
        </button>
        {page}
        <label class="st-crumb-select">
            <span>"Open"</span>
            <select on:change=pick>
                <option value="" selected=here.lane.is_none()>"one partition…"</option>
                {options}
            </select>
        </label>
        {here.lane.is_some().then(|| step(here, -1, "Previous partition", "‹", zoom))}
        {here.lane.is_some().then(|| step(here, 1, "Next partition", "›", zoom))}
    }
    .into_any()
}

/// A button to the lane before or after the opened one.
fn step(
    here: &Place,
    by: isize,
    label: &'static str,
    sign: &'static str,
    zoom: RwSignal<Zoom>,
) -> AnyView {
    let at = here
        .lane
        .as_ref()
        .and_then(|lane| here.names.iter().position(|n| n == lane));
    let to = at.and_then(|i| here.names.get(i.checked_add_signed(by)?).cloned());
    let disabled = to.is_none();
    let go = move |_| {
        if let Some(id) = to.clone() {
            zoom.set(Zoom::Lane(id));
        }
    };
    view! {
        <button type="button" class="st-crumb step" aria-label=label disabled=disabled on:click=go>
            {sign}
        </button>
    }
    .into_any()
}
