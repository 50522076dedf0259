//! The channel to the core: the agent connects and proves itself by the key of this boot; the core then asks.
//!
//! ```text
//! told where and by which key ──▶ connect ──▶ TLS 1.3, both keys raw ──▶ HTTP/2: the core asks, the agent answers
//!            ▲                                                              │ lost, or silent for a minute
//!            └────────────────────── pause, longer each time ◀──────────────┘
//! ```

mod answer;
mod log;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{AgentKey, CHANNEL_PROTOCOL};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key};
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, SignatureScheme};

use crate::key::BootKey;
use crate::loader::DiskLoader;
use crate::renew::Renewer;

/// Longest time for connecting and the handshake.
const LIMIT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Where the core is, and its key.
pub(crate) type Whereto = Option<(SocketAddr, AgentKey)>;

/// What the core can ask for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Folder of the guests.
    pub(crate) folder: PathBuf,
    /// Takes other builds.
    pub(crate) renewer: Arc<Renewer>,
    /// Puts our loader onto disks.
    pub(crate) loader: DiskLoader,
    /// Told when the boss is to be asked now.
    pub(crate) nudged: Arc<Notify>,
}

/// Keeps the channel up. `whereto` tells where it leads; the first key that it tells is the only one believed.
pub(crate) async fn keep(key: Arc<BootKey>, asked: Asked, mut whereto: watch::Receiver<Whereto>) {
    let mut pinned = None;
    let mut wait = FIRST_WAIT;
    loop {
        let Ok(Some((at, told))) = whereto.wait_for(Option::is_some).await.map(|to| *to) else { return };
        let core = *pinned.get_or_insert(told);
        match connect(&key, at, core).await {
            Ok(stream) => {
                wait = FIRST_WAIT;
                answer::all(stream, &asked).await;
            }
            Err(_) => wait = (wait * 2).min(LONGEST_WAIT),
        }
        sleep(wait).await;
    }
}

type Stream = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(key: &BootKey, at: SocketAddr, core: AgentKey) -> std::io::Result<Stream> {
    let config = config(key, core).map_err(std::io::Error::other)?;
    let connecting = async {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::from(at.ip()), stream).await
    };
    timeout(LIMIT, connecting).await?
}

/// Whether a connection can be made at all: all that it takes but the other end.
///
/// # Errors
/// A sentence.
pub(crate) fn try_config(key: &BootKey, core: AgentKey) -> Result<(), String> {
    config(key, core).map(drop).map_err(|why| why.to_string())
}

fn config(key: &BootKey, core: AgentKey) -> Result<ClientConfig, rustls::Error> {
    let provider = ring::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let signing = ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(key.document()))?;
    let public = CertificateDer::from(key.public().to_spki().to_vec());
    let own = Arc::new(CertifiedKey::new(vec![public], signing));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { core, algorithms }))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own)));
    config.alpn_protocols = vec![CHANNEL_PROTOCOL.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Believes one key.
#[derive(Debug)]
struct Pinned {
    core: AgentKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match AgentKey::of_spki(key) {
            Some(shown) if shown == self.core => Ok(ServerCertVerified::assertion()),
            Some(_) | None => Err(rustls::CertificateError::UnknownIssuer.into()),
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
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
