//! Our agent as the boss sees it: an address, a report, heartbeats, and the orders it obeys. Of a hypervisor also its
//! guests.

use std::net::Ipv4Addr;

use bytes::Bytes;
use model::{
    AGENT_BEAT_PATH, AGENT_BEAT_SECONDS, AGENT_HELLO_PATH, AGENT_SEAL_HEADER, AgentBeat, AgentOrder,
    AgentReport, AgentWelcome, Asset, GuestEnd, GuestSeen, Kexec, MacAddr, NodeName, WipeOrder,
};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, BossSearch, CLIENT_PORT, ClientSettings, LARGEST_MESSAGE, Message, OptionCode,
    SERVER_PORT, boss_url,
};

use crate::body::{Body, Input, Next};
use crate::exchange::{Exchange, Verdict};
use crate::exchange6::{Exchange6, Verdict6};
use crate::guests::Guests;
use crate::http::{HttpEvent, HttpRequest, Method};
use crate::key::BootKey;
use crate::manners::Manner;
use crate::parked::Parked;
use crate::program::Program;
use crate::step::Step;
use crate::wipe::Wiping;

/// How long a request may take before it is sent again.
const PATIENCE_MS: u64 = 10_000;
/// Syncing disks before the power goes.
const SYNC_MS: u64 = 300;

/// What the boss is asked or told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    Hello,
    Beat,
    /// What a guest boots.
    Content(Asset),
}

#[derive(Debug)]
enum State {
    /// An address is asked for, over the protocol that the kernel line names or over both; the first that leads to the
    /// boss is kept to.
    Asking {
        four: Option<Box<Exchange>>,
        six: Option<Box<Exchange6>>,
        /// It has an address, and nobody told where the boss is.
        search: Option<Box<BossSearch>>,
    },
    /// The next request is due.
    Due {
        at: u64,
        ask: Ask,
    },
    /// A request is under way.
    Sent {
        id: u64,
        ask: Ask,
        deadline: u64,
        status: u16,
        content: Vec<u8>,
    },
    Syncing {
        until: u64,
    },
    /// It has left its run, and waits in memory.
    Parked(Box<Parked>),
    Silent,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct AgentRun {
    state: State,
    began: u64,
    boot_id: String,
    nonce: Option<String>,
    base: String,
    /// What it seals its words with; an older agent has none.
    key: Option<BootKey>,
    welcomed: bool,
    /// The last report was answered with the wish to hear it again.
    asked_again: bool,
    /// What the boss calls this machine.
    node: Option<NodeName>,
    guests: Guests,
    /// What was told of them last.
    told: Vec<GuestSeen>,
    /// When the next heartbeat is due, whatever is fetched meanwhile.
    beat_at: u64,
    /// When something is to be done about them.
    guests_at: Option<u64>,
    /// The wipe of this boot.
    wipe: Option<Wiping>,
    /// When it falls silent, once it was welcomed.
    silent_at: Option<u64>,
    /// When the machine resets, once it was welcomed.
    reset_at: Option<u64>,
}

impl AgentRun {
    /// The kernel is up; `args` are its arguments.
    pub(crate) fn start(body: &mut Body, args: &str, now: u64) -> Self {
        let word = |name: &str| {
            let found = args.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix('='));
            found.map(str::to_owned)
        };
        let (a, b) = (body.dice.next(), body.dice.next());
        let boot_id = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 48 & 0xfff,
            b & 0xffff_ffff_ffff
        );
        let base = word("labinator.boss").unwrap_or_default();
        let over_six = base.contains('[');
        let four = (!over_six).then(|| Box::new(Exchange::start(Program::Agent, body, now)));
        let both = over_six || base.is_empty();
        let six = both.then(|| Box::new(Exchange6::start(Program::Agent, body, now)));
        let state = State::Asking { four, six, search: None };
        let is_older = body.manners.has(Manner::AgentIsOlder);
        let key = (!is_older).then(|| BootKey::of(&boot_id)).flatten();
        Self {
            state,
            began: now,
            boot_id,
            key,
            nonce: word("labinator.nonce"),
            base,
            welcomed: false,
            asked_again: false,
            node: None,
            guests: Guests::default(),
            told: Vec::new(),
            beat_at: 0,
            guests_at: None,
            wipe: None,
            silent_at: None,
            reset_at: None,
        }
    }

    pub(crate) fn wake_at(&self) -> Option<u64> {
        let own = match &self.state {
            State::Asking { four, six, search } => {
                let four = four.as_ref().and_then(|exchange| exchange.wake_at());
                let six = six.as_ref().and_then(|exchange| exchange.wake_at());
                let search = search.as_ref().map(|search| search.wake_at());
                [four, six, search].into_iter().flatten().min()
            }
            State::Due { at, .. } => Some(*at),
            State::Sent { deadline, .. } => Some(*deadline),
            State::Syncing { until } => Some(*until),
            State::Parked(parked) => parked.wake_at(),
            State::Silent => None,
        };
        [own, self.reset_at, self.guests_at].into_iter().flatten().min()
    }

    pub(crate) fn take(&mut self, body: &mut Body, input: &Input<'_>, now: u64) -> Next {
        if self.reset_at.is_some_and(|at| at <= now) {
            return Next::Reset;
        }
        if self.silent_at.is_some_and(|at| at <= now) {
            self.state = State::Silent;
        }
        if self.guests_at.is_some_and(|at| at <= now) {
            self.mind_guests(body, now);
        }
        if let State::Parked(parked) = &mut self.state {
            return parked.take(body, input, now);
        }
        match (&mut self.state, input) {
            (State::Asking { four, six, search }, Input::Udp(_) | Input::Time) => {
                let told = search.as_mut().and_then(|search| seek(search, body, input, now));
                let four = four.as_mut().map(|exchange| match input {
                    Input::Udp(udp) => exchange.on_udp(body, udp, now),
                    _ => exchange.on_time(body, now),
                });
                let six = six.as_mut().map(|exchange| match input {
                    Input::Udp(udp) => exchange.on_udp(body, udp, now),
                    _ => exchange.on_time(body, now),
                });
                self.after_dhcp((four, six, told), body, now);
                Next::Stay
            }
            (State::Due { at, ask }, Input::Time) if *at <= now => {
                let ask = ask.clone();
                self.speak(ask, body, now);
                Next::Stay
            }
            (State::Sent { deadline, ask, .. }, Input::Time) if *deadline <= now => {
                self.state = State::Due { at: now, ask: ask.clone() };
                Next::Stay
            }
            (State::Sent { id, .. }, Input::Http(of, event)) if id == of => self.on_http(body, event, now),
            (State::Syncing { until }, Input::Time) if *until <= now => Next::ShutDown,
            _ => Next::Stay,
        }
    }

    fn after_dhcp(
        &mut self,
        (four, six, told): (Option<Verdict>, Option<Verdict6>, Option<String>),
        body: &mut Body,
        now: u64,
    ) {
        // The kernel line's word counts before all others.
        let known = Some(self.base.clone()).filter(|base| !base.is_empty());
        let boss = match (four, six) {
            (Some(Verdict::Bound(lease)), _) => {
                let told = known.or_else(|| boss_url(&lease.boot));
                if told.is_none()
                    && let State::Asking { search, .. } = &mut self.state
                {
                    let mut settings = ClientSettings::new(body.config.mac, body.dice.word());
                    settings.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
                    *search = Some(Box::new(BossSearch::new(settings, lease.address, now)));
                }
                told
            }
            // A server of DHCPv6 has no address of its own: it tells an agent where to report in the file's place.
            (_, Some(Verdict6::Bound(lease))) => known.or(lease.url),
            _ => told,
        };
        if let Some(boss) = boss {
            boss.trim_end_matches('/').clone_into(&mut self.base);
            self.state = State::Due { at: now, ask: Ask::Hello };
        }
    }

    fn speak(&mut self, ask: Ask, body: &mut Body, now: u64) {
        let (path, json) = match &ask {
            Ask::Hello => (AGENT_HELLO_PATH, serde_json::to_vec(&self.report(body, now))),
            Ask::Beat => (AGENT_BEAT_PATH, serde_json::to_vec(&self.beat(body, now))),
            Ask::Content(asset) => {
                let url = format!("{}/f/{}/{}", self.base, asset.digest, asset.name);
                return self.send(ask, (Method::Get, url), (Vec::new(), Vec::new()), (body, now));
            }
        };
        let json = json.unwrap_or_default();
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        if let Some(key) = &mut self.key {
            headers.push((AGENT_SEAL_HEADER.to_owned(), key.seal(path, &self.boot_id, &json)));
        }
        let url = format!("{}{path}", self.base);
        self.send(ask, (Method::Post, url), (headers, json), (body, now));
    }

    fn send(
        &mut self,
        ask: Ask,
        (method, url): (Method, String),
        (headers, content): (Vec<(String, String)>, Vec<u8>),
        (body, now): (&mut Body, u64),
    ) {
        let content = Bytes::from(content);
        let request =
            HttpRequest { id: 0, method, url, headers, range_from: None, body: content, reads_body: true };
        let id = body.ask(request, now);
        self.state = State::Sent { id, ask, deadline: now + PATIENCE_MS, status: 0, content: Vec::new() };
    }

    /// Milliseconds since the kernel started.
    fn uptime(&self, now: u64) -> u64 {
        now.saturating_sub(self.began) + 1000
    }

    fn report(&self, body: &Body, now: u64) -> AgentReport {
        let mut inventory = body.config.inventory(&body.disk);
        if self.key.is_none() {
            // It cannot wipe, and so has no word for which disk is meant.
            inventory.disks.iter_mut().for_each(|disk| (disk.digest, disk.label) = (None, None));
        }
        AgentReport {
            mac: body.config.mac,
            boot_id: self.boot_id.clone(),
            nonce: self.nonce.clone(),
            address: body.address.map(Into::into).or_else(|| body.address6.map(Into::into)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kernel: "6.1.0-simulated".to_owned(),
            uptime_ms: self.uptime(now),
            inventory,
            key: self.key.as_ref().map(BootKey::public),
            build: None,
            kexec: body.manners.has(Manner::Kexecs).then_some(Kexec::Possible),
        }
    }

    fn beat(&mut self, body: &mut Body, now: u64) -> AgentBeat {
        self.told = self.seen();
        AgentBeat {
            mac: body.config.mac,
            boot_id: self.boot_id.clone(),
            uptime_ms: self.uptime(now),
            load_milli: u32::try_from(body.dice.between(10, 900)).unwrap_or_default(),
            memory_available_mib: body.config.memory_mib / 10 * 9,
            guests: self.told.clone(),
            wipe: self.wipe.as_mut().map(|wipe| wipe.told(body, now)),
            ..AgentBeat::default()
        }
    }

    /// What is true of its guests; nothing while nobody has told its name.
    fn seen(&self) -> Vec<GuestSeen> {
        self.node.as_ref().map(|node| self.guests.seen(node, &self.boot_id)).unwrap_or_default()
    }

    /// A guest ended by itself.
    pub(crate) fn on_guest_end(
        &mut self,
        body: &mut Body,
        mac: MacAddr,
        (end, again): (GuestEnd, bool),
        now: u64,
    ) {
        self.guests.ended(mac, end, again, now);
        self.mind_guests(body, now);
    }

    /// Does what is due about guests, whether or not anybody answers. What is new is told at once.
    fn mind_guests(&mut self, body: &mut Body, now: u64) {
        self.guests.turn(body, &self.base, now);
        self.guests_at = self.guests.wake_at(now);
        if let State::Due { at, ask: Ask::Beat } = &self.state {
            let at = *at;
            let is_news = self.welcomed && self.seen() != self.told;
            self.beat_at = if is_news { now } else { at };
            self.go_on(now);
        }
    }

    /// Fetches what a guest boots, else waits for the next heartbeat.
    fn go_on(&mut self, now: u64) {
        self.state = match self.guests.wanted(now).filter(|_| self.beat_at > now) {
            Some(asset) => State::Due { at: now, ask: Ask::Content(asset) },
            None => State::Due { at: self.beat_at, ask: Ask::Beat },
        };
    }

    /// Begins a wipe, once a boot and number. An older agent passes over what it does not know.
    fn begin_wipe(&mut self, order: WipeOrder, body: &mut Body, now: u64) {
        let begun = self.wipe.as_ref().is_some_and(|wipe| wipe.is_busy() || wipe.number() >= order.number);
        if !begun && order.boot_id == self.boot_id && self.key.is_some() {
            self.wipe = Some(Wiping::begin(order, body, now));
        }
    }

    fn on_http(&mut self, body: &mut Body, event: &HttpEvent, now: u64) -> Next {
        let State::Sent { ask, status, content, .. } = &mut self.state else { return Next::Stay };
        match event {
            HttpEvent::Head { status: told, .. } => *status = *told,
            HttpEvent::Data(data) => content.extend_from_slice(data),
            HttpEvent::Passed(_) => {}
            HttpEvent::Failed | HttpEvent::End => {
                let good = matches!(event, HttpEvent::End) && *status == 200;
                let (ask, content) = (ask.clone(), std::mem::take(content));
                let hello = match ask {
                    Ask::Content(asset) => {
                        self.guests.came(&asset, good.then_some(content), body, now);
                        self.state = State::Due { at: self.beat_at, ask: Ask::Beat };
                        self.mind_guests(body, now);
                        return Next::Stay;
                    }
                    Ask::Hello => true,
                    Ask::Beat => false,
                };
                let welcome = serde_json::from_slice::<AgentWelcome>(&content).ok().filter(|_| good);
                return self.after_answer(welcome, hello, body, now);
            }
        }
        Next::Stay
    }

    fn after_answer(
        &mut self,
        welcome: Option<AgentWelcome>,
        hello: bool,
        body: &mut Body,
        now: u64,
    ) -> Next {
        let at = now + AGENT_BEAT_SECONDS * 1000;
        let Some(welcome) = welcome else {
            self.state = State::Due { at, ask: if hello { Ask::Hello } else { Ask::Beat } };
            return Next::Stay;
        };
        if let Some(key) = &mut self.key {
            key.take_word(&welcome);
        }
        if welcome.report_again {
            // It is said at once, with the word that was just told; a counter that asks again all the same is given a
            // pause: no hot loop.
            let at = if hello && std::mem::replace(&mut self.asked_again, true) { at } else { now };
            self.state = State::Due { at, ask: Ask::Hello };
            return Next::Stay;
        }
        self.asked_again = false;
        body.note(now, if hello { Step::AgentWelcomed } else { Step::BeatAccepted });
        if !self.welcomed {
            self.welcomed = true;
            self.silent_at = body.manners.silent_after().map(|after| now + after);
            self.reset_at = body.take_reset().map(|after| now + after);
        }
        self.state = State::Due { at, ask: Ask::Beat };
        if let Some(order) = welcome.wipe {
            self.begin_wipe(order, body, now);
        }
        let wiping = self.wipe.as_ref().is_some_and(Wiping::is_busy);
        self.node = welcome.node.or_else(|| self.node.take());
        // An older agent has no guests.
        if let Some(list) = welcome.guests.filter(|_| self.key.is_some()) {
            self.guests.wish(&list);
            self.mind_guests(body, now);
        }
        if let Some(order) = welcome.park.filter(|_| !wiping && body.manners.has(Manner::Kexecs)) {
            (self.silent_at, self.reset_at, self.guests_at) = (None, None, None);
            self.state = State::Parked(Box::new(Parked::begin(order, &self.base, body, now)));
            return Next::Stay;
        }
        if welcome.order == AgentOrder::PowerOff && !wiping {
            body.note(now, Step::ToldPowerOff);
            if !body.manners.has(Manner::IgnoresPowerOff) {
                self.state = State::Syncing { until: now + SYNC_MS };
            }
        }
        Next::Stay
    }
}

/// Lets a search see what came, and sends what it asks; where to report, once that is told.
fn seek(search: &mut BossSearch, body: &mut Body, input: &Input<'_>, now: u64) -> Option<String> {
    if let Input::Udp(udp) = input {
        let answer = Message::decode(udp.payload).ok().filter(|_| udp.to.port() == CLIENT_PORT)?;
        return search.on_message(&answer);
    }
    let question = search.on_time(now)?.encode(LARGEST_MESSAGE).ok()?;
    body.send_udp(CLIENT_PORT, (Ipv4Addr::BROADCAST, SERVER_PORT).into(), &question, now);
    None
}
