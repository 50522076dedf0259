//! What an agent that has nothing to do costs: processor time of its looks at the machine's health, not wall time.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::Path;
use std::time::{Duration, Instant};

use agent::health::Eye;

/// Time that this thread had on a processor, in nanoseconds (`schedstat`).
fn spent() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn looking_at_the_machines_health_takes_less_than_a_hundredth_of_a_processor() {
    let mut eye = Eye::new(Path::new("/"));
    let start = Instant::now();
    let beats = 40_u32;
    let mut told = 0;
    let before = spent();
    for beat in 0..beats {
        let at = start + Duration::from_secs(model::AGENT_BEAT_SECONDS) * beat;
        told += u32::from(eye.news(at).is_some());
    }
    let each = Duration::from_nanos((spent() - before) / u64::from(beats));
    println!("{each:?} a heartbeat, {told} of {beats} told of health");
    assert!((beats / 5..beats).contains(&told), "{told}: every fifth at least, and not each");
    let hundredth = Duration::from_secs(model::AGENT_BEAT_SECONDS) / 100;
    assert!(each < hundredth, "{each:?} of a heartbeat's {hundredth:?}");
}
