//! A network of its own: namespaces in which a controller and its clients are alone, and end together.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::ground::{Folder, limited, until};
use super::processes::{children, told};

/// Namespaces of network, processes and mounts. Everything inside dies with the house, and the house dies
/// with this process, however that ends: its first process reads a pipe of ours to the end.
#[derive(Debug)]
pub(crate) struct House {
    keeper: Child,
    _line: Option<ChildStdin>,
    /// First process inside.
    pub(crate) pid: u32,
    /// Goes away last.
    pub(crate) folder: Folder,
}

/// What the first process inside does: a private `/run`, the bridge, then waiting; `sh` buries orphans.
const RAISE: &str = "set -e; mount -t tmpfs tmpfs /run; ip link set lo up; \
    ip link add br0 address 02:4c:41:00:00:fe type bridge stp_state 0 forward_delay 0 mcast_snooping 0; \
    ip addr add 10.79.0.1/20 broadcast + dev br0; ip link set br0 up; echo ready; cat; exit";

impl House {
    pub(crate) fn new() -> Self {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL", "sh", "-c", RAISE]);
        command.env("PATH", path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let line = keeper.stdin.take();
        let mut first = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert_eq!(first, "ready\n", "no network of one's own here: run as root, or see `labinator demo`");
        let pid = children(keeper.id()).first().map(|(pid, _)| *pid).unwrap();
        Self { keeper, _line: line, pid, folder: Folder::new() }
    }

    /// A program inside, at most this many seconds.
    pub(crate) fn inside(&self, seconds: u32, program: impl AsRef<OsStr>) -> Command {
        let mut command = limited(seconds, "nsenter");
        self.enter(&mut command);
        command.arg(program);
        command
    }

    /// A program inside that goes on until it is told to end.
    pub(crate) fn staying(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        self.enter(&mut command);
        command.arg(program);
        command
    }

    fn enter(&self, command: &mut Command) {
        command.args(["--target", &self.pid.to_string(), "--net", "--pid", "--mount"]).env("PATH", path());
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--");
    }

    /// A line of shell inside, which must succeed.
    pub(crate) fn shell(&self, line: &str) -> String {
        told(self.inside(60, "sh").args(["-c", line]))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    /// A file that goes away with the house.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for House {
    fn drop(&mut self) {
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        // The kernel ends what is inside after its first process; files are in use until then.
        let pid = self.pid;
        if !std::thread::panicking() {
            until(Duration::from_secs(30), "the house is empty", || {
                (!super::processes::lives(pid)).then_some(())
            });
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A plain user's path lacks the system's folders.
fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/sbin")
}
