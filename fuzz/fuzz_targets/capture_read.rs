//! A capture file of anybody: reading ends, and what comes out of it stops nobody.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sim::observe::Observer;
use sim::replay::record;
use wire::capture::Capture;

fuzz_target!(|bytes: &[u8]| {
    let Ok(capture) = Capture::open(bytes) else { return };
    let mut observer = Observer::new();
    let mut frames = Vec::new();
    for captured in capture {
        let Ok(captured) = captured else { break };
        assert!(captured.bytes.len() <= bytes.len());
        if let Some(frame) = captured.ethernet() {
            observer.take(captured.at_ns / 1_000_000, &frame, captured.length);
            frames.push((captured.at_ns / 1_000_000, frame.into_owned()));
        }
    }
    observer.end();
    record(frames.iter().map(|(at, frame)| (*at, frame.as_slice())), "fuzz");
});
