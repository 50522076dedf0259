//! How we look at a node's certificate: by its cluster's authority, by a pinned fingerprint, or not at all.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use super::error::NodeError;
use super::fingerprint::Fingerprint;
use super::identity::Identity;

/// Whom we take for the node.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// A node without a config: its certificate proves nothing, but can be pinned.
    Maintenance(Option<Fingerprint>),
    /// A node of our cluster, to whom we show our certificate.
    Cluster(Arc<Identity>),
}

/// Remembers who answered, and how the verdict was.
#[derive(Debug)]
pub(super) struct Witness {
    provider: Arc<CryptoProvider>,
    pin: Option<Fingerprint>,
    cluster: Option<Arc<WebPkiServerVerifier>>,
    seen: Mutex<Option<Fingerprint>>,
}

impl Witness {
    pub(super) fn seen(&self) -> Option<Fingerprint> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pinned fingerprint that was not met.
    pub(super) fn missed(&self) -> Option<(Fingerprint, Fingerprint)> {
        let (pin, seen) = (self.pin?, self.seen()?);
        (pin != seen).then_some((pin, seen))
    }
}

/// What rustls needs for one connection.
///
/// # Errors
/// The identity's authority or key is not what TLS takes.
pub(super) fn config(trust: &Trust) -> Result<(ClientConfig, Arc<Witness>), NodeError> {
    let bad = |place: &str, why: String| NodeError::Identity { place: place.to_owned(), why };
    let provider = Arc::new(ring::default_provider());
    let (pin, identity) = match trust {
        Trust::Maintenance(pin) => (*pin, None),
        Trust::Cluster(identity) => (None, Some(identity)),
    };
    let cluster = match identity {
        None => None,
        Some(identity) => {
            let mut roots = RootCertStore::empty();
            for root in &identity.roots {
                roots
                    .add(root.clone())
                    .map_err(|why| bad("ca", format!("is not an authority's certificate: {why}")))?;
            }
            let verifier =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
            Some(verifier.map_err(|why| bad("ca", why.to_string()))?)
        }
    };
    let witness = Arc::new(Witness { provider: Arc::clone(&provider), pin, cluster, seen: Mutex::new(None) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| bad("TLS", why.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Witness>::clone(&witness));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|why| bad("key", format!("does not belong to the certificate: {why}")))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((config, witness))
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let seen = Fingerprint::of(end_entity);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        if let Some(cluster) = &self.cluster {
            return cluster.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        match (self.pin, seen) {
            (_, None) => Err(CertificateError::BadEncoding.into()),
            (Some(pin), Some(seen)) if pin != seen => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            (_, Some(_)) => Ok(ServerCertVerified::assertion()),
        }
    }

    // The key behind the certificate is proven in either case: a fingerprint without its key is worth nothing.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
