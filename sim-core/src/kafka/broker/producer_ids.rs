//! InitProducerId: producer ids out of a block that the controller gave this broker.
//!
//! Follows `RPCProducerIdManager`: while a block is on its way clients are told to try again. A
//! block that a crash takes is never used again.

use super::channel::Ask;
use super::{Broker, respond, span};
use crate::kafka::error::ErrorCode;
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Request, Response};
use crate::kernel::NodeId;
use serde::Serialize;

/// Ids not given out yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct ProducerIdBlock {
    next: i64,
    end: i64,
    /// Somebody asked in vain in this step.
    #[serde(skip)]
    wanted: bool,
}

impl ProducerIdBlock {
    /// An id that nobody had before, if there is one.
    pub(super) fn take_one(&mut self) -> Result<i64, ErrorCode> {
        if self.next >= self.end {
            self.wanted = true;
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        self.next += 1;
        Ok(self.next - 1)
    }
}

impl Broker {
    pub(super) fn on_init_producer_id(
        &mut self,
        from: NodeId,
        correlation: u32,
        cx: &mut KafkaCx<'_>,
    ) {
        let given = self.producer_ids.take_one().ok();
        self.keep_producer_ids(cx);
        let response = Response::InitProducerId {
            error: match given {
                Some(_) => ErrorCode::None,
                None => ErrorCode::CoordinatorLoadInProgress,
            },
            producer_id: given.unwrap_or(-1),
            producer_epoch: if given.is_some() { 0 } else { -1 },
        };
        respond(from, correlation, response, cx);
    }

    /// Asks for more if somebody asked in vain.
    pub(super) fn keep_producer_ids(&mut self, cx: &mut KafkaCx<'_>) {
        if std::mem::take(&mut self.producer_ids.wanted) {
            self.allocate_producer_ids(cx);
        }
    }

    fn allocate_producer_ids(&mut self, cx: &mut KafkaCx<'_>) {
        let Some(controller) = self.controller_node() else {
            return;
        };
        if self.is_asking(Ask::ProducerIds) {
            return;
        }
        let request = Request::AllocateProducerIds {
            broker: self.id,
            broker_epoch: self.lifecycle.epoch,
        };
        let timeout = span(self.config.request_timeout_ms);
        self.ask(Ask::ProducerIds, controller, timeout, request, cx);
    }

    pub(super) fn on_producer_ids(&mut self, error: ErrorCode, start: i64, len: i64) {
        // After an error the next client's request asks again.
        if !error.is_error() && len > 0 {
            self.producer_ids = ProducerIdBlock {
                next: start,
                end: start.saturating_add(len),
                wanted: false,
            };
        }
    }
}
