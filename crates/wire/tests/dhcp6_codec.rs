//! DHCPv6 messages to bytes and back, against an independent codec.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::net::Ipv6Addr;

use dhcproto::{Decodable as _, Decoder, Encodable as _, v6};
use model::{ClientKind, MacAddr};
use wire::dhcp::Architecture;
use wire::dhcp6::{
    Caller, Duid, Envelope, Fault, HOP_LIMIT, Ia, IaAddress, Message, MessageType, OptionCode, RelayHop,
    Status, classify,
};

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x4c, 0x42, 7]);

fn duid() -> Duid {
    Duid::of_mac(MAC)
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What OVMF's PXE client sends first: order and values as in `PxeBcBuildDhcp6Options`.
fn firmware(class: &str, architecture: u16) -> Message {
    let mut message = Message::new(MessageType::Solicit, 0x00ab_cdef, &Duid::of_uuid([7; 16]));
    message.options.push(OptionCode::ELAPSED, [0, 150]);
    message.options.push(OptionCode::IA_NA, Ia::new(0x1234).value(""));
    message.options.push(OptionCode::OPTION_REQUEST, [0, 59, 0, 60, 0, 23]);
    message.options.push(OptionCode::INTERFACE_KIND, [1, 3, 16]);
    message.options.push(OptionCode::ARCHITECTURES, architecture.to_be_bytes());
    let mut value = 343_u32.to_be_bytes().to_vec();
    value.extend_from_slice(&u16::try_from(class.len()).unwrap().to_be_bytes());
    value.extend_from_slice(class.as_bytes());
    message.options.push(OptionCode::VENDOR_CLASS, value);
    message
}

#[test]
fn another_codec_reads_what_we_write() {
    let mut message = firmware("PXEClient:Arch:00007:UNDI:003016", 7);
    let mut ia = Ia::new(9);
    ia.addresses.push(IaAddress { address: address("fd00::11"), preferred: 300, valid: 600 });
    message.options.push(OptionCode::IA_NA, ia.value(""));
    let theirs = v6::Message::decode(&mut Decoder::new(&message.encode())).unwrap();
    assert_eq!(theirs.msg_type(), v6::MessageType::Solicit);
    assert_eq!(theirs.xid(), [0xab, 0xcd, 0xef]);
    let associations: Vec<_> = theirs
        .opts()
        .iter()
        .filter_map(|option| match option {
            v6::DhcpOption::IANA(ia) => Some(ia.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(associations.iter().map(|ia| ia.id).collect::<Vec<_>>(), [0x1234, 9]);
    let Some(v6::DhcpOption::IAAddr(given)) = associations.last().unwrap().opts.get(v6::OptionCode::IAAddr)
    else {
        unreachable!("an address is inside")
    };
    assert_eq!((given.addr, given.preferred_life, given.valid_life), (address("fd00::11"), 300, 600));
}

#[test]
fn we_read_what_another_codec_writes() {
    let mut theirs = v6::Message::new_with_id(v6::MessageType::Request, [1, 2, 3]);
    let mut inner = v6::DhcpOptions::new();
    inner.insert(v6::DhcpOption::IAAddr(v6::IAAddr {
        addr: address("fd00::1:5"),
        preferred_life: 1,
        valid_life: 2,
        opts: v6::DhcpOptions::new(),
    }));
    let options = theirs.opts_mut();
    options.insert(v6::DhcpOption::ClientId(duid().as_bytes().to_vec()));
    options.insert(v6::DhcpOption::ElapsedTime(250));
    options.insert(v6::DhcpOption::IANA(v6::IANA { id: 77, t1: 5, t2: 6, opts: inner }));
    options.insert(v6::DhcpOption::DomainNameServers(vec![address("fd00::53")]));
    let mut bytes = Vec::new();
    theirs.encode(&mut dhcproto::Encoder::new(&mut bytes)).unwrap();
    let ours = Message::decode(&bytes).unwrap();
    assert_eq!((ours.kind, ours.xid), (MessageType::Request, 0x0001_0203));
    assert_eq!(ours.client().unwrap().mac(), Some(MAC));
    assert_eq!(Caller::of(&ours).elapsed_ms, 2500);
    assert_eq!(ours.options.addresses(OptionCode::NAME_SERVERS), [address("fd00::53")]);
    let given = IaAddress { address: address("fd00::1:5"), preferred: 1, valid: 2 };
    let wanted = Ia { iaid: 77, renew: 5, rebind: 6, addresses: vec![given], status: Status::SUCCESS };
    assert_eq!(ours.options.associations(), [wanted]);
    assert_eq!(Message::decode(&ours.encode()).unwrap(), ours);
}

#[test]
fn firmware_loader_and_systems_are_told_apart() {
    let with_class = |number: u16, value: &[u8]| {
        let mut message = Message::new(MessageType::Solicit, 1, &duid());
        message.options.push(OptionCode(number), value);
        classify(&message)
    };
    assert_eq!(classify(&firmware("PXEClient:Arch:00007:UNDI:003016", 7)), ClientKind::UefiPxe);
    assert_eq!(classify(&firmware("PXEClient:Arch:00011:UNDI:003016", 11)), ClientKind::UnknownFirmware);
    assert_eq!(classify(&firmware("HTTPClient:Arch:00016:UNDI:003001", 0x10)), ClientKind::UefiHttp);
    assert_eq!(with_class(15, b"\0\x04iPXE"), ClientKind::Ipxe);
    assert_eq!(with_class(16, b"\0\0\x7e\xd9\0\x0flabinator-agent"), ClientKind::Agent);
    assert_eq!(with_class(15, b"\0\xffiPXE"), ClientKind::Other, "a length that lies");
    // What OVMF's own stack asks after our advertisement, and what a system with such an identifier asks.
    let mut stack = Message::new(MessageType::Solicit, 1, &Duid::of_uuid([7; 16]));
    let endless = Ia { renew: u32::MAX, rebind: u32::MAX, ..Ia::new(9) };
    stack.options.push(OptionCode::ELAPSED, [0, 0]);
    stack.options.push(OptionCode::IA_NA, endless.value(""));
    let mut system = stack.clone();
    stack.options.push(OptionCode::OPTION_REQUEST, [0, 23]);
    system.options.push(OptionCode::OPTION_REQUEST, [0, 23, 0, 24, 0, 39]);
    assert_eq!((classify(&stack), classify(&system)), (ClientKind::UnknownFirmware, ClientKind::Other));
    let caller = Caller::of(&firmware("PXEClient:Arch:00007:UNDI:003016", 7));
    assert_eq!(caller.arch, Some(Architecture::EFI_BC));
    assert_eq!(caller.uuid.unwrap().to_string(), "07070707-0707-0707-0707-070707070707");
    assert_eq!((caller.elapsed_ms, caller.vendor.as_str()), (1500, "PXEClient:Arch:00007:UNDI:003016"));
}

#[test]
fn a_relayed_question_is_unwrapped_and_its_answer_wrapped_as_the_rfc_says() {
    let hop = |hops, peer: &str, port: &[u8]| {
        let mut options = wire::dhcp6::Options::new();
        options.push(OptionCode::INTERFACE_ID, port);
        options.push(OptionCode(37), *b"remote id, which no answer carries");
        RelayHop { hops, link: address("fd00::2"), peer: address(peer), options }
    };
    let relays = vec![hop(1, "fe80::99", b"up"), hop(0, "fe80::5054:ff:fe4c:4207", b"port 7")];
    let asked = Envelope { relays, message: firmware("PXEClient", 7) };
    let bytes = asked.encode();
    let theirs = v6::RelayMessage::decode(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!((theirs.msg_type(), theirs.hop_count()), (v6::MessageType::RelayForw, 1));
    assert_eq!(Envelope::decode(&bytes).unwrap(), asked);
    // The nearest relay saw the client's link-local address; what it says of the client comes before its DUID.
    assert_eq!(asked.senders(address("fe80::77")).next(), Some(MAC));

    let sealed = Envelope::seal(&asked.relays, &Message::new(MessageType::Advertise, 5, &duid()));
    assert_eq!((sealed[0], sealed[1]), (13, 1));
    let outer = v6::RelayMessage::decode(&mut Decoder::new(&sealed)).unwrap();
    assert_eq!(outer.peer_addr(), address("fe80::99"));
    assert!(sealed.windows(6).any(|window| window == b"port 7"));
    assert!(!sealed.windows(9).any(|window| window == b"remote id"));
}

#[test]
fn a_relay_may_tell_the_clients_ethernet_address() {
    let mut options = wire::dhcp6::Options::new();
    options.push(OptionCode::LINK_LAYER_ADDRESS, [0, 1, 2, 0, 0, 0, 0, 9]);
    let hop =
        RelayHop { hops: 0, link: Ipv6Addr::UNSPECIFIED, peer: address("fe80::5054:ff:fe4c:4207"), options };
    let asked = Envelope { relays: vec![hop], message: firmware("PXEClient", 7) };
    let senders: Vec<_> = asked.senders(address("fe80::77")).collect();
    assert_eq!(senders, [MacAddr([2, 0, 0, 0, 0, 9]), MAC]);
}

#[test]
fn damage_is_named_with_its_place() {
    let fault = |bytes: &[u8]| Envelope::decode(bytes).map(drop).unwrap_err();
    assert_eq!(fault(&[1, 0, 0]).fault, Fault::TooShort);
    assert_eq!(fault(&[99, 0, 0, 0]).fault, Fault::Type(99));
    assert_eq!(fault(&[1, 0, 0, 0, 0, 1]).offset, 4);
    assert_eq!(fault(&[1, 0, 0, 0, 0, 1, 0, 9, 1]).fault, Fault::OptionOverrun(OptionCode::CLIENT_ID));
    assert_eq!(fault(&[12; 40]).fault, Fault::OptionOverrun(OptionCode(0x0c0c)));
    assert_eq!(fault(&[12; 34]).fault, Fault::NothingRelayed);
    assert_eq!(fault(&vec![1; 20_000]).fault, Fault::TooLong);
    let hop = || RelayHop {
        hops: 0,
        link: Ipv6Addr::UNSPECIFIED,
        peer: Ipv6Addr::UNSPECIFIED,
        options: wire::dhcp6::Options::new(),
    };
    let message = || Message::new(MessageType::Solicit, 1, &duid());
    let wrapped =
        |count| Envelope { relays: (0..count).map(|_| hop()).collect(), message: message() }.encode();
    assert!(Envelope::decode(&wrapped(HOP_LIMIT)).is_ok());
    assert_eq!(fault(&wrapped(HOP_LIMIT + 1)).fault, Fault::TooManyRelays);
}

#[test]
fn an_identifier_tells_its_ethernet_address_or_its_uuid() {
    let of = |bytes: &[u8]| Duid::new(bytes).unwrap();
    assert_eq!(of(&[0, 1, 0, 1, 9, 9, 9, 9, 0x52, 0x54, 0, 0x4c, 0x42, 7]).mac(), Some(MAC));
    assert_eq!(of(&[0, 3, 0, 1, 0x52, 0x54, 0, 0x4c, 0x42, 7]).mac(), Some(MAC));
    assert_eq!(of(&[0, 3, 0, 6, 0x52, 0x54, 0, 0x4c, 0x42, 7]).mac(), None, "another kind of hardware");
    assert_eq!(of(&[0, 3, 0, 1, 0x52, 0x54]).mac(), None);
    assert_eq!(Duid::of_uuid([0; 16]).uuid(), None, "a board without an identity");
    assert_eq!((Duid::new(&[]), Duid::new(&[0; 131])), (None, None));
    assert_eq!(Duid::from_hex(&duid().to_hex()), Some(duid()));
    assert_eq!((Duid::from_hex("0"), Duid::from_hex("zz")), (None, None));
    let boss = Duid::of_server(address("fd00::1"));
    assert_ne!(boss, Duid::of_server(address("fd00::2")));
    assert_eq!(boss, Duid::of_server(address("fd00::1")));
}
