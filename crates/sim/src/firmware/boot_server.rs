//! PXE's second question: a request to port 4011 of whoever called itself `PXEClient` and did not say "no discovery".

use std::net::Ipv4Addr;

use wire::dhcp::proxy::BOOT_SERVER_PORT as PORT;
use wire::dhcp::{CLIENT_PORT, LARGEST_MESSAGE, Message, MessageType, OptionCode, Suboptions};

use crate::body::{Body, Datagram};
use crate::exchange::Lease;
use crate::program::{Program, is_pxe};
use crate::step::Step;

/// EDK2's waits (`PXEBC_BOOT_REQUEST_TIMEOUT` 1, `PXEBC_BOOT_REQUEST_RETRIES` 4).
const WAITS: [u64; 4] = [1000, 2000, 3000, 4000];

/// The question.
#[derive(Debug)]
pub(super) struct BootServer {
    program: Program,
    lease: Box<Lease>,
    server: Ipv4Addr,
    xid: u32,
    tries: usize,
    deadline: u64,
}

/// What it came to.
#[derive(Debug)]
pub(super) enum Told {
    /// It goes on.
    Pending,
    /// The answer: what to boot.
    Answer(Box<Lease>),
    /// Nobody answered.
    Nothing,
}

impl BootServer {
    /// True when this offer makes a client of the specification ask on: it is a PXE server's, and bit 3 of option
    /// 43.6 (boot the file that is named here) is not set.
    pub(super) fn is_needed(lease: &Lease) -> bool {
        let own = lease.boot.options.get(OptionCode::VENDOR_SPECIFIC).unwrap_or_default();
        let control = Suboptions::new(own).find_code(6).and_then(<[u8]>::first).copied().unwrap_or(0);
        is_pxe(&lease.boot) && control & 8 == 0
    }

    pub(super) fn start(program: Program, lease: Box<Lease>, body: &mut Body, now: u64) -> Self {
        let own = lease.boot.options.address(OptionCode::SERVER_ID);
        let server = own.unwrap_or(lease.boot.siaddr);
        let xid = body.dice.word();
        let mut asks = Self { program, lease, server, xid, tries: 0, deadline: now };
        asks.ask(body, now);
        asks
    }

    pub(super) const fn wake_at(&self) -> u64 {
        self.deadline
    }

    /// EDK2 asks from the port it asks (`PXEBC_BS_DISCOVER_PORT`), a ROM from that of all DHCP clients.
    fn own_port(&self) -> u16 {
        if self.program == Program::UefiPxe { PORT } else { CLIENT_PORT }
    }

    fn ask(&mut self, body: &mut Body, now: u64) {
        self.deadline = now + WAITS.get(self.tries).copied().unwrap_or(4000);
        self.tries += 1;
        let mut message = Message::request(MessageType::Request, body.config.mac, self.xid);
        self.program.dress(&mut message, body);
        message.broadcast = false;
        message.ciaddr = self.lease.address;
        let Ok(bytes) = message.encode(LARGEST_MESSAGE) else { return };
        body.note(now, Step::AskedBootServer(self.server));
        body.send_udp(self.own_port(), (self.server, PORT).into(), &bytes, now);
    }

    pub(super) fn on_udp(&mut self, udp: &Datagram<'_>) -> Told {
        let answer = Message::decode(udp.payload).ok().filter(|m| m.xid == self.xid && is_pxe(m));
        let named = |m: &Message| !m.file.is_empty() || m.options.has(OptionCode::BOOT_FILE);
        match answer {
            Some(answer) if udp.from.port() == PORT && udp.to.port() == self.own_port() && named(&answer) => {
                Told::Answer(Box::new(Lease { boot: answer, ..(*self.lease).clone() }))
            }
            _ => Told::Pending,
        }
    }

    pub(super) fn on_time(&mut self, body: &mut Body, now: u64) -> Told {
        if now < self.deadline {
            return Told::Pending;
        }
        if self.tries >= WAITS.len() {
            return Told::Nothing;
        }
        self.ask(body, now);
        Told::Pending
    }
}
