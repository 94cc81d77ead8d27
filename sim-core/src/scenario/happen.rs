//! Timeline, captions and expectations: triggers and predicates with their names looked up.

use super::build::Systems;
use super::declare::Table;
use super::entry::{PredicateText, RawEntry};
use super::limits;
use super::model::{Caption, Expectation, Moment, TimelineEntry, Trigger};
use super::predicate::{Predicate, Vocabulary, Wrong, compile_predicate};
use super::probe::Probe;
use super::quantity::Time;
use super::raw::{MomentText, RawCaption, RawExpectation};
use super::reader::{At, Problem, Reader};
use super::section::Promise;
use super::units;
use super::verbs::Verb;
use crate::kernel::Nanos;
use std::ops::Range;

/// Reads what happens.
pub(super) struct Happenings<'a, 's, 't> {
    pub(super) systems: &'a Systems,
    pub(super) names: &'a Vocabulary<'s>,
    duration: Nanos,
    pub(super) reader: &'a mut Reader<'t>,
    firings: u64,
}

/// The parts of a moment, shared by entries and captions.
struct Parts<'r> {
    at: Option<&'r At<Time>>,
    every: Option<&'r At<Time>>,
    when: Option<&'r At<PredicateText>>,
    every_time: Option<&'r At<bool>>,
    after: Option<&'r At<Time>>,
    until: Option<&'r At<Time>>,
    /// A moment was written, and could not be read.
    misread: bool,
}

impl<'a, 's, 't> Happenings<'a, 's, 't> {
    pub(super) fn new(
        systems: &'a Systems,
        names: &'a Vocabulary<'s>,
        duration: Nanos,
        reader: &'a mut Reader<'t>,
    ) -> Self {
        Happenings {
            systems,
            names,
            duration,
            reader,
            firings: 0,
        }
    }

    /// The timeline.
    pub(super) fn timeline(&mut self, raw: Option<&At<Vec<At<RawEntry>>>>) -> Vec<TimelineEntry> {
        let mut entries = Vec::new();
        for entry in raw.iter().flat_map(|at| &at.value) {
            entries.extend(self.entry(entry));
        }
        entries
    }

    fn entry(&mut self, raw: &At<RawEntry>) -> Option<TimelineEntry> {
        let moment = &raw.value.moment;
        let parts = Parts {
            at: moment.at.as_ref(),
            every: moment.every.as_ref(),
            when: moment.when.as_ref(),
            every_time: moment.every_time.as_ref(),
            after: moment.after.as_ref(),
            until: moment.until.as_ref(),
            misread: ["at", "every", "when"].iter().any(|key| moment.has(key)),
        };
        let trigger = self.trigger(&parts, true, &raw.span);
        let verb = raw.value.verb?;
        let undo_after = self.undo(moment.lasts.as_ref(), verb);
        let acts = self.acts(verb, &raw.value.args, &raw.span);
        Some(TimelineEntry {
            trigger: trigger?,
            acts: acts?,
            undo_after,
            note: moment.note.as_ref().map(|at| at.value.clone()),
            line: self.reader.line(raw.span.start),
            span: raw.span.clone(),
        })
    }

    fn undo(&mut self, lasts: Option<&At<Time>>, verb: &Verb) -> Option<Nanos> {
        let lasts = lasts?;
        if !verb.undo {
            let message = format!("nothing takes back `{}`", verb.name);
            let problem = Problem::new("contradiction", message).help("leave `for` out");
            self.reader.report(&lasts.span, problem);
        } else if lasts.value.0 == 0 {
            let problem = Problem::bad_value("this would be taken back at once", "a time above 0");
            self.reader.report(&lasts.span, problem);
        }
        Some(lasts.value.0)
    }

    fn trigger(
        &mut self,
        parts: &Parts<'_>,
        may_repeat: bool,
        span: &Range<usize>,
    ) -> Option<Trigger> {
        let given = [
            parts.at.map(|at| &at.span),
            parts.every.map(|at| &at.span),
            parts.when.map(|at| &at.span),
        ];
        let mut given = given.into_iter().flatten();
        if given.next().is_none() {
            if parts.misread {
                return None;
            }
            let expected = if may_repeat {
                "one of `at`, `every` and `when`"
            } else {
                "`at` or `when`"
            };
            let problem = Problem::new("missing-key", "it is not said when").expected(expected);
            self.reader.report(span, problem);
            return None;
        }
        if let Some(second) = given.next() {
            let problem = Problem::new("contradiction", "there are two moments for one entry");
            let help = "keep one of `at`, `every` and `when`";
            self.reader.report(second, problem.help(help));
            return None;
        }
        self.only_with(parts);
        let trigger = match (parts.at, parts.every) {
            (Some(at), _) => Trigger::At(at.value.0),
            (_, Some(every)) => self.repeated(every, parts),
            _ => self.conditional(parts)?,
        };
        self.count_firings(&trigger, span);
        Some(trigger)
    }

    /// Keys that mean something only beside certain others.
    fn only_with(&mut self, parts: &Parts<'_>) {
        let mut misplaced = |span: Option<&Range<usize>>, key: &str, with: &str| {
            if let Some(span) = span {
                let message = format!("`{key}` means nothing without {with}");
                self.reader
                    .report(span, Problem::new("contradiction", message));
            }
        };
        if parts.when.is_none() {
            misplaced(parts.every_time.map(|at| &at.span), "every-time", "`when`");
        }
        if parts.at.is_some() {
            misplaced(parts.after.map(|at| &at.span), "after", "`every` or `when`");
            misplaced(parts.until.map(|at| &at.span), "until", "`every` or `when`");
        }
        if let (Some(after), Some(until)) = (parts.after, parts.until)
            && after.value.0 > until.value.0
        {
            let message = "this window ends before it begins";
            self.reader
                .report(&until.span, Problem::new("never", message).warning());
        }
        let late = [parts.at, parts.after];
        for at in late.into_iter().flatten() {
            if at.value.0 > self.duration {
                let message = format!(
                    "the run ends at {}, before this",
                    units::show_time(self.duration)
                );
                self.reader
                    .report(&at.span, Problem::new("never", message).warning());
            }
        }
    }

    fn repeated(&mut self, every: &At<Time>, parts: &Parts<'_>) -> Trigger {
        let period = every.value.0;
        if period == 0 {
            let problem = Problem::bad_value("this never ends", "a time above 0");
            self.reader.report(&every.span, problem);
        }
        Trigger::Every {
            // One mistake, one problem: no period at all does not count as many firings, too.
            period: if period == 0 {
                self.duration.max(1)
            } else {
                period
            },
            first: parts.after.map_or(period, |at| at.value.0),
            last: parts.until.map_or(self.duration, |at| at.value.0),
        }
    }

    fn conditional(&mut self, parts: &Parts<'_>) -> Option<Trigger> {
        Some(Trigger::When {
            predicate: self.predicate(parts.when?)?,
            every_time: parts.every_time.is_some_and(|at| at.value),
            after: parts.after.map_or(0, |at| at.value.0),
            until: parts.until.map_or(self.duration, |at| at.value.0),
        })
    }

    fn count_firings(&mut self, trigger: &Trigger, span: &Range<usize>) {
        let fires = match *trigger {
            Trigger::Every {
                period,
                first,
                last,
            } => last
                .min(self.duration)
                .checked_sub(first)
                .map_or(0, |window| window / period + 1),
            Trigger::At(_) | Trigger::When { .. } => 1,
        };
        let before = self.firings;
        self.firings = before.saturating_add(fires);
        if self.firings > limits::FIRINGS && before <= limits::FIRINGS {
            let message = format!(
                "with this entry the timeline fires {} times; a scenario fires at most {}",
                self.firings,
                limits::FIRINGS
            );
            self.reader
                .report(span, Problem::new("limit-timeline", message));
        }
    }

    fn predicate(&mut self, raw: &At<PredicateText>) -> Option<Predicate> {
        let text = &raw.value.0;
        let compiled = compile_predicate(text, self.names);
        let expr = self.checked(compiled, text, &raw.span)?;
        let predicate = Predicate {
            text: text.clone(),
            expr,
        };
        if predicate.probes().is_empty() {
            let problem = Problem::new("constant", "this asks nothing of the simulated state");
            self.reader.report(&raw.span, problem.warning());
        }
        Some(predicate)
    }

    /// Reports what is wrong with an expression, at its place in the file.
    pub(super) fn checked<T>(
        &mut self,
        compiled: Result<T, Vec<Wrong>>,
        text: &str,
        span: &Range<usize>,
    ) -> Option<T> {
        match compiled {
            Ok(value) => Some(value),
            Err(wrong) => {
                for (inner, problem) in wrong {
                    let place =
                        super::reader::inside_string(self.reader.text(), span, text, &inner);
                    self.reader.report(&place, problem);
                }
                None
            }
        }
    }

    /// The captions.
    pub(super) fn captions(&mut self, raw: Option<&At<Vec<At<RawCaption>>>>) -> Vec<Caption> {
        let mut captions = Vec::new();
        let all = raw.map_or(&[][..], |at| at.value.as_slice());
        self.count_sentences(all.len(), "captions", raw.map(|at| &at.span));
        for caption in all {
            let doc = &caption.value;
            let parts = Parts {
                at: doc.at.as_ref(),
                every: None,
                when: doc.when.as_ref(),
                every_time: doc.every_time.as_ref(),
                after: doc.after.as_ref(),
                until: doc.until.as_ref(),
                misread: doc.has("at") || doc.has("when"),
            };
            if let Some(trigger) = self.trigger(&parts, false, &caption.span) {
                captions.push(Caption {
                    trigger,
                    text: doc
                        .text
                        .as_ref()
                        .map(|at| at.value.clone())
                        .unwrap_or_default(),
                    line: self.reader.line(caption.span.start),
                });
            }
        }
        captions
    }

    fn count_sentences(&mut self, count: usize, what: &str, span: Option<&Range<usize>>) {
        if count > limits::SENTENCES {
            let message = format!(
                "{count} {what}; a scenario has at most {}",
                limits::SENTENCES
            );
            let span = span.cloned().unwrap_or(0..0);
            self.reader
                .report(&span, Problem::new("limit-sentences", message));
        }
    }

    /// The expectations: first what systems promise and nobody asks for, then those of the file
    /// (what is asked behind a text is looked for at the end).
    pub(super) fn expectations(
        &mut self,
        raw: Option<&At<Vec<At<RawExpectation>>>>,
        promises: &[Promise],
    ) -> Vec<Expectation> {
        let all = raw.map_or(&[][..], |at| at.value.as_slice());
        self.count_sentences(all.len(), "expectations", raw.map(|at| &at.span));
        let mut expectations = Vec::new();
        for expectation in all {
            let doc = &expectation.value;
            let moment = self.moment(doc);
            let Some(predicate) = doc.that.as_ref().and_then(|that| self.predicate(that)) else {
                continue;
            };
            expectations.push(Expectation {
                predicate,
                moment,
                note: doc.note.as_ref().map(|at| at.value.clone()),
                line: self.reader.line(expectation.span.start),
                span: expectation.span.clone(),
            });
        }
        let asked: Vec<Probe> = (expectations.iter())
            .flat_map(|it| it.predicate.probes())
            .collect();
        for promise in promises {
            // What its names mean is not known where the file's own were not understood.
            let Ok(expr) = compile_predicate(promise.that, self.names) else {
                continue;
            };
            let text = promise.that.to_owned();
            let predicate = Predicate { text, expr };
            if predicate.probes().iter().any(|it| asked.contains(it)) {
                continue;
            }
            let judged = Expectation {
                predicate,
                moment: Moment::End,
                note: Some(promise.note.to_owned()),
                line: self.reader.line(promise.place.start),
                span: promise.place.clone(),
            };
            expectations.insert(0, judged);
        }
        expectations
    }

    fn moment(&mut self, doc: &RawExpectation) -> Moment {
        let word = doc.at.as_ref().map_or(MomentText::End, |at| at.value);
        let allowed: &[&str] = match word {
            MomentText::At(_) | MomentText::End => &[],
            MomentText::Eventually => &["after", "by"],
            MomentText::Always | MomentText::Never => &["after", "until"],
        };
        for (key, given) in [
            ("after", &doc.after),
            ("by", &doc.by),
            ("until", &doc.until),
        ] {
            let Some(at) = given else { continue };
            if !allowed.contains(&key) {
                let with = match key {
                    "by" => "at = \"eventually\"",
                    "until" => "at = \"always\" or \"never\"",
                    _ => "at = \"eventually\", \"always\" or \"never\"",
                };
                let message = format!("`{key}` means nothing without {with}");
                self.reader
                    .report(&at.span, Problem::new("contradiction", message));
            }
        }
        let time = |given: &Option<At<Time>>| given.as_ref().map(|at| at.value.0);
        let after = time(&doc.after).unwrap_or(0);
        let until = time(&doc.until).unwrap_or(self.duration);
        let by = time(&doc.by).unwrap_or(self.duration);
        let ends = match word {
            MomentText::Eventually => doc.by.as_ref(),
            _ => doc.until.as_ref(),
        };
        if let Some(end) = ends
            && end.value.0 < after
        {
            // Nothing would ever be judged: `always` would hold and `eventually` break unseen.
            let message = "this window ends before it begins";
            self.reader
                .report(&end.span, Problem::new("never", message));
        }
        let late =
            |given: &Option<At<Time>>| given.as_ref().is_some_and(|at| at.value.0 > self.duration);
        let too_late = match (word, &doc.at) {
            (MomentText::At(at), Some(given)) if at > self.duration => Some(&given.span),
            (MomentText::At(_), _) => None,
            _ => [&doc.after, &doc.by]
                .into_iter()
                .filter(|given| late(given))
                .find_map(|given| given.as_ref().map(|at| &at.span)),
        };
        if let Some(span) = too_late {
            let ends = units::show_time(self.duration);
            let problem = Problem::new("never", format!("the run ends at {ends}, before this"))
                .expected(format!("a time up to {ends}"));
            self.reader.report(span, problem);
        }
        match word {
            MomentText::End => Moment::End,
            MomentText::At(at) => Moment::At(at),
            MomentText::Eventually => Moment::Eventually { after, by },
            MomentText::Always => Moment::Always { after, until },
            MomentText::Never => Moment::Never { after, until },
        }
    }
}
