//! The core's end of the channel over real sockets, with an agent of a few lines whose line breaks when it is told to.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use drivers::channel::{Channel, CoreKey, Reach, Speaker, Unreached, send};
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{Method, Request, Response};
use model::{AgentKey, CHANNEL_FROM, CHANNEL_PROTOCOL, NodeName};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::AlwaysResolvesClientRawPublicKeys;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{ring as provider, verify_tls13_signature_with_raw_key};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

const PATIENCE: Duration = Duration::from_secs(20);

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
struct Agent {
    document: Vec<u8>,
    key: AgentKey,
    log: Mutex<(Vec<u8>, usize)>,
    typed: Mutex<Vec<u8>>,
}

impl Agent {
    fn new() -> Arc<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let key = AgentKey(pair.public_key().as_ref().try_into().unwrap());
        let document = document.as_ref().to_vec();
        Arc::new(Self { document, key, log: Mutex::default(), typed: Mutex::default() })
    }

    /// Connects, and answers until it is dropped.
    async fn talk(self: Arc<Self>, at: SocketAddr, core: AgentKey) {
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

    fn writes(&self, bytes: &[u8]) {
        self.log.lock().unwrap().0.extend_from_slice(bytes);
    }
}

/// A core that knows one key.
struct Core {
    channel: Channel,
    at: SocketAddr,
    key: AgentKey,
    running: JoinSet<()>,
}

fn key_file() -> PathBuf {
    std::env::temp_dir().join(format!(
        "drivers-channel-key-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ))
}

async fn core(known: AgentKey) -> Core {
    let key = CoreKey::kept(&key_file()).unwrap();
    let public = key.public();
    let guests: BTreeSet<NodeName> = ["vm1".parse().unwrap()].into();
    let speaker = Speaker { host: "metal1".parse().unwrap(), guests };
    let channel = Channel::new(Arc::new(move |key| (*key == known).then(|| speaker.clone())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mut running = JoinSet::new();
    let run = channel.clone();
    running.spawn(async move { run.run(listener, &key).await.unwrap() });
    Core { channel, at, key: public, running }
}

impl Core {
    /// Reads the console of `vm1` from here on until it has come as far.
    async fn read_until(&self, from: u64, next: u64) -> Vec<u8> {
        let vm1 = "vm1".parse().unwrap();
        let mut all = Vec::new();
        let reading = async {
            loop {
                let at = from + u64::try_from(all.len()).unwrap();
                if at >= next {
                    return;
                }
                if let Some(part) = self.channel.consoles().read(&vm1, at, 1000) {
                    assert_eq!(part.from, at, "a reader that keeps up loses nothing");
                    all.extend(part.bytes);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, reading).await.expect("the console does not come");
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_loses_no_byte_over_broken_lines_but_those_that_are_counted() {
    let agent = Agent::new();
    let core = core(agent.key).await;
    let vm1 = "vm1".parse().unwrap();
    let text = |round: u8| vec![b'a' + round; 700 + usize::from(round)];
    let (mut all, mut read) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
        agent.writes(&text(round));
        all.extend(text(round));
        let came = u64::try_from(read.len()).unwrap();
        read.extend(core.read_until(came, u64::try_from(all.len()).unwrap()).await);
        line.abort();
        // Said while nobody listens.
        agent.writes(b"meanwhile\n");
        all.extend(b"meanwhile\n");
    }
    let line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    read.extend(core.read_until(u64::try_from(read.len()).unwrap(), u64::try_from(all.len()).unwrap()).await);
    assert!(read == all, "bytes out are bytes in");
    assert_eq!(core.channel.consoles().read(&vm1, 0, 1).unwrap().lost, 0);
    assert!(core.channel.consoles().read(&"vm9".parse().unwrap(), 0, 1).is_none(), "not a guest of its");
    line.abort();

    // The agent forgets 100 bytes that nobody fetched.
    {
        let mut log = agent.log.lock().unwrap();
        let end = log.0.len();
        log.0.extend_from_slice(&[b'z'; 150]);
        log.1 = end + 100;
    }
    let _line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    let came = u64::try_from(all.len()).unwrap();
    assert_eq!(core.read_until(came, came + 50).await, vec![b'z'; 50]);
    assert_eq!(core.channel.consoles().read(&vm1, 0, 1).unwrap().lost, 100);
    std::fs::remove_file(key_file()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_starts_again_has_its_key_and_the_consoles_again() {
    let agent = Agent::new();
    agent.writes(b"Linux version 6.12\n");
    let mut first = core(agent.key).await;
    let line = tokio::spawn(Arc::clone(&agent).talk(first.at, first.key));
    assert_eq!(first.read_until(0, 19).await, b"Linux version 6.12\n");
    first.running.shutdown().await;
    line.abort();
    let second = core(agent.key).await;
    assert_eq!(second.key, first.key, "an agent believes the first key of a boot and no other");
    let _line = tokio::spawn(Arc::clone(&agent).talk(second.at, second.key));
    assert_eq!(second.read_until(0, 19).await, b"Linux version 6.12\n");
    std::fs::remove_file(key_file()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_another_key_is_not_asked_and_what_is_typed_goes_to_the_guest_alone() {
    let (agent, other) = (Agent::new(), Agent::new());
    let core = core(agent.key).await;
    other.writes(b"not vm1");
    timeout(PATIENCE, Arc::clone(&other).talk(core.at, core.key)).await.expect("its line is closed");
    let vm1: NodeName = "vm1".parse().unwrap();
    let typing = |text: &'static [u8]| core.channel.type_into(&vm1, Bytes::from_static(text));
    assert_eq!(typing(b"x").await, Err(Unreached::NoAgent));
    assert!(core.channel.consoles().read(&vm1, 0, 1).is_none());

    agent.writes(b"login: ");
    let _line = tokio::spawn(Arc::clone(&agent).talk(core.at, core.key));
    assert_eq!(core.read_until(0, 7).await, b"login: ");
    assert_eq!(typing(b"root\n").await, Ok(()));
    assert_eq!(*agent.typed.lock().unwrap(), b"root\n");
    let vm9 = "vm9".parse().unwrap();
    assert_eq!(core.channel.type_into(&vm9, Bytes::from_static(b"x")).await, Err(Unreached::NoAgent));
    let (mut to, mut back) = core.channel.reach(&vm1, Reach::Screen).await.unwrap();
    send(&mut to, Bytes::from_static(b"RFB 003.008\n")).await.unwrap();
    let said = timeout(PATIENCE, back.data()).await.unwrap().unwrap().unwrap();
    assert_eq!(&said[..], b"RFB 003.008\n");
    std::fs::remove_file(key_file()).unwrap();
}
