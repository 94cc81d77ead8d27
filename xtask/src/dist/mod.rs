//! Finishing a build: what happens in Trunk's staging folder after Trunk is done with it.
//!
//! File names by content for what Trunk only copies, the editor's bundle, the lessons, one page a
//! route with the right base, and the service worker's list. Called as Trunk's `post_build` hook,
//! so that `trunk serve` alone has the same result. Everything is written into the staging folder,
//! which Trunk does not watch.

mod base64;
mod editor;
mod html;
mod lessons;
mod minify;
mod pages;
mod scenarios;
mod service_worker;
pub(crate) mod sizes;
mod split;

use crate::failure::{Failure, Outcome};
use html::Shell;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The hook's entry: where the build stands comes from Trunk's environment.
pub(crate) fn finish_hook() -> Outcome<()> {
    let staging = std::env::var_os("TRUNK_STAGING_DIR")
        .map(PathBuf::from)
        .ok_or_else(|| {
            Failure::new("TRUNK_STAGING_DIR is not set: this command is called by Trunk")
                .with_remedy("cargo xtask build")
        })?;
    scenarios::copy(&staging)?;
    let shrink = |staging: &Path, shell: &mut Shell| {
        if std::env::var_os("TRUNK_PROFILE").is_none_or(|profile| profile != "release") {
            return Ok(None);
        }
        let link = split::cut(staging, shell)?;
        minify::all(staging)?;
        Ok(Some(link))
    };
    finish(&staging, shrink, editor::bundle, lessons::compile)
}

/// The parts that need other programs are handed in, so that the rest can be tested alone.
fn finish(
    staging: &Path,
    shrink: impl Fn(&Path, &mut Shell) -> Outcome<Option<split::Link>>,
    bundle_editor: impl Fn(&Path, bool) -> Outcome<Option<String>>,
    compile_lessons: impl Fn(&Path) -> Outcome<()>,
) -> Outcome<()> {
    let index = staging.join("index.html");
    let mut shell = Shell::new(read_text(&index)?);
    let link = shrink(staging, &mut shell)?;
    // Trunk names the module and its loader by the module before optimisation, so that either may
    // change under an unchanged name (trunk issue 1028); these names are those of the content.
    let (js, wasm) = (shell.js()?.to_owned(), shell.wasm()?.to_owned());
    let renamed = [
        ("theme", "theme.js"),
        ("boot", "boot.js"),
        ("web", &js),
        ("web", &wasm),
    ];
    for (stem, old) in renamed {
        let named = name_by_content(staging, stem, old)?;
        shell.rename(old, &named)?;
    }
    if let Some(link) = link {
        link.write(staging, shell.js()?)?;
    }
    shell.note_wasm_size(staging)?;
    if let Some(bundle) = bundle_editor(staging, shell.is_served())? {
        shell.add_meta("strandline-editor", &bundle);
    }
    if shell.is_served() {
        // Trunk's reload script is inline and speaks WebSocket. Published builds keep the policy.
        shell.relax_policy();
    } else {
        shell.name_worker(service_worker::FILE);
    }
    compile_lessons(staging)?;
    pages::write(staging, &shell)?;
    if !shell.is_served() {
        service_worker::write(staging)?;
    }
    Ok(())
}

/// Renames `dir/name.ext` to `dir/stem-<hash>.ext` and returns the new name.
fn name_by_content(dir: &Path, stem: &str, name: &str) -> Outcome<String> {
    let path = dir.join(name);
    let bytes = fs::read(&path).map_err(|e| Failure::io("read", &path, &e))?;
    let ending = name.rsplit_once('.').map_or("bin", |(_, ending)| ending);
    let named = format!("{stem}-{}.{ending}", short_hash(&bytes));
    fs::rename(&path, dir.join(&named)).map_err(|e| Failure::io("rename", &path, &e))?;
    Ok(named)
}

/// The first 64 bits of the SHA-256, in hex.
fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read_text(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
}

fn write_text(path: &Path, text: &str) -> Outcome<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|e| Failure::io("make the folder", parent, &e))?;
    }
    fs::write(path, text).map_err(|e| Failure::io("write", path, &e))
}

/// All files below `dir`, as paths relative to it with `/`, sorted.
fn files(dir: &Path) -> Outcome<Vec<String>> {
    fn walk(dir: &Path, prefix: &str, found: &mut Vec<String>) -> std::io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{name}/"), found)?;
            } else {
                found.push(name);
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(dir, "", &mut found).map_err(|e| Failure::io("list", dir, &e))?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("strandline-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the temporary folder is writable");
        dir
    }

    const INDEX: &str = r#"<html><head>
        <meta http-equiv="Content-Security-Policy" content="script-src 'self'" />
        <base href="./" /><title>Old</title><meta name="description" content="Old" />
        <script src="theme.js"></script></head><body>
        <!-- page --><div id="static">home</div><!-- /page -->
        <script type="module" src="boot.js" data-js="web.js" data-wasm="web_bg.wasm"></script>
        </body></html>"#;

    #[test]
    fn a_build_is_finished_as_a_whole() {
        let dir = scratch("finish");
        for (name, text) in [
            ("index.html", INDEX),
            ("theme.js", "1"),
            ("boot.js", "2"),
            ("web.js", "3"),
            ("web_bg.wasm", "\0asm"),
        ] {
            write_text(&dir.join(name), text).expect("writable");
        }
        let editor = |_: &Path, _| Ok(Some("editor-1.js".to_owned()));
        let lessons = |out: &Path| {
            let text = "title: Acks\ndescription: D\n\n<h1>What acks promise</h1>";
            write_text(&out.join("lessons/acks/page.fragment.html"), text)
        };
        let whole = |_: &Path, shell: &mut Shell| {
            shell.need_later("later-1.wasm");
            Ok(None)
        };
        finish(&dir, whole, editor, lessons).expect("finishes");
        let all = files(&dir).expect("listed");
        for expect in [
            "404.html",
            ".nojekyll",
            "sandbox/index.html",
            "lessons/acks/index.html",
            "sw.js",
        ] {
            assert!(all.iter().any(|name| name == expect), "{expect} in {all:?}");
        }
        assert!(
            !all.iter().any(|name| name == "boot.js"),
            "renamed by content"
        );
        let deep = read_text(&dir.join("sandbox/index.html")).expect("written");
        assert!(deep.contains(r#"<base href="../""#), "{deep}");
        assert!(deep.contains(r#"data-wasm-bytes="4""#), "{deep}");
        assert!(deep.contains("later-1.wasm"), "{deep}");
        let home = read_text(&dir.join("index.html")).expect("written");
        assert!(!home.contains("later-1.wasm"), "{home}");
        assert!(
            deep.contains(r#"name="strandline-editor" content="editor-1.js""#),
            "{deep}"
        );
        assert!(!all.iter().any(|name| name.contains("fragment")), "{all:?}");
        let worker = read_text(&dir.join("sw.js")).expect("written");
        let boot = all
            .iter()
            .find(|name| name.starts_with("boot-"))
            .expect("named by content");
        assert!(worker.contains(boot.as_str()), "{worker}");
        let _ = fs::remove_dir_all(&dir);
    }
}
