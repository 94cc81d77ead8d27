//! A share group on the board (KIP-932): nobody owns a partition. Every member may read all of it,
//! each record is one member's at a time, and the leader knows of each record how it stands.

use sim_core::view::{GroupMember, GroupShare, GroupView, Sharing};

use super::board::Board;
use super::draw::{Sight, Thing};
use crate::format::count;
use crate::tree::{El, el, svg};

/// Beyond so many pairs of a member and a partition only those that are looked at have a line.
const LINES_MAX: usize = 64;

/// A partition's records that a member has.
pub(super) fn held(share: &GroupShare, node: u32) -> u32 {
    let holders = share.sharing.iter().flat_map(|it| &it.holders);
    holders
        .filter(|it| it.0 == node)
        .map(|it| it.1)
        .sum::<u32>()
}

/// Who has records of a partition: `p1 20, p2 18`.
pub(super) fn holders(group: &GroupView, it: &Sharing) -> String {
    let name = |node: u32| {
        let found = group.members.iter().find(|it| it.node == node);
        found.map_or("?", |it| it.name.as_str())
    };
    let each = it.holders.iter();
    let each = each.map(|(node, many)| format!("{} {many}", name(*node)));
    each.collect::<Vec<_>>().join(", ")
}

/// The partitions that a member reads: `orders-0, orders-1`, or nothing.
pub(super) fn reads(it: &GroupMember) -> String {
    match it.reads.is_empty() {
        true => "nothing".to_owned(),
        false => it.reads.join(", "),
    }
}

/// A member for those who do not see it.
pub(super) fn member_words(it: &GroupMember) -> String {
    format!(
        "{}: {}, reads {}, has {} records",
        it.name,
        it.badge.text,
        reads(it),
        it.acquired
    )
}

/// A partition for those who do not see it.
pub(super) fn words(share: &GroupShare, group: &GroupView) -> String {
    let readers = group.members.iter();
    let readers = readers.filter(|it| it.reads.contains(&share.lane)).count();
    let mut out = format!("{}: {readers} members read it", share.lane);
    if share.idle {
        out.push_str(", and none of them works");
    }
    let Some(it) = &share.sharing else {
        out.push_str(", its leader has no state of it yet");
        return out;
    };
    out.push_str(&format!(
        ", start offset {}, end offset {}, {} available, {} acquired",
        it.start, it.end, it.available, it.acquired
    ));
    if !it.holders.is_empty() {
        out.push_str(&format!(" ({})", holders(group, it)));
    }
    out.push_str(&format!(
        ", {} acknowledged, {} archived",
        it.acknowledged, it.archived
    ));
    if it.again > 0 {
        out.push_str(&format!(
            ", {} delivered again, up to {} times",
            it.again, it.deliveries
        ));
    }
    if let Some(end) = share.end {
        out.push_str(&format!(", log end {end}"));
    }
    out
}

/// A line from each member to each partition that it reads; a strong one while it has records of it.
pub(super) fn lines(board: &Board, sight: &Sight<'_>) -> Vec<El> {
    let group = sight.group;
    let all = group.members.len() * group.shares.len() <= LINES_MAX;
    let mut lines = Vec::new();
    for (i, member) in group.members.iter().enumerate() {
        let near = sight.looked_at(&Thing::Member(member.node));
        for (j, share) in group.shares.iter().enumerate() {
            let meant = near || sight.looked_at(&Thing::Share(share.lane.clone()));
            let reads = member.reads.contains(&share.lane);
            let mut class = String::from("gb-line");
            class.push_str(match (reads && (all || meant), held(share, member.node)) {
                (false, _) => " none",
                (true, 0) => " shares",
                (true, _) => " shares has",
            });
            if !member.works {
                class.push_str(" idle");
            }
            if meant {
                class.push_str(" on");
            }
            let d = board.line(Some(i), j);
            let line = svg("path")
                .class(class)
                .is("data-lane", share.lane.clone())
                .is("data-owner", member.node.to_string());
            lines.push(line.is("d", d));
        }
    }
    lines
}

/// The records of a partition: finished, each stretch as it stands, and not handed out yet.
pub(super) fn bar(share: &GroupShare, axis: i64) -> El {
    let end = share.end.unwrap_or(0);
    let from = end - axis;
    let x = |offset: i64| (offset - from).clamp(0, axis) as f64 * 100.0 / axis.max(1) as f64;
    let piece = |class: String, a: i64, b: i64| {
        let (a, b) = (x(a), x(b));
        let style = format!("left:{a:.2}%;width:{:.2}%", (b - a).max(0.0));
        el("span").class(class).style(style)
    };
    let mark = |class: &'static str, offset: i64| {
        let style = format!("left:{:.2}%", x(offset));
        el("span").class(class).style(style)
    };
    let bar = el("span").class("gb-bar").mute();
    let bar = bar.with(piece("gb-kept".to_owned(), share.start, end));
    let Some(it) = &share.sharing else {
        return bar;
    };
    let runs = it.runs.iter();
    let runs = runs.map(|(first, last, state)| piece(format!("gb-{state}"), *first, last + 1));
    bar.with(piece("gb-done".to_owned(), share.start, it.start))
        .all(runs)
        .with(mark("gb-committed", it.start))
        .with(mark("gb-position", it.end))
}

/// What stands at the end of a strip.
pub(super) fn tail(share: &GroupShare, narrow: bool) -> String {
    match &share.sharing {
        None => "–".to_owned(),
        Some(it) if narrow => it.acquired.to_string(),
        Some(it) => format!("{} acquired", it.acquired),
    }
}

/// The same in numbers.
pub(super) fn facts(share: &GroupShare, group: &GroupView) -> El {
    let facts = el("span").class("gb-facts").mute();
    let Some(it) = &share.sharing else {
        return facts.with("its leader has no state of it yet");
    };
    let fact = |name: &'static str, value: String| {
        let class = if value == "0" { "zero" } else { "" };
        let number = el("span").class("mono").with(value);
        el("span").class(class).with(name).with(" ").with(number)
    };
    let offset = |n: i64| count(u64::try_from(n).unwrap_or(0));
    let facts = facts
        .with(fact("SPSO", offset(it.start)))
        .with(fact("SPEO", offset(it.end)))
        .with(fact("available", it.available.to_string()))
        .with(fact("acknowledged", it.acknowledged.to_string()))
        .with(fact("archived", it.archived.to_string()))
        .with(fact("log end", offset(share.end.unwrap_or(0))));
    let facts = match it.holders.is_empty() {
        true => facts,
        false => facts.with(fact("acquired by", holders(group, it))),
    };
    match it.again {
        0 => facts,
        n => facts.with(fact(
            "again",
            format!("{n}, up to {} deliveries", it.deliveries),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::view::{Badge, Tone};

    fn group() -> GroupView {
        let member = |node: u32| GroupMember {
            node,
            name: format!("p{node}"),
            badge: Badge {
                text: "shares, epoch 3".to_owned(),
                tone: Tone::Sea,
            },
            owns: 0,
            reads: vec!["orders-0".to_owned()],
            acquired: 2,
            works: true,
        };
        GroupView {
            name: "packing".to_owned(),
            state: "Stable".to_owned(),
            settled: true,
            round: "epoch",
            generation: Some(3),
            assignor: "simple".to_owned(),
            coordinator: None,
            members: vec![member(1), member(2)],
            shares: Vec::new(),
            stopped: 0,
            sharing: true,
        }
    }

    #[test]
    fn a_partition_has_readers_and_holders_and_no_owner() {
        let mut share = GroupShare {
            lane: "orders-0".to_owned(),
            owner: None,
            idle: false,
            stopped_since: None,
            start: 0,
            end: Some(9),
            high_watermark: 9,
            stable: 9,
            position: None,
            committed: None,
            lag: None,
            sharing: None,
        };
        assert_eq!(
            words(&share, &group()),
            "orders-0: 2 members read it, its leader has no state of it yet"
        );
        share.sharing = Some(Sharing {
            start: 3,
            end: 8,
            available: 1,
            acquired: 4,
            holders: vec![(1, 1), (2, 3)],
            deliveries: 2,
            again: 1,
            ..Sharing::default()
        });
        assert_eq!(
            words(&share, &group()),
            "orders-0: 2 members read it, start offset 3, end offset 8, 1 available, 4 acquired \
             (p1 1, p2 3), 0 acknowledged, 0 archived, 1 delivered again, up to 2 times, log end 9"
        );
        assert_eq!((held(&share, 2), held(&share, 9)), (3, 0));
        assert_eq!(
            member_words(&group().members[0]),
            "p1: shares, epoch 3, reads orders-0, has 2 records"
        );
    }
}
