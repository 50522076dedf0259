//! The key of a simulated boot: made of its boot id, and everything the agent says is sealed with it.

use model::{AgentKey, AgentWelcome, Seal};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

/// An Ed25519 key (RFC 8032) of one boot, with what was sealed so far.
#[derive(Debug)]
pub(crate) struct BootKey {
    pair: Ed25519KeyPair,
    public: AgentKey,
    /// Number of the last seal.
    count: u64,
    /// The word of the counter's last answer.
    word: String,
}

impl BootKey {
    /// The same boot id has the same key, so that a seed goes on naming a whole history. `None` never happens: any 32
    /// bytes are a seed (RFC 8032 section 5.1.5).
    pub(crate) fn of(boot_id: &str) -> Option<Self> {
        let seed = Sha256::digest(format!("simulated boot {boot_id}"));
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let public = AgentKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public, count: 0, word: String::new() })
    }

    /// Its public half.
    pub(crate) const fn public(&self) -> AgentKey {
        self.public
    }

    /// The value of the header that seals this body.
    pub(crate) fn seal(&mut self, path: &str, boot_id: &str, body: &[u8]) -> String {
        self.count += 1;
        let signed = self.pair.sign(&Seal::text(path, boot_id, (self.count, &self.word), body));
        let mut signature = [0; 64];
        signature.iter_mut().zip(signed.as_ref()).for_each(|(to, from)| *to = *from);
        Seal { count: self.count, word: self.word.clone(), signature }.to_string()
    }

    /// Takes the word of an answer: what is sealed from now on contains it.
    pub(crate) fn take_word(&mut self, welcome: &AgentWelcome) {
        if let Some(word) = &welcome.word {
            self.word.clone_from(word);
        }
    }
}
