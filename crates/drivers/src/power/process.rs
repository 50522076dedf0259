//! The process of a virtual machine: started or found again, watched until its end, ended.
//!
//! It belongs to nobody: `kill -9` of the core leaves it running, and the next core finds it by its pid
//! file and its working folder. Its end is seen through a pidfd, which needs no parenthood.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal, setpriority_process};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::console::put_aside;
use super::qemu::{DISK, Installed, PID, QMP, SERIAL, VARS, arguments};
use super::{CONSOLE_FILE, Machine, PowerError};
use crate::here::SCREEN;

/// What QEMU itself says, in the machine's folder; started anew with each start.
const LOG: &str = "qemu.log";
/// Limit from starting QEMU until its control socket answers.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Limit from asking QEMU to quit until it is killed.
const QUIT_LIMIT: Duration = Duration::from_secs(2);
/// How far QEMU steps back behind everything else on this computer (`nice(2)`).
const NICE: i32 = 5;
/// How often a starting QEMU is asked whether it is there.
const LOOK: Duration = Duration::from_millis(20);

/// A running QEMU.
#[derive(Debug)]
pub(super) struct Running {
    /// Its process id, for evidence.
    pub(super) pid: i32,
    pidfd: Arc<OwnedFd>,
    ended: oneshot::Receiver<String>,
}

impl Running {
    /// Starts QEMU and waits until it answers.
    ///
    /// # Errors
    /// A reason for a person.
    pub(super) async fn start(machine: &Machine, folder: &Path, with: &Installed) -> Result<Self, String> {
        let failed = |what: &str, error: &io::Error| format!("{what}: {error}");
        for old in [QMP, SERIAL, SCREEN] {
            // QEMU replaces sockets itself; an old one would only be asked in vain while it starts.
            drop(fs::remove_file(folder.join(old)));
        }
        put_aside(folder).map_err(|e| failed(CONSOLE_FILE, &e))?;
        // A firmware that remembers boots of another life would not be a cold machine.
        fs::copy(&with.vars, folder.join(VARS)).or_else(absent).map_err(|e| failed(VARS, &e))?;
        if let Some(size) = machine.disk {
            provide_disk(&folder.join(DISK), u64::from(size.0) << 20).map_err(|e| failed(DISK, &e))?;
        }
        let log = File::create(folder.join(LOG)).map_err(|e| failed(LOG, &e))?;
        let child = Command::new(&with.qemu)
            .args(arguments(machine))
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| failed(LOG, &e))?)
            .stderr(log)
            .spawn()
            .map_err(|e| failed("QEMU cannot be started", &e))?;
        let mut running = Self::of_child(child).map_err(|e| failed("QEMU cannot be watched", &e))?;
        let answers = async {
            while UnixStream::connect(folder.join(QMP)).await.is_err() {
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            how = running.ended() => Err(format!("QEMU ended at once ({how}): {}", complaint(folder))),
            () = answers => Ok(running),
            () = sleep(START_LIMIT) => {
                running.kill();
                Err(format!("QEMU did not answer in {} s", START_LIMIT.as_secs()))
            }
        }
    }

    /// Finds the QEMU of this folder that an earlier core started, if it still runs.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let pid = Pid::from_raw(fs::read_to_string(folder.join(PID)).ok()?.trim().parse().ok()?)?;
        // Open first, look second: the number cannot be given to another process in between unnoticed.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let number = pid.as_raw_nonzero().get();
        let works_in = fs::read_link(format!("/proc/{number}/cwd")).ok()?;
        let name = fs::read_to_string(format!("/proc/{number}/comm")).ok()?;
        if works_in != fs::canonicalize(folder).ok()? || !name.starts_with("qemu-system") {
            return None;
        }
        let pidfd = Arc::new(pidfd);
        let (tell, ended) = oneshot::channel();
        let watched = Arc::clone(&pidfd);
        let watch = move || {
            let readable = wait_readable(&watched);
            // Nobody listens any more when the core ends.
            drop(tell.send(match readable {
                Ok(()) => "it was found, not started: how is not known".to_owned(),
                Err(error) => format!("it cannot be watched: {error}"),
            }));
        };
        std::thread::Builder::new().name(format!("watch-{number}")).spawn(watch).ok()?;
        Some(Self { pid: number, pidfd, ended })
    }

    fn of_child(mut child: Child) -> io::Result<Self> {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::NotFound)?;
        let pidfd = Arc::new(pidfd_open(pid, PidfdFlags::empty())?);
        // Set before QEMU starts its threads, which inherit it. Machines that emulate at full speed must
        // not keep the boot counter from answering them.
        setpriority_process(Some(pid), NICE)?;
        let (tell, ended) = oneshot::channel();
        tokio::spawn(async move {
            let how = child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
            // Nobody listens any more when the core ends.
            drop(tell.send(how));
        });
        Ok(Self { pid: pid.as_raw_nonzero().get(), pidfd, ended })
    }

    /// Waits for the end and says how it was. Cancelling this loses nothing.
    pub(super) async fn ended(&mut self) -> String {
        (&mut self.ended).await.unwrap_or_else(|_| "nobody saw how".to_owned())
    }

    /// Ends it as a cut of power does, but lets QEMU tidy up where it can. Returns how it ended.
    pub(super) async fn end(&mut self, folder: &Path) -> String {
        if ask_to_quit(folder).await.is_ok()
            && let Ok(how) = timeout(QUIT_LIMIT, self.ended()).await
        {
            return how;
        }
        self.kill();
        self.ended().await
    }

    fn kill(&self) {
        // A process that is gone cannot be killed, and that is what was wanted.
        if let Err(error) = pidfd_send_signal(&self.pidfd, Signal::KILL) {
            tracing::debug!(%error, pid = self.pid, "not killed");
        }
    }
}

/// Prepares a machine's folder.
pub(super) fn prepare(folder: &Path) -> Result<(), PowerError> {
    fs::create_dir_all(folder).map_err(|source| PowerError::State { path: folder.to_owned(), source })
}

/// A disk of at least this size, in bytes. What is on it stays, also where it is larger than told: a smaller one would
/// lose its end.
fn provide_disk(path: &Path, size: u64) -> io::Result<()> {
    let file = File::options().write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() < size {
        // Sparse: it takes room only where something is written.
        file.set_len(size)?;
    }
    Ok(())
}

/// UEFI variables are installed only where a UEFI machine needs them, and were looked for then.
fn absent(error: io::Error) -> io::Result<u64> {
    if error.kind() == io::ErrorKind::NotFound { Ok(0) } else { Err(error) }
}

/// A pidfd becomes readable when its process ends (`pidfd_open(2)`).
fn wait_readable(pidfd: &OwnedFd) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], None) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// QEMU's control protocol: capabilities are agreed upon before any command (QEMU's `qmp-spec`).
async fn ask_to_quit(folder: &Path) -> io::Result<()> {
    let mut socket = UnixStream::connect(folder.join(QMP)).await?;
    socket.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n").await
}

/// The last line QEMU wrote before it ended.
fn complaint(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join(LOG)).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned()
}
