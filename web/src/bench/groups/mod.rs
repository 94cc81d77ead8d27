//! Consumer groups on the stage: who owns which partition, how far each is, and what stands still.
//!
//! The stage panel shows the cluster or one group; where the scenario has groups, the first of them
//! is shown at first. The board says no more than the engine's [`GroupView`] and decides nothing.

mod board;
mod draw;
mod shared;
mod words;

use leptos::prelude::*;
use sim_core::view::GroupView;
use wasm_bindgen::JsCast;

use super::Bench;
use crate::format::seconds;
use crate::listen::marked;
use crate::stage::{MenuRequest, MenuTarget, Selection, Watch, on_resize};
use crate::ui::keep;
use board::Board;
use draw::{Sight, Thing};

pub(crate) use words::GroupTables;
pub(super) use words::{Row, table};

/// What the stage panel shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum OnStage {
    /// The first group, or else the cluster.
    #[default]
    Usual,
    /// Nodes and copies.
    Cluster,
    /// A group, by its name.
    Group(String),
    /// The job of a stream processor.
    Job,
}

impl OnStage {
    /// The group that is shown, of those that there are.
    pub(super) fn group(&self, names: &[String]) -> Option<String> {
        match self {
            OnStage::Usual => names.first().cloned(),
            OnStage::Cluster | OnStage::Job => None,
            OnStage::Group(name) => names.iter().find(|it| *it == name).cloned(),
        }
    }

    /// Whether the job is shown, if there is one.
    pub(super) fn job(&self, names: &[String]) -> bool {
        match self {
            OnStage::Job => true,
            OnStage::Usual => names.is_empty(),
            OnStage::Cluster | OnStage::Group(_) => false,
        }
    }
}

/// The names of the groups; they stand in the scenario.
pub(super) fn names(bench: Bench) -> Memo<Vec<String>> {
    Memo::new(move |_| {
        bench
            .groups
            .with(|all| all.iter().map(|it| it.name.clone()).collect())
    })
}

/// The choice between the cluster and the groups; nothing where there is no group.
#[component]
pub(super) fn StageSwitch(
    bench: Bench,
    names: Memo<Vec<String>>,
    job: Memo<bool>,
) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let (on, names) = (bench.on_stage.get(), names.get());
        match on.group(&names) {
            Some(name) => OnStage::Group(name),
            None if job.get() && on.job(&names) => OnStage::Job,
            None => OnStage::Cluster,
        }
    });
    let choice = move |to: OnStage, test: String, text: String| {
        let of = to.clone();
        view! {
            <button
                type="button"
                data-testid=test
                aria-pressed=move || (shown.get() == of).to_string()
                on:click=move |_| bench.on_stage.set(to.clone())
            >
                {text}
            </button>
        }
    };
    move || {
        let names = names.get();
        (!names.is_empty() || job.get()).then(|| {
            let groups = names.into_iter().map(|name| {
                let (test, text) = (format!("show-{name}"), format!("Group {name}"));
                choice(OnStage::Group(name), test, text)
            });
            let machines = if job.get() { "Machines" } else { "Brokers" };
            view! {
                <div class="segments stage-switch" role="group" aria-label="On the stage">
                    {job.get().then(|| choice(OnStage::Job, "show-job".to_owned(), "Job".to_owned()))}
                    {groups.collect_view()}
                    {choice(OnStage::Cluster, "show-cluster".to_owned(), machines.to_owned())}
                </div>
            }
        })
    }
}

/// A group by its name.
pub(super) fn group(bench: Bench, name: String) -> Memo<Option<GroupView>> {
    Memo::new(move |_| {
        bench
            .groups
            .with(|all| all.iter().find(|it| it.name == name).cloned())
    })
}

/// One group on the stage.
#[component]
pub(super) fn GroupStage(bench: Bench, name: String) -> impl IntoView {
    let group = group(bench, name);
    let sharing = Memo::new(move |_| group.with(|it| it.as_ref().is_some_and(|it| it.sharing)));
    view! {
        <section
            class="group-stage"
            aria-label=move || if sharing.get() { "Share group" } else { "Consumer group" }
            data-testid="group-stage"
        >
            <BoardPlane bench group sharing />
            {move || if sharing.get() { shared_legend().into_any() } else { legend().into_any() }}
        </section>
    }
}

/// What the coordinator says of the group.
#[component]
pub(super) fn GroupHead(bench: Bench, group: Memo<Option<GroupView>>) -> impl IntoView {
    let of = move |read: fn(&GroupView) -> String| {
        move || group.with(|it| it.as_ref().map(read).unwrap_or_default())
    };
    let sharing = Memo::new(move |_| group.with(|it| it.as_ref().is_some_and(|g| g.sharing)));
    let sharing = move || sharing.get();
    let settled = move || group.with(|it| it.as_ref().is_some_and(|g| g.settled));
    let generation = of(|it| match it.generation {
        Some(number) => format!("{} {number}", it.round),
        None => String::new(),
    });
    let coordinator = Memo::new(move |_| {
        let node = group.with(|it| it.as_ref()?.coordinator)?;
        let title = bench.view.with(|v| {
            let found = v.nodes.iter().find(|it| it.id == node);
            found.map_or_else(String::new, |it| it.title.clone())
        });
        Some((node, title))
    });
    view! {
        <div class="group-head">
            <span
                class="chip"
                class:sea=settled
                class:sand=move || !settled()
                data-testid="group-state"
            >
                {of(|it| it.state.clone())}
            </span>
            <span class="mono" data-testid="group-generation">{generation}</span>
            <span class="muted">{of(|it| it.assignor.clone())}</span>
            {move || {
                coordinator
                    .get()
                    .map(|(node, title)| {
                        let pick = move |_| bench.selected.set(Some(Selection::Node(node)));
                        view! {
                            <button
                                type="button"
                                class="link-button"
                                data-testid="group-coordinator"
                                on:click=pick
                            >
                                {format!("{title} coordinates")}
                            </button>
                        }
                    })
            }}
            {move || if sharing() {
                view! {
                    <span
                        class="muted"
                        title="Several members read one partition; each record is one member's at a time"
                    >
                        "share group: nobody owns a partition"
                    </span>
                }
                    .into_any()
            } else {
                view! {
                    <span
                        class="muted"
                        title="How long partitions were without an owner so far, all of them added up"
                    >
                        "without an owner so far: "
                        <span class="mono" data-testid="group-stopped">
                            {of(|it| seconds(it.stopped))}
                        </span>
                    </span>
                }
                    .into_any()
            }}
        </div>
    }
}

#[component]
fn BoardPlane(bench: Bench, group: Memo<Option<GroupView>>, sharing: Memo<bool>) -> impl IntoView {
    let plane = NodeRef::<leptos::html::Div>::new();
    let width = RwSignal::new(0.0_f64);
    let near = RwSignal::new(None::<Thing>);
    let stop = RwSignal::new(None::<Thing>);
    let watch = StoredValue::new_local(None::<Watch>);
    Effect::new(move || {
        let watched = plane.get().and_then(|it| {
            on_resize(&it, move |w, _| {
                let _ = width.try_set(w);
            })
        });
        watch.set_value(watched);
    });
    // By counts and width alone, so that only a new structure is laid out anew.
    let laid = Memo::new(move |_| {
        let counts = group.with(|it| it.as_ref().map(|g| (g.members.len(), g.shares.len())));
        let (members, shares) = counts.unwrap_or_default();
        Board::new(members, shares, width.get())
    });
    keep(plane, move || {
        group.with(|group| {
            let Some(group) = group else {
                return Vec::new();
            };
            let (near, stop, selected) = (near.get(), stop.get(), bench.selected.get());
            let sight = Sight {
                group,
                now: bench.view.with(|v| v.now),
                near: near.as_ref(),
                selected: selected.as_ref(),
                stop: stop.as_ref(),
            };
            laid.with(|board| draw::board(board, &sight))
        })
    });
    let on = move |event: &web_sys::Event| {
        marked(event, "data-own").and_then(|(_, key)| Thing::parse(&key))
    };
    let class = move || {
        let (tiles, narrow) = laid.with(|board| (board.tiles, board.narrow));
        let all = [
            (true, "group-board"),
            (tiles, "tiles"),
            (narrow, "narrow"),
            (sharing.get(), "sharing"),
        ];
        let on = all.into_iter().filter(|it| it.0).map(|it| it.1);
        on.collect::<Vec<_>>().join(" ")
    };
    view! {
        <div
            class=class
            role="group"
            aria-label="Members and partitions. Arrow keys go from one to the next, Enter selects."
            node_ref=plane
            style:height=move || laid.with(|board| format!("{:.1}px", board.height))
            on:pointerover=move |ev| near.set(on(&ev))
            on:pointerleave=move |_| near.set(None)
            on:focusin=move |ev| {
                let thing = on(&ev);
                near.set(thing.clone());
                stop.set(thing);
            }
            on:focusout=move |_| near.set(None)
            on:click=move |ev| {
                if let Some(thing) = on(&ev) {
                    pick(bench, &thing);
                }
            }
            on:contextmenu=move |ev| {
                if menu(bench, &ev) {
                    ev.prevent_default();
                }
            }
            on:keydown=move |ev| {
                let asks = ev.key() == "ContextMenu" || ev.shift_key() && ev.key() == "F10";
                if asks && menu(bench, &ev) || walk(&ev, ".group-board") {
                    ev.prevent_default();
                    ev.stop_propagation();
                }
            }
        ></div>
    }
}

/// Picks a member, or the copy of a partition on its leader; what is picked already is let go.
fn pick(bench: Bench, thing: &Thing) {
    let selection = match thing {
        Thing::Member(node) => Some(Selection::Node(*node)),
        Thing::Share(lane) => bench.view.with_untracked(|v| {
            let summary = v.lanes.iter().find(|it| it.id == *lane);
            let node = summary.and_then(|it| it.leader)?;
            let lane = lane.clone();
            Some(Selection::Lane { node, lane })
        }),
    };
    let same = bench.selected.with_untracked(|it| *it == selection);
    bench.selected.set(selection.filter(|_| !same));
}

/// Opens the faults of a member; true if it is one.
fn menu(bench: Bench, event: &web_sys::Event) -> bool {
    let Some((element, key)) = marked(event, "data-own") else {
        return false;
    };
    let Some(Thing::Member(node)) = Thing::parse(&key) else {
        return false;
    };
    let at = element.get_bounding_client_rect();
    bench.menu.set(Some(MenuRequest {
        target: MenuTarget::Node(node),
        x: at.x(),
        y: at.bottom(),
    }));
    true
}

/// Goes to the next or the previous thing on a board; true if the key asked for that.
pub(super) fn walk(event: &web_sys::KeyboardEvent, board: &str) -> bool {
    let Some((here, key)) = marked(event, "data-own") else {
        return false;
    };
    let board = here.closest(board).ok().flatten();
    let list = board.map(|it| it.query_selector_all("[data-own]"));
    let Some(Ok(list)) = list else { return false };
    let all =
        (0..list.length()).filter_map(|i| list.item(i)?.dyn_into::<web_sys::HtmlElement>().ok());
    let all: Vec<_> = all.collect();
    let own = |it: &web_sys::HtmlElement| it.get_attribute("data-own").is_some_and(|k| k == key);
    let Some(i) = all.iter().position(own) else {
        return false;
    };
    let to = match event.key().as_str() {
        "ArrowDown" | "ArrowRight" => (i + 1) % all.len(),
        "ArrowUp" | "ArrowLeft" => (i + all.len() - 1) % all.len(),
        "Home" => 0,
        "End" => all.len() - 1,
        _ => return false,
    };
    // An element that cannot take the focus leaves it where it is.
    let _ = all[to].focus();
    true
}

fn sample(class: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <span class=match class {
            "gb-lag" => "gb-key of-tiles",
            "gb-idle" => "gb-key",
            _ => "gb-key of-strips",
        }>
            <span class=format!("gb-sample {class}") aria-hidden="true"></span>
            {text}
        </span>
    }
}

fn legend() -> impl IntoView {
    view! {
        <p class="gb-legend">
            {sample("gb-done", "committed")} {sample("gb-read", "read, not committed")}
            {sample("gb-kept", "not read yet")} {sample("gb-committed", "committed offset")}
            {sample("gb-position", "position")} {sample("gb-hw", "high watermark")}
            {sample("gb-lso", "last stable offset")} {sample("gb-lag", "lag, on one scale for all")}
            {sample("gb-idle", "nobody works on it")}
        </p>
    }
}

fn shared_legend() -> impl IntoView {
    view! {
        <p class="gb-legend">
            {sample("gb-done", "finished")} {sample("gb-acquired", "acquired: one member has it")}
            {sample("gb-acknowledged", "acknowledged, behind one that is not")}
            {sample("gb-available", "available again")} {sample("gb-archived", "archived: given up")}
            {sample("gb-kept", "not handed out yet")} {sample("gb-committed", "start offset (SPSO)")}
            {sample("gb-position", "end offset (SPEO)")}
            {sample("gb-lag", "not finished, on one scale for all")}
            {sample("gb-idle", "no member that reads it works")}
        </p>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_group_is_shown_unless_something_else_was_chosen() {
        let names = ["a".to_owned(), "b".to_owned()];
        let check = |on: OnStage, names: &[String], expected: Option<&str>| {
            assert_eq!(on.group(names).as_deref(), expected, "{on:?}");
        };
        check(OnStage::Usual, &names, Some("a"));
        check(OnStage::Usual, &[], None);
        check(OnStage::Cluster, &names, None);
        check(OnStage::Group("b".to_owned()), &names, Some("b"));
        check(OnStage::Group("gone".to_owned()), &names, None);
    }
}
