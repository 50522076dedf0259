//! One DISCOVER of our own now and then: whoever answers it is another DHCP server, and the sniffer names it.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use wire::dhcp::{CLIENT_PORT, Message, MessageType, OptionCode, SERVER_PORT};

use crate::packet::PacketPort;

/// How often to ask when machines follow another server.
const AGAIN_MS: u64 = 60_000;
/// Option 60 of the question.
pub(super) const CLASS: &str = "labinator-probe";

/// When the segment was asked last.
#[derive(Debug, Default)]
pub(super) struct Probe(Option<u64>);

impl Probe {
    /// Asks at the first occasion, and again when a machine was heard to follow another server.
    pub(super) fn send(&mut self, packets: &PacketPort, heard_of_another: bool, now: u64) {
        let due = match self.0 {
            None => true,
            Some(last) => heard_of_another && now.saturating_sub(last) >= AGAIN_MS,
        };
        if !due {
            return;
        }
        self.0 = Some(now);
        let mac = packets.mac();
        let mut question = Message::request(MessageType::Discover, mac, 0x6c61_6269);
        question.broadcast = true;
        question.options.set(OptionCode::VENDOR_CLASS, CLASS.as_bytes());
        let Ok(payload) = question.encode(576) else { return };
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
        let to = (MacAddr::BROADCAST, SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT));
        if let Err(error) = packets.send_udp(from, to, &payload) {
            tracing::debug!("the segment could not be asked for other servers: {error}");
        }
    }
}
