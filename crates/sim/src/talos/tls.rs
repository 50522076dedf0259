//! A simulated node's TLS: its certificate, whom it takes for a client, and by which clock.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::WallTime;
use talos::pki::{Authority, Certificate, Identity, KeyKind, Leaf, Name, Random};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// The node's own clock, fixed when its port opens: a day's certificate outlives any test.
#[derive(Debug)]
struct Clock(WallTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.0)))
    }
}

/// What went wrong, for the node's log.
pub(super) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// A port that asks no client for a certificate, under a root made for this boot.
pub(super) fn maintenance(
    address: IpAddr,
    now: WallTime,
    random: &mut dyn Random,
) -> Result<Arc<ServerConfig>, Trouble> {
    let root = Authority::mint(KeyKind::Ed25519, Some("talos"), now, random)?;
    let names = [Name::Ip(address)];
    let leaf = root.issue(&Leaf::server("maintenance-service.talos.dev", &names), now, random)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    finished(builder.with_single_cert(vec![der(&leaf.certificate)], key(&leaf.key))?)
}

/// A port that takes clients of the cluster only.
pub(super) fn configured(
    ca: &Certificate,
    own: &Identity,
    now: WallTime,
) -> Result<Arc<ServerConfig>, Trouble> {
    let mut roots = RootCertStore::empty();
    roots.add(der(ca))?;
    let provider = Arc::new(ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let builder = ServerConfig::builder_with_details(provider, Arc::new(Clock(now)))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients);
    finished(builder.with_single_cert(vec![der(&own.certificate)], key(&own.key))?)
}

fn finished(mut config: ServerConfig) -> Result<Arc<ServerConfig>, Trouble> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

pub(super) fn der(certificate: &Certificate) -> CertificateDer<'static> {
    CertificateDer::from(certificate.der().to_vec())
}

pub(super) fn key(key: &talos::pki::PrivateKey) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into()
}

/// The roles that a client's certificate names: its organizations.
pub(super) fn roles(certificates: Option<&[CertificateDer<'_>]>) -> Vec<String> {
    let leaf = certificates.and_then(|all| all.first());
    let read = leaf.and_then(|leaf| Certificate::from_der(leaf.as_ref()).ok());
    read.map(|certificate| certificate.organizations().to_vec()).unwrap_or_default()
}
