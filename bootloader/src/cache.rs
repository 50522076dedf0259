//! The cache on the medium: what `wire::loader::cache` decides, carried out on a disk, and read while something else is
//! waited for.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use model::Digest;
use sha2::{Digest as _, Sha256};
use uefi::Status;
use wire::loader::cache::{BLOCK, Held, JOURNAL, Layout, Note, Record, Step, Store, newest};
use wire::loader::gpt::SECTOR;
use wire::loader::{Answer, Order, Piece, Plan};

use crate::clock::Clock;
use crate::disk::{CHUNK, Disk};
use crate::screen::Screen;
use crate::start::{ALIGNED, Loaded};

const BLOCK_SIZE: u64 = BLOCK as u64;

/// The cache.
#[derive(Debug)]
pub(crate) struct Cache {
    disk: Disk,
    /// Where it begins on the disk, in bytes.
    base: u64,
    blocks: u64,
    layout: Layout,
    /// The record that counts, without slots that were found wrong.
    now: Record,
    reading: Option<Reading>,
    /// An image that was read and is what its record says.
    read: Option<(usize, Loaded)>,
    /// Slots that were found wrong, said once.
    wrong: Option<String>,
}

/// A slot on its way into memory.
#[derive(Debug)]
struct Reading {
    slot: usize,
    /// Each file, where it lies in the cache, and where it goes in its pages; the kernel is the first.
    files: vec::IntoIter<(Piece, u64, u64)>,
    file: Option<(Piece, u64, u64)>,
    is_kernel: bool,
    done: u64,
    hash: Sha256,
    into: Loaded,
}

impl Cache {
    /// The cache of a disk.
    ///
    /// # Errors
    /// Why there is none, for the screen.
    pub(crate) fn open(mut disk: Disk) -> Result<Self, String> {
        let part = disk.cache().map_err(|why| format!("{why}"))?;
        let base = part.first * u64::try_from(SECTOR).unwrap_or_default();
        let blocks = part.sectors() * u64::try_from(SECTOR).unwrap_or_default() / BLOCK_SIZE;
        let layout = Layout::of(blocks).map_err(|why| format!("{why}"))?;
        let size = usize::try_from(JOURNAL).unwrap_or_default() * BLOCK;
        let journal = disk.read(base, size).map_err(|why| format!("the firmware does not read it: {why}"))?;
        let blocks_of = journal.chunks_exact(BLOCK).filter_map(|block| block.first_chunk::<BLOCK>());
        // A partition without a record has nothing to lose.
        let now = newest(blocks_of).unwrap_or_default();
        Ok(Self { disk, base, blocks, layout, now, reading: None, read: None, wrong: None })
    }

    /// How it is, for people.
    pub(crate) fn words(&self) -> String {
        let held = self.now.slots.iter().flatten().count();
        let room = self.layout.room() / 1_000_000;
        let good = if self.now.good.is_some() { "one that started well" } else { "none known to start well" };
        let read_only = if self.disk.is_read_only() { ", read only" } else { "" };
        format!("{held} of 2 images of up to {room} MB, {good}, {}{read_only}", self.wear())
    }

    /// How worn it is, for people.
    pub(crate) fn wear(&self) -> String {
        format!("written {}", self.now.wear(self.blocks))
    }

    /// The least number of a delegation that is followed.
    pub(crate) const fn least(&self) -> u64 {
        self.now.least
    }

    /// A slot that was found to be something else than its record says, once.
    pub(crate) fn found_wrong(&mut self) -> Option<String> {
        self.wrong.take()
    }

    /// Reads on, in what is most likely to be wanted; false where there is nothing to read.
    pub(crate) fn go_on(&mut self) -> bool {
        if self.read.is_some() {
            return false;
        }
        if self.reading.is_none() {
            let holds = |slot: &usize| self.now.slots.get(*slot).is_some_and(Option::is_some);
            let Some(slot) = self.now.good.filter(holds).or_else(|| (0..2).find(holds)) else { return false };
            self.begin(slot);
        }
        self.step();
        self.reading.is_some()
    }

    /// True when it has what an answer names, as far as its records say.
    pub(crate) fn has(&self, plan: &Plan) -> bool {
        self.now.slot_of(plan).is_some()
    }

    /// True when it has an image that started well, as far as its records say.
    pub(crate) const fn has_good(&self) -> bool {
        self.now.good.is_some()
    }

    /// The image that an answer names; nothing where it is not there, or is not what its record says.
    pub(crate) fn take(&mut self, plan: &Plan, (screen, clock): (&mut Screen, Clock)) -> Option<Loaded> {
        let slot = self.now.slot_of(plan)?;
        self.load(slot, (screen, clock))
    }

    /// The image that started well last, with what it is started with.
    pub(crate) fn take_good(&mut self, shown: (&mut Screen, Clock)) -> Option<(Plan, Loaded)> {
        let slot = self.now.good?;
        let plan = self.now.slots.get(slot)?.as_ref()?.plan()?;
        Some((plan, self.load(slot, shown)?))
    }

    fn load(&mut self, slot: usize, (screen, clock): (&mut Screen, Clock)) -> Option<Loaded> {
        if let Some((read, loaded)) = self.read.take()
            && read == slot
        {
            return Some(loaded);
        }
        if self.reading.as_ref().is_none_or(|reading| reading.slot != slot) {
            self.begin(slot);
        }
        while let Some(reading) = &self.reading {
            if let Some((piece, _, _)) = &reading.file {
                screen.moves(clock.ms(), ("reads", piece.name()), (reading.done, piece.size));
            }
            self.step();
        }
        self.read.take().map(|(_, loaded)| loaded)
    }

    fn begin(&mut self, slot: usize) {
        self.reading = None;
        self.read = None;
        let Some(Some(held)) = self.now.slots.get(slot) else { return };
        let mut place = 0_u64;
        let mut files = Vec::new();
        for (at, ((first, size), piece)) in self.layout.files(slot, held).zip(&held.files).enumerate() {
            place = if at < 2 { 0 } else { place.next_multiple_of(ALIGNED) };
            files.push((piece.clone(), first, place));
            place += size;
        }
        let Some(plan) = held.plan() else { return };
        // Without memory for it nothing can be read; a file that is fetched will say so.
        let Ok(into) = Loaded::room(&plan) else { return };
        let mut files = files.into_iter();
        let file = files.next();
        let hash = Sha256::new();
        self.reading = Some(Reading { slot, files, file, is_kernel: true, done: 0, hash, into });
    }

    /// Reads one piece of what is being read.
    fn step(&mut self) {
        let Some(mut reading) = self.reading.take() else { return };
        let slot = reading.slot;
        match reading.step(&mut self.disk, self.base) {
            Ok(true) if reading.file.is_some() => self.reading = Some(reading),
            Ok(true) => self.read = Some((slot, reading.into)),
            Ok(false) => self.give_up(slot, "is not what its record says"),
            Err(status) => self.give_up(slot, &format!("cannot be read: {status}")),
        }
    }

    /// Forgets a slot; its record is changed when it is filled again.
    fn give_up(&mut self, slot: usize, why: &str) {
        self.now = self.now.without(slot);
        self.wrong = Some(format!("slot {slot} of the cache {why}: it is not started"));
    }

    /// Keeps an image that was fetched and checked; says how many bytes were written.
    ///
    /// # Errors
    /// Why it is not kept, for the screen. What was there before and is good still is.
    pub(crate) fn keep(&mut self, plan: &Plan, image: &mut Loaded) -> Result<u64, String> {
        if self.has(plan) {
            return Ok(0);
        }
        self.reading = None;
        self.read = None;
        let held = Held::of(plan);
        let store = Store::of(self.layout, &self.now, held).map_err(|why| format!("{why}"))?;
        let before = self.now.worn;
        let written = self.carry_out(store, Some((plan, image)));
        written.map_err(|status| format!("the firmware does not write it: {status}"))?;
        Ok((self.now.worn - before) * BLOCK_SIZE)
    }

    /// Remembers what an answer that is followed says: writes nothing where all of it is known.
    ///
    /// # Errors
    /// Why it is not remembered, for the screen.
    pub(crate) fn note(&mut self, answer: &Answer, least: u64) -> Result<(), String> {
        let mut note = Note { least, good: self.now.slot_with(&answer.good), ..Note::default() };
        if let Order::Boot(plan) = &answer.order
            && let Some(slot) = self.now.slot_of(plan)
        {
            note.args = Some((slot, Held::of(plan).args));
            note.not_good = answer.good.is_empty().then_some(slot);
        }
        let note = Store::note(&self.now, &note).map_err(|why| format!("{why}"))?;
        let Some(store) = note else { return Ok(()) };
        self.carry_out(store, None).map_err(|status| format!("the firmware does not write it: {status}"))
    }

    fn carry_out(&mut self, store: Store, image: Option<(&Plan, &mut Loaded)>) -> Result<(), Status> {
        let after = store.after().clone();
        let mut image = image;
        for step in store {
            let done = match step {
                Step::Journal { at, block } => self.disk.write(self.base + at * BLOCK_SIZE, &*block, BLOCK),
                Step::Flush => self.disk.flush(),
                Step::Fill { slot } => {
                    // From here on the slot holds neither the old image nor the new one.
                    self.now = self.now.without(slot);
                    match image.take() {
                        Some((plan, image)) => self.fill(slot, plan, image),
                        None => Ok(()),
                    }
                }
            };
            done.map_err(|error| error.status())?;
        }
        self.now = after;
        Ok(())
    }

    fn fill(&mut self, slot: usize, plan: &Plan, image: &mut Loaded) -> uefi::Result {
        let held = Held::of(plan);
        let mut place = 0_u64;
        for (at, (first, size)) in self.layout.files(slot, &held).enumerate() {
            place = if at < 2 { 0 } else { place.next_multiple_of(ALIGNED) };
            let pages = if at == 0 { Some(&mut image.kernel) } else { image.initrd.as_mut() };
            let from = usize::try_from(place).map_err(|_| Status::BAD_BUFFER_SIZE)?;
            let to = usize::try_from(place + size).map_err(|_| Status::BAD_BUFFER_SIZE)?;
            let bytes = pages.and_then(|pages| pages.bytes().get(from..to)).ok_or(Status::BAD_BUFFER_SIZE)?;
            let mut at = self.base + first * BLOCK_SIZE;
            for chunk in bytes.chunks(CHUNK) {
                self.disk.write(at, chunk, BLOCK)?;
                at += u64::try_from(chunk.len()).unwrap_or_default();
            }
            place += size;
        }
        Ok(())
    }
}

impl Reading {
    /// One piece; false where a file is not what its record says.
    fn step(&mut self, disk: &mut Disk, base: u64) -> Result<bool, Status> {
        let Some((piece, first, place)) = &self.file else { return Ok(true) };
        let left = piece.size - self.done;
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        if size > 0 {
            let at = base + first * BLOCK_SIZE + self.done;
            let bytes = disk.read(at, size.next_multiple_of(BLOCK)).map_err(|error| error.status())?;
            let bytes = bytes.get(..size).unwrap_or_default();
            let pages = if self.is_kernel { Some(&mut self.into.kernel) } else { self.into.initrd.as_mut() };
            let to = usize::try_from(place + self.done).unwrap_or(usize::MAX);
            let room =
                pages.and_then(|pages| pages.bytes().get_mut(to..)).and_then(|rest| rest.get_mut(..size));
            room.ok_or(Status::BAD_BUFFER_SIZE)?.copy_from_slice(bytes);
            self.hash.update(bytes);
            self.done += u64::try_from(size).unwrap_or_default();
        }
        if self.done < piece.size {
            return Ok(true);
        }
        let got = Digest(core::mem::replace(&mut self.hash, Sha256::new()).finalize().into());
        if got != piece.digest {
            return Ok(false);
        }
        self.file = self.files.next();
        self.is_kernel = false;
        self.done = 0;
        Ok(true)
    }
}
