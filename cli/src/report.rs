//! Tables for people.

use sim_core::check::{Ending, RunReport};
use sim_core::run::span_words;
use sim_core::stream::rows::{Output, Row};
use sim_core::stream::summary::{Answer, Fact, Subject, SubjectKind};
use sim_core::view::{LedgerView, VerdictState};
use std::fmt::Write;

/// Most refused deeds that are listed.
const REFUSED_SHOWN: usize = 20;

/// A run's ledger, expectations and findings.
pub(crate) fn table(title: &str, report: &RunReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{title}");
    let _ = writeln!(
        out,
        "seed {} · {} · {} events · digest {}",
        report.seed,
        span_words(report.time),
        report.events,
        report.digest
    );
    // A job between its own sources and stores has nothing in the ledger of clients.
    if report.job.is_empty() || report.ledger.sent > 0 {
        ledger(&mut out, &report.ledger);
    }
    job(&mut out, &report.job);
    report.outputs.iter().for_each(|it| rows(&mut out, it));
    if !report.verdicts.is_empty() {
        let _ = writeln!(out, "\nexpectations");
    }
    for verdict in &report.verdicts {
        let word = match verdict.state {
            VerdictState::Held => "held",
            VerdictState::Broken => "BROKEN",
            VerdictState::Pending => "open",
        };
        let _ = write!(out, "  {word:<8}{}", verdict.text);
        if verdict.state == VerdictState::Broken {
            let when = verdict.time.map(span_words).unwrap_or_default();
            let _ = write!(out, "  ({} at {when})", verdict.detail);
        }
        let _ = writeln!(out);
    }
    if !report.violations.is_empty() {
        let _ = writeln!(out, "\ninvariants broken");
    }
    for violation in &report.violations {
        let _ = writeln!(out, "  {violation}");
    }
    let early = match report.ended {
        Ending::Complete | Ending::Until => None,
        Ending::Interrupted => Some("interrupted".to_owned()),
        Ending::Stopped(bound) => Some(bound.to_string()),
    };
    if let Some(why) = early {
        let at = span_words(report.time);
        let _ = writeln!(
            out,
            "\nended early, at {at}: {why}\nwhat is open was not judged; all else is as it was then"
        );
    }
    if !report.refused.is_empty() {
        let _ = writeln!(out, "\nnot done");
    }
    for refused in report.refused.iter().take(REFUSED_SHOWN) {
        let _ = writeln!(out, "  {refused}");
    }
    if let Some(more) = report.refused.len().checked_sub(REFUSED_SHOWN + 1) {
        let _ = writeln!(out, "  … and {} more", more + 1);
    }
    out
}

fn ledger(out: &mut String, ledger: &LedgerView) {
    let rows = [
        ("sent", ledger.sent),
        ("acknowledged", ledger.acknowledged),
        ("failed", ledger.failed),
        ("committed", ledger.committed),
        ("delivered", ledger.delivered),
        ("lost", ledger.lost),
        ("duplicated", ledger.duplicated),
        ("reordered", ledger.reordered),
        ("expired", ledger.expired),
        ("compacted", ledger.compacted),
    ];
    let _ = writeln!(out);
    for (name, value) in rows {
        let _ = writeln!(out, "  {name:<14}{value:>12}");
    }
}

/// A column: its name, and what a row has there.
type Column = (&'static str, fn(&Row) -> Option<String>);

/// The rows of a sink as a table that a scenario takes; columns that no row fills are left out.
fn rows(out: &mut String, output: &Output) {
    let of = |named: Column| {
        let cells: Vec<_> = output.rows.iter().map(named.1).collect();
        (named.0, cells)
    };
    let all: [Column; 7] = [
        ("key", |it| Some(it.key.clone())),
        ("value", |it| Some(it.value.clone())),
        ("right", |it| it.right.clone()),
        ("window", |it| it.window.clone()),
        ("ts", |it| it.ts.clone()),
        ("kind", |it| Some(it.kind.to_owned())),
        ("timing", |it| it.timing.map(str::to_owned)),
    ];
    let changelog = output.rows.iter().any(|it| it.kind != "+I");
    let columns = all.map(of).into_iter().filter(|(name, cells)| match *name {
        "kind" => changelog,
        _ => cells.iter().any(Option::is_some),
    });
    let columns: Vec<_> = columns
        .map(|(name, cells)| {
            let cells = cells.into_iter().map(|it| it.unwrap_or("-".to_owned()));
            let cells: Vec<String> = cells.collect();
            let widest = cells.iter().map(|it| it.chars().count()).max();
            (name, widest.unwrap_or(0).max(name.len()), cells)
        })
        .collect();
    let _ = writeln!(out, "\nrows of {}", output.sink);
    if output.rows.is_empty() {
        let _ = writeln!(out, "  none");
        return;
    }
    let line = |of: &dyn Fn(&Vec<String>, &'static str) -> String| {
        let cells = columns.iter().map(|(name, wide, cells)| {
            let cell = of(cells, name);
            format!("{cell:<wide$}")
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("  {}\n", line.trim_end())
    };
    out.push_str(&line(&|_, name| name.to_owned()));
    for at in 0..output.rows.len() {
        out.push_str(&line(&|cells, _| {
            cells.get(at).cloned().unwrap_or_default()
        }));
    }
    if output.more > 0 {
        let _ = writeln!(out, "  … and {} more", output.more);
    }
}

/// What is told of each operator; `--json` has all.
const OF_OPERATORS: &[&str] = &[
    "records-in",
    "records-out",
    "late-dropped",
    "state-entries",
    "busy",
    "backpressured",
];

/// What is told of what each sink wrote.
const OF_OUTPUTS: &[&str] = &[
    "rows",
    "committed",
    "visible",
    "duplicates",
    "open-transactions",
    "aborted-transactions",
];

/// What a job came to: its own facts below each other, those of its parts as tables.
fn job(out: &mut String, subjects: &[Subject]) {
    for it in subjects.iter().filter(|it| it.kind == SubjectKind::Job) {
        let _ = writeln!(out, "\n{}", it.name);
        for fact in &it.facts {
            let _ = writeln!(out, "  {:<30}{:>12}", fact.name, said(fact));
        }
    }
    parts(
        out,
        subjects,
        (SubjectKind::Operator, "operators"),
        OF_OPERATORS,
    );
    parts(out, subjects, (SubjectKind::Output, "outputs"), OF_OUTPUTS);
}

fn parts(out: &mut String, all: &[Subject], (kind, title): (SubjectKind, &str), columns: &[&str]) {
    let parts = || all.iter().filter(|it| it.kind == kind);
    let names = parts().map(|it| it.name.chars().count());
    let Some(first) = names
        .chain([title.len()])
        .max()
        .filter(|_| parts().count() > 0)
    else {
        return;
    };
    let first = first + 2;
    let _ = write!(out, "\n{title:<first$}");
    for column in columns {
        let _ = write!(out, "  {column:>12}");
    }
    let _ = writeln!(out);
    for part in parts() {
        let _ = write!(out, "  {:<1$}", part.name, first - 2);
        for column in columns {
            let found = part.facts.iter().find(|it| it.name == *column);
            let width = column.len().max(12);
            let _ = write!(out, "  {:>width$}", found.map(said).unwrap_or_default());
        }
        let _ = writeln!(out);
    }
}

/// An answer, spans with their unit.
fn said(fact: &Fact) -> String {
    match fact.value {
        Answer::Number(ns) if fact.is_span => span_words(u64::try_from(ns).unwrap_or(0)),
        ref it => it.to_string(),
    }
}
