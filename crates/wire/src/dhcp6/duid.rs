//! Unique identifiers of clients and servers (RFC 8415 section 11).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;

use model::{MacAddr, MachineUuid};

/// Longest identifier (RFC 8415 section 11.1): two bytes of type, and 128.
const LONGEST: usize = 130;
/// Hardware type of Ethernet (IANA "ARP parameters").
const ETHERNET: [u8; 2] = [0, 1];

/// A DUID. Whole and opaque when two are compared, as section 11 wants it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duid(Vec<u8>);

impl Duid {
    /// From an option's bytes; `None` for an empty one and for more than 130 bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=LONGEST).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// From an Ethernet address (type 3, section 11.4): what iPXE and our agent send.
    #[must_use]
    pub fn of_mac(mac: MacAddr) -> Self {
        let [a, b, c, d, e, f] = mac.0;
        Self(alloc::vec![0, 3, 0, 1, a, b, c, d, e, f])
    }

    /// From a UUID (type 4, RFC 6355): what EDK2 sends.
    #[must_use]
    pub fn of_uuid(uuid: [u8; 16]) -> Self {
        let mut bytes = alloc::vec![0, 4];
        bytes.extend_from_slice(&uuid);
        Self(bytes)
    }

    /// A server's, made from its address: the same after every restart, and without anything to keep. A UUID
    /// of version 8 (RFC 9562 section 5.8), because an address alone has no type of its own.
    #[must_use]
    pub fn of_server(address: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, version, h, variant, j, k, l, m, n, o, p] = address.octets();
        let (version, variant) = (version & 0x0f | 0x80, variant & 0x3f | 0x80);
        Self::of_uuid([a, b, c, d, e, f, version, h, variant, j, k, l, m, n, o, p])
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The Ethernet address inside, if there is one (types 1 and 3). It may be that of another port of the machine.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let (kind, rest) = self.0.split_first_chunk::<2>()?;
        let (hardware, rest) = rest.split_first_chunk::<2>()?;
        let address = match kind {
            [0, 1] => rest.get(4..)?,
            [0, 3] => rest,
            _ => return None,
        };
        let mac = MacAddr(address.try_into().ok()?);
        (*hardware == ETHERNET && !mac.is_group()).then_some(mac)
    }

    /// The machine's UUID (type 4), in the text order that `product_uuid` has.
    #[must_use]
    pub fn uuid(&self) -> Option<MachineUuid> {
        let bytes: [u8; 16] = self.0.strip_prefix(&[0, 4])?.try_into().ok()?;
        let blank = bytes == [0; 16] || bytes == [0xff; 16];
        (!blank).then(|| MachineUuid::from_wire(bytes))
    }

    /// From its text form.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) {
            return None;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = digits.as_chunks::<2>().0;
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        Self::new(&bytes?)
    }

    /// Its text form: hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        alloc::format!("{self}")
    }
}

impl fmt::Display for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
