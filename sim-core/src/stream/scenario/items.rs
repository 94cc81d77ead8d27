//! Values of the `[stream]` section that other systems do not have: spans of event time, keys,
//! values and windows of rows, and rows themselves, which may be written as a text table.

use crate::scenario::{
    At, Fields, Item, Offer, Problem, Raw, Reader, SignedTime, Table, inside_string, units,
    wrong_kind,
};
use crate::stream::rules::assigner::Window;
use crate::stream::rules::window::aggregate::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::ops::Range;

/// Event time, or a span of it, ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Millis(pub(crate) i64);

impl Item for Millis {
    fn expected() -> String {
        "a time such as \"10s\", \"1min\", \"-300ms\", \"12:07:26\" or \"2020-04-15T12:07\", or a number of milliseconds"
            .to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = match &raw.value {
            Raw::Int(..) => return i64::read(raw, reader).map(Millis),
            Raw::Text(text) => text,
            _ => return wrong_kind(raw, reader),
        };
        if let Some(ms) = of_date(text.trim()).or_else(|| of_clock(text.trim())) {
            return Some(Millis(ms));
        }
        // Flink writes a blank before the unit.
        let text: String = text.chars().filter(|c| *c != ' ').collect();
        let wrong = match units::parse_signed_time(&text) {
            Ok(ns) if ns % 1_000_000 == 0 => return Some(Millis(ns / 1_000_000)),
            Ok(_) => format!("`{}` is finer than a millisecond", units::shorten(&text)),
            Err(message) => message,
        };
        reader.report(&raw.span, Problem::bad_value(wrong, Self::expected()));
        None
    }
}

/// A date, or a date with a time of day, such as `2020-04-15` or `2020-04-15T12:07` (or with a blank
/// in place of the `T`): milliseconds since 1970 in UTC.
fn of_date(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, of_clock(time)?),
        None => (text, 0),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = parts.as_slice() else {
        return None;
    };
    let number = |part: &str, digits: usize| {
        let plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<i64>().ok()).flatten()
    };
    let (year, month, day) = (number(year, 4)?, number(month, 2)?, number(day, 2)?);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let past = usize::try_from(month - 1).ok()?;
    let legal = (1..=*months.get(past)?).contains(&day) && time < 86_400_000;
    let before: i64 = months.iter().take(past).sum();
    // Days before the first of January of a year, in the calendar of today.
    let days = |year: i64| {
        let last = year - 1;
        365 * year + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
    };
    let since = days(year) - days(1970) + before + day - 1;
    legal.then_some(since * 86_400_000 + time)
}

/// A time of day such as `12:07`, `12:07:26` or `12:07:26.500`, in milliseconds since midnight.
fn of_clock(text: &str) -> Option<i64> {
    let number = |part: &str, digits: usize| {
        let plain = part.len() <= digits && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<i64>().ok()).flatten()
    };
    let mut parts = text.split(':');
    let (hours, minutes) = (number(parts.next()?, 4)?, number(parts.next()?, 2)?);
    let (seconds, fraction) = match parts.next() {
        None => (0, 0),
        Some(rest) => match rest.split_once('.') {
            None => (number(rest, 2)?, 0),
            Some((seconds, part)) => {
                let scale = 10_i64.pow(3_u32.checked_sub(part.len() as u32)?);
                (number(seconds, 2)?, number(part, 3)? * scale)
            }
        },
    };
    let legal = parts.next().is_none() && minutes < 60 && seconds < 60;
    legal.then_some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + fraction)
}

impl JsonSchema for Millis {
    fn schema_name() -> Cow<'static, str> {
        "Millis".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let time = generator.subschema_for::<SignedTime>();
        json_schema!({ "anyOf": [{ "type": "integer" }, time], "description": Self::expected() })
    }
}

/// A record's key, by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeyName(pub(crate) String);

impl Item for KeyName {
    fn expected() -> String {
        "a text or a number".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match raw.value {
            Raw::Text(_) | Raw::Int(..) => Some(KeyName(raw.value.text())),
            _ => wrong_kind(raw, reader),
        }
    }
}

impl JsonSchema for KeyName {
    fn schema_name() -> Cow<'static, str> {
        "KeyName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer"], "description": "A key." })
    }
}

/// What a row says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RowValue(pub(crate) Value);

impl Item for RowValue {
    fn expected() -> String {
        "a whole number, a list of them, or \"null\"".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let value = match &raw.value {
            Raw::Int(..) => Value::Number(i64::read(raw, reader)?),
            Raw::List(_) => {
                let values: Vec<At<i64>> = Item::read(raw, reader)?;
                Value::Values(values.into_iter().map(|it| it.value).collect())
            }
            Raw::Text(text) if text == "null" => Value::Nothing,
            _ => return wrong_kind(raw, reader),
        };
        Some(RowValue(value))
    }
}

impl JsonSchema for RowValue {
    fn schema_name() -> Cow<'static, str> {
        "RowValue".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": Self::expected(),
            "anyOf": [
                { "type": "integer" },
                { "type": "array", "items": { "type": "integer" } },
                { "const": "null" },
            ],
        })
    }
}

/// The window of a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowWindow(pub(crate) Window);

impl Item for RowWindow {
    fn expected() -> String {
        "start and end such as [\"0s\", \"10s\"] or \"0s..10s\", or \"global\"".to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        let ends: Vec<At<Raw>> = match &raw.value {
            Raw::Text(text) if text == "global" => return Some(RowWindow(Window::GLOBAL)),
            Raw::Text(text) => text.split("..").map(|it| cell(it, &raw.span)).collect(),
            Raw::List(ends) => ends.clone(),
            _ => return wrong_kind(raw, reader),
        };
        let [start, end] = ends.as_slice() else {
            let message = "a window has a start and an end";
            reader.report(&raw.span, Problem::bad_value(message, Self::expected()));
            return None;
        };
        let (Millis(start), Millis(end)) =
            (Millis::read(start, reader)?, Millis::read(end, reader)?);
        if start >= end {
            let message = "this window ends before it starts";
            reader.report(&raw.span, Problem::bad_value(message, Self::expected()));
        }
        Some(RowWindow(Window { start, end }))
    }
}

impl JsonSchema for RowWindow {
    fn schema_name() -> Cow<'static, str> {
        "RowWindow".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": Self::expected(),
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": ["string", "integer"] }, "minItems": 2, "maxItems": 2 },
            ],
        })
    }
}

/// A name, or a list of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Names(pub(crate) Vec<At<String>>);

impl Item for Names {
    fn expected() -> String {
        "the name of an operator, or a list of them".to_owned()
    }
    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match &raw.value {
            Raw::Text(text) => Some(Names(vec![At::new(text.clone(), raw.span.clone())])),
            Raw::List(_) => Some(Names(Item::read(raw, reader)?)),
            _ => wrong_kind(raw, reader),
        }
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "OperatorNames".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of an operator, or a list of them; NAME.late is what came too late for it (of an interval join, NAME.late-left and NAME.late-right).",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

/// TaskManagers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TaskManagers {
    /// So many, with names by number.
    Count(u32),
    /// These, with slots of their own if they were given.
    Named(Vec<(At<String>, Option<At<u32>>)>),
}

impl Item for TaskManagers {
    fn expected() -> String {
        "a number, a list of names, or a table of names and slots".to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(match &raw.value {
            Raw::Int(..) => TaskManagers::Count(Item::read(raw, reader)?),
            Raw::List(_) => {
                let names: Vec<At<String>> = Item::read(raw, reader)?;
                TaskManagers::Named(names.into_iter().map(|name| (name, None)).collect())
            }
            Raw::Table(fields) => {
                let mut slots = |(name, raw): &(At<String>, At<Raw>)| {
                    let slots: Option<u32> = Item::read(raw, reader);
                    (name.clone(), slots.map(|it| At::new(it, raw.span.clone())))
                };
                TaskManagers::Named(fields.iter().map(&mut slots).collect())
            }
            _ => return wrong_kind(raw, reader),
        })
    }
}

impl JsonSchema for TaskManagers {
    fn schema_name() -> Cow<'static, str> {
        "TaskManagers".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, a list of names, or a table of names and slots.",
            "anyOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
                { "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } },
            ],
        })
    }
}

/// Rows: a list of tables, or a text whose first line names the columns and whose other lines are a
/// row each. A cell `-` is left out; blank lines and those that begin with `#` say nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rows<T>(pub(crate) Vec<At<T>>);

impl<T: Table> Item for Rows<T> {
    fn expected() -> String {
        "a list of tables, or a text: a line with the names of the columns, then a line for each row"
            .to_owned()
    }

    fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Option<Self> {
        match &raw.value {
            Raw::List(_) => Some(Rows(Item::read(raw, reader)?)),
            Raw::Text(text) => read_lines(text, &raw.span, reader).map(Rows),
            _ => wrong_kind(raw, reader),
        }
    }

    fn offer() -> Offer {
        T::offer()
    }
}

impl<T: Table> JsonSchema for Rows<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("{}Rows", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let row = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "array", "items": row }, { "type": "string" }] })
    }
}

/// The words of a line with their places in the text.
fn words<'t>(text: &'t str, line: &'t str) -> impl Iterator<Item = (&'t str, Range<usize>)> {
    let place = move |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    line.split_whitespace()
        .map(move |word| (word, place(word)..place(word) + word.len()))
}

/// What a cell says.
fn cell(word: &str, span: &Range<usize>) -> At<Raw> {
    let word = word.trim();
    let digits = word.strip_prefix('-').unwrap_or(word);
    let number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let list = word.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let raw = match list {
        Some("") => Raw::List(Vec::new()),
        Some(items) => Raw::List(items.split(',').map(|it| cell(it, span)).collect()),
        None if number => Raw::Int(word.replace('_', ""), 10),
        None => Raw::Text(word.to_owned()),
    };
    At::new(raw, span.clone())
}

fn read_lines<T: Table>(
    text: &str,
    whole: &Range<usize>,
    reader: &mut Reader<'_>,
) -> Option<Vec<At<T>>> {
    // A text without escapes stands in the file as it is: places in it follow from its start.
    let start = inside_string(reader.text(), whole, text, &(0..text.len()));
    let as_it_is = start.len() == text.len();
    let at = |part: Range<usize>| match as_it_is {
        true => start.start + part.start..start.start + part.end,
        false => whole.clone(),
    };
    let said = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let mut lines = text.lines().filter(said);
    let keys = T::keys();
    let header = lines.next().unwrap_or_default();
    let mut columns: Vec<At<String>> = Vec::new();
    let mut good = true;
    for (word, place) in words(text, header) {
        let known = keys.iter().any(|key| key.key == word);
        let twice = columns.iter().any(|column| column.value == word);
        if !known || twice {
            let shown = units::shorten(word);
            let problem = match known {
                false => Problem::new("unknown-key", format!("there is no column `{shown}` here"))
                    .near(word, keys.iter().map(|key| key.key)),
                true => Problem::new("duplicate", format!("there are two columns `{shown}`")),
            };
            reader.report(&at(place.clone()), problem);
            good = false;
        }
        columns.push(At::new(word.to_owned(), at(place)));
    }
    if !good {
        return None;
    }
    let mut rows = Vec::new();
    for line in lines {
        let cells: Vec<_> = words(text, line).collect();
        let (Some((_, first)), Some((_, last))) = (cells.first(), cells.last()) else {
            continue;
        };
        let span = at(first.start..last.end);
        if cells.len() != columns.len() {
            let (has, needs) = (cells.len(), columns.len());
            let message = format!("this row has {has} cells and there are {needs} columns");
            let problem = Problem::bad_value(message, "a cell for each column, `-` for none");
            reader.report(&span, problem);
            continue;
        }
        let written = columns.iter().zip(&cells).filter(|(_, cell)| cell.0 != "-");
        let fields: Fields = written
            .map(|(name, (word, place))| (name.clone(), cell(word, &at(place.clone()))))
            .collect();
        let raw = At::new(Raw::Table(fields), span);
        rows.extend(T::read(&raw, reader).map(|row| At::new(row, raw.span)));
    }
    Some(rows)
}
