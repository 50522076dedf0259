//! IPMI 2.0: the controller inside a server, over the network (RMCP+, UDP port 623), with a session that is kept.
//!
//! What goes over the wire is `wire::rmcp`; [`keys`] signs and enciphers, [`session`] knows the order of things, and
//! here are the socket and the clock. A datagram may be lost: it is sent again, and after an order that was taken the
//! same order does nothing more.

mod device;
mod keys;
mod session;

use std::io;
use std::time::Duration;

use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, timeout_at};
use wire::rmcp::{Completion, PORT, Random, Status, chassis};

use super::address::host_and_port;

pub(super) use device::Ipmi;
pub use keys::{Exchange, Keys, Suite};
pub use session::{Answer, Ask, Heard, Login, Opening, Refused, Session};

/// How long each try waits: controllers take some hundred milliseconds for a key exchange.
const WAITS: [Duration; 3] =
    [Duration::from_millis(700), Duration::from_secs(1), Duration::from_millis(1500)];
/// Longer than any datagram that is meant for us.
const DATAGRAM: usize = 2048;

/// Why a controller was not asked, or did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpmiError {
    /// Its name has no address, or the network refuses.
    #[error("{host}: {source}")]
    Unreached {
        /// Whom.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No answer to any try.
    #[error("{host} does not answer on UDP port {port} ({tries} datagrams, {step})")]
    Silent {
        /// Whom.
        host: String,
        /// Which port.
        port: u16,
        /// How many were sent.
        tries: usize,
        /// What was asked.
        step: &'static str,
    },
    /// It opens no session.
    #[error("{}", self.refusal())]
    Refused {
        /// Whom.
        host: String,
        /// As which user.
        user: String,
        /// With which suite.
        suite: u8,
        /// Why.
        why: Refused,
    },
    /// It did not do what it was asked.
    #[error("{host} does not do it: {completion}")]
    Command {
        /// Whom.
        host: String,
        /// What it says.
        completion: Completion,
    },
    /// Its answer is too short to say anything.
    #[error("{host} answers without saying whether it is on")]
    Empty {
        /// Whom.
        host: String,
    },
}

impl IpmiError {
    /// Stable word for logs and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreached { .. } => "ipmi-unreached",
            Self::Silent { .. } => "ipmi-silent",
            Self::Refused { why, .. } => match why {
                Refused::Password => "ipmi-password",
                Refused::Algorithms => "ipmi-suite",
                Refused::Status(status) => match *status {
                    Status::CODE => "ipmi-password",
                    Status::NAME | Status::ROLE_OR_NAME => "ipmi-user",
                    Status::ROLE => "ipmi-level",
                    Status::FULL => "ipmi-full",
                    Status(0x04 | 0x05 | 0x10 | 0x11) => "ipmi-suite",
                    _ => "ipmi-refused",
                },
            },
            Self::Command { .. } => "ipmi-command",
            Self::Empty { .. } => "ipmi-answer",
        }
    }

    /// False where asking again can only do harm: a controller that counts failed logins locks the user out.
    #[must_use]
    pub const fn passes(&self) -> bool {
        match self {
            Self::Unreached { .. } | Self::Silent { .. } | Self::Empty { .. } => true,
            Self::Refused { why, .. } => match why {
                Refused::Password | Refused::Algorithms => false,
                Refused::Status(status) => !status.stays(),
            },
            Self::Command { completion, .. } => completion.passes(),
        }
    }

    fn refusal(&self) -> String {
        let Self::Refused { host, user, suite, why } = self else { return String::new() };
        match why {
            Refused::Password => {
                format!("{host} knows another password of `{user}` than the lab; it was not told a wrong one")
            }
            Refused::Algorithms => {
                format!("{host} chose other algorithms than those of cipher suite {suite}")
            }
            Refused::Status(status) => {
                format!("{host} opens no session for `{user}` with cipher suite {suite}: {status}")
            }
        }
    }
}

/// A management controller.
#[derive(Debug)]
pub struct Controller {
    host: String,
    port: u16,
    login: Login,
    open: Option<Line>,
    /// Said once, said for ever: the controller is not asked again with what it refused.
    refused: Option<Refused>,
}

/// A socket and the session on it.
#[derive(Debug)]
struct Line {
    socket: UdpSocket,
    session: Box<Session>,
}

/// How a handshake ended that nobody refused.
#[derive(Debug)]
enum Handshake {
    /// With a session.
    Open(Box<Session>),
    /// No word came.
    Silent,
    /// It began, and then no word came.
    Lost,
}

impl Controller {
    /// One at this address, `HOST` or `HOST:PORT`. Nothing is sent yet.
    #[must_use]
    pub fn new(address: &str, login: Login) -> Self {
        let (host, port) = host_and_port(address, PORT);
        Self { host, port, login, open: None, refused: None }
    }

    /// Whether the machine is on.
    ///
    /// # Errors
    /// [`IpmiError`].
    pub async fn is_on(&mut self) -> Result<bool, IpmiError> {
        let answer = self.ask(Ask::Status).await?;
        chassis::is_on(&answer.data).ok_or_else(|| IpmiError::Empty { host: self.host.clone() })
    }

    /// Orders something. That it was taken says nothing about the machine.
    ///
    /// # Errors
    /// [`IpmiError`].
    pub async fn order(&mut self, ask: Ask) -> Result<(), IpmiError> {
        self.ask(ask).await.map(|_| ())
    }

    /// Ends the session, so that the controller has room for others. Nobody waits for its answer.
    pub async fn close(&mut self) {
        if let Some(Line { socket, mut session }) = self.open.take()
            && let Ok(vector) = chance()
        {
            session.next();
            let last = session.datagram(Ask::Close, vector);
            // A session that is not closed ends by itself after a minute (section 6.12.15).
            socket.send(&last).await.map(drop).unwrap_or_default();
        }
    }

    async fn ask(&mut self, ask: Ask) -> Result<Answer, IpmiError> {
        if let Some(line) = &mut self.open {
            match exchange(line, ask).await {
                Ok(Some(answer)) => return self.judged(answer),
                // A session that was silent for a minute is forgotten, and a controller that started anew knows none.
                Ok(None) | Err(_) => self.open = None,
            }
        }
        let mut line = self.connect().await?;
        for ask in [Ask::Level, ask] {
            let answer = exchange(&mut line, ask).await.map_err(|source| self.unreached(source))?;
            let answer = answer.ok_or_else(|| self.silent("a request in a session"))?;
            if answer.completion != Completion::OK || ask != Ask::Level {
                self.open = Some(line);
                return self.judged(answer);
            }
        }
        Err(IpmiError::Empty { host: self.host.clone() })
    }

    fn judged(&self, answer: Answer) -> Result<Answer, IpmiError> {
        if answer.completion == Completion::OK {
            return Ok(answer);
        }
        Err(IpmiError::Command { host: self.host.clone(), completion: answer.completion })
    }

    /// Opens a session. A handshake whose datagrams were lost is begun anew once: many controllers take no step twice.
    async fn connect(&mut self) -> Result<Line, IpmiError> {
        if let Some(why) = self.refused {
            return Err(self.refusal(why));
        }
        let socket = self.socket().await.map_err(|source| self.unreached(source))?;
        for _ in 0..2 {
            match self.handshake(&socket).await.map_err(|source| self.unreached(source))? {
                Ok(Handshake::Open(session)) => return Ok(Line { socket, session }),
                Ok(Handshake::Silent) => break,
                Ok(Handshake::Lost) | Err(Refused::Status(Status::NO_SESSION)) => {}
                Err(why) => {
                    let error = self.refusal(why);
                    self.refused = (!error.passes()).then_some(why);
                    return Err(error);
                }
            }
        }
        Err(self.silent("while a session was opened"))
    }

    async fn socket(&self) -> io::Result<UdpSocket> {
        let mut addresses = lookup_host((self.host.as_str(), self.port)).await?;
        let address =
            addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no address"))?;
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        Ok(socket)
    }

    async fn handshake(&self, socket: &UdpSocket) -> io::Result<Result<Handshake, Refused>> {
        let [a, b, c, d, ..] = chance()?;
        // 0 is the number of no session.
        let ours = u32::from_le_bytes([a, b, c, d]).max(1);
        let (mut opening, mut next) = Opening::new(self.login.clone(), ours, chance()?);
        let mut buffer = [0; DATAGRAM];
        let mut end_of_words = Handshake::Silent;
        'step: loop {
            for wait in WAITS {
                socket.send(&next).await?;
                let end = Instant::now() + wait;
                while let Ok(received) = timeout_at(end, socket.recv(&mut buffer)).await {
                    match opening.hear(buffer.get(..received?).unwrap_or_default()) {
                        Ok(Heard::Nothing) => {}
                        Ok(Heard::Send(datagram)) => {
                            next = datagram;
                            end_of_words = Handshake::Lost;
                            continue 'step;
                        }
                        Ok(Heard::Open(session)) => return Ok(Ok(Handshake::Open(session))),
                        Err(why) => return Ok(Err(why)),
                    }
                }
            }
            return Ok(Ok(end_of_words));
        }
    }

    fn unreached(&self, source: io::Error) -> IpmiError {
        IpmiError::Unreached { host: self.host.clone(), source }
    }

    fn silent(&self, step: &'static str) -> IpmiError {
        IpmiError::Silent { host: self.host.clone(), port: self.port, tries: WAITS.len(), step }
    }

    fn refusal(&self, why: Refused) -> IpmiError {
        let Login { user, suite, .. } = &self.login;
        IpmiError::Refused { host: self.host.clone(), user: user.clone(), suite: suite.number(), why }
    }
}

/// Asks in a session, again where no answer comes; `None` where none ever did.
async fn exchange(line: &mut Line, ask: Ask) -> io::Result<Option<Answer>> {
    line.session.next();
    let mut buffer = [0; DATAGRAM];
    for wait in WAITS {
        let datagram = line.session.datagram(ask, chance()?);
        line.socket.send(&datagram).await?;
        let end = Instant::now() + wait;
        while let Ok(received) = timeout_at(end, line.socket.recv(&mut buffer)).await {
            let heard = buffer.get(..received?).unwrap_or_default();
            match line.session.hear(ask, heard) {
                // It is busy: that is worth another try, after the wait.
                Some(answer) if answer.completion == Completion::BUSY => {}
                Some(answer) => return Ok(Some(answer)),
                None => {}
            }
        }
    }
    Ok(None)
}

fn chance() -> io::Result<Random> {
    use ring::rand::SecureRandom as _;
    let mut random = [0; 16];
    let system = ring::rand::SystemRandom::new();
    system.fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(random)
}
