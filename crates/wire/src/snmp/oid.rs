//! Names of what an agent knows: object identifiers, as numbers with dots and as bytes (X.690 section 8.19).

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use super::Fault;

/// Numbers in one name (RFC 2578 section 3.5).
const LONGEST: usize = 128;

/// The name of a thing that an agent knows, such as `1.3.6.1.2.1.1.1.0`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(Vec<u32>);

/// A text that is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotOid;

impl fmt::Display for NotOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not numbers with dots between them, such as 1.3.6.1.2.1.1.1.0")
    }
}

impl core::error::Error for NotOid {}

impl Oid {
    /// A name of these numbers; `None` where they are none: two at least, 128 at most, the first 0 to 2, and the second
    /// below 40 unless the first is 2.
    #[must_use]
    pub fn new(numbers: &[u32]) -> Option<Self> {
        let [first, second, ..] = numbers else { return None };
        let right = (*first < 2 && *second < 40) || (*first == 2 && *second <= u32::MAX - 80);
        (right && numbers.len() <= LONGEST).then(|| Self(numbers.to_vec()))
    }

    /// Its numbers.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }

    /// The name of an instance: this one, with numbers behind it; `None` where that is too long.
    #[must_use]
    pub fn with(&self, more: &[u32]) -> Option<Self> {
        Self::new(&[self.0.as_slice(), more].concat())
    }

    /// What stands behind this prefix; `None` of a name that is elsewhere.
    #[must_use]
    pub fn after(&self, prefix: &Self) -> Option<&[u32]> {
        self.0.strip_prefix(prefix.numbers())
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let [first, second, rest @ ..] = self.numbers() else { return Vec::new() };
        let mut out = Vec::with_capacity(self.0.len() + 4);
        for number in core::iter::once(first * 40 + second).chain(rest.iter().copied()) {
            // Seven bits a byte, the first bit says that another follows.
            let mut started = false;
            for shift in [28, 21, 14, 7, 0] {
                let [.., bits] = ((number >> shift) & 0x7f).to_be_bytes();
                started = started || bits != 0 || shift == 0;
                if started {
                    out.push(if shift == 0 { bits } else { bits | 0x80 });
                }
            }
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let mut numbers = Vec::new();
        let mut number = 0_u32;
        let mut whole = false;
        for byte in bytes {
            number = number.checked_mul(128).ok_or(Fault::Name)? | u32::from(byte & 0x7f);
            whole = byte & 0x80 == 0;
            if !whole {
                continue;
            }
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.extend([first, number - first * 40]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
        if !whole {
            return Err(Fault::Name);
        }
        Self::new(&numbers).ok_or(Fault::Name)
    }
}

impl FromStr for Oid {
    type Err = NotOid;

    fn from_str(text: &str) -> Result<Self, NotOid> {
        let text = text.strip_prefix('.').unwrap_or(text);
        let numbers: Option<Vec<u32>> = text.split('.').map(|number| number.parse().ok()).collect();
        numbers.and_then(|numbers| Self::new(&numbers)).ok_or(NotOid)
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn names_are_written_as_the_standard_shows() {
        // The example of X.690 section 8.19.5, and those of agents.
        let table: [(&str, &[u8]); 4] = [
            ("2.100.3", &[0x81, 0x34, 0x03]),
            ("1.3.6.1.2.1.1.1.0", &[0x2b, 6, 1, 2, 1, 1, 1, 0]),
            ("1.3.6.1.4.1.318.1.1.12", &[0x2b, 6, 1, 4, 1, 0x82, 0x3e, 1, 1, 12]),
            ("1.3.4294967295", &[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]),
        ];
        for (text, bytes) in table {
            let name: Oid = text.parse().unwrap();
            assert_eq!(name.encode(), bytes, "{text}");
            assert_eq!(Oid::decode(bytes).map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "1", "1.", "1.3.x", "3.1", "1.40", "1.3.4294967296", "1 3", "2.4294967295"] {
            assert_eq!(wrong.parse::<Oid>(), Err(NotOid), "{wrong}");
        }
        for wrong in [&[][..], &[0x81], &[0x2b, 0x90, 0x80, 0x80, 0x80, 0], &[1; 128]] {
            assert_eq!(Oid::decode(wrong), Err(Fault::Name), "{wrong:?}");
        }
    }

    #[test]
    fn an_instance_stands_behind_its_column() {
        let column: Oid = ".1.3.6.1.2.1.2.2.1.8".parse().unwrap();
        let instance = column.with(&[17]).unwrap();
        assert_eq!(instance.after(&column), Some(&[17][..]));
        assert_eq!(column.after(&instance), None);
        assert_eq!(column.with(&[1; 119]), None);
    }
}
