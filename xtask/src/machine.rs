//! The machine that measured, as far as it says what it is. What it does not say is left out.

use crate::{paths, run};
use std::fs;

/// What stands beside figures.
pub(crate) struct Machine {
    /// Name and value, in order.
    pub(crate) rows: Vec<(&'static str, String)>,
    /// Load averages when measuring began.
    pub(crate) load: Option<String>,
}

impl Machine {
    /// Looks around, before anything is measured.
    pub(crate) fn look() -> Self {
        let said = |program: &str, args: &[&str]| {
            run::capture(run::program(program, &paths::root()).args(args))
        };
        let cores = std::thread::available_parallelism().map(|n| n.to_string());
        let model = fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| field(&text, "model name", ':'))
            .or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]));
        let system = fs::read_to_string("/etc/os-release")
            .ok()
            .and_then(|text| field(&text, "PRETTY_NAME", '='));
        let kernel = said("uname", &["-srm"]);
        let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
        let rows = [
            ("Date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("Commit", commit),
            ("Cores", cores.ok()),
            ("Processor", model),
            ("System", system),
            ("Kernel", kernel),
            ("Rust", said("rustc", &["--version"])),
        ];
        Machine {
            rows: rows
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect(),
            load: fs::read_to_string("/proc/loadavg").ok().map(|text| {
                let averages: Vec<_> = text.split_whitespace().take(3).collect();
                averages.join(", ")
            }),
        }
    }
}

/// The value of the first line `name<between>value`, without quotes.
fn field(text: &str, name: &str, between: char) -> Option<String> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(between)?;
        (key.trim() == name).then(|| value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_systems_write_them() {
        for (text, name, between, expect) in [
            (
                "a\t: 1\nmodel name\t: X 5\n",
                "model name",
                ':',
                Some("X 5"),
            ),
            (
                "ID=x\nPRETTY_NAME=\"Y 6\"\n",
                "PRETTY_NAME",
                '=',
                Some("Y 6"),
            ),
            ("NAME=x", "PRETTY_NAME", '=', None),
        ] {
            assert_eq!(field(text, name, between).as_deref(), expect, "{text}");
        }
    }
}
