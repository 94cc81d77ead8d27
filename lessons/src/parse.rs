//! Reading a lesson: front matter, prose, and blocks with their lines.

use crate::block::{Block, Lesson};
use crate::problem::Problem;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Largest lesson text, bytes.
const TEXT_MAX: usize = 256 * 1024;

/// The front matter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Front {
    title: String,
    summary: String,
    part: String,
    order: u32,
    minutes: u32,
    #[serde(default)]
    left_out: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
}

/// Reads a lesson folder.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn read_lesson(folder: &Path) -> Result<Lesson, Vec<Problem>> {
    let file = folder.join("lesson.md");
    let text = std::fs::read_to_string(&file)
        .map_err(|error| vec![Problem::file(&file, format!("cannot be read: {error}"))])?;
    if text.len() > TEXT_MAX {
        return Err(vec![Problem::file(
            &file,
            format!("is longer than {TEXT_MAX} bytes"),
        )]);
    }
    let (front, body, offset) = front_matter(&file, &text).map_err(|problem| vec![problem])?;
    let scenarios = scenarios(folder).map_err(|problem| vec![problem])?;
    let blocks = blocks(&file, body, offset)?;
    let slug = folder
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Lesson {
        slug,
        file,
        title: front.title,
        summary: front.summary,
        part: front.part,
        order: front.order,
        minutes: front.minutes,
        left_out: front.left_out,
        sources: front.sources,
        scenarios,
        blocks,
    })
}

fn scenarios(folder: &Path) -> Result<BTreeMap<String, String>, Problem> {
    let mut found = BTreeMap::new();
    let read = |found: &mut BTreeMap<String, String>| -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml")
                && let Some(name) = path.file_name()
            {
                found.insert(
                    name.to_string_lossy().into_owned(),
                    std::fs::read_to_string(&path)?,
                );
            }
        }
        Ok(())
    };
    read(&mut found).map_err(|error| Problem::file(folder, format!("cannot be read: {error}")))?;
    Ok(found)
}

/// Front matter, the rest, and the line on which the rest begins.
fn front_matter<'a>(file: &Path, text: &'a str) -> Result<(Front, &'a str, u32), Problem> {
    let need = "must begin with front matter: `+++`, TOML, `+++`";
    let rest = text
        .strip_prefix("+++\n")
        .ok_or_else(|| Problem::at(file, 1, need))?;
    let (head, body) = rest
        .split_once("\n+++\n")
        .ok_or_else(|| Problem::at(file, 1, need))?;
    let front = toml::from_str(head).map_err(|error| {
        let line = error
            .span()
            .map_or(0, |span| head[..span.start].matches('\n').count() as u32);
        Problem::at(file, line + 2, error.message().to_owned())
    })?;
    Ok((front, body, head.matches('\n').count() as u32 + 3))
}

fn blocks(file: &Path, body: &str, offset: u32) -> Result<Vec<(u32, Block)>, Vec<Problem>> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut blocks: Vec<(u32, Block)> = Vec::new();
    let mut problems = Vec::new();
    let mut prose: Vec<Event<'_>> = Vec::new();
    let mut live: Option<(String, String, u32)> = None;
    let line_of = |at: usize| body[..at].matches('\n').count() as u32 + offset + 1;
    let mut prose_line = offset + 1;
    for (event, range) in Parser::new_ext(body, options).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) if is_live(&info) => {
                flush(&mut prose, prose_line, &mut blocks);
                live = Some((info.trim().to_owned(), String::new(), line_of(range.start)));
            }
            Event::End(TagEnd::CodeBlock) if live.is_some() => {
                if let Some((kind, text, line)) = live.take() {
                    match block(&kind, &text) {
                        Ok(block) => blocks.push((line, block)),
                        Err((at, message)) => problems.push(Problem::at(file, line + at, message)),
                    }
                }
                prose_line = line_of(range.end.min(body.len()));
            }
            Event::Text(text) if live.is_some() => {
                if let Some((_, body, _)) = &mut live {
                    body.push_str(&text);
                }
            }
            Event::Html(_) | Event::InlineHtml(_) => {
                let message = "raw HTML is not allowed in lessons";
                problems.push(Problem::at(file, line_of(range.start), message));
            }
            // The page has its own <h1>: the lesson's title.
            Event::Start(Tag::Heading {
                level: HeadingLevel::H1,
                ..
            }) => {
                let message = "the title stands in the front matter: begin with `##`";
                problems.push(Problem::at(file, line_of(range.start), message));
            }
            other => prose.push(other),
        }
    }
    flush(&mut prose, prose_line, &mut blocks);
    if problems.is_empty() {
        Ok(blocks)
    } else {
        Err(problems)
    }
}

fn is_live(info: &str) -> bool {
    matches!(
        info.trim(),
        "sim" | "predict" | "twin" | "caption" | "claim"
    )
}

fn flush(prose: &mut Vec<Event<'_>>, line: u32, blocks: &mut Vec<(u32, Block)>) {
    if prose.is_empty() {
        return;
    }
    let mut out = String::new();
    html::push_html(&mut out, prose.drain(..));
    blocks.push((line, Block::Prose { html: out }));
}

/// Reads a block's TOML; the error has its line within the block, the fence being line 0.
fn block(kind: &str, text: &str) -> Result<Block, (u32, String)> {
    let wrong = |error: toml::de::Error| {
        let line = error
            .span()
            .map_or(0, |span| text[..span.start].matches('\n').count() as u32);
        (
            line + 1,
            format!("in this `{kind}` block: {}", error.message()),
        )
    };
    Ok(match kind {
        "sim" => Block::Sim(toml::from_str(text).map_err(wrong)?),
        "predict" => Block::Predict(toml::from_str(text).map_err(wrong)?),
        "twin" => Block::Twin(toml::from_str(text).map_err(wrong)?),
        "caption" => Block::Caption(toml::from_str(text).map_err(wrong)?),
        _ => Block::Claim(toml::from_str(text).map_err(wrong)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: &str = "+++\ntitle = \"T\"\nsummary = \"S\"\npart = \"P\"\norder = 1\nminutes = \
                         5\n+++\n";

    fn check(body: &str, want: &[(u32, &str)]) {
        let text = format!("{FRONT}{body}");
        let file = Path::new("lesson.md");
        let (_, body, offset) = front_matter(file, &text).expect("front matter is good");
        let found = match blocks(file, body, offset) {
            Ok(blocks) => blocks
                .iter()
                .map(|(line, block)| {
                    let kind = serde_json::to_value(block).expect("serializes");
                    (*line, kind["type"].as_str().expect("has a type").to_owned())
                })
                .collect::<Vec<_>>(),
            Err(problems) => problems
                .iter()
                .map(|p| (p.line, p.message.clone()))
                .collect(),
        };
        let found: Vec<(u32, &str)> = found.iter().map(|(l, t)| (*l, t.as_str())).collect();
        assert_eq!(found, want);
    }

    #[test]
    fn blocks_and_their_lines() {
        check(
            "a\n\n```sim\nscenario = \"x.toml\"\n```\nb\n",
            &[(8, "prose"), (10, "sim"), (12, "prose")],
        );
        check("```rust\nfn main() {}\n```\n", &[(8, "prose")]);
        check(
            "a <b>x</b>\n",
            &[
                (8, "raw HTML is not allowed in lessons"),
                (8, "raw HTML is not allowed in lessons"),
            ],
        );
        check(
            "# T\n",
            &[(8, "the title stands in the front matter: begin with `##`")],
        );
        check(
            "```sim\nscenari = \"x\"\n```\n",
            &[(
                9,
                "in this `sim` block: unknown field `scenari`, expected one of `scenario`, `lanes`, \
             `from`, `until`, `speed`, `controls`, `look`",
            )],
        );
    }
}
