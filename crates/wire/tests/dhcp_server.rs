//! The DHCP server's engine: whole offers, who gets which address, when it says no or nothing.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption};
use dhcproto::{Decodable, Decoder};
use model::MacAddr;
use proptest::prelude::*;
use wire::dhcp::server::{
    Boot, Config, Destination, Ignored, Lease, Outcome, Pool, Reply, Reservation, Server,
};
use wire::dhcp::{AGENT_VENDOR_CLASS, Message, MessageType, OptionCode, Options, Suboptions};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const NODE1: MacAddr = mac(1);
const NODE1_ADDRESS: Ipv4Addr = at(11);

const fn mac(n: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 1, n])
}

const fn at(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, n)
}

fn config() -> Config {
    let node1 = Reservation { address: NODE1_ADDRESS, host_name: Some("node1".to_owned()) };
    Config {
        boss: BOSS,
        prefix: 24,
        gateway: Some(ROUTER),
        dns: vec![BOSS],
        log_server: Some(BOSS),
        lease_seconds: 3600,
        pool: Some(Pool { first: at(100), last: at(103) }),
        reservations: BTreeMap::from([(NODE1, node1)]),
        extra: Options::new(),
        relayed: Vec::new(),
    }
}

fn server() -> Server {
    Server::new(config())
}

fn tftp() -> Boot {
    Boot::Tftp { server: BOSS, file: "snponly.efi".to_owned() }
}

fn http() -> Boot {
    Boot::Http { url: "http://10.9.0.1/boot/script.ipxe?mac=1".to_owned() }
}

fn discover(mac: MacAddr) -> Message {
    Message::request(MessageType::Discover, mac, 7)
}

fn request(mac: MacAddr, server: Option<Ipv4Addr>, asked: Option<Ipv4Addr>) -> Message {
    let mut message = Message::request(MessageType::Request, mac, 8);
    if let Some(server) = server {
        message.options.set_address(OptionCode::SERVER_ID, server);
    }
    if let Some(asked) = asked {
        message.options.set_address(OptionCode::REQUESTED_ADDRESS, asked);
    }
    message
}

fn uefi(mut message: Message) -> Message {
    message.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003000");
    message.options.set_u16(OptionCode::ARCHITECTURES, 7);
    message.options.set(OptionCode::MACHINE_UUID, *b"\x000123456789abcdef");
    message.broadcast = true;
    message
}

fn ipxe(mut message: Message) -> Message {
    message.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00000:UNDI:002001");
    message.options.set(OptionCode::USER_CLASS, *b"iPXE");
    message.options.set(OptionCode::IPXE, [19, 1, 1, 235, 3, 1, 0, 0]);
    message
}

fn uefi_http(mut message: Message) -> Message {
    message.options.set(OptionCode::VENDOR_CLASS, *b"HTTPClient:Arch:00016:UNDI:003000");
    message.options.set_u16(OptionCode::ARCHITECTURES, 16);
    message
}

fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

fn offered(server: &mut Server, mac: MacAddr, now: u64) -> Option<Ipv4Addr> {
    match server.answer(&discover(mac), &Boot::Nothing, now) {
        Outcome::Reply(reply) => Some(reply.message.yiaddr),
        _ => None,
    }
}

fn leased(server: &mut Server, mac: MacAddr, now: u64) -> Ipv4Addr {
    let address = offered(server, mac, now).unwrap();
    let reply = reply(server.answer(&request(mac, Some(BOSS), Some(address)), &Boot::Nothing, now));
    assert_eq!(reply.lease.as_ref().unwrap().address, address);
    address
}

#[test]
fn a_pxe_offer_has_nothing_left_to_wait_for() {
    let offer = reply(server().answer(&uefi(discover(NODE1)), &tftp(), 0));
    let message = &offer.message;
    let options = &message.options;
    assert_eq!(message.kind(), Some(MessageType::Offer));
    assert_eq!(message.yiaddr, NODE1_ADDRESS);
    assert_eq!(message.siaddr, BOSS);
    assert_eq!(message.file, b"snponly.efi");
    assert_eq!(options.address(OptionCode::SERVER_ID), Some(BOSS));
    assert_eq!(options.address(OptionCode::SUBNET_MASK), Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!(options.addresses(OptionCode::ROUTERS), [ROUTER]);
    assert_eq!(options.addresses(OptionCode::NAME_SERVERS), [BOSS]);
    assert_eq!(options.u32(OptionCode::LEASE_SECONDS), Some(3600));
    assert_eq!(options.u32(OptionCode::RENEW_SECONDS), Some(1800));
    assert_eq!(options.u32(OptionCode::REBIND_SECONDS), Some(3150));
    assert_eq!(options.get(OptionCode::VENDOR_CLASS), Some(&b"PXEClient"[..]));
    assert_eq!(options.get(OptionCode::BOOT_SERVER), Some(&b"10.9.0.1\0"[..]));
    assert_eq!(options.get(OptionCode::BOOT_FILE), Some(&b"snponly.efi\0"[..]));
    let pxe = Suboptions::new(options.get(OptionCode::VENDOR_SPECIFIC).unwrap());
    assert_eq!(pxe.find_code(6), Some(&[8][..]));
    assert_eq!(options.get(OptionCode::MACHINE_UUID), Some(&b"\x000123456789abcdef"[..]));
    assert_eq!(options.text(OptionCode::HOST_NAME), Some("node1"));
    assert!(!options.has(OptionCode::IPXE));
    assert_eq!(offer.to, Destination::Broadcast, "OVMF asked for it");
    assert_eq!(offer.lease, None, "an offer is no promise");
    assert!(offer.boots());
    assert!(offer.encode().unwrap().len() <= 548);
}

#[test]
fn dhcproto_reads_our_offer_alike() {
    let bytes = reply(server().answer(&uefi(discover(NODE1)), &tftp(), 0)).encode().unwrap();
    let theirs = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(theirs.opcode(), v4::Opcode::BootReply);
    assert_eq!(theirs.yiaddr(), NODE1_ADDRESS);
    assert_eq!(theirs.siaddr(), BOSS);
    assert_eq!(theirs.fname(), Some(&b"snponly.efi\0"[..]), "it keeps the NUL that closes the name");
    let opts = theirs.opts();
    assert_eq!(opts.msg_type(), Some(v4::MessageType::Offer));
    assert_eq!(opts.get(v4::OptionCode::ServerIdentifier), Some(&DhcpOption::ServerIdentifier(BOSS)));
    assert_eq!(opts.get(v4::OptionCode::AddressLeaseTime), Some(&DhcpOption::AddressLeaseTime(3600)));
    assert_eq!(opts.get(v4::OptionCode::Router), Some(&DhcpOption::Router(vec![ROUTER])));
    assert_eq!(
        opts.get(v4::OptionCode::ClassIdentifier),
        Some(&DhcpOption::ClassIdentifier(b"PXEClient".to_vec()))
    );
    assert_eq!(
        opts.get(v4::OptionCode::VendorExtensions),
        Some(&DhcpOption::VendorExtensions(vec![6, 1, 8, 255]))
    );
}

#[test]
fn ipxe_is_told_not_to_wait_for_a_proxy_and_gets_a_url_as_its_file() {
    let offer = reply(server().answer(&ipxe(discover(NODE1)), &http(), 0));
    let options = &offer.message.options;
    assert_eq!(options.get(OptionCode::IPXE), Some(&[0xb0, 1, 1][..]));
    assert_eq!(offer.message.file, b"http://10.9.0.1/boot/script.ipxe?mac=1");
    assert_eq!(options.text(OptionCode::BOOT_FILE), Some("http://10.9.0.1/boot/script.ipxe?mac=1"));
    assert_eq!(offer.to, Destination::Raw { mac: NODE1, address: NODE1_ADDRESS });
    let bare = reply(server().answer(&ipxe(discover(NODE1)), &Boot::Nothing, 0));
    assert!(bare.message.options.has(OptionCode::IPXE), "it need not wait even when nothing is to boot");
    assert!(!bare.boots());
}

#[test]
fn the_http_client_gets_its_class_and_url_and_no_pxe() {
    let offer = reply(server().answer(&uefi_http(discover(NODE1)), &http(), 0));
    let message = &offer.message;
    assert_eq!(message.options.get(OptionCode::VENDOR_CLASS), Some(&b"HTTPClient"[..]));
    assert_eq!(
        message.options.get(OptionCode::BOOT_FILE),
        Some(&b"http://10.9.0.1/boot/script.ipxe?mac=1"[..])
    );
    assert!(message.siaddr.is_unspecified() && message.file.is_empty());
    assert!(!message.options.has(OptionCode::VENDOR_SPECIFIC));
}

#[test]
fn what_a_client_cannot_boot_is_left_out() {
    let wrong = [
        reply(server().answer(&uefi(discover(NODE1)), &http(), 0)),
        reply(server().answer(&uefi_http(discover(NODE1)), &tftp(), 0)),
        reply(server().answer(&discover(NODE1), &tftp(), 0)),
        reply(server().answer(&uefi(discover(NODE1)), &Boot::Nothing, 0)),
    ];
    for offer in wrong {
        assert!(!offer.boots());
        assert!(!offer.message.options.has(OptionCode::VENDOR_CLASS));
        assert!(offer.message.siaddr.is_unspecified());
    }
}

#[test]
fn a_url_too_long_for_the_field_stands_in_the_option_only() {
    let url = format!("http://10.9.0.1/{}", "x".repeat(180));
    let offer = reply(server().answer(&ipxe(discover(NODE1)), &Boot::Http { url: url.clone() }, 0));
    assert!(offer.message.file.is_empty());
    assert_eq!(offer.message.options.text(OptionCode::BOOT_FILE), Some(url.as_str()));
    assert!(offer.encode().unwrap().len() <= 548, "fits a client that never said how much it takes");
}

#[test]
fn relay_information_client_id_and_uuid_come_back_unchanged() {
    let mut message = uefi(discover(NODE1));
    message.giaddr = at(254);
    message.hops = 1;
    message.options.set(OptionCode::CLIENT_ID, *b"\x01id");
    message.options.set(OptionCode::RELAY_INFORMATION, *b"\x01\x02p3");
    let offer = reply(server().answer(&message, &tftp(), 0));
    assert_eq!(offer.to, Destination::Relay(at(254)));
    assert_eq!((offer.to.address(), offer.to.port()), (at(254), 67));
    let options = &offer.message.options;
    assert_eq!(options.get(OptionCode::CLIENT_ID), Some(&b"\x01id"[..]));
    assert_eq!(options.iter().last(), Some((OptionCode::RELAY_INFORMATION, &b"\x01\x02p3"[..])));
    message.giaddr = Ipv4Addr::new(192, 168, 1, 1);
    assert_eq!(server().answer(&message, &tftp(), 0), Outcome::Ignore(Ignored::ForeignRelay));
}

#[test]
fn the_same_machine_keeps_its_address_whatever_its_client_id() {
    let mut server = server();
    let first = leased(&mut server, mac(9), 0);
    let mut other_stage = discover(mac(9));
    other_stage.options.set(OptionCode::CLIENT_ID, *b"\xffanother stage");
    assert_eq!(reply(server.answer(&other_stage, &Boot::Nothing, 10)).message.yiaddr, first);
}

#[test]
fn two_servers_choose_alike() {
    let (mut one, mut two) = (server(), server());
    for n in 20..24 {
        assert_eq!(offered(&mut one, mac(n), 0), offered(&mut two, mac(n), 0));
    }
}

#[test]
fn no_address_is_offered_twice_and_a_full_pool_is_named() {
    let mut server = server();
    let mut given: Vec<_> = (20..24).map(|n| offered(&mut server, mac(n), 0).unwrap()).collect();
    given.sort();
    assert_eq!(given, [at(100), at(101), at(102), at(103)]);
    let outcome = server.answer(&discover(mac(30)), &Boot::Nothing, 0);
    assert_eq!(outcome, Outcome::Ignore(Ignored::PoolExhausted));
    assert_eq!(server.tally().ignored[&Ignored::PoolExhausted], 1);
    assert_eq!(server.tally().offers, 4);
    assert!(offered(&mut server, mac(30), 30_000).is_some(), "offers nobody takes are free after 30 s");
}

#[test]
fn an_address_whose_lease_ran_out_is_taken_last() {
    let mut server = server();
    let old = leased(&mut server, mac(20), 0);
    let late = 3_600_001;
    let others: Vec<_> = (30..33).map(|n| offered(&mut server, mac(n), late).unwrap()).collect();
    assert!(!others.contains(&old));
    assert_eq!(offered(&mut server, mac(33), late), Some(old));
}

#[test]
fn the_pool_never_gives_the_boss_the_router_a_reservation_or_an_edge() {
    let mut narrow = config();
    narrow.pool = Some(Pool { first: at(0), last: at(12) });
    let mut server = Server::new(narrow);
    let mut given = Vec::new();
    for n in 20..60 {
        given.extend(offered(&mut server, mac(n), 0));
    }
    given.sort();
    let free: Vec<_> = (3..=12).filter(|n| *n != 11).map(at).collect();
    assert_eq!(given, free);
}

#[test]
fn a_reservation_wins_over_a_lease_made_before_it() {
    let mut server = server();
    let address = leased(&mut server, mac(40), 0);
    let mut changed = config();
    changed.reservations.insert(mac(41), Reservation { address, host_name: None });
    server.reconfigure(changed);
    assert_eq!(offered(&mut server, mac(41), 1), Some(address));
    let mut renew = request(mac(40), None, None);
    renew.ciaddr = address;
    assert!(matches!(server.answer(&renew, &Boot::Nothing, 2), Outcome::Nak(_)));
}

#[test]
fn a_lease_is_handed_out_to_be_written_before_the_ack() {
    let mut server = server();
    let ack = reply(server.answer(&request(NODE1, Some(BOSS), Some(NODE1_ADDRESS)), &tftp(), 1000));
    assert_eq!(ack.message.kind(), Some(MessageType::Ack));
    let lease = Lease { mac: NODE1, address: NODE1_ADDRESS, until: 3_601_000, host_name: "node1".to_owned() };
    assert_eq!(ack.lease, Some(lease.clone()));
    assert_eq!(server.lease(NODE1), Some(&lease));
    server.forget(NODE1);
    assert_eq!(server.leases().count(), 0);
}

#[test]
fn a_restored_lease_is_honoured_after_a_restart() {
    let mut before = server();
    let address = leased(&mut before, mac(50), 0);
    let mut after = server();
    for lease in before.leases() {
        after.restore(lease.clone());
    }
    for n in 60..63 {
        assert_ne!(offered(&mut after, mac(n), 5), Some(address));
    }
    let mut renew = request(mac(50), None, None);
    renew.ciaddr = address;
    let ack = reply(after.answer(&renew, &Boot::Nothing, 5));
    assert_eq!(ack.to, Destination::Unicast(address));
    assert_eq!(ack.message.ciaddr, address);
}

#[test]
fn a_client_that_took_another_server_frees_our_offer() {
    let mut server = server();
    let address = offered(&mut server, mac(70), 0).unwrap();
    let outcome = server.answer(&request(mac(70), Some(ROUTER), Some(address)), &Boot::Nothing, 1);
    assert_eq!(outcome, Outcome::Ignore(Ignored::ForAnotherServer));
    let free: Vec<_> = (71..75).map(|n| offered(&mut server, mac(n), 2).unwrap()).collect();
    assert!(free.contains(&address));
}

#[test]
fn a_wrong_address_is_refused_by_broadcast() {
    let mut server = server();
    let wrong = [
        request(NODE1, None, Some(Ipv4Addr::new(192, 168, 1, 5))),
        request(NODE1, Some(BOSS), Some(at(100))),
        request(mac(80), None, Some(NODE1_ADDRESS)),
        request(mac(80), None, Some(BOSS)),
    ];
    for message in wrong {
        let Outcome::Nak(nak) = server.answer(&message, &tftp(), 0) else { panic!("accepted {message:?}") };
        assert_eq!(nak.to, Destination::Broadcast);
        assert_eq!(nak.message.kind(), Some(MessageType::Nak));
        assert!(nak.message.yiaddr.is_unspecified() && !nak.boots());
        assert_eq!(nak.lease, None);
    }
    assert_eq!(server.tally().naks, 4);
    let mut relayed = request(NODE1, None, Some(at(100)));
    relayed.giaddr = at(254);
    let Outcome::Nak(nak) = server.answer(&relayed, &tftp(), 0) else { panic!("accepted") };
    assert_eq!(nak.to, Destination::Relay(at(254)));
    assert!(nak.message.broadcast, "the relay must shout, the client trusts no address");
}

#[test]
fn a_known_address_after_a_reboot_is_confirmed() {
    let mut server = server();
    let ack = reply(server.answer(&request(NODE1, None, Some(NODE1_ADDRESS)), &tftp(), 0));
    assert_eq!(ack.to, Destination::Raw { mac: NODE1, address: NODE1_ADDRESS });
}

#[test]
fn an_address_found_in_use_rests_and_only_its_client_can_say_so() {
    let mut server = server();
    let address = leased(&mut server, mac(90), 0);
    let mut decline = Message::request(MessageType::Decline, mac(91), 1);
    decline.options.set_address(OptionCode::REQUESTED_ADDRESS, address);
    let stranger = server.answer(&decline, &Boot::Nothing, 1);
    assert_eq!(stranger, Outcome::Ignore(Ignored::NotItsAddress));
    let mut decline = Message::request(MessageType::Decline, mac(90), 1);
    decline.options.set_address(OptionCode::REQUESTED_ADDRESS, address);
    let outcome = server.answer(&decline, &Boot::Nothing, 1);
    assert_eq!(outcome, Outcome::Declined { mac: mac(90), address });
    assert_ne!(offered(&mut server, mac(90), 2), Some(address));
    let mut all: Vec<_> = (91..93).map(|n| offered(&mut server, mac(n), 2).unwrap()).collect();
    all.sort();
    assert!(!all.contains(&address));
    assert!((93..97).any(|n| offered(&mut server, mac(n), 700_000) == Some(address)));
}

#[test]
fn a_released_address_is_free_at_once() {
    let mut server = server();
    let address = leased(&mut server, mac(20), 0);
    let mut release = Message::request(MessageType::Release, mac(21), 1);
    release.ciaddr = address;
    assert_eq!(server.answer(&release, &Boot::Nothing, 1), Outcome::Ignore(Ignored::NotItsAddress));
    let mut release = Message::request(MessageType::Release, mac(20), 1);
    release.ciaddr = address;
    assert!(
        matches!(server.answer(&release, &Boot::Nothing, 1), Outcome::Released(lease) if lease.mac == mac(20))
    );
    assert!(server.lease(mac(20)).is_none());
}

#[test]
fn an_inform_is_answered_without_address_and_times() {
    let mut inform = Message::request(MessageType::Inform, NODE1, 3);
    inform.ciaddr = NODE1_ADDRESS;
    let ack = reply(server().answer(&inform, &Boot::Nothing, 0));
    assert_eq!(ack.to, Destination::Unicast(NODE1_ADDRESS));
    assert!(ack.message.yiaddr.is_unspecified());
    assert!(!ack.message.options.has(OptionCode::LEASE_SECONDS));
    assert_eq!(ack.lease, None);
    // Past every relay: it has its address (RFC 2131 section 4.3.5).
    inform.giaddr = NODE1_ADDRESS;
    assert_eq!(reply(server().answer(&inform, &Boot::Nothing, 0)).to, Destination::Unicast(NODE1_ADDRESS));
}

#[test]
fn an_agent_is_told_where_to_report_and_nothing_of_a_boots_log() {
    let mut server = server();
    let mut asks = discover(NODE1);
    asks.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
    let place = Boot::Http { url: "http://10.9.0.1:8080".to_owned() };
    let offer = reply(server.answer(&asks, &place, 0)).message;
    assert_eq!(offer.options.text(OptionCode::BOOT_FILE), Some("http://10.9.0.1:8080"));
    assert!(offer.file.is_empty() && !offer.options.has(OptionCode::LOG_SERVERS));
}

#[test]
fn without_a_pool_strangers_get_silence() {
    let mut server = Server::new(Config { pool: None, ..config() });
    for message in [discover(mac(99)), request(mac(99), None, Some(at(5)))] {
        assert_eq!(server.answer(&message, &tftp(), 0), Outcome::Ignore(Ignored::Stranger));
    }
    assert!(offered(&mut server, NODE1, 0).is_some());
}

#[test]
fn what_is_no_request_of_a_machine_is_counted_by_reason() {
    let mut server = server();
    let mut reply = discover(NODE1);
    reply.op = wire::dhcp::Op::Reply;
    let mut bootp = discover(NODE1);
    bootp.options.remove(OptionCode::MESSAGE_TYPE);
    let group = discover(MacAddr([1, 0, 0x5e, 0, 0, 1]));
    for (message, why) in [
        (reply, Ignored::NotARequest),
        (Message::request(MessageType::Ack, NODE1, 1), Ignored::NotARequest),
        (bootp, Ignored::NoMessageType),
        (group, Ignored::NotEthernet),
        (request(NODE1, None, None), Ignored::NamesNoAddress),
    ] {
        assert_eq!(server.answer(&message, &tftp(), 0), Outcome::Ignore(why), "{}", why.code());
    }
    assert_eq!(server.tally().ignored.values().sum::<u64>(), 5);
}

#[test]
fn extra_options_reach_everybody_and_never_replace_our_own() {
    let mut changed = config();
    changed.extra.set_address(OptionCode::TIME_SERVERS, BOSS);
    changed.extra.set_address(OptionCode::SERVER_ID, ROUTER);
    let offer = reply(Server::new(changed).answer(&discover(NODE1), &Boot::Nothing, 0));
    assert_eq!(offer.message.options.address(OptionCode::TIME_SERVERS), Some(BOSS));
    assert_eq!(offer.message.options.address(OptionCode::SERVER_ID), Some(BOSS));
}

#[test]
fn a_shorter_lease_is_granted_and_a_longer_one_is_not() {
    let seconds = |asked: u32| {
        let mut message = discover(NODE1);
        message.options.set_u32(OptionCode::LEASE_SECONDS, asked);
        reply(server().answer(&message, &Boot::Nothing, 0)).message.options.u32(OptionCode::LEASE_SECONDS)
    };
    assert_eq!(seconds(600), Some(600));
    assert_eq!(seconds(1), Some(60));
    assert_eq!(seconds(u32::MAX), Some(3600));
}

/// One thing a client may do.
#[derive(Debug, Clone)]
enum Deed {
    Ask(u8),
    Take(u8, u8),
    Renew(u8, u8),
    Decline(u8, u8),
    Release(u8, u8),
    Wait(u32),
}

fn any_deed() -> impl Strategy<Value = Deed> {
    let who = 1u8..12;
    let what = prop_oneof![98u8..106, Just(11), Just(1)];
    prop_oneof![
        who.clone().prop_map(Deed::Ask),
        (who.clone(), what.clone()).prop_map(|(a, b)| Deed::Take(a, b)),
        (who.clone(), what.clone()).prop_map(|(a, b)| Deed::Renew(a, b)),
        (who.clone(), what.clone()).prop_map(|(a, b)| Deed::Decline(a, b)),
        (who, what).prop_map(|(a, b)| Deed::Release(a, b)),
        (0u32..4_000_000).prop_map(Deed::Wait),
    ]
}

fn message_of(deed: &Deed) -> Option<Message> {
    let naming = |kind, who, what| {
        let mut message = Message::request(kind, mac(who), 1);
        message.options.set_address(OptionCode::REQUESTED_ADDRESS, at(what));
        message
    };
    Some(match *deed {
        Deed::Ask(who) => discover(mac(who)),
        Deed::Take(who, what) => request(mac(who), Some(BOSS), Some(at(what))),
        Deed::Renew(who, what) => Message { ciaddr: at(what), ..request(mac(who), None, None) },
        Deed::Decline(who, what) => naming(MessageType::Decline, who, what),
        Deed::Release(who, what) => {
            Message { ciaddr: at(what), ..Message::request(MessageType::Release, mac(who), 1) }
        }
        Deed::Wait(_) => return None,
    })
}

proptest! {
    #[test]
    fn no_order_of_events_gives_one_address_to_two_machines(deeds in proptest::collection::vec(any_deed(), 1..120)) {
        let mut server = server();
        let mut now = 0;
        let mut granted: BTreeMap<Ipv4Addr, (MacAddr, u64)> = BTreeMap::new();
        for deed in deeds {
            if let Deed::Wait(ms) = deed {
                now += u64::from(ms);
            }
            let Some(message) = message_of(&deed) else { continue };
            match server.answer(&message, &Boot::Nothing, now) {
                Outcome::Reply(reply) => {
                    let address = reply.message.yiaddr;
                    let mine = message.mac().unwrap();
                    prop_assert!(address != BOSS && address != ROUTER);
                    prop_assert_eq!(address == NODE1_ADDRESS, mine == NODE1);
                    if let Some((owner, until)) = granted.get(&address) {
                        prop_assert!(*owner == mine || *until <= now, "{address} is {owner}'s until {until}, now {now}");
                    }
                    if let Some(lease) = reply.lease {
                        granted.retain(|_, (owner, _)| *owner != mine);
                        granted.insert(address, (mine, lease.until));
                    }
                }
                Outcome::Released(lease) => { granted.remove(&lease.address); }
                Outcome::Declined { address, .. } => { granted.remove(&address); }
                Outcome::Nak(_) | Outcome::Ignore(_) => {}
            }
        }
        // And it gets there in the end: a day later every machine of a small board has an address.
        now += 86_400_000;
        for n in 1..5 {
            prop_assert!(offered(&mut server, mac(n), now).is_some());
        }
    }
}

#[test]
fn firmware_and_ipxe_are_told_where_to_log_and_systems_are_not() {
    let mut server = server();
    let mut told = |message: &Message, boot: &Boot| match server.answer(message, boot, 0) {
        Outcome::Reply(reply) => reply.message.options.address(OptionCode::LOG_SERVERS),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&uefi(discover(NODE1)), &tftp()), Some(BOSS));
    assert_eq!(told(&discover(NODE1), &Boot::Nothing), None);
}
