//! Kafka's verbs of the timeline.

use super::settings::{Settings, put};
use crate::kafka::config::{BrokerConfig, QuotaConfig, TopicConfig};
use crate::kafka::ids::BrokerId;
use crate::kafka::node::{Order, SeekTo};
use crate::kafka::spec::{ClusterSpec, TopicSpec};
use crate::kernel::MILLISECOND;
use crate::scenario::{
    Arg, ArgKind, Args, At, Problem, Reader, Verb, limits, needed, optional, units,
};
use std::ops::Range;

const BROKER: Arg = needed("node", nodes("broker"), "Which broker, or a list of them.");
const PRODUCER: Arg = needed(
    "node",
    nodes("producer"),
    "Which producer, or a list of them.",
);
const CONSUMER: Arg = needed(
    "node",
    nodes("consumer"),
    "Which consumer, or a list of them.",
);
const ACTIVE: Arg = optional(
    "node",
    ArgKind::Nodes {
        kind: Some("controller"),
        default: Some("controller.leader"),
    },
    "Which controller is told; left out: the active one.",
);

const fn nodes(kind: &'static str) -> ArgKind {
    ArgKind::Nodes {
        kind: Some(kind),
        default: None,
    }
}

const ACKS: &[&str] = &["0", "1", "all", "-1"];
const ENDS: &[&str] = &["beginning", "end"];

/// The verbs.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        name: "controlled-shutdown",
        doc: "A broker shuts down in order (SIGTERM): it moves leadership away first.",
        args: &[BROKER],
        undo: false,
    },
    Verb {
        name: "elect-preferred",
        doc: "Preferred leaders are elected now (kafka-leader-election.sh).",
        args: &[ACTIVE],
        undo: false,
    },
    Verb {
        name: "elect-unclean",
        doc: "A leader is elected for a partition even if unclean.",
        args: &[
            ACTIVE,
            needed("topic", ArgKind::Text, "The topic."),
            needed("partition", ArgKind::Count, "The number of the partition."),
        ],
        undo: false,
    },
    Verb {
        name: "alter-config",
        doc: "A setting is changed or deleted (kafka-configs.sh).",
        args: &[
            ACTIVE,
            optional(
                "topic",
                ArgKind::Text,
                "The topic; left out: the default of the cluster.",
            ),
            needed("key", ArgKind::Text, "Kafka's own key."),
            optional(
                "value",
                ArgKind::Plain,
                "The new value; left out: the setting is deleted.",
            ),
        ],
        undo: false,
    },
    Verb {
        name: "reassign",
        doc: "A partition moves to other brokers (kafka-reassign-partitions.sh).",
        args: &[
            ACTIVE,
            needed("topic", ArgKind::Text, "The topic."),
            needed("partition", ArgKind::Count, "The number of the partition."),
            optional(
                "replicas",
                ArgKind::Texts,
                "The brokers, the preferred leader first; left out: the move that goes on is taken back.",
            ),
            optional(
                "throttle",
                ArgKind::Speed,
                "Bytes per second that the move may take of a broker.",
            ),
        ],
        undo: false,
    },
    Verb {
        name: "alter-quota",
        doc: "A quota of a client is changed or deleted (kafka-configs.sh --entity-type clients).",
        args: &[
            ACTIVE,
            optional(
                "client",
                ArgKind::Text,
                "The producer or consumer; left out: each client without a quota of its own.",
            ),
            needed("key", ArgKind::Text, "Kafka's own key."),
            optional(
                "value",
                ArgKind::Plain,
                "Bytes per second; left out: the quota is deleted.",
            ),
        ],
        undo: false,
    },
    Verb {
        name: "create-partitions",
        doc: "A topic gets more partitions (kafka-topics.sh --alter --partitions).",
        args: &[
            ACTIVE,
            needed("topic", ArgKind::Text, "The topic."),
            needed("count", ArgKind::Count, "How many it has then, in all."),
        ],
        undo: false,
    },
    Verb {
        name: "send",
        doc: "A producer's application sends records now.",
        args: &[PRODUCER, needed("records", ArgKind::Count, "How many.")],
        undo: false,
    },
    Verb {
        name: "start-load",
        doc: "A producer's load goes on.",
        args: &[PRODUCER],
        undo: true,
    },
    Verb {
        name: "stop-load",
        doc: "A producer's load stops.",
        args: &[PRODUCER],
        undo: true,
    },
    Verb {
        name: "set-acks",
        doc: "A producer is closed and opened again with other acks.",
        args: &[
            PRODUCER,
            needed("acks", ArgKind::Words(ACKS), "0, 1 or all."),
        ],
        undo: false,
    },
    Verb {
        name: "start-polling",
        doc: "A consumer goes on polling.",
        args: &[CONSUMER],
        undo: true,
    },
    Verb {
        name: "stop-polling",
        doc: "A consumer stops polling.",
        args: &[CONSUMER],
        undo: true,
    },
    Verb {
        name: "close-consumer",
        doc: "A consumer is closed: it commits, and as a dynamic member of a group it leaves; once its process has crashed, a restart opens it again.",
        args: &[CONSUMER],
        undo: false,
    },
    Verb {
        name: "seek",
        doc: "A consumer's application reads on from somewhere else: one of `offset`, `where` and `back`.",
        args: &[
            CONSUMER,
            optional(
                "partition",
                ArgKind::Count,
                "The number of the partition; left out: every one that it has.",
            ),
            optional("offset", ArgKind::Count, "From this offset on."),
            optional("where", ArgKind::Words(ENDS), "From there on."),
            optional(
                "back",
                ArgKind::Time,
                "From the first record on that is at most this old, or from the end.",
            ),
        ],
        undo: false,
    },
];

/// The order of a verb.
pub(super) fn read(
    spec: &ClusterSpec,
    verb: &Verb,
    args: &Args,
    reader: &mut Reader<'_>,
) -> Option<Order> {
    Some(match verb.name {
        "controlled-shutdown" => Order::ControlledShutdown,
        "elect-preferred" => Order::ElectPreferred,
        "elect-unclean" => {
            let topic = known_topic(spec, args, reader)?;
            Order::ElectUnclean {
                partition: known_partition(spec, &topic, args, reader)?,
                topic,
            }
        }
        "alter-config" => alter_config(spec, args, reader)?,
        "reassign" => reassign(spec, args, reader)?,
        "alter-quota" => alter_quota(spec, args, reader)?,
        "create-partitions" => create_partitions(spec, args, reader)?,
        "send" => Order::Send {
            records: match u32::try_from(args.count("records")?) {
                Ok(records) if records <= limits::ORDERED_RECORDS => records,
                _ => {
                    let expected = format!("at most {} at once", limits::ORDERED_RECORDS);
                    let problem = Problem::bad_value("these are too many", expected);
                    args.report("records", problem, reader);
                    return None;
                }
            },
        },
        "start-load" => Order::Load { on: true },
        "stop-load" => Order::Load { on: false },
        "set-acks" => Order::SetAcks {
            acks: args.text("acks")?,
        },
        "start-polling" => Order::Poll { on: true },
        "stop-polling" => Order::Poll { on: false },
        "close-consumer" => Order::Close,
        "seek" => seek(spec, args, reader)?,
        _ => return None,
    })
}

fn known_topic(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<String> {
    let topic = args.text("topic")?;
    if spec.topics.iter().any(|known| known.name == topic) {
        return Some(topic);
    }
    let message = format!("there is no topic `{}`", units::shorten(&topic));
    let topics = spec.topics.iter().map(|topic| topic.name.as_str());
    let problem = Problem::new("unknown-name", message).near(&topic, topics);
    args.report("topic", problem, reader);
    None
}

fn known_partition(
    spec: &ClusterSpec,
    topic: &str,
    args: &Args,
    reader: &mut Reader<'_>,
) -> Option<u16> {
    let number = args.count("partition")?;
    let count = spec
        .topics
        .iter()
        .find(|known| known.name == topic)
        .map_or(0, |topic| topic.assignment.len());
    if number < count as u64 {
        return u16::try_from(number).ok();
    }
    // A topic without any is bad itself, or unknown, and that was said.
    let last = count.checked_sub(1)?;
    let message = format!("the topic has no partition {number}");
    let expected = format!("a number from 0 to {last}");
    args.report("partition", Problem::bad_value(message, expected), reader);
    None
}

fn seek(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let mut partition = None;
    if let Some(number) = args.count("partition") {
        let Ok(fits) = u16::try_from(number) else {
            let problem = Problem::bad_value("no topic has so many partitions", "a number");
            args.report("partition", problem, reader);
            return None;
        };
        // Partitions that the file adds may be there by then.
        if !reader.text().contains("create-partitions") {
            for topic in topics_read(spec, args) {
                known_partition(spec, topic, args, reader)?;
            }
        }
        partition = Some(fits);
    }
    let ends = args.text("where").map(|word| match word.as_str() {
        "end" => SeekTo::End,
        _ => SeekTo::Beginning,
    });
    let back = args.time("back").map(|it| SeekTo::Back(it / MILLISECOND));
    let offset = args.count("offset").map(SeekTo::Offset);
    let all: Vec<SeekTo> = [offset, ends, back].into_iter().flatten().collect();
    if let [to] = all[..] {
        return Some(Order::Seek { partition, to });
    }
    let message = "a position is sought by one of `offset`, `where` and `back`";
    args.report("node", Problem::new("contradiction", message), reader);
    None
}

/// What the consumers read that are named; one that is found out in the run is not known here.
fn topics_read<'s>(spec: &'s ClusterSpec, args: &Args) -> Vec<&'s str> {
    let named = args.nodes(CONSUMER.key).map(|it| it.0);
    let named = named.unwrap_or_default();
    let consumers = spec.consumers.iter();
    let consumers = consumers.filter(|it| named.iter().any(|name| name.value == it.name));
    let mut topics: Vec<&str> = consumers.flat_map(|it| it.topics()).collect();
    topics.dedup();
    topics
}

fn create_partitions(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let topic = known_topic(spec, args, reader)?;
    let of = |known: &&TopicSpec| known.name == topic;
    let assignment = &spec.topics.iter().find(of)?.assignment;
    let replicas = assignment.first().map_or(1, Vec::len).max(1);
    let (has, most) = (assignment.len(), limits::REPLICAS / replicas);
    let count = args.count("count")?;
    match u16::try_from(count) {
        Ok(number) if count > has as u64 && count <= most as u64 => Some(Order::CreatePartitions {
            topic,
            count: number,
        }),
        _ => {
            let message = format!("`{}` has {has} partitions", units::shorten(&topic));
            let expected = format!("more than that, at most {most}: none can be taken away");
            args.report("count", Problem::bad_value(message, expected), reader);
            None
        }
    }
}

fn alter_config(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let topic = match args.get("topic") {
        Some(_) => Some(known_topic(spec, args, reader)?),
        None => None,
    };
    let place = &args.get("key")?.span;
    let key = At::new(args.text("key")?, place.clone());
    let value = args.text("value");
    let value_place = args.get("value").map_or(place, |value| &value.span);
    let text = value.as_deref();
    let fits = match topic {
        Some(_) => fits::<TopicConfig>(&key, text, value_place, reader),
        None => fits::<BrokerConfig>(&key, text, value_place, reader),
    };
    fits.then_some(Order::AlterConfig {
        topic,
        key: key.value,
        value,
    })
}

/// The number of a client; reports an unknown one.
pub(super) fn known_client(
    name: &str,
    place: &Range<usize>,
    spec: &ClusterSpec,
    reader: &mut Reader<'_>,
) -> Option<u32> {
    let number = spec.client_number(name);
    if number.is_none() {
        let message = format!("there is no client `{}`", units::shorten(name));
        let producers = spec.producers.iter().map(|it| it.name.as_str());
        let all = producers.chain(spec.consumers.iter().map(|it| it.name.as_str()));
        reader.report(place, Problem::new("unknown-name", message).near(name, all));
    }
    number
}

fn reassign(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let topic = known_topic(spec, args, reader)?;
    let partition = known_partition(spec, &topic, args, reader)?;
    let replicas = match args.texts("replicas") {
        None => None,
        Some(names) => {
            let mut found: Vec<(String, BrokerId)> = Vec::new();
            for name in names {
                let known = spec.brokers.iter().find(|(broker, _)| *broker == name);
                let (problem, known) = match known {
                    Some(it) if found.contains(it) => {
                        let message = format!("`{}` stands twice", units::shorten(&name));
                        (Some(Problem::new("duplicate", message)), None)
                    }
                    Some(it) => (None, Some(it)),
                    None => {
                        let message = format!("there is no broker `{}`", units::shorten(&name));
                        let brokers = spec.brokers.iter().map(|it| it.0.as_str());
                        let problem = Problem::new("unknown-name", message).near(&name, brokers);
                        (Some(problem), None)
                    }
                };
                if let Some(problem) = problem {
                    args.report("replicas", problem, reader);
                    return None;
                }
                found.extend(known.cloned());
            }
            Some(found)
        }
    };
    Some(Order::Reassign {
        topic,
        partition,
        replicas,
        throttle: args.count("throttle"),
    })
}

fn alter_quota(spec: &ClusterSpec, args: &Args, reader: &mut Reader<'_>) -> Option<Order> {
    let client = match args.get("client") {
        Some(given) => {
            let name = args.text("client")?;
            let number = known_client(&name, &given.span, spec, reader)?;
            Some((name, number))
        }
        None => None,
    };
    let place = &args.get("key")?.span;
    let key = At::new(args.text("key")?, place.clone());
    let value = args.text("value");
    let value_place = args.get("value").map_or(place, |value| &value.span);
    let fits = fits::<QuotaConfig>(&key, value.as_deref(), value_place, reader);
    fits.then_some(Order::AlterQuota {
        client,
        key: key.value,
        value,
    })
}

/// Whether a setting takes a value, or is there to be deleted; if not, that is reported.
fn fits<C: Settings>(
    key: &At<String>,
    value: Option<&str>,
    place: &Range<usize>,
    reader: &mut Reader<'_>,
) -> bool {
    match value {
        None if C::KEYS.iter().any(|spec| spec.key == key.value) => true,
        value => put(
            &mut C::default(),
            key,
            value.unwrap_or_default(),
            place,
            reader,
        ),
    }
}

/// The verb and the arguments of an order.
pub(super) fn write(order: &Order) -> (&'static str, Vec<(&'static str, String)>) {
    let text = units::quote;
    match order {
        Order::ControlledShutdown => ("controlled-shutdown", Vec::new()),
        Order::ElectPreferred => ("elect-preferred", Vec::new()),
        Order::ElectUnclean { topic, partition } => (
            "elect-unclean",
            vec![("topic", text(topic)), ("partition", partition.to_string())],
        ),
        Order::AlterConfig { topic, key, value } => {
            let mut args = Vec::new();
            args.extend(topic.as_ref().map(|topic| ("topic", text(topic))));
            args.push(("key", text(key)));
            args.extend(value.as_ref().map(|value| ("value", text(value))));
            ("alter-config", args)
        }
        Order::Reassign {
            topic,
            partition,
            replicas,
            throttle,
        } => {
            let mut args = vec![("topic", text(topic)), ("partition", partition.to_string())];
            args.extend(replicas.as_ref().map(|brokers| {
                let names: Vec<String> = brokers.iter().map(|it| text(&it.0)).collect();
                ("replicas", format!("[{}]", names.join(", ")))
            }));
            args.extend(throttle.map(|rate| ("throttle", rate.to_string())));
            ("reassign", args)
        }
        Order::AlterQuota { client, key, value } => {
            let mut args = Vec::new();
            args.extend(client.as_ref().map(|it| ("client", text(&it.0))));
            args.push(("key", text(key)));
            args.extend(value.as_ref().map(|value| ("value", text(value))));
            ("alter-quota", args)
        }
        Order::CreatePartitions { topic, count } => (
            "create-partitions",
            vec![("topic", text(topic)), ("count", count.to_string())],
        ),
        Order::Send { records } => ("send", vec![("records", records.to_string())]),
        Order::Load { on: true } => ("start-load", Vec::new()),
        Order::Load { on: false } => ("stop-load", Vec::new()),
        Order::SetAcks { acks } => ("set-acks", vec![("acks", text(acks))]),
        Order::Poll { on: true } => ("start-polling", Vec::new()),
        Order::Poll { on: false } => ("stop-polling", Vec::new()),
        Order::Close => ("close-consumer", Vec::new()),
        Order::Seek { partition, to } => {
            let mut args = Vec::new();
            args.extend(partition.map(|it| ("partition", it.to_string())));
            args.push(match to {
                SeekTo::Offset(offset) => ("offset", offset.to_string()),
                SeekTo::Beginning => ("where", text("beginning")),
                SeekTo::End => ("where", text("end")),
                SeekTo::Back(ms) => ("back", format!("\"{ms}ms\"")),
            });
            ("seek", args)
        }
    }
}
