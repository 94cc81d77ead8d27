//! Where things stand on the board of a group: members, what they share, and the lines between.
//!
//! Like the plan of the stage it depends on counts and width alone, so that nothing but the lines
//! moves in a rebalance. Where there is room, members stand in the middle and partitions on both
//! sides of them, so that no line crosses a partition; many partitions become tiles, and the lines
//! to a row of tiles run together below it. Everything is in CSS pixels and free of web types.

use crate::stage::Rect;

/// Strips on one side at most; beyond that partitions are tiles.
const STRIPS_MAX: usize = 24;
/// The same on a phone.
const STRIPS_MAX_PHONE: usize = 14;
/// With more partitions than this only the lines of what is looked at are drawn.
const LINES_MAX: usize = 48;
/// From one tile to the next.
const TILE: (f64, f64) = (42.0, 35.0);
/// Space between two tiles.
const TILE_GAP: (f64, f64) = (3.0, 5.0);
/// So many members have two lines each, whatever the room.
const MEMBERS_TALL: usize = 8;
/// So few members have room around their lines as well.
const MEMBERS_ROOMY: usize = 5;
/// So few strips on a side have a second line, which says their offsets in numbers.
const STRIPS_TOLD: usize = 4;
/// Space between two members.
const MEMBER_GAP: f64 = 6.0;

/// Where everything stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Board {
    /// Height that it needs.
    pub(super) height: f64,
    /// Partitions are tiles and not strips.
    pub(super) tiles: bool,
    /// Little room across: words are short.
    pub(super) narrow: bool,
    /// Strips say their offsets in numbers.
    pub(super) told: bool,
    /// Members have two lines.
    pub(super) tall: bool,
    /// All lines are drawn, not only those of what is looked at.
    pub(super) all_lines: bool,
    /// Members, in order.
    pub(super) members: Vec<Rect>,
    /// Partitions, in order.
    pub(super) shares: Vec<Rect>,
}

/// Measures that follow from the width.
struct Measures {
    member: f64,
    gutter: f64,
    /// Partitions stand on both sides.
    both: bool,
    /// Width of one side.
    side: f64,
    strips_max: usize,
}

fn measures(shares: usize, width: f64) -> Measures {
    let (member, gutter, strips_max) = match width {
        w if w < 460.0 => (110.0, 38.0, STRIPS_MAX_PHONE),
        w if w < 640.0 => (116.0, 44.0, STRIPS_MAX),
        _ => (156.0, 84.0, STRIPS_MAX),
    };
    let both = width >= 460.0 && shares > 10;
    let side = match both {
        true => (width - member - 2.0 * gutter) / 2.0,
        false => width - member - gutter,
    };
    Measures {
        member,
        gutter,
        both,
        side: side.floor(),
        strips_max,
    }
}

impl Board {
    /// Lays out a group.
    pub(super) fn new(members: usize, shares: usize, width: f64) -> Self {
        let width = width.max(280.0);
        let m = measures(shares, width);
        let left = if m.both { shares.div_ceil(2) } else { 0 };
        let most = left.max(shares - left);
        let tiles = most > m.strips_max;
        let across = if tiles {
            ((m.side + TILE_GAP.0) / TILE.0).floor().max(1.0) as usize
        } else {
            1
        };
        let rows = most.div_ceil(across);
        let told = !tiles && rows <= STRIPS_TOLD;
        let (row, gap) = match (tiles, rows) {
            (true, _) => (TILE.1, TILE_GAP.1),
            (false, 0..=1) => (112.0, 8.0),
            (false, 2) => (94.0, 8.0),
            (false, 3..=STRIPS_TOLD) => (80.0, 8.0),
            (false, 5..=6) => (52.0, 5.0),
            (false, 7..=10) => (36.0, 3.0),
            (false, _) => (25.0, 3.0),
        };
        let tall = rows as f64 * row;
        let count = members.max(1) as f64;
        let (least, most) = match members {
            0..=MEMBERS_ROOMY => (56.0, 68.0),
            n if n <= MEMBERS_TALL => (46.0, 56.0),
            _ => (28.0, 52.0),
        };
        let each = ((tall + MEMBER_GAP) / count - MEMBER_GAP).clamp(least, most);
        let stack = count * (each + MEMBER_GAP) - MEMBER_GAP;
        let height = tall.max(stack);
        let member_x = if m.both { m.side + m.gutter } else { 0.0 };
        // Spread over the height, but never far apart.
        let step = match members {
            0 | 1 => 0.0,
            n => ((height - each) / (n - 1) as f64).min(each + 40.0),
        };
        let top = (height - each - step * (count - 1.0)) / 2.0;
        let member = |i: usize| Rect::new(member_x, top + step * i as f64, m.member, each);
        let share = |i: usize| {
            let (x, n, of) = match i.checked_sub(left) {
                Some(n) => (member_x + m.member + m.gutter, n, shares - left),
                None => (0.0, i, left),
            };
            // Tiles begin at the top, where one looks first; their lines come in rows anyway.
            let down = match tiles {
                true => 0.0,
                false => (height - of.div_ceil(across) as f64 * row) / 2.0,
            };
            let (column, line) = ((n % across) as f64, (n / across) as f64);
            let y = down + line * row;
            match tiles {
                true => {
                    let (w, h) = (TILE.0 - TILE_GAP.0, TILE.1 - TILE_GAP.1);
                    Rect::new(x + column * TILE.0, y, w, h)
                }
                false => Rect::new(x, y + (gap - 3.0) / 2.0, m.side, row - gap),
            }
        };
        Board {
            height,
            tiles,
            narrow: m.side < 250.0,
            told,
            tall: each >= 42.0,
            all_lines: shares <= LINES_MAX,
            members: (0..members).map(member).collect(),
            shares: (0..shares).map(share).collect(),
        }
    }

    /// The line from a member to a partition that it owns, as path data; without an owner a point at
    /// the partition. All paths of a board have the same commands, so that one can become another.
    pub(super) fn line(&self, member: Option<usize>, share: usize) -> String {
        let Some(at) = self.shares.get(share) else {
            return String::new();
        };
        let owner = member.and_then(|i| self.members.get(i));
        let is_left = |m: &Rect| at.x < m.x;
        let left = owner.or(self.members.first()).is_some_and(is_left);
        // Where the line meets the row: at the edge of the strip, or below the tiles.
        let (edge, y) = match self.tiles {
            true => (self.inner_edge(left), at.bottom() + TILE_GAP.1 / 2.0),
            false => (if left { at.right() } else { at.x }, at.cy()),
        };
        let (x0, y0) = match owner {
            Some(m) => (if left { m.x } else { m.right() }, m.cy()),
            None => (edge, y),
        };
        let mid = (x0 + edge) / 2.0;
        let curve = format!("M{x0:.1} {y0:.1}C{mid:.1} {y0:.1} {mid:.1} {y:.1} {edge:.1} {y:.1}");
        match (self.tiles, owner) {
            (false, _) => curve,
            (true, Some(_)) => format!("{curve}L{:.1} {y:.1}L{0:.1} {:.1}", at.cx(), at.bottom()),
            (true, None) => format!("{curve}L{edge:.1} {y:.1}L{edge:.1} {y:.1}"),
        }
    }

    /// The edge of the tiles of a side that is nearest to the members.
    fn inner_edge(&self, left: bool) -> f64 {
        let member = self.members.first().map_or(0.0, |m| m.x);
        let side = self.shares.iter().filter(|it| (it.x < member) == left);
        match left {
            true => side.map(Rect::right).fold(0.0, f64::max) + 2.0,
            false => side.map(|it| it.x).fold(f64::MAX, f64::min) - 2.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Widths of a phone, of a stage beside the inspector, and of one alone.
    const WIDTHS: [f64; 4] = [326.0, 366.0, 510.0, 850.0];

    #[test]
    fn nothing_overlaps_or_stands_outside() {
        for width in WIDTHS {
            for (members, shares) in [(0, 0), (1, 1), (2, 4), (7, 42), (3, 12), (20, 200)] {
                let board = Board::new(members, shares, width);
                let at = format!("{members} × {shares} in {width}");
                let all: Vec<&Rect> = board.members.iter().chain(&board.shares).collect();
                let stage = Rect::new(0.0, 0.0, width, board.height);
                for (i, a) in all.iter().enumerate() {
                    assert!(stage.holds(a), "{at}: {a:?} is outside");
                    assert!(a.h >= 22.0 && a.w >= 24.0, "{at}: {a:?} cannot be hit");
                    let over = all[..i].iter().find(|b| a.overlaps(b));
                    assert_eq!(over, None, "{at}: {a:?}");
                }
            }
        }
    }

    #[test]
    fn many_partitions_become_tiles_and_only_some_lines_are_drawn() {
        let check = |shares, width, tiles, all_lines| {
            let board = Board::new(7, shares, width);
            let found = (board.tiles, board.all_lines);
            assert_eq!(found, (tiles, all_lines), "{shares} in {width}");
        };
        check(4, 850.0, false, true);
        check(42, 850.0, false, true);
        check(42, 366.0, true, true);
        check(14, 366.0, false, true);
        check(49, 850.0, true, false);
        check(200, 850.0, true, false);
    }

    #[test]
    fn a_line_leads_from_its_member_to_its_partition() {
        let strips = Board::new(2, 4, 850.0);
        let (m, s) = (strips.members[1], strips.shares[3]);
        let (from, to) = (
            format!("M{:.1} {:.1}C", m.right(), m.cy()),
            format!(" {:.1} {:.1}", s.x, s.cy()),
        );
        let line = strips.line(Some(1), 3);
        assert!(line.starts_with(&from) && line.ends_with(&to), "{line}");
        let commands = |line: &str| {
            line.chars()
                .filter(char::is_ascii_alphabetic)
                .collect::<String>()
        };
        for board in [strips, Board::new(20, 200, 850.0)] {
            for share in [0, 3] {
                let (on, off) = (board.line(Some(1), share), board.line(None, share));
                assert_eq!(commands(&on), commands(&off));
                assert_ne!(on, off);
            }
        }
        assert_eq!(Board::new(1, 1, 850.0).line(Some(0), 9), "");
    }
}
