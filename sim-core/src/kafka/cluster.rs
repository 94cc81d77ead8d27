//! Builds a cluster's nodes.

use super::spec::ClusterSpec;
use crate::kernel::World;
use crate::systems::Node;

/// Adds all nodes of a cluster to a world: brokers, controllers, producers, consumers.
pub fn populate(_spec: &ClusterSpec, _world: &mut World<Node>) {}
