//! Links: those with faults always, those in use faintly while the picture stays legible.

use sim_core::few;
use sim_core::view::{LinkView, Role, StageView};

use super::words;
use crate::lengths::{number, within};
use crate::stage::plan::geom::{Face, Pt, pt, text_width};
use crate::stage::plan::route::{PathLine, Routes};
use crate::stage::plan::{Plan, Width};

/// Links in use drawn at most; beyond that the tokens themselves show the way.
const QUIET_MAX: usize = 24;

/// How a link is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkLook {
    /// Nothing passes.
    Cut,
    /// Delayed or lossy.
    Bad,
    /// As it should be, and in use.
    Quiet,
}

/// A link as it is drawn, or several that are told as one.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LinkScene {
    /// Sender.
    pub(crate) from: u32,
    /// Receiver.
    pub(crate) to: u32,
    /// All pairs told here: both ways, or a node's links to all controllers.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// The node whose links to the quorum these are.
    pub(crate) quorum: Option<u32>,
    /// How it is drawn.
    pub(crate) look: LinkLook,
    /// SVG path data.
    pub(crate) path: String,
    /// Where its mark stands.
    pub(crate) mid: Pt,
    /// Direction there, degrees.
    pub(crate) heading: f64,
    /// Words of the mark, by lines.
    pub(crate) label: Vec<String>,
    /// Messages that wait at the mark.
    pub(crate) held: usize,
    /// They queue under the mark, so that their number stands over it.
    pub(crate) queue_below: bool,
    /// What a screen reader says.
    pub(crate) aria: String,
}

impl LinkScene {
    /// The fault holds in both directions.
    pub(crate) fn both(&self) -> bool {
        self.pairs.contains(&(self.to, self.from))
    }
}

pub(super) fn links(view: &StageView, plan: &Plan, routes: &Routes) -> Vec<LinkScene> {
    let mut out: Vec<LinkScene> = Vec::new();
    for link in &view.links {
        if !(link.cut && join(&mut out, view, plan, routes, (link.from, link.to))) {
            out.extend(fault(view, plan, routes, link));
        }
    }
    for token in view.tokens.iter().filter(|t| t.held) {
        let pair = (token.from, token.to);
        if let Some(link) = out.iter_mut().find(|l| l.pairs.contains(&pair)) {
            link.held += 1;
            let path = routes.get(token.from, token.to);
            link.queue_below = path.is_some_and(|p| p.heading(p.mark()).sin() < 0.0);
        }
    }
    if !plan.is_matrix() {
        add_quiet(&mut out, view, plan, routes);
    }
    out
}

/// The end of a link that is no controller, if the other is one.
fn quorum_end(plan: &Plan, (from, to): (u32, u32)) -> Option<u32> {
    let control = |id: u32| plan.place(id).is_some_and(|p| p.role == Role::Control);
    match (control(from), control(to)) {
        (true, false) => Some(to),
        (false, true) => Some(from),
        _ => None,
    }
}

/// Adds a cut link to one that is told already: the way back, or another link of the same node to
/// the quorum. Says whether there was one.
fn join(
    out: &mut [LinkScene],
    view: &StageView,
    plan: &Plan,
    routes: &Routes,
    pair: (u32, u32),
) -> bool {
    let end = quorum_end(plan, pair);
    let same = |l: &&mut LinkScene| {
        let back = (l.to, l.from) == pair;
        l.look == LinkLook::Cut && (back || end.is_some() && l.quorum == end)
    };
    let Some(link) = out.iter_mut().find(same) else {
        return false;
    };
    link.pairs.push(pair);
    if let Some(path) = routes.get(pair.0, pair.1) {
        link.path.push_str(&path.to_svg());
        if end.is_none() {
            let mid = path.at_length(path.mark());
            link.mid = pt((link.mid.x + mid.x) / 2.0, (link.mid.y + mid.y) / 2.0);
        }
    }
    let title = |id| words::title(view, id);
    link.aria = match end {
        Some(end) => {
            let other = |&(a, b): &(u32, u32)| if a == end { b } else { a };
            let mut others: Vec<u32> = link.pairs.iter().map(other).collect();
            few::sort_by_key(&mut others, |id| *id);
            others.dedup();
            let names: Vec<String> = others.into_iter().map(title).collect();
            format!("Links between {} and {}, cut", title(end), names.join(", "))
        }
        None => format!(
            "Link between {} and {}, cut both ways",
            title(link.from),
            title(link.to)
        ),
    };
    true
}

fn fault(view: &StageView, plan: &Plan, routes: &Routes, link: &LinkView) -> Option<LinkScene> {
    let look = if link.cut {
        LinkLook::Cut
    } else {
        LinkLook::Bad
    };
    let label = words_for(link.cut, link.slow_by, link.loss_ppm);
    let state = if link.cut {
        "cut".to_owned()
    } else {
        label.join(", ")
    };
    let names = (words::title(view, link.from), words::title(view, link.to));
    let aria = format!("Link from {} to {}, {state}", names.0, names.1);
    scene(routes, plan, (link.from, link.to), look, label, aria)
}

/// Links in use, faintly, one line for both ways.
fn add_quiet(out: &mut Vec<LinkScene>, view: &StageView, plan: &Plan, routes: &Routes) {
    let most = out.len() + QUIET_MAX;
    for token in &view.tokens {
        let (a, b) = (token.from.min(token.to), token.from.max(token.to));
        let known = |l: &LinkScene| l.pairs.contains(&(a, b)) || l.pairs.contains(&(b, a));
        // The quorum's rail is drawn anyway.
        let quorum = |id: u32| plan.place(id).is_none_or(|p| p.role == Role::Control);
        if out.len() >= most || quorum(a) || quorum(b) || out.iter().any(known) {
            continue;
        }
        let names = (words::title(view, a), words::title(view, b));
        let aria = format!("Link between {} and {}", names.0, names.1);
        out.extend(scene(
            routes,
            plan,
            (a, b),
            LinkLook::Quiet,
            Vec::new(),
            aria,
        ));
    }
}

fn words_for(cut: bool, slow_by: u64, loss_ppm: u32) -> Vec<String> {
    let mut lines = Vec::new();
    if cut {
        return lines;
    }
    if slow_by > 0 {
        lines.push(format!("+{}", words::duration(slow_by)));
    }
    if loss_ppm > 0 {
        lines.push(format!(
            "{} % lost",
            number(f64::from(loss_ppm) / 10_000.0, 4)
        ));
    }
    lines
}

fn scene(
    routes: &Routes,
    plan: &Plan,
    (from, to): (u32, u32),
    look: LinkLook,
    label: Vec<String>,
    aria: String,
) -> Option<LinkScene> {
    let path = match look {
        LinkLook::Quiet => middle(routes, from, to)?,
        _ => routes.get(from, to)?.clone(),
    };
    let mid = path.at_length(path.mark());
    // Words may reach over the edge of the stage; the mark moves in then.
    let widest = label
        .iter()
        .map(|l| text_width(l, Face::Text, 12.0))
        .fold(0.0, f64::max);
    // A phone has room for a sign only; the words are in what is read and shown on a touch.
    let small = label.is_empty() || plan.size == Width::Phone;
    let half = if small { 14.0 } else { widest / 2.0 + 10.0 };
    // Words stand over the line, so that tokens pass under them.
    let lift = if small {
        0.0
    } else {
        10.0 + 7.5 * label.len() as f64
    };
    let label = match (look, small) {
        (LinkLook::Bad, true) => vec!["!".to_owned()],
        _ => label,
    };
    Some(LinkScene {
        from,
        to,
        look,
        pairs: vec![(from, to)],
        quorum: quorum_end(plan, (from, to)),
        path: path.to_svg(),
        mid: pt(
            within(mid.x, half, (plan.width - half).max(half)),
            mid.y - lift,
        ),
        heading: path.heading(path.mark()).to_degrees(),
        label,
        held: 0,
        queue_below: false,
        aria,
    })
}

/// One line for both ways, between the paths of the two.
fn middle(routes: &Routes, a: u32, b: u32) -> Option<PathLine> {
    let (there, back) = (routes.get(a, b)?, routes.get(b, a)?);
    Some(there.between(back))
}
