//! Links: those with faults always, those in use faintly while the picture stays legible.

use sim_core::view::{Role, StageView};

use super::words;
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

/// A link as it is drawn.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LinkScene {
    /// Sender.
    pub(crate) from: u32,
    /// Receiver.
    pub(crate) to: u32,
    /// How it is drawn.
    pub(crate) look: LinkLook,
    /// The fault holds in the other direction too.
    pub(crate) both: bool,
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

/// Where on its path the mark of a fault stands; held tokens queue before it.
pub(crate) const MARK_AT: f64 = 0.5;

pub(super) fn links(view: &StageView, plan: &Plan, routes: &Routes) -> Vec<LinkScene> {
    let mut out: Vec<LinkScene> = Vec::new();
    for link in &view.links {
        let look = if link.cut {
            LinkLook::Cut
        } else {
            LinkLook::Bad
        };
        let twin = out
            .iter_mut()
            .find(|l| (l.from, l.to) == (link.to, link.from));
        if let Some(twin) = twin.filter(|t| t.look == look && look == LinkLook::Cut) {
            twin.both = true;
            if let Some(back) = routes.get(link.from, link.to) {
                let mid = back.at(MARK_AT);
                twin.path.push_str(&back.to_svg());
                twin.mid = pt((twin.mid.x + mid.x) / 2.0, (twin.mid.y + mid.y) / 2.0);
            }
            twin.aria = format!(
                "Link between {} and {}, cut both ways",
                words::title(view, link.to),
                words::title(view, link.from)
            );
            continue;
        }
        let label = words_for(link.cut, link.slow_by, link.loss_ppm);
        let state = if link.cut {
            "cut".to_owned()
        } else {
            label.join(", ")
        };
        let names = (words::title(view, link.from), words::title(view, link.to));
        let aria = format!("Link from {} to {}, {state}", names.0, names.1);
        out.extend(scene(routes, plan, (link.from, link.to), look, label, aria));
    }
    for token in view.tokens.iter().filter(|t| t.held) {
        let here = |l: &&mut LinkScene| {
            (l.from, l.to) == (token.from, token.to)
                || l.both && (l.to, l.from) == (token.from, token.to)
        };
        if let Some(link) = out.iter_mut().find(here) {
            link.held += 1;
            let path = routes.get(token.from, token.to);
            link.queue_below = path.is_some_and(|p| p.heading(MARK_AT).sin() < 0.0);
        }
    }
    if plan.is_matrix() {
        return out;
    }
    for token in &view.tokens {
        let known = |l: &LinkScene| {
            (l.from, l.to) == (token.from, token.to) || (l.from, l.to) == (token.to, token.from)
        };
        if out.len() >= QUIET_MAX + view.links.len() {
            break;
        }
        // The quorum's rail is drawn anyway.
        let quorum = |id: u32| plan.place(id).is_none_or(|p| p.role == Role::Control);
        if !out.iter().any(known) && !quorum(token.from) && !quorum(token.to) {
            let (a, b) = (token.from.min(token.to), token.from.max(token.to));
            let aria = format!(
                "Link between {} and {}",
                words::title(view, a),
                words::title(view, b)
            );
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
    out
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
        lines.push(format!("{} % lost", f64::from(loss_ppm) / 10_000.0));
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
    let mid = path.at(MARK_AT);
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
        both: false,
        path: path.to_svg(),
        mid: pt(
            mid.x.clamp(half, (plan.width - half).max(half)),
            mid.y - lift,
        ),
        heading: path.heading(MARK_AT).to_degrees(),
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
