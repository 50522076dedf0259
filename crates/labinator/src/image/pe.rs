//! Appending sections to an EFI program, which is how kernel, initramfs and command line become one file
//! with systemd's EFI stub (UAPI group, "Unified Kernel Image").
//!
//! Offsets are those of Microsoft's "PE Format", sections "COFF File Header", "Optional Header" (PE32+)
//! and "Section Table". The output depends on nothing but the input: no times, no tool versions.

/// Sections start at whole pages in memory, so that firmware that sets page rights can.
const PAGE: u32 = 0x1000;
/// Bytes of one entry of the section table.
const ENTRY: usize = 40;
/// Initialised data that is read.
const DATA_READ: u32 = 0x4000_0040;

/// Why a file cannot be given more sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// It is no 64-bit EFI program.
    #[error("the stub is no 64-bit EFI program")]
    NotPe,
    /// Its header has no room for another entry.
    #[error("the stub's header has no room for {0}")]
    NoRoom(&'static str),
    /// Together it is 4 GiB or more.
    #[error("{0} makes the image larger than 4 GiB")]
    TooLarge(&'static str),
}

/// Appends sections to `stub`, in the order given.
///
/// # Errors
/// [`PeError`].
pub(super) fn append(stub: &[u8], sections: &[(&'static str, &[u8])]) -> Result<Vec<u8>, PeError> {
    let mut image = Image::read(stub)?;
    for (name, content) in sections {
        image.add(name, content)?;
    }
    image.finish()
}

struct Image {
    bytes: Vec<u8>,
    /// Where the COFF header begins.
    coff: usize,
    file_alignment: u32,
    header_size: u32,
    table: usize,
    count: u16,
    /// First address after all sections.
    memory_end: u32,
    /// Bytes of initialised data.
    data: u32,
}

impl Image {
    fn read(stub: &[u8]) -> Result<Self, PeError> {
        Self::parse(stub).ok_or(PeError::NotPe)
    }

    fn parse(stub: &[u8]) -> Option<Self> {
        let signature = usize::try_from(read_u32(stub, 0x3c)?).ok()?;
        let coff = signature.checked_add(4)?;
        let optional = coff.checked_add(20)?;
        let plain = stub.get(..2)? == b"MZ" && stub.get(signature..coff)? == b"PE\0\0";
        if !plain || read_u16(stub, optional)? != 0x20b {
            return None;
        }
        let table = optional.checked_add(usize::from(read_u16(stub, coff + 16)?))?;
        let count = read_u16(stub, coff + 2)?;
        let mut memory_end = 0;
        let mut file_end = 0;
        for index in 0..usize::from(count) {
            let entry = table.checked_add(index.checked_mul(ENTRY)?)?;
            memory_end = memory_end.max(read_u32(stub, entry + 12)?.checked_add(read_u32(stub, entry + 8)?)?);
            file_end = file_end.max(read_u32(stub, entry + 20)?.checked_add(read_u32(stub, entry + 16)?)?);
        }
        // What lies after the last section (symbols, a signature) is not loaded and would be wrong now.
        let bytes = stub.get(..usize::try_from(file_end).ok()?)?.to_vec();
        Some(Self {
            bytes,
            coff,
            file_alignment: read_u32(stub, optional + 36).filter(|n| n.is_power_of_two())?,
            header_size: read_u32(stub, optional + 60)?,
            table,
            count,
            memory_end,
            data: read_u32(stub, optional + 8)?,
        })
    }

    fn add(&mut self, name: &'static str, content: &[u8]) -> Result<(), PeError> {
        let entry = self.table + usize::from(self.count) * ENTRY;
        let room = usize::try_from(self.header_size).unwrap_or(0).min(self.bytes.len());
        if entry + ENTRY > room || name.len() > 8 {
            return Err(PeError::NoRoom(name));
        }
        let too_large = PeError::TooLarge(name);
        let size = u32::try_from(content.len()).map_err(|_| too_large)?;
        let address = self.memory_end.checked_next_multiple_of(PAGE).ok_or(too_large)?;
        let file_at = u32::try_from(self.bytes.len()).ok();
        let file_at =
            file_at.and_then(|at| at.checked_next_multiple_of(self.file_alignment)).ok_or(too_large)?;
        let file_size = size.checked_next_multiple_of(self.file_alignment).ok_or(too_large)?;
        let file_end = usize::try_from(file_at.checked_add(file_size).ok_or(too_large)?);

        self.bytes.resize(usize::try_from(file_at).map_err(|_| too_large)?, 0);
        self.bytes.extend_from_slice(content);
        self.bytes.resize(file_end.map_err(|_| too_large)?, 0);
        let mut label = [0; 8];
        label.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        self.write(entry, &label);
        for (offset, value) in [(8, size), (12, address), (16, file_size), (20, file_at), (36, DATA_READ)] {
            self.write(entry + offset, &value.to_le_bytes());
        }
        // Relocations and line numbers: none.
        self.write(entry + 24, &[0; 12]);
        self.count += 1;
        self.memory_end = address.checked_add(size).ok_or(too_large)?;
        self.data = self.data.checked_add(file_size).ok_or(too_large)?;
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, PeError> {
        let optional = self.coff + 20;
        let size =
            self.memory_end.checked_next_multiple_of(PAGE).ok_or(PeError::TooLarge("the last section"))?;
        let (count, data) = (self.count, self.data);
        self.write(self.coff + 2, &count.to_le_bytes());
        // Time, symbol table and its length: none.
        self.write(self.coff + 4, &[0; 12]);
        self.write(optional + 8, &data.to_le_bytes());
        self.write(optional + 56, &size.to_le_bytes());
        // The checksum is read for drivers of Windows only.
        self.write(optional + 64, &[0; 4]);
        Ok(self.bytes)
    }

    /// Overwrites bytes whose place was read before, so they are there.
    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A stub with one section of 0x200 bytes and room for `room` more.
    pub(in crate::image) fn stub(room: usize) -> Vec<u8> {
        let table = 0x40 + 4 + 20 + 0x70;
        let headers = (table + ENTRY * (1 + room)).next_multiple_of(0x200);
        let headers = if room == 0 { table + ENTRY } else { headers };
        let mut bytes = vec![0; headers + 0x200];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"MZ");
        put(0x3c, &0x40_u32.to_le_bytes());
        put(0x40, b"PE\0\0");
        put(0x44 + 2, &1_u16.to_le_bytes());
        put(0x44 + 4, &0x1234_u32.to_le_bytes());
        put(0x44 + 16, &0x70_u16.to_le_bytes());
        put(0x58, &0x20b_u16.to_le_bytes());
        put(0x58 + 36, &0x200_u32.to_le_bytes());
        put(0x58 + 60, &u32::try_from(headers).unwrap().to_le_bytes());
        put(table, b".text\0\0\0");
        for (offset, value) in
            [(8, 0x1f0_u32), (12, 0x4000), (16, 0x200), (20, u32::try_from(headers).unwrap())]
        {
            put(table + offset, &value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_section_can_be_read_back_where_the_table_says() {
        let image = append(&stub(4), &[(".cmdline", b"quiet"), (".linux", &[7; 0x201])]).unwrap();
        let read = Image::read(&image).unwrap();
        assert_eq!(read.count, 3);
        let entry = read.table + 2 * ENTRY;
        assert_eq!(&image[entry..entry + 8], b".linux\0\0");
        assert_eq!(read_u32(&image, entry + 8), Some(0x201));
        assert_eq!(read_u32(&image, entry + 12), Some(0x6000));
        assert_eq!(read_u32(&image, entry + 16), Some(0x400));
        let at = usize::try_from(read_u32(&image, entry + 20).unwrap()).unwrap();
        assert_eq!(&image[at..at + 0x201], &[7; 0x201]);
        assert_eq!(image.len(), at + 0x400);
        assert_eq!(read_u32(&image, read.coff + 4), Some(0), "no time stays in the header");
        assert_eq!(
            read_u32(&image, read.coff + 20 + 56),
            Some(0x7000),
            "the image ends after the last section"
        );
    }

    #[test]
    fn a_stub_without_room_is_refused() {
        assert_eq!(append(&stub(0), &[(".linux", b"x")]), Err(PeError::NoRoom(".linux")));
    }

    #[test]
    fn a_file_cut_short_is_no_program() {
        let whole = stub(1);
        for length in 0..whole.len() {
            assert_eq!(append(&whole[..length], &[]), Err(PeError::NotPe), "{length}");
        }
    }
}
