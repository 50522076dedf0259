//! The medium that a machine with a BIOS was started from, where it is one of ours: its GRUB noted that the network was
//! tried, and an agent that runs is the proof that this went well. The note is taken back, and nothing else is written.
//!
//! What is no medium of ours is not written to: it must have our two partitions in a table whose sums are right, a volume
//! of our name in the first, and GRUB's environment block at the path where `labinator media build` puts it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use wire::loader::bios::{ENV, ENV_SIZE, Env, FOLDER, Fat, LABEL, SYSTEM_NAME, TRIED};
use wire::loader::gpt::{self, Header, Part, SECTOR};

use crate::console::Console;

/// How long it is looked for. A driver and a bus of many ports take some ten seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks.
const AGAIN: Duration = Duration::from_secs(2);
/// What direct access to a device must be aligned to in memory.
const ALIGNED: usize = 4096;

/// Looks for it for as long as it may still appear, and says what was done.
pub(crate) async fn take_back(console: Console) {
    let end = Instant::now() + LIMIT;
    let mut seen = Vec::new();
    while Instant::now() < end {
        let known = std::mem::take(&mut seen);
        let looked = spawn_blocking(move || look(Path::new("/"), known)).await;
        let Ok((now, found)) = looked else { return };
        seen = now;
        for line in found {
            console.say(&line);
        }
        sleep(AGAIN).await;
    }
}

/// Looks at disks that were not seen before; gives back all that were, and what there is to say.
fn look(root: &Path, mut seen: Vec<String>) -> (Vec<String>, Vec<String>) {
    let disks = fs::read_dir(root.join("sys/block")).into_iter().flatten().flatten();
    let names = disks.filter_map(|entry| entry.file_name().into_string().ok());
    let mut lines = Vec::new();
    for name in names.collect::<Vec<_>>() {
        if seen.contains(&name) {
            continue;
        }
        match clear(&root.join("dev").join(&name)) {
            // It is in use, or its node is not there yet.
            Err(why) if matches!(why.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound) => {}
            Ok(done) => {
                lines.extend(done.then(|| {
                    format!(
                        "the medium {name} started this machine: its next start asks the controller again"
                    )
                }));
                seen.push(name);
            }
            Err(why) => {
                // Card readers and drives without a disk say so in many ways: only ours is worth a word, and it is read.
                lines.extend(why.get_ref().map(|why| format!("the medium {name}: {why}")));
                seen.push(name);
            }
        }
    }
    (seen, lines)
}

/// Takes the note back on this disk; true where it is a medium of ours that had one.
///
/// # Errors
/// As the system says; with a sentence of our own where the disk is ours and could not be written.
fn clear(path: &Path) -> io::Result<bool> {
    let disk = Disk::open(path, false)?;
    let Some(places) = places(&disk) else { return Ok(false) };
    let mut block = [0; ENV_SIZE];
    for (place, piece) in places.iter().zip(block.chunks_exact_mut(SECTOR)) {
        piece.copy_from_slice(&disk.sector(*place)?);
    }
    // A block that cannot be read is made anew: GRUB remembers nothing in it.
    let mut env = Env::read(&block).ok();
    if env.as_mut().is_some_and(|env| !env.unset(TRIED)) {
        return Ok(false);
    }
    let wanted = env.unwrap_or_default().block();
    let ours =
        |why: io::Error| io::Error::other(format!("it started this machine, and cannot be written: {why}"));
    drop(disk);
    let disk = match Disk::open(path, true) {
        Err(why) if why.kind() == io::ErrorKind::ResourceBusy => return Err(why),
        opened => opened.map_err(ours)?,
    };
    let pieces = places.iter().zip(wanted.chunks_exact(SECTOR)).zip(block.chunks_exact(SECTOR));
    // All that is noted stands in the first sector, and a sector is written whole or not at all.
    for ((place, new), _) in pieces.filter(|((_, new), old)| new != old) {
        disk.write(*place, new).map_err(ours)?;
    }
    disk.file.sync_all().map_err(ours)?;
    Ok(true)
}

/// The sectors of GRUB's environment block on a medium of ours; nothing on any other disk.
fn places(disk: &Disk) -> Option<[u64; 2]> {
    let part = ours(disk)?;
    let sector = |number: u32| {
        let at = part.first.checked_add(number.into()).filter(|at| *at <= part.last)?;
        disk.sector(at).ok()
    };
    let fat = Fat::read(&sector(0)?).filter(|fat| fat.is_called(LABEL))?;
    let file = fat.find(&format!("{FOLDER}/{ENV}"), sector)?;
    if usize::try_from(file.size).ok()? != ENV_SIZE {
        return None;
    }
    let mut places = file.sectors.into_iter().map(|sector| part.first + u64::from(sector));
    places
        .next()
        .zip(places.next())
        .map(|(first, second)| [first, second])
        .filter(|places| places.iter().all(|place| *place <= part.last))
}

/// The system partition of a medium of ours.
fn ours(disk: &Disk) -> Option<Part> {
    let header = Header::read(&disk.sector(1).ok()?, 1).ok()?;
    let mut entries = Vec::new();
    for number in 0..u64::try_from(header.sectors).ok()? {
        entries.extend(disk.sector(header.table.checked_add(number)?).ok()?);
    }
    let parts = header.parts(&entries).ok()?;
    let has_cache = parts.iter().any(|part| part.kind == gpt::CACHE);
    parts.into_iter().find(|part| has_cache && part.kind == gpt::SYSTEM && part.name == SYSTEM_NAME)
}

/// A disk, past the kernel's cache where it is a device: what is read is what lies there, and what is written is those
/// sectors and no more.
struct Disk {
    file: File,
    direct: bool,
}

impl Disk {
    fn open(path: &Path, writes: bool) -> io::Result<Self> {
        let direct = fs::metadata(path)?.file_type().is_block_device();
        // Nobody may have mounted what is written (`O_EXCL` on a device, open(2)).
        let flags = if writes { OFlags::DIRECT | OFlags::EXCL } else { OFlags::DIRECT };
        let flags = if direct { i32::try_from(flags.bits()).unwrap_or(0) } else { 0 };
        let file = OpenOptions::new().read(true).write(writes).custom_flags(flags).open(path)?;
        Ok(Self { file, direct })
    }

    fn sector(&self, number: u64) -> io::Result<[u8; SECTOR]> {
        let mut sector = [0; SECTOR];
        self.with(|window| {
            self.file.read_exact_at(window, at(number)?)?;
            sector.copy_from_slice(window);
            Ok(())
        })?;
        Ok(sector)
    }

    fn write(&self, number: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|window| {
            window.copy_from_slice(bytes);
            self.file.write_all_at(window, at(number)?)
        })
    }

    /// Memory for a sector, where the kernel takes it.
    fn with(&self, work: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let mut room = vec![0; SECTOR + ALIGNED];
        let skip = if self.direct { room.as_ptr().align_offset(ALIGNED) } else { 0 };
        let window = room.get_mut(skip..).and_then(|room| room.get_mut(..SECTOR));
        work(window.ok_or_else(|| io::Error::other("no aligned memory"))?)
    }
}

fn at(sector: u64) -> io::Result<u64> {
    let size = u64::try_from(SECTOR).unwrap_or_default();
    sector.checked_mul(size).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use wire::loader::gpt::{CACHE, Guid, SYSTEM, Table};

    /// Where the system partition of a small medium begins, and where in it the block lies.
    const FIRST: u64 = 2048;
    const BLOCK: u64 = FIRST + 600;

    /// A medium as far as this is about: a table, a volume, a folder and a file in two clusters that are apart.
    struct Sample(PathBuf);

    impl Sample {
        fn new(name: &str, env: &[u8]) -> Self {
            let part = |kind, first, last, name: &str| {
                let id = Guid::derived([u8::try_from(first % 251).unwrap(); 16]);
                Part { kind, id, first, last, name: name.to_owned() }
            };
            let parts = vec![
                part(SYSTEM, FIRST, 73_727, SYSTEM_NAME),
                part(CACHE, 73_728, 81_000, "Labinator cache"),
            ];
            let sectors = 81_920;
            let table = Table { disk: Guid::derived([7; 16]), sectors, parts };
            let mut bytes = vec![0xaa; usize::try_from(sectors).unwrap() * SECTOR];
            put(&mut bytes, 0, &table.head());
            put(&mut bytes, FIRST, &boot_sector());
            // The table of clusters of a sector: root 2, folder 5, file 10 and then 20. Clusters begin at sector 590.
            let mut chains = vec![0_u32; 128];
            for (cluster, next) in [(2, 0x0fff_ffff), (5, 0x0fff_fff8), (10, 20), (20, 0x0fff_ffff)] {
                chains[cluster] = next;
            }
            let chains: Vec<u8> = chains.into_iter().flat_map(u32::to_le_bytes).collect();
            put(&mut bytes, FIRST + 32, &chains);
            put(
                &mut bytes,
                FIRST + 592 - 2,
                &folder(&[(b"LABINATOR  ", 8, 0, 0), (b"GRUB       ", 16, 5, 0)]),
            );
            put(&mut bytes, FIRST + 595 - 2, &folder(&[(b"GRUBENV    ", 32, 10, 1024)]));
            put(&mut bytes, BLOCK - 2, &env[..SECTOR]);
            put(&mut bytes, BLOCK + 10 - 2, &env[SECTOR..]);
            let path = std::env::temp_dir().join(format!("stick-{name}-{}", std::process::id()));
            fs::write(&path, bytes).unwrap();
            Self(path)
        }

        fn bytes(&self) -> Vec<u8> {
            fs::read(&self.0).unwrap()
        }

        fn env(&self) -> [u8; ENV_SIZE] {
            let disk = Disk::open(&self.0, false).unwrap();
            let both = [disk.sector(BLOCK - 2).unwrap(), disk.sector(BLOCK + 8).unwrap()].concat();
            both.try_into().unwrap()
        }

        /// Changes a byte of it.
        fn spoil(&self, sector: u64, byte: usize) {
            let mut bytes = self.bytes();
            bytes[usize::try_from(sector).unwrap() * SECTOR + byte] ^= 4;
            fs::write(&self.0, bytes).unwrap();
        }
    }

    impl Drop for Sample {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.0));
        }
    }

    fn put(bytes: &mut [u8], sector: u64, what: &[u8]) {
        let at = usize::try_from(sector).unwrap() * SECTOR;
        bytes[at..at + what.len()].copy_from_slice(what);
    }

    /// FAT32 of 71,680 sectors: 32 reserved, two tables of 279, clusters of one from 590 on.
    fn boot_sector() -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        let fields: [(usize, &[u8]); 9] = [
            (11, &512_u16.to_le_bytes()),
            (13, &[1]),
            (14, &32_u16.to_le_bytes()),
            (16, &[2]),
            (32, &71_680_u32.to_le_bytes()),
            (36, &558_u32.to_le_bytes()),
            (44, &2_u32.to_le_bytes()),
            (71, b"LABINATOR  "),
            (510, &[0x55, 0xaa]),
        ];
        fields.into_iter().for_each(|(at, what)| sector[at..at + what.len()].copy_from_slice(what));
        sector[16] = 1;
        sector
    }

    fn folder(entries: &[(&[u8; 11], u8, u16, u32)]) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        for (entry, (name, kind, first, size)) in sector.chunks_exact_mut(32).zip(entries) {
            entry[..11].copy_from_slice(*name);
            entry[11] = *kind;
            entry[26..28].copy_from_slice(&first.to_le_bytes());
            entry[28..32].copy_from_slice(&size.to_le_bytes());
        }
        sector
    }

    fn tried() -> [u8; ENV_SIZE] {
        let mut env = Env::default();
        env.set("other", "kept").unwrap();
        env.set(TRIED, "2026-11-27-13-4").unwrap();
        env.block()
    }

    #[test]
    fn the_note_is_taken_back_and_one_sector_changes() {
        let sample = Sample::new("back", &tried());
        let before = sample.bytes();
        assert!(clear(&sample.0).unwrap());
        let env = Env::read(&sample.env()).unwrap();
        assert_eq!((env.get("other"), env.get(TRIED)), (Some("kept"), None));
        let after = sample.bytes();
        let differs = |(number, (a, b)): (usize, (&[u8], &[u8]))| (a != b).then_some(number);
        let changed: Vec<_> =
            before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate().filter_map(differs).collect();
        assert_eq!(changed, [usize::try_from(BLOCK - 2).unwrap()], "a sector is written whole or not at all");
        assert!(!clear(&sample.0).unwrap(), "and a second time there is nothing to do");
        assert!(sample.bytes() == after);
    }

    #[test]
    fn a_block_that_says_nothing_is_made_anew_on_a_medium_of_ours() {
        let sample = Sample::new("anew", &[0x41; ENV_SIZE]);
        assert!(clear(&sample.0).unwrap());
        assert_eq!(Env::read(&sample.env()), Ok(Env::default()));
    }

    #[test]
    fn a_disk_of_somebody_else_is_not_touched() {
        let spoils: [(&str, u64, usize); 8] = [
            ("no table", 1, 0),
            ("a table that is damaged", 2, 60),
            ("no FAT", FIRST, 510),
            ("a volume of another name", FIRST, 73),
            ("no folder", FIRST + 590, 32),
            ("no file", FIRST + 593, 0),
            ("a file of another size", FIRST + 593, 29),
            ("a chain that leads outside", FIRST + 32, 10 * 4 + 3),
        ];
        for (what, sector, byte) in spoils {
            let sample = Sample::new("foreign", &tried());
            sample.spoil(sector, byte);
            let before = sample.bytes();
            assert!(!clear(&sample.0).unwrap(), "{what}");
            assert!(sample.bytes() == before, "{what}");
        }
    }

    #[test]
    fn disks_are_looked_at_once_each_as_they_appear() {
        let root = std::env::temp_dir().join(format!("stick-root-{}", std::process::id()));
        for folder in ["sys/block/sda", "sys/block/sdb", "dev"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("dev/sda"), vec![0; 4096]).unwrap();
        let (seen, lines) = look(&root, Vec::new());
        assert_eq!(
            (seen.as_slice(), lines.len()),
            (["sda".to_owned()].as_slice(), 0),
            "the other has no node yet"
        );
        let sample = Sample::new("appears", &tried());
        fs::copy(&sample.0, root.join("dev/sdb")).unwrap();
        let (seen, lines) = look(&root, seen);
        assert_eq!((seen.len(), lines.len()), (2, 1), "{lines:?}");
        assert!(lines[0].contains("sdb") && look(&root, seen).1.is_empty());
        fs::remove_dir_all(root).unwrap();
    }
}
