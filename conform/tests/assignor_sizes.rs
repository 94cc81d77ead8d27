//! How long each assignor takes as a group grows. Run by hand, as a release build:
//! `cargo test --release -p conform --test assignor_sizes -- --ignored --nocapture`.
//!
//! Three groups, each ten times the one before in members or partitions. Half of what members own
//! is what an earlier assignment gave them; the sticky assignors thus both keep and move.

use sim_core::kafka::rules::assign::{
    Assignment, Subscription, Topics, cooperative_sticky, range, round_robin, sticky,
};
use sim_core::kafka::rules::server_assign::{
    self as server, GroupAssignment, MemberSpec, Members, TopicCounts, uniform_heterogeneous,
    uniform_homogeneous,
};
use std::collections::BTreeSet;
use std::time::Instant;

const SIZES: [(usize, usize); 3] = [(100, 1_000), (1_000, 10_000), (10_000, 100_000)];
const TOPICS: usize = 20;
const RACKS: usize = 3;

/// How a group is made.
#[derive(Clone, Copy)]
struct Shape {
    racks: bool,
    equal: bool,
    owning: bool,
}

fn topic(number: usize) -> String {
    format!("topic-{number:02}")
}

fn rack(number: usize) -> String {
    format!("rack-{}", number % RACKS)
}

fn group(members: usize, partitions: usize, shape: Shape) -> (Topics, Vec<Subscription>) {
    let replicas = |p: usize| -> BTreeSet<String> {
        let on = if shape.racks { 0..2 } else { 0..0 };
        on.map(|j| rack(p + j)).collect()
    };
    let topics: Topics = (0..TOPICS)
        .map(|t| (topic(t), (0..partitions / TOPICS).map(replicas).collect()))
        .collect();
    let mut group: Vec<Subscription> = (0..members)
        .map(|m| {
            // Not equal: half of the topics, in runs that overlap.
            let own = if shape.equal {
                0..TOPICS
            } else {
                m % TOPICS..m % TOPICS + TOPICS / 2
            };
            let own: Vec<String> = own.map(|t| topic(t % TOPICS)).collect();
            let mut member =
                Subscription::new(&format!("consumer-{m:05}"), own.iter().map(String::as_str));
            member.rack_id = shape.racks.then(|| rack(m));
            member
        })
        .collect();
    if shape.owning {
        // The group was half as large, and range had assigned.
        let before = range(&topics, &group[..members / 2]);
        for member in &mut group[..members / 2] {
            member.owned = before[&member.member_id].clone();
            member.generation = 1;
        }
    }
    (topics, group)
}

fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let result = work();
    (result, began.elapsed().as_secs_f64())
}

fn total(assignment: &Assignment) -> usize {
    let own = assignment.values();
    own.flat_map(|own| own.values().map(BTreeSet::len)).sum()
}

fn line(name: &str, measure: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let all: Vec<f64> = SIZES.iter().map(|(m, p)| measure(*m, *p)).collect();
    let cells: Vec<String> = all.iter().map(|s| format!("{:.1}", s * 1e3)).collect();
    println!("| {name} | {} |", cells.join(" | "));
    all
}

type Client = fn(&Topics, &[Subscription]) -> Assignment;
type Server = fn(
    &TopicCounts<String>,
    &Members<String>,
) -> Result<GroupAssignment<String>, server::PartitionAssignorException>;

#[test]
#[ignore = "a measurement"]
fn how_time_grows() {
    println!("| assignor | 100 members, 1,000 partitions, ms | 1,000, 10,000 | 10,000, 100,000 |");
    println!("|---|---|---|---|");
    let mut slow = Vec::new();
    let clients: [(&str, Client); 4] = [
        ("range", |t, m| range(t, m)),
        ("round robin", |t, m| round_robin(t, m)),
        ("sticky", |t, m| sticky(t, m).assignment),
        ("cooperative sticky", |t, m| {
            cooperative_sticky(t, m).assignment
        }),
    ];
    for (name, assign) in clients {
        for racks in [false, true] {
            for (equal, owning) in [(true, false), (true, true), (false, false), (false, true)] {
                let with = |it: bool, word: &'static str| if it { word } else { "" };
                let name = format!(
                    "{name}, {} subscriptions{}{}",
                    if equal { "equal" } else { "overlapping" },
                    with(owning, ", group doubled"),
                    with(racks, ", racks"),
                );
                let shape = Shape {
                    racks,
                    equal,
                    owning,
                };
                let times = line(&name, |members, partitions| {
                    let (topics, group) = group(members, partitions, shape);
                    let (got, time) = seconds(|| assign(&topics, &group));
                    assert!(total(&got) > 0);
                    time
                });
                slow.extend((times[1] >= 1.0).then_some(name));
            }
        }
    }
    let servers: [(&str, bool, Server); 4] = [
        ("server range", true, |t, m| server::range(t, m)),
        ("uniform homogeneous", true, |t, m| {
            uniform_homogeneous(t, m)
        }),
        ("uniform heterogeneous", false, |t, m| {
            uniform_heterogeneous(t, m)
        }),
        ("server range, overlapping", false, |t, m| {
            server::range(t, m)
        }),
    ];
    for (name, equal, assign) in servers {
        let times = line(name, |members, partitions| {
            let shape = Shape {
                racks: false,
                equal,
                owning: true,
            };
            let (topics, group) = group(members, partitions, shape);
            let counts = topics
                .iter()
                .map(|(name, p)| (name.clone(), p.len() as u32))
                .collect();
            let spec = |member: Subscription| MemberSpec {
                instance_id: None,
                topics: member.topics,
                previous: member.owned,
            };
            let members = group
                .into_iter()
                .map(|m| (m.member_id.clone(), spec(m)))
                .collect();
            let (got, time) = seconds(|| assign(&counts, &members));
            assert!(got.is_ok());
            time
        });
        slow.extend((times[1] >= 1.0).then(|| name.to_owned()));
    }
    assert!(
        slow.is_empty(),
        "a second or more at the second size: {slow:?}"
    );
}
