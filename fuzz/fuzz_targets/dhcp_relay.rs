//! Whatever relays say, an address given is one of the subnet that was named, and no two clients hold the same.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use model::MacAddr;
use wire::dhcp::server::{Config, Network, Outcome, Pool, Reservation, Server};
use wire::dhcp::{Boot, Message, Options, Relayed};

fn pool(net: u8) -> Option<Pool> {
    Some(Pool { first: Ipv4Addr::new(10, net, 0, 0), last: Ipv4Addr::new(10, net, 0, 12) })
}

fn config() -> Config {
    let gateway = |net| Some(Ipv4Addr::new(10, net, 0, 1));
    let node = Reservation { address: Ipv4Addr::new(10, 2, 0, 9), host_name: None };
    Config {
        boss: Ipv4Addr::new(10, 1, 0, 1),
        prefix: 28,
        gateway: None,
        dns: Vec::new(),
        log_server: None,
        lease_seconds: 600,
        pool: pool(1),
        reservations: BTreeMap::from([(MacAddr([2, 0, 0, 0, 0, 3]), node)]),
        extra: Options::new(),
        relayed: vec![
            Network { subnet: Ipv4Addr::new(10, 2, 0, 0), prefix: 28, gateway: gateway(2), pool: pool(2) },
            Network { subnet: Ipv4Addr::new(10, 3, 0, 0), prefix: 28, gateway: gateway(3), pool: None },
        ],
    }
}

/// A relayed message with a valid header and the given rest, so that the fuzzer reaches the engine.
fn message(rest: &[u8]) -> Option<Message> {
    let (head, options) = rest.split_at_checked(6)?;
    let mut bytes = vec![0; 240];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[12..16].copy_from_slice(&[head[0] & 10, head[1] & 3, 0, head[2] & 15]);
    bytes[24..28].copy_from_slice(&[10, head[3] & 3, 0, 1]);
    bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, head[4] & 15]);
    bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend_from_slice(options);
    Message::decode(&bytes).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let config = config();
    let mut server = Server::new(config.clone());
    let mut now = 0u64;
    for part in bytes.split(|byte| *byte == 0xfe) {
        now += part.first().map_or(0, |byte| u64::from(*byte) * 1_000);
        let Some(message) = message(part) else { continue };
        let asked = Relayed::of(&message).subnet(&message).and_then(|address| config.network_of(address));
        if let Outcome::Reply(reply) = server.answer(&message, &Boot::Nothing, now) {
            let address = reply.message.yiaddr;
            if !address.is_unspecified() {
                let network = asked.unwrap_or_else(|| config.home());
                assert!(network.holds(address), "{address} is not in the subnet that was asked for");
            }
        }
    }
    let held: Vec<Ipv4Addr> = server.leases().map(|lease| lease.address).collect();
    assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len());
});
