//! The message between client and server (RFC 8415 section 8), and the way to bytes and back.

use alloc::vec::Vec;

use super::code::OptionCode;
use super::duid::Duid;
use super::fault::{DecodeError, Fault};
use super::options::Options;
use crate::cursor::Cursor;

/// Larger than a jumbo frame: nobody sends this in good faith.
pub const LARGEST_MESSAGE: usize = 16 * 1024;
/// Type and transaction number.
const HEADER: usize = 4;

/// What a message is (RFC 8415 section 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    /// A client looks for servers.
    Solicit,
    /// A server offers.
    Advertise,
    /// A client takes an offer.
    Request,
    /// A client asks whether its addresses belong here.
    Confirm,
    /// A client asks its server to go on.
    Renew,
    /// A client asks any server to go on.
    Rebind,
    /// A server answers.
    Reply,
    /// A client gives its addresses back.
    Release,
    /// A client found its address in use.
    Decline,
    /// A server asks a client to ask; never sent here.
    Reconfigure,
    /// A client that needs no address asks for the rest.
    InformationRequest,
}

impl MessageType {
    /// From its number; `None` for relays' and those this house does not speak.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Solicit,
            2 => Self::Advertise,
            3 => Self::Request,
            4 => Self::Confirm,
            5 => Self::Renew,
            6 => Self::Rebind,
            7 => Self::Reply,
            8 => Self::Release,
            9 => Self::Decline,
            10 => Self::Reconfigure,
            11 => Self::InformationRequest,
            _ => return None,
        })
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Solicit => 1,
            Self::Advertise => 2,
            Self::Request => 3,
            Self::Confirm => 4,
            Self::Renew => 5,
            Self::Rebind => 6,
            Self::Reply => 7,
            Self::Release => 8,
            Self::Decline => 9,
            Self::Reconfigure => 10,
            Self::InformationRequest => 11,
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageType,
    /// Transaction number, 24 bits.
    pub xid: u32,
    /// Its options.
    pub options: Options,
}

impl Message {
    /// A client's message.
    #[must_use]
    pub fn new(kind: MessageType, xid: u32, client: &Duid) -> Self {
        let mut options = Options::new();
        options.push(OptionCode::CLIENT_ID, client.as_bytes());
        Self { kind, xid, options }
    }

    /// The sender's or receiver's identifier (option 1).
    #[must_use]
    pub fn client(&self) -> Option<Duid> {
        self.options.duid(OptionCode::CLIENT_ID)
    }

    /// The server's identifier (option 2).
    #[must_use]
    pub fn server(&self) -> Option<Duid> {
        self.options.duid(OptionCode::SERVER_ID)
    }

    /// Reads a message that no relay wrapped.
    ///
    /// # Errors
    /// [`DecodeError`] with the place.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fault = |fault| DecodeError { offset: 0, fault };
        if bytes.len() > LARGEST_MESSAGE {
            return Err(fault(Fault::TooLong));
        }
        let mut cursor = Cursor::new(bytes);
        let head = cursor.u32().ok_or_else(|| fault(Fault::TooShort))?;
        let [number, ..] = head.to_be_bytes();
        let kind = MessageType::from_number(number).ok_or_else(|| fault(Fault::Type(number)))?;
        let options = Options::read(cursor.rest(), HEADER)?;
        Ok(Self { kind, xid: head & 0x00ff_ffff, options })
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = u32::from(self.kind.number()) << 24 | self.xid & 0x00ff_ffff;
        let mut out = head.to_be_bytes().to_vec();
        self.options.write(&mut out);
        out
    }
}
