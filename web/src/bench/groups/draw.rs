//! The board of a group as elements: cards of members, strips or tiles of partitions, and lines.

use sim_core::view::{GroupMember, GroupShare, GroupView, Tone};

use super::board::Board;
use super::shared;
use crate::format::{count, seconds};
use crate::stage::{Rect, Selection};
use crate::tree::{El, Kid, button, el, svg};

/// Fewest offsets on the axis of a strip.
const WINDOW_MIN: i64 = 32;

/// Something on the board, as it stands in `data-own`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Thing {
    /// A member, by its node.
    Member(u32),
    /// A partition, by its lane.
    Share(String),
}

impl Thing {
    pub(super) fn key(&self) -> String {
        match self {
            Thing::Member(node) => format!("m:{node}"),
            Thing::Share(lane) => format!("s:{lane}"),
        }
    }

    pub(super) fn parse(key: &str) -> Option<Self> {
        match key.split_once(':')? {
            ("m", node) => node.parse().ok().map(Thing::Member),
            ("s", lane) => Some(Thing::Share(lane.to_owned())),
            _ => None,
        }
    }
}

/// What is drawn, and what is looked at.
pub(super) struct Sight<'a> {
    pub(super) group: &'a GroupView,
    pub(super) now: u64,
    /// Under the pointer, or focused.
    pub(super) near: Option<&'a Thing>,
    pub(super) selected: Option<&'a Selection>,
    /// The one stop of the Tab key.
    pub(super) stop: Option<&'a Thing>,
}

impl Sight<'_> {
    fn picked(&self, thing: &Thing) -> bool {
        match (thing, self.selected) {
            (Thing::Member(node), Some(Selection::Node(n))) => node == n,
            (Thing::Share(lane), Some(Selection::Lane { lane: l, .. })) => lane == l,
            _ => false,
        }
    }

    pub(super) fn looked_at(&self, thing: &Thing) -> bool {
        self.near == Some(thing) || self.picked(thing)
    }

    /// Whether a line, or what it leads to, is looked at.
    fn meant(&self, share: &GroupShare) -> bool {
        let owner = share.owner.map(Thing::Member);
        owner.is_some_and(|it| self.looked_at(&it))
            || self.looked_at(&Thing::Share(share.lane.clone()))
    }

    fn tab_index(&self, thing: &Thing, first: bool) -> &'static str {
        let here = match self.stop {
            Some(stop) => stop == thing,
            None => first,
        };
        if here { "0" } else { "-1" }
    }

    fn name(&self, node: u32) -> &str {
        let mut members = self.group.members.iter();
        let found = members.find(|it| it.node == node);
        found.map_or("?", |it| &it.name)
    }
}

/// Everything on the board.
pub(super) fn board(board: &Board, sight: &Sight<'_>) -> Vec<Kid> {
    let group = sight.group;
    let axis = window(&group.shares);
    let mut kids: Vec<Kid> = vec![lines(board, sight).into()];
    let members = group.members.iter().zip(&board.members).enumerate();
    kids.extend(members.map(|(i, (it, at))| member(it, *at, i == 0, board, sight).into()));
    let shares = group.shares.iter().zip(&board.shares);
    kids.extend(shares.map(|(it, at)| share(it, *at, axis, board, sight).into()));
    kids
}

fn lines(board: &Board, sight: &Sight<'_>) -> El {
    let group = sight.group;
    if group.sharing {
        let lines = shared::lines(board, sight);
        return svg("svg").class("gb-lines").mute().all(lines);
    }
    let any = group.shares.iter().any(|it| sight.meant(it));
    let line = |(i, share): (usize, &GroupShare)| {
        let members = &group.members;
        let owner = share
            .owner
            .and_then(|node| members.iter().position(|it| it.node == node));
        let mut class = String::from("gb-line");
        if owner.is_none() {
            class.push_str(" none");
        } else if share.idle {
            class.push_str(" idle");
        }
        match (sight.meant(share), any) {
            (true, _) => class.push_str(" on"),
            (false, true) => class.push_str(" dim"),
            (false, false) if !board.all_lines => class.push_str(" none"),
            (false, false) => {}
        }
        let d = board.line(owner, i);
        // As a property too: properties move, attributes jump.
        svg("path")
            .class(class)
            .is("data-lane", share.lane.clone())
            .is(
                "data-owner",
                share.owner.map_or_else(String::new, |it| it.to_string()),
            )
            .style(format!("d:path(\"{d}\")"))
            .is("d", d)
    };
    svg("svg")
        .class("gb-lines")
        .mute()
        .all(group.shares.iter().enumerate().map(line))
}

fn at(it: El, rect: Rect) -> El {
    at_with(it, rect, "")
}

/// At its place, with more style than that.
fn at_with(it: El, rect: Rect, more: &str) -> El {
    let Rect { x, y, w, h } = rect;
    it.style(format!(
        "left:{x:.1}px;top:{y:.1}px;width:{w:.1}px;height:{h:.1}px{more}"
    ))
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain | Tone::Faded => "chip",
        Tone::Sea => "chip sea",
        Tone::Sand => "chip sand",
        Tone::Harm => "chip harm",
        Tone::Proven => "chip proven",
    }
}

/// What is hit by pointer and keyboard; it lies over the words, which it says itself.
fn hit(thing: &Thing, aria: String, first: bool, sight: &Sight<'_>) -> El {
    button("gb-hit")
        .is("data-own", thing.key())
        .is("tabindex", sight.tab_index(thing, first))
        .is("aria-pressed", sight.picked(thing).to_string())
        .is("title", aria.clone())
        .label(aria)
}

fn member(it: &GroupMember, rect: Rect, first: bool, board: &Board, sight: &Sight<'_>) -> El {
    let thing = Thing::Member(it.node);
    let badge = &it.badge.text;
    let said = match board.tall && !board.narrow {
        true => badge.clone(),
        false => badge.replace("generation", "gen").replace("shares, ", ""),
    };
    let class = match (it.works, board.tall) {
        (true, true) => "gb-box gb-member tall",
        (true, false) => "gb-box gb-member",
        (false, true) => "gb-box gb-member tall idle",
        (false, false) => "gb-box gb-member idle",
    };
    let (aria, many) = match sight.group.sharing {
        true => (shared::member_words(it), it.acquired),
        false => {
            let aria = format!("{}: {badge}, owns {} partitions", it.name, it.owns);
            (aria, it.owns)
        }
    };
    let owns = el("span").class("gb-owns mono").mute();
    let card = el("div")
        .class(class)
        .with(hit(&thing, aria, first, sight))
        .with(el("span").class("gb-name").mute().with(it.name.clone()))
        .with(owns.with(many.to_string()))
        .with(el("span").class(tone(it.badge.tone)).mute().with(said));
    at(card, rect)
}

/// Offsets on the axis of each strip, the same for all, so that lags can be compared.
fn window(shares: &[GroupShare]) -> i64 {
    let spread = |it: &GroupShare| {
        let spso = it.sharing.as_ref().map(|it| it.start);
        let from = it
            .committed
            .into_iter()
            .chain(it.position)
            .chain(spso)
            .min();
        it.end.zip(from).map_or(0, |(end, from)| end - from)
    };
    let most = shares.iter().map(spread).max().unwrap_or(0);
    let wanted = most.max(WINDOW_MIN);
    // A power of two: the axis changes its scale seldom.
    (wanted as u64).next_power_of_two() as i64
}

/// How a partition stands, for those who do not see it.
pub(super) fn words(share: &GroupShare, owner: &str, now: u64) -> String {
    let mut out = format!("{}: ", share.lane);
    match (share.owner, share.idle) {
        (Some(_), false) => out.push_str(&format!("{owner} owns it")),
        (Some(_), true) => out.push_str(&format!("{owner} owns it and does not work")),
        (None, _) => out.push_str("nobody owns it"),
    }
    if let Some(stopped) = share.stopped(now) {
        out.push_str(&format!(", stopped for {}", seconds(stopped)));
    }
    for (label, value) in [
        ("committed", share.committed),
        ("position", share.position),
        ("log end", share.end),
        ("lag", share.lag),
    ] {
        if let Some(value) = value {
            out.push_str(&format!(", {label} {value}"));
        }
    }
    out
}

fn share(it: &GroupShare, rect: Rect, axis: i64, board: &Board, sight: &Sight<'_>) -> El {
    let thing = Thing::Share(it.lane.clone());
    let owner = it.owner.map_or("", |node| sight.name(node));
    let mut class = String::from(if board.tiles {
        "gb-box gb-tile"
    } else {
        "gb-box gb-strip"
    });
    if it.idle {
        class.push_str(" idle");
    }
    if board.told {
        class.push_str(" told");
    }
    if sight.meant(it) {
        class.push_str(" on");
    }
    let sharing = sight.group.sharing;
    let aria = match sharing {
        true => shared::words(it, sight.group),
        false => words(it, owner, sight.now),
    };
    let no_member = sight.group.members.is_empty();
    let made = el("div")
        .class(class)
        .with(hit(&thing, aria, no_member, sight));
    let number = it.lane.rsplit_once('-').map_or("", |x| x.1);
    let stopped = it.stopped(sight.now).map(seconds);
    let made = if board.tiles {
        let below = stopped.unwrap_or_else(|| match owner {
            _ if sharing => shared::tail(it, true),
            "" => "–".to_owned(),
            owner => owner.to_owned(),
        });
        made.with(
            el("span")
                .class("gb-name mono")
                .mute()
                .with(number.to_owned()),
        )
        .with(el("span").class("gb-tail").mute().with(below))
    } else {
        let name = if board.narrow { number } else { &it.lane };
        let tail = match (it.idle, stopped) {
            _ if sharing => shared::tail(it, board.narrow),
            (true, Some(stopped)) if board.narrow => stopped,
            (true, Some(stopped)) => format!("stopped {stopped}"),
            (true, None) => "no owner".to_owned(),
            (false, _) => {
                let lag = it.lag.map_or_else(|| "–".to_owned(), lag);
                match board.narrow {
                    true => lag,
                    false => format!("lag {lag}"),
                }
            }
        };
        made.with(
            el("span")
                .class("gb-name mono")
                .mute()
                .with(name.to_owned()),
        )
        .with(match sharing {
            true => shared::bar(it, axis),
            false => bar(it, axis),
        })
        .with(el("span").class("gb-tail").mute().with(tail))
        .all((!sharing).then(|| el("span").class("gb-owner").mute().with(owner.to_owned())))
        .all(board.told.then(|| match sharing {
            true => shared::facts(it, sight.group),
            false => offsets(it),
        }))
    };
    match board.tiles {
        true => at_with(made, rect, &format!(";--lag:{:.0}%", behind(it, axis))),
        false => at(made, rect),
    }
}

/// How far the group is behind, in hundredths of the axis that all share.
fn behind(it: &GroupShare, axis: i64) -> f64 {
    let waits = it.sharing.as_ref().zip(it.end);
    let waits = waits.map(|(sharing, end)| end - sharing.start);
    let lag = it.lag.or(waits).unwrap_or(0).clamp(0, axis);
    lag as f64 * 100.0 / axis.max(1) as f64
}

/// The marks of a bar in numbers.
fn offsets(it: &GroupShare) -> El {
    let fact = |(name, value): (&'static str, Option<i64>)| {
        let number = el("span").class("mono").with(lag(value?));
        Some(el("span").with(name).with(" ").with(number))
    };
    let end = it.end.unwrap_or(it.high_watermark);
    let facts = [
        ("committed", it.committed),
        ("position", it.position),
        (
            "last stable",
            Some(it.stable).filter(|at| *at < it.high_watermark),
        ),
        (
            "high watermark",
            Some(it.high_watermark).filter(|at| *at < end),
        ),
        ("log end", it.end),
    ];
    el("span")
        .class("gb-facts")
        .mute()
        .all(facts.into_iter().filter_map(fact))
}

fn lag(lag: i64) -> String {
    u64::try_from(lag).map_or_else(|_| lag.to_string(), count)
}

/// The offsets of a partition up to the log end: committed, read, and not read yet.
fn bar(it: &GroupShare, axis: i64) -> El {
    let end = it.end.unwrap_or(0);
    let from = end - axis;
    let x = |offset: i64| (offset - from).clamp(0, axis) as f64 * 100.0 / axis as f64;
    let piece = |class: &'static str, a: i64, b: i64| {
        let (a, b) = (x(a), x(b));
        let style = format!("left:{a:.2}%;width:{:.2}%", (b - a).max(0.0));
        el("span").class(class).style(style)
    };
    let mark = |class: &'static str, offset: i64| {
        el("span")
            .class(class)
            .style(format!("left:{:.2}%", x(offset)))
    };
    let mut bar = el("span").class("gb-bar").mute();
    let done = it.committed.unwrap_or(it.start);
    let read = it.position.unwrap_or(done).max(done);
    bar = bar
        .with(piece("gb-kept", it.start, end))
        .with(piece("gb-done", it.start, it.committed.unwrap_or(it.start)))
        .with(piece("gb-read", done, read));
    if it.high_watermark < end {
        bar = bar.with(mark("gb-hw", it.high_watermark));
    }
    if it.stable < it.high_watermark {
        bar = bar.with(mark("gb-lso", it.stable));
    }
    if let Some(committed) = it.committed {
        bar = bar.with(mark("gb-committed", committed));
    }
    if let Some(position) = it.position {
        bar = bar.with(mark("gb-position", position));
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of(committed: Option<i64>, position: Option<i64>, end: i64) -> GroupShare {
        GroupShare {
            lane: "orders-3".to_owned(),
            owner: Some(7),
            idle: false,
            stopped_since: None,
            start: 0,
            end: Some(end),
            high_watermark: end,
            stable: end,
            position,
            committed,
            lag: committed.map(|it| end - it),
            sharing: None,
        }
    }

    #[test]
    fn things_can_be_read_back_from_their_keys() {
        for thing in [Thing::Member(12), Thing::Share("a:b-0".to_owned())] {
            assert_eq!(Thing::parse(&thing.key()), Some(thing));
        }
        for key in ["", "m:x", "x:1", "m"] {
            assert_eq!(Thing::parse(key), None, "{key}");
        }
    }

    #[test]
    fn the_axis_is_one_for_all_and_changes_seldom() {
        let of = |committed, end| share_of(Some(committed), Some(end), end);
        assert_eq!(window(&[]), 32);
        assert_eq!(window(&[of(90, 100), of(0, 33)]), 64);
        assert_eq!(window(&[of(0, 64)]), 64);
        assert_eq!(window(&[share_of(None, None, 500)]), 32);
    }

    #[test]
    fn words_say_what_the_picture_shows() {
        let mut it = share_of(Some(10), Some(12), 20);
        assert_eq!(
            words(&it, "m1", 0),
            "orders-3: m1 owns it, committed 10, position 12, log end 20, lag 10"
        );
        (it.owner, it.idle, it.position) = (None, true, None);
        it.stopped_since = Some(1_000_000_000);
        assert_eq!(
            words(&it, "", 4_200_000_000),
            "orders-3: nobody owns it, stopped for 3.2 s, committed 10, log end 20, lag 10"
        );
    }
}
