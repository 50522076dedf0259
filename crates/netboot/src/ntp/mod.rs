//! Time for the lab: UDP port 123 on the boss's address, with a stratum that says what the boss's clock is worth.
//!
//! ```text
//! question ─▶ of the lab? ─▶ asks too often? ─▶ kiss-o'-death, then silence
//!                                   └ no ─▶ the clock: kept by the kernel's servers, by a person, or by nobody
//! ```

mod clock;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::NtpMode;
use tokio::net::UdpSocket;
use wire::ntp::{Packet, Timestamp};

use self::clock::Watch;
pub use self::clock::{Keeper, Reading, describe};
use crate::board::Reach;
use crate::clock::boottime_ms;
use crate::counter::Counter;

/// Largest datagram read; extensions behind the packet are left unread.
const LARGEST: usize = 512;
/// Questions a client may ask at once: chrony and ntpd begin with eight.
const BURST: u32 = 16;
/// How long one more question takes to be allowed, in milliseconds.
const EACH_MS: u64 = 1_000;
/// Clients remembered.
const CLIENTS: usize = 4096;

/// The time service.
#[derive(Debug)]
pub struct Ntp {
    counter: Arc<Counter>,
    socket: UdpSocket,
    watch: Watch,
    budgets: HashMap<IpAddr, Budget>,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    since: u64,
    left: u32,
}

/// What a question is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Answer,
    SlowDown,
    Silence,
}

impl Ntp {
    /// A service on this socket.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        Self { counter, socket, watch: Watch::default(), budgets: HashMap::new() }
    }

    /// Answers until dropped.
    pub async fn run(mut self) {
        let mut buffer = [0; LARGEST];
        loop {
            let (count, from) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!("NTP port: {error}");
                    continue;
                }
            };
            let Some(answer) = self.answer(buffer.get(..count).unwrap_or_default(), from) else { continue };
            if let Err(error) = self.socket.send_to(&answer, from).await {
                tracing::debug!(%from, "an NTP answer could not be sent: {error}");
            }
        }
    }

    fn answer(&mut self, bytes: &[u8], from: SocketAddr) -> Option<[u8; wire::ntp::SIZE]> {
        let reading = Reading::now();
        let board = self.counter.board()?;
        let network = &board.table().network;
        if network.ntp == NtpMode::Off || !Reach::of(network).holds(from.ip()) {
            return None;
        }
        let Ok(question) = Packet::decode(bytes) else {
            self.counter.note_malformed("ntp");
            return None;
        };
        match self.allow(from.ip(), boottime_ms()) {
            Allowed::Silence => None,
            Allowed::SlowDown => question.slow_down(reading.timestamp()).map(|packet| packet.encode()),
            Allowed::Answer => {
                let (keeper, stepped) = self.watch.look(&reading, network.ntp);
                if let Some(seconds) = stepped {
                    tracing::warn!(
                        "the boss's clock was set by {seconds} s; whoever took its time before has another"
                    );
                    self.counter.sights.notice(model::Notice::ClockStepped { seconds });
                }
                let clock = describe(keeper, &reading);
                question.answer(&clock, reading.timestamp(), sent()).map(|packet| packet.encode())
            }
        }
    }

    fn allow(&mut self, client: IpAddr, now: u64) -> Allowed {
        if self.budgets.len() >= CLIENTS {
            self.budgets.retain(|_, budget| now.saturating_sub(budget.since) < EACH_MS * u64::from(BURST));
            if self.budgets.len() >= CLIENTS {
                self.budgets.clear();
            }
        }
        let budget = self.budgets.entry(client).or_insert(Budget { since: now, left: BURST });
        let earned = u32::try_from(now.saturating_sub(budget.since) / EACH_MS).unwrap_or(u32::MAX);
        if earned > 0 {
            budget.left = budget.left.saturating_add(earned).min(BURST);
            budget.since = now;
        }
        let allowed = match budget.left {
            0 => Allowed::Silence,
            // Said once, when the last one is spent: a flood gets no answer for each packet.
            1 => Allowed::SlowDown,
            _ => Allowed::Answer,
        };
        budget.left = budget.left.saturating_sub(1);
        allowed
    }
}

fn sent() -> Timestamp {
    Reading::now().timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_asks_too_often_is_told_once_and_then_not_heard() {
        let folder = std::env::temp_dir().join(format!("ntp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let parts = crate::Parts {
            files: Arc::new(store::Disk),
            state: folder.clone(),
            loaders: crate::Loaders::default(),
            shelf: store::shelf::Shelf::new(folder.join("shelf")),
            http_port: 80,
            transfers: 1,
        };
        let (counter, _) = Counter::open(parts).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut ntp = Ntp::new(counter, socket);
        let client = IpAddr::from([10, 0, 0, 9]);
        let all: Vec<Allowed> = (0..20).map(|_| ntp.allow(client, 5_000)).collect();
        assert_eq!(all.iter().filter(|a| **a == Allowed::Answer).count(), 15);
        assert_eq!(all.iter().filter(|a| **a == Allowed::SlowDown).count(), 1);
        assert_eq!(all.last(), Some(&Allowed::Silence));
        // Another is heard meanwhile, and this one again after a while.
        assert_eq!(ntp.allow(IpAddr::from([10, 0, 0, 8]), 5_000), Allowed::Answer);
        assert_eq!(ntp.allow(client, 9_000), Allowed::Answer);
        drop(std::fs::remove_dir_all(&folder));
    }
}
