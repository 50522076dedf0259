//! The core's key for its agents, and which keys it takes at the other end.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use model::{AgentKey, CHANNEL_PROTOCOL};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::server::AlwaysResolvesServerRawPublicKeys;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

/// An Ed25519 key (RFC 8032), the same over restarts: an agent believes the first one it is told in a boot.
pub struct CoreKey {
    document: Vec<u8>,
    public: AgentKey,
}

impl fmt::Debug for CoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoreKey({})", self.public)
    }
}

impl CoreKey {
    /// The key of this file; made, and synced, when there is none or it is not whole.
    ///
    /// # Errors
    /// As the system says.
    pub fn kept(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(document) => {
                if let Some(key) = Self::of(document) {
                    return Ok(key);
                }
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
        let no_randomness = || io::Error::other("the kernel gives no randomness");
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| no_randomness())?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path)?;
        file.write_all(made.as_ref())?;
        file.sync_all()?;
        Self::of(made.as_ref().to_vec()).ok_or_else(no_randomness)
    }

    fn of(document: Vec<u8>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&document).ok()?;
        let public = AgentKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { document, public })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> AgentKey {
        self.public
    }

    /// TLS 1.3 with it. Any key is taken at the other end; whose it is is looked up afterwards.
    pub(super) fn config(&self) -> Result<ServerConfig, rustls::Error> {
        let provider = provider::default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let signing = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(self.document.as_slice()))?;
        let public = CertificateDer::from(self.public.to_spki().to_vec());
        let own = Arc::new(CertifiedKey::new(vec![public], signing));
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(AnyKey(algorithms)))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own)));
        config.alpn_protocols = vec![CHANNEL_PROTOCOL.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// Takes any key whose owner signs the handshake with it.
#[derive(Debug)]
struct AnyKey(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match AgentKey::of_spki(key) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(rustls::CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
