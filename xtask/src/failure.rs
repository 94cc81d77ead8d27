//! What went wrong, and the command that would put it right.

use std::fmt;
use std::path::Path;

/// A step that could not be done.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened, in one or more sentences.
    pub(crate) what: String,
    /// What the reader can type or do, when that is known.
    pub(crate) remedy: Option<String>,
}

/// The result of every step.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A failure without a known remedy.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: None,
        }
    }

    /// The same failure with a remedy.
    #[must_use]
    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// A file operation that failed, with the path in the message.
    pub(crate) fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("cannot {doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  try: {remedy}")?;
        }
        Ok(())
    }
}
