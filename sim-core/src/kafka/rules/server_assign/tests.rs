//! The published rules, asked of random groups.

use super::*;
use proptest::prelude::*;

type Group = (TopicCounts<u8>, Members<u8>);

fn size(own: &Partitions<u8>) -> usize {
    own.values().map(BTreeSet::len).sum()
}

/// Members may claim what does not exist, what others claim, and what they do not subscribe to.
fn groups(equal: bool) -> impl Strategy<Value = Group> {
    let topics = proptest::collection::btree_map(0..5u8, 0..9u32, 1..5);
    let member = (
        proptest::option::weighted(0.3, 0..9u8),
        proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        proptest::collection::btree_map(
            0..6u8,
            proptest::collection::btree_set(-1..10i32, 0..6),
            0..4,
        ),
    );
    let members = proptest::collection::vec(member, 1..9);
    (topics, members).prop_map(move |(topics, members)| {
        let names: Vec<u8> = topics.keys().copied().collect();
        let spec = |(instance, own, previous): (_, Vec<prop::sample::Index>, _)| MemberSpec {
            instance_id: Option::map(instance, |n: u8| format!("i{n}")),
            topics: if equal {
                names.iter().copied().collect()
            } else {
                own.iter().map(|index| *index.get(&names)).collect()
            },
            previous,
        };
        let ids = (0..).map(|i: u8| format!("member-{}", i * 7 % 10));
        let members = ids.zip(members.into_iter().map(spec)).collect();
        (topics, members)
    })
}

/// Complete, no partition twice, only to subscribers.
fn valid((topics, members): &Group, got: &GroupAssignment<u8>) {
    let mut left = BTreeSet::new();
    for topic in members.values().flat_map(|member| &member.topics) {
        left.extend((0..topics[topic]).map(|n| (*topic, n.cast_signed())));
    }
    for (id, own) in got {
        for (topic, numbers) in own {
            assert!(members[id].topics.contains(topic), "{topic} to {id}");
            assert!(!numbers.is_empty());
            for number in numbers {
                assert!(
                    left.remove(&(*topic, *number)),
                    "{topic}-{number} in {got:?}"
                );
            }
        }
    }
    assert!(left.is_empty(), "{left:?} is left of {got:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn range_cuts_by_the_formula(group in groups(false)) {
        let got = range(&group.0, &group.1).expect("topics that exist");
        valid(&group, &got);
        let mut order: Vec<(&String, &MemberSpec<u8>)> = group.1.iter().collect();
        order.sort_by_key(|(_, m)| (m.instance_id.is_none(), m.instance_id.clone()));
        for (topic, count) in &group.0 {
            let own = order.iter().filter(|(_, m)| m.topics.contains(topic));
            let own: Vec<usize> = own
                .map(|(id, _)| got[*id].get(topic).map_or(0, BTreeSet::len))
                .collect();
            let (n, m) = (*count as usize, own.len().max(1));
            let expected: Vec<usize> =
                (0..own.len()).map(|i| n / m + usize::from(i < n % m)).collect();
            prop_assert_eq!(own, expected);
        }
    }

    #[test]
    fn uniform_balances_equal_subscriptions(group in groups(true)) {
        for assign in [uniform_homogeneous, uniform_heterogeneous] {
            let got = assign(&group.0, &group.1).expect("topics that exist");
            valid(&group, &got);
            let sizes: Vec<usize> = got.values().map(size).collect();
            let apart = sizes.iter().max().unwrap_or(&0) - sizes.iter().min().unwrap_or(&0);
            prop_assert!(apart <= 1, "{got:?}");
        }
    }

    #[test]
    fn uniform_balances_each_topic(group in groups(false)) {
        let got = uniform_heterogeneous(&group.0, &group.1).expect("topics that exist");
        valid(&group, &got);
        // No subscriber of a topic could take one of its partitions and be better off for it.
        for (id, poor) in group.1.iter().filter(|(id, _)| got.contains_key(*id)) {
            for rich in got.values().filter(|own| size(own) > size(&got[id]) + 1) {
                prop_assert!(!rich.keys().any(|t| poor.topics.contains(t)), "{id} of {got:?}");
            }
        }
    }

    #[test]
    fn uniform_is_sticky(group in groups(false), equal in any::<bool>()) {
        let (topics, mut members) = group;
        if equal {
            let all: BTreeSet<u8> = topics.keys().copied().collect();
            members.values_mut().for_each(|member| member.topics.clone_from(&all));
        }
        let first = uniform(&topics, &members).expect("topics that exist");
        for (id, own) in &first {
            if let Some(member) = members.get_mut(id) {
                member.previous = own.clone();
            }
        }
        let second = uniform(&topics, &members).expect("topics that exist");
        prop_assert_eq!(&second, &first);
        // Of a member that leaves, only its own partitions move, to begin with.
        if let Some((gone, _)) = members.pop_first() && !members.is_empty() {
            let third = uniform(&topics, &members).expect("topics that exist");
            let lost = first.get(&gone).map_or(0, size);
            let kept: usize = third
                .iter()
                .map(|(id, own)| {
                    let all = own.iter();
                    let both = all.map(|(topic, numbers)| {
                        first[id].get(topic).map_or(0, |old| old.intersection(numbers).count())
                    });
                    both.sum::<usize>()
                })
                .sum();
            let before: usize = first.values().map(size).sum();
            if equal {
                prop_assert_eq!(kept, before - lost, "{:?}", third);
            }
        }
    }
}

#[test]
fn an_unknown_topic_is_refused() {
    let topics = TopicCounts::from([(1, 3)]);
    let member = MemberSpec {
        topics: [2].into(),
        ..MemberSpec::default()
    };
    let members = Members::from([("a".to_owned(), member)]);
    for assignor in [ServerAssignor::Uniform, ServerAssignor::Range] {
        let refused = assignor.assign(&topics, &members);
        assert_eq!(refused, Err(PartitionAssignorException::UnknownTopic));
        let nobody = assignor.assign(&topics, &Members::new());
        assert_eq!(nobody, Ok(GroupAssignment::new()), "{}", assignor.name());
    }
    let refused = uniform_heterogeneous(&topics, &members);
    assert_eq!(
        refused.map_err(PartitionAssignorException::name),
        Err("PartitionAssignorException")
    );
}
