//! The scenario editor's bundle: CodeMirror from npm, built by esbuild into one hashed module.
//!
//! It is kept out of the first load; the application imports it on the page that needs it, by the
//! name in the shell's `strandline-editor` meta element. Without it the editor is a text area.

use super::name_by_content;
use crate::failure::{Failure, Outcome};
use crate::{paths, run, tools, ui};
use std::path::Path;

/// The module that is bundled.
const SOURCE: &str = "web/js/editor.js";

/// Bundles the editor into `staging` and returns its file name, if there is an editor to bundle.
pub(crate) fn bundle(staging: &Path, served: bool) -> Outcome<Option<String>> {
    if !paths::root().join(SOURCE).is_file() {
        return Ok(None);
    }
    let esbuild = paths::npm_bin().join("esbuild");
    if !esbuild.exists() {
        if served {
            ui::remark("the npm packages are missing: the editor will be a plain text field");
            return Ok(None);
        }
        return Err(Failure::new("esbuild is missing").with_remedy("cargo xtask setup"));
    }
    let mut command = run::program(&esbuild, &paths::root());
    let modules = paths::e2e().join("node_modules");
    command.args([
        SOURCE,
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
    ]);
    command
        .args(["--log-level=warning", "--legal-comments=none"])
        .env("NODE_PATH", modules);
    command.arg(format!("--outfile={}", staging.join("editor.js").display()));
    run::show(tools::with_tools(&mut command))?;
    name_by_content(staging, "editor", "editor.js").map(Some)
}
