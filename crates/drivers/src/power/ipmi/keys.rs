//! The keys of an IPMI session, and what is done with them (sections 13.28 to 13.33 of IPMI 2.0): two suites, the
//! one that every controller has and the one without SHA-1.

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use ring::hmac;
use wire::rmcp::{Algorithms, Guid, Random};

/// Bytes of a block, and of an initialization vector.
const BLOCK: usize = 16;
/// Bytes of the constants that the two keys are made of (section 13.32).
const CONSTANT: usize = 20;

/// A cipher suite (table 22-20): how a session is signed and enciphered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128: what every controller of IPMI 2.0 must have.
    Three,
    /// HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128: what newer ones have, and some have alone.
    Seventeen,
}

impl Suite {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Three => 3,
            Self::Seventeen => 17,
        }
    }

    /// Its algorithms.
    #[must_use]
    pub const fn algorithms(self) -> Algorithms {
        match self {
            Self::Three => Algorithms { authentication: 1, integrity: 1, confidentiality: 1 },
            Self::Seventeen => Algorithms { authentication: 3, integrity: 4, confidentiality: 1 },
        }
    }

    const fn hash(self) -> hmac::Algorithm {
        match self {
            Self::Three => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Seventeen => hmac::HMAC_SHA256,
        }
    }

    /// Bytes of a packet's code.
    #[must_use]
    pub const fn code(self) -> usize {
        match self {
            Self::Three => 12,
            Self::Seventeen => 16,
        }
    }
}

/// What both sides have said when the keys are made.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The suite.
    pub suite: Suite,
    /// The user's name.
    pub user: Vec<u8>,
    /// What the console calls the session.
    pub ours: u32,
    /// What the controller calls it.
    pub theirs: u32,
    /// The console's chance.
    pub our_random: Random,
    /// The controller's.
    pub their_random: Random,
    /// What the controller calls itself.
    pub guid: Guid,
    /// The role that was asked for.
    pub role: u8,
}

impl Exchange {
    fn name(&self) -> Vec<u8> {
        let mut out = vec![self.role, u8::try_from(self.user.len()).unwrap_or(u8::MAX)];
        out.extend(&self.user);
        out
    }

    /// The controller's proof, in the second step (section 13.31).
    #[must_use]
    pub fn second(&self, password: &[u8]) -> Vec<u8> {
        let said = [
            &self.ours.to_le_bytes()[..],
            &self.theirs.to_le_bytes(),
            &self.our_random,
            &self.their_random,
            &self.guid,
            &self.name(),
        ];
        sign(self.suite, password, &said.concat())
    }

    /// The console's proof, in the third (section 13.31).
    #[must_use]
    pub fn third(&self, password: &[u8]) -> Vec<u8> {
        let said = [&self.their_random[..], &self.ours.to_le_bytes(), &self.name()];
        sign(self.suite, password, &said.concat())
    }

    /// The keys of the session. Controllers with a key of their own beside the password are not spoken to.
    #[must_use]
    pub fn keys(&self, password: &[u8]) -> Keys {
        let said = [&self.our_random[..], &self.their_random, &self.name()];
        let session = sign(self.suite, password, &said.concat());
        let code = sign(self.suite, &session, &[1; CONSTANT]);
        let cipher = sign(self.suite, &session, &[2; CONSTANT]);
        // Both hashes are longer than the key.
        let cipher = cipher.first_chunk::<BLOCK>().copied().unwrap_or_default();
        let code = hmac::Key::new(self.suite.hash(), &code);
        Keys { suite: self.suite, session, code, cipher: Aes128::new(&cipher.into()) }
    }
}

fn sign(suite: Suite, key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(suite.hash(), key), message).as_ref().to_vec()
}

/// Whether two codes are equal, in a time that does not tell where they differ.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// The keys of a session.
pub struct Keys {
    suite: Suite,
    session: Vec<u8>,
    code: hmac::Key,
    cipher: Aes128,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl Keys {
    /// The controller's last proof, in the fourth step (section 13.31).
    #[must_use]
    pub fn fourth(&self, of: &Exchange) -> Vec<u8> {
        let said = [&of.our_random[..], &of.theirs.to_le_bytes(), &of.guid];
        let mut code = sign(self.suite, &self.session, &said.concat());
        code.truncate(self.suite.code());
        code
    }

    /// Signs a packet.
    #[must_use]
    pub fn sign(&self, packet: &[u8]) -> Vec<u8> {
        let tag = hmac::sign(&self.code, packet);
        tag.as_ref().iter().copied().take(self.suite.code()).collect()
    }

    /// Whether a packet was signed by these keys.
    #[must_use]
    pub fn signed(&self, packet: &[u8], code: &[u8]) -> bool {
        equal(&self.sign(packet), code)
    }

    /// Enciphers a payload; `vector` must not be foreseeable (section 13.29).
    #[must_use]
    pub fn encipher(&self, vector: [u8; BLOCK], payload: &[u8]) -> Vec<u8> {
        let mut plain = payload.to_vec();
        // 1, 2, 3 and so on, and how many: the last byte of the last block.
        let pad = (BLOCK - 1).saturating_sub(plain.len() % BLOCK);
        plain.extend((1..=u8::MAX).take(pad));
        plain.push(u8::try_from(pad).unwrap_or_default());
        let mut out = vector.to_vec();
        let mut last = vector;
        for block in plain.chunks_exact(BLOCK) {
            let mut mixed = last;
            mixed.iter_mut().zip(block).for_each(|(to, from)| *to ^= from);
            let mut mixed = mixed.into();
            self.cipher.encrypt_block(&mut mixed);
            last = mixed.into();
            out.extend(last);
        }
        out
    }

    /// Deciphers a payload; `None` where it was not enciphered so.
    #[must_use]
    pub fn decipher(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let (mut last, blocks) = payload.split_first_chunk::<BLOCK>()?;
        if blocks.is_empty() || blocks.len() % BLOCK != 0 {
            return None;
        }
        let mut out = Vec::with_capacity(blocks.len());
        for block in blocks.chunks_exact(BLOCK).filter_map(<[u8]>::first_chunk::<BLOCK>) {
            let mut mixed = (*block).into();
            self.cipher.decrypt_block(&mut mixed);
            let plain: [u8; BLOCK] = mixed.into();
            out.extend(plain.iter().zip(last).map(|(byte, mask)| byte ^ mask));
            last = block;
        }
        let pad = usize::from(out.pop()?);
        let left = out.len().checked_sub(pad).filter(|_| pad < BLOCK)?;
        let padded = out.get(left..)?.iter().zip(1_u8..).all(|(byte, wanted)| *byte == wanted);
        out.truncate(left);
        padded.then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(suite: Suite) -> Exchange {
        Exchange {
            suite,
            user: b"lab".to_vec(),
            ours: 1,
            theirs: 2,
            our_random: [3; 16],
            their_random: [4; 16],
            guid: [5; 16],
            role: 0x13,
        }
    }

    #[test]
    fn what_is_enciphered_is_deciphered_and_nothing_else_is() {
        let keys = exchange(Suite::Seventeen).keys(b"secret");
        for size in 0..40_usize {
            let plain: Vec<u8> = (0..40).take(size).collect();
            let sealed = keys.encipher([9; 16], &plain);
            assert_eq!((sealed.len() % 16, &sealed[..16]), (0, &[9; 16][..]), "{size}");
            assert_eq!(keys.decipher(&sealed).unwrap(), plain);
            assert_eq!(keys.decipher(&sealed[..sealed.len() - 1]), None);
            assert_eq!(keys.decipher(&sealed[..16]), None);
            let others = exchange(Suite::Seventeen).keys(b"secrex");
            assert_ne!(others.decipher(&sealed), Some(plain));
        }
    }

    #[test]
    fn each_suite_has_codes_of_its_length_and_no_two_proofs_are_alike() {
        for (suite, proof, code) in [(Suite::Three, 20, 12), (Suite::Seventeen, 32, 16)] {
            let exchange = exchange(suite);
            let keys = exchange.keys(b"secret");
            let (second, third) = (exchange.second(b"secret"), exchange.third(b"secret"));
            assert_eq!((second.len(), third.len()), (proof, proof));
            assert_eq!((keys.fourth(&exchange).len(), keys.sign(b"x").len()), (code, code));
            assert!(second != third && second != exchange.second(b"secrex"));
            assert!(keys.signed(b"x", &keys.sign(b"x")) && !keys.signed(b"y", &keys.sign(b"x")));
            assert!(!keys.signed(b"x", &[]));
        }
    }
}
