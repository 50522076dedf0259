//! Names, addresses and quantities, each checked once where it enters.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest name a node, zone, scenario or driver may have: what a cell of the board shows in full.
pub const NAME_LIMIT: usize = 24;

/// Why a text is not a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// Nothing was written.
    Empty,
    /// More than [`NAME_LIMIT`] characters.
    TooLong,
    /// A character other than `a-z`, `0-9` and `-`, or a `-` at an end.
    BadCharacter(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name needs at least one character"),
            Self::TooLong => write!(f, "a name has at most {NAME_LIMIT} characters"),
            Self::BadCharacter(c) => {
                write!(f, "`{c}` cannot stand here: names are made of a-z, 0-9 and inner `-`")
            }
        }
    }
}

impl core::error::Error for NameError {}

fn check_name(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.chars().count() > NAME_LIMIT {
        return Err(NameError::TooLong);
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err(NameError::BadCharacter('-'));
    }
    match text.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')) {
        Some(c) => Err(NameError::BadCharacter(c)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text).map(|()| Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

name! {
    /// What the lab is called.
    LabName
}
name! {
    /// What one machine of the board is called.
    NodeName
}
name! {
    /// What one way to run the lab is called.
    ScenarioName
}
name! {
    /// What one group of machines is called.
    GroupName
}
name! {
    /// What one power driver of the lab file is called.
    DriverName
}

/// An Ethernet address (EUI-48). Written `16:09:01:1a:f4:30`; `-` is read too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Every station on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// True for group addresses (the lowest bit of the first byte, IEEE 802), which no machine owns.
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

/// The text is not six bytes in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacAddrError;

impl fmt::Display for MacAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an Ethernet address is six bytes in hexadecimal, such as 16:09:01:1a:f4:30")
    }
}

impl core::error::Error for MacAddrError {}

impl FromStr for MacAddr {
    type Err = MacAddrError;
    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or(MacAddrError)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(MacAddrError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| MacAddrError)?;
        }
        parts.next().map_or(Ok(Self(bytes)), |_| Err(MacAddrError))
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MacAddr {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddr {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for MacAddr {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "MacAddr".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$",
            "examples": ["16:09:01:1a:f4:30"]
        })
    }
}

/// A machine's UUID as the firmware says it (SMBIOS type 1; DHCP option 97), in text order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MachineUuid(pub [u8; 16]);

impl MachineUuid {
    /// Reads option 97's 16 bytes (RFC 4578 section 2.3). x86 firmware stores the first three fields
    /// little-endian, as SMBIOS does; the text form swaps them so that it equals `product_uuid` of Linux.
    #[must_use]
    pub const fn from_wire(w: [u8; 16]) -> Self {
        Self([
            w[3], w[2], w[1], w[0], w[5], w[4], w[7], w[6], w[8], w[9], w[10], w[11], w[12], w[13], w[14],
            w[15],
        ])
    }
}

impl fmt::Display for MachineUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl Serialize for MachineUuid {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MachineUuid {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 16];
        let mut digits = text.bytes().filter(|b| *b != b'-').map(|b| char::from(b).to_digit(16));
        for byte in &mut bytes {
            let (Some(Some(high)), Some(Some(low))) = (digits.next(), digits.next()) else {
                return Err(D::Error::custom("a UUID has 32 hexadecimal digits"));
            };
            *byte = u8::try_from(high << 4 | low).unwrap_or_default();
        }
        match digits.next() {
            Some(_) => Err(D::Error::custom("a UUID has 32 hexadecimal digits")),
            None => Ok(Self(bytes)),
        }
    }
}

impl JsonSchema for MachineUuid {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "MachineUuid".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uuid" })
    }
}

/// The SHA-256 of a file's content. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestError;

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 digest is 64 hexadecimal digits")
    }
}

impl core::error::Error for DigestError {}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(DigestError);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return Err(DigestError) };
            let digit = |b: u8| char::from(b).to_digit(16).ok_or(DigestError);
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).map_err(|_| DigestError)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> alloc::borrow::Cow<'static, str> {
        "Digest".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}

/// Memory in mebibytes (2^20 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Mebibytes(pub u32);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1024 && n % 1024 == 0 => write!(f, "{} GiB", n / 1024),
            n => write!(f, "{n} MiB"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_reads_both_separators_and_writes_one() {
        let mac: MacAddr = "16-09-01-1A-f4-30".parse().unwrap();
        assert_eq!(std::format!("{mac}"), "16:09:01:1a:f4:30");
        assert!("16:09:01:1a:f4".parse::<MacAddr>().is_err());
        assert!("16:09:01:1a:f4:30:00".parse::<MacAddr>().is_err());
        assert!("+6:09:01:1a:f4:30".parse::<MacAddr>().is_err());
    }

    #[test]
    fn a_name_says_which_character_is_wrong() {
        assert_eq!("Node1".parse::<NodeName>(), Err(NameError::BadCharacter('N')));
        assert_eq!("".parse::<NodeName>(), Err(NameError::Empty));
        assert_eq!("a-".parse::<NodeName>(), Err(NameError::BadCharacter('-')));
        assert_eq!("abcdefghijklmnopqrstuvwxy".parse::<NodeName>(), Err(NameError::TooLong));
        assert!("node-1".parse::<NodeName>().is_ok());
    }

    #[test]
    fn option_97_reads_like_the_product_uuid_of_linux() {
        let wire = [0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0x78, 0x56, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(std::format!("{}", MachineUuid::from_wire(wire)), "12345678-1234-5678-0102-030405060708");
    }
}
