//! What is mounted for a moment: a system partition, and the firmware's variables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// Where partitions are mounted, below the name of each.
const BELOW: &str = "/run/labinator/system";
/// What shows that a machine was started by UEFI.
const FIRMWARE: &str = "/sys/firmware/efi";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Modules of the file systems, and of the letters that FAT needs; an image without them cannot do this.
const MODULES: [&str; 4] = ["vfat", "nls_cp437", "nls_ascii", "efivarfs"];
const NEEDS: &str = "the live images `hypervisor` and `rescue` have what it takes";

/// A partition that is mounted until this is dropped.
#[derive(Debug)]
pub(super) struct Mounted {
    place: PathBuf,
    is_real: bool,
}

impl Mounted {
    /// Where.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    /// A folder that stands for a partition.
    #[cfg(test)]
    pub(super) fn folder(place: PathBuf) -> Self {
        Self { place, is_real: false }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.is_real {
            // All that was written is synced; one that stays mounted is seen by whoever wants to wipe it.
            if unmount(&self.place, UnmountFlags::DETACH).is_ok() {
                drop(fs::remove_dir(&self.place));
            }
        }
    }
}

/// Mounts a system partition by its kernel name.
///
/// # Errors
/// A sentence.
pub(super) fn partition(name: &str) -> Result<Mounted, String> {
    load();
    let place = Path::new(BELOW).join(name);
    fs::create_dir_all(&place).map_err(|why| format!("{}: {why}", place.display()))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(format!("/dev/{name}"), &place, "vfat", flags, None).map_err(|why| match why {
        Errno::NODEV => format!("this image cannot read FAT: {NEEDS}"),
        Errno::INVAL => format!("{name} is called an EFI system partition, and is no FAT"),
        Errno::ROFS | Errno::ACCESS => format!("{name} is write-protected"),
        why => format!("{name} cannot be mounted: {why}"),
    })?;
    Ok(Mounted { place, is_real: true })
}

/// The folder of the firmware's variables.
///
/// # Errors
/// A sentence.
pub(super) fn variables() -> Result<PathBuf, String> {
    if !Path::new(FIRMWARE).exists() {
        return Err("this machine was started by its BIOS, or by UEFI that acts as one: boot entries are a matter of UEFI; \
                    a stick starts it by our loader, too (`labinator media build`)"
            .to_owned());
    }
    load();
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match mount("efivarfs", VARIABLES, "efivarfs", flags, None) {
        // It is there already.
        Ok(()) | Err(Errno::BUSY) => Ok(PathBuf::from(VARIABLES)),
        Err(Errno::NODEV) => Err(format!("this image cannot show the firmware's variables: {NEEDS}")),
        Err(Errno::OPNOTSUPP) => {
            Err("the kernel does not use the firmware any more (`efi=noruntime`, or a fault of the firmware)"
                .to_owned())
        }
        Err(why) => Err(format!("the firmware's variables cannot be mounted: {why}")),
    }
}

/// What is built in, or not there, is seen when it is mounted.
fn load() {
    drop(Command::new("modprobe").args(["-abq", "--"]).args(MODULES).output());
}
