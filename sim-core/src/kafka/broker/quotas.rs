//! Quotas of clients: who sends or fetches too fast waits, and nothing is dropped.
//!
//! Follows `ClientQuotaManager` and `KafkaApis` (KIP-13, KIP-219). Each broker counts for itself
//! what a client id produces and fetches. A produce above the quota is done and answered at once,
//! with `throttle_time_ms`; a fetch above it is answered at once with nothing, and does not count.
//! Then the broker reads nothing from the connection for that long. A fetch asks for no more than
//! the quota gives in all full windows. Every node is a client id of its own here, without user.
//! Left out: quotas of request time and of the controller's work; replication has a throttle of its
//! own.

use super::{Broker, client_of};
use crate::kafka::ids::TopicPartition;
use crate::kafka::metadata::{ConfigResource, MetadataImage};
use crate::kafka::node::KafkaCx;
use crate::kafka::note::Rule;
use crate::kafka::rules::quota::{QuotaWindows, RATE_UNIT, Usage};
use crate::kernel::{MILLISECOND, NodeId};
use serde::Serialize;
use std::collections::BTreeMap;

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
enum Traffic {
    /// `producer_byte_rate`.
    Produce,
    /// `consumer_byte_rate`.
    Fetch,
}

impl Traffic {
    fn of_key(key: &str) -> Option<Self> {
        match key {
            "producer_byte_rate" => Some(Traffic::Produce),
            "consumer_byte_rate" => Some(Traffic::Fetch),
            _ => None,
        }
    }
}

/// The quotas in force, and what they are held against. There is none as long as no client has one.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(super) struct ClientQuotas {
    /// By number of the client, `None` for all others; bytes per second.
    rates: BTreeMap<(Option<u32>, Traffic), u64>,
    usage: BTreeMap<(u32, Traffic), Usage>,
}

impl ClientQuotas {
    fn rates_of(image: &MetadataImage) -> BTreeMap<(Option<u32>, Traffic), u64> {
        let first = (ConfigResource::Client(None), String::new());
        let own = image.configs.range(first..);
        let rates = own.filter_map(|((resource, key), value)| match resource {
            ConfigResource::Client(number) => {
                Some(((*number, Traffic::of_key(key)?), value.parse().ok()?))
            }
            ConfigResource::Cluster | ConfigResource::Topic(_) => None,
        });
        rates.collect()
    }

    /// A client's own quota, else that of all.
    fn rate(&self, client: u32, traffic: Traffic) -> Option<u64> {
        let own = self.rates.get(&(Some(client), traffic));
        own.or_else(|| self.rates.get(&(None, traffic))).copied()
    }
}

impl Broker {
    /// Settings changed: puts quotas in force or lifts them.
    pub(super) fn refresh_quotas(&mut self) {
        let rates = ClientQuotas::rates_of(self.meta.image());
        if rates.is_empty() {
            self.quotas = None;
            return;
        }
        self.quotas.get_or_insert_default().rates = rates;
    }

    fn quota_windows(&self) -> QuotaWindows {
        QuotaWindows {
            samples: self.config.quota_window_num,
            window_ms: u64::from(self.config.quota_window_s) * 1_000,
        }
    }

    /// Counts what a client fetched; over its quota it gets nothing, and the time to wait, ms.
    pub(super) fn throttle_fetch(
        &mut self,
        client: NodeId,
        bytes: u64,
        cx: &mut KafkaCx<'_>,
    ) -> Option<i64> {
        self.quotas.as_ref()?;
        let wait_ms = self.throttle(client, Traffic::Fetch, bytes, cx)?;
        let number = self.book.client_number(client_of(client))?;
        let usage = &mut self.quotas.as_mut()?.usage;
        if let Some(usage) = usage.get_mut(&(number, Traffic::Fetch)) {
            usage.unrecord(bytes);
        }
        Some(wait_ms)
    }

    /// Counts what a client produced; over its quota, the time to wait, ms.
    pub(super) fn throttle_produce(
        &mut self,
        client: NodeId,
        bytes: u64,
        cx: &mut KafkaCx<'_>,
    ) -> Option<i64> {
        self.quotas.as_ref()?;
        self.throttle(client, Traffic::Produce, bytes, cx)
    }

    /// The most that a client's fetch may ask for (`maxValueInQuotaWindow`).
    pub(super) fn fetch_limit(&self, client: NodeId, asked: u32) -> u32 {
        let rate = || {
            let quotas = self.quotas.as_ref()?;
            quotas.rate(self.book.client_number(client_of(client))?, Traffic::Fetch)
        };
        let Some(rate) = rate() else {
            return asked;
        };
        let full = u64::from(self.config.quota_window_num.saturating_sub(1));
        let seconds = full.saturating_mul(u64::from(self.config.quota_window_s));
        let most = rate.saturating_mul(seconds.max(1));
        asked.min(u32::try_from(most).unwrap_or(u32::MAX))
    }

    fn throttle(
        &mut self,
        client: NodeId,
        traffic: Traffic,
        bytes: u64,
        cx: &mut KafkaCx<'_>,
    ) -> Option<i64> {
        let windows = self.quota_windows();
        let now_ms = cx.now() / MILLISECOND;
        let number = self.book.client_number(client_of(client))?;
        let quotas = self.quotas.as_mut()?;
        let quota = quotas.rate(number, traffic)?.saturating_mul(RATE_UNIT);
        let usage = quotas.usage.entry((number, traffic)).or_default();
        let wait_ms = usage.record(bytes, quota, windows, now_ms, i64::MAX);
        if wait_ms <= 0 {
            return None;
        }
        let wait = super::span(wait_ms);
        self.mute(client, cx.now().saturating_add(wait), cx);
        let (who, tp) = (i64::from(client_of(client).0), None::<TopicPartition>);
        self.note_rule(Rule::ClientThrottled, tp, None, who, wait_ms, cx);
        Some(wait_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_own_quota_goes_before_that_of_all() {
        let mut image = MetadataImage::default();
        let mut set = |client, key: &str, value: &str| {
            let key = (ConfigResource::Client(client), key.to_owned());
            image.configs.insert(key, value.to_owned());
        };
        set(None, "producer_byte_rate", "1000");
        set(Some(2), "producer_byte_rate", "50");
        set(Some(2), "consumer_byte_rate", "70");
        let quotas = ClientQuotas {
            rates: ClientQuotas::rates_of(&image),
            ..ClientQuotas::default()
        };
        let check = |client, traffic, expect| {
            assert_eq!(quotas.rate(client, traffic), expect, "{client} {traffic:?}");
        };
        check(1, Traffic::Produce, Some(1_000));
        check(2, Traffic::Produce, Some(50));
        check(2, Traffic::Fetch, Some(70));
        check(1, Traffic::Fetch, None);
    }
}
