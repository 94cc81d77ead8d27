//! Names of a job's keys, and their hashes.
//!
//! Keys are numbers in a run and names in the file that describes it; `String.hashCode()` of the name
//! says which key group a key is in.

use super::element::Key;
use super::rules::key_group::string_hash;
use serde::Serialize;

/// Names of keys. A key beyond the named ones is called `key-<number>`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Keys(pub Vec<String>);

impl Keys {
    /// A key's name.
    #[must_use]
    pub fn name(&self, key: Key) -> String {
        let named = usize::try_from(key.0).ok().and_then(|at| self.0.get(at));
        named.map_or_else(|| format!("key-{}", key.0), Clone::clone)
    }

    /// The key of a name.
    #[must_use]
    pub fn called(&self, name: &str) -> Option<Key> {
        let named = self.0.iter().position(|it| it == name);
        let number = || name.strip_prefix("key-")?.parse().ok();
        let found = named.and_then(|it| u32::try_from(it).ok()).or_else(number);
        found.map(Key)
    }

    /// `String.hashCode()` of a key's name.
    #[must_use]
    pub fn hash_code(&self, key: Key) -> i32 {
        let named = usize::try_from(key.0).ok().and_then(|at| self.0.get(at));
        match named {
            Some(name) => string_hash(name),
            None => unnamed_hash(key.0),
        }
    }
}

/// `String.hashCode()` of `key-<number>`, without the text: it is asked for at each record.
fn unnamed_hash(number: u32) -> i32 {
    // Of "key-".
    const BEGINS: i32 = 3_288_494;
    let (mut digits, mut left, mut number) = ([0_u8; 10], 10, number);
    loop {
        left -= 1;
        digits[left] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let digits = digits[left..].iter();
    digits.fold(BEGINS, |hash, digit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(*digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_key_without_a_name_is_that_of_its_text() {
        let keys = Keys(vec!["hot".to_owned()]);
        for number in [0, 1, 9, 10, 99, 100, 101, 1_000, 65_536, 999_999, u32::MAX] {
            let key = Key(number);
            assert_eq!(keys.hash_code(key), string_hash(&keys.name(key)), "{key:?}");
        }
        assert_eq!(Keys::default().hash_code(Key(0)), string_hash("key-0"));
    }
}
