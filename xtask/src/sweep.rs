//! `cargo xtask sweep`: every sweep file with thousands of seeds, and what came of it, written down.
//!
//! The tests run a few seeds of each; this runs as many as it takes to believe them, and writes
//! `docs/SWEEPS.md`. A sweep in which nothing may break is run to its end. One with a bug of history
//! switched on must find it, so that silence in the others means something.

use crate::failure::{Failure, Outcome};
use crate::machine::Machine;
use crate::{paths, run, ui};
use clap::Args;
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Options of `cargo xtask sweep`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seeds of each sweep
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// Only these sweeps, by name; may be given several times. The others' lines stay as they are
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print the report instead of writing docs/SWEEPS.md
    #[arg(long)]
    print: bool,
}

/// One line of the report.
struct Sweep {
    name: &'static str,
    file: &'static str,
    /// What of the file is changed.
    change: Option<(&'static str, &'static str)>,
    /// What the members of consumer groups may suffer, too.
    members: bool,
    /// Whether a seed must break an invariant.
    finds: bool,
    what: &'static str,
}

const GOOD: Sweep = Sweep {
    name: "cluster",
    file: "sweep.toml",
    change: None,
    members: false,
    finds: false,
    what: "`acks=all`, clean elections: nothing acknowledged is lost, and all comes together again",
};

const SWEEPS: [Sweep; 14] = [
    GOOD,
    Sweep {
        name: "cluster before KIP-101",
        change: Some((
            "[kafka.rules]",
            "[kafka.rules]\ntruncation = \"high-watermark\"",
        )),
        finds: true,
        what: "the same with followers that truncate by their high watermark",
        ..GOOD
    },
    Sweep {
        name: "groups",
        file: "sweep-groups.toml",
        members: true,
        what: "classic groups: one owner in a generation, commits that never go back",
        ..GOOD
    },
    Sweep {
        name: "groups of KIP-848",
        file: "sweep-groups-kip848.toml",
        members: true,
        what: "the same with the consumer protocol",
        ..GOOD
    },
    Sweep {
        name: "transactions",
        file: "sweep-transactions.toml",
        members: true,
        what: "exactly once from topic to topic, and no transaction open in the end",
        ..GOOD
    },
    Sweep {
        name: "transactions of KIP-848",
        file: "sweep-transactions-kip848.toml",
        members: true,
        what: "the same with the consumer protocol",
        ..GOOD
    },
    Sweep {
        name: "transactions with the epoch of the commit",
        file: "sweep-transactions-kip848.toml",
        members: true,
        change: Some((
            "\"application.group.metadata\" = \"poll\"",
            "\"application.group.metadata\" = \"commit\"",
        )),
        finds: true,
        what: "an application that names the epoch of its commit, not that of its poll: it is found",
    },
    Sweep {
        name: "share groups",
        file: "sweep-share.toml",
        members: true,
        what: "every record is somebody's in the end, and what is done stays done",
        ..GOOD
    },
    Sweep {
        name: "jobs",
        file: "sweep-job.toml",
        what: "a job with checkpoints and an exactly-once sink counts each record once",
        ..GOOD
    },
    Sweep {
        name: "jobs with an LSM backend",
        file: "sweep-job-rocksdb.toml",
        what: "the same with incremental checkpoints and local recovery",
        ..GOOD
    },
    Sweep {
        name: "jobs that fail over by region",
        file: "sweep-job-regions.toml",
        what: "the same where only a part of the job starts again",
        ..GOOD
    },
    Sweep {
        name: "unaligned jobs",
        file: "sweep-job-unaligned.toml",
        what: "barriers that overtake, and an input that ends before the work does",
        ..GOOD
    },
    Sweep {
        name: "jobs between topics",
        file: "sweep-job-kafka.toml",
        what: "from topic to topic by Kafka transactions, brokers failing as well",
        ..GOOD
    },
    Sweep {
        name: "jobs between topics by version 2",
        file: "sweep-job-kafka.toml",
        change: Some(("\"transaction.version\" = 1", "\"transaction.version\" = 2")),
        finds: true,
        what: "the same by `transaction.version` 2: a coordinator that wakes up can cost a commit \
               (`job-zombie-coordinator.toml`)",
        ..GOOD
    },
];

/// What `strandline sweep --json` says in the end.
#[derive(Deserialize)]
struct Summary {
    asked: u64,
    seeds: u64,
    bad: u64,
    events: u64,
}

/// A sweep, what it came to, and how long it took.
type Row<'a> = (&'a Sweep, Summary, Duration);

/// Builds, sweeps, writes. Whether every sweep came to what it should.
pub(crate) fn run(options: &Options) -> Outcome<bool> {
    let sweeps = chosen(&options.only)?;
    ui::heading("Build");
    let mut cargo = run::cargo();
    cargo.args(["build", "--release", "--locked", "--bin", "strandline"]);
    run::show(cargo.args(["--package", "strandline-cli"]))?;
    let machine = Machine::look();
    ui::heading("Sweeps");
    let mut rows: Vec<Row<'_>> = Vec::new();
    for (number, sweep) in sweeps.iter().enumerate() {
        let step = ui::Step::begin(number + 1, sweeps.len(), sweep.name);
        step.working(sweep.what);
        let began = Instant::now();
        let summary = summary_of(sweep, options.seeds)?;
        match well(sweep, &summary) {
            true => step.done(&outcome(sweep, &summary)),
            false => step.failed(&outcome(sweep, &summary)),
        }
        rows.push((sweep, summary, began.elapsed()));
    }
    let path = paths::root().join("docs").join("SWEEPS.md");
    let before = fs::read_to_string(&path).unwrap_or_default();
    let text = report(&machine, &rows, &before);
    if options.print {
        ui::line(&text);
    } else {
        fs::write(&path, text).map_err(|e| Failure::io("write", &path, &e))?;
        ui::line(&format!("written to {}", paths::short(&path)));
    }
    Ok(rows.iter().all(|(sweep, summary, _)| well(sweep, summary)))
}

/// The sweeps of these names, or all.
fn chosen(only: &[String]) -> Outcome<Vec<&'static Sweep>> {
    if let Some(unknown) = only.iter().find(|o| SWEEPS.iter().all(|it| it.name != **o)) {
        let names: Vec<&str> = SWEEPS.iter().map(|it| it.name).collect();
        let failure = Failure::new(format!("no sweep is called \"{unknown}\""));
        return Err(failure.with_remedy(format!("one of: {}", names.join(", "))));
    }
    let wanted = |it: &&Sweep| only.is_empty() || only.iter().any(|o| o == it.name);
    Ok(SWEEPS.iter().filter(wanted).collect())
}

/// The file to run: that of the scenarios, or a changed copy of it.
fn file_of(sweep: &Sweep) -> Outcome<PathBuf> {
    let path = paths::root().join("scenarios").join(sweep.file);
    let Some((from, to)) = sweep.change else {
        return Ok(path);
    };
    let text = fs::read_to_string(&path).map_err(|e| Failure::io("read", &path, &e))?;
    let changed = text.replacen(from, to, 1);
    if changed == text {
        let file = sweep.file;
        return Err(Failure::new(format!(
            "{file} does not say `{from}` any more"
        )));
    }
    let folder = paths::root().join("target").join("sweeps");
    fs::create_dir_all(&folder).map_err(|e| Failure::io("make", &folder, &e))?;
    let copy = folder.join(format!("{}.toml", sweep.name.replace(' ', "-")));
    fs::write(&copy, changed).map_err(|e| Failure::io("write", &copy, &e))?;
    Ok(copy)
}

fn summary_of(sweep: &Sweep, seeds: u64) -> Outcome<Summary> {
    let mut command = run::program(paths::strandline("release"), &paths::root());
    command.arg("sweep").arg(file_of(sweep)?);
    command.args(["--json", "--seeds", &format!("0..{seeds}")]);
    if sweep.members {
        command.arg("--members");
    }
    let shown = run::describe(&command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| Failure::new(format!("cannot run `{shown}`: {e}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|e| {
        Failure::new(format!(
            "`{shown}` ended with {} and `{last}`: {e}",
            output.status
        ))
    })
}

/// Whether a sweep came to what it should: to its end without a bad seed, or to a bad one.
fn well(sweep: &Sweep, summary: &Summary) -> bool {
    match sweep.finds {
        true => summary.bad > 0,
        false => summary.bad == 0 && summary.seeds == summary.asked,
    }
}

fn outcome(sweep: &Sweep, summary: &Summary) -> String {
    let Summary { seeds, bad, .. } = summary;
    match (sweep.finds, *bad) {
        (true, 0) => "**the bug was not found**".to_owned(),
        (true, _) => format!("found: {bad} of the first {seeds} seeds break an invariant"),
        (false, 0) if summary.seeds == summary.asked => "nothing broken".to_owned(),
        (false, 0) => "**stopped before its end**".to_owned(),
        (false, _) => format!("**{bad} of {seeds} seeds are bad**"),
    }
}

/// The report: lines of the sweeps that were run, and those of the others from the report `before`.
fn report(machine: &Machine, rows: &[Row<'_>], before: &str) -> String {
    let mut text = String::from(
        "# Sweeps\n\nWritten by `cargo xtask sweep`, never by hand. Each seed is a run of its own with \
         random faults, drawn from\nthe seed and then healed, in which every invariant is judged at \
         every event, and the expectations of the\nfile at its end. A sweep that is to find a bug ends \
         at its tenth bad seed. Each line says at which commit\nit was run.\n\n\
         | sweep | what must hold | seeds | events | outcome | time | commit |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let commit = machine.rows.iter().find(|it| it.0 == "Commit");
    let commit = commit.map_or("unknown", |it| it.1.as_str());
    for sweep in &SWEEPS {
        let name = format!("{} (`{}`)", sweep.name, sweep.file);
        let old = before
            .lines()
            .find(|it| it.starts_with(&format!("| {name} |")));
        let line = match rows.iter().find(|it| it.0.name == sweep.name) {
            Some((_, summary, took)) => {
                let (seeds, events) = (summary.seeds.to_string(), summary.events.to_string());
                let (outcome, took) = (outcome(sweep, summary), ui::duration(*took));
                let cells = [&name, sweep.what, &seeds, &events, &outcome, &took, commit];
                format!("| {} |", cells.join(" | "))
            }
            None => old.unwrap_or_default().to_owned(),
        };
        if !line.is_empty() {
            text += &format!("{line}\n");
        }
    }
    text += "\n## The machine\n\n| | |\n|---|---|\n";
    for (name, value) in machine.rows.iter().filter(|it| it.0 != "Commit") {
        text += &format!("| {name} | {value} |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_well_if_it_ends_clean_or_finds_its_bug() {
        for (finds, seeds, bad, expect) in [
            (false, 10, 0, true),
            (false, 9, 0, false),
            (false, 10, 1, false),
            (true, 3, 1, true),
            (true, 10, 0, false),
        ] {
            let sweep = Sweep { finds, ..GOOD };
            let summary = Summary {
                asked: 10,
                seeds,
                bad,
                events: 1,
            };
            assert_eq!(well(&sweep, &summary), expect, "{finds} {seeds} {bad}");
            assert_eq!(!outcome(&sweep, &summary).contains("**"), expect);
        }
    }

    #[test]
    fn every_sweep_file_is_swept_and_can_be_changed() {
        for sweep in &SWEEPS {
            let file = file_of(sweep).expect("the file is there, and says what is changed");
            assert!(file.is_file(), "{}", sweep.name);
        }
        let folder = fs::read_dir(paths::root().join("scenarios")).expect("scenarios");
        for entry in folder.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let swept = SWEEPS.iter().any(|it| it.file == name);
            assert!(swept || !name.starts_with("sweep"), "{name} is not swept");
        }
    }

    #[test]
    fn lines_of_sweeps_that_were_not_run_stay() {
        let machine = |commit: &str| Machine {
            rows: vec![("Cores", "2".to_owned()), ("Commit", commit.to_owned())],
            load: None,
        };
        let summary = |seeds| Summary {
            asked: seeds,
            seeds,
            bad: 0,
            events: 1,
        };
        let took = Duration::from_secs(1);
        let first = [
            (&SWEEPS[0], summary(7), took),
            (&SWEEPS[2], summary(8), took),
        ];
        let first = report(&machine("aaa"), &first, "");
        let second = report(&machine("bbb"), &[(&SWEEPS[2], summary(9), took)], &first);
        let of = |text: &str, file: &str| {
            let lines = text.lines().filter(|it| it.contains(file));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(of(&first, "sweep.toml"), of(&second, "sweep.toml"));
        assert_eq!(of(&second, "sweep-groups.toml").len(), 1);
        assert!(
            of(&second, "sweep-groups.toml")[0]
                .contains("| 9 | 1 | nothing broken | 1.0 s | bbb |")
        );
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        let failure = chosen(&["nothing".to_owned()]).err().expect("unknown");
        assert!(failure.remedy.is_some_and(|it| it.contains("share groups")));
        assert_eq!(
            chosen(&["jobs".to_owned()]).map(|it| it.len()).ok(),
            Some(1)
        );
    }
}
