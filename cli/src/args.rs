//! The command line: commands, options and their help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Run streaming-system scenarios, break them, and see what survives.
#[derive(Parser, Debug)]
#[command(
    name = "strandline",
    version,
    about,
    long_about = "Runs Strandline scenario files: a simulated Kafka cluster under load, or the \
                  job of a stream processor, with the failures that the file scripts; and tells what \
                  became of every record. The same file and seed give the same run, byte for byte, \
                  here and in the browser.",
    after_help = "Exit status: 0 everything held · 1 an expectation did not hold, or an invariant \
                  that no expectation judges · 2 the input could not be used.\n\nExamples:\n  strandline run \
                  scenarios/acks1-leader-crash.toml\n  strandline sweep scenarios/quickstart.toml \
                  --seeds 1..1000\n  strandline trace scenarios/quickstart.toml --format mermaid \
                  --until 3s"
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Commands.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a scenario; print its ledger, what its job came to, and its expectations.
    Run(RunArgs),
    /// Check scenario files (or all of a folder) without running them.
    Check(CheckArgs),
    /// Run a recorded run or a link again and compare digests.
    Replay(ReplayArgs),
    /// Run a scenario with many seeds, by default with random faults.
    Sweep(SweepArgs),
    /// Print the events of a run.
    Trace(TraceArgs),
    /// Run conformance cases: what the real systems' own tests expect, asked of the engine.
    Conform(ConformArgs),
    /// Print the JSON Schema of scenario files.
    #[command(after_help = "Examples:\n  strandline schema > scenario.schema.json")]
    Schema,
    /// Measure the engine beside a hand-written loop, in one run.
    Bench(BenchArgs),
    /// Print completions for a shell.
    #[command(after_help = "Examples:\n  strandline completions bash > \
                      ~/.local/share/bash-completion/completions/strandline")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `strandline run`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  strandline run scenarios/quickstart.toml\n  strandline run \
                        story.toml --seed 7 --until 30s --json\n  strandline run story.toml --record \
                        story.replay.json"
)]
pub(crate) struct RunArgs {
    /// Scenario file; `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Seed to use instead of the file's.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Stop at this simulated time (`30s`, `1m30s`) and judge what is known by then.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Print the rows that each sink of a job holds, as `[[stream.expect]]` takes them.
    #[arg(long)]
    pub(crate) rows: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write what is needed to replay this run, with its digest.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

/// `strandline check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Of a folder, all .toml files that have the key `strandline` are checked. Exit status \
                  2 when one is bad.\n\nExamples:\n  strandline check story.toml\n  strandline check \
                  scenarios lessons"
)]
pub(crate) struct CheckArgs {
    /// Scenario files or folders.
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
}

/// `strandline replay`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status 1 when the digests differ.\n\nExamples:\n  strandline run story.toml \
                  --record story.replay.json\n  strandline replay story.replay.json\n  echo \
                  'https://…/run/#run=r1.…' | strandline replay -"
)]
pub(crate) struct ReplayArgs {
    /// A file written by `run --record`, or a file that holds a link (or its part after `#`).
    pub(crate) file: PathBuf,
}

/// `strandline sweep`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status 1 when a seed was bad, or when the sweep was interrupted (what was found \
                  is printed).\n\nExamples:\n  strandline sweep scenarios/quickstart.toml --seeds 0..10000\n  \
                        strandline sweep scenarios/quickstart.toml --seeds 0..10000 --shard 1/4 \
                        --json\n  strandline sweep scenarios/sweep-groups.toml --seeds 0..10000 \
                        --members"
)]
pub(crate) struct SweepArgs {
    /// Scenario file.
    pub(crate) file: PathBuf,
    /// Seeds, first to last (exclusive).
    #[arg(long, value_name = "A..B", default_value = "0..100")]
    pub(crate) seeds: String,
    /// Threads; by default one for each processor.
    #[arg(long)]
    pub(crate) jobs: Option<usize>,
    /// Only the I-th of N parts of the seeds.
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<String>,
    /// Random faults per run; 0 = only what the file scripts.
    #[arg(long, default_value_t = 6)]
    pub(crate) faults: u32,
    /// Let machines lose power too, with all that was not flushed: Kafka does not flush before it
    /// acknowledges, so several machines at once may lose what was acknowledged.
    #[arg(long)]
    pub(crate) power: bool,
    /// Let members of consumer groups fail too, as servers do.
    #[arg(long)]
    pub(crate) members: bool,
    /// Stop after this many bad seeds.
    #[arg(long, default_value_t = 10)]
    pub(crate) stop_after: usize,
    /// Write the first bad run as a scenario file here.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// One line of JSON per bad seed and a summary.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `strandline trace`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status 1 when the run was stopped or interrupted.\n\nExamples:\n  strandline \
                  trace story.toml --from 9s --until 11s\n  strandline trace story.toml --format \
                  perfetto > story.json   # opens in ui.perfetto.dev"
)]
pub(crate) struct TraceArgs {
    /// Scenario file.
    pub(crate) file: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub(crate) format: Format,
    /// Seed to use instead of the file's.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// From this simulated time.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) from: String,
    /// Until this simulated time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// At most this many lines.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) limit: u64,
}

/// `strandline conform`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each case passes, fails with what came out, or is unsupported with the reason. Exit \
                  status 1 when one failed (with --strict also when one is unsupported).\n\n\
                  Examples:\n  strandline conform conform/cases/kafka/*.json"
)]
pub(crate) struct ConformArgs {
    /// Files of cases (JSON).
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Count an unsupported case as a failure.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// Trace formats.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// One JSON object per line.
    Jsonl,
    /// A Mermaid sequence diagram of the messages.
    Mermaid,
    /// Chrome/Perfetto trace events.
    Perfetto,
}

/// `strandline bench`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  strandline bench --quick\n  strandline bench --only groups --json"
)]
pub(crate) struct BenchArgs {
    /// Shorter runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}
