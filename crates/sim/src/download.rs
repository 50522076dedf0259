//! One file over TFTP as a firmware asks for it: size probe, abort, real request, each from its own port.

use std::net::{IpAddr, SocketAddr};

use wire::tftp::{self, Fetch, FetchEnd, FetchSettings, Packet, Request};

use crate::body::{Body, Datagram};
use crate::manners::Manner;
use crate::step::Step;

/// EDK2 and ROMs open the second session about this long after the probe (capture in MAAS LP#1437353).
const PAUSE_MS: u64 = 200;

/// What fits a frame beside the headers of IPv6, UDP and TFTP: EDK2 reckons with them (`PxeBcImpl.c`,
/// `Ip6MaxPacketSize`).
const LARGEST_BLOCK6: u16 = 1448;

/// The most RFC 2348 has.
const HUGE_BLOCK: u16 = 65_464;

/// Who downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A PXE ROM: probe with `tsize`, then lock-step in blocks of 1456 bytes, or 512 where the server
    /// knows no options.
    PxeRom,
    /// EDK2: probe, then blocks of 1468 bytes in windows of 4 (`PcdPxeTftpWindowSize`), 4 s a try
    /// (`PXEBC_MTFTP_TIMEOUT`).
    Edk2,
    /// iPXE: `tsize` and blocks of 1432 bytes in one session, no window.
    Ipxe,
}

impl Style {
    fn settings(self, file: &str, server: IpAddr, probe: bool) -> FetchSettings {
        let plain = Request::octet(file);
        let (request, wait_ms, retries) = match (self, probe) {
            (Self::PxeRom, true) => (Request { size: Some(0), ..plain }, 4000, 3),
            (Self::PxeRom, false) => (Request { block: Some(1456), ..plain }, 4000, 3),
            (Self::Edk2, _) => {
                let block = Some(if server.is_ipv6() { LARGEST_BLOCK6 } else { tftp::LARGEST_BLOCK });
                (Request { size: Some(0), block, window: Some(4), ..plain }, 4000, 6)
            }
            (Self::Ipxe, _) => (Request { size: Some(0), block: Some(1432), ..plain }, 1000, 10),
        };
        FetchSettings { request, probe, wait_ms, retries }
    }

    const fn probes(self) -> bool {
        matches!(self, Self::PxeRom | Self::Edk2)
    }
}

/// Writes the names of a request's options in capitals.
fn shout(request: &mut [u8]) {
    // Operation, file, mode; then pairs.
    let words = request.split_mut(|byte| *byte == 0).skip(3);
    for (at, word) in words.enumerate() {
        if at % 2 == 0 {
            word.make_ascii_uppercase();
        }
    }
}

/// What a download came to.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It goes on.
    Pending,
    /// The file came; its first bytes, at most [`KEPT`].
    Done(Vec<u8>),
    /// It did not; in the firmware's words.
    Failed(String),
}

/// Most bytes kept of a file: a boot script is shorter.
pub(crate) const KEPT: usize = 64 * 1024;

#[derive(Debug)]
enum State {
    Running { fetch: Box<Fetch>, port: u16, peer: Option<u16>, probe: bool },
    Paused { until: u64 },
    Over,
}

/// A download.
#[derive(Debug)]
pub(crate) struct Download {
    style: Style,
    server: IpAddr,
    file: String,
    state: State,
    content: Vec<u8>,
    bytes: u64,
    block: u16,
    window: u16,
}

impl Download {
    /// Begins with the first request.
    pub(crate) fn start(style: Style, server: IpAddr, file: &str, body: &mut Body, now: u64) -> Self {
        let mut download = Self {
            style,
            server,
            file: file.to_owned(),
            state: State::Over,
            content: Vec::new(),
            bytes: 0,
            block: tftp::STANDARD_BLOCK,
            window: 1,
        };
        body.note(now, Step::FileAsked(file.to_owned()));
        download.open(style.probes(), body, now);
        download
    }

    fn open(&mut self, probe: bool, body: &mut Body, now: u64) {
        let mut settings = self.style.settings(&self.file, self.server, probe);
        if body.manners.has(Manner::AsksHugeBlocks) && settings.request.block.is_some() {
            settings.request.block = Some(HUGE_BLOCK);
        }
        let (fetch, mut request) = Fetch::new(settings, now);
        if body.manners.has(Manner::ShoutsOptions) {
            shout(&mut request);
        }
        let port = body.dice.port();
        body.send_udp(port, SocketAddr::new(self.server, tftp::PORT), &request, now);
        self.state = State::Running { fetch: Box::new(fetch), port, peer: None, probe };
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        match &self.state {
            State::Running { fetch, .. } => fetch.wake_at(),
            State::Paused { until } => Some(*until),
            State::Over => None,
        }
    }

    /// Takes a datagram in, if it is one of this session.
    pub(crate) fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) -> Fetched {
        let State::Running { fetch, port, peer, .. } = &mut self.state else { return Fetched::Pending };
        if udp.to.port() != *port || udp.from.ip() != self.server {
            return Fetched::Pending;
        }
        // The first answer names the server's port for this transfer (RFC 1350 section 4).
        let known = *peer.get_or_insert(udp.from.port());
        if known != udp.from.port() {
            return Fetched::Pending;
        }
        if let Ok(Packet::OptionAck(pairs)) = Packet::decode(udp.payload) {
            let told = |name: &str| pairs.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse().ok());
            self.block = told("blksize").unwrap_or(tftp::STANDARD_BLOCK);
            self.window = told("windowsize").unwrap_or(1);
        }
        let step = fetch.on_packet(udp.payload, now);
        let room = KEPT.saturating_sub(self.content.len());
        self.content.extend(step.data.iter().take(room));
        self.bytes += u64::try_from(step.data.len()).unwrap_or_default();
        let (send, end) = (step.send, step.end);
        body.note_progress(self.bytes);
        self.go_on(send, end, body, now)
    }

    /// Lets time pass.
    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) -> Fetched {
        match &mut self.state {
            State::Paused { until } if *until <= now => {
                self.open(false, body, now);
                Fetched::Pending
            }
            State::Running { fetch, .. } => {
                let step = fetch.on_time(now);
                let (send, end) = (step.send, step.end);
                self.go_on(send, end, body, now)
            }
            State::Paused { .. } | State::Over => Fetched::Pending,
        }
    }

    fn go_on(&mut self, send: Option<Vec<u8>>, end: Option<FetchEnd>, body: &mut Body, now: u64) -> Fetched {
        let State::Running { port, peer, probe, .. } = &self.state else { return Fetched::Pending };
        let probe = *probe;
        let leaves = matches!(end, Some(FetchEnd::Probed { .. })) && body.manners.has(Manner::AbandonsProbe);
        if let Some(packet) = send.filter(|_| !leaves) {
            let to = SocketAddr::new(self.server, peer.unwrap_or(tftp::PORT));
            body.send_udp(*port, to, &packet, now);
        }
        let Some(end) = end else { return Fetched::Pending };
        self.state = State::Over;
        let failed = |why: String| Fetched::Failed(format!("{why} ({})", self.file));
        match end {
            // A server that knows no options starts sending at once: EDK2 reads the whole file to
            // learn its size, then asks again.
            FetchEnd::Complete if probe => self.after_probe(self.bytes, body, now),
            // tinkerbell/tinkerbell#728: a size of 0 stops the boot.
            FetchEnd::Probed { size: Some(0) } => failed("PXE-E18: Server response timeout".to_owned()),
            FetchEnd::Probed { size } => self.after_probe(size.unwrap_or(0), body, now),
            FetchEnd::Complete => {
                body.note(
                    now,
                    Step::FileFetched {
                        name: self.file.clone(),
                        bytes: self.bytes,
                        block: self.block,
                        window: self.window,
                    },
                );
                Fetched::Done(std::mem::take(&mut self.content))
            }
            FetchEnd::Refused(code) => failed(format!("PXE-E23: TFTP error {}", code.0)),
            FetchEnd::Broken => failed("PXE-E24: the server agreed to what was not asked".to_owned()),
            FetchEnd::Silent => failed("PXE-E32: TFTP open timeout".to_owned()),
        }
    }

    fn after_probe(&mut self, size: u64, body: &mut Body, now: u64) -> Fetched {
        body.note(now, Step::SizeProbed(size));
        (self.bytes, self.block, self.window) = (0, tftp::STANDARD_BLOCK, 1);
        self.content.clear();
        self.state = State::Paused { until: now + PAUSE_MS };
        Fetched::Pending
    }
}
