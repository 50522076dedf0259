//! The boot HTTP: loaders, content by digest, scripts and the agents' end-points, over any stream.
//!
//! | path | what |
//! |---|---|
//! | `/f/<sha256>/<name>` | content of the shelf; the name is for people |
//! | `/boot/<mac>.ipxe` | what this machine boots, as an iPXE script |
//! | `/autoexec.ipxe`, `/boot/autoexec.ipxe` | the same, found by the address that asks |
//! | `/grub/grub.cfg`, `/grub/grub.cfg-01-<mac>` | the same for GRUB |
//! | `/<loader>` | a network boot program |
//! | `/n/<mac>/<name>`, `/n/me/<name>` | what belongs to this machine: cloud-init, Ignition, answer files |
//! | `/n/<mac>/done` | a system says that it is done (GET or POST) |
//! | `/pxelinux.cfg/..` | what this machine boots, for PXELINUX and U-Boot |
//! | `/c/<word>` | a machine's config, once, for the boot that has the word |
//! | `/boot/ask`, `/boot/word` | the question of our own loader, and what it says (POST) |
//! | `/agent/v1/hello`, `/agent/v1/heartbeat` | what agents report (POST) |

mod agent;
mod body;
mod digests;
mod manner;
mod outlet;
mod own;
mod pace;
mod places;
mod range;
mod route;
mod seed;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::accept;
use crate::counter::Counter;
pub(crate) use body::Body;
pub use outlet::Stream;
use outlet::{Filling, Outlet};
use pace::Paced;
pub use pace::Patience;
pub(crate) use places::Places;
pub use range::{Part, Validators, choose};
pub(crate) use route::not_found;

/// Connections at once, where the system lets a process have descriptors for them: one each, and one for the file.
const CONNECTIONS: usize = 8192;
/// Connections at once from one address. Guests behind a hypervisor's address share it.
const CONNECTIONS_EACH: usize = 128;
/// Largest head of a request in bytes.
const HEAD_SIZE: usize = 16 << 10;
/// Most header lines of a request.
const HEAD_LINES: usize = 64;
/// Bytes the kernel may hold for one connection that are not on the wire yet. Keeps memory small and progress honest.
const UNSENT: usize = 512 << 10;
/// The same for all connections together: with many, each gets less.
const UNSENT_ALL: usize = 64 << 20;
/// The least that one gets.
const UNSENT_LEAST: usize = 16 << 10;
/// Descriptors left for everything else.
const SPARE: u64 = 256;

/// Serves one connection until either side ends it. Any stream will do, so that tests need no socket.
pub async fn serve_connection<S>(counter: Arc<Counter>, stream: S, peer: SocketAddr, patience: Patience)
where
    S: Stream,
{
    let peer = peer.ip().to_canonical();
    let outlet = Outlet::default();
    let stream = Filling::new(stream, outlet.clone());
    let answer = service_fn(|request| {
        let (counter, outlet) = (Arc::clone(&counter), outlet.clone());
        async move { Ok::<_, Infallible>(route::answer(&counter, &outlet, peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEAD_LINES)
        .serve_connection(TokioIo::new(Paced::new(stream, patience)), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%peer, "a connection ended: {error}");
    }
}

/// Accepts and serves connections. Goes on until dropped, and takes its connections with it.
pub async fn run(counter: Arc<Counter>, listener: TcpListener) {
    let guests = Arc::new(Guests::default());
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = accept::next(&listener).await;
        // Over the limit the connection is closed at once: the client's own retry is the queue.
        let Some(seat) = Guests::seat(&guests, peer.ip()) else { continue };
        let socket = SockRef::from(&stream);
        let unsent = guests.unsent();
        if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_notsent_lowat(unsent)) {
            tracing::debug!(%peer, "socket options: {error}");
        }
        let counter = Arc::clone(&counter);
        connections.spawn(async move {
            serve_connection(Arc::clone(&counter), stream, peer, Patience::default()).await;
            if seat.is_only() {
                counter.places.hung_up(peer.ip().to_canonical());
            }
        });
    }
}

/// Who is connected, and how often.
#[derive(Debug)]
struct Guests {
    seats: Arc<Semaphore>,
    by_peer: Mutex<HashMap<IpAddr, usize>>,
}

impl Default for Guests {
    fn default() -> Self {
        Self { seats: Arc::new(Semaphore::new(connections())), by_peer: Mutex::default() }
    }
}

/// Connections that the descriptors of this process allow, after asking the system for all it would give.
fn connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let pairs = current.map_or(u64::MAX, |all| all.saturating_sub(SPARE) / 2);
    usize::try_from(pairs).unwrap_or(usize::MAX).clamp(64, CONNECTIONS)
}

impl Guests {
    /// Bytes a new connection may leave unsent in the kernel.
    fn unsent(&self) -> u32 {
        let guests = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner).values().sum::<usize>();
        u32::try_from((UNSENT_ALL / guests.max(1)).clamp(UNSENT_LEAST, UNSENT)).unwrap_or(u32::MAX)
    }

    fn seat(guests: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let permit = Arc::clone(&guests.seats).try_acquire_owned().ok()?;
        let mut by_peer = guests.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(peer).or_default();
        if *count >= CONNECTIONS_EACH {
            return None;
        }
        *count += 1;
        drop(by_peer);
        Some(Seat { guests: Arc::clone(guests), peer, _permit: permit })
    }
}

/// One connection's place.
#[derive(Debug)]
struct Seat {
    guests: Arc<Guests>,
    peer: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// True when its peer has no other.
    fn is_only(&self) -> bool {
        let by_peer = self.guests.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        by_peer.get(&self.peer) == Some(&1)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut by_peer = self.guests.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&self.peer);
            }
        }
    }
}
