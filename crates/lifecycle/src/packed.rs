//! Boots before the present one, packed: a tenth of what they take while they are written, and the same when they are
//! looked at again.
//!
//! ```text
//! version, head, names, marks, transfers, log, files      numbers of 7 bits a byte, times as steps from the one before
//! ```
//!
//! A checkpoint keeps the bytes as they are, in hexadecimal. What a version cannot read it forgets: nothing is judged by it.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use model::{
    Boot, Carrier, ClientKind, FileBytes, FileRole, LabTime, LogLine, LogSource, Mark, MarkKind, Moment,
    SavedPackets, ScriptAnswer, TalosStep, TftpTerms, Transfer, WallTime,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Number of this form.
const VERSION: u64 = 1;

/// A boot that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedBoot {
    number: u32,
    bytes: Box<[u8]>,
}

impl PackedBoot {
    /// Packs a boot.
    pub(crate) fn of(boot: &Boot) -> Self {
        Self { number: boot.number, bytes: pack(boot).into_boxed_slice() }
    }

    /// Counts the boots of its machine.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The boot as it was; absent when another version packed it.
    #[must_use]
    pub fn boot(&self) -> Option<Boot> {
        unpack(&self.bytes)
    }

    /// Bytes it takes.
    pub(crate) const fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl Serialize for PackedBoot {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hexadecimal(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for PackedBoot {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = bytes_of(&text).ok_or_else(|| D::Error::custom("a packed boot is hexadecimal"))?;
        let number = unpack(&bytes).map_or(0, |boot| boot.number);
        Ok(Self { number, bytes: bytes.into_boxed_slice() })
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let digits: Vec<u8> = digits.collect::<Option<_>>()?;
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

/// A word with a number. The numbers are kept on disks: a new word gets a new one.
pub(crate) trait Word: Copy + PartialEq + 'static {
    /// All words.
    const ALL: &'static [Self];
    /// The number of this one.
    fn code(self) -> u64;

    fn of_code(code: u64) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.code() == code)
    }
}

impl Word for ClientKind {
    const ALL: &'static [Self] = &[
        Self::BiosPxe,
        Self::UefiPxe,
        Self::UefiHttp,
        Self::Ipxe,
        Self::RaspberryPi,
        Self::UBoot,
        Self::Agent,
        Self::UnknownFirmware,
        Self::Other,
        Self::Loader,
        Self::Kexec,
    ];

    fn code(self) -> u64 {
        match self {
            Self::BiosPxe => 1,
            Self::UefiPxe => 2,
            Self::UefiHttp => 3,
            Self::Ipxe => 4,
            Self::RaspberryPi => 5,
            Self::UBoot => 6,
            Self::Agent => 7,
            Self::UnknownFirmware => 8,
            Self::Other => 9,
            Self::Loader => 10,
            Self::Kexec => 11,
        }
    }
}

impl Word for FileRole {
    const ALL: &'static [Self] =
        &[Self::Loader, Self::Script, Self::Kernel, Self::Initrd, Self::Uki, Self::Seed, Self::Other];

    fn code(self) -> u64 {
        match self {
            Self::Loader => 1,
            Self::Script => 2,
            Self::Kernel => 3,
            Self::Initrd => 4,
            Self::Uki => 5,
            Self::Seed => 6,
            Self::Other => 7,
        }
    }
}

impl Word for Carrier {
    const ALL: &'static [Self] = &[Self::Tftp, Self::Http];

    fn code(self) -> u64 {
        match self {
            Self::Tftp => 1,
            Self::Http => 2,
        }
    }
}

impl Word for ScriptAnswer {
    const ALL: &'static [Self] = &[Self::Wait, Self::Boot, Self::Disk, Self::Stranger];

    fn code(self) -> u64 {
        match self {
            Self::Wait => 1,
            Self::Boot => 2,
            Self::Disk => 3,
            Self::Stranger => 4,
        }
    }
}

/// Bytes as they are packed.
#[derive(Debug, Default)]
pub(crate) struct Packer<'a> {
    pub(crate) bytes: Vec<u8>,
    /// The time before.
    at: u64,
    names: Vec<&'a str>,
}

impl<'a> Packer<'a> {
    pub(crate) fn number(&mut self, number: impl Into<u64>) {
        let mut left = number.into();
        loop {
            let low = u8::try_from(left & 0x7f).unwrap_or(0);
            left >>= 7;
            if left == 0 {
                return self.bytes.push(low);
            }
            self.bytes.push(low | 0x80);
        }
    }

    /// A word, or 0 for none.
    pub(crate) fn word<W: Word>(&mut self, word: Option<W>) {
        self.number(word.map_or(0, W::code));
    }

    /// A time as a step from the one before, which may lie behind it.
    fn time(&mut self, at: LabTime) {
        let step = at.0.wrapping_sub(self.at).cast_signed();
        self.at = at.0;
        self.number(((step << 1) ^ (step >> 63)).cast_unsigned());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// None, or something and what belongs to it.
    fn option<T>(&mut self, what: Option<T>, pack: impl FnOnce(&mut Self, T)) {
        self.number(u8::from(what.is_some()));
        if let Some(what) = what {
            pack(self, what);
        }
    }

    fn all<T>(&mut self, all: &'a [T], mut pack: impl FnMut(&mut Self, &'a T)) {
        self.count(all.len());
        all.iter().for_each(|one| pack(self, one));
    }

    /// A name that may have been there before.
    fn name(&mut self, name: &'a str) {
        let known = self.names.iter().position(|known| *known == name);
        self.count(known.map_or(0, |at| at.saturating_add(1)));
        if known.is_none() {
            self.names.push(name);
            self.text(name);
        }
    }
}

/// Bytes as they are unpacked. Whatever is not as it was packed is `None`.
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    pub(crate) bytes: &'a [u8],
    at: u64,
    names: Vec<&'a str>,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, names: Vec::new() }
    }

    pub(crate) fn number<N: TryFrom<u64>>(&mut self) -> Option<N> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            if shift == 63 && *byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return N::try_from(number).ok();
            }
        }
        None
    }

    pub(crate) fn word<W: Word>(&mut self) -> Option<Option<W>> {
        match self.number::<u64>()? {
            0 => Some(None),
            code => W::of_code(code).map(Some),
        }
    }

    fn sure<W: Word>(&mut self) -> Option<W> {
        self.word()?
    }

    fn time(&mut self) -> Option<LabTime> {
        let step: u64 = self.number()?;
        let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
        self.at = self.at.wrapping_add(step.cast_unsigned());
        Some(LabTime(self.at))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        core::str::from_utf8(text).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.number::<u8>()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn option<T>(&mut self, unpack: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { unpack(self).map(Some) } else { Some(None) }
    }

    fn all<T>(&mut self, mut unpack: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count: usize = self.number()?;
        // Whatever is packed takes a byte at least.
        if count > self.bytes.len() {
            return None;
        }
        (0..count).map(|_| unpack(self)).collect()
    }

    fn name(&mut self) -> Option<String> {
        let known: usize = self.number()?;
        let name = match known.checked_sub(1) {
            Some(at) => self.names.get(at)?,
            None => {
                let name = self.text()?;
                self.names.push(name);
                name
            }
        };
        Some(name.to_owned())
    }
}

fn pack(boot: &Boot) -> Vec<u8> {
    let mut to = Packer::default();
    to.number(VERSION);
    to.number(boot.number);
    to.time(boot.began.since_start);
    to.number(boot.began.wall.0);
    to.number(u8::from(boot.powered));
    to.word(boot.firmware);
    to.text(&boot.ipxe);
    to.number(boot.unrecorded);
    to.option(boot.packets.as_ref(), |to, packets| {
        to.text(&packets.file);
        to.number(packets.frames);
    });
    to.all(&boot.marks, pack_mark);
    to.all(&boot.transfers, pack_transfer);
    to.all(&boot.log, |to, line| {
        to.time(line.at);
        // Severities end at 7; the next two bits tell who wrote it.
        let source = match line.source {
            LogSource::Ipxe => 0,
            LogSource::Talos => 8,
            LogSource::Host => 16,
            LogSource::Loader => 24,
        };
        to.number(line.severity & 7 | source);
        to.text(&line.text);
        to.option(line.error.as_deref(), Packer::text);
    });
    to.all(&boot.files, |to, file| {
        to.name(&file.name);
        to.word(Some(file.role));
        to.number(file.size);
        to.number(file.begun);
        to.number(file.whole);
        to.number(file.sent);
    });
    to.bytes
}

fn unpack(bytes: &[u8]) -> Option<Boot> {
    let mut from = Unpacker::new(bytes);
    if from.number::<u64>()? != VERSION {
        return None;
    }
    let boot = Boot {
        number: from.number()?,
        began: Moment { since_start: from.time()?, wall: WallTime(from.number()?) },
        powered: from.flag()?,
        firmware: from.word()?,
        ipxe: from.text()?.to_owned(),
        unrecorded: from.number()?,
        packets: from
            .option(|from| Some(SavedPackets { file: from.text()?.to_owned(), frames: from.number()? }))?,
        marks: from.all(unpack_mark)?,
        transfers: from.all(unpack_transfer)?,
        log: from.all(|from| {
            let at = from.time()?;
            let (source, severity) = match from.number::<u8>()? {
                severity @ 0..8 => (LogSource::Ipxe, severity),
                severity @ 8..16 => (LogSource::Talos, severity & 7),
                severity @ 16..24 => (LogSource::Host, severity & 7),
                severity @ 24..32 => (LogSource::Loader, severity & 7),
                _ => return None,
            };
            Some(LogLine {
                at,
                severity,
                source,
                text: from.text()?.to_owned(),
                error: from.option(|from| from.text().map(str::to_owned))?,
            })
        })?,
        files: from.all(|from| {
            Some(FileBytes {
                name: from.name()?,
                role: from.sure()?,
                size: from.number()?,
                begun: from.number()?,
                whole: from.number()?,
                sent: from.number()?,
            })
        })?,
    };
    from.bytes.is_empty().then_some(boot)
}

fn pack_transfer<'a>(to: &mut Packer<'a>, transfer: &'a Transfer) {
    to.name(&transfer.name);
    to.word(Some(transfer.role));
    to.word(Some(transfer.carrier));
    to.time(transfer.asked);
    to.option(transfer.ended, Packer::time);
    to.number(transfer.bytes);
    to.number(transfer.size);
    to.number(transfer.repeats);
    to.option(transfer.broken.as_deref(), Packer::text);
    to.option(transfer.terms, |to, terms| {
        to.number(terms.block);
        to.number(terms.window);
    });
}

fn unpack_transfer(from: &mut Unpacker<'_>) -> Option<Transfer> {
    Some(Transfer {
        name: from.name()?,
        role: from.sure()?,
        carrier: from.sure()?,
        asked: from.time()?,
        ended: from.option(Unpacker::time)?,
        bytes: from.number()?,
        size: from.number()?,
        repeats: from.number()?,
        broken: from.option(|from| from.text().map(str::to_owned))?,
        terms: from.option(|from| Some(TftpTerms { block: from.number()?, window: from.number()? }))?,
    })
}

/// A mark: the number of its kind, what belongs to it, and its time.
fn pack_mark(to: &mut Packer<'_>, mark: &Mark) {
    let mut kind = |kind: u8| to.number(kind);
    match &mark.what {
        MarkKind::Ordered => kind(1),
        MarkKind::Powered => kind(2),
        MarkKind::Frame => kind(3),
        MarkKind::Discover { client, secs } => {
            kind(4);
            to.word(Some(*client));
            to.number(*secs);
        }
        MarkKind::Offer => kind(5),
        MarkKind::Request { client } => {
            kind(6);
            to.word(Some(*client));
        }
        MarkKind::Ack { client } => {
            kind(7);
            to.word(Some(*client));
        }
        MarkKind::Nak => kind(8),
        MarkKind::Solicit { client, elapsed_ms } => {
            kind(9);
            to.word(Some(*client));
            to.number(*elapsed_ms);
        }
        MarkKind::Advertise => kind(10),
        MarkKind::Request6 { client } => {
            kind(11);
            to.word(Some(*client));
        }
        MarkKind::Reply { client } => {
            kind(12);
            to.word(Some(*client));
        }
        MarkKind::RouterAsked { answered } => kind(if *answered { 13 } else { 14 }),
        MarkKind::Script { answer } => {
            kind(15);
            to.word(Some(*answer));
        }
        MarkKind::Deferred => kind(16),
        MarkKind::Done => kind(17),
        MarkKind::Reported { uptime_ms } => {
            kind(18);
            to.number(*uptime_ms);
        }
        MarkKind::Ready => kind(19),
        MarkKind::Started => kind(24),
        MarkKind::Talos { step } => kind(match step {
            TalosStep::Waits => 20,
            TalosStep::Given => 21,
            TalosStep::Known => 22,
            TalosStep::Joined => 23,
        }),
    }
    to.time(mark.at);
}

fn unpack_mark(from: &mut Unpacker<'_>) -> Option<Mark> {
    let what = match from.number::<u8>()? {
        1 => MarkKind::Ordered,
        2 => MarkKind::Powered,
        3 => MarkKind::Frame,
        4 => MarkKind::Discover { client: from.sure()?, secs: from.number()? },
        5 => MarkKind::Offer,
        6 => MarkKind::Request { client: from.sure()? },
        7 => MarkKind::Ack { client: from.sure()? },
        8 => MarkKind::Nak,
        9 => MarkKind::Solicit { client: from.sure()?, elapsed_ms: from.number()? },
        10 => MarkKind::Advertise,
        11 => MarkKind::Request6 { client: from.sure()? },
        12 => MarkKind::Reply { client: from.sure()? },
        13 => MarkKind::RouterAsked { answered: true },
        14 => MarkKind::RouterAsked { answered: false },
        15 => MarkKind::Script { answer: from.sure()? },
        16 => MarkKind::Deferred,
        17 => MarkKind::Done,
        18 => MarkKind::Reported { uptime_ms: from.number()? },
        19 => MarkKind::Ready,
        20 => MarkKind::Talos { step: TalosStep::Waits },
        21 => MarkKind::Talos { step: TalosStep::Given },
        22 => MarkKind::Talos { step: TalosStep::Known },
        23 => MarkKind::Talos { step: TalosStep::Joined },
        24 => MarkKind::Started,
        _ => return None,
    };
    Some(Mark { at: from.time()?, what })
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use proptest::prelude::*;

    use super::*;

    fn word<W: Word + core::fmt::Debug>() -> impl Strategy<Value = W> {
        prop::sample::select(W::ALL)
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![Just("vmlinuz".to_owned()), Just("initrd.zst".to_owned()), "[ -~ä]{0,12}"]
    }

    fn time() -> impl Strategy<Value = LabTime> {
        prop_oneof![4 => 0..10_000_000_u64, 1 => any::<u64>()].prop_map(LabTime)
    }

    fn mark() -> impl Strategy<Value = Mark> {
        let client = word::<ClientKind>();
        let what = prop_oneof![
            Just(MarkKind::Ordered),
            Just(MarkKind::Powered),
            Just(MarkKind::Frame),
            (word(), any::<u16>()).prop_map(|(client, secs)| MarkKind::Discover { client, secs }),
            Just(MarkKind::Offer),
            word().prop_map(|client| MarkKind::Request { client }),
            word().prop_map(|client| MarkKind::Ack { client }),
            Just(MarkKind::Nak),
            (client, any::<u32>()).prop_map(|(client, elapsed_ms)| MarkKind::Solicit { client, elapsed_ms }),
            Just(MarkKind::Advertise),
            word().prop_map(|client| MarkKind::Request6 { client }),
            word().prop_map(|client| MarkKind::Reply { client }),
            any::<bool>().prop_map(|answered| MarkKind::RouterAsked { answered }),
            word().prop_map(|answer| MarkKind::Script { answer }),
            Just(MarkKind::Deferred),
            Just(MarkKind::Done),
            any::<u64>().prop_map(|uptime_ms| MarkKind::Reported { uptime_ms }),
            Just(MarkKind::Ready),
            prop::sample::select(&[TalosStep::Waits, TalosStep::Given, TalosStep::Known, TalosStep::Joined])
                .prop_map(|step| MarkKind::Talos { step }),
        ];
        (time(), what).prop_map(|(at, what)| Mark { at, what })
    }

    fn transfer() -> impl Strategy<Value = Transfer> {
        let terms = (any::<u16>(), any::<u16>()).prop_map(|(block, window)| TftpTerms { block, window });
        let head = (name(), word(), word(), time(), prop::option::of(time()));
        let tail = (any::<[u64; 2]>(), any::<u32>(), prop::option::of(name()), prop::option::of(terms));
        (head, tail).prop_map(
            |((name, role, carrier, asked, ended), ([bytes, size], repeats, broken, terms))| Transfer {
                name,
                role,
                carrier,
                asked,
                ended,
                bytes,
                size,
                repeats,
                broken,
                terms,
            },
        )
    }

    fn boot() -> impl Strategy<Value = Boot> {
        let line = (time(), 0..8_u8, name(), prop::option::of(name()), 0..4_u8).prop_map(
            |(at, severity, text, error, source)| {
                let source = match source {
                    0 => LogSource::Ipxe,
                    1 => LogSource::Talos,
                    2 => LogSource::Loader,
                    _ => LogSource::Host,
                };
                LogLine { at, severity, text, error, source }
            },
        );
        let file = (name(), word(), any::<[u64; 2]>(), any::<[u32; 2]>()).prop_map(
            |(name, role, [size, sent], [begun, whole])| FileBytes { name, role, size, begun, whole, sent },
        );
        let packets =
            prop::option::of((name(), any::<u32>()).prop_map(|(file, frames)| SavedPackets { file, frames }));
        let head = (any::<u32>(), time(), any::<u64>(), any::<bool>(), prop::option::of(word()), name());
        let rest = (
            prop::collection::vec(mark(), 0..30),
            prop::collection::vec(transfer(), 0..6),
            prop::collection::vec(line, 0..6),
            prop::collection::vec(file, 0..6),
            any::<u32>(),
            packets,
        );
        (head, rest).prop_map(|((number, at, wall, powered, firmware, ipxe), rest)| {
            let (marks, transfers, log, files, unrecorded, packets) = rest;
            let began = Moment { since_start: at, wall: WallTime(wall) };
            Boot { number, began, powered, firmware, ipxe, marks, transfers, log, unrecorded, files, packets }
        })
    }

    proptest! {
        #[test]
        fn a_boot_is_unpacked_as_it_was(boot in boot()) {
            let packed = PackedBoot::of(&boot);
            prop_assert_eq!(packed.boot(), Some(boot));
            let text = serde_json::to_string(&packed).unwrap();
            prop_assert_eq!(serde_json::from_str::<PackedBoot>(&text).unwrap(), packed);
        }

        #[test]
        fn bytes_that_are_no_boot_are_none(boot in boot(), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let mut bytes = pack(&boot);
            let cut = at.index(bytes.len());
            prop_assert_eq!(unpack(&bytes[..cut]), None);
            bytes[cut] ^= flip;
            // Whatever it says, it says without a panic, and a number that is wrong is no reason to keep it all.
            let read = unpack(&bytes);
            prop_assert!(read.as_ref() != Some(&boot));
            bytes.push(0);
            prop_assert_eq!(unpack(&bytes).filter(|_| read.is_some()), None);
        }
    }

    #[test]
    fn a_boot_of_another_version_is_forgotten_and_its_machine_is_not() {
        let packed = PackedBoot { number: 3, bytes: Box::new([9, 9, 9]) };
        let read: PackedBoot = serde_json::from_str(&serde_json::to_string(&packed).unwrap()).unwrap();
        assert_eq!((read.number(), read.boot()), (0, None));
        assert!(serde_json::from_str::<PackedBoot>("\"0g\"").is_err());
    }

    #[test]
    fn every_word_has_its_own_number() {
        fn check<W: Word + core::fmt::Debug>() {
            for word in W::ALL {
                assert_eq!(W::of_code(word.code()), Some(*word));
            }
        }
        check::<ClientKind>();
        check::<FileRole>();
        check::<Carrier>();
        check::<ScriptAnswer>();
    }
}
