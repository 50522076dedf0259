//! A maker of systems on a port of this machine, and a folder for what is fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use labinator::fetch::{FetchError, Fetched, Order, fetch};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A server with these files; it can be told to break off once, and remembers what was asked.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) base: String,
    pub(crate) files: Arc<Mutex<Files>>,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Bytes after which the next answer that is longer breaks off.
    pub(crate) breaks: Arc<Mutex<Option<usize>>>,
}

impl Maker {
    pub(crate) async fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let maker = Self {
            base: format!("http://{}", listener.local_addr().unwrap()),
            files: Arc::new(Mutex::new(files)),
            asked: Arc::default(),
            breaks: Arc::default(),
        };
        let serving = maker.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let answer = serving.answer(&String::from_utf8_lossy(&head));
                drop(stream.write_all(&answer).await);
            }
        });
        maker
    }

    fn answer(&self, head: &str) -> Vec<u8> {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let from: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("range: bytes=")
                    .map(|r| r.trim_end_matches('-').parse().unwrap())
            })
            .unwrap_or(0);
        self.asked.lock().unwrap().push(format!("{path}+{from}"));
        let files = self.files.lock().unwrap();
        let Some(body) = files.get(&path) else {
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        };
        if let Some(to) = body.strip_prefix(b"-> ") {
            let to = String::from_utf8_lossy(to);
            return format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            .into_bytes();
        }
        let rest = body.get(from..).unwrap_or_default();
        let status = if from > 0 {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", body.len() - 1, body.len())
        } else {
            "200 OK".to_owned()
        };
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len())
                .into_bytes();
        let mut breaks = self.breaks.lock().unwrap();
        let sent = match *breaks {
            Some(after) if rest.len() > after => {
                *breaks = None;
                rest.get(..after).unwrap_or_default()
            }
            _ => rest,
        };
        answer.extend_from_slice(sent);
        answer
    }
}

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-fetch-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn order(&self, name: &str, version: Option<&str>, maker: &Maker) -> Order {
        Order {
            name: name.to_owned(),
            version: version.map(ToOwned::to_owned),
            arch: "amd64".to_owned(),
            schematic: None,
            mirror: Some(format!("{}/", maker.base)),
            from: None,
            unproven: false,
            out: self.0.join("images"),
            lock: self.0.join("images.lock"),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(crate) async fn fetched(order: &Order) -> Result<Fetched, FetchError> {
    fetch(order, &mut |_, _, _| {}).await
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
