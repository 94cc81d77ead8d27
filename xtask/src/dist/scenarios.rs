//! The scenario files of the site: copied as they are, with a list of titles and descriptions.
//!
//! Files that serve the tools (`bench-…`, `sweep…`) are not stories and stay out of the list.

use super::html::escape;
use super::pages::FRAGMENT;
use super::write_text;
use crate::failure::{Failure, Outcome};
use crate::paths;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Stands first in the list.
const FIRST: &str = "quickstart";

#[derive(Deserialize)]
struct Head {
    title: String,
    #[serde(default)]
    description: String,
}

#[derive(Serialize)]
struct Entry {
    slug: String,
    title: String,
    summary: String,
    file: String,
}

/// Writes `scenarios/` into `staging`.
pub(crate) fn copy(staging: &Path) -> Outcome<()> {
    let folder = paths::root().join("scenarios");
    if !folder.is_dir() {
        return Ok(());
    }
    let mut entries = Vec::new();
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e));
    for file in fs::read_dir(&folder).map_err(|e| Failure::io("read", &folder, &e))? {
        let path = file.map_err(|e| Failure::io("read", &folder, &e))?.path();
        let name = path
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_owned();
        if path.extension().is_none_or(|e| e != "toml") || !is_story(&name) {
            continue;
        }
        let text = read(&path)?;
        let head: Head = toml::from_str(&text)
            .map_err(|e| Failure::new(format!("{}: {}", path.display(), e.message())))?;
        let file = format!("scenarios/{name}.toml");
        write_text(&staging.join(&file), &text)?;
        let fragment = format!(
            "title: {} · Strandline\ndescription: {}\n\n<h1>{}</h1><p>{}</p>",
            one_line(&head.title),
            one_line(&head.description).replace('`', ""),
            escape(&one_line(&head.title)),
            coded(&one_line(&head.description)),
        );
        write_text(
            &staging.join(format!("scenarios/{name}/{FRAGMENT}")),
            &fragment,
        )?;
        let summary = one_line(&head.description);
        entries.push(Entry {
            slug: name,
            title: head.title,
            summary,
            file,
        });
    }
    entries.sort_by_key(|e| (e.slug != FIRST, e.slug.clone()));
    let list = serde_json::to_string(&entries)
        .map_err(|e| Failure::new(format!("the list of scenarios cannot be written: {e}")))?;
    write_text(&staging.join("scenarios/index.json"), &list)
}

/// What stands between backticks is code.
fn coded(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(at, part)| match at % 2 {
        0 => escape(part),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_story(name: &str) -> bool {
    !name.starts_with("bench-") && !name.starts_with("sweep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_make_code() {
        assert_eq!(
            coded("by `a<b` and `c`, not d"),
            "by <code>a&lt;b</code> and <code>c</code>, not d"
        );
    }

    #[test]
    fn files_for_the_tools_are_no_stories() {
        let stories: Vec<_> = ["quickstart", "bench-cluster", "sweep", "split-brain"]
            .into_iter()
            .filter(|n| is_story(n))
            .collect();
        assert_eq!(stories, ["quickstart", "split-brain"]);
    }
}
