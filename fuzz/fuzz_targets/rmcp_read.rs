//! What anybody may send to our port while a controller is asked: packets, handshakes and messages of IPMI. A packet's parts
//! lie within it, and a head that is read is written the same again.
#![no_main]

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
    drop(OpenRequest::decode(bytes));
    drop(OpenAnswer::decode(bytes));
    drop(Rakp1::decode(bytes));
    drop(Rakp2::decode(bytes));
    drop(Rakp3::decode(bytes));
    drop(Rakp4::decode(bytes));
    drop(Request::decode(bytes));
    if let Some(reply) = Reply::decode(bytes) {
        chassis::is_on(reply.data);
    }
});
