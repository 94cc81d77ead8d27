//! Tables of a system's own keys (`[kafka.config]`, `[stream.config]`).
//!
//! A key may be written quoted (`"min.insync.replicas" = 2`) or bare
//! (`min.insync.replicas = 2`, which TOML reads as tables inside tables). Which keys there are, and
//! the bounds of their values, the system says ([`Settings`]).

use super::declare::{Item, Key, Offer, wrong_kind};
use super::reader::{At, Fields, Problem, Raw, Reader};
use crate::settings::{Factor, KeySpec, Ratio, SettingError, SettingValue};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::ops::Range;

/// A struct of settings.
pub(crate) trait Settings: Default + Clone + PartialEq + Eq + std::fmt::Debug {
    /// Its name in the schema.
    const NAME: &'static str;
    /// Whose keys they are, e.g. "Kafka".
    const SYSTEM: &'static str;
    /// All keys.
    const KEYS: &'static [KeySpec];
    /// Sets one key.
    fn put(&mut self, key: &str, text: &str) -> Result<(), SettingError>;
    /// What is wrong with a value of the right form, and what is expected, if the system refuses it.
    fn out_of_bounds(key: &str, text: &str) -> Option<(String, String)>;
}

/// A table of settings that was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Config<C> {
    /// The settings.
    pub(crate) value: C,
    places: Vec<Place>,
}

/// A key that was set, with what was written, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    key: String,
    text: String,
    span: Range<usize>,
}

impl<C> Config<C> {
    /// Where a key was set, if it was.
    pub(crate) fn place(&self, key: &str) -> Option<&Range<usize>> {
        let mut places = self.places.iter();
        places.find(|it| it.key == key).map(|it| &it.span)
    }
}

impl<C: Settings> Config<C> {
    /// These settings, and where they say nothing those of `base`.
    pub(crate) fn over(&self, base: &Config<C>) -> Config<C> {
        let mut all = self.clone();
        let more = base.places.iter();
        for place in more.filter(|it| self.place(&it.key).is_none()) {
            // It was read once already.
            if all.value.put(&place.key, &place.text).is_ok() {
                all.places.push(place.clone());
            }
        }
        all
    }

    /// Sets a key to a value that stands elsewhere in the document.
    pub(crate) fn say(&mut self, key: &str, text: &str, span: &Range<usize>) {
        if self.value.put(key, text).is_ok() {
            self.places.push(Place {
                key: key.to_owned(),
                text: text.to_owned(),
                span: span.clone(),
            });
        }
    }
}

/// Tables inside tables become dotted keys.
fn flatten<'r>(fields: &'r Fields, prefix: &str, out: &mut Vec<(At<String>, &'r At<Raw>)>) {
    for (name, value) in fields {
        let key = format!("{prefix}{}", name.value);
        match &value.value {
            Raw::Table(inner) => flatten(inner, &format!("{key}."), out),
            _ => out.push((At::new(key, name.span.clone()), value)),
        }
    }
}

/// Sets one key and reports what is wrong with it; `true` if it was set.
pub(crate) fn put<C: Settings>(
    config: &mut C,
    key: &At<String>,
    text: &str,
    span: &Range<usize>,
    reader: &mut Reader<'_>,
) -> bool {
    let known = C::KEYS.iter().find(|spec| spec.key == key.value);
    let expected = known.map_or("", |spec| spec.expected);
    match config.put(&key.value, text) {
        Err(SettingError::UnknownKey) => {
            let message = format!(
                "there is no setting `{}` here",
                super::units::shorten(&key.value)
            );
            let problem = Problem::new("unknown-key", message);
            reader.report(
                &key.span,
                problem.near(&key.value, C::KEYS.iter().map(|k| k.key)),
            );
            return false;
        }
        Err(SettingError::BadValue(message)) => {
            let mut problem = Problem::bad_value(message, expected);
            if let Some(spec) = known {
                problem = problem.help(spec.doc);
            }
            reader.report(span, problem);
            return false;
        }
        Ok(()) => {}
    }
    if let Some((message, expected)) = C::out_of_bounds(&key.value, text) {
        reader.report(span, Problem::bad_value(message, expected));
        return false;
    }
    true
}

impl<C: Settings> Item for Config<C> {
    const TABLE: bool = true;

    fn expected() -> String {
        format!("a table of {}'s settings", C::SYSTEM)
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::Table(fields) = &raw.value else {
            return wrong_kind(raw, reader);
        };
        let mut flat = Vec::new();
        flatten(fields, "", &mut flat);
        let mut config = Config {
            value: C::default(),
            places: Vec::new(),
        };
        for (key, value) in flat {
            if config.place(&key.value).is_some() {
                let message = format!("`{}` is set twice", key.value);
                reader.report(&key.span, Problem::new("duplicate", message));
                continue;
            }
            let known = C::KEYS.iter().find(|spec| spec.key == key.value);
            let decimals = [Ratio::EXPECTED, Factor::EXPECTED];
            let share = known.is_some_and(|spec| decimals.contains(&spec.expected));
            let decimal = matches!(value.value, Raw::Decimal(_));
            if matches!(value.value, Raw::List(_) | Raw::Date) || (decimal && !share) {
                let message = format!("this is {}", value.value.kind());
                let expected =
                    known.map_or("a text, a number, true or false", |spec| spec.expected);
                reader.report(&value.span, Problem::bad_value(message, expected));
                continue;
            }
            if put(
                &mut config.value,
                &key,
                &value.value.text(),
                &value.span,
                reader,
            ) {
                config.places.push(Place {
                    key: key.value,
                    text: value.value.text(),
                    span: value.span.clone(),
                });
            }
        }
        Some(config)
    }

    fn offer() -> Offer {
        let key = |spec: &KeySpec| Key {
            key: spec.key,
            doc: spec.doc,
            expected: spec.expected.to_owned(),
            required: false,
            repeated: false,
            offer: offer(spec.expected),
        };
        Offer::Keys(C::KEYS.iter().map(key).collect())
    }
}

/// What completion can offer for a setting.
fn offer(expected: &'static str) -> Offer {
    if expected == "true or false" {
        return Offer::Flag;
    }
    let words = expected.split(", ").filter(|word| !word.contains(' '));
    let words: Vec<_> = words.map(|word| (word, "")).collect();
    if words.is_empty() {
        Offer::Nothing
    } else {
        Offer::Words(words)
    }
}

/// The JSON types in which a setting may be written.
fn written_as(expected: &str) -> &'static [&'static str] {
    match expected {
        "true or false" => &["boolean", "string"],
        "a whole number" => &["integer", "string"],
        Ratio::EXPECTED | Factor::EXPECTED => &["number", "string"],
        // Words such as acks = 1 may be numbers.
        _ => &["string", "integer"],
    }
}

impl<C: Settings> JsonSchema for Config<C> {
    fn schema_name() -> Cow<'static, str> {
        C::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = Schema::default();
        for spec in C::KEYS {
            let schema = json_schema!({
                "description": format!("{} Expected: {}.", spec.doc, spec.expected),
                "type": written_as(spec.expected),
            });
            properties.insert(spec.key.to_owned(), schema.to_value());
        }
        json_schema!({
            "type": "object",
            "description": format!("{}'s own keys, quoted. A bare dotted key is read as tables inside tables and means the same.", C::SYSTEM),
            "properties": properties,
            "additionalProperties": { "type": "object" },
        })
    }
}
