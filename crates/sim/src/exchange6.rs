//! A DHCPv6 exchange from the client's side: solicit, gather as this program does, request; or only ask what there is
//! to know.
//!
//! ```text
//!   Soliciting ──advertise──▶ Requesting ──reply──▶ Bound        Informing ──reply──▶ Bound, without an address
//!        └── ladder ends ──────────┴─────────▶ GaveUp ◀──────────────┘
//! ```

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use wire::dhcp6::{
    ALL_SERVERS, CLIENT_PORT, Duid, Ia, IaAddress, Message, MessageType, OptionCode, SERVER_PORT, Status,
};

use crate::body::{Body, Datagram};
use crate::manners::Manner;
use crate::program::{Choice, Program};
use crate::step::Step;

/// What an exchange came to.
#[derive(Debug)]
pub(crate) enum Verdict6 {
    /// It goes on.
    Pending,
    /// A server gave what was asked for.
    Bound(Box<Lease6>),
    /// The ladder ended.
    GaveUp,
}

/// What a client knows after an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Lease6 {
    /// Where to find what to boot, or whom to report to (option 59).
    pub(crate) url: Option<String>,
}

#[derive(Debug)]
enum State {
    Soliciting { best: Option<Message> },
    Requesting { offer: Box<Message> },
    Informing,
    Over,
}

/// One exchange of one program.
#[derive(Debug)]
pub(crate) struct Exchange6 {
    program: Program,
    duid: Duid,
    iaid: u32,
    xid: u32,
    began: u64,
    /// Messages of the present state that were sent.
    tries: usize,
    deadline: u64,
    state: State,
    /// The question of the present state was answered, whether that was heard or not.
    answered: bool,
}

impl Exchange6 {
    /// Begins, with a SOLICIT.
    pub(crate) fn start(program: Program, body: &mut Body, now: u64) -> Self {
        Self::begin(program, State::Soliciting { best: None }, body, now)
    }

    /// Begins, with an INFORMATION-REQUEST: an address is not wanted.
    pub(crate) fn inform(program: Program, body: &mut Body, now: u64) -> Self {
        Self::begin(program, State::Informing, body, now)
    }

    fn begin(program: Program, state: State, body: &mut Body, now: u64) -> Self {
        let duid = body.manners.odd_duid(body.config.mac).unwrap_or_else(|| program.duid(body));
        let (iaid, xid) = (body.dice.word(), body.dice.word() & 0x00ff_ffff);
        let mut exchange =
            Self { program, duid, iaid, xid, began: now, tries: 0, deadline: now, state, answered: false };
        exchange.transmit(body, now);
        exchange
    }

    /// When [`Exchange6::on_time`] is due.
    pub(crate) const fn wake_at(&self) -> Option<u64> {
        match self.state {
            State::Over => None,
            State::Soliciting { .. } | State::Requesting { .. } | State::Informing => Some(self.deadline),
        }
    }

    /// Takes a datagram in, if it is one for this exchange.
    pub(crate) fn on_udp(&mut self, body: &mut Body, udp: &Datagram<'_>, now: u64) -> Verdict6 {
        if udp.to.port() != CLIENT_PORT || !udp.from.is_ipv6() {
            return Verdict6::Pending;
        }
        let Ok(message) = Message::decode(udp.payload) else { return Verdict6::Pending };
        let mine = message.xid == self.xid
            && message.client().as_ref() == Some(&self.duid)
            && message.server().is_some();
        if !mine || self.is_lost(&message, body) {
            return Verdict6::Pending;
        }
        match (&mut self.state, message.kind) {
            (State::Soliciting { .. }, MessageType::Advertise) => self.on_advertise(message, body, now),
            (State::Requesting { .. }, MessageType::Reply) => self.on_reply(&message, body, now),
            (State::Informing, MessageType::Reply) => self.bind(None, &message, body, now),
            _ => Verdict6::Pending,
        }
    }

    /// True for an answer that a bad manner keeps from the program.
    fn is_lost(&mut self, message: &Message, body: &Body) -> bool {
        let first = !std::mem::replace(&mut self.answered, true);
        (first && body.manners.has(Manner::LosesFirstAnswers6))
            || (message.kind == MessageType::Reply && body.manners.has(Manner::NeverHearsReply))
    }

    /// Lets the timer fire when it is due.
    pub(crate) fn on_time(&mut self, body: &mut Body, now: u64) -> Verdict6 {
        if self.wake_at().is_none_or(|at| now < at) {
            return Verdict6::Pending;
        }
        if let State::Soliciting { best } = &mut self.state
            && let Some(offer) = best.take()
        {
            self.request(offer, body, now);
            return Verdict6::Pending;
        }
        let asks_on = !matches!(self.state, State::Requesting { .. }) && self.program.is_patient();
        if self.tries < self.ladder().len() || asks_on {
            self.transmit(body, now);
            return Verdict6::Pending;
        }
        self.give_up(body, now)
    }

    /// The ladder ended, or a server took back what it offered. A patient program starts over, with its longest wait.
    fn give_up(&mut self, body: &mut Body, now: u64) -> Verdict6 {
        if self.program.is_patient() {
            self.state = State::Soliciting { best: None };
            self.tries = self.ladder().len();
            self.next_exchange(body, now);
            return Verdict6::Pending;
        }
        self.state = State::Over;
        body.note(now, Step::Unanswered6(self.program.teller()));
        Verdict6::GaveUp
    }

    fn on_advertise(&mut self, offer: Message, body: &mut Body, now: u64) -> Verdict6 {
        if self.given(&offer).is_none() || !self.program.is_content_with6(&offer) {
            return Verdict6::Pending;
        }
        // RFC 8415 section 18.2.1: offers are gathered until the first timer fires, unless one is marked the best.
        let best = preference(&offer) == u8::MAX || self.tries > 1;
        if best || self.program.choice() != Choice::AtTimeout {
            self.request(offer, body, now);
            return Verdict6::Pending;
        }
        if let State::Soliciting { best: known } = &mut self.state
            && known.as_ref().is_none_or(|known| preference(&offer) > preference(known))
        {
            *known = Some(offer);
        }
        Verdict6::Pending
    }

    fn on_reply(&mut self, reply: &Message, body: &mut Body, now: u64) -> Verdict6 {
        match self.given(reply) {
            Some(address) => self.bind(Some(address), reply, body, now),
            None => {
                body.note(now, Step::Failed(format!("DHCPv6: {:?}", reply.options.status())));
                self.give_up(body, now)
            }
        }
    }

    fn bind(&mut self, address: Option<Ipv6Addr>, reply: &Message, body: &mut Body, now: u64) -> Verdict6 {
        self.state = State::Over;
        body.address6 = address.or(body.address6);
        body.note(now, Step::Bound6 { by: self.program.teller(), address });
        let url = reply.options.text(OptionCode::BOOT_URL).map(str::to_owned);
        Verdict6::Bound(Box::new(Lease6 { url }))
    }

    fn request(&mut self, offer: Message, body: &mut Body, now: u64) {
        self.state = State::Requesting { offer: Box::new(offer) };
        self.tries = 0;
        self.next_exchange(body, now);
    }

    fn next_exchange(&mut self, body: &mut Body, now: u64) {
        (self.answered, self.began) = (false, now);
        self.xid = body.dice.word() & 0x00ff_ffff;
        self.transmit(body, now);
    }

    /// The address a server's message gives, if it gives one.
    fn given(&self, message: &Message) -> Option<Ipv6Addr> {
        let ia = message.options.associations().into_iter().find(|ia| ia.iaid == self.iaid)?;
        let well = message.options.status() == Status::SUCCESS && ia.status == Status::SUCCESS;
        let given = ia.addresses.into_iter().find(|address| address.valid > 0);
        given.filter(|_| well).map(|given| given.address)
    }

    const fn ladder(&self) -> &'static [u64] {
        match self.state {
            State::Requesting { .. } => self.program.request_ladder6(),
            State::Soliciting { .. } | State::Informing | State::Over => self.program.discover_ladder6(),
        }
    }

    fn transmit(&mut self, body: &mut Body, now: u64) {
        let ladder = self.ladder();
        let wait = ladder.get(self.tries).or_else(|| ladder.last()).copied().unwrap_or(1000);
        self.deadline = now + wait;
        self.tries += 1;
        let kind = match self.state {
            State::Requesting { .. } => MessageType::Request,
            State::Informing => MessageType::InformationRequest,
            State::Soliciting { .. } | State::Over => MessageType::Solicit,
        };
        let mut message = Message::new(kind, self.xid, &self.duid);
        let elapsed = u16::try_from(now.saturating_sub(self.began) / 10).unwrap_or(u16::MAX);
        message.options.push(OptionCode::ELAPSED, elapsed.to_be_bytes());
        let mut ia = Ia::new(self.iaid);
        if let State::Requesting { offer } = &self.state {
            message
                .options
                .push(OptionCode::SERVER_ID, offer.options.get(OptionCode::SERVER_ID).unwrap_or_default());
            ia.addresses.extend(self.given(offer).map(|address| IaAddress {
                address,
                preferred: 0,
                valid: 0,
            }));
        }
        if kind != MessageType::InformationRequest {
            message.options.push(OptionCode::IA_NA, ia.value(""));
        }
        self.program.dress6(&mut message);
        if kind != MessageType::Request {
            body.note(now, Step::Solicited6 { by: self.program.teller() });
        }
        let to = SocketAddr::V6(SocketAddrV6::new(ALL_SERVERS, SERVER_PORT, 0, 0));
        body.send_udp(CLIENT_PORT, to, &message.encode(), now);
    }
}

fn preference(offer: &Message) -> u8 {
    offer.options.get(OptionCode::PREFERENCE).and_then(|value| value.first().copied()).unwrap_or_default()
}
