//! Heads of packets: what went to and came from each machine of the board, forgotten when its start succeeds, saved
//! as a capture file when it fails.

mod pcap;
mod port;
mod ring;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use model::{MacAddr, Sight};

pub use port::HeadSocket;

use self::port::HeadPort;
use self::ring::{Head, Rings};
use crate::counter::Counter;

/// Kept of a DHCP message in bytes: its options are at the end.
const WHOLE: usize = 600;
/// Kept of any other packet in bytes.
const SHORT: usize = 96;
/// Capture files kept; the oldest goes first.
const FILES_KEPT: usize = 32;
/// Folder of capture files in the state folder.
const FOLDER: &str = "failures";
/// Pause after the interface refused to be read, such as while it is down.
const BREATH: Duration = Duration::from_secs(1);

/// The heads of all machines of the board.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<Rings>);

impl Heads {
    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets a machine's heads.
    pub(crate) fn forget(&self, mac: MacAddr) {
        drop(self.rings().take(mac));
    }

    /// Forgets machines that are no longer on the board.
    pub(crate) fn keep_only(&self, on_board: impl Fn(MacAddr) -> bool) {
        self.rings().keep_only(on_board);
    }
}

/// The folder of capture files of a counter with this state folder.
#[must_use]
pub fn failures(state: &Path) -> PathBuf {
    state.join(FOLDER)
}

/// True for a name that a capture file of this counter can have: no path, nothing hidden.
#[must_use]
pub fn is_capture_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    name.len() <= 128
        && name.strip_suffix(".pcap").is_some_and(|stem| !stem.is_empty() && stem.chars().all(plain))
}

impl Counter {
    /// Keeps the head of a frame to or from a machine of the board. `at` is microseconds since 1970.
    pub(crate) fn note_head(&self, frame: &[u8], at: u64) {
        let Some(board) = self.board() else { return };
        let on_board = |mac: &MacAddr| board.entry(*mac).is_some();
        let address = |from: usize| frame.get(from..from + 6)?.try_into().ok().map(MacAddr);
        let dhcp = is_dhcp(frame);
        // A broadcast answer names its machine inside: chaddr, behind Ethernet (14), IP (20), UDP (8) and 28 more.
        let inside = dhcp.then(|| address(70)).flatten();
        let Some(mac) = [address(6), address(0), inside].into_iter().flatten().find(on_board) else { return };
        let kept = if dhcp { WHOLE } else { SHORT };
        let bytes = frame.get(..kept).unwrap_or(frame).into();
        self.heads.rings().push(mac, Head { at, whole: whole(frame), bytes });
    }

    /// Saves what is kept of a machine as a capture file, tells the core, and forgets it. Does nothing when nothing
    /// is kept: without the right to sniff there are no heads.
    ///
    /// # Errors
    /// `InvalidInput` for a name that is none, otherwise as the system says.
    pub fn save_packets(&self, mac: MacAddr, boot: u32, file: &str) -> io::Result<()> {
        if !is_capture_name(file) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(ring) = self.heads.rings().take(mac) else { return Ok(()) };
        let (capture, frames) = pcap::write(ring.heads());
        let folder = failures(self.state_folder());
        fs::create_dir_all(&folder)?;
        self.files.replace(&folder.join(file), &capture)?;
        prune(&folder)?;
        self.sights.see(mac, Sight::PacketsSaved { boot, file: file.to_owned(), frames });
        Ok(())
    }
}

/// Removes the oldest capture files beyond those that are kept.
fn prune(folder: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(is_capture_name))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(FILES_KEPT);
    files.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
}

fn half(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

/// True for UDP over IPv4 without options from or to a DHCP or `ProxyDHCP` port.
fn is_dhcp(frame: &[u8]) -> bool {
    let plain_udp =
        half(frame, 12) == Some(0x0800) && frame.get(14) == Some(&0x45) && frame.get(23) == Some(&17);
    plain_udp && [34, 36].iter().any(|at| matches!(half(frame, *at), Some(67 | 68 | 4011)))
}

/// Length of the frame that this is the head of, as its IP header tells.
fn whole(frame: &[u8]) -> u32 {
    let told = match half(frame, 12) {
        Some(0x0800) => half(frame, 16).map(|length| u32::from(length) + 14),
        Some(0x86dd) => half(frame, 18).map(|length| u32::from(length) + 54),
        Some(_) | None => None,
    };
    told.unwrap_or_default().max(u32::try_from(frame.len()).unwrap_or(u32::MAX))
}

/// Microseconds since 1970.
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Keeps heads until dropped.
pub(crate) async fn run(counter: Arc<Counter>, socket: HeadSocket) {
    let port = match HeadPort::new(socket) {
        Ok(port) => port,
        Err(error) => return tracing::warn!("heads of packets are not kept: {error}"),
    };
    let mut head = [0; WHOLE];
    loop {
        match port.receive(&mut head).await {
            Ok(count) => counter.note_head(head.get(..count).unwrap_or_default(), wall_us()),
            Err(error) => {
                if error.kind() != io::ErrorKind::NetworkDown {
                    tracing::warn!("packet port for heads: {error}");
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}
