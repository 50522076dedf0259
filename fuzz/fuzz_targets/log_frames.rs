//! A stream of syslog, cut into pieces: the same messages come out wherever it is cut, and none is too long.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logs::Frames;

fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else { return };
    let read = |size: usize| {
        let (mut all, mut frames) = (Vec::new(), Frames::default());
        for piece in bytes.chunks(size.max(1)) {
            frames.take(piece, |message| all.push(message.to_vec()));
        }
        frames.finish(|message| all.push(message.to_vec()));
        all
    };
    let (whole, pieces) = (read(usize::MAX), read(usize::from(*size)));
    assert_eq!(whole, pieces);
    assert!(whole.iter().all(|message| !message.is_empty() && message.len() <= 8 * 1024));
});
