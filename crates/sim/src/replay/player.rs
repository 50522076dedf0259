//! Asks a script's questions of a server and compares the answers; addresses are those this server gives.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use wire::dhcp::{CLIENT_PORT, LARGEST_MESSAGE, Message, Op, OptionCode, SERVER_PORT};
use wire::frame::{Checksum, Frame, Udp4};
use wire::tftp::{self, ErrorCode, Packet};

use super::{Ask, Question, Script, shape};

/// How long an answer may take, in milliseconds.
const PATIENCE_MS: u64 = 5000;
/// First port files are asked from.
const FIRST_PORT: u16 = 40_000;

/// A question and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Which question of the script, from 0.
    pub place: usize,
    /// Words that were answered once.
    pub wanted: Vec<String>,
    /// Words that are answered now; empty when nothing came.
    pub got: Vec<String>,
}

impl Answered {
    /// Words that are missing now.
    #[must_use]
    pub fn missing(&self) -> Vec<&str> {
        self.wanted.iter().filter(|word| !self.got.contains(word)).map(String::as_str).collect()
    }
}

/// A script being played. Time is milliseconds of the caller's clock.
#[derive(Debug)]
pub struct Player {
    script: Script,
    next: usize,
    /// The question under way, and until when it may be answered.
    waiting: Option<u64>,
    address: Ipv4Addr,
    server: Ipv4Addr,
    server_mac: MacAddr,
    tftp_server: Ipv4Addr,
    /// The file this server names, and the one the capture's machine was told, by its first request.
    offered: Option<String>,
    told: Option<String>,
    answered: Vec<Answered>,
    out: Vec<Vec<u8>>,
}

impl Player {
    /// Ready to ask the first question.
    #[must_use]
    pub const fn new(script: Script) -> Self {
        Self {
            script,
            next: 0,
            waiting: None,
            address: Ipv4Addr::UNSPECIFIED,
            server: Ipv4Addr::UNSPECIFIED,
            server_mac: MacAddr::BROADCAST,
            tftp_server: Ipv4Addr::UNSPECIFIED,
            offered: None,
            told: None,
            answered: Vec::new(),
            out: Vec::new(),
        }
    }

    /// True when every question was asked and answered, or waited for in vain.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.waiting.is_none() && self.next >= self.script.asks.len()
    }

    /// When [`Player::poll`] has something to do.
    #[must_use]
    pub const fn wake_at(&self) -> Option<u64> {
        self.waiting
    }

    /// What was answered so far.
    #[must_use]
    pub fn answered(&self) -> &[Answered] {
        &self.answered
    }

    /// Lets time pass; frames to send.
    pub fn poll(&mut self, now: u64) -> Vec<Vec<u8>> {
        if self.waiting.is_some_and(|until| until <= now) {
            self.close(Vec::new());
        }
        // A question without an answer in the capture is asked and not waited for.
        while self.waiting.is_none()
            && let Some(ask) = self.script.asks.get(self.next).cloned()
        {
            self.ask(&ask, now);
            self.next += 1;
            if ask.answer.is_empty() {
                self.close(Vec::new());
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Takes a frame of the server in.
    pub fn on_frame(&mut self, frame: &[u8]) {
        let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return };
        let Some(place) = self.waiting.and_then(|_| self.next.checked_sub(1)) else { return };
        let Some(question) = self.script.asks.get(place).map(|ask| ask.question.clone()) else { return };
        match question {
            Question::Dhcp(_, asked) => self.on_dhcp(&udp, &asked),
            Question::Tftp(_) => self.on_tftp(&udp, place),
        }
    }

    fn close(&mut self, got: Vec<String>) {
        self.waiting = None;
        let place = self.next.saturating_sub(1);
        let wanted = self.script.asks.get(place).map(|ask| ask.answer.clone()).unwrap_or_default();
        self.answered.push(Answered { place, wanted, got });
    }

    fn ask(&mut self, ask: &Ask, now: u64) {
        self.waiting = Some(now + PATIENCE_MS);
        match &ask.question {
            Question::Dhcp(port, bytes) => {
                let Some(bytes) = self.adapted(bytes) else { return };
                let to = if self.address.is_unspecified() || *port == SERVER_PORT {
                    Ipv4Addr::BROADCAST
                } else {
                    self.server
                };
                self.send(CLIENT_PORT, SocketAddrV4::new(to, *port), &bytes);
            }
            Question::Tftp(bytes) => {
                let bytes = self.renamed(bytes);
                let port = self.port(self.next);
                self.send(port, SocketAddrV4::new(self.tftp_server, tftp::PORT), &bytes);
            }
        }
    }

    fn port(&self, place: usize) -> u16 {
        FIRST_PORT.saturating_add(u16::try_from(place).unwrap_or(0))
    }

    /// The message with the addresses of this lab. One that cannot be read, or needs no change, is sent byte for byte.
    fn adapted(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let Ok(mut message) = Message::decode(bytes) else { return Some(bytes.to_vec()) };
        let mut changed = false;
        for (code, own) in
            [(OptionCode::REQUESTED_ADDRESS, self.address), (OptionCode::SERVER_ID, self.server)]
        {
            if message.options.has(code) && !own.is_unspecified() {
                message.options.set_address(code, own);
                changed = true;
            }
        }
        if !message.ciaddr.is_unspecified() && !self.address.is_unspecified() {
            message.ciaddr = self.address;
            changed = true;
        }
        if changed { message.encode(LARGEST_MESSAGE).ok() } else { Some(bytes.to_vec()) }
    }

    /// The request for the file this server named, where the machine asked for the one it was told.
    fn renamed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Ok(Packet::Read(mut request)) = Packet::decode(bytes) else { return bytes.to_vec() };
        let told = self.told.get_or_insert_with(|| request.file.clone());
        match &self.offered {
            Some(offered) if *told == request.file && *offered != request.file => {
                request.file.clone_from(offered);
                Packet::Read(request).encode()
            }
            _ => bytes.to_vec(),
        }
    }

    fn on_dhcp(&mut self, udp: &Udp4<'_>, asked: &[u8]) {
        let Ok(message) = Message::decode(udp.payload) else { return };
        let ours = Message::decode(asked).is_ok_and(|asked| asked.xid == message.xid);
        if message.op != Op::Reply || !ours || message.mac() != Some(self.script.mac) {
            return;
        }
        self.server_mac = udp.from_mac;
        self.server = message.options.address(OptionCode::SERVER_ID).unwrap_or(self.server);
        self.tftp_server = if message.siaddr.is_unspecified() { self.server } else { message.siaddr };
        if !message.yiaddr.is_unspecified() {
            self.address = message.yiaddr;
        }
        let named = match message.options.text(OptionCode::BOOT_FILE) {
            Some(name) => name.trim_end_matches('\0').to_owned(),
            None => String::from_utf8_lossy(&message.file).into_owned(),
        };
        if !named.is_empty() && !named.contains("://") {
            self.offered = Some(named);
        }
        self.close(shape::of_dhcp(&message));
    }

    fn on_tftp(&mut self, udp: &Udp4<'_>, place: usize) {
        if udp.to.port() != self.port(place) {
            return;
        }
        let Ok(packet) = Packet::decode(udp.payload) else { return };
        // One answer is all that is compared; the session is ended as firmware ends a probe.
        if !matches!(packet, Packet::Error { .. }) {
            let error = Packet::error(ErrorCode::OTHER, "enough");
            self.send(self.port(place), udp.from, &error);
        }
        self.close(shape::of_tftp(&packet));
    }

    fn send(&mut self, port: u16, to: SocketAddrV4, payload: &[u8]) {
        let to_mac = if to.ip().is_broadcast() { MacAddr::BROADCAST } else { self.server_mac };
        let from = SocketAddrV4::new(self.address, port);
        let udp = Udp4 { to_mac, from_mac: self.script.mac, from, to, payload, checksum: Checksum::Absent };
        self.out.extend(udp.build());
    }
}
