//! Every firmware beside another DHCP server, whichever of the two is heard first.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use model::{MacAddr, Sight};
use sim::{Ipxe, Kind, Manner, Step, Teller};
use wire::dhcp::server::{Config, Destination, Network, Outcome, Pool, Server};
use wire::dhcp::{Boot, Message, OptionCode, Options, SERVER_PORT};
use wire::frame::{Checksum, Frame, Udp4};

use crate::bench::{BOSS, Bench, RELAY, machine};
use crate::floor::{Neighbour, Order};

/// The other server, as a home router is one.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 250);
const OTHER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 2, 0]);
/// What it gives: none of these is of the board.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 150);
const LAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 159);

const EVERY: [(Kind, Ipxe); 6] = [
    (Kind::BiosPxe, Ipxe::Of2019),
    (Kind::BiosPxe, Ipxe::Of2025),
    (Kind::BiosIpxeRom, Ipxe::Of2019),
    (Kind::UefiPxe, Ipxe::Of2019),
    (Kind::UefiPxe, Ipxe::Of2025),
    (Kind::UefiHttp, Ipxe::Of2025),
];

/// Who is heard first, and how much later the other: iPXE waits for 3 s, firmware for 4 s.
const ORDERS: [Order; 4] = [order(false, 0), order(true, 0), order(false, 1500), order(true, 1500)];

const fn order(neighbour_first: bool, later: u64) -> Order {
    Order { neighbour_first, later: Duration::from_millis(later) }
}

/// A server that gives addresses, and names `file` where it has one, without calling itself a PXE server.
#[derive(Debug)]
struct Router {
    server: Server,
    file: &'static [u8],
}

impl Router {
    fn new(file: &'static [u8]) -> Self {
        let pool = Some(Pool { first: FIRST, last: LAST });
        let behind = Network { subnet: RELAY, prefix: 24, gateway: None, pool };
        let server = Server::new(Config {
            boss: OTHER,
            prefix: 24,
            gateway: Some(OTHER),
            dns: vec![OTHER],
            log_server: None,
            lease_seconds: 600,
            pool,
            reservations: std::collections::BTreeMap::new(),
            extra: Options::new(),
            relayed: vec![behind],
        });
        Self { server, file }
    }
}

impl Neighbour for Router {
    fn answer(&mut self, frame: &[u8], now: u64) -> Option<Vec<u8>> {
        let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return None };
        let question = Message::decode(udp.payload).ok().filter(|_| udp.to.port() == SERVER_PORT)?;
        let Outcome::Reply(mut reply) = self.server.answer(&question, &Boot::Nothing, now) else {
            return None;
        };
        // As dnsmasq: itself for the next server, whether it has a file or not.
        reply.message.siaddr = OTHER;
        reply.message.file = self.file.to_vec();
        // It knows nothing of iPXE.
        reply.message.options.remove(OptionCode::IPXE);
        let (to_mac, address) = match reply.to {
            Destination::Raw { mac, address } => (mac, address),
            Destination::Unicast(address) => (question.mac()?, address),
            Destination::Relay(_) | Destination::Broadcast => (MacAddr::BROADCAST, reply.to.address()),
        };
        let (from, to) = (SocketAddrV4::new(OTHER, SERVER_PORT), SocketAddrV4::new(address, reply.to.port()));
        let payload = reply.encode().ok()?;
        let checksum = Checksum::Good;
        Udp4 { to_mac, from_mac: OTHER_MAC, from, to, payload: &payload, checksum }.build()
    }
}

/// One machine comes up beside that server by the first entry of its boot order, or the test ends with its story.
async fn boots(who: (Kind, Ipxe), manners: &[Manner], order: Order, file: &'static [u8]) -> Bench {
    let mut config = machine(1, who.0, manners);
    config.ipxe = who.1;
    let bench = Bench::beside(vec![config], Router::new(file), order);
    let up = bench.comes_up().await;
    let story = || format!("{who:?} with {manners:?}, {order:?}:\n{}", bench.story(0));
    assert!(up, "{}", story());
    let tries = bench.steps(0, |step| matches!(step, Step::Tries(_)));
    assert!(tries.len() <= 1, "the first way to boot did not do: {}", story());
    for (_, step) in bench.steps(0, |step| matches!(step, Step::Bound { .. })) {
        let Step::Bound { address, .. } = step else { continue };
        assert!((FIRST..=LAST).contains(&address), "{address} is none of its addresses: {}", story());
    }
    assert!(bench.counter.ledger().leases().is_empty(), "{}", story());
    bench
}

// Cure: `Proxy::stand_beside` for iPXE, `BossSearch` for an agent from a UKI.
#[tokio::test(start_paused = true)]
async fn every_firmware_boots_whichever_server_is_heard_first() {
    for who in EVERY {
        for order in ORDERS {
            let bench = boots(who, &[], order, b"").await;
            let (sights, _) = bench.told();
            let offers = sights.iter().filter(|(_, sight)| matches!(sight, Sight::Offer { .. })).count();
            assert!(offers > 0, "{who:?}: it was told by us what to boot");
        }
    }
}

// Cure: iPXE's rank (`FIRST_RANK`); firmware takes the offer of whoever calls itself a PXE server.
#[tokio::test(start_paused = true)]
async fn the_file_of_a_server_that_knows_nothing_of_the_lab_is_not_started() {
    for who in EVERY {
        for order in ORDERS {
            boots(who, &[], order, b"pxelinux.0").await;
        }
    }
}

// Cure: a second OFFER without option 43 (`Proxy::without_discovery`), and port 4011.
#[tokio::test(start_paused = true)]
async fn edk2_6944_old_firmware_that_drops_proxy_offers_with_discovery_options_boots() {
    for order in ORDERS {
        let bench = boots((Kind::UefiPxe, Ipxe::Of2025), &[Manner::DropsDiscoveryOffers], order, b"").await;
        let asked = bench.steps(0, |step| matches!(step, Step::AskedBootServer(_)));
        assert_eq!(asked.len(), 1, "one question, one answer: {}", bench.story(0));
        assert_eq!(asked[0].1, Step::AskedBootServer(BOSS));
    }
}

// Cure: `siaddr` beside the URL, without which iPXE asks port 4011 for 3.75 s and takes no answer; option 43.6 = 8 in the
// first OFFER to firmware.
#[tokio::test(start_paused = true)]
async fn nobody_asks_a_boot_server_who_was_told_all() {
    for who in EVERY {
        let bench = boots(who, &[], order(true, 0), b"").await;
        let asked = bench.steps(0, |step| matches!(step, Step::AskedBootServer(_)));
        assert!(asked.is_empty(), "{who:?}: {}", bench.story(0));
        let began = bench.steps(0, |s| matches!(s, Step::Discovered { by: Teller::Ipxe, .. }));
        let bound = bench.steps(0, |s| matches!(s, Step::Bound { by: Teller::Ipxe, .. }));
        for ((began, _), (bound, _)) in began.iter().zip(&bound) {
            assert!(bound - began < 100, "{} ms: {}", bound - began, bench.story(0));
        }
    }
}

// Cure: the broadcast flag of `Reply::without_address`.
#[tokio::test(start_paused = true)]
async fn every_firmware_boots_behind_a_relay_that_asks_both_servers() {
    for who in EVERY {
        for order in ORDERS {
            boots(who, &[Manner::BehindRelay(RELAY)], order, b"").await;
        }
    }
}
