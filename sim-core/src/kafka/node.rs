//! A node of a Kafka cluster, and what can be asked of it from outside.

use super::broker::{Broker, BrokerTimer};
use super::consumer::{Consumer, ConsumerTimer};
use super::controller::{Controller, ControllerTimer};
use super::ids::BrokerId;
use super::note::Note;
use super::processor::Processor;
use super::producer::{Producer, ProducerTimer};
use super::protocol::Msg;
use crate::kernel::{Context, Input, Loss};
use serde::{Deserialize, Serialize};

/// The context of Kafka's nodes.
pub type KafkaCx<'a> = dyn Context<Msg, Timer, Note> + 'a;

/// What a Kafka node is called with.
pub(super) type KafkaInput<T> = Input<Msg, T, Order>;

/// A node of a Kafka cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Node {
    /// A broker.
    Broker(Box<Broker>),
    /// A KRaft controller (a voter of the metadata quorum).
    Controller(Box<Controller>),
    /// An application with a producer.
    Producer(Box<Producer>),
    /// An application with a consumer.
    Consumer(Box<Consumer>),
    /// An application with a consumer and a producer.
    Processor(Box<Processor>),
}

/// A timer of a Kafka node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Timer {
    /// A broker's.
    Broker(BrokerTimer),
    /// A controller's.
    Controller(ControllerTimer),
    /// A producer's.
    Producer(ProducerTimer),
    /// A consumer's.
    Consumer(ConsumerTimer),
}

/// What an operator or application can order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// To a broker: shut down in order (SIGTERM): move leadership away first.
    ControlledShutdown,
    /// To the active controller: elect preferred leaders now (`kafka-leader-election.sh`).
    ElectPreferred,
    /// To the active controller: elect a leader for this partition even if unclean.
    ElectUnclean {
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: u16,
    },
    /// To the active controller: set or delete a config (`kafka-configs.sh`).
    AlterConfig {
        /// Topic name, or `None` for the cluster default.
        topic: Option<String>,
        /// Real key.
        key: String,
        /// New value; `None` deletes it.
        value: Option<String>,
    },
    /// To a producer: send this many records now.
    Send {
        /// How many.
        records: u32,
    },
    /// To a producer: start or stop its load.
    Load {
        /// Whether it sends.
        on: bool,
    },
    /// To a producer: change `acks` (closes the producer and opens a new one).
    SetAcks {
        /// `0`, `1` or `all`.
        acks: String,
    },
    /// To a consumer: stop or go on polling.
    Poll {
        /// Whether it polls.
        on: bool,
    },
    /// To a consumer: `close()`. A member of a group commits, leaves and is gone until a restart.
    Close,
    /// To the active controller: set or delete a quota (`kafka-configs.sh --entity-type clients`).
    AlterQuota {
        /// A client by its name and its number among all clients, or `None` for all that have no
        /// quota of their own.
        client: Option<(String, u32)>,
        /// Real key.
        key: String,
        /// New value; `None` deletes it.
        value: Option<String>,
    },
    /// To the active controller: move a partition to these brokers, in order of preference
    /// (`kafka-reassign-partitions.sh`).
    Reassign {
        /// Topic name.
        topic: String,
        /// Partition number.
        partition: u16,
        /// Brokers by name and id; `None` takes back the reassignment that goes on.
        replicas: Option<Vec<(String, BrokerId)>>,
        /// `--throttle`: bytes per second that the move may take of each broker.
        throttle: Option<u64>,
    },
    /// To the active controller: give a topic more partitions (`kafka-topics.sh --alter`).
    CreatePartitions {
        /// Topic name.
        topic: String,
        /// How many there are to be in all.
        count: u16,
    },
    /// To a consumer: read on from somewhere else.
    Seek {
        /// Partition number; `None` for all that it has.
        partition: Option<u16>,
        /// Where.
        to: SeekTo,
    },
}

/// Where a consumer is to read on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SeekTo {
    /// `seek()`: at this offset.
    Offset(u64),
    /// `seekToBeginning()`.
    Beginning,
    /// `seekToEnd()`.
    End,
    /// `offsetsForTimes()` and `seek()`: at the first record that is at most this old, ms; at the
    /// end if there is none.
    Back(u64),
}

impl Node {
    /// The one entry; see [`crate::kernel::Process::on`].
    pub fn on(&mut self, input: KafkaInput<Timer>, cx: &mut KafkaCx<'_>) {
        macro_rules! give {
            ($node:expr, $kind:ident) => {{
                let input = match input {
                    Input::Boot => Input::Boot,
                    Input::Message { from, msg } => Input::Message { from, msg },
                    Input::Timer(Timer::$kind(timer)) => Input::Timer(timer),
                    Input::Disconnected(peer) => Input::Disconnected(peer),
                    Input::Order(order) => Input::Order(order),
                    Input::Timer(_) => return,
                };
                $node.on(input, cx);
            }};
        }
        match self {
            Node::Broker(node) => give!(node, Broker),
            Node::Controller(node) => give!(node, Controller),
            Node::Producer(node) => give!(node, Producer),
            Node::Consumer(node) => give!(node, Consumer),
            Node::Processor(node) => node.on(input, cx),
        }
    }

    /// A message of another system, as this one understands it: not at all.
    #[must_use]
    pub fn adopt(&self, _foreign: crate::systems::Msg) -> Option<Msg> {
        None
    }

    /// Drops what a crash takes.
    pub fn crash(&mut self, loss: Loss) {
        match self {
            Node::Broker(node) => node.crash(loss),
            Node::Controller(node) => node.crash(loss),
            Node::Producer(node) => node.crash(loss),
            Node::Consumer(node) => node.crash(loss),
            Node::Processor(node) => node.crash(loss),
        }
    }

    /// About how many bytes a clone takes; see [`crate::kernel::Process::weight`].
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Node::Broker(node) => node.weight(),
            Node::Controller(node) => size_of_val(&**node),
            Node::Producer(node) => node.weight(),
            Node::Consumer(node) => node.weight(),
            Node::Processor(node) => node.weight(),
        }
    }

    /// Why an order cannot be given to this node, if so.
    #[must_use]
    pub fn refuse(&self, order: &Order) -> Option<String> {
        match (self, order) {
            (Node::Producer(producer), Order::SetAcks { acks }) => {
                return producer.refuse_acks(acks);
            }
            (Node::Producer(producer), Order::Send { records }) => {
                return producer.refuse_records(*records);
            }
            _ => {}
        }
        let fits = match order {
            Order::ControlledShutdown => matches!(self, Node::Broker(_)),
            Order::ElectPreferred
            | Order::ElectUnclean { .. }
            | Order::AlterConfig { .. }
            | Order::AlterQuota { .. }
            | Order::CreatePartitions { .. }
            | Order::Reassign { .. } => {
                matches!(self, Node::Controller(c) if c.is_active())
            }
            Order::Send { .. } | Order::Load { .. } | Order::SetAcks { .. } => {
                matches!(self, Node::Producer(_))
            }
            Order::Poll { .. } | Order::Close => {
                matches!(self, Node::Consumer(_) | Node::Processor(_))
            }
            Order::Seek { .. } => matches!(self, Node::Consumer(it) if it.has_positions()),
        };
        let who = match order {
            Order::ControlledShutdown => "a broker",
            Order::ElectPreferred
            | Order::ElectUnclean { .. }
            | Order::AlterConfig { .. }
            | Order::AlterQuota { .. }
            | Order::CreatePartitions { .. }
            | Order::Reassign { .. } => "the active controller",
            Order::Send { .. } | Order::Load { .. } | Order::SetAcks { .. } => "a producer",
            Order::Poll { .. } | Order::Close => "a consumer",
            Order::Seek { .. } => "a consumer that has positions, and no producer beside it,",
        };
        match self {
            Node::Controller(controller) if fits => controller.refuse(order),
            _ => (!fits).then(|| format!("only {who} takes this order")),
        }
    }
}

impl Order {
    /// The order in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Order::ControlledShutdown => "shut down in order".to_owned(),
            Order::ElectPreferred => "elect preferred leaders".to_owned(),
            Order::ElectUnclean { topic, partition } => {
                format!("elect a leader of {topic}-{partition}, unclean if need be")
            }
            Order::AlterConfig { topic, key, value } => {
                let whose = topic.as_deref().unwrap_or("the cluster");
                match value {
                    Some(value) => format!("set {key}={value} for {whose}"),
                    None => format!("take {key} off {whose}"),
                }
            }
            Order::Reassign {
                topic,
                partition,
                replicas,
                ..
            } => match replicas {
                None => format!("take back the reassignment of {topic}-{partition}"),
                Some(brokers) => {
                    let names: Vec<&str> = brokers.iter().map(|it| it.0.as_str()).collect();
                    format!("move {topic}-{partition} to {}", names.join(", "))
                }
            },
            Order::AlterQuota { client, key, value } => {
                let whose = client.as_ref().map_or("all clients", |it| it.0.as_str());
                match value {
                    Some(value) => format!("set {key}={value} for {whose}"),
                    None => format!("take {key} off {whose}"),
                }
            }
            Order::CreatePartitions { topic, count } => {
                format!("give {topic} {count} partitions")
            }
            Order::Send { records } => format!("send {records} records"),
            Order::Load { on: true } => "start the load".to_owned(),
            Order::Load { on: false } => "stop the load".to_owned(),
            Order::SetAcks { acks } => format!("use acks={acks}"),
            Order::Poll { on: true } => "poll again".to_owned(),
            Order::Poll { on: false } => "stop polling".to_owned(),
            Order::Close => "close the consumer".to_owned(),
            Order::Seek { partition, to } => {
                let what = partition.map_or_else(String::new, |it| format!(" in partition {it}"));
                match to {
                    SeekTo::Offset(offset) => format!("seek to offset {offset}{what}"),
                    SeekTo::Beginning => format!("seek to the beginning{what}"),
                    SeekTo::End => format!("seek to the end{what}"),
                    SeekTo::Back(ms) => format!("seek to {ms} ms ago{what}"),
                }
            }
        }
    }
}

/// Orders that a palette offers for a node: stable name, words, order.
#[must_use]
pub fn orders_of(node: &Node) -> Vec<(&'static str, &'static str, Order)> {
    match node {
        Node::Broker(_) => {
            vec![(
                "controlled-shutdown",
                "Shut it down in order",
                Order::ControlledShutdown,
            )]
        }
        Node::Controller(_) => {
            vec![(
                "elect-preferred",
                "Elect preferred leaders",
                Order::ElectPreferred,
            )]
        }
        Node::Producer(_) => vec![
            ("send-one", "Send one record", Order::Send { records: 1 }),
            ("load-off", "Stop its load", Order::Load { on: false }),
            ("load-on", "Start its load", Order::Load { on: true }),
            (
                "acks-0",
                "Use acks=0",
                Order::SetAcks {
                    acks: "0".to_owned(),
                },
            ),
            (
                "acks-1",
                "Use acks=1",
                Order::SetAcks {
                    acks: "1".to_owned(),
                },
            ),
            (
                "acks-all",
                "Use acks=all",
                Order::SetAcks {
                    acks: "all".to_owned(),
                },
            ),
        ],
        Node::Consumer(_) | Node::Processor(_) => vec![
            ("poll-off", "Stop polling", Order::Poll { on: false }),
            ("poll-on", "Poll again", Order::Poll { on: true }),
            ("close", "Close it", Order::Close),
        ],
    }
}

/// The settings of a node under their real keys.
#[must_use]
pub fn config_of(node: &Node) -> Vec<(&'static str, String)> {
    match node {
        Node::Broker(broker) => broker.config().entries(),
        Node::Controller(controller) => controller.config().entries(),
        Node::Producer(producer) => producer.config().entries(),
        Node::Consumer(consumer) => consumer.config().entries(),
        Node::Processor(both) => {
            let mut all = both.consumer().config().entries();
            all.extend(both.producer().config().entries());
            all
        }
    }
}
