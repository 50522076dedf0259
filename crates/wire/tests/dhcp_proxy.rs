//! The proxy: what to boot, beside a server that gives the addresses.

use std::net::Ipv4Addr;

use model::MacAddr;
use wire::dhcp::proxy::{Door, Proxy, address_taken};
use wire::dhcp::server::{Destination, Ignored};
use wire::dhcp::{
    AGENT_VENDOR_CLASS, Boot, ControllerMark, Message, MessageType, OptionCode, Options, Suboptions, boss_url,
};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 254);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn proxy() -> Proxy {
    let mut extra = Options::new();
    extra.set(OptionCode::CONTROLLER, ControllerMark::of("bench").bytes());
    Proxy { boss: BOSS, extra }
}

fn tftp() -> Boot {
    Boot::Tftp { server: BOSS, file: "snponly.efi".to_owned() }
}

fn uefi(kind: MessageType) -> Message {
    let mut message = Message::request(kind, NODE, 7);
    message.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003000");
    message.options.set_u16(OptionCode::ARCHITECTURES, 7);
    message.options.set(OptionCode::MACHINE_UUID, *b"\x000123456789abcdef");
    message.broadcast = true;
    message
}

#[test]
fn an_offer_of_a_proxy_has_a_file_and_no_address() {
    let reply = proxy().answer(&uefi(MessageType::Discover), &tftp(), Door::Server).unwrap();
    let message = &reply.message;
    assert_eq!(message.kind(), Some(MessageType::Offer));
    assert!(message.yiaddr.is_unspecified() && reply.lease.is_none());
    assert_eq!((message.siaddr, message.file.as_slice()), (BOSS, &b"snponly.efi"[..]));
    let options = &message.options;
    assert_eq!(options.get(OptionCode::VENDOR_CLASS), Some(&b"PXEClient"[..]));
    assert_eq!(options.address(OptionCode::SERVER_ID), Some(BOSS));
    assert!(options.has(OptionCode::MACHINE_UUID));
    for of_addresses in [OptionCode::LEASE_SECONDS, OptionCode::SUBNET_MASK, OptionCode::ROUTERS] {
        assert!(!options.has(of_addresses), "the other server tells {of_addresses:?}");
    }
    assert_eq!(reply.to, Destination::Broadcast);
    let mark = options.get(OptionCode::CONTROLLER).and_then(ControllerMark::read).unwrap();
    assert_eq!(mark.lab, "bench");
}

#[test]
fn a_client_that_takes_no_broadcast_is_shouted_at_all_the_same() {
    let mut discover = uefi(MessageType::Discover);
    discover.broadcast = false;
    let reply = proxy().answer(&discover, &tftp(), Door::Server).unwrap();
    assert_eq!(reply.to, Destination::Broadcast, "there is no address to send a frame to");
    discover.giaddr = OTHER;
    let reply = proxy().answer(&discover, &tftp(), Door::Server).unwrap();
    assert_eq!(reply.to, Destination::Relay(OTHER));
    assert!(reply.message.broadcast, "a relay passes on to `yiaddr` what is not, and there is none");
}

#[test]
fn at_the_common_port_the_choice_of_an_address_is_left_to_its_server() {
    let mut request = uefi(MessageType::Request);
    request.options.set_address(OptionCode::SERVER_ID, OTHER);
    request.options.set_address(OptionCode::REQUESTED_ADDRESS, CLIENT);
    assert_eq!(proxy().answer(&request, &tftp(), Door::Server), Err(Ignored::ForAnotherServer));
    assert_eq!(address_taken(&request, BOSS), Some((CLIENT, OTHER)));
    request.options.set_address(OptionCode::SERVER_ID, BOSS);
    assert_eq!(address_taken(&request, BOSS), None, "that one is ours");
    let ack = proxy().answer(&request, &tftp(), Door::Server).unwrap();
    assert_eq!(ack.message.kind(), Some(MessageType::Ack), "some ROMs ask the boot server here");
}

#[test]
fn the_boot_server_returns_the_item_it_is_asked_for() {
    let mut request = uefi(MessageType::Request);
    request.ciaddr = CLIENT;
    request.options.set(OptionCode::VENDOR_SPECIFIC, [71, 4, 0, 3, 0x80, 0, 255]);
    for kind in [MessageType::Request, MessageType::Inform] {
        request.options.set_u8(OptionCode::MESSAGE_TYPE, kind.number());
        let ack = proxy().answer(&request, &tftp(), Door::BootServer).unwrap();
        assert_eq!(ack.message.kind(), Some(MessageType::Ack));
        assert_eq!((ack.message.ciaddr, ack.message.yiaddr), (CLIENT, Ipv4Addr::UNSPECIFIED));
        let vendor = ack.message.options.get(OptionCode::VENDOR_SPECIFIC).unwrap();
        assert_eq!(Suboptions::new(vendor).find_code(71), Some(&[0, 3, 0x80, 0][..]));
        assert_eq!(Suboptions::new(vendor).find_code(6), Some(&[8][..]));
        assert_eq!(vendor.iter().filter(|byte| **byte == 255).count(), 1);
        assert!(ack.boots());
    }
}

#[test]
fn the_http_client_and_ipxe_get_their_url_from_a_proxy() {
    let url = || Boot::Http { url: "http://10.9.0.1/boot.ipxe".to_owned() };
    let mut http = Message::request(MessageType::Discover, NODE, 8);
    http.options.set(OptionCode::VENDOR_CLASS, *b"HTTPClient:Arch:00016:UNDI:003001");
    http.options.set_u16(OptionCode::ARCHITECTURES, 16);
    let reply = proxy().answer(&http, &url(), Door::Server).unwrap();
    assert_eq!(reply.message.options.get(OptionCode::VENDOR_CLASS), Some(&b"HTTPClient"[..]));
    assert_eq!(reply.message.options.get(OptionCode::BOOT_FILE), Some(&b"http://10.9.0.1/boot.ipxe"[..]));
    let mut ipxe = uefi(MessageType::Discover);
    ipxe.options.set(OptionCode::USER_CLASS, *b"iPXE");
    let reply = proxy().answer(&ipxe, &url(), Door::Server).unwrap();
    assert_eq!(reply.message.file, b"http://10.9.0.1/boot.ipxe");
    assert_eq!(reply.message.options.get(OptionCode::VENDOR_CLASS), Some(&b"PXEClient"[..]));
}

#[test]
fn ipxe_gets_a_next_server_beside_its_url_and_a_rank_above_other_files_from_both_doors() {
    let mut asks = uefi(MessageType::Discover);
    asks.options.set(OptionCode::USER_CLASS, *b"iPXE");
    let url = Boot::Http { url: "http://10.9.0.1/boot.ipxe".to_owned() };
    let offer = proxy().answer(&asks, &url, Door::Server).unwrap().message;
    asks.options.set_u8(OptionCode::MESSAGE_TYPE, MessageType::Request.number());
    let ack = proxy().answer(&asks, &url, Door::BootServer).unwrap().message;
    for answer in [offer, ack] {
        assert_eq!(answer.siaddr, BOSS, "it takes no file without one, not even a URL");
        assert_eq!(answer.options.get(OptionCode::IPXE), Some(&[1, 1, 1][..]));
    }
}

#[test]
fn only_uefi_pxe_gets_a_second_offer_without_option_43() {
    let (proxy, first) = (proxy(), Door::Server);
    let discover = uefi(MessageType::Discover);
    let offer = proxy.answer(&discover, &tftp(), first).unwrap();
    assert_eq!(offer.message.options.get(OptionCode::VENDOR_SPECIFIC), Some(&[6, 1, 8, 255][..]));
    let second = Proxy::without_discovery(&discover, &offer).unwrap();
    assert!(!second.message.options.has(OptionCode::VENDOR_SPECIFIC));
    let class = second.message.options.get(OptionCode::VENDOR_CLASS);
    assert_eq!((second.to, class), (offer.to, Some(&b"PXEClient"[..])));
    let mut bios = discover.clone();
    bios.options.set_u16(OptionCode::ARCHITECTURES, 0);
    let mut ipxe = discover;
    ipxe.options.set(OptionCode::USER_CLASS, *b"iPXE");
    for other in [bios, ipxe] {
        let offer = proxy.answer(&other, &tftp(), first).unwrap();
        assert_eq!(Proxy::without_discovery(&other, &offer), None);
    }
    let request = uefi(MessageType::Request);
    let ack = proxy.answer(&request, &tftp(), Door::BootServer).unwrap();
    assert_eq!(Proxy::without_discovery(&request, &ack), None, "that is the answer to who asks after it");
}

#[test]
fn an_agent_is_told_where_to_report_once_it_has_an_address() {
    let place = || Boot::Http { url: "http://10.9.0.1".to_owned() };
    let mut asks = Message::request(MessageType::Inform, NODE, 8);
    asks.options.set(OptionCode::VENDOR_CLASS, AGENT_VENDOR_CLASS);
    asks.ciaddr = CLIENT;
    let ack = proxy().answer(&asks, &place(), Door::Server).unwrap();
    assert_eq!((ack.message.kind(), ack.to), (Some(MessageType::Ack), Destination::Unicast(CLIENT)));
    assert_eq!((ack.message.ciaddr, ack.message.yiaddr), (CLIENT, Ipv4Addr::UNSPECIFIED));
    assert_eq!(boss_url(&ack.message).as_deref(), Some("http://10.9.0.1"));
    for kind in [MessageType::Discover, MessageType::Request] {
        asks.options.set_u8(OptionCode::MESSAGE_TYPE, kind.number());
        assert_eq!(proxy().answer(&asks, &place(), Door::Server), Err(Ignored::NotBooting), "{kind:?}");
    }
    let firmware = proxy().answer(&uefi(MessageType::Inform), &tftp(), Door::Server);
    assert_eq!(firmware, Err(Ignored::ForAnotherServer), "at this port it asks the server of its address");
}

#[test]
fn who_does_not_boot_hears_nothing_from_a_proxy() {
    let system = Message::request(MessageType::Discover, NODE, 9);
    assert_eq!(proxy().answer(&system, &tftp(), Door::Server), Err(Ignored::NotBooting));
    assert_eq!(proxy().answer(&system, &tftp(), Door::BootServer), Err(Ignored::NotBooting));
    let nothing = proxy().answer(&uefi(MessageType::Discover), &Boot::Nothing, Door::Server);
    assert_eq!(nothing, Err(Ignored::NothingToBoot));
    for kind in [MessageType::Decline, MessageType::Release] {
        let refused = proxy().answer(&uefi(kind), &tftp(), Door::Server);
        assert_eq!(refused, Err(Ignored::ForAnotherServer), "it is about an address");
    }
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        assert_eq!(proxy().answer(&uefi(kind), &tftp(), Door::Server), Err(Ignored::NotARequest));
    }
}
