//! Judging expectations: each is decided once, at the moment its author gave.

use super::run::Occurrence;
use crate::kernel::Nanos;
use crate::scenario::{Facts, Moment, Scenario};
use crate::view::{Verdict, VerdictState};

/// How one expectation stands.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Standing {
    state: VerdictState,
    at: Option<Nanos>,
    detail: String,
}

/// All expectations of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judge {
    standings: Vec<Standing>,
    /// Numbers of undecided expectations that are looked at after each event.
    open: Vec<u32>,
}

impl Judge {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let pending = Standing {
            state: VerdictState::Pending,
            at: None,
            detail: String::new(),
        };
        let open = (0..)
            .zip(&scenario.expectations)
            .filter(|(_, e)| !matches!(e.moment, Moment::End | Moment::At(_)))
            .map(|(n, _)| n)
            .collect();
        Judge {
            standings: vec![pending; scenario.expectations.len()],
            open,
        }
    }

    pub(super) fn watches(&self) -> bool {
        !self.open.is_empty()
    }

    /// After an event.
    pub(super) fn watch(
        &mut self,
        now: Nanos,
        scenario: &Scenario,
        facts: &impl Facts,
        out: &mut Vec<Occurrence>,
    ) {
        let mut i = 0;
        while let Some(number) = self.open.get(i).copied() {
            let Some(expectation) = scenario.expectations.get(number as usize) else {
                break;
            };
            let decided = match expectation.moment {
                Moment::Eventually { after, by } if (after..=by).contains(&now) => expectation
                    .predicate
                    .holds(facts)
                    .then_some(VerdictState::Held),
                Moment::Always { after, until } if (after..=until).contains(&now) => {
                    (!expectation.predicate.holds(facts)).then_some(VerdictState::Broken)
                }
                Moment::Never { after, until } if (after..=until).contains(&now) => expectation
                    .predicate
                    .holds(facts)
                    .then_some(VerdictState::Broken),
                _ => None,
            };
            match decided {
                Some(state) => self.decide(number, (state, now), scenario, facts, out),
                None => i += 1,
            }
        }
    }

    /// At a time that an expectation names, after all events of that instant.
    pub(super) fn at_time(
        &mut self,
        now: Nanos,
        scenario: &Scenario,
        facts: &impl Facts,
        out: &mut Vec<Occurrence>,
    ) {
        self.watch(now, scenario, facts, out);
        for (number, expectation) in (0..).zip(&scenario.expectations) {
            let decided = match expectation.moment {
                Moment::At(at) if at == now => {
                    let holds = expectation.predicate.holds(facts);
                    Some(if holds {
                        VerdictState::Held
                    } else {
                        VerdictState::Broken
                    })
                }
                Moment::Eventually { by, .. } if by <= now => Some(VerdictState::Broken),
                Moment::Always { until, .. } | Moment::Never { until, .. } if until <= now => {
                    Some(VerdictState::Held)
                }
                _ => None,
            };
            if let Some(state) = decided {
                self.decide(number, (state, now), scenario, facts, out);
            }
        }
    }

    /// At the end of the run: what is still open is decided.
    pub(super) fn finish(
        &mut self,
        end: Nanos,
        scenario: &Scenario,
        facts: &impl Facts,
        out: &mut Vec<Occurrence>,
    ) {
        self.at_time(end, scenario, facts, out);
        for (number, expectation) in (0..).zip(&scenario.expectations) {
            let state = match expectation.moment {
                Moment::End => {
                    let holds = expectation.predicate.holds(facts);
                    if holds {
                        VerdictState::Held
                    } else {
                        VerdictState::Broken
                    }
                }
                // Its time lies behind the end: it never came true, or never came at all.
                Moment::At(_) | Moment::Eventually { .. } => VerdictState::Broken,
                Moment::Always { .. } | Moment::Never { .. } => VerdictState::Held,
            };
            self.decide(number, (state, end), scenario, facts, out);
        }
    }

    fn decide(
        &mut self,
        number: u32,
        (state, now): (VerdictState, Nanos),
        scenario: &Scenario,
        facts: &impl Facts,
        out: &mut Vec<Occurrence>,
    ) {
        let expectation = scenario.expectations.get(number as usize);
        let standing = self.standings.get_mut(number as usize);
        let Some((expectation, standing)) = expectation.zip(standing) else {
            return;
        };
        if standing.state != VerdictState::Pending {
            return;
        }
        standing.state = state;
        standing.at = Some(now);
        if state == VerdictState::Broken {
            let sides = expectation.predicate.sides(facts);
            let sides = super::words::sides(&sides, &scenario.nodes);
            let mut probes = expectation.predicate.probes().into_iter();
            let detail = sides.or_else(|| probes.find_map(|it| facts.reason(&it)));
            standing.detail = detail.unwrap_or_default();
        }
        self.open.retain(|open| *open != number);
        out.push(Occurrence::Decided(number, state));
    }

    /// How each expectation stands, in the order of the file.
    #[must_use]
    pub fn view(&self, scenario: &Scenario) -> Vec<Verdict> {
        scenario
            .expectations
            .iter()
            .zip(&self.standings)
            .map(|(expectation, standing)| Verdict {
                text: super::words::expectation(expectation),
                state: standing.state,
                detail: standing.detail.clone(),
                time: standing.at,
            })
            .collect()
    }
}
