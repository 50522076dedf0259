//! Replies damaged on the way: no machine stops half-way, none spins.

use sim::{Ipxe, Kind, Phase};
use wire::frame::{Frame, Udp4};

use crate::stand::{Server, config, started};

/// The same datagram with some bytes of its content changed, cut or repeated.
fn mangle(frame: &[u8], luck: &mut u64) -> Vec<u8> {
    let mut draw = |below: usize| {
        *luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*luck >> 33).unwrap() % below.max(1)
    };
    let Ok(Frame::Udp4(udp)) = Frame::parse(frame) else { return frame.to_vec() };
    let mut payload = udp.payload.to_vec();
    match draw(6) {
        0 => payload.truncate(draw(udp.payload.len())),
        1 => payload.extend_from_within(draw(udp.payload.len())..),
        2 | 3 => {
            for _ in 0..=draw(4) {
                let at = draw(payload.len());
                if let Some(byte) = payload.get_mut(at) {
                    *byte = u8::try_from(draw(256)).unwrap();
                }
            }
        }
        _ => {}
    }
    Udp4 { payload: &payload, ..udp }.build().unwrap()
}

#[test]
fn damaged_replies_leave_every_kind_somewhere_it_can_be() {
    let mut arrived = 0;
    for seed in 0..20 {
        for kind in [Kind::BiosPxe, Kind::BiosIpxeRom, Kind::UefiPxe, Kind::UefiHttp] {
            let mut luck = seed;
            let mut config = config(kind, Ipxe::Of2025);
            config.seed = seed;
            let mut stand = started(config, Server::default());
            stand.on_the_way = Some(Box::new(move |frame| mangle(frame, &mut luck)));
            assert!(!stand.run_until(400_000, |s| s.machine().phase() == Phase::Off));
            let end = stand.machine().phase();
            // The longest patience of any firmware is its whole boot order, 240 s.
            assert!(matches!(end, Phase::Agent | Phase::Stranded), "{kind:?} {seed}: {end:?}");
            let steps = stand.machine().history().len();
            assert!(steps < 500, "{kind:?} {seed}: {steps} steps in 400 s is spinning");
            arrived += usize::from(end == Phase::Agent);
        }
    }
    assert!(arrived > 20, "only {arrived} of 80 got through");
}
