//! pcapng: blocks of type, length, content and length again; frames name an interface that an earlier block described.

use alloc::vec::Vec;

use super::next::Words;
use super::{CaptureError, Captured, LARGEST_FRAME, Link};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;
/// Type, length and the length at the end.
const FRAME: u32 = 12;
const LARGEST_BLOCK: u32 = 16 << 20;
/// Interfaces of one section. Wireshark on a large router shows dozens.
const MOST_INTERFACES: usize = 1024;

/// An interface as its block describes it.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: Link,
    snap: u32,
    /// `if_tsresol`: negative power of ten, or of two with the high bit set.
    resolution: u8,
    /// `if_tsoffset`, in seconds.
    offset: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Pcapng<'a> {
    words: Words<'a>,
    interfaces: Vec<Interface>,
}

impl<'a> Pcapng<'a> {
    pub(super) const fn open(words: Words<'a>) -> Self {
        Self { words, interfaces: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<Result<Captured<'a>, CaptureError>> {
        while !self.words.is_empty() {
            match self.block() {
                Ok(None) => {}
                Ok(Some(frame)) => return Some(Ok(frame)),
                Err(fault) => return Some(Err(fault)),
            }
        }
        None
    }

    /// The next block; its frame, if it holds one.
    fn block(&mut self) -> Result<Option<Captured<'a>>, CaptureError> {
        let at = self.words.at();
        let kind = self.words.u32().ok_or(CaptureError::Short { at })?;
        if kind == SECTION {
            // Each section says its own byte order, behind a length that can only be read once that is known.
            let order = self.words.rest().get(4..8).ok_or(CaptureError::Short { at })?;
            self.words =
                if order == [0x1a, 0x2b, 0x3c, 0x4d] { self.words.big() } else { self.words.little() };
            self.interfaces.clear();
        }
        let length = self.words.u32().ok_or(CaptureError::Short { at })?;
        let inside =
            length.checked_sub(FRAME).filter(|_| length.is_multiple_of(4) && length <= LARGEST_BLOCK);
        let inside = inside.ok_or(CaptureError::Length { at: at + 4, says: length })?;
        let mut block = self.words.part(inside).ok_or(CaptureError::Short { at })?;
        let _again = self.words.u32().ok_or(CaptureError::Short { at })?;
        match kind {
            INTERFACE => self.describe(&mut block).ok_or(CaptureError::Short { at })?,
            ENHANCED => return self.enhanced(&mut block).map(Some),
            SIMPLE => return self.simple(&mut block).map(Some),
            _ => {}
        }
        Ok(None)
    }

    fn describe(&mut self, block: &mut Words<'a>) -> Option<()> {
        let link = Link::from_number(u32::from(block.u16()?));
        let _reserved = block.u16()?;
        let snap = block.u32()?;
        let mut interface = Interface { link, snap, resolution: 6, offset: 0 };
        while let (Some(code), Some(length)) = (block.u16(), block.u16()) {
            let mut value = block.part(u32::from(length).next_multiple_of(4))?;
            match code {
                0 => break,
                9 => interface.resolution = value.take(1)?.first().copied()?,
                14 => {
                    let (a, b) = (value.u32()?, value.u32()?);
                    // A number of 64 bits in the section's order; high word first only in big-endian ones.
                    interface.offset = if value.is_big() {
                        u64::from(a) << 32 | u64::from(b)
                    } else {
                        u64::from(b) << 32 | u64::from(a)
                    };
                }
                _ => {}
            }
        }
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(interface);
        }
        Some(())
    }

    fn interface(&self, number: u32, at: usize) -> Result<Interface, CaptureError> {
        let place = usize::try_from(number).ok();
        place
            .and_then(|place| self.interfaces.get(place))
            .copied()
            .ok_or(CaptureError::Interface { at, number })
    }

    fn enhanced(&self, block: &mut Words<'a>) -> Result<Captured<'a>, CaptureError> {
        let at = block.at();
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = block.u32().ok_or(CaptureError::Short { at })?;
        }
        let [number, high, low, kept, length] = numbers;
        let interface = self.interface(number, at)?;
        if kept > LARGEST_FRAME {
            return Err(CaptureError::Length { at: at + 12, says: kept });
        }
        let bytes = block.take(kept).ok_or(CaptureError::Short { at })?;
        let at_ns = interface.nanoseconds(u64::from(high) << 32 | u64::from(low));
        Ok(Captured { at_ns, bytes, length: length.max(kept), link: interface.link })
    }

    /// A frame without a time, of the first interface.
    fn simple(&self, block: &mut Words<'a>) -> Result<Captured<'a>, CaptureError> {
        let at = block.at();
        let interface = self.interface(0, at)?;
        let length = block.u32().ok_or(CaptureError::Short { at })?;
        let snap = if interface.snap == 0 { LARGEST_FRAME } else { interface.snap };
        let kept = length.min(snap);
        if kept > LARGEST_FRAME {
            return Err(CaptureError::Length { at, says: length });
        }
        let bytes = block.take(kept).ok_or(CaptureError::Short { at })?;
        Ok(Captured { at_ns: 0, bytes, length, link: interface.link })
    }
}

impl Interface {
    fn nanoseconds(self, units: u64) -> u64 {
        let exponent = u32::from(self.resolution & 0x7f);
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        // A resolution finer than anything measured says nothing; the time is then 0.
        let second = base.checked_pow(exponent).unwrap_or(u128::MAX);
        let nanos = u128::from(units) * 1_000_000_000 / second.max(1);
        let offset = self.offset.saturating_mul(1_000_000_000);
        u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(offset)
    }
}
