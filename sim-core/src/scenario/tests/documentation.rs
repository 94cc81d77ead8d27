//! The documentation says what the language does: its examples are good, and it names every key,
//! verb and name that there is.

use super::super::declare::{Key, Offer, Table};
use super::super::predicate::{Property, Vocabulary};
use super::super::raw::RawScenario;
use super::super::*;
use crate::systems::SECTIONS;

const TEXT: &str = concat!(
    include_str!("../../../../docs/SCENARIOS.md"),
    include_str!("../../../../docs/STREAM.md"),
);

/// What stands before a section.
const HEAD: &str = "strandline = 1\ntitle = \"t\"\nduration = \"40s\"\n";

/// A cluster with the names that the fragments use.
const CLUSTER: &str = "strandline = 1\ntitle = \"t\"\nduration = \"40s\"\n[kafka]\nbrokers = 3\n[[kafka.topic]]\nname = \"orders\"\nreplication-factor = 3\n[[kafka.producer]]\nname = \"shop\"\ntopic = \"orders\"\n[[kafka.consumer]]\nname = \"billing\"\ntopic = \"orders\"\n";

#[test]
fn examples_are_good() {
    let blocks: Vec<&str> = TEXT
        .split("```toml\n")
        .skip(1)
        .filter_map(|b| b.split("```").next())
        .collect();
    assert!(blocks.len() > 5, "the examples are found");
    for block in blocks {
        let text = if block.starts_with("strandline") {
            block.to_owned()
        } else if ["[stream]", "[kafka]"]
            .iter()
            .any(|it| block.starts_with(it))
        {
            format!("{HEAD}{block}")
        } else {
            format!("{CLUSTER}{block}")
        };
        let parsed = parse(&text);
        assert!(
            parsed.diagnostics.is_empty(),
            "{}",
            render(&parsed.diagnostics, "example", &text)
        );
    }
}

/// Whether the documentation has a word in code.
fn said(word: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    TEXT.match_indices(word).any(|(at, _)| {
        let before = TEXT[..at].chars().next_back().is_none_or(|c| !part(c));
        let after = TEXT[at + word.len()..]
            .chars()
            .next()
            .is_none_or(|c| !part(c));
        before && after
    })
}

fn keys(keys: &[Key], missing: &mut Vec<String>) {
    // Settings of Kafka and Flink are listed by the engine, not by the documentation.
    for key in keys
        .iter()
        .filter(|key| !key.key.contains('.') && key.key != "acks" && key.key != "retries")
    {
        if !said(key.key) {
            missing.push(key.key.to_owned());
        }
        match &key.offer {
            Offer::Keys(inner) => self::keys(inner, missing),
            Offer::Words(words) if key.key != "do" => {
                missing.extend(
                    words
                        .iter()
                        .map(|(w, _)| *w)
                        .filter(|w| !said(w))
                        .map(str::to_owned),
                );
            }
            _ => {}
        }
    }
}

fn names(properties: &[Property<'_>], missing: &mut Vec<String>) {
    for property in properties {
        if !said(&property.name) {
            missing.push(property.name.clone());
        }
        assert!(!property.doc.is_empty(), "{}", property.name);
        if let Some(inside) = &property.inside {
            names(&inside(), missing);
        }
    }
}

#[test]
fn everything_is_documented() {
    assert!(!said("leade") && said("leader"), "words are found whole");
    let mut missing = Vec::new();
    keys(&RawScenario::keys(), &mut missing);
    for section in SECTIONS {
        keys(&section.keys(), &mut missing);
    }
    for verb in super::super::entry::all_verbs() {
        let all = std::iter::once(verb.name).chain(verb.args.iter().map(|arg| arg.key));
        missing.extend(all.filter(|word| !said(word)).map(str::to_owned));
    }
    let mut reader = Reader::new(CLUSTER);
    let known = super::super::build::read_known(&mut reader).expect("is good");
    let vocabulary: Vocabulary<'_> = known.vocabulary(&mut reader);
    for root in vocabulary.roots.values() {
        names(
            &root
                .inside
                .as_ref()
                .map(|inside| inside())
                .unwrap_or_default(),
            &mut missing,
        );
    }
    missing.sort();
    missing.dedup();
    assert!(
        missing.is_empty(),
        "docs/SCENARIOS.md and docs/STREAM.md do not mention {missing:?}"
    );
}
