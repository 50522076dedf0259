//! One DISCOVER of our own now and then: whoever answers it is another DHCP server, and the sniffer names it.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use wire::dhcp::{CLIENT_PORT, Message, MessageType, OptionCode, SERVER_PORT};

use crate::packet::PacketPort;

/// How often to ask when machines follow another server.
const AGAIN_MS: u64 = 60_000;
/// Option 60 of the question.
pub(crate) const CLASS: &str = "labinator-probe";

/// When the segment was asked last.
#[derive(Debug, Default)]
pub(crate) struct Schedule(Option<u64>);

impl Schedule {
    /// True when it is to be asked now: at first, and again when a machine was heard to follow another server.
    pub(crate) fn is_due(&self, heard_of_another: bool, now: u64) -> bool {
        self.0.is_none_or(|last| heard_of_another && now.saturating_sub(last) >= AGAIN_MS)
    }

    /// It was asked.
    pub(crate) fn note(&mut self, now: u64) {
        self.0 = Some(now);
    }
}

/// The question over IPv4.
#[derive(Debug, Default)]
pub(super) struct Probe(Schedule);

impl Probe {
    /// Asks at the first occasion, and again when a machine was heard to follow another server.
    pub(super) fn send(&mut self, packets: &PacketPort, heard_of_another: bool, now: u64) {
        if !self.0.is_due(heard_of_another, now) {
            return;
        }
        let mac = packets.mac();
        let mut question = Message::request(MessageType::Discover, mac, 0x6c61_6269);
        question.broadcast = true;
        question.options.set(OptionCode::VENDOR_CLASS, CLASS.as_bytes());
        let Ok(payload) = question.encode(576) else { return };
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        let to = (MacAddr::BROADCAST, SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT));
        match packets.send_udp(from, to, &payload) {
            Ok(()) => self.0.note(now),
            Err(error) => tracing::debug!("the segment could not be asked for other servers: {error}"),
        }
    }
}
