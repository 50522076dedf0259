//! What anybody may send to our port while a controller is asked: packets, handshakes and messages of IPMI. A packet's parts
//! lie within it, and a head that is read is written the same again.
#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use wire::rmcp::{OpenAnswer, OpenRequest, Packet, Rakp1, Rakp2, Rakp3, Rakp4, Reply, Request, chassis};

/// Bytes of the code under a signed packet of cipher suite 3.
const CODE: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::decode(bytes, CODE) {
        assert!(packet.payload.len() <= bytes.len() && packet.signed.len() <= bytes.len());
        let mut again = packet.head.encode(packet.payload);
        if packet.head.authenticated {
            again.extend([0; CODE]);
        }
        let again = Packet::decode(&again, CODE).unwrap();
        assert_eq!((again.head, again.payload), (packet.head, packet.payload));
    }
    black_box(OpenRequest::decode(bytes).is_ok());
    black_box(OpenAnswer::decode(bytes).is_ok());
    black_box(Rakp1::decode(bytes).is_ok());
    black_box(Rakp2::decode(bytes).is_ok());
    black_box(Rakp3::decode(bytes).is_ok());
    black_box(Rakp4::decode(bytes).is_ok());
    black_box(Request::decode(bytes).is_some());
    if let Some(reply) = Reply::decode(bytes) {
        black_box(chassis::is_on(reply.data));
    }
});
