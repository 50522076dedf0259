//! A connection to a broker: packets out, packets in, with and without TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use wire::mqtt::{Code, Fault, Message, PORT, Packet, Surely, TLS_PORT};

use super::super::address::host_and_port;
use super::super::device::{Cure, DeviceError};
use super::super::web::{Pinned, Trouble};

/// To be connected.
const DIALING: Duration = Duration::from_secs(3);
/// For an answer.
const ANSWERING: Duration = Duration::from_secs(5);
/// The broker takes us for gone after one and a half times this; something is said more often.
const KEEP_ALIVE: u16 = 60;

/// A connection, whatever it is made of.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broker {
    url: String,
    tls: bool,
    host: String,
    port: u16,
}

impl Broker {
    /// Of `mqtt://HOST` or `mqtts://HOST`, with or without a port.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let (tls, rest) = match url.split_once("://") {
            Some(("mqtt", rest)) => (false, rest),
            Some(("mqtts", rest)) => (true, rest),
            _ => return Err(format!("`{url}` is neither mqtt:// nor mqtts://")),
        };
        let (host, port) = host_and_port(rest.trim_end_matches('/'), if tls { TLS_PORT } else { PORT });
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@' || c == '/') {
            return Err(format!("`{rest}` is not a host"));
        }
        Ok(Self { url: url.to_owned(), tls, host, port })
    }

    fn lost(&self, code: &'static str, why: impl std::fmt::Display) -> DeviceError {
        DeviceError::lost(code, format!("{}: {why}", self.url))
    }
}

/// An open connection.
pub(super) struct Link {
    broker: Broker,
    stream: Box<dyn Stream>,
    /// What came and is no whole packet yet.
    came: Vec<u8>,
    next: u16,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, and says who we are.
    pub(super) async fn open(
        broker: &Broker,
        login: Option<(String, String)>,
        pinned: &Arc<Pinned>,
    ) -> Result<Self, DeviceError> {
        let stream = match timeout(DIALING, TcpStream::connect((broker.host.as_str(), broker.port))).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(why)) => return Err(broker.lost("unreached", why)),
            Err(_) => {
                let why = format!("no connection within {} s", DIALING.as_secs());
                return Err(broker.lost("unreached", why));
            }
        };
        stream.set_nodelay(true).map_err(|why| broker.lost("unreached", why))?;
        let stream: Box<dyn Stream> = match broker.tls {
            false => Box::new(stream),
            true => match timeout(ANSWERING, pinned.shake_hands(stream, &broker.host)).await {
                Ok(Ok(stream)) => Box::new(stream),
                Ok(Err(Trouble::Stranger(why))) => {
                    let why = format!("{}: {why}", broker.url);
                    return Err(DeviceError { code: "certificate", why, cure: Cure::Locked });
                }
                Ok(Err(Trouble::Tls(why) | Trouble::Broken(why))) => return Err(broker.lost("tls", why)),
                Err(_) => return Err(broker.lost("tls", "no TLS within some seconds")),
            },
        };
        let mut link = Self { broker: broker.clone(), stream, came: Vec::new(), next: 0 };
        link.begin(login).await?;
        Ok(link)
    }

    async fn begin(&mut self, login: Option<(String, String)>) -> Result<(), DeviceError> {
        let user = login.as_ref().map(|(user, _)| user.clone());
        let client = format!("labinator-{}", chance().map_err(|why| self.broker.lost("no-chance", why))?);
        let login = login.map(|(user, password)| (user, password.into_bytes()));
        self.send(&Packet::Connect { client, keep_alive: KEEP_ALIVE, login }).await?;
        let end = Instant::now() + ANSWERING;
        match self.next(end).await? {
            Some(Packet::Connected(Code::OK)) => Ok(()),
            Some(Packet::Connected(code @ (Code::PASSWORD | Code::NOT_ALLOWED))) => {
                let who = user.map_or_else(
                    || "the lab file has no user and no password".to_owned(),
                    |user| format!("is the password of `{user}` right?"),
                );
                Err(DeviceError::locked(format!("{}: {code}; {who}", self.broker.url)))
            }
            Some(Packet::Connected(code)) => Err(self.broker.lost("broker", code)),
            Some(other) => Err(self.broker.lost("not-understood", format!("it begins with {other:?}"))),
            None => Err(self.silent("CONNECT")),
        }
    }

    fn silent(&self, what: &str) -> DeviceError {
        let why = format!("no answer to {what} within {} s", ANSWERING.as_secs());
        DeviceError::doubt("silent", format!("{}: {why}", self.broker.url))
    }

    /// Number of the next packet that is answered.
    fn number(&mut self) -> u16 {
        self.next = self.next.checked_add(1).unwrap_or(1);
        self.next
    }

    async fn send(&mut self, packet: &Packet) -> Result<(), DeviceError> {
        let sent = async {
            self.stream.write_all(&packet.encode()).await?;
            self.stream.flush().await
        };
        match timeout(ANSWERING, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(self.broken(&why)),
            Err(_) => Err(self.silent("anything")),
        }
    }

    fn broken(&self, why: &io::Error) -> DeviceError {
        DeviceError::doubt("broken", format!("{}: the connection broke: {why}", self.broker.url))
    }

    /// The next packet, until `end`. May be cancelled: what came of a packet is kept.
    async fn next(&mut self, end: Instant) -> Result<Option<Packet>, DeviceError> {
        loop {
            match Packet::decode(&self.came) {
                Ok(Some((packet, size))) => {
                    self.came.drain(..size);
                    return Ok(Some(packet));
                }
                Ok(None) => {}
                Err(why) => return Err(self.garbled(why)),
            }
            match timeout_at(end, self.stream.read_buf(&mut self.came)).await {
                Err(_elapsed) => return Ok(None),
                Ok(Ok(0)) => return Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(Ok(_)) => {}
                Ok(Err(why)) => return Err(self.broken(&why)),
            }
        }
    }

    fn garbled(&self, why: Fault) -> DeviceError {
        DeviceError::doubt("not-understood", format!("{} sends {why}: is it a broker?", self.broker.url))
    }

    /// The next message, until `end`. May be cancelled.
    pub(super) async fn message(&mut self, end: Instant) -> Result<Option<Message>, DeviceError> {
        while let Some(packet) = self.next(end).await? {
            if let Packet::Message(message) = packet {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Says something that is answered. Messages that come before the answer go to `hear`.
    async fn ask(
        &mut self,
        (what, packet): (&str, Packet),
        answers: impl Fn(&Packet) -> bool,
        mut hear: impl FnMut(&Message),
    ) -> Result<Packet, DeviceError> {
        self.send(&packet).await?;
        let end = Instant::now() + ANSWERING;
        while let Some(packet) = self.next(end).await? {
            match packet {
                Packet::Message(message) => hear(&message),
                answer if answers(&answer) => return Ok(answer),
                // An answer to something that nobody waits for any more.
                _ => {}
            }
        }
        Err(self.silent(what))
    }

    /// Listens from now on.
    pub(super) async fn subscribe(
        &mut self,
        filters: Vec<String>,
        hear: impl FnMut(&Message),
    ) -> Result<(), DeviceError> {
        let id = self.number();
        let packet = Packet::Subscribe { id, filters: filters.clone() };
        let answers = |packet: &Packet| matches!(packet, Packet::Subscribed { id: of, .. } if *of == id);
        let answer = self.ask(("SUBSCRIBE", packet), answers, hear).await?;
        let Packet::Subscribed { granted, .. } = answer else { return Ok(()) };
        match filters.iter().zip(granted).find(|(_, granted)| !granted) {
            None => Ok(()),
            Some((filter, _)) => {
                let why = format!("{} does not let us listen to {filter}", self.broker.url);
                Err(DeviceError::locked(why))
            }
        }
    }

    /// Says something of a topic, until the broker has taken it.
    pub(super) async fn say(
        &mut self,
        (topic, payload): (String, String),
        hear: impl FnMut(&Message),
    ) -> Result<(), DeviceError> {
        let id = self.number();
        let surely = Surely::Once { id, again: false };
        let message = Message { topic, payload: payload.into_bytes(), retained: false, surely };
        let answers = |packet: &Packet| *packet == Packet::Taken(id);
        self.ask(("PUBLISH", Packet::Message(message)), answers, hear).await?;
        Ok(())
    }

    /// Hears all that was kept before this: a broker sends it before it answers.
    pub(super) async fn settle(&mut self, hear: impl FnMut(&Message)) -> Result<(), DeviceError> {
        let answers = |packet: &Packet| *packet == Packet::Pong;
        self.ask(("PINGREQ", Packet::Ping), answers, hear).await?;
        Ok(())
    }
}

/// Ends a client's name: with the same name one would take the other's place.
fn chance() -> io::Result<String> {
    use ring::rand::SecureRandom as _;
    let mut random = [0; 6];
    let system = ring::rand::SystemRandom::new();
    system.fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_read_with_its_port() {
        let read = |url: &str| Broker::read(url).map(|broker| (broker.tls, broker.host, broker.port));
        assert_eq!(read("mqtt://10.0.0.5"), Ok((false, "10.0.0.5".to_owned(), 1883)));
        assert_eq!(read("mqtts://hub/"), Ok((true, "hub".to_owned(), 8883)));
        assert_eq!(read("mqtt://[fd00::5]:2"), Ok((false, "fd00::5".to_owned(), 2)));
        for wrong in ["hub", "http://hub", "mqtt://", "mqtt://me@hub", "mqtt://hub/x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
