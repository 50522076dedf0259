//! A serial adapter that is not there: a pseudo-terminal with a board behind it, plugged in and pulled out at will.
//!
//! ```text
//!   program ── /dev/…/board ─▶ /dev/pts/N ══ the other end, carried by a thread at the line's speed ══ Wired
//! ```
//!
//! The name stays, as those of `/dev/serial/by-id` do; what it leads to is another device each time it is plugged in.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};

/// Bits of a byte on a line: one to start, eight, one to stop.
const BITS: u32 = 10;
/// Longest wait for nothing.
const REST: Duration = Duration::from_millis(250);

/// What hangs on a serial line. Time is an argument, in milliseconds, and never goes back.
pub trait Wired: Send + 'static {
    /// Bytes arrive on its line.
    fn hear(&mut self, bytes: &[u8], now: u64);
    /// Lets time pass, and gives what it said since this was last asked.
    fn say(&mut self, now: u64) -> Vec<u8>;
}

impl Wired for crate::buttons::RelayBoard {
    fn hear(&mut self, bytes: &[u8], now: u64) {
        Self::hear(self, bytes, now);
    }

    fn say(&mut self, now: u64) -> Vec<u8> {
        self.lives(now);
        self.take_said()
    }
}

/// The adapter and the board on it.
#[derive(Debug)]
pub struct Adapter<B> {
    name: PathBuf,
    baud: u32,
    behind: Arc<Behind<B>>,
    plugged: Option<Plugged>,
}

#[derive(Debug)]
struct Behind<B> {
    board: Mutex<B>,
    began: Instant,
    /// Bytes that went either way.
    carried: AtomicU64,
}

#[derive(Debug)]
struct Plugged {
    path: PathBuf,
    carrier: JoinHandle<()>,
    /// A byte wakes the carrier, its end ends it.
    line: UnixStream,
}

impl<B: Wired> Behind<B> {
    fn with<T>(&self, look: impl FnOnce(&mut B, u64) -> T) -> T {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        look(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner), now)
    }
}

impl<B: Wired> Adapter<B> {
    /// An adapter that is not plugged in yet, which programs know by this name: a path that is made. Bytes travel at
    /// this speed, in bits a second.
    #[must_use]
    pub fn new(name: &Path, baud: u32, board: B) -> Self {
        let behind = Behind { board: Mutex::new(board), began: Instant::now(), carried: AtomicU64::new(0) };
        Self { name: name.to_owned(), baud: baud.max(1), behind: Arc::new(behind), plugged: None }
    }

    /// Plugs it in.
    ///
    /// # Errors
    /// No pseudo-terminal, or the name cannot be made.
    pub fn plug(&mut self) -> io::Result<()> {
        self.unplug();
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&far)?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(ptsname(&far, Vec::new())?.as_bytes()));
        // Held open, so that a program which closes it is not taken for one that pulls the plug.
        let near = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::fs::fcntl_setfl(&far, OFlags::RDWR | OFlags::NONBLOCK)?;
        let (line, end) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        drop(fs::remove_file(&self.name));
        std::os::unix::fs::symlink(&path, &self.name)?;
        let (behind, bit) = (Arc::clone(&self.behind), Duration::from_secs(1) / self.baud);
        let carrier = std::thread::Builder::new().name("serial".to_owned()).spawn(move || {
            carry(&far, &end, &behind, bit * BITS);
            drop(near);
        })?;
        self.plugged = Some(Plugged { path, carrier, line });
        Ok(())
    }

    /// Pulls it out: whoever has it open reads its end, and the name leads nowhere.
    pub fn unplug(&mut self) {
        let Some(Plugged { carrier, line, .. }) = self.plugged.take() else { return };
        drop(fs::remove_file(&self.name));
        drop(line);
        // A carrier that stopped by a fault has let go of the line, too.
        drop(carrier.join());
    }

    /// What the name leads to; none while it is pulled out.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.plugged.as_ref().map(|plugged| plugged.path.as_path())
    }

    /// How long the line was busy so far: every byte either way takes its time on it.
    #[must_use]
    pub fn busy(&self) -> Duration {
        let bytes = self.behind.carried.load(Ordering::Relaxed);
        Duration::from_nanos(bytes * u64::from(BITS) * 1_000_000_000 / u64::from(self.baud))
    }

    /// Looks at the board, or does something to it, at this moment in milliseconds of its life.
    pub fn with<T>(&self, look: impl FnOnce(&mut B, u64) -> T) -> T {
        let seen = self.behind.with(look);
        if let Some(plugged) = &self.plugged {
            // A carrier that has not read the last byte yet is awake already.
            drop((&plugged.line).write_all(b"!"));
        }
        seen
    }
}

impl<B> Drop for Adapter<B> {
    fn drop(&mut self) {
        if self.plugged.take().is_some() {
            drop(fs::remove_file(&self.name));
        }
    }
}

/// Bytes on their way, each with the moment at which it arrives.
#[derive(Debug, Default)]
struct Lane(VecDeque<(Instant, u8)>);

impl Lane {
    /// Bytes are sent now; each waits for the one before it.
    fn send(&mut self, bytes: &[u8], took: Duration) {
        let mut at = self.0.back().map_or_else(Instant::now, |(last, _)| (*last).max(Instant::now()));
        for byte in bytes {
            at += took;
            self.0.push_back((at, *byte));
        }
    }

    /// Those that have arrived.
    fn arrived(&mut self) -> Vec<u8> {
        let now = Instant::now();
        let count = self.0.iter().take_while(|(at, _)| *at <= now).count();
        self.0.drain(..count).map(|(_, byte)| byte).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.0.front().map(|(at, _)| *at)
    }
}

/// Carries bytes both ways until the control line ends or the terminal breaks.
fn carry<B: Wired>(far: &OwnedFd, control: &UnixStream, behind: &Behind<B>, took: Duration) {
    let (mut to, mut from) = (Lane::default(), Lane::default());
    let mut bytes = [0; 256];
    loop {
        let next = to.next().into_iter().chain(from.next()).min();
        let rest = next.map_or(REST, |at| at.saturating_duration_since(Instant::now()).min(REST));
        let Ok(rest) = Timespec::try_from(rest) else { return };
        let mut ends =
            [PollFd::new(far, PollFlags::IN), PollFd::from_borrowed_fd(control.as_fd(), PollFlags::IN)];
        match poll(&mut ends, Some(&rest)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        match io::Read::read(&mut &*control, &mut bytes) {
            Ok(1..) => {}
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
        match rustix::io::read(far, &mut bytes) {
            Ok(count) => to.send(bytes.get(..count).unwrap_or_default(), took),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return,
        }
        let heard = to.arrived();
        let said = behind.with(|board, now| {
            if !heard.is_empty() {
                board.hear(&heard, now);
            }
            board.say(now)
        });
        from.send(&said, took);
        let bytes = u64::try_from(heard.len() + said.len()).unwrap_or_default();
        behind.carried.fetch_add(bytes, Ordering::Relaxed);
        let arrived = from.arrived();
        // What nobody takes is lost, as on a real line.
        if !arrived.is_empty() && rustix::io::write(far, &arrived).is_err_and(|why| why != Errno::AGAIN) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::buttons::{Cabinet, Pace, RelayBoard};

    #[test]
    fn a_board_answers_through_its_name_at_the_speed_of_the_line_and_ends_with_the_plug() {
        let name = std::env::temp_dir().join(format!("sim-pty-{}", std::process::id()));
        let board = RelayBoard::new([Cabinet::new(Pace { post: 400, stop: 300 }); 8], 0);
        let mut adapter = Adapter::new(&name, 9600, board);
        assert!(fs::File::open(&name).is_err());
        adapter.plug().unwrap();
        let mut port = fs::File::options().read(true).write(true).open(&name).unwrap();
        let mut raw = rustix::termios::tcgetattr(&port).unwrap();
        raw.make_raw();
        rustix::termios::tcsetattr(&port, rustix::termios::OptionalActions::Now, &raw).unwrap();
        let began = Instant::now();
        port.write_all(b"status\n").unwrap();
        let mut text = String::new();
        while !text.contains("status 0 0 0 0 0 0 ") || !text.ends_with('\n') {
            let mut byte = [0];
            port.read_exact(&mut byte).unwrap();
            text.push(char::from(byte[0]));
        }
        // 7 bytes there and 23 back, ten bits each.
        assert!(began.elapsed() >= Duration::from_millis(31), "{:?}", began.elapsed());
        adapter.unplug();
        assert!(fs::symlink_metadata(&name).is_err());
        assert!(matches!(port.read(&mut [0]), Ok(0) | Err(_)), "the line has ended");
    }
}
