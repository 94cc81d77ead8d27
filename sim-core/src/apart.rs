//! State that only some worlds have, held so that worlds without it need no code to copy it.
//!
//! A cluster without groups links no group coordinator (see `kafka/parts.rs`), but a broker has a
//! place for one, and a broker is copied for each keyframe: without this the code that copies a
//! coordinator, with all the maps in it, would be in every module. Here that code comes with the
//! value, from where the value is made.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// What is known of a value beside its type: how to reach it, how to copy it and (by being a trait
/// object) how to drop it.
trait Held<T>: Send + Sync {
    fn get(&self) -> &T;
    fn get_mut(&mut self) -> &mut T;
    fn copy(&self) -> Box<dyn Held<T>>;
    fn take(self: Box<Self>) -> T;
}

struct Holder<T>(T);

impl<T: Clone + Send + Sync + 'static> Held<T> for Holder<T> {
    fn get(&self) -> &T {
        &self.0
    }

    fn get_mut(&mut self) -> &mut T {
        &mut self.0
    }

    fn copy(&self) -> Box<dyn Held<T>> {
        Box::new(Holder(self.0.clone()))
    }

    fn take(self: Box<Self>) -> T {
        self.0
    }
}

/// A value on the heap that is copied, and dropped, by code that came with it. A copy shares nothing
/// with the original that the value's own copy would not.
pub struct Apart<T>(Box<dyn Held<T>>);

impl<T: Clone + Send + Sync + 'static> Apart<T> {
    /// Puts a value there.
    #[must_use]
    pub fn new(value: T) -> Self {
        Apart(Box::new(Holder(value)))
    }
}

impl<T: Clone + Default + Send + Sync + 'static> Default for Apart<T> {
    fn default() -> Self {
        Apart::new(T::default())
    }
}

impl<T> Apart<T> {
    /// Takes the value out.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.take()
    }
}

impl<T> Clone for Apart<T> {
    fn clone(&self) -> Self {
        Apart(self.0.copy())
    }
}

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.get()
    }
}

impl<T> DerefMut for Apart<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: PartialEq> PartialEq for Apart<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Apart<T> {}

impl<T: fmt::Debug> fmt::Debug for Apart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Serialize> Serialize for Apart<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
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
