//! `strandline trace`: the events of a run, for other tools.

use crate::args::{Format, TraceArgs};
use crate::{Outcome, input, stop};
use serde_json::json;
use sim_core::kernel::{Executed, Kind};
use sim_core::run::{Run, RunScratch, span_words};
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Prints the events of a run.
pub(crate) fn trace(args: &TraceArgs) -> Outcome {
    match try_trace(args) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn try_trace(args: &TraceArgs) -> Result<Outcome, Outcome> {
    let (_, scenario) = input::scenario(&args.file)?;
    let from = input::time("from", &args.from)?;
    let until = args
        .until
        .as_deref()
        .map(|until| input::time("until", until))
        .transpose()?;
    let seed = args.seed.unwrap_or(scenario.seed);
    let names = scenario.nodes.clone();
    let mut run = Run::new(scenario, seed, Arc::new(Vec::new()));
    let mut scratch = RunScratch::default();
    scratch.kernel.record = true;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut lines, mut cut, mut interrupted) = (0, false, false);
    let mut write = || -> std::io::Result<()> {
        begin(args.format, &names, &mut out)?;
        while let Some(at) = run.peek() {
            interrupted = stop::wanted();
            if interrupted || until.is_some_and(|until| at > until) {
                break;
            }
            if lines >= args.limit {
                cut = true;
                break;
            }
            let Some(done) = run.step(&mut scratch) else {
                break;
            };
            if at < from {
                continue;
            }
            if let Some(done) = done {
                lines += u64::from(event(args.format, &done, &scratch, &names, &mut out)?);
            }
        }
        if args.format == Format::Perfetto {
            writeln!(out, "\n]")?;
        }
        out.flush()
    };
    match write() {
        // A reader such as `head` may have enough before we are done.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("cannot write the trace: {error}");
            Err(Outcome::BadInput)
        }
        _ => Ok(()),
    }?;
    if cut {
        eprintln!(
            "there are more events: --limit {} ends the trace here",
            args.limit
        );
    }
    match run.stopped() {
        Some(bound) => {
            eprintln!("{bound}");
            Ok(Outcome::Broken)
        }
        None if interrupted => {
            eprintln!(
                "interrupted: the trace ends at {}",
                span_words(run.world().now())
            );
            Ok(Outcome::Broken)
        }
        None => Ok(Outcome::Held),
    }
}

fn begin(format: Format, names: &[String], out: &mut impl Write) -> std::io::Result<()> {
    match format {
        Format::Jsonl => Ok(()),
        Format::Mermaid => {
            writeln!(out, "sequenceDiagram")?;
            names
                .iter()
                .try_for_each(|name| writeln!(out, "  participant {name}"))
        }
        Format::Perfetto => {
            writeln!(out, "[")?;
            for (i, name) in names.iter().enumerate() {
                let meta = json!({"ph": "M", "pid": 1, "tid": i, "name": "thread_name",
                                  "args": {"name": name}});
                let comma = if i == 0 { "" } else { ",\n" };
                write!(out, "{comma}{meta}")?;
            }
            Ok(())
        }
    }
}

/// Writes one event; whether it made a line.
fn event(
    format: Format,
    done: &Executed,
    scratch: &RunScratch,
    names: &[String],
    out: &mut impl Write,
) -> std::io::Result<bool> {
    let name = |id: u32| names.get(id as usize).map_or("", String::as_str);
    let node = done.node.map_or("", |n| name(n.0));
    let text = &scratch.kernel.text;
    let kind = match done.kind {
        Kind::Message { .. } => "message",
        Kind::Undelivered { .. } => "undelivered",
        Kind::Timer => "timer",
        Kind::Reset { .. } => "reset",
        Kind::Internal => "internal",
        Kind::Deed => "deed",
    };
    match (format, done.kind) {
        (Format::Jsonl, _) => {
            let from = match done.kind {
                Kind::Message { from, .. } | Kind::Undelivered { from, .. } => Some(name(from.0)),
                _ => None,
            };
            let rules: Vec<&str> = scratch
                .kernel
                .notes
                .iter()
                .filter(|n| n.is_rule())
                .map(|n| n.rule_name())
                .collect();
            let line = json!({"event": done.number, "id": done.id.0, "cause": done.cause.0,
                              "time_ns": done.time, "node": node, "kind": kind, "from": from,
                              "text": text, "rules": rules});
            writeln!(out, "{line}")?;
            Ok(true)
        }
        (Format::Mermaid, Kind::Message { from, label, .. }) => {
            writeln!(
                out,
                "  {}->>{node}: {label} ({})",
                name(from.0),
                span_words(done.time)
            )?;
            Ok(true)
        }
        (Format::Mermaid, Kind::Deed) => {
            writeln!(
                out,
                "  Note over {}: {text}",
                names.first().map_or("", String::as_str)
            )?;
            Ok(true)
        }
        (Format::Mermaid, _) => Ok(false),
        (
            Format::Perfetto,
            Kind::Message {
                from,
                label,
                depart,
            },
        ) => {
            let (start, end) = (depart as f64 / 1e3, done.time as f64 / 1e3);
            let id = done.id.0;
            let send = json!({"ph": "s", "pid": 1, "tid": from.0, "ts": start, "id": id,
                              "name": label, "cat": "message"});
            let slice = json!({"ph": "X", "pid": 1, "tid": done.node.map_or(0, |n| n.0),
                               "ts": end, "dur": 1, "name": label, "args": {"text": text}});
            let arrive = json!({"ph": "f", "pid": 1, "tid": done.node.map_or(0, |n| n.0),
                                "ts": end, "id": id, "name": label, "cat": "message", "bp": "e"});
            write!(out, ",\n{send},\n{slice},\n{arrive}")?;
            Ok(true)
        }
        (Format::Perfetto, _) => {
            let instant = json!({"ph": "i", "pid": 1, "tid": done.node.map_or(0, |n| n.0),
                                 "ts": done.time as f64 / 1e3, "s": "t", "name": kind,
                                 "args": {"text": text}});
            write!(out, ",\n{instant}")?;
            Ok(true)
        }
    }
}
