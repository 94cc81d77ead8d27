//! Style sheets and scripts without comments and blanks, in a release.
//!
//! Trunk's own minifier breaks what wasm-bindgen writes (trunk issues 761 and 1044), so esbuild
//! does it here. It renames nothing that another file can see: nothing is bundled.

use super::files;
use crate::failure::{Failure, Outcome};
use crate::{paths, run, tools};
use std::path::Path;

/// Rewrites every style sheet and script at the top of `staging`, before they get their names.
pub(super) fn all(staging: &Path) -> Outcome<()> {
    let esbuild = paths::npm_bin().join("esbuild");
    if !esbuild.exists() {
        return Err(Failure::new("esbuild is missing").with_remedy("cargo xtask setup"));
    }
    let plain = |name: &String| {
        let kind = name.ends_with(".css") || name.ends_with(".js");
        kind && !name.contains('/')
    };
    let mut command = run::program(&esbuild, staging);
    command
        .args(files(staging)?.into_iter().filter(plain))
        .args(["--minify", "--target=esnext", "--log-level=warning"])
        .args(["--legal-comments=none", "--allow-overwrite", "--outdir=."]);
    run::show(tools::with_tools(&mut command))
}
