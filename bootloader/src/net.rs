//! One connection to the controller, over TCP of our own: questions, and files that are checked while they come.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddrV4;

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};
use wire::loader::http::{Head, HeadError, Request};

use crate::card::{Card, Cost};
use crate::clock::{self, Clock, Nap};
use crate::lease::Lease;

/// Version of this program, as it tells it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Bytes of a file that may be on their way: 1 MiB fits the queue of a switch and the pace of firmware.
const WINDOW: usize = 1 << 20;
/// Frames taken in one go, before what they caused is sent.
const AT_ONCE: usize = 32;
/// Milliseconds until a connection must stand.
const CONNECT: u64 = 5_000;
/// Milliseconds without a byte, after which the processor sleeps between two looks: what is held back takes seconds.
const DROWSY: u64 = 20;
/// Milliseconds without a byte, after which a connection is given up.
const SILENCE: u64 = 5_000;
/// First of the ports that belong to nobody (RFC 6335 section 6), and how many there are.
const PORTS: (u16, u16) = (49_152, 16_383);

/// Why the controller was not heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetError {
    /// No connection within [`CONNECT`].
    NoAnswer,
    /// The connection ended.
    Ended,
    /// Nothing came for [`SILENCE`].
    Silent,
    /// What came is no HTTP.
    Head(HeadError),
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => f.write_str("it does not answer"),
            Self::Ended => f.write_str("it ended the connection"),
            Self::Silent => f.write_str("it fell silent"),
            Self::Head(error) => error.fmt(f),
        }
    }
}

/// What is done while nothing comes; false once it is all done.
pub(crate) type Meanwhile = alloc::boxed::Box<dyn FnMut() -> bool>;

/// The line to the controller.
pub(crate) struct Net {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    tcp: SocketHandle,
    clock: Clock,
    host: SocketAddrV4,
    /// What came behind a head that was read.
    left: Vec<u8>,
    /// None where firmware makes no event: then it looks without a pause.
    nap: Option<Nap>,
    meanwhile: Option<Meanwhile>,
}

impl Net {
    pub(crate) fn new(mut card: Card, lease: &Lease, host: SocketAddrV4, clock: Clock) -> Self {
        let mut config = Config::new(EthernetAddress(lease.mac.0).into());
        config.random_seed = clock::ticks();
        let mut interface = Interface::new(config, &mut card, now(&clock));
        interface.update_ip_addrs(|all| {
            // One address: there is room for it.
            let _full = all.push(IpCidr::Ipv4(Ipv4Cidr::new(lease.address, lease.prefix.min(32))));
        });
        if let Some(gateway) = lease.gateway {
            // One route: there is room for it.
            let _full = interface.routes_mut().add_default_ipv4_route(gateway);
        }
        let buffer = |size| tcp::SocketBuffer::new(vec![0; size]);
        let mut socket = tcp::Socket::new(buffer(WINDOW), buffer(16 << 10));
        socket.set_nagle_enabled(false);
        let mut sockets = SocketSet::new(vec![]);
        let tcp = sockets.add(socket);
        let nap = Nap::new().ok();
        Self { card, interface, sockets, tcp, clock, host, left: Vec::new(), nap, meanwhile: None }
    }

    /// What its card cost so far.
    pub(crate) const fn cost(&self) -> Cost {
        self.card.cost
    }

    pub(crate) const fn host(&self) -> SocketAddrV4 {
        self.host
    }

    /// Does this from now on while nothing comes.
    pub(crate) fn meanwhile(&mut self, work: Meanwhile) {
        self.meanwhile = Some(work);
    }

    /// Does some of what can be done meanwhile; false where there is nothing to do but to wait.
    fn idle(&mut self) -> bool {
        let goes_on = self.meanwhile.as_mut().is_some_and(|work| work());
        if !goes_on {
            self.meanwhile = None;
        }
        goes_on
    }

    /// True when somebody takes a connection at the controller's address; it is kept for the first question.
    pub(crate) fn reaches(&mut self) -> bool {
        self.connect().is_ok()
    }

    /// Lets go of the card.
    pub(crate) fn close(mut self) {
        self.socket().close();
        self.turn();
        self.card.close();
    }

    fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(self.tcp)
    }

    /// Takes what came and sends what is due.
    fn turn(&mut self) {
        let now = now(&self.clock);
        for _ in 0..AT_ONCE {
            match self.interface.poll_ingress_single(now, &mut self.card, &mut self.sockets) {
                PollIngressSingleResult::None => break,
                PollIngressSingleResult::PacketProcessed | PollIngressSingleResult::SocketStateChanged => {}
            }
        }
        self.interface.poll_egress(now, &mut self.card, &mut self.sockets);
    }

    /// Waits, and hears meanwhile.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end = self.clock.ms() + ms;
        while self.clock.ms() < end {
            self.turn();
            if !self.idle() {
                self.sleep();
            }
        }
    }

    fn sleep(&self) {
        if let Some(nap) = &self.nap {
            nap.take();
        }
    }

    fn connect(&mut self) -> Result<(), NetError> {
        self.left.clear();
        self.socket().abort();
        self.turn();
        let spread = u16::try_from(clock::ticks() % u64::from(PORTS.1)).unwrap_or_default();
        let local = PORTS.0 + spread;
        let remote = (*self.host.ip(), self.host.port());
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
        socket.connect(self.interface.context(), remote, local).map_err(|_| NetError::NoAnswer)?;
        let end = self.clock.ms() + CONNECT;
        while self.clock.ms() < end {
            self.turn();
            let socket = self.socket();
            if socket.may_send() {
                return Ok(());
            }
            if !socket.is_open() {
                break;
            }
            self.idle();
        }
        self.socket().abort();
        Err(NetError::NoAnswer)
    }

    /// Sends a request and reads the head of its answer. A connection that went stale meanwhile is made anew.
    pub(crate) fn ask(&mut self, path: &str, (body, from): (Option<&str>, u64)) -> Result<Head, NetError> {
        let request = Request { host: self.host, path, version: VERSION, body, from }.text();
        let stands = self.left.is_empty() && self.socket().may_send() && self.socket().may_recv();
        if stands {
            match self.exchange(&request) {
                Err(NetError::Ended) => {}
                outcome => return outcome.map_err(|why| self.broken(why)),
            }
        }
        self.connect()?;
        self.exchange(&request).map_err(|why| self.broken(why))
    }

    /// What may still come over this connection belongs to a question that was given up: the next one gets another.
    fn broken(&mut self, why: NetError) -> NetError {
        self.socket().abort();
        why
    }

    fn exchange(&mut self, request: &str) -> Result<Head, NetError> {
        let mut rest = request.as_bytes();
        let mut last = self.clock.ms();
        loop {
            if !rest.is_empty() {
                let sent = self.socket().send_slice(rest).map_err(|_| NetError::Ended)?;
                rest = rest.get(sent..).unwrap_or_default();
            }
            self.turn();
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
            if socket.can_recv() {
                last = self.clock.ms();
                let left = &mut self.left;
                // A head is small: what comes behind it is taken by whoever reads the body.
                let took = socket.recv(|bytes| {
                    let count = bytes.len().min(2048);
                    left.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    (count, ())
                });
                took.map_err(|_| NetError::Ended)?;
                if let Some(head) = Head::read(&self.left).map_err(NetError::Head)? {
                    self.left.drain(..head.size.min(self.left.len()));
                    return Ok(head);
                }
            } else if !socket.may_recv() {
                return Err(NetError::Ended);
            } else if self.clock.ms() > last + SILENCE + HOLD_MS {
                return Err(NetError::Silent);
            } else if !self.idle() && self.clock.ms() > last + DROWSY {
                self.sleep();
            }
        }
    }

    /// Reads a body of so many bytes.
    pub(crate) fn body(&mut self, length: u64, mut take: impl FnMut(&[u8])) -> Result<(), NetError> {
        let mut missing = length;
        let first = usize::try_from(missing).unwrap_or(usize::MAX).min(self.left.len());
        take(self.left.get(..first).unwrap_or_default());
        self.left.drain(..first);
        missing -= u64::try_from(first).unwrap_or(u64::MAX).min(missing);
        let mut last = self.clock.ms();
        while missing > 0 {
            self.turn();
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.tcp);
            if socket.can_recv() {
                last = self.clock.ms();
                let most = usize::try_from(missing).unwrap_or(usize::MAX);
                let took = socket.recv(|bytes| {
                    let count = bytes.len().min(most);
                    take(bytes.get(..count).unwrap_or_default());
                    (count, count)
                });
                let took = took.map_err(|_| NetError::Ended)?;
                missing = missing.saturating_sub(u64::try_from(took).unwrap_or(u64::MAX));
            } else if !socket.may_recv() {
                return Err(NetError::Ended);
            } else if self.clock.ms() > last + SILENCE {
                return Err(self.broken(NetError::Silent));
            }
        }
        Ok(())
    }

    /// A short text: status and body.
    pub(crate) fn text(&mut self, path: &str, body: Option<&str>) -> Result<(Head, Vec<u8>), NetError> {
        let head = self.ask(path, (body, 0))?;
        let most = u64::try_from(wire::loader::LONGEST_TEXT).unwrap_or(u64::MAX);
        if head.length > most {
            self.socket().abort();
            return Err(NetError::Head(HeadError::TooLong));
        }
        let mut text = Vec::new();
        self.body(head.length, |bytes| text.extend_from_slice(bytes))?;
        Ok((head, text))
    }

    /// Says a line for the boot trace. Whether it is heard changes nothing.
    pub(crate) fn say(&mut self, body: &str) {
        drop(self.text(wire::loader::WORD_PATH, Some(body)));
    }

    /// Where it asks, for people.
    pub(crate) fn place(&self) -> String {
        alloc::format!("http://{}", self.host)
    }
}

/// Milliseconds for which the controller may hold back an answer.
pub(crate) const HOLD_MS: u64 = 20_000;

fn now(clock: &Clock) -> Instant {
    Instant::from_micros(i64::try_from(clock.us()).unwrap_or(i64::MAX))
}
