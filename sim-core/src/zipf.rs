//! Zipf's law in whole numbers: key k of n is drawn with weight 1/(k+1)^s.
//!
//! Powers come from integer logarithms and square roots, because floating-point `pow` is not the
//! same function natively and in WebAssembly. Weights carry 40 fractional bits; the error of a
//! weight is below one part in a million.

use crate::kernel::below;

/// Fractional bits of logarithms.
const LOG_BITS: u32 = 32;
/// Fractional bits of weights.
const WEIGHT_BITS: u32 = 40;

/// Running sums of the weights of keys 0..n with exponent `exponent_milli`/1000.
pub(crate) fn cumulative(n: u32, exponent_milli: u32) -> Vec<u64> {
    let roots = roots_of_half();
    let mut sum = 0_u64;
    (1..=u64::from(n))
        .map(|rank| {
            let exponent = u128::from(log2(rank)) * u128::from(exponent_milli) / 1_000;
            sum += power_of_half(exponent, &roots).max(1);
            sum
        })
        .collect()
}

/// Draws a key.
pub(crate) fn pick(cumulative: &[u64], bits: u64) -> u32 {
    let total = cumulative.last().copied().unwrap_or(0);
    let drawn = below(bits, total);
    let at = cumulative.partition_point(|sum| *sum <= drawn);
    u32::try_from(at).unwrap_or(0)
}

/// log2 of `x ≥ 1` with [`LOG_BITS`] fractional bits, by repeated squaring.
fn log2(x: u64) -> u64 {
    let whole = x.ilog2();
    let mut mantissa = u128::from(x) << (63 - whole);
    let mut fraction = 0_u64;
    for bit in (0..LOG_BITS).rev() {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            fraction |= 1 << bit;
        }
    }
    (u64::from(whole) << LOG_BITS) | fraction
}

/// 2^(-1/2), 2^(-1/4), 2^(-1/8) … with 63 fractional bits.
fn roots_of_half() -> [u64; LOG_BITS as usize] {
    let mut root = 1_u128 << 62;
    std::array::from_fn(|_| {
        root = (root << 63).isqrt();
        u64::try_from(root).unwrap_or(u64::MAX)
    })
}

/// 2^(-exponent) with [`WEIGHT_BITS`] fractional bits.
fn power_of_half(exponent: u128, roots: &[u64; LOG_BITS as usize]) -> u64 {
    let whole = exponent >> LOG_BITS;
    let mut value = 1_u128 << 63;
    for (bit, root) in (0..LOG_BITS).rev().zip(roots) {
        if exponent >> bit & 1 == 1 {
            value = (value * u128::from(*root)) >> 63;
        }
    }
    let shift = u128::from(63 - WEIGHT_BITS) + whole;
    let shift = u32::try_from(shift).unwrap_or(u32::MAX);
    u64::try_from(value.checked_shr(shift).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_law() {
        let check = |rank: u32, exponent_milli, expect_ppm: u64| {
            let sums = cumulative(rank, exponent_milli);
            let before = sums.iter().rev().nth(1).copied().unwrap_or(0);
            let weight = sums.last().expect("at least one key") - before;
            let ppm = ((u128::from(weight) * 1_000_000_000) >> WEIGHT_BITS) as u64;
            assert!(ppm.abs_diff(expect_ppm) <= 2, "{rank}: {ppm}");
        };
        check(1, 1_000, 1_000_000_000);
        check(2, 1_000, 500_000_000);
        check(3, 1_000, 333_333_333);
        check(1_000, 1_000, 1_000_000);
        check(4, 500, 500_000_000);
        check(10, 1_200, 63_095_734);
        check(7, 0, 1_000_000_000);
    }

    #[test]
    fn a_draw_is_a_key_and_the_first_key_is_the_likeliest() {
        let sums = cumulative(100, 1_000);
        assert_eq!(pick(&sums, 0), 0);
        assert_eq!(pick(&sums, u64::MAX), 99);
        // The harmonic number of 100 is 5.187: key 0 has 19.3 % of all draws.
        let tenth = (1_u64 << 63) / 5;
        assert_eq!(pick(&sums, tenth), 0);
        assert_eq!(pick(&sums, 2 * tenth), 1);
    }
}
