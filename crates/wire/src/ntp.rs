//! NTP, the server's half: a request in, an answer with an honest stratum out (RFC 5905).

use core::fmt;

/// Bytes of a packet without extensions (RFC 5905 section 7.3).
pub const SIZE: usize = 48;
/// Seconds from 1900-01-01, where NTP begins, to 1970-01-01.
const FROM_1900: u64 = 2_208_988_800;
/// The stratum of a server that must not be believed (RFC 5905 section 7.3; `MAXSTRAT`).
pub const UNSYNCHRONISED: u8 = 16;
/// Newest version that is answered as itself.
const VERSION: u8 = 4;

/// What a packet is (RFC 5905 figure 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u8);

impl Mode {
    /// A question.
    pub const CLIENT: Self = Self(3);
    /// An answer.
    pub const SERVER: Self = Self(4);
}

/// The leap indicator (RFC 5905 figure 9), two bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leap(pub u8);

impl Leap {
    /// Nothing is announced.
    pub const NONE: Self = Self(0);
    /// The clock is not set: whoever reads this must not take the time.
    pub const UNKNOWN: Self = Self(3);
}

/// A point in time: seconds since 1900 modulo 2^32, and 32 bits of their fraction (RFC 5905 section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From seconds and nanoseconds since 1970. The era that begins in 2036 needs nothing special: who reads it knows
    /// the century.
    #[must_use]
    pub fn from_unix(seconds: u64, nanoseconds: u32) -> Self {
        let whole = seconds.wrapping_add(FROM_1900) & u64::from(u32::MAX);
        let fraction = (u64::from(nanoseconds) << 32) / 1_000_000_000;
        Self(whole << 32 | fraction)
    }
}

/// A length of time in seconds and 16 bits of their fraction (RFC 5905 section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Short(pub u32);

impl Short {
    /// From microseconds; what is longer than 18 hours is that long.
    #[must_use]
    pub fn from_micros(micros: u64) -> Self {
        let parts = micros.saturating_mul(65_536) / 1_000_000;
        Self(u32::try_from(parts).unwrap_or(u32::MAX))
    }
}

/// A packet (RFC 5905 figure 8). Extension fields and authenticators behind it are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Leap indicator.
    pub leap: Leap,
    /// Version, 1 to 4; 0 and 5 to 7 do not exist.
    pub version: u8,
    /// What it is.
    pub mode: Mode,
    /// Distance from a reference clock: 1 to 15, or 0 and 16 where there is none.
    pub stratum: u8,
    /// Logarithm of the interval between questions, in seconds.
    pub poll: i8,
    /// Logarithm of the clock's precision, in seconds.
    pub precision: i8,
    /// Time to the reference clock and back.
    pub root_delay: Short,
    /// How wrong the clock may be.
    pub root_dispersion: Short,
    /// Where the time comes from: four letters, or the address of the server above.
    pub reference: [u8; 4],
    /// When the clock was last set.
    pub reference_time: Timestamp,
    /// When the question left, by the client's clock.
    pub origin: Timestamp,
    /// When the question came, by the server's clock.
    pub received: Timestamp,
    /// When this packet left.
    pub sent: Timestamp,
}

/// A datagram that is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Shorter than 48 bytes.
    Short,
    /// A version that does not exist.
    Version(u8),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("shorter than an NTP packet"),
            Self::Version(version) => write!(f, "NTP version {version} does not exist"),
        }
    }
}

impl core::error::Error for Fault {}

/// What the server knows of its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// [`Leap::UNKNOWN`] where the clock is not to be believed.
    pub leap: Leap,
    /// 1 to 15, or [`UNSYNCHRONISED`].
    pub stratum: u8,
    /// Where its time comes from.
    pub reference: [u8; 4],
    /// When it was last set.
    pub reference_time: Timestamp,
    /// Logarithm of its precision, in seconds.
    pub precision: i8,
    /// Time to the reference clock and back.
    pub root_delay: Short,
    /// How wrong it may be.
    pub root_dispersion: Short,
}

impl Packet {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let packet: &[u8; SIZE] = bytes.first_chunk().ok_or(Fault::Short)?;
        let [first, stratum, poll, precision, rest @ ..] = packet;
        let version = first >> 3 & 7;
        if !(1..=VERSION).contains(&version) {
            return Err(Fault::Version(version));
        }
        let (words, times) = rest.split_at(12);
        let word = |at: usize| {
            let four: Option<&[u8; 4]> = words.get(at..).and_then(<[u8]>::first_chunk);
            four.copied().unwrap_or_default()
        };
        let time = |at: usize| {
            let eight: Option<&[u8; 8]> = times.get(at..).and_then(<[u8]>::first_chunk);
            Timestamp(eight.map_or(0, |eight| u64::from_be_bytes(*eight)))
        };
        Ok(Self {
            leap: Leap(first >> 6),
            version,
            mode: Mode(first & 7),
            stratum: *stratum,
            poll: poll.cast_signed(),
            precision: precision.cast_signed(),
            root_delay: Short(u32::from_be_bytes(word(0))),
            root_dispersion: Short(u32::from_be_bytes(word(4))),
            reference: word(8),
            reference_time: time(0),
            origin: time(8),
            received: time(16),
            sent: time(24),
        })
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let head = [
            (self.leap.0 & 3) << 6 | (self.version & 7) << 3 | self.mode.0 & 7,
            self.stratum,
            self.poll.cast_unsigned(),
            self.precision.cast_unsigned(),
        ];
        let words = [self.root_delay.0.to_be_bytes(), self.root_dispersion.0.to_be_bytes(), self.reference];
        let times = [self.reference_time, self.origin, self.received, self.sent];
        let all = head.into_iter().chain(words.into_iter().flatten());
        let all = all.chain(times.into_iter().flat_map(|time| time.0.to_be_bytes()));
        for (place, byte) in bytes.iter_mut().zip(all) {
            *place = byte;
        }
        bytes
    }

    /// The answer to a client's question, which leaves at `sent`; `None` for whatever is no question. Answering an
    /// answer would let two servers talk for ever.
    #[must_use]
    pub fn answer(&self, clock: &Clock, received: Timestamp, sent: Timestamp) -> Option<Self> {
        (self.mode == Mode::CLIENT).then_some(Self {
            leap: clock.leap,
            version: self.version,
            mode: Mode::SERVER,
            stratum: clock.stratum,
            poll: self.poll,
            precision: clock.precision,
            root_delay: clock.root_delay,
            root_dispersion: clock.root_dispersion,
            reference: clock.reference,
            reference_time: clock.reference_time,
            origin: self.sent,
            received,
            sent,
        })
    }

    /// Tells a client that asks too often to slow down: the kiss-o'-death `RATE` (RFC 5905 section 7.4).
    #[must_use]
    pub fn slow_down(&self, now: Timestamp) -> Option<Self> {
        let nothing = Clock {
            leap: Leap::UNKNOWN,
            stratum: 0,
            reference: *b"RATE",
            reference_time: Timestamp(0),
            precision: 0,
            root_delay: Short(0),
            root_dispersion: Short(0),
        };
        self.answer(&nothing, now, now)
    }
}
