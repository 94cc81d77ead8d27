//! Where things are: the checkout, and the per-user cache in which clones share their tools.

use std::path::{Path, PathBuf};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder of the npm packages and browser tests.
pub(crate) fn e2e() -> PathBuf {
    root().join("e2e")
}

/// Where npm puts the commands of its packages.
pub(crate) fn npm_bin() -> PathBuf {
    e2e().join("node_modules").join(".bin")
}

/// The built site.
pub(crate) fn dist() -> PathBuf {
    root().join("dist")
}

/// `$XDG_CACHE_HOME/strandline/tools`, by default below `~/.cache`.
pub(crate) fn tools() -> PathBuf {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    cache.join("strandline").join("tools")
}

/// The folder of one tool in one version.
pub(crate) fn tool(name: &str, version: &str) -> PathBuf {
    tools().join(format!("{name}-{version}"))
}

/// A path relative to the checkout where it lies inside, for messages.
pub(crate) fn short(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// The command line as built with a profile (`debug` or `release`).
pub(crate) fn strandline(profile: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let name = format!("strandline{}", std::env::consts::EXE_SUFFIX);
    target.join(profile).join(name)
}
