//! A fast hash of short byte strings, with a seed that nobody outside knows.

use std::hash::{BuildHasher as _, RandomState};

/// Odd, with bits all over (the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where hashing begins: another one in each process, so that nobody can send names that meet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn fresh() -> Self {
        Self(RandomState::new().hash_one(SPREAD))
    }

    pub(crate) const fn start(self) -> u64 {
        self.0
    }

    pub(crate) fn of(self, bytes: &[u8]) -> u64 {
        done(add(self.0, bytes))
    }
}

/// Takes bytes in.
pub(crate) fn add(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = u64::try_from(bytes.len()).unwrap_or_default() << 56;
    for byte in rest {
        last = last << 8 ^ u64::from(*byte);
    }
    mix(hash, last)
}

/// Takes a number in.
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD)
}

/// The low bits of a product depend on few bits of its factors; these depend on all.
pub(crate) const fn done(hash: u64) -> u64 {
    let hash = hash ^ hash >> 32;
    let hash = hash.wrapping_mul(SPREAD);
    hash ^ hash >> 29
}
