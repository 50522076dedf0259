//! One question to the controller over HTTP/1.1, with the heads that our loader speaks.

use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wire::loader::LONGEST_TEXT;
use wire::loader::http::{Head, HeadError, Request};

/// A controller on the same segment takes a connection within milliseconds.
const CONNECTING: Duration = Duration::from_secs(5);
/// How long an answer may take: one that waits is held for 20 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum LineError {
    Io(std::io::Error),
    Silent,
    Head(HeadError),
    TooLong,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => why.fmt(f),
            Self::Silent => f.write_str("no answer came in time"),
            Self::Head(why) => why.fmt(f),
            Self::TooLong => write!(f, "its answer is longer than {} KiB", LONGEST_TEXT >> 10),
        }
    }
}

impl From<std::io::Error> for LineError {
    fn from(why: std::io::Error) -> Self {
        Self::Io(why)
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    boss: SocketAddrV4,
    stream: TcpStream,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// [`LineError`].
    pub(super) async fn open(boss: SocketAddrV4) -> Result<Self, LineError> {
        let stream = timeout(CONNECTING, TcpStream::connect(boss)).await.map_err(|_| LineError::Silent)??;
        stream.set_nodelay(true)?;
        Ok(Self { boss, stream })
    }

    /// Posts a text; status and body of the answer.
    ///
    /// # Errors
    /// [`LineError`]; the connection is of no use then.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> Result<(u16, Vec<u8>), LineError> {
        timeout(LIMIT, self.post_now(path, body)).await.unwrap_or(Err(LineError::Silent))
    }

    async fn post_now(&mut self, path: &str, body: &str) -> Result<(u16, Vec<u8>), LineError> {
        let version = env!("CARGO_PKG_VERSION");
        let request = Request { host: self.boss, path, version, body: Some(body), from: 0 };
        self.stream.write_all(request.text().as_bytes()).await?;
        let mut got = Vec::new();
        loop {
            if let Some(head) = Head::read(&got).map_err(LineError::Head)? {
                let length = usize::try_from(head.length).unwrap_or(usize::MAX);
                if length > LONGEST_TEXT {
                    return Err(LineError::TooLong);
                }
                if let Some(body) = got.get(head.size..head.size.saturating_add(length)) {
                    return Ok((head.status, body.to_vec()));
                }
            }
            if self.stream.read_buf(&mut got).await? == 0 {
                return Err(LineError::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}
