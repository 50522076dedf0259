//! Linux: the distribution's kernel reads the contents by its own files (`qemu_fw_cfg.ko`), in software emulation.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::count::{self, Trace};
use crate::image;
use crate::workspace::{Outcome, Workspace, printed, succeeds};

/// Longest life of the guest, in seconds.
const LIMIT: &str = "900";

/// What the guest says of one content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its name below `opt/labinator`.
    pub(super) name: String,
    /// Its key at the device.
    pub(super) key: u16,
    pub(super) bytes: u64,
    pub(super) sum: u32,
    /// Calls of `read` that gave something, of one pass.
    pub(super) calls: u64,
    /// Each pass, in microseconds.
    pub(super) micros: Vec<u64>,
}

/// A guest, ready to start.
pub(super) struct Linux {
    kernel: PathBuf,
    initramfs: PathBuf,
    /// `uname -r`.
    pub(super) version: String,
}

impl Linux {
    /// Takes kernel and module out of the package that node images are built from.
    ///
    /// # Errors
    /// There is no package, it lacks the module, or the program inside does not build.
    pub(super) fn prepare(workspace: &Workspace, folder: &Path) -> Outcome<Self> {
        let packages = workspace.cache.join("packages");
        if newest(&packages).is_none() {
            image::build(workspace)?;
        }
        let package = newest(&packages).ok_or("no kernel package is in the cache: `cargo xtask image`")?;
        let unpacked = folder.join("kernel");
        printed(Command::new("dpkg-deb").arg("-x").args([&package, &unpacked]))?;
        let (kernel, version) = names(&unpacked.join("boot"))
            .into_iter()
            .find_map(|name| {
                Some((unpacked.join("boot").join(&name), name.strip_prefix("vmlinuz-")?.to_owned()))
            })
            .ok_or_else(|| format!("{} holds no kernel", package.display()))?;
        let program = image::build_static(
            workspace,
            &["--package", "agent", "--example", "firmware"],
            "examples/firmware",
        )?;
        let initramfs = folder.join("initramfs");
        fs::write(&initramfs, archive(&fs::read(program)?, &module(&unpacked, &version)?)?)?;
        Ok(Self { kernel, initramfs, version })
    }

    /// Boots once; the guest reads each content `passes` times.
    ///
    /// # Errors
    /// QEMU does not start, or the guest did not tell of every content.
    pub(super) fn run(
        &self,
        contents: &[(String, PathBuf)],
        passes: usize,
        counted: bool,
    ) -> Outcome<(Vec<Seen>, Trace)> {
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", LIMIT, "qemu-system-x86_64", "-accel", "tcg,thread=single", "-m", "256"])
            .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-kernel"])
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &format!("console=ttyS0 quiet no_timer_check panic=-1 passes={passes}")])
            .args(count::POINTS.iter().filter(|_| counted));
        for (name, path) in contents {
            command.args(["-fw_cfg", &format!("name=opt/labinator/{name},file={}", path.display())]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut guest = command.spawn().map_err(|error| format!("QEMU cannot start: {error}"))?;
        let (out, errors) = guest.stdout.take().zip(guest.stderr.take()).ok_or("no pipe")?;
        let reader = std::thread::spawn(move || count::read(errors).map_err(|error| error.to_string()));
        let (mut seen, mut last) = (Vec::new(), String::new());
        for line in BufReader::new(out).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).trim().to_owned();
            seen.extend(said(&line));
            if !line.is_empty() {
                last = line;
            }
        }
        let status = guest.wait()?;
        let trace = reader.join().map_err(|_| "the trace was not read")??;
        if seen.len() == contents.len() {
            return Ok((seen, trace));
        }
        Err(format!("the guest told of {} of {} contents ({status}): {last}", seen.len(), contents.len())
            .into())
    }
}

/// The newest kernel package in the cache.
fn newest(packages: &Path) -> Option<PathBuf> {
    let fits = |name: &String| name.starts_with("linux-image-") && name.ends_with(".deb");
    names(packages).into_iter().filter(fits).max().map(|name| packages.join(name))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The module, unpacked where Debian packs it (since release 13, which also moves `/lib`).
fn module(unpacked: &Path, version: &str) -> Outcome<Vec<u8>> {
    for lib in ["lib", "usr/lib"] {
        let path =
            unpacked.join(lib).join("modules").join(version).join("kernel/drivers/firmware/qemu_fw_cfg.ko");
        let packed = path.with_extension("ko.xz");
        if packed.is_file() && !succeeds(Command::new("xz").arg("-d").arg(&packed))? {
            return Err(format!("{} cannot be unpacked", packed.display()).into());
        }
        if path.is_file() {
            return Ok(fs::read(path)?);
        }
    }
    Err(format!("the kernel {version} has no qemu_fw_cfg.ko").into())
}

/// Name, type and permissions, numbers of a device, content.
type Entry<'a> = (&'a str, u32, (u32, u32), &'a [u8]);

/// An initramfs: the program as process 1, the module, and what the kernel wants before `/dev` is there.
/// Form: "newc" of the kernel's `Documentation/driver-api/early-userspace/buffer-format`.
fn archive(program: &[u8], module: &[u8]) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let entries: [Entry<'_>; 6] = [
        ("dev", 0o040_755, (0, 0), b""),
        ("dev/console", 0o020_600, (5, 1), b""),
        ("sys", 0o040_755, (0, 0), b""),
        ("init", 0o100_755, (0, 0), program),
        ("qemu_fw_cfg.ko", 0o100_644, (0, 0), module),
        ("TRAILER!!!", 0, (0, 0), b""),
    ];
    for (inode, (name, mode, (major, minor), body)) in (1_u32..).zip(entries) {
        let (size, name_size) = (u32::try_from(body.len())?, u32::try_from(name.len() + 1)?);
        let head = [inode, mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
        bytes.extend_from_slice(b"070701");
        head.iter().for_each(|field| bytes.extend_from_slice(format!("{field:08x}").as_bytes()));
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Ok(bytes)
}

/// A line `fwcfg NAME KEY BYTES SUM CALLS MICROSECONDS…` of the guest.
fn said(line: &str) -> Option<Seen> {
    let mut words = line.strip_prefix("fwcfg ")?.split(' ');
    let name = words.next()?.to_owned();
    let (key, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (sum, calls) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let micros = words.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    (!micros.is_empty()).then_some(Seen { name, key, bytes, sum, calls, micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_guest_is_read_whole_or_not() {
        let seen = said("fwcfg b4000 45 4000 123 1 900 800").unwrap();
        assert_eq!(
            (seen.key, seen.bytes, seen.sum, seen.calls, seen.micros),
            (45, 4000, 123, 1, vec![900, 800])
        );
        for other in
            ["fwcfg end", "fwcfg failed: no such file", "fwcfg b4000 45 4000 123 1", "fwcfg a 1 2 3 4 x", ""]
        {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn an_archive_has_every_entry_on_a_multiple_of_four() {
        let bytes = archive(b"program", b"module").unwrap();
        let at = |word: &[u8]| bytes.windows(word.len()).position(|part| part == word).unwrap();
        for name in ["070701", "dev/console\0", "init\0", "qemu_fw_cfg.ko\0", "TRAILER!!!\0"] {
            at(name.as_bytes());
        }
        assert_eq!((at(b"program") % 4, at(b"module") % 4, bytes.len() % 4), (0, 0, 0));
    }
}
