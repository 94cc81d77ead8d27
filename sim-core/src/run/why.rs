//! "Why?": from a value to the rule that last changed it, and back along causes.

use super::session::Session;
use crate::kafka::why::{explains, rule_text, rule_words, subject};
use crate::kernel::Kind;
use crate::systems::Note;
use crate::view::{LineKind, WhyStep};

/// Longest chain that is told.
const STEPS_MAX: usize = 12;

impl Session {
    /// Why a value is what it is: the rule that last changed it first, then what led there.
    ///
    /// Subjects are those of [`crate::view::Fact::subject`], e.g. `n0/orders-0/hw`. Empty if the
    /// value never changed or the subject is unknown.
    #[must_use]
    pub fn why(&self, about: &str) -> Vec<WhyStep> {
        let Some((node, lane, what)) = subject(about) else {
            return Vec::new();
        };
        let Some(tp) = crate::kafka::facts::Cluster(self.run().world()).partition_named(lane)
        else {
            return Vec::new();
        };
        let found = self.history().rules_before(self.event()).find(|(_, note)| {
            let Note::Kafka(note) = note;
            explains(note, node, tp, what)
        });
        let Some((event, Note::Kafka(note))) = found else {
            return Vec::new();
        };
        let names = &self.scenario().nodes;
        let mut steps = Vec::new();
        let Some(step) = self.history().step(*event) else {
            return steps;
        };
        let (at, text) = rule_words(note, names);
        if let crate::kafka::Note::Rule { rule, .. } = note {
            let (name, _, source) = rule_text(*rule);
            steps.push(WhyStep {
                time: step.time,
                event: *event,
                rule: Some(name.to_owned()),
                text: format!("{at}: {text}"),
                source: (!source.is_empty()).then(|| source.to_owned()),
            });
        }
        self.causes(*event, &mut steps);
        steps
    }

    /// Why an event happened: its chain of causes.
    #[must_use]
    pub fn why_event(&self, event: u64) -> Vec<WhyStep> {
        let mut steps = Vec::new();
        self.causes(event, &mut steps);
        steps
    }

    /// Walks from an event to what scheduled it, and on.
    fn causes(&self, event: u64, steps: &mut Vec<WhyStep>) {
        let names = &self.scenario().nodes;
        let name = |id: u32| names.get(id as usize).map_or("", String::as_str);
        let mut number = event;
        while steps.len() < STEPS_MAX {
            let Some(step) = self.history().step(number) else {
                return;
            };
            let at = name(step.node);
            let text = match step.kind {
                Kind::Message { from, label, .. } => {
                    format!("{at} received {label} from {}", name(from.0))
                }
                Kind::Undelivered { from, label } => {
                    format!("{label} from {} did not reach {at}", name(from.0))
                }
                Kind::Timer => format!("a timer of {at} fired"),
                Kind::Reset { peer } => format!("{at} lost its connection to {}", name(peer.0)),
                Kind::Internal => format!("{at} woke"),
                Kind::Deed => {
                    let mark = self
                        .history()
                        .marks()
                        .iter()
                        .find(|mark| mark.event == number && mark.kind == LineKind::Deed);
                    mark.map_or_else(|| "a deed".to_owned(), |mark| mark.text.clone())
                }
            };
            // A rule that fired in this event says more than the message alone.
            let rule = self.history().rules_of(number).next();
            let rule = rule.and_then(|Note::Kafka(note)| match note {
                crate::kafka::Note::Rule { rule, .. } => Some(rule_text(*rule)),
                _ => None,
            });
            steps.push(WhyStep {
                time: step.time,
                event: number,
                rule: rule.map(|(name, ..)| name.to_owned()),
                text,
                source: None,
            });
            match self.history().number(step.cause) {
                Some(cause) if cause < number => number = cause,
                _ => return,
            }
        }
    }
}
