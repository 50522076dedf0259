//! HTTP/1.1 as a loader speaks it: one request after the other on one connection from the machine's own address.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::boot::Fault;

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Times a machine comes back when it is asked to.
const COME_BACK: usize = 30;
/// Largest head of an answer.
const LARGEST_HEAD: usize = 4096;

/// A connection to the boss.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    agent: &'static str,
    boss: Ipv4Addr,
}

/// An answer with its whole content.
#[derive(Debug)]
struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Vec<u8>,
}

impl Connection {
    /// Opens it.
    pub(crate) async fn open(from: Ipv4Addr, boss: Ipv4Addr, agent: &'static str) -> Result<Self, Fault> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let connecting = socket.connect(SocketAddr::from((boss, 80)));
        let stream =
            timeout(LIMIT, connecting).await.map_err(|_| Fault::Http("no connection".to_owned()))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, agent, boss })
    }

    /// Gets a URL of the boss, coming back as often as it is asked to. `head` limits it to the first bytes.
    pub(crate) async fn get(&mut self, url: &str, head: Option<usize>) -> Result<Vec<u8>, Fault> {
        let path =
            url.strip_prefix(&format!("http://{}", self.boss)).ok_or_else(|| Fault::Http(url.to_owned()))?;
        for _ in 0..COME_BACK {
            let asked = self.ask(path, head);
            let answer = timeout(LIMIT, asked).await.map_err(|_| Fault::Http("no answer".to_owned()))??;
            match (answer.status, answer.retry_after) {
                (200 | 206, _) => return Ok(answer.body),
                (503, Some(seconds)) => sleep(Duration::from_secs(seconds)).await,
                (status, _) => return Err(Fault::Http(format!("status {status}"))),
            }
        }
        Err(Fault::Http(format!("asked to come back {COME_BACK} times")))
    }

    async fn ask(&mut self, path: &str, head: Option<usize>) -> Result<Answer, Fault> {
        let range = head.map_or_else(String::new, |count| format!("Range: bytes=0-{}\r\n", count - 1));
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\n{range}\r\n",
            self.boss, self.agent
        );
        self.stream.write_all(request.as_bytes()).await?;
        let mut got = Vec::with_capacity(LARGEST_HEAD);
        let end = loop {
            if let Some(at) = got.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if got.len() > LARGEST_HEAD || self.stream.read_buf(&mut got).await? == 0 {
                return Err(Fault::Http("no whole head".to_owned()));
            }
        };
        let mut body = got.split_off(end);
        let text = String::from_utf8_lossy(&got).to_ascii_lowercase();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|value| value.trim().parse::<u64>().ok())
        };
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_default();
        let length = field("content-length:").ok_or_else(|| Fault::Http("no length".to_owned()))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        body.reserve_exact(length.saturating_sub(body.len()));
        while body.len() < length {
            if self.stream.read_buf(&mut body).await? == 0 {
                return Err(Fault::Http("it broke off".to_owned()));
            }
        }
        Ok(Answer { status, retry_after: field("retry-after:"), body })
    }
}
