//! What each assignor takes as a group grows.
//!
//! Three groups, each with ten times the members and partitions of the one before: work that grows
//! with their product would grow a hundredfold. Half of the members owned everything before, as
//! when a group doubles, so that the sticky assignors both keep and move.

use sim_core::kafka::rules::assign::{
    Subscription, Topics, cooperative_sticky, range, round_robin, sticky,
};
use sim_core::kafka::rules::server_assign::{
    self as server, MemberSpec, Members, TopicCounts, uniform_heterogeneous, uniform_homogeneous,
};
use std::collections::BTreeSet;
use std::hint::black_box;

/// Members and partitions.
pub(super) const SIZES: [(usize, usize); 3] = [(10, 100), (100, 1_000), (1_000, 10_000)];
const TOPICS: usize = 20;

/// A group, as clients' assignors and as the broker's see it.
struct Group {
    topics: Topics,
    members: Vec<Subscription>,
    counts: TopicCounts<String>,
    specs: Members<String>,
}

fn topic(number: usize) -> String {
    format!("topic-{:02}", number % TOPICS)
}

/// Members read all topics, or half of them in runs that overlap.
fn group(members: usize, partitions: usize, equal: bool) -> Group {
    let each = partitions / TOPICS;
    let topics: Topics = (0..TOPICS)
        .map(|t| (topic(t), vec![BTreeSet::new(); each]))
        .collect();
    let subscription = |m: usize| {
        let own: Vec<String> = match equal {
            true => (0..TOPICS).map(topic).collect(),
            false => (m..m + TOPICS / 2).map(topic).collect(),
        };
        Subscription::new(&format!("consumer-{m:05}"), own.iter().map(String::as_str))
    };
    let mut members: Vec<Subscription> = (0..members).map(subscription).collect();
    let half = members.len() / 2;
    let before = range(&topics, &members[..half]);
    for member in &mut members[..half] {
        if let Some(owned) = before.get(&member.member_id) {
            member.owned.clone_from(owned);
        }
        member.generation = 1;
    }
    let counts = topics
        .iter()
        .map(|(name, p)| (name.clone(), p.len() as u32))
        .collect();
    let spec = |member: &Subscription| MemberSpec {
        instance_id: None,
        topics: member.topics.clone(),
        previous: member.owned.clone(),
    };
    let specs = members
        .iter()
        .map(|m| (m.member_id.clone(), spec(m)))
        .collect();
    Group {
        topics,
        members,
        counts,
        specs,
    }
}

type Work = fn(&Group);

const CASES: [(&str, bool, Work); 9] = [
    ("range", true, |g| {
        black_box(range(&g.topics, &g.members));
    }),
    ("round robin", true, |g| {
        black_box(round_robin(&g.topics, &g.members));
    }),
    ("sticky", true, |g| {
        black_box(sticky(&g.topics, &g.members));
    }),
    ("sticky, overlapping subscriptions", false, |g| {
        black_box(sticky(&g.topics, &g.members));
    }),
    ("cooperative sticky", true, |g| {
        black_box(cooperative_sticky(&g.topics, &g.members));
    }),
    (
        "cooperative sticky, overlapping subscriptions",
        false,
        |g| {
            black_box(cooperative_sticky(&g.topics, &g.members));
        },
    ),
    ("range of the broker", true, |g| {
        black_box(server::range(&g.counts, &g.specs).is_ok());
    }),
    ("uniform", true, |g| {
        black_box(uniform_homogeneous(&g.counts, &g.specs).is_ok());
    }),
    ("uniform, overlapping subscriptions", false, |g| {
        black_box(uniform_heterogeneous(&g.counts, &g.specs).is_ok());
    }),
];

/// The median time of each at each size, ms.
pub(super) fn measure(
    rounds: u32,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&'static str, [f64; 3])> {
    let wanted = CASES.into_iter().filter(move |(name, ..)| wanted(name));
    wanted.map(move |(name, equal, work)| {
        eprintln!("{name} …");
        let at = |(members, partitions)| {
            let group = group(members, partitions, equal);
            let time = |_| super::timed(|| work(&group)).1 * 1e3;
            super::median(&mut (0..rounds).map(time).collect::<Vec<f64>>())
        };
        (name, SIZES.map(at))
    })
}
