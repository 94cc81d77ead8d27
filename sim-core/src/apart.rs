//! State that only some worlds have, held so that worlds without it need no code to copy it.
//!
//! A cluster without groups links no group coordinator (see `kafka/parts.rs`), but a broker has a
//! place for one, and a broker is copied for each keyframe: without this the code that copies a
//! coordinator, with all the maps in it, would be in every module. Here that code comes with the
//! value, from where the value is made.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// A value on the heap, and how it is copied.
pub struct Apart<T> {
    value: Box<T>,
    copy: fn(&T) -> T,
}

impl<T: Clone> Apart<T> {
    /// Puts a value there.
    #[must_use]
    pub fn new(value: T) -> Self {
        Apart {
            value: Box::new(value),
            copy: T::clone,
        }
    }
}

impl<T: Clone + Default> Default for Apart<T> {
    fn default() -> Self {
        Apart::new(T::default())
    }
}

impl<T> Clone for Apart<T> {
    fn clone(&self) -> Self {
        Apart {
            value: Box::new((self.copy)(&self.value)),
            copy: self.copy,
        }
    }
}

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: PartialEq> PartialEq for Apart<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Apart<T> {}

impl<T: fmt::Debug> fmt::Debug for Apart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize> Serialize for Apart<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Digest;

    #[test]
    fn a_copy_is_equal_and_goes_its_own_way() {
        let first = Apart::new(vec![1, 2]);
        let mut second = first.clone();
        assert_eq!(first, second);
        second.push(3);
        assert_eq!((first.len(), second.len()), (2, 3));
    }

    #[test]
    fn it_is_digested_as_what_it_holds() {
        let of = |value: &dyn Fn(&mut Digest)| {
            let mut digest = Digest::default();
            value(&mut digest);
            digest.finish()
        };
        let plain = vec![1_u32, 2];
        let apart = Apart::new(plain.clone());
        assert_eq!(of(&|d| d.value(&plain)), of(&|d| d.value(&apart)));
    }
}
