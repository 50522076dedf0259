//! Whether the machine's own processor can run guests: tried, not believed.
//!
//! `/dev/kvm` may be there and run no 64-bit system, as where virtualisation is nested badly. So a boot sector that
//! does nothing but enter long mode is booted once in each boot of the hypervisor; the guests of one that does not come
//! through are emulated.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::plan::Accel;
use super::process::{Buried, Process};

/// `SeaBIOS` and the sector take a quarter of a second.
const LIMIT: Duration = Duration::from_secs(3);
/// How QEMU ends when the sector writes 0x10 to its debug port: with twice that, plus one.
const CAME_THROUGH: &str = "exit status 33";
const FILE: &str = "probe.img";

/// The sector: zeroes three page tables at 0x1000, maps the first 2 MiB (0x83: present, writable, large), sets CR4.PAE,
/// EFER.LME and CR0.PG, jumps to a 64-bit segment, shifts a 64-bit number, and writes to port 0xf4.
#[rustfmt::skip]
const SECTOR: [u8; 166] = [
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xbf, 0x00, 0x10, 0x66, 0x31, 0xc0, 0xb9, 0x00,
    0x0c, 0xfc, 0x66, 0xf3, 0xab, 0x66, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00, 0x66, 0xc7, 0x06, 0x00, 0x20, 0x03,
    0x30, 0x00, 0x00, 0x66, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00, 0x66, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22,
    0xd8, 0x66, 0xb8, 0xa0, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe0, 0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x66, 0x0d,
    0x00, 0x01, 0x00, 0x00, 0x0f, 0x30, 0x0f, 0x01, 0x16, 0xa0, 0x7c, 0x66, 0xb8, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0,
    0xea, 0x69, 0x7c, 0x08, 0x00, 0x48, 0xb8, 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, 0x48, 0x89, 0xc3, 0x48, 0xc1,
    0xeb, 0x20, 0x81, 0xfb, 0x67, 0x45, 0x23, 0x01, 0x75, 0x04, 0xb0, 0x10, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd, 0x8d, 0xb4, 0x26,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x9a, 0x20, 0x00,
    0x0f, 0x00, 0x90, 0x7c, 0x00, 0x00,
];

/// Finds out what runs guests here.
pub(super) async fn probe(qemu: &Path, folder: &Path, buried: &Buried) -> Accel {
    if !Path::new("/dev/kvm").exists() {
        return Accel::Tcg;
    }
    match try_once(qemu, folder, (Accel::Kvm, buried)).await {
        Ok(true) => Accel::Kvm,
        Ok(false) | Err(_) => Accel::Tcg,
    }
}

/// True when the sector came through.
async fn try_once(qemu: &Path, folder: &Path, (accel, buried): (Accel, &Buried)) -> io::Result<bool> {
    fs::create_dir_all(folder)?;
    let path = folder.join(FILE);
    let mut sector = SECTOR.to_vec();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    fs::write(&path, sector)?;
    let accel = match accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "tcg",
    };
    let line = format!(
        "-no-user-config -nodefaults -display none -no-reboot -machine pc -accel {accel} -m 16 \
         -device isa-debug-exit,iobase=0xf4,iosize=4 -drive if=ide,format=raw,file={FILE}"
    );
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let process = Process::run(qemu, folder, &words, None)?;
    if timeout(LIMIT, process.gone()).await.is_err() {
        process.kill()?;
        process.gone().await;
    }
    let how = process.how(buried).await;
    drop(fs::remove_file(path));
    Ok(how == CAME_THROUGH)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where there is no QEMU there is nothing to try.
    #[tokio::test]
    async fn the_sector_comes_through_where_64_bits_work() {
        let Some(qemu) = super::super::process::qemu() else { return };
        let folder = std::env::temp_dir().join(format!("agent-accel-{}", std::process::id()));
        assert!(try_once(&qemu, &folder, (Accel::Tcg, &Buried::default())).await.unwrap());
        fs::remove_dir_all(&folder).unwrap();
    }
}
