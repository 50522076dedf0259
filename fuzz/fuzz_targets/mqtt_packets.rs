//! What a broker, or whoever took its place, sends. A packet that is whole is read the same once it was written again, and
//! no piece of one is taken for a whole.
#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use wire::mqtt::{Packet, is_filter, is_topic, matches};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Ok(Some((packet, size))) = Packet::decode(rest) {
        assert!(size > 0 && size <= rest.len());
        assert_eq!(Packet::decode(&rest[..size - 1]), Ok(None));
        let again = packet.encode();
        let length = again.len();
        assert_eq!(Packet::decode(&again), Ok(Some((packet, length))));
        rest = &rest[size..];
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some((filter, topic)) = text.split_once('\n')
        && is_filter(filter)
        && is_topic(topic)
    {
        // What wants all, and what wants only this, do; unless it is the broker's own.
        assert!(matches(topic, topic));
        assert!(topic.starts_with('$') || matches("#", topic));
        black_box(matches(filter, topic));
    }
});
