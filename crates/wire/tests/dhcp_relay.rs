//! Subnets behind relays: who gets which addresses, and what a relay is sent back.
#![expect(clippy::panic, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::MacAddr;
use wire::dhcp::server::{Config, Destination, Ignored, Network, Outcome, Pool, Reply, Reservation, Server};
use wire::dhcp::{Boot, Message, MessageType, OptionCode, Options};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const BEHIND: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const BEHIND_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 11);
const GUEST: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn server() -> Server {
    let reservation = Reservation { address: BEHIND_ADDRESS, host_name: Some("node1".to_owned()) };
    let pool = |first: [u8; 4], last: [u8; 4]| Some(Pool { first: first.into(), last: last.into() });
    Server::new(Config {
        boss: BOSS,
        prefix: 24,
        gateway: None,
        dns: Vec::new(),
        log_server: None,
        lease_seconds: 3600,
        pool: pool([10, 9, 0, 100], [10, 9, 0, 110]),
        reservations: BTreeMap::from([(BEHIND, reservation)]),
        extra: Options::new(),
        relayed: vec![
            Network {
                subnet: Ipv4Addr::new(10, 20, 0, 0),
                prefix: 24,
                gateway: Some(RELAY),
                pool: pool([10, 20, 0, 100], [10, 20, 0, 110]),
            },
            Network { subnet: Ipv4Addr::new(10, 30, 0, 0), prefix: 16, gateway: None, pool: None },
        ],
    })
}

fn through(relay: Ipv4Addr, kind: MessageType, mac: MacAddr) -> Message {
    let mut message = Message::request(kind, mac, 5);
    message.giaddr = relay;
    message.hops = 1;
    message
}

fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Reply(reply) | Outcome::Nak(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn in_subnet(address: Ipv4Addr, net: [u8; 3]) -> bool {
    address.octets()[..3] == net
}

#[test]
fn the_relay_names_the_subnet_and_gets_the_answer() {
    let mut server = server();
    let offer = reply(server.answer(&through(RELAY, MessageType::Discover, GUEST), &Boot::Nothing, 0));
    assert!(in_subnet(offer.message.yiaddr, [10, 20, 0]), "{}", offer.message.yiaddr);
    assert_eq!(offer.message.options.address(OptionCode::ROUTERS), Some(RELAY));
    assert_eq!(
        offer.message.options.address(OptionCode::BROADCAST_ADDRESS),
        Some(Ipv4Addr::new(10, 20, 0, 255))
    );
    assert_eq!(offer.to, Destination::Relay(RELAY));
    assert_eq!((offer.to.address(), offer.to.port()), (RELAY, 67));
    assert_eq!(offer.message.giaddr, RELAY);
    let at_home = reply(server.answer(&Message::request(MessageType::Discover, GUEST, 6), &Boot::Nothing, 0));
    assert!(in_subnet(at_home.message.yiaddr, [10, 9, 0]), "without a relay it is at home");
}

#[test]
fn a_machine_of_the_board_gets_its_address_only_in_its_subnet() {
    let mut server = server();
    let offer = reply(server.answer(&through(RELAY, MessageType::Discover, BEHIND), &Boot::Nothing, 0));
    assert_eq!(offer.message.yiaddr, BEHIND_ADDRESS);
    assert_eq!(offer.message.options.text(OptionCode::HOST_NAME), Some("node1"));
    let moved = reply(server.answer(&Message::request(MessageType::Discover, BEHIND, 6), &Boot::Nothing, 0));
    assert!(in_subnet(moved.message.yiaddr, [10, 9, 0]), "plugged in elsewhere it is a guest");
    let lost = server.answer(
        &through(Ipv4Addr::new(10, 30, 0, 1), MessageType::Discover, BEHIND),
        &Boot::Nothing,
        0,
    );
    assert_eq!(lost, Outcome::Ignore(Ignored::Stranger), "where there is no pool it is a stranger");
}

#[test]
fn a_relay_of_no_subnet_of_ours_is_left_alone() {
    let foreign = through(Ipv4Addr::new(192, 168, 1, 1), MessageType::Discover, GUEST);
    assert_eq!(server().answer(&foreign, &Boot::Nothing, 0), Outcome::Ignore(Ignored::ForeignRelay));
}

#[test]
fn link_selection_wins_over_the_relays_own_address() {
    let mut message = through(BOSS, MessageType::Discover, GUEST);
    let information = [1, 3, b'e', b't', b'h', 5, 4, 10, 20, 0, 0];
    message.options.set(OptionCode::RELAY_INFORMATION, information);
    let offer = reply(server().answer(&message, &Boot::Nothing, 0));
    assert!(in_subnet(offer.message.yiaddr, [10, 20, 0]));
    assert_eq!(offer.to, Destination::Relay(BOSS), "the answer goes to the relay, not to the subnet");
    assert_eq!(offer.message.options.get(OptionCode::RELAY_INFORMATION), Some(&information[..]));
    let bytes = offer.encode().unwrap();
    let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
    assert_eq!(&bytes[end - information.len()..end], information, "it stands last");
}

#[test]
fn the_subnet_that_a_client_selects_comes_back() {
    let mut message = through(RELAY, MessageType::Discover, GUEST);
    message.options.set_address(OptionCode::SUBNET_SELECTION, Ipv4Addr::new(10, 9, 0, 0));
    let offer = reply(server().answer(&message, &Boot::Nothing, 0));
    assert!(in_subnet(offer.message.yiaddr, [10, 9, 0]));
    assert_eq!(offer.message.options.address(OptionCode::SUBNET_SELECTION), Some(Ipv4Addr::new(10, 9, 0, 0)));
}

#[test]
fn a_relay_that_wants_renewals_is_named_as_the_server() {
    let mut server = server();
    let mut discover = through(RELAY, MessageType::Discover, GUEST);
    discover.options.set(OptionCode::RELAY_INFORMATION, [11, 4, 10, 20, 0, 1]);
    let offer = reply(server.answer(&discover, &Boot::Nothing, 0)).message;
    assert_eq!(offer.options.address(OptionCode::SERVER_ID), Some(RELAY));
    let mut request = through(RELAY, MessageType::Request, GUEST);
    request.options.set(OptionCode::RELAY_INFORMATION, [11, 4, 10, 20, 0, 1]);
    request.options.set_address(OptionCode::SERVER_ID, RELAY);
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, offer.yiaddr);
    let ack = reply(server.answer(&request, &Boot::Nothing, 1));
    assert_eq!(ack.message.kind(), Some(MessageType::Ack));
    assert_eq!(ack.message.options.address(OptionCode::SERVER_ID), Some(RELAY));
    let mut plain = request.clone();
    plain.options.remove(OptionCode::RELAY_INFORMATION);
    assert_eq!(server.answer(&plain, &Boot::Nothing, 2), Outcome::Ignore(Ignored::ForAnotherServer));
    let mut own = Message::request(MessageType::Request, GUEST, 8);
    own.options = request.options;
    assert_eq!(
        server.answer(&own, &Boot::Nothing, 3),
        Outcome::Ignore(Ignored::ForAnotherServer),
        "option 82 without a relay is a client's own invention"
    );
}

#[test]
fn a_renewal_comes_without_the_relay_and_stays_in_its_subnet() {
    let mut server = server();
    let mut request = through(RELAY, MessageType::Request, GUEST);
    let offer = reply(server.answer(&through(RELAY, MessageType::Discover, GUEST), &Boot::Nothing, 0));
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, offer.message.yiaddr);
    let held = reply(server.answer(&request, &Boot::Nothing, 1)).lease.unwrap().address;
    let mut renewal = Message::request(MessageType::Request, GUEST, 9);
    renewal.ciaddr = held;
    let ack = reply(server.answer(&renewal, &Boot::Nothing, 2));
    assert_eq!((ack.message.kind(), ack.message.yiaddr), (Some(MessageType::Ack), held));
    assert_eq!(ack.to, Destination::Unicast(held));
    assert_eq!(ack.message.options.address(OptionCode::ROUTERS), Some(RELAY));
    // The same machine turns up at home with its old address, and is told at once.
    let mut rebooted = Message::request(MessageType::Request, GUEST, 10);
    rebooted.options.set_address(OptionCode::REQUESTED_ADDRESS, held);
    assert_eq!(reply(server.answer(&rebooted, &Boot::Nothing, 3)).message.kind(), Some(MessageType::Nak));
}

#[test]
fn a_refusal_through_a_relay_is_to_be_broadcast_there() {
    let mut request = through(RELAY, MessageType::Request, GUEST);
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, BEHIND_ADDRESS);
    request.options.set(OptionCode::RELAY_INFORMATION, [1, 1, 7]);
    let nak = reply(server().answer(&request, &Boot::Nothing, 0));
    assert_eq!(nak.message.kind(), Some(MessageType::Nak));
    assert!(nak.message.broadcast && nak.to == Destination::Relay(RELAY));
    assert_eq!(nak.message.options.get(OptionCode::RELAY_INFORMATION), Some(&[1, 1, 7][..]));
}

#[test]
fn giving_back_or_refusing_another_servers_address_changes_nothing() {
    let mut server = server();
    let mut discover = Message::request(MessageType::Discover, GUEST, 1);
    let offer = reply(server.answer(&discover, &Boot::Nothing, 0)).message.yiaddr;
    discover.options.set_u8(OptionCode::MESSAGE_TYPE, MessageType::Request.number());
    discover.options.set_address(OptionCode::REQUESTED_ADDRESS, offer);
    reply(server.answer(&discover, &Boot::Nothing, 1));
    let mut release = Message::request(MessageType::Release, GUEST, 2);
    release.ciaddr = offer;
    release.options.set_address(OptionCode::SERVER_ID, Ipv4Addr::new(10, 9, 0, 250));
    assert_eq!(server.answer(&release, &Boot::Nothing, 2), Outcome::Ignore(Ignored::ForAnotherServer));
    let mut decline = Message::request(MessageType::Decline, GUEST, 3);
    decline.options.set_address(OptionCode::REQUESTED_ADDRESS, offer);
    decline.options.set_address(OptionCode::SERVER_ID, Ipv4Addr::new(10, 9, 0, 250));
    assert_eq!(server.answer(&decline, &Boot::Nothing, 3), Outcome::Ignore(Ignored::ForAnotherServer));
    assert!(server.lease(GUEST).is_some());
    decline.options.set_address(OptionCode::SERVER_ID, BOSS);
    assert_eq!(server.answer(&decline, &Boot::Nothing, 4), Outcome::Declined { mac: GUEST, address: offer });
    let next = reply(server.answer(&Message::request(MessageType::Discover, GUEST, 4), &Boot::Nothing, 5));
    assert_ne!(next.message.yiaddr, offer, "an address in use is left alone for a while");
}
