//! Tables as streams of changes: from sources, by upserts, and joined, with the results that follow from
//! their rules by hand.

mod support;

use support::listed::{ORDERED, check, sink};

/// A source of a changelog: `at key value kind` to a line.
fn changes(name: &str, rows: &str) -> String {
    format!(
        "[[stream.source]]\nname = \"{name}\"\nrecords = \"\"\"\nat key value kind\n{rows}\n\"\"\"\n\n"
    )
}

/// The newest value of each key, from a source of upserts and tombstones.
fn table(name: &str, rows: &str) -> String {
    let table = format!(
        "[[stream.process]]\nname = \"{name}\"\ninput = \"{name}-rows\"\nfunction = \"upsert\"\n\n"
    );
    changes(&format!("{name}-rows"), rows) + &table
}

/// Upserts become a changelog: what Flink plans for a topic of `upsert-kafka`.
#[test]
fn upserts_and_tombstones_are_a_changelog() {
    let rows = "1s a 1 +I\n2s a 1 +I\n3s a 2 +U\n4s b 7 -D\n5s a 9 -D\n6s a 3 +I\n7s a 3 -U";
    check(
        "upsert",
        &[
            table("t", rows),
            sink(
                "all",
                "t",
                "ordered = true\nchangelog = true",
                "key value kind\na 1 +I\na 1 -U\na 2 +U\na 2 -D\na 3 +I\na 3 -D",
            ),
            "[[stream.process]]\nname = \"sum\"\ninput = \"t\"\nfunction = \"sum\"\n\n".to_owned(),
            sink(
                "sums",
                "sum",
                ORDERED,
                "key value\na 1\na 0\na 2\na 0\na 3\na 0",
            ),
        ],
    );
}

/// The rows of the table on joins of two tables in the documentation of Kafka Streams, as numbers:
/// A 1, B 2, C 3, D 4 on the left and a 11, b 12, c 13, d 14 on the right; what is left of the join at
/// each moment is what its last column says.
#[test]
fn two_tables_row_by_row() {
    let rows = [
        // (time, side, value or a tombstone, inner, left, outer)
        (3, 'l', Some(1), None, Some("1 null"), Some("1 null")),
        (4, 'r', Some(11), Some("1 11"), Some("1 11"), Some("1 11")),
        (5, 'l', Some(2), Some("2 11"), Some("2 11"), Some("2 11")),
        (6, 'r', Some(12), Some("2 12"), Some("2 12"), Some("2 12")),
        (7, 'l', None, None, None, Some("null 12")),
        (8, 'r', None, None, None, None),
        (9, 'l', Some(3), None, Some("3 null"), Some("3 null")),
        (10, 'r', Some(13), Some("3 13"), Some("3 13"), Some("3 13")),
        (11, 'r', None, None, Some("3 null"), Some("3 null")),
        (12, 'l', None, None, None, None),
        (14, 'r', Some(14), None, None, Some("null 14")),
        (15, 'l', Some(4), Some("4 14"), Some("4 14"), Some("4 14")),
    ];
    for upto in 1..=rows.len() {
        let so_far = &rows[..upto];
        let of = |side: char| {
            let own = so_far.iter().filter(|it| it.1 == side);
            let rows = own.map(|(at, _, value, ..)| match value {
                Some(value) => format!("{at}s k {value} +I"),
                None => format!("{at}s k 0 -D"),
            });
            rows.collect::<Vec<_>>().join("\n")
        };
        let last = so_far[upto - 1];
        let mut parts = vec![table("left", &of('l')), table("right", &of('r'))];
        if of('r').is_empty() {
            continue;
        }
        for (kind, expect) in [("inner", last.3), ("left", last.4), ("full", last.5)] {
            parts.push(format!(
                "[[stream.join]]\nname = \"{kind}-join\"\nkind = \"table\"\ntype = \"{kind}\"\n\
                 left = \"left\"\nright = \"right\"\n\n"
            ));
            let rows = expect.map_or(String::new(), |it| format!("\nk {it}"));
            let rows = format!("key value right{rows}");
            parts.push(sink(
                &format!("{kind}-out"),
                &format!("{kind}-join"),
                "",
                &rows,
            ));
        }
        check(&format!("up to {}", last.0), &parts);
    }
}
