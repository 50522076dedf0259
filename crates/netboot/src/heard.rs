//! Lines that machines send here, handed on to whoever keeps them, without ever waiting.

use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};

use wire::heard::{Heard, HeardKind};

/// The line to the log stream.
#[derive(Debug)]
pub(crate) struct HandOver {
    socket: UnixDatagram,
    lost: AtomicU64,
}

impl HandOver {
    /// Over this socket, which is made not to wait.
    pub(crate) fn over(socket: UnixDatagram) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, lost: AtomicU64::new(0) })
    }

    /// Hands a line on, or counts it as lost.
    pub(crate) fn give(&self, kind: HeardKind, from: IpAddr, line: &[u8]) {
        let lost = self.lost.load(Ordering::Relaxed);
        let mut bytes = Vec::with_capacity(line.len().saturating_add(32));
        Heard { kind, from, lost, line }.write(&mut bytes);
        if self.socket.send(&bytes).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_line_costs_lines_that_are_counted_and_no_time() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let over = HandOver::over(ours).unwrap();
        let from = IpAddr::from([10, 0, 0, 7]);
        for _ in 0..5_000 {
            over.give(HeardKind::Syslog, from, &[b'x'; 500]);
        }
        let mut buffer = [0; 1024];
        let came = std::iter::from_fn(|| theirs.recv(&mut buffer).ok()).count();
        assert!(came > 10 && came < 5_000, "{came}");
        over.give(HeardKind::Syslog, from, b"after");
        let count = theirs.recv(&mut buffer).unwrap();
        let heard = Heard::read(&buffer[..count]).unwrap();
        assert_eq!((heard.line, heard.lost), (&b"after"[..], 5_000 - came as u64));
    }
}
