//! Keyed state in files, as the inspector shows it: the tree of an operator's LSM backend.
//!
//! It says what the model has (`rules::lsm`): merging takes no time there, so that none is ever seen
//! half done; what it has written is told instead.

use super::job::Look;
use crate::stream::rules::lsm::SstFile;
use crate::stream::task::chain::ChainLink;
use crate::view::{StateTree, TreeCheckpoint, TreeFile, TreeLevel};
use std::collections::BTreeSet;

/// Files of a level that are listed.
const FILES: usize = 12;
/// Checkpoints that are listed.
const CHECKPOINTS: usize = 4;

impl Look<'_> {
    /// The tree of an operator, if its state lies in files.
    pub(super) fn tree(&self, it: &ChainLink) -> Option<StateTree> {
        let backend = it.backend.as_deref()?;
        let (lsm, snapshots) = (backend.lsm(), backend.snapshots());
        let listed: Vec<(i64, &[u64])> = snapshots.checkpoints().rev().take(CHECKPOINTS).collect();
        let file = |it: &SstFile| TreeFile {
            number: ((it.id >> 32) as u32, it.id as u32),
            bytes: it.bytes,
            held_by: listed
                .iter()
                .filter(|(_, files)| files.contains(&it.id))
                .map(|(checkpoint, _)| *checkpoint)
                .collect(),
        };
        let lowest = lsm.files().iter().map(|it| it.level).max().unwrap_or(0);
        let level = |level: u8| {
            let files = || lsm.files().iter().filter(move |it| it.level == level);
            TreeLevel {
                level,
                files: files().count() as u32,
                bytes: files().map(|it| it.bytes).sum(),
                limit: lsm.due(level),
                first: files().take(FILES).map(file).collect(),
            }
        };
        let there: BTreeSet<u64> = lsm.files().iter().map(|it| it.id).collect();
        let checkpoint = |(id, files): &(i64, &[u64])| {
            let still = files.iter().filter(|it| there.contains(it)).count();
            TreeCheckpoint {
                id: *id,
                files: (files.len() as u32, still as u32),
                uploaded: snapshots.upload_bytes(*id),
            }
        };
        let (places, access_ns) = backend.cost();
        let operator = self.job.spec.operators.get(it.operator as usize);
        Some(StateTree {
            operator: operator.map_or_else(String::new, |it| it.name.clone()),
            memtable: (lsm.memtable(), lsm.settings().write_buffer),
            levels: (0..=lowest).map(level).collect(),
            places,
            access_ns,
            written: lsm.written(),
            base: snapshots.base(),
            checkpoints: listed.iter().map(checkpoint).collect(),
        })
    }
}
