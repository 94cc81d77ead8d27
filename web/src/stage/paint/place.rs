//! Where tokens are at a moment, and which sprite each is. Plain functions of time.
//!
//! `place = (now − depart) / (arrive − depart)` of the path. Tokens held at a cut link queue before
//! its mark, the oldest in front. Nothing is remembered from frame to frame, so seeking and running
//! backwards need nothing special.

use sim_core::view::{Shape, Token};

use crate::lengths::within;
use crate::stage::plan::geom::{Pt, pt};
use crate::stage::plan::route::{PathLine, Routes};

/// Sprites in the atlas.
pub(crate) const SPRITES: usize = 2 * 22;

/// A token at its place.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Placed {
    /// The token.
    pub(crate) id: u64,
    /// Where its middle is.
    pub(crate) at: Pt,
    /// Its sprite.
    pub(crate) sprite: usize,
}

/// What a sprite shows; the inverse of [`sprite`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Look {
    pub(crate) shape: Shape,
    /// Palette entry of its key.
    pub(crate) key: Option<u32>,
    /// Several records.
    pub(crate) many: bool,
    /// Quarter turns, clockwise from "to the right".
    pub(crate) turn: usize,
    /// Waits at a cut link.
    pub(crate) held: bool,
}

const HELD_GAP: f64 = 13.0;
const HELD_BEFORE: f64 = 18.0;
/// Held tokens drawn apart; the others stand with the last of them, and the mark tells how many.
const HELD_APART: f64 = 3.0;
/// From so many tokens on, neighbours are spread across the path to be seen.
const CROWD: usize = 24;

/// The number of the sprite for a look.
pub(crate) fn sprite(look: Look) -> usize {
    let base = match look.shape {
        Shape::Batch => look.key.map_or(6, |k| k as usize % 6) + if look.many { 7 } else { 0 },
        Shape::Fetch => 14 + look.turn % 4,
        Shape::Ack => 18,
        Shape::Heartbeat => 19,
        Shape::Vote => 20,
        Shape::Control | Shape::Other => 21,
    };
    // `Other` shares the held half of `Control`: it is small and seldom, and never both.
    let base = if look.shape == Shape::Other {
        base + 22
    } else {
        base
    };
    if look.held && look.shape != Shape::Other && look.shape != Shape::Control {
        base + 22
    } else {
        base
    }
}

/// The look of a sprite.
pub(crate) fn look(sprite: usize) -> Look {
    let held = sprite >= 22;
    let base = sprite % 22;
    let plain = Look {
        shape: Shape::Ack,
        key: None,
        many: false,
        turn: 0,
        held,
    };
    match base {
        0..=13 => Look {
            shape: Shape::Batch,
            key: (base % 7 < 6).then_some((base % 7) as u32),
            many: base >= 7,
            ..plain
        },
        14..=17 => Look {
            shape: Shape::Fetch,
            turn: base - 14,
            ..plain
        },
        18 => plain,
        19 => Look {
            shape: Shape::Heartbeat,
            ..plain
        },
        20 => Look {
            shape: Shape::Vote,
            ..plain
        },
        _ if held => Look {
            shape: Shape::Other,
            held: false,
            ..plain
        },
        _ => Look {
            shape: Shape::Control,
            ..plain
        },
    }
}

/// Places tokens at a time into `out` (cleared first).
pub(crate) fn place(tokens: &[Token], now_ns: f64, routes: &Routes, out: &mut Vec<Placed>) {
    out.clear();
    let mut queues: Vec<((u32, u32), f64)> = Vec::new();
    let crowd = tokens.len() >= CROWD;
    for token in tokens {
        let Some(path) = routes.get(token.from, token.to) else {
            continue;
        };
        let along = if token.held {
            let link = (token.from, token.to);
            let i = queues.iter().position(|q| q.0 == link).unwrap_or_else(|| {
                queues.push((link, 0.0));
                queues.len() - 1
            });
            let back = queues[i].1;
            queues[i].1 += 1.0;
            let gap = HELD_GAP.min((path.mark() - HELD_BEFORE).max(0.0) / HELD_APART);
            (path.mark() - HELD_BEFORE - back.min(HELD_APART) * gap).max(0.0)
        } else {
            let span = (token.arrive as f64 - token.depart as f64).max(1.0);
            let t = within((now_ns - token.depart as f64) / span, 0.0, 1.0);
            t * path.length()
        };
        let mut at = path.at_length(along);
        if crowd && !token.held {
            let spread = (token.id.wrapping_mul(0x9E37_79B9) >> 7) % 5;
            at.x += spread as f64 - 2.0;
            at.y += ((spread * 3) % 5) as f64 - 2.0;
        }
        out.push(Placed {
            id: token.id,
            at,
            sprite: sprite(look_of(token, path, along)),
        });
    }
}

/// From so many tokens on, those that lie under others are not drawn.
const MANY: usize = 200;
/// Tokens whose middles share a square of this edge, CSS px, hide each other but for a rim.
const SQUARE: f64 = 4.0;

/// Which of the tokens are seen on a stage of this size, in the order in which they are drawn: of
/// a crowd at one place only the topmost. `covered` is working memory.
pub(crate) fn uncovered(
    placed: &[Placed],
    (width, height): (f64, f64),
    covered: &mut Vec<bool>,
    out: &mut Vec<usize>,
) {
    out.clear();
    if placed.len() < MANY {
        out.extend(0..placed.len());
        return;
    }
    let squares = |length: f64| (length / SQUARE).ceil().max(1.0) as usize;
    let (across, down) = (squares(width), squares(height));
    covered.clear();
    covered.resize(across * down, false);
    for (i, token) in placed.iter().enumerate().rev() {
        let (x, y) = (
            (token.at.x / SQUARE) as usize,
            (token.at.y / SQUARE) as usize,
        );
        let square = y.min(down - 1) * across + x.min(across - 1);
        if !std::mem::replace(&mut covered[square], true) {
            out.push(i);
        }
    }
    out.reverse();
}

fn look_of(token: &Token, path: &PathLine, along: f64) -> Look {
    let turn = if token.shape == Shape::Fetch {
        quarter(path, along)
    } else {
        0
    };
    Look {
        shape: token.shape,
        key: token.key,
        many: token.records > 1,
        turn,
        held: token.held,
    }
}

/// The direction of travel in quarter turns.
fn quarter(path: &PathLine, along: f64) -> usize {
    let (a, b) = (path.at_length(along - 3.0), path.at_length(along + 3.0));
    let d = pt(b.x - a.x, b.y - a.y);
    match (d.x.abs() >= d.y.abs(), d.x >= 0.0, d.y >= 0.0) {
        (true, true, _) => 0,
        (false, _, true) => 1,
        (true, false, _) => 2,
        (false, _, false) => 3,
    }
}

/// The topmost token under a point; tokens drawn later lie above.
pub(crate) fn hit(placed: &[Placed], at: Pt, reach: f64) -> Option<u64> {
    let near = |p: &&Placed| (p.at.x - at.x).abs() <= reach && (p.at.y - at.y).abs() <= reach;
    let distance = |p: &Placed| (p.at.x - at.x).hypot(p.at.y - at.y);
    placed
        .iter()
        .rev()
        .filter(near)
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .map(|p| p.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Zoom;
    use crate::stage::fixture::{Situation, token_crowd, view};
    use crate::stage::plan::{Outline, Plan};

    fn routes(situation: Situation) -> (Routes, sim_core::view::StageView) {
        let view = view(situation, 0);
        let outline = Outline::new(&view);
        let plan = Plan::new(&outline, outline.mode(&Zoom::All), 1010.0, 640.0);
        (Routes::new(&plan), view)
    }

    #[test]
    fn sprites_and_looks_match() {
        for i in 0..SPRITES {
            assert_eq!(sprite(look(i)), i, "{:?}", look(i));
        }
    }

    #[test]
    fn of_a_crowd_at_one_place_the_topmost_is_drawn() {
        let at = |id: u64, x: f64| Placed {
            id,
            at: pt(x, 10.0),
            sprite: 0,
        };
        let check = |placed: &[Placed], expect: &[usize]| {
            let (mut covered, mut out) = (Vec::new(), vec![7]);
            uncovered(placed, (100.0, 40.0), &mut covered, &mut out);
            assert_eq!(out, expect);
        };
        let few: Vec<Placed> = (0..3).map(|i| at(i, 5.0)).collect();
        check(&few, &[0, 1, 2]);
        // Three places; what lies off the stage is at its edge.
        let many: Vec<Placed> = (0..300)
            .map(|i| at(i, [5.0, 50.0, 5_000.0][i as usize % 3]))
            .collect();
        check(&many, &[297, 298, 299]);
    }

    #[test]
    fn a_token_leaves_and_arrives_on_time() {
        let (routes, view) = routes(Situation::Calm);
        let token = view.tokens[0].clone();
        let path = routes.get(token.from, token.to).expect("a path").clone();
        let mut out = Vec::new();
        let mut at = |now: u64| {
            place(std::slice::from_ref(&token), now as f64, &routes, &mut out);
            out[0].at
        };
        let half = (token.depart + token.arrive) / 2;
        assert_eq!(at(token.depart), path.at(0.0));
        assert_eq!(at(half), path.at(0.5));
        assert_eq!(at(token.arrive), path.at(1.0));
        assert_eq!(at(0), path.at(0.0), "before it left it is at its start");
        assert_eq!(at(token.arrive * 2), path.at(1.0));
    }

    #[test]
    fn held_tokens_queue_before_the_cut() {
        let (routes, view) = routes(Situation::LeaderDied);
        let held: Vec<_> = view.tokens.iter().filter(|t| t.held).cloned().collect();
        let mut out = Vec::new();
        place(&held, view.now as f64, &routes, &mut out);
        let path = routes.get(held[0].from, held[0].to).expect("a path");
        let mark = path.at_length(path.mark());
        let gaps: Vec<f64> = out
            .iter()
            .map(|p| (p.at.x - mark.x).hypot(p.at.y - mark.y))
            .collect();
        assert_eq!(gaps.len(), 4);
        assert!(gaps[0] > 14.0, "the first does not hide the mark: {gaps:?}");
        assert!(
            gaps.windows(2).all(|w| w[1] > w[0] + 2.0),
            "each waits behind the one before"
        );
    }

    #[test]
    fn a_click_finds_the_token_under_it() {
        let (routes, view) = routes(Situation::Wide);
        let crowd = token_crowd(&view, 1_000);
        let mut out = Vec::new();
        place(&crowd, view.now as f64, &routes, &mut out);
        assert_eq!(out.len(), 1_000, "every message has a path");
        let p = out[17];
        let found = hit(&out, p.at, 8.0).expect("a token");
        let other = out.iter().rev().find(|q| q.at == p.at).map(|q| q.id);
        assert_eq!(Some(found), other);
        assert_eq!(hit(&out, pt(-50.0, -50.0), 8.0), None);
    }
}
