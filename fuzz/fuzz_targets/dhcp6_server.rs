//! Any sequence of messages leaves the DHCPv6 server alive, gives no address twice, and each reply can be read.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use model::MacAddr;
use wire::dhcp6::server::{Boot, Config, Outcome, Pool, Reservation, Server};
use wire::dhcp6::{Envelope, Message, Options};

fn address(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last)
}

fn config() -> Config {
    let reserved = Reservation { address: address(0x11), host_name: Some("node1".to_owned()) };
    Config {
        boss: address(1),
        prefix: 64,
        dns: vec![address(0x53)],
        lease_seconds: 600,
        pool: Some(Pool { first: address(0x100), last: address(0x110) }),
        reservations: BTreeMap::from([(MacAddr([2, 0, 0, 0, 0, 1]), reserved)]),
        extra: Options::new(),
    }
}

/// A message of a kind and a sender that the fuzzer chooses, so that it reaches the engine, with the given rest.
fn message(rest: &[u8]) -> Option<Vec<u8>> {
    let (head, options) = rest.split_at_checked(3)?;
    let mut bytes = vec![head[0] % 12, 0, 0, 1, 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, head[1] & 31];
    if head[2] & 1 == 1 {
        let server = config().duid();
        bytes.extend_from_slice(&[0, 2, 0, 18]);
        bytes.extend_from_slice(server.as_bytes());
    }
    if head[2] & 2 == 2 {
        bytes.extend_from_slice(&[0, 3, 0, 12, 0, 0, 0, head[2] >> 4, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    bytes.extend_from_slice(options);
    Some(bytes)
}

fuzz_target!(|bytes: &[u8]| {
    let mut server = Server::new(config());
    let boot = Boot::Url("http://[fd00::1]/boot".to_owned());
    let mut now = 0u64;
    for part in bytes.split(|b| *b == 0xfe) {
        now += part.first().map_or(0, |b| u64::from(*b) * 10_000);
        let Some(Ok(envelope)) = message(part).map(|bytes| Envelope::decode(&bytes)) else { continue };
        let mac = server.recognise(envelope.senders(Ipv6Addr::LOCALHOST));
        if let Outcome::Reply(reply) = server.answer(&envelope, mac, &boot, now) {
            let written = Message::decode(&reply.encode()).expect("our own reply is read");
            assert_eq!(written.xid, envelope.message.xid);
        }
        let held: BTreeSet<Ipv6Addr> = server.leases().map(|lease| lease.address).collect();
        assert_eq!(held.len(), server.leases().count(), "no address is held twice");
    }
    assert!(server.leases().count() <= 18);
});
