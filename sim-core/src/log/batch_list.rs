//! Batches that a read found and that travel on.
//!
//! Most reads of a busy cluster find none or one. Those take no room of their own, which spares an
//! allocation for nearly every partition of every fetch.

use super::batch::Batch;
use super::record::Record;
use serde::ser::{Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;

/// Batches in order, shared with the logs that hold them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchList<R = Record>(Kind<R>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind<R> {
    /// None or one.
    Few(Option<Arc<Batch<R>>>),
    /// Two or more.
    Many(Vec<Arc<Batch<R>>>),
}

impl<R> BatchList<R> {
    /// Adds a batch behind the others.
    #[inline]
    pub fn push(&mut self, batch: Arc<Batch<R>>) {
        match &mut self.0 {
            Kind::Few(few) => match few.take() {
                None => *few = Some(batch),
                Some(first) => self.0 = Kind::Many(vec![first, batch]),
            },
            Kind::Many(many) => many.push(batch),
        }
    }
}

impl<R> Default for BatchList<R> {
    fn default() -> Self {
        BatchList(Kind::Few(None))
    }
}

impl<R> Deref for BatchList<R> {
    type Target = [Arc<Batch<R>>];

    fn deref(&self) -> &[Arc<Batch<R>>] {
        match &self.0 {
            Kind::Few(few) => few.as_slice(),
            Kind::Many(many) => many,
        }
    }
}

impl<R> FromIterator<Arc<Batch<R>>> for BatchList<R> {
    fn from_iter<I: IntoIterator<Item = Arc<Batch<R>>>>(batches: I) -> Self {
        let mut list = BatchList::default();
        for batch in batches {
            list.push(batch);
        }
        list
    }
}

impl<R> IntoIterator for BatchList<R> {
    type Item = Arc<Batch<R>>;
    type IntoIter =
        std::iter::Chain<std::option::IntoIter<Self::Item>, std::vec::IntoIter<Self::Item>>;

    fn into_iter(self) -> Self::IntoIter {
        let (few, many) = match self.0 {
            Kind::Few(few) => (few, Vec::new()),
            Kind::Many(many) => (None, many),
        };
        few.into_iter().chain(many)
    }
}

impl<'a, R> IntoIterator for &'a BatchList<R> {
    type Item = &'a Arc<Batch<R>>;
    type IntoIter = std::slice::Iter<'a, Arc<Batch<R>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<R: Serialize> Serialize for BatchList<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ProducerStamp, RecordId};

    #[test]
    fn it_is_the_list_of_what_was_put_in() {
        let batch = |id| {
            let record = Record {
                id: RecordId(id),
                key: None,
                offset_delta: 0,
                bytes: 1,
                timestamp_ms: 0,
                tombstone: false,
            };
            Arc::new(Batch::new(vec![record], ProducerStamp::NONE))
        };
        for count in 0..4 {
            let batches: Vec<_> = (0..count).map(batch).collect();
            let list: BatchList = batches.iter().cloned().collect();
            assert_eq!(&*list, batches.as_slice());
            assert_eq!(list.clone().into_iter().collect::<Vec<_>>(), batches);
            assert_eq!(list.clone().into_iter().collect::<BatchList>(), list);
        }
    }
}
