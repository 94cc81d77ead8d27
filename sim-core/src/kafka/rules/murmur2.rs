//! Key placement: the murmur2 hash of Kafka's Java client and the partition it leads to.
//!
//! Follows `Utils.murmur2` and `BuiltInPartitioner.partitionForKey`. Other clients may hash
//! differently, and coordinator partitions are found with Java's `String.hashCode` instead.

const SEED: u32 = 0x9747_b28c;
const MULTIPLIER: u32 = 0x5bd1_e995;
const SHIFT: u32 = 24;

/// The 32-bit murmur2 hash of `data`, with Kafka's seed.
pub fn murmur2(data: &[u8]) -> i32 {
    // Kafka hashes Java arrays, whose length has 31 bits.
    let mut hash = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = word
            .iter()
            .rev()
            .fold(0u32, |k, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(MULTIPLIER);
        k ^= k >> SHIFT;
        k = k.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest
            .iter()
            .rev()
            .fold(0u32, |k, byte| (k << 8) | u32::from(*byte));
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    hash.cast_signed()
}

/// The partition of a keyed record among all `partitions` of its topic, available or not.
pub fn partition_for_key(key: &[u8], partitions: i32) -> i32 {
    assert!(
        partitions > 0,
        "a topic has at least one partition, got {partitions}"
    );
    (murmur2(key) & i32::MAX) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let check = |key: &str, expect| assert_eq!(murmur2(key.as_bytes()), expect, "{key}");
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("abc", 479_470_107);
        check("a-little-bit-longer-string", -1_486_304_829);
    }
}
