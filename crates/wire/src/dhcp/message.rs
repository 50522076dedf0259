//! The message: fixed fields, options, and the way to bytes and back (RFC 2131 section 2, RFC 3396).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use model::MacAddr;

use super::code::OptionCode;
use super::fault::{DecodeError, EncodeError, Fault};
use super::options::{Options, until_nul};
use crate::cursor::Cursor;

const MAGIC: [u8; 4] = [99, 130, 83, 99];
/// Fixed fields and magic cookie.
const HEADER: usize = 240;
const SNAME_AT: usize = 44;
const FILE_AT: usize = 108;
const SNAME: usize = 64;
const FILE: usize = 128;
/// BOOTP clients and relays drop anything smaller (RFC 1542 section 2.1).
const SMALLEST: usize = 300;
/// Larger than a jumbo frame: nobody sends this in good faith.
pub const LARGEST_MESSAGE: usize = 16 * 1024;
/// What every client must accept: 576 bytes of IP, less its headers (RFC 2131 section 2).
pub const SMALLEST_LIMIT: usize = 576 - 28;
/// What fits one Ethernet frame.
const LARGEST_LIMIT: usize = 1500 - 28;

/// Who speaks (`op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// BOOTREQUEST: a client.
    Request,
    /// BOOTREPLY: a server.
    Reply,
}

/// Option 53 (RFC 2132 section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageType {
    /// A client looks for servers.
    Discover,
    /// A server offers.
    Offer,
    /// A client takes an offer, or wants to keep its address.
    Request,
    /// A client found its address in use.
    Decline,
    /// A server says yes.
    Ack,
    /// A server says no.
    Nak,
    /// A client gives its address back.
    Release,
    /// A client with an address asks for the rest.
    Inform,
}

impl MessageType {
    /// From its number; `None` for those this house does not speak (lease query and later).
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }

    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Discover => 1,
            Self::Offer => 2,
            Self::Request => 3,
            Self::Decline => 4,
            Self::Ack => 5,
            Self::Nak => 6,
            Self::Release => 7,
            Self::Inform => 8,
        }
    }
}

/// A DHCPv4 message. Field names are those of RFC 2131 figure 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Request or reply.
    pub op: Op,
    /// Hardware type; 1 is Ethernet.
    pub htype: u8,
    /// Length of the hardware address in bytes, at most 16.
    pub hlen: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction number.
    pub xid: u32,
    /// Seconds since the client began. iPXE writes its state here instead.
    pub secs: u16,
    /// The client cannot take unicast before it has an address.
    pub broadcast: bool,
    /// The client's address, where it already uses one.
    pub ciaddr: Ipv4Addr,
    /// The address given.
    pub yiaddr: Ipv4Addr,
    /// The server of the next step: TFTP.
    pub siaddr: Ipv4Addr,
    /// The relay that passed it on.
    pub giaddr: Ipv4Addr,
    /// Hardware address, padded with zeros.
    pub chaddr: [u8; 16],
    /// Server name up to its NUL; at most 64 bytes. Empty where options stood in the field.
    pub sname: Vec<u8>,
    /// Boot file up to its NUL; at most 128 bytes. Empty where options stood in the field.
    pub file: Vec<u8>,
    /// The options of all fields. Option 52 is not among them: it describes the encoding.
    pub options: Options,
}

impl Message {
    /// An empty request from an Ethernet client.
    #[must_use]
    pub fn request(kind: MessageType, mac: MacAddr, xid: u32) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        let mut options = Options::new();
        options.set_u8(OptionCode::MESSAGE_TYPE, kind.number());
        Self {
            op: Op::Request,
            htype: 1,
            hlen: 6,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            sname: Vec::new(),
            file: Vec::new(),
            options,
        }
    }

    /// A reply to this message with the fields a server copies (RFC 2131 table 3) and option 61
    /// returned (RFC 6842).
    #[must_use]
    pub fn reply(&self, kind: MessageType) -> Self {
        let mut options = Options::new();
        options.set_u8(OptionCode::MESSAGE_TYPE, kind.number());
        if let Some(id) = self.options.get(OptionCode::CLIENT_ID) {
            options.set(OptionCode::CLIENT_ID, id);
        }
        Self {
            op: Op::Reply,
            hops: 0,
            secs: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            sname: Vec::new(),
            file: Vec::new(),
            options,
            ..*self
        }
    }

    /// The Ethernet address; `None` for other hardware and for addresses no machine owns.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let mac = MacAddr(*self.chaddr.first_chunk()?);
        let usable = self.htype == 1 && self.hlen == 6 && !mac.is_group() && mac != MacAddr::default();
        usable.then_some(mac)
    }

    /// Option 53; `None` for BOOTP and for types this house does not speak.
    #[must_use]
    pub fn kind(&self) -> Option<MessageType> {
        self.options.u8(OptionCode::MESSAGE_TYPE).and_then(MessageType::from_number)
    }

    /// Reads a message from the payload of a UDP datagram.
    ///
    /// Options in `file` and `sname` are read where option 52 says so (in that order, RFC 2131
    /// section 4.1); an option 52 inside them means nothing. A missing END is accepted.
    ///
    /// # Errors
    /// [`DecodeError`] with the offset where reading stopped: not BOOTP, cut short, larger than
    /// [`LARGEST_MESSAGE`], or an option that runs past the end of its field.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > LARGEST_MESSAGE {
            return Err(DecodeError { offset: LARGEST_MESSAGE, fault: Fault::TooLong });
        }
        let short = DecodeError { offset: bytes.len(), fault: Fault::TooShort };
        let mut message = Self::decode_fixed(bytes).ok_or(short)??;
        let field = |at: usize, len: usize| bytes.get(at..at + len).unwrap_or_default();
        let sname = field(SNAME_AT, SNAME);
        let file = field(FILE_AT, FILE);
        let overload = message.options.read_field(bytes.get(HEADER..).unwrap_or_default(), HEADER)?;
        let overload = overload.unwrap_or(0);
        if overload & 1 == 0 {
            message.file = until_nul(file).to_vec();
        } else {
            message.options.read_field(file, FILE_AT)?;
        }
        if overload & 2 == 0 {
            message.sname = until_nul(sname).to_vec();
        } else {
            message.options.read_field(sname, SNAME_AT)?;
        }
        Ok(message)
    }

    /// The fields before the options; `None` when they are cut short.
    fn decode_fixed(bytes: &[u8]) -> Option<Result<Self, DecodeError>> {
        let fail = |offset, fault| Some(Err(DecodeError { offset, fault }));
        let mut cursor = Cursor::new(bytes);
        let op = match cursor.u8()? {
            1 => Op::Request,
            2 => Op::Reply,
            other => return fail(0, Fault::Op(other)),
        };
        let htype = cursor.u8()?;
        let hlen = cursor.u8()?;
        if hlen > 16 {
            return fail(2, Fault::HardwareLength(hlen));
        }
        let hops = cursor.u8()?;
        let xid = cursor.u32()?;
        let secs = cursor.u16()?;
        let broadcast = cursor.u16()? & 0x8000 != 0;
        let ciaddr = Ipv4Addr::from(cursor.array::<4>()?);
        let yiaddr = Ipv4Addr::from(cursor.array::<4>()?);
        let siaddr = Ipv4Addr::from(cursor.array::<4>()?);
        let giaddr = Ipv4Addr::from(cursor.array::<4>()?);
        let chaddr = cursor.array::<16>()?;
        cursor.take(SNAME + FILE)?;
        if cursor.array::<4>()? != MAGIC {
            return fail(HEADER - MAGIC.len(), Fault::Magic);
        }
        Some(Ok(Self {
            op,
            htype,
            hlen,
            hops,
            xid,
            secs,
            broadcast,
            ciaddr,
            yiaddr,
            siaddr,
            giaddr,
            chaddr,
            sname: Vec::new(),
            file: Vec::new(),
            options: Options::new(),
        }))
    }

    /// Writes the message: at least 300 bytes, at most `limit` (see [`message_limit`]). Options over
    /// 255 bytes are split (RFC 3396), option 82 stands last (RFC 3046 section 2.1). What does not fit
    /// goes into an unused `file`, then `sname`, announced by option 52.
    ///
    /// # Errors
    /// [`EncodeError`] when a name is too long for its field or the options do not fit.
    pub fn encode(&self, limit: usize) -> Result<Vec<u8>, EncodeError> {
        if self.sname.len() > SNAME {
            return Err(EncodeError::NameTooLong { field: "sname", length: self.sname.len() });
        }
        if self.file.len() > FILE {
            return Err(EncodeError::NameTooLong { field: "file", length: self.file.len() });
        }
        let fields = self.lay_out(limit)?;
        let mut out = Vec::with_capacity(SMALLEST.max(HEADER + fields.main.len() + 1));
        out.push(match self.op {
            Op::Request => 1,
            Op::Reply => 2,
        });
        out.extend_from_slice(&[self.htype, self.hlen, self.hops]);
        out.extend_from_slice(&self.xid.to_be_bytes());
        out.extend_from_slice(&self.secs.to_be_bytes());
        out.extend_from_slice(&[if self.broadcast { 0x80 } else { 0 }, 0]);
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend_from_slice(&address.octets());
        }
        out.extend_from_slice(&self.chaddr);
        let padded = |out: &mut Vec<u8>, own: &[u8], options: &[u8], size: usize| {
            let end = out.len() + size;
            out.extend_from_slice(if options.is_empty() { own } else { options });
            out.resize(end, 0);
        };
        padded(&mut out, &self.sname, &fields.sname, SNAME);
        padded(&mut out, &self.file, &fields.file, FILE);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&fields.main);
        if out.len() < SMALLEST {
            out.resize(SMALLEST, 0);
        }
        Ok(out)
    }

    /// Spreads the options over the fields, each closed with END.
    fn lay_out(&self, limit: usize) -> Result<Fields, EncodeError> {
        let last = |code: OptionCode| code == OptionCode::RELAY_INFORMATION;
        let ordered = || self.options.iter().filter(move |(c, _)| !last(*c));
        let relay = || self.options.iter().filter(move |(c, _)| last(*c));
        let pieces: Vec<(OptionCode, &[u8])> = ordered().chain(relay()).flat_map(split).collect();
        let need: usize = pieces.iter().map(|(_, value)| value.len() + 2).sum();
        let room = limit.saturating_sub(HEADER + 1);
        let mut fields = Fields::default();
        if need <= room {
            for (code, value) in pieces {
                put(&mut fields.main, code, value);
            }
            fields.main.push(OptionCode::END.0);
            return Ok(fields);
        }
        // Option 52 takes three bytes of the main field. Pieces keep their order, since a reader joins
        // main, file and sname: once a piece moved on, no later one goes back.
        let rooms = [
            room.saturating_sub(3),
            if self.file.is_empty() { FILE - 1 } else { 0 },
            if self.sname.is_empty() { SNAME - 1 } else { 0 },
        ];
        let mut rest = pieces.into_iter().peekable();
        let mut parts = [Vec::new(), Vec::new(), Vec::new()];
        for (part, room) in parts.iter_mut().zip(rooms) {
            while let Some((code, value)) = rest.next_if(|(_, v)| part.len() + v.len() + 2 <= room) {
                put(part, code, value);
            }
        }
        if rest.peek().is_some() {
            return Err(EncodeError::TooLarge { need: HEADER + need + 1, limit });
        }
        let [main, file, sname] = parts;
        let bits = u8::from(!file.is_empty()) | u8::from(!sname.is_empty()) << 1;
        put(&mut fields.main, OptionCode::OVERLOAD, &[bits]);
        fields.main.extend_from_slice(&main);
        (fields.file, fields.sname) = (file, sname);
        for field in [&mut fields.file, &mut fields.sname] {
            if !field.is_empty() {
                field.push(OptionCode::END.0);
            }
        }
        fields.main.push(OptionCode::END.0);
        Ok(fields)
    }
}

/// Encoded options of each field.
#[derive(Default)]
struct Fields {
    main: Vec<u8>,
    file: Vec<u8>,
    sname: Vec<u8>,
}

fn put(out: &mut Vec<u8>, code: OptionCode, value: &[u8]) {
    out.push(code.0);
    out.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(value);
}

/// An option as pieces of at most 255 bytes; an empty one is one empty piece.
fn split((code, value): (OptionCode, &[u8])) -> impl Iterator<Item = (OptionCode, &[u8])> {
    let empty: &[u8] = &[];
    let lone = value.is_empty().then_some(empty);
    lone.into_iter().chain(value.chunks(255)).map(move |piece| (code, piece))
}

/// The largest message a client takes: its option 57, never below what RFC 2131 guarantees nor over
/// one Ethernet frame. EDK2 asks for 65280, iPXE for 1472. Read as an IP size, the careful reading.
#[must_use]
pub fn message_limit(client: &Options) -> usize {
    let asked = client.u16(OptionCode::MAX_SIZE).map_or(SMALLEST_LIMIT, usize::from);
    asked.saturating_sub(28).clamp(SMALLEST_LIMIT, LARGEST_LIMIT)
}
