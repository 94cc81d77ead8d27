//! Keyed chance: every draw names its purpose, so that no draw depends on any other.
//!
//! The value of a draw is a pure function of (scenario seed, purpose, two numbers, ordinal). Taking
//! away one fault or one message therefore leaves every unrelated draw as it was, and a what-if
//! twin shares its luck with the original. The generator is SplitMix64 (Steele, Lea, Flood 2014) as
//! implemented by `rand_xoshiro`; its outputs are pinned by a golden test below.
//!
//! No floating point: exponential gaps come from an integer logarithm, because `ln` is not the same
//! function natively and in WebAssembly.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

/// What a draw is for; two purposes never share luck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purpose(pub u64);

impl Purpose {
    /// A purpose by its name (64-bit FNV-1a of the bytes).
    #[must_use]
    pub const fn named(name: &str) -> Purpose {
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut i = 0;
        while i < bytes.len() {
            hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            i += 1;
        }
        Purpose(hash)
    }
}

/// Stirs one word into a key.
#[must_use]
#[inline]
pub fn mix(key: u64, word: u64) -> u64 {
    SplitMix64::seed_from_u64(key ^ word.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next_u64()
}

/// 64 uniform bits for (seed, purpose, a, b, ordinal).
#[must_use]
#[inline]
pub fn draw(seed: u64, purpose: Purpose, a: u64, b: u64, ordinal: u64) -> u64 {
    mix(mix(mix(seed, purpose.0), (a << 32) ^ b), ordinal)
}

/// Maps 64 uniform bits to `0..n` (multiply and shift; bias below 2⁻³² for the sizes in use).
#[must_use]
#[inline]
pub fn below(bits: u64, n: u64) -> u64 {
    ((u128::from(bits) * u128::from(n)) >> 64) as u64
}

/// An exponentially distributed span with the given mean, from 64 uniform bits.
///
/// Computes `mean · −ln(u)` in fixed point (24 fractional bits) by repeated squaring; the largest
/// possible value is about 44 means.
#[must_use]
pub fn exponential(bits: u64, mean: u64) -> u64 {
    // u in (0, 1] as bits/2^64; -log2(u) = 64 - log2(bits).
    let bits = bits.max(1);
    let neg_log2_q24 = (64_u64 << 24) - log2_q24(bits);
    // -ln(u) = -log2(u) * ln 2; ln 2 in Q32.
    const LN2_Q32: u128 = 2_977_044_472;
    let neg_ln_q24 = (u128::from(neg_log2_q24) * LN2_Q32) >> 32;
    ((u128::from(mean) * neg_ln_q24) >> 24) as u64
}

/// log2 of `x ≥ 1` with 24 fractional bits, exact to the last bit kept (truncated).
fn log2_q24(x: u64) -> u64 {
    let whole = 63 - u64::from(x.leading_zeros());
    // Mantissa in [1, 2) as Q31.
    let mut mantissa = if whole >= 31 {
        x >> (whole - 31)
    } else {
        x << (31 - whole)
    };
    let mut fraction = 0_u64;
    for _ in 0..24 {
        // The square is in [1, 4) as Q62. Its top bit is the next bit of the logarithm; nobody can
        // foresee it, so nothing branches on it.
        let square = mantissa * mantissa;
        let bit = square >> 63;
        mantissa = square >> (31 + bit);
        fraction = (fraction << 1) | bit;
    }
    (whole << 24) | fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_pinned() {
        // Golden: a change of generator or of the mixing would change every stored link.
        let p = Purpose::named("test");
        assert_eq!(p.0, 0xf9e6_e6ef_197c_2b25);
        let first = draw(42, p, 1, 2, 3);
        assert_eq!(first, draw(42, p, 1, 2, 3));
        assert_ne!(first, draw(42, p, 1, 2, 4));
        assert_ne!(first, draw(42, p, 2, 1, 3));
        assert_eq!(
            SplitMix64::seed_from_u64(0).next_u64(),
            0xe220_a839_7b1d_cdaf
        );
    }

    #[test]
    fn exponential_has_its_mean() {
        let p = Purpose::named("exp");
        let n = 100_000_u64;
        let sum: u64 = (0..n)
            .map(|i| exponential(draw(7, p, 0, 0, i), 1_000_000))
            .sum();
        let mean = sum / n;
        assert!((990_000..1_010_000).contains(&mean), "mean {mean}");
    }

    #[test]
    fn logarithm_is_right() {
        for (x, want) in [(1, 0), (2, 1 << 24), (1 << 40, 40 << 24), (3, 26_591_258)] {
            let got = log2_q24(x);
            assert!(got.abs_diff(want) <= 2, "log2({x}) = {got}, want {want}");
        }
    }

    #[test]
    fn below_stays_below() {
        assert_eq!(below(u64::MAX, 10), 9);
        assert_eq!(below(0, 10), 0);
    }
}
