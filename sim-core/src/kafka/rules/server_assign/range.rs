//! `RangeAssignor` of the coordinator: each topic is cut into ranges for the members that subscribe
//! to it, static members first by instance id, then dynamic ones by member id. What members had
//! before plays no part. Topics with equal members and equal counts are cut alike, and so
//! co-partitioned.

use super::{GroupAssignment, Members, PartitionAssignorException, Partitions, TopicCounts, count};
use std::collections::BTreeMap;

/// A topic while its ranges are cut (`TopicMetadata`).
struct Cut {
    count: u32,
    members: u32,
    extras_left: u32,
    next: u32,
}

/// Assigns ranges.
///
/// # Errors
///
/// [`PartitionAssignorException`] when a member subscribes to a topic that does not exist.
pub fn range<T: Ord + Clone>(
    topics: &TopicCounts<T>,
    members: &Members<T>,
) -> Result<GroupAssignment<T>, PartitionAssignorException> {
    let mut cuts: BTreeMap<&T, Cut> = BTreeMap::new();
    for topic in members.values().flat_map(|member| &member.topics) {
        let count = count(topics, topic)?;
        let cut = cuts.entry(topic).or_insert(Cut {
            count,
            members: 0,
            extras_left: 0,
            next: 0,
        });
        cut.members += 1;
        cut.extras_left = count % cut.members;
    }
    let mut order: Vec<&String> = members.keys().collect();
    // Stable: of two dynamic members the one with the smaller id stays first.
    order.sort_by_key(|id| {
        let instance = members[*id].instance_id.as_ref();
        (instance.is_none(), instance)
    });
    let mut assignment = GroupAssignment::new();
    for id in order {
        let mut own = Partitions::new();
        for topic in &members[id].topics {
            let Some(cut) = cuts.get_mut(topic) else {
                continue;
            };
            let extra = u32::from(cut.extras_left > 0);
            cut.extras_left -= extra;
            let end = (cut.next + cut.count / cut.members + extra).min(cut.count);
            if cut.next < end {
                let numbers = cut.next..end;
                own.insert(topic.clone(), numbers.map(u32::cast_signed).collect());
            }
            cut.next = end;
        }
        assignment.insert(id.clone(), own);
    }
    Ok(assignment)
}
