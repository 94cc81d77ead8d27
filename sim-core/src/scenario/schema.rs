//! The JSON Schema of the scenario language, from the same declarations that read it.

use super::raw::RawScenario;
use crate::systems::{SCHEMAS, SECTIONS};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

/// The schema as JSON text.
#[must_use]
pub fn schema() -> String {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = RawScenario::json_schema(&mut generator);
    let systems: Vec<_> = SECTIONS
        .iter()
        .zip(SCHEMAS)
        .map(|(section, schema)| (section.key(), schema(&mut generator)))
        .collect();
    let object = root.ensure_object();
    object.insert(
        "$schema".to_owned(),
        "https://json-schema.org/draft/2020-12/schema".into(),
    );
    object.insert("title".to_owned(), "Strandline scenario".into());
    if let Some(properties) = object.get_mut("properties").and_then(|p| p.as_object_mut()) {
        if let Some(version) = properties
            .get_mut("strandline")
            .and_then(|p| p.as_object_mut())
        {
            version.insert("const".to_owned(), super::VERSION.into());
        }
        for (key, schema) in systems {
            properties.insert(key.to_owned(), schema.to_value());
        }
    }
    let definitions = generator.take_definitions(true);
    object.insert("$defs".to_owned(), definitions.into());
    let mut text = format!("{:#}", root.as_value());
    text.push('\n');
    text
}
