//! Reading in the byte order of whoever wrote the file.

use crate::cursor::Cursor;

/// A reader with a byte order; little-endian unless told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    cursor: Cursor<'a>,
    /// Where the cursor began in the file.
    base: usize,
    big: bool,
}

impl<'a> Words<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), base: 0, big: false }
    }

    pub(super) const fn big(self) -> Self {
        Self { big: true, ..self }
    }

    pub(super) const fn little(self) -> Self {
        Self { big: false, ..self }
    }

    pub(super) const fn is_big(&self) -> bool {
        self.big
    }

    /// Byte of the file that is next.
    pub(super) const fn at(&self) -> usize {
        self.base + self.cursor.at()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.cursor.rest().is_empty()
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.cursor.rest()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        let bytes = self.cursor.array()?;
        Some(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.cursor.array()?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// The next so many bytes, to be read by themselves.
    pub(super) fn part(&mut self, length: u32) -> Option<Self> {
        let base = self.at();
        let bytes = self.take(length)?;
        Some(Self { cursor: Cursor::new(bytes), base, big: self.big })
    }

    pub(super) fn take(&mut self, length: u32) -> Option<&'a [u8]> {
        self.cursor.take(usize::try_from(length).ok()?)
    }
}
