//! New secrets, everything but the service account key at once: that one takes seconds, and nobody needs it
//! before the first control plane gets its config.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use model::WallTime;
use zeroize::Zeroizing;

use super::{Encryption, Hidden, Issuer, Secrets, ServiceAccountKey, hidden};
use crate::pki::{Authority, KeyKind, NoRandom, PkiError, PrivateKey, Random, Seeded};
use crate::release::Minor;

/// Bits of the service account key, as Talos has it since 1.7.
const SERVICE_ACCOUNT_BITS: usize = 4096;

/// The service account key yet to be made; its seed was drawn with the other secrets, so the same source gives
/// the same key whenever and wherever it is made.
#[derive(Debug)]
pub struct ServiceAccountTask(Seeded);

impl ServiceAccountTask {
    /// Makes the key: RSA of 4096 bits, seconds of one core. For a thread of its own.
    ///
    /// # Errors
    /// None with this size.
    pub fn run(mut self) -> Result<ServiceAccountKey, PkiError> {
        let key = PrivateKey::mint_rsa(SERVICE_ACCOUNT_BITS, &mut self.0)?;
        Ok(ServiceAccountKey(model::Secret::new(key.to_pem())))
    }
}

impl Secrets {
    /// New secrets, and the task that makes the key they lack.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn mint(
        contract: Minor,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<(Self, ServiceAccountTask), PkiError> {
        let id = Zeroizing::new(bytes(random)?);
        let cluster_id = match contract {
            Minor::V1_9 | Minor::V1_10 | Minor::V1_11 | Minor::V1_12 | Minor::V1_13 => {
                URL_SAFE.encode(id.as_slice())
            }
            Minor::V1_14 => STANDARD.encode(id.as_slice()),
        };
        let mut issuer =
            |kind, organization| Authority::mint(kind, organization, now, random).map(Issuer::of);
        let (os, etcd) = (issuer(KeyKind::Ed25519, Some("talos"))?, issuer(KeyKind::P256, Some("etcd"))?);
        let (k8s, aggregator) = (issuer(KeyKind::P256, Some("kubernetes"))?, issuer(KeyKind::P256, None)?);
        let secrets = Self {
            cluster_id,
            cluster_secret: sealed(random)?,
            bootstrap_token: token(random)?,
            encryption: Encryption::Secretbox(sealed(random)?),
            trustd_token: token(random)?,
            etcd,
            k8s,
            aggregator,
            os,
            service_account: None,
        };
        Ok((secrets, ServiceAccountTask(Seeded::drawn(random)?)))
    }
}

fn bytes(random: &mut dyn Random) -> Result<[u8; 32], NoRandom> {
    let mut bytes = [0; 32];
    random.fill(&mut bytes)?;
    Ok(bytes)
}

/// 32 bytes as base64.
fn sealed(random: &mut dyn Random) -> Result<Hidden, NoRandom> {
    let bytes = Zeroizing::new(bytes(random)?);
    Ok(hidden(STANDARD.encode(bytes.as_slice())))
}

/// Six letters, a dot, sixteen letters: a bootstrap token of Kubernetes.
fn token(random: &mut dyn Random) -> Result<Hidden, NoRandom> {
    const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(23);
    while text.len() < 23 {
        if text.len() == 6 {
            text.push('.');
            continue;
        }
        let mut byte = [0];
        random.fill(&mut byte)?;
        let [byte] = byte;
        // 252 is the highest multiple of 36 in a byte; above it the first letters would come more often.
        if byte < 252 {
            text.extend(LETTERS.get(usize::from(byte % 36)).map(|letter| char::from(*letter)));
        }
    }
    Ok(hidden(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime(1_795_672_800_000);

    fn mint(seed: u8, contract: Minor) -> Secrets {
        let (mut secrets, _) = Secrets::mint(contract, NOW, &mut Seeded::new([seed; 32])).unwrap();
        let key = PrivateKey::mint(KeyKind::P256, &mut Seeded::new([1; 32])).unwrap();
        secrets.complete(ServiceAccountKey::from_pem(&key.to_pem()).unwrap());
        secrets
    }

    #[test]
    fn seed_and_clock_decide_the_whole_file() {
        let text = |seed| mint(seed, Minor::V1_13).to_yaml().unwrap();
        assert_eq!(text(1).as_str(), text(1).as_str());
        assert_ne!(text(1).as_str(), text(2).as_str());
    }

    #[test]
    fn minted_secrets_pass_their_own_import() {
        for contract in Minor::ALL {
            let secrets = mint(3, contract);
            let text = secrets.to_yaml().unwrap();
            assert_eq!(Secrets::from_yaml(&text).unwrap().to_yaml().unwrap(), text);
        }
    }

    #[test]
    fn tokens_have_the_form_and_every_letter() {
        let mut random = Seeded::new([5; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let token = token(&mut random).unwrap();
            let (id, secret) = token.reveal().split_once('.').unwrap();
            assert_eq!((id.len(), secret.len()), (6, 16));
            seen.extend(id.bytes().chain(secret.bytes()));
        }
        assert_eq!(seen.len(), 36);
    }

    #[test]
    fn the_cluster_id_has_the_alphabet_of_its_release() {
        // This seed gives an id with the letters that differ.
        let with = |contract| mint(1, contract).cluster_id;
        assert_eq!(with(Minor::V1_13).replace('-', "+").replace('_', "/"), with(Minor::V1_14));
        assert_ne!(with(Minor::V1_13), with(Minor::V1_14));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secrets = mint(1, Minor::V1_13);
        let shown = format!("{secrets:?}");
        let hidden =
            [&secrets.cluster_secret, &secrets.bootstrap_token, &secrets.trustd_token, &secrets.os.key];
        for value in hidden {
            assert!(!shown.contains(value.reveal().as_str()));
        }
        assert!(!shown.contains("PRIVATE KEY"));
    }

    #[test]
    fn without_the_service_account_key_nothing_is_exported() {
        let (secrets, _) = Secrets::mint(Minor::V1_13, NOW, &mut Seeded::new([1; 32])).unwrap();
        assert!(!secrets.is_complete());
        assert_eq!(secrets.to_yaml().unwrap_err(), super::super::Incomplete);
    }
}
