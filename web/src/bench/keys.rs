//! The keyboard: everything that time and faults can do, without a pointer. Keys are left alone
//! while one types in a field, while a dialog or menu is open, and where a control has its own use
//! for them.

use leptos::ev;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::pilot::{Way, jump_to_mark};
use super::transport::change_speed;
use super::{Bench, Tab};
use crate::host::Host;
use crate::ui::Dialog;

/// What the help lists: keys and what they do. The reference page shows the same table.
pub(crate) const KEYS: &[(&[&str], &str)] = &[
    (&["Space"], "play or pause"),
    (&["→"], "one event on"),
    (&["←"], "one event back"),
    (&["Shift", "→"], "a hundredth of the run on"),
    (&["Shift", "←"], "a hundredth of the run back"),
    (
        &["k"],
        "to what happens next: fault, caption, election, violation",
    ),
    (&["j"], "to the previous mark"),
    (&["]"], "faster"),
    (&["["], "slower"),
    (&["0"], "to the start"),
    (&["f"], "faults for what is picked"),
    (&["u"], "undo the last fault"),
    (&["s"], "share this run"),
    (
        &["1 … 6"],
        "stage, space-time, events, ledger, metrics, script",
    ),
    (&["Esc"], "close what is open, pick nothing"),
    (&["?"], "this list"),
];

const TABS: [&str; 6] = [
    Tab::STAGE,
    Tab::SPACETIME,
    Tab::EVENTS,
    Tab::LEDGER,
    Tab::METRICS,
    Tab::SCRIPT,
];

/// Listens while the page stands.
pub(crate) fn listen(bench: Bench) {
    let handle = window_event_listener(ev::keydown, move |ev| {
        if !ev.default_prevented() && !taken(&ev) && press(bench, &ev) {
            ev.prevent_default();
        }
    });
    on_cleanup(move || handle.remove());
}

/// Whether the element with the focus has its own use for this key.
fn taken(ev: &web_sys::KeyboardEvent) -> bool {
    if ev.ctrl_key() || ev.meta_key() || ev.alt_key() {
        return true;
    }
    let Some(element) = ev
        .target()
        .and_then(|t| t.dyn_into::<web_sys::Element>().ok())
    else {
        return false;
    };
    let within = |selector: &str| element.closest(selector).ok().flatten().is_some();
    if within("input, textarea, select, dialog, [role=menu], [contenteditable], .cm-editor") {
        return true;
    }
    let on_control = within("button, a, summary, [role=tab], [role=button]");
    let arrows = ev.key().starts_with("Arrow");
    (ev.key() == " " && on_control) || (arrows && within("[role=tablist], .stage, [role=toolbar]"))
}

fn press(bench: Bench, ev: &web_sys::KeyboardEvent) -> bool {
    let coarse = |sign: i64| {
        bench.travel(|h| {
            h.set_playing(false);
            let (now, part) = (h.session().now(), h.session().duration() / 100);
            let to = if sign > 0 {
                now + part
            } else {
                now.saturating_sub(part)
            };
            h.seek(to);
        });
    };
    match (ev.key().as_str(), ev.shift_key()) {
        (" ", _) => bench.toggle(),
        ("ArrowRight", true) => coarse(1),
        ("ArrowLeft", true) => coarse(-1),
        ("ArrowRight", false) => {
            bench.travel(Host::step);
        }
        ("ArrowLeft", false) => {
            bench.travel(Host::step_back);
        }
        ("k", _) => jump_to_mark(&bench, Way::On),
        ("j", _) => jump_to_mark(&bench, Way::Back),
        ("]", _) => change_speed(bench, 1),
        ("[", _) => change_speed(bench, -1),
        ("0", _) => bench.seek(0),
        ("u", _) => bench.undo(),
        ("s", _) => bench.share_open.set(true),
        ("f", _) => super::faults::focus_palette(),
        ("?", _) => bench.keys_open.set(true),
        ("Escape", _) => {
            bench.menu.set(None);
            bench.why.set(None);
            bench.selected.set(None);
        }
        (key, false) => {
            let number = key
                .parse::<usize>()
                .ok()
                .filter(|n| (1..=TABS.len()).contains(n));
            let Some(number) = number else { return false };
            bench.tab.set(TABS[number - 1]);
        }
        _ => return false,
    }
    true
}

/// The list of keys.
#[component]
pub(crate) fn KeysDialog(open: RwSignal<bool>) -> impl IntoView {
    view! {
        <Dialog open title=Signal::stored("Keyboard".to_owned()) testid="keys-dialog">
            <KeysTable />
        </Dialog>
    }
}

/// The table of keys.
#[component]
pub(crate) fn KeysTable() -> impl IntoView {
    view! {
        <table class="table">
            <thead>
                <tr>
                    <th scope="col">"Key"</th>
                    <th scope="col">"Does"</th>
                </tr>
            </thead>
            <tbody>
                {KEYS
                    .iter()
                    .map(|(keys, what)| {
                        view! {
                            <tr>
                                <td class="nowrap">
                                    {keys
                                        .iter()
                                        .map(|k| view! { <kbd>{*k}</kbd> " " })
                                        .collect_view()}
                                </td>
                                <td>{*what}</td>
                            </tr>
                        }
                    })
                    .collect_view()}
            </tbody>
        </table>
        <p class="small muted">
            "On the timeline the arrow keys step as well; Page Up and Page Down move by a tenth, End
            goes to the furthest moment seen. Keys rest while you type in a field."
        </p>
    }
}
