//! The DHCP codec: round trips, long and overloaded options, damage, and dhcproto as a second opinion.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

use std::net::Ipv4Addr;

use dhcproto::v4::{self, DhcpOption};
use dhcproto::{Decodable, Decoder};
use model::{ClientKind, MacAddr};
use proptest::prelude::*;
use wire::dhcp::{
    Architecture, DecodeError, EncodeError, Fault, Message, MessageType, OptionCode, Options, Suboptions,
    classify,
};

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 9]);

fn discover() -> Message {
    Message::request(MessageType::Discover, MAC, 0x1234_5678)
}

fn raw(options: &[u8]) -> Vec<u8> {
    let mut bytes = discover().encode(1472).unwrap()[..240].to_vec();
    bytes.extend_from_slice(options);
    bytes
}

#[test]
fn a_message_is_never_below_300_bytes() {
    assert_eq!(discover().encode(548).unwrap().len(), 300);
}

#[test]
fn a_missing_end_is_accepted_and_padding_skipped() {
    let message = Message::decode(&raw(&[0, 0, 53, 1, 1, 0, 12, 2, b'n', b'1'])).unwrap();
    assert_eq!(message.kind(), Some(MessageType::Discover));
    assert_eq!(message.options.text(OptionCode::HOST_NAME), Some("n1"));
}

#[test]
fn an_option_past_the_end_is_named_with_its_offset() {
    let why = Message::decode(&raw(&[53, 1, 1, 12, 9, b'n'])).unwrap_err();
    assert_eq!(why, DecodeError { offset: 243, fault: Fault::OptionOverrun(OptionCode::HOST_NAME) });
    assert_eq!(why.to_string(), "option 12 runs past the end (offset 243)");
    let why = Message::decode(&raw(&[53, 1, 1, 12])).unwrap_err();
    assert_eq!(why.offset, 243);
}

#[test]
fn what_is_no_dhcp_is_named() {
    let good = discover().encode(548).unwrap();
    for length in 0..240 {
        let why = Message::decode(&good[..length]).unwrap_err();
        assert_eq!(why, DecodeError { offset: length, fault: Fault::TooShort });
    }
    let mut bytes = good.clone();
    bytes[236] = 0;
    assert_eq!(Message::decode(&bytes).unwrap_err().fault, Fault::Magic);
    let mut bytes = good.clone();
    bytes[0] = 7;
    assert_eq!(Message::decode(&bytes).unwrap_err().fault, Fault::Op(7));
    let mut bytes = good;
    bytes[2] = 17;
    assert_eq!(Message::decode(&bytes).unwrap_err().fault, Fault::HardwareLength(17));
    assert_eq!(Message::decode(&vec![1; 20_000]).unwrap_err().fault, Fault::TooLong);
}

#[test]
fn repeated_options_are_joined_and_numbers_read_from_the_front() {
    let message = Message::decode(&raw(&[53, 1, 1, 43, 2, 1, 2, 43, 1, 3, 53, 1, 3, 255])).unwrap();
    assert_eq!(message.options.get(OptionCode::VENDOR_SPECIFIC), Some(&[1, 2, 3][..]));
    assert_eq!(message.kind(), Some(MessageType::Discover), "the first of two contradicting types counts");
}

#[test]
fn options_in_file_and_sname_are_read_in_that_order() {
    let mut bytes = raw(&[53, 1, 1, 43, 1, 1, 52, 1, 3, 255]);
    bytes[108..115].copy_from_slice(&[43, 1, 2, 52, 1, 3, 255]);
    bytes[44..48].copy_from_slice(&[43, 1, 3, 255]);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.options.get(OptionCode::VENDOR_SPECIFIC), Some(&[1, 2, 3][..]));
    assert!(message.file.is_empty() && message.sname.is_empty());
    assert!(!message.options.has(OptionCode::OVERLOAD));
}

#[test]
fn what_does_not_fit_moves_into_the_spare_fields_and_comes_back() {
    let mut message = discover();
    message.options.set(OptionCode(224), vec![1; 200]);
    message.options.set(OptionCode(225), vec![2; 100]);
    message.options.set(OptionCode(226), vec![3; 60]);
    let bytes = message.encode(460).unwrap();
    assert!(bytes.len() <= 460);
    assert_eq!(Message::decode(&bytes).unwrap(), message);
    message.file = b"taken".to_vec();
    message.sname = b"taken".to_vec();
    assert!(matches!(message.encode(460), Err(EncodeError::TooLarge { limit: 460, .. })));
    assert_eq!(Message::decode(&message.encode(700).unwrap()).unwrap(), message);
}

#[test]
fn relay_information_stands_last() {
    let mut message = discover();
    message.options.set(OptionCode::RELAY_INFORMATION, *b"\x01\x04eth0");
    message.options.set(OptionCode::HOST_NAME, *b"late");
    let bytes = message.encode(548).unwrap();
    let end = bytes.iter().rposition(|b| *b == 255).unwrap();
    assert_eq!(bytes[end - 8..end], *b"\x52\x06\x01\x04eth0");
}

#[test]
fn user_classes_are_read_as_list_and_as_text() {
    let classes = |value: &[u8]| {
        let mut options = Options::new();
        options.set(OptionCode::USER_CLASS, value);
        options.user_classes().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    assert_eq!(classes(b"iPXE"), [b"iPXE".to_vec()]);
    assert_eq!(classes(b"\x04iPXE"), [b"iPXE".to_vec()]);
    assert_eq!(classes(b"\x02ab\x03cde"), [b"ab".to_vec(), b"cde".to_vec()]);
    assert!(classes(b"").is_empty());
}

fn firmware(vendor: &[u8], archs: &[u16]) -> ClientKind {
    let mut message = discover();
    message.options.set(OptionCode::VENDOR_CLASS, vendor);
    if !archs.is_empty() {
        let bytes: Vec<u8> = archs.iter().flat_map(|arch| arch.to_be_bytes()).collect();
        message.options.set(OptionCode::ARCHITECTURES, bytes);
    }
    classify(&message)
}

#[test]
fn firmware_is_told_by_class_and_architecture() {
    assert_eq!(firmware(b"PXEClient:Arch:00000:UNDI:002001", &[0]), ClientKind::BiosPxe);
    assert_eq!(firmware(b"PXEClient", &[]), ClientKind::BiosPxe, "a ROM older than option 93");
    assert_eq!(firmware(b"PXEClient:Arch:00007:UNDI:003016", &[]), ClientKind::UefiPxe);
    assert_eq!(firmware(b"PXEClient:Arch:00009:UNDI:003016", &[9]), ClientKind::UefiPxe);
    assert_eq!(firmware(b"PXEClient", &[6, 7]), ClientKind::UefiPxe, "a list of architectures");
    assert_eq!(firmware(b"PXEClient:Arch:00011:UNDI:003000", &[11]), ClientKind::UefiPxe);
    assert_eq!(firmware(b"HTTPClient:Arch:00016:UNDI:003001", &[16]), ClientKind::UefiHttp);
    assert_eq!(firmware(b"HTTPClient:Arch:00019:UNDI:003001", &[19]), ClientKind::UefiHttp);
    assert_eq!(firmware(b"PXEClient:Arch:00012", &[12]), ClientKind::UnknownFirmware, "Open Firmware");
    assert_eq!(firmware(b"labinator-agent", &[]), ClientKind::Agent);
    assert_eq!(firmware(b"udhcp 1.35", &[]), ClientKind::Other);
    assert_eq!(Architecture(9).family(), Architecture(7).family());
}

#[test]
fn a_uuid_that_names_no_machine_counts_as_none() {
    let mut options = Options::new();
    for blank in [0, 0xff] {
        let mut value = vec![blank; 17];
        value[0] = 0;
        options.set(OptionCode::MACHINE_UUID, value);
        assert_eq!(options.machine_uuid(), None);
    }
    options.set(OptionCode::MACHINE_UUID, *b"\x00short");
    assert_eq!(options.machine_uuid(), None);
}

#[test]
fn suboptions_stop_at_the_first_bad_one() {
    let found: Vec<_> = Suboptions::new(&[0, 6, 1, 8, 9, 5, 1]).collect();
    assert_eq!(found, [(6, &[8][..])]);
    assert_eq!(Suboptions::new(&[6, 1, 8, 255, 7, 1, 1]).find_code(7), None);
}

#[test]
fn dhcproto_reads_a_split_option_as_one() {
    let mut message = discover();
    message.options.set(OptionCode(43), vec![7; 600]);
    let bytes = message.encode(1472).unwrap();
    let theirs = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
    let Some(DhcpOption::VendorExtensions(value)) = theirs.opts().get(v4::OptionCode::VendorExtensions)
    else {
        panic!("option 43 is missing")
    };
    assert_eq!(*value, vec![7; 600]);
}

fn any_options() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let value = proptest::collection::vec(any::<u8>(), 0..300);
    // 52 describes the encoding, and 82 moves to the end: both have tests of their own.
    let code = (1u8..255).prop_filter("framing", |code| !matches!(code, 52 | 82));
    proptest::collection::vec((code, value), 0..8)
}

fn any_message() -> impl Strategy<Value = Message> {
    let numbers = (any::<u32>(), any::<u16>(), any::<bool>(), any::<[u32; 4]>());
    let name = |most| proptest::collection::vec(1u8.., 0..=most);
    (numbers, name(64), name(128), any::<[u8; 16]>(), 0u8..=16, any_options()).prop_map(
        |((xid, secs, broadcast, [ci, yi, si, gi]), sname, file, chaddr, hlen, options)| {
            let mut message = Message {
                xid,
                secs,
                broadcast,
                ciaddr: Ipv4Addr::from(ci),
                yiaddr: Ipv4Addr::from(yi),
                siaddr: Ipv4Addr::from(si),
                giaddr: Ipv4Addr::from(gi),
                chaddr,
                hlen,
                sname,
                file,
                ..discover()
            };
            for (code, value) in options {
                message.options.set(OptionCode(code), value);
            }
            message
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_stop_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _read = Message::decode(&bytes);
    }

    #[test]
    fn no_options_stop_the_decoder(options in proptest::collection::vec(any::<u8>(), 0..400), overload in 0u8..5) {
        let mut all = vec![52, 1, overload];
        all.extend_from_slice(&options);
        if let Ok(message) = Message::decode(&raw(&all)) {
            let _kind = wire::dhcp::Caller::of(&message);
            let _written = message.encode(16_000);
        }
    }

    #[test]
    fn what_is_written_is_read_back(message in any_message()) {
        let bytes = message.encode(16_000).unwrap();
        prop_assert_eq!(Message::decode(&bytes).unwrap(), message);
    }

    #[test]
    fn a_limit_is_kept_or_refused(message in any_message(), limit in 300usize..1500) {
        match message.encode(limit) {
            Ok(bytes) => {
                prop_assert!(bytes.len() <= limit);
                prop_assert_eq!(Message::decode(&bytes).unwrap(), message);
            }
            Err(EncodeError::TooLarge { need, limit: told }) => prop_assert!(need > limit && told == limit),
            Err(why) => prop_assert!(false, "{why}"),
        }
    }

    #[test]
    fn dhcproto_reads_the_fixed_fields_alike(message in any_message()) {
        let message = Message { options: Options::new(), ..message };
        let bytes = message.encode(548).unwrap();
        let theirs = v4::Message::decode(&mut Decoder::new(&bytes)).unwrap();
        prop_assert_eq!(theirs.xid(), message.xid);
        prop_assert_eq!(theirs.secs(), message.secs);
        prop_assert_eq!(theirs.flags().broadcast(), message.broadcast);
        prop_assert_eq!(theirs.ciaddr(), message.ciaddr);
        prop_assert_eq!(theirs.yiaddr(), message.yiaddr);
        prop_assert_eq!(theirs.siaddr(), message.siaddr);
        prop_assert_eq!(theirs.giaddr(), message.giaddr);
        prop_assert_eq!(theirs.chaddr(), &message.chaddr[..usize::from(message.hlen)]);
    }
}
