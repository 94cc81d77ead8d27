//! A group as two tables, for those who do not see the board.

use leptos::prelude::*;
use sim_core::view::{GroupShare, GroupView, Sharing};

use super::super::Bench;
use super::shared;
use crate::format::seconds;

/// Rows of partitions at most; beyond that those that stand still come first.
const ROWS_MAX: usize = 60;

/// A row of a table.
pub(in crate::bench) type Row = Vec<String>;

/// A table: caption, heads, rows.
type Table = (String, &'static [&'static str], Vec<Row>);

fn members(group: &GroupView) -> Table {
    let row = |it: &sim_core::view::GroupMember| {
        let mut row = vec![it.name.clone(), it.badge.text.clone()];
        match group.sharing {
            true => row.extend([shared::reads(it), it.acquired.to_string()]),
            false => row.push(it.owns.to_string()),
        }
        row
    };
    let heads: &[&str] = match group.sharing {
        true => &["member", "state", "reads", "records acquired"],
        false => &["member", "state", "owns"],
    };
    let caption = format!("Group {}, {}: members", group.name, group.state);
    (caption, heads, group.members.iter().map(row).collect())
}

const OWNED: &[&str] = &[
    "partition",
    "owner",
    "stopped",
    "committed offset",
    "position",
    "log end offset",
    "lag",
];

const SHARED: &[&str] = &[
    "partition",
    "start offset (SPSO)",
    "end offset (SPEO)",
    "available",
    "acquired",
    "by whom",
    "acknowledged",
    "archived",
    "most deliveries",
    "log end offset",
];

/// Partitions and how many more there are.
fn shares(group: &GroupView, now: u64) -> (Table, usize) {
    let mut sorted: Vec<_> = group.shares.iter().collect();
    if sorted.len() > ROWS_MAX {
        sorted.sort_by_key(|it| !it.idle);
    }
    let more = sorted.len().saturating_sub(ROWS_MAX);
    let shown = sorted.into_iter().take(ROWS_MAX);
    let caption = format!("Group {}, {}: partitions", group.name, group.state);
    let table = match group.sharing {
        true => (
            caption,
            SHARED,
            shown.map(|it| shared_row(group, it)).collect(),
        ),
        false => (
            caption,
            OWNED,
            shown.map(|it| owned_row(group, it, now)).collect(),
        ),
    };
    (table, more)
}

fn number(n: Option<i64>) -> String {
    n.map_or_else(|| "none".to_owned(), |n| n.to_string())
}

fn owned_row(group: &GroupView, it: &GroupShare, now: u64) -> Row {
    let name = |node: u32| {
        let found = group.members.iter().find(|it| it.node == node);
        found.map_or_else(|| "?".to_owned(), |it| it.name.clone())
    };
    vec![
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
}

fn shared_row(group: &GroupView, share: &GroupShare) -> Row {
    let of = |read: &dyn Fn(&Sharing) -> String| {
        let sharing = share.sharing.as_ref();
        sharing.map_or_else(|| "not known yet".to_owned(), read)
    };
    vec![
        share.lane.clone(),
        of(&|it| it.start.to_string()),
        of(&|it| it.end.to_string()),
        of(&|it| it.available.to_string()),
        of(&|it| it.acquired.to_string()),
        of(&|it| match it.holders.is_empty() {
            true => "nobody".to_owned(),
            false => shared::holders(group, it),
        }),
        of(&|it| it.acknowledged.to_string()),
        of(&|it| it.archived.to_string()),
        of(&|it| it.deliveries.to_string()),
        number(share.end),
    ]
}

/// A table of text.
pub(in crate::bench) fn table(
    caption: String,
    heads: &'static [&'static str],
    rows: Vec<Row>,
) -> impl IntoView {
    let heads = heads.iter().map(|h| view! { <th scope="col">{*h}</th> });
    let row = |row: Row| {
        let mut cells = row.into_iter();
        let first = cells.next();
        view! { <tr><th scope="row">{first}</th>{cells.map(|c| view! { <td>{c}</td> }).collect_view()}</tr> }
    };
    view! {
        <table>
            <caption>{caption}</caption>
            <thead>
                <tr>{heads.collect_view()}</tr>
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
        let tables = groups.iter().map(|it| (members(it), shares(it, now)));
        tables.collect::<Vec<_>>()
    });
    move || {
        let group = |((caption, heads, rows), (shares, more)): (Table, (Table, usize))| {
            view! {
                {table(caption, heads, rows)}
                {table(shares.0, shares.1, shares.2)}
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
            sharing: None,
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
            sharing: false,
        };
        let ((_, _, rows), more) = shares(&group, 3_000_000_000);
        let expected = ["orders-99", "nobody", "for 2.0 s", "0", "none", "99", "99"];
        assert_eq!((rows.len(), more), (60, 40));
        assert_eq!(rows[0], expected);
        group.shares.truncate(3);
        assert_eq!(shares(&group, 0).0.2[0][0], "orders-0");
    }
}
