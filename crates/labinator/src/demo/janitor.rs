//! Sweeping up after a demo that may die in any way, `kill -9` included.
//!
//! Every process of the demo inherits the writing end of a pipe and never writes. The kernel closes it in
//! each when it dies, so the reading end comes to its end exactly when the last one is dead.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};

use super::{DemoError, namespace};
use crate::serve::PART_ARGUMENT;

/// Starts the janitor. From here on every child of this process holds the pipe, and so does what this
/// process becomes.
pub(super) fn spawn(own: &Path, state: &Path, socket: &Path) -> Result<(), DemoError> {
    let fail = || DemoError::io("the janitor");
    let (reading, writing) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| fail()(e.into()))?;
    Command::new(own)
        .args([PART_ARGUMENT, namespace::JANITOR])
        .args([state, socket])
        .stdin(Stdio::from(reading))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C on the terminal is for the demo.
        .process_group(0)
        .spawn()
        .map_err(fail())?;
    leave_open(writing).map_err(fail())
}

/// Lets an end survive exec, and never closes it in this process.
fn leave_open(end: OwnedFd) -> io::Result<()> {
    fcntl_setfd(&end, FdFlags::empty())?;
    // The number is not needed: what counts is that it stays open until this process is no more.
    let _number = std::os::fd::IntoRawFd::into_raw_fd(end);
    Ok(())
}

/// The janitor itself: waits for the end of standard input, then removes the state folder, and the
/// controller's socket if nobody answers at it.
///
/// # Errors
/// What cannot be removed.
pub fn sweep(state: &Path, socket: &Path) -> io::Result<()> {
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    let dead = UnixStream::connect(socket).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    if dead {
        fs::remove_file(socket)?;
    }
    fs::remove_dir_all(state)
}
