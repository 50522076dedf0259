//! Any bytes are a DHCPv6 message or an error, and what is read is written and read again the same.
#![no_main]

use std::net::Ipv6Addr;

use libfuzzer_sys::fuzz_target;
use wire::dhcp6::{Caller, Client, ClientSettings, Duid, Envelope, Message};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::decode(bytes) {
        let _caller = Caller::of(&envelope.message);
        let _senders = envelope.senders(Ipv6Addr::LOCALHOST).count();
        let _associations = envelope.message.options.associations();
        let again = Envelope::decode(&envelope.encode()).expect("our own message is read");
        assert_eq!(again.message, envelope.message);
        assert_eq!(again.relays.len(), envelope.relays.len());
    }
    if let Ok(message) = Message::decode(bytes) {
        let duid = message.client().unwrap_or_else(|| Duid::of_uuid([1; 16]));
        let mut client = Client::new(ClientSettings::new(duid, 1, message.xid), 0);
        let _asked = client.on_time(0);
        let _taken = client.on_packet(bytes, 1);
    }
});
