//! Capture files as tcpdump and Wireshark write them: frames with their times, cut or whole.
//!
//! Two formats, told apart by their first four bytes: pcap (`draft-ietf-opsawg-pcap`) and pcapng
//! (`draft-ietf-opsawg-pcapng`), each in either byte order.

mod link;
mod next;
mod pcap;
mod pcapng;

use alloc::borrow::Cow;
use core::fmt;

pub use link::Link;

use next::Words;
use pcap::Pcap;
use pcapng::Pcapng;

/// Largest frame believed: far above any jumbo frame, below what a lying length could ask for.
const LARGEST_FRAME: u32 = 256 * 1024;

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Nanoseconds since 1970 by the capturing machine's clock.
    pub at_ns: u64,
    /// What was kept of it, from the first byte of its link header.
    pub bytes: &'a [u8],
    /// How long it was on the wire, in bytes.
    pub length: u32,
    /// What its first bytes are.
    pub link: Link,
}

impl<'a> Captured<'a> {
    /// True when the capture kept only the head (`tcpdump -s`).
    #[must_use]
    pub fn is_cut(&self) -> bool {
        u32::try_from(self.bytes.len()).is_ok_and(|kept| kept < self.length)
    }

    /// The frame as Ethernet has it, VLAN tags taken out; `None` for a link without Ethernet addresses.
    #[must_use]
    pub fn ethernet(&self) -> Option<Cow<'a, [u8]>> {
        self.link.ethernet(self.bytes)
    }
}

/// A capture file that is being read.
#[derive(Debug, Clone)]
pub struct Capture<'a>(Format<'a>);

#[derive(Debug, Clone)]
enum Format<'a> {
    Pcap(Pcap<'a>),
    Pcapng(Pcapng<'a>),
    /// A fault was told; nothing follows.
    Over,
}

/// Why a file is no capture, or no more of it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureError {
    /// It begins like neither format.
    Unknown([u8; 4]),
    /// It ends in the middle; what came before was read. Captures that were still being written end so.
    Short {
        /// First byte of what is cut.
        at: usize,
    },
    /// A length that cannot be.
    Length {
        /// Where it stands.
        at: usize,
        /// What it says.
        says: u32,
    },
    /// A frame of an interface that was not described.
    Interface {
        /// Where it stands.
        at: usize,
        /// Its number.
        number: u32,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown([a, b, c, d]) => {
                write!(f, "neither pcap nor pcapng: it begins with {a:02x} {b:02x} {c:02x} {d:02x}")
            }
            Self::Short { at } => write!(f, "cut short: what begins at byte {at} is not whole"),
            Self::Length { at, says } => write!(f, "the length at byte {at} cannot be {says}"),
            Self::Interface { at, number } => {
                write!(f, "the frame at byte {at} is of interface {number}, which is not described")
            }
        }
    }
}

impl core::error::Error for CaptureError {}

impl CaptureError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "not-a-capture",
            Self::Short { .. } => "capture-cut-short",
            Self::Length { .. } | Self::Interface { .. } => "capture-damaged",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "name a file written by tcpdump -w, dumpcap or Wireshark, unpacked",
            Self::Short { .. } => "what comes before it was read; end the capture before copying it",
            Self::Length { .. } | Self::Interface { .. } => "open it in Wireshark and save it anew",
        }
    }
}

impl<'a> Capture<'a> {
    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// [`CaptureError::Unknown`] or [`CaptureError::Short`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, CaptureError> {
        let Some(magic) = bytes.first_chunk::<4>() else { return Err(CaptureError::Short { at: 0 }) };
        let words = Words::new(bytes);
        match *magic {
            [0xa1, 0xb2, 0xc3, 0xd4] => Pcap::open(words.big(), false),
            [0xd4, 0xc3, 0xb2, 0xa1] => Pcap::open(words, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => Pcap::open(words.big(), true),
            [0x4d, 0x3c, 0xb2, 0xa1] => Pcap::open(words, true),
            [0x0a, 0x0d, 0x0d, 0x0a] => return Ok(Self(Format::Pcapng(Pcapng::open(words)))),
            other => return Err(CaptureError::Unknown(other)),
        }
        .map(|pcap| Self(Format::Pcap(pcap)))
    }
}

impl<'a> Iterator for Capture<'a> {
    type Item = Result<Captured<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match &mut self.0 {
            Format::Pcap(pcap) => pcap.next(),
            Format::Pcapng(pcapng) => pcapng.next(),
            Format::Over => return None,
        };
        if !matches!(found, Some(Ok(_))) {
            self.0 = Format::Over;
        }
        found
    }
}
