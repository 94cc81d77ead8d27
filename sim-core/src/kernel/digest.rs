//! The digest of a run: canonical bytes in, 64 bits out, the same on every target.
//!
//! Canonical bytes are those of `postcard` (documented wire format: little-endian varints, no
//! `usize` width, maps in key order since only ordered maps are in the state), so that any
//! `Serialize` state can be digested and `#[derive(Hash)]`, which differs between targets and
//! compiler versions, is not needed. This is a check sum against accident, not against an attacker.

use serde::Serialize;

/// A rolling digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    state: u64,
}

const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;

impl Default for Digest {
    fn default() -> Self {
        Digest {
            state: 0x243f_6a88_85a3_08d3,
        }
    }
}

impl Digest {
    /// Stirs one word in.
    #[inline]
    pub fn word(&mut self, word: u64) {
        self.state = (self.state ^ word).wrapping_mul(MULTIPLIER).rotate_left(26);
    }

    /// Stirs the canonical bytes of a value in.
    ///
    /// # Panics
    /// If the value's `Serialize` fails, which derived implementations over in-memory state do not.
    pub fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        let flavor = WordFlavor {
            digest: self,
            word: 0,
            filled: 0,
            total: 0,
        };
        postcard::serialize_with_flavor::<T, WordFlavor<'_>, ()>(value, flavor)
            .expect("derived Serialize of in-memory state does not fail");
    }

    /// The digest so far.
    #[must_use]
    pub fn finish(&self) -> u64 {
        let x = self.state;
        let x = (x ^ (x >> 32)).wrapping_mul(0x9fb2_1c65_1e98_df25);
        x ^ (x >> 29)
    }
}

/// Collects bytes into words for the digest.
struct WordFlavor<'a> {
    digest: &'a mut Digest,
    word: u64,
    filled: u32,
    total: u64,
}

impl postcard::ser_flavors::Flavor for WordFlavor<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.word |= u64::from(byte) << (self.filled * 8);
        self.filled += 1;
        self.total += 1;
        if self.filled == 8 {
            self.digest.word(self.word);
            self.word = 0;
            self.filled = 0;
        }
        Ok(())
    }

    // Every number of every field of every message ends here: a copy of it for each field was 40 KB
    // of the module that a visitor downloads.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        bytes.iter().try_for_each(|&byte| self.try_push(byte))
    }

    fn finalize(self) -> postcard::Result<()> {
        // The length closes the value: ("ab", "c") and ("a", "bc") must differ.
        self.digest.word(self.word);
        self.digest.word(self.total);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T: Serialize>(value: T) -> u64 {
        let mut digest = Digest::default();
        digest.value(&value);
        digest.finish()
    }

    #[test]
    fn digest_is_pinned_and_tells_values_apart() {
        assert_eq!(
            of((1_u32, "ab", [3_i64, -4])),
            of((1_u32, "ab", [3_i64, -4]))
        );
        assert_ne!(of(("ab", "c")), of(("a", "bc")));
        assert_ne!(of(vec![0_u8; 7]), of(vec![0_u8; 8]));
        // Golden, equal natively and in wasm32 (see tests/golden.rs for whole runs).
        assert_eq!(of((1_u32, "ab", [3_i64, -4])), 432_364_523_088_312_122);
    }
}
