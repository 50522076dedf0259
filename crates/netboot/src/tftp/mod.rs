//! The TFTP port: every transfer in one table, a few sockets for all of them, no task and no descriptor of their own.
//!
//! ```text
//!  port 69 ──RRQ──▶ arrive ──▶ open (memory at once; ledger and disk in a job) ──▶ begin ──▶ OACK or DATA 1
//!  doors ◀─▶ sessions ──blocks──▶ runs of built packets, from memory or by a job from the disk ──▶ one call a window
//! ```
//!
//! In single-port mode port 69 is the door: firewalls and odd relays that lose answers from another port let those
//! through.

mod door;
mod files;
mod frames;
mod paces;
mod watch;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use model::{MacAddr, TftpPorts};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use wire::tftp::{
    Arrival, Blocks, End, ErrorCode, Packet, Peer, Request, Room, Sessions, Statistics, Step, Turn,
};

use crate::clock::boottime_ms;
use crate::counter::{Counter, Over};
pub(crate) use door::BLOCK6;
use door::Door;
pub(crate) use files::Found;
use files::{Named, Refused, Source};
use frames::{RunName, Runs};
pub(crate) use paces::{Paces, Whose};
pub(crate) use watch::Watch;

/// Sockets that transfers share, beside the request port. Each has the kernel's buffers of its own.
const DOORS: u8 = 4;
/// Largest packet read. What a client sends is a request or four bytes.
const LARGEST: usize = 1500;
/// Files being opened or read at once; further requests wait for the client's repetition.
const JOBS: usize = 1024;

/// The TFTP service.
#[derive(Debug)]
pub struct Tftp {
    counter: Arc<Counter>,
    local: IpAddr,
    /// The request port first.
    doors: Vec<Door>,
    next_door: u8,
    sessions: Sessions<Served>,
    runs: Runs,
    paces: Paces,
    jobs: JoinSet<Job>,
    /// Who waits for a run that is being read.
    awaited: BTreeMap<RunName, Vec<Peer>>,
}

/// A transfer's file and what is told of it.
#[derive(Debug)]
struct Served {
    found: Found,
    watch: Watch,
    /// Blocks that go out as soon as they are read.
    held: Option<Blocks>,
}

/// What a job came back with.
#[derive(Debug)]
enum Job {
    Opened(SocketAddr, Option<u8>, Request, Result<Found, Refused>),
    Built(RunName, io::Result<Bytes>),
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

/// The file a request names, or what it is refused with.
pub(crate) async fn open(
    counter: &Arc<Counter>,
    request: &Request,
    whose: (Option<MacAddr>, Over),
) -> Result<Found, Vec<u8>> {
    let opened = match files::named(&request.file) {
        Ok(named) => files::find(counter, named, whose).await,
        Err(refused) => Err(refused),
    };
    opened.and_then(|found| found.in_mode(request.mode)).map_err(Refused::packet)
}

/// These blocks as packets, read at once.
pub(crate) fn packets(found: &Found, blocks: Blocks, block: u16) -> io::Result<Vec<Vec<u8>>> {
    let run = frames::build(&found.source, blocks)?;
    Ok(run.chunks(usize::from(block) + 4).map(<[u8]>::to_vec).collect())
}

impl Tftp {
    /// A service on this socket.
    #[must_use]
    pub fn new(counter: Arc<Counter>, socket: UdpSocket) -> Self {
        Self::with_room(counter, socket, Room::default())
    }

    /// The same for so many transfers.
    #[must_use]
    pub fn with_room(counter: Arc<Counter>, socket: UdpSocket, room: Room) -> Self {
        let local = socket.local_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
        Self {
            counter,
            local,
            doors: vec![Door::new(socket)],
            next_door: 0,
            sessions: Sessions::new(room),
            runs: Runs::default(),
            paces: Paces::default(),
            jobs: JoinSet::new(),
            awaited: BTreeMap::new(),
        }
    }

    /// Answers until dropped, and takes its transfers with it.
    pub async fn run(mut self) {
        for _ in 0..DOORS {
            match Door::bind(self.local).await {
                Ok(door) => self.doors.push(door),
                // Then the request port serves.
                Err(error) => tracing::warn!("TFTP transfers have no port of their own: {error}"),
            }
        }
        let mut buffer = [0; LARGEST];
        loop {
            let wait = self.sessions.wake_at().map(|at| at.saturating_sub(boottime_ms()));
            tokio::select! {
                biased;
                got = receive(&self.doors, &mut buffer) => match got {
                    Ok((door, count, from)) => {
                        let bytes = buffer.get(..count).unwrap_or_default();
                        self.on_packet(door, bytes, from).await;
                    }
                    Err(error) => tracing::debug!("TFTP port: {error}"),
                },
                Some(job) = self.jobs.join_next() => self.on_job(job.ok()).await,
                () = tokio::time::sleep(Duration::from_millis(wait.unwrap_or_default())), if wait.is_some() => {}
            }
            while let Some(job) = self.jobs.try_join_next() {
                self.on_job(job.ok()).await;
            }
            let now = boottime_ms();
            while let Some((peer, turn)) = self.sessions.on_time(now) {
                self.go_on(peer, turn, now).await;
            }
            while let Some((peer, end, statistics, served)) = self.sessions.next_gone() {
                self.over(peer, &end, statistics, &served);
            }
        }
    }

    async fn on_packet(&mut self, door: u8, bytes: &[u8], from: SocketAddr) {
        let now = boottime_ms();
        let peer = Peer { host: from.ip(), port: from.port(), door };
        if let Some(turn) = (!is_request(bytes)).then(|| self.sessions.on_packet(peer, bytes, now)).flatten()
        {
            return self.go_on(peer, turn, now).await;
        }
        if door != 0 {
            return;
        }
        match read_request(&self.counter, bytes) {
            Ok(request) => self.on_request(request, from, now).await,
            Err(Some(refusal)) => self.say(0, &refusal, from).await,
            Err(None) => {}
        }
    }

    async fn on_request(&mut self, request: Request, from: SocketAddr, now: u64) {
        let left = match self.sessions.arrive(from.ip(), from.port(), &request, now) {
            Arrival::New { left } => left,
            Arrival::Repeat(door, step) => {
                let peer = Peer { host: from.ip(), port: from.port(), door };
                return self.go_on(peer, Turn::On(step), now).await;
            }
            Arrival::Stale => return,
            Arrival::Full => return tracing::debug!(%from, "no place for a TFTP transfer"),
        };
        let named = match files::named(&request.file) {
            Ok(named) => named,
            Err(refused) => return self.refuse(refused, from, left).await,
        };
        let mac = self.counter.who_has(from.ip());
        if let Named::Loader(name) = &named {
            // What is no loader may be a file of the machine that asks.
            if let Ok(found) = files::loader(&self.counter, name) {
                return self.opened(from, left, request, Ok(found)).await;
            }
        }
        if self.jobs.len() < JOBS {
            let counter = Arc::clone(&self.counter);
            self.jobs.spawn(async move {
                let found = files::find(&counter, named, (mac, Over::of(from.ip()))).await;
                Job::Opened(from, left, request, found)
            });
        }
    }

    async fn on_job(&mut self, job: Option<Job>) {
        match job {
            Some(Job::Opened(from, left, request, found)) => self.opened(from, left, request, found).await,
            Some(Job::Built(name, run)) => self.built(name, run).await,
            // It was cut off, or panicked and said so itself: its clients ask again.
            None => {}
        }
    }

    async fn opened(
        &mut self,
        from: SocketAddr,
        left: Option<u8>,
        request: Request,
        found: Result<Found, Refused>,
    ) {
        let found = match found.and_then(|found| found.in_mode(request.mode)) {
            Ok(found) => found,
            Err(refused) => return self.refuse(refused, from, left).await,
        };
        let now = boottime_ms();
        let mac = self.counter.who_has(from.ip());
        let path = request.block.and_then(|_| door::largest_block(self.local, from));
        let running = self.sessions.to_host(from.ip());
        let limits = self.paces.limits(Whose::of(mac, from.ip()), path, running);
        let (transfer, first) = found.transfer(&request, limits, now);
        let peer = Peer { host: from.ip(), port: from.port(), door: self.pick_door(left) };
        let watch = Watch::new(mac, &transfer, now);
        let served = Served { found, watch, held: None };
        self.sessions.begin(peer, request, transfer, served);
        self.go_on(peer, Turn::On(first), now).await;
    }

    /// A door for a new transfer, not the one its client used last.
    fn pick_door(&mut self, left: Option<u8>) -> u8 {
        let board = self.counter.board();
        let single = board.is_some_and(|board| board.table().network.tftp == TftpPorts::SinglePort);
        let doors = u8::try_from(self.doors.len().saturating_sub(1)).unwrap_or(DOORS);
        if single || doors == 0 {
            return 0;
        }
        self.next_door = self.next_door % doors + 1;
        if left == Some(self.next_door) {
            self.next_door = self.next_door % doors + 1;
        }
        self.next_door
    }

    async fn refuse(&mut self, refused: Refused, to: SocketAddr, left: Option<u8>) {
        let door = self.pick_door(left);
        self.say(door, &refused.packet(), to).await;
    }

    async fn say(&self, door: u8, packet: &[u8], to: SocketAddr) {
        let Some(door) = self.doors.get(usize::from(door)) else { return };
        if let Err(error) = door.send(packet, to).await {
            tracing::debug!(%to, "TFTP packet: {error}");
        }
    }

    async fn go_on(&mut self, peer: Peer, turn: Turn<Served>, now: u64) {
        match turn {
            Turn::On(Step::Packet(packet)) => {
                self.say(peer.door, &packet, SocketAddr::new(peer.host, peer.port)).await;
            }
            Turn::On(Step::Blocks(blocks)) => {
                if let Some((transfer, served)) = self.sessions.get_mut(peer) {
                    served.watch.begin(&self.counter, &served.found);
                    served.watch.progress(&self.counter, &served.found, transfer.statistics(), now);
                }
                self.send_blocks(peer, blocks).await;
            }
            Turn::Over(end, statistics, served) => self.over(peer, &end, statistics, &served),
            Turn::On(Step::Wait | Step::End(_)) => {}
        }
    }

    fn over(&mut self, peer: Peer, end: &End, statistics: Statistics, served: &Served) {
        served.watch.end(&self.counter, &served.found, end, statistics);
        self.paces.learn(Whose::of(served.watch.mac(), peer.host), served.watch.terms(), statistics);
    }

    /// Sends blocks from built runs. Where a run is on the disk, they are held until it is read.
    async fn send_blocks(&mut self, peer: Peer, blocks: Blocks) {
        let (mut next, last) = blocks.numbers();
        while next <= last {
            let Some((transfer, served)) = self.sessions.get_mut(peer) else { return };
            let block = transfer.block_size();
            let (many, size) = (frames::blocks_in_run(block), served.found.size());
            let (number, from) = frames::place_in_run(next, block);
            let run_end = (number + 1) * many;
            let count = last.min(run_end) - next + 1;
            let all = || Blocks::of_file(size, block, number * many + 1, many);
            let (run, from) = match &served.found.kept {
                // Made for one machine, sent once.
                None => (frames::build(&served.found.source, Blocks::of_file(size, block, next, count)), 0),
                Some(kept) => {
                    let name = RunName { file: kept.clone(), block, number };
                    match (self.runs.get(&name), &served.found.source) {
                        (Some(run), _) => (Ok(run), from),
                        (None, source @ Source::Memory(_)) => {
                            let run = frames::build(source, all());
                            if let Ok(run) = &run {
                                self.runs.keep(name, run.clone());
                            }
                            (run, from)
                        }
                        (None, source @ Source::Shelf(_)) => {
                            let (source, all) = (source.clone(), all());
                            if served
                                .held
                                .replace(Blocks::of_file(size, block, next, last - next + 1))
                                .is_none()
                            {
                                self.read(name, peer, source, all);
                            }
                            return;
                        }
                    }
                }
            };
            let frame = usize::from(block) + 4;
            let length = usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(frame);
            let run = run.unwrap_or_default();
            let piece = run.get(from..from.saturating_add(length).min(run.len())).unwrap_or_default();
            let Some(door) = self.doors.get_mut(usize::from(peer.door)) else { return };
            let to = SocketAddr::new(peer.host, peer.port);
            if let Err(error) = door.send_run(piece, frame, to).await {
                return tracing::debug!(%to, "TFTP blocks: {error}");
            }
            next += count;
        }
    }

    /// Has a run read, once for all who wait for it.
    fn read(&mut self, name: RunName, peer: Peer, source: Source, blocks: Blocks) {
        let waiting = self.awaited.entry(name.clone()).or_default();
        waiting.push(peer);
        if waiting.len() == 1 {
            self.jobs.spawn_blocking(move || {
                let run = frames::build(&source, blocks);
                Job::Built(name, run)
            });
        }
    }

    async fn built(&mut self, name: RunName, run: io::Result<Bytes>) {
        let waiting = self.awaited.remove(&name).unwrap_or_default();
        match run {
            Ok(run) => {
                self.runs.keep(name, run);
                for peer in waiting {
                    let held = self.sessions.get_mut(peer).and_then(|(_, served)| served.held.take());
                    if let Some(blocks) = held {
                        self.send_blocks(peer, blocks).await;
                    }
                }
            }
            Err(error) => {
                tracing::error!("a content cannot be read: {error}");
                for peer in waiting {
                    let Some((statistics, served)) = self.sessions.drop_peer(peer) else { continue };
                    served.watch.broken(
                        &self.counter,
                        &served.found,
                        statistics,
                        format!("the disk: {error}"),
                    );
                    let to = SocketAddr::new(peer.host, peer.port);
                    self.say(peer.door, &Refused::Unreadable.packet(), to).await;
                }
            }
        }
    }
}

fn is_request(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 1 | 2, ..])
}

/// The next packet of any door.
async fn receive(doors: &[Door], buffer: &mut [u8]) -> io::Result<(u8, usize, SocketAddr)> {
    poll_fn(|context| {
        for (number, door) in (0_u8..).zip(doors) {
            let mut space = ReadBuf::new(buffer);
            if let Poll::Ready(got) = door.poll_receive(context, &mut space) {
                let count = space.filled().len();
                return Poll::Ready(got.map(|from| (number, count, from)));
            }
        }
        Poll::Pending
    })
    .await
}
