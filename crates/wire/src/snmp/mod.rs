//! SNMP, versions 1 and 2c: questions to an agent and its answers, in one datagram each (RFC 1157, RFC 1901, RFC 3416).
//!
//! ```text
//!   30 .. │ 02 01 version │ 04 .. community │ a0 .. PDU: number, status, index, (name, value)…
//! ```

mod ber;
mod oid;
mod value;

use alloc::vec::Vec;
use core::fmt;

use ber::{INTEGER, OBJECT, OCTETS, Reader, SEQUENCE};

pub use oid::{NotOid, Oid};
pub use value::Value;

/// The UDP port of agents (RFC 3417 section 3).
pub const PORT: u16 = 161;
/// The UDP port of those who listen for traps (RFC 3417 section 3).
pub const TRAP_PORT: u16 = 162;
/// `snmpTrapOID.0` (RFC 3418).
const TRAP_NAME: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// `snmpTraps`, below which the general ones are (RFC 3418).
const TRAPS: &[u32] = &[1, 3, 6, 1, 6, 3, 1, 1, 5];

/// Bytes that are no message of ours, or not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It ends too early, or says to be longer than it is.
    Short,
    /// It is something else, or of a version that is not spoken here.
    Foreign,
    /// A number is larger than it may be.
    Number,
    /// A name is none.
    Name,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "shorter than it says",
            Self::Foreign => "not SNMP of version 1 or 2c",
            Self::Number => "a number is larger than it may be",
            Self::Name => "a name is no object identifier",
        })
    }
}

impl core::error::Error for Fault {}

/// Which version a message is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// Version 1.
    One,
    /// Version 2c.
    #[default]
    TwoC,
}

impl Version {
    const fn number(self) -> i64 {
        match self {
            Self::One => 0,
            Self::TwoC => 1,
        }
    }
}

/// What a message asks for or says (RFC 3416 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The values of these names.
    Get,
    /// The names that follow these, and their values.
    GetNext,
    /// An answer.
    Response,
    /// Sets these names to these values.
    Set,
    /// As [`Kind::GetNext`], many times in one answer. Not in version 1. Of [`Pdu::status`] it has the number of names
    /// that are asked once, of [`Pdu::index`] how often the others are.
    GetBulk,
    /// Something happened; nobody answers. Not in version 1, whose traps have another form.
    Trap,
}

impl Kind {
    const ALL: [(Self, u8); 6] = [
        (Self::Get, 0xa0),
        (Self::GetNext, 0xa1),
        (Self::Response, 0xa2),
        (Self::Set, 0xa3),
        (Self::GetBulk, 0xa5),
        (Self::Trap, 0xa7),
    ];

    fn tag(self) -> u8 {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or(0, |(_, tag)| *tag)
    }

    fn of(tag: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == tag).map(|(kind, _)| *kind)
    }
}

/// Why an agent did not do it (RFC 3416 section 3); 0 where it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub i32);

impl Status {
    /// It did.
    pub const OK: Self = Self(0);
    /// The answer does not fit into a datagram.
    pub const TOO_BIG: Self = Self(1);
    /// Version 1: there is no such thing, or not for us.
    pub const NO_SUCH_NAME: Self = Self(2);
    /// It did not, for whatever reason.
    pub const GENERAL: Self = Self(5);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.0 {
            0 => "done",
            1 => "tooBig: the answer does not fit into a datagram",
            2 => "noSuchName: there is no such thing, or not for this community",
            3 => "badValue: it does not take the value",
            4 => "readOnly: it may only be read",
            5 => "genErr: it did not say why",
            6 => "noAccess: not for this community",
            7 => "wrongType: it wants another kind of value",
            8 => "wrongLength: it wants a value of another length",
            9 => "wrongEncoding: it does not read the value",
            10 => "wrongValue: it does not take the value",
            11 => "noCreation: there is no such one",
            12 => "inconsistentValue: not now",
            13 => "resourceUnavailable: it has no room",
            14 => "commitFailed: it could not do it",
            15 => "undoFailed: it did a part of it",
            16 => "authorizationError: this community may not",
            17 => "notWritable: it cannot be set, or not by this community",
            18 => "inconsistentName: not now",
            other => return write!(f, "an error {other} that no standard names"),
        };
        f.write_str(word)
    }
}

/// A question or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pdu {
    /// Which.
    pub kind: Kind,
    /// Number of the question; its answer has the same.
    pub id: i32,
    /// Of an answer: what went wrong.
    pub status: Status,
    /// Of an answer: with which name, from 1; 0 where with none of them.
    pub index: i32,
    /// Names, and in an answer or an order their values.
    pub values: Vec<(Oid, Value)>,
}

impl Pdu {
    /// A question for these names.
    #[must_use]
    pub fn ask(kind: Kind, id: i32, names: impl IntoIterator<Item = Oid>) -> Self {
        let values = names.into_iter().map(|name| (name, Value::Null)).collect();
        Self { kind, id, status: Status::OK, index: 0, values }
    }

    /// An order.
    #[must_use]
    pub fn set(id: i32, name: Oid, value: Value) -> Self {
        Self { kind: Kind::Set, id, status: Status::OK, index: 0, values: Vec::from([(name, value)]) }
    }

    /// Up to `times` names behind this one.
    #[must_use]
    pub fn bulk(id: i32, behind: Oid, times: i32) -> Self {
        Self { index: times, ..Self::ask(Kind::GetBulk, id, [behind]) }
    }

    /// True of a trap about a link that came or went, or a device that started (RFC 3418: `coldStart`, `warmStart`,
    /// `linkDown` and `linkUp`; its name is the value of `snmpTrapOID.0`).
    #[must_use]
    pub fn tells_of_links(&self) -> bool {
        let is = |(name, value): &(Oid, Value)| {
            let Value::Oid(trap) = value else { return false };
            name.numbers() == TRAP_NAME && matches!(trap.numbers(), [known @ .., 1..=4] if known == TRAPS)
        };
        self.kind == Kind::Trap && self.values.iter().any(is)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut list = Vec::new();
        for (name, value) in &self.values {
            let mut pair = Vec::new();
            ber::put(&mut pair, OBJECT, &name.encode());
            value.encode(&mut pair);
            ber::put(&mut list, SEQUENCE, &pair);
        }
        let mut inside = Vec::new();
        for number in [self.id, self.status.0, self.index] {
            ber::put_signed(&mut inside, INTEGER, i64::from(number));
        }
        ber::put(&mut inside, SEQUENCE, &list);
        ber::put(out, self.kind.tag(), &inside);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let (tag, inside) = reader.any()?;
        let kind = Kind::of(tag).ok_or(Fault::Foreign)?;
        let mut inside = Reader::new(inside);
        let (id, status, index) = (inside.number()?, Status(inside.number()?), inside.number()?);
        let mut list = inside.sequence()?;
        let mut values = Vec::new();
        while !list.is_empty() {
            let mut pair = list.sequence()?;
            let name = Oid::decode(pair.tagged(OBJECT)?)?;
            let (tag, value) = pair.any()?;
            values.push((name, Value::decode(tag, value)?));
        }
        Ok(Self { kind, id, status, index, values })
    }
}

/// A datagram of version 1 or 2c.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its version.
    pub version: Version,
    /// The word that says who asks, in the clear.
    pub community: Vec<u8>,
    /// What is asked or said.
    pub pdu: Pdu,
}

impl Message {
    /// The bytes of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut inside = Vec::new();
        ber::put_signed(&mut inside, INTEGER, self.version.number());
        ber::put(&mut inside, OCTETS, &self.community);
        self.pdu.encode(&mut inside);
        let mut out = Vec::with_capacity(inside.len() + 4);
        ber::put(&mut out, SEQUENCE, &inside);
        out
    }

    /// Reads one. What stands behind it is not looked at: some agents pad their datagrams.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut inside = Reader::new(bytes).sequence()?;
        let version = match inside.number()? {
            0 => Version::One,
            1 => Version::TwoC,
            _ => return Err(Fault::Foreign),
        };
        let community = inside.tagged(OCTETS)?.to_vec();
        Ok(Self { version, community, pdu: Pdu::decode(&mut inside)? })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    /// As net-snmp 5.9 asks for `sysDescr.0` and answers a GET of version 2c of a thing it does not have.
    #[test]
    fn messages_are_those_that_others_write() {
        let ask = Message {
            version: Version::One,
            community: b"public".to_vec(),
            pdu: Pdu::ask(Kind::Get, 1, ["1.3.6.1.2.1.1.1.0".parse().unwrap()]),
        };
        let bytes = [
            0x30, 0x26, 0x02, 0x01, 0x00, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x19, 0x02,
            0x01, 0x01, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x0e, 0x30, 0x0c, 0x06, 0x08, 0x2b, 0x06,
            0x01, 0x02, 0x01, 0x01, 0x01, 0x00, 0x05, 0x00,
        ];
        assert_eq!(ask.encode(), bytes);
        assert_eq!(Message::decode(&bytes), Ok(ask));
        let order = Message {
            version: Version::TwoC,
            community: b"w".to_vec(),
            pdu: Pdu::set(258, "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.5".parse().unwrap(), Value::Integer(2)),
        };
        let bytes = [
            0x30, 0x2b, 0x02, 0x01, 0x01, 0x04, 0x01, b'w', 0xa3, 0x23, 0x02, 0x02, 0x01, 0x02, 0x02, 0x01,
            0x00, 0x02, 0x01, 0x00, 0x30, 0x17, 0x30, 0x15, 0x06, 0x10, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82,
            0x3e, 0x01, 0x01, 0x0c, 0x03, 0x03, 0x01, 0x01, 0x04, 0x05, 0x02, 0x01, 0x02,
        ];
        assert_eq!(order.encode(), bytes);
        assert_eq!(Message::decode(&bytes), Ok(order));
    }

    #[test]
    fn an_answer_says_what_is_not_there_and_a_stranger_is_none() {
        let answer = [
            0x30, 0x1d, 0x02, 0x01, 0x01, 0x04, 0x01, b'r', 0xa2, 0x15, 0x02, 0x01, 0x07, 0x02, 0x01, 0x00,
            0x02, 0x01, 0x00, 0x30, 0x0a, 0x30, 0x08, 0x06, 0x04, 0x2b, 0x06, 0x01, 0x09, 0x80, 0x00, 0xff,
            0xff,
        ];
        let read = Message::decode(&answer).unwrap();
        assert_eq!(read.pdu.values, vec![("1.3.6.1.9".parse().unwrap(), Value::NoObject)]);
        for cut in 0..31 {
            assert!(Message::decode(answer.get(..cut).unwrap()).is_err(), "{cut}");
        }
        let mut three = answer;
        three[4] = 3;
        assert_eq!(Message::decode(&three), Err(Fault::Foreign));
        let mut trap = answer;
        trap[8] = 0xa4;
        assert_eq!(Message::decode(&trap), Err(Fault::Foreign));
    }

    /// As `snmptrap -v2c -c public … 66051 linkDown ifIndex.3 i 3` of net-snmp 5.9 sends it.
    #[test]
    fn traps_about_links_are_told_from_others() {
        let trap = [
            0x30, 0x56, 0x02, 0x01, 0x01, 0x04, 0x06, 0x70, 0x75, 0x62, 0x6c, 0x69, 0x63, 0xa7, 0x49, 0x02,
            0x04, 0x5a, 0x07, 0x36, 0x0d, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00, 0x30, 0x3b, 0x30, 0x0f, 0x06,
            0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x03, 0x00, 0x43, 0x03, 0x01, 0x02, 0x03, 0x30, 0x17,
            0x06, 0x0a, 0x2b, 0x06, 0x01, 0x06, 0x03, 0x01, 0x01, 0x04, 0x01, 0x00, 0x06, 0x09, 0x2b, 0x06,
            0x01, 0x06, 0x03, 0x01, 0x01, 0x05, 0x03, 0x30, 0x0f, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x02, 0x01,
            0x02, 0x02, 0x01, 0x01, 0x03, 0x02, 0x01, 0x03,
        ];
        for (last, tells) in [(0, false), (1, true), (2, true), (3, true), (4, true), (5, false)] {
            let mut other = trap;
            other[70] = last;
            let read = Message::decode(&other).unwrap();
            assert_eq!((read.pdu.kind, read.pdu.tells_of_links()), (Kind::Trap, tells), "{last}");
        }
        let mut answer = Message::decode(&trap).unwrap();
        assert_eq!(answer.encode(), trap);
        answer.pdu.kind = Kind::Response;
        assert!(!answer.pdu.tells_of_links());
    }

    fn name() -> impl Strategy<Value = Oid> {
        let rest = prop::collection::vec(any::<u32>(), 0..20);
        (0_u32..2, 0_u32..40, rest).prop_map(|(a, b, rest)| Oid::new(&[&[a, b][..], &rest].concat()).unwrap())
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i32>().prop_map(Value::Integer),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Octets),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Opaque),
            Just(Value::Null),
            name().prop_map(Value::Oid),
            any::<[u8; 4]>().prop_map(Value::Address),
            any::<u32>().prop_map(Value::Counter),
            any::<u32>().prop_map(Value::Gauge),
            any::<u32>().prop_map(Value::Ticks),
            any::<u64>().prop_map(Value::Counter64),
            Just(Value::NoObject),
            Just(Value::NoInstance),
            Just(Value::EndOfView),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            (one, community) in (any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)),
            (kind, id, status, index) in (0_usize..5, any::<i32>(), any::<i32>(), any::<i32>()),
            values in prop::collection::vec((name(), value()), 0..8),
        ) {
            let pdu = Pdu { kind: Kind::ALL[kind].0, id, status: Status(status), index, values };
            let version = if one { Version::One } else { Version::TwoC };
            let message = Message { version, community, pdu };
            let bytes = message.encode();
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
            // Half of it is nothing.
            prop_assert!(Message::decode(&bytes[..bytes.len() - 1]).is_err());
        }
    }
}
