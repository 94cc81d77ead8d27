//! Running other programs: shown as they run, captured, or both.

use crate::failure::{Failure, Outcome};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a program with its output shown; an exit code other than 0 is a failure.
pub(crate) fn show(command: &mut Command) -> Outcome<()> {
    let shown = describe(command);
    let status = command
        .status()
        .map_err(|e| Failure::new(format!("cannot run `{shown}`: {e}")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("`{shown}` ended with {status}")))
    }
}

/// Runs a program quietly and returns what it printed, or `None` if it is missing or failed.
pub(crate) fn capture(command: &mut Command) -> Option<String> {
    let output = command
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Runs a program with its standard output shown and handed line by line to `each` as well.
/// Returns whether it ended with 0.
pub(crate) fn tee(command: &mut Command, mut each: impl FnMut(&str)) -> Outcome<bool> {
    let shown = describe(command);
    let cannot = |e: std::io::Error| Failure::new(format!("cannot run `{shown}`: {e}"));
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(cannot)?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.map_err(cannot)?;
            let line = String::from_utf8_lossy(&line);
            crate::ui::line(&line);
            each(&line);
        }
    }
    Ok(child.wait().map_err(cannot)?.success())
}

/// The command as one would type it.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Finds a program on PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let suffix = std::env::consts::EXE_SUFFIX;
    // npm's commands are scripts with an ending of their own on Windows.
    let names = [format!("{name}{suffix}"), format!("{name}.cmd")];
    let count = if cfg!(windows) { 2 } else { 1 };
    std::env::split_paths(&paths)
        .flat_map(|dir| names.iter().take(count).map(move |n| dir.join(n)))
        .find(|path| path.is_file())
}

/// PATH with `dirs` in front.
pub(crate) fn path_with(dirs: &[PathBuf]) -> std::ffi::OsString {
    let old = std::env::var_os("PATH").unwrap_or_default();
    let all = dirs.iter().cloned().chain(std::env::split_paths(&old));
    std::env::join_paths(all).unwrap_or(old)
}

/// `cargo`, in the checkout, in the version that runs this program.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(crate::paths::root());
    command
}

/// A program in a folder.
pub(crate) fn program(name: impl AsRef<OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(name);
    command.current_dir(dir);
    command
}
