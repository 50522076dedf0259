//! Any bytes are a DHCP message or an error, and a message survives the way back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::dhcp::{Caller, Message};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::decode(bytes) else { return };
    let _caller = Caller::of(&message);
    if let Ok(written) = message.encode(64 * 1024)
        && let Ok(again) = Message::decode(&written)
    {
        // Option 82 moves to the end; everything else keeps its place.
        let ordered = |m: &Message| {
            m.options.iter().filter(|(c, _)| c.0 != 82).map(|(c, v)| (c, v.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(ordered(&message), ordered(&again));
        assert_eq!((message.xid, message.chaddr, &message.file), (again.xid, again.chaddr, &again.file));
    }
});
