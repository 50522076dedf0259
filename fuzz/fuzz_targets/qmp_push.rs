//! What a QEMU says that somebody took over from inside: a stream cut anywhere gives the same messages, memory stays
//! bounded, and an honest line after any noise is read.
#![no_main]

use agent::qmp::{Decoder, Message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let mut whole = Decoder::default();
    let all = whole.push(stream);
    assert!(all.len() <= stream.len());
    let mut parts = Decoder::default();
    let mut again = Vec::new();
    for part in stream.chunks(usize::from(*cut) + 1) {
        again.extend(parts.push(part));
    }
    assert_eq!(all, again);
    drop(whole.push(b"\n"));
    assert_eq!(whole.push(b"{\"return\": {}}\r\n"), [Message::Done]);
});
