//! What the commands print: one line a step, in colour only on a terminal.

use crate::failure::Failure;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A named piece of work with its place in the whole.
pub(crate) struct Step {
    label: String,
    started: Instant,
}

fn paint(code: &str, text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stdout().is_terminal();
    if plain {
        text.to_owned()
    } else {
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Prints a line at once, also into a pipe.
pub(crate) fn line(text: &str) {
    println!("{text}");
    // A closed pipe is the reader's choice; there is nothing left to tell them.
    let _ = std::io::stdout().flush();
}

/// A heading before a group of steps.
pub(crate) fn heading(text: &str) {
    line(&format!("\n{}", paint("1", text)));
}

/// A remark below the current step.
pub(crate) fn remark(text: &str) {
    line(&format!("        {text}"));
}

/// Prints a failure with its remedy.
pub(crate) fn failure(failure: &Failure) {
    line(&format!("{} {failure}", paint("1;31", "error:")));
}

/// `1.2 s`, `3 min 4 s`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// One row of `doctor`.
pub(crate) fn row(ok: bool, name: &str, text: &str) {
    let mark = if ok {
        paint("32", "found  ")
    } else {
        paint("33", "missing")
    };
    line(&format!("  {mark}  {name:<24} {text}"));
}

impl Step {
    /// Begins step `number` of `total`.
    pub(crate) fn begin(number: usize, total: usize, name: &str) -> Self {
        let label = format!("[{number}/{total}] {name}");
        Self {
            label,
            started: Instant::now(),
        }
    }

    /// Says that work starts which may take a while.
    pub(crate) fn working(&self, doing: &str) {
        line(&format!("{} {doing}", paint("1", &self.label)));
    }

    /// Ends a step whose work had been done before.
    pub(crate) fn skip(&self, why: &str) {
        line(&format!("{} {}", paint("1", &self.label), paint("2", why)));
    }

    /// Ends a step that did its work.
    pub(crate) fn done(&self, what: &str) {
        let time = duration(self.started.elapsed());
        line(&format!(
            "{} {} {what} ({time})",
            paint("1", &self.label),
            paint("32", "done:")
        ));
    }

    /// Ends a step that failed.
    pub(crate) fn failed(&self, why: &str) {
        let time = duration(self.started.elapsed());
        line(&format!(
            "{} {} {why} ({time})",
            paint("1", &self.label),
            paint("1;31", "FAILED:")
        ));
    }
}
