//! A small DHCPv6 client without its socket, for the node agent and for the simulated machines.
//!
//! ```text
//!   Soliciting ──advertise──▶ Requesting ──reply──▶ Bound ──T1──▶ Renewing ──T2──▶ Rebinding
//!       ▲                        │ no, silence        ▲              │reply           │ no, end
//!       └────────────────────────┘                    └──────────────┴────────────────┘──▶ Soliciting
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::code::{OptionCode, Status};
use super::duid::Duid;
use super::identity::{Ia, IaAddress};
use super::message::{Message, MessageType};
use super::options::Options;

/// REQUESTs sent before an unanswered offer is given up (RFC 8415 section 7.6, `REQ_MAX_RC`).
const MOST_REQUESTS: u32 = 10;
/// First wait for the answer to a RENEW or REBIND in milliseconds (`REN_TIMEOUT`, `REB_TIMEOUT`).
const RENEW_WAIT_MS: u64 = 10_000;

/// How a client behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Its identifier.
    pub duid: Duid,
    /// Number of its association.
    pub iaid: u32,
    /// First transaction number; later ones are derived from it. Take a random one.
    pub xid: u32,
    /// Further options of every message: 6, 15, 16, 61, 62, in the sender's order.
    pub options: Options,
    /// Wait for the first retransmission in milliseconds; it doubles. RFC 8415 begins with 1000.
    pub first_wait_ms: u64,
    /// Longest wait in milliseconds.
    pub longest_wait_ms: u64,
    /// Ask for two messages instead of four (section 21.14).
    pub rapid: bool,
}

impl ClientSettings {
    /// A patient client with nothing special.
    #[must_use]
    pub const fn new(duid: Duid, iaid: u32, xid: u32) -> Self {
        let options = Options::new();
        Self { duid, iaid, xid, options, first_wait_ms: 1000, longest_wait_ms: 64_000, rapid: false }
    }
}

/// What a server gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Our address. Its prefix is told by routers, not by this server.
    pub address: Ipv6Addr,
    /// The server.
    pub server: Duid,
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
    /// Boot file, or where our agent reports.
    pub url: Option<String>,
    /// Seconds the address may be used.
    pub valid_seconds: u32,
    /// The whole REPLY.
    pub reply: Message,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep {
    /// Nothing until [`Client::wake_at`] or the next packet.
    Wait,
    /// Send this to [`ALL_SERVERS`](super::ALL_SERVERS), port 547.
    Send(Message),
    /// An address is ours, or still ours: set it.
    Bound(Binding),
    /// The address is ours no longer: take it off. The client starts over at [`Client::wake_at`].
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Soliciting { best: Option<Message>, sent: u32 },
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
    began: u64,
    wait: u64,
    wake: u64,
}

impl Client {
    /// A client that sends its first SOLICIT at the next [`Client::on_time`].
    #[must_use]
    pub const fn new(settings: ClientSettings, now: u64) -> Self {
        Self {
            state: State::Soliciting { best: None, sent: 0 },
            xid: settings.xid & 0x00ff_ffff,
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
            State::Soliciting { .. } | State::Requesting { .. } => None,
        }
    }

    /// Reads the payload of a datagram; what is not for us or cannot be read changes nothing.
    pub fn on_packet(&mut self, bytes: &[u8], now: u64) -> ClientStep {
        Message::decode(bytes).map_or(ClientStep::Wait, |message| self.on_message(&message, now))
    }

    /// Takes a message in.
    pub fn on_message(&mut self, message: &Message, now: u64) -> ClientStep {
        if message.xid != self.xid
            || message.client().as_ref() != Some(&self.settings.duid)
            || message.server().is_none()
        {
            return ClientStep::Wait;
        }
        match (message.kind, &mut self.state) {
            (MessageType::Advertise, State::Soliciting { best, sent }) => {
                if self.settings.given(message).is_none() {
                    return ClientStep::Wait;
                }
                // Section 18.2.1: offers are collected for the first wait, unless one is marked the best.
                let preference =
                    |offer: &Message| offer.options.get(OptionCode::PREFERENCE).map_or(0, first_byte);
                if preference(message) == u8::MAX || *sent > 1 {
                    return self.take_offer(message.clone(), now);
                }
                if best.as_ref().is_none_or(|known| preference(message) > preference(known)) {
                    *best = Some(message.clone());
                }
                ClientStep::Wait
            }
            (MessageType::Reply, State::Soliciting { .. }) if self.settings.rapid => {
                if message.options.has(OptionCode::RAPID_COMMIT) {
                    self.bind(message, now)
                } else {
                    ClientStep::Wait
                }
            }
            (MessageType::Reply, State::Requesting { .. }) => {
                if self.settings.given(message).is_none() {
                    // A server that offers and refuses in turn must not be asked at the speed of the wire.
                    self.restart(now);
                    self.wake = now.saturating_add(self.settings.first_wait_ms);
                    return ClientStep::Wait;
                }
                self.bind(message, now)
            }
            (MessageType::Reply, State::Renewing { binding, .. }) => {
                let held = binding.address;
                match self.settings.given(message) {
                    Some(given) if given.address == held => self.bind(message, now),
                    _ => {
                        self.restart(now);
                        ClientStep::Lost
                    }
                }
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
            State::Soliciting { best: Some(offer), .. } => self.take_offer(offer, now),
            State::Soliciting { best: None, sent } => {
                self.back_off(now);
                self.state = State::Soliciting { best: None, sent: sent.saturating_add(1) };
                let mut message = self.message(MessageType::Solicit, now);
                if self.settings.rapid {
                    message.options.push(OptionCode::RAPID_COMMIT, []);
                }
                message.options.push(OptionCode::IA_NA, Ia::new(self.settings.iaid).value(""));
                ClientStep::Send(message)
            }
            State::Requesting { sent: MOST_REQUESTS.., .. } => {
                self.restart(now);
                self.on_time(now)
            }
            State::Requesting { offer, sent } => {
                self.back_off(now);
                let message = self.about_offer(&offer, now);
                self.state = State::Requesting { offer, sent: sent + 1 };
                ClientStep::Send(message)
            }
            State::Bound { binding, times } => {
                self.next_exchange(now);
                self.wait = RENEW_WAIT_MS;
                self.state = State::Renewing { binding, times };
                self.on_time(now)
            }
            State::Renewing { times, .. } if now >= times.end => {
                self.restart(now);
                ClientStep::Lost
            }
            State::Renewing { binding, times } => {
                let rebinding = now >= times.rebind;
                let next = if rebinding { times.end } else { times.rebind };
                self.wake = now.saturating_add(self.wait).min(next);
                self.wait = self.wait.saturating_mul(2).min(600_000);
                let kind = if rebinding { MessageType::Rebind } else { MessageType::Renew };
                let mut message = self.message(kind, now);
                if !rebinding {
                    message.options.push(OptionCode::SERVER_ID, binding.server.as_bytes());
                }
                message.options.push(OptionCode::IA_NA, self.settings.holding(binding.address));
                ClientStep::Send(message)
            }
        }
    }

    /// The RELEASE to send when the address is given back; the client starts over if it is used again.
    pub fn release(&mut self, now: u64) -> Option<Message> {
        let binding = self.binding()?.clone();
        self.next_exchange(now);
        let mut message = self.message(MessageType::Release, now);
        message.options.push(OptionCode::SERVER_ID, binding.server.as_bytes());
        message.options.push(OptionCode::IA_NA, self.settings.holding(binding.address));
        self.restart(now);
        Some(message)
    }

    fn take_offer(&mut self, offer: Message, now: u64) -> ClientStep {
        self.next_exchange(now);
        self.wait = self.settings.first_wait_ms;
        self.back_off(now);
        let message = self.about_offer(&offer, now);
        self.state = State::Requesting { offer, sent: 1 };
        ClientStep::Send(message)
    }

    fn about_offer(&self, offer: &Message, now: u64) -> Message {
        let mut message = self.message(MessageType::Request, now);
        if let Some(server) = offer.options.get(OptionCode::SERVER_ID) {
            message.options.push(OptionCode::SERVER_ID, server);
        }
        if let Some(given) = self.settings.given(offer) {
            message.options.push(OptionCode::IA_NA, self.settings.holding(given.address));
        }
        message
    }

    fn bind(&mut self, reply: &Message, now: u64) -> ClientStep {
        let (Some(server), Some(given)) = (reply.server(), self.settings.given(reply)) else {
            return ClientStep::Wait;
        };
        let associations = reply.options.associations();
        let ia = associations.iter().find(|ia| ia.iaid == self.settings.iaid);
        let (told_renew, told_rebind) = ia.map_or((0, 0), |ia| (u64::from(ia.renew), u64::from(ia.rebind)));
        let lease = u64::from(given.valid).saturating_mul(1000);
        let part = |told: u64, standard: u64| {
            let told = told.saturating_mul(1000);
            if told > 0 && told < lease { told } else { standard }
        };
        let renew = part(told_renew, lease / 2);
        let rebind = part(told_rebind, lease - lease / 5).max(renew);
        let binding = Binding {
            address: given.address,
            server,
            dns: reply.options.addresses(OptionCode::NAME_SERVERS),
            url: reply.options.text(OptionCode::BOOT_URL).map(String::from),
            valid_seconds: given.valid,
            reply: reply.clone(),
        };
        self.wake = now.saturating_add(renew);
        let times = Times { rebind: now.saturating_add(rebind), end: now.saturating_add(lease) };
        self.state = State::Bound { binding: binding.clone(), times };
        ClientStep::Bound(binding)
    }

    fn restart(&mut self, now: u64) {
        self.next_exchange(now);
        self.state = State::Soliciting { best: None, sent: 0 };
        self.wait = self.settings.first_wait_ms;
        self.wake = now;
    }

    /// Another transaction number (Knuth's constants), so that a late answer to an older exchange does not fit.
    const fn next_exchange(&mut self, now: u64) {
        self.xid = self.xid.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) & 0x00ff_ffff;
        self.began = now;
    }

    fn back_off(&mut self, now: u64) {
        self.wake = now.saturating_add(self.wait);
        self.wait = self.wait.saturating_mul(2).min(self.settings.longest_wait_ms.max(1));
    }

    fn message(&self, kind: MessageType, now: u64) -> Message {
        let mut message = Message::new(kind, self.xid, &self.settings.duid);
        let hundredths = u16::try_from(now.saturating_sub(self.began) / 10).unwrap_or(u16::MAX);
        message.options.push(OptionCode::ELAPSED, hundredths.to_be_bytes());
        for (code, value) in self.settings.options.iter() {
            message.options.push(code, value);
        }
        message
    }
}

impl ClientSettings {
    /// The address a server's message gives our association, if it gives one.
    fn given(&self, message: &Message) -> Option<IaAddress> {
        let ia = message.options.associations().into_iter().find(|ia| ia.iaid == self.iaid)?;
        let well = message.options.status() == Status::SUCCESS && ia.status == Status::SUCCESS;
        ia.addresses.into_iter().find(|address| address.valid > 0).filter(|_| well)
    }

    /// Our association with one address in it.
    fn holding(&self, address: Ipv6Addr) -> Vec<u8> {
        let mut ia = Ia::new(self.iaid);
        ia.addresses.push(IaAddress { address, preferred: 0, valid: 0 });
        ia.value("")
    }
}

fn first_byte(bytes: &[u8]) -> u8 {
    bytes.first().copied().unwrap_or_default()
}
