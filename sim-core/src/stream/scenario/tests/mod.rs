//! Whole `[stream]` sections: each shape of story reads into the job it means, and each mistake is
//! found at its place.

mod documentation;
mod mistakes;
mod topics;

use crate::scenario::{Diagnostic, Raw, Reader, render};
use crate::stream::element::Key;
use crate::stream::rules::window::aggregate::Value;
use crate::stream::rules::window::evictor::Keep;
use crate::stream::rules::window::trigger::{TimeDomain, Trigger};
use crate::stream::spec::*;

/// Reads the `[stream]` section of a text.
fn read(text: &str) -> (super::read::Job, Vec<Diagnostic>) {
    let mut reader = Reader::new(text);
    let root = reader.parse();
    let Raw::Table(fields) = &root.value else {
        panic!("a document is a table");
    };
    let (_, raw) = fields
        .iter()
        .find(|(key, _)| key.value == "stream")
        .expect("a section");
    let section = super::read(raw, &mut [], &mut reader);
    let spec = super::of(&section.spec).expect("a job").clone();
    ((spec, section.nodes), reader.into_problems())
}

fn good(text: &str) -> JobSpec {
    let ((spec, _), problems) = read(text);
    assert!(problems.is_empty(), "{}", render(&problems, "test", text));
    spec
}

/// A small good job; tests replace parts of it.
const BASE: &str = r#"
[stream]
task-managers = 2
slots = 2
config = { "execution.checkpointing.interval" = "10 s" }

[[stream.sink]]
name = "out"
input = "count"
guarantee = "exactly-once"

[[stream.source]]
name = "clicks"
watermark = { kind = "bounded", bound = "2 s" }
records = [
    { at = "1s", ts = "0.5s", key = "b", value = 7 },
    { ts = "3s", key = "a" },
]

[[stream.window]]
name = "count"
input = "clicks"
parallelism = 2
window = { kind = "tumbling", size = "10s" }
aggregate = "count"

[[stream.expect]]
sink = "out"
rows = [
    { key = "a", value = 1, window = ["0s", "10s"] },
    { key = "c", value = [1, 2], window = "0s..10s", ts = 9_999 },
]
"#;

fn operator<'s>(spec: &'s JobSpec, name: &str) -> &'s OperatorSpec {
    let mut all = spec.operators.iter();
    all.find(|it| it.name == name).expect("an operator")
}

fn source(spec: &JobSpec) -> &SourceSpec {
    match &spec.operators[0].kind {
        OperatorKind::Source(source) => source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_job_is_read() {
    let ((spec, nodes), _) = read(BASE);
    assert_eq!(spec, good(BASE));
    let names: Vec<&str> = nodes.iter().map(|(node, _)| node.name.as_str()).collect();
    assert_eq!(names, ["jm", "tm1", "tm2", "checkpoints", "out-store"]);
    assert_eq!(spec.task_managers[1].slots, 2);
    assert_eq!(spec.config.checkpoint_interval.0, 10_000);
    // Each after those it reads from, and the sink that stands first comes last.
    let order: Vec<&str> = spec.operators.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(order, ["clicks", "count", "out"]);
    assert_eq!(spec.keys.0, ["b", "a", "c"], "in order of appearance");
    let records = source(&spec).splits.clone();
    let second = 1_000_000_000;
    let expect = vec![
        InputRecord {
            arrives: second,
            timestamp: 500,
            key: Key(0),
            value: 7,
            watermark: None,
            only_watermark: false,
            kind: Default::default(),
        },
        InputRecord {
            arrives: second,
            timestamp: 3_000,
            key: Key(1),
            value: 1,
            watermark: None,
            only_watermark: false,
            kind: Default::default(),
        },
    ];
    assert_eq!(records, [SplitSpec::Records(expect.into())]);
    assert!(source(&spec).bounded);
    let (count, out) = (&spec.operators[1], &spec.operators[2]);
    assert_eq!(count.inputs[0].partitioning, Partitioning::Hash);
    assert_eq!((count.parallelism, count.max_parallelism), (2, 128));
    assert_eq!(out.inputs[0].partitioning, Partitioning::Rebalance);
    assert_eq!(out.slot_sharing_group, "default");
    let rows = &spec.expected[0].rows;
    assert_eq!((spec.expected[0].sink, rows[0].key), (2, Some(Key(1))));
    assert_eq!(rows[1].value, Value::Values(vec![1, 2]));
    assert_eq!(rows[1].window, Some((0, 10_000)));
    assert_eq!(rows[1].timestamp, Some(9_999));
}

#[test]
fn a_text_table_says_the_same_as_a_list_of_tables() {
    let list = r#"records = [
    { at = "1s", ts = "0.5s", key = "b", value = 7 },
    { ts = "3s", key = "a" },
]"#;
    let table = "records = \"\"\"\n  # a comment\n  at ts   key value\n  1s 0.5s b   7\n\n  -  3000 a   -\n\"\"\"";
    assert!(BASE.contains(list));
    assert_eq!(good(BASE), good(&BASE.replace(list, table)));
}

#[test]
fn a_split_is_read_in_the_order_of_arrival() {
    let table = "bounded = false\nsplits = 3\nrecords = \"\"\"\nsplit at key\n1 5s a\n0 1s b\n1 2s c\n1 - d\n\"\"\"";
    let list = &BASE[BASE.find("records = [").unwrap()..BASE.find("[[stream.window]]").unwrap()];
    let spec = good(&BASE.replace(list, &format!("{table}\n")));
    assert!(!source(&spec).bounded);
    let keys: Vec<Vec<u32>> = source(&spec)
        .splits
        .iter()
        .map(|split| match split {
            SplitSpec::Records(records) => records.iter().map(|it| it.key.0).collect(),
            SplitSpec::Generated(_) | SplitSpec::Partition => panic!("records"),
        })
        .collect();
    // `a` is 0, `b` 1, `c` 2, `d` 3; the third split is silent.
    assert_eq!(keys, [vec![1], vec![2, 3, 0], vec![]]);
}

#[test]
fn a_load_is_spread_over_splits_and_names_its_keys() {
    let list = &BASE[BASE.find("records = [").unwrap()..BASE.find("[[stream.window]]").unwrap()];
    let load = "load = { rate = 100, keys = 3, zipf = 1.1, disorder = \"2s\", start = \"1s\", limit = 5 }\nsplits = 2\n";
    let spec = good(&BASE.replace(list, load).replace("\"c\"", "\"key-2\""));
    let made = |start, limit| {
        SplitSpec::Generated(Generated {
            gap: 20_000_000,
            start,
            limit: Some(limit),
            keys: 3,
            skew_milli: 1_100,
            disorder_ms: 2_000,
        })
    };
    let splits = &source(&spec).splits;
    assert_eq!(*splits, [made(1_000_000_000, 3), made(1_010_000_000, 2)]);
    // `a` is no key of the load and comes after them.
    assert_eq!(spec.keys.0, ["key-0", "key-1", "key-2", "a"]);
    assert_eq!(spec.expected[0].rows[0].key, Some(Key(3)));
    assert_eq!(spec.expected[0].rows[1].key, Some(Key(2)));
}

#[test]
fn windows_are_read() {
    let check =
        |window: &str, expect: &dyn Fn(&crate::stream::rules::window::operator::Settings)| {
            let spec =
                good(&BASE.replace("window = { kind = \"tumbling\", size = \"10s\" }", window));
            match &operator(&spec, "count").kind {
                OperatorKind::Window(settings) => expect(settings),
                other => panic!("{other:?}"),
            }
        };
    check("window = { kind = \"count\", count = 3 }", &|it| {
        assert_eq!(it.trigger, Trigger::Purging(Box::new(Trigger::Count(3))));
        assert_eq!(it.evictor, None);
    });
    check(
        "window = { kind = \"count\", count = 3, every = 2 }",
        &|it| {
            assert_eq!(it.trigger, Trigger::Count(2));
            assert_eq!(it.evictor.map(|it| it.keep), Some(Keep::Count(3)));
        },
    );
    check(
        "window = { kind = \"session\", gap = \"5s\" }\ntime = \"processing\"\naccumulation = \"discarding\"",
        &|it| {
            assert_eq!(it.time, TimeDomain::Processing);
            assert_eq!(
                it.trigger,
                Trigger::Purging(Box::new(Trigger::ProcessingTime))
            );
        },
    );
    check(
        "window = { kind = \"global\" }\ntrigger = { kind = \"delta\", threshold = 5, timeout = \"3s\" }\nevictor = { time = \"4s\", after = true }",
        &|it| {
            let nested = Box::new(Trigger::Delta(5));
            let trigger = Trigger::Timeout {
                nested,
                after: 3_000,
                reset: false,
                clear: true,
            };
            assert_eq!(it.trigger, trigger);
            let evictor = it.evictor.expect("an evictor");
            assert_eq!((evictor.keep, evictor.after), (Keep::Time(4_000), true));
        },
    );
}

#[test]
fn slot_sharing_groups_and_partitioners_follow_flink() {
    let map = "[[stream.map]]\nname = \"m\"\ninput = \"clicks\"\nfunction = \"add\"\nn = 2\nslot-sharing-group = \"g\"\n[[stream.filter]]\nname = \"f\"\ninput = \"m\"\nat-least = 1\nchaining = \"head\"\n[[stream.expect]]";
    let text = BASE.replace("[[stream.expect]]", map).replace(
        "input = \"clicks\"\nparallelism",
        "input = [\"clicks\", \"f\"]\nparallelism",
    );
    let spec = good(&text);
    let m = operator(&spec, "m");
    assert_eq!(m.inputs[0].partitioning, Partitioning::Forward);
    assert_eq!(operator(&spec, "f").slot_sharing_group, "g");
    assert_eq!(operator(&spec, "f").chaining, Chaining::Head);
    // Its inputs have no group in common.
    assert_eq!(operator(&spec, "count").slot_sharing_group, "default");
    assert_eq!(operator(&spec, "count").inputs.len(), 2);
}

#[test]
fn orders_read_back() {
    use crate::stream::command::{Command, Edit, Run};
    use crate::stream::node::Order;
    use crate::stream::rules::serializer::StateSchema;
    let said = |command: Command| Order::Command(command.to_string());
    for (order, verb) in [
        (Order::TriggerCheckpoint, "trigger-checkpoint"),
        (Order::FailTasks, "fail-tasks"),
        (Order::SetCost { micros: 1_500 }, "set-sink-cost"),
        (
            Order::Rescale {
                operator: Some("count".to_owned()),
                parallelism: 3,
            },
            "rescale",
        ),
        (
            said(Command::Savepoint {
                name: Some("noon".to_owned()),
            }),
            "trigger-savepoint",
        ),
        (
            said(Command::Stop {
                name: None,
                drain: true,
            }),
            "stop-with-savepoint",
        ),
        (said(Command::Cancel), "cancel-job"),
        (
            said(Command::Run(Run {
                savepoint: Some("noon".to_owned()),
                retained: true,
                operator: Some("count".to_owned()),
                parallelism: Some(3),
                new_uid: Some("count".to_owned()),
                allow_non_restored_state: true,
                state_of: Some("count".to_owned()),
                state: StateSchema::read("int -> avro T { n: long = 3 }").ok(),
            })),
            "run-job",
        ),
        (
            said(Command::Edit(Edit {
                from: Some("noon".to_owned()),
                into: "fixed".to_owned(),
                operator: "count".to_owned(),
                entries: vec![("ann".to_owned(), Some(3)), ("bob".to_owned(), None)],
            })),
            "edit-savepoint",
        ),
    ] {
        let (name, args) = super::orders::write(&order);
        assert_eq!(name, verb);
        let verb = super::orders::VERBS
            .iter()
            .find(|it| it.name == name)
            .expect("a verb");
        for (key, _) in &args {
            assert!(verb.args.iter().any(|arg| arg.key == *key), "{key}");
        }
    }
    let cost = super::orders::write(&Order::SetCost { micros: 1_500 }).1;
    assert_eq!(cost, [("cost", "\"1500us\"".to_owned())]);
}

#[test]
fn dates_are_counted_from_1970() {
    let first = |ts: &str| {
        let text = BASE.replace("ts = \"0.5s\"", &format!("ts = \"{ts}\""));
        let ((spec, _), problems) = read(&text);
        let source = spec.operators.iter().find_map(|it| match &it.kind {
            OperatorKind::Source(it) => Some(it),
            _ => None,
        });
        let record = match source.map(|it| &it.splits[0]) {
            Some(SplitSpec::Records(all)) => all[0].timestamp,
            other => panic!("listed records: {other:?}"),
        };
        problems.is_empty().then_some(record)
    };
    for (ts, ms) in [
        ("1970-01-01", Some(0)),
        ("1969-12-31T23:59:59.999", Some(-1)),
        ("2000-02-29", Some(951_782_400_000)),
        ("2020-04-15 08:05", Some(1_586_937_900_000)),
        ("2020-04-15T08:05:00Z", Some(1_586_937_900_000)),
        ("2020-03-01", Some(1_583_020_800_000)),
        ("1900-02-29", None),
        ("2020-13-01", None),
        ("2020-00-10", None),
        ("2020-04-31", None),
        ("2020-04-15T24:00", None),
        ("2020-4-15", None),
    ] {
        assert_eq!(first(ts), ms, "{ts}");
    }
}
