//! Where an agent reports when its kernel line does not say: told with the address, or asked for once it has one.
//!
//! ```text
//!   ACK with our mark ─▶ option 67 is the place
//!   ACK of another server ─▶ INFORM to everybody ─▶ ACK with our mark: as above
//!                              ▲     │ 1, 2, 4 s and so on
//!                              └─────┘
//! ```
//!
//! A question after the lease, and no answer beside it, because it does not depend on which server is first, can be
//! sent again, passes relays like every broadcast of a client, and is answered at the address that the agent has.

use alloc::string::String;
use core::net::Ipv4Addr;

use super::client::{ClientSettings, next_xid};
use super::code::OptionCode;
use super::mark::ControllerMark;
use super::message::{Message, MessageType, Op};

/// First wait for an answer in milliseconds; it doubles.
const FIRST_WAIT_MS: u64 = 1000;
/// Longest wait. Where no boss answers DHCP at all, this is how often the segment hears of it.
const LONGEST_WAIT_MS: u64 = 16_000;
/// Questions that remain unanswered before somebody should be guessed at: 3 s.
const ENOUGH: u32 = 2;

/// The URL under which an answer of a controller tells agents to report; `None` for an answer of any other server.
#[must_use]
pub fn boss_url(message: &Message) -> Option<String> {
    let options = &message.options;
    options.get(OptionCode::CONTROLLER).and_then(ControllerMark::read)?;
    options.text(OptionCode::BOOT_FILE).filter(|url| !url.is_empty()).map(String::from)
}

/// The question who the boss is (DHCPINFORM, RFC 2131 section 4.4.3), of one that has its address from another server.
#[derive(Debug, Clone)]
pub struct BossSearch {
    settings: ClientSettings,
    address: Ipv4Addr,
    xid: u32,
    asked: u32,
    began: u64,
    wait: u64,
    wake: u64,
}

impl BossSearch {
    /// A search from this address, with the settings that got it. The first question is due at once.
    #[must_use]
    pub const fn new(settings: ClientSettings, address: Ipv4Addr, now: u64) -> Self {
        // Another exchange than the lease's, or a late ACK of that would answer this.
        let xid = next_xid(!settings.xid);
        Self { settings, address, xid, asked: 0, began: now, wait: FIRST_WAIT_MS, wake: now }
    }

    /// When [`BossSearch::on_time`] must be called next, in the caller's milliseconds.
    #[must_use]
    pub const fn wake_at(&self) -> u64 {
        self.wake
    }

    /// True when so many questions were left unanswered that there may be nobody to answer.
    #[must_use]
    pub const fn is_in_vain(&self) -> bool {
        self.asked > ENOUGH
    }

    /// Takes a message in; where to report, if it is the answer.
    #[must_use]
    pub fn on_message(&self, message: &Message) -> Option<String> {
        let ours = message.op == Op::Reply
            && message.xid == self.xid
            && message.mac() == Some(self.settings.mac)
            && message.kind() == Some(MessageType::Ack);
        if ours { boss_url(message) } else { None }
    }

    /// The question, if it is due; it goes from the address that is held to everybody, port 67.
    pub fn on_time(&mut self, now: u64) -> Option<Message> {
        if now < self.wake {
            return None;
        }
        self.asked = self.asked.saturating_add(1);
        self.wake = now.saturating_add(self.wait);
        self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT_MS);
        let mut message = Message::request(MessageType::Inform, self.settings.mac, self.xid);
        message.secs = u16::try_from(now.saturating_sub(self.began) / 1000).unwrap_or(u16::MAX);
        message.ciaddr = self.address;
        for (code, value) in self.settings.options.iter() {
            message.options.set(code, value);
        }
        let wanted = [OptionCode::SERVER_ID, OptionCode::BOOT_FILE, OptionCode::CONTROLLER];
        message.options.set(OptionCode::PARAMETER_LIST, wanted.map(|code| code.0));
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use model::MacAddr;

    use super::*;
    use crate::dhcp::proxy::{Door, Proxy};
    use crate::dhcp::server::Destination;
    use crate::dhcp::{AGENT_VENDOR_CLASS, Boot, Options};

    const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
    const HELD: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
    const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    const PLACE: &str = "http://10.9.0.1:8080";

    fn search() -> BossSearch {
        let mut settings = ClientSettings::new(NODE, 5);
        settings.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
        BossSearch::new(settings, HELD, 100)
    }

    fn answer(question: &Message) -> Message {
        let mut extra = Options::new();
        extra.set(OptionCode::CONTROLLER, ControllerMark::of("lab").bytes());
        let place = Boot::Http { url: PLACE.to_owned() };
        let reply = Proxy { boss: BOSS, extra }.answer(question, &place, Door::Server).unwrap();
        assert_eq!(reply.to, Destination::Unicast(HELD));
        reply.message
    }

    #[test]
    fn the_boss_is_found_by_one_question() {
        let mut search = search();
        let question = search.on_time(100).unwrap();
        assert_eq!((question.kind(), question.ciaddr), (Some(MessageType::Inform), HELD));
        assert_eq!(search.on_message(&answer(&question)).as_deref(), Some(PLACE));
    }

    #[test]
    fn a_relay_is_passed_by_on_the_way_back() {
        let mut question = search().on_time(100).unwrap();
        question.giaddr = Ipv4Addr::new(10, 20, 0, 1);
        question.hops = 1;
        assert_eq!(search().on_message(&answer(&question)).as_deref(), Some(PLACE));
    }

    #[test]
    fn what_another_server_or_another_exchange_says_is_no_answer() {
        let mut search = search();
        let good = answer(&search.on_time(100).unwrap());
        let mut unmarked = good.clone();
        unmarked.options.remove(OptionCode::CONTROLLER);
        let mut placeless = good.clone();
        placeless.options.remove(OptionCode::BOOT_FILE);
        let other_exchange = Message { xid: good.xid ^ 1, ..good.clone() };
        let of_lease = Message { xid: 5, ..good.clone() };
        let request = Message { op: Op::Request, ..good.clone() };
        let mut to_another = good.clone();
        to_another.chaddr[5] = 1;
        let mut offer = good;
        offer.options.set_u8(OptionCode::MESSAGE_TYPE, MessageType::Offer.number());
        for other in [unmarked, placeless, other_exchange, of_lease, request, to_another, offer] {
            assert_eq!(search.on_message(&other), None, "{other:?}");
        }
    }

    #[test]
    fn an_unanswered_question_is_repeated_ever_more_slowly_and_without_end() {
        let mut search = search();
        let mut asked = Vec::new();
        let mut vain = Vec::new();
        while asked.len() < 8 {
            let now = search.wake_at();
            assert_eq!(search.on_time(now.saturating_sub(1)), None);
            let question = search.on_time(now).unwrap();
            asked.push(now);
            vain.push((question.secs, search.is_in_vain()));
        }
        assert_eq!(asked, [100, 1100, 3100, 7100, 15_100, 31_100, 47_100, 63_100]);
        assert_eq!(vain[..4], [(0, false), (1, false), (3, true), (7, true)]);
    }
}
