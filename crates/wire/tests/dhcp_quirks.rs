//! Each row of the table of firmware quirks: it is recognised, and what the row says is done.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::{ClientKind, MacAddr};
use wire::dhcp::proxy::{Door, Proxy};
use wire::dhcp::quirks::{QUIRKS, Quirk};
use wire::dhcp::server::{Config, Outcome, Pool, Server};
use wire::dhcp::{
    Architecture, Boot, Caller, Family, Message, MessageType, OptionCode, Options, Suboptions, classify,
};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const PLAIN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PI: MacAddr = MacAddr([0xdc, 0xa6, 0x32, 1, 2, 3]);

fn discover(mac: MacAddr, options: &[(OptionCode, &[u8])]) -> Message {
    let mut message = Message::request(MessageType::Discover, mac, 1);
    for (code, value) in options {
        message.options.set(*code, *value);
    }
    message
}

fn pxe(arch: &[u8]) -> Message {
    discover(PLAIN, &[(OptionCode::VENDOR_CLASS, b"PXEClient"), (OptionCode::ARCHITECTURES, arch)])
}

fn answer(message: &Message, boot: &Boot) -> Message {
    let first = Ipv4Addr::new(10, 9, 0, 100);
    let mut server = Server::new(Config {
        boss: BOSS,
        prefix: 24,
        gateway: None,
        dns: Vec::new(),
        log_server: None,
        lease_seconds: 600,
        pool: Some(Pool { first, last: Ipv4Addr::new(10, 9, 0, 110) }),
        reservations: BTreeMap::new(),
        extra: Options::new(),
        relayed: Vec::new(),
    });
    match server.answer(message, boot, 0) {
        Outcome::Reply(reply) => Message::decode(&reply.encode().unwrap()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn beside(message: &Message, boot: &Boot, door: Door) -> Message {
    let proxy = Proxy { boss: BOSS, extra: Options::new() };
    Message::decode(&proxy.answer(message, boot, door).unwrap().encode().unwrap()).unwrap()
}

fn tftp() -> Boot {
    Boot::Tftp { server: BOSS, file: "loader".to_owned() }
}

/// Shows the quirk and does what its row says.
#[expect(clippy::too_many_lines, reason = "one arm a row")]
fn see(quirk: Quirk) {
    let class = OptionCode::VENDOR_CLASS;
    match quirk {
        Quirk::NamesNoArchitecture => {
            let bare = discover(PLAIN, &[(class, b"PXEClient")]);
            assert!(quirk.of(&bare) && !quirk.of(&pxe(&[0, 7])));
            assert_eq!(classify(&bare), ClientKind::BiosPxe);
            let by_class = discover(PLAIN, &[(class, b"PXEClient:Arch:00007:UNDI:003016")]);
            assert_eq!(classify(&by_class), ClientKind::UefiPxe);
            assert_eq!(Caller::of(&by_class).arch, Some(Architecture(7)));
        }
        Quirk::CallsX64ByteCode => {
            assert!(quirk.of(&pxe(&[0, 9])) && !quirk.of(&pxe(&[0, 7])));
            assert_eq!(classify(&pxe(&[0, 9])), ClientKind::UefiPxe);
            assert_eq!(Architecture(9).family(), Some(Family::EfiX64));
            assert_eq!(Architecture(0x11).family(), Some(Family::EfiX64));
        }
        Quirk::PiSaysBios => {
            let old = discover(
                PI,
                &[(class, b"PXEClient:Arch:00000:UNDI:002001"), (OptionCode::ARCHITECTURES, &[0, 0])],
            );
            let named = discover(
                PLAIN,
                &[
                    (class, b"PXEClient:Arch:00000:UNDI:002001"),
                    (OptionCode::MACHINE_UUID, b"\x00RPi4\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c"),
                ],
            );
            for pi in [&old, &named] {
                assert!(quirk.of(pi));
                assert_eq!(classify(pi), ClientKind::RaspberryPi);
            }
            assert!(!quirk.of(&pxe(&[0, 0])), "a PC is a PC");
            let with_uefi =
                discover(PI, &[(class, b"PXEClient:Arch:00011"), (OptionCode::ARCHITECTURES, &[0, 11])]);
            assert_eq!(classify(&with_uefi), ClientKind::UefiPxe, "a Pi with UEFI is one");
            assert_eq!(classify(&discover(PI, &[])), ClientKind::Other, "its system boots no more");
        }
        Quirk::PiWantsItsMenu => {
            let pi =
                discover(PI, &[(class, b"PXEClient:Arch:00041"), (OptionCode::ARCHITECTURES, &[0, 0x29])]);
            assert!(quirk.of(&pi));
            let offer = answer(&pi, &Boot::Server { server: BOSS });
            assert_eq!((offer.siaddr, offer.file.as_slice()), (BOSS, &b""[..]));
            assert_eq!(offer.options.get(class), Some(&b"PXEClient"[..]));
            assert_eq!(offer.options.text(OptionCode::BOOT_SERVER), Some("10.9.0.1"));
            let menu = Suboptions::new(offer.options.get(OptionCode::VENDOR_SPECIFIC).unwrap());
            assert_eq!(menu.clone().find_code(9), Some(&b"\x00\x00\x11Raspberry Pi Boot"[..]));
            assert_eq!(menu.find_code(10), Some(&b"\x00PXE"[..]));
        }
        Quirk::UBootFindsItsOwn => {
            let by_class = discover(PLAIN, &[(class, b"U-Boot.armv8")]);
            let by_arch = pxe(&[0, 0x16]);
            for uboot in [&by_class, &by_arch] {
                assert!(quirk.of(uboot));
                let offer = answer(uboot, &Boot::Server { server: BOSS });
                assert_eq!(offer.siaddr, BOSS);
                assert!(offer.file.is_empty() && !offer.options.has(OptionCode::BOOT_FILE));
            }
        }
        Quirk::IpxeWithoutHttp => {
            let ipxe = |features: &[u8]| {
                discover(PLAIN, &[(OptionCode::USER_CLASS, b"iPXE"), (OptionCode::IPXE, features)])
            };
            assert!(quirk.of(&ipxe(&[21, 1, 1])) && !quirk.of(&ipxe(&[21, 1, 1, 19, 1, 1])));
            assert!(!quirk.of(&ipxe(&[])), "one that lists nothing says nothing");
            assert_eq!(answer(&ipxe(&[21, 1, 1]), &tftp()).file, b"loader");
        }
        Quirk::IpxeAwaitsProxy => {
            let ipxe = discover(PLAIN, &[(OptionCode::USER_CLASS, b"iPXE")]);
            assert!(quirk.of(&ipxe));
            assert_eq!(answer(&ipxe, &Boot::Nothing).options.get(OptionCode::IPXE), Some(&[176, 1, 1][..]));
        }
        Quirk::IpxeWantsNextServer | Quirk::IpxeRanksFiles => {
            let ipxe = discover(PLAIN, &[(OptionCode::USER_CLASS, b"iPXE")]);
            assert!(quirk.of(&ipxe));
            let url = Boot::Http { url: "http://10.9.0.1/a.ipxe".to_owned() };
            let offer = beside(&ipxe, &url, Door::Server);
            assert_eq!((offer.siaddr, offer.file.as_slice()), (BOSS, &b"http://10.9.0.1/a.ipxe"[..]));
            let own = Suboptions::new(offer.options.get(OptionCode::IPXE).unwrap());
            assert_eq!(own.find_code(1), Some(&[1][..]));
        }
        Quirk::PlainUserClass => {
            let plain = discover(PLAIN, &[(OptionCode::USER_CLASS, b"iPXE")]);
            let counted = discover(PLAIN, &[(OptionCode::USER_CLASS, b"\x04iPXE\x03lab")]);
            assert!(quirk.of(&plain) && !quirk.of(&counted));
            assert_eq!((classify(&plain), classify(&counted)), (ClientKind::Ipxe, ClientKind::Ipxe));
            assert_eq!(counted.options.user_classes(), [&b"iPXE"[..], b"lab"]);
        }
        Quirk::NoIdentity => {
            let bare = pxe(&[0, 7]);
            assert!(quirk.of(&bare));
            assert!(!answer(&bare, &tftp()).options.has(OptionCode::MACHINE_UUID));
        }
        Quirk::BlankIdentity => {
            let mut blank = pxe(&[0, 7]);
            blank.options.set(OptionCode::MACHINE_UUID, [0; 17]);
            assert!(quirk.of(&blank));
            assert_eq!(Caller::of(&blank).uuid, None);
            assert_eq!(answer(&blank, &tftp()).options.get(OptionCode::MACHINE_UUID), Some(&[0; 17][..]));
        }
        Quirk::HttpWantsItsClass => {
            let http = discover(
                PLAIN,
                &[(class, b"HTTPClient:Arch:00019:UNDI:003001"), (OptionCode::ARCHITECTURES, &[0, 0x13])],
            );
            assert!(quirk.of(&http));
            let offer = answer(&http, &Boot::Http { url: "http://10.9.0.1/x.efi".to_owned() });
            assert_eq!(offer.options.get(class), Some(&b"HTTPClient"[..]));
            assert_eq!(offer.options.get(OptionCode::BOOT_FILE), Some(&b"http://10.9.0.1/x.efi"[..]));
            assert!(!offer.options.has(OptionCode::VENDOR_SPECIFIC) && offer.file.is_empty());
        }
        Quirk::ReadsUntilNul => {
            let offer = answer(&pxe(&[0, 0]), &tftp());
            assert!(quirk.of(&pxe(&[0, 0])));
            assert_eq!(offer.options.get(OptionCode::BOOT_FILE), Some(&b"loader\0"[..]));
            assert_eq!(offer.options.get(OptionCode::BOOT_SERVER), Some(&b"10.9.0.1\0"[..]));
        }
        Quirk::NeverMergesOffers => {
            let offer = answer(&pxe(&[0, 7]), &tftp());
            assert!(!offer.yiaddr.is_unspecified() && offer.siaddr == BOSS && offer.file == b"loader");
            assert!(!quirk.of(&pxe(&[0, 7])), "nothing shows it");
        }
        Quirk::DropsDiscoveryOffers => {
            let proxy = Proxy { boss: BOSS, extra: Options::new() };
            let first = proxy.answer(&pxe(&[0, 7]), &tftp(), Door::Server).unwrap();
            let second = Proxy::without_discovery(&pxe(&[0, 7]), &first).unwrap().message;
            assert!(first.message.options.has(OptionCode::VENDOR_SPECIFIC));
            assert!(!second.options.has(OptionCode::VENDOR_SPECIFIC) && second.file == b"loader");
            assert!(!quirk.of(&pxe(&[0, 7])), "nothing shows it");
        }
        Quirk::AsksBootServer => {
            let mut asks = pxe(&[0, 7]);
            asks.options.set_u8(OptionCode::MESSAGE_TYPE, MessageType::Request.number());
            asks.options.set(OptionCode::VENDOR_SPECIFIC, [71, 4, 0, 0, 0, 0, 255]);
            assert!(quirk.of(&asks));
            let reply = beside(&asks, &tftp(), Door::BootServer);
            let vendor = reply.options.get(OptionCode::VENDOR_SPECIFIC).unwrap();
            assert_eq!(Suboptions::new(vendor).find_code(71), Some(&[0; 4][..]));
        }
        Quirk::SmallBuffer => {
            let small = pxe(&[0, 0]);
            assert!(quirk.of(&small));
            let mut large = pxe(&[0, 0]);
            large.options.set_u16(OptionCode::MAX_SIZE, 1260);
            assert!(!quirk.of(&large));
            // 240 bytes of a name and all the rest still reach it.
            let file = "x".repeat(200);
            let offer = answer(&small, &Boot::Tftp { server: BOSS, file: file.clone() });
            assert_eq!(offer.options.text(OptionCode::BOOT_FILE), Some(file.as_str()));
        }
    }
}

#[test]
fn every_row_is_seen_and_does_what_it_says() {
    for row in QUIRKS {
        see(row.quirk);
    }
}

#[test]
fn every_row_says_where_it_was_seen_and_stands_once() {
    for (number, row) in QUIRKS.iter().enumerate() {
        assert!(!row.shows.is_empty() && !row.done.is_empty() && !row.seen.is_empty(), "{:?}", row.quirk);
        assert_eq!(QUIRKS.iter().position(|other| other.quirk == row.quirk), Some(number));
        assert_eq!(row.quirk.row().map(|row| row.quirk), Some(row.quirk));
    }
}

#[test]
fn the_registry_is_known_to_its_last_number() {
    for number in 0..=0x29 {
        let name = Architecture(number).to_string();
        assert!(!name.starts_with("architecture"), "{number:#04x} has no name");
    }
    assert_eq!(Architecture(0x7fff).to_string(), "architecture 0x7fff");
    let over_http = (0..=0x29).filter(|number| Architecture(*number).is_http()).count();
    assert_eq!(over_http, 13, "as many as IANA's table says");
}
