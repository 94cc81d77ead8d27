//! Quantities of the document: newtypes of [`super::units`] that know how they are written.

use super::declare::{Item, read_text, wrong_kind};
use super::reader::{At, Problem, Raw, Reader};
use super::units;
use crate::kernel::Nanos;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// Declares a quantity: a newtype read from text.
macro_rules! quantity {
    ($($(#[$doc:meta])+ $name:ident($ty:ty) = $parse:path, $expected:literal, $pattern:literal;)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) struct $name(pub(crate) $ty);

        impl Item for $name {
            fn expected() -> String {
                $expected.to_owned()
            }
            fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
                read_text(raw, reader, $parse, $name)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern, "description": $expected })
            }
        }
    )+};
}
quantity! {
    /// A time or span, ns.
    Time(Nanos) = units::parse_time, "a time such as \"5s\", \"300ms\" or \"1m30s\"",
        r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|min|h|d))+$";
    /// A time that may be negative, ns.
    SignedTime(i64) = units::parse_signed_time, "a time such as \"5s\" or \"-300ms\"",
        r"^[+-]?([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|min|h|d))+$";
    /// A share in parts per million.
    Share(u32) = units::parse_share, "a share such as \"5%\" or \"200ppm\"",
        r"^[0-9]+(\.[0-9]+)? ?(%|ppm)$";
}

/// A gap between records, ns, written as a rate: `"250/s"`, or a number per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rate(pub(crate) Nanos);

/// Bytes per second, written as a speed: `"10MB/s"`, or a number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Speed(pub(crate) u64);

macro_rules! number_or_text {
    ($($name:ident = $parse:path, $expected:literal, $pattern:literal;)+) => {$(
        impl Item for $name {
            fn expected() -> String {
                $expected.to_owned()
            }
            fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
                // A bare number is read like its text.
                let text = match &raw.value {
                    Raw::Int(_, 10) | Raw::Decimal(_) | Raw::Text(_) => raw.value.text(),
                    _ => return wrong_kind(raw, reader),
                };
                read_text(&At::new(Raw::Text(text), raw.span.clone()), reader, $parse, $name)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "anyOf": [
                        { "type": "number", "minimum": 0 },
                        { "type": "string", "pattern": $pattern },
                    ],
                    "description": $expected,
                })
            }
        }
    )+};
}
number_or_text! {
    Rate = units::parse_rate, "a rate such as 250 (per second) or \"30/min\"",
        r"^[0-9]+(\.[0-9]+)?(/(ms|s|m|min|h))?$";
    Speed = units::parse_speed, "a speed such as \"10MB/s\", or a number of bytes per second",
        r"^[0-9]+(\.[0-9]+)?(B|kB|KB|MB|GB|KiB|MiB|GiB)?(/s)?$";
}

/// A whole number that may be beyond TOML's own integers, and is then written as text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Big(pub(crate) u64);

impl Item for Big {
    fn expected() -> String {
        u64::expected()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| "this is no such number".to_owned())
        };
        match raw.value {
            Raw::Text(_) => read_text(raw, reader, parse, Big),
            _ => u64::read(raw, reader).map(Big),
        }
    }
}

impl JsonSchema for Big {
    fn schema_name() -> Cow<'static, str> {
        "Big".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A whole number; from 9223372036854775808 on it is written as text.",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+$" },
            ],
        })
    }
}

/// A number with up to three decimals, in thousandths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Milli(pub(crate) u32);

impl Item for Milli {
    fn expected() -> String {
        "a number with at most three decimals such as 1.1".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = match &raw.value {
            Raw::Int(_, 10) | Raw::Decimal(_) => units::parse_milli(&raw.value.text()),
            _ => return wrong_kind(raw, reader),
        };
        if value.is_none() {
            let message = "this number does not fit";
            reader.report(&raw.span, Problem::bad_value(message, Self::expected()));
        }
        value.map(Milli)
    }
}

impl JsonSchema for Milli {
    fn schema_name() -> Cow<'static, str> {
        "Milli".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "multipleOf": 0.001 })
    }
}
