//! A tiny server with a script: complete or poor offers, TFTP, router advertisements, HTTP by a table.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};

use bytes::Bytes;
use model::{AgentOrder, AgentWelcome, MacAddr, PowerOrder};
use sim::{
    Arrival, Cable, Config, HttpEvent, HttpRequest, Ipxe, Kind, Machine, Manner, Method, Phase, Segment, Step,
};
use wire::dhcp::{AGENT_VENDOR_CLASS, ControllerMark, Message, MessageType, OptionCode};
use wire::frame::{Checksum, Frame, Icmp6, Udp4};
use wire::ndp::{Audience, Routing, bare_advertisement};
use wire::tftp::{ErrorCode, Limits, Packet, Request, Step as Send, Transfer};

pub(crate) const BOSS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub(crate) const BOSS_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SCRIPT: &str = "#!ipxe\necho hello ${net0/mac}\nimgfree autoexec.ipxe ||\nkernel http://10.0.0.1/vmlinuz initrd=initrd0 labinator.nonce=abc\ninitrd --name initrd0 http://10.0.0.1/initrd\nboot\n";

pub(crate) fn mac(number: u8) -> MacAddr {
    MacAddr([0x16, 9, 1, 0, 0, number])
}

pub(crate) fn config(kind: Kind, ipxe: Ipxe) -> Config {
    Config::new(mac(1), kind, ipxe, 7)
}

/// Status, headers, content.
type Answer = (u16, Vec<(String, String)>, Bytes);

/// How firmware is offered its file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// One offer with everything: option 60, the file, and 175.176 for iPXE.
    Complete,
    /// The file and nothing that says who offers it.
    Plain,
    /// The file stands in option 67 with no NUL, and `file` is empty.
    InOption,
    /// So full that options stand in `file` and `sname` (option 52).
    Overloaded,
    /// The address comes from here, the file from a second, address-less offer.
    Merged,
}

/// What the server is like.
pub(crate) struct Server {
    pub(crate) offer: Offer,
    pub(crate) routers: bool,
    pub(crate) tftp: TftpSkill,
    pub(crate) silent: bool,
    /// Answers by path, before the usual ones; each is used once.
    pub(crate) once: BTreeMap<String, VecDeque<Answer>>,
    pub(crate) order: AgentOrder,
    /// What HTTP boot is sent to.
    pub(crate) http_file: &'static str,
    pub(crate) files: BTreeMap<String, usize>,
    /// What goes on inside; starts empty.
    pub(crate) works: Works,
}

/// A server at work.
#[derive(Default)]
pub(crate) struct Works {
    now: u64,
    out: Vec<Vec<u8>>,
    sessions: Vec<Session>,
    opened: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum TftpSkill {
    Full,
    NoOptions,
    SizeZero,
}

impl Default for Server {
    fn default() -> Self {
        let files = [("undionly.kpxe", 97_782), ("snponly.efi", 256_512)];
        Self {
            offer: Offer::Complete,
            routers: true,
            tftp: TftpSkill::Full,
            silent: false,
            once: BTreeMap::new(),
            order: AgentOrder::Stay,
            http_file: "http://10.0.0.1/snponly.efi",
            files: files.into_iter().map(|(name, size)| (name.to_owned(), size)).collect(),
            works: Works::default(),
        }
    }
}

impl Server {
    pub(crate) fn will_answer(&mut self, path: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let answer = (status, headers, Bytes::from(body.to_owned()));
        self.once.entry(path.to_owned()).or_default().push_back(answer);
    }
}

struct Session {
    transfer: Transfer,
    port: u16,
    client: (MacAddr, SocketAddrV4),
    content: Vec<u8>,
}

impl Server {
    /// What the server sends after a frame.
    pub(crate) fn take_frame(&mut self, frame: &[u8], now: u64) -> Vec<Vec<u8>> {
        self.works.now = now;
        self.read_frame(frame);
        std::mem::take(&mut self.works.out)
    }

    /// What it sends when time passed.
    pub(crate) fn tick(&mut self, now: u64) -> Vec<Vec<u8>> {
        self.works.now = now;
        self.tick_sessions();
        std::mem::take(&mut self.works.out)
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.works.sessions.iter().filter_map(|s| s.transfer.wake_at()).min()
    }

    fn read_frame(&mut self, frame: &[u8]) {
        if self.silent {
            return;
        }
        // A frame that was cut on its way is none.
        let Ok(frame) = Frame::parse(frame) else { return };
        match frame {
            Frame::Icmp6(icmp) => {
                if let Some(Routing::Solicitation(asker)) = Routing::parse(&icmp)
                    && self.routers
                {
                    let answer = bare_advertisement(BOSS_MAC, Audience::One(asker));
                    self.works.out.push(answer);
                }
            }
            Frame::Udp4(udp) if udp.to.port() == 67 => {
                if let Ok(message) = Message::decode(udp.payload) {
                    self.on_dhcp(&message);
                }
            }
            Frame::Udp4(udp) => self.on_tftp(&udp),
            Frame::Udp6(_) | Frame::Other(_) => {}
        }
    }

    fn on_dhcp(&mut self, asked: &Message) {
        let vendor = asked.options.get(OptionCode::VENDOR_CLASS).unwrap_or_default();
        let ipxe = asked.options.user_classes().contains(&b"iPXE".as_slice());
        let kind = match asked.kind() {
            Some(MessageType::Discover) => MessageType::Offer,
            Some(MessageType::Request) => MessageType::Ack,
            _ => return,
        };
        let mut reply = asked.reply(kind);
        let [.., high, low] = asked.mac().unwrap_or_default().0;
        reply.yiaddr = Ipv4Addr::new(10, 1, high, low);
        reply.siaddr = BOSS;
        reply.options.set_address(OptionCode::SERVER_ID, BOSS);
        reply.options.set_u32(OptionCode::LEASE_SECONDS, 3600);
        if vendor.starts_with(AGENT_VENDOR_CLASS.as_bytes()) {
            reply.options.set(OptionCode::CONTROLLER, ControllerMark::of("stand").bytes());
            reply.options.set(OptionCode::BOOT_FILE, "http://10.0.0.1");
        }
        let file = if ipxe {
            "http://10.0.0.1/boot.ipxe"
        } else if vendor.starts_with(b"HTTPClient") {
            self.http_file
        } else if vendor.starts_with(b"PXEClient:Arch:00007") {
            "snponly.efi"
        } else {
            "undionly.kpxe"
        };
        if vendor.starts_with(b"HTTPClient") {
            reply.options.set(OptionCode::VENDOR_CLASS, "HTTPClient");
            reply.options.set(OptionCode::BOOT_FILE, file);
        } else if vendor.starts_with(b"PXEClient") {
            if matches!(self.offer, Offer::Complete | Offer::InOption | Offer::Overloaded) {
                reply.options.set(OptionCode::VENDOR_CLASS, "PXEClient");
                reply.options.set(OptionCode::IPXE, [0xb0, 1, 1]);
            }
            if matches!(self.offer, Offer::InOption | Offer::Overloaded) {
                reply.options.set(OptionCode::BOOT_FILE, file);
            } else if self.offer != Offer::Merged {
                reply.file = file.as_bytes().to_vec();
            }
        }
        self.send_dhcp(asked, &reply);
        if self.offer == Offer::Merged && vendor.starts_with(b"PXEClient") && kind == MessageType::Offer {
            reply.yiaddr = Ipv4Addr::UNSPECIFIED;
            reply.options.set(OptionCode::VENDOR_CLASS, "PXEClient");
            reply.options.set(OptionCode::VENDOR_SPECIFIC, [6, 1, 8, 255]);
            reply.file = file.as_bytes().to_vec();
            self.send_dhcp(asked, &reply);
        }
    }

    fn send_dhcp(&mut self, asked: &Message, reply: &Message) {
        let mut reply = reply.clone();
        let mut limit = 1472;
        if self.offer == Offer::Overloaded {
            reply.options.set(OptionCode::DOMAIN_NAME, "a-long-name-that-needs-room.example");
            limit = 300;
        }
        let payload = reply.encode(limit).unwrap();
        let (to_mac, to) = if asked.broadcast || reply.yiaddr.is_unspecified() {
            (MacAddr::BROADCAST, Ipv4Addr::BROADCAST)
        } else {
            (asked.mac().unwrap_or_default(), reply.yiaddr)
        };
        self.send_udp(67, to_mac, SocketAddrV4::new(to, 68), &payload);
    }

    fn send_udp(&mut self, from: u16, to_mac: MacAddr, to: SocketAddrV4, payload: &[u8]) {
        let from = SocketAddrV4::new(BOSS, from);
        let udp = Udp4 { to_mac, from_mac: BOSS_MAC, from, to, payload, checksum: Checksum::Good };
        self.works.out.push(udp.build().unwrap());
    }

    fn on_tftp(&mut self, udp: &Udp4<'_>) {
        let client = (udp.from_mac, udp.from);
        if udp.to.port() != 69 {
            let port = udp.to.port();
            let found = self.works.sessions.iter().position(|s| s.port == port && s.client == client);
            if let Some(at) = found {
                let step = self.works.sessions[at].transfer.on_packet(udp.payload, self.works.now);
                self.carry_out(at, step);
            }
            return;
        }
        let Ok(Packet::Read(request)) = Packet::decode(udp.payload) else { return };
        self.works.opened += 1;
        let port = 30_000 + self.works.opened;
        let Some(size) = self.files.get(&request.file).copied() else {
            self.send_udp(port, client.0, client.1, &Packet::error(ErrorCode::NOT_FOUND, "no"));
            return;
        };
        let request = match self.tftp {
            TftpSkill::Full => request,
            TftpSkill::NoOptions => Request::octet(&request.file),
            TftpSkill::SizeZero => {
                let answer = Packet::OptionAck(vec![("tsize".to_owned(), "0".to_owned())]).encode();
                self.send_udp(port, client.0, client.1, &answer);
                return;
            }
        };
        let limits = Limits { wait_ms: 500, ..Limits::default() };
        let (transfer, step) = Transfer::new(&request, u64::try_from(size).unwrap(), limits, self.works.now);
        self.works.sessions.push(Session { transfer, port, client, content: vec![0x90; size] });
        self.carry_out(self.works.sessions.len() - 1, step);
    }

    fn carry_out(&mut self, at: usize, step: Send) {
        let (port, client) = (self.works.sessions[at].port, self.works.sessions[at].client);
        match step {
            Send::Packet(packet) => self.send_udp(port, client.0, client.1, &packet),
            Send::Blocks(blocks) => {
                for block in blocks {
                    let range = usize::try_from(block.range.start).unwrap()
                        ..usize::try_from(block.range.end).unwrap();
                    let data = &self.works.sessions[at].content[range];
                    let packet = [&block.header[..], data].concat();
                    self.send_udp(port, client.0, client.1, &packet);
                }
            }
            Send::Wait | Send::End(_) => {}
        }
    }

    fn tick_sessions(&mut self) {
        for at in 0..self.works.sessions.len() {
            if self.works.sessions[at].transfer.wake_at().is_some_and(|wake| wake <= self.works.now) {
                let step = self.works.sessions[at].transfer.on_time(self.works.now);
                self.carry_out(at, step);
            }
        }
        self.works.sessions.retain(|s| s.transfer.wake_at().is_some());
    }

    /// Status, headers and content for a path.
    pub(crate) fn reply(&mut self, url: &str) -> Answer {
        let path = url.strip_prefix("http://10.0.0.1").unwrap_or(url);
        let scripted = self.once.get_mut(path).and_then(VecDeque::pop_front);
        let (status, mut headers, body) = scripted.unwrap_or_else(|| self.usual(path));
        if !headers.iter().any(|(n, _)| n == "Content-Length") {
            headers.push(("Content-Length".to_owned(), body.len().to_string()));
        }
        (status, headers, body)
    }

    fn usual(&self, path: &str) -> Answer {
        let ok = |body: Bytes| (200, Vec::new(), body);
        match path {
            "/boot.ipxe" => ok(Bytes::from_static(SCRIPT.as_bytes())),
            "/vmlinuz" | "/initrd" | "/uki.efi" | "/snponly.efi" => ok(Bytes::from(vec![7; 100_000])),
            "/agent/v1/hello" | "/agent/v1/heartbeat" => {
                let welcome = AgentWelcome { order: self.order, ..AgentWelcome::default() };
                ok(Bytes::from(serde_json::to_vec(&welcome).unwrap()))
            }
            _ => (404, Vec::new(), Bytes::new()),
        }
    }
}

/// A segment and its server, with a clock that only this test moves.
pub(crate) struct Stand {
    pub(crate) segment: Segment,
    pub(crate) server: Server,
    pub(crate) now: u64,
    pub(crate) console: Vec<String>,
    pub(crate) requests: Vec<(u64, HttpRequest)>,
    pub(crate) frames: Vec<(u64, Vec<u8>)>,
    /// What becomes of a frame of the server before it is on the cable.
    pub(crate) on_the_way: Option<OnTheWay>,
}

type OnTheWay = Box<dyn FnMut(&[u8]) -> Vec<u8>>;

impl Stand {
    pub(crate) fn new(configs: Vec<Config>, server: Server) -> Self {
        Self::on(Cable::default(), configs, server)
    }

    pub(crate) fn on(cable: Cable, configs: Vec<Config>, server: Server) -> Self {
        let machines = configs.into_iter().map(Machine::new).collect();
        Self {
            segment: Segment::new(machines, cable, 42),
            server,
            now: 0,
            console: Vec::new(),
            requests: Vec::new(),
            frames: Vec::new(),
            on_the_way: None,
        }
    }

    pub(crate) fn machine(&self) -> &Machine {
        self.segment.machine(0).unwrap()
    }

    pub(crate) fn power_on(&mut self) {
        for at in 0..self.segment.machines().len() {
            self.segment.switch(at, PowerOrder::On, self.now);
        }
    }

    /// Lets time pass until the condition holds; false when `limit_ms` pass first.
    pub(crate) fn run_until(&mut self, limit_ms: u64, holds: impl Fn(&Self) -> bool) -> bool {
        let limit = self.now + limit_ms;
        loop {
            let arrivals = self.segment.step(self.now);
            for arrival in &arrivals {
                self.take(arrival);
            }
            let frames = self.server.tick(self.now);
            self.put(&frames);
            if holds(self) {
                return true;
            }
            let next = [self.segment.wake_at(), self.server.wake_at()].into_iter().flatten().min();
            match next.map(|at| at.max(self.now)) {
                Some(at) if at <= limit => self.now = at,
                _ => {
                    self.now = limit;
                    return false;
                }
            }
        }
    }

    pub(crate) fn run_to(&mut self, phase: Phase, limit_ms: u64) -> bool {
        self.run_until(limit_ms, |stand| stand.segment.all_in(phase))
    }

    /// Runs until the agent of every machine was welcomed.
    pub(crate) fn run_to_hello(&mut self, limit_ms: u64) -> bool {
        // Machines that arrived are not looked at again: with hundreds that would be most of the work.
        let arrived = std::cell::Cell::new(0);
        self.run_until(limit_ms, |stand| {
            let welcomed = |m: &Machine| m.history().iter().any(|(_, s)| *s == Step::AgentWelcomed);
            let machines = stand.segment.machines();
            while machines.get(arrived.get()).is_some_and(welcomed) {
                arrived.set(arrived.get() + 1);
            }
            arrived.get() == machines.len()
        })
    }

    fn take(&mut self, arrival: &Arrival) {
        match arrival {
            Arrival::Console { line, .. } => self.console.push(line.clone()),
            Arrival::Frame(frame) => {
                self.frames.push((self.now, frame.clone()));
                let frames = self.server.take_frame(frame, self.now);
                self.put(&frames);
            }
            Arrival::Http { machine, request } => {
                self.requests.push((self.now, request.clone()));
                self.answer(*machine, request);
            }
        }
    }

    fn put(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            let frame = self.on_the_way.as_mut().map_or_else(|| frame.clone(), |way| way(frame));
            self.segment.from_server(&frame, self.now);
        }
    }

    fn answer(&mut self, machine: usize, request: &HttpRequest) {
        let (status, headers, body) = self.server.reply(&request.url);
        let mut events = vec![HttpEvent::Head { status, headers }];
        if request.method != Method::Head {
            let from = usize::try_from(request.range_from.unwrap_or(0)).unwrap().min(body.len());
            let rest = body.slice(from..);
            if request.reads_body {
                events.push(HttpEvent::Data(rest));
            } else {
                events.push(HttpEvent::Passed(u64::try_from(rest.len()).unwrap()));
            }
        }
        events.push(HttpEvent::End);
        for event in &events {
            self.segment.on_http(machine, request.id, event, self.now);
        }
    }

    /// Times of the steps that fit, on the first machine.
    pub(crate) fn times(&self, is: impl Fn(&Step) -> bool) -> Vec<u64> {
        self.machine().history().iter().filter(|(_, s)| is(s)).map(|(at, _)| *at).collect()
    }

    pub(crate) fn has(&self, step: &Step) -> bool {
        self.machine().history().iter().any(|(_, s)| s == step)
    }

    /// DHCP messages the first machine put on the cable, with their time.
    pub(crate) fn dhcp_sent(&self) -> Vec<(u64, Message)> {
        let read = |(at, frame): &(u64, Vec<u8>)| match Frame::parse(frame) {
            Ok(Frame::Udp4(udp)) if udp.to.port() == 67 => {
                Message::decode(udp.payload).ok().map(|m| (*at, m))
            }
            _ => None,
        };
        self.frames.iter().filter_map(read).collect()
    }
}

/// One machine on a stand, switched on.
pub(crate) fn started(config: Config, server: Server) -> Stand {
    let mut stand = Stand::new(vec![config], server);
    stand.power_on();
    stand
}

/// The same with manners.
pub(crate) fn rude(kind: Kind, manners: &[Manner], server: Server) -> Stand {
    started(config(kind, Ipxe::Of2025).with(manners), server)
}

/// A router advertisement with a name server inside, as OpenWrt sends it.
pub(crate) fn router_with_resolver() -> Vec<u8> {
    let body: Vec<u8> = [
        &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 25, 3, 0, 0, 0, 0, 7, 8][..],
        &"fd00:ab:cd::1".parse::<std::net::Ipv6Addr>().unwrap().octets()[..],
    ]
    .concat();
    let router = MacAddr([2, 0, 0, 0, 0, 9]);
    let frame = Icmp6 {
        to_mac: wire::ndp::ALL_NODES_MAC,
        from_mac: router,
        from: wire::ndp::link_local(router),
        to: wire::ndp::ALL_NODES,
        hop_limit: 255,
        kind: 134,
        code: 0,
        body: &body,
        checksum_good: true,
    };
    frame.build().unwrap()
}
