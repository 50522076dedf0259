//! Loading a kernel beside this one, and entering it.
//!
//! Asking the kernel directly would take unsafe code; `kexec` of the live images asks it for us (`kexec_file_load(2)`, and
//! where that is not there `kexec_load(2)`). Entering it is process 1's own word (`reboot(2)`).

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use rustix::system::{RebootCommand, reboot};

use super::image::Image;
use crate::console::Console;
use crate::wipe::tool::Tools;

/// The tool.
pub(super) const TOOL: &str = "kexec";
/// Reading a hundred megabytes from memory and hashing them; on a slow machine with others at work.
const LIMIT: Duration = Duration::from_secs(120);
/// What runs is given this long to end by itself.
const ENDING: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
const WATCHDOG: &str = "/dev/watchdog";
/// A watchdog that hears this last is at rest (`Documentation/watchdog/watchdog-api.rst`, "Magic Close").
const REST: &[u8] = b"V";

/// Loads an image. In words, how.
///
/// # Errors
/// A sentence: what the tool said.
pub(super) fn load(root: &Path, image: &Image) -> Result<&'static str, String> {
    let tools = Tools::of(root);
    let mut words = vec!["-l".to_owned(), image.kernel.display().to_string()];
    words.extend(image.initrd.iter().map(|initrd| format!("--initrd={}", initrd.display())));
    words.push(format!("--command-line={}", image.args));
    let run = |how: &str| {
        let words: Vec<&str> = std::iter::once(how).chain(words.iter().map(String::as_str)).collect();
        tools.run(TOOL, &words, LIMIT, &|_| {}).map_err(|why| why.to_string())
    };
    let Err(first) = run("-s") else { return Ok("kexec_file_load") };
    let Err(second) = run("-c") else { return Ok("kexec_load") };
    Err(format!("{first}; {second}"))
}

/// Enters what was loaded. Comes back only where that is not possible; then nothing runs any more but this.
pub(crate) fn leave(console: &Console) {
    let began = Instant::now();
    end_all();
    let kept = unmount_all();
    for place in kept {
        console.say(&format!("{place} stays mounted, and is synced"));
    }
    rest(console);
    rustix::fs::sync();
    console.say(&format!(
        "enters the next kernel, {} ms after all else was told to end",
        began.elapsed().as_millis()
    ));
    if let Err(why) = reboot(RebootCommand::Kexec) {
        console.say(&format!("the next kernel cannot be entered: {why}"));
    }
}

/// Every other process that is a program and not the kernel's own.
fn others() -> Vec<Pid> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // The kernel's own have no command line, and neither has what is dead already.
    let is_program = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
    let others = pids.filter(|pid| *pid != own && *pid != 1).filter(is_program);
    others.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

/// Tells all to end, and ends what does not.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing tells of the end of a process that is no child, and all else has ended"
)]
fn end_all() {
    for signal in [Signal::TERM, Signal::KILL] {
        let until = Instant::now() + ENDING;
        others().into_iter().for_each(|pid| _ = kill_process(pid, signal));
        while !others().is_empty() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
    }
}

/// Unmounts what lies on devices, the last one first. What stays mounted: the live image's own root always does.
fn unmount_all() -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let on_devices = on_devices(&mounts);
    on_devices.into_iter().filter(|place| unmount(place.as_str(), UnmountFlags::empty()).is_err()).collect()
}

/// Where file systems on devices that keep their content are mounted, the last one first (`proc(5)`, "mounts").
fn on_devices(mounts: &str) -> Vec<String> {
    let place = |line: &str| {
        let mut words = line.split(' ');
        let (device, place) = (words.next()?, words.next()?);
        let keeps = device.starts_with("/dev/") && !device.starts_with("/dev/loop");
        // Blanks and what else would break the line are written in octal.
        keeps.then(|| place.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
    };
    mounts.lines().rev().filter_map(place).collect()
}

/// Brings the watchdog to rest: nobody knows whether what comes next would feed it, and the lab has a limit of its own.
fn rest(console: &Console) {
    let Ok(mut device) = OpenOptions::new().write(true).open(WATCHDOG) else { return };
    if let Err(why) = device.write_all(REST) {
        console.say(&format!("{WATCHDOG} is not at rest: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_devices_is_unmounted_from_the_inside_out() {
        let mounts = "overlay / overlay rw 0 0\n/dev/loop0 /live squashfs ro 0 0\n/dev/sda1 /mnt/a\\040b ext4 rw 0 0\n\
                      tmpfs /run tmpfs rw 0 0\n/dev/sda2 /mnt/a\\040b/c ext4 rw 0 0\n";
        assert_eq!(on_devices(mounts), ["/mnt/a b/c", "/mnt/a b"]);
    }
}
