//! Where in a document the cursor stands: in which table, at a key or at the value of one.
//!
//! The text is being typed, so it is seldom whole. A small scanner follows headers, keys, strings,
//! comments and brackets up to the cursor, and never fails; what it cannot make sense of it passes.

use std::ops::Range;

/// What is being typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Typing {
    /// A header `[…]` or `[[…]]`: what stands in it so far.
    Header {
        /// It began with two brackets.
        double: bool,
    },
    /// A key.
    Key,
    /// The value of a key.
    Value {
        /// Text inside a string up to the cursor; `None` outside of strings.
        string: Option<String>,
    },
    /// A comment.
    Comment,
}

/// Where the cursor stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cursor {
    /// The tables it is in, from the root; for a value its key as well.
    pub(super) path: Vec<String>,
    /// What is being typed.
    pub(super) typing: Typing,
    /// What has been typed of it: bytes, up to the cursor.
    pub(super) typed: Range<usize>,
    /// The part of the text between the header and the next one.
    pub(super) section: Range<usize>,
}

/// One open bracket of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Open {
    /// `{`: keys follow; this many names were put on the path for it.
    Table(usize),
    /// `[`
    List,
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    path: Vec<String>,
    /// Names that the present key put on the path.
    key_names: usize,
    open: Vec<Open>,
    in_value: bool,
    /// Start of the key, value or string being typed.
    start: usize,
    section: usize,
}

/// Finds the cursor at a byte of the text.
pub(super) fn find(text: &str, offset: usize) -> Cursor {
    let end = text.floor_char_boundary(offset.min(text.len()));
    let mut scanner = Scanner {
        text: &text[..end],
        at: 0,
        path: Vec::new(),
        key_names: 0,
        open: Vec::new(),
        in_value: false,
        start: 0,
        section: 0,
    };
    let typing = scanner.run();
    let rest = &text[end..];
    let next = rest.match_indices('\n').find(|(at, _)| {
        let line = rest[at + 1..].trim_start_matches([' ', '\t']);
        line.starts_with('[')
    });
    Cursor {
        path: scanner.path,
        typing,
        typed: scanner.start..end,
        section: scanner.section..next.map_or(text.len(), |(at, _)| end + at),
    }
}

impl<'t> Scanner<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn run(&mut self) -> Typing {
        let fresh = |scanner: &mut Scanner<'_>| {
            scanner.start = scanner.at;
        };
        while let Some(c) = self.rest().chars().next() {
            match c {
                '#' => match self.rest().find('\n') {
                    Some(end) => self.at += end,
                    None => return self.unfinished(Typing::Comment),
                },
                '"' | '\'' => {
                    if let Some(typing) = self.string(c) {
                        return typing;
                    }
                }
                '\n' if self.open.is_empty() => {
                    self.at += 1;
                    self.end_value();
                    fresh(self);
                }
                '[' if !self.in_value && self.at_line_start() => {
                    if let Some(typing) = self.header() {
                        return typing;
                    }
                }
                '=' if !self.in_value => self.begin_value(),
                '{' | '[' if self.in_value => self.open(c),
                '}' | ']' if !self.open.is_empty() => self.close(),
                ',' if !self.open.is_empty() => {
                    self.at += 1;
                    if matches!(self.open.last(), Some(Open::Table(_))) {
                        self.end_value();
                    }
                    fresh(self);
                }
                c if c.is_whitespace() => {
                    self.at += c.len_utf8();
                    if self.text[self.start..self.at].trim().is_empty() {
                        fresh(self);
                    }
                }
                c => self.at += c.len_utf8(),
            }
        }
        if self.in_value {
            Typing::Value { string: None }
        } else {
            Typing::Key
        }
    }

    /// Nothing of what is being typed belongs to a key or value.
    fn unfinished(&mut self, typing: Typing) -> Typing {
        self.start = self.text.len();
        typing
    }

    fn at_line_start(&self) -> bool {
        let line = self.text[..self.at].rfind('\n').map_or(0, |at| at + 1);
        self.open.is_empty() && self.text[line..self.at].trim().is_empty()
    }

    fn header(&mut self) -> Option<Typing> {
        let line_end = self.rest().find('\n');
        let line = &self.rest()[..line_end.unwrap_or(self.rest().len())];
        let double = line.starts_with("[[");
        let inner = line.trim_start_matches('[');
        let Some(close) = inner.find(']') else {
            // The cursor is in an open header, or the line is broken.
            if line_end.is_none() {
                self.start = self.at + (line.len() - inner.len());
                return Some(Typing::Header { double });
            }
            self.at += line.len();
            return None;
        };
        self.path = split_key(&inner[..close]);
        self.section = self.at;
        // What stands behind the header is a comment at most.
        self.at += line.len();
        self.start = self.at;
        None
    }

    fn begin_value(&mut self) {
        let names = split_key(&self.text[self.start..self.at]);
        self.key_names = names.len();
        self.path.extend(names);
        self.in_value = true;
        self.at += 1;
        self.start = self.at;
    }

    /// The key of the value that ended leaves the path.
    fn end_value(&mut self) {
        if self.in_value {
            let names = self.key_names.min(self.path.len());
            self.path.truncate(self.path.len() - names);
        }
        self.key_names = 0;
        self.in_value = false;
    }

    fn open(&mut self, c: char) {
        if c == '{' {
            self.open.push(Open::Table(self.key_names));
            self.key_names = 0;
            self.in_value = false;
        } else {
            self.open.push(Open::List);
        }
        self.at += 1;
        self.start = self.at;
    }

    fn close(&mut self) {
        if let Some(Open::Table(names)) = self.open.last().copied() {
            self.end_value();
            self.key_names = names;
        }
        self.open.pop();
        self.in_value = true;
        self.at += 1;
        self.start = self.at;
    }

    /// Passes a string; if the cursor is in it, says so.
    fn string(&mut self, quote: char) -> Option<Typing> {
        let triple = quote.to_string().repeat(3);
        let opening = if self.rest().starts_with(&triple) {
            3
        } else {
            1
        };
        let inner = self.at + opening;
        let mut at = inner;
        let mut ended = false;
        let mut escaped = false;
        while let Some(c) = self.text[at..].chars().next() {
            if c == '\n' && opening == 1 {
                ended = true; // a broken string ends with its line
                break;
            }
            let closes = c == quote && (opening == 1 || self.text[at..].starts_with(&triple));
            if closes && !escaped {
                at += opening;
                ended = true;
                break;
            }
            escaped = quote == '"' && c == '\\' && !escaped;
            at += c.len_utf8();
        }
        if ended || !self.in_value {
            // A key in quotes is typed like any other.
            self.at = at.max(self.at + 1).min(self.text.len());
            return None;
        }
        self.at = at;
        self.start = inner;
        Some(Typing::Value {
            string: Some(self.text[inner..at].to_owned()),
        })
    }
}

/// The names of a dotted key.
pub(super) fn split_key(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let quoted = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (name, after) = match quoted {
            Some(quote) => {
                let inner = &rest[1..];
                inner.split_once(quote).unwrap_or((inner, ""))
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        names.push(name.trim().to_owned());
        rest = after.trim_start().trim_start_matches('.').trim_start();
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let key = || Typing::Key;
        let value = |string: Option<&str>| Typing::Value {
            string: string.map(str::to_owned),
        };
        // `|` is the cursor.
        let check = |text: &str, path: &[&str], typing: Typing, typed: &str| {
            let offset = text.find('|').expect("a cursor");
            let text = text.replacen('|', "", 1);
            let found = find(&text, offset);
            assert_eq!(found.path, path, "{text}");
            assert_eq!(found.typing, typing, "{text}");
            assert_eq!(&text[found.typed], typed, "{text}");
        };
        check("|", &[], key(), "");
        check("ti|", &[], key(), "ti");
        check("a = 1\nti|\nb = 2", &[], key(), "ti");
        check("a = |", &["a"], value(None), "");
        check("a = tr|", &["a"], value(None), "tr");
        check("a = \"x|\"", &["a"], value(Some("x")), "x");
        check("a = 'b1.|", &["a"], value(Some("b1.")), "b1.");
        check("a = \"x\\\"y|", &["a"], value(Some("x\\\"y")), "x\\\"y");
        check("a = \"\"\"\nx\ny|", &["a"], value(Some("\nx\ny")), "\nx\ny");
        check("[kafka.topic]\n|", &["kafka", "topic"], key(), "");
        check("[[kafka.topic]] # x\nna|", &["kafka", "topic"], key(), "na");
        check("[k]\na = 1\n[[t]]\nb = |\n", &["t", "b"], value(None), "");
        check("[k|", &[], Typing::Header { double: false }, "k");
        check(
            "[a]\n[[kafka.|\nx = 1",
            &["a"],
            Typing::Header { double: true },
            "kafka.",
        );
        check("l = { ki|", &["l"], key(), "ki");
        check("l = { kind = \"p|", &["l", "kind"], value(Some("p")), "p");
        check("l = { kind = 1, |}", &["l"], key(), "");
        check("l = { k = { a = 1 }, r|", &["l"], key(), "r");
        check("l = { k = { a = 1 } }\nb|", &[], key(), "b");
        check("l = [\"a\", \"b|", &["l"], value(Some("b")), "b");
        check("l = [\n  1,\n  |", &["l"], value(None), "");
        check("l = [{ a = 1 }, { b|", &["l"], key(), "b");
        check("c.\"x.y\" = |", &["c", "x.y"], value(None), "");
        check("\"min.in|", &[], key(), "\"min.in");
        check("a = 1 # com|", &["a"], Typing::Comment, "");
        check("# a = [\nb|", &[], key(), "b");
    }
}
