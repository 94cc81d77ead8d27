//! A group as two tables, for those who do not see the board.

use leptos::prelude::*;
use sim_core::view::GroupView;

use super::super::Bench;
use crate::format::seconds;

/// Rows of partitions at most; beyond that those that stand still come first.
const ROWS_MAX: usize = 60;

type Row = [String; 7];

fn members(group: &GroupView) -> Vec<[String; 3]> {
    let row = |it: &sim_core::view::GroupMember| {
        [it.name.clone(), it.badge.text.clone(), it.owns.to_string()]
    };
    group.members.iter().map(row).collect()
}

/// Rows of partitions and how many more there are.
fn shares(group: &GroupView, now: u64) -> (Vec<Row>, usize) {
    let name = |node: u32| {
        let found = group.members.iter().find(|it| it.node == node);
        found.map_or_else(|| "?".to_owned(), |it| it.name.clone())
    };
    let number = |n: Option<i64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let mut sorted: Vec<_> = group.shares.iter().collect();
    if sorted.len() > ROWS_MAX {
        sorted.sort_by_key(|it| !it.idle);
    }
    let more = sorted.len().saturating_sub(ROWS_MAX);
    let rows = sorted.into_iter().take(ROWS_MAX).map(|it| {
        [
            it.lane.clone(),
            it.owner.map_or_else(|| "nobody".to_owned(), name),
            match (it.idle, it.stopped(now)) {
                (false, _) => "no".to_owned(),
                (true, Some(stopped)) => format!("for {}", seconds(stopped)),
                (true, None) => "no owner yet".to_owned(),
            },
            number(it.committed),
            number(it.position),
            number(it.end),
            number(it.lag),
        ]
    });
    (rows.collect(), more)
}

fn table<const N: usize>(
    caption: String,
    heads: [&'static str; N],
    rows: Vec<[String; N]>,
) -> impl IntoView {
    let heads = heads.map(|h| view! { <th scope="col">{h}</th> });
    let row = |row: [String; N]| {
        let mut cells = row.into_iter();
        let first = cells.next();
        view! { <tr><th scope="row">{first}</th>{cells.map(|c| view! { <td>{c}</td> }).collect_view()}</tr> }
    };
    view! {
        <table>
            <caption>{caption}</caption>
            <thead>
                <tr>{heads.into_iter().collect_view()}</tr>
            </thead>
            <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
        </table>
    }
}

/// All groups in tables. Refreshed slowly: it may be read aloud.
#[component]
pub(crate) fn GroupTables(bench: Bench) -> impl IntoView {
    let shown = Memo::new(move |_| {
        bench.slow_tick.track();
        let now = bench.view.with_untracked(|v| v.now);
        let groups = bench.groups.get_untracked();
        let tables = groups.iter().map(|it| {
            let state = format!("Group {}, {}", it.name, it.state);
            (state, members(it), shares(it, now))
        });
        tables.collect::<Vec<_>>()
    });
    move || {
        let group =
            |(state, members, (shares, more)): (String, Vec<[String; 3]>, (Vec<Row>, usize))| {
                let heads = [
                    "partition",
                    "owner",
                    "stopped",
                    "committed offset",
                    "position",
                    "log end offset",
                    "lag",
                ];
                let caption = format!("{state}: partitions");
                view! {
                    {table(format!("{state}: members"), ["member", "state", "owns"], members)}
                    {table(caption, heads, shares)}
                    {(more > 0).then(|| view! { <p>{format!("and {more} more partitions")}</p> })}
                }
            };
        let groups = shown.get();
        (!groups.is_empty()).then(|| {
            view! {
                <section class="stage-mirror" aria-label="Groups as tables" tabindex="0">
                    {groups.into_iter().map(group).collect_view()}
                </section>
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::view::GroupShare;

    #[test]
    fn what_stands_still_comes_first_in_a_long_table() {
        let share = |i: i64| GroupShare {
            lane: format!("orders-{i}"),
            owner: None,
            idle: i == 99,
            stopped_since: (i == 99).then_some(1_000_000_000),
            start: 0,
            end: Some(i),
            high_watermark: i,
            stable: i,
            position: None,
            committed: Some(0),
            lag: Some(i),
        };
        let mut group = GroupView {
            name: "g".to_owned(),
            state: "Stable".to_owned(),
            settled: true,
            round: "generation",
            generation: Some(1),
            assignor: "range".to_owned(),
            coordinator: None,
            members: Vec::new(),
            shares: (0..100).map(share).collect(),
            stopped: 0,
        };
        let (rows, more) = shares(&group, 3_000_000_000);
        let expected = ["orders-99", "nobody", "for 2.0 s", "0", "none", "99", "99"];
        assert_eq!((rows.len(), more), (60, 40));
        assert_eq!(rows[0], expected);
        group.shares.truncate(3);
        assert_eq!(shares(&group, 0).0[0][0], "orders-0");
    }
}
