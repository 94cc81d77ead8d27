//! The stream processor's part of the scenario language: its table, its verbs and what a predicate
//! may ask of a job.

mod checks;
mod document;
mod expect;
mod items;
mod keys;
mod operators;
mod read;
mod settings;
mod source;

#[cfg(test)]
mod tests;

use crate::scenario::{At, Item, Key, Raw, Reader, Table};
use document::RawStream;
use schemars::{Schema, SchemaGenerator};

pub(crate) use read::Job;

/// What a scenario says of this system.
pub type Spec = super::spec::JobSpec;

/// The schema of the table.
pub(crate) fn schema(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<RawStream>()
}

/// The keys of the table.
pub(crate) fn keys() -> Vec<Key> {
    RawStream::keys()
}

/// Reads the table.
pub(crate) fn read(raw: &At<Raw>, reader: &mut Reader<'_>) -> Job {
    let read = RawStream::read(raw, reader).unwrap_or_default();
    read::job(&At::new(read, raw.span.clone()), reader)
}
