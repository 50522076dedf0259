//! A core of a few lines in the namespace: agents connect, and are told which build to take.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use model::{AgentBuild, AgentChannel, AgentKey, CHANNEL_BUILD_PATH, CHANNEL_PROTOCOL};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring as provider, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use tokio_rustls::rustls::server::AlwaysResolvesServerRawPublicKeys;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::within;

/// For an agent that was just started, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

type Order = (Wanted, std_mpsc::Sender<(u16, String)>);

/// What an agent is asked.
enum Wanted {
    /// To take a build.
    Build(AgentBuild),
    /// For the console of a guest, which is read on until the end.
    Console(String),
}

/// A core.
pub(crate) struct Core {
    /// Where it is, as agents are told.
    pub(crate) channel: AgentChannel,
    orders: mpsc::UnboundedSender<Order>,
}

impl Core {
    /// One in this namespace.
    pub(crate) fn new(space: &str) -> Self {
        let listener = within(space, || StdListener::bind("0.0.0.0:0").unwrap());
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec();
        let pair = Ed25519KeyPair::from_pkcs8(&document).unwrap();
        let key = AgentKey(pair.public_key().as_ref().try_into().unwrap());
        let (orders, heard) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, config(&document, key), heard));
        });
        Self { channel: AgentChannel { port, key }, orders }
    }

    /// Orders the agent that is connected, or comes soon, to take a build. Status and text of its answer.
    pub(crate) fn order(&self, build: AgentBuild) -> (u16, String) {
        let (tell, told) = std_mpsc::channel();
        self.orders.send((Wanted::Build(build), tell)).unwrap();
        told.recv_timeout(LIMIT).unwrap()
    }

    /// Reads the console of a guest from now on; gives how much came at first.
    pub(crate) fn follow(&self, guest: &str) -> usize {
        let (tell, told) = std_mpsc::channel();
        self.orders.send((Wanted::Console(guest.to_owned()), tell)).unwrap();
        let (status, text) = told.recv_timeout(LIMIT).unwrap();
        assert_eq!(status, 200, "{guest}");
        text.len()
    }
}

async fn serve(listener: StdListener, config: ServerConfig, mut orders: mpsc::UnboundedReceiver<Order>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut line: Option<SendRequest<Bytes>> = None;
    let mut waiting: Vec<Order> = Vec::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => line = shake(&acceptor, accepted.unwrap().0).await.or(line),
            order = orders.recv() => match order {
                Some(order) => waiting.push(order),
                None => return,
            },
        }
        if let Some(asker) = &mut line {
            let mut left = Vec::new();
            for (wanted, tell) in waiting.drain(..) {
                let answer = match &wanted {
                    Wanted::Build(build) => ask(asker, *build).await,
                    Wanted::Console(guest) => read(asker, guest).await,
                };
                match answer {
                    Some(answer) => drop(tell.send(answer)),
                    // That line is dead; the next one comes.
                    None => left.push((wanted, tell)),
                }
            }
            waiting = left;
        }
    }
}

async fn shake(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<SendRequest<Bytes>> {
    let stream = acceptor.accept(stream).await.ok()?;
    let (asker, line) = client::handshake(stream).await.ok()?;
    tokio::spawn(async move { drop(line.await) });
    Some(asker)
}

async fn ask(asker: &mut SendRequest<Bytes>, build: AgentBuild) -> Option<(u16, String)> {
    let request = Request::post(format!("https://agent{CHANNEL_BUILD_PATH}")).body(()).unwrap();
    let (answer, mut to) = asker.send_request(request, false).ok()?;
    to.send_data(serde_json::to_vec(&build).unwrap().into(), true).ok()?;
    let answer = answer.await.ok()?;
    let status = answer.status().as_u16();
    let (mut body, mut text) = (answer.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        text.extend_from_slice(&piece.ok()?);
    }
    Some((status, String::from_utf8(text).unwrap()))
}

/// The first piece of a console; what follows is read by a task.
async fn read(asker: &mut SendRequest<Bytes>, guest: &str) -> Option<(u16, String)> {
    let request = Request::get(format!("https://agent/v1/guests/{guest}/console")).body(()).unwrap();
    let answer = asker.send_request(request, true).ok()?.0.await.ok()?;
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    let first = body.data().await?.ok()?;
    let text = String::from_utf8_lossy(&first).into_owned();
    tokio::spawn(async move {
        let mut piece = Some(Ok(first));
        while let Some(Ok(bytes)) = piece {
            drop(body.flow_control().release_capacity(bytes.len()));
            piece = body.data().await;
        }
    });
    Some((status, text))
}

fn config(document: &[u8], key: AgentKey) -> ServerConfig {
    let crypto = provider::default_provider();
    let algorithms = crypto.signature_verification_algorithms;
    let signing = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(document)).unwrap();
    let own = CertifiedKey::new(vec![CertificateDer::from(key.to_spki().to_vec())], signing);
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody(algorithms)))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(Arc::new(own))));
    config.alpn_protocols = vec![CHANNEL_PROTOCOL.to_vec()];
    config
}

/// Takes any key.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _key: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(String::new()))
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(message, &key.as_ref().into(), signed, &self.0)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
