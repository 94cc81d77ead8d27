//! The course: reads lesson folders, checks every block against the engine, and makes pages.
//!
//! A lesson is a folder: `lesson.md` (Markdown with TOML front matter) and its scenario files. A
//! fenced block whose info word is `sim`, `predict`, `twin`, `caption` or `claim` holds TOML and
//! places a live part. Everything a block says is run here, natively, before it is shown anywhere:
//! a broken block fails the build with file and line. The output is one JSON file per lesson for
//! the site and one static page per lesson that reads in full without script.

mod ask;
mod block;
mod check;
mod page;
mod parse;
mod problem;

pub use block::{Block, Choice, Claim, Lesson, Predict, Sim, TimedCaption, Twin};
pub use check::{Checked, check_lesson};
pub use page::{ForSite, page_fragment};
pub use parse::read_lesson;
pub use problem::Problem;

use serde::Serialize;
use std::path::{Path, PathBuf};

/// One line of the course's table of contents.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Folder name; part of the address.
    pub slug: String,
    /// Title.
    pub title: String,
    /// One sentence.
    pub summary: String,
    /// Part of the course that it belongs to.
    pub part: String,
    /// Place in the course.
    pub order: u32,
    /// Reading and playing time, minutes.
    pub minutes: u32,
    /// Claims that were executed.
    pub claims: u32,
    /// Predictions that were graded.
    pub predictions: u32,
}

/// Reads all lessons below a folder, in course order.
///
/// # Errors
/// All problems of all lessons.
pub fn read_course(folder: &Path) -> Result<Vec<Lesson>, Vec<Problem>> {
    let mut lessons = Vec::new();
    let mut problems = Vec::new();
    for folder in lesson_folders(folder).map_err(|problem| vec![problem])? {
        match read_lesson(&folder) {
            Ok(lesson) => lessons.push(lesson),
            Err(found) => problems.extend(found),
        }
    }
    lessons.sort_by_key(|lesson| lesson.order);
    if problems.is_empty() {
        Ok(lessons)
    } else {
        Err(problems)
    }
}

fn lesson_folders(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.join("lesson.md").is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    };
    read().map_err(|error| Problem::file(folder, format!("cannot be read: {error}")))
}

/// Compiles the course: checks every lesson, then writes `lessons/<slug>.json`,
/// `lessons/<slug>/page.fragment.html` and `lessons/index.json` below `out`. Returns the contents.
///
/// # Errors
/// All problems of all lessons; nothing is written then.
pub fn compile(folder: &Path, out: &Path) -> Result<Vec<Entry>, Vec<Problem>> {
    let lessons = read_course(folder)?;
    let mut problems = Vec::new();
    let mut entries = Vec::new();
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for lesson in &lessons {
        match check_lesson(lesson) {
            Ok(checked) => {
                entries.push(checked.entry(lesson));
                let json = serde_json::to_string(&lesson.for_site(&checked)).unwrap_or_default();
                let name = &lesson.slug;
                files.push((out.join(format!("lessons/{name}.json")), json));
                let page = page_fragment(lesson, &checked);
                files.push((out.join(format!("lessons/{name}/page.fragment.html")), page));
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let index = serde_json::to_string(&entries).unwrap_or_default();
    files.push((out.join("lessons/index.json"), index));
    for (path, text) in files {
        let parent = path.parent().unwrap_or(out);
        let write = || std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, &text));
        write()
            .map_err(|error| vec![Problem::file(&path, format!("cannot be written: {error}"))])?;
    }
    Ok(entries)
}
