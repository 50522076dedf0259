//! A hypervisor's agent in a few lines, with one guest.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use model::{AgentKey, CHANNEL_FROM, CHANNEL_NUDGE_PATH, CHANNEL_PROTOCOL};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::AlwaysResolvesClientRawPublicKeys;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{ring as provider, verify_tls13_signature_with_raw_key};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Believes the core's key.
#[derive(Debug)]
struct Pinned(AgentKey);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        assert_eq!(AgentKey::of_spki(key), Some(self.0));
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General(String::new()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = provider::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key.as_ref().into(), signed, &known)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider::default_provider().signature_verification_algorithms.supported_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// A hypervisor's agent whose guest `vm1` has written `log`, of which the part from `kept` on can be read.
pub(crate) struct Agent {
    document: Vec<u8>,
    pub(crate) key: AgentKey,
    pub(crate) log: Mutex<(Vec<u8>, usize)>,
    pub(crate) typed: Mutex<Vec<u8>>,
    /// Times that it was told to ask, and whether it answers that.
    pub(crate) nudges: watch::Sender<u32>,
    pub(crate) knows_nudges: bool,
    /// Socket of its guest's screen; one that repeats what it hears unless told.
    screen: Option<PathBuf>,
}

impl Agent {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_screen(None)
    }

    pub(crate) fn with_screen(screen: Option<PathBuf>) -> Arc<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let key = AgentKey(pair.public_key().as_ref().try_into().unwrap());
        let document = document.as_ref().to_vec();
        Arc::new(Self {
            document,
            key,
            log: Mutex::default(),
            typed: Mutex::default(),
            nudges: watch::Sender::new(0),
            knows_nudges: true,
            screen,
        })
    }

    /// Connects, and answers until it is dropped.
    pub(crate) async fn talk(self: Arc<Self>, at: SocketAddr, core: AgentKey) {
        let signing =
            provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(self.document.as_slice())).unwrap();
        let own = CertifiedKey::new(vec![CertificateDer::from(self.key.to_spki().to_vec())], signing);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(core)))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(own))));
        config.alpn_protocols = vec![CHANNEL_PROTOCOL.to_vec()];
        let stream = TcpStream::connect(at).await.unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::from(at.ip()), stream);
        let Ok(mut line) = server::handshake(connecting.await.unwrap()).await else { return };
        let mut streams = JoinSet::new();
        while let Some(Ok((request, respond))) = line.accept().await {
            streams.spawn(Arc::clone(&self).answer(request, respond));
        }
    }

    async fn answer(self: Arc<Self>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let path = request.uri().path().to_owned();
        if let Some(screen) = self.screen.as_ref().filter(|_| path.ends_with("vnc")) {
            let Ok(screen) = UnixStream::connect(screen).await else {
                let refusal = Response::builder().status(StatusCode::NOT_FOUND).body(()).unwrap();
                drop(respond.send_response(refusal, true).unwrap());
                return;
            };
            return join(screen, request.into_body(), respond).await;
        }
        if path == CHANNEL_NUDGE_PATH {
            self.nudges.send_modify(|nudges| *nudges += 1);
            let status = if self.knows_nudges { StatusCode::ACCEPTED } else { StatusCode::NOT_FOUND };
            drop(respond.send_response(Response::builder().status(status).body(()).unwrap(), true).unwrap());
            return;
        }
        if request.method() == Method::POST {
            let mut to = respond.send_response(Response::new(()), false).unwrap();
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                self.typed.lock().unwrap().extend_from_slice(&piece);
                if path.ends_with("vnc") {
                    send(&mut to, piece).await.unwrap();
                }
            }
            drop(to.send_data(Bytes::new(), true));
            return;
        }
        if path == "/v1/guests" {
            let mut to = respond.send_response(Response::new(()), false).unwrap();
            // One of them is not on this hypervisor's list: what is told of it is not believed.
            send(&mut to, Bytes::from_static(br#"["vm1","vm9"]"#)).await.unwrap();
            to.send_data(Bytes::new(), true).unwrap();
            return;
        }
        let query = request.uri().query().unwrap().to_owned();
        let from: usize = query.strip_prefix(&format!("{CHANNEL_FROM}=")).unwrap().parse().unwrap();
        let kept = self.log.lock().unwrap().1;
        let mut at = from.max(kept);
        let response = Response::builder().header(CHANNEL_FROM, at).body(()).unwrap();
        let mut to = respond.send_response(response, false).unwrap();
        loop {
            let new = self.log.lock().unwrap().0.get(at..).unwrap_or_default().to_vec();
            at += new.len();
            if new.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            } else if send(&mut to, new.into()).await.is_err() {
                return;
            }
        }
    }

    pub(crate) fn writes(&self, bytes: &[u8]) {
        self.log.lock().unwrap().0.extend_from_slice(bytes);
    }
}

/// Sends as the other end takes it.
async fn send(to: &mut SendStream<Bytes>, mut bytes: Bytes) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        to.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| to.poll_capacity(cx)).await;
        let room = room.unwrap_or_else(|| Err(h2::Reason::CANCEL.into()))?;
        to.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}

/// Joins a screen and a request until one of both ends.
async fn join(screen: UnixStream, mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let mut to = respond.send_response(Response::new(()), false).unwrap();
    let (mut picture, mut keys) = screen.into_split();
    let seen = async {
        let mut piece = vec![0; 4096];
        while let Ok(count @ 1..) = picture.read(&mut piece).await {
            if send(&mut to, Bytes::copy_from_slice(piece.get(..count).unwrap_or_default())).await.is_err() {
                return;
            }
        }
    };
    let done = async {
        while let Some(Ok(piece)) = body.data().await {
            body.flow_control().release_capacity(piece.len()).unwrap();
            if keys.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = seen => {}
        () = done => {}
    }
    drop(to.send_data(Bytes::new(), true));
}
