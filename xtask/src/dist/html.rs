//! The page that Trunk wrote, as the shell for all others.
//!
//! `index.html` is ours and written to be edited by these few replacements; a replacement that
//! finds nothing is an error, so that a change of that file cannot disable one unnoticed.

use crate::failure::{Failure, Outcome};
use std::fs;
use std::path::Path;

const PAGE_START: &str = "<!-- page -->";
const PAGE_END: &str = "<!-- /page -->";
/// Trunk writes this into a page that it serves itself.
const SERVED: &str = "{{__TRUNK_ADDRESS__}}";

/// The HTML of the home page.
pub(crate) struct Shell {
    html: String,
    /// Files that every page but the home page needs at once as well.
    later: Vec<String>,
}

/// What one page has of its own.
pub(crate) struct Page<'a> {
    /// Text of the title element.
    pub(crate) title: &'a str,
    /// One sentence for search engines and previews.
    pub(crate) description: &'a str,
    /// What can be read without script.
    pub(crate) body: &'a str,
}

/// Text as the content of an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn lacking(what: &str) -> Failure {
    Failure::new(format!(
        "the built index.html has no {what}; xtask/src/dist/html.rs relies on it"
    ))
}

/// The part of `text` between `start` and the next `end`, as a byte range.
fn between(text: &str, start: &str, end: &str) -> Option<std::ops::Range<usize>> {
    let from = text.find(start)? + start.len();
    Some(from..from + text[from..].find(end)?)
}

impl Shell {
    /// A shell from the file that Trunk wrote.
    pub(crate) fn new(html: String) -> Self {
        Self {
            html,
            later: Vec::new(),
        }
    }

    /// The home page.
    pub(crate) fn home(&self) -> &str {
        &self.html
    }

    /// Whether Trunk serves this build itself, with reload on change.
    pub(crate) fn is_served(&self) -> bool {
        self.html.contains(SERVED)
    }

    /// The base address of the build: `./`, a path, or a full address.
    pub(crate) fn base(&self) -> Outcome<&str> {
        let range = between(&self.html, "<base href=\"", "\"").ok_or_else(|| lacking("base"))?;
        Ok(&self.html[range])
    }

    /// Names a file anew, wherever the page refers to it.
    pub(crate) fn rename(&mut self, old: &str, new: &str) -> Outcome<()> {
        let (base, quoted) = (self.base()?.to_owned(), format!("\"{old}\""));
        if !self.html.contains(&quoted) {
            return Err(lacking(&quoted));
        }
        self.html = self
            .html
            .replace(&quoted, &format!("\"{new}\""))
            .replace(&format!("\"{base}{old}\""), &format!("\"{base}{new}\""));
        Ok(())
    }

    /// The name of the loader that wasm-bindgen made.
    pub(crate) fn js(&self) -> Outcome<&str> {
        self.loader_attribute("data-js=\"")
    }

    /// The name of the module's file.
    pub(crate) fn wasm(&self) -> Outcome<&str> {
        self.loader_attribute("data-wasm=\"")
    }

    fn loader_attribute(&self, start: &str) -> Outcome<&str> {
        let range = between(&self.html, start, "\"").ok_or_else(|| lacking(start))?;
        Ok(&self.html[range])
    }

    /// Tells the loader how many bytes to expect: with compression the header does not.
    pub(crate) fn note_wasm_size(&mut self, dir: &Path) -> Outcome<()> {
        let path = dir.join(self.wasm()?);
        let size = fs::metadata(&path)
            .map_err(|e| Failure::io("measure", &path, &e))?
            .len();
        self.on_loader(&format!("data-wasm-bytes=\"{size}\""));
        Ok(())
    }

    /// Tells the loader which service worker to register.
    pub(crate) fn name_worker(&mut self, file: &str) {
        self.on_loader(&format!("data-worker=\"{file}\""));
    }

    fn on_loader(&mut self, attribute: &str) {
        self.html = self
            .html
            .replacen(" data-wasm=\"", &format!(" {attribute} data-wasm=\""), 1);
    }

    /// Adds a meta element that the application reads.
    pub(crate) fn add_meta(&mut self, name: &str, content: &str) {
        let meta = format!(
            "<meta name=\"{name}\" content=\"{}\" /></head>",
            escape(content)
        );
        self.html = self.html.replacen("</head>", &meta, 1);
    }

    /// Names a file that every page but the home page asks for first: they fetch it at once.
    pub(crate) fn need_later(&mut self, file: &str) {
        self.later.push(file.to_owned());
    }

    /// Lets Trunk's reload script run, for a served build.
    pub(crate) fn relax_policy(&mut self) {
        self.html = self
            .html
            .replacen("script-src 'self'", "script-src 'self' 'unsafe-inline'", 1)
            .replacen("connect-src 'self'", "connect-src 'self' ws: wss:", 1);
    }

    /// A page `depth` folders below the home page.
    pub(crate) fn page(&self, page: &Page<'_>, depth: usize) -> Outcome<String> {
        let mut html = self.html.clone();
        let mut put = |start: &str, end: &str, text: &str| {
            let range = between(&html, start, end).ok_or_else(|| lacking(start))?;
            html.replace_range(range, text);
            Ok::<(), Failure>(())
        };
        put("<title>", "</title>", &escape(page.title))?;
        put(
            "name=\"description\"",
            "/>",
            &format!(" content=\"{}\" ", escape(page.description)),
        )?;
        put(
            PAGE_START,
            PAGE_END,
            &format!("<div id=\"static\">{}</div>", page.body),
        )?;
        if let Some(below) = self.base()?.strip_prefix("./") {
            put(
                "<base href=\"",
                "\"",
                &format!("{}{below}", "../".repeat(depth)),
            )?;
        }
        for file in &self.later {
            let link =
                format!("<link rel=\"preload\" as=\"fetch\" crossorigin href=\"{file}\" /></head>");
            html = html.replacen("</head>", &link, 1);
        }
        Ok(html)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = r#"<head><base href="./" /><title>a</title><meta
        name="description"
        content="b"
      /></head><!-- page --><p>c</p><!-- /page --><script src="boot.js" data-wasm="x.wasm">"#;

    #[test]
    fn a_page_has_its_own_words_and_base() {
        let shell = Shell::new(HTML.to_owned());
        let page = Page {
            title: "A & B",
            description: "said \"so\"",
            body: "<h1>T</h1>",
        };
        let html = shell.page(&page, 2).expect("all marks are there");
        for expect in [
            r#"<base href="../../""#,
            "<title>A &amp; B</title>",
            r#"content="said &quot;so&quot;""#,
            r#"<div id="static"><h1>T</h1></div>"#,
        ] {
            assert!(html.contains(expect), "{expect} in {html}");
        }
        let fixed = Shell::new(HTML.replace("./", "/strandline/"));
        assert!(
            fixed
                .page(&page, 2)
                .expect("fine")
                .contains(r#"<base href="/strandline/""#)
        );
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let mut shell = Shell::new(HTML.to_owned());
        assert!(shell.rename("boot.js", "boot-1.js").is_ok());
        assert!(shell.home().contains("boot-1.js"));
        assert!(shell.rename("boot.js", "boot-2.js").is_err());
        let page = Page {
            title: "",
            description: "",
            body: "",
        };
        assert!(
            Shell::new(HTML.replace("<!-- page -->", ""))
                .page(&page, 0)
                .is_err()
        );
    }
}
