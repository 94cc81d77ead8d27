//! From the text of a predicate to a tree with places.
//!
//! ```text
//! or     = and ("or" and)*
//! and    = not ("and" not)*
//! not    = "not" not | test
//! test   = value (("==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in") value)?
//! value  = "(" or ")" | "{" value,* "}" | number | time | "text" | true | false | none | path
//! path   = name ("." name)*       a name with other characters is put in quotes
//! ```

use super::Comparison;
use crate::scenario::reader::{At, Problem};
use crate::scenario::{limits, units};
use std::ops::Range;

/// A tree with its place in the predicate's text, bytes.
pub(crate) type Tree = At<Ast>;

/// An expression as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ast {
    Or(Vec<Tree>),
    And(Vec<Tree>),
    Not(Box<Tree>),
    Compare(Comparison, Box<Tree>, Box<Tree>),
    In(Box<Tree>, Box<Tree>),
    Path(Vec<At<String>>),
    Set(Vec<Tree>),
    Text(String),
    Int(i64),
    Time(u64),
    Bool(bool),
    None,
}

/// A problem and its place in the predicate's text.
pub(crate) type Wrong = (Range<usize>, Problem);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Time(u64),
    Sign(&'static str),
    End,
}

/// Signs, longer ones before those they begin with.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "<", ">", "(", ")", "{", "}", ",", ".",
];

/// What other languages write, and what is written here.
const FOREIGN: &[(&str, &str)] = &[
    ("&&", "and"),
    ("||", "or"),
    ("=", "=="),
    ("!", "not"),
    ("∈", "in"),
    ("≤", "<="),
    ("≥", ">="),
    ("≠", "!="),
];

fn wrong(span: Range<usize>, message: impl Into<String>) -> Wrong {
    (span, Problem::new("predicate-syntax", message))
}

fn lex(text: &str) -> Result<Vec<At<Token>>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, len) = one_token(&text[at..], c, at)?;
        tokens.push(At::new(token, at..at + len));
        at += len;
    }
    tokens.push(At::new(Token::End, text.len()..text.len()));
    Ok(tokens)
}

fn one_token(rest: &str, first: char, at: usize) -> Result<(Token, usize), Wrong> {
    let negative = rest.strip_prefix('-').unwrap_or(rest);
    if negative.starts_with(|c: char| c.is_ascii_digit()) {
        let sign = rest.len() - negative.len();
        return number(rest, sign, at);
    }
    if first.is_ascii_alphabetic() || first == '_' {
        let len = name_len(rest);
        return Ok((Token::Name(rest[..len].to_owned()), len));
    }
    if first == '"' || first == '\'' {
        let inner = &rest[1..];
        let Some(end) = inner.find(first) else {
            return Err(wrong(at..at + rest.len(), "the quote is not closed"));
        };
        return Ok((Token::Text(inner[..end].to_owned()), end + 2));
    }
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok((Token::Sign(sign), sign.len()));
    }
    let len = first.len_utf8();
    if let Some((theirs, ours)) = FOREIGN.iter().find(|(theirs, _)| rest.starts_with(theirs)) {
        let (span, problem) = wrong(
            at..at + theirs.len(),
            format!("`{theirs}` is not used here"),
        );
        return Err((span, problem.help(format!("write `{ours}`"))));
    }
    Err(wrong(
        at..at + len,
        format!("`{}` has no meaning here", first.escape_debug()),
    ))
}

/// Length of the name at the start: hyphens count when a letter or digit follows.
fn name_len(text: &str) -> usize {
    let bytes = text.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut len = 0;
    while let Some(b) = bytes.get(len) {
        let hyphen = *b == b'-'
            && bytes
                .get(len + 1)
                .is_some_and(|next| part(*next) || *next == b'-');
        if !part(*b) && !hyphen {
            break;
        }
        len += 1;
    }
    len
}

fn number(rest: &str, sign: usize, at: usize) -> Result<(Token, usize), Wrong> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | 'µ');
    let len = sign + rest[sign..].find(|c| !part(c)).unwrap_or(rest.len() - sign);
    let text = &rest[..len];
    let span = at..at + len;
    if text[sign..]
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'_')
    {
        return match text.replace('_', "").parse() {
            Ok(int) => Ok((Token::Int(int), len)),
            Err(_) => Err(wrong(span, "this number is too large")),
        };
    }
    match units::parse_time(text) {
        Ok(time) => Ok((Token::Time(time), len)),
        Err(message) => {
            let (span, problem) = wrong(span, message);
            Err((
                span,
                problem.expected("a whole number or a time such as 5s"),
            ))
        }
    }
}

/// Parses a predicate.
pub(crate) fn parse(text: &str) -> Result<Tree, Wrong> {
    if text.chars().count() > limits::PREDICATE_CHARS {
        let message = format!(
            "a predicate has at most {} characters",
            limits::PREDICATE_CHARS
        );
        return Err((0..text.len(), Problem::new("limit-predicate", message)));
    }
    let tokens = lex(text)?;
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
    };
    let tree = parser.or()?;
    let rest = parser.peek();
    if rest.value == Token::End {
        return Ok(tree);
    }
    let (span, problem) = wrong(rest.span.clone(), "the predicate ends before this");
    let help = match &rest.value {
        Token::Sign("==" | "!=" | "<" | "<=" | ">" | ">=") => {
            "comparisons do not chain: write `a < b and b < c`"
        }
        _ => "join two conditions by `and` or `or`",
    };
    Err((span, problem.help(help)))
}

struct Parser {
    tokens: Vec<At<Token>>,
    next: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> &At<Token> {
        // The last token is the end and is never passed.
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn take(&mut self) -> At<Token> {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(&self.peek().value, Token::Sign(s) if *s == sign);
        self.next += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().value, Token::Name(s) if s == word);
        self.next += usize::from(found);
        found
    }

    fn deeper(&mut self) -> Result<(), Wrong> {
        self.depth += 1;
        if self.depth > limits::DEPTH {
            let message = format!("a predicate is at most {} levels deep", limits::DEPTH);
            return Err((
                self.peek().span.clone(),
                Problem::new("limit-depth", message),
            ));
        }
        Ok(())
    }

    fn or(&mut self) -> Result<Tree, Wrong> {
        self.joined("or", Ast::Or, Parser::and)
    }

    fn and(&mut self) -> Result<Tree, Wrong> {
        self.joined("and", Ast::And, Parser::not)
    }

    fn joined(
        &mut self,
        word: &str,
        wrap: fn(Vec<Tree>) -> Ast,
        part: fn(&mut Parser) -> Result<Tree, Wrong>,
    ) -> Result<Tree, Wrong> {
        let first = part(self)?;
        let start = first.span.start;
        let mut all = vec![first];
        while self.word(word) {
            all.push(part(self)?);
        }
        let end = all.last().map_or(start, |last| last.span.end);
        if all.len() == 1 {
            return Ok(all.swap_remove(0));
        }
        Ok(At::new(wrap(all), start..end))
    }

    fn not(&mut self) -> Result<Tree, Wrong> {
        let start = self.peek().span.start;
        if !self.word("not") {
            return self.test();
        }
        self.deeper()?;
        let inner = self.not()?;
        self.depth -= 1;
        let span = start..inner.span.end;
        Ok(At::new(Ast::Not(Box::new(inner)), span))
    }

    fn test(&mut self) -> Result<Tree, Wrong> {
        let left = self.value()?;
        let start = left.span.start;
        let how = match &self.peek().value {
            Token::Sign("==") => Comparison::Equal,
            Token::Sign("!=") => Comparison::NotEqual,
            Token::Sign("<") => Comparison::Less,
            Token::Sign("<=") => Comparison::LessEqual,
            Token::Sign(">") => Comparison::Greater,
            Token::Sign(">=") => Comparison::GreaterEqual,
            _ => return self.membership(left),
        };
        self.next += 1;
        let right = self.value()?;
        let span = start..right.span.end;
        Ok(At::new(
            Ast::Compare(how, Box::new(left), Box::new(right)),
            span,
        ))
    }

    fn membership(&mut self, left: Tree) -> Result<Tree, Wrong> {
        let negated = self.word("not");
        let place = self.peek().span.clone();
        if !self.word("in") {
            if negated {
                return Err(wrong(place, "after `not` comes `in` here"));
            }
            return Ok(left);
        }
        let right = self.value()?;
        let span = left.span.start..right.span.end;
        let inside = At::new(Ast::In(Box::new(left), Box::new(right)), span.clone());
        Ok(if negated {
            At::new(Ast::Not(Box::new(inside)), span)
        } else {
            inside
        })
    }

    fn value(&mut self) -> Result<Tree, Wrong> {
        let token = self.take();
        let span = token.span.clone();
        let ast = match token.value {
            Token::Int(int) => Ast::Int(int),
            Token::Time(time) => Ast::Time(time),
            Token::Sign("(") => {
                self.deeper()?;
                let inner = self.or()?;
                self.depth -= 1;
                self.close(")", &span)?;
                return Ok(inner);
            }
            Token::Sign("{") => return self.set(span),
            Token::Name(name) => match name.as_str() {
                "true" => Ast::Bool(true),
                "false" => Ast::Bool(false),
                "none" => Ast::None,
                "and" | "or" | "in" => return Err(expected_value(span, &format!("`{name}`"))),
                "not" => return Err(wrong(span, "put `not …` in parentheses here")),
                _ => return self.path(At::new(name, span)),
            },
            Token::Text(text) => {
                if matches!(self.peek().value, Token::Sign(".")) {
                    return self.path(At::new(text, span));
                }
                Ast::Text(text)
            }
            Token::Sign(sign) => return Err(expected_value(span, &format!("`{sign}`"))),
            Token::End => return Err(expected_value(span, "the end")),
        };
        Ok(At::new(ast, span))
    }

    fn set(&mut self, open: Range<usize>) -> Result<Tree, Wrong> {
        self.deeper()?;
        let mut items = Vec::new();
        while !matches!(self.peek().value, Token::Sign("}")) {
            items.push(self.value()?);
            if !self.sign(",") {
                break;
            }
        }
        self.depth -= 1;
        let end = self.peek().span.end;
        self.close("}", &open)?;
        Ok(At::new(Ast::Set(items), open.start..end))
    }

    fn close(&mut self, sign: &str, open: &Range<usize>) -> Result<(), Wrong> {
        if self.sign(sign) {
            return Ok(());
        }
        let place = self.peek().span.clone();
        let (_, problem) = wrong(place.clone(), format!("`{sign}` is missing"));
        let opened = format!("it closes the one at character {}", open.start + 1);
        Err((place, problem.help(opened)))
    }

    fn path(&mut self, first: At<String>) -> Result<Tree, Wrong> {
        let start = first.span.start;
        let mut segments = vec![first];
        while self.sign(".") {
            let token = self.take();
            match token.value {
                Token::Name(name) | Token::Text(name) => {
                    segments.push(At::new(name, token.span));
                }
                _ => return Err(wrong(token.span, "a name is missing after `.`")),
            }
        }
        let end = segments.last().map_or(start, |last| last.span.end);
        Ok(At::new(Ast::Path(segments), start..end))
    }
}

fn expected_value(span: Range<usize>, found: &str) -> Wrong {
    let (span, problem) = wrong(span, format!("a value is missing before {found}"));
    (span, problem.expected("a name, a number, a time or `(`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(tree: &Tree) -> String {
        let list = |all: &[Tree]| all.iter().map(show).collect::<Vec<_>>().join(" ");
        match &tree.value {
            Ast::Or(all) => format!("(or {})", list(all)),
            Ast::And(all) => format!("(and {})", list(all)),
            Ast::Not(one) => format!("(not {})", show(one)),
            Ast::Compare(how, l, r) => format!("({how:?} {} {})", show(l), show(r)),
            Ast::In(l, r) => format!("(in {} {})", show(l), show(r)),
            Ast::Path(all) => all
                .iter()
                .map(|s| s.value.as_str())
                .collect::<Vec<_>>()
                .join("/"),
            Ast::Set(all) => format!("{{{}}}", list(all)),
            Ast::Text(text) => format!("{text:?}"),
            Ast::Int(int) => int.to_string(),
            Ast::Time(time) => format!("{time}ns"),
            Ast::Bool(flag) => flag.to_string(),
            Ast::None => "none".to_owned(),
        }
    }

    #[test]
    fn trees() {
        let check = |text: &str, expect: &str| {
            assert_eq!(
                parse(text).as_ref().map(show),
                Ok(expect.to_owned()),
                "{text}"
            );
        };
        check("orders-0.leader == b2", "(Equal orders-0/leader b2)");
        check("orders-0.isr.size<2", "(Less orders-0/isr/size 2)");
        check("b1 in orders-0.isr", "(in b1 orders-0/isr)");
        check("b1 not in orders-0.isr", "(not (in b1 orders-0/isr))");
        check("b1.state == \"down\"", "(Equal b1/state \"down\")");
        check("time >= 1m30s", "(GreaterEqual time 90000000000ns)");
        check("x == -1", "(Equal x -1)");
        check("a or b and not c", "(or a (and b (not c)))");
        check("(a or b) and c", "(and (or a b) c)");
        check("not a == 1", "(not (Equal a 1))");
        check("x.isr == {b1, b2,}", "(Equal x/isr {b1 b2})");
        check(
            "\"my.topic-0\".hw >= 1_000",
            "(GreaterEqual my.topic-0/hw 1000)",
        );
        check("x == none", "(Equal x none)");
    }

    #[test]
    fn what_is_wrong_and_where() {
        let check = |text: &str, span: Range<usize>, part: &str| {
            let (found, problem) = parse(text).expect_err(text);
            let shown = format!("{problem:?}");
            assert_eq!(found, span, "{text}: {shown}");
            assert!(shown.contains(part), "{text}: {shown}");
        };
        check("", 0..0, "value is missing before the end");
        check("a = 1", 2..3, "write `==`");
        check("a && b", 2..4, "write `and`");
        check("a == ", 5..5, "value is missing");
        check("a < b < c", 6..7, "do not chain");
        check("a b", 2..3, "join two");
        check("(a", 2..2, "`)` is missing");
        check("{a, b", 5..5, "`}` is missing");
        check("a. == 1", 3..5, "name is missing");
        check("\"abc", 0..4, "not closed");
        check("5x > a", 0..2, "not a time");
        check("ä", 0..2, "no meaning");
        check("a not b", 6..7, "`in`");
        check(&"(".repeat(100), 65..66, "levels deep");
        check(&"not ".repeat(100), 260..263, "levels deep");
        check(&"x".repeat(5_000), 0..5_000, "at most 4096");
        check("99999999999999999999", 0..20, "too large");
    }
}
