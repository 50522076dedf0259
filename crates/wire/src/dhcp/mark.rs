//! The mark by which Labinator controllers know each other in what they answer (option 224).

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;

/// First word of the mark; the number is its form.
const FORM: &[u8] = b"labinator/1 ";

/// Whose answer this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerMark {
    /// Name of its lab.
    pub lab: String,
}

impl ControllerMark {
    /// The mark of this lab.
    #[must_use]
    pub fn of(lab: &str) -> Self {
        Self { lab: lab.to_owned() }
    }

    /// The bytes of the option.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [FORM, self.lab.as_bytes()].concat()
    }

    /// Reads the option; `None` for whatever else uses this number.
    #[must_use]
    pub fn read(value: &[u8]) -> Option<Self> {
        let lab = core::str::from_utf8(value.strip_prefix(FORM)?).ok()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!lab.is_empty() && lab.len() <= 63 && lab.chars().all(plain)).then(|| Self::of(lab))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_nothing_else_is_one() {
        let mark = ControllerMark::of("hybrid-4");
        assert_eq!(ControllerMark::read(&mark.bytes()), Some(mark));
        for other in [&b"labinator/1 "[..], b"labinator/2 x", b"labinator/1 a b", b"", b"labinator/1 \xff"] {
            assert_eq!(ControllerMark::read(other), None);
        }
    }
}
