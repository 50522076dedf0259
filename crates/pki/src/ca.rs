//! The lab's authority, inside this binary: a root for every lab of this boss, an authority below it for the lab that
//! runs, and leaves of a day.
//!
//! ```text
//! root (10 years, sealed, signs authorities only)
//!   └─ authority of the lab (2 years, sealed, thrown away with the lab)
//!        └─ leaves (a day; never kept)
//! ```
//!
//! With the authority of a lab everything that it signed is gone in a day, so there is nothing to revoke.

use model::{Secret, Span, WallTime};
use zeroize::Zeroizing;

use crate::renewal::BACKDATE;
use crate::vault::{Vault, VaultError};
use crate::x509::{Authority, Certificate, Identity, Leaf, Name, PkiError, Random, Rank, Request};

/// Name of the root in the sealed store.
const ROOT: &str = "ca-root";
/// Name of the lab's authority in the sealed store. There is one, so another lab's throws it away.
const LAB: &str = "ca-lab";
/// How long the root is valid.
const ROOT_LIFETIME: Span = Span::secs(3_652 * 86_400);
/// How long the authority of a lab is valid. A third of it is longer than a lab is off and still promised to come back.
const LAB_LIFETIME: Span = Span::secs(730 * 86_400);
/// Between certificate and key of one that is kept.
const KEY_BEGINS: &str = "\n#key\n";

/// Why the authority cannot issue.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The sealed store.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A key or certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The root's time is over, or has not come.
    #[error("the root is not valid at this date")]
    RootInvalid,
}

impl CaError {
    /// Stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Vault(why) => why.code(),
            Self::Pki(why) => why.code(),
            Self::RootInvalid => "root_invalid",
        }
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Vault(why) => why.advice(),
            Self::Pki(why) => why.advice(),
            Self::RootInvalid => {
                "look at the clock; a root that ended is replaced by `labinator cert root --replace`, and every client must be told the new one"
            }
        }
    }
}

/// The lab's authority with its root.
#[derive(Debug, Clone)]
pub struct LabCa {
    root: Authority,
    lab: Authority,
}

/// A leaf with its key, and who stands above it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf and key.
    pub identity: Identity,
    /// Leaf, authority of the lab, root, as DER.
    pub chain: Vec<Vec<u8>>,
}

impl LabCa {
    /// Opens the authority of a lab, and makes what is missing, ended or another lab's. To be called only while the clock
    /// is believed: a root that is made in 1970 is nobody's.
    ///
    /// # Errors
    /// The store cannot be read or written, or the root is not valid now.
    pub fn open(vault: &Vault, lab: &str, now: WallTime, random: &mut dyn Random) -> Result<Self, CaError> {
        let root = match kept(vault, ROOT)? {
            Some(root) => root,
            None => {
                let rank = Rank {
                    organization: "labinator",
                    common_name: "labinator root",
                    lifetime: ROOT_LIFETIME,
                };
                let root = Authority::root(rank, now, random)?;
                // Of two that make one at once, one is kept.
                if vault.put_new(ROOT, &sealed(&root))? { root } else { kept(vault, ROOT)?.unwrap_or(root) }
            }
        };
        if !holds(root.certificate(), now) {
            return Err(CaError::RootInvalid);
        }
        let known = kept(vault, LAB)?.filter(|known| {
            let own = known.certificate();
            let left = own.not_after().0.saturating_sub(now.0);
            // One that ends with its root is not made better by another.
            let fresh = left > LAB_LIFETIME.0 / 3 || own.not_after() == root.certificate().not_after();
            own.organizations() == [lab] && holds(own, now) && fresh && root.signed(own)
        });
        let lab = match known {
            Some(lab) => lab,
            None => {
                let rank = Rank { organization: lab, common_name: "labinator lab", lifetime: LAB_LIFETIME };
                let lab = root.subordinate(rank, now, random)?;
                vault.put(LAB, &sealed(&lab))?;
                lab
            }
        };
        Ok(Self { root, lab })
    }

    /// Throws the root away, for a new one at the next [`LabCa::open`]. Every client must be told the new one.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn forget(vault: &Vault) -> Result<(), CaError> {
        vault.forget(LAB)?;
        Ok(vault.forget(ROOT)?)
    }

    /// The root that clients are told.
    #[must_use]
    pub const fn root(&self) -> &Certificate {
        self.root.certificate()
    }

    /// The lab's own.
    #[must_use]
    pub const fn lab(&self) -> &Certificate {
        self.lab.certificate()
    }

    /// Issues a server's certificate with a new key.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn issue(
        &self,
        names: &[Name],
        lifetime: Span,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Issued, CaError> {
        let leaf = Leaf {
            lifetime: self.capped(lifetime, now),
            backdate: BACKDATE,
            ..Leaf::server("labinator", names)
        };
        let identity = self.lab.issue(&leaf, now, random)?;
        let chain = self.chain(&identity.certificate);
        Ok(Issued { identity, chain })
    }

    /// Issues a certificate for a request.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn grant(
        &self,
        request: &Request,
        lifetime: Span,
        now: WallTime,
        random: &mut dyn Random,
    ) -> Result<Certificate, CaError> {
        Ok(self.lab.grant(request, (self.capped(lifetime, now), BACKDATE), now, random)?)
    }

    /// A leaf and who stands above it, as DER. The root goes along: a client that was told a fingerprint finds it there.
    #[must_use]
    pub fn chain(&self, leaf: &Certificate) -> Vec<Vec<u8>> {
        [leaf, self.lab(), self.root()].map(|one| one.der().to_vec()).to_vec()
    }

    /// No leaf outlives its authority.
    fn capped(&self, lifetime: Span, now: WallTime) -> Span {
        Span(lifetime.0.min(self.lab().not_after().0.saturating_sub(now.0)))
    }
}

fn holds(certificate: &Certificate, now: WallTime) -> bool {
    certificate.not_before() <= now && now < certificate.not_after()
}

fn sealed(authority: &Authority) -> Secret<Zeroizing<Vec<u8>>> {
    let (certificate, key) = authority.to_pem();
    let text = Zeroizing::new([certificate.as_str(), KEY_BEGINS, key.as_str()].concat());
    Secret::new(Zeroizing::new(text.as_bytes().to_vec()))
}

fn kept(vault: &Vault, name: &str) -> Result<Option<Authority>, CaError> {
    let Some(found) = vault.get(name)? else { return Ok(None) };
    let text = core::str::from_utf8(found.reveal()).unwrap_or_default();
    let (certificate, key) = text.split_once(KEY_BEGINS).unwrap_or_default();
    Ok(Some(Authority::from_pem(certificate, key)?))
}
