//! Sentences for people: what a message says. Made on demand, for transcript and inspector.

use super::protocol::{Msg, Request, Response};
use crate::kernel::Message;

/// A message in one line.
#[must_use]
pub(super) fn message(msg: &Msg) -> String {
    match msg {
        Msg::Request(_, request) => request_text(request),
        Msg::Response(_, response) => response_text(response, msg.label()),
    }
}

fn request_text(request: &Request) -> String {
    let name = request.name();
    match request {
        Request::Produce { acks, batches, .. } => {
            let records: usize = batches.iter().map(|(_, b)| b.records.len()).sum();
            let acks = match acks {
                super::protocol::Acks::None => "0",
                super::protocol::Acks::Leader => "1",
                super::protocol::Acks::All => "all",
            };
            format!("{name}: {records} records, acks={acks}")
        }
        Request::Fetch { partitions, .. } => match partitions.as_slice() {
            [one] => format!(
                "{name} from offset {} (leader epoch {})",
                one.fetch_offset, one.current_leader_epoch
            ),
            many => format!("{name} of {} partitions", many.len()),
        },
        Request::BrokerHeartbeat {
            broker,
            broker_epoch,
            ..
        } => {
            format!("{name} of broker {broker} (broker epoch {broker_epoch})")
        }
        Request::AlterPartition { partitions, .. } => {
            let isr: Vec<String> = partitions
                .iter()
                .map(|p| {
                    let ids: Vec<String> = p.new_isr.iter().map(|(b, _)| b.to_string()).collect();
                    format!("ISR {{{}}}", ids.join(", "))
                })
                .collect();
            format!("{name}: {}", isr.join("; "))
        }
        Request::Vote {
            epoch, candidate, ..
        } => {
            format!("{name} for controller {candidate} in epoch {epoch}")
        }
        Request::BeginQuorumEpoch { epoch, leader } => {
            format!("{name}: controller {leader} leads epoch {epoch}")
        }
        Request::FetchMetadata { fetch_offset, .. } => {
            format!("{name} from metadata offset {fetch_offset}")
        }
        _ => name.to_owned(),
    }
}

fn response_text(response: &Response, name: &str) -> String {
    match response {
        Response::Throttled {
            throttle_time_ms,
            response,
        } => {
            let text = response_text(response, name);
            format!("{text}, throttled for {throttle_time_ms} ms")
        }
        Response::Produce { partitions } => match partitions.as_slice() {
            [one] if one.error.is_error() => format!("{name}: {}", one.error.name()),
            [one] => format!("{name}: written at offset {}", one.base_offset),
            many => format!("{name} for {} partitions", many.len()),
        },
        Response::Fetch { partitions } => {
            let records: usize = partitions
                .iter()
                .flat_map(|p| &p.batches)
                .map(|b| b.records.len())
                .sum();
            match partitions.as_slice() {
                [one] if one.error.is_error() => format!("{name}: {}", one.error.name()),
                [one] => match one.diverging {
                    Some(end) => format!(
                        "{name}: logs diverge at epoch {}, offset {}",
                        end.epoch, end.end_offset
                    ),
                    None => format!(
                        "{name}: {records} records, high watermark {}",
                        one.high_watermark
                    ),
                },
                _ => format!("{name}: {records} records"),
            }
        }
        Response::Vote { granted, .. } => {
            format!("{name}: {}", if *granted { "granted" } else { "refused" })
        }
        Response::BrokerHeartbeat {
            error, is_fenced, ..
        } if !error.is_error() => {
            format!("{name}: {}", if *is_fenced { "fenced" } else { "unfenced" })
        }
        Response::BrokerRegistration { broker_epoch, .. } => {
            format!("{name}: broker epoch {broker_epoch}")
        }
        Response::AlterPartition { partitions, .. } => {
            let errors: Vec<&str> = partitions
                .iter()
                .filter(|p| p.error.is_error())
                .map(|p| p.error.name())
                .collect();
            if errors.is_empty() {
                format!("{name}: accepted")
            } else {
                format!("{name}: {}", errors.join(", "))
            }
        }
        Response::FetchMetadata { batches, .. } => {
            let records: usize = batches.iter().map(|b| b.records.len()).sum();
            format!("{name}: {records} metadata records")
        }
        _ => name.to_owned(),
    }
}
