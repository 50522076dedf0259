//! A core of a few lines in the namespace: agents connect, and are told which build to take.

#[path = "anybody.rs"]
mod anybody;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use model::{AgentBuild, AgentChannel, AgentKey, AgentWelcome, CHANNEL_BUILD_PATH};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::within;
use anybody::config;

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
    came: Arc<AtomicU64>,
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
        let came = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&came);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, config(&document, key), (heard, counted)));
        });
        Self { channel: AgentChannel { port, key }, orders, came }
    }

    /// What a boss says to an agent of its own that this core is there for.
    pub(crate) fn welcome(&self) -> AgentWelcome {
        AgentWelcome {
            channel: Some(self.channel),
            lab: Some("own".parse().unwrap()),
            proven: Some(true),
            ..AgentWelcome::default()
        }
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

    /// Bytes of all consoles that came so far. They come for as long as this core is kept.
    pub(crate) fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }
}

async fn serve(
    listener: StdListener,
    config: ServerConfig,
    (mut orders, came): (mpsc::UnboundedReceiver<Order>, Arc<AtomicU64>),
) {
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
                    Wanted::Console(guest) => read(asker, guest, &came).await,
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
async fn read(asker: &mut SendRequest<Bytes>, guest: &str, came: &Arc<AtomicU64>) -> Option<(u16, String)> {
    let request = Request::get(format!("https://agent/v1/guests/{guest}/console")).body(()).unwrap();
    let answer = asker.send_request(request, true).ok()?.0.await.ok()?;
    let (status, mut body) = (answer.status().as_u16(), answer.into_body());
    let first = body.data().await?.ok()?;
    let text = String::from_utf8_lossy(&first).into_owned();
    let came = Arc::clone(came);
    came.fetch_add(first.len().try_into().unwrap(), Ordering::Relaxed);
    tokio::spawn(async move {
        let mut piece = Some(Ok(first));
        while let Some(Ok(bytes)) = piece {
            drop(body.flow_control().release_capacity(bytes.len()));
            piece = body.data().await;
            let more = piece.iter().flatten().map(|bytes| bytes.len()).sum::<usize>();
            came.fetch_add(more.try_into().unwrap(), Ordering::Relaxed);
        }
    });
    Some((status, text))
}
