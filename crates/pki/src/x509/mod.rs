//! Keys and certificates: for the lab's own servers, and in the shapes that Talos Linux makes and reads.
//!
//! Everything here is a function of its arguments: the clock and the random source are handed in, so the same
//! seed gives the same bytes. Two libraries share the work: `p256` for ECDSA, because its keys come from a given
//! scalar and its signatures repeat (RFC 6979), and `ring` for Ed25519 and for signing with an imported RSA key.
//! The certificate itself is written here: a certificate builder that keeps one organization a name cannot say
//! two roles.

mod authority;
mod certificate;
pub(crate) mod der;
mod error;
mod key;
mod pem;
mod random;
mod read;
mod request;
mod tree;

pub use authority::{Authority, BACKDATE, CA_LIFETIME, CLIENT_LIFETIME, Identity, Leaf, Name, Usage};
pub use certificate::Certificate;
pub use error::PkiError;
pub use key::{KeyKind, PrivateKey};
pub use pem::{PemBlock, pem_decode, pem_encode};
pub use random::{NoRandom, OsRandom, Random, Seeded};
pub use request::Request;
pub use tree::Rank;
