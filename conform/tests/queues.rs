//! A queue simulated on the engine's kernel, with keyed draws, agrees with its closed form within
//! the confidence interval; and a queue that is a little slower does not.

use conform::queueing::{Model, Station};
use serde::Serialize;
use sim_core::kernel::{
    Cx, Digest, Input, LinkProfile, Loss, Message, NodeId, Process, Purpose, Scratch, World, draw,
    exponential,
};
use std::collections::VecDeque;

const ARRIVAL: Purpose = Purpose::named("queue.arrival");
const SERVICE: Purpose = Purpose::named("queue.service");
const SEED: u64 = 1;
/// Mean service time, ns.
const SERVICE_NS: u64 = 1_000_000;
/// Batches whose means are compared with each other.
const BATCHES: u64 = 20;
/// Student's t for 99 % on both sides and one degree of freedom fewer than there are batches.
const T_99: f64 = 2.861;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Nothing;

impl Message for Nothing {
    fn label(&self) -> &'static str {
        "Nothing"
    }
    fn bytes(&self) -> u64 {
        0
    }
    fn fingerprint(&self, _: &mut Digest) {}
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Tick {
    Arrival,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
enum Service {
    Exponential,
    Fixed,
}

/// What one batch of customers went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
struct Batch {
    customers: u64,
    sojourns_ns: u64,
    /// Customers in the system, summed over time.
    area: u64,
    ns: u64,
}

/// Servers behind one queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Queue {
    servers: u64,
    service: Service,
    service_ns: u64,
    gap_ns: u64,
    /// Of each customer in the system, when it came. Fixed service times and one server keep the
    /// order; with several the sum over a batch is the same whoever leaves first.
    came: VecDeque<u64>,
    busy: u64,
    arrived: u64,
    started: u64,
    left: u64,
    changed_ns: u64,
    /// How many leave before a batch ends.
    per_batch: u64,
    batches: Vec<Batch>,
}

impl Queue {
    fn new(servers: u64, service: Service, service_ns: u64, utilisation_percent: u64) -> Self {
        Queue {
            servers,
            service,
            service_ns,
            gap_ns: SERVICE_NS * 100 / utilisation_percent / servers,
            came: VecDeque::new(),
            busy: 0,
            arrived: 0,
            started: 0,
            left: 0,
            changed_ns: 0,
            per_batch: 0,
            batches: vec![Batch::default()],
        }
    }

    fn start(&mut self, cx: &mut Cx<'_, Self>) {
        let time = match self.service {
            Service::Fixed => self.service_ns,
            Service::Exponential => {
                exponential(draw(SEED, SERVICE, 0, 0, self.started), self.service_ns)
            }
        };
        self.started += 1;
        self.busy += 1;
        cx.set_timer(time, Tick::Done);
    }

    fn arrive_later(&mut self, cx: &mut Cx<'_, Self>) {
        let gap = exponential(draw(SEED, ARRIVAL, 0, 0, self.arrived), self.gap_ns);
        cx.set_timer(gap, Tick::Arrival);
    }

    /// The number in the system is about to change.
    fn note(&mut self, now: u64) {
        let since = now - self.changed_ns;
        self.changed_ns = now;
        let batch = self.batches.last_mut().expect("there is always one");
        batch.area += self.came.len() as u64 * since;
        batch.ns += since;
    }
}

impl Process for Queue {
    type Msg = Nothing;
    type Timer = Tick;
    type Order = ();
    type Note = ();

    fn on(&mut self, input: Input<Nothing, Tick, ()>, cx: &mut Cx<'_, Self>) {
        let now = cx.now();
        match input {
            Input::Boot => self.arrive_later(cx),
            Input::Timer(Tick::Arrival) => {
                self.note(now);
                self.came.push_back(now);
                self.arrived += 1;
                self.arrive_later(cx);
                if self.busy < self.servers {
                    self.start(cx);
                }
            }
            Input::Timer(Tick::Done) => {
                self.note(now);
                self.busy -= 1;
                self.left += 1;
                let came = self.came.pop_front().expect("one is in service");
                let batch = self.batches.last_mut().expect("there is always one");
                batch.customers += 1;
                batch.sojourns_ns += now - came;
                if batch.customers == self.per_batch {
                    self.batches.push(Batch::default());
                }
                if self.came.len() as u64 > self.busy {
                    self.start(cx);
                }
            }
            _ => {}
        }
    }

    fn crash(&mut self, _: Loss) {}
}

/// Runs a queue; the first batch, in which it fills, is left out.
fn simulate(mut queue: Queue, customers: u64) -> Vec<Batch> {
    queue.per_batch = customers / BATCHES;
    let wanted = BATCHES as usize + 2;
    let mut world = World::new(SEED, LinkProfile::default());
    world.add(queue);
    let mut scratch = Scratch::default();
    world.boot(&mut scratch);
    loop {
        world.step(&mut scratch);
        let queue = world.process(NodeId(0)).expect("it was added");
        if queue.batches.len() == wanted {
            return queue.batches[1..wanted - 1].to_vec();
        }
    }
}

/// Mean of the batches, and half the width of its confidence interval.
fn estimate(batches: &[Batch], of: impl Fn(&Batch) -> f64) -> (f64, f64) {
    let n = batches.len() as f64;
    let mean = batches.iter().map(&of).sum::<f64>() / n;
    let squares = batches.iter().map(|it| (of(it) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / (n - 1.0)).sqrt();
    (mean, T_99 * deviation / n.sqrt())
}

/// Whether number in the system and time in the system are those of the closed form, within their
/// confidence intervals, which must not be wider than this share of it.
fn agrees(batches: &[Batch], station: &Station, widest: f64) -> bool {
    let (number, number_width) = estimate(batches, |it| it.area as f64 / it.ns as f64);
    let time = |it: &Batch| it.sojourns_ns as f64 / it.customers as f64 / 1e9;
    let (time, time_width) = estimate(batches, time);
    println!(
        "{:.2}: L {number:.3} ± {number_width:.3} for {:.3}, W {:.3} ± {:.3} ms for {:.3} ms",
        station.utilisation(),
        station.in_system(),
        time * 1e3,
        time_width * 1e3,
        station.sojourn_s() * 1e3
    );
    assert!(
        number_width < widest * station.in_system(),
        "{number_width}"
    );
    assert!(time_width < widest * station.sojourn_s(), "{time_width}");
    (number - station.in_system()).abs() <= number_width
        && (time - station.sojourn_s()).abs() <= time_width
}

fn station(model: Model, servers: u64, utilisation_percent: u64) -> Station {
    let mu = 1e9 / SERVICE_NS as f64;
    let lambda = mu * servers as f64 * utilisation_percent as f64 / 100.0;
    Station::new(model, lambda, mu).expect("it is not overloaded")
}

#[test]
fn mm1_agrees_with_its_closed_form_at_five_utilisations() {
    for (percent, customers, widest) in [
        (50, 100_000, 0.05),
        (70, 150_000, 0.05),
        (80, 300_000, 0.1),
        (90, 500_000, 0.1),
        (95, 800_000, 0.2),
    ] {
        let queue = Queue::new(1, Service::Exponential, SERVICE_NS, percent);
        let batches = simulate(queue, customers);
        let expected = station(Model::Exponential { servers: 1 }, 1, percent);
        assert!(agrees(&batches, &expected, widest), "at {percent} %");
    }
}

#[test]
fn fixed_service_and_several_servers_agree_with_theirs() {
    let fixed = simulate(Queue::new(1, Service::Fixed, SERVICE_NS, 80), 40_000);
    let expected = station(Model::General { cs2: 0.0 }, 1, 80);
    assert!(agrees(&fixed, &expected, 0.1), "M/D/1");
    let four = simulate(Queue::new(4, Service::Exponential, SERVICE_NS, 80), 60_000);
    let expected = station(Model::Exponential { servers: 4 }, 4, 80);
    assert!(agrees(&four, &expected, 0.1), "M/M/4");
}

/// The test can fail: service that takes a tenth longer is noticed, and so is one that does not
/// vary.
#[test]
fn another_queue_does_not_agree() {
    let expected = station(Model::Exponential { servers: 1 }, 1, 70);
    let slower = Queue::new(1, Service::Exponential, SERVICE_NS * 11 / 10, 70);
    assert!(!agrees(&simulate(slower, 40_000), &expected, 0.3));
    let fixed = Queue::new(1, Service::Fixed, SERVICE_NS, 70);
    assert!(!agrees(&simulate(fixed, 40_000), &expected, 0.3));
}

/// Little's law holds in each simulated batch but for those who are in the system at its ends.
#[test]
fn little_holds_in_the_simulation() {
    let queue = Queue::new(1, Service::Exponential, SERVICE_NS, 80);
    for batch in simulate(queue, 40_000) {
        let share = batch.area as f64 / batch.sojourns_ns as f64;
        assert!((share - 1.0).abs() < 0.05, "{share}");
    }
}
