//! Any bytes are a frame or an error, and a datagram is rebuilt as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::frame::{Checksum, Frame, Icmp6};
use wire::ndp::Routing;

fuzz_target!(|bytes: &[u8]| match Frame::parse(bytes) {
    Ok(Frame::Udp4(udp)) => {
        let built = udp.build().expect("what fitted a frame fits one");
        let Ok(Frame::Udp4(again)) = Frame::parse(&built) else { panic!("our own frame is not read") };
        assert_eq!((again.payload, again.checksum), (udp.payload, Checksum::Good));
    }
    Ok(Frame::Icmp6(icmp)) => {
        let _read = Routing::parse(&Icmp6 { checksum_good: true, hop_limit: 255, ..icmp });
    }
    Ok(Frame::Udp6(udp)) => {
        let built = udp.build().expect("what fitted a frame fits one");
        let Ok(Frame::Udp6(again)) = Frame::parse(&built) else { panic!("our own frame is not read") };
        assert!(again.payload == udp.payload && again.checksum_good);
    }
    Ok(Frame::Other(_)) | Err(_) => {}
});
