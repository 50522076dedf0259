//! Frames with tags, options, padding and damage; router advertisements.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use model::MacAddr;
use proptest::prelude::*;
use wire::frame::{Checksum, Ethernet, Frame, FrameError, Icmp6, Udp4};
use wire::ndp::{ALL_NODES, ALL_NODES_MAC, Audience, Routing, Solicitation, bare_advertisement, link_local};

const BOSS: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const NODE: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

fn udp(payload: &[u8]) -> Udp4<'_> {
    Udp4 {
        to_mac: NODE,
        from_mac: BOSS,
        from: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 67),
        to: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 68),
        payload,
        checksum: Checksum::Good,
    }
}

fn read(frame: &[u8]) -> Udp4<'_> {
    match Frame::parse(frame).unwrap() {
        Frame::Udp4(udp) => udp,
        other => panic!("{other:?}"),
    }
}

fn icmp(frame: &[u8]) -> Icmp6<'_> {
    match Frame::parse(frame).unwrap() {
        Frame::Icmp6(icmp) => icmp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_vlan_tag_and_padding_do_not_hide_the_payload() {
    let plain = udp(b"hello").build().unwrap();
    let mut tagged = plain[..12].to_vec();
    tagged.extend_from_slice(&[0x81, 0x00, 0x20, 0x2a]);
    tagged.extend_from_slice(&plain[12..]);
    tagged.resize(64, 0xee);
    assert_eq!(read(&tagged).payload, b"hello");
    assert_eq!(Ethernet::parse(&tagged).unwrap().vlan, Some(42));
}

#[test]
fn ip_options_are_skipped() {
    let plain = udp(b"hello").build().unwrap();
    let mut ip = plain[14..34].to_vec();
    ip[0] = 0x46;
    ip[3] += 4;
    ip.extend_from_slice(&[0x94, 4, 0, 0]);
    ip[10] = 0;
    ip[11] = 0;
    let sum: u32 = ip.chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
    ip[10..12].copy_from_slice(&sum.to_be_bytes()[2..]);
    let frame = [&plain[..14], &ip, &plain[34..]].concat();
    let found = read(&frame);
    assert_eq!((found.payload, found.checksum), (&b"hello"[..], Checksum::Good));
}

#[test]
fn damage_is_named() {
    let good = udp(b"hello").build().unwrap();
    let mut bad = good.clone();
    bad[26] ^= 1;
    assert_eq!(Frame::parse(&bad), Err(FrameError::HeaderChecksum));
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(read(&bad).checksum, Checksum::Bad);
    assert_eq!(Frame::parse(&good[..13]), Err(FrameError::Short("Ethernet")));
    assert_eq!(Frame::parse(&good[..20]), Err(FrameError::Short("IPv4")));
    assert_eq!(Frame::parse(&good[..40]), Err(FrameError::Length("IPv4")));
}

#[test]
fn a_fragment_is_no_datagram() {
    let mut frame = udp(b"hello").build().unwrap();
    // More fragments follow; the header checksum loses what the field gains (0x4000 to 0x2000).
    frame[20] = 0x20;
    let sum = u32::from(frame[24]) << 8 | u32::from(frame[25]);
    let sum = sum + 0x2000;
    let sum = (sum & 0xffff) + (sum >> 16);
    frame[24..26].copy_from_slice(&sum.to_be_bytes()[2..]);
    assert!(matches!(Frame::parse(&frame), Ok(Frame::Other(_))));
}

#[test]
fn a_bare_advertisement_is_24_bytes_and_disturbs_nobody() {
    let frame = bare_advertisement(BOSS, Audience::All);
    let icmp = icmp(&frame);
    assert_eq!(icmp.body.len() + 4, 24);
    assert_eq!((icmp.to_mac, icmp.to), (ALL_NODES_MAC, ALL_NODES));
    assert_eq!(icmp.from, link_local(BOSS));
    let Some(Routing::Advertisement(told)) = Routing::parse(&icmp) else { panic!("not understood") };
    assert!(told.is_bare());
}

#[test]
fn an_asker_without_an_address_is_answered_at_the_group_address() {
    let with = Solicitation { mac: NODE, address: link_local(NODE) };
    let without = Solicitation { mac: NODE, address: Ipv6Addr::UNSPECIFIED };
    let frame = bare_advertisement(BOSS, Audience::One(with));
    assert_eq!((icmp(&frame).to_mac, icmp(&frame).to), (NODE, link_local(NODE)));
    let frame = bare_advertisement(BOSS, Audience::One(without));
    assert_eq!((icmp(&frame).to_mac, icmp(&frame).to), (NODE, ALL_NODES));
}

#[test]
fn a_router_that_names_itself_as_resolver_is_told_with_its_flags() {
    let mut body = vec![64, 0xc0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend_from_slice(&[25, 3, 0, 0, 0, 0, 0x0e, 0x10]);
    body.extend_from_slice(&Ipv6Addr::new(0xfd00, 0xab, 0xcd, 0, 0, 0, 0, 1).octets());
    let icmp = Icmp6 {
        to_mac: ALL_NODES_MAC,
        from_mac: NODE,
        from: link_local(NODE),
        to: ALL_NODES,
        hop_limit: 255,
        kind: 134,
        code: 0,
        body: &body,
        checksum_good: true,
    };
    let Some(Routing::Advertisement(told)) = Routing::parse(&icmp) else { panic!("not understood") };
    assert_eq!(told.name_servers, [Ipv6Addr::new(0xfd00, 0xab, 0xcd, 0, 0, 0, 0, 1)]);
    assert!(told.managed && told.other);
    assert!(told.to_string().contains("name server fd00:ab:cd::1, sends hosts to DHCPv6"));
    let forwarded = Icmp6 { hop_limit: 64, ..icmp };
    assert_eq!(Routing::parse(&forwarded), None, "it came from another network");
}

proptest! {
    #[test]
    fn no_frame_stops_us(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Frame::Icmp6(icmp)) = Frame::parse(&bytes) {
            let _read = Routing::parse(&icmp);
        }
    }

    #[test]
    fn no_ip_packet_stops_us(version in prop_oneof![Just(4u8), Just(6)], rest in proptest::collection::vec(any::<u8>(), 0..200)) {
        let kind: &[u8] = if version == 4 { &[8, 0, 0x45] } else { &[0x86, 0xdd, 0x60] };
        let bytes = [&[0u8; 12], kind, &rest].concat();
        if let Ok(Frame::Icmp6(icmp)) = Frame::parse(&bytes) {
            let _read = Routing::parse(&Icmp6 { hop_limit: 255, checksum_good: true, ..icmp });
        }
    }

    #[test]
    fn what_is_built_is_read_back(payload in proptest::collection::vec(any::<u8>(), 0..1472), port: u16) {
        let mut sent = udp(&payload);
        sent.from.set_port(port);
        let frame = sent.build().unwrap();
        prop_assert_eq!(read(&frame), sent);
    }
}
