//! Takes a machine's questions and the shapes of their answers out of a capture.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use wire::dhcp::{Message, Op};
use wire::tftp::{self, Packet};

use super::{Ask, Question, Script, shape};
use crate::observe::{Datagram, Glance, Inside};

/// Questions kept of one machine; a boot has fewer than thirty.
const MOST_ASKS: usize = 256;
/// Machines kept.
const MOST_MACHINES: usize = 256;

/// Reads frames in the order of their times.
#[derive(Debug, Default)]
pub struct Recorder {
    scripts: BTreeMap<MacAddr, Script>,
    began: BTreeMap<MacAddr, u64>,
    /// Who has which address.
    holders: BTreeMap<Ipv4Addr, MacAddr>,
    /// Requests for files that were not answered yet: whose, and which of its questions.
    asking: BTreeMap<SocketAddrV4, (MacAddr, usize)>,
    skipped: u64,
}

/// The scripts of all machines of a capture. Frames come with their time in milliseconds; what was cut is left out,
/// because half a message cannot be asked again.
pub fn record<'a>(frames: impl IntoIterator<Item = (u64, &'a [u8])>, source: &str) -> Vec<Script> {
    let mut recorder = Recorder::default();
    for (at, frame) in frames {
        recorder.take(at, frame, source);
    }
    recorder.scripts.into_values().filter(|script| !script.asks.is_empty()).collect()
}

impl Recorder {
    /// Takes a frame in.
    pub fn take(&mut self, at: u64, frame: &[u8], source: &str) {
        let Some(Glance { inside: Inside::Udp(udp), .. }) = Glance::at(frame) else { return };
        if !udp.is_whole() {
            self.skipped += 1;
            return;
        }
        match udp.ports() {
            (67 | 68 | 4011, _) | (_, 67 | 4011) => self.dhcp(at, &udp, source),
            (_, tftp::PORT) => self.request(at, &udp, source),
            _ => self.first_answer(&udp),
        }
    }

    /// Messages that were cut and so left out.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn ask(&mut self, mac: MacAddr, at: u64, question: Question, source: &str) -> Option<usize> {
        if self.scripts.len() >= MOST_MACHINES && !self.scripts.contains_key(&mac) {
            return None;
        }
        let began = *self.began.entry(mac).or_insert(at);
        let fresh = || Script { mac, source: source.to_owned(), asks: Vec::new() };
        let asks = &mut self.scripts.entry(mac).or_insert_with(fresh).asks;
        if asks.len() >= MOST_ASKS {
            return None;
        }
        asks.push(Ask { at: at.saturating_sub(began), question, answer: Vec::new() });
        Some(asks.len() - 1)
    }

    fn dhcp(&mut self, at: u64, udp: &Datagram<'_>, source: &str) {
        let Ok(message) = Message::decode(udp.payload) else { return };
        let Some(mac) = message.mac() else { return };
        if message.op == Op::Request {
            let question = Question::Dhcp(udp.to.port(), udp.payload.to_vec());
            self.ask(mac, at, question, source);
            return;
        }
        if !message.yiaddr.is_unspecified() {
            self.holders.insert(message.yiaddr, mac);
        }
        let same = |ask: &&mut Ask| match &ask.question {
            Question::Dhcp(_, asked) => Message::decode(asked).is_ok_and(|asked| asked.xid == message.xid),
            Question::Tftp(_) => false,
        };
        let asks = self.scripts.get_mut(&mac).map(|script| &mut script.asks);
        let last = asks.and_then(|asks| asks.iter_mut().rev().find(same));
        if let Some(ask) = last.filter(|ask| ask.answer.is_empty()) {
            ask.answer = shape::of_dhcp(&message);
        }
    }

    fn request(&mut self, at: u64, udp: &Datagram<'_>, source: &str) {
        if !matches!(Packet::decode(udp.payload), Ok(Packet::Read(_))) {
            return;
        }
        let mac = self.holders.get(udp.from.ip()).copied().unwrap_or(udp.from_mac);
        if let Some(place) = self.ask(mac, at, Question::Tftp(udp.payload.to_vec()), source)
            && self.asking.len() < MOST_ASKS
        {
            self.asking.insert(udp.from, (mac, place));
        }
    }

    fn first_answer(&mut self, udp: &Datagram<'_>) {
        let Some((mac, place)) = self.asking.remove(&udp.to) else { return };
        let ask = self.scripts.get_mut(&mac).and_then(|script| script.asks.get_mut(place));
        if let (Some(ask), Ok(packet)) = (ask, Packet::decode(udp.payload)) {
            ask.answer = shape::of_tftp(&packet);
        }
    }
}
