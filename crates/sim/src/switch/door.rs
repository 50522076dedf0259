//! Doors of small devices on loopback: HTTP, one question a connection; and datagrams.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The header `Cookie`.
    pub cookie: String,
    /// What was posted.
    pub body: String,
}

impl Asked {
    /// A field of a form.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    }
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *byte == b'%');
        let value = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        out.push(value.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        rest = if value.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A page.
    #[must_use]
    pub fn page(body: &str) -> Self {
        Self { status: 200, body: body.to_owned() }
    }
}

/// How a door behaves besides what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// It answers.
    #[default]
    Well,
    /// It takes connections and says nothing.
    Hangs,
    /// It ends connections before it says anything.
    Drops,
    /// It answers with this.
    Babbles(&'static str),
}

/// A device behind a port of loopback, until this is dropped.
#[derive(Debug)]
pub struct Door<D> {
    /// Where.
    pub address: SocketAddr,
    /// The device.
    pub device: Arc<Mutex<D>>,
    mood: Arc<Mutex<Mood>>,
    task: JoinHandle<()>,
}

impl<D> Drop for Door<D> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<D: Send + 'static> Door<D> {
    /// Opens a door; `answer` is the device's.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn open(device: D, answer: fn(&mut D, &Asked) -> Reply) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (device, mood) = (Arc::new(Mutex::new(device)), Arc::<Mutex<Mood>>::default());
        let (inside, mind) = (Arc::clone(&device), Arc::clone(&mood));
        let task = tokio::spawn(async move {
            // Those that hang stay open.
            let mut hung = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mood = *mind.lock().unwrap_or_else(PoisonError::into_inner);
                match mood {
                    Mood::Hangs => hung.push(stream),
                    Mood::Drops => drop(stream),
                    Mood::Well | Mood::Babbles(_) => {
                        let Some(asked) = read(&mut stream).await else { continue };
                        let reply = match mood {
                            Mood::Babbles(text) => Reply::page(text),
                            Mood::Well | Mood::Hangs | Mood::Drops => {
                                answer(&mut inside.lock().unwrap_or_else(PoisonError::into_inner), &asked)
                            }
                        };
                        write(&mut stream, &reply).await;
                    }
                }
            }
        });
        Ok(Self { address, device, mood, task })
    }

    /// Where it is, as a lab file has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at the device, or changes it.
    pub fn with<T>(&self, change: impl FnOnce(&mut D) -> T) -> T {
        change(&mut self.device.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How it behaves from now on.
    pub fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }
}

async fn write(stream: &mut TcpStream, reply: &Reply) {
    let Reply { status, body } = reply;
    let head =
        format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may have gone.
    drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
    drop(stream.shutdown().await);
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let text = String::from_utf8_lossy(bytes.get(..head)?).into_owned();
    let field = |name: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let found = pairs.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let length: usize = field("content-length").map_or(Some(0), |length| length.parse().ok())?;
    let whole = head.checked_add(4)?.checked_add(length)?;
    while bytes.len() < whole {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let mut words = text.split(' ');
    Some(Asked {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        cookie: field("cookie").unwrap_or_default(),
        body: String::from_utf8_lossy(bytes.get(head + 4..whole)?).into_owned(),
    })
}

/// A device that is spoken to in datagrams, behind a port of loopback, until this is dropped.
#[derive(Debug)]
pub struct Post<D> {
    /// Where.
    pub address: SocketAddr,
    /// The device.
    pub device: Arc<Mutex<D>>,
    socket: Arc<UdpSocket>,
    task: JoinHandle<()>,
}

impl<D> Drop for Post<D> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<D: Send + 'static> Post<D> {
    /// Opens it; `answer` gives what a datagram is answered with.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn open(device: D, answer: fn(&mut D, &[u8]) -> Vec<Vec<u8>>) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let (address, device) = (socket.local_addr()?, Arc::new(Mutex::new(device)));
        let (inside, ears) = (Arc::clone(&device), Arc::clone(&socket));
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            // A datagram that nobody took comes back as an error, which says nothing.
            loop {
                let Ok((size, from)) = ears.recv_from(&mut buffer).await else { continue };
                let heard = buffer.get(..size).unwrap_or_default();
                let answers = answer(&mut inside.lock().unwrap_or_else(PoisonError::into_inner), heard);
                for datagram in answers {
                    drop(ears.send_to(&datagram, from).await);
                }
            }
        });
        Ok(Self { address, device, socket, task })
    }

    /// Looks at the device, or changes it.
    pub fn with<T>(&self, change: impl FnOnce(&mut D) -> T) -> T {
        change(&mut self.device.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It says something unasked.
    ///
    /// # Errors
    /// It could not be sent.
    pub async fn says(&self, to: SocketAddr, datagram: &[u8]) -> std::io::Result<()> {
        self.socket.send_to(datagram, to).await.map(drop)
    }
}
