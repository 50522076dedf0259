//! Process 1 of the guest that `cargo xtask bench fwcfg` boots: reads what QEMU hands over by `fw_cfg` through the
//! kernel's own files, and tells how long it took.
//!
//! Each content is a line on the console: `fwcfg NAME KEY BYTES SUM CALLS MICROSECONDS…`, with the sum of its 32-bit
//! words, low byte first, the calls of `read` of one pass, and the time of each pass. `fwcfg end` is the last.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

const MODULE: &str = "/qemu_fw_cfg.ko";
const CONTENTS: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/labinator";
/// Sixteen pages: what a call returns less is the kernel's doing.
const BUFFER: usize = 65_536;

fn main() -> ExitCode {
    if std::process::id() != 1 {
        drop(io::stderr().write_all(b"this is process 1 of a guest, see `cargo xtask bench fwcfg`\n"));
        return ExitCode::from(2);
    }
    let told = match measure() {
        Ok(lines) => lines,
        Err(error) => format!("fwcfg failed: {error}\n"),
    };
    drop(io::stdout().write_all(format!("\n{told}fwcfg end\n").as_bytes()));
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        drop(io::stdout().write_all(format!("fwcfg failed: cannot switch off: {error}\n").as_bytes()));
    }
    // Coming back is a panic of the kernel, which would hide the lines above.
    loop {
        std::thread::park();
    }
}

fn measure() -> io::Result<String> {
    mount("sysfs", "/sys", "sysfs", MountFlags::NOSUID | MountFlags::NOEXEC, None)?;
    finit_module(File::open(MODULE)?, c"", 0)?;
    // A word of the kernel line that the kernel does not know is a variable of process 1.
    let passes = std::env::var("passes").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut names = Vec::new();
    for entry in fs::read_dir(CONTENTS)? {
        names.push(entry?.file_name());
    }
    names.sort();
    names.iter().map(|name| content(&Path::new(CONTENTS).join(name), passes)).collect()
}

fn content(folder: &Path, passes: usize) -> io::Result<String> {
    let key = fs::read_to_string(folder.join("key"))?;
    let raw = folder.join("raw");
    let mut seen = (Vec::new(), 0);
    let mut times = String::new();
    for _ in 0..passes {
        let begun = Instant::now();
        seen = read(&raw)?;
        times.push_str(&format!(" {}", micros(begun.elapsed())));
    }
    let (bytes, calls) = seen;
    let words =
        bytes.chunks(4).map(|word| word.iter().rev().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)));
    let sum = words.fold(0_u32, u32::wrapping_add);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("fwcfg {name} {} {} {sum} {calls}{times}\n", key.trim(), bytes.len()))
}

fn read(path: &Path) -> io::Result<(Vec<u8>, usize)> {
    let mut file = File::open(path)?;
    let (mut bytes, mut calls) = (Vec::new(), 0);
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok((bytes, calls));
        }
        calls += 1;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
