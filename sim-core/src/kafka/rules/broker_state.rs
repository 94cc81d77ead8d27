//! The states of a broker in the controller's eyes, and what its next heartbeat makes of them.
//!
//! Follows `BrokerHeartbeatManager.calculateNextBrokerState`.

/// What the controller takes a broker for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub enum BrokerControlState {
    /// Registered, but not in any ISR and never a leader.
    Fenced,
    /// Serving.
    Unfenced,
    /// Its leaderships are moved away before it stops.
    ControlledShutdown,
    /// It may stop.
    ShutdownNow,
}

/// A heartbeat, with what the controller knows besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct HeartbeatView {
    /// The broker asks to be fenced.
    pub want_fence: bool,
    /// The broker asks to shut down.
    pub want_shut_down: bool,
    /// How far the broker has replayed the metadata log.
    pub metadata_offset: i64,
    /// Offset of its registration record.
    pub registration_offset: i64,
    /// Whether it leads any partition.
    pub has_leaderships: bool,
    /// Metadata offset at which its controlled shutdown began.
    pub controlled_shutdown_offset: i64,
    /// Lowest metadata offset of all active brokers.
    pub lowest_active_offset: i64,
}

/// The state after a heartbeat.
pub fn next_broker_state(current: BrokerControlState, view: &HeartbeatView) -> BrokerControlState {
    use BrokerControlState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
    match current {
        Fenced if view.want_shut_down => ShutdownNow,
        Fenced if !view.want_fence && view.metadata_offset >= view.registration_offset => Unfenced,
        Fenced => Fenced,
        Unfenced if view.want_fence => {
            if view.want_shut_down {
                ShutdownNow
            } else {
                Fenced
            }
        }
        Unfenced if view.want_shut_down && view.has_leaderships => ControlledShutdown,
        Unfenced if view.want_shut_down => ShutdownNow,
        Unfenced => Unfenced,
        // Every active broker must have seen that the leaderships moved.
        ControlledShutdown
            if view.has_leaderships
                || view.controlled_shutdown_offset > view.lowest_active_offset =>
        {
            ControlledShutdown
        }
        ControlledShutdown | ShutdownNow => ShutdownNow,
    }
}
