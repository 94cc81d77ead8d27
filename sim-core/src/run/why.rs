//! "Why?": from a value to the rule that last changed it, and back along causes.

use super::session::Session;
use crate::kafka::facts::Cluster;
use crate::kafka::ids::TopicPartition;
use crate::kafka::txn_pin;
use crate::kafka::why::{explains, explains_commit, rule_text, rule_words, subject};
use crate::kernel::{Kind, NodeId};
use crate::systems::Note;
use crate::view::{LineKind, WhyStep};

/// Longest chain that is told.
const STEPS_MAX: usize = 12;

impl Session {
    /// Why a value is what it is: the rule that last changed it first, then what led there.
    ///
    /// Subjects are those of [`crate::view::Fact::subject`], e.g. `n0/orders-0/hw`. Empty if the
    /// value never changed or the subject is unknown. Of a last stable offset, and of an offset that
    /// a group has committed (`orders-0/committed/billing`), what stands behind it comes first.
    #[must_use]
    pub fn why(&self, about: &str) -> Vec<WhyStep> {
        let Some((node, lane, what)) = subject(about) else {
            return Vec::new();
        };
        let Some(tp) = Cluster(self.run().world()).partition_named(lane) else {
            return Vec::new();
        };
        let group = about.rsplit('/').next().unwrap_or_default();
        let found = self.history().rules_before(self.event()).find(|(_, note)| {
            let Note::Kafka(note) = note else {
                return false;
            };
            match what {
                "committed" => explains_commit(note, group, tp),
                _ => explains(note, node, tp, what),
            }
        });
        let names = &self.scenario().nodes;
        let mut steps = self.stands(node, (group, tp), what);
        let Some((event, Note::Kafka(note))) = found else {
            return steps;
        };
        let Some(step) = self.history().step(*event) else {
            return steps;
        };
        let (at, text) = rule_words(note, names);
        let rule = match note {
            crate::kafka::Note::Rule { rule, .. } => Some(*rule),
            crate::kafka::Note::Group(note) => Some(note.rule),
            _ => None,
        };
        if let Some(rule) = rule {
            let (name, _, source) = rule_text(rule);
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

    /// What stands behind a value now, whatever last changed it: transactions that are not ended.
    fn stands(
        &self,
        node: Option<NodeId>,
        (group, tp): (&str, TopicPartition),
        what: &str,
    ) -> Vec<WhyStep> {
        let world = self.run().world();
        let (cluster, names) = (Cluster(world), &self.scenario().nodes);
        let found = match (what, node) {
            ("lso", Some(node)) => txn_pin::last_stable(cluster, node, tp, names),
            ("committed", _) => {
                let coordinator = cluster.group(group).map(|it| it.node);
                coordinator.and_then(|it| txn_pin::pending_offset(cluster, it, (group, tp), names))
            }
            _ => None,
        };
        let step = |(text, source): txn_pin::Reason| WhyStep {
            time: world.now(),
            event: self.event(),
            rule: None,
            text,
            source: Some(source.to_owned()),
        };
        found.map(step).into_iter().collect()
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
            let rule = rule.and_then(|note| match note {
                Note::Kafka(crate::kafka::Note::Rule { rule, .. }) => Some(rule_text(*rule)),
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
