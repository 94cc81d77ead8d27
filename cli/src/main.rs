//! `strandline`: run, check, replay, sweep and trace scenario files from a terminal.
//!
//! Exit status: 0 everything held, 1 something did not hold, 2 the input could not be used.

mod args;
mod bench;
mod check;
mod conform;
mod input;
mod out;
mod replay;
mod report;
mod run;
mod stop;
mod sweep;
mod trace;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use std::process::ExitCode;

/// Runs allocate a little for every message, and this allocator is quick at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Everything held.
    Held,
    /// Something did not hold.
    Broken,
    /// The input could not be used.
    BadInput,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        ExitCode::from(match outcome {
            Outcome::Held => 0,
            Outcome::Broken => 1,
            Outcome::BadInput => 2,
        })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    stop::listen();
    let outcome = match &cli.command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => check::check(args),
        Command::Replay(args) => replay::replay(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Trace(args) => trace::trace(args),
        Command::Conform(args) => conform::conform(args),
        Command::Bench(args) => bench::bench(args),
        Command::Schema => {
            out::bytes(sim_core::scenario::schema().as_bytes());
            Outcome::Held
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "strandline", &mut text);
            out::bytes(&text);
            Outcome::Held
        }
    };
    outcome.into()
}
