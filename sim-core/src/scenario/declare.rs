//! Tables of the document, declared once.
//!
//! The macro `document!` takes a struct whose fields stand under their keys, with a sentence each.
//! From that one declaration come the reading (every problem reported, unknown keys with the
//! nearest valid one), the JSON Schema, the completion of the editor and the reference in the
//! documentation, so that none of them can say something else than the others.

use super::reader::{At, Fields, Problem, Raw, Reader, nearest};
use super::section::SystemSection;
use super::units;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::ops::Range;

/// What completion can offer for a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Offer {
    /// Nothing in particular.
    Nothing,
    /// One of these words, with what they mean.
    Words(Vec<(&'static str, &'static str)>),
    /// true or false.
    Flag,
    /// A node's name.
    Node,
    /// A predicate.
    Predicate,
    /// The keys of a table.
    Keys(Vec<Key>),
}

/// A key of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    /// As written.
    pub(crate) key: &'static str,
    /// What it means.
    pub(crate) doc: &'static str,
    /// What may be written.
    pub(crate) expected: String,
    /// Whether it must be there.
    pub(crate) required: bool,
    /// Whether it is a list of tables, written `[[key]]`.
    pub(crate) repeated: bool,
    /// What completion can offer for its value.
    pub(crate) offer: Offer,
}

impl Key {
    /// A key for a value of a type.
    pub(crate) fn of<T: Item>(key: &'static str, required: bool, doc: &'static str) -> Key {
        Key {
            key,
            doc,
            expected: T::expected(),
            required,
            repeated: T::REPEATED,
            offer: T::offer(),
        }
    }

    /// The key of a system's section.
    pub(crate) fn of_section(section: &dyn SystemSection) -> Key {
        Key {
            key: section.key(),
            doc: section.doc(),
            expected: "a table".to_owned(),
            required: false,
            repeated: false,
            offer: Offer::Keys(section.keys()),
        }
    }
}

/// A type of value in the document.
pub(crate) trait Item: Sized + JsonSchema {
    /// Whether it is a table.
    const TABLE: bool = false;
    /// Whether it is a list of tables.
    const REPEATED: bool = false;
    /// What may be written.
    fn expected() -> String;
    /// Reads a value; problems are reported.
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self>;
    /// What completion can offer.
    fn offer() -> Offer {
        Offer::Nothing
    }
}

/// Reports a value of the wrong kind.
pub(crate) fn wrong_kind<T: Item>(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<T> {
    let message = format!("this is {}", raw.value.kind());
    reader.report(&raw.span, Problem::bad_value(message, T::expected()));
    None
}

/// Reads a text by a function that says what is wrong.
pub(crate) fn read_text<T: Item, V>(
    raw: &At<Raw>,
    reader: &mut Reader<'_>,
    parse: impl Fn(&str) -> Result<V, String>,
    wrap: impl Fn(V) -> T,
) -> Option<T> {
    let Raw::Text(text) = &raw.value else {
        return wrong_kind(raw, reader);
    };
    match parse(text) {
        Ok(value) => Some(wrap(value)),
        Err(message) => {
            reader.report(&raw.span, Problem::bad_value(message, T::expected()));
            None
        }
    }
}

impl Item for String {
    fn expected() -> String {
        "a text".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        read_text(raw, reader, |text| Ok(text.to_owned()), |text| text)
    }
}

impl Item for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match raw.value {
            Raw::Bool(flag) => Some(flag),
            _ => wrong_kind(raw, reader),
        }
    }
    fn offer() -> Offer {
        Offer::Flag
    }
}

macro_rules! number_item {
    ($($ty:ty, $expected:literal;)+) => {$(
        impl Item for $ty {
            fn expected() -> String {
                $expected.to_owned()
            }
            fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
                if !matches!(raw.value, Raw::Int(..)) {
                    return wrong_kind(raw, reader);
                }
                let value = raw.value.as_int().and_then(|n| <$ty>::try_from(n).ok());
                if value.is_none() {
                    let message = "this number does not fit";
                    reader.report(&raw.span, Problem::bad_value(message, Self::expected()));
                }
                value
            }
        }
    )+};
}
number_item! {
    u64, "a whole number from 0 on";
    u32, "a whole number from 0 to 4,294,967,295";
    u16, "a whole number from 0 to 65,535";
    i64, "a whole number";
    i32, "a whole number";
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Item> Item for Vec<At<T>> {
    const REPEATED: bool = T::TABLE;
    fn expected() -> String {
        format!("a list: {}", T::expected())
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let Raw::List(items) = &raw.value else {
            return wrong_kind(raw, reader);
        };
        let read = |item: &At<Raw>| Some(At::new(T::read(item, reader)?, item.span.clone()));
        Some(items.iter().filter_map(read).collect())
    }
    fn offer() -> Offer {
        T::offer()
    }
}

/// A table with declared keys.
pub(crate) trait Table: Item {
    /// Its keys.
    fn keys() -> Vec<Key>;
    /// Reads its fields; other keys are not looked at.
    fn take(fields: &Fields, reader: &mut Reader<'_>) -> Self;
    /// Whether a key was written, be it well or badly.
    fn has(&self, key: &str) -> bool;
}

/// Reads one field of a table.
pub(crate) fn field<T: Item>(fields: &Fields, key: &str, reader: &mut Reader<'_>) -> Option<At<T>> {
    let (_, raw) = fields.iter().find(|(name, _)| name.value == key)?;
    Some(At::new(T::read(raw, reader)?, raw.span.clone()))
}

/// Reports keys that are not declared and declared ones that are missing.
pub(crate) fn check_keys(
    fields: &Fields,
    keys: &[Key],
    span: &Range<usize>,
    reader: &mut Reader<'_>,
) {
    for (name, _) in fields {
        if keys.iter().all(|key| key.key != name.value) {
            reader.report(&name.span, unknown_key(&name.value, keys));
        }
    }
    let missing = keys.iter().filter(|key| key.required).filter(|key| {
        let written = |(name, _): &(At<String>, At<Raw>)| name.value == key.key;
        // A misspelt key was reported as such.
        let misspelt = |(name, _): &(At<String>, At<Raw>)| {
            let all: Vec<&str> = keys.iter().map(|key| key.key).collect();
            !all.contains(&name.value.as_str()) && nearest(&name.value, &all) == Some(key.key)
        };
        !fields.iter().any(|field| written(field) || misspelt(field))
    });
    for key in missing {
        let problem = Problem::new("missing-key", format!("`{}` is missing", key.key))
            .expected(key.expected.clone())
            .help(key.doc);
        reader.report(span, problem);
    }
}

/// A key that nobody declared.
pub(crate) fn unknown_key(name: &str, keys: &[Key]) -> Problem {
    Problem::new(
        "unknown-key",
        format!("there is no key `{}` here", units::shorten(name)),
    )
    .near(name, keys.iter().map(|key| key.key))
}

/// The schema of a table.
pub(crate) fn table_schema(doc: &str, properties: Vec<(&Key, Schema)>) -> Schema {
    let mut shown = Schema::default();
    let mut required = Vec::new();
    for (key, mut schema) in properties {
        if !key.doc.is_empty() {
            schema.insert("description".to_owned(), key.doc.into());
        }
        if key.required {
            required.push(key.key);
        }
        shown.insert(key.key.to_owned(), schema.to_value());
    }
    json_schema!({
        "type": "object",
        "description": doc,
        "properties": shown,
        "required": required,
        "additionalProperties": false,
    })
}

/// Declares a table of the document; see the module.
macro_rules! document {
    (@required optional) => { false };
    (@required required) => { true };
    ($(#[doc = $doc:literal])+ pub(crate) struct $name:ident {
        $($key:literal => $field:ident: $ty:ty, $need:ident, $help:literal;)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub(crate) struct $name {
            $(#[doc = $help] pub(crate) $field: Option<$crate::scenario::At<$ty>>,)+
            /// The keys that were written.
            written: Vec<String>,
        }

        impl $crate::scenario::Table for $name {
            fn keys() -> Vec<$crate::scenario::Key> {
                vec![$($crate::scenario::Key::of::<$ty>(
                    $key, $crate::scenario::document!(@required $need), $help),)+]
            }
            fn take(
                fields: &$crate::scenario::Fields,
                reader: &mut $crate::scenario::Reader<'_>,
            ) -> Self {
                $name {
                    $($field: $crate::scenario::field(fields, $key, reader),)+
                    written: fields.iter().map(|(key, _)| key.value.clone()).collect(),
                }
            }
            fn has(&self, key: &str) -> bool {
                self.written.iter().any(|written| written == key)
            }
        }

        impl $crate::scenario::Item for $name {
            const TABLE: bool = true;
            fn expected() -> String {
                "a table".to_owned()
            }
            fn read(
                raw: &$crate::scenario::At<$crate::scenario::Raw>,
                reader: &mut $crate::scenario::Reader<'_>,
            ) -> Option<Self> {
                let $crate::scenario::Raw::Table(fields) = &raw.value else {
                    return $crate::scenario::wrong_kind(raw, reader);
                };
                let keys = <Self as $crate::scenario::Table>::keys();
                $crate::scenario::check_keys(fields, &keys, &raw.span, reader);
                Some(<Self as $crate::scenario::Table>::take(fields, reader))
            }
            fn offer() -> $crate::scenario::Offer {
                $crate::scenario::Offer::Keys(<Self as $crate::scenario::Table>::keys())
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).trim_start_matches("Raw").into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let keys = <Self as $crate::scenario::Table>::keys();
                let schemas = [$(generator.subschema_for::<$ty>(),)+];
                $crate::scenario::table_schema(
                    concat!($($doc),+).trim(),
                    keys.iter().zip(schemas).collect(),
                )
            }
        }
    };
}

/// Declares a choice of words for a value; the words mean the variants of an enum.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ pub(crate) enum $name:ident { $($word:literal => $variant:ident, $help:literal;)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum $name { $(#[doc = $help] $variant,)+ }

        impl $crate::scenario::Item for $name {
            fn expected() -> String {
                format!("one of {}", [$($word),+].join(", "))
            }
            fn read(
                raw: &$crate::scenario::At<$crate::scenario::Raw>,
                reader: &mut $crate::scenario::Reader<'_>,
            ) -> Option<Self> {
                match &raw.value {
                    $($crate::scenario::Raw::Text(text) if text == $word => Some($name::$variant),)+
                    $crate::scenario::Raw::Text(text) => {
                        $crate::scenario::wrong_word(text, &[$($word),+], &raw.span, reader);
                        None
                    }
                    _ => $crate::scenario::wrong_kind(raw, reader),
                }
            }
            fn offer() -> $crate::scenario::Offer {
                $crate::scenario::Offer::Words(vec![$(($word, $help)),+])
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::scenario::words_schema(concat!($($doc),+).trim(), &[$(($word, $help)),+])
            }
        }
    };
}

pub(crate) use {choice, document};

/// Reports a word that is none of the valid ones.
pub(crate) fn wrong_word(text: &str, valid: &[&str], span: &Range<usize>, reader: &mut Reader<'_>) {
    let message = format!("`{}` is not known here", units::shorten(text));
    let problem = Problem::new("bad-value", message).near(text, valid.iter().copied());
    reader.report(span, problem);
}

/// The schema of a choice of words.
pub(crate) fn words_schema(doc: &str, words: &[(&str, &str)]) -> Schema {
    let each: Vec<_> = words
        .iter()
        .map(|(word, help)| json_schema!({ "const": word, "description": help }))
        .collect();
    json_schema!({ "description": doc, "oneOf": each })
}
