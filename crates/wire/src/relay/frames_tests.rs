//! Frames there and back, and what is none.

use proptest::prelude::*;

use super::frames::*;

fn line(frame: &Frame) -> &[u8] {
    frame.bytes().strip_suffix(b"\n").unwrap()
}

#[test]
fn the_check_is_that_of_the_catalogue() {
    assert_eq!(
        crc(b"123456789"),
        0x29b1,
        "CRC-16/IBM-3740, check value of the catalogue of parametrised CRCs"
    );
}

#[test]
fn frames_read_as_they_are_written_down() {
    let status = Asked { number: 17, ask: Ask::Status };
    assert_eq!(status.frame().bytes(), b"~17 status*656b\n");
    let press = Asked { number: 18, ask: Ask::Press { relay: 3, ms: 250, boot: 0xbeef } };
    assert!(press.frame().bytes().starts_with(b"~18 press 3 250 0000beef*"));
    let sensed = [
        Sense::Lit,
        Sense::Dark,
        Sense::Unknown,
        Sense::Unwired,
        Sense::Lit,
        Sense::Dark,
        Sense::Dark,
        Sense::Dark,
    ];
    let said = Said {
        number: 18,
        answer: Err(No::Busy),
        boot: 1,
        uptime: 77,
        pressed: [true, false, false, false, false, false, false, true],
        sensed,
    };
    assert!(said.frame().bytes().starts_with(b"~18 no busy 00000001 77 10000001 10?-1000*"));
}

#[test]
fn what_is_no_frame_is_not_read() {
    let of = |words: &str| format!("~{words}*{:04x}", crc(words.as_bytes())).into_bytes();
    for words in [
        "",
        "17",
        "0 status",
        "17 status ",
        "17  status",
        "017 status",
        "-1 status",
        "65536 status",
        "17 state",
        "17 press 3 250",
        "17 press 3 250 beef",
        "17 press +3 250 0000beef",
        "17 press 300 250 0000beef",
        "status",
        "17 press 3 250 0000beef 1",
    ] {
        assert_eq!(Asked::read(&of(words)), None, "{words}");
    }
    for words in [
        "1 ok",
        "1 ok 00000001 5 00000000 0000000",
        "1 ok 00000001 5 00000002 00000000",
        "1 no why 00000001 5 00000000 00000000",
    ] {
        assert_eq!(Said::read(&of(words)), None, "{words}");
    }
    for line in [
        "~17 status*656c",
        "17 status*656b",
        "~17 status*+56b",
        "~17 status",
        "~*ffff",
        "*656b",
        "status 0 1",
    ] {
        assert_eq!(Asked::read(line.as_bytes()), None, "{line}");
    }
}

fn sense() -> impl Strategy<Value = Sense> {
    prop_oneof![Just(Sense::Lit), Just(Sense::Dark), Just(Sense::Unknown), Just(Sense::Unwired)]
}

proptest! {
    #[test]
    fn what_is_asked_is_what_is_heard(number in 1..=u16::MAX, relay: u8, ms: u16, boot: u32) {
        for ask in [Ask::Status, Ask::Press { relay, ms, boot }] {
            let asked = Asked { number, ask };
            prop_assert_eq!(Asked::read(line(&asked.frame())), Some(asked));
            prop_assert!(asked.frame().bytes().len() <= ASKED);
        }
    }

    #[test]
    fn what_is_said_is_what_is_heard(
        number: u16, boot: u32, uptime: u64, pressed: [bool; 8], sensed in proptest::array::uniform8(sense()), no in 0..4_u8,
    ) {
        let answer = [Ok(()), Err(No::Boot), Err(No::Busy), Err(No::Bounds)][usize::from(no)];
        let said = Said { number, answer, boot, uptime, pressed, sensed };
        prop_assert_eq!(Said::read(line(&said.frame())), Some(said));
    }

    /// One byte that is another is noticed, wherever it is.
    #[test]
    fn a_byte_that_was_spoilt_is_noticed(number in 1..=u16::MAX, boot: u32, at: prop::sample::Index, with in 1..=255_u8) {
        let asked = Asked { number, ask: Ask::Press { relay: 3, ms: 250, boot } };
        let frame = asked.frame();
        let mut bytes = line(&frame).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        let read = Asked::read(&bytes);
        // A hexadecimal digit of the check may be written large.
        prop_assert!(read.is_none() || (read == Some(asked) && bytes.eq_ignore_ascii_case(line(&frame))), "{:?}", read);
    }

    #[test]
    fn noise_is_no_frame_and_stops_nobody(bytes: Vec<u8>) {
        prop_assert_eq!(Asked::read(&bytes), None);
        prop_assert_eq!(Said::read(&bytes), None);
    }
}
