//! Windows: assigners, triggers, evictors, and what of them makes no sense together.

use super::document::RawWindow;
use super::items::Millis;
use super::operators::{foreign, needed};
use super::window_words::{
    Accumulation, AggregateWord, AssignerKind, ClockWord, LateWord, RawAssigner, RawEvictor,
    RawFirings, RawTrigger, TriggerKind,
};
use crate::scenario::{At, Problem, Reader, Table};
use crate::stream::rules::assigner::Assigner;
use crate::stream::rules::window::aggregate::Aggregate;
use crate::stream::rules::window::evictor::{Evictor, Keep};
use crate::stream::rules::window::operator::{Refine, Settings};
use crate::stream::rules::window::trigger::{TimeDomain, Trigger};
use crate::stream::spec::OperatorKind;

pub(super) fn window(raw: &At<RawWindow>, reader: &mut Reader<'_>) -> OperatorKind {
    let doc = &raw.value;
    let before = reader.errors();
    let time = match doc.time.as_ref().map(|at| at.value) {
        None | Some(ClockWord::Event) => TimeDomain::Event,
        Some(ClockWord::Processing) => TimeDomain::Processing,
    };
    let (assigner, of_count) = match &doc.window {
        Some(given) => assigner(given, reader),
        None => (Assigner::Global, None),
    };
    let kind = doc.window.as_ref().and_then(|it| it.value.kind.as_ref());
    if kind.is_some_and(|at| at.value == AssignerKind::Count) {
        let why = "a count window, which has a trigger and an evictor of its own";
        foreign(doc.trigger.as_ref(), "trigger", why, reader);
        foreign(doc.accumulation.as_ref(), "accumulation", why, reader);
        foreign(doc.evictor.as_ref(), "evictor", why, reader);
    }
    let accumulation = doc.accumulation.as_ref().map(|at| at.value);
    let discards = accumulation == Some(Accumulation::Discarding);
    let retracting = accumulation == Some(Accumulation::Retracting);
    if retracting {
        let why = "retracting panes: no window of Flink SQL has one";
        foreign(doc.evictor.as_ref(), "evictor", why, reader);
    }
    let (trigger, evictor) = match of_count {
        Some(own) => own,
        None => {
            let evictor = doc.evictor.as_ref().and_then(|it| evictor(it, reader));
            let trigger = match &doc.trigger {
                Some(given) => trigger(given, reader),
                None if assigner == Assigner::Global => Trigger::Never,
                None if time == TimeDomain::Event => Trigger::EventTime,
                None => Trigger::ProcessingTime,
            };
            match discards {
                true => (Trigger::Purging(Box::new(trigger)), evictor),
                false => (trigger, evictor),
            }
        }
    };
    let settings = Settings {
        assigner,
        time,
        trigger,
        aggregate: match doc.aggregate.as_ref().map(|at| at.value) {
            None | Some(AggregateWord::Sum) => Aggregate::Sum,
            Some(AggregateWord::Count) => Aggregate::Count,
            Some(AggregateWord::Min) => Aggregate::Min,
            Some(AggregateWord::Max) => Aggregate::Max,
            Some(AggregateWord::Average) => Aggregate::Average,
            Some(AggregateWord::Elements) => Aggregate::Elements,
        },
        evictor,
        allowed_lateness: doc.lateness.as_ref().map_or(0, |at| at.value.0),
        late_output: doc.late.as_ref().map(|at| at.value) == Some(LateWord::SideOutput),
        refine: Refine {
            retracting,
            empty_on_time: doc.empty.as_ref().is_some_and(|at| at.value),
        },
    };
    let whole = doc.window.as_ref().is_some_and(whole_assigner)
        && doc
            .trigger
            .as_ref()
            .map_or(!doc.has("trigger"), whole_trigger);
    // What is missing or was written badly was reported as such.
    if whole && reader.errors() == before {
        check(raw, &settings, reader);
    }
    OperatorKind::Window(settings)
}

/// Reports what makes no sense together.
fn check(raw: &At<RawWindow>, settings: &Settings, reader: &mut Reader<'_>) {
    let doc = &raw.value;
    let (assigner, trigger) = (doc.window.as_ref(), doc.trigger.as_ref());
    let plain = match &settings.trigger {
        Trigger::Purging(inner) => inner.as_ref(),
        other => other,
    };
    let silent = match plain {
        Trigger::Never => Some(
            "a window without a bound that never speaks: GlobalWindows' own trigger is \
             NeverTrigger, and results are never computed",
        ),
        // The end of the input sets off what waits for a watermark, and nothing that waits for this.
        Trigger::ProcessingTime => Some(
            "a window without a bound that never speaks: ProcessingTimeTrigger waits until the \
             clock shows the window's end, which is Long.MAX_VALUE",
        ),
        _ => None,
    };
    if settings.assigner == Assigner::Global
        && let Some(message) = silent
    {
        let problem = Problem::new("endless-window", message)
            .expected("a trigger, e.g. trigger = { kind = \"count\", count = 3 }");
        let place = trigger.map(|at| &at.span);
        let place = place.or(assigner.map(|at| &at.span));
        reader.report(place.unwrap_or(&raw.span), problem);
        return;
    }
    if let Err(message) = settings.validate() {
        let lateness = doc.lateness.as_ref().filter(|at| at.value.0 < 0);
        let place = match (settings.assigner.validate(), lateness, trigger) {
            (Ok(()), Some(at), _) => Some(&at.span),
            (Ok(()), None, Some(at)) => Some(&at.span),
            _ => assigner.map(|at| &at.span),
        };
        let problem = Problem::new("contradiction", message);
        reader.report(place.unwrap_or(&raw.span), problem);
    }
}

/// Whether everything that was written of an assigner could be read.
fn whole_assigner(raw: &At<RawAssigner>) -> bool {
    let doc = &raw.value;
    let read = [
        ("kind", doc.kind.is_some()),
        ("size", doc.size.is_some()),
        ("slide", doc.slide.is_some()),
        ("step", doc.step.is_some()),
        ("gap", doc.gap.is_some()),
        ("offset", doc.offset.is_some()),
        ("count", doc.count.is_some()),
    ];
    read.iter().all(|(key, there)| *there || !doc.has(key))
}

/// Whether everything that was written of a trigger could be read.
fn whole_trigger(raw: &At<RawTrigger>) -> bool {
    let doc = &raw.value;
    let read = [
        ("kind", doc.kind.is_some()),
        ("count", doc.count.is_some()),
        ("interval", doc.interval.is_some()),
        ("threshold", doc.threshold.is_some()),
        ("timeout", doc.timeout.is_some()),
        ("early", doc.early.as_ref().is_some_and(whole_firings)),
        ("late", doc.late.as_ref().is_some_and(whole_firings)),
    ];
    read.iter().all(|(key, there)| *there || !doc.has(key))
}

/// Whether everything that was written of early or late firings could be read.
fn whole_firings(raw: &At<RawFirings>) -> bool {
    let doc = &raw.value;
    let read = [
        ("count", doc.count.is_some()),
        ("delay", doc.delay.is_some()),
        ("every", doc.every.is_some()),
    ];
    read.iter().all(|(key, there)| *there || !doc.has(key))
}

/// A count window's own trigger and evictor.
type OfCount = (Trigger, Option<Evictor>);

fn assigner(raw: &At<RawAssigner>, reader: &mut Reader<'_>) -> (Assigner, Option<OfCount>) {
    use AssignerKind::{Count, Cumulate, Global, Session, Sliding, Tumbling};
    let doc = &raw.value;
    let Some(kind) = doc.kind.as_ref().map(|at| at.value) else {
        return (Assigner::Global, None);
    };
    let time = "a time such as \"10s\"";
    let spans = [
        ("size", &doc.size, true, &[Tumbling, Sliding, Cumulate][..]),
        ("slide", &doc.slide, true, &[Sliding][..]),
        ("step", &doc.step, true, &[Cumulate][..]),
        ("gap", &doc.gap, true, &[Session][..]),
        (
            "offset",
            &doc.offset,
            false,
            &[Tumbling, Sliding, Cumulate][..],
        ),
    ];
    let counts = [("count", &doc.count, true), ("every", &doc.every, false)];
    let word = format!("kind = \"{}\"", word_of(kind));
    let word = word.as_str();
    for (key, given, must, kinds) in spans {
        match kinds.contains(&kind) {
            true if must => needed(given.as_ref(), key, (doc, &raw.span), time, reader),
            true => {}
            false => foreign(given.as_ref(), key, word, reader),
        }
    }
    for (key, given, must) in counts {
        match kind == Count {
            true if must => {
                needed(
                    given.as_ref(),
                    key,
                    (doc, &raw.span),
                    "a whole number",
                    reader,
                );
            }
            true => {}
            false => foreign(given.as_ref(), key, word, reader),
        }
    }
    let ms = |given: &Option<At<Millis>>| given.as_ref().map_or(0, |at| at.value.0);
    let (size, offset) = (ms(&doc.size), ms(&doc.offset));
    let assigner = match kind {
        Tumbling => Assigner::Tumbling { size, offset },
        Sliding => Assigner::Sliding {
            size,
            slide: ms(&doc.slide),
            offset,
        },
        Cumulate => Assigner::Cumulate {
            size,
            step: ms(&doc.step),
            offset,
        },
        Session => Assigner::Session { gap: ms(&doc.gap) },
        Global | Count => Assigner::Global,
    };
    (
        assigner,
        (kind == Count).then(|| count_window(doc, reader)).flatten(),
    )
}

fn word_of(kind: AssignerKind) -> &'static str {
    match kind {
        AssignerKind::Tumbling => "tumbling",
        AssignerKind::Sliding => "sliding",
        AssignerKind::Cumulate => "cumulate",
        AssignerKind::Session => "session",
        AssignerKind::Global => "global",
        AssignerKind::Count => "count",
    }
}

/// `countWindow(size)` purges at each firing; `countWindow(size, slide)` evicts instead.
fn count_window(doc: &RawAssigner, reader: &mut Reader<'_>) -> Option<OfCount> {
    for at in [&doc.count, &doc.every].into_iter().flatten() {
        if !(1..=i64::MAX.unsigned_abs()).contains(&at.value) {
            let problem = Problem::bad_value("a count window needs a count > 0", "1 or more");
            reader.report(&at.span, problem);
            return None;
        }
    }
    let count = doc.count.as_ref()?.value;
    Some(match &doc.every {
        None => (
            Trigger::Purging(Box::new(Trigger::Count(count as i64))),
            None,
        ),
        Some(every) => {
            let keep = Keep::Count(count);
            let evictor = Evictor { keep, after: false };
            (Trigger::Count(every.value as i64), Some(evictor))
        }
    })
}

fn trigger(raw: &At<RawTrigger>, reader: &mut Reader<'_>) -> Trigger {
    use TriggerKind as Kind;
    let doc = &raw.value;
    let Some(kind) = doc.kind.as_ref().map(|at| at.value) else {
        return Trigger::EventTime;
    };
    let continuous = matches!(
        kind,
        Kind::ContinuousEventTime | Kind::ContinuousProcessingTime
    );
    let whole = (doc, &raw.span);
    match kind == Kind::Count {
        true => needed(doc.count.as_ref(), "count", whole, "1 or more", reader),
        false => foreign(doc.count.as_ref(), "count", "this trigger", reader),
    }
    match continuous {
        true => needed(
            doc.interval.as_ref(),
            "interval",
            whole,
            "a time above 0",
            reader,
        ),
        false => foreign(doc.interval.as_ref(), "interval", "this trigger", reader),
    }
    match kind == Kind::Delta {
        true => needed(
            doc.threshold.as_ref(),
            "threshold",
            whole,
            "a number",
            reader,
        ),
        false => foreign(doc.threshold.as_ref(), "threshold", "this trigger", reader),
    }
    let interval = doc.interval.as_ref().map_or(0, |at| at.value.0);
    let (early, late) = (doc.early.as_ref(), doc.late.as_ref());
    if kind != Kind::EventTime {
        let why = "a trigger that is not kind = \"event-time\"";
        foreign(early, "early", why, reader);
        foreign(late, "late", why, reader);
    }
    let mut boxed = |it: &At<RawFirings>| firings(it, reader).map(Box::new);
    let (early, late) = (early.and_then(&mut boxed), late.and_then(&mut boxed));
    let trigger = match kind {
        Kind::EventTime if early.is_some() || late.is_some() => Trigger::AfterEnd { early, late },
        Kind::EventTime => Trigger::EventTime,
        Kind::ProcessingTime => Trigger::ProcessingTime,
        Kind::Count => Trigger::Count(doc.count.as_ref().map_or(0, |at| at.value)),
        Kind::ContinuousEventTime => Trigger::ContinuousEventTime(interval),
        Kind::ContinuousProcessingTime => Trigger::ContinuousProcessingTime(interval),
        Kind::Delta => Trigger::Delta(doc.threshold.as_ref().map_or(0, |at| at.value)),
        Kind::EndOfStream => Trigger::EndOfStream,
        Kind::Never => Trigger::Never,
    };
    let flag = |given: &Option<At<bool>>, default| given.as_ref().map_or(default, |at| at.value);
    match &doc.timeout {
        Some(after) => Trigger::Timeout {
            nested: Box::new(trigger),
            after: after.value.0,
            reset: flag(&doc.reset, false),
            clear: flag(&doc.clear, true),
        },
        None => {
            let why = "a trigger without `timeout`";
            foreign(doc.reset.as_ref(), "timeout-reset", why, reader);
            foreign(doc.clear.as_ref(), "timeout-clear", why, reader);
            trigger
        }
    }
}

/// Firings before the end of a window, or after it.
fn firings(raw: &At<RawFirings>, reader: &mut Reader<'_>) -> Option<Trigger> {
    let doc = &raw.value;
    let aligned = doc.aligned.as_ref().is_some_and(|at| at.value);
    let periodic = |at: &At<Millis>, each_pane| Trigger::Periodic {
        interval: at.value.0,
        aligned,
        each_pane,
    };
    let ways = [
        doc.count.as_ref().map(|at| Trigger::Count(at.value)),
        doc.delay.as_ref().map(|at| periodic(at, true)),
        doc.every.as_ref().map(|at| periodic(at, false)),
    ];
    let mut given = ways.into_iter().flatten();
    let (first, second) = (given.next(), given.next());
    let written = ["count", "delay", "every"].iter().any(|key| doc.has(key));
    if second.is_some() || !written {
        let problem = Problem::new("contradiction", "these firings have one rule");
        let expected = "exactly one of count, delay, every";
        reader.report(&raw.span, problem.expected(expected));
        return None;
    }
    if matches!(first, Some(Trigger::Count(_))) {
        foreign(doc.aligned.as_ref(), "aligned", "`count`", reader);
    }
    first
}

fn evictor(raw: &At<RawEvictor>, reader: &mut Reader<'_>) -> Option<Evictor> {
    let doc = &raw.value;
    let ways = [
        doc.count.as_ref().map(|at| Keep::Count(at.value)),
        doc.time.as_ref().map(|at| Keep::Time(at.value.0)),
        doc.delta.as_ref().map(|at| Keep::Delta(at.value)),
    ];
    let given: Vec<Keep> = ways.into_iter().flatten().collect();
    let [keep] = given.as_slice() else {
        let written = ["count", "time", "delta"].iter().any(|key| doc.has(key));
        if !given.is_empty() || !written {
            let problem = Problem::new("contradiction", "an evictor has one measure");
            reader.report(
                &raw.span,
                problem.expected("exactly one of count, time, delta"),
            );
        }
        return None;
    };
    Some(Evictor {
        keep: *keep,
        after: doc.after.as_ref().is_some_and(|at| at.value),
    })
}
