//! Who we are to a configured node: the certificates of a talosconfig.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::NodeError;
use crate::talosconfig::TalosConfig;

/// The cluster's authority, and our client certificate with its key.
pub struct Identity {
    pub(super) roots: Vec<CertificateDer<'static>>,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Identity").field("roots", &self.roots.len()).finish_non_exhaustive()
    }
}

impl Identity {
    /// From the three PEM texts of a talosconfig's context.
    ///
    /// Talos labels Ed25519 keys `ED25519 PRIVATE KEY` around an ordinary PKCS#8 body; readers of PEM skip a label they
    /// do not know, so it is changed first.
    ///
    /// # Errors
    /// One of them is no PEM of its kind.
    pub fn from_pem(ca: &[u8], crt: &[u8], key: &[u8]) -> Result<Self, NodeError> {
        let bad =
            |place: &str, why: &str| NodeError::Identity { place: place.to_owned(), why: why.to_owned() };
        let certificates = |pem: &[u8], place: &str| {
            let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
                .collect::<Result<_, _>>()
                .map_err(|why| bad(place, &format!("not a PEM certificate: {why}")))?;
            if all.is_empty() { Err(bad(place, "holds no PEM certificate")) } else { Ok(all) }
        };
        let text = std::str::from_utf8(key).map_err(|_| bad("key", "is not text"))?;
        let ordinary = text.replace("ED25519 PRIVATE KEY", "PRIVATE KEY");
        let key = PrivateKeyDer::from_pem_slice(ordinary.as_bytes())
            .map_err(|_| bad("key", "holds no PEM private key (Ed25519, EC or RSA)"))?;
        Ok(Self { roots: certificates(ca, "ca")?, chain: certificates(crt, "crt")?, key })
    }
}

/// One context of a talosconfig: where its nodes are and who we are to them.
#[derive(Debug, Clone)]
pub struct Context {
    /// Its name.
    pub name: String,
    /// Where the API is reached: host, `host:port` or URL.
    pub endpoints: Vec<String>,
    /// Nodes that commands are meant for.
    pub nodes: Vec<String>,
    /// The certificates.
    pub identity: Arc<Identity>,
}

impl Context {
    /// Reads a talosconfig's context `name`, or its current one.
    ///
    /// # Errors
    /// It is not YAML of this form, has no such context, or its certificates cannot be read.
    pub fn read(text: &str, name: Option<&str>) -> Result<Self, NodeError> {
        let bad = |why: &dyn fmt::Display| NodeError::Identity {
            place: "talosconfig".to_owned(),
            why: why.to_string(),
        };
        let file = TalosConfig::from_yaml(text).map_err(|why| bad(&why))?;
        let name = name.unwrap_or_else(|| file.current()).to_owned();
        let context = file.context(Some(&name)).map_err(|why| bad(&why))?;
        let (certificate, key) = context.identity.to_pem();
        let identity =
            Identity::from_pem(context.authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?;
        Ok(Self { name, endpoints: context.endpoints, nodes: context.nodes, identity: Arc::new(identity) })
    }
}
