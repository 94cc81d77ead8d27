//! Cutting the module in two: what the home page needs to run, and the application, which is loaded
//! after it (see `web/src/later.rs`).
//!
//! Trunk knows nothing of this (trunk issue 1022), so a release is bound a second time here, from
//! the module that cargo left: wasm-split cuts it, wasm-bindgen binds the first half, wasm-opt
//! makes both smaller, and the results take the place of what Trunk has bound. A development build
//! is left as it is.

use super::html::Shell;
use super::{read_text, short_hash, write_text};
use crate::failure::{Failure, Outcome};
use crate::tools::{self, Need};
use crate::{paths, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the linker module of wasm-split is called, and the binding that it imports.
const LINK: &str = "__wasm_split.js";
const BINDING: &str = "./web.js";
/// wasm-split takes the host's word for the type of what it fetches, and boot.js does not.
const STREAMED: &str = "WebAssembly.instantiateStreaming(src, imports)";
const TOLERANT: &str = "instantiate(await src, imports)";
const INSTANTIATE: &str = "
async function instantiate(response, imports) {
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
    const headers = { \"content-type\": \"application/wasm\" };
    return WebAssembly.instantiateStreaming(new Response(response.body, { headers }), imports);
}
";
/// What rustc 1.95 may use of WebAssembly. Without naming them wasm-opt refuses the module.
const FEATURES: [&str; 6] = [
    "bulk-memory",
    "nontrapping-float-to-int",
    "sign-ext",
    "mutable-globals",
    "reference-types",
    "multivalue",
];

/// The link between the halves: written last, when the name of the binding is known.
pub(super) struct Link {
    name: String,
    text: String,
}

/// Cuts the module that Trunk's release build has left, and puts the halves into `staging`.
pub(super) fn cut(staging: &Path, shell: &mut Shell) -> Outcome<Link> {
    let module = target_dir()?.join("wasm32-unknown-unknown/web/web.wasm");
    let work = target_dir()?.join("split");
    if work.exists() {
        fs::remove_dir_all(&work).map_err(|e| Failure::io("empty", &work, &e))?;
    }
    let wasm_split = found(Need::WasmSplit)?;
    run::show(
        run::program(wasm_split, &paths::root())
            .args([&module, &work])
            .args(["--out-name", "web"]),
    )?;
    let bound = work.join("bound");
    run::show(
        run::program(found(Need::WasmBindgen)?, &paths::root())
            .args(["--target=web", "--no-typescript", "--out-name=web"])
            // The second half finds the table of functions among them.
            .arg("--keep-lld-exports")
            .arg("--out-dir")
            .args([&bound, &work.join("web.wasm")]),
    )?;
    optimise(&bound.join("web_bg.wasm"), &staging.join(shell.wasm()?))?;
    let mut text = read_text(&work.join(LINK))?;
    for file in halves(&work)? {
        let small = work.join("small.wasm");
        optimise(&work.join(&file), &small)?;
        let bytes = fs::read(&small).map_err(|e| Failure::io("read", &small, &e))?;
        let named = format!("later-{}.wasm", short_hash(&bytes));
        let place = staging.join(&named);
        fs::write(&place, bytes).map_err(|e| Failure::io("write", &place, &e))?;
        text = replaced(&text, &format!("\"./{file}\""), &format!("\"./{named}\""))?;
        shell.need_later(&named);
    }
    text = replaced(&text, STREAMED, TOLERANT)?;
    text.push_str(INSTANTIATE);
    let binding = read_text(&bound.join("web.js"))?;
    // The two name each other, so the names cannot both be hashes of all that the files hold.
    let name = format!(
        "later-{}.js",
        short_hash(format!("{text}{binding}").as_bytes())
    );
    // The module itself knows the link under its first name.
    let binding = replaced(
        &binding,
        &format!("from \"./{LINK}\""),
        &format!("from \"./{name}\""),
    )?;
    write_text(&staging.join(shell.js()?), &binding)?;
    Ok(Link { name, text })
}

impl Link {
    /// Writes the link, with the final name of the binding in it.
    pub(super) fn write(&self, staging: &Path, binding: &str) -> Outcome<()> {
        let text = replaced(&self.text, BINDING, &format!("./{binding}"))?;
        write_text(&staging.join(&self.name), &text)
    }
}

fn found(need: Need) -> Outcome<PathBuf> {
    need.find().map(|found| found.path).ok_or_else(|| {
        Failure::new(format!("{} is missing", need.name())).with_remedy("cargo xtask setup")
    })
}

/// Where cargo builds, whatever sets it.
fn target_dir() -> Outcome<PathBuf> {
    let mut cargo = run::cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1"]);
    let told = run::capture(&mut cargo)
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    told.as_ref()
        .and_then(|value| value.get("target_directory")?.as_str())
        .map(PathBuf::from)
        .ok_or_else(|| Failure::new("`cargo metadata` does not say where it builds"))
}

/// What wasm-split left beside the first half.
fn halves(work: &Path) -> Outcome<Vec<String>> {
    let mut all = super::files(work)?;
    all.retain(|name| name.starts_with("split_") || name.starts_with("chunk_"));
    match all.is_empty() {
        false => Ok(all),
        true => Err(Failure::new(
            "the module was not cut: web/build.rs must have it built with `split`",
        )),
    }
}

/// Makes a module small, and smaller still for gzip: functions of like names are mostly copies of
/// one generic function, and side by side they compress (by 4 % of the whole). `-O2` leaves more
/// bytes than `-Oz`, and fewer once they are compressed.
fn optimise(from: &Path, to: &Path) -> Outcome<()> {
    let named = to.with_extension("named.wasm");
    wasm_opt(&["-O2", "--debuginfo"], from, &named)?;
    wasm_opt(&["--reorder-functions-by-name"], &named, to)?;
    fs::remove_file(&named).map_err(|e| Failure::io("remove", &named, &e))
}

fn wasm_opt(passes: &[&str], from: &Path, to: &Path) -> Outcome<()> {
    let mut command: Command = run::program(paths::npm_bin().join("wasm-opt"), &paths::root());
    command.args(passes);
    command.args(FEATURES.map(|feature| format!("--enable-{feature}")));
    command.arg(from).arg("-o").arg(to);
    run::show(tools::with_tools(&mut command))
}

/// `text` with `old` made `new`; that it is not there is an error, so that a change of a tool's
/// output cannot pass unnoticed.
fn replaced(text: &str, old: &str, new: &str) -> Outcome<String> {
    match text.contains(old) {
        true => Ok(text.replace(old, new)),
        false => Err(Failure::new(format!(
            "{old} is not in what the tools wrote; xtask/src/dist/split.rs relies on it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_names_the_binding() {
        let dir = super::super::tests::scratch("split");
        for (text, holds) in [("import \"./web.js\"", true), ("import \"./x.js\"", false)] {
            let link = Link {
                name: "later.js".to_owned(),
                text: text.to_owned(),
            };
            assert_eq!(link.write(&dir, "web-1.js").is_ok(), holds, "{text}");
        }
        let written = read_text(&dir.join("later.js")).expect("written");
        assert_eq!(written, "import \"./web-1.js\"");
        let _ = fs::remove_dir_all(&dir);
    }
}
