//! Where random bytes come from: the kernel, or a seed.

use model::Secret;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// The operating system gave no random bytes; nothing secret can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub struct NoRandom;

/// A source of random bytes.
pub trait Random {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// There are none to be had; `bytes` must not be used then.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom>;
}

/// The kernel's random bytes.
#[derive(Debug, Clone)]
pub struct OsRandom(SystemRandom);

impl Default for OsRandom {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl OsRandom {
    /// The kernel's random source.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Random for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        self.0.fill(bytes).map_err(|_| NoRandom)
    }
}

/// Endless bytes from 32: SHA-256 over seed and counter. As secret as its seed, and always the same for it.
#[derive(Debug, Clone)]
pub struct Seeded {
    seed: Secret<[u8; 32]>,
    block: u64,
    rest: Vec<u8>,
}

impl Seeded {
    /// The bytes that follow from `seed`.
    #[must_use]
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed: Secret::new(seed), block: 0, rest: Vec::new() }
    }

    /// The bytes that follow from 32 drawn from another source: what is made of them later, on another thread,
    /// is still a function of that source.
    ///
    /// # Errors
    /// The other source has none.
    pub fn drawn(random: &mut dyn Random) -> Result<Self, NoRandom> {
        let mut seed = [0; 32];
        random.fill(&mut seed)?;
        let drawn = Self::new(seed);
        seed.zeroize();
        Ok(drawn)
    }

    fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.rest.pop() {
                return byte;
            }
            let mut hash = Sha256::new();
            hash.update(self.seed.reveal());
            hash.update(self.block.to_le_bytes());
            self.rest.extend(hash.finalize());
            self.block = self.block.wrapping_add(1);
        }
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        self.rest.zeroize();
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandom> {
        for byte in bytes {
            *byte = self.byte();
        }
        Ok(())
    }
}

/// The same bytes for libraries that take their own kind of source.
impl rsa::rand_core::TryRng for Seeded {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(core::array::from_fn(|_| self.byte())))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(core::array::from_fn(|_| self.byte())))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.byte();
        }
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Seeded {}

/// `bytes` drawn, by value.
pub(crate) fn draw<const N: usize>(random: &mut dyn Random) -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    random.fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_however_they_are_asked_for() {
        let mut whole = [0; 100];
        Seeded::new([7; 32]).fill(&mut whole).unwrap();
        let mut source = Seeded::new([7; 32]);
        let mut pieces = Vec::new();
        for size in [1, 31, 40, 28] {
            let mut piece = vec![0; size];
            source.fill(&mut piece).unwrap();
            pieces.extend(piece);
        }
        assert_eq!(whole.as_slice(), pieces.as_slice());
        let mut other = [0; 100];
        Seeded::new([8; 32]).fill(&mut other).unwrap();
        assert_ne!(whole, other);
    }

    #[test]
    fn the_kernel_gives_other_bytes_each_time() {
        let mut random = OsRandom::new();
        assert_ne!(draw::<32>(&mut random).unwrap(), draw::<32>(&mut random).unwrap());
    }

    #[test]
    fn a_seed_is_not_printed() {
        assert!(!format!("{:?}", Seeded::new([7; 32])).contains("7, 7"));
    }
}
