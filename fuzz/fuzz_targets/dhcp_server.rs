//! Any sequence of messages leaves the DHCP server alive, and each reply can be written or is refused.
#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use wire::dhcp::server::{Boot, Config, Outcome, Pool, Server};
use wire::dhcp::{Message, Options};

fn config() -> Config {
    Config {
        boss: Ipv4Addr::new(10, 0, 0, 1),
        prefix: 24,
        gateway: None,
        dns: Vec::new(),
        log_server: None,
        lease_seconds: 600,
        pool: Some(Pool { first: Ipv4Addr::new(10, 0, 0, 0), last: Ipv4Addr::new(10, 0, 0, 20) }),
        reservations: BTreeMap::new(),
        extra: Options::new(),
        relayed: Vec::new(),
    }
}

/// A message with a valid header and the given rest, so that the fuzzer reaches the engine.
fn message(rest: &[u8]) -> Option<Message> {
    let (head, options) = rest.split_at_checked(8)?;
    let mut bytes = vec![0; 240];
    bytes[0] = 1;
    bytes[1] = 1;
    bytes[2] = 6;
    bytes[10] = head[0];
    bytes[12..16].copy_from_slice(&[head[1] & 10, 0, 0, head[2]]);
    bytes[24..28].copy_from_slice(&[head[3] & 10, 0, 0, head[4]]);
    bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, head[5] & 31]);
    bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend_from_slice(options);
    Message::decode(&bytes).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let mut server = Server::new(config());
    let boot = Boot::Http { url: "http://10.0.0.1/boot".to_owned() };
    let mut now = 0u64;
    for part in bytes.split(|b| *b == 0xfe) {
        now += part.first().map_or(0, |b| u64::from(*b) * 10_000);
        let Some(message) = message(part) else { continue };
        if let Outcome::Reply(reply) | Outcome::Nak(reply) = server.answer(&message, &boot, now)
            && let Ok(written) = reply.encode()
        {
            assert!(written.len() <= reply.limit && written.len() >= 300);
            assert_eq!(Message::decode(&written).expect("our own reply is read").xid, message.xid);
        }
    }
    assert!(server.leases().count() <= 21);
});
