//! A look at a server that shall be proven (http-01, RFC 8555 section 8.3): one question to port 80 of the address that the
//! lab file gives it. Redirects are not followed: what a lab's server answers must not send the boss elsewhere.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pki::acme::{Kind, Problem, Work};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::policy;

/// How long one try may take.
const TRY: Duration = Duration::from_secs(5);
/// Pauses between tries of a server that is not there yet, in milliseconds.
const PAUSES: [u64; 3] = [250, 1000, 2000];
/// Longest answer that is read, in bytes.
const LONGEST: u64 = 16 << 10;
/// The port (RFC 8555 section 8.3).
const PORT: u16 = 80;

/// Whether the server of a name shows what it should.
pub(super) async fn at(address: Option<IpAddr>, work: &Work) -> Result<(), Problem> {
    let name = policy::text(&work.name);
    let Some(address) = address else {
        return Err(Problem::new(
            Kind::RejectedIdentifier,
            format!("`{name}` is no name of this lab any more"),
        ));
    };
    at_port((address, PORT).into(), &name, work).await
}

async fn at_port(address: SocketAddr, name: &str, work: &Work) -> Result<(), Problem> {
    let mut pauses = PAUSES.iter();
    loop {
        let tried = tokio::time::timeout(TRY, asked(address, name, &work.token)).await;
        let why = match tried {
            Ok(Ok(answer)) => return judged(&answer, address, work),
            Ok(Err(why)) => why.to_string(),
            Err(_) => format!("no answer within {} s", TRY.as_secs()),
        };
        let Some(pause) = pauses.next() else {
            return Err(Problem::new(Kind::Connection, format!("{address} for `{name}`: {why}")));
        };
        tokio::time::sleep(Duration::from_millis(*pause)).await;
    }
}

async fn asked(address: SocketAddr, name: &str, token: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    // HTTP/1.0: the end of the answer is the end of the connection, and nothing comes in chunks.
    let request = format!(
        "GET /.well-known/acme-challenge/{token} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: labinator\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn judged(answer: &[u8], address: SocketAddr, work: &Work) -> Result<(), Problem> {
    let wrong = |why: String| Problem::new(Kind::IncorrectResponse, format!("{address}: {why}"));
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")) else {
        return Err(wrong("it answered with no HTTP".to_owned()));
    };
    let mut words = head.lines().next().unwrap_or_default().split_ascii_whitespace();
    let spoken = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    match words.next() {
        Some("200") if spoken => {}
        Some(status) if spoken && status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(wrong(format!("it answered {status}, and 200 is expected")));
        }
        _ => return Err(wrong("it answered with no HTTP".to_owned())),
    }
    if body.trim_end() == work.authorization {
        return Ok(());
    }
    let shown: String = body.trim_end().chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
    Err(wrong(format!("it shows `{shown}`, and not the proof of this account's key")))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn work() -> Work {
        Work {
            order: "o".to_owned(),
            at: 0,
            name: "node1".parse().unwrap(),
            token: "tok".to_owned(),
            authorization: "tok.print".to_owned(),
        }
    }

    /// What is said of a server that answers so.
    async fn told(answer: &'static str) -> Result<(), Problem> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let size = stream.read(&mut asked).await.unwrap();
            let asked = String::from_utf8(asked[..size].to_vec()).unwrap();
            assert!(
                asked.starts_with("GET /.well-known/acme-challenge/tok HTTP/1.0\r\nHost: node1\r\n"),
                "{asked}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let work = work();
        tokio::join!(at_port(at, "node1", &work), serve).0
    }

    #[tokio::test]
    async fn only_the_proof_of_the_accounts_key_counts() {
        for right in
            ["HTTP/1.1 200 OK\r\n\r\ntok.print", "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\ntok.print\n"]
        {
            told(right).await.unwrap();
        }
        for wrong in [
            "HTTP/1.1 200 OK\r\n\r\ntok.other",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\ntok.print",
            "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\ntok.print",
            "tok.print",
            "SSH-2.0-x\r\n\r\ntok.print",
        ] {
            assert_eq!(told(wrong).await.unwrap_err().kind, Kind::IncorrectResponse, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let why = at_port(at, "node1", &work()).await.unwrap_err();
        assert!(why.kind == Kind::Connection && why.detail.contains("node1"), "{why:?}");
    }
}
