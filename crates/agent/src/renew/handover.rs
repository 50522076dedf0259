//! What one build hands to the next through `exec`: the key of the boot above all. It goes through a socket that becomes
//! the standard input of the next, so it is in no file and in no environment.
//!
//! ```text
//! DESCRIPTORS (SCM_RIGHTS) with one byte, then JSON to the end
//! ```
//! The first descriptor is the program to go back to, the others are the pipes of services, in their order.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use model::{AgentKey, Digest, LabName, MacAddr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// The form that this build hands over, and the newest that it takes.
pub(super) const FORM: u32 = 1;
/// First word of a process that was handed over to. No child inherits it.
const NAME: &str = "labinator-agent";
/// Descriptors at most; an image has a handful of services.
const MOST: usize = 64;

/// Which way it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// To another build, which is on trial.
    #[default]
    Forth,
    /// Back from one that did not stay.
    Back,
}

/// Everything that must not be lost.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handover {
    pub(crate) form: u32,
    pub(crate) way: Way,
    /// The key of this boot as PKCS#8; none where none could be made.
    pub(crate) key: Option<Vec<u8>>,
    /// Number of the last seal, and the word of the counter's last answer.
    pub(crate) count: u64,
    pub(crate) word: String,
    /// Seconds of the trial.
    pub(crate) trial: Option<u64>,
    /// Who proved to be the boss.
    pub(crate) boss: KnownBoss,
    /// What reaches the boss, so that an answer is not waited for.
    pub(crate) held: Option<HeldWords>,
    /// Services, in the order of their pipes.
    pub(crate) services: Vec<Running>,
    /// Going back: the build that did not stay, and why.
    pub(crate) failed: Option<Failed>,
}

/// Who proved to be the boss of this boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KnownBoss {
    /// The key of its core.
    pub(crate) core: Option<AgentKey>,
    pub(crate) lab: Option<LabName>,
    /// Where it is.
    pub(crate) at: Option<SocketAddr>,
    /// Its counter knew the nonce of the kernel line.
    pub(crate) proven: bool,
}

/// [`crate::lease::Held`] in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldWords {
    pub(crate) port: String,
    pub(crate) index: u32,
    pub(crate) mac: MacAddr,
    pub(crate) address: IpAddr,
    pub(crate) boss: Option<SocketAddr>,
    pub(crate) resolver: Option<IpAddr>,
}

/// A service of the image that was started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Running {
    pub(crate) name: String,
    /// None: it ran once and is done.
    pub(crate) process: Option<i32>,
    /// A descriptor goes along for what it says.
    pub(crate) speaks: bool,
}

/// A build that did not stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) digest: Digest,
    pub(crate) why: String,
    /// Nobody answered it, which may be nobody's fault.
    #[serde(default)]
    pub(crate) silent: bool,
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the key.
        write!(f, "Handover({:?}, {} seals, {:?})", self.way, self.count, self.failed)
    }
}

/// What came from the build before.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) handover: Handover,
    /// The program to go back to.
    pub(crate) before: Option<OwnedFd>,
    /// Pipes of services.
    pub(crate) pipes: Vec<OwnedFd>,
}

impl Received {
    /// What was handed to this process; `None` for one that was started in any other way.
    ///
    /// # Errors
    /// It was handed something that cannot be read.
    pub(crate) fn take() -> io::Result<Option<Self>> {
        if std::env::args().next().as_deref() != Some(NAME) {
            return Ok(None);
        }
        let mut stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0; 1];
        let got = recvmsg(&stream, &mut [IoSliceMut::new(&mut mark)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut descriptors = rights
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            })
            .flatten();
        let before = descriptors.next();
        let pipes = descriptors.collect();
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        let handover: Handover = serde_json::from_slice(&text).map_err(io::Error::other)?;
        if handover.form > FORM {
            return Err(io::Error::other(format!("a handover of form {}, not {FORM}", handover.form)));
        }
        Ok(Some(Self { handover, before, pipes }))
    }
}

/// Becomes this program, with the arguments that this process has. Returns only why it could not.
pub(super) fn exec(program: &Path, handover: &Handover, pipes: &[BorrowedFd<'_>]) -> io::Error {
    let own = match File::open("/proc/self/exe") {
        Ok(own) => own,
        Err(why) => return why,
    };
    exec_with(program, handover, (own.as_fd(), pipes))
}

/// Becomes the program that this descriptor is of.
pub(super) fn exec_back(before: &OwnedFd, handover: &Handover, pipes: &[BorrowedFd<'_>]) -> io::Error {
    let program = format!("/proc/self/fd/{}", before.as_raw_fd());
    exec_with(Path::new(&program), handover, (before.as_fd(), pipes))
}

fn exec_with(
    program: &Path,
    handover: &Handover,
    (before, pipes): (BorrowedFd<'_>, &[BorrowedFd<'_>]),
) -> io::Error {
    match prepare(handover, before, pipes) {
        // The descriptor of the other end is closed by `exec` itself, and what was written stays readable.
        Ok(input) => {
            let words = std::env::args_os().skip(1);
            Command::new(program).arg0(NAME).args(words).stdin(OwnedFd::from(input)).exec()
        }
        Err(why) => why,
    }
}

/// The end that the next build reads, with everything in it already: nobody writes after `exec`.
fn prepare(handover: &Handover, before: BorrowedFd<'_>, pipes: &[BorrowedFd<'_>]) -> io::Result<UnixStream> {
    let (mut mine, theirs) = UnixStream::pair()?;
    let descriptors: Vec<BorrowedFd<'_>> = [before].into_iter().chain(pipes.iter().copied()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !rights.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other(format!("more than {MOST} descriptors to hand over")));
    }
    sendmsg(&mine, &[IoSlice::new(b"!")], &mut rights, SendFlags::NOSIGNAL)?;
    // A few kilobytes, which a socket takes whole; one that would not is an error here and not a standstill.
    mine.set_nonblocking(true)?;
    mine.write_all(&serde_json::to_vec(handover).map_err(io::Error::other)?)?;
    mine.shutdown(Shutdown::Write)?;
    Ok(theirs)
}
