//! What was done by hand reads back: every deed, at every time, in every style of file.

use super::super::*;
use super::{BASE, good};
use crate::kernel::{
    DRIFT_MAX, Deed, FilterRule, LinkChange, MessageDeed, NodeId, SKEW_MAX, SPAN_MAX,
};
use crate::systems::Order;

fn acts(text: &str) -> Vec<(u64, Deed<Order>)> {
    let mut found = Vec::new();
    for entry in good(text).timeline {
        let Trigger::At(at) = entry.trigger else {
            continue;
        };
        found.extend(
            entry
                .acts
                .iter()
                .map(|act| (at, act.known().expect("is known").clone())),
        );
    }
    found
}

#[test]
fn the_text_of_the_author_is_kept() {
    let done = [
        (12_345_678_901, Deed::Crash(NodeId(0))),
        (12_345_678_901, Deed::Cut(NodeId(1), NodeId(6))),
    ];
    let check = |text: &str, added: &str| {
        let out = with_actions(text, &done).expect("is good");
        let at = out
            .find(added)
            .unwrap_or_else(|| panic!("no `{added}` in\n{out}"));
        let without = [&out[..at], &out[at + added.len()..]].concat();
        assert_eq!(without, text);
        assert_eq!(acts(&out)[acts(&out).len() - 2..], done);
    };
    let entries = "\n# Done by hand while the scenario ran.\n[[timeline]]\nat = \"12.345678901s\"\ndo = \"crash\"\nnode = \"b1\"\n\n[[timeline]]\nat = \"12.345678901s\"\ndo = \"cut\"\nfrom = \"b2\"\nto = \"p1\"\n";
    check(BASE, entries);
    check(
        &format!("{BASE}[[timeline]]\nat = \"1s\"\ndo = \"heal-all\"\n"),
        entries,
    );
    let inline = |list: &str| BASE.replace("title", &format!("timeline = {list}\ntitle"));
    let both = "{ at = \"12.345678901s\", do = \"crash\", node = \"b1\" }, { at = \"12.345678901s\", do = \"cut\", from = \"b2\", to = \"p1\" }";
    check(&inline("[]"), both);
    check(&inline("[ # none\n]"), both);
    let after = format!(", {both}");
    check(&inline("[{ at = \"1s\", do = \"heal-all\" }]"), &after);
    check(
        &inline("[\n{ at = \"1s\", do = \"heal-all\" }, # one ]\n]"),
        &after,
    );
    assert_eq!(with_actions(BASE, &[]), Ok(BASE.to_owned()));
    assert!(with_actions("title = ", &done).is_err());
}

#[cfg(not(target_arch = "wasm32"))]
mod properties {
    use super::*;
    use crate::kafka::Order as Kafka;
    use proptest::prelude::*;

    fn node() -> impl Strategy<Value = NodeId> {
        (0u32..8).prop_map(NodeId)
    }

    /// Two nodes that are not the same.
    fn pair() -> impl Strategy<Value = (NodeId, NodeId)> {
        (0u32..8, 1u32..8).prop_map(|(a, by)| (NodeId(a), NodeId((a + by) % 8)))
    }

    fn change() -> impl Strategy<Value = LinkChange> {
        let ppm = || proptest::option::of(0u32..=1_000_000);
        let kinds = crate::kafka::protocol::MESSAGE_KINDS;
        let labels = proptest::collection::vec(proptest::sample::select(kinds), 0..3);
        let filters = labels.prop_map(|labels| {
            labels
                .into_iter()
                .map(|label| FilterRule {
                    label: label.to_owned(),
                })
                .collect()
        });
        let parts = (
            any::<Option<bool>>(),
            proptest::option::of(0..=SPAN_MAX),
            ppm(),
            ppm(),
            ppm(),
            proptest::option::of(filters),
        );
        parts.prop_map(
            |(cut, slow_by, loss_ppm, duplicate_ppm, reorder_ppm, filters)| LinkChange {
                cut,
                slow_by,
                loss_ppm,
                duplicate_ppm,
                reorder_ppm,
                filters,
            },
        )
    }

    fn message() -> impl Strategy<Value = MessageDeed> {
        prop_oneof![
            Just(MessageDeed::Drop),
            Just(MessageDeed::Duplicate),
            (0..=SPAN_MAX).prop_map(MessageDeed::Delay),
        ]
    }

    /// Orders with the nodes that take them: brokers 0–2, controllers 3–5, producer 6, consumer 7.
    fn order() -> impl Strategy<Value = (u32, Kafka)> {
        let setting = prop_oneof![
            Just((None, "replica.lag.time.max.ms", Some("20000"))),
            Just((Some("orders"), "min.insync.replicas", Some("1"))),
            Just((Some("orders"), "min.insync.replicas", None)),
            Just((None, "unclean.leader.election.enable", Some("true"))),
        ];
        let text = |text: &str| text.to_owned();
        prop_oneof![
            (0u32..3).prop_map(|n| (n, Kafka::ControlledShutdown)),
            (3u32..6).prop_map(|n| (n, Kafka::ElectPreferred)),
            (3u32..6, 0u16..2).prop_map(move |(n, partition)| {
                (
                    n,
                    Kafka::ElectUnclean {
                        topic: text("orders"),
                        partition,
                    },
                )
            }),
            (3u32..6, setting).prop_map(move |(n, (topic, key, value))| {
                let (topic, value) = (topic.map(text), value.map(text));
                (
                    n,
                    Kafka::AlterConfig {
                        topic,
                        key: text(key),
                        value,
                    },
                )
            }),
            (3u32..6, 3u16..300).prop_map(move |(n, count)| {
                (
                    n,
                    Kafka::CreatePartitions {
                        topic: text("orders"),
                        count,
                    },
                )
            }),
            (0..=limits::ORDERED_RECORDS).prop_map(|records| (6, Kafka::Send { records })),
            any::<bool>().prop_map(|on| (6, Kafka::Load { on })),
            prop_oneof![Just("0"), Just("1"), Just("all"), Just("-1")]
                .prop_map(move |acks| (6, Kafka::SetAcks { acks: text(acks) })),
            any::<bool>().prop_map(|on| (7, Kafka::Poll { on })),
        ]
    }

    fn deed() -> impl Strategy<Value = Deed<Order>> {
        let nodes = || proptest::collection::vec(node(), 0..5);
        prop_oneof![
            node().prop_map(Deed::Crash),
            node().prop_map(Deed::PowerLoss),
            node().prop_map(Deed::WipeDisk),
            node().prop_map(Deed::Restart),
            node().prop_map(Deed::Pause),
            node().prop_map(Deed::Resume),
            (node(), 0..=SPAN_MAX).prop_map(|(n, cost)| Deed::SlowCpu(n, cost)),
            (node(), any::<u64>()).prop_map(|(n, speed)| Deed::SlowDisk(n, speed)),
            (node(), -(SKEW_MAX as i64)..=SKEW_MAX as i64).prop_map(|(n, by)| Deed::Skew(n, by)),
            (node(), -(DRIFT_MAX as i64)..=DRIFT_MAX as i64)
                .prop_map(|(n, ppb)| Deed::Drift(n, ppb)),
            (pair(), change()).prop_map(|((a, b), change)| Deed::Link(a, b, change)),
            pair().prop_map(|(a, b)| Deed::Cut(a, b)),
            pair().prop_map(|(a, b)| Deed::Heal(a, b)),
            (nodes(), nodes()).prop_map(|(a, b)| Deed::Partition(a, b)),
            Just(Deed::HealAll),
            (any::<u64>(), message()).prop_map(|(id, what)| Deed::Message(id, what)),
            order().prop_map(|(n, order)| Deed::Order(NodeId(n), Order::Kafka(order))),
        ]
    }

    proptest! {
        #[test]
        fn every_deed_reads_back(done in proptest::collection::vec((0u64..20_000_000_001, deed()), 0..12)) {
            let out = with_actions(BASE, &done).expect("is good");
            prop_assert_eq!(acts(&out), done.clone());
            // A second export adds to the first.
            let again = with_actions(&out, &done).expect("is good");
            prop_assert_eq!(acts(&again), [done.clone(), done].concat());
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(?s).{0,300}") {
            let parsed = parse(&text);
            prop_assert_eq!(parsed.scenario.is_none(), !parsed.diagnostics.is_empty());
            let _ = render(&parsed.diagnostics, "f", &text);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_bytes(&bytes);
        }

        #[test]
        fn mutated_scenarios_are_read_without_panic(
            which in 0usize..3,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..20, "[a-z0-9\\[\\]{}=\"'.,\n -]{0,6}"), 1..6),
        ) {
            let texts = [
                include_str!("../../../../scenarios/quickstart.toml"),
                include_str!("../../../../scenarios/acks1-leader-crash.toml"),
                BASE,
            ];
            let mut text = texts[which].to_owned();
            for (at, length, by) in edits {
                let start = text.floor_char_boundary(at.index(text.len() + 1));
                let end = text.floor_char_boundary((start + length).min(text.len()));
                text.replace_range(start..end, &by);
            }
            let parsed = parse(&text);
            let errors = parsed.diagnostics.iter().any(|d| d.severity == Severity::Error);
            prop_assert_eq!(parsed.scenario.is_none(), errors);
            for found in &parsed.diagnostics {
                prop_assert!(text.get(found.span.clone()).is_some());
            }
            let _ = render(&parsed.diagnostics, "f", &text);
        }

        #[test]
        fn any_predicate_is_read_without_panic(text in "([a-z0-9.(){}<>=!,\" -]|and|or|not|in|orders-0|b1|isr|size|5s){0,40}") {
            let quoted = units::quote(&text);
            let _ = parse(&format!("{BASE}[[expect]]\nthat = {quoted}\n"));
        }
    }
}
