//! Any bytes are a TFTP packet or an error, and a packet survives the way back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::tftp::Packet;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Packet::decode(&packet.encode()).as_ref(), Ok(&packet));
    }
});
