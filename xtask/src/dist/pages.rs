//! One file a route, so that every address of the site answers by itself on any static host.
//!
//! A page is the shell with its own title, description, static text and base. The application's
//! routes stand in `ROUTES`; whatever else wants a page (the lessons) leaves a fragment named
//! `page.fragment.html` in its folder: `title:` and `description:` lines, an empty line, then HTML.

use super::html::{Page, Shell, escape};
use super::{base64, files, read_text, write_text};
use crate::failure::{Failure, Outcome};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

pub(super) const FRAGMENT: &str = "page.fragment.html";

struct Route {
    path: &'static str,
    title: &'static str,
    description: &'static str,
}

/// The application's own addresses besides the home page.
const ROUTES: [Route; 5] = [
    Route {
        path: "course",
        title: "Course · Strandline",
        description: "Lessons that ask what you expect before they show what happens.",
    },
    Route {
        path: "sandbox",
        title: "Sandbox · Strandline",
        description: "Build a cluster of your own, put it under load and break it.",
    },
    Route {
        path: "scenarios",
        title: "Scenarios · Strandline",
        description: "Failure stories of streaming systems, one file each, to run and to break.",
    },
    Route {
        path: "run",
        title: "A run · Strandline",
        description: "A run that somebody shared: the same events, byte for byte.",
    },
    Route {
        path: "reference",
        title: "Reference · Strandline",
        description: "Glossary, rules, what is left out, and the keyboard.",
    },
];

/// Finds the site's root from an address below it: the 404 page cannot know how deep it is shown.
const FIND_ROOT: &str = r#"(async () => {
  const parts = location.pathname.split("/");
  for (let n = parts.length - 1; n > 0; n--) {
    const root = parts.slice(0, n).join("/") + "/";
    const answer = await fetch(root + "sw.js", { method: "HEAD" }).catch(() => null);
    if (answer && answer.ok) return void (document.getElementById("home").href = root);
  }
})();"#;

/// Writes all pages into `staging`.
pub(crate) fn write(staging: &Path, shell: &Shell) -> Outcome<()> {
    write_text(&staging.join("index.html"), shell.home())?;
    for route in &ROUTES {
        let title = route.title.split(" · ").next().unwrap_or(route.title);
        let body = format!(
            "<h1>{}</h1><p>{}</p>",
            escape(title),
            escape(route.description)
        );
        let page = Page {
            title: route.title,
            description: route.description,
            body: &body,
        };
        write_page(staging, route.path, shell, &page)?;
    }
    for file in files(staging)? {
        let Some(folder) = file
            .strip_suffix(FRAGMENT)
            .and_then(|dir| dir.strip_suffix('/'))
        else {
            continue;
        };
        let path = staging.join(&file);
        let text = read_text(&path)?;
        let page = parse_fragment(&text)
            .map_err(|what| Failure::new(format!("{}: {what}", path.display())))?;
        write_page(staging, folder, shell, &page)?;
        fs::remove_file(&path).map_err(|e| Failure::io("remove", &path, &e))?;
    }
    write_text(&staging.join("404.html"), &not_found(shell.base()?))?;
    // Without it GitHub Pages would leave out files whose names begin with an underscore.
    write_text(&staging.join(".nojekyll"), "")
}

fn write_page(staging: &Path, folder: &str, shell: &Shell, page: &Page<'_>) -> Outcome<()> {
    let depth = folder.split('/').count();
    write_text(
        &staging.join(folder).join("index.html"),
        &shell.page(page, depth)?,
    )
}

fn parse_fragment(text: &str) -> Result<Page<'_>, String> {
    let (head, body) = text
        .split_once("\n\n")
        .ok_or("no empty line after the head")?;
    let field = |name: &str| {
        let line = head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(str::trim)
            .ok_or_else(|| format!("no `{name}:` line in the head"))
    };
    Ok(Page {
        title: field("title")?,
        description: field("description")?,
        body,
    })
}

fn not_found(base: &str) -> String {
    let relative = base.starts_with("./");
    let (script, policy) = match relative {
        false => (String::new(), String::new()),
        true => {
            let hash = base64::encode(&Sha256::digest(FIND_ROOT));
            let policy = format!(" script-src 'sha256-{hash}'; connect-src 'self';");
            (format!("<script>{FIND_ROOT}</script>"), policy)
        }
    };
    format!(
        r#"<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';{policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="robots" content="noindex" />
    <title>No page here · Strandline</title>
    <style>
      :root {{ color-scheme: light dark; }}
      body {{ font: 1.0625rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1.25rem;
        background: light-dark(#fbf8f2, #0d1a21); color: light-dark(#1b2a33, #e8eef0); }}
      a {{ color: light-dark(#0b6e7f, #4fc0cf); }}
    </style>
  </head>
  <body>
    <main>
      <h1>No page here</h1>
      <p>The tide took it, or it never was. <a id="home" href="{home}">Go to the start of Strandline</a>.</p>
    </main>
    {script}
  </body>
</html>
"#,
        home = escape(base),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_has_a_head_and_a_body() {
        let page = parse_fragment("title: T\ndescription: D\n\n<p>\n\nx</p>").expect("complete");
        assert_eq!(
            (page.title, page.description, page.body),
            ("T", "D", "<p>\n\nx</p>")
        );
        for (text, expect) in [
            ("title: T", "no empty line"),
            ("title: T\n\nx", "`description:`"),
            ("\n\nx", "`title:`"),
        ] {
            let error = parse_fragment(text).err().unwrap_or_default();
            assert!(error.contains(expect), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn only_a_relative_build_looks_for_its_root() {
        assert!(not_found("./").contains("script-src 'sha256-"));
        let fixed = not_found("/strandline/");
        assert!(!fixed.contains("<script"), "{fixed}");
        assert!(fixed.contains(r#"href="/strandline/""#), "{fixed}");
    }
}
