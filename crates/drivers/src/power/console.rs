//! The serial console of a virtual machine. QEMU itself writes it down, from its first byte (`logfile=` of its character
//! device); here it is told to whoever reads consoles, typed into, and kept from growing without bound.
//!
//! The file is a ring by holes: it grows at its end, and only the last [`KEPT`] bytes take room. Each start begins a file
//! of its own; the one before has the same name with `.old`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::sleep;

use super::qemu::SERIAL;
use crate::here::Seat;

/// Name of the console's file in a machine's folder.
pub const CONSOLE_FILE: &str = "console.log";
/// Bytes that take room.
const KEPT: u64 = 1 << 20;
/// Holes are made of this size at least: each is a call, and file systems free whole pages only.
const STEP: u64 = 256 << 10;
/// Bytes that are told of what was written before anybody looked, or faster than it could be told: as many as are kept
/// in memory.
const TOLD: u64 = 128 << 10;
/// Read at once.
const PIECE: usize = 16 << 10;
/// QEMU writes to its socket first and to the file after it: how long after news from the socket the file is looked at
/// once more.
const SETTLES: Duration = Duration::from_millis(20);

/// Puts the console of an earlier start aside.
pub(super) fn put_aside(folder: &Path) -> io::Result<()> {
    let path = folder.join(CONSOLE_FILE);
    match fs::rename(&path, path.with_extension("old")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Tells what is kept of a machine that does not run.
pub(super) fn tell_kept(seat: &Seat) -> io::Result<()> {
    match Log::open(&seat.folder) {
        Ok(mut log) => log.tell(seat),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Follows the console of a QEMU until it ends, and types into it.
pub(super) async fn follow(seat: Seat) -> io::Result<()> {
    let mut typed = seat.listen();
    // Whatever is wrong with the file, the socket is read: else the machine would stop.
    let mut log = Log::open(&seat.folder).map_err(|error| complain(&seat, &error)).ok();
    let mut look = || {
        if let Some(Err(error)) = log.as_mut().map(|log| log.tell(&seat)) {
            complain(&seat, &error);
        }
    };
    let mut socket = UnixStream::connect(seat.folder.join(SERIAL)).await?;
    let (mut told, mut keys) = socket.split();
    let mut buffer = vec![0; PIECE];
    let mut unsettled = true;
    loop {
        look();
        tokio::select! {
            // What comes here is in the file as well. But a socket that nobody reads would stop the machine.
            count = told.read(&mut buffer) => {
                if count? == 0 {
                    look();
                    return Ok(());
                }
                unsettled = true;
            }
            () = sleep(SETTLES), if unsettled => unsettled = false,
            Some(typing) = typed.recv() => {
                keys.write_all(&typing.text).await?;
                // Whoever typed may have left.
                typing.done.send(()).unwrap_or_default();
            }
        }
    }
}

fn complain(seat: &Seat, error: &io::Error) {
    tracing::debug!(%error, node = %seat.node, "what its console says is not told");
}

struct Log {
    file: File,
    /// Up to here it was told.
    at: u64,
    /// Up to here it was given back to the disk.
    freed: u64,
}

impl Log {
    fn open(folder: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(folder.join(CONSOLE_FILE))?;
        let at = file.metadata()?.len().saturating_sub(TOLD);
        Ok(Self { file, at, freed: 0 })
    }

    /// Tells what is new, and gives back what is too much.
    fn tell(&mut self, seat: &Seat) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            let size = self.file.metadata()?.len();
            let oldest = size.saturating_sub(KEPT);
            if self.at < oldest {
                let next = size.saturating_sub(TOLD);
                seat.consoles.lose(&seat.node, next.saturating_sub(self.at));
                self.at = next;
            }
            if oldest.saturating_sub(self.freed) >= STEP {
                fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, oldest)?;
                self.freed = oldest;
            }
            let count = self.file.read_at(&mut piece, self.at)?;
            if count == 0 {
                return Ok(());
            }
            seat.consoles.append(&seat.node, piece.get(..count).unwrap_or_default());
            self.at += u64::try_from(count).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::channel::Consoles;

    fn seat(name: &str) -> (Seat, PathBuf) {
        let state = std::env::temp_dir().join(format!("drivers-console-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&state));
        fs::create_dir_all(state.join("node1")).unwrap();
        let consoles = Consoles::default();
        let node = "node1".parse().unwrap();
        consoles.expect(&node);
        (Seat::new(node, state.join("node1"), consoles), state)
    }

    #[test]
    fn a_console_is_told_whole_and_its_file_keeps_its_last_words_and_no_more() {
        let (seat, state) = seat("whole");
        let path = seat.folder.join(CONSOLE_FILE);
        let mut qemu = File::options().create(true).append(true).open(&path).unwrap();
        let mut log = Log::open(&seat.folder).unwrap();
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        for round in 0..400_u32 {
            let piece: Vec<u8> = (0..10_000_u32).map(|n| ((n + round) % 251) as u8).collect();
            qemu.write_all(&piece).unwrap();
            said.extend(piece);
            log.tell(&seat).unwrap();
            let from = heard.len() as u64;
            let part = seat.consoles.read(&seat.node, from, usize::MAX).unwrap();
            assert_eq!((part.from, part.lost), (from, 0));
            heard.extend(part.bytes);
        }
        assert!(heard == said);
        let about = fs::metadata(&path).unwrap();
        assert_eq!(about.len(), 4_000_000);
        assert!(about.blocks() * 512 <= KEPT + 2 * STEP, "{} blocks", about.blocks());
        assert!(fs::read(&path).unwrap().ends_with(&said[said.len() - 900_000..]));

        // Faster than anybody can tell: what is missed is counted.
        qemu.write_all(&vec![b'z'; 2 << 20]).unwrap();
        log.tell(&seat).unwrap();
        let part = seat.consoles.read(&seat.node, 0, usize::MAX).unwrap();
        assert_eq!(part.lost, (2 << 20) - TOLD);
        assert_eq!(part.bytes, vec![b'z'; 128 << 10]);
        fs::remove_dir_all(&state).unwrap();
    }

    #[test]
    fn the_console_of_an_earlier_start_is_put_aside_and_what_is_kept_is_told_again() {
        let (seat, state) = seat("aside");
        put_aside(&seat.folder).unwrap();
        tell_kept(&seat).unwrap();
        assert_eq!(seat.consoles.read(&seat.node, 0, 10).unwrap().bytes, b"");
        fs::write(seat.folder.join(CONSOLE_FILE), b"login: ").unwrap();
        tell_kept(&seat).unwrap();
        assert_eq!(seat.consoles.read(&seat.node, 0, 10).unwrap().bytes, b"login: ");
        put_aside(&seat.folder).unwrap();
        assert!(!seat.folder.join(CONSOLE_FILE).exists());
        assert_eq!(fs::read(seat.folder.join("console.old")).unwrap(), b"login: ");
        fs::remove_dir_all(&state).unwrap();
    }
}
