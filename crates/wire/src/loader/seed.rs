//! What the controller writes into the loader's file before it hands it out: the lab's key and where to ask.
//!
//! The file has one place for it, found by a mark of 32 bytes. A loader that came over the network is trusted no more
//! than that network; one on a stick carries the key with it, and keeps it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddrV4;

use super::lines::{Hex, Lines, TextError, digits, expected, line};

const TITLE: &str = "labinator seed 1";
/// What the place begins with. Put together at run time wherever it is looked for, so that it stands in a loader's file
/// once.
const MARK: [&[u8]; 2] = [b"labinator:seed:", b"here:3f9a77c1d6e2"];
const MARK_SIZE: usize = 32;
/// Bytes of the place, its mark included.
pub const PLACE_SIZE: usize = 512;

/// What is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The lab's key (Ed25519).
    pub lab_key: [u8; 32],
    /// The controller's boot HTTP; none where the loader is to find it by its lease.
    pub boss: Option<SocketAddrV4>,
}

/// Why nothing can be written into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedError {
    /// The file has no place for it.
    NoPlace,
    /// It has more than one.
    Ambiguous,
    /// Something else than a seed stands in its place.
    Damaged,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPlace => "the file has no place for a lab's key: it is no loader of Labinator's",
            Self::Ambiguous => "the file has more than one place for a lab's key",
            Self::Damaged => "what stands in the file's place for a lab's key is damaged",
        })
    }
}

impl core::error::Error for SeedError {}

impl Seed {
    fn text(&self) -> String {
        let mut text = String::from(TITLE);
        text.push('\n');
        line(&mut text, "key", Hex(&self.lab_key));
        if let Some(boss) = self.boss {
            line(&mut text, "boss", boss);
        }
        text
    }

    fn read(bytes: &[u8]) -> Result<Self, TextError> {
        let lines = Lines::of(bytes, TITLE)?;
        let boss = lines.maybe("boss")?.map(str::parse).transpose();
        Ok(Self {
            lab_key: digits(lines.one("key")?).ok_or(expected("a key of 64 hexadecimal digits"))?,
            boss: boss.map_err(|_| expected("an address and a port"))?,
        })
    }
}

/// The file of a loader with this in its place.
///
/// # Errors
/// [`SeedError`]; the file is no loader.
pub fn plant(file: &[u8], seed: &Seed) -> Result<Vec<u8>, SeedError> {
    let at = place_of(file)?;
    let mut planted = file.to_vec();
    let place = planted.get_mut(at + MARK_SIZE..at + PLACE_SIZE).ok_or(SeedError::NoPlace)?;
    let text = seed.text();
    place.fill(0);
    for (to, from) in place.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    Ok(planted)
}

/// What was written into the file of a loader already: one that firmware checks by its signature stays as it is.
///
/// # Errors
/// [`SeedError`]; the file is no loader, or what stands in its place is damaged.
pub fn planted(file: &[u8]) -> Result<Option<Seed>, SeedError> {
    let at = place_of(file)?;
    let place = file.get(at..).and_then(|rest| rest.first_chunk()).ok_or(SeedError::NoPlace)?;
    read_place(place).map_err(|_| SeedError::Damaged)
}

/// Why a loader's file is not for a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// It is no loader.
    Place(SeedError),
    /// It was made and signed for this lab at another address.
    OtherAddress,
    /// It was made and signed for another lab.
    OtherLab,
}

impl From<SeedError> for Unfit {
    fn from(error: SeedError) -> Self {
        Self::Place(error)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(error) => error.fmt(f),
            Self::OtherAddress => f.write_str(
                "it was made for this lab at another address; make it anew: `labinator secure-boot loader`",
            ),
            Self::OtherLab => {
                f.write_str("it has another lab's key in it; make it anew: `labinator secure-boot loader`")
            }
        }
    }
}

impl core::error::Error for Unfit {}

/// The file as it is handed out with this seed. One that has this lab's key already was signed with it for Secure Boot, and
/// stays as it is.
///
/// # Errors
/// [`Unfit`].
pub fn fitted<'a>(file: &'a [u8], seed: &Seed) -> Result<Cow<'a, [u8]>, Unfit> {
    match planted(file)? {
        None => Ok(Cow::Owned(plant(file, seed)?)),
        Some(there) if there.lab_key != seed.lab_key => Err(Unfit::OtherLab),
        // One without an address asks where its lease says.
        Some(there) if there.boss.is_none() || there.boss == seed.boss => Ok(Cow::Borrowed(file)),
        Some(_) => Err(Unfit::OtherAddress),
    }
}

fn place_of(file: &[u8]) -> Result<usize, SeedError> {
    let mark = MARK.concat();
    let mut places = file.windows(MARK_SIZE).enumerate().filter(|(_, bytes)| **bytes == *mark);
    let (at, _) = places.next().ok_or(SeedError::NoPlace)?;
    if places.next().is_some() {
        return Err(SeedError::Ambiguous);
    }
    Ok(at)
}

/// Reads the place of a loader, mark included. Nothing where nothing was written.
///
/// # Errors
/// [`TextError`] when something else stands there.
pub fn read_place(place: &[u8; PLACE_SIZE]) -> Result<Option<Seed>, TextError> {
    let Some((_, text)) = place.split_at_checked(MARK_SIZE) else { return Ok(None) };
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    match text.get(..end) {
        None | Some([]) => Ok(None),
        Some(text) => Seed::read(text).map(Some),
    }
}
