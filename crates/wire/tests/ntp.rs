//! NTP: a question of a real client is read, the answer says what RFC 5905 wants, and nothing else is answered.

use proptest::prelude::*;
use wire::ntp::{Clock, Fault, Leap, Mode, Packet, SIZE, Short, Timestamp, UNSYNCHRONISED};

const CLOCK: Clock = Clock {
    leap: Leap::NONE,
    stratum: 4,
    reference: [10, 0, 0, 1],
    reference_time: Timestamp(5 << 32),
    precision: -20,
    root_delay: Short(0x100),
    root_dispersion: Short(0x200),
};

/// What `busybox ntpd` and `ntpdig` send: version 4 or 3, mode 3, and a number in the last field.
fn question(version: u8) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[0] = version << 3 | 3;
    bytes[2] = 6;
    bytes[40..].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_be_bytes());
    bytes
}

#[test]
fn a_question_is_answered_in_its_own_version_with_its_own_time() {
    for version in 1..=4 {
        let asked = Packet::decode(&question(version)).unwrap();
        let (came, left) =
            (Timestamp::from_unix(1_800_000_000, 0), Timestamp::from_unix(1_800_000_000, 500_000));
        let said = asked.answer(&CLOCK, came, left).unwrap();
        let bytes = said.encode();
        assert_eq!(bytes[0], version << 3 | 4);
        assert_eq!(bytes[24..32], 0x0123_4567_89ab_cdef_u64.to_be_bytes(), "origin is what the client sent");
        assert_eq!((said.stratum, said.poll, said.received, said.sent), (4, 6, came, left));
        assert_eq!(Packet::decode(&bytes).unwrap(), said);
    }
}

#[test]
fn a_clock_that_is_not_believed_says_so() {
    let asked = Packet::decode(&question(4)).unwrap();
    let unset = Clock { leap: Leap::UNKNOWN, stratum: UNSYNCHRONISED, ..CLOCK };
    let bytes = asked.answer(&unset, Timestamp(0), Timestamp(0)).unwrap().encode();
    assert_eq!((bytes[0] >> 6, bytes[1]), (3, 16));
}

#[test]
fn who_asks_too_often_is_told_to_slow_down() {
    let bytes = Packet::decode(&question(4)).unwrap().slow_down(Timestamp(7)).unwrap().encode();
    assert_eq!((bytes[0] >> 6, bytes[1], &bytes[12..16]), (3, 0, b"RATE".as_slice()));
}

#[test]
fn only_questions_of_real_versions_are_answered() {
    assert_eq!(Packet::decode(&[0x23; 47]), Err(Fault::Short));
    for version in [0, 5, 6, 7] {
        assert_eq!(Packet::decode(&question(version)), Err(Fault::Version(version)));
    }
    for mode in [0, 1, 2, 4, 5, 6, 7] {
        let asked = Packet { mode: Mode(mode), ..Packet::decode(&question(4)).unwrap() };
        assert_eq!(asked.answer(&CLOCK, Timestamp(0), Timestamp(0)), None, "mode {mode}");
    }
}

#[test]
fn time_is_counted_from_1900_and_over_the_end_of_its_era() {
    assert_eq!(Timestamp::from_unix(0, 0).0 >> 32, 2_208_988_800);
    assert_eq!(Timestamp::from_unix(0, 500_000_000).0 & 0xffff_ffff, 1 << 31);
    // 2036-02-07 06:28:16, where the seconds begin again.
    assert_eq!(Timestamp::from_unix(2_085_978_496, 0).0, 0);
    assert_eq!(Short::from_micros(1_500_000).0, 0x1_8000);
    assert_eq!(Short::from_micros(u64::MAX).0, u32::MAX);
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(bytes in proptest::array::uniform32(any::<u8>()), tail in any::<[u8; 16]>()) {
        let mut packet = [0; SIZE];
        packet[..32].copy_from_slice(&bytes);
        packet[32..].copy_from_slice(&tail);
        if let Ok(read) = Packet::decode(&packet) {
            prop_assert_eq!(read.encode(), packet);
        }
    }
}
