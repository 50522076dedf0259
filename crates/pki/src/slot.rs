//! The place from which a running TLS server takes its certificate: another one is put in without closing a connection,
//! and one that is not valid at this moment is never shown.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use model::WallTime;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::{default_provider, sign::any_ecdsa_type};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::ca::Issued;
use crate::renewal::Validity;

/// What tells the wall clock and whether it is believed: `None` while it is not.
pub type WallClock = Arc<dyn Fn() -> Option<WallTime> + Send + Sync>;

/// One service's certificate.
pub struct Slot {
    now: WallClock,
    held: RwLock<Option<(Validity, Arc<CertifiedKey>)>>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("validity", &self.validity()).finish_non_exhaustive()
    }
}

impl Slot {
    /// An empty one. The clock is asked at every handshake, so nothing that ended is shown between two ticks.
    #[must_use]
    pub fn new(now: WallClock) -> Self {
        Self { now, held: RwLock::new(None) }
    }

    /// Puts a certificate in; connections that stand keep what they have.
    ///
    /// # Errors
    /// The key is none that TLS signs with.
    pub fn put(&self, issued: &Issued, validity: Validity) -> Result<(), tokio_rustls::rustls::Error> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.identity.key.to_pkcs8().to_vec()));
        let chain = issued.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let certified = Arc::new(CertifiedKey::new(chain, any_ecdsa_type(&key)?));
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some((validity, certified));
        Ok(())
    }

    /// Of the certificate that is in, valid or not.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(validity, _)| *validity)
    }

    /// What a client would be shown now.
    #[must_use]
    pub fn shown(&self) -> Option<Arc<CertifiedKey>> {
        let now = (self.now)()?;
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|(validity, _)| validity.holds(now)).map(|(_, certified)| Arc::clone(certified))
    }

    /// TLS 1.2 and 1.3 with this certificate, for HTTP/1.1. Sessions are not resumed: a resumed one would go on with a
    /// certificate that ended.
    ///
    /// # Errors
    /// The library's own algorithms and versions do not fit, which its tests rule out.
    pub fn config(self: &Arc<Self>) -> Result<ServerConfig, tokio_rustls::rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.shown()
    }
}
