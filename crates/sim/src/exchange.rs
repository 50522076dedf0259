//! A DHCP exchange from the client's side: discover, gather offers as this program does, request.

use std::net::{Ipv4Addr, SocketAddrV4};

use wire::dhcp::proxy::BOOT_SERVER_PORT;
use wire::dhcp::{
    CLIENT_PORT, LARGEST_MESSAGE, Message, MessageType, Op, OptionCode, SERVER_PORT, Suboptions,
};

use crate::body::{Body, Datagram};
use crate::manners::Manner;
use crate::merge::{Boots, boots_by, forgets, has_pxe_options, no_proxy, proxy_offer};
use crate::program::{Choice, Program, is_pxe};
use crate::step::Step;

/// iPXE waits for a proxy server until a timer fires after this (`DHCP_DISC_PROXY_TIMEOUT_SEC`).
const PROXY_WINDOW_MS: u64 = 2000;
/// The same with the timers of the specification, as Red Hat builds it (`DHCP_DISC_PROXY_TIMEOUT_SEC` 11).
const SPEC_WINDOW_MS: u64 = 11_000;

/// iPXE goes on without an answer of port 4011 when a timer fires after this (`DHCP_REQ_PROXY_TIMEOUT_SEC`).
const QUESTION_WINDOW_MS: u64 = 2000;

fn proxy_window(body: &Body) -> u64 {
    if body.manners.has(Manner::WaitsForProxy) { SPEC_WINDOW_MS } else { PROXY_WINDOW_MS }
}

/// What an exchange came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It goes on.
    Pending,
    /// An address was acknowledged.
    Bound(Box<Lease>),
    /// The ladder ended.
    GaveUp,
}

/// What a client holds after an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    /// The address.
    pub(crate) address: Ipv4Addr,
    /// The message that tells what to boot: the ACK, or a proxy's offer merged with it.
    pub(crate) boot: Message,
    /// The server's own address (option 54 of the ACK).
    pub(crate) server: Ipv4Addr,
}

#[derive(Debug)]
enum State {
    Discovering,
    Requesting(Box<Message>),
    /// iPXE has its address, and asks port 4011 what to boot.
    Asking {
        lease: Box<Lease>,
        server: Ipv4Addr,
    },
    Over,
}

/// One exchange of one program.
#[derive(Debug)]
pub(crate) struct Exchange {
    program: Program,
    xid: u32,
    began: u64,
    /// Messages of the present state that were sent.
    tries: usize,
    /// All messages sent; iPXE shows it in `secs`.
    count: u16,
    deadline: u64,
    state: State,
    offers: Vec<Message>,
    /// When it gives up, if nothing was offered by then.
    hasty_at: Option<u64>,
}

impl Exchange {
    /// Begins, with the first DISCOVER.
    pub(crate) fn start(program: Program, body: &mut Body, now: u64) -> Self {
        let mut exchange = Self {
            program,
            xid: body.dice.word(),
            began: now,
            tries: 0,
            count: 0,
            deadline: now,
            state: State::Discovering,
            offers: Vec::new(),
            hasty_at: body.manners.haste().map(|ms| now + ms),
        };
        exchange.transmit(body, now);
        exchange
    }

    /// When [`Exchange::on_time`] is due.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        match self.state {
            State::Over => None,
            State::Discovering | State::Requesting(_) | State::Asking { .. } => {
                let hasty = self.hasty_at.filter(|_| self.is_unheard());
                Some(hasty.map_or(self.deadline, |at| at.min(self.deadline)))
            }
        }
    }

    /// True while nothing was offered.
    const fn is_unheard(&self) -> bool {
        self.is_discovering() && self.offers.is_empty()
    }

    /// Takes a datagram in, if it is one for this exchange.
    pub(crate) fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) -> Verdict {
        let port = if matches!(self.state, State::Asking { .. }) { BOOT_SERVER_PORT } else { SERVER_PORT };
        if udp.to.port() != CLIENT_PORT || udp.from.port() != port {
            return Verdict::Pending;
        }
        if self.program.needs_broadcast() && !udp.is_broadcast() {
            return Verdict::Pending;
        }
        let Ok(message) = Message::decode(udp.payload) else { return Verdict::Pending };
        let overloaded = message.sname.is_empty() && message.file.is_empty() && has_overload(udp.payload);
        if message.op != Op::Reply
            || message.xid != self.xid
            || message.chaddr != own_chaddr(body)
            || (overloaded && body.manners.has(Manner::IgnoresOverload))
        {
            return Verdict::Pending;
        }
        let requested = match &self.state {
            State::Over => return Verdict::Pending,
            State::Discovering => None,
            State::Requesting(offer) => Some((**offer).clone()),
            State::Asking { lease, server } => {
                let named = message.options.address(OptionCode::SERVER_ID) == Some(*server);
                if !named || !has_pxe_options(&message) {
                    return Verdict::Pending;
                }
                let lease = Lease { boot: message, ..(**lease).clone() };
                self.state = State::Over;
                return Verdict::Bound(Box::new(lease));
            }
        };
        match (requested, message.kind()) {
            (None, Some(MessageType::Offer)) => self.on_offer(body, message, now),
            (Some(offer), Some(MessageType::Ack)) => self.on_ack(body, message, &offer, now),
            (Some(_), Some(MessageType::Nak)) => {
                self.rediscover(body, now);
                Verdict::Pending
            }
            _ => Verdict::Pending,
        }
    }

    /// Lets the timer fire when it is due.
    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) -> Verdict {
        let hurries = self.is_unheard() && self.hasty_at.is_some_and(|at| at <= now);
        if hurries && !matches!(self.state, State::Over) {
            return self.give_up(body, now);
        }
        if matches!(self.state, State::Over) || now < self.deadline {
            return Verdict::Pending;
        }
        if matches!(self.state, State::Discovering) {
            let waited = now.saturating_sub(self.began);
            let ready = match self.program.choice() {
                Choice::ProxyWindow => waited > proxy_window(body),
                Choice::AtTimeout | Choice::First => true,
            };
            if ready && let Some(offer) = self.choose(body) {
                self.request(body, offer, now);
                return Verdict::Pending;
            }
        }
        if let State::Asking { lease, .. } = &self.state
            && now.saturating_sub(self.began) > QUESTION_WINDOW_MS
        {
            let lease = lease.clone();
            self.state = State::Over;
            return Verdict::Bound(lease);
        }
        let ladder = self.ladder(body);
        if self.tries < ladder.len() || (self.program.is_patient() && self.is_discovering()) {
            self.transmit(body, now);
            return Verdict::Pending;
        }
        if self.program.is_patient() {
            self.rediscover(body, now);
            return Verdict::Pending;
        }
        self.give_up(body, now)
    }

    fn give_up(&mut self, body: &mut Body, now: u64) -> Verdict {
        self.state = State::Over;
        body.note(now, Step::Unanswered(self.program.teller()));
        Verdict::GaveUp
    }

    const fn is_discovering(&self) -> bool {
        matches!(self.state, State::Discovering)
    }

    fn ladder(&self, body: &Body) -> &'static [u64] {
        if self.is_discovering() { self.program.waits(body) } else { self.program.request_ladder() }
    }

    fn on_offer(&mut self, body: &mut Body, offer: Message, now: u64) -> Verdict {
        if forgets(self.program, &offer, body) {
            return Verdict::Pending;
        }
        let ends_wait = match self.program.choice() {
            Choice::AtTimeout => false,
            Choice::First => self.program.is_content_with(&offer),
            // `dhcp_discovery_rx`: an offer, and either no wish or no need for a proxy's. One that
            // calls itself PXEClient counts as the proxy's too.
            Choice::ProxyWindow => {
                let waited = now.saturating_sub(self.began) > proxy_window(body);
                let told = no_proxy(&offer) || is_pxe(&offer) || waited;
                let known = self.offers.iter().any(|o| no_proxy(o) || is_pxe(o));
                told || known
            }
        };
        self.offers.push(offer);
        if ends_wait && let Some(best) = self.choose(body) {
            self.request(body, best, now);
        }
        Verdict::Pending
    }

    /// The offer to request. EDK2 prefers one complete PXE offer, then an address with a proxy's
    /// file beside it, then any offer with a file (`PxeBcSelectDhcp4Offer`).
    fn choose(&self, body: &Body) -> Option<Message> {
        let whole = || self.offers.iter().filter(|o| self.program.is_content_with(o));
        let merges = !body.manners.has(Manner::RefusesMergedOffer);
        let beside = proxy_offer(self.program, &self.offers).filter(|_| merges);
        let with_address = || self.offers.iter().find(|o| !o.yiaddr.is_unspecified());
        let best = whole().find(|o| is_pxe(o)).or_else(|| beside.and_then(|_| with_address()));
        best.or_else(|| whole().next()).cloned()
    }

    fn on_ack(&mut self, body: &mut Body, ack: Message, offer: &Message, now: u64) -> Verdict {
        let server = ack.options.address(OptionCode::SERVER_ID);
        if ack.yiaddr.is_unspecified() || server != offer.options.address(OptionCode::SERVER_ID) {
            return Verdict::Pending;
        }
        self.state = State::Over;
        let (address, server) = (ack.yiaddr, server.unwrap_or(ack.siaddr));
        body.address = Some(address);
        body.note(now, Step::Bound { by: self.program.teller(), address });
        let boot = match boots_by(self.program, offer, &ack, &self.offers) {
            Boots::Ack => ack,
            Boots::Proxy(proxy) => proxy,
            Boots::Question(proxy) if matches!(self.program, Program::Ipxe { .. }) => {
                let lease = Box::new(Lease { address, boot: ack, server });
                let server = proxy.options.address(OptionCode::SERVER_ID).unwrap_or(proxy.siaddr);
                self.state = State::Asking { lease, server };
                (self.began, self.tries) = (now, 0);
                self.transmit(body, now);
                return Verdict::Pending;
            }
            // EDK2 has a driver of its own for the question.
            Boots::Question(proxy) => proxy,
        };
        Verdict::Bound(Box::new(Lease { address, boot, server }))
    }

    fn request(&mut self, body: &mut Body, offer: Message, now: u64) {
        self.state = State::Requesting(Box::new(offer));
        self.tries = 0;
        self.transmit(body, now);
    }

    fn rediscover(&mut self, body: &mut Body, now: u64) {
        self.state = State::Discovering;
        self.xid = body.dice.word();
        self.began = now;
        self.tries = 0;
        self.offers.clear();
        self.transmit(body, now);
    }

    fn transmit(&mut self, body: &mut Body, now: u64) {
        let ladder = self.ladder(body);
        let wait = ladder.get(self.tries).or_else(|| ladder.last()).copied().unwrap_or(1000);
        self.deadline = now + wait;
        self.tries += 1;
        self.count = self.count.saturating_add(1);
        let kind = if self.is_discovering() { MessageType::Discover } else { MessageType::Request };
        let mut message = Message::request(kind, body.config.mac, self.xid);
        message.chaddr = own_chaddr(body);
        message.secs = self.secs(now);
        self.program.dress(&mut message, body);
        if let State::Asking { lease, server } = &self.state {
            message.ciaddr = lease.address;
            message.options.set_address(OptionCode::SERVER_ID, *server);
            let Ok(bytes) = message.encode(LARGEST_MESSAGE) else { return };
            body.note(now, Step::AskedBootServer(*server));
            return body.send_udp(CLIENT_PORT, (*server, BOOT_SERVER_PORT).into(), &bytes, now);
        }
        if let State::Requesting(offer) = &self.state {
            message.options.set_address(OptionCode::REQUESTED_ADDRESS, offer.yiaddr);
            if let Some(server) = offer.options.address(OptionCode::SERVER_ID) {
                message.options.set_address(OptionCode::SERVER_ID, server);
            }
        } else {
            body.note(now, Step::Discovered { by: self.program.teller(), secs: message.secs });
        }
        let Ok(bytes) = message.encode(LARGEST_MESSAGE) else { return };
        let server = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
        if body.manners.has(Manner::SendsGarbage) {
            for broken in garbage(&bytes) {
                body.send_udp(CLIENT_PORT, server.into(), &broken, now);
            }
        }
        body.send_udp(CLIENT_PORT, server.into(), &bytes, now);
        if self.is_discovering()
            && let Some(second) = body.manners.second_port()
        {
            let [a, b, c, d, e, f] = second.0;
            message.xid = message.xid.wrapping_add(1);
            message.chaddr = [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let Ok(bytes) = message.encode(LARGEST_MESSAGE) else { return };
            body.send_udp_as(second, CLIENT_PORT, (server, &bytes), now);
        }
    }

    /// EDK2 and ROMs count seconds; iPXE writes its count of messages and what it has seen
    /// (`dhcp_tx`: count shifted by two, bit 1 an offer, bit 0 a proxy's offer).
    fn secs(&self, now: u64) -> u16 {
        match self.program {
            Program::Ipxe { .. } => {
                let offer = u16::from(self.offers.iter().any(|o| !o.yiaddr.is_unspecified()));
                let proxy = u16::from(self.offers.iter().any(is_pxe));
                self.count << 2 | offer << 1 | proxy
            }
            _ => u16::try_from(now.saturating_sub(self.began) / 1000).unwrap_or(u16::MAX),
        }
    }
}

fn own_chaddr(body: &Body) -> [u8; 16] {
    let [a, b, c, d, e, f] = body.manners.claimed_mac().unwrap_or(body.config.mac).0;
    [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// True when option 52 stands among the options of the main field.
fn has_overload(payload: &[u8]) -> bool {
    let options = payload.get(240..).unwrap_or_default();
    Suboptions::new(options).find_code(OptionCode::OVERLOAD.0).is_some()
}

/// Broken forms of an honest message.
fn garbage(honest: &[u8]) -> Vec<Vec<u8>> {
    let head = |length: usize| honest.get(..length).unwrap_or(honest).to_vec();
    let mut long_address = honest.to_vec();
    if let Some(hlen) = long_address.get_mut(2) {
        *hlen = 0xff;
    }
    let mut overrun = head(240);
    overrun.extend_from_slice(&[53, 1, 1, 60, 250, b'P', b'X', b'E']);
    let mut endless = head(240);
    endless.extend_from_slice(&[53, 1, 1]);
    for _ in 0..300 {
        endless.extend_from_slice(&[43, 2, 43, 0]);
    }
    let mut folded = head(240);
    // Option 52 inside the field it announces: a reader that follows it again never ends.
    folded.extend_from_slice(&[53, 1, 1, 52, 1, 3, 255]);
    for field in [44, 108] {
        if let Some(room) = folded.get_mut(field..field + 4) {
            room.copy_from_slice(&[52, 1, 3, 255]);
        }
    }
    vec![Vec::new(), head(1), head(100), head(241), long_address, overrun, endless, folded]
}
