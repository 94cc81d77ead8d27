//! What stands around all pages: the header with the parts of the site, the footer, and words in
//! passing. The first of it is there before the application; the header's insides stay the same
//! elements' description afterwards.

use crate::base;
use crate::theme;
use crate::tree::{El, Kid, button, el};
use crate::ui::icons::{glyph, logo};

/// The parts of the site, in the order of the header: path, name.
const PARTS: [(&str, &str); 4] = [
    ("course", "Course"),
    ("sandbox", "Sandbox"),
    ("scenarios", "Scenarios"),
    ("reference", "Reference"),
];

/// What the second half's absence is told as.
pub(crate) const NOT_LOADED: &str = "This part of the site could not be loaded. Are you offline?";

/// The first part of an address below the site's base; empty at home.
pub(crate) fn part(path: &str) -> String {
    let path = path.strip_prefix(base::path().as_str()).unwrap_or(path);
    let first = path.trim_start_matches('/').split('/').next();
    first.unwrap_or_default().to_owned()
}

/// What is in the header. `data-act` says what its buttons do: `menu`, `theme`.
pub(crate) fn header(part: &str, open: bool, chosen: &str) -> Vec<Kid> {
    let current = |name: &str| part == name || (name == "course" && part == "lessons");
    let link = |(href, name): (&'static str, &'static str)| {
        let link = el("a").is("href", href);
        let link = link.may("aria-current", current(href).then_some("page"));
        el("li").with(link.with(name))
    };
    let brand = el("a")
        .class("brand")
        .is("href", "./")
        .label("Strandline, home")
        .with(logo())
        .with(el("span").with("Strandline"));
    let nav = el("nav")
        .class(if open { "site-nav is-open" } else { "site-nav" })
        .label("Site")
        .with(el("ul").class("site-nav-list").all(PARTS.map(link)));
    let turn = button("icon-button")
        .test("theme")
        .is("data-act", "theme")
        .label(theme::name(chosen))
        .is("title", theme::name(chosen))
        .with(glyph("theme"));
    let menu = button("icon-button nav-toggle")
        .is("data-act", "menu")
        .label("Menu")
        .is("aria-expanded", open.to_string())
        .with(glyph("menu"));
    let tools = el("div").class("site-tools").with(turn).with(menu);
    [brand, nav, tools].map(Kid::from).to_vec()
}

/// What is in the footer.
pub(crate) fn footer() -> Vec<Kid> {
    let link = el("a")
        .is("href", "reference")
        .with("What is simulated, and what is left out");
    let said = "Nothing is sent anywhere: the engine runs in your browser, and a run is its link.";
    [el("p").with(said), el("p").with(link)]
        .map(Kid::from)
        .to_vec()
}

/// The frame with nothing in it, for a page with or without a workbench.
pub(super) fn site(is_bench: bool) -> El {
    let skip = button("skip")
        .is("data-act", "skip")
        .with("Skip to the content");
    el("div")
        .class(if is_bench { "site is-bench" } else { "site" })
        .with(skip)
        .with(el("header").class("site-header"))
        .with(el("main").is("id", "main").is("tabindex", "-1"))
        .with(el("footer").class("site-footer").all(footer()))
}

/// Where words in passing stand.
pub(super) fn notices() -> El {
    el("div")
        .class("notices")
        .is("role", "status")
        .is("aria-live", "polite")
        .test("notices")
}

/// Words in passing.
pub(super) fn notice(text: String) -> El {
    let words = el("span").class("notice-text").with(text);
    el("div")
        .class("notice sea")
        .with(el("div").class("grow").with(words))
}

/// Says that the second half could not be loaded, with a way to another try: in place of a page, or
/// in passing.
pub(super) fn problem(in_passing: bool) -> El {
    let again = button("button small")
        .is("data-act", "again")
        .with("Try again");
    let actions = el("div").class("actions").with(again);
    let told = match in_passing {
        false => el("div")
            .class("banner harm")
            .with(el("p").with(NOT_LOADED))
            .with(actions),
        true => el("div").class("notice harm").with(
            el("div")
                .class("grow")
                .with(el("span").class("notice-text").with(NOT_LOADED))
                .with(actions),
        ),
    };
    told.is("role", "alert").test("load-problem")
}

/// Something is on its way.
pub(super) fn loading() -> El {
    el("p")
        .class("muted loading")
        .is("role", "status")
        .with("Loading…")
}
