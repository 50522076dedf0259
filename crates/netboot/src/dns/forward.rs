//! Asking other servers: one question, one socket, a limit, and no trust in what comes from elsewhere.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::clock::boottime_ms;

/// How long one server is waited for. Resolvers of clients give up after 5 s in all.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a server that did not answer is left alone, in milliseconds: meanwhile questions fail at once.
const REST_MS: u64 = 5_000;
/// Largest answer over UDP.
const PAYLOAD: u16 = 1232;
/// Largest answer read.
const LARGEST: usize = 4096;

/// Which servers did not answer lately.
#[derive(Debug, Default)]
pub(super) struct Forward {
    resting: Mutex<HashMap<SocketAddr, u64>>,
}

impl Forward {
    /// The answer of the first server that has one; `None` when nobody answers.
    pub(super) async fn ask(&self, servers: &[SocketAddr], question: &Message) -> Option<Message> {
        for server in servers {
            if self.rests(*server) {
                continue;
            }
            match timeout(PATIENCE, ask_one(*server, question)).await {
                Ok(Ok(answer)) if usable(&answer) => return Some(answer),
                Ok(Ok(answer)) => {
                    tracing::debug!(%server, "it says {}", answer.metadata.response_code);
                }
                Ok(Err(error)) => {
                    tracing::debug!(%server, "name server: {error}");
                    self.rest(*server);
                }
                Err(_) => {
                    tracing::debug!(%server, "this name server does not answer");
                    self.rest(*server);
                }
            }
        }
        None
    }

    fn rests(&self, server: SocketAddr) -> bool {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.get(&server).is_some_and(|until| boottime_ms() < *until)
    }

    fn rest(&self, server: SocketAddr) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        // The lab file names a few; what it named before goes when it grows.
        if resting.len() > 64 {
            resting.clear();
        }
        resting.insert(server, boottime_ms().saturating_add(REST_MS));
    }
}

/// What says something about the name; whatever else a server says, the next one is asked.
fn usable(answer: &Message) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

async fn ask_one(server: SocketAddr, question: &Message) -> io::Result<Message> {
    // A number and a port of their own for each question: both must be guessed by who would forge an answer.
    let mut asked = Message::query();
    asked.metadata.recursion_desired = true;
    asked.queries.clone_from(&question.queries);
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD).set_version(0);
    asked.set_edns(edns);
    let bytes = asked.to_vec().map_err(io::Error::other)?;
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&bytes).await?;
    let mut buffer = [0; LARGEST];
    loop {
        let count = socket.recv(&mut buffer).await?;
        let Some(answer) = answer_to(&asked, buffer.get(..count).unwrap_or_default()) else { continue };
        return if answer.metadata.truncation {
            ask_over_tcp(server, &asked, &bytes).await
        } else {
            Ok(answer)
        };
    }
}

async fn ask_over_tcp(server: SocketAddr, asked: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let size = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut framed = size.to_be_bytes().to_vec();
    framed.extend_from_slice(bytes);
    stream.write_all(&framed).await?;
    let mut buffer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut buffer).await?;
    answer_to(asked, &buffer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not what was asked"))
}

/// The answer in a packet, if it is one to this question (RFC 5452 section 9).
fn answer_to(asked: &Message, bytes: &[u8]) -> Option<Message> {
    let answer = Message::from_vec(bytes).ok()?;
    let same = answer.metadata.id == asked.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == asked.queries;
    same.then_some(answer)
}
