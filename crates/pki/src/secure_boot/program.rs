//! An EFI program as far as its signatures go: what of it is hashed, and where they stand.
//!
//! Offsets are those of Microsoft's "PE Format": "Optional Header", "Section Table", "The Attribute Certificate Table".

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::pkcs7;
use super::{Certificate, SecureBootError, Signer};

/// Entries of the certificate table begin at multiples of this.
const ALIGN: usize = 8;
/// `dwLength`, `wRevision`, `wCertificateType`.
const HEADER: usize = 8;
/// `WIN_CERT_REVISION_2_0` and `WIN_CERT_TYPE_PKCS_SIGNED_DATA`.
const KIND: [u8; 4] = [0, 2, 2, 0];
/// More sections than this has no program that firmware starts.
const MOST_SECTIONS: u16 = 96;

/// An EFI program.
#[derive(Debug, Clone)]
pub struct Program<'a> {
    bytes: &'a [u8],
    /// Where the checksum stands, which is not hashed.
    checksum: usize,
    /// Where the place and size of the certificate table stand, which are not hashed either.
    entry: usize,
    /// Bytes of all headers.
    headers: usize,
    /// Contents of sections, in the order of the file.
    sections: Vec<Range<usize>>,
    /// The certificate table; empty, and at the end, where there is none.
    table: Range<usize>,
}

impl<'a> Program<'a> {
    /// Looks into a program.
    ///
    /// # Errors
    /// It is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, SecureBootError> {
        let not = SecureBootError::NotProgram;
        let at = |place| u32_at(bytes, place).and_then(|n| usize::try_from(n).ok());
        let cut = || not("its headers are cut off");
        if bytes.get(..2) != Some(b"MZ") {
            return Err(not("it does not begin with `MZ`"));
        }
        let signature = at(0x3c).ok_or_else(cut)?;
        let coff = signature.checked_add(4).ok_or_else(cut)?;
        if bytes.get(signature..coff) != Some(b"PE\0\0") {
            return Err(not("it has no PE header"));
        }
        let optional = coff + 20;
        // PE32 and PE32+ have their directories at different places.
        let directories = match u16_at(bytes, optional).ok_or_else(cut)? {
            0x10b => optional + 96,
            0x20b => optional + 112,
            _ => return Err(not("its optional header is neither PE32 nor PE32+")),
        };
        if at(directories - 4).ok_or_else(cut)? <= 4 {
            return Err(not("its headers have no place for signatures"));
        }
        let entry = directories + 32;
        let headers = at(optional + 60).filter(|size| *size <= bytes.len()).ok_or_else(cut)?;
        let (place, size) = (at(entry).ok_or_else(cut)?, at(entry + 4).ok_or_else(cut)?);
        let table = if size == 0 { bytes.len()..bytes.len() } else { place..place.saturating_add(size) };
        if table.end > bytes.len() || table.start < headers {
            return Err(not("its signatures are said to be where they cannot be"));
        }
        let count = u16_at(bytes, coff + 2).filter(|count| *count <= MOST_SECTIONS).ok_or_else(cut)?;
        let first = optional + usize::from(u16_at(bytes, coff + 16).ok_or_else(cut)?);
        let mut sections = Vec::new();
        for index in 0..usize::from(count) {
            let section = first + index * 40;
            let (size, start) = (at(section + 16).ok_or_else(cut)?, at(section + 20).ok_or_else(cut)?);
            let content = start..start.saturating_add(size);
            if content.end > table.start {
                return Err(not("a section is cut off"));
            }
            if size > 0 {
                sections.push(content);
            }
        }
        sections.sort_by_key(|content| content.start);
        let program = Self { bytes, checksum: optional + 64, entry, headers, sections, table };
        if program.checksum + 4 > program.entry || program.entry + 8 > program.headers {
            return Err(cut());
        }
        Ok(program)
    }

    /// What of it is hashed, in order ("Calculating the PE Image Hash"). Firmware counts what it hashed and takes the
    /// rest of the file, without its signatures, for the last piece.
    fn hashed(&self) -> Vec<&'a [u8]> {
        let mut pieces = vec![0..self.checksum, self.checksum + 4..self.entry, self.entry + 8..self.headers];
        pieces.extend(self.sections.iter().cloned());
        let counted = self.headers + self.sections.iter().map(ExactSizeIterator::len).sum::<usize>();
        if counted < self.table.start {
            pieces.push(counted..self.table.start);
        }
        pieces.into_iter().filter_map(|piece| self.bytes.get(piece)).collect()
    }

    /// The digest that signatures are over.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for piece in self.hashed() {
            hash.update(piece);
        }
        hash.finalize().into()
    }

    /// Its signatures, as PKCS #7 in DER. Entries of other kinds are left out.
    #[must_use]
    pub fn signatures(&self) -> Vec<&'a [u8]> {
        let mut rest = self.bytes.get(self.table.clone()).unwrap_or_default();
        let mut all = Vec::new();
        while let Some(size) = u32_at(rest, 0).and_then(|size| usize::try_from(size).ok()) {
            let Some(entry) = rest.get(..size).filter(|entry| entry.len() > HEADER) else { break };
            if entry.get(4..HEADER) == Some(&KIND) {
                all.extend(entry.get(HEADER..));
            }
            rest = rest.get(size.next_multiple_of(ALIGN)..).unwrap_or_default();
        }
        all
    }

    /// The program with one more signature. One that this certificate signed already is returned as it is.
    ///
    /// # Errors
    /// It has something behind its signatures, or is too large.
    pub fn signed(&self, signer: &Signer) -> Result<Vec<u8>, SecureBootError> {
        if self.is_signed_by(signer.certificate()) {
            return Ok(self.bytes.to_vec());
        }
        if self.table.end != self.bytes.len() {
            return Err(SecureBootError::Trailing);
        }
        let mut bytes = self.bytes.to_vec();
        // The table begins at a multiple of eight, and what is put before it is hashed with the rest.
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        let digest = Program::read(&bytes)?.digest();
        let start = if self.table.is_empty() { bytes.len() } else { self.table.start };
        let signature = pkcs7::authenticode(&digest, signer)?;
        let too_large = || SecureBootError::NotProgram("with a signature it is larger than 4 GiB");
        let size = u32::try_from(HEADER + signature.len()).map_err(|_| too_large())?;
        bytes.extend(size.to_le_bytes());
        bytes.extend(KIND);
        bytes.extend(signature);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        let place = [start, bytes.len() - start].map(u32::try_from);
        for (at, value) in [self.entry, self.entry + 4].into_iter().zip(place) {
            let value = value.map_err(|_| too_large())?.to_le_bytes();
            for (to, from) in bytes.iter_mut().skip(at).zip(value) {
                *to = from;
            }
        }
        Ok(bytes)
    }

    /// True when one of its signatures is by this certificate, and over what the program is.
    #[must_use]
    pub fn is_signed_by(&self, certificate: &Certificate) -> bool {
        let signatures = self.signatures();
        let digest = if signatures.is_empty() { return false } else { self.digest() };
        signatures.iter().any(|signature| pkcs7::is_over(signature, &digest, certificate))
    }
}

/// Whether a file is an EFI program that this certificate signed; an answer in words for where it is not.
///
/// # Errors
/// What is missing, after "it".
pub fn signed_by(bytes: &[u8], certificate: &Certificate) -> Result<(), String> {
    let program = Program::read(bytes).map_err(|why| format!("cannot be looked into: {why}"))?;
    match program.signatures().len() {
        _ if program.is_signed_by(certificate) => Ok(()),
        0 => Err("is not signed".to_owned()),
        _ => Err(format!("is signed, but not by {}", certificate.name())),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}
