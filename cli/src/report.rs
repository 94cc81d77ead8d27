//! Tables for people.

use sim_core::check::RunReport;
use sim_core::run::span_words;
use sim_core::view::VerdictState;
use std::fmt::Write;

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
    if !report.refused.is_empty() {
        let _ = writeln!(out, "\nnot done");
    }
    for refused in &report.refused {
        let _ = writeln!(out, "  {refused}");
    }
    out
}
