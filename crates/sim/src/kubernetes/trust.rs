//! TLS as an API server does it: its own certificate, and one of the client that is looked at after the handshake.
//!
//! A kube-apiserver takes any certificate in the handshake and answers 401 when it does not know its authority; a
//! server that broke the handshake off would teach clients the wrong error.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

/// What is not a certificate or key.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct TrustError {
    what: &'static str,
    why: String,
}

fn wrong(what: &'static str, why: &dyn std::fmt::Display) -> TrustError {
    TrustError { what, why: why.to_string() }
}

/// A server's certificate and key, and the authority of its clients.
#[derive(Debug, Clone)]
pub struct Identity {
    tls: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Identity {
    /// From PEM: the certificate with those up to its authority, its key, and the authority of the clients.
    ///
    /// # Errors
    /// What cannot be read, or does not belong together.
    pub fn from_pem(chain: &[u8], key: &[u8], clients: &[u8]) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|why| wrong("the server's certificate", &why))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|why| wrong("the server's key", &why))?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(clients) {
            let authority = authority.map_err(|why| wrong("the clients' authority", &why))?;
            roots.add(authority).map_err(|why| wrong("the clients' authority", &why))?;
        }
        let judge = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|why| wrong("the clients' authority", &why))?;
        let tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|why| wrong("TLS", &why))?
            .with_client_cert_verifier(Arc::new(Anybody { provider }))
            .with_single_cert(chain, key)
            .map_err(|why| wrong("the server's certificate", &why))?;
        Ok(Self { tls: Arc::new(tls), clients: judge })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.tls))
    }

    /// Whether these certificates are of the clients' authority, at this moment. None were shown: nobody.
    pub(super) fn knows(&self, shown: Option<&[CertificateDer<'static>]>, now: UnixTime) -> Shown {
        match shown {
            None | Some([]) => Shown::Nothing,
            Some([leaf, between @ ..]) => match self.clients.verify_client_cert(leaf, between, now) {
                Ok(_) => Shown::Known,
                Err(_) => Shown::Unknown,
            },
        }
    }
}

/// What a client showed of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Known,
    Unknown,
    Nothing,
}

/// Takes every certificate whose key the client has.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
