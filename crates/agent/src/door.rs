//! HTTP/1.1 to the boss over one kept connection: POST a JSON body, read a JSON answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use model::AGENT_SEAL_HEADER;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Limit of one question, from connecting to the last byte of the answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The boss answers a few hundred bytes, and a kilobyte or two for each guest; more is not the boss.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// Why there was no answer.
#[derive(Debug)]
pub(crate) enum DoorError {
    /// The connection failed.
    Io(std::io::Error),
    /// Nothing came within the limit.
    Silent,
    /// What came is not an HTTP answer this client understands.
    NotHttp(&'static str),
    /// The boss has no time now; ask again after this long.
    Busy(Duration),
    /// The boss refused.
    Refused(u16),
}

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Silent => write!(f, "no answer in {} s", LIMIT.as_secs()),
            Self::NotHttp(what) => write!(f, "not an HTTP answer: {what}"),
            Self::Busy(after) => write!(f, "busy, asks for {} s of patience", after.as_secs()),
            Self::Refused(status) => write!(f, "refused with status {status}"),
        }
    }
}

impl From<std::io::Error> for DoorError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// A connection to the boss that is made again when it is gone.
#[derive(Debug)]
pub(crate) struct Door {
    boss: SocketAddr,
    kept: Option<TcpStream>,
}

impl Door {
    pub(crate) const fn new(boss: SocketAddr) -> Self {
        Self { boss, kept: None }
    }

    pub(crate) const fn boss(&self) -> SocketAddr {
        self.boss
    }

    /// Posts `body` and gives back the body of a 200. Each time that it is sent it gets a header of its own from `seal`.
    ///
    /// # Errors
    /// [`DoorError`]; the connection is dropped unless the answer was whole.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        body: &[u8],
        seal: impl Fn() -> Option<String>,
    ) -> Result<Vec<u8>, DoorError> {
        let kept = self.kept.take();
        let was_kept = kept.is_some();
        let mut result = timeout(LIMIT, self.post_once(kept, path, (body, seal())))
            .await
            .unwrap_or(Err(DoorError::Silent));
        // The boss may have closed a kept connection just before we wrote to it.
        if was_kept && matches!(result, Err(DoorError::Io(_))) {
            result = timeout(LIMIT, self.post_once(None, path, (body, seal())))
                .await
                .unwrap_or(Err(DoorError::Silent));
        }
        result
    }

    async fn post_once(
        &mut self,
        kept: Option<TcpStream>,
        path: &str,
        (body, seal): (&[u8], Option<String>),
    ) -> Result<Vec<u8>, DoorError> {
        let mut stream = match kept {
            Some(stream) => stream,
            None => TcpStream::connect(self.boss).await?,
        };
        stream.set_nodelay(true)?;
        let seal = seal.map(|seal| format!("{AGENT_SEAL_HEADER}: {seal}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{seal}\r\n",
            self.boss,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        let answer = read_answer(&mut stream).await?;
        if answer.keep {
            self.kept = Some(stream);
        }
        match answer.status {
            200 => Ok(answer.body),
            503 => Err(DoorError::Busy(answer.retry_after.unwrap_or(Duration::from_secs(1)))),
            status => Err(DoorError::Refused(status)),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    keep: bool,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

async fn read_answer(stream: &mut TcpStream) -> Result<Answer, DoorError> {
    let mut got = Vec::new();
    let mut end = None;
    loop {
        if end.is_none() {
            end = got.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        }
        let head = end.map(|end| read_head(got.get(..end).unwrap_or_default())).transpose()?;
        if let (Some(end), Some(Head { status, keep, retry_after, length })) = (end, head)
            && got.len() >= end.saturating_add(length)
        {
            let body = got.get(end..end + length).unwrap_or_default().to_vec();
            return Ok(Answer { status, keep, retry_after, body });
        }
        if got.len() > LARGEST_ANSWER {
            return Err(DoorError::NotHttp("too long"));
        }
        if stream.read_buf(&mut got).await? == 0 {
            return Err(DoorError::Io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

#[derive(Debug)]
struct Head {
    status: u16,
    keep: bool,
    retry_after: Option<Duration>,
    length: usize,
}

/// Reads status line and fields (RFC 9112 sections 4 and 5). An answer without a length is not taken:
/// the boot counter always says one.
fn read_head(head: &[u8]) -> Result<Head, DoorError> {
    let text = std::str::from_utf8(head).map_err(|_| DoorError::NotHttp("the head is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok())
        .ok_or(DoorError::NotHttp("no status line"))?;
    let (mut keep, mut retry_after, mut length) = (true, None, None);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok(),
            "connection" => keep = !value.eq_ignore_ascii_case("close"),
            "retry-after" => retry_after = value.parse().ok().map(Duration::from_secs),
            _ => {}
        }
    }
    let length = length.filter(|length| *length <= LARGEST_ANSWER);
    let length = length.ok_or(DoorError::NotHttp("no usable Content-Length"))?;
    Ok(Head { status, keep, retry_after, length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that gives each connection in turn its list of answers, one per request, then closes.
    async fn serve(connections: Vec<Vec<&'static str>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answers in connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                for answer in answers {
                    let mut request = Vec::new();
                    while !request.ends_with(b"{}") {
                        stream.read_buf(&mut request).await.unwrap();
                    }
                    // In two pieces, as a network may deliver it.
                    let (one, two) = answer.split_at(answer.len() / 2);
                    stream.write_all(one.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    stream.write_all(two.as_bytes()).await.unwrap();
                }
            }
        });
        at
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";

    #[tokio::test]
    async fn a_connection_is_kept_and_made_again_when_the_boss_closed_it() {
        let mut door = Door::new(serve(vec![vec![OK, OK], vec![OK]]).await);
        for _ in 0..3 {
            assert_eq!(door.post("/x", b"{}", || None).await.unwrap(), b"[]");
        }
    }

    #[tokio::test]
    async fn a_busy_boss_says_how_long_to_wait() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n";
        let mut door = Door::new(serve(vec![vec![busy]]).await);
        let error = door.post("/x", b"{}", || None).await.unwrap_err();
        assert!(matches!(error, DoorError::Busy(after) if after == Duration::from_secs(3)), "{error}");
    }

    #[tokio::test]
    async fn an_answer_without_a_length_is_not_taken() {
        let mut door = Door::new(serve(vec![vec!["HTTP/1.1 200 OK\r\n\r\n[]"]]).await);
        assert!(matches!(door.post("/x", b"{}", || None).await, Err(DoorError::NotHttp(_))));
    }

    #[tokio::test]
    async fn an_answer_cut_short_is_an_error() {
        let mut door = Door::new(serve(vec![vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[]"]]).await);
        assert!(matches!(door.post("/x", b"{}", || None).await, Err(DoorError::Io(_))));
    }
}
