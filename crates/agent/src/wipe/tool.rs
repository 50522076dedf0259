//! The tools by which a disk erases itself: started, waited for within a limit, and believed only with their exit status.
//!
//! Asking the kernel directly would take unsafe code; `nvme` and `blkdiscard` of the live images ask it for us.

use std::fmt;
use std::io::{BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Where tools are looked for, below the root.
const FOLDERS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
/// Bytes of what a tool says that are kept; the longest answer that is read has some thousands.
const LONGEST: u64 = 256 << 10;
/// Between two words about how long it takes.
const TICK: Duration = Duration::from_secs(1);
/// How long a tool that was killed may take to be gone; one that waits for a disk in the kernel never goes.
const DYING: Duration = Duration::from_secs(10);
/// What the shell says last. Process 1 buries every child, so nobody here can wait for one and be told its status.
const STATUS: &str = "labinator-exit-status ";
/// Runs its words, and says how that ended.
const SCRIPT: &str = "\"$@\"; echo \"labinator-exit-status $?\" >&2";

/// Why a tool brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is not in this image, or cannot be started.
    Missing(String),
    /// It said that it failed.
    Failed(String),
    /// It did not end within its limit, or was killed: nobody knows what it did, and perhaps does still.
    Lost(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Failed(why) | Self::Lost(why) => f.write_str(why),
        }
    }
}

/// The tools of one machine.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    root: PathBuf,
    /// Between two questions how far a disk is.
    pub(crate) pause: Duration,
}

impl Tools {
    /// Those of the machine whose file system starts at `root`.
    pub(crate) fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), pause: TICK }
    }

    fn find(&self, name: &str) -> Option<PathBuf> {
        FOLDERS.iter().map(|folder| self.root.join(folder).join(name)).find(|path| path.exists())
    }

    /// True where one is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Runs one to its end, and tells each second how long it has been running. What it wrote to its standard output.
    ///
    /// # Errors
    /// [`Trouble`].
    pub(crate) fn run(
        &self,
        name: &str,
        words: &[&str],
        limit: Duration,
        tick: &dyn Fn(Duration),
    ) -> Result<Vec<u8>, Trouble> {
        let Some(path) = self.find(name) else {
            return Err(Trouble::Missing(format!("`{name}` is not in this image")));
        };
        let mut command = Command::new("/bin/sh");
        // A group of its own, so that killing it reaches the tool behind the shell.
        command.args(["-c", SCRIPT, "sh"]).arg(path).args(words).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child =
            command.spawn().map_err(|why| Trouble::Missing(format!("`{name}` cannot be started: {why}")))?;
        let heard = listen(&mut child).map_err(|why| Trouble::Lost(format!("`{name}`: {why}")))?;
        let (mut out, mut said) = (None, None);
        let mut killed = None;
        while out.is_none() || said.is_none() {
            match heard.recv_timeout(TICK) {
                Ok((true, bytes)) => out = Some(bytes),
                Ok((false, bytes)) => said = Some(bytes),
                Err(RecvTimeoutError::Timeout) => tick(began.elapsed()),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            match killed {
                None if began.elapsed() >= limit => {
                    kill(&child);
                    killed = Some(Instant::now());
                }
                Some(since) if Instant::elapsed(&since) >= DYING => break,
                None | Some(_) => {}
            }
        }
        let late = || Trouble::Lost(format!("`{name}` did not end within {} s", limit.as_secs()));
        let said = said.ok_or_else(late)?;
        // It is gone, or somebody else buried it.
        drop(child.wait());
        match verdict(&String::from_utf8_lossy(&said)) {
            (Some(0), _) => Ok(out.unwrap_or_default()),
            (Some(_), why) => Err(Trouble::Failed(format!("`{name}`: {why}"))),
            (None, _) if killed.is_some() => Err(late()),
            (None, _) => Err(Trouble::Lost(format!("`{name}` was killed"))),
        }
    }
}

/// Takes up what it writes, the standard output (true) and the rest, each as a whole.
fn listen(child: &mut Child) -> std::io::Result<Receiver<(bool, Vec<u8>)>> {
    let (tell, heard) = channel();
    let streams: [(bool, Option<Box<dyn Read + Send>>); 2] = [
        (true, child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)),
        (false, child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>)),
    ];
    for (which, stream) in streams {
        let tell = tell.clone();
        let read = move || {
            let mut bytes = Vec::new();
            let Some(stream) = stream else { return };
            // What was read before it broke counts.
            drop(BufReader::new(stream).take(LONGEST).read_to_end(&mut bytes));
            drop(tell.send((which, bytes)));
        };
        std::thread::Builder::new().name("tool".to_owned()).spawn(read)?;
    }
    Ok(heard)
}

fn kill(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // What cannot be killed is told as lost all the same.
    let _sent = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// The exit status, and the line before it that says most.
fn verdict(said: &str) -> (Option<u8>, String) {
    let (lines, status) = match said.trim_end().rsplit_once(STATUS) {
        Some((before, status)) => (before, status.trim().parse().ok()),
        None => (said, None),
    };
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    // Help is not the reason.
    let why = lines.take_while(|line| !line.contains("Usage:")).last();
    (status, why.unwrap_or("it said nothing").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_was_said_last_before_the_status() {
        // util-linux 2.38 on a virtio disk, and nvme-cli 2.3 on an emulated drive.
        let discard = "blkdiscard: Operation forced, data will be lost!\nblkdiscard: /dev/vda: BLKSECDISCARD ioctl failed: Operation not supported\nlabinator-exit-status 1\n";
        assert_eq!(
            verdict(discard),
            (Some(1), "blkdiscard: /dev/vda: BLKSECDISCARD ioctl failed: Operation not supported".to_owned())
        );
        let usage = "sanitize: unrecognized option '--force'\nUsage: nvme sanitize <device> [OPTIONS]\n\nSend a sanitize command.\nlabinator-exit-status 1\n";
        assert_eq!(verdict(usage), (Some(1), "sanitize: unrecognized option '--force'".to_owned()));
        assert_eq!(verdict("labinator-exit-status 0\n"), (Some(0), "it said nothing".to_owned()));
        assert_eq!(verdict("half a li").0, None);
    }

    #[test]
    fn a_tool_that_is_missing_fails_is_killed_or_too_slow_is_told_apart() {
        let tools = Tools::of(Path::new("/"));
        let run = |name: &str, words: &[&str], limit| {
            tools
                .run(name, words, Duration::from_secs(limit), &|_| {})
                .map(|out| String::from_utf8(out).unwrap())
        };
        assert_eq!(run("sh", &["-c", "echo well"], 60), Ok("well\n".to_owned()));
        assert!(matches!(run("no-such-tool", &[], 60), Err(Trouble::Missing(_))));
        assert_eq!(
            run("sh", &["-c", "echo bad disk >&2; exit 3"], 60),
            Err(Trouble::Failed("`sh`: bad disk".to_owned()))
        );
        assert!(
            matches!(run("sh", &["-c", "kill -9 0"], 60), Err(Trouble::Lost(why)) if why.contains("killed"))
        );
        let slow = run("sh", &["-c", "exec sleep 600"], 0);
        assert_eq!(slow, Err(Trouble::Lost("`sh` did not end within 0 s".to_owned())));
    }
}
