//! The TFTP port: one task and one socket of its own for each transfer, all content in memory.

use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Carrier, FileRole, MacAddr, Sight};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use wire::tftp::{Blocks, End, ErrorCode, Limits, Packet, Request, Statistics, Step, Transfer};

use crate::clock::boottime_ms;
use crate::counter::Counter;
use crate::script;

/// Transfers at once.
const TRANSFERS: usize = 128;
/// Transfers at once to one address. Firmware leaves its probe behind when it asks again.
const TRANSFERS_EACH: usize = 8;
/// Largest request read.
const LARGEST: usize = 1500;
/// Shortest time between two progress sightings of a transfer, in milliseconds.
const TELL_EVERY_MS: u64 = 250;
/// The script iPXE looks for beside its own file, and in the root.
const AUTOEXEC: &str = "autoexec.ipxe";

/// The TFTP service.
#[derive(Debug)]
pub struct Tftp {
    counter: Arc<Counter>,
    socket: UdpSocket,
    clients: Arc<Mutex<HashSet<SocketAddr>>>,
}

/// What a client asked for, found.
#[derive(Debug)]
pub(crate) struct Found {
    name: String,
    role: FileRole,
    pub(crate) bytes: Bytes,
}

/// Why a file is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The path leaves the served names.
    Trick,
    /// There is no such file.
    Missing,
}

impl Tftp {
    /// A service on this socket.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        Self { counter, socket, clients: Arc::default() }
    }

    /// Answers until dropped, and takes its transfers with it.
    pub async fn run(self) {
        let mut transfers = JoinSet::new();
        let mut buffer = [0; LARGEST];
        loop {
            while transfers.try_join_next().is_some() {}
            match self.socket.recv_from(&mut buffer).await {
                Ok((count, from)) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    if let Some(transfer) = self.take(bytes, from).await {
                        transfers.spawn(transfer);
                    }
                }
                Err(error) => tracing::debug!("TFTP port: {error}"),
            }
        }
    }

    /// Looks at a request; the transfer it starts, if any.
    async fn take(&self, bytes: &[u8], from: SocketAddr) -> Option<impl Future<Output = ()> + use<>> {
        let refusal = match read_request(&self.counter, bytes) {
            Ok(request) => {
                let seat = Seat::take(&self.clients, from)?;
                let counter = Arc::clone(&self.counter);
                let local = self.socket.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
                return Some(async move {
                    if let Err(error) = serve(&counter, &request, from, local).await {
                        tracing::debug!(%from, "TFTP transfer: {error}");
                    }
                    drop(seat);
                });
            }
            Err(refusal) => refusal?,
        };
        if let Err(error) = self.socket.send_to(&refusal, from).await {
            tracing::debug!(%from, "TFTP refusal: {error}");
        }
        None
    }
}

/// What reached the request port: a request, or what it is refused with, if anything.
pub(crate) fn read_request(counter: &Counter, bytes: &[u8]) -> Result<Request, Option<Vec<u8>>> {
    match Packet::decode(bytes) {
        Ok(Packet::Read(request)) => Ok(request),
        Ok(Packet::Write(_)) => Err(Some(Packet::error(ErrorCode::ACCESS, "nothing can be written here"))),
        // What belongs to a transfer comes to that transfer's port; answering strays could start a loop.
        Ok(Packet::Data { .. } | Packet::Ack(_) | Packet::Error { .. } | Packet::OptionAck(_)) => Err(None),
        Err(_) => {
            counter.note_malformed("tftp");
            Err(None)
        }
    }
}

/// A place among the transfers. A request that is repeated while it is being answered takes none.
#[derive(Debug)]
struct Seat {
    clients: Arc<Mutex<HashSet<SocketAddr>>>,
    client: SocketAddr,
}

impl Seat {
    fn take(clients: &Arc<Mutex<HashSet<SocketAddr>>>, client: SocketAddr) -> Option<Self> {
        let mut seats = lock(clients);
        let same = seats.iter().filter(|other| other.ip() == client.ip()).count();
        if seats.len() >= TRANSFERS || same >= TRANSFERS_EACH || !seats.insert(client) {
            return None;
        }
        drop(seats);
        Some(Self { clients: Arc::clone(clients), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.clients).remove(&self.client);
    }
}

fn lock(clients: &Mutex<HashSet<SocketAddr>>) -> MutexGuard<'_, HashSet<SocketAddr>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The served name in a path: a plain name, in the root or in `boot`. Firmware writes both kinds of slash.
fn served_name(path: &str) -> Result<&str, Refused> {
    let mut name = "";
    for part in path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")) {
        match (name, part) {
            (_, "..") => return Err(Refused::Trick),
            ("" | "boot", part) => name = part,
            _ => return Err(Refused::Missing),
        }
    }
    if name.bytes().any(|byte| byte.is_ascii_control()) { Err(Refused::Trick) } else { Ok(name) }
}

async fn find(counter: &Arc<Counter>, path: &str, mac: Option<MacAddr>) -> Result<Found, Refused> {
    let name = served_name(path)?;
    if name == AUTOEXEC {
        let text = script::answer(counter, mac).await.ok_or(Refused::Missing)?;
        let bytes = Bytes::from(script::with_network(&text));
        return Ok(Found { name: AUTOEXEC.to_owned(), role: FileRole::Script, bytes });
    }
    let loader = counter.loaders.get(name).ok_or(Refused::Missing)?;
    Ok(Found { name: name.to_owned(), role: FileRole::Loader, bytes: loader.bytes.clone() })
}

/// The file a request names, or what it is refused with.
pub(crate) async fn open(
    counter: &Arc<Counter>,
    request: &Request,
    mac: Option<MacAddr>,
) -> Result<Found, Vec<u8>> {
    find(counter, &request.file, mac).await.map_err(|refused| match refused {
        Refused::Trick => Packet::error(ErrorCode::ACCESS, "this path is not served"),
        Refused::Missing => Packet::error(ErrorCode::NOT_FOUND, "no such file"),
    })
}

impl Found {
    fn size(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Begins to send it.
    pub(crate) fn transfer(&self, request: &Request, now: u64) -> (Transfer, Step) {
        Transfer::new(request, self.size(), Limits::default(), now)
    }
}

/// Runs one transfer to its end, on a port of its own.
async fn serve(
    counter: &Arc<Counter>,
    request: &Request,
    client: SocketAddr,
    local: IpAddr,
) -> io::Result<()> {
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(client).await?;
    let mac = counter.who_has(client.ip());
    let found = match open(counter, request, mac).await {
        Ok(found) => found,
        Err(refusal) => return socket.send(&refusal).await.map(drop),
    };
    let now = boottime_ms();
    let (mut transfer, first) = found.transfer(request, now);
    let mut watch = Watch::new(counter, mac, &found, now);
    let end = drive(&socket, &mut transfer, first, &mut watch).await;
    // The client closed its port: firmware does that after a probe instead of saying so.
    watch.end(end.as_ref().unwrap_or(&End::Silent), transfer.statistics());
    end.map(drop)
}

async fn drive(
    socket: &UdpSocket,
    transfer: &mut Transfer,
    first: Step,
    watch: &mut Watch<'_>,
) -> io::Result<End> {
    let mut buffer = [0; LARGEST];
    let mut step = first;
    loop {
        match step {
            Step::Wait => {}
            Step::Packet(packet) => socket.send(&packet).await.map(drop)?,
            Step::Blocks(blocks) => {
                watch.begin();
                send_blocks(socket, blocks, &watch.found.bytes).await?;
            }
            Step::End(end) => return Ok(end),
        }
        watch.progress(transfer.statistics(), boottime_ms());
        let wait = transfer.wake_at().unwrap_or_default().saturating_sub(boottime_ms());
        step = match tokio::time::timeout(Duration::from_millis(wait), socket.recv(&mut buffer)).await {
            Ok(count) => transfer.on_packet(buffer.get(..count?).unwrap_or_default(), boottime_ms()),
            Err(_) => transfer.on_time(boottime_ms()),
        };
    }
}

/// Sends a window: headers and content from where they lie, no copy of ours.
async fn send_blocks(socket: &UdpSocket, blocks: Blocks, bytes: &[u8]) -> io::Result<()> {
    for block in blocks {
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        let data = bytes.get(at(block.range.start)..at(block.range.end)).unwrap_or_default();
        let pieces = [IoSlice::new(&block.header), IoSlice::new(data)];
        socket
            .async_io(Interest::WRITABLE, || {
                let mut nothing = SendAncillaryBuffer::default();
                Ok(sendmsg(socket, &pieces, &mut nothing, SendFlags::empty())?)
            })
            .await?;
    }
    Ok(())
}

/// Tells the core how a transfer goes. Scripts are told by whoever answers them.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    counter: &'a Counter,
    mac: Option<MacAddr>,
    found: &'a Found,
    begun: bool,
    told: u64,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(counter: &'a Counter, mac: Option<MacAddr>, found: &'a Found, now: u64) -> Self {
        Self { counter, mac, found, begun: false, told: now }
    }

    /// One of a transfer that has begun already.
    pub(crate) fn of_begun(counter: &'a Counter, mac: Option<MacAddr>, found: &'a Found, now: u64) -> Self {
        Self { begun: true, ..Self::new(counter, mac, found, now) }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    fn see(&self, sight: Sight) {
        if let Some(mac) = self.mac {
            self.counter.sights.see(mac, sight);
        }
    }

    /// The first block goes out: no mere probe for the size.
    pub(crate) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            let size = self.found.size();
            let (role, name) = (self.found.role, self.found.name.clone());
            self.see(Sight::FileAsked { role, name, carrier: Carrier::Tftp, size });
        }
    }

    fn progress(&mut self, statistics: Statistics, now: u64) {
        if self.begun && now.saturating_sub(self.told) >= TELL_EVERY_MS {
            self.told = now;
            self.see(Sight::FileMoved { name: self.found.name.clone(), bytes: statistics.bytes });
        }
    }

    pub(crate) fn end(&self, end: &End, statistics: Statistics) {
        let (name, bytes) = (self.found.name.clone(), statistics.bytes);
        let why = match end {
            End::Probed => return,
            End::Complete => {
                let repeats = u32::try_from(statistics.repeats).unwrap_or(u32::MAX);
                return self.see(Sight::FileServed { name, bytes, repeats });
            }
            End::Refused { message, .. } => format!("the client gave up: {message}"),
            End::Silent => "the client fell silent".to_owned(),
        };
        if self.begun {
            self.see(Sight::FileBroken { name, bytes, why });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_in_the_root_and_in_boot_are_served() {
        for path in ["snponly.efi", "/snponly.efi", "\\snponly.efi", "//boot/snponly.efi", "./snponly.efi"] {
            assert_eq!(served_name(path), Ok("snponly.efi"), "{path}");
        }
        for path in ["../etc/passwd", "/boot/../../x", "..\\x", "a/../b", "x\n"] {
            assert_eq!(served_name(path), Err(Refused::Trick), "{path}");
        }
        assert_eq!(served_name("/etc/passwd"), Err(Refused::Missing));
        assert_eq!(served_name(""), Ok(""));
    }
}
