//! Tables for people.

use sim_core::check::{Ending, RunReport};
use sim_core::run::span_words;
use sim_core::view::VerdictState;
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
        "seed {} · {} · {} events · digest {}\n",
        report.seed,
        span_words(report.time),
        report.events,
        report.digest
    );
    let ledger = &report.ledger;
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
    for (name, value) in rows {
        let _ = writeln!(out, "  {name:<14}{value:>12}");
    }
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
