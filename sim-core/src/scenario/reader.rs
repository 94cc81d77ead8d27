//! Reading a document: values with their places, and a reader that collects every problem.
//!
//! The TOML text is parsed with recovery, so that one broken line does not hide the rest. What
//! comes out is turned into [`Raw`] values in the order of the file. Reading goes on after a
//! problem; a scenario is only built if there was no error in the end.

use super::diagnostic::{Diagnostic, LineIndex, Severity};
use super::limits;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something and where it stands in the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct At<T> {
    /// What.
    pub(crate) value: T,
    /// Where, bytes.
    pub(crate) span: Range<usize>,
}

impl<T> At<T> {
    /// Both together.
    pub(crate) fn new(value: T, span: Range<usize>) -> Self {
        At { value, span }
    }
}

/// The entries of a table, in the order of the file.
pub(crate) type Fields = Vec<(At<String>, At<Raw>)>;

/// A value of the document, not yet understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Raw {
    /// A string.
    Text(String),
    /// A whole number: its digits (with sign) and radix.
    Int(String, u32),
    /// A decimal number as written: never a float, so that nothing is rounded.
    Decimal(String),
    /// true or false.
    Bool(bool),
    /// A date or time of TOML, which the language does not use.
    Date,
    /// A list.
    List(Vec<At<Raw>>),
    /// A table.
    Table(Fields),
}

impl Raw {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Raw::Text(_) => "a text",
            Raw::Int(..) => "a whole number",
            Raw::Decimal(_) => "a decimal number",
            Raw::Bool(_) => "true or false",
            Raw::Date => "a date",
            Raw::List(_) => "a list",
            Raw::Table(_) => "a table",
        }
    }

    /// A plain value as text, as Kafka's tools would take it; empty for lists and tables.
    pub(crate) fn text(&self) -> String {
        match self {
            Raw::Text(text) => text.clone(),
            Raw::Int(digits, 10) => digits.clone(),
            Raw::Int(..) => self.as_int().map(|n| n.to_string()).unwrap_or_default(),
            Raw::Decimal(text) => text.clone(),
            Raw::Bool(flag) => flag.to_string(),
            Raw::Date | Raw::List(_) | Raw::Table(_) => String::new(),
        }
    }

    /// The whole number, if it is one.
    pub(crate) fn as_int(&self) -> Option<i128> {
        match self {
            Raw::Int(digits, radix) => i128::from_str_radix(digits, *radix).ok(),
            _ => None,
        }
    }

    fn of(value: &DeValue<'_>) -> Raw {
        match value {
            DeValue::String(text) => Raw::Text(text.to_string()),
            DeValue::Integer(int) => Raw::Int(int.as_str().replace('_', ""), int.radix()),
            DeValue::Float(float) => Raw::Decimal(float.as_str().replace('_', "")),
            DeValue::Boolean(flag) => Raw::Bool(*flag),
            DeValue::Datetime(_) => Raw::Date,
            DeValue::Array(list) => Raw::List(
                list.iter()
                    .map(|item| At::new(Raw::of(item.get_ref()), item.span()))
                    .collect(),
            ),
            DeValue::Table(table) => Raw::Table(Raw::fields(table)),
        }
    }

    fn fields(table: &DeTable<'_>) -> Fields {
        let place = |key: &Spanned<_>| key.span();
        let mut fields: Fields = table
            .iter()
            .map(|(key, value)| {
                let name = At::new(key.get_ref().to_string(), place(key));
                (name, At::new(Raw::of(value.get_ref()), value.span()))
            })
            .collect();
        fields.sort_by_key(|(key, _)| key.span.start);
        fields
    }
}

/// Collects the problems of one text.
#[derive(Debug)]
pub(crate) struct Reader<'t> {
    index: LineIndex<'t>,
    text: &'t str,
    problems: Vec<Diagnostic>,
    left_out: usize,
}

/// A problem about to be reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    code: &'static str,
    severity: Severity,
    message: String,
    expected: String,
    help: Option<String>,
}

impl Problem {
    /// An error.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Problem {
            code,
            severity: Severity::Error,
            message: message.into(),
            expected: String::new(),
            help: None,
        }
    }

    /// A value of the wrong kind or form.
    pub(crate) fn bad_value(message: impl Into<String>, expected: impl Into<String>) -> Self {
        Problem::new("bad-value", message).expected(expected)
    }

    /// Not an error: the scenario can run.
    #[must_use]
    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// What could stand there.
    #[must_use]
    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    /// A hint.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The nearest of the valid names as the hint, or all of them if there are few.
    #[must_use]
    pub(crate) fn near<'n>(mut self, word: &str, valid: impl IntoIterator<Item = &'n str>) -> Self {
        const FEW: usize = 12;
        let mut valid: Vec<&str> = valid.into_iter().collect();
        if let Some(name) = nearest(word, &valid) {
            self.help = Some(format!("did you mean `{name}`?"));
        }
        if self.expected.is_empty() && !valid.is_empty() {
            let more = valid.len().saturating_sub(FEW);
            valid.truncate(FEW);
            let list = valid.join(", ");
            self.expected = match (valid.len(), more) {
                (1, 0) => list,
                (_, 0) => format!("one of {list}"),
                (_, more) => format!("one of {list} and {more} more"),
            };
        }
        self
    }
}

/// The valid name that is most like a word, if one is like it at all.
pub(crate) fn nearest<'n>(word: &str, valid: &[&'n str]) -> Option<&'n str> {
    if word.is_empty() || word.chars().count() > 2 * limits::NAME_CHARS {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let edits = strsim::osa_distance(&lower, &name);
        // A word that is a part of a name is near, whatever the rest.
        let part = lower.len() >= 3 && (name.contains(&lower) || lower.contains(&name));
        // A name that differs by as much without being a part is the likelier one.
        (if part { edits.min(1) } else { edits }, edits)
    };
    let farthest = 1 + word.chars().count() / 3;
    valid
        .iter()
        .map(|name| (distance(name), *name))
        .filter(|((edits, _), _)| *edits <= farthest)
        .min_by_key(|(edits, name)| (*edits, name.len()))
        .map(|(_, name)| name)
}

impl<'t> Reader<'t> {
    /// A reader of a text without problems so far.
    pub(crate) fn new(text: &'t str) -> Self {
        Reader {
            index: LineIndex::new(text),
            text,
            problems: Vec::new(),
            left_out: 0,
        }
    }

    /// Parses the text. Syntax errors are reported; what could be read is returned.
    pub(crate) fn parse(&mut self) -> At<Raw> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.report(&span, Problem::new("syntax", error.message().trim()));
        }
        At::new(Raw::Table(Raw::fields(root.get_ref())), 0..0)
    }

    /// The text.
    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.index.place(at).0
    }

    /// Reports a problem at a place.
    pub(crate) fn report(&mut self, span: &Range<usize>, problem: Problem) {
        if self.problems.len() >= limits::DIAGNOSTICS {
            self.left_out += 1;
            return;
        }
        let start = self.index.border(span.start);
        let end = self.index.border(span.end.max(start));
        let (line, column) = self.index.place(start);
        self.problems.push(Diagnostic {
            severity: problem.severity,
            code: problem.code,
            message: problem.message,
            line,
            column,
            span: start..end,
            expected: problem.expected,
            help: problem.help,
        });
    }

    /// Whether nothing so far keeps the scenario from running.
    pub(crate) fn good(&self) -> bool {
        self.left_out == 0
            && self
                .problems
                .iter()
                .all(|p| p.severity == Severity::Warning)
    }

    /// Errors so far.
    pub(crate) fn errors(&self) -> usize {
        let errors = self.problems.iter();
        let errors = errors.filter(|p| p.severity == Severity::Error).count();
        errors + self.left_out
    }

    /// All problems in the order of the text.
    pub(crate) fn into_problems(mut self) -> Vec<Diagnostic> {
        if self.left_out > 0 {
            let message = format!("{} more problems are not listed", self.left_out);
            let end = self.text.len();
            self.left_out = 0;
            self.problems.pop();
            self.report(&(end..end), Problem::new("more", message));
        }
        self.problems.sort_by_key(|p| (p.span.start, p.span.end));
        self.problems.dedup();
        self.problems
    }
}

/// The place in the file of a part of a string's value. The string stands at `whole` (quotes
/// included) and has the value `value`; `part` is a range in the value.
pub(crate) fn inside_string(
    text: &str,
    whole: &Range<usize>,
    value: &str,
    part: &Range<usize>,
) -> Range<usize> {
    let Some(raw) = text.get(whole.clone()) else {
        return whole.clone();
    };
    let quotes = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|q| raw.starts_with(q));
    let Some(quote) = quotes else {
        return whole.clone();
    };
    // A line end right after a triple quote is not part of the value.
    let mut start = quote.len();
    if quote.len() == 3 {
        let line_end = ["\r\n", "\n"]
            .into_iter()
            .find(|end| raw[start..].starts_with(end));
        start += line_end.map_or(0, str::len);
    }
    let end = raw.len().saturating_sub(quote.len()).max(start);
    let (Some(from), Some(to)) = (
        offset(&raw[start..end], value, part.start, quote),
        offset(&raw[start..end], value, part.end, quote),
    ) else {
        return whole.clone();
    };
    whole.start + start + from..whole.start + start + to
}

/// Where byte `at` of the value stands in the raw string between its quotes.
fn offset(raw: &str, value: &str, at: usize, quote: &str) -> Option<usize> {
    if raw == value || quote.starts_with('\'') {
        return Some(at.min(raw.len()));
    }
    let mut rest = raw.char_indices();
    let mut seen = 0;
    while seen < at {
        let (_, c) = rest.next()?;
        let decoded = match c {
            '\\' => {
                let (_, kind) = rest.next()?;
                let digits = match kind {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    // A line that goes on: the value is shorter by an unknown amount.
                    c if c.is_whitespace() => return None,
                    _ => 0,
                };
                let number: String = rest.by_ref().take(digits).map(|(_, c)| c).collect();
                match digits {
                    0 => 1,
                    _ => char::from_u32(u32::from_str_radix(&number, 16).ok()?)?.len_utf8(),
                }
            }
            c => c.len_utf8(),
        };
        seen += decoded;
    }
    Some(rest.next().map_or(raw.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let check = |word: &str, expect: Option<&str>| {
            let valid = ["replication-factor", "partitions", "name", "b1", "b2"];
            assert_eq!(nearest(word, &valid), expect, "{word}");
        };
        check("partition", Some("partitions"));
        check("replicationfactor", Some("replication-factor"));
        check("replication", Some("replication-factor"));
        check("Name", Some("name"));
        check("b3", Some("b1"));
        check("zzz", None);
        check("", None);
        check(&"x".repeat(100_000), None);
    }

    #[test]
    fn every_syntax_error_is_reported() {
        let mut reader = Reader::new("a = \nb = 1\nc = \"x\nd = ]\n");
        let root = reader.parse();
        let Raw::Table(fields) = root.value else {
            panic!("a document is a table");
        };
        assert!(fields.iter().any(|(key, _)| key.value == "b"));
        let problems = reader.into_problems();
        let lines: Vec<u32> = problems.iter().map(|p| p.line).collect();
        assert!(
            lines.contains(&1) && lines.contains(&3) && lines.contains(&4),
            "{problems:?}"
        );
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        for text in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{a=".repeat(50_000)),
            format!("a{} = 1", ".a".repeat(50_000)),
        ] {
            let mut reader = Reader::new(&text);
            let root = reader.parse();
            drop(root);
            assert!(!reader.good(), "{}", &text[..20]);
        }
    }
}
