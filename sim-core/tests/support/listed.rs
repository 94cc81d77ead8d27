//! Jobs in the scenario language with listed records and expected rows, part by part.

use super::holds;

/// A source with listed records: `at ts key value watermark` to a line.
pub(crate) fn source(name: &str, rows: &str) -> String {
    let listed = rows
        .lines()
        .any(|line| !line.trim().is_empty() && !line.trim().ends_with('-'));
    let kind = if listed { "listed" } else { "none" };
    format!(
        "[[stream.source]]\nname = \"{name}\"\nwatermark = {{ kind = \"{kind}\" }}\n\
         records = \"\"\"\nat ts key value watermark\n{rows}\n\"\"\"\n\n"
    )
}

/// A sink behind an operator, with its rows; `how` is `ordered = true` or nothing.
pub(crate) fn sink(name: &str, input: &str, how: &str, rows: &str) -> String {
    format!(
        "[[stream.sink]]\nname = \"{name}\"\ninput = \"{input}\"\n\n\
         [[stream.expect]]\nsink = \"{name}\"\n{how}\nrows = \"\"\"\n{rows}\n\"\"\"\n\n"
    )
}

pub(crate) fn window(name: &str, input: &str, settings: &str) -> String {
    format!("[[stream.window]]\nname = \"{name}\"\ninput = \"{input}\"\n{settings}\n\n")
}

pub(crate) fn check(name: &str, parts: &[String]) {
    let parts = parts.concat();
    let text = format!(
        "strandline = 1\ntitle = \"{name}\"\nduration = \"700s\"\n\n[stream]\n\
         config = {{ \"execution.buffer-timeout.interval\" = \"0ms\" }}\n\n{parts}"
    );
    holds(name, &text);
}

pub(crate) const ORDERED: &str = "ordered = true";
