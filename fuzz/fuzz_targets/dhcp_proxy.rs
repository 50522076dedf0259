//! No message makes the proxy give an address, or an answer that cannot be read.
#![no_main]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;
use wire::dhcp::proxy::{Door, Proxy, address_taken};
use wire::dhcp::quirks::QUIRKS;
use wire::dhcp::{Boot, ControllerMark, Message, OptionCode, Options};

const BOSS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else { return };
    for row in QUIRKS {
        std::hint::black_box(row.quirk.of(&message));
    }
    if let Some(value) = message.options.get(OptionCode::CONTROLLER) {
        let read = ControllerMark::read(value);
        assert!(read.is_none_or(|mark| mark.bytes() == value));
    }
    if let Some((address, server)) = address_taken(&message, BOSS) {
        assert!(!address.is_unspecified() && server != BOSS);
    }
    let proxy = Proxy { boss: BOSS, extra: Options::new() };
    let boots = [
        Boot::Nothing,
        Boot::Tftp { server: BOSS, file: "loader".to_owned() },
        Boot::Http { url: "http://10.0.0.1/boot".to_owned() },
        Boot::Server { server: BOSS },
    ];
    for boot in boots {
        for door in [Door::Server, Door::BootServer] {
            if let Ok(reply) = proxy.answer(&message, &boot, door) {
                assert!(reply.lease.is_none() && reply.message.yiaddr.is_unspecified());
                if let Ok(written) = reply.encode() {
                    assert_eq!(Message::decode(&written).expect("our own reply is read").xid, message.xid);
                }
            }
        }
    }
});
