//! A small DHCP client without its socket, for the node agent and for the simulated machines.
//!
//! ```text
//!   Selecting ──offer──▶ Requesting ──ack──▶ Bound ──T1──▶ Renewing ──T2──▶ Rebinding
//!       ▲                    │ nak, silence    ▲              │ack             │ nak, end
//!       └────────────────────┘                 └──────────────┴────────────────┘──▶ Selecting
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use model::MacAddr;

use super::code::OptionCode;
use super::message::{LARGEST_MESSAGE, Message, MessageType, Op};
use super::options::Options;

/// REQUESTs sent before an unanswered offer is given up.
const MOST_REQUESTS: u32 = 4;

/// How a client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its Ethernet address.
    pub mac: MacAddr,
    /// First transaction number; later ones are derived from it. Take a random one.
    pub xid: u32,
    /// Ask for broadcast replies: needed on a plain UDP socket, which hears no unicast before the
    /// address is set.
    pub broadcast: bool,
    /// Further options of every message: 60, 61, 77, 93, 94, 97, 175, in the sender's order.
    pub options: Options,
    /// Wait for the first retransmission in milliseconds; it doubles. RFC 2131 section 4.1 and every
    /// PXE ROM begin with 4000.
    pub first_wait_ms: u64,
    /// Longest wait in milliseconds.
    pub longest_wait_ms: u64,
    /// How long offers are collected before the first is taken, in milliseconds; 0 takes it at once.
    /// EDK2 always waits its whole first 4000.
    pub collect_ms: u64,
}

impl ClientSettings {
    /// A patient client with nothing special: 4 s doubling to 64 s.
    #[must_use]
    pub const fn new(mac: MacAddr, xid: u32) -> Self {
        Self {
            mac,
            xid,
            broadcast: false,
            options: Options::new(),
            first_wait_ms: 4000,
            longest_wait_ms: 64_000,
            collect_ms: 0,
        }
    }
}

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Our address.
    pub address: Ipv4Addr,
    /// The server (option 54).
    pub server: Ipv4Addr,
    /// Length of the network's prefix in bits; 24 where the server says nothing.
    pub prefix: u8,
    /// Default router.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Our name, if the server gives one.
    pub host_name: Option<String>,
    /// Lease in seconds.
    pub lease_seconds: u32,
    /// The whole ACK, for boot options.
    pub reply: Message,
}

/// Where a client's message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// From 0.0.0.0 (or our address when rebinding) to 255.255.255.255.
    Broadcast,
    /// From our address to the server.
    Unicast(Ipv4Addr),
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Nothing until [`Client::wake_at`] or the next packet.
    Wait,
    /// Send this to port 67.
    Send(Message, Sending),
    /// An address is ours, or still ours: set it.
    Bound(Binding),
    /// The address is ours no longer: take it off. The client starts over at [`Client::wake_at`].
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Selecting { offer: Option<Message> },
    Requesting { offer: Message, sent: u32 },
    Bound { binding: Binding, times: Times },
    Renewing { binding: Binding, times: Times },
}

/// Moments of a lease in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    rebind: u64,
    end: u64,
}

/// The client.
#[derive(Debug, Clone)]
pub struct Client {
    settings: ClientSettings,
    state: State,
    xid: u32,
    /// When this exchange began, for the `secs` field.
    began: u64,
    wait: u64,
    wake: u64,
}

impl Client {
    /// A client that sends its first DISCOVER at the next [`Client::on_time`].
    #[must_use]
    pub const fn new(settings: ClientSettings, now: u64) -> Self {
        Self {
            state: State::Selecting { offer: None },
            xid: settings.xid,
            began: now,
            wait: settings.first_wait_ms,
            wake: now,
            settings,
        }
    }

    /// When [`Client::on_time`] must be called next, in the caller's milliseconds.
    #[must_use]
    pub const fn wake_at(&self) -> u64 {
        self.wake
    }

    /// What the server gave, while the lease runs.
    #[must_use]
    pub const fn binding(&self) -> Option<&Binding> {
        match &self.state {
            State::Bound { binding, .. } | State::Renewing { binding, .. } => Some(binding),
            State::Selecting { .. } | State::Requesting { .. } => None,
        }
    }

    /// Reads the payload of a datagram; what is not for us or cannot be read changes nothing.
    pub fn on_packet(&mut self, bytes: &[u8], now: u64) -> ClientStep {
        Message::decode(bytes).map_or(ClientStep::Wait, |message| self.on_message(&message, now))
    }

    /// Takes a message in.
    pub fn on_message(&mut self, message: &Message, now: u64) -> ClientStep {
        if message.op != Op::Reply || message.xid != self.xid || message.mac() != Some(self.settings.mac) {
            return ClientStep::Wait;
        }
        match (message.kind(), &mut self.state) {
            (Some(MessageType::Offer), State::Selecting { offer }) if is_usable(message) => {
                if offer.is_some() {
                    return ClientStep::Wait;
                }
                if self.settings.collect_ms > 0 {
                    *offer = Some(message.clone());
                    let until = self.began.saturating_add(self.settings.collect_ms);
                    self.wake = until.max(now);
                    return ClientStep::Wait;
                }
                self.take_offer(message.clone(), now)
            }
            (Some(MessageType::Ack), State::Requesting { .. } | State::Renewing { .. })
                if is_usable(message) =>
            {
                self.bind(message, now)
            }
            (Some(MessageType::Nak), State::Requesting { .. }) => {
                // A server that offers and refuses in turn must not be asked at the speed of the wire.
                self.restart(now);
                self.wake = now.saturating_add(self.settings.first_wait_ms.min(1000));
                ClientStep::Wait
            }
            (Some(MessageType::Nak), State::Renewing { .. }) => {
                self.restart(now);
                ClientStep::Lost
            }
            _ => ClientStep::Wait,
        }
    }

    /// Takes the passing of time in: sends, repeats, renews, gives up.
    pub fn on_time(&mut self, now: u64) -> ClientStep {
        if now < self.wake {
            return ClientStep::Wait;
        }
        match self.state.clone() {
            State::Selecting { offer: Some(offer) } => self.take_offer(offer, now),
            State::Selecting { offer: None } => {
                self.back_off(now);
                ClientStep::Send(self.message(MessageType::Discover, now), Sending::Broadcast)
            }
            State::Requesting { sent: MOST_REQUESTS.., .. } => {
                self.restart(now);
                self.on_time(now)
            }
            State::Requesting { offer, sent } => {
                self.back_off(now);
                let message = self.request_offer(&offer, now);
                self.state = State::Requesting { offer, sent: sent + 1 };
                ClientStep::Send(message, Sending::Broadcast)
            }
            State::Bound { binding, times } => {
                self.xid = next_xid(self.xid);
                self.began = now;
                self.state = State::Renewing { binding, times };
                self.on_time(now)
            }
            State::Renewing { times, .. } if now >= times.end => {
                self.restart(now);
                ClientStep::Lost
            }
            State::Renewing { binding, times } => {
                // Half of what is left, at least a minute, but never past the end (RFC 2131 section 4.4.5).
                let next = if now < times.rebind { times.rebind } else { times.end };
                self.wake = now.saturating_add((next.saturating_sub(now) / 2).max(60_000)).min(next);
                let mut message = self.message(MessageType::Request, now);
                message.ciaddr = binding.address;
                let rebinding = now >= times.rebind;
                let to = if rebinding { Sending::Broadcast } else { Sending::Unicast(binding.server) };
                ClientStep::Send(message, to)
            }
        }
    }

    /// The RELEASE to send when the address is given back; the client starts over if it is used again.
    pub fn release(&mut self, now: u64) -> Option<(Message, Sending)> {
        let binding = self.binding()?.clone();
        let mut message = Message::request(MessageType::Release, self.settings.mac, self.xid);
        message.ciaddr = binding.address;
        message.options.set_address(OptionCode::SERVER_ID, binding.server);
        if let Some(id) = self.settings.options.get(OptionCode::CLIENT_ID) {
            message.options.set(OptionCode::CLIENT_ID, id);
        }
        self.restart(now);
        Some((message, Sending::Unicast(binding.server)))
    }

    fn take_offer(&mut self, offer: Message, now: u64) -> ClientStep {
        self.wait = self.settings.first_wait_ms;
        self.back_off(now);
        let message = self.request_offer(&offer, now);
        self.state = State::Requesting { offer, sent: 1 };
        ClientStep::Send(message, Sending::Broadcast)
    }

    fn request_offer(&self, offer: &Message, now: u64) -> Message {
        let mut message = self.message(MessageType::Request, now);
        message.options.set_address(OptionCode::REQUESTED_ADDRESS, offer.yiaddr);
        if let Some(server) = offer.options.address(OptionCode::SERVER_ID) {
            message.options.set_address(OptionCode::SERVER_ID, server);
        }
        message
    }

    fn bind(&mut self, ack: &Message, now: u64) -> ClientStep {
        let options = &ack.options;
        let Some(server) = options.address(OptionCode::SERVER_ID) else { return ClientStep::Wait };
        let lease_seconds = options.u32(OptionCode::LEASE_SECONDS).unwrap_or(3600).max(1);
        let lease = u64::from(lease_seconds) * 1000;
        let part = |code, standard: u64| {
            let told = options.u32(code).map(|seconds| u64::from(seconds) * 1000);
            told.filter(|ms| *ms > 0 && *ms < lease).unwrap_or(standard)
        };
        let renew = part(OptionCode::RENEW_SECONDS, lease / 2);
        let rebind = part(OptionCode::REBIND_SECONDS, lease - lease / 8).max(renew);
        let prefix = options.address(OptionCode::SUBNET_MASK).map_or(24, |m| m.to_bits().leading_ones());
        let binding = Binding {
            address: ack.yiaddr,
            server,
            prefix: u8::try_from(prefix).unwrap_or(32),
            gateway: options.address(OptionCode::ROUTERS),
            dns: options.addresses(OptionCode::NAME_SERVERS),
            host_name: options.text(OptionCode::HOST_NAME).map(String::from),
            lease_seconds,
            reply: ack.clone(),
        };
        self.wake = now.saturating_add(renew);
        let times = Times { rebind: now.saturating_add(rebind), end: now.saturating_add(lease) };
        self.state = State::Bound { binding: binding.clone(), times };
        ClientStep::Bound(binding)
    }

    fn restart(&mut self, now: u64) {
        self.xid = next_xid(self.xid);
        self.state = State::Selecting { offer: None };
        self.began = now;
        self.wait = self.settings.first_wait_ms;
        self.wake = now;
    }

    fn back_off(&mut self, now: u64) {
        self.wake = now.saturating_add(self.wait);
        self.wait = self.wait.saturating_mul(2).min(self.settings.longest_wait_ms.max(1));
    }

    fn message(&self, kind: MessageType, now: u64) -> Message {
        let mut message = Message::request(kind, self.settings.mac, self.xid);
        message.secs = u16::try_from(now.saturating_sub(self.began) / 1000).unwrap_or(u16::MAX);
        message.broadcast = self.settings.broadcast;
        for (code, value) in self.settings.options.iter() {
            message.options.set(code, value);
        }
        if !message.options.has(OptionCode::PARAMETER_LIST) {
            message.options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 12, 15, 28, 42, 51, 54, 58, 59]);
        }
        message
    }
}

/// An offer or ACK needs an address and a server.
fn is_usable(message: &Message) -> bool {
    !message.yiaddr.is_unspecified() && message.options.address(OptionCode::SERVER_ID).is_some()
}

/// A full-period step (Knuth's constants), so that a late reply to an older exchange never fits.
pub(super) const fn next_xid(xid: u32) -> u32 {
    xid.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
}

impl ClientStep {
    /// The datagram's payload and where it goes, if there is something to send.
    #[must_use]
    pub fn datagram(&self) -> Option<(Vec<u8>, Sending)> {
        let Self::Send(message, to) = self else { return None };
        message.encode(LARGEST_MESSAGE).ok().map(|bytes| (bytes, *to))
    }
}
