//! What a workbench has around stage, ledger and transport: the bar with its tabs, the panels behind
//! them, inspector, faults, marks, branches, dialogs and keys. The workbench itself knows it by
//! [`Rest`] alone.

use leptos::prelude::*;

use super::branches::Branches;
use super::compare::ComparePanel;
use super::events::EventsPanel;
use super::fault_menu::FaultMenu;
use super::faults::Palette;
use super::inspector::Inspector;
use super::keys::{KeysDialog, listen};
use super::ledger::LedgerPanel;
use super::metrics::MetricsPanel;
use super::panels::Workbench;
use super::script::ScriptPanel;
use super::share::ShareDialog;
use super::spacetime::SpaceTimePanel;
use super::timeline::MarkList;
use super::transport::Speed;
use super::{Bench, Tab, debug, work};
use crate::ui::icon;
use crate::ui::tabs::{TabSpec, Tabs};

/// The parts, made where they lie.
#[derive(Clone, Copy)]
pub(crate) struct Rest {
    /// Keys, keeping of work, hooks for tests.
    pub(super) start: fn(Bench),
    /// The bar above everything.
    pub(super) bar: fn(Bench) -> AnyView,
    /// The panel of a tab; `None` for the stage.
    pub(super) panel: fn(&'static str) -> Option<AnyView>,
    /// The dock beside the panel.
    pub(super) inspector: fn() -> AnyView,
    /// The faults below it.
    pub(super) palette: fn() -> AnyView,
    /// The choice of the speed.
    pub(super) speed: fn(Bench) -> AnyView,
    /// Marks and branches at the end of the timeline.
    pub(super) runs: fn() -> AnyView,
    /// Menus and dialogs.
    pub(super) overlays: fn(Bench) -> AnyView,
}

const REST: Rest = Rest {
    start: |bench| {
        debug::expose_rest(bench);
        work::keep_while_open(bench);
        listen(bench);
    },
    bar: |bench| view! { <BenchBar bench /> }.into_any(),
    panel,
    inspector: || view! { <Inspector /> }.into_any(),
    palette: || view! { <Palette /> }.into_any(),
    speed: |bench| view! { <Speed bench /> }.into_any(),
    runs: || {
        view! {
            <MarkList />
            <Branches />
        }
        .into_any()
    },
    overlays: |bench| {
        view! {
            <FaultMenu />
            <ShareDialog />
            <KeysDialog open=bench.keys_open />
        }
        .into_any()
    },
};

/// The whole workbench of the page. Needs a [`Bench`] in context.
#[component]
pub(crate) fn FullWorkbench(
    /// Its place among the flex items of a narrow page.
    #[prop(optional, into)]
    order: Option<Signal<i32>>,
) -> impl IntoView {
    view! { <Workbench rest=REST order /> }
}

fn panel(tab: &'static str) -> Option<AnyView> {
    let body = match tab {
        Tab::SPACETIME => view! { <SpaceTimePanel /> }.into_any(),
        Tab::EVENTS => view! { <EventsPanel /> }.into_any(),
        Tab::LEDGER => view! { <LedgerPanel /> }.into_any(),
        Tab::METRICS => view! { <MetricsPanel /> }.into_any(),
        Tab::SCRIPT => view! { <ScriptPanel /> }.into_any(),
        Tab::COMPARE => view! { <ComparePanel /> }.into_any(),
        _ => return None,
    };
    Some(body)
}

#[component]
fn BenchBar(bench: Bench) -> impl IntoView {
    let tabs = move || -> Vec<TabSpec> {
        let mut tabs = vec![
            (Tab::STAGE, "Stage"),
            (Tab::SPACETIME, "Space-time"),
            (Tab::EVENTS, "Events"),
            (Tab::LEDGER, "Ledger"),
            (Tab::METRICS, "Metrics"),
            (Tab::SCRIPT, "Script"),
        ];
        if bench.compared.get().is_some() {
            tabs.push((Tab::COMPARE, "Compare"));
        }
        tabs
    };
    view! {
        <div class="bench-bar">
            <Tabs tabs=Signal::derive(tabs) chosen=bench.tab label="Views of the run" />
            <div class="bench-tools">
                <span class="chip mono" data-testid="seed" title="The seed of this run">
                    {move || format!("seed {}", bench.hud.with(|h| h.seed))}
                </span>
                <button
                    type="button"
                    class="button"
                    data-testid="share"
                    on:click=move |_| bench.share_open.set(true)
                >
                    {icon("share")}
                    "Share this run"
                </button>
                <button
                    type="button"
                    class="icon-button"
                    aria-label="Keyboard shortcuts"
                    title="Keyboard shortcuts (?)"
                    on:click=move |_| bench.keys_open.set(true)
                >
                    {icon("help")}
                </button>
            </div>
        </div>
    }
}
