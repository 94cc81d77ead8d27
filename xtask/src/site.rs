//! `serve` and `build`: Trunk, called with the right tools.

use crate::failure::{Failure, Outcome};
use crate::tools::{self, Need};
use crate::{dist, paths, run, ui};
use clap::Args;
use std::net::TcpListener;
use std::process::Command;

/// Options of `cargo xtask serve`.
#[derive(Args)]
pub(crate) struct ServeOptions {
    /// Open the site in the default browser
    #[arg(long)]
    open: bool,
    /// Local port to serve on
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Build as for publication: slower to build, faster to run
    #[arg(long)]
    release: bool,
}

/// Options of `cargo xtask build`.
#[derive(Args)]
pub(crate) struct BuildOptions {
    /// The address or path the site will have, such as /strandline/. By default all addresses are
    /// relative, and the result runs under any path
    #[arg(long, default_value = "./")]
    public_url: String,
}

/// Serves the site and rebuilds on change, until it is interrupted.
pub(crate) fn serve(options: &ServeOptions) -> Outcome<bool> {
    // Before minutes of set-up rather than after them.
    TcpListener::bind(("127.0.0.1", options.port)).map_err(|e| {
        let next = options.port.saturating_add(1);
        Failure::new(format!("port {} cannot be used: {e}", options.port))
            .with_remedy(format!("cargo xtask serve --port {next}"))
    })?;
    let missing = tools::provide(&Need::SITE);
    // A development build lacks little without npm: see dist/editor.rs.
    missing.require(if options.release {
        &Need::SITE
    } else {
        &Need::SITE[..3]
    })?;
    ui::heading("Site");
    ui::line(&format!(
        "It will be at http://127.0.0.1:{}/ (a first build takes some minutes; Ctrl-C ends it)",
        options.port
    ));
    let mut trunk = trunk()?;
    trunk.args(["serve", "--public-url", "/", "--dist", "target/serve"]);
    trunk.arg(format!("--port={}", options.port));
    if options.release {
        trunk.arg("--release");
    }
    if options.open {
        trunk.arg("--open");
    }
    run::show(&mut trunk).map(|()| true)
}

/// Builds `dist/` and reports its sizes.
pub(crate) fn build(options: &BuildOptions) -> Outcome<bool> {
    tools::setup(&Need::SITE)?;
    ui::heading("Site");
    release(&options.public_url)?;
    let sizes = dist::sizes::measure(&paths::dist())?;
    ui::line(&sizes.table());
    ui::line("dist/ is ready for any static host.");
    Ok(true)
}

/// A release build into `dist/`, with the tools in place.
pub(crate) fn release(public_url: &str) -> Outcome<()> {
    let step = ui::Step::begin(1, 1, "release build");
    step.working("compiling to WebAssembly (some minutes the first time)");
    let mut trunk = trunk()?;
    trunk.args(["build", "--release", "--locked", "--public-url", public_url]);
    run::show(&mut trunk)?;
    step.done("dist/");
    Ok(())
}

fn trunk() -> Outcome<Command> {
    let found = Need::Trunk
        .find()
        .ok_or_else(|| Failure::new("Trunk is missing"))?;
    let mut command = run::program(found.path, &paths::root());
    // NO_COLOR=1, as many terminals set it, is not a boolean in Trunk's eyes.
    tools::with_tools(&mut command).env_remove("NO_COLOR");
    Ok(command)
}
