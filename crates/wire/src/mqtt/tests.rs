//! Packets as brokers and clients write them, cut and broken ones, and whatever can be written.

use alloc::borrow::ToOwned as _;
use alloc::vec;

use proptest::prelude::*;

use super::*;

fn message(topic: &str, payload: &[u8], retained: bool, surely: Surely) -> Packet {
    Packet::Message(Message { topic: topic.to_owned(), payload: payload.to_vec(), retained, surely })
}

#[test]
fn packets_are_those_of_the_standard() {
    let connect = Packet::Connect {
        client: "lab".to_owned(),
        keep_alive: 60,
        login: Some(("u".to_owned(), b"pw".to_vec())),
    };
    let table: [(Packet, &[u8]); 9] = [
        (connect, b"\x10\x16\x00\x04MQTT\x04\xc2\x00\x3c\x00\x03lab\x00\x01u\x00\x02pw"),
        (Packet::Connected(Code::NOT_ALLOWED), b"\x20\x02\x00\x05"),
        // The example of figure 3.11: topic `a/b`, packet 10.
        (message("a/b", b"", false, Surely::Once { id: 10, again: false }), b"\x32\x07\x00\x03a/b\x00\x0a"),
        (message("a/b", b"ON", true, Surely::Perhaps), b"\x31\x07\x00\x03a/bON"),
        (message("a", b"x", false, Surely::Once { id: 258, again: true }), b"\x3a\x06\x00\x01a\x01\x02x"),
        (Packet::Taken(258), b"\x40\x02\x01\x02"),
        (
            Packet::Subscribe { id: 10, filters: vec!["a/b".to_owned(), "c/#".to_owned()] },
            b"\x82\x0e\x00\x0a\x00\x03a/b\x00\x00\x03c/#\x00",
        ),
        (Packet::Subscribed { id: 10, granted: vec![true, false] }, b"\x90\x04\x00\x0a\x00\x80"),
        (Packet::Bye, b"\xe0\x00"),
    ];
    for (packet, bytes) in table {
        assert_eq!(packet.encode(), bytes, "{packet:?}");
        assert_eq!(Packet::decode(bytes), Ok(Some((packet, bytes.len()))));
        for cut in 0..bytes.len() {
            assert_eq!(Packet::decode(&bytes[..cut]), Ok(None), "{cut} of {bytes:?}");
        }
    }
    // What was granted is whatever is no refusal.
    let granted = Packet::Subscribed { id: 1, granted: vec![true, true] };
    assert_eq!(Packet::decode(b"\x90\x04\x00\x01\x02\x01"), Ok(Some((granted, 6))));
}

#[test]
fn what_is_no_packet_is_named() {
    let table: [(&[u8], Fault); 10] = [
        (b"HTTP/1.1 400 Bad Request\r\n", Fault::Foreign(0x48)),
        (b"\x20\x03\x00\x00\x00", Fault::Length),
        (b"\x20\x01\x00", Fault::Length),
        (b"\x30\x02\x00\x05", Fault::Length),
        (b"\x30\xff\xff\xff\xff\x01", Fault::Length),
        (b"\x30\xff\xff\xff\x7f", Fault::Long(268_435_455)),
        (b"\x34\x05\x00\x01a\x00\x01", Fault::Foreign(0x34)),
        (b"\x38\x03\x00\x01a", Fault::Foreign(0x38)),
        (b"\x30\x04\x00\x02\xc3\x28", Fault::Text),
        (b"\x30\x03\x00\x01\x00", Fault::Text),
    ];
    for (bytes, fault) in table {
        // A text of HTTP says a length of 84 bytes, of which some are still to come.
        let bytes = if bytes.starts_with(b"H") { [bytes, &[b'x'; 84]].concat() } else { bytes.to_vec() };
        assert_eq!(Packet::decode(&bytes), Err(fault), "{bytes:?}");
    }
}

#[test]
fn filters_want_what_the_standard_says() {
    let table = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/#", "sport", true),
        ("#", "sport", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/uptime", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("a/b", "a/b/c", false),
    ];
    for (filter, topic, wanted) in table {
        assert!(is_filter(filter) && is_topic(topic));
        assert_eq!(matches(filter, topic), wanted, "{filter} {topic}");
    }
    for wrong in ["", "a/#/b", "a+", "a/b#", "+a/b"] {
        assert!(!is_filter(wrong), "{wrong}");
    }
    assert!(!is_topic("a/+") && !is_topic(""));
}

fn text() -> impl Strategy<Value = String> {
    "[a-zä/$ +#]{0,20}"
}

fn packet() -> impl Strategy<Value = Packet> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let login = prop::option::of((text(), bytes()));
    let surely = prop_oneof![
        Just(Surely::Perhaps),
        (any::<u16>(), any::<bool>()).prop_map(|(id, again)| Surely::Once { id, again })
    ];
    prop_oneof![
        (text(), any::<u16>(), login).prop_map(|(client, keep_alive, login)| Packet::Connect {
            client,
            keep_alive,
            login
        }),
        any::<u8>().prop_map(|code| Packet::Connected(Code(code))),
        (text(), bytes(), any::<bool>(), surely).prop_map(|(topic, payload, retained, surely)| {
            Packet::Message(Message { topic, payload, retained, surely })
        }),
        any::<u16>().prop_map(Packet::Taken),
        (any::<u16>(), prop::collection::vec(text(), 0..5))
            .prop_map(|(id, filters)| Packet::Subscribe { id, filters }),
        (any::<u16>(), prop::collection::vec(any::<bool>(), 0..5))
            .prop_map(|(id, granted)| Packet::Subscribed { id, granted }),
        Just(Packet::Ping),
        Just(Packet::Pong),
        Just(Packet::Bye),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_from_a_stream(packets in prop::collection::vec(packet(), 0..5)) {
        let bytes: Vec<u8> = packets.iter().flat_map(Packet::encode).collect();
        let mut rest = bytes.as_slice();
        for packet in packets {
            let (read, size) = Packet::decode(rest).unwrap().unwrap();
            prop_assert_eq!(read, packet);
            rest = &rest[size..];
        }
        prop_assert!(rest.is_empty());
    }
}
