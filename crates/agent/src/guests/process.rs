//! QEMU as a process that belongs to nobody: started or found again, seen to its end, and what it was made of on disk.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{GuestBoot, GuestWish};
use rustix::fs::fsync;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, setpriority_process,
    waitid,
};
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;
use tokio::time::{sleep, timeout};

use super::judge::Past;
use super::plan::{self, DISK, LOG, OVMF_VARS, PID, QMP, SERIAL, VARS, VNC};

/// How far QEMU steps back behind everything else on this machine (`nice(2)`): soft interrupts, sshd and this agent
/// must have their turn beside guests at full speed.
const NICE: i32 = 5;
/// A guest is the first to be killed for memory, before anything that keeps the machine reachable
/// (`/proc/PID/oom_score_adj`, -1000 to 1000). All have the same, so that the kernel takes one: the largest.
const OOM_SCORE: &str = "500";
/// What is known of a guest, in its folder.
const KEPT: &str = "guest.json";
/// Ends that are remembered for whoever asks.
const BURIED: usize = 64;
/// How long whoever buried a process is given to say how it ended.
const BURIAL: Duration = Duration::from_millis(500);

/// Children that process 1 buried, and how they ended: it waits for all of them, so nobody else can.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buried(Arc<Mutex<VecDeque<(i32, String)>>>);

impl Buried {
    /// Notes an end.
    pub(crate) fn note(&self, pid: i32, how: &str) {
        if let Ok(mut ends) = self.0.lock() {
            ends.push_front((pid, how.to_owned()));
            ends.truncate(BURIED);
        }
    }

    fn of(&self, pid: i32) -> Option<String> {
        let ends = self.0.lock().ok()?;
        ends.iter().find(|(who, _)| *who == pid).map(|(_, how)| how.clone())
    }
}

/// What the folder of a guest says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// In which boot of the hypervisor this was true.
    pub(super) host_boot: String,
    /// What its QEMU was started with.
    pub(super) definition: String,
    /// Its UUID: the word by which its QEMU is known.
    pub(super) uuid: String,
    /// Its port, to be plugged into the bridge.
    pub(super) tap: String,
    /// Process id and start time of QEMU; none from before it is started until it is there.
    pub(super) process: Option<(i32, u64)>,
    /// Whether libvirt started it.
    #[serde(default)]
    pub(super) libvirt: bool,
    /// Whether libvirt was told of it and took it.
    #[serde(default)]
    pub(super) defined: bool,
    /// What the judge knows.
    pub(super) past: Past,
}

impl Kept {
    /// What an earlier agent wrote; none where it wrote nothing.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(KEPT)).ok()?).ok()
    }

    /// Writes it whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        write_whole(folder, KEPT, &json(self)?)
    }
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

/// Writes a file whole or not at all.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!("{name}.new"));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    fsync(&file)?;
    fs::rename(draft, folder.join(name))
}

/// A QEMU that runs.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// In clock ticks since the kernel started (`proc_pid_stat(5)`, field 22): a number that came again is known by it.
    pub(super) started: u64,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// Starts QEMU in a guest's folder, with what it needs there.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn start(qemu: &Path, folder: &Path, wish: &GuestWish, words: &[String]) -> io::Result<Self> {
        prepare(folder, wish)?;
        let log = File::create(folder.join(LOG))?;
        let process = Self::run(qemu, folder, words, Some(log))?;
        // Before it has started its threads, which inherit it.
        process.step_back();
        Ok(process)
    }

    /// Lets everything else on this machine go before it; a guest runs without as well.
    pub(super) fn step_back(&self) {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        for thread in threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
            // To the kernel each thread has a niceness of its own.
            let _not_nice = setpriority_process(Pid::from_raw(thread), NICE);
        }
        drop(fs::write(format!("/proc/{}/oom_score_adj", self.pid), OOM_SCORE));
    }

    /// Starts a program in a group of its own; what it says goes into the file.
    pub(super) fn run(
        program: &Path,
        folder: &Path,
        words: &[String],
        log: Option<File>,
    ) -> io::Result<Self> {
        let copy = log.as_ref().map(File::try_clone).transpose()?;
        let child = Command::new(program)
            .args(words)
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(copy.map_or_else(Stdio::null, Stdio::from))
            .stderr(log.map_or_else(Stdio::null, Stdio::from))
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Self::of(pid)
    }

    /// Finds the QEMU of a guest that an earlier agent started, if it still runs.
    pub(super) fn find(folder: &Path, kept: &Kept) -> Option<Self> {
        // Between the start of QEMU and the next word of the agent only QEMU's own file has the number.
        let own = || fs::read_to_string(folder.join(PID)).ok()?.trim().parse().ok();
        let number = kept.process.map(|(pid, _)| pid).or_else(own)?;
        // Opened first, looked at second: the number cannot go to another process in between unnoticed.
        let process = Self::of(Pid::from_raw(number)?).ok()?;
        let words = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        let has = |wanted: &[u8]| words.split(|byte| *byte == 0).any(|word| word == wanted);
        let is_ours = has(kept.uuid.as_bytes());
        let here = if kept.libvirt {
            // libvirt starts it elsewhere, with whole paths.
            has(folder.join(PID).as_os_str().as_encoded_bytes())
        } else {
            fs::read_link(format!("/proc/{number}/cwd")).ok()? == fs::canonicalize(folder).ok()?
        };
        let same = kept.process.is_none_or(|(_, started)| started == process.started);
        (is_ours && here && same).then_some(process)
    }

    /// The process of this number.
    pub(super) fn of(pid: Pid) -> io::Result<Self> {
        let fd = pidfd_open(pid, PidfdFlags::empty())?;
        let pid = pid.as_raw_nonzero().get();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let started = start_time(&stat).ok_or(io::ErrorKind::InvalidData)?;
        #[expect(
            deprecated,
            reason = "what is registered is owned and stays open as long; the successor is unsafe for others"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { pid, started, fd })
    }

    /// Waits until it is gone. Cancelling this loses nothing.
    pub(super) async fn gone(&self) {
        // A pidfd becomes readable when its process ends (`pidfd_open(2)`); one that cannot be watched is taken as such.
        drop(self.fd.readable().await);
    }

    /// How it ended, after it is gone.
    pub(super) async fn how(&self, buried: &Buried) -> String {
        let fd = std::os::fd::AsFd::as_fd(self.fd.get_ref());
        let status = waitid(WaitId::PidFd(fd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        if let Ok(Some(status)) = status {
            match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => return format!("exit status {code}"),
                (None, Some(signal)) => return format!("signal {signal}"),
                (None, None) => {}
            }
        }
        let told = async {
            loop {
                if let Some(how) = buried.of(self.pid) {
                    return how;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(BURIAL, told).await.unwrap_or_else(|_| "it is gone, and nobody saw how".to_owned())
    }

    /// Kills it.
    pub(super) fn kill(&self) -> Result<(), Errno> {
        pidfd_send_signal(self.fd.get_ref(), Signal::KILL)
    }
}

/// Makes what QEMU needs in a guest's folder.
///
/// # Errors
/// As the system says.
pub(super) fn prepare(folder: &Path, wish: &GuestWish) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for old in [QMP, SERIAL, VNC, LOG] {
        // QEMU replaces sockets itself; an old one would only be asked in vain while it starts.
        drop(fs::remove_file(folder.join(old)));
    }
    if let Some(disk) = wish.spec.disk {
        let file = File::options().write(true).create(true).truncate(false).open(folder.join(DISK))?;
        let size = u64::from(disk.0) << 20;
        if file.metadata()?.len() < size {
            // Sparse: it takes room only where something is written.
            file.set_len(size)?;
        }
    }
    if wish.spec.boot == GuestBoot::NetworkUefi && !folder.join(VARS).exists() {
        fs::copy(OVMF_VARS, folder.join(VARS))?;
    }
    Ok(())
}

/// The last line that QEMU wrote.
pub(super) fn complaint(folder: &Path) -> Option<String> {
    let text = fs::read(folder.join(LOG)).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .map(|line| line.chars().take(300).collect())
}

/// The name may have anything in it, also parentheses; behind the last one follow field 3 and the others.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Where QEMU lies.
pub(super) fn qemu() -> Option<PathBuf> {
    program("qemu-system-x86_64")
}

/// Where a program lies.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]);
    places.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What is missing on this machine for such a guest, with what brings it.
pub(super) fn missing(boot: GuestBoot) -> Option<String> {
    let file = |path: &str, package: &str| {
        (!Path::new(path).is_file()).then(|| format!("{path} is missing: apt-get install -y {package}"))
    };
    match boot {
        GuestBoot::NetworkUefi => file(plan::OVMF_CODE, "ovmf").or_else(|| file(OVMF_VARS, "ovmf")),
        GuestBoot::Kernel | GuestBoot::Network => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_whatever_a_process_calls_itself() {
        let stat = "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 987654 20 21";
        assert_eq!(start_time(stat), Some(987_654));
        assert_eq!(start_time("4711 (x) S 1"), None);
    }

    #[tokio::test]
    async fn a_process_is_found_again_by_its_word_and_start_time_and_by_nothing_less() {
        let folder = std::env::temp_dir().join(format!("agent-process-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut wish = plan::tests::wish("vm1");
        wish.spec.disk = None;
        let words = ["-c".to_owned(), "read x".to_owned(), wish.uuid.to_string()];
        // Its input is `/dev/null`, so it must wait for something else: a pipe that nobody writes to.
        let pipe = folder.join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let words = words.map(|word| word.replace("read x", "read x <> pipe"));
        let process = Process::start(Path::new("/bin/sh"), &folder, &wish, &words).unwrap();
        let kept = |started, uuid: String| Kept {
            host_boot: String::new(),
            definition: String::new(),
            uuid,
            tap: String::new(),
            process: Some((process.pid, started)),
            libvirt: false,
            defined: false,
            past: Past::default(),
        };
        let same = kept(process.started, wish.uuid.to_string());
        same.write(&folder).unwrap();
        assert_eq!(Kept::read(&folder), Some(same.clone()));
        assert_eq!(Process::find(&folder, &same).map(|found| found.pid), Some(process.pid));
        assert!(Process::find(&folder, &kept(process.started + 1, wish.uuid.to_string())).is_none());
        assert!(Process::find(&folder, &kept(process.started, "another".to_owned())).is_none());
        assert!(Process::find(Path::new("/tmp"), &same).is_none());
        process.kill().unwrap();
        process.gone().await;
        assert_eq!(process.how(&Buried::default()).await, "signal 9");
        assert!(Process::find(&folder, &same).is_none());
        fs::remove_dir_all(&folder).unwrap();
    }
}
