//! What the user tells a job as a whole: Flink's command line, as far as it is acted out.
//!
//! Follows `CliFrontend`: `flink savepoint`, `stop -d`, `cancel`, and `run -n -s -p`. Some options are the
//! simulator's own: `-o` names the operator that `-p` is meant for, `-u` one that has another uid in
//! the program now, `-t` one that writes its state as something else, `-r` stands for
//! the path of the newest retained checkpoint; and `edit` stands for a program
//! of the State Processor API. A savepoint's name stands last and goes on to the end. In an order a command is its text, so that a world without a job does not
//! link what it means.

use super::rules::serializer::StateSchema;
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
        /// Its input is taken to have ended: windows and timers fire first (`--drain`).
        drain: bool,
    },
    /// End the job.
    Cancel,
    /// Submit the job again once it has ended.
    Run(Run),
    /// Write a savepoint with other entries (the State Processor API).
    Edit(Edit),
}

/// Which entries a savepoint has that is written anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edit {
    /// The savepoint that is read; `None` for a new one.
    pub from: Option<String>,
    /// What the new one is called.
    pub into: String,
    /// Whose state.
    pub operator: String,
    /// The value of each key that has another; `None` takes it out.
    pub entries: Vec<(String, Option<i64>)>,
}

/// How a job is submitted again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// The savepoint that it begins from; `None` to begin from nothing.
    pub savepoint: Option<String>,
    /// It begins from the newest checkpoint that outlived its job.
    pub retained: bool,
    /// The operator that gets another parallelism; `None` for all that are not sources or sinks.
    pub operator: Option<String>,
    /// That parallelism; `None` for the one before.
    pub parallelism: Option<u32>,
    /// The operator whose uid in the program is not the savepoint's.
    pub new_uid: Option<String>,
    /// State in the savepoint that no operator takes is left there (`--allowNonRestoredState`).
    pub allow_non_restored_state: bool,
    /// The operator whose state is written as something else in the program.
    pub state_of: Option<String>,
    /// As what.
    pub state: Option<StateSchema>,
}

impl Command {
    /// Reads a command's text, which may come from a link; `None` if it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("flink ")?;
        let verb;
        (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let (mut run, mut edit) = (Run::default(), Edit::default());
        let mut drain = false;
        while !rest.is_empty() {
            let (option, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if option == "-n" {
                (run.allow_non_restored_state, rest) = (true, after);
                continue;
            }
            if option == "-r" {
                (run.retained, rest) = (true, after);
                continue;
            }
            if option == "-d" && verb == "stop" {
                (drain, rest) = (true, after);
                continue;
            }
            if after.is_empty() {
                return None;
            }
            if option == "-s" {
                run.savepoint = Some(after.to_owned());
                break;
            }
            let value;
            (value, rest) = after.split_once(' ').unwrap_or((after, ""));
            match option {
                "-o" => run.operator = Some(value.to_owned()),
                "-p" => run.parallelism = Some(value.parse().ok()?),
                "-u" => run.new_uid = Some(value.to_owned()),
                "-t" => {
                    let (operator, schema) = value.split_once('=')?;
                    run.state_of = Some(operator.to_owned());
                    run.state = Some(StateSchema::read(schema).ok()?);
                }
                "-f" => edit.from = Some(value.to_owned()),
                "-k" => {
                    let (key, value) = value.rsplit_once('=')?;
                    edit.entries
                        .push((key.to_owned(), Some(value.parse().ok()?)));
                }
                "-x" => edit.entries.push((value.to_owned(), None)),
                _ => return None,
            }
        }
        if verb == "edit" && !edit.entries.is_empty() {
            (edit.operator, edit.into) = (run.operator.take()?, run.savepoint.take()?);
            return (run == Run::default()).then_some(Command::Edit(edit));
        }
        if edit != Edit::default() {
            return None;
        }
        if verb == "run" {
            return Some(Command::Run(run));
        }
        // The others have a name and no options.
        let name = run.savepoint.take();
        match verb {
            _ if run != Run::default() => None,
            "savepoint" => Some(Command::Savepoint { name }),
            "stop" => Some(Command::Stop { name, drain }),
            "cancel" if name.is_none() => Some(Command::Cancel),
            _ => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, name) = match self {
            Command::Savepoint { name } => ("savepoint", name),
            Command::Stop { name, drain: false } => ("stop", name),
            Command::Stop { name, drain: true } => ("stop -d", name),
            Command::Cancel => ("cancel", &None),
            Command::Run(run) => ("run", &run.savepoint),
            Command::Edit(edit) => return edit.fmt(f),
        };
        write!(f, "flink {verb}")?;
        if let Command::Run(run) = self {
            let mut operator = run.operator.iter();
            operator.try_for_each(|it| write!(f, " -o {it}"))?;
            let mut parallelism = run.parallelism.iter();
            parallelism.try_for_each(|it| write!(f, " -p {it}"))?;
            let mut new_uid = run.new_uid.iter();
            new_uid.try_for_each(|it| write!(f, " -u {it}"))?;
            if let (Some(operator), Some(schema)) = (&run.state_of, &run.state) {
                write!(f, " -t {operator}={}", schema.word())?;
            }
            if run.allow_non_restored_state {
                f.write_str(" -n")?;
            }
            if run.retained {
                f.write_str(" -r")?;
            }
        }
        name.iter().try_for_each(|it| write!(f, " -s {it}"))
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flink edit -o {}", self.operator)?;
        self.from.iter().try_for_each(|it| write!(f, " -f {it}"))?;
        self.entries
            .iter()
            .try_for_each(|(key, value)| match value {
                Some(value) => write!(f, " -k {key}={value}"),
                None => write!(f, " -x {key}"),
            })?;
        write!(f, " -s {}", self.into)
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
        let stop = |drain| Command::Stop {
            name: name(),
            drain,
        };
        check(stop(false), "flink stop -s before the upgrade");
        check(stop(true), "flink stop -d -s before the upgrade");
        check(Command::Cancel, "flink cancel");
        let run = |savepoint, operator: Option<&str>, parallelism| {
            Command::Run(Run {
                savepoint,
                operator: operator.map(str::to_owned),
                parallelism,
                ..Run::default()
            })
        };
        check(run(None, None, None), "flink run");
        check(run(None, None, Some(4)), "flink run -p 4");
        let text = "flink run -o count -p 3 -s before the upgrade";
        check(run(name(), Some("count"), Some(3)), text);
        let upgraded = |allow_non_restored_state| {
            Command::Run(Run {
                savepoint: name(),
                new_uid: Some("count".to_owned()),
                allow_non_restored_state,
                ..Run::default()
            })
        };
        check(upgraded(false), "flink run -u count -s before the upgrade");
        check(
            upgraded(true),
            "flink run -u count -n -s before the upgrade",
        );
        let retained = Command::Run(Run {
            retained: true,
            ..Run::default()
        });
        check(retained, "flink run -r");
        let evolved = Command::Run(Run {
            savepoint: name(),
            state_of: Some("count".to_owned()),
            state: StateSchema::read("pojo T { sum: long, n: int }").ok(),
            ..Run::default()
        });
        let text = "flink run -t count=pojo:T{sum:long,n:int} -s before the upgrade";
        check(evolved, text);
    }

    #[test]
    fn an_edit_reads_as_it_is_written() {
        let edit = Edit {
            from: Some("before".to_owned()),
            into: "with the fix".to_owned(),
            operator: "count".to_owned(),
            entries: vec![("ann".to_owned(), Some(-3)), ("bob".to_owned(), None)],
        };
        let text = "flink edit -o count -f before -k ann=-3 -x bob -s with the fix";
        assert_eq!(edit.to_string(), text);
        assert_eq!(Command::read(text), Some(Command::Edit(edit)));
        for text in [
            "flink edit -o count -s new",
            "flink edit -k ann=1 -s new",
            "flink edit -o count -k ann=1",
            "flink edit -o count -k ann=x -s new",
            "flink run -k ann=1 -s new",
        ] {
            assert_eq!(Command::read(text), None, "{text}");
        }
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
            "flink stop -n",
            "flink cancel -d",
            "flink run -d",
            "flink stop -r",
            "flink run -u",
            "flink run -t count",
            "flink run -t count=lnog",
            "flink cancel -s noon",
        ] {
            assert_eq!(Command::read(text), None, "{text}");
        }
    }
}
