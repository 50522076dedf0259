//! The part of a medium from which a machine with a BIOS starts: GRUB as its distribution packs it, put together and
//! written by us, and iPXE's Linux form.
//!
//! ```text
//! sector 0: boot.img's code ─▶ partition of type BIOS boot: core.img, its first sector loads the rest ─▶ GRUB/grub.cfg
//! ```
//! What is written where: GRUB 2.06, `grub-core/boot/i386/pc/boot.S` and `diskboot.S`, `include/grub/i386/pc/boot.h`.

use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::process::{ProcessError, Program, run_once};
use wire::loader::bios::FOLDER;

use super::SECTOR_SIZE;

const MKIMAGE: Program = Program::new("grub-mkimage", "grub-common");
/// Where Debian puts GRUB's files for a BIOS.
pub const GRUB_FOLDER: &str = "/usr/lib/grub/i386-pc";
/// iPXE as a Linux kernel.
pub const LKRN: &str = "ipxe.lkrn";
const LIMIT: Duration = Duration::from_secs(60);
/// More than any of these files has, in bytes.
const LARGEST: u64 = 4 << 20;
const SECTOR: usize = 512;
/// Code in a disk's first sector; what follows belongs to its table of partitions.
pub(super) const CODE: usize = 440;
/// What `grub.cfg` needs of GRUB, all of it inside the image: nothing is loaded later.
const MODULES: [&str; 17] = [
    "biosdisk",
    "part_gpt",
    "fat",
    "normal",
    "configfile",
    "linux",
    "linux16",
    "loadenv",
    "test",
    "true",
    "regexp",
    "hashsum",
    "gcry_sha256",
    "echo",
    "sleep",
    "reboot",
    "datehook",
];
/// What it uses where it is there.
const SERIAL: [&str; 2] = ["serial", "terminal"];

/// In `boot.img`: where the image begins, the drive, and a jump over a remedy for a BIOS that does not tell the drive.
const KERNEL_SECTOR: usize = 0x5c;
const DRIVE: usize = 0x64;
const DRIVE_CHECK: usize = 0x66;
/// In the image's first sector: where its rest begins, how many sectors that has, and the segment that takes it.
const REST: usize = 0x1f4;
/// The segment (`GRUB_BOOT_MACHINE_KERNEL_SEG`).
const SEGMENT: [u8; 2] = [0x20, 0x08];

/// Why there is nothing for a BIOS.
#[derive(Debug, thiserror::Error)]
pub enum BiosError {
    /// A file is not there.
    #[error("{}: {why}; apt-get install -y {package}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
        /// The package that has it.
        package: &'static str,
    },
    /// There is no folder to put GRUB together in.
    #[error("{}: {why}", path.display())]
    Scratch {
        /// Which was to be made.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// GRUB's program.
    #[error(transparent)]
    Program(#[from] ProcessError),
    /// It is GRUB of another make.
    #[error("{0} has another form than GRUB 2.02 to 2.12 give it")]
    Odd(&'static str),
}

impl BiosError {
    /// A stable word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "bios-file",
            Self::Scratch { .. } => "bios-scratch",
            Self::Program(error) => error.code(),
            Self::Odd(_) => "bios-grub-odd",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Read { .. } | Self::Program(_) => {
                "apt-get install -y grub-common grub-pc-bin ipxe; without --bios the medium is made for UEFI alone"
            }
            Self::Scratch { .. } => "see that a folder can be made there, or name another place by TMPDIR",
            Self::Odd(_) => "take Debian's grub-common and grub-pc-bin of one release",
        }
    }
}

/// What a machine with a BIOS is started by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bios {
    /// GRUB's code for a disk's first sector.
    boot: Vec<u8>,
    /// GRUB.
    core: Vec<u8>,
    /// iPXE.
    pub(super) ipxe: Vec<u8>,
}

impl Bios {
    /// Puts GRUB together from the files in `grub`, and takes iPXE from the folder of loaders.
    ///
    /// # Errors
    /// [`BiosError`]: something is missing, by the name of its package.
    pub async fn made(grub: &Path, loaders: &Path) -> Result<Self, BiosError> {
        let boot = read(&grub.join("boot.img"), "grub-pc-bin")?;
        let ipxe = read(&loaders.join(LKRN), "ipxe")?;
        let prefix = format!("(,gpt1)/{FOLDER}");
        // It syncs what it wrote, which a pipe cannot.
        let scratch = Scratch::new()?;
        let path = scratch.0.join("core.img");
        let (folder, output) = (grub.display().to_string(), path.display().to_string());
        let options = ["--format=i386-pc", "--directory", &folder, "--prefix", &prefix, "--output", &output];
        run_once(MKIMAGE, options.into_iter().chain(MODULES).chain(SERIAL), LIMIT).await?;
        Self::of(boot, read(&path, "grub-common")?, ipxe)
    }

    /// The same of files that were read.
    ///
    /// # Errors
    /// [`BiosError::Odd`].
    fn of(boot: Vec<u8>, core: Vec<u8>, ipxe: Vec<u8>) -> Result<Self, BiosError> {
        let is = |bytes: &[u8], at: usize, wanted: &[u8]| bytes.get(at..at + wanted.len()) == Some(wanted);
        let (Some(_), true) = (boot.get(..SECTOR), is(&boot, SECTOR - 2, &[0x55, 0xaa])) else {
            return Err(BiosError::Odd("boot.img"));
        };
        // A sector of one, no drive, and the jump, as they come.
        if !is(&boot, KERNEL_SECTOR, &1_u64.to_le_bytes())
            || !is(&boot, DRIVE, &[0xff])
            || !is(&boot, DRIVE_CHECK, &[0xeb, 0x05])
        {
            return Err(BiosError::Odd("boot.img"));
        }
        let rest = u16::try_from(core.len().div_ceil(SECTOR).saturating_sub(1)).ok();
        let rest = rest.filter(|rest| *rest > 0).ok_or(BiosError::Odd("GRUB's image"))?;
        let list = [2_u64.to_le_bytes().as_slice(), &rest.to_le_bytes(), &SEGMENT].concat();
        if !is(&core, REST, &list) {
            return Err(BiosError::Odd("GRUB's image"));
        }
        // Nothing stands in the way of a program that is no iPXE; it would not start, and GRUB says so.
        Ok(Self { boot, core, ipxe })
    }

    /// Sectors that GRUB takes.
    pub(super) fn sectors(&self) -> u64 {
        u64::try_from(self.core.len().div_ceil(SECTOR)).unwrap_or(u64::MAX)
    }

    /// The code for the disk's first sector, where GRUB begins at this one.
    pub(super) fn code(&self, first: u64) -> Vec<u8> {
        let mut code = self.boot.clone();
        code.truncate(CODE);
        put(&mut code, KERNEL_SECTOR, &first.to_le_bytes());
        // The remedy is not jumped over: a medium is a hard disk to a BIOS (`util/setup.c` does the same for one).
        put(&mut code, DRIVE_CHECK, &[0x90, 0x90]);
        code
    }

    /// GRUB, where it begins at this sector.
    pub(super) fn image(&self, first: u64) -> Vec<u8> {
        let mut image = self.core.clone();
        put(&mut image, REST, &(first + 1).to_le_bytes());
        image
    }

    /// Everything of it, for numbers that follow from what a medium is made of.
    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        [self.boot.as_slice(), &self.core, &self.ipxe].into_iter()
    }
}

/// The sectors before the first partition that are free for GRUB: after the table, from what suits sectors of 4096 bytes.
pub(super) const fn free(first_partition: u64) -> (u64, u64) {
    (40, first_partition / SECTOR_SIZE - 1)
}

/// A folder for one file, which nobody else may write to, and which goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, BiosError> {
        let path = std::env::temp_dir().join(format!("labinator-grub-{}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(why) => Err(BiosError::Scratch { path, why }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it harms nobody.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + what.len()) {
        place.copy_from_slice(what);
    }
}

fn read(path: &Path, package: &'static str) -> Result<Vec<u8>, BiosError> {
    let fault = |why| BiosError::Read { path: path.to_owned(), why, package };
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes)).map_err(fault)?;
    Ok(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Files of the form that GRUB's have.
    pub(crate) fn sample(sectors: usize) -> Bios {
        let mut boot = vec![0x11; SECTOR];
        put(&mut boot, KERNEL_SECTOR, &1_u64.to_le_bytes());
        put(&mut boot, DRIVE, &[0xff]);
        put(&mut boot, DRIVE_CHECK, &[0xeb, 0x05]);
        put(&mut boot, SECTOR - 2, &[0x55, 0xaa]);
        let mut core = vec![0x22; sectors * SECTOR - 7];
        put(&mut core, REST, &2_u64.to_le_bytes());
        put(&mut core, REST + 8, &u16::try_from(sectors - 1).unwrap().to_le_bytes());
        put(&mut core, REST + 10, &SEGMENT);
        Bios::of(boot, core, vec![0x33; 700]).unwrap()
    }

    #[test]
    fn grub_is_told_where_it_lies_and_keeps_the_rest() {
        let bios = sample(300);
        assert_eq!(bios.sectors(), 300);
        let code = bios.code(40);
        assert_eq!(
            (code.len(), &code[0x5c..0x68]),
            (440, [40, 0, 0, 0, 0, 0, 0, 0, 0xff, 0x11, 0x90, 0x90].as_slice())
        );
        let image = bios.image(40);
        assert_eq!(&image[0x1f4..0x200], [41, 0, 0, 0, 0, 0, 0, 0, 0x2b, 1, 0x20, 8]);
        assert!(image[..0x1f4] == bios.core[..0x1f4] && image[0x200..] == bios.core[0x200..]);
    }

    #[test]
    fn what_is_not_grubs_is_refused_by_name() {
        let good = sample(9);
        let odd = |boot: Vec<u8>, core: Vec<u8>| Bios::of(boot, core, Vec::new()).unwrap_err().to_string();
        for at in [KERNEL_SECTOR, DRIVE, DRIVE_CHECK, SECTOR - 1] {
            let mut boot = good.boot.clone();
            boot[at] ^= 4;
            assert!(odd(boot, good.core.clone()).starts_with("boot.img has"));
        }
        for at in [REST, REST + 8, REST + 11] {
            let mut core = good.core.clone();
            core[at] ^= 4;
            assert!(odd(good.boot.clone(), core).starts_with("GRUB's image has"));
        }
        assert!(odd(good.boot.clone(), good.core[..SECTOR].to_vec()).starts_with("GRUB's image has"));
    }
}
