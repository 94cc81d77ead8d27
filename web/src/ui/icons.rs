//! The icons, drawn for this site on a 24 × 24 grid with a 1.9 stroke. All are decoration: the
//! control around one carries its name.

use leptos::prelude::*;

use crate::tree::{El, svg};

/// An icon by name. An unknown name draws nothing.
pub(crate) fn icon(name: &'static str) -> impl IntoView {
    let solid = matches!(name, "play" | "pause-time");
    view! {
        <svg
            class="icon"
            width="20"
            height="20"
            viewBox="0 0 24 24"
            fill=if solid { "currentColor" } else { "none" }
            stroke="currentColor"
            stroke-width="1.9"
            stroke-linecap="round"
            stroke-linejoin="round"
            aria-hidden="true"
            focusable="false"
        >
            <path d=path(name) />
        </svg>
    }
}

fn path(name: &str) -> &'static str {
    match name {
        "play" => "M8 5.5v13l10.5-6.5z",
        "pause-time" => "M7.5 5.5h3v13h-3zM13.5 5.5h3v13h-3z",
        "step" => "M7 6v12l8-6zM18 6v12",
        "step-back" => "M17 6v12L9 12zM6 6v12",
        "rewind" => "M19 6v12l-8-6zM11 6v12l-6-6M5 6v12",
        "next-mark" => "M5 12h12M12.5 7l5 5-5 5M21 5v14",
        "prev-mark" => "M19 12H7M11.5 7l-5 5 5 5M3 5v14",
        "power-loss" => "M13 3L5 13.5h6L10 21l8-10.5h-6z",
        "crash" => "M12 3.5v8M7 6.5a8 8 0 1 0 10 0",
        "restart" => "M19.5 12a7.5 7.5 0 1 1-2.2-5.3M20 3.5v4h-4",
        "pause" | "pause-node" => "M9 5.5v13M15 5.5v13",
        "resume" => "M8 5.5v13l10.5-6.5z",
        "slow-cpu" | "clock" => "M12 7.5V12l3 2M12 4a8 8 0 1 0 .01 0",
        "slow-disk" => "M4.5 13.5h15M6.5 5h11l2 8.5V19h-15v-5.5zM16 16.3h.01",
        "skew" => "M12 7.5V12l-3 2M12 4a8 8 0 1 0 .01 0M19 3l2 2M5 3L3 5",
        "cut-one-way" => "M3 12h5M13 12h8M9.5 7.5v9M18 9l3 3-3 3",
        "isolate" => {
            "M12 9.5a2.5 2.5 0 1 0 .01 0M12 3a9 9 0 0 1 6.4 2.7M21 12a9 9 0 0 1-2.6 6.3M12 21a9 9 0 0 1-6.4-2.7M3 12a9 9 0 0 1 2.6-6.3"
        }
        "fast-cpu" | "fast-disk" => "M4 6l7 6-7 6zM12 6l7 6-7 6z",
        "cut" => "M3 12h5M16 12h5M9.5 7.5v9M14.5 7.5v9M8 20l8-16",
        "heal" | "heal-all" => "M3 12h18M12 5v14",
        "slow" | "slow-link" => "M3 12h4l2-4 3 8 3-8 2 4h4",
        "loss" | "lossy-link" => "M3 12h4M11 12h2M17 12h4M12 4v3M12 17v3",
        "wipe" | "wipe-disk" => "M5 7h14M9 7V4.5h6V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5",
        "drop" => "M6 6l12 12M18 6L6 18",
        "duplicate" => "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
        "delay" => "M12 7.5V12h4M12 4a8 8 0 1 0 .01 0",
        "undo" => "M9 7L4.5 11.5 9 16M5 11.5h9a5 5 0 0 1 0 10h-2",
        "share" => "M12 15V4M8 7.5L12 3.5l4 4M5.5 12v7.5h13V12",
        "close" => "M6.5 6.5l11 11M17.5 6.5l-11 11",
        "menu" => "M4.5 7h15M4.5 12h15M4.5 17h15",
        "theme" => "M12 4a8 8 0 1 0 .01 0M12 4v16M12 5.5a6.5 6.5 0 0 1 0 13",
        "help" => {
            "M9.2 9.4a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2M12 17.2h.01M12 3.5a8.5 8.5 0 1 0 .01 0"
        }
        "branch" => "M7 4v16M7 12c6 0 10-1 10-5M14.2 9.2L17 6.4l2.8 2.8",
        "download" => "M12 4v11M8 11.5l4 4 4-4M5.5 19.5h13",
        "upload" => "M12 15.5V4.5M8 8l4-4 4 4M5.5 19.5h13",
        "why" => "M9.2 9.4a2.9 2.9 0 1 1 4.2 2.6c-.9.5-1.4 1-1.4 2M12 17.2h.01",
        "check" => "M5 12.5l4.5 4.5L19 7.5",
        "more" => "M6 12h.01M12 12h.01M18 12h.01",
        "flag" => "M6 21V4.5M6 5h11l-2.5 3.8L17 12.5H6",
        "chevron" => "M9 6l6 6-6 6",
        _ => "",
    }
}

/// An icon by name, as plain elements.
pub(crate) fn glyph(name: &str) -> El {
    let fill = match name {
        "play" | "pause-time" => "currentColor",
        _ => "none",
    };
    svg("svg")
        .class("icon")
        .is("width", "20")
        .is("height", "20")
        .is("viewBox", "0 0 24 24")
        .is("fill", fill)
        .is("stroke", "currentColor")
        .is("stroke-width", "1.9")
        .is("stroke-linecap", "round")
        .is("stroke-linejoin", "round")
        .mute()
        .is("focusable", "false")
        .with(svg("path").is("d", path(name)))
}

/// The mark of the site: two waves and the line they leave.
pub(crate) fn logo() -> El {
    let wave = |d| svg("path").is("d", d);
    svg("svg")
        .is("width", "28")
        .is("height", "24")
        .is("viewBox", "0 0 28 24")
        .is("fill", "none")
        .is("stroke", "currentColor")
        .is("stroke-width", "2.2")
        .is("stroke-linecap", "round")
        .mute()
        .is("focusable", "false")
        .with(wave(
            "M2 6.5c2.4-3 4.8-3 7.2 0s4.8 3 7.2 0 4.8-3 7.2 0 2 1.4 2.4 1.4",
        ))
        .with(wave(
            "M2 13c2.4-3 4.8-3 7.2 0s4.8 3 7.2 0 4.8-3 7.2 0 2 1.4 2.4 1.4",
        ))
        .with(wave("M2 20.5h24").class("brand-line"))
}
