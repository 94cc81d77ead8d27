//! Metadata requests: the cluster as this broker's image has it.
//!
//! Follows `KRaftMetadataCache`: fenced brokers are not shown, and a leader that is not live counts
//! as none. The image may be behind; that is how clients come to ask the wrong broker.

use super::{Broker, respond};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{PartitionMetadata, Response};
use crate::kernel::NodeId;

impl Broker {
    pub(super) fn on_metadata_request(
        &mut self,
        from: NodeId,
        correlation: u32,
        cx: &mut KafkaCx<'_>,
    ) {
        let image = self.meta.image();
        let live = |id: i32| image.brokers.get(&id).is_some_and(|broker| !broker.fenced);
        let partitions = image
            .partitions
            .iter()
            .map(|(tp, state)| PartitionMetadata {
                tp: *tp,
                leader: if live(state.leader) { state.leader } else { -1 },
                leader_epoch: state.leader_epoch,
                replicas: state.replicas.clone(),
                isr: state.isr.clone(),
            });
        let response = Response::Metadata {
            brokers: image
                .brokers
                .keys()
                .copied()
                .filter(|id| live(*id))
                .collect(),
            partitions: partitions.collect(),
        };
        respond(from, correlation, response, cx);
    }
}
