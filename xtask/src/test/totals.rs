//! Counting: what the test programs printed, added up.

use std::fmt;

/// The outcome of a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Tests that held.
    pub(crate) passed: u32,
    /// Tests that did not, or could not be run.
    pub(crate) failed: u32,
    /// A measurement or reason worth a line.
    pub(crate) note: String,
}

impl Totals {
    /// A check that has no parts.
    pub(crate) fn single(held: bool) -> Self {
        Self {
            passed: u32::from(held),
            failed: u32::from(!held),
            note: String::new(),
        }
    }

    /// The same totals with a note.
    #[must_use]
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Adds what a line of output says, if it is a summary: that of `cargo test`, of
    /// wasm-bindgen's runner (which prints the same), or of the browser tests.
    pub(crate) fn read_summary(&mut self, line: &str) {
        let plain = line.trim();
        let summary = ["test result:", "browser tests:"];
        let Some(rest) = summary.iter().find_map(|start| plain.strip_prefix(start)) else {
            return;
        };
        self.passed += count_before(rest, "passed");
        self.failed += count_before(rest, "failed");
    }

    /// The totals of a program that ended with or without success. One that failed without a
    /// failed test (it did not compile, it crashed) counts as one failure.
    #[must_use]
    pub(crate) fn ended(mut self, success: bool) -> Self {
        if !success && self.failed == 0 {
            self.failed = 1;
            self.note = "it ended early".to_owned();
        }
        self
    }
}

/// The number in front of `word` in a summary such as `ok. 12 passed; 0 failed`.
fn count_before(text: &str, word: &str) -> u32 {
    let words: Vec<_> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .collect();
    let at = words.windows(2).find(|pair| pair[1] == word);
    at.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{} passed", self.passed);
        if self.failed > 0 {
            text.push_str(&format!(", {} FAILED", self.failed));
        }
        if !self.note.is_empty() {
            text.push_str(&format!(
                " · {}",
                self.note.lines().next().unwrap_or_default()
            ));
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 filtered out; finished in 0.01s",
            "  browser tests: 4 passed, 1 failed",
            "the words 9 passed in a line of a test do not count",
        ] {
            totals.read_summary(line);
        }
        assert_eq!((totals.passed, totals.failed), (17, 3));
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(Totals::default().ended(false).failed, 1);
        assert_eq!(Totals::default().ended(true).failed, 0);
        let counted = Totals {
            passed: 1,
            failed: 2,
            note: String::new(),
        };
        assert_eq!(counted.ended(false).failed, 2);
    }
}
