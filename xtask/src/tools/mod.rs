//! The tools the project needs: how each is found, and how it is installed where it is missing.
//!
//! Cargo tools go into a per-user cache keyed by name and version, never into `~/.cargo`; one that
//! is already on PATH in the right version is used as it is. What cannot be installed from here is
//! said together with the command that would.

mod node;
mod rust;
mod system;

use crate::failure::{Failure, Outcome};
use crate::{run, ui};
use std::path::PathBuf;
use std::process::Command;

/// Something a command needs on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// rustfmt and clippy.
    Components,
    /// The wasm32-unknown-unknown standard library.
    WasmTarget,
    /// The wasm-bindgen command and its test runner.
    WasmBindgen,
    /// What cuts the site's module in two.
    WasmSplit,
    /// Trunk.
    Trunk,
    /// Node.js with npm.
    Node,
    /// The npm packages of `e2e/`, wasm-opt among them.
    NpmPackages,
    /// Chromium, for the browser tests.
    Chromium,
    /// chromedriver, for the engine's tests in the browser.
    Chromedriver,
}

/// Where a tool was found.
pub(crate) struct Found {
    /// The program, or the folder for a library.
    pub(crate) path: PathBuf,
    /// What to say about it: its version, mostly.
    pub(crate) note: String,
}

struct Tool {
    need: Need,
    name: &'static str,
    find: fn() -> Option<Found>,
    /// Shown while `install` runs.
    doing: &'static str,
    install: fn() -> Outcome<()>,
}

const TOOLS: [Tool; 9] = [
    Tool {
        need: Need::Components,
        name: "rustfmt and clippy",
        find: rust::find_components,
        doing: "adding them with rustup",
        install: rust::install_components,
    },
    Tool {
        need: Need::WasmTarget,
        name: "wasm32 target",
        find: rust::find_wasm_target,
        doing: "adding it with rustup",
        install: rust::install_wasm_target,
    },
    Tool {
        need: Need::WasmBindgen,
        name: "wasm-bindgen 0.2.121",
        find: rust::find_wasm_bindgen,
        doing: "compiling it, once (about 4 minutes on 2 cores)",
        install: rust::install_wasm_bindgen,
    },
    Tool {
        need: Need::WasmSplit,
        name: "wasm-split 0.2.4",
        find: rust::find_wasm_split,
        doing: "compiling it, once (about 1 minute on 2 cores)",
        install: rust::install_wasm_split,
    },
    Tool {
        need: Need::Trunk,
        name: "Trunk 0.21.14",
        find: rust::find_trunk,
        doing: "compiling it, once (about 8 minutes on 2 cores)",
        install: rust::install_trunk,
    },
    Tool {
        need: Need::Node,
        name: "Node.js with npm",
        find: node::find_node,
        doing: "installing it",
        install: node::install_node,
    },
    Tool {
        need: Need::NpmPackages,
        name: "npm packages (wasm-opt …)",
        find: node::find_packages,
        doing: "installing what e2e/package-lock.json lists",
        install: node::install_packages,
    },
    Tool {
        need: Need::Chromium,
        name: "Chromium",
        find: system::find_chromium,
        doing: "installing it with apt-get",
        install: system::install_chromium,
    },
    Tool {
        need: Need::Chromedriver,
        name: "chromedriver",
        find: system::find_chromedriver,
        doing: "installing it with apt-get",
        install: system::install_chromedriver,
    },
];

impl Need {
    /// All there is.
    pub(crate) const ALL: [Need; 9] = [
        Need::Components,
        Need::WasmTarget,
        Need::WasmBindgen,
        Need::Trunk,
        Need::WasmSplit,
        Need::Node,
        Need::NpmPackages,
        Need::Chromium,
        Need::Chromedriver,
    ];
    /// What a build of the site needs.
    pub(crate) const SITE: [Need; 6] = [
        Need::WasmTarget,
        Need::WasmBindgen,
        Need::Trunk,
        Need::WasmSplit,
        Need::Node,
        Need::NpmPackages,
    ];

    fn tool(self) -> &'static Tool {
        // The table has one row a variant; a test holds that.
        TOOLS
            .iter()
            .find(|tool| tool.need == self)
            .unwrap_or(&TOOLS[0])
    }

    /// The name shown to the reader.
    pub(crate) fn name(self) -> &'static str {
        self.tool().name
    }

    /// Where it is, if it is there.
    pub(crate) fn find(self) -> Option<Found> {
        (self.tool().find)()
    }
}

/// What the set-up could not provide, each with the reason.
pub(crate) struct Missing(Vec<(Need, Failure)>);

impl Missing {
    /// A failure that tells all of `needs` that are missing, if any is.
    pub(crate) fn require(&self, needs: &[Need]) -> Outcome<()> {
        let missing = || self.0.iter().filter(|(need, _)| needs.contains(need));
        if missing().next().is_none() {
            return Ok(());
        }
        let texts: Vec<_> = missing()
            .map(|(n, f)| format!("{}: {}", n.name(), f.what))
            .collect();
        let remedies: Vec<_> = missing().filter_map(|(_, f)| f.remedy.clone()).collect();
        let failure = Failure::new(texts.join("\n  "));
        Err(match remedies.is_empty() {
            true => failure,
            false => failure.with_remedy(remedies.join("\n       ")),
        })
    }
}

/// Finds or installs each of `needs`, one named step each, and goes on where one fails.
pub(crate) fn provide(needs: &[Need]) -> Missing {
    ui::heading("Set-up");
    let mut missing = Vec::new();
    for (index, need) in needs.iter().enumerate() {
        let tool = need.tool();
        let step = ui::Step::begin(index + 1, needs.len(), tool.name);
        if let Some(found) = need.find() {
            step.skip(&format!("found: {}", found.note));
            continue;
        }
        step.working(tool.doing);
        let outcome = (tool.install)().and_then(|()| {
            need.find()
                .ok_or_else(|| Failure::new("it was installed but is still not found"))
        });
        match outcome {
            Ok(found) => step.done(&found.note),
            Err(failure) => {
                step.failed(&failure.to_string());
                missing.push((*need, failure));
            }
        }
    }
    Missing(missing)
}

/// Finds or installs all of `needs`, or says what is missing.
pub(crate) fn setup(needs: &[Need]) -> Outcome<()> {
    provide(needs).require(needs)
}

/// Puts the tools in front of PATH for a command and its children.
pub(crate) fn with_tools(command: &mut Command) -> &mut Command {
    let mut dirs = rust::bin_dirs();
    dirs.push(crate::paths::npm_bin());
    dirs.extend(node::private_node());
    command.env("PATH", run::path_with(&dirs));
    command.env("TRUNK_SKIP_VERSION_CHECK", "true");
    if let Some(chromium) = system::find_chromium() {
        command.env("CHROMIUM", chromium.path);
    }
    if let Some(driver) = system::find_chromedriver() {
        command.env("CHROMEDRIVER", driver.path);
    }
    command
}

/// The version of wasm-opt among the npm packages.
pub(crate) fn wasm_opt_version() -> Option<String> {
    let mut command = run::program(
        crate::paths::npm_bin().join("wasm-opt"),
        &crate::paths::root(),
    );
    run::capture(with_tools(&mut command).arg("--version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_has_its_own_row() {
        for need in Need::ALL {
            assert_eq!(need.tool().need, need);
        }
        assert_eq!(Need::Trunk.name(), format!("Trunk {}", rust::TRUNK));
        assert_eq!(
            Need::WasmBindgen.name(),
            format!("wasm-bindgen {}", rust::WASM_BINDGEN)
        );
    }

    #[test]
    fn what_is_missing_is_told_all_at_once() {
        let missing = Missing(vec![
            (Need::Node, Failure::new("no npm").with_remedy("install it")),
            (
                Need::Chromium,
                Failure::new("no right").with_remedy("sudo apt-get"),
            ),
        ]);
        assert!(missing.require(&[Need::Trunk]).is_ok());
        let told = missing
            .require(&Need::ALL)
            .expect_err("two are missing")
            .to_string();
        for part in ["no npm", "no right", "install it", "sudo apt-get"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
