//! What comes through rustup and `cargo install`.

use super::Found;
use crate::failure::{Failure, Outcome};
use crate::{paths, run, ui};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";
pub(super) const TRUNK: &str = "0.21.14";
// Must equal the `wasm-bindgen` of the root Cargo.toml to the patch.
pub(super) const WASM_BINDGEN: &str = "0.2.121";
// Reads what the `wasm_split` macro of Leptos marks, and refuses a module marked for a later version.
const WASM_SPLIT: &str = "0.2.4";

pub(crate) fn find_components() -> Option<Found> {
    let rustfmt = run::capture(run::cargo().args(["fmt", "--version"]))?;
    let clippy = run::capture(run::cargo().args(["clippy", "--version"]))?;
    Some(Found {
        path: PathBuf::from("rustfmt"),
        note: format!("{rustfmt}, {clippy}"),
    })
}

pub(crate) fn install_components() -> Outcome<()> {
    rustup(&["component", "add", "rustfmt", "clippy"])
}

pub(crate) fn find_wasm_target() -> Option<Found> {
    let rustc = run::program("rustc", &paths::root());
    let sysroot = run::capture({ rustc }.args(["--print", "sysroot"]))?;
    let path = PathBuf::from(sysroot)
        .join("lib")
        .join("rustlib")
        .join(TARGET);
    path.join("lib").is_dir().then(|| Found {
        path,
        note: TARGET.to_owned(),
    })
}

pub(crate) fn install_wasm_target() -> Outcome<()> {
    rustup(&["target", "add", TARGET])
}

fn rustup(args: &[&str]) -> Outcome<()> {
    let typed = format!("rustup {}", args.join(" "));
    if run::which("rustup").is_none() {
        return Err(Failure::new("rustup is not on PATH").with_remedy(format!(
            "install Rust with rustup (https://rustup.rs), then: {typed}"
        )));
    }
    run::show(run::program("rustup", &paths::root()).args(args)).map_err(|f| f.with_remedy(typed))
}

pub(crate) fn find_wasm_bindgen() -> Option<Found> {
    // The test runner belongs to it; an installation without it is of no use to the tests.
    find(
        "wasm-bindgen",
        WASM_BINDGEN,
        &["wasm-bindgen", "wasm-bindgen-test-runner"],
    )
}

pub(crate) fn install_wasm_bindgen() -> Outcome<()> {
    install(
        "wasm-bindgen-cli",
        WASM_BINDGEN,
        &paths::tool("wasm-bindgen", WASM_BINDGEN),
    )
}

/// Looked for in the cache alone, as the program cannot tell its version.
pub(crate) fn find_wasm_split() -> Option<Found> {
    let name = format!("wasm-split-cli{}", std::env::consts::EXE_SUFFIX);
    let path = paths::tool("wasm-split", WASM_SPLIT).join("bin").join(name);
    path.is_file().then(|| Found {
        note: format!("{WASM_SPLIT} in {}", path.display()),
        path,
    })
}

pub(crate) fn install_wasm_split() -> Outcome<()> {
    let root = paths::tool("wasm-split", WASM_SPLIT);
    compile(
        "wasm_split_cli_support",
        WASM_SPLIT,
        &["--features", "build-binary"],
        &root,
    )
}

pub(crate) fn find_trunk() -> Option<Found> {
    find("trunk", TRUNK, &["trunk"])
}

pub(crate) fn install_trunk() -> Outcome<()> {
    install("trunk", TRUNK, &paths::tool("trunk", TRUNK))
}

/// The folders of the cached cargo tools that exist.
pub(crate) fn bin_dirs() -> Vec<PathBuf> {
    [("wasm-bindgen", WASM_BINDGEN), ("trunk", TRUNK)]
        .map(|(name, version)| paths::tool(name, version).join("bin"))
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect()
}

/// Looks in the cache, then on PATH; either way the version must be the pinned one.
fn find(name: &str, version: &str, programs: &[&str]) -> Option<Found> {
    let cached = paths::tool(name, version).join("bin");
    let in_cache = |program: &str| {
        Some(cached.join(format!("{program}{}", std::env::consts::EXE_SUFFIX)))
            .filter(|path| path.is_file())
    };
    let all_in = |place: &dyn Fn(&str) -> Option<PathBuf>| {
        let paths: Option<Vec<_>> = programs.iter().map(|program| place(program)).collect();
        let right = |path: &PathBuf| {
            let printed = run::capture(Command::new(path).arg("--version")).unwrap_or_default();
            printed.split_whitespace().any(|word| word == version)
        };
        paths
            .filter(|paths| paths.iter().all(right))
            .and_then(|paths| paths.into_iter().next())
    };
    let path = all_in(&in_cache).or_else(|| all_in(&|program| run::which(program)))?;
    Some(Found {
        note: format!("{version} in {}", path.display()),
        path,
    })
}

/// Installs below `root`, with cargo-binstall where it is on PATH.
fn install(package: &str, version: &str, root: &Path) -> Outcome<()> {
    std::fs::create_dir_all(root).map_err(|e| Failure::io("make the folder", root, &e))?;
    if run::which("cargo-binstall").is_some() {
        let wanted = format!("{package}@{version}");
        let mut binstall = in_cache(root);
        binstall
            .args(["binstall", "--no-confirm", "--root"])
            .arg(root)
            .arg(&wanted);
        match run::show(&mut binstall) {
            Ok(()) => return Ok(()),
            Err(failure) => ui::remark(&format!("{failure}; compiling it instead")),
        }
    }
    compile(package, version, &[], root)
}

/// Compiles below `root`.
fn compile(package: &str, version: &str, features: &[&str], root: &Path) -> Outcome<()> {
    std::fs::create_dir_all(root).map_err(|e| Failure::io("make the folder", root, &e))?;
    let mut command = in_cache(root);
    command
        .args(["install", "--locked", "--version", version, "--root"])
        .arg(root)
        .args(features)
        .arg(package);
    let typed = run::describe(&command);
    run::show(&mut command).map_err(|failure| failure.with_remedy(typed))
}

/// cargo, run from the cache so that the checkout's `.cargo/config.toml` does not apply.
fn in_cache(root: &Path) -> Command {
    let mut command = run::cargo();
    command.current_dir(root);
    // Both are set for the checkout and would lead the build astray.
    command
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pins live in four files; all of them have to move together.
    #[test]
    fn pinned_versions_agree() {
        let read = |name: &str| {
            std::fs::read_to_string(paths::root().join(name)).expect("the file is in the checkout")
        };
        let manifest = read("Cargo.toml");
        assert!(manifest.contains(&format!("wasm-bindgen = \"={WASM_BINDGEN}\"")));
        let trunk = read("Trunk.toml");
        assert!(trunk.contains(&format!("wasm_bindgen = \"{WASM_BINDGEN}\"")));
        assert!(trunk.contains(&format!("trunk-version = \">={TRUNK}")));
        let opt = trunk
            .split("version_")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let package = read("e2e/package.json");
        let pinned = format!("\"binaryen\": \"{}.0.0\"", opt.expect("wasm_opt is pinned"));
        assert!(package.contains(&pinned), "{pinned}");
    }
}
