//! Packets captured from real firmware and clients are read as what they are.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::net::Ipv4Addr;

use model::{ClientKind, MacAddr};
use wire::dhcp::{Architecture, Caller, Message, MessageType, OptionCode, message_limit};
use wire::frame::{Checksum, Frame, Udp4};
use wire::ndp::Routing;
use wire::tftp::{ErrorCode, Packet, Request};

/// Bytes of a capture: hexadecimal with comment lines.
fn bytes(capture: &str) -> Vec<u8> {
    let lines = capture.lines().filter(|line| !line.starts_with('#'));
    lines.flat_map(str::split_whitespace).map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

macro_rules! capture {
    ($name:literal) => {
        bytes(include_str!(concat!("captures/", $name, ".hex")))
    };
}

fn datagram(frame: &[u8]) -> Udp4<'_> {
    match Frame::parse(frame).unwrap() {
        Frame::Udp4(udp) => udp,
        other => panic!("not UDP: {other:?}"),
    }
}

fn message(frame: &[u8]) -> Message {
    let udp = datagram(frame);
    assert_eq!(udp.to.port(), 67);
    assert_eq!(udp.checksum, Checksum::Good);
    Message::decode(udp.payload).unwrap()
}

const UUID: &str = "12345678-1234-5678-0102-030405060708";

#[test]
fn ovmf_asks_for_pxe() {
    let discover = message(&capture!("ovmf-pxe-discover"));
    assert_eq!(discover.kind(), Some(MessageType::Discover));
    assert_eq!(discover.mac(), Some(MacAddr([0x52, 0x54, 0, 0, 0, 1])));
    assert!(discover.broadcast, "OVMF asks for broadcast replies");
    let caller = Caller::of(&discover);
    assert_eq!(caller.kind, ClientKind::UefiPxe);
    assert_eq!(caller.arch, Some(Architecture::EFI_BC));
    assert_eq!(caller.uuid.unwrap().to_string(), UUID);
    assert_eq!(caller.vendor, "PXEClient:Arch:00007:UNDI:003000");
    assert_eq!(message_limit(&discover.options), 1444);
}

#[test]
fn ovmf_takes_an_offer_and_claims_to_read_giant_replies() {
    let request = message(&capture!("ovmf-pxe-request"));
    assert_eq!(request.kind(), Some(MessageType::Request));
    assert_eq!(request.options.address(OptionCode::SERVER_ID), Some(Ipv4Addr::new(10, 0, 2, 2)));
    assert_eq!(request.options.u16(OptionCode::MAX_SIZE), Some(65280));
    assert_eq!(message_limit(&request.options), 1472, "never more than a frame holds");
}

#[test]
fn ovmf_asks_for_http() {
    let caller = Caller::of(&message(&capture!("ovmf-http-discover")));
    assert_eq!(caller.kind, ClientKind::UefiHttp);
    assert_eq!(caller.arch, Some(Architecture::HTTP_X64));
}

#[test]
fn ipxe_is_known_by_its_raw_user_class_and_tells_version_and_features() {
    let discover = message(&capture!("ipxe-discover"));
    assert!(!discover.broadcast, "iPXE takes unicast");
    assert_eq!(discover.options.user_classes(), [b"iPXE"]);
    let caller = Caller::of(&discover);
    assert_eq!(caller.kind, ClientKind::Ipxe);
    assert_eq!(caller.arch, Some(Architecture::BIOS));
    assert_eq!(caller.uuid.unwrap().to_string(), UUID);
    let facts = caller.ipxe.unwrap();
    assert_eq!(facts.version, "1.0.0");
    assert!(facts.has_http());
    assert_eq!(facts.bus, Some((1, 0x1af4, 0x1000)), "a virtio network card on PCI");
}

#[test]
fn ipxe_takes_an_offer() {
    let request = message(&capture!("ipxe-request"));
    assert_eq!(request.kind(), Some(MessageType::Request));
    assert_eq!(request.options.address(OptionCode::REQUESTED_ADDRESS), Some(Ipv4Addr::new(10, 0, 2, 15)));
}

#[test]
fn operating_systems_are_plain_clients() {
    let udhcpc = Caller::of(&message(&capture!("udhcpc-discover")));
    assert_eq!((udhcpc.kind, udhcpc.vendor.as_str()), (ClientKind::Other, "udhcp 1.35.0"));
    let dhclient = message(&capture!("dhclient-discover"));
    assert_eq!(Caller::of(&dhclient).kind, ClientKind::Other);
    assert_eq!(message_limit(&dhclient.options), 548, "without option 57 it is promised 576 bytes of IP");
}

#[test]
fn every_captured_message_survives_the_way_to_bytes_and_back() {
    for frame in [
        capture!("ovmf-pxe-discover"),
        capture!("ovmf-pxe-request"),
        capture!("ovmf-http-discover"),
        capture!("ipxe-discover"),
        capture!("ipxe-request"),
        capture!("udhcpc-discover"),
        capture!("dhclient-discover"),
    ] {
        let first = message(&frame);
        let again = Message::decode(&first.encode(1472).unwrap()).unwrap();
        assert_eq!(first, again);
    }
}

#[test]
fn a_frame_we_build_is_the_frame_ovmf_built() {
    let frame = capture!("ovmf-pxe-discover");
    let udp = datagram(&frame);
    let built = udp.build().unwrap();
    assert_eq!(built.len(), frame.len());
    assert_eq!(datagram(&built), udp);
    assert_eq!(built[..14], frame[..14]);
    assert_eq!(built[34..], frame[34..], "the UDP header, its checksum and all that follows");
}

#[test]
fn ovmf_reads_the_size_breaks_off_and_asks_again() {
    let frame = capture!("ovmf-tftp-probe");
    let probe = Request { size: Some(0), block: Some(1468), window: Some(4), ..Request::octet("boot.efi") };
    assert_eq!(Packet::decode(datagram(&frame).payload), Ok(Packet::Read(probe.clone())));
    assert_eq!(Packet::Read(probe).encode(), datagram(&frame).payload);

    let frame = capture!("ovmf-tftp-abort");
    let abort = Packet::decode(datagram(&frame).payload).unwrap();
    assert_eq!(
        abort,
        Packet::Error { code: ErrorCode::OPTIONS, message: "User aborted the transfer".to_owned() }
    );

    let frame = capture!("ovmf-tftp-request");
    let request = Request { block: Some(1468), window: Some(4), ..Request::octet("boot.efi") };
    assert_eq!(Packet::decode(datagram(&frame).payload), Ok(Packet::Read(request)));
}

#[test]
fn ipxe_asks_for_a_smaller_block() {
    let frame = capture!("ipxe-tftp-request");
    let request = Request { size: Some(0), block: Some(1432), ..Request::octet("boot.efi") };
    assert_eq!(Packet::decode(datagram(&frame).payload), Ok(Packet::Read(request)));
}

#[test]
fn ipxe_looks_for_a_router_and_a_foreign_one_is_named() {
    let frame = capture!("ipxe-solicitation");
    let Frame::Icmp6(icmp) = Frame::parse(&frame).unwrap() else { panic!("not ICMPv6") };
    let Some(Routing::Solicitation(asked)) = Routing::parse(&icmp) else { panic!("no solicitation") };
    assert_eq!(asked.mac, MacAddr([0x52, 0x54, 0, 0, 0, 3]));
    assert_eq!(asked.address, wire::ndp::link_local(asked.mac));
    assert_eq!(wire::ndp::solicitation(asked.mac), frame, "the simulated one is the same, byte for byte");

    let frame = capture!("slirp-advertisement");
    let Frame::Icmp6(icmp) = Frame::parse(&frame).unwrap() else { panic!("not ICMPv6") };
    let Some(Routing::Advertisement(told)) = Routing::parse(&icmp) else { panic!("no advertisement") };
    assert!(!told.is_bare());
    assert_eq!(
        told.to_string(),
        "router 52:56:00:00:00:02 (fe80::2), default route for 1800 s, prefix fec0::/64"
    );
}

#[test]
fn a_header_in_front_of_the_message_is_skipped() {
    let frame = capture!("ovmf-listener-report");
    let Frame::Icmp6(icmp) = Frame::parse(&frame).unwrap() else { panic!("not ICMPv6") };
    assert_eq!((icmp.kind, icmp.hop_limit, icmp.checksum_good), (131, 1, true));
    assert_eq!(Routing::parse(&icmp), None);
}

#[test]
fn a_capture_cut_anywhere_is_refused_or_read_but_never_stops_us() {
    for frame in [capture!("ovmf-pxe-discover"), capture!("ipxe-discover"), capture!("slirp-advertisement")] {
        for length in 0..frame.len() {
            let _read = Frame::parse(&frame[..length]);
            if let Some(payload) = frame.get(42..length) {
                let _read = Message::decode(payload);
                let _read = Packet::decode(payload);
            }
        }
    }
}
