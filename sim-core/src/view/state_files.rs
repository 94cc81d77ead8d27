//! Keyed state that lies in files, as the inspector shows it: the write buffer, the levels with
//! their files, what a record's access costs, and which files checkpoints share.

use serde::Serialize;

/// The LSM tree of an operator in a subtask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct StateTree {
    /// The operator's name.
    pub operator: String,
    /// Bytes in the write buffer (memtable), and how many it may hold.
    pub memtable: (u64, u64),
    /// The levels, from 0 to the lowest that has files.
    pub levels: Vec<TreeLevel>,
    /// Places that a read looks at: the write buffer, each file of level 0, each further level.
    pub places: u32,
    /// What reading and writing an entry costs a record now, ns.
    pub access_ns: u64,
    /// Bytes that were flushed to level 0, and bytes that merging has written, in this attempt.
    pub written: (u64, u64),
    /// The checkpoint that the next one builds upon.
    pub base: Option<i64>,
    /// Checkpoints that may become a base, and the one that is, the newest first.
    pub checkpoints: Vec<TreeCheckpoint>,
}

/// A level of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TreeLevel {
    /// Its number.
    pub level: u8,
    /// How many files it has, and their bytes.
    pub files: u32,
    /// Bytes of its files.
    pub bytes: u64,
    /// When some of it is merged downwards: so many files of level 0, so many bytes of others;
    /// never of the last.
    pub limit: Option<u64>,
    /// Its files, the first few.
    pub first: Vec<TreeFile>,
}

/// A file of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TreeFile {
    /// Attempt that wrote it, and its number there.
    pub number: (u32, u32),
    /// Its size.
    pub bytes: u64,
    /// Checkpoints it belongs to, of those that are listed.
    pub held_by: Vec<i64>,
}

/// A checkpoint of a tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TreeCheckpoint {
    /// Its id.
    pub id: i64,
    /// How many files it has, and how many of them are in the tree still.
    pub files: (u32, u32),
    /// Bytes that it uploaded, where that is known.
    pub uploaded: Option<u64>,
}
