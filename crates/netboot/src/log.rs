//! The log port: lines of iPXE become part of the boot they belong to.
//!
//! Every line is handed on to the log stream. Here, those of whoever is not on the board, and of programs other than iPXE,
//! are left unread.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use model::{MacAddr, Sight};
use tokio::net::UdpSocket;
use wire::heard::HeardKind;
use wire::ipxe::{IpxeError, banner_version};
use wire::syslog::Syslog;

use crate::clock::boottime_ms;
use crate::counter::Counter;

/// Largest datagram read. iPXE sends at most 128 characters and a head, daemons up to 8 KiB.
const LARGEST: usize = 8192;
/// Lines taken of one machine in [`WHILE_MS`]; the rest are left out. A whole boot of iPXE writes some thirty.
const LINES: u32 = 100;
/// How long [`LINES`] are counted, in milliseconds.
const WHILE_MS: u64 = 10_000;
/// Machines counted.
const MACHINES: usize = 4096;

/// The log service.
#[derive(Debug)]
pub struct LogPort {
    clerk: LogClerk,
    socket: UdpSocket,
}

/// Reads lines, without a socket.
#[derive(Debug)]
pub(crate) struct LogClerk {
    counter: Arc<Counter>,
    budgets: HashMap<MacAddr, (u64, u32)>,
}

impl LogPort {
    /// A service on this socket.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        Self { clerk: LogClerk::new(counter), socket }
    }

    /// Listens until dropped.
    pub async fn run(mut self) {
        let mut buffer = [0; LARGEST];
        loop {
            match self.socket.recv_from(&mut buffer).await {
                Ok((count, from)) => {
                    self.clerk.take(buffer.get(..count).unwrap_or_default(), from, boottime_ms());
                }
                Err(error) => tracing::debug!("log port: {error}"),
            }
        }
    }
}

impl LogClerk {
    pub(crate) fn new(counter: Arc<Counter>) -> Self {
        Self { counter, budgets: HashMap::new() }
    }

    /// Takes a datagram in.
    pub(crate) fn take(&mut self, datagram: &[u8], from: SocketAddr, now: u64) {
        self.counter.heard(HeardKind::Syslog, from.ip(), datagram);
        let Some(mac) = self.counter.who_has(from.ip()) else { return };
        let line = Syslog::parse(datagram);
        if !line.is_ipxe() || line.text.is_empty() || !self.afford(mac, now) {
            return;
        }
        if let Some(version) = banner_version(&line.text) {
            self.counter.note_ipxe(mac, version);
        }
        // A line that names the page of an error; eight digits alone are as likely part of a file's name.
        let error = line.text.contains("ipxe.org/").then(|| IpxeError::find(&line.text)).flatten();
        let error = error.map(|error| error.to_string());
        self.counter.sights.see_at(
            mac,
            Sight::Logged { severity: line.severity, text: line.text, error },
            now,
        );
    }

    fn afford(&mut self, mac: MacAddr, now: u64) -> bool {
        if self.budgets.len() >= MACHINES {
            self.budgets.retain(|_, (since, _)| now.saturating_sub(*since) < WHILE_MS);
            if self.budgets.len() >= MACHINES {
                self.budgets.clear();
            }
        }
        let (since, lines) = self.budgets.entry(mac).or_insert((now, 0));
        if now.saturating_sub(*since) >= WHILE_MS {
            (*since, *lines) = (now, 0);
        }
        *lines = lines.saturating_add(1);
        *lines <= LINES
    }
}
