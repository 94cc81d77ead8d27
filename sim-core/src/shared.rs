//! A list that is cheap to clone: full pieces are shared, only the tail is copied.
//!
//! Keyframes clone whole worlds and ledgers. What grows with the run (records, history) therefore
//! lives in lists whose clone costs one pointer per [`PIECE`] elements.

use serde::Serialize;
use std::sync::Arc;

/// Elements per shared piece.
pub const PIECE: usize = 256;

/// An append-mostly list with shared pieces.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SharedList<T> {
    pieces: Vec<Arc<Vec<T>>>,
    tail: Vec<T>,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        SharedList {
            pieces: Vec::new(),
            tail: Vec::new(),
        }
    }
}

impl<T: Clone> SharedList<T> {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.len() * PIECE + self.tail.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element.
    pub fn push(&mut self, value: T) {
        self.tail.push(value);
        if self.tail.len() == PIECE {
            self.pieces.push(Arc::new(std::mem::take(&mut self.tail)));
        }
    }

    /// The element at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.pieces.get(index / PIECE) {
            Some(piece) => piece.get(index % PIECE),
            None => self.tail.get(index.checked_sub(self.pieces.len() * PIECE)?),
        }
    }

    /// The element at `index`, to change it. A piece that is shared is copied first.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let full = self.pieces.len() * PIECE;
        match self.pieces.get_mut(index / PIECE) {
            Some(piece) => Arc::make_mut(piece).get_mut(index % PIECE),
            None => self.tail.get_mut(index.checked_sub(full)?),
        }
    }

    /// All elements in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.pieces
            .iter()
            .flat_map(|piece| piece.iter())
            .chain(self.tail.iter())
    }

    /// Index of the first element for which `before` is false (the list must be partitioned so).
    pub fn partition_point(&self, before: impl Fn(&T) -> bool) -> usize {
        let piece = self
            .pieces
            .partition_point(|p| p.last().is_some_and(&before));
        match self.pieces.get(piece) {
            Some(found) => piece * PIECE + found.partition_point(before),
            None => self.pieces.len() * PIECE + self.tail.partition_point(before),
        }
    }

    /// Drops all elements from `len` on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len() {
            return;
        }
        let piece = len / PIECE;
        if piece < self.pieces.len() {
            let mut tail = (*self.pieces[piece]).clone();
            tail.truncate(len % PIECE);
            self.pieces.truncate(piece);
            self.tail = tail;
        } else {
            self.tail.truncate(len % PIECE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_like_a_vector() {
        let mut list = SharedList::default();
        let mut model: Vec<usize> = Vec::new();
        for i in 0..PIECE * 3 + 7 {
            list.push(i * 2);
            model.push(i * 2);
        }
        let before = list.clone();
        *list.get_mut(5).expect("is there") = 11;
        model[5] = 11;
        assert_eq!(before.get(5), Some(&10), "a clone keeps its own");
        for len in [
            PIECE * 3 + 7,
            PIECE * 3 + 1,
            PIECE * 3,
            PIECE + 1,
            PIECE,
            3,
            0,
        ] {
            list.truncate(len);
            model.truncate(len);
            assert_eq!(list.iter().copied().collect::<Vec<_>>(), model);
            assert_eq!(list.len(), model.len());
            assert_eq!(list.get(len), None);
            assert_eq!(
                list.partition_point(|x| *x < 600),
                model.partition_point(|x| *x < 600)
            );
        }
    }
}
