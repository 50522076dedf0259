//! libvirt by its own client: one `virsh` a question, with a limit, and what its answer means.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::Pid;
use tokio::time::timeout;

use super::process::{Buried, Process, program};
use crate::live::OK;

/// The libvirt of the machine.
pub(super) const SYSTEM: &str = "qemu:///system";
/// Limit of a question: libvirt answers in milliseconds, and one that hangs is as good as one that is away.
const ASK: Duration = Duration::from_secs(10);
/// Limit of an order to a guest that runs: there is another way to it.
const ORDER: Duration = Duration::from_secs(2);
/// Limit of defining and starting: the first domain after libvirt's start waits until that has tried every QEMU.
const ACT: Duration = Duration::from_secs(60);
/// Between the two lists of [`Virsh::look`].
const BETWEEN: &str = "=";

/// Why libvirt did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It is not there, or does not answer: it may have carried it out or not.
    Away(String),
    /// It has no such domain.
    Unknown(String),
    /// It refused.
    Refused(String),
}

/// What libvirt knows, by UUID.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// Domains that run.
    pub(super) active: Vec<String>,
    /// Domains that are defined, whether they run or not.
    pub(super) defined: Vec<String>,
}

/// How a domain is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// There is a QEMU, by libvirt's word for what it does.
    Runs(String),
    /// There is none; libvirt's words for why.
    Off(String),
    /// There is none, because somebody told libvirt to take its power.
    Destroyed(String),
}

/// How libvirt is asked.
#[derive(Debug, Clone)]
pub(super) struct Virsh {
    uri: String,
    buried: Buried,
}

impl Virsh {
    pub(super) const fn new(uri: String, buried: Buried) -> Self {
        Self { uri, buried }
    }

    /// Which domains run, and which are defined.
    ///
    /// # Errors
    /// [`Failed::Away`] in nearly every case.
    pub(super) async fn look(&self) -> Result<Looked, Failed> {
        let both = format!("list --uuid; echo {BETWEEN}; list --all --persistent --uuid");
        self.ask(&[&both], ASK).await.map(|said| lists(&said))
    }

    /// How a domain is.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn state(&self, uuid: &str) -> Result<State, Failed> {
        self.ask(&["domstate", uuid, "--reason"], ASK).await.map(|said| state(&said))
    }

    /// Defines a domain, anew where it is defined; one that runs goes on.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn define(&self, xml: &Path) -> Result<(), Failed> {
        let xml = xml.to_str().ok_or_else(|| Failed::Refused(format!("{}: not UTF-8", xml.display())))?;
        self.ask(&["define", xml], ACT).await.map(drop)
    }

    /// Starts a domain so that it stands before its first instruction; one that runs is left as it is.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn start(&self, uuid: &str) -> Result<(), Failed> {
        match self.ask(&["start", uuid, "--paused"], ACT).await {
            Err(Failed::Refused(why)) if why.contains("already active") => Ok(()),
            done => done.map(drop),
        }
    }

    /// Lets a domain go on that stands still.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn resume(&self, uuid: &str) -> Result<(), Failed> {
        self.ask(&["resume", uuid], ASK).await.map(drop)
    }

    /// Presses the power button of a domain.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn shut_down(&self, uuid: &str) -> Result<(), Failed> {
        self.ask(&["shutdown", uuid, "--mode", "acpi"], ORDER).await.map(drop)
    }

    /// Takes the power from a domain.
    ///
    /// # Errors
    /// [`Failed`]
    pub(super) async fn destroy(&self, uuid: &str) -> Result<(), Failed> {
        self.ask(&["destroy", uuid], ORDER).await.map(drop)
    }

    /// Removes the definition of a domain; its files are its agent's.
    ///
    /// # Errors
    /// [`Failed`]; one that is not defined is none.
    pub(super) async fn undefine(&self, uuid: &str) -> Result<(), Failed> {
        match self.ask(&["undefine", uuid, "--keep-nvram"], ASK).await {
            Err(Failed::Unknown(_)) => Ok(()),
            done => done.map(drop),
        }
    }

    async fn ask(&self, words: &[&str], limit: Duration) -> Result<String, Failed> {
        let virsh = program("virsh")
            .ok_or_else(|| Failed::Away("virsh is missing: apt-get install -y libvirt-clients".to_owned()))?;
        let failed = |why: io::Error| Failed::Away(format!("virsh cannot be run: {why}"));
        let (mut said, process) = self.run(&virsh, words).map_err(failed)?;
        if timeout(limit, process.gone()).await.is_err() {
            // One that is gone cannot be killed, and that is what was wanted.
            let _gone = process.kill();
            process.gone().await;
            drop(process.how(&self.buried).await);
            let what = words.first().unwrap_or(&"");
            return Err(Failed::Away(format!("virsh {what}: no answer in {} s", limit.as_secs())));
        }
        let how = process.how(&self.buried).await;
        let mut text = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut text)).map_err(failed)?;
        judge(&how, &String::from_utf8_lossy(&text))
    }

    /// As process 1 the agent buries every child where it waits for all of them; so this one is waited for by a
    /// descriptor, and what it says goes into memory, where it never waits for a reader.
    fn run(&self, virsh: &Path, words: &[&str]) -> io::Result<(File, Process)> {
        let said = File::from(memfd_create("virsh", MemfdFlags::CLOEXEC)?);
        let child = Command::new(virsh)
            .args(["--quiet", "--connect", &self.uri])
            .args(words)
            // Its words are read here.
            .env("LC_ALL", "C")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said.try_clone()?)
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        Ok((said, Process::of(pid)?))
    }
}

/// What libvirt says when it is not there, or goes away while it is asked (its `virnetsocket.c`, `virnetclient.c`,
/// `remote_driver.c`).
const AWAY: [&str; 6] = [
    "failed to connect to the hypervisor",
    "Failed to connect socket",
    "End of file while reading data",
    "client socket is closed",
    "Connection reset by peer",
    "Broken pipe",
];
/// What it says of a domain that it does not have (its `virsh-domain.c`, `virerror.c`).
const UNKNOWN: [&str; 2] = ["failed to get domain", "Domain not found"];

fn judge(how: &str, text: &str) -> Result<String, Failed> {
    // Nobody saw how it ended where another buried it; then its words tell.
    let by_words = !how.starts_with("exit status") && !how.starts_with("signal") && !text.contains("error:");
    if how == "exit status 0" || how == OK || by_words {
        return Ok(text.to_owned());
    }
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("error:")).map(str::trim).collect();
    let mut why: String = if errors.is_empty() { lines.join("; ") } else { errors.join(": ") };
    if why.is_empty() {
        format!("virsh: {how}").clone_into(&mut why);
    }
    let why: String = why.chars().take(400).collect();
    let says = |words: &[&str]| words.iter().any(|words| text.contains(words));
    Err(if says(&AWAY) || how.starts_with("signal") {
        Failed::Away(why)
    } else if says(&UNKNOWN) {
        Failed::Unknown(why)
    } else {
        Failed::Refused(why)
    })
}

fn lists(said: &str) -> Looked {
    let mut looked = Looked::default();
    let mut second = false;
    for line in said.lines().map(str::trim).filter(|line| !line.is_empty()) {
        // Each command's text ends in an empty line or not, by version; the mark may stand before the first UUID.
        let uuid = line.strip_prefix(BETWEEN).map_or(line, |rest| {
            second = true;
            rest.trim()
        });
        if !uuid.is_empty() {
            if second { &mut looked.defined } else { &mut looked.active }.push(uuid.to_owned());
        }
    }
    looked
}

/// `running (booted)`, `shut off (destroyed)` (its `virsh-domain-monitor.c`).
fn state(said: &str) -> State {
    let said = said.trim();
    let is = |words: &[&str]| words.iter().any(|word| said.starts_with(word));
    if is(&["shut off (destroyed)"]) {
        State::Destroyed(said.to_owned())
    } else if is(&["shut off", "crashed", "no state"]) {
        State::Off(said.to_owned())
    } else {
        State::Runs(said.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_virsh_says_is_read_as_what_it_means() {
        // As virsh 9.0 says it.
        let gone = "error: failed to get domain '01010101-0101-0101-0101-010101010102'\n\n";
        assert!(
            matches!(judge("exit status 1", gone), Err(Failed::Unknown(why)) if why.starts_with("failed to get"))
        );
        let away = "error: failed to connect to the hypervisor\nerror: Failed to connect socket to \
                    '/run/libvirt/libvirt-sock': No such file or directory\n";
        assert!(
            matches!(judge("exit status 1", away), Err(Failed::Away(why)) if why.contains("libvirt-sock"))
        );
        let torn = "error: Failed to start domain 'vm1'\nerror: End of file while reading data: Input/output error\n";
        assert!(matches!(judge("exit status 1", torn), Err(Failed::Away(_))));
        let other = "error: Failed to define domain from d.xml\nerror: operation failed: domain 'vm1' already exists \
                     with uuid 22222222-0101-0101-0101-010101010101\n";
        let why = judge("exit status 1", other).unwrap_err();
        assert!(
            matches!(why, Failed::Refused(why) if why.starts_with("Failed to define domain from d.xml: operation failed"))
        );
        for how in ["exit status 0", OK, "it is gone, and nobody saw how"] {
            assert_eq!(judge(how, "x\n"), Ok("x\n".to_owned()));
        }
        assert!(judge("it is gone, and nobody saw how", gone).is_err());
        assert_eq!(judge("signal 9", ""), Err(Failed::Away("virsh: signal 9".to_owned())));
    }

    #[test]
    fn the_two_lists_are_told_apart_however_they_are_set() {
        let looked = |said| {
            let Looked { active, defined } = lists(said);
            (active.join(" "), defined.join(" "))
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(looked("a\nb\n\n=\na\nc\n\n"), pair("a b", "a c"));
        assert_eq!(looked("\n=a\n\n"), pair("", "a"));
        assert_eq!(looked("=\n"), pair("", ""));
    }

    #[test]
    fn a_domain_that_stands_still_runs_and_one_that_crashed_does_not() {
        for said in ["running (booted)\n", "paused (user)", "in shutdown", "pmsuspended (disk)"] {
            assert!(matches!(state(said), State::Runs(_)), "{said}");
        }
        for said in ["shut off (crashed)\n\n", "crashed (panicked)", "shut off (shutdown)"] {
            assert!(matches!(state(said), State::Off(_)), "{said}");
        }
        assert_eq!(state("shut off (destroyed)\n"), State::Destroyed("shut off (destroyed)".to_owned()));
    }
}
