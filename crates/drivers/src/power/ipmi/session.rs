//! A session with a management controller, without a socket: datagrams in, datagrams out.
//!
//! ```text
//!   Asked ──OpenAnswer──▶ Named ──RAKP 2──▶ Proven ──RAKP 4──▶ Session ──▶ level, then requests
//!                                  └ the controller's proof is wrong: so is our password. It is not told so, and
//!                                    counts no failed login.
//! ```

use wire::rmcp::{
    Completion, Head, OpenAnswer, OpenRequest, Packet, Payload, RAKP_NAME_ONLY, Rakp1, Rakp2, Rakp3, Rakp4,
    Random, Reply, Request, Status, chassis, session,
};

use super::keys::{Exchange, Keys, Suite, equal};

/// What power needs of the privilege levels (table 6-4, appendix G).
const OPERATOR: u8 = 3;
/// Answers that may come late, and out of order (section 6.12.13).
const WINDOW: u32 = 16;

/// Who asks.
#[derive(Clone)]
pub struct Login {
    /// The user's name, at most 16 bytes.
    pub user: String,
    /// The password, at most 20 bytes.
    pub password: String,
    /// How the session is signed and enciphered.
    pub suite: Suite,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// Why there is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The controller says so.
    Status(Status),
    /// The controller's proof is not made with our password, or its last one not with our keys.
    Password,
    /// It chose other algorithms than those asked for.
    Algorithms,
}

/// What came of a datagram.
#[derive(Debug)]
pub enum Heard {
    /// It is not for this session, or came twice, or is damaged.
    Nothing,
    /// To be sent next.
    Send(Vec<u8>),
    /// The session is open.
    Open(Box<Session>),
}

/// A session that is being opened.
#[derive(Debug)]
pub struct Opening {
    login: Login,
    exchange: Exchange,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Asked,
    Named,
    Proven(Box<Keys>),
}

const TAG_OPEN: u8 = 1;
const TAG_NAME: u8 = 2;
const TAG_PROOF: u8 = 3;

impl Opening {
    /// Begins with a number of ours for the session, not 0, and chance. Gives what is to be sent first.
    #[must_use]
    pub fn new(login: Login, ours: u32, our_random: Random) -> (Self, Vec<u8>) {
        let algorithms = login.suite.algorithms();
        let open = OpenRequest { tag: TAG_OPEN, level: OPERATOR, session: ours, algorithms };
        let exchange = Exchange {
            suite: login.suite,
            user: login.user.clone().into_bytes(),
            ours,
            theirs: 0,
            our_random,
            their_random: [0; 16],
            guid: [0; 16],
            role: OPERATOR | RAKP_NAME_ONLY,
        };
        let first = Head::outside(Payload::OPEN).encode(&open.encode());
        (Self { login, exchange, step: Step::Asked }, first)
    }

    /// Hears a datagram.
    ///
    /// # Errors
    /// [`Refused`]: there will be no session.
    pub fn hear(&mut self, datagram: &[u8]) -> Result<Heard, Refused> {
        let Ok(packet) = Packet::decode(datagram, 0) else { return Ok(Heard::Nothing) };
        match (&self.step, packet.head.payload) {
            (Step::Asked, Payload::OPENED) => self.opened(packet.payload),
            (Step::Named, Payload::RAKP2) => self.second(packet.payload),
            (Step::Proven(_), Payload::RAKP4) => self.fourth(packet.payload),
            _ => Ok(Heard::Nothing),
        }
    }

    fn opened(&mut self, payload: &[u8]) -> Result<Heard, Refused> {
        let Ok(answer) = OpenAnswer::decode(payload) else { return Ok(Heard::Nothing) };
        if answer.tag != TAG_OPEN {
            return Ok(Heard::Nothing);
        }
        let (theirs, algorithms) = match answer.agreed {
            Some(agreed) if answer.session == self.exchange.ours => agreed,
            Some(_) => return Ok(Heard::Nothing),
            None => return Err(Refused::Status(answer.status)),
        };
        if algorithms != self.login.suite.algorithms() {
            return Err(Refused::Algorithms);
        }
        self.exchange.theirs = theirs;
        self.step = Step::Named;
        let Exchange { our_random: random, role, .. } = self.exchange;
        let name = Rakp1 { tag: TAG_NAME, session: theirs, random, role, user: &self.exchange.user };
        Ok(Heard::Send(Head::outside(Payload::RAKP1).encode(&name.encode())))
    }

    fn second(&mut self, payload: &[u8]) -> Result<Heard, Refused> {
        let Ok(answer) = Rakp2::decode(payload) else { return Ok(Heard::Nothing) };
        if answer.tag != TAG_NAME || answer.session != self.exchange.ours {
            return Ok(Heard::Nothing);
        }
        if answer.status != Status::OK {
            return Err(Refused::Status(answer.status));
        }
        self.exchange.their_random = answer.random;
        self.exchange.guid = answer.guid;
        let password = self.login.password.as_bytes();
        if !equal(&self.exchange.second(password), answer.code) {
            return Err(Refused::Password);
        }
        self.step = Step::Proven(Box::new(self.exchange.keys(password)));
        let code = self.exchange.third(password);
        let proof = Rakp3 { tag: TAG_PROOF, status: Status::OK, session: self.exchange.theirs, code: &code };
        Ok(Heard::Send(Head::outside(Payload::RAKP3).encode(&proof.encode())))
    }

    fn fourth(&mut self, payload: &[u8]) -> Result<Heard, Refused> {
        let Ok(answer) = Rakp4::decode(payload) else { return Ok(Heard::Nothing) };
        if answer.tag != TAG_PROOF || answer.session != self.exchange.ours {
            return Ok(Heard::Nothing);
        }
        if answer.status != Status::OK {
            return Err(Refused::Status(answer.status));
        }
        let Step::Proven(keys) = std::mem::replace(&mut self.step, Step::Asked) else {
            return Ok(Heard::Nothing);
        };
        if !equal(&keys.fourth(&self.exchange), answer.code) {
            return Err(Refused::Password);
        }
        let Exchange { ours, theirs, suite, .. } = self.exchange;
        let session = Session { keys: *keys, suite, ours, theirs, sent: 0, heard: 0, asked: 0 };
        Ok(Heard::Open(Box::new(session)))
    }
}

/// An answer in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub completion: Completion,
    /// What it says.
    pub data: Vec<u8>,
}

/// A session that is open.
#[derive(Debug)]
pub struct Session {
    keys: Keys,
    suite: Suite,
    ours: u32,
    theirs: u32,
    /// Number of the last packet of ours.
    sent: u32,
    /// Highest number of a packet of theirs.
    heard: u32,
    /// Sequence of the last request, 6 bits.
    asked: u8,
}

/// What is asked in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To take the privilege level `operator`; each session begins with it.
    Level,
    /// Whether power is on.
    Status,
    /// To switch on.
    On,
    /// To switch off at once.
    Off,
    /// To ask the operating system to end.
    Soft,
    /// To end the session.
    Close,
}

impl Session {
    /// Begins another request: its answer is told from those before it. [`Session::datagram`] gives what to send.
    pub const fn next(&mut self) {
        self.asked = (self.asked + 1) & 0x3f;
    }

    /// The datagram of the request that was begun last, with chance for its cipher. It may be made again when no
    /// answer came: nothing that is asked here does more the second time.
    #[must_use]
    pub fn datagram(&mut self, ask: Ask, vector: Random) -> Vec<u8> {
        let theirs = self.theirs.to_le_bytes();
        let request = request(ask, &theirs);
        self.sent = self.sent.checked_add(1).unwrap_or(1);
        let head = Head {
            payload: Payload::IPMI,
            encrypted: true,
            authenticated: true,
            session: self.theirs,
            sequence: self.sent,
        };
        let mut out = head.encode(&self.keys.encipher(vector, &request.encode(self.asked)));
        let code = self.keys.sign(out.get(4..).unwrap_or_default());
        out.extend(code);
        out
    }

    /// Hears a datagram: the answer to what was asked last, or nothing.
    pub fn hear(&mut self, ask: Ask, datagram: &[u8]) -> Option<Answer> {
        let packet = Packet::decode(datagram, self.suite.code()).ok()?;
        let head = packet.head;
        let ours = head.payload == Payload::IPMI && head.session == self.ours;
        if !ours || !head.encrypted || !head.authenticated || !self.keys.signed(packet.signed, packet.code) {
            return None;
        }
        if head.sequence.saturating_add(WINDOW) <= self.heard {
            return None;
        }
        let message = self.keys.decipher(packet.payload)?;
        let reply = Reply::decode(&message)?;
        let theirs = self.theirs.to_le_bytes();
        let request = request(ask, &theirs);
        let asked = (request.function, request.command, self.asked);
        if (reply.function, reply.command, reply.sequence) != asked {
            return None;
        }
        self.heard = self.heard.max(head.sequence);
        Some(Answer { completion: reply.completion, data: reply.data.to_vec() })
    }
}

const fn request(ask: Ask, theirs: &[u8; 4]) -> Request<'_> {
    match ask {
        Ask::Level => session::level(&[OPERATOR]),
        Ask::Status => chassis::status(),
        Ask::On => chassis::on(),
        Ask::Off => chassis::off(),
        Ask::Soft => chassis::soft_off(),
        Ask::Close => session::close(theirs),
    }
}
