//! pcap: one header of 24 bytes, then each frame behind 16 bytes of time and lengths.

use super::next::Words;
use super::{CaptureError, Captured, LARGEST_FRAME, Link};

/// Header behind the magic number: version, zone, accuracy, snap length, link type.
const HEADER: u32 = 20;

#[derive(Debug, Clone)]
pub(super) struct Pcap<'a> {
    words: Words<'a>,
    link: Link,
    /// The fraction of a second counts nanoseconds, not microseconds.
    nanos: bool,
}

impl<'a> Pcap<'a> {
    pub(super) fn open(mut words: Words<'a>, nanos: bool) -> Result<Self, CaptureError> {
        let _magic = words.u32();
        let mut header = words.part(HEADER).ok_or(CaptureError::Short { at: 0 })?;
        let _versions_zone_accuracy_snap = header.take(16);
        // The upper bits tell whether frames carry a checksum at their end.
        let link =
            header.u32().map(|link| Link::from_number(link & 0xffff)).ok_or(CaptureError::Short { at: 0 })?;
        Ok(Self { words, link, nanos })
    }

    pub(super) fn next(&mut self) -> Option<Result<Captured<'a>, CaptureError>> {
        (!self.words.is_empty()).then(|| self.frame())
    }

    fn frame(&mut self) -> Result<Captured<'a>, CaptureError> {
        let at = self.words.at();
        let mut numbers = [0; 4];
        for number in &mut numbers {
            *number = self.words.u32().ok_or(CaptureError::Short { at })?;
        }
        let [seconds, fraction, kept, length] = numbers;
        if kept > LARGEST_FRAME {
            return Err(CaptureError::Length { at: at + 8, says: kept });
        }
        let bytes = self.words.take(kept).ok_or(CaptureError::Short { at })?;
        let fraction = u64::from(fraction) * if self.nanos { 1 } else { 1000 };
        let at_ns = u64::from(seconds) * 1_000_000_000 + fraction;
        Ok(Captured { at_ns, bytes, length: length.max(kept), link: self.link })
    }
}
