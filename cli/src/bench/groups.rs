//! Many groups that rebalance again and again.
//!
//! The scenario file has one member; it is made 10 groups × 20 here, because a scenario file is
//! held to what a browser tab can show. Every minute a member of each group leaves, and it is back
//! 30 s later: two rebalances a minute in each group.

use sim_core::check::RunPlan;
use sim_core::kafka;
use sim_core::kernel::{Deed, NodeId, SECOND};
use sim_core::run::Action;
use sim_core::scenario::{self, Scenario};
use sim_core::systems::{Order, Spec};
use std::sync::Arc;

/// How the table calls it.
pub(super) const NAME: &str =
    "10 groups × 20 members × 200 partitions, two rebalances of each a minute";
const TEXT: &str = include_str!("groups.toml");
const GROUPS: usize = 10;
const MEMBERS: usize = 20;

/// The run to measure.
pub(super) fn plan() -> Result<RunPlan, String> {
    let mut scenario = scenario::parse(TEXT)
        .into_result()
        .map_err(|problems| scenario::render(&problems, "the groups to measure", TEXT))?;
    let first = scenario.nodes.len() - 1;
    multiply(&mut scenario);
    let plan = RunPlan::of(Arc::new(scenario), 1);
    let actions = actions(first, plan.scenario.duration);
    Ok(RunPlan { actions, ..plan })
}

/// Makes all groups of the one member, which is the last node.
fn multiply(scenario: &mut Scenario) {
    let mut names = Vec::new();
    for spec in &mut scenario.systems {
        let Spec::Kafka(spec) = spec else {
            continue;
        };
        let Some(one) = spec.consumers.pop() else {
            continue;
        };
        for (group, member) in (0..GROUPS).flat_map(|g| (0..MEMBERS).map(move |m| (g, m))) {
            let mut it = one.clone();
            it.name = format!("g{group}m{member}");
            it.config.group_id = format!("g{group}");
            names.push(it.name.clone());
            spec.consumers.push(it);
        }
    }
    scenario.nodes.pop();
    scenario.nodes.extend(names);
}

fn actions(first: usize, duration: u64) -> Vec<Action> {
    let mut actions = Vec::new();
    for minute in 1..duration / (60 * SECOND) {
        for group in 0..GROUPS {
            let member = minute as usize % MEMBERS;
            let node = NodeId((first + group * MEMBERS + member) as u32);
            let leaves = Deed::Order(node, Order::Kafka(kafka::Order::Close));
            // What is closed has to end before it can begin again.
            for (after, deed) in [
                (0, leaves),
                (29, Deed::Crash(node)),
                (30, Deed::Restart(node)),
            ] {
                let at = (minute * 60 + after) * SECOND;
                actions.push(Action { at, deed });
            }
        }
    }
    actions.sort_by_key(|action| action.at);
    actions
}
