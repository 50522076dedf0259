//! A DHCP relay between a machine and the server (RFC 1542 section 4, RFC 3046): it adds what a switch knows, and is
//! strict about what it passes on.

use std::net::{Ipv4Addr, SocketAddrV4};

use model::MacAddr;
use wire::dhcp::{CLIENT_PORT, LARGEST_MESSAGE, Message, Op, OptionCode, SERVER_PORT};
use wire::frame::{Checksum, Frame, Udp4};

/// Ethernet address of the relay on the server's side.
const RELAY_MAC: MacAddr = MacAddr([0x16, 0x0a, 0, 0, 0, 1]);
/// Sub-option 1, circuit: where the machine is plugged in.
const CIRCUIT: &[u8] = b"\x01\x06sw1/p7";

/// A client's DHCP message as the relay at this address sends it on; `None` for every other frame.
pub(crate) fn to_server(frame: &[u8], relay: Ipv4Addr) -> Option<Vec<u8>> {
    let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return None };
    if udp.to.port() != SERVER_PORT || !udp.to.ip().is_broadcast() {
        return None;
    }
    let mut message = Message::decode(udp.payload).ok()?;
    message.hops += 1;
    message.giaddr = relay;
    message.options.set(OptionCode::RELAY_INFORMATION, CIRCUIT);
    let payload = message.encode(LARGEST_MESSAGE).ok()?;
    let sent = Udp4 {
        from_mac: RELAY_MAC,
        from: SocketAddrV4::new(relay, SERVER_PORT),
        payload: &payload,
        checksum: Checksum::Good,
        ..udp
    };
    sent.build()
}

/// What the machine behind the relay gets of a frame: a reply that came to the relay by unicast and gave its option
/// back, without that option; and everything that is no DHCP.
pub(crate) fn to_client(frame: &[u8], relay: Ipv4Addr) -> Option<Vec<u8>> {
    let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return Some(frame.to_vec()) };
    match udp.to.port() {
        SERVER_PORT if *udp.to.ip() == relay => {}
        // To an address that is held already the router sends on whatever it is.
        CLIENT_PORT if is_at_home(&udp) => return Some(frame.to_vec()),
        // The server's own broadcasts and unicasts end at the router.
        SERVER_PORT | CLIENT_PORT => return None,
        _ => return Some(frame.to_vec()),
    }
    let mut message = Message::decode(udp.payload).ok()?;
    let ours = message.options.get(OptionCode::RELAY_INFORMATION) == Some(CIRCUIT);
    if message.op != Op::Reply || message.giaddr != relay || !ours {
        return None;
    }
    message.options.remove(OptionCode::RELAY_INFORMATION);
    // What is not to be broadcast goes to the address that is given (RFC 1542 section 4.1.2); without one, to nobody.
    let (to_mac, address) = match (message.broadcast, message.yiaddr) {
        (true, _) => (MacAddr::BROADCAST, Ipv4Addr::BROADCAST),
        (false, Ipv4Addr::UNSPECIFIED) => return None,
        (false, given) => (message.mac()?, given),
    };
    let payload = message.encode(LARGEST_MESSAGE).ok()?;
    let passed = Udp4 {
        to_mac,
        from_mac: RELAY_MAC,
        from: SocketAddrV4::new(relay, SERVER_PORT),
        to: SocketAddrV4::new(address, CLIENT_PORT),
        payload: &payload,
        checksum: Checksum::Good,
    };
    passed.build()
}

/// True for what is sent to an address that its client holds, by the message's own word.
fn is_at_home(udp: &Udp4<'_>) -> bool {
    let message = Message::decode(udp.payload).ok();
    message.is_some_and(|message| !message.ciaddr.is_unspecified() && message.ciaddr == *udp.to.ip())
}
