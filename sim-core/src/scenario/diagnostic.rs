//! What is wrong with a scenario, for people and for editors: plain data, no terminal.
//!
//! All problems of a file are reported at once, each with its place, what was expected there and,
//! where a name is unknown, the nearest valid one. [`render`] draws them as text for places that
//! have nothing better; the command line and the editor draw them in their own way.

use serde::Serialize;
use std::fmt::Write as _;
use std::ops::Range;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The scenario cannot run.
    Error,
    /// It can run, but probably does not mean what its author wants.
    Warning,
}

/// One problem of a scenario text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// Stable name of the kind of problem, e.g. `unknown-key`.
    pub code: &'static str,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Line of the start, from 1.
    pub line: u32,
    /// Column of the start in characters, from 1.
    pub column: u32,
    /// Place in the text, in bytes; on character borders.
    pub span: Range<usize>,
    /// What could stand there; empty if the message says it.
    pub expected: String,
    /// The nearest valid name, or another hint.
    pub help: Option<String>,
}

/// Finds lines and columns in one text.
#[derive(Clone, Debug)]
pub(crate) struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        LineIndex { text, starts }
    }

    /// The nearest character border at or before `at`.
    pub(crate) fn border(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }

    /// Line and column (in characters) of a byte, both from 1.
    pub(crate) fn place(&self, at: usize) -> (u32, u32) {
        let at = self.border(at);
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text[start..at].chars().count() + 1;
        (line as u32, column as u32)
    }

    /// The text of a line (from 1) without its end.
    fn line(&self, line: u32) -> &'t str {
        let index = (line as usize).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or(self.text.len());
        let end = self
            .starts
            .get(index + 1)
            .map_or(self.text.len(), |next| next - 1);
        self.text[start..end.max(start)].trim_end_matches('\r')
    }
}

/// Longest part of a line that an excerpt shows, in characters.
const EXCERPT_WIDTH: usize = 100;

/// Draws problems as text: place, excerpt, caret, what was expected and the hint.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], file_name: &str, text: &str) -> String {
    let index = LineIndex::new(text);
    let mut out = String::new();
    for found in diagnostics {
        render_one(found, file_name, &index, &mut out);
    }
    let count = |severity| {
        diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count()
    };
    let many = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    if !diagnostics.is_empty() {
        let errors = many(count(Severity::Error), "error");
        let warnings = many(count(Severity::Warning), "warning");
        let _ = writeln!(out, "{file_name}: {errors}, {warnings}");
    }
    out
}

fn render_one(found: &Diagnostic, file_name: &str, index: &LineIndex<'_>, out: &mut String) {
    let word = match found.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let Diagnostic { line, column, .. } = *found;
    let gutter = " ".repeat(line.to_string().len());
    let (excerpt, before, width) = excerpt(found, index);
    // Writing into a string cannot fail.
    let _ = writeln!(out, "{word}[{}]: {}", found.code, found.message);
    let _ = writeln!(out, "{gutter}--> {file_name}:{line}:{column}");
    let _ = writeln!(out, "{gutter} |");
    let _ = writeln!(out, "{line} | {excerpt}");
    let _ = write!(
        out,
        "{gutter} | {}{}",
        " ".repeat(before),
        "^".repeat(width)
    );
    if found.expected.is_empty() {
        out.push('\n');
    } else {
        let _ = writeln!(out, " expected {}", found.expected);
    }
    if let Some(help) = &found.help {
        let _ = writeln!(out, "{gutter} = help: {help}");
    }
    out.push('\n');
}

/// The line shown, the blanks before the caret and the width of the caret.
fn excerpt(found: &Diagnostic, index: &LineIndex<'_>) -> (String, usize, usize) {
    let line: Vec<char> = index
        .line(found.line)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let column = (found.column as usize).saturating_sub(1).min(line.len());
    let end = index.border(found.span.end);
    let (end_line, end_column) = index.place(end);
    let until = if end_line == found.line {
        (end_column as usize).saturating_sub(1)
    } else {
        line.len()
    };
    // A long line is shown from a little before the problem.
    let from = if line.len() > EXCERPT_WIDTH {
        column.saturating_sub(EXCERPT_WIDTH / 2)
    } else {
        0
    };
    let to = line.len().min(from + EXCERPT_WIDTH);
    let mut shown: String = line[from..to].iter().collect();
    let mut before = column - from;
    if from > 0 {
        shown.insert_str(0, "… ");
        before += 2;
    }
    if to < line.len() {
        shown.push_str(" …");
    }
    let width = until.min(to).saturating_sub(column).max(1);
    (shown, before, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, span: Range<usize>) -> Diagnostic {
        let (line, column) = LineIndex::new(text).place(span.start);
        Diagnostic {
            severity: Severity::Error,
            code: "unknown-key",
            message: "no such key".to_owned(),
            line,
            column,
            span,
            expected: "one of a, b".to_owned(),
            help: Some("did you mean `a`?".to_owned()),
        }
    }

    #[test]
    fn places() {
        let text = "äb\ncd\r\n\nx";
        let check = |byte: usize, expect| {
            assert_eq!(LineIndex::new(text).place(byte), expect, "{byte}");
        };
        check(0, (1, 1));
        check(1, (1, 1)); // inside ä
        check(2, (1, 2));
        check(4, (2, 1));
        check(8, (3, 1));
        check(9, (4, 1));
        check(99, (4, 2));
    }

    #[test]
    fn an_excerpt_points_at_the_problem() {
        let text = "title = 1\nß = 2\n";
        let expect = "error[unknown-key]: no such key\n --> f.toml:2:1\n  |\n2 | ß = 2\n  | ^ expected one of a, b\n  = help: did you mean `a`?\n\nf.toml: 1 error, 0 warnings\n";
        assert_eq!(render(&[at(text, 10..12)], "f.toml", text), expect);
    }

    #[test]
    fn odd_spans_are_drawn_without_panic() {
        let long = format!("a = \"{}\"\tüü", "x".repeat(500));
        for text in ["", "\n", "a", "äöü\r\nx", long.as_str()] {
            for start in 0..text.len().min(600) + 2 {
                for len in [0, 1, 7, 1_000] {
                    let text_out = render(&[at(text, start..start + len)], "f", text);
                    assert!(text_out.contains('^'), "{text:?} {start} {len}");
                }
            }
        }
    }
}
