//! Queueing laws in closed form, with which simulated queues and the cases of queueing are compared.
//!
//! Follows Kleinrock, *Queueing Systems* I (M/M/1, M/M/c by Erlang C, M/M/1/K, M/G/1 by Pollaczek
//! and Khinchine), Little 1961, Kingman 1961 (an approximation for heavy traffic) and Jackson 1957
//! (stations in a row). Analysis only: the engine decides nothing by these numbers, so they may be
//! floating-point.

/// The shape of a service station.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Model {
    /// Poisson arrivals, exponential service, so many servers, no bound on the queue.
    Exponential {
        /// How many servers.
        servers: u32,
    },
    /// Poisson arrivals, one server, any service time (Pollaczek-Khinchine); 0 is M/D/1.
    General {
        /// Squared coefficient of variation of the service time.
        cs2: f64,
    },
    /// M/M/1/K: at most so many in the system; who finds it full is turned away.
    Bounded {
        /// Places, the one in service included.
        places: u32,
    },
    /// G/G/1 by Kingman's approximation.
    Approximate {
        /// Squared coefficient of variation of the gaps between arrivals.
        ca2: f64,
        /// Squared coefficient of variation of the service time.
        cs2: f64,
    },
}

/// A station: its shape, its load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Station {
    /// Its shape.
    pub model: Model,
    /// Arrivals per second.
    pub lambda: f64,
    /// What one server can do per second.
    pub mu: f64,
}

/// Why a station has no steady state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unfit {
    /// A rate is not a positive number.
    Rate,
    /// As much arrives as can be served, or more: the queue grows without end.
    Unstable,
    /// There are no servers or no places, or more than can be counted through.
    Size,
}

/// More servers or places than this are refused.
const SIZE_MAX: u32 = 1_000_000;

impl Station {
    /// A station that has a steady state.
    ///
    /// # Errors
    ///
    /// [`Unfit`] otherwise.
    pub fn new(model: Model, lambda: f64, mu: f64) -> Result<Self, Unfit> {
        let is_rate = |it: f64| it.is_finite() && it > 0.0;
        let station = Station { model, lambda, mu };
        match model {
            _ if !is_rate(lambda) || !is_rate(mu) => Err(Unfit::Rate),
            Model::Exponential { servers: size } | Model::Bounded { places: size }
                if size == 0 || size > SIZE_MAX =>
            {
                Err(Unfit::Size)
            }
            Model::Bounded { .. } => Ok(station),
            _ if station.utilisation() >= 1.0 => Err(Unfit::Unstable),
            _ => Ok(station),
        }
    }

    /// ρ: the load offered to each server, as a share of what it can do.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.offered() / f64::from(self.servers())
    }

    /// The load offered, in servers.
    fn offered(&self) -> f64 {
        self.lambda / self.mu
    }

    fn servers(&self) -> u32 {
        match self.model {
            Model::Exponential { servers } => servers,
            _ => 1,
        }
    }

    /// Erlang C: the chance that an arrival must wait.
    #[must_use]
    pub fn waits(&self) -> f64 {
        let rho = self.utilisation();
        match self.model {
            Model::Exponential { servers: 1 } => rho,
            Model::Exponential { servers } => {
                let offered = self.offered();
                let step = |blocked: f64, n: u32| {
                    let arriving = offered * blocked;
                    arriving / (f64::from(n) + arriving)
                };
                let blocked = (1..=servers).fold(1.0, step);
                blocked / (1.0 - rho * (1.0 - blocked))
            }
            Model::Bounded { .. } => 1.0 - self.state(0),
            Model::General { .. } | Model::Approximate { .. } => rho,
        }
    }

    /// Arrivals per second that get in.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.lambda * (1.0 - self.blocked())
    }

    /// The chance that an arrival is turned away.
    #[must_use]
    pub fn blocked(&self) -> f64 {
        match self.model {
            Model::Bounded { places } => self.state(places),
            _ => 0.0,
        }
    }

    /// L: the mean number in the system.
    #[must_use]
    pub fn in_system(&self) -> f64 {
        match self.model {
            Model::Bounded { places } => {
                let part = |n: u32| f64::from(n) * self.state(n);
                (1..=places).map(part).sum()
            }
            _ => self.waiting() + self.offered(),
        }
    }

    /// Lq: the mean number that wait.
    #[must_use]
    pub fn waiting(&self) -> f64 {
        let rho = self.utilisation();
        match self.model {
            Model::Exponential { .. } => self.waits() * rho / (1.0 - rho),
            Model::General { cs2 } => rho * rho * (1.0 + cs2) / (2.0 * (1.0 - rho)),
            Model::Bounded { .. } => self.in_system() - (1.0 - self.state(0)),
            Model::Approximate { .. } => self.lambda * self.wait_s(),
        }
    }

    /// W: the mean time in the system, s.
    #[must_use]
    pub fn sojourn_s(&self) -> f64 {
        match self.model {
            Model::Approximate { .. } => self.wait_s() + 1.0 / self.mu,
            _ => self.in_system() / self.throughput(),
        }
    }

    /// Wq: the mean time in the queue, s.
    #[must_use]
    pub fn wait_s(&self) -> f64 {
        match self.model {
            Model::Approximate { ca2, cs2 } => {
                let rho = self.utilisation();
                rho / (1.0 - rho) * (ca2 + cs2) / 2.0 / self.mu
            }
            _ => self.waiting() / self.throughput(),
        }
    }

    /// The chance that just `n` are in the system. Not a number where no closed form is known here.
    #[must_use]
    pub fn state(&self, n: u32) -> f64 {
        let rho = self.utilisation();
        let power = |n: u32| rho.powf(f64::from(n));
        match self.model {
            Model::Bounded { places } if n > places => 0.0,
            Model::Bounded { places } if rho == 1.0 => 1.0 / (f64::from(places) + 1.0),
            Model::Bounded { places } => (1.0 - rho) * power(n) / (1.0 - rho * power(places)),
            Model::Exponential { servers: 1 } => (1.0 - rho) * power(n),
            Model::Exponential { servers } => self.state_of_many(servers, n),
            Model::General { .. } if n == 0 => 1.0 - rho,
            Model::General { .. } | Model::Approximate { .. } => f64::NAN,
        }
    }

    fn state_of_many(&self, servers: u32, n: u32) -> f64 {
        let offered = self.offered();
        // Relative to the state in which all servers are busy and nobody waits.
        let fewer = |state: f64, busy: u32| state * f64::from(busy) / offered;
        let below = (1..=servers).rev().scan(1.0, |state, busy| {
            *state = fewer(*state, busy);
            Some(*state)
        });
        let total: f64 = below.sum::<f64>() + 1.0 / (1.0 - self.utilisation());
        let relative = match n.checked_sub(servers) {
            Some(more) => self.utilisation().powf(f64::from(more)),
            None => (n + 1..=servers).rev().fold(1.0, fewer),
        };
        relative / total
    }

    /// The chance that `n` or more are in the system.
    #[must_use]
    pub fn at_least(&self, n: u32) -> f64 {
        match self.model {
            Model::Exponential { servers } if n >= servers => {
                let more = f64::from(n - servers);
                self.waits() * self.utilisation().powf(more)
            }
            _ => 1.0 - (0..n.min(SIZE_MAX)).map(|it| self.state(it)).sum::<f64>(),
        }
    }

    /// The time in the system that this share of customers stays below, s; for M/M/1, where it is
    /// exponential. Not a number elsewhere.
    #[must_use]
    pub fn sojourn_quantile_s(&self, share: f64) -> f64 {
        match self.model {
            Model::Exponential { servers: 1 } => -(-share).ln_1p() / (self.mu - self.lambda),
            _ => f64::NAN,
        }
    }

    /// The time in the queue that this share of customers stays below, s; for exponential service.
    /// Not a number elsewhere.
    #[must_use]
    pub fn wait_quantile_s(&self, share: f64) -> f64 {
        match self.model {
            Model::Exponential { servers } => {
                let spare = f64::from(servers) * self.mu - self.lambda;
                (self.waits() / (1.0 - share)).ln().max(0.0) / spare
            }
            _ => f64::NAN,
        }
    }
}

/// Little's law, L = λW, for any stable system: how many are in it, given how many pass per second
/// and how long each stays.
#[must_use]
pub fn little(throughput: f64, mean_time_s: f64) -> f64 {
    throughput * mean_time_s
}

/// The mean time through stations in a row, each M/M/1 without a bound, s.
///
/// # Errors
///
/// [`Unfit`] if a station has no steady state.
pub fn tandem_sojourn_s(lambda: f64, stations: &[f64]) -> Result<f64, Unfit> {
    let model = Model::Exponential { servers: 1 };
    let each = stations.iter().map(|mu| Station::new(model, lambda, *mu));
    each.map(|station| station.map(|it| it.sojourn_s())).sum()
}

/// After an outage: what has piled up, and how long it takes to catch up while as much arrives as
/// before, s. The time is infinite where nothing is spare.
#[must_use]
pub fn catch_up(outage_s: f64, rate: f64, capacity: f64) -> (f64, f64) {
    let backlog = outage_s * rate;
    let spare = capacity - rate;
    let time = match spare > 0.0 {
        true => backlog / spare,
        false => f64::INFINITY,
    };
    (backlog, time)
}

/// The most that a stage takes whose busiest subtask gets this share of all records.
#[must_use]
pub fn keyed_throughput(per_subtask: f64, largest_share: f64) -> f64 {
    per_subtask / largest_share
}

/// The shortest stable interval of micro-batches, s, where a batch costs `fixed_s` and each record
/// `per_record_s`. `None` where records cost more than the time they arrive in.
#[must_use]
pub fn micro_batch_interval_s(fixed_s: f64, per_record_s: f64, rate: f64) -> Option<f64> {
    let spare = 1.0 - per_record_s * rate;
    (spare > 0.0).then(|| fixed_s / spare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(what: &str, got: f64, expected: f64) {
        let error = (got - expected).abs() / expected.abs().max(1.0);
        assert!(error < 1e-9, "{what}: got {got}, expected {expected}");
    }

    fn station(model: Model, lambda: f64, mu: f64) -> Station {
        Station::new(model, lambda, mu).expect("a steady state")
    }

    #[test]
    fn special_cases_agree_with_each_other() {
        let one = station(Model::Exponential { servers: 1 }, 3.0, 4.0);
        let same = station(Model::General { cs2: 1.0 }, 3.0, 4.0);
        let kingman = station(Model::Approximate { ca2: 1.0, cs2: 1.0 }, 3.0, 4.0);
        let roomy = station(Model::Bounded { places: 400 }, 3.0, 4.0);
        for other in [same, kingman, roomy] {
            near("L", other.in_system(), one.in_system());
            near("Lq", other.waiting(), one.waiting());
            near("W", other.sojourn_s(), one.sojourn_s());
            near("Wq", other.wait_s(), one.wait_s());
        }
        let fixed = station(Model::General { cs2: 0.0 }, 3.0, 4.0);
        near(
            "M/D/1 waits half as long",
            fixed.wait_s() * 2.0,
            one.wait_s(),
        );
    }

    #[test]
    fn each_station_obeys_little_and_its_states_sum_to_one() {
        for model in [
            Model::Exponential { servers: 1 },
            Model::Exponential { servers: 5 },
            Model::Bounded { places: 7 },
        ] {
            let it = station(model, 3.5, 4.0);
            near("L", it.in_system(), little(it.throughput(), it.sojourn_s()));
            near("Lq", it.waiting(), little(it.throughput(), it.wait_s()));
            near("sum", (0..2_000).map(|n| it.state(n)).sum(), 1.0);
            let mean = (0..2_000).map(|n| f64::from(n) * it.state(n)).sum();
            near("mean", mean, it.in_system());
            for n in [0, 1, 4, 5, 6, 7, 9] {
                let tail = (n..2_000).map(|k| it.state(k)).sum();
                near("tail", it.at_least(n), tail);
            }
        }
    }

    /// Kleinrock's and Erlang's own tables: two servers, each half busy: a third must wait.
    #[test]
    fn known_values() {
        let two = station(Model::Exponential { servers: 2 }, 1.0, 1.0);
        near("C(2, 1)", two.waits(), 1.0 / 3.0);
        near("Lq", two.waiting(), 1.0 / 3.0);
        let full = station(Model::Bounded { places: 3 }, 2.0, 2.0);
        near("as much as can be served", full.blocked(), 0.25);
        near("median", two.wait_quantile_s(0.5), 0.0);
        let one = station(Model::Exponential { servers: 1 }, 1.0, 2.0);
        near("median", one.sojourn_quantile_s(0.5), 2.0_f64.ln());
    }

    #[test]
    fn what_has_no_steady_state_is_refused() {
        let check = |model, lambda, expected| {
            assert_eq!(
                Station::new(model, lambda, 1.0).err(),
                expected,
                "{model:?}"
            );
        };
        let one = Model::Exponential { servers: 1 };
        check(one, 1.0, Some(Unfit::Unstable));
        check(one, 0.0, Some(Unfit::Rate));
        check(one, f64::NAN, Some(Unfit::Rate));
        check(Model::Exponential { servers: 0 }, 0.5, Some(Unfit::Size));
        check(Model::Exponential { servers: 2 }, 1.0, None);
        check(Model::Bounded { places: 2 }, 9.0, None);
        assert_eq!(catch_up(10.0, 5.0, 5.0).1, f64::INFINITY);
        assert_eq!(micro_batch_interval_s(1.0, 0.1, 10.0), None);
    }
}
