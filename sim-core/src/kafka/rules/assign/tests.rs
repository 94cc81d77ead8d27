//! The published rules, asked of random groups, and what Kafka's own tests tell in words.

use super::*;
use proptest::prelude::*;

fn size(own: &Partitions) -> usize {
    own.values().map(BTreeSet::len).sum()
}

fn pairs(own: &Partitions) -> BTreeSet<(&str, i32)> {
    let topics = own.iter();
    topics
        .flat_map(|(topic, numbers)| numbers.iter().map(move |n| (topic.as_str(), *n)))
        .collect()
}

/// A group: topics, and members that subscribe to at least one and own what they subscribe to.
fn groups(racks: bool, equal: bool) -> impl Strategy<Value = (Topics, Vec<Subscription>)> {
    let rack = || proptest::sample::select(vec!["a", "b", "c"]);
    let most = if racks { 2 } else { 0 };
    let replicas = proptest::collection::btree_set(rack().prop_map(str::to_owned), 0..=most);
    let topics = proptest::collection::vec(proptest::collection::vec(replicas, 0..9), 1..5);
    let member = (
        proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        proptest::collection::vec((any::<prop::sample::Index>(), -1..9), 0..6),
        -1..3,
        proptest::option::of(rack()),
        proptest::option::weighted(0.2, 0..5u8),
    );
    let members = proptest::collection::vec(member, 1..9);
    (topics, members).prop_map(move |(topics, members)| {
        let topics: Topics = (0..)
            .zip(topics)
            .map(|(i, t)| (format!("t{i}"), t))
            .collect();
        let names: Vec<&String> = topics.keys().collect();
        let members = (0..).zip(members).map(|(i, member)| {
            let (own, owned, generation, rack, instance) = member;
            let own = own.iter().map(|index| index.get(&names).to_string());
            let own = if equal {
                topics.keys().cloned().collect()
            } else {
                own.collect::<BTreeSet<String>>()
            };
            let list: Vec<&String> = own.iter().collect();
            let mut claims = Partitions::new();
            for (topic, number) in owned {
                let claimed = claims.entry((*topic.get(&list)).clone()).or_default();
                claimed.insert(number);
            }
            Subscription {
                member_id: format!("member-{}", i * 7 % 10),
                group_instance_id: instance.map(|n| format!("i{n}-{i}")),
                rack_id: rack.filter(|_| racks).map(str::to_owned),
                topics: own,
                owned: claims,
                generation,
            }
        });
        let members = members.collect();
        (topics, members)
    })
}

fn count(topics: &Topics, name: &str) -> usize {
    topics.get(name).map_or(0, Vec::len)
}

/// Complete, no partition twice, only to subscribers; returns what nobody got.
fn valid(topics: &Topics, members: &[Subscription], got: &Assignment) -> BTreeSet<(String, i32)> {
    let mut left: BTreeSet<(String, i32)> = BTreeSet::new();
    for member in members {
        for name in &member.topics {
            let numbers = 0..i32::try_from(count(topics, name)).unwrap_or(0);
            left.extend(numbers.map(|n| (name.clone(), n)));
        }
    }
    assert_eq!(got.len(), members.len());
    for member in members {
        for (topic, number) in pairs(&got[&member.member_id]) {
            assert!(member.topics.contains(topic), "{topic} to {member:?}");
            let there = left.remove(&(topic.to_owned(), number));
            assert!(there, "{topic}-{number} twice or from nowhere: {got:?}");
        }
    }
    left
}

/// No member could take a partition from another and both be better off.
fn balanced(topics: &Topics, members: &[Subscription], got: &Assignment) {
    for poor in members {
        let has = size(&got[&poor.member_id]);
        for rich in got.values().filter(|own| size(own) > has + 1) {
            let could = rich.keys().find(|topic| poor.topics.contains(*topic));
            assert_eq!(
                could, None,
                "{topics:?} {} could take of {got:?}",
                poor.member_id
            );
        }
    }
}

fn owning(members: &[Subscription], got: &Assignment, generation: i32) -> Vec<Subscription> {
    let members = members.iter().cloned();
    members
        .map(|member| Subscription {
            owned: got[&member.member_id].clone(),
            generation,
            ..member
        })
        .collect()
}

fn range_sizes(topics: &Topics, members: &[Subscription], got: &Assignment, sorted: bool) {
    for name in topics.keys() {
        let mut subscribers: Vec<&Subscription> =
            members.iter().filter(|m| m.topics.contains(name)).collect();
        subscribers.sort_by(|a, b| member_order(a, b));
        let (n, m) = (count(topics, name), subscribers.len().max(1));
        let expected: Vec<usize> = (0..subscribers.len())
            .map(|i| n / m + usize::from(i < n % m))
            .collect();
        let own = subscribers.iter().map(|member| &got[&member.member_id]);
        let mut sizes: Vec<usize> = own
            .map(|own| own.get(name).map_or(0, BTreeSet::len))
            .collect();
        if sorted {
            sizes.sort_unstable_by(|a, b| b.cmp(a));
        }
        assert_eq!(sizes, expected, "{name} in {got:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn range_cuts_by_the_formula((topics, members) in groups(false, false)) {
        let got = range(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &got), BTreeSet::new());
        range_sizes(&topics, &members, &got, false);
        for own in got.values().flat_map(BTreeMap::values) {
            let ends = own.first().zip(own.last()).unwrap();
            prop_assert_eq!(usize::try_from(ends.1 - ends.0).unwrap() + 1, own.len());
        }
    }

    #[test]
    fn range_with_racks_keeps_the_sizes((topics, members) in groups(true, false)) {
        let got = range(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &got), BTreeSet::new());
        range_sizes(&topics, &members, &got, true);
    }

    #[test]
    fn range_co_partitions_with_racks((topics, members) in groups(true, true)) {
        let got = range(&topics, &members);
        for own in got.values() {
            for (a, b) in own.iter().flat_map(|a| own.iter().map(move |b| (a, b))) {
                if count(&topics, a.0) == count(&topics, b.0) {
                    prop_assert_eq!(a.1, b.1);
                }
            }
        }
    }

    #[test]
    fn round_robin_deals_evenly((topics, members) in groups(false, true)) {
        let got = round_robin(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &got), BTreeSet::new());
        let mut order: Vec<&Subscription> = members.iter().collect();
        order.sort_by(|a, b| member_order(a, b));
        let total: usize = topics.values().map(Vec::len).sum();
        for (i, member) in order.iter().enumerate() {
            let expected = total / order.len() + usize::from(i < total % order.len());
            prop_assert_eq!(size(&got[&member.member_id]), expected);
        }
    }

    #[test]
    fn round_robin_reaches_subscribers_only((topics, members) in groups(false, false)) {
        let got = round_robin(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &got), BTreeSet::new());
    }

    #[test]
    fn sticky_balances_and_then_stays((topics, members) in groups(false, false)) {
        let done = sticky(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &done.assignment), BTreeSet::new());
        balanced(&topics, &members, &done.assignment);
        let again = sticky(&topics, &owning(&members, &done.assignment, 3));
        prop_assert_eq!(again.assignment, done.assignment);
    }

    #[test]
    fn sticky_balances_with_racks((topics, members) in groups(true, false)) {
        let done = sticky(&topics, &members);
        prop_assert_eq!(valid(&topics, &members, &done.assignment), BTreeSet::new());
        balanced(&topics, &members, &done.assignment);
    }

    #[test]
    fn sticky_keeps_all_that_fits((topics, members) in groups(false, true)) {
        let mut claims: BTreeMap<(&str, i32), Vec<(i32, &str)>> = BTreeMap::new();
        for member in &members {
            for claim in pairs(&member.owned) {
                if claim.1 >= 0 && usize::try_from(claim.1).unwrap() < count(&topics, claim.0) {
                    let by = claims.entry(claim).or_default();
                    by.push((member.generation, &member.member_id));
                }
            }
        }
        // The highest generation's claim counts, unless two members of one generation claimed.
        let mut owned: BTreeMap<&str, usize> = BTreeMap::new();
        for mut by in claims.into_values() {
            by.sort_unstable();
            if by.windows(2).all(|two| two[0].0 < two[1].0) {
                *owned.entry(by[by.len() - 1].1).or_default() += 1;
            }
        }
        let total: usize = topics.values().map(Vec::len).sum();
        let (floor, over) = (total / members.len(), total % members.len());
        let more = owned.values().filter(|n| **n > floor).count().min(over);
        let expected: usize = owned.values().map(|n| (*n).min(floor)).sum::<usize>() + more;
        let done = sticky(&topics, &members);
        let kept: usize = members
            .iter()
            .map(|m| pairs(&done.assignment[&m.member_id]).intersection(&pairs(&m.owned)).count())
            .sum();
        prop_assert!(kept >= expected, "{kept} of {expected}: {done:?}");
    }

    #[test]
    fn cooperative_never_hands_over_at_once((topics, members) in groups(true, false)) {
        let first = cooperative_sticky(&topics, &members).assignment;
        let withheld = valid(&topics, &members, &first);
        for member in &members {
            let own = pairs(&member.owned);
            for (topic, number) in pairs(&first[&member.member_id]) {
                let claims = |other: &Subscription| pairs(&other.owned).contains(&(topic, number));
                prop_assert!(
                    own.contains(&(topic, number)) || !members.iter().any(claims),
                    "{topic}-{number} to {}", member.member_id
                );
            }
        }
        for (topic, number) in withheld {
            let claims = |other: &Subscription| pairs(&other.owned).contains(&(&*topic, number));
            prop_assert!(members.iter().any(claims), "{topic}-{number} without need");
        }
    }

    /// Mostly the second round is the last; with different subscriptions the balance may be found
    /// anew, and another partition moves.
    #[test]
    fn cooperative_is_done_after_a_few_rounds((topics, members) in groups(false, false)) {
        let mut members = members;
        let mut done = cooperative_sticky(&topics, &members).assignment;
        for generation in 3..7 {
            members = owning(&members, &done, generation);
            done = cooperative_sticky(&topics, &members).assignment;
        }
        prop_assert_eq!(valid(&topics, &members, &done), BTreeSet::new());
        balanced(&topics, &members, &done);
    }
}

fn member(id: &str, topics: &[&str]) -> Subscription {
    Subscription::new(id, topics.iter().copied())
}

/// `testStickiness`: three partitions and four members; who had one keeps it when one leaves.
#[test]
fn sticky_23_stickiness() {
    let topics = topics_without_racks([("t1", 3)]);
    let ids = ["consumer1", "consumer2", "consumer3", "consumer4"];
    let members: Vec<Subscription> = ids.iter().map(|id| member(id, &["t1"])).collect();
    let first = sticky(&topics, &members).assignment;
    assert!(first.values().all(|own| size(own) <= 1), "{first:?}");
    assert_eq!(first.values().map(size).sum::<usize>(), 3);
    let left = owning(&members[1..], &first, 1);
    let second = sticky(&topics, &left).assignment;
    for member in &left {
        let own = &second[&member.member_id];
        assert_eq!(size(own), 1);
        assert!(
            size(&member.owned) == 0 || *own == member.owned,
            "{second:?}"
        );
    }
}

/// `testReassignmentAfterOneConsumerLeaves` and the tests beside it: many topics and members.
#[test]
fn a_member_leaves_a_large_uneven_group() {
    let names: Vec<String> = (1..20).map(|i| format!("t{i:02}")).collect();
    let topics = topics_without_racks(names.iter().map(String::as_str).zip(1..));
    let mut members: Vec<Subscription> = (1..20)
        .map(|i| Subscription::new(&format!("consumer{i:02}"), names[..i].iter().map(|n| &**n)))
        .collect();
    let first = sticky(&topics, &members).assignment;
    balanced(&topics, &members, &first);
    members = owning(&members, &first, 1);
    members.remove(9);
    let second = sticky(&topics, &members);
    assert_eq!(
        valid(&topics, &members, &second.assignment),
        BTreeSet::new()
    );
    balanced(&topics, &members, &second.assignment);
    assert!(second.is_sticky);
    assert_eq!(second.transferring, None);
}

#[test]
fn absurd_groups_are_answered() {
    let topics = topics_without_racks([("t", 2), ("empty", 0)]);
    let mut odd = member("", &["t", "empty", "unheard of"]);
    let numbers = [i32::MIN, -1, 0, 2, i32::MAX];
    odd.owned = [("t", numbers), ("unheard of", numbers)]
        .map(|(topic, numbers)| (topic.to_owned(), numbers.into()))
        .into();
    odd.generation = i32::MAX;
    odd.rack_id = Some(String::new());
    let twice = [odd.clone(), odd.clone(), member("other", &[])];
    for members in [
        &[][..],
        &[odd],
        &twice,
        &[member("a", &[]), member("b", &["t"])],
    ] {
        let all = [
            range(&topics, members),
            round_robin(&topics, members),
            sticky(&topics, members).assignment,
            cooperative_sticky(&topics, members).assignment,
        ];
        for got in all {
            let total: usize = got.values().map(size).sum();
            assert_eq!(total, if members.is_empty() { 0 } else { 2 }, "{got:?}");
        }
    }
    assert_eq!(range(&Topics::new(), &twice).len(), 2);
}
