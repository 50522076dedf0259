//! Names for the lab: UDP and TCP port 53 on the boss's address.
//!
//! ```text
//! question ─▶ zone: whose name is it? ─┬─ ours: answered from the board, with authority
//!                                      ├─ nobody's to ask for (private, local, or no servers): refused or denied
//!                                      └─ another's ─▶ cache ─▶ forward, bounded ─▶ cache
//! ```
//!
//! Nothing that a boot needs passes here: scripts and offers carry literal addresses.

mod cache;
mod forward;
mod zone;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::cache::Cache;
use self::forward::Forward;
pub use self::zone::{Names, Verdict};
use crate::board::Board;
use crate::clock::boottime_ms;
use crate::counter::Counter;

/// Largest datagram written, unless a client takes less (the DNS flag day's size, which no network splits).
const LARGEST_DATAGRAM: u16 = 1232;
/// Largest question read; one name and its options fit many times.
const LARGEST_QUESTION: usize = 1232;
/// Every client takes this much (RFC 1035 section 2.3.4).
const SMALLEST_DATAGRAM: u16 = 512;
/// Questions under way to other servers at once; the next one is told that this server fails.
const FORWARDED: usize = 256;
/// TCP connections at once.
const CONNECTIONS: usize = 64;
/// Questions over one connection.
const QUESTIONS: usize = 128;
/// How long a connection may be silent.
const IDLE: Duration = Duration::from_secs(5);

/// The name service.
#[derive(Debug)]
pub struct Dns {
    desk: Arc<Desk>,
    udp: UdpSocket,
    tcp: TcpListener,
}

/// Everything that questions are answered from.
#[derive(Debug)]
struct Desk {
    counter: Arc<Counter>,
    names: Mutex<Option<(Arc<Board>, Arc<Names>)>>,
    cache: Mutex<Cache>,
    forward: Forward,
    under_way: Arc<Semaphore>,
}

/// How an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Udp,
    Tcp,
}

impl Dns {
    /// A service on these sockets.
    #[must_use]
    pub fn new(counter: Arc<Counter>, udp: UdpSocket, tcp: TcpListener) -> Self {
        let desk = Desk {
            counter,
            names: Mutex::default(),
            cache: Mutex::default(),
            forward: Forward::default(),
            under_way: Arc::new(Semaphore::new(FORWARDED)),
        };
        Self { desk: Arc::new(desk), udp, tcp }
    }

    /// Answers until dropped.
    pub async fn run(self) {
        let Self { desk, udp, tcp } = self;
        let udp = Arc::new(udp);
        tokio::join!(datagrams(&desk, &udp), connections(&desk, &tcp));
    }
}

async fn datagrams(desk: &Arc<Desk>, socket: &Arc<UdpSocket>) {
    let mut buffer = [0; LARGEST_QUESTION];
    let mut asking = JoinSet::new();
    loop {
        while asking.try_join_next().is_some() {}
        let (count, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!("DNS port: {error}");
                continue;
            }
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        match desk.consider(bytes, from.ip(), Carrier::Udp) {
            Next::Nothing => {}
            Next::Send(answer) => send(socket, &answer, from).await,
            Next::Ask(question) => {
                let (desk, socket) = (Arc::clone(desk), Arc::clone(socket));
                asking.spawn(async move {
                    if let Some(answer) = desk.ask(&question, Carrier::Udp).await {
                        send(&socket, &answer, from).await;
                    }
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, answer: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(answer, to).await {
        tracing::debug!(%to, "a DNS answer could not be sent: {error}");
    }
}

async fn connections(desk: &Arc<Desk>, listener: &TcpListener) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        if open.len() >= CONNECTIONS {
            // Each ends within its limits; until then newcomers wait in the listener's queue.
            let _ended = open.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, from)) => {
                let desk = Arc::clone(desk);
                open.spawn(async move {
                    if let Err(error) = converse(&desk, stream, from.ip()).await {
                        tracing::debug!(%from, "DNS connection: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::warn!("DNS port: {error}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// One connection: each message behind its length (RFC 1035 section 4.2.2).
async fn converse(desk: &Desk, mut stream: TcpStream, from: IpAddr) -> io::Result<()> {
    let mut buffer = Vec::new();
    for _ in 0..QUESTIONS {
        let Ok(size) = timeout(IDLE, stream.read_u16()).await else { return Ok(()) };
        let size = match size {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        buffer.resize(usize::from(size), 0);
        timeout(IDLE, stream.read_exact(&mut buffer)).await??;
        let answer = match desk.consider(&buffer, from, Carrier::Tcp) {
            Next::Nothing => return Ok(()),
            Next::Send(answer) => answer,
            Next::Ask(question) => match desk.ask(&question, Carrier::Tcp).await {
                Some(answer) => answer,
                None => return Ok(()),
            },
        };
        let size = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let mut framed = size.to_be_bytes().to_vec();
        framed.extend_from_slice(&answer);
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
    Ok(())
}

/// What becomes of a question.
#[derive(Debug)]
enum Next {
    Nothing,
    Send(Vec<u8>),
    Ask(Box<Message>),
}

impl Desk {
    /// The names of the board that is in force.
    fn names(&self) -> Option<Arc<Names>> {
        let board = self.counter.board()?;
        let mut kept = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        // Most tables change what is booted, not who is where.
        if let Some((of, names)) = kept.as_mut()
            && (Arc::ptr_eq(of, &board) || board.places_like(of))
        {
            *of = board;
            return Some(Arc::clone(names));
        }
        let names = Arc::new(Names::of(board.table())?);
        *kept = Some((board, Arc::clone(&names)));
        Some(names)
    }

    /// Answers what can be answered at once.
    fn consider(&self, bytes: &[u8], from: IpAddr, carrier: Carrier) -> Next {
        let Some(names) = self.names() else { return Next::Nothing };
        match names.take(bytes, from) {
            Verdict::Ignore => {
                self.counter.note_malformed("dns");
                Next::Nothing
            }
            Verdict::Answer(answer) => told(&answer, carrier),
            Verdict::Forward(question) => {
                let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
                match cache.find(&question, boottime_ms()) {
                    Some(answer) => told(&answer, carrier),
                    None => Next::Ask(question),
                }
            }
        }
    }

    /// Asks another server, within a limit.
    async fn ask(&self, question: &Message, carrier: Carrier) -> Option<Vec<u8>> {
        let names = self.names()?;
        let answer = match self.under_way.try_acquire() {
            Ok(_place) => self.forward.ask(names.servers(), question).await,
            Err(_) => None,
        };
        let Some(heard) = answer else {
            return encoded(&zone::failure(question, ResponseCode::ServFail), carrier);
        };
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.keep(question, &heard, boottime_ms());
        drop(cache);
        encoded(&zone::passed_on(question, heard), carrier)
    }
}

fn told(answer: &Message, carrier: Carrier) -> Next {
    encoded(answer, carrier).map_or(Next::Nothing, Next::Send)
}

/// An answer's bytes. One that fits into no datagram of the client's is cut to its head, and asked again over TCP
/// (RFC 2181 section 9).
fn encoded(answer: &Message, carrier: Carrier) -> Option<Vec<u8>> {
    let bytes = answer.to_vec().map_err(|error| tracing::debug!("a DNS answer cannot be written: {error}"));
    let bytes = bytes.ok()?;
    let room = match carrier {
        Carrier::Tcp => usize::from(u16::MAX),
        Carrier::Udp => {
            let told = answer.edns.as_ref().map_or(SMALLEST_DATAGRAM, zone::client_takes);
            usize::from(told.clamp(SMALLEST_DATAGRAM, LARGEST_DATAGRAM))
        }
    };
    if bytes.len() <= room {
        return Some(bytes);
    }
    answer.truncate().to_vec().ok()
}
