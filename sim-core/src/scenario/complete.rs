//! Completion for an editor: what may be typed at the cursor.

use super::build::read_known;
use super::cursor::{Cursor, Typing, find};
use super::declare::{Key, Offer, Table};
use super::entry::{all_verbs, entry_keys};
use super::predicate::Vocabulary;
use super::raw::RawScenario;
use super::reader::Reader;
use super::units::quote;
use super::verbs::Verb;
use crate::systems::SECTIONS;
use serde::Serialize;
use std::ops::Range;

/// What a completion is, for its icon.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CompletionKind {
    /// A table's header.
    Table,
    /// A key.
    Key,
    /// A value.
    Value,
    /// A node.
    Node,
    /// A name in a predicate.
    Name,
}

/// Something that may be typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Completion {
    /// What it is called.
    pub label: String,
    /// What it means.
    pub doc: String,
    /// What it is.
    pub kind: CompletionKind,
    /// What is put in.
    pub insert: String,
    /// In place of what: bytes of the text.
    pub replace: Range<usize>,
}

/// Words of predicates that are no names.
const WORDS: &[(&str, &str)] = &[
    ("and", "Both are true."),
    ("or", "One of them is true."),
    ("not", "It is false."),
    ("in", "A node is in a set."),
    ("none", "There is none."),
];

/// What may be typed at a byte of a text, best first.
#[must_use]
pub fn complete(text: &str, offset: usize) -> Vec<Completion> {
    let cursor = find(text, offset);
    let found = match &cursor.typing {
        Typing::Header { double } => headers(text, &cursor, *double),
        Typing::Key => keys(text, &cursor),
        Typing::Value { string } => values(text, &cursor, string.as_deref()),
        Typing::Comment => Vec::new(),
    };
    let typed = text[cursor.typed.clone()].trim_matches(['"', '\'']);
    let last = typed
        .rsplit(['.', ' ', '(', '{', ','])
        .next()
        .unwrap_or_default();
    ranked(found, typed, last)
}

/// Those that begin with what was typed, then those that hold it.
fn ranked(mut found: Vec<Completion>, typed: &str, last: &str) -> Vec<Completion> {
    let rank = |c: &Completion| {
        let word = if c.kind == CompletionKind::Name {
            last
        } else {
            typed
        };
        let word = word.trim_matches(['"', '\'']).to_lowercase();
        let label = c.label.to_lowercase();
        match label.find(&word) {
            Some(0) => 0,
            Some(_) => 1,
            None => 2,
        }
    };
    found.retain(|c| rank(c) < 2);
    found.sort_by_key(rank);
    found
}

fn root_keys() -> Vec<Key> {
    let mut keys = RawScenario::keys();
    keys.extend(SECTIONS.iter().map(|section| Key::of_section(*section)));
    keys
}

/// The keys of the table at a path.
fn keys_at(path: &[String], verb: Option<&Verb>) -> Vec<Key> {
    if path == ["timeline"] {
        return entry_keys(verb);
    }
    let mut keys = root_keys();
    for name in path {
        let inside = keys.into_iter().find(|key| key.key == name);
        match inside.map(|key| key.offer) {
            Some(Offer::Keys(inner)) => keys = inner,
            _ => return Vec::new(),
        }
    }
    keys
}

/// The verb of the entry around the cursor.
fn verb_at(section: &str) -> Option<&'static Verb> {
    let name = section.lines().find_map(|line| {
        let value = line
            .trim_start()
            .strip_prefix("do")?
            .trim_start()
            .strip_prefix('=')?;
        value
            .trim_start()
            .strip_prefix(['"', '\''])?
            .split(['"', '\''])
            .next()
    })?;
    all_verbs().find(|verb| verb.name == name)
}

/// Keys that the section around the cursor has already.
fn written(section: &str) -> Vec<&str> {
    let key = |line: &'_ str| line.split_once('=').map(|(key, _)| key.trim().len());
    section
        .lines()
        .filter_map(|line| Some(line.trim_start().get(..key(line.trim_start())?)?.trim()))
        .map(|key| key.trim_matches(['"', '\'']))
        .collect()
}

fn headers(text: &str, cursor: &Cursor, double: bool) -> Vec<Completion> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root_keys())];
    while let Some((prefix, keys)) = open.pop() {
        for key in keys {
            let Offer::Keys(inner) = key.offer else {
                continue;
            };
            // Tables with dots in their keys are settings, and hold no tables.
            let path = format!("{prefix}{}", key.key);
            if key.repeated == double {
                let close = if double { "]]" } else { "]" };
                let closed = text[cursor.typed.end..].starts_with(']');
                found.push(Completion {
                    label: path.clone(),
                    doc: key.doc.to_owned(),
                    kind: CompletionKind::Table,
                    insert: format!("{path}{}", if closed { "" } else { close }),
                    replace: cursor.typed.clone(),
                });
            }
            open.push((format!("{path}."), inner));
        }
    }
    found.sort_by(|a, b| a.label.cmp(&b.label));
    found
}

fn keys(text: &str, cursor: &Cursor) -> Vec<Completion> {
    let section = &text[cursor.section.clone()];
    let there = written(section);
    let keys = keys_at(&cursor.path, verb_at(section));
    let settings = keys.iter().any(|key| key.key.contains('.'));
    let assigned = text[cursor.typed.end..]
        .trim_start_matches(' ')
        .starts_with('=');
    let mut found = Vec::new();
    for key in keys {
        // A list of tables is written with a header of its own, outside of inline tables.
        if there.contains(&key.key) || key.repeated {
            continue;
        }
        let bare = !key.key.contains('.');
        let name = if bare {
            key.key.to_owned()
        } else {
            quote(key.key)
        };
        let expected = if settings && key.expected.is_empty() {
            String::new()
        } else {
            format!(" Expected: {}.", key.expected)
        };
        found.push(Completion {
            label: key.key.to_owned(),
            doc: format!("{}{expected}", key.doc),
            kind: CompletionKind::Key,
            insert: if assigned { name } else { format!("{name} = ") },
            replace: cursor.typed.clone(),
        });
    }
    found
}

fn values(text: &str, cursor: &Cursor, string: Option<&str>) -> Vec<Completion> {
    let Some((last, tables)) = cursor.path.split_last() else {
        return Vec::new();
    };
    let verb = verb_at(&text[cursor.section.clone()]);
    let key = keys_at(tables, verb)
        .into_iter()
        .find(|key| key.key == last);
    let Some(key) = key else {
        return Vec::new();
    };
    let put = Put::new(text, cursor, string.is_some());
    match key.offer {
        Offer::Words(words) => words
            .iter()
            .map(|(word, doc)| put.text(word, doc, CompletionKind::Value))
            .collect(),
        Offer::Flag if string.is_none() => ["true", "false"]
            .map(|word| Completion {
                label: word.to_owned(),
                doc: String::new(),
                kind: CompletionKind::Value,
                insert: word.to_owned(),
                replace: cursor.typed.clone(),
            })
            .into(),
        Offer::Node => with_names(text, |names| {
            let node = |node: &super::predicate::NodeName| {
                put.text(&node.name, node.kind, CompletionKind::Node)
            };
            names.nodes.iter().map(node).collect()
        }),
        Offer::Predicate => match string {
            Some(typed) => with_names(text, |names| predicate_names(typed, cursor, names)),
            None => Vec::new(),
        },
        Offer::Nothing | Offer::Flag | Offer::Keys(_) => Vec::new(),
    }
}

/// Looks at the names of a text as far as it can be read.
fn with_names(text: &str, look: impl Fn(&Vocabulary<'_>) -> Vec<Completion>) -> Vec<Completion> {
    let mut reader = Reader::new(text);
    let Some(known) = read_known(&mut reader) else {
        return Vec::new();
    };
    let names = known.vocabulary(&mut reader);
    look(&names)
}

/// How a text value is put in: with quotes if there are none yet.
struct Put {
    quoted: bool,
    replace: Range<usize>,
}

impl Put {
    fn new(text: &str, cursor: &Cursor, in_string: bool) -> Self {
        // The rest of the word behind the cursor is replaced as well.
        let rest = &text[cursor.typed.end..];
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        Put {
            quoted: in_string,
            replace: cursor.typed.start..cursor.typed.end + end,
        }
    }

    fn text(&self, word: &str, doc: &str, kind: CompletionKind) -> Completion {
        Completion {
            label: word.to_owned(),
            doc: doc.to_owned(),
            kind,
            insert: if self.quoted {
                word.to_owned()
            } else {
                quote(word)
            },
            replace: self.replace.clone(),
        }
    }
}

/// Names that may follow what was typed of a predicate.
fn predicate_names(typed: &str, cursor: &Cursor, names: &Vocabulary<'_>) -> Vec<Completion> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let start = typed.rfind(|c| !part(c)).map_or(0, |at| at + 1);
    let path: Vec<&str> = typed.get(start..).unwrap_or_default().split('.').collect();
    let Some((last, before)) = path.split_last() else {
        return Vec::new();
    };
    let replace = cursor.typed.end - last.len()..cursor.typed.end;
    let offer = |name: &str, doc: &str| Completion {
        label: name.to_owned(),
        doc: doc.to_owned(),
        kind: CompletionKind::Name,
        insert: name.to_owned(),
        replace: replace.clone(),
    };
    let Some((first, rest)) = before.split_first() else {
        let roots = names.roots.values().map(|root| offer(&root.name, root.doc));
        return roots
            .chain(WORDS.iter().map(|(word, doc)| offer(word, doc)))
            .collect();
    };
    let Some(root) = names.roots.get(*first) else {
        return Vec::new();
    };
    let mut inside = root
        .inside
        .as_ref()
        .map(|inside| inside())
        .unwrap_or_default();
    let mut is_set = false;
    for name in rest {
        let Some(found) = inside.into_iter().find(|property| property.name == *name) else {
            return Vec::new();
        };
        is_set = found.is_set();
        inside = found
            .inside
            .as_ref()
            .map(|inside| inside())
            .unwrap_or_default();
    }
    let mut all: Vec<Completion> = inside.iter().map(|p| offer(&p.name, p.doc)).collect();
    if is_set {
        all.push(offer("size", "How many nodes are in it."));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "strandline = 1\ntitle = \"t\"\nduration = \"9s\"\n[kafka]\nbrokers = 2\ncontrollers = 1\n[[kafka.topic]]\nname = \"orders\"\nreplication-factor = 2\n[[kafka.producer]]\nname = \"p1\"\ntopic = \"orders\"\n";

    /// What is offered at `|` of a text behind a small good file, and the text with the first
    /// one put in.
    fn at(more: &str) -> (Vec<String>, String) {
        let text = format!("{FILE}{more}");
        let offset = text.find('|').expect("a cursor");
        let text = text.replacen('|', "", 1);
        let found = complete(&text, offset);
        let labels = found.iter().map(|c| c.label.clone()).collect();
        let mut out = text;
        if let Some(first) = found.first() {
            out.replace_range(first.replace.clone(), &first.insert);
        }
        (labels, out[FILE.len()..].to_owned())
    }

    #[test]
    fn what_is_offered_first() {
        let check = |more: &str, expect: &str| {
            let (labels, out) = at(more);
            assert_eq!(out, expect, "{more} offers {labels:?}");
        };
        check("lo|", "load = ");
        check("load = { ki|", "load = { kind = ");
        check(
            "load = { kind = \"poi|\" }",
            "load = { kind = \"poisson\" }",
        );
        check("load = { kind = |", "load = { kind = \"none\"");
        check("[kafka.co|", "[kafka.config]");
        check(
            "[kafka.config]\nreplica.lag|",
            "[kafka.config]\n\"replica.lag.time.max.ms\" = ",
        );
        check(
            "[kafka.config]\n\"session|",
            "[kafka.config]\n\"broker.session.timeout.ms\" = ",
        );
        check("[[kafka.cons|]]", "[[kafka.consumer]]");
        check(
            "[[timeline]]\ndo = \"cra|\"",
            "[[timeline]]\ndo = \"crash\"",
        );
        check(
            "[[timeline]]\ndo = \"slow-cpu\"\nco|",
            "[[timeline]]\ndo = \"slow-cpu\"\ncost = ",
        );
        check(
            "[[timeline]]\nco|\ndo = \"slow-cpu\"",
            "[[timeline]]\ncost = \ndo = \"slow-cpu\"",
        );
        check(
            "[[timeline]]\ndo = \"crash\"\nnode = |",
            "[[timeline]]\ndo = \"crash\"\nnode = \"b1\"",
        );
        check(
            "[[timeline]]\ndo = \"crash\"\nnode = [\"b1\", \"b2|",
            "[[timeline]]\ndo = \"crash\"\nnode = [\"b1\", \"b2",
        );
        check(
            "[[timeline]]\nevery-time = |",
            "[[timeline]]\nevery-time = true",
        );
        check("[[expect]]\nthat = 'led|'", "[[expect]]\nthat = 'ledger'");
        check(
            "[[expect]]\nthat = 'ledger.lo|'",
            "[[expect]]\nthat = 'ledger.lost'",
        );
        check(
            "[[expect]]\nthat = 'orders-0.is|",
            "[[expect]]\nthat = 'orders-0.isr",
        );
        check(
            "[[expect]]\nthat = 'not (b1.orders-0.le|'",
            "[[expect]]\nthat = 'not (b1.orders-0.leo'",
        );
        check(
            "[[expect]]\nthat = 'orders-0.isr.s|'",
            "[[expect]]\nthat = 'orders-0.isr.size'",
        );
        check(
            "[[expect]]\nat = \"ev|\"",
            "[[expect]]\nat = \"eventually\"",
        );
        check("config = { acks = |", "config = { acks = \"0\"");
        check(
            "config = { \"enable.idempotence\" = t|",
            "config = { \"enable.idempotence\" = true",
        );
        check("# ti|", "# ti");
        check("title = \"x|\"", "title = \"x\"");
    }

    #[test]
    fn what_is_there_is_not_offered_again() {
        let (labels, _) = at("|");
        assert_eq!(labels, ["config", "load"]);
        let (labels, _) = at("[[timeline]]\ndo = \"send\"\nat = \"1s\"\n|");
        assert!(labels.contains(&"records".to_owned()) && labels.contains(&"for".to_owned()));
        assert!(!labels.contains(&"at".to_owned()) && !labels.contains(&"cost".to_owned()));
    }

    #[test]
    fn every_place_of_a_file_is_good() {
        let text = include_str!("../../../scenarios/quickstart.toml");
        for offset in 0..text.len() + 3 {
            for found in complete(text, offset) {
                assert!(text.get(found.replace).is_some(), "{offset}");
                assert!(!found.label.is_empty());
            }
        }
    }
}
