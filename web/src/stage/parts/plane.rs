//! The plane: everything that has a place, the canvas over it, and the input to both.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use sim_core::view::StageView;

use super::lines::{Over, Under};
use super::matrix::Matrix;
use super::node::Node;
use super::px;
use super::slow::slow;
use super::strip::Strip;
use crate::stage::input::{Input, Tip};
use crate::stage::paint::{PROBES, Painter};
use crate::stage::plan::route::Routes;
use crate::stage::plan::{Outline, Plan};
use crate::stage::scene::{Scene, words};
use crate::stage::{MenuRequest, Selection, Zoom, shapes};

/// A plan with what it was made from and its paths.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::stage) struct Layout {
    pub(in crate::stage) outline: Arc<Outline>,
    pub(in crate::stage) plan: Plan,
    pub(in crate::stage) routes: Arc<Routes>,
}

/// The painter, once the canvas is mounted.
pub(in crate::stage) type PainterCell = Rc<RefCell<Option<Painter>>>;

/// What all parts of a stage share. Cheap to copy.
#[derive(Clone, Copy)]
pub(in crate::stage) struct Shared {
    pub(in crate::stage) view: Signal<Arc<StageView>>,
    pub(in crate::stage) layout: Memo<Arc<Layout>>,
    pub(in crate::stage) scene: Memo<Arc<Scene>>,
    pub(in crate::stage) selected: RwSignal<Option<Selection>>,
    pub(in crate::stage) picked_link: Memo<Option<(u32, u32)>>,
    pub(in crate::stage) zoom: RwSignal<Zoom>,
    pub(in crate::stage) on_menu: Callback<MenuRequest>,
    pub(in crate::stage) painter: StoredValue<PainterCell, LocalStorage>,
    /// The token under the pointer.
    pub(in crate::stage) tip: RwSignal<Option<Tip>>,
}

/// The plane of the stage.
#[component]
pub(in crate::stage) fn Plane(
    /// What the parts share.
    shared: Shared,
    /// The plane's element, whose width the layout follows.
    plane: NodeRef<html::Div>,
    /// The canvas.
    canvas: NodeRef<html::Canvas>,
    /// The stage's number on the page.
    number: u32,
) -> impl IntoView {
    let nodes = Memo::new(move |_| {
        shared.layout.with(|l| {
            let places = l.plan.places.iter().enumerate();
            places.map(|(i, p)| (i, p.node, p.kind)).collect::<Vec<_>>()
        })
    });
    let height = move || px(shared.layout.with(|l| l.plan.height));
    let matrix = Memo::new(move |_| shared.layout.with(|l| !l.plan.rows.is_empty()));
    let strips = Memo::new(move |_| {
        shared.layout.with(|l| {
            let strips = l.plan.strips.iter().enumerate();
            strips.map(|(i, s)| (i, s.node, s.lane)).collect::<Vec<_>>()
        })
    });
    let input = Input::new(shared, plane);
    let probes = PROBES.map(|name| view! { <i class=format!("stage-probe-{name}")></i> });
    let under_way = canvas_words(shared.view);
    view! {
        <div
            class="stage-plane"
            class:matrix=matrix
            node_ref=plane
            role="group"
            aria-label="Stage"
            aria-describedby=format!("stage-hint-{number}")
            style:height=height
            on:click=move |e| input.click(&e)
            on:dblclick=move |e| input.double_click(&e)
            on:contextmenu=move |e| input.context_menu(&e)
            on:keydown=move |e| input.key(&e)
            on:focusin=move |e| input.focus(&e)
            on:pointermove=move |e| input.hover(&e)
            on:pointerleave=move |_| shared.tip.set(None)
        >
            <Under shared=shared />
            <For each=move || nodes.get() key=|n| *n let(n)>
                <Node shared=shared index=n.0 node=n.1 />
            </For>
            <Show when=move || matrix.get()>
                <Matrix shared=shared number=number />
            </Show>
            <ControlText shared=shared />
            <For each=move || strips.get() key=|n| *n let(n)>
                <Strip shared=shared index=n.0 node=n.1 />
            </For>
            <Over shared=shared />
            <canvas
                class="stage-tokens-canvas"
                node_ref=canvas
                role="img"
                aria-label=under_way
            ></canvas>
            <TokenTip shared=shared />
            <span class="stage-probes" aria-hidden="true">{probes}</span>
        </div>
    }
}

/// The words about the quorum and the lane.
#[component]
fn ControlText(shared: Shared) -> impl IntoView {
    let label = Memo::new(move |_| shared.layout.with(|l| l.plan.control_label));
    let text = Memo::new(move |_| shared.layout.with(|l| l.plan.control_text));
    let words = Memo::new(move |_| shared.scene.with(|s| s.control.clone()));
    let short = Memo::new(move |_| label.get().w < 100.0);
    view! {
        <span
            class="st-control-label"
            style:left=super::at!(label, x)
            style:top=super::at!(label, y)
            style:width=super::at!(label, w)
            style:height=super::at!(label, h)
            hidden=move || label.get().w == 0.0
        >
            {move || if short.get() { "Quorum" } else { "Controller quorum" }}
        </span>
        <div
            class="st-control-text"
            style:left=super::at!(text, x)
            style:top=super::at!(text, y)
            style:width=super::at!(text, w)
            style:height=super::at!(text, h)
        >
            <span>{move || words.get().0}</span>
            <span class="st-lane-words">{move || words.get().1}</span>
        </div>
    }
}

/// What a screen reader says of the canvas.
fn canvas_words(view: Signal<Arc<StageView>>) -> impl Fn() -> String {
    let view = slow(view, 1_000.0);
    move || {
        view.with(|v| {
            let total = v.tokens.len() as u64 + u64::from(v.tokens_hidden);
            let held = v.tokens.iter().filter(|t| t.held).count();
            let mut out = format!("{total} messages under way");
            if held > 0 {
                out.push_str(&format!(", {held} of them held at a cut link"));
            }
            let kinds: Vec<String> = shapes::ALL
                .iter()
                .filter_map(|&shape| {
                    let n = v.tokens.iter().filter(|t| t.shape == shape).count();
                    (n > 0).then(|| format!("{n} {}", words::shape(shape)))
                })
                .collect();
            if !kinds.is_empty() {
                out.push_str(": ");
                out.push_str(&kinds.join(", "));
            }
            out
        })
    }
}

/// Says what the token under the pointer is.
#[component]
fn TokenTip(shared: Shared) -> impl IntoView {
    let body = move || {
        let tip = shared.tip.get()?;
        let width = shared.layout.with_untracked(|l| l.plan.width);
        // On the left half to the right of the pointer, on the right half to the left.
        let left = tip.at.x < width / 2.0;
        let mut side = String::from(if left {
            "stage-tip"
        } else {
            "stage-tip to-left"
        });
        if tip.at.y < 64.0 {
            side.push_str(" under");
        }
        Some(view! {
            <div class=side style:left=px(tip.at.x) style:top=px(tip.at.y) aria-hidden="true">
                {tip.words}
            </div>
        })
    };
    view! { {body} }
}
