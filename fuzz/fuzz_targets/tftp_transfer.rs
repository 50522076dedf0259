//! Any packets at any times end a TFTP transfer or leave it waiting; no block lies outside the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::tftp::{Limits, Packet, Request, Step, Transfer};

fuzz_target!(|bytes: &[u8]| {
    let Some((&[options, block, window, size], rest)) = bytes.split_first_chunk::<4>() else { return };
    let request = Request {
        block: (options & 1 != 0).then_some(u16::from(block) * 8 + 8),
        window: (options & 2 != 0).then_some(u16::from(window) + 1),
        size: (options & 4 != 0).then_some(0),
        timeout_seconds: (options & 8 != 0).then_some(1),
        ..Request::octet("file")
    };
    let size = u64::from(size) * 300;
    let (mut transfer, mut step) = Transfer::new(&request, size, Limits::default(), 0);
    let mut now = 0;
    let mut late = 0;
    for chunk in rest.chunks(3) {
        if let Step::Blocks(blocks) = step {
            for block in blocks {
                assert!(block.range.start <= block.range.end && block.range.end <= size);
            }
        }
        step = match *chunk {
            [0, high, low] => transfer.on_packet(&Packet::Ack(u16::from_be_bytes([high, low])).encode(), now),
            [1, wait, _] => {
                now += u64::from(wait) * 100;
                transfer.on_time(now)
            }
            _ => transfer.on_packet(chunk, now),
        };
    }
    // Left alone it ends within its retries.
    while let Some(wake) = transfer.wake_at() {
        let _step = transfer.on_time(wake);
        late += 1;
        assert!(late < 20, "a transfer never ends");
    }
});
