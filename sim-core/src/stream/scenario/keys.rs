//! Numbers of keys, in the order in which a scenario names them.
//!
//! A load makes keys by number, and key `n` of it is called `key-n`. Where a scenario has loads and
//! names keys too, the names come after the numbers of all loads, so that no two keys are one.

use crate::stream::element::Key;
use crate::stream::spec::Keys;
use std::collections::BTreeMap;

/// Name of the key of records that have none.
const NO_KEY: &str = "-";

/// Gives keys their numbers.
#[derive(Debug)]
pub(super) struct KeyTable {
    /// So many keys are made by loads.
    made: u32,
    named: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl KeyTable {
    /// A table where loads make so many keys; `keyless`: some load makes records without a key.
    pub(super) fn new(made: u32, keyless: bool) -> Self {
        let mut table = KeyTable {
            made,
            named: BTreeMap::new(),
            names: Vec::new(),
        };
        if keyless && made == 0 {
            // Its records have the key number 0.
            table.key(None);
        }
        table
    }

    /// The number of a key; `None` is the key of records without one.
    pub(super) fn key(&mut self, name: Option<&str>) -> Key {
        let name = name.unwrap_or(NO_KEY);
        let number = name.strip_prefix("key-").and_then(|it| it.parse().ok());
        if let Some(number) = number.filter(|it| *it < self.made)
            && name == format!("key-{number}")
        {
            return Key(number);
        }
        if let Some(number) = self.named.get(name) {
            return Key(*number);
        }
        let number = self.made.saturating_add(self.names.len() as u32);
        self.names.push(name.to_owned());
        self.named.insert(name.to_owned(), number);
        Key(number)
    }

    /// The names of all keys.
    pub(super) fn into_keys(self) -> Keys {
        if self.names.is_empty() {
            return Keys::default();
        }
        let made = (0..self.made).map(|number| format!("key-{number}"));
        Keys(made.chain(self.names).collect())
    }
}
