//! What every machine of a job knows: the job, its graph, where the machines are, and the seed.

use super::graph::Graph;
use super::spec::JobSpec;
use crate::kernel::NodeId;
use serde::Serialize;

/// A job as its machines know it. Shared by all of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Job {
    /// The job.
    pub spec: JobSpec,
    /// Its execution graph.
    pub graph: Graph,
    /// The JobManager.
    pub job_manager: NodeId,
    /// The TaskManagers.
    pub task_managers: Vec<NodeId>,
    /// The checkpoint storage.
    pub storage: NodeId,
    /// The store of each sink: (operator, node).
    pub stores: Vec<(u32, NodeId)>,
    /// The world's seed: what sources make by rule is drawn from it, so that it is the same
    /// whichever machine reads it.
    pub seed: u64,
}

impl Job {
    /// The store that a sink writes to.
    #[must_use]
    pub fn store_of(&self, operator: u32) -> Option<NodeId> {
        let found = self.stores.iter().find(|(sink, _)| *sink == operator);
        found.map(|(_, node)| *node)
    }

    /// The parallelism of each operator as the job describes it.
    #[must_use]
    pub fn parallelism(&self) -> Vec<u32> {
        self.spec
            .operators
            .iter()
            .map(|it| it.parallelism)
            .collect()
    }
}
