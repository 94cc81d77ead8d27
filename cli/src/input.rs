//! Reading scenario files and small option values, with errors that say what to do.

use crate::Outcome;
use sim_core::kernel::Nanos;
use sim_core::scenario::{self, Scenario};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Largest file that is read, bytes (a little over the language's own limit, so that the language
/// gives its message).
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Reads a text file, `-` being standard input.
pub(crate) fn text(path: &Path) -> Result<String, Outcome> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if path.as_os_str() == "-" {
            std::io::stdin()
                .lock()
                .take(FILE_BYTES_MAX)
                .read_to_end(&mut text)?;
        } else {
            std::fs::File::open(path)?
                .take(FILE_BYTES_MAX)
                .read_to_end(&mut text)?;
        }
        Ok(text)
    };
    let bytes = read().map_err(|error| {
        eprintln!("cannot read {}: {error}", path.display());
        Outcome::BadInput
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let (good, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let good = String::from_utf8_lossy(good);
        let (line, before) = match good.rsplit_once('\n') {
            Some((above, before)) => (above.matches('\n').count() + 2, before),
            None => (1, &*good),
        };
        eprintln!(
            "{}:{line}:{}: this is no UTF-8 text (byte 0x{:02x} after {before:?}): save the file as UTF-8",
            path.display(),
            before.chars().count() + 1,
            rest.first().copied().unwrap_or_default(),
        );
        Outcome::BadInput
    })
}

/// Reads and checks a scenario; prints all that is wrong or doubtful about it.
pub(crate) fn scenario(path: &Path) -> Result<(String, Arc<Scenario>), Outcome> {
    let text = text(path)?;
    let parsed = scenario::parse(&text);
    if !parsed.diagnostics.is_empty() {
        let name = path.display().to_string();
        eprint!("{}", scenario::render(&parsed.diagnostics, &name, &text));
    }
    match parsed.scenario {
        Some(scenario) => Ok((text, Arc::new(scenario))),
        None => Err(Outcome::BadInput),
    }
}

/// Reads a time such as `1m30s`.
pub(crate) fn time(option: &str, text: &str) -> Result<Nanos, Outcome> {
    scenario::units::parse_time(text).map_err(|problem| {
        eprintln!("--{option} {text}: {problem}");
        Outcome::BadInput
    })
}

/// Reads `A..B`.
pub(crate) fn range(text: &str) -> Result<std::ops::Range<u64>, Outcome> {
    let parts = text
        .split_once("..")
        .and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    parts
        .filter(|range: &std::ops::Range<u64>| range.start < range.end)
        .ok_or_else(|| {
            eprintln!("--seeds {text}: expected two numbers such as 0..1000, the first smaller");
            Outcome::BadInput
        })
}

/// Reads `I/N`, I from 1 to N.
pub(crate) fn shard(text: &str) -> Result<(u64, u64), Outcome> {
    let parts = text
        .split_once('/')
        .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    parts
        .filter(|(i, n): &(u64, u64)| (1..=*n).contains(i))
        .ok_or_else(|| {
            eprintln!("--shard {text}: expected a part such as 1/4, from 1/N to N/N");
            Outcome::BadInput
        })
}
