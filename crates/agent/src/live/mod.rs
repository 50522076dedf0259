//! Live images: the root inside the initramfs becomes the machine's root, and what the image wants run is run.
//!
//! ```text
//! /live.squashfs ─loop─▶ lower ┐
//!                tmpfs ─▶ upper ┴ overlay ─▶ /      services, one after the other, beside the lease
//! ```
//! The agent stays process 1 and enters the new root itself: nothing is started twice, and the lease is asked for at
//! once.

mod modules;
mod services;
mod watchdog;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::chroot;
use tokio::sync::watch;

pub(crate) use modules::{are_coming as modules_are_coming, load_for_devices};
use services::Services;
pub(crate) use services::{Board, Deaths, OK};

use crate::console::Console;
use crate::kernel_line::KernelLine;
use crate::lease::Held;

/// Where the image builder puts the root.
const SQUASHFS: &str = "/live.squashfs";
/// A kernel cannot mount a file; this one can, through a loop device.
const BUSYBOX: &str = "/bin/busybox";
const LOWER: &str = "/live/lower";
const WRITTEN: &str = "/live/written";
const ROOT: &str = "/live/root";

/// True where this is a live image and its root was not entered yet.
pub(crate) fn is_here() -> bool {
    Path::new(SQUASHFS).exists()
}

/// Makes the packed root the machine's root, with a layer in RAM for what is written.
///
/// # Errors
/// A sentence for the console: which step failed and why. The machine stays in the initramfs, reports, and can be
/// looked at through the boss.
pub(crate) fn enter() -> Result<(), String> {
    for folder in [LOWER, WRITTEN, ROOT] {
        fs::create_dir_all(folder).map_err(|why| format!("{folder}: {why}"))?;
    }
    let loop_mount = ["mount", "-t", "squashfs", "-o", "loop,ro", SQUASHFS, LOWER];
    let done = Command::new(BUSYBOX).args(loop_mount).output().map_err(|why| format!("{BUSYBOX}: {why}"))?;
    if !done.status.success() {
        return Err(format!("{SQUASHFS}: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    let step = |what: &str, done: rustix::io::Result<()>| done.map_err(|why| format!("{what}: {why}"));
    step(WRITTEN, mount("tmpfs", WRITTEN, "tmpfs", MountFlags::NOSUID, Some(c"mode=755")))?;
    let (upper, work) = (format!("{WRITTEN}/upper"), format!("{WRITTEN}/work"));
    for folder in [&upper, &work] {
        fs::create_dir(folder).map_err(|why| format!("{folder}: {why}"))?;
    }
    let layers = c"lowerdir=/live/lower,upperdir=/live/written/upper,workdir=/live/written/work";
    step(ROOT, mount("overlay", ROOT, "overlay", MountFlags::empty(), Some(layers)))?;
    for shown in ["/dev", "/proc", "/sys"] {
        step(shown, mount_move(shown, format!("{ROOT}{shown}")))?;
    }
    let enter = std::env::set_current_dir(ROOT).map_err(|why| format!("{ROOT}: {why}"));
    enter.and_then(|()| step(ROOT, mount_move(".", "/"))).and_then(|()| step(ROOT, chroot(".")))?;
    std::env::set_current_dir("/").map_err(|why| format!("/: {why}"))?;
    let more: [(&str, &str, Option<&std::ffi::CStr>); 4] = [
        ("devpts", "/dev/pts", Some(c"ptmxmode=666,mode=620,gid=5")),
        ("tmpfs", "/dev/shm", None),
        ("tmpfs", "/run", Some(c"mode=755")),
        ("tmpfs", "/tmp", None),
    ];
    for (kind, at, data) in more {
        fs::create_dir_all(at).map_err(|why| format!("{at}: {why}"))?;
        step(at, mount(kind, at, kind, MountFlags::NOSUID, data))?;
    }
    modules::expect(&services::listed());
    // Every applet that no package brings as a program of its own.
    drop(Command::new(BUSYBOX).args(["--install", "-s"]).output());
    Ok(())
}

/// Runs what this image wants run, for as long as the machine. A root that was not entered has nothing to run.
pub(crate) async fn run(
    console: &Console,
    line: &KernelLine,
    held: watch::Receiver<Option<Held>>,
    (deaths, board): (Deaths, Arc<Board>),
) {
    let services = Services::read(console, board);
    if services.is_empty() {
        return std::future::pending().await;
    }
    tokio::join!(services.run(line, held.clone(), deaths), watchdog::keep(console), name_servers(held));
}

/// Tells the programs of the root where names are asked, as often as that changes.
async fn name_servers(mut held: watch::Receiver<Option<Held>>) {
    loop {
        let server = held.borrow_and_update().as_ref().and_then(|held| held.resolver);
        let text = server.map(|server| format!("nameserver {server}\n")).unwrap_or_default();
        // Only names stay unknown when this cannot be written.
        drop(fs::write("/etc/resolv.conf", text));
        if held.changed().await.is_err() {
            return;
        }
    }
}
