//! An SNMP datagram, of an agent or of somebody else. What one reads is read the same once it was written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::snmp::{Message, Oid};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        for (name, value) in &message.pdu.values {
            assert_eq!(name.to_string().parse::<Oid>().unwrap(), *name);
            assert!(!value.to_string().is_empty());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = text.parse::<Oid>()
    {
        assert_eq!(name.to_string().parse::<Oid>().unwrap(), name);
    }
});
