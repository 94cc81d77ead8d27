//! The cluster of the home page, put together in code: the first load then needs no reader of
//! scenario files. The file `pages/home.toml` says the same in the language of scenarios, and a
//! test holds the two together.

use sim_core::kafka::config::{
    BrokerConfig, ConsumerConfig, OffsetReset, ProducerConfig, TopicConfig,
};
use sim_core::kafka::parts::Parts;
use sim_core::kafka::rules::replication::ReplicationRules;
use sim_core::kafka::spec::{
    Arrivals, ClusterSpec, ConsumerSpec, Keys, LoadSpec, ProducerSpec, TopicSpec,
};
use sim_core::kernel::{LinkProfile, MILLISECOND, SECOND};
use sim_core::scenario::{Network, Scenario};
use sim_core::systems::Spec;

/// The scenario. Its cluster has no more parts than it needs, so that the first load need not have
/// the others.
pub(super) fn scenario() -> Scenario {
    with(Parts::REPLICATION)
}

fn with(parts: Parts) -> Scenario {
    Scenario {
        title: "A cluster under load".to_owned(),
        description: "Three brokers keep three copies of one log. Kill the leader and see what \
            survives."
            .to_owned(),
        seed: 42,
        duration: 120 * SECOND,
        network: Network {
            default: LinkProfile {
                delay: 4 * MILLISECOND,
                jitter: 2 * MILLISECOND,
                ..LinkProfile::default()
            },
            links: Vec::new(),
        },
        nodes: ["b1", "b2", "b3", "c1", "c2", "c3", "p1", "r1"]
            .map(str::to_owned)
            .to_vec(),
        systems: vec![Spec::Kafka(Box::new(cluster(parts)))],
        timeline: Vec::new(),
        captions: Vec::new(),
        expectations: Vec::new(),
    }
}

fn cluster(parts: Parts) -> ClusterSpec {
    let machine = |(name, id): (&str, _)| (name.to_owned(), id);
    ClusterSpec {
        brokers: [("b1", 1), ("b2", 2), ("b3", 3)].map(machine).to_vec(),
        controllers: [("c1", 101), ("c2", 102), ("c3", 103)]
            .map(machine)
            .to_vec(),
        racks: Vec::new(),
        topics: vec![TopicSpec {
            name: "orders".to_owned(),
            assignment: vec![vec![1, 2, 3]],
            config: TopicConfig {
                min_insync_replicas: 2,
                ..TopicConfig::default()
            },
        }],
        producers: vec![ProducerSpec {
            name: "p1".to_owned(),
            topic: "orders".to_owned(),
            config: ProducerConfig::default(),
            load: LoadSpec {
                // 40 records a second.
                arrivals: Arrivals::Poisson {
                    mean_gap: 25 * MILLISECOND,
                },
                keys: Keys::Uniform { n: 6 },
                ..LoadSpec::default()
            },
        }],
        consumers: vec![ConsumerSpec {
            name: "r1".to_owned(),
            topic: "orders".to_owned(),
            also: Vec::new(),
            partitions: Vec::new(),
            config: ConsumerConfig {
                auto_offset_reset: OffsetReset::Earliest,
                ..ConsumerConfig::default()
            },
            start: 0,
        }],
        config: BrokerConfig::default(),
        rules: ReplicationRules::default(),
        quotas: Vec::new(),
        transactions: false,
        groups: false,
        processors: Vec::new(),
        parts,
    }
}

#[cfg(test)]
mod tests {
    use sim_core::kafka::parts::Parts;

    #[test]
    fn code_and_file_say_the_same() {
        let read = sim_core::scenario::parse(crate::host::HOME).scenario;
        assert_eq!(Some(super::with(Parts::EVERYTHING)), read);
    }
}
