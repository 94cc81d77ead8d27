//! A client's network: requests out, responses in, connections and metadata kept up on the way.
//!
//! Follows `NetworkClient`. Requests carry correlation ids that match a response to its request; an
//! answer to nothing that is under way is ignored. A request that is not answered within
//! `request.timeout.ms` ends the connection and with it everything else that was under way on it.
//! A lost connection makes the metadata stale, because that is how a client learns of a dead
//! leader.

use super::connections::{InFlight, Peer, State};
use super::{Backoff, ClientMetadata, NEVER};
use crate::kafka::error::ErrorCode;
use crate::kafka::ids::{AddressBook, BrokerId, TopicId};
use crate::kafka::node::KafkaCx;
use crate::kafka::protocol::{Msg, Request, Response};
use crate::kernel::{MILLISECOND, Nanos, NodeId, Purpose, below};
use serde::Serialize;

const RECONNECT: Purpose = Purpose::named("client.reconnect");
const SETUP: Purpose = Purpose::named("client.connection-setup");
const REFRESH: Purpose = Purpose::named("client.metadata-refresh");
const LEAST_LOADED: Purpose = Purpose::named("client.least-loaded");

/// Settings of a client's network, ns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(in crate::kafka) struct Timing {
    /// `request.timeout.ms`.
    pub(in crate::kafka) request_timeout: Nanos,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub(in crate::kafka) retry: Backoff,
    /// `metadata.max.age.ms`.
    pub(in crate::kafka) metadata_max_age: Nanos,
    /// `max.in.flight.requests.per.connection`.
    pub(in crate::kafka) max_in_flight: u32,
}

/// A request that will not be answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::kafka) struct Lost<K> {
    /// To whom it went.
    pub(in crate::kafka) broker: BrokerId,
    /// What it was about.
    pub(in crate::kafka) about: K,
    /// NETWORK_EXCEPTION, or REQUEST_TIMED_OUT if the client itself gave up.
    pub(in crate::kafka) error: ErrorCode,
}

/// What a response means for the client's user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::kafka) enum Event<K> {
    /// Nothing.
    Nothing,
    /// A connection can be used now.
    Connected,
    /// Metadata came in.
    Metadata {
        /// A leader or the number of partitions changed.
        changed: bool,
    },
    /// A request of the user was answered.
    Answer(BrokerId, K, Box<Response>),
}

/// The network of one client; `K` is what its user remembers of a request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(in crate::kafka) struct Client<K> {
    timing: Timing,
    pub(in crate::kafka) metadata: ClientMetadata,
    /// `bootstrap.servers`, which are all brokers, by id.
    peers: Vec<Peer<K>>,
    next_correlation: u32,
    metadata_in_flight: bool,
    /// Draws so far; chance is keyed by it.
    draws: u64,
    /// How long brokers have asked for silence so far, together, ms.
    #[serde(skip)]
    throttled_ms: u64,
}

impl<K: Clone> Client<K> {
    /// A client that knows addresses and nothing else.
    pub(in crate::kafka) fn new(book: &AddressBook, topic: TopicId, timing: Timing) -> Self {
        let peers = book.brokers.iter().map(|(id, node)| Peer::new(*id, *node));
        Client {
            timing,
            metadata: ClientMetadata::new(topic, timing.metadata_max_age, timing.retry)
                .with_racks(book),
            peers: peers.collect(),
            next_correlation: 0,
            metadata_in_flight: false,
            draws: 0,
            throttled_ms: 0,
        }
    }

    /// For several topics; see [`ClientMetadata::with_topics`].
    pub(in crate::kafka) fn with_topics(mut self, topics: Vec<TopicId>) -> Self {
        self.metadata = self.metadata.with_topics(topics);
        self
    }

    /// Its topics, if it has several.
    pub(in crate::kafka) fn several_topics(&self) -> Vec<TopicId> {
        match self.metadata.topics() {
            [_] => Vec::new(),
            several => several.to_vec(),
        }
    }

    /// Numbers its requests from here on.
    pub(in crate::kafka) fn number_from(&mut self, correlation: u32) {
        self.next_correlation = correlation;
    }

    fn peer(&mut self, broker: BrokerId) -> Option<&mut Peer<K>> {
        self.peers.iter_mut().find(|peer| peer.broker == broker)
    }

    fn correlation(&mut self) -> u32 {
        self.next_correlation = self.next_correlation.wrapping_add(1);
        self.next_correlation
    }

    fn bits(&mut self, purpose: Purpose, cx: &KafkaCx<'_>) -> u64 {
        self.draws += 1;
        cx.draw(purpose, self.draws)
    }

    /// Requests under way to each broker, the client's own excluded.
    pub(in crate::kafka) fn in_flight(&self) -> impl Iterator<Item = (BrokerId, u64)> + '_ {
        self.peers.iter().map(|peer| {
            let own = peer.in_flight.iter().filter(|it| it.about.is_some());
            (peer.broker, own.count() as u64)
        })
    }

    /// How long brokers have asked for silence so far (`throttle_time_ms`), together, ms.
    pub(in crate::kafka) fn throttled_ms(&self) -> u64 {
        self.throttled_ms
    }

    /// Whether a request can be sent to this broker now; if there is no connection and no reason to
    /// wait with it, one is opened.
    pub(in crate::kafka) fn ready(&mut self, broker: BrokerId, cx: &mut KafkaCx<'_>) -> bool {
        let now = cx.now();
        self.ready_to_coordinate(broker, cx)
            && self
                .peer(broker)
                .is_some_and(|it| it.throttled_until <= now)
    }

    /// The same for a coordinator, to which a client keeps a connection of its own: no quota of
    /// data mutes that one.
    pub(in crate::kafka) fn ready_to_coordinate(
        &mut self,
        broker: BrokerId,
        cx: &mut KafkaCx<'_>,
    ) -> bool {
        let max = self.timing.max_in_flight;
        let Some(peer) = self.peer(broker) else {
            return false;
        };
        match peer.state {
            State::Ready => (peer.in_flight.len() as u64) < u64::from(max),
            State::Connecting { .. } => false,
            State::Closed { .. } => {
                self.connect(broker, cx);
                false
            }
        }
    }

    fn connect(&mut self, broker: BrokerId, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        if !self.peer(broker).is_some_and(|peer| peer.can_connect(now)) {
            return;
        }
        let correlation = self.correlation();
        let bits = self.bits(SETUP, cx);
        if let Some(peer) = self.peer(broker) {
            peer.connecting(now, correlation, bits);
            let request = Msg::Request(correlation, Box::new(Request::ApiVersions));
            cx.send(peer.node, request);
        }
    }

    /// Sends a request; with `about` a response is expected.
    pub(in crate::kafka) fn send(
        &mut self,
        broker: BrokerId,
        request: Request,
        about: Option<K>,
        cx: &mut KafkaCx<'_>,
    ) {
        let timeout = self.timing.request_timeout;
        self.send_within(broker, request, about, timeout, cx);
    }

    /// [`Client::send`] with a time of its own for the answer.
    pub(in crate::kafka) fn send_within(
        &mut self,
        broker: BrokerId,
        request: Request,
        about: Option<K>,
        timeout: Nanos,
        cx: &mut KafkaCx<'_>,
    ) {
        let correlation = self.correlation();
        let deadline = cx.now().saturating_add(timeout);
        let Some(peer) = self.peer(broker) else {
            return;
        };
        if about.is_some() || matches!(request, Request::Metadata) {
            peer.sent(InFlight {
                correlation,
                deadline,
                about,
            });
        }
        cx.send(peer.node, Msg::Request(correlation, Box::new(request)));
    }

    /// A response arrived.
    pub(in crate::kafka) fn on_response(
        &mut self,
        from: NodeId,
        correlation: u32,
        response: Box<Response>,
        now: Nanos,
    ) -> Event<K> {
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else {
            return Event::Nothing;
        };
        match peer.state {
            State::Connecting {
                correlation: asked, ..
            } if asked == correlation => {
                peer.connected();
                return Event::Connected;
            }
            State::Ready => {}
            _ => return Event::Nothing,
        }
        let response = match *response {
            Response::Throttled {
                throttle_time_ms,
                response,
            } => {
                let ms = u64::try_from(throttle_time_ms).unwrap_or(0);
                let until = now.saturating_add(ms.saturating_mul(MILLISECOND));
                peer.throttled_until = peer.throttled_until.max(until);
                self.throttled_ms = self.throttled_ms.saturating_add(ms);
                response
            }
            _ => response,
        };
        let (broker, answered) = (peer.broker, peer.answered(correlation));
        match answered.map(|it| it.about) {
            None => Event::Nothing,
            Some(Some(about)) => Event::Answer(broker, about, response),
            Some(None) => {
                self.metadata_in_flight = false;
                let changed = match *response {
                    // A broker that has just started knows nobody yet.
                    Response::Metadata {
                        brokers,
                        partitions,
                    } if !brokers.is_empty() => self.metadata.update(now, brokers, &partitions),
                    _ => {
                        self.metadata.failed(now);
                        false
                    }
                };
                Event::Metadata { changed }
            }
        }
    }

    /// A connection ended or was refused.
    pub(in crate::kafka) fn on_disconnected(
        &mut self,
        node: NodeId,
        lost: &mut Vec<Lost<K>>,
        cx: &mut KafkaCx<'_>,
    ) {
        let peer = self.peers.iter().position(|peer| peer.node == node);
        if let Some(at) = peer {
            self.drop_connection(at, ErrorCode::NetworkException, lost, cx);
        }
    }

    fn drop_connection(
        &mut self,
        at: usize,
        error: ErrorCode,
        lost: &mut Vec<Lost<K>>,
        cx: &KafkaCx<'_>,
    ) {
        let bits = self.bits(RECONNECT, cx);
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        if matches!(peer.state, State::Closed { .. }) {
            return;
        }
        let broker = peer.broker;
        for request in peer.closed(cx.now(), bits) {
            match request.about {
                Some(about) => lost.push(Lost {
                    broker,
                    about,
                    error,
                }),
                None => {
                    self.metadata_in_flight = false;
                    self.metadata.failed(cx.now());
                }
            }
        }
        self.metadata.request_update(true);
    }

    /// Gives up what is overdue, and refreshes metadata if that is due.
    pub(in crate::kafka) fn poll(&mut self, lost: &mut Vec<Lost<K>>, cx: &mut KafkaCx<'_>) {
        let now = cx.now();
        for at in 0..self.peers.len() {
            let Some(peer) = self.peers.get(at) else {
                continue;
            };
            if peer.deadline() <= now {
                cx.disconnect(peer.node);
                self.drop_connection(at, ErrorCode::RequestTimedOut, lost, cx);
            }
        }
        self.maybe_refresh(cx);
    }

    fn refresh_due(&self, cx: &KafkaCx<'_>) -> Nanos {
        if self.metadata_in_flight {
            return NEVER;
        }
        let key = self.metadata.pause_key();
        self.metadata.due(|| cx.draw(REFRESH, key))
    }

    fn maybe_refresh(&mut self, cx: &mut KafkaCx<'_>) {
        if self.refresh_due(cx) > cx.now() {
            return;
        }
        let Some(broker) = self.least_loaded(cx) else {
            return;
        };
        if self.ready(broker, cx) {
            self.metadata_in_flight = true;
            self.send(broker, Request::Metadata, None, cx);
        }
    }

    /// The broker to ask what any broker can answer (`leastLoadedNode`): a ready one with the
    /// fewest requests under way, else one that is being connected, else one that may be.
    pub(in crate::kafka) fn least_loaded(&mut self, cx: &KafkaCx<'_>) -> Option<BrokerId> {
        // Without a live broker that could be asked, the client goes back to its bootstrap list.
        let known = |peer: &Peer<K>| self.metadata.brokers().contains(&peer.broker);
        let candidates: Vec<usize> = match self.peers.iter().any(known) {
            true => (0..self.peers.len())
                .filter(|at| self.peers.get(*at).is_some_and(known))
                .collect(),
            false => (0..self.peers.len()).collect(),
        };
        let chosen = self.choose(&candidates, cx).or_else(|| {
            let all: Vec<usize> = (0..self.peers.len()).collect();
            self.choose(&all, cx)
        });
        self.draws += 1;
        chosen
    }

    fn choose(&self, candidates: &[usize], cx: &KafkaCx<'_>) -> Option<BrokerId> {
        let bits = cx.draw(LEAST_LOADED, self.draws);
        // Below the number of candidates, which is a length.
        let offset = below(bits, candidates.len() as u64) as usize;
        let (before, after) = candidates.split_at(offset);
        let turn = || {
            after
                .iter()
                .chain(before)
                .filter_map(|at| self.peers.get(*at))
        };
        let max = u64::from(self.timing.max_in_flight);
        let ready = turn()
            .filter(|p| p.state == State::Ready && (p.in_flight.len() as u64) < max)
            .filter(|p| p.throttled_until <= cx.now())
            .min_by_key(|p| p.in_flight.len());
        let connecting = || turn().find(|p| matches!(p.state, State::Connecting { .. }));
        let closed = || {
            let may = turn().filter(|p| p.can_connect(cx.now()));
            may.min_by_key(|p| p.last_attempt)
        };
        ready
            .or_else(connecting)
            .or_else(closed)
            .map(|peer| peer.broker)
    }

    /// When [`Client::poll`] has something to do.
    pub(in crate::kafka) fn deadline(&self, cx: &KafkaCx<'_>) -> Nanos {
        let timeouts = self.peers.iter().map(Peer::deadline).min();
        let due = self.refresh_due(cx);
        // A refresh that is due but found nobody to ask waits for the next connection attempt.
        let refresh = match due <= cx.now() {
            true => self.reconnect_at(None, cx.now()),
            false => due,
        };
        timeouts.unwrap_or(NEVER).min(refresh)
    }

    /// When, after `now`, the pause before the next attempt to connect to this broker (or to any)
    /// ends, or the silence that it asked for; [`NEVER`] if there is no such pause.
    pub(in crate::kafka) fn reconnect_at(&self, broker: Option<BrokerId>, now: Nanos) -> Nanos {
        let peers = self.peers.iter();
        let wanted = peers.filter(|peer| broker.is_none_or(|wanted| peer.broker == wanted));
        let times = wanted.filter_map(|peer| match peer.state {
            State::Closed { not_before } if not_before > now => Some(not_before),
            State::Ready if peer.throttled_until > now => Some(peer.throttled_until),
            _ => None,
        });
        times.min().unwrap_or(NEVER)
    }

    /// Closes all connections without telling anyone what was under way.
    pub(in crate::kafka) fn close(&mut self, cx: &mut KafkaCx<'_>) {
        for peer in &self.peers {
            if !matches!(peer.state, State::Closed { .. }) {
                cx.close(peer.node);
            }
        }
    }
}
