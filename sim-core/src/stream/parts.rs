//! The code that acts a job out, as a table of functions.
//!
//! A world without a job does not link a stream processor: what is shared by all systems calls one
//! through [`StreamParts`] alone, which only the reader of scenarios names.

use serde::{Serialize, Serializer};
use std::fmt;

/// The code.
#[derive(Clone, Copy)]
pub struct StreamParts(&'static Table);

pub(super) struct Table {
    name: &'static str,
}

static EVERYTHING: Table = Table { name: "everything" };

impl StreamParts {
    /// All of it.
    pub const EVERYTHING: StreamParts = StreamParts(&EVERYTHING);
}

impl PartialEq for StreamParts {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for StreamParts {}

impl fmt::Debug for StreamParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Serialize for StreamParts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Code is not state.
        serializer.serialize_unit()
    }
}
