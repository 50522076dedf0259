//! NTP from strangers: only questions are answered, and an answer is never a question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::ntp::{Clock, Leap, Mode, Packet, SIZE, Short, Timestamp};

const CLOCK: Clock = Clock {
    leap: Leap::NONE,
    stratum: 4,
    reference: [0; 4],
    reference_time: Timestamp(0),
    precision: -20,
    root_delay: Short(0),
    root_dispersion: Short(0),
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::decode(bytes) else { return };
    assert_eq!(packet.encode().as_slice(), &bytes[..SIZE]);
    let answers = [packet.answer(&CLOCK, Timestamp(1), Timestamp(2)), packet.slow_down(Timestamp(3))];
    for answer in answers.into_iter().flatten() {
        assert_eq!((packet.mode, answer.mode, answer.origin), (Mode::CLIENT, Mode::SERVER, packet.sent));
        assert_eq!(answer.answer(&CLOCK, Timestamp(1), Timestamp(2)), None, "two servers would talk for ever");
    }
});
