//! What a controller holds of a partition.

use crate::kafka::ids::BrokerId;
use serde::Serialize;

/// `leader.recovery.state`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum RecoveryState {
    /// Nothing to recover.
    #[default]
    Recovered,
    /// The leader came from an unclean election and has not finished.
    Recovering,
}

/// A partition's registration (`PartitionRegistration`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PartitionRegistration {
    /// Replicas in preference order.
    pub replicas: Vec<BrokerId>,
    /// In-sync replicas.
    pub isr: Vec<BrokerId>,
    /// Eligible leader replicas (KIP-966).
    pub elr: Vec<BrokerId>,
    /// Last known leader when ISR and ELR are empty.
    pub last_known_elr: Vec<BrokerId>,
    /// Leader, -1 = none.
    pub leader: BrokerId,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Partition epoch.
    pub partition_epoch: i32,
    /// Recovery state.
    pub recovery: RecoveryState,
    /// Replicas being added by a reassignment.
    pub adding: Vec<BrokerId>,
    /// Replicas being removed by a reassignment.
    pub removing: Vec<BrokerId>,
}
