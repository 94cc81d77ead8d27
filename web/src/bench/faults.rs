//! Faults: the palette under the stage and the menu on a node, link or message. Both show what the
//! engine offers for the target; what it does not offer now stays visible and says why.

use leptos::prelude::*;
use sim_core::view::Role;
use wasm_bindgen::JsCast;

use super::pilot::{Way, jump_to_mark};
use super::{Bench, use_bench};
use crate::format::SPEEDS;
use crate::host::{Offer, Target};
use crate::stage::{MenuRequest, MenuTarget, Selection};
use crate::ui::tabs::focus_by_id;
use crate::ui::{Tone, icon};

/// The engine's name for what a menu is for.
fn target_of(target: MenuTarget) -> Target {
    match target {
        MenuTarget::Node(n) => Target::Node(n),
        MenuTarget::Link(a, b) => Target::Link(a, b),
        MenuTarget::Message(m) => Target::Message(m),
    }
}

/// What a target is called on screen.
pub(super) fn title_of(bench: Bench, target: MenuTarget) -> String {
    let node = |id: u32| {
        bench.view.with_untracked(|v| {
            v.nodes
                .iter()
                .find(|n| n.id == id)
                .map_or_else(|| id.to_string(), |n| n.title.clone())
        })
    };
    match target {
        MenuTarget::Node(n) => node(n),
        MenuTarget::Link(a, b) => format!("{} → {}", node(a), node(b)),
        MenuTarget::Message(m) => bench.view.with_untracked(|v| {
            let token = v.tokens.iter().find(|t| t.id == m);
            token.map_or_else(
                || "A message that has arrived".to_owned(),
                |t| format!("{} from {} to {}", t.label, node(t.from), node(t.to)),
            )
        }),
    }
}

/// Does what an offer offers, or says why not.
pub(super) fn take(bench: Bench, offer: &Offer, target: MenuTarget) {
    match &offer.disabled_because {
        None => {
            let label = format!("{}: {}", title_of(bench, target), offer.label);
            if bench.act(offer.deed.clone(), &label) && SLOW_TO_SHOW.contains(&offer.id) {
                offer_what_follows(bench, &label);
            }
        }
        Some(reason) => bench.notices.say(Tone::Sand, reason.clone()),
    }
}

/// Faults of which others learn by a timeout: seconds of simulated time, minutes at a slow pace.
const SLOW_TO_SHOW: [&str; 5] = ["crash", "power-loss", "pause", "isolate", "cut"];
/// A pace at which one waits for such a timeout, simulated seconds per second.
const PACE_TO_WAIT: f64 = 1.0;

fn offer_what_follows(bench: Bench, done: &str) {
    let pace = bench
        .hud
        .with_untracked(|h| SPEEDS.get(h.speed).map_or(1.0, |s| s.0));
    if pace < PACE_TO_WAIT {
        let text = format!("{done}. What follows may take some simulated seconds.");
        let on = move || jump_to_mark(&bench, Way::On);
        bench
            .notices
            .offer_briefly(Tone::Sea, text, "What happens next", on);
    }
}

pub(super) fn offers(bench: Bench, target: MenuTarget) -> Vec<Offer> {
    bench
        .ask(|s| s.offers(target_of(target)))
        .unwrap_or_default()
}

/// What the palette has room for, and its short name there; the menu lists all offers in full.
const SHORT: [(&str, &str); 16] = [
    ("crash", "Kill"),
    ("power-loss", "Power off"),
    ("restart", "Start"),
    ("pause", "Freeze"),
    ("resume", "Resume"),
    ("isolate", "Isolate"),
    ("slow-cpu", "Slow CPU"),
    ("wipe", "Wipe disk"),
    ("cut", "Cut"),
    ("cut-one-way", "Cut one way"),
    ("slow-link", "Slow"),
    ("lossy-link", "Lossy"),
    ("heal", "Heal"),
    ("drop", "Drop"),
    ("duplicate", "Duplicate"),
    ("delay", "Delay"),
];

/// The palette's name for an offer, if it is one of those that stand there.
fn short(id: &str) -> Option<&'static str> {
    SHORT.iter().find(|(i, _)| *i == id).map(|(_, name)| *name)
}

/// Moves the focus to the palette.
pub(crate) fn focus_palette() {
    focus_by_id("palette-target");
}

/// What the palette aims at: the selection if it can be harmed, else the chosen target.
fn aimed(bench: Bench, chosen: RwSignal<Option<MenuTarget>>) -> Option<MenuTarget> {
    match bench.selected.get() {
        Some(Selection::Node(n) | Selection::Lane { node: n, .. }) => Some(MenuTarget::Node(n)),
        Some(Selection::Link(a, b)) => Some(MenuTarget::Link(a, b)),
        Some(Selection::Message(m)) => Some(MenuTarget::Message(m)),
        _ => chosen.get(),
    }
}

/// A target as the value of an option.
fn encode(target: MenuTarget) -> String {
    match target {
        MenuTarget::Node(n) => format!("n{n}"),
        MenuTarget::Link(a, b) => format!("l{a}-{b}"),
        MenuTarget::Message(m) => format!("m{m}"),
    }
}

fn decode(text: &str) -> Option<MenuTarget> {
    let (kind, rest) = text.split_at_checked(1)?;
    match kind {
        "n" => rest.parse().ok().map(MenuTarget::Node),
        "m" => rest.parse().ok().map(MenuTarget::Message),
        "l" => {
            let (a, b) = rest.split_once('-')?;
            Some(MenuTarget::Link(a.parse().ok()?, b.parse().ok()?))
        }
        _ => None,
    }
}

/// The row of faults under the stage.
#[component]
pub(crate) fn Palette() -> impl IntoView {
    let bench = use_bench();
    let chosen = RwSignal::new(None::<MenuTarget>);
    // The nodes change only with the run; comparing names keeps the list from being rebuilt.
    let nodes = Memo::new(move |_| {
        bench.view.with(|v| {
            let mut nodes: Vec<(u32, String, Role)> = v
                .nodes
                .iter()
                .map(|n| (n.id, n.title.clone(), n.role))
                .collect();
            nodes.sort_by_key(|(id, _, role)| (*role != Role::Store, *id));
            nodes
        })
    });
    let target = Memo::new(move |_| {
        aimed(bench, chosen)
            .or_else(|| nodes.with(|n| n.first().map(|(id, ..)| MenuTarget::Node(*id))))
    });
    // Offers hold while nothing happens; asked again with each publication, drawn only on change.
    let list = Memo::new(move |_| {
        bench.tick.track();
        let offers = target.get().map(|t| offers(bench, t)).unwrap_or_default();
        let rows = offers
            .iter()
            .filter(|o| short(o.id).is_some())
            .filter(|o| {
                bench
                    .controls
                    .with(|c| c.is_empty() || c.iter().any(|id| id == o.id))
            })
            .map(|o| (o.id, o.label.clone(), o.disabled_because.clone()));
        rows.collect::<Vec<_>>()
    });
    let choose = move |ev| {
        chosen.set(decode(&event_target_value(&ev)));
        bench.selected.set(match chosen.get_untracked() {
            Some(MenuTarget::Node(n)) => Some(Selection::Node(n)),
            Some(MenuTarget::Link(a, b)) => Some(Selection::Link(a, b)),
            Some(MenuTarget::Message(m)) => Some(Selection::Message(m)),
            None => None,
        });
    };
    view! {
        <div class="palette" data-testid="palette">
            <label class="palette-target">
                <span>"Break"</span>
                <select class="select" id="palette-target" data-testid="palette-target" on:change=choose>
                    <TargetOptions bench nodes target />
                </select>
            </label>
            <div class="palette-tools" role="toolbar" aria-label="Faults" on:keydown=rove>
                {move || {
                    list.get()
                        .into_iter()
                        .enumerate()
                        .map(|(i, (id, label, because))| {
                            view! { <Tool bench target first=i == 0 id label because /> }
                        })
                        .collect_view()
                }}
                <MoreButton bench target />
            </div>
            <UndoButton bench />
        </div>
    }
}

#[component]
fn TargetOptions(
    bench: Bench,
    nodes: Memo<Vec<(u32, String, Role)>>,
    target: Memo<Option<MenuTarget>>,
) -> impl IntoView {
    let node_options = move || {
        nodes.with(|n| {
            n.iter()
                .map(|(id, title, _)| {
                    let this = MenuTarget::Node(*id);
                    view! {
                        <option value=encode(this) selected=move || target.get() == Some(this)>
                            {title.clone()}
                        </option>
                    }
                })
                .collect_view()
        })
    };
    let link_options = move || {
        nodes.with(|all| {
            let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (a, b)));
            pairs
                .filter(|(a, b)| a.0 < b.0 && (a.2 == Role::Store || b.2 == Role::Store))
                .map(|(a, b)| {
                    let this = MenuTarget::Link(a.0, b.0);
                    view! {
                        <option value=encode(this) selected=move || target.get() == Some(this)>
                            {format!("{} – {}", a.1, b.1)}
                        </option>
                    }
                })
                .collect_view()
        })
    };
    let other = move || {
        let this = target.get()?;
        let listed = match this {
            MenuTarget::Node(_) => true,
            MenuTarget::Link(a, b) => a < b,
            MenuTarget::Message(_) => false,
        };
        (!listed).then(|| {
            view! {
                <option value=encode(this) selected=true>
                    {title_of(bench, this)}
                </option>
            }
        })
    };
    view! {
        {other}
        <optgroup label="Nodes">{node_options}</optgroup>
        <optgroup label="Links">{link_options}</optgroup>
    }
}

#[component]
fn Tool(
    bench: Bench,
    target: Memo<Option<MenuTarget>>,
    first: bool,
    id: &'static str,
    label: String,
    because: Option<String>,
) -> impl IntoView {
    let act = move |_| {
        let Some(target) = target.get_untracked() else {
            return;
        };
        if let Some(offer) = offers(bench, target).iter().find(|o| o.id == id) {
            take(bench, offer, target);
        }
    };
    let disabled = because.is_some();
    let name = short(id).unwrap_or_default();
    let title = match because {
        Some(because) => format!("{name}. {label}: {because}"),
        None => format!("{name}. {label}"),
    };
    view! {
        <button
            type="button"
            class="tool"
            data-testid=format!("fault-{id}")
            tabindex=if first { "0" } else { "-1" }
            aria-disabled=disabled.to_string()
            title=title.clone()
            aria-label=title
            on:click=act
        >
            {icon(id)}
            <span aria-hidden="true">{name}</span>
        </button>
    }
}

/// Opens the menu with everything that can be done to the target.
#[component]
fn MoreButton(bench: Bench, target: Memo<Option<MenuTarget>>) -> impl IntoView {
    let open = move |ev: web_sys::MouseEvent| {
        let Some(target) = target.get_untracked() else {
            return;
        };
        let holder = ev
            .current_target()
            .and_then(|t| t.dyn_into::<web_sys::Element>().ok());
        let Some(rect) = holder.map(|h| h.get_bounding_client_rect()) else {
            return;
        };
        bench.menu.set(Some(MenuRequest {
            target,
            x: rect.left(),
            y: rect.top() - 320.0,
        }));
    };
    view! {
        <button
            type="button"
            class="tool"
            tabindex="-1"
            data-testid="fault-more"
            aria-haspopup="menu"
            aria-label="All faults for this target"
            title="All faults for this target"
            on:click=open
        >
            {icon("more")}
            <span aria-hidden="true">"All"</span>
        </button>
    }
}

#[component]
fn UndoButton(bench: Bench) -> impl IntoView {
    let what = move || bench.hud.with(|h| h.undo.clone());
    view! {
        <button
            type="button"
            class="button small undo"
            data-testid="undo"
            aria-disabled=move || what().is_none().to_string()
            title=move || what().map_or("Nothing to undo".to_owned(), |w| format!("Undo: {w} (u)"))
            on:click=move |_| bench.undo()
        >
            {icon("undo")}
            "Undo"
        </button>
    }
}

/// Arrow keys move the focus among the children of a toolbar or menu.
pub(super) fn rove(ev: web_sys::KeyboardEvent) {
    let Some(holder) = ev
        .current_target()
        .and_then(|t| t.dyn_into::<web_sys::Element>().ok())
    else {
        return;
    };
    let Ok(items) = holder.query_selector_all("button") else {
        return;
    };
    let items: Vec<web_sys::HtmlElement> = (0..items.length())
        .filter_map(|i| items.get(i)?.dyn_into().ok())
        .collect();
    let focused = document().active_element();
    let at = items
        .iter()
        .position(|e| focused.as_ref().is_some_and(|f| f.is_same_node(Some(e))));
    let (Some(at), n) = (at, items.len()) else {
        return;
    };
    let to = match ev.key().as_str() {
        "ArrowRight" | "ArrowDown" => (at + 1) % n,
        "ArrowLeft" | "ArrowUp" => (at + n - 1) % n,
        "Home" => 0,
        "End" => n - 1,
        _ => return,
    };
    ev.prevent_default();
    ev.stop_propagation();
    items[at].set_tab_index(-1);
    items[to].set_tab_index(0);
    // An item that cannot take the focus leaves it where it is.
    let _ = items[to].focus();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_survive_the_round_trip_through_an_option() {
        for t in [
            MenuTarget::Node(7),
            MenuTarget::Link(3, 10),
            MenuTarget::Message(1 << 60),
        ] {
            assert_eq!(decode(&encode(t)), Some(t));
        }
        for text in ["", "n", "x3", "l3", "l3-", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
