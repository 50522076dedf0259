//! Log lines of Talos from a stranger: a stream cut anywhere gives the same lines, and what is kept is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use talos::feed::{Line, Lines};

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let mut whole = Lines::default();
    let all = whole.take(stream);
    assert!(all.len() <= stream.len() + 1);
    let mut parts = Lines::default();
    let mut again = Vec::new();
    for part in stream.chunks(usize::from(*cut) + 1) {
        again.extend(parts.take(part));
    }
    assert_eq!(all, again);
    if let Ok(line) = Line::read(stream) {
        assert!(line.said().message.len() <= 6 * stream.len());
    }
});
