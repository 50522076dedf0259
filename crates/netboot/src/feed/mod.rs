//! What machines that boot Talos push without being asked: events to a sink, lines of their logs.
//!
//! ```text
//!  event sink (h2c) ──▶ one call an event ─┐
//!                                          ├─▶ voices: what each machine said, in bounds ─▶ sightings, merged
//!  JSON lines (TCP) ──▶ one object a line ─┘
//! ```
//!
//! Nobody who speaks here proves who he is. He is taken for the machine of the board that has his address, and whoever
//! has none of these is hung up on. What is said is shown to people; nothing waits for it.

mod events;
mod lines;
mod voices;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::accept;
use crate::counter::Counter;

pub(crate) use voices::Voices;

/// Connections at once on one port. A machine has one.
const CONNECTIONS: usize = 512;
/// Connections at once from one address. A machine that lost power leaves its last one behind, so the oldest goes.
const CONNECTIONS_EACH: usize = 4;

/// What a port takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Calls of the event sink.
    Events,
    /// Lines of logs.
    Lines,
}

/// Accepts and hears connections. Goes on until dropped, and takes its connections with it.
pub(crate) async fn run(counter: Arc<Counter>, listener: TcpListener, taken: Taken) {
    let mut connections = JoinSet::new();
    let mut seats = Seats::default();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = accept::next(&listener).await;
        let from = peer.ip().to_canonical();
        if counter.machine_at(from).is_none() {
            tracing::debug!(%peer, "nobody of the board talks to the port of {taken:?}");
            continue;
        }
        if !seats.has_room(from) {
            continue;
        }
        keep_alive(&stream);
        let counter = Arc::clone(&counter);
        let task = connections.spawn(async move {
            match taken {
                Taken::Events => events::hear(&counter, stream, from).await,
                Taken::Lines => lines::hear(&counter, stream, from).await,
            }
        });
        seats.take(from, task);
    }
}

/// A machine that lost power says nothing any more, and one that is well may be silent for hours.
fn keep_alive(stream: &TcpStream) {
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(20))
        .with_retries(3);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        tracing::debug!("socket options: {error}");
    }
}

/// Who is connected, oldest first.
#[derive(Debug, Default)]
struct Seats(HashMap<IpAddr, VecDeque<AbortHandle>>);

impl Seats {
    /// Makes room for one more of this address, by ending its oldest. False when all seats are taken by others.
    fn has_room(&mut self, from: IpAddr) -> bool {
        self.0.retain(|_, tasks| {
            tasks.retain(|task| !task.is_finished());
            !tasks.is_empty()
        });
        if let Some(own) = self.0.get_mut(&from)
            && own.len() >= CONNECTIONS_EACH
        {
            own.pop_front().inspect(AbortHandle::abort);
            return true;
        }
        self.0.values().map(VecDeque::len).sum::<usize>() < CONNECTIONS
    }

    fn take(&mut self, from: IpAddr, task: AbortHandle) {
        self.0.entry(from).or_default().push_back(task);
    }
}
