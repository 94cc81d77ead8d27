//! What the user tells a job as a whole: Flink's command line, as far as it is acted out.
//!
//! Follows `CliFrontend`: `flink savepoint`, `stop`, `cancel`, and `run -s -p`; `-o` is the
//! simulator's own and names the operator that `-p` is meant for. A savepoint's name stands last and
//! goes on to the end. In an order a command is its text, so that a world without a job does not
//! link what it means.

use std::fmt;

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Take a savepoint; the job goes on.
    Savepoint {
        /// What it is called; left out: `savepoint-` and its id.
        name: Option<String>,
    },
    /// Take a savepoint and end the job with it.
    Stop {
        /// What it is called.
        name: Option<String>,
    },
    /// End the job.
    Cancel,
    /// Submit the job again once it has ended.
    Run {
        /// The savepoint that it begins from; `None` to begin from nothing.
        savepoint: Option<String>,
        /// The operator that gets another parallelism; `None` for all that are not sources or sinks.
        operator: Option<String>,
        /// That parallelism; `None` for the one before.
        parallelism: Option<u32>,
    },
}

impl Command {
    /// Reads a command's text, which may come from a link; `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("flink ")?;
        let verb;
        (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (mut operator, mut parallelism, mut name) = (None, None, None);
        while !rest.is_empty() {
            let (option, after) = rest.split_once(' ')?;
            if option == "-s" {
                name = Some(after.to_owned());
                break;
            }
            let value;
            (value, rest) = after.split_once(' ').unwrap_or((after, ""));
            match option {
                "-o" => operator = Some(value.to_owned()),
                "-p" => parallelism = Some(value.parse().ok()?),
                _ => return None,
            }
        }
        match verb {
            "run" => Some(Command::Run {
                savepoint: name,
                operator,
                parallelism,
            }),
            _ if operator.is_some() || parallelism.is_some() => None,
            "savepoint" => Some(Command::Savepoint { name }),
            "stop" => Some(Command::Stop { name }),
            "cancel" if name.is_none() => Some(Command::Cancel),
            _ => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, name) = match self {
            Command::Savepoint { name } => ("savepoint", name),
            Command::Stop { name } => ("stop", name),
            Command::Cancel => ("cancel", &None),
            Command::Run { savepoint, .. } => ("run", savepoint),
        };
        write!(f, "flink {verb}")?;
        if let Command::Run {
            operator,
            parallelism,
            ..
        } = self
        {
            operator.iter().try_for_each(|it| write!(f, " -o {it}"))?;
            parallelism
                .iter()
                .try_for_each(|it| write!(f, " -p {it}"))?;
        }
        name.iter().try_for_each(|it| write!(f, " -s {it}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_it_is_written() {
        let name = || Some("before the upgrade".to_owned());
        let check = |command: Command, text: &str| {
            assert_eq!(command.to_string(), text);
            assert_eq!(Command::read(text), Some(command));
        };
        check(Command::Savepoint { name: None }, "flink savepoint");
        check(
            Command::Stop { name: name() },
            "flink stop -s before the upgrade",
        );
        check(Command::Cancel, "flink cancel");
        let run = |savepoint, operator: Option<&str>, parallelism| Command::Run {
            savepoint,
            operator: operator.map(str::to_owned),
            parallelism,
        };
        check(run(None, None, None), "flink run");
        check(run(None, None, Some(4)), "flink run -p 4");
        let text = "flink run -o count -p 3 -s before the upgrade";
        check(run(name(), Some("count"), Some(3)), text);
    }

    #[test]
    fn what_is_no_command_is_none() {
        for text in [
            "",
            "flink",
            "flink list",
            "run",
            "flink run -x 1",
            "flink run -p",
            "flink run -p x",
            "flink stop -p 3",
            "flink cancel -s noon",
        ] {
            assert_eq!(Command::read(text), None, "{text}");
        }
    }
}
