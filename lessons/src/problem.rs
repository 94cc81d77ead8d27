//! What is wrong with a lesson, and where.

use std::path::{Path, PathBuf};

/// A problem at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// File.
    pub file: PathBuf,
    /// Line from 1; 0 = the file as a whole.
    pub line: u32,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// Of a whole file.
    #[must_use]
    pub fn file(file: &Path, message: String) -> Self {
        Problem {
            file: file.to_owned(),
            line: 0,
            message,
        }
    }

    /// At a line.
    #[must_use]
    pub fn at(file: &Path, line: u32, message: impl Into<String>) -> Self {
        Problem {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.file.display(), self.message)
        } else {
            write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
        }
    }
}
