//! The key that this boot makes: it never leaves memory, and everything told to the boss is sealed with it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use model::{AgentKey, AgentWelcome, Seal};
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// An Ed25519 key (RFC 8032) of this boot.
pub(crate) struct BootKey {
    pair: Ed25519KeyPair,
    /// The same as PKCS#8 (RFC 5958), for TLS.
    document: Vec<u8>,
    public: AgentKey,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    /// Number of the last seal.
    count: u64,
    /// The word of the counter's last answer.
    word: String,
}

impl fmt::Debug for BootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootKey({})", self.public)
    }
}

impl BootKey {
    /// Makes one. It waits until the kernel has randomness, which a machine without a source of it gathers for up to a
    /// second after its start.
    ///
    /// # Errors
    /// The kernel gives no randomness.
    pub(crate) fn make() -> Result<Self, Unspecified> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
        Self::of(document.as_ref(), 0, String::new())
    }

    /// The one that a build before this had made, with the number of its last seal and the word of its last answer.
    ///
    /// # Errors
    /// It is no such key.
    pub(crate) fn of(document: &[u8], count: u64, word: String) -> Result<Self, Unspecified> {
        let pair = Ed25519KeyPair::from_pkcs8(document).map_err(|_| Unspecified)?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| Unspecified)?;
        let said = Mutex::new(Said { count, word });
        Ok(Self { pair, document: document.to_vec(), public: AgentKey(bytes), said })
    }

    /// Number of the last seal, and the word of the last answer.
    pub(crate) fn said(&self) -> (u64, String) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        (said.count, said.word.clone())
    }

    /// Its public half.
    pub(crate) const fn public(&self) -> AgentKey {
        self.public
    }

    /// Both halves, as TLS takes them.
    pub(crate) fn document(&self) -> &[u8] {
        &self.document
    }

    /// The value of the header that seals this body, with a number that was not used before.
    pub(crate) fn seal(&self, path: &str, boot_id: &str, body: &[u8]) -> String {
        let (count, word) = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.count += 1;
            (said.count, said.word.clone())
        };
        let signed = self.pair.sign(&Seal::text(path, boot_id, (count, &word), body));
        let mut signature = [0; 64];
        for (to, from) in signature.iter_mut().zip(signed.as_ref()) {
            *to = *from;
        }
        Seal { count, word, signature }.to_string()
    }

    /// Goes back to the word of before: the last answer was somebody else's.
    pub(crate) fn keep_word(&self, word: &str) {
        word.clone_into(&mut self.said.lock().unwrap_or_else(PoisonError::into_inner).word);
    }

    /// Takes the word of an answer. True when it is another one than before: what was sealed without it is not heard.
    pub(crate) fn take_word(&self, welcome: &AgentWelcome) -> bool {
        let Some(word) = &welcome.word else { return false };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.word == *word {
            return false;
        }
        said.word.clone_from(word);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ED25519, UnparsedPublicKey};

    #[test]
    fn a_seal_is_of_this_key_and_of_nothing_else_and_never_the_same_twice() {
        let key = BootKey::make().unwrap();
        let welcome = AgentWelcome { word: Some("w".to_owned()), ..AgentWelcome::default() };
        assert!(key.take_word(&welcome) && !key.take_word(&welcome));
        let verify = |text: &[u8], seal: &Seal| {
            UnparsedPublicKey::new(&ED25519, &key.public().0).verify(text, &seal.signature).is_ok()
        };
        for count in 1..3 {
            let seal: Seal = key.seal("/p", "boot", b"body").parse().unwrap();
            assert_eq!((seal.count, seal.word.as_str()), (count, "w"));
            assert!(verify(&Seal::text("/p", "boot", (count, "w"), b"body"), &seal));
            for other in [
                Seal::text("/q", "boot", (count, "w"), b"body"),
                Seal::text("/p", "tube", (count, "w"), b"body"),
                Seal::text("/p", "boot", (count + 1, "w"), b"body"),
                Seal::text("/p", "boot", (count, "v"), b"body"),
                Seal::text("/p", "boot", (count, "w"), b"bodz"),
            ] {
                assert!(!verify(&other, &seal));
            }
        }
    }
}
