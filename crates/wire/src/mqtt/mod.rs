//! MQTT 3.1.1, as far as a client needs it that tells and listens: packets out of a stream and back (OASIS standard of 29
//! October 2014). Nothing is delivered exactly once here: what we say may be said twice.
//!
//! ```text
//!   kind and flags │ length, seven bits a byte │ packet id, topic, … │ payload
//! ```

mod text;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::cursor::Cursor;
use text::{put, put_bytes, take, take_bytes};

pub use text::{is_filter, is_topic, matches};

/// The TCP port of brokers.
pub const PORT: u16 = 1883;
/// The same with TLS.
pub const TLS_PORT: u16 = 8883;
/// Largest packet that is read: states of switches have some hundred bytes.
pub const LARGEST: usize = 256 << 10;

/// Bytes that are no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A part of it is longer than the whole, or something is left over.
    Length,
    /// It is larger than anything that is read.
    Long(usize),
    /// No kind of packet that a client and its broker send to each other here, or with flags that it cannot have.
    Foreign(u8),
    /// A text is no UTF-8, or has a zero in it.
    Text,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("a packet whose parts are not as long as it says"),
            Self::Long(size) => write!(f, "a packet of {size} bytes"),
            Self::Foreign(kind) => write!(f, "a packet that begins with {kind:#04x}"),
            Self::Text => f.write_str("a text that is none"),
        }
    }
}

impl core::error::Error for Fault {}

/// What a broker says to who connects (table 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    /// Welcome.
    pub const OK: Self = Self(0);
    /// It does not take the user or the password.
    pub const PASSWORD: Self = Self(4);
    /// It does not take this client.
    pub const NOT_ALLOWED: Self = Self(5);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.0 {
            0 => "welcome",
            1 => "it does not speak MQTT 3.1.1",
            2 => "it does not take the client's name",
            3 => "it is not ready",
            4 => "it does not take the user or the password",
            5 => "it does not let this client in",
            other => return write!(f, "it says no by a number, {other}, that no standard names"),
        };
        f.write_str(word)
    }
}

/// How surely a message is delivered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Surely {
    /// Perhaps.
    #[default]
    Perhaps,
    /// Once or more often: the packet has this number, and is answered by [`Packet::Taken`]. Again, where `again` says so.
    Once {
        /// Number of the packet, not 0.
        id: u16,
        /// It was sent before.
        again: bool,
    },
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Of what.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// To a broker: keep it for who comes later. From one: it was kept, and is perhaps old.
    pub retained: bool,
    /// How surely it is delivered.
    pub surely: Surely,
}

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// A client begins (CONNECT), with nothing left of an earlier session and without a will.
    Connect {
        /// Its name; who comes with the same takes its place.
        client: String,
        /// Seconds after which a client that says nothing counts as gone; 0 for ever.
        keep_alive: u16,
        /// User and password.
        login: Option<(String, Vec<u8>)>,
    },
    /// The broker's answer (CONNACK).
    Connected(Code),
    /// A message (PUBLISH).
    Message(Message),
    /// A message was taken (PUBACK).
    Taken(u16),
    /// A client wants messages of these topics (SUBSCRIBE), as surely as the connection is: what is lost with one is lost,
    /// and nothing needs to be answered.
    Subscribe {
        /// Number of the packet, not 0.
        id: u16,
        /// Topics; `+` stands for one level, `#` for all that follow.
        filters: Vec<String>,
    },
    /// The broker's answer (SUBACK): for each of them whether it will have them.
    Subscribed {
        /// Number of the packet.
        id: u16,
        /// One a filter.
        granted: Vec<bool>,
    },
    /// Are you there? (PINGREQ)
    Ping,
    /// Yes (PINGRESP).
    Pong,
    /// A client goes (DISCONNECT).
    Bye,
}

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
/// With the flags that it must have (section 3.8.1).
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGREQ: u8 = 0xc0;
const PINGRESP: u8 = 0xd0;
const DISCONNECT: u8 = 0xe0;

/// Of PUBLISH: keep it, or it was kept.
const RETAIN: u8 = 0x01;
/// Of PUBLISH: at least once.
const ONCE: u8 = 0x02;
/// Of PUBLISH: exactly once, which we never ask for.
const EXACTLY: u8 = 0x04;
/// Of PUBLISH: again.
const AGAIN: u8 = 0x08;

/// Of CONNECT: nothing is left of an earlier session.
const CLEAN: u8 = 0x02;
/// Of CONNECT: a password follows.
const PASSWORD: u8 = 0x40;
/// Of CONNECT: a user follows.
const USER: u8 = 0x80;
/// In place of what was granted: nothing.
const REFUSED: u8 = 0x80;

impl Packet {
    /// The bytes of it. Texts of more than 65535 bytes are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut inside = Vec::new();
        let first = match self {
            Self::Connect { client, keep_alive, login } => {
                put(&mut inside, "MQTT");
                let flags = CLEAN | if login.is_some() { USER | PASSWORD } else { 0 };
                inside.extend([4, flags]);
                inside.extend(keep_alive.to_be_bytes());
                put(&mut inside, client);
                if let Some((user, password)) = login {
                    put(&mut inside, user);
                    put_bytes(&mut inside, password);
                }
                CONNECT
            }
            Self::Connected(code) => {
                inside.extend([0, code.0]);
                CONNACK
            }
            Self::Message(message) => message.encode(&mut inside),
            Self::Taken(id) => {
                inside.extend(id.to_be_bytes());
                PUBACK
            }
            Self::Subscribe { id, filters } => {
                inside.extend(id.to_be_bytes());
                for filter in filters {
                    put(&mut inside, filter);
                    inside.push(0);
                }
                SUBSCRIBE
            }
            Self::Subscribed { id, granted } => {
                inside.extend(id.to_be_bytes());
                inside.extend(granted.iter().map(|granted| if *granted { 0 } else { REFUSED }));
                SUBACK
            }
            Self::Ping => PINGREQ,
            Self::Pong => PINGRESP,
            Self::Bye => DISCONNECT,
        };
        let mut out = Vec::with_capacity(inside.len() + 5);
        out.push(first);
        let mut length = inside.len();
        loop {
            let [.., low] = (length & 0x7f).to_be_bytes();
            length >>= 7;
            out.push(if length > 0 { low | 0x80 } else { low });
            if length == 0 {
                break;
            }
        }
        out.extend(inside);
        out
    }

    /// The first packet of these bytes, and how many of them it takes; `None` as long as it is not whole.
    ///
    /// # Errors
    /// [`Fault`]: nothing behind it can be read either.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Fault> {
        let mut cursor = Cursor::new(bytes);
        let Some(first) = cursor.u8() else { return Ok(None) };
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21] {
            let Some(byte) = cursor.u8() else { return Ok(None) };
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            if shift == 21 {
                return Err(Fault::Length);
            }
        }
        if length > LARGEST {
            return Err(Fault::Long(length));
        }
        let Some(inside) = cursor.take(length) else { return Ok(None) };
        Ok(Some((Self::inside(first, inside)?, cursor.at())))
    }

    fn inside(first: u8, inside: &[u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(inside);
        let packet = match first {
            CONNECT => Self::connect(&mut cursor)?,
            CONNACK => {
                let [_, code] = cursor.array().ok_or(Fault::Length)?;
                Self::Connected(Code(code))
            }
            _ if first & 0xf0 == PUBLISH => return Message::decode(first, cursor).map(Self::Message),
            PUBACK => Self::Taken(cursor.u16().ok_or(Fault::Length)?),
            SUBSCRIBE => {
                let id = cursor.u16().ok_or(Fault::Length)?;
                let mut filters = Vec::new();
                while !cursor.rest().is_empty() {
                    filters.push(take(&mut cursor)?);
                    cursor.u8().ok_or(Fault::Length)?;
                }
                Self::Subscribe { id, filters }
            }
            SUBACK => {
                let id = cursor.u16().ok_or(Fault::Length)?;
                let all = cursor.rest();
                cursor.take(all.len());
                Self::Subscribed { id, granted: all.iter().map(|code| *code < REFUSED).collect() }
            }
            PINGREQ => Self::Ping,
            PINGRESP => Self::Pong,
            DISCONNECT => Self::Bye,
            other => return Err(Fault::Foreign(other)),
        };
        if cursor.rest().is_empty() { Ok(packet) } else { Err(Fault::Length) }
    }

    fn connect(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let name = take(cursor)?;
        let [level, flags] = cursor.array().ok_or(Fault::Length)?;
        let with_login = flags & (USER | PASSWORD);
        let rest = flags & !(USER | PASSWORD);
        if name != "MQTT" || level != 4 || rest != CLEAN || (with_login != 0 && with_login != USER | PASSWORD)
        {
            return Err(Fault::Foreign(CONNECT));
        }
        let keep_alive = cursor.u16().ok_or(Fault::Length)?;
        let client = take(cursor)?;
        let login = match with_login {
            0 => None,
            _ => Some((take(cursor)?, take_bytes(cursor)?.to_vec())),
        };
        Ok(Self::Connect { client, keep_alive, login })
    }
}

impl Message {
    fn encode(&self, inside: &mut Vec<u8>) -> u8 {
        put(inside, &self.topic);
        let mut first = PUBLISH | if self.retained { RETAIN } else { 0 };
        if let Surely::Once { id, again } = self.surely {
            inside.extend(id.to_be_bytes());
            first |= ONCE | if again { AGAIN } else { 0 };
        }
        inside.extend(&self.payload);
        first
    }

    fn decode(first: u8, mut cursor: Cursor<'_>) -> Result<Self, Fault> {
        if first & EXACTLY != 0 {
            return Err(Fault::Foreign(first));
        }
        let topic = take(&mut cursor)?;
        let again = first & AGAIN != 0;
        let surely = match first & ONCE {
            0 if again => return Err(Fault::Foreign(first)),
            0 => Surely::Perhaps,
            _ => Surely::Once { id: cursor.u16().ok_or(Fault::Length)?, again },
        };
        let payload = cursor.rest().to_vec();
        Ok(Self { topic, payload, retained: first & RETAIN != 0, surely })
    }
}

#[cfg(test)]
mod tests;
