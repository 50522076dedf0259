//! The core's end of the channel to agents: they connect and show the key of their boot, and are asked for the consoles
//! of their guests.
//!
//! ```text
//! agent ──TLS, its key──▶ whose is it? ──nobody's──▶ closed
//!                              │
//!                              ▼ each guest: ask from where its log goes on ──▶ Consoles (memory, bounded)
//! ```

mod build;
mod consoles;
mod key;
mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::client::{self, SendRequest};
use http::{Method, Request, StatusCode};
use model::{AgentKey, CHANNEL_FROM, CHANNEL_GUESTS_PATH, CHANNEL_NUDGE_PATH, NodeName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::here::Here;
use crate::way::{self, Inlet, Outlet};

pub use build::{Answered, Unplaced};
pub use consoles::{Consoles, Part};
pub use key::CoreKey;

/// Longest time of a handshake, and of an answer's head.
const LIMIT: Duration = Duration::from_secs(10);
/// Connections at once; each hypervisor has one.
const CONNECTIONS: usize = 1024;
/// How often an agent is asked which guests it has.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the other end is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);
/// Bytes that an agent may send of one console before they were taken.
const WINDOW: u32 = 64 << 10;
/// Bytes of a list of guests; more is no list.
const LONGEST_LIST: usize = 256 << 10;

/// Who may say something over a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Speaker {
    /// The hypervisor.
    pub host: NodeName,
    /// Its guests, and no others.
    pub guests: BTreeSet<NodeName>,
}

/// Whose key it is: asked at each connection, and again while it lasts.
pub type Whose = Arc<dyn Fn(&AgentKey) -> Option<Speaker> + Send + Sync>;

/// What of a guest is reached over the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its serial port, to type into it.
    Keyboard,
    /// Its screen (RFC 6143), both ways.
    Screen,
}

/// Why a guest is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    /// No agent that runs it is connected.
    #[error("no agent that runs it is connected")]
    NoAgent,
    /// Its agent has no such thing.
    #[error("its agent does not have it: it is not running")]
    NotThere,
    /// It is a virtual machine of this computer that does not run.
    #[error("it is not running")]
    Off,
    /// The connection broke.
    #[error("the connection to it broke")]
    Broken,
}

/// The agents that are connected, and the virtual machines beside them.
#[derive(Clone)]
pub struct Channel {
    lines: Arc<Mutex<BTreeMap<NodeName, Line>>>,
    here: Here,
    whose: Whose,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Channel({} lines)", self.lines().len())
    }
}

struct Line {
    key: AgentKey,
    asker: SendRequest<Bytes>,
    guests: BTreeSet<NodeName>,
    /// It shall ask the boss; however often this is said before it was told, it is told once.
    nudge: Arc<Notify>,
}

impl Channel {
    /// A channel without connections.
    #[must_use]
    pub fn new(whose: Whose) -> Self {
        Self { lines: Arc::default(), here: Here::default(), whose }
    }

    /// The same, by which the virtual machines of this computer are reached, too.
    #[must_use]
    pub fn beside(self, here: Here) -> Self {
        Self { here, ..self }
    }

    /// The virtual machines of this computer.
    #[must_use]
    pub const fn here(&self) -> &Here {
        &self.here
    }

    /// What consoles said.
    #[must_use]
    pub const fn consoles(&self) -> &Consoles {
        self.here.consoles()
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<NodeName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes agents at this listener. Goes on until dropped.
    ///
    /// # Errors
    /// The key cannot be used.
    pub async fn run(self, listener: TcpListener, key: &CoreKey) -> io::Result<()> {
        let acceptor = TlsAcceptor::from(Arc::new(key.config().map_err(io::Error::other)?));
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    tracing::warn!("cannot accept an agent: {why}");
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
            };
            // Over the limit it is closed at once: the agent's own retry is the queue.
            let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
            let (channel, acceptor) = (self.clone(), acceptor.clone());
            connections.spawn(async move {
                if let Err(why) = channel.serve(&acceptor, stream).await {
                    tracing::debug!("an agent's channel ended: {why}");
                }
                drop(seat);
            });
        }
    }

    async fn serve(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let stream = timeout(LIMIT, acceptor.accept(stream)).await??;
        let key = shown_key(&stream).ok_or_else(|| io::Error::other("no key was shown"))?;
        let stranger = || io::Error::other(format!("key {} is no machine's", key.short()));
        let speaker = (self.whose)(&key).ok_or_else(stranger)?;
        let shaking = client::Builder::new().initial_window_size(WINDOW).handshake(stream);
        let (asker, mut connection) = timeout(LIMIT, shaking).await?.map_err(io::Error::other)?;
        let pings = connection.ping_pong();
        let nudge = Arc::<Notify>::default();
        let line = Line { key, asker: asker.clone(), guests: speaker.guests, nudge: Arc::clone(&nudge) };
        // A newer connection of the same machine takes the place of one that is not known to be dead yet.
        self.lines().insert(speaker.host.clone(), line);
        let outcome = tokio::select! {
            ended = connection => ended.map_err(io::Error::other),
            why = until_silent(pings) => Err(why),
            ended = pass_nudges(asker.clone(), &nudge) => ended,
            ended = self.follow_all(key, asker) => ended,
        };
        let mut lines = self.lines();
        if lines.get(&speaker.host).is_some_and(|line| line.key == key) {
            lines.remove(&speaker.host);
        }
        outcome
    }

    /// Tells the agent of a machine to ask its boss now. One that has no line, or is too old to know this, asks with its
    /// next heartbeat. Returns at once.
    pub fn nudge(&self, host: &NodeName) {
        if let Some(line) = self.lines().get(host) {
            line.nudge.notify_one();
        }
    }

    /// Follows the consoles of all guests of an agent, for as long as its key is its machine's.
    async fn follow_all(&self, key: AgentKey, mut asker: SendRequest<Bytes>) -> io::Result<()> {
        let mut followed = BTreeSet::new();
        let mut following = JoinSet::new();
        let mut looks = interval(LOOK_AGAIN);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                Some(ended) = following.join_next() => {
                    // Its log is gone, or it fell behind: it is asked again with the next look.
                    if let Ok(guest) = ended {
                        followed.remove(&guest);
                    }
                    continue;
                }
            }
            let Some(speaker) = (self.whose)(&key) else { return Err(io::Error::other("another boot")) };
            for guest in told_guests(&mut asker).await? {
                if speaker.guests.contains(&guest) && followed.insert(guest.clone()) {
                    let (channel, asker) = (self.clone(), asker.clone());
                    following.spawn(async move {
                        if let Err(why) = channel.follow(&guest, key, asker).await {
                            tracing::debug!(%guest, "its console is not followed any more: {why}");
                        }
                        guest
                    });
                }
            }
        }
    }

    async fn follow(
        &self,
        guest: &NodeName,
        key: AgentKey,
        mut asker: SendRequest<Bytes>,
    ) -> Result<(), h2::Error> {
        let wanted = self.consoles().wanted(guest, &key);
        let path = format!("{CHANNEL_GUESTS_PATH}/{guest}/console?{CHANNEL_FROM}={wanted}");
        let (answer, _) = asker.send_request(request(Method::GET, &path), true)?;
        let answer = answer.await?;
        if answer.status() != StatusCode::OK {
            return Ok(());
        }
        let begins = answer.headers().get(CHANNEL_FROM).and_then(|from| from.to_str().ok()?.parse().ok());
        self.consoles().begin(guest, key, begins.unwrap_or(wanted));
        let mut body = answer.into_body();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            self.consoles().append(guest, &piece);
            body.flow_control().release_capacity(piece.len())?;
        }
        Ok(())
    }

    /// Opens a way to the screen of a guest, or of a virtual machine of this computer.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn screen(&self, node: &NodeName) -> Result<(Inlet, Outlet), Unreached> {
        match self.here.seat(node) {
            Some(seat) => seat.screen().await,
            None => self.reach(node, Reach::Screen).await,
        }
    }

    /// Opens a way to a guest: what is sent goes in, what is received came out.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn reach(&self, guest: &NodeName, what: Reach) -> Result<(Inlet, Outlet), Unreached> {
        let asker = self.lines().values().find(|line| line.guests.contains(guest)).map(|l| l.asker.clone());
        let mut asker = asker.ok_or(Unreached::NoAgent)?;
        let what = match what {
            Reach::Keyboard => "console",
            Reach::Screen => "vnc",
        };
        let path = format!("{CHANNEL_GUESTS_PATH}/{guest}/{what}");
        let sent = asker.send_request(request(Method::POST, &path), false);
        let (answer, to) = sent.map_err(|_| Unreached::Broken)?;
        let answer = timeout(LIMIT, answer).await.map_err(|_| Unreached::Broken)?;
        let answer = answer.map_err(|_| Unreached::Broken)?;
        match answer.status() {
            StatusCode::OK => Ok(way::over(to, answer.into_body())),
            _ => Err(Unreached::NotThere),
        }
    }

    /// Types into the serial port of a guest, or of a virtual machine of this computer.
    ///
    /// # Errors
    /// [`Unreached`]; some of it may have been typed.
    pub async fn type_into(&self, guest: &NodeName, text: Bytes) -> Result<(), Unreached> {
        if let Some(seat) = self.here.seat(guest) {
            return timeout(LIMIT, seat.type_into(text)).await.map_err(|_| Unreached::Broken)?;
        }
        let (mut to, mut back) = self.reach(guest, Reach::Keyboard).await?;
        to.send(text).await.map_err(|_| Unreached::Broken)?;
        to.close().await.map_err(|_| Unreached::Broken)?;
        // It ends when the agent has written all of it.
        let ended = timeout(LIMIT, async { while matches!(back.next().await, Ok(Some(_))) {} }).await;
        ended.map_err(|_| Unreached::Broken)
    }
}

fn request(method: Method, path: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = format!("https://agent{path}").parse().unwrap_or_default();
    request
}

fn shown_key(stream: &TlsStream<TcpStream>) -> Option<AgentKey> {
    AgentKey::of_spki(stream.get_ref().1.peer_certificates()?.first()?)
}

async fn until_silent(pings: Option<h2::PingPong>) -> io::Error {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(PING).await;
        if !matches!(timeout(PING, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return io::Error::other("it does not answer any more");
        }
    }
}

/// Passes on what is to be told, one at a time: while an answer is out, more of them are one.
async fn pass_nudges(mut asker: SendRequest<Bytes>, nudge: &Notify) -> io::Result<()> {
    loop {
        nudge.notified().await;
        let told = async {
            poll_fn(|cx| asker.poll_ready(cx)).await.map_err(io::Error::other)?;
            let sent = asker.send_request(request(Method::POST, CHANNEL_NUDGE_PATH), true);
            sent.map_err(io::Error::other)?.0.await.map_err(io::Error::other)
        };
        // Whatever it says: an older agent does not know what it is asked.
        drop(timeout(LIMIT, told).await??);
    }
}

async fn told_guests(asker: &mut SendRequest<Bytes>) -> io::Result<Vec<NodeName>> {
    let asked = async {
        poll_fn(|cx| asker.poll_ready(cx)).await.map_err(io::Error::other)?;
        let sent = asker.send_request(request(Method::GET, CHANNEL_GUESTS_PATH), true);
        let mut body = sent.map_err(io::Error::other)?.0.await.map_err(io::Error::other)?.into_body();
        let mut list = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(io::Error::other)?;
            body.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
            list.extend_from_slice(&piece);
            if list.len() > LONGEST_LIST {
                return Err(io::Error::other("too long a list of guests"));
            }
        }
        serde_json::from_slice(&list).map_err(io::Error::other)
    };
    timeout(LIMIT, asked).await?
}
